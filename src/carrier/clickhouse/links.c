/* SPDX-License-Identifier: Apache-2.0 */
/* Links are rows, the first of each part, and there as soon as their page was acknowledged. */

#include "base/json.h"
#include "carrier/clickhouse/internal.h"

static void write_links_question(struct text *sql, const struct clickhouse *server,
                                 const char *table, const struct carried_link *after, int limit)
{
    text_add(sql, "SELECT toInt64OrZero(fh_key), fh_at FROM ");
    clickhouse_write_table(sql, server, table);
    text_printf(sql,
                " FINAL WHERE fh_kind = 0 AND fh_at >= %lld AND (fh_at > %lld OR "
                "toInt64OrZero(fh_key) > %lld) ORDER BY fh_at, toInt64OrZero(fh_key) LIMIT %d "
                "FORMAT JSONCompact",
                (long long)after->to, (long long)after->to, (long long)after->from, limit);
}

/* Whoever asks for the next ones behind the last goes on for ever if they do not rise. */
static bool is_behind_link(const struct carried_link *link, const struct carried_link *last)
{
    return link->to > last->to || (link->to == last->to && link->from > last->from);
}

static enum fh_code show_link_rows(struct clickhouse *server, const json_t *rows,
                                   const struct carried_link *after, int limit,
                                   void (*visit)(void *context, const struct carried_link *link),
                                   void *context, int *ret_count, struct fh_error *error)
{
    struct carried_link last = *after;
    size_t i;
    const json_t *row;
    if (json_array_size(rows) > (size_t)limit)
        return clickhouse_strange(server, error);
    json_array_foreach (rows, i, row) {
        json_int_t from, to;
        if (!json_integer_at(json_array_get(row, 0), "", &from) ||
            !json_integer_at(json_array_get(row, 1), "", &to))
            return clickhouse_strange(server, error);
        struct carried_link link = {from, to};
        if (!is_behind_link(&link, &last))
            return clickhouse_strange(server, error);
        visit(context, &link);
        last = link;
        ++*ret_count;
    }
    return FH_OK;
}

enum fh_code clickhouse_links(struct carried_server *base, const struct fh_derived *declared,
                              const struct carried_name *generation,
                              const struct carried_link *after, int limit,
                              void (*visit)(void *context, const struct carried_link *link),
                              void *context, int *ret_count, struct fh_error *error)
{
    struct clickhouse *server = clickhouse_of(base);
    char table[CLICKHOUSE_TABLE_SIZE];
    struct text sql;
    json_t *rows;
    *ret_count = 0;
    clickhouse_table(declared, generation, table);
    text_init(&sql, CLICKHOUSE_SMALL);
    write_links_question(&sql, server, table, after, limit);
    enum fh_code code = clickhouse_ask_rows(server, &sql, 0, &rows, error);
    if (code == FH_OK)
        code = show_link_rows(server, rows, after, limit, visit, context, ret_count, error);
    json_decref(rows);
    text_release(&sql);
    return code == FH_NOT_FOUND ? clickhouse_confirm_gone(server, table, 0, error) : code;
}
