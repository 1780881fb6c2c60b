/* SPDX-License-Identifier: Apache-2.0 */
/* What operators ask: parameters in, the rooms' own words out. */

#include "service/operators.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "event/parked.h"
#include "http/path.h"
#include "saga/run.h"
#include "saga/show.h"

/* Answers with `value`, which it takes, or with what went wrong. */
static void answer(struct exchange *exchange, enum fh_code code, json_t *value,
                   const struct fh_error *error)
{
    if (code == FH_OK) {
        char *text = json_text(value);
        exchange_answer(exchange, 200, NULL, text, strlen(text), NULL, 0);
        json_text_free(text);
        json_decref(value);
        return;
    }
    int status = code == FH_INVALID     ? 400
                 : code == FH_NOT_FOUND ? 404
                 : code == FH_CONFLICT  ? 409
                                        : 503;
    exchange_problem(exchange, status, error->message);
}

/* The parameters of a GET. NULL: it is answered. */
static json_t *query_of(struct exchange *exchange)
{
    struct fh_error error;
    json_t *query;
    if (path_query(exchange_request(exchange)->query, &query, &error) == FH_OK)
        return query;
    exchange_problem(exchange, 400, error.message);
    return NULL;
}

/* The body of a POST: an object. NULL: it is answered. */
static json_t *body_of(struct exchange *exchange)
{
    const struct http_incoming *incoming = exchange_request(exchange);
    struct fh_error error = {.message = "The body must be a JSON object."};
    json_t *body = NULL;
    if (json_parse(incoming->body ? incoming->body : "", incoming->body_length, &body, &error) ==
            FH_OK &&
        json_is_object(body))
        return body;
    json_decref(body);
    exchange_problem(exchange, 400, error.message);
    return NULL;
}

void operators_parked(struct runtime *runtime, struct exchange *exchange)
{
    struct fh_error error = {0};
    json_t *value = NULL, *query = query_of(exchange);
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
    answer(exchange, code, value, &error);
}

void operators_parked_retry(struct runtime *runtime, struct exchange *exchange)
{
    struct fh_error error = {0};
    json_t *value = NULL, *body = body_of(exchange);
    if (!body)
        return;
    const char *source = json_string_at(body, "source"), *key = json_string_at(body, "key");
    enum fh_code code = FH_OK;
    if (json_object_size(body) > 0 && (!source || !key))
        code = error_set(&error, FH_INVALID,
                         "Name `source` and `key` (texts), or nothing to retry all.");
    if (code == FH_OK)
        code = parked_retry(runtime->context.events, source, key, &value, &error);
    json_decref(body);
    answer(exchange, code, value, &error);
}

void operators_parked_drop(struct runtime *runtime, struct exchange *exchange)
{
    struct fh_error error = {0};
    json_t *value = NULL, *body = body_of(exchange);
    if (!body)
        return;
    const char *source = json_string_at(body, "source"), *key = json_string_at(body, "key");
    const json_t *all = json_object_get(body, "all");
    enum fh_code code;
    if (!source || !key || (all && !json_is_boolean(all)))
        code = error_set(&error, FH_INVALID,
                         "Name `source` and `key` (texts); `all` may be true or false.");
    else
        code = parked_drop(runtime->context.events, source, key, json_is_true(all), &value, &error);
    json_decref(body);
    answer(exchange, code, value, &error);
}

/* ---- sagas --------------------------------------------------------------------------------- */

void operators_sagas(struct runtime *runtime, struct exchange *exchange)
{
    struct fh_error error = {0};
    json_t *value = NULL, *query = query_of(exchange);
    if (!query)
        return;
    enum fh_code code =
        saga_list(&runtime->context, json_string_at(query, "status"), &value, &error);
    json_decref(query);
    answer(exchange, code, value, &error);
}

void operators_saga(struct runtime *runtime, struct exchange *exchange)
{
    struct fh_error error = {0};
    struct saga_id id;
    json_t *value = NULL, *query = query_of(exchange);
    if (!query)
        return;
    enum fh_code code = saga_id_parse(json_string_at(query, "id"), &id, &error);
    if (code == FH_OK)
        code = saga_show(&runtime->context, &id, &value, &error);
    json_decref(query);
    answer(exchange, code, value, &error);
}

void operators_saga_retry(struct runtime *runtime, struct exchange *exchange)
{
    struct fh_error error = {0};
    struct saga_id id;
    json_t *value = NULL, *body = body_of(exchange);
    if (!body)
        return;
    enum fh_code code = saga_id_parse(json_string_at(body, "id"), &id, &error);
    if (code == FH_OK)
        code = saga_retry(runtime->context.sagas, id.birth, id.number, &error);
    if (code == FH_OK)
        code = saga_show(&runtime->context, &id, &value, &error);
    json_decref(body);
    answer(exchange, code, value, &error);
}
