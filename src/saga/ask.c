/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking: sending stored requests and receiving their answers. The bytes sent are those stored;
 * only headers beside the key say who is asking now (Freehold-From), which incarnation of the
 * receiver is meant (Freehold-To), and how much time there is.
 *
 * An answer without Freehold-Outcome decides nothing. If it names another incarnation of the
 * receiver than the one meant, the request is sent again at once: that is also how the incarnation
 * is first learnt. A request that is given up (its saga has turned back since) continues, but its
 * answer is ignored; its undo, by key, is right whether it arrives before or after.
 */

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/as_of.h"
#include "base/crash.h"
#include "base/log.h"
#include "call/get.h"
#include "call/user.h"
#include "call/webhook.h"
#include "saga/manager.h"
#include "work/command.h"
#include "work/spans.h"

#define ASK_REDIRECTS_MAX 2
#define OUTSIDE_ANSWER_MAX ((size_t)64 << 10)
/* This many lines for targets outside, chosen by host: a slow host holds up only its own line, and
 * the memory for them is bounded. */
#define OUTSIDE_LINES 64
#define ASK_KEY_SIZE (COMMAND_KEY_LENGTH_MAX + 1)

struct saga_ask {
    struct world_request request;
    struct saga_run *run;
    struct saga_target *target;
    int step, element, attempt;
    bool undo;
    bool orphan; /* its answer is ignored */
    int redirects;
    int64_t sent_ns;
    struct saga_turn turn; /* waiting for space at its target */
    char key[ASK_KEY_SIZE];
    char attempt_text[16], deadline_text[24];
    char from[ID_SIZE + 128];
    char to[ID_SIZE]; /* as sent */
    char trace[SPANS_TRACE_SIZE];
    struct webhook_headers signed_by; /* outside */
    char webhook_id[WEBHOOK_ID_SIZE];
};

static void ask_answered(struct world_request *request);

static int64_t ask_deadline_ns(const struct saga_ask *ask)
{
    const struct saga_run *run = ask->run;
    struct world *world = run->manager->context->world;
    int64_t deadline_ns = world_in_ms(world, run->type->calls[ask->step].timeout_ms);
    bool bounded = !ask->undo && ask->step <= run->type->rules.pivot;
    return bounded && run->deadline_ns < deadline_ns ? run->deadline_ns : deadline_ns;
}

/* Outside, nobody needs to know more than which request this is, and who sent it. */
static void set_ask_headers_outside(struct saga_ask *ask)
{
    const struct work_context *context = ask->run->manager->context;
    struct world_header *headers = ask->request.headers;
    webhook_id_make(ask->key, ask->webhook_id);
    const struct webhook_message message = {.url = ask->request.url,
                                            .id = ask->webhook_id,
                                            .body = ask->request.body,
                                            .length = ask->request.body_length,
                                            .at_s = world_wall_ms(context->world) / 1000};
    int count = 0;
    headers[count++] = (struct world_header){"Idempotency-Key", ask->key};
    headers[count++] = (struct world_header){"User-Agent", "Freehold"};
    if (webhook_sign(context->webhooks, &message, &ask->signed_by)) {
        headers[count++] = (struct world_header){"webhook-id", ask->webhook_id};
        headers[count++] = (struct world_header){"webhook-timestamp", ask->signed_by.timestamp};
        headers[count++] = (struct world_header){"webhook-signature", ask->signed_by.signature};
    }
    headers[count] = (struct world_header){NULL, NULL};
}

/* Each sending is a span part of its own: step, element, direction, redirect, and try. */
static uint64_t span_number(const struct saga_ask *ask)
{
    const struct saga_run *run = ask->run;
    const struct saga_part *part = &run->parts[run->state.first[ask->step] + ask->element];
    uint64_t number = (uint64_t)ask->step * SAGA_ELEMENTS_MAX + (uint64_t)ask->element;
    number = (number * 2 + ask->undo) * (ASK_REDIRECTS_MAX + 1) + (uint64_t)ask->redirects;
    return (number << 32) + (uint32_t)part->tries;
}

static void set_ask_headers(struct saga_ask *ask)
{
    struct saga_run *run = ask->run;
    struct world *world = run->manager->context->world;
    struct world_header *headers = ask->request.headers;
    int64_t left_ms = (ask->request.deadline_ns - world_monotonic_ns(world)) / 1000000;
    int count = 0;
    memcpy(ask->to, ask->target->incarnation, sizeof ask->to);
    snprintf(ask->deadline_text, sizeof ask->deadline_text, "%lld",
             (long long)(left_ms > 0 ? left_ms : 0));
    headers[count++] =
        (struct world_header){ask->undo ? "Freehold-Undo" : "Idempotency-Key", ask->key};
    headers[count++] = (struct world_header){"Freehold-Attempt", ask->attempt_text};
    headers[count++] = (struct world_header){"Freehold-From", ask->from};
    headers[count++] = (struct world_header){"Freehold-Deadline", ask->deadline_text};
    /* One that was stated so long ago that its key is forgotten would be refused for ever. */
    if (run->user && user_stands(run->manager->context->users, run->user))
        headers[count++] = (struct world_header){USER_HEADER, run->user->statement};
    if (ask->to[0])
        headers[count++] = (struct world_header){"Freehold-To", ask->to};
    if (spans_part(run->trace, span_number(ask), ask->trace))
        headers[count++] = (struct world_header){"traceparent", ask->trace};
    headers[count] = (struct world_header){NULL, NULL};
}

static void send_step_ask(struct saga_ask *ask)
{
    struct saga_run *run = ask->run;
    const struct saga_call *call = &run->type->calls[ask->step];
    const struct saga_part *part = &run->parts[run->state.first[ask->step] + ask->element];
    const char *body = part->spent ? part->spent : part->body;
    ask->request = (struct world_request){
        .service = call->target,
        /* Without an undo route, the undo goes to the step's own route: see decide.c. */
        .method = ask->undo && part->undo_path ? call->undo_method : call->method,
        .path = ask->undo && part->undo_path ? part->undo_path : part->path,
        .url = call->outside ? part->path : NULL,
        .answer_size_max = call->outside ? OUTSIDE_ANSWER_MAX : 0,
        .body = body,
        .body_length = body ? strlen(body) : 0,
        .deadline_ns = ask_deadline_ns(ask),
        .done = ask_answered,
        .owner = ask,
    };
    if (call->outside)
        set_ask_headers_outside(ask);
    else
        set_ask_headers(ask);
    ask->target->in_flight++;
    struct world *world = run->manager->context->world;
    ask->sent_ns = world_monotonic_ns(world);
    world->ops->request(world, &ask->request);
}

static void free_ask(struct saga_ask *ask)
{
    struct saga_run *run = ask->run;
    struct saga_part *part = &run->parts[run->state.first[ask->step] + ask->element];
    if (part->ask == ask)
        part->ask = NULL;
    free(ask);
    saga_run_release(run);
}

/* It is asked again once its saga's rows are known, if it is still due then. */
static void doubt_ask(struct saga_ask *ask)
{
    struct saga_run *run = ask->run;
    run->references++;
    free_ask(ask);
    saga_run_queue(run);
    saga_run_release(run);
}

/* Sends what waited for space, unless it is no longer wanted. */
static void send_waiting(struct saga_manager *manager, struct saga_target *target)
{
    struct saga_turn *turn;
    while (target->in_flight < SAGA_TARGET_FLIGHT_MAX &&
           (turn = saga_turns_take(&target->waiting)) != NULL) {
        struct saga_ask *ask = (struct saga_ask *)((char *)turn - offsetof(struct saga_ask, turn));
        if (ask->orphan || manager->stopping)
            free_ask(ask);
        else if (saga_is_in_doubt(ask->run))
            doubt_ask(ask);
        else
            send_step_ask(ask);
    }
}

static bool is_step_refusal(const struct saga_rules *rules, int step, int status)
{
    const int *no = rules->steps[step].no;
    for (size_t i = 0; i < sizeof rules->steps[step].no / sizeof *no && no[i]; i++) {
        if (no[i] == status)
            return true;
    }
    return false;
}

/* What an answer means; from outside only its status counts. */
static enum saga_outcome outcome_of(const struct saga_ask *ask)
{
    const struct world_request *request = &ask->request;
    const struct saga_type *type = ask->run->type;
    if (!type->calls[ask->step].outside)
        return saga_outcome_of(world_answer_header(request, "freehold-outcome"));
    if (request->status >= 200 && request->status < 300)
        return SAGA_OUTCOME_DONE;
    return is_step_refusal(&type->rules, ask->step, request->status) ? SAGA_OUTCOME_REFUSED
                                                                     : SAGA_OUTCOME_NONE;
}

static struct saga_heard *hear_answer(const struct saga_ask *ask, enum saga_outcome outcome)
{
    const struct world_request *request = &ask->request;
    struct saga_heard *heard = calloc(1, sizeof *heard);
    FH_ASSERT(heard != NULL);
    heard->happening = (struct saga_happening){.what = SAGA_ANSWERED,
                                               .step = ask->step,
                                               .element = ask->element,
                                               .attempt = ask->attempt,
                                               .undo = ask->undo,
                                               .outcome = outcome,
                                               .status = request->status};
    if (outcome != SAGA_OUTCOME_NONE && request->answer && request->answer_length > 0) {
        heard->answer = malloc(request->answer_length);
        FH_ASSERT(heard->answer != NULL);
        memcpy(heard->answer, request->answer, request->answer_length);
        heard->answer_length = request->answer_length;
    }
    return heard;
}

/* Logs only the first failure, and not the URL, which may itself be a secret. */
static void say_undelivered(const struct saga_ask *ask)
{
    const struct saga_run *run = ask->run;
    const struct saga_part *part = &run->parts[run->state.first[ask->step] + ask->element];
    const char *url = part->path, *host = strstr(url, "://") + 3;
    if (part->tries > 0)
        return;
    if (ask->request.status)
        log_warning("saga-request-rejected",
                    "saga %s %s: %.*s answered with status %d; the request will be repeated",
                    run->type->rules.name, run->reference, (int)strcspn(host, "/?"), host,
                    ask->request.status);
    else
        log_warning("saga-request-failed",
                    "saga %s %s: %.*s could not be reached; the request will be repeated: %s",
                    run->type->rules.name, run->reference, (int)strcspn(host, "/?"), host,
                    ask->request.failure);
}

static void keep_ask_span(const struct saga_ask *ask)
{
    const struct saga_run *run = ask->run;
    bool outside = run->type->calls[ask->step].outside != NULL; /* the URL may itself be a secret */
    struct span span = {.kind = ask->undo ? SPAN_UNDO : SPAN_STEP,
                        .parent = run->trace,
                        .own = ask->trace,
                        .what = run->type->rules.steps[ask->step].name,
                        .where = outside ? NULL : ask->request.path,
                        .service = outside ? "outside" : ask->request.service,
                        .key = run->reference,
                        .status = ask->request.status,
                        .began_ns = ask->sent_ns};
    spans_keep(run->manager->context->spans, &span);
}

static void ask_answered(struct world_request *request)
{
    struct saga_ask *ask = request->owner;
    struct saga_run *run = ask->run;
    struct saga_manager *manager = run->manager;
    struct saga_target *target = ask->target;
    keep_ask_span(ask);
    CRASH_POINT("saga.answered");
    char incarnation[ID_SIZE] = "";
    int64_t position = 0;
    target->in_flight--;
    /* Other calls to this target learn from it, too. */
    if (!manager->stopping && manager->context->calls && request->service)
        call_told(manager->context->calls, request->service, request->status != 0, ask->sent_ns);
    const char *at = request->service ? world_answer_header(request, "freehold-at") : NULL;
    bool told = at && as_of_parse_at(at, incarnation, &position);
    if (told) {
        memcpy(target->incarnation, incarnation, ID_SIZE);
        saga_restored_heard(manager, target);
    }
    enum saga_outcome outcome = outcome_of(ask);
    if (request->url && outcome == SAGA_OUTCOME_NONE && !ask->orphan && !manager->stopping)
        say_undelivered(ask);
    if (ask->orphan || manager->stopping) {
        free_ask(ask);
    } else if (outcome == SAGA_OUTCOME_NONE && told && strcmp(incarnation, ask->to) != 0 &&
               ask->redirects < ASK_REDIRECTS_MAX) {
        ask->redirects++;
        if (saga_is_in_doubt(run))
            doubt_ask(ask);
        else
            send_step_ask(ask);
    } else {
        struct saga_heard *heard = hear_answer(ask, outcome);
        memcpy(heard->receiver, incarnation, ID_SIZE);
        heard->receiver_position = position;
        run->references++;
        free_ask(ask);
        saga_run_hear(run, heard);
        saga_run_release(run);
    }
    send_waiting(manager, target);
}

static struct saga_target *target_of_ask(struct saga_run *run, int step, int element)
{
    const struct saga_call *call = &run->type->calls[step];
    if (!call->outside)
        return saga_manager_target(run->manager, call->target);
    const char *url = run->parts[run->state.first[step] + element].path;
    size_t length = strcspn(url, "/") + 2; /* of "https://" */
    length += strcspn(url + length, "/?");
    unsigned line = 0;
    for (size_t i = 0; i < length; i++)
        line = line * 31 + (unsigned char)url[i];
    char name[32];
    snprintf(name, sizeof name, "outside %u",
             line % OUTSIDE_LINES); /* no service can have this name */
    return saga_manager_target(run->manager, name);
}

/* One that is repeated waits behind those that have not been sent yet: many that fail again and
 * again would leave no space to these. */
static void start_ask(struct saga_run *run, int element, bool undo)
{
    struct saga_manager *manager = run->manager;
    int step = run->state.step;
    struct saga_ask *ask = calloc(1, sizeof *ask);
    FH_ASSERT(ask != NULL);
    ask->run = run;
    ask->target = target_of_ask(run, step, element);
    ask->step = step;
    ask->element = element;
    ask->attempt = saga_element(&run->state, step, element)->attempt;
    ask->undo = undo;
    const char *caller = manager->context->service->name;
    snprintf(ask->key, sizeof ask->key, "%s/%s.%lld/%s/%d", caller, run->birth,
             (long long)run->number, run->type->rules.steps[step].name, element);
    snprintf(ask->from, sizeof ask->from, "%s/%s", caller, manager->context->store->incarnation);
    snprintf(ask->attempt_text, sizeof ask->attempt_text, "%d", ask->attempt);
    run->references++;
    run->parts[run->state.first[step] + element].ask = ask;
    CRASH_POINT("saga.asks");
    if (ask->target->in_flight < SAGA_TARGET_FLIGHT_MAX) {
        send_step_ask(ask);
        return;
    }
    bool again = run->parts[run->state.first[step] + element].tries > 0;
    saga_turns_add(&ask->target->waiting, &ask->turn, again ? manager->newest : run->number);
}

/* Gives up a request of the other direction, or of a former attempt. */
static bool under_way(struct saga_part *part, bool undo, int attempt)
{
    struct saga_ask *ask = part->ask;
    if (ask && (ask->undo != undo || ask->attempt != attempt)) {
        ask->orphan = true;
        part->ask = NULL;
    }
    return part->ask != NULL;
}

int64_t saga_ask_due(struct saga_run *run)
{
    const struct saga_rules *rules = &run->type->rules;
    enum saga_due due = saga_due(rules, &run->state);
    int64_t next_ns = INT64_MAX;
    if ((due != SAGA_DUE_ASK && due != SAGA_DUE_UNDO) || run->relives || saga_is_in_doubt(run))
        return next_ns;
    int step = run->state.step, count = saga_elements(&run->state, step), flying = 0;
    bool undo = due == SAGA_DUE_UNDO;
    for (int i = 0; i < count; i++)
        flying += under_way(&run->parts[run->state.first[step] + i], undo,
                            saga_element(&run->state, step, i)->attempt);
    int64_t now_ns = world_monotonic_ns(run->manager->context->world);
    for (int i = 0; i < count && flying < SAGA_PARALLEL_MAX; i++) {
        struct saga_part *part = &run->parts[run->state.first[step] + i];
        if (part->ask || !saga_element_due(rules, &run->state, i))
            continue;
        if (part->retry_at_ns > now_ns) {
            next_ns = part->retry_at_ns < next_ns ? part->retry_at_ns : next_ns;
        } else {
            start_ask(run, i, undo);
            flying++;
        }
    }
    return next_ns;
}
