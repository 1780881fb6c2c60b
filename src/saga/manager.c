/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manager: which sagas are in memory, and who waits for them.
 *
 * Every saga that has not ended is in the store. Those that can be carried on are in memory, up to
 * SAGAS_LOADED_MAX; if there are more, the manager is crowded and loads the rest in order of their
 * numbers as space becomes free. Parked ones stay in the store alone until an operator acts on
 * them. After a crash everything open is loaded again: elements that may have been sent are asked
 * again.
 */

#include "saga/manager.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"

#define LOAD_SLICE 500 /* rows read in one snapshot */

struct saga_target *saga_manager_target(struct saga_manager *manager, const char *name)
{
    struct saga_target *target = map_get(&manager->targets, name);
    if (target)
        return target;
    target = calloc(1, sizeof *target);
    FH_ASSERT(target != NULL);
    target->name = strdup(name);
    FH_ASSERT(target->name != NULL);
    map_put(&manager->targets, name, target);
    return target;
}

int64_t *saga_manager_count(struct saga_manager *manager, enum saga_status status)
{
    struct ledger_counts *counts = &manager->counts;
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

void saga_counts(const struct saga_manager *manager, struct ledger_counts *ret)
{
    *ret = manager->counts;
}

void saga_counts_read(struct saga_manager *manager, struct ledger_counts *ret)
{
    struct store_work *work;
    if (manager->context->leases && store_begin(manager->context->store, STORE_READ_COMMITTED,
                                                &work, ERROR_UNHEEDED) == FH_OK) {
        if (ledger_saga_counts(work, ret, ERROR_UNHEEDED) == FH_OK)
            manager->counts = *ret;
        store_rollback(work);
    }
    *ret = manager->counts;
}

/* ---- Runs ------------------------------------------------------------------------------------ */

struct saga_run *saga_run_new(struct saga_manager *manager, const struct saga_type *type,
                              const char *birth, int64_t number, const json_t *input,
                              const int *counts)
{
    size_t elements = 0;
    for (int i = 0; i < type->rules.step_count; i++)
        elements += (size_t)counts[i];
    struct saga_run *run = calloc(1, sizeof *run);
    FH_ASSERT(run != NULL);
    /* The stored state's elements, and two sets for later states. */
    struct saga_element *all = calloc(3 * elements + 1, sizeof *all);
    run->parts = calloc(elements + 1, sizeof *run->parts);
    FH_ASSERT(all && run->parts);
    run->scratch = all + elements;
    run->manager = manager;
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

void saga_manager_read_begin(struct saga_manager *manager)
{
    if (manager->reading++ == 0)
        map_init(&manager->removed);
}

void saga_manager_read_end(struct saga_manager *manager)
{
    if (--manager->reading > 0)
        return;
    map_release(&manager->removed);
    manager->read_by_former = false;
}

bool saga_manager_add(struct saga_manager *manager, struct saga_run *run)
{
    bool left = manager->reading && map_get(&manager->removed, run->reference);
    bool former = manager->away || manager->read_by_former;
    manager->reload = manager->reload || former;
    if (former || left || map_get(&manager->runs, run->reference)) {
        saga_run_release(run);
        return false;
    }
    map_put(&manager->runs, run->reference, run);
    return true;
}

static void start_refill(struct saga_manager *manager);

void saga_manager_begin(struct saga_manager *manager, struct saga_run *run)
{
    if (!saga_manager_add(manager, run))
        return;
    if (saga_due(&run->type->rules, &run->state) == SAGA_DUE_ASK)
        saga_run_go_on(run);
    else
        saga_run_queue(run);
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

void saga_manager_refill(struct saga_manager *manager)
{
    if (manager->crowded && manager->runs.count < SAGAS_LOADED_MAX / 2)
        start_refill(manager);
}

/* ---- Loading --------------------------------------------------------------------------------- */

struct loading {
    struct saga_manager *manager;
    struct arena arena;
    struct ledger_saga rows[LOAD_SLICE];
    int count;
    char birth[ID_SIZE]; /* after this one */
    int64_t number;
    int seen; /* including those in memory, and parked ones */
    char seen_birth[ID_SIZE];
    int64_t seen_number;
};

static bool take_row(void *context, const struct ledger_saga *row)
{
    struct loading *loading = context;
    char reference[ID_SIZE + 24];
    loading->seen++; /* even a row that is skipped */
    snprintf(loading->seen_birth, sizeof loading->seen_birth, "%s", row->birth);
    loading->seen_number = row->number;
    snprintf(reference, sizeof reference, "%s.%lld", row->birth, (long long)row->number);
    if (saga_status_of(row->status) == SAGA_PARKED || map_get(&loading->manager->runs, reference))
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

/* Parks a saga that can't be carried on as this program declares it: it needs an operator. */
static void park_row(struct saga_manager *manager, const struct ledger_saga *row, const char *why)
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
        --*saga_manager_count(manager, (enum saga_status)saga_status_of(row->status));
        ++manager->counts.parked;
    } else {
        manager->late_looks = SAGA_LATE_LOOKS;
        log_warning("That it is parked could not be stored, and will be tried again: %s",
                    error.message);
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
        if (manager->runs.count >= SAGAS_LOADED_MAX) {
            manager->crowded = true;
            loading->count = i;
            return FH_OK;
        }
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

/* Loads one slice; *ret_more: there may be another. */
static enum fh_code load_slice(struct loading *loading, bool *ret_more, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code fates[LOAD_SLICE] = {FH_OK};
    struct fh_error *whys = calloc(LOAD_SLICE, sizeof *whys);
    FH_ASSERT(whys != NULL);
    loading->count = loading->seen = 0;
    struct ledger_open open = {.owner = saga_takeover_owner(loading->manager),
                               .birth = loading->birth,
                               .number = loading->number,
                               .limit = LOAD_SLICE};
    enum fh_code code = store_begin(loading->manager->context->store, STORE_READ, &work, error);
    if (!code) {
        code = ledger_sagas_open(work, &open, take_row, loading, error);
        if (!code)
            code = load_rows(loading, work, error, fates, whys);
        store_rollback(work);
    }
    *ret_more = !code && loading->seen >= LOAD_SLICE && !loading->manager->crowded;
    for (int i = 0; !code && i < loading->count; i++)
        if (fates[i] && !(fates[i] == FH_UNSUPPORTED &&
                          saga_takeover_leave(loading->manager, &loading->rows[i])))
            park_row(loading->manager, &loading->rows[i], whys[i].message);
    memcpy(loading->birth, loading->seen_birth, ID_SIZE);
    loading->number = loading->seen_number;
    free(whys);
    return code;
}

/* Loads everything open that is not in memory yet, as long as there is space. */
enum fh_code saga_manager_load(struct saga_manager *manager, struct fh_error *error)
{
    struct loading *loading = calloc(1, sizeof *loading);
    FH_ASSERT(loading != NULL);
    loading->manager = manager;
    manager->crowded = false;
    manager->strangers = 0;
    bool more = true;
    enum fh_code code = FH_OK;
    saga_manager_read_begin(manager);
    while (more && !code && !manager->stopping) {
        arena_init(&loading->arena, ARENA_SIZE_MAX);
        code = load_slice(loading, &more, error);
        arena_release(&loading->arena);
    }
    saga_manager_read_end(manager);
    free(loading);
    return code;
}

static void refill(void *argument)
{
    struct saga_manager *manager = argument;
    struct fh_error error;
    if (saga_manager_load(manager, &error) != FH_OK) {
        manager->crowded = true;
        log_warning("Open sagas could not be read; they will be read later: %s", error.message);
    }
    manager->refilling = false;
    saga_manager_fiber_ended(manager);
}

static void start_refill(struct saga_manager *manager)
{
    if (!manager->refilling && !manager->stopping && !manager->away)
        manager->refilling = fiber_start(manager->context->world->fibers, refill, manager);
}

/* ---- Start and stop -------------------------------------------------------------------------- */

enum fh_code saga_manager_new(struct work_context *context, struct saga_manager **ret,
                              struct fh_error *error)
{
    struct saga_manager *manager = calloc(1, sizeof *manager);
    FH_ASSERT(manager != NULL);
    manager->context = context;
    map_init(&manager->targets);
    map_init(&manager->closings);
    map_init(&manager->runs);
    const struct fh_service *service = context->service;
    enum fh_code code = FH_OK;
    for (int i = 0; i < SAGA_TYPES_MAX && service->sagas[i].name && !code; i++)
        code = saga_type_init(&manager->types[manager->type_count++], &service->sagas[i], error);
    if (!code)
        code = saga_types_check(manager->types, manager->type_count, error);
    if (code) {
        saga_manager_free(manager);
        return code;
    }
    *ret = manager;
    return FH_OK;
}

enum fh_code saga_manager_start(struct saga_manager *manager, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(manager->context->store, STORE_READ, &work, error);
    if (code)
        return code;
    code = ledger_saga_counts(work, &manager->counts, error);
    if (!code)
        code = saga_restored_recover(manager, work, error);
    if (!code && !manager->context->leases)
        code = saga_closing_recover(manager, work, error);
    store_rollback(work);
    manager->listener = (struct store_listener){.heard = saga_manager_heard, .context = manager};
    store_listen(manager->context->store, &manager->listener);
    if (!code && manager->context->leases)
        saga_takeover_start(manager);
    if (!code)
        code = saga_manager_load(manager, error);
    if (!code)
        saga_restored_start(manager);
    if (!code)
        saga_look_start(manager);
    return code;
}

void saga_manager_fiber_ended(struct saga_manager *manager)
{
    if (manager->stopping)
        fiber_wake_all(&manager->stopped);
}

void saga_manager_stop(struct saga_manager *manager)
{
    manager->stopping = true;
    store_unlisten(manager->context->store, &manager->listener);
    fiber_wake_all(&manager->closable);
    fiber_wake_all(&manager->mendable);
    fiber_wake_all(&manager->lookable);
    saga_takeover_stop(manager);
    while (manager->looks || manager->fibers > 0 || manager->closing_fiber || manager->refilling ||
           manager->looking || manager->adopting || manager->mending)
        fiber_wait(&manager->stopped);
    while (manager->queue_first) {
        struct saga_run *run = manager->queue_first;
        manager->queue_first = run->next;
        run->queued = false;
        saga_run_release(run);
    }
    manager->queue_last = NULL;
    struct map_entry *entry = NULL;
    const char *reference;
    void *value;
    while (map_next(&manager->runs, &entry, &reference, &value)) {
        struct saga_run *run = value;
        world_timer_stop(manager->context->world, &run->timer);
        fiber_wake_all(&run->waiting);
    }
}

void saga_manager_free(struct saga_manager *manager)
{
    if (!manager)
        return;
    struct map_entry *entry = NULL;
    const char *name;
    void *value;
    while (map_next(&manager->runs, &entry, &name, &value))
        saga_run_release(value);
    map_release(&manager->runs);
    saga_unnumbered_free(manager);
    saga_closing_free(manager);
    entry = NULL;
    while (map_next(&manager->targets, &entry, &name, &value)) {
        struct saga_target *target = value;
        free(target->name);
        free(target->lives);
        free(target);
    }
    map_release(&manager->targets);
    for (int i = 0; i < manager->type_count; i++)
        saga_type_release(&manager->types[i]);
    free(manager);
}
