/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reports as CSV (RFC 4180), and a folder of them.
 *
 * A folder gets all of the new files or none: each report is asked for and written beside its file,
 * and only when all are there do they take their places. (Killed between two of these, it has some
 * of them; each is whole.) What can be known to be wrong is said before the first one is run.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/json.h"
#include "cli/beside.h"
#include "cli/operate/report.h"

/* A text that is empty is quoted: null is not. */
static void add_csv_value(struct text *csv, const json_t *value)
{
    char *text = report_cell_text(value);
    size_t length = json_is_string(value) ? json_string_length(value) : text ? strlen(text) : 0;
    bool quotes = text && (!length || strlen(text) < length || text[0] == ' ' ||
                           text[length - 1] == ' ' || text[strcspn(text, "\",\r\n")]);
    text_add(csv, quotes ? "\"" : "");
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '"')
            text_add(csv, "\"");
        text_append(csv, text + i, 1);
    }
    text_add(csv, quotes ? "\"" : "");
    report_cell_free(value, text);
}

static void add_csv_line(struct text *csv, const json_t *values, const char *line_end)
{
    size_t i;
    json_t *value;
    json_array_foreach (values, i, value) {
        text_add(csv, i ? "," : "");
        add_csv_value(csv, value);
    }
    text_add(csv, line_end);
}

void report_add_csv(struct text *csv, const json_t *report, const char *line_end)
{
    size_t i;
    json_t *row;
    add_csv_line(csv, json_object_get(report, "columns"), line_end);
    json_array_foreach (json_object_get(report, "rows"), i, row)
        add_csv_line(csv, row, line_end);
}

/* ---- A folder ---- */

/* What a report takes of `given`, a new reference. *ret_missing: the first that it needs besides;
 * NULL: none. */
static json_t *taken_of(const json_t *report, const json_t *given, const char **ret_missing)
{
    json_t *taken = json_object(), *one;
    size_t i;
    *ret_missing = NULL;
    json_array_foreach (json_object_get(report, "takes"), i, one) {
        const char *name = cli_text(one, "name");
        json_t *value = json_object_get(given, name);
        if (value)
            json_object_set(taken, name, value);
        else if (!*ret_missing && !json_is_true(json_object_get(one, "optional")))
            *ret_missing = name;
    }
    return taken;
}

/* A report's name is a part of a path here. */
static bool is_plain_name(const char *name)
{
    return *name && !name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")];
}

/* Takes from `untaken` what the report takes of `given`. */
static int judge_report(const json_t *report, const json_t *given, json_t *untaken)
{
    const char *name = cli_text(report, "name"), *why = json_string_at(report, "why"), *missing;
    json_t *taken = taken_of(report, given, &missing), *value;
    const char *one;
    int code = CLI_DONE;
    if (!is_plain_name(name))
        code = cli_fail(CLI_FAILED, "a report has a name that is none");
    else if (why)
        code = cli_fail(CLI_FAILED, "the report %s can't be run: %s", name, why);
    else if (missing)
        code =
            cli_fail(CLI_USAGE, "the report %s takes '%s': give %s=VALUE", name, missing, missing);
    json_object_foreach (taken, one, value)
        json_object_del(untaken, one);
    json_decref(taken);
    return code;
}

/* Whether all of `reports` can be run with what is given, and all of that is for one of them. */
static int judge_reports(const json_t *reports, const char *service, const json_t *given)
{
    json_t *untaken = json_copy((json_t *)(uintptr_t)given), *report;
    size_t i;
    int code = json_array_size(reports) > 0
                   ? CLI_DONE
                   : cli_fail(CLI_FAILED, "there is no such report of %s", service);
    json_array_foreach (reports, i, report) {
        if (code == CLI_DONE)
            code = judge_report(report, given, untaken);
    }
    const char *first = json_object_iter_key(json_object_iter(untaken));
    if (code == CLI_DONE && first)
        code = cli_fail(CLI_USAGE, "no report of %s that is written takes '%s'", service, first);
    json_decref(untaken);
    return code;
}

/* All, or the one of this name, in a new array. */
static int list_reports(struct cli_operator *asking, const char *service, const char *name,
                        json_t **ret)
{
    json_t *answer, *report;
    size_t i;
    int code =
        cli_operator_ask(asking, service, "GET", "/_freehold/reports", json_object(), &answer);
    *ret = json_array();
    if (code != CLI_DONE)
        return code;
    json_array_foreach (json_object_get(answer, "reports"), i, report) {
        if (!name || strcmp(cli_text(report, "name"), name) == 0)
            json_array_append(*ret, report);
    }
    json_decref(answer);
    return CLI_DONE;
}

static char *csv_path(const char *folder, const json_t *report)
{
    char *path;
    FH_ASSERT(asprintf(&path, "%s/%s.csv", folder, cli_text(report, "name")) >= 0);
    return path;
}

/* Runs one, and writes it beside its file. */
static int write_report(struct cli_operator *asking, const char *service, json_t *report,
                        const json_t *given, const char *folder)
{
    const char *missing, *name = cli_text(report, "name");
    json_t *taken = taken_of(report, given, &missing), *answer;
    int code = report_ask(asking, service, name, taken, &answer);
    json_decref(taken);
    if (code != CLI_DONE)
        return code;
    char *path = csv_path(folder, report);
    struct text csv;
    text_init(&csv, TEXT_LENGTH_MAX);
    report_add_csv(&csv, answer, "\r\n");
    code = csv.overflow ? cli_fail(CLI_FAILED, "the CSV of %s can't be written whole", name)
                        : beside_write(path, &csv);
    json_object_set_new(report, "count",
                        json_integer((json_int_t)json_array_size(json_object_get(answer, "rows"))));
    text_release(&csv);
    free(path);
    json_decref(answer);
    return code;
}

/* Puts one in its place; or, when something has failed, removes what is beside it. */
static int settle_report(const json_t *report, const char *folder, int code)
{
    char *path = csv_path(folder, report);
    if (code == CLI_DONE)
        code = beside_take(path);
    if (code == CLI_DONE)
        cli_line(2, "%s: %lld %s", path, cli_number(report, "count"),
                 cli_number(report, "count") == 1 ? "row" : "rows");
    else
        beside_drop(path);
    free(path);
    return code;
}

int report_write_folder(struct cli_operator *asking, const char *service, const char *name,
                        const json_t *given, const char *folder)
{
    json_t *reports, *report;
    size_t i, written = 0;
    int code = list_reports(asking, service, name, &reports);
    if (code == CLI_DONE)
        code = judge_reports(reports, service, given);
    if (code == CLI_DONE && mkdir(folder, 0777) != 0 && errno != EEXIST)
        code = cli_fail(CLI_FAILED, "the folder %s can't be made: %s", folder, strerror(errno));
    for (; code == CLI_DONE && written < json_array_size(reports); written++)
        code = write_report(asking, service, json_array_get(reports, written), given, folder);
    json_array_foreach (reports, i, report) {
        if (i < written)
            code = settle_report(report, folder, code);
    }
    json_decref(reports);
    return code;
}
