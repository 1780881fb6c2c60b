/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger as records: the resyncs of subscriptions. Keys' positions come from the engine. */

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "store/records/records.h"

#define ROUNDS "round"
#define APPLIED "applied"

static enum fh_code records_key_places(struct store_work *work, const char *keys,
                                       bool (*visit)(void *context, const char *key,
                                                     int64_t position),
                                       void *context, struct fh_error *error)
{
    struct arena *arena = json_arena_set(NULL);
    json_t *list;
    enum fh_code code = json_parse(keys, strlen(keys), &list, error);
    json_arena_set(arena);
    if (code)
        return code;
    if (json_array_size(list) > 0)
        code = records_of(work)->key_places(work, list, visit, context, error);
    json_decref(list);
    return code;
}

/* ---- The subscriber's side ---- */

static enum fh_code partition_id(char id[static RECORD_ID_SIZE], const char *source,
                                 const char *partition, struct fh_error *error)
{
    return record_id(id, error, "%s" RECORD_SEPARATOR "%s", source, partition);
}

static enum fh_code records_resync_get(struct store_work *work, const char *source,
                                       const char *partition, struct ledger_resync *ret,
                                       struct fh_error *error)
{
    char id[RECORD_ID_SIZE];
    json_t *record = NULL;
    *ret = (struct ledger_resync){0};
    enum fh_code code = partition_id(id, source, partition, error);
    if (!code)
        code = records_get(work, ROUNDS, id, &record, error);
    if (code || !record)
        return code;
    ret->resync = record_integer(record, "round");
    ret->phase = (enum ledger_phase)record_integer(record, "phase");
    ret->type = record_integer(record, "type");
    ret->seen_position = record_integer(record, "seen_position");
    snprintf(ret->after, sizeof ret->after, "%s", record_text(record, "behind"));
    snprintf(ret->seen_id, sizeof ret->seen_id, "%s", record_text(record, "seen_id"));
    json_decref(record);
    return FH_OK;
}

static enum fh_code records_resync_move(struct store_work *work, const char *source,
                                        const char *partition, const struct ledger_resync *old,
                                        const struct ledger_resync *next, struct fh_error *error)
{
    char id[RECORD_ID_SIZE];
    struct ledger_resync now;
    enum fh_code code = records_resync_get(work, source, partition, &now, error);
    if (!code && (now.resync != old->resync || now.phase != old->phase || now.type != old->type ||
                  strcmp(now.after, old->after) != 0))
        code =
            error_set(error, FH_CONFLICT, "The snapshot of %s is further, or another one.", source);
    if (!code)
        code = partition_id(id, source, partition, error);
    if (code)
        return code;
    return records_put(work, ROUNDS, id,
                       record_pack("{s:s, s:s, s:I, s:i, s:I, s:s, s:I, s:s}", "source", source,
                                   "share", partition, "round", (json_int_t)next->resync, "phase",
                                   (int)next->phase, "type", (json_int_t)next->type, "behind",
                                   next->after, "seen_position", (json_int_t)next->seen_position,
                                   "seen_id", next->seen_id),
                       error);
}

static enum fh_code applied_id(char id[static RECORD_ID_SIZE], const char *source,
                               const char *partition, int64_t type, const char *key,
                               struct fh_error *error)
{
    return record_id(
        id, error, "%s" RECORD_SEPARATOR "%s" RECORD_SEPARATOR RECORD_NUMBER RECORD_SEPARATOR "%s",
        source, partition, type, key);
}

static enum fh_code records_applied_put(struct store_work *work, const char *source,
                                        const char *partition, int64_t type, const char *key,
                                        int64_t position, int64_t resync, struct fh_error *error)
{
    char id[RECORD_ID_SIZE];
    enum fh_code code = applied_id(id, source, partition, type, key, error);
    return code ? code
                : records_put(work, APPLIED, id,
                              record_pack("{s:s, s:s, s:I, s:s, s:I, s:I}", "source", source,
                                          "share", partition, "type", (json_int_t)type, "key", key,
                                          "position", (json_int_t)position, "round",
                                          (json_int_t)resync),
                              error);
}

static enum fh_code records_applied_get(struct store_work *work, const char *source,
                                        const char *partition, int64_t type, const char *key,
                                        int64_t resync, int64_t *ret, struct fh_error *error)
{
    char id[RECORD_ID_SIZE];
    json_t *record = NULL;
    *ret = -1;
    enum fh_code code = applied_id(id, source, partition, type, key, error);
    if (!code)
        code = records_get(work, APPLIED, id, &record, error);
    if (!code && record && record_integer(record, "round") == resync)
        *ret = record_integer(record, "position");
    json_decref(record);
    return code;
}

static enum fh_code records_applied_clear(struct store_work *work, const char *source,
                                          const char *partition, int limit, int64_t *ret_removed,
                                          struct fh_error *error)
{
    char id[RECORD_ID_SIZE];
    json_t *list = NULL, *record;
    size_t index;
    enum fh_code code = partition_id(id, source, partition, error);
    struct record_range some = {.table = APPLIED, .within = id, .limit = limit, .looks = true};
    if (!code)
        code = records_gather(work, &some, &list, error);
    *ret_removed = (int64_t)json_array_size(list);
    json_array_foreach (list, index, record) {
        if (!code)
            code = records_put(work, APPLIED, record_text(record, "id"), NULL, error);
    }
    json_decref(list);
    return code;
}

static enum fh_code records_parked_clear(struct store_work *work, const char *source,
                                         const char *partition, struct fh_error *error)
{
    return records_of(work)->parked_clear(work, source, partition, error);
}

const struct ledger_snapshot_ops records_snapshots = {.key_places = records_key_places,
                                                      .resync_get = records_resync_get,
                                                      .resync_move = records_resync_move,
                                                      .applied_put = records_applied_put,
                                                      .applied_get = records_applied_get,
                                                      .applied_clear = records_applied_clear,
                                                      .parked_clear = records_parked_clear};
