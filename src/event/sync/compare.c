/* SPDX-License-Identifier: Apache-2.0 */
/* What is held here of one page of keys, and what the publisher has of them. Both lists must be in
 * the same order: numbers by value, strings by their bytes. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "event/envelope.h"
#include "event/resync/page.h"
#include "event/sync/parts.h"
#include "event/versions.h"

#define KEY_SIZE (LEDGER_AFTER_SIZE - 1)

int sync_order(const struct sync *sync, const char *one, const char *other)
{
    if (sync->after[0] != 'i')
        return strcmp(one, other);
    long long a = strtoll(one, NULL, 10), b = strtoll(other, NULL, 10);
    return (a > b) - (a < b);
}

struct ledger_resync sync_place(const struct subscription *s)
{
    struct ledger_resync at = {.type = s->sync->type, .seen_position = s->cursor.position};
    memcpy(at.seen_id, s->cursor.event_id, sizeof at.seen_id);
    if (s->sync->after[0])
        snprintf(at.after, sizeof at.after, "%s", s->sync->after + 1);
    return at;
}

enum fh_code sync_check_advance(const struct subscription *s, const char *before, const char *after,
                                struct fh_error *error)
{
    if (!after || !*before || sync_order(s->sync, before, after) < 0)
        return FH_OK;
    return error_set(error, FH_INVALID,
                     "%s ends a page of its state at %.64s that began after %.64s.", s->source,
                     after, before);
}

/* ---- what is held here ---- */

/* The members beside the key; NULL: it is not a row. */
static json_t *names_of_row(const json_t *row)
{
    json_t *names = json_array();
    void *at = json_object_iter((json_t *)(uintptr_t)row);
    while (at && (at = json_object_iter_next((json_t *)(uintptr_t)row, at)))
        json_array_append_new(names, json_string(json_object_iter_key(at)));
    return names;
}

/* Behind its key, in any order; they are in one as a rule. */
static bool has_same_members(const json_t *row, const json_t *names)
{
    json_t *members = (json_t *)(uintptr_t)row;
    void *at = json_object_iter(members);
    size_t i;
    json_t *name;
    if (json_array_size(names) == 0)
        return json_object_size(row) <= 1;
    if (json_object_size(row) != json_array_size(names) + 1)
        return false;
    json_array_foreach (names, i, name) {
        const char *wanted = json_string_value(name);
        at = at ? json_object_iter_next(members, at) : NULL;
        if (!(at && strcmp(json_object_iter_key(at), wanted) == 0) && !json_object_get(row, wanted))
            return false;
    }
    return true;
}

static enum fh_code take_held_row(struct sync_list *list, const json_t *row, struct fh_error *error)
{
    const struct subscription *s = list->subscription;
    const char *type = s->subscribed[s->sync->type]->type;
    char key[KEY_SIZE];
    if (!resync_held_key(row, key, sizeof key))
        return error_set(error, FH_INVALID,
                         "`held` of %s answers something that is not a key, nor a row that begins "
                         "with one.",
                         type);
    if (!has_same_members(row, list->names))
        return error_set(error, FH_INVALID, "The rows that `held` of %s lists differ in members.",
                         type);
    const char *before = list->last ? list->last : s->sync->after[1] ? s->sync->after + 1 : NULL;
    if (before && sync_order(s->sync, before, key) >= 0)
        return error_set(error, FH_INVALID,
                         "`held` of %s lists %s after %s: it must be in the order of keys, strings "
                         "by their bytes (COLLATE \"C\").",
                         type, key, before);
    list->last = arena_copy(&list->arena, key, strlen(key));
    if (s->partition_count > 1 && envelope_partition(key, s->partition_count) != s->partition_index)
        return FH_OK;
    struct sync_held *held = &list->rows[list->count++];
    held->key = list->last;
    digest_of(row, list->names, held->digest);
    return FH_OK;
}

/* What it does not get it can't compare, and its publisher would refuse to. */
static enum fh_code check_held_names(const struct sync_list *list, struct fh_error *error)
{
    const struct subscription *s = list->subscription;
    const struct fh_subscription *subscribed = s->subscribed[s->sync->type];
    size_t i;
    json_t *name;
    json_array_foreach (list->names, i, name) {
        if (!versions_gets(s->manager->context->service, subscribed, subscribed->version,
                           json_string_value(name)))
            return error_set(error, FH_INVALID,
                             "`held` of %s lists %.64s, which is not among the `fields` of the "
                             "subscription.",
                             subscribed->type, json_string_value(name));
    }
    return FH_OK;
}

static enum fh_code take_held(void *context, struct store_work *work, struct fh_error *error)
{
    struct sync_list *list = context;
    const json_t *rows = list->w.reply_body;
    (void)work;
    list->ends = json_array_size(rows) < (size_t)list->limit;
    list->names = names_of_row(json_array_get(rows, 0));
    list->rows = arena_alloc(&list->arena, (json_array_size(rows) + 1) * sizeof *list->rows);
    enum fh_code code = check_held_names(list, error);
    for (size_t i = 0; i < json_array_size(rows) && code == FH_OK; i++)
        code = take_held_row(list, json_array_get(rows, i), error);
    return code;
}

enum fh_code sync_list_read(struct sync_list *list, struct subscription *s, int limit,
                            struct fh_error *error)
{
    const struct fh_subscription *subscribed = s->subscribed[s->sync->type];
    *list = (struct sync_list){.subscription = s, .limit = limit};
    arena_init(&list->arena, 2 * ARENA_SIZE_MAX);
    resync_held_init(&list->w, s, subscribed);
    subscription_enter(s);
    enum fh_code code =
        resync_list_held(&list->w, subscribed, s->sync->after, limit, take_held, list, error);
    subscription_leave(s);
    subscription_tell_fault(s, &list->w, "held", code == FH_UNAVAILABLE);
    return code;
}

void sync_list_release(struct sync_list *list)
{
    json_decref(list->names);
    arena_release(&list->arena);
    work_release(&list->w);
}

void sync_list_digest(const struct sync_list *list, char ret[static DIGEST_SIZE])
{
    ret[0] = '\0';
    if (json_array_size(list->names) == 0)
        return;
    struct digest_page *page = digest_page_begin();
    for (int i = 0; i < list->count; i++)
        digest_page_add(page, list->rows[i].key, list->rows[i].digest);
    digest_page_end(page, list->ends ? NULL : list->last, ret);
}

/* ---- both sides ---- */

/* The row with this key, or the place where it would be. */
static int held_at(const struct sync_list *list, const char *key)
{
    int low = 0, high = list->count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (sync_order(list->subscription->sync, list->rows[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool held_is(const struct sync_list *list, int at, const char *key)
{
    return at < list->count && strcmp(list->rows[at].key, key) == 0;
}

bool sync_has(const struct sync_list *list, const struct page_read *read, int row)
{
    int at = held_at(list, read->rows[row].key);
    return held_is(list, at, read->rows[row].key) &&
           (!read->digests || strcmp(list->rows[at].digest, read->digests[row]) == 0);
}

static bool key_is_covered(const struct sync_page *page, const char *key)
{
    return !page->upto || sync_order(page->subscription->sync, key, page->upto) <= 0;
}

/* What both sides have listed. */
static void set_covered(struct sync_page *page)
{
    const char *here = page->list->ends ? NULL : page->list->last, *there = page->read->after;
    page->upto = here ? here : there;
    if (here && there && sync_order(page->subscription->sync, there, here) < 0)
        page->upto = there;
}

static enum fh_code compare_row(struct sync_page *page, int row, bool *seen)
{
    const struct batch_event *event = &page->read->rows[row];
    struct subscription *s = page->subscription;
    const char *before = row ? event[-1].key : s->sync->after[1] ? s->sync->after + 1 : NULL;
    if (before && sync_order(s->sync, before, event->key) >= 0)
        return error_set(&page->error, FH_INVALID,
                         "%s lists %s after %s in its state of %s: it must be in the order of "
                         "keys, strings by their bytes (COLLATE \"C\").",
                         s->source, event->key, before, event->type);
    int at = held_at(page->list, event->key);
    if (held_is(page->list, at, event->key))
        seen[at] = true;
    if (!key_is_covered(page, event->key) || event->position > s->cursor.position)
        return FH_OK;
    page->checked++;
    if (!sync_has(page->list, page->read, row))
        json_array_append_new(page->differing, json_string(event->key));
    return FH_OK;
}

enum fh_code sync_compare(struct sync_page *page)
{
    const struct subscription *s = page->subscription;
    enum fh_code code = sync_check_advance(s, s->sync->after + 1, page->read->after, &page->error);
    bool *seen = calloc((size_t)page->list->count + 1, sizeof *seen);
    FH_ASSERT(seen != NULL);
    set_covered(page);
    for (int row = 0; row < page->read->count && code == FH_OK; row++)
        code = compare_row(page, row, seen);
    for (int at = 0; at < page->list->count && code == FH_OK; at++) {
        const char *key = page->list->rows[at].key;
        if (!seen[at] && key_is_covered(page, key))
            json_array_append_new(page->surplus, json_string(key));
    }
    free(seen);
    return code;
}
