/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A call is one request as its sender sees it: open until an answer, a failure or its deadline has
 * come, whichever is first. A message is one copy of it on its way to the receiver; its answer is
 * on the way back. Call and messages know of each other only while both live:
 *
 *     message: travelling -> (waiting in the backlog) -> serving -> answer travelling -> gone
 *
 * The sender's process dies: its calls are gone, their messages arrive all the same. The
 * receiver's dies: what it was serving is reset, what travels or waits is not.
 */

#define _GNU_SOURCE
#include "simulate/network.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"

#define WAY_NS_MIN ((int64_t)20000)
#define WAY_NS_MAX ((int64_t)300000)
#define LATE_NS_MAX ((int64_t)8000000000)
#define WAY_NS_GRAIN ((int64_t)10000) /* several arrive at one instant */
#define ANSWER_HEADERS_MAX 24
#define BACKLOG_REFUSED 300000 /* of those that come while nobody listens, in a million */

struct simulate_call {
    struct simulate_node *from;
    struct world_request *request;
    struct simulate_event event; /* the deadline; or the failure that has been noticed */
    const char *failure;
    bool unsent;
    int messages; /* that know it */
    struct simulate_call *previous, *next;
};

struct simulate_answer {
    int status;
    char *body;
    size_t length;
    struct world_header headers[ANSWER_HEADERS_MAX];
    size_t header_count;
    struct text texts;
};

static int64_t network_way_ns(struct simulate *simulate)
{
    bool late = simulate_chance(simulate, simulate->faults.late);
    int64_t ns = simulate_between(simulate, WAY_NS_MIN, late ? LATE_NS_MAX : WAY_NS_MAX);
    return ns / WAY_NS_GRAIN * WAY_NS_GRAIN;
}

static bool are_apart(struct simulate *simulate, int one, int other)
{
    return simulate->apart_until_ns[one][other] > simulate->now_ns;
}

void simulate_network_part(struct simulate_node *one, struct simulate_node *other, int64_t until_ns)
{
    struct simulate *simulate = one->simulate;
    simulate->apart_until_ns[one->number][other->number] = until_ns;
    simulate->apart_until_ns[other->number][one->number] = until_ns;
}

/* ---- calls ---- */

static void call_unlink(struct simulate_call *call)
{
    if (call->previous)
        call->previous->next = call->next;
    else
        call->from->calls = call->next;
    if (call->next)
        call->next->previous = call->previous;
}

/* Nobody waits for it any more. */
static void call_forget(struct simulate_call *call)
{
    if (call->request) {
        call_unlink(call);
        simulate_cancel(call->from->simulate, &call->event);
    }
    call->request = NULL;
    if (call->messages == 0)
        free(call);
}

static void call_end(struct simulate_call *call)
{
    struct world_request *request = call->request;
    request->native = NULL;
    call_forget(call);
    request->done(request);
}

static void call_failed(struct simulate_event *event)
{
    struct simulate_call *call = event->owner;
    struct world_request *request = call->request;
    request->status = 0;
    request->failure = call->failure;
    request->unsent = call->unsent;
    request->answer = "";
    request->answer_length = request->answer_header_count = 0;
    call_end(call);
}

/* The sender notices after one more way; its deadline comes first, if it is earlier. */
static void call_fail(struct simulate_call *call, const char *failure, bool unsent)
{
    struct simulate *simulate = call->from->simulate;
    int64_t at_ns = simulate->now_ns + network_way_ns(simulate);
    if (!call->request || at_ns >= call->event.wanted_ns)
        return;
    call->failure = failure;
    call->unsent = unsent;
    simulate_plan(simulate, &call->event, at_ns);
}

/* ---- messages ---- */

static void answer_free(struct simulate_answer *answer)
{
    if (!answer)
        return;
    text_release(&answer->texts);
    free(answer->body);
    free(answer);
}

static void message_free(struct simulate_message *message)
{
    struct simulate_call *call = message->call;
    if (call && --call->messages == 0 && !call->request)
        free(call);
    answer_free(message->answer);
    free(message);
}

static void serving_add(struct simulate_message *message)
{
    struct simulate_node *node = message->to;
    message->serving = true;
    message->previous = NULL;
    message->next = node->serving;
    if (node->serving)
        node->serving->previous = message;
    node->serving = message;
}

static void serving_remove(struct simulate_message *message)
{
    if (message->previous)
        message->previous->next = message->next;
    else
        message->to->serving = message->next;
    if (message->next)
        message->next->previous = message->previous;
    message->serving = false;
}

static void message_hand_over(struct simulate_message *message)
{
    serving_add(message);
    message->to->receive(message->to, message);
}

static void message_arrives(struct simulate_event *event)
{
    struct simulate_message *message = event->owner;
    struct simulate_node *to = message->to;
    struct simulate *simulate = to->simulate;
    if (are_apart(simulate, message->from, to->number)) {
        simulate_say(simulate, to, "apart: %s %s does not arrive", message->method, message->path);
        message_free(message);
    } else if (to->open) {
        message_hand_over(message);
    } else if (simulate_chance(simulate, BACKLOG_REFUSED)) {
        if (message->call)
            call_fail(message->call, "connection refused", true);
        message_free(message);
    } else {
        message->next = NULL;
        *to->backlog_last = message;
        to->backlog_last = &message->next;
    }
}

void simulate_network_open(struct simulate_node *node, bool open)
{
    node->open = open;
    while (node->open && node->backlog_first) {
        struct simulate_message *message = node->backlog_first;
        node->backlog_first = message->next;
        if (!node->backlog_first)
            node->backlog_last = &node->backlog_first;
        simulate_plan(node->simulate, &message->event, node->simulate->now_ns);
    }
}

/* One block: the message, its headers, all texts. */
static struct simulate_message *network_message_new(const struct world_request *request)
{
    size_t count = 0, size = strlen(request->method) + strlen(request->path) + 3;
    for (; count < WORLD_HEADERS_MAX && request->headers[count].name; count++)
        size += strlen(request->headers[count].name) + strlen(request->headers[count].value) + 2;
    size_t fixed = sizeof(struct simulate_message) + (count + 1) * sizeof(struct world_header);
    struct simulate_message *message = calloc(1, fixed + size + request->body_length);
    FH_ASSERT(message != NULL);
    struct world_header *headers = (void *)(message + 1);
    char *at = (char *)message + fixed;
    message->headers = headers;
    message->method = at;
    at = stpcpy(at, request->method) + 1;
    message->path = at;
    at = stpcpy(at, request->path) + 1;
    for (size_t i = 0; i < count; i++) {
        headers[i].name = at;
        at = stpcpy(at, request->headers[i].name) + 1;
        headers[i].value = at;
        at = stpcpy(at, request->headers[i].value) + 1;
    }
    message->body = at;
    message->body_length = request->body_length;
    if (request->body_length)
        memcpy(at, request->body, request->body_length);
    return message;
}

static const char *request_header_of(const struct world_request *request, const char *name)
{
    for (size_t i = 0; i < WORLD_HEADERS_MAX && request->headers[i].name; i++) {
        if (strcasecmp(request->headers[i].name, name) == 0)
            return request->headers[i].value;
    }
    return NULL;
}

/* No proxy and no client repeats what has no identity. */
static bool may_repeat(const struct world_request *request)
{
    return strcmp(request->method, "GET") == 0 || request_header_of(request, "Idempotency-Key") ||
           request_header_of(request, "Freehold-Undo") ||
           request_header_of(request, "Freehold-From");
}

static void message_send(struct simulate_call *call, struct simulate_node *to, bool second)
{
    struct simulate *simulate = call->from->simulate;
    struct simulate_message *message = network_message_new(call->request);
    message->to = to;
    message->from = call->from->number;
    message->event = (struct simulate_event){.fire = message_arrives, .owner = message, .node = to};
    int64_t at_ns = simulate->now_ns + network_way_ns(simulate);
    if (second) {
        at_ns += simulate_between(simulate, 0, simulate_chance(simulate, 500000) ? LATE_NS_MAX : 0);
    } else {
        message->call = call;
        call->messages++;
    }
    simulate_plan(simulate, &message->event, at_ns);
}

/* One of the service's processes: like the listening socket that they share, mostly one that takes
 * requests. */
static struct simulate_node *network_node(struct simulate *simulate, const char *name)
{
    struct simulate_node *found[SIMULATE_NODES_MAX], *any = NULL;
    uint64_t open = 0;
    for (int i = 0; i < simulate->node_count; i++) {
        struct simulate_node *node = simulate->nodes[i];
        if (strcmp(node->service, name) != 0)
            continue;
        any = any ? any : node;
        if (node->open)
            found[open++] = node;
    }
    return open ? found[open == 1 ? 0 : simulate_below(simulate, open)] : any;
}

static struct simulate_call *call_new(struct simulate_node *from, struct world_request *request)
{
    struct simulate_call *call = calloc(1, sizeof *call);
    FH_ASSERT(call != NULL);
    *call = (struct simulate_call){
        .from = from, .request = request, .failure = "deadline passed", .next = from->calls};
    if (from->calls)
        from->calls->previous = call;
    from->calls = call;
    request->native = call;
    call->event = (struct simulate_event){
        .fire = call_failed, .owner = call, .node = from, .of_process = true};
    return call;
}

/* Outside of the simulated system there are its services again, under their names: what goes to
 * "http://bank/paid" is bank's /paid. */
static struct simulate_node *node_outside(const struct simulate *simulate,
                                          struct world_request *request)
{
    const char *host = strstr(request->url, "://") + 3;
    size_t length = strcspn(host, "/?");
    request->path = host[length] ? host + length : "/";
    for (int i = 0; i < simulate->node_count; i++) {
        const char *name = simulate->nodes[i]->name;
        if (strlen(name) == length && memcmp(name, host, length) == 0)
            return simulate->nodes[i];
    }
    return NULL;
}

void simulate_network_send(struct simulate_node *from, struct world_request *request)
{
    struct simulate *simulate = from->simulate;
    const struct simulate_faults *faults = &simulate->faults;
    struct simulate_node *to =
        request->url ? node_outside(simulate, request) : network_node(simulate, request->service);
    struct simulate_call *call = call_new(from, request);
    if (!to || !to->receive || from->silent || request->deadline_ns <= simulate->now_ns) {
        call->unsent = true;
        call->failure = !to            ? "no such service"
                        : from->silent ? "the client has ended"
                                       : "deadline passed";
        simulate_plan(simulate, &call->event, simulate->now_ns);
        return;
    }
    simulate_plan(simulate, &call->event, request->deadline_ns);
    const char *became = "";
    if (simulate_chance(simulate, faults->request_lost)) {
        became = ", and is lost";
    } else {
        message_send(call, to, false);
        if (may_repeat(request) && simulate_chance(simulate, faults->doubled)) {
            became = ", twice";
            message_send(call, to, true);
        }
    }
    simulate_say(simulate, from, "asks %s: %s %s%s", to->name, request->method, request->path,
                 became);
}

/* ---- answers ---- */

static void answer_arrives(struct simulate_event *event)
{
    struct simulate_message *message = event->owner;
    struct simulate_call *call = message->call;
    struct simulate_answer *answer = message->answer;
    struct world_request *request = call->request;
    if (request && !are_apart(call->from->simulate, message->from, message->to->number)) {
        request->status = answer->status;
        request->failure = NULL;
        request->unsent = false;
        request->answer = answer->body;
        request->answer_length = answer->length;
        request->answer_headers = answer->headers;
        request->answer_header_count = answer->header_count;
        call_end(call);
    }
    message_free(message);
}

static struct simulate_answer *answer_new(int status, const struct world_header *headers,
                                          size_t header_count, const char *body, size_t length)
{
    struct simulate_answer *answer = calloc(1, sizeof *answer);
    char *copy = malloc(length + 1);
    FH_ASSERT(answer != NULL && copy != NULL && header_count <= ANSWER_HEADERS_MAX);
    if (length)
        memcpy(copy, body, length);
    copy[length] = '\0';
    *answer = (struct simulate_answer){
        .status = status, .body = copy, .length = length, .header_count = header_count};
    text_init(&answer->texts, TEXT_LENGTH_MAX);
    for (size_t i = 0; i < header_count; i++) {
        text_append(&answer->texts, headers[i].name, strlen(headers[i].name) + 1);
        text_append(&answer->texts, headers[i].value, strlen(headers[i].value) + 1);
    }
    char *at = answer->texts.data; /* it does not move any more */
    for (size_t i = 0; i < header_count; i++) {
        answer->headers[i].name = at;
        for (; *at; at++)
            *at = *at >= 'A' && *at <= 'Z' ? (char)(*at - 'A' + 'a') : *at;
        answer->headers[i].value = ++at;
        at += strlen(at) + 1;
    }
    return answer;
}

void simulate_network_answer(struct simulate_message *message, int status,
                             const struct world_header *headers, size_t header_count,
                             const char *body, size_t length)
{
    struct simulate_node *to = message->to;
    struct simulate *simulate = to->simulate;
    serving_remove(message);
    bool lost = simulate_chance(simulate, simulate->faults.answer_lost);
    simulate_say(simulate, to, "answers %s %s: %d%s", message->method, message->path, status,
                 lost ? ", and it is lost" : "");
    if (message->call && !lost && simulate_chance(simulate, simulate->faults.reset)) {
        call_fail(message->call, "connection reset", false);
        lost = true;
    }
    if (!message->call || lost) {
        message_free(message);
        return;
    }
    message->answer = answer_new(status, headers, header_count, body, length);
    /* Of the sender's process: when that is gone, nobody is there to hear it. */
    message->event = (struct simulate_event){
        .fire = answer_arrives, .owner = message, .node = message->call->from};
    simulate_plan(simulate, &message->event, simulate->now_ns + network_way_ns(simulate));
}

/* ---- ends ---- */

void simulate_network_silence(struct simulate_node *node)
{
    node->silent = true;
    while (node->calls) { /* notified at once, as by the real client: what asked is released after
                             it */
        node->calls->failure = "the client has ended";
        call_failed(&node->calls->event);
    }
}

void simulate_network_crashed(struct simulate_node *node)
{
    while (node->calls)
        call_forget(node->calls);
    node->open = node->silent = false;
    while (node->serving) {
        struct simulate_message *message = node->serving;
        serving_remove(message);
        if (message->call)
            call_fail(message->call, "connection reset", false);
        message_free(message);
    }
}

void simulate_network_release(struct simulate_node *node)
{
    simulate_network_crashed(node);
    while (node->backlog_first) {
        struct simulate_message *message = node->backlog_first;
        node->backlog_first = message->next;
        message_free(message);
    }
    node->backlog_last = &node->backlog_first;
}
