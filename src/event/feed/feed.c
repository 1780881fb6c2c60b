/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The feed is a user of the outbox's reader (outbox/reader.h), which judges the place and finds the
 * events. Here a query becomes a reading, events become envelopes in a body, results become a
 * status and headers, and a reading that found nothing becomes a long poll.
 *
 *   judged  200 | 409 | 410
 *   empty   wait for a commit, until `wait` is over, the service drains, or events of other
 *           types have been passed over for OUTBOX_SKIPPED_HOLD_MS
 *
 * An event in a later version than its reader asks for is cast to that, if this program has the
 * casts. If they fail, the reader gets it as it is, and parks it. One in a later version than the
 * program's own was published by the next program, during an upgrade: the answer ends before it, or
 * is 503 if it would be the first, since an instance of that program knows what to make of it. That
 * is believed for FEED_NEWER_MS_MAX, and only while there are other instances: if the upgrade was
 * taken back, nobody knows, and other keys must not wait.
 */

#include "event/feed/feed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "event/envelope.h"
#include "event/feed/query.h"
#include "event/fields.h"
#include "event/outbox/reader.h"
#include "event/outbox/subscribers.h"
#include "event/versions.h"
#include "shape/problem.h"
#include "shape/shape.h"
#include "work/work.h"
#include "world/world.h"

static const fh_field feed_shape[] = {
    {"incarnation", FH_STRING, .max = ID_SIZE - 1, .optional = true},
    {"after", FH_INT, .min = 0, .max = INT64_MAX, .optional = true},
    {"id", FH_STRING, .max = ID_SIZE - 1, .optional = true},
    {"done", FH_INT, .min = 0, .max = INT64_MAX, .optional = true},
    {"seen", FH_INT, .min = 0, .max = INT64_MAX, .optional = true},
    {"seen_id", FH_STRING, .max = ID_SIZE - 1, .optional = true},
    {"name", FH_STRING, .min = 1, .max = SUBSCRIBERS_NAME_LENGTH_MAX, .optional = true},
    {"share", FH_STRING, .max = 16, .optional = true},
    {"types", FH_LIST, .max = 64, .optional = true},
    {"fields", FH_LIST, .max = FIELDS_MAX, .optional = true},
    {"versions", FH_LIST, .max = 64, .optional = true},
    {"limit", FH_INT, .min = 1, .max = FEED_LIMIT_MAX, .optional = true},
    {"wait", FH_INT, .min = 0, .max = FEED_WAIT_S_MAX, .optional = true},
    {0}};

/* One request, and what its answer is made from. */
struct feed_request {
    struct outbox_reading reading;
    json_t *typed; /* the query; the texts point into it */
    json_t *types; /* to send, of those that were granted */
    const char *name, *partition;
    int64_t done;
    int64_t wait_ms;
    struct fields fields;
    const json_t *versions;
    char newer[256]; /* the first event's type, if it is in a later version than is known here */
    const char *service;
    struct text body;
};

/* ---- the answer ---- */

void feed_header(struct feed_answer *answer, const char *name, const char *value)
{
    FH_ASSERT(answer->header_count < FEED_HEADERS_MAX);
    answer->headers[answer->header_count++] = (struct http_header){name, value};
}

/* Takes the problem. */
void feed_problem(struct feed_answer *answer, json_t *problem)
{
    int status = (int)json_integer_value(json_object_get(problem, "status"));
    answer->status = status;
    answer->content_type = PROBLEM_CONTENT_TYPE;
    answer->body = json_text(problem);
    answer->body_length = strlen(answer->body);
    json_decref(problem);
    if (status == 503)
        feed_header(answer, "Retry-After", "1");
}

void feed_refuse(struct feed_answer *answer, const struct text *why)
{
    feed_problem(answer, problem_new(PROBLEM_CALLER_NOT_GRANTED, why->data, NULL));
    feed_header(answer, "Freehold-Refused", "caller");
}

enum problem_type feed_failure(const struct fh_error *error)
{
    return error->code == FH_UNAVAILABLE || error->retryable ? PROBLEM_DEPENDENCY_UNAVAILABLE
                                                             : PROBLEM_EVENTS_UNREADABLE;
}

void feed_failed(struct feed_answer *answer, const struct fh_error *error, bool by_handler)
{
    feed_problem(answer, problem_new(feed_failure(error),
                                     by_handler ? "The service's handler has a fault; its log "
                                                  "says which."
                                                : error->message,
                                     NULL));
    answer->logged = true;
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
static const char *refusal_of_place(enum place place, enum problem_type *ret_type)
{
    *ret_type = place == PLACE_TRIMMED ? PROBLEM_CURSOR_TRIMMED : PROBLEM_CURSOR_DIVERGED;
    switch (place) {
    case PLACE_HERE:
        return NULL;
    case PLACE_ELSEWHERE:
        return "The cursor is of another incarnation of this store, which was restored or moved "
               "since: resynchronise.";
    case PLACE_TRIMMED:
        return "What follows this cursor was trimmed: resynchronise.";
    case PLACE_AHEAD:
        return "The cursor is ahead of this store, which must have lost events: resynchronise.";
    case PLACE_ANOTHER:
        return "Another event stands at the cursor's position in this store: resynchronise.";
    }
    return NULL;
}

static void answer_of_reading(struct event_manager *manager, struct feed_request *request,
                              struct feed_answer *answer)
{
    const struct outbox_reading *reading = &request->reading;
    enum problem_type type;
    const char *why = refusal_of_place(reading->place, &type);
    snprintf(answer->incarnation, sizeof answer->incarnation, "%s",
             manager->context->store->incarnation);
    snprintf(answer->last, sizeof answer->last, "%lld", (long long)reading->last);
    feed_header(answer, "Freehold-Incarnation", answer->incarnation);
    feed_header(answer, "Freehold-Last", answer->last);
    if (why) {
        json_t *problem = problem_new(type, why, NULL);
        json_object_set_new(problem, "incarnation", json_string(answer->incarnation));
        json_object_set_new(problem, "last", json_integer(reading->last));
        feed_problem(answer, problem);
        return;
    }
    if (reading->continued) {
        snprintf(answer->continues, sizeof answer->continues, "%s", reading->incarnation);
        feed_header(answer, "Freehold-Continues", answer->continues);
    }
    snprintf(answer->next, sizeof answer->next, "%lld,%s", (long long)reading->next,
             reading->next_id);
    feed_header(answer, "Freehold-Next", answer->next);
    if (reading->own.position > 0) {
        snprintf(answer->own, sizeof answer->own, "%lld,%s", (long long)reading->own.position,
                 reading->own.id);
        feed_header(answer, "Freehold-Own", answer->own);
    }
    text_add(&request->body, reading->count ? "]" : "[]");
    answer->status = 200;
    answer->content_type = FEED_CONTENT_TYPE;
    answer->body_length = request->body.length;
    answer->body = text_take(&request->body);
    manager->counters.sent += (uint64_t)reading->count;
}

/* ---- the query ---- */

static int64_t feed_integer_or(const json_t *typed, const char *name, int64_t otherwise)
{
    const json_t *value = json_object_get(typed, name);
    return value ? json_integer_value(value) : otherwise;
}

static const char *feed_string_or(const json_t *typed, const char *name, const char *otherwise)
{
    const char *value = json_string_value(json_object_get(typed, name));
    return value ? value : otherwise;
}

/* NULL, or a description of the error. */
static const char *query_read(struct feed_request *request)
{
    const json_t *typed = request->typed;
    struct outbox_reading *reading = &request->reading;
    struct outbox_filter *filter = &reading->filter;
    reading->incarnation = feed_string_or(typed, "incarnation", "");
    reading->after = feed_integer_or(typed, "after", 0);
    reading->id = feed_string_or(typed, "id", "");
    reading->seen = feed_integer_or(typed, "seen", 0);
    reading->seen_id = feed_string_or(typed, "seen_id", "");
    reading->limit = (int)feed_integer_or(typed, "limit", FEED_LIMIT_DEFAULT);
    request->done = feed_integer_or(typed, "done", 0);
    request->name = feed_string_or(typed, "name", NULL);
    request->partition = feed_string_or(typed, "share", "0/1");
    request->wait_ms = feed_integer_or(typed, "wait", 0) * 1000;
    if (!query_share(request->partition, &filter->partition, &filter->partitions))
        return "`share` must be I/N, with I from 0 to N - 1 and N from 1 to 256.";
    if (reading->after > 0 && (!*reading->incarnation || !*reading->id))
        return "With `after`, `incarnation` and the `id` of the event there are needed.";
    if (request->done > reading->after)
        return "`done` can't be beyond `after`: what was not read can't have been committed.";
    if (!fields_parse(json_object_get(typed, "fields"), &request->fields))
        return "`fields` must be names, or Type:name, separated by commas.";
    request->versions = json_object_get(typed, "versions");
    if (!versions_are_asked(request->versions))
        return VERSIONS_WRONG;
    return NULL;
}

/* Sets which types are sent. False: the answer says what was not granted. */
static bool query_judge(struct feed_request *request, const struct event_grant *grant,
                        struct feed_answer *answer)
{
    struct text why;
    text_init(&why, FEED_WHY_LENGTH_MAX);
    bool may = grant_judge_name(grant, request->name, &why) &&
               grant_judge(grant, GRANT_EVENTS, json_object_get(request->typed, "types"),
                           &request->fields, &request->types, &why);
    if (!may)
        feed_refuse(answer, &why);
    request->reading.filter.types = request->types;
    text_release(&why);
    return may;
}

/* False: the answer describes the error. */
static bool query_parse(struct feed_request *request, const json_t *strings,
                        const struct event_grant *grant, struct feed_answer *answer)
{
    json_t *faults = shape_query(feed_shape, strings, &request->typed);
    if (faults) {
        feed_problem(answer, problem_new(PROBLEM_PARAMETERS_INVALID,
                                         "The feed's parameters are wrong.", faults));
        json_decref(faults);
        return false;
    }
    const char *wrong = query_read(request);
    if (wrong)
        feed_problem(answer, problem_new(PROBLEM_PARAMETERS_INVALID, wrong, NULL));
    else if (query_judge(request, grant, answer))
        return true;
    json_decref(request->typed);
    return false;
}

/* ---- the body ---- */

static bool write_fed_event(struct feed_request *request, const struct ledger_event *event)
{
    bool first = request->reading.count == 0;
    /* Each byte of a key may be escaped as six; type, id and trace are short. */
    size_t size = strlen(event->data) + 6 * strlen(event->key) + ENVELOPE_FRAME_SIZE;
    if (!first && request->body.length + size > FEED_BODY_SIZE_MAX)
        return false;
    text_append(&request->body, first ? "[" : ",", 1);
    envelope_write(&request->body, request->service, event, &request->fields);
    return true;
}

/* The reader parks it, and says in which version it came. */
static void tell_failed_cast(struct event_manager *manager, const struct ledger_event *event,
                             int asked, const struct fh_error *error)
{
    unsigned held_back;
    struct world *world = manager->context->world;
    if (log_rate_passes(&manager->casts_failed, FEED_CASTS_TOLD_A_SECOND, world_monotonic_ns(world),
                        &held_back))
        log_error("event-not-cast",
                  "%s %s at %lld is sent in its version %d, and not in version %d: %s", event->type,
                  event->id, (long long)event->position, event->version, asked, error->message);
}

static bool may_be_cast_by_others(const struct event_manager *manager,
                                  const struct ledger_event *event)
{
    int64_t age_ms = world_wall_ms(manager->context->world) - event->time_ms;
    return lease_members(manager->context->leases) > 1 && age_ms >= 0 && age_ms < FEED_NEWER_MS_MAX;
}

static bool take_event(void *context, const struct ledger_event *event)
{
    struct feed_request *request = context;
    struct event_manager *manager = request->reading.manager;
    struct ledger_event sent = *event;
    struct fh_error error;
    char *data = NULL;
    if (!request->versions)
        return write_fed_event(request, event);
    int asked = versions_asked(request->versions, event->type);
    switch (versions_for_reader(manager->context, event->type, event->version, asked, event->data,
                                &data, &error)) {
    case VERSIONS_NEWER:
        if (!may_be_cast_by_others(manager, event))
            break;
        if (request->reading.count > 0)
            return false;
        snprintf(request->newer, sizeof request->newer, "%s", event->type);
        return true;
    case VERSIONS_FAILED:
        tell_failed_cast(manager, event, asked, &error);
        break;
    case VERSIONS_CAST:
        sent.data = data;
        sent.version = asked;
        break;
    case VERSIONS_AS_IT_IS:
        break;
    }
    bool taken = request->newer[0] == '\0' && write_fed_event(request, &sent);
    json_text_free(data);
    return taken;
}

/* ---- the long poll ---- */

static enum fh_code feed_poll(struct event_manager *manager, struct feed_request *request,
                              struct fh_error *error)
{
    struct outbox_reading *reading = &request->reading;
    reading->until_ns = world_in_ms(manager->context->world, request->wait_ms);
    outbox_begin(reading);
    do {
        enum fh_code code = outbox_read(reading, error);
        if (code == FH_OK && request->body.overflow)
            code = error_set(error, FH_NO_MEMORY, "There is no memory for the feed's answer.");
        if (code == FH_OK && request->newer[0])
            code = error_set(error, FH_UNAVAILABLE,
                             "%.64s is published in a later version than this instance knows: "
                             "another one can answer.",
                             request->newer);
        if (code != FH_OK || reading->place != PLACE_HERE)
            return code; /* a refused cursor is not recorded */
        subscribers_told(manager, request->name, request->partition, request->done, reading->after);
    } while (reading->count == 0 && outbox_wait(reading));
    return FH_OK;
}

void feed_answer(struct event_manager *manager, const json_t *strings,
                 const struct event_grant *grant, struct feed_answer *ret)
{
    struct feed_request request = {.reading = {.manager = manager,
                                               .take = take_event,
                                               .context = &request,
                                               .follows = manager->relay != NULL},
                                   .service = manager->context->service->name};
    struct fh_error error;
    *ret = (struct feed_answer){0};
    manager->counters.feeds++;
    if (!query_parse(&request, strings, grant, ret))
        return;
    text_init(&request.body, TEXT_LENGTH_MAX);
    enum fh_code code = feed_poll(manager, &request, &error);
    if (code != FH_OK) {
        log_warning("feed-failed", "The feed could not be read: %s", error.message);
        feed_failed(ret, &error, false);
    } else {
        answer_of_reading(manager, &request, ret);
    }
    text_release(&request.body);
    json_decref(request.types);
    json_decref(request.typed);
}
