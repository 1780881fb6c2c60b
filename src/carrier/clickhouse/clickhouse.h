/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARRIER_CLICKHOUSE_CLICKHOUSE_H
#define CARRIER_CLICKHOUSE_CLICKHOUSE_H

/* ClickHouse as a server of derived stores (carrier/server.h): README.md says how. By HTTP alone,
 * so there is no library to be loaded. */

#include "carrier/server.h"
#include "world/world.h"

#define CLICKHOUSE_PORT 8123

/*
 * `options`: {"host", "port", "user", "password", "interval_ms", "tls"}, each of which may be
 * missing; "tls" as in store/tls.h. FH_INVALID: they are wrong; nothing of them that may be secret
 * is repeated. Connects to nobody.
 */
enum fh_code clickhouse_check(const json_t *options, struct fh_error *error);
/* `owner` is the database of all that is kept there, and the service's alone: "SYSTEM.SERVICE"
 * as in carrier/driver.h, less than CARRIED_OWNER_SIZE bytes. */
enum fh_code clickhouse_open(struct world *world, const json_t *options, const char *owner,
                             struct carried_server **ret, struct fh_error *error);
/* Requests in progress end now with FH_UNAVAILABLE, as do all later ones. */
void clickhouse_silence(struct carried_server *server);
/* No request is in progress. The loop runs once more. NULL: nothing. */
void clickhouse_close(struct carried_server *server);

#endif
