/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of contracts on a terminal:
 *
 *     BREAKS  users: event UserUpdated, version 1
 *             /name: is gone
 *             orders reads name
 *             as in contracts/users.json
 */

#include "cli/develop/changes.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "cli/cli.h"

#define COLUMN 8

static const struct level {
    const char *name, *word;
    enum cli_colour colour;
} levels[] = {{"error", "BREAKS", CLI_RED},
              {"warning", "unused", CLI_YELLOW},
              {"compatible", "fits", CLI_GREEN}};

void changes_place(const json_t *change, char out[static CHANGES_PLACE_SIZE])
{
    const char *part = json_string_at(change, "part"), *pointer = json_string_at(change, "pointer");
    bool named = *part && strcmp(part, "data") != 0;
    snprintf(out, CHANGES_PLACE_SIZE, "%s%s%.600s%s", named ? part : "",
             named && *pointer ? " " : "", pointer, named || *pointer ? ": " : "");
}

static void print_subject(const json_t *change)
{
    const char *kind = json_string_at(change, "kind");
    long long version = cli_number(change, "version");
    bool event = strcmp(kind, "event") == 0;
    char subject[2400];
    int length = snprintf(subject, sizeof subject, "%s", json_string_at(change, "service"));
    if (strcmp(kind, "service") != 0)
        length += snprintf(subject + length, sizeof subject - (size_t)length, ": %s%.2000s",
                           event ? "event " : "", json_string_at(change, "name"));
    if (event && version)
        snprintf(subject + length, sizeof subject - (size_t)length, ", version %lld", version);
    cli_wrap(stdout, cli_width(stdout), COLUMN, COLUMN, subject);
    printf("\n");
}

static void print_breaks(const json_t *breaks)
{
    size_t i;
    json_t *one;
    json_array_foreach (breaks, i, one) {
        const char *by = json_string_at(one, "by");
        cli_line(COLUMN + 2, "%*s%s %s%s%s%s", COLUMN, "", json_string_at(one, "service"),
                 json_string_at(one, "how"), by ? " (" : "", by ? by : "", by ? ")" : "");
    }
}

static void print_change(const json_t *change, const struct level *level)
{
    char place[CHANGES_PLACE_SIZE];
    bool breaking = json_is_true(json_object_get(change, "breaking"));
    printf("%s%-*s%s", cli_colour(stdout, level->colour), COLUMN, level->word,
           cli_colour(stdout, CLI_PLAIN));
    print_subject(change);
    changes_place(change, place);
    cli_line(COLUMN + 2, "%*s%s%s", COLUMN, "", place, json_string_at(change, "text"));
    print_breaks(json_object_get(change, "breaks"));
    if (breaking)
        cli_line(COLUMN + 2, "%*sas in %s", COLUMN, "", json_string_at(change, "last_in"));
}

static void print_sum(const char *previous, size_t broken, size_t unused)
{
    if (broken)
        cli_line(0, "%zu %s what %s promises.", broken,
                 broken == 1 ? "change breaks" : "changes break", previous);
    if (unused)
        cli_line(0, "%zu %s what %s promises, and nobody is known to use it.", unused,
                 unused == 1 ? "change breaks" : "changes break", previous);
    if (!broken && !unused)
        cli_line(0, "Nothing breaks what %s promises.", previous);
}

void changes_print(const json_t *changes, const char *previous, bool all)
{
    size_t i, broken = contract_count(changes, "error"),
              unused = contract_count(changes, "warning"),
              kept = contract_count(changes, "compatible");
    json_t *change;
    printf("\n");
    for (size_t level = 0; level < sizeof levels / sizeof levels[0]; level++) {
        json_array_foreach (changes, i, change) {
            if (strcmp(json_string_at(change, "level"), levels[level].name) == 0 &&
                (all || json_is_true(json_object_get(change, "breaking"))))
                print_change(change, &levels[level]);
        }
    }
    print_sum(previous, broken, unused);
    if (kept)
        cli_line(0, "%zu %s compatible%s.", kept, kept == 1 ? "change is" : "changes are",
                 all ? "" : "; --verbose lists them");
}
