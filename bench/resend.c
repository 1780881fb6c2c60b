/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bulk loader by HTTP that does nothing but send: requests that lie ready in memory, each once
 * the one before it on its connection was answered.
 *
 *     resend PORT FILE CONNECTIONS
 *
 * Prints the seconds from the first request to the last answer. Any answer but a 2xx is a failure.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "resend.h"

enum { ANSWER_MAX = 1 << 20, CONNECTIONS_MAX = 16 };

struct connection {
    pthread_t thread;
    int socket;
    size_t length;
    char answer[ANSWER_MAX + 1];
};

static struct connection connections[CONNECTIONS_MAX];
static atomic_int next_page;

static void connect_to(struct connection *connection, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int one = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connection->socket = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(connection->socket, (struct sockaddr *)&address, sizeof address) != 0)
        fail("the server can't be reached");
    setsockopt(connection->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void send_page(const struct connection *connection, const struct page *page)
{
    for (size_t sent = 0; sent < page->length;) {
        ssize_t length =
            send(connection->socket, page->bytes + sent, page->length - sent, MSG_NOSIGNAL);
        if (length <= 0)
            fail("the server has closed the connection");
        sent += (size_t)length;
    }
}

static const char *header_of(const char *head, const char *name)
{
    const char *found = strcasestr(head, name);
    return found ? found + strlen(name) : NULL;
}

/* Whether all of an answer has come. */
static bool is_whole(const struct connection *connection)
{
    const char *head = connection->answer, *body = strstr(head, "\r\n\r\n");
    if (!body)
        return false;
    body += 4;
    size_t length = connection->length - (size_t)(body - head);
    const char *chunked = header_of(head, "\r\nTransfer-Encoding: chunked");
    const char *content = header_of(head, "\r\nContent-Length:");
    if (chunked && chunked < body)
        return length >= 5 && memcmp(body + length - 5, "0\r\n\r\n", 5) == 0;
    if (content && content < body)
        return length >= strtoull(content, NULL, 10);
    return true; /* 204 */
}

static void await_answer(struct connection *connection)
{
    connection->length = 0;
    do {
        ssize_t length = recv(connection->socket, connection->answer + connection->length,
                              ANSWER_MAX - connection->length, 0);
        if (length <= 0)
            fail("the server did not answer, or with too much");
        connection->length += (size_t)length;
        connection->answer[connection->length] = '\0';
    } while (!is_whole(connection));
    if (strncmp(connection->answer, "HTTP/1.1 2", 10) != 0) {
        connection->answer[300] = '\0';
        fail(connection->answer);
    }
}

static void *send_pages(void *context)
{
    struct connection *connection = context;
    for (int i; (i = atomic_fetch_add(&next_page, 1)) < page_count;) {
        send_page(connection, &pages[i]);
        await_answer(connection);
    }
    return NULL;
}

static int number_of(const char *text, int least, int most)
{
    char *end;
    long number = strtol(text, &end, 10);
    if (*end || end == text || number < least || number > most)
        fail("usage: resend PORT FILE CONNECTIONS (1 to 16)");
    return (int)number;
}

int main(int argc, char **argv)
{
    if (argc != 4)
        fail("usage: resend PORT FILE CONNECTIONS");
    int port = number_of(argv[1], 1, 65535), count = number_of(argv[3], 1, CONNECTIONS_MAX);
    read_pages(argv[2]);
    for (int i = 0; i < count; i++)
        connect_to(&connections[i], port);
    int64_t began_ns = now_ns();
    for (int i = 1; i < count; i++) {
        if (pthread_create(&connections[i].thread, NULL, send_pages, &connections[i]) != 0)
            fail("no thread");
    }
    send_pages(&connections[0]);
    for (int i = 1; i < count; i++)
        pthread_join(connections[i].thread, NULL);
    printf("%.6f\n", (double)(now_ns() - began_ns) / 1e9);
    return 0;
}
