/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_POSTGRESQL_LINK_H
#define ENGINE_POSTGRESQL_LINK_H

/*
 * Connections to a server for those who keep no store of this engine there (carrier/postgresql):
 * the same way in, with its gate, its TLS, its session and what is checked of it, and then one text
 * after the other, each awaited. All but the two that say so are called on fibers.
 */

#include <jansson.h>

#include "engine/postgresql/library.h"
#include "world/world.h"

struct postgresql_links; /* a server, and as whom it is asked */
struct postgresql_link;  /* one connection, of one user at a time */

/* What is sent, and what came of it. */
struct postgresql_request {
    const char *sql;
    int count; /* of parameters, as texts; 0: `sql` may be several statements */
    const char *const *values;
    int64_t deadline_ns;
    /* Filled in: */
    PGresult *result; /* of the last statement; NULL: it failed. To be cleared */
    char state[6];    /* why the server has refused it, a SQLSTATE; "": the link has broken */
    bool late;        /* ... as the deadline came first */
};

/* `options`: {"host", "port", "database", "user", "password", "tls", "idle_ms"}, as a store's are;
 * not kept. FH_UNSUPPORTED: they are wrong, or libpq is not there. Connects to nobody, as
 * postgresql_links_check, which looks only. */
enum fh_code postgresql_links_check(const json_t *options, struct fh_error *error);
enum fh_code postgresql_links_new(struct world *world, const json_t *options,
                                  struct postgresql_links **ret, struct fh_error *error);
/* No link of them is there any more. NULL: nothing. */
void postgresql_links_free(struct postgresql_links *links);
/* What is under way on any of them fails, at once or some milliseconds later, as does what comes.
 * Does not park. */
void postgresql_links_end(struct postgresql_links *links);
bool postgresql_links_ended(const struct postgresql_links *links);

struct postgresql_link *postgresql_link_new(struct postgresql_links *links); /* it is closed */
/* FH_UNAVAILABLE, or FH_UNSUPPORTED: the server is not fit. Stays closed then. */
enum fh_code postgresql_link_open(struct postgresql_link *link, int64_t deadline_ns,
                                  struct fh_error *error);
bool postgresql_link_is_open(const struct postgresql_link *link);
bool postgresql_link_is_within(const struct postgresql_link *link); /* a transaction */
/* False: the server has refused it, or the link has broken, and is closed. */
bool postgresql_link_ask(struct postgresql_link *link, struct postgresql_request *request);
void postgresql_link_close(struct postgresql_link *link); /* it may be opened again */
void postgresql_link_free(struct postgresql_link *link);

#endif
