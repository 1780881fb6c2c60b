/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manager's start and stop, and its counts. After a crash everything that is open in the store
 * is loaded again, beside what is served then, and elements that may have been sent are asked
 * again.
 */

#include "saga/manager.h"

#include <stdlib.h>

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

/* ---- Start and stop ---- */

enum fh_code saga_manager_new(struct work_context *context, struct saga_manager **ret,
                              struct fh_error *error)
{
    struct saga_manager *manager = calloc(1, sizeof *manager);
    FH_ASSERT(manager != NULL);
    manager->context = context;
    manager->process = saga_run_process;
    manager->loaded_max = SAGAS_LOADED_MAX;
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
    if (code)
        return code;
    manager->crowded = true;
    saga_manager_refill(manager);
    saga_restored_start(manager);
    saga_look_start(manager);
    if (!manager->looks || !manager->refilling)
        return error_set(error, FH_NO_MEMORY, "No memory for a fiber.");
    return FH_OK;
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
    saga_manager_drop_queue(manager);
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
