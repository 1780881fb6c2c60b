/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A generation is an index, whose name says of which owner, derived store, incarnation and
 * number it is:
 *
 *     shop.search-products-0190a6b2-7c1e-7a55-8d4c-2f6b0e9a1c33-7
 *
 * A store's name has no '-', and an incarnation has a form of its own: so no owner's name, which
 * may have one, makes a name that is also another's. It has an alias of its own, made with it, to
 * which pages are sent (require_alias): so a page that comes after the index was dropped makes no
 * other one of that name, whatever action.auto_create_index says.
 *
 * A node that has just started may answer before it has read which indices there are. So whoever is
 * told that there is none asks the one that decides (opensearch_confirm_gone): else a restart would
 * have everything made anew.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "carrier/opensearch/internal.h"

/* ---- Names ---- */

static void index_prefix(const struct opensearch *server, const struct fh_derived *declared,
                         char ret[static OPENSEARCH_INDEX_SIZE])
{
    snprintf(ret, OPENSEARCH_INDEX_SIZE, "%s-%s-", server->owner, declared->name);
}

void opensearch_index(const struct opensearch *server, const struct fh_derived *declared,
                      const struct carried_name *generation, char ret[static OPENSEARCH_INDEX_SIZE])
{
    index_prefix(server, declared, ret);
    size_t length = strlen(ret);
    snprintf(ret + length, OPENSEARCH_INDEX_SIZE - length, "%s-%lld", generation->incarnation,
             (long long)generation->number);
}

/* False: it is another name. */
static bool read_index_name(const char *prefix, const char *index, struct carried_name *ret)
{
    char again[ID_SIZE + 24];
    size_t length = strlen(prefix);
    if (strncmp(index, prefix, length) != 0 || strlen(index + length) <= ID_SIZE)
        return false;
    index += length;
    memcpy(ret->incarnation, index, ID_SIZE - 1);
    ret->incarnation[ID_SIZE - 1] = '\0';
    ret->number = strtoll(index + ID_SIZE, NULL, 10);
    if (!id_time_ms(ret->incarnation))
        return false;
    snprintf(again, sizeof again, "%s-%lld", ret->incarnation, (long long)ret->number);
    return ret->number > 0 && strcmp(index, again) == 0;
}

/* ---- Whether there is one ---- */

enum fh_code opensearch_confirm_gone(struct opensearch *server, const char *index,
                                     int64_t deadline_ns, struct fh_error *error)
{
    struct opensearch_call call = {.method = "GET", .deadline_ns = deadline_ns};
    char alias[OPENSEARCH_INDEX_SIZE + sizeof OPENSEARCH_ALIAS];
    snprintf(call.path, sizeof call.path,
             "/_cluster/state/blocks,metadata/%s?ignore_unavailable=true"
             "&filter_path=error.type,cluster_uuid,blocks.global,metadata.indices.*.aliases",
             index);
    snprintf(alias, sizeof alias, "%s" OPENSEARCH_ALIAS, index);
    enum fh_code code = opensearch_ask(server, &call, error);
    const json_t *indices = json_object_get(json_object_get(call.answer, "metadata"), "indices");
    const json_t *aliases = json_object_get(json_object_get(indices, index), "aliases");
    bool there = false;
    size_t i;
    const json_t *one;
    json_array_foreach (aliases, i, one)
        there |= json_is_string(one) && strcmp(json_string_value(one), alias) == 0;
    bool knows =
        json_string_at(call.answer, "cluster_uuid") && !json_at(call.answer, "blocks.global");
    opensearch_call_release(&call);
    if (code == FH_NOT_FOUND) /* whoever decides does not say so of this request */
        return opensearch_strange(server, error);
    if (code == FH_OUTCOME_UNKNOWN)
        return error->code = FH_UNAVAILABLE;
    if (code != FH_OK)
        return code;
    if (there || !knows)
        return error_retry(error, FH_UNAVAILABLE, "OpenSearch at %.100s has only just begun.",
                           server->base_url);
    return error_set(error, FH_NOT_FOUND, "OpenSearch at %.100s has no such index.",
                     server->base_url);
}

/* ---- Made ---- */

/* It is there already: by this declaration? */
static enum fh_code compare_index_digest(struct opensearch *server,
                                         const struct fh_derived *declared, const char *index,
                                         struct fh_error *error)
{
    struct opensearch_call call = {.method = "GET"};
    char digest[OPENSEARCH_DIGEST_SIZE];
    snprintf(call.path, sizeof call.path,
             "/%s/_mapping?filter_path=error.type,*.mappings._meta.freehold", index);
    opensearch_digest(declared, digest);
    enum fh_code code = opensearch_ask(server, &call, error);
    const json_t *mappings = json_object_get(json_object_get(call.answer, index), "mappings");
    const char *found = json_string_at(mappings, "_meta.freehold");
    if (code == FH_OK && (!found || strcmp(found, digest) != 0))
        code = error_set(error, FH_INVALID,
                         "OpenSearch at %.100s has an index of that name by another declaration.",
                         server->base_url);
    if (code == FH_NOT_FOUND) /* dropped in between */
        code = error_retry(error, FH_UNAVAILABLE, "%s", error->message);
    opensearch_call_release(&call);
    return code;
}

enum fh_code opensearch_make(struct carried_server *base, const struct fh_derived *declared,
                             const struct carried_name *generation, struct fh_error *error)
{
    struct opensearch *server = opensearch_of(base);
    struct opensearch_call call = {.method = "PUT"};
    struct text body;
    char index[OPENSEARCH_INDEX_SIZE];
    opensearch_index(server, declared, generation, index);
    text_init(&body, OPENSEARCH_SMALL);
    opensearch_write_index(&body, server, index, declared);
    FH_ASSERT(!body.overflow);
    snprintf(call.path, sizeof call.path, "/%s?filter_path=error.type,acknowledged", index);
    call.body = body.data;
    call.body_length = body.length;
    enum fh_code code = opensearch_ask(server, &call, error);
    if (strcmp(call.type, "resource_already_exists_exception") == 0)
        code = compare_index_digest(server, declared, index, error);
    else if (code == FH_OK && !json_is_true(json_object_get(call.answer, "acknowledged")))
        code = error_retry(error, FH_OUTCOME_UNKNOWN,
                           "OpenSearch at %.100s has not made an index in time.", server->base_url);
    opensearch_call_release(&call);
    text_release(&body);
    return code;
}

/* ---- Dropped ---- */

enum fh_code opensearch_drop(struct carried_server *base, const struct fh_derived *declared,
                             const struct carried_name *generation, struct fh_error *error)
{
    struct opensearch *server = opensearch_of(base);
    struct opensearch_call call = {.method = "DELETE"};
    char index[OPENSEARCH_INDEX_SIZE];
    opensearch_index(server, declared, generation, index);
    snprintf(call.path, sizeof call.path, "/%s?filter_path=error.type,acknowledged", index);
    enum fh_code code = opensearch_ask(server, &call, error);
    opensearch_call_release(&call);
    return code == FH_NOT_FOUND ? FH_OK : code;
}

/* ---- All of them ---- */

enum fh_code opensearch_generations(struct carried_server *base, const struct fh_derived *declared,
                                    void (*visit)(void *context, const struct carried_name *name),
                                    void *context, struct fh_error *error)
{
    struct opensearch *server = opensearch_of(base);
    struct opensearch_call call = {.method = "GET"};
    char prefix[OPENSEARCH_INDEX_SIZE];
    const char *index;
    json_t *found;
    index_prefix(server, declared, prefix);
    snprintf(call.path, sizeof call.path,
             "/%s*/_mapping?filter_path=error.type,*.mappings._meta.freehold", prefix);
    enum fh_code code = opensearch_ask(server, &call, error);
    if (code == FH_OK) {
        json_object_foreach (call.answer, index, found) {
            struct carried_name name = {0};
            if (json_string_at(found, "mappings._meta.freehold") &&
                read_index_name(prefix, index, &name))
                visit(context, &name);
        }
    }
    opensearch_call_release(&call);
    return code == FH_NOT_FOUND ? FH_OK : code;
}
