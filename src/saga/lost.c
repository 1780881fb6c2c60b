/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sagas that a store has lost. A server acknowledges a commit, dies, and a replica that lacks it
 * takes over: then a saga in memory is ahead of its rows, or has none, and its number may be given
 * out again. What it would send next was never decided, as far as the store knows.
 *
 * A failover ends the connections to the store. So from each of them that is lost on (`losses`)
 * nothing more is sent for any saga before its rows were read again, and they alone say where it
 * is. What was under way at that moment is not ours any more: its receiver has it.
 *
 *     the rows are as remembered    it goes on
 *     they are not                  it leaves memory, and is read from them as at a start (load.c)
 *     there are none                it leaves memory
 */

#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "saga/manager.h"

bool saga_is_in_doubt(const struct saga_run *run)
{
    return run->losses != run->manager->context->store->losses;
}

static bool is_same_part(const struct saga_run *run, const struct saga_run *stored, int at)
{
    const struct saga_element *here = &run->state.elements[at],
                              *there = &stored->state.elements[at];
    return here->state == there->state && here->attempt == there->attempt;
}

static bool is_as_stored(const struct saga_run *run, const struct saga_run *stored)
{
    const struct saga_rules *rules = &run->type->rules;
    if (run->type != stored->type || run->epoch != stored->epoch ||
        run->state.status != stored->state.status || run->state.step != stored->state.step ||
        run->state.back != stored->state.back ||
        memcmp(run->state.first, stored->state.first, sizeof run->state.first) != 0 ||
        !json_equal(run->input, stored->input))
        return false;
    for (int at = 0; at < run->state.first[rules->step_count]; at++) {
        if (!is_same_part(run, stored, at))
            return false;
    }
    return true;
}

/* What is in the rows: FH_NOT_FOUND: nothing is. *ret_same: what is in memory. */
static enum fh_code read_saga_rows(struct saga_run *run, struct store_work *work,
                                   enum saga_status *ret_status, bool *ret_same,
                                   struct fh_error *error)
{
    struct arena arena;
    struct ledger_saga row;
    struct saga_run *stored = NULL;
    arena_init(&arena, ARENA_SIZE_MAX);
    enum fh_code code = ledger_saga_get(work, &arena, run->birth, run->number, &row, error);
    int status = code == FH_OK ? saga_status_of(row.status) : -1;
    if (code == FH_OK)
        code = saga_record_load(run->manager, work, &row, &stored, error);
    *ret_status = status < 0 ? SAGA_PARKED : (enum saga_status)status;
    *ret_same = code == FH_OK && is_as_stored(run, stored);
    if (code == FH_OK)
        saga_run_release(stored);
    arena_release(&arena);
    /* Another saga has its number, or what is there can't be read: load.c parks that. */
    return code == FH_INVALID || code == FH_UNSUPPORTED ? FH_OK : code;
}

static enum fh_code read_saga_again(struct saga_run *run, enum saga_status *ret_status,
                                    bool *ret_same, struct fh_error *error)
{
    struct store_work *work;
    struct arena *before = json_arena_set(NULL);
    enum fh_code code = store_begin(run->manager->context->store, STORE_READ, &work, error);
    if (code == FH_OK) {
        code = read_saga_rows(run, work, ret_status, ret_same, error);
        store_rollback(work);
    }
    json_arena_set(before);
    return code;
}

static void leave_memory(struct saga_run *run, bool is_there, enum saga_status stored)
{
    struct saga_manager *manager = run->manager;
    log_warning("saga-lost", "saga %s %s: the store has lost %s", run->type->rules.name,
                run->reference,
                is_there ? "its last steps; it goes on from what is there"
                         : "it; nothing more is sent for it");
    --*saga_manager_count(manager, run->state.status);
    if (is_there)
        ++*saga_manager_count(manager, stored);
    saga_manager_remove(manager, run);
    if (is_there) {
        saga_manager_reread(manager);
        saga_manager_refill(manager);
    }
}

enum fh_code saga_lost_check(struct saga_run *run, struct fh_error *error)
{
    const struct store *store = run->manager->context->store;
    enum fh_code code = FH_OK;
    while (code == FH_OK && saga_is_in_doubt(run) && !run->gone) {
        uint64_t losses = store->losses;
        enum saga_status stored = SAGA_PARKED;
        bool same = false;
        code = read_saga_again(run, &stored, &same, error);
        if (code == FH_OK && same)
            run->losses = losses; /* one more may have been lost meanwhile */
        else if (code == FH_OK || code == FH_NOT_FOUND)
            leave_memory(run, code == FH_OK, stored);
    }
    return code == FH_NOT_FOUND ? FH_OK : code;
}
