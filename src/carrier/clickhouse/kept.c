/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked of a server that alone has facts. It answers when a part is renamed, which is
 * synced later: so what it has acknowledged may be gone after a power cut, each part by itself, and
 * not after a kill. It keeps parts that it has merged for some time for the same reason, and by
 * then takes for granted that the kernel has written what they became.
 */

#include "base/json.h"
#include "carrier/clickhouse/internal.h"

/* A statement that is answered with one integer. */
static enum fh_code ask_one_integer(struct clickhouse *server, const struct text *sql, int64_t *ret,
                                    struct fh_error *error)
{
    json_t *rows;
    json_int_t integer = 0;
    enum fh_code code = clickhouse_ask_rows(server, sql, 0, &rows, error);
    if (code == FH_OK &&
        (json_array_size(rows) != 1 ||
         !json_integer_at(json_array_get(json_array_get(rows, 0), 0), "", &integer)))
        code = clickhouse_strange(server, error);
    json_decref(rows);
    *ret = integer;
    return code;
}

enum fh_code clickhouse_settles(struct carried_server *base, int64_t *ret_settle_s,
                                int64_t *ret_running_s, struct fh_error *error)
{
    struct clickhouse *server = clickhouse_of(base);
    struct text sql;
    text_init(&sql, CLICKHOUSE_SMALL);
    text_add(&sql, "SELECT toInt64(uptime()) FORMAT JSONCompact");
    enum fh_code code = ask_one_integer(server, &sql, ret_running_s, error);
    text_release(&sql);
    *ret_settle_s = server->options.settle_s;
    return code == FH_NOT_FOUND ? clickhouse_strange(server, error) : code;
}

/* Without FINAL: a fact that came twice has one name and one position, and one column is read of
 * those that are not counted. */
enum fh_code clickhouse_count(struct carried_server *base, const struct fh_derived *declared,
                              const struct carried_name *generation, int64_t position,
                              int64_t *ret_count, struct fh_error *error)
{
    struct clickhouse *server = clickhouse_of(base);
    char table[CLICKHOUSE_TABLE_SIZE];
    struct text sql;
    clickhouse_table(declared, generation, table);
    text_init(&sql, CLICKHOUSE_SMALL);
    text_add(&sql, "SELECT toInt64(uniqExact(fh_at, fh_key)) FROM ");
    clickhouse_write_table(&sql, server, table);
    text_printf(&sql, " WHERE fh_position > %lld AND fh_kind = 1 FORMAT JSONCompact",
                (long long)position);
    enum fh_code code = ask_one_integer(server, &sql, ret_count, error);
    text_release(&sql);
    return code == FH_NOT_FOUND ? clickhouse_confirm_gone(server, table, 0, error) : code;
}
