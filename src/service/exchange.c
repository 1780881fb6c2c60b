/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request, from arrival to answer, on a fiber of its own: route, query, body and shape; then
 * the handler as a unit of work, or as a command if the request has an identity; then the answer,
 * which by then is durable. With `Prefer: wait=N` (RFC 7240) a client waits for the end of the saga
 * that its request began, and gets the resource that Location names instead of the promise of it.
 */

#define _GNU_SOURCE
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "call/user.h"
#include "http/media.h"
#include "http/path.h"
#include "http/prefer.h"
#include "saga/run.h"
#include "service/audience.h"
#include "service/exchange.h"
#include "service/runtime.h"
#include "service/view.h"
#include "shape/problem.h"
#include "shape/shape.h"
#include "work/command.h"
#include "work/page.h"

/* ---- Routing ---- */

static bool method_fits(const struct fh_route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

/* GET implies HEAD. Several patterns may fit one path. */
static void allow_method(char *allowed, size_t size, const char *method)
{
    if (strstr(allowed, method))
        return;
    size_t used = strlen(allowed);
    snprintf(allowed + used, size - used, "%s%s%s", used ? ", " : "", method,
             strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

/* NULL: no route; then *ret_allowed is not empty if the path has routes for other methods. */
static struct runtime_route *route_find(struct runtime *runtime, const char *method,
                                        const char *path, json_t **ret_values, char *ret_allowed,
                                        size_t size)
{
    ret_allowed[0] = '\0';
    for (int i = 0; i < runtime->route_count; i++) {
        struct runtime_route *route = &runtime->routes[i];
        bool fits = method_fits(route->route, method);
        if (!path_match(route->route->path, path, fits ? ret_values : NULL))
            continue;
        if (fits)
            return route;
        allow_method(ret_allowed, size, route->route->method);
    }
    return NULL;
}

/* ---- From bytes to a unit of work ---- */

/* Nothing here decodes a body, so its bytes would be taken for what they stand for. */
static bool body_is_coded(const struct exchange *exchange)
{
    const char *coding = exchange_header(exchange, "Content-Encoding");
    return coding && strcasecmp(coding, "identity") != 0;
}

/* Sets w->query. Returns faults, or NULL. */
static json_t *query_faults(fh_work *w, const json_t *strings)
{
    static const fh_field nothing[] = {{0}};
    const fh_field *shape = page_query_shape(&w->kept, w->route);
    json_t *faults = shape_query(shape ? shape : nothing, strings, &w->query);
    return !faults && w->route->page.by ? page_take_query(w) : faults;
}

/* 0: fits. Otherwise the status, with *ret_problem. */
static int take_query(struct exchange *exchange, json_t **ret_problem)
{
    struct fh_error error;
    json_t *strings;
    if (path_query(exchange->incoming->query, &strings, &error) != FH_OK) {
        *ret_problem = problem_new(PROBLEM_REQUEST_MALFORMED, error.message, NULL);
        return 400;
    }
    exchange->work.page.path = exchange->incoming->path;
    exchange->work.page.query = exchange->incoming->query;
    json_t *faults = query_faults(&exchange->work, strings);
    if (!faults)
        return 0;
    *ret_problem = problem_new(PROBLEM_PARAMETERS_INVALID,
                               "The query does not have the expected form.", faults);
    return 400;
}

static json_t *body_faults(struct exchange *exchange, const fh_field *shape)
{
    shape_settle(shape, exchange->work.body);
    return exchange_header(exchange, "Freehold-Undo") ? shape_check_undo(shape, exchange->work.body)
                                                      : shape_check(shape, exchange->work.body);
}

static int refuse_body(json_t **ret_problem, enum problem_type type, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static int refuse_body(json_t **ret_problem, enum problem_type type, const char *format, ...)
{
    struct fh_error error;
    va_list args;
    va_start(args, format);
    vsnprintf(error.message, sizeof error.message, format, args);
    va_end(args);
    *ret_problem = problem_new(type, error.message, NULL);
    return problem_status(type);
}

/* Of a route that takes other than JSON. */
static int take_body_bytes(struct exchange *exchange, const char *type, json_t **ret_problem)
{
    const struct http_incoming *incoming = exchange->incoming;
    if (incoming->body_length == 0)
        return refuse_body(ret_problem, PROBLEM_BODY_MISSING, "A body is needed: %s.", type);
    if (body_is_coded(exchange))
        return refuse_body(ret_problem, PROBLEM_MEDIA_TYPE_UNSUPPORTED,
                           "A request's body is taken as it is: send it without Content-Encoding.");
    if (!media_fits(exchange_header(exchange, "Content-Type"), type))
        return refuse_body(ret_problem, PROBLEM_MEDIA_TYPE_UNSUPPORTED,
                           "The body must be sent as Content-Type: %s%s.", type,
                           media_is_text(type) ? ", in UTF-8" : "");
    if (media_is_text(type) && !media_is_utf8(incoming->body, incoming->body_length))
        return refuse_body(ret_problem, PROBLEM_REQUEST_MALFORMED, "The body is not UTF-8.");
    exchange->work.body_bytes = incoming->body;
    exchange->work.body_bytes_length = incoming->body_length;
    return 0;
}

static int judge_accept(struct exchange *exchange, json_t **ret_problem)
{
    const char *type = exchange->route->route->answer_type;
    if (!type || media_accepted(exchange_header(exchange, "Accept"), type))
        return 0;
    return refuse_body(ret_problem, PROBLEM_ANSWER_UNACCEPTABLE,
                       "The answer is %s, which the request's Accept does not take.", type);
}

static int take_body(struct exchange *exchange, json_t **ret_problem)
{
    const struct http_incoming *incoming = exchange->incoming;
    const fh_field *shape = exchange->route->route->body;
    struct fh_error error;
    enum problem_type type;
    json_t *faults = NULL;
    if (exchange->route->route->body_type)
        return take_body_bytes(exchange, exchange->route->route->body_type, ret_problem);
    if (!shape && incoming->body_length == 0)
        return 0;
    if (!shape) {
        error_set(&error, FH_INVALID, "This request takes no body.");
        type = PROBLEM_BODY_UNEXPECTED;
    } else if (incoming->body_length == 0) {
        error_set(&error, FH_INVALID, "A body is needed: a JSON object.");
        type = PROBLEM_BODY_MISSING;
    } else if (body_is_coded(exchange)) {
        error_set(&error, FH_INVALID,
                  "A request's body is taken as it is: send it without Content-Encoding.");
        type = PROBLEM_MEDIA_TYPE_UNSUPPORTED;
    } else if (!media_is_json(exchange_header(exchange, "Content-Type"))) {
        error_set(&error, FH_INVALID, "The body must be sent as Content-Type: application/json.");
        type = PROBLEM_MEDIA_TYPE_UNSUPPORTED;
    } else if (json_parse(incoming->body, incoming->body_length, &exchange->work.body, &error) !=
               FH_OK) {
        type = PROBLEM_REQUEST_MALFORMED;
    } else if ((faults = body_faults(exchange, shape))) {
        error_set(&error, FH_INVALID, "The body does not have the expected form.");
        type = PROBLEM_BODY_INVALID;
    } else {
        return 0;
    }
    *ret_problem = problem_new(type, error.message, faults);
    return problem_status(type);
}

static void fail_unfit(fh_work *w)
{
    struct exchange *exchange = (struct exchange *)((char *)w - offsetof(struct exchange, work));
    json_int_t status = 422;
    json_integer_at(exchange->unfit, "status", &status);
    work_fail_problem(w, (int)status, exchange->unfit);
}

/* For a route that can only undo. */
static void fail_undoes(fh_work *w)
{
    work_fail_as(w, PROBLEM_REQUEST_MALFORMED, NULL,
                 "This route only undoes a step: Freehold-Undo is missing.");
}

static int64_t deadline_of(const struct exchange *exchange)
{
    int64_t ms = exchange->route->route->deadline_ms;
    return exchange_until_ns(exchange->incoming, exchange->incoming->received_ns,
                             ms ? ms : RUNTIME_DEADLINE_MS);
}

static void set_asker(const struct exchange *exchange, fh_work *w)
{
    w->caller = exchange->caller;
    w->user = exchange->user;
    w->request = exchange->incoming->request;
}

static void leave_place(fh_work *w)
{
    struct exchange *exchange = (struct exchange *)((char *)w - offsetof(struct exchange, work));
    admission_leave(&exchange->runtime->admission, &exchange->admitted);
}

static void prepare_work(struct exchange *exchange, json_t *path)
{
    fh_work *w = &exchange->work;
    w->handler = exchange->route->route->handler;
    if (!w->handler)
        w->handler = fail_undoes;
    w->route = exchange->route->route;
    w->doing = exchange->route->doing;
    w->entrance = exchange->route->begins_sagas ? &saga_entrance : NULL;
    w->read_only = strcmp(exchange->route->route->method, "GET") == 0;
    const char *cache = exchange_header(exchange, "Cache-Control");
    w->fresh = cache && strcasestr(cache, "no-cache");
    w->path = path;
    w->deadline_ns = exchange->waits.until_ns = deadline_of(exchange);
    w->parks = leave_place;
    set_asker(exchange, w);
    w->trace = exchange_trace(exchange);
}

static struct command_request command_of(const struct exchange *exchange)
{
    const struct http_incoming *incoming = exchange->incoming;
    return (struct command_request){.method = incoming->method,
                                    .path = incoming->path,
                                    .query = incoming->query,
                                    .pattern = exchange->route->route->path,
                                    .body = incoming->body,
                                    .body_length = incoming->body_length,
                                    .undo = exchange->route->route->undo,
                                    .key = exchange_header(exchange, "Idempotency-Key"),
                                    .attempt = exchange_header(exchange, "Freehold-Attempt"),
                                    .from = exchange_header(exchange, "Freehold-From"),
                                    .to = exchange_header(exchange, "Freehold-To"),
                                    .undone = exchange_header(exchange, "Freehold-Undo")};
}

/* ---- Prefer: wait ---- */

static const char *reply_header(const fh_work *w, const char *name)
{
    for (int i = 0; i < w->reply_header_count; i++) {
        if (strcasecmp(w->reply_headers[i].name, name) == 0)
            return w->reply_headers[i].value;
    }
    return NULL;
}

/* Answers with what Location names, as its own GET handler does. False: not found. */
static bool answer_location(struct exchange *exchange, const char *location, int seconds)
{
    struct runtime *runtime = exchange->runtime;
    char allowed[64], applied[24];
    fh_work second;
    work_init(&second, &runtime->context, NULL);
    struct arena *before = json_arena_set(&second.kept);
    struct runtime_route *route =
        route_find(runtime, "GET", location, &second.path, allowed, sizeof allowed);
    second.route = route ? route->route : NULL;
    bool found = false, fits = route && !query_faults(&second, json_object());
    json_arena_set(before);
    if (fits && exchange_may_use(exchange, route->route)) {
        set_asker(exchange, &second);
        second.handler = route->route->handler;
        second.doing = route->doing;
        second.trace = exchange->trace;
        second.read_only = true;
        second.fresh = true; /* what it reads was written just now */
        second.deadline_ns = world_in_ms(runtime->world, RUNTIME_DEADLINE_MS);
        found = work_run(&second) == FH_OK;
    }
    if (found) {
        snprintf(applied, sizeof applied, "wait=%d", seconds);
        struct http_header more = {"Preference-Applied", applied};
        exchange_answer_work(exchange, &second, &more);
    }
    work_release(&second);
    return found;
}

/* The client sees that it did not wait, by the missing Preference-Applied; the author, why. */
static void report_unapplied(struct runtime_route *route)
{
    if (!route->told_unapplied)
        log_warning("preference-unapplied",
                    "%s %s begins a saga and has no location, so nobody can wait for its end with "
                    "Prefer: wait; declare .location.",
                    route->route->method, route->route->path);
    route->told_unapplied = true;
}

static bool wait_for_saga(struct exchange *exchange)
{
    const fh_work *w = &exchange->work;
    int seconds = prefer_wait_s(exchange_header(exchange, "Prefer"));
    const char *reference = reply_header(w, SAGA_HEADER);
    const char *location = reply_header(w, "Location");
    if (!seconds || !reference)
        return false;
    if (!location) {
        report_unapplied(exchange->route);
        return false;
    }
    int64_t deadline = exchange->incoming->received_ns + (int64_t)seconds * 1000000000;
    admission_leave(&exchange->runtime->admission, &exchange->admitted); /* it only waits */
    enum saga_status status = saga_wait(&exchange->runtime->context, reference, w, deadline);
    return (status == SAGA_ENDED || status == SAGA_UNDONE) &&
           answer_location(exchange, location, seconds);
}

/* ---- One exchange ---- */

static void run_route_work(struct exchange *exchange, json_t *path)
{
    fh_work *w = &exchange->work;
    json_t *problem = NULL;
    prepare_work(exchange, path);
    struct command_request command = {0};
    if (!w->read_only)
        command = command_of(exchange);
    bool is_command = !w->read_only && command_is(&command);
    int status = take_query(exchange, &problem);
    if (!status)
        status = take_body(exchange, &problem);
    if (!status)
        status = judge_accept(exchange, &problem);
    if (status && !(is_command && command.from)) {
        exchange_answer_json(exchange, status, problem, NULL, 0);
        return;
    }
    if (status) { /* a service's command: its refusal is recorded, see command.h */
        exchange->unfit = problem;
        w->handler = fail_unfit;
    }
    json_arena_set(NULL);
    if (w->route->of_view) { /* a GET: nothing was unfit */
        if (view_run(exchange))
            exchange_answer_work(exchange, w, NULL);
        return;
    }
    enum fh_code code = is_command ? command_run(w, &command) : work_run(w);
    exchange->route->begins_sagas |= reply_header(w, SAGA_HEADER) != NULL;
    if (code == FH_OK && !exchange->waits.answered && wait_for_saga(exchange))
        return;
    exchange_answer_work(exchange, w, NULL);
}

/* Finds the route, checks that the caller may use it, and serves it. */
static void exchange_serve(struct exchange *exchange)
{
    struct runtime *runtime = exchange->runtime;
    char allowed[128];
    json_t *path = NULL;
    exchange->route = route_find(runtime, exchange->incoming->method, exchange->incoming->path,
                                 &path, allowed, sizeof allowed);
    struct audience_route asked = {0};
    if (exchange->route)
        asked =
            (struct audience_route){exchange->route->route->method, exchange->route->route->path,
                                    exchange->route->route->audience};
    if (exchange_refused(exchange, exchange->route ? &asked : NULL))
        ; /* answered */
    else if (!exchange->route && allowed[0])
        exchange_wrong_method(exchange, allowed);
    else if (!exchange->route)
        exchange_problem(exchange, PROBLEM_ROUTE_UNKNOWN, "There is no such resource.");
    else if (!exchange_user_refused(exchange, exchange->route->route))
        run_route_work(exchange, path);
}

void exchange_run(void *argument)
{
    struct exchange *exchange = argument;
    struct runtime *runtime = exchange->runtime;
    struct http_request *request = exchange->incoming->request;
    exchange->waits = (struct undecided_request){.fiber = fiber_self(), .until_ns = INT64_MAX};
    undecided_enter(runtime, &exchange->waits);
    work_init(&exchange->work, &runtime->context, NULL);
    json_arena_set(&exchange->work.kept);
    if (!own_route(runtime, exchange))
        exchange_serve(exchange);
    json_arena_set(NULL);
    work_release(&exchange->work);
    user_unref(exchange->user);
    undecided_leave(runtime, &exchange->waits);
    admission_leave(&runtime->admission, &exchange->admitted);
    if (exchange->waits.answered)
        http_request_let_go(request);
    free(exchange);
    runtime->exchanges--;
}
