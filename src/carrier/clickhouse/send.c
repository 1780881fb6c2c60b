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
#include <stdlib.h>

#include "base/json.h"
#include "carrier/clickhouse/internal.h"

#define LARGE_PAGE_OPS 2000
#define INTERVAL_SLICE_MS 50 /* after which it is looked whether the link closes */

/* ---- Its rows ---- */

void *clickhouse_write_page(const struct fh_derived *declared,
                            const struct carried_name *generation, struct carried_page *page,
                            void *spare)
{
    (void)generation;
    struct text *body = spare ? spare : malloc(sizeof *body);
    if (!body)
        return NULL;
    if (spare)
        text_clear(body);
    else
        text_init(body, CLICKHOUSE_PAGE_MAX);
    for (int i = 0; i < page->count; i++) {
        struct carried_op *op = &page->ops[i];
        op->refused[0] = '\0';
        if (op->values)
            clickhouse_write_fact(body, declared, op, page->life);
        else
            snprintf(op->refused, sizeof op->refused, "It is not as it is declared.");
    }
    clickhouse_write_link(body, declared, &page->link, page->life);
    return body;
}

void clickhouse_unwrite_page(void *written)
{
    struct text *body = written;
    text_release(body);
    free(body);
}

/* ---- One page ---- */

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

static enum fh_code send_clickhouse_body(struct clickhouse *server,
                                         const struct fh_derived *declared, const char *table,
                                         bool kept, const struct text *body, struct fh_error *error)
{
    struct text path;
    if (!body || body->overflow)
        return error_set(error, FH_NO_MEMORY, "There is no memory for a page of ops.");
    text_init(&path, CLICKHOUSE_SMALL);
    write_page_path(&path, server, declared, table, kept);
    struct clickhouse_call call = {
        .path = path.data, .body = body->data, .body_length = body->length};
    enum fh_code code = clickhouse_ask(server, &call, error);
    clickhouse_call_release(&call);
    text_release(&path);
    return code;
}

enum fh_code clickhouse_send(struct carried_server *base, const struct fh_derived *declared,
                             const struct carried_name *generation, struct carried_page *page,
                             struct fh_error *error)
{
    struct clickhouse *server = clickhouse_of(base);
    char table[CLICKHOUSE_TABLE_SIZE];
    FH_ASSERT(generation->kept == (page->life[0] != '\0'));
    keep_interval(server, page);
    clickhouse_table(declared, generation, table);
    bool own = carried_write(server->world, base->ops, declared, generation, page);
    enum fh_code code =
        send_clickhouse_body(server, declared, table, generation->kept, page->written, error);
    if (own)
        carried_unwrite(base->ops, page);
    return code == FH_NOT_FOUND ? clickhouse_confirm_gone(server, table, 0, error) : code;
}
