/* SPDX-License-Identifier: Apache-2.0 */
/* Each program is run by run.h; what it must look like is a shape. */

#define _GNU_SOURCE
#include "system/check/describe.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "freehold.h"
#include "shape/shape.h"
#include "system/check/run.h"

#define STATEMENTS_SIZE_MAX ((size_t)8 << 20)

struct asked {
    struct system_service *service;
    json_t **statements; /* where its statements go; NULL: it is asked to describe itself */
    struct program_run run;
};

static void ask_program(struct asked *asked, struct program_runs *runs)
{
    const char *program = asked->service->program_path;
    const char *const arguments[] = {program, asked->statements ? "--statements" : "--describe",
                                     NULL};
    if (!asked->statements)
        asked->service->described = program_hold(program);
    asked->run.said_max = asked->statements ? STATEMENTS_SIZE_MAX : DESCRIBE_SIZE_MAX;
    program_run_start(runs, &asked->run, arguments);
}

/* ---- Who is asked ---- */

static bool asks_program(const struct asked *asked)
{
    const struct system_service *service = asked->service;
    const char *model = json_string_at(service->description, "model");
    return service->program_path &&
           (!asked->statements || (model && strcmp(model, "relational") == 0));
}

/* ---- The form of a description ---- */

static const char *const model_names[] = {"relational", "document", "key-value", NULL};
static const char *const audience_names[] = {"public", "services", "operators", NULL};

static const fh_field route_shape[] = {{"method", FH_STRING, .min = 1, .max = 16},
                                       {"path", FH_STRING, .min = 1, .max = 1024},
                                       {"audience", FH_STRING, .one_of = audience_names},
                                       {"auth", FH_STRING, .optional = true},
                                       {"undo", FH_BOOL, .optional = true},
                                       {"*"},
                                       {0}};
static const fh_field publishes_shape[] = {
    {"type", FH_STRING, .min = 1, .max = 256}, {"version", FH_INT}, {"*"}, {0}};
static const fh_field subscription_shape[] = {
    {"service", FH_STRING, .min = 1},
    {"type", FH_STRING, .min = 1},
    {"fields", FH_STRING, .optional = true, .nullable = true},
    {"personal", FH_STRING, .optional = true},
    {"*"},
    {0}};
static const fh_field asks_shape[] = {{"service", FH_STRING, .min = 1},
                                      {"path", FH_STRING, .min = 1},
                                      {"personal", FH_STRING, .optional = true},
                                      {"*"},
                                      {0}};
static const fh_field takes_over_shape[] = {{"service", FH_STRING, .min = 1},
                                            {"path", FH_STRING, .min = 1},
                                            {"step", FH_STRING, .min = 1},
                                            {"*"},
                                            {0}};
static const fh_field step_shape[] = {{"name", FH_STRING, .min = 1},
                                      {"each", FH_STRING, .optional = true, .nullable = true},
                                      {"call", FH_STRING, .optional = true, .nullable = true},
                                      {"outside", FH_STRING, .optional = true},
                                      {"undo", FH_STRING, .optional = true, .nullable = true},
                                      {"body", FH_STRING, .optional = true, .nullable = true},
                                      {"run", FH_BOOL, .optional = true},
                                      {"pivot", FH_BOOL, .optional = true},
                                      {"personal", FH_STRING, .optional = true},
                                      {"*"},
                                      {0}};
static const fh_field saga_shape[] = {{"name", FH_STRING, .min = 1},
                                      {"steps", FH_ARRAY, .of = step_shape},
                                      {"input", FH_OBJECT, .optional = true},
                                      {"*"},
                                      {0}};
static const fh_field derives_shape[] = {{"name", FH_STRING, .min = 1}, {"*"}, {0}};
static const fh_field description_shape[] = {
    {"freehold", FH_INT, .min = 1, .max = 1},
    {"name", FH_STRING, .min = 1, .max = SYSTEM_NAME_LENGTH_MAX},
    {"model", FH_STRING, .one_of = model_names},
    {"routes", FH_ARRAY, .of = route_shape, .optional = true},
    {"publishes", FH_ARRAY, .of = publishes_shape, .optional = true},
    {"hears", FH_ARRAY, .of = subscription_shape, .optional = true},
    {"asks", FH_ARRAY, .of = asks_shape, .optional = true},
    {"fetches", FH_ARRAY, .elements = FH_STRING, .optional = true},
    {"takes_over", FH_ARRAY, .of = takes_over_shape, .optional = true},
    {"derives", FH_ARRAY, .of = derives_shape, .optional = true},
    {"sagas", FH_ARRAY, .of = saga_shape, .optional = true},
    {"*"},
    {0}};

static void judge_form(struct system_service *service, json_t *said, struct findings *findings)
{
    json_t *faults = shape_check(description_shape, said);
    if (faults) {
        json_t *first = json_array_get(faults, 0);
        findings_error(
            findings, service->place,
            "%s --describe is not what docs/internals/processes.md asks for, at '%s': %s",
            service->program_path, json_string_value(json_object_get(first, "pointer")),
            json_string_value(json_object_get(first, "detail")));
        json_decref(faults);
        return;
    }
    const char *name = json_string_at(said, "name");
    if (strcmp(name, service->name) != 0) {
        findings_error(findings, service->place,
                       "the program %s is the service '%s', not '%s'; name it so here",
                       service->program_path, name, service->name);
        return;
    }
    service->description = json_incref(said);
}

/* The last line that a program wrote, or "". */
static const char *last_line(struct text *text)
{
    if (!text->data)
        return "";
    while (text->length && text->data[text->length - 1] == '\n')
        text->data[--text->length] = '\0';
    const char *newline = strrchr(text->data, '\n');
    return newline ? newline + 1 : text->data;
}

/* The last line that a program wrote of why it failed, without its own name in front. */
static const char *last_complaint(struct asked *asked)
{
    const char *line = last_line(&asked->run.complained), *program = asked->service->program_path;
    size_t length = strlen(program);
    return strncmp(line, program, length) == 0 && strncmp(line + length, ": ", 2) == 0
               ? line + length + 2
               : line;
}

/* The loader's message names the library, but not the remedy. */
#define LIBRARY_MISSING "error while loading shared libraries"
#define LIBRARY_REMEDY "; run ldconfig where it was installed, or set LD_LIBRARY_PATH"

static const char *what_to_do(const char *why)
{
    return strstr(why, LIBRARY_MISSING) ? LIBRARY_REMEDY : "";
}

static bool lacks_library(struct asked *asked)
{
    return asked->service->program_path && asked->run.spawned == FH_OK && !asked->run.late &&
           asked->run.exit_code != 0 && strstr(last_complaint(asked), LIBRARY_MISSING);
}

/* Programs that lack the same library are one finding. True: this is one of them, and was named
 * with the first. */
static bool is_lacking_together(struct asked *all, size_t count, size_t at,
                                struct findings *findings)
{
    struct text names;
    size_t alike = 0, first = count;
    if (!lacks_library(&all[at]))
        return false;
    text_init(&names, PROGRAM_RUN_ERRORS_MAX);
    for (size_t i = 0; i < count; i++) {
        if (!lacks_library(&all[i]) ||
            strcmp(last_complaint(&all[i]), last_complaint(&all[at])) != 0)
            continue;
        first = first < i ? first : i;
        text_printf(&names, "%s%s", alike++ ? ", " : "", all[i].service->name);
    }
    if (alike > 1 && first == at)
        findings_error(findings, all[at].service->program_place,
                       "the programs of %zu services don't start, %s: %s" LIBRARY_REMEDY, alike,
                       names.data, last_complaint(&all[at]));
    text_release(&names);
    return alike > 1;
}

/* If so, the program described is the one held. */
static bool is_there_still(const struct system_service *service)
{
    struct program_file now = program_file_look(service->program_path);
    return program_file_same(&now, &service->described.file);
}

static void judge_answer(struct asked *asked, struct findings *findings)
{
    struct system_service *service = asked->service;
    const char *program = service->program_path, *why = last_complaint(asked);
    struct place place = service->program_place;
    struct fh_error error;
    json_t *said;
    if (asked->run.spawned != FH_OK)
        findings_error(findings, place, "%s could not be started: %s", program,
                       asked->run.why.message);
    else if (!is_there_still(service))
        findings_error(findings, place, "%s was replaced while it was asked for its description",
                       program);
    else if (asked->run.left)
        findings_error(findings, place,
                       "%s --describe has ended, but something that it started held its standard "
                       "output open for longer than %d s",
                       program, asked->run.time_ms_max / 1000);
    else if (asked->run.late)
        findings_error(findings, place, "%s --describe took longer than %d s and was killed",
                       program, asked->run.time_ms_max / 1000);
    else if (asked->run.too_much)
        findings_error(findings, place, "%s --describe says more than %zu KiB", program,
                       DESCRIBE_SIZE_MAX >> 10);
    else if (asked->run.exit_signal)
        findings_error(findings, place, "%s --describe was ended by %s%s%s", program,
                       strsignal(asked->run.exit_signal), *why ? ": " : "", why);
    else if (asked->run.exit_code != 0)
        findings_error(findings, place, "%s --describe failed with exit code %d%s%s%s", program,
                       asked->run.exit_code, *why ? ": " : "", why, what_to_do(why));
    else if (json_parse(asked->run.said.data ? asked->run.said.data : "", asked->run.said.length,
                        &said, &error) != FH_OK)
        findings_error(findings, place,
                       "%s is not a service's program: %s --describe is not JSON (%s)", program,
                       asked->run.said.length ? "what it answers to" : "its empty answer to",
                       error.message);
    else {
        judge_form(service, said, findings);
        json_decref(said);
    }
}

/* ---- The form of statements ---- */

static const fh_field statement_shape[] = {{"call", FH_STRING},
                                           {"sql", FH_STRING, .optional = true},
                                           {"written", FH_STRING},
                                           {"file", FH_STRING},
                                           {"line", FH_INT, .min = 0, .max = INT32_MAX},
                                           {"*"},
                                           {0}};
static const fh_field statements_shape[] = {{"freehold", FH_INT, .min = 1, .max = 1},
                                            {"services", FH_ARRAY, .elements = FH_STRING},
                                            {"statements", FH_ARRAY, .of = statement_shape},
                                            {"*"},
                                            {0}};

/* What is no answer says nothing: an older program knows no such question. */
static void take_statements(const struct asked *asked)
{
    json_t *said;
    if (asked->run.spawned != FH_OK || asked->run.late || asked->run.too_much ||
        asked->run.exit_signal || asked->run.exit_code != 0 ||
        json_parse(asked->run.said.data ? asked->run.said.data : "", asked->run.said.length, &said,
                   ERROR_UNHEEDED) != FH_OK)
        return;
    json_t *faults = shape_check(statements_shape, said);
    if (faults)
        json_decref(said);
    else
        *asked->statements = said;
    json_decref(faults);
}

/* ---- All of them ---- */

/* `statements`: a place for each one's; NULL: they describe themselves. */
static void ask_programs(struct system_service *services, size_t count, int time_ms_max,
                         json_t **statements, struct findings *findings)
{
    struct program_runs runs;
    struct asked *all = calloc(count, sizeof *all);
    FH_ASSERT(all != NULL);
    program_runs_begin(&runs);
    for (size_t i = 0; i < count; i++) {
        all[i].service = &services[i];
        all[i].run.time_ms_max = time_ms_max;
        all[i].statements = statements ? &statements[i] : NULL;
        if (asks_program(&all[i]))
            ask_program(&all[i], &runs);
    }
    program_runs_end(&runs);
    for (size_t i = 0; i < count; i++) {
        if (asks_program(&all[i]) && statements)
            take_statements(&all[i]);
        else if (asks_program(&all[i]) && !is_lacking_together(all, count, i, findings))
            judge_answer(&all[i], findings);
    }
    for (size_t i = 0; i < count; i++)
        program_run_release(&all[i].run);
    free(all);
}

void describe_programs(struct system_file *file, struct findings *findings)
{
    ask_programs(file->services, file->service_count, DESCRIBE_TIME_MS_MAX, NULL, findings);
}

void describe_statements(struct system_file *file, json_t *ret[SYSTEM_SERVICES_MAX])
{
    memset(ret, 0, SYSTEM_SERVICES_MAX * sizeof *ret);
    ask_programs(file->services, file->service_count, DESCRIBE_TIME_MS_MAX, ret, NULL);
}

void describe_program(struct system_service *service, int time_ms_max, struct findings *findings)
{
    ask_programs(service, 1, time_ms_max, NULL, findings);
}
