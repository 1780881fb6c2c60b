/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_ENGINE_MONGODB_H
#define TESTS_ENGINE_MONGODB_H

/* The servers that speak MongoDB's protocol, for suites of that engine's own. */

#include "conformance.h"

/* Where the case's database is. */
json_t *mongodb_server(const struct harness *harness, const struct conformance_engine *engine);
/* Another process's store on the case's database: all that are opened this way take turns. */
enum fh_code mongodb_open_shared(struct conformance *c, struct store **ret);
/* The case's store through another port. The one that is open must be closed before. */
enum fh_code mongodb_open_at(struct conformance *c, int port, struct store **ret);

#endif
