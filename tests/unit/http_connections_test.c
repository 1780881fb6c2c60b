/* SPDX-License-Identifier: Apache-2.0 */
/* Connections from their first byte to their last: those that are silent, slow, too many, left, or
 * there while the server stops. */

#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/resource.h>

#include "http/connection.h"
#include "http_support.h"

static void a_reply_to_a_client_that_has_left_does_no_harm(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, NULL);
    for (unsigned i = 0; i < 8; i++) {
        struct raw *raw = raw_connect(&site);
        raw_text(raw, "POST /hold HTTP/1.1\r\nHost: x\r\nA: b\r\nContent-Length: 2\r\n\r\nhi");
        until_held(&site, i + 1);
        raw_close(raw);
    }
    for (unsigned i = 0; i < 8; i++) {
        assert_string_equal(site.held[i]->body, "hi");
        assert_string_equal(http_request_header(site.held[i]->request, "a"), "b");
        reply_text(site.held[i], 200, "too late");
    }
    harness_until(&site.harness, no_connections, &site);
    exchange(&site, HEAD_OF("/alive"), "GET|/alive|");
    site_release(&site);
}

static void a_client_that_leaves_in_the_middle_is_forgotten(void **state)
{
    (void)state;
    static const char *const parts[] = {
        "GE", "GET /a HTTP/1.1\r\nHo",
        "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"};
    struct site site;
    site_init(&site, NULL);
    for (size_t i = 0; i < COUNT(parts); i++) {
        struct raw *raw = raw_connect(&site);
        raw_text(raw, parts[i]);
        for (int turn = 0; turn < 5; turn++)
            uv_run(&site.harness.loop, UV_RUN_NOWAIT);
        raw_close(raw);
        harness_until(&site.harness, no_connections, &site);
    }
    assert_int_equal(site.taken, 0);
    site_release(&site);
}

struct trickle {
    struct raw *raw;
    struct world_timer timer;
    const char *rest;
};

static void on_trickle(struct world_timer *timer)
{
    struct trickle *trickle = timer->owner;
    struct world *world = trickle->raw->harness->world;
    if (trickle->raw->closed || !*trickle->rest)
        return;
    raw_send(trickle->raw, trickle->rest++, 1);
    world_timer_start(world, timer, world_in_ms(world, 100));
}

static void silent_and_trickling_connections_are_cut_off(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, &(struct http_limits){.idle_timeout_s = 1});
    struct raw *silent = raw_connect(&site);
    struct raw *waiting = raw_connect(&site);
    raw_text(waiting, HEAD_OF("/hold"));
    struct raw *idle = raw_ask(&site, HEAD_OF("/a"), "GET|/a|");
    struct trickle trickles[] = {
        {.rest = "GET /this/request/line/takes/far/too/long/to/be/sent HTTP/1.1"},
        {.rest = "GET /a HTTP/1.1\r\nHost: x\r\nX-Name: so long that it takes too long to send"},
        {.rest = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
                 "a body that comes by one byte in a tenth of a second"},
    };
    static const size_t at_once[] = {3, 20, 55};
    for (size_t i = 0; i < COUNT(trickles); i++) {
        struct trickle *trickle = &trickles[i];
        trickle->raw = raw_connect(&site);
        raw_send(trickle->raw, trickle->rest, at_once[i]);
        trickle->rest += at_once[i];
        trickle->timer = (struct world_timer){.fire = on_trickle, .owner = trickle};
        on_trickle(&trickle->timer);
    }
    raw_until_closed(silent);
    raw_until_closed(idle);
    for (size_t i = 0; i < COUNT(trickles); i++) {
        raw_until_closed(trickles[i].raw);
        world_timer_stop(site.harness.world, &trickles[i].timer);
        assert_true(*trickles[i].rest);
    }
    assert_int_equal(silent->length, 0);
    assert_int_equal(trickles[0].raw->length, 0);
    assert_problem(trickles[1].raw, 408);
    assert_problem(trickles[2].raw, 408);
    /* A request that waits for its answer is no idle connection. */
    assert_false(waiting->closed);
    reply_text(site.held[0], 200, "patience");
    raw_until(waiting, "patience");
    for (size_t i = 0; i < COUNT(trickles); i++)
        raw_close(trickles[i].raw);
    raw_close(silent);
    raw_close(waiting);
    raw_close(idle);
    site_release(&site);
}

static void beyond_the_limit_connections_wait_their_turn(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, &(struct http_limits){.connections_max = 2});
    struct raw *first = raw_connect(&site);
    raw_text(first, HEAD_OF("/hold"));
    until_held(&site, 1);
    struct raw *second = raw_connect(&site);
    raw_text(second, HEAD_OF("/hold"));
    until_held(&site, 2);
    struct raw *third = raw_connect(&site);
    raw_text(third, HEAD_OF("/3"));
    for (int turn = 0; turn < 10; turn++)
        uv_run(&site.harness.loop, UV_RUN_NOWAIT);
    assert_int_equal(open_connections(&site), 2);
    assert_int_equal(third->length, 0);
    reply_text(site.held[0], 200, "one");
    raw_until(first, "one");
    raw_close(first);
    raw_until(third, "GET|/3|");
    reply_text(site.held[1], 200, "two");
    raw_until(second, "two");
    raw_close(second);
    raw_close(third);
    site_release(&site);
}

static void at_the_limit_the_connection_that_idles_longest_gives_way(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, &(struct http_limits){.connections_max = 3});
    struct raw *busy = raw_connect(&site);
    raw_text(busy, HEAD_OF("/hold"));
    until_held(&site, 1);
    struct raw *idle = raw_ask(&site, HEAD_OF("/1"), "GET|/1|");
    struct raw *half = raw_connect(&site);
    raw_text(half, "GET /never HTTP/1.1\r\n");
    raw_until_closed(idle);
    for (int i = 0; i < 5; i++) {
        struct raw *more = raw_ask(&site, HEAD_OF("/more"), "GET|/more|");
        raw_close(more);
    }
    assert_false(busy->closed);
    reply_text(site.held[0], 200, "still here");
    raw_until(busy, "still here");
    raw_close(busy);
    raw_close(idle);
    raw_close(half);
    site_release(&site);
}

static void drain_answers_what_was_taken_and_leaves_new_connections_to_the_next(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, NULL);
    struct raw *first = raw_connect(&site), *second = raw_connect(&site);
    raw_text(first, HEAD_OF("/hold"));
    raw_text(second, HEAD_OF("/hold"));
    struct raw *kept = raw_ask(&site, HEAD_OF("/kept"), "GET|/kept|");
    until_held(&site, 2);
    http_server_drain(site.server, 20000, on_drained, &site.drained);
    raw_text(kept, HEAD_OF("/still"));
    raw_until_closed(kept);
    assert_contains(kept, "GET|/still|");
    assert_contains(kept, "Connection: close\r\n");
    struct raw *late = raw_connect(&site);
    raw_text(late, HEAD_OF("/late"));
    reply_text(site.held[0], 200, "one");
    raw_until_closed(first);
    assert_contains(first, "one");
    assert_contains(first, "Connection: close\r\n");
    assert_false(site.drained);
    reply_text(site.held[1], 200, "two");
    harness_until(&site.harness, is_true, &site.drained);
    raw_until_closed(second);
    assert_contains(second, "two");
    http_server_free(site.server);
    assert_int_equal(late->length, 0);
    site_serve(&site, NULL); /* the next process, on the same socket */
    raw_until(late, "GET|/late|");
    raw_close(first);
    raw_close(second);
    raw_close(kept);
    raw_close(late);
    site_release(&site);
}

static bool both_are_accepted(void *argument)
{
    const struct site *site = argument;
    unsigned requests, connections;
    http_server_load(site->server, &requests, &connections);
    return connections == 2;
}

static void drain_waits_for_clients_that_have_just_connected_or_begun_to_send(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, NULL);
    struct raw *silent = raw_connect(&site), *begun = raw_connect(&site);
    raw_text(begun, "GET /begun HTTP/1.1\r\n");
    harness_until(&site.harness, both_are_accepted, &site);
    http_server_drain(site.server, 20000, on_drained, &site.drained);
    raw_text(silent, HEAD_OF("/silent"));
    raw_until_closed(silent);
    assert_contains(silent, "GET|/silent|");
    assert_false(site.drained);
    raw_text(begun, "Host: x\r\n\r\n");
    raw_until_closed(begun);
    assert_contains(begun, "GET|/begun|");
    harness_until(&site.harness, is_true, &site.drained);
    http_server_free(site.server);
    raw_close(silent);
    raw_close(begun);
    site_serve(&site, NULL);
    site_release(&site);
}

static void drain_without_requests_is_done_at_once(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, NULL);
    struct raw *idle = raw_ask(&site, HEAD_OF("/a"), "GET|/a|");
    site_stop(&site, 20000);
    raw_until_closed(idle);
    raw_close(idle);
    site_release(&site);
}

static void requests_past_the_grace_get_503_and_may_still_be_replied_to(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, NULL);
    struct raw *clients[3];
    for (unsigned i = 0; i < 3; i++) {
        clients[i] = raw_connect(&site);
        raw_text(clients[i], HEAD_OF("/hold"));
        until_held(&site, i + 1);
    }
    http_server_drain(site.server, 20, on_drained, &site.drained);
    assert_false(http_request_is_given_up(site.held[0]->request));
    harness_until(&site.harness, is_true, &site.drained);
    assert_int_equal(open_requests(&site), 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_true(http_request_is_given_up(site.held[i]->request));
        raw_until_closed(clients[i]);
        assert_problem(clients[i], 503);
        assert_contains(clients[i], "Retry-After: ");
        raw_close(clients[i]);
    }
    reply_text(site.held[0], 200, "before the server is freed");
    assert_string_equal(site.held[1]->method, "GET");
    http_server_free(site.server);
    reply_text(site.held[1], 200, "after it was freed");
    assert_string_equal(http_request_header(site.held[2]->request, "host"), "x");
    uv_run(&site.harness.loop, UV_RUN_NOWAIT);
    reply_text(site.held[2], 200, "and later still");
    site.server = NULL;
    site_release(&site);
}

static void a_large_answer_to_a_slow_reader_does_not_hold_up_others(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, NULL);
    struct raw *slow = raw_connect(&site);
    uv_poll_stop(&slow->poll);
    raw_text(slow, HEAD_OF("/big?20000000"));
    exchange(&site, HEAD_OF("/a"), "GET|/a|");
    size_t received = 0;
    char buffer[65536];
    while (received < 20000000) {
        ssize_t got = recv(slow->fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (got > 0)
            received += (size_t)got;
        else
            uv_run(&site.harness.loop, UV_RUN_NOWAIT);
    }
    raw_close(slow);
    site_release(&site);
}

/* What one client sends while its request is with the handler fills the kernel's buffers alone. */
/* A client that takes little of its answer at a time: `piece` bytes in each 50 ms. */
struct sipper {
    struct site *site;
    struct world_timer timer;
    int fd;
    size_t piece, got;
    bool ended;
};

static void on_sip(struct world_timer *timer)
{
    struct sipper *sipper = timer->owner;
    struct world *world = sipper->site->harness.world;
    static char data[1 << 18];
    ssize_t got = recv(sipper->fd, data, sipper->piece, MSG_DONTWAIT);
    sipper->ended = got == 0 || (got < 0 && errno != EAGAIN);
    sipper->got += got > 0 ? (size_t)got : 0;
    if (!sipper->ended)
        world_timer_start(world, timer, world_in_ms(world, 50));
}

static void sip(struct sipper *sipper, struct site *site, const char *request)
{
    int buffer = (int)sipper->piece < 4096 ? 4096 : (int)sipper->piece;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {htonl(INADDR_LOOPBACK)},
                                  .sin_port = htons((uint16_t)site->port)};
    sipper->site = site;
    sipper->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(setsockopt(sipper->fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer), 0);
    assert_int_equal(connect(sipper->fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_true(send(sipper->fd, request, strlen(request), MSG_NOSIGNAL) > 0);
    sipper->timer = (struct world_timer){.fire = on_sip, .owner = sipper};
    on_sip(&sipper->timer);
}

static bool has_let_go(void *argument)
{
    return ((struct site *)argument)->gone > 0;
}

/* It moves all the time, but too slowly: a byte now and then must not keep megabytes. */
static void whoever_reads_too_slowly_is_cut_off_and_others_are_not(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, &(struct http_limits){.idle_timeout_s = 1});
    struct sipper slow = {.piece = 4}, fair = {.piece = 1 << 18};
    sip(&slow, &site, HEAD_OF("/big?12000000"));
    harness_until(&site.harness, has_let_go, &site); /* what was kept of it is freed */
    harness_until(&site.harness, no_connections, &site);
    assert_false(slow.ended); /* it has not even read what had arrived */
    world_timer_stop(site.harness.world, &slow.timer);
    sip(&fair, &site, "GET /big?12000000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    harness_until(&site.harness, is_true, &fair.ended);
    assert_true(fair.got > 12000000);
    assert_int_equal(site.gone, 2);
    close(slow.fd);
    close(fair.fd);
    site_release(&site);
}

static void what_is_kept_of_an_answer_is_let_go_once(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, NULL);
    exchange(&site, HEAD_OF("/big?10"), "xxxxxxxxxx");
    assert_int_equal(site.gone, 1);
    struct raw *leaves = raw_connect(&site);
    raw_text(leaves, HEAD_OF("/big?30000000"));
    raw_until(leaves, "200 OK");
    assert_int_equal(site.gone, 1);
    raw_close(leaves);
    harness_until(&site.harness, no_connections, &site);
    assert_int_equal(site.gone, 2);
    site_release(&site);
}

/* Its next requests are here already, and are read one pause after the other. */
static void a_paced_connection_is_read_later(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, NULL);
    struct raw *paced = raw_connect(&site);
    int64_t began_ns = world_monotonic_ns(site.harness.world);
    raw_text(paced, HEAD_OF("/paced") HEAD_OF("/paced") HEAD_OF("/after"));
    raw_until(paced, "204 ");
    exchange(&site, HEAD_OF("/other"), "GET|/other|");
    assert_int_equal(site.taken, 2);
    raw_until(paced, "GET|/after|");
    assert_true(world_monotonic_ns(site.harness.world) - began_ns >=
                (int64_t)(2 * HTTP_PACE_MS - 50) * 1000000);
    assert_int_equal(site.taken, 4);
    raw_close(paced);
    site_release(&site);
}

static void a_connection_may_be_paced_from_its_beginning(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, NULL);
    struct raw *before = raw_ask(&site, HEAD_OF("/before"), "GET|/before|");
    site.paces_guests = true;
    int64_t began_ns = world_monotonic_ns(site.harness.world);
    struct raw *paced = raw_connect(&site);
    raw_text(paced, HEAD_OF("/first") HEAD_OF("/second"));
    raw_text(before, HEAD_OF("/meanwhile"));
    raw_until(before, "GET|/meanwhile|");
    assert_int_equal(site.taken, 2);
    raw_until(paced, "GET|/second|");
    assert_true(world_monotonic_ns(site.harness.world) - began_ns >=
                (int64_t)(HTTP_PACE_MS - 50) * 1000000);
    raw_close(before);
    raw_close(paced);
    site_release(&site);
}

/* Together they would spend at once what their client was granted in the pause. */
static void those_paced_at_once_come_back_one_after_the_other(void **state)
{
    (void)state;
    struct site site;
    struct raw *paced[20];
    size_t count = sizeof paced / sizeof *paced;
    site_init(&site, NULL);
    for (size_t i = 0; i < count; i++)
        paced[i] = raw_ask(&site, HEAD_OF("/first"), "GET|/first|");
    int64_t began_ns = world_monotonic_ns(site.harness.world);
    for (size_t i = 0; i < count; i++)
        raw_text(paced[i], HEAD_OF("/paced") HEAD_OF("/after"));
    for (size_t i = 0; i < count; i++) {
        raw_until(paced[i], "GET|/after|");
        assert_true(world_monotonic_ns(site.harness.world) - began_ns >=
                    (int64_t)(HTTP_PACE_MS + HTTP_PACE_MS * i / count - 50) * 1000000);
        raw_close(paced[i]);
    }
    site_release(&site);
}

/* However many come, and however few were open when the first ones came. */
static void nobody_is_paced_for_more_than_two_pauses(void **state)
{
    (void)state;
    const uint64_t pause_us = HTTP_PACE_MS * 1000, now_us = 5 * pause_us;
    uint64_t turn_us = 0;
    assert_int_equal(paced_turn_us(0, now_us, 1), now_us);
    for (unsigned open = 1; open <= 10000; open++) {
        uint64_t next_us = paced_turn_us(turn_us, now_us, open);
        assert_true(next_us >= turn_us && next_us >= now_us && next_us <= now_us + pause_us);
        turn_us = next_us;
    }
    turn_us = now_us;
    for (int i = 1; i < 250; i++) {
        uint64_t next_us = paced_turn_us(turn_us, now_us, 250);
        assert_int_equal(next_us - turn_us, pause_us / 250);
        turn_us = next_us;
    }
}

static bool has_room(void *argument)
{
    const struct site *site = argument;
    return site->guests < site->guests_max;
}

static void at_the_limit_a_paced_connection_gives_way_first(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, &(struct http_limits){.connections_max = 3});
    struct raw *idle = raw_ask(&site, HEAD_OF("/idle"), "GET|/idle|");
    struct raw *paced = raw_ask(&site, HEAD_OF("/paced"), "204 ");
    struct raw *newest = raw_ask(&site, HEAD_OF("/new"), "GET|/new|");
    raw_until_closed(paced);
    assert_false(idle->closed);
    raw_close(idle);
    raw_close(paced);
    raw_close(newest);
    site_release(&site);
}

static void who_is_turned_away_is_closed_at_once_and_costs_no_place(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, NULL);
    site.guests_max = 2;
    struct raw *first = raw_ask(&site, HEAD_OF("/1"), "GET|/1|");
    struct raw *second = raw_connect(&site);
    raw_text(second, HEAD_OF("/hold"));
    until_held(&site, 1);
    for (int i = 0; i < 100; i++) {
        struct raw *third = raw_connect(&site);
        raw_until_closed(third);
        assert_int_equal(third->length, 0);
        raw_close(third);
    }
    assert_int_equal(open_connections(&site), 2);
    raw_close(first);
    harness_until(&site.harness, has_room, &site);
    struct raw *next = raw_ask(&site, HEAD_OF("/2"), "GET|/2|");
    reply_text(site.held[0], 200, "held");
    raw_until(second, "held");
    raw_close(second);
    raw_close(next);
    site_release(&site);
}

static bool have_been_silent(void *argument)
{
    const struct site *site = argument;
    return site->silent == 2;
}

static void it_is_told_whether_a_request_came_by_a_connection(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, NULL);
    struct raw *asks = raw_ask(&site, HEAD_OF("/1"), "GET|/1|"), *fails = raw_connect(&site);
    raw_close(raw_connect(&site));
    raw_text(fails, "GET / HTTP/9.9\r\n\r\n");
    raw_until_closed(fails);
    raw_close(fails);
    harness_until(&site.harness, have_been_silent, &site);
    raw_close(asks);
    harness_until(&site.harness, no_connections, &site);
    assert_int_equal(site.silent, 2);
    site_release(&site);
}

static void a_request_says_where_it_comes_from(void **state)
{
    (void)state;
    static const unsigned char loopback[16] = {[10] = 0xff, 0xff, 127, 0, 0, 1};
    struct site site;
    site_init(&site, NULL);
    exchange(&site, HEAD_OF("/a"), "GET|/a|");
    assert_true(site.peer.known);
    assert_memory_equal(site.peer.address, loopback, sizeof loopback);
    site_release(&site);
}

static void a_client_that_sends_on_while_it_waits_is_not_read(void **state)
{
    (void)state;
    static const char head[] = HEAD_OF("/1");
    struct site site;
    size_t sent = 0, at = 0;
    int stalls = 0;
    site_init(&site, NULL);
    struct raw *raw = raw_connect(&site);
    raw_text(raw, HEAD_OF("/hold"));
    until_held(&site, 1);
    while (stalls < 100) {
        ssize_t got = send(raw->fd, head + at, sizeof head - 1 - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        stalls = got < 0 ? stalls + 1 : 0;
        at = got < 0 ? at : (at + (size_t)got) % (sizeof head - 1);
        sent += got < 0 ? 0 : (size_t)got;
        assert_true(sent < (size_t)32 << 20);
        uv_run(&site.harness.loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(site.taken, 1);
    raw_close(raw);
    reply_text(site.held[0], 200, "late");
    harness_until(&site.harness, no_connections, &site);
    site_release(&site);
}

static void a_client_that_has_closed_its_half_is_answered(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, NULL);
    struct raw *raw = raw_connect(&site);
    raw_text(raw, HEAD_OF("/hold") HEAD_OF("/next"));
    shutdown(raw->fd, SHUT_WR);
    until_held(&site, 1);
    for (int turn = 0; turn < 10; turn++)
        uv_run(&site.harness.loop, UV_RUN_NOWAIT);
    reply_text(site.held[0], 200, "held");
    raw_until_closed(raw);
    assert_contains(raw, "held");
    assert_contains(raw, "GET|/next|");
    raw_close(raw);
    harness_until(&site.harness, no_connections, &site);
    site_release(&site);
}

/* Without a descriptor left, connections wait in the kernel's queue until there is one. */
static void a_process_without_descriptors_accepts_again_when_it_has_some(void **state)
{
    (void)state;
    struct site site;
    struct rlimit before, few;
    site_init(&site, NULL);
    struct raw *raw = raw_connect(&site);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = (rlim_t)raw->fd + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    int spare = dup(raw->fd); /* below raw->fd there may be holes */
    while (spare >= 0)
        spare = dup(raw->fd);
    raw_text(raw, HEAD_OF("/1"));
    for (int turn = 0; turn < 20; turn++)
        uv_run(&site.harness.loop, UV_RUN_NOWAIT);
    assert_int_equal(open_connections(&site), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    raw_until(raw, "GET|/1|");
    raw_close(raw);
    site_release(&site);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_to_a_client_that_has_left_does_no_harm),
        cmocka_unit_test(a_client_that_leaves_in_the_middle_is_forgotten),
        cmocka_unit_test(silent_and_trickling_connections_are_cut_off),
        cmocka_unit_test(beyond_the_limit_connections_wait_their_turn),
        cmocka_unit_test(at_the_limit_the_connection_that_idles_longest_gives_way),
        cmocka_unit_test(drain_answers_what_was_taken_and_leaves_new_connections_to_the_next),
        cmocka_unit_test(drain_waits_for_clients_that_have_just_connected_or_begun_to_send),
        cmocka_unit_test(drain_without_requests_is_done_at_once),
        cmocka_unit_test(requests_past_the_grace_get_503_and_may_still_be_replied_to),
        cmocka_unit_test(a_large_answer_to_a_slow_reader_does_not_hold_up_others),
        cmocka_unit_test(whoever_reads_too_slowly_is_cut_off_and_others_are_not),
        cmocka_unit_test(what_is_kept_of_an_answer_is_let_go_once),
        cmocka_unit_test(a_paced_connection_is_read_later),
        cmocka_unit_test(a_connection_may_be_paced_from_its_beginning),
        cmocka_unit_test(those_paced_at_once_come_back_one_after_the_other),
        cmocka_unit_test(nobody_is_paced_for_more_than_two_pauses),
        cmocka_unit_test(at_the_limit_a_paced_connection_gives_way_first),
        cmocka_unit_test(who_is_turned_away_is_closed_at_once_and_costs_no_place),
        cmocka_unit_test(it_is_told_whether_a_request_came_by_a_connection),
        cmocka_unit_test(a_request_says_where_it_comes_from),
        cmocka_unit_test(a_client_that_sends_on_while_it_waits_is_not_read),
        cmocka_unit_test(a_client_that_has_closed_its_half_is_answered),
        cmocka_unit_test(a_process_without_descriptors_accepts_again_when_it_has_some),
    };
    return cmocka_run_group_tests_name("http_connections", tests, NULL, NULL);
}
