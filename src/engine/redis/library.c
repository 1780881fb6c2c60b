/* SPDX-License-Identifier: Apache-2.0 */
/* Redis' client library. It is not linked: a process that uses another engine does not load it.
 * Loaded once, before the process confines itself, and never unloaded. */

#include "engine/redis/library.h"

#include "base/library.h"

#define LIBRARY "libhiredis.so.0.14"

struct redis_library hiredis;

static const struct library_symbol symbols[] = {
#define REDIS_SYMBOL(name) {#name, (void **)&hiredis.name},
    REDIS_FUNCTIONS(REDIS_SYMBOL)
#undef REDIS_SYMBOL
};

enum fh_code redis_load(struct fh_error *error)
{
    static bool loaded;
    if (loaded)
        return FH_OK;
    enum fh_code code =
        library_load(LIBRARY, "libhiredis0.14", symbols, sizeof symbols / sizeof symbols[0], error);
    loaded = code == FH_OK;
    return code;
}
