/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Closing: receivers keep a saga's records until they are notified that it has ended. One message
 * covers many: everything up to a number has ended, except for a list. It is made from one snapshot
 * of the store, so it stays true whatever else happens.
 *
 * Every pair of birth incarnation and target has a generation, which rises by one for each ended
 * saga of that birth that had sent to that target. A pair lags while its generation differs from
 * the one just before the last snapshot it was sent, or while an end is being stored. The store
 * marks a saga as closed once every target has been sent a snapshot in which it had ended (mark):
 * only what the snapshot just sent covers, and the last ones sent to lagging pairs cover too. After
 * a crash the pairs of all unmarked sagas are notified once more; a second closing does no harm.
 *
 * If a service has several instances, one of them notifies on behalf of all (takeover.c). It does
 * not learn when the others' sagas end: instead, each snapshot also lists the pairs of everything
 * unmarked in it, and each of those pairs gets a new generation.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "saga/manager.h"
#include "work/batch.h"

#define CLOSING_TIMEOUT_MS 2000
#define CLOSING_BACKOFF_MS_MAX 30000
#define CLOSING_TEXT_SIZE_MAX ((size_t)2 << 20)
#define OPEN_TOLD_MAX 10000 /* a receiver reads the list for each command */

static struct saga_closing *closing_of(struct saga_manager *manager, const char *birth,
                                       struct saga_target *target)
{
    char name[ID_SIZE + 256];
    snprintf(name, sizeof name, "%s %s", birth, target->name);
    struct saga_closing *closing = map_get(&manager->closings, name);
    if (closing)
        return closing;
    closing = calloc(1, sizeof *closing);
    FH_ASSERT(closing != NULL);
    memcpy(closing->birth, birth, sizeof closing->birth);
    closing->target = target;
    map_put(&manager->closings, name, closing);
    return closing;
}

void saga_closing_free(struct saga_manager *manager)
{
    struct map_entry *entry = NULL;
    const char *name;
    void *value;
    while (map_next(&manager->closings, &entry, &name, &value)) {
        struct saga_closing *closing = value;
        free(closing->told_open);
        free(closing);
    }
    map_release(&manager->closings);
}

/* ---- Notifying ---- */

struct snapshot {
    struct arena arena;
    struct ledger_caller closed;
};

static bool take_unclosed(void *context, const char *birth, const char *target);

void saga_closing_cut(struct ledger_caller *closed, int most, struct arena *arena)
{
    const char *end = closed->still_open;
    for (int numbers = 0; *end && (*end != ',' || ++numbers < most);)
        end++;
    if (!*end)
        return;
    closed->closed_through = strtoll(end + 1, NULL, 10) - 1;
    closed->still_open =
        arena_printf(arena, "%.*s]", (int)(end - closed->still_open), closed->still_open);
}

/* If other instances run sagas too, the same snapshot lists the targets of its ended ones: these
 * lag until they have been sent this snapshot, or a later one. */
static enum fh_code take_snapshot(struct saga_manager *manager, const char *birth,
                                  struct snapshot *snapshot, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(manager->context->store, STORE_READ, &work, error);
    if (code)
        return code;
    code = ledger_sagas_closable(work, &snapshot->arena, birth, &snapshot->closed, error);
    if (!code && manager->context->leases)
        code = ledger_sagas_unclosed(work, take_unclosed, manager, error);
    store_rollback(work);
    if (!code)
        saga_closing_cut(&snapshot->closed, OPEN_TOLD_MAX, &snapshot->arena);
    return code;
}

bool saga_closing_send(struct saga_manager *manager, const struct saga_target *target,
                       const char *birth, const struct ledger_caller *closed, const char *more,
                       json_t **ret_answer)
{
    struct work_context *context = manager->context;
    char from[ID_SIZE + 128];
    struct text body;
    snprintf(from, sizeof from, "%s/%s", context->service->name, context->store->incarnation);
    text_init(&body, CLOSING_TEXT_SIZE_MAX);
    text_printf(&body, "{\"birth\":\"%s\",\"closed_through\":%lld,\"still_open\":", birth,
                (long long)closed->closed_through);
    text_add(&body, closed->still_open);
    text_add(&body, more ? more : "");
    text_add(&body, "}");
    struct world_request request = {
        .service = target->name,
        .method = "POST",
        .path = "/_freehold/closed",
        .headers = {{"Freehold-From", from}},
        .body = body.data,
        .body_length = body.length,
        .deadline_ns = world_in_ms(context->world, CLOSING_TIMEOUT_MS),
    };
    bool told = false;
    if (!body.overflow) {
        world_request_wait(context->world, &request);
        told = request.status >= 200 && request.status < 300;
        struct arena *arena = json_arena_set(NULL);
        if (told && ret_answer && request.answer)
            json_parse(request.answer, request.answer_length, ret_answer, ERROR_UNHEEDED);
        json_arena_set(arena);
        world_request_release(&request);
    }
    text_release(&body);
    return told;
}

bool saga_closing_again(struct saga_manager *manager, const struct saga_target *target,
                        const char *birth, const char *more, json_t **ret_answer)
{
    struct snapshot snapshot;
    struct fh_error error;
    arena_init(&snapshot.arena, ARENA_SIZE_MAX);
    bool told = take_snapshot(manager, birth, &snapshot, &error) == FH_OK &&
                saga_closing_send(manager, target, birth, &snapshot.closed, more, ret_answer);
    arena_release(&snapshot.arena);
    return told;
}

/* ---- Marking ---- */

static bool closing_lags(const struct saga_closing *closing)
{
    return closing->ending > 0 || closing->generation != closing->told;
}

/* The result leaves open what either leaves open, and goes up to the smaller number. */
static void narrow_closed(struct ledger_caller *closed, const struct saga_closing *lagging,
                          struct arena *arena)
{
    if (lagging->told_through < closed->closed_through)
        closed->closed_through = lagging->told_through;
    if (!lagging->told_open)
        return;
    const char *one = closed->still_open, *other = lagging->told_open;
    size_t length = strlen(one) - 1; /* without the bracket */
    bool empty = length == 1 || strcmp(other, "[]") == 0;
    closed->still_open =
        arena_printf(arena, "%.*s%s%s", (int)length, one, empty ? "" : ",", other + 1);
}

/* An ended saga stays ended, and no mark depends on what this transaction reads: it can be guarded,
 * and is in nobody's way. */
static enum fh_code mark_closed_once(struct saga_manager *manager, const char *birth,
                                     const struct ledger_caller *closed, bool exclusive,
                                     struct fh_error *error)
{
    struct store_work *work;
    int64_t marked;
    enum store_mode mode = exclusive ? STORE_WRITE_EXCLUSIVE : STORE_WRITE_GUARDED;
    enum fh_code code = store_begin(manager->context->store, mode, &work, error);
    if (code)
        return code;
    code = ledger_sagas_closed(work, birth, closed, &marked, error);
    CRASH_POINT("closed.marked");
    if (code)
        store_rollback(work);
    else
        code = store_commit(work, error);
    CRASH_POINT("closed.durable");
    return code;
}

/* Marks what every target has been notified of by now. */
static void mark_closed(struct saga_manager *manager, const char *birth, struct snapshot *snapshot)
{
    struct ledger_caller closed = snapshot->closed;
    struct map_entry *entry = NULL;
    const char *name;
    void *value;
    while (map_next(&manager->closings, &entry, &name, &value)) {
        const struct saga_closing *closing = value;
        if (strcmp(closing->birth, birth) == 0 && closing_lags(closing))
            narrow_closed(&closed, closing, &snapshot->arena);
    }
    if (closed.closed_through == 0)
        return;
    struct fh_error error;
    struct work_tries tries = {0};
    enum fh_code code;
    do {
        error = (struct fh_error){0};
        code = mark_closed_once(manager, birth, &closed, tries.alone, &error);
    } while (code == FH_CONFLICT && error.retryable && saga_manager_tells(manager) &&
             work_retry(manager->context, &tries, -1));
    if (code) /* the next notification marks it */
        log_info("saga-closing-delayed",
                 "Closed sagas could not be marked; this will be tried again: %s", error.message);
}

static void send_closing(struct saga_manager *manager, struct saga_closing *closing)
{
    struct snapshot snapshot;
    struct fh_error error;
    struct world *world = manager->context->world;
    uint64_t generation = closing->generation;
    arena_init(&snapshot.arena, ARENA_SIZE_MAX);
    enum fh_code code = take_snapshot(manager, closing->birth, &snapshot, &error);
    if (manager->context->leases)
        generation = closing->generation;
    CRASH_POINT("closed.untold");
    bool told = code == FH_OK && saga_closing_send(manager, closing->target, closing->birth,
                                                   &snapshot.closed, NULL, NULL);
    CRASH_POINT("closed.told");
    if (told) {
        char *open = strdup(snapshot.closed.still_open);
        FH_ASSERT(open != NULL);
        free(closing->told_open);
        closing->told_open = open;
        closing->told_through = snapshot.closed.closed_through;
        closing->told = generation;
        closing->tries = 0;
        closing->retry_at_ns = world_in_ms(world, SAGA_CLOSING_PAUSE_MS);
        mark_closed(manager, closing->birth, &snapshot);
    } else {
        int64_t pause_ms = SAGA_CLOSING_PAUSE_MS;
        for (int i = 0; i < closing->tries && pause_ms < CLOSING_BACKOFF_MS_MAX; i++)
            pause_ms *= 2;
        closing->tries++;
        closing->retry_at_ns = world_in_ms(
            world, pause_ms / 2 + (int64_t)world_random_below(world, (uint64_t)pause_ms));
    }
    arena_release(&snapshot.arena);
}

/* ---- The closing fiber ---- */

/* The one that is due; or NULL, and when the next one is (INT64_MAX: none lags). */
static struct saga_closing *find_due_closing(struct saga_manager *manager, int64_t *ret_next_ns)
{
    int64_t now_ns = world_monotonic_ns(manager->context->world);
    struct map_entry *entry = NULL;
    const char *name;
    void *value;
    *ret_next_ns = INT64_MAX;
    while (map_next(&manager->closings, &entry, &name, &value)) {
        struct saga_closing *closing = value;
        if (closing->generation == closing->told)
            continue;
        if (closing->retry_at_ns <= now_ns)
            return closing;
        if (closing->retry_at_ns < *ret_next_ns)
            *ret_next_ns = closing->retry_at_ns;
    }
    return NULL;
}

/* When other instances' sagas end, this process gets no notice. */
static void look_for_ended(struct saga_manager *manager)
{
    struct store_work *work;
    if (store_begin(manager->context->store, STORE_READ, &work, ERROR_UNHEEDED) != FH_OK)
        return; /* tried again in a second */
    ledger_sagas_unclosed(work, take_unclosed, manager, ERROR_UNHEEDED);
    store_rollback(work);
}

static void run_closings(void *argument)
{
    struct saga_manager *manager = argument;
    struct world *world = manager->context->world;
    int64_t look_ns = manager->context->leases ? 0 : INT64_MAX;
    while (saga_manager_tells(manager)) {
        int64_t next_ns;
        if (world_monotonic_ns(world) >= look_ns) {
            look_ns = world_in_ms(world, SAGA_CLOSING_PAUSE_MS);
            look_for_ended(manager);
        }
        struct saga_closing *closing = find_due_closing(manager, &next_ns);
        if (look_ns < next_ns)
            next_ns = look_ns;
        if (closing)
            send_closing(manager, closing);
        else if (next_ns != INT64_MAX)
            fiber_wait_until(&manager->closable, world, next_ns);
        else
            break;
    }
    manager->closing_fiber = false;
    if (manager->context->leases)
        saga_lease_left(manager);
    saga_manager_fiber_ended(manager);
}

static void start_closings(struct saga_manager *manager)
{
    if (!manager->closing_fiber && !manager->stopping)
        manager->closing_fiber =
            fiber_start(manager->context->world->fibers, run_closings, manager);
}

void saga_closing_take(struct saga_manager *manager)
{
    start_closings(manager);
}

/* Calls `visit` once for each target that the saga has sent to. */
static void visit_targets(struct saga_run *run, const struct saga_state *state,
                          void (*visit)(struct saga_closing *closing, bool ended), bool ended)
{
    struct saga_manager *manager = run->manager;
    const struct saga_target *seen[SAGA_STEPS_MAX];
    int seen_count = 0;
    for (int step = 0; step < run->type->rules.step_count; step++) {
        const char *name = run->type->calls[step].target;
        if (!name || saga_elements(state, step) == 0)
            continue;
        struct saga_target *target = saga_manager_target(manager, name);
        bool again = false;
        for (int i = 0; i < seen_count; i++)
            again = again || seen[i] == target;
        if (again)
            continue;
        seen[seen_count++] = target;
        visit(closing_of(manager, run->birth, target), ended);
    }
}

static void begin_closing(struct saga_closing *closing, bool ended)
{
    (void)ended;
    closing->ending++;
}

static void end_closing(struct saga_closing *closing, bool ended)
{
    closing->ending--;
    if (ended)
        closing->generation++;
}

void saga_closing_begin(struct saga_run *run)
{
    if (!run->manager->context->leases)
        visit_targets(run, &run->state, begin_closing, false);
}

void saga_closing_end(struct saga_run *run, bool ended)
{
    if (run->manager->context->leases)
        return; /* the instance that notifies finds it in the store */
    visit_targets(run, &run->state, end_closing, ended);
    if (ended)
        start_closings(run->manager);
}

void saga_closing_expect(struct saga_manager *manager, const char *birth, const char *target)
{
    if (!manager->context->leases)
        closing_of(manager, birth, saga_manager_target(manager, target))->ending++;
}

void saga_closing_came(struct saga_manager *manager, const char *birth, const char *target,
                       bool ended)
{
    if (manager->context->leases)
        return;
    closing_of(manager, birth, saga_manager_target(manager, target))->ending--;
    if (ended)
        take_unclosed(manager, birth, target);
    if (ended)
        start_closings(manager);
}

/* ---- After a restart ---- */

static bool goes_to_target(const struct saga_manager *manager, const char *name)
{
    for (int i = 0; i < manager->type_count; i++) {
        for (int step = 0; step < manager->types[i].rules.step_count; step++) {
            const char *target = manager->types[i].calls[step].target;
            if (target && strcmp(target, name) == 0)
                return true;
        }
    }
    return false;
}

static void tell_resync(struct saga_manager *manager, const char *birth, const char *target)
{
    closing_of(manager, birth, saga_manager_target(manager, target))->generation++;
}

/* If no step goes to that service any more, its records were moved to another one: then all present
 * targets are notified; a closing that means nothing to its receiver does no harm. */
static bool take_unclosed(void *context, const char *birth, const char *target)
{
    struct saga_manager *manager = context;
    if (goes_to_target(manager, target)) {
        tell_resync(manager, birth, target);
        return true;
    }
    for (int i = 0; i < manager->type_count; i++) {
        for (int step = 0; step < manager->types[i].rules.step_count; step++) {
            if (manager->types[i].calls[step].target)
                tell_resync(manager, birth, manager->types[i].calls[step].target);
        }
    }
    return true;
}

enum fh_code saga_closing_recover(struct saga_manager *manager, struct store_work *work,
                                  struct fh_error *error)
{
    enum fh_code code = ledger_sagas_unclosed(work, take_unclosed, manager, error);
    start_closings(manager);
    return code;
}
