/* SPDX-License-Identifier: Apache-2.0 */
/* What clients can make a server keep: memory, connections and time, of those that send without
 * end, take nothing, break off, or come in great numbers. */

#define _GNU_SOURCE
#include <fcntl.h>

#include "http_support.h"

/* Runs the loop until nothing happens on it any more. */
static void turns(struct site *site, int count)
{
    for (int turn = 0; turn < count; turn++)
        uv_run(&site->harness.loop, UV_RUN_NOWAIT);
}

static void set_buffer(int fd, int which, int size)
{
    assert_int_equal(setsockopt(fd, SOL_SOCKET, which, &size, sizeof size), 0);
}

/* Without poll: the client takes nothing until the test reads. */
static struct raw *deaf_connect(struct site *site)
{
    struct raw *raw = raw_connect(site);
    uv_poll_stop(&raw->poll);
    set_buffer(raw->fd, SO_RCVBUF, 4096);
    return raw;
}

static bool is_cut_off(struct raw *raw)
{
    char byte;
    ssize_t got = recv(raw->fd, &byte, 1, MSG_DONTWAIT);
    while (got > 0)
        got = recv(raw->fd, &byte, 1, MSG_DONTWAIT);
    return got == 0 || errno == ECONNRESET;
}

/* Requests that come faster than they are answered wait in the kernel's buffers, not here. */
static void a_flood_of_pipelined_requests_is_not_kept(void **state)
{
    (void)state;
    static const char request[] = "GET /1 HTTP/1.1\r\nHost:\r\n\r\n";
    static char buffer[1 << 16];
    struct site site;
    const size_t length = sizeof request - 1;
    size_t sent = 0, at = 0, ahead_max = 0;
    site_init(&site, NULL);
    set_buffer(site.listen_fd, SO_RCVBUF, 256 << 10);
    struct raw *raw = raw_connect(&site);
    uv_poll_stop(&raw->poll);
    set_buffer(raw->fd, SO_SNDBUF, 256 << 10);
    while (sent < (size_t)6 << 20) {
        ssize_t got = send(raw->fd, request + at, length - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (got > 0) {
            at = (at + (size_t)got) % length;
            sent += (size_t)got;
            continue;
        }
        while (recv(raw->fd, buffer, sizeof buffer, MSG_DONTWAIT) > 0)
            ;
        uv_run(&site.harness.loop, UV_RUN_NOWAIT);
        size_t ahead = sent - site.taken * length;
        ahead_max = ahead > ahead_max ? ahead : ahead_max;
    }
    assert_true(ahead_max < (size_t)2 << 20);
    raw_close(raw);
    harness_until(&site.harness, no_connections, &site);
    site_release(&site);
}

static void all_that_was_pipelined_is_answered_before_the_end(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, NULL);
    struct raw *raw = raw_connect(&site);
    for (int i = 0; i < 200; i++)
        raw_text(raw, i % 50 == 49 ? HEAD_OF("/later") : HEAD_OF("/1"));
    shutdown(raw->fd, SHUT_WR);
    raw_until_closed(raw);
    assert_int_equal(site.taken, 200);
    int answers = 0;
    for (const char *at = raw->data; (at = strstr(at, "HTTP/1.1 200 OK")); at++)
        answers++;
    assert_int_equal(answers, 200);
    raw_close(raw);
    site_release(&site);
}

/* Also where the beginning of a request came before the reset: it is the last that is heard. */
static void a_connection_that_was_reset_is_closed_at_once(void **state)
{
    (void)state;
    static const char *const parts[] = {"GET /a HTTP/1.1\r\nHo", HEAD_OF("/hold"),
                                        "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na",
                                        "GET /a\r\n\r\n"};
    static const struct linger at_once = {.l_onoff = 1};
    struct site site;
    site_init(&site, NULL);
    for (size_t i = 0; i < COUNT(parts); i++) {
        struct raw *raw = raw_connect(&site);
        harness_until(&site.harness, has_connection, &site);
        raw_text(raw, parts[i]);
        assert_int_equal(setsockopt(raw->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
        uv_poll_stop(&raw->poll);
        close(raw->fd);
        turns(&site, 10);
        if (site.held_count)
            reply_text(site.held[--site.held_count], 200, "to nobody");
        turns(&site, 10);
        assert_int_equal(open_connections(&site), 0);
        raw->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* for raw_close */
        raw_close(raw);
    }
    site_release(&site);
}

static void answers_that_nobody_takes_are_bounded_together(void **state)
{
    (void)state;
    struct site site;
    struct raw *deaf[8];
    site_init(&site, &(struct http_limits){.weight_max = (size_t)40 << 20});
    set_buffer(site.listen_fd, SO_SNDBUF, 4096);
    for (size_t i = 0; i < COUNT(deaf); i++) {
        deaf[i] = deaf_connect(&site);
        raw_text(deaf[i], HEAD_OF("/big?10000000"));
        turns(&site, 10);
    }
    /* Those that have taken nothing for longest went; what is left is below the limit. */
    for (size_t i = 0; i < COUNT(deaf); i++)
        assert_int_equal(is_cut_off(deaf[i]), i < COUNT(deaf) - 4);
    struct raw *raw =
        raw_ask(&site, "GET /big?100000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", NULL);
    assert_true(raw->length > 100000);
    raw_close(raw);
    for (size_t i = 0; i < COUNT(deaf); i++)
        raw_close(deaf[i]);
    site_release(&site);
}

static void bodies_that_do_not_come_to_an_end_are_bounded_together(void **state)
{
    (void)state;
    static char body[500000];
    struct site site;
    struct raw *slow[8];
    site_init(&site, &(struct http_limits){.weight_max = (size_t)3 << 20});
    struct raw *idle = raw_ask(&site, HEAD_OF("/1"), "GET|/1|");
    for (size_t i = 0; i < COUNT(slow); i++) {
        slow[i] = raw_connect(&site);
        raw_text(slow[i], i % 2
                              ? "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 500001\r\n\r\n"
                              : "POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                                "f4240\r\n");
        raw_send(slow[i], body, sizeof body);
        turns(&site, 20);
    }
    assert_true(slow[0]->closed);
    assert_problem(slow[0], 503);
    assert_false(slow[COUNT(slow) - 1]->closed);
    assert_false(idle->closed); /* it keeps nothing */
    raw_send(slow[COUNT(slow) - 1], body, 1);
    raw_until(slow[COUNT(slow) - 1], "POST|/b||500001|");
    for (size_t i = 0; i < COUNT(slow); i++)
        raw_close(slow[i]);
    raw_close(idle);
    site_release(&site);
}

/* What is kept of requests that are answered is given back: else all would be refused in the end.
 */
static void what_was_kept_is_given_back(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, &(struct http_limits){.weight_max = (size_t)300 << 10});
    for (int i = 0; i < 40; i++) {
        struct raw *raw = post_body(&site, 100000, i % 2);
        raw_until(raw, "POST|/b||100000|");
        raw_text(raw, "GET /big?90000 HTTP/1.1\r\nHost: x\r\n\r\nGET /1 HTTP/1.1\r\n");
        raw_until(raw, "xxx\0");
        turns(&site, 5);
        assert_false(raw->closed);
        raw_text(raw, "Host: x\r\n\r\n");
        raw_until(raw, "GET|/1|");
        raw_close(raw);
    }
    site_release(&site);
}

static void clients_that_take_nothing_keep_nobody_out(void **state)
{
    (void)state;
    struct site site;
    struct raw *deaf[4];
    site_init(&site, &(struct http_limits){.connections_max = COUNT(deaf)});
    set_buffer(site.listen_fd, SO_SNDBUF, 4096);
    for (size_t i = 0; i < COUNT(deaf); i++) {
        deaf[i] = deaf_connect(&site);
        raw_text(deaf[i], HEAD_OF("/big?5000000"));
        turns(&site, 10);
    }
    for (int i = 0; i < 3; i++)
        exchange(&site, HEAD_OF("/1"), "GET|/1|");
    assert_true(is_cut_off(deaf[0]));
    for (size_t i = 0; i < COUNT(deaf); i++)
        raw_close(deaf[i]);
    site_release(&site);
}

/* However many linger after their last answer, the newest gets to read it. */
static void a_refusal_reaches_its_client_though_many_linger(void **state)
{
    (void)state;
    struct site site;
    static struct raw *many[300];
    site_init(&site, NULL);
    for (size_t i = 0; i < COUNT(many); i++) {
        many[i] = raw_connect(&site);
        raw_text(many[i], "GET /a\r\n\r\n");
        turns(&site, 1);
    }
    struct raw *raw = raw_connect(&site);
    raw_text(raw, "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n");
    raw_until(raw, "\"status\":413");
    for (int i = 0; i < 100; i++) {
        raw_text(raw, "the rest of a body that nobody wants");
        turns(&site, 1);
    }
    assert_int_equal(send(raw->fd, "x", 1, MSG_NOSIGNAL), 1); /* it was not reset */
    raw_close(raw);
    for (size_t i = 0; i < COUNT(many); i++)
        raw_close(many[i]);
    site_release(&site);
}

static void a_refusal_after_head_has_its_body(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, &(struct http_limits){.idle_timeout_s = 1});
    struct raw *raw = raw_ask(&site, "HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n", "\r\n\r\n");
    raw->length = 0;
    raw_text(raw, "GET /b HTTP/1.1\r\nHo");
    raw_until_closed(raw);
    assert_problem(raw, 408);
    raw_close(raw);
    site_release(&site);
}

/* What it sent on while it waited would make the kernel reset the connection, and the answer with
 * it, if the socket were simply closed. */
static void the_last_answer_before_the_end_is_not_lost(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, NULL);
    struct raw *raw = raw_connect(&site), *late = raw_connect(&site);
    raw_text(raw, HEAD_OF("/hold"));
    raw_text(late, HEAD_OF("/hold"));
    until_held(&site, 2);
    raw_text(raw, HEAD_OF("/next"));
    raw_text(late, HEAD_OF("/next"));
    turns(&site, 5);
    uv_poll_stop(&raw->poll);
    http_server_drain(site.server, 300, on_drained, &site.drained);
    reply_text(site.held[0], 200, "answer");
    turns(&site, 5);
    assert_false(site.drained); /* the other's answer is due */
    raw_text(raw, HEAD_OF("/one more"));
    harness_until(&site.harness, is_true, &site.drained);
    http_server_free(site.server);
    site.server = NULL;
    reply_text(site.held[1], 200, "too late");
    assert_int_equal(uv_poll_start(&raw->poll, UV_READABLE, on_raw_ready), 0);
    raw_until_closed(raw);
    assert_contains(raw, "answer");
    assert_false(raw->reset);
    raw_until_closed(late);
    assert_problem(late, 503);
    assert_false(late->reset);
    raw_close(raw);
    raw_close(late);
    site_release(&site);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flood_of_pipelined_requests_is_not_kept),
        cmocka_unit_test(all_that_was_pipelined_is_answered_before_the_end),
        cmocka_unit_test(a_connection_that_was_reset_is_closed_at_once),
        cmocka_unit_test(answers_that_nobody_takes_are_bounded_together),
        cmocka_unit_test(bodies_that_do_not_come_to_an_end_are_bounded_together),
        cmocka_unit_test(what_was_kept_is_given_back),
        cmocka_unit_test(clients_that_take_nothing_keep_nobody_out),
        cmocka_unit_test(a_refusal_reaches_its_client_though_many_linger),
        cmocka_unit_test(a_refusal_after_head_has_its_body),
        cmocka_unit_test(the_last_answer_before_the_end_is_not_lost),
    };
    return cmocka_run_group_tests_name("http_bounds", tests, NULL, NULL);
}
