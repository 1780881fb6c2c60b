/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is put into a derived store, and removed from it: its row, its words, its tags, in the unit
 * of work that was given. A key keeps its row's id while something is under it.
 *
 * Invariant: to each row belong one of fh_derived_N_text, under its id, and in fh_derived_N_tag
 * exactly the values of its fields that are found by equality, each once.
 */

#include <stdio.h>

#include "base/json.h"
#include "store/derived/words.h"

#define SORTED_LENGTH_MAX 255 /* a longer text is sorted by its beginning */

struct derived_row {
    struct store_work *work;
    const struct fh_derived *declared;
    int64_t number, id;
    struct text sql;
    struct fh_error *error;
};

static bool take_id(void *context, const struct sql_row *row)
{
    *(int64_t *)context = row->values[0].integer;
    return false;
}

/* Leaves the id 0 where nothing is under the key. */
static enum fh_code row_find(struct derived_row *row, const char *key)
{
    char sql[64];
    struct sql_value value = sql_text(key);
    enum fh_code code = derived_number(row->work, row->declared->name, &row->number, row->error);
    snprintf(sql, sizeof sql, "SELECT id FROM fh_derived_%lld WHERE key = ?1",
             (long long)row->number);
    return code == FH_OK ? sql_run(row->work, sql, &value, 1, take_id, &row->id, NULL, row->error)
                         : code;
}

static enum fh_code row_clear(struct derived_row *row, const char *table, const char *column)
{
    struct sql_value value = sql_integer(row->id);
    text_clear(&row->sql);
    text_printf(&row->sql, "DELETE FROM fh_derived_%lld%s WHERE %s = ?1", (long long)row->number,
                table, column);
    return sql_run(row->work, row->sql.data, &value, 1, NULL, NULL, NULL, row->error);
}

/* ---- The row ---- */

/* All but what fh_derived_N_text keeps. Malloc'ed. */
static char *derived_body_of(const struct fh_derived *declared, const json_t *value)
{
    struct arena *before = json_arena_set(NULL);
    json_t *body = json_object();
    for (const struct fh_derived_field *field = declared->fields; field->name; field++) {
        json_t *member = json_object_get(value, field->name);
        if (!derived_is_kept_text(field))
            FH_ASSERT(json_object_set_new(body, field->name, json_copy_all(member)) == 0);
    }
    char *text = json_text(body);
    json_decref(body);
    json_arena_set(before);
    return text;
}

size_t derived_sorted_length(const char *text, size_t length)
{
    if (length <= SORTED_LENGTH_MAX)
        return length;
    length = SORTED_LENGTH_MAX;
    while (((unsigned char)text[length] & 0xc0) == 0x80)
        length--;
    return length;
}

static struct sql_value sorted_value(const struct fh_derived_field *field, const json_t *value)
{
    if (field->type == FH_INT)
        return sql_integer(json_integer_value(value));
    if (field->type == FH_NUMBER)
        return (struct sql_value){.kind = SQL_REAL, .real = json_number_value(value)};
    struct sql_value text = sql_text(json_string_value(value));
    text.length = derived_sorted_length(text.text, text.length);
    return text;
}

static enum fh_code row_write(struct derived_row *row, const char *key, const json_t *value)
{
    struct sql_value values[DERIVED_FIELDS_MAX + 3];
    int count = 3;
    char *body = derived_body_of(row->declared, value);
    values[0] = row->id ? sql_integer(row->id) : (struct sql_value){.kind = SQL_NULL};
    values[1] = sql_text(key);
    values[2] = sql_text(body);
    text_clear(&row->sql);
    text_printf(&row->sql, "INSERT INTO fh_derived_%lld (id, key, body", (long long)row->number);
    for (int i = 0; row->declared->fields[i].name; i++) {
        const struct fh_derived_field *field = &row->declared->fields[i];
        if (!(field->use & FH_SORTED))
            continue;
        text_printf(&row->sql, ", s%d", i);
        values[count++] = sorted_value(field, json_object_get(value, field->name));
    }
    text_add(&row->sql, ") VALUES (?1, ?2, ?3");
    for (int i = 3; i < count; i++)
        text_printf(&row->sql, ", ?%d", i + 1);
    text_add(&row->sql, ") RETURNING id");
    enum fh_code code =
        sql_run(row->work, row->sql.data, values, count, take_id, &row->id, NULL, row->error);
    json_text_free(body);
    return code;
}

/* ---- Its words and tags ---- */

static struct sql_value text_value(const json_t *value, struct text *lines)
{
    size_t length;
    return sql_text(derived_field_text(value, lines, &length));
}

static enum fh_code words_write(struct derived_row *row, const json_t *value)
{
    struct sql_value values[DERIVED_FIELDS_MAX + 1];
    struct text lines[DERIVED_FIELDS_MAX] = {{0}};
    int count = 1;
    values[0] = sql_integer(row->id);
    text_clear(&row->sql);
    text_printf(&row->sql, "INSERT INTO fh_derived_%lld_text (rowid", (long long)row->number);
    for (int i = 0; row->declared->fields[i].name; i++) {
        const struct fh_derived_field *field = &row->declared->fields[i];
        if (!(field->use & FH_TEXT))
            continue;
        text_printf(&row->sql, ", t%d", i);
        values[count++] = text_value(json_object_get(value, field->name), &lines[i]);
    }
    text_add(&row->sql, ") VALUES (?1");
    for (int i = 1; i < count; i++)
        text_printf(&row->sql, ", ?%d", i + 1);
    text_add(&row->sql, ")");
    enum fh_code code =
        sql_run(row->work, row->sql.data, values, count, NULL, NULL, NULL, row->error);
    for (int i = 0; i < DERIVED_FIELDS_MAX; i++)
        text_release(&lines[i]);
    return code;
}

static struct sql_value tag_value(const json_t *value)
{
    if (json_is_string(value))
        return sql_text(json_string_value(value));
    return sql_integer(json_is_boolean(value) ? json_is_true(value) : json_integer_value(value));
}

static enum fh_code tag_write(struct derived_row *row, int field, const json_t *value)
{
    const struct sql_value values[] = {sql_integer(field), tag_value(value), sql_integer(row->id)};
    text_clear(&row->sql);
    text_printf(&row->sql,
                "INSERT INTO fh_derived_%lld_tag (field, value, id) VALUES (?1, ?2, ?3)"
                " ON CONFLICT DO NOTHING",
                (long long)row->number);
    return sql_run(row->work, row->sql.data, values, 3, NULL, NULL, NULL, row->error);
}

static enum fh_code tags_write(struct derived_row *row, const json_t *value)
{
    enum fh_code code = FH_OK;
    for (int i = 0; row->declared->fields[i].name && code == FH_OK; i++) {
        const json_t *member = json_object_get(value, row->declared->fields[i].name);
        size_t j;
        json_t *one;
        if (!(row->declared->fields[i].use & (FH_FACET | FH_TAG)) || json_is_null(member))
            continue;
        if (!json_is_array(member))
            code = tag_write(row, i, member);
        json_array_foreach (member, j, one) {
            if (code == FH_OK)
                code = tag_write(row, i, one);
        }
    }
    return code;
}

/* ---- All of it ---- */

static void derived_row_begin(struct derived_row *row)
{
    text_init(&row->sql, DERIVED_SQL_SIZE);
}

static enum fh_code derived_row_end(struct derived_row *row, enum fh_code code)
{
    FH_ASSERT(!row->sql.overflow);
    text_release(&row->sql);
    return code;
}

static enum fh_code row_take_out(struct derived_row *row)
{
    enum fh_code code = row_clear(row, "_text", "rowid");
    if (code == FH_OK)
        code = row_clear(row, "_tag", "id");
    if (code == FH_OK)
        code = row_clear(row, "", "id");
    return code == FH_OK ? derived_words_removed(row->work, row->declared, row->number, row->error)
                         : code;
}

enum fh_code derived_sql_put(struct store_work *work, const struct fh_derived *declared,
                             const char *key, const json_t *value, struct fh_error *error)
{
    struct derived_row row = {.work = work, .declared = declared, .error = error};
    derived_row_begin(&row);
    enum fh_code code = row_find(&row, key);
    if (code == FH_OK && row.id)
        code = row_take_out(&row);
    if (code == FH_OK)
        code = row_write(&row, key, value);
    if (code == FH_OK)
        code = words_write(&row, value);
    if (code == FH_OK)
        code = tags_write(&row, value);
    return derived_row_end(&row, code);
}

enum fh_code derived_sql_remove(struct store_work *work, const struct fh_derived *declared,
                                const char *key, struct fh_error *error)
{
    struct derived_row row = {.work = work, .declared = declared, .error = error};
    derived_row_begin(&row);
    enum fh_code code = row_find(&row, key);
    if (code == FH_OK && row.id)
        code = row_take_out(&row);
    return derived_row_end(&row, code);
}
