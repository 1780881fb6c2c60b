/* SPDX-License-Identifier: Apache-2.0 */
/* Requests whose commit is not decided: what their clients are told, and that everything belonging
 * to the unit of work is done once it is decided, as if that had been quick. A whole service, its
 * requests from memory. */

#include "../support/hosted.h"
#include "../support/undecided.h"

#include "http/virtual.h"
#include "saga/manager.h"
#include "saga/run.h"

#define CALLER "shops/01900000-0000-7000-8000-000000000002"
#define STEP "shops/01900000-0000-7000-8000-000000000002.7/take/0"

/* ---- The service ---- */

static bool refuses;               /* the saga's own step */
static struct saga_manager *loses; /* its run, while that step is under way */

static void add(fh_work *w)
{
    fh_exec(w, "INSERT INTO effect (what) VALUES ('added')");
    fh_reply(w, 201, json_pack("{s:i}", "id", 7));
}

static void add_back(fh_work *w)
{
    fh_exec(w, "INSERT INTO effect (what) VALUES ('taken back')");
    fh_reply(w, 200, NULL);
}

static void publish(fh_work *w)
{
    add(w);
    fh_publish(w, "BookAdded", json_pack("{s:i}", "id", 7));
}

static void start(fh_work *w)
{
    fh_exec(w, "INSERT INTO effect (what) VALUES ('added')");
    fh_saga_start(w, "note", json_object());
    fh_reply(w, 202, NULL);
}

static void refuse(fh_work *w)
{
    fh_fail(w, 409, "There is none left.");
}

static void lose_run(void)
{
    struct map_entry *entry = NULL;
    const char *reference;
    void *run;
    if (map_next(&loses->runs, &entry, &reference, &run))
        saga_manager_remove(loses, run);
}

static void note(fh_work *w)
{
    if (loses)
        lose_run();
    if (refuses)
        fh_fail(w, 409, "It can't be noted.");
    fh_exec(w, "INSERT INTO effect (what) VALUES ('noted')");
}

static void undone(fh_work *w)
{
    fh_exec(w, "INSERT INTO effect (what) VALUES ('undone')");
}

static const fh_field book_shape[] = {{"id", FH_INT}, {0}};
static const fh_step note_steps[] = {{"note", .run = note}, {0}};

static const fh_service books = {
    .name = "books",
    .model = FH_RELATIONAL,
    .routes = {{"POST", "/plain", add, .undo = add_back},
               {"POST", "/publish", publish},
               {"POST", "/start", start},
               {"POST", "/refuse", refuse}},
    .publishes = {{"BookAdded", 1, book_shape, .key = "id"}},
    .sagas = {{"note", note_steps, .undone = undone}},
};

static int set_up(void **state)
{
    undecided = (struct undecided){0};
    refuses = false;
    loses = NULL;
    return hosted_set_up(state, &books);
}

/* ---- A request and its answer ---- */

struct sent {
    struct fixture *fixture;
    const char *method, *target, *body;
    struct http_header headers[6];
    int status; /* 0: no answer yet */
    int answers;
    bool retry_later, outcome;
    char text[512];
};

static void on_replied(void *context, const struct http_answer *answer)
{
    struct sent *sent = context;
    sent->status = answer->status;
    sent->answers++;
    for (size_t i = 0; i < answer->header_count; i++) {
        sent->retry_later |= strcmp(answer->headers[i].name, "Retry-After") == 0;
        sent->outcome |= strcmp(answer->headers[i].name, "Freehold-Outcome") == 0;
    }
    snprintf(sent->text, sizeof sent->text, "%.*s", (int)answer->body_length,
             answer->body ? answer->body : "");
}

static void sending(struct sent *sent)
{
    struct http_virtual request = {.method = sent->method ? sent->method : "POST",
                                   .target = sent->target,
                                   .body = sent->body,
                                   .body_length = sent->body ? strlen(sent->body) : 0,
                                   .headers = sent->headers,
                                   .received_ns = world_monotonic_ns(sent->fixture->harness.world),
                                   .replied = on_replied,
                                   .context = sent};
    while (request.header_count < 6 && sent->headers[request.header_count].name)
        request.header_count++;
    sent->status = sent->answers = 0;
    sent->retry_later = sent->outcome = false;
    http_virtual_send(&request, (struct http_handler){exchange_incoming, &sent->fixture->runtime});
}

static bool is_answered(void *sent)
{
    return ((struct sent *)sent)->status != 0;
}

static void send_and_wait(struct sent *sent)
{
    sending(sent);
    harness_until(&sent->fixture->harness, is_answered, sent);
}

/* With a client's key, and less time than a query takes. */
static struct sent keyed(struct fixture *fixture, const char *target)
{
    return (struct sent){.fixture = fixture,
                         .target = target,
                         .headers = {{"Idempotency-Key", "k"}, {"Freehold-Deadline", "300"}}};
}

static void expect_undecided(const struct sent *sent)
{
    assert_int_equal(sent->status, 503);
    assert_true(sent->retry_later);
    assert_false(sent->outcome);
    assert_non_null(strstr(sent->text, "outcome is unknown"));
}

static bool all_ended(void *argument)
{
    struct fixture *fixture = argument;
    return fixture->runtime.exchanges == 0;
}

static void decide(struct fixture *fixture)
{
    undecided_end();
    harness_until(&fixture->harness, all_ended, fixture);
}

static void undecided_until_its_time(struct sent *sent, enum undecided_fate fate)
{
    undecided_begin(sent->fixture->runtime.context.store, 0, 1, fate);
    send_and_wait(sent);
    expect_undecided(sent);
    assert_int_equal(undecided.held, 1);
    assert_int_equal(sent->fixture->runtime.requests.answered, 1);
}

/* ---- Requests ---- */

static void a_client_hears_by_its_time_that_nobody_knows_and_later_what_was_done(void **state)
{
    struct sent sent = keyed(*state, "/plain");
    undecided_until_its_time(&sent, UNDECIDED_DONE);
    decide(*state);
    assert_int_equal(sent.answers, 1);
    send_and_wait(&sent);
    assert_int_equal(sent.status, 201);
    assert_string_equal(sent.text, "{\"id\":7}");
    assert_int_equal(effects(*state, "added"), 1);
}

static void what_turns_out_never_to_be_done_is_done_by_its_repetition(void **state)
{
    struct sent sent = keyed(*state, "/plain");
    undecided_until_its_time(&sent, UNDECIDED_NEVER);
    decide(*state);
    send_and_wait(&sent);
    assert_int_equal(sent.status, 201);
    assert_int_equal(effects(*state, "added"), 1);
}

static void a_repetition_waits_for_what_is_undecided_until_its_own_deadline(void **state)
{
    struct fixture *fixture = *state;
    struct sent sent = keyed(fixture, "/plain"), again = sent;
    undecided_until_its_time(&sent, UNDECIDED_DONE);
    send_and_wait(&again);
    assert_int_equal(again.status, 503);
    assert_true(again.retry_later);
    again.headers[1].value = "9000";
    sending(&again);
    decide(fixture);
    assert_int_equal(again.status, 201);
    assert_int_equal(effects(fixture, "added"), 1);
}

static void a_request_without_a_key_is_advised_to_look_first(void **state)
{
    struct sent sent = keyed(*state, "/plain");
    sent.headers[0] = sent.headers[1];
    sent.headers[1] = (struct http_header){0};
    undecided_until_its_time(&sent, UNDECIDED_DONE);
    assert_non_null(strstr(sent.text, "check whether"));
    decide(*state);
    assert_int_equal(effects(*state, "added"), 1);
}

static void a_refusal_that_is_undecided_is_the_same_afterwards(void **state)
{
    struct sent sent = keyed(*state, "/refuse");
    undecided_until_its_time(&sent, UNDECIDED_NEVER);
    decide(*state);
    send_and_wait(&sent);
    assert_int_equal(sent.status, 409);
}

static void more_than_so_many_undecided_ones_are_turned_away(void **state)
{
    struct fixture *fixture = *state;
    struct sent sent = keyed(fixture, "/plain");
    fixture->runtime.requests.answered = UNDECIDED_MAX;
    send_and_wait(&sent);
    assert_int_equal(sent.status, 503);
    sent.method = "GET";
    sent.target = "/livez";
    send_and_wait(&sent);
    assert_int_equal(sent.status, 200);
    fixture->runtime.requests.answered = 0;
    assert_int_equal(effects(fixture, "added"), 0);
}

/* ---- What belongs to a unit of work ---- */

static void events_of_a_work_that_is_decided_late_are_told(void **state)
{
    struct fixture *fixture = *state;
    char target[160];
    struct sent sent = keyed(fixture, "/publish");
    struct sent reader = {.fixture = fixture,
                          .method = "GET",
                          .target = target,
                          .headers = {{"Freehold-From", CALLER}}};
    snprintf(target, sizeof target,
             "/_freehold/feed?incarnation=%s&after=0&done=0&types=BookAdded&limit=10&wait=20",
             fixture->runtime.context.store->incarnation);
    sending(&reader);
    undecided_until_its_time(&sent, UNDECIDED_DONE);
    decide(fixture);
    assert_int_equal(reader.status, 200);
    assert_non_null(strstr(reader.text, "BookAdded"));
}

struct ended {
    struct fixture *fixture;
    int64_t over;
};

static bool sagas_are_over(void *argument)
{
    struct ended *ended = argument;
    struct ledger_counts counts;
    saga_counts(ended->fixture->runtime.context.sagas, &counts);
    return counts.ended + counts.undone == ended->over;
}

static void wait_for_end(struct fixture *fixture)
{
    struct ended ended = {fixture, 1};
    harness_until(&fixture->harness, sagas_are_over, &ended);
}

static void a_saga_whose_start_is_decided_late_is_run_at_once(void **state)
{
    struct sent sent = keyed(*state, "/start");
    undecided_until_its_time(&sent, UNDECIDED_DONE);
    decide(*state);
    wait_for_end(*state);
    assert_int_equal(effects(*state, "noted"), 1);
}

static void a_saga_whose_start_comes_to_nothing_is_started_by_the_repetition(void **state)
{
    struct sent sent = keyed(*state, "/start");
    undecided_until_its_time(&sent, UNDECIDED_NEVER);
    decide(*state);
    send_and_wait(&sent);
    assert_int_equal(sent.status, 202);
    wait_for_end(*state);
    assert_int_equal(effects(*state, "noted"), 1);
}

/* The commits of a saga's start go before that of its step. */
static void own_handler_is_undecided(struct fixture *fixture, int passes, enum undecided_fate fate)
{
    struct sent sent = keyed(fixture, "/start");
    undecided_begin(fixture->runtime.context.store, passes, 1, fate);
    send_and_wait(&sent);
    assert_int_equal(sent.status, 202);
    harness_until(&fixture->harness, undecided_is_held, NULL);
    undecided_end();
    wait_for_end(fixture);
}

static void a_sagas_own_step_takes_effect_once(void **state)
{
    own_handler_is_undecided(*state, 1, UNDECIDED_DONE);
    assert_int_equal(effects(*state, "noted"), 1);
}

static void a_sagas_own_step_that_never_came_is_run_again(void **state)
{
    own_handler_is_undecided(*state, 1, UNDECIDED_NEVER);
    assert_int_equal(effects(*state, "noted"), 1);
}

static void what_undoes_a_saga_takes_effect_once(void **state)
{
    refuses = true;
    own_handler_is_undecided(*state, 1, UNDECIDED_DONE);
    assert_int_equal(effects(*state, "noted"), 0);
    assert_int_equal(effects(*state, "undone"), 1);
}

static void what_undoes_a_saga_and_never_came_is_run_again(void **state)
{
    refuses = true;
    own_handler_is_undecided(*state, 1, UNDECIDED_NEVER);
    assert_int_equal(effects(*state, "undone"), 1);
}

/* ---- Sagas that nobody has ---- */

/* Committed, and not taken into memory: as one that waits in the store for a place. */
static struct saga_manager *start_unseen(struct fixture *fixture)
{
    struct saga_manager *manager = fixture->runtime.context.sagas;
    struct sent sent = keyed(fixture, "/start");
    manager->stopping = true;
    send_and_wait(&sent);
    manager->stopping = false;
    assert_int_equal(sent.status, 202);
    assert_int_equal(effects(fixture, "noted"), 0);
    return manager;
}

static int begins_that_fail;

static enum fh_code failing_begin(struct store *store, enum store_mode mode,
                                  struct store_work **ret, struct fh_error *error)
{
    if (begins_that_fail > 0 && begins_that_fail--)
        return error_set(error, FH_UNAVAILABLE, "The disk is away.");
    return undecided.honest->begin(store, mode, ret, error);
}

static bool has_failed(void *unused)
{
    (void)unused;
    return begins_that_fail == 0;
}

static void open_sagas_that_could_not_be_read_are_read_though_nothing_else_happens(void **state)
{
    struct saga_manager *manager = start_unseen(*state);
    undecided_begin(manager->context->store, 0, 0, UNDECIDED_DONE);
    undecided.ops.begin = failing_begin;
    begins_that_fail = 1;
    manager->crowded = true;
    saga_manager_refill(manager);
    harness_until(&((struct fixture *)*state)->harness, has_failed, NULL);
    wait_for_end(*state);
    assert_int_equal(effects(*state, "noted"), 1);
}

static void a_saga_that_was_passed_over_without_a_number_is_found(void **state)
{
    start_unseen(*state)->late_looks = SAGA_LATE_LOOKS;
    wait_for_end(*state);
    assert_int_equal(effects(*state, "noted"), 1);
}

/* ---- Sagas that were read before their start was reported ---- */

static bool room_is_still(void *argument)
{
    const struct saga_manager *manager = argument;
    return manager->runs.count == 0 && !manager->unnumbered && manager->fibers == 0 &&
           !manager->looking && !manager->refilling;
}

static void wait_for_stillness(struct fixture *fixture)
{
    harness_until(&fixture->harness, room_is_still, fixture->runtime.context.sagas);
}

/* Its start is durable, and whoever commits it does not learn of that before another has ended
 * it. */
static void read_and_ended_before_its_start_is_told(struct fixture *fixture)
{
    struct saga_manager *manager = fixture->runtime.context.sagas;
    struct sent sent = keyed(fixture, "/start");
    undecided_until_its_time(&sent, UNDECIDED_DONE);
    manager->crowded = true;
    saga_manager_refill(manager);
    wait_for_end(fixture);
    wait_for_stillness(fixture);
    decide(fixture);
    wait_for_stillness(fixture);
}

static void a_saga_that_has_ended_when_its_start_is_told_is_not_run_again(void **state)
{
    read_and_ended_before_its_start_is_told(*state);
    assert_int_equal(effects(*state, "noted"), 1);
    assert_int_equal(number_of(*state, "SELECT count(*) FROM fh_saga WHERE status = 'ended'"), 1);
}

static void a_saga_that_was_undone_when_its_start_is_told_is_not_undone_again(void **state)
{
    refuses = true;
    read_and_ended_before_its_start_is_told(*state);
    assert_int_equal(effects(*state, "undone"), 1);
    assert_int_equal(number_of(*state, "SELECT count(*) FROM fh_saga WHERE status = 'undone'"), 1);
}

/* Others were read from the store meanwhile, not the one that starts. */
static void a_saga_is_run_though_others_were_read_while_it_started(void **state)
{
    struct fixture *fixture = *state;
    struct sent sent = keyed(fixture, "/start");
    undecided_until_its_time(&sent, UNDECIDED_DONE);
    fixture->runtime.context.sagas->read_through = INT64_MAX;
    decide(fixture);
    wait_for_stillness(fixture);
    assert_int_equal(effects(fixture, "noted"), 1);
}

/* As from a store whose sequencer could not be called after the commit. */
static void await_number(struct fixture *fixture)
{
    struct saga_manager *manager = fixture->runtime.context.sagas;
    struct statement statement = {.fixture = fixture, .sql = "SELECT start_id FROM fh_saga"};
    harness_run(&fixture->harness, run_statement, &statement);
    saga_manager_await(manager, manager->context->store->incarnation, statement.text);
    wait_for_stillness(fixture);
}

static void a_saga_that_has_ended_when_its_number_is_told_is_not_run_again(void **state)
{
    struct fixture *fixture = *state;
    struct sent sent = keyed(fixture, "/start");
    send_and_wait(&sent);
    wait_for_end(fixture);
    wait_for_stillness(fixture);
    await_number(fixture);
    assert_int_equal(effects(fixture, "noted"), 1);
    assert_int_equal(number_of(fixture, "SELECT count(*) FROM fh_saga WHERE status = 'ended'"), 1);
}

static void a_saga_whose_number_is_known_late_is_run(void **state)
{
    start_unseen(*state);
    await_number(*state);
    assert_int_equal(effects(*state, "noted"), 1);
}

static void a_saga_that_was_parked_when_its_number_is_known_stays_parked(void **state)
{
    start_unseen(*state);
    number_of(*state, "UPDATE fh_saga SET status = 'parked'");
    await_number(*state);
    assert_int_equal(effects(*state, "noted"), 0);
    assert_int_equal(number_of(*state, "SELECT count(*) FROM fh_saga WHERE status = 'parked'"), 1);
}

/* As by an instance that finds that it was taken for dead: others run it now. */
static void a_saga_that_is_lost_while_its_step_fails_is_left_alone(void **state)
{
    struct fixture *fixture = *state;
    struct sent sent = keyed(fixture, "/start");
    refuses = true;
    loses = fixture->runtime.context.sagas;
    send_and_wait(&sent);
    wait_for_stillness(fixture);
    assert_int_equal(effects(fixture, "undone"), 0);
    assert_int_equal(number_of(fixture, "SELECT count(*) FROM fh_saga WHERE status = 'running'"),
                     1);
}

/* ---- Between services ---- */

static struct sent undo_of_a_step(struct fixture *fixture)
{
    const char *own = fixture->runtime.context.store->incarnation;
    struct sent sent = {.fixture = fixture,
                        .target = "/plain",
                        .headers = {{"Idempotency-Key", STEP},
                                    {"Freehold-From", CALLER},
                                    {"Freehold-To", own},
                                    {"Freehold-Deadline", "300"}}};
    send_and_wait(&sent);
    assert_int_equal(sent.status, 201);
    assert_true(sent.outcome);
    sent.headers[0].name = "Freehold-Undo";
    return sent;
}

static void an_undo_is_undecided(struct fixture *fixture, enum undecided_fate fate)
{
    struct sent sent = undo_of_a_step(fixture);
    undecided_until_its_time(&sent, fate);
    decide(fixture);
    send_and_wait(&sent);
    assert_int_equal(sent.status, 200);
    assert_true(sent.outcome);
    assert_int_equal(effects(fixture, "taken back"), 1);
}

static void an_undo_that_is_decided_late_is_done_once(void **state)
{
    an_undo_is_undecided(*state, UNDECIDED_DONE);
}

static void an_undo_that_never_came_is_done_when_it_is_requested_again(void **state)
{
    an_undo_is_undecided(*state, UNDECIDED_NEVER);
}

/* Its route has no deadline of its own: the commit gets the default deadline. */
static void a_closing_is_undecided(struct fixture *fixture, enum undecided_fate fate, bool early)
{
    struct sent sent = {
        .fixture = fixture,
        .target = "/_freehold/closed",
        .body = "{\"birth\":\"01900000-0000-7000-8000-000000000002\",\"closed_through\":7,"
                "\"still_open\":[]}",
        .headers = {{"Freehold-From", CALLER}, {"Content-Type", "application/json"}}};
    undecided_begin(fixture->runtime.context.store, 0, 1, fate);
    sending(&sent);
    harness_until(&fixture->harness, undecided_is_held, NULL);
    if (early) {
        harness_until(&fixture->harness, is_answered, &sent);
        expect_undecided(&sent);
        decide(fixture);
        sending(&sent);
    }
    decide(fixture);
    assert_int_equal(sent.status, 200);
    struct sent step = {.fixture = fixture,
                        .target = "/plain",
                        .headers = {{"Idempotency-Key", STEP},
                                    {"Freehold-From", CALLER},
                                    {"Freehold-To", fixture->runtime.context.store->incarnation}}};
    send_and_wait(&step);
    assert_int_equal(step.status, 410);
    assert_int_equal(effects(fixture, "added"), 0);
}

static void a_closing_that_is_undecided_closes_when_it_is_sent_again(void **state)
{
    a_closing_is_undecided(*state, UNDECIDED_NEVER, true);
}

static void a_closing_that_is_decided_late_has_closed(void **state)
{
    a_closing_is_undecided(*state, UNDECIDED_DONE, false);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_client_hears_by_its_time_that_nobody_knows_and_later_what_was_done),
        CASE(what_turns_out_never_to_be_done_is_done_by_its_repetition),
        CASE(a_repetition_waits_for_what_is_undecided_until_its_own_deadline),
        CASE(a_request_without_a_key_is_advised_to_look_first),
        CASE(a_refusal_that_is_undecided_is_the_same_afterwards),
        CASE(more_than_so_many_undecided_ones_are_turned_away),
        CASE(events_of_a_work_that_is_decided_late_are_told),
        CASE(a_saga_whose_start_is_decided_late_is_run_at_once),
        CASE(a_saga_whose_start_comes_to_nothing_is_started_by_the_repetition),
        CASE(a_sagas_own_step_takes_effect_once),
        CASE(a_sagas_own_step_that_never_came_is_run_again),
        CASE(what_undoes_a_saga_takes_effect_once),
        CASE(what_undoes_a_saga_and_never_came_is_run_again),
        CASE(open_sagas_that_could_not_be_read_are_read_though_nothing_else_happens),
        CASE(a_saga_that_was_passed_over_without_a_number_is_found),
        CASE(a_saga_that_has_ended_when_its_start_is_told_is_not_run_again),
        CASE(a_saga_that_was_undone_when_its_start_is_told_is_not_undone_again),
        CASE(a_saga_is_run_though_others_were_read_while_it_started),
        CASE(a_saga_that_has_ended_when_its_number_is_told_is_not_run_again),
        CASE(a_saga_whose_number_is_known_late_is_run),
        CASE(a_saga_that_was_parked_when_its_number_is_known_stays_parked),
        CASE(a_saga_that_is_lost_while_its_step_fails_is_left_alone),
        CASE(an_undo_that_is_decided_late_is_done_once),
        CASE(an_undo_that_never_came_is_done_when_it_is_requested_again),
        CASE(a_closing_that_is_undecided_closes_when_it_is_sent_again),
        CASE(a_closing_that_is_decided_late_has_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
