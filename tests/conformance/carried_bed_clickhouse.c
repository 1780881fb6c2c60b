/* SPDX-License-Identifier: Apache-2.0 */
/* ClickHouse, as tools/servers starts it, and starts it again when it was killed. All of a test is
 * named after an owner of its own. It refuses no fact. */

#include "carried_bed.h"

#include <signal.h>
#include <sys/types.h>

#include "carrier/clickhouse/internal.h"

#define DIE_WITHIN_MS 8 /* of a page that takes some 20 */

json_t *bed_clickhouse_options(char ret_why[static 160])
{
    const char *server = getenv("FREEHOLD_TEST_CLICKHOUSE");
    const char *missing = getenv("FREEHOLD_TEST_MISSING");
    if (server) {
        json_t *options = json_loads(server, 0, NULL);
        FH_ASSERT(options != NULL);
        json_object_set_new(options, "interval_ms", json_integer(0));
        return options;
    }
    json_t *reasons = missing ? json_loads(missing, 0, NULL) : NULL;
    const char *reason = json_string_at(reasons, "clickhouse");
    snprintf(ret_why, 160, "%s", reason ? reason : "run it with tools/servers");
    json_decref(reasons);
    return NULL;
}

static struct carried_server *open_clickhouse(struct harness *harness, char ret_why[static 160])
{
    struct carried_server *server;
    struct fh_error error;
    uint64_t number;
    char owner[48];
    json_t *options = bed_clickhouse_options(ret_why);
    if (!options)
        return NULL;
    world_random(harness->world, &number, sizeof number);
    snprintf(owner, sizeof owner, "tests.s-%016llx", (unsigned long long)number);
    FH_ASSERT(clickhouse_open(harness->world, options, owner, &server, &error) == FH_OK);
    json_decref(options);
    return server;
}

static void close_clickhouse(struct carried_server *server)
{
    clickhouse_close(server);
}

/* What was acknowledged is found at once. */
static void settle_clickhouse(struct carried_server *server, const struct fh_derived *declared,
                              const struct carried_name *generation)
{
    (void)server;
    (void)declared;
    (void)generation;
}

/* Until it is answered as it should be. */
static void wipe_clickhouse(struct carried_server *server, const struct fh_derived *declared)
{
    struct fh_error error;
    struct text sql;
    enum fh_code code;
    (void)declared;
    text_init(&sql, CLICKHOUSE_SMALL);
    text_add(&sql, "DROP DATABASE IF EXISTS ");
    clickhouse_write_name(&sql, clickhouse_of(server)->owner);
    do {
        struct clickhouse_call call = {.body = sql.data, .body_length = sql.length};
        code = clickhouse_ask(clickhouse_of(server), &call, &error);
        clickhouse_call_release(&call);
    } while (code == FH_UNAVAILABLE || code == FH_OUTCOME_UNKNOWN);
    FH_ASSERT(code == FH_OK);
    text_release(&sql);
}

struct clickhouse_killing {
    struct world *world;
    int delay_ms;
    bool done;
};

static void kill_clickhouse_soon(void *argument)
{
    struct clickhouse_killing *killing = argument;
    char why[160];
    int pid = 0;
    json_t *options = bed_clickhouse_options(why);
    FILE *file = fopen(json_string_at(options, "pid_file"), "r");
    FH_ASSERT(file && fscanf(file, "%d", &pid) == 1 && pid > 1);
    fclose(file);
    fiber_sleep_until(killing->world, world_in_ms(killing->world, killing->delay_ms));
    FH_ASSERT(kill(pid, SIGKILL) == 0);
    json_decref(options);
    killing->done = true;
}

enum fh_code bed_clickhouse_die_after(struct carried_server *server,
                                      const struct fh_derived *declared,
                                      const struct carried_name *generation,
                                      struct carried_page *page, int delay_ms,
                                      struct fh_error *error)
{
    struct world *world = clickhouse_of(server)->world;
    struct clickhouse_killing killing = {.world = world, .delay_ms = delay_ms};
    FH_ASSERT(fiber_start(world->fibers, kill_clickhouse_soon, &killing));
    enum fh_code code = server->ops->send(server, declared, generation, page, error);
    while (!killing.done)
        fiber_sleep_until(world, world_in_ms(world, 1));
    return code;
}

static enum fh_code die_within_clickhouse(struct carried_server *server,
                                          const struct fh_derived *declared,
                                          const struct carried_name *generation,
                                          struct carried_page *page, struct fh_error *error)
{
    return bed_clickhouse_die_after(server, declared, generation, page, DIE_WITHIN_MS, error);
}

const struct carried_bed carried_bed_clickhouse = {
    .name = "clickhouse",
    .models = 1u << FH_COLUMNS,
    .keeps = 1u << FH_COLUMNS,
    .open = open_clickhouse,
    .close = close_clickhouse,
    .settle = settle_clickhouse,
    .wipe = wipe_clickhouse,
    .die_within = die_within_clickhouse,
};
