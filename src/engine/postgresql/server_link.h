/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_POSTGRESQL_SERVER_LINK_H
#define ENGINE_POSTGRESQL_SERVER_LINK_H

/* A blocking connection, for creating users and administering servers (server.c). */

#include "engine/postgresql/internal.h"
#include "store/server.h"

#define POSTGRESQL_PORT 5432

/* Connects as `as` says, but to `database`. FH_CONFLICT: the server refuses the user; otherwise
 * FH_UNAVAILABLE. */
enum fh_code postgresql_server_open_link(const json_t *as, const char *database, PGconn **ret,
                                         struct fh_error *error);

#endif
