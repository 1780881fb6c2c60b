/* SPDX-License-Identifier: Apache-2.0 */
/* Where FTS5 is reached, and our functions given to it. */

#include "store/derived/fts5.h"

#include <stddef.h>

fts5_api *derived_fts5_api(sqlite3 *db, int *ret)
{
    fts5_api *api = NULL;
    sqlite3_stmt *statement = NULL;
    *ret = sqlite3_prepare_v2(db, "SELECT fts5(?1)", -1, &statement, NULL);
    if (*ret == SQLITE_OK) {
        sqlite3_bind_pointer(statement, 1, &api, "fts5_api_ptr", NULL);
        sqlite3_step(statement);
        *ret = sqlite3_finalize(statement);
    }
    return api;
}

int derived_fts5_register(sqlite3 *db)
{
    static const struct {
        const char *name;
        fts5_extension_function function;
    } functions[] = {{"fh_rank", derived_rank_match}, {"fh_excerpt", derived_excerpt_match}};
    int result;
    fts5_api *api = derived_fts5_api(db, &result);
    if (result == SQLITE_ERROR) /* no such function: fts5 */
        return SQLITE_OK;
    if (result == SQLITE_OK && !api)
        return SQLITE_NOMEM;
    for (size_t i = 0; i < sizeof functions / sizeof *functions && result == SQLITE_OK; i++)
        result = api->xCreateFunction(api, functions[i].name, NULL, functions[i].function, NULL);
    return result;
}
