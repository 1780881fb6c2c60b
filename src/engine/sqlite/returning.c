/* SPDX-License-Identifier: Apache-2.0 */
/*
 * INSERT ... RETURNING of one row. SQLite opens a temporary table for what a statement returns and
 * fills it before it gives the first row, which takes several times as long as the insertion. So
 * the row is inserted without RETURNING, and then read by its rowid: two statements in place of
 * one, within the same unit of work.
 *
 * They give the same only where the row is as it was inserted. So the table must have no trigger,
 * must not be a view, a virtual table or one without rowids, and both ways must return columns of
 * the same names and types, and no more than a row may have: once the row is in, that would be
 * refused too late. That is found out when the statement is prepared. Where the schema has changed
 * in the transaction that is still open, which may yet be rolled back, the statement is run as it
 * was written.
 */

#define _GNU_SOURCE
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/sqlite/internal.h"

#define NAME "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
#define SPACE " \t\r\n"
#define NAME_SIZE 128
#define LIST_SIZE 1024

/* INSERT INTO table [(...)] VALUES (...) RETURNING list */
struct insertion {
    char table[NAME_SIZE], list[LIST_SIZE];
    size_t length; /* of what comes before RETURNING */
};

static const char *skip_word(const char *at, const char *word)
{
    size_t length = strlen(word);
    if (!at || strncasecmp(at, word, length) != 0 || strspn(at + length, NAME) > 0)
        return NULL;
    return at + length + strspn(at + length, SPACE);
}

static const char *take_sql_name(const char *at, char name[static NAME_SIZE])
{
    size_t length = at ? strspn(at, NAME) : 0;
    if (length == 0 || length >= NAME_SIZE || isdigit((unsigned char)*at))
        return NULL;
    snprintf(name, NAME_SIZE, "%.*s", (int)length, at);
    return at + length + strspn(at + length, SPACE);
}

/* From a bracket to behind the one that closes it, over whatever is quoted. */
static const char *skip_brackets(const char *at)
{
    int depth = 0;
    if (!at || *at != '(')
        return NULL;
    for (; *at; at++) {
        if (*at == '\'' || *at == '"' || *at == '`') {
            at = strchr(at + 1, *at); /* of a doubled one the second begins another quotation */
            if (!at)
                return NULL;
        } else if (*at == '[') {
            return NULL; /* a name, in which everything may stand */
        } else if (*at == '(') {
            depth++;
        } else if (*at == ')' && --depth == 0) {
            return at + 1 + strspn(at + 1, SPACE);
        }
    }
    return NULL;
}

/* Names and stars only: an expression might mean something else in a SELECT. */
static bool is_list(const char *list)
{
    char name[NAME_SIZE];
    for (const char *at = list; at; at++) {
        at += strspn(at, SPACE);
        at = *at == '*' ? at + 1 + strspn(at + 1, SPACE) : take_sql_name(at, name);
        if (!at || (*at && *at != ','))
            return false;
        if (!*at)
            return true;
    }
    return false;
}

static bool is_insertion(const char *sql, struct insertion *ret)
{
    if (!strcasestr(sql, "returning") || strstr(sql, "--") || strstr(sql, "/*"))
        return false;
    const char *at = skip_word(skip_word(sql + strspn(sql, SPACE), "INSERT"), "INTO");
    at = take_sql_name(at, ret->table);
    at = skip_word(at && *at == '(' ? skip_brackets(at) : at, "VALUES");
    at = skip_brackets(at);
    const char *list = skip_word(at, "RETURNING");
    if (!list || strlen(list) >= LIST_SIZE)
        return false;
    ret->length = (size_t)(at - sql);
    snprintf(ret->list, LIST_SIZE, "%s", list);
    return is_list(ret->list);
}

/* Asked anew for each statement that is prepared; prepared ones are given up after each change of
 * the schema. */
static bool is_plain_table(sqlite3 *db, const char *table)
{
    static const char asked[] =
        "SELECT count(*) = 1 AND min(schema = 'main' AND type = 'table' AND NOT wr)"
        " AND NOT EXISTS (SELECT 1 FROM sqlite_schema"
        "  WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE)"
        " AND NOT EXISTS (SELECT 1 FROM sqlite_temp_schema WHERE type = 'trigger')"
        " AND NOT EXISTS (SELECT 1 FROM pragma_table_xinfo(?1)"
        "  WHERE name COLLATE NOCASE IN ('rowid', 'oid', '_rowid_'))"
        " FROM pragma_table_list WHERE name = ?1 COLLATE NOCASE";
    sqlite3_stmt *statement = NULL;
    bool plain = sqlite3_prepare_v2(db, asked, -1, &statement, NULL) == SQLITE_OK &&
                 sqlite3_bind_text(statement, 1, table, -1, SQLITE_STATIC) == SQLITE_OK &&
                 sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    return plain;
}

static bool is_same_or_none(const char *one, const char *other)
{
    return one && other ? strcmp(one, other) == 0 : one == other;
}

static bool returns_the_same(sqlite3_stmt *one, sqlite3_stmt *other)
{
    int count = sqlite3_column_count(one);
    bool same = count == sqlite3_column_count(other) && count <= SQL_VALUES_MAX;
    for (int i = 0; i < count && same; i++)
        same = is_same_or_none(sqlite3_column_name(one, i), sqlite3_column_name(other, i)) &&
               is_same_or_none(sqlite3_column_decltype(one, i), sqlite3_column_decltype(other, i));
    return same;
}

void sqlite_returning_prepare(sqlite3 *db, const char *sql, struct sqlite_prepared *prepared)
{
    struct insertion insertion;
    char read[LIST_SIZE + NAME_SIZE + 64];
    sqlite3_stmt *insert = NULL, *inserted = NULL;
    if (!is_insertion(sql, &insertion) || !is_plain_table(db, insertion.table))
        return;
    snprintf(read, sizeof read, "SELECT %s FROM %s WHERE rowid = ?1", insertion.list,
             insertion.table);
    bool prepares =
        sqlite3_prepare_v3(db, sql, (int)insertion.length, SQLITE_PREPARE_PERSISTENT, &insert,
                           NULL) == SQLITE_OK &&
        sqlite3_prepare_v3(db, read, -1, SQLITE_PREPARE_PERSISTENT, &inserted, NULL) == SQLITE_OK;
    if (prepares &&
        sqlite3_bind_parameter_count(insert) == sqlite3_bind_parameter_count(prepared->statement) &&
        returns_the_same(prepared->statement, inserted)) {
        prepared->insert = insert;
        prepared->inserted = inserted;
        return;
    }
    sqlite3_finalize(insert);
    sqlite3_finalize(inserted);
}

int sqlite_returning_insert(sqlite3 *db, const struct sqlite_prepared *prepared)
{
    int result = sqlite3_step(prepared->insert);
    if (result != SQLITE_DONE)
        return result;
    if (sqlite3_changes64(db) == 0)
        return SQLITE_DONE; /* the table's own ON CONFLICT IGNORE */
    result = sqlite3_bind_int64(prepared->inserted, 1, sqlite3_last_insert_rowid(db));
    return result == SQLITE_OK ? SQLITE_ROW : result;
}
