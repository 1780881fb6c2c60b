/* SPDX-License-Identifier: Apache-2.0 */
/* What may run in a store that is filled beside the one that serves (beside.c): both belong to one
 * user, so the server would let it change either. A text is refused also for what it only seems to
 * say, since that costs a rebuild at most. */

#define _GNU_SOURCE
#include "engine/postgresql/beside.h"

#include <ctype.h>
#include <string.h>

static bool continues_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

/* Of `serving.table`, however it is written: but also of what a text only says. */
static bool names_schema(const char *sql, const char *schema)
{
    size_t length = strlen(schema);
    for (const char *at = sql; (at = strcasestr(at, schema)); at += length) {
        const char *end = at + length;
        if ((at > sql && continues_word(at[-1])) || continues_word(*end))
            continue;
        end += *end == '"';
        if (end[strspn(end, " \t\r\n")] == '.')
            return true;
    }
    return false;
}

enum fh_code postgresql_beside_allows(const struct postgresql_store *store, const char *sql,
                                      struct fh_error *error)
{
    if (!store->options.serving[0])
        return FH_OK;
    if (names_schema(sql, store->options.serving))
        return error_set(error, FH_UNSUPPORTED,
                         "A statement that names the schema %s would change the store that serves, "
                         "while a new one is filled: leave the name out. \"%.60s\"",
                         store->options.serving, sql);
    if (strcasestr(sql, "search_path"))
        return error_set(error, FH_UNSUPPORTED,
                         "A statement that sets search_path is not run while a new store is "
                         "filled. \"%.60s\"",
                         sql);
    return FH_OK;
}
