/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The toy: an embedded engine for the tests, all in the memory of the process. What a folder's
 * store holds stays on its shelf when the store is closed, until the process ends.
 */

#include "internal.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/map.h"

static struct map shelves; /* by folder */

static struct toy_store *toy_of(struct store *store)
{
    return (struct toy_store *)store;
}

static struct toy_work *work_of(struct store_work *work)
{
    return (struct toy_work *)work;
}

/* ---- Opening ---- */

static struct toy_shelf *shelf_new(void)
{
    struct toy_shelf *shelf = calloc(1, sizeof *shelf);
    struct arena *arena = json_arena_set(NULL);
    if (shelf)
        shelf->state = json_object();
    json_arena_set(arena);
    if (shelf && !shelf->state) {
        free(shelf);
        return NULL;
    }
    return shelf;
}

static struct toy_shelf *shelf_of(const char *folder)
{
    if (!shelves.count)
        map_init(&shelves);
    struct toy_shelf *shelf = map_get(&shelves, folder);
    if (!shelf && (shelf = shelf_new()))
        map_put(&shelves, folder, shelf);
    return shelf;
}

static enum fh_code open(const struct store_options *options, struct world *world,
                         struct store **ret, struct fh_error *error)
{
    struct toy_store *store = calloc(1, sizeof *store);
    if (!store)
        return error_set(error, FH_NO_MEMORY, "There is no memory for a store.");
    store_init(&store->store, &engine_toy, options, world);
    store->shelf = shelf_of(options->folder);
    enum fh_code code = store->shelf
                            ? store_provision(&store->store, STORE_WRITE_EXCLUSIVE, error)
                            : error_set(error, FH_NO_MEMORY, "There is no memory for a store.");
    if (code == FH_OK)
        *ret = &store->store;
    else
        store_close(&store->store);
    return code;
}

static void close(struct store *store)
{
    free(toy_of(store));
}

/* ---- Units of work ---- */

/* A writer has the shelf to itself; the next one has it as soon as it is woken. */
static void take_turn(struct toy_shelf *shelf)
{
    if (shelf->busy)
        fiber_wait(&shelf->waiting);
    shelf->busy = true;
}

static void end_turn(struct toy_shelf *shelf)
{
    if (shelf->waiting.first)
        fiber_wake_one(&shelf->waiting);
    else
        shelf->busy = false;
}

static enum fh_code begin(struct store *store, enum store_mode mode, struct store_work **ret,
                          struct fh_error *error)
{
    struct toy_shelf *shelf = toy_of(store)->shelf;
    struct toy_work *work = calloc(1, sizeof *work);
    if (!work)
        return error_set(error, FH_NO_MEMORY, "There is no memory for a work.");
    if (store_writes(mode))
        take_turn(shelf);
    work->work.store = store;
    work->work.mode = mode;
    work->before = json_incref(shelf->state);
    work->state = json_incref(shelf->state);
    *ret = &work->work;
    return FH_OK;
}

static void end(struct store_work *work)
{
    struct toy_work *toy = work_of(work);
    if (store_writes(work->mode))
        end_turn(toy_of(work->store)->shelf);
    json_decref(toy->clearings);
    json_decref(toy->state);
    json_decref(toy->before);
    free(toy);
}

struct clearing {
    const json_t *before; /* the table as it was */
    const char *within;
};

static bool is_cleared(void *context, const char *id, const json_t *value)
{
    const struct clearing *clearing = context;
    return toy_is_within(id, clearing->within) && json_object_get(clearing->before, id) == value;
}

static enum fh_code clear(struct store_work *work, struct fh_error *error)
{
    struct toy_work *toy = work_of(work);
    enum fh_code code = FH_OK;
    size_t index;
    json_t *place;
    json_array_foreach (toy->clearings, index, place) {
        const char *table = json_string_value(json_array_get(place, 0));
        struct clearing clearing = {json_object_get(toy->before, table),
                                    json_string_value(json_array_get(place, 1))};
        if (code == FH_OK)
            code = toy_remove(work, table, is_cleared, &clearing, error);
    }
    return code;
}

static enum fh_code commit(struct store_work *work, struct fh_error *error)
{
    struct toy_work *toy = work_of(work);
    struct toy_store *store = toy_of(work->store);
    enum fh_code code = clear(work, error);
    if (code == FH_OK && toy->state != toy->before) {
        json_decref(store->shelf->state);
        store->shelf->state = json_incref(toy->state);
    }
    end(work);
    return code;
}

static const struct store_ops store_ops = {
    .open = open,
    .close = close,
    .begin = begin,
    .commit = commit,
    .rollback = end,
};

const struct engine engine_toy = {
    .name = "toy",
    .title = "Toy",
    .models = 1u << FH_DOCUMENT,
    .store = &store_ops,
    .ledger = &toy_ledger,
    .documents = &toy_documents,
    .copied_ledger = &toy_copied_ledger,
    .copied_documents = &toy_copied_documents,
};
