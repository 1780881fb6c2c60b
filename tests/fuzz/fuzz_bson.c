/* SPDX-License-Identifier: Apache-2.0 */
/* A stored document, as MongoDB's server sends it. What is taken is nested no deeper than our JSON,
 * and becomes the same document again once it is stored. */

#include "engine/mongodb/bson.h"
#include "fuzz.h"

static int depth_of(const json_t *value)
{
    const char *unused;
    json_t *item;
    size_t i;
    int deepest = 0, depth;
    json_object_foreach ((json_t *)(uintptr_t)value, unused, item) {
        depth = depth_of(item);
        deepest = depth > deepest ? depth : deepest;
    }
    json_array_foreach (value, i, item) {
        depth = depth_of(item);
        deepest = depth > deepest ? depth : deepest;
    }
    return json_is_object(value) || json_is_array(value) ? deepest + 1 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bson_t document, again, inner;
    fuzz_start();
    FH_ASSERT(mongodb_load(ERROR_UNHEEDED) == FH_OK);
    if (!mongoc.bson_init_static(&document, data, size))
        return 0;
    mongodb_integer_at(&document, "a");
    mongodb_text_at(&document, "a");
    mongodb_document_at(&document, "a", &inner);
    json_t *object = mongodb_object(&document, NULL);
    if (object) {
        FH_ASSERT(depth_of(object) <= JSON_DEPTH_MAX);
        mongoc.bson_init(&again);
        if (mongodb_append_fields(&again, object, NULL, MONGODB_NESTED)) {
            json_t *same = mongodb_object(&again, NULL);
            FH_ASSERT(json_equal(object, same));
            json_decref(same);
        }
        mongoc.bson_destroy(&again);
    }
    json_decref(object);
    return 0;
}
