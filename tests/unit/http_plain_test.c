/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client without libcurl: what bytes become as an answer, however they are parted, and which
 * connections are used again. What both ways of sending have in common: http_client_test.c.
 */

#define _GNU_SOURCE
#include <fcntl.h>

#include "http/transfer.h"
#include "http_support.h"

/* ---- Answers ---- */

#define OK "HTTP/1.1 200 OK\r\n"
#define NO "what came is no HTTP answer"
#define CUT "the connection was closed in the middle of the answer"
#define CHUNKED OK "Transfer-Encoding: chunked\r\n\r\n"

static const struct answer_case {
    const char *bytes;
    int status;
    const char *result; /* the body, or why there is none (status 0) */
    size_t left;        /* bytes that are not the answer's */
    bool is_head;
} cases[] = {
    {OK "Content-Length: 2\r\n\r\nok", 200, "ok"},
    {OK "Content-Length: 0\r\n\r\n", 200, ""},
    {OK "Content-Length: 2\r\n\r\nokHTTP/1.1 200", 200, "ok", .left = 12},
    {OK "Content-Length: 2\r\n\r\n", 200, "", .is_head = true},
    {OK "\r\nuntil it closes", 200, "until it closes"},
    {"HTTP/1.0 200 OK\r\n\r\nold", 200, "old"},
    {"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx", 200, "x"},
    {"HTTP/1.1 204 No Content\r\n\r\nX", 204, "", .left = 1},
    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, ""},
    {CHUNKED "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", 200, "abcde"},
    {CHUNKED "1\r\na\r\n0\r\nX: trailer\r\n\r\nmore", 200, "a", .left = 4},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nX: y\r\n\r\n" OK
     "Content-Length: 1\r\n\r\nx",
     200, "x"},
    {"HTTP/1.1 103 Early\r\nTransfer-Encoding: chunked\r\n\r\n" OK "\r\nit closes", 200,
     "it closes"},
    {"", 0, "the connection was closed without an answer"},
    {"HTTP/1.1 200 OK\r\nX", 0, CUT},
    {OK "Content-Length: 3\r\n\r\nab", 0, CUT},
    {CHUNKED "3\r\nabc\r\n", 0, CUT},
    {"SSH-2.0-x\r\n", 0, NO},
    {"\r\n" OK "\r\n", 0, NO},
    {"HTTP/2 200 OK\r\n\r\n", 0, NO},
    {"HTTP/1.1  200 OK\r\n\r\n", 0, NO},
    {"HTTP/1.1 20 OK\r\n\r\n", 0, NO},
    {"HTTP/1.1 2000 OK\r\n\r\n", 0, NO},
    {"HTTP/1.1 200 O\x01K\r\n\r\n", 0, NO},
    {"HTTP/1.1 099 Low\r\n\r\n", 0, NO},
    {"HTTP/1.1 101 Switching\r\n\r\n", 0, "the answer has the status 101: expected 200 to 599"},
    {"HTTP/1.1 600 High\r\n\r\n", 0, "the answer has the status 600: expected 200 to 599"},
    {"HTTP/1.1 200 OK\n\n", 0, "the answer has a line that does not end with CR LF"},
    {OK "X: y\n\r\n", 0, "the answer has a line that does not end with CR LF"},
    {OK "X: y\r\n folded\r\n\r\n", 0,
     "the answer has a header without a name, or one that is folded"},
    {OK "X : y\r\n\r\n", 0, "the answer has a header without a name, or one that is folded"},
    {OK "X: \x01\r\n\r\n", 0, "the answer has control characters in its header X"},
    {OK "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", 0,
     "the answer says twice where it ends"},
    {OK "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 0,
     "the answer says twice where it ends"},
    {OK "Content-Length: +1\r\n\r\nx", 0, "the answer's Content-Length is not a number"},
    {OK "Content-Length: 101\r\n\r\n", 0, "the answer is larger than 100 bytes"},
    {OK "Content-Length: 99999999999999999999\r\n\r\n", 0, "the answer is larger than 100 bytes"},
    {OK "Transfer-Encoding: gzip\r\n\r\n", 0,
     "the answer has a Transfer-Encoding other than chunked"},
    {CHUNKED "x\r\n", 0, "the chunks of the answer's body are malformed"},
    {CHUNKED "0\r\nContent-Length: 9\r\n\r\n", 0, "the chunks of the answer's body are malformed"},
    {CHUNKED "fffffffffffffff\r\n"
             "01234567890123456789012345678901234567890123456789"
             "012345678901234567890123456789012345678901234567890",
     0, "the answer is larger than 100 bytes"},
};

/* Hands over the bytes in `pieces` of at most `size`, the first of them of `first`. */
static void read_case(struct http_client *client, const struct answer_case *each, size_t first,
                      size_t size)
{
    struct world_request request = {.method = each->is_head ? "HEAD" : "GET"};
    struct transfer *transfer = transfer_new(client);
    size_t length = strlen(each->bytes), at = 0, used = 0;
    enum read_result result = READ_MORE;
    transfer->request = &request;
    transfer->answer.length_max = 100;
    for (size_t part = first; at < length && result == READ_MORE; part = size) {
        part = part < length - at ? part : length - at;
        char *copy = malloc(part); /* so that reading beyond it is found */
        memcpy(copy, each->bytes + at, part);
        result = plain_answer_read(transfer, copy, part, &used);
        free(copy);
        at += used;
        assert_true(result != READ_MORE || used == part);
    }
    if (result == READ_MORE)
        plain_answer_end(transfer);
    transfer_fill_in(transfer);
    assert_int_equal(request.status, each->status);
    if (each->status) {
        assert_int_equal(request.answer_length, strlen(each->result));
        assert_memory_equal(request.answer, each->result, request.answer_length);
        assert_int_equal(length - at, each->left);
    } else {
        assert_string_equal(request.failure, each->result);
    }
    transfer_free(transfer);
}

static void answers_mean_the_same_however_they_are_parted(void **state)
{
    (void)state;
    struct harness harness;
    struct http_client *client;
    harness_init(&harness);
    assert_int_equal(http_client_new(&harness.loop, harness.world, &client, ERROR_UNHEEDED), FH_OK);
    for (size_t i = 0; i < COUNT(cases); i++) {
        read_case(client, &cases[i], 1, 1);
        for (size_t first = 1; first <= strlen(cases[i].bytes); first++)
            read_case(client, &cases[i], first, SIZE_MAX);
        read_case(client, &cases[i], SIZE_MAX, SIZE_MAX);
    }
    http_client_free(client);
    harness_release(&harness);
}

static void a_head_without_end_is_refused(void **state)
{
    (void)state;
    struct harness harness;
    struct http_client *client;
    harness_init(&harness);
    assert_int_equal(http_client_new(&harness.loop, harness.world, &client, ERROR_UNHEEDED), FH_OK);
    static const char *const parts[] = {"x", "HTTP/1.1 100 Continue\r\n\r\n"};
    for (size_t i = 0; i < COUNT(parts); i++) {
        struct world_request request = {.method = "GET"};
        struct transfer *transfer = transfer_new(client);
        size_t used, length = strlen(parts[i]);
        enum read_result result = READ_MORE;
        transfer->request = &request;
        if (i == 0)
            plain_answer_read(transfer, OK, strlen(OK), &used);
        for (int n = 0; n < 300000 && result == READ_MORE; n++)
            result = plain_answer_read(transfer, parts[i], length, &used);
        assert_int_equal(result, READ_REFUSED);
        assert_non_null(strstr(transfer->failure, "headers are larger than"));
        transfer_free(transfer);
    }
    http_client_free(client);
    harness_release(&harness);
}

/* ---- Requests ---- */

static void a_head_is_sent_whole_or_not_at_all(void **state)
{
    (void)state;
    struct harness harness;
    struct http_client *client;
    int whole = 0;
    char *value = calloc(1, SENT_LENGTH_MAX + 1);
    harness_init(&harness);
    assert_int_equal(http_client_new(&harness.loop, harness.world, &client, ERROR_UNHEEDED), FH_OK);
    memset(value, 'v', SENT_LENGTH_MAX - 200);
    for (int i = 0; i < 200; i++) {
        struct world_request request = {.service = "peer", .method = "POST", .path = "/a"};
        struct transfer *transfer = transfer_new(client);
        request.headers[0] = (struct world_header){"X", value};
        request.body = "X: these are no headers\r\n\r\n";
        request.body_length = strlen(request.body);
        transfer->request = &request;
        if (transfer_write(transfer, "127.0.0.1:1")) {
            const struct text *sent = &transfer->sent;
            assert_string_equal(sent->data + sent->length - 22, "Content-Length: 27\r\n\r\n");
            whole++;
        } else {
            assert_non_null(strstr(transfer->failure, "headers are larger than"));
        }
        transfer_free(transfer);
        strcat(value, "v");
    }
    assert_in_range(whole, 1, 199);
    free(value);
    http_client_free(client);
    harness_release(&harness);
}

/* ---- Connections ---- */

/* Takes connections one after the other, and answers each request with `says`. */
struct peer {
    struct harness harness;
    struct http_client *client;
    int listen_fd, fd; /* fd -1: no connection yet */
    int taken;
    bool done;
    int status;
    char failure[64];
};

static void peer_init(struct peer *peer)
{
    int port;
    char address[32];
    harness_init(&peer->harness);
    peer->listen_fd = listen_anywhere(&port);
    fcntl(peer->listen_fd, F_SETFL, fcntl(peer->listen_fd, F_GETFL) | O_NONBLOCK);
    peer->fd = -1;
    snprintf(address, sizeof address, "127.0.0.1:%d", port);
    assert_int_equal(
        http_client_new(&peer->harness.loop, peer->harness.world, &peer->client, ERROR_UNHEEDED),
        FH_OK);
    http_client_set_address(peer->client, "peer", address);
}

static void peer_release(struct peer *peer)
{
    http_client_free(peer->client);
    if (peer->fd >= 0)
        close(peer->fd);
    close(peer->listen_fd);
    harness_release(&peer->harness);
}

static void on_peer_done(struct world_request *request)
{
    struct peer *peer = request->owner;
    peer->done = true;
    peer->status = request->status;
    snprintf(peer->failure, sizeof peer->failure, "%s", request->failure ? request->failure : "");
}

static bool is_peer_taken(void *argument)
{
    struct peer *peer = argument;
    char bytes[256];
    int fd = accept4(peer->listen_fd, NULL, NULL, SOCK_NONBLOCK);
    if (fd >= 0) {
        if (peer->fd >= 0)
            close(peer->fd);
        peer->fd = fd;
        peer->taken++;
    }
    return peer->fd >= 0 && recv(peer->fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0;
}

/* Until the peer has read it. */
static void begin_to_ask(struct peer *peer, struct world_request *request)
{
    request->service = "peer";
    request->path = "/a";
    request->deadline_ns = world_in_ms(peer->harness.world, 60000);
    request->done = on_peer_done;
    request->owner = peer;
    peer->done = false;
    http_client_send(peer->client, request);
    harness_until(&peer->harness, is_peer_taken, peer);
}

static void ask_peer(struct peer *peer, struct world_request request, const char *says)
{
    begin_to_ask(peer, &request);
    assert_int_equal(send(peer->fd, says, strlen(says), MSG_NOSIGNAL), strlen(says));
    harness_until(&peer->harness, is_true, &peer->done);
}

static void only_a_connection_at_rest_is_used_again(void **state)
{
    (void)state;
    static const struct {
        const char *says;
        bool again;
    } answers[] = {
        {OK "Content-Length: 2\r\n\r\nok", true},
        {OK "Content-Length: 2\r\nConnection: keep-alive\r\n\r\nok", true},
        {CHUNKED "0\r\n\r\n", true},
        {"HTTP/1.1 204 No Content\r\n\r\n", true},
        {OK "Content-Length: 2\r\nConnection: x, Close\r\n\r\nok", false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", false},
        {OK "Content-Length: 2\r\n\r\nok" OK "Content-Length: 4\r\n\r\nlies", false},
        {"HTTP/1.1 204 No Content\r\n\r\nx", false},
        {OK "X: \x01\r\n\r\n", false},
    };
    struct peer peer = {0};
    peer_init(&peer);
    int expected = 1;
    for (size_t i = 0; i < COUNT(answers); i++) {
        ask_peer(&peer, (struct world_request){.method = "GET"}, answers[i].says);
        assert_int_equal(peer.taken, expected);
        expected += !answers[i].again;
    }
    peer_release(&peer);
}

static void the_room_of_a_former_answer_is_none_beyond_the_bound(void **state)
{
    (void)state;
    struct peer peer = {0};
    char large[20000] = OK "Content-Length: 19950\r\n\r\n";
    const size_t head = strlen(large);
    memset(large + head, 'x', 19950);
    large[head + 19950] = '\0';
    peer_init(&peer);
    ask_peer(&peer, (struct world_request){.method = "GET"}, large);
    assert_int_equal(peer.status, 200);
    ask_peer(&peer, (struct world_request){.method = "GET", .answer_size_max = 9},
             CHUNKED "a\r\n0123456789\r\n0\r\n\r\n");
    assert_string_equal(peer.failure, "the answer is larger than 9 bytes");
    peer_release(&peer);
}

static void an_answer_before_the_request_is_sent_ends_it_and_its_connection(void **state)
{
    (void)state;
    const size_t length = (size_t)32 << 20; /* more than the kernel's buffers take */
    char *body = malloc(length);
    struct peer peer = {0};
    memset(body, 'x', length);
    peer_init(&peer);
    struct world_request large = {.method = "POST", .body = body, .body_length = length};
    ask_peer(&peer, large, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(peer.status, 413);
    close(peer.fd); /* where the rest of the body is */
    peer.fd = -1;
    ask_peer(&peer, (struct world_request){.method = "GET"}, "HTTP/1.1 204 None\r\n\r\n");
    assert_int_equal(peer.status, 204);
    assert_int_equal(peer.taken, 2);
    free(body);
    peer_release(&peer);
}

/* The loop tells of an error but once, together with what has come before it. */
static void an_answer_that_a_reset_cuts_off_has_failed_at_once(void **state)
{
    (void)state;
    const struct linger at_once = {.l_onoff = 1};
    const char *part = OK "Content-Length: 3\r\n\r\nab";
    struct peer peer = {0};
    peer_init(&peer);
    struct world_request request = {.method = "GET"};
    begin_to_ask(&peer, &request);
    assert_int_equal(send(peer.fd, part, strlen(part), MSG_NOSIGNAL), strlen(part));
    setsockopt(peer.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(peer.fd);
    peer.fd = -1;
    harness_until(&peer.harness, is_true, &peer.done);
    assert_string_equal(peer.failure, "connection reset by peer");
    peer_release(&peer);
}

static void count_answer(struct world_request *request)
{
    int *answers = request->owner;
    *answers += request->status == 204;
}

struct crowd {
    struct peer peer;
    int fds[HTTP_CLIENT_CONNECTIONS_MAX + 1];
    int wanted, answers;
};

static bool are_taken(void *argument)
{
    struct crowd *crowd = argument;
    int fd = accept4(crowd->peer.listen_fd, NULL, NULL, SOCK_NONBLOCK);
    if (fd >= 0)
        crowd->fds[crowd->peer.taken++] = fd;
    return crowd->peer.taken == crowd->wanted;
}

static bool is_answered(void *argument)
{
    const struct crowd *crowd = argument;
    return crowd->answers > 0;
}

static bool all_answered(void *argument)
{
    const struct crowd *crowd = argument;
    return crowd->answers == HTTP_CLIENT_CONNECTIONS_MAX + 1;
}

/* As a kept one is looked at before it is used again. */
static void who_waits_is_not_sent_on_a_connection_that_has_ended(void **state)
{
    (void)state;
    static const char answer[] = "HTTP/1.1 204 None\r\n\r\n";
    static struct world_request requests[HTTP_CLIENT_CONNECTIONS_MAX + 1];
    static struct crowd crowd;
    struct peer *peer = &crowd.peer;
    peer_init(peer);
    for (int i = 0; i <= HTTP_CLIENT_CONNECTIONS_MAX; i++) {
        requests[i] = (struct world_request){.service = "peer",
                                             .method = "POST",
                                             .path = "/a",
                                             .deadline_ns = world_in_ms(peer->harness.world, 60000),
                                             .done = count_answer,
                                             .owner = &crowd.answers};
        http_client_send(peer->client, &requests[i]);
    }
    crowd.wanted = HTTP_CLIENT_CONNECTIONS_MAX;
    harness_until(&peer->harness, are_taken, &crowd);
    send(crowd.fds[0], answer, strlen(answer), MSG_NOSIGNAL);
    shutdown(crowd.fds[0], SHUT_WR);
    harness_until(&peer->harness, is_answered, &crowd);
    crowd.wanted++;
    harness_until(&peer->harness, are_taken, &crowd);
    for (int i = 1; i <= HTTP_CLIENT_CONNECTIONS_MAX; i++)
        send(crowd.fds[i], answer, strlen(answer), MSG_NOSIGNAL);
    harness_until(&peer->harness, all_answered, &crowd);
    for (int i = 0; i <= HTTP_CLIENT_CONNECTIONS_MAX; i++)
        close(crowd.fds[i]);
    peer_release(peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_mean_the_same_however_they_are_parted),
        cmocka_unit_test(a_head_without_end_is_refused),
        cmocka_unit_test(a_head_is_sent_whole_or_not_at_all),
        cmocka_unit_test(only_a_connection_at_rest_is_used_again),
        cmocka_unit_test(the_room_of_a_former_answer_is_none_beyond_the_bound),
        cmocka_unit_test(an_answer_before_the_request_is_sent_ends_it_and_its_connection),
        cmocka_unit_test(an_answer_that_a_reset_cuts_off_has_failed_at_once),
        cmocka_unit_test(who_waits_is_not_sent_on_a_connection_that_has_ended),
    };
    return cmocka_run_group_tests_name("http_plain", tests, NULL, NULL);
}
