/* SPDX-License-Identifier: Apache-2.0 */
/* Derived stores as handlers see them: one unit of work with the store, when they may be asked, and
 * whose fault a failure is. */

#include "../support/run.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "work/batch.h"

static const struct fh_derived_field book_fields[] = {{"title", FH_STRING, FH_TEXT, 3},
                                                      {"author", FH_STRING, FH_TEXT | FH_FACET},
                                                      {"year", FH_INT, FH_TAG | FH_SORTED},
                                                      {0}};
static const fh_service service = {
    .name = "library",
    .model = FH_RELATIONAL,
    .derives = {{.name = "books", .model = FH_SEARCH, .fields = book_fields}}};

static int set_up(void **state)
{
    return fixture_set_up(state, &service, "CREATE TABLE book (id TEXT PRIMARY KEY)");
}

static json_t *book(const char *title, int year)
{
    return json_pack("{s:s, s:s, s:i}", "title", title, "author", "Le Guin", "year", year);
}

static void add_book(fh_work *w)
{
    fh_exec(w, "INSERT INTO book VALUES ('b1')", NULL);
    fh_derive(w, "books", "b1", book("The Dispossessed", 1974));
}

static void find_books(fh_work *w)
{
    json_t *row = fh_row(w, "SELECT count(*) AS n FROM book", NULL);
    json_t *answer = fh_search(w, "books", &(struct fh_search){.text = "dispossessed"});
    fh_reply(w, 200,
             json_pack("{s:O, s:O}", "rows", json_object_get(row, "n"), "found",
                       json_object_get(answer, "total")));
}

static void assert_found(void **state, const char *reply)
{
    struct run run = run_one(state, find_books, true);
    assert_int_equal(run.status, 200);
    assert_string_equal(run.reply, reply);
}

/* ---- One unit of work ---- */

static void add_and_fail(fh_work *w)
{
    add_book(w);
    fh_fail(w, 409, "There is no room for it.");
}

static void gone(fh_work *w)
{
    fh_exec(w, "DELETE FROM book", NULL);
    fh_derive_gone(w, "books", "b1");
}

static void add_twice(fh_work *w)
{
    fh_derive(w, "books", "b1", book("The Dispossessed", 1974));
    fh_derive(w, "books", "b1", book("The Telling", 2000));
}

static void what_is_derived_is_one_with_the_store(void **state)
{
    assert_int_equal(run_one(state, add_and_fail, false).status, 409);
    assert_found(state, "{\"rows\":0,\"found\":0}");
    assert_int_equal(run_one(state, add_book, false).status, 204);
    assert_found(state, "{\"rows\":1,\"found\":1}");
    assert_int_equal(run_one(state, add_twice, false).status, 204);
    assert_found(state, "{\"rows\":1,\"found\":0}");
    assert_int_equal(run_one(state, add_and_fail, false).status, 409); /* by the row */
    assert_int_equal(run_one(state, gone, false).status, 204);
    assert_found(state, "{\"rows\":0,\"found\":0}");
}

/* ---- When ---- */

static void derive_in_a_get(fh_work *w)
{
    fh_derive(w, "books", "b1", book("The Telling", 2000));
}

static void ask_first(fh_work *w)
{
    json_t *answer = fh_search(w, "books", &(struct fh_search){.text = "dispossessed"});
    gone(w);
    fh_reply(w, 200, json_object_get(answer, "total"));
}

static void ask_late(fh_work *w)
{
    gone(w);
    fh_search(w, "books", &(struct fh_search){.text = "dispossessed"});
}

static void it_is_asked_before_the_store_is_used_and_in_gets(void **state)
{
    struct run run = run_one(state, derive_in_a_get, true);
    assert_int_equal(run.status, 500);
    assert_non_null(strstr(run.failure, "A handler of GET changes nothing"));
    assert_int_equal(run_one(state, add_book, false).status, 204);
    run = run_one(state, ask_late, false);
    assert_int_equal(run.status, 500);
    assert_non_null(strstr(run.failure, "fh_search was called after the store was used"));
    assert_found(state, "{\"rows\":1,\"found\":1}");
    run = run_one(state, ask_first, false);
    assert_int_equal(run.status, 200);
    assert_string_equal(run.reply, "1");
    assert_found(state, "{\"rows\":0,\"found\":0}");
}

/* ---- Whose fault ---- */

static void ask_and_be_late(void **state, fh_handler *handler, bool read_only)
{
    struct fixture *fixture = *state;
    struct run run = {handler, read_only, fixture, .deadline_ns = 1};
    harness_run(&fixture->harness, run_work, &run);
    assert_int_equal(run.status, 503);
    assert_int_equal(run.retry_after_s, 1);
    assert_string_equal(run.failure, "The deadline passed before the answer was complete.");
    for (int kind = 0; kind < TROUBLE_KINDS; kind++)
        assert_int_equal(fixture->context.troubles[kind].failures, 0);
}

static void find_only(fh_work *w)
{
    fh_search(w, "books", &(struct fh_search){.text = "dispossessed"});
}

static void a_question_that_is_late_is_no_trouble_of_the_stores(void **state)
{
    ask_and_be_late(state, find_books, true);
    ask_and_be_late(state, find_only, true);
    ask_and_be_late(state, ask_first, false);
}

#define EVENTS 200 /* of one transaction; more than may wait for the store at a time */

struct events {
    struct fixture *fixture;
    enum fh_code code;
    int failed;
};

static void run_events(void *argument)
{
    struct events *events = argument;
    static fh_work works[EVENTS];
    fh_work *pointers[EVENTS];
    struct fh_error error;
    for (int i = 0; i < EVENTS; i++) {
        work_init(&works[i], &events->fixture->context, ask_first);
        pointers[i] = &works[i];
    }
    events->code = work_batch(&events->fixture->context, pointers, EVENTS, NULL, NULL,
                              &events->failed, &error);
    for (int i = 0; i < EVENTS; i++)
        work_release(&works[i]);
}

static void events_that_ask_take_turns(void **state)
{
    struct events events = {.fixture = *state, .failed = -1};
    harness_run(&events.fixture->harness, run_events, &events);
    assert_int_equal(events.code, FH_OK);
    assert_int_equal(events.failed, -1);
}

static void a_question_that_takes_too_long_is_no_outage(void **state)
{
    struct fh_error error;
    fh_work w = {.reply_status = 503};
    (void)state;
    error_set(&error, FH_UNAVAILABLE, "%s", STORE_ASKED_TOO_LATE);
    snprintf(error.native, sizeof error.native, STORE_BUSY);
    assert_true(work_batch_is_outage(FH_UNAVAILABLE, &error, &w));
    snprintf(error.native, sizeof error.native, STORE_LATE);
    assert_false(work_batch_is_outage(FH_UNAVAILABLE, &error, &w));
}

static void ask_twice_for_a_facet(fh_work *w)
{
    fh_search(w, "books",
              &(struct fh_search){.facets = (const char *const[]){"author", "author", NULL}});
}

static void derive_elsewhere(fh_work *w)
{
    fh_derive(w, "magazines", "m1", book("Locus", 1968));
}

static void derive_less(fh_work *w)
{
    fh_derive(w, "books", "b1", json_pack("{s:s, s:i}", "title", "The Telling", "year", 2000));
}

static void derive_otherwise(fh_work *w)
{
    fh_derive(
        w, "books", "b1",
        json_pack("{s:s, s:s, s:s}", "title", "The Telling", "author", "Le Guin", "year", "2000"));
}

static void derive_nothing(fh_work *w)
{
    fh_derive(w, "books", "b1", NULL);
}

static void search_elsewhere(fh_work *w)
{
    fh_search(w, "magazines", &(struct fh_search){0});
}

static void sort_by_nothing(fh_work *w)
{
    fh_search(w, "books", &(struct fh_search){.sort = "author"});
}

static void derive_too_much(fh_work *w)
{
    for (int i = 0; i <= 1000; i++)
        fh_derive(w, "books", fh_format(w, "b%d", i), book("The Telling", 2000));
}

static void what_is_not_declared_is_the_services_fault(void **state)
{
    static const struct {
        fh_handler *handler;
        bool read_only;
        const char *words;
    } faults[] = {
        {derive_elsewhere, false, "fh_derive of magazines: it is not among the declared"},
        {derive_less, false, "lacks its field author"},
        {derive_otherwise, false, "a field year that is not of its declared type"},
        {derive_nothing, false, "must be an object"},
        {search_elsewhere, true, "fh_search of magazines: it is not among the declared"},
        {ask_twice_for_a_facet, true, "The facet author is named twice"},
        {sort_by_nothing, true, "has no field \"author\" that is FH_SORTED"},
        {derive_too_much, false, "at most 1000 values"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct run run = run_one(state, faults[i].handler, faults[i].read_only);
        assert_int_equal(run.status, 500);
        if (!strstr(run.failure, faults[i].words))
            fail_msg("%s", run.failure);
    }
    assert_found(state, "{\"rows\":0,\"found\":0}");
}

static void derive_a_long_key(fh_work *w)
{
    fh_derive(w, "books", fh_format(w, "%0300d", 7), book("The Telling", 2000));
}

static void derive_a_long_author(fh_work *w)
{
    fh_derive(w, "books", "b1",
              json_pack("{s:s, s:s, s:i}", "title", "T", "author", fh_format(w, "%0300d", 7),
                        "year", 2000));
}

static void filter_by_a_word(fh_work *w)
{
    fh_search(w, "books", &(struct fh_search){.filter = json_pack("{s:s}", "year", "new")});
}

static void go_on_anywhere(fh_work *w)
{
    fh_search(w, "books", &(struct fh_search){.after = "anywhere"});
}

static void what_a_client_may_have_sent_is_answered_with_422(void **state)
{
    static const struct {
        fh_handler *handler;
        bool read_only;
        const char *pointer;
    } refusals[] = {
        {derive_a_long_key, false, "\"/key\""},
        {derive_a_long_author, false, "\"/author\""},
        {filter_by_a_word, true, "\"/year\""},
        {go_on_anywhere, true, "\"/after\""},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct run run = run_one(state, refusals[i].handler, refusals[i].read_only);
        assert_int_equal(run.status, 422);
        assert_non_null(strstr(run.reply, refusals[i].pointer));
    }
}

/* ---- Of an older header ---- */

#undef fh_search

static void ask_as_before(fh_work *w)
{
    const struct fh_search search = {.text = "telling", .limit = -1, .prefix = true};
    json_t *answer = fh_search(w, "books", offsetof(struct fh_search, limit), &search);
    fh_reply(w, 200, json_object_get(answer, "total"));
}

static void a_question_of_an_older_header_is_read_by_its_size(void **state)
{
    assert_int_equal(run_one(state, add_twice, false).status, 204);
    struct run run = run_one(state, ask_as_before, true);
    assert_int_equal(run.status, 200);
    assert_string_equal(run.reply, "1");
}

#define WORK_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORK_TEST(what_is_derived_is_one_with_the_store),
        WORK_TEST(it_is_asked_before_the_store_is_used_and_in_gets),
        WORK_TEST(a_question_that_is_late_is_no_trouble_of_the_stores),
        WORK_TEST(events_that_ask_take_turns),
        WORK_TEST(a_question_that_takes_too_long_is_no_outage),
        WORK_TEST(what_is_not_declared_is_the_services_fault),
        WORK_TEST(what_a_client_may_have_sent_is_answered_with_422),
        WORK_TEST(a_question_of_an_older_header_is_read_by_its_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
