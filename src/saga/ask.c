/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking: a stored request on its way, and what came back. The bytes are those that are stored;
 * only headers beside the key say who asks now (Freehold-From), which life of the receiver is
 * meant (Freehold-To), and how long there is.
 *
 * An answer without Freehold-Outcome decides nothing. One that tells another incarnation of the
 * receiver than the one that was meant is asked again at once: that is how it is learnt at first.
 * A request given up (its saga turned back meanwhile) goes on without anybody listening; its undo,
 * by key, is right whether it arrives before or after.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "base/mutation.h"
#include "call/get.h"
#include "saga/room.h"
#include "work/command.h"

#define ASK_REDIRECTS_MAX 2
#define ASK_KEY_SIZE (COMMAND_KEY_LENGTH_MAX + 1)

struct saga_ask {
    struct world_request request;
    struct saga_run *run;
    struct saga_target *target;
    int step, element, attempt;
    bool undo;
    bool orphan; /* nobody listens any more */
    int redirects;
    int64_t sent_ns;
    struct saga_ask *next; /* waiting for its target */
    char key[ASK_KEY_SIZE];
    char attempt_text[16], deadline_text[24];
    char from[ID_SIZE + 128];
    char to[ID_SIZE]; /* as it was sent */
};

static void answered(struct world_request *request);

static int64_t ask_deadline_ns(const struct saga_ask *ask)
{
    const struct saga_run *run = ask->run;
    struct world *world = run->room->context->world;
    int64_t deadline_ns = world_in_ms(world, run->type->calls[ask->step].timeout_ms);
    bool bounded = !ask->undo && ask->step <= run->type->rules.pivot;
    return bounded && run->deadline_ns < deadline_ns ? run->deadline_ns : deadline_ns;
}

static void set_headers(struct saga_ask *ask)
{
    struct saga_run *run = ask->run;
    struct world *world = run->room->context->world;
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
    if (ask->to[0])
        headers[count++] = (struct world_header){"Freehold-To", ask->to};
    if (run->trace)
        headers[count++] = (struct world_header){"traceparent", run->trace};
    headers[count] = (struct world_header){NULL, NULL};
}

static void send(struct saga_ask *ask)
{
    struct saga_run *run = ask->run;
    const struct saga_call *call = &run->type->calls[ask->step];
    const struct saga_part *part = &run->parts[run->state.first[ask->step] + ask->element];
    ask->request = (struct world_request){
        .service = call->target,
        .method = ask->undo ? call->undo_method : call->method,
        .path = ask->undo ? part->undo_path : part->path,
        .body = part->body,
        .body_length = part->body ? strlen(part->body) : 0,
        .deadline_ns = ask_deadline_ns(ask),
        .done = answered,
        .owner = ask,
    };
    set_headers(ask);
    ask->target->in_flight++;
    struct world *world = run->room->context->world;
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

/* What waited for a place goes now, unless nobody wants it any more. */
static void send_waiting(struct saga_room *room, struct saga_target *target)
{
    while (target->waiting_first && target->in_flight < SAGA_TARGET_FLIGHT_MAX) {
        struct saga_ask *ask = target->waiting_first;
        target->waiting_first = ask->next;
        if (!ask->next)
            target->waiting_last = NULL;
        ask->next = NULL;
        if (ask->orphan || room->stopping)
            free_ask(ask);
        else
            send(ask);
    }
}

/* "INCARNATION, POSITION" */
static bool parse_at(const char *at, char incarnation[static ID_SIZE], int64_t *ret_position)
{
    if (!at || strnlen(at, ID_SIZE) < ID_SIZE - 1 || (at[ID_SIZE - 1] && at[ID_SIZE - 1] != ','))
        return false;
    memcpy(incarnation, at, ID_SIZE - 1);
    incarnation[ID_SIZE - 1] = '\0';
    *ret_position = at[ID_SIZE - 1] ? strtoll(at + ID_SIZE, NULL, 10) : 0;
    return true;
}

static struct saga_heard *hear(const struct saga_ask *ask, enum saga_outcome outcome)
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

static void answered(struct world_request *request)
{
    struct saga_ask *ask = request->owner;
    struct saga_run *run = ask->run;
    struct saga_room *room = run->room;
    struct saga_target *target = ask->target;
    CRASH_POINT("saga.answered");
    char incarnation[ID_SIZE] = "";
    int64_t position = 0;
    target->in_flight--;
    if (!room->stopping && room->context->calls) /* asks of this target know it then, too */
        call_told(room->context->calls, request->service, request->status != 0, ask->sent_ns);
    bool told = parse_at(world_answer_header(request, "freehold-at"), incarnation, &position);
    if (told)
        memcpy(target->incarnation, incarnation, ID_SIZE);
    enum saga_outcome outcome = saga_outcome_of(world_answer_header(request, "freehold-outcome"));
    if (ask->orphan || room->stopping) {
        free_ask(ask);
    } else if (outcome == SAGA_OUTCOME_NONE && told && strcmp(incarnation, ask->to) != 0 &&
               ask->redirects < ASK_REDIRECTS_MAX) {
        ask->redirects++;
        send(ask);
    } else {
        struct saga_heard *heard = hear(ask, outcome);
        memcpy(heard->receiver, incarnation, ID_SIZE);
        heard->receiver_position = position;
        run->references++;
        free_ask(ask);
        saga_run_hear(run, heard);
        saga_run_release(run);
    }
    send_waiting(room, target);
}

static void start(struct saga_run *run, int element, bool undo)
{
    struct saga_room *room = run->room;
    int step = run->state.step;
    struct saga_ask *ask = calloc(1, sizeof *ask);
    FH_ASSERT(ask != NULL);
    ask->run = run;
    ask->target = saga_room_target(room, run->type->calls[step].target);
    ask->step = step;
    ask->element = element;
    ask->attempt = saga_element(&run->state, step, element)->attempt;
    ask->undo = undo;
    const char *caller = room->context->service->name;
    int named = element;
    if (MUTATION(key_changes_with_attempts))
        named += 1000 * run->parts[run->state.first[step] + element].tries;
    snprintf(ask->key, sizeof ask->key, "%s/%s.%lld/%s/%d", caller, run->birth,
             (long long)run->number, run->type->rules.steps[step].name, named);
    snprintf(ask->from, sizeof ask->from, "%s/%s", caller, room->context->store->incarnation);
    snprintf(ask->attempt_text, sizeof ask->attempt_text, "%d", ask->attempt);
    run->references++;
    run->parts[run->state.first[step] + element].ask = ask;
    CRASH_POINT("saga.asks");
    if (ask->target->in_flight < SAGA_TARGET_FLIGHT_MAX) {
        send(ask);
        return;
    }
    if (ask->target->waiting_last)
        ask->target->waiting_last->next = ask;
    else
        ask->target->waiting_first = ask;
    ask->target->waiting_last = ask;
}

/* The other direction's, or a former attempt's, is given up. */
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
    if (due != SAGA_DUE_ASK && due != SAGA_DUE_UNDO)
        return next_ns;
    int step = run->state.step, count = saga_elements(&run->state, step), flying = 0;
    bool undo = due == SAGA_DUE_UNDO;
    for (int i = 0; i < count; i++)
        flying += under_way(&run->parts[run->state.first[step] + i], undo,
                            saga_element(&run->state, step, i)->attempt);
    int64_t now_ns = world_monotonic_ns(run->room->context->world);
    for (int i = 0; i < count && flying < SAGA_PARALLEL_MAX; i++) {
        struct saga_part *part = &run->parts[run->state.first[step] + i];
        if (part->ask || !saga_element_due(rules, &run->state, i))
            continue;
        if (part->retry_at_ns > now_ns) {
            next_ns = part->retry_at_ns < next_ns ? part->retry_at_ns : next_ns;
        } else {
            start(run, i, undo);
            flying++;
        }
    }
    return next_ns;
}
