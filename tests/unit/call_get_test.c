/* SPDX-License-Identifier: Apache-2.0 */
/* Queries of other services: law 3, retries, deadlines, the queue, what a rerun gets. */

#include "../support/service.h"

#include <stdlib.h>

#include "../support/fake_world.h"
#include "call/get.h"
#include "call/trace.h"

#define PARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
#define HELD_MAX 256

static const fh_service orders = {
    .name = "orders",
    .model = FH_RELATIONAL,
    .asks = {{"users", "/api/users/{user_id}"},
             {"users", "/api/users?ids={ids}"},
             {"products", "/api/products/{id}"}},
};

/* What the other service does. */
struct neighbour {
    int fail_first; /* so many requests are answered with `status` before it succeeds */
    int status;     /* 0: no connection */
    const char *retry_after;
    const char *body; /* of a 200; NULL: one user, or those of ?ids= */
    bool hold;        /* answers nothing until let_go */
    int seen;
    char path[512], from[128], trace[128], deadline[32];
    size_t longest;
    struct world_request *held[HELD_MAX];
    int held_count, held_high;
};

struct fixture {
    struct harness harness;
    struct fake_world world;
    struct service service;
    struct neighbour neighbour;
};

static struct neighbour *neighbour; /* for handlers that break the rules */

static void keep(char *to, size_t size, const char *value)
{
    snprintf(to, size, "%s", value ? value : "");
}

/* "?ids=1,2" becomes [{"id":"1"},{"id":"2"}]. */
static char *many_of(const char *path)
{
    json_t *array = json_array();
    const char *at = strchr(path, '=');
    while (at && *at) {
        size_t length = strcspn(++at, ",");
        json_array_append_new(array, json_pack("{s:s%}", "id", at, length));
        at += length;
    }
    char *text = json_dumps(array, JSON_COMPACT);
    json_decref(array);
    return text;
}

static void answer_well(struct neighbour *n, struct world_request *request)
{
    char *many = strchr(request->path, '=') ? many_of(request->path) : NULL;
    const char *one = many ? many : "{\"id\":7,\"name\":\"Ann\"}";
    fake_answer(request, 200, n->body ? n->body : one, NULL, 0);
    json_text_free(many);
}

static void answer(struct fake_world *fake, struct world_request *request)
{
    struct neighbour *n = fake->context;
    n->seen++;
    keep(n->path, sizeof n->path, request->path);
    keep(n->from, sizeof n->from, fake_header(request, "Freehold-From"));
    keep(n->trace, sizeof n->trace, fake_header(request, "traceparent"));
    keep(n->deadline, sizeof n->deadline, fake_header(request, "Freehold-Deadline"));
    if (strlen(request->path) > n->longest)
        n->longest = strlen(request->path);
    if (n->hold) {
        FH_ASSERT(n->held_count < HELD_MAX);
        n->held[n->held_count++] = request;
        if (n->held_count > n->held_high)
            n->held_high = n->held_count;
    } else if (n->seen <= n->fail_first) {
        struct world_header header = {"retry-after", n->retry_after};
        fake_answer(request, n->status, "{}", &header, n->retry_after ? 1 : 0);
    } else {
        answer_well(n, request);
    }
}

static void let_go(struct neighbour *n)
{
    struct world_request *request = n->held[0];
    n->held_count--;
    memmove(n->held, n->held + 1, (size_t)n->held_count * sizeof *n->held);
    answer_well(n, request);
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    harness_init(&fixture->harness);
    fake_world_init(&fixture->world, fixture->harness.world);
    fixture->world.request = answer;
    fixture->world.context = neighbour = &fixture->neighbour;
    service_open(&fixture->service, &fixture->harness, &fixture->world.world, &orders);
    fixture->service.context.calls = call_manager_new(&fixture->service.context);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    call_manager_free(fixture->service.context.calls);
    service_close(&fixture->service);
    harness_release(&fixture->harness);
    free(fixture);
    return 0;
}

/* ---- handlers ---- */

static void get_user(fh_work *w)
{
    fh_reply(w, 200, fh_get(w, "users", "/api/users/{user_id}", json_pack("{s:i}", "user_id", 7)));
}

static void try_user(fh_work *w)
{
    json_t *problem;
    json_t *user = fh_try_get(w, &problem, "users", "/api/users/{user_id}",
                              json_pack("{s:s}", "user_id", "a b"));
    fh_reply(w, 200, user ? user : problem);
}

static void get_undeclared(fh_work *w)
{
    fh_get(w, "users", "/api/users/{user_id}/secrets", json_object());
}

static void get_without_name(fh_work *w)
{
    fh_get(w, "users", "/api/users/{user_id}", json_object());
}

static void get_after_the_store(fh_work *w)
{
    fh_exec(w, "CREATE TABLE notes (id INTEGER)");
    get_user(w);
}

static const char *each_ids = "[3, \"4\", 3]";

static void get_each(fh_work *w)
{
    json_t *ids;
    json_parse(each_ids, strlen(each_ids), &ids, ERROR_UNHEEDED);
    fh_reply(w, 200, fh_get_each(w, "users", "/api/users?ids={ids}", ids));
}

static void get_250(fh_work *w)
{
    json_t *ids = json_array();
    for (int i = 0; i < 250; i++)
        json_array_append_new(ids, json_integer(i));
    json_t *users = fh_get_each(w, "users", "/api/users?ids={ids}", ids);
    fh_reply(w, 200,
             json_pack("{s:I, s:s}", "count", (json_int_t)json_object_size(users), "last",
                       json_string_at(users, "249.id")));
}

static void get_nowhere(fh_work *w)
{
    w->body = json_pack("{s:s}", "user_id", "..");
    fh_reply(w, 200, fh_get(w, "users", "/api/users/{user_id}", w->body));
}

static void try_nowhere(fh_work *w)
{
    json_t *problem;
    assert_null(fh_try_get(w, &problem, "users", "/api/users/{user_id}",
                           json_pack("{s:s}", "user_id", "")));
    fh_reply(w, 200, problem);
}

static int runs;

static void conflict(fh_work *w)
{
    struct fh_error error;
    error_set(&error, FH_CONFLICT, "someone else was first");
    error.retryable = true;
    work_fail(w, &error);
}

static void get_and_conflict(fh_work *w)
{
    json_t *user = fh_get(w, "users", "/api/users/{user_id}", json_pack("{s:i}", "user_id", 7));
    json_object_set_new(user, "run", json_integer(++runs)); /* its own copy each time */
    fh_get_each(w, "users", "/api/users?ids={ids}", json_pack("[i]", 1));
    fh_try_get(w, NULL, "products", "/api/products/{id}", json_pack("{s:i}", "id", 1));
    work_store_write(w);
    if (runs == 1)
        conflict(w);
    fh_reply(w, 200, user);
}

static void get_another_in_the_rerun(fh_work *w)
{
    json_t *id = json_pack("{s:i}", "user_id", ++runs);
    json_t *user = fh_get(w, "users", "/api/users/{user_id}", id);
    work_store_write(w);
    if (runs == 1)
        conflict(w);
    fh_reply(w, 200, user);
}

static struct service_run expect(struct fixture *fixture, fh_handler *handler, int status)
{
    struct service_run run = service_do(&fixture->service, handler);
    if (run.status != status)
        fail_msg("answered with %d, not %d: %s", run.status, status, run.failure.message);
    return run;
}

static const struct call_target *target(struct fixture *fixture, const char *name)
{
    return map_get(&fixture->service.context.calls->targets, name);
}

/* ---- tests ---- */

static void an_answer_is_the_calls_value(void **state)
{
    struct fixture *fixture = *state;
    struct service_run run = expect(fixture, get_user, 200);
    assert_string_equal(run.body, "{\"id\":7,\"name\":\"Ann\"}");
    assert_string_equal(neighbour->path, "/api/users/7");
    json_text_free(run.body);
}

static void the_caller_its_trace_and_the_time_left_are_sent(void **state)
{
    struct fixture *fixture = *state;
    struct service_run run = {
        .service = &fixture->service, .handler = get_user, .deadline_ms = 5000, .trace = PARENT};
    harness_run(&fixture->harness, service_run_entry, &run);
    assert_int_equal(run.status, 200);
    char from[128];
    snprintf(from, sizeof from, "orders/%s", fixture->service.context.store->incarnation);
    assert_string_equal(neighbour->from, from);
    struct trace parent, child;
    assert_true(trace_parse(PARENT, &parent));
    assert_true(trace_parse(neighbour->trace, &child));
    assert_string_equal(child.id, parent.id);
    assert_string_not_equal(child.span, parent.span);
    assert_true(atoi(neighbour->deadline) > 0);
    assert_true(atoi(neighbour->deadline) <= 5000 - CALL_MARGIN_MS);
    json_text_free(run.body);
}

static void what_was_not_declared_cannot_be_queried(void **state)
{
    struct fixture *fixture = *state;
    struct service_run run = expect(fixture, get_undeclared, 500);
    assert_non_null(strstr(run.failure.message, "not among its declared `asks`"));
    json_text_free(run.body);
    run = expect(fixture, get_without_name, 500);
    assert_non_null(strstr(run.failure.message, "can't be filled"));
    assert_int_equal(neighbour->seen, 0);
    json_text_free(run.body);
}

/* They come from clients: whoever sends ".." has asked for something that is not there. */
static void values_that_no_path_can_have_name_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct service_run run = expect(fixture, get_nowhere, 422);
    assert_non_null(strstr(run.body, "users has nothing at /api/users/{user_id}"));
    assert_non_null(strstr(run.body, "\"pointer\":\"/user_id\""));
    json_text_free(run.body);
    run = expect(fixture, try_nowhere, 200);
    assert_non_null(strstr(run.body, "\"status\":404"));
    json_text_free(run.body);
    each_ids = "[1, \"a,b\"]";
    run = expect(fixture, get_each, 422);
    assert_non_null(strstr(run.body, "holds a comma"));
    json_text_free(run.body);
    assert_int_equal(neighbour->seen, 0);
    each_ids = "[3, \"4\", 3]";
}

static void nobody_is_queried_after_the_store_was_used(void **state)
{
    struct fixture *fixture = *state;
    struct service_run run = expect(fixture, get_after_the_store, 500);
    assert_non_null(strstr(run.failure.message, "fh_get was called after the store was used"));
    assert_int_equal(neighbour->seen, 0);
    json_text_free(run.body);
}

static void a_passing_failure_is_tried_again(void **state)
{
    struct fixture *fixture = *state;
    static const int passing[] = {0, 429, 502, 503, 504};
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++) {
        neighbour->seen = 0;
        neighbour->fail_first = 2;
        neighbour->status = passing[i];
        struct service_run run = expect(fixture, get_user, 200);
        assert_int_equal(neighbour->seen, 3);
        json_text_free(run.body);
    }
    assert_int_equal(target(fixture, "users")->counters.retries, 10);
    assert_int_equal(target(fixture, "users")->counters.failures, 0);
}

static void after_four_attempts_the_client_is_told_to_come_back(void **state)
{
    struct fixture *fixture = *state;
    neighbour->fail_first = 1000;
    neighbour->status = 0;
    struct service_run run = expect(fixture, get_user, 503);
    assert_int_equal(neighbour->seen, CALL_ATTEMPTS_MAX);
    assert_true(run.retry_after_s >= 1);
    assert_non_null(strstr(run.failure.message, "users can't be reached"));
    assert_int_equal(target(fixture, "users")->counters.failures, 1);
    json_text_free(run.body);
}

static void other_failures_are_not_tried_again(void **state)
{
    struct fixture *fixture = *state;
    static const int final[] = {301, 400, 401, 403, 409, 418, 500, 501};
    neighbour->fail_first = 1000;
    for (size_t i = 0; i < sizeof final / sizeof *final; i++) {
        neighbour->seen = 0;
        neighbour->status = final[i];
        struct service_run run = expect(fixture, get_user, 502);
        assert_int_equal(neighbour->seen, 1);
        json_text_free(run.body);
    }
}

static void what_is_not_there_is_a_refusal_that_names_it(void **state)
{
    struct fixture *fixture = *state;
    neighbour->fail_first = 1000;
    neighbour->status = 404;
    struct service_run run = expect(fixture, get_user, 422);
    assert_non_null(strstr(run.failure.message, "users has nothing at /api/users/7"));
    assert_int_equal(neighbour->seen, 1);
    json_text_free(run.body);
}

/* Queries are in no log. */
static void a_failure_names_the_path_without_its_query(void **state)
{
    struct fixture *fixture = *state;
    static const int answered[] = {0, 404, 500, 503};
    neighbour->fail_first = 1000;
    for (size_t i = 0; i < sizeof answered / sizeof *answered; i++) {
        neighbour->status = answered[i];
        struct service_run run = service_do(&fixture->service, get_each);
        assert_non_null(strstr(run.failure.message, " /api/users"));
        assert_null(strstr(run.failure.message, "ids="));
        json_text_free(run.body);
    }
}

static void the_try_form_returns_the_problem_instead(void **state)
{
    struct fixture *fixture = *state;
    struct service_run run = expect(fixture, try_user, 200);
    assert_string_equal(neighbour->path, "/api/users/a%20b");
    assert_non_null(strstr(run.body, "Ann"));
    json_text_free(run.body);
    static const struct {
        int answered;
        const char *told;
    } cases[] = {{404, "\"status\":404"}, {500, "\"status\":502"}, {503, "\"status\":503"}};
    neighbour->fail_first = 1000;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        neighbour->status = cases[i].answered;
        run = expect(fixture, try_user, 200);
        assert_non_null(strstr(run.body, cases[i].told));
        assert_non_null(strstr(run.body, "\"service\":\"users\""));
        json_text_free(run.body);
    }
}

static void an_answer_that_is_no_json_is_the_others_fault(void **state)
{
    struct fixture *fixture = *state;
    neighbour->body = "<html>";
    struct service_run run = expect(fixture, get_user, 502);
    assert_non_null(strstr(run.failure.message, "what is not JSON"));
    json_text_free(run.body);
}

static void a_retry_after_that_does_not_fit_ends_the_attempts(void **state)
{
    struct fixture *fixture = *state;
    neighbour->fail_first = 1000;
    neighbour->status = 503;
    neighbour->retry_after = "30";
    struct service_run run = {
        .service = &fixture->service, .handler = get_user, .deadline_ms = 10000};
    harness_run(&fixture->harness, service_run_entry, &run);
    assert_int_equal(run.status, 503);
    assert_int_equal(run.retry_after_s, 30);
    assert_int_equal(neighbour->seen, 1);
    json_text_free(run.body);
}

/* In milliseconds it is more than 32 bits hold: what is left of it would fit. */
static void a_retry_after_of_weeks_ends_the_attempts(void **state)
{
    struct fixture *fixture = *state;
    neighbour->fail_first = 1000;
    neighbour->status = 503;
    neighbour->retry_after = "4294968";
    struct service_run run = {
        .service = &fixture->service, .handler = get_user, .deadline_ms = 10000};
    harness_run(&fixture->harness, service_run_entry, &run);
    assert_int_equal(run.status, 503);
    assert_int_equal(neighbour->seen, 1);
    json_text_free(run.body);
}

static void a_retry_after_that_fits_is_waited_for(void **state)
{
    struct fixture *fixture = *state;
    neighbour->fail_first = 1;
    neighbour->status = 503;
    neighbour->retry_after = "1";
    int64_t began_ns = world_monotonic_ns(fixture->harness.world);
    struct service_run run = expect(fixture, get_user, 200);
    assert_true(world_monotonic_ns(fixture->harness.world) - began_ns >= 1000000000);
    assert_int_equal(neighbour->seen, 2);
    json_text_free(run.body);
}

static void without_time_left_nobody_is_queried(void **state)
{
    struct fixture *fixture = *state;
    struct service_run run = {
        .service = &fixture->service, .handler = get_user, .deadline_ms = CALL_MARGIN_MS / 2};
    harness_run(&fixture->harness, service_run_entry, &run);
    assert_int_equal(run.status, 503);
    assert_non_null(strstr(run.failure.message, "deadline"));
    assert_int_equal(neighbour->seen, 0);
    json_text_free(run.body);
}

static void one_call_serves_many_ids_each_once(void **state)
{
    struct fixture *fixture = *state;
    struct service_run run = expect(fixture, get_each, 200);
    assert_string_equal(run.body, "{\"3\":{\"id\":\"3\"},\"4\":{\"id\":\"4\"}}");
    assert_int_equal(neighbour->seen, 1);
    json_text_free(run.body);
}

static void no_ids_query_nobody(void **state)
{
    struct fixture *fixture = *state;
    each_ids = "[]";
    struct service_run run = expect(fixture, get_each, 200);
    each_ids = "[3, \"4\", 3]";
    assert_string_equal(run.body, "{}");
    assert_int_equal(neighbour->seen, 0);
    json_text_free(run.body);
}

static void many_ids_are_queried_by_the_hundred(void **state)
{
    struct fixture *fixture = *state;
    struct service_run run = expect(fixture, get_250, 200);
    assert_string_equal(run.body, "{\"count\":250,\"last\":\"249\"}");
    assert_int_equal(neighbour->seen, 3);
    json_text_free(run.body);
}

static void one_lost_chunk_fails_the_whole(void **state)
{
    struct fixture *fixture = *state;
    neighbour->fail_first = 1;
    neighbour->status = 400;
    struct service_run run = expect(fixture, get_250, 502);
    json_text_free(run.body);
}

static void an_array_without_ids_is_the_others_fault(void **state)
{
    struct fixture *fixture = *state;
    static const char *const wrong[] = {"{}", "[7]", "[{\"name\":\"x\"}]", "[{\"id\":null}]"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        neighbour->body = wrong[i];
        struct service_run run = expect(fixture, get_each, 502);
        json_text_free(run.body);
    }
}

static void a_rerun_gets_the_same_answer_and_nobody_is_queried_twice(void **state)
{
    struct fixture *fixture = *state;
    runs = 0;
    neighbour->fail_first = 1; /* the first answer is lost, and the query is retried */
    neighbour->status = 503;
    struct service_run run = expect(fixture, get_and_conflict, 200);
    assert_int_equal(runs, 2);
    assert_int_equal(neighbour->seen, 4);
    assert_string_equal(run.body, "{\"id\":7,\"name\":\"Ann\",\"run\":2}");
    json_text_free(run.body);
}

static void a_rerun_with_another_query_sends_it(void **state)
{
    struct fixture *fixture = *state;
    runs = 0;
    struct service_run run = expect(fixture, get_another_in_the_rerun, 200);
    assert_int_equal(runs, 2);
    assert_int_equal(neighbour->seen, 2);
    assert_string_equal(neighbour->path, "/api/users/2");
    json_text_free(run.body);
}

/* ---- the line ---- */

#define CALLERS (CALL_IN_FLIGHT_MAX + 16)

static bool as_many_as_may_are_held(void *argument)
{
    struct fixture *fixture = argument;
    const struct call_target *users = target(fixture, "users");
    return users && fixture->neighbour.held_count == CALL_IN_FLIGHT_MAX &&
           users->line.waiting == CALLERS - CALL_IN_FLIGHT_MAX;
}

static int finished;

static void call_entry(void *argument)
{
    service_run_entry(argument);
    finished++;
}

static bool all_finished(void *argument)
{
    (void)argument;
    return finished == CALLERS;
}

static bool one_is_held(void *argument)
{
    (void)argument;
    return neighbour->held_count > 0;
}

static void begin_callers(struct fixture *fixture, struct service_run *callers, int64_t deadline_ms)
{
    finished = 0;
    neighbour->hold = true;
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (struct service_run){
            .service = &fixture->service, .handler = get_user, .deadline_ms = deadline_ms};
        assert_true(fiber_start(fixture->harness.world->fibers, call_entry, &callers[i]));
    }
    harness_until(&fixture->harness, as_many_as_may_are_held, fixture);
}

static void calls_beyond_the_bound_wait_in_line(void **state)
{
    struct fixture *fixture = *state;
    struct service_run callers[CALLERS];
    begin_callers(fixture, callers, 0);
    for (int i = 0; i < CALLERS; i++) {
        /* Whoever leaves gives the place to the next in the queue. */
        harness_until(&fixture->harness, one_is_held, NULL);
        let_go(neighbour);
    }
    harness_until(&fixture->harness, all_finished, NULL);
    for (int i = 0; i < CALLERS; i++) {
        assert_int_equal(callers[i].status, 200);
        json_text_free(callers[i].body);
    }
    assert_int_equal(neighbour->held_high, CALL_IN_FLIGHT_MAX);
    assert_int_equal(target(fixture, "users")->line.in_flight_high, CALL_IN_FLIGHT_MAX);
    assert_int_equal(target(fixture, "users")->line.in_flight, 0);
}

static bool line_is_empty(void *argument)
{
    return target(argument, "users")->line.waiting == 0;
}

static void a_call_that_waits_too_long_leaves_the_queue(void **state)
{
    struct fixture *fixture = *state;
    struct service_run callers[CALLERS];
    begin_callers(fixture, callers, 300);
    harness_until(&fixture->harness, line_is_empty, fixture);
    while (neighbour->held_count)
        let_go(neighbour);
    harness_until(&fixture->harness, all_finished, NULL);
    int refused = 0;
    for (int i = 0; i < CALLERS; i++) {
        refused += callers[i].status == 503;
        json_text_free(callers[i].body);
    }
    assert_int_equal(refused, CALLERS - CALL_IN_FLIGHT_MAX);
    assert_int_equal(target(fixture, "users")->line.in_flight, 0);
}

/* ---- a neighbour that hangs ---- */

/* Gives up what is held, as the real world does at the deadline. */
static void give_up(struct neighbour *n)
{
    while (n->held_count)
        fake_answer(n->held[--n->held_count], 0, NULL, NULL, 0);
}

static bool breaker_is_open(void *argument)
{
    give_up(neighbour);
    return target(argument, "users")->breaker.state == BREAKER_OPEN;
}

static void one_that_does_not_answer_is_not_asked_and_costs_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct service_run callers[CALLERS];
    begin_callers(fixture, callers, 5000);
    struct breaker *breaker =
        &((struct call_target *)map_get(&fixture->service.context.calls->targets, "users"))
             ->breaker;
    /* As if one had been given up two seconds ago. */
    breaker->consecutive = 1;
    breaker->silent_since = world_in_ms(fixture->harness.world, -2000);
    harness_until(&fixture->harness, breaker_is_open, fixture);
    /* Those in the queue are rejected with the others. */
    harness_until(&fixture->harness, all_finished, NULL);
    for (int i = 0; i < CALLERS; i++) {
        assert_int_equal(callers[i].status, 503);
        json_text_free(callers[i].body);
    }
    breaker->probe_at_ns = world_in_ms(fixture->harness.world, 60000);
    int seen = neighbour->seen;
    struct service_run run = expect(fixture, get_user, 503);
    assert_int_equal(neighbour->seen, seen);
    assert_int_equal(run.retry_after_s, BREAKER_RETRY_AFTER_S);
    assert_non_null(strstr(run.failure.message, "has not answered lately"));
    json_text_free(run.body);
    /* One probe that is answered, and all is well. */
    breaker->probe_at_ns = 0;
    neighbour->hold = false;
    run = expect(fixture, get_user, 200);
    json_text_free(run.body);
    assert_int_equal(breaker->state, BREAKER_CLOSED);
    assert_int_equal(breaker->probes, 1);
    assert_int_equal(target(fixture, "users")->line.in_flight, 0);
}

static void retries_end_where_their_budget_does(void **state)
{
    struct fixture *fixture = *state;
    struct service_run callers[CALLERS];
    neighbour->fail_first = 100000;
    neighbour->status = 503; /* it is alive: the breaker leaves it alone */
    finished = 0;
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (struct service_run){
            .service = &fixture->service, .handler = get_user, .deadline_ms = 9000};
        assert_true(fiber_start(fixture->harness.world->fibers, call_entry, &callers[i]));
    }
    harness_until(&fixture->harness, all_finished, NULL);
    for (int i = 0; i < CALLERS; i++) {
        assert_int_equal(callers[i].status, 503);
        json_text_free(callers[i].body);
    }
    const struct call_target *users = target(fixture, "users");
    assert_int_equal(users->counters.retries,
                     BREAKER_RETRIES_MIN + CALLERS / BREAKER_CALLS_A_RETRY);
    assert_int_equal(neighbour->seen, CALLERS + (int)users->counters.retries);
    assert_true(users->breaker.unaffordable > 0);
    assert_int_equal(users->breaker.state, BREAKER_CLOSED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(an_answer_is_the_calls_value),
        TEST(the_caller_its_trace_and_the_time_left_are_sent),
        TEST(what_was_not_declared_cannot_be_queried),
        TEST(values_that_no_path_can_have_name_nothing),
        TEST(nobody_is_queried_after_the_store_was_used),
        TEST(a_passing_failure_is_tried_again),
        TEST(after_four_attempts_the_client_is_told_to_come_back),
        TEST(other_failures_are_not_tried_again),
        TEST(what_is_not_there_is_a_refusal_that_names_it),
        TEST(a_failure_names_the_path_without_its_query),
        TEST(the_try_form_returns_the_problem_instead),
        TEST(an_answer_that_is_no_json_is_the_others_fault),
        TEST(a_retry_after_that_does_not_fit_ends_the_attempts),
        TEST(a_retry_after_of_weeks_ends_the_attempts),
        TEST(a_retry_after_that_fits_is_waited_for),
        TEST(without_time_left_nobody_is_queried),
        TEST(one_call_serves_many_ids_each_once),
        TEST(no_ids_query_nobody),
        TEST(many_ids_are_queried_by_the_hundred),
        TEST(one_lost_chunk_fails_the_whole),
        TEST(an_array_without_ids_is_the_others_fault),
        TEST(a_rerun_gets_the_same_answer_and_nobody_is_queried_twice),
        TEST(a_rerun_with_another_query_sends_it),
        TEST(calls_beyond_the_bound_wait_in_line),
        TEST(a_call_that_waits_too_long_leaves_the_queue),
        TEST(one_that_does_not_answer_is_not_asked_and_costs_nothing),
        TEST(retries_end_where_their_budget_does),
    };
    return cmocka_run_group_tests_name("call_get", tests, NULL, NULL);
}
