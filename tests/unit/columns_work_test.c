/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Columns as handlers see them: what is answered, beside a model that goes through a list of facts
 * for each value; one unit of work with the store; whose fault a failure is; what is too much, and
 * what is too old. FREEHOLD_SEED repeats a run.
 */

#include "../support/run.h"

#include <stdlib.h>
#include <string.h>

#include "work/derived.h"

#define DAY_MS INT64_C(86400000)
#define FACTS 400
#define QUESTIONS 300

static const struct fh_derived_field sold_fields[] = {
    {"category", FH_STRING, FH_TAG}, {"cents", FH_INT}, {"paid", FH_BOOL, FH_TAG},
    {"site", FH_INT, FH_TAG},        {"kg", FH_NUMBER}, {0}};
static const fh_service service = {
    .name = "till",
    .model = FH_RELATIONAL,
    .derives = {{.name = "sold", .model = FH_COLUMNS, .fields = sold_fields},
                {.name = "lately", .model = FH_COLUMNS, .fields = sold_fields, .keep_days = 30}}};

static int set_up(void **state)
{
    return fixture_set_up(state, &service, "CREATE TABLE sale (id INTEGER PRIMARY KEY)");
}

static json_t *fact_of(fh_work *w, const char *category, int cents)
{
    return json_pack("{s:s, s:i, s:b, s:i, s:f}", "category", category, "cents", cents, "paid", 1,
                     "site", 7, "kg", 0.5);
    (void)w;
}

/* ---- A model ---- */

struct sold {
    int64_t at_ms;
    int category, site;
    bool paid, has_cents, has_kg;
    int cents;
    double kg;
};

static struct sold facts[FACTS];
static uint64_t drawn;

static int draw(int below)
{
    drawn ^= drawn << 13; /* xorshift */
    drawn ^= drawn >> 7;
    drawn ^= drawn << 17;
    return (int)((drawn >> 11) % (uint64_t)below);
}

static void draw_facts(void)
{
    for (int i = 0; i < FACTS; i++)
        facts[i] = (struct sold){.at_ms = draw(200) - 100,
                                 .category = draw(4),
                                 .site = draw(3),
                                 .paid = draw(2),
                                 .has_cents = draw(5) > 0,
                                 .has_kg = draw(5) > 0,
                                 .cents = draw(50) - 10,
                                 .kg = draw(9) * 0.25};
}

static void add_facts(fh_work *w)
{
    for (int i = 0; i < FACTS; i++) {
        const struct sold *one = &facts[i];
        json_t *cents = one->has_cents ? json_integer(one->cents) : json_null();
        json_t *kg = one->has_kg ? json_real(one->kg) : json_null();
        fh_fact(w, "sold", one->at_ms,
                json_pack("{s:o, s:o, s:b, s:i, s:o}", "category",
                          json_sprintf("c%d", one->category), "cents", cents, "paid", one->paid,
                          "site", one->site, "kg", kg));
    }
}

struct asked {
    bool by_category, by_site;
    int64_t from_ms, to_ms, every_ms;
    int category, category_too, paid; /* of the filter; -1: any */
    int min_cents;                    /* of `having`; -1: none */
};

static struct asked asked;

static bool is_asked(const struct sold *one)
{
    bool within =
        asked.from_ms == asked.to_ms || (one->at_ms >= asked.from_ms && one->at_ms < asked.to_ms);
    bool category = asked.category < 0 || one->category == asked.category ||
                    one->category == asked.category_too;
    return within && category && (asked.paid < 0 || one->paid == (asked.paid > 0));
}

static int64_t interval_of(const struct sold *one)
{
    int64_t at_ms = one->at_ms, every_ms = asked.every_ms;
    while (every_ms && at_ms % every_ms)
        at_ms--;
    return every_ms ? at_ms : 0;
}

static bool is_same_group(const struct sold *one, const struct sold *other)
{
    return interval_of(one) == interval_of(other) &&
           (!asked.by_category || one->category == other->category) &&
           (!asked.by_site || one->site == other->site);
}

static int compare_sold(const void *left, const void *right)
{
    const struct sold *one = left, *other = right;
    int64_t at = interval_of(one), other_at = interval_of(other);
    if (at != other_at)
        return at < other_at ? -1 : 1;
    if (asked.by_category && one->category != other->category)
        return one->category - other->category;
    return asked.by_site ? one->site - other->site : 0;
}

/* The row of the group that begins there, of which *ret_end is behind the last one. */
static json_t *model_row(const struct sold *all, int count, int first, int *ret_end)
{
    json_t *row = json_array();
    int n = 0, cents = 0, kgs = 0, uniq = 0;
    bool seen[64] = {false};
    long long sum = 0;
    double kg = 0, least = 0;
    int at = first;
    for (; at < count && is_same_group(&all[first], &all[at]); at++, n++) {
        const struct sold *one = &all[at];
        if (one->has_cents) {
            cents++, sum += one->cents;
            uniq += !seen[one->cents + 10];
            seen[one->cents + 10] = true;
        }
        if (one->has_kg) {
            least = kgs == 0 || one->kg < least ? one->kg : least;
            kgs++, kg += one->kg;
        }
    }
    *ret_end = at;
    if (asked.every_ms)
        json_array_append_new(row, json_integer(interval_of(&all[first])));
    if (asked.by_category)
        json_array_append_new(row, json_sprintf("c%d", all[first].category));
    if (asked.by_site)
        json_array_append_new(row, json_integer(all[first].site));
    json_array_append_new(row, json_integer(n));
    json_array_append_new(row, cents ? json_integer(sum) : json_null());
    json_array_append_new(row, kgs ? json_real(kg / kgs) : json_null());
    json_array_append_new(row, kgs ? json_real(least) : json_null());
    json_array_append_new(row, json_integer(uniq));
    if (asked.min_cents >= 0 && (!cents || sum < asked.min_cents)) {
        json_decref(row);
        return NULL;
    }
    return row;
}

static json_t *model_rows(void)
{
    json_t *rows = json_array();
    struct sold some[FACTS];
    int count = 0, at = 0;
    for (int i = 0; i < FACTS; i++) {
        if (is_asked(&facts[i]))
            some[count++] = facts[i];
    }
    qsort(some, (size_t)count, sizeof *some, compare_sold);
    while (at < count) {
        json_t *row = model_row(some, count, at, &at);
        if (row)
            json_array_append_new(rows, row);
    }
    return rows;
}

static void draw_question(void)
{
    asked = (struct asked){.by_category = draw(2),
                           .by_site = draw(2),
                           .every_ms = draw(2) ? 1 + draw(60) : 0,
                           .category = draw(2) ? draw(5) : -1,
                           .category_too = draw(4),
                           .paid = draw(3) - 1,
                           .min_cents = draw(3) ? -1 : draw(200)};
    if (draw(2)) {
        asked.from_ms = draw(150) - 100;
        asked.to_ms = asked.from_ms + 1 + draw(100);
    }
}

static json_t *ask_model_question(fh_work *w)
{
    const char *by[3] = {NULL};
    int count = 0;
    json_t *filter = json_object(), *having = NULL;
    if (asked.by_category)
        by[count++] = "category";
    if (asked.by_site)
        by[count++] = "site";
    if (asked.category >= 0)
        json_object_set_new(filter, "category",
                            json_pack("[o, o]", json_sprintf("c%d", asked.category),
                                      json_sprintf("c%d", asked.category_too)));
    if (asked.paid >= 0)
        json_object_set_new(filter, "paid", json_boolean(asked.paid > 0));
    if (asked.min_cents >= 0)
        having = json_pack("{s:{s:i}}", "sum cents", "min", asked.min_cents);
    const struct fh_columns columns = {
        .by = by,
        .values =
            (const char *const[]){"count", "sum cents", "mean kg", "min kg", "uniq cents", NULL},
        .filter = filter,
        .having = having,
        .from_ms = asked.from_ms,
        .to_ms = asked.to_ms,
        .every_ms = asked.every_ms};
    return fh_columns(w, "sold", &columns);
}

static void compare_with_model(fh_work *w)
{
    json_t *answer = ask_model_question(w), *rows = model_rows();
    bool same = json_equal(json_object_get(answer, "rows"), rows) &&
                json_is_false(json_object_get(answer, "more"));
    fh_reply(w, 200, same ? json_true() : json_pack("{s:O, s:o}", "is", answer, "expected", rows));
}

static void answers_are_those_of_the_model(void **state)
{
    const char *given = getenv("FREEHOLD_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : 4711;
    drawn = seed * 2 + 1;
    draw_facts();
    assert_int_equal(run_one(state, add_facts, false).status, 204);
    for (int i = 0; i < QUESTIONS; i++) {
        draw_question();
        struct run run = run_one(state, compare_with_model, true);
        if (run.status != 200 || strcmp(run.reply, "true") != 0)
            fail_msg("FREEHOLD_SEED=%llu, question %d: %s%s", (unsigned long long)seed, i,
                     run.failure, run.reply);
    }
}

/* ---- Order, limit ---- */

static void add_few(fh_work *w)
{
    fh_fact(w, "sold", 1000, fact_of(w, "b", 3));
    fh_fact(w, "sold", 1000, fact_of(w, "b", 3)); /* another one */
    fh_fact(w, "sold", 2000, fact_of(w, "a", 5));
    fh_fact(w, "sold", 2000, fact_of(w, "c", 6));
}

static const char *const by_category[] = {"category", NULL};
static const char *const cents_and_count[] = {"sum cents", "count", NULL};

static void the_greatest(fh_work *w)
{
    fh_reply(w, 200,
             fh_columns(w, "sold",
                        &(struct fh_columns){.by = by_category,
                                             .values = cents_and_count,
                                             .sort = "sum cents",
                                             .descending = true,
                                             .limit = 2}));
}

static void the_last_names(fh_work *w)
{
    fh_reply(w, 200,
             fh_columns(w, "sold",
                        &(struct fh_columns){.by = by_category,
                                             .values = cents_and_count + 1,
                                             .sort = "category",
                                             .descending = true}));
}

static void none_at_all(fh_work *w)
{
    fh_reply(w, 200,
             fh_columns(w, "sold", &(struct fh_columns){.values = cents_and_count, .to_ms = 1}));
}

static void rows_come_in_the_order_that_is_asked_for(void **state)
{
    assert_int_equal(run_one(state, add_few, false).status, 204);
    assert_string_equal(run_one(state, the_greatest, true).reply,
                        "{\"columns\":[\"category\",\"sum cents\",\"count\"],"
                        "\"rows\":[[\"b\",6,2],[\"c\",6,1]],\"more\":true}");
    assert_string_equal(run_one(state, the_last_names, true).reply,
                        "{\"columns\":[\"category\",\"count\"],"
                        "\"rows\":[[\"c\",1],[\"b\",2],[\"a\",1]],\"more\":false}");
    assert_string_equal(run_one(state, none_at_all, true).reply,
                        "{\"columns\":[\"sum cents\",\"count\"],\"rows\":[],\"more\":false}");
}

/* ---- One unit of work ---- */

static void add_and_fail(fh_work *w)
{
    fh_exec(w, "INSERT INTO sale VALUES (1)");
    add_few(w);
    fh_fail(w, 409, "There is no room for it.");
}

static void a_fact_is_one_with_the_store(void **state)
{
    assert_int_equal(run_one(state, add_and_fail, false).status, 409);
    assert_non_null(strstr(run_one(state, the_greatest, true).reply, "\"rows\":[]"));
    assert_int_equal(run_one(state, add_few, false).status, 204);
    assert_int_equal(run_one(state, add_few, false).status, 204);
    assert_non_null(strstr(run_one(state, the_greatest, true).reply, "[[\"b\",12,4]"));
}

/* ---- Whose fault ---- */

static const struct fh_columns wrong[] = {
    {.values = (const char *const[]){"sum size", NULL}},
    {.values = (const char *const[]){"sum category", NULL}},
    {.values = (const char *const[]){"median cents", NULL}},
    {.values = (const char *const[]){"sum", NULL}},
    {.values = NULL},
    {.values = cents_and_count, .by = (const char *const[]){"cents", NULL}},
    {.values = cents_and_count, .by = (const char *const[]){"site", "site", NULL}},
    {.values = cents_and_count, .sort = "at_ms"},
    {.values = cents_and_count, .sort = "cents"},
};
static const struct fh_columns unfit[] = {
    {.values = cents_and_count, .limit = 10001},
    {.values = cents_and_count, .limit = -1},
    {.values = cents_and_count, .from_ms = 2, .to_ms = 1},
    {.values = cents_and_count, .from_ms = INT64_MIN},
    {.values = cents_and_count, .every_ms = -1},
};
static struct fh_columns question;

static void ask_question(fh_work *w)
{
    fh_reply(w, 200, fh_columns(w, "sold", &question));
}

static void ask_of_others(fh_work *w)
{
    fh_columns(w, "sold",
               &(struct fh_columns){.values = cents_and_count,
                                    .filter = json_pack("{s:i}", "category", 7)});
}

static void ask_of_too_many(fh_work *w)
{
    json_t *many = json_array();
    for (int i = 0; i < 129; i++)
        json_array_append_new(many, json_integer(i));
    fh_columns(w, "sold",
               &(struct fh_columns){.values = cents_and_count,
                                    .filter = json_pack("{s:o}", "site", many)});
}

static void have_what_is_not_asked(fh_work *w)
{
    fh_columns(w, "sold",
               &(struct fh_columns){.values = cents_and_count,
                                    .having = json_pack("{s:{s:i}}", "sum kg", "min", 1)});
}

static void measure_columns(fh_work *w)
{
    fh_series(w, "sold", &(struct fh_series){0});
}

static void what_is_wrong_is_the_services_fault_or_a_clients(void **state)
{
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        question = wrong[i];
        assert_int_equal(run_one(state, ask_question, true).status, 500);
    }
    for (size_t i = 0; i < sizeof unfit / sizeof *unfit; i++) {
        question = unfit[i];
        assert_int_equal(run_one(state, ask_question, true).status, 422);
    }
    assert_int_equal(run_one(state, ask_of_others, true).status, 422);
    assert_int_equal(run_one(state, ask_of_too_many, true).status, 422);
    assert_int_equal(run_one(state, have_what_is_not_asked, true).status, 500);
    struct run run = run_one(state, measure_columns, true);
    assert_non_null(strstr(run.failure, "it is declared as FH_COLUMNS"));
}

/* ---- What is too old ---- */

static void add_of_all_ages(fh_work *w)
{
    int64_t now_ms = fh_now_ms(w);
    for (int i = 0; i < 900; i++)
        fh_fact(w, "lately", now_ms - 29 * DAY_MS, fact_of(w, "old", 1));
    fh_fact(w, "lately", now_ms - 31 * DAY_MS, fact_of(w, "older", 1));
    fh_fact(w, "lately", now_ms, fact_of(w, "new", 1));
}

static void reply_lately(fh_work *w)
{
    fh_reply(w, 200,
             fh_columns(w, "lately",
                        &(struct fh_columns){.by = by_category, .values = cents_and_count + 1}));
}

static void count_kept(fh_work *w)
{
    fh_reply(w, 200, fh_row(w, "SELECT count(*) AS n FROM fh_derived_2"));
}

static void sweep_all(void *argument)
{
    struct fixture *fixture = argument;
    struct series_sweep sweep = {0};
    while (!sweep.done && fixture->code == FH_OK)
        fixture->code = work_series_sweep(&fixture->context, &sweep, &fixture->error);
}

/* By the clock of commands, which goes on. */
static void what_is_older_than_it_keeps_is_gone(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(run_one(state, add_of_all_ages, false).status, 204);
    assert_int_equal(run_one(state, add_of_all_ages, false).status, 204);
    assert_non_null(
        strstr(run_one(state, reply_lately, true).reply, "[[\"new\",2],[\"old\",1800]]"));
    assert_string_equal(run_one(state, count_kept, true).reply, "{\"n\":1802}");
    static const fh_service shorter = {
        .name = "till",
        .model = FH_RELATIONAL,
        .derives = {
            {.name = "sold", .model = FH_COLUMNS, .fields = sold_fields},
            {.name = "lately", .model = FH_COLUMNS, .fields = sold_fields, .keep_days = 3}}};
    fixture->context.service = &shorter;
    assert_non_null(strstr(run_one(state, reply_lately, true).reply, "[[\"new\",2]]"));
    harness_run(&fixture->harness, sweep_all, fixture);
    assert_int_equal(fixture->code, FH_OK);
    assert_string_equal(run_one(state, count_kept, true).reply, "{\"n\":2}");
}

/* ---- Another declaration ---- */

static void declare_otherwise(void *argument)
{
    static const struct fh_derived_field others[] = {{"category", FH_STRING, FH_TAG}, {0}};
    static const fh_service other = {
        .name = "till",
        .model = FH_RELATIONAL,
        .derives = {{.name = "sold", .model = FH_COLUMNS, .fields = others}}};
    struct fixture *fixture = argument;
    fixture->code = derived_prepare(fixture->context.store, &other, 0, &fixture->error);
}

static void declare_nothing(void *argument)
{
    static const fh_service none = {.name = "till", .model = FH_RELATIONAL};
    struct fixture *fixture = argument;
    fixture->code = derived_prepare(fixture->context.store, &none, 0, &fixture->error);
}

static void facts_stay_whatever_is_declared(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(run_one(state, add_few, false).status, 204);
    harness_run(&fixture->harness, declare_otherwise, fixture);
    assert_int_equal(fixture->code, FH_UNSUPPORTED);
    assert_non_null(strstr(fixture->error.message, "nobody else has them"));
    harness_run(&fixture->harness, declare_nothing, fixture);
    assert_int_equal(fixture->code, FH_OK);
    assert_non_null(strstr(run_one(state, the_greatest, true).reply, "[[\"b\",6,2]"));
}

/* ---- What is too much ---- */

static void add_many(fh_work *w)
{
    fh_exec(w, "INSERT INTO fh_derived_1 (at, seq, f0, f1, f2, f3, f4)"
               " WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100001)"
               " SELECT i, 1, 'c' || i, 9007199254740993, 1, 1, 1e308 FROM n");
}

static void ask_by_all(fh_work *w)
{
    fh_columns(w, "sold", &(struct fh_columns){.by = by_category, .values = cents_and_count});
}

static void sum_all(fh_work *w)
{
    static const char *const values[] = {"uniq category", "sum cents", NULL};
    fh_reply(w, 200, fh_columns(w, "sold", &(struct fh_columns){.values = values}));
}

static void sum_too_much(fh_work *w)
{
    static const char *const values[] = {"sum kg", NULL};
    fh_columns(w, "sold", &(struct fh_columns){.values = values});
}

static void more_groups_than_there_may_be_are_refused(void **state)
{
    assert_int_equal(run_one(state, add_many, false).status, 204);
    struct run run = run_one(state, ask_by_all, true);
    assert_int_equal(run.status, 422);
    assert_non_null(strstr(run.reply, "\"pointer\":\"/by\""));
    assert_non_null(strstr(run_one(state, sum_all, true).reply, "[[100001,9.007289326733541e20]]"));
    run = run_one(state, sum_too_much, true);
    assert_int_equal(run.status, 422);
    assert_non_null(strstr(run.reply, "\"pointer\":\"/values\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_are_those_of_the_model, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(rows_come_in_the_order_that_is_asked_for, set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_fact_is_one_with_the_store, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_the_services_fault_or_a_clients, set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(what_is_older_than_it_keeps_is_gone, set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(facts_stay_whatever_is_declared, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(more_groups_than_there_may_be_are_refused, set_up,
                                        fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
