/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sagas whose start is durable and whose numbers are not known: the sequencer of the store could
 * not be asked behind the commit. Nothing is sent for them, as their keys hold their numbers. They
 * wait here until the store tells of new positions (store.h); then their rows are looked for, by
 * the ids of their starts.
 *
 * After a crash, or when there are too many, nothing of this matters: the sequencer has made rows
 * of them, or will, and open rows are loaded at the start.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "saga/room.h"

#define UNNUMBERED_MAX 1000
#define LOOK_AGAIN_MS 1000 /* the store could not be asked */

static void look_soon(struct saga_room *room);

void saga_room_await(struct saga_room *room, struct saga_run *run, const char *start_id)
{
    if (room->unnumbered_count >= UNNUMBERED_MAX) {
        room->late_looks = SAGA_LATE_LOOKS; /* its row is not there yet */
        saga_run_release(run);
        return;
    }
    snprintf(run->start_id, sizeof run->start_id, "%s", start_id);
    run->next = room->unnumbered;
    room->unnumbered = run;
    room->unnumbered_count++;
    look_soon(room); /* its position may have come before it stood here */
}

/* *ret_number 0: not yet. */
static enum fh_code look_for(struct store_work *work, struct saga_run *run, int64_t *ret_number,
                             struct fh_error *error)
{
    struct arena arena;
    struct ledger_saga row;
    arena_init(&arena, ARENA_SIZE_MAX);
    enum fh_code code = ledger_saga_find(work, &arena, run->birth, run->start_id, &row, error);
    *ret_number = 0;
    if (code == FH_OK) {
        *ret_number = row.number;
        run->gone = row.epoch != run->epoch; /* another instance was quicker */
    }
    arena_release(&arena);
    return code == FH_NOT_FOUND ? FH_OK : code;
}

static void found(struct saga_room *room, struct saga_run *run, int64_t number)
{
    if (run->gone || room->stopping) {
        saga_run_release(run);
        return;
    }
    run->number = number;
    run->start_id[0] = '\0';
    snprintf(run->reference, sizeof run->reference, "%s.%lld", run->birth, (long long)number);
    saga_room_begin(room, run);
}

static enum fh_code look_at_all(struct saga_room *room, struct store_work *work,
                                struct fh_error *error)
{
    enum fh_code code = FH_OK;
    struct saga_run *left = room->unnumbered, *next;
    room->unnumbered = NULL; /* others may come meanwhile */
    for (struct saga_run *run = left; run; run = next) {
        int64_t number = 0;
        next = run->next;
        run->next = NULL;
        if (code == FH_OK && !room->stopping)
            code = look_for(work, run, &number, error);
        if (number) {
            room->unnumbered_count--;
            found(room, run, number);
        } else {
            run->next = room->unnumbered;
            room->unnumbered = run;
        }
    }
    return code;
}

static enum fh_code look_once(struct saga_room *room, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(room->context->store, STORE_READ_COMMITTED, &work, error);
    if (code != FH_OK)
        return code;
    code = look_at_all(room, work, error);
    store_rollback(work);
    return code;
}

static void look(void *argument)
{
    struct saga_room *room = argument;
    struct fh_error error;
    while (room->look_again && room->unnumbered && !room->stopping) {
        room->look_again = false; /* until positions come while it looks */
        if (look_once(room, &error) == FH_OK)
            continue;
        log_warning("sagas that have started could not be looked for, and will be again: %s",
                    error.message);
        room->look_again = true;
        fiber_wait_until(&room->adoptable, room->context->world,
                         world_in_ms(room->context->world, LOOK_AGAIN_MS));
    }
    room->looking = false;
    saga_room_fiber_ended(room);
}

static void look_soon(struct saga_room *room)
{
    room->look_again = true;
    if (room->unnumbered && !room->looking)
        room->looking = fiber_start(room->context->world->fibers, look, room);
}

void saga_room_heard(void *context)
{
    struct saga_room *room = context;
    if (room->stopping)
        return;
    look_soon(room);
    saga_room_refill(room);
}

void saga_unnumbered_free(struct saga_room *room)
{
    for (struct saga_run *run = room->unnumbered, *next; run; run = next) {
        next = run->next;
        saga_run_release(run);
    }
}
