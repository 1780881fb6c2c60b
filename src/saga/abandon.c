/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Giving up a parked saga: what was done stays done, the rest is never asked for, and an operator
 * has given the reason. At its receivers it is closed like one that has ended. It is not carried on
 * here, so its definition is not needed: a saga that waits for a program nobody will deploy again
 * can be given up too.
 *
 * One transaction, guarded by the saga's epoch, which it raises: an instance that has resumed the
 * saga in the meantime, by a retry, can store nothing more of it; and if it has stored something
 * already, the saga is no longer parked.
 *
 *     killed before the commit is durable    it is parked, as before
 *     killed after it                        it is abandoned; a restart notifies its receivers
 */

#include <stdio.h>
#include <string.h>

#include "base/crash.h"
#include "base/json.h"
#include "base/log.h"
#include "saga/manager.h"
#include "work/batch.h"

#define STALE_STEPS_MAX (SAGA_STEPS_MAX * SAGA_ELEMENTS_MAX)

struct targets {
    struct arena *arena;
    const char *names[SAGA_STEPS_MAX];
    int count;
};

static bool take_step_target(void *context, const struct ledger_step *step)
{
    struct targets *targets = context;
    for (int i = 0; i < targets->count; i++) {
        if (strcmp(targets->names[i], step->target) == 0)
            return true;
    }
    if (*step->target && targets->count < SAGA_STEPS_MAX)
        targets->names[targets->count++] = arena_text(targets->arena, step->target);
    return true;
}

/* The row's state, plus who gave it up, when and why. */
static const char *state_text(struct saga_manager *manager, const struct ledger_saga *row,
                              const struct saga_abandon *abandon, struct arena *arena)
{
    json_t *state = NULL;
    if (json_parse(row->state, strlen(row->state), &state, ERROR_UNHEEDED) != FH_OK)
        state = json_object();
    json_object_del(state, "secrets");
    json_object_set_new(state, "abandoned",
                        json_pack("{s:s, s:s, s:I}", "why", abandon->why, "by", abandon->by,
                                  "time_ms", (json_int_t)world_wall_ms(manager->context->world)));
    char *text = json_text(state);
    const char *copy = arena_text(arena, text);
    json_text_free(text);
    json_decref(state);
    return copy;
}

struct abandoning {
    struct saga_manager *manager;
    const struct saga_abandon *abandon;
    struct arena *arena;
};

/* ---- Secrets of requests that will not be sent again ---- */

struct stale {
    struct arena *arena;
    const json_t *secrets;
    struct ledger_step *steps;
    int count;
};

/* It is a secret, or a part of one: a step may take a member of an object, or an element. */
static bool is_in_secret(const json_t *value, const json_t *secret)
{
    const char *name;
    const json_t *part;
    size_t i;
    if (json_equal(value, secret))
        return true;
    json_object_foreach ((json_t *)(uintptr_t)secret, name, part) {
        if (is_in_secret(value, part))
            return true;
    }
    json_array_foreach (secret, i, part) {
        if (is_in_secret(value, part))
            return true;
    }
    return false;
}

/* Their definition may be gone, so what is a secret is known by its value. */
static bool drop_values(json_t *body, const json_t *secrets)
{
    const char *name;
    json_t *value;
    void *next;
    bool dropped = false;
    json_object_foreach_safe (body, next, name, value) {
        if (is_in_secret(value, secrets)) {
            json_object_del(body, name);
            dropped = true;
        }
    }
    return dropped;
}

static bool take_stale_step(void *context, const struct ledger_step *step)
{
    struct stale *stale = context;
    json_t *request = NULL, *body = NULL;
    const char *text = NULL;
    if (json_parse(step->request, strlen(step->request), &request, ERROR_UNHEEDED) == FH_OK)
        text = json_string_at(request, "body");
    if (text && json_parse(text, strlen(text), &body, ERROR_UNHEEDED) == FH_OK &&
        drop_values(body, stale->secrets)) {
        char *rest = json_text(body);
        json_object_set_new(request, "body", json_string(rest));
        json_text_free(rest);
        char *whole = json_text(request);
        stale->steps[stale->count] = *step; /* its texts are on the arena */
        stale->steps[stale->count++].request = arena_text(stale->arena, whole);
        json_text_free(whole);
    }
    json_decref(body);
    json_decref(request);
    return stale->count < STALE_STEPS_MAX;
}

static enum fh_code drop_step_secrets(struct store_work *work, const struct abandoning *abandoning,
                                      const struct ledger_saga *row, struct fh_error *error)
{
    json_t *state = NULL;
    struct stale stale = {.arena = abandoning->arena};
    enum fh_code code = FH_OK;
    if (json_parse(row->state, strlen(row->state), &state, ERROR_UNHEEDED) == FH_OK)
        stale.secrets = json_object_get(state, "secrets");
    if (stale.secrets) {
        stale.steps = arena_alloc(stale.arena, STALE_STEPS_MAX * sizeof *stale.steps);
        code = ledger_steps_get(work, stale.arena, row->birth, row->number, take_stale_step, &stale,
                                error);
    }
    for (int i = 0; i < stale.count && code == FH_OK; i++)
        code = ledger_step_put(work, &stale.steps[i], error);
    json_decref(state);
    return code;
}

static enum fh_code put_abandoned(struct store_work *work, void *what, struct fh_error *error)
{
    const struct abandoning *abandoning = what;
    struct saga_manager *manager = abandoning->manager;
    const struct saga_abandon *abandon = abandoning->abandon;
    struct arena *arena = abandoning->arena;
    struct ledger_saga row;
    enum fh_code code = ledger_saga_get(work, arena, abandon->birth, abandon->number, &row, error);
    if (code == FH_OK && saga_status_of(row.status) != SAGA_PARKED)
        return error_set(error, FH_CONFLICT, "The saga is not parked; it is %s.", row.status);
    const char *owner = saga_manager_session(manager);
    if (code == FH_OK)
        code = ledger_saga_take(work, abandon->birth, abandon->number, owner ? owner : "", error);
    if (code != FH_OK)
        return code;
    row.epoch++;
    struct ledger_saga state = row;
    row.status = saga_status_name(SAGA_ABANDONED);
    row.state = state_text(manager, &row, abandon, arena);
    row.updated_ms = world_wall_ms(manager->context->world);
    row.spends = true;
    code = drop_step_secrets(work, abandoning, &state, error);
    if (code == FH_OK)
        code = ledger_saga_update(work, &row, error);
    CRASH_POINT("abandon.recorded");
    return code;
}

static enum fh_code read_targets(struct saga_manager *manager, const struct saga_abandon *abandon,
                                 struct targets *targets, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(manager->context->store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = ledger_steps_get(work, targets->arena, abandon->birth, abandon->number, take_step_target,
                            targets, error);
    store_rollback(work);
    return code;
}

/* Closings wait for this end as for others: see closing.c. */
static enum fh_code end_saga(struct saga_manager *manager, const struct saga_abandon *abandon,
                             const struct targets *targets, struct fh_error *error)
{
    struct abandoning abandoning = {manager, abandon, targets->arena};
    for (int i = 0; i < targets->count; i++)
        saga_closing_expect(manager, abandon->birth, targets->names[i]);
    enum fh_code code = work_write(manager->context, put_abandoned, &abandoning, -1, error);
    CRASH_POINT("abandon.durable");
    for (int i = 0; i < targets->count; i++)
        saga_closing_came(manager, abandon->birth, targets->names[i], code == FH_OK);
    return code;
}

enum fh_code saga_abandon(struct saga_manager *manager, const struct saga_abandon *abandon,
                          struct fh_error *error)
{
    struct arena arena;
    struct targets targets = {.arena = &arena};
    arena_init(&arena, ARENA_SIZE_MAX);
    enum fh_code code = read_targets(manager, abandon, &targets, error);
    if (code == FH_OK)
        code = end_saga(manager, abandon, &targets, error);
    arena_release(&arena);
    if (code != FH_OK)
        return code;
    manager->counts.parked--;
    manager->counts.abandoned++;
    log_warning("saga-abandoned", "An operator (%s) gives up the parked saga %s.%lld: %s",
                abandon->by, abandon->birth, (long long)abandon->number, abandon->why);
    return FH_OK;
}
