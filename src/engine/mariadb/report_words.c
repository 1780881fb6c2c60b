/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What no report may name. Rights and a transaction that only reads keep it from nearly everything;
 * here is what a user without rights can do even so: hold the locks by which the store's processes
 * agree, and call what an administrator has added that leaves the server. And tables of Freehold's
 * own, so that it is told before anything is run.
 *
 * Names are compared without regard to case, as the server compares those of functions, in quotes
 * or not. Comments that the server runs are refused: what is in them depends on its version.
 */

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "engine/mariadb/internal.h"

#define OWN_TABLES "fh_"

static const char *const closed_functions[] = {
    "get_lock", "is_free_lock",      "is_used_lock", "lastval", "load_file",
    "nextval",  "release_all_locks", "release_lock", "setval",  "sys_eval",
    "sys_exec", "sys_get",           "sys_set",
};

static enum fh_code check_name_in_report(const char *name, size_t length, struct fh_error *error)
{
    int shown = length < 64 ? (int)length : 64;
    if (length >= strlen(OWN_TABLES) && strncasecmp(name, OWN_TABLES, strlen(OWN_TABLES)) == 0)
        return error_set(error, FH_UNSUPPORTED, "it reads %.*s, which is not the service's own",
                         shown, name);
    for (size_t i = 0; i < sizeof closed_functions / sizeof *closed_functions; i++) {
        const char *closed = closed_functions[i];
        if (strlen(closed) == length && strncasecmp(name, closed, length) == 0)
            return error_set(error, FH_UNSUPPORTED, "it calls %.*s", shown, name);
    }
    return FH_OK;
}

static size_t bare_name_length(const char *at)
{
    size_t length = 0;
    while (isalnum((unsigned char)at[length]) || at[length] == '_' || at[length] == '$' ||
           (unsigned char)at[length] >= 0x80)
        length++;
    return length;
}

enum fh_code mariadb_report_fits(const char *sql, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    while (*sql && code == FH_OK) {
        size_t quoted = mariadb_quoted(sql), length = quoted ? quoted : bare_name_length(sql);
        if (mariadb_run_comment_opening(sql))
            return error_set(error, FH_UNSUPPORTED, "it has a comment that the server runs");
        if (quoted && (*sql == '"' || *sql == '`'))
            code = check_name_in_report(sql + 1, quoted > 1 ? quoted - 2 : 0, error);
        else if (!quoted && length)
            code = check_name_in_report(sql, length, error);
        sql += length ? length : 1;
    }
    return code;
}
