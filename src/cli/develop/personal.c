/* SPDX-License-Identifier: Apache-2.0 */
/* freehold personal map: who holds and passes on what is personal, as the programs declare it. */

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/load.h"
#include "system/check/personal.h"

#define LINE_SIZE 1024

static void write_way(const json_t *flow, char out[static LINE_SIZE])
{
    static const struct {
        const char *how, *before, *between; /* the words before the other one, and before `what` */
    } ways[] = {{"takes", NULL, "taken by "},
                {"answers", NULL, "answered by "},
                {"publishes", NULL, "published with "},
                {"settings", NULL, "in its settings"},
                {"subscribes", "from ", ", by "},
                {"asks", "from ", ", by "},
                {"keeps", NULL, "in the input of saga "},
                {"sends", "sent to ", ", by "},
                {"told", "from ", ", in the answer to "},
                {"derives", NULL, "derived into "}};
    const char *how = json_string_at(flow, "how"), *what = json_string_at(flow, "what"),
               *other = json_string_at(flow, "other");
    size_t i = 0;
    while (i + 1 < sizeof ways / sizeof ways[0] && strcmp(ways[i].how, how) != 0)
        i++;
    const char *before = ways[i].before;
    bool derives = strcmp(how, "derives") == 0,
         is_public = !before && !derives && strcmp(other, "public") == 0;
    snprintf(out, LINE_SIZE, "%s%s%s%s%s%s", before ? before : "", before ? other : "",
             ways[i].between, what, is_public ? " (public)" : "",
             derives && *other ? ", on the server " : "");
    if (derives)
        snprintf(out + strlen(out), LINE_SIZE - strlen(out), "%s", other);
}

/* "name, email, token (secret)" */
static void write_fields(const json_t *fields, char out[static LINE_SIZE])
{
    const char *name;
    json_t *mark;
    size_t used = 0;
    out[0] = '\0';
    json_object_foreach ((json_t *)(uintptr_t)fields, name, mark) {
        const char *word = json_string_value(mark);
        bool plain = strcmp(word, "personal") == 0;
        int added = snprintf(out + used, LINE_SIZE - used, "%s%s%s%s%s", used ? ", " : "", name,
                             plain ? "" : " (", plain ? "" : word, plain ? "" : ")");
        used += (size_t)added < LINE_SIZE - used ? (size_t)added : LINE_SIZE - used - 1;
    }
}

static void print_map(const json_t *map)
{
    const char *last = "";
    char fields[LINE_SIZE], way[LINE_SIZE];
    size_t i;
    json_t *flow;
    json_array_foreach (map, i, flow) {
        const char *service = json_string_at(flow, "service");
        if (strcmp(service, last) != 0)
            printf("%s%s%s%s\n", *last ? "\n" : "", cli_colour(stdout, CLI_BOLD), service,
                   cli_colour(stdout, CLI_PLAIN));
        last = service;
        write_fields(json_object_get(flow, "fields"), fields);
        write_way(flow, way);
        cli_line(37, "  %-34s %s", fields, way);
    }
    if (json_array_size(map) == 0)
        printf("No program marks a field as personal, secret or a card's.\n");
}

static int run_personal(const struct cli_command *command, char **words, const char **values)
{
    struct findings findings = {0};
    const struct load_options options = load_options_of(command, values, words[1]);
    struct system_file *file = load_system(&options, &findings);
    int code = file ? CLI_DONE : CLI_FAILED;
    if (!file) {
        cli_print_findings(&findings);
    } else {
        json_t *map = personal_map(file);
        if (cli_value(command, values, "--json")) {
            json_t *all = json_pack("{s:s, s:O}", "system", file->name, "fields", map);
            cli_print_json(all);
            json_decref(all);
        } else {
            print_map(map);
        }
        json_decref(map);
    }
    system_file_free(file);
    findings_release(&findings);
    return code;
}

const struct cli_command cli_personal = {
    .name = "personal",
    .words = "map [FILE]",
    .words_min = 1,
    .words_max = 2,
    .summary = "Who holds and passes on which personal field",
    .text =
        "By services: what their routes, events and sagas take and give that is marked as\n"
        "personal, secret or a card's, and of whom they get it; what they derive, and on which\n"
        "servers that is. As the programs declare it;\n"
        "the system need not run. `check` finds what is got without being named.\n",
    .options = {CLI_OPTION_STATE_BESIDE, CLI_OPTION_PROFILE, CLI_OPTION_PROGRAMS, CLI_OPTION_JSON},
    .run = run_personal,
};
