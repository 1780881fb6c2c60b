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
    assert_false(spare_left(site->server));
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

static void each_that_is_held_comes_to_its_turn(void **state)
{
    (void)state;
    static const char *const texts[] = {HEAD_OF("/shed?0"), HEAD_OF("/shed?1"),
                                        HEAD_OF("/shed?2") HEAD_OF("/step")};
    struct site site;
    struct raw *raws[COUNT(texts)];
    site_init(&site, NULL);
    for (size_t i = 0; i < COUNT(texts); i++)
        raws[i] = connect_shed(&site);
    leave_no_time(&site);
    for (size_t i = 0; i < COUNT(texts); i++) {
        raw_text(raws[i], texts[i]);
        pass_time(&site);
    }
    assert_string_equal(site.shed, "");
    leave_time(&site);
    raw_until(raws[2], "GET|/step|");
    assert_string_equal(site.shed, "012");
    for (size_t i = 0; i < COUNT(texts); i++)
        raw_close(raws[i]);
    site_release(&site);
}

static void what_is_shed_after_it_has_waited_is_shed_as_well(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, NULL);
    struct raw *raw = raw_ask(&site, HEAD_OF("/shed-later"), "HTTP/1.1 503");
    assert_true(site.server->shedding);
    leave_no_time(&site);
    raw_text(raw, HEAD_OF("/next"));
    harness_until(&site.harness, holds_one, &site);
    assert_one_is_held(&site);
    leave_time(&site);
    raw_until(raw, "GET|/next|");
    raw_close(raw);
    site_release(&site);
}

#define TIME INT64_C(25000000) /* less than "/slow" takes */

/* What is spent on `text`, on a connection that was not shed before. */
static int64_t spend_on(struct site *site, const char *text, const char *awaited)
{
    struct raw *raw = raw_ask(site, HEAD_OF("/before"), "GET|/before|");
    site->server->shedding = true;
    site->server->spare_ns = TIME;
    raw_text(raw, text);
    raw_until(raw, awaited);
    int64_t spent_ns = TIME - site->server->spare_ns;
    raw_close(raw);
    return spent_ns;
}

static void shedding_is_paid_for_and_what_handlers_do_is_not(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, NULL);
    assert_true(spend_on(&site, HEAD_OF("/shed") HEAD_OF("/last"), "GET|/last|") > 0);
    assert_int_equal(spend_on(&site, HEAD_OF("/slow"), "GET|/slow|"), 0);
    assert_in_range(spend_on(&site, HEAD_OF("/slow") HEAD_OF("/shed"), "HTTP/1.1 503"), 1, TIME);
    site_release(&site);
}

static void a_pause_is_paid_for_in_bounds(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, NULL);
    raw_close(connect_shed(&site));
    int64_t now_ns = world_monotonic_ns(site.harness.world);
    site.server->spared_ns = now_ns;
    site.server->spare_from_ns = now_ns - 3600 * INT64_C(1000000000);
    spare_spend(site.server);
    assert_in_range(-site.server->spare_ns, 1, TIME);
    site_release(&site);
}

static void at_the_limit_the_one_that_is_held_longest_gives_way_first(void **state)
{
    (void)state;
    struct site site;
    struct raw *raws[2];
    site_init(&site, &(struct http_limits){.connections_max = 4});
    struct raw *idle = raw_ask(&site, HEAD_OF("/idle"), "GET|/idle|"); /* awaited for longer */
    for (int i = 0; i < 2; i++)
        raws[i] = connect_shed(&site);
    leave_no_time(&site);
    for (int i = 0; i < 2; i++) {
        raw_text(raws[i], HEAD_OF("/next"));
        pass_time(&site);
    }
    struct raw *newcomer = raw_connect(&site);
    pass_time(&site);
    assert_int_equal(open_connections(&site), 3);
    site.server->newcomers_next = false; /* it is their turn */
    leave_time(&site);
    raw_until_closed(raws[0]);
    raw_until(raws[1], "GET|/next|");
    raw_text(newcomer, HEAD_OF("/new"));
    raw_until(newcomer, "GET|/new|");
    raw_text(idle, HEAD_OF("/again"));
    raw_until(idle, "GET|/again|");
    raw_close(idle);
    raw_close(newcomer);
    for (int i = 0; i < 2; i++)
        raw_close(raws[i]);
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
        cmocka_unit_test(each_that_is_held_comes_to_its_turn),
        cmocka_unit_test(what_is_shed_after_it_has_waited_is_shed_as_well),
        cmocka_unit_test(shedding_is_paid_for_and_what_handlers_do_is_not),
        cmocka_unit_test(a_pause_is_paid_for_in_bounds),
        cmocka_unit_test(at_the_limit_the_one_that_is_held_longest_gives_way_first),
    };
    return cmocka_run_group_tests_name("http_shed", tests, NULL, NULL);
}
