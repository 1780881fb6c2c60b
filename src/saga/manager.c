/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The room: which sagas are in memory, and who waits for them.
 *
 * Every saga that has not ended is in the store. In memory are those that can be carried on, up to
 * SAGAS_LOADED_MAX; when there are more, the room is crowded, and takes the rest in order of their
 * numbers as places get free. Parked ones stay in the store alone until a person says retry.
 * After a crash everything open is loaded again: elements that may have been sent are asked again.
 */

#include "saga/manager.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"

#define LOAD_SLICE 500 /* rows looked at in one snapshot */

struct saga_target *saga_room_target(struct saga_room *room, const char *name)
{
    struct saga_target *target = map_get(&room->targets, name);
    if (target)
        return target;
    target = calloc(1, sizeof *target);
    FH_ASSERT(target != NULL);
    target->name = strdup(name);
    FH_ASSERT(target->name != NULL);
    map_put(&room->targets, name, target);
    return target;
}

int64_t *saga_room_count(struct saga_room *room, enum saga_status status)
{
    struct ledger_counts *counts = &room->counts;
    switch (status) {
    case SAGA_RUNNING:
        return &counts->running;
    case SAGA_COMPENSATING:
        return &counts->compensating;
    case SAGA_ENDED:
        return &counts->ended;
    case SAGA_UNDONE:
        return &counts->undone;
    case SAGA_ABANDONED:
        return &counts->abandoned;
    case SAGA_PARKED:
        break;
    }
    return &counts->parked;
}

void saga_counts(const struct saga_room *room, struct ledger_counts *ret)
{
    *ret = room->counts;
}

void saga_counts_read(struct saga_room *room, struct ledger_counts *ret)
{
    struct store_work *work;
    if (room->context->leases &&
        store_begin(room->context->store, STORE_READ_COMMITTED, &work, NULL) == FH_OK) {
        if (ledger_saga_counts(work, ret, NULL) == FH_OK)
            room->counts = *ret;
        store_rollback(work);
    }
    *ret = room->counts;
}

/* ---- Runs ------------------------------------------------------------------------------------ */

struct saga_run *saga_run_new(struct saga_room *room, const struct saga_type *type,
                              const char *birth, int64_t number, const json_t *input,
                              const int *counts)
{
    size_t elements = 0;
    for (int i = 0; i < type->rules.step_count; i++)
        elements += (size_t)counts[i];
    struct saga_run *run = calloc(1, sizeof *run);
    FH_ASSERT(run != NULL);
    /* The stored state's elements, and two sets for states to come. */
    struct saga_element *all = calloc(3 * elements + 1, sizeof *all);
    run->parts = calloc(elements + 1, sizeof *run->parts);
    FH_ASSERT(all && run->parts);
    run->scratch = all + elements;
    run->room = room;
    run->type = type;
    run->number = number;
    run->epoch = 1;
    run->references = 1;
    run->input = json_copy_out(input);
    snprintf(run->birth, sizeof run->birth, "%s", birth);
    snprintf(run->reference, sizeof run->reference, "%s.%lld", birth, (long long)number);
    saga_state_init(&type->rules, counts, &run->state, all);
    return run;
}

void saga_run_release(struct saga_run *run)
{
    if (--run->references > 0)
        return;
    FH_ASSERT(!run->queued && !run->busy);
    int elements = run->state.first[run->type->rules.step_count];
    for (int i = 0; i < elements; i++) {
        free(run->parts[i].path);
        free(run->parts[i].undo_path);
        free(run->parts[i].body);
        free(run->parts[i].answer);
    }
    while (run->heard_first) {
        struct saga_heard *heard = run->heard_first;
        run->heard_first = heard->next;
        free(heard->answer);
        free(heard);
    }
    struct arena *before = json_arena_set(NULL);
    json_decref(run->input);
    json_arena_set(before);
    free(run->trace);
    free(run->parts);
    free(run->state.elements);
    free(run);
}

void saga_room_read_begin(struct saga_room *room)
{
    if (room->reading++ == 0)
        map_init(&room->removed);
}

void saga_room_read_end(struct saga_room *room)
{
    if (--room->reading > 0)
        return;
    map_release(&room->removed);
    room->read_by_former = false;
}

bool saga_room_add(struct saga_room *room, struct saga_run *run)
{
    bool left = room->reading && map_get(&room->removed, run->reference);
    bool former = room->away || room->read_by_former;
    room->reload = room->reload || former;
    if (former || left || map_get(&room->runs, run->reference)) {
        saga_run_release(run);
        return false;
    }
    map_put(&room->runs, run->reference, run);
    return true;
}

static void start_refill(struct saga_room *room);

void saga_room_begin(struct saga_room *room, struct saga_run *run)
{
    if (!saga_room_add(room, run))
        return;
    if (saga_due(&run->type->rules, &run->state) == SAGA_DUE_ASK)
        saga_run_go_on(run);
    else
        saga_run_queue(run);
}

void saga_room_remove(struct saga_room *room, struct saga_run *run)
{
    if (map_get(&room->runs, run->reference) != run)
        return;
    map_remove(&room->runs, run->reference);
    if (room->reading)
        map_put(&room->removed, run->reference, room);
    run->gone = true;
    world_timer_stop(room->context->world, &run->timer);
    fiber_wake_all(&run->waiting);
    saga_run_release(run);
    saga_room_refill(room);
}

void saga_room_refill(struct saga_room *room)
{
    if (room->crowded && room->runs.count < SAGAS_LOADED_MAX / 2)
        start_refill(room);
}

/* ---- Loading --------------------------------------------------------------------------------- */

struct loading {
    struct saga_room *room;
    struct arena arena;
    struct ledger_saga rows[LOAD_SLICE];
    int count;
    char birth[ID_SIZE]; /* behind this one */
    int64_t number;
    int seen; /* with those that are in memory, and parked ones */
    char seen_birth[ID_SIZE];
    int64_t seen_number;
};

static bool take_row(void *context, const struct ledger_saga *row)
{
    struct loading *loading = context;
    char reference[ID_SIZE + 24];
    loading->seen++; /* also what is passed over */
    snprintf(loading->seen_birth, sizeof loading->seen_birth, "%s", row->birth);
    loading->seen_number = row->number;
    snprintf(reference, sizeof reference, "%s.%lld", row->birth, (long long)row->number);
    if (saga_status_of(row->status) == SAGA_PARKED || map_get(&loading->room->runs, reference))
        return true;
    struct ledger_saga *copy = &loading->rows[loading->count++];
    *copy = *row;
    copy->birth = arena_text(&loading->arena, row->birth);
    copy->name = arena_text(&loading->arena, row->name);
    copy->input = arena_text(&loading->arena, row->input);
    copy->state = arena_text(&loading->arena, row->state);
    copy->status = arena_text(&loading->arena, row->status);
    return loading->count < LOAD_SLICE;
}

/* A saga that can't be carried on as this program declares it: for a person. */
static void park_row(struct saga_room *room, const struct ledger_saga *row, const char *why)
{
    struct fh_error error;
    json_t *state = NULL;
    struct store_work *work;
    log_warning("saga %s %s.%lld is parked: %s", row->name, row->birth, (long long)row->number,
                why);
    if (json_parse(row->state, strlen(row->state), &state, &error) != FH_OK)
        state = json_object();
    json_object_set_new(state, "why", json_string(why));
    char *text = json_text(state);
    struct ledger_saga parked = *row;
    parked.state = text;
    parked.status = saga_status_name(SAGA_PARKED);
    parked.updated_ms = world_wall_ms(room->context->world);
    enum fh_code code = store_begin(room->context->store, STORE_WRITE, &work, &error);
    if (!code) {
        code = ledger_saga_update(work, &parked, &error);
        if (code)
            store_rollback(work);
        else
            code = store_commit(work, &error);
    }
    if (!code) {
        --*saga_room_count(room, (enum saga_status)saga_status_of(row->status));
        ++room->counts.parked;
    } else {
        room->late_looks = SAGA_LATE_LOOKS;
        log_warning("That it is parked could not be stored, and will be tried again: %s",
                    error.message);
    }
    json_text_free(text);
    json_decref(state);
}

/* What became of a row: loaded, or why not. */
static enum fh_code load_rows(struct loading *loading, struct store_work *work,
                              struct fh_error *error, enum fh_code fates[static LOAD_SLICE],
                              struct fh_error *whys)
{
    struct saga_room *room = loading->room;
    for (int i = 0; i < loading->count; i++) {
        const struct ledger_saga *row = &loading->rows[i];
        struct saga_run *run;
        if (room->runs.count >= SAGAS_LOADED_MAX) {
            room->crowded = true;
            loading->count = i;
            return FH_OK;
        }
        fates[i] = saga_record_load(room, work, row, &run, &whys[i]);
        if (fates[i] && fates[i] != FH_INVALID && fates[i] != FH_UNSUPPORTED) {
            *error = whys[i];
            return fates[i];
        }
        if (!fates[i] && saga_room_add(room, run))
            saga_run_queue(run);
    }
    return FH_OK;
}

/* One slice; *ret_more tells whether there may be another. */
static enum fh_code load_slice(struct loading *loading, bool *ret_more, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code fates[LOAD_SLICE] = {FH_OK};
    struct fh_error *whys = calloc(LOAD_SLICE, sizeof *whys);
    FH_ASSERT(whys != NULL);
    loading->count = loading->seen = 0;
    struct ledger_open open = {.owner = saga_takeover_owner(loading->room),
                               .birth = loading->birth,
                               .number = loading->number,
                               .limit = LOAD_SLICE};
    enum fh_code code = store_begin(loading->room->context->store, STORE_READ, &work, error);
    if (!code) {
        code = ledger_sagas_open(work, &open, take_row, loading, error);
        if (!code)
            code = load_rows(loading, work, error, fates, whys);
        store_rollback(work);
    }
    *ret_more = !code && loading->seen >= LOAD_SLICE && !loading->room->crowded;
    for (int i = 0; !code && i < loading->count; i++)
        if (fates[i] &&
            !(fates[i] == FH_UNSUPPORTED && saga_takeover_leave(loading->room, &loading->rows[i])))
            park_row(loading->room, &loading->rows[i], whys[i].message);
    memcpy(loading->birth, loading->seen_birth, ID_SIZE);
    loading->number = loading->seen_number;
    free(whys);
    return code;
}

/* Everything open that is not in memory yet, as far as there is room. */
enum fh_code saga_room_load(struct saga_room *room, struct fh_error *error)
{
    struct loading *loading = calloc(1, sizeof *loading);
    FH_ASSERT(loading != NULL);
    loading->room = room;
    room->crowded = false;
    room->strangers = 0;
    bool more = true;
    enum fh_code code = FH_OK;
    saga_room_read_begin(room);
    while (more && !code && !room->stopping) {
        arena_init(&loading->arena, ARENA_SIZE_MAX);
        code = load_slice(loading, &more, error);
        arena_release(&loading->arena);
    }
    saga_room_read_end(room);
    free(loading);
    return code;
}

static void refill(void *argument)
{
    struct saga_room *room = argument;
    struct fh_error error;
    if (saga_room_load(room, &error) != FH_OK) {
        room->crowded = true;
        log_warning("Open sagas could not be read; they will be read later: %s", error.message);
    }
    room->refilling = false;
    saga_room_fiber_ended(room);
}

static void start_refill(struct saga_room *room)
{
    if (!room->refilling && !room->stopping && !room->away)
        room->refilling = fiber_start(room->context->world->fibers, refill, room);
}

/* ---- Beginning and end ----------------------------------------------------------------------- */

enum fh_code saga_room_new(struct work_context *context, struct saga_room **ret,
                           struct fh_error *error)
{
    struct saga_room *room = calloc(1, sizeof *room);
    FH_ASSERT(room != NULL);
    room->context = context;
    map_init(&room->targets);
    map_init(&room->closings);
    map_init(&room->runs);
    const struct fh_service *service = context->service;
    enum fh_code code = FH_OK;
    for (int i = 0; i < SAGA_TYPES_MAX && service->sagas[i].name && !code; i++)
        code = saga_type_init(&room->types[room->type_count++], &service->sagas[i], error);
    if (!code)
        code = saga_types_check(room->types, room->type_count, error);
    if (code) {
        saga_room_free(room);
        return code;
    }
    *ret = room;
    return FH_OK;
}

enum fh_code saga_room_start(struct saga_room *room, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(room->context->store, STORE_READ, &work, error);
    if (code)
        return code;
    code = ledger_saga_counts(work, &room->counts, error);
    if (!code)
        code = saga_restored_recover(room, work, error);
    if (!code && !room->context->leases)
        code = saga_closing_recover(room, work, error);
    store_rollback(work);
    room->listener = (struct store_listener){.heard = saga_room_heard, .context = room};
    store_listen(room->context->store, &room->listener);
    if (!code && room->context->leases)
        saga_takeover_start(room);
    if (!code)
        code = saga_room_load(room, error);
    if (!code)
        saga_restored_start(room);
    if (!code)
        saga_look_start(room);
    return code;
}

void saga_room_fiber_ended(struct saga_room *room)
{
    if (room->stopping)
        fiber_wake_all(&room->stopped);
}

void saga_room_stop(struct saga_room *room)
{
    room->stopping = true;
    store_unlisten(room->context->store, &room->listener);
    fiber_wake_all(&room->closable);
    fiber_wake_all(&room->mendable);
    fiber_wake_all(&room->lookable);
    saga_takeover_stop(room);
    while (room->looks || room->fibers > 0 || room->closing_fiber || room->refilling ||
           room->looking || room->adopting || room->mending)
        fiber_wait(&room->stopped);
    while (room->queue_first) {
        struct saga_run *run = room->queue_first;
        room->queue_first = run->next;
        run->queued = false;
        saga_run_release(run);
    }
    room->queue_last = NULL;
    struct map_entry *entry = NULL;
    const char *reference;
    void *value;
    while (map_next(&room->runs, &entry, &reference, &value)) {
        struct saga_run *run = value;
        world_timer_stop(room->context->world, &run->timer);
        fiber_wake_all(&run->waiting);
    }
}

void saga_room_free(struct saga_room *room)
{
    if (!room)
        return;
    struct map_entry *entry = NULL;
    const char *name;
    void *value;
    while (map_next(&room->runs, &entry, &name, &value))
        saga_run_release(value);
    map_release(&room->runs);
    saga_unnumbered_free(room);
    saga_closing_free(room);
    entry = NULL;
    while (map_next(&room->targets, &entry, &name, &value)) {
        struct saga_target *target = value;
        free(target->name);
        free(target->lives);
        free(target);
    }
    map_release(&room->targets);
    for (int i = 0; i < room->type_count; i++)
        saga_type_release(&room->types[i]);
    free(room);
}
