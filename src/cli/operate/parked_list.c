/* SPDX-License-Identifier: Apache-2.0 */
/* freehold parked list, and which keys are meant by a type, an error and an age. */

#include <string.h>

#include "base/json.h"
#include "cli/operate/parked.h"
#include "cli/table.h"

bool parked_is_filtered(const struct parked_choosing *choosing)
{
    return choosing->type || choosing->error || choosing->older || choosing->newer;
}

const char *parked_filter_path(struct cli_operator *asking, const struct parked_choosing *choosing,
                               const json_t *last)
{
    char pattern[512] = "/_freehold/parked/matching";
    json_t *values = json_object();
    const char *path = NULL;
    const struct {
        const char *name;
        json_t *value;
    } all[] = {{"source", choosing->source ? json_string(choosing->source) : NULL},
               {"type", choosing->type ? json_string(choosing->type) : NULL},
               {"error", choosing->error ? json_string(choosing->error) : NULL},
               {"before_ms", choosing->before_ms ? json_integer(choosing->before_ms) : NULL},
               {"after_ms", choosing->after_ms ? json_integer(choosing->after_ms) : NULL},
               {"after_source", json_incref(json_object_get(last, "source"))},
               {"after_share", json_incref(json_object_get(last, "share"))},
               {"after_position", json_incref(json_object_get(last, "position"))}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        size_t length = strlen(pattern);
        if (!all[i].value)
            continue;
        snprintf(pattern + length, sizeof pattern - length, "%c%s={%s}",
                 json_object_size(values) ? '&' : '?', all[i].name, all[i].name);
        json_object_set_new(values, all[i].name, all[i].value);
    }
    cli_operator_path(asking, pattern, values, &path);
    return path;
}

void parked_print(const json_t *list)
{
    struct cli_table table;
    size_t i;
    json_t *one;
    char age[32];
    if (json_array_size(list) == 0) {
        printf("Nothing is parked.\n");
        return;
    }
    table_begin(&table, (const char *const[]){"SERVICE", "SOURCE", "KEY", ">EVENTS", ">SINCE",
                                              ">ATTEMPTS", "WHY", NULL});
    json_array_foreach (list, i, one) {
        cli_format_span(age, sizeof age, json_object_get(one, "age_s"));
        table_cell(&table, "%s", cli_text(one, "service"));
        table_cell(&table, "%s", cli_text(one, "source"));
        table_cell(&table, "%s", cli_text(one, "key"));
        table_cell(&table, "%lld", cli_number(one, "events"));
        table_cell(&table, "%s", age);
        table_cell(&table, "%lld", cli_number(one, "attempts"));
        table_cell(&table, "%s at %lld: %s", cli_text(one, "type"), cli_number(one, "position"),
                   cli_text(one, "error"));
    }
    table_end(&table);
}

int parked_list_run(struct cli_operator *asking, const struct parked_choosing *choosing)
{
    const char *path = parked_is_filtered(choosing) ? parked_filter_path(asking, choosing, NULL)
                                                    : "/_freehold/parked";
    return path ? cli_operator_list(asking, choosing->service, path, "keys", "parked", parked_print,
                                    choosing->as_json)
                : CLI_USAGE;
}
