/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What no report may name. Rights and a transaction that only reads, and is never committed, keep
 * it from nearly everything; here is what a user without rights can do even so: end what runs as
 * the same user, hold locks by which the store's processes agree, run a text as SQL, write into the
 * log of the server, change the session. And tables of Freehold's own, so that it is told before
 * anything is run.
 *
 * A name is compared as the server reads it: in quotes as it is, else in small letters. Names in
 * the form U&"..." are refused, which need no letter of what they name.
 */

#include <ctype.h>
#include <string.h>

#include "engine/postgresql/internal.h"

#define REPORT_NAME_SIZE 64 /* the server cuts longer ones */
#define OWN_TABLES "fh_"

/* With a star: all that begin so. */
static const char *const closed_names[] = {
    "binary_upgrade_*",
    "connectby",
    "crosstab*",
    "cursor_to_xml*",
    "database_to_xml*",
    "dblink*",
    "lo_close",
    "lo_creat",
    "lo_create",
    "lo_export",
    "lo_from_bytea",
    "lo_get",
    "lo_import",
    "lo_lseek*",
    "lo_open",
    "lo_put",
    "lo_tell*",
    "lo_truncate*",
    "lo_unlink",
    "loread",
    "lowrite",
    "nextval",
    "pg_advisory*",
    "pg_backup*",
    "pg_cancel_backend",
    "pg_create_*",
    "pg_drop_*",
    "pg_export_snapshot",
    "pg_file_*",
    "pg_import_*",
    "pg_log_*",
    "pg_logical_*",
    "pg_ls_*",
    "pg_notify",
    "pg_promote",
    "pg_read_*",
    "pg_reload_conf",
    "pg_replication_*",
    "pg_rotate_*",
    "pg_stat_file",
    "pg_stat_reset*",
    "pg_switch_wal",
    "pg_terminate_backend",
    "pg_try_advisory*",
    "pg_wal_*",
    "query_to_xml*",
    "schema_to_xml*",
    "set_config",
    "setval",
    "table_to_xml*",
    "ts_rewrite",
    "ts_stat",
    "xpath_table",
};

static bool is_closed_name(const char *name)
{
    for (size_t i = 0; i < sizeof closed_names / sizeof *closed_names; i++) {
        const char *closed = closed_names[i];
        size_t length = strlen(closed);
        if (closed[length - 1] == '*' ? strncmp(name, closed, length - 1) == 0
                                      : strcmp(name, closed) == 0)
            return true;
    }
    return false;
}

static enum fh_code check_report_name(const char *name, struct fh_error *error)
{
    if (strncmp(name, OWN_TABLES, strlen(OWN_TABLES)) == 0)
        return error_set(error, FH_UNSUPPORTED, "it reads %.63s, which is not the service's own",
                         name);
    if (is_closed_name(name))
        return error_set(error, FH_UNSUPPORTED, "it calls %.63s", name);
    return FH_OK;
}

static bool begins_name(char c)
{
    return isalpha((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static size_t plain_name_length(const char *at)
{
    size_t length = 0;
    while (begins_name(at[length]) ||
           (length && (isdigit((unsigned char)at[length]) || at[length] == '$')))
        length++;
    return length;
}

/* In quotes, of which a doubled one is one. */
static enum fh_code check_quoted_name(const char *at, size_t length, struct fh_error *error)
{
    char name[REPORT_NAME_SIZE];
    size_t size = 0;
    for (size_t i = 1; i + 1 < length && size < sizeof name - 1; i++) {
        name[size++] = at[i];
        i += at[i] == '"';
    }
    name[size] = '\0';
    return check_report_name(name, error);
}

static enum fh_code check_plain_name(const char *at, size_t length, struct fh_error *error)
{
    char name[REPORT_NAME_SIZE];
    size_t size = length < sizeof name ? length : sizeof name - 1;
    for (size_t i = 0; i < size; i++)
        name[i] = (char)tolower((unsigned char)at[i]);
    name[size] = '\0';
    if (strcmp(name, "u") == 0 && at[1] == '&' && at[2] == '"')
        return error_set(error, FH_UNSUPPORTED, "it has a name that is written as U&\"...\"");
    return check_report_name(name, error);
}

/* A carriage return ends a comment, too. */
static size_t comment_or_space_length(const char *at)
{
    if (at[0] == '-' && at[1] == '-')
        return strcspn(at, "\r\n");
    if (at[0] == '/' && at[1] == '*')
        return postgresql_quoted(at, ' ');
    return strspn(at, " \t\r\n\f\v");
}

/* E'...' may go on in other quotes, in which a backslash is still one. */
static enum fh_code take_escaped_text(const char **at, struct fh_error *error)
{
    *at += postgresql_quoted(*at, 'e');
    const char *next = *at;
    for (size_t length; (length = comment_or_space_length(next));)
        next += length;
    return *next != '\''
               ? FH_OK
               : error_set(error, FH_UNSUPPORTED, "it has a text E'...' that is in several parts");
}

/* The next name, text, comment or character. */
static enum fh_code take_report_token(const char **at, struct fh_error *error)
{
    size_t length = comment_or_space_length(*at);
    enum fh_code code = FH_OK;
    if (!length && (length = plain_name_length(*at))) {
        code = check_plain_name(*at, length, error);
        *at += length;
        bool escapes = length == 1 && ((*at)[-1] == 'e' || (*at)[-1] == 'E') && **at == '\'';
        return code == FH_OK && escapes ? take_escaped_text(at, error) : code;
    }
    if (!length && (length = postgresql_quoted(*at, ' ')) && **at == '"')
        code = check_quoted_name(*at, length, error);
    *at += length ? length : 1;
    return code;
}

enum fh_code postgresql_report_fits(const char *sql, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    while (*sql && code == FH_OK)
        code = take_report_token(&sql, error);
    return code;
}
