/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All settings of a server at once first, which is one program for each server. Where it complains,
 * each setting is read alone, so that every wrong one is named at its place; settings that are
 * wrong only together are named with the server.
 *
 * What a server says of a value is shown with it: settings are on the server's command line, so no
 * secret can be in them.
 */

#include "system/check/server_settings.h"

#include <stdlib.h>
#include <string.h>

#include "engine/engines.h"
#include "store/server.h"
#include "system/check/run.h"

#define SAID_MAX ((size_t)4 << 20) /* MariaDB prints its help */
#define TOGETHER_MAX 8             /* servers that read at a time */
#define CLOSED_FOLDER "/proc"      /* where no file can be made, whoever reads the settings */

struct settings_reading {
    const struct system_server *server;
    const struct server_kind *kind;
    json_t *settings;
    struct program_run run;
    const char *fault;   /* NULL: there is none */
    const char *untried; /* why they could not be read; NULL: they were */
};

static void begin_reading(struct settings_reading *reading, struct arena *arena,
                          struct program_runs *runs)
{
    struct server_command command = {.arena = arena};
    struct server_own own = {.arena = arena,
                             .programs = reading->kind->programs(arena),
                             .folder = CLOSED_FOLDER,
                             .data = CLOSED_FOLDER,
                             .sockets = CLOSED_FOLDER,
                             .password = "",
                             .settings = reading->settings};
    reading->kind->read_settings(&own, &command);
    reading->run.folder = CLOSED_FOLDER;
    reading->run.also = "LC_ALL=C";
    reading->run.said_max = SAID_MAX;
    reading->run.time_ms_max = SERVER_SETTINGS_MS_MAX;
    program_run_start(runs, &reading->run, command.arguments);
}

static void end_reading(struct settings_reading *reading, struct arena *arena)
{
    const struct program_run *run = &reading->run;
    const char *written = run->complained.data ? run->complained.data : "";
    if (run->spawned != FH_OK)
        reading->untried = arena_text(arena, run->why.message);
    else if (run->late)
        reading->untried = "the server does not end when it has read them";
    else if (run->too_much || run->exit_signal)
        reading->untried = run->too_much ? "the server says too much" : strsignal(run->exit_signal);
    else
        reading->fault = reading->kind->settings_fault(arena, run->exit_code, written);
}

static void read_settings_of(struct settings_reading *readings, size_t count, struct arena *arena)
{
    struct program_runs runs;
    program_runs_begin(&runs);
    for (size_t i = 0; i < count; i++)
        begin_reading(&readings[i], arena, &runs);
    program_runs_end(&runs);
    for (size_t i = 0; i < count; i++) {
        end_reading(&readings[i], arena);
        program_run_release(&readings[i].run);
    }
}

static void read_settings_of_all(struct settings_reading *readings, size_t count,
                                 struct arena *arena)
{
    for (size_t i = 0; i < count; i += TOGETHER_MAX)
        read_settings_of(readings + i, count - i < TOGETHER_MAX ? count - i : TOGETHER_MAX, arena);
}

/* Each setting of a server alone. */
static void name_settings(const struct settings_reading *all, struct arena *arena,
                          struct findings *findings)
{
    const struct system_server *server = all->server;
    size_t count = json_object_size(server->settings), i = 0, found = 0;
    struct settings_reading *readings = calloc(count, sizeof *readings);
    const char *key;
    json_t *value;
    FH_ASSERT(readings != NULL);
    json_object_foreach (server->settings, key, value)
        readings[i++] = (struct settings_reading){
            .server = server, .kind = all->kind, .settings = json_pack("{s:O}", key, value)};
    read_settings_of_all(readings, count, arena);
    for (i = 0; i < count; i++) {
        key = json_object_iter_key(json_object_iter(readings[i].settings));
        if (readings[i].fault)
            findings_error(findings, server->setting_places[i],
                           "servers.%s.settings.%s: %s refuses it: %s", server->name, key,
                           all->kind->engine, readings[i].fault);
        found += readings[i].fault != NULL;
        json_decref(readings[i].settings);
    }
    if (found == 0)
        findings_error(findings, server->setting_places[0],
                       "servers.%s.settings: %s takes each of them, but not all together: %s",
                       server->name, all->kind->engine, all->fault);
    free(readings);
}

static bool has_settings_to_read(const struct system_server *server, struct arena *arena)
{
    const struct server_kind *kind = server->engine ? server_kind(server->engine) : NULL;
    return server->used && !server->address.host && json_object_size(server->settings) && kind &&
           kind->programs(arena);
}

void server_settings_check(struct system_file *file, struct findings *findings)
{
    struct settings_reading readings[SYSTEM_SERVERS_DECLARED_MAX];
    size_t count = 0;
    for (size_t i = 0; i < file->server_count; i++) {
        const struct system_server *server = &file->servers[i];
        if (has_settings_to_read(server, &file->arena))
            readings[count++] = (struct settings_reading){.server = server,
                                                          .kind = server_kind(server->engine),
                                                          .settings = server->settings};
    }
    read_settings_of_all(readings, count, &file->arena);
    for (size_t i = 0; i < count; i++) {
        if (readings[i].untried)
            findings_error(findings, readings[i].server->setting_places[0],
                           "servers.%s.settings: %s can't be asked whether it takes them: %s",
                           readings[i].server->name, readings[i].kind->engine, readings[i].untried);
        else if (readings[i].fault)
            name_settings(&readings[i], &file->arena, findings);
    }
}
