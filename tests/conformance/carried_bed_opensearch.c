/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSearch, as tools/servers starts it, and starts it again when it was killed. All of a test is
 * named after an owner of its own. */

#include "carried_bed.h"

#include <signal.h>
#include <sys/types.h>

#include "carrier/opensearch/internal.h"

#define DIE_WITHIN_MS 150 /* of a page that takes some 300, and four times that at first */

json_t *bed_opensearch_options(char ret_why[static 160])
{
    const char *server = getenv("FREEHOLD_TEST_OPENSEARCH");
    const char *missing = getenv("FREEHOLD_TEST_MISSING");
    if (server) {
        json_t *options = json_loads(server, 0, NULL);
        FH_ASSERT(options != NULL);
        return options;
    }
    json_t *reasons = missing ? json_loads(missing, 0, NULL) : NULL;
    const char *reason = json_string_at(reasons, "opensearch");
    snprintf(ret_why, 160, "%s", reason ? reason : "run it with tools/servers");
    json_decref(reasons);
    return NULL;
}

static struct carried_server *open_opensearch(struct harness *harness, char ret_why[static 160])
{
    struct carried_server *server;
    struct fh_error error;
    uint64_t number;
    char owner[48];
    json_t *options = bed_opensearch_options(ret_why);
    if (!options)
        return NULL;
    world_random(harness->world, &number, sizeof number);
    snprintf(owner, sizeof owner, "tests.s-%016llx", (unsigned long long)number);
    FH_ASSERT(opensearch_open(harness->world, options, owner, &server, &error) == FH_OK);
    json_decref(options);
    return server;
}

/* A request of the test's own, until it is answered as it should be. */
static void insist(struct carried_server *server, const char *method, const char *path)
{
    struct fh_error error;
    enum fh_code code;
    do {
        struct opensearch_call call = {.method = method};
        snprintf(call.path, sizeof call.path, "%s", path);
        code = opensearch_ask(opensearch_of(server), &call, &error);
        opensearch_call_release(&call);
    } while (code == FH_UNAVAILABLE || code == FH_OUTCOME_UNKNOWN);
    FH_ASSERT(code == FH_OK);
}

static void note_nothing(void *context, const struct carried_link *link)
{
    (void)context;
    (void)link;
}

/* Links are looked for in an index that was refreshed. */
static void settle_opensearch(struct carried_server *server, const struct fh_derived *declared,
                              const struct carried_name *generation)
{
    struct fh_error error;
    enum fh_code code;
    int count;
    do
        code = server->ops->links(server, declared, generation, &(struct carried_link){0, 0}, 1,
                                  note_nothing, NULL, &count, &error);
    while (code == FH_UNAVAILABLE || code == FH_OUTCOME_UNKNOWN);
}

static void contents_of_opensearch(const json_t *answer, char ret[static BED_TEXT_SIZE])
{
    size_t i, length = 0;
    const json_t *hit;
    ret[0] = '\0';
    json_array_foreach (json_object_get(answer, "hits"), i, hit)
        length += (size_t)snprintf(ret + length, BED_TEXT_SIZE - length, "%s=%s ",
                                   json_string_at(hit, "key"), json_string_at(hit, "value.name"));
    FH_ASSERT(length < BED_TEXT_SIZE);
}

static json_t *bad_for_opensearch(void)
{
    return json_pack("{s:s, s:s}", "name", "not bad", "size", "a secret instead of a number");
}

static void wipe_opensearch(struct carried_server *server, const struct fh_derived *declared)
{
    char path[OPENSEARCH_INDEX_SIZE + 16];
    (void)declared;
    snprintf(path, sizeof path, "/%s-*", opensearch_of(server)->owner);
    insist(server, "DELETE", path);
}

static int64_t left_in_opensearch(struct carried_server *server, const struct fh_derived *declared,
                                  const struct carried_name *generation)
{
    struct opensearch_call call = {.method = "GET"};
    struct fh_error error;
    char index[OPENSEARCH_INDEX_SIZE];
    opensearch_index(opensearch_of(server), declared, generation, index);
    snprintf(call.path, sizeof call.path,
             "/%s/_stats/docs?filter_path=error.type,_all.primaries.docs", index);
    enum fh_code code = opensearch_ask(opensearch_of(server), &call, &error);
    int64_t left = json_integer_value(json_at(call.answer, "_all.primaries.docs.deleted"));
    opensearch_call_release(&call);
    return code == FH_OK ? left : -1;
}

static void close_opensearch(struct carried_server *server)
{
    opensearch_close(server);
}

struct killing {
    struct world *world;
    bool done;
};

static void kill_soon(void *argument)
{
    struct killing *killing = argument;
    char why[160];
    int pid = 0;
    json_t *options = bed_opensearch_options(why);
    FILE *file = fopen(json_string_at(options, "pid_file"), "r");
    FH_ASSERT(file && fscanf(file, "%d", &pid) == 1 && pid > 1);
    fclose(file);
    fiber_sleep_until(killing->world, world_in_ms(killing->world, DIE_WITHIN_MS));
    FH_ASSERT(kill(pid, SIGKILL) == 0);
    json_decref(options);
    killing->done = true;
}

static enum fh_code die_within_opensearch(struct carried_server *server,
                                          const struct fh_derived *declared,
                                          const struct carried_name *generation,
                                          struct carried_page *page, struct fh_error *error)
{
    struct world *world = opensearch_of(server)->world;
    struct killing killing = {.world = world};
    FH_ASSERT(fiber_start(world->fibers, kill_soon, &killing));
    enum fh_code code = server->ops->send(server, declared, generation, page, error);
    while (!killing.done)
        fiber_sleep_until(world, world_in_ms(world, 1));
    return code;
}

const struct carried_bed carried_bed_opensearch = {
    .name = "opensearch",
    .models = 1u << FH_SEARCH,
    .open = open_opensearch,
    .close = close_opensearch,
    .settle = settle_opensearch,
    .contents = contents_of_opensearch,
    .bad = bad_for_opensearch,
    .left = left_in_opensearch,
    .wipe = wipe_opensearch,
    .die_within = die_within_opensearch,
};
