/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events that a service has applied are applied again. Its publisher says where they begin; then
 * each process of the service is asked, since each has some of the partitions.
 *
 * Events have positions in the order of their commits, and times of when their units of work began:
 * nearly the same order. A time is looked for by halves, and then among the events just before what
 * was found.
 */

#include "cli/operate/replay.h"

#include <poll.h>
#include <stdint.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "event/envelope.h"
#include "event/feed/query.h"
#include "event/outbox/list.h"

#define POSITION_MAX (INT64_MAX / 2)
#define PLACE_PAGES_MAX 10000 /* asked for, until it is known where a replay begins */
#define ORDER_TRIES 20
#define ORDER_PAUSE_MS 500

struct replaying {
    struct cli_operator *asking;
    const struct replay_asked *asked;
    const char *of;
    json_t *status; /* up's */
    /* Of the publisher's outbox, as it last said. */
    long long trimmed, last;
    int pages;                              /* asked for */
    char incarnation[ID_SIZE], id[ID_SIZE]; /* the store's; and of the event that was asked from */
    long long after;
};

/* ---- which publisher ---- */

static const json_t *replayed_service(const struct replaying *replaying)
{
    size_t i;
    json_t *service;
    json_array_foreach (json_at(replaying->status, "services"), i, service) {
        if (strcmp(cli_text(service, "name"), replaying->asked->service) == 0)
            return service;
    }
    return NULL;
}

static bool is_service(const struct replaying *replaying, const char *name)
{
    size_t i;
    json_t *service;
    json_array_foreach (json_at(replaying->asking->system, "services"), i, service) {
        if (strcmp(cli_text(service, "name"), name) == 0)
            return true;
    }
    return false;
}

static int check_replayed(const struct replaying *replaying, const char *name)
{
    if (is_service(replaying, name))
        return CLI_DONE;
    if (cli_service_address(replaying->asking->system, name)) /* else it says what is wrong */
        cli_fail(CLI_USAGE, "the %s has nothing to do with events", name);
    return CLI_USAGE;
}

/* Publishers within the system, as {NAME: true}. */
static json_t *publishers_of(const struct replaying *replaying, const json_t *state)
{
    size_t i;
    json_t *subscription, *found = json_object();
    json_array_foreach (json_object_get(state, "subscriptions"), i, subscription) {
        const char *source = cli_text(subscription, "source");
        if (is_service(replaying, source))
            json_object_set_new(found, source, json_true());
    }
    return found;
}

static int choose_publisher(struct replaying *replaying)
{
    const struct replay_asked *asked = replaying->asked;
    if (check_replayed(replaying, asked->service) != CLI_DONE)
        return CLI_USAGE;
    replaying->of = asked->of;
    if (asked->of)
        return check_replayed(replaying, asked->of);
    json_t *state, *unused;
    const char *name;
    struct text all;
    int code = cli_operator_ask(replaying->asking, asked->service, "GET", "/_freehold/state",
                                json_object(), &state);
    if (code != CLI_DONE)
        return code;
    json_t *publishers = publishers_of(replaying, state);
    json_decref(state);
    text_init(&all, TEXT_LENGTH_MAX);
    json_object_foreach (publishers, name, unused) {
        text_printf(&all, "%s%s", all.length ? ", " : "", name);
        replaying->of = arena_printf(&replaying->asking->arena, "%s", name);
    }
    if (json_object_size(publishers) == 0)
        code = cli_fail(CLI_FAILED, "%s subscribes to no service's events", asked->service);
    else if (json_object_size(publishers) > 1)
        code = cli_fail(CLI_USAGE, "%s subscribes to several services: say --of one of %s",
                        asked->service, all.data);
    text_release(&all);
    json_decref(publishers);
    return code;
}

/* ---- where it begins ---- */

/* Whatever a publisher says, the search for a place ends: positions have a bound, no page leads
 * back, and pages are counted. */
static bool page_leads_on(struct replaying *replaying, const json_t *page, long long after)
{
    const json_t *event = json_array_get(json_object_get(page, "events"), 0);
    return replaying->pages++ < PLACE_PAGES_MAX && replaying->trimmed >= 0 &&
           replaying->trimmed <= replaying->last && replaying->last <= POSITION_MAX &&
           (!event || cli_number(event, "position") > after) && cli_number(page, "next") >= after;
}

/* What the publisher has after a position. *ret: its answer, a new reference. */
static int read_place(struct replaying *replaying, long long after, int limit, json_t **ret)
{
    json_t *values = json_pack("{s:I, s:i}", "after", (json_int_t)after, "limit", limit);
    *ret = NULL;
    int code = cli_operator_ask(replaying->asking, replaying->of, "GET",
                                "/_freehold/events?after={after}&limit={limit}", values, ret);
    if (code != CLI_DONE)
        return code;
    replaying->trimmed = cli_number(*ret, "trimmed");
    replaying->last = cli_number(*ret, "last");
    const char *incarnation = json_string_at(*ret, "incarnation");
    const char *id = json_string_at(*ret, "after_id");
    bool tells = incarnation && id && strlen(incarnation) < ID_SIZE && strlen(id) < ID_SIZE;
    if (tells && page_leads_on(replaying, *ret, after)) {
        snprintf(replaying->incarnation, ID_SIZE, "%s", incarnation);
        snprintf(replaying->id, ID_SIZE, "%s", id);
        return CLI_DONE;
    }
    json_decref(*ret);
    *ret = NULL;
    return cli_fail(CLI_FAILED,
                    tells ? "%s's answers about positions of its events contradict each other"
                          : "%s does not say which event is at a position: its program is an "
                            "older one",
                    replaying->of);
}

static int64_t event_time_ms(const json_t *event)
{
    int64_t time_ms = 0;
    const char *time = json_string_at(event, "time");
    return time && envelope_time_parse(time, &time_ms) ? time_ms : 0;
}

/* Of the first event after a position. False: there is none, or `code` says what went wrong. */
static bool first_after(struct replaying *replaying, long long after, long long *ret_position,
                        int64_t *ret_ms, int *code)
{
    json_t *page = NULL;
    long long next = after;
    const json_t *event = NULL;
    do { /* many positions may be of Freehold's own events, which are not listed */
        json_decref(page);
        page = NULL;
        *code = read_place(replaying, next, 1, &page);
        event = json_array_get(json_object_get(page, "events"), 0);
        next = cli_number(page, "next");
    } while (*code == CLI_DONE && !event && next < replaying->last);
    if (event) {
        *ret_position = cli_number(event, "position");
        *ret_ms = event_time_ms(event);
    }
    json_decref(page);
    return event != NULL;
}

/* The earliest of those just before `found` that is not older either. */
static int look_before(struct replaying *replaying, int64_t time_ms, long long *found)
{
    long long after = *found - 1 - EVENT_LIST_MAX;
    json_t *page, *event;
    size_t i;
    int code = read_place(replaying, after < 0 ? 0 : after, EVENT_LIST_MAX, &page);
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

static int tell_trimmed(const struct replaying *replaying, const char *oldest)
{
    if (replaying->trimmed >= replaying->last)
        return cli_fail(CLI_FAILED,
                        "%s has trimmed all of its events, up to position %lld: none can be "
                        "applied again. Take over its state instead (a rebuild, or a sync), and "
                        "have it keep more (retention: events_kept_s)",
                        replaying->of, replaying->trimmed);
    return cli_fail(CLI_FAILED,
                    "%s has trimmed its events up to position %lld%s%s: the oldest that can be "
                    "applied again is --from %lld",
                    replaying->of, replaying->trimmed, *oldest ? ", and the next one is of " : "",
                    oldest, replaying->trimmed + 1);
}

/* The first event that is not older than `time_ms`. */
static int find_time(struct replaying *replaying, int64_t time_ms, long long *ret)
{
    char oldest[ENVELOPE_TIME_SIZE];
    long long position = 0, low = 0, high;
    int64_t at_ms = 0;
    int code = CLI_DONE;
    bool any = first_after(replaying, 0, &position, &at_ms, &code);
    if (code != CLI_DONE)
        return code;
    envelope_time(oldest, at_ms);
    if (replaying->trimmed > 0 && (!any || at_ms >= time_ms))
        return tell_trimmed(replaying, any ? oldest : "");
    high = replaying->last + 1; /* the answer is in (low, high], where `last + 1` is none */
    low = replaying->trimmed;
    *ret = high;
    while (low + 1 < high) {
        long long middle = low + (high - low) / 2;
        any = first_after(replaying, middle - 1, &position, &at_ms, &code);
        if (code != CLI_DONE)
            return code;
        if (any && at_ms < time_ms) {
            low = position;
        } else {
            high = middle;
            *ret = any ? position : *ret;
        }
    }
    if (*ret > replaying->last)
        return cli_fail(CLI_FAILED, "%s has published nothing since then", replaying->of);
    return look_before(replaying, time_ms, ret);
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

/* Sets `after`, and the event there. */
static int find_replay_place(struct replaying *replaying)
{
    const char *given = replaying->asked->from;
    json_t *page;
    int64_t time_ms;
    long long first = 0;
    int code = CLI_DONE;
    if (cli_read_number(given, POSITION_MAX, &first)) {
        if (first == 0)
            return cli_fail(CLI_USAGE, "positions begin with 1");
    } else if (read_replay_time(given, &time_ms)) {
        code = find_time(replaying, time_ms, &first);
    } else {
        return cli_fail(CLI_USAGE,
                        "--from '%s' is no position, and no time: expected a number, a time such "
                        "as 2026-03-01T12:00:00Z, or a span before now such as 2h",
                        given);
    }
    if (code == CLI_DONE)
        code = read_place(replaying, first - 1, 1, &page);
    if (code != CLI_DONE)
        return code;
    json_decref(page);
    if (first - 1 < replaying->trimmed)
        return tell_trimmed(replaying, "");
    if (first > replaying->last)
        return cli_fail(CLI_FAILED, "%s has published events up to position %lld, none at %lld",
                        replaying->of, replaying->last, first);
    replaying->after = first - 1;
    return CLI_DONE;
}

/* ---- the order ---- */

/* What was answered of each partition, once it was; `partitions`: of how many. */
struct told {
    json_t *shares; /* {NAME: what was said of it} */
    long long partitions;
    bool silent; /* a process gave no answer, and may have done it */
};

static bool is_to_be_asked_again(const json_t *share)
{
    return json_is_true(json_object_get(share, "again"));
}

/* Instances give partitions to one another, so two may answer for one. */
static bool says_more(const json_t *before, const json_t *share)
{
    return !before || json_object_get(before, "error") ||
           (!json_object_get(before, "until") && json_object_get(share, "until"));
}

/* What names no partition, or one of another number of them, is left out. */
static void take_answers(struct told *told, const json_t *answers)
{
    json_t *answer, *share;
    size_t i, j;
    unsigned index, count;
    json_array_foreach (answers, i, answer) {
        long long partitions = cli_number(answer, "partitions");
        if (partitions < 1 || partitions > ENVELOPE_SHARES_MAX)
            continue;
        told->partitions = partitions;
        json_array_foreach (json_object_get(answer, "shares"), j, share) {
            const char *name = cli_text(share, "share");
            const json_t *before = json_object_get(told->shares, name);
            if (query_share(name, &index, &count) && count == partitions &&
                says_more(before, share))
                json_object_set(told->shares, name, share);
        }
    }
}

/* Those that nobody has answered for; `named`: only where somebody said to ask again. */
static json_t *shares_left(const struct told *told, bool named)
{
    json_t *left = json_array();
    char name[48];
    for (long long i = 0; i < told->partitions; i++) {
        snprintf(name, sizeof name, "%lld/%lld", i, told->partitions);
        const json_t *share = json_object_get(told->shares, name);
        if (share ? is_to_be_asked_again(share) : !named)
            json_array_append_new(left, json_string(name));
    }
    return left;
}

static json_t *order_body(const struct replaying *replaying, json_t *shares)
{
    return replaying->asked->abandon
               ? json_pack("{s:s}", "source", replaying->of)
               : json_pack("{s:s, s:s, s:I, s:s, s:b, s:O*}", "source", replaying->of,
                           "incarnation", replaying->incarnation, "position",
                           (json_int_t)replaying->after, "id", replaying->id, "effects",
                           replaying->asked->with_effects, "shares", shares);
}

static int send_once(struct replaying *replaying, json_t *shares, struct told *told)
{
    json_t *answers = NULL;
    bool silent = false;
    json_decref(replaying->status);
    replaying->status = NULL;
    int code = cli_control_status(&replaying->asking->state, &replaying->status);
    if (code != CLI_DONE)
        return code;
    code = cli_operator_ask_each(replaying->asking, replayed_service(replaying),
                                 replaying->asked->abandon ? "/_freehold/replay/abandon"
                                                           : "/_freehold/replay",
                                 order_body(replaying, shares), &answers, &silent);
    told->silent |= silent;
    take_answers(told, answers);
    json_decref(answers);
    return code;
}

/* While instances give partitions to one another, as after an upgrade, some belong to nobody for a
 * moment. One that has refused is asked for nothing more. */
static int send_order(struct replaying *replaying, struct told *told)
{
    int code = send_once(replaying, NULL, told);
    json_t *left = shares_left(told, code != CLI_DONE);
    for (int tries = 1; tries < ORDER_TRIES && json_array_size(left) > 0 && replaying->status &&
                        !told->silent; /* its silence takes long */
         tries++) {
        poll(NULL, 0, ORDER_PAUSE_MS);
        int again = send_once(replaying, left, told);
        code = code == CLI_DONE ? again : code;
        json_decref(left);
        left = shares_left(told, code != CLI_DONE);
    }
    json_decref(left);
    return code;
}

static void print_given_up(const struct replaying *replaying, const char *name, const json_t *share)
{
    long long at = cli_number(share, "at"), dropped = cli_number(share, "dropped");
    cli_line(0,
             "%s goes on with the events of %s after position %lld (partition %s). Rows changed by "
             "events up to %lld may show old values: replay again from there, or sync.",
             replaying->asked->service, replaying->of, cli_number(share, "until"), name, at);
    if (dropped > 0)
        cli_line(0, "%lld events that were parked meanwhile are dropped.", dropped);
}

static void print_shares(const struct replaying *replaying, const json_t *shares)
{
    const struct replay_asked *asked = replaying->asked;
    const char *name;
    json_t *share;
    json_object_foreach ((json_t *)(uintptr_t)shares, name, share) {
        if (json_object_get(share, "error"))
            cli_fail(CLI_FAILED, "partition %s: %s", name, cli_text(share, "error"));
        else if (asked->abandon && !json_object_get(share, "until"))
            continue; /* nothing is applied again there */
        else if (asked->abandon)
            print_given_up(replaying, name, share);
        else
            cli_line(0,
                     "%s applies the events of %s again, from position %lld up to %lld "
                     "(partition %s).",
                     asked->service, replaying->of, cli_number(share, "after") + 1,
                     cli_number(share, "until"), name);
    }
}

static json_t *values_of(const json_t *shares)
{
    json_t *list = json_array(), *share;
    const char *name;
    json_object_foreach ((json_t *)(uintptr_t)shares, name, share)
        json_array_append(list, share);
    return list;
}

static int tell_order(const struct replaying *replaying, const struct told *told)
{
    const struct replay_asked *asked = replaying->asked;
    const char *name;
    json_t *share;
    long long done = 0, answered = 0;
    json_object_foreach (told->shares, name, share) {
        done += json_object_get(share, "until") != NULL;
        answered += json_object_get(share, "error") == NULL;
    }
    if (told->partitions == 0)
        return cli_fail(CLI_FAILED, "%s does not say how many partitions it has", asked->service);
    if (asked->json) {
        json_t *all = json_pack("{s:s, s:s, s:I, s:o}", "service", asked->service, "source",
                                replaying->of, "partitions", (json_int_t)told->partitions, "shares",
                                values_of(told->shares));
        cli_print_json(all);
        json_decref(all);
    } else {
        print_shares(replaying, told->shares);
    }
    if (asked->abandon && answered < told->partitions)
        return cli_fail(CLI_FAILED, "%lld of %lld partitions refused or did not answer: try again",
                        told->partitions - answered, told->partitions);
    if (asked->abandon)
        return done ? CLI_DONE
                    : cli_fail(CLI_FAILED, "%s applies no events of %s again now", asked->service,
                               replaying->of);
    if (done > 0 && !asked->json)
        cli_line(0, "%s freehold status shows how far it is.",
                 asked->with_effects ? "What follows from them happens again."
                                     : "What follows from them is held back.");
    if (done < told->partitions)
        return cli_fail(CLI_FAILED, "the replay began in only %lld of %lld partitions", done,
                        told->partitions);
    return CLI_DONE;
}

int replay_run(struct cli_operator *asking, const struct replay_asked *asked)
{
    struct replaying replaying = {.asking = asking, .asked = asked};
    struct told told = {.shares = NULL};
    if (!asked->abandon == !asked->from)
        return cli_fail(CLI_USAGE, "events replay needs --from POSITION or TIME; or --abandon");
    if (asked->abandon && asked->with_effects)
        return cli_fail(CLI_USAGE, "--with-effects can't be combined with --abandon");
    told.shares = json_object();
    int code = choose_publisher(&replaying);
    if (code == CLI_DONE && !asked->abandon)
        code = find_replay_place(&replaying);
    if (code == CLI_DONE) {
        code = send_order(&replaying, &told);
        if (code == CLI_DONE || json_object_size(told.shares) > 0) {
            int said = tell_order(&replaying, &told);
            code = code == CLI_DONE ? said : code;
        }
        if (told.silent)
            cli_note(CLI_PLAIN,
                     "An instance that did not answer may have %s it nevertheless: see freehold "
                     "status.",
                     asked->abandon ? "ended" : "begun");
    }
    json_decref(told.shares);
    json_decref(replaying.status);
    return code;
}
