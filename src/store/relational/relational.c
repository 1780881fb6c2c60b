/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQL with :names. Each text is compiled once: names become numbered parameters, and "IN (:names)"
 * becomes the engine's way to take a list in one parameter, so that one text is one prepared
 * statement however long the list is. Quoted text, comments and "::" are left alone. Values are
 * always bound, never pasted.
 */

#include "store/relational/relational.h"

#include <ctype.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/map.h"
#include "base/text.h"

#define COMPILED_MAX 512
#define RECENT 256
#define SAFE_INTEGER ((int64_t)1 << 53)

struct compiled {
    char *text; /* as written */
    char *sql;
    int count;
    int runs;     /* of statements that run with it */
    bool dropped; /* it left the cache meanwhile: the last of these frees it */
    bool control; /* not for handlers */
    bool cut_off; /* too long, or of too many parameters: it never runs */
    char *names[RELATIONAL_NAMES_MAX];
    bool lists[RELATIONAL_NAMES_MAX];
};

struct relational_cache {
    struct map compiled; /* by the text as written */
    struct recent {      /* the same, by the text's address */
        const char *place;
        struct compiled *compiled;
    } recent[RECENT];
};

static void compiled_free(struct compiled *compiled)
{
    if (!compiled)
        return;
    for (int i = 0; i < compiled->count; i++)
        free(compiled->names[i]);
    free(compiled->text);
    free(compiled->sql);
    free(compiled);
}

static void cache_clear(struct relational_cache *cache)
{
    struct map_entry *entry = NULL;
    void *value;
    while (map_next(&cache->compiled, &entry, NULL, &value)) {
        struct compiled *compiled = value;
        compiled->dropped = compiled->runs > 0;
        if (!compiled->dropped)
            compiled_free(compiled);
    }
    map_release(&cache->compiled);
    memset(cache->recent, 0, sizeof cache->recent);
}

void relational_cache_free(struct relational_cache *cache)
{
    if (!cache)
        return;
    cache_clear(cache);
    free(cache);
}

/* The length of the quoted text or comment that begins at `at`; 0: none does. */
static size_t skipped_length(const char *at)
{
    const char *end = NULL;
    if (*at == '\'' || *at == '"' || *at == '`') {
        end = strchr(at + 1, *at);
        return end ? (size_t)(end + 1 - at) : strlen(at);
    }
    if (at[0] == '-' && at[1] == '-')
        return strcspn(at, "\n");
    if (at[0] == '/' && at[1] == '*') {
        end = strstr(at + 2, "*/");
        return end ? (size_t)(end + 2 - at) : strlen(at);
    }
    return at[0] == ':' && at[1] == ':' ? 2 : 0;
}

static bool is_name_character(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* Whether `sql` so far ends in "IN (" and a ")" follows; *ret_open is then the offset of "(". */
static bool is_list_parameter(const struct text *sql, const char *rest, size_t *ret_open)
{
    size_t at = sql->length;
    while (at && isspace((unsigned char)sql->data[at - 1]))
        at--;
    if (!at || sql->data[at - 1] != '(')
        return false;
    *ret_open = --at;
    while (at && isspace((unsigned char)sql->data[at - 1]))
        at--;
    if (at < 3 || strncasecmp(sql->data + at - 2, "IN", 2) != 0 ||
        is_name_character(sql->data[at - 3]))
        return false;
    return rest[strspn(rest, " \t\r\n")] == ')';
}

static int name_number(struct compiled *compiled, const char *name, size_t length, bool list)
{
    for (int i = 0; i < compiled->count; i++) {
        if (strlen(compiled->names[i]) == length && memcmp(compiled->names[i], name, length) == 0 &&
            compiled->lists[i] == list)
            return i;
    }
    if (compiled->count == RELATIONAL_NAMES_MAX)
        return -1;
    compiled->names[compiled->count] = strndup(name, length);
    FH_ASSERT(compiled->names[compiled->count] != NULL);
    compiled->lists[compiled->count] = list;
    return compiled->count++;
}

/* Statements that would end the transaction that the handler may share with others, or change how
 * the store works. */
static bool is_control_statement(const char *sql)
{
    static const char *const words[] = {"ATTACH", "BEGIN",   "COMMIT",   "DETACH",    "END",
                                        "PRAGMA", "RELEASE", "ROLLBACK", "SAVEPOINT", "VACUUM"};
    for (size_t length; (length = strspn(sql, " \t\r\n;")) > 0 ||
                        (strchr("-/", *sql) && (length = skipped_length(sql)) > 0);)
        sql += length;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t length = strlen(words[i]);
        if (strncasecmp(sql, words[i], length) == 0 && !is_name_character(sql[length]))
            return true;
    }
    return false;
}

static struct compiled *compile_text(const char *sql, const char *list_format)
{
    struct compiled *compiled = calloc(1, sizeof *compiled);
    FH_ASSERT(compiled != NULL);
    struct text text;
    text_init(&text, RELATIONAL_SQL_MAX);
    for (const char *at = sql; *at;) {
        size_t length = skipped_length(at);
        if (length || *at != ':' || !is_name_character(at[1])) {
            length = length ? length : 1;
            text_append(&text, at, length);
            at += length;
            continue;
        }
        const char *name = ++at;
        while (is_name_character(*at))
            at++;
        size_t open = 0;
        bool list = is_list_parameter(&text, at, &open);
        int number = name_number(compiled, name, (size_t)(at - name), list);
        if (number < 0) {
            text.overflow = true;
            break;
        }
        if (!list) {
            text_printf(&text, "?%d", number + 1);
            continue;
        }
        text.length = open;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        text_printf(&text, list_format, number + 1);
#pragma GCC diagnostic pop
        at += strspn(at, " \t\r\n") + 1;
    }
    compiled->cut_off = text.overflow;
    compiled->sql = text_take(&text);
    compiled->control = is_control_statement(sql);
    compiled->text = strdup(sql);
    FH_ASSERT(compiled->text != NULL);
    return compiled;
}

void relational_read(const char *sql, const char *list_format, struct relational_reading *ret)
{
    struct compiled *compiled = compile_text(sql, list_format);
    *ret = (struct relational_reading){.sql = compiled->sql,
                                       .count = compiled->count,
                                       .control = compiled->control,
                                       .cut_off = compiled->cut_off};
    for (int i = 0; i < compiled->count; i++)
        ret->lists |= compiled->lists[i];
    memcpy(ret->names, compiled->names, sizeof ret->names);
    compiled->sql = NULL;
    compiled->count = 0;
    compiled_free(compiled);
}

void relational_reading_release(struct relational_reading *reading)
{
    for (int i = 0; i < reading->count; i++)
        free(reading->names[i]);
    free(reading->sql);
    *reading = (struct relational_reading){0};
}

static struct compiled *compiled_get(struct store *store, const char *sql)
{
    if (!store->relational) {
        store->relational = calloc(1, sizeof *store->relational);
        FH_ASSERT(store->relational != NULL);
    }
    uintptr_t place = (uintptr_t)sql;
    struct recent *recent = &store->relational->recent[(place >> 4 ^ place >> 12) % RECENT];
    if (recent->place == sql && strcmp(recent->compiled->text, sql) == 0)
        return recent->compiled;
    struct map *map = &store->relational->compiled;
    struct compiled *compiled = map_get(map, sql);
    if (!compiled) {
        if (map->count >= COMPILED_MAX)
            cache_clear(store->relational);
        compiled = compile_text(sql, store->engine->sql->list_format);
        map_put(map, sql, compiled);
    }
    *recent = (struct recent){sql, compiled};
    return compiled;
}

/* While it runs, the fiber may wait, and others may fill the cache. */
static struct compiled *compiled_take(struct store *store, const char *sql)
{
    struct compiled *compiled = compiled_get(store, sql);
    compiled->runs++;
    return compiled;
}

static void compiled_give(struct compiled *compiled)
{
    if (--compiled->runs == 0 && compiled->dropped)
        compiled_free(compiled);
}

static json_t *value_named(const char *name, json_t *const *objects, int count)
{
    for (int i = 0; i < count; i++) {
        json_t *value = json_object_get(objects[i], name);
        if (value)
            return value;
    }
    return NULL;
}

/* The caller frees *ret_text if it is not NULL. */
static struct sql_value bind_json_value(const json_t *value, char **ret_text)
{
    *ret_text = NULL;
    switch (json_typeof(value)) {
    case JSON_NULL:
        return (struct sql_value){.kind = SQL_NULL};
    case JSON_TRUE:
        return sql_integer(1);
    case JSON_FALSE:
        return sql_integer(0);
    case JSON_INTEGER:
        return sql_integer(json_integer_value(value));
    case JSON_REAL:
        return (struct sql_value){.kind = SQL_REAL, .real = json_real_value(value)};
    case JSON_STRING:
        return (struct sql_value){.kind = SQL_TEXT,
                                  .text = json_string_value(value),
                                  .length = json_string_length(value)};
    case JSON_OBJECT:
    case JSON_ARRAY:
        break;
    }
    *ret_text = json_text(value);
    return sql_text(*ret_text);
}

static json_t *base64_of(const struct sql_value *value)
{
    size_t size = sodium_base64_encoded_len(value->length, sodium_base64_VARIANT_ORIGINAL);
    char *text = malloc(size);
    FH_ASSERT(text != NULL);
    sodium_bin2base64(text, size, (const unsigned char *)value->text, value->length,
                      sodium_base64_VARIANT_ORIGINAL);
    json_t *string = json_string(text);
    free(text);
    return string;
}

/* Whether a declared type begins with this word, in capitals. Asked of each value: most types
 * differ in their first letter, BIGINT and BOOLEAN in the second. */
static bool type_begins(const char *type, const char *word)
{
    return type && (type[0] & ~0x20) == word[0] && (type[1] & ~0x20) == word[1] &&
           strncasecmp(type, word, 4) == 0;
}

static json_t *typed_text(const struct sql_value *value, const char *type)
{
    if (type_begins(type, "JSON")) {
        json_t *parsed;
        if (json_parse(value->text, value->length, &parsed, ERROR_UNHEEDED) == FH_OK)
            return parsed;
    }
    return json_stringn(value->text, value->length);
}

json_t *relational_json(const struct sql_value *value, const char *type)
{
    switch (value->kind) {
    case SQL_NULL:
        break;
    case SQL_INTEGER:
        if (type_begins(type, "BOOL"))
            return json_boolean(value->integer != 0);
        if (value->integer <= SAFE_INTEGER && value->integer >= -SAFE_INTEGER)
            return json_integer(value->integer);
        return json_sprintf("%lld", (long long)value->integer);
    case SQL_REAL:
        return json_real(value->real);
    case SQL_TEXT:
        return typed_text(value, type);
    case SQL_BLOB:
        return base64_of(value);
    }
    return json_null();
}

struct collecting {
    json_t *rows;
    int row_max;
    bool too_many, failed;
};

static bool collect_row(void *context, const struct sql_row *row)
{
    struct collecting *collecting = context;
    if (json_array_size(collecting->rows) >= (size_t)collecting->row_max) {
        collecting->too_many = true;
        return false;
    }
    json_t *object = json_object();
    for (int i = 0; i < row->count; i++) {
        if (json_object_set_new_nocheck(object, row->names[i],
                                        relational_json(&row->values[i], row->types[i])) != 0)
            collecting->failed = true;
    }
    if (json_array_append_new(collecting->rows, object) != 0)
        collecting->failed = true;
    return !collecting->failed;
}

static enum fh_code run_compiled(struct store_work *work, const struct compiled *compiled,
                                 json_t *const *objects, int count, int row_max, json_t **ret_rows,
                                 int64_t *ret_changes, struct fh_error *error)
{
    struct sql_value values[RELATIONAL_NAMES_MAX];
    char *texts[RELATIONAL_NAMES_MAX] = {0};
    enum fh_code code = FH_OK;
    if (compiled->control)
        return error_set(error, FH_UNSUPPORTED,
                         "Freehold begins and ends the transaction and owns the store: \"%.40s\" "
                         "can't be run in it.",
                         compiled->text);
    if (compiled->cut_off)
        return error_set(error, FH_UNSUPPORTED,
                         "\"%.40s\" is longer than %zu bytes or has more than %d parameters.",
                         compiled->text, RELATIONAL_SQL_MAX, RELATIONAL_NAMES_MAX);
    for (int i = 0; i < compiled->count && code == FH_OK; i++) {
        json_t *value = value_named(compiled->names[i], objects, count);
        if (!value)
            code = error_set(error, FH_UNSUPPORTED,
                             "No object given to the statement has \"%s\", for its parameter :%s.",
                             compiled->names[i], compiled->names[i]);
        else if (compiled->lists[i] && !json_is_array(value))
            code = error_set(error, FH_UNSUPPORTED, "IN (:%s) needs an array.", compiled->names[i]);
        else
            values[i] = bind_json_value(value, &texts[i]);
    }
    struct collecting collecting = {.rows = ret_rows ? json_array() : NULL, .row_max = row_max};
    if (code == FH_OK)
        code = sql_run(work, compiled->sql, values, compiled->count, ret_rows ? collect_row : NULL,
                       &collecting, ret_changes, error);
    for (int i = 0; i < compiled->count; i++)
        json_text_free(texts[i]);
    if (code == FH_OK && collecting.too_many)
        code = error_set(error, FH_UNSUPPORTED, "The statement found more than %d rows.", row_max);
    if (code == FH_OK && collecting.failed)
        code = error_set(error, FH_NO_MEMORY, "The rows found are too large.");
    if (code != FH_OK)
        json_decref(collecting.rows);
    else if (ret_rows)
        *ret_rows = collecting.rows;
    return code;
}

enum fh_code relational_run(struct store_work *work, const char *sql, json_t *const *objects,
                            int count, int row_max, json_t **ret_rows, int64_t *ret_changes,
                            struct fh_error *error)
{
    struct compiled *compiled = compiled_take(work->store, sql);
    work->statement = ++work->statements;
    enum fh_code code =
        run_compiled(work, compiled, objects, count, row_max, ret_rows, ret_changes, error);
    work->statement = 0;
    compiled_give(compiled);
    return code;
}
