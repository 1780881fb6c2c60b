/* SPDX-License-Identifier: Apache-2.0 */
/* Who a client is, and what it may take up at one time, on a clock that stands still until the test
 * moves it. */

#include "../support/harness.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/fake_world.h"
#include "base/json.h"
#include "base/log.h"
#include "gateway/client.h"
#include "gateway/limits.h"
#include "gateway/places.h"
#include "http/virtual.h"
#include "service/process.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define KIB INT64_C(1024)
#define SECOND_NS INT64_C(1000000000)
#define FOREVER_NS INT64_MAX

/* ---- Where a request comes from ---- */

struct arrival {
    const struct client_proxies *proxies;
    const char *peer;
    struct client_address seen;
};

static void on_arrival(void *context, struct http_incoming *incoming)
{
    struct arrival *arrival = context;
    struct client_network peer;
    assert_true(client_network_parse(arrival->peer, &peer));
    memcpy(incoming->peer.address, peer.prefix, sizeof peer.prefix);
    incoming->peer.known = true;
    client_address_of(arrival->proxies, incoming, &arrival->seen);
    http_reply(incoming->request, &(struct http_answer){.status = 204});
}

static void on_virtual_reply(void *context, const struct http_answer *answer)
{
    (void)context;
    assert_int_equal(answer->status, 204);
}

static void proxies_of(const char *text, struct client_proxies *ret)
{
    struct fh_error error;
    json_t *config = json_pack("{s:o}", "proxies", json_loads(text, 0, NULL));
    assert_int_equal(client_proxies_init(ret, config, &error), FH_OK);
    json_decref(config);
}

static void only_the_word_of_named_proxies_counts(void **state)
{
    (void)state;
    static const struct {
        const char *peer, *first, *second, *name;
    } cases[] = {
        {"192.0.2.7", NULL, NULL, "192.0.2.7"},
        {"192.0.2.7", "198.51.100.1", NULL, "192.0.2.7"}, /* anybody can write that */
        {"10.1.2.3", NULL, NULL, "10.1.2.3"},
        {"10.1.2.3", "198.51.100.1", NULL, "198.51.100.1"},
        {"10.1.2.3", "6.6.6.6, 198.51.100.1", NULL, "198.51.100.1"},
        {"10.1.2.3", "6.6.6.6,198.51.100.1 ,\t10.9.9.9", NULL, "198.51.100.1"},
        {"10.1.2.3", "6.6.6.6", "198.51.100.1", "198.51.100.1"},
        {"10.1.2.3", "10.4.4.4, 10.5.5.5", NULL, "10.4.4.4"},
        {"10.1.2.3", "6.6.6.6, , 10.5.5.5", NULL, "10.5.5.5"},
        {"10.1.2.3", "6.6.6.6, unknown", NULL, "10.1.2.3"},
        {"10.1.2.3", "198.51.100.1:80", NULL, "198.51.100.1"},
        {"10.1.2.3", "[2001:db8:1:2:3::4]:80", NULL, "2001:db8:1:2::/64"},
        {"10.1.2.3", "2001:db8:1:2:ffff::4", NULL, "2001:db8:1:2::/64"},
        {"10.1.2.3", "::ffff:198.51.100.1", NULL, "198.51.100.1"},
        {"2001:db8:7::1", "198.51.100.1", NULL, "198.51.100.1"},
        {"2001:db8:8::1", "198.51.100.1", NULL, "2001:db8:8::/64"},
        {"10.1.2.3", "", NULL, "10.1.2.3"},
        {"10.1.2.3", "[::1", NULL, "10.1.2.3"},
        {"10.1.2.3", "1.2.3.4.5", NULL, "10.1.2.3"},
    };
    struct client_proxies proxies;
    proxies_of("[\"10.0.0.0/8\", \"2001:db8:7::/48\"]", &proxies);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct arrival arrival = {.proxies = &proxies, .peer = cases[i].peer};
        const struct http_header headers[] = {{"X-Forwarded-For", cases[i].first},
                                              {"x-forwarded-for", cases[i].second}};
        http_virtual_send(&(struct http_virtual){.method = "GET",
                                                 .target = "/",
                                                 .headers = headers,
                                                 .header_count = cases[i].second  ? 2
                                                                 : cases[i].first ? 1
                                                                                  : 0,
                                                 .replied = on_virtual_reply},
                          (struct http_handler){on_arrival, &arrival});
        if (strcmp(arrival.seen.name, cases[i].name) != 0)
            fail_msg("case %zu: %s is not %s", i, arrival.seen.name, cases[i].name);
        assert_false(arrival.seen.local);
    }
}

static void networks_are_read_strictly(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",        "10.0.0.1/8",     "10.0.0.0/33", "10.0.0.0/",   "10.0.0.0/x",   "10.0.0/8",
        "::1/129", "2001:db8::1/64", "10.0.0.0/+8", "10.0.0.0/8 ", "a.example.org"};
    struct client_network network;
    for (size_t i = 0; i < COUNT(bad); i++) {
        if (client_network_parse(bad[i], &network))
            fail_msg("'%s' was taken", bad[i]);
    }
    assert_true(client_network_parse("10.0.0.0/8", &network));
    assert_int_equal(network.bits, 104);
    assert_true(client_network_parse("0.0.0.0/0", &network));
    assert_true(client_network_parse("::/0", &network));
    assert_int_equal(network.bits, 0);
}

/* ---- A clock of the test's ---- */

struct still {
    struct fake_world fake;
    struct harness harness;
    int64_t now_ns;
};

static int64_t still_ns(struct world *world)
{
    return ((struct still *)world)->now_ns;
}

static void still_init(struct still *still, struct world_ops *ops)
{
    memset(still, 0, sizeof *still);
    harness_init(&still->harness);
    still->fake.real = still->harness.world;
    still->fake.world = *still->harness.world;
    *ops = fake_world_ops;
    ops->monotonic_ns = still_ns;
    still->fake.world.ops = ops;
    still->now_ns = SECOND_NS;
}

static struct limits *limits_of_text(struct still *still, const char *text)
{
    struct fh_error error = {0};
    struct limits *limits = NULL;
    json_t *config = text ? json_pack("{s:o}", "limits", json_loads(text, 0, NULL)) : json_object();
    if (limits_new(&still->fake.world, config, 2, &limits, &error) != FH_OK)
        fail_msg("%s", error.message);
    json_decref(config);
    return limits;
}

static int take_until_refused(struct limits *limits, const struct client_address *address,
                              const struct known_user *user, int most)
{
    struct limits_standing standing;
    int taken = 0;
    while (taken < most && limits_take(limits, address, user, &standing))
        taken++;
    return taken;
}

static void users_keys_and_addresses_pay_for_themselves(void **state)
{
    (void)state;
    struct world_ops ops;
    struct still still;
    still_init(&still, &ops);
    struct limits *limits = limits_of_text(
        &still, "{\"address\":{\"requests\":5,\"window_s\":10},\"user\":{\"requests\":7},"
                "\"key\":{\"requests\":9,\"window_s\":1},\"failed_credentials\":4}");
    const struct client_address here = {.name = "192.0.2.1"}, there = {.name = "192.0.2.2"};
    struct known_user ada = {.client = "u:ada"}, key = {.client = "k:ada", .by_key = true};
    assert_int_equal(take_until_refused(limits, &here, NULL, 100), 5);
    assert_int_equal(take_until_refused(limits, &here, &ada, 100), 7);  /* behind that address */
    assert_int_equal(take_until_refused(limits, &there, &ada, 100), 0); /* from wherever */
    assert_int_equal(take_until_refused(limits, &here, &key, 100), 9);
    assert_int_equal(take_until_refused(limits, &there, NULL, 1), 1);
    limits_charge_failure(limits, &there); /* the fifth, and three more that there are not */
    assert_int_equal(take_until_refused(limits, &there, NULL, 100), 0);
    still.now_ns += 2 * SECOND_NS - 1;
    assert_int_equal(take_until_refused(limits, &there, NULL, 100), 0);
    still.now_ns += 1;
    assert_int_equal(take_until_refused(limits, &there, NULL, 100), 1);
    assert_int_equal(take_until_refused(limits, &here, &key, 100), 9);
    limits_free(limits);
    harness_release(&still.harness);
}

static void this_machines_clients_are_spared_until_limits_are_given(void **state)
{
    (void)state;
    static const struct client_address local = {.name = "127.0.0.1", .local = true};
    static const struct client_address other = {.name = "192.0.2.1"};
    struct world_ops ops;
    struct still still;
    still_init(&still, &ops);
    struct limits *spares = limits_of_text(&still, NULL), *counts = limits_of_text(&still, "{}");
    assert_int_equal(take_until_refused(spares, &local, NULL, 10000), 10000);
    assert_int_equal(take_until_refused(spares, &other, NULL, 10000), 6000);
    assert_int_equal(take_until_refused(counts, &local, NULL, 10000), 6000);
    limits_free(spares);
    limits_free(counts);
    harness_release(&still.harness);
}

static void limits_are_told_as_the_draft_has_it(void **state)
{
    (void)state;
    static const struct client_address address = {.name = "192.0.2.1"};
    char policy[LIMITS_HEADER_SIZE], limit[LIMITS_HEADER_SIZE];
    struct limits_standing standing;
    struct world_ops ops;
    struct still still;
    still_init(&still, &ops);
    struct limits *limits =
        limits_of_text(&still, "{\"address\":{\"requests\":2,\"window_s\":60}}");
    assert_true(limits_take(limits, &address, NULL, &standing));
    limits_headers(limits, &standing, policy, limit);
    assert_string_equal(policy, "\"address\";q=2;w=60");
    assert_string_equal(limit, "\"address\";r=1;t=30");
    assert_true(limits_take(limits, &address, NULL, &standing));
    assert_false(limits_take(limits, &address, NULL, &standing));
    limits_headers(limits, &standing, policy, limit);
    assert_string_equal(limit, "\"address\";r=0;t=60");
    assert_int_equal(limits_retry_s(&standing), 30);
    limits_free(limits);
    harness_release(&still.harness);
}

/* ---- Connections ---- */

static struct http_peer peer_at(const char *text)
{
    struct client_network network;
    struct http_peer peer = {.known = true};
    assert_true(client_network_parse(text, &network));
    memcpy(peer.address, network.prefix, sizeof peer.address);
    return peer;
}

static unsigned connect_until_refused(struct limits *limits, const char *text, unsigned most)
{
    const struct http_peer peer = peer_at(text);
    unsigned count = 0;
    while (count < most && limits_connect(limits, &peer) == HTTP_ADMIT)
        count++;
    return count;
}

static void disconnect_all(struct limits *limits, const char *text, unsigned count)
{
    const struct http_peer peer = peer_at(text);
    while (count--)
        limits_disconnect(limits, &peer, true);
}

static void an_address_has_so_many_connections(void **state)
{
    (void)state;
    const struct http_peer nameless = {.known = false};
    struct world_ops ops;
    struct still still;
    still_init(&still, &ops);
    struct limits *limits = limits_of_text(&still, "{\"connections\":3}");
    assert_int_equal(connect_until_refused(limits, "192.0.2.1", 10), 3);
    assert_int_equal(connect_until_refused(limits, "192.0.2.2", 10), 3);
    assert_int_equal(connect_until_refused(limits, "127.0.0.1", 10), 3);
    /* A subscriber has a /64 of addresses. */
    assert_int_equal(connect_until_refused(limits, "2001:db8:1:2::1", 2), 2);
    assert_int_equal(connect_until_refused(limits, "2001:db8:1:2:ffff::9", 10), 1);
    assert_int_equal(connect_until_refused(limits, "2001:db8:1:3::1", 10), 3);
    for (int i = 0; i < 10; i++)
        assert_int_equal(limits_connect(limits, &nameless), HTTP_ADMIT);
    /* Whoever was refused was not counted. */
    disconnect_all(limits, "192.0.2.1", 1);
    assert_int_equal(connect_until_refused(limits, "192.0.2.1", 10), 1);
    disconnect_all(limits, "192.0.2.1", 3);
    disconnect_all(limits, "192.0.2.2", 3);
    disconnect_all(limits, "127.0.0.1", 3);
    disconnect_all(limits, "2001:db8:1:2::3", 3);
    disconnect_all(limits, "2001:db8:1:3::1", 3);
    for (int i = 0; i < 10; i++)
        limits_disconnect(limits, &nameless, true);
    assert_int_equal(connect_until_refused(limits, "192.0.2.1", 10), 3);
    disconnect_all(limits, "192.0.2.1", 3);
    limits_free(limits);
    harness_release(&still.harness);
}

static void whoever_is_over_the_rate_gains_nothing_by_another_connection(void **state)
{
    (void)state;
    static const struct client_address address = {.name = "192.0.2.1"};
    const struct http_peer peer = peer_at("192.0.2.1"), other = peer_at("192.0.2.2");
    struct world_ops ops;
    struct still still;
    still_init(&still, &ops);
    struct limits *limits =
        limits_of_text(&still, "{\"address\":{\"requests\":2,\"window_s\":60}}");
    assert_int_equal(limits_connect(limits, &peer), HTTP_ADMIT);
    assert_int_equal(take_until_refused(limits, &address, NULL, 10), 2);
    assert_int_equal(limits_connect(limits, &peer), HTTP_ADMIT_PACED);
    assert_int_equal(limits_connect(limits, &other), HTTP_ADMIT);
    still.now_ns += INT64_C(30000000000);
    assert_int_equal(limits_connect(limits, &peer), HTTP_ADMIT);
    disconnect_all(limits, "192.0.2.1", 3);
    disconnect_all(limits, "192.0.2.2", 1);
    limits_free(limits);
    harness_release(&still.harness);
}

/* Handshakes, and bytes that are no request. */
static void a_connection_by_which_nothing_was_asked_is_paid_for(void **state)
{
    (void)state;
    static const struct client_address address = {.name = "192.0.2.1"};
    const struct http_peer peer = peer_at("192.0.2.1");
    struct world_ops ops;
    struct still still;
    still_init(&still, &ops);
    struct limits *limits =
        limits_of_text(&still, "{\"address\":{\"requests\":3,\"window_s\":60}}");
    assert_int_equal(connect_until_refused(limits, "192.0.2.1", 9), 9);
    limits_disconnect(limits, &peer, false);
    limits_disconnect(limits, &peer, true);
    limits_disconnect(limits, &peer, false);
    assert_int_equal(limits_connect(limits, &peer), HTTP_ADMIT);
    limits_disconnect(limits, &peer, false);
    assert_int_equal(limits_connect(limits, &peer), HTTP_ADMIT_PACED);
    assert_int_equal(take_until_refused(limits, &address, NULL, 10), 0);
    disconnect_all(limits, "192.0.2.1", 7);
    limits_free(limits);
    harness_release(&still.harness);
}

static void connections_of_proxies_and_by_default_of_this_machine_are_not_bounded(void **state)
{
    (void)state;
    struct world_ops ops;
    struct still still;
    struct limits *limits;
    struct fh_error error;
    still_init(&still, &ops);
    json_t *config = json_pack("{s:[s]}", "proxies", "10.0.0.0/8");
    assert_int_equal(limits_new(&still.fake.world, config, 2, &limits, &error), FH_OK);
    json_decref(config);
    assert_int_equal(connect_until_refused(limits, "10.1.2.3", 9000), 9000);
    assert_int_equal(connect_until_refused(limits, "127.0.0.1", 9000), 9000);
    assert_int_equal(connect_until_refused(limits, "192.0.2.1", 9000), 2000);
    disconnect_all(limits, "10.1.2.3", 9000);
    disconnect_all(limits, "127.0.0.1", 9000);
    disconnect_all(limits, "192.0.2.1", 2000);
    limits_free(limits);
    harness_release(&still.harness);
}

/* ---- What is logged ---- */

static void what_clients_cause_is_logged_once_a_second_with_how_much_there_was(void **state)
{
    (void)state;
    struct log_pause pause = {0};
    unsigned more;
    assert_true(log_pause_passes(&pause, 0, &more));
    assert_int_equal(more, 0);
    for (int i = 0; i < 5; i++)
        assert_false(log_pause_passes(&pause, i, &more));
    assert_false(log_pause_passes(&pause, LOG_PAUSE_NS - 1, &more));
    assert_true(log_pause_passes(&pause, LOG_PAUSE_NS, &more));
    assert_int_equal(more, 6);
    assert_true(log_pause_passes(&pause, 5 * LOG_PAUSE_NS, &more));
    assert_int_equal(more, 0);
}

static void keep_line(void *context, enum log_level level, const char *id, const char *text)
{
    assert_int_equal(level, LOG_LEVEL_WARNING);
    snprintf(context, 512, "[%s] %s", id, text);
}

static void who_is_cut_off_is_named_as_in_other_lines(void **state)
{
    (void)state;
    const struct http_peer four = peer_at("192.0.2.7"), six = peer_at("2001:db8::7"), none = {0};
    char line[512];
    log_redirect(keep_line, line);
    process_log_unread(NULL, &four, 10, 20);
    assert_non_null(strstr(line, "[answer-unread]"));
    assert_non_null(strstr(line, "address is 192.0.2.7."));
    process_log_unread(NULL, &six, 10, 20);
    assert_non_null(strstr(line, "address is 2001:db8::7."));
    process_log_unread(NULL, &none, 10, 20);
    assert_non_null(strstr(line, "address is not known."));
    log_redirect(NULL, NULL);
}

/* ---- Places ---- */

struct taking {
    struct places *places;
    const char *client;
    size_t route, body;
    int64_t deadline_ns;
    struct place *place;
    bool shed, done;
};

static void take_place_of(void *argument)
{
    struct taking *taking = argument;
    taking->place = places_take(taking->places, taking->client, true, taking->route, taking->body,
                                taking->deadline_ns, &taking->shed);
    taking->done = true;
}

static bool has_ended(void *argument)
{
    return ((struct taking *)argument)->done;
}

static void begin_taking(struct harness *harness, struct taking *taking)
{
    assert_true(fiber_start(harness->world->fibers, take_place_of, taking));
    fibers_run(harness->world->fibers);
}

static void answer_and_send(struct place *place, size_t size)
{
    struct http_held *held = place_answer(place, size);
    held->gone(held);
}

static struct places *places_of_route(struct harness *harness, int in_flight, int route_in_flight,
                                      int64_t asked, int64_t unread, int64_t all)
{
    return places_new(harness->world,
                      &(struct places_bounds){.in_flight = in_flight,
                                              .route_in_flight = route_in_flight,
                                              .asked = asked,
                                              .unread = unread,
                                              .all = all},
                      2);
}

static struct places *places_of(struct harness *harness, int in_flight, int64_t asked,
                                int64_t unread, int64_t all)
{
    return places_of_route(harness, in_flight, 100, asked, unread, all);
}

#define TAKING(of, who)                                                                            \
    {                                                                                              \
        .places = (of), .client = (who), .deadline_ns = -1                                         \
    }

static void beyond_its_places_a_client_waits_for_itself(void **state)
{
    (void)state;
    struct harness harness;
    harness_init(&harness);
    struct places *places = places_of(&harness, 2, 1024 * KIB, 1024 * KIB, 4096 * KIB);
    struct taking a[] = {TAKING(places, "a"), TAKING(places, "a"), TAKING(places, "a")};
    struct taking b = TAKING(places, "b");
    for (size_t i = 0; i < COUNT(a); i++)
        begin_taking(&harness, &a[i]);
    begin_taking(&harness, &b);
    assert_true(a[0].place && a[1].place && b.place);
    assert_false(a[2].done);
    struct http_held *unread = place_answer(a[0].place, 10);
    fibers_run(harness.world->fibers);
    assert_false(a[2].done); /* until it is read */
    unread->gone(unread);
    fibers_run(harness.world->fibers);
    assert_non_null(a[2].place);
    answer_and_send(a[1].place, 10);
    answer_and_send(a[2].place, 10);
    answer_and_send(b.place, 10);
    places_free(places);
    harness_release(&harness);
}

static void answers_are_asked_for_by_the_size_that_is_expected(void **state)
{
    (void)state;
    struct harness harness;
    harness_init(&harness);
    struct places *places = places_of(&harness, 100, 1000 * KIB, 2000 * KIB, 8000 * KIB);
    struct taking large = TAKING(places, "b"), many[20], other = TAKING(places, "c");
    int taken = 0;
    begin_taking(&harness, &large);
    answer_and_send(large.place, 300 * KIB); /* now it is known */
    for (size_t i = 0; i < COUNT(many); i++) {
        many[i] = (struct taking)TAKING(places, "a");
        begin_taking(&harness, &many[i]);
        taken += many[i].done;
    }
    assert_int_equal(taken, 3);
    begin_taking(&harness, &other);
    assert_non_null(other.place);
    answer_and_send(other.place, 300 * KIB);
    for (size_t sent = 0; sent < COUNT(many); sent++) {
        struct taking *next = many;
        while (next < many + COUNT(many) && !next->place)
            next++;
        assert_true(next < many + COUNT(many)); /* somebody always goes on */
        answer_and_send(next->place, 300 * KIB);
        next->place = NULL;
        fibers_run(harness.world->fibers);
    }
    places_free(places);
    harness_release(&harness);
}

static void what_is_not_read_stops_its_client_alone(void **state)
{
    (void)state;
    struct harness harness;
    harness_init(&harness);
    struct places *places = places_of(&harness, 100, 1000 * KIB, 500 * KIB, 8000 * KIB);
    struct taking first = TAKING(places, "a"), next = TAKING(places, "a");
    struct taking other = TAKING(places, "b"), late = TAKING(places, "a");
    begin_taking(&harness, &first);
    struct http_held *unread = place_answer(first.place, 450 * KIB);
    begin_taking(&harness, &next);
    late.deadline_ns = world_in_ms(harness.world, 1);
    begin_taking(&harness, &late);
    begin_taking(&harness, &other);
    assert_false(next.done);
    assert_non_null(other.place);
    harness_until(&harness, has_ended, &late);
    assert_null(late.place);
    unread->gone(unread);
    fibers_run(harness.world->fibers);
    assert_non_null(next.place);
    answer_and_send(next.place, 1);
    answer_and_send(other.place, 1);
    places_free(places);
    harness_release(&harness);
}

static void half_of_all_is_left_to_those_that_have_nothing(void **state)
{
    (void)state;
    struct harness harness;
    harness_init(&harness);
    struct places *places = places_of(&harness, 100, 10000 * KIB, 10000 * KIB, 1000 * KIB);
    struct taking a = TAKING(places, "a"), more = TAKING(places, "a"), b = TAKING(places, "b");
    begin_taking(&harness, &a);
    struct http_held *unread = place_answer(a.place, 490 * KIB);
    begin_taking(&harness, &more);
    begin_taking(&harness, &b);
    assert_false(more.done);
    assert_non_null(b.place);
    assert_true(place_fits(b.place, 500 * KIB));
    assert_false(place_fits(b.place, 600 * KIB));
    assert_false(place_fits(a.place, 20 * KIB));
    answer_and_send(b.place, 1);
    unread->gone(unread);
    fibers_run(harness.world->fibers);
    assert_non_null(more.place);
    answer_and_send(more.place, 1);
    places_free(places);
    harness_release(&harness);
}

/* Two clients have all of a route's places, of which each may have half, and read nothing. */
static void answers_that_are_not_read_leave_their_route_to_others(void **state)
{
    (void)state;
    struct harness harness;
    harness_init(&harness);
    struct places *places = places_of_route(&harness, 100, 4, 1000 * KIB, 1000 * KIB, 8000 * KIB);
    struct taking greedy[] = {TAKING(places, "a"), TAKING(places, "a"), TAKING(places, "b"),
                              TAKING(places, "b")};
    struct taking more = TAKING(places, "a"), other = TAKING(places, "c");
    struct http_held *unread[COUNT(greedy)];
    for (size_t i = 0; i < COUNT(greedy); i++)
        begin_taking(&harness, &greedy[i]);
    begin_taking(&harness, &other);
    assert_false(other.done); /* the service works for them */
    for (size_t i = 0; i < COUNT(greedy); i++)
        unread[i] = place_answer(greedy[i].place, 10);
    fibers_run(harness.world->fibers);
    assert_non_null(other.place);
    begin_taking(&harness, &more);
    assert_false(more.done); /* half is all that one client has, until it reads */
    for (size_t i = 0; i < COUNT(greedy); i++)
        unread[i]->gone(unread[i]);
    fibers_run(harness.world->fibers);
    assert_non_null(more.place);
    answer_and_send(more.place, 10);
    answer_and_send(other.place, 10);
    places_free(places);
    harness_release(&harness);
}

/* The same two, and each waits for room of its own. */
static void whoever_waits_for_itself_has_no_place_on_the_route(void **state)
{
    (void)state;
    struct harness harness;
    harness_init(&harness);
    struct places *places = places_of_route(&harness, 100, 4, 1000 * KIB, 100 * KIB, 8000 * KIB);
    struct taking full[] = {TAKING(places, "a"), TAKING(places, "b")};
    struct taking waiting[] = {TAKING(places, "a"), TAKING(places, "b"), TAKING(places, "a"),
                               TAKING(places, "b")};
    struct taking other = TAKING(places, "c");
    struct http_held *unread[COUNT(full)];
    for (size_t i = 0; i < COUNT(full); i++) {
        full[i].route = 1;
        begin_taking(&harness, &full[i]);
        unread[i] = place_answer(full[i].place, 90 * KIB);
    }
    for (size_t i = 0; i < COUNT(waiting); i++) {
        begin_taking(&harness, &waiting[i]);
        assert_false(waiting[i].done);
    }
    begin_taking(&harness, &other);
    assert_non_null(other.place);
    answer_and_send(other.place, 10);
    for (size_t i = 0; i < COUNT(full); i++)
        unread[i]->gone(unread[i]);
    for (size_t i = 0; i < COUNT(waiting); i++) {
        fibers_run(harness.world->fibers);
        assert_non_null(waiting[i].place);
        answer_and_send(waiting[i].place, 10);
    }
    places_free(places);
    harness_release(&harness);
}

/* What waits for a place on a route that is slow takes none of the bytes of all. */
static void whoever_waits_for_a_route_leaves_the_bytes_to_others(void **state)
{
    (void)state;
    struct harness harness;
    harness_init(&harness);
    struct places *places = places_of_route(&harness, 100, 2, 200 * KIB, 200 * KIB, 300 * KIB);
    struct taking slow[] = {TAKING(places, "a"), TAKING(places, "b")};
    struct taking waiting[] = {TAKING(places, "c"), TAKING(places, "d"), TAKING(places, "e")};
    struct taking other = TAKING(places, "f");
    for (size_t i = 0; i < COUNT(slow); i++)
        begin_taking(&harness, &slow[i]);
    for (size_t i = 0; i < COUNT(waiting); i++)
        begin_taking(&harness, &waiting[i]);
    other.route = 1;
    begin_taking(&harness, &other);
    assert_non_null(other.place);
    answer_and_send(other.place, 10);
    for (size_t i = 0; i < COUNT(slow); i++)
        answer_and_send(slow[i].place, 10);
    for (size_t i = 0; i < COUNT(waiting); i++) {
        fibers_run(harness.world->fibers);
        assert_non_null(waiting[i].place);
        answer_and_send(waiting[i].place, 10);
    }
    places_free(places);
    harness_release(&harness);
}

static void bodies_that_wait_are_bounded_for_each_client_and_in_all(void **state)
{
    (void)state;
    struct harness harness;
    harness_init(&harness);
    struct places *places = places_of(&harness, 1, 1000 * KIB, 300 * KIB, 1000 * KIB);
    static const char *const names[] = {"a", "b", "c"};
    struct taking first[3], waiting[3][4];
    int waits = 0;
    for (size_t i = 0; i < COUNT(first); i++) {
        first[i] = (struct taking)TAKING(places, names[i]);
        first[i].body = 900 * KIB; /* it does not wait */
        begin_taking(&harness, &first[i]);
        assert_non_null(first[i].place);
        for (size_t j = 0; j < COUNT(waiting[i]); j++) {
            waiting[i][j] = (struct taking)TAKING(places, names[i]);
            waiting[i][j].body = 100 * KIB;
            begin_taking(&harness, &waiting[i][j]);
            assert_true(waiting[i][j].done || j < 3); /* 300 KiB of a client's */
            assert_false(waiting[i][j].shed || waiting[i][j].place);
            waits += !waiting[i][j].done;
        }
    }
    assert_int_equal(waits, 6); /* 500 KiB of all, and one of who had none */
    for (size_t i = 0; i < COUNT(first); i++) {
        answer_and_send(first[i].place, 10);
        for (size_t j = 0; j < COUNT(waiting[i]); j++) {
            fibers_run(harness.world->fibers);
            if (waiting[i][j].place)
                answer_and_send(waiting[i][j].place, 10);
        }
    }
    places_free(places);
    harness_release(&harness);
}

static void an_answer_that_did_not_fit_is_expected_to_come_as_large_again(void **state)
{
    (void)state;
    struct harness harness;
    harness_init(&harness);
    struct places *places = places_of(&harness, 100, 1000 * KIB, 2000 * KIB, 8000 * KIB);
    struct taking first = TAKING(places, "a"), many[] = {TAKING(places, "b"), TAKING(places, "b")};
    begin_taking(&harness, &first);
    place_note(first.place, 900 * KIB);
    answer_and_send(first.place, 400); /* that it was too large */
    begin_taking(&harness, &many[0]);
    begin_taking(&harness, &many[1]);
    assert_non_null(many[0].place);
    assert_false(many[1].done);
    answer_and_send(many[0].place, 10);
    fibers_run(harness.world->fibers);
    answer_and_send(many[1].place, 10);
    places_free(places);
    harness_release(&harness);
}

static void a_place_that_is_held_is_taken_after_its_answer_was_sent(void **state)
{
    (void)state;
    struct harness harness;
    harness_init(&harness);
    struct places *places = places_of(&harness, 1, 1000 * KIB, 2000 * KIB, 8000 * KIB);
    struct taking first = TAKING(places, "a"), next = TAKING(places, "a");
    int64_t asked, unread;
    size_t clients;
    begin_taking(&harness, &first);
    place_hold(first.place);
    place_hold(first.place);
    answer_and_send(first.place, 10);
    begin_taking(&harness, &next);
    place_let_go(first.place);
    fibers_run(harness.world->fibers);
    assert_false(next.done);
    places_load(places, &asked, &unread, &clients);
    assert_true(asked == 64 * KIB && unread == 0);
    place_let_go(first.place);
    fibers_run(harness.world->fibers);
    assert_non_null(next.place);
    place_hold(next.place);
    place_let_go(next.place); /* all that was asked has ended before the answer is made */
    answer_and_send(next.place, 10);
    places_load(places, &asked, &unread, &clients);
    assert_true(asked == 0 && unread == 0 && clients == 0);
    places_free(places);
    harness_release(&harness);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_word_of_named_proxies_counts),
        cmocka_unit_test(networks_are_read_strictly),
        cmocka_unit_test(users_keys_and_addresses_pay_for_themselves),
        cmocka_unit_test(this_machines_clients_are_spared_until_limits_are_given),
        cmocka_unit_test(limits_are_told_as_the_draft_has_it),
        cmocka_unit_test(an_address_has_so_many_connections),
        cmocka_unit_test(whoever_is_over_the_rate_gains_nothing_by_another_connection),
        cmocka_unit_test(a_connection_by_which_nothing_was_asked_is_paid_for),
        cmocka_unit_test(connections_of_proxies_and_by_default_of_this_machine_are_not_bounded),
        cmocka_unit_test(what_clients_cause_is_logged_once_a_second_with_how_much_there_was),
        cmocka_unit_test(who_is_cut_off_is_named_as_in_other_lines),
        cmocka_unit_test(beyond_its_places_a_client_waits_for_itself),
        cmocka_unit_test(answers_are_asked_for_by_the_size_that_is_expected),
        cmocka_unit_test(what_is_not_read_stops_its_client_alone),
        cmocka_unit_test(half_of_all_is_left_to_those_that_have_nothing),
        cmocka_unit_test(answers_that_are_not_read_leave_their_route_to_others),
        cmocka_unit_test(whoever_waits_for_itself_has_no_place_on_the_route),
        cmocka_unit_test(whoever_waits_for_a_route_leaves_the_bytes_to_others),
        cmocka_unit_test(bodies_that_wait_are_bounded_for_each_client_and_in_all),
        cmocka_unit_test(an_answer_that_did_not_fit_is_expected_to_come_as_large_again),
        cmocka_unit_test(a_place_that_is_held_is_taken_after_its_answer_was_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
