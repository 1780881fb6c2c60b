/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freehold report: runs a service's report, or lists what there are. It only reads, so it leaves no
 * record; what it was asked with is not written anywhere either.
 */

#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/json.h"
#include "base/terminal.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/operate/report.h"
#include "cli/table.h"

/* ---- A table ---- */

/* Whatever stands in it, a cell is one line, and no instruction to the terminal. */
static void add_plain_cell(struct cli_table *table, const json_t *value)
{
    char *text = report_cell_text(value);
    for (char *at = text; at && *at; at++)
        *at = *at == '\n' || *at == '\r' ? ' ' : *at;
    if (text)
        text_make_plain(text, strlen(text));
    table_cell(table, "%s", text ? text : "-");
    report_cell_free(value, text);
}

static bool holds_numbers(const json_t *rows, size_t column)
{
    size_t i;
    json_t *row;
    bool any = false;
    json_array_foreach (rows, i, row) {
        const json_t *value = json_array_get(row, column);
        if (!json_is_number(value) && !json_is_null(value))
            return false;
        any |= json_is_number(value);
    }
    return any;
}

static void print_report(const json_t *report)
{
    const json_t *columns = json_object_get(report, "columns"),
                 *rows = json_object_get(report, "rows");
    size_t count = json_array_size(columns), i, j;
    char *heads[TABLE_COLUMNS_MAX + 1] = {0};
    struct cli_table table;
    json_t *row, *value;
    for (i = 0; i < count && i < TABLE_COLUMNS_MAX; i++) {
        struct text head;
        text_init(&head, TEXT_LENGTH_MAX);
        text_printf(&head, "%s%s", holds_numbers(rows, i) ? ">" : "",
                    json_string_value(json_array_get(columns, i)));
        text_make_plain(head.data, head.length);
        heads[i] = text_take(&head);
    }
    table_begin(&table, (const char *const *)heads);
    json_array_foreach (rows, i, row) {
        json_array_foreach (row, j, value)
            add_plain_cell(&table, value);
    }
    table_end(&table);
    for (i = 0; heads[i]; i++)
        free(heads[i]);
}

/* ---- CSV ---- */

/* Of a file, or another program, every byte is as it was: past what guards terminals. */
static int print_csv(const json_t *report)
{
    struct text csv;
    text_init(&csv, TEXT_LENGTH_MAX);
    report_add_csv(&csv, report, terminal_shows(stdout) ? "\n" : "\r\n");
    bool done = !csv.overflow;
    if (done && terminal_shows(stdout))
        done = fwrite(csv.data, 1, csv.length, stdout) == csv.length;
    else if (done)
        done = io_write(terminal_descriptor(stdout), csv.data, csv.length);
    text_release(&csv);
    return done ? CLI_DONE : cli_fail(CLI_FAILED, "the CSV can't be written whole");
}

/* ---- What there is ---- */

/* "from_day=TEXT [category=TEXT]", as it is typed in. */
static char *takes_as_text(const json_t *report)
{
    struct text text;
    size_t i;
    json_t *one;
    text_init(&text, TEXT_LENGTH_MAX);
    json_array_foreach (json_object_get(report, "takes"), i, one) {
        bool optional = json_is_true(json_object_get(one, "optional"));
        text_printf(&text, "%s%s%s=%s%s", i ? " " : "", optional ? "[" : "", cli_text(one, "name"),
                    cli_text(one, "type"), optional ? "]" : "");
    }
    return text_take(&text);
}

static void print_reports(const json_t *all)
{
    struct cli_table table;
    size_t i;
    json_t *one;
    if (json_array_size(all) == 0) {
        printf("There is no report.\n");
        return;
    }
    table_begin(&table, (const char *const[]){"SERVICE", "REPORT", "TAKES", "WHAT", NULL});
    json_array_foreach (all, i, one) {
        const char *why = json_string_at(one, "why"), *summary = json_string_at(one, "summary");
        char *takes = takes_as_text(one);
        char *what = strdup(why ? why : summary ? summary : "");
        FH_ASSERT(what != NULL);
        text_make_plain(what, strlen(what));
        table_cell(&table, "%s", cli_text(one, "service"));
        table_cell(&table, "%s", cli_text(one, "name"));
        table_cell(&table, "%s", *takes ? takes : "-");
        table_cell(&table, "%s%s", why ? "can't be run: " : "", what);
        free(what);
        free(takes);
    }
    table_end(&table);
}

/* ---- The command ---- */

/* "NAME=VALUE" words as {"NAME": "VALUE"}. */
static int read_given(char **words, json_t **ret)
{
    *ret = json_object();
    for (; *words; words++) {
        const char *equals = strchr(*words, '=');
        if (!equals || equals == *words)
            return cli_fail(CLI_USAGE, "'%s' is not NAME=VALUE", *words);
        char *name = strndup(*words, (size_t)(equals - *words));
        FH_ASSERT(name != NULL);
        bool twice = json_object_get(*ret, name) != NULL;
        json_object_set_new(*ret, name, json_string(equals + 1));
        free(name);
        if (twice)
            return cli_fail(CLI_USAGE, "'%.*s' is given twice", (int)(equals - *words), *words);
    }
    return CLI_DONE;
}

static int show_report(struct cli_operator *asking, char **words, const json_t *given, bool csv,
                       bool as_json)
{
    json_t *report;
    int code = report_ask(asking, words[0], words[1], given, &report);
    if (code != CLI_DONE)
        return code;
    if (as_json)
        cli_print_json(report);
    else if (csv)
        code = print_csv(report);
    else
        print_report(report);
    json_decref(report);
    return code;
}

/* What does not fit together. */
static int judge_options(bool named, bool csv, bool as_json, const char *folder)
{
    if (csv && as_json)
        return cli_fail(CLI_USAGE, "--csv or --json, not both");
    if (folder && !csv)
        return cli_fail(CLI_USAGE, "--out is for --csv: add that");
    if (csv && !named && !folder)
        return cli_fail(CLI_USAGE, "--csv is for one report, or with --out FOLDER for all");
    return CLI_DONE;
}

static int run_report_command(const struct cli_command *command, char **words, const char **values)
{
    struct cli_operator asking;
    const char *folder = cli_value(command, values, "--out");
    bool csv = cli_value(command, values, "--csv") != NULL;
    bool as_json = cli_value(command, values, "--json") != NULL;
    /* In a folder there may be values for all reports: without the name of one. */
    bool named = words[1] && !(folder && strchr(words[1], '='));
    json_t *given = NULL;
    int code = judge_options(named, csv, as_json, folder);
    if (code == CLI_DONE)
        code = read_given(words + 1 + named, &given);
    if (code == CLI_DONE &&
        (code = cli_operator_begin(&asking, cli_value(command, values, "--state"))) == CLI_DONE) {
        if (folder)
            code = report_write_folder(&asking, words[0], named ? words[1] : NULL, given, folder);
        else if (named)
            code = show_report(&asking, words, given, csv, as_json);
        else
            code = cli_operator_list(&asking, words[0], "/_freehold/reports", "reports", "reports",
                                     print_reports, as_json);
        cli_operator_end(&asking);
    }
    json_decref(given);
    return code;
}

const struct cli_command cli_report = {
    .name = "report",
    .words = "SERVICE [REPORT [NAME=VALUE ...]]",
    .words_min = 1,
    .words_max = CLI_WORDS_MAX,
    .summary = "Run a report of a service; without a name, list them",
    .text =
        "A report is SQL in a file beside the service, which only reads. NAME=VALUE is what it\n"
        "takes. An answer is whole: one that would be larger than 100,000 rows or 8 MiB is\n"
        "refused. It ends after 60 s.\n\n"
        "  freehold report orders\n"
        "  freehold report orders sales_by_day from_day=2026-01-01\n"
        "  freehold report orders sales_by_day from_day=2026-01-01 --csv >sales.csv\n"
        "  freehold report orders from_day=2026-01-01 --csv --out sales\n\n"
        "The last one writes all of them, each to a file of its name (sales/sales_by_day.csv), or\n"
        "none if one fails. Each gets what it takes of the values.\n\n"
        "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no running system.\n",
    .options = {{"--csv", NULL, "print CSV, as spreadsheets read it (RFC 4180)"},
                {"--out", "FOLDER", "with --csv: write it there, or all of them, as REPORT.csv"},
                {"--json", NULL, "print {\"columns\": [...], \"rows\": [[...]]}"},
                CLI_OPTION_STATE_RUNNING},
    .run = run_report_command,
};
