/* SPDX-License-Identifier: Apache-2.0 */
/* Each finding names the report's file and line. */

#define _GNU_SOURCE
#include "system/check/reports.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "engine/engines.h"
#include "store/server.h"

static struct place place_of_report(struct system_file *file, const struct system_service *service,
                                    const struct report *report)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%.3000s/%s", service->reports, report->file);
    return (struct place){arena_text(&file->arena, path), report->line, 1};
}

static struct place place_of_reports(const struct system_service *service)
{
    return service->reports_place.file ? service->reports_place : service->place;
}

static bool has_tables(const struct system_service *service)
{
    const char *model = json_string_at(service->description, "model");
    return model && strcmp(model, "relational") == 0;
}

void reports_check_store(const struct system_service *service, const struct engine *engine,
                         struct findings *findings)
{
    if (!service->reports || !engine)
        return;
    if (!has_tables(service))
        findings_error(findings, place_of_reports(service),
                       "%s has reports, and no tables that they could read: %s", service->name,
                       service->reports);
    else if ((!engine->sql || !engine->sql->report) &&
             reports_are_there(service->reports, service->engine))
        findings_error(findings, place_of_reports(service),
                       "%s has reports, and a store of %s can't run any yet: expected %s",
                       service->name, engine->title, engine_embedded()->name);
    else if (engine->server && engine->server->reports && service->store.address.host &&
             !service->store.reports.user && reports_are_there(service->reports, service->engine))
        findings_error(findings, service->store.place,
                       "%s has reports, and its store names nobody who runs them: expected "
                       "reports: {user, password}, of one who may do nothing else",
                       service->name);
}

void reports_check(struct system_file *file, const struct system_service *service,
                   const struct engine *engine, struct findings *findings, struct reports *ret)
{
    struct fh_error error;
    *ret = (struct reports){0};
    if (!service->reports || !engine || !engine->sql || !engine->sql->report ||
        !has_tables(service))
        return; /* reports_check_store has reported it */
    if (reports_read(service->reports, service->engine, engine->sql, ret, &error) != FH_OK)
        findings_error(findings, place_of_reports(service), "%s: %s", service->name, error.message);
    for (int i = 0; i < ret->count; i++) {
        const struct report *report = &ret->rows[i];
        if (report->why[0])
            findings_error(findings, place_of_report(file, service, report),
                           "%s: this report can't be run: %s", service->name, report->why);
    }
}

struct report_trial {
    struct fh_error error; /* of its columns */
};

static bool check_report_columns(void *context, const char *const *names, int count)
{
    struct report_trial *trial = context;
    return report_columns_check(names, count, &trial->error) == FH_OK;
}

void reports_check_statements(struct system_file *file, const struct system_service *service,
                              const struct engine *engine, struct sql_trial *trial,
                              const struct reports *all, struct findings *findings)
{
    for (int i = 0; i < all->count; i++) {
        const struct report *report = &all->rows[i];
        struct report_trial tried = {0};
        const struct sql_taker taker = {.columns = check_report_columns, .context = &tried};
        struct fh_error error;
        if (report->why[0])
            continue;
        enum fh_code code = engine->sql->trial->report(trial, report->reading.sql,
                                                       report->reading.count, &taker, &error);
        if (code == FH_OK && tried.error.code != FH_OK) {
            error = tried.error;
            code = error.code;
        }
        if (code != FH_OK && code != FH_UNAVAILABLE)
            findings_error(findings, place_of_report(file, service, report),
                           "%s: this report can't be run: %s", service->name, error.message);
    }
}

static void check_parsed_report(const struct system_service *service, const struct report *report,
                                struct place place, reports_parse *parse, const void *context,
                                struct findings *findings)
{
    struct fh_error error;
    struct text part;
    if (parse(context, report->reading.sql, &error) != FH_OK) {
        findings_warning(findings, place, "%s: PostgreSQL's parser does not read this report: %s",
                         service->name, error.message);
        return;
    }
    text_init(&part, TEXT_LENGTH_MAX);
    text_printf(&part, "SELECT FROM (%s\n) AS report", report->reading.sql);
    if (parse(context, part.data, &error) != FH_OK)
        findings_error(findings, place,
                       "%s: this report can't be run: it does something else than to read",
                       service->name);
    text_release(&part);
}

void reports_check_parsed(struct system_file *file, const struct system_service *service,
                          const struct reports *all, reports_parse *parse, const void *context,
                          struct findings *findings)
{
    for (int i = 0; i < all->count; i++) {
        const struct report *report = &all->rows[i];
        if (!report->why[0])
            check_parsed_report(service, report, place_of_report(file, service, report), parse,
                                context, findings);
    }
}
