/* SPDX-License-Identifier: Apache-2.0 */
/* Records of the ledger by their orders: see record.c. The members found on the server are updated
 * by the unit of work's own records: old members go, new ones are added. */

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "engine/redis/record.h"

#define DUE_PAGE 100 /* records read at once, to find those that were changed early enough */

struct found {
    struct redis_members members; /* first: takes the members of the unit of work's records */
    const struct redis_range *range;
    struct map ids; /* members */
    bool adds;
};

static const char *member_id(const char *text)
{
    const char *end = strchr(text, *REDIS_MEMBER_END);
    return end ? end + 1 : text;
}

static bool is_within(const struct redis_range *range, const char *text)
{
    size_t length = strlen(range->prefix);
    if (strncmp(text, range->prefix, length) != 0)
        return false;
    return !range->below || strcmp(text + length, range->below) < 0;
}

static void take_change(struct redis_members *members, const char *order, const char *text)
{
    struct found *found = (struct found *)members;
    if (strcmp(order, found->range->order) != 0 || !is_within(found->range, text))
        return;
    if (found->adds)
        map_put(&found->ids, text, found);
    else
        map_remove(&found->ids, text);
}

/* Replaces the server's members of changed records by the new ones. */
static void apply_changes(const struct redis_work *own, struct found *found,
                          const struct redis_table *table)
{
    struct map_entry *entry = NULL;
    const char *name;
    void *value;
    while (map_next(&own->records, &entry, &name, &value)) {
        const struct redis_record *record = value;
        if (record->table != table)
            continue;
        found->adds = false;
        redis_each_member(record, record->old, &found->members);
        found->adds = true;
        if (record->fresh)
            redis_each_member(record, record->fresh, &found->members);
    }
}

static int changes_of(const struct redis_work *own, const struct redis_table *table)
{
    struct map_entry *entry = NULL;
    const char *name;
    void *value;
    int count = 0;
    while (map_next(&own->records, &entry, &name, &value))
        count += ((const struct redis_record *)value)->table == table;
    return count;
}

/* One slice of the server's members, from `low` on; *ret_last: there are no more. */
static enum fh_code read_member_slice(struct redis_work *own, const struct redis_range *range,
                                      const char *low, const char *high, int limit,
                                      struct found *found, char **ret_last, struct fh_error *error)
{
    char *key = redis_name(own->redis, "fh", range->order), count[16];
    const redisReply *reply;
    snprintf(count, sizeof count, "%d", limit);
    enum fh_code code = range->last_first
                            ? redis_see_one(own, range->looks, &reply, error, "ZREVRANGEBYLEX", key,
                                            high, low, "LIMIT", "0", count, NULL)
                            : redis_see_one(own, range->looks, &reply, error, "ZRANGEBYLEX", key,
                                            low, high, "LIMIT", "0", count, NULL);
    free(key);
    free(*ret_last);
    *ret_last = NULL;
    if (code)
        return code;
    for (size_t i = 0; i < reply->elements; i++)
        map_put(&found->ids, redis_at(reply, i)->str, found);
    if (reply->elements == (size_t)limit) {
        *ret_last = strdup(redis_at(reply, (size_t)limit - 1)->str);
        FH_ASSERT(*ret_last != NULL);
    }
    return FH_OK;
}

/* All the server's members in the range, or as many as are wanted. */
static enum fh_code find_members(struct redis_work *own, const struct redis_range *range,
                                 int wanted, struct found *found, struct fh_error *error)
{
    char low[REDIS_MEMBER_SIZE + 2], high[REDIS_MEMBER_SIZE + 2], *last = NULL;
    bool all = !*range->prefix && !range->below;
    snprintf(low, sizeof low, "%s%s", all ? "-" : "[", range->prefix);
    snprintf(high, sizeof high, "%s%s%s", all ? "+" : "(", range->prefix,
             range->below ? range->below
             : all        ? ""
                          : "\xff");
    enum fh_code code;
    int got = 0;
    do {
        int limit = !wanted || wanted - got > REDIS_RANGE_MAX ? REDIS_RANGE_MAX : wanted - got;
        code = read_member_slice(own, range, low, high, limit, found, &last, error);
        got += limit;
        if (last)
            snprintf(range->last_first ? high : low, sizeof low, "(%s", last);
    } while (!code && last && (!wanted || got < wanted));
    free(last);
    return code;
}

/* ---- Members by their records ---- */

/* One command's words up to NULL, and its answer, not recorded: what is read to be skipped may be
 * more than a unit of work can hold. */
static enum fh_code ask_unrecorded(struct redis_work *own, redisReply **ret, struct fh_error *error,
                                   const char *first, ...) __attribute__((sentinel));
static enum fh_code ask_unrecorded(struct redis_work *own, redisReply **ret, struct fh_error *error,
                                   const char *first, ...)
{
    struct redis_words command;
    va_list rest;
    redis_words_init(&command);
    va_start(rest, first);
    for (const char *word = first; word; word = va_arg(rest, const char *))
        redis_word(&command, word);
    va_end(rest);
    enum fh_code code = redis_read_one(own->redis, &command, ret, error);
    redis_words_release(&command);
    return code;
}

static bool has_enough(const struct found *found, int wanted)
{
    return wanted && found->ids.count >= (size_t)wanted;
}

/* Those of a page's members whose records were last changed early enough: no more than are wanted,
 * since these are read again, and recorded. */
static enum fh_code take_due(struct redis_work *own, const struct redis_range *range,
                             const struct redis_table *table, const redisReply *page, int wanted,
                             struct found *found, struct fh_error *error)
{
    struct redis_words commands;
    redisReply *records[DUE_PAGE];
    char *key = redis_name(own->redis, "fh", table->name);
    redis_words_init(&commands);
    for (size_t i = 0; i < page->elements; i++)
        redis_command(&commands, "HGET", key, member_id(redis_at(page, i)->str), NULL);
    enum fh_code code = redis_read(own->redis, &commands, records, error);
    bool answered = !code;
    redis_words_release(&commands);
    free(key);
    for (size_t i = 0; answered && i < page->elements; i++) {
        json_t *record = code ? NULL : redis_record_parse(table, records[i], error, &code);
        if (record && record_integer(record, "updated_ms") < range->before_ms &&
            !has_enough(found, wanted))
            map_put(&found->ids, redis_at(page, i)->str, found);
        json_decref(record);
        hiredis.freeReplyObject(records[i]);
    }
    return code;
}

/* As find_members, for a range with `before_ms`. */
static enum fh_code find_due_members(struct redis_work *own, const struct redis_range *range,
                                     const struct redis_table *table, int wanted,
                                     struct found *found, struct fh_error *error)
{
    char low[REDIS_MEMBER_SIZE + 2], high[REDIS_MEMBER_SIZE + 2], count[16];
    char *key = redis_name(own->redis, "fh", range->order);
    bool goes_on = true;
    enum fh_code code = FH_OK;
    FH_ASSERT(!*range->prefix && !range->last_first);
    snprintf(low, sizeof low, "-");
    snprintf(high, sizeof high, "%s%s", range->below ? "(" : "+", range->below ? range->below : "");
    snprintf(count, sizeof count, "%d", DUE_PAGE);
    while (goes_on && !code) {
        redisReply *page = NULL;
        code = ask_unrecorded(own, &page, error, "ZRANGEBYLEX", key, low, high, "LIMIT", "0", count,
                              NULL);
        if (!code)
            code = redis_reply_bounded(page, DUE_PAGE, error);
        if (!code && page->elements > 0)
            code = take_due(own, range, table, page, wanted, found, error);
        goes_on = !code && page->elements == DUE_PAGE && !has_enough(found, wanted);
        if (goes_on)
            snprintf(low, sizeof low, "(%s", redis_at(page, DUE_PAGE - 1)->str);
        if (page)
            hiredis.freeReplyObject(page);
    }
    free(key);
    return code;
}

/* ---- Records ---- */

static int compare_members(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

static const char **sorted_members(const struct found *found)
{
    const char **list = calloc(found->ids.count + 1, sizeof *list), *text;
    struct map_entry *entry = NULL;
    void *value;
    size_t count = 0;
    FH_ASSERT(list != NULL);
    while (map_next(&found->ids, &entry, &text, &value))
        list[count++] = text;
    qsort((void *)list, count, sizeof *list, compare_members);
    for (size_t i = 0; found->range->last_first && i < count / 2; i++) {
        const char *other = list[i];
        list[i] = list[count - 1 - i];
        list[count - 1 - i] = other;
    }
    return list;
}

/* The records that the unit of work has not changed, asked for together. */
static enum fh_code fetch_unchanged(struct redis_work *own, const struct redis_table *table,
                                    const char *const *list, size_t count, bool looks,
                                    struct fh_error *error)
{
    struct redis_question *questions = calloc(count + 1, sizeof *questions);
    FH_ASSERT(questions != NULL);
    char *key = redis_name(own->redis, "fh", table->name);
    int asked = 0;
    for (size_t i = 0; i < count; i++) {
        if (!redis_changed(own, table, member_id(list[i])))
            questions[asked++] = (struct redis_question){
                .words = {"HGET", key, member_id(list[i])}, .count = 3, .looks = looks};
    }
    enum fh_code code = asked ? redis_see(own, questions, asked, error) : FH_OK;
    free(key);
    free(questions);
    return code;
}

static enum fh_code range_records(struct redis_work *own, const struct redis_table *table,
                                  const char *const *list, size_t count, bool looks, json_t **ret,
                                  struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (size_t done = 0; done < count && !code; done += REDIS_RANGE_MAX) {
        size_t part = count - done < REDIS_RANGE_MAX ? count - done : REDIS_RANGE_MAX;
        code = fetch_unchanged(own, table, list + done, part, looks, error);
    }
    *ret = record_pack("[]");
    struct arena *arena = json_arena_set(NULL);
    for (size_t i = 0; i < count && !code; i++) {
        json_t *record = NULL;
        const struct redis_record *change = redis_changed(own, table, member_id(list[i]));
        if (change)
            record = json_incref(change->fresh);
        else
            code = redis_fetch(own, table, member_id(list[i]), looks, &record, error);
        if (!record) /* removed since the order was read */
            continue;
        json_t *copy = json_copy(record);
        json_object_set_new(copy, "id", json_string(member_id(list[i])));
        json_array_append_new(*ret, copy);
        json_decref(record);
    }
    json_arena_set(arena);
    if (code) {
        json_decref(*ret);
        *ret = NULL;
    }
    return code;
}

static json_t *range_ids(const char *const *list, size_t count)
{
    json_t *ids = record_pack("[]");
    struct arena *arena = json_arena_set(NULL);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(ids, json_pack("{s:s}", "id", member_id(list[i])));
    json_arena_set(arena);
    return ids;
}

enum fh_code redis_range(struct store_work *work, const char *table,
                         const struct redis_range *range, json_t **ret, struct fh_error *error)
{
    struct redis_work *own = redis_work_of(work);
    const struct redis_table *of = redis_table_of(table);
    struct found found = {.members = {take_change}, .range = range};
    int changes = changes_of(own, of);
    *ret = NULL;
    map_init(&found.ids);
    int wanted = range->limit ? range->limit + changes : 0;
    enum fh_code code = range->before_ms ? find_due_members(own, range, of, wanted, &found, error)
                                         : find_members(own, range, wanted, &found, error);
    if (!code) {
        apply_changes(own, &found, of);
        const char **list = sorted_members(&found);
        size_t count = found.ids.count;
        if (range->limit && !range->before_ms && count > (size_t)range->limit)
            count = (size_t)range->limit;
        if (range->ids)
            *ret = range_ids(list, count);
        else
            code = range_records(own, of, list, count, range->looks, ret, error);
        free((void *)list);
    }
    map_release(&found.ids);
    return code;
}

/* ---- The ledger's ranges ---- */

static const char *const orders_of[][5] = {
    [RECORDS_OPEN] = {"saga:running", "saga:compensating", "saga:parked"},
    [RECORDS_OVER] = {"saga:ended", "saga:undone", "saga:abandoned"},
    [RECORDS_AT_REST] = {"saga:ended", "saga:undone", "saga:parked", "saga:abandoned"},
    [RECORDS_UNCLOSED] = {"saga:unclosed"},
    [RECORDS_CLOSED] = {"saga:closed"},
    [RECORDS_STARTED] = {"saga:start"},
    [RECORDS_OF_CLIENT] = {"command:created"},
};

/* Fields are the first parts of members; a member for a saga's start ends after its last field. */
static enum fh_code prefix_of(const struct record_range *wanted, char prefix[static RECORD_ID_SIZE],
                              struct fh_error *error)
{
    const struct record_field *field = wanted->fields;
    const char *end = wanted->list == RECORDS_STARTED ? REDIS_MEMBER_END : RECORD_SEPARATOR;
    if (wanted->within)
        return record_id(prefix, error, "%s" RECORD_SEPARATOR, wanted->within);
    *prefix = '\0';
    if (field[2].value)
        return record_id(prefix, error, "%s" RECORD_SEPARATOR "%s" RECORD_SEPARATOR "%s%s",
                         field[0].value, field[1].value, field[2].value, end);
    if (field[1].value)
        return record_id(prefix, error, "%s" RECORD_SEPARATOR "%s%s", field[0].value,
                         field[1].value, end);
    return field[0].value ? record_id(prefix, error, "%s%s", field[0].value, end) : FH_OK;
}

static bool has_field(const json_t *record, const struct record_field *field)
{
    const char *value = field->name ? record_optional(record, field->name) : NULL;
    return !field->value || (value && strcmp(value, field->value) == 0);
}

/* Checks the conditions that members do not express: also, one key may be another's prefix, with a
 * separator after it. */
static bool is_record_wanted(const json_t *record, const struct record_range *wanted)
{
    return has_field(record, &wanted->fields[0]) && has_field(record, &wanted->fields[1]) &&
           has_field(record, &wanted->fields[2]) && has_field(record, &wanted->also) &&
           (!wanted->before_ms || record_integer(record, "updated_ms") < wanted->before_ms);
}

static int by_id(const void *left, const void *right)
{
    json_t *const *a = left, *const *b = right;
    return strcmp(record_text(*a, "id"), record_text(*b, "id"));
}

/* Merges several orders into one. */
static void visit_records(json_t *all, const struct record_range *wanted, bool one_order,
                          bool (*visit)(void *context, json_t *record), void *context)
{
    size_t count = json_array_size(all);
    json_t **list = calloc(count + 1, sizeof(json_t *));
    FH_ASSERT(list != NULL);
    for (size_t i = 0; i < count; i++)
        list[i] = json_array_get(all, i);
    if (!one_order)
        qsort(list, count, sizeof *list, by_id);
    int left = wanted->limit ? wanted->limit : INT_MAX;
    bool goes_on = true;
    for (size_t i = 0; i < count && goes_on && left > 0; i++) {
        json_t *record = list[!one_order && wanted->last_first ? count - 1 - i : i];
        if (!is_record_wanted(record, wanted))
            continue;
        left--;
        goes_on = visit(context, record);
    }
    free(list);
}

/* Open sagas, unless the unit of work has changed some; and, where it only reads, those of one
 * birth below a number, a saga's steps, and timers. */
static bool is_read_in_parts(struct store_work *work, const struct record_range *wanted)
{
    bool reads = !store_writes(work->mode);
    bool open = wanted->list == RECORDS_OPEN && (!wanted->below || reads) && !wanted->last_first;
    bool steps = strcmp(wanted->table, "saga_step") == 0 && reads;
    bool timers = strcmp(wanted->table, "timer") == 0 && reads && !wanted->ids;
    return (((open || steps) && !wanted->limit) || timers) &&
           changes_of(redis_work_of(work), redis_table_of(wanted->table)) == 0;
}

static enum fh_code each_in_parts(struct store_work *work, const struct record_range *wanted,
                                  const char *const *orders, const char *prefix, const char *below,
                                  bool (*visit)(void *context, json_t *record), void *context,
                                  struct fh_error *error)
{
    char low[REDIS_MEMBER_SIZE + 2], high[REDIS_MEMBER_SIZE + 2];
    struct redis_parts parts = {.orders = orders,
                                .low = low,
                                .high = high,
                                .range = wanted,
                                .is_wanted = is_record_wanted,
                                .visit = visit,
                                .context = context};
    snprintf(low, sizeof low, "%s%s",
             wanted->after ? "("
             : *prefix     ? "["
                           : "-",
             wanted->after ? wanted->after : prefix);
    snprintf(high, sizeof high, "%s%s%s", *prefix ? "(" : "+", prefix,
             below     ? below
             : *prefix ? "\xff"
                       : "");
    return redis_each_in_parts(work, &parts, error);
}

enum fh_code redis_each(struct store_work *work, const struct record_range *wanted,
                        bool (*visit)(void *context, json_t *record), void *context,
                        struct fh_error *error)
{
    char prefix[RECORD_ID_SIZE], below[24];
    const char *by_ids[] = {redis_table_of(wanted->table)->by_id, NULL};
    const char *const *orders = wanted->list == RECORDS_ALL ? by_ids : orders_of[wanted->list];
    bool says_all = !wanted->also.value && !wanted->fields[2].value;
    struct redis_range range = {.prefix = prefix,
                                .below = wanted->below ? below : NULL,
                                .limit = says_all ? wanted->limit : 0,
                                .last_first = wanted->last_first,
                                .looks = wanted->looks,
                                .ids = wanted->ids,
                                .before_ms = wanted->before_ms};
    snprintf(below, sizeof below, RECORD_NUMBER, wanted->below);
    enum fh_code code = prefix_of(wanted, prefix, error);
    if (!code && is_read_in_parts(work, wanted))
        return each_in_parts(work, wanted, orders, prefix, range.below, visit, context, error);
    json_t *all = record_pack("[]"), *some;
    for (int i = 0; orders[i] && !code; i++) {
        range.order = orders[i];
        code = redis_range(work, wanted->table, &range, &some, error);
        struct arena *arena = json_arena_set(NULL);
        json_array_extend(all, some);
        json_arena_set(arena);
        json_decref(some);
    }
    if (!code)
        visit_records(all, wanted, !orders[1], visit, context);
    json_decref(all);
    return code;
}
