/* SPDX-License-Identifier: Apache-2.0 */
/* Series as handlers see them: one unit of work with the store, however often it runs; when they
 * may be asked; whose fault a failure is; and what is too old. */

#include "../support/run.h"

#include <string.h>

#include "base/json.h"
#include "service/rebuild.h"
#include "work/derived.h"
#include "work/keys.h"

#define DAY_MS INT64_C(86400000)
#define MANY 2500 /* more than two slices of a sweep */

static const struct fh_derived_field measured_fields[] = {
    {"device", FH_STRING, FH_TAG}, {"c", FH_NUMBER}, {0}};
static const struct fh_derived_field note_fields[] = {{"text", FH_STRING, FH_TEXT}, {0}};
static const fh_service service = {
    .name = "meters",
    .model = FH_RELATIONAL,
    .derives = {
        {.name = "notes", .model = FH_SEARCH, .fields = note_fields},
        {.name = "measured", .model = FH_SERIES, .fields = measured_fields, .keep_days = 30},
        {.name = "counted", .model = FH_SERIES, .fields = measured_fields},
        {.name = "last", .model = FH_SERIES, .fields = measured_fields, .keep_days = 30},
        {.name = "rolled",
         .model = FH_SERIES,
         .fields = measured_fields,
         .keep_days = 30,
         .rollups = {{.every_ms = DAY_MS / 24}}}}};

static int runs; /* of a handler */

static int set_up(void **state)
{
    runs = 0;
    return fixture_set_up(state, &service, "CREATE TABLE device (id TEXT PRIMARY KEY)");
}

static void assert_replies(void **state, fh_handler *handler, bool read_only, const char *reply)
{
    struct run run = run_one(state, handler, read_only);
    if (run.status != 200)
        fail_msg("%s", run.failure);
    assert_string_equal(run.reply, reply);
}

static json_t *celsius(fh_work *w, double c)
{
    return fh_object(w, "device", "d1", "c", c);
}

static void measure(fh_work *w, double c)
{
    fh_fact(w, "counted", 1000, celsius(w, c));
}

/* The count and the sum of all points of a series. */
static json_t *all_of(fh_work *w, const char *name)
{
    const struct fh_series series = {.from_ms = -1000 * DAY_MS,
                                     .to_ms = 100000 * DAY_MS,
                                     .every_ms = 200000 * DAY_MS,
                                     .values = (const char *const[]){"count", "sum c", NULL}};
    json_t *curves = json_object_get(fh_series(w, name, &series), "curves"), *both = json_array();
    size_t i;
    json_t *one, *point;
    json_array_foreach (json_object_get(json_array_get(curves, 0), "points"), i, point) {
        if (json_integer_value(json_array_get(point, 1)) > 0) {
            one = json_array();
            json_array_append(one, json_array_get(point, 1));
            json_array_append(one, json_array_get(point, 2));
            json_array_append_new(both, one);
        }
    }
    return both;
}

static void reply_counted(fh_work *w)
{
    json_t *row = fh_row(w, "SELECT count(*) AS n FROM device", NULL), *all = all_of(w, "counted");
    fh_reply(w, 200, json_pack("{s:O, s:O}", "rows", json_object_get(row, "n"), "points", all));
}

static void reply_measured(fh_work *w)
{
    fh_reply(w, 200, all_of(w, "measured"));
}

/* ---- One unit of work ---- */

static void add_device(fh_work *w)
{
    fh_exec(w, "INSERT INTO device VALUES ('d1')", NULL);
    measure(w, 21.5);
}

static void add_and_fail(fh_work *w)
{
    add_device(w);
    fh_fail(w, 409, "There is no room for it.");
}

/* The first run meets a conflict after it has measured something else. */
static void measure_again(fh_work *w)
{
    struct fh_error error;
    if (runs++ == 0) {
        fh_fact(w, "counted", 2000, celsius(w, 1));
        measure(w, 99);
        error_retry(&error, FH_CONFLICT, "Another one was first.");
        work_fail(w, &error);
    }
    measure(w, 7);
}

static void a_point_is_one_with_the_store(void **state)
{
    assert_int_equal(run_one(state, add_and_fail, false).status, 409);
    assert_replies(state, reply_counted, true, "{\"rows\":0,\"points\":[]}");
    assert_int_equal(run_one(state, add_device, false).status, 204);
    assert_replies(state, reply_counted, true, "{\"rows\":1,\"points\":[[1,21.5]]}");
    assert_int_equal(run_one(state, add_and_fail, false).status, 409); /* by the row */
    assert_replies(state, reply_counted, true, "{\"rows\":1,\"points\":[[1,21.5]]}");
}

static void a_work_that_runs_again_measures_once(void **state)
{
    assert_int_equal(run_one(state, measure_again, false).status, 204);
    assert_int_equal(runs, 2);
    assert_replies(state, reply_counted, true, "{\"rows\":0,\"points\":[[1,7.0]]}");
}

/* ---- When ---- */

static void measure_in_a_get(fh_work *w)
{
    measure(w, 1);
}

static void ask_first(fh_work *w)
{
    json_t *all = all_of(w, "counted");
    measure(w, 8);
    fh_reply(w, 200, all);
}

static void ask_late(fh_work *w)
{
    measure(w, 9);
    all_of(w, "counted");
}

static void it_is_asked_before_the_store_is_used_and_in_gets(void **state)
{
    struct run run = run_one(state, measure_in_a_get, true);
    assert_int_equal(run.status, 500);
    assert_non_null(strstr(run.failure, "A handler of GET changes nothing"));
    assert_int_equal(run_one(state, add_device, false).status, 204);
    run = run_one(state, ask_late, false);
    assert_int_equal(run.status, 500);
    assert_non_null(strstr(run.failure, "fh_series was called after the store was used"));
    assert_replies(state, ask_first, false, "[[1,21.5]]");
    assert_replies(state, reply_counted, true, "{\"rows\":1,\"points\":[[1,8.0]]}");
}

/* ---- Whose fault ---- */

static void measure_elsewhere(fh_work *w)
{
    fh_fact(w, "heard", 0, celsius(w, 1));
}

static void measure_a_search(fh_work *w)
{
    fh_fact(w, "notes", 0, celsius(w, 1));
}

static void derive_a_series(fh_work *w)
{
    fh_derive(w, "measured", "d1", celsius(w, 1));
}

static void derive_a_series_gone(fh_work *w)
{
    fh_derive_gone(w, "measured", "d1");
}

static void search_a_series(fh_work *w)
{
    fh_search(w, "measured", &(struct fh_search){0});
}

static void ask_a_search(fh_work *w)
{
    fh_series(w, "notes", &(struct fh_series){0});
}

static void measure_less(fh_work *w)
{
    fh_fact(w, "measured", fh_now_ms(w), fh_object(w, "device", "d1"));
}

static void measure_nothing(fh_work *w)
{
    fh_fact(w, "measured", fh_now_ms(w), json_pack("{s:s, s:f}", "device", "d1", "c", 0.0 / 0.0));
}

/* What would be left out is checked all the same. */
static void measure_less_long_ago(fh_work *w)
{
    fh_fact(w, "measured", 0, fh_object(w, "device", "d1"));
}

static void ask_for_nothing(fh_work *w)
{
    fh_series(w, "measured",
              &(struct fh_series){.values = (const char *const[]){"fahrenheit", NULL}});
}

static void measure_too_much(fh_work *w)
{
    for (int i = 0; i <= 1000; i++)
        fh_fact(w, "counted", i, celsius(w, 1));
}

static void what_is_not_declared_is_the_services_fault(void **state)
{
    static const struct {
        fh_handler *handler;
        bool read_only;
        const char *words;
    } faults[] = {
        {measure_elsewhere, false, "fh_fact of heard: it is not among the declared"},
        {measure_a_search, false, "fh_fact of notes: it is declared as FH_SEARCH"},
        {derive_a_series, false, "fh_derive of measured: it is declared as FH_SERIES"},
        {derive_a_series_gone, false, "fh_derive_gone of measured: it is declared as FH_SERIES"},
        {search_a_series, true, "fh_search of measured: it is declared as FH_SERIES"},
        {ask_a_search, true, "fh_series of notes: it is declared as FH_SEARCH"},
        {measure_less, false, "lacks its field c"},
        {measure_less_long_ago, false, "lacks its field c"},
        {measure_nothing, false, "must be an object"},
        {ask_for_nothing, true, "has no measured field \"fahrenheit\""},
        {measure_too_much, false, "at most 1000 points"},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        struct run run = run_one(state, faults[i].handler, faults[i].read_only);
        assert_int_equal(run.status, 500);
        if (!strstr(run.failure, faults[i].words))
            fail_msg("%s", run.failure);
    }
    assert_replies(state, reply_counted, true, "{\"rows\":0,\"points\":[]}");
}

static void measure_a_long_name(fh_work *w)
{
    fh_fact(w, "measured", 0, fh_object(w, "device", fh_format(w, "%0300d", 7), "c", 1.0));
}

static void measure_in_another_world(fh_work *w)
{
    fh_fact(w, "measured", INT64_MAX, celsius(w, 1));
}

static void ask_of_a_number(fh_work *w)
{
    fh_series(w, "measured", &(struct fh_series){.tags = fh_object(w, "device", 7)});
}

static void ask_backwards(fh_work *w)
{
    fh_series(w, "measured", &(struct fh_series){.from_ms = 2, .to_ms = 1});
}

static void what_a_client_may_have_sent_is_answered_with_422(void **state)
{
    static const struct {
        fh_handler *handler;
        bool read_only;
        const char *pointer;
    } refusals[] = {
        {measure_a_long_name, false, "\"/device\""},
        {measure_in_another_world, false, "\"/at_ms\""},
        {ask_of_a_number, true, "\"/device\""},
        {ask_backwards, true, "\"/to_ms\""},
    };
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        struct run run = run_one(state, refusals[i].handler, refusals[i].read_only);
        assert_int_equal(run.status, 422);
        assert_non_null(strstr(run.reply, refusals[i].pointer));
    }
}

/* ---- What is too old ---- */

static void measure_of_all_ages(fh_work *w)
{
    int64_t now_ms = fh_now_ms(w);
    fh_fact(w, "measured", now_ms - 31 * DAY_MS, celsius(w, 1));
    fh_fact(w, "measured", now_ms - 29 * DAY_MS, celsius(w, 2));
    fh_fact(w, "measured", now_ms + 29 * DAY_MS, celsius(w, 4));
    fh_fact(w, "measured", INT64_C(-1000), celsius(w, 8));
    fh_fact(w, "counted", INT64_C(-1000), celsius(w, 8));
}

static void what_is_older_than_it_keeps_is_left_out(void **state)
{
    assert_int_equal(run_one(state, measure_of_all_ages, false).status, 204);
    assert_replies(state, reply_measured, true, "[[2,6.0]]");
    assert_replies(state, reply_counted, true, "{\"rows\":0,\"points\":[[1,8.0]]}");
}

/* By the clock of commands, which was behind, and has no steps. */
static void set_clock(void **state, int64_t ago_ms)
{
    struct work_context *context = &((struct fixture *)*state)->context;
    context->keys->clock_ms = world_wall_ms(context->world) - ago_ms;
    context->keys->clock_at_ns = world_monotonic_ns(context->world);
}

static void neither_clock_that_is_ahead_makes_points_old(void **state)
{
    set_clock(state, 100 * DAY_MS);
    assert_int_equal(run_one(state, measure_of_all_ages, false).status, 204);
    assert_replies(state, reply_measured, true, "[[3,7.0]]");
    set_clock(state, -100 * DAY_MS);
    assert_replies(state, reply_measured, true, "[[2,6.0]]");
}

static void measure_long_ago(fh_work *w)
{
    int64_t now_ms = fh_now_ms(w);
    for (int i = 0; i < 500; i++)
        fh_fact(w, "measured", now_ms - 40 * DAY_MS + runs++, celsius(w, 1));
}

struct sweep {
    struct fixture *fixture;
    struct series_sweep at;
    int slices, failed;
    struct fh_error error;
};

static void sweep_entry(void *argument)
{
    struct sweep *sweep = argument;
    for (; !sweep->at.done && sweep->slices < 100; sweep->slices++)
        sweep->failed +=
            work_series_sweep(&sweep->fixture->context, &sweep->at, &sweep->error) != 0;
}

static void a_sweep_removes_what_no_question_reads_any_more(void **state)
{
    struct sweep sweep = {.fixture = *state};
    set_clock(state, 100 * DAY_MS);
    for (int i = 0; i < MANY / 500; i++)
        assert_int_equal(run_one(state, measure_long_ago, false).status, 204);
    assert_int_equal(run_one(state, measure_of_all_ages, false).status, 204);
    assert_replies(state, reply_measured, true, "[[2503,2507.0]]");
    set_clock(state, 0);
    harness_run(&sweep.fixture->harness, sweep_entry, &sweep);
    assert_int_equal(sweep.failed, 0);
    assert_int_equal(sweep.slices,
                     6);            /* three, one of each empty series, and one that finds none */
    set_clock(state, 100 * DAY_MS); /* they are gone, and not left out */
    assert_replies(state, reply_measured, true, "[[2,6.0]]");
    assert_replies(state, reply_counted, true, "{\"rows\":0,\"points\":[[1,8.0]]}");
}

static void break_the_first(fh_work *w)
{
    fh_exec(w, "DROP TABLE fh_derived_2_curve", NULL);
}

static void measure_in_the_last(fh_work *w)
{
    fh_fact(w, "last", fh_now_ms(w) - 40 * DAY_MS, celsius(w, 1));
    fh_fact(w, "last", fh_now_ms(w), celsius(w, 2));
}

static void reply_last(fh_work *w)
{
    fh_reply(w, 200, all_of(w, "last"));
}

static void a_series_that_fails_keeps_no_other_from_being_swept(void **state)
{
    struct sweep sweep = {.fixture = *state};
    set_clock(state, 100 * DAY_MS);
    assert_int_equal(run_one(state, measure_in_the_last, false).status, 204);
    assert_int_equal(run_one(state, break_the_first, false).status, 204);
    set_clock(state, 0);
    harness_run(&sweep.fixture->harness, sweep_entry, &sweep);
    assert_int_equal(sweep.failed, 1);
    assert_int_equal(sweep.slices, 4);
    set_clock(state, 100 * DAY_MS);
    assert_replies(state, reply_last, true, "[[1,2.0]]");
}

/* ---- What becomes of it ---- */

/* One that is older than points are kept, and one that is not, of other times each time. */
static void measure_to_roll(fh_work *w)
{
    int64_t now_ms = fh_now_ms(w) - runs * DAY_MS;
    fh_fact(w, "rolled", now_ms - 40 * DAY_MS, celsius(w, runs ? 100 : 1));
    fh_fact(w, "rolled", now_ms - DAY_MS, celsius(w, 2));
    runs++;
}

static void reply_rolled(fh_work *w)
{
    fh_reply(w, 200, all_of(w, "rolled"));
}

static void what_is_older_than_it_keeps_becomes_roll_ups(void **state)
{
    struct sweep sweep = {.fixture = *state};
    set_clock(state, 100 * DAY_MS);
    assert_int_equal(run_one(state, measure_to_roll, false).status, 204);
    set_clock(state, 0);
    assert_int_equal(run_one(state, measure_to_roll, false).status, 204); /* one is left out */
    assert_replies(state, reply_rolled, true, "[[3,5.0]]");
    harness_run(&sweep.fixture->harness, sweep_entry, &sweep);
    assert_int_equal(sweep.failed, 0);
    assert_replies(state, reply_rolled, true, "[[3,5.0]]");
    set_clock(state, 100 * DAY_MS);
    assert_int_equal(run_one(state, measure_to_roll, false).status, 204); /* and again */
    assert_replies(state, reply_rolled, true, "[[4,7.0]]");
}

static void ask_for_quantiles_of_roll_ups(fh_work *w)
{
    const struct fh_series series = {.from_ms = fh_now_ms(w) - 40 * DAY_MS,
                                     .to_ms = fh_now_ms(w),
                                     .every_ms = DAY_MS,
                                     .values = (const char *const[]){"p99 c", NULL}};
    fh_reply(w, 200, fh_series(w, "rolled", &series));
}

static void what_roll_ups_do_not_know_is_answered_with_422(void **state)
{
    struct run run = run_one(state, ask_for_quantiles_of_roll_ups, true);
    assert_int_equal(run.status, 422);
    assert_non_null(strstr(run.failure, "expected a later `from_ms`"));
}

/* ---- As large as can be ---- */

static void measure_of_many(fh_work *w)
{
    for (int i = 0; i < 1000; i++, runs++)
        fh_fact(w, "counted", runs,
                fh_object(w, "device", fh_format(w, "device %d", runs), "c", 1.0 / 3));
}

static void ask_all_intervals(fh_work *w)
{
    const struct fh_series series = {
        .to_ms = 100000, .every_ms = 1, .values = (const char *const[]){"mean c", NULL}};
    fh_reply(w, 200, fh_series(w, "counted", &series));
}

static void ask_all_curves(fh_work *w)
{
    fh_reply(
        w, 200,
        fh_series(w, "counted", &(struct fh_series){.by = (const char *const[]){"device", NULL}}));
}

static void the_largest_answers_fit_into_a_handler(void **state)
{
    for (int i = 0; i < 10; i++)
        assert_int_equal(run_one(state, measure_of_many, false).status, 204);
    assert_int_equal(run_one(state, ask_all_intervals, true).status, 200);
    assert_int_equal(run_one(state, ask_all_curves, true).status, 200);
    assert_int_equal(run_one(state, measure_of_many, false).status, 204);
    assert_int_equal(run_one(state, ask_all_curves, true).status, 422);
}

/* ---- Where the points are alone ---- */

static void ignore(fh_work *w)
{
    fh_reply(w, 204, NULL);
}

static void a_service_that_keeps_series_is_not_rebuilt(void **state)
{
    fh_service heard = {.name = "heard", .subscribes = {{"devices", "DeviceChanged", ignore}}};
    struct fh_error error;
    (void)state;
    heard.derives[0] = service.derives[0];
    assert_int_equal(service_may_be_rebuilt(&heard, &error), FH_OK);
    heard.derives[1] = service.derives[1];
    assert_int_equal(service_may_be_rebuilt(&heard, &error), FH_UNSUPPORTED);
    assert_non_null(strstr(error.message, "heard keeps series"));
}

/* ---- Of an older header ---- */

#undef fh_series

static void ask_as_before(fh_work *w)
{
    const struct fh_series series = {.limit = -1};
    json_t *answer = fh_series(w, "counted", offsetof(struct fh_series, limit), &series);
    fh_reply(w, 200, answer);
}

static void a_question_of_an_older_header_is_read_by_its_size(void **state)
{
    assert_int_equal(run_one(state, add_device, false).status, 204);
    assert_replies(state, ask_as_before, true,
                   "{\"values\":[\"c\"],\"curves\":[{\"tags\":{},\"points\":[[1000,21.5]]}]}");
}

#define WORK_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORK_TEST(a_point_is_one_with_the_store),
        WORK_TEST(a_work_that_runs_again_measures_once),
        WORK_TEST(it_is_asked_before_the_store_is_used_and_in_gets),
        WORK_TEST(what_is_not_declared_is_the_services_fault),
        WORK_TEST(what_a_client_may_have_sent_is_answered_with_422),
        WORK_TEST(what_is_older_than_it_keeps_is_left_out),
        WORK_TEST(neither_clock_that_is_ahead_makes_points_old),
        WORK_TEST(a_sweep_removes_what_no_question_reads_any_more),
        WORK_TEST(a_series_that_fails_keeps_no_other_from_being_swept),
        WORK_TEST(what_is_older_than_it_keeps_becomes_roll_ups),
        WORK_TEST(what_roll_ups_do_not_know_is_answered_with_422),
        WORK_TEST(the_largest_answers_fit_into_a_handler),
        WORK_TEST(a_service_that_keeps_series_is_not_rebuilt),
        WORK_TEST(a_question_of_an_older_header_is_read_by_its_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
