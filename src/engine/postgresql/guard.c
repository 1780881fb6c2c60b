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

/* The next place where it stands as a word of its own; NULL: there is none. */
static const char *find_word(const char *from, const char *text, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = from; (at = strcasestr(at, word)); at += length) {
        if ((at == text || !continues_word(at[-1])) && !continues_word(at[length]))
            return at;
    }
    return NULL;
}

/* Of a comment in a comment the rest is taken for words. */
static const char *skip_comments(const char *at)
{
    for (const char *end;; at = end + (*end == '*' ? 2 : 1)) {
        at += strspn(at, " \t\r\n\f\v");
        end = strncmp(at, "--", 2) == 0   ? strchr(at, '\n')
              : strncmp(at, "/*", 2) == 0 ? strstr(at + 2, "*/")
                                          : NULL;
        if (!end)
            return at;
    }
}

/* `serving.table`, or `SCHEMA serving`, however it is written: but also what a text only says. */
static bool names_schema(const char *sql, const char *schema)
{
    size_t length = strlen(schema);
    bool of_schemas = find_word(sql, sql, "schema") != NULL;
    for (const char *at = sql; (at = find_word(at, sql, schema)); at += length) {
        const char *end = at + length;
        if (strncmp(end, STORE_BESIDE, strlen(STORE_BESIDE)) == 0) /* the one that is filled */
            continue;
        end += *end == '"';
        if (of_schemas || *skip_comments(end) == '.')
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
