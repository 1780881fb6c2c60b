/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked of a server that alone has points. It has synced what it acknowledges, and yet a
 * part was once missing after it was killed twice within seconds; so what it has counts once it has
 * been running with it for a while. How long it has been running it tells everybody at /debug/vars;
 * one that does not is not trusted with what nobody else has.
 */

#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>

#include "carrier/influxdb/internal.h"

/* Of "system", {"currentTime": ..., "started": ..., "uptime": 17}, which comes first, before what
 * there is to say of each shard. */
static bool read_uptime(const struct world_request *request, int64_t *ret)
{
    static const char begins[] = "\"system\":", names[] = "\"uptime\":";
    const char *end = request->answer + request->answer_length;
    const char *system = memmem(request->answer, request->answer_length, begins, strlen(begins));
    const char *closes = system ? memchr(system, '}', (size_t)(end - system)) : NULL;
    const char *at =
        closes ? memmem(system, (size_t)(closes - system), names, strlen(names)) : NULL;
    *ret = 0;
    if (!at)
        return false;
    at += strlen(names);
    at += strspn(at, " ");
    char *behind;
    *ret = strtoll(at, &behind, 10);
    return behind > at && behind <= closes && *ret >= 0;
}

enum fh_code influxdb_settles(struct carried_server *base, int64_t *ret_settle_s,
                              int64_t *ret_running_s, struct fh_error *error)
{
    struct influxdb *server = influxdb_of(base);
    struct influxdb_call call = {0};
    enum fh_code code = influxdb_ask_itself(server, &call, error);
    *ret_settle_s = INFLUXDB_SETTLE_S;
    *ret_running_s = 0;
    if (code == FH_OK && !read_uptime(&call.request, ret_running_s))
        code = error_set(error, FH_UNSUPPORTED,
                         "InfluxDB at %.100s does not tell at /debug/vars for how long it has been "
                         "running: it can't be the only one to have points.",
                         server->base_url);
    influxdb_call_release(&call);
    return code;
}

/* ---- How many ---- */

static bool take_count(void *context, const struct influxdb_rows *rows)
{
    int64_t *count = context;
    return rows->column_count == 2 && influxdb_cell_integer(&rows->cells[1], count);
}

struct kept_counting {
    struct influxdb_state state;
    int64_t count;
};

static bool take_state_or_count(void *context, const struct influxdb_rows *rows)
{
    struct kept_counting *counting = context;
    return rows->statement < 2 ? influxdb_state_row(&counting->state, rows)
                               : take_count(&counting->count, rows);
}

/* Versions, each of which an event has written. */
enum fh_code influxdb_count(struct carried_server *base, const struct fh_derived *declared,
                            const struct carried_name *generation, int64_t position,
                            int64_t *ret_count, struct fh_error *error)
{
    struct influxdb *server = influxdb_of(base);
    struct kept_counting counting = {.count = 0};
    struct influxdb_reader reader = {.context = &counting, .row = take_state_or_count};
    struct influxdb_call call = {0};
    char measurement[INFLUXDB_NAME_SIZE];
    struct text statements;
    text_init(&statements, INFLUXDB_SMALL);
    influxdb_measurement(declared, generation, "", measurement);
    influxdb_state_init(&counting.state, declared);
    influxdb_add_state(&statements, server, measurement);
    text_add(&statements, ";SELECT count(\"fh_p\") FROM ");
    influxdb_add_identifier(&statements, measurement);
    text_printf(&statements, " WHERE \"fh_p\" > %lld", (long long)position);
    call.body = statements.data;
    call.body_length = statements.length;
    enum fh_code code = influxdb_query(server, &call, error);
    if (code == FH_OK)
        code = influxdb_read(server, &call, &reader, error);
    if (code == FH_OK)
        code = influxdb_state_check(server, &counting.state, error);
    influxdb_call_release(&call);
    text_release(&statements);
    *ret_count = counting.count;
    return code;
}
