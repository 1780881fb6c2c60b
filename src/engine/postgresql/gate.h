/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_POSTGRESQL_GATE_H
#define ENGINE_POSTGRESQL_GATE_H

/*
 * libpq (before 16) gives a server any proof of the password that this asks for, in clear text too.
 * Over TLS and Unix sockets it is known who asks; on a plain TCP connection a gate lets only SCRAM
 * through.
 */

#include "engine/postgresql/internal.h"

#define POSTGRESQL_MESSAGE_MAX 8192 /* of a message while a connection is made */

struct postgresql_gate {
    bool needed;
    const char *refused; /* a sentence: the connection is not made; NULL: nothing was refused */
    int state;           /* the file's own, like the rest */
    int library_fd;      /* libpq's number; while the gate is closed, its end of our pair */
    int own_fd, server_fd;
    size_t have;
    unsigned char message[POSTGRESQL_MESSAGE_MAX];
};

/* When libpq has begun to connect. `needed`: by plain TCP, with a password. */
void postgresql_gate_init(struct postgresql_gate *gate, bool needed);
/* In place of PQsocket and PQconnectPoll, until the latter is OK or FAILED. */
int postgresql_gate_socket(const struct postgresql_gate *gate, const PGconn *pg);
PostgresPollingStatusType postgresql_gate_poll(struct postgresql_gate *gate, PGconn *pg);
/* Afterwards, before PQfinish. */
void postgresql_gate_release(struct postgresql_gate *gate);

#endif
