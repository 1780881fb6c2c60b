/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request, and what its answer means. Errors name the server, the status and the type of the
 * server's own error ("mapper_parsing_exception"), and never its reason: that quotes values. Where
 * it can be, reasons are not even asked for (filter_path).
 *
 *     no answer, 408, 429, 5xx    FH_UNAVAILABLE, or FH_OUTCOME_UNKNOWN if it may have been done
 *     a block, a snapshot         FH_UNAVAILABLE, whatever the status
 *     404 of an index             FH_NOT_FOUND; any other 404 is of something else than OpenSearch
 *     401, 403                    FH_UNSUPPORTED: its user
 *     anything else               FH_UNSUPPORTED
 */

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "carrier/opensearch/internal.h"

static void set_call_headers(const struct opensearch *server, const struct opensearch_call *call,
                             struct world_request *request)
{
    int count = 0;
    request->headers[count++] = (struct world_header){"Accept", "application/json"};
    if (call->body)
        request->headers[count++] = (struct world_header){
            "Content-Type", call->lines ? "application/x-ndjson" : "application/json"};
    if (server->authorization)
        request->headers[count++] = (struct world_header){"Authorization", server->authorization};
}

static enum fh_code not_answered(const struct opensearch *server,
                                 const struct world_request *request, struct fh_error *error)
{
    if (request->oversized)
        return error_set(error, FH_UNSUPPORTED,
                         "OpenSearch at %.100s answers with more than %zu bytes.", server->base_url,
                         request->answer_size_max);
    bool known = request->unsent || server->silent;
    return error_retry(error, known ? FH_UNAVAILABLE : FH_OUTCOME_UNKNOWN,
                       "OpenSearch at %.100s did not answer: %.100s", server->base_url,
                       request->failure);
}

enum fh_code opensearch_ask_unread(struct opensearch *server, struct opensearch_call *call,
                                   struct fh_error *error)
{
    struct world_request *request = &call->request;
    if (server->silent)
        return error_retry(error, FH_UNAVAILABLE, "The link to OpenSearch is closing.");
    char url[sizeof server->base_url + sizeof call->path];
    snprintf(url, sizeof url, "%s%s", server->base_url, call->path);
    *request = (struct world_request){
        .url = url,
        .method = call->method,
        .body = call->body,
        .body_length = call->body_length,
        .deadline_ns = call->deadline_ns > 0 ? call->deadline_ns
                                             : world_in_ms(server->world, OPENSEARCH_REQUEST_MS),
        .answer_size_max = call->answer_max ? call->answer_max : OPENSEARCH_SMALL};
    set_call_headers(server, call, request);
    if (server->client)
        world_request_wait_by(http_client_send, server->client, request);
    else
        world_request_wait(server->world, request);
    request->url = NULL;
    return request->status ? FH_OK : not_answered(server, request, error);
}

enum fh_code opensearch_read(const struct opensearch *server, struct opensearch_call *call,
                             struct fh_error *error)
{
    struct fh_error unread;
    struct arena *before = json_arena_set(NULL);
    if (json_parse(call->request.answer, call->request.answer_length, &call->answer, &unread) !=
        FH_OK)
        call->answer = NULL;
    json_arena_set(before);
    opensearch_type(json_at(call->answer, "error.type"), call->type);
    enum fh_code code = opensearch_judge(server, call->request.status, call->type, error);
    return code == FH_OK && !json_is_object(call->answer) ? opensearch_strange(server, error)
                                                          : code;
}

enum fh_code opensearch_ask(struct opensearch *server, struct opensearch_call *call,
                            struct fh_error *error)
{
    enum fh_code code = opensearch_ask_unread(server, call, error);
    return code == FH_OK ? opensearch_read(server, call, error) : code;
}

void opensearch_call_release(struct opensearch_call *call)
{
    world_request_release(&call->request);
    json_decref(call->answer);
    call->answer = NULL;
}

/* ---- What it means ---- */

void opensearch_type(const json_t *type, char ret[static OPENSEARCH_TYPE_SIZE])
{
    const char *text = json_string_value(type);
    size_t length = text ? strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_") : 0;
    bool fits = length && !text[length] && length < OPENSEARCH_TYPE_SIZE;
    snprintf(ret, OPENSEARCH_TYPE_SIZE, "%s", fits ? text : text ? "error" : "");
}

enum fh_code opensearch_strange(const struct opensearch *server, struct fh_error *error)
{
    return error_set(error, FH_UNSUPPORTED,
                     "What answers at %.100s is no OpenSearch that this version knows.",
                     server->base_url);
}

/* Of what is done with the index meanwhile, or until somebody has made room. */
static bool is_for_a_while(const char *type)
{
    return strcmp(type, "cluster_block_exception") == 0 ||
           strcmp(type, "snapshot_in_progress_exception") == 0;
}

enum fh_code opensearch_judge(const struct opensearch *server, int status, const char *type,
                              struct fh_error *error)
{
    if (status >= 200 && status < 300)
        return FH_OK;
    if (status == 404 && strcmp(type, "index_not_found_exception") == 0)
        return error_set(error, FH_NOT_FOUND, "OpenSearch at %.100s has no such index.",
                         server->base_url);
    if (status == 408 || status == 429 || status >= 500 || is_for_a_while(type))
        return error_retry(error, FH_UNAVAILABLE, "OpenSearch at %.100s can't do it now: %d %s.",
                           server->base_url, status, type);
    if (status == 401 || status == 403)
        return error_set(error, FH_UNSUPPORTED,
                         "OpenSearch at %.100s refuses its user (%d %s): look at the password and "
                         "the rights.",
                         server->base_url, status, type);
    if (!*type)
        return opensearch_strange(server, error);
    return error_set(error, FH_UNSUPPORTED, "OpenSearch at %.100s does not take it: %d %s.",
                     server->base_url, status, type);
}
