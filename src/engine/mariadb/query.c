/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's own questions to a server: texts without parameters, whose few rows come as texts.
 * One of them is which column a duplicate is about, since the server's error names only the key.
 */

#include <ctype.h>
#include <mysqld_error.h>
#include <stdio.h>
#include <strings.h>

#include "engine/mariadb/internal.h"

enum fh_code mariadb_connection_fail(struct mariadb_connection *connection, struct fh_error *error)
{
    struct mariadb_failure failure = {.number = mariadb.mysql_errno(connection->mysql)};
    snprintf(failure.state, sizeof failure.state, "%s", mariadb.mysql_sqlstate(connection->mysql));
    snprintf(failure.message, sizeof failure.message, "%s", mariadb.mysql_error(connection->mysql));
    return mariadb_fail(connection, &failure, error);
}

static bool take_query_rows(struct mariadb_connection *connection, mariadb_row *row, void *context)
{
    MYSQL_RES *result = NULL;
    MARIADB_WAITING(connection, mysql_store_result, &result, connection->mysql);
    if (!result)
        return mariadb.mysql_field_count(connection->mysql) == 0;
    for (char **texts; (texts = mariadb.mysql_fetch_row(result)) != NULL;) {
        if (row)
            row(context, texts);
    }
    mariadb.mysql_free_result(result);
    return true;
}

enum fh_code mariadb_query(struct mariadb_connection *connection, const char *sql, mariadb_row *row,
                           void *context, struct fh_error *error)
{
    MYSQL *mysql = connection->mysql;
    int failed = 0;
    connection->deadline_ns = world_in_ms(connection->store->base.world, connection->statement_ms);
    MARIADB_WAITING_WITH(connection, mysql_real_query, &failed, mysql, sql,
                         (unsigned long)strlen(sql));
    for (;;) {
        if (failed || !take_query_rows(connection, row, context))
            return mariadb_connection_fail(connection, error);
        if (!mariadb.mysql_more_results(mysql))
            return FH_OK;
        MARIADB_WAITING(connection, mysql_next_result, &failed, mysql);
    }
}

/* ---- which column a key is for ---- */

/* The table named by INSERT INTO, REPLACE INTO or UPDATE, without quotes and schema. */
static bool table_of_statement(const char *sql, char *table, size_t size)
{
    static const char *const before[] = {"INTO", "UPDATE", NULL};
    for (; *sql; sql++) {
        size_t length = 0;
        for (int i = 0; before[i] && !length; i++) {
            if (strncasecmp(sql, before[i], strlen(before[i])) == 0)
                length = strlen(before[i]);
        }
        if (!length || !isspace((unsigned char)sql[length]))
            continue;
        sql += length + strspn(sql + length, " \t\r\n");
        for (;;) {
            bool quotes = *sql == '"' || *sql == '`';
            size_t end = quotes ? strcspn(sql + 1, "\"`") : strcspn(sql, " \t\r\n(.,;");
            snprintf(table, size, "%.*s", (int)end, sql + quotes);
            sql += end + (quotes ? 2 : 0);
            if (*sql != '.')
                return table[0] != '\0';
            sql++;
        }
    }
    return false;
}

static void take_column(void *context, char **row)
{
    char *field = context;
    if (row[0] && !field[0])
        snprintf(field, sizeof((struct fh_error *)0)->field, "%s", row[0]);
}

/* Single quotes are doubled, and backslashes are ordinary. */
void mariadb_add_quoted(struct text *sql, const char *name)
{
    text_add(sql, "'");
    for (; *name; name++)
        text_append(sql, *name == '\'' ? "''" : name, *name == '\'' ? 2 : 1);
    text_add(sql, "'");
}

void mariadb_name_field(struct mariadb_connection *connection, const char *sql,
                        const struct mariadb_failure *failure, struct fh_error *error)
{
    char table[128], key[192], field[sizeof error->field] = "";
    bool duplicate =
        failure->number == ER_DUP_ENTRY || failure->number == ER_DUP_ENTRY_WITH_KEY_NAME;
    if (!duplicate || connection->broken || !table_of_statement(sql, table, sizeof table))
        return;
    mariadb_key_of(failure->message, key, sizeof key);
    struct text question;
    text_init(&question, 2048);
    text_add(&question, "SELECT column_name FROM information_schema.statistics"
                        " WHERE table_schema = DATABASE() AND table_name = ");
    mariadb_add_quoted(&question, table);
    text_add(&question, " AND index_name = ");
    mariadb_add_quoted(&question, key);
    text_add(&question, " ORDER BY seq_in_index");
    struct fh_error ignored;
    if (!question.overflow &&
        mariadb_query(connection, question.data, take_column, field, &ignored) == FH_OK &&
        field[0]) {
        error_set(error, FH_CONFLICT, "There is one with the same %s already.", field);
        snprintf(error->field, sizeof error->field, "%s", field);
        snprintf(error->native, sizeof error->native, "%s %u", failure->state, failure->number);
    }
    text_release(&question);
}
