/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One report on the server: over a connection of its own, as a user who may read the service's own
 * tables and views and has no other right, in a transaction that only reads, which is never
 * committed; and the connection is closed after it.
 *
 *     as it is     it is prepared: what it lacks is told, and its columns
 *     as a part    SELECT EXISTS (it) is prepared as well, and never run: of all statements only
 *                  those that read can be a part of another. (Run as a part it would lose its
 *                  order: the server drops an ORDER BY there.)
 *     then         it is run, as it is
 *
 * Rows come singly, and are made JSON of as they come; now and then others get their turn. The
 * server ends a statement whose time is over by itself (max_statement_time). One that is given up
 * before is killed, over another connection of the same user's, who may do that: the server does
 * not notice a client that has left before it has a row for it.
 *
 * MariaDB cuts some values and warns of it: those too large for a packet become NULL, and recursion
 * ends at a number of steps. So limits are set that no answer reaches, and after the rows such
 * warnings are looked for: an answer is whole or there is none.
 *
 * No message of the server's is passed on that may hold a value: neither what a report finds nor
 * what it is asked with is in any log.
 */

#include "engine/mariadb/report_link.h"

#include <errmsg.h>
#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LATER_MS 100 /* the server ends a report after we do */
#define KILL_MS 500
#define ROWS_A_TURN 200
/* Or what the server allows everybody, if that is less. */
#define MEMORY_MAX "268435456"
#define FILES_MAX "1073741824"
#define CONCATENATED_MAX "16777216" /* more than an answer takes */
#define TOO_LARGE_VALUE "it makes or meets a value that is too large"
#define TOO_LARGE_FILES "it sorts or groups more than 1 GiB in files (tmp_disk_table_size)"
#define TOO_LARGE_MEMORY "it takes more than 256 MiB of memory (max_session_mem_used)"
#define NO_READING "it does something else than to read"

static bool is_report_run_over(const struct mariadb_report_run *run)
{
    return report_is_over(&run->store->base, run->deadline_ns);
}

/* ---- What the server says ---- */

static bool is_error_among(unsigned number, const unsigned *numbers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (numbers[i] == number)
            return true;
    }
    return false;
}

#define IS_AMONG(number, numbers)                                                                  \
    is_error_among(number, numbers, sizeof(numbers) / sizeof *(numbers))

/* "You have an error in your SQL syntax; ... near 'FRM item' at line 2" */
static enum fh_code syntax_fails(struct mariadb_report_run *run, const char *message)
{
    const char *near = strstr(message, " near '"), *at = NULL;
    for (const char *next = message; (next = strstr(next, " at line ")) != NULL; next++)
        at = next;
    if (!near || !at || at < near)
        return error_set(run->error, FH_UNSUPPORTED, "%.180s", message);
    run->line = (int)strtol(at + strlen(" at line "), NULL, 10);
    if (at - near <= (int)strlen(" near ''"))
        return error_set(run->error, FH_UNSUPPORTED, "syntax error at its end");
    return error_set(run->error, FH_UNSUPPORTED, "syntax error%.*s",
                     at - near < 150 ? (int)(at - near) : 150, near);
}

/* Once it runs, a message may have a value in it. What it may not read the server names as ever. */
static enum fh_code report_error_says(struct mariadb_report_run *run,
                                      const struct mariadb_failure *failure)
{
    static const unsigned denied[] = {ER_TABLEACCESS_DENIED_ERROR, ER_COLUMNACCESS_DENIED_ERROR,
                                      ER_PROCACCESS_DENIED_ERROR, ER_SPECIFIC_ACCESS_DENIED_ERROR};
    if (failure->number == ER_PARSE_ERROR && !run->valued)
        return syntax_fails(run, failure->message);
    if (!run->valued || IS_AMONG(failure->number, denied))
        return error_set(run->error, FH_UNSUPPORTED, "%.180s", failure->message);
    return error_set(run->error, FH_UNSUPPORTED, "it fails, with the server's error %u",
                     failure->number);
}

/* `own`: what is said where the server has said nothing. */
static enum fh_code report_failed(struct mariadb_report_run *run,
                                  const struct mariadb_failure *failure, const struct fh_error *own)
{
    static const unsigned large[] = {ER_NET_PACKET_TOO_LARGE, CR_NET_PACKET_TOO_LARGE};
    static const unsigned memory[] = {ER_OUTOFMEMORY, ER_OUT_OF_SORTMEMORY, ER_OUT_OF_RESOURCES};
    unsigned number = failure->number;
    if (number == ER_STATEMENT_TIMEOUT || number == ER_LOCK_WAIT_TIMEOUT) {
        run->late = true;
        return error_set(run->error, FH_UNAVAILABLE, "It is late.");
    }
    if (number == 0 && own->code == FH_NO_MEMORY)
        return error_set(run->error, FH_INVALID, TOO_LARGE_VALUE);
    if (number == 0) {
        *run->error = *own;
        return own->code;
    }
    if (IS_AMONG(number, large))
        return error_set(run->error, FH_INVALID, TOO_LARGE_VALUE);
    if (number == ER_RECORD_FILE_FULL)
        return error_set(run->error, FH_UNSUPPORTED, TOO_LARGE_FILES);
    if (IS_AMONG(number, memory) || (number == ER_OPTION_PREVENTS_STATEMENT &&
                                     strstr(failure->message, "max-session-mem-used")))
        return error_set(run->error, FH_UNSUPPORTED, TOO_LARGE_MEMORY);
    if (number == ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION)
        return error_set(run->error, FH_UNSUPPORTED, NO_READING);
    if (number == ER_TABLE_DEF_CHANGED)
        return error_retry(run->error, FH_UNAVAILABLE, "A table was changed as the report began.");
    struct fh_error why = {0};
    if (mariadb_fail(run->link, failure, &why) == FH_UNAVAILABLE || run->link->broken) {
        *run->error = why;
        return why.code;
    }
    return report_error_says(run, failure);
}

/* ---- The link ---- */

enum fh_code mariadb_report_link_connect(struct mariadb_report_run *run)
{
    static const char *const refused[] = {" 1045", " 1698", " 1130", " 1251"};
    enum fh_code code =
        mariadb_connection_for_reports(run->store, run->deadline_ns, true, &run->link, run->error);
    for (size_t i = 0; code != FH_OK && i < sizeof refused / sizeof *refused; i++) {
        if (strstr(run->error->native, refused[i]))
            code = error_set(run->error, FH_UNSUPPORTED,
                             "the store's server does not let in its user for reports, %.100s",
                             run->store->reports_user);
    }
    if (code == FH_OK)
        code = mariadb_query(run->link, "SET ROLE NONE", NULL, NULL, run->error);
    return code;
}

static void note_any_row(void *context, char **row)
{
    (void)row;
    *(bool *)context = true;
}

/* Whoever sees one of Freehold's tables may do something with it. */
enum fh_code mariadb_report_link_check(struct mariadb_report_run *run)
{
    struct text sql;
    bool sees = false;
    text_init(&sql, TEXT_LENGTH_MAX);
    text_add(&sql, "SELECT 1 FROM information_schema.tables WHERE table_name = 'fh_meta'"
                   " AND table_schema = ");
    mariadb_add_quoted(&sql, run->store->database);
    enum fh_code code = mariadb_query(run->link, sql.data, note_any_row, &sees, run->error);
    text_release(&sql);
    if (code == FH_OK && sees)
        return error_set(run->error, FH_UNSUPPORTED,
                         "the user for reports, %.100s, may do more than to read the service's own "
                         "tables: expected one who may do nothing else",
                         run->store->reports_user);
    return code;
}

/* Before anything is prepared, since that waits for locks as well. */
static enum fh_code bound_report_session(struct mariadb_report_run *run)
{
    char sql[1024];
    int64_t left_ms = (run->deadline_ns - world_monotonic_ns(run->store->base.world)) / 1000000;
    left_ms = (left_ms > 0 ? left_ms : 0) + LATER_MS;
    snprintf(sql, sizeof sql,
             "SET lc_messages = 'en_US', lock_wait_timeout = %lld, idle_transaction_timeout = 10,"
             " max_session_mem_used = LEAST(@@global.max_session_mem_used, CAST(" MEMORY_MAX
             " AS UNSIGNED)),"
             " tmp_disk_table_size = LEAST(@@global.tmp_disk_table_size, CAST(" FILES_MAX
             " AS UNSIGNED)),"
             " max_recursive_iterations = 4294967295, group_concat_max_len = " CONCATENATED_MAX ","
             " max_error_count = 65535, max_statement_time = %lld.%03lld;USE `%s`",
             (long long)left_ms / 1000 + 1, (long long)left_ms / 1000, (long long)left_ms % 1000,
             run->store->database);
    enum fh_code code = mariadb_query(run->link, sql, NULL, NULL, run->error);
    if (code != FH_OK && strstr(run->error->native, " 1044"))
        return error_set(run->error, FH_UNSUPPORTED,
                         "the user for reports, %.100s, may read nothing of the store's",
                         run->store->reports_user);
    return code;
}

static enum fh_code open_report_session(struct mariadb_report_run *run)
{
    enum fh_code code = mariadb_report_link_connect(run);
    if (code == FH_OK)
        code = mariadb_report_link_check(run);
    return code == FH_OK ? bound_report_session(run) : code;
}

static void kill_on_server(struct mariadb_store *store, unsigned long thread)
{
    struct mariadb_connection *link;
    char sql[48];
    snprintf(sql, sizeof sql, "KILL CONNECTION %lu", thread);
    if (mariadb_connection_for_reports(store, world_in_ms(store->base.world, KILL_MS), false, &link,
                                       ERROR_UNHEEDED) != FH_OK)
        return; /* the server ends it when its time is over */
    mariadb_query(link, sql, NULL, NULL, ERROR_UNHEEDED);
    mariadb_connection_free(link);
}

void mariadb_report_link_close(struct mariadb_report_run *run)
{
    if (!run->link)
        return;
    bool goes_on = run->link->broken && run->link->connected &&
                   world_monotonic_ns(run->store->base.world) < run->deadline_ns;
    unsigned long thread = mariadb.mysql_thread_id(run->link->mysql);
    mariadb_connection_free(run->link);
    run->link = NULL;
    if (goes_on && thread)
        kill_on_server(run->store, thread);
}

/* ---- Preparing ---- */

static void note_cut(void *context, char **row)
{
    static const unsigned cut[] = {ER_WARN_ALLOWED_PACKET_OVERFLOWED, ER_CUT_VALUE_GROUP_CONCAT};
    if (row[1] && IS_AMONG((unsigned)strtoul(row[1], NULL, 10), cut))
        *(bool *)context = true;
}

/* Of what was done last. What is constant is made when it is prepared. */
static enum fh_code check_report_warnings(struct mariadb_report_run *run)
{
    bool cut = false;
    enum fh_code code = mariadb_query(run->link, "SHOW WARNINGS", note_cut, &cut, run->error);
    return code == FH_OK && cut ? error_set(run->error, FH_INVALID, TOO_LARGE_VALUE) : code;
}

static enum fh_code take_prepared_columns(struct mariadb_report_run *run, MYSQL_STMT *stmt)
{
    const char *names[SQL_VALUES_MAX];
    int count = (int)mariadb.mysql_stmt_field_count(stmt);
    if (count == 0)
        return error_set(run->error, FH_UNSUPPORTED, NO_READING);
    if (count > SQL_VALUES_MAX)
        return error_set(run->error, FH_UNSUPPORTED, "it has too many columns");
    const MYSQL_FIELD *fields = mariadb.mariadb_stmt_fetch_fields(stmt);
    FH_ASSERT(fields != NULL);
    for (int i = 0; i < count; i++)
        names[i] = fields[i].name;
    run->stopped = !run->taker->columns(run->taker->context, names, count);
    return FH_OK;
}

/* False: as a part of another statement it is none. */
static bool is_part_of_reading(struct mariadb_report_run *run)
{
    struct mariadb_failure failure = {0};
    struct mariadb_statement *statement;
    struct mariadb_text *text;
    size_t size = strlen(run->sql) + sizeof "SELECT EXISTS (\n\n)";
    char *sql = malloc(size);
    FH_ASSERT(sql != NULL);
    snprintf(sql, size, "SELECT EXISTS (\n%s\n)", run->sql);
    bool is_part = false;
    if (mariadb_text_get(&run->store->texts, sql, NULL, &text, ERROR_UNHEEDED) == FH_OK) {
        is_part = mariadb_prepare(run->link, text, &statement, &failure) ||
                  failure.number != ER_PARSE_ERROR;
        mariadb_text_put(text);
    }
    free(sql);
    return is_part;
}

static enum fh_code prepare_report(struct mariadb_report_run *run)
{
    static const struct fh_error lost = {.code = FH_UNAVAILABLE, .message = "The link is gone."};
    struct mariadb_failure failure = {0};
    struct mariadb_statement *statement;
    enum fh_code code = FH_OK;
    run->link->deadline_ns = run->deadline_ns;
    bool prepared = mariadb_prepare(run->link, run->text, &statement, &failure);
    if (!prepared && (failure.number == ER_PARSE_ERROR || run->link->broken))
        return report_failed(run, &failure, &lost);
    if (prepared)
        code = take_prepared_columns(run, statement->stmt);
    if (prepared && code == FH_OK && !run->stopped)
        code = check_report_warnings(run);
    if (code != FH_OK || run->stopped)
        return code;
    if (!is_part_of_reading(run))
        return error_set(run->error, FH_UNSUPPORTED, NO_READING);
    return prepared ? FH_OK : report_failed(run, &failure, &lost);
}

/* ---- Running ---- */

static bool take_report_run_row(void *context, const struct sql_row *row)
{
    struct mariadb_report_run *run = context;
    struct world *world = run->store->base.world;
    run->stopped = !run->taker->row(run->taker->context, row);
    if (run->stopped || ++run->rows < ROWS_A_TURN)
        return !run->stopped;
    run->rows = 0;
    fiber_sleep_until(world, world_monotonic_ns(world));
    run->late = run->stopped = is_report_run_over(run);
    return !run->stopped;
}

static enum fh_code run_prepared_report(struct mariadb_report_run *run)
{
    struct mariadb_failure failure = {0};
    struct fh_error own = {0};
    enum fh_code code = mariadb_query(
        run->link, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", NULL, NULL, run->error);
    if (code != FH_OK)
        return code;
    int64_t left_ns = run->deadline_ns - world_monotonic_ns(run->store->base.world);
    run->link->statement_ms = left_ns > 0 ? left_ns / 1000000 + 1 : 1;
    run->valued = true;
    code = mariadb_run(run->link, run->sql, run->values, run->count, take_report_run_row, run, NULL,
                       &failure, &own);
    if (run->stopped) /* whoever takes it knows why */
        return FH_OK;
    return code == FH_OK ? check_report_warnings(run) : report_failed(run, &failure, &own);
}

enum fh_code mariadb_report_link_run(struct mariadb_report_run *run)
{
    enum fh_code code = open_report_session(run);
    if (code == FH_OK)
        code = prepare_report(run);
    if (code == FH_OK && !run->stopped)
        code = run_prepared_report(run);
    run->late |= code == FH_UNAVAILABLE && is_report_run_over(run);
    mariadb_report_link_close(run);
    return run->late ? report_busy(run->error, STORE_ASKED_TOO_LATE, STORE_LATE) : code;
}

enum fh_code mariadb_report_link_try(struct mariadb_report_run *run)
{
    enum fh_code code = FH_OK;
    run->stopped = false;
    if (!run->link)
        code = open_report_session(run);
    run->shut = code != FH_OK;
    if (code == FH_OK)
        code = prepare_report(run);
    if (run->link && (run->shut || run->link->broken))
        mariadb_report_link_close(run);
    return code;
}

enum fh_code mariadb_report_link_init(struct mariadb_report_run *run, const char *sql)
{
    run->sql = sql;
    run->line = 0;
    if (!run->store->reports_user[0])
        return error_set(run->error, FH_UNSUPPORTED,
                         "the configuration's \"store\" names no user for \"reports\"");
    enum fh_code code = mariadb_report_fits(sql, run->error);
    return code == FH_OK ? mariadb_text_get(&run->store->texts, sql, NULL, &run->text, run->error)
                         : code;
}

void mariadb_report_link_release(struct mariadb_report_run *run)
{
    mariadb_text_put(run->text);
    run->text = NULL;
}
