/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sagas whose start is durable but whose numbers are not known: the store's sequencer could not be
 * asked after the commit. Nothing is sent for them, because their keys contain their numbers. They
 * wait here until the store reports new positions (store.h); then their rows are looked up by the
 * ids of their start events. The same goes for sagas that may have been run from their rows before
 * their start was reported here (start.c).
 *
 * A saga that is found continues from where its rows say it is, if it is open and no other instance
 * has taken it over; by now it may be over, or parked.
 *
 * After a crash none of this matters: the sequencer has made rows of them, or will, and open rows
 * are loaded at the start. If there are too many to wait for one by one, look.c finds the rest.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "saga/manager.h"

#define UNNUMBERED_MAX 1000
#define LOOK_AGAIN_MS 1000 /* the store could not be asked */

struct saga_unnumbered {
    char birth[ID_SIZE], start_id[ID_SIZE];
    struct saga_unnumbered *next;
};

static void look_soon(struct saga_manager *manager);

void saga_manager_await(struct saga_manager *manager, const char *birth, const char *start_id)
{
    if (manager->unnumbered_count >= UNNUMBERED_MAX) {
        manager->late_looks = SAGA_LATE_LOOKS; /* its row does not exist yet */
        return;
    }
    struct saga_unnumbered *waiting = calloc(1, sizeof *waiting);
    FH_ASSERT(waiting != NULL);
    snprintf(waiting->birth, sizeof waiting->birth, "%s", birth);
    snprintf(waiting->start_id, sizeof waiting->start_id, "%s", start_id);
    waiting->next = manager->unnumbered;
    manager->unnumbered = waiting;
    manager->unnumbered_count++;
    look_soon(manager); /* its position may have come before it was listed here */
}

/* Its row exists. If it can't be read as this program declares it, the load of all open sagas parks
 * it (load.c). */
static enum fh_code found_numbered(struct saga_manager *manager, struct store_work *work,
                                   const struct ledger_saga *row, struct fh_error *error)
{
    int status = saga_status_of(row->status);
    if (row->epoch != SAGA_EPOCH_FIRST || (status != SAGA_RUNNING && status != SAGA_COMPENSATING))
        return FH_OK;
    if (saga_manager_waits(manager, row->birth, row->number))
        return FH_OK;
    struct saga_run *run;
    enum fh_code code = saga_record_load(manager, work, row, &run, error);
    if (code == FH_OK && saga_manager_add(manager, run))
        saga_run_queue(run);
    if (code != FH_INVALID && code != FH_UNSUPPORTED)
        return code;
    manager->late_looks = SAGA_LATE_LOOKS;
    return FH_OK;
}

/* FH_NOT_FOUND: not yet. */
static enum fh_code look_for_number(struct saga_manager *manager, struct store_work *work,
                                    const struct saga_unnumbered *waiting, struct fh_error *error)
{
    struct arena arena;
    struct ledger_saga row;
    arena_init(&arena, ARENA_SIZE_MAX);
    enum fh_code code =
        ledger_saga_find(work, &arena, waiting->birth, waiting->start_id, &row, error);
    if (code == FH_OK)
        code = found_numbered(manager, work, &row, error);
    arena_release(&arena);
    return code;
}

static enum fh_code look_at_unnumbered(struct saga_manager *manager, struct store_work *work,
                                       struct fh_error *error)
{
    enum fh_code code = FH_OK;
    struct saga_unnumbered *left = manager->unnumbered, *next;
    uint64_t deaths = manager->deaths;
    manager->unnumbered = NULL; /* others may be added meanwhile */
    for (struct saga_unnumbered *waiting = left; waiting; waiting = next) {
        enum fh_code fate = FH_NOT_FOUND;
        next = waiting->next;
        if (code == FH_OK && !manager->stopping)
            fate = look_for_number(manager, work, waiting, error);
        if (fate == FH_OK || deaths != manager->deaths) {
            manager->unnumbered_count -= deaths == manager->deaths;
            free(waiting);
            continue;
        }
        waiting->next = manager->unnumbered;
        manager->unnumbered = waiting;
        if (fate != FH_NOT_FOUND)
            code = fate;
    }
    return code;
}

static enum fh_code look_for_numbers(struct saga_manager *manager, struct fh_error *error)
{
    struct store_work *work;
    saga_manager_read_begin(manager);
    enum fh_code code = store_begin(manager->context->store, STORE_READ, &work, error);
    if (code == FH_OK) {
        code = look_at_unnumbered(manager, work, error);
        store_rollback(work);
    }
    saga_manager_read_end(manager);
    return code;
}

static void run_number_look(void *argument)
{
    struct saga_manager *manager = argument;
    struct fh_error error;
    while (manager->look_again && manager->unnumbered && !manager->stopping) {
        manager->look_again = false; /* true again if positions come during the look */
        if (look_for_numbers(manager, &error) == FH_OK)
            continue;
        log_warning(
            "saga-search-failed",
            "Sagas that have started could not be searched for; this will be tried again: %s",
            error.message);
        manager->look_again = true;
        fiber_wait_until(&manager->adoptable, manager->context->world,
                         world_in_ms(manager->context->world, LOOK_AGAIN_MS));
    }
    manager->looking = false;
    saga_manager_fiber_ended(manager);
}

static void look_soon(struct saga_manager *manager)
{
    manager->look_again = true;
    if (manager->unnumbered && !manager->looking)
        manager->looking = fiber_start(manager->context->world->fibers, run_number_look, manager);
}

void saga_manager_heard(void *context)
{
    struct saga_manager *manager = context;
    if (manager->stopping)
        return;
    look_soon(manager);
    if (manager->late_looks && manager->runs.count < SAGA_LOOK_RUNS_MAX)
        saga_manager_reread(manager);
    saga_manager_refill(manager);
}

void saga_unnumbered_free(struct saga_manager *manager)
{
    for (struct saga_unnumbered *waiting = manager->unnumbered, *next; waiting; waiting = next) {
        next = waiting->next;
        free(waiting);
    }
    manager->unnumbered = NULL;
    manager->unnumbered_count = 0;
}
