/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests at a fixed rate, whatever the answers do: the n-th is due n/RATE seconds after the
 * beginning, and what it took counts from then, not from when a connection was free to send it. So
 * a server that stops for a while is charged with all that would have come meanwhile (there is no
 * coordinated omission).
 *
 *     rate PORT PATH RATE SECONDS CONNECTIONS [BODY]
 *
 * With BODY it is a POST. Prints the requests and the microseconds within which half, 99 %, 99.9 %
 * and all of them were answered. Any answer but a 2xx is a failure.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_MAX = 16384, CONNECTIONS_MAX = 1024, REQUEST_MAX = 2048, PATIENCE_S = 10 };

#define NS 1000000000LL

struct connection {
    int socket;
    int64_t due_ns; /* of the request under way */
    size_t read;
    char answer[ANSWER_MAX + 1];
};

static struct connection connections[CONNECTIONS_MAX];
static struct connection *unused[CONNECTIONS_MAX];
static size_t unused_count;
static char request[REQUEST_MAX];
static size_t request_length;
static int64_t *took_ns;
static size_t took_count;
static int epoll;

static void fail(const char *what)
{
    fprintf(stderr, "rate: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NS + now.tv_nsec;
}

static void start(struct connection *connection, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    int on = 1;
    connection->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->socket < 0 ||
        connect(connection->socket, (struct sockaddr *)&address, sizeof address) ||
        setsockopt(connection->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, connection->socket, &event))
        fail("a connection");
    unused[unused_count++] = connection;
}

static void send_request(int64_t due_ns)
{
    struct connection *connection = unused[--unused_count];
    connection->due_ns = due_ns;
    connection->read = 0;
    if (send(connection->socket, request, request_length, MSG_NOSIGNAL) != (ssize_t)request_length)
        fail("a request was not sent whole");
}

/* Whether the answer is there as a whole. */
static int complete(const struct connection *connection)
{
    const char *end = strstr(connection->answer, "\r\n\r\n");
    if (!end)
        return 0;
    const char *length = strcasestr(connection->answer, "\r\ncontent-length:");
    if (!length || length > end)
        fail("an answer without Content-Length");
    size_t head = (size_t)(end + 4 - connection->answer);
    return connection->read >= head + strtoul(length + 17, NULL, 10);
}

static void receive(struct connection *connection)
{
    ssize_t got = recv(connection->socket, connection->answer + connection->read,
                       ANSWER_MAX - connection->read, 0);
    if (got <= 0)
        fail("an answer did not come");
    connection->read += (size_t)got;
    connection->answer[connection->read] = '\0';
    if (!complete(connection))
        return;
    if (strncmp(connection->answer, "HTTP/1.1 2", 10) != 0) {
        fprintf(stderr, "rate: answered %.80s\n", connection->answer);
        exit(1);
    }
    took_ns[took_count++] = now_ns() - connection->due_ns;
    unused[unused_count++] = connection;
}

static void wait_until(int64_t until_ns)
{
    struct epoll_event events[64];
    int64_t left_ns = until_ns - now_ns();
    struct timespec left = {.tv_sec = 0};
    if (left_ns > 0)
        left = (struct timespec){.tv_sec = left_ns / NS, .tv_nsec = left_ns % NS};
    int count = epoll_pwait2(epoll, events, 64, &left, NULL);
    if (count < 0 && errno != EINTR)
        fail("epoll_pwait2");
    for (int i = 0; i < count; i++)
        receive(events[i].data.ptr);
}

static void run(size_t count, double rate)
{
    int64_t began_ns = now_ns();
    int64_t last_ns = began_ns + (int64_t)((double)count / rate * (double)NS) + PATIENCE_S * NS;
    for (size_t sent = 0; took_count < count;) {
        int64_t due_ns = began_ns + (int64_t)((double)sent / rate * (double)NS), now = now_ns();
        if (now > last_ns) {
            errno = ETIMEDOUT;
            fail("not all was answered");
        }
        if (sent < count && unused_count && due_ns <= now) {
            send_request(due_ns);
            sent++;
        } else {
            wait_until(sent < count && unused_count ? due_ns : last_ns + 1);
        }
    }
}

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static long long within_us(size_t of_1000)
{
    return took_ns[(took_count - 1) * of_1000 / 1000] / 1000;
}

/* A number above 0 and up to `most`. */
static double number(const char *text, double most)
{
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end || !(value > 0 && value <= most)) {
        fprintf(stderr, "rate: %s is not a number up to %.0f\n", text, most);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    if (argc < 6) {
        fprintf(stderr, "usage: rate PORT PATH RATE SECONDS CONNECTIONS [BODY]\n");
        return 2;
    }
    const char *body = argc > 6 ? argv[6] : "";
    int length = snprintf(request, sizeof request,
                          "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                          "Content-Length: %zu\r\n\r\n%s",
                          argc > 6 ? "POST" : "GET", argv[2], strlen(body), body);
    double rate = number(argv[3], 1e6);
    size_t count = (size_t)(rate * number(argv[4], 3600));
    int wanted = (int)number(argv[5], CONNECTIONS_MAX);
    int port = (int)number(argv[1], UINT16_MAX);
    if (length < 0 || length >= REQUEST_MAX || count < 1 || wanted < 1 ||
        wanted > CONNECTIONS_MAX) {
        fprintf(stderr, "rate: too much, or nothing to do\n");
        return 2;
    }
    request_length = (size_t)length;
    took_ns = malloc(count * sizeof *took_ns);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!took_ns || epoll < 0)
        fail("a start");
    for (int i = 0; i < wanted; i++)
        start(&connections[i], port);
    run(count, rate);
    qsort(took_ns, took_count, sizeof *took_ns, compare);
    printf("%zu %lld %lld %lld %lld\n", took_count, within_us(500), within_us(990), within_us(999),
           within_us(1000));
    free(took_ns);
    return 0;
}
