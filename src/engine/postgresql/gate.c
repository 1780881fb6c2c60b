/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When libpq has sent its first message and read nothing yet, its descriptor is replaced (dup3) by
 * one end of a pair of sockets, and the server's messages reach it one by one through this file:
 *
 *     BEGUN --asks for SCRAM--> ASKED --the server's proof--> PROVED --lets in--> IN
 *     any --anything else but an error or a notice--> refused
 *
 * The server's last message of SCRAM, which libpq verifies, proves that it knows the password; one
 * that lets in without it is refused, too, since it would be told what the store is asked. Not a
 * byte more than a message is read at a time, so none is left here when libpq is ready and gets the
 * connection itself.
 */

#define _GNU_SOURCE
#include "engine/postgresql/gate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { OPEN, BEGUN, ASKED, PROVED, IN }; /* OPEN: libpq still has the connection */

#define HEAD 5 /* of a message: its type and its length */
#define ONLY_SCRAM                                                                                 \
    "The store's server asks for the password in another way than scram-sha-256. It was not "      \
    "told it: whoever listens on that port may be another."
#define NO_PROOF                                                                                   \
    "The store's server lets the service in without a proof of the password (trust), so whoever "  \
    "listens on that port may be another: have it ask for scram-sha-256."
#define NO_SENSE "What the store's server says is not PostgreSQL's protocol."
#define NO_GATE "The connection to the store's server can't be watched."

void postgresql_gate_init(struct postgresql_gate *gate, bool needed)
{
    gate->needed = needed;
    gate->refused = NULL;
    gate->state = OPEN;
    gate->library_fd = gate->own_fd = gate->server_fd = -1;
    gate->have = 0;
}

int postgresql_gate_socket(const struct postgresql_gate *gate, const PGconn *pg)
{
    return gate->state == OPEN ? postgresql_pq.PQsocket(pg) : gate->server_fd;
}

void postgresql_gate_release(struct postgresql_gate *gate)
{
    if (gate->own_fd >= 0)
        close(gate->own_fd);
    if (gate->server_fd >= 0)
        close(gate->server_fd);
    gate->own_fd = gate->server_fd = -1;
}

static PostgresPollingStatusType refuse_server(struct postgresql_gate *gate, const char *why)
{
    gate->refused = why;
    return PGRES_POLLING_FAILED;
}

static PostgresPollingStatusType close_gate(struct postgresql_gate *gate, const PGconn *pg)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0)
        return refuse_server(gate, NO_GATE);
    gate->own_fd = pair[0];
    gate->library_fd = postgresql_pq.PQsocket(pg);
    gate->server_fd = fcntl(gate->library_fd, F_DUPFD_CLOEXEC, 0);
    bool closed = gate->server_fd >= 0 && dup3(pair[1], gate->library_fd, O_CLOEXEC) >= 0;
    close(pair[1]);
    gate->state = BEGUN;
    return closed ? PGRES_POLLING_READING : refuse_server(gate, NO_GATE);
}

/* libpq has the connection again, with everything that was read of it. */
static PostgresPollingStatusType open_gate(struct postgresql_gate *gate)
{
    if (gate->state != IN || gate->have > 0)
        return refuse_server(gate, NO_SENSE);
    if (dup3(gate->server_fd, gate->library_fd, O_CLOEXEC) < 0)
        return refuse_server(gate, NO_GATE);
    postgresql_gate_release(gate);
    gate->state = OPEN;
    gate->needed = false;
    return PGRES_POLLING_OK;
}

static uint32_t length_at(const unsigned char *at)
{
    uint32_t number;
    memcpy(&number, at, sizeof number);
    return ntohl(number);
}

/* NULL: the whole message in gate->message may reach libpq. */
static const char *judge_message(struct postgresql_gate *gate)
{
    enum { LET_IN = 0, SCRAM = 10, SCRAM_GOES_ON = 11, SCRAM_PROOF = 12 };
    char type = (char)gate->message[0];
    if (type == 'E' || type == 'N')
        return NULL;
    if (type != 'R')
        return gate->state == IN && strchr("SKZ", type) ? NULL : NO_SENSE;
    if (gate->have < HEAD + sizeof(uint32_t))
        return NO_SENSE;
    uint32_t asked = length_at(gate->message + HEAD);
    if (gate->state == BEGUN && asked == SCRAM)
        gate->state = ASKED;
    else if (gate->state == ASKED && asked == SCRAM_PROOF)
        gate->state = PROVED;
    else if (gate->state == PROVED && asked == LET_IN)
        gate->state = IN;
    else if (gate->state != ASKED || asked != SCRAM_GOES_ON)
        return asked == LET_IN ? NO_PROOF : ONLY_SCRAM;
    return NULL;
}

enum reading { WHOLE, PARTIAL, ENDED, MALFORMED };

/* One message at most. */
static enum reading read_message(struct postgresql_gate *gate)
{
    for (;;) {
        size_t size = HEAD;
        if (gate->have >= HEAD) {
            uint32_t length = length_at(gate->message + 1);
            if (length < sizeof length || length > sizeof gate->message - 1)
                return MALFORMED;
            size = 1 + length;
            if (gate->have == size)
                return WHOLE;
        }
        ssize_t got = recv(gate->server_fd, gate->message + gate->have, size - gate->have, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return PARTIAL;
        if (got <= 0)
            return ENDED;
        gate->have += (size_t)got;
    }
}

/* What libpq has sent. These are short; a server that does not take them is none. */
static bool pass_on(struct postgresql_gate *gate)
{
    unsigned char buffer[POSTGRESQL_MESSAGE_MAX];
    for (;;) {
        ssize_t length = recv(gate->own_fd, buffer, sizeof buffer, 0);
        if (length < 0 && errno == EINTR)
            continue;
        if (length <= 0)
            return length == 0 || errno == EAGAIN || errno == EWOULDBLOCK;
        if (send(gate->server_fd, buffer, (size_t)length, MSG_NOSIGNAL) != length)
            return false;
    }
}

/* Until libpq has read all that reached it. */
static PostgresPollingStatusType poll_library(struct postgresql_gate *gate, PGconn *pg)
{
    PostgresPollingStatusType status;
    int unread = 0;
    do {
        if (postgresql_pq.PQsocket(pg) != gate->library_fd)
            return refuse_server(gate, NO_GATE); /* it tries another address */
        status = postgresql_pq.PQconnectPoll(pg);
        if (!pass_on(gate))
            return refuse_server(gate, NO_SENSE);
    } while (status == PGRES_POLLING_READING && ioctl(gate->library_fd, FIONREAD, &unread) == 0 &&
             unread > 0);
    return status;
}

PostgresPollingStatusType postgresql_gate_poll(struct postgresql_gate *gate, PGconn *pg)
{
    PostgresPollingStatusType status = PGRES_POLLING_READING;
    if (gate->state == OPEN) {
        status = postgresql_pq.PQconnectPoll(pg);
        if (!gate->needed || postgresql_pq.PQstatus(pg) != CONNECTION_AWAITING_RESPONSE)
            return status;
        return close_gate(gate, pg);
    }
    while (status == PGRES_POLLING_READING) {
        enum reading reading = read_message(gate);
        if (reading == PARTIAL)
            return status;
        if (reading == MALFORMED)
            return refuse_server(gate, NO_SENSE);
        if (reading == ENDED) {
            shutdown(gate->own_fd, SHUT_WR); /* libpq says so */
            return poll_library(gate, pg);
        }
        const char *why = judge_message(gate);
        if (why)
            return refuse_server(gate, why);
        if (send(gate->own_fd, gate->message, gate->have, MSG_NOSIGNAL) != (ssize_t)gate->have)
            return refuse_server(gate, NO_GATE);
        gate->have = 0;
        status = poll_library(gate, pg);
    }
    if (status == PGRES_POLLING_WRITING) /* the pair takes everything at once */
        return PGRES_POLLING_READING;
    return status == PGRES_POLLING_OK ? open_gate(gate) : status;
}
