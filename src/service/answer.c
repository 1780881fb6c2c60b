/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers to a request: of the service's routes and of the system's. Once a client has been
 * answered because its commit is not decided in time (undecided.h), later answers are dropped.
 */

#define _GNU_SOURCE
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/doing.h"
#include "base/json.h"
#include "call/trace.h"
#include "call/identity.h"
#include "http/media.h"
#include "service/audience.h"
#include "service/exchange.h"
#include "service/view.h"
#include "shape/problem.h"
#include "work/fault.h"
#include "work/spans.h"

/* Those of the unit of work, Retry-After, Preference-Applied, and a view's. */
#define ANSWER_HEADERS_MAX (WORK_REPLY_HEADERS_MAX + WORK_REPLY_HEADERS_OWN + 2 + VIEW_HEADERS_MAX)
#define UNDECIDED                                                                                  \
    "The outcome is unknown: the store has not said yet whether this request was carried out; it " \
    "may have been, or may yet be. "

struct http_incoming *exchange_request(struct exchange *exchange)
{
    return exchange->incoming;
}

const char *exchange_header(const struct exchange *exchange, const char *name)
{
    return http_request_header(exchange->incoming->request, name);
}

static void keep_request_span(const struct exchange *exchange, int status)
{
    const struct http_incoming *incoming = exchange->incoming;
    struct span span = {.kind = exchange->work.read_only ? SPAN_READ : SPAN_REQUEST,
                        .parent = exchange_header(exchange, "traceparent"),
                        .own = exchange->trace,
                        .what = incoming->method,
                        .where = incoming->path,
                        .status = status,
                        .began_ns = incoming->received_ns};
    spans_keep(exchange->runtime->context.spans, &span);
}

const char *exchange_trace(struct exchange *exchange)
{
    unsigned char random[TRACE_RANDOM_SIZE];
    if (!exchange->trace[0]) {
        world_random(exchange->runtime->world, random, sizeof random);
        trace_child(exchange_header(exchange, "traceparent"), random, exchange->trace);
    }
    return exchange->trace;
}

/* ---- the log of requests ---- */

/* Whoever asks for its health, asks all the time. */
static bool asks_for_health(const struct exchange *exchange)
{
    const char *own = exchange->own;
    return own && (strcmp(own, "/livez") == 0 || strcmp(own, "/readyz") == 0);
}

static void tell_request(const struct exchange *exchange, const struct http_answer *answer,
                         int64_t spent_ns)
{
    const struct http_incoming *incoming = exchange->incoming;
    const struct request_line line = {
        .method = incoming->method,
        .where = exchange->route ? exchange->route->route->path : exchange->own,
        .status = answer->status,
        .took_ns = spent_ns,
        .length = answer->body_length,
        .caller = exchange->caller,
        .trace = exchange->trace[0] ? exchange->trace : exchange_header(exchange, "traceparent")};
    if (!asks_for_health(exchange))
        request_log_tell(&exchange->runtime->request_log, &line, incoming->received_ns + spent_ns);
}

/* ---- faults ---- */

/* Of a path that is no route's at most two parts: what follows may be about somebody. */
static void answer_where(const struct exchange *exchange, char out[static DOING_SIZE])
{
    const struct http_incoming *incoming = exchange->incoming;
    const char *path = incoming->path, *third = path;
    if (exchange->route) {
        snprintf(out, DOING_SIZE, "%s", exchange->route->doing->what);
        return;
    }
    for (int slashes = 0; *third && (slashes += *third == '/') < 3;)
        third++;
    snprintf(out, DOING_SIZE, "%s %.*s", request_log_method(incoming->method), (int)(third - path),
             path);
}

/* Of an answer that is no unit of work's, its own problem says why. */
static void tell_fault(struct exchange *exchange, int status, const json_t *problem)
{
    char where[DOING_SIZE];
    const char *detail = json_string_at(problem, "detail");
    if (exchange->told)
        return;
    exchange->told = true;
    answer_where(exchange, where);
    fault_tell_of(&exchange->runtime->context.fault_lines, exchange->runtime->world, status, where,
                  exchange_trace(exchange), detail ? detail : problem_title(status));
}

/* The body of a problem with the trace id in it, malloc'ed; NULL: it is no problem. */
static char *with_trace_id(json_t *problem, const char *trace)
{
    char id[FAULT_TRACE_SIZE];
    if (!json_is_object(problem))
        return NULL;
    if (fault_trace(trace, id)[0]) /* what is turned away has none of its own */
        json_object_set_new(problem, "trace_id", json_string(id));
    return json_text(problem);
}

static void answer_fault(struct exchange *exchange, struct http_answer *answer, int64_t spent_ns)
{
    struct arena *before = json_arena_set(NULL);
    json_t *problem = NULL;
    char *text = NULL;
    if (answer->content_type && strcmp(answer->content_type, PROBLEM_CONTENT_TYPE) == 0 &&
        json_parse(answer->body, answer->body_length, &problem, ERROR_UNHEEDED) == FH_OK)
        text = with_trace_id(problem, exchange_trace(exchange));
    tell_fault(exchange, answer->status, problem);
    if (text) {
        answer->body = text;
        answer->body_length = strlen(text);
    }
    tell_request(exchange, answer, spent_ns);
    http_reply(exchange->incoming->request, answer);
    json_text_free(text);
    json_decref(problem);
    json_arena_set(before);
}

void exchange_answer(struct exchange *exchange, int status, const char *content_type,
                     const char *body, size_t length, const struct http_header *headers,
                     size_t header_count)
{
    struct http_answer answer = {.status = status,
                                 .content_type = content_type,
                                 .body = body,
                                 .body_length = length,
                                 .headers = headers,
                                 .header_count = header_count,
                                 .told = true};
    if (exchange->waits.answered)
        return;
    int64_t spent = world_monotonic_ns(exchange->runtime->world) - exchange->incoming->received_ns;
    if (exchange->route) {
        metrics_count(exchange->route, status, (double)spent / 1e9);
        keep_request_span(exchange, status);
    }
    if (status >= 500) {
        answer_fault(exchange, &answer, spent);
        return;
    }
    if (request_log_wants(&exchange->runtime->request_log, status))
        tell_request(exchange, &answer, spent);
    http_reply(exchange->incoming->request, &answer);
}

int64_t exchange_until_ns(const struct http_incoming *incoming, int64_t came_ns, int64_t most_ms)
{
    const char *told = http_request_header(incoming->request, "Freehold-Deadline");
    int64_t ms = most_ms;
    if (told) {
        char *end;
        long long left = strtoll(told, &end, 10);
        if (*told && !*end && left >= 0 && left < most_ms)
            ms = left;
    }
    return came_ns - incoming->held_ns + ms * 1000000;
}

void exchange_turn_away(struct runtime *runtime, struct http_incoming *incoming,
                        enum problem_type type, const char *why, bool elsewhere)
{
    static const struct http_header headers[] = {{"Retry-After", "1"},
                                                 {"Freehold-Turned-Away", "1"}};
    const char *trace = http_request_header(incoming->request, "traceparent");
    int64_t now_ns = world_monotonic_ns(runtime->world);
    struct arena *before = json_arena_set(NULL);
    json_t *problem = problem_new(type, why, NULL);
    char *text = with_trace_id(problem, trace);
    const struct http_answer answer = {.status = problem_status(type),
                                       .content_type = PROBLEM_CONTENT_TYPE,
                                       .body = text,
                                       .body_length = strlen(text),
                                       .headers = headers,
                                       .header_count = elsewhere ? 2 : 1,
                                       .told = true};
    fault_tell_of(&runtime->context.fault_lines, runtime->world, answer.status,
                  request_log_method(incoming->method), trace, why);
    request_log_tell(&runtime->request_log,
                     &(struct request_line){.method = incoming->method,
                                            .status = answer.status,
                                            .took_ns = now_ns - incoming->received_ns,
                                            .length = answer.body_length,
                                            .trace = trace},
                     now_ns);
    http_reply(incoming->request, &answer);
    json_text_free(text);
    json_decref(problem);
    json_arena_set(before);
}

void exchange_untold(void *context, const struct http_answer *answer)
{
    struct runtime *runtime = context;
    request_log_tell_unread(&runtime->request_log, answer->status, answer->body_length,
                            world_monotonic_ns(runtime->world));
    if (answer->status >= 500)
        fault_tell_answer(&runtime->context.fault_lines, runtime->world, answer->status,
                          answer->body, answer->body_length);
}

static const char *type_of_json(int status)
{
    return status >= 400 ? PROBLEM_CONTENT_TYPE : NULL;
}

void exchange_answer_json(struct exchange *exchange, int status, const json_t *body,
                          const struct http_header *headers, size_t header_count)
{
    if (!body) {
        exchange_answer(exchange, status, NULL, NULL, 0, headers, header_count);
        return;
    }
    struct text text;
    text_init(&text, TEXT_LENGTH_MAX);
    json_write(&text, body);
    exchange_answer(exchange, status, type_of_json(status), text.data, text.length, headers,
                    header_count);
    text_release(&text);
}

static void answer_problem(struct exchange *exchange, enum problem_type type, const char *detail,
                           json_t *errors, const struct http_header *headers, size_t header_count)
{
    json_t *problem = problem_new(type, detail, errors);
    exchange_answer_json(exchange, problem_status(type), problem, headers, header_count);
    json_decref(problem);
}

void exchange_problem(struct exchange *exchange, enum problem_type type, const char *detail)
{
    answer_problem(exchange, type, detail, NULL, NULL, 0);
}

/* Such an answer may hold what others have sent: the gateway's nosniff keeps browsers from guessing
 * what it is (gateway/door.c). */
static void answer_bytes(struct exchange *exchange, const fh_work *w, const unsigned char *bytes,
                         size_t length, const struct http_header *headers, size_t count)
{
    char type[MEDIA_TYPE_SIZE + 16];
    snprintf(type, sizeof type, "%s%s", w->route->answer_type,
             media_is_text(w->route->answer_type) ? "; charset=utf-8" : "");
    exchange_answer(exchange, w->reply_status, type, (const char *)bytes, length, headers, count);
}

void exchange_answer_work(struct exchange *exchange, fh_work *w, const struct http_header *more)
{
    struct http_header headers[ANSWER_HEADERS_MAX];
    size_t count = 0;
    for (int i = 0; i < w->reply_header_count; i++)
        headers[count++] =
            (struct http_header){w->reply_headers[i].name, w->reply_headers[i].value};
    char seconds[16];
    exchange->told |= w->fault_status != 0;
    fault_tell(w); /* it knows best why it is so */
    if (w->retry_after_s) {
        snprintf(seconds, sizeof seconds, "%d", w->retry_after_s);
        headers[count++] = (struct http_header){"Retry-After", seconds};
    }
    if (more)
        headers[count++] = *more;
    count += view_headers(exchange, w->reply_status, headers + count);
    size_t length;
    unsigned char *bytes = work_reply_bytes(w, &length);
    if (bytes) {
        answer_bytes(exchange, w, bytes, length, headers, count);
        free(bytes);
        return;
    }
    const struct work_text *text = &w->reply_text;
    if (w->reply_body && text->of == w->reply_body)
        exchange_answer(exchange, w->reply_status, type_of_json(w->reply_status), text->text,
                        text->length, headers, count);
    else
        exchange_answer_json(exchange, w->reply_status, w->reply_body, headers, count);
}

/* Reveals nothing of the outcome, not even a refusal, and sends no Freehold-Outcome. */
void exchange_answer_undecided(struct undecided_request *request)
{
    struct exchange *exchange =
        (struct exchange *)((char *)request - offsetof(struct exchange, waits));
    static const struct http_header later = {"Retry-After", "1"};
    bool keyed =
        exchange_header(exchange, "Idempotency-Key") || exchange_header(exchange, "Freehold-Undo");
    struct arena *before = json_arena_set(NULL);
    admission_leave(&exchange->runtime->admission, &exchange->admitted);
    http_request_keep(exchange->incoming->request); /* its fiber is still running */
    answer_problem(exchange, PROBLEM_OUTCOME_UNDECIDED,
                   keyed ? UNDECIDED "Repeat it with the same Idempotency-Key."
                         : UNDECIDED
                       "It had no Idempotency-Key: check whether it was carried out before "
                       "you repeat it.",
                   NULL, &later, 1);
    json_arena_set(before);
}

static enum problem_type refusal_of(const struct exchange *exchange, int status)
{
    if (status == 401)
        return PROBLEM_CALLER_UNPROVEN;
    bool named = exchange->runtime->audience || exchange_header(exchange, "Freehold-From");
    return named ? PROBLEM_CALLER_NOT_GRANTED : PROBLEM_CALLER_MISSING;
}

bool exchange_refused(struct exchange *exchange, const struct audience_route *route)
{
    static const struct http_header headers[] = {{AUDIENCE_REFUSED_HEADER, "caller"},
                                                 {"WWW-Authenticate", IDENTITY_HEADER}};
    const char *why;
    int status = audience_judge(exchange->runtime->audience, exchange->incoming->request, route,
                                exchange->caller, &why);
    if (status == 401 || (status && !exchange->runtime->audience))
        exchange->caller[0] = '\0'; /* what it says it is, nobody knows */
    if (status)
        answer_problem(exchange, refusal_of(exchange, status), why, NULL, headers,
                       status == 401 ? 2 : 1);
    return status != 0;
}

void exchange_wrong_method(struct exchange *exchange, const char *allowed)
{
    struct http_header header_allow = {"Allow", allowed};
    answer_problem(exchange, PROBLEM_METHOD_NOT_ALLOWED, "This resource does not know that method.",
                   NULL, &header_allow, 1);
}
