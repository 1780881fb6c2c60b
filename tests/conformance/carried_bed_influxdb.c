/* SPDX-License-Identifier: Apache-2.0 */
/* InfluxDB, as tools/servers starts it, and starts it again when it was killed. All of a test is in
 * a database of its own. */

#include "influxdb_bed.h"

#include <signal.h>
#include <sys/types.h>

#include "carrier/influxdb/internal.h"

json_t *bed_influxdb_options(char ret_why[static 160])
{
    const char *server = getenv("FREEHOLD_TEST_INFLUXDB");
    const char *missing = getenv("FREEHOLD_TEST_MISSING");
    if (server) {
        json_t *options = json_loads(server, 0, NULL);
        FH_ASSERT(options != NULL);
        return options;
    }
    json_t *reasons = missing ? json_loads(missing, 0, NULL) : NULL;
    const char *reason = json_string_at(reasons, "influxdb");
    snprintf(ret_why, 160, "%s", reason ? reason : "run it with tools/servers");
    json_decref(reasons);
    return NULL;
}

struct carried_server *bed_influxdb_open(struct harness *harness, char ret_why[static 160])
{
    struct carried_server *server;
    struct fh_error error;
    uint64_t number;
    char owner[48];
    json_t *options = bed_influxdb_options(ret_why);
    if (!options)
        return NULL;
    world_random(harness->world, &number, sizeof number);
    snprintf(owner, sizeof owner, "tests.s-%016llx", (unsigned long long)number);
    FH_ASSERT(influxdb_open(harness->world, options, owner, &server, &error) == FH_OK);
    json_decref(options);
    return server;
}

void bed_influxdb_insist(struct carried_server *server, const char *statement)
{
    struct fh_error error;
    struct text text = {.data = (char *)(uintptr_t)statement, .length = strlen(statement)};
    enum fh_code code;
    do
        code = influxdb_run(influxdb_of(server), &text, &error);
    while (code == FH_UNAVAILABLE || code == FH_OUTCOME_UNKNOWN);
    FH_ASSERT(code == FH_OK);
}

void bed_influxdb_wipe(struct carried_server *server)
{
    char statement[CARRIED_OWNER_SIZE + 32];
    snprintf(statement, sizeof statement, "DROP DATABASE \"%s\"", influxdb_of(server)->owner);
    bed_influxdb_insist(server, statement);
}

void bed_influxdb_kill(struct world *world, int64_t within_ms)
{
    char why[160];
    int pid = 0;
    json_t *options = bed_influxdb_options(why);
    FILE *file = fopen(json_string_at(options, "pid_file"), "r");
    FH_ASSERT(file && fscanf(file, "%d", &pid) == 1 && pid > 1);
    fclose(file);
    fiber_sleep_until(world, world_in_ms(world, within_ms));
    FH_ASSERT(kill(pid, SIGKILL) == 0);
    json_decref(options);
}

struct influxdb_killing {
    struct world *world;
    int64_t within_ms;
    bool done;
};

static void kill_influxdb_soon(void *argument)
{
    struct influxdb_killing *killing = argument;
    bed_influxdb_kill(killing->world, killing->within_ms);
    killing->done = true;
}

enum fh_code bed_influxdb_die_within(struct carried_server *server,
                                     const struct fh_derived *declared,
                                     const struct carried_name *generation,
                                     struct carried_page *page, int64_t within_ms,
                                     struct fh_error *error)
{
    struct world *world = influxdb_of(server)->world;
    struct influxdb_killing killing = {.world = world, .within_ms = within_ms};
    FH_ASSERT(fiber_start(world->fibers, kill_influxdb_soon, &killing));
    enum fh_code code = server->ops->send(server, declared, generation, page, error);
    while (!killing.done)
        fiber_sleep_until(world, world_in_ms(world, 1));
    return code;
}

/* ---- For what each server owes ---- */

#define DIE_WITHIN_MS 12 /* of a page that takes some 30 */

static void settle_influxdb(struct carried_server *server, const struct fh_derived *declared,
                            const struct carried_name *generation)
{
    (void)server; /* what was acknowledged is found */
    (void)declared;
    (void)generation;
}

static void wipe_influxdb(struct carried_server *server, const struct fh_derived *declared)
{
    (void)declared;
    bed_influxdb_wipe(server);
}

static enum fh_code die_within_influxdb(struct carried_server *server,
                                        const struct fh_derived *declared,
                                        const struct carried_name *generation,
                                        struct carried_page *page, struct fh_error *error)
{
    return bed_influxdb_die_within(server, declared, generation, page, DIE_WITHIN_MS, error);
}

extern const struct carried_bed carried_bed_influxdb;
const struct carried_bed carried_bed_influxdb = {
    .name = "influxdb",
    .models = 1u << FH_SERIES,
    .keeps = 1u << FH_SERIES,
    .open = bed_influxdb_open,
    .close = influxdb_close,
    .settle = settle_influxdb,
    .wipe = wipe_influxdb,
    .die_within = die_within_influxdb,
};
