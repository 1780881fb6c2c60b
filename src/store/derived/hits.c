/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hits of a page: each one's value, put together of the row's body and its kept texts, and
 * their highlights. Those come from one statement, which looks for all that match once more: FTS5
 * would do so for each row of the page that it is asked for, and a word that may go on is a merge
 * of many.
 *
 * What was found stands between two control characters (excerpt.c). Then the text is made HTML, in
 * which they are <mark> and </mark>: whatever else a text has is escaped, so it can be shown as it
 * is. A text that has these characters itself gets marks in other places, but each is closed.
 */

#include "base/json.h"
#include "store/derived/best.h"

#define HTML_SIZE_MAX ((size_t)8 * DERIVED_VALUE_SIZE_MAX)

struct hit {
    const struct question *question;
    json_t *hit;
    bool found; /* its row */
    enum fh_code code;
    struct fh_error *error;
};

/* ---- The value ---- */

static json_t *value_of(const struct fh_derived *declared, const json_t *body,
                        const struct sql_value *texts)
{
    json_t *value = json_object();
    for (const struct fh_derived_field *field = declared->fields; field->name; field++) {
        if (!derived_is_kept_text(field))
            json_object_set(value, field->name, json_object_get(body, field->name));
        else if (texts->kind == SQL_TEXT)
            json_object_set_new(value, field->name, json_stringn(texts->text, texts->length));
        else
            json_object_set_new(value, field->name, json_null());
        texts += derived_is_kept_text(field);
    }
    return value;
}

static bool take_hit(void *context, const struct sql_row *row)
{
    struct hit *hit = context;
    const struct sql_value *key = &row->values[0], *kept = &row->values[1];
    json_t *body;
    hit->found = true;
    hit->code = json_parse(kept->text, kept->length, &body, hit->error);
    if (hit->code != FH_OK)
        return false;
    hit->hit = json_pack("{s:o, s:o}", "key", json_stringn(key->text, key->length), "value",
                         value_of(hit->question->declared, body, &row->values[2]));
    json_decref(body);
    return false;
}

static enum fh_code read_hit(struct hit *hit, struct store_work *work, int64_t id)
{
    const struct question *question = hit->question;
    const struct fh_derived_field *fields = question->declared->fields;
    struct sql_value value = sql_integer(id);
    struct text sql;
    text_init(&sql, DERIVED_SQL_SIZE);
    text_add(&sql, "SELECT r.key, r.body");
    for (int i = 0; fields[i].name; i++) {
        if (derived_is_kept_text(&fields[i]))
            text_printf(&sql, ", x.c%d", question_text_column(question->declared, i));
    }
    text_printf(&sql,
                " FROM fh_derived_%lld AS r JOIN fh_derived_%lld_text_content AS x ON x.id = r.id"
                " WHERE r.id = ?1",
                (long long)question->number, (long long)question->number);
    FH_ASSERT(!sql.overflow);
    enum fh_code code = sql_run(work, sql.data, &value, 1, take_hit, hit, NULL, hit->error);
    text_release(&sql);
    return code == FH_OK ? hit->code : code;
}

/* ---- The highlight ---- */

static const char *html_of(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

static void add_html(struct text *html, const char *text, size_t length)
{
    bool marked = false;
    for (size_t i = 0; i < length; i++) {
        bool is_mark = text[i] == DERIVED_MARK_BEGINS || text[i] == DERIVED_MARK_ENDS;
        if (is_mark && marked != (text[i] == DERIVED_MARK_BEGINS)) {
            marked = !marked;
            text_add(html, marked ? "<mark>" : "</mark>");
        } else if (!is_mark && html_of(text[i])) {
            text_add(html, html_of(text[i]));
        } else if (!is_mark) {
            text_append(html, &text[i], 1);
        }
    }
    text_add(html, marked ? "</mark>" : "");
}

struct highlighting {
    const struct question *question;
    const struct best *best;
    json_t *hits; /* one for each match of these */
    enum fh_code code;
    struct fh_error *error;
};

json_t *derived_highlight_html(const char *text, size_t length)
{
    struct text html;
    text_init(&html, HTML_SIZE_MAX);
    add_html(&html, text, length);
    json_t *shown = html.overflow ? NULL : json_stringn(html.data ? html.data : "", html.length);
    text_release(&html);
    return shown;
}

static bool take_highlight(void *context, const struct sql_row *row)
{
    struct highlighting *highlighting = context;
    const struct sql_value *text = &row->values[1];
    size_t at = 0, count = json_array_size(highlighting->hits);
    while (at < count && highlighting->best->heap[at]->id != row->values[0].integer)
        at++;
    if (at == count || text->kind != SQL_TEXT)
        return true;
    json_t *html = derived_highlight_html(text->text, text->length);
    if (!html)
        highlighting->code =
            error_set(highlighting->error, FH_NO_MEMORY, "There is no memory for a highlight.");
    else
        json_object_set_new(json_array_get(highlighting->hits, at), "highlight", html);
    return highlighting->code == FH_OK;
}

void derived_excerpt_sql(struct text *sql, const char *table, int column)
{
    text_printf(sql, "SELECT rowid, fh_excerpt(%s, %d) FROM %s WHERE %s MATCH ?1", table, column,
                table, table);
}

static char *hit_ids_text(const struct best *best)
{
    struct arena *before = json_arena_set(NULL);
    json_t *list = json_array();
    for (int i = 0; i < best->count; i++)
        json_array_append_new(list, json_integer(best->heap[i]->id));
    char *text = json_text(list);
    json_decref(list);
    json_arena_set(before);
    return text;
}

enum fh_code question_highlight(const struct question *question, struct store_work *work,
                                const struct best *best, json_t *hits, struct fh_error *error)
{
    struct highlighting highlighting = {question, best, hits, FH_OK, error};
    char table[48], *list;
    struct text sql;
    if (question->highlight < 0 || !question_has_text(question) || json_array_size(hits) == 0)
        return FH_OK;
    list = hit_ids_text(best);
    const struct sql_value values[] = {question->values[0], sql_text(list)};
    snprintf(table, sizeof table, "fh_derived_%lld_text", (long long)question->number);
    text_init(&sql, DERIVED_SQL_SIZE);
    derived_excerpt_sql(&sql, table, question_text_column(question->declared, question->highlight));
    text_add(&sql, " AND +rowid IN (SELECT value FROM json_each(?2))");
    FH_ASSERT(!sql.overflow);
    enum fh_code code =
        sql_run(work, sql.data, values, 2, take_highlight, &highlighting, NULL, error);
    text_release(&sql);
    json_text_free(list);
    return code == FH_OK ? highlighting.code : code;
}

/* ---- A hit ---- */

enum fh_code question_hit(const struct question *question, struct store_work *work, int64_t id,
                          json_t **ret, struct fh_error *error)
{
    struct hit hit = {.question = question, .error = error};
    enum fh_code code = read_hit(&hit, work, id);
    if (code == FH_OK && hit.found && !hit.hit)
        code = error_set(error, FH_NO_MEMORY, "There is no memory for an answer.");
    else if (code == FH_OK && !hit.hit)
        code = error_set(error, FH_UNAVAILABLE,
                         "The derived store %s has words or tags of a value that it has lost: "
                         "raise its .version, so that it is made anew.",
                         question->declared->name);
    if (code != FH_OK)
        json_decref(hit.hit);
    *ret = code == FH_OK ? hit.hit : NULL;
    return code;
}
