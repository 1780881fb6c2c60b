/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same for PostgreSQL: statements as a service has sent them, of a page all at once, and what
 * is awaited is that the server is ready for the next page. What has made the tables comes first,
 * and is not measured. libpq proves the password, and is not used for anything else.
 *
 *     resend_postgresql CONNINFO FILE
 *
 * Prints the seconds from the first page to the last answer. Any error is a failure.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>

#include "resend.h"

enum { READ_MAX = 65536, WORDS_MAX = 300 };

/* The message that is being read: its type and length, and what of it is still to come. */
struct message {
    unsigned char head[5];
    size_t head_length;
    uint64_t left;
    char text[WORDS_MAX + 1]; /* as it begins, to say what is wrong */
    size_t text_length;
};

static struct message message;
static uint32_t ready;

static void begin_message(void)
{
    uint32_t length;
    memcpy(&length, message.head + 1, sizeof length);
    message.left = ntohl(length) - sizeof length;
    message.text_length = 0;
}

static void note_text(const unsigned char *bytes, size_t length)
{
    for (size_t i = 0; i < length && message.text_length < WORDS_MAX; i++)
        message.text[message.text_length++] = (char)(bytes[i] ? bytes[i] : ' ');
}

static void end_message(void)
{
    message.text[message.text_length] = '\0';
    if (message.head[0] == 'E')
        fail(message.text);
    ready += message.head[0] == 'Z';
    message.head_length = 0;
}

static void take_bytes(const unsigned char *bytes, size_t length)
{
    while (length > 0) {
        if (message.head_length < sizeof message.head) {
            message.head[message.head_length++] = *bytes++;
            length--;
            if (message.head_length == sizeof message.head)
                begin_message();
        } else {
            size_t some = length < message.left ? length : (size_t)message.left;
            note_text(bytes, some);
            message.left -= some;
            bytes += some;
            length -= some;
        }
        if (message.head_length == sizeof message.head && message.left == 0)
            end_message();
    }
}

/* Sends while it reads, so that neither side waits for the other. */
static void run_page(int socket, const struct page *page)
{
    static unsigned char bytes[READ_MAX];
    uint64_t sent = 0;
    for (ready = 0; sent < page->length || ready < page->answers;) {
        struct pollfd wait = {socket, POLLIN, 0};
        if (sent < page->length)
            wait.events |= POLLOUT;
        if (poll(&wait, 1, -1) < 0)
            fail(strerror(errno));
        if (wait.revents & POLLOUT) {
            ssize_t length = send(socket, page->bytes + sent, page->length - sent, MSG_NOSIGNAL);
            if (length < 0 && errno != EAGAIN)
                fail("the server has closed the connection");
            sent += length > 0 ? (uint64_t)length : 0;
        }
        if (wait.revents & (POLLIN | POLLHUP | POLLERR)) {
            ssize_t length = recv(socket, bytes, sizeof bytes, 0);
            if (length == 0 || (length < 0 && errno != EAGAIN))
                fail("the server has closed the connection");
            if (length > 0)
                take_bytes(bytes, (size_t)length);
        }
    }
}

int main(int argc, char **argv)
{
    int64_t began_ns = 0;
    if (argc != 3)
        fail("usage: resend_postgresql CONNINFO FILE");
    read_pages(argv[2]);
    PGconn *connection = PQconnectdb(argv[1]);
    if (PQstatus(connection) != CONNECTION_OK)
        fail(PQerrorMessage(connection));
    for (int i = 0; i < page_count; i++) {
        if (pages[i].measured && !began_ns)
            began_ns = now_ns();
        run_page(PQsocket(connection), &pages[i]);
    }
    printf("%.6f\n", (double)(now_ns() - began_ns) / 1e9);
    PQfinish(connection);
    return 0;
}
