/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Levels move with commits, so nothing here asks again and again: a request that waits is on a
 * list, and whoever moves a level wakes those on it that have got what they wait for. Only where
 * other instances have partitions is the store asked, less and less often, since nobody here learns
 * of their commits. A look serves all who wait then. Nothing is held meanwhile: no reader of the
 * store and no snapshot.
 */

#include "event/subscribe/level.h"

#include <string.h>

#include "event/subscribe/replay.h"
#include "event/subscribe/set_back.h"
#include "event/subscribe/subscription.h"
#include "store/ledger.h"
#include "work/work.h"
#include "world/world.h"

struct level_waiter {
    const struct as_of *wanted;
    struct fiber_queue woken;
    struct level_waiter *next;
};

/* ---- one partition ---- */

/* Whether all that was fetched is applied, so that what the reader skipped counts. */
static bool has_applied_all(const struct subscription *s)
{
    return !s->first && !s->applying && subscription_skips(s) &&
           s->skipped.position >= s->cursor.position;
}

static bool level_is_known(const struct level *level)
{
    return level->incarnation[0] != '\0';
}

/* It does not go back: what was skipped once, and is read again, is still applied. */
static void level_set(struct level *level, const struct ledger_cursor *place)
{
    bool same = strcmp(level->incarnation, place->incarnation) == 0;
    if (same && place->position < level->position)
        return;
    if (!same && level_is_known(level)) { /* by resyncing it would have been lost */
        memcpy(level->former, level->incarnation, ID_SIZE);
        level->former_position = level->position;
    }
    memcpy(level->incarnation, place->incarnation, ID_SIZE);
    level->position = place->position;
}

static enum level_verdict level_judge(const struct level *level, const struct as_of_place *place)
{
    if (!level_is_known(level))
        return LEVEL_BEHIND;
    int order = strcmp(place->incarnation, level->incarnation);
    if (order == 0)
        return level->position >= place->position ? LEVEL_REACHED : LEVEL_BEHIND;
    if (strcmp(place->incarnation, level->former) == 0 && place->position <= level->former_position)
        return LEVEL_REACHED;
    /* Incarnations are in the order of time: this one may not be known here yet. */
    return order > 0 ? LEVEL_BEHIND : LEVEL_FORMER;
}

/* ---- those who wait ---- */

/* Of one place, the partitions' worst. */
static enum level_verdict place_judge(const struct event_manager *manager,
                                      const struct as_of_place *place)
{
    enum level_verdict worst = LEVEL_UNKNOWN;
    for (const struct subscription *s = manager->subscriptions; s; s = s->next) {
        if (s->outside || strcmp(s->source, place->name) != 0)
            continue;
        enum level_verdict verdict = level_judge(&s->level, place);
        if (verdict == LEVEL_FORMER)
            return verdict;
        if (worst != LEVEL_BEHIND)
            worst = verdict;
    }
    return worst;
}

/* All places, but only those of this service: *ret_name is one that nothing subscribes to. */
static enum level_verdict places_judge(const struct event_manager *manager,
                                       const struct as_of *wanted, const char **ret_name)
{
    enum level_verdict worst = LEVEL_REACHED;
    for (int i = 0; i < wanted->count; i++) {
        enum level_verdict verdict = place_judge(manager, &wanted->places[i]);
        if (verdict == LEVEL_UNKNOWN)
            *ret_name = wanted->places[i].name;
        if (verdict > worst)
            worst = verdict;
    }
    return worst;
}

static void wake_reached(struct event_manager *manager)
{
    const char *name;
    for (struct level_waiter *each = manager->waiters; each; each = each->next) {
        if (places_judge(manager, each->wanted, &name) != LEVEL_BEHIND)
            fiber_wake_all(&each->woken);
    }
}

void level_moved(struct subscription *s)
{
    if (s->outside || !subscription_is_ours(s))
        return;
    bool all = has_applied_all(s);
    const struct ledger_cursor *place = all ? &s->skipped : &s->cursor;
    if (s->fenced || !place->incarnation[0] || subscription_refused(s) || subscription_resyncs(s) ||
        subscription_replays(s)) {
        level_lost(s);
        return;
    }
    level_set(&s->level, place);
    s->level.set_back = s->set_back;
    if (all)
        level_current(s, s->skipped_asked_ns);
    wake_reached(s->manager);
}

void level_lost(struct subscription *s)
{
    s->level = (struct level){0};
}

void level_current(struct subscription *s, int64_t asked_ns)
{
    if (level_is_known(&s->level) && s->level.current_ns < asked_ns)
        s->level.current_ns = asked_ns;
}

void level_wake(struct event_manager *manager)
{
    for (struct level_waiter *each = manager->waiters; each; each = each->next)
        fiber_wake_all(&each->woken);
}

/* ---- partitions of other instances ---- */

static bool has_others(const struct event_manager *manager)
{
    for (const struct subscription *s = manager->subscriptions; s; s = s->next) {
        if (!s->outside && !subscription_is_ours(s))
            return true;
    }
    return false;
}

/* First how often it was set back: if that happens in between, what follows is not taken for what
 * it was after it. */
static enum fh_code read_level(struct store_work *work, const struct subscription *s,
                               struct level *ret, struct fh_error *error)
{
    struct ledger_cursor cursor, until;
    struct ledger_resync resync;
    char replayed[REPLAY_SOURCE_SIZE];
    *ret = (struct level){0};
    replay_source(s, replayed);
    enum fh_code code = set_back_get(work, s, &ret->set_back, error);
    if (code == FH_OK)
        code = ledger_cursor_get(work, s->source, s->partition, &cursor, error);
    if (code == FH_OK)
        code = ledger_cursor_get(work, replayed, s->partition, &until, error);
    if (code == FH_OK)
        code = ledger_snapshots(work->store)
                   ->resync_get(work, s->source, s->partition, &resync, error);
    if (code == FH_OK && resync.phase != LEDGER_PAGES && resync.phase != LEDGER_SWEEP &&
        !replay_is_under_way(&cursor, &until)) {
        memcpy(ret->incarnation, cursor.incarnation, ID_SIZE);
        ret->position = cursor.position;
    }
    return code;
}

/* What can't be read is as it was: that was so once, and is only less than there is now. */
static void read_others(struct event_manager *manager)
{
    struct store_work *work;
    if (store_begin(manager->context->store, STORE_READ, &work, ERROR_UNHEEDED) != FH_OK)
        return;
    for (struct subscription *s = manager->subscriptions; s; s = s->next) {
        struct level level;
        if (s->outside || subscription_is_ours(s))
            continue;
        if (read_level(work, s, &level, ERROR_UNHEEDED) != FH_OK)
            break;
        if (!subscription_is_ours(s)) /* while it was read */
            s->level = level;
    }
    store_rollback(work);
}

/* Unless that was done since `since_ns`. */
static void look_at_others(struct event_manager *manager, int64_t since_ns)
{
    while (manager->levels_looking)
        fiber_wait(&manager->levels_looked);
    if (!has_others(manager) || manager->levels_ns >= since_ns)
        return;
    int64_t began_ns = world_monotonic_ns(manager->context->world);
    manager->levels_looking = true;
    read_others(manager);
    manager->levels_looking = false;
    manager->levels_ns = began_ns;
    fiber_wake_all(&manager->levels_looked);
    wake_reached(manager);
}

/* ---- waiting ---- */

static void enlist_waiter(struct event_manager *manager, struct level_waiter *waiter)
{
    waiter->next = manager->waiters;
    manager->waiters = waiter;
    manager->waiter_count++;
}

static void delist_waiter(struct event_manager *manager, struct level_waiter *waiter)
{
    struct level_waiter **at = &manager->waiters;
    while (*at != waiter)
        at = &(*at)->next;
    *at = waiter->next;
    manager->waiter_count--;
}

/* Until it is woken, or others' partitions are to be looked at again. */
static void wait_for_level(struct event_manager *manager, struct level_waiter *waiter,
                           int64_t deadline_ns, int64_t *look_ms)
{
    struct world *world = manager->context->world;
    if (!has_others(manager)) {
        fiber_wait_until(&waiter->woken, world, deadline_ns);
        return;
    }
    int64_t look_ns = world_in_ms(world, *look_ms);
    if (!fiber_wait_until(&waiter->woken, world, look_ns < deadline_ns ? look_ns : deadline_ns))
        look_at_others(manager, look_ns - *look_ms / 2 * NS_A_MS);
    *look_ms = *look_ms * 2 < LEVEL_LOOK_MS_MAX ? *look_ms * 2 : LEVEL_LOOK_MS_MAX;
}

enum level_verdict level_wait(struct event_manager *manager, const struct as_of *wanted,
                              int64_t deadline_ns, void (*begins)(void *owner), void *owner,
                              const char **ret_name)
{
    struct world *world = manager->context->world;
    struct level_waiter waiter = {.wanted = wanted};
    int64_t look_ms = LEVEL_LOOK_MS_MIN;
    *ret_name = "";
    look_at_others(manager, world_monotonic_ns(world));
    enum level_verdict verdict = places_judge(manager, wanted, ret_name);
    if (verdict != LEVEL_BEHIND)
        return verdict;
    if (manager->draining)
        return LEVEL_DRAINING;
    if (manager->waiter_count >= LEVEL_WAITERS_MAX)
        return LEVEL_CROWDED;
    if (begins)
        begins(owner);
    enlist_waiter(manager, &waiter);
    while (verdict == LEVEL_BEHIND && !manager->draining &&
           world_monotonic_ns(world) < deadline_ns) {
        wait_for_level(manager, &waiter, deadline_ns, &look_ms);
        verdict = places_judge(manager, wanted, ret_name);
    }
    delist_waiter(manager, &waiter);
    return verdict == LEVEL_BEHIND && manager->draining ? LEVEL_DRAINING : verdict;
}

/* ---- what answers say ---- */

static bool is_wanted_publisher(const struct as_of *only, const char *name)
{
    for (int i = 0; only && i < only->count; i++) {
        if (strcmp(only->places[i].name, name) == 0)
            return true;
    }
    return !only;
}

/* The partitions of a subscription follow each other. Returns what follows them. */
static const struct subscription *least_level(const struct subscription *s,
                                              const struct level **ret)
{
    const struct subscription *first = s;
    const struct level *least = &s->level;
    for (; s && strcmp(s->source, first->source) == 0; s = s->next) {
        if (least && strcmp(s->level.incarnation, least->incarnation) != 0)
            least = NULL;
        else if (least && s->level.position < least->position)
            least = &s->level;
    }
    *ret = least && level_is_known(least) ? least : NULL;
    return s;
}

/* From `s` on, the next one to a service within the system. */
static const struct subscription *next_inside(const struct subscription *s)
{
    while (s && s->outside)
        s = s->next;
    return s;
}

_Static_assert(sizeof(((const fh_service *)NULL)->subscribes) / sizeof(struct fh_subscription) <=
                   AS_OF_PLACES_MAX,
               "each publisher has a place");

static void as_of_now(const struct event_manager *manager, const struct as_of *only,
                      struct as_of *ret)
{
    const struct subscription *s = next_inside(manager->subscriptions);
    ret->count = 0;
    while (s) {
        const struct level *least;
        const char *name = s->source;
        s = next_inside(least_level(s, &least));
        if (least && is_wanted_publisher(only, name))
            as_of_add(ret, name, least->incarnation, least->position);
    }
}

void level_as_of(struct event_manager *manager, const struct as_of *only, struct as_of *ret)
{
    look_at_others(manager, world_in_ms(manager->context->world, -LEVEL_LOOK_MS));
    as_of_now(manager, only, ret);
}

/* ---- answers ---- */

/* All at one moment: nothing parks after the look. */
bool level_take(struct event_manager *manager, struct arena *arena, const struct as_of *wanted,
                struct level_taken *ret)
{
    const char *unused;
    size_t count = 0;
    look_at_others(manager, world_in_ms(manager->context->world, -LEVEL_LOOK_MS));
    for (const struct subscription *s = manager->subscriptions; s; s = s->next)
        count++;
    ret->set_back = arena_alloc(arena, (count + 1) * sizeof *ret->set_back);
    count = 0;
    for (const struct subscription *s = manager->subscriptions; s; s = s->next)
        ret->set_back[count++] = level_is_known(&s->level) ? s->level.set_back : -1;
    as_of_now(manager, NULL, &ret->as_of);
    return places_judge(manager, wanted, &unused) == LEVEL_REACHED;
}

/* The partitions of a subscription, whose levels were taken, against what the store says. */
struct standing {
    struct subscription *first;
    const int64_t *set_back; /* of `first`, and those after it */
    bool stands;
};

/* What was known of this one is not so any more, whoever has it: if that is this instance, it will
 * know in a moment what it did itself, or that it has the partition no longer. */
static void level_falls(struct subscription *s, int64_t set_back)
{
    if (s->level.set_back != set_back)
        level_lost(s);
    s->manager->levels_ns = INT64_MIN; /* others' are looked up before the next answer */
}

static bool compare_set_back(void *context, const char *partition,
                             const struct ledger_cursor *number)
{
    struct standing *standing = context;
    const int64_t *taken = standing->set_back;
    for (struct subscription *s = standing->first;
         s && strcmp(s->source, standing->first->source) == 0; s = s->next, taken++) {
        if (strcmp(s->partition, partition) != 0 || *taken < 0 || *taken == number->position)
            continue;
        standing->stands = false;
        level_falls(s, number->position);
    }
    return true;
}

enum fh_code level_stands(struct event_manager *manager, const struct level_taken *taken,
                          struct store_work *work, bool *ret, struct fh_error *error)
{
    const int64_t *set_back = taken->set_back;
    struct subscription *s = manager->subscriptions;
    enum fh_code code = FH_OK;
    *ret = true;
    while (s && code == FH_OK) {
        struct standing standing = {.first = s, .set_back = set_back, .stands = true};
        bool known = false;
        for (; s && strcmp(s->source, standing.first->source) == 0; s = s->next)
            known |= *set_back++ >= 0;
        if (known)
            code = set_back_each(work, standing.first->source, compare_set_back, &standing, error);
        *ret = *ret && standing.stands;
    }
    return code;
}

int64_t level_current_ns(const struct event_manager *manager)
{
    int64_t least_ns = INT64_MAX;
    for (const struct subscription *s = manager->subscriptions; s; s = s->next) {
        if (!s->outside && s->level.current_ns < least_ns)
            least_ns = s->level.current_ns;
    }
    return least_ns == INT64_MAX ? 0 : least_ns;
}
