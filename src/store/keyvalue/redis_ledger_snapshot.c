/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger on Redis: where keys stand, and the rounds of subscriptions.
 *
 *     round      source, share
 *     applied    source, share, type, key
 *
 * Positions of keys are remembered as all that a work reads: the script of its commit, which may
 * be a work that changes nothing, finds rows and positions to have been so at one moment. Every
 * committed event has its position.
 */

#include "store/ledger_snapshot.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "store/keyvalue/redis_ledger.h"

#define ROUNDS "round"
#define APPLIED "applied"

/* ---- The publisher's side -------------------------------------------------------------------- */

static enum fh_code visit_places(struct store_work *work, const json_t *keys,
                                 bool (*visit)(void *context, const char *key, int64_t position),
                                 void *context, struct fh_error *error)
{
    struct redis_work *own = redis_work_of(work);
    size_t count = json_array_size(keys);
    struct redis_question *questions = calloc(count + 1, sizeof *questions);
    FH_ASSERT(questions != NULL);
    char *place = redis_name(own->redis, "fh", "place");
    for (size_t i = 0; i < count; i++)
        questions[i] = (struct redis_question){
            .words = {"HGET", place, json_string_value(json_array_get(keys, i))}, .count = 3};
    enum fh_code code = count ? redis_see(own, questions, (int)count, error) : FH_OK;
    bool goes_on = true;
    for (size_t i = 0; i < count && !code && goes_on; i++) {
        const redisReply *reply = questions[i].reply;
        if (redis_is(reply, REDIS_REPLY_STRING))
            goes_on = visit(context, questions[i].words[2], strtoll(reply->str, NULL, 10));
    }
    free(place);
    free(questions);
    return code;
}

static enum fh_code key_places(struct store_work *work, const char *keys,
                               bool (*visit)(void *context, const char *key, int64_t position),
                               void *context, struct fh_error *error)
{
    struct arena *arena = json_arena_set(NULL);
    json_t *list;
    enum fh_code code = json_parse(keys, strlen(keys), &list, error);
    json_arena_set(arena);
    if (code)
        return code;
    code = visit_places(work, list, visit, context, error);
    json_decref(list);
    return code;
}

/* ---- The subscriber's side ------------------------------------------------------------------- */

static enum fh_code share_id(char id[static REDIS_ID_SIZE], const char *source, const char *share,
                             const char *behind, struct fh_error *error)
{
    return redis_id(id, error, "%s" REDIS_SEPARATOR "%s%s", source, share, behind);
}

static enum fh_code round_get(struct store_work *work, const char *source, const char *share,
                              struct ledger_round *ret, struct fh_error *error)
{
    char id[REDIS_ID_SIZE];
    json_t *record = NULL;
    *ret = (struct ledger_round){0};
    enum fh_code code = share_id(id, source, share, "", error);
    if (!code)
        code = redis_get(work, ROUNDS, id, &record, error);
    if (code || !record)
        return code;
    ret->round = redis_integer(record, "round");
    ret->phase = (enum ledger_phase)redis_integer(record, "phase");
    ret->type = redis_integer(record, "type");
    ret->seen_position = redis_integer(record, "seen_position");
    snprintf(ret->after, sizeof ret->after, "%s", redis_text(record, "behind"));
    snprintf(ret->seen_id, sizeof ret->seen_id, "%s", redis_text(record, "seen_id"));
    json_decref(record);
    return FH_OK;
}

static enum fh_code round_move(struct store_work *work, const char *source, const char *share,
                               const struct ledger_round *old, const struct ledger_round *next,
                               struct fh_error *error)
{
    char id[REDIS_ID_SIZE];
    struct ledger_round now;
    enum fh_code code = round_get(work, source, share, &now, error);
    if (!code && (now.round != old->round || now.phase != old->phase || now.type != old->type ||
                  strcmp(now.after, old->after) != 0))
        code =
            error_set(error, FH_CONFLICT, "The snapshot of %s is further, or another one.", source);
    if (!code)
        code = share_id(id, source, share, "", error);
    if (code)
        return code;
    return redis_put(work, ROUNDS, id,
                     redis_pack("{s:s, s:s, s:I, s:i, s:I, s:s, s:I, s:s}", "source", source,
                                "share", share, "round", (json_int_t)next->round, "phase",
                                (int)next->phase, "type", (json_int_t)next->type, "behind",
                                next->after, "seen_position", (json_int_t)next->seen_position,
                                "seen_id", next->seen_id),
                     error);
}

static enum fh_code applied_id(char id[static REDIS_ID_SIZE], const char *source, const char *share,
                               int64_t type, const char *key, struct fh_error *error)
{
    return redis_id(id, error,
                    "%s" REDIS_SEPARATOR "%s" REDIS_SEPARATOR REDIS_NUMBER REDIS_SEPARATOR "%s",
                    source, share, type, key);
}

static enum fh_code applied_put(struct store_work *work, const char *source, const char *share,
                                int64_t type, const char *key, int64_t position, int64_t round,
                                struct fh_error *error)
{
    char id[REDIS_ID_SIZE];
    enum fh_code code = applied_id(id, source, share, type, key, error);
    return code ? code
                : redis_put(work, APPLIED, id,
                            redis_pack("{s:s, s:s, s:I, s:s, s:I, s:I}", "source", source, "share",
                                       share, "type", (json_int_t)type, "key", key, "position",
                                       (json_int_t)position, "round", (json_int_t)round),
                            error);
}

static enum fh_code applied_get(struct store_work *work, const char *source, const char *share,
                                int64_t type, const char *key, int64_t round, int64_t *ret,
                                struct fh_error *error)
{
    char id[REDIS_ID_SIZE];
    json_t *record = NULL;
    *ret = -1;
    enum fh_code code = applied_id(id, source, share, type, key, error);
    if (!code)
        code = redis_get(work, APPLIED, id, &record, error);
    if (!code && record && redis_integer(record, "round") == round)
        *ret = redis_integer(record, "position");
    json_decref(record);
    return code;
}

static enum fh_code applied_clear(struct store_work *work, const char *source, const char *share,
                                  int limit, int64_t *ret_removed, struct fh_error *error)
{
    char prefix[REDIS_ID_SIZE];
    json_t *list = NULL, *record;
    size_t index;
    enum fh_code code = share_id(prefix, source, share, REDIS_SEPARATOR, error);
    struct redis_range some = {
        .order = APPLIED ":ids", .prefix = prefix, .limit = limit, .looks = true};
    if (!code)
        code = redis_range(work, APPLIED, &some, &list, error);
    *ret_removed = (int64_t)json_array_size(list);
    json_array_foreach (list, index, record) {
        if (!code)
            code = redis_put(work, APPLIED, redis_text(record, "id"), NULL, error);
    }
    json_decref(list);
    return code;
}

/* Who parks an event moves the cursor, and who retries one reads its key's record: both meet the
 * work that begins a round, whichever is first. */
static enum fh_code parked_clear(struct store_work *work, const char *source, const char *share,
                                 struct fh_error *error)
{
    char prefix[REDIS_ID_SIZE];
    enum fh_code code = share_id(prefix, source, share, REDIS_SEPARATOR, error);
    if (code)
        return code;
    redis_clear(work, "parked_key", prefix);
    redis_clear(work, "parked", prefix);
    return FH_OK;
}

const struct ledger_snapshot_ops redis_snapshots = {.key_places = key_places,
                                                    .round_get = round_get,
                                                    .round_move = round_move,
                                                    .applied_put = applied_put,
                                                    .applied_get = applied_get,
                                                    .applied_clear = applied_clear,
                                                    .parked_clear = parked_clear};
