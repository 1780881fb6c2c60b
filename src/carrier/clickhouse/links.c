/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links are rows, the first of each part, and there as soon as their page was acknowledged.
 *
 * For the next ones of a long chain the server would read and sort all that follow, each time. So
 * they are first looked for among the next LINKS_SPAN positions, then among as many as the links of
 * a chain that goes on can have, and only at the end, or at a hole, among all.
 */

#include <string.h>

#include "base/json.h"
#include "carrier/clickhouse/internal.h"

#define LINKS_SPAN INT64_C(65536)

static void write_kept_links_question(struct text *sql, const struct clickhouse *server,
                                      const char *table, const struct carried_link *after,
                                      int64_t span, int limit)
{
    char key[CLICKHOUSE_LINK_SIZE];
    int64_t last = after->to + span;
    clickhouse_link_key(after, key);
    text_add(sql, "SELECT fh_key, fh_at FROM ");
    clickhouse_write_table(sql, server, table);
    text_printf(sql,
                " FINAL WHERE fh_kind = 0 AND fh_at >= %lld AND fh_at <= %lld AND (fh_at > %lld OR "
                "fh_key > ",
                (long long)after->to, (long long)last, (long long)after->to);
    clickhouse_write_literal(sql, key, strlen(key));
    text_printf(sql, ") ORDER BY fh_at, fh_key LIMIT %d FORMAT JSONCompact", limit);
}

static void write_links_question(struct text *sql, const struct clickhouse *server,
                                 const char *table, const struct carried_link *after, int64_t span,
                                 int limit)
{
    int64_t last = after->to + span;
    text_add(sql, "SELECT toInt64OrZero(fh_key), fh_at FROM ");
    clickhouse_write_table(sql, server, table);
    text_printf(sql,
                " FINAL WHERE fh_kind = 0 AND fh_at >= %lld AND fh_at <= %lld AND (fh_at > %lld OR "
                "toInt64OrZero(fh_key) > %lld) ORDER BY fh_at, toInt64OrZero(fh_key) LIMIT %d "
                "FORMAT JSONCompact",
                (long long)after->to, (long long)last, (long long)after->to, (long long)after->from,
                limit);
}

/* Whoever asks for the next ones behind the last goes on for ever if they do not rise. */
static bool is_behind_link(const struct carried_link *link, const struct carried_link *last)
{
    char key[CLICKHOUSE_LINK_SIZE], last_key[CLICKHOUSE_LINK_SIZE];
    if (link->to != last->to || link->from != last->from)
        return link->to > last->to || (link->to == last->to && link->from > last->from);
    clickhouse_link_key(link, key);
    clickhouse_link_key(last, last_key);
    return strcmp(key, last_key) > 0;
}

static bool read_link_row(const json_t *row, bool kept, struct carried_link *ret)
{
    json_int_t from = 0, to;
    const char *key = json_string_value(json_array_get(row, 0));
    *ret = (struct carried_link){0};
    if (!json_integer_at(json_array_get(row, 1), "", &to))
        return false;
    ret->to = to;
    if (kept)
        return key && clickhouse_link_key_read(key, ret);
    bool reads = json_integer_at(json_array_get(row, 0), "", &from);
    ret->from = from;
    return reads;
}

static enum fh_code show_link_rows(struct clickhouse *server, const json_t *rows, bool kept,
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
        struct carried_link link = {0};
        if (!read_link_row(row, kept, &link) || !is_behind_link(&link, &last))
            return clickhouse_strange(server, error);
        visit(context, &link);
        last = link;
        ++*ret_count;
    }
    return FH_OK;
}

static enum fh_code ask_links(struct clickhouse *server, const char *table, bool kept,
                              const struct carried_link *after, int limit, json_t **ret_rows,
                              struct fh_error *error)
{
    const int64_t spans[] = {LINKS_SPAN, (int64_t)CARRIED_SPAN_MAX * limit, CARRIED_NUMBER_MAX};
    size_t count = sizeof spans / sizeof *spans;
    enum fh_code code = FH_OK;
    *ret_rows = NULL;
    for (size_t i = 0;
         i < count && code == FH_OK && (i == 0 || json_array_size(*ret_rows) < (size_t)limit);
         i++) {
        struct text sql;
        json_decref(*ret_rows);
        text_init(&sql, CLICKHOUSE_SMALL);
        (kept ? write_kept_links_question : write_links_question)(&sql, server, table, after,
                                                                  spans[i], limit);
        code = clickhouse_ask_rows(server, &sql, 0, ret_rows, error);
        text_release(&sql);
    }
    return code;
}

enum fh_code clickhouse_links(struct carried_server *base, const struct fh_derived *declared,
                              const struct carried_name *generation,
                              const struct carried_link *after, int limit,
                              void (*visit)(void *context, const struct carried_link *link),
                              void *context, int *ret_count, struct fh_error *error)
{
    struct clickhouse *server = clickhouse_of(base);
    char table[CLICKHOUSE_TABLE_SIZE];
    json_t *rows;
    *ret_count = 0;
    clickhouse_table(declared, generation, table);
    enum fh_code code = ask_links(server, table, generation->kept, after, limit, &rows, error);
    if (code == FH_OK)
        code = show_link_rows(server, rows, generation->kept, after, limit, visit, context,
                              ret_count, error);
    json_decref(rows);
    return code == FH_NOT_FOUND ? clickhouse_confirm_gone(server, table, 0, error) : code;
}
