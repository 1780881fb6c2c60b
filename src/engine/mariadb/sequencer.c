/* SPDX-License-Identifier: Apache-2.0 */
/* The sequencer's link: each statement commits on its own. */

#include "engine/mariadb/internal.h"

/* On a link of its own; connects again if that died since the last time. */
enum fh_code mariadb_run_alone(struct store *base, const char *sql, const struct sql_value *values,
                               int count, sql_visit *visit, void *context, struct fh_error *error)
{
    struct mariadb_store *store = (struct mariadb_store *)base;
    struct fh_error why = {0};
    enum fh_code code = FH_OK;
    for (int i = 0; i < 2; i++) {
        struct mariadb_failure failure = {0};
        code = FH_OK;
        if (!store->sequencer)
            code = mariadb_connection_new(store, MARIADB_SEQUENCER, &store->sequencer, &why);
        if (code == FH_OK)
            code = mariadb_run(store->sequencer, sql, values, count, visit, context, NULL, &failure,
                               &why);
        if (!store->sequencer || !store->sequencer->broken)
            break;
        mariadb_connection_free(store->sequencer);
        store->sequencer = NULL;
    }
    if (code == FH_OK)
        return FH_OK;
    return error_set(error, FH_UNAVAILABLE, "The store's server can't be queried now: %.180s",
                     why.message);
}
