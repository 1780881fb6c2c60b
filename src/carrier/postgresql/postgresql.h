/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARRIER_POSTGRESQL_POSTGRESQL_H
#define CARRIER_POSTGRESQL_POSTGRESQL_H

/* PostgreSQL as a server of series (carrier/server.h): README.md says how. Its functions are those
 * of carrier/driver.h. */

#include "carrier/server.h"
#include "world/world.h"

#define CURVES_PORT 5432

/* `options`: {"host", "port", "database", "user", "password", "tls"}; only database and user have
 * to be there. FH_INVALID: they are wrong; nothing of them that may be secret is repeated. */
enum fh_code curves_check(const json_t *options, struct fh_error *error);
enum fh_code curves_open(struct world *world, const json_t *options, const char *owner,
                         struct carried_server **ret, struct fh_error *error);
void curves_silence(struct carried_server *server);
void curves_close(struct carried_server *server);

#endif
