/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARRIER_DRIVER_H
#define CARRIER_DRIVER_H

/*
 * A kind of server that derived stores can lie on, as system files name it: how a connection to one
 * is opened. What the connection then does is server.h. Each driver is a folder next to this file
 * with a `struct carried_driver` named `carried_NAME`, and a line in meson.build.
 */

#include <jansson.h>

#include "base/error.h"
#include "carrier/server.h"

#define CARRIED_OWNER_SIZE 80

struct world;
struct server_kind; /* store/server.h */

/* Every slot is there; `options` and `server` may be NULL. */
struct carried_driver {
    const char *name;  /* as system files spell it: "opensearch" */
    const char *title; /* as people write it */
    unsigned models;   /* 1u << enum fh_model: those it can hold, as carried_server_ops has them */
    unsigned keeps;    /* the same: those that it can be the only one to have (server.h) */
    int64_t from_ms, to_ms; /* it has times from the one on, and before the other; 0, 0: all */
    int port;               /* the usual one */
    /* Those it has besides host, port, user, password and tls, separated by spaces. */
    const char *options;
    /* How a private one is run, which listens on a port; NULL: there are none. It lets in whom its
     * `stores` name, [{"user", "password", "owner"}], and serves one service, since nothing keeps
     * the users of such a server apart. */
    const struct server_kind *server;
    /* Whether `options` are right, and the client library is there; connects to nobody.
     * FH_INVALID: they are wrong; FH_UNSUPPORTED: the library is not there. */
    enum fh_code (*check)(const json_t *options, struct fh_error *error);
    /*
     * Opens a connection, for one service's derived stores of any number, without waiting for the
     * server: it may be away. `options`: {"host", "port", "user", "password", "tls": {"mode": "off"
     * or "verify", "ca", "certificate", "key"}} and its own; borrowed until `close`. `owner`:
     * "SYSTEM.SERVICE", of lower-case letters, digits, '-', '_' and one '.'. What it makes on the
     * server is named after the owner, the derived store and the generation, and `generations`
     * shows those alone: other services and systems may use the same server.
     */
    enum fh_code (*open)(struct world *world, const json_t *options, const char *owner,
                         struct carried_server **ret, struct fh_error *error);
    /* Requests in progress end now with FH_UNAVAILABLE, as do all later ones. Must not park. */
    void (*silence)(struct carried_server *server);
    /* No request is in progress. */
    void (*close)(struct carried_server *server);
};

/* From the build (meson.build); the last one is NULL. */
extern const struct carried_driver *const carried_drivers_built_in[];
/* Names of the drivers that this build lacks, ending with NULL. */
extern const char *const carried_drivers_lacking[];

/* For a `send` whose page may not be written yet, as that of a test: has it written beside the loop
 * then. True: whoever calls this unwrites it. page->written is NULL afterwards: there is no memory.
 * On a fiber. */
bool carried_write(struct world *world, const struct carried_server_ops *ops,
                   const struct fh_derived *declared, const struct carried_name *generation,
                   struct carried_page *page);
void carried_unwrite(const struct carried_server_ops *ops, struct carried_page *page);

/* Adds a driver, as simulations and tests do. Ends the process if a slot is missing or the name is
 * taken. Call it before there are threads. */
void carried_driver_register(const struct carried_driver *driver);
/* Whether a server of this kind can be the only one that has what is derived of a model; if not,
 * why, as the end of a sentence. */
bool carried_keeps(const struct carried_driver *driver, enum fh_model model,
                   char ret_why[static 160]);
#define CARRIED_KEEPS_NO_ROLLUPS                                                                   \
    "roll-ups are made of the points in the service's own store, which has none then"
/* NULL: not built in. */
const struct carried_driver *carried_driver_named(const char *name);
/* The driver after this one (NULL: the first); NULL: no more. */
const struct carried_driver *carried_driver_next(const struct carried_driver *driver);

#endif
