/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links are documents, found by a search: once the index was refreshed, all that was acknowledged
 * is among them. A shard that is not there yet, as after a restart, is no reason to find nothing.
 */

#include <stdio.h>

#include "base/json.h"
#include "carrier/opensearch/internal.h"

static enum fh_code refresh_index(struct opensearch *server, const char *index,
                                  struct fh_error *error)
{
    struct opensearch_call call = {.method = "POST"};
    json_int_t done = 0, failed = 0;
    snprintf(call.path, sizeof call.path,
             "/%s/_refresh?filter_path=error.type,_shards.successful,_shards.failed", index);
    enum fh_code code = opensearch_ask(server, &call, error);
    if (code == FH_OK && (!json_integer_at(call.answer, "_shards.successful", &done) ||
                          !json_integer_at(call.answer, "_shards.failed", &failed)))
        code = opensearch_strange(server, error);
    else if (code == FH_OK && (done < 1 || failed > 0))
        code = error_retry(error, FH_UNAVAILABLE, "OpenSearch at %.100s has a shard that is away.",
                           server->base_url);
    opensearch_call_release(&call);
    return code;
}

/* Whoever asks for the next ones behind the last goes on for ever if they do not rise. */
static bool link_is_behind(const struct carried_link *link, const struct carried_link *last)
{
    return link->to > last->to || (link->to == last->to && link->from > last->from);
}

static enum fh_code show_links(struct opensearch *server, const json_t *answer,
                               const struct carried_link *after, int limit,
                               void (*visit)(void *context, const struct carried_link *link),
                               void *context, int *ret_count, struct fh_error *error)
{
    const json_t *hits = json_at(answer, "hits.hits");
    struct carried_link last = *after;
    size_t i;
    const json_t *hit;
    if (!json_is_false(json_object_get(answer, "timed_out")) ||
        json_array_size(hits) > (size_t)limit)
        return opensearch_strange(server, error);
    json_array_foreach (hits, i, hit) {
        const json_t *places = json_object_get(hit, "sort");
        const json_t *to = json_array_get(places, 0), *from = json_array_get(places, 1);
        struct carried_link link = {json_integer_value(from), json_integer_value(to)};
        if (!json_is_integer(to) || !json_is_integer(from) || !link_is_behind(&link, &last))
            return opensearch_strange(server, error);
        visit(context, &link);
        last = link;
        ++*ret_count;
    }
    return FH_OK;
}

enum fh_code opensearch_links(struct carried_server *base, const struct fh_derived *declared,
                              const struct carried_name *generation,
                              const struct carried_link *after, int limit,
                              void (*visit)(void *context, const struct carried_link *link),
                              void *context, int *ret_count, struct fh_error *error)
{
    struct opensearch *server = opensearch_of(base);
    struct opensearch_call call = {.method = "POST"};
    char index[OPENSEARCH_INDEX_SIZE], body[256];
    *ret_count = 0;
    opensearch_index(server, declared, generation, index);
    enum fh_code code = refresh_index(server, index, error);
    call.body = body;
    call.body_length = (size_t)snprintf(
        body, sizeof body,
        "{\"size\":%d,\"_source\":false,\"track_total_hits\":false,\"query\":{\"term\":{\"kind\":"
        "\"link\"}},\"sort\":[{\"to\":\"asc\"},{\"from\":\"asc\"}],\"search_after\":[%lld,%lld]}",
        limit, (long long)after->to, (long long)after->from);
    snprintf(call.path, sizeof call.path,
             "/%s/_search?allow_partial_search_results=false"
             "&filter_path=error.type,timed_out,hits.hits.sort",
             index);
    if (code == FH_OK)
        code = opensearch_ask(server, &call, error);
    if (code == FH_OK)
        code = show_links(server, call.answer, after, limit, visit, context, ret_count, error);
    opensearch_call_release(&call);
    return code == FH_NOT_FOUND ? opensearch_confirm_gone(server, index, 0, error) : code;
}
