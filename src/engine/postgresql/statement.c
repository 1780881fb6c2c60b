/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statements of the PostgreSQL engine: their texts, cached by address and by content, and their
 * parameters.
 *
 * ?1 becomes $1, and "IN (?1[])", which is how sql_ops.list_format writes a list, becomes "= ANY
 * ($1)" ("NOT IN": "<> ALL ($1)"), so that the server infers the element's type from what it is
 * compared with, whatever the JSON array holds. Text in quotes, comments and dollar quotes is left
 * alone.
 *
 * Parameters are sent as text, in the types that the server infers: 1 is true where it expects a
 * boolean, and "7" is a number where it expects one. Only for texts is it asked first, once for
 * each statement, which types those are (a text may be meant as JSON, as bytes in base64, as an
 * array).
 */

#include <ctype.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/real.h"
#include "base/text.h"
#include "engine/postgresql/beside.h"
#include "engine/postgresql/internal.h"

#define TEXT_MAX ((size_t)2 << 20) /* what is longer has been refused, see relational.h */

enum { BYTEA = 17, TEXT = 25, JSON = 114, VARCHAR = 1043, JSONB = 3802 };

/* ---- Texts ---- */

static bool continues_name(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static size_t quoted_part_length(const char *at, bool backslashes)
{
    size_t i = 1;
    while (at[i]) {
        if (at[i] == '\\' && backslashes && at[i + 1])
            i += 2;
        else if (at[i++] == *at)
            return i;
    }
    return i;
}

static size_t comment_length(const char *at)
{
    size_t i = 2;
    for (int depth = 1; at[i] && depth > 0; i++) {
        bool closes = at[i] == '*' && at[i + 1] == '/', opens = at[i] == '/' && at[i + 1] == '*';
        depth += opens - closes;
        i += opens || closes;
    }
    return i;
}

/* $tag$ ... $tag$ */
static size_t dollar_quoted_length(const char *at)
{
    size_t tag = 1;
    if (!isdigit((unsigned char)at[1])) {
        while (continues_name(at[tag]))
            tag++;
    }
    if (at[tag++] != '$')
        return 0;
    for (const char *end = at + tag; (end = strchr(end, '$')); end++) {
        if (strncmp(end, at, tag) == 0)
            return (size_t)(end - at) + tag;
    }
    return strlen(at);
}

size_t postgresql_quoted(const char *at, char before)
{
    if (*at == '\'' || *at == '"')
        return quoted_part_length(at, *at == '\'' && (before == 'e' || before == 'E'));
    if (at[0] == '-' && at[1] == '-')
        return strcspn(at, "\n");
    if (at[0] == '/' && at[1] == '*')
        return comment_length(at);
    return *at == '$' && !continues_name(before) ? dollar_quoted_length(at) : 0;
}

static size_t without_spaces(const char *data, size_t length)
{
    while (length && isspace((unsigned char)data[length - 1]))
        length--;
    return length;
}

/* Whether the text ends in this word; then *length becomes the length before it. */
static bool ends_in(const char *data, size_t *length, const char *word)
{
    size_t end = without_spaces(data, *length), size = strlen(word);
    if (end <= size || strncasecmp(data + end - size, word, size) != 0 ||
        (continues_name(*word) && continues_name(data[end - size - 1])))
        return false;
    *length = end - size;
    return true;
}

/* "id NOT IN (" -> "id <> ALL (" */
static void write_list(struct text *sql, int number)
{
    size_t length = sql->length;
    if (!ends_in(sql->data, &length, "(") || !ends_in(sql->data, &length, "IN")) {
        text_printf(sql, "$%d", number);
        return;
    }
    bool none = ends_in(sql->data, &length, "NOT");
    sql->length = without_spaces(sql->data, length);
    text_printf(sql, " %s ($%d", none ? "<> ALL" : "= ANY", number);
}

static struct postgresql_statement *statement_new(const char *text)
{
    struct postgresql_statement *statement = calloc(1, sizeof *statement);
    FH_ASSERT(statement != NULL);
    struct text sql;
    text_init(&sql, TEXT_MAX);
    text_add(&sql, "");
    for (const char *at = text; *at;) {
        size_t length = postgresql_quoted(at, at > text ? at[-1] : ' ');
        int number = 0, taken = 0;
        if (length || *at != '?' || !isdigit((unsigned char)at[1]) ||
            sscanf(at, "?%3d%n", &number, &taken) != 1 || number < 1 ||
            number > POSTGRESQL_PARAMETERS_MAX) {
            length = length ? length : 1;
            text_append(&sql, at, length);
            at += length;
            continue;
        }
        at += taken;
        if (number > statement->parameter_count)
            statement->parameter_count = number;
        if (strncmp(at, "[]", 2) == 0) {
            at += 2;
            statement->lists[number - 1] = true;
            write_list(&sql, number);
        } else {
            text_printf(&sql, "$%d", number);
        }
    }
    FH_ASSERT(!sql.overflow);
    statement->sql = text_take(&sql);
    statement->text = strdup(text);
    FH_ASSERT(statement->text != NULL);
    postgresql_insert_read(text, &statement->insert);
    return statement;
}

static void statement_free(struct postgresql_statement *statement)
{
    if (!statement)
        return;
    free(statement->text);
    free(statement->sql);
    free(statement);
}

void postgresql_statements_release(struct postgresql_statements *statements)
{
    for (int i = 0; i < POSTGRESQL_SLOTS; i++)
        statement_free(statements->slots[i]);
    map_release(&statements->by_text);
    *statements = (struct postgresql_statements){0};
}

/* Finds a slot, evicting the oldest statement not in use. */
static bool slot_free(struct postgresql_statements *statements, int *ret)
{
    for (int i = 0; i < POSTGRESQL_SLOTS; i++) {
        int slot = statements->next;
        struct postgresql_statement *old = statements->slots[slot];
        statements->next = (slot + 1) % POSTGRESQL_SLOTS;
        if (old && old->users)
            continue;
        *ret = slot;
        if (!old)
            return true;
        map_remove(&statements->by_text, old->text);
        for (int j = 0; j < POSTGRESQL_RECENT; j++) {
            if (statements->recent[j].statement == old)
                statements->recent[j] = (struct postgresql_recent){0};
        }
        statement_free(old);
        statements->slots[slot] = NULL;
        return true;
    }
    return false;
}

/* Whether the statement would end the transaction or change the session, which others use later. */
static bool controls_transaction(const char *sql)
{
    static const char *const words[] = {
        "ABORT", "BEGIN",   "COMMIT", "COPY",    "DEALLOCATE", "DISCARD",   "END",   "LISTEN",
        "LOAD",  "PREPARE", "RESET",  "RELEASE", "ROLLBACK",   "SAVEPOINT", "START", "SET"};
    for (size_t length; (length = strspn(sql, " \t\r\n;")) > 0 ||
                        (strchr("-/", *sql) && (length = postgresql_quoted(sql, ' ')) > 0);)
        sql += length;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t length = strlen(words[i]);
        if (strncasecmp(sql, words[i], length) == 0 && !continues_name(sql[length]))
            return true;
    }
    return false;
}

enum fh_code postgresql_statement_get(struct postgresql_store *store, const char *text,
                                      struct postgresql_statement **ret, struct fh_error *error)
{
    struct postgresql_statements *statements = &store->statements;
    uintptr_t place = (uintptr_t)text;
    struct postgresql_recent *recent =
        &statements->recent[(place >> 4 ^ place >> 12) % POSTGRESQL_RECENT];
    *ret = recent->statement;
    if (recent->place == text && strcmp(recent->statement->text, text) == 0)
        return FH_OK;
    *ret = map_get(&statements->by_text, text);
    if (!*ret) {
        int slot;
        if (controls_transaction(text))
            return error_set(error, FH_UNSUPPORTED,
                             "Freehold begins and ends the transaction and owns the session: "
                             "\"%.40s\" can't be run in it.",
                             text);
        enum fh_code code = postgresql_beside_allows(store, text, error);
        if (code != FH_OK)
            return code;
        if (!slot_free(statements, &slot))
            return error_set(error, FH_UNAVAILABLE, "More than %d statements are under way.",
                             POSTGRESQL_SLOTS);
        *ret = statement_new(text);
        (*ret)->slot = slot;
        (*ret)->serial = ++statements->serial;
        statements->slots[slot] = *ret;
        map_put(&statements->by_text, text, *ret);
    }
    *recent = (struct postgresql_recent){text, *ret};
    return FH_OK;
}

/* ---- Parameters ---- */

bool postgresql_needs_types(const struct postgresql_statement *statement,
                            const struct sql_value *values, int count)
{
    if (statement->typed)
        return false;
    for (int i = 0; i < count; i++) {
        if (values[i].kind == SQL_TEXT && !statement->lists[i])
            return true;
    }
    return false;
}

/* Valid JSON is taken as it is, any other text as a JSON string. */
static const char *parameter_as_json(struct arena *arena, const struct sql_value *value)
{
    json_t *parsed = NULL;
    const char *text = arena_copy(arena, value->text, value->length);
    if (json_parse(value->text, value->length, &parsed, ERROR_UNHEEDED) == FH_OK) {
        json_decref(parsed);
        return text;
    }
    json_t *string = json_stringn(value->text, value->length);
    char *written = string ? json_text(string) : NULL;
    if (written)
        text = arena_text(arena, written);
    json_text_free(written);
    json_decref(string);
    return text;
}

static enum fh_code as_bytes(struct postgresql_parameters *parameters, int i,
                             const struct sql_value *value, struct fh_error *error)
{
    unsigned char *bytes = arena_try_alloc(&parameters->arena, value->length + 1);
    size_t length = 0;
    if (!bytes || sodium_base642bin(bytes, value->length + 1, value->text, value->length, NULL,
                                    &length, NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
        return error_set(error, FH_INVALID, "Bytes are written in base64, and a value is not.");
    parameters->values[i] = (const char *)bytes;
    parameters->lengths[i] = (int)length;
    parameters->formats[i] = 1;
    return FH_OK;
}

static enum fh_code as_text(struct postgresql_parameters *parameters, int i, bool list, Oid type,
                            const struct sql_value *value, struct fh_error *error)
{
    struct arena *arena = &parameters->arena;
    if (value->length > TEXT_LENGTH_MAX)
        return error_set(error, FH_INVALID, "A value is too large for the store.");
    if (memchr(value->text, '\0', value->length))
        return error_set(error, FH_INVALID, "A text holds a NUL, which the store can't keep.");
    if (list || (postgresql_is_array(type) && value->length && *value->text == '['))
        return postgresql_array_literal(value->text, value->length, arena, &parameters->values[i],
                                        error);
    if (type == BYTEA)
        return as_bytes(parameters, i, value, error);
    if (type == JSON || type == JSONB) {
        parameters->values[i] = parameter_as_json(arena, value);
    } else if (type == TEXT || type == VARCHAR) {
        parameters->values[i] = value->text; /* binary, because that carries a length */
        parameters->lengths[i] = (int)value->length;
        parameters->formats[i] = 1;
    } else {
        parameters->values[i] = arena_copy(arena, value->text, value->length);
    }
    return FH_OK;
}

enum fh_code postgresql_parameters_init(struct postgresql_parameters *parameters,
                                        const struct postgresql_statement *statement,
                                        const struct sql_value *values, int count,
                                        struct fh_error *error)
{
    enum fh_code code = FH_OK;
    parameters->count = count;
    arena_init(&parameters->arena, ARENA_SIZE_MAX * 3);
    if (count != statement->parameter_count)
        return error_set(error, FH_UNSUPPORTED, "A statement with %d parameters got %d values.",
                         statement->parameter_count, count);
    for (int i = 0; i < count && code == FH_OK; i++) {
        const struct sql_value *value = &values[i];
        parameters->values[i] = parameters->numbers[i];
        parameters->lengths[i] = parameters->formats[i] = 0;
        switch (value->kind) {
        case SQL_NULL:
            parameters->values[i] = NULL;
            break;
        case SQL_INTEGER:
            snprintf(parameters->numbers[i], sizeof parameters->numbers[i], "%lld",
                     (long long)value->integer);
            break;
        case SQL_REAL:
            real_digits(value->real, parameters->numbers[i]);
            break;
        case SQL_TEXT:
            code = as_text(parameters, i, statement->lists[i],
                           statement->typed ? statement->types[i] : 0, value, error);
            break;
        case SQL_BLOB:
            parameters->values[i] = value->length ? value->text : "";
            parameters->lengths[i] = (int)value->length;
            parameters->formats[i] = 1;
            break;
        }
    }
    return code;
}

void postgresql_parameters_release(struct postgresql_parameters *parameters)
{
    arena_release(&parameters->arena);
}
