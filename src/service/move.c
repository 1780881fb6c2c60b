/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store is moved in five durable steps. Each can be repeated, and marks in fh_meta tell which are
 * done:
 *
 *   1. old: moving_to = the new engine    from here on no service opens it
 *   2. new: unfinished = the old one's incarnation
 *   3. new: migrations, all rows, read again and compared
 *   4. new: an incarnation of its own, the old one among its ancestors, unfinished = ""
 *   5. old: moved_to = the new engine     for ever
 *
 * If a process dies in between, the next one begins at the first step whose marks are missing.
 * Before 4 the old store is the valid one, and an operator can keep it so (abandon); from 4 on the
 * new one is. Never both: 1 comes before anything can serve from the new one. If a move is
 * abandoned after 4, before the new store has served, the old store is valid again; and the new
 * one, as the old one lacks the mark of 1, counts as a store in use: no move continues with it.
 *
 * The new store must be one that no service has used, or that was moved away: its contents are
 * replaced.
 */

#include "service/move.h"

#include <inttypes.h>
#include <string.h>

#include "base/crash.h"
#include "base/json.h"
#include "base/log.h"
#include "carrier/record.h"
#include "engine/engines.h"
#include "service/carriers.h"
#include "service/fill.h"
#include "store/beside.h"
#include "store/ledger.h"

#define META_SIZE 128

static const char *engine_name_of(const json_t *config)
{
    const char *name = json_string_at(config, "engine");
    return name ? name : engine_embedded()->name;
}

enum fh_code service_store_open_beside(const fh_service *service, const json_t *config,
                                       const struct store_beside *beside, struct world *world,
                                       struct store **ret, struct fh_error *error)
{
    const char *name = engine_name_of(config);
    const struct engine *engine = engine_named(name);
    struct store_options options = {.service = service->name,
                                    .folder = json_string_at(config, "folder"),
                                    .model = service->model,
                                    .server = json_object_get(config, "store"),
                                    .instance = json_string_at(config, "instance"),
                                    .beside = beside};
    if (!options.folder)
        return error_set(error, FH_INVALID, "The configuration has no \"folder\".");
    if (!engine)
        return error_set(error, FH_INVALID, "The engine %s is not built in.", name);
    if (!(engine->models & 1u << service->model))
        return error_set(error, FH_INVALID,
                         "The engine %s does not implement this service's model.", engine->name);
    if (!engine->derived && carriers_needs_own(service, config))
        return error_set(error, FH_INVALID,
                         "%s declares derived stores, and a store of %s can't have any: expected "
                         "%s, or on a server an FH_SEARCH, or what is `kept` there.",
                         service->name, engine->title, engine_embedded()->name);
    return engine->store->open(&options, world, ret, error);
}

enum fh_code service_store_open(const fh_service *service, const json_t *config,
                                struct world *world, struct store **ret, struct fh_error *error)
{
    struct store_beside beside = {.id = json_string_at(config, "rebuild.id"), .makes = true};
    const struct engine *engine = engine_named(engine_name_of(config));
    bool is_beside = beside.id && engine && engine->beside;
    return service_store_open_beside(service, config, is_beside ? &beside : NULL, world, ret,
                                     error);
}

/* ---- a store's marks of a move ---- */

struct marks {
    char moving[META_SIZE], moved[META_SIZE], unfinished[META_SIZE];
    char ancestors[LEDGER_ANCESTORS_SIZE];
};

static enum fh_code read_move_marks(struct store *store, struct marks *ret, struct fh_error *error)
{
    struct store_work *work;
    const struct {
        const char *name;
        char *to;
        size_t size;
    } all[] = {{LEDGER_MOVING, ret->moving, sizeof ret->moving},
               {LEDGER_MOVED, ret->moved, sizeof ret->moved},
               {LEDGER_UNFINISHED, ret->unfinished, sizeof ret->unfinished},
               {LEDGER_ANCESTORS, ret->ancestors, sizeof ret->ancestors}};
    *ret = (struct marks){0};
    enum fh_code code = store_begin(store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    for (size_t i = 0; i < sizeof all / sizeof all[0] && code == FH_OK; i++)
        code = ledger_meta_get(work, all[i].name, all[i].to, all[i].size, error);
    store_rollback(work);
    return code;
}

enum fh_code service_store_serves(struct store *store, struct fh_error *error)
{
    struct marks marks;
    enum fh_code code = read_move_marks(store, &marks, error);
    if (code != FH_OK)
        return code;
    if (marks.moved[0])
        return error_set(error, FH_INVALID,
                         "This store was moved to %s, which has the service's data now: the system "
                         "file must say engine: %s.",
                         marks.moved, marks.moved);
    if (marks.moving[0])
        return error_set(error, FH_INVALID,
                         "This store is being moved to %s: run freehold move again, which goes on, "
                         "or with --abandon, which leaves it here.",
                         marks.moving);
    if (strncmp(marks.unfinished, "restore ", strlen("restore ")) == 0)
        return error_set(error, FH_INVALID,
                         "A backup was being restored into this store, and it is not whole: run "
                         "freehold restore again.");
    if (strcmp(marks.unfinished, LEDGER_REBUILT) == 0)
        return error_set(error, FH_INVALID,
                         "This store was filled by a rebuild, and what its service has published "
                         "is in the former one alone: take that, and run freehold rebuild again.");
    if (marks.unfinished[0])
        return error_set(error, FH_INVALID,
                         "This store takes another one's place and is not whole yet: run freehold "
                         "move again, or go back to the other one's engine.");
    return FH_OK;
}

/* Writes all of them, in one transaction. */
static enum fh_code put_move_marks(struct store *store, const struct store_mark *marks,
                                   size_t count, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_WRITE_EXCLUSIVE, &work, error);
    if (code != FH_OK)
        return code;
    for (size_t i = 0; i < count && code == FH_OK; i++)
        code = ledger_meta_put(work, marks[i].name, marks[i].value, error);
    if (code == FH_OK)
        return store_commit(work, error);
    store_rollback(work);
    return code;
}

/* ---- the steps ---- */

struct moving {
    const fh_service *service;
    const json_t *from_config, *to_config; /* to: NULL when abandoning */
    struct world *world;
    struct store *from, *to;
    struct marks old, fresh;
    struct copy_result copied;
    struct fh_error error;
    struct fill_watch watch;
};

static bool has_ancestor(const struct marks *marks, const char *incarnation)
{
    return strstr(marks->ancestors, incarnation) != NULL; /* ids are 36 characters each */
}

static enum fh_code begin_old(struct moving *moving)
{
    const char *engine = moving->to->engine->name;
    if (moving->old.moved[0])
        return error_set(&moving->error, FH_INVALID, "The store was moved to %s already.",
                         moving->old.moved);
    if (moving->old.unfinished[0])
        return error_set(&moving->error, FH_INVALID,
                         "The store takes another one's place and is not whole yet.");
    if (strcmp(moving->from->incarnation, moving->to->incarnation) == 0)
        return error_set(&moving->error, FH_INVALID, "That is the store itself.");
    if (moving->old.moving[0] && strcmp(moving->old.moving, engine) != 0)
        return error_set(&moving->error, FH_INVALID,
                         "A move to %s was begun: finish it, or abandon it first.",
                         moving->old.moving);
    CRASH_POINT("move.begun");
    struct store_mark marks[] = {{LEDGER_MOVING, engine}};
    return put_move_marks(moving->from, marks, 1, &moving->error);
}

static bool move_is_marked(const struct moving *moving)
{
    return strcmp(moving->fresh.unfinished, moving->from->incarnation) == 0;
}

/* How far they are is noted in the old store alone. */
static enum fh_code has_no_kept_facts_to_move(struct moving *moving)
{
    struct store_work *work;
    const char *name;
    enum fh_code code = store_begin(moving->from, STORE_READ, &work, &moving->error);
    if (code != FH_OK)
        return code;
    code = carried_kept_find(work, moving->service, &name, &moving->error);
    store_rollback(work);
    if (code == FH_OK && name)
        return error_set(&moving->error, FH_INVALID,
                         "A server alone has the derived store %s (kept): its service "
                         "can't be moved.",
                         name);
    return code;
}

/* Before the old store is marked: with that mark a complete new store counts as this move's. */
static enum fh_code may_fill(struct moving *moving)
{
    bool used;
    bool left =
        moving->fresh.moved[0] != '\0'; /* its service moved elsewhere, and is coming back */
    if (move_is_marked(moving))
        return FH_OK;
    enum fh_code code = has_no_kept_facts_to_move(moving);
    if (code == FH_OK)
        code = service_store_used(moving->service, moving->to, &used, &moving->error);
    if (code != FH_OK)
        return code;
    if ((used && !left) || moving->fresh.unfinished[0])
        return error_set(&moving->error, FH_INVALID,
                         "The %s store there is in use, and what is in it would be lost: a new, "
                         "empty one is needed.",
                         moving->to->engine->name);
    return FH_OK;
}

static enum fh_code begin_new(struct moving *moving)
{
    if (move_is_marked(moving))
        return FH_OK;
    CRASH_POINT("move.announced");
    struct store_mark marks[] = {{LEDGER_UNFINISHED, moving->from->incarnation}};
    return put_move_marks(moving->to, marks, 1, &moving->error);
}

static enum fh_code fill_new(struct moving *moving)
{
    struct copy_options options = {
        .from = moving->from, .to = moving->to, .told = fill_told, .context = &moving->watch};
    CRASH_POINT("move.marked");
    enum fh_code code =
        service_store_prepare(moving->service, moving->to,
                              json_string_at(moving->to_config, "migrations"), &moving->error);
    CRASH_POINT("move.migrated");
    return code == FH_OK
               ? service_store_copy(moving->service, &options, &moving->copied, &moving->error)
               : code;
}

/* Until this commit the old store is the valid one. */
static enum fh_code finish_new(struct moving *moving)
{
    static const struct store_mark marks[] = {{LEDGER_MOVED, ""}, {LEDGER_UNFINISHED, ""}};
    struct store_becoming becoming = {.marks = marks, .count = 2, .renew = true};
    CRASH_POINT("move.copied");
    return service_store_become(moving->from, moving->to, &becoming, &moving->error);
}

static enum fh_code finish_old(struct moving *moving)
{
    struct store_mark marks[] = {{LEDGER_MOVED, moving->to->engine->name}, {LEDGER_MOVING, ""}};
    CRASH_POINT("move.finished");
    enum fh_code code = put_move_marks(moving->from, marks, 2, &moving->error);
    CRASH_POINT("move.durable");
    return code;
}

static enum fh_code open_both(struct moving *moving)
{
    struct fh_error *error = &moving->error;
    enum fh_code code = service_store_open(moving->service, moving->from_config, moving->world,
                                           &moving->from, error);
    if (code == FH_OK)
        code = service_store_open(moving->service, moving->to_config, moving->world, &moving->to,
                                  error);
    if (code == FH_OK)
        code = read_move_marks(moving->from, &moving->old, error);
    return code == FH_OK ? read_move_marks(moving->to, &moving->fresh, error) : code;
}

static enum fh_code move_all(struct moving *moving)
{
    enum fh_code code = open_both(moving);
    if (code != FH_OK)
        return code;
    /* Without the mark, a complete store is of an abandoned move: the old one has served since. */
    bool begun = moving->old.moving[0] || moving->old.moved[0];
    bool whole = begun && !moving->fresh.unfinished[0] &&
                 has_ancestor(&moving->fresh, moving->from->incarnation);
    if (whole && moving->old.moved[0])
        return FH_OK;
    code = whole ? FH_OK : may_fill(moving);
    if (code == FH_OK)
        code = begin_old(moving);
    if (code == FH_OK && !whole)
        code = begin_new(moving);
    if (code == FH_OK && !whole)
        code = fill_new(moving);
    if (code == FH_OK && !whole)
        code = finish_new(moving);
    return code == FH_OK ? finish_old(moving) : code;
}

static enum fh_code abandon_new_store(struct moving *moving)
{
    enum fh_code code = service_store_open(moving->service, moving->from_config, moving->world,
                                           &moving->from, &moving->error);
    if (code == FH_OK)
        code = read_move_marks(moving->from, &moving->old, &moving->error);
    if (code == FH_OK && moving->old.moved[0])
        code = error_set(&moving->error, FH_INVALID,
                         "The store was moved to %s, and can't be had back: move it from there.",
                         moving->old.moved);
    struct store_mark marks[] = {{LEDGER_MOVING, ""}};
    return code == FH_OK ? put_move_marks(moving->from, marks, 1, &moving->error) : code;
}

/* Of several instances the first one moves; the others restart until it has. */
static enum fh_code await_first_mover(struct moving *moving)
{
    const char *incarnation = json_string_at(moving->from_config, "incarnation");
    struct fh_error *error = &moving->error;
    if (!moving->to_config)
        return FH_OK;
    enum fh_code code =
        service_store_open(moving->service, moving->to_config, moving->world, &moving->to, error);
    if (code == FH_OK)
        code = read_move_marks(moving->to, &moving->fresh, error);
    if (code != FH_OK ||
        (!moving->fresh.unfinished[0] && incarnation && has_ancestor(&moving->fresh, incarnation)))
        return code;
    return error_set(error, FH_UNAVAILABLE, "The first instance is moving the store.");
}

/* ---- inside a service that starts ---- */

static void move_turn(struct world_turn *turn)
{
    fiber_ready(turn->owner);
}

/* The loop must turn once between a store's last use and its closing. */
void service_store_leave(struct store *store)
{
    struct world_turn turn = {.run = move_turn, .owner = fiber_self()};
    world_turn(store->world, &turn);
    fiber_park();
    store_close(store);
}

static void close_moved_stores(struct moving *moving)
{
    if (moving->from)
        service_store_leave(moving->from);
    if (moving->to)
        service_store_leave(moving->to);
}

enum fh_code service_store_move(const fh_service *service, const json_t *config,
                                struct world *world, const struct move_watch *watch,
                                struct fh_error *error)
{
    const json_t *from = json_object_get(config, "from");
    bool abandons = json_is_true(json_object_get(config, "abandon_move"));
    struct moving moving = {
        .service = service, .world = world, .watch = {world, watch, "moving", 0, 0}};
    moving.from_config = abandons ? config : from;
    moving.to_config = abandons ? NULL : config;
    if (!abandons && !from)
        return FH_OK;
    enum fh_code code;
    const char *instance = json_string_at(config, "instance");
    if (instance && strcmp(instance, "0") != 0)
        code = await_first_mover(&moving);
    else
        code = abandons ? abandon_new_store(&moving) : move_all(&moving);
    close_moved_stores(&moving);
    if (code == FH_OK && abandons)
        log_info("move-abandoned", "the move is abandoned: the store serves from here again");
    else if (code == FH_OK)
        log_info("store-moved",
                 "the store was moved from %s to %s: %d tables, %" PRId64
                 " rows, all read again and compared",
                 engine_name_of(from), engine_name_of(config), moving.copied.tables,
                 moving.copied.rows);
    else
        *error = moving.error;
    return code;
}
