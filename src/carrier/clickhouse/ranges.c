/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a question's time is divided, so that its ranges have about as many rows each. The server
 * is asked for the quantiles of a sample: they need not be exact, and where they are wrong the
 * ranges are only of unequal sizes.
 */

#include <string.h>

#include "base/json.h"
#include "carrier/clickhouse/internal.h"

/* The newest link that is known of this table: links before it need not be looked at. */
static int64_t known_link(const struct clickhouse *server, const char *table)
{
    return strcmp(server->link_table, table) == 0 ? server->link : 0;
}

static void note_known_link(struct clickhouse *server, const char *table, int64_t link)
{
    snprintf(server->link_table, sizeof server->link_table, "%s", table);
    server->link = link;
}

static void write_look(struct text *sql, const struct clickhouse *server, const char *table,
                       const struct columns_question *question)
{
    text_add(sql, "SELECT toInt64(countIf(fh_kind = 1)), toInt64(maxIf(fh_at, fh_kind = 0))");
    for (int i = 1; i < CLICKHOUSE_RANGES; i++)
        text_printf(sql, ", toInt64(quantileIf(%.3f)(fh_at, fh_kind = 1))",
                    (double)i / CLICKHOUSE_RANGES);
    text_add(sql, " FROM ");
    clickhouse_write_table(sql, server, table);
    text_printf(sql,
                " WHERE (fh_kind = 0 AND fh_at >= %lld) OR (fh_kind = 1 AND fh_at >= %lld AND "
                "fh_at < %lld) FORMAT JSONCompact",
                (long long)known_link(server, table), (long long)question->from_ms,
                (long long)question->to_ms);
}

/* Each begins where the one before ends, and none is empty. */
static bool read_range_bounds(const json_t *row, const struct columns_question *question,
                              struct clickhouse_ranges *ret)
{
    ret->count = 0;
    ret->bounds[0] = question->from_ms;
    for (int i = 1; i < CLICKHOUSE_RANGES; i++) {
        json_int_t bound;
        if (!json_integer_at(json_array_get(row, (size_t)i + 1), "", &bound))
            return false;
        if (bound > ret->bounds[ret->count] && bound < question->to_ms)
            ret->bounds[++ret->count] = bound;
    }
    ret->bounds[++ret->count] = question->to_ms;
    return true;
}

enum fh_code clickhouse_divide(struct clickhouse *server, const char *table,
                               const struct columns_question *question, bool kept,
                               int64_t deadline_ns, struct clickhouse_ranges *ret,
                               struct fh_error *error)
{
    struct text sql;
    json_t *rows;
    json_int_t facts = 0, link = 0;
    ret->count = 1;
    text_init(&sql, CLICKHOUSE_SMALL);
    write_look(&sql, server, table, question);
    enum fh_code code = clickhouse_ask_rows(server, &sql, deadline_ns, &rows, error);
    const json_t *row = json_array_get(rows, 0);
    if (json_integer_at(json_array_get(row, 0), "", &facts) &&
        json_integer_at(json_array_get(row, 1), "", &link)) {
        if (facts < server->divided_facts || !read_range_bounds(row, question, ret))
            ret->count = 1;
        if (!kept)
            note_known_link(server, table, link);
    }
    ret->link = kept ? 0 : link;
    json_decref(rows);
    text_release(&sql);
    return code;
}
