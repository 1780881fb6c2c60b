/* SPDX-License-Identifier: Apache-2.0 */
/* PostgreSQL, as tools/servers starts it, and starts it again when it was killed. All of a test is
 * named after an owner of its own. */

#include "carried_bed.h"

#include <signal.h>
#include <sys/types.h>

#include "carrier/postgresql/internal.h"

#define DIE_WITHIN_MS 40 /* of a page that takes some 150 */
#define GENERATIONS 64

static json_t *postgresql_of_bed(char ret_why[static 160])
{
    const char *server = getenv("FREEHOLD_TEST_POSTGRESQL");
    if (!server) {
        snprintf(ret_why, 160, "FREEHOLD_TEST_POSTGRESQL names no server (tools/servers run ...)");
        return NULL;
    }
    json_t *options = json_loads(server, 0, NULL);
    FH_ASSERT(options != NULL);
    json_object_set_new(options, "database", json_string("postgres"));
    return options;
}

static struct carried_server *open_postgresql(struct harness *harness, char ret_why[static 160])
{
    struct carried_server *server;
    struct fh_error error;
    uint64_t number;
    char owner[48];
    json_t *options = postgresql_of_bed(ret_why);
    if (!options)
        return NULL;
    world_random(harness->world, &number, sizeof number);
    snprintf(owner, sizeof owner, "tests.s-%016llx", (unsigned long long)number);
    FH_ASSERT(curves_open(harness->world, options, owner, &server, &error) == FH_OK);
    json_decref(options);
    return server;
}

static void close_postgresql(struct carried_server *server)
{
    curves_close(server);
}

/* What was committed is found at once. */
static void settle_postgresql(struct carried_server *server, const struct fh_derived *declared,
                              const struct carried_name *generation)
{
    (void)server;
    (void)declared;
    (void)generation;
}

struct generations_there {
    struct carried_name names[GENERATIONS];
    int count;
};

static void note_generation(void *context, const struct carried_name *name)
{
    struct generations_there *there = context;
    FH_ASSERT(there->count < GENERATIONS);
    there->names[there->count++] = *name;
}

static bool is_not_now(enum fh_code code)
{
    return code == FH_UNAVAILABLE || code == FH_OUTCOME_UNKNOWN;
}

static void wipe_postgresql(struct carried_server *server, const struct fh_derived *declared)
{
    struct generations_there there = {.count = 0};
    struct fh_error error;
    enum fh_code code;
    do {
        there.count = 0;
        code = server->ops->generations(server, declared, note_generation, &there, &error);
    } while (is_not_now(code));
    FH_ASSERT(code == FH_OK);
    for (int i = 0; i < there.count; i++) {
        do
            code = server->ops->drop(server, declared, &there.names[i], &error);
        while (is_not_now(code));
        FH_ASSERT(code == FH_OK);
    }
}

struct killing_postgresql {
    struct world *world;
    bool done;
};

static void kill_postgresql_soon(void *argument)
{
    struct killing_postgresql *killing = argument;
    char why[160];
    int pid = 0;
    json_t *options = postgresql_of_bed(why);
    FILE *file = fopen(json_string_at(options, "pid_file"), "r");
    FH_ASSERT(file && fscanf(file, "%d", &pid) == 1 && pid > 1);
    fclose(file);
    fiber_sleep_until(killing->world, world_in_ms(killing->world, DIE_WITHIN_MS));
    FH_ASSERT(kill(pid, SIGQUIT) == 0); /* its processes end at once, and sync nothing */
    json_decref(options);
    killing->done = true;
}

static enum fh_code die_within_postgresql(struct carried_server *server,
                                          const struct fh_derived *declared,
                                          const struct carried_name *generation,
                                          struct carried_page *page, struct fh_error *error)
{
    struct world *world = curves_of(server)->world;
    struct killing_postgresql killing = {.world = world};
    FH_ASSERT(fiber_start(world->fibers, kill_postgresql_soon, &killing));
    enum fh_code code = server->ops->send(server, declared, generation, page, error);
    while (!killing.done)
        fiber_sleep_until(world, world_in_ms(world, 1));
    return code;
}

const struct carried_bed carried_bed_postgresql = {
    .name = "postgresql",
    .models = 1u << FH_SERIES,
    .keeps = 1u << FH_SERIES,
    .open = open_postgresql,
    .close = close_postgresql,
    .settle = settle_postgresql,
    .wipe = wipe_postgresql,
    .die_within = die_within_postgresql,
};
