/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Of the former store the new one takes what it is to others: the outbox, each key's last position,
 * how far the subscribers are, the sagas and the incarnation. To them it is the same one: no event
 * is lost, none comes twice, and sagas go on. Rows, cursors and resyncs are its own, and derived
 * stores on servers are made anew of these.
 *
 * What follows from an event happens once. In the new store it was held back for every event that
 * was applied, so the former one must have applied all of these; and those that it has applied
 * besides, while the new one was no longer filled, are applied with all that held back, too
 * (REPLAY_REBUILT). Where that does not hold, or the former store has something that no event
 * brings, it stays.
 *
 *   killed before the one transaction is durable   the next process does it again, and the next
 *                                                  `up` takes the former store back
 *   killed after it, before that is removed        the same: the new one has not served yet
 *   killed after that                              the service is on the new store
 *
 * `up` removes the former store of a service that does not publish, later: once it is ready
 * (system/supervise/rebuild.c). For one that does that would be too late. What it published on the
 * new store others may have by then, and the former one would publish it again, as something else.
 */

#include "service/rebuild_join.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/crash.h"
#include "base/json.h"
#include "base/log.h"
#include "carrier/record.h"
#include "event/subscribe/replay.h"
#include "service/backup.h"
#include "service/move.h"
#include "service/rebuild.h"
#include "store/beside.h"
#include "store/copy/ledger.h"
#include "store/ledger_snapshot.h"

struct rebuild_join {
    const fh_service *service;
    struct store *former, *fresh;
    struct store_work *read, *write; /* of one each */
    int64_t behind;                  /* so many positions that the former one has applied alone */
};

/* ---- What is in the former store alone ---- */

/* Of an earlier edition of the program: the present one would not have been filled otherwise. */
static enum fh_code has_nothing_else(struct rebuild_join *join, struct fh_error *error)
{
    static const struct {
        const char *table, *what;
    } all[] = {{"fh_saga", "sagas"}, /* first */
               {"fh_command", "what came of commands"},
               {"fh_timer", "timers"},
               {"fh_parked", "parked events, of which nothing has followed yet (retry or drop "
                             "them)"}};
    for (size_t i = join->service->sagas[0].name ? 1 : 0; i < sizeof all / sizeof *all; i++) {
        int64_t rows = 0;
        enum fh_code code = join->former->engine->beside
                                ? copied_table_rows(join->former, all[i].table, &rows, error)
                                : copy_ledger_rows(join->former, all[i].table, &rows, error);
        if (code == FH_OK && rows > 0)
            code = error_set(error, FH_INVALID, "Its former store holds %s.", all[i].what);
        if (code != FH_OK)
            return code;
    }
    return FH_OK;
}

/* A server has them by the events of the former one's outbox, and would have them twice. */
static enum fh_code has_no_kept_facts(struct rebuild_join *join, struct fh_error *error)
{
    const char *name;
    enum fh_code code = carried_kept_find(join->read, join->service, &name, error);
    if (code == FH_OK && name)
        return error_set(error, FH_INVALID, "A server alone has its derived store %s (kept).",
                         name);
    return code;
}

/* ---- Where the former store was ---- */

/* What the former one says of one partition. */
struct former_place {
    struct ledger_cursor cursor, until;
    struct ledger_resync resync;
};

static enum fh_code read_former_place(struct rebuild_join *join, const char *source,
                                      const char *partition, struct former_place *ret,
                                      struct fh_error *error)
{
    char replayed[REPLAY_SOURCE_SIZE];
    replay_source_of(source, replayed);
    enum fh_code code = ledger_cursor_get(join->read, source, partition, &ret->cursor, error);
    if (code == FH_OK)
        code = ledger_cursor_get(join->read, replayed, partition, &ret->until, error);
    if (code == FH_OK)
        code = ledger_snapshots(join->former)
                   ->resync_get(join->read, source, partition, &ret->resync, error);
    return code;
}

static enum fh_code check_place(const struct rebuild_join *join, const char *source,
                                const struct former_place *former,
                                const struct ledger_cursor *fresh, struct fh_error *error)
{
    const char *name = join->service->name;
    if (replay_is_under_way(&former->cursor, &former->until))
        return error_set(error, FH_INVALID,
                         "Events of %s were being applied again: wait for the end of that.",
                         source);
    if (former->resync.phase == LEDGER_PAGES || former->resync.phase == LEDGER_SWEEP)
        return error_set(error, FH_INVALID,
                         "%s was resynchronising with %s: wait for the end of that.", name, source);
    if (former->cursor.position < fresh->position)
        return error_set(error, FH_INVALID,
                         "It had applied the events of %s up to %lld, and its new store has them "
                         "up to %lld: what follows from these would be lost. Try again when it "
                         "lags no more.",
                         source, (long long)former->cursor.position, (long long)fresh->position);
    if (fresh->position > 0 && strcmp(former->cursor.incarnation, fresh->incarnation) != 0)
        return error_set(error, FH_INVALID,
                         "The store of %s was moved or restored, and %s has not applied an event "
                         "since: try again when it has.",
                         source, name);
    return FH_OK;
}

/* From the new one's place to the former one's, as if that were a replay. */
static enum fh_code put_place(struct rebuild_join *join, const char *source, const char *partition,
                              const struct ledger_cursor *former, const struct ledger_cursor *fresh,
                              struct fh_error *error)
{
    char replayed[REPLAY_SOURCE_SIZE];
    const struct ledger_cursor none = {0};
    struct ledger_cursor begin = *fresh, until = *former;
    enum fh_code code = FH_OK;
    if (until.position == fresh->position)
        return FH_OK;
    join->behind += until.position - fresh->position;
    replay_source_of(source, replayed);
    until.epoch = REPLAY_REBUILT;
    if (fresh->position == 0) { /* nothing of it came: the incarnation is not known either */
        memcpy(begin.incarnation, former->incarnation, sizeof begin.incarnation);
        code = ledger_cursor_move(join->write, source, partition, fresh, &begin, error);
    }
    return code == FH_OK
               ? ledger_cursor_move(join->write, replayed, partition, &none, &until, error)
               : code;
}

static bool note_partition(void *context, const char *partition)
{
    json_object_set_new(context, partition, json_true());
    return true;
}

static enum fh_code join_source(struct rebuild_join *join, const char *source,
                                struct fh_error *error)
{
    const char *partition;
    json_t *unused, *partitions = json_object();
    enum fh_code code =
        ledger_cursor_partitions(join->read, source, note_partition, partitions, error);
    if (code == FH_OK)
        code = ledger_cursor_partitions(join->write, source, note_partition, partitions, error);
    json_object_foreach (partitions, partition, unused) {
        struct former_place former = {0};
        struct ledger_cursor fresh;
        if (code == FH_OK)
            code = ledger_cursor_get(join->write, source, partition, &fresh, error);
        if (code == FH_OK)
            code = read_former_place(join, source, partition, &former, error);
        if (code == FH_OK)
            code = check_place(join, source, &former, &fresh, error);
        if (code == FH_OK)
            code = put_place(join, source, partition, &former.cursor, &fresh, error);
    }
    json_decref(partitions);
    return code;
}

/* Each once: a service subscribes to several types of one. */
static enum fh_code join_sources(struct rebuild_join *join, struct fh_error *error)
{
    const struct fh_subscription *all = join->service->subscribes;
    const size_t most = sizeof join->service->subscribes / sizeof *all;
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < most && all[i].service && code == FH_OK; i++) {
        size_t first = 0;
        while (strcmp(all[first].service, all[i].service) != 0)
            first++;
        if (first == i)
            code = join_source(join, all[i].service, error);
    }
    return code;
}

/* ---- One transaction ---- */

static enum fh_code read_and_write(struct rebuild_join *join, struct fh_error *error)
{
    const struct beside_ops *beside = join->fresh->engine->beside;
    enum fh_code code = has_nothing_else(join, error);
    if (code == FH_OK)
        code = store_begin(join->former, STORE_READ, &join->read, error);
    if (code != FH_OK)
        return code;
    code = has_no_kept_facts(join, error);
    if (code == FH_OK)
        code = join_sources(join, error);
    if (code == FH_OK)
        code = beside ? beside->copy_published(join->write, error)
                      : copy_published(join->former, join->write, error);
    if (code == FH_OK) /* no op has brought what differs */
        code = carried_names_forget(join->write, error);
    store_rollback(join->read);
    return code;
}

/* On a server, what a process that was killed has sent to the former store may still be under way:
 * so that is held before it is read. */
static enum fh_code write_join(struct rebuild_join *join, struct fh_error *error)
{
    const struct beside_ops *beside = join->fresh->engine->beside;
    enum store_mode mode = beside ? STORE_MIGRATE : STORE_WRITE_EXCLUSIVE;
    enum fh_code code = store_begin(join->fresh, mode, &join->write, error);
    if (code != FH_OK)
        return code;
    if (beside)
        code = beside->hold(join->write, error);
    if (code == FH_OK)
        code = read_and_write(join, error);
    if (code == FH_OK)
        code = ledger_meta_put(join->write, LEDGER_UNFINISHED, "", error);
    CRASH_POINT("rebuild.joining");
    if (code == FH_OK)
        return store_commit(join->write, error);
    store_rollback(join->write);
    return code;
}

enum fh_code rebuild_is_unjoined(struct store *fresh, bool *ret, struct fh_error *error)
{
    char mark[128];
    struct store_work *work;
    *ret = false;
    enum fh_code code = store_begin(fresh, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = ledger_meta_get(work, LEDGER_UNFINISHED, mark, sizeof mark, error);
    store_rollback(work);
    *ret = code == FH_OK && strcmp(mark, LEDGER_REBUILT) == 0;
    return code;
}

enum fh_code rebuild_join_stores(const fh_service *service, struct store *former,
                                 struct store *fresh, struct fh_error *error)
{
    struct rebuild_join join = {.service = service, .former = former, .fresh = fresh};
    enum fh_code code = write_join(&join, error);
    if (code == FH_OK)
        log_info("rebuild-joined",
                 "the new store has what was published, and goes on as incarnation %s; of what the "
                 "former one had applied it lacks %lld positions still",
                 former->incarnation, (long long)join.behind);
    return code;
}

/* ---- Files ---- */

static enum fh_code former_is_there(struct world *world, const char *folder, bool *ret,
                                    struct fh_error *error)
{
    char path[4300];
    int64_t size;
    snprintf(path, sizeof path, "%s/" REBUILD_FORMER ".db", folder);
    int failed = world->files->size(world, path, &size);
    *ret = failed == 0;
    return failed && failed != ENOENT
               ? error_set_errno(error, FH_UNAVAILABLE, failed, "%.150s can't be looked at", path)
               : FH_OK;
}

static enum fh_code remove_former(struct world *world, const char *folder, struct fh_error *error)
{
    bool there = true;
    CRASH_POINT("rebuild.joined");
    service_backup_remove(world, folder, REBUILD_FORMER);
    int failed = world->files->sync_folder(world, folder);
    CRASH_POINT("rebuild.alone");
    if (failed)
        return error_set_errno(error, FH_UNAVAILABLE, failed, "%.150s can't be synced", folder);
    enum fh_code code = former_is_there(world, folder, &there, error);
    if (code == FH_OK && there)
        return error_set(error, FH_UNAVAILABLE,
                         "The former store in %.150s can't be removed, and may not stay.", folder);
    return code;
}

static enum fh_code open_and_join(const fh_service *service, const char *folder,
                                  struct store *fresh, struct fh_error *error)
{
    bool unjoined;
    struct store *former;
    struct fh_error closed;
    enum fh_code code = rebuild_is_unjoined(fresh, &unjoined, error);
    if (code != FH_OK || !unjoined)
        return code;
    code = service_backup_open(service, folder, REBUILD_FORMER, fresh->world, &former, error);
    if (code != FH_OK)
        return code;
    code = rebuild_join_stores(service, former, fresh, error);
    if (service_backup_close(former, folder, REBUILD_FORMER, &closed) == FH_OK || code != FH_OK)
        return code;
    *error = closed;
    return closed.code;
}

enum fh_code service_rebuild_join(const fh_service *service, const json_t *config,
                                  struct world *world, struct fh_error *error)
{
    bool there = false;
    struct store *fresh;
    const char *folder = json_string_at(config, "folder");
    if (!service_rebuild_joins(service))
        return FH_OK;
    enum fh_code code = former_is_there(world, folder, &there, error);
    if (code != FH_OK || !there)
        return code;
    code = service_store_open(service, config, world, &fresh, error);
    if (code != FH_OK)
        return code;
    code = open_and_join(service, folder, fresh, error);
    service_store_leave(fresh);
    return code == FH_OK ? remove_former(world, folder, error) : code;
}
