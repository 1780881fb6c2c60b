/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARRIER_INFLUXDB_INFLUXDB_H
#define CARRIER_INFLUXDB_INFLUXDB_H

/* InfluxDB 1.x as a server of derived stores (carrier/server.h): README.md says how. By HTTP alone,
 * so there is no library to be loaded. */

#include "carrier/server.h"
#include "world/world.h"

#define INFLUXDB_PORT 8086

/* `options`: {"host", "port", "user", "password", "tls"}, each of which may be missing; "tls" as in
 * store/tls.h. FH_INVALID: they are wrong; nothing of them that may be secret is repeated. Connects
 * to nobody. */
enum fh_code influxdb_check(const json_t *options, struct fh_error *error);
/* `owner` is the name of the database that all is kept in, and is the service's alone:
 * "SYSTEM.SERVICE" as in carrier/driver.h, less than CARRIED_OWNER_SIZE bytes. */
enum fh_code influxdb_open(struct world *world, const json_t *options, const char *owner,
                           struct carried_server **ret, struct fh_error *error);
/* Requests in progress end now with FH_UNAVAILABLE, as do all later ones. */
void influxdb_silence(struct carried_server *server);
/* No request is in progress. The loop runs once more. NULL: nothing. */
void influxdb_close(struct carried_server *server);

#endif
