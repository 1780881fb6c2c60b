/* SPDX-License-Identifier: Apache-2.0 */
/* What services report of their buses. A broker that is away is no trouble of theirs: events wait,
 * or come from the feed. */

#include "cli/observe/status_bus.h"

#include <stdio.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/table.h"

/* "0", "12", "12 (3m)": events, and how old the first of them is. */
static void format_unrelayed(char *out, size_t size, const json_t *bus)
{
    char span[32];
    long long depth = cli_number(bus, "depth"), age_ms = cli_number(bus, "age_ms");
    json_t *seconds = json_integer(age_ms / 1000);
    if (age_ms < 1000)
        snprintf(span, sizeof span, "%lldms", age_ms);
    else
        cli_format_span(span, sizeof span, seconds);
    json_decref(seconds);
    if (depth == 0 || age_ms == 0)
        snprintf(out, size, "%lld", depth);
    else
        snprintf(out, size, "%lld (%s)", depth, span);
}

static void print_relay(struct cli_table *table, const char *service, const json_t *bus,
                        const json_t *outside)
{
    char unrelayed[64], held[CLI_OUTSIDE_SIZE];
    const char *driver = json_string_at(bus, "bus"), *why = json_string_at(bus, "reason");
    bool connected = json_is_true(json_object_get(bus, "connected"));
    format_unrelayed(unrelayed, sizeof unrelayed, bus);
    table_cell(table, "%s", service);
    table_cell(table, "%s", driver ? driver : "-");
    table_cell(table, "%s", driver ? unrelayed : "-");
    cli_format_outside(held, sizeof held, cli_number(bus, "outside_kept_s"),
                       cli_number(outside, "kept_ms") / 1000, "-");
    table_cell(table, "%s", held);
    if (connected)
        table_cell(table, "relaying");
    else if (!bus)
        table_cell(table, "no bus");
    else
        table_cell(table, "not now: %s", why ? why : "it is not connected yet.");
}

void status_print_buses(const json_t *status)
{
    struct cli_table table;
    size_t i;
    json_t *service;
    bool any = false;
    json_array_foreach (json_at(status, "services"), i, service) {
        const json_t *bus = json_at(service, "state.bus");
        const json_t *outside = json_at(service, "state.outside");
        if (!bus && !outside)
            continue;
        if (!any)
            table_begin(&table, (const char *const[]){"PUBLISHER", "BUS", "UNRELAYED",
                                                      "FOR READERS OUTSIDE", "RELAY", NULL});
        any = true;
        print_relay(&table, json_string_at(service, "name"), bus, outside);
    }
    if (any) {
        table_end(&table);
        printf("\n");
    }
}

void status_note_buses(const json_t *service)
{
    size_t i;
    json_t *bus, *source;
    if (cli_number(json_at(service, "state.outside"), "cut") > 0)
        cli_line(2,
                 "%s has removed %lld events earlier than readers outside were to find them: there "
                 "were more than events_max.",
                 json_string_at(service, "name"),
                 cli_number(json_at(service, "state.outside"), "cut"));
    if (json_is_true(json_at(service, "state.bus.outside_overflows")))
        cli_line(2,
                 "The topic of %s has no room for what it is to hold for readers outside: "
                 "keep_bytes of its broker.",
                 json_string_at(service, "name"));
    json_array_foreach (json_at(service, "state.sources"), i, source) {
        if (cli_number(source, "lost") > 0)
            cli_line(2, "%s has lost %lld messages of %s: freehold parked list says which.",
                     json_string_at(service, "name"), cli_number(source, "lost"),
                     json_string_at(source, "source"));
    }
    json_array_foreach (json_at(service, "state.buses"), i, bus) {
        const char *why = json_string_at(bus, "reason");
        if (!json_is_true(json_object_get(bus, "connected")))
            cli_line(2, "%s takes the events of %s from the feed: %s",
                     json_string_at(service, "name"), json_string_at(bus, "source"),
                     why ? why : "the bus is not connected yet.");
    }
}
