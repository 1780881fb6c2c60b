/* SPDX-License-Identifier: Apache-2.0 */
/* freehold events diff: event types of two descriptions, which need no programs and no system. */

#include "cli/observe/events_diff.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/develop/changes.h"
#include "system/contract/changes.h"
#include "system/file/nearest.h"

struct diff {
    struct contract_files old, now;
    const char *type;
    bool json;
};

/* The last description of it. */
static const json_t *service_in(const struct contract_files *files, const char *name)
{
    for (size_t i = files->count; i-- > 0;) {
        const json_t *found = json_object_get(files->files[i].services, name);
        if (found)
            return found;
    }
    return NULL;
}

static void diff_service(const struct diff *diff, const char *name, json_t *found)
{
    json_t *nothing = json_object();
    const json_t *old = service_in(&diff->old, name), *now = service_in(&diff->now, name);
    changes_of_events(found, name, old ? old : nothing, now ? now : nothing, diff->type);
    json_decref(nothing);
}

/* Each service once, first those that the old files have. */
static json_t *compare_all(const struct diff *diff)
{
    json_t *found = json_array(), *seen = json_object(), *unused;
    const struct contract_files *sides[] = {&diff->old, &diff->now};
    const char *name;
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < sides[side]->count; i++) {
            json_object_foreach (sides[side]->files[i].services, name, unused) {
                if (!json_object_get(seen, name))
                    diff_service(diff, name, found);
                json_object_set_new(seen, name, json_true());
            }
        }
    }
    json_decref(seen);
    return found;
}

/* CLI_DONE, or CLI_USAGE: neither description has the type. */
static int check_known(const struct diff *diff)
{
    const struct contract_files *sides[] = {&diff->old, &diff->now};
    struct nearest nearest = nearest_begin(diff->type ? diff->type : "");
    const char *name;
    json_t *service, *published;
    size_t j;
    for (int side = 0; diff->type && side < 2; side++) {
        for (size_t i = 0; i < sides[side]->count; i++) {
            json_object_foreach (sides[side]->files[i].services, name, service) {
                json_array_foreach (json_object_get(service, "publishes"), j, published) {
                    const char *known = json_string_at(published, "type");
                    if (strcmp(known, diff->type) == 0)
                        return CLI_DONE;
                    nearest_offer(&nearest, known);
                }
            }
        }
    }
    if (!diff->type)
        return CLI_DONE;
    return cli_fail(CLI_USAGE, "neither description has the event type '%s'%s%s%s", diff->type,
                    nearest.word ? "; did you mean '" : "", nearest.word ? nearest.word : "",
                    nearest.word ? "'?" : "");
}

/* "+", "-" or "~", green for what is compatible. */
static const char *sign_of(const json_t *change)
{
    const char *rule = json_string_at(change, "rule"), *text = json_string_at(change, "text");
    bool added = strcmp(rule, "new") == 0 || strncmp(text, "is new", 6) == 0;
    return strcmp(rule, "gone") == 0 ? "-" : added ? "+" : "~";
}

static void print_diff(const json_t *found)
{
    char subject[2400], last[2400] = "", place[CHANGES_PLACE_SIZE];
    size_t i, breaking = 0;
    json_t *change;
    json_array_foreach (found, i, change) {
        bool breaks = json_is_true(json_object_get(change, "breaking"));
        breaking += breaks;
        snprintf(subject, sizeof subject, "%s: %.2000s, version %lld",
                 json_string_at(change, "service"), json_string_at(change, "name"),
                 cli_number(change, "version"));
        if (strcmp(subject, last) != 0) {
            printf("%s", cli_colour(stdout, CLI_BOLD));
            cli_line(2, "%s%s", subject, cli_colour(stdout, CLI_PLAIN));
        }
        snprintf(last, sizeof last, "%s", subject);
        changes_place(change, place);
        printf("%s  %s %-12s%s", cli_colour(stdout, breaks ? CLI_RED : CLI_GREEN), sign_of(change),
               breaks ? "breaking" : "compatible", cli_colour(stdout, CLI_PLAIN));
        cli_wrap(stdout, cli_width(stdout), 16, 18, place);
        cli_wrap(stdout, cli_width(stdout), 16 + (int)strlen(place), 18,
                 json_string_at(change, "text"));
        printf("\n");
    }
    if (json_array_size(found) == 0)
        printf("No event type differs.\n");
    else
        printf("%zu %s, %zu of them breaking.\n", json_array_size(found),
               json_array_size(found) == 1 ? "difference" : "differences", breaking);
}

int events_diff(const char *old_path, const char *new_path, const char *type, bool as_json)
{
    struct findings findings = {0};
    struct diff diff = {.type = type, .json = as_json};
    contract_files_read(old_path, &diff.old, &findings);
    contract_files_read(new_path, &diff.now, &findings);
    int code = findings.errors ? CLI_FAILED : check_known(&diff);
    cli_print_findings(&findings);
    if (code == CLI_DONE) {
        json_t *found = compare_all(&diff);
        json_t *all = json_pack("{s:O}", "changes", found);
        if (diff.json)
            cli_print_json(all);
        else
            print_diff(found);
        json_decref(all);
        json_decref(found);
    }
    contract_files_release(&diff.old);
    contract_files_release(&diff.now);
    findings_release(&findings);
    return code;
}
