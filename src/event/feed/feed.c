/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The feed is a user of the outbox's reader (outbox/reader.h), which judges the place and finds the
 * events. Here a query becomes a reading, events become envelopes in a body, results become a
 * status and headers, and a reading that found nothing becomes a long poll.
 *
 *   judged  200 | 409 | 410
 *   empty   wait for a commit, until `wait` is over, the service drains, or events of other
 *           types have been passed over for OUTBOX_SKIPPED_HOLD_MS
 */

#include "event/feed/feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "event/envelope.h"
#include "event/fields.h"
#include "event/outbox/place.h"
#include "event/outbox/slice.h"
#include "shape/problem.h"
#include "shape/shape.h"
#include "store/ledger.h"
#include "work/work.h"
#include "world/world.h"

static const fh_field feed_shape[] = {
    {"incarnation", FH_STRING, .max = ID_SIZE - 1, .optional = true},
    {"after", FH_INT, .min = 0, .max = INT64_MAX, .optional = true},
    {"id", FH_STRING, .max = ID_SIZE - 1, .optional = true},
    {"done", FH_INT, .min = 0, .max = INT64_MAX, .optional = true},
    {"seen", FH_INT, .min = 0, .max = INT64_MAX, .optional = true},
    {"seen_id", FH_STRING, .max = ID_SIZE - 1, .optional = true},
    {"name", FH_STRING, .min = 1, .max = FEED_NAME_LENGTH_MAX, .optional = true},
    {"share", FH_STRING, .max = 16, .optional = true},
    {"types", FH_LIST, .max = 64, .optional = true},
    {"fields", FH_LIST, .max = FIELDS_MAX, .optional = true},
    {"limit", FH_INT, .min = 1, .max = FEED_LIMIT_MAX, .optional = true},
    {"wait", FH_INT, .min = 0, .max = FEED_WAIT_S_MAX, .optional = true},
    {0}};

/* One request, and what its answer is made from. */
struct feed_subscriber {
    char name[FEED_NAME_LENGTH_MAX + 1], partition[17];
    int64_t done, seen;
    bool dirty;
};

struct feed_query {
    json_t *typed; /* the query; the texts point into it */
    const char *incarnation, *id, *name, *partition, *seen_id;
    int64_t after, done, seen;
    unsigned partition_index, partition_count;
    const json_t *types;
    struct fields fields;
    int limit;
    int64_t wait_ms;
};

/* One snapshot's findings. */
struct feed_scan {
    const struct feed_query *query;
    const char *service;
    int status;
    const char *why; /* not 200 */
    struct text body;
    int count;
    int64_t last;
    int64_t next;
    char next_id[ID_SIZE];
    bool continued;
};

/* ---- the answer ---------------------------------------------------------------------------- */

void feed_header(struct feed_answer *answer, const char *name, const char *value)
{
    FH_ASSERT(answer->header_count < FEED_HEADERS_MAX);
    answer->headers[answer->header_count++] = (struct http_header){name, value};
}

/* Takes the problem. */
void feed_problem(struct feed_answer *answer, int status, json_t *problem)
{
    answer->status = status;
    answer->content_type = PROBLEM_CONTENT_TYPE;
    answer->body = json_text(problem);
    answer->body_length = strlen(answer->body);
    json_decref(problem);
    if (status == 503)
        feed_header(answer, "Retry-After", "1");
}

int feed_status(const struct fh_error *error)
{
    return error->code == FH_UNAVAILABLE || error->retryable ? 503 : 500;
}

void feed_answer_release(struct feed_answer *answer)
{
    if (answer->content_type && strcmp(answer->content_type, PROBLEM_CONTENT_TYPE) != 0)
        free(answer->body);
    else
        json_text_free(answer->body);
    answer->body = NULL;
}

/* Why the reader's place is refused; NULL: it is not refused. */
static void answer_of_scan(struct event_manager *manager, struct feed_scan *scan,
                           struct feed_answer *answer)
{
    snprintf(answer->incarnation, sizeof answer->incarnation, "%s",
             manager->context->store->incarnation);
    snprintf(answer->last, sizeof answer->last, "%lld", (long long)scan->last);
    feed_header(answer, "Freehold-Incarnation", answer->incarnation);
    feed_header(answer, "Freehold-Last", answer->last);
    if (scan->status != 200) {
        json_t *problem = problem_new(scan->status, scan->why, NULL);
        json_object_set_new(problem, "incarnation", json_string(answer->incarnation));
        json_object_set_new(problem, "last", json_integer(scan->last));
        feed_problem(answer, scan->status, problem);
        return;
    }
    if (scan->continued) {
        snprintf(answer->continues, sizeof answer->continues, "%s", scan->query->incarnation);
        feed_header(answer, "Freehold-Continues", answer->continues);
    }
    snprintf(answer->next, sizeof answer->next, "%lld,%s", (long long)scan->next, scan->next_id);
    feed_header(answer, "Freehold-Next", answer->next);
    text_add(&scan->body, scan->count ? "]" : "[]");
    answer->status = 200;
    answer->content_type = FEED_CONTENT_TYPE;
    answer->body_length = scan->body.length;
    answer->body = text_take(&scan->body);
    manager->counters.sent += (uint64_t)scan->count;
}

/* ---- the query ----------------------------------------------------------------------------- */

static int64_t integer_or(const json_t *typed, const char *name, int64_t otherwise)
{
    const json_t *value = json_object_get(typed, name);
    return value ? json_integer_value(value) : otherwise;
}

static const char *string_or(const json_t *typed, const char *name, const char *otherwise)
{
    const char *value = json_string_value(json_object_get(typed, name));
    return value ? value : otherwise;
}

/* NULL, or a description of the error. */
static const char *query_read(struct feed_query *query)
{
    const json_t *typed = query->typed;
    query->incarnation = string_or(typed, "incarnation", "");
    query->after = integer_or(typed, "after", 0);
    query->id = string_or(typed, "id", "");
    query->done = integer_or(typed, "done", 0);
    query->seen = integer_or(typed, "seen", 0);
    query->seen_id = string_or(typed, "seen_id", "");
    query->name = string_or(typed, "name", NULL);
    query->partition = string_or(typed, "share", "0/1");
    query->types = json_object_get(typed, "types");
    query->limit = (int)integer_or(typed, "limit", FEED_LIMIT_DEFAULT);
    query->wait_ms = integer_or(typed, "wait", 0) * 1000;
    if (!place_share(query->partition, &query->partition_index, &query->partition_count))
        return "`share` must be I/N, with I from 0 to N - 1 and N from 1 to 256.";
    if (query->after > 0 && (!*query->incarnation || !*query->id))
        return "With `after`, `incarnation` and the `id` of the event there are needed.";
    if (query->done > query->after)
        return "`done` can't be beyond `after`: what was not read can't have been committed.";
    if (!fields_parse(json_object_get(typed, "fields"), &query->fields))
        return "`fields` must be names, or Type:name, separated by commas.";
    return NULL;
}

/* False: the answer describes the error. */
static bool query_parse(struct feed_query *query, const json_t *strings, struct feed_answer *answer)
{
    json_t *faults = shape_query(feed_shape, strings, &query->typed);
    if (faults) {
        feed_problem(answer, 400, problem_new(400, "The feed's parameters are wrong.", faults));
        json_decref(faults);
        return false;
    }
    const char *wrong = query_read(query);
    if (!wrong)
        return true;
    feed_problem(answer, 400, problem_new(400, wrong, NULL));
    json_decref(query->typed);
    return false;
}

/* ---- the body ------------------------------------------------------------------------------ */

static bool is_wanted(const struct feed_query *query, const struct ledger_event *event)
{
    if (strncmp(event->type, SLICE_INTERNAL_PREFIX, sizeof SLICE_INTERNAL_PREFIX - 1) == 0)
        return false;
    if (query->partition_count > 1 &&
        envelope_partition(event->key, query->partition_count) != query->partition_index)
        return false;
    if (!query->types)
        return true;
    size_t index;
    json_t *type;
    json_array_foreach (query->types, index, type) {
        if (strcmp(json_string_value(type), event->type) == 0)
            return true;
    }
    return false;
}

static bool scan_event(void *context, const struct ledger_event *event)
{
    struct feed_scan *scan = context;
    bool wanted = is_wanted(scan->query, event);
    if (wanted) {
        /* Each byte of a key may become six; type, id and trace are short. */
        size_t size = strlen(event->data) + 6 * strlen(event->key) + ENVELOPE_FRAME_SIZE;
        if (scan->count > 0 && scan->body.length + size > FEED_BODY_SIZE_MAX)
            return false;
        text_append(&scan->body, scan->count ? "," : "[", 1);
        envelope_write(&scan->body, scan->service, event, &scan->query->fields);
        scan->count++;
    }
    scan->next = event->position;
    snprintf(scan->next_id, sizeof scan->next_id, "%s", event->id);
    return scan->count < scan->query->limit;
}

/* ---- the long poll ------------------------------------------------------------------------- */

static enum fh_code scan_judge(struct feed_scan *scan, struct store_work *work,
                               struct fh_error *error)
{
    const struct feed_query *query = scan->query;
    int64_t cut = 0;
    enum fh_code code = FH_OK;
    scan->continued = false;
    if (*query->incarnation && strcmp(query->incarnation, work->store->incarnation) != 0) {
        code = ledger_ancestor_cut(work, query->incarnation, &cut, error);
        scan->continued = code == FH_OK && query->after <= cut;
        if (!scan->continued) {
            scan->status = 409;
            scan->why = "The cursor is of another incarnation of this store, which was restored or "
                        "moved since: resynchronise.";
            return code == FH_NOT_FOUND ? FH_OK : code;
        }
    }
    enum place place, seen = PLACE_HERE;
    code = place_judge(work, scan->last, query->after, query->id, &place, error);
    if (code == FH_OK && query->seen > query->after)
        code = place_judge(work, scan->last, query->seen, query->seen_id, &seen, error);
    if (code != FH_OK)
        return code;
    if (place == PLACE_TRIMMED) {
        scan->status = 410;
        scan->why = "What follows this cursor was trimmed: resynchronise.";
    } else if (place == PLACE_AHEAD || seen == PLACE_AHEAD) {
        scan->status = 409;
        scan->why = "The cursor is ahead of this store, which must have lost events: "
                    "resynchronise.";
    } else if (place == PLACE_ANOTHER || seen == PLACE_ANOTHER) {
        scan->status = 409;
        scan->why = "Another event stands at the cursor's position in this store: resynchronise.";
    }
    return FH_OK;
}

/* Of several shares each reads all the rows, so that they read them together. */
static enum fh_code scan_rows(struct feed_scan *scan, struct event_manager *manager,
                              struct store_work *work, struct fh_error *error)
{
    if (scan->query->partition_count > 1)
        return slice_read(manager, work, scan->next, scan->last, FEED_SCAN_MAX, scan_event, scan,
                          error);
    return ledger_outbox_read(work, scan->next, FEED_SCAN_MAX, scan_event, scan, error);
}

static enum fh_code scan_run(struct feed_scan *scan, struct event_manager *manager,
                             struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(manager->context->store, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    scan->status = 200;
    code = ledger_position(work, &scan->last, error);
    if (code == FH_OK)
        code = scan_judge(scan, work, error);
    if (code == FH_OK && scan->status == 200 && scan->last > scan->next)
        code = scan_rows(scan, manager, work, error);
    /* Where rows that came meanwhile are read, too; a cursor that is refused proves nothing. */
    if (scan->status == 200 && scan->last < scan->next)
        scan->last = scan->next;
    store_rollback(work);
    if (code == FH_OK && scan->body.overflow)
        code = error_set(error, FH_NO_MEMORY, "There is no memory for the feed's answer.");
    return code;
}

/* ---- what subscribers have told ------------------------------------------------------------ */

static enum fh_code record_all(struct event_manager *manager, struct fh_error *error)
{
    struct work_context *context = manager->context;
    struct store_work *work;
    struct map_entry *entry = NULL;
    const char *key;
    void *value;
    enum fh_code code = store_begin(context->store, STORE_WRITE, &work, error);
    if (code != FH_OK)
        return code;
    while (code == FH_OK && map_next(&manager->subscribers, &entry, &key, &value)) {
        struct feed_subscriber *subscriber = value;
        if (!subscriber->dirty)
            continue;
        code = ledger_subscriber_put(work, subscriber->name, subscriber->partition,
                                     context->store->incarnation, subscriber->done,
                                     subscriber->seen, world_wall_ms(context->world), error);
        /* Told anew while the commit is under way, it is written down again. */
        subscriber->dirty = false;
    }
    if (code != FH_OK) {
        store_rollback(work);
        return code;
    }
    CRASH_POINT("subscriber.recorded");
    code = store_commit(work, error);
    CRASH_POINT("subscriber.durable");
    return code;
}

static bool any_dirty(struct event_manager *manager)
{
    struct map_entry *entry = NULL;
    const char *key;
    void *value;
    while (map_next(&manager->subscribers, &entry, &key, &value)) {
        if (((struct feed_subscriber *)value)->dirty)
            return true;
    }
    return false;
}

/* Lives while there is something to write down. A failed record is not repeated: what is told
 * next will be recorded, and until then trimming only waits. */
static void recorder(void *argument)
{
    struct event_manager *manager = argument;
    struct world *world = manager->context->world;
    struct fh_error error;
    bool failed = false;
    while (any_dirty(manager) &&
           event_manager_sleep(manager,
                               manager->recorded_ns + FEED_RECORD_INTERVAL_MS * INT64_C(1000000))) {
        manager->recorded_ns = world_monotonic_ns(world);
        enum fh_code code = record_all(manager, &error);
        if (code != FH_OK && !failed)
            log_warning("What subscribers have committed could not be written down: %s",
                        error.message);
        failed = code != FH_OK;
    }
    manager->recording = false;
    event_manager_fiber_ends(manager);
}

void feed_told(struct event_manager *manager, const char *name, const char *partition, int64_t done,
               int64_t seen)
{
    char key[FEED_NAME_LENGTH_MAX + 20];
    if (!name || manager->draining)
        return;
    snprintf(key, sizeof key, "%s %s", name, partition);
    struct feed_subscriber *subscriber = map_get(&manager->subscribers, key);
    if (!subscriber) {
        if (manager->subscribers.count >= FEED_SUBSCRIBERS_MAX)
            return;
        subscriber = calloc(1, sizeof *subscriber);
        FH_ASSERT(subscriber != NULL);
        snprintf(subscriber->name, sizeof subscriber->name, "%s", name);
        snprintf(subscriber->partition, sizeof subscriber->partition, "%s", partition);
        subscriber->done = -1;
        map_put(&manager->subscribers, key, subscriber);
    }
    if (subscriber->done == done && subscriber->seen == seen)
        return;
    subscriber->done = done;
    subscriber->seen = seen;
    subscriber->dirty = true;
    if (!manager->recording)
        manager->recording = event_manager_fiber(manager, recorder, manager);
}

void feed_release(struct event_manager *manager)
{
    struct map_entry *entry = NULL;
    const char *key;
    void *value;
    while (map_next(&manager->subscribers, &entry, &key, &value))
        free(value);
    map_release(&manager->subscribers);
}

/* ---- the long poll ------------------------------------------------------------------------- */

/* Waits for a commit after `commits` was read. False: time to answer with what there is. */
static bool wait_for_more(struct event_manager *manager, const struct feed_scan *scan,
                          uint64_t commits, int64_t *deadline_ns, bool *skipped)
{
    struct world *world = manager->context->world;
    if (scan->next < scan->last)
        return true; /* the scan ended at its bound: there is more to look at */
    if (scan->next > scan->query->after && !*skipped) {
        int64_t hold_ns = world_in_ms(world, FEED_SKIPPED_HOLD_MS);
        if (hold_ns < *deadline_ns)
            *deadline_ns = hold_ns;
        *skipped = true;
    }
    if (manager->draining || world_monotonic_ns(world) >= *deadline_ns)
        return false;
    if (manager->commits != commits)
        return true;
    if (manager->reader_count >= FEED_READERS_MAX)
        return false;
    manager->reader_count++;
    slice_rest(manager);
    event_look_soon(manager);
    bool woken = fiber_wait_until(&manager->readers, world, *deadline_ns);
    manager->reader_count--;
    return woken && !manager->draining;
}

static enum fh_code feed_poll(struct event_manager *manager, struct feed_scan *scan,
                              struct fh_error *error)
{
    int64_t deadline_ns = world_in_ms(manager->context->world, scan->query->wait_ms);
    bool skipped = false;
    for (;;) {
        uint64_t commits = manager->commits;
        enum fh_code code = scan_run(scan, manager, error);
        if (code == FH_OK && scan->last > manager->position)
            manager->position = scan->last; /* internal events take positions without a word here */
        if (code != FH_OK || scan->status != 200)
            return code; /* a cursor that is refused records nothing */
        feed_told(manager, scan->query->name, scan->query->partition, scan->query->done,
                  scan->query->after);
        if (scan->count > 0)
            return FH_OK;
        if (!wait_for_more(manager, scan, commits, &deadline_ns, &skipped))
            return FH_OK;
    }
}

void feed_answer(struct event_manager *manager, const json_t *strings, struct feed_answer *ret)
{
    struct feed_query query = {0};
    struct fh_error error;
    *ret = (struct feed_answer){0};
    manager->counters.feeds++;
    if (!query_parse(&query, strings, ret))
        return;
    struct feed_scan scan = {
        .query = &query, .service = manager->context->service->name, .next = query.after};
    snprintf(scan.next_id, sizeof scan.next_id, "%s", query.id);
    text_init(&scan.body, TEXT_LENGTH_MAX);
    enum fh_code code = feed_poll(manager, &scan, &error);
    if (code != FH_OK) {
        log_warning("The feed could not be read: %s", error.message);
        int status = feed_status(&error);
        feed_problem(ret, status, problem_new(status, error.message, NULL));
    } else {
        answer_of_scan(manager, &scan, ret);
    }
    text_release(&scan.body);
    json_decref(query.typed);
}
