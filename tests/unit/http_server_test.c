/* SPDX-License-Identifier: Apache-2.0 */
/* The server, byte by byte: what is accepted, what is refused and how, and that answers may be
 * late. */

#define _GNU_SOURCE
#include <fcntl.h>

#include "http_support.h"

static void a_request_is_answered_at_once(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, NULL);
    struct raw *raw = raw_ask(&site, HEAD_OF("/a?x=1"), "GET|/a|x=1|0||");
    assert_contains(raw, "HTTP/1.1 200 OK\r\n");
    assert_contains(raw, "Content-Type: application/json\r\n");
    assert_contains(raw, "Content-Length: 14\r\n");
    assert_contains(raw, "Date: ");
    assert_false(raw->closed);
    raw_close(raw);
    site_release(&site);
}

static void path_and_query_come_raw(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, NULL);
    exchange(&site, HEAD_OF("/a%2Fb%00c/%41?q=%20+&&r"), "GET|/a%2Fb%00c/%41|q=%20+&&r|0||");
    exchange(&site, HEAD_OF("/a?b?c"), "GET|/a|b?c|0||");
    exchange(&site, HEAD_OF("/a//b/"), "GET|/a//b/||0||");
    exchange(&site, HEAD_OF("http://x/a%2Fb?x"), "GET|/a%2Fb|x|0||");
    site_release(&site);
}

static void an_answer_may_come_later(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, NULL);
    struct raw *slow = raw_connect(&site);
    raw_text(slow, HEAD_OF("/hold"));
    until_held(&site, 1);
    assert_int_equal(open_requests(&site), 1);
    exchange(&site, HEAD_OF("/quick"), "GET|/quick|"); /* others go on meanwhile */
    assert_int_equal(slow->length, 0);
    reply_text(site.held[0], 201, "held");
    assert_int_equal(open_requests(&site), 0);
    raw_until(slow, "held");
    assert_contains(slow, "HTTP/1.1 201 Created\r\n");
    raw_text(slow, HEAD_OF("/later?again"));
    raw_until(slow, "GET|/later|again|");
    raw_close(slow);
    site_release(&site);
}

static void requests_in_one_packet_are_answered_in_order(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, NULL);
    struct raw *raw = raw_ask(&site, HEAD_OF("/1") HEAD_OF("/later?2") HEAD_OF("/3"), "GET|/3|");
    char *first = strstr(raw->data, "|/1|"), *second = strstr(raw->data, "|/later|2");
    assert_true(first && second && first < second && second < strstr(raw->data, "|/3|"));
    raw_close(raw);
    site_release(&site);
}

static void a_body_comes_whole_however_it_was_sent(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, NULL);
    exchange(&site,
             "POST /b HTTP/1.1\r\nHost: x\r\nContent-Type: t/t\r\nContent-Length: 5\r\n\r\nhello",
             "POST|/b||5|hello|t/t");
    exchange(&site, "PUT /b HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "PUT|/b||0||");
    exchange(&site,
             "PATCH /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
             "2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nTrailer: z\r\n\r\n",
             "PATCH|/b||5|hello|");
    struct raw *raw = raw_connect(&site);
    raw_text(raw, "POST /later HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n");
    static const char *const pieces[] = {"\r\n", "he", "l", "lo"};
    for (size_t i = 0; i < COUNT(pieces); i++) {
        uv_run(&site.harness.loop, UV_RUN_NOWAIT);
        raw_text(raw, pieces[i]);
    }
    raw_until(raw, "POST|/later||5|hello|");
    raw_close(raw);
    site_release(&site);
}

static void a_client_that_expects_100_is_told_to_continue(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, &(struct http_limits){.body_size_max = 100});
    struct raw *raw = raw_connect(&site);
    raw_text(raw,
             "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    raw_until(raw, "HTTP/1.1 100 Continue");
    raw_text(raw, "hello");
    raw_until(raw, "POST|/b||5|hello|");
    raw_close(raw);
    raw = raw_connect(&site);
    raw_text(raw,
             "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 101\r\nExpect: 100-continue\r\n\r\n");
    raw_until_closed(raw);
    assert_problem(raw, 413);
    raw_close(raw);
    site_release(&site);
}

static void a_body_at_the_limit_is_taken_and_one_beyond_is_refused(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, &(struct http_limits){.body_size_max = 200000});
    for (int chunked = 0; chunked < 2; chunked++) {
        struct raw *raw = post_body(&site, 200000, chunked);
        raw_until(raw, "POST|/b||200000|xxx");
        raw_close(raw);
        raw = post_body(&site, 200001, chunked);
        raw_until_closed(raw);
        assert_problem(raw, 413);
        assert_contains(raw, "Connection: close\r\n");
        raw_close(raw);
    }
    assert_int_equal(site.taken, 2);
    site_release(&site);
}

static void a_body_announced_too_large_is_refused_before_it_comes(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, NULL);
    struct raw *raw =
        raw_ask(&site, "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n", NULL);
    assert_problem(raw, 413);
    raw_close(raw);
    site_release(&site);
}

static void a_client_that_sends_on_is_not_cut_off_before_it_reads_the_refusal(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, &(struct http_limits){.body_size_max = 100000});
    for (int chunked = 0; chunked < 2; chunked++) {
        struct raw *raw = post_body(&site, (size_t)4 << 20, chunked);
        shutdown(raw->fd, SHUT_WR);
        raw_until_closed(raw);
        assert_problem(raw, 413);
        assert_false(raw->reset);
        raw_close(raw);
    }
    assert_int_equal(site.taken, 0);
    site_release(&site);
}

/* Any refusal of a head whose body is coming; the server ends while it is still discarding it. */
static void a_head_is_refused_with_a_problem_though_its_body_comes(void **state)
{
    (void)state;
    struct site site;
    char piece[100000];
    memset(piece, 'x', sizeof piece);
    site_init(&site, NULL);
    struct raw *raw = raw_connect(&site);
    raw_text(raw, "POST /b HTTP/1.1\r\nHost: x\r\nHost: y\r\nContent-Length: 900000\r\n\r\n");
    for (int i = 0; i < 5; i++)
        raw_send(raw, piece, sizeof piece);
    raw_until_closed(raw);
    assert_problem(raw, 400);
    assert_false(raw->reset);
    int open = dup(raw->fd);
    raw_close(raw);
    site_release(&site);
    close(open);
}

static void no_client_may_send_for_ever(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, &(struct http_limits){.body_size_max = 100000});
    struct raw *raw = post_body(&site, (size_t)40 << 20, false); /* as far as it goes */
    raw_until_closed(raw);
    raw_close(raw);
    raw = raw_ask(&site, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n", "GET|/a|");
    raw_close(raw);
    site_release(&site);
}

/* A request with one header so long that the head has `size` bytes. */
static char *head_of_size(size_t size)
{
    static const char begin[] = "GET /h HTTP/1.1\r\nHost: x\r\nX-Long: ";
    char *head = malloc(size + 1);
    memset(head, 'x', size);
    memcpy(head, begin, sizeof begin - 1);
    memcpy(head + size - 4, "\r\n\r\n", 5);
    return head;
}

static void a_head_at_the_limit_is_taken_and_one_beyond_is_refused(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, NULL);
    char *head = head_of_size(16 << 10);
    exchange(&site, head, "GET|/h||0||");
    free(head);
    head = head_of_size((16 << 10) + 1);
    struct raw *raw = raw_ask(&site, head, NULL);
    assert_problem(raw, 431);
    raw_close(raw);
    free(head);
    head = head_of_size(200 << 10);
    raw = raw_ask(&site, head, NULL);
    assert_problem(raw, 431);
    raw_close(raw);
    free(head);
    site_release(&site);
}

static void too_many_headers_are_refused(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, NULL);
    char request[4096] = "GET /h HTTP/1.1\r\nHost: x\r\n";
    for (int i = 1; i < 128; i++)
        sprintf(request + strlen(request), "a%d: 1\r\n", i);
    strcat(request, "\r\n");
    exchange(&site, request, "GET|/h||0||");
    strcpy(request + strlen(request) - 2, "b: 1\r\n\r\n");
    struct raw *raw = raw_ask(&site, request, NULL);
    assert_problem(raw, 431);
    raw_close(raw);
    site_release(&site);
}

static void malformed_requests_are_refused_with_problems(void **state)
{
    (void)state;
    static const struct {
        const char *request, *says;
        int status;
    } cases[] = {
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
         "more than one Content-Length", 400},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
         "more than one Content-Length", 400},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
         "0\r\n\r\n",
         "both a Content-Length and a Transfer-Encoding", 400},
        {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"
         "0\r\n\r\n",
         "both a Content-Length and a Transfer-Encoding", 400},
        {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
         "transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
         "more than one Transfer-Encoding", 400},
        {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "only", 501},
        {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.0", 400},
        {"GET / HTTP/1.1\r\n\r\n", "no Host", 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", "more than one Host", 400},
        {"GET / HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n", "more than one Host", 400},
        {"G@T / HTTP/1.1\r\nHost: x\r\n\r\n", "method is not a token", 400},
        {"GET: / HTTP/1.1\r\nHost: x\r\n\r\n", "method is not a token", 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length : 1\r\n\r\na", "not a token", 400},
        {"GET / HTTP/1.1\r\nHost: x\r\na@b: c\r\n\r\n", "not a token", 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nA: b\001c\r\n\r\n", "control characters in its value", 400},
        {"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", "spaces or control characters", 400},
        {"GET /a\001 HTTP/1.1\r\nHost: x\r\n\r\n", "0x01 at byte 7", 400},
        {"GET /a\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n", "bytes beyond ASCII", 400},
        {"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "does not begin with '/'", 400},
        {"GET http://x HTTP/1.1\r\nHost: x\r\n\r\n", "has no path", 400},
    };
    struct site site;
    site_init(&site, NULL);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct raw *raw = raw_ask(&site, cases[i].request, NULL);
        assert_problem(raw, cases[i].status);
        assert_contains(raw, cases[i].says);
        assert_contains(raw, "Connection: close\r\n");
        raw_close(raw);
    }
    assert_int_equal(site.taken, 0);
    site_release(&site);
}

static void what_is_no_request_is_refused_with_a_problem(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        int status;
    } cases[] = {
        {"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
        {"GET /\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1x\r\n\r\na", 400},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\na", 400},
        {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\na", 413},
        {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
        {"\026\003\001\002", 400}, /* TLS */
    };
    struct site site;
    site_init(&site, NULL);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct raw *raw = raw_ask(&site, cases[i].request, NULL);
        assert_problem(raw, cases[i].status);
        raw_close(raw);
    }
    assert_int_equal(site.taken, 0);
    site_release(&site);
}

static void http_1_0_and_close_end_the_connection(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, NULL);
    struct raw *raw = raw_ask(&site, "GET /a HTTP/1.0\r\n\r\n", NULL);
    assert_contains(raw, "GET|/a|");
    raw_close(raw);
    raw = raw_ask(&site, "GET /later HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", NULL);
    assert_contains(raw, "GET|/later|");
    raw_close(raw);
    site_release(&site);
}

static void head_and_204_have_no_body(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, NULL);
    struct raw *raw =
        raw_ask(&site, "HEAD /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", NULL);
    assert_contains(raw, "Content-Length: 12\r\n");
    assert_lacks(raw, "HEAD|");
    raw_close(raw);
    raw = raw_ask(&site, "GET /empty HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", NULL);
    assert_contains(raw, "HTTP/1.1 204 No Content\r\n");
    assert_lacks(raw, "Content-Type");
    raw_close(raw);
    site_release(&site);
}

static void visit(void *context, const char *name, const char *value)
{
    char *text = context;
    sprintf(text + strlen(text), "%s=%s;", name, value);
}

static void headers_are_found_in_any_case_and_listed_in_order(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, NULL);
    struct raw *raw = raw_connect(&site);
    raw_text(raw,
             "GET /hold HTTP/1.1\r\nHost: x\r\nIdempotency-Key:  k 1 \t\r\nEmpty:\r\nb: 2\r\n\r\n");
    until_held(&site, 1);
    struct http_request *request = site.held[0]->request;
    assert_string_equal(http_request_header(request, "idempotency-KEY"), "k 1");
    assert_string_equal(http_request_header(request, "empty"), "");
    assert_null(http_request_header(request, "Idempotency"));
    char text[256] = "";
    assert_int_equal(http_request_headers(request, visit, text), 4);
    assert_string_equal(text, "Host=x;Idempotency-Key=k 1;Empty=;b=2;");
    struct http_header headers[] = {{"Freehold-At", "a, 1"}, {"Connection", "close"}};
    http_reply(request, &(struct http_answer){.status = 409,
                                              .content_type = "text/plain",
                                              .body = "no",
                                              .body_length = 2,
                                              .headers = headers,
                                              .header_count = 2});
    raw_until_closed(raw);
    assert_contains(raw, "HTTP/1.1 409 Conflict\r\n");
    assert_contains(raw, "Freehold-At: a, 1\r\n");
    assert_contains(raw, "Content-Type: text/plain\r\n");
    raw_close(raw);
    site_release(&site);
}

static void an_answer_with_an_impossible_header_becomes_a_500(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, NULL);
    struct raw *raw = raw_connect(&site);
    raw_text(raw, HEAD_OF("/hold"));
    until_held(&site, 1);
    struct http_header header = {"X-Name", "a\r\nSet-Cookie: b"};
    http_reply(site.held[0]->request,
               &(struct http_answer){.status = 200, .headers = &header, .header_count = 1});
    raw_until(raw, "X-Name");
    assert_problem(raw, 500);
    assert_lacks(raw, "Set-Cookie");
    raw_close(raw);
    site_release(&site);
}

static void a_body_that_has_come_is_not_asked_for(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, NULL);
    struct raw *raw = raw_ask(&site,
                              "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
                              "Expect: 100-continue\r\n\r\nhello",
                              "POST|/b||5|hello|");
    assert_lacks(raw, "100 Continue");
    raw_close(raw);
    site_release(&site);
}

static void http_1_0_may_keep_its_connection(void **state)
{
    (void)state;
    struct site site;
    site_init(&site, NULL);
    struct raw *raw =
        raw_ask(&site, "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET|/a|");
    assert_contains(raw, "Connection: keep-alive\r\n");
    raw_text(raw, "GET /b HTTP/1.0\r\n\r\n");
    raw_until_closed(raw);
    assert_contains(raw, "GET|/b|");
    assert_contains(raw, "Connection: close\r\n");
    raw_close(raw);
    site_release(&site);
}

static void an_answer_may_not_say_where_it_ends(void **state)
{
    (void)state;
    static const struct http_header headers[] = {
        {"Content-Length", "1"}, {"Transfer-Encoding", "chunked"}, {"X Y", "1"}, {"", "1"}};
    struct site site;
    site_init(&site, NULL);
    for (unsigned i = 0; i < COUNT(headers); i++) {
        struct raw *raw = raw_connect(&site);
        raw_text(raw, HEAD_OF("/hold"));
        until_held(&site, i + 1);
        http_reply(site.held[i]->request,
                   &(struct http_answer){.status = 200, .headers = &headers[i], .header_count = 1});
        raw_until(raw, "characters");
        assert_problem(raw, 500);
        raw_close(raw);
    }
    site_release(&site);
}

static void a_descriptor_that_is_no_socket_is_refused(void **state)
{
    (void)state;
    struct harness harness;
    harness_init(&harness);
    struct http_server *server;
    struct fh_error error = {0};
    assert_int_equal(http_server_new(&harness.loop, harness.world, 999, NULL, NULL,
                                     (struct http_handler){on_incoming, NULL}, &server, &error),
                     FH_INVALID);
    assert_null(server);
    assert_string_equal(error.native, "EBADF");
    harness_release(&harness);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_answered_at_once),
        cmocka_unit_test(path_and_query_come_raw),
        cmocka_unit_test(an_answer_may_come_later),
        cmocka_unit_test(requests_in_one_packet_are_answered_in_order),
        cmocka_unit_test(a_body_comes_whole_however_it_was_sent),
        cmocka_unit_test(a_client_that_expects_100_is_told_to_continue),
        cmocka_unit_test(a_body_at_the_limit_is_taken_and_one_beyond_is_refused),
        cmocka_unit_test(a_body_announced_too_large_is_refused_before_it_comes),
        cmocka_unit_test(a_client_that_sends_on_is_not_cut_off_before_it_reads_the_refusal),
        cmocka_unit_test(a_head_is_refused_with_a_problem_though_its_body_comes),
        cmocka_unit_test(no_client_may_send_for_ever),
        cmocka_unit_test(a_head_at_the_limit_is_taken_and_one_beyond_is_refused),
        cmocka_unit_test(too_many_headers_are_refused),
        cmocka_unit_test(malformed_requests_are_refused_with_problems),
        cmocka_unit_test(what_is_no_request_is_refused_with_a_problem),
        cmocka_unit_test(http_1_0_and_close_end_the_connection),
        cmocka_unit_test(head_and_204_have_no_body),
        cmocka_unit_test(headers_are_found_in_any_case_and_listed_in_order),
        cmocka_unit_test(an_answer_with_an_impossible_header_becomes_a_500),
        cmocka_unit_test(a_body_that_has_come_is_not_asked_for),
        cmocka_unit_test(http_1_0_may_keep_its_connection),
        cmocka_unit_test(an_answer_may_not_say_where_it_ends),
        cmocka_unit_test(a_descriptor_that_is_no_socket_is_refused),
    };
    return cmocka_run_group_tests_name("http_server", tests, NULL, NULL);
}
