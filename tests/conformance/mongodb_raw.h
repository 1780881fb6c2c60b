/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_MONGODB_RAW_H
#define TESTS_MONGODB_RAW_H

/* Documents put into a store behind the engine's back, as another program or a dead process would.
 * Header only. */

#include <stdlib.h>
#include <string.h>

#include "conformance.h"
#include "engine/mongodb/internal.h"

struct raw {
    struct mongodb_call call; /* first */
    const char *collection, *text;
};

static inline enum fh_code raw_run(struct mongodb_call *call, struct fh_error *error)
{
    struct raw *raw = (struct raw *)call;
    bson_error_t why;
    mongoc_collection_t *collection = mongodb_collection(call, raw->collection);
    bson_t *document = mongoc.bson_new_from_json((const uint8_t *)raw->text, -1, &why);
    FH_ASSERT(document != NULL);
    bool done = mongoc.mongoc_collection_insert_one(collection, document, NULL, NULL, &why);
    mongoc.bson_destroy(document);
    mongoc.mongoc_collection_destroy(collection);
    return done ? FH_OK : mongodb_failed(&why, error);
}

/* Behind the engine's back: text with ' for ". */
static inline bool put_raw(struct conformance *c, const char *collection, const char *text)
{
    char *quoted = strdup(text);
    for (char *at = quoted; *at; at++)
        *at = *at == '\'' ? '"' : *at;
    struct raw raw = {.call.run = raw_run, .collection = collection, .text = quoted};
    enum fh_code code = mongodb_call(mongodb_of(c->store), &raw.call, &c->error);
    free(quoted);
    return code == FH_OK;
}

#endif
