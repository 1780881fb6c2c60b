/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Storing transitions. On engines where each commit costs a round trip and a sync of its own, the
 * transitions of many sagas go into one transaction: while one is in progress the next ones gather,
 * and a fiber that finds none in progress takes those that wait.
 *
 * The members do not depend on each other: each changes only rows of its own saga, and only while
 * its epoch is this instance's. So they can share a transaction that is not serializable. If it
 * fails, nothing of it is done, and each is stored again separately: only the one at fault fails.
 *
 *   killed before the commit   none of them has moved; what had arrived is asked for again
 *   killed after it            all of them have; what is due in their new states is sent
 */

#include "base/crash.h"
#include "saga/manager.h"

#define STORE_GROUP_MAX 32

/* On the stack of the fiber that waits for it. */
struct saga_storing {
    struct saga_run *run;
    const struct saga_state *next;
    struct saga_storing *following;
    bool told;
    bool by_itself; /* it failed in a group: store it separately */
    enum fh_code code;
    struct fh_error error;
};

static enum fh_code put_all(struct store_work *work, const struct saga_storing *first,
                            struct fh_error *error)
{
    struct arena arena;
    enum fh_code code = FH_OK;
    arena_init(&arena, ARENA_SIZE_MAX);
    for (const struct saga_storing *each = first; each && code == FH_OK; each = each->following)
        code = saga_record_put(work, each->run, each->next, &arena, error);
    arena_release(&arena);
    return code;
}

static enum fh_code store_all(struct store *store, const struct saga_storing *first,
                              enum store_mode mode, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, mode, &work, error);
    if (code != FH_OK)
        return code;
    code = put_all(work, first, error);
    if (code != FH_OK) {
        store_rollback(work);
        return code;
    }
    CRASH_POINT("saga.recorded");
    code = store_commit(work, error);
    CRASH_POINT("saga.durable");
    return code;
}

/* Takes the first ones that wait. */
static struct saga_storing *take_storing(struct saga_manager *manager)
{
    struct saga_storing *first = manager->storing_first, *last = first;
    for (int i = 1; i < STORE_GROUP_MAX && last->following; i++)
        last = last->following;
    manager->storing_first = last->following;
    if (!last->following)
        manager->storing_last = NULL;
    last->following = NULL;
    return first;
}

static void store_taken(struct saga_manager *manager)
{
    struct fh_error error = {0};
    struct saga_storing *first = take_storing(manager);
    bool many = first->following;
    enum fh_code code = store_all(manager->context->store, first, STORE_WRITE_GUARDED, &error);
    for (struct saga_storing *each = first, *next; each; each = next) {
        next = each->following; /* the fiber that owns `each` may go on */
        each->by_itself = many && code != FH_OK;
        each->code = code;
        each->error = error;
        each->told = true;
    }
}

static void store_grouped(struct saga_manager *manager, struct saga_storing *own)
{
    if (manager->storing_last)
        manager->storing_last->following = own;
    else
        manager->storing_first = own;
    manager->storing_last = own;
    while (!own->told) {
        if (manager->storing) {
            fiber_wait(&manager->stored);
            continue;
        }
        manager->storing = true;
        store_taken(manager);
        manager->storing = false;
        fiber_wake_all(&manager->stored);
    }
}

enum fh_code saga_store(struct saga_run *run, const struct saga_state *next, bool exclusive,
                        struct fh_error *error)
{
    struct saga_manager *manager = run->manager;
    struct store *store = manager->context->store;
    struct saga_storing own = {.run = run, .next = next};
    enum store_mode mode = exclusive ? STORE_WRITE_EXCLUSIVE : STORE_WRITE_GUARDED;
    if (exclusive || !engine_can(store->engine, ENGINE_GUARDED))
        return store_all(store, &own, mode, error);
    store_grouped(manager, &own);
    own.following = NULL;
    if (own.by_itself)
        return store_all(store, &own, mode, error);
    *error = own.error;
    return own.code;
}
