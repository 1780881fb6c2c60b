/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers a question, in the unit of work that was given: three kinds of statements, all over one
 * source, the rows that match.
 *
 *     text           fh_derived_N_text by FTS5, each row tried for the filters
 *     filters only   fh_derived_N_tag, by the first of them, each row tried for the others
 *     neither        fh_derived_N itself
 *
 * How many there are; how often each value of a facet occurs; and the ids of one page, behind the
 * cursor, in the order of the rank, of a sorted field or of the keys, rows of the same place by
 * their ids, so that no page gives one twice. Then each row of the page is read, and highlighted
 * (hits.c).
 *
 * The rank is FTS5's bm25, less for what fits better. It counts how often a word occurs in all
 * rows, so it moves a little while others write, and with it the edge between two pages.
 */

#include <stdlib.h>

#include "base/json.h"
#include "store/derived/question.h"

struct searching {
    struct store_work *work;
    struct question *question;
    struct text sql;
    json_t *answer;
    int64_t *ids; /* of the page */
    int count;
    bool more;
    json_t *last; /* what the last one is ordered by */
    struct fh_error *error;
};

/* ---- The source ---- */

static void add_filters(struct searching *searching, const char *id, int first)
{
    const struct question *question = searching->question;
    int value = question_has_text(question) ? 2 : 1;
    for (int i = first; i < question->filter_count; i++)
        text_printf(&searching->sql,
                    " AND EXISTS (SELECT 1 FROM fh_derived_%lld_tag AS f WHERE f.field = %d AND "
                    "f.value = ?%d AND f.id = %s)",
                    (long long)question->number, question->filters[i], value + i, id);
}

static void add_rank(struct searching *searching)
{
    const struct question *question = searching->question;
    text_printf(&searching->sql, ", bm25(fh_derived_%lld_text", (long long)question->number);
    for (const struct fh_derived_field *field = question->declared->fields; field->name; field++) {
        if (field->use & FH_TEXT)
            text_printf(&searching->sql, ", %d.0", field->weight ? field->weight : 1);
    }
    text_add(&searching->sql, ") AS rank");
}

/* A table with the ids that match, and the rank if that is wanted. */
static void add_search_source(struct searching *searching, bool ranked)
{
    const struct question *question = searching->question;
    struct text *sql = &searching->sql;
    long long number = question->number;
    if (question_has_text(question)) {
        char id[48];
        snprintf(id, sizeof id, "fh_derived_%lld_text.rowid", number);
        text_add(sql, "(SELECT rowid AS id");
        if (ranked)
            add_rank(searching);
        text_printf(sql, " FROM fh_derived_%lld_text WHERE fh_derived_%lld_text MATCH ?1", number,
                    number);
        add_filters(searching, id, 0);
        text_add(sql, ")");
    } else if (question->filter_count) {
        text_printf(sql,
                    "(SELECT t.id FROM fh_derived_%lld_tag AS t WHERE t.field = %d AND "
                    "t.value = ?1",
                    number, question->filters[0]);
        add_filters(searching, "t.id", 1);
        text_add(sql, ")");
    } else {
        text_printf(sql, "fh_derived_%lld", number);
    }
}

static bool is_everything(const struct question *question)
{
    return !question_has_text(question) && !question->filter_count;
}

static enum fh_code run_question(struct searching *searching, int values, sql_visit *visit,
                                 void *context)
{
    FH_ASSERT(!searching->sql.overflow);
    enum fh_code code = sql_run(searching->work, searching->sql.data, searching->question->values,
                                values, visit, context, NULL, searching->error);
    text_clear(&searching->sql);
    return code;
}

/* ---- Counts ---- */

static bool take_total(void *context, const struct sql_row *row)
{
    json_object_set_new(context, "total", json_integer(row->values[0].integer));
    return false;
}

static enum fh_code count_total(struct searching *searching)
{
    text_add(&searching->sql, "SELECT count(*) FROM ");
    add_search_source(searching, false);
    return run_question(searching, searching->question->value_count, take_total, searching->answer);
}

struct facet {
    const struct fh_derived_field *field;
    json_t *counts;
};

static bool take_value_count(void *context, const struct sql_row *row)
{
    struct facet *facet = context;
    const struct sql_value *value = &row->values[0];
    json_t *found = value->kind == SQL_TEXT         ? json_stringn(value->text, value->length)
                    : facet->field->type == FH_BOOL ? json_boolean(value->integer)
                                                    : json_integer(value->integer);
    json_array_append_new(facet->counts, json_pack("{s:o, s:I}", "value", found, "count",
                                                   (json_int_t)row->values[1].integer));
    return true;
}

static enum fh_code count_facet(struct searching *searching, const char *name, json_t *facets)
{
    const struct question *question = searching->question;
    int index = question_field(question->declared, name, FH_FACET);
    struct facet facet = {&question->declared->fields[index], json_array()};
    struct text *sql = &searching->sql;
    text_add(sql, "SELECT t.value, count(*) AS n FROM ");
    if (!is_everything(question)) {
        add_search_source(searching, false);
        text_add(sql, " AS h CROSS JOIN ");
    }
    text_printf(sql, "fh_derived_%lld_tag AS t WHERE t.field = %d", (long long)question->number,
                index);
    text_add(sql, is_everything(question) ? "" : " AND t.id = h.id");
    text_printf(sql, " GROUP BY t.value ORDER BY n DESC, t.value LIMIT %d", SEARCH_COUNTS_MAX);
    json_object_set_new(facets, name, facet.counts);
    return run_question(searching, question->value_count, take_value_count, &facet);
}

static enum fh_code count_facets(struct searching *searching)
{
    const char *const *names = searching->question->search->facets;
    json_t *facets = json_object();
    enum fh_code code = FH_OK;
    for (int i = 0; names && names[i] && code == FH_OK; i++)
        code = count_facet(searching, names[i], facets);
    if (names)
        json_object_set_new(searching->answer, "facets", facets);
    else
        json_decref(facets);
    return code;
}

/* ---- The page ---- */

static bool take_page_id(void *context, const struct sql_row *row)
{
    struct searching *searching = context;
    const struct sql_value *value = &row->values[1];
    if (searching->count == searching->question->limit) {
        searching->more = true;
        return false;
    }
    searching->ids[searching->count++] = row->values[0].integer;
    if (searching->count < searching->question->limit)
        return true;
    searching->last = value->kind == SQL_TEXT   ? json_stringn(value->text, value->length)
                      : value->kind == SQL_REAL ? json_real(value->real)
                                                : json_integer(value->integer);
    return true;
}

static void add_order(struct searching *searching, const char *by, const char *id)
{
    const struct question *question = searching->question;
    bool descending = question->search->descending && question->sort >= 0;
    int value = question->value_count;
    if (question->after)
        text_printf(&searching->sql, " WHERE (%s, %s) %s (?%d, ?%d)", by, id,
                    descending ? "<" : ">", value + 1, value + 2);
    text_printf(&searching->sql, " ORDER BY %s%s, %s%s LIMIT %d", by, descending ? " DESC" : "", id,
                descending ? " DESC" : "", question->limit + 1);
}

static enum fh_code find_page(struct searching *searching)
{
    const struct question *question = searching->question;
    struct text *sql = &searching->sql;
    if (question_is_ranked(question)) {
        text_add(sql, "SELECT id, rank FROM ");
        add_search_source(searching, true);
        add_order(searching, "rank", "id");
    } else {
        char by[16] = "r.key";
        if (question->sort >= 0)
            snprintf(by, sizeof by, "r.s%d", question->sort);
        text_printf(sql, "SELECT r.id, %s FROM ", by);
        if (!is_everything(question)) {
            add_search_source(searching, false);
            text_add(sql, " AS h CROSS JOIN ");
        }
        text_printf(sql, "fh_derived_%lld AS r", (long long)question->number);
        text_add(sql, is_everything(question) ? "" : " ON r.id = h.id");
        add_order(searching, by, "r.id");
    }
    return run_question(searching, question->value_count + (question->after ? 2 : 0), take_page_id,
                        searching);
}

static enum fh_code read_page(struct searching *searching)
{
    struct question *question = searching->question;
    json_t *hits = json_array(), *hit;
    json_object_set_new(searching->answer, "hits", hits);
    searching->ids = calloc((size_t)question->limit, sizeof *searching->ids);
    if (!searching->ids)
        return error_set(searching->error, FH_NO_MEMORY, "There is no memory for an answer.");
    enum fh_code code = find_page(searching);
    for (int i = 0; i < searching->count && code == FH_OK; i++) {
        code = question_hit(question, searching->work, searching->ids[i], &hit, searching->error);
        if (code == FH_OK)
            json_array_append_new(hits, hit);
    }
    if (code == FH_OK)
        code =
            question_highlight(question, searching->work, searching->ids, hits, searching->error);
    if (code == FH_OK)
        json_object_set_new(searching->answer, "next",
                            searching->more ? question_cursor(question, searching->last,
                                                              searching->ids[searching->count - 1])
                                            : json_null());
    json_decref(searching->last);
    free(searching->ids);
    return code;
}

/* Off the loop, where the engine lives in this process: sql_ask. */
static enum fh_code answer_question(struct store_work *work, void *context, struct fh_error *error)
{
    struct searching *searching = context;
    struct question *question = searching->question;
    searching->error = error;
    enum fh_code code = derived_number(work, question->declared->name, &question->number, error);
    if (code == FH_OK)
        code = count_total(searching);
    if (code == FH_OK)
        code = read_page(searching);
    return code == FH_OK ? count_facets(searching) : code;
}

enum fh_code derived_sql_search(struct store_work *work, const struct fh_derived *declared,
                                const struct fh_search *search, json_t **ret,
                                struct fh_error *error)
{
    struct question question;
    struct searching searching = {.work = work, .question = &question};
    *ret = NULL;
    enum fh_code code = question_init(&question, declared, search, error);
    if (code == FH_OK) {
        text_init(&searching.sql, DERIVED_SQL_SIZE);
        searching.answer = json_object();
        code = sql_ask(work, answer_question, &searching, error);
        text_release(&searching.sql);
        if (code == FH_OK)
            *ret = searching.answer;
        else
            json_decref(searching.answer);
    }
    question_release(&question);
    return code;
}
