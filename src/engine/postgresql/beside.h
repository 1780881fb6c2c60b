/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_POSTGRESQL_BESIDE_H
#define ENGINE_POSTGRESQL_BESIDE_H

/* A schema beside that of the store that serves: beside.c. */

#include "engine/postgresql/internal.h"
#include "store/beside.h"

#define POSTGRESQL_OPEN_WAIT_MS 30000 /* for a server that is starting */

extern const struct beside_ops postgresql_beside;

/* From here on the store's schema is the one beside that of its options. */
enum fh_code postgresql_beside_enter(struct postgresql_store *store,
                                     const struct store_beside *beside, struct fh_error *error);
/* guard.c: whether such a text may run in this store. */
enum fh_code postgresql_beside_allows(const struct postgresql_store *store, const char *sql,
                                      struct fh_error *error);

/* work.c: one or more statements of the engine's own, in a unit of work that has begun; if it
 * fails, the unit of work fails. */
enum fh_code postgresql_work_simple(struct postgresql_work *work, const char *sql,
                                    struct fh_error *error);

#endif
