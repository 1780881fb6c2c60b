/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_ENGINE_MARIADB_H
#define TESTS_ENGINE_MARIADB_H

/* What only the suites of MariaDB itself need of its server. */

#include "conformance.h"

/* The configuration of the case's own store, as the superuser. A new reference. */
json_t *mariadb_test_server(const struct harness *harness);
/* One statement of the superuser's, in no database. `row` as mariadb_query's, or NULL. */
enum fh_code mariadb_test_administer(struct harness *harness, const char *sql,
                                     void (*row)(void *context, char **row), void *context,
                                     struct fh_error *error);

#endif
