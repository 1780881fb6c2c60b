/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a prepared statement on a connection: it is prepared once for each text and connection,
 * executed, and its rows are fetched one by one as they come, never collected. Rows no longer
 * wanted are read and dropped, as the protocol demands.
 */

#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "engine/mariadb/internal.h"

/* Records why the statement failed, at once, since freeing it would lose that. For failures while
 * rows are fetched (a deadlock, a link that dies) the library sets the error only on the link.
 * Always returns false. */
static bool note_statement_failure(const struct mariadb_connection *connection, MYSQL_STMT *stmt,
                                   struct mariadb_failure *failure)
{
    MYSQL *mysql = connection->mysql;
    bool own = mariadb.mysql_stmt_errno(stmt) != 0;
    failure->number = own ? mariadb.mysql_stmt_errno(stmt) : mariadb.mysql_errno(mysql);
    snprintf(failure->state, sizeof failure->state, "%s",
             own ? mariadb.mysql_stmt_sqlstate(stmt) : mariadb.mysql_sqlstate(mysql));
    snprintf(failure->message, sizeof failure->message, "%s",
             own ? mariadb.mysql_stmt_error(stmt) : mariadb.mysql_error(mysql));
    return false;
}

static void statement_drop(struct mariadb_connection *connection, int slot)
{
    struct mariadb_statement *statement = connection->statements[slot];
    my_bool ignored;
    connection->statements[slot] = NULL;
    if (!statement)
        return;
    mariadb_columns_free(statement);
    MARIADB_WAITING(connection, mysql_stmt_close, &ignored, statement->stmt);
    free(statement);
}

void mariadb_statements_release(struct mariadb_connection *connection)
{
    for (int i = 0; i < MARIADB_TEXTS_MAX; i++) {
        struct mariadb_statement *statement = connection->statements[i];
        if (!statement)
            continue;
        mariadb_columns_free(statement);
        mariadb.mysql_stmt_close(statement->stmt);
        free(statement);
    }
}

static bool prepare_text(struct mariadb_connection *connection, const struct mariadb_text *text,
                         struct mariadb_statement **ret, struct mariadb_failure *failure)
{
    struct mariadb_statement *statement = calloc(1, sizeof *statement);
    int failed = 0;
    FH_ASSERT(statement != NULL);
    statement->serial = text->serial;
    statement->stmt = mariadb.mysql_stmt_init(connection->mysql);
    FH_ASSERT(statement->stmt != NULL);
    connection->statements[text->slot] = statement;
    MARIADB_WAITING_WITH(connection, mysql_stmt_prepare, &failed, statement->stmt, text->sql,
                         (unsigned long)strlen(text->sql));
    if (!failed) {
        *ret = statement;
        return true;
    }
    note_statement_failure(connection, statement->stmt, failure);
    statement_drop(connection, text->slot);
    return false;
}

bool mariadb_prepare(struct mariadb_connection *connection, const struct mariadb_text *text,
                     struct mariadb_statement **ret, struct mariadb_failure *failure)
{
    *ret = connection->statements[text->slot];
    if (*ret && (*ret)->serial == text->serial)
        return true;
    statement_drop(connection, text->slot);
    if (prepare_text(connection, text, ret, failure))
        return true;
    if (failure->number != ER_MAX_PREPARED_STMT_COUNT_REACHED)
        return false;
    for (int i = 0; i < MARIADB_TEXTS_MAX; i++) /* the server's limit: leave room for others, too */
        statement_drop(connection, i);
    return prepare_text(connection, text, ret, failure);
}

struct reading {
    sql_visit *visit;
    void *context;
    int64_t rows;
    bool given; /* some rows, to `visit` */
};

/* False: `failure` says why; or the error is ours, in `error`. */
static bool fetch_rows(struct mariadb_connection *connection, struct mariadb_statement *statement,
                       struct reading *reading, struct mariadb_failure *failure,
                       struct fh_error *error)
{
    const char *names[MARIADB_COLUMNS_MAX], *types[MARIADB_COLUMNS_MAX];
    struct sql_value values[MARIADB_COLUMNS_MAX];
    if (mariadb_columns_bind(statement, error) != FH_OK)
        return false;
    mariadb_columns_name(statement, names, types);
    struct sql_row row = {statement->column_count, names, types, values};
    bool wanted = reading->visit != NULL;
    sql_values_fill(values, statement->column_count);
    for (;;) {
        int result = 0;
        MARIADB_WAITING(connection, mysql_stmt_fetch, &result, statement->stmt);
        if (result == MYSQL_NO_DATA)
            return true;
        if (result != 0 && result != MYSQL_DATA_TRUNCATED)
            return note_statement_failure(connection, statement->stmt, failure);
        reading->rows++;
        if (!wanted && connection->use == MARIADB_REPORTS) {
            mariadb_connection_break(connection); /* what is left may be without end */
            error_set(error, FH_UNAVAILABLE, "No more rows are wanted.");
            return false;
        }
        if (!wanted)
            continue;
        if (!mariadb_columns_read(statement, result == MYSQL_DATA_TRUNCATED, values)) {
            error_set(error, FH_NO_MEMORY, "A value is too large to be read.");
            return false;
        }
        reading->given = true;
        wanted = reading->visit(reading->context, &row);
    }
}

/* Drops further results of a CALL, the last of which is the statement's own status. */
static bool finish_results(struct mariadb_connection *connection,
                           struct mariadb_statement *statement, struct mariadb_failure *failure)
{
    my_bool ignored;
    int result = 0;
    MARIADB_WAITING(connection, mysql_stmt_free_result, &ignored, statement->stmt);
    while (result == 0 && mariadb.mysql_stmt_more_results(statement->stmt)) {
        MARIADB_WAITING(connection, mysql_stmt_next_result, &result, statement->stmt);
        if (result > 0)
            return note_statement_failure(connection, statement->stmt, failure);
        MARIADB_WAITING(connection, mysql_stmt_free_result, &ignored, statement->stmt);
    }
    return true;
}

/* False: as for fetch_rows. */
static bool execute_statement(struct mariadb_connection *connection,
                              struct mariadb_statement *statement, struct mariadb_bound *bound,
                              struct reading *reading, int64_t *ret_changes,
                              struct mariadb_failure *failure, struct fh_error *error)
{
    MYSQL_STMT *stmt = statement->stmt;
    int failed = 0;
    if (bound->count && mariadb.mysql_stmt_bind_param(stmt, bound->binds) != 0)
        return note_statement_failure(connection, stmt, failure);
    MARIADB_WAITING(connection, mysql_stmt_execute, &failed, stmt);
    if (failed)
        return note_statement_failure(connection, stmt, failure);
    if (mariadb.mysql_stmt_field_count(stmt) == 0) {
        if (ret_changes)
            *ret_changes = (int64_t)mariadb.mysql_stmt_affected_rows(stmt);
        return finish_results(connection, statement, failure);
    }
    bool fine = fetch_rows(connection, statement, reading, failure, error);
    if (!fine && (error->code == FH_OK || connection->broken))
        return false; /* nothing is left to finish */
    if (fine && ret_changes)
        *ret_changes = reading->rows;
    return finish_results(connection, statement, failure) && fine;
}

/* Parses the values that are lists. Each gets a number of places rounded up to a power of two. */
static enum fh_code take_lists(const struct mariadb_text *text, const struct sql_value *values,
                               struct mariadb_lists *lists, struct fh_error *error)
{
    for (int i = 0; i < text->position_count; i++) {
        const struct mariadb_position *position = &text->positions[i];
        int parameter = position->parameter;
        const struct sql_value *value = &values[parameter];
        if (position->element < 0 || lists->arrays[parameter])
            continue;
        if (value->kind != SQL_TEXT ||
            json_parse(value->text, value->length, &lists->arrays[parameter], error) != FH_OK ||
            !json_is_array(lists->arrays[parameter]))
            return error_set(error, FH_UNSUPPORTED, "IN (list) needs an array.");
        int size = (int)json_array_size(lists->arrays[parameter]);
        if (size > MARIADB_LIST_MAX)
            return error_set(error, FH_UNSUPPORTED, "A list has %d elements; %d are the most.",
                             size, MARIADB_LIST_MAX);
        int *places = &lists->places[parameter];
        for (*places = size ? 1 : 0; *places < size;)
            *places *= 2;
    }
    return FH_OK;
}

static void lists_release(struct mariadb_lists *lists)
{
    for (int i = 0; lists && i < MARIADB_PARAMETERS_MAX; i++)
        json_decref(lists->arrays[i]);
    free(lists);
}

/* Gets the text for lists of these lengths. */
static enum fh_code take_variant(struct mariadb_connection *connection, const char *sql,
                                 const struct sql_value *values, struct mariadb_text **text,
                                 struct mariadb_lists **ret, struct fh_error *error)
{
    struct mariadb_text *variant;
    *ret = calloc(1, sizeof **ret);
    if (!*ret)
        return error_set(error, FH_NO_MEMORY, "No memory for a statement's lists.");
    enum fh_code code = take_lists(*text, values, *ret, error);
    if (code == FH_OK)
        code = mariadb_text_get(&connection->store->texts, sql, (*ret)->places, &variant, error);
    if (code != FH_OK)
        return code;
    mariadb_text_put(*text);
    *text = variant;
    return FH_OK;
}

static enum fh_code run_text(struct mariadb_connection *connection, struct mariadb_text *text,
                             const struct sql_value *values, const struct mariadb_lists *lists,
                             struct reading *reading, int64_t *ret_changes,
                             struct mariadb_failure *failure, struct fh_error *error)
{
    struct mariadb_statement *statement;
    struct mariadb_bound bound;
    struct fh_error own = {0};
    enum fh_code code = mariadb_bind(text, values, lists, &bound, error);
    if (code != FH_OK)
        return code;
    if (!mariadb_prepare(connection, text, &statement, failure)) {
        code = mariadb_fail(connection, failure, error);
    } else if ((int)mariadb.mysql_stmt_param_count(statement->stmt) != bound.count) {
        code = error_set(error, FH_UNSUPPORTED, "A statement got %d values for %d parameters.",
                         bound.count, (int)mariadb.mysql_stmt_param_count(statement->stmt));
    } else if (!execute_statement(connection, statement, &bound, reading, ret_changes, failure,
                                  &own)) {
        if (failure->number || own.code == FH_OK) {
            code = mariadb_fail(connection, failure, error);
        } else {
            code = own.code;
            *error = own;
        }
    } else {
        mariadb_columns_shrink(statement);
    }
    mariadb_bound_release(&bound);
    return code;
}

struct running {
    struct mariadb_connection *connection;
    struct mariadb_text *text;
    const struct sql_value *values;
    const struct mariadb_lists *lists;
    struct reading reading;
    int64_t *ret_changes;
};

static enum fh_code run_statement_once(struct running *running, struct mariadb_failure *failure,
                                       struct fh_error *error)
{
    *failure = (struct mariadb_failure){0};
    running->reading.rows = 0;
    if (running->reading.given) /* no row is given twice */
        running->reading.visit = NULL;
    return run_text(running->connection, running->text, running->values, running->lists,
                    &running->reading, running->ret_changes, failure, error);
}

/* Learns, once for each text, which of the statement's times must be sent without their Z: tries
 * one after the other, keeping those that change the server's message; finally all, in case several
 * cause the same message. A statement that fails has done nothing, so it may be tried. */
static enum fh_code run_learning(struct running *running, struct mariadb_failure *failure,
                                 struct fh_error *error)
{
    struct mariadb_text *text = running->text;
    enum fh_code code = run_statement_once(running, failure, error);
    if (code == FH_OK || !mariadb_refuses_instant(failure))
        return code;
    for (int i = 0; i < text->position_count; i++) {
        struct mariadb_failure before = *failure;
        if (!mariadb_may_be_instant(text, i, running->values, failure))
            continue;
        text->positions[i].instant = true;
        code = run_statement_once(running, failure, error);
        if (code == FH_OK || !mariadb_refuses_instant(failure))
            return code;
        text->positions[i].instant = strcmp(before.message, failure->message) != 0;
    }
    for (int i = 0; i < text->position_count; i++) {
        if (mariadb_may_be_instant(text, i, running->values, failure))
            text->positions[i].instant = true;
    }
    return run_statement_once(running, failure, error);
}

enum fh_code mariadb_run(struct mariadb_connection *connection, const char *sql,
                         const struct sql_value *values, int count, sql_visit *visit, void *context,
                         int64_t *ret_changes, struct mariadb_failure *failure,
                         struct fh_error *error)
{
    struct mariadb_lists *lists = NULL;
    struct mariadb_text *text;
    enum fh_code code = mariadb_text_get(&connection->store->texts, sql, NULL, &text, error);
    if (code != FH_OK)
        return code;
    connection->deadline_ns = world_in_ms(connection->store->base.world, connection->statement_ms);
    connection->running = true;
    if (text->parameter_count > count)
        code = error_set(error, FH_UNSUPPORTED, "A statement got %d values for its parameters.",
                         count);
    else if (text->list)
        code = take_variant(connection, sql, values, &text, &lists, error);
    struct running running = {connection, text, values, lists, {visit, context, 0, false},
                              ret_changes};
    if (code == FH_OK)
        code = run_learning(&running, failure, error);
    failure->visited = running.reading.given;
    if (code == FH_OK && visit && !running.reading.visit) {
        failure->again = true;
        code = error_retry(error, FH_CONFLICT,
                           "A statement's time was refused among its rows: it runs again with the "
                           "time as the store takes it.");
    }
    connection->running = false;
    mariadb_text_put(text);
    lists_release(lists);
    return code;
}
