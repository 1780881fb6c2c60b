/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Last positions of events' keys. A key's last position is written after the one write that
 * publishes its event (carry.c). Between the two, the publisher holds the key's lock: for such a
 * key the answer is that its event has no position yet. A unit of work that has also read rows
 * learns at its commit whether any of them was changed concurrently.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/mongodb/internal.h"

struct place {
    char *key;
    int64_t position;
};

struct places {
    struct mongodb_visit visit; /* first */
    struct place *list;
    size_t count, size;
    int64_t since;
};

static bool keep_key_place(struct mongodb_visit *visit, const bson_t *document)
{
    struct places *places = (struct places *)visit;
    const char *key = mongodb_text_at(document, "_id");
    bson_iter_t position;
    if (places->count == places->size || !key || mongodb_record_is_stray(document, places->since) ||
        !mongoc.bson_iter_init_find(&position, document, "position"))
        return places->count < places->size;
    char *copy = strdup(key);
    FH_ASSERT(copy != NULL);
    places->list[places->count++] = (struct place){copy, mongoc.bson_iter_int64(&position)};
    return true;
}

static enum fh_code read_key_places(struct store_work *work, const json_t *keys,
                                    struct places *places, struct fh_error *error)
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
        .collection = MONGODB_PLACES, .filter = &filter, .visit = keep_key_place};
    places->size = json_array_size(keys);
    places->since = mongodb_since(mongodb_of(work->store), MONGODB_PLACES);
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

enum fh_code mongodb_key_places(struct store_work *work, const json_t *keys,
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
    enum fh_code code = goes_on ? read_key_places(work, keys, &places, error) : FH_OK;
    for (size_t i = 0; i < places.count; i++) {
        if (!code && goes_on)
            goes_on = visit(context, places.list[i].key, places.list[i].position);
        free(places.list[i].key);
    }
    free(places.list);
    return code;
}
