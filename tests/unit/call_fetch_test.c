/* SPDX-License-Identifier: Apache-2.0 */
/* What handlers fetch from outside the system: the walls, what an answer leads to, what a rerun
 * gets, and that nobody there learns who asks. */

#include "../support/service.h"

#include <stdlib.h>

#include "../support/fake_world.h"
#include "call/get.h"
#include "http/outside.h"

#define PARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
#define RATES "https://api.example.org/rates/{day}"

static const fh_field settings[] = {{"rates_key", FH_STRING, .optional = true, .secret = true},
                                    {0}};
static const fh_service prices = {
    .name = "prices",
    .model = FH_RELATIONAL,
    .settings = settings,
    .asks = {{"users", "/api/users/{id}"}},
    .fetches = {"api.example.org", "users"},
    .fetch_headers = {{"api.example.org", "Authorization", "rates_key"}}};

struct stranger {
    int status, fail_first; /* 0: no connection */
    const char *type, *body;
    size_t length; /* 0: that of the body */
    bool oversized;
    int seen;
    char url[256], headers[512], key[64];
    size_t answer_size_max;
};

struct fixture {
    struct harness harness;
    struct fake_world world;
    struct service service;
    struct stranger stranger;
};

static struct stranger *stranger;

static void answer_stranger(struct fake_world *fake, struct world_request *request)
{
    struct stranger *s = fake->context;
    struct world_header header = {"content-type", s->type};
    size_t used = 0;
    s->seen++;
    snprintf(s->url, sizeof s->url, "%s", request->url ? request->url : "(inside)");
    s->key[0] = '\0';
    for (size_t i = 0; i < WORLD_HEADERS_MAX && request->headers[i].name; i++) {
        used += (size_t)snprintf(s->headers + used, sizeof s->headers - used, "%s;",
                                 request->headers[i].name);
        if (strcmp(request->headers[i].name, "Authorization") == 0)
            snprintf(s->key, sizeof s->key, "%s", request->headers[i].value);
    }
    s->answer_size_max = request->answer_size_max;
    request->oversized = s->oversized;
    if (s->seen <= s->fail_first || s->oversized) {
        fake_answer(request, s->oversized ? 0 : s->status, "{}", &header, s->type ? 1 : 0);
        return;
    }
    request->status = s->fail_first ? 200 : s->status;
    request->failure = NULL;
    request->answer = s->body;
    request->answer_length = s->length ? s->length : strlen(s->body);
    request->answer_headers = &header;
    request->answer_header_count = s->type ? 1 : 0;
    request->done(request);
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    harness_init(&fixture->harness);
    fake_world_init(&fixture->world, fixture->harness.world);
    fixture->world.request = answer_stranger;
    fixture->world.context = stranger = &fixture->stranger;
    *stranger = (struct stranger){.status = 200, .type = "application/json", .body = "{\"usd\":2}"};
    service_open(&fixture->service, &fixture->harness, &fixture->world.world, &prices);
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

static const char *fetched_day;

static void fetch_rates(fh_work *w)
{
    json_t *wanted = json_pack("{s:s}", "day", fetched_day ? fetched_day : "2026-03-01");
    fh_reply(w, 200, fh_fetch(w, RATES, wanted));
}

static void try_rates(fh_work *w)
{
    json_t *problem, *rates = fh_try_fetch(w, &problem, RATES, fh_object(w, "day", "today"));
    fh_reply(w, 200, rates ? rates : problem);
}

static const char *fetched_url;

static void fetch_that(fh_work *w)
{
    fh_reply(w, 200, fh_fetch(w, fetched_url, fh_object(w, "host", "api.example.org", "x", 1)));
}

static void fetch_after_the_store(fh_work *w)
{
    fh_exec(w, "CREATE TABLE notes (id INTEGER)");
    fetch_rates(w);
}

static int fetch_runs;

static void fetch_and_conflict(fh_work *w)
{
    struct fh_error error;
    json_t *rates = fh_fetch(w, RATES, fh_object(w, "day", "today"));
    fh_try_fetch(w, NULL, "https://users/1");
    json_object_set_new(rates, "run", json_integer(++fetch_runs)); /* its own copy each time */
    work_store_write(w);
    if (fetch_runs == 1) {
        error_set(&error, FH_CONFLICT, "someone else was first");
        error.retryable = true;
        work_fail(w, &error);
    }
    fh_reply(w, 200, rates);
}

static void get_a_service_of_that_name(fh_work *w)
{
    fh_try_get(w, NULL, "users", "/api/users/{id}", fh_object(w, "id", 1));
    fh_reply(w, 200, NULL);
}

/* Its body need not be freed; what it says is in `run.failure`. */
static struct service_run fetched(struct fixture *fixture, fh_handler *handler, int status,
                                  const char *said)
{
    struct service_run run = service_do(&fixture->service, handler);
    if (run.status != status)
        fail_msg("answered with %d, not %d: %s", run.status, status, run.failure.message);
    const char *text = status < 400 ? run.body : run.failure.message;
    if (said && (!text || !strstr(text, said)))
        fail_msg("\"%s\" is not in \"%s\"", said, text ? text : "");
    json_text_free(run.body);
    run.body = NULL;
    return run;
}

/* ---- tests ---- */

static void what_is_fetched_is_the_value_and_a_stranger_learns_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct service_run run = {
        .service = &fixture->service, .handler = fetch_rates, .deadline_ms = 5000, .trace = PARENT};
    harness_run(&fixture->harness, service_run_entry, &run);
    assert_int_equal(run.status, 200);
    assert_string_equal(run.body, "{\"usd\":2}");
    assert_string_equal(stranger->url, "https://api.example.org/rates/2026-03-01");
    assert_string_equal(stranger->headers, "Accept;User-Agent;");
    assert_int_equal(stranger->answer_size_max, CALL_FETCHED_SIZE_MAX);
    json_text_free(run.body);
}

static void names_fill_segments_and_nothing_else(void **state)
{
    struct fixture *fixture = *state;
    fetched_day = "../admin?x=1#@evil.example";
    fetched(fixture, fetch_rates, 200, NULL);
    assert_string_equal(stranger->url, "https://api.example.org/rates/"
                                       "..%2Fadmin%3Fx%3D1%23%40evil.example");
    fetched_day = "..";
    fetched(fixture, fetch_rates, 422, "has nothing at /rates/{day}");
    char day[OUTSIDE_URL_LENGTH_MAX + 1] = "";
    memset(day, 'x', sizeof day - 1);
    fetched_day = day;
    fetched(fixture, fetch_rates, 422, "longer than 2048 bytes");
    assert_int_equal(stranger->seen, 1);
    fetched_day = NULL;
    fetched_url = "https://api.example.org?x={x}";
    fetched(fixture, fetch_that, 200, NULL);
    assert_string_equal(stranger->url, "https://api.example.org/?x=1");
}

static void only_declared_hosts_are_fetched_from(void **state)
{
    static const struct {
        const char *url, *said;
    } cases[] = {
        {"https://evil.example/rates", "fetched from evil.example, which is not among"},
        {"https://api.example.org.evil.example/", "not among its declared `fetches`"},
        {"https://API.example.org.:443/", "not among its declared `fetches`"},
        {"https://{host}/rates", "The host of what is fetched can't be filled in"},
        {"https://api.example.org@evil.example/", "with neither a user nor a fragment"},
        {"https://evil.example\\@api.example.org/", "percent-encoded"},
        {"https://evil.example#@api.example.org/", "neither a user nor a fragment"},
        {"ftp://api.example.org/", "must be an http or https URL"},
        {"file:///etc/passwd", "must be an http or https URL"},
        {"/etc/passwd", "expects a URL such as"},
        {"https://api.example.org/a b", "percent-encoded"},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fetched_url = cases[i].url;
        fetched(fixture, fetch_that, 500, cases[i].said);
    }
    assert_int_equal(stranger->seen, 0);
    fetched_url = "https://API.Example.org:8443/x";
    fetched(fixture, fetch_that, 200, NULL);
}

static void the_system_file_has_the_last_word(void **state)
{
    struct fixture *fixture = *state;
    json_t *hosts = json_pack("[s]", "*.example.com");
    struct outside_rules rules = {.hosts = NULL};
    fixture->service.context.outside = &rules;
    fetched_url = "http://api.example.org/x";
    fetched(fixture, fetch_that, 502, "the system file allows https alone (outside_http)");
    rules.hosts = hosts;
    fetched(fixture, fetch_rates, 502, "a host that the system file does not allow");
    fetched(fixture, try_rates, 200, "\"host\":\"api.example.org\"");
    assert_int_equal(stranger->seen, 0);
    json_decref(hosts);
}

static void nothing_is_fetched_after_the_store_was_used(void **state)
{
    fetched(*state, fetch_after_the_store, 500, "fh_fetch was called after the store was used");
    assert_int_equal(stranger->seen, 0);
}

static void what_is_not_json_is_text(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *type, *body;
        size_t length;
        int status;
        const char *said;
    } cases[] = {
        {"text/csv; charset=utf-8", "a,\"b\"\r\n", 0, 200, "\"a,\\\"b\\\"\\r\\n\""},
        {NULL, "{}", 0, 200, "\"{}\""},
        {"application/problem+json; charset=utf-8", "{\"a\":1}", 0, 200, "{\"a\":1}"},
        {"APPLICATION/JSON;x", "[1]", 0, 200, "[1]"},
        {"application/jsonp", "[1]", 0, 200, "\"[1]\""},
        {"application/json", "<html>", 0, 502, "what is not JSON"},
        {"text/plain", "caf\xe9", 0, 502, "neither JSON nor text in UTF-8"},
        {"text/plain", "a\0b", 3, 502, "neither JSON nor text in UTF-8"},
        {"application/json", "\"a\0b\"", 5, 502, "what is not JSON"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        stranger->type = cases[i].type;
        stranger->body = cases[i].body;
        stranger->length = cases[i].length;
        fetched(fixture, fetch_rates, cases[i].status, cases[i].said);
    }
}

static void other_answers_are_no_values(void **state)
{
    static const struct {
        int answered, status;
        const char *said;
    } cases[] = {
        {404, 422, "https://api.example.org has nothing at /rates/{day}"},
        {302, 502, "with 302, and redirects are not followed"},
        {403, 502, "with 403, which no one expects"},
        {500, 502, "with 500, which no one expects"},
        {503, 503, "is not available now"},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        stranger->status = cases[i].answered;
        struct service_run run = fetched(fixture, fetch_rates, cases[i].status, cases[i].said);
        assert_int_equal(run.retry_after_s, cases[i].status == 503 ? 1 : 0);
    }
}

static void a_declared_header_goes_to_its_host_alone(void **state)
{
    struct fixture *fixture = *state;
    json_t *given = json_pack("{s:s}", "rates_key", "Bearer hunter2");
    fixture->service.context.settings = given;
    stranger->fail_first = 1;
    stranger->status = 0;
    fetched(fixture, fetch_rates, 200, NULL);
    assert_string_equal(stranger->key, "Bearer hunter2");
    fetched_url = "https://users/1";
    fetched(fixture, fetch_that, 200, NULL);
    assert_string_equal(stranger->headers, "Accept;User-Agent;");
    int seen = stranger->seen;
    fetched_url = "http://api.example.org/x";
    fetched(fixture, fetch_that, 500, "sent to api.example.org by https alone");
    json_object_set_new(given, "rates_key", json_string("Bearer\nHost: evil.example"));
    struct service_run run = fetched(fixture, fetch_rates, 500, "it is not one line of text");
    assert_null(strstr(run.failure.message, "evil"));
    assert_int_equal(stranger->seen, seen);
    json_object_set_new(given, "rates_key", json_string(""));
    fetched(fixture, fetch_rates, 200, NULL);
    assert_string_equal(stranger->headers, "Accept;User-Agent;");
    json_decref(given);
}

static void a_passing_failure_is_fetched_again(void **state)
{
    stranger->fail_first = 2;
    stranger->status = 0;
    fetched(*state, fetch_rates, 200, "2");
    assert_int_equal(stranger->seen, 3);
}

/* It would be again; and who answers is not unwell. */
static void an_answer_that_is_too_large_is_fetched_once(void **state)
{
    struct fixture *fixture = *state;
    stranger->oversized = true;
    for (int i = 1; i <= BREAKER_CONSECUTIVE + 1; i++) {
        fetched(fixture, fetch_rates, 502, "no answer that can be used");
        assert_int_equal(stranger->seen, i);
    }
}

static void a_rerun_fetches_nothing_again(void **state)
{
    fetch_runs = 0;
    fetched(*state, fetch_and_conflict, 200, "\"run\":2");
    assert_int_equal(stranger->seen, 2);
}

/* "users" is a service, and a host outside: what one does is not held against the other. */
static void hosts_and_services_have_lines_of_their_own(void **state)
{
    struct fixture *fixture = *state;
    fetched_url = "https://users/1";
    fetched(fixture, fetch_that, 200, NULL);
    fetched(fixture, get_a_service_of_that_name, 200, NULL);
    struct map *targets = &fixture->service.context.calls->targets;
    const struct call_target *host = map_get(targets, "https://users");
    const struct call_target *service = map_get(targets, "users");
    assert_int_equal(host->counters.calls, 1);
    assert_int_equal(service->counters.calls, 1);
}

static void the_try_form_gives_the_problem(void **state)
{
    struct fixture *fixture = *state;
    fetched(fixture, try_rates, 200, "2");
    stranger->status = 404;
    fetched(fixture, try_rates, 200, "\"host\":\"api.example.org\"");
    fetched(fixture, try_rates, 200, "\"status\":404");
}

static const char *fetched_key = "t0psecret";

static void fetch_with_key(fh_work *w)
{
    fh_reply(w, 200, fh_fetch(w, fetched_url, fh_object(w, "key", fetched_key, "x", 1)));
}

/* Queries and what is filled in may be keys of the service's: they are in no log, and no client's.
 */
static void a_failed_fetch_is_told_without_what_may_be_a_key(void **state)
{
    static const char *const urls[] = {
        "https://api.example.org/rates?key=t0psecret&x={x}",
        "https://api.example.org/rates/{key}/last",
        "https://api.example.org/rates/a?key=t0psecret&x={missing}",
        "https://api.example.org/rates/{missing}?key=t0psecret",
        "https://user:t0psecret@api.example.org/rates",
        "https://user:t0psecret@{key}/rates",
    };
    struct fixture *fixture = *state;
    static const int answered[] = {404, 302, 503, 0};
    for (size_t i = 0; i < sizeof urls / sizeof *urls * sizeof answered / sizeof *answered; i++) {
        fetched_url = urls[i / (sizeof answered / sizeof *answered)];
        stranger->seen = 0;
        stranger->status = answered[i % (sizeof answered / sizeof *answered)];
        stranger->fail_first = stranger->status ? 0 : 1000;
        struct service_run run = service_do(&fixture->service, fetch_with_key);
        assert_true(run.status >= 400);
        assert_null(strstr(run.failure.message, "t0psecret"));
        assert_null(strstr(run.body ? run.body : "", "t0psecret"));
        json_text_free(run.body);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_is_fetched_is_the_value_and_a_stranger_learns_nothing),
        CASE(names_fill_segments_and_nothing_else),
        CASE(only_declared_hosts_are_fetched_from),
        CASE(the_system_file_has_the_last_word),
        CASE(nothing_is_fetched_after_the_store_was_used),
        CASE(what_is_not_json_is_text),
        CASE(other_answers_are_no_values),
        CASE(a_declared_header_goes_to_its_host_alone),
        CASE(a_passing_failure_is_fetched_again),
        CASE(an_answer_that_is_too_large_is_fetched_once),
        CASE(a_rerun_fetches_nothing_again),
        CASE(hosts_and_services_have_lines_of_their_own),
        CASE(the_try_form_gives_the_problem),
        CASE(a_failed_fetch_is_told_without_what_may_be_a_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
