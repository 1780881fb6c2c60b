/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carrying one saga on. A fiber takes it, applies everything that has arrived to a copy of its
 * state, stores that copy in one transaction, and only then does what the new state says is due.
 *
 *     heard, timer → queue → decide on a copy → store (or run a handler, which stores) → adopt
 *                                                                     → send what is due, sleep
 *
 * What has arrived stays queued until it is stored, so a store that is away for a minute loses
 * nothing in memory. A crash loses the answers that were not stored, and their requests are sent
 * again with the same bytes under the same keys. Nothing is sent from a state that is not durable.
 */

#include "saga/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "saga/manager.h"
#include "saga/marks.h"
#include "work/batch.h"

#define STORE_TRIES_MS 2000   /* for one transition that meets conflicts */
#define HANDLER_TOLD_EVERY 64 /* tries per log line: minutes, at full backoff */
#define SAGA_LATE_MS 1000
#define SAGA_GRACE_MS SAGA_BACKOFF_MS_MAX
#define ANSWER_KEPT_MAX ((size_t)1 << 20) /* a longer body is not kept */

/* After the n-th failure in a row: uniform up to a bound that doubles. */
static int64_t backoff_ns(struct saga_manager *manager, int tries, int max_ms)
{
    int64_t bound_ms = SAGA_BACKOFF_MS_MIN;
    for (int i = 1; i < tries && bound_ms < max_ms; i++)
        bound_ms *= 2;
    if (bound_ms > max_ms)
        bound_ms = max_ms;
    struct world *world = manager->context->world;
    return (int64_t)world_random_below(world, (uint64_t)bound_ms * 1000000) + 1000000;
}

/* ---- Deciding ---- */

/* {"status", "body"} with the body as it came, a refusal's without the saga's secrets, and in
 * `detail` the detail of its problem. */
static char *keep_step_answer(const struct saga_run *run, const struct saga_heard *heard,
                              char detail[static SAGA_TEXT_SIZE])
{
    const struct saga_happening *happening = &heard->happening;
    struct text text;
    json_t *body = NULL, *kept = NULL;
    text_init(&text, ANSWER_KEPT_MAX + 64);
    text_printf(&text, "{\"status\":%d", happening->status);
    bool known = heard->answer && heard->answer_length > 0 &&
                 heard->answer_length <= ANSWER_KEPT_MAX &&
                 json_parse(heard->answer, heard->answer_length, &body, ERROR_UNHEEDED) == FH_OK;
    const char *said = json_is_object(body) ? json_string_at(body, "detail") : NULL;
    snprintf(detail, SAGA_TEXT_SIZE, "%s", said ? said : "");
    saga_redact_detail(run, happening->step, body, detail, SAGA_TEXT_SIZE);
    if (known && happening->status >= 400)
        kept = saga_refusal_to_keep(run, body);
    char *told = kept ? json_text(kept) : NULL;
    size_t length = told ? strlen(told) : heard->answer_length;
    if (known && length <= ANSWER_KEPT_MAX) {
        text_add(&text, ",\"body\":");
        text_append(&text, told ? told : heard->answer, length);
    }
    json_text_free(told);
    json_decref(kept);
    json_decref(body);
    text_add(&text, "}");
    return text_take(&text);
}

/* `answer` NULL: it answers an undo. */
static void take_part_answer(struct saga_run *run, const struct saga_heard *heard, char *answer)
{
    const struct saga_happening *happening = &heard->happening;
    struct saga_part *part = &run->parts[run->state.first[happening->step] + happening->element];
    if (answer) {
        free(part->answer);
        part->answer = answer;
    }
    memcpy(part->receiver, heard->receiver, sizeof part->receiver);
    part->receiver_position = heard->receiver_position;
    part->dirty = true;
}

static enum saga_verdict decide_heard(struct saga_run *run, struct saga_state *next,
                                      struct saga_heard *heard)
{
    struct saga_happening *happening = &heard->happening;
    const struct saga_rules *rules = &run->type->rules;
    if (happening->what != SAGA_ANSWERED || happening->outcome == SAGA_OUTCOME_NONE)
        return saga_decide(rules, next, happening);
    char detail[SAGA_TEXT_SIZE];
    char *answer = keep_step_answer(run, heard, detail);
    happening->detail = detail;
    enum saga_verdict verdict = saga_decide(rules, next, happening);
    happening->detail = NULL;
    /* The answer to an undo is not kept: people look for the step's own answer. Its position is: a
     * restored receiver may have lost it. */
    if (verdict == SAGA_CHANGED)
        take_part_answer(run, heard, happening->undo ? NULL : answer);
    if (verdict != SAGA_CHANGED || happening->undo)
        free(answer);
    return verdict;
}

static void free_heard(struct saga_heard *heard)
{
    free(heard->answer);
    free(heard);
}

static void pause_part(struct saga_run *run, const struct saga_happening *happening)
{
    struct saga_part *part = &run->parts[run->state.first[happening->step] + happening->element];
    struct world *world = run->manager->context->world;
    part->tries++;
    int max_ms = run->type->calls[happening->step].outside ? SAGA_BACKOFF_OUTSIDE_MS_MAX
                                                           : SAGA_BACKOFF_MS_MAX;
    part->retry_at_ns = world_monotonic_ns(world) + backoff_ns(run->manager, part->tries, max_ms);
}

/* A deadline that is more than SAGA_LATE_MS past when it is noticed passed while this process stood
 * still (stopped, its machine asleep) or could not store. Answers from that time wait in sockets
 * that have not been read yet, and nothing was asked: so the saga gets extra time, as long as one
 * more try of everything takes. */
static bool deadline_passed(struct saga_run *run, const struct saga_state *state)
{
    struct world *world = run->manager->context->world;
    int64_t late_ns = world_monotonic_ns(world) - run->deadline_ns;
    if (late_ns < 0 || !saga_minds_time(&run->type->rules, state))
        return false;
    if (late_ns < SAGA_LATE_MS * INT64_C(1000000))
        return true;
    log_info(
        "saga-deadline-extended",
        "saga %s %s: its deadline passed while this process was not running it; it has %d s more",
        run->type->rules.name, run->reference, SAGA_GRACE_MS / 1000);
    run->deadline_ns = world_in_ms(world, SAGA_GRACE_MS);
    return false;
}

/* Applies everything that has arrived, and the deadline. What changes nothing is dropped at once,
 * the rest once it is stored. */
static bool decide_all(struct saga_run *run, struct saga_state *next)
{
    struct saga_happening relived = {.what = SAGA_RELIVED};
    bool changed = run->relives && saga_decide(&run->type->rules, next, &relived) == SAGA_CHANGED;
    changed |= saga_restored_judge(run, next);
    struct saga_heard **at = &run->heard_first;
    run->heard_last = NULL;
    run->decided = 0;
    while (*at) {
        struct saga_heard *heard = *at;
        enum saga_verdict verdict = decide_heard(run, next, heard);
        if (verdict == SAGA_AGAIN && heard->happening.what == SAGA_ANSWERED)
            pause_part(run, &heard->happening);
        if (verdict == SAGA_CHANGED) {
            changed = true;
            run->decided++;
            run->heard_last = heard;
            at = &heard->next;
        } else {
            *at = heard->next;
            free_heard(heard);
        }
    }
    struct saga_happening deadline = {.what = SAGA_DEADLINE};
    if (deadline_passed(run, next))
        changed |= saga_decide(&run->type->rules, next, &deadline) == SAGA_CHANGED;
    return changed;
}

/* ---- Storing ---- */

static void pause_run(struct saga_run *run)
{
    run->tries++;
    run->retry_at_ns = world_monotonic_ns(run->manager->context->world) +
                       backoff_ns(run->manager, run->tries, SAGA_BACKOFF_MS_MAX);
}

static bool is_end(const struct saga_state *state)
{
    return state->status == SAGA_ENDED || state->status == SAGA_UNDONE;
}

/* False: not now, or never again by us. */
static bool store_state(struct saga_run *run, const struct saga_state *next)
{
    struct work_context *context = run->manager->context;
    struct fh_error error;
    struct work_tries tries = {0};
    int64_t deadline_ns = world_in_ms(context->world, STORE_TRIES_MS);
    enum fh_code code;
    if (is_end(next))
        saga_closing_begin(run);
    do {
        error = (struct fh_error){0};
        code = saga_store(run, next, tries.alone, &error);
    } while (code == FH_CONFLICT && error.retryable && work_retry(context, &tries, deadline_ns));
    if (is_end(next))
        saga_closing_end(run, code == FH_OK);
    if (code == FH_OK)
        return true;
    if (code == FH_CONFLICT && !error.retryable) {
        run->gone = true;
        log_warning("saga-ownership-lost", "saga %s %s: another instance runs it now",
                    run->type->rules.name, run->reference);
        return false;
    }
    if (run->tries == 0)
        log_warning("saga-unsaved", "saga %s %s could not be stored; this will be tried again: %s",
                    run->type->rules.name, run->reference, error.message);
    pause_run(run);
    return false;
}

/* What the stored state does not have any more is not sent any more. A body that was made stays: a
 * request with it may still be under way. */
static void spend_secrets(struct saga_run *run)
{
    const struct saga_type *type = run->type;
    if (!run->secrets)
        return;
    for (int step = 0; step < type->rules.step_count; step++) {
        for (int at = run->state.first[step]; at < run->state.first[step + 1]; at++) {
            struct saga_part *part = &run->parts[at];
            if (!part->spent && saga_part_is_spent(&run->state, at))
                part->spent = saga_spent_body(type, step, part->body);
        }
    }
    if (saga_secrets_needed(type, &run->state))
        return;
    struct arena *before = json_arena_set(NULL);
    json_decref(run->secrets);
    run->secrets = NULL;
    json_arena_set(before);
}

/* The stored state becomes the run's state. */
static void adopt_state(struct saga_run *run, const struct saga_state *next)
{
    struct saga_manager *manager = run->manager;
    manager->moved_at_ns = world_monotonic_ns(manager->context->world);
    bool turned = run->state.back != next->back || run->state.step != next->step;
    --*saga_manager_count(manager, run->state.status);
    ++*saga_manager_count(manager, next->status);
    saga_state_copy(&run->type->rules, next, &run->state, run->state.elements);
    int count = run->state.first[run->type->rules.step_count];
    for (int i = 0; i < count; i++) {
        run->parts[i].dirty = false;
        if (turned) {
            run->parts[i].tries = 0;
            run->parts[i].retry_at_ns = 0;
        }
    }
    spend_secrets(run);
    for (; run->decided > 0; run->decided--) {
        struct saga_heard *heard = run->heard_first;
        run->heard_first = heard->next;
        if (!heard->next)
            run->heard_last = NULL;
        free_heard(heard);
    }
    run->tries = 0;
    run->retry_at_ns = 0;
    run->relives = false;
    if (next->status == SAGA_PARKED)
        log_warning("saga-parked", "saga %s %s is parked: %s", run->type->rules.name,
                    run->reference, next->why);
}

/* ---- Carrying on ---- */

/* Tries the handler that is due in `next`. True: it ran, and `next` is the state after it,
 * stored. */
static bool try_handler(struct saga_run *run, struct saga_state *next, bool *changed)
{
    char detail[SAGA_TEXT_SIZE], fault[FAULT_TEXT_SIZE] = "";
    struct saga_happening happening = saga_handler_run(run, next, detail, fault);
    if (happening.what == SAGA_HANDLED)
        return true;
    if (run->gone)
        return false;
    enum saga_verdict verdict = saga_decide(&run->type->rules, next, &happening);
    if (verdict == SAGA_CHANGED) {
        if (fault[0])
            log_warning("saga-handler-failed", "saga %s %s: a handler failed: %s",
                        run->type->rules.name, run->reference, fault);
        *changed = true;
        return false;
    }
    if (run->tries % HANDLER_TOLD_EVERY == 0) /* after the pivot nothing else reports it */
        log_warning("saga-handler-failed", "saga %s %s: a handler failed, and runs again: %s",
                    run->type->rules.name, run->reference, fault[0] ? fault : detail);
    int tries = run->tries;
    if (*changed && store_state(run, next)) { /* the answers must not be lost with it */
        adopt_state(run, next);
        run->tries = tries;
    }
    *changed = false;
    if (!run->gone)
        pause_run(run);
    return false;
}

/* Applies what has arrived to the state. True: look again at once. */
static bool carry_run_on(struct saga_run *run)
{
    const struct saga_rules *rules = &run->type->rules;
    struct world *world = run->manager->context->world;
    if (run->retry_at_ns > world_monotonic_ns(world))
        return false;
    run->retry_at_ns = 0;
    struct saga_state next;
    saga_state_copy(rules, &run->state, &next, run->scratch);
    bool changed = decide_all(run, &next);
    enum saga_due due = saga_due(rules, &next);
    if (due == SAGA_DUE_RUN || due == SAGA_DUE_UNDONE) {
        if (try_handler(run, &next, &changed)) {
            adopt_state(run, &next);
            return true;
        }
    }
    if (!changed || run->gone)
        return false;
    struct fh_error error;
    if (saga_record_render(run, &next, &error) != FH_OK) {
        struct saga_happening broken = {.what = SAGA_BROKEN, .detail = error.message};
        saga_decide(rules, &next, &broken);
    }
    if (!store_state(run, &next))
        return false;
    adopt_state(run, &next);
    due = saga_due(rules, &run->state);
    return due == SAGA_DUE_RUN || due == SAGA_DUE_UNDONE || run->heard_first;
}

static void timer_fired(struct world_timer *timer)
{
    struct saga_run *run = timer->owner;
    run->timer_at_ns = 0;
    saga_run_queue(run);
}

void saga_run_go_on(struct saga_run *run)
{
    struct world *world = run->manager->context->world;
    int64_t at_ns = saga_ask_due(run);
    if (run->deadline_ns < at_ns && saga_minds_time(&run->type->rules, &run->state))
        at_ns = run->deadline_ns;
    if (run->retry_at_ns)
        at_ns = run->retry_at_ns; /* nothing can be stored before that */
    if (run->timer_at_ns == at_ns)
        return;
    if (run->timer_at_ns)
        world_timer_stop(world, &run->timer);
    run->timer_at_ns = at_ns;
    run->timer.fire = timer_fired;
    run->timer.owner = run;
    if (at_ns != INT64_MAX)
        world_timer_start(world, &run->timer, at_ns);
}

/* It is looked at once more after a pause, and not carried on before. */
static bool settle_saga_doubts(struct saga_run *run)
{
    struct fh_error error = {0};
    if (saga_lost_check(run, &error) == FH_OK)
        return true;
    if (run->tries == 0)
        log_warning("saga-unread",
                    "saga %s %s could not be read again; this will be tried again: %s",
                    run->type->rules.name, run->reference, error.message);
    pause_run(run);
    return false;
}

/* A connection may be lost while it is carried on: what is in doubt then is waited for by nobody.
 */
void saga_run_process(struct saga_run *run)
{
    while (!run->manager->stopping && settle_saga_doubts(run) && !run->gone &&
           (carry_run_on(run) || saga_is_in_doubt(run)))
        ;
    if (run->gone || saga_due(&run->type->rules, &run->state) == SAGA_DUE_NOTHING)
        saga_manager_remove(run->manager, run);
    else if (!run->manager->stopping)
        saga_run_go_on(run);
}

void saga_manager_begin(struct saga_manager *manager, struct saga_run *run)
{
    if (!saga_manager_add(manager, run))
        return;
    if (saga_due(&run->type->rules, &run->state) == SAGA_DUE_ASK && !saga_is_in_doubt(run))
        saga_run_go_on(run);
    else
        saga_run_queue(run);
}
