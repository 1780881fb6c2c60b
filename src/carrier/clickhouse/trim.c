/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts that are too old, which no question counts, are removed by a mutation: the server writes
 * each part that has some of them anew. So there is one at a time, and only where at least one row
 * in TRIM_SHARE goes: what is written for it is at most so many times what it removes. Links stay.
 *
 * The server goes on with a mutation by itself, after a restart too, so nothing is waited for.
 */

#include <string.h>

#include "base/json.h"
#include "carrier/clickhouse/internal.h"

#define TRIM_SHARE 20

static void write_too_old(struct text *sql, int64_t oldest_ms)
{
    text_printf(sql, " WHERE fh_kind = 1 AND fh_at < %lld", (long long)oldest_ms);
}

static void write_own_rows(struct text *sql, const struct clickhouse *server, const char *table)
{
    text_add(sql, " WHERE database = ");
    clickhouse_write_literal(sql, server->owner, strlen(server->owner));
    text_add(sql, " AND table = ");
    clickhouse_write_literal(sql, table, strlen(table));
}

/* How many rows are too old, how many there are, and how many mutations are under way. */
static void write_trim_question(struct text *sql, const struct clickhouse *server,
                                const char *table, int64_t oldest_ms)
{
    text_add(sql, "SELECT toInt64((SELECT count() FROM ");
    clickhouse_write_table(sql, server, table);
    write_too_old(sql, oldest_ms);
    text_add(sql, ")), toInt64((SELECT sum(rows) FROM system.parts");
    write_own_rows(sql, server, table);
    text_add(sql, " AND active)), toInt64((SELECT count() FROM system.mutations");
    write_own_rows(sql, server, table);
    text_add(sql, " AND is_done = 0)) FORMAT JSONCompact");
}

static enum fh_code is_trim_due(struct clickhouse *server, const char *table, int64_t oldest_ms,
                                bool *ret, struct fh_error *error)
{
    struct text sql;
    json_t *rows;
    json_int_t old, all, mutations;
    text_init(&sql, CLICKHOUSE_SMALL);
    write_trim_question(&sql, server, table, oldest_ms);
    enum fh_code code = clickhouse_ask_rows(server, &sql, 0, &rows, error);
    const json_t *row = json_array_get(rows, 0);
    if (code == FH_OK && (!json_integer_at(json_array_get(row, 0), "", &old) ||
                          !json_integer_at(json_array_get(row, 1), "", &all) ||
                          !json_integer_at(json_array_get(row, 2), "", &mutations)))
        code = clickhouse_strange(server, error);
    else if (code == FH_OK)
        *ret = mutations == 0 && old > 0 && old >= all / TRIM_SHARE;
    json_decref(rows);
    text_release(&sql);
    return code;
}

static enum fh_code begin_trim(struct clickhouse *server, const char *table, int64_t oldest_ms,
                               struct fh_error *error)
{
    struct text sql;
    text_init(&sql, CLICKHOUSE_SMALL);
    text_add(&sql, "ALTER TABLE ");
    clickhouse_write_table(&sql, server, table);
    text_add(&sql, " DELETE");
    write_too_old(&sql, oldest_ms);
    struct clickhouse_call call = {.body = sql.data, .body_length = sql.length};
    FH_ASSERT(!sql.overflow);
    enum fh_code code = clickhouse_ask(server, &call, error);
    clickhouse_call_release(&call);
    text_release(&sql);
    return code;
}

enum fh_code clickhouse_trim(struct carried_server *base, const struct fh_derived *declared,
                             const struct carried_name *generation, int64_t oldest_ms,
                             struct fh_error *error)
{
    struct clickhouse *server = clickhouse_of(base);
    char table[CLICKHOUSE_TABLE_SIZE];
    bool due = false;
    clickhouse_table(declared, generation, table);
    enum fh_code code = is_trim_due(server, table, oldest_ms, &due, error);
    if (code == FH_OK && due)
        code = begin_trim(server, table, oldest_ms, error);
    return code == FH_NOT_FOUND ? clickhouse_confirm_gone(server, table, 0, error) : code;
}
