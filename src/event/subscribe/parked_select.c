/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which parked keys an operator means who acts on many: those whose first event, the one that holds
 * up the rest, has a type, an error or an age. A page at a time, in the order of event_retried;
 * the store's order of texts may be another one. So each page looks at all keys, and keeps the
 * first of those after the page before.
 *
 * Each key is answered with what it takes to act on nothing else later: its first event's id and
 * attempts, and `until`, the last position that can have been parked by now. The cursors are read
 * before the keys: what is parked in between lies beyond `until`, and is left alone.
 */

#include "event/subscribe/parked.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "event/subscribe/subscription.h"
#include "world/world.h"

struct selection {
    const struct parked_filter *filter;
    struct parked_until {
        const char *source, *partition; /* the subscription's */
        int64_t position;
    } * untils;
    size_t until_count;
    json_t *keys[2 * PARKED_LIST_MAX];
    size_t count;
    bool more;
    int64_t now_ms;
};

/* ---- How far the cursors are ---- */

static enum fh_code read_untils(struct selection *selection, struct event_manager *manager,
                                struct store_work *work, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    size_t count = 0;
    for (struct subscription *s = manager->subscriptions; s; s = s->next)
        count++;
    selection->untils = calloc(count + 1, sizeof *selection->untils);
    FH_ASSERT(selection->untils != NULL);
    for (struct subscription *s = manager->subscriptions; s && code == FH_OK; s = s->next) {
        struct ledger_cursor cursor;
        if (selection->filter->source && strcmp(selection->filter->source, s->source) != 0)
            continue;
        code = ledger_cursor_get(work, s->source, s->partition, &cursor, error);
        if (code == FH_OK)
            selection->untils[selection->until_count++] =
                (struct parked_until){s->source, s->partition, cursor.position};
    }
    return code;
}

/* Where nothing subscribes any more, nothing is parked any more either. */
static int64_t until_of(const struct selection *selection, const struct ledger_parked *parked)
{
    for (size_t i = 0; i < selection->until_count; i++) {
        const struct parked_until *until = &selection->untils[i];
        if (strcmp(until->source, parked->source) == 0 &&
            strcmp(until->partition, parked->partition) == 0)
            return until->position > parked->position ? until->position : parked->position;
    }
    return INT64_MAX;
}

/* ---- The keys ---- */

void parked_place_of(struct event_retried *ret, const json_t *one)
{
    snprintf(ret->source, sizeof ret->source, "%s", json_string_at(one, "source"));
    snprintf(ret->share, sizeof ret->share, "%s", json_string_at(one, "share"));
    ret->position = json_integer_value(json_object_get(one, "position"));
}

/* By source, partition and the position of the key's first event. */
int parked_place_compare(const struct event_retried *place, const char *source, const char *share,
                         int64_t position)
{
    int order = strcmp(source, place->source);
    if (order == 0)
        order = strcmp(share, place->share);
    return order ? order : (position > place->position) - (position < place->position);
}

static bool is_selected(const struct parked_filter *filter, const struct ledger_parked *parked)
{
    return (!filter->source || strcmp(parked->source, filter->source) == 0) &&
           (!filter->type || strcmp(parked->type, filter->type) == 0) &&
           (!filter->error || strstr(parked->error, filter->error) != NULL) &&
           (!filter->before_ms || parked->parked_ms <= filter->before_ms) &&
           (!filter->after_ms || parked->parked_ms >= filter->after_ms) &&
           (!filter->after || parked_place_compare(filter->after, parked->source, parked->partition,
                                                   parked->position) > 0);
}

static int compare_selected(const void *left, const void *right)
{
    const json_t *a = *(json_t *const *)left, *b = *(json_t *const *)right;
    struct event_retried place;
    parked_place_of(&place, b);
    return parked_place_compare(&place, json_string_at(a, "source"), json_string_at(a, "share"),
                                json_integer_value(json_object_get(a, "position")));
}

/* Keeps the first PARKED_LIST_MAX, in order. */
static void cut_selection(struct selection *selection)
{
    qsort(selection->keys, selection->count, sizeof *selection->keys, compare_selected);
    while (selection->count > PARKED_LIST_MAX) {
        json_decref(selection->keys[--selection->count]);
        selection->more = true;
    }
}

static bool select_key(void *context, const struct ledger_parked *parked)
{
    struct selection *selection = context;
    if (!is_selected(selection->filter, parked))
        return true;
    if (selection->count == 2 * (size_t)PARKED_LIST_MAX)
        cut_selection(selection);
    json_t *key = parked_key_json(parked, selection->now_ms);
    json_object_set_new(key, "until", json_integer(until_of(selection, parked)));
    selection->keys[selection->count++] = key;
    return true;
}

enum fh_code parked_select(struct event_manager *manager, const struct parked_filter *filter,
                           json_t **ret, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(manager->context->store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    struct selection *selection = calloc(1, sizeof *selection);
    FH_ASSERT(selection != NULL);
    selection->filter = filter;
    selection->now_ms = world_wall_ms(manager->context->world);
    code = read_untils(selection, manager, work, error);
    if (code == FH_OK)
        code = ledger_parked_keys(work, filter->source, INT32_MAX, select_key, selection, error);
    store_rollback(work);
    cut_selection(selection);
    json_t *keys = json_array();
    for (size_t i = 0; i < selection->count; i++)
        json_array_append_new(keys, selection->keys[i]);
    *ret = code == FH_OK ? json_pack("{s:O, s:b}", "keys", keys, "more", selection->more) : NULL;
    json_decref(keys);
    free(selection->untils);
    free(selection);
    return code;
}
