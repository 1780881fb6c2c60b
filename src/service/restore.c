/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The backup's file is an embedded store. First the program's migrations are applied to it, and its
 * derived stores are prepared; a failure up to then has touched nothing else, so the order is given
 * up and the store continues to serve.
 *
 * Embedded: the file gets its new incarnation, and takes the store's place.
 *   1. file: a new incarnation, the backup's among its ancestors, restored_by = the order
 *   2. store.db is renamed to replaced-ID.db, never opened: it may be damaged
 *   3. the file is renamed to store.db
 *
 * On a server: the store itself is filled from the file.
 *   1. the store's contents are backed up into replaced-ID.db
 *   2. store: unfinished = the order       from here on no service opens it
 *   3. store: emptied, filled, read again and compared
 *   4. store: a new incarnation as above, restored_by = the order, unfinished = ""
 *
 * After either, the result is written and the order removed: if a process dies before that, the
 * next one begins at the first step whose marks are missing. Each step can be repeated. The new
 * incarnation is higher than that of the replaced store, which others know.
 */

#include "service/restore.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/crash.h"
#include "base/json.h"
#include "base/log.h"
#include "engine/engines.h"
#include "service/backup.h"
#include "service/carriers.h"
#include "service/fill.h"
#include "store/derived/derived.h"
#include "store/ledger.h"

#define META_SIZE 128
#define AWAITED_MS_MAX 600000 /* to wait for another instance's restore */
#define LOOK_MS 100

struct restoring {
    const fh_service *service;
    const json_t *config;
    struct world *world;
    struct fill_watch watch;
    const char *folder;
    json_t *order;
    const char *id, *file;
    char kept[64]; /* "replaced-ID" */
    bool keeps;    /* there was something to keep */
    struct store *from, *to;
    struct backup_facts facts;
    bool touched; /* the store is no longer what it was */
    struct fh_error error;
};

static void restore_path(const struct restoring *restoring, const char *name, const char *tail,
                         char ret[static 4300])
{
    snprintf(ret, 4300, "%s/%s%s", restoring->folder, name, tail);
}

static bool restored_file_is_there(const struct restoring *restoring, const char *name,
                                   const char *tail)
{
    char path[4300];
    int64_t size;
    restore_path(restoring, name, tail, path);
    return restoring->world->files->size(restoring->world, path, &size) == 0;
}

/* ---- the order and its result ---- */

static enum fh_code order_read(struct restoring *restoring)
{
    char path[4300];
    restore_path(restoring, SERVICE_RESTORE_ORDER, "", path);
    enum fh_code code =
        process_config_read(restoring->world, path, &restoring->order, &restoring->error);
    if (code != FH_OK)
        return code;
    restoring->id = json_string_at(restoring->order, "id");
    restoring->file = json_string_at(restoring->order, "file");
    if (!restoring->id || strlen(restoring->id) >= ID_SIZE || !restoring->file ||
        strchr(restoring->file, '/'))
        return error_set(&restoring->error, FH_INVALID, "%.120s is not an order to restore.", path);
    snprintf(restoring->kept, sizeof restoring->kept, "replaced-%s", restoring->id);
    return FH_OK;
}

static enum fh_code result_write(struct restoring *restoring, const char *why)
{
    struct fh_error error;
    char kept[80];
    snprintf(kept, sizeof kept, "%s.db", restoring->kept);
    json_t *result = json_pack("{s:s, s:s}", "id", restoring->id, "state", why ? "failed" : "done");
    if (why) {
        json_object_set_new(result, "error", json_string(why));
    } else {
        json_object_set_new(result, "incarnation", json_string(restoring->facts.incarnation));
        json_object_set_new(result, "position", json_integer(restoring->facts.position));
    }
    json_object_set_new(result, "kept", restoring->keeps ? json_string(kept) : json_null());
    enum fh_code code =
        process_write(restoring->world, restoring->folder, SERVICE_RESTORE_RESULT, result, &error);
    json_decref(result);
    if (code != FH_OK)
        restoring->error = error;
    return code;
}

/* Nothing is left to do: neither the file nor the order is needed. */
static enum fh_code order_end(struct restoring *restoring)
{
    char path[4300];
    restore_path(restoring, SERVICE_RESTORE_ORDER, "", path);
    CRASH_POINT("restore.told");
    service_backup_remove(restoring->world, restoring->folder, restoring->file);
    int failed = restoring->world->files->remove(restoring->world, path);
    CRASH_POINT("restore.ended");
    return failed ? error_set_errno(&restoring->error, FH_UNAVAILABLE, failed,
                                    "%.150s can't be removed", path)
                  : FH_OK;
}

/* ---- the file ---- */

static enum fh_code open_restored_file(struct restoring *restoring)
{
    struct fh_error *error = &restoring->error;
    if (!restored_file_is_there(restoring, restoring->file, ".db"))
        return error_set(error, FH_INVALID, "The backup's file is gone from the service's folder.");
    enum fh_code code = service_backup_open(restoring->service, restoring->folder, restoring->file,
                                            restoring->world, &restoring->from, error);
    if (code == FH_OK)
        code = service_store_prepare(restoring->service, restoring->from,
                                     json_string_at(restoring->config, "migrations"), error);
    if (code != FH_OK)
        return code;
    return derived_prepare(restoring->from, restoring->service,
                           carriers_declared(restoring->service, restoring->config), error);
}

static enum fh_code close_backup_file(struct restoring *restoring)
{
    struct fh_error error;
    if (!restoring->from)
        return FH_OK;
    enum fh_code code =
        service_backup_close(restoring->from, restoring->folder, restoring->file, &error);
    restoring->from = NULL;
    if (code != FH_OK)
        restoring->error = error;
    return code;
}

/* ---- a store's marks ---- */

struct marks {
    char restored[META_SIZE], unfinished[META_SIZE], moved[META_SIZE];
};

static enum fh_code read_restore_marks(struct restoring *restoring, struct store *store,
                                       struct marks *ret)
{
    struct store_work *work;
    struct fh_error *error = &restoring->error;
    *ret = (struct marks){0};
    enum fh_code code = store_begin(store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = ledger_meta_get(work, LEDGER_RESTORED, ret->restored, META_SIZE, error);
    if (code == FH_OK)
        code = ledger_meta_get(work, LEDGER_UNFINISHED, ret->unfinished, META_SIZE, error);
    if (code == FH_OK)
        code = ledger_meta_get(work, LEDGER_MOVED, ret->moved, META_SIZE, error);
    if (code == FH_OK)
        code =
            ledger_meta_get(work, LEDGER_INCARNATION, restoring->facts.incarnation, ID_SIZE, error);
    if (code == FH_OK)
        code = ledger_position(work, &restoring->facts.position, error);
    store_rollback(work);
    return code;
}

/* Makes `to`, read from the backup, a store of its own. */
static enum fh_code become_store(struct restoring *restoring, struct store *to, const char *above)
{
    struct marks marks;
    const struct store_mark said[] = {{LEDGER_RESTORED, restoring->id},
                                      {LEDGER_UNFINISHED, ""},
                                      {LEDGER_MOVING, ""},
                                      {LEDGER_MOVED, ""}};
    struct store_becoming becoming = {.marks = said,
                                      .count = sizeof said / sizeof said[0],
                                      .renew = true,
                                      .restored = true,
                                      .above = above};
    enum fh_code code = service_store_become(restoring->from, to, &becoming, &restoring->error);
    return code == FH_OK ? read_restore_marks(restoring, to, &marks) : code;
}

/* ---- embedded ---- */

static enum fh_code renew_file(struct restoring *restoring)
{
    struct marks marks;
    enum fh_code code = open_restored_file(restoring);
    if (code == FH_OK)
        code = read_restore_marks(restoring, restoring->from, &marks);
    if (code == FH_OK && strcmp(marks.restored, restoring->id) != 0)
        code =
            become_store(restoring, restoring->from, json_string_at(restoring->order, "replaces"));
    enum fh_code closed = close_backup_file(restoring);
    return code == FH_OK ? closed : code;
}

static enum fh_code rename_file(struct restoring *restoring, const char *from, const char *to,
                                const char *tail, bool *ret_done)
{
    char old[4300], fresh[4300];
    restore_path(restoring, from, tail, old);
    restore_path(restoring, to, tail, fresh);
    int failed = restoring->world->files->rename(restoring->world, old, fresh);
    *ret_done = failed == 0;
    if (failed && failed != ENOENT)
        return error_set_errno(&restoring->error, FH_UNAVAILABLE, failed,
                               "%.80s can't be renamed to %.80s", old, fresh);
    return FH_OK;
}

static enum fh_code sync_folder(struct restoring *restoring)
{
    int failed = restoring->world->files->sync_folder(restoring->world, restoring->folder);
    return failed ? error_set_errno(&restoring->error, FH_UNAVAILABLE, failed,
                                    "The folder %.120s can't be synced", restoring->folder)
                  : FH_OK;
}

/* The write-ahead log moves with its store; the shared-memory file is removed. */
static enum fh_code swap_stores(struct restoring *restoring)
{
    char beside[4300];
    bool done;
    restoring->keeps = restored_file_is_there(restoring, "store", ".db") ||
                       restored_file_is_there(restoring, restoring->kept, ".db");
    enum fh_code code = result_write(restoring, NULL);
    restoring->touched = true;
    CRASH_POINT("restore.renewed");
    if (code == FH_OK)
        code = rename_file(restoring, "store", restoring->kept, ".db", &done);
    CRASH_POINT("restore.parted");
    if (code == FH_OK)
        code = rename_file(restoring, "store", restoring->kept, ".db-wal", &done);
    restore_path(restoring, "store", ".db-shm", beside);
    restoring->world->files->remove(restoring->world, beside);
    if (code == FH_OK)
        code = sync_folder(restoring);
    CRASH_POINT("restore.aside");
    if (code == FH_OK)
        code = rename_file(restoring, restoring->file, "store", ".db", &done);
    if (code == FH_OK)
        code = sync_folder(restoring);
    CRASH_POINT("restore.placed");
    return code;
}

static enum fh_code restore_embedded(struct restoring *restoring)
{
    char path[4300];
    int lock;
    struct world *world = restoring->world;
    if (!restored_file_is_there(restoring, restoring->file, ".db") &&
        restored_file_is_there(restoring, "store", ".db"))
        return FH_OK; /* it is in place */
    restoring->touched = restored_file_is_there(restoring, restoring->kept, ".db");
    restore_path(restoring, "store", ".lock", path);
    int failed = world->files->lock(world, path, &lock);
    if (failed)
        return error_set_errno(&restoring->error, FH_UNAVAILABLE, failed,
                               "The store is in use by another process (%.120s)", path);
    enum fh_code code = renew_file(restoring);
    if (code == FH_OK)
        code = swap_stores(restoring);
    world->files->unlock(world, lock);
    return code;
}

/* ---- on a server ---- */

static enum fh_code mark_restored(struct restoring *restoring, const char *name, const char *value)
{
    struct store_work *work;
    enum fh_code code = store_begin(restoring->to, STORE_WRITE_EXCLUSIVE, &work, &restoring->error);
    if (code != FH_OK)
        return code;
    code = ledger_meta_put(work, name, value, &restoring->error);
    if (code == FH_OK)
        return store_commit(work, &restoring->error);
    store_rollback(work);
    return code;
}

static enum fh_code keep_former(struct restoring *restoring)
{
    struct store_watch watch = {0};
    struct backup_facts facts;
    bool used;
    enum fh_code code =
        service_store_used(restoring->service, restoring->to, &used, &restoring->error);
    restoring->keeps = used;
    if (code == FH_OK && used)
        code =
            service_backup(restoring->service, restoring->config, restoring->to, restoring->folder,
                           restoring->kept, &watch, &facts, &restoring->error);
    return code;
}

static enum fh_code fill_store(struct restoring *restoring)
{
    struct copy_result result;
    struct copy_options options = {.from = restoring->from,
                                   .to = restoring->to,
                                   .told = fill_told,
                                   .context = &restoring->watch};
    struct fh_error *error = &restoring->error;
    enum fh_code code = service_store_prepare(
        restoring->service, restoring->to, json_string_at(restoring->config, "migrations"), error);
    return code == FH_OK ? service_store_copy(restoring->service, &options, &result, error) : code;
}

static enum fh_code restore_into(struct restoring *restoring, const struct marks *marks)
{
    char order[META_SIZE], above[ID_SIZE];
    snprintf(order, sizeof order, "restore %s", restoring->id);
    snprintf(above, sizeof above, "%s", restoring->to->incarnation);
    bool begun = strcmp(marks->unfinished, order) == 0;
    enum fh_code code = open_restored_file(restoring);
    if (code == FH_OK && !marks->unfinished[0])
        code = keep_former(restoring);
    CRASH_POINT("restore.kept");
    if (code == FH_OK && !begun)
        code = mark_restored(restoring, LEDGER_UNFINISHED, order);
    CRASH_POINT("restore.marked");
    if (code != FH_OK)
        return code;
    restoring->touched = true;
    restoring->keeps |= restored_file_is_there(restoring, restoring->kept, ".db");
    code = fill_store(restoring);
    CRASH_POINT("restore.filled");
    if (code == FH_OK)
        code = become_store(restoring, restoring->to, above);
    CRASH_POINT("restore.whole");
    return code;
}

/* After a failure: true if the store can't be reached, so it can't serve either and the next start
 * tries again; false if the backup's file or the folder's disk failed. */
static bool store_is_gone(struct restoring *restoring)
{
    struct marks marks;
    struct fh_error why = restoring->error;
    bool gone = read_restore_marks(restoring, restoring->to, &marks) != FH_OK;
    restoring->error = why;
    return gone;
}

static enum fh_code restore_server(struct restoring *restoring)
{
    struct marks marks;
    struct fh_error *error = &restoring->error;
    enum fh_code code = service_store_open(restoring->service, restoring->config, restoring->world,
                                           &restoring->to, error);
    if (code == FH_OK)
        code = read_restore_marks(restoring, restoring->to, &marks);
    if (code != FH_OK) {
        restoring->touched = true; /* the store can't be reached: it can't serve either */
        return code;
    }
    restoring->touched = marks.unfinished[0] != '\0';
    restoring->keeps = restored_file_is_there(restoring, restoring->kept, ".db");
    if (strcmp(marks.restored, restoring->id) != 0)
        code = restore_into(restoring, &marks);
    if (code == FH_OK)
        return result_write(restoring, NULL);
    restoring->touched |= store_is_gone(restoring);
    return code;
}

/* ---- inside a service that starts ---- */

static void restore_turn(struct world_turn *turn)
{
    fiber_ready(turn->owner);
}

static void close_restored_stores(struct restoring *restoring)
{
    struct world_turn turn = {.run = restore_turn, .owner = fiber_self()};
    struct fh_error before = restoring->error;
    close_backup_file(restoring);
    restoring->error = before;
    if (!restoring->to)
        return;
    world_turn(restoring->world, &turn);
    fiber_park();
    store_close(restoring->to);
}

/* If the store was not touched, it serves; otherwise the order stays, for the next start. */
static enum fh_code give_restore_up(struct restoring *restoring)
{
    struct fh_error why = restoring->error;
    log_error("restore-failed", "the backup can't be restored: %s", why.message);
    enum fh_code code = result_write(restoring, why.message);
    if (code == FH_OK && !restoring->touched)
        return order_end(restoring);
    restoring->error = why;
    return why.code;
}

/* Of several instances the first one restores. */
static enum fh_code await_first_restorer(struct restoring *restoring)
{
    struct world *world = restoring->world;
    int64_t until = world_in_ms(world, AWAITED_MS_MAX);
    while (restored_file_is_there(restoring, SERVICE_RESTORE_ORDER, "")) {
        if (world_monotonic_ns(world) >= until)
            return error_set(&restoring->error, FH_UNAVAILABLE,
                             "The first instance is restoring the store.");
        fiber_sleep_until(world, world_in_ms(world, LOOK_MS));
    }
    return FH_OK;
}

static enum fh_code restore_store(struct restoring *restoring)
{
    const char *instance = json_string_at(restoring->config, "instance");
    if (instance && strcmp(instance, "0") != 0)
        return await_first_restorer(restoring);
    enum fh_code code = order_read(restoring);
    if (code != FH_OK)
        return code;
    CRASH_POINT("restore.ordered");
    const struct engine *engine = engine_named(json_string_at(restoring->config, "engine"));
    code = engine->server ? restore_server(restoring) : restore_embedded(restoring);
    close_restored_stores(restoring);
    if (code != FH_OK)
        return give_restore_up(restoring);
    log_info("store-restored",
             "the store was restored from a backup: up to position %" PRId64 ", incarnation %s",
             restoring->facts.position, restoring->facts.incarnation);
    return order_end(restoring);
}

enum fh_code service_store_restore(const fh_service *service, const json_t *config,
                                   struct world *world, const struct move_watch *watch,
                                   struct fh_error *error)
{
    struct restoring restoring = {.service = service,
                                  .config = config,
                                  .world = world,
                                  .watch = {world, watch, "restoring", 0, 0},
                                  .folder = json_string_at(config, "folder")};
    if (!restoring.folder || !restored_file_is_there(&restoring, SERVICE_RESTORE_ORDER, ""))
        return FH_OK;
    enum fh_code code = restore_store(&restoring);
    if (code != FH_OK)
        *error = restoring.error;
    json_decref(restoring.order);
    return code;
}
