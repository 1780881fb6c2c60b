/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server: libmicrohttpd in its external-epoll mode, inside the libuv loop.
 *
 * The loop polls the library's epoll descriptor; when it is readable, MHD_run does what is due. A
 * complete request is handed over from inside MHD_run. If the handler has replied by the time it
 * returns, the answer is sent at once; otherwise the connection is suspended, and http_reply
 * resumes it. Only the next MHD_run attends to a resumed connection, so the first reply posts a
 * turn, and one MHD_run before the loop sleeps serves all replies made until then.
 *
 *     reading -> handing -> answered           (the handler replied at once)
 *                handing -> parked -> answered (later; the client may be gone by then, which is
 *                                               noticed only when the answer is written)
 *
 * Time: the library closes silent connections; awaited.c cuts off those that trickle. At the limit
 * of connections the one that has been awaited longest gives way, so that idle ones keep nobody
 * out.
 *
 * Drain: the listening socket is released (never closed here). Clients that have just connected or
 * begun a request are still answered. Answers carry "Connection: close". After the grace period the
 * server itself answers the remaining requests with 503. MHD_stop_daemon aborts the process if a
 * connection is suspended, so none is when it is called.
 *
 * Some requests are refused by the library before it calls us, with an HTML page that this version
 * can't replace: a request line or header line without the expected separators, an unknown HTTP
 * version (505), a Content-Length that is not a number, a malformed chunk, and a head of more than
 * twice the limit (431). Smaller heads are read, and refused by request.c. The library silently
 * drops a header line that has nothing before its ':'.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "http/request.h"

/* While draining: how long to wait for requests that are just arriving. */
#define BEGINNING_MS_MAX 1000
/* How many times in a row MHD_run is called while it has work left, before others on the loop get a
 * turn: a resumed connection takes two. */
#define RUN_ROUNDS_MAX 4
/* After this many runs that left work due at once, look for stuck connections. */
#define SPINS_MAX 64
#define UNTRUSTED "This takes requests from the system's own processes only, by their certificates."

struct http_server {
    uv_loop_t *loop;
    struct world *world;
    struct http_limits limits;
    struct http_handler handler;
    struct MHD_Daemon *daemon;
    uv_poll_t poll;
    uv_timer_t timer;
    uint64_t timer_due_ms;
    int open_handles;
    struct world_turn turn;
    struct http_awaited awaited;
    struct http_linger linger;
    struct http_request *handed_first;
    unsigned connections, unanswered, unsent;
    bool closed;    /* a connection was closed in this run */
    bool mutual;    /* clients need a certificate */
    unsigned spins; /* runs in a row after which the library had work left due at once */
    bool draining, freed;
    struct world_timer grace, beginning;
    bool grace_over, beginning_over;
    void (*drained)(void *);
    void *drained_context;
};

/* ---- Running the library ---- */

static void on_server_timer(uv_timer_t *timer);

static void arm_timer(struct http_server *server, bool native_due, uint64_t native_left_ms)
{
    uint64_t now_ms = uv_now(server->loop), due_ms = UINT64_MAX;
    if (native_due)
        due_ms = now_ms + native_left_ms;
    uint64_t cut_off_ms = awaited_due_ms(&server->awaited);
    if (cut_off_ms < due_ms)
        due_ms = cut_off_ms;
    /* Deadlines move with every request. A timer that fires too early is simply armed again. */
    if (due_ms == UINT64_MAX)
        uv_timer_stop(&server->timer);
    else if (!uv_is_active((uv_handle_t *)&server->timer) || due_ms < server->timer_due_ms) {
        server->timer_due_ms = due_ms;
        /* Never 0: libuv would run it in the same turn, before any descriptor, again and again. */
        uv_timer_start(&server->timer, on_server_timer, due_ms > now_ms ? due_ms - now_ms : 1, 0);
    }
}

static bool is_drained(const struct http_server *server)
{
    if (server->grace_over)
        return true;
    return server->unsent == 0 && (server->beginning_over || !awaited_begins(&server->awaited));
}

/* Must be the last call of a callback: `drained` may free the server. */
static void run_server(struct http_server *server)
{
    MHD_UNSIGNED_LONG_LONG left_ms = 0;
    bool due = true;
    for (int round = 0; round < RUN_ROUNDS_MAX && due && left_ms == 0; round++) {
        server->closed = false;
        MHD_run(server->daemon);
        due = MHD_get_timeout(server->daemon, &left_ms) == MHD_YES;
        if (server->closed) {
            /* At its limit of connections the library accepts again only from its next run on. */
            due = true;
            left_ms = 0;
        }
    }
    server->spins = due && left_ms == 0 ? server->spins + 1 : 0;
    arm_timer(server, due, left_ms);
    if (server->drained && is_drained(server)) {
        void (*drained)(void *) = server->drained;
        server->drained = NULL;
        world_timer_stop(server->world, &server->grace);
        world_timer_stop(server->world, &server->beginning);
        drained(server->drained_context);
    }
}

static void on_server_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    run_server(poll->data);
}

static void on_server_timer(uv_timer_t *timer)
{
    struct http_server *server = timer->data;
    awaited_cut_off(&server->awaited, uv_now(server->loop));
    if (server->spins >= SPINS_MAX) {
        server->spins = 0;
        awaited_cut_off_stuck(&server->awaited);
    }
    run_server(server);
}

static void server_turn(struct world_turn *turn)
{
    struct http_server *server = turn->owner;
    if (!server->freed)
        run_server(server);
}

/* ---- What the library calls ---- */

static struct http_connection *connection_of(struct MHD_Connection *native)
{
    return MHD_get_connection_info(native, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static void on_connection(void *context, struct MHD_Connection *native, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http_server *server = context;
    struct http_connection *connection = *socket_context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        connection = calloc(1, sizeof *connection);
        *socket_context = connection;
        if (!connection)
            return; /* on_request finds out */
        connection->server = server;
        connection->native = native;
        server->connections++;
        awaited_append(&server->awaited, connection, false, uv_now(server->loop));
        if (server->connections >= server->limits.connections_max)
            awaited_give_way(&server->awaited, connection);
    } else if (connection) {
        awaited_remove(&server->awaited, connection);
        server->connections--;
        server->closed = true;
        free(connection->target);
        free(connection);
        *socket_context = NULL;
    }
}

/* The request line has arrived: keeps its target before the library decodes it in place. */
static void *on_target(void *context, const char *target, struct MHD_Connection *native)
{
    struct http_server *server = context;
    struct http_connection *connection = connection_of(native);
    if (connection) {
        awaited_append(&server->awaited, connection, true, uv_now(server->loop));
        if (!connection_keep_target(connection, target ? target : "") && connection->target)
            connection->target[0] = '\0'; /* refused: not a path */
    }
    return NULL;
}

static enum MHD_Result refuse_request(struct http_server *server, struct MHD_Connection *native,
                                      const struct http_refusal *refusal)
{
    if (!refusal->status)
        return MHD_NO;
    if (request_has_body(native))
        return linger_refuse(&server->linger, server->loop, native, refusal);
    struct MHD_Response *response = answer_problem(refusal->type, refusal->detail, true);
    if (!response)
        return MHD_NO;
    enum MHD_Result queued = MHD_queue_response(native, (unsigned)refusal->status, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result give_answer(struct http_request *request)
{
    struct MHD_Response *response = request->response;
    if (!response)
        return MHD_NO; /* out of memory */
    request->response = NULL;
    request->phase = REQUEST_ANSWERED;
    enum MHD_Result queued =
        MHD_queue_response(request->native, (unsigned)request->status, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result hand_request_over(struct http_server *server, struct http_request *request)
{
    awaited_remove(&server->awaited, connection_of(request->native));
    request->incoming.received_ns = world_monotonic_ns(server->world);
    request->next = server->handed_first;
    if (request->next)
        request->next->previous = request;
    server->handed_first = request;
    server->unanswered++;
    server->unsent++;
    request->phase = REQUEST_HANDING;
    server->handler.incoming(server->handler.context, &request->incoming);
    if (request->replied)
        return give_answer(request);
    request->phase = REQUEST_PARKED;
    MHD_suspend_connection(request->native);
    return MHD_YES;
}

static bool is_trusted(struct http_connection *connection)
{
    if (connection->server->mutual && !connection->trusted)
        connection->trusted = tls_peer_is_trusted(connection->native);
    return !connection->server->mutual || connection->trusted;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *native, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *data_length, void **native_context)
{
    (void)url;
    struct http_server *server = context;
    struct http_request *request = *native_context;
    struct http_refusal refusal;
    if (!request) {
        struct http_connection *connection = connection_of(native);
        if (!connection || !connection->target)
            return MHD_NO;
        if (!is_trusted(connection)) {
            refusal = (struct http_refusal){
                .type = PROBLEM_CLIENT_UNTRUSTED, .status = 403, .detail = UNTRUSTED};
            return refuse_request(server, native, &refusal);
        }
        request = request_new(connection, method, version, &server->limits, &refusal);
        *native_context = request;
        return request ? MHD_YES : refuse_request(server, native, &refusal);
    }
    if (*data_length) {
        connection_of(native)->stuck = false;
        /* The library accepts no answer in the middle of a body. */
        if (!request_take_body(request, data, *data_length, &server->limits, &refusal))
            return linger_refuse(&server->linger, server->loop, native, &refusal);
        *data_length = 0;
        return MHD_YES;
    }
    return request->phase == REQUEST_READING ? hand_request_over(server, request)
                                             : give_answer(request);
}

static void handed_remove(struct http_request *request)
{
    if (request->previous)
        request->previous->next = request->next;
    else
        request->server->handed_first = request->next;
    if (request->next)
        request->next->previous = request->previous;
}

/* The answer was sent, or the connection is gone. */
static void on_completed(void *context, struct MHD_Connection *native, void **native_context,
                         enum MHD_RequestTerminationCode code)
{
    (void)code;
    struct http_server *server = context;
    struct http_request *request = *native_context;
    struct http_connection *connection = connection_of(native);
    *native_context = NULL;
    if (connection) {
        connection->used = true;
        awaited_append(&server->awaited, connection, false, uv_now(server->loop));
    }
    if (!request)
        return;
    request->native = NULL;
    if (request->phase == REQUEST_READING) {
        request_free(request);
        return;
    }
    server->unsent--;
    if (request->replied) {
        handed_remove(request);
        request_free(request);
    }
}

/* ---- Replies ---- */

static void resume_request(struct http_request *request)
{
    MHD_resume_connection(request->native);
    world_turn(request->server->world, &request->server->turn);
}

void http_reply(struct http_request *request, const struct http_answer *answer)
{
    FH_ASSERT(!request->replied);
    struct http_server *server = request->server;
    request->replied = true;
    if (request->virtual_replied) {
        request->virtual_replied(request->virtual_context, answer);
        request_free(request);
        return;
    }
    if (request->abandoned) {
        if (request->native)
            return; /* its 503 is being sent; on_completed frees it */
        if (server)
            handed_remove(request);
        request_free(request);
        return;
    }
    server->unanswered--;
    request->response = answer_new(answer, server->draining, &request->status);
    if (request->phase == REQUEST_PARKED)
        resume_request(request);
}

void http_server_load(const struct http_server *server, unsigned *ret_requests,
                      unsigned *ret_connections)
{
    *ret_requests = server->unanswered;
    *ret_connections = server->connections;
}

/* ---- Drain ---- */

static void abandon_unanswered(struct http_server *server)
{
    for (struct http_request *request = server->handed_first; request; request = request->next) {
        if (request->replied || request->abandoned)
            continue;
        request->abandoned = true;
        server->unanswered--;
        request->status = 503;
        request->response =
            answer_problem(PROBLEM_SERVICE_STOPPING,
                           "The service is stopping, and did not get to this request.", true);
        resume_request(request);
    }
}

static void on_grace_over(struct world_timer *timer)
{
    struct http_server *server = timer->owner;
    abandon_unanswered(server);
    server->grace_over = true;
    run_server(server);
}

static void on_beginning_over(struct world_timer *timer)
{
    struct http_server *server = timer->owner;
    server->beginning_over = true;
    run_server(server);
}

void http_server_drain(struct http_server *server, int grace_ms, void (*drained)(void *),
                       void *context)
{
    FH_ASSERT(!server->draining && drained);
    server->draining = true;
    server->drained = drained;
    server->drained_context = context;
    MHD_quiesce_daemon(server->daemon);
    world_timer_start(server->world, &server->grace, world_in_ms(server->world, grace_ms));
    world_timer_start(server->world, &server->beginning,
                      world_in_ms(server->world, BEGINNING_MS_MAX));
    world_turn(server->world, &server->turn);
}

static void on_server_closed(uv_handle_t *handle)
{
    struct http_server *server = handle->data;
    if (--server->open_handles == 0)
        free(server);
}

void http_server_free(struct http_server *server)
{
    if (!server)
        return;
    FH_ASSERT(server->draining && !server->drained);
    server->freed = true;
    linger_end(&server->linger);
    abandon_unanswered(server);
    /* Only this call takes resumed connections off the suspended list. */
    MHD_run(server->daemon);
    uv_poll_stop(&server->poll); /* before the library closes its descriptor */
    MHD_stop_daemon(server->daemon);
    for (struct http_request *request = server->handed_first; request; request = request->next)
        request->server = NULL;
    uv_close((uv_handle_t *)&server->poll, on_server_closed);
    uv_close((uv_handle_t *)&server->timer, on_server_closed);
}

/* ---- Start ---- */

static struct MHD_Daemon *daemon_start(struct http_server *server, int listen_fd,
                                       const struct http_tls *tls)
{
    struct MHD_OptionItem secure[TLS_OPTIONS];
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | tls_options(tls, secure);
    server->mutual = flags & MHD_USE_TLS && tls->trusted;
    /* A connection's memory holds the head twice (the raw text and the library's list) and the
     * answer's headers. Twice the limit leaves enough room to read and refuse a larger head. */
    return MHD_start_daemon(flags, 0, NULL, NULL, on_request, server, MHD_OPTION_ARRAY, secure,
                            MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_CONNECTION_LIMIT,
                            server->limits.connections_max, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            server->limits.header_size_max * 2, MHD_OPTION_CONNECTION_TIMEOUT,
                            (unsigned)server->limits.idle_timeout_s, MHD_OPTION_URI_LOG_CALLBACK,
                            on_target, server, MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
                            MHD_OPTION_NOTIFY_COMPLETED, on_completed, server, MHD_OPTION_END);
}

enum fh_code http_server_new(uv_loop_t *loop, struct world *world, int listen_fd,
                             const struct http_limits *limits, const struct http_tls *tls,
                             struct http_handler handler, struct http_server **ret,
                             struct fh_error *error)
{
    *ret = NULL;
    /* accept must not block the loop if a connection vanishes before it is accepted. */
    int flags = fcntl(listen_fd, F_GETFL);
    if (flags < 0 || fcntl(listen_fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return error_set_errno(error, FH_INVALID, errno, "Descriptor %d is no listening socket",
                               listen_fd);
    struct http_server *server = calloc(1, sizeof *server);
    if (!server)
        return error_set(error, FH_NO_MEMORY, "No memory for the HTTP server.");
    server->loop = loop;
    server->world = world;
    server->limits = limits_of(limits);
    server->handler = handler;
    server->awaited.timeout_ms = (uint64_t)server->limits.idle_timeout_s * 1000;
    server->turn = (struct world_turn){.run = server_turn, .owner = server};
    server->grace = (struct world_timer){.fire = on_grace_over, .owner = server};
    server->beginning = (struct world_timer){.fire = on_beginning_over, .owner = server};
    server->daemon = daemon_start(server, listen_fd, tls);
    if (!server->daemon) {
        free(server);
        if (tls && tls->certificate)
            return error_set(error, FH_INVALID,
                             "The HTTP server could not be started with the certificate and key "
                             "that it was given.");
        return error_set(error, FH_UNAVAILABLE, "The HTTP server could not be started.");
    }
    int epoll_fd = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    server->poll.data = server->timer.data = server;
    uv_timer_init(loop, &server->timer);
    FH_ASSERT(uv_poll_init(loop, &server->poll, epoll_fd) == 0);
    server->open_handles = 2;
    FH_ASSERT(uv_poll_start(&server->poll, UV_READABLE, on_server_readable) == 0);
    /* The library watches the listening socket only after its first run. */
    world_turn(world, &server->turn);
    *ret = server;
    return FH_OK;
}
