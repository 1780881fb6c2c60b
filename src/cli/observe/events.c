/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freehold events: what a service has published, read by an operator from its outbox. Reading
 * leaves no record, and moves no subscriber's cursor. `replay` moves one: operate/replay.h.
 */

#define _GNU_SOURCE
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/observe/events_diff.h"
#include "cli/operate/replay.h"
#include "system/file/nearest.h"

#define TAIL_DEFAULT 10
#define TAIL_MAX 100000
#define PAGE 1000
#define FOLLOW_MS 500
#define DATA_COLUMN 10   /* of an event's data in a line of their own */
#define DATA_ROOM_MIN 24 /* with less left of the line, they get one */

struct reading {
    struct cli_operator asking;
    const char *service, *type, *key;
    bool json;
    long long next, last, trimmed; /* from the last page */
    bool found;
    json_t *publishes; /* all types that the service's program publishes, if `type` is not among
                        * them; else NULL */
};

/* ---- Pages ---- */

static int read_event_page(struct reading *reading, long long after, bool counts, json_t **ret)
{
    json_t *values = json_pack("{s:I, s:i, s:i, s:s?, s:s?}", "after", (json_int_t)after, "limit",
                               PAGE, "counts", counts, "type", reading->type, "key", reading->key);
    const char *path = arena_printf(
        &reading->asking.arena, "/_freehold/events?after={after}&limit={limit}&counts={counts}%s%s",
        reading->type ? "&type={type}" : "", reading->key ? "&key={key}" : "");
    int code = cli_operator_ask(&reading->asking, reading->service, "GET", path, values, ret);
    if (code != CLI_DONE)
        return code;
    reading->next = cli_number(*ret, "next");
    reading->last = cli_number(*ret, "last");
    reading->trimmed = cli_number(*ret, "trimmed");
    reading->found = reading->found || json_array_size(json_object_get(*ret, "events")) > 0 ||
                     json_object_size(json_object_get(*ret, "types")) > 0;
    json_decref(reading->publishes);
    reading->publishes = json_incref(json_object_get(*ret, "publishes"));
    return CLI_DONE;
}

/* Events of a type that only an older program published may still exist; if there are none, the
 * type is mistyped. */
static int check_type(const struct reading *reading)
{
    if (!reading->publishes || reading->found || reading->key)
        return CLI_DONE;
    struct nearest nearest = nearest_begin(reading->type);
    struct text all;
    json_t *known;
    size_t i;
    text_init(&all, TEXT_LENGTH_MAX);
    json_array_foreach (reading->publishes, i, known) {
        nearest_offer(&nearest, json_string_value(known));
        text_printf(&all, "%s%s", i ? ", " : "", json_string_value(known));
    }
    int code =
        cli_fail(CLI_USAGE, "%s publishes no '%s', but %s%s%s%s", reading->service, reading->type,
                 all.length ? all.data : "nothing", nearest.word ? "; did you mean '" : "",
                 nearest.word ? nearest.word : "", nearest.word ? "'?" : "");
    text_release(&all);
    return code;
}

/* ---- Showing ---- */

static void print_short(const struct reading *reading, const json_t *event)
{
    if (reading->json) {
        cli_print_json(event);
        return;
    }
    char *data = json_text(json_object_get(event, "data"));
    const char *type = cli_text(event, "type"), *subject = cli_text(event, "subject");
    int width = cli_width(stdout), length = (int)strlen(data);
    int column = snprintf(NULL, 0, "%8lld  %s  %-20s %-16s ", cli_number(event, "position"),
                          cli_text(event, "time"), type, subject);
    bool below = width && column + length > width && width - column < DATA_ROOM_MIN;
    int room = width - (below ? DATA_COLUMN : column);
    bool cut = width && length > room;
    char *head;
    FH_ASSERT(asprintf(&head, "%s%8lld%s  %s  %s%-20s%s %-*s", cli_colour(stdout, CLI_BOLD),
                       cli_number(event, "position"), cli_colour(stdout, CLI_PLAIN),
                       cli_text(event, "time"), cli_colour(stdout, CLI_GREEN), type,
                       cli_colour(stdout, CLI_PLAIN), below ? 0 : 16, subject) >= 0);
    cli_wrap(stdout, width, 0, DATA_COLUMN, head);
    free(head);
    printf(below ? "\n%*s" : "%*s", below ? DATA_COLUMN : 1, "");
    printf("%.*s%s\n", cut ? room - 3 : length, data, cut ? "..." : "");
    json_text_free(data);
}

static void print_whole(const struct reading *reading, const json_t *event)
{
    if (reading->json) {
        cli_print_json(event);
        return;
    }
    char *all = json_dumps(event, JSON_INDENT(2));
    printf("%s\n", all ? all : "-");
    json_text_free(all);
}

/* Adds the events from `after` to the end to `kept`, keeping only the last `most`. */
static int read_from(struct reading *reading, long long after, long long most, json_t *kept)
{
    json_t *page, *event;
    size_t i;
    int code;
    reading->next = after;
    do {
        code = read_event_page(reading, reading->next, false, &page);
        if (code != CLI_DONE)
            break;
        json_array_foreach (json_object_get(page, "events"), i, event) {
            json_array_append(kept, event);
            if ((long long)json_array_size(kept) > most)
                json_array_remove(kept, 0);
        }
        json_decref(page);
    } while (reading->next < reading->last);
    return code;
}

static void print_all(const struct reading *reading, json_t *kept,
                      void (*print)(const struct reading *reading, const json_t *event))
{
    json_t *event;
    size_t i;
    json_array_foreach (kept, i, event)
        print(reading, event);
    fflush(stdout);
    json_decref(kept);
}

static int show_from(struct reading *reading, long long after, long long most,
                     void (*print)(const struct reading *reading, const json_t *event))
{
    json_t *kept = json_array();
    int code = read_from(reading, after, most, kept);
    print_all(reading, kept, print);
    return code;
}

/* Not every position is an event's (sagas begin at some), and not every event is asked for: so
 * start further and further back, until there are enough. */
static int show_last(struct reading *reading, long long most)
{
    for (long long back = most;; back *= 4) {
        json_t *kept = json_array();
        long long after = reading->last - back;
        bool all = after <= reading->trimmed;
        int code = read_from(reading, all ? reading->trimmed : after, most, kept);
        if (all || code != CLI_DONE || (long long)json_array_size(kept) >= most) {
            print_all(reading, kept, print_short);
            return code;
        }
        json_decref(kept);
    }
}

static int tail_events(struct reading *reading, const char *count, bool follow)
{
    long long most = TAIL_DEFAULT;
    json_t *page;
    struct pollfd reader = {STDOUT_FILENO, 0, 0};
    if (count && !cli_read_number(count, TAIL_MAX, &most))
        return cli_fail(CLI_USAGE, "--count '%s' is not a number from 0 to %d", count, TAIL_MAX);
    int code = read_event_page(reading, 0, true, &page); /* for the first and last positions */
    if (code != CLI_DONE)
        return code;
    json_decref(page);
    code = show_last(reading, most);
    if (code == CLI_DONE && most > 0)
        code = check_type(reading);
    while (follow && code == CLI_DONE && !ferror(stdout) && poll(&reader, 1, FOLLOW_MS) == 0)
        code = show_from(reading, reading->next, TAIL_MAX, print_short);
    return code;
}

static int show_event(struct reading *reading, const char *given)
{
    long long position;
    json_t *page;
    if (!given && !reading->key)
        return cli_fail(CLI_USAGE, "usage: freehold events show SERVICE POSITION, or --key KEY");
    if (!given)
        return show_from(reading, 0, TAIL_MAX, print_whole);
    if (!cli_read_number(given, INT64_MAX / 2, &position) || position == 0)
        return cli_fail(CLI_USAGE, "'%s' is not the position of an event; expected a number from 1",
                        given);
    int code = read_event_page(reading, position - 1, false, &page);
    if (code != CLI_DONE)
        return code;
    const json_t *event = json_array_get(json_object_get(page, "events"), 0);
    if (event && cli_number(event, "position") == position)
        print_whole(reading, event);
    else
        code = cli_fail(CLI_FAILED, "%s has no such event at %lld: it has those from %lld to %lld",
                        reading->service, position, reading->trimmed + 1, reading->last);
    json_decref(page);
    return code;
}

static int count_events(struct reading *reading)
{
    json_t *page, *types = json_object(), *some;
    const char *type;
    long long sum = 0;
    int code;
    reading->next = 0;
    do {
        code = read_event_page(reading, reading->next, true, &page);
        if (code != CLI_DONE)
            break;
        json_object_foreach (json_object_get(page, "types"), type, some) {
            json_object_set_new(types, type,
                                json_integer(cli_number(types, type) + json_integer_value(some)));
            sum += json_integer_value(some);
        }
        json_decref(page);
    } while (reading->next < reading->last);
    if (code == CLI_DONE && reading->json) {
        json_t *told = json_pack("{s:s, s:I, s:I, s:I, s:O}", "service", reading->service, "events",
                                 (json_int_t)sum, "trimmed", (json_int_t)reading->trimmed, "last",
                                 (json_int_t)reading->last, "types", types);
        cli_print_json(told);
        json_decref(told);
    } else if (code == CLI_DONE) {
        json_object_foreach (types, type, some)
            printf("%10lld  %s\n", (long long)json_integer_value(some), type);
        printf("%10lld  %sin all%s; positions up to %lld are trimmed, the last is %lld\n", sum,
               cli_colour(stdout, CLI_BOLD), cli_colour(stdout, CLI_PLAIN), reading->trimmed,
               reading->last);
    }
    json_decref(types);
    return code;
}

/* ---- The command ---- */

/* Of files: no system has to run. */
static int diff_events(const struct reading *reading, char **words, bool tails)
{
    if (!words[2])
        return cli_fail(CLI_USAGE, "usage: freehold events diff OLD NEW [TYPE]");
    if (tails || reading->key || reading->type)
        return cli_fail(CLI_USAGE, "diff takes no other option than --json");
    return events_diff(words[1], words[2], words[3], reading->json);
}

static int replay_events(struct cli_operator *asking, const struct replay_asked *asked,
                         const struct reading *reading, const char *state)
{
    if (reading->type || reading->key)
        return cli_fail(CLI_USAGE, "replay takes neither --type nor --key: events of all types and "
                                   "keys are applied again, in their order");
    int code = cli_operator_begin(asking, state);
    if (code != CLI_DONE)
        return code;
    code = replay_run(asking, asked);
    cli_operator_end(asking);
    return code;
}

static int run_events(const struct cli_command *command, char **words, const char **values)
{
    struct reading reading = {.service = words[1],
                              .type = cli_value(command, values, "--type"),
                              .key = cli_value(command, values, "--key"),
                              .json = cli_value(command, values, "--json") != NULL};
    bool tails = strcmp(words[0], "tail") == 0, shows = strcmp(words[0], "show") == 0;
    const char *count = cli_value(command, values, "--count");
    bool follow = cli_value(command, values, "--follow") != NULL;
    bool replays = strcmp(words[0], "replay") == 0;
    const struct replay_asked asked = {.service = words[1],
                                       .of = cli_value(command, values, "--of"),
                                       .from = cli_value(command, values, "--from"),
                                       .with_effects =
                                           cli_value(command, values, "--with-effects") != NULL,
                                       .abandon = cli_value(command, values, "--abandon") != NULL,
                                       .json = reading.json};
    if (!replays && (asked.of || asked.from || asked.with_effects || asked.abandon))
        return cli_fail(CLI_USAGE, "only replay takes --from, --of, --with-effects and --abandon");
    if (strcmp(words[0], "diff") == 0)
        return diff_events(&reading, words, count || follow);
    if (words[3])
        return cli_fail(CLI_USAGE, "events %s does not expect '%s'", words[0], words[3]);
    if (!tails && (count || follow))
        return cli_fail(CLI_USAGE, "only tail takes --count and --follow");
    if (!shows && words[2])
        return cli_fail(CLI_USAGE, "usage: freehold events %s SERVICE", words[0]);
    if (replays)
        return replay_events(&reading.asking, &asked, &reading,
                             cli_value(command, values, "--state"));
    int code = cli_operator_begin(&reading.asking, cli_value(command, values, "--state"));
    if (code != CLI_DONE)
        return code;
    if (tails)
        code = tail_events(&reading, count, follow);
    else if (shows)
        code = show_event(&reading, words[2]);
    else
        code = count_events(&reading);
    if (code == CLI_DONE && !tails)
        code = check_type(&reading);
    json_decref(reading.publishes);
    cli_operator_end(&reading.asking);
    return code;
}

const struct cli_command cli_events = {
    .name = "events",
    .words = "tail|show|count|diff|replay SERVICE [POSITION ...]",
    .words_min = 2,
    .words_max = 4,
    .summary = "Events a service has published: show them, or have them applied again",
    .text =
        "  freehold events tail SERVICE             the last ten, or --count, a line each\n"
        "  freehold events show SERVICE POSITION    one as its subscribers get it\n"
        "  freehold events show SERVICE --key KEY   all of a key, such as an order's id\n"
        "  freehold events count SERVICE            how many of each type\n"
        "  freehold events diff OLD NEW [TYPE]      how event types differ between two files\n"
        "                                           that `freehold describe` has written\n\n"
        "  freehold events replay SERVICE --from POSITION|TIME\n\n"
        "replay has a subscriber whose handler was wrong, and is mended, apply its publisher's\n"
        "events again: from that position on, or from a time (2026-03-01T12:00:00Z) or a span\n"
        "before now (2h), up to where it is. Meanwhile its handlers change its own store; what\n"
        "they publish, begin, set and count is held back.\n"
        "Nothing is recorded of the others; diff needs no running system. Exit codes: 0 done, 1 "
        "failed "
        "or not there, 2 wrong usage,\n"
        "3 no running system.\n",
    .options = {{"--type", "TYPE", "only events of this type"},
                {"--key", "KEY", "only events of this key"},
                {"--count", "N", "tail: so many; default 10"},
                {"--follow", NULL, "tail: continue with what is published from now on; also -f",
                 'f'},
                {"--from", "PLACE", "replay: a position, a time, or a span before now"},
                {"--of", "PUBLISHER", "replay: whose events; default: the only one's"},
                {"--with-effects", NULL, "replay: what follows from them happens again, too"},
                {"--abandon", NULL, "replay: give up the one under way"},
                {"--json", NULL, "each event as a JSON object, a line each"},
                CLI_OPTION_STATE_RUNNING},
    .run = run_events,
};
