/* SPDX-License-Identifier: Apache-2.0 */
/* When a store is reported not to serve, and when it is not. */

#include "../support/fixture.h"

#include <string.h>

#include "base/json.h"
#include "work/trouble.h"

static const fh_service service = {.name = "books", .model = FH_RELATIONAL};

static const char script[] = "CREATE TABLE book (id INTEGER PRIMARY KEY);";

/* In place of the real store's, while it returns anything but FH_OK. */
static struct fh_error said;
static const struct store_ops *real_ops;

static enum fh_code begin(struct store *store, enum store_mode mode, struct store_work **ret,
                          struct fh_error *error)
{
    if (!said.code)
        return real_ops->begin(store, mode, ret, error);
    *error = said;
    return said.code;
}

static int set_up(void **state)
{
    static struct store_ops ops;
    int code = fixture_set_up(state, &service, script);
    struct fixture *fixture = *state;
    real_ops = fixture->context.store->ops;
    ops = *real_ops;
    ops.begin = begin;
    fixture->context.store->ops = &ops;
    said = (struct fh_error){0};
    return code;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    fixture->context.store->ops = real_ops;
    return fixture_tear_down(state);
}

struct run {
    struct fixture *fixture;
    fh_handler *handler;
    bool read_only;
    int status;
};

static void run_work(void *argument)
{
    struct run *run = argument;
    fh_work w;
    work_init(&w, &run->fixture->context, run->handler);
    w.read_only = run->read_only;
    w.deadline_ns = world_in_ms(run->fixture->harness.world, 50);
    work_run(&w);
    run->status = w.reply_status;
    work_release(&w);
}

static void add(fh_work *w)
{
    fh_exec(w, "INSERT INTO book DEFAULT VALUES");
    fh_reply(w, 201, NULL);
}

static void count(fh_work *w)
{
    fh_reply(w, 200, fh_row(w, "SELECT count(*) AS n FROM book"));
}

static void refuse(fh_work *w)
{
    fh_exec(w, "INSERT INTO book DEFAULT VALUES");
    fh_fail(w, 503, "Come back on Monday.");
}

static int status_of(void **state, fh_handler *handler, bool read_only)
{
    struct run run = {*state, handler, read_only, 0};
    harness_run(&run.fixture->harness, run_work, &run);
    return run.status;
}

/* How many units of work of the kind have failed in a row; -1: there is no trouble. */
static long long failures(void **state, const char *kind, const char *why)
{
    struct fixture *fixture = *state;
    json_t *shown = trouble_show(fixture->context.troubles, fixture->harness.world);
    const json_t *one = json_object_get(shown, kind);
    long long found = one ? json_integer_value(json_object_get(one, "failures")) : -1;
    if (one)
        assert_string_equal(json_string_at(one, "why"), why);
    json_decref(shown);
    return found;
}

static void a_store_that_does_not_serve_is_reported_until_it_does(void **state)
{
    error_set(&said, FH_UNAVAILABLE, "The store's disk is full.");
    assert_int_equal(status_of(state, add, false), 503);
    assert_int_equal(status_of(state, add, false), 503);
    assert_int_equal(status_of(state, count, true), 503);
    assert_int_equal(failures(state, "writes", said.message), 2);
    assert_int_equal(failures(state, "reads", said.message), 1);
    char message[256];
    memcpy(message, said.message, sizeof message);
    said.code = FH_OK;
    assert_int_equal(status_of(state, count, true), 200);
    assert_int_equal(failures(state, "reads", ""), -1);
    assert_int_equal(failures(state, "writes", message), 2);
    assert_int_equal(status_of(state, add, false), 201);
    assert_int_equal(failures(state, "writes", ""), -1);
}

static void repeated_conflicts_are_no_trouble_of_the_store(void **state)
{
    error_set(&said, FH_CONFLICT, "Another work was first.");
    said.retryable = true;
    assert_int_equal(status_of(state, add, false), 503);
    assert_int_equal(failures(state, "writes", ""), -1);
}

static void what_a_handler_refuses_is_no_trouble_of_the_store(void **state)
{
    assert_int_equal(status_of(state, refuse, false), 503);
    assert_int_equal(failures(state, "writes", ""), -1);
}

static void texts_that_end_within_a_character_are_reported_all_the_same(void **state)
{
    error_set(&said, FH_UNAVAILABLE, "%s", "FATAL: Datenbankserver f\xc3");
    assert_int_equal(status_of(state, add, false), 503);
    assert_int_equal(failures(state, "writes", "FATAL: Datenbankserver f"), 1);
}

static void run_try(void *argument)
{
    struct fixture *fixture = argument;
    trouble_try(&fixture->context);
}

/* As if the last unit of work had failed so long ago. */
static void try_after(void **state, int64_t ns)
{
    struct fixture *fixture = *state;
    for (int kind = 0; kind < TROUBLE_KINDS; kind++)
        fixture->context.troubles[kind].last_ns -= ns;
    harness_run(&fixture->harness, run_try, fixture);
}

static void an_idle_service_finds_out_itself_that_its_store_serves_again(void **state)
{
    error_set(&said, FH_UNAVAILABLE, "The server is gone.");
    assert_int_equal(status_of(state, add, false), 503);
    assert_int_equal(status_of(state, count, true), 503);
    char message[256];
    memcpy(message, said.message, sizeof message);
    try_after(state, TROUBLE_TRY_NS);
    assert_int_equal(failures(state, "reads", message), 1);
    assert_int_equal(failures(state, "writes", message), 1);
    said.code = FH_OK;
    try_after(state, TROUBLE_TRY_NS);
    assert_int_equal(failures(state, "reads", ""), -1);
    assert_int_equal(failures(state, "writes", ""), -1);
    assert_int_equal(status_of(state, add, false), 201);
}

static void a_momentary_trouble_is_left_to_the_units_of_work_that_meet_it(void **state)
{
    error_set(&said, FH_UNAVAILABLE, "The server is gone.");
    assert_int_equal(status_of(state, add, false), 503);
    said.code = FH_OK;
    try_after(state, 0);
    assert_int_equal(failures(state, "writes", said.message), 1);
}

static void a_try_that_meets_a_conflict_ends_no_trouble(void **state)
{
    error_set(&said, FH_UNAVAILABLE, "The server is gone.");
    assert_int_equal(status_of(state, add, false), 503);
    error_set(&said, FH_CONFLICT, "Another work was first.");
    said.retryable = true;
    try_after(state, TROUBLE_TRY_NS);
    assert_int_equal(failures(state, "writes", "The server is gone."), 1);
}

int main(void)
{
    json_memory_init();
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(a_store_that_does_not_serve_is_reported_until_it_does),
        TEST(repeated_conflicts_are_no_trouble_of_the_store),
        TEST(what_a_handler_refuses_is_no_trouble_of_the_store),
        TEST(texts_that_end_within_a_character_are_reported_all_the_same),
        TEST(an_idle_service_finds_out_itself_that_its_store_serves_again),
        TEST(a_momentary_trouble_is_left_to_the_units_of_work_that_meet_it),
        TEST(a_try_that_meets_a_conflict_ends_no_trouble),
    };
    return cmocka_run_group_tests_name("trouble", tests, NULL, NULL);
}
