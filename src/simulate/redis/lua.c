/* SPDX-License-Identifier: Apache-2.0 */
/* See lua.h. */

#include "simulate/redis/lua.h"

#include <stdio.h>

#include "base/library.h"
#include "simulate/redis/model.h"

#define LIBRARY "liblua5.1.so.0"

struct lua_library lua51;

static const struct library_symbol symbols[] = {
#define LUA_SYMBOL(name) {#name, (void **)&lua51.name},
    LUA_FUNCTIONS(LUA_SYMBOL)
#undef LUA_SYMBOL
};

bool served_lua_load(char *why, size_t size)
{
    struct fh_error error;
    bool loaded = library_load(LIBRARY, "liblua5.1-0", symbols, sizeof symbols / sizeof symbols[0],
                               &error) == FH_OK;
    if (!loaded)
        snprintf(why, size, "%s", error.message);
    return loaded;
}
