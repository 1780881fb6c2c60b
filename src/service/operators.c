/* SPDX-License-Identifier: Apache-2.0 */
/* What operators ask: parameters in, the managers' own answers out. */

#include "service/operators.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "event/subscribe/parked.h"
#include "http/path.h"
#include "saga/restored.h"
#include "saga/run.h"
#include "saga/show.h"
#include "service/exchange.h"
#include "service/operators_parts.h"
#include "shape/problem.h"
#include "timer/timer.h"
#include "work/spans.h"

void operators_answer(struct exchange *exchange, enum fh_code code, json_t *value,
                      const struct fh_error *error)
{
    if (code == FH_OK) {
        char *text = json_text(value);
        exchange_answer(exchange, 200, NULL, text, strlen(text), NULL, 0);
        json_text_free(text);
        json_decref(value);
        return;
    }
    enum problem_type type = code == FH_INVALID     ? PROBLEM_OPERATION_INVALID
                             : code == FH_NOT_FOUND ? PROBLEM_OPERATION_TARGET_MISSING
                             : code == FH_CONFLICT  ? PROBLEM_OPERATION_CONFLICTED
                                                    : PROBLEM_DEPENDENCY_UNAVAILABLE;
    exchange_problem(exchange, type, error->message);
}

json_t *operators_query(struct exchange *exchange)
{
    struct fh_error error;
    json_t *query;
    if (path_query(exchange_request(exchange)->query, &query, &error) == FH_OK)
        return query;
    exchange_problem(exchange, PROBLEM_REQUEST_MALFORMED, error.message);
    return NULL;
}

bool operators_number(const json_t *query, const char *name, int64_t most, int64_t *ret)
{
    const char *given = json_string_at(query, name);
    char *end;
    if (!given)
        return true;
    *ret = strtoll(given, &end, 10);
    return given[0] >= '0' && given[0] <= '9' && !*end && *ret <= most;
}

json_t *operators_body(struct exchange *exchange)
{
    const struct http_incoming *incoming = exchange_request(exchange);
    struct fh_error error = {.message = "The body must be a JSON object."};
    json_t *body = NULL;
    if (json_parse(incoming->body ? incoming->body : "", incoming->body_length, &body, &error) ==
            FH_OK &&
        json_is_object(body))
        return body;
    json_decref(body);
    exchange_problem(exchange, PROBLEM_REQUEST_MALFORMED, error.message);
    return NULL;
}

void operators_parked(struct runtime *runtime, struct exchange *exchange)
{
    struct fh_error error = {0};
    json_t *value = NULL, *query = operators_query(exchange);
    if (!query)
        return;
    const char *source = json_string_at(query, "source"), *key = json_string_at(query, "key");
    enum fh_code code;
    if (key && !source)
        code = error_set(&error, FH_INVALID, "A key is one of a source: name the source too.");
    else if (key)
        code = parked_show(runtime->context.events, source, key, &value, &error);
    else
        code = parked_list(runtime->context.events, source, &value, &error);
    json_decref(query);
    operators_answer(exchange, code, value, &error);
}

/* A time, or a place in the list. False: it can't be one. */
static bool take_parked_filter(const json_t *query, struct parked_filter *filter,
                               struct event_retried *after)
{
    const char *source = json_string_at(query, "after_source");
    const char *share = json_string_at(query, "after_share");
    *filter = (struct parked_filter){.source = json_string_at(query, "source"),
                                     .type = json_string_at(query, "type"),
                                     .error = json_string_at(query, "error"),
                                     .after = source ? after : NULL};
    *after = (struct event_retried){0};
    if (!operators_number(query, "before_ms", INT64_MAX / 2, &filter->before_ms) ||
        !operators_number(query, "after_ms", INT64_MAX / 2, &filter->after_ms) ||
        !operators_number(query, "after_position", INT64_MAX / 2, &after->position) ||
        !source != !share || !source != !json_string_at(query, "after_position"))
        return false;
    return !source ||
           (snprintf(after->source, sizeof after->source, "%s", source) <
                (int)sizeof after->source &&
            snprintf(after->share, sizeof after->share, "%s", share) < (int)sizeof after->share);
}

void operators_matching(struct runtime *runtime, struct exchange *exchange)
{
    struct fh_error error = {0};
    struct parked_filter filter;
    struct event_retried after;
    json_t *value = NULL, *query = operators_query(exchange);
    enum fh_code code;
    if (!query)
        return;
    if (take_parked_filter(query, &filter, &after))
        code = parked_select(runtime->context.events, &filter, &value, &error);
    else
        code = error_set(&error, FH_INVALID,
                         "`before_ms` and `after_ms` must be times, in ms since 1970; "
                         "`after_source`, `after_share` and `after_position`, all or none, name "
                         "the last key of the page before.");
    json_decref(query);
    operators_answer(exchange, code, value, &error);
}

void operators_parked_retry(struct runtime *runtime, struct exchange *exchange)
{
    struct fh_error error = {0};
    json_t *value = NULL, *body = operators_body(exchange);
    if (!body)
        return;
    const char *source = json_string_at(body, "source"), *key = json_string_at(body, "key");
    const json_t *keys = json_object_get(body, "keys");
    enum fh_code code = FH_OK;
    if (keys)
        code = parked_retry_many(runtime->context.events, keys, &value, &error);
    else if (json_object_size(body) > 0 && (!source || !key))
        code = error_set(&error, FH_INVALID,
                         "Name `source` and `key` (texts), or `keys`, or nothing to retry all.");
    else
        code = parked_retry(runtime->context.events, source, key, &value, &error);
    json_decref(body);
    operators_answer(exchange, code, value, &error);
}

void operators_parked_drop(struct runtime *runtime, struct exchange *exchange)
{
    struct fh_error error = {0};
    json_t *value = NULL, *body = operators_body(exchange);
    if (!body)
        return;
    const char *source = json_string_at(body, "source"), *key = json_string_at(body, "key");
    const json_t *all = json_object_get(body, "all"), *keys = json_object_get(body, "keys");
    enum fh_code code;
    if (keys)
        code = parked_drop_many(runtime->context.events, keys, &value, &error);
    else if (!source || !key || (all && !json_is_boolean(all)))
        code = error_set(&error, FH_INVALID,
                         "Name `source` and `key` (texts), or `keys`; `all` may be true or false.");
    else
        code = parked_drop(runtime->context.events, source, key, json_is_true(all), &value, &error);
    json_decref(body);
    operators_answer(exchange, code, value, &error);
}

static enum fh_code change_of(json_t *body, struct parked_change *change, struct fh_error *error)
{
    json_int_t position = 0;
    const json_t *by = json_object_get(body, "by");
    const json_t *at = json_object_get(body, "position");
    *change = (struct parked_change){.source = json_string_at(body, "source"),
                                     .key = json_string_at(body, "key"),
                                     .data = json_object_get(body, "data"),
                                     .by = by ? json_string_value(by) : "operator"};
    bool known = change->source && change->key && change->data && change->by &&
                 strlen(change->by) <= PARKED_BY_LENGTH_MAX;
    if (!known || (at && (!json_integer_at(body, "position", &position) || position < 1)))
        return error_set(error, FH_INVALID,
                         "Name `source` and `key` (texts) and the new `data`; who you are in `by` "
                         "(at most %d bytes) and the event's `position` may be said.",
                         PARKED_BY_LENGTH_MAX);
    change->position = position;
    return FH_OK;
}

void operators_parked_edit(struct runtime *runtime, struct exchange *exchange)
{
    struct fh_error error = {0};
    struct parked_change change;
    json_t *value = NULL, *faults = NULL, *body = operators_body(exchange);
    if (!body)
        return;
    enum fh_code code = change_of(body, &change, &error);
    if (code == FH_OK)
        code = parked_edit(runtime->context.events, &change, &value, &faults, &error);
    if (faults) {
        json_t *problem = problem_new(PROBLEM_OPERATION_INVALID, error.message, faults);
        char *text = json_text(problem);
        exchange_answer(exchange, 400, PROBLEM_CONTENT_TYPE, text, strlen(text), NULL, 0);
        json_text_free(text);
        json_decref(problem);
        json_decref(faults);
    } else {
        operators_answer(exchange, code, value, &error);
    }
    json_decref(body);
}

/* ---- spans ---- */

void operators_spans(struct runtime *runtime, struct exchange *exchange)
{
    json_t *query = operators_query(exchange);
    if (!query)
        return;
    const char *trace = json_string_at(query, "trace"), *key = json_string_at(query, "key");
    struct fh_error error = {0};
    enum fh_code code = FH_OK;
    if (!trace == !key || (trace && strlen(trace) != 32))
        code = error_set(&error, FH_INVALID, "Name a `trace` (32 hex digits), or else a `key`.");
    json_t *found = code == FH_OK ? spans_find(runtime->context.spans, trace, key) : NULL;
    json_decref(query);
    operators_answer(exchange, code, found, &error);
}

/* ---- restores ---- */

/* Leaves in a report the `limit` entries after the one with the id `after` (NULL: the first ones),
 * and says whether there are more. */
static void cut_entries(json_t *report, const char *after, size_t limit)
{
    json_t *all = json_object_get(report, "entries"), *some = json_array(), *entry;
    bool behind = !after, more = false;
    size_t i;
    json_array_foreach (all, i, entry) {
        if (behind && json_array_size(some) < limit)
            json_array_append(some, entry);
        else
            more = more || behind;
        behind = behind || strcmp(json_string_at(entry, "id"), after) == 0;
    }
    json_object_set_new(report, "entries", some);
    json_object_set_new(report, "more", json_boolean(more));
}

void operators_restored(struct runtime *runtime, struct exchange *exchange)
{
    struct fh_error error = {0};
    json_t *value = NULL, *query = operators_query(exchange);
    int64_t limit = INT32_MAX;
    if (!query)
        return;
    enum fh_code code = operators_number(query, "limit", INT32_MAX, &limit) && limit > 0
                            ? saga_restored_show(runtime->context.sagas, &value, &error)
                            : error_set(&error, FH_INVALID, "`limit` must be a number from 1.");
    if (code == FH_OK)
        cut_entries(value, json_string_at(query, "after"), (size_t)limit);
    json_decref(query);
    operators_answer(exchange, code, value, &error);
}

void operators_seen(struct runtime *runtime, struct exchange *exchange)
{
    struct fh_error error = {0};
    json_t *value = NULL, *body = operators_body(exchange);
    json_int_t entries = 0, left_out = 0;
    if (!body)
        return;
    const json_t *ids = json_object_get(body, "ids");
    enum fh_code code = FH_OK;
    if ((json_object_get(body, "entries") && !json_integer_at(body, "entries", &entries)) ||
        (!ids && !json_object_get(body, "entries")) || (ids && !json_is_array(ids)) ||
        entries < 0 || left_out < 0 ||
        (json_object_get(body, "left_out") && !json_integer_at(body, "left_out", &left_out)))
        code =
            error_set(&error, FH_INVALID,
                      "Say how many `entries` were seen, counted from the first, or give the `ids` "
                      "of those that were; and how many were `left_out`: numbers from 0.");
    struct restored_seen seen = {entries, ids, left_out < 0 ? 0 : left_out};
    if (code == FH_OK)
        code = saga_restored_seen(runtime->context.sagas, &seen, &error);
    if (code == FH_OK)
        code = saga_restored_show(runtime->context.sagas, &value, &error);
    json_decref(body);
    operators_answer(exchange, code, value, &error);
}

/* ---- sagas ---- */

void operators_sagas(struct runtime *runtime, struct exchange *exchange)
{
    struct fh_error error = {0};
    json_t *value = NULL, *query = operators_query(exchange);
    if (!query)
        return;
    const char *over = json_string_at(query, "ended");
    struct saga_search search = {.status = json_string_at(query, "status"),
                                 .over = over && strcmp(over, "true") == 0,
                                 .with = json_string_at(query, "with")};
    enum fh_code code = saga_list(&runtime->context, &search, &value, &error);
    json_decref(query);
    operators_answer(exchange, code, value, &error);
}

void operators_definitions(struct runtime *runtime, struct exchange *exchange)
{
    struct fh_error error = {0};
    json_t *value = NULL;
    json_t *timers = NULL;
    enum fh_code code = saga_needed(&runtime->context, &value, &error);
    if (code == FH_OK)
        code = timers_needed(runtime->context.timers, &timers, &error);
    if (code == FH_OK)
        json_object_set_new(value, "timers", timers);
    else
        json_decref(value);
    operators_answer(exchange, code, value, &error);
}

void operators_saga(struct runtime *runtime, struct exchange *exchange)
{
    struct fh_error error = {0};
    struct saga_id id;
    json_t *value = NULL, *query = operators_query(exchange);
    if (!query)
        return;
    enum fh_code code =
        saga_id_of_operator(&runtime->context, json_string_at(query, "id"), &id, &error);
    if (code == FH_OK)
        code = saga_show(&runtime->context, &id, &value, &error);
    json_decref(query);
    operators_answer(exchange, code, value, &error);
}

static void operate_saga(struct runtime *runtime, struct exchange *exchange,
                         enum saga_happened word)
{
    struct fh_error error = {0};
    struct saga_id id;
    json_t *value = NULL, *body = operators_body(exchange);
    if (!body)
        return;
    enum fh_code code = saga_id_parse(json_string_at(body, "id"), &id, &error);
    if (code == FH_OK)
        code = saga_id_resolve(&runtime->context, &id, &error);
    if (code == FH_OK)
        code = saga_operate(runtime->context.sagas, id.birth, id.number, word, &error);
    if (code == FH_OK)
        code = saga_show(&runtime->context, &id, &value, &error);
    json_decref(body);
    operators_answer(exchange, code, value, &error);
}

void operators_saga_retry(struct runtime *runtime, struct exchange *exchange)
{
    operate_saga(runtime, exchange, SAGA_RETRIED);
}

void operators_saga_skip(struct runtime *runtime, struct exchange *exchange)
{
    operate_saga(runtime, exchange, SAGA_SKIPPED);
}

void operators_saga_undo(struct runtime *runtime, struct exchange *exchange)
{
    operate_saga(runtime, exchange, SAGA_TURNED_BACK);
}

void operators_saga_abandon(struct runtime *runtime, struct exchange *exchange)
{
    struct fh_error error = {0};
    struct saga_id id;
    json_t *value = NULL, *body = operators_body(exchange);
    if (!body)
        return;
    const json_t *by = json_object_get(body, "by");
    struct saga_abandon abandon = {.why = json_string_at(body, "why"),
                                   .by = by ? json_string_value(by) : "operator"};
    enum fh_code code = saga_id_parse(json_string_at(body, "id"), &id, &error);
    if (code == FH_OK && (!abandon.why || !*abandon.why || strlen(abandon.why) >= SAGA_TEXT_SIZE ||
                          !abandon.by || strlen(abandon.by) > SAGA_BY_LENGTH_MAX))
        code = error_set(&error, FH_INVALID,
                         "Say `why` (a text of at most %d bytes), and who you are in `by` (%d).",
                         SAGA_TEXT_SIZE - 1, SAGA_BY_LENGTH_MAX);
    if (code == FH_OK)
        code = saga_id_resolve(&runtime->context, &id, &error);
    abandon.birth = id.birth;
    abandon.number = id.number;
    if (code == FH_OK)
        code = saga_abandon(runtime->context.sagas, &abandon, &error);
    if (code == FH_OK)
        code = saga_show(&runtime->context, &id, &value, &error);
    json_decref(body);
    operators_answer(exchange, code, value, &error);
}

/* ---- Timers ---- */

void operators_timers(struct runtime *runtime, struct exchange *exchange)
{
    struct fh_error error = {0};
    json_t *value = NULL, *query = operators_query(exchange);
    if (!query)
        return;
    enum fh_code code =
        timers_list(runtime->context.timers, json_string_at(query, "state"), &value, &error);
    json_decref(query);
    operators_answer(exchange, code, value, &error);
}

static void answer_timer_word(struct runtime *runtime, struct exchange *exchange,
                              enum fh_code (*operate)(struct timer_manager *manager, const char *id,
                                                      struct fh_error *error))
{
    struct fh_error error = {0};
    json_t *body = operators_body(exchange);
    if (!body)
        return;
    const char *id = json_string_at(body, "id");
    enum fh_code code = id ? operate(runtime->context.timers, id, &error)
                           : error_set(&error, FH_INVALID, "Name the timer's `id` (a text).");
    json_t *value = code == FH_OK ? json_pack("{s:s}", "id", id) : NULL;
    json_decref(body);
    operators_answer(exchange, code, value, &error);
}

void operators_timer_retry(struct runtime *runtime, struct exchange *exchange)
{
    answer_timer_word(runtime, exchange, timer_retry);
}

void operators_timer_drop(struct runtime *runtime, struct exchange *exchange)
{
    answer_timer_word(runtime, exchange, timer_drop);
}
