/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events have positions in the order of their commits, and times of when their units of work began:
 * nearly the same order. A time is looked for by halves, and then among the events just before what
 * was found.
 */

#include "cli/operate/replay_place.h"

#include <stdint.h>
#include <string.h>

#include "base/json.h"
#include "event/envelope.h"
#include "event/outbox/list.h"

#define POSITION_MAX (INT64_MAX / 2)
#define PLACE_PAGES_MAX 10000

/* They rise, and each is one that there can be. */
static bool events_lead_on(const json_t *events, long long after)
{
    json_t *event;
    size_t i;
    json_array_foreach (events, i, event) {
        long long position = cli_number(event, "position");
        if (position <= after || position > POSITION_MAX)
            return false;
        after = position;
    }
    return true;
}

/* Whatever a publisher says, the search for a place ends: positions have a bound, no page leads
 * back, and pages are counted. */
static bool page_leads_on(struct replay_place *place, const json_t *page, long long after)
{
    return place->pages++ < PLACE_PAGES_MAX && place->trimmed >= 0 &&
           place->trimmed <= place->last && place->last <= POSITION_MAX &&
           events_lead_on(json_object_get(page, "events"), after) &&
           cli_number(page, "next") >= after;
}

/* What the publisher has after a position. *ret: its answer, a new reference. */
static int read_place(struct replay_place *place, long long after, int limit, json_t **ret)
{
    json_t *values = json_pack("{s:I, s:i}", "after", (json_int_t)after, "limit", limit);
    *ret = NULL;
    int code = cli_operator_ask(place->asking, place->of, "GET",
                                "/_freehold/events?after={after}&limit={limit}", values, ret);
    if (code != CLI_DONE)
        return code;
    place->trimmed = cli_number(*ret, "trimmed");
    place->last = cli_number(*ret, "last");
    const char *incarnation = json_string_at(*ret, "incarnation");
    const char *id = json_string_at(*ret, "after_id");
    bool tells = incarnation && id && strlen(incarnation) < ID_SIZE && strlen(id) < ID_SIZE;
    if (tells && page_leads_on(place, *ret, after)) {
        snprintf(place->incarnation, ID_SIZE, "%s", incarnation);
        snprintf(place->id, ID_SIZE, "%s", id);
        return CLI_DONE;
    }
    json_decref(*ret);
    *ret = NULL;
    return cli_fail(CLI_FAILED,
                    tells ? "%s's answers about positions of its events contradict each other"
                          : "%s does not say which event is at a position: its program is an "
                            "older one",
                    place->of);
}

static int64_t event_time_ms(const json_t *event)
{
    int64_t time_ms = 0;
    const char *time = json_string_at(event, "time");
    return time && envelope_time_parse(time, &time_ms) ? time_ms : 0;
}

/* Of the first event after a position. False: there is none, or `code` says what went wrong. */
static bool first_after(struct replay_place *place, long long after, long long *ret_position,
                        int64_t *ret_ms, int *code)
{
    json_t *page = NULL;
    long long next = after;
    const json_t *event = NULL;
    do { /* many positions may be of Freehold's own events, which are not listed */
        json_decref(page);
        page = NULL;
        *code = read_place(place, next, 1, &page);
        event = json_array_get(json_object_get(page, "events"), 0);
        next = cli_number(page, "next");
    } while (*code == CLI_DONE && !event && next < place->last);
    if (event) {
        *ret_position = cli_number(event, "position");
        *ret_ms = event_time_ms(event);
    }
    json_decref(page);
    return event != NULL;
}

/* The earliest of those just before `found` that is not older either. */
static int look_before(struct replay_place *place, int64_t time_ms, long long *found)
{
    long long after = *found - 1 - EVENT_LIST_MAX;
    json_t *page, *event;
    size_t i;
    int code = read_place(place, after < 0 ? 0 : after, EVENT_LIST_MAX, &page);
    if (code != CLI_DONE)
        return code;
    json_array_foreach (json_object_get(page, "events"), i, event) {
        long long position = cli_number(event, "position");
        if (position < *found && event_time_ms(event) >= time_ms)
            *found = position;
    }
    json_decref(page);
    return code;
}

static int tell_trimmed(const struct replay_place *place, const char *oldest)
{
    if (place->trimmed >= place->last)
        return cli_fail(CLI_FAILED,
                        "%s has trimmed all of its events, up to position %lld: none can be "
                        "applied again. Take over its state instead (a rebuild, or a sync), and "
                        "have it keep more (retention: events_kept_s)",
                        place->of, place->trimmed);
    return cli_fail(CLI_FAILED,
                    "%s has trimmed its events up to position %lld%s%s: the oldest that can be "
                    "applied again is --from %lld",
                    place->of, place->trimmed, *oldest ? ", and the next one is of " : "", oldest,
                    place->trimmed + 1);
}

/* The first event that is not older than `time_ms`. */
static int find_time(struct replay_place *place, int64_t time_ms, long long *ret)
{
    char oldest[ENVELOPE_TIME_SIZE];
    long long position = 0, low = 0, high;
    int64_t at_ms = 0;
    int code = CLI_DONE;
    bool any = first_after(place, 0, &position, &at_ms, &code);
    if (code != CLI_DONE)
        return code;
    envelope_time(oldest, at_ms);
    if (place->trimmed > 0 && (!any || at_ms >= time_ms))
        return tell_trimmed(place, any ? oldest : "");
    high = place->last + 1; /* the answer is in (low, high], where `last + 1` is none */
    low = place->trimmed;
    *ret = high;
    while (low + 1 < high) {
        long long middle = low + (high - low) / 2;
        any = first_after(place, middle - 1, &position, &at_ms, &code);
        if (code != CLI_DONE)
            return code;
        if (any && at_ms < time_ms) {
            low = position;
        } else {
            high = middle;
            *ret = any ? position : *ret;
        }
    }
    if (*ret > place->last)
        return cli_fail(CLI_FAILED, "%s has published nothing since then", place->of);
    return look_before(place, time_ms, ret);
}

/* "2026-03-01", and the time of day, and parts of a second. */
static bool read_replay_time(const char *given, int64_t *ret_ms)
{
    static const char *const rests[] = {"", ".000Z", ":00.000Z", "T00:00:00.000Z"};
    char text[64];
    long long span_s;
    if (cli_read_span(given, &span_s)) {
        *ret_ms = cli_now_ms() - span_s * 1000;
        return true;
    }
    size_t length = strlen(given);
    if (length && given[length - 1] == 'Z' && !strchr(given, '.'))
        length--; /* ".000Z" follows */
    for (size_t i = 0; i < sizeof rests / sizeof *rests; i++) {
        int printed = snprintf(text, sizeof text, "%.*s%s", (int)(length > 40 ? 40 : length), given,
                               rests[i]);
        if (printed > 0 && envelope_time_parse(text, ret_ms))
            return true;
    }
    return false;
}

int replay_find_place(struct replay_place *place, const char *given)
{
    json_t *page;
    int64_t time_ms;
    long long first = 0;
    int code = CLI_DONE;
    if (cli_read_number(given, POSITION_MAX, &first)) {
        if (first == 0)
            return cli_fail(CLI_USAGE, "positions begin with 1");
    } else if (read_replay_time(given, &time_ms)) {
        code = find_time(place, time_ms, &first);
    } else {
        return cli_fail(CLI_USAGE,
                        "--from '%s' is no position, and no time: expected a number, a time such "
                        "as 2026-03-01T12:00:00Z, or a span before now such as 2h",
                        given);
    }
    if (code == CLI_DONE)
        code = read_place(place, first - 1, 1, &page);
    if (code != CLI_DONE)
        return code;
    json_decref(page);
    if (first - 1 < place->trimmed)
        return tell_trimmed(place, "");
    if (first > place->last)
        return cli_fail(CLI_FAILED, "%s has published events up to position %lld, none at %lld",
                        place->of, place->last, first);
    place->after = first - 1;
    return CLI_DONE;
}
