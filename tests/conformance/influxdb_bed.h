/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_INFLUXDB_BED_H
#define TESTS_INFLUXDB_BED_H

/* InfluxDB, as tools/servers starts it, and what tests do to it. */

#include "carried_bed.h"

/* What influxdb_open takes, and "pid_file"; NULL: there is none. A new reference. */
json_t *bed_influxdb_options(char ret_why[static 160]);
/* With a database of its own, which is not made yet. NULL: there is none. */
struct carried_server *bed_influxdb_open(struct harness *harness, char ret_why[static 160]);
/* On a fiber, as the following. Until it is done. */
void bed_influxdb_insist(struct carried_server *server, const char *statement);
void bed_influxdb_wipe(struct carried_server *server);
/* Kills it, so many milliseconds later. */
void bed_influxdb_kill(struct world *world, int64_t within_ms);
/* It is killed so many milliseconds after the page began; the result of `send`. */
enum fh_code bed_influxdb_die_within(struct carried_server *server,
                                     const struct fh_derived *declared,
                                     const struct carried_name *generation,
                                     struct carried_page *page, int64_t within_ms,
                                     struct fh_error *error);

#endif
