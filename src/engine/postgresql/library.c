/* SPDX-License-Identifier: Apache-2.0 */
/* See library.h. The library stays loaded until the process ends: it can't be unloaded safely once
 * used. */

#include "engine/postgresql/library.h"

#include "base/library.h"

#define LIBRARY "libpq.so.5"

struct postgresql_library postgresql_pq;

static const struct library_symbol symbols[] = {
#define POSTGRESQL_SYMBOL(name) {#name, (void **)&postgresql_pq.name},
    POSTGRESQL_FUNCTIONS(POSTGRESQL_SYMBOL)
#undef POSTGRESQL_SYMBOL
};

enum fh_code postgresql_load(struct fh_error *error)
{
    if (postgresql_pq.PQtransactionStatus) /* the last in the list; simulations set a model */
        return FH_OK;
    return library_load(LIBRARY, "libpq5", symbols, sizeof symbols / sizeof symbols[0], error);
}
