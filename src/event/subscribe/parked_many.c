/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Acting on many parked keys, as parked_select has answered them: each is named with the event that
 * was its first then, and how often that had been tried. If it isn't any more, somebody else has
 * acted on the key since, or the same request has come before, and it is left as it is: so a
 * request that is sent again does nothing twice, and a key that was parked again is not retried in
 * a loop.
 *
 * Each event is a transaction of its own, as for single keys. When time runs out, the keys that
 * were not come to are absent from the answer, and one that was begun names the event to go on
 * with.
 */

#include "event/subscribe/parked.h"

#include <string.h>

#include "base/json.h"
#include "event/subscribe/subscription.h"
#include "world/world.h"

static enum fh_code take_choice(const json_t *one, struct parked_choice *ret,
                                struct fh_error *error)
{
    json_int_t attempts = -1, until = 0;
    *ret = (struct parked_choice){.source = json_string_at(one, "source"),
                                  .key = json_string_at(one, "key"),
                                  .id = json_string_at(one, "id")};
    json_integer_at(one, "attempts", &attempts);
    ret->attempts = attempts;
    ret->until = json_integer_at(one, "until", &until) ? until : 0;
    if (ret->source && ret->key && ret->id && attempts >= 0)
        return FH_OK;
    return error_set(error, FH_INVALID,
                     "Each of `keys` must have `source`, `key` and `id` (texts) and `attempts`, as "
                     "/_freehold/parked/matching answers them.");
}

/* All are checked before the first is acted on. */
static enum fh_code check_choices(const json_t *keys, struct fh_error *error)
{
    struct parked_choice choice;
    enum fh_code code = FH_OK;
    size_t i, count = json_array_size(keys);
    if (!json_is_array(keys) || count > PARKED_MANY_MAX)
        return error_set(error, FH_INVALID, "`keys` must be a list of at most %d.",
                         PARKED_MANY_MAX);
    for (i = 0; i < count && code == FH_OK; i++)
        code = take_choice(json_array_get(keys, i), &choice, error);
    return code;
}

/* *ret_changed: another event is the first by now, or none is, or it was tried or edited since. */
static enum fh_code check_first(struct event_manager *manager, const struct parked_choice *choice,
                                bool *ret_changed, struct fh_error *error)
{
    struct arena arena;
    struct ledger_parked parked;
    arena_init(&arena, ARENA_SIZE_MAX);
    enum fh_code code = parked_head(manager, &arena, choice->source, choice->key, &parked, error);
    *ret_changed = code == FH_NOT_FOUND || (code == FH_OK && !parked_is_chosen(choice, &parked));
    arena_release(&arena);
    return code == FH_NOT_FOUND ? FH_OK : code;
}

/* Where to go on with a key that time ran out for. */
static void tell_next(struct event_manager *manager, const struct parked_choice *choice,
                      json_t *told)
{
    struct arena arena;
    struct ledger_parked parked;
    arena_init(&arena, ARENA_SIZE_MAX);
    if (parked_head(manager, &arena, choice->source, choice->key, &parked, ERROR_UNHEEDED) == FH_OK)
        json_object_set_new(told, "next",
                            json_pack("{s:s, s:I}", "id", parked.event_id, "attempts",
                                      (json_int_t)parked.attempts));
    arena_release(&arena);
}

static json_t *told_of(const struct parked_choice *choice)
{
    return json_pack("{s:s, s:s}", "source", choice->source, "key", choice->key);
}

static enum fh_code retry_choice(struct event_manager *manager, const struct parked_choice *choice,
                                 int64_t deadline_ns, json_t *told, struct fh_error *error)
{
    bool changed;
    enum fh_code code = check_first(manager, choice, &changed, error);
    if (code != FH_OK)
        return code;
    json_t *one = changed ? told_of(choice)
                          : parked_retry_key(manager, choice->source, choice->key, deadline_ns);
    if (changed)
        json_object_set_new(one, "changed", json_true());
    else if (json_integer_value(json_object_get(one, "left")) > 0 && !json_object_get(one, "error"))
        tell_next(manager, choice, one);
    json_array_append_new(told, one);
    return FH_OK;
}

static enum fh_code drop_choice(struct event_manager *manager, const struct parked_choice *choice,
                                int64_t deadline_ns, json_t *told, struct fh_error *error)
{
    struct world *world = manager->context->world;
    struct subscription *s = parked_subscription(manager, choice->source, choice->key);
    int64_t dropped = 0, left = 0;
    struct parked_choice next = *choice;
    bool goes_on = true;
    enum fh_code code = FH_OK;
    while (goes_on && (dropped == 0 || world_monotonic_ns(world) < deadline_ns)) {
        code = parked_drop_chosen(manager, &next, &left, error);
        dropped += code == FH_OK;
        next.id = NULL; /* the rest is known by its positions */
        goes_on = code == FH_OK && left > 0 && choice->until > 0 && !manager->draining;
    }
    bool failed = code != FH_OK && code != FH_NOT_FOUND;
    if (failed && dropped == 0)
        return code;
    if (s)
        parked_recount_source(manager, choice->source);
    json_t *one = told_of(choice);
    json_object_set_new(one, "dropped", json_integer(dropped));
    json_object_set_new(one, "left", json_integer(left));
    if (failed)
        json_object_set_new(one, "error", json_string(error->message));
    else if (dropped == 0)
        json_object_set_new(one, "changed", json_true());
    else if (goes_on)
        tell_next(manager, choice, one);
    json_array_append_new(told, one);
    return FH_OK;
}

static enum fh_code
act_on_many(struct event_manager *manager, const json_t *keys,
            enum fh_code (*act)(struct event_manager *manager, const struct parked_choice *choice,
                                int64_t deadline_ns, json_t *told, struct fh_error *error),
            json_t **ret, struct fh_error *error)
{
    struct world *world = manager->context->world;
    int64_t deadline_ns = world_in_ms(world, PARKED_RETRY_MS);
    enum fh_code code = check_choices(keys, error);
    if (code != FH_OK)
        return code;
    json_t *told = json_array();
    for (size_t i = 0; i < json_array_size(keys) && code == FH_OK; i++) {
        struct parked_choice choice;
        if (manager->draining || world_monotonic_ns(world) >= deadline_ns)
            break;
        code = take_choice(json_array_get(keys, i), &choice, error);
        if (code == FH_OK)
            code = act(manager, &choice, deadline_ns, told, error);
    }
    if (code != FH_OK && json_array_size(told) == 0) {
        json_decref(told);
        return code;
    }
    *ret = json_pack("{s:o}", "keys", told); /* what was done before the store went away */
    return FH_OK;
}

enum fh_code parked_retry_many(struct event_manager *manager, const json_t *keys, json_t **ret,
                               struct fh_error *error)
{
    return act_on_many(manager, keys, retry_choice, ret, error);
}

enum fh_code parked_drop_many(struct event_manager *manager, const json_t *keys, json_t **ret,
                              struct fh_error *error)
{
    return act_on_many(manager, keys, drop_choice, ret, error);
}
