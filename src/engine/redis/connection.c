/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection, shared by all fibers: requests are sent in the order in which they came, and the
 * answers arrive in that order. So many requests are under way at once, and the server syncs its
 * log once for all that it has read together.
 *
 *     DOWN --make--> CONNECTING --session (session.c)--> UP --close--> DOWN
 *
 * The requests of one turn of the loop are written at its end, or earlier together with one that
 * is sent at once. A connection whose oldest request has had no answer for `answer_ms`, or whose
 * next answer is larger than is bearable, is given up: all that wait for it are told that the
 * outcome is unknown.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <arpa/inet.h>

#include "engine/redis/internal.h"
#include "engine/redis/socket.h"

struct redis_call {
    redisReply **replies;
    int count, got;
    size_t size; /* of the request */
    bool ended, lost;
    int64_t deadline_ns;
    struct fiber *fiber;
    struct redis_call *next;
};

/* ---- Words ---- */

void redis_words_init(struct redis_words *words)
{
    text_init(&words->text, REDIS_SENDING_MAX);
    words->count = 0;
    words->now = false;
}

void redis_words_release(struct redis_words *words)
{
    text_release(&words->text);
}

/* A line of the protocol: "$12". */
static void add_protocol_line(struct text *text, const char *sign, size_t number)
{
    text_add(text, sign);
    text_integer(text, (int64_t)number);
    text_append(text, "\r\n", 2);
}

char *redis_word_open(struct redis_words *words, size_t length)
{
    char digits[TEXT_INTEGER_SIZE], *number = text_of_integer((int64_t)length, digits);
    size_t figures = strlen(number);
    char *at = text_extend(&words->text, 1 + figures + 2 + length + 2);
    words->count++;
    if (!at)
        return NULL;
    *at = '$';
    at = mempcpy(at + 1, number, figures);
    at = mempcpy(at, "\r\n", 2);
    memcpy(at + length, "\r\n", 2); // NOLINT: a text with a length, not one that a NUL ends
    return at;
}

void redis_word_of(struct redis_words *words, const char *data, size_t length)
{
    char *at = redis_word_open(words, length);
    if (at && length)
        memcpy(at, data, length);
}

void redis_word(struct redis_words *words, const char *word)
{
    redis_word_of(words, word, strlen(word));
}

void redis_word_number(struct redis_words *words, int64_t number)
{
    char digits[TEXT_INTEGER_SIZE];
    redis_word(words, text_of_integer(number, digits));
}

void redis_words_add(struct redis_words *words, const struct redis_words *others)
{
    if (others->text.length)
        text_append(&words->text, others->text.data, others->text.length);
    words->text.overflow = words->text.overflow || others->text.overflow;
    words->count += others->count;
}

void redis_command_of(struct redis_words *commands, const struct redis_words *words)
{
    int count = commands->count;
    add_protocol_line(&commands->text, "*", (size_t)words->count);
    redis_words_add(commands, words);
    commands->count = count + 1;
}

void redis_command_begin(struct redis_words *commands, int count)
{
    add_protocol_line(&commands->text, "*", (size_t)count);
}

void redis_command(struct redis_words *commands, const char *first, ...)
{
    struct redis_words words;
    va_list rest;
    redis_words_init(&words);
    va_start(rest, first);
    for (const char *word = first; word; word = va_arg(rest, const char *))
        redis_word(&words, word);
    va_end(rest);
    redis_command_of(commands, &words);
    redis_words_release(&words);
}

/* ---- Answers ---- */

static void end_call(struct redis_call *call, bool lost)
{
    call->ended = true;
    call->lost = lost;
    if (call->fiber != fiber_self()) /* else it is still sending, and sees it afterwards */
        fiber_ready(call->fiber);
}

static void set_timer(struct redis_connection *connection)
{
    struct world *world = connection->redis->store.world;
    world_timer_stop(world, &connection->timer);
    if (connection->first)
        world_timer_start(world, &connection->timer, connection->first->deadline_ns);
}

static void connection_timed_out(struct world_timer *timer)
{
    redis_connection_close(timer->owner);
}

/* False: the server sent an answer that was not asked for, or broke the protocol. */
static bool take_replies(struct redis_connection *connection)
{
    redisReply *reply;
    bool ended = false;
    for (;;) {
        if (!redis_reader_next(connection->reader, &reply))
            return false;
        if (!reply)
            break;
        struct redis_call *call = connection->first;
        if (!call) {
            hiredis.freeReplyObject(reply);
            return false;
        }
        connection->heard = 0;
        call->replies[call->got++] = reply;
        if (call->got == call->count) {
            connection->first = call->next;
            connection->asked_size -= call->size;
            if (!connection->first)
                connection->end = &connection->first;
            end_call(call, false);
            ended = true;
        }
    }
    if (ended)
        set_timer(connection);
    return true;
}

/* The reader keeps what is no whole answer yet, however much that is. */
static bool is_bearable(struct redis_connection *connection, size_t length)
{
    size_t most = connection->redis->answer_size_max;
    connection->heard += length;
    return !most || connection->heard <= most;
}

static void connection_readable(struct redis_connection *connection)
{
    char *buffer = connection->redis->received;
    for (;;) {
        ssize_t length = connection->tls
                             ? redis_tls_read(connection->tls, buffer, REDIS_READ_SIZE)
                             : redis_sockets.receive(connection->fd, buffer, REDIS_READ_SIZE);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (length <= 0 || !is_bearable(connection, (size_t)length) ||
            hiredis.redisReaderFeed(connection->reader, buffer, (size_t)length) != REDIS_OK ||
            !take_replies(connection)) {
            redis_connection_close(connection);
            return;
        }
        if ((size_t)length < REDIS_READ_SIZE && !connection->tls) /* TLS may have buffered more */
            return;
    }
}

/* ---- Requests ---- */

static void watch_connection(struct redis_connection *connection, unsigned events)
{
    if (connection->watched == events)
        return;
    connection->watched = events;
    world_poll_start(connection->redis->store.world, &connection->poll, events);
}

static void send_rest(struct redis_connection *connection)
{
    while (connection->sent < connection->sending.length) {
        const char *data = connection->sending.data + connection->sent;
        size_t rest = connection->sending.length - connection->sent;
        ssize_t length = connection->tls ? redis_tls_write(connection->tls, data, rest)
                                         : redis_sockets.send(connection->fd, data, rest);
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            watch_connection(connection, WORLD_READABLE | WORLD_WRITABLE);
            return;
        }
        if (length < 0) {
            redis_connection_close(connection);
            return;
        }
        connection->sent += (size_t)length;
    }
    text_clear(&connection->sending);
    connection->sent = 0;
    watch_connection(connection, WORLD_READABLE);
}

static void connection_ready(struct world_poll *poll, unsigned events)
{
    struct redis_connection *connection = poll->owner;
    if (events & WORLD_READABLE)
        connection_readable(connection);
    if (events & WORLD_WRITABLE && connection->reader)
        send_rest(connection);
}

static void connection_turn(struct world_turn *turn)
{
    struct redis_connection *connection = turn->owner;
    if (connection->reader) /* else it was closed since, and may be reconnecting */
        send_rest(connection);
}

static enum fh_code call_lost(const struct redis_connection *connection, struct fh_error *error)
{
    return error_set(error, FH_OUTCOME_UNKNOWN,
                     "The connection to the Redis server was lost, or it did not answer within "
                     "%d s.",
                     connection->redis->answer_ms / 1000);
}

enum fh_code redis_ask_at(struct redis_connection *connection, const struct redis_words *commands,
                          redisReply **ret_replies, struct fh_error *error)
{
    struct world *world = connection->redis->store.world;
    FH_ASSERT(commands->count > 0);
    if (connection->state == REDIS_DOWN) /* lost since its last answer, in the same turn */
        return call_lost(connection, error);
    if (!commands->text.overflow)
        text_append(&connection->sending, commands->text.data, commands->text.length);
    if (commands->text.overflow || connection->sending.overflow) {
        connection->sending.overflow = false;
        return error_set(error, FH_UNAVAILABLE, "Too much waits to be sent to the Redis server.");
    }
    struct redis_call call = {.replies = ret_replies,
                              .count = commands->count,
                              .size = commands->text.length,
                              .deadline_ns = world_in_ms(world, connection->redis->answer_ms),
                              .fiber = fiber_self()};
    *connection->end = &call;
    connection->end = &call.next;
    connection->asked_size += call.size;
    if (connection->first == &call)
        set_timer(connection);
    if (commands->now)
        send_rest(connection);
    else
        world_turn(world, &connection->turn);
    while (!call.ended)
        fiber_park();
    if (!call.lost)
        return FH_OK;
    for (int i = 0; i < call.got; i++)
        hiredis.freeReplyObject(ret_replies[i]);
    return call_lost(connection, error);
}

/* ---- Making and closing ---- */

static const char *address_of(const struct redis *redis, struct sockaddr_storage *ret,
                              socklen_t *ret_length)
{
    const struct redis_options *options = &redis->options;
    char number[WORLD_ADDRESS_SIZE];
    memset(ret, 0, sizeof *ret);
    const char *why = world_resolve(redis->store.world, options->host, number);
    if (why)
        return why;
    struct sockaddr_in *four = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)ret;
    if (inet_pton(AF_INET, number, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons((uint16_t)options->port);
        *ret_length = sizeof *four;
    } else if (inet_pton(AF_INET6, number, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons((uint16_t)options->port);
        *ret_length = sizeof *six;
    } else {
        return "its host has no address";
    }
    return NULL;
}

static enum fh_code connection_failed(const struct redis *redis, const char *why,
                                      struct fh_error *error)
{
    return error_retry(error, FH_UNAVAILABLE,
                       "The Redis server at %s, port %d, can't be reached: %s.",
                       redis->options.host, redis->options.port, why);
}

/* A server without TLS may not answer at all: the wait is long, so as not to mistake a slow one for
 * it. */
static enum fh_code shake_connection(struct redis_connection *connection, struct fh_error *error)
{
    struct redis *redis = connection->redis;
    int64_t deadline_ns = world_in_ms(redis->store.world, redis->answer_ms);
    bool writes, in_time = true;
    int done;
    if (!redis->trust)
        return FH_OK;
    connection->tls = redis_tls_new(redis->trust, redis->options.host, connection->fd);
    while ((done = redis_tls_shake(connection->tls, &writes)) < 0 && errno == EAGAIN && in_time)
        in_time = world_wait_for(redis->store.world, connection->fd,
                                 writes ? WORLD_WRITABLE : WORLD_READABLE, deadline_ns);
    if (done == 0)
        return FH_OK;
    enum fh_code code = redis_tls_failed(connection->tls, error)
                            ? FH_UNAVAILABLE
                            : connection_failed(redis, "TLS did not come about", error);
    redis_tls_free(connection->tls);
    connection->tls = NULL;
    redis_sockets.close(connection->fd);
    return code;
}

/* AUTH tells the password to whoever listens: this comes before anything is sent. */
static enum fh_code check_redis_listener(struct redis_connection *connection, const char *path,
                                         int number, struct fh_error *error)
{
    if (number) {
        redis_sockets.close(connection->fd);
        return connection_failed(connection->redis, strerrordesc_np(number), error);
    }
    enum fh_code code = store_socket_check_path(connection->fd, path, error);
    if (code)
        redis_sockets.close(connection->fd);
    return code;
}

static enum fh_code open_local(struct redis_connection *connection, struct fh_error *error)
{
    struct redis *redis = connection->redis;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct store_socket socket;
    char path[STORE_HOST_SIZE + sizeof REDIS_SOCKET];
    int number;
    enum fh_code code =
        store_socket_path(redis->options.host, REDIS_SOCKET, path, sizeof path, error);
    if (!code)
        code = store_socket_open_path(path, &socket, address.sun_path, error);
    if (code)
        return code;
    connection->fd = redis_sockets.open((struct sockaddr *)&address, sizeof address, &number);
    store_socket_close(&socket);
    if (connection->fd < 0)
        return connection_failed(redis, strerrordesc_np(number), error);
    return check_redis_listener(connection, path, number, error);
}

static enum fh_code open_remote(struct redis_connection *connection, int64_t deadline_ns,
                                struct fh_error *error)
{
    struct redis *redis = connection->redis;
    struct sockaddr_storage address;
    socklen_t length;
    int number;
    const char *why = address_of(redis, &address, &length);
    if (why)
        return connection_failed(redis, why, error);
    connection->fd = redis_sockets.open((struct sockaddr *)&address, length, &number);
    if (connection->fd < 0)
        return connection_failed(redis, strerrordesc_np(number), error);
    if (number == EINPROGRESS &&
        world_wait_for(redis->store.world, connection->fd, WORLD_WRITABLE, deadline_ns))
        number = redis_sockets.error(connection->fd);
    if (number) {
        redis_sockets.close(connection->fd);
        return connection_failed(
            redis, number == EINPROGRESS ? "it does not answer" : strerrordesc_np(number), error);
    }
    return shake_connection(connection, error);
}

enum fh_code redis_connection_make(struct redis_connection *connection, int64_t deadline_ns,
                                   struct fh_error *error)
{
    enum fh_code code = connection->redis->options.host[0] == '/'
                            ? open_local(connection, error)
                            : open_remote(connection, deadline_ns, error);
    if (code)
        return code;
    connection->tls_error = (struct fh_error){0};
    connection->reader = redis_reader_new();
    text_clear(&connection->sending);
    connection->sent = 0;
    connection->heard = 0;
    connection->state = REDIS_CONNECTING;
    connection->poll =
        (struct world_poll){.fd = connection->fd, .ready = connection_ready, .owner = connection};
    connection->turn.run = connection_turn;
    connection->turn.owner = connection;
    connection->timer.fire = connection_timed_out;
    connection->timer.owner = connection;
    watch_connection(connection, WORLD_READABLE);
    return FH_OK;
}

void redis_connection_close(struct redis_connection *connection)
{
    struct world *world = connection->redis->store.world;
    if (connection->state == REDIS_DOWN)
        return;
    if (connection->tls && connection->state == REDIS_CONNECTING)
        redis_tls_failed(connection->tls, &connection->tls_error);
    connection->redis->store.losses += connection->state == REDIS_UP;
    connection->state = REDIS_DOWN;
    world_poll_stop(world, &connection->poll);
    world_timer_stop(world, &connection->timer);
    connection->watched = 0;
    redis_tls_free(connection->tls);
    connection->tls = NULL;
    redis_sockets.close(connection->fd);
    hiredis.redisReaderFree(connection->reader);
    connection->reader = NULL;
    for (struct redis_call *call = connection->first, *next; call; call = next) {
        next = call->next; /* `call` belongs to a fiber that ends with it */
        end_call(call, true);
    }
    connection->first = NULL;
    connection->end = &connection->first;
    connection->asked_size = 0;
}
