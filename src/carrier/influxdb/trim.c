/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Removes points, of whole days, and nothing of the links: those say what was carried, and not what
 * is still there. What comes late is removed the next time, and asked by nobody. Shards themselves
 * are left to the server: only an administrator may drop one, and a retention policy would drop the
 * links in it, too.
 */

#include "carrier/influxdb/internal.h"

enum fh_code influxdb_trim(struct carried_server *base, const struct fh_derived *declared,
                           const struct carried_name *generation, int64_t oldest_ms,
                           struct fh_error *error)
{
    struct influxdb *server = influxdb_of(base);
    struct text statement;
    char measurement[INFLUXDB_NAME_SIZE];
    int64_t day_ms = series_floor(oldest_ms, INFLUXDB_DAY_MS);
    influxdb_measurement(declared, generation, "", measurement);
    enum fh_code code = influxdb_look(server, declared, measurement, error);
    if (code != FH_OK || day_ms <= INFLUXDB_AT_MS_MIN)
        return code;
    if (day_ms > INFLUXDB_AT_MS_MAX)
        day_ms = INFLUXDB_AT_MS_MAX;
    text_init(&statement, INFLUXDB_SMALL);
    text_add(&statement, "DELETE FROM ");
    influxdb_add_identifier(&statement, measurement);
    text_printf(&statement, " WHERE time < %lld", (long long)day_ms * INFLUXDB_MS);
    code = influxdb_run(server, &statement, error);
    text_release(&statement);
    return code;
}
