/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statements of reports. Each is prepared for one run, while an authorizer is set: so it is not one
 * that was prepared without, and what a virtual table runs for it is looked at as well.
 *
 *     tables not its own, functions that reach beyond the store, pragmas, the schema, transactions
 *                            the authorizer refuses them
 *     changes of rows        the statement as a whole is looked at: virtual tables have some ready
 *                            where they are only read
 *
 * Besides, readers' connections are query_only, and a trial runs none of them.
 */

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "engine/sqlite/internal.h"

#define OWN_TABLES "fh_"

struct report_refusal {
    char why[128]; /* what the statement would do; "": nothing was refused */
};

static int report_is_refused(struct report_refusal *refusal, const char *format, const char *what)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    if (!refusal->why[0])
        snprintf(refusal->why, sizeof refusal->why, format, what);
#pragma GCC diagnostic pop
    return SQLITE_DENY;
}

/* Freehold's, and those by which any page of the file could be read. */
static bool is_closed_table(const char *name)
{
    static const char *const pages[] = {"sqlite_dbpage", "dbstat"};
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        if (strcasecmp(name, pages[i]) == 0)
            return true;
    }
    return strncasecmp(name, OWN_TABLES, strlen(OWN_TABLES)) == 0;
}

/* Most are not there. They would reach what is not in the store. */
static bool is_closed_function(const char *name)
{
    static const char *const functions[] = {"edit", "fts3_tokenizer", "load_extension", "readfile",
                                            "writefile"};
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (strcasecmp(name, functions[i]) == 0)
            return true;
    }
    return false;
}

static int refuse_all_but_reading(void *context, int action, const char *one, const char *two,
                                  const char *three, const char *four)
{
    struct report_refusal *refusal = context;
    (void)three, (void)four;
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE:
    case SQLITE_INSERT: /* which virtual tables have ready; report_prepare refuses the statement's
                         */
    case SQLITE_UPDATE:
    case SQLITE_DELETE:
        return SQLITE_OK;
    case SQLITE_READ:
        if (!one || !is_closed_table(one))
            return SQLITE_OK;
        return report_is_refused(refusal, "it reads %.64s, which is not the service's own", one);
    case SQLITE_FUNCTION:
        if (!two || !is_closed_function(two))
            return SQLITE_OK;
        return report_is_refused(refusal, "it calls %.64s", two);
    case SQLITE_PRAGMA: /* FTS5 looks whether the store has changed */
        if (one && strcasecmp(one, "data_version") == 0)
            return SQLITE_OK;
        return report_is_refused(refusal, "it uses the pragma %.64s", one ? one : "");
    default:
        return report_is_refused(refusal, "%s", "it does something else than to read");
    }
}

/* A text that is empty, or two statements, are none. */
static int report_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret,
                          struct report_refusal *refusal)
{
    const char *rest = "";
    int result = sqlite3_prepare_v2(db, sql, -1, ret, &rest);
    if (result != SQLITE_OK)
        return result;
    if (!*ret || rest[strspn(rest, " \t\r\n;")])
        report_is_refused(refusal, "%s", "it is not one statement");
    else if (!sqlite3_stmt_readonly(*ret) || sqlite3_stmt_isexplain(*ret) ||
             sqlite3_column_count(*ret) == 0)
        report_is_refused(refusal, "%s", "it does something else than to read");
    else if (sqlite3_column_count(*ret) > SQL_VALUES_MAX)
        report_is_refused(refusal, "%s", "it has too many columns");
    return refusal->why[0] ? SQLITE_AUTH : SQLITE_OK;
}

static bool tell_columns(sqlite3_stmt *statement, const struct sql_taker *taker)
{
    const char *names[SQL_VALUES_MAX];
    int count = sqlite3_column_count(statement);
    for (int i = 0; i < count; i++)
        names[i] = sqlite3_column_name(statement, i);
    return taker->columns(taker->context, names, count);
}

static int run_report_statement(sqlite3_stmt *statement, const struct sql_value *values, int count,
                                const struct sql_taker *taker)
{
    int result = sqlite_bind(statement, values, count);
    if (result != SQLITE_OK)
        return result;
    return tell_columns(statement, taker) ? sqlite_step_all(statement, taker->row, taker->context)
                                          : SQLITE_DONE;
}

static enum fh_code report_error(sqlite3 *db, int result, const struct report_refusal *refusal,
                                 struct fh_error *error)
{
    if (refusal->why[0])
        return error_set(error, FH_UNSUPPORTED, "%s", refusal->why);
    if ((result & 0xff) == SQLITE_TOOBIG)
        return error_set(error, FH_INVALID, "it makes or meets a value that is too large");
    if ((result & 0xff) == SQLITE_ERROR)
        return error_set(error, FH_UNSUPPORTED, "%s", sqlite3_errmsg(db));
    return sqlite_error(db, result, error);
}

enum fh_code sqlite_report(struct store_work *work, const char *sql, const struct sql_value *values,
                           int count, const struct sql_taker *taker, struct fh_error *error)
{
    struct report_refusal refusal = {0};
    sqlite3_stmt *statement = NULL;
    enum fh_code code = sqlite_may_run(work, error);
    if (code != FH_OK)
        return code;
    sqlite3 *db = ((struct sqlite_work *)work)->connection->db;
    int before = sqlite3_limit(db, SQLITE_LIMIT_LENGTH, taker->value_size_max);
    sqlite3_set_authorizer(db, refuse_all_but_reading, &refusal);
    int result = report_prepare(db, sql, &statement, &refusal);
    if (result == SQLITE_OK)
        result = run_report_statement(statement, values, count, taker);
    if (result != SQLITE_DONE)
        code = report_error(db, result, &refusal, error);
    sqlite3_finalize(statement);
    sqlite3_set_authorizer(db, NULL, NULL);
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, before);
    return code;
}

enum fh_code sqlite_report_try(sqlite3 *db, const char *sql, int count,
                               const struct sql_taker *taker, struct fh_error *error)
{
    struct report_refusal refusal = {0};
    sqlite3_stmt *statement = NULL;
    sqlite3_set_authorizer(db, refuse_all_but_reading, &refusal);
    int result = report_prepare(db, sql, &statement, &refusal);
    if (result == SQLITE_OK && sqlite3_bind_parameter_count(statement) != count)
        result = SQLITE_RANGE;
    enum fh_code code = FH_OK;
    if (result == SQLITE_OK)
        tell_columns(statement, taker);
    else
        code = report_error(db, result, &refusal, error);
    sqlite3_finalize(statement);
    return code;
}
