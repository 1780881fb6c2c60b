/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which tables and columns exist after migrations, read from their SQL with as little knowledge of
 * it as that takes: a statement is cut into words, quoted names and punctuation, and
 *
 *     CREATE TABLE a (b ..., ...)     DROP TABLE a, ...        RENAME TABLE a TO b, ...
 *     ALTER TABLE a ADD [COLUMN] b ..., DROP [COLUMN] b, RENAME [COLUMN] b TO c, RENAME TO c,
 *                   CHANGE [COLUMN] b c ...
 *
 * are followed; everything else is skipped. So what it expects exists, if the migrations were done;
 * what it did not understand it does not expect. Names may be qualified; the last part counts. Case
 * does not: engines fold it in different ways.
 */

#define _GNU_SOURCE
#include "service/adopt.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define TOKEN_SIZE 68 /* names are up to 64 bytes; longer ones are cut, as both engines do */

struct reader {
    json_t *tables;
    const char *file;
    const char *at, *end;
    const struct sql_dialect *dialect;
    /* The token read last. */
    char token[TOKEN_SIZE];
    bool quoted; /* a name in quotes, never a keyword */
    bool over;
};

/* ---- words and punctuation ---- */

static bool is_table_name_character(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '$' || (unsigned char)c >= 0x80;
}

static const char *skip_past(const struct reader *reader, const char *at, const char *what)
{
    size_t length = strlen(what);
    const char *found = memmem(at, (size_t)(reader->end - at), what, length);
    return found ? found + length : reader->end;
}

static void skip_blank(struct reader *reader)
{
    while (reader->at < reader->end) {
        const char *at = reader->at;
        size_t left = (size_t)(reader->end - at);
        if (isspace((unsigned char)*at))
            reader->at++;
        else if (left > 1 && at[0] == '-' && at[1] == '-')
            reader->at = skip_past(reader, at, "\n");
        else if (*at == '#' && sql_has(reader->dialect, SQL_HASH_COMMENTS))
            reader->at = skip_past(reader, at, "\n");
        else if (left > 1 && at[0] == '/' && at[1] == '*')
            reader->at = skip_past(reader, at + 2, "*/");
        else
            return;
    }
}

static void keep_character(struct reader *reader, size_t *length, char c)
{
    if (*length < TOKEN_SIZE - 1)
        reader->token[(*length)++] = (char)tolower((unsigned char)c);
}

/* Up to the closing quote; a doubled one stands for itself. */
static void take_quoted(struct reader *reader, char close)
{
    size_t length = 0;
    bool escapes = close == '\'' && sql_has(reader->dialect, SQL_BACKSLASHES);
    for (reader->at++; reader->at < reader->end; reader->at++) {
        if (escapes && *reader->at == '\\' && reader->at + 1 < reader->end) {
            reader->at++;
        } else if (*reader->at == close) {
            reader->at++;
            if (reader->at == reader->end || *reader->at != close)
                break;
        }
        keep_character(reader, &length, *reader->at);
    }
    reader->token[length] = '\0';
    reader->quoted = true;
}

/* $tag$ ... $tag$. False: it is not one. */
static bool take_dollars(struct reader *reader)
{
    char tag[TOKEN_SIZE];
    size_t length = 1;
    if (*reader->at != '$' || !sql_has(reader->dialect, SQL_DOLLAR_QUOTES))
        return false;
    while (reader->at + length < reader->end && is_table_name_character(reader->at[length]) &&
           reader->at[length] != '$')
        length++;
    if (reader->at + length >= reader->end || reader->at[length] != '$' || length + 2 > TOKEN_SIZE)
        return false;
    snprintf(tag, sizeof tag, "%.*s", (int)length + 1, reader->at);
    reader->at = skip_past(reader, reader->at + length + 1, tag);
    reader->token[0] = '\0';
    reader->quoted = true;
    return true;
}

/* The next token, in lower case; after the last one "", and `over` is set. */
static void next_token(struct reader *reader)
{
    size_t length = 0;
    reader->quoted = false;
    skip_blank(reader);
    reader->over = reader->at >= reader->end;
    reader->token[0] = '\0';
    if (reader->over || take_dollars(reader))
        return;
    char c = *reader->at;
    if (c == '"' || c == '`' || c == '\'') {
        take_quoted(reader, c);
    } else if (c == '[' && sql_has(reader->dialect, SQL_BRACKETS)) {
        take_quoted(reader, ']');
    } else if (is_table_name_character(c)) {
        while (reader->at < reader->end && is_table_name_character(*reader->at))
            keep_character(reader, &length, *reader->at++);
        reader->token[length] = '\0';
    } else {
        snprintf(reader->token, sizeof reader->token, "%c", c);
        reader->at++;
    }
}

static bool token_is(const struct reader *reader, const char *word)
{
    return !reader->over && !reader->quoted && strcmp(reader->token, word) == 0;
}

static bool token_is_one_of(const struct reader *reader, const char *const words[])
{
    for (int i = 0; words[i]; i++) {
        if (token_is(reader, words[i]))
            return true;
    }
    return false;
}

/* Takes the word if it is the next one. */
static bool take_token(struct reader *reader, const char *word)
{
    if (!token_is(reader, word))
        return false;
    next_token(reader);
    return true;
}

static void take_if_exists(struct reader *reader)
{
    if (take_token(reader, "if")) {
        take_token(reader, "not");
        take_token(reader, "exists");
    }
}

/* A name, of which the last part counts: shop.orders is orders. */
static void take_table_name(struct reader *reader, char ret[static TOKEN_SIZE])
{
    ret[0] = '\0';
    while (!reader->over) {
        snprintf(ret, TOKEN_SIZE, "%s", reader->token);
        next_token(reader);
        if (!take_token(reader, "."))
            return;
    }
}

/* Skips to the comma or closing bracket that ends the present item, without taking it. True: the
 * item declares a computed value. */
static bool skip_item(struct reader *reader)
{
    bool computed = false;
    for (int depth = 0; !reader->over; next_token(reader)) {
        if (depth == 0 && (token_is(reader, ",") || token_is(reader, ")")))
            break;
        depth += token_is(reader, "(") - token_is(reader, ")");
        computed |= depth == 0 && (token_is(reader, "generated") || token_is(reader, "as"));
        computed &= !(depth == 0 && token_is(reader, "identity"));
    }
    return computed;
}

/* ---- tables and columns ---- */

static json_t *read_table_of(struct reader *reader, const char *name)
{
    json_t *table = json_object_get(reader->tables, name);
    if (!table) {
        table = json_object();
        json_object_set_new(table, "file", json_string_nocheck(reader->file));
        json_object_set_new(table, "columns", json_object());
        json_object_set_new_nocheck(reader->tables, name, table); /* whatever bytes it has */
    }
    return table;
}

static void add_table_column(struct reader *reader, json_t *table, const char *name)
{
    json_object_set_new_nocheck(json_object_get(table, "columns"), name,
                                json_string_nocheck(reader->file));
}

static void rename_key(json_t *object, const char *from, const char *to)
{
    json_t *value = json_incref(json_object_get(object, from));
    json_object_del(object, from);
    if (value)
        json_object_set_new_nocheck(object, to, value);
}

/* First words of a table's items that are not columns. */
static const char *const no_columns[] = {"primary", "unique",  "key",        "index", "check",
                                         "foreign", "exclude", "constraint", "like",  "fulltext",
                                         "spatial", "period",  NULL};

/* Reads a column, from its name on. */
static void read_table_column(struct reader *reader, json_t *table)
{
    char name[TOKEN_SIZE];
    if (token_is_one_of(reader, no_columns)) {
        skip_item(reader);
        return;
    }
    take_table_name(reader, name);
    if (!skip_item(reader) && *name)
        add_table_column(reader, table, name);
}

/* Reads the list after the opening bracket. */
static void read_table_columns(struct reader *reader, json_t *table)
{
    while (!reader->over && !token_is(reader, ")")) {
        read_table_column(reader, table);
        take_token(reader, ",");
    }
    take_token(reader, ")");
}

static void read_create(struct reader *reader)
{
    static const char *const kinds[] = {"or", "replace", "unlogged", "virtual", "foreign", NULL};
    char name[TOKEN_SIZE];
    bool made = false;
    while (token_is_one_of(reader, kinds)) {
        made |= token_is(reader, "virtual");
        next_token(reader);
    }
    if (!take_token(reader, "table"))
        return; /* a temporary table ends with its session */
    take_if_exists(reader);
    take_table_name(reader, name);
    json_t *table = read_table_of(reader, name);
    if (!made && take_token(reader, "("))
        read_table_columns(reader, table);
}

static void read_drop(struct reader *reader)
{
    char name[TOKEN_SIZE];
    if (!take_token(reader, "table"))
        return;
    take_if_exists(reader);
    do {
        take_table_name(reader, name);
        json_object_del(reader->tables, name);
    } while (take_token(reader, ","));
}

static void rename_tables(struct reader *reader)
{
    char from[TOKEN_SIZE], to[TOKEN_SIZE];
    if (!take_token(reader, "table") && !take_token(reader, "tables"))
        return;
    do {
        take_if_exists(reader);
        take_table_name(reader, from);
        if (!take_token(reader, "to"))
            return;
        take_table_name(reader, to);
        rename_key(reader->tables, from, to);
    } while (take_token(reader, ","));
}

/* ---- ALTER TABLE ---- */

static void alter_add(struct reader *reader, json_t *table)
{
    take_token(reader, "column");
    take_if_exists(reader);
    if (take_token(reader, "("))
        read_table_columns(reader, table);
    else
        read_table_column(reader, table);
}

static void alter_drop(struct reader *reader, json_t *table)
{
    static const char *const others[] = {"constraint", "index",     "key", "primary",
                                         "foreign",    "partition", NULL};
    char name[TOKEN_SIZE];
    if (token_is_one_of(reader, others))
        return;
    take_token(reader, "column");
    take_if_exists(reader);
    take_table_name(reader, name);
    json_object_del(json_object_get(table, "columns"), name);
}

/* `name` is the table's own, which may change. */
static void alter_rename(struct reader *reader, char name[static TOKEN_SIZE])
{
    static const char *const others[] = {"constraint", "index", "key", NULL};
    char from[TOKEN_SIZE], to[TOKEN_SIZE];
    if (token_is_one_of(reader, others))
        return;
    if (take_token(reader, "to")) {
        take_table_name(reader, to);
        rename_key(reader->tables, name, to);
        snprintf(name, TOKEN_SIZE, "%s", to);
        return;
    }
    take_token(reader, "column");
    take_if_exists(reader);
    take_table_name(reader, from);
    if (!take_token(reader, "to"))
        return;
    take_table_name(reader, to);
    rename_key(json_object_get(read_table_of(reader, name), "columns"), from, to);
}

static void alter_change(struct reader *reader, json_t *table)
{
    char from[TOKEN_SIZE], to[TOKEN_SIZE];
    take_token(reader, "column");
    take_if_exists(reader);
    take_table_name(reader, from);
    take_table_name(reader, to);
    rename_key(json_object_get(table, "columns"), from, to);
}

static void read_alter(struct reader *reader)
{
    char name[TOKEN_SIZE];
    take_token(reader, "foreign");
    take_token(reader, "online");
    take_token(reader, "ignore");
    if (!take_token(reader, "table"))
        return;
    take_if_exists(reader);
    take_token(reader, "only");
    take_table_name(reader, name);
    if (!*name)
        return;
    do {
        if (take_token(reader, "add"))
            alter_add(reader, read_table_of(reader, name));
        else if (take_token(reader, "drop"))
            alter_drop(reader, read_table_of(reader, name));
        else if (take_token(reader, "rename"))
            alter_rename(reader, name);
        else if (take_token(reader, "change"))
            alter_change(reader, read_table_of(reader, name));
        skip_item(reader);
    } while (take_token(reader, ","));
}

void adopt_tables_read(json_t *tables, const struct migration *migration,
                       const struct sql_dialect *dialect)
{
    struct script script = script_begin(migration->sql, dialect);
    struct script_statement statement;
    while (script_next(&script, &statement)) {
        struct reader reader = {.tables = tables,
                                .file = migration->name,
                                .at = statement.text,
                                .end = statement.text + statement.length,
                                .dialect = dialect};
        next_token(&reader);
        if (take_token(&reader, "create"))
            read_create(&reader);
        else if (take_token(&reader, "drop"))
            read_drop(&reader);
        else if (take_token(&reader, "rename"))
            rename_tables(&reader);
        else if (take_token(&reader, "alter"))
            read_alter(&reader);
    }
}
