/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that can't begin when they come: in which lane they wait, as whose, and what they find
 * when their turn comes. A whole service, its requests from memory. */

#include "../support/hosted.h"

#include "http/virtual.h"

#define MS INT64_C(1000000)

static unsigned begun;

static void on_asked(fh_work *w)
{
    begun++;
    fh_reply(w, 200, NULL);
}

static struct fixture *serving;
static unsigned places; /* taken, when a handler that has waited goes on */

static void on_delayed(fh_work *w)
{
    fh_delay_ms(w, 1);
    places = serving->runtime.admission.lanes[ADMISSION_CLIENTS].under_way;
    fh_reply(w, 200, NULL);
}

static void on_asking(fh_work *w)
{
    json_t *problem;
    fh_try_get(w, &problem, "shops", "/shops");
    places = serving->runtime.admission.lanes[ADMISSION_CLIENTS].under_way;
    fh_reply(w, 200, NULL);
}

static const fh_service books = {
    .name = "books",
    .model = FH_RELATIONAL,
    .routes = {{"GET", "/books", on_asked},
               {"POST", "/books", on_asked},
               {"GET", "/delayed", on_delayed},
               {"GET", "/asking", on_asking}},
    .asks = {{"shops", "/shops"}},
};

static int set_up(void **state)
{
    begun = 0;
    hosted_set_up(state, &books);
    serving = *state;
    return 0;
}

/* ---- A request and its answer ---- */

struct sent {
    struct fixture *fixture;
    const char *method, *target;
    struct http_header header; /* or none */
    unsigned char address[16];
    int64_t held_ns;
    int status; /* 0: no answer yet */
    char text[512];
};

static void on_replied(void *context, const struct http_answer *answer)
{
    struct sent *sent = context;
    sent->status = answer->status;
    snprintf(sent->text, sizeof sent->text, "%.*s", (int)answer->body_length,
             answer->body ? answer->body : "");
}

static void on_sent(void *context, struct http_incoming *incoming)
{
    struct sent *sent = context;
    memcpy(incoming->peer.address, sent->address, sizeof sent->address);
    incoming->held_ns = sent->held_ns;
    exchange_incoming(&sent->fixture->runtime, incoming);
}

static void sending(struct sent *sent)
{
    struct http_virtual request = {.method = sent->method,
                                   .target = sent->target,
                                   .headers = &sent->header,
                                   .header_count = sent->header.name != NULL,
                                   .received_ns = world_monotonic_ns(sent->fixture->harness.world),
                                   .replied = on_replied,
                                   .context = sent};
    sent->status = 0;
    http_virtual_send(&request, (struct http_handler){on_sent, sent});
}

static bool is_answered(void *sent)
{
    return ((struct sent *)sent)->status != 0;
}

/* ---- While others have all places ---- */

static struct turns *line_of(struct fixture *fixture)
{
    return &fixture->runtime.admission.lanes[ADMISSION_CLIENTS].overload.turns;
}

static void take_all_places(struct fixture *fixture)
{
    fixture->runtime.admission.lanes[ADMISSION_CLIENTS].under_way += ADMISSION_PLACES;
}

static void give_places_back(struct fixture *fixture)
{
    fixture->runtime.admission.lanes[ADMISSION_CLIENTS].under_way -= ADMISSION_PLACES;
    world_turn(fixture->harness.world, &fixture->runtime.admission.turn);
}

static struct sent waiting_for(struct fixture *fixture, const char *method)
{
    return (struct sent){.fixture = fixture, .method = method, .target = "/books"};
}

static void what_waits_begins_when_a_place_is_free(void **state)
{
    struct sent sent = waiting_for(*state, "POST");
    take_all_places(*state);
    sending(&sent);
    assert_int_equal(line_of(*state)->waiting, 1);
    give_places_back(*state);
    harness_until(&sent.fixture->harness, is_answered, &sent);
    assert_int_equal(sent.status, 200);
}

static void whoever_waits_for_others_leaves_its_place(void **state)
{
    struct sent sent = waiting_for(*state, "GET");
    static const char *const targets[] = {"/delayed", "/asking"};
    for (int i = 0; i < 2; i++) {
        sent.target = targets[i];
        sent.header =
            (struct http_header){i ? "Freehold-Deadline" : NULL, "0"}; /* nobody is asked */
        places = 1000;
        sending(&sent);
        assert_int_equal(sent.fixture->runtime.admission.lanes[ADMISSION_CLIENTS].under_way, 1);
        harness_until(&sent.fixture->harness, is_answered, &sent);
        assert_int_equal(sent.status, 200);
        assert_int_equal(places, 0);
    }
}

static void nothing_begins_once_the_service_has_drained(void **state)
{
    struct fixture *fixture = *state;
    struct sent sent = waiting_for(fixture, "GET");
    take_all_places(fixture);
    sending(&sent);
    runtime_stop(&fixture->runtime); /* its host has drained at once, as after the grace */
    assert_true(fixture->runtime.requests_drained);
    give_places_back(fixture);
    harness_until(&fixture->harness, has_ended, fixture);
    assert_int_equal(sent.status, 503);
    assert_non_null(strstr(sent.text, "stopping"));
    assert_int_equal(begun, 0);
    fixture->runtime.phase = RUNTIME_STARTING; /* it is stopped already */
}

static void no_change_begins_once_too_many_are_undecided(void **state)
{
    struct fixture *fixture = *state;
    struct sent change = waiting_for(fixture, "POST"), look = waiting_for(fixture, "GET");
    take_all_places(fixture);
    sending(&change);
    sending(&look);
    fixture->runtime.requests.answered += UNDECIDED_MAX;
    give_places_back(fixture);
    harness_until(&fixture->harness, is_answered, &change);
    harness_until(&fixture->harness, is_answered, &look);
    fixture->runtime.requests.answered -= UNDECIDED_MAX;
    assert_int_equal(change.status, 503);
    assert_int_equal(look.status, 200);
    assert_int_equal(begun, 1);
}

static void bounds_are_asked_again_where_it_waits(void **state)
{
    struct fixture *fixture = *state;
    struct sent first = waiting_for(fixture, "POST"), next = first;
    take_all_places(fixture);
    sending(&first);
    line_of(fixture)->waiting_max = 1;
    sending(&next); /* it had been let in with its head, when nobody waited */
    line_of(fixture)->waiting_max = 0;
    assert_int_equal(next.status, 503);
    assert_non_null(strstr(next.text, "request-shed"));
    give_places_back(fixture);
    harness_until(&fixture->harness, is_answered, &first);
    assert_int_equal(begun, 1);
}

static void probes_and_nothing_else_without_proof_are_answered_beside_the_line(void **state)
{
    static const struct {
        const char *method, *target;
        bool waits;
    } cases[] = {{"GET", "/livez", false},  {"HEAD", "/livez", false},
                 {"GET", "/readyz", false}, {"HEAD", "/readyz", false},
                 {"POST", "/livez", true},  {"PUT", "/readyz", true},
                 {"GET", "/metrics", true}, {"GET", "/_freehold/feed", true}};
    struct fixture *fixture = *state;
    struct sent first = waiting_for(fixture, "GET");
    take_all_places(fixture);
    sending(&first);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct sent sent = {fixture, cases[i].method, cases[i].target};
        sending(&sent);
        assert_int_equal(line_of(fixture)->waiting, cases[i].waits ? 2 : 1);
        if (cases[i].waits)
            give_places_back(fixture);
        harness_until(&fixture->harness, is_answered, &sent);
        if (!cases[i].waits)
            continue;
        take_all_places(fixture);
        sending(&first);
    }
    give_places_back(fixture);
    harness_until(&fixture->harness, is_answered, &first);
}

static void all_of_one_ipv6_network_are_one_caller(void **state)
{
    static const unsigned char addresses[][16] = {
        {0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, [15] = 1}, /* 2001:db8:0:1::1 */
        {0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 9, [15] = 2},
        {0x20, 1, 0xd, 0xb8, 0, 0, 0, 2, [15] = 1},
        {[10] = 0xff, 0xff, 192, 0, 2, 7},
        {[10] = 0xff, 0xff, 192, 0, 2, 8},
    };
    static const unsigned callers[] = {1, 1, 2, 3, 4};
    struct fixture *fixture = *state;
    struct sent sent[5];
    take_all_places(fixture);
    for (size_t i = 0; i < 5; i++) {
        sent[i] = waiting_for(fixture, "GET");
        memcpy(sent[i].address, addresses[i], 16);
        sending(&sent[i]);
        assert_int_equal(line_of(fixture)->caller_count, callers[i]);
    }
    give_places_back(fixture);
    for (size_t i = 0; i < 5; i++)
        harness_until(&fixture->harness, is_answered, &sent[i]);
}

struct judged {
    int64_t held_ns, until_ns;
};

static void on_judged(void *context, struct http_incoming *incoming)
{
    struct judged *judged = context;
    incoming->held_ns = judged->held_ns;
    judged->until_ns = exchange_until_ns(incoming, 1000 * MS, 10000);
    http_reply(incoming->request, &(struct http_answer){.status = 204});
}

static void on_nothing(void *context, const struct http_answer *answer)
{
    (void)context;
    assert_int_equal(answer->status, 204);
}

static void a_client_waits_as_long_as_it_says(void **state)
{
    (void)state;
    static const struct {
        const char *told;
        int64_t expected_ms;
    } cases[] = {
        {"300", 300}, {"0", 0},          {"10001", 10000}, {"-5", 10000},
        {"", 10000},  {"300 ms", 10000}, {"0x10", 10000},  {"99999999999999999999", 10000}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct http_header told = {"Freehold-Deadline", cases[i].told};
        struct judged judged = {.held_ns = 50 * MS};
        const struct http_virtual request = {.method = "GET",
                                             .target = "/",
                                             .headers = &told,
                                             .header_count = 1,
                                             .replied = on_nothing};
        http_virtual_send(&request, (struct http_handler){on_judged, &judged});
        assert_int_equal(judged.until_ns, (950 + cases[i].expected_ms) * MS);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_waits_begins_when_a_place_is_free),
        TEST(whoever_waits_for_others_leaves_its_place),
        TEST(nothing_begins_once_the_service_has_drained),
        TEST(no_change_begins_once_too_many_are_undecided),
        TEST(bounds_are_asked_again_where_it_waits),
        TEST(probes_and_nothing_else_without_proof_are_answered_beside_the_line),
        TEST(all_of_one_ipv6_network_are_one_caller),
        cmocka_unit_test(a_client_waits_as_long_as_it_says),
    };
    return cmocka_run_group_tests_name("arrival", tests, NULL, NULL);
}
