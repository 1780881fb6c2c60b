/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a folder of reports, and answers operators who ask for one. What a report finds, and what
 * it is asked with, may be personal: neither is ever logged. */

#define _GNU_SOURCE
#include "service/reports.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "engine/engines.h"
#include "service/migration.h"
#include "service/operators_parts.h"
#include "store/model.h"

/* ---- The folder ---- */

void reports_release(struct reports *all)
{
    for (int i = 0; i < all->count; i++)
        report_release(&all->rows[i]);
    free(all->rows);
    *all = (struct reports){0};
}

/* The length of a report's name, "sales_by_day.sql"; 0: it is no file of SQL. */
static size_t report_name_length(const char *file)
{
    size_t length = strlen(file);
    return length > 4 && strcmp(file + length - 4, ".sql") == 0 ? length - 4 : 0;
}

static bool is_report_name(const char *file, size_t length)
{
    return length <= REPORT_NAME_LENGTH_MAX && *file >= 'a' && *file <= 'z' &&
           strspn(file, "abcdefghijklmnopqrstuvwxyz0123456789_") == length;
}

static struct report *report_named(struct reports *all, const char *name)
{
    for (int i = 0; i < all->count; i++) {
        if (strcmp(all->rows[i].name, name) == 0)
            return &all->rows[i];
    }
    return NULL;
}

/* In place of the plain file's, if this one is the engine's own. */
static struct report *report_added(struct reports *all, const char *variant, const char *file,
                                   size_t length)
{
    char name[REPORT_NAME_LENGTH_MAX + 1];
    snprintf(name, sizeof name, "%.*s", (int)length, file);
    struct report *report = report_named(all, name);
    if (report) {
        report_release(report);
    } else {
        all->rows = realloc(all->rows, (size_t)(all->count + 1) * sizeof *all->rows);
        FH_ASSERT(all->rows != NULL);
        report = &all->rows[all->count++];
    }
    *report = (struct report){.line = 1};
    snprintf(report->name, sizeof report->name, "%s", name);
    snprintf(report->file, sizeof report->file, "%s%s%.80s", variant ? variant : "",
             variant ? "/" : "", file);
    return report;
}

static enum fh_code add_report_file(struct reports *all, const char *path, const char *variant,
                                    const char *file, const struct sql_ops *sql,
                                    struct fh_error *error)
{
    char whole[4352], *text;
    struct fh_error why;
    size_t length = report_name_length(file);
    if (!length)
        return FH_OK;
    if (all->count == REPORTS_MAX)
        return error_set(error, FH_INVALID, "%s: more than %d reports.", path, REPORTS_MAX);
    struct report *report = report_added(all, variant, file, length);
    snprintf(whole, sizeof whole, "%s/%s", path, file);
    if (!is_report_name(file, length)) {
        snprintf(report->why, sizeof report->why,
                 "its name must be of at most %d lower-case letters, digits and '_'",
                 REPORT_NAME_LENGTH_MAX);
    } else if (sql_file_read(whole, "report", &text, &why) != FH_OK) {
        snprintf(report->why, sizeof report->why, "%.190s", why.message);
    } else {
        report_read(report, text, sql);
        free(text);
    }
    text_make_plain(report->name, strlen(report->name)); /* a file may be called anything */
    text_make_plain(report->file, strlen(report->file));
    text_make_plain(report->why, strlen(report->why));
    return FH_OK;
}

static enum fh_code add_reports(struct reports *all, const char *folder, const char *variant,
                                const struct sql_ops *sql, struct fh_error *error)
{
    char path[4200];
    snprintf(path, sizeof path, "%s%s%s", folder, variant ? "/" : "", variant ? variant : "");
    DIR *directory = opendir(path);
    if (!directory && variant && errno == ENOENT)
        return FH_OK;
    if (!directory)
        return error_set_errno(error, FH_INVALID, errno, "The reports in %s can't be read", path);
    enum fh_code code = FH_OK;
    for (struct dirent *entry; code == FH_OK && (entry = readdir(directory));)
        code = add_report_file(all, path, variant, entry->d_name, sql, error);
    closedir(directory);
    return code;
}

static int compare_reports(const void *one, const void *other)
{
    return strcmp(((const struct report *)one)->name, ((const struct report *)other)->name);
}

enum fh_code reports_read(const char *folder, const char *engine, const struct sql_ops *sql,
                          struct reports *ret, struct fh_error *error)
{
    *ret = (struct reports){0};
    if (!folder)
        return FH_OK;
    enum fh_code code = add_reports(ret, folder, NULL, sql, error);
    if (code == FH_OK)
        code = add_reports(ret, folder, engine, sql, error);
    if (ret->count > 1)
        qsort(ret->rows, (size_t)ret->count, sizeof *ret->rows, compare_reports);
    if (code != FH_OK)
        reports_release(ret);
    return code;
}

bool reports_are_there(const char *folder, const char *engine)
{
    const struct engine *named = engine_named(engine);
    struct reports all;
    if (!named || !named->sql ||
        reports_read(folder, engine, named->sql, &all, ERROR_UNHEEDED) != FH_OK)
        return folder != NULL;
    bool any = all.count > 0;
    reports_release(&all);
    return any;
}

static void log_unusable(const struct report *report)
{
    log_warning("report-unusable", "the report %s can't be run: line %d: %s", report->file,
                report->line, report->why);
}

void service_reports_take(const fh_service *service, const json_t *config, const char *engine,
                          struct reports *ret)
{
    struct fh_error error;
    const char *folder = json_string_at(config, "reports");
    const struct engine *named = engine_named(engine);
    *ret = (struct reports){0};
    if (!folder || service->model != FH_RELATIONAL || !named || !named->sql)
        return;
    if (reports_read(folder, engine, named->sql, ret, &error) != FH_OK)
        log_warning("reports-unreadable", "there are no reports: %s", error.message);
    for (int i = 0; i < ret->count; i++) {
        if (ret->rows[i].why[0])
            log_unusable(&ret->rows[i]);
    }
}

static void try_reports(struct store *store, struct reports *all)
{
    struct fh_error error;
    struct sql_report_trial *trials = calloc((size_t)all->count + 1, sizeof *trials);
    struct report **tried = calloc((size_t)all->count + 1, sizeof *tried);
    int count = 0;
    FH_ASSERT(trials && tried);
    for (int i = 0; i < all->count; i++) {
        if (all->rows[i].why[0])
            continue;
        tried[count] = &all->rows[i];
        trials[count++] = (struct sql_report_trial){.sql = all->rows[i].reading.sql,
                                                    .count = all->rows[i].reading.count};
    }
    if (store->engine->sql->report_try(store, trials, count, &error) != FH_OK)
        log_warning("reports-untried", "what can't be run of reports is not known: %s",
                    error.message);
    for (int i = 0; i < count; i++) {
        if (trials[i].error.code == FH_OK || trials[i].error.code == FH_UNAVAILABLE)
            continue;
        snprintf(tried[i]->why, sizeof tried[i]->why, "%.190s", trials[i].error.message);
        text_make_plain(tried[i]->why, strlen(tried[i]->why));
        tried[i]->line += trials[i].line > 0 ? trials[i].line - 1 : 0;
        log_unusable(tried[i]);
    }
    free(tried);
    free(trials);
}

void service_reports_open(struct store *store, struct reports *all)
{
    const struct sql_ops *sql = store->engine->sql;
    struct fh_error error;
    if (all->count == 0 || !sql || !sql->report_rights)
        return;
    if (sql->report_rights(store, &error) != FH_OK)
        log_warning("reports-unopened",
                    "no report may read what has been made since the last start: %s",
                    error.message);
    else
        try_reports(store, all);
}

/* ---- Operators ---- */

static json_t *report_takes(const struct report *report)
{
    json_t *all = json_array();
    for (int i = 0; i < report->reading.count; i++)
        json_array_append_new(all, json_pack("{s:s, s:s, s:b}", "name", report->reading.names[i],
                                             "type", report_type_name(report->types[i]), "optional",
                                             report->optional[i]));
    return all;
}

void operators_reports(struct runtime *runtime, struct exchange *exchange)
{
    const struct reports *all = runtime->context.reports;
    json_t *list = json_array();
    for (int i = 0; i < all->count; i++) {
        const struct report *report = &all->rows[i];
        json_t *one = json_pack("{s:s, s:o}", "name", report->name, "takes", report_takes(report));
        if (report->summary)
            json_object_set_new(one, "summary", json_string(report->summary));
        if (report->why[0])
            json_object_set_new(
                one, "why",
                json_sprintf("%s, line %d: %s", report->file, report->line, report->why));
        json_array_append_new(list, one);
    }
    operators_answer(exchange, FH_OK, json_pack("{s:o}", "reports", list), NULL);
}

/* A name that it does not take is a mistake of whoever asks. */
static enum fh_code check_report_given(const struct report *report, const json_t *given,
                                       struct fh_error *error)
{
    const char *name;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)given, name, value) {
        bool takes = false;
        for (int i = 0; i < report->reading.count && !takes; i++)
            takes = strcmp(report->reading.names[i], name) == 0;
        if (!takes)
            return error_set(error, FH_INVALID, "The report %s takes no \"%.64s\".", report->name,
                             name);
    }
    return FH_OK;
}

static enum fh_code run_given_report(struct runtime *runtime, struct exchange *exchange,
                                     const struct report *report, json_t *given, json_t **ret,
                                     struct fh_error *error)
{
    const struct http_incoming *incoming = exchange_request(exchange);
    struct sql_value values[RELATIONAL_NAMES_MAX];
    struct store_work *work;
    enum fh_code code = check_report_given(report, given, error);
    if (code == FH_OK && !report->why[0])
        code = report_bind(report, &given, 1, values, error);
    if (code == FH_OK)
        code = store_begin(runtime->context.store, STORE_READ_COMMITTED, &work, error);
    if (code != FH_OK)
        return code;
    work->deadline_ns = exchange_until_ns(incoming, incoming->received_ns, REPORT_MS_MAX);
    code = report_run(work, report, values, REPORT_TABLE, ret, error);
    store_rollback(work);
    return code;
}

static enum fh_code report_asked(struct runtime *runtime, struct exchange *exchange,
                                 const json_t *query, json_t **ret, struct fh_error *error)
{
    const char *name = json_string_at(query, "name"), *with = json_string_at(query, "with");
    json_t *given = NULL;
    if (!name)
        return error_set(error, FH_INVALID, "Name a report.");
    const struct report *report = reports_find(runtime->context.reports, name);
    if (!report)
        return error_set(error, FH_NOT_FOUND, "The service has no report of that name.");
    if (json_parse(with ? with : "{}", with ? strlen(with) : 2, &given, ERROR_UNHEEDED) != FH_OK ||
        !json_is_object(given)) {
        json_decref(given);
        return error_set(error, FH_INVALID, "`with` must be a JSON object.");
    }
    enum fh_code code = run_given_report(runtime, exchange, report, given, ret, error);
    json_decref(given);
    return code == FH_UNSUPPORTED ? FH_INVALID : code;
}

void operators_report(struct runtime *runtime, struct exchange *exchange)
{
    struct fh_error error = {0};
    json_arena_set(NULL); /* an answer may be larger than what a request may keep */
    json_t *value = NULL, *query = operators_query(exchange);
    if (!query)
        return;
    admission_leave(&runtime->admission, &exchange->admitted); /* it only waits */
    enum fh_code code = report_asked(runtime, exchange, query, &value, &error);
    json_decref(query);
    operators_answer(exchange, code, value, &error);
}
