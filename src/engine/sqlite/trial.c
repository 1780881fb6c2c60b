/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store in memory for trying SQL (store/relational/trial.h). Its connection is set up as a
 * service's is: what is refused there is refused here.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/sqlite/internal.h"
#include "store/relational/trial.h"

#define STEPS_BETWEEN_LOOKS 10000 /* of SQLite's virtual machine: some 0.2 ms */
#define LOOKS_MAX 10000
#define PAGES_MAX 65536 /* 256 MiB */

struct sql_trial {
    sqlite3 *db;
    int looks_left; /* before what runs is over */
};

static int is_trial_over(void *context)
{
    struct sql_trial *trial = context;
    return --trial->looks_left < 0;
}

/* A migration has its transaction, which it can't end. */
static int refuse_trial_end(void *unused, int action, const char *a, const char *b, const char *c,
                            const char *d)
{
    (void)unused;
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return action == SQLITE_TRANSACTION || action == SQLITE_SAVEPOINT || action == SQLITE_ATTACH
               ? SQLITE_DENY
               : SQLITE_OK;
}

static enum fh_code trial_error(struct sql_trial *trial, int result, struct fh_error *error)
{
    if (result == SQLITE_INTERRUPT || result == SQLITE_FULL || result == SQLITE_NOMEM)
        return error_set(error, FH_UNAVAILABLE, "it takes more than a trial may");
    if (result == SQLITE_AUTH)
        return error_set(error, FH_UNSUPPORTED, "it begins or ends a transaction, and is in one");
    if (result == SQLITE_MISUSE)
        return error_set(error, FH_UNSUPPORTED, "it is not one statement");
    return error_set(error, FH_UNSUPPORTED, "%s", sqlite3_errmsg(trial->db));
}

static enum fh_code sqlite_trial_run(struct sql_trial *trial, const char *sql,
                                     struct fh_error *error)
{
    trial->looks_left = LOOKS_MAX;
    int result = sqlite3_exec(trial->db, sql, NULL, NULL, NULL);
    return result == SQLITE_OK ? FH_OK : trial_error(trial, result & 0xff, error);
}

static enum fh_code sqlite_trial_prepare(struct sql_trial *trial, const char *sql,
                                         struct fh_error *error)
{
    sqlite3_stmt *statement;
    const char *rest = "";
    trial->looks_left = LOOKS_MAX;
    int result = sqlite3_prepare_v2(trial->db, sql, -1, &statement, &rest);
    if (result == SQLITE_OK && (!statement || rest[strspn(rest, " \t\r\n;")]))
        result = SQLITE_MISUSE;
    enum fh_code code = result == SQLITE_OK ? FH_OK : trial_error(trial, result & 0xff, error);
    sqlite3_finalize(statement);
    return code;
}

static enum fh_code sqlite_trial_report(struct sql_trial *trial, const char *sql, int count,
                                        const struct sql_taker *taker, struct fh_error *error)
{
    trial->looks_left = LOOKS_MAX;
    enum fh_code code = sqlite_report_try(trial->db, sql, count, taker, error);
    sqlite3_set_authorizer(trial->db, refuse_trial_end, NULL);
    return code;
}

/* By SQLite's rules for the affinity of a declared type: these have NUMERIC. */
static void sqlite_trial_rounding(struct sql_trial *trial, sql_trial_column *visit, void *context)
{
    static const char sql[] =
        "SELECT t.name, c.name, c.type FROM sqlite_schema t, pragma_table_xinfo(t.name) c"
        " WHERE t.type = 'table' AND (c.type LIKE 'DEC%' OR c.type LIKE 'NUMERIC%')"
        " AND c.type NOT LIKE '%INT%' AND c.type NOT LIKE '%CHAR%' AND c.type NOT LIKE '%CLOB%'"
        " AND c.type NOT LIKE '%TEXT%' ORDER BY t.rowid, c.cid";
    sqlite3_stmt *statement;
    trial->looks_left = LOOKS_MAX;
    if (sqlite3_prepare_v2(trial->db, sql, -1, &statement, NULL) != SQLITE_OK)
        return;
    while (sqlite3_step(statement) == SQLITE_ROW)
        visit(context, (const char *)sqlite3_column_text(statement, 0),
              (const char *)sqlite3_column_text(statement, 1),
              (const char *)sqlite3_column_text(statement, 2));
    sqlite3_finalize(statement);
}

static void sqlite_trial_close(struct sql_trial *trial)
{
    if (trial)
        sqlite3_close_v2(trial->db);
    free(trial);
}

static int make_trial_ledger(sqlite3 *db)
{
    int result = sqlite3_exec(db, sqlite_ledger_schema.meta, NULL, NULL, NULL);
    for (int i = 0; result == SQLITE_OK && sqlite_ledger_schema.tables[i]; i++)
        result = sqlite3_exec(db, sqlite_ledger_schema.tables[i], NULL, NULL, NULL);
    return result;
}

static enum fh_code sqlite_trial_open(struct sql_trial **ret, struct fh_error *error)
{
    char pages[96];
    struct sql_trial *trial = calloc(1, sizeof *trial);
    *ret = NULL;
    FH_ASSERT(trial != NULL);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY;
    int result = sqlite3_open_v2(":memory:", &trial->db, flags, NULL);
    if (result == SQLITE_OK)
        result = sqlite_configure(trial->db, false);
    snprintf(pages, sizeof pages, "PRAGMA query_only=0; PRAGMA max_page_count=%d", PAGES_MAX);
    if (result == SQLITE_OK)
        result = sqlite3_exec(trial->db, pages, NULL, NULL, NULL);
    if (result == SQLITE_OK)
        result = make_trial_ledger(trial->db);
    if (result != SQLITE_OK) {
        error_set(error, FH_UNAVAILABLE, "no trial store could be made: %s",
                  trial->db ? sqlite3_errmsg(trial->db) : "no memory");
        sqlite_trial_close(trial);
        return error->code;
    }
    sqlite3_progress_handler(trial->db, STEPS_BETWEEN_LOOKS, is_trial_over, trial);
    sqlite3_set_authorizer(trial->db, refuse_trial_end, NULL);
    *ret = trial;
    return FH_OK;
}

const struct sql_trial_ops sqlite_trial = {.open = sqlite_trial_open,
                                           .close = sqlite_trial_close,
                                           .run = sqlite_trial_run,
                                           .prepare = sqlite_trial_prepare,
                                           .report = sqlite_trial_report,
                                           .rounding = sqlite_trial_rounding};
