/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of the open sagas are in memory. Every saga that has not ended is in the store. Those that
 * can be carried on are in memory, up to `loaded_max`; if there are more, the manager is crowded:
 * the rest waits in the store, and is read from there in order of numbers, a small page as soon as
 * there is space for one. Whatever begins meanwhile is a row, too, and waits behind those that
 * began before it, however much space there is: it does not overtake them. Its time does not pass
 * there (record.c: left_ms). Parked ones stay in the store alone until an operator acts on them.
 *
 * A reading goes on where the one before it stopped (`read_birth`, `read_number`). What may have
 * come behind that place, by a takeover for example, has everything read again from the beginning
 * once the end is reached; what is in memory is passed over. Nothing here outlives the process: a
 * start reads everything.
 */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "saga/manager.h"

#define LOAD_SLICE 100 /* rows read in one snapshot, at most ... */
#define LOAD_SLICE_FIRST 32
#define LOAD_SIZE_MAX ((size_t)8 << 20) /* ... and no more once they have so many bytes */
#define LOAD_AGAIN_MS_MIN 100
#define LOAD_AGAIN_MS_MAX 10000

struct loading {
    struct saga_manager *manager;
    struct arena arena;
    struct ledger_saga rows[LOAD_SLICE];
    int count;
    int space; /* in memory */
    int limit; /* of this slice: fewer where sagas are large */
    int seen;  /* including those in memory, and parked ones */
    char seen_birth[ID_SIZE];
    int64_t seen_number;
};

static bool take_open_row(void *context, const struct ledger_saga *row)
{
    struct loading *loading = context;
    char reference[ID_SIZE + 24];
    loading->seen++; /* even a row that is skipped */
    snprintf(loading->seen_birth, sizeof loading->seen_birth, "%s", row->birth);
    loading->seen_number = row->number;
    snprintf(reference, sizeof reference, "%s.%lld", row->birth, (long long)row->number);
    if (saga_status_of(row->status) == SAGA_PARKED || map_get(&loading->manager->runs, reference))
        return true;
    FH_ASSERT(loading->count < LOAD_SLICE);
    struct ledger_saga *copy = &loading->rows[loading->count++];
    *copy = *row;
    copy->birth = arena_text(&loading->arena, row->birth);
    copy->name = arena_text(&loading->arena, row->name);
    copy->input = arena_text(&loading->arena, row->input);
    copy->state = arena_text(&loading->arena, row->state);
    copy->status = arena_text(&loading->arena, row->status);
    return loading->count < loading->space && loading->seen < loading->limit &&
           loading->arena.size < LOAD_SIZE_MAX;
}

/* Parks a saga that can't be carried on as this program declares it: it needs an operator. */
static void park_row(struct saga_manager *manager, const struct ledger_saga *row, const char *why)
{
    struct fh_error error;
    json_t *state = NULL;
    struct store_work *work;
    log_warning("saga-parked", "saga %s %s.%lld is parked: %s", row->name, row->birth,
                (long long)row->number, why);
    if (json_parse(row->state, strlen(row->state), &state, &error) != FH_OK)
        state = json_object();
    json_object_set_new(state, "why", json_string(why));
    char *text = json_text(state);
    struct ledger_saga parked = *row;
    parked.state = text;
    parked.status = saga_status_name(SAGA_PARKED);
    parked.updated_ms = world_wall_ms(manager->context->world);
    enum fh_code code = store_begin(manager->context->store, STORE_WRITE, &work, &error);
    if (!code) {
        code = ledger_saga_update(work, &parked, &error);
        if (code)
            store_rollback(work);
        else
            code = store_commit(work, &error);
    }
    if (!code) {
        int status = saga_status_of(row->status);
        if (status >= 0)
            --*saga_manager_count(manager, (enum saga_status)status);
        ++manager->counts.parked;
    } else {
        manager->late_looks = SAGA_LATE_LOOKS;
        log_warning("saga-parking-unsaved",
                    "saga %s %s.%lld could not be stored as parked; this will be tried again: %s",
                    row->name, row->birth, (long long)row->number, error.message);
    }
    json_text_free(text);
    json_decref(state);
}

/* Loads the rows; fates[i] is FH_OK, or why row i was not loaded. */
static enum fh_code load_rows(struct loading *loading, struct store_work *work,
                              struct fh_error *error, enum fh_code fates[static LOAD_SLICE],
                              struct fh_error *whys)
{
    struct saga_manager *manager = loading->manager;
    for (int i = 0; i < loading->count; i++) {
        const struct ledger_saga *row = &loading->rows[i];
        struct saga_run *run;
        fates[i] = saga_record_load(manager, work, row, &run, &whys[i]);
        if (fates[i] && fates[i] != FH_INVALID && fates[i] != FH_UNSUPPORTED) {
            *error = whys[i];
            return fates[i];
        }
        if (!fates[i] && saga_manager_add(manager, run))
            saga_run_queue(run);
    }
    return FH_OK;
}

static void read_from_start(struct saga_manager *manager)
{
    manager->reread = false;
    manager->read_birth[0] = '\0';
    manager->read_number = 0;
}

/* Nothing follows what was read. */
static void reach_end(struct saga_manager *manager)
{
    if (!manager->reread && manager->unread)
        return; /* something began since */
    manager->crowded = manager->reread;
    if (!manager->strangers) /* those that come later are waited for as long */
        manager->stranger_at_ns = 0;
    read_from_start(manager);
}

static int space_left(const struct saga_manager *manager)
{
    int count = (int)manager->runs.count;
    return count < manager->loaded_max ? manager->loaded_max - count : 0;
}

/* Loads one slice, of no more than there is space for. */
static enum fh_code load_slice(struct loading *loading, struct fh_error *error)
{
    struct saga_manager *manager = loading->manager;
    struct store_work *work;
    enum fh_code fates[LOAD_SLICE] = {FH_OK};
    struct fh_error *whys = calloc(LOAD_SLICE, sizeof *whys);
    FH_ASSERT(whys != NULL);
    loading->count = loading->seen = 0;
    loading->space = space_left(manager);
    manager->unread = false;
    if (!manager->read_birth[0])
        manager->strangers = 0;
    struct ledger_open open = {.owner = saga_manager_session(manager),
                               .birth = manager->read_birth,
                               .number = manager->read_number,
                               .limit = loading->limit};
    enum fh_code code = store_begin(manager->context->store, STORE_READ, &work, error);
    if (!code) {
        code = ledger_sagas_open(work, &open, take_open_row, loading, error);
        if (!code)
            code = load_rows(loading, work, error, fates, whys);
        store_rollback(work);
    }
    bool large = loading->arena.size >= LOAD_SIZE_MAX;
    bool more = large || loading->count >= loading->space || loading->seen >= loading->limit;
    loading->limit = large ? loading->seen / 2 + 1 : loading->limit * 2;
    if (loading->limit > LOAD_SLICE)
        loading->limit = LOAD_SLICE;
    for (int i = 0; !code && i < loading->count; i++)
        if (fates[i] &&
            !(fates[i] == FH_UNSUPPORTED && saga_handover_leave(manager, &loading->rows[i])))
            park_row(manager, &loading->rows[i], whys[i].message);
    if (!code && loading->seen > 0) {
        memcpy(manager->read_birth, loading->seen_birth, ID_SIZE);
        manager->read_number = loading->seen_number;
    }
    if (!code && !more)
        reach_end(manager);
    free(whys);
    return code;
}

/* Loads what is open and not in memory yet, as long as there is space. */
static enum fh_code load_open(struct saga_manager *manager, struct fh_error *error)
{
    struct loading *loading = calloc(1, sizeof *loading);
    FH_ASSERT(loading != NULL);
    loading->manager = manager;
    loading->limit = LOAD_SLICE_FIRST;
    enum fh_code code = FH_OK;
    saga_manager_read_begin(manager);
    while (manager->crowded && space_left(manager) && !code && !manager->stopping) {
        arena_init(&loading->arena, ARENA_SIZE_MAX);
        code = load_slice(loading, error);
        arena_release(&loading->arena);
        fiber_yield(); /* what those read before have to do goes first */
    }
    saga_manager_read_end(manager);
    free(loading);
    return code;
}

/* ---- Space that becomes free ---- */

/* The next attempt comes by itself (look.c), later each time: sagas that end meanwhile, and so make
 * space, must not ask a store that is away more often. */
static void load_failed(struct saga_manager *manager, const struct fh_error *error)
{
    int doubled = manager->load_tries < 7 ? LOAD_AGAIN_MS_MIN << manager->load_tries : INT_MAX;
    int wait_ms = doubled < LOAD_AGAIN_MS_MAX ? doubled : LOAD_AGAIN_MS_MAX;
    manager->load_tries++;
    saga_manager_reread(manager);
    manager->load_at_ns = world_in_ms(manager->context->world, wait_ms);
    log_warning("saga-reading-failed",
                "Open sagas could not be read; attempt %d follows in %d ms: %s",
                manager->load_tries + 1, wait_ms, error->message);
    fiber_wake_all(&manager->lookable);
}

static void load_succeeded(struct saga_manager *manager)
{
    if (manager->load_tries)
        log_info("saga-reading-succeeded", "Open sagas could be read, at attempt %d.",
                 manager->load_tries + 1);
    manager->load_tries = 0;
    manager->load_at_ns = 0;
}

static void load_or_retry(struct saga_manager *manager)
{
    struct fh_error error;
    if (load_open(manager, &error) == FH_OK)
        load_succeeded(manager);
    else
        load_failed(manager, &error);
}

void saga_manager_reread(struct saga_manager *manager)
{
    manager->crowded = manager->reread = true;
}

/* Where it is in the store is known to follow what was read, or it is not. */
bool saga_manager_waits(struct saga_manager *manager, const char *birth, int64_t number)
{
    if (!manager->crowded && space_left(manager))
        return false;
    int order = strcmp(birth, manager->read_birth);
    bool follows = order > 0 || (order == 0 && number > manager->read_number);
    if (!number)
        manager->late_looks = SAGA_LATE_LOOKS; /* it has no row yet */
    else if (!follows)
        manager->reread = true;
    manager->crowded = manager->unread = true;
    saga_manager_refill(manager);
    return true;
}

static void run_refill(void *argument)
{
    struct saga_manager *manager = argument;
    load_or_retry(manager);
    manager->refilling = false;
    saga_manager_fiber_ended(manager);
}

void saga_manager_refill(struct saga_manager *manager)
{
    int page = manager->loaded_max < 2 * LOAD_SLICE ? manager->loaded_max / 2 : LOAD_SLICE;
    bool space = manager->crowded && space_left(manager) > page;
    bool paused = manager->load_at_ns > world_monotonic_ns(manager->context->world);
    if (space && !paused && !manager->refilling && !manager->stopping && !manager->away)
        manager->refilling = fiber_start(manager->context->world->fibers, run_refill, manager);
}

void saga_manager_remove(struct saga_manager *manager, struct saga_run *run)
{
    if (map_get(&manager->runs, run->reference) != run)
        return;
    map_remove(&manager->runs, run->reference);
    if (manager->reading)
        map_put(&manager->removed, run->reference, manager);
    run->gone = true;
    world_timer_stop(manager->context->world, &run->timer);
    fiber_wake_all(&run->waiting);
    saga_run_release(run);
    saga_manager_refill(manager);
}
