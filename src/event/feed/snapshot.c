/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A page is what the store held at one moment: rows, as the service's own handler lists them, and
 * the last position of each row's key. If the engine has snapshots, one transaction reads both. If
 * each read sees its own moment, a writing transaction that changes nothing reads them: its commit
 * finds out whether they were all true at once. If not, the page is read again.
 *
 * If a key's newest event has no position yet, the row reflects that event but would be sent with
 * an older position, and the event would then be applied a second time: such a page is read again.
 * Rows missing from a page matter as well: a key may be missing because it was removed by an event
 * that has no position yet. So where a sequencer assigns positions, the page's own position is read
 * after the page, once everything that the page reflects has one.
 *
 * A page that is read again is half as long: it meets fewer changes, and keys that change all the
 * time hold up only themselves. The same happens after any failure except an outage: the handler's
 * memory, the answer's size and what the engine reads in one transaction are limited in bytes, and
 * the service's author can't know how many rows reach the limits. The number of rows of a type that
 * worked is remembered for later pages, and raised again by and by (base/portion.h). A single row
 * that fails is reported with its type and key, as far as they are known. It holds up all later
 * rows, since a page without it would mean that its key does not exist.
 */

#include "event/feed/snapshot.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/doing.h"
#include "base/json.h"
#include "base/log.h"
#include "base/map.h"
#include "base/portion.h"
#include "base/text.h"
#include "event/digest.h"
#include "event/envelope.h"
#include "event/feed/page.h"
#include "event/feed/query.h"
#include "event/outbox/place.h"
#include "event/outbox/publish.h"
#include "event/outbox/subscribers.h"
#include "event/versions.h"
#include "shape/problem.h"
#include "shape/shape.h"
#include "store/ledger_snapshot.h"
#include "work/batch.h"
#include "work/fault.h"
#include "world/world.h"

#define HANDLER_MS_MAX 10000

static const fh_field snapshot_shape[] = {
    {"type", FH_STRING, .min = 1, .max = 255},
    {"name", FH_STRING, .min = 1, .max = SUBSCRIBERS_NAME_LENGTH_MAX, .optional = true},
    {"share", FH_STRING, .max = 16, .optional = true},
    {"after", FH_STRING, .min = 1, .max = OUTBOX_KEY_LENGTH_MAX, .optional = true},
    {"limit", FH_INT, .min = 0, .max = SNAPSHOT_ROWS_MAX, .optional = true},
    {"incarnation", FH_STRING, .max = ID_SIZE - 1, .optional = true},
    {"done", FH_INT, .min = 0, .max = INT64_MAX, .optional = true},
    {"seen", FH_INT, .min = 0, .max = INT64_MAX, .optional = true},
    {"seen_id", FH_STRING, .max = ID_SIZE - 1, .optional = true},
    {"fields", FH_LIST, .max = FIELDS_MAX, .optional = true},
    {"versions", FH_LIST, .max = 64, .optional = true},
    {"digests", FH_LIST, .max = FIELDS_MAX, .optional = true},
    {"same", FH_STRING, .min = DIGEST_SIZE - 1, .max = DIGEST_SIZE - 1, .optional = true},
    {0}};

static const fh_field *key_field(const struct fh_published *published)
{
    const fh_field *field = published->shape;
    for (; field && field->name; field++) {
        if (published->key && strcmp(field->name, published->key) == 0)
            return field;
    }
    return NULL;
}

enum fh_code snapshot_check(const fh_service *service, struct fh_error *error)
{
    for (size_t i = 0; i < sizeof service->publishes / sizeof *service->publishes; i++) {
        const struct fh_published *published = &service->publishes[i];
        const fh_field *field = key_field(published);
        if (published->state && (!field || (field->type != FH_INT && field->type != FH_STRING)))
            return error_set(error, FH_INVALID,
                             "%s gives its state: its `key` must be a field of its shape that is "
                             "an integer or a string.",
                             published->type);
    }
    return FH_OK;
}

static const struct fh_published *find_published(const fh_service *service, const char *type)
{
    for (size_t i = 0; i < sizeof service->publishes / sizeof *service->publishes; i++) {
        const struct fh_published *published = &service->publishes[i];
        if (published->type && published->state && strcmp(published->type, type) == 0)
            return published;
    }
    return NULL;
}

static json_int_t snapshot_integer_or(const json_t *typed, const char *name, json_int_t otherwise)
{
    const json_t *value = json_object_get(typed, name);
    return value ? json_integer_value(value) : otherwise;
}

static void check_rows(fh_work *w, const struct page *page)
{
    size_t i;
    json_t *row;
    json_array_foreach (w->reply_body, i, row)
        outbox_check_data(w, page->published, row);
}

/* Runs the service's handler and checks its rows. Invalid rows are the handler's fault; of a page
 * whose reader has the same none is sent, and none looked at closer. */
static void list_rows(fh_work *w)
{
    struct page *page = (struct page *)w;
    size_t i;
    json_t *row;
    page->published->state(w);
    if (!json_is_array(w->reply_body) || json_array_size(w->reply_body) > (size_t)page->limit)
        work_fault(w, "The state of %s must be an array of at most `limit` rows.",
                   page->published->type);
    page->keys = json_array();
    json_array_foreach (w->reply_body, i, row) {
        if (!json_is_object(row))
            outbox_check_data(w, page->published, row);
        json_array_append_new(page->keys, json_string(outbox_key(w, page->published, row)));
    }
    page->same = page_is_same(page);
    if (!page->same)
        check_rows(w, page); /* the keys first, so that faults can name them */
    size_t count = json_array_size(page->keys);
    const char *after = json_string_value(json_object_get(page->typed, "after"));
    if (count > 0 && after &&
        strcmp(json_string_value(json_array_get(page->keys, count - 1)), after) == 0)
        work_fault(w, "The state of %s does not continue after `after`.", page->published->type);
}

static bool take_key_place(void *context, const char *key, int64_t position)
{
    struct page *page = context;
    page->unsequenced = page->unsequenced || position == LEDGER_UNSEQUENCED;
    int64_t *place = map_get(&page->places, key);
    if (!place) {
        place = calloc(1, sizeof *place);
        FH_ASSERT(place != NULL);
        map_put(&page->places, key, place);
    }
    *place = position;
    return true;
}

static void forget_places(struct page *page)
{
    struct map_entry *entry = NULL;
    const char *key;
    void *value;
    while (map_next(&page->places, &entry, &key, &value))
        free(value);
    map_release(&page->places);
    map_init(&page->places);
}

static enum fh_code read_page_rows(struct page *page, struct store_work *work,
                                   struct fh_error *error)
{
    const char *after = json_string_value(json_object_get(page->typed, "after"));
    const struct work_listing listing = {
        .after = after ? after : "", .integers = page->integers, .limit = page->limit};
    page->keys = NULL; /* those of the run before */
    enum fh_code code = work_list(&page->w, work, &listing, error);
    if (code != FH_OK)
        return code;
    if (page->same) {
        page->status = 304;
        return FH_OK;
    }
    char *keys = json_text(page->keys);
    code = ledger_snapshots(work->store)->key_places(work, keys, take_key_place, page, error);
    json_text_free(keys);
    return code;
}

/* Is the asking resync in this incarnation, and at a place of it? */
static enum fh_code judge_seen_place(struct page *page, struct store_work *work,
                                     struct fh_error *error)
{
    const char *incarnation = json_string_value(json_object_get(page->typed, "incarnation"));
    const char *seen_id = json_string_value(json_object_get(page->typed, "seen_id"));
    enum place place;
    enum fh_code code =
        place_judge(work, page->position, snapshot_integer_or(page->typed, "seen", 0),
                    seen_id ? seen_id : "", &place, error);
    page->status = 200;
    if (incarnation && strcmp(incarnation, work->store->incarnation) != 0) {
        page->status = 409;
        page->why = "The snapshot was begun in another incarnation of this store: begin again.";
    } else if (code == FH_OK && (place == PLACE_AHEAD || place == PLACE_ANOTHER)) {
        page->status = 409;
        page->why =
            "The snapshot was begun in a store whose history has diverged since: begin again.";
    }
    return code;
}

static enum fh_code read_position(struct page *page, struct store_work *work,
                                  struct fh_error *error)
{
    enum fh_code code = ledger_position(work, &page->position, error);
    return code == FH_OK ? place_id(work, page->position, page->position_id, error) : code;
}

/* For an engine whose reads each see their own moment: the commit tells whether all saw the same
 * state. If they did not, a handler's failure is not its own fault. */
static enum fh_code read_rows_apart(struct page *page, struct store *store, enum store_mode mode,
                                    struct fh_error *error)
{
    struct store_work *work;
    struct fh_error why = {0};
    enum fh_code code = store_begin(store, mode, &work, error);
    if (code != FH_OK)
        return code;
    code = read_page_rows(page, work, error);
    enum fh_code one = store_commit(work, &why);
    if (code != FH_OK && (one != FH_CONFLICT || !why.retryable))
        return code;
    *error = why;
    return one;
}

static enum fh_code read_page_once(struct page *page, struct store *store, enum store_mode mode,
                                   struct fh_error *error)
{
    struct store_work *work;
    bool apart = engine_can(store->engine, ENGINE_READS_APART);
    page->unsequenced = false;
    forget_places(page);
    store_sequence(store, NULL, 0, ERROR_UNHEEDED);
    enum fh_code code = store_begin(store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = read_position(page, work, error);
    if (code == FH_OK)
        code = judge_seen_place(page, work, error);
    bool wanted = code == FH_OK && page->status == 200 && page->limit > 0;
    if (wanted && !apart)
        code = read_page_rows(page, work, error);
    store_rollback(work);
    if (wanted && apart)
        code = read_rows_apart(page, store, mode, error);
    if (code != FH_OK || page->unsequenced || !wanted || !store->ops->sequence)
        return code;
    /* Gives positions to all events that the page reflects. */
    code = store_sequence(store, NULL, 0, error);
    if (code == FH_OK)
        code = store_begin(store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = read_position(page, work, error);
    store_rollback(work);
    return code;
}

/* ---- the answer ---- */

/* Reads the page once and writes the answer's body. *ret_again: its keys changed, or
 * events had no positions yet. */
static enum fh_code make_page(struct event_manager *manager, struct page *page,
                              enum store_mode mode, bool *ret_again, struct fh_error *error)
{
    enum fh_code code = read_page_once(page, manager->context->store, mode, error);
    *ret_again = code == FH_OK ? page->unsequenced : code == FH_CONFLICT && error->retryable;
    if (code != FH_OK || *ret_again || page->status != 200)
        return code;
    code = page_write(page, error);
    if (code == FH_OK && page->body.overflow)
        return error_set(error, FH_NO_MEMORY, "A page would be larger than %zu MiB.",
                         SNAPSHOT_BODY_SIZE_MAX >> 20);
    return code;
}

static enum fh_code read_snapshot_page(struct event_manager *manager, struct page *page,
                                       struct fh_error *error)
{
    struct world *world = manager->context->world;
    struct portion *portion =
        &manager->pages[page->published - manager->context->service->publishes];
    for (int tries = 1;;) {
        bool again;
        int most = portion_size(portion, SNAPSHOT_ROWS_MAX);
        page->limit = page->limit < most ? page->limit : most;
        enum store_mode mode = tries < SNAPSHOT_TRIES_BESIDE ? STORE_WRITE : STORE_WRITE_EXCLUSIVE;
        enum fh_code code = make_page(manager, page, mode, &again, error);
        if (code == FH_OK && !again) {
            if (page->limit > 0 && (int)json_array_size(page->keys) == page->limit)
                portion_passed(portion, page->limit);
            return code;
        }
        if (!again && (code == FH_UNAVAILABLE || page->limit == 0))
            return code;
        if (!again && page->limit == 1)
            return page_name_row(page, code, error);
        if (manager->draining || (again && tries == SNAPSHOT_TRIES_MAX))
            return error_set(error, FH_UNAVAILABLE,
                             "Keys of this page change, or their events wait for positions.");
        page->limit = (page->limit + 1) / 2;
        if (again)
            fiber_sleep_until(world, world_in_ms(world, SNAPSHOT_PAUSE_MS));
        else
            portion_failed(portion, page->limit);
        tries += again;
    }
}

static void answer_snapshot_page(struct event_manager *manager, struct page *page,
                                 struct feed_answer *ret)
{
    if (page->status == 409) {
        feed_problem(ret, problem_new(PROBLEM_SNAPSHOT_OUTDATED, page->why, NULL));
        return;
    }
    snprintf(ret->incarnation, sizeof ret->incarnation, "%s", manager->context->store->incarnation);
    snprintf(ret->next, sizeof ret->next, "%" PRId64 ",%s", page->position, page->position_id);
    feed_header(ret, "Freehold-Incarnation", ret->incarnation);
    feed_header(ret, "Freehold-Position", ret->next);
    ret->status = page->status;
    if (page->status == 304)
        return;
    ret->content_type = SNAPSHOT_CONTENT_TYPE;
    ret->body_length = page->body.length;
    ret->body = text_take(&page->body);
}

static bool take_digests(struct page *page)
{
    char typed[VERSIONS_TYPE_SIZE];
    const struct fields *fields = &page->asked.fields;
    const char *type = fields_type(fields, page->published->type, page->asked.version, typed);
    size_t i;
    json_t *name;
    page->asked.digests = json_object_get(page->typed, "digests");
    json_array_foreach (page->asked.digests, i, name) {
        if (!fields_gives(fields, type, json_string_value(name)))
            return false;
    }
    return true;
}

/* NULL, or a description of the error, with its type. */
static const char *page_prepare(struct page *page, const struct work_context *context,
                                enum problem_type *ret_type)
{
    const char *partition = json_string_value(json_object_get(page->typed, "share"));
    *ret_type = PROBLEM_EVENT_TYPE_UNKNOWN;
    page->published =
        find_published(context->service, json_string_value(json_object_get(page->typed, "type")));
    if (!page->published)
        return "This service gives no state of that type.";
    *ret_type = PROBLEM_PARAMETERS_INVALID;
    if (!query_share(partition ? partition : "0/1", &page->partition_index, &page->partition_count))
        return "`share` must be I/N, with I from 0 to N - 1 and N from 1 to 256.";
    if (!fields_parse(json_object_get(page->typed, "fields"), &page->asked.fields))
        return "`fields` must be names, or Type:name, separated by commas.";
    if (!versions_are_asked(json_object_get(page->typed, "versions")))
        return VERSIONS_WRONG;
    page->asked.version =
        versions_asked(json_object_get(page->typed, "versions"), page->published->type);
    if (!take_digests(page))
        return "`digests` must be names of fields that are among `fields`.";
    page->integers = key_field(page->published)->type == FH_INT;
    page->limit = (int)snapshot_integer_or(page->typed, "limit", SNAPSHOT_ROWS_MAX);
    return NULL;
}

/* False: the answer says what was not granted. */
static bool page_judge(const struct page *page, const struct event_grant *grant,
                       struct feed_answer *ret)
{
    struct text why;
    json_t *types = json_pack("[O]", json_object_get(page->typed, "type")), *granted = NULL;
    text_init(&why, FEED_WHY_LENGTH_MAX);
    bool may =
        grant_judge_name(grant, json_string_value(json_object_get(page->typed, "name")), &why) &&
        grant_judge(grant, GRANT_STATE, types, &page->asked.fields, &granted, &why);
    if (!may)
        feed_refuse(ret, &why);
    json_decref(granted);
    json_decref(types);
    text_release(&why);
    return may;
}

static void answer_page(struct event_manager *manager, struct page *page, struct feed_answer *ret)
{
    struct fh_error error;
    char text[FAULT_TEXT_SIZE];
    work_init(&page->w, manager->context, list_rows);
    page->w.read_only = true;
    page->w.doing =
        doing_of((doing_function *)page->published->state, "state of %s", page->published->type);
    page->w.deadline_ns = world_in_ms(manager->context->world, HANDLER_MS_MAX);
    map_init(&page->places);
    text_init(&page->body, SNAPSHOT_BODY_SIZE_MAX);
    enum fh_code code = read_snapshot_page(manager, page, &error);
    if (code == FH_OK && page->status != 409 && json_object_get(page->typed, "incarnation"))
        subscribers_told(manager, json_string_value(json_object_get(page->typed, "name")),
                         json_object_get(page->typed, "share")
                             ? json_string_value(json_object_get(page->typed, "share"))
                             : "0/1",
                         snapshot_integer_or(page->typed, "done", 0),
                         snapshot_integer_or(page->typed, "done", 0));
    if (code == FH_OK) {
        answer_snapshot_page(manager, page, ret);
    } else {
        int status = fault_take(&page->w);
        log_warning("snapshot-failed", "A page of a snapshot could not be read: %s",
                    status ? fault_text(&page->w, text) : error.message);
        feed_failed(ret, &error, status == 500);
    }
    text_release(&page->body);
    forget_places(page);
    map_release(&page->places);
    work_release(&page->w);
}

static void answer_query(struct event_manager *manager, const json_t *typed,
                         const struct event_grant *grant, struct feed_answer *ret)
{
    struct page page = {.typed = typed};
    enum problem_type type;
    const char *wrong = page_prepare(&page, manager->context, &type);
    if (wrong)
        feed_problem(ret, problem_new(type, wrong, NULL));
    if (!wrong && page_judge(&page, grant, ret))
        answer_page(manager, &page, ret);
}
void snapshot_answer(struct event_manager *manager, const json_t *strings,
                     const struct event_grant *grant, struct feed_answer *ret)
{
    json_t *typed;
    *ret = (struct feed_answer){0};
    json_t *faults = shape_query(snapshot_shape, strings, &typed);
    if (faults) {
        feed_problem(ret, problem_new(PROBLEM_PARAMETERS_INVALID,
                                      "The snapshot's parameters are wrong.", faults));
        json_decref(faults);
        return;
    }
    answer_query(manager, typed, grant, ret);
    json_decref(typed);
}
