/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MariaDB's client library, Connector/C. It is not linked: a process with another engine carries
 * nothing of it. It is loaded once, before the process confines itself, and never unloaded;
 * whatever it loads later (authentication plugins) is below /usr/lib, which stays readable.
 */

#include "base/library.h"
#include "engine/mariadb/internal.h"

#define LIBRARY "libmariadb.so.3"

struct mariadb_library mariadb;

static const struct library_symbol symbols[] = {
#define MARIADB_SYMBOL(name) {#name, (void **)&mariadb.name},
    MARIADB_FUNCTIONS(MARIADB_SYMBOL)
#undef MARIADB_SYMBOL
};

enum fh_code mariadb_load(struct fh_error *error)
{
    static bool loaded;
    if (loaded)
        return FH_OK;
    enum fh_code code =
        library_load(LIBRARY, "libmariadb3", symbols, sizeof symbols / sizeof symbols[0], error);
    if (code != FH_OK)
        return code;
    if (mariadb.mysql_server_init(0, NULL, NULL) != 0)
        return error_set(error, FH_UNSUPPORTED, LIBRARY " can't be initialised.");
    loaded = true;
    return FH_OK;
}
