/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Migrations: numbered SQL files beside the service (migration.h), each applied once, in order.
 *
 * Each is applied in one transaction with its row in fh_migration: a death in between leaves it
 * wholly applied or not at all. If the engine can't do that, it is applied statement by statement:
 * migrate_steps.c. It is a STORE_MIGRATE unit of work: of several processes that start together,
 * one applies the next migration while the others wait, and then look again.
 *
 * It is an error if an applied file has changed or is gone, since the store could then not be
 * rebuilt; so is a new file with a lower number. A process of an older version may start beside
 * newer ones, or after one whose upgrade was taken back: migrations newer than all that it knows
 * are no error, because migrations must not break the version before them
 * (docs/operate/migrations.md).
 */

#define _GNU_SOURCE
#include "service/migration.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "base/log.h"
#include "service/runtime.h"
#include "store/ledger.h"

#define MIGRATE_ATTEMPTS_MAX 20 /* while others hold locks on what must change */
#define MIGRATE_PAUSE_MS 500
#define MIGRATE_TOLD_MS 10000 /* between two reports about a long migration */

struct migrate {
    struct store *store;
    struct migrations all;
    int64_t newest_applied;
    int unknown; /* applied by a newer version */
    struct fh_error error;
    const struct migration *at; /* the current one, and since when */
    int64_t at_since_ns;
    struct world_timer tell;
};

/* ---- What is applied ---- */

static bool compare_applied(void *context, int64_t version, const char *name, const char *checksum)
{
    struct migrate *migrate = context;
    const struct migrations *all = &migrate->all;
    struct migration *migration = migrations_find(all, version);
    int64_t newest = all->count ? all->rows[all->count - 1].version : 0;
    /* A folder without any file is more likely a wrong one; where there are several processes, it
     * may be that of a version from before there were migrations. */
    bool knows_any = all->count || engine_can(migrate->store->engine, ENGINE_MANY_INSTANCES);
    if (!migration && version > newest && knows_any) {
        migrate->unknown++;
        return true;
    }
    if (!migration)
        error_set(&migrate->error, FH_INVALID,
                  "The migration %s was applied to this store, and its file is gone.", name);
    else if (strcmp(migration->checksum, checksum) != 0)
        error_set(&migrate->error, FH_INVALID,
                  "The migration %s was applied to this store, and its file has changed since. "
                  "Write a new one instead.",
                  migration->name);
    else
        migration->applied = true;
    if (version > migrate->newest_applied)
        migrate->newest_applied = version;
    return migrate->error.code == FH_OK;
}

/* The next migration to apply, as the store is now; NULL: there is none. */
static enum fh_code find_next(struct migrate *migrate, struct store_work *work,
                              const struct migration **ret, struct fh_error *error)
{
    *ret = NULL;
    for (int i = 0; i < migrate->all.count; i++)
        migrate->all.rows[i].applied = false;
    migrate->unknown = 0;
    migrate->newest_applied = 0;
    enum fh_code code = ledger_migrations_get(work, compare_applied, migrate, error);
    if (code == FH_OK && migrate->error.code != FH_OK) {
        *error = migrate->error;
        code = error->code;
    }
    for (int i = 0; i < migrate->all.count && code == FH_OK && !*ret; i++) {
        if (!migrate->all.rows[i].applied)
            *ret = &migrate->all.rows[i];
    }
    if (*ret && (*ret)->version < migrate->newest_applied)
        code = error_set(error, FH_INVALID,
                         "The migration %s is new, but %" PRId64
                         " was applied already. Give it a higher number.",
                         (*ret)->name, migrate->newest_applied);
    return code;
}

/* ---- Applying ---- */

/* A statement that waits for a lock makes all later ones wait too: so it does not wait long, and is
 * tried again. */
static enum fh_code bound_locks(struct store_work *work, struct fh_error *error)
{
    const struct sql_ops *sql = work->store->engine->sql;
    const char *bound = sql->dialect->bound_locks;
    return bound ? sql->script(work, bound, error) : FH_OK;
}

static enum fh_code run_statements(struct store_work *work, const struct migration *migration,
                                   struct fh_error *error)
{
    const struct sql_dialect *dialect = sql_dialect_of(work->store);
    struct script script = script_begin(migration->sql, dialect);
    struct script_statement statement;
    enum fh_code code = bound_locks(work, error);
    while (code == FH_OK && script_next(&script, &statement)) {
        struct fh_error why = {0};
        code = migrate_statement(work, &statement, false, &why);
        if (code == FH_OK)
            continue;
        if (why.code == FH_CONFLICT && why.retryable) {
            *error = why;
            return code;
        }
        bool alone = strcmp(why.native, "25001") == 0; /* PostgreSQL: not in a transaction */
        /* A full disk may have room at the next start; wrong SQL stays wrong. */
        bool may_pass = code == FH_UNAVAILABLE || code == FH_NO_MEMORY;
        code =
            error_set(error, may_pass ? code : FH_INVALID,
                      "The migration %s failed, nothing of it stands: statement %d, line %d: "
                      "%.110s%s",
                      migration->name, statement.number, statement.line, why.message,
                      alone ? " Put it into a file that begins with \"-- freehold: alone\"." : "");
    }
    return code;
}

static enum fh_code record_migration(struct store_work *work, const struct migration *migration,
                                     struct fh_error *error)
{
    return ledger_migration_put(work, migration->version, migration->name, migration->checksum,
                                world_wall_ms(work->store->world), error);
}

/* Ends the unit of work. */
static enum fh_code apply_whole(struct store_work *work, const struct migration *migration,
                                struct fh_error *error)
{
    CRASH_POINT("migration.begun");
    enum fh_code code = run_statements(work, migration, error);
    if (code == FH_OK) {
        CRASH_POINT("migration.applied");
        code = record_migration(work, migration, error);
    }
    if (code != FH_OK) {
        store_rollback(work);
        return code;
    }
    CRASH_POINT("migration.recorded");
    code = store_commit(work, error);
    CRASH_POINT("migration.durable");
    return code;
}

/* ---- Progress ---- */

static void on_tell(struct world_timer *timer)
{
    struct migrate *migrate = timer->owner;
    struct world *world = migrate->store->world;
    log_info("migration-continued", "migration %s has been under way for %lld s", migrate->at->name,
             (long long)((world_monotonic_ns(world) - migrate->at_since_ns) / 1000000000));
    world_timer_start(world, &migrate->tell, world_in_ms(world, MIGRATE_TOLD_MS));
}

/* All steps of one migration count as one. */
static void watch_migration(struct migrate *migrate, const struct migration *next)
{
    struct world *world = migrate->store->world;
    if (migrate->at != next)
        migrate->at_since_ns = world_monotonic_ns(world);
    migrate->at = next;
    migrate->tell = (struct world_timer){.fire = on_tell, .owner = migrate};
    int64_t told_ms = (world_monotonic_ns(world) - migrate->at_since_ns) / 1000000;
    world_timer_start(world, &migrate->tell,
                      world_in_ms(world, MIGRATE_TOLD_MS - told_ms % MIGRATE_TOLD_MS));
}

/* Applies the next migration, or a step of it. *ret_more: look again. */
static enum fh_code apply_next_migration(struct migrate *migrate, bool *ret_more, bool *ret_applied,
                                         struct fh_error *error)
{
    struct store_work *work;
    const struct migration *next;
    const struct sql_ops *sql = migrate->store->engine->sql;
    *ret_more = *ret_applied = false;
    enum fh_code code = store_begin(migrate->store, STORE_MIGRATE, &work, error);
    if (code != FH_OK)
        return code;
    code = find_next(migrate, work, &next, error);
    if (code != FH_OK || !next) {
        store_rollback(work);
        return code;
    }
    *ret_more = true;
    watch_migration(migrate, next);
    if (sql->schema_commits || (next->alone && sql->outside)) {
        code = migrate_step(work, next, ret_applied, error);
    } else {
        code = apply_whole(work, next, error);
        *ret_applied = code == FH_OK;
    }
    world_timer_stop(migrate->store->world, &migrate->tell);
    if (*ret_applied)
        log_info("migration-applied", "migration %s applied", next->name);
    return code;
}

static enum fh_code apply_new(struct migrate *migrate, int *ret_applied, struct fh_error *error)
{
    struct world *world = migrate->store->world;
    bool more = true, applied;
    int attempts = 0;
    while (more) {
        enum fh_code code = apply_next_migration(migrate, &more, &applied, error);
        *ret_applied += applied;
        bool again = code == FH_CONFLICT && error->retryable;
        if (code != FH_OK && (!again || ++attempts == MIGRATE_ATTEMPTS_MAX))
            return code;
        if (code == FH_OK)
            attempts = 0;
        else
            fiber_sleep_until(world, world_in_ms(world, MIGRATE_PAUSE_MS));
    }
    return FH_OK;
}

/* Most starts find nothing new, and need no lock. */
static enum fh_code look_for_migration(struct migrate *migrate, const struct migration **ret_next,
                                       struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(migrate->store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = find_next(migrate, work, ret_next, error);
    store_rollback(work);
    return code;
}

enum fh_code service_migrate(struct store *store, const char *folder, int *ret_applied,
                             struct fh_error *error)
{
    struct migrate migrate = {.store = store};
    const struct migration *next;
    *ret_applied = 0;
    enum fh_code code = migrations_read(folder, store->engine->name, store->engine->sql->dialect,
                                        &migrate.all, error);
    if (code != FH_OK)
        return code;
    code = look_for_migration(&migrate, &next, error);
    if (code == FH_OK && next)
        code = apply_new(&migrate, ret_applied, error);
    if (code == FH_OK && migrate.unknown > 0)
        log_warning("unknown-migrations-found",
                    "newer versions have applied %d migrations that this one does not know; it "
                    "continues, since they should not break it",
                    migrate.unknown);
    migrations_release(&migrate.all);
    return code;
}

void service_migrations_defer(struct store *store, const char *folder)
{
    struct migrate migrate = {.store = store};
    struct fh_error error = {0};
    const struct migration *next = NULL;
    const char *engine = store->engine->name;
    enum fh_code code =
        migrations_read(folder, engine, store->engine->sql->dialect, &migrate.all, &error);
    if (code == FH_OK) {
        code = look_for_migration(&migrate, &next, &error);
        if (code == FH_OK && next)
            error_set(&error, FH_CONFLICT, "The migration %s is new.", next->name);
        migrations_release(&migrate.all);
    }
    if (error.code != FH_OK)
        log_warning("migrations-deferred",
                    "started again on the schema that this program has served with; upgrade takes "
                    "what the files have: %s",
                    error.message);
}

static bool keep_newest(void *context, int64_t version, const char *name, const char *checksum)
{
    (void)name, (void)checksum;
    *(int64_t *)context = version;
    return true;
}

int64_t service_migrated(struct store *store)
{
    struct store_work *work;
    int64_t newest = 0;
    if (store_begin(store, STORE_READ, &work, ERROR_UNHEEDED) != FH_OK)
        return -1;
    enum fh_code code = ledger_migrations_get(work, keep_newest, &newest, ERROR_UNHEEDED);
    store_rollback(work);
    return code == FH_OK ? newest : -1;
}
