/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An answer of a view says as of when its rows are. Here another instance has the partition, and
 * sets it back while a request is carried out: whatever the handler has read by then, no answer
 * names a position over older rows, and none is given to who waits for what is set back. A whole
 * service, its requests from memory; the other instance is what the test writes into the store.
 */

#include "../support/hosted.h"

#include "event/manager.h"
#include "event/subscribe/set_back.h"
#include "http/virtual.h"
#include "service/view.h"

#define AT_5 "users@one,5"

/* ---- The other instance ---- */

/* When it sets the partition back. */
static enum { NEVER, BEFORE_ROWS, AFTER_ROWS, BEFORE_ROWS_EACH_TIME } sets_back;
static bool replays; /* so that the cursor is at 2, and the row as it was then */
static int runs;

static struct fixture *serving;

static struct subscription *partition(void)
{
    return serving->runtime.context.events->subscriptions;
}

static void must_write(struct store_work *work, const char *sql)
{
    struct fh_error error;
    if (sql_run(work, sql, NULL, 0, NULL, NULL, NULL, &error) != FH_OK)
        fail_msg("%s", error.message);
}

static void set_partition_back(void *unused)
{
    struct store_work *work;
    int64_t count;
    (void)unused;
    assert_int_equal(
        store_begin(serving->runtime.context.store, STORE_WRITE, &work, ERROR_UNHEEDED), FH_OK);
    if (replays) {
        must_write(work, "INSERT INTO fh_cursor (source, share, incarnation, position, event_id,"
                         " epoch) VALUES ('users~replay', '0/1', 'one', 5, 'e5', 0)");
        must_write(work, "UPDATE fh_cursor SET position = 2 WHERE source = 'users'");
        must_write(work, "UPDATE effect SET what = 'as of 2'");
    }
    assert_int_equal(set_back_put(work, partition(), &count, ERROR_UNHEEDED), FH_OK);
    assert_int_equal(store_commit(work, ERROR_UNHEEDED), FH_OK);
}

static void end_replay(void *unused)
{
    struct store_work *work;
    (void)unused;
    assert_int_equal(
        store_begin(serving->runtime.context.store, STORE_WRITE, &work, ERROR_UNHEEDED), FH_OK);
    must_write(work, "UPDATE fh_cursor SET position = 5 WHERE source = 'users'");
    must_write(work, "DELETE FROM fh_cursor WHERE source = 'users~replay'");
    must_write(work, "UPDATE effect SET what = 'as of 5'");
    assert_int_equal(store_commit(work, ERROR_UNHEEDED), FH_OK);
}

/* ---- The view ---- */

static void nothing(fh_work *w)
{
    (void)w;
}

static void on_shown(fh_work *w)
{
    runs++;
    if (sets_back == BEFORE_ROWS_EACH_TIME || (sets_back == BEFORE_ROWS && runs == 1))
        set_partition_back(NULL);
    json_t *row = fh_row(w, "SELECT what FROM effect");
    if (sets_back == AFTER_ROWS && runs == 1)
        set_partition_back(NULL);
    fh_reply(w, 200, row);
}

/* What it refuses says something of the rows, too. */
static void on_refused(fh_work *w)
{
    runs++;
    if (sets_back == BEFORE_ROWS && runs == 1)
        set_partition_back(NULL);
    if (!fh_try_row(w, "SELECT what FROM effect WHERE what = 'as of 5'"))
        fh_fail(w, 404, "there is none");
    fh_reply(w, 200, fh_object(w, "what", "as of 5"));
}

/* It has read nothing by itself. */
static void on_empty(fh_work *w)
{
    runs++;
    if (sets_back == BEFORE_ROWS && runs == 1)
        set_partition_back(NULL);
    fh_reply(w, 204, NULL);
}

static const fh_service shown = {
    .name = "shown",
    .model = FH_RELATIONAL,
    .routes = {{"GET", "/shown", on_shown, .of_view = true},
               {"GET", "/refused", on_refused, .of_view = true},
               {"GET", "/empty", on_empty, .of_view = true}},
    .subscribes = {{"users", "UserUpdated", nothing}},
};

static void give_partition_away(void *unused)
{
    struct lease *lease = &partition()->lease;
    (void)unused;
    lease->state = LEASE_AWAY;
    lease->ends(lease);
}

static bool has_let_go(void *unused)
{
    (void)unused;
    return !partition()->applies;
}

static bool is_loaded(void *unused)
{
    (void)unused;
    return partition()->loaded;
}

static int set_up(void **state)
{
    sets_back = NEVER;
    replays = false;
    runs = 0;
    hosted_set_up(state, &shown);
    serving = *state;
    harness_until(&serving->harness, is_loaded, NULL);
    harness_run(&serving->harness, give_partition_away, NULL);
    harness_until(&serving->harness, has_let_go, NULL);
    number_of(serving, "INSERT INTO effect (what) VALUES ('as of 5')");
    number_of(serving, "INSERT INTO fh_cursor (source, share, incarnation, position, event_id,"
                       " epoch) VALUES ('users', '0/1', 'one', 5, 'e5', 0)");
    return 0;
}

static int end(void **state)
{
    partition()->lease.state = LEASE_OURS;
    return tear_down(state);
}

/* ---- A request and its answer ---- */

struct sent {
    const char *target;
    const char *wait; /* or NULL */
    int status;       /* 0: no answer yet */
    char text[512], as_of[128];
};

static void on_replied(void *context, const struct http_answer *answer)
{
    struct sent *sent = context;
    sent->status = answer->status;
    snprintf(sent->text, sizeof sent->text, "%.*s", (int)answer->body_length,
             answer->body ? answer->body : "");
    for (size_t i = 0; i < answer->header_count; i++) {
        if (strcmp(answer->headers[i].name, VIEW_AS_OF_HEADER) == 0)
            snprintf(sent->as_of, sizeof sent->as_of, "%s", answer->headers[i].value);
    }
}

static void on_sent(void *unused, struct http_incoming *incoming)
{
    (void)unused;
    exchange_incoming(&serving->runtime, incoming);
}

static void sending(struct sent *sent)
{
    const struct http_header header = {VIEW_WAIT_HEADER, sent->wait};
    struct http_virtual request = {.method = "GET",
                                   .target = sent->target,
                                   .headers = &header,
                                   .header_count = sent->wait != NULL,
                                   .received_ns = world_monotonic_ns(serving->harness.world),
                                   .replied = on_replied,
                                   .context = sent};
    http_virtual_send(&request, (struct http_handler){on_sent, sent});
}

static bool is_answered(void *sent)
{
    return ((struct sent *)sent)->status != 0;
}

static struct sent answer_of(const char *target, const char *wait)
{
    struct sent sent = {.target = target, .wait = wait};
    sending(&sent);
    harness_until(&serving->harness, is_answered, &sent);
    return sent;
}

static void expect_answer(const struct sent *sent, int status, const char *text, const char *as_of)
{
    assert_int_equal(sent->status, status);
    if (!strstr(sent->text, text))
        fail_msg("%s", sent->text);
    assert_string_equal(sent->as_of, as_of);
}

static void expect_runs(int count)
{
    assert_int_equal(runs, count);
    runs = 0;
}

/* ---- Tests ---- */

static void an_answer_names_what_its_rows_have(void **state)
{
    (void)state;
    struct sent sent = answer_of("/shown", AT_5);
    expect_answer(&sent, 200, "as of 5", AT_5);
    expect_runs(1);
    sent = answer_of("/empty", NULL);
    expect_answer(&sent, 204, "", AT_5);
    expect_runs(1);
}

static void an_answer_over_rows_that_were_set_back_names_no_position(void **state)
{
    static const char *const targets[] = {"/shown", "/refused", "/empty"};
    static const int statuses[] = {200, 404, 204};
    (void)state;
    replays = true;
    for (int i = 0; i < 3; i++) {
        sets_back = BEFORE_ROWS;
        struct sent sent = answer_of(targets[i], NULL);
        expect_answer(&sent, statuses[i], i == 0 ? "as of 2" : "", "");
        expect_runs(2);
        harness_run(&serving->harness, end_replay, NULL);
        sets_back = NEVER;
        sent = answer_of(targets[i], AT_5); /* looks at once */
        expect_runs(1);
        expect_answer(&sent, i == 2 ? 204 : 200, i == 2 ? "" : "as of 5", AT_5);
    }
}

/* They are of before, as a snapshot has it. */
static void rows_that_were_read_before_are_answered_with_their_position(void **state)
{
    (void)state;
    sets_back = AFTER_ROWS;
    replays = true;
    struct sent sent = answer_of("/shown", NULL);
    expect_answer(&sent, 200, "as of 5", AT_5);
    expect_runs(1);
}

static bool waits_again(void *unused)
{
    (void)unused;
    return runs == 1 && serving->runtime.context.events->waiter_count == 1;
}

static void who_waits_is_not_answered_with_rows_that_were_set_back(void **state)
{
    struct sent sent = {.target = "/shown", .wait = AT_5};
    (void)state;
    sets_back = BEFORE_ROWS;
    replays = true;
    sending(&sent);
    harness_until(&serving->harness, waits_again, NULL);
    assert_int_equal(sent.status, 0);
    harness_run(&serving->harness, end_replay, NULL);
    harness_until(&serving->harness, is_answered, &sent);
    expect_answer(&sent, 200, "as of 5", AT_5);
    expect_runs(2);
}

/* So that it is known again each time, nothing is replayed. */
static void an_answer_that_is_outdated_each_time_is_refused(void **state)
{
    (void)state;
    sets_back = BEFORE_ROWS_EACH_TIME;
    struct sent sent = answer_of("/shown", NULL);
    expect_answer(&sent, 503, "view-outdated", "");
    expect_runs(VIEW_RUNS_MAX);
    sets_back = NEVER;
    sent = answer_of("/shown", NULL);
    expect_answer(&sent, 200, "as of 5", AT_5);
    expect_runs(1);
    assert_int_equal(serving->runtime.context.counters.failed, 0);
    assert_int_equal(serving->runtime.context.counters.reruns, VIEW_RUNS_MAX - 1);
}

/* It believes that the partition is its own. */
static void an_instance_that_has_lost_a_partition_names_no_position_of_it(void **state)
{
    (void)state;
    struct sent sent = answer_of("/shown", NULL);
    expect_answer(&sent, 200, "as of 5", AT_5);
    partition()->lease.state = LEASE_OURS;
    runs = 0;
    sets_back = BEFORE_ROWS;
    replays = true;
    sent = answer_of("/shown", NULL);
    expect_answer(&sent, 200, "as of 2", "");
    expect_runs(2);
    partition()->lease.state = LEASE_AWAY;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_answer_names_what_its_rows_have),
        TEST(an_answer_over_rows_that_were_set_back_names_no_position),
        TEST(rows_that_were_read_before_are_answered_with_their_position),
        TEST(who_waits_is_not_answered_with_rows_that_were_set_back),
        TEST(an_answer_that_is_outdated_each_time_is_refused),
        TEST(an_instance_that_has_lost_a_partition_names_no_position_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
