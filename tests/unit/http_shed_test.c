/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that are answered at their heads. */

#include "http_support.h"

#include "http/connection.h"

#define FLOODERS 8
#define FLOOD 100       /* requests of each, one behind the other */
#define FLOODS_MAX 200u /* far more than are shed at once */

/* Its body would be a request, to whoever forgets that it is none. */
#define SHED_POST                                                                                  \
    "POST /shed HTTP/1.1\r\nHost: x\r\nContent-Length: 35\r\n\r\n"                                 \
    "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"

static void what_follows_the_body_of_a_shed_request_is_the_next(void **state)
{
    (void)state;
    static const char text[] = SHED_POST HEAD_OF("/shed") SHED_POST HEAD_OF("/next");
    struct site site;
    site_init(&site, NULL);
    for (size_t part = 1; part < sizeof text; part += part == 1 ? 51 : sizeof text) {
        struct raw *raw = raw_connect(&site);
        for (size_t at = 0; at + 1 < sizeof text; at += part) {
            size_t left = sizeof text - 1 - at;
            char piece[sizeof text];
            snprintf(piece, sizeof piece, "%.*s", (int)(part < left ? part : left), text + at);
            raw_text(raw, piece);
            if (part > 1)
                raw_until(raw, "HTTP/1.1 503"); /* of the first head, before its body comes */
        }
        raw_until(raw, "GET|/next|");
        assert_null(strstr(raw->data, "smuggled"));
        raw_close(raw);
    }
    assert_int_equal(site.taken, 2);
    site_release(&site);
}

static void a_connection_whose_next_request_cannot_be_found_ends_with_a_shed_one(void **state)
{
    (void)state;
    static const char *const heads[] = {"Transfer-Encoding: chunked", "Content-Length: 1000000",
                                        "Content-Length: 5\r\nExpect: 100-continue"};
    char text[256];
    struct site site;
    site_init(&site, NULL);
    for (size_t i = 0; i < COUNT(heads); i++) {
        struct raw *raw = raw_connect(&site);
        snprintf(text, sizeof text, "POST /shed HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", heads[i]);
        raw_text(raw, text);
        raw_until_closed(raw);
        assert_contains(raw, "HTTP/1.1 503");
        assert_contains(raw, "Connection: close\r\n");
        raw_close(raw);
    }
    assert_int_equal(site.taken, 0);
    site_release(&site);
}

/* The last one is not shed. */
static void flood(struct raw *raw)
{
    raw->length = 0;
    raw->data[0] = '\0';
    for (int i = 0; i < FLOOD; i++)
        raw_text(raw, HEAD_OF("/shed"));
    raw_text(raw, HEAD_OF("/last"));
}

static void shedding_takes_its_share_of_the_time_and_no_more(void **state)
{
    (void)state;
    struct site site;
    struct raw *raws[FLOODERS];
    unsigned floods = 0;
    site_init(&site, NULL);
    for (int i = 0; i < FLOODERS; i++)
        raws[i] = raw_connect(&site);
    for (; !site.holds && floods < FLOODS_MAX; floods++) {
        for (int i = 0; i < FLOODERS; i++)
            flood(raws[i]);
        for (int i = 0; i < FLOODERS; i++)
            raw_until(raws[i], "GET|/last|"); /* nothing is left lying */
    }
    assert_true(site.holds);
    assert_int_equal(site.taken, floods * FLOODERS);
    for (int i = 0; i < FLOODERS; i++)
        flood(raws[i]);
    struct raw *other = raw_connect(&site);
    raw_text(other, HEAD_OF("/other"));
    raw_until(other, "GET|/other|");
    raw_close(other);
    site_stop(&site, 60000); /* with some that are held, perhaps */
    for (int i = 0; i < FLOODERS; i++)
        raw_close(raws[i]);
    site_release(&site);
}

/* ---- While no time is left for shedding ---- */

static void leave_no_time(struct site *site)
{
    site->server->shedding = true;
    site->server->spared_ns = world_monotonic_ns(site->harness.world);
    site->server->spare_ns = INT64_MIN / 2;
}

static void leave_time(struct site *site)
{
    site->server->spare_ns = 1000000;
}

static bool holds_one(void *argument)
{
    return ((struct site *)argument)->server->held.first != NULL;
}

/* A client whose last request was shed. */
static struct raw *connect_shed(struct site *site)
{
    struct raw *raw = raw_ask(site, HEAD_OF("/shed"), "HTTP/1.1 503");
    raw->length = 0;
    raw->data[0] = '\0';
    return raw;
}

/* The loop goes round a few times. */
static void pass_time(struct site *site)
{
    for (int i = 0; i < 5; i++)
        uv_run(&site->harness.loop, UV_RUN_NOWAIT);
}

static void assert_one_is_held(struct site *site)
{
    const struct http_connection *held = site->server->held.first;
    assert_non_null(held);
    assert_null(held->queue_next);
    assert_int_equal(held->events, 0);
}

static void one_that_is_reset_while_no_time_is_left_is_held_once(void **state)
{
    (void)state;
    static const struct linger at_once = {.l_onoff = 1};
    struct site site;
    site_init(&site, NULL);
    struct raw *raw = connect_shed(&site);
    leave_no_time(&site);
    assert_int_equal(setsockopt(raw->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    raw_close(raw);
    harness_until(&site.harness, holds_one, &site);
    pass_time(&site);
    assert_one_is_held(&site);
    leave_time(&site);
    harness_until(&site.harness, no_connections, &site);
    site_release(&site);
}

static void one_that_is_resumed_later_is_held_only_when_its_turn_comes(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, NULL);
    struct raw *raw = connect_shed(&site);
    struct http_connection *connection = site.server->awaited.first;
    leave_no_time(&site);
    connection_resume_later(connection);
    raw_text(raw, HEAD_OF("/next"));
    site.server->ready(&connection->poll, 0, UV_READABLE);
    assert_ptr_equal(connection->queue, &site.server->resumed);
    assert_null(site.server->held.first);
    pass_time(&site);
    assert_one_is_held(&site);
    assert_int_equal(site.taken, 0);
    leave_time(&site);
    raw_until(raw, "GET|/next|");
    raw_close(raw);
    site_release(&site);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_follows_the_body_of_a_shed_request_is_the_next),
        cmocka_unit_test(a_connection_whose_next_request_cannot_be_found_ends_with_a_shed_one),
        cmocka_unit_test(shedding_takes_its_share_of_the_time_and_no_more),
        cmocka_unit_test(one_that_is_reset_while_no_time_is_left_is_held_once),
        cmocka_unit_test(one_that_is_resumed_later_is_held_only_when_its_turn_comes),
    };
    return cmocka_run_group_tests_name("http_shed", tests, NULL, NULL);
}
