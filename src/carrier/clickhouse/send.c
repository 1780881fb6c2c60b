/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page is one INSERT, and that one block of the one partition: a part, which the server writes
 * aside and renames before it answers. So a page that is not answered is there or not; and of one
 * whose body did not come whole there is nothing, or a beginning without its link (row.c).
 *
 * Each part costs the server a merge, so pages of one service keep an interval; what is derived
 * meanwhile comes with the next.
 */

#include <stdio.h>

#include "base/json.h"
#include "carrier/clickhouse/internal.h"

#define LARGE_PAGE_OPS 2000
#define INTERVAL_SLICE_MS 50 /* after which it is looked whether the link closes */

struct clickhouse_page {
    const struct fh_derived *declared;
    struct carried_page *page;
    struct text body;
};

static void write_page_rows(void *context)
{
    struct clickhouse_page *page = context;
    for (int i = 0; i < page->page->count; i++) {
        struct carried_op *op = &page->page->ops[i];
        op->refused[0] = '\0';
        if (op->values)
            clickhouse_write_fact(&page->body, page->declared, op, page->page->life);
        else
            snprintf(op->refused, sizeof op->refused, "It is not as it is declared.");
    }
    clickhouse_write_link(&page->body, page->declared, &page->page->link, page->page->life);
}

/* A block is cut by nothing but the page's end, whatever the user's settings say. */
static void write_page_path(struct text *path, const struct clickhouse *server,
                            const struct fh_derived *declared, const char *table, bool kept)
{
    struct text sql;
    text_init(&sql, CLICKHOUSE_SMALL);
    clickhouse_write_insert(&sql, server, table, declared, kept);
    text_add(path, "/?max_insert_block_size=1000000000&min_insert_block_size_rows=1000000000"
                   "&min_insert_block_size_bytes=0&query=");
    clickhouse_write_encoded(path, sql.data);
    FH_ASSERT(!sql.overflow && !path->overflow);
    text_release(&sql);
}

/* A large page is followed by the next at once: a store that is made anew sends many, and each is
 * worth its merge. */
static void keep_interval(struct clickhouse *server, const struct carried_page *page)
{
    struct world *world = server->world;
    while (!server->silent && world_in_ms(world, 0) < server->next_page_ns) {
        int64_t slice_ns = world_in_ms(world, INTERVAL_SLICE_MS);
        fiber_sleep_until(world, slice_ns < server->next_page_ns ? slice_ns : server->next_page_ns);
    }
    bool large = page->count >= LARGE_PAGE_OPS;
    server->next_page_ns = large ? 0 : world_in_ms(world, server->options.interval_ms);
}

enum fh_code clickhouse_send(struct carried_server *base, const struct fh_derived *declared,
                             const struct carried_name *generation, struct carried_page *page,
                             struct fh_error *error)
{
    struct clickhouse *server = clickhouse_of(base);
    struct clickhouse_page sent = {declared, page};
    char table[CLICKHOUSE_TABLE_SIZE];
    struct text path;
    FH_ASSERT(generation->kept == (page->life[0] != '\0'));
    keep_interval(server, page);
    clickhouse_table(declared, generation, table);
    text_init(&path, CLICKHOUSE_SMALL);
    text_init(&sent.body, CLICKHOUSE_PAGE_MAX);
    write_page_path(&path, server, declared, table, generation->kept);
    world_blocking(server->world, write_page_rows, &sent);
    struct clickhouse_call call = {
        .path = path.data, .body = sent.body.data, .body_length = sent.body.length};
    enum fh_code code =
        sent.body.overflow ? error_set(error, FH_NO_MEMORY, "There is no memory for a page of ops.")
                           : clickhouse_ask(server, &call, error);
    clickhouse_call_release(&call);
    text_release(&sent.body);
    text_release(&path);
    return code == FH_NOT_FOUND ? clickhouse_confirm_gone(server, table, 0, error) : code;
}
