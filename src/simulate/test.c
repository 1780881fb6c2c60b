/* SPDX-License-Identifier: Apache-2.0 */
/* What happens in a user's test. */

#include "simulate/test.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "call/auth.h"
#include "gateway/compose.h"
#include "http/path.h"
#include "work/command.h"
#include "work/fault.h"
#include "work/object.h"

#define CRASH_STEPS_MAX 300
#define LOOK_MS 5
#define KEY_SIZE 32

void test_end(fh_test *t)
{
    t->run->hopeless = true;
    for (;;)
        fh_client_sleep_ms(&t->client, 3600000); /* the run ends before that */
}

void test_fail(fh_test *t, const char *format, ...)
{
    char text[RUN_FAILURE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    run_fail(t->run, "%s", text);
    test_end(t);
}

json_t *test_keep(fh_test *t, json_t *value)
{
    if (value)
        json_array_append_new(t->kept, value);
    return value;
}

struct run_node *test_node(fh_test *t, const char *service)
{
    for (int i = 0; i < t->run->node_count; i++) {
        if (strcmp(t->run->nodes[i].service->name, service) == 0)
            return &t->run->nodes[i];
    }
    test_fail(t, "there is no service %s in this program of tests", service);
}

void test_request_split(fh_test *t, const char *request, const char **ret_method,
                        const char **ret_path)
{
    const char *space = strchr(request, ' ');
    if (!space || space == request || space[1] != '/')
        test_fail(t, "\"%.100s\" is not a request: expected one such as \"GET /api/users/7\"",
                  request);
    *ret_method = json_string_value(test_keep(t, json_stringn(request, (size_t)(space - request))));
    *ret_path = json_string_value(test_keep(t, json_string(space + 1)));
}

const struct fh_route *test_route(const fh_service *service, const char *method, const char *path)
{
    const struct fh_route *best = NULL;
    for (size_t i = 0; i < sizeof service->routes / sizeof *service->routes; i++) {
        const struct fh_route *route = &service->routes[i];
        if (!route->method)
            break;
        if (strcmp(route->method, method) == 0 && compose_target_fits(path, route->path) &&
            (!best || path_literals(route->path) > path_literals(best->path)))
            best = route;
    }
    return best;
}

/* ---- What happens ---- */

/* Of an answer, for the test: JSON, or NULL. */
static json_t *keep_answer_json(fh_test *t, const struct run_body *answer)
{
    json_t *value = NULL;
    if (answer->length)
        json_parse(answer->bytes, answer->length, &value, ERROR_UNHEEDED);
    return test_keep(t, value);
}

static int test_ask(fh_test *t, int status, const char *service, const char *request,
                    const struct run_body *body, struct run_body *ret)
{
    const char *method, *path;
    char key[KEY_SIZE];
    const struct run_node *node = test_node(t, service);
    test_request_split(t, request, &method, &path);
    snprintf(key, sizeof key, "test-%d", ++t->requests);
    const struct fh_route *route = test_route(node->service, method, path);
    struct fh_ask ask = {.service = service,
                         .method = method,
                         .path = path,
                         .key = strcmp(method, "GET") != 0 ? key : NULL,
                         .as_operator = !route || route->audience != FH_PUBLIC,
                         .user = t->user,
                         .grants = t->grants,
                         .claims = t->claims};
    t->expects_500 = status == 500 ? service : NULL;
    int answered = run_client_ask(&t->client, &ask, status < 500, body, ret);
    t->expects_500 = NULL;
    return answered;
}

static void must_be_answered(fh_test *t, int status, const char *service, const char *request,
                             int answered, struct run_body *answer)
{
    if (answered == status)
        return;
    const char *detail =
        json_string_at(keep_answer_json(t, answer), "detail"); /* if it is a problem */
    free(answer->bytes);
    test_fail(t, "%s %s: expected %d, was answered %d%s%s", service, request, status, answered,
              detail ? ": " : "", detail ? detail : "");
}

static const struct fh_route *asked_route(fh_test *t, const char *service, const char *request)
{
    const char *method, *path;
    const struct run_node *node = test_node(t, service);
    if (node->stubbed)
        test_fail(t, "%s is a stub in this test: it can't be asked %s", service, request);
    test_request_split(t, request, &method, &path);
    return test_route(node->service, method, path);
}

json_t *fh_test_request(fh_test *t, int status, const char *service, const char *request,
                        json_t *body)
{
    struct run_body sent = {0}, answer;
    asked_route(t, service, request);
    if (test_keep(t, body)) {
        sent.bytes = json_text(body);
        sent.length = strlen(sent.bytes);
    }
    int answered = test_ask(t, status, service, request, &sent, &answer);
    json_text_free(sent.bytes);
    must_be_answered(t, status, service, request, answered, &answer);
    json_t *value = keep_answer_json(t, &answer);
    free(answer.bytes);
    return value;
}

const char *fh_test_request_bytes(fh_test *t, int status, const char *service, const char *request,
                                  const void *body, size_t length, size_t *ret_length)
{
    const struct fh_route *route = asked_route(t, service, request);
    struct run_body sent = {.bytes = (char *)(uintptr_t)body, .length = length}, answer;
    if (length && route && !route->body_type)
        test_fail(t, "%s takes no bytes at %s: its route declares no `body_type`", service,
                  request);
    if (length && route)
        sent.type = route->body_type;
    int answered = test_ask(t, status, service, request, &sent, &answer);
    must_be_answered(t, status, service, request, answered, &answer);
    const json_t *kept = test_keep(t, json_stringn_nocheck(answer.bytes, answer.length));
    free(answer.bytes);
    if (ret_length)
        *ret_length = json_string_length(kept);
    return json_string_value(kept);
}

json_t *fh_test_object_of(fh_test *t, const struct fh_member_value *members, size_t count)
{
    struct fh_error error;
    json_t *object = object_build(members, count, true, &error);
    if (!object)
        test_fail(t, "%s", error.message);
    return object;
}

json_t *fh_test_array_of(fh_test *t, const struct fh_value *values, size_t count)
{
    struct fh_error error;
    json_t *array = object_build_array(values, count, true, &error);
    if (!array)
        test_fail(t, "%s", error.message);
    return array;
}

static const char *keep_test_text(fh_test *t, const char *text)
{
    return text ? json_string_value(test_keep(t, json_string(text))) : NULL;
}

void fh_test_login(fh_test *t, const char *subject, const char *grants, json_t *claims)
{
    struct fh_error error;
    if (auth_check(grants, &error) != FH_OK)
        test_fail(t, "\"%s\" is not what a user may do: %s", grants, error.message);
    t->user = keep_test_text(t, subject);
    t->grants = keep_test_text(t, grants);
    t->claims = test_keep(t, claims);
}

void fh_test_skip_time(fh_test *t, int seconds)
{
    simulate_say(&t->run->simulate, t->run->outside, "%d s go by", seconds);
    t->run->skipped_ns += seconds * INT64_C(1000000000);
    for (int i = 0; i < seconds; i++)
        fh_client_sleep_ms(&t->client, 1000);
}

void fh_test_rest(fh_test *t)
{
    int failures = t->run->result->failures;
    run_wait_for_rest(&t->client);
    if (t->run->result->failures > failures)
        test_end(t);
}

void fh_test_crash(fh_test *t, const char *service)
{
    simulate_node_crash(test_node(t, service)->node, SIMULATE_POWER, "the test takes its power");
}

void fh_test_crash_soon(fh_test *t, const char *service)
{
    struct run_node *node = test_node(t, service);
    struct simulate *simulate = &t->run->simulate;
    node->node->crash_how = simulate_chance(simulate, 500000) ? SIMULATE_POWER : SIMULATE_KILLED;
    /* Early steps more often: what is asked next is what the test is about. */
    int64_t within = simulate_between(simulate, 1, CRASH_STEPS_MAX);
    node->node->crash_after = simulate_between(simulate, 1, within);
}

void fh_test_pause(fh_test *t, const char *service, int seconds)
{
    simulate_node_pause(test_node(t, service)->node,
                        t->run->simulate.now_ns + seconds * 1000 * SIMULATE_MS);
}

void fh_test_faults_begin(fh_test *t)
{
    run_faults_begin(t->run);
}

void fh_test_faults_end(fh_test *t)
{
    run_faults_end(t->run);
}

/* ---- Publishing ---- */

/* A work of the service's own, made as a command, so that it is done once however often its
 * process dies. What a death leaves of it is left lying, as all else of that process. */
struct publishing {
    fh_work work; /* the first: the handler finds the rest from it */
    struct simulate_event start;
    struct run_node *node;
    const char *type, *key;
    json_t *data;
    bool ended;
    int status;
    char detail[200];
};

static void publish_handler(fh_work *w)
{
    struct publishing *publishing = (struct publishing *)w;
    fh_publish(w, publishing->type, json_deep_copy(publishing->data));
}

static void publish_run(void *argument)
{
    struct publishing *publishing = argument;
    struct runtime *runtime = run_node_runtime(publishing->node);
    struct command_request command = {
        .method = "POST", .path = "/", .pattern = "/", .key = publishing->key};
    work_init(&publishing->work, &runtime->context, publish_handler);
    publishing->work.deadline_ns = world_in_ms(runtime->world, RUNTIME_DEADLINE_MS);
    command_run(&publishing->work, &command);
    const char *detail = json_string_at(publishing->work.reply_body, "detail");
    snprintf(publishing->detail, sizeof publishing->detail, "%.199s",
             publishing->work.failure.code ? publishing->work.failure.message
             : detail                      ? detail
                                           : "");
    publishing->status = publishing->work.reply_status;
    fault_is_told(&publishing->work); /* by the test that publishes */
    work_release(&publishing->work);
    publishing->ended = true;
}

static void publish_start(struct simulate_event *event)
{
    struct publishing *publishing = event->owner;
    FH_ASSERT(fiber_start(publishing->node->node->world.fibers, publish_run, publishing));
}

/* One life's attempt: 0: it died meanwhile. */
static int publish_once(fh_test *t, struct run_node *node, const char *type, const char *key,
                        json_t *data, char detail[static 200])
{
    struct publishing *publishing = calloc(1, sizeof *publishing);
    FH_ASSERT(publishing != NULL);
    publishing->node = node;
    publishing->type = type;
    publishing->key = key;
    publishing->data = data;
    publishing->start = (struct simulate_event){.fire = publish_start, .owner = publishing};
    while (!node->node->open)
        fh_client_sleep_ms(&t->client, LOOK_MS);
    unsigned life = node->node->life;
    publishing->start.node = node->node;
    publishing->start.of_process = true;
    simulate_plan(&t->run->simulate, &publishing->start, t->run->simulate.now_ns);
    while (!publishing->ended && node->node->life == life && node->node->alive)
        fh_client_sleep_ms(&t->client, LOOK_MS);
    memcpy(detail, publishing->detail, 200);
    return publishing->ended ? publishing->status : 0;
}

void fh_test_publish(fh_test *t, const char *service, const char *type, json_t *data)
{
    struct run_node *node = test_node(t, service);
    char key[KEY_SIZE], detail[200];
    char *text = json_text(test_keep(t, data));
    simulate_say(&t->run->simulate, t->run->outside, "%s publishes %s %s", service, type, text);
    json_text_free(text);
    snprintf(key, sizeof key, "test-%d", ++t->requests);
    int status;
    do
        status = publish_once(t, node, type, key, data, detail);
    while (status == 0 || status == 503);
    if (status >= 400)
        test_fail(t, "%s can't publish %s: %s", service, type, detail);
}
