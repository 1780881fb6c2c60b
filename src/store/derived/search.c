/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers a question, in the unit of work that was given. All that match are walked through once,
 * over one source:
 *
 *     text           fh_derived_N_text by FTS5, each row tried for the filters
 *     filters only   fh_derived_N_tag, by the first of them, each row tried for the others
 *
 * and each match comes with what it is ordered by, the rank, a sorted field or its key, and with
 * its values of the facets. They are counted, in all (facets.c for values), and the best of them
 * kept that come after the cursor (best.c). Without text and filters everything matches: there are
 * indexes for the order and for the counts, and one statement for each.
 *
 * Then each row of the page is read, and highlighted (hits.c). Pages order rows of the same place
 * by their ids, so that no page gives one twice.
 *
 * The rank is bm25 (rank.c), less for what fits better. It counts how long all rows are, and of
 * several words how often each occurs in them: so it moves a little while others write, and with it
 * the edge between two pages.
 */

#include <stdio.h>

#include "base/json.h"
#include "store/derived/best.h"
#include "store/derived/facets.h"
#include "store/derived/words.h"

#define HIGHLIGHT_FOUND_MIN 5000 /* from about so many on it is slower to find them once more */

struct searching {
    struct store_work *work;
    struct question *question;
    struct text sql;
    json_t *answer;
    struct best best;
    struct facets facets;
    uint64_t seed;
    int64_t total, id; /* of the last match */
    enum fh_code code; /* of what rows were made into */
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
    text_printf(&searching->sql, ", fh_rank(fh_derived_%lld_text, d.sz, %d",
                (long long)question->number,
                question_is_unfinished(question) ? question->phrases : 0);
    for (const struct fh_derived_field *field = question->declared->fields; field->name; field++) {
        if (field->use & FH_TEXT)
            text_printf(&searching->sql, ", %d.0", field->weight ? field->weight : 1);
    }
    text_add(&searching->sql, ") AS rank");
}

/* A table with the ids that match, and their rank if they are ordered by it. */
static void add_search_source(struct searching *searching)
{
    const struct question *question = searching->question;
    struct text *sql = &searching->sql;
    long long number = question->number;
    if (question_has_text(question)) {
        char id[48];
        snprintf(id, sizeof id, "fh_derived_%lld_text.rowid", number);
        text_printf(sql, "(SELECT %s AS id", id);
        if (question_is_ranked(question))
            add_rank(searching);
        text_printf(sql, " FROM fh_derived_%lld_text", number);
        if (question_is_ranked(question))
            text_printf(sql, " LEFT JOIN fh_derived_%lld_text_docsize AS d ON d.id = %s", number,
                        id);
        text_printf(sql, " WHERE fh_derived_%lld_text MATCH ?1", number);
        add_filters(searching, id, 0);
        /* Not taken apart for the join: else a match is ranked for each of its values. */
        text_add(sql, " LIMIT -1)");
    } else {
        text_printf(sql,
                    "(SELECT t.id FROM fh_derived_%lld_tag AS t WHERE t.field = %d AND "
                    "t.value = ?1",
                    number, question->filters[0]);
        add_filters(searching, "t.id", 1);
        text_add(sql, ")");
    }
}

static enum fh_code run_question(struct searching *searching, int values, sql_visit *visit)
{
    FH_ASSERT(!searching->sql.overflow);
    enum fh_code code = sql_run(searching->work, searching->sql.data, searching->question->values,
                                values, visit, searching, NULL, searching->error);
    text_clear(&searching->sql);
    return code == FH_OK ? searching->code : code;
}

/* What a page is ordered by, of the row r. */
static void add_order_column(struct searching *searching)
{
    if (searching->question->sort >= 0)
        text_printf(&searching->sql, "r.s%d", searching->question->sort);
    else
        text_add(&searching->sql, "r.key");
}

/* ---- The walk ---- */

static bool take_match(void *context, const struct sql_row *row)
{
    struct searching *searching = context;
    const struct sql_value *values = row->values;
    if (!searching->total || values[0].integer != searching->id) {
        searching->id = values[0].integer;
        searching->total++;
        best_offer(&searching->best, &values[1], searching->id);
    }
    if (row->count > 2 && values[2].kind != SQL_NULL)
        searching->code =
            facets_add(&searching->facets, (int)values[2].integer, &values[3], searching->error);
    return searching->code == FH_OK;
}

static void add_facet_values(struct searching *searching)
{
    const struct question *question = searching->question;
    struct text *sql = &searching->sql;
    const char *const *names = question->search->facets;
    text_printf(sql, " LEFT JOIN fh_derived_%lld_tag AS t ON t.id = h.id AND t.field IN (",
                (long long)question->number);
    for (int i = 0; names[i]; i++)
        text_printf(sql, "%s%d", i ? ", " : "",
                    question_field(question->declared, names[i], FH_FACET));
    text_add(sql, ")");
}

static enum fh_code walk_matches(struct searching *searching)
{
    const struct question *question = searching->question;
    const char *const *names = question->search->facets;
    struct text *sql = &searching->sql;
    bool ranked = question_is_ranked(question), counted = names && names[0];
    text_add(sql, "SELECT h.id, ");
    if (ranked)
        text_add(sql, "h.rank");
    else
        add_order_column(searching);
    text_add(sql, counted ? ", t.field, t.value FROM " : " FROM ");
    add_search_source(searching);
    text_add(sql, " AS h");
    if (!ranked)
        text_printf(sql, " CROSS JOIN fh_derived_%lld AS r ON r.id = h.id",
                    (long long)question->number);
    if (counted)
        add_facet_values(searching);
    enum fh_code code = run_question(searching, question->value_count, take_match);
    json_t *facets;
    if (code == FH_OK && names)
        code = facets_show(&searching->facets, &facets, searching->error);
    if (code == FH_OK && names)
        json_object_set_new(searching->answer, "facets", facets);
    return code;
}

/* ---- Everything ---- */

static bool take_total(void *context, const struct sql_row *row)
{
    ((struct searching *)context)->total = row->values[0].integer;
    return false;
}

static bool take_listed_id(void *context, const struct sql_row *row)
{
    struct searching *searching = context;
    best_offer(&searching->best, &row->values[1], row->values[0].integer);
    return true;
}

static enum fh_code list_page(struct searching *searching)
{
    const struct question *question = searching->question;
    struct text *sql = &searching->sql;
    const char *direction = searching->best.descending ? " DESC" : "";
    text_add(sql, "SELECT r.id, ");
    add_order_column(searching);
    text_printf(sql, " FROM fh_derived_%lld AS r", (long long)question->number);
    if (question->after) {
        text_add(sql, " WHERE (");
        add_order_column(searching);
        text_printf(sql, ", r.id) %s (?1, ?2)", searching->best.descending ? "<" : ">");
    }
    text_add(sql, " ORDER BY ");
    add_order_column(searching);
    text_printf(sql, "%s, r.id%s LIMIT %d", direction, direction, question->limit + 1);
    return run_question(searching, question->after ? 2 : 0, take_listed_id);
}

struct facet {
    const struct fh_derived_field *field;
    json_t *counts;
};

static bool take_value_count(void *context, const struct sql_row *row)
{
    struct facet *facet = context;
    json_array_append_new(facet->counts,
                          facet_value(facet->field, &row->values[0], row->values[1].integer));
    return true;
}

static enum fh_code list_facet(struct searching *searching, const char *name, json_t *facets)
{
    const struct question *question = searching->question;
    char sql[160];
    int index = question_field(question->declared, name, FH_FACET);
    struct facet facet = {&question->declared->fields[index], json_array()};
    json_object_set_new(facets, name, facet.counts);
    snprintf(sql, sizeof sql,
             "SELECT value, count(*) AS n FROM fh_derived_%lld_tag WHERE field = %d"
             " GROUP BY value ORDER BY n DESC, value LIMIT %d",
             (long long)question->number, index, SEARCH_COUNTS_MAX);
    return sql_run(searching->work, sql, NULL, 0, take_value_count, &facet, NULL, searching->error);
}

static enum fh_code list_everything(struct searching *searching)
{
    const char *const *names = searching->question->search->facets;
    text_printf(&searching->sql, "SELECT count(*) FROM fh_derived_%lld",
                (long long)searching->question->number);
    enum fh_code code = run_question(searching, 0, take_total);
    if (code == FH_OK)
        code = list_page(searching);
    if (!names || code != FH_OK)
        return code;
    json_t *facets = json_object();
    json_object_set_new(searching->answer, "facets", facets);
    for (int i = 0; names[i] && code == FH_OK; i++)
        code = list_facet(searching, names[i], facets);
    return code;
}

/* ---- The page ---- */

static json_t *next_cursor(const struct searching *searching)
{
    const struct best *best = &searching->best;
    if (!best_goes_on(best))
        return json_null();
    const struct best_match *last = best->heap[best->count - 1];
    json_t *by = last->by.kind == SQL_TEXT   ? json_stringn(last->by.text, last->by.length)
                 : last->by.kind == SQL_REAL ? json_real(last->by.real)
                                             : json_integer(last->by.integer);
    json_t *cursor = question_cursor(searching->question, by, json_integer(last->id));
    json_decref(by);
    return cursor;
}

static size_t searched_size(const struct question *question, const json_t *hit)
{
    const json_t *value = json_object_get(hit, "value");
    size_t size = 0, i;
    json_t *one;
    for (const struct fh_derived_field *field = question->declared->fields; field->name; field++) {
        const json_t *member = field->use & FH_TEXT ? json_object_get(value, field->name) : NULL;
        size += json_string_length(member);
        json_array_foreach (member, i, one)
            size += json_string_length(one);
    }
    return size;
}

/* In the store all that match are walked through once more, and a word that may go on is merged
 * again. */
static enum fh_code highlight_page(struct searching *searching, json_t *hits)
{
    const struct question *question = searching->question;
    size_t size = 0, i;
    json_t *hit;
    json_array_foreach (hits, i, hit)
        size += searched_size(question, hit);
    bool again = searching->total < HIGHLIGHT_FOUND_MIN && !question_is_unfinished(question);
    if (size <= SEARCH_HIGHLIGHT_SIZE_MAX && !again)
        return word_highlight(question, hits, searching->error);
    return question_highlight(question, searching->work, &searching->best, hits, searching->error);
}

static enum fh_code read_page(struct searching *searching)
{
    const struct question *question = searching->question;
    struct best *best = &searching->best;
    enum fh_code code = FH_OK;
    json_t *hits = json_array(), *hit;
    json_object_set_new(searching->answer, "total", json_integer(searching->total));
    json_object_set_new(searching->answer, "hits", hits);
    best_sort(best);
    for (int i = 0; i < best->count && code == FH_OK; i++) {
        code = question_hit(question, searching->work, best->heap[i]->id, &hit, searching->error);
        if (code == FH_OK)
            json_array_append_new(hits, hit);
    }
    if (code == FH_OK)
        code = highlight_page(searching, hits);
    json_t *cursor = code == FH_OK ? next_cursor(searching) : NULL;
    if (code == FH_OK && json_object_set_new(searching->answer, "next", cursor) != 0)
        code = error_set(searching->error, FH_NO_MEMORY, "There is no memory for an answer.");
    return code;
}

/* Off the loop, where the engine lives in this process: sql_ask. */
static enum fh_code answer_question(struct store_work *work, void *context, struct fh_error *error)
{
    struct searching *searching = context;
    struct question *question = searching->question;
    searching->error = error;
    facets_init(&searching->facets, question, searching->seed);
    enum fh_code code = best_init(&searching->best, question, error);
    if (code == FH_OK)
        code = derived_number(work, question->declared->name, &question->number, error);
    if (code != FH_OK)
        return code;
    bool all = !question_has_text(question) && !question->filter_count;
    code = all ? list_everything(searching) : walk_matches(searching);
    return code == FH_OK ? read_page(searching) : code;
}

enum fh_code derived_sql_search(struct store_work *work, const struct fh_derived *declared,
                                const struct fh_search *search, json_t **ret,
                                struct fh_error *error)
{
    struct question question;
    struct searching searching = {.work = work, .question = &question};
    *ret = NULL;
    enum fh_code code = question_init(&question, declared, search, JSON_INTEGER, error);
    if (code == FH_OK) {
        text_init(&searching.sql, DERIVED_SQL_SIZE);
        searching.answer = json_object();
        world_random(work->store->world, &searching.seed, sizeof searching.seed);
        code = sql_ask(work, answer_question, &searching, error);
        text_release(&searching.sql);
        best_release(&searching.best);
        facets_release(&searching.facets);
        if (code == FH_OK)
            *ret = searching.answer;
        else
            json_decref(searching.answer);
    }
    question_release(&question);
    return code;
}
