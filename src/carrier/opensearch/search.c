/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A question is looked at as an embedded search looks at it (store/derived/question.h), so that the
 * same is refused in the same words, and its answer gets the same shape. One hit more than wanted
 * is asked for: whether there is a next page. Reading an answer and highlighting are done off the
 * loop.
 */

#include <stdio.h>

#include "base/json.h"
#include "carrier/opensearch/internal.h"

struct opensearch_asking {
    struct opensearch *server;
    const struct question *question;
    struct opensearch_call call;
    json_t *ret;
    enum fh_code code;
    struct fh_error *error;
};

static enum fh_code asking_strange(const struct opensearch_asking *asking)
{
    return opensearch_strange(asking->server, asking->error);
}

/* ---- The answer ---- */

/* NULL: it is no place that a cursor can have. */
static json_t *next_of(const struct question *question, const json_t *hit)
{
    const json_t *places = json_object_get(hit, "sort"), *place = json_array_get(places, 0);
    size_t count = json_array_size(places);
    const json_t *key = count ? json_array_get(places, count - 1) : NULL;
    if (!json_is_string(key) || json_string_length(key) > DERIVED_KEY_LENGTH_MAX ||
        !(json_is_number(place) ||
          (json_is_string(place) && json_string_length(place) <= DERIVED_WORD_LENGTH_MAX)))
        return NULL;
    return question_cursor(question, place,
                           json_stringn(json_string_value(key), json_string_length(key)));
}

/* Handlers rely on it, and who else writes there is not known. */
static bool is_as_derived(const struct fh_derived *declared, const json_t *value)
{
    struct fh_error unfit;
    return derived_value_check(declared, value, &unfit) == FH_OK;
}

/* In the order in which it is declared; the server has one of its own. */
static json_t *shown_value(const struct fh_derived *declared, const json_t *value)
{
    json_t *shown = json_object();
    for (const struct fh_derived_field *field = declared->fields; field->name; field++)
        json_object_set(shown, field->name, json_object_get(value, field->name));
    return shown;
}

static enum fh_code show_hits(struct opensearch_asking *asking)
{
    const struct question *question = asking->question;
    const json_t *found = json_at(asking->call.answer, "hits.hits");
    json_t *hits = json_array();
    size_t limit = (size_t)question->limit, count = json_array_size(found);
    json_object_set_new(asking->ret, "hits", hits);
    for (size_t i = 0; i < count && i < limit; i++) {
        const json_t *hit = json_array_get(found, i);
        json_t *key = json_at(hit, "_source.key");
        const json_t *value = json_at(hit, "_source.value");
        if (!json_is_string(key) || !is_as_derived(question->declared, value))
            return asking_strange(asking);
        json_array_append_new(hits, json_pack("{s:O, s:o}", "key", key, "value",
                                              shown_value(question->declared, value)));
    }
    json_t *next =
        count > limit ? next_of(question, json_array_get(found, limit - 1)) : json_null();
    if (json_object_set_new(asking->ret, "next", next) != 0)
        return asking_strange(asking);
    return word_highlight(question, hits, asking->error);
}

static json_t *facet_key(const struct fh_derived_field *field, const json_t *key)
{
    if (field->type == FH_BOOL)
        return json_boolean(json_integer_value(key) != 0);
    return json_copy_all(key);
}

static enum fh_code show_facets(struct opensearch_asking *asking)
{
    const struct question *question = asking->question;
    const char *const *names = question->search->facets;
    if (!names)
        return FH_OK;
    json_t *facets = json_object();
    json_object_set_new(asking->ret, "facets", facets);
    for (int i = 0; names[i]; i++) {
        const struct fh_derived_field *field =
            &question->declared->fields[question_field(question->declared, names[i], FH_FACET)];
        char path[48];
        size_t j;
        const json_t *one;
        json_t *counts = json_array();
        json_object_set_new(facets, names[i], counts);
        snprintf(path, sizeof path, "aggregations.%d.buckets", i);
        const json_t *buckets = json_at(asking->call.answer, path);
        if (!json_is_array(buckets))
            return asking_strange(asking);
        json_array_foreach (buckets, j, one) {
            if (json_array_append_new(counts,
                                      json_pack("{s:o, s:O}", "value",
                                                facet_key(field, json_object_get(one, "key")),
                                                "count", json_object_get(one, "doc_count"))) != 0)
                return asking_strange(asking);
        }
    }
    return FH_OK;
}

static enum fh_code show_answer(struct opensearch_asking *asking)
{
    const json_t *answer = asking->call.answer;
    const json_t *total = json_at(answer, "hits.total.value");
    if (json_is_true(json_object_get(answer, "timed_out")))
        return error_retry(asking->error, FH_UNAVAILABLE,
                           "OpenSearch at %.100s did not answer in time.",
                           asking->server->base_url);
    if (!json_is_integer(total))
        return asking_strange(asking);
    json_object_set_new(asking->ret, "total", json_integer(json_integer_value(total)));
    enum fh_code code = show_facets(asking);
    return code == FH_OK ? show_hits(asking) : code;
}

static void read_search_answer(void *context)
{
    struct opensearch_asking *asking = context;
    struct opensearch_call *call = &asking->call;
    asking->code = opensearch_read(asking->server, call, asking->error);
    if (asking->code != FH_OK)
        return;
    asking->ret = json_object();
    asking->code = show_answer(asking);
}

/* ---- The question ---- */

static enum fh_code not_in_time(const struct opensearch_asking *asking)
{
    const struct world_request *request = &asking->call.request;
    if (request->oversized)
        return derived_unfit(asking->error, "limit",
                             "The hits have more than %zu MiB: ask for fewer of them.",
                             OPENSEARCH_HITS_MAX >> 20);
    asking->error->code = FH_UNAVAILABLE; /* nothing was to be done, so it was not */
    return FH_UNAVAILABLE;
}

static enum fh_code ask_question(struct opensearch_asking *asking, const char *index,
                                 int64_t deadline_ns)
{
    struct opensearch *server = asking->server;
    struct text body;
    int64_t least_ns = world_in_ms(server->world, 1);
    asking->call.deadline_ns =
        deadline_ns > 0 ? deadline_ns : world_in_ms(server->world, OPENSEARCH_REQUEST_MS);
    int64_t left_ms = (asking->call.deadline_ns - least_ns) / 1000000 + 1;
    if (asking->call.deadline_ns < least_ns)
        return error_retry(asking->error, FH_UNAVAILABLE, "There is no time left for a question.");
    text_init(&body, OPENSEARCH_SMALL);
    asking->code = opensearch_write_query(&body, asking->question, left_ms, asking->error);
    snprintf(asking->call.path, sizeof asking->call.path,
             "/%s/_search?allow_partial_search_results=false&filter_path=error.type,timed_out,"
             "hits.total.value,hits.hits._source,hits.hits.sort,aggregations.*.buckets",
             index);
    asking->call.body = body.data;
    asking->call.body_length = body.length;
    if (asking->code == FH_OK) {
        asking->code = opensearch_ask_unread(server, &asking->call, asking->error);
        if (asking->code == FH_OK)
            world_blocking(server->world, read_search_answer, asking);
        else
            asking->code = not_in_time(asking);
    }
    text_release(&body);
    return asking->code;
}

enum fh_code opensearch_search(struct carried_server *base, const struct fh_derived *declared,
                               const struct carried_name *generation,
                               const struct fh_search *search, int64_t deadline_ns, json_t **ret,
                               struct fh_error *error)
{
    struct question question;
    struct opensearch_asking asking = {opensearch_of(base),
                                       &question,
                                       {.method = "POST", .answer_max = OPENSEARCH_HITS_MAX},
                                       .error = error};
    char index[OPENSEARCH_INDEX_SIZE];
    opensearch_index(asking.server, declared, generation, index);
    *ret = NULL;
    enum fh_code code = question_init(&question, declared, search, JSON_STRING, error);
    if (code == FH_OK)
        code = ask_question(&asking, index, deadline_ns);
    opensearch_call_release(&asking.call);
    question_release(&question);
    if (code == FH_OK)
        *ret = asking.ret;
    else
        json_decref(asking.ret);
    if (code == FH_NOT_FOUND)
        return opensearch_confirm_gone(asking.server, index, asking.call.deadline_ns, error);
    return code;
}
