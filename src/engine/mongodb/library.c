/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MongoDB's client library. It is not linked: a process that uses another engine does not load it.
 * Loaded once, before the process confines itself, and never unloaded.
 *
 * Its calls block, so they run on the pool's threads (world/real.c).
 */

#include "engine/mongodb/library.h"

#include "base/library.h"

#define LIBRARY "libmongoc-1.0.so.0"

struct mongodb_library mongoc;

static const struct library_symbol symbols[] = {
#define MONGODB_SYMBOL(name) {#name, (void **)&mongoc.name}, /* libbson's, too */
    MONGODB_FUNCTIONS(MONGODB_SYMBOL)
#undef MONGODB_SYMBOL
};

enum fh_code mongodb_load(struct fh_error *error)
{
    static bool loaded;
    if (loaded)
        return FH_OK;
    enum fh_code code = library_load(LIBRARY, "libmongoc-1.0-0", symbols,
                                     sizeof symbols / sizeof symbols[0], error);
    if (code != FH_OK)
        return code;
    mongoc.mongoc_init();
    mongoc.mongoc_log_set_handler(NULL, NULL); /* errors are returned; the layer above logs */
    loaded = true;
    return FH_OK;
}
