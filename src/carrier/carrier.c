/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A turn, and who serves. Killed after any of these steps, the next turn finds what it needs:
 *
 *     a generation is begun      the server has none: it is made, until its first page is noted
 *     rows are published         the ledger has the last one's key (fill.c)
 *     a page is sent             its cursor is where it was: it is sent again (carry.c)
 *     the cursor is noted        nothing is under way
 *     a generation is made to serve, in one unit of work that looks at all it needs
 *     an older one is dropped    or is not: it is looked for again
 *     what is too old is trimmed, or is not: the next carrier does it
 *
 * A generation that is lost, of a former life, of another declaration, or behind what is trimmed is
 * not mended but replaced (12). One that fills and can't go on is replaced by another that fills.
 */

#include "carrier/carrier.h"

#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "carrier/alike.h"
#include "carrier/kept.h"
#include "carrier/parts.h"
#include "work/derived.h"
#include "world/world.h"

/* ---- Looking ---- */

static enum fh_code look_committed(struct derived_carrier *carrier, struct carrier_look *ret,
                                   struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(carrier->context->store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = carrier_look(carrier, work, ret, error);
    store_rollback(work);
    return code;
}

enum fh_code carrier_look_again(struct derived_carrier *carrier, struct fh_error *error)
{
    if (carrier->kept) {
        carrier->lacks = false;
        carrier->settling.to = 0;
        carrier->walked = (struct carried_name){0};
    }
    enum fh_code code = look_committed(carrier, &carrier->look, error);
    return code == FH_OK && !carrier->kept ? carrier_watch(carrier, error) : code;
}

/* ---- Another generation ---- */

/* 13: its cursor is there before its first row is read; 18: and its name is used once. */
static void begin_generation(struct carrier_change *change, struct store_work *work,
                             struct carrier_look *look)
{
    struct carried_generation *filling = &look->record.filling;
    *filling = (struct carried_generation){.began = look->position, .cursor = look->position};
    memcpy(filling->name.incarnation, work->store->incarnation, ID_SIZE);
    const int64_t *last = change->what; /* of the server's */
    look->record.last = (*last > look->record.last ? *last : look->record.last) + 1;
    filling->name.number = look->record.last;
    derived_digest(change->carrier->declared, filling->digest);
    change->changed = true;
}

static bool needs_another(const struct derived_carrier *carrier, const struct carrier_look *look)
{
    const struct carried_record *record = &look->record;
    if (record->filling.name.number)
        return !carrier_goes_on(carrier, look, &record->filling);
    return !carrier_goes_on(carrier, look, &record->serving);
}

/* Others may have written without it, so all that live must have told the same. */
static enum fh_code look_who_writes(const struct derived_carrier *carrier, struct store_work *work,
                                    const struct carrier_look *look, bool *ret_may,
                                    struct fh_error *error)
{
    *ret_may = look->alike;
    if (!carrier->alike || !look->alike)
        return FH_OK;
    return carried_alike_all(work, carrier->alike, ret_may, error);
}

static enum fh_code begin_where_needed(struct carrier_change *change, struct store_work *work,
                                       struct carrier_look *look, struct fh_error *error)
{
    bool may = false;
    enum fh_code code = look_who_writes(change->carrier, work, look, &may, error);
    if (code == FH_OK && may && needs_another(change->carrier, look))
        begin_generation(change, work, look);
    return code;
}

static enum fh_code begin_anyway(struct carrier_change *change, struct store_work *work,
                                 struct carrier_look *look, struct fh_error *error)
{
    bool may = false;
    const char *name = change->carrier->declared->name;
    enum fh_code code = look_who_writes(change->carrier, work, look, &may, error);
    if (code != FH_OK)
        return code;
    if (!may)
        return error_set(error, FH_CONFLICT,
                         "The derived store %s can't be made anew while some running instances "
                         "may declare it differently.",
                         name);
    if (look->record.filling.name.number &&
        carrier_goes_on(change->carrier, look, &look->record.filling))
        return error_set(error, FH_CONFLICT, "The derived store %s is being made anew already.",
                         name);
    begin_generation(change, work, look);
    return FH_OK;
}

enum fh_code carrier_make_anew(struct derived_carrier *carrier, struct fh_error *error)
{
    int64_t last;
    struct carrier_change change = {.carrier = carrier, .change = begin_anyway, .what = &last};
    if (carrier->kept)
        return error_set(error, FH_CONFLICT,
                         "The derived store %s can't be made anew: its server alone has it.",
                         carrier->declared->name);
    enum fh_code code = carrier_last_number(carrier, &last, error);
    if (code == FH_OK)
        code = carrier_change_run(&change, error);
    carrier->counters.begun += code == FH_OK;
    return code;
}

/* 15, 16 */
static bool may_serve(const struct derived_carrier *carrier, const struct carrier_look *look)
{
    const struct carried_generation *filling = &look->record.filling;
    return carrier_goes_on(carrier, look, filling) && filling->filled &&
           (!look->serving_lives || filling->cursor >= look->record.serving.cursor);
}

/* 17 */
static enum fh_code let_it_serve(struct carrier_change *change, struct store_work *work,
                                 struct carrier_look *look, struct fh_error *error)
{
    const struct carried_name *name = change->what;
    struct carried_record *record = &look->record;
    (void)work;
    (void)error;
    if (carried_name_compare(&record->filling.name, name) != 0 || !may_serve(change->carrier, look))
        return FH_OK;
    record->serving = record->filling;
    record->filling = (struct carried_generation){0};
    change->changed = true;
    return FH_OK;
}

static enum fh_code switch_where_level(struct derived_carrier *carrier,
                                       const struct carried_generation *filling, bool *ret_more,
                                       struct fh_error *error)
{
    bool whole = true, over = false;
    struct carried_name name = filling->name;
    struct carrier_change change = {.carrier = carrier, .change = let_it_serve, .what = &name};
    if (!may_serve(carrier, &carrier->look)) /* as of before the last page: the next turn sees it */
        return FH_OK;
    enum fh_code code = FH_OK;
    carrier->walking.generation = (struct carried_name){0}; /* up to where it is now */
    while (code == FH_OK && whole && !over)
        code = carrier_walk(carrier, filling, &whole, &over, error);
    *ret_more |= code == FH_OK && !whole;
    if (code != FH_OK || !whole)
        return code;
    CRASH_POINT("carrier.level");
    code = carrier_change_run(&change, error);
    if (code != FH_OK || !change.changed)
        return code;
    CRASH_POINT("carrier.switched");
    carrier->counters.switched++;
    *ret_more = true; /* the next turn walks it, and drops what is older */
    return FH_OK;
}

/* ---- Older generations ---- */

struct older {
    struct carried_name serving, found[CARRIED_DROPS_MAX];
    int count;
};

static void note_older_generation(void *context, const struct carried_name *name)
{
    struct older *older = context;
    if (!name->kept && older->count < CARRIED_DROPS_MAX &&
        carried_name_compare(name, &older->serving) < 0)
        older->found[older->count++] = *name;
}

/* 19. What is older than what serves will never serve: that only ever becomes a newer one. */
static enum fh_code drop_older(struct derived_carrier *carrier, bool *ret_more,
                               struct fh_error *error)
{
    struct older older = {.serving = carrier->look.record.serving.name};
    struct carried_server *server = carrier->server;
    enum fh_code code =
        server->ops->generations(server, carrier->declared, note_older_generation, &older, error);
    for (int i = 0; i < older.count && code == FH_OK; i++) {
        code = server->ops->drop(server, carrier->declared, &older.found[i], error);
        CRASH_POINT("carrier.dropped");
        carrier->counters.dropped += code == FH_OK;
    }
    if (code == FH_OK)
        carrier->drops = older.count == CARRIED_DROPS_MAX;
    *ret_more |= carrier->drops;
    return code;
}

/* ---- A turn ---- */

/* As soon as one begins to carry, and at intervals; of many links a part in each turn, while pages
 * are carried on. */
static enum fh_code walk_where_due(struct derived_carrier *carrier,
                                   const struct carried_generation *serving, bool *ret_whole,
                                   bool *ret_more, struct fh_error *error)
{
    int64_t began_ns = world_monotonic_ns(carrier->context->world);
    bool over = true;
    *ret_whole = true;
    if (carried_name_compare(&carrier->walked, &serving->name) == 0 && began_ns < carrier->walks_ns)
        return FH_OK;
    enum fh_code code = carrier_walk(carrier, serving, ret_whole, &over, error);
    if (code != FH_OK)
        return code;
    int64_t now_ns = world_monotonic_ns(carrier->context->world);
    carrier->walking.spent_ns += now_ns - began_ns;
    *ret_more |= !over;
    if (!over)
        return FH_OK;
    int64_t rest_ns = CARRIED_WALK_REST * carrier->walking.spent_ns;
    int64_t least_ns = CARRIED_WALK_MS * INT64_C(1000000);
    carrier->walked = serving->name;
    carrier->walks_ns = now_ns + (rest_ns > least_ns ? rest_ns : least_ns);
    carrier->drops = true;
    return FH_OK;
}

static enum fh_code turn_serving(struct derived_carrier *carrier, bool *ret_more,
                                 struct fh_error *error)
{
    const struct carried_generation *serving = &carrier->look.record.serving;
    bool whole;
    if (!carrier_goes_on(carrier, &carrier->look, serving))
        return FH_OK;
    enum fh_code code = walk_where_due(carrier, serving, &whole, ret_more, error);
    if (code == FH_OK && whole)
        return carrier_carry(carrier, serving, ret_more, error);
    *ret_more |= code == FH_OK;
    return code;
}

/* Once, before its own rows are beyond what the server may have of commits that were lost. */
static enum fh_code look_at_filling(struct derived_carrier *carrier,
                                    const struct carried_generation *filling, bool *ret_whole,
                                    struct fh_error *error)
{
    *ret_whole = true;
    if (carried_name_compare(&carrier->filled, &filling->name) == 0)
        return FH_OK;
    enum fh_code code = carrier_look_beyond(carrier, &filling->name, ret_whole, error);
    if (code == FH_OK && *ret_whole)
        carrier->filled = filling->name;
    return code;
}

static enum fh_code turn_filling(struct derived_carrier *carrier, bool *ret_more,
                                 struct fh_error *error)
{
    const struct carried_generation *filling = &carrier->look.record.filling;
    struct carried_server *server = carrier->server;
    const bool searched = carrier->declared->model == FH_SEARCH;
    enum fh_code code = FH_OK;
    if (!carrier_goes_on(carrier, &carrier->look, filling))
        return FH_OK;
    if (filling->cursor == filling->began)
        code = server->ops->make(server, carrier->declared, &filling->name, error);
    CRASH_POINT("carrier.made");
    bool whole = true;
    if (code == FH_OK)
        code = look_at_filling(carrier, filling, &whole, error);
    *ret_more |= code == FH_NOT_FOUND || (code == FH_OK && !whole);
    if (code == FH_NOT_FOUND)
        return carrier_lose(carrier, &filling->name, error);
    if (code != FH_OK || !whole)
        return code;
    if (!filling->listed)
        code =
            (searched ? carrier_fill_state : carrier_fill_facts)(carrier, filling, ret_more, error);
    if (code == FH_OK)
        code = carrier_carry(carrier, filling, ret_more, error);
    if (code == FH_OK)
        code = switch_where_level(carrier, filling, ret_more, error);
    return code;
}

static enum fh_code turn_begin(struct derived_carrier *carrier, bool *ret_more,
                               struct fh_error *error)
{
    int64_t last;
    struct carrier_change change = {
        .carrier = carrier, .change = begin_where_needed, .what = &last};
    enum fh_code code = look_committed(carrier, &carrier->look, error);
    if (code != FH_OK || !carrier->look.alike || !needs_another(carrier, &carrier->look))
        return code;
    code = carrier_last_number(carrier, &last, error);
    if (code == FH_OK)
        code = carrier_change_run(&change, error);
    CRASH_POINT("carrier.begun");
    carrier->counters.begun += change.changed;
    *ret_more |= change.changed;
    return code == FH_OK ? look_committed(carrier, &carrier->look, error) : code;
}

/* ---- What is too old ---- */

static bool has_to_trim(const struct fh_derived *declared)
{
    return declared->model == FH_SEARCH ? derived_is_personal(declared) : declared->keep_days != 0;
}

/* At rest, after a switch and at intervals. Questions leave it out already. */
static enum fh_code trim_where_due(struct derived_carrier *carrier, struct fh_error *error)
{
    const struct carried_generation *serving = &carrier->look.record.serving;
    const struct fh_derived *declared = carrier->declared;
    struct carried_server *server = carrier->server;
    int64_t now_ns = world_monotonic_ns(carrier->context->world);
    if (!has_to_trim(declared) || !server->ops->trim ||
        !carrier_goes_on(carrier, &carrier->look, serving) ||
        (carried_name_compare(&carrier->trimmed, &serving->name) == 0 &&
         now_ns < carrier->trims_ns))
        return FH_OK;
    enum fh_code code =
        server->ops->trim(server, declared, &serving->name,
                          work_series_carried_ms(carrier->context, declared), error);
    if (code == FH_NOT_FOUND)
        return carrier_lose(carrier, &serving->name, error);
    if (code != FH_OK)
        return code;
    carrier->trimmed = serving->name;
    carrier->trims_ns = world_in_ms(carrier->context->world, CARRIED_TRIM_MS);
    carrier->counters.trims++;
    return FH_OK;
}

enum fh_code carrier_turn(struct derived_carrier *carrier, bool *ret_more, struct fh_error *error)
{
    struct fh_error other;
    if (carrier->kept)
        return kept_turn(carrier, ret_more, error);
    *ret_more = false;
    enum fh_code code = turn_begin(carrier, ret_more, error);
    if (code != FH_OK)
        return code;
    code = turn_serving(carrier, ret_more, error);
    enum fh_code filled = turn_filling(carrier, ret_more, code == FH_OK ? error : &other);
    if (code == FH_OK)
        code = filled;
    if (code == FH_OK && carrier->drops && carrier->look.record.serving.name.number)
        code = drop_older(carrier, ret_more, error);
    if (code == FH_OK && !*ret_more)
        code = trim_where_due(carrier, error);
    return code;
}

/* ---- Questions ---- */

static enum fh_code serving_now(struct derived_carrier *carrier, struct carried_name *ret,
                                struct fh_error *error)
{
    struct carrier_look *look = calloc(1, sizeof *look); /* large for a fiber's stack */
    FH_ASSERT(look != NULL);
    enum fh_code code = look_committed(carrier, look, error);
    if (code == FH_OK && !carrier_may_be_asked(carrier, look, &look->record.serving))
        code = error_retry(error, FH_UNAVAILABLE,
                           "The derived store %s is being made anew and can't be asked yet.",
                           carrier->declared->name);
    if (code == FH_OK)
        *ret = look->record.serving.name;
    free(look);
    return code;
}

/* Before the server: what becomes older meanwhile is still a point to it. */
static enum fh_code ask_own_store(struct derived_carrier *carrier, const struct fh_series *series,
                                  int64_t oldest_ms, int64_t deadline_ns, struct series_past **ret,
                                  struct fh_error *error)
{
    struct store *store = carrier->context->store;
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_READ_COMMITTED, &work, error);
    if (code != FH_OK)
        return code;
    if (deadline_ns > 0)
        work->deadline_ns = deadline_ns;
    code = derived_engine(store)->past(work, carrier->declared, series, oldest_ms, ret, error);
    store_rollback(work);
    return code;
}

static enum fh_code ask_generation(struct derived_carrier *carrier,
                                   const struct carried_name *generation, const void *question,
                                   int64_t deadline_ns, json_t **ret, struct fh_error *error)
{
    struct carried_server *server = carrier->server;
    const struct fh_derived *declared = carrier->declared;
    if (declared->model == FH_SEARCH)
        return server->ops->search(server, declared, generation, question, deadline_ns, ret, error);
    int64_t oldest_ms = work_series_oldest_ms(carrier->context, declared);
    if (declared->model == FH_COLUMNS)
        return server->ops->columns(server, declared, generation, question, oldest_ms, deadline_ns,
                                    ret, error);
    struct series_past *past = NULL;
    enum fh_code code = FH_OK;
    if (series_rollup_count(declared))
        code = ask_own_store(carrier, question, oldest_ms, deadline_ns, &past, error);
    if (code == FH_OK)
        code = server->ops->series(server, declared, generation, question, oldest_ms, past,
                                   deadline_ns, ret, error);
    series_past_free(past);
    return code;
}

/* 20: what it asked may have been dropped meanwhile, and made again by a late request. */
enum fh_code carrier_ask(struct derived_carrier *carrier, const void *question, int64_t deadline_ns,
                         json_t **ret, struct fh_error *error)
{
    struct carried_name before, after = {0};
    enum fh_code code = serving_now(carrier, &after, error);
    for (int i = 0; i < CARRIED_ASKS_MAX && code == FH_OK; i++) {
        struct fh_error failed = {0};
        json_t *answer = NULL;
        before = after;
        enum fh_code asked =
            ask_generation(carrier, &before, question, deadline_ns, &answer, &failed);
        code = serving_now(carrier, &after, error);
        if (code == FH_OK && asked == FH_OK && carried_name_compare(&before, &after) == 0) {
            *ret = answer;
            return FH_OK;
        }
        json_decref(answer);
        if (code != FH_OK || carried_name_compare(&before, &after) != 0)
            continue;
        *error = failed;
        if (asked != FH_NOT_FOUND)
            return asked;
        break;
    }
    if (code != FH_OK)
        return code;
    carrier->walked = (struct carried_name){0}; /* it may be lost */
    return error_retry(error, FH_UNAVAILABLE, "The derived store %s can't be asked now.",
                       carrier->declared->name);
}
