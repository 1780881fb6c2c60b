/* SPDX-License-Identifier: Apache-2.0 */
/* The client against the server in the same loop, and against servers that misbehave. */

#define _GNU_SOURCE
#include <fcntl.h>

#include "http/client.h"
#include "http_support.h"

struct call {
    struct world_request request;
    bool done;
    int order; /* how many were done before it */
    char answer[4096];
    char failure[256];
    char type[64];
    int64_t done_ns;
};

static int done_count;

static const char *header_of(const struct world_request *request, const char *name)
{
    for (size_t i = 0; i < request->answer_header_count; i++)
        if (strcmp(request->answer_headers[i].name, name) == 0)
            return request->answer_headers[i].value;
    return NULL;
}

static void on_done(struct world_request *request)
{
    struct call *call = request->owner;
    call->done = true;
    call->order = done_count++;
    snprintf(call->answer, sizeof call->answer, "%.*s", (int)request->answer_length,
             request->answer);
    snprintf(call->failure, sizeof call->failure, "%s", request->failure ? request->failure : "");
    const char *type = header_of(request, "content-type");
    snprintf(call->type, sizeof call->type, "%s", type ? type : "");
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    call->done_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

struct pair {
    struct site site;
    struct http_client *client;
};

static void pair_init(struct pair *pair)
{
    char address[32];
    site_init(&pair->site, NULL);
    assert_int_equal(http_client_new(&pair->site.harness.loop, pair->site.harness.world,
                                     &pair->client, ERROR_UNHEEDED),
                     FH_OK);
    snprintf(address, sizeof address, "127.0.0.1:%d", pair->site.port);
    http_client_set_address(pair->client, "site", address);
}

static void pair_release(struct pair *pair)
{
    http_client_free(pair->client);
    site_release(&pair->site);
}

static void send_call(struct pair *pair, struct call *call, const char *method, const char *path,
                      const char *body)
{
    call->request.service = call->request.service ? call->request.service : "site";
    call->request.method = method;
    call->request.path = path;
    call->request.body = body;
    call->request.body_length = body ? strlen(body) : 0;
    if (!call->request.deadline_ns)
        call->request.deadline_ns = world_in_ms(pair->site.harness.world, 60000);
    call->request.done = on_done;
    call->request.owner = call;
    http_client_send(pair->client, &call->request);
    assert_false(call->done); /* never from inside */
}

static void until_done(struct pair *pair, struct call *call)
{
    harness_until(&pair->site.harness, is_true, &call->done);
}

static void assert_answer(struct pair *pair, const char *method, const char *path, const char *body,
                          int status, const char *answer)
{
    struct call call = {0};
    send_call(pair, &call, method, path, body);
    until_done(pair, &call);
    assert_string_equal(call.failure, "");
    assert_int_equal(call.request.status, status);
    assert_string_equal(call.answer, answer);
}

static void assert_failure(struct pair *pair, struct call *call, const char *path, const char *says,
                           bool unsent)
{
    send_call(pair, call, "GET", path, NULL);
    until_done(pair, call);
    assert_int_equal(call->request.status, 0);
    if (!strstr(call->failure, says))
        fail_msg("expected \"%s\", failed with \"%s\"", says, call->failure);
    assert_int_equal(call->request.unsent, unsent);
    assert_int_equal(call->request.answer_length, 0);
}

static void every_method_is_sent_with_what_belongs_to_it(void **state)
{
    (void)state;
    struct pair pair;
    pair_init(&pair);
    assert_answer(&pair, "GET", "/a?x=1", NULL, 200, "GET|/a|x=1|0||");
    assert_answer(&pair, "POST", "/b", "{}", 200, "POST|/b||2|{}|application/json");
    assert_answer(&pair, "POST", "/b", NULL, 200, "POST|/b||0||");
    assert_answer(&pair, "GET", "/a", NULL, 200, "GET|/a||0||");
    assert_answer(&pair, "PUT", "/c", "[1]", 200, "PUT|/c||3|[1]|application/json");
    assert_answer(&pair, "PATCH", "/c", "", 200, "PATCH|/c||0||application/json");
    assert_answer(&pair, "DELETE", "/d", NULL, 200, "DELETE|/d||0||");
    assert_answer(&pair, "DELETE", "/d", "1", 200, "DELETE|/d||1|1|application/json");
    assert_answer(&pair, "HEAD", "/a", NULL, 200, "");
    assert_answer(&pair, "GET", "/later", NULL, 200, "GET|/later||0||");
    assert_answer(&pair, "GET", "/empty", NULL, 204, "");
    assert_int_equal(open_connections(&pair.site), 1); /* one after the other, on one connection */
    pair_release(&pair);
}

static void paths_go_out_as_they_are(void **state)
{
    (void)state;
    struct pair pair;
    pair_init(&pair);
    assert_answer(&pair, "GET", "/a%2Fb/../c/./%00?q=%20&r", NULL, 200,
                  "GET|/a%2Fb/../c/./%00|q=%20&r|0||");
    char path[9000] = "/", answer[64];
    memset(path + 1, 'p', 2000);
    struct call call = {0};
    send_call(&pair, &call, "GET", path, NULL);
    until_done(&pair, &call);
    snprintf(answer, sizeof answer, "GET|/%.40s", path + 1);
    assert_memory_equal(call.answer, answer, strlen(answer));
    pair_release(&pair);
}

static char seen_headers[1024];

static void see_header(void *context, const char *name, const char *value)
{
    (void)context;
    snprintf(seen_headers + strlen(seen_headers), sizeof seen_headers - strlen(seen_headers),
             "%s=%s;", name, value);
}

static void headers_go_out_and_come_back_in_lower_case(void **state)
{
    (void)state;
    struct pair pair;
    pair_init(&pair);
    struct call call = {
        .request.headers = {{"Idempotency-Key", "k 1"}, {"Freehold-From", "orders/1"}, {"X", ""}}};
    send_call(&pair, &call, "POST", "/hold", "{}");
    until_held(&pair.site, 1);
    seen_headers[0] = '\0';
    http_request_headers(pair.site.held[0]->request, see_header, NULL);
    char expected[256];
    snprintf(expected, sizeof expected,
             "Host=127.0.0.1:%d;Content-Type=application/json;Idempotency-Key=k 1;"
             "Freehold-From=orders/1;X=;Freehold-Protocol=1;Content-Length=2;",
             pair.site.port);
    assert_string_equal(seen_headers, expected);
    struct http_header header = {"Freehold-Outcome", "Done: yes "};
    http_reply(pair.site.held[0]->request,
               &(struct http_answer){.status = 422,
                                     .content_type = "application/problem+json",
                                     .body = "{}",
                                     .body_length = 2,
                                     .headers = &header,
                                     .header_count = 1});
    until_done(&pair, &call);
    assert_int_equal(call.request.status, 422);
    assert_string_equal(call.type, "application/problem+json");
    pair_release(&pair);
}

static void large_bodies_go_both_ways_without_an_interim_answer(void **state)
{
    (void)state;
    struct pair pair;
    pair_init(&pair);
    char *body = malloc((1 << 20) + 1), expected[128];
    memset(body, 'x', 1 << 20);
    body[1 << 20] = '\0';
    struct call call = {0};
    send_call(&pair, &call, "POST", "/b", body);
    until_done(&pair, &call);
    snprintf(expected, sizeof expected, "POST|/b||1048576|%.64s|application/json", body);
    assert_string_equal(call.answer, expected);
    free(body);
    call = (struct call){0};
    send_call(&pair, &call, "GET", "/big?10000000", NULL);
    until_done(&pair, &call);
    assert_int_equal(call.request.status, 200);
    assert_int_equal(call.request.answer_length, 10000000);
    pair_release(&pair);
}

static void an_answer_is_bounded(void **state)
{
    (void)state;
    struct pair pair;
    pair_init(&pair);
    struct call call = {.request.answer_size_max = 1000};
    send_call(&pair, &call, "GET", "/big?1000", NULL);
    until_done(&pair, &call);
    assert_int_equal(call.request.answer_length, 1000);
    call = (struct call){.request.answer_size_max = 1000};
    assert_failure(&pair, &call, "/big?1001", "the answer is larger than 1000 bytes", false);
    call = (struct call){0};
    assert_failure(&pair, &call, "/big?16777217", "larger than 16777216 bytes", false);
    assert_answer(&pair, "GET", "/a", NULL, 200, "GET|/a||0||");
    pair_release(&pair);
}

struct all {
    struct call *calls;
    int count;
};

static bool all_done(void *argument)
{
    struct all *all = argument;
    for (int i = 0; i < all->count; i++)
        if (!all->calls[i].done)
            return false;
    return true;
}

static void a_thousand_requests_share_few_connections(void **state)
{
    (void)state;
    struct pair pair;
    pair_init(&pair);
    struct all all = {calloc(1000, sizeof(struct call)), 1000};
    char(*paths)[32] = calloc(1000, sizeof *paths);
    for (int i = 0; i < 1000; i++) {
        snprintf(paths[i], sizeof paths[i], i % 2 ? "/later?%d" : "/now?%d", i);
        send_call(&pair, &all.calls[i], "GET", paths[i], NULL);
    }
    harness_until(&pair.site.harness, all_done, &all);
    for (int i = 0; i < 1000; i++) {
        char expected[64];
        snprintf(expected, sizeof expected, i % 2 ? "GET|/later|%d|0||" : "GET|/now|%d|0||", i);
        assert_string_equal(all.calls[i].answer, expected);
    }
    assert_in_range(open_connections(&pair.site), 1, HTTP_CLIENT_CONNECTIONS_MAX);
    free(all.calls);
    free(paths);
    pair_release(&pair);
}

static void a_deadline_passes_while_the_server_is_silent(void **state)
{
    (void)state;
    struct pair pair;
    pair_init(&pair);
    struct world *world = pair.site.harness.world;
    int64_t deadline_ns = world_in_ms(world, 50);
    struct call late = {.request.deadline_ns = deadline_ns};
    struct call patient = {0};
    send_call(&pair, &patient, "GET", "/hold", NULL);
    assert_failure(&pair, &late, "/hold", "deadline passed", false);
    assert_true(late.done_ns >= deadline_ns);
    struct call over = {.request.deadline_ns = world_monotonic_ns(world)};
    assert_failure(&pair, &over, "/a", "deadline passed", true);
    assert_int_equal(pair.site.held_count, 2);
    reply_text(pair.site.held[0], 200, "a");
    reply_text(pair.site.held[1], 200, "b");
    until_done(&pair, &patient);
    assert_int_equal(patient.request.status, 200);
    pair_release(&pair);
}

static void requests_that_wait_for_a_connection_keep_their_deadlines(void **state)
{
    (void)state;
    struct pair pair;
    pair_init(&pair);
    enum { taken = HTTP_CLIENT_CONNECTIONS_MAX, count = taken + 16 };
    struct all all = {calloc(count, sizeof(struct call)), count};
    for (int i = 0; i < count; i++) {
        if (i >= taken)
            all.calls[i].request.deadline_ns = world_in_ms(pair.site.harness.world, 500);
        send_call(&pair, &all.calls[i], "GET", "/hold", NULL);
    }
    until_held(&pair.site, taken);
    struct all waiting = {all.calls + taken, count - taken};
    harness_until(&pair.site.harness, all_done, &waiting);
    assert_int_equal(pair.site.held_count, taken);
    for (int i = taken; i < count; i++) {
        assert_string_equal(all.calls[i].failure, "deadline passed");
        assert_true(all.calls[i].request.unsent);
    }
    for (int i = 0; i < taken; i++)
        reply_text(pair.site.held[i], 200, "now");
    harness_until(&pair.site.harness, all_done, &all);
    free(all.calls);
    pair_release(&pair);
}

static void what_cannot_be_sent_is_reported_with_the_reason(void **state)
{
    (void)state;
    struct pair pair;
    pair_init(&pair);
    int port;
    int fd = listen_anywhere(&port);
    close(fd); /* nobody listens there now */
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%d", port);
    http_client_set_address(pair.client, "gone", address);
    struct call call = {.request.service = "gone"};
    assert_failure(&pair, &call, "/a", "connection refused", true);
    call = (struct call){.request.service = "nobody"};
    assert_failure(&pair, &call, "/a", "no address is known for nobody", true);
    static const char *const paths[] = {"", "a", "/a b", "/a\r\nX: y", "/a#b", "/a\x7f"};
    for (size_t i = 0; i < COUNT(paths); i++) {
        call = (struct call){0};
        assert_failure(&pair, &call, paths[i], "the path", true);
    }
    call = (struct call){.request.headers = {{"X", "a\r\nY: b"}}};
    assert_failure(&pair, &call, "/a", "the header X", true);
    call = (struct call){.request.headers = {{"X Y", "a"}}};
    assert_failure(&pair, &call, "/a", "the header X Y", true);
    assert_int_equal(pair.site.taken, 0);
    /* A new address is used from the next request on. */
    snprintf(address, sizeof address, "127.0.0.1:%d", pair.site.port);
    http_client_set_address(pair.client, "gone", address);
    call = (struct call){.request.service = "gone"};
    send_call(&pair, &call, "GET", "/a", NULL);
    until_done(&pair, &call);
    assert_int_equal(call.request.status, 200);
    pair_release(&pair);
}

/* A peer that answers any request with `says`, and closes. */
struct liar {
    struct harness *harness;
    uv_poll_t poll;
    int listen_fd;
    const char *says;
    bool closed;
};

struct liar_connection {
    uv_poll_t poll;
    struct liar *liar;
    int fd;
};

static void on_liar_connection_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_liar_asked(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct liar_connection *connection = poll->data;
    char request[4096];
    if (recv(connection->fd, request, sizeof request, MSG_DONTWAIT) < 0)
        return;
    const char *says = connection->liar->says;
    (void)!send(connection->fd, says, strlen(says), MSG_NOSIGNAL);
    uv_close((uv_handle_t *)poll, on_liar_connection_closed);
    close(connection->fd);
}

static void on_liar_ready(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct liar *liar = poll->data;
    int fd = accept(liar->listen_fd, NULL, NULL);
    if (fd < 0)
        return;
    struct liar_connection *connection = calloc(1, sizeof *connection);
    connection->liar = liar;
    connection->fd = fd;
    uv_poll_init(&liar->harness->loop, &connection->poll, fd);
    connection->poll.data = connection;
    uv_poll_start(&connection->poll, UV_READABLE, on_liar_asked);
}

static void on_liar_closed(uv_handle_t *handle)
{
    *(bool *)handle->data = true;
}

static void broken_answers_are_failures(void **state)
{
    (void)state;
    static const struct {
        const char *says, *failure;
    } cases[] = {
        {"", "the connection was closed without an answer"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "closed in the middle of the answer"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "closed in the middle"},
        {"SSH-2.0-x\r\n", "what came is no HTTP answer"},
        {"HTTP/1.1 600 Beyond\r\nContent-Length: 2\r\n\r\n{}", "has the status 600"},
        {"HTTP/1.1 999 Beyond\r\nContent-Length: 0\r\n\r\n", "has the status 999"},
        {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nmore", "has the status 101"},
        {"HTTP/1.1 099 Below\r\nContent-Length: 0\r\n\r\n", "what came is no HTTP answer"},
    };
    struct pair pair;
    pair_init(&pair);
    struct liar liar = {.harness = &pair.site.harness};
    int port;
    char address[32];
    liar.listen_fd = listen_anywhere(&port);
    snprintf(address, sizeof address, "127.0.0.1:%d", port);
    http_client_set_address(pair.client, "liar", address);
    uv_poll_init(&pair.site.harness.loop, &liar.poll, liar.listen_fd);
    liar.poll.data = &liar;
    uv_poll_start(&liar.poll, UV_READABLE, on_liar_ready);
    for (size_t i = 0; i < COUNT(cases); i++) {
        liar.says = cases[i].says;
        struct call call = {.request.service = "liar"};
        assert_failure(&pair, &call, "/a", cases[i].failure, false);
    }
    char headers[8192] = "HTTP/1.1 200 OK\r\n";
    for (int i = 0; i < 65; i++)
        sprintf(headers + strlen(headers), "a%d: b\r\n", i);
    strcat(headers, "\r\n");
    liar.says = headers;
    struct call call = {.request.service = "liar"};
    assert_failure(&pair, &call, "/a", "more than 64 headers", false);
    liar.says = "HTTP/1.1 100 Continue\r\nX: 1\r\n\r\nHTTP/1.1 201 Created\r\nCONTENT-Type:a/b\r\n"
                "Content-Length: 2\r\n\r\nok";
    call = (struct call){.request.service = "liar"};
    send_call(&pair, &call, "GET", "/a", NULL);
    until_done(&pair, &call);
    assert_int_equal(call.request.status, 201);
    assert_string_equal(call.answer, "ok");
    assert_string_equal(call.type, "a/b");
    liar.poll.data = &liar.closed;
    uv_close((uv_handle_t *)&liar.poll, on_liar_closed);
    harness_until(&pair.site.harness, is_true, &liar.closed);
    close(liar.listen_fd);
    pair_release(&pair);
}

static void a_kept_connection_that_the_server_has_closed_is_replaced(void **state)
{
    (void)state;
    struct pair pair;
    pair_init(&pair);
    for (int i = 0; i < 3; i++) {
        assert_answer(&pair, "POST", "/a", "1", 200, "POST|/a||1|1|application/json");
        site_stop(&pair.site, 20000);
        site_serve(&pair.site, NULL);
    }
    assert_answer(&pair, "GET", "/a", NULL, 200, "GET|/a||0||");
    pair_release(&pair);
}

static void open_requests_fail_when_the_client_is_freed(void **state)
{
    (void)state;
    struct pair pair;
    pair_init(&pair);
    struct call sent[3] = {0}, queued = {0};
    for (int i = 0; i < 3; i++)
        send_call(&pair, &sent[i], "GET", "/hold", NULL);
    until_held(&pair.site, 3);
    send_call(&pair, &queued, "GET", "/a", NULL);
    http_client_free(pair.client);
    assert_true(queued.done);
    assert_true(queued.request.unsent);
    for (int i = 0; i < 3; i++) {
        assert_string_equal(sent[i].failure, "the client is closing");
        assert_false(sent[i].request.unsent);
        reply_text(pair.site.held[i], 200, "too late");
    }
    site_release(&pair.site);
}

static void outside_goes_by_url_and_to_public_addresses_only_unless_allowed(void **state)
{
    (void)state;
    struct pair pair;
    struct call asked[3] = {0};
    char url[64];
    pair_init(&pair);
    snprintf(url, sizeof url, "http://127.0.0.1:%d/hook?of=it", pair.site.port);
    for (size_t i = 0; i < COUNT(asked); i++)
        asked[i].request.url = url;
    send_call(&pair, &asked[0], "POST", NULL, "{}"); /* an internal client */
    until_done(&pair, &asked[0]);
    assert_non_null(strstr(asked[0].failure, "nothing outside"));
    http_client_free(pair.client);
    assert_int_equal(http_client_new(&pair.site.harness.loop, pair.site.harness.world, &pair.client,
                                     ERROR_UNHEEDED),
                     FH_OK);
    http_client_go_outside(pair.client, &(struct outside_rules){.plain = true});
    send_call(&pair, &asked[1], "POST", NULL, "{}");
    until_done(&pair, &asked[1]);
    assert_int_equal(asked[1].request.status, 0);
    assert_true(asked[1].request.unsent);
    assert_non_null(strstr(asked[1].failure, "public Internet"));
    http_client_free(pair.client);
    assert_int_equal(http_client_new(&pair.site.harness.loop, pair.site.harness.world, &pair.client,
                                     ERROR_UNHEEDED),
                     FH_OK);
    http_client_go_outside(pair.client, &(struct outside_rules){.anywhere = true, .plain = true});
    send_call(&pair, &asked[2], "POST", NULL, "{}");
    until_done(&pair, &asked[2]);
    assert_string_equal(asked[2].answer, "POST|/hook|of=it|2|{}|application/json");
    pair_release(&pair);
}

static void wait_for_answers(void *argument)
{
    struct pair *pair = argument;
    for (int i = 0; i < 50; i++) {
        struct world_request request = {.service = "site",
                                        .method = "GET",
                                        .path = "/later?x",
                                        .deadline_ns =
                                            world_in_ms(pair->site.harness.world, 60000)};
        world_request_wait(pair->site.harness.world, &request);
        if (request.status == 200 && strcmp(request.answer, "GET|/later|x|0||") == 0)
            done_count++;
        world_request_release(&request);
    }
}

static void fibers_wait_for_their_answers(void **state)
{
    (void)state;
    struct pair pair;
    pair_init(&pair);
    world_real_set_sender(pair.site.harness.world, http_client_send, pair.client);
    void *arguments[20];
    for (size_t i = 0; i < COUNT(arguments); i++)
        arguments[i] = &pair;
    done_count = 0;
    harness_run_all(&pair.site.harness, wait_for_answers, arguments, COUNT(arguments));
    assert_int_equal(done_count, 1000);
    world_real_set_sender(pair.site.harness.world, NULL, NULL);
    pair_release(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_is_sent_with_what_belongs_to_it),
        cmocka_unit_test(paths_go_out_as_they_are),
        cmocka_unit_test(headers_go_out_and_come_back_in_lower_case),
        cmocka_unit_test(large_bodies_go_both_ways_without_an_interim_answer),
        cmocka_unit_test(an_answer_is_bounded),
        cmocka_unit_test(a_thousand_requests_share_few_connections),
        cmocka_unit_test(a_deadline_passes_while_the_server_is_silent),
        cmocka_unit_test(requests_that_wait_for_a_connection_keep_their_deadlines),
        cmocka_unit_test(what_cannot_be_sent_is_reported_with_the_reason),
        cmocka_unit_test(broken_answers_are_failures),
        cmocka_unit_test(a_kept_connection_that_the_server_has_closed_is_replaced),
        cmocka_unit_test(open_requests_fail_when_the_client_is_freed),
        cmocka_unit_test(outside_goes_by_url_and_to_public_addresses_only_unless_allowed),
        cmocka_unit_test(fibers_wait_for_their_answers),
    };
    return cmocka_run_group_tests_name("http_client", tests, NULL, NULL);
}
