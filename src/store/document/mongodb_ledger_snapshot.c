/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger on MongoDB: where keys stand, and the rounds of subscriptions.
 *
 *     fh_round      source, share
 *     fh_applied    source, share, type, key
 *
 * A key's last position is written behind the one write that publishes its event (mongodb_carry.c).
 * Whoever is between the two holds the key's lock: of such a key it is told that its event has no
 * position yet. A work that has read rows as well learns at its commit whether any of them was
 * changed beside it.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "store/document/mongodb_ledger.h"
#include "store/ledger_snapshot.h"

#define ROUNDS "fh_round"
#define APPLIED "fh_applied"
#define PARKED "fh_parked"
#define PARKED_KEYS "fh_parked_key"
#define NUMBER "%019" PRId64

/* ---- The publisher's side -------------------------------------------------------------------- */

struct place {
    char *key;
    int64_t position;
};

struct places {
    struct mongodb_visit visit; /* first */
    struct place *list;
    size_t count, size;
};

static bool take_place(struct mongodb_visit *visit, const bson_t *document)
{
    struct places *places = (struct places *)visit;
    bson_iter_t key, position;
    if (places->count == places->size || !mongoc.bson_iter_init_find(&key, document, "_id") ||
        !mongoc.bson_iter_init_find(&position, document, "position"))
        return places->count < places->size;
    char *copy = strdup(mongoc.bson_iter_utf8(&key, NULL));
    FH_ASSERT(copy != NULL);
    places->list[places->count++] = (struct place){copy, mongoc.bson_iter_int64(&position)};
    return true;
}

static enum fh_code read_places(struct store_work *work, const json_t *keys, struct places *places,
                                struct fh_error *error)
{
    bson_t filter, in, list;
    char number[24];
    size_t index;
    json_t *key;
    mongoc.bson_init(&filter);
    mongoc.bson_append_document_begin(&filter, "_id", -1, &in);
    mongoc.bson_append_array_begin(&in, "$in", -1, &list);
    json_array_foreach (keys, index, key) {
        snprintf(number, sizeof number, "%zu", index);
        mongoc.bson_append_utf8(&list, number, -1, json_string_value(key), -1);
    }
    mongoc.bson_append_array_end(&in, &list);
    mongoc.bson_append_document_end(&filter, &in);
    places->visit = (struct mongodb_visit){
        .collection = MONGODB_PLACES, .filter = &filter, .visit = take_place};
    places->size = json_array_size(keys);
    places->list = calloc(places->size + 1, sizeof *places->list);
    FH_ASSERT(places->list != NULL);
    enum fh_code code = mongodb_visit(mongodb_of(work->store), &places->visit, error);
    mongoc.bson_destroy(&filter);
    return code;
}

static bool is_being_published(struct store_work *work, const char *key)
{
    char name[640];
    snprintf(name, sizeof name, MONGODB_KEY_LOCK "%s", key);
    return map_get(&mongodb_of(work->store)->locks, name) != NULL;
}

static enum fh_code visit_places(struct store_work *work, const json_t *keys,
                                 bool (*visit)(void *context, const char *key, int64_t position),
                                 void *context, struct fh_error *error)
{
    struct places places = {.count = 0};
    json_t *key;
    size_t index;
    bool goes_on = true;
    json_array_foreach (keys, index, key) { /* before the places are read */
        if (goes_on && is_being_published(work, json_string_value(key)))
            goes_on = visit(context, json_string_value(key), LEDGER_UNSEQUENCED);
    }
    enum fh_code code = goes_on ? read_places(work, keys, &places, error) : FH_OK;
    for (size_t i = 0; i < places.count; i++) {
        if (!code && goes_on)
            goes_on = visit(context, places.list[i].key, places.list[i].position);
        free(places.list[i].key);
    }
    free(places.list);
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
    if (json_array_size(list) > 0)
        code = visit_places(work, list, visit, context, error);
    json_decref(list);
    return code;
}

/* ---- The subscriber's side ------------------------------------------------------------------- */

static enum fh_code round_get(struct store_work *work, const char *source, const char *share,
                              struct ledger_round *ret, struct fh_error *error)
{
    char id[MONGODB_ID_SIZE];
    json_t *document = NULL;
    *ret = (struct ledger_round){0};
    enum fh_code code = mongodb_id(id, error, "%s" MONGODB_SEPARATOR "%s", source, share);
    if (!code)
        code = mongodb_get(work, ROUNDS, id, &document, error);
    if (code || !document)
        return code;
    ret->round = mongodb_integer(document, "round");
    ret->phase = (enum ledger_phase)mongodb_integer(document, "phase");
    ret->type = mongodb_integer(document, "type");
    ret->seen_position = mongodb_integer(document, "seen_position");
    snprintf(ret->after, sizeof ret->after, "%s", mongodb_text(document, "behind"));
    snprintf(ret->seen_id, sizeof ret->seen_id, "%s", mongodb_text(document, "seen_id"));
    json_decref(document);
    return FH_OK;
}

static enum fh_code round_move(struct store_work *work, const char *source, const char *share,
                               const struct ledger_round *old, const struct ledger_round *next,
                               struct fh_error *error)
{
    char id[MONGODB_ID_SIZE];
    struct ledger_round now;
    enum fh_code code = round_get(work, source, share, &now, error);
    if (!code && (now.round != old->round || now.phase != old->phase || now.type != old->type ||
                  strcmp(now.after, old->after) != 0))
        code =
            error_set(error, FH_CONFLICT, "The snapshot of %s is further, or another one.", source);
    if (!code)
        code = mongodb_id(id, error, "%s" MONGODB_SEPARATOR "%s", source, share);
    if (code)
        return code;
    json_t *document =
        mongodb_pack("{s:s, s:s, s:I, s:i, s:I, s:s, s:I, s:s}", "source", source, "share", share,
                     "round", (json_int_t)next->round, "phase", (int)next->phase, "type",
                     (json_int_t)next->type, "behind", next->after, "seen_position",
                     (json_int_t)next->seen_position, "seen_id", next->seen_id);
    return mongodb_put(work, ROUNDS, id, document, error);
}

static enum fh_code applied_id(char id[static MONGODB_ID_SIZE], const char *source,
                               const char *share, int64_t type, const char *key,
                               struct fh_error *error)
{
    return mongodb_id(id, error,
                      "%s" MONGODB_SEPARATOR "%s" MONGODB_SEPARATOR NUMBER MONGODB_SEPARATOR "%s",
                      source, share, type, key);
}

static enum fh_code applied_put(struct store_work *work, const char *source, const char *share,
                                int64_t type, const char *key, int64_t position, int64_t round,
                                struct fh_error *error)
{
    char id[MONGODB_ID_SIZE];
    enum fh_code code = applied_id(id, source, share, type, key, error);
    if (code)
        return code;
    json_t *document = mongodb_pack("{s:s, s:s, s:I, s:s, s:I, s:I}", "source", source, "share",
                                    share, "type", (json_int_t)type, "key", key, "position",
                                    (json_int_t)position, "round", (json_int_t)round);
    return mongodb_put(work, APPLIED, id, document, error);
}

static enum fh_code applied_get(struct store_work *work, const char *source, const char *share,
                                int64_t type, const char *key, int64_t round, int64_t *ret,
                                struct fh_error *error)
{
    char id[MONGODB_ID_SIZE];
    json_t *document = NULL;
    *ret = -1;
    enum fh_code code = applied_id(id, source, share, type, key, error);
    if (!code)
        code = mongodb_get(work, APPLIED, id, &document, error);
    if (!code && document && mongodb_integer(document, "round") == round)
        *ret = mongodb_integer(document, "position");
    json_decref(document);
    return code;
}

/* All whose ids begin with these two parts. */
static json_t *of_share(const char *source, const char *share)
{
    char low[MONGODB_ID_SIZE], high[MONGODB_ID_SIZE];
    snprintf(low, sizeof low, "%s" MONGODB_SEPARATOR "%s" MONGODB_SEPARATOR, source, share);
    snprintf(high, sizeof high, "%s" MONGODB_SEPARATOR "%s ", source, share);
    return mongodb_pack("{s:{s:s, s:s}}", "id", "$gt", low, "$lt", high);
}

static enum fh_code remove_all(struct store_work *work, const char *collection, const json_t *list,
                               struct fh_error *error)
{
    enum fh_code code = FH_OK;
    size_t index;
    json_t *document;
    json_array_foreach (list, index, document) {
        if (!code)
            code = mongodb_put(work, collection, mongodb_text(document, "id"), NULL, error);
    }
    return code;
}

static enum fh_code applied_clear(struct store_work *work, const char *source, const char *share,
                                  int limit, int64_t *ret_removed, struct fh_error *error)
{
    json_t *list;
    enum fh_code code =
        mongodb_some(work, APPLIED, of_share(source, share), limit, false, true, &list, error);
    *ret_removed = (int64_t)json_array_size(list);
    if (!code)
        code = remove_all(work, APPLIED, list, error);
    json_decref(list);
    return code;
}

static bool gather(void *context, const json_t *document)
{
    struct arena *arena = json_arena_set(NULL);
    json_array_append_new(context, json_pack("{s:s}", "id", mongodb_text(document, "id")));
    json_arena_set(arena);
    return true;
}

/* Who retries a parked event reads its key's document first: so keys are removed one by one, that
 * the two meet; and what is behind them as one range. */
static enum fh_code parked_clear(struct store_work *work, const char *source, const char *share,
                                 struct fh_error *error)
{
    json_t *keys = mongodb_pack("[]");
    enum fh_code code = mongodb_each(work, PARKED_KEYS,
                                     mongodb_pack("{s:s, s:s}", "source", source, "share", share),
                                     gather, keys, error);
    if (!code)
        code = remove_all(work, PARKED_KEYS, keys, error);
    if (!code && json_array_size(keys) > 0)
        code = mongodb_remove_range(
            work, PARKED, mongodb_pack("{s:s, s:s}", "source", source, "share", share), error);
    json_decref(keys);
    return code;
}

const struct ledger_snapshot_ops mongodb_snapshots = {.key_places = key_places,
                                                      .round_get = round_get,
                                                      .round_move = round_move,
                                                      .applied_put = applied_put,
                                                      .applied_get = applied_get,
                                                      .applied_clear = applied_clear,
                                                      .parked_clear = parked_clear};
