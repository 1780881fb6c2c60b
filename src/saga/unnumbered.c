/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sagas whose start is durable and whose numbers are not known: the sequencer of the store could
 * not be asked behind the commit. Nothing is sent for them, as their keys hold their numbers. They
 * wait here until the store tells of new positions (store.h); then their rows are looked for, by
 * the ids of their starts. So are those that may have been run from their rows before their start
 * was told here (start.c).
 *
 * What is found is carried on from where its rows say that it stands, if it is open and nobody has
 * taken it over; it may be over by now, or parked.
 *
 * After a crash, or when there are too many, nothing of this matters: the sequencer has made rows
 * of them, or will, and open rows are loaded at the start.
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

static void look_soon(struct saga_room *room);

void saga_room_await(struct saga_room *room, const char *birth, const char *start_id)
{
    if (room->unnumbered_count >= UNNUMBERED_MAX) {
        room->late_looks = SAGA_LATE_LOOKS; /* its row is not there yet */
        return;
    }
    struct saga_unnumbered *waiting = calloc(1, sizeof *waiting);
    FH_ASSERT(waiting != NULL);
    snprintf(waiting->birth, sizeof waiting->birth, "%s", birth);
    snprintf(waiting->start_id, sizeof waiting->start_id, "%s", start_id);
    waiting->next = room->unnumbered;
    room->unnumbered = waiting;
    room->unnumbered_count++;
    look_soon(room); /* its position may have come before it stood here */
}

/* Its row is there. One that can't be read as this program declares it is parked by who reads all
 * that is open (room.c). */
static enum fh_code found(struct saga_room *room, struct store_work *work,
                          const struct ledger_saga *row, struct fh_error *error)
{
    int status = saga_status_of(row->status);
    if (row->epoch != SAGA_EPOCH_FIRST || (status != SAGA_RUNNING && status != SAGA_COMPENSATING))
        return FH_OK;
    if (room->runs.count >= SAGAS_LOADED_MAX) {
        room->crowded = true;
        return FH_OK;
    }
    struct saga_run *run;
    enum fh_code code = saga_record_load(room, work, row, &run, error);
    if (code == FH_OK && saga_room_add(room, run))
        saga_run_queue(run);
    if (code != FH_INVALID && code != FH_UNSUPPORTED)
        return code;
    room->late_looks = SAGA_LATE_LOOKS;
    return FH_OK;
}

/* FH_NOT_FOUND: not yet. */
static enum fh_code look_for(struct saga_room *room, struct store_work *work,
                             const struct saga_unnumbered *waiting, struct fh_error *error)
{
    struct arena arena;
    struct ledger_saga row;
    arena_init(&arena, ARENA_SIZE_MAX);
    enum fh_code code =
        ledger_saga_find(work, &arena, waiting->birth, waiting->start_id, &row, error);
    if (code == FH_OK)
        code = found(room, work, &row, error);
    arena_release(&arena);
    return code;
}

static enum fh_code look_at_all(struct saga_room *room, struct store_work *work,
                                struct fh_error *error)
{
    enum fh_code code = FH_OK;
    struct saga_unnumbered *left = room->unnumbered, *next;
    uint64_t deaths = room->deaths;
    room->unnumbered = NULL; /* others may come meanwhile */
    for (struct saga_unnumbered *waiting = left; waiting; waiting = next) {
        enum fh_code fate = FH_NOT_FOUND;
        next = waiting->next;
        if (code == FH_OK && !room->stopping)
            fate = look_for(room, work, waiting, error);
        if (fate == FH_OK || deaths != room->deaths) {
            room->unnumbered_count -= deaths == room->deaths;
            free(waiting);
            continue;
        }
        waiting->next = room->unnumbered;
        room->unnumbered = waiting;
        if (fate != FH_NOT_FOUND)
            code = fate;
    }
    return code;
}

static enum fh_code look_once(struct saga_room *room, struct fh_error *error)
{
    struct store_work *work;
    saga_room_read_begin(room);
    enum fh_code code = store_begin(room->context->store, STORE_READ, &work, error);
    if (code == FH_OK) {
        code = look_at_all(room, work, error);
        store_rollback(work);
    }
    saga_room_read_end(room);
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
        log_warning("Sagas that have started could not be looked for; this will be tried again: %s",
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
    for (struct saga_unnumbered *waiting = room->unnumbered, *next; waiting; waiting = next) {
        next = waiting->next;
        free(waiting);
    }
    room->unnumbered = NULL;
    room->unnumbered_count = 0;
}
