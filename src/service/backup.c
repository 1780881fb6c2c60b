/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An embedded store is copied page by page in the pool. A server's is copied row by row into an
 * embedded one, as by a move, from the server's own snapshot. Writers are held off only until that
 * snapshot exists, so that every event in it has its position; if an engine has no snapshot, they
 * are held off until the copy has ended.
 *
 * The word "done" in SERVICE_BACKUP_STATUS, written after the file, says that the file is complete.
 * If a process dies before, the next backup removes its file.
 */

#include "service/backup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/json.h"
#include "base/log.h"
#include "engine/engines.h"
#include "service/exchange.h"
#include "service/fill.h"
#include "store/ledger.h"

#define TOLD_MS 500 /* between two progress reports */
#define ATTEMPTS_MAX 3

/* ---- the file ---- */

void service_backup_remove(struct world *world, const char *folder, const char *name)
{
    static const char *const tails[] = {".db", ".db-wal", ".db-shm", ".db-journal", ".lock"};
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        char path[4300];
        snprintf(path, sizeof path, "%s/%s%s", folder, name, tails[i]);
        world->files->remove(world, path);
    }
}

enum fh_code service_backup_open(const fh_service *service, const char *folder, const char *name,
                                 struct world *world, struct store **ret, struct fh_error *error)
{
    struct store_options options = {
        .service = service->name, .folder = folder, .name = name, .model = service->model};
    return engine_embedded()->store->open(&options, world, ret, error);
}

static void backup_turn(struct world_turn *turn)
{
    fiber_ready(turn->owner);
}

enum fh_code service_backup_close(struct store *store, const char *folder, const char *name,
                                  struct fh_error *error)
{
    static const char *const beside[] = {".db-wal", ".db-shm", ".lock"};
    struct world *world = store->world;
    struct world_turn turn = {.run = backup_turn, .owner = fiber_self()};
    int64_t size = 0;
    char path[4300];
    world_turn(world, &turn); /* the loop must turn once before a used store is closed */
    fiber_park();
    store_close(store);
    snprintf(path, sizeof path, "%s/%s.db-wal", folder, name);
    if (world->files->size(world, path, &size) == 0 && size > 0)
        return error_set(error, FH_UNAVAILABLE,
                         "%s/%s.db could not be written whole: is the disk full?", folder, name);
    for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++) {
        snprintf(path, sizeof path, "%s/%s%s", folder, name, beside[i]);
        world->files->remove(world, path);
    }
    return FH_OK;
}

/* ---- what it holds ---- */

static bool see_newest_migration(void *context, int64_t version, const char *name,
                                 const char *checksum)
{
    (void)name;
    (void)checksum;
    *(int64_t *)context = version;
    return true;
}

static enum fh_code facts_read(struct store *copy, struct backup_facts *ret, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(copy, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code =
        ledger_meta_get(work, LEDGER_INCARNATION, ret->incarnation, sizeof ret->incarnation, error);
    if (code == FH_OK)
        code = ledger_position(work, &ret->position, error);
    if (code == FH_OK)
        code = ledger_migrations_get(work, see_newest_migration, &ret->migration, error);
    store_rollback(work);
    return code;
}

/* ---- row by row ---- */

struct rows {
    struct store *store; /* the one that is held */
    struct store_watch *watch;
    int64_t own; /* rows written, of the service's own data */
};

static void snapshot_began(void *context)
{
    struct rows *rows = context;
    enum fh_code code = store_release(rows->store, ERROR_UNHEEDED);
    (void)code; /* the snapshot stands, whoever writes */
}

static bool backup_is_stopped(void *context)
{
    const struct rows *rows = context;
    return rows->watch->stop;
}

static void copy_progressed(void *context, const struct copy_step *step)
{
    struct rows *rows = context;
    if (!step->again && strncmp(step->course.of, "fh_", strlen("fh_")) != 0)
        rows->own += step->count;
    rows->watch->rows = rows->own;
    rows->watch->done = step->course.done;
    rows->watch->total = step->course.total;
}

static enum fh_code copy_store_rows(const fh_service *service, const json_t *config,
                                    struct store *store, struct store *copy,
                                    struct store_watch *watch, struct fh_error *error)
{
    struct rows rows = {.store = store, .watch = watch};
    struct store_becoming becoming = {0};
    struct copy_result result;
    struct copy_options options = {.from = store,
                                   .to = copy,
                                   .began = snapshot_began,
                                   .stopped = backup_is_stopped,
                                   .told = copy_progressed,
                                   .context = &rows};
    enum fh_code code =
        service_store_prepare(service, copy, json_string_at(config, "migrations"), error);
    if (code == FH_OK)
        code = store_hold(store, error);
    if (code != FH_OK)
        return code;
    code = service_store_copy(service, &options, &result, error);
    struct fh_error why = {0};
    if (store_release(store, &why) != FH_OK) { /* whatever the copy has met comes of that */
        *error = why;
        return why.code;
    }
    return code == FH_OK ? service_store_become(store, copy, &becoming, error) : code;
}

static enum fh_code backup_rows(const fh_service *service, const json_t *config,
                                struct store *store, const char *folder, const char *name,
                                struct store_watch *watch, struct backup_facts *ret,
                                struct fh_error *error)
{
    struct store *copy;
    struct fh_error why;
    enum fh_code code = service_backup_open(service, folder, name, store->world, &copy, error);
    if (code != FH_OK)
        return code;
    code = copy_store_rows(service, config, store, copy, watch, error);
    if (code == FH_OK)
        code = facts_read(copy, ret, error);
    enum fh_code closed = service_backup_close(copy, folder, name, &why);
    if (code != FH_OK || closed == FH_OK)
        return code;
    *error = why;
    return closed;
}

/* ---- page by page ---- */

static enum fh_code backup_file(const fh_service *service, struct store *store, const char *folder,
                                const char *name, struct store_watch *watch,
                                struct backup_facts *ret, struct fh_error *error)
{
    struct store *copy;
    char path[4300];
    snprintf(path, sizeof path, "%s/%s.db", folder, name);
    enum fh_code code = store->ops->copy_file(store, path, watch, error);
    if (code == FH_OK)
        code = service_backup_open(service, folder, name, store->world, &copy, error);
    if (code != FH_OK)
        return code;
    code = facts_read(copy, ret, error);
    enum fh_code closed = service_backup_close(copy, folder, name, code == FH_OK ? error : NULL);
    return code == FH_OK ? closed : code;
}

/* A server may end a snapshot that it thinks abandoned; or writers did not end for a while. */
static bool copy_failure_may_pass(enum fh_code code, const struct fh_error *error)
{
    return code == FH_UNAVAILABLE || (code == FH_CONFLICT && error->retryable);
}

enum fh_code service_backup(const fh_service *service, const json_t *config, struct store *store,
                            const char *folder, const char *name, struct store_watch *watch,
                            struct backup_facts *ret, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (int i = 0; i < ATTEMPTS_MAX; i++) {
        *ret = (struct backup_facts){0};
        service_backup_remove(store->world, folder, name);
        CRASH_POINT("backup.begun");
        code = store->ops->copy_file
                   ? backup_file(service, store, folder, name, watch, ret, error)
                   : backup_rows(service, config, store, folder, name, watch, ret, error);
        if (code == FH_OK || watch->stop || !copy_failure_may_pass(code, error))
            break;
    }
    CRASH_POINT("backup.copied");
    ret->rows = watch->rows;
    if (code != FH_OK)
        service_backup_remove(store->world, folder, name);
    return code;
}

/* ---- while the service serves ---- */

struct backup {
    struct runtime *runtime;
    char id[ID_SIZE];
    int64_t taken_ms;
    struct store_watch watch;
    struct backup_facts facts;
    bool ended;
    struct fh_error error; /* FH_OK: it is complete */
    struct fiber_queue sleep;
    json_t *status;         /* being written */
    struct fh_error untold; /* FH_OK: it was written */
    const char *folder;
};

/* A simulated process has no number, and must write the same in each run of a seed. */
static int process_of(const struct backup *backup)
{
    return backup->runtime->world->vfs ? 0 : (int)getpid();
}

static json_t *backup_status(const struct backup *backup)
{
    bool failed = backup->ended && backup->error.code != FH_OK;
    int64_t total = backup->watch.total;
    json_t *status = json_pack(
        "{s:s, s:i, s:s, s:I, s:I, s:s}", "id", backup->id, "pid", process_of(backup), "state",
        !backup->ended ? "copying"
        : failed       ? "failed"
                       : "done",
        "done", (json_int_t)backup->watch.done, "total", (json_int_t)total, "unit",
        backup->runtime->context.store->ops->copy_file ? "pages" : "rows");
    if (failed)
        json_object_set_new(status, "error", json_string(backup->error.message));
    if (!backup->ended || failed)
        return status;
    const struct backup_facts *facts = &backup->facts;
    json_t *more =
        json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "engine", backup->runtime->engine,
                  "incarnation", facts->incarnation, "position", (json_int_t)facts->position,
                  "taken_ms", (json_int_t)backup->taken_ms, "migration",
                  (json_int_t)facts->migration, "rows", (json_int_t)facts->rows);
    json_object_update(status, more);
    json_decref(more);
    return status;
}

/* The last one is synced with its folder, so that a loss of power does not take it back. */
static enum fh_code replace_status(struct backup *backup, struct world *world)
{
    enum fh_code code = process_write(world, backup->folder, SERVICE_BACKUP_STATUS, backup->status,
                                      &backup->untold);
    int failed =
        code == FH_OK && backup->ended ? world->files->sync_folder(world, backup->folder) : 0;
    return failed ? error_set_errno(&backup->untold, FH_UNAVAILABLE, failed,
                                    "The folder %s can't be synced", backup->folder)
                  : code;
}

/* On a full disk, removing the last status makes space for the final one, which somebody waits
 * for. */
static void write_status(void *owner)
{
    struct backup *backup = owner;
    struct world *world = backup->runtime->world;
    char path[4300];
    for (int i = 0; i < 2; i++) {
        backup->untold = (struct fh_error){0};
        if (replace_status(backup, world) == FH_OK)
            return;
        snprintf(path, sizeof path, "%s/" SERVICE_BACKUP_STATUS, backup->folder);
        world->files->remove(world, path);
    }
    log_warning("backup-status-unsaved", "the backup's status could not be stored: %s",
                backup->untold.message);
}

static void tell_status(struct backup *backup)
{
    struct arena *arena = json_arena_set(NULL);
    backup->status = backup_status(backup);
    world_blocking(backup->runtime->world, write_status, backup);
    json_decref(backup->status);
    json_arena_set(arena);
}

/* Reports progress until the backup has ended, and ends it early if the process is ending. */
static void tell_until_ended(struct backup *backup)
{
    struct runtime *runtime = backup->runtime;
    while (!backup->ended) {
        tell_status(backup);
        backup->watch.stop = runtime->phase == RUNTIME_DRAINING;
        if (!backup->ended)
            fiber_wait_until(&backup->sleep, runtime->world, world_in_ms(runtime->world, TOLD_MS));
    }
    tell_status(backup);
    if (backup->error.code == FH_OK)
        log_info("backup-finished", "backed up: %" PRId64 " rows, up to position %" PRId64,
                 backup->facts.rows, backup->facts.position);
    else
        log_warning("backup-failed", "the backup failed: %s", backup->error.message);
}

static void run_backup_reports(void *argument)
{
    struct backup *backup = argument;
    tell_until_ended(backup);
    backup->runtime->backup = NULL;
    free(backup);
}

static void make_backup(void *argument)
{
    struct backup *backup = argument;
    struct runtime *runtime = backup->runtime;
    struct fh_error error = {0};
    if (service_backup(runtime->service, runtime->config, runtime->context.store, backup->folder,
                       SERVICE_BACKUP_NAME, &backup->watch, &backup->facts, &error) != FH_OK)
        backup->error = error;
    backup->ended = true;
    fiber_wake_all(&backup->sleep);
}

static struct backup *begin_backup(struct runtime *runtime)
{
    unsigned char random[10];
    struct backup *backup = calloc(1, sizeof *backup);
    FH_ASSERT(backup != NULL);
    backup->runtime = runtime;
    backup->folder = json_string_at(runtime->config, "folder");
    backup->taken_ms = world_wall_ms(runtime->world);
    world_random(runtime->world, random, sizeof random);
    id_format(backup->id, backup->taken_ms, random);
    return backup;
}

void backup_answer(struct runtime *runtime, struct exchange *exchange)
{
    if (runtime->backup || runtime->phase != RUNTIME_READY) {
        exchange_problem(exchange, PROBLEM_OPERATION_CONFLICTED,
                         runtime->backup ? "A backup of this store is being made already."
                                         : "The service is starting or ending; ask when it is up.");
        return;
    }
    struct backup *backup = runtime->backup = begin_backup(runtime);
    char body[ID_SIZE + 16];
    int length = snprintf(body, sizeof body, "{\"id\":\"%s\"}", backup->id);
    tell_status(backup); /* so that nobody reads the previous status */
    if (backup->untold.code != FH_OK) {
        exchange_problem(exchange, PROBLEM_DEPENDENCY_UNAVAILABLE, backup->untold.message);
        runtime->backup = NULL;
        free(backup);
        return;
    }
    if (!fiber_start(runtime->world->fibers, make_backup, backup)) {
        error_set(&backup->error, FH_UNAVAILABLE, "The service has too much to do now.");
        backup->ended = true;
    }
    if (!fiber_start(runtime->world->fibers, run_backup_reports, backup))
        world_fatal(runtime->world, "no fiber to report a backup on");
    exchange_answer(exchange, 200, NULL, body, (size_t)length, NULL, 0);
}

/* ---- while it does not serve ---- */

enum fh_code backup_alone(struct runtime *runtime, json_t *result, struct fh_error *error)
{
    struct backup *backup = begin_backup(runtime);
    if (fiber_start(runtime->world->fibers, make_backup, backup)) {
        tell_until_ended(backup);
    } else {
        error_set(&backup->error, FH_NO_MEMORY, "No memory for a fiber.");
        backup->ended = true;
    }
    enum fh_code code = backup->error.code;
    if (code == FH_OK)
        json_object_set_new(result, "backup", backup_status(backup));
    else
        *error = backup->error;
    free(backup);
    return code;
}
