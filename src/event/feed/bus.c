/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks the feed, and parses its answer. The answer came over the network: nothing in it is trusted
 * unchecked, because a cursor that moved wrongly would lose events for ever.
 */

#include "event/feed/bus.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "event/feed/feed.h"
#include "event/feed/query.h"
#include "work/work.h"

#define PATH_LENGTH_MAX ((size_t)32 << 10)

struct bus_reader {
    const struct bus_subscriber *subscriber;
    struct text wanted; /* "&types=...&fields=...&versions=...", the same in every question */
};

/* ---- the answer ---- */

/* Parses digits that end at `end`, '\0' or another character. */
static bool take_feed_position(const char *text, char end, int64_t *ret, const char **ret_end)
{
    char *at;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *ret = strtoll(text, &at, 10);
    *ret_end = at;
    return errno == 0 && *at == end;
}

/* "Freehold-Own: 15,ID", where the publisher has a relay and the partition has events. */
static enum fh_code parse_own_header(const struct world_request *answer, int64_t after,
                                     struct batch *batch, struct fh_error *error)
{
    const char *own = world_answer_header(answer, "freehold-own"), *end;
    if (own && (!chain_place_read(own, '\0', &batch->own, &end) || batch->own.position <= after ||
                batch->own.position > batch->next.position))
        return error_set(error, FH_INVALID, "Its Freehold-Own is not the place of an event in it.");
    return FH_OK;
}

/* "Freehold-Next: 17,ID" and "Freehold-Last: 20". */
static enum fh_code parse_feed_headers(const struct world_request *answer, struct batch *batch,
                                       struct fh_error *error)
{
    const char *incarnation = world_answer_header(answer, "freehold-incarnation");
    const char *next = world_answer_header(answer, "freehold-next");
    const char *last = world_answer_header(answer, "freehold-last");
    const char *end;
    if (!incarnation || !next || !last)
        return error_set(error, FH_INVALID, "It lacks Freehold-Incarnation, -Next or -Last.");
    if (!*incarnation || strlen(incarnation) >= ID_SIZE)
        return error_set(error, FH_INVALID, "Its Freehold-Incarnation is not an incarnation.");
    if (!take_feed_position(last, '\0', &batch->last, &end))
        return error_set(error, FH_INVALID, "Its Freehold-Last is not a position.");
    if (!take_feed_position(next, ',', &batch->next.position, &end) || strlen(end + 1) >= ID_SIZE ||
        (batch->next.position > 0) != (end[1] != '\0'))
        return error_set(error, FH_INVALID, "Its Freehold-Next is not a position with an id.");
    snprintf(batch->next.incarnation, sizeof batch->next.incarnation, "%s", incarnation);
    snprintf(batch->next.event_id, sizeof batch->next.event_id, "%s", end + 1);
    return FH_OK;
}

enum fh_code feed_batch_parse(const struct world_request *answer, const struct ledger_cursor *after,
                              int count_max, struct batch **ret, struct fh_error *error)
{
    struct batch *batch = batch_new(error);
    *ret = NULL;
    if (!batch)
        return error->code;
    enum fh_code code = parse_feed_headers(answer, batch, error);
    const char *continues = world_answer_header(answer, "freehold-continues");
    if (code == FH_OK && after->incarnation[0] &&
        strcmp(after->incarnation, batch->next.incarnation) != 0 &&
        (!continues || strcmp(after->incarnation, continues) != 0))
        code = error_set(error, FH_INVALID, "It is of another incarnation than was asked for.");
    if (code == FH_OK)
        code = parse_own_header(answer, after->position, batch, error);
    if (code == FH_OK)
        code = batch_read(batch, answer->answer, answer->answer_length, after->position, count_max,
                          error);
    if (code == FH_OK)
        *ret = batch;
    else
        batch_free(batch);
    return code;
}

/* ---- the question ---- */

static struct bus_reader *feed_open(const struct bus *bus, const struct bus_subscriber *subscriber)
{
    const char *separator = "&types=";
    struct bus_reader *reader = calloc(1, sizeof *reader);
    (void)bus;
    FH_ASSERT(reader != NULL);
    reader->subscriber = subscriber;
    text_init(&reader->wanted, PATH_LENGTH_MAX);
    for (int i = 0; i < subscriber->subscribed_count; i++) {
        text_add(&reader->wanted, separator);
        query_encode(&reader->wanted, subscriber->subscribed[i]->type);
        separator = ",";
    }
    separator = "&fields=";
    for (int i = 0; i < subscriber->subscribed_count; i++)
        query_add_fields(&reader->wanted, subscriber->context->service, subscriber->subscribed[i],
                         &separator);
    separator = "&versions=";
    for (int i = 0; i < subscriber->subscribed_count; i++)
        query_add_version(&reader->wanted, subscriber->subscribed[i], &separator);
    return reader;
}

static void feed_close(struct bus_reader *reader)
{
    text_release(&reader->wanted);
    free(reader);
}

static void feed_path_of(const struct bus_reader *reader, const struct bus_question *question,
                         struct text *out)
{
    const struct bus_subscriber *subscriber = reader->subscriber;
    text_init(out, PATH_LENGTH_MAX);
    text_printf(out, FEED_PATH "?name=%s&share=%s", work_reader(subscriber->context),
                subscriber->partition);
    if (question->after.incarnation[0])
        text_printf(out, "&incarnation=%s&after=%lld&id=%s&done=%lld", question->after.incarnation,
                    (long long)question->after.position, question->after.event_id,
                    (long long)question->done);
    if (question->seen)
        text_printf(out, "&seen=%lld&seen_id=%s", (long long)question->seen, question->seen_id);
    text_append(out, reader->wanted.data, reader->wanted.length);
    text_printf(out, "&limit=%d&wait=%d", question->limit, question->wait_s);
    FH_ASSERT(!out->overflow && !reader->wanted.overflow); /* at most 32 short names */
}

/* "users answers the feed with 403: " and the detail of its problem. */
static void tell_feed_refusal(const struct bus_subscriber *subscriber,
                              const struct world_request *request, char why[BUS_WHY_SIZE])
{
    json_t *problem = NULL;
    json_parse(request->answer, request->answer_length, &problem, ERROR_UNHEEDED);
    const char *detail = json_string_at(problem, "detail");
    snprintf(why, BUS_WHY_SIZE, "%s answers the feed with %d%s%s", subscriber->source,
             request->status, detail ? ": " : ".", detail ? detail : "");
    json_decref(problem);
}

static enum bus_verdict feed_verdict_of(const struct bus_subscriber *subscriber,
                                        const struct world_request *request,
                                        const struct bus_question *question, struct batch **ret,
                                        char why[BUS_WHY_SIZE])
{
    struct fh_error error;
    switch (request->status) {
    case 200:
        if (feed_batch_parse(request, &question->after, question->limit, ret, &error) == FH_OK)
            return BUS_BATCH;
        snprintf(why, BUS_WHY_SIZE, "%s answered the feed with what can't be read: %s",
                 subscriber->source, error.message);
        return BUS_UNREADABLE;
    case 409:
        snprintf(why, BUS_WHY_SIZE,
                 "The publisher's store is not the one that was read so far (409): it was restored "
                 "or replaced");
        return BUS_RESYNC;
    case 410:
        snprintf(why, BUS_WHY_SIZE,
                 "The publisher has trimmed events that were not read yet (410)");
        return BUS_RESYNC;
    case 0:
        snprintf(why, BUS_WHY_SIZE, "%s can't be reached: %s.", subscriber->source,
                 request->failure ? request->failure : "no answer");
        return BUS_UNREACHABLE;
    default: /* 403 too: while it is upgraded, its new needs may be granted later than it asks */
        tell_feed_refusal(subscriber, request, why);
        return BUS_UNREACHABLE;
    }
}

static enum bus_verdict feed_fetch(struct bus_reader *reader, const struct bus_question *question,
                                   struct batch **ret, char why[BUS_WHY_SIZE])
{
    const struct bus_subscriber *subscriber = reader->subscriber;
    const struct work_context *context = subscriber->context;
    struct text path;
    char from[128];
    *ret = NULL;
    feed_path_of(reader, question, &path);
    snprintf(from, sizeof from, "%s/%s", context->service->name, context->store->incarnation);
    struct world_request request = {
        .service = subscriber->source,
        .method = "GET",
        .path = path.data,
        .headers = {{"Accept", FEED_CONTENT_TYPE}, {"Freehold-From", from}},
        .deadline_ns = question->deadline_ns,
    };
    int64_t asked_ns = world_monotonic_ns(context->world);
    world_request_wait(context->world, &request);
    enum bus_verdict verdict = feed_verdict_of(subscriber, &request, question, ret, why);
    if (verdict == BUS_BATCH && (*ret)->next.position >= (*ret)->last)
        (*ret)->asked_ns = asked_ns;
    world_request_release(&request);
    text_release(&path);
    return verdict;
}

const struct bus feed_bus = {.open = feed_open, .fetch = feed_fetch, .close = feed_close};
