/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Restores: of this store, and of services that sagas send to. docs/operate/restored.md explains
 * them.
 *
 * If this store was restored, its open sagas ask again (run.c, decide.c), and a fiber here
 * notifies
 *
 *   - every service that sagas send to: no saga of the lost part of a former incarnation will ever
 *     continue. That is a closing above the cut; its receiver reports what it did for them (work/);
 *   - every service whose sagas come here, so that it checks what it has from us (announce).
 *
 * If a service that sagas send to was restored, it says so, or any of its answers does
 * (Freehold-At). Then it is sent again what is closed, and in its answer lists its former
 * incarnations. From then on every element whose answer it has lost is asked, or undone, there
 * again (saga_restored_judge); what it has lost of sagas that are over or parked is reported.
 *
 * What must outlive the process is in fh_meta (restored_peers.c). Each step is repeated until it is
 * durable, and is harmless if done twice:
 *
 *     killed before "told"        the peer is notified once more: it has nothing more to report
 *     killed before "announced"   it got no answer, and announces itself again
 *     killed before "seen"        closings and the look are done again; the report is in the same
 *                                 transaction as "seen"
 *
 * Of several instances the one with the lease "sagas" notifies and reports; the others learn of a
 * receiver's incarnations from its answers to them, or from "peers".
 */

#include "saga/restored.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "saga/manager.h"

#define PEERS_LOOK_MS 5000   /* how often to look for what other instances have stored */
#define MENDING_PAUSE_MS 500 /* after a failure; doubled up to the bound */
#define MENDING_PAUSE_MS_MAX 30000
#define MENDING_TIMEOUT_MS 2000

static void start_mending(struct saga_manager *manager);

/* ---- Notifying others that this store was restored ---- */

static bool sends_to(const struct saga_manager *manager, const char *service)
{
    for (int i = 0; i < manager->type_count; i++) {
        for (int step = 0; step < manager->types[i].rules.step_count; step++) {
            const char *name = manager->types[i].calls[step].target;
            if (name && strcmp(name, service) == 0)
                return true;
        }
    }
    return false;
}

static bool comes_from(const struct saga_manager *manager, const char *name)
{
    size_t index;
    json_t *grant;
    json_array_foreach (json_object_get(manager->context->callers, name), index, grant) {
        if (json_is_string(grant) && strcmp(json_string_value(grant), SAGA_CALLER_GRANT) == 0)
            return true;
    }
    return false;
}

struct opened {
    const char *birth;
    struct text numbers;
};

static bool add_open(void *context, const struct ledger_saga *saga)
{
    struct opened *opened = context;
    if (strcmp(saga->birth, opened->birth) == 0)
        text_printf(&opened->numbers, "%s%" PRId64, opened->numbers.length > 1 ? "," : "",
                    saga->number);
    return true;
}

/* All sagas of that incarnation are closed for ever, except those that are open here. */
static enum fh_code above_cut(struct saga_manager *manager, const struct life *life,
                              struct arena *arena, struct ledger_caller *ret,
                              struct fh_error *error)
{
    struct store_work *work;
    struct opened opened = {.birth = life->incarnation};
    enum fh_code code = store_begin(manager->context->store, STORE_READ, &work, error);
    if (code)
        return code;
    text_init(&opened.numbers, TEXT_LENGTH_MAX);
    text_add(&opened.numbers, "[");
    code = ledger_sagas_open(work, &(struct ledger_open){0}, add_open, &opened, error);
    text_add(&opened.numbers, "]");
    store_rollback(work);
    if (!code && opened.numbers.overflow)
        code = error_retry(error, FH_NO_MEMORY, "No memory for the numbers of open sagas.");
    ret->closed_through = RESTORED_NUMBER_MAX;
    ret->still_open = code ? NULL : arena_text(arena, opened.numbers.data);
    text_release(&opened.numbers);
    return code;
}

static bool close_above(struct saga_manager *manager, const struct saga_target *target,
                        const struct life *life)
{
    const struct lives *lives = &manager->lives;
    struct arena arena;
    struct text more;
    struct fh_error error;
    struct ledger_caller closed;
    text_init(&more, TEXT_LENGTH_MAX);
    text_printf(&more, ",\"cut\":%" PRId64 ",\"lives\":[", life->position);
    for (int i = 0; i < lives->count; i++)
        text_printf(&more, "\"%s\",", lives->before[i].incarnation);
    text_printf(&more, "\"%s\"]", lives->present);
    arena_init(&arena, ARENA_SIZE_MAX);
    bool told = above_cut(manager, life, &arena, &closed, &error) == FH_OK;
    CRASH_POINT("restored.closing");
    told = told && saga_closing_send(manager, target, life->incarnation, &closed, more.data, NULL);
    arena_release(&arena);
    text_release(&more);
    return told;
}

static bool announce_restore(struct saga_manager *manager, const struct saga_target *target)
{
    struct work_context *context = manager->context;
    char from[ID_SIZE + 128];
    snprintf(from, sizeof from, "%s/%s", context->service->name, context->store->incarnation);
    struct world_request request = {
        .service = target->name,
        .method = "POST",
        .path = SAGA_RESTORED_PATH,
        .headers = {{"Freehold-From", from}},
        .deadline_ns = world_in_ms(context->world, MENDING_TIMEOUT_MS),
    };
    world_request_wait(context->world, &request);
    bool told = request.status >= 200 && request.status < 300;
    world_request_release(&request);
    return told;
}

static bool tell_restored(struct saga_manager *manager, struct saga_target *target)
{
    struct fh_error error;
    bool told = true;
    for (int i = 0; i < manager->lives.count && told && sends_to(manager, target->name); i++) {
        if (manager->lives.before[i].restored)
            told = close_above(manager, target, &manager->lives.before[i]);
    }
    if (told && comes_from(manager, target->name))
        told = announce_restore(manager, target);
    CRASH_POINT("restored.told");
    if (!told)
        return false;
    struct arena *arena = json_arena_set(NULL);
    json_t *fields = json_pack("{s:s}", "told", manager->context->store->incarnation);
    json_arena_set(arena);
    if (saga_peer_store(manager, target, fields, NULL, &error) != FH_OK)
        return false;
    target->untold = false;
    log_info("restore-announced", "%s was notified that this store was restored", target->name);
    return true;
}

/* ---- The fiber ---- */

static bool target_is_due(const struct saga_manager *manager, const struct saga_target *target)
{
    return target->looks || (target->untold && saga_manager_tells(manager));
}

/* The first that is due; or NULL, and when the next one is. */
static struct saga_target *find_due_target(struct saga_manager *manager, int64_t *ret_next_ns)
{
    int64_t now_ns = world_monotonic_ns(manager->context->world);
    struct map_entry *entry = NULL;
    const char *name;
    void *value;
    while (map_next(&manager->targets, &entry, &name, &value)) {
        struct saga_target *target = value;
        if (!target_is_due(manager, target))
            continue;
        if (target->mending_at_ns <= now_ns)
            return target;
        if (target->mending_at_ns < *ret_next_ns)
            *ret_next_ns = target->mending_at_ns;
    }
    return NULL;
}

static void see_to(struct saga_manager *manager, struct saga_target *target)
{
    struct world *world = manager->context->world;
    bool done = true;
    if (target->untold && saga_manager_tells(manager))
        done = tell_restored(manager, target);
    if (done && target->looks) {
        done = saga_restored_look(manager, target);
        saga_restored_judge_all(manager);
    }
    int64_t pause_ms = MENDING_PAUSE_MS;
    for (int i = 0; i < target->mending_tries && pause_ms < MENDING_PAUSE_MS_MAX; i++)
        pause_ms *= 2;
    target->mending_tries = done ? 0 : target->mending_tries + 1;
    target->mending_at_ns =
        done ? 0
             : world_in_ms(world,
                           pause_ms / 2 + (int64_t)world_random_below(world, (uint64_t)pause_ms));
}

/* Reads what other instances have stored about peers. */
static void look_at_peers(struct saga_manager *manager)
{
    struct store_work *work;
    bool judged = manager->judges;
    if (store_begin(manager->context->store, STORE_READ_COMMITTED, &work, ERROR_UNHEEDED) != FH_OK)
        return; /* tried again soon */
    saga_peers_take(manager, work, ERROR_UNHEEDED);
    store_rollback(work);
    if (!judged)
        saga_restored_judge_all(manager);
}

static void run_mending(void *argument)
{
    struct saga_manager *manager = argument;
    struct world *world = manager->context->world;
    int64_t look_ns = manager->context->leases ? 0 : INT64_MAX;
    while (!manager->stopping) {
        if (world_monotonic_ns(world) >= look_ns) {
            look_ns = world_in_ms(world, PEERS_LOOK_MS);
            look_at_peers(manager);
        }
        int64_t next_ns = look_ns;
        struct saga_target *target = find_due_target(manager, &next_ns);
        if (target)
            see_to(manager, target);
        else if (next_ns != INT64_MAX)
            fiber_wait_until(&manager->mendable, world, next_ns);
        else
            break;
    }
    manager->mending = false;
    saga_manager_fiber_ended(manager);
}

static void start_mending(struct saga_manager *manager)
{
    if (manager->stopping)
        return;
    if (manager->mending)
        fiber_wake_all(&manager->mendable);
    else
        manager->mending = fiber_start(manager->context->world->fibers, run_mending, manager);
}

/* ---- Entry points ---- */

void saga_restored_heard(struct saga_manager *manager, struct saga_target *target)
{
    bool known = target->seen[0] != '\0';
    if (strcmp(target->incarnation, target->seen) <= 0)
        return; /* or this is a late answer from a former incarnation */
    memcpy(target->seen, target->incarnation, sizeof target->seen);
    if (!known)
        return;
    target->looks = true;
    start_mending(manager);
}

enum fh_code saga_restored_announced(struct saga_manager *manager, const char *service,
                                     const char *incarnation, struct fh_error *error)
{
    if (!sends_to(manager, service))
        return FH_OK; /* it has nothing of ours to lose */
    struct saga_target *target = saga_manager_target(manager, service);
    struct arena *arena = json_arena_set(NULL);
    json_t *fields = json_pack("{s:s}", "announced", incarnation);
    json_arena_set(arena);
    enum fh_code code = saga_peer_store(manager, target, fields, NULL, error);
    if (code)
        return code;
    target->looks = true;
    start_mending(manager);
    return FH_OK;
}

static void mark_untold(struct saga_manager *manager)
{
    const char *name;
    json_t *grants;
    for (int i = 0; i < manager->type_count; i++) {
        for (int step = 0; step < manager->types[i].rules.step_count; step++) {
            name = manager->types[i].calls[step].target;
            if (name)
                saga_manager_target(manager, name)->untold = true;
        }
    }
    json_object_foreach ((json_t *)(uintptr_t)manager->context->callers, name, grants) {
        if (comes_from(manager, name))
            saga_manager_target(manager, name)->untold = true;
    }
}

enum fh_code saga_restored_recover(struct saga_manager *manager, struct store_work *work,
                                   struct fh_error *error)
{
    const char *present = manager->context->store->incarnation;
    enum fh_code code = lives_read(work, present, &manager->lives, error);
    for (int i = 0; i < manager->lives.count && !code; i++)
        manager->restored = manager->restored || manager->lives.before[i].restored;
    if (!code && manager->restored)
        mark_untold(manager);
    return code ? code : saga_peers_take(manager, work, error);
}

void saga_restored_start(struct saga_manager *manager)
{
    int64_t next_ns = INT64_MAX;
    if (manager->context->leases || find_due_target(manager, &next_ns))
        start_mending(manager);
}
