/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every exchange ends here, with exactly one answer; so this is also the only place where requests
 * are counted. Of a service's answer only the headers named here are passed on: what services tell
 * each other (Freehold-*) stays inside. Positions of events go out sealed (seal.h).
 */

#include "gateway/exchange.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/doing.h"
#include "base/json.h"
#include "base/text.h"
#include "call/overload.h"
#include "http/prefer.h"
#include "shape/problem.h"
#include "work/fault.h"

static const struct {
    const char *lower, *name;
} passed_on[] = {{"location", "Location"},
                 {"retry-after", "Retry-After"},
                 {"link", "Link"},
                 {"etag", "ETag"},
                 {"cache-control", "Cache-Control"},
                 {"age", "Age"},
                 {"preference-applied", "Preference-Applied"},
                 {"www-authenticate", "WWW-Authenticate"},
                 {"allow", "Allow"}};
#define PASSED_ON (sizeof passed_on / sizeof *passed_on)
#define LIMIT_HEADERS 2
#define SEALED_HEADERS 2         /* Freehold-At and Freehold-As-Of */
#define LARGE ((size_t)64 << 10) /* of an answer */
#define VARY_LENGTH_MAX ((size_t)4096)
#define CODING_HEADERS 2 /* Content-Encoding, and Vary if there is none */
#define ANSWER_HEADERS_MAX                                                                         \
    (PASSED_ON + 1 + SEALED_HEADERS + DOOR_HEADERS_MAX + LIMIT_HEADERS +                           \
     CODING_HEADERS) /* 1: Vary */

struct gateway_exchange *gateway_exchange_new(struct world *world, const struct door *door,
                                              struct gateway_metrics *metrics, struct spans *spans,
                                              const struct http_incoming *incoming)
{
    struct gateway_exchange *exchange = calloc(1, sizeof *exchange);
    FH_ASSERT(exchange != NULL);
    exchange->world = world;
    exchange->door = door;
    exchange->metrics = metrics;
    exchange->spans = spans;
    exchange->incoming = *incoming;
    return exchange;
}

static const char *traceparent_of(const struct gateway_exchange *exchange)
{
    return http_request_header(exchange->incoming.request, "traceparent");
}

/* The client's trace, or a new one, with a new span of the gateway. */
static void begin_span(struct gateway_exchange *exchange)
{
    unsigned char random[TRACE_RANDOM_SIZE];
    world_random(exchange->world, random, sizeof random);
    trace_child(traceparent_of(exchange), random, exchange->trace);
}

static bool exchange_reads(const struct gateway_exchange *exchange)
{
    const char *method = exchange->incoming.method;
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

static void keep_gateway_span(const struct gateway_exchange *exchange, int status)
{
    const struct http_incoming *incoming = &exchange->incoming;
    struct trace parsed;
    const char *parent = traceparent_of(exchange);
    struct span span = {.kind = exchange_reads(exchange) ? SPAN_READ : SPAN_REQUEST,
                        .parent = trace_parse(parent, &parsed) ? parent : NULL,
                        .own = exchange->trace,
                        .what = incoming->method,
                        .where = incoming->path,
                        .status = status,
                        .began_ns = incoming->received_ns};
    spans_keep(exchange->spans, &span);
}

void gateway_exchange_route(struct gateway_exchange *exchange, const struct route *route)
{
    exchange->route = route;
    int64_t deadline_ms = route->deadline_ms;
    /* A client that prefers to wait may add that time. */
    deadline_ms += 1000 * prefer_wait_s(http_request_header(exchange->incoming.request, "Prefer"));
    exchange->deadline_ns = exchange->incoming.received_ns + deadline_ms * 1000000;
    begin_span(exchange);
}

static const struct http_header *find_header(const struct http_answer *answer, const char *name)
{
    for (size_t i = 0; i < answer->header_count; i++) {
        if (strcasecmp(answer->headers[i].name, name) == 0)
            return &answer->headers[i];
    }
    return NULL;
}

/* What is long and compressed tells by its length whether a guess that the client put into it is
 * there already (BREACH). So nothing is coded that another site's page made a browser ask for, with
 * whatever credentials the browser adds by itself, unless the system's operators trust that site;
 * nor an answer that declares a secret. */
static bool may_be_coded(const struct gateway_exchange *exchange, const struct http_answer *whole)
{
    const char *site = http_request_header(exchange->incoming.request, "Sec-Fetch-Site");
    bool own = !site || strcmp(site, "same-origin") == 0 || strcmp(site, "none") == 0;
    return (!exchange->route || !exchange->route->secret) &&
           (own || find_header(whole, "Access-Control-Allow-Origin"));
}

/* Whatever comes of it, a cache has to know that it depends on this. */
static void vary_by_coding(struct http_answer *whole, struct http_header *headers,
                           struct text *text)
{
    const struct http_header *vary = find_header(whole, "Vary");
    text_printf(text, "%s%sAccept-Encoding", vary ? vary->value : "", vary ? ", " : "");
    size_t at = vary ? (size_t)(vary - whole->headers) : whole->header_count++;
    headers[at] = (struct http_header){"Vary", text->overflow ? "*" : text->data};
}

/* Codes the answer's body, if it is worth it. Returns the new body, which is to be freed, or NULL.
 */
static char *encode_answer(const struct gateway_exchange *exchange, struct http_answer *whole,
                           struct http_header *headers, struct text *vary)
{
    /* A 304 has the Vary of what it stands for: RFC 9110, 15.4.5. */
    bool unchanged = whole->status == 304;
    if (!exchange->coder || !(unchanged || coding_fits(whole)) || !may_be_coded(exchange, whole))
        return NULL;
    vary_by_coding(whole, headers, vary);
    if (unchanged)
        return NULL;
    enum coding coding =
        coding_accepted(http_request_header(exchange->incoming.request, "Accept-Encoding"));
    int64_t began_ns = world_monotonic_ns(exchange->world);
    if (coding == CODING_NONE || !coder_affords(exchange->coder, began_ns))
        return NULL;
    size_t length;
    char *coded = coder_encode(exchange->coder, coding, whole->body, whole->body_length, &length);
    coder_spent(exchange->coder, world_monotonic_ns(exchange->world) - began_ns);
    if (!coded)
        return NULL;
    whole->body = coded;
    whole->body_length = length;
    headers[whole->header_count++] = (struct http_header){"Content-Encoding", coding_name(coding)};
    return coded;
}

static void reply_through_door(const struct gateway_exchange *exchange,
                               const struct http_answer *answer)
{
    struct http_request *request = exchange->incoming.request;
    struct http_header headers[ANSWER_HEADERS_MAX];
    struct http_answer whole = *answer;
    whole.told = answer->told || answer->status < 500;
    char policy[LIMITS_HEADER_SIZE], limit[LIMITS_HEADER_SIZE];
    FH_ASSERT(answer->header_count + DOOR_HEADERS_MAX + LIMIT_HEADERS + CODING_HEADERS <=
              ANSWER_HEADERS_MAX);
    for (size_t i = 0; i < answer->header_count; i++)
        headers[i] = answer->headers[i];
    whole.headers = headers;
    whole.header_count +=
        door_answer_headers(exchange->door, http_request_header(request, "Origin"), answer->headers,
                            answer->header_count, headers + answer->header_count);
    if (exchange->standing.known) {
        limits_headers(exchange->limits, &exchange->standing, policy, limit);
        headers[whole.header_count++] = (struct http_header){"RateLimit-Policy", policy};
        headers[whole.header_count++] = (struct http_header){"RateLimit", limit};
    }
    struct text vary;
    text_init(&vary, VARY_LENGTH_MAX);
    char *coded = encode_answer(exchange, &whole, headers, &vary);
    whole.paced = exchange->paced && !exchange->address.by_proxy;
    if (exchange->place)
        whole.held = place_answer(exchange->place, whole.body_length);
    http_reply(request, &whole);
    free(coded);
    text_release(&vary);
}

/* ---- Answers ---- */

const char *gateway_authorization(const struct gateway_exchange *exchange)
{
    if (exchange->authenticator && !authenticator_forwards(exchange->authenticator))
        return NULL;
    return http_request_header(exchange->incoming.request, "Authorization");
}

/* Where there is no room for it, a large answer is dropped, if it can be asked for again. */
static bool can_keep(const struct gateway_exchange *exchange, const struct http_answer *answer)
{
    return !exchange->place || answer->body_length < LARGE || !exchange_reads(exchange) ||
           place_fits(exchange->place, answer->body_length);
}

/* Not the address, nor who the user is: only what kind of client it is. */
static const char *caller_text(const struct gateway_exchange *exchange)
{
    if (!exchange->user)
        return "a client";
    return exchange->user->by_key ? "an API key" : "a user";
}

static void log_exchange(const struct gateway_exchange *exchange, const struct http_answer *answer,
                         int64_t spent_ns)
{
    const struct http_incoming *incoming = &exchange->incoming;
    const struct request_line line = {.method = incoming->method,
                                      .where = exchange->route ? exchange->route->pattern : NULL,
                                      .status = answer->status,
                                      .took_ns = spent_ns,
                                      .length = answer->body_length,
                                      .caller = caller_text(exchange),
                                      .trace = exchange->trace[0] ? exchange->trace
                                                                  : traceparent_of(exchange)};
    if (strcmp(incoming->path, "/livez") != 0 && strcmp(incoming->path, "/readyz") != 0)
        request_log_tell(&exchange->metrics->request_log, &line, incoming->received_ns + spent_ns);
}

static void free_exchange(struct gateway_exchange *exchange)
{
    known_user_unref(exchange->user);
    free(exchange);
}

void gateway_reply(struct gateway_exchange *exchange, const struct http_answer *answer)
{
    const struct route *route = exchange->route;
    struct request_log *log = &exchange->metrics->request_log;
    if (!can_keep(exchange, answer)) {
        place_note(exchange->place, answer->body_length);
        gateway_busy(exchange);
        return;
    }
    int64_t spent_ns = world_monotonic_ns(exchange->world) - exchange->incoming.received_ns;
    gateway_metrics_request(exchange->metrics,
                            route && route->upstream ? route->upstream->name : "gateway",
                            answer->status, spent_ns);
    if (request_log_wants(log, answer->status) && (!exchange->passed_on || log->all))
        log_exchange(exchange, answer, spent_ns);
    if (route)
        keep_gateway_span(exchange, answer->status);
    reply_through_door(exchange, answer);
    free_exchange(exchange);
}

/* Its own answer of 500 and more: the log says why, and the client gets what to ask for there. */
static void tell_problem(struct gateway_exchange *exchange, int status, json_t *problem)
{
    char where[DOING_SIZE], id[FAULT_TRACE_SIZE];
    const struct route *route = exchange->route;
    if (!exchange->trace[0])
        begin_span(exchange);
    snprintf(where, sizeof where, "%s %s", exchange->incoming.method,
             route ? route->pattern : "(no route)");
    json_object_set_new(problem, "trace_id", json_string(fault_trace(exchange->trace, id)));
    fault_tell_of(&exchange->metrics->fault_lines, exchange->world, status, where, exchange->trace,
                  json_string_at(problem, "detail"));
}

/* Takes over `problem`. */
static void reply_gateway_problem(struct gateway_exchange *exchange, json_t *problem,
                                  const struct http_header *headers, size_t count)
{
    json_int_t status = 500;
    json_integer_at(problem, "status", &status);
    exchange->passed_on = false;
    if (status >= 500)
        tell_problem(exchange, (int)status, problem);
    char *body = json_text(problem);
    json_decref(problem);
    gateway_reply(exchange, &(struct http_answer){.status = (int)status,
                                                  .content_type = PROBLEM_CONTENT_TYPE,
                                                  .body = body,
                                                  .body_length = strlen(body),
                                                  .headers = headers,
                                                  .header_count = count,
                                                  .told = true});
    json_text_free(body);
}

void gateway_problem(struct gateway_exchange *exchange, enum problem_type type, const char *allow,
                     const char *service, const char *format, ...)
{
    char detail[512], seconds[16];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    struct http_header headers[2];
    size_t count = 0;
    json_t *problem = problem_new(type, detail, NULL);
    if (service)
        json_object_set_new(problem, "service", json_string(service));
    if (allow)
        headers[count++] = (struct http_header){"Allow", allow};
    if (service) {
        snprintf(seconds, sizeof seconds, "%d", EXCHANGE_RETRY_AFTER_S);
        headers[count++] = (struct http_header){"Retry-After", seconds};
    }
    reply_gateway_problem(exchange, problem, headers, count);
}

void gateway_challenge(struct gateway_exchange *exchange, enum problem_type type,
                       const char *challenge, const char *detail)
{
    gateway_refuse(exchange, type, &(struct http_header){"WWW-Authenticate", challenge}, detail);
}

void gateway_refuse(struct gateway_exchange *exchange, enum problem_type type,
                    const struct http_header *header, const char *detail)
{
    reply_gateway_problem(exchange, problem_new(type, detail, NULL), header, 1);
}

void gateway_busy(struct gateway_exchange *exchange)
{
    exchange->paced = true;
    gateway_problem(exchange, PROBLEM_CLIENT_BUSY, NULL, "gateway",
                    "Too many requests of this client are under way, or it does not read the "
                    "answers to earlier ones.");
}

/* It is in no log and in no metric of requests, but counted: of a flood there may be many. */
void gateway_shed(struct gateway_exchange *exchange)
{
    exchange->metrics->shed++;
    reply_through_door(exchange, overload_answer(exchange->world));
    free_exchange(exchange);
}

void gateway_limited(struct gateway_exchange *exchange)
{
    char seconds[16], detail[160];
    const char *name = limits_kind_name(exchange->standing.kind);
    int retry_s = limits_retry_s(&exchange->standing);
    struct http_header header = {"Retry-After", seconds};
    snprintf(seconds, sizeof seconds, "%d", retry_s);
    snprintf(detail, sizeof detail,
             "The limit of requests by %s is reached. The next one is possible in %d s.", name,
             retry_s);
    json_t *problem = problem_new(PROBLEM_RATE_EXCEEDED, detail, NULL);
    json_object_set_new(problem, "violated-policies", json_pack("[s]", name));
    exchange->paced = true;
    reply_gateway_problem(exchange, problem, &header, 1);
}

/* What the service's answer depends on, and what the door adds to that: a cache that is told of one
 * only would give one origin's answer to another, or one language's. */
static void add_vary(const struct gateway_exchange *exchange, const struct world_request *answered,
                     struct text *ret)
{
    for (size_t i = 0; i < answered->answer_header_count; i++) {
        const struct world_header *header = &answered->answer_headers[i];
        if (strcmp(header->name, "vary") == 0)
            text_printf(ret, "%s%s", ret->length ? ", " : "", header->value);
    }
    if (ret->overflow) {
        text_clear(ret);
        text_add(ret, "*");
    } else if (ret->length && exchange->door->origin_count) {
        text_add(ret, ", Origin");
    }
}

/* Appends the headers that tell of positions, sealed, with their texts in `texts`. */
static size_t seal_positions(const struct gateway_exchange *exchange,
                             const struct world_request *answered,
                             struct http_header ret[static SEALED_HEADERS],
                             struct text texts[static SEALED_HEADERS])
{
    size_t count = 0;
    const char *at = world_answer_header(answered, "freehold-at");
    const char *shown =
        exchange->route->of_view ? world_answer_header(answered, "freehold-as-of") : NULL;
    if (at && seal_close_at(exchange->seal, answered->service, at, &texts[count])) {
        ret[count] = (struct http_header){"Freehold-At", texts[count].data};
        count++;
    }
    if (shown && seal_close_as_of(exchange->seal, shown, &texts[count])) {
        ret[count] = (struct http_header){"Freehold-As-Of", texts[count].data};
        count++;
    }
    return count;
}

void gateway_pass_on(struct gateway_exchange *exchange, const struct world_request *answered)
{
    struct http_header headers[PASSED_ON + 1 + SEALED_HEADERS];
    size_t count = 0;
    struct text vary, sealed[SEALED_HEADERS];
    const char *refused = world_answer_header(answered, "freehold-refused");
    if (refused && strcmp(refused, "user") != 0) {
        /* The service refused this gateway: its client can't do anything about that. */
        gateway_problem(exchange, PROBLEM_GATEWAY_NOT_GRANTED, NULL, NULL,
                        "The service %s refuses this gateway's requests.", answered->service);
        return;
    }
    for (size_t i = 0; i < PASSED_ON; i++) {
        const char *value = world_answer_header(answered, passed_on[i].lower);
        if (value)
            headers[count++] = (struct http_header){passed_on[i].name, value};
    }
    text_init(&vary, VARY_LENGTH_MAX);
    add_vary(exchange, answered, &vary);
    if (vary.length)
        headers[count++] = (struct http_header){"Vary", vary.data};
    for (size_t i = 0; i < SEALED_HEADERS; i++)
        text_init(&sealed[i], SEAL_TOKENS_LENGTH_MAX);
    count += seal_positions(exchange, answered, headers + count, sealed);
    exchange->passed_on = true;
    gateway_reply(exchange, &(struct http_answer){.status = answered->status,
                                                  .content_type =
                                                      world_answer_header(answered, "content-type"),
                                                  .body = answered->answer,
                                                  .body_length = answered->answer_length,
                                                  .headers = headers,
                                                  .header_count = count,
                                                  .told = true}); /* in that service's log */
    text_release(&vary);
    for (size_t i = 0; i < SEALED_HEADERS; i++)
        text_release(&sealed[i]);
}
