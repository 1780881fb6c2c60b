/* SPDX-License-Identifier: Apache-2.0 */
/* What operators ask of events: what was published here, and that what others have published be
 * applied again. */

#include <string.h>

#include "base/json.h"
#include "event/outbox/list.h"
#include "event/subscribe/replay.h"
#include "service/carriers.h"
#include "service/operators.h"
#include "service/operators_parts.h"

/* ---- events ---- */

/* If the type asked for is not one that this program publishes, adds those that it does. */
static void tell_types(const struct runtime *runtime, const char *type, json_t *page)
{
    json_t *known = json_array();
    const struct fh_service *service = runtime->context.service;
    for (size_t i = 0; i < sizeof service->publishes / sizeof *service->publishes; i++) {
        const char *published = service->publishes[i].type;
        if (published && strcmp(published, type) == 0) {
            json_decref(known);
            return;
        }
        if (published)
            json_array_append_new(known, json_string(published));
    }
    json_object_set_new(page, "publishes", known);
}

void operators_events(struct runtime *runtime, struct exchange *exchange)
{
    struct fh_error error = {0};
    json_t *value = NULL, *query = operators_query(exchange);
    int64_t after = 0, limit = 100, counts = 0;
    if (!query)
        return;
    enum fh_code code = FH_OK;
    if (!operators_number(query, "after", INT64_MAX / 2, &after) ||
        !operators_number(query, "limit", EVENT_LIST_MAX, &limit) || limit < 1 ||
        !operators_number(query, "counts", 1, &counts))
        code = error_set(&error, FH_INVALID,
                         "`after` must be a position, `limit` a number from 1 to %d, `counts` 0 or "
                         "1.",
                         EVENT_LIST_MAX);
    struct event_question question = {.after = after,
                                      .limit = (int)limit,
                                      .type = json_string_at(query, "type"),
                                      .key = json_string_at(query, "key"),
                                      .counts = counts != 0};
    if (code == FH_OK)
        code = event_list(runtime->context.events, &question, &value, &error);
    if (code == FH_OK && question.type)
        tell_types(runtime, question.type, value);
    json_decref(query);
    operators_answer(exchange, code, value, &error);
}

/* ---- replays ---- */

static enum fh_code take_replay_wish(const json_t *body, struct replay_wish *wish,
                                     struct fh_error *error)
{
    json_int_t position = -1;
    const json_t *effects = json_object_get(body, "effects");
    *wish = (struct replay_wish){.source = json_string_at(body, "source"),
                                 .incarnation = json_string_at(body, "incarnation"),
                                 .id = json_string_at(body, "id"),
                                 .shares = json_object_get(body, "shares"),
                                 .reaches_out = json_is_true(effects)};
    if ((wish->shares && !json_is_array(wish->shares)) || !wish->source || !wish->incarnation ||
        !wish->id || (effects && !json_is_boolean(effects)) ||
        !json_integer_at(body, "position", &position) || position < 0)
        return error_set(error, FH_INVALID,
                         "Name `source`, `incarnation` and `id` (texts) and `position` (a number "
                         "from 0), after which events are applied again; `effects` may be true or "
                         "false, and `shares` a list of partitions.");
    wish->position = position;
    return FH_OK;
}

void operators_replay(struct runtime *runtime, struct exchange *exchange)
{
    struct fh_error error = {0};
    struct replay_wish wish;
    json_t *value = NULL, *body = operators_body(exchange);
    if (!body)
        return;
    enum fh_code code = take_replay_wish(body, &wish, &error);
    if (code == FH_OK)
        code = replay_begin(runtime->context.events, &wish, &value, &error);
    json_decref(body);
    operators_answer(exchange, code, value, &error);
}

void operators_replay_end(struct runtime *runtime, struct exchange *exchange)
{
    struct fh_error error = {0};
    json_t *value = NULL, *body = operators_body(exchange);
    if (!body)
        return;
    const char *source = json_string_at(body, "source");
    enum fh_code code = source ? replay_abandon(runtime->context.events, source, &value, &error)
                               : error_set(&error, FH_INVALID, "Name the `source` (a text).");
    json_decref(body);
    operators_answer(exchange, code, value, &error);
}

/* ---- Derived stores ---- */

/* On a derived store, by its name. */
static void act_on_derived(struct runtime *runtime, struct exchange *exchange,
                           enum fh_code (*act)(struct runtime *runtime, const char *name,
                                               json_t **ret, struct fh_error *error))
{
    struct fh_error error = {0};
    json_t *value = NULL, *body = operators_body(exchange);
    if (!body)
        return;
    const char *name = json_string_at(body, "name");
    enum fh_code code = name ? act(runtime, name, &value, &error)
                             : error_set(&error, FH_INVALID, "Name the `name` (a text).");
    json_decref(body);
    operators_answer(exchange, code, value, &error);
}

void operators_accept(struct runtime *runtime, struct exchange *exchange)
{
    act_on_derived(runtime, exchange, carriers_accept_loss);
}

void operators_anew(struct runtime *runtime, struct exchange *exchange)
{
    act_on_derived(runtime, exchange, carriers_make_anew);
}
