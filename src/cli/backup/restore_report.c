/* SPDX-License-Identifier: Apache-2.0 */
/* freehold restore-report: what restores from backups have left for an operator to do. */

#include <string.h>

#include "base/json.h"
#include "cli/cli.h"

static void print_untold(const json_t *report)
{
    const json_t *untold = json_object_get(report, "untold");
    size_t i;
    json_t *name;
    if (json_array_size(untold) == 0)
        return;
    printf("%s was restored, and will notify", cli_text(report, "service"));
    json_array_foreach (untold, i, name)
        printf("%s %s", i ? "," : "", json_string_value(name));
    printf(" as soon as it can.\n");
}

static void print_entries(const json_t *report)
{
    const json_t *entries = json_object_get(report, "entries");
    size_t i;
    json_t *entry;
    json_array_foreach (entries, i, entry) {
        char age[32];
        json_t *age_s = json_integer((cli_now_ms() - (int64_t)cli_number(entry, "at_ms")) / 1000);
        cli_format_span(age, sizeof age, age_s);
        json_decref(age_s);
        printf("%s%s%s %s, %s ago: %s\n    %s\n", cli_colour(stdout, CLI_BOLD),
               cli_text(report, "service"), cli_colour(stdout, CLI_PLAIN), cli_text(entry, "id"),
               age, cli_text(entry, "what"), cli_text(entry, "todo"));
    }
    if (cli_number(report, "left_out"))
        printf("%s: %lld more did not fit; compare its data with the other services' from the time "
               "of the backup on.\n",
               cli_text(report, "service"), cli_number(report, "left_out"));
}

static int ask_report(struct cli_operator *asking, const char *service, json_t **ret)
{
    return cli_operator_ask(asking, service, "GET", "/_freehold/restored", json_object(), ret);
}

/* Keeps only the entries of the report that were named; without names, all of them. False: one does
 * not exist. */
static bool choose_entries(json_t *report, char **ids)
{
    json_t *all = json_object_get(report, "entries"), *chosen = json_array(), *entry;
    size_t i;
    for (char **id = ids; *id; id++) {
        size_t before = json_array_size(chosen);
        json_array_foreach (all, i, entry) {
            if (strcmp(cli_text(entry, "id"), *id) == 0)
                json_array_append(chosen, entry);
        }
        if (json_array_size(chosen) == before) {
            cli_fail(CLI_FAILED, "the report of %s has no entry %s", cli_text(report, "service"),
                     *id);
            json_decref(chosen);
            return false;
        }
    }
    if (*ids) {
        json_object_set(report, "entries", chosen);
        json_object_set_new(report, "left_out", json_integer(0));
    }
    json_decref(chosen);
    return true;
}

/* Marks the entries of `report` as seen. */
static int mark_seen(struct cli_operator *asking, const char *service, const json_t *report)
{
    json_t *left, *ids = json_array(), *entry;
    size_t i;
    json_array_foreach (json_object_get(report, "entries"), i, entry)
        json_array_append(ids, json_object_get(entry, "id"));
    int code = cli_operator_ask(
        asking, service, "POST", "/_freehold/restored/seen",
        json_pack("{s:o, s:I}", "ids", ids, "left_out", (json_int_t)cli_number(report, "left_out")),
        &left);
    if (code == CLI_DONE)
        json_decref(left);
    return code;
}

/* One service's report, or the named entries of it; with `seen`, marks them as seen. *ret: the
 * report, a new reference. */
static int take_report(struct cli_operator *asking, const char *service, char **ids, bool seen,
                       json_t **ret)
{
    int code = ask_report(asking, service, ret);
    if (code != CLI_DONE)
        return code;
    code = choose_entries(*ret, ids) ? CLI_DONE : CLI_FAILED;
    if (code == CLI_DONE && seen)
        code = mark_seen(asking, service, *ret);
    if (code != CLI_DONE)
        json_decref(*ret);
    return code;
}

int cli_restore_report_take(struct cli_operator *asking, json_t **ret)
{
    size_t i;
    json_t *service, *report;
    int code = CLI_DONE;
    *ret = json_array();
    json_array_foreach (json_at(asking->system, "services"), i, service) {
        int taken = ask_report(asking, json_string_at(service, "name"), &report);
        if (taken == CLI_DONE)
            json_array_append_new(*ret, report);
        else
            code = taken;
    }
    return code;
}

void cli_restore_report_print(const json_t *reports)
{
    size_t i;
    json_t *report;
    bool any = false;
    json_array_foreach (reports, i, report) {
        print_untold(report);
        print_entries(report);
        any |= json_array_size(json_object_get(report, "entries")) > 0 ||
               json_array_size(json_object_get(report, "untold")) > 0 ||
               cli_number(report, "left_out") > 0;
    }
    if (!any)
        printf("No restore has left anything to do.\n");
}

/* Each entry on its own line, with its service's name. */
static void print_lines(const json_t *reports)
{
    size_t i, j;
    json_t *report, *entry;
    json_array_foreach (reports, i, report) {
        json_array_foreach (json_object_get(report, "entries"), j, entry) {
            json_object_set(entry, "service", json_object_get(report, "service"));
            json_dumpf(entry, stdout, JSON_COMPACT);
            putchar('\n');
        }
    }
}

static int run_restore_report(const struct cli_command *command, char **words, const char **values)
{
    struct cli_operator asking;
    bool seen = cli_value(command, values, "--seen") != NULL;
    json_t *reports = NULL, *report;
    if (seen && !words[0])
        return cli_fail(CLI_USAGE,
                        "say whose report was seen: freehold restore-report SERVICE --seen");
    int code = cli_operator_begin(&asking, cli_value(command, values, "--state"));
    if (code != CLI_DONE)
        return code;
    if (words[0]) {
        reports = json_array();
        code = take_report(&asking, words[0], words + 1, seen, &report);
        if (code == CLI_DONE)
            json_array_append_new(reports, report);
    } else {
        code = cli_restore_report_take(&asking, &reports);
    }
    if (cli_value(command, values, "--lines")) {
        print_lines(reports);
    } else if (cli_value(command, values, "--json")) {
        json_t *told = json_pack("{s:O}", "services", reports);
        cli_print_json(told);
        json_decref(told);
    } else if (json_array_size(reports) > 0) {
        cli_restore_report_print(reports);
        if (seen && code == CLI_DONE)
            printf("That is seen, and gone from the report of %s.\n", words[0]);
    }
    json_decref(reports);
    cli_operator_end(&asking);
    return code;
}

const struct cli_command cli_restore_report = {
    .name = "restore-report",
    .words = "[SERVICE [ID...]]",
    .words_max = CLI_WORDS_MAX,
    .summary = "What restores from backups have left for an operator to do",
    .text =
        "One sentence for each thing that needs an operator: what, of which saga, where, why,\n"
        "and what you can do about it; and which services were not notified yet. Tick off what\n"
        "you have dealt with by its id, or a service's whole report:\n"
        "\n"
        "  freehold restore-report SERVICE ID... --seen\n"
        "  freehold restore-report SERVICE --seen\n"
        "\n"
        "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no running system.\n",
    .options = {{"--seen", NULL, "all that is shown was seen to: it is shown no more"},
                {"--json", NULL, "print the services' answers"},
                {"--lines", NULL, "print each entry as a line of JSON"},
                CLI_OPTION_STATE_RUNNING},
    .run = run_restore_report,
};
