/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_ENGINE_POSTGRESQL_H
#define TESTS_ENGINE_POSTGRESQL_H

/* What suites of PostgreSQL alone need of its engine's row, besides a store. */

#include "conformance.h"

/* The configuration's "store" of the case: its schema, as the superuser. New reference. */
json_t *postgresql_server(const struct harness *harness);
/* The superuser, outside of any store. On a fiber. */
struct postgresql_connection *postgresql_administrator(struct world *world, struct fh_error *error);
void postgresql_administrator_free(struct postgresql_connection *connection);
/* One text of statements, over a connection of its own. */
enum fh_code postgresql_administer(struct world *world, const char *sql, struct fh_error *error);

#endif
