/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server answers, one outside (a webhook's, an issuer's) by libcurl and a service without
 * it: any bytes, and then the connection ends. The request ends once, with a status or a reason,
 * and what is passed on is within its bounds.
 */

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>

#include <uv.h>

#include "fuzz.h"
#include "http/client.h"
#include "world/real.h"

#define ANSWER_MAX ((size_t)1 << 10)
#define DEADLINE_MS 5000

struct outside {
    uv_loop_t loop;
    struct world *world;
    struct http_client *client;
    uv_tcp_t listener;
    char url[64];
    const uint8_t *data;
    size_t size;
    struct answering *open; /* connections */
    int done;
};

struct answering {
    uv_tcp_t tcp; /* must be first */
    struct answering *next;
    uv_write_t write;
    uv_shutdown_t shut;
    char buffer[4096];
};

static void connection_closed(uv_handle_t *handle)
{
    struct outside *outside = handle->data;
    struct answering **link = &outside->open;
    while (*link != (struct answering *)handle)
        link = &(*link)->next;
    *link = (*link)->next;
    free(handle);
}

static void give_answering_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    struct answering *answering = (struct answering *)handle;
    (void)suggested;
    *buffer = uv_buf_init(answering->buffer, sizeof answering->buffer);
}

static void request_came(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
    (void)buffer;
    if (length < 0 && !uv_is_closing((uv_handle_t *)stream))
        uv_close((uv_handle_t *)stream, connection_closed);
}

static void answer_sent(uv_write_t *write, int status)
{
    struct answering *answering = (struct answering *)write->handle;
    if (status == 0)
        uv_shutdown(&answering->shut, write->handle, NULL);
}

static void client_came(uv_stream_t *listener, int status)
{
    struct outside *outside = listener->data;
    struct answering *answering = calloc(1, sizeof *answering);
    FH_ASSERT(status == 0 && answering != NULL);
    uv_tcp_init(&outside->loop, &answering->tcp);
    answering->tcp.data = outside;
    answering->next = outside->open;
    outside->open = answering;
    FH_ASSERT(uv_accept(listener, (uv_stream_t *)&answering->tcp) == 0);
    uv_buf_t bytes = uv_buf_init((char *)(uintptr_t)outside->data, (unsigned)outside->size);
    uv_read_start((uv_stream_t *)&answering->tcp, give_answering_buffer, request_came);
    FH_ASSERT(uv_write(&answering->write, (uv_stream_t *)&answering->tcp, &bytes, 1, answer_sent) ==
              0);
}

static void outside_init(struct outside *outside)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int length = sizeof at;
    FH_ASSERT(uv_loop_init(&outside->loop) == 0);
    outside->world = world_real_new(&outside->loop, ERROR_UNHEEDED);
    FH_ASSERT(outside->world && http_client_new(&outside->loop, outside->world, &outside->client,
                                                ERROR_UNHEEDED) == FH_OK);
    http_client_go_outside(outside->client,
                           &(struct outside_rules){.anywhere = true, .plain = true});
    uv_tcp_init(&outside->loop, &outside->listener);
    outside->listener.data = outside;
    FH_ASSERT(uv_tcp_bind(&outside->listener, (struct sockaddr *)&at, 0) == 0 &&
              uv_listen((uv_stream_t *)&outside->listener, 8, client_came) == 0 &&
              uv_tcp_getsockname(&outside->listener, (struct sockaddr *)&at, &length) == 0);
    snprintf(outside->url, sizeof outside->url, "http://127.0.0.1:%d/hook", ntohs(at.sin_port));
    char address[32];
    snprintf(address, sizeof address, "127.0.0.1:%d", ntohs(at.sin_port));
    http_client_set_address(outside->client, "service", address);
}

static void has_ended(struct world_request *request)
{
    struct outside *outside = request->owner;
    outside->done++;
    if (request->status == 0) {
        FH_ASSERT(request->failure && request->failure[0]);
        return;
    }
    FH_ASSERT(request->status >= 100 && request->status <= 999);
    FH_ASSERT(request->answer_length <= ANSWER_MAX);
    for (size_t i = 0; i < request->answer_header_count; i++) {
        const struct world_header *header = &request->answer_headers[i];
        for (const char *c = header->name; *c; c++)
            FH_ASSERT(*c < 'A' || *c > 'Z');
        FH_ASSERT(!strchr(header->value, '\n'));
    }
}

/* `request` says where it goes. */
static void ask_once(struct outside *outside, struct world_request request)
{
    request.method = "POST";
    request.body = "{}";
    request.body_length = 2;
    request.answer_size_max = ANSWER_MAX;
    request.deadline_ns = world_in_ms(outside->world, DEADLINE_MS);
    request.done = has_ended;
    request.owner = outside;
    outside->done = 0;
    http_client_send(outside->client, &request);
    while (!outside->done)
        uv_run(&outside->loop, UV_RUN_ONCE);
    /* It may keep the connection for its next request. */
    for (struct answering *at = outside->open; at; at = at->next) {
        if (!uv_is_closing((uv_handle_t *)&at->tcp))
            uv_close((uv_handle_t *)&at->tcp, connection_closed);
    }
    while (outside->open)
        uv_run(&outside->loop, UV_RUN_ONCE);
    FH_ASSERT(outside->done == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct outside outside;
    fuzz_start();
    if (!outside.world)
        outside_init(&outside);
    outside.data = data;
    outside.size = size;
    ask_once(&outside, (struct world_request){.url = outside.url});
    ask_once(&outside, (struct world_request){.service = "service", .path = "/hook"});
    return 0;
}
