/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PostgreSQL engine: a store is a database, or a schema in one, shared by several instances of
 * the service. What each file does: internal.h.
 *
 * Opening waits for a server that is starting, checks its version and settings, and creates the
 * ledger's tables under the migration lock, so that ten instances may start at once.
 */

#include <stdio.h>
#include <stdlib.h>

#include "store/relational/ledger.h"
#include "store/relational/ledger_sql.h"
#include "engine/postgresql/beside.h"
#include "engine/postgresql/gather.h"

static bool see_notified(void *context, const struct sql_row *row)
{
    (void)context, (void)row;
    return true;
}

static enum fh_code postgresql_notify_others(struct store *store, struct fh_error *error)
{
    return postgresql_run_alone(store,
                                "SELECT pg_notify('" POSTGRESQL_CHANNEL "', current_schema())",
                                NULL, 0, see_notified, NULL, error);
}

static const struct sql_ops postgresql_sql = {
    .dialect = &postgresql_dialect,
    .list_format = "(?%d[])", /* see statement.c */
    .run = postgresql_run,
    .script = postgresql_script,
    .patient = postgresql_patient,
    .outside = postgresql_outside,
    .append = postgresql_append,
    .report = postgresql_report,
    .report_fits = postgresql_report_fits,
    .report_rights = postgresql_report_rights,
    .report_try = postgresql_report_try,
    .notify_others = postgresql_notify_others,
    .conflicts_by_page = true,
};

static void turn_sync(struct world_turn *turn)
{
    struct postgresql_connection *reader = turn->owner;
    struct postgresql_store *store = reader->store;
    if (store->closing)
        postgresql_leave(store);
    else
        postgresql_sync(reader);
}

static void turn_gather(struct world_turn *turn)
{
    struct postgresql_store *store = turn->owner;
    if (store->closing)
        postgresql_leave(store);
    else
        postgresql_gathered(store);
}

static void connection_init(struct postgresql_connection *connection,
                            struct postgresql_store *store)
{
    connection->store = store;
    connection->turn = (struct world_turn){.run = turn_sync, .owner = connection};
    postgresql_pipeline_init(connection);
}

/* Two connections open at once with the same backend: a pooler assigns each transaction whichever
 * backend is free, so settings, prepared statements and locks would end up in another's session. */
static enum fh_code sessions_check(const struct postgresql_store *store, struct fh_error *error)
{
    if (store->works[0].state != CONNECTION_UP ||
        store->works[0].backend != store->sequence.backend)
        return FH_OK;
    return error_set(error, FH_UNSUPPORTED,
                     "A pooler between the service and the store's server gives its connections no "
                     "sessions of their own: PgBouncer needs pool_mode=session.");
}

/* A replica has its primary's tables, sooner or later. */
static enum fh_code postgresql_read_incarnation(struct postgresql_store *store,
                                                struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(&store->base, STORE_READ_COMMITTED, &work, error);
    if (code != FH_OK)
        return code;
    code = ledger_meta_get(work, LEDGER_INCARNATION, store->base.incarnation, ID_SIZE, error);
    store_rollback(work);
    return code;
}

/* Opens the store's own server: waits for it, provisions it, and listens to it. */
static enum fh_code open_own(struct postgresql_store *store, struct fh_error *error)
{
    enum fh_code code = postgresql_connect_first(&store->works[0], POSTGRESQL_OPEN_WAIT_MS, error);
    if (code == FH_OK)
        code = postgresql_connect_shared(&store->sequence, error);
    if (code == FH_OK)
        code = sessions_check(store, error);
    if (code == FH_OK)
        code = store_provision(&store->base, STORE_MIGRATE, error);
    if (code == FH_OK)
        code = postgresql_opening_new(store, error);
    if (code == FH_OK && !postgresql_listening_start(store))
        code = error_set(error, FH_UNAVAILABLE, "The process runs too many fibers.");
    return code;
}

static enum fh_code postgresql_open(const struct store_options *options, struct world *world,
                                    struct store **ret, struct fh_error *error)
{
    struct postgresql_store *store = calloc(1, sizeof *store);
    FH_ASSERT(store != NULL);
    *ret = NULL;
    store_init(&store->base, &engine_postgresql, options, world);
    store->replica = options->replica;
    snprintf(store->application, sizeof store->application, "freehold %.40s/%.10s",
             options->service, store->base.instance);
    enum fh_code code = postgresql_load(error);
    if (code == FH_OK)
        code = postgresql_options_read(options->server, &store->options, error);
    if (code != FH_OK) {
        free(store);
        return code;
    }
    store->works = calloc((size_t)store->options.connections, sizeof *store->works);
    FH_ASSERT(store->works != NULL);
    for (int i = 0; i < store->options.connections; i++)
        connection_init(&store->works[i], store);
    for (int i = 0; i < POSTGRESQL_READERS; i++) {
        connection_init(&store->readers[i], store);
        store->readers[i].read_only = true;
    }
    connection_init(&store->sequence, store);
    store->turns.wait_ms = POSTGRESQL_TURN_WAIT_MS;
    store->gather.wait_ms = POSTGRESQL_GATHER_WAIT_MS;
    store->gather.slow_ms = POSTGRESQL_GATHER_SLOW_MS;
    store->gather.turn = (struct world_turn){.run = turn_gather, .owner = store};
    store->gather.end = &store->gather.first;
    store->sequence.listens = true;
    map_init(&store->statements.by_text);
    code = options->beside ? postgresql_beside_enter(store, options->beside, error) : FH_OK;
    if (code == FH_OK)
        code =
            options->replica ? postgresql_read_incarnation(store, error) : open_own(store, error);
    if (code != FH_OK) {
        postgresql_close(&store->base);
        return code;
    }
    *ret = &store->base;
    return FH_OK;
}

static enum fh_code postgresql_sequence(struct store *store, struct store_placed *placed, int count,
                                        struct fh_error *error)
{
    struct postgresql_store *own = (struct postgresql_store *)store;
    postgresql_opening_keep(own);
    own->sequencing++;
    enum fh_code code = ledger_sequence(store, postgresql_run_alone, placed, count, error);
    own->sequencing--;
    own->sequenced++;
    postgresql_gather_look(own);
    return code;
}

static const struct store_ops postgresql_store = {
    .load = postgresql_load,
    .open = postgresql_open,
    .close = postgresql_close,
    .begin = postgresql_begin,
    .commit = postgresql_commit,
    .rollback = postgresql_rollback,
    .member_ended = postgresql_member_ended,
    .sequence = postgresql_sequence,
    .clock = ledger_clock,
};

const struct engine engine_postgresql = {
    .name = "postgresql",
    .title = "PostgreSQL",
    .abilities =
        ENGINE_MANY_INSTANCES | ENGINE_GUARDED | ENGINE_GROUPED | ENGINE_NOTIFIES | ENGINE_DEFERS,
    .models = 1u << FH_RELATIONAL,
    .store = &postgresql_store,
    .ledger = &ledger_relational,
    .sql = &postgresql_sql,
    .beside = &postgresql_beside,
    .server = &server_postgresql,
};
