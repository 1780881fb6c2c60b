/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The toy: an embedded engine for the tests, all in the memory of the process. What a folder's
 * store holds stays on its shelf when the store is closed, until the process ends; a store of
 * another name than its own ("backup") is a file, read when it is opened and written by each
 * commit.
 */

#include "internal.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/map.h"
#include "base/text.h"

static struct map shelves; /* by folder */

static struct toy_store *toy_of(struct store *store)
{
    return (struct toy_store *)store;
}

static struct toy_work *work_of(struct store_work *work)
{
    return (struct toy_work *)work;
}

/* ---- Opening --------------------------------------------------------------------------------- */

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

static enum fh_code find_shelf(struct toy_store *store, const struct store_options *options,
                               struct fh_error *error)
{
    if (!options->name) {
        store->shelf = shelf_of(options->folder);
        return store->shelf ? FH_OK
                            : error_set(error, FH_NO_MEMORY, "There is no memory for a store.");
    }
    struct text path;
    text_init(&path, TEXT_LENGTH_MAX);
    text_printf(&path, "%s/%s.db", options->folder, options->name);
    store->path = text_take(&path);
    store->shelf = shelf_new();
    if (!store->shelf)
        return error_set(error, FH_NO_MEMORY, "There is no memory for a store.");
    json_t *state;
    enum fh_code code = toy_file_read(store->store.world, store->path, &state, error);
    if (code == FH_NOT_FOUND)
        return FH_OK;
    if (code == FH_OK) {
        json_decref(store->shelf->state);
        store->shelf->state = state;
    }
    return code;
}

static enum fh_code prepare(struct store *store, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_WRITE_ALONE, &work, error);
    if (code != FH_OK)
        return code;
    code = ledger_prepare(work, store->incarnation, error);
    if (code == FH_OK)
        return store_commit(work, error);
    store_rollback(work);
    return code;
}

static enum fh_code open(const struct store_options *options, struct world *world,
                         struct store **ret, struct fh_error *error)
{
    struct toy_store *store = calloc(1, sizeof *store);
    if (!store)
        return error_set(error, FH_NO_MEMORY, "There is no memory for a store.");
    store_init(&store->store, &engine_toy, options, world);
    enum fh_code code = find_shelf(store, options, error);
    if (code == FH_OK)
        code = prepare(&store->store, error);
    if (code == FH_OK)
        *ret = &store->store;
    else
        store_close(&store->store);
    return code;
}

static void close(struct store *store)
{
    struct toy_store *toy = toy_of(store);
    if (toy->path && toy->shelf) {
        json_decref(toy->shelf->state);
        free(toy->shelf);
    }
    free(toy->path);
    free(toy);
}

/* ---- Works ----------------------------------------------------------------------------------- */

/* Who writes has the shelf for itself; the next one has it as soon as it was woken. */
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
    if (code == FH_OK && store->path && toy->state != toy->before)
        code = toy_file_write(store->store.world, store->path, toy->state, NULL, error);
    if (code == FH_OK && toy->state != toy->before) {
        json_decref(store->shelf->state);
        store->shelf->state = json_incref(toy->state);
    }
    end(work);
    return code;
}

static enum fh_code copy_file(struct store *store, const char *path, struct store_watch *watch,
                              struct fh_error *error)
{
    json_t *state = json_incref(toy_of(store)->shelf->state);
    enum fh_code code = toy_file_write(store->world, path, state, watch, error);
    json_decref(state);
    return code;
}

static const struct store_ops store_ops = {
    .open = open,
    .close = close,
    .begin = begin,
    .commit = commit,
    .rollback = end,
    .copy_file = copy_file,
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
