/* SPDX-License-Identifier: Apache-2.0 */
/* What a handler was given as marked, and where it may be derived into. */

#include "../support/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "shape/mark.h"
#include "work/batch.h"
#include "work/derived.h"
#include "work/redact.h"

static const fh_field home_shape[] = {{"street", FH_STRING}, {"no", FH_INT}, {0}};
static const fh_field given_shape[] = {{"id", FH_INT},
                                       {"name", FH_STRING, .personal = true},
                                       {"nick", FH_STRING, .personal = true},
                                       {"empty", FH_STRING, .personal = true},
                                       {"age", FH_INT, .personal = true},
                                       {"weight", FH_NUMBER, .personal = true},
                                       {"adult", FH_BOOL, .personal = true},
                                       {"home", FH_OBJECT, .of = home_shape, .personal = true},
                                       {"pin", FH_STRING, .secret = true},
                                       {"token", FH_STRING, .card = true},
                                       {0}};
static const struct fh_derived_field person_fields[] = {
    {"id", FH_INT, FH_TAG},
    {"name", FH_STRING, FH_TEXT, .personal = true},
    {"nick", FH_STRING, FH_TEXT},
    {"empty", FH_STRING, FH_TAG},
    {"age", FH_INT, FH_TAG},
    {"weight", FH_NUMBER, FH_SORTED},
    {"adult", FH_BOOL, FH_TAG},
    {"street", FH_STRING, FH_TAG},
    {"note", FH_STRING, FH_TEXT},
    {"words", FH_LIST, FH_FACET},
    {"pin", FH_STRING, FH_TAG, .personal = true},
    {0}};
static const struct fh_derived_field point_fields[] = {
    {"nick", FH_STRING, FH_TAG}, {"age", FH_INT}, {0}};
static const fh_service service = {
    .name = "library",
    .model = FH_RELATIONAL,
    .derives = {{.name = "people", .model = FH_SEARCH, .fields = person_fields},
                {.name = "measured", .model = FH_SERIES, .fields = point_fields},
                {.name = "sold", .model = FH_COLUMNS, .fields = point_fields}}};

static int set_up(void **state)
{
    return fixture_set_up(state, &service, "CREATE TABLE person (id TEXT PRIMARY KEY)");
}

/* What the next handler derives. */
static const char *derived_key, *derived_text;
static bool given_nothing;

static void be_given(fh_work *w)
{
    if (given_nothing)
        return;
    w->given.shape = given_shape;
    w->given.value = json_pack("{s:i, s:s, s:s, s:s, s:i, s:f, s:b, s:{s:s, s:i}, s:s, s:s}", "id",
                               41, "name", "Ann Quartermain", "nick", "Ann", "empty", "", "age", 41,
                               "weight", 60.5, "adult", 1, "home", "street", "77 Planted Lane",
                               "no", 7, "pin", "1234", "token", "tok_planted");
}

static void derive_person(fh_work *w)
{
    static const char nothing[] =
        "{'id': 41, 'name': '', 'nick': '', 'empty': '', 'age': 7, 'weight': 1.5, 'adult': false, "
        "'street': '', 'note': '', 'words': [], 'pin': ''}";
    char text[1024];
    size_t i;
    be_given(w);
    json_t *value = NULL, *change = NULL;
    const char *const texts[] = {nothing, derived_text};
    for (i = 0; i < 2; i++) {
        snprintf(text, sizeof text, "%s", texts[i]);
        for (char *at = text; *at; at++)
            *at = *at == '\'' ? '"' : *at;
        assert_int_equal(json_parse(text, strlen(text), i ? &change : &value, &w->failure), FH_OK);
    }
    json_object_update(value, change);
    fh_derive(w, "people", derived_key, value);
}

static void expect_person(void **state, const char *key, const char *text, const char *words)
{
    derived_key = key;
    derived_text = text;
    struct run run = run_one(state, derive_person, false);
    if (run.status != (words ? 500 : 204) || (words && !strstr(run.failure, words)))
        fail_msg("%s %s: %d %s", key, text, run.status, run.failure);
    assert_null(strstr(run.failure, "Ann"));
    assert_null(strstr(run.failure, "Planted"));
}

static void what_is_personal_is_derived_where_that_is_declared(void **state)
{
    expect_person(state, "p1", "{}", NULL);
    expect_person(state, "p1", "{'name': 'Ann Quartermain, 77 Planted Lane'}", NULL);
    expect_person(state, "p1", "{'nick': 'Ann'}",
                  "fh_derive of people: its field nick has a personal value that was given to this "
                  "handler: declare the field .personal, or leave that out.");
    expect_person(state, "p1", "{'age': 41}", "its field age has a personal value");
    expect_person(state, "p1", "{'weight': 60.5}", "its field weight has a personal value");
    expect_person(state, "p1", "{'adult': true}", "its field adult has a personal value");
    expect_person(state, "p1", "{'street': '77 Planted Lane'}", "its field street has a personal");
    expect_person(state, "p1", "{'note': 'for Ann Quartermain.'}", "its field note has a personal");
    expect_person(state, "p1", "{'words': ['a', '77 Planted Lane']}", "its field words has a");
}

static void be_given_many(fh_work *w)
{
    json_t *list = json_array();
    for (int i = 0; i < 20000; i++)
        json_array_append_new(list, json_object());
    for (int i = 0; i < 20000; i++)
        json_object_set_new(json_array_get(list, (size_t)i), i % 2 ? "name" : "pin",
                            json_string(fh_format(w, "aaaaaaaaaaaaaaaaaaaaaa%06d", i)));
    w->given.shape = given_shape;
    w->given.value = list;
}

static const char *many_note;

static void derive_a_long_text(fh_work *w)
{
    char *text = malloc(200001);
    assert_non_null(text);
    memset(text, 'a', 200000);
    text[200000] = '\0';
    be_given_many(w);
    json_t *value = json_pack("{s:i, s:s, s:s, s:s, s:i, s:f, s:b, s:s, s:s+, s:[], s:s}", "id", 1,
                              "name", "", "nick", "", "empty", "", "age", 7, "weight", 1.5, "adult",
                              0, "street", "", "note", text, many_note, "words", "pin", "");
    free(text);
    fh_derive(w, "people", "p1", value);
}

/* Looked up, and not compared one by one: else this would take minutes. */
static void many_values_are_told_in_a_long_text(void **state)
{
    many_note = "aaaa019998";
    struct run run = run_one(state, derive_a_long_text, false);
    assert_int_equal(run.status, 500);
    assert_non_null(strstr(run.failure, "its field note has a secret or a card's value"));
    many_note = "aaaa019999.";
    run = run_one(state, derive_a_long_text, false);
    assert_non_null(strstr(run.failure, "its field note has a personal value"));
    many_note = "aaaa020000";
    assert_int_equal(run_one(state, derive_a_long_text, false).status, 204);
}

/* What is not told from values that only happen to be the same. */
static void what_only_looks_alike_is_derived(void **state)
{
    expect_person(state, "41", "{'id': 41, 'note': 'Ann', 'words': ['Ann', '1234']}", NULL);
    expect_person(state, "Ann", "{'nick': 'Anna', 'age': 42, 'weight': 60, 'empty': ''}", NULL);
    given_nothing = true;
    expect_person(state, "p1", "{'nick': 'Ann', 'note': 'Ann Quartermain', 'age': 41}", NULL);
    given_nothing = false;
}

static void secrets_and_cards_are_derived_nowhere(void **state)
{
    expect_person(state, "p1", "{'pin': '1234'}",
                  "its field pin has a secret or a card's value that was given to this handler");
    expect_person(state, "p1", "{'name': 'tok_planted'}",
                  "its field name has a secret or a card's");
    expect_person(state, "p1", "{'note': 'by tok_planted'}", "its field note has a secret or");
}

static void derive_gone(fh_work *w)
{
    be_given(w);
    fh_derive_gone(w, "people", "Ann Quartermain");
}

static void no_key_is_made_of_what_is_marked(void **state)
{
    expect_person(state, "Ann Quartermain", "{}", "the key has a marked value");
    expect_person(state, "u:Ann Quartermain", "{}", "the key has a marked value");
    expect_person(state, "1234", "{}", "the key has a marked value");
    assert_int_equal(run_one(state, derive_gone, false).status, 204); /* it can be got rid of */
}

/* ---- What is found ---- */

static void put_zebedee(fh_work *w)
{
    given_nothing = true;
    derived_key = "p1";
    derived_text = "{'name': 'Zebedee Quartermain', 'note': 'plain words here'}";
    derive_person(w);
    given_nothing = false;
}

static json_t *find_one(fh_work *w)
{
    json_t *answer =
        fh_search(w, "people", &(struct fh_search){.text = "zebedee", .highlight = "name"});
    return json_array_get(json_object_get(answer, "hits"), 0);
}

static void show_what_would_be_logged(fh_work *w)
{
    json_t *value = json_object_get(find_one(w), "value");
    char text[128];
    snprintf(text, sizeof text, "%s; %s", json_string_at(value, "name"),
             json_string_at(value, "note"));
    work_redact(w, SHAPE_MARKED, text, sizeof text); /* as what is logged of it */
    fh_reply(w, 200, json_string(text));
}

static void copy_what_was_found(fh_work *w)
{
    json_t *value = json_deep_copy(json_object_get(find_one(w), "value"));
    json_object_set(value, "note", json_object_get(value, "name"));
    fh_derive(w, "people", "p2", value);
}

static void what_is_found_is_as_personal_as_what_was_given(void **state)
{
    assert_int_equal(run_one(state, put_zebedee, false).status, 204);
    struct run run = run_one(state, show_what_would_be_logged, true);
    assert_int_equal(run.status, 200);
    assert_string_equal(run.reply, "\"[personal]; plain words here\"");
    run = run_one(state, copy_what_was_found, false);
    assert_int_equal(run.status, 500);
    assert_non_null(strstr(run.failure, "its field note has a personal value"));
}

/* ---- What is removed ---- */

struct sweep {
    struct fixture *fixture;
    struct series_sweep at;
    int slices, failed;
};

static void sweep_entry(void *argument)
{
    struct sweep *sweep = argument;
    struct fh_error error;
    for (; !sweep->at.done && sweep->slices < 100; sweep->slices++)
        sweep->failed += work_series_sweep(&sweep->fixture->context, &sweep->at, &error) != 0;
}

static void count_pages(fh_work *w)
{
    fh_reply(w, 200,
             fh_row(w,
                    "SELECT count(*) AS n FROM fh_derived_1_text_data WHERE instr(block, "
                    "CAST('zebedee' AS BLOB))",
                    NULL));
}

static void remove_one(fh_work *w)
{
    fh_derive_gone(w, "people", "p1");
}

static void a_sweep_erases_the_words_of_what_was_removed(void **state)
{
    struct sweep sweep = {.fixture = *state};
    assert_int_equal(run_one(state, put_zebedee, false).status, 204);
    assert_int_equal(run_one(state, remove_one, false).status, 204);
    assert_string_not_equal(run_one(state, count_pages, true).reply, "{\"n\":0}");
    harness_run(&sweep.fixture->harness, sweep_entry, &sweep);
    assert_true(sweep.at.done);
    assert_int_equal(sweep.failed, 0);
    assert_string_equal(run_one(state, count_pages, true).reply, "{\"n\":0}");
}

/* ---- Points and facts ---- */

static const char *fact_of, *fact_nick;
static int fact_age;

static void add_fact(fh_work *w)
{
    be_given(w);
    fh_fact(w, fact_of, 1000, json_pack("{s:s, s:i}", "nick", fact_nick, "age", fact_age));
}

static void expect_fact(void **state, const char *nick, int age, const char *words)
{
    fact_nick = nick;
    fact_age = age;
    for (int i = 0; i < 2; i++) {
        fact_of = i ? "sold" : "measured";
        struct run run = run_one(state, add_fact, false);
        if (run.status != (words ? 500 : 204) || (words && !strstr(run.failure, words)))
            fail_msg("%s: %d %s", fact_of, run.status, run.failure);
    }
}

static void nothing_that_is_personal_is_a_point_or_a_fact(void **state)
{
    expect_fact(state, "n7", 42, NULL);
    expect_fact(state, "Ann", 42, "its field nick has a personal value that was given to this");
    expect_fact(state, "n7", 41, "its field age has a personal value that was given to this");
    expect_fact(state, "n7", 41, "leave that out, as it could not be removed there");
}

#define WORK_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORK_TEST(what_is_personal_is_derived_where_that_is_declared),
        WORK_TEST(many_values_are_told_in_a_long_text),
        WORK_TEST(what_only_looks_alike_is_derived),
        WORK_TEST(secrets_and_cards_are_derived_nowhere),
        WORK_TEST(no_key_is_made_of_what_is_marked),
        WORK_TEST(what_is_found_is_as_personal_as_what_was_given),
        WORK_TEST(a_sweep_erases_the_words_of_what_was_removed),
        WORK_TEST(nothing_that_is_personal_is_a_point_or_a_fact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
