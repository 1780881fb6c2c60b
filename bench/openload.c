/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests at fixed rates, whether they are answered or not: an open loop.
 *
 * usage: openload PORT CONNECTIONS DEADLINE_MS SLOT_MS BODY PATH RATE:MS...
 *
 * A request is due by the clock alone and takes any free connection; where none is free it waits
 * here, and its time counts from when it was due. BODY: a number of bytes, 0 being GET, otherwise
 * POST; or the JSON object that is posted. Prints a line for each slot of SLOT_MS, by when its
 * requests were due:
 *
 *     SLOT begin_ms due ok late shed failed p50_us p99_us
 *
 * `ok`: a 2xx within the deadline; `late`: one after it, or not sent or answered before it; `shed`:
 * 503 with Retry-After; `failed`: anything else. The percentiles are of what is `ok`.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PHASES_MAX 16
#define EVENTS_MAX 512
#define ANSWER_MAX 8192
#define NS_A_MS INT64_C(1000000)

struct phase {
    double rate; /* a second */
    int64_t length_ns;
};

struct slot {
    unsigned due, ok, late, shed, failed;
    unsigned *took_us; /* of `ok` */
    unsigned capacity;
};

struct connection {
    int fd;
    int64_t due_ns; /* of the request that it is waiting for; 0: it is free */
    size_t length;
    char answer[ANSWER_MAX];
    struct connection *next_free;
};

struct waiting { /* due, and without a connection yet */
    int64_t *due_ns;
    size_t first, count, capacity;
};

static struct sockaddr_in target;
static int poll_fd;
static int64_t begin_ns, slot_ns, deadline_ns;
static struct slot *slots;
static size_t slot_count;
static struct connection *connections, *free_first;
static struct waiting waiting;
static char *request;
static size_t request_length;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static struct slot *slot_of(int64_t due)
{
    size_t index = (size_t)((due - begin_ns) / slot_ns);
    return &slots[index < slot_count ? index : slot_count - 1];
}

static void note_ok(struct slot *slot, int64_t took_ns)
{
    if (slot->ok == slot->capacity) {
        slot->capacity = slot->capacity ? slot->capacity * 2 : 256;
        slot->took_us = realloc(slot->took_us, slot->capacity * sizeof *slot->took_us);
        if (!slot->took_us)
            die("realloc");
    }
    slot->took_us[slot->ok++] = (unsigned)(took_ns / 1000);
}

static void connect_anew(struct connection *connection)
{
    static const int on = 1;
    if (connection->fd >= 0)
        close(connection->fd);
    connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0 ||
        connect(connection->fd, (struct sockaddr *)&target, sizeof target) != 0)
        die("connect");
    setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(poll_fd, EPOLL_CTL_ADD, connection->fd, &event) != 0)
        die("epoll_ctl");
}

static void send_on(struct connection *connection, int64_t due)
{
    connection->due_ns = due;
    connection->length = 0;
    ssize_t sent = send(connection->fd, request, request_length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent == (ssize_t)request_length)
        return;
    slot_of(due)->failed++;
    connect_anew(connection);
    connection->due_ns = 0;
    connection->next_free = free_first;
    free_first = connection;
}

static void wait_for_connection(int64_t due)
{
    if (waiting.first + waiting.count == waiting.capacity) {
        memmove(waiting.due_ns, waiting.due_ns + waiting.first,
                waiting.count * sizeof *waiting.due_ns);
        waiting.first = 0;
        if (waiting.count * 2 >= waiting.capacity) {
            waiting.capacity = waiting.capacity ? waiting.capacity * 2 : 4096;
            waiting.due_ns = realloc(waiting.due_ns, waiting.capacity * sizeof *waiting.due_ns);
            if (!waiting.due_ns)
                die("realloc");
        }
    }
    waiting.due_ns[waiting.first + waiting.count++] = due;
}

/* Those whose time is over are not sent any more. */
static void send_waiting(int64_t now)
{
    while (waiting.count && (free_first || waiting.due_ns[waiting.first] + deadline_ns < now)) {
        int64_t due = waiting.due_ns[waiting.first++];
        waiting.count--;
        if (due + deadline_ns < now) {
            slot_of(due)->late++;
            continue;
        }
        struct connection *connection = free_first;
        free_first = connection->next_free;
        send_on(connection, due);
    }
}

/* The whole answer's length, if its head is here; 0: not yet. */
static size_t answer_length(struct connection *connection)
{
    connection->answer[connection->length] = '\0';
    const char *end = strstr(connection->answer, "\r\n\r\n");
    const char *field = end ? strcasestr(connection->answer, "\r\nContent-Length:") : NULL;
    if (!end)
        return 0;
    return (size_t)(end + 4 - connection->answer) + (field ? strtoul(field + 17, NULL, 10) : 0);
}

static void finish(struct connection *connection, int64_t now)
{
    struct slot *slot = slot_of(connection->due_ns);
    int64_t took = now - connection->due_ns;
    bool closes = strcasestr(connection->answer, "\r\nConnection: close") != NULL;
    long status = strtol(connection->answer + 9, NULL, 10);
    bool done = status >= 200 && status < 300;
    if (done && took <= deadline_ns)
        note_ok(slot, took);
    else if (done)
        slot->late++;
    else if (status == 503 && strcasestr(connection->answer, "\r\nRetry-After:"))
        slot->shed++;
    else
        slot->failed++;
    connection->due_ns = 0;
    if (closes)
        connect_anew(connection);
    connection->next_free = free_first;
    free_first = connection;
}

static void receive(struct connection *connection)
{
    ssize_t got = recv(connection->fd, connection->answer + connection->length,
                       ANSWER_MAX - 1 - connection->length, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        bool was_free = connection->due_ns == 0;
        if (!was_free)
            slot_of(connection->due_ns)->failed++;
        connect_anew(connection);
        connection->due_ns = 0;
        if (was_free)
            return;
        connection->next_free = free_first;
        free_first = connection;
        return;
    }
    connection->length += (size_t)got;
    size_t whole = answer_length(connection);
    if (whole && connection->length >= whole && connection->due_ns)
        finish(connection, now_ns());
}

static void poll_once(int timeout_ms)
{
    struct epoll_event events[EVENTS_MAX];
    int count = epoll_wait(poll_fd, events, EVENTS_MAX, timeout_ms);
    for (int i = 0; i < count; i++)
        receive(events[i].data.ptr);
    send_waiting(now_ns());
}

static void run_phase(const struct phase *phase, int64_t from_ns)
{
    int64_t step_ns = (int64_t)(1e9 / phase->rate), until_ns = from_ns + phase->length_ns;
    for (int64_t due = from_ns; due < until_ns; due += step_ns) {
        int64_t now;
        while ((now = now_ns()) < due)
            poll_once(due - now > NS_A_MS ? (int)((due - now) / NS_A_MS) : 0);
        slot_of(due)->due++;
        if (free_first && !waiting.count) {
            struct connection *connection = free_first;
            free_first = connection->next_free;
            send_on(connection, due);
        } else {
            wait_for_connection(due);
        }
        if ((now / step_ns) % 16 == 0) /* behind: answers must be read all the same */
            poll_once(0);
    }
}

static void give_up_rest(size_t connection_count)
{
    for (size_t i = 0; i < connection_count; i++) {
        if (connections[i].due_ns)
            slot_of(connections[i].due_ns)->late++;
    }
    for (size_t i = 0; i < waiting.count; i++)
        slot_of(waiting.due_ns[waiting.first + i])->late++;
}

static int by_number(const void *a, const void *b)
{
    unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;
    return (x > y) - (x < y);
}

static void print_slots(void)
{
    for (size_t i = 0; i < slot_count; i++) {
        struct slot *slot = &slots[i];
        if (slot->ok)
            qsort(slot->took_us, slot->ok, sizeof *slot->took_us, by_number);
        printf("SLOT %lld %u %u %u %u %u %u %u\n", (long long)((int64_t)i * slot_ns / NS_A_MS),
               slot->due, slot->ok, slot->late, slot->shed, slot->failed,
               slot->ok ? slot->took_us[slot->ok / 2] : 0,
               slot->ok ? slot->took_us[slot->ok * 99 / 100] : 0);
    }
}

/* `said`: as BODY of the usage. NULL: there is none. */
static char *body_of(const char *said)
{
    size_t bytes = strtoul(said, NULL, 10), size = bytes + strlen(said) + 32;
    char *body = malloc(size);
    if (!body)
        die("malloc");
    if (said[0] == '{')
        snprintf(body, size, "%s", said);
    else
        snprintf(body, size, "{\"load\":\"%0*d\"}", (int)bytes, 0);
    if (said[0] == '{' || bytes > 0)
        return body;
    free(body);
    return NULL;
}

static void make_request(const char *path, const char *said)
{
    char *body = body_of(said);
    size_t size = (body ? strlen(body) : 0) + strlen(path) + 1024;
    request = malloc(size);
    if (!request)
        die("malloc");
    int length =
        snprintf(request, size, "%s %s HTTP/1.1\r\nHost: localhost\r\nFreehold-Deadline: %lld\r\n",
                 body ? "POST" : "GET", path, (long long)(deadline_ns / NS_A_MS));
    char *at = request + length;
    size_t left = size - (size_t)length;
    if (body)
        length +=
            snprintf(at, left, "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                     strlen(body), body);
    else
        length += snprintf(at, left, "\r\n");
    free(body);
    request_length = (size_t)length;
}

static size_t read_phases(char **arguments, size_t count, struct phase *ret, int64_t *ret_all_ns)
{
    for (size_t i = 0; i < count; i++) {
        char *colon;
        ret[i].rate = strtod(arguments[i], &colon);
        ret[i].length_ns = strtoll(colon + 1, NULL, 10) * NS_A_MS;
        *ret_all_ns += ret[i].length_ns;
    }
    return count;
}

static void open_connections(size_t count)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    connections = calloc(count, sizeof *connections);
    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!connections || poll_fd < 0)
        die("start");
    for (size_t i = 0; i < count; i++) {
        connections[i].fd = -1;
        connect_anew(&connections[i]);
        connections[i].next_free = free_first;
        free_first = &connections[i];
    }
}

int main(int argc, char **argv)
{
    struct phase phases[PHASES_MAX];
    size_t phase_count = 0;
    int64_t all_ns = 0;
    if (argc < 8 || argc - 7 > PHASES_MAX) {
        fprintf(stderr, "usage: openload PORT CONNECTIONS DEADLINE_MS SLOT_MS BODY PATH "
                        "RATE:MS...\n");
        return 2;
    }
    size_t count = strtoul(argv[2], NULL, 10);
    target = (struct sockaddr_in){.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    deadline_ns = strtoll(argv[3], NULL, 10) * NS_A_MS;
    slot_ns = strtoll(argv[4], NULL, 10) * NS_A_MS;
    phase_count = read_phases(argv + 7, (size_t)argc - 7, phases, &all_ns);
    make_request(argv[6], argv[5]);
    slot_count = (size_t)(all_ns / slot_ns);
    slots = calloc(slot_count, sizeof *slots);
    if (!slots)
        die("calloc");
    open_connections(count);
    int64_t at_ns = begin_ns = now_ns();
    for (size_t i = 0; i < phase_count; i++) {
        run_phase(&phases[i], at_ns);
        at_ns += phases[i].length_ns;
    }
    while (now_ns() < at_ns + deadline_ns)
        poll_once(1);
    give_up_rest(count);
    print_slots();
    return 0;
}
