/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A replica can't say itself how old it is: it does not know what it has not received. So the
 * primary is asked for its log's position, at a time t, and then each replica whether it has got
 * that far: if so, it has everything that was committed before t. This needs only functions that
 * any user of the server may call, and no clock but the process's own.
 *
 * A new check starts when a read comes and the last check ended a third of the permitted age ago;
 * reads go on meanwhile. If the last check is older than that age, the read waits for the new one,
 * for a limited time; if then no replica is fresh, it goes to the primary. So an idle service asks
 * nobody anything.
 *
 *     primary answers, replica fresh      the replicas in turn
 *     primary answers, no replica fresh   the primary
 *     primary gone, a replica was fresh   the youngest one; the result says how old it may be
 *     primary gone, none ever was         the primary: the error is its own
 *
 * A replica is a store of its own, opened without creating or changing anything in it. It must be
 * of the primary's incarnation: a replica of another store would return other data.
 */

#include "store/replica.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "store/relational/sql.h"

#define POSITION_SIZE 512  /* MariaDB: 30 bytes for each server that ever wrote to it */
#define LOOK_WAIT_MS 1000  /* how long a read waits for a check */
#define OPEN_AGAIN_MS 2000 /* between two attempts to reach one that did not answer */
#define GONE_LOOK_MS 500   /* between two checks while the primary is gone */
#define MS_NS INT64_C(1000000)

struct replica {
    struct store *store; /* NULL: not reached */
    json_t *server;      /* its configuration */
    int64_t fresh_ns;    /* it has everything that was committed before; INT64_MIN: not known */
    int64_t tried_ns;
    bool said; /* that it is unreached, and why, was reported */
};

struct store_replicas {
    struct store *primary;
    struct store_options options;
    struct replica all[REPLICAS_MAX];
    int count, next;
    int64_t staleness_ns;
    int64_t began_ns, looked_ns; /* the last check's start; and when the last one ended */
    bool looking, primary_gone, closing;
    bool said_mute; /* that the primary reports no position was reported */
    uint64_t reads;
    store_replicas_told *told;
    struct fiber_queue lookers; /* readers that wait for the check, and replicas_close */
};

/* ---- checking ---- */

static bool take_log_position(void *context, const struct sql_row *row)
{
    if (row->values[0].kind == SQL_TEXT && row->values[0].length < POSITION_SIZE)
        memcpy(context, row->values[0].text, row->values[0].length + 1);
    return true;
}

static bool take_reached(void *context, const struct sql_row *row)
{
    *(bool *)context = row->values[0].kind == SQL_INTEGER && row->values[0].integer == 1;
    return true;
}

static enum fh_code query_server(struct store *store, const char *sql,
                                 const struct sql_value *value, sql_visit *visit, void *context,
                                 struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_READ_COMMITTED, &work, error);
    if (code != FH_OK)
        return code;
    code = sql_run(work, sql, value, value ? 1 : 0, visit, context, NULL, error);
    store_rollback(work);
    return code;
}

/* Reports it once, until the replica is reached again. */
static void report_unreached(const struct store_replicas *replicas, struct replica *replica,
                             const char *why)
{
    char text[400];
    snprintf(text, sizeof text, "%s:%lld: %s", json_string_at(replica->server, "host"),
             (long long)json_integer_value(json_object_get(replica->server, "port")), why);
    if (!replica->said)
        replicas->told(REPLICA_UNREADABLE, text);
    replica->said = true;
}

static void reach_replica(struct store_replicas *replicas, struct replica *replica)
{
    struct fh_error error;
    struct world *world = replicas->primary->world;
    struct store_options options = replicas->options;
    int64_t now_ns = world_monotonic_ns(world);
    if (replica->store || now_ns < replica->tried_ns + OPEN_AGAIN_MS * MS_NS)
        return;
    options.server = replica->server;
    options.replica = true;
    replica->tried_ns = now_ns;
    struct store *store;
    if (replicas->primary->ops->open(&options, world, &store, &error) != FH_OK) {
        report_unreached(replicas, replica, error.message);
        return;
    }
    if (strcmp(store->incarnation, replicas->primary->incarnation) == 0) {
        replica->store = store;
        replica->said = false;
        return;
    }
    report_unreached(replicas, replica, "It is of another store.");
    store_close_alone(store);
}

static void check_replicas(struct store_replicas *replicas)
{
    struct store *primary = replicas->primary;
    const struct sql_dialect *dialect = sql_dialect_of(primary);
    char position[POSITION_SIZE] = "";
    struct fh_error error;
    int64_t began_ns = replicas->began_ns = world_monotonic_ns(primary->world);
    bool gone = query_server(primary, dialect->log_position, NULL, take_log_position, position,
                             &error) != FH_OK;
    if (gone != replicas->primary_gone)
        replicas->told(gone ? PRIMARY_LOST : PRIMARY_BACK, NULL);
    replicas->primary_gone = gone;
    if (!gone && !position[0] && !replicas->said_mute)
        replicas->told(REPLICAS_UNUSABLE, NULL);
    replicas->said_mute = !gone && !position[0];
    for (int i = 0; i < replicas->count && !gone && !replicas->closing; i++) {
        struct replica *replica = &replicas->all[i];
        struct sql_value value = sql_text(position);
        bool reached = false;
        reach_replica(replicas, replica);
        if (replica->store && position[0] &&
            query_server(replica->store, dialect->log_reached, &value, take_reached, &reached,
                         &error) == FH_OK &&
            reached)
            replica->fresh_ns = began_ns;
    }
    replicas->looked_ns = world_monotonic_ns(primary->world);
}

static void check_fiber(void *argument)
{
    struct store_replicas *replicas = argument;
    check_replicas(replicas);
    replicas->looking = false;
    fiber_wake_all(&replicas->lookers);
}

static void start_check(struct store_replicas *replicas)
{
    if (replicas->looking || replicas->closing)
        return;
    replicas->looking = fiber_start(replicas->primary->world->fibers, check_fiber, replicas);
}

/* ---- reading ---- */

/* The next replica in turn that is no older than `age_ns`; NULL: none. */
static struct replica *choose_replica(struct store_replicas *replicas, int64_t now_ns,
                                      int64_t age_ns)
{
    for (int i = 0; i < replicas->count; i++) {
        struct replica *replica = &replicas->all[(replicas->next + i) % replicas->count];
        if (!replica->store || replica->fresh_ns == INT64_MIN ||
            now_ns - replica->fresh_ns > age_ns)
            continue;
        replicas->next = (replicas->next + i + 1) % replicas->count;
        return replica;
    }
    return NULL;
}

static struct replica *youngest_replica(struct store_replicas *replicas)
{
    struct replica *found = NULL;
    for (int i = 0; i < replicas->count; i++) {
        struct replica *replica = &replicas->all[i];
        if (replica->store && replica->fresh_ns != INT64_MIN &&
            (!found || replica->fresh_ns > found->fresh_ns))
            found = replica;
    }
    return found;
}

/* A primary that has not answered for this long may not answer for much longer. */
static bool is_primary_gone(const struct store_replicas *replicas, int64_t now_ns)
{
    return replicas->primary_gone ||
           (replicas->looking && now_ns - replicas->began_ns >= LOOK_WAIT_MS * MS_NS);
}

static void keep_checking(struct store_replicas *replicas)
{
    struct world *world = replicas->primary->world;
    int64_t since_ns = world_monotonic_ns(world) - replicas->looked_ns;
    int64_t wanted_ns = replicas->primary_gone ? GONE_LOOK_MS * MS_NS : replicas->staleness_ns / 3;
    if (since_ns < wanted_ns)
        return;
    start_check(replicas);
    if (since_ns < replicas->staleness_ns || replicas->primary_gone)
        return;
    int64_t until_ns = world_in_ms(world, LOOK_WAIT_MS);
    while (replicas->looking && fiber_wait_until(&replicas->lookers, world, until_ns))
        ;
}

enum fh_code store_begin_anywhere(struct store *store, struct store_work **ret,
                                  struct fh_error *error)
{
    struct store_replicas *replicas = store->replicas;
    if (!replicas)
        return store_begin(store, STORE_READ_COMMITTED, ret, error);
    keep_checking(replicas);
    int64_t now_ns = world_monotonic_ns(store->world), stale_ns = 0;
    struct replica *replica = choose_replica(replicas, now_ns, replicas->staleness_ns);
    if (!replica && is_primary_gone(replicas, now_ns)) {
        replica = youngest_replica(replicas);
        stale_ns = replica ? now_ns - replica->fresh_ns : 0;
    }
    if (!replica)
        return store_begin(store, STORE_READ_COMMITTED, ret, error);
    enum fh_code code = store_begin(replica->store, STORE_READ_COMMITTED, ret, error);
    if (code != FH_OK)
        return replicas->primary_gone ? code : store_begin(store, STORE_READ_COMMITTED, ret, error);
    replicas->reads++;
    (*ret)->stale_ms = stale_ns / MS_NS + (stale_ns % MS_NS != 0);
    return FH_OK;
}

void store_replicas_view(const struct store *store, struct store_replicas_view *ret)
{
    const struct store_replicas *replicas = store->replicas;
    *ret = (struct store_replicas_view){0};
    if (!replicas)
        return;
    int64_t now_ns = world_monotonic_ns(store->world);
    ret->count = replicas->count;
    ret->reads = replicas->reads;
    ret->primary_gone = replicas->primary_gone;
    for (int i = 0; i < replicas->count; i++)
        ret->fresh += replicas->all[i].store && replicas->all[i].fresh_ns != INT64_MIN &&
                      now_ns - replicas->all[i].fresh_ns <= replicas->staleness_ns;
}

/* ---- opening ---- */

/* The primary's configuration with a replica's address. */
static json_t *server_at(const json_t *primary, const json_t *place)
{
    json_t *server = json_deep_copy(primary);
    FH_ASSERT(server != NULL);
    json_object_del(server, "replicas");
    json_object_update(server, (json_t *)(uintptr_t)place);
    return server;
}

enum fh_code store_replicas_open(struct store *store, const struct store_options *options,
                                 store_replicas_told *told, struct fh_error *error)
{
    const json_t *places = json_object_get(options->server, "replicas");
    size_t count = json_array_size(places);
    json_int_t staleness_ms = REPLICA_STALENESS_MS;
    if (count == 0)
        return FH_OK;
    if (!store->engine->sql || !sql_dialect_of(store)->log_position)
        return error_set(error, FH_UNSUPPORTED, "The engine %s has no read replicas.",
                         store->engine->name);
    if (count > REPLICAS_MAX)
        return error_set(error, FH_INVALID, "A store has at most %d replicas.", REPLICAS_MAX);
    json_integer_at(options->server, "staleness_ms", &staleness_ms);
    struct store_replicas *replicas = calloc(1, sizeof *replicas);
    FH_ASSERT(replicas != NULL);
    replicas->primary = store;
    replicas->options = *options;
    replicas->told = told;
    replicas->count = (int)count;
    replicas->staleness_ns = staleness_ms * MS_NS;
    for (size_t i = 0; i < count; i++)
        replicas->all[i] =
            (struct replica){.server = server_at(options->server, json_array_get(places, i)),
                             .fresh_ns = INT64_MIN,
                             .tried_ns = INT64_MIN / 2};
    store->replicas = replicas;
    check_replicas(replicas);
    return FH_OK;
}

static void replicas_close(struct store_replicas *replicas)
{
    if (!replicas)
        return;
    replicas->closing = true;
    while (replicas->looking)
        fiber_wait(&replicas->lookers);
    for (int i = 0; i < replicas->count; i++) {
        if (replicas->all[i].store)
            store_close_alone(replicas->all[i].store);
        json_decref(replicas->all[i].server);
    }
    free(replicas);
}

void store_close(struct store *store)
{
    if (!store)
        return;
    replicas_close(store->replicas);
    store_close_alone(store);
}
