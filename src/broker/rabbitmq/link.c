/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection with one channel. The library is used by one thread alone, the link's; reading never
 * waits longer than was asked for, and a call with an answer no longer than rabbitmq_link_until
 * says. Only sending may: a server that is short of memory or disk no longer reads what a publisher
 * sends. rabbitmq_link_cut ends that from outside, by shutting down the socket.
 *
 * A connection that is lost is forgotten with all that was under way on it.
 */

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "broker/rabbitmq/internal.h"

#define HEARTBEAT_S 5    /* two without a sign, and either side gives the connection up */
#define FRAME_MAX 131072 /* larger messages come in several frames */

/* The same clock as the world's, which the thread may outlive: it closes its connection in peace.
 */
int64_t rabbitmq_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t rabbitmq_in_ms(int64_t ms)
{
    return rabbitmq_now_ns() + ms * RABBITMQ_NS_A_MS;
}

void rabbitmq_link_init(struct rabbitmq_link *link, const struct rabbitmq_options *options)
{
    *link = (struct rabbitmq_link){.options = options, .fd = -1};
    pthread_mutex_init(&link->mutex, NULL);
    snprintf(link->reason, sizeof link->reason, "RabbitMQ at %.100s:%d is not connected to yet.",
             options->host, options->port);
}

static void set_reason(struct rabbitmq_link *link, const char *what, const char *why)
{
    pthread_mutex_lock(&link->mutex);
    snprintf(link->reason, sizeof link->reason, "%s RabbitMQ at %.100s:%d: %.100s.", what,
             link->options->host, link->options->port, why);
    pthread_mutex_unlock(&link->mutex);
}

static void set_link_fd(struct rabbitmq_link *link, int fd)
{
    pthread_mutex_lock(&link->mutex);
    link->fd = fd;
    pthread_mutex_unlock(&link->mutex);
}

void rabbitmq_link_cut(struct rabbitmq_link *link)
{
    pthread_mutex_lock(&link->mutex);
    if (link->fd >= 0)
        shutdown(link->fd, SHUT_RDWR);
    pthread_mutex_unlock(&link->mutex);
}

static void forget_connection(struct rabbitmq_link *link)
{
    set_link_fd(link, -1); /* before it is closed, and is something else's */
    rabbitmq.amqp_destroy_connection(link->connection);
    link->connection = NULL;
    link->channel = link->blocked = false;
    atomic_store(&link->up, false);
}

void rabbitmq_link_lose(struct rabbitmq_link *link, const char *why)
{
    if (!link->connection)
        return;
    set_reason(link, "There is no connection to", why);
    forget_connection(link);
    link->retry_ns = rabbitmq_in_ms(RABBITMQ_RETRY_MS);
}

void rabbitmq_link_release(struct rabbitmq_link *link)
{
    if (link->connection) {
        rabbitmq_link_until(link, rabbitmq_in_ms(1000));
        rabbitmq.amqp_connection_close(link->connection, AMQP_REPLY_SUCCESS);
        forget_connection(link);
    }
    pthread_mutex_destroy(&link->mutex);
}

static struct timeval left_until(int64_t deadline_ns)
{
    int64_t left = deadline_ns - rabbitmq_now_ns();
    if (left < 0)
        left = 0;
    return (struct timeval){.tv_sec = left / 1000000000,
                            .tv_usec = (suseconds_t)(left % 1000000000 / 1000)};
}

void rabbitmq_link_until(struct rabbitmq_link *link, int64_t deadline_ns)
{
    struct timeval left = left_until(deadline_ns);
    if (link->connection)
        rabbitmq.amqp_set_rpc_timeout(link->connection, &left);
}

enum fh_code rabbitmq_link_state(struct rabbitmq_link *link, struct fh_error *error)
{
    if (atomic_load(&link->up))
        return FH_OK;
    pthread_mutex_lock(&link->mutex);
    error_set(error, FH_UNAVAILABLE, "%s", link->reason);
    pthread_mutex_unlock(&link->mutex);
    return FH_UNAVAILABLE;
}

/* ---- what the server says ---- */

static enum fh_code code_of_reply(unsigned reply)
{
    switch (reply) {
    case AMQP_ACCESS_REFUSED:
    case AMQP_NOT_ALLOWED:
        return FH_INVALID;
    case AMQP_PRECONDITION_FAILED:
        return FH_CONFLICT;
    case AMQP_NOT_FOUND:
        return FH_NOT_FOUND;
    default:
        return FH_UNAVAILABLE;
    }
}

static int words_length(amqp_bytes_t text, int most)
{
    return text.len < (size_t)most ? (int)text.len : most;
}

void rabbitmq_link_closed(struct rabbitmq_link *link, const amqp_method_t *method, char *ret,
                          size_t size)
{
    const amqp_channel_close_t *close = method->decoded;
    amqp_channel_close_ok_t ok = {0};
    snprintf(ret, size, "%.*s", words_length(close->reply_text, 150),
             (char *)close->reply_text.bytes);
    link->channel = false;
    if (rabbitmq.amqp_send_method(link->connection, RABBITMQ_CHANNEL, AMQP_CHANNEL_CLOSE_OK_METHOD,
                                  &ok) != AMQP_STATUS_OK)
        rabbitmq_link_lose(link, "it was closed while the channel was");
}

static void connection_closed(struct rabbitmq_link *link, const amqp_method_t *method)
{
    const amqp_connection_close_t *close = method->decoded;
    amqp_connection_close_ok_t ok = {0};
    char why[128];
    snprintf(why, sizeof why, "the server closed it: %.*s", words_length(close->reply_text, 90),
             (char *)close->reply_text.bytes);
    rabbitmq.amqp_send_method(link->connection, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &ok);
    rabbitmq_link_lose(link, why);
}

/* What concerns the connection itself. False: it is lost. */
static bool connection_frame(struct rabbitmq_link *link, const amqp_frame_t *frame)
{
    if (frame->frame_type != AMQP_FRAME_METHOD)
        return true;
    const amqp_method_t *method = &frame->payload.method;
    if (method->id == AMQP_CONNECTION_CLOSE_METHOD) {
        connection_closed(link, method);
        return false;
    }
    if (method->id == AMQP_CONNECTION_BLOCKED_METHOD) {
        const amqp_connection_blocked_t *blocked = method->decoded;
        char why[128];
        snprintf(why, sizeof why, "%.*s", words_length(blocked->reason, 100),
                 (char *)blocked->reason.bytes);
        set_reason(link, "No messages are taken now by", why);
        link->blocked = true;
    } else if (method->id == AMQP_CONNECTION_UNBLOCKED_METHOD) {
        link->blocked = false;
    }
    return true;
}

int rabbitmq_link_frame(struct rabbitmq_link *link, amqp_frame_t *ret, int64_t until_ns)
{
    while (link->connection) {
        struct timeval left = left_until(until_ns);
        rabbitmq.amqp_maybe_release_buffers(link->connection);
        int status = rabbitmq.amqp_simple_wait_frame_noblock(link->connection, ret, &left);
        if (status == AMQP_STATUS_TIMEOUT)
            return 0;
        if (status != AMQP_STATUS_OK)
            rabbitmq_link_lose(link, rabbitmq.amqp_error_string2(status));
        else if (ret->channel != 0)
            return 1;
        else
            connection_frame(link, ret);
    }
    return -1;
}

enum fh_code rabbitmq_link_answer(struct rabbitmq_link *link, const char *what,
                                  struct fh_error *error)
{
    const struct rabbitmq_options *options = link->options;
    amqp_rpc_reply_t reply = rabbitmq.amqp_get_rpc_reply(link->connection);
    char why[160] = "it did not answer";
    enum fh_code code = FH_UNAVAILABLE;
    unsigned number = 0;
    if (reply.reply_type == AMQP_RESPONSE_NORMAL)
        return FH_OK;
    if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION &&
        reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
        number = ((const amqp_channel_close_t *)reply.reply.decoded)->reply_code;
        rabbitmq_link_closed(link, &reply.reply, why, sizeof why);
    } else if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION &&
               reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD) {
        const amqp_connection_close_t *close = reply.reply.decoded;
        number = close->reply_code;
        snprintf(why, sizeof why, "%.*s", words_length(close->reply_text, 150),
                 (char *)close->reply_text.bytes);
        connection_closed(link, &reply.reply);
    } else {
        if (reply.library_error && reply.library_error != AMQP_STATUS_TIMEOUT)
            snprintf(why, sizeof why, "%s", rabbitmq.amqp_error_string2(reply.library_error));
        rabbitmq_link_lose(link, why); /* an answer that comes late would be taken for another's */
    }
    if (number)
        code = code_of_reply(number);
    error_set(error, code, "RabbitMQ at %.100s:%d %s: %s.", options->host, options->port, what,
              why);
    snprintf(error->native, sizeof error->native, "%u", number);
    return code;
}

/* ---- connecting ---- */

static const struct store_tls_words tls_words[] = {
    {"hostname verification", STORE_TLS_OTHER_HOST},
    {"peer cert", STORE_TLS_OTHER_AUTHORITY},
    {"SSL handshake failed", STORE_TLS_PLAIN},
    {NULL, STORE_TLS_UNKNOWN},
};

static enum fh_code connecting_failed(struct rabbitmq_link *link, int status,
                                      struct fh_error *error)
{
    const struct rabbitmq_options *options = link->options;
    const char *said = rabbitmq.amqp_error_string2(status);
    error_set(error, FH_UNAVAILABLE, "RabbitMQ at %.100s:%d can't be connected to: %.120s.",
              options->host, options->port, said);
    snprintf(error->native, sizeof error->native, "%d", status);
    if (options->tls.verify)
        store_tls_failed(options->host, store_tls_said(tls_words, said), error);
    return FH_UNAVAILABLE;
}

/* NULL: there is no memory, or a file can't be read, and *ret_status says so. */
static amqp_socket_t *new_socket(struct rabbitmq_link *link, int *ret_status)
{
    const struct store_tls *tls = &link->options->tls;
    *ret_status = AMQP_STATUS_NO_MEMORY;
    if (!tls->verify)
        return rabbitmq.amqp_tcp_socket_new(link->connection);
    amqp_socket_t *socket = rabbitmq.amqp_ssl_socket_new(link->connection);
    if (!socket)
        return NULL;
    rabbitmq.amqp_ssl_socket_set_verify_peer(socket, 1);
    rabbitmq.amqp_ssl_socket_set_verify_hostname(socket, 1);
    *ret_status = rabbitmq.amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST);
    if (*ret_status == AMQP_STATUS_OK)
        *ret_status = rabbitmq.amqp_ssl_socket_set_cacert(socket, tls->ca);
    if (*ret_status == AMQP_STATUS_OK && tls->certificate[0])
        *ret_status = rabbitmq.amqp_ssl_socket_set_key(socket, tls->certificate, tls->key);
    return *ret_status == AMQP_STATUS_OK ? socket : NULL;
}

static amqp_table_entry_t capability_entry(const char *name)
{
    return (amqp_table_entry_t){.key = rabbitmq_bytes(name),
                                .value = {.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1}};
}

static enum fh_code log_in(struct rabbitmq_link *link, struct fh_error *error)
{
    const struct rabbitmq_options *options = link->options;
    amqp_table_entry_t can[] = {
        capability_entry("consumer_cancel_notify"), capability_entry("connection.blocked"),
        capability_entry("publisher_confirms"), capability_entry("basic.nack")};
    amqp_table_entry_t entries[] = {
        {.key = rabbitmq_bytes("capabilities"),
         .value = {.kind = AMQP_FIELD_KIND_TABLE, .value.table = {sizeof can / sizeof *can, can}}},
        {.key = rabbitmq_bytes("connection_name"),
         .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = rabbitmq_bytes("freehold")}}};
    amqp_table_t properties = {sizeof entries / sizeof *entries, entries};
    amqp_rpc_reply_t reply = rabbitmq.amqp_login_with_properties(
        link->connection, options->vhost, RABBITMQ_CHANNELS_MAX, FRAME_MAX, HEARTBEAT_S,
        &properties, AMQP_SASL_METHOD_PLAIN, options->user, options->password);
    if (reply.reply_type == AMQP_RESPONSE_NORMAL)
        return FH_OK;
    if (reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION ||
        reply.reply.id != AMQP_CONNECTION_CLOSE_METHOD)
        return connecting_failed(link, reply.library_error, error);
    const amqp_connection_close_t *close = reply.reply.decoded;
    return error_set(error, code_of_reply(close->reply_code),
                     "RabbitMQ at %.100s:%d does not let us in: %.*s.", options->host,
                     options->port, words_length(close->reply_text, 150),
                     (char *)close->reply_text.bytes);
}

enum fh_code rabbitmq_link_channel(struct rabbitmq_link *link, struct fh_error *error)
{
    amqp_frame_t old;
    int got;
    if (link->channel)
        return FH_OK;
    /* What is left of the former channel must not be taken for this one's. */
    while ((got = rabbitmq_link_frame(link, &old, 0)) > 0)
        ;
    if (got < 0)
        return rabbitmq_link_state(link, error);
    rabbitmq.amqp_channel_open(link->connection, RABBITMQ_CHANNEL);
    enum fh_code code = rabbitmq_link_answer(link, "opens no channel", error);
    link->channel = code == FH_OK;
    link->channels++;
    return code;
}

static enum fh_code open_connection(struct rabbitmq_link *link, int64_t deadline_ns,
                                    struct fh_error *error)
{
    const struct rabbitmq_options *options = link->options;
    struct timeval left = left_until(deadline_ns);
    int status;
    amqp_socket_t *socket = new_socket(link, &status);
    if (!socket)
        return connecting_failed(link, status, error);
    rabbitmq.amqp_set_handshake_timeout(link->connection, &left);
    status = rabbitmq.amqp_socket_open_noblock(socket, options->host, options->port, &left);
    if (status != AMQP_STATUS_OK)
        return connecting_failed(link, status, error);
    set_link_fd(link, rabbitmq.amqp_get_sockfd(link->connection));
    return log_in(link, error);
}

enum fh_code rabbitmq_link_open(struct rabbitmq_link *link, int64_t deadline_ns,
                                struct fh_error *error)
{
    link->connection = rabbitmq.amqp_new_connection();
    if (!link->connection)
        return error_set(error, FH_NO_MEMORY, "There is no memory for a connection to RabbitMQ.");
    rabbitmq_link_until(link, deadline_ns);
    enum fh_code code = open_connection(link, deadline_ns, error);
    if (!code)
        code = rabbitmq_link_channel(link, error);
    if (code) {
        if (link->connection)
            forget_connection(link);
        pthread_mutex_lock(&link->mutex);
        snprintf(link->reason, sizeof link->reason, "%s", error->message);
        pthread_mutex_unlock(&link->mutex);
        link->retry_ns = rabbitmq_in_ms(RABBITMQ_RETRY_MS);
        return code;
    }
    atomic_store(&link->up, true);
    return FH_OK;
}

/* ---- waiting ---- */

void rabbitmq_link_wait(struct rabbitmq_link *link, int wake_fd, int64_t until_ns, bool reads)
{
    struct pollfd fds[] = {{.fd = wake_fd, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
    int64_t left_ms = (until_ns - rabbitmq_now_ns()) / RABBITMQ_NS_A_MS + 1;
    if (link->connection && reads)
        fds[1].fd = rabbitmq.amqp_get_sockfd(link->connection);
    poll(fds, 2, left_ms < 0 ? 0 : left_ms > 60000 ? 60000 : (int)left_ms);
}

void rabbitmq_link_beat(struct rabbitmq_link *link)
{
    amqp_frame_t beat = {.frame_type = AMQP_FRAME_HEARTBEAT};
    if (rabbitmq.amqp_send_frame(link->connection, &beat) != AMQP_STATUS_OK)
        rabbitmq_link_lose(link, "it was closed");
}
