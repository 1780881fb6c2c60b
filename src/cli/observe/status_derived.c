/* SPDX-License-Identifier: Apache-2.0 */
/* What services report of their derived stores on servers. A server that is away is no trouble of
 * their stores: what is derived waits in the outbox. */

#include "cli/observe/status_derived.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/table.h"

#define DERIVED_KEYS_NAMED 3

static void print_derived(struct cli_table *table, const char *service, const json_t *derived)
{
    const char *why = json_string_at(derived, "reason"), *state = json_string_at(derived, "state");
    char span[32];
    json_t *seconds = json_integer(cli_number(derived, "age_ms") / 1000);
    cli_format_span(span, sizeof span, seconds);
    json_decref(seconds);
    table_cell(table, "%s", service);
    table_cell(table, "%s", json_string_at(derived, "name"));
    table_cell(table, "%s", json_string_at(derived, "server"));
    if (cli_number(derived, "depth"))
        table_cell(table, "%lld (%s)", cli_number(derived, "depth"), span);
    else
        table_cell(table, "0");
    table_cell(table, "%s%s%s%s", state ? state : "?",
               json_is_true(json_object_get(derived, "serves")) ? "" : ", can't be asked",
               why ? ": " : "", why ? why : "");
}

void status_print_derived(const json_t *status)
{
    struct cli_table table;
    size_t i, j;
    json_t *service, *derived;
    bool any = false;
    json_array_foreach (json_at(status, "services"), i, service) {
        json_array_foreach (json_at(service, "state.derived"), j, derived) {
            if (!any)
                table_begin(&table, (const char *const[]){"SERVICE", "DERIVED STORE", "SERVER",
                                                          "UNCARRIED", "STATE", NULL});
            any = true;
            print_derived(&table, json_string_at(service, "name"), derived);
        }
    }
    if (any) {
        table_end(&table);
        printf("\n");
    }
}

void status_note_derived(const json_t *service)
{
    size_t i, j;
    json_t *derived, *refused;
    json_array_foreach (json_at(service, "state.derived"), i, derived) {
        const json_t *list = json_object_get(derived, "refused");
        char keys[256] = "";
        json_array_foreach (list, j, refused) {
            size_t length = strlen(keys);
            if (j < DERIVED_KEYS_NAMED)
                snprintf(keys + length, sizeof keys - length, "%s%s", j ? ", " : "",
                         json_string_at(refused, "key"));
        }
        if (json_array_size(list))
            cli_line(2, "%s refuses %zu values of %s of %s: those of %.200s%s. The first: %s",
                     json_string_at(derived, "server"), json_array_size(list),
                     json_string_at(derived, "name"), json_string_at(service, "name"), keys,
                     json_array_size(list) > DERIVED_KEYS_NAMED ? ", ..." : "",
                     json_string_at(json_array_get(list, 0), "reason"));
    }
}
