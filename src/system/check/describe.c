/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A loop of its own, one child per program, with standard output and error through pipes. A program
 * is done when it has exited and both pipes have ended; one that says too much or takes too long is
 * killed. If only its errors are held open, by something that it has started, what it has said
 * counts when the time is over. What a program has started may go on; no handle outlives
 * describe_programs.
 */

#define _GNU_SOURCE
#include "system/check/describe.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "freehold.h"
#include "shape/shape.h"
#include "system/supervise/spawn.h"
#include "world/real.h"

#define ERROR_OUTPUT_SIZE_MAX ((size_t)4 << 10)
#define STATEMENTS_SIZE_MAX ((size_t)8 << 20)

struct asked {
    struct system_service *service;
    json_t *
        *statements; /* it is asked for its statements, which go here; NULL: to describe itself */
    struct spawned process;
    bool exited;
    uv_pipe_t output, errors;
    struct text said, complained;
    struct world_timer patience;
    struct world *world;
    int time_ms_max;
    enum fh_code spawned;
    struct fh_error why; /* it was not */
    int exit_code;
    int exit_signal;
    bool late, too_much;
    bool left; /* late, although it had exited: something that it has started holds its output */
    char buffer[4096];
};

static bool has_answered(const struct asked *asked, bool and_errors)
{
    return asked->exited && uv_is_closing((const uv_handle_t *)&asked->output) &&
           (!and_errors || uv_is_closing((const uv_handle_t *)&asked->errors));
}

static void close_pipe(uv_pipe_t *pipe)
{
    if (!uv_is_closing((uv_handle_t *)pipe))
        uv_close((uv_handle_t *)pipe, NULL);
}

static void lose_patience(struct world_timer *timer)
{
    struct asked *asked = timer->owner;
    asked->late = !has_answered(asked, false);
    asked->left = asked->late && asked->exited;
    spawn_signal(&asked->process, SIGKILL);
    /* Its own children may hold the pipes open: don't wait for what they might still say. */
    close_pipe(&asked->output);
    close_pipe(&asked->errors);
}

static void give_answer_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    struct asked *asked = handle->data;
    *buffer = uv_buf_init(asked->buffer, sizeof asked->buffer);
}

static void maybe_calm(struct asked *asked)
{
    if (has_answered(asked, true))
        world_timer_stop(asked->world, &asked->patience);
}

static void take_output(uv_stream_t *stream, ssize_t length, const uv_buf_t *buffer)
{
    struct asked *asked = stream->data;
    bool output = stream == (uv_stream_t *)&asked->output;
    if (length >= 0) {
        text_append(output ? &asked->said : &asked->complained, buffer->base, (size_t)length);
        if (!asked->said.overflow)
            return;
        asked->too_much = true;
        spawn_signal(&asked->process, SIGKILL);
    }
    close_pipe((uv_pipe_t *)stream);
    maybe_calm(asked);
}

static void take_exit(struct spawned *process, int code, int signal)
{
    struct asked *asked = process->owner;
    asked->exit_code = code;
    asked->exit_signal = signal;
    asked->exited = true;
    maybe_calm(asked);
}

static void take_no_more(struct spawned *process)
{
    (void)process; /* its memory goes after the loop */
}

/* Opens a pipe from the program to us; returns the program's end. -1: no descriptors are left. */
static int open_from_program(uv_loop_t *loop, uv_pipe_t *pipe)
{
    int ends[2];
    uv_pipe_init(loop, pipe, 0);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    FH_ASSERT(uv_pipe_open(pipe, ends[0]) == 0);
    return ends[1];
}

static void ask_program(struct asked *asked, uv_loop_t *loop, struct world *world)
{
    char program[4096], describe[] = "--describe", statements[] = "--statements";
    if (!asked->statements)
        asked->service->described = program_hold(asked->service->program_path);
    snprintf(program, sizeof program, "%s", asked->service->program_path);
    char *arguments[] = {program, asked->statements ? statements : describe, NULL};
    text_init(&asked->said, asked->statements ? STATEMENTS_SIZE_MAX : DESCRIBE_SIZE_MAX);
    text_init(&asked->complained, ERROR_OUTPUT_SIZE_MAX);
    asked->output.data = asked->errors.data = asked;
    struct spawn_options options = {.program = program,
                                    .arguments = arguments,
                                    .descriptors = {-1, open_from_program(loop, &asked->output),
                                                    open_from_program(loop, &asked->errors), -1, -1,
                                                    -1, -1, -1}};
    asked->process = (struct spawned){.ended = take_exit, .closed = take_no_more, .owner = asked};
    asked->spawned = spawn_start(&asked->process, loop, &options, &asked->why);
    for (int i = 1; i <= 2; i++) {
        if (options.descriptors[i] >= 0)
            close(options.descriptors[i]);
    }
    if (asked->spawned != FH_OK) {
        close_pipe(&asked->output);
        close_pipe(&asked->errors);
        return;
    }
    uv_read_start((uv_stream_t *)&asked->output, give_answer_buffer, take_output);
    uv_read_start((uv_stream_t *)&asked->errors, give_answer_buffer, take_output);
    asked->world = world;
    asked->patience = (struct world_timer){.fire = lose_patience, .owner = asked};
    world_timer_start(world, &asked->patience, world_in_ms(world, asked->time_ms_max));
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
    const char *line = last_line(&asked->complained), *program = asked->service->program_path;
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
    return asked->service->program_path && asked->spawned == FH_OK && !asked->late &&
           asked->exit_code != 0 && strstr(last_complaint(asked), LIBRARY_MISSING);
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
    text_init(&names, ERROR_OUTPUT_SIZE_MAX);
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
    if (asked->spawned != FH_OK)
        findings_error(findings, place, "%s could not be started: %s", program, asked->why.message);
    else if (!is_there_still(service))
        findings_error(findings, place, "%s was replaced while it was asked for its description",
                       program);
    else if (asked->left)
        findings_error(findings, place,
                       "%s --describe has ended, but something that it started held its standard "
                       "output open for longer than %d s",
                       program, asked->time_ms_max / 1000);
    else if (asked->late)
        findings_error(findings, place, "%s --describe took longer than %d s and was killed",
                       program, asked->time_ms_max / 1000);
    else if (asked->too_much)
        findings_error(findings, place, "%s --describe says more than %zu KiB", program,
                       DESCRIBE_SIZE_MAX >> 10);
    else if (asked->exit_signal)
        findings_error(findings, place, "%s --describe was ended by %s%s%s", program,
                       strsignal(asked->exit_signal), *why ? ": " : "", why);
    else if (asked->exit_code != 0)
        findings_error(findings, place, "%s --describe failed with exit code %d%s%s%s", program,
                       asked->exit_code, *why ? ": " : "", why, what_to_do(why));
    else if (json_parse(asked->said.data ? asked->said.data : "", asked->said.length, &said,
                        &error) != FH_OK)
        findings_error(findings, place,
                       "%s is not a service's program: %s --describe is not JSON (%s)", program,
                       asked->said.length ? "what it answers to" : "its empty answer to",
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
    if (asked->spawned != FH_OK || asked->late || asked->too_much || asked->exit_signal ||
        asked->exit_code != 0 ||
        json_parse(asked->said.data ? asked->said.data : "", asked->said.length, &said,
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
    uv_loop_t loop;
    struct fh_error error;
    struct asked *all = calloc(count, sizeof *all);
    FH_ASSERT(all != NULL && uv_loop_init(&loop) == 0);
    struct world *world = world_real_new(&loop, &error);
    FH_ASSERT(world != NULL);
    for (size_t i = 0; i < count; i++) {
        all[i].service = &services[i];
        all[i].time_ms_max = time_ms_max;
        all[i].statements = statements ? &statements[i] : NULL;
        if (asks_program(&all[i]))
            ask_program(&all[i], &loop, world);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    for (size_t i = 0; i < count; i++) {
        if (asks_program(&all[i]) && statements)
            take_statements(&all[i]);
        else if (asks_program(&all[i]) && !is_lacking_together(all, count, i, findings))
            judge_answer(&all[i], findings);
    }
    for (size_t i = 0; i < count; i++) {
        text_release(&all[i].said);
        text_release(&all[i].complained);
    }
    world_real_free(world);
    uv_run(&loop, UV_RUN_DEFAULT);
    FH_ASSERT(uv_loop_close(&loop) == 0);
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
