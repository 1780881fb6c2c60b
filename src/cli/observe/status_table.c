/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A row for each process, and after them a sentence for each thing that needs an operator: parked
 * events and sagas, subscriptions that make no progress, refused calls, programs that were not
 * taken. So the columns only hold what changes, and 80 characters suffice; a wider terminal, and
 * output that is not a terminal, also gets positions and addresses.
 */

#include "cli/observe/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/apart.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/observe/status_bus.h"
#include "cli/observe/status_derived.h"

#define NAME_WIDTH_MIN 20
#define CELLS_WIDTH 57    /* of what follows a name, but positions and addresses */
#define POSITION_WIDTH 11 /* including the space before it */
#define ADDRESS_WIDTH 23
#define NOTE_SIZE 1024

struct table {
    int width; /* 0: of any length */
    int name_width;
    bool positions, addresses;
};

static long long number_at_path(const json_t *value, const char *path)
{
    return (long long)json_integer_value(json_at(value, path));
}

/* ---- Cells ---- */

/* "9999", "12k", "3M": four columns. */
static void format_count(char out[static 8], long long count)
{
    if (count < 10000)
        snprintf(out, 8, "%lld", count < 0 ? 0 : count);
    else if (count < 1000000)
        snprintf(out, 8, "%lldk", count / 1000);
    else
        snprintf(out, 8, "%lldM", count / 1000000 > 999 ? 999 : count / 1000000);
}

/* Events waiting over all subscriptions, and the largest lag: "3 (12ms)"; "? (2m)" if a
 * subscription makes no progress and the number waiting is unknown. */
static void format_unapplied(char *out, size_t size, const json_t *state)
{
    long long depth = 0, lag_ms = 0;
    size_t i;
    json_t *subscription;
    char count[8], lag[16];
    const json_t *subscriptions = json_at(state, "subscriptions");
    json_array_foreach (subscriptions, i, subscription) {
        long long behind = number_at_path(subscription, "lag_ms");
        depth += number_at_path(subscription, "depth");
        lag_ms = behind > lag_ms ? behind : lag_ms;
    }
    format_count(count, depth);
    json_t *seconds = json_integer(lag_ms / 1000);
    if (lag_ms < 1000)
        snprintf(lag, sizeof lag, "%lldms", lag_ms);
    else
        cli_format_span(lag, sizeof lag, seconds);
    json_decref(seconds);
    if (json_array_size(subscriptions) == 0)
        snprintf(out, size, "-");
    else if (depth == 0 && lag_ms == 0)
        snprintf(out, size, "0");
    else if (depth == 0)
        snprintf(out, size, "? (%s)", lag);
    else
        snprintf(out, size, "%s (%s)", count, lag);
}

static void format_sagas(char *out, size_t size, const json_t *state)
{
    char count[8];
    if (!json_at(state, "sagas")) {
        snprintf(out, size, "-");
        return;
    }
    format_count(count, number_at_path(state, "sagas.running") +
                            number_at_path(state, "sagas.compensating") +
                            number_at_path(state, "sagas.parked"));
    snprintf(out, size, "%s open", count);
}

/* ---- Rows ---- */

/* No name is cut: people type them. One that leaves no room has a line of its own. */
static void print_name(const struct table *table, const char *name)
{
    if ((int)strlen(name) <= table->name_width)
        printf("%-*s ", table->name_width, name);
    else
        printf("%s\n%*s ", name, table->name_width, "");
}

static void print_process(const struct table *table, const json_t *process, const char *name)
{
    char pid[16] = "-", span[32], restarts[8];
    bool ready = json_is_true(json_at(process, "ready"));
    if (json_is_integer(json_at(process, "pid")))
        snprintf(pid, sizeof pid, "%lld", number_at_path(process, "pid"));
    cli_format_span(span, sizeof span, json_at(process, "since_s"));
    format_count(restarts, number_at_path(process, "restarts"));
    print_name(table, name);
    printf("%s%-10s%s %-7s %-5s %8s", cli_colour(stdout, ready ? CLI_GREEN : CLI_RED),
           json_string_at(process, "phase"), cli_colour(stdout, CLI_PLAIN), pid, span, restarts);
}

static void print_rest(const struct table *table, const json_t *process, const char *unapplied,
                       const char *sagas, const char *position)
{
    const char *address = json_string_at(process, "address");
    if (!*sagas && !table->addresses) {
        printf("\n");
        return;
    }
    printf(" %11s  %-9s", unapplied, sagas);
    if (table->positions)
        printf(" %*s", POSITION_WIDTH - 1, position);
    if (table->addresses && address)
        printf("  %s", address);
    printf("\n");
}

/* A service's processes, if it has several, each on a line after it. */
static void print_instances(const struct table *table, const json_t *service)
{
    size_t i;
    json_t *instance;
    char name[64];
    const json_t *instances = json_at(service, "instances");
    json_array_foreach (instances, i, instance) {
        snprintf(name, sizeof name, "  %s/%lld", json_string_at(service, "name"),
                 number_at_path(instance, "instance"));
        if (json_array_size(instances) > 1) {
            print_process(table, instance, name);
            print_rest(table, instance, "", "", "");
        }
    }
}

static void print_row(const struct table *table, const json_t *process, bool service)
{
    char unapplied[32] = "-", sagas[32] = "-", position[32] = "-";
    const json_t *state = json_at(process, "state");
    if (json_is_object(state)) {
        snprintf(position, sizeof position, "%lld", number_at_path(state, "position"));
        format_unapplied(unapplied, sizeof unapplied, state);
        format_sagas(sagas, sizeof sagas, state);
    }
    print_process(table, process, json_string_at(process, "name"));
    if (service)
        print_rest(table, process, unapplied, sagas, position);
    else
        print_rest(table, process, "", "", "");
    print_instances(table, process);
}

/* ---- What needs an operator ---- */

/* Prints a sentence, wrapped to the terminal's width; lines after the first are indented. */
static void note_below(const struct table *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void note_below(const struct table *table, const char *format, ...)
{
    char text[NOTE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    int column = 0;
    for (char *rest = text, *word; (word = strtok_r(rest, " ", &rest));) {
        int length = (int)strlen(word);
        bool fits = table->width == 0 || column + 1 + length <= table->width;
        if (column > 0)
            column += printf("%s", fits ? " " : "\n  ");
        if (column > 0 && !fits)
            column = 2;
        column += printf("%s", word);
    }
    printf("\n");
}

static void note_end(const struct table *table, const json_t *service)
{
    const char *last_end = json_string_at(service, "last_end");
    if (last_end && !json_is_true(json_at(service, "ready")))
        note_below(table, "%s %s.", json_string_at(service, "name"), last_end);
}

/* Of each of its processes: a handler that does not return. */
static void note_hang(const struct table *table, const json_t *service)
{
    size_t i;
    json_t *process;
    json_array_foreach (json_at(service, "instances"), i, process) {
        if (json_string_at(process, "hangs.what"))
            note_below(table, "%s does nothing else: %s has not returned for %lld s.",
                       json_string_at(service, "name"), json_string_at(process, "hangs.what"),
                       number_at_path(process, "hangs.for_s"));
    }
}

/* What its store has failed to serve since the last success. */
static void note_trouble(const struct table *table, const json_t *service)
{
    const char *kind;
    json_t *one;
    json_object_foreach (json_at(service, "state.trouble"), kind, one) {
        long long failures = number_at_path(one, "failures");
        note_below(table,
                   "%s's store has served no %s for %lld s (%lld failed, the last %lld s ago): %s",
                   json_string_at(service, "name"), kind, number_at_path(one, "since_ms") / 1000,
                   failures, number_at_path(one, "last_ms") / 1000, json_string_at(one, "why"));
    }
}

static void note_refused(const struct table *table, const json_t *process)
{
    size_t i;
    json_t *refused;
    struct text names;
    text_init(&names, 512);
    json_array_foreach (json_object_get(process, "refuses"), i, refused)
        text_printf(&names, "%s%s", names.length ? ", " : "", json_string_value(refused));
    if (names.length)
        note_below(table, "%s refuses calls to %s: its circuit breaker is open.",
                   json_string_at(process, "name"), names.data);
    text_release(&names);
}

#define LATE_MS 5000 /* of timers that are told of */

static void note_timers(const struct table *table, const char *name, const json_t *timers)
{
    long long parked = number_at_path(timers, "parked"),
              late_ms = number_at_path(timers, "late_ms");
    long long pending = number_at_path(timers, "pending");
    if (parked > 0)
        note_below(table, "%s has parked %lld timer%s: freehold timers list %s --only parked", name,
                   parked, parked == 1 ? "" : "s", name);
    if (late_ms > LATE_MS)
        note_below(table, "%s has %lld timer%s, the oldest of which is %lld s late. %s", name,
                   pending, pending == 1 ? "" : "s", late_ms / 1000, cli_text(timers, "why"));
}

static void note_parked(const struct table *table, const json_t *service)
{
    const char *name = json_string_at(service, "name");
    long long events = 0, sagas = number_at_path(service, "state.sagas.parked"),
              undoing = number_at_path(service, "state.sagas.compensating");
    size_t i;
    json_t *subscription;
    json_array_foreach (json_at(service, "state.subscriptions"), i, subscription)
        events += number_at_path(subscription, "parked.events");
    if (events)
        note_below(table,
                   "%s has parked %lld event%s that it could not apply: freehold parked list %s",
                   name, events, events == 1 ? "" : "s", name);
    if (sagas)
        note_below(table, "%s has parked %lld saga%s: freehold saga list %s --status parked", name,
                   sagas, sagas == 1 ? "" : "s", name);
    if (undoing)
        note_below(table, "%s takes %lld saga%s back.", name, undoing, undoing == 1 ? "" : "s");
    note_timers(table, name, json_at(service, "state.timers"));
}

static bool same_member(const json_t *a, const json_t *b, const char *name)
{
    return json_equal(json_object_get(a, name), json_object_get(b, name)) != 0;
}

/* How many of them make no progress for the same reason as this one; 0: an earlier one counted
 * it. */
static size_t count_alike(const json_t *subscriptions, const json_t *one)
{
    size_t i, count = 0;
    json_t *other;
    bool before = true;
    json_array_foreach (subscriptions, i, other) {
        before = before && other != one;
        if (!same_member(one, other, "source") || !same_member(one, other, "state") ||
            !same_member(one, other, "reason"))
            continue;
        if (before)
            return 0;
        count++;
    }
    return count;
}

/* Subscriptions that make no progress, with the reasons they give. */
static void note_standing(const struct table *table, const json_t *service)
{
    size_t i;
    json_t *one;
    char partitions[64];
    const json_t *subscriptions = json_at(service, "state.subscriptions");
    json_array_foreach (subscriptions, i, one) {
        const char *reason = json_string_at(one, "reason");
        size_t alike = reason ? count_alike(subscriptions, one) : 0;
        if (alike == 0)
            continue;
        snprintf(partitions, sizeof partitions, "%zu partitions", alike);
        if (alike == 1)
            snprintf(partitions, sizeof partitions, "partition %s", json_string_at(one, "share"));
        note_below(table, "%s subscribes to %s (%s): %s. %s", json_string_at(service, "name"),
                   json_string_at(one, "source"), partitions, json_string_at(one, "state"), reason);
    }
}

static void note_replays(const struct table *table, const json_t *service)
{
    size_t i;
    json_t *one;
    json_array_foreach (json_at(service, "state.subscriptions"), i, one) {
        if (number_at_path(one, "replayed") > 0)
            note_below(table, "%s applies events of %s again (partition %s): at %lld of %lld.",
                       json_string_at(service, "name"), json_string_at(one, "source"),
                       json_string_at(one, "share"), number_at_path(one, "position"),
                       number_at_path(one, "replayed"));
    }
}

/* Subscribers that have lost events they had not applied. */
static void note_expired(const struct table *table, const json_t *service)
{
    size_t i;
    json_t *subscriber;
    json_array_foreach (json_at(service, "state.subscribers"), i, subscriber) {
        if (json_is_true(json_at(subscriber, "expired")))
            note_below(
                table,
                "%s has trimmed events that %s (partition %s) has not applied: it is expired.",
                json_string_at(service, "name"), json_string_at(subscriber, "name"),
                json_string_at(subscriber, "share"));
    }
}

static void note_restored(const struct table *table, const json_t *service)
{
    long long waits = number_at_path(service, "state.restored");
    if (waits)
        note_below(table,
                   "%s reports %lld things that a restore has left: freehold restore-report %s",
                   json_string_at(service, "name"), waits, json_string_at(service, "name"));
}

static void note_older(const struct table *table, const json_t *service)
{
    const char *refused = json_string_at(service, "program.refused");
    if (json_is_true(json_at(service, "program.older")))
        note_below(
            table, "%s runs an older program than is on disk%s%s", json_string_at(service, "name"),
            refused ? ": " : "; freehold upgrade takes the new one.", refused ? refused : "");
    else if (refused)
        note_below(table, "%s could not be upgraded: %s", json_string_at(service, "name"), refused);
}

/* What `up` observes of each process, and what the service learns from its store and its
 * callers. */
static void note_clock(const struct table *table, const json_t *service)
{
    char span[APART_TEXT_SIZE];
    const char *name = json_string_at(service, "name");
    const char *why = json_string_at(json_at(service, "state.clock"), "why");
    const json_t *each = json_at(service, "instances"), *child;
    size_t i;
    json_array_foreach ((json_t *)(uintptr_t)each, i, child) {
        if (!json_is_integer(json_at(child, "clock_ahead_ms")))
            continue;
        apart_text(span, number_at_path(child, "clock_ahead_ms"));
        if (json_array_size(each) > 1)
            note_below(table, "The clock of %s/%lld is %s this system's.", name,
                       number_at_path(child, "instance"), span);
        else
            note_below(table, "The clock of %s is %s this system's.", name, span);
    }
    if (why)
        note_below(table, "%s", why);
}

static void note_moved(const struct table *table, const json_t *service)
{
    const json_t *file = json_object_get(service, "file");
    if (json_is_object(file))
        note_below(table,
                   "%s is on %s since its move, and the system file says %s: say %s at %s:%lld.",
                   json_string_at(service, "name"), json_string_at(service, "engine"),
                   json_string_at(file, "says"), json_string_at(file, "expected"),
                   json_string_at(file, "path"), number_at_path(file, "line"));
}

/* ---- The whole table ---- */

static void print_head(const struct table *table, const json_t *status)
{
    printf("%s%s%s is %s at %s://%s (pid %lld)\n\n", cli_colour(stdout, CLI_BOLD),
           json_string_at(status, "system"), cli_colour(stdout, CLI_PLAIN),
           json_string_at(status, "phase"),
           json_is_true(json_at(status, "gateway.tls")) ? "https" : "http",
           json_string_at(status, "gateway.address"), number_at_path(status, "up_pid"));
    printf("%s%-*s %-10s %-7s %-5s %8s %11s  %-9s", cli_colour(stdout, CLI_DIM), table->name_width,
           "SERVICE", "STATE", "PID", "FOR", "RESTARTS", "UNAPPLIED", "SAGAS");
    if (table->positions)
        printf(" %*s", POSITION_WIDTH - 1, "POSITION");
    if (table->addresses)
        printf("  %s", "ADDRESS");
    printf("%s\n", cli_colour(stdout, CLI_PLAIN));
}

static int width_of_names(const json_t *status, int width)
{
    static const char *const lists[] = {"services", "servers"};
    int longest = NAME_WIDTH_MIN, most = width - CELLS_WIDTH;
    size_t i;
    json_t *process;
    for (size_t list = 0; list < sizeof lists / sizeof lists[0]; list++) {
        json_array_foreach (json_at(status, lists[list]), i, process) {
            int length = (int)strlen(json_string_at(process, "name"));
            longest = length > longest ? length : longest;
        }
    }
    if (width && longest > most)
        return most > NAME_WIDTH_MIN ? most : NAME_WIDTH_MIN;
    return longest;
}

void status_print(const json_t *status, int width)
{
    static void (*const notes[])(const struct table *table, const json_t *service) = {
        note_end,     note_hang,    note_trouble,  note_refused, note_parked, note_standing,
        note_expired, note_replays, note_restored, note_older,   note_moved,  note_clock};
    const int name_width = width_of_names(status, width), narrow = name_width + CELLS_WIDTH;
    const struct table table = {.width = width,
                                .name_width = name_width,
                                .positions = width == 0 || width >= narrow + POSITION_WIDTH,
                                .addresses =
                                    width == 0 || width >= narrow + POSITION_WIDTH + ADDRESS_WIDTH};
    const json_t *gateway = json_object_get(status, "gateway");
    size_t i;
    json_t *service;
    print_head(&table, status);
    print_row(&table, gateway, false);
    json_array_foreach (json_at(status, "services"), i, service)
        print_row(&table, service, true);
    json_array_foreach (json_at(status, "servers"), i, service)
        print_row(&table, service, false);
    printf("\n");
    status_print_buses(status);
    status_print_derived(status);
    note_end(&table, gateway);
    note_refused(&table, gateway);
    note_older(&table, gateway);
    note_clock(&table, gateway);
    for (size_t n = 0; n < sizeof notes / sizeof notes[0]; n++) {
        json_array_foreach (json_at(status, "services"), i, service)
            notes[n](&table, service);
    }
    json_array_foreach (json_at(status, "services"), i, service)
        status_note_buses(service);
    json_array_foreach (json_at(status, "services"), i, service)
        status_note_derived(service);
    json_array_foreach (json_at(status, "servers"), i, service)
        note_end(&table, service);
}
