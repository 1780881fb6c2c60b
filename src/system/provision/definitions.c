/* SPDX-License-Identifier: Apache-2.0 */
/* Makes one request to the running process, on a loop of its own. */

#include "system/provision/definitions.h"

#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "base/json.h"
#include "base/text.h"
#include "call/sign.h"
#include "http/client.h"
#include "system/provision/keys.h"
#include "system/provision/links.h"
#include "world/real.h"

static bool is_same(const json_t *one, const json_t *other)
{
    static const char *const parts[] = {"name", "version", "digest"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (!json_equal(json_object_get(one, parts[i]), json_object_get(other, parts[i])))
            return false;
    }
    return true;
}

static bool has_saga(const json_t *sagas, const json_t *definition)
{
    size_t i;
    json_t *saga;
    json_array_foreach (sagas, i, saga) {
        if (is_same(saga, definition))
            return true;
    }
    return false;
}

static bool has_timer(const json_t *timers, const char *name)
{
    size_t i;
    json_t *timer;
    json_array_foreach (timers, i, timer) {
        const char *declared = json_string_at(timer, "name");
        if (declared && name && strcmp(declared, name) == 0)
            return true;
    }
    return false;
}

static bool takes_timer_away(const json_t *before, const json_t *after)
{
    size_t i;
    json_t *timer;
    json_array_foreach (json_object_get(before, "timers"), i, timer) {
        if (!has_timer(json_object_get(after, "timers"), json_string_at(timer, "name")))
            return true;
    }
    return false;
}

/* Definitions of a program from before there were versions are identified by their steps, as
 * before. */
static bool takes_away(const json_t *before, const json_t *after)
{
    size_t i;
    json_t *saga;
    json_array_foreach (json_object_get(before, "sagas"), i, saga) {
        if (json_object_get(saga, "digest") && !has_saga(json_object_get(after, "sagas"), saga))
            return true;
    }
    return false;
}

/* ---- Asking ---- */

struct question {
    struct world_request request;
    bool answered;
    json_t *answer; /* NULL: none, see why */
    char why[96];
};

static void question_answered(struct world_request *request)
{
    struct question *question = request->owner;
    question->answered = true;
    if (request->status == 0)
        snprintf(question->why, sizeof question->why, "%s",
                 request->failure ? request->failure : "no answer");
    else if (request->status != 200 || json_parse(request->answer, request->answer_length,
                                                  &question->answer, ERROR_UNHEEDED) != FH_OK)
        snprintf(question->why, sizeof question->why, "it answered %d", request->status);
}

/* The request has its own deadline; this timer keeps the loop running until it is sent. */
static void keep_question_turning(struct world_timer *timer)
{
    (void)timer;
}

static void send_and_wait(struct question *question, uv_loop_t *loop, struct world *world,
                          const char *service)
{
    struct world_timer turning = {.fire = keep_question_turning};
    question->request = (struct world_request){
        .service = service,
        .method = "GET",
        .path = "/_freehold/definitions",
        .headers = {{"Freehold-From", KEYS_OPERATOR}},
        .deadline_ns = world_in_ms(world, DEFINITIONS_ASK_MS_MAX),
        .done = question_answered,
        .owner = question,
    };
    world_timer_start(world, &turning, question->request.deadline_ns);
    world->ops->request(world, &question->request);
    while (!question->answered)
        uv_run(loop, UV_RUN_ONCE);
    world_timer_stop(world, &turning);
}

/* Asks as the operator, whose keys and certificate are in the state folder. */
static enum fh_code ask_as_operator(struct question *question, const struct state *state,
                                    const char *service, const char *address, uv_loop_t *loop,
                                    struct world *world, struct fh_error *error)
{
    struct http_client *client = NULL;
    struct signing *signing = NULL;
    struct http_tls tls = {0};
    json_t *keys = NULL, *places = links_of_operator(state);
    enum fh_code code = http_tls_read(places, &tls, error);
    if (code == FH_OK)
        code = keys_read(state, &keys, error);
    if (code == FH_OK)
        code = http_client_new(loop, world, &client, error);
    if (code == FH_OK) {
        world_real_set_sender(world, http_client_send, client);
        http_client_use_tls(client, &tls);
        code = sign_requests(client, world, KEYS_OPERATOR, json_object_get(keys, KEYS_OPERATOR),
                             &signing, error);
    }
    if (code == FH_OK) {
        http_client_set_address(client, service, address);
        send_and_wait(question, loop, world, service);
    }
    if (client)
        http_client_free(client);
    sign_free(signing);
    http_tls_release(&tls);
    json_decref(keys);
    json_decref(places);
    return code;
}

static enum fh_code ask_for_definitions(const struct state *state, const char *service,
                                        const char *address, json_t **ret, struct fh_error *error)
{
    uv_loop_t loop;
    struct question question = {.why = "none of its processes is ready"};
    enum fh_code code = FH_OK;
    if (address) {
        FH_ASSERT(uv_loop_init(&loop) == 0);
        struct world *world = world_real_new(&loop, error);
        FH_ASSERT(world != NULL);
        code = ask_as_operator(&question, state, service, address, &loop, world, error);
        world_real_free(world);
        uv_run(&loop, UV_RUN_DEFAULT);
        FH_ASSERT(uv_loop_close(&loop) == 0);
    }
    *ret = question.answer;
    if (code == FH_OK && !question.answer)
        code = error_set(error, FH_CONFLICT,
                         "%s could not be asked which definitions its sagas began with: %s. With "
                         "--force those that the new program has not are parked.",
                         service, question.why);
    return code;
}

/* ---- Judging ---- */

/* "2 of place_order version 1, 1 of close version 3" */
static size_t list_missing(const json_t *needed, const json_t *after, struct text *out)
{
    size_t i, count = 0;
    json_t *one;
    json_array_foreach (json_object_get(needed, "definitions"), i, one) {
        const char *name = json_string_at(one, "name");
        json_int_t version = 0, sagas = 0;
        if (has_saga(json_object_get(after, "sagas"), one) || !name ||
            !json_integer_at(one, "version", &version) || !json_integer_at(one, "sagas", &sagas))
            continue;
        text_printf(out, "%s%lld of %s version %lld", count++ ? ", " : "", (long long)sagas, name,
                    (long long)version);
    }
    return count;
}

/* "escalate, remind" */
static size_t list_missing_timers(const json_t *needed, const json_t *after, struct text *out)
{
    size_t i, count = 0;
    json_t *name;
    json_array_foreach (json_object_get(needed, "timers"), i, name) {
        if (json_is_string(name) &&
            !has_timer(json_object_get(after, "timers"), json_string_value(name)))
            text_printf(out, "%s%s", count++ ? ", " : "", json_string_value(name));
    }
    return count;
}

static enum fh_code refuse_missing(const char *service, const json_t *needed, const json_t *after,
                                   struct fh_error *error)
{
    struct text missing;
    enum fh_code code = FH_OK;
    text_init(&missing, 128);
    if (list_missing(needed, after, &missing))
        code = error_set(error, FH_CONFLICT,
                         "%s can't be upgraded: sagas that are not over began with definitions "
                         "that the new program has not: %s. Keep those there, or say --force.",
                         service, missing.length ? missing.data : "many");
    else if (list_missing_timers(needed, after, &missing))
        code = error_set(error, FH_CONFLICT,
                         "%s can't be upgraded: timers are set that the new program does not "
                         "declare: %s. Keep them in `.timers`, or say --force.",
                         service, missing.length ? missing.data : "many");
    text_release(&missing);
    return code;
}

enum fh_code definitions_check(const struct state *state, const char *service, const char *address,
                               const json_t *before, const json_t *after, struct fh_error *error)
{
    json_t *needed = NULL;
    if (!takes_away(before, after) && !takes_timer_away(before, after))
        return FH_OK;
    enum fh_code code = ask_for_definitions(state, service, address, &needed, error);
    if (code == FH_OK)
        code = refuse_missing(service, needed, after, error);
    json_decref(needed);
    return code;
}
