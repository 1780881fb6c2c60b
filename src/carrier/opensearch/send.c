/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page as one `_bulk` to one primary shard, which does its lines in their order, and syncs its
 * log before it answers. The link is the last line, so of a page that was cut short there is none.
 *
 * The lines are put together off the loop: a page is up to some megabytes, each text of which is
 * taken apart into words.
 */

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "carrier/opensearch/internal.h"

struct bulk {
    struct opensearch *server;
    const struct fh_derived *declared;
    struct carried_page *page;
    struct text body;
    bool hole; /* see take_hole */
    enum fh_code code;
    struct fh_error *error;
};

static void write_bulk(void *context)
{
    struct bulk *bulk = context;
    struct word_splitter *splitter;
    bulk->code = word_splitter_new(bulk->declared, &splitter, bulk->error);
    for (int i = 0; i < bulk->page->count && bulk->code == FH_OK; i++)
        bulk->code = opensearch_write_op(&bulk->body, splitter, bulk->declared, &bulk->page->ops[i],
                                         bulk->error);
    opensearch_write_link(&bulk->body, &bulk->page->link);
    if (bulk->code == FH_OK && bulk->body.overflow)
        bulk->code = error_set(bulk->error, FH_NO_MEMORY, "There is no memory for a page of ops.");
    word_splitter_free(splitter);
}

/* ---- The answer ---- */

static bool read_line_answer(const json_t *items, size_t at, int *ret_status,
                             char type[static OPENSEARCH_TYPE_SIZE])
{
    const json_t *line = json_object_get(json_array_get(items, at), "index");
    const json_t *status = json_object_get(line, "status");
    opensearch_type(json_at(line, "error.type"), type);
    *ret_status = (int)json_integer_value(status);
    return json_is_integer(status);
}

/* It can't be that the link is new and an op before it is missing; but if it were, the server would
 * say for ever that it has what it lacks. Such a generation is as good as none. */
static enum fh_code take_hole(struct bulk *bulk, int link_status, enum fh_code code)
{
    if (link_status < 200 || link_status >= 300)
        return code;
    bulk->hole = true;
    return error_set(bulk->error, FH_NOT_FOUND,
                     "OpenSearch at %.100s has taken a page's end and not all of the page.",
                     bulk->server->base_url);
}

/* 409: a higher version is there, or this one. 400 and why: it will never be taken. */
static enum fh_code take_op_answer(struct bulk *bulk, struct carried_op *op, int status,
                                   const char *type)
{
    op->refused[0] = '\0';
    if (status == 409)
        return FH_OK;
    enum fh_code code = opensearch_judge(bulk->server, status, type, bulk->error);
    if (status != 400 || !*type || code == FH_UNAVAILABLE)
        return code;
    snprintf(op->refused, sizeof op->refused, "OpenSearch does not take it: %s", type);
    return FH_OK;
}

static enum fh_code take_bulk_answer(struct bulk *bulk, const json_t *answer)
{
    const json_t *items = json_object_get(answer, "items");
    size_t count = (size_t)bulk->page->count;
    char type[OPENSEARCH_TYPE_SIZE];
    int status, link_status;
    if (json_array_size(items) != count + 1 || !read_line_answer(items, count, &link_status, type))
        return opensearch_strange(bulk->server, bulk->error);
    for (size_t i = 0; i < count; i++) {
        if (!read_line_answer(items, i, &status, type))
            return opensearch_strange(bulk->server, bulk->error);
        enum fh_code code = take_op_answer(bulk, &bulk->page->ops[i], status, type);
        if (code != FH_OK)
            return take_hole(bulk, link_status, code);
    }
    read_line_answer(items, count, &link_status, type);
    return link_status == 409 ? FH_OK
                              : opensearch_judge(bulk->server, link_status, type, bulk->error);
}

enum fh_code opensearch_send(struct carried_server *base, const struct fh_derived *declared,
                             const struct carried_name *generation, struct carried_page *page,
                             struct fh_error *error)
{
    struct bulk bulk = {opensearch_of(base), declared, page, .error = error};
    struct opensearch_call call = {.method = "POST", .lines = true};
    char index[OPENSEARCH_INDEX_SIZE];
    opensearch_index(bulk.server, declared, generation, index);
    text_init(&bulk.body, OPENSEARCH_PAGE_MAX);
    world_blocking(bulk.server->world, write_bulk, &bulk);
    snprintf(call.path, sizeof call.path,
             "/%s" OPENSEARCH_ALIAS "/_bulk?require_alias=true"
             "&filter_path=error.type,items.*.status,items.*.error.type",
             index);
    call.body = bulk.body.data;
    call.body_length = bulk.body.length;
    if (bulk.code == FH_OK)
        bulk.code = opensearch_ask(bulk.server, &call, error);
    if (bulk.code == FH_OK)
        bulk.code = take_bulk_answer(&bulk, call.answer);
    opensearch_call_release(&call);
    text_release(&bulk.body);
    if (bulk.code == FH_NOT_FOUND && !bulk.hole)
        bulk.code = opensearch_confirm_gone(bulk.server, index, 0, error);
    return bulk.code;
}
