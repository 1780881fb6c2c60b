/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for a saga's end, and an operator's commands for a parked one. A saga that is not in this
 * process's memory (another instance runs it, or there are too many) is polled in the store.
 */

#include <stdio.h>
#include <stdlib.h>

#include "saga/manager.h"
#include "saga/show.h"
#include "work/batch.h"

#define WAIT_LOOK_MS 100 /* how often to poll a saga that is not in memory */

static enum saga_status stored_status(struct work_context *context, const char *birth,
                                      int64_t number)
{
    struct store_work *work;
    struct ledger_saga row;
    struct arena arena;
    int status = -1;
    if (store_begin(context->store, STORE_READ, &work, ERROR_UNHEEDED) != FH_OK)
        return SAGA_RUNNING;
    arena_init(&arena, ARENA_SIZE_MAX);
    if (ledger_saga_get(work, &arena, birth, number, &row, ERROR_UNHEEDED) == FH_OK)
        status = saga_status_of(row.status);
    store_rollback(work);
    arena_release(&arena);
    return status < 0 ? SAGA_RUNNING : (enum saga_status)status;
}

static bool goes_on(enum saga_status status)
{
    return status == SAGA_RUNNING || status == SAGA_COMPENSATING;
}

enum saga_status saga_wait(struct work_context *context, const char *reference,
                           const fh_work *begun_by, int64_t deadline_ns)
{
    struct saga_id id;
    struct world *world = context->world;
    struct saga_manager *manager = context->sagas;
    if (saga_id_parse(reference, &id, ERROR_UNHEEDED) != FH_OK)
        return SAGA_RUNNING;
    if (!id.number && begun_by)
        id.number = work_position_of(begun_by, id.start_id);
    enum saga_status status = SAGA_RUNNING;
    while (goes_on(status) && !manager->stopping) {
        char numbered[ID_SIZE + 24];
        if (!id.number)
            saga_id_resolve(context, &id, ERROR_UNHEEDED); /* not found: it has no number yet */
        snprintf(numbered, sizeof numbered, "%s.%lld", id.birth, (long long)id.number);
        struct saga_run *run = id.number ? map_get(&manager->runs, numbered) : NULL;
        bool in_time = true;
        if (run) {
            run->references++;
            in_time = fiber_wait_until(&run->waiting, world, deadline_ns);
            status = run->state.status;
            saga_run_release(run);
        } else {
            status = id.number ? stored_status(context, id.birth, id.number) : SAGA_RUNNING;
            int64_t look_ns = world_in_ms(world, WAIT_LOOK_MS);
            if (goes_on(status) && look_ns < deadline_ns)
                fiber_sleep_until(world, look_ns);
            in_time = look_ns < deadline_ns;
        }
        if (!in_time)
            break;
    }
    return status;
}

static enum fh_code refuse_unparked(const struct ledger_saga *row, struct fh_error *error)
{
    if (saga_status_of(row->status) == SAGA_PARKED)
        return FH_OK;
    return error_set(error, FH_CONFLICT, "The saga is not parked; it is %s.", row->status);
}

/* Whichever instance parked it, the one that was asked carries it on. */
static enum fh_code take_once(struct saga_manager *manager, const char *birth, int64_t number,
                              struct fh_error *error)
{
    struct store_work *work;
    struct ledger_saga row;
    struct arena arena;
    enum fh_code code = store_begin(manager->context->store, STORE_WRITE, &work, error);
    if (code)
        return code;
    arena_init(&arena, ARENA_SIZE_MAX);
    code = ledger_saga_get(work, &arena, birth, number, &row, error);
    if (!code)
        code = refuse_unparked(&row, error);
    if (!code)
        code = ledger_saga_take(work, birth, number, saga_manager_session(manager), error);
    arena_release(&arena);
    if (!code)
        return store_commit(work, error);
    store_rollback(work);
    return code;
}

static enum fh_code take_parked(struct saga_manager *manager, const char *birth, int64_t number,
                                struct fh_error *error)
{
    struct work_tries tries = {0};
    enum fh_code code;
    do {
        *error = (struct fh_error){0};
        code = take_once(manager, birth, number, error);
    } while (code == FH_CONFLICT && error->retryable && work_retry(manager->context, &tries, -1));
    return code;
}

/* Refuses at once what the saga could not do. */
static enum fh_code refuse_word(struct saga_run *run, enum saga_happened word,
                                struct fh_error *error)
{
    char why[SAGA_TEXT_SIZE];
    const struct saga_rules *rules = &run->type->rules;
    const char *refused = word == SAGA_TURNED_BACK ? saga_may_turn_back(rules, &run->state, why)
                          : word == SAGA_RETRIED   ? saga_may_retry(rules, &run->state, why)
                                                   : NULL;
    if (!refused)
        return FH_OK;
    return error_set(error, FH_CONFLICT, "%.180s", why);
}

static enum fh_code load_parked(struct saga_manager *manager, const char *birth, int64_t number,
                                struct saga_run **ret, struct fh_error *error)
{
    struct store_work *work;
    struct ledger_saga row;
    struct arena arena;
    enum fh_code code = store_begin(manager->context->store, STORE_READ, &work, error);
    if (code)
        return code;
    arena_init(&arena, ARENA_SIZE_MAX);
    code = ledger_saga_get(work, &arena, birth, number, &row, error);
    if (!code)
        code = refuse_unparked(&row, error);
    if (!code)
        code = saga_record_load(manager, work, &row, ret, error);
    store_rollback(work);
    arena_release(&arena);
    if (code == FH_UNSUPPORTED) /* it waits for another program */
        code = error->code = FH_CONFLICT;
    return code;
}

static enum fh_code parked_goes_on(struct saga_manager *manager, const char *birth, int64_t number,
                                   enum saga_happened word, struct fh_error *error)
{
    struct saga_run *run = NULL;
    enum fh_code code = load_parked(manager, birth, number, &run, error);
    if (code)
        return code;
    code = refuse_word(run, word, error);
    if (code) {
        saga_run_release(run);
        return code;
    }
    run->deadline_ns = world_in_ms(manager->context->world, run->type->deadline_ms);
    if (!saga_manager_add(manager, run))
        return error_set(error, FH_CONFLICT, "The saga goes on already.");
    struct saga_heard *heard = calloc(1, sizeof *heard);
    FH_ASSERT(heard != NULL);
    heard->happening.what = word;
    saga_run_hear(run, heard);
    return FH_OK;
}

enum fh_code saga_operate(struct saga_manager *manager, const char *birth, int64_t number,
                          enum saga_happened word, struct fh_error *error)
{
    enum fh_code code =
        manager->context->leases ? take_parked(manager, birth, number, error) : FH_OK;
    if (code)
        return code;
    saga_manager_read_begin(manager);
    code = parked_goes_on(manager, birth, number, word, error);
    saga_manager_read_end(manager);
    return code;
}
