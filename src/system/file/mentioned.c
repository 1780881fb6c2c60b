/* SPDX-License-Identifier: Apache-2.0 */
/* Engines and servers that services name: which there are, and what a mistyped one was to be. A
 * profile that is not chosen is judged, too: who chooses it one day mends it today. */

#include <stdio.h>
#include <string.h>

#include "engine/engines.h"
#include "system/file/nearest.h"
#include "system/file/servers.h"

static const char *built_in(struct arena *arena)
{
    const struct engine *engine = engine_next(NULL);
    const char *names = engine->name;
    while ((engine = engine_next(engine)))
        names = arena_printf(arena, "%s, %s", names, engine->name);
    return names;
}

bool file_is_lacking(const char *const *lacking, const char *name)
{
    while (*lacking && strcmp(*lacking, name) != 0)
        lacking++;
    return *lacking != NULL;
}

bool file_engine_is_lacking(const char *name)
{
    return file_is_lacking(engines_lacking, name);
}

bool file_has_option(const char *options, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = options; at && *at;) {
        size_t word = strcspn(at, " ");
        if (word == length && strncmp(at, name, length) == 0)
            return true;
        at += word + (at[word] == ' ');
    }
    return false;
}

const char *file_server_kind(struct arena *arena, const struct system_server *server)
{
    if (server->engine)
        return arena_printf(arena, "a database server, %s", server->engine);
    if (server->broker)
        return arena_printf(arena, "a broker, %s", server->broker);
    return "for derived stores";
}

const struct engine *file_settle_engine(struct system_file *file, struct system_service *service,
                                        struct findings *findings)
{
    const struct engine *engine = engine_named(service->engine);
    struct nearest nearest = nearest_begin(service->engine);
    if (engine && service->instances > 1 && !engine_can(engine, ENGINE_MANY_INSTANCES)) {
        findings_error(findings, service->instances_place,
                       "services.%s: %d instances need a server engine that many processes may "
                       "have open; a store on %s has one process",
                       service->name, service->instances, engine->name);
        return NULL;
    }
    if (engine)
        return engine;
    for (const struct engine *one = NULL; (one = engine_next(one));)
        nearest_offer(&nearest, one->name);
    for (const char *const *lacking = engines_lacking; *lacking; lacking++)
        nearest_offer(&nearest, *lacking);
    if (file_engine_is_lacking(service->engine)) { /* asking for it is not a typo */
        findings_error(findings, service->engine_place,
                       "services.%s: the engine '%s' is not built in; this freehold has %s",
                       service->name, service->engine, built_in(&file->arena));
        return NULL;
    }
    /* The name may come from an environment variable, so it is not shown. */
    if (nearest.word)
        findings_error(findings, service->engine_place,
                       "services.%s: there is no engine of this name; did you mean '%s'?",
                       service->name, nearest.word);
    else
        findings_error(findings, service->engine_place,
                       "services.%s: there is no engine of this name; this freehold has %s",
                       service->name, built_in(&file->arena));
    return NULL;
}

struct system_server *system_file_server(struct system_file *file, const char *name)
{
    for (size_t i = 0; i < file->server_count; i++) {
        if (strcmp(file->servers[i].name, name) == 0)
            return &file->servers[i];
    }
    return NULL;
}

static bool is_for_stores(const struct system_server *server)
{
    return !server->broker && !server->derived;
}

static bool is_for_events(const struct system_server *server)
{
    return server->broker != NULL;
}

static bool is_for_derived(const struct system_server *server)
{
    return server->derived != NULL;
}

static void report_no_server(const struct system_file *file, const char *whose, const char *server,
                             bool (*fits)(const struct system_server *server), struct place place,
                             struct findings *findings)
{
    struct nearest nearest = nearest_begin(server);
    for (size_t i = 0; i < file->server_count; i++) {
        if (fits(&file->servers[i]))
            nearest_offer(&nearest, file->servers[i].name);
    }
    findings_error(findings, place, "%s: the file has no server '%s'%s%s%s", whose, server,
                   nearest.word ? "; did you mean '" : "", nearest.word ? nearest.word : "",
                   nearest.word ? "'?" : "");
}

void file_report_no_server(const struct system_file *file, const char *service, const char *server,
                           struct place place, struct findings *findings)
{
    char whose[SYSTEM_NAME_LENGTH_MAX + 32];
    snprintf(whose, sizeof whose, "services.%s.store", service);
    report_no_server(file, whose, server, is_for_stores, place, findings);
}

void file_report_no_derived(const struct system_file *file, const char *service,
                            const struct system_derives *derives, struct findings *findings)
{
    char whose[2 * SYSTEM_NAME_LENGTH_MAX + 32];
    snprintf(whose, sizeof whose, "services.%s.derives.%s", service, derives->name);
    report_no_server(file, whose, derives->server, is_for_derived, derives->server_place, findings);
}

void file_report_no_bus(const struct system_file *file, const char *whose, const char *server,
                        struct place place, struct findings *findings)
{
    report_no_server(file, whose, server, is_for_events, place, findings);
}

/* Whether it is one that this freehold knows, mistyped; one that it lacks may come later. */
static bool is_mistyped_engine(const char *engine)
{
    struct nearest nearest = nearest_begin(engine);
    for (const struct engine *one = NULL; (one = engine_next(one));)
        nearest_offer(&nearest, one->name);
    return nearest.word && nearest.distance > 0 && !file_engine_is_lacking(engine);
}

/* A text from the environment is empty here (struct yaml_reader's `sealed`). */
void file_mention_store(struct system_file *file, struct system_service *service,
                        struct findings *findings)
{
    const char *server = service->store.server;
    if (service->engine && is_mistyped_engine(service->engine))
        file_settle_engine(file, service, findings);
    if (!server || !*server)
        return;
    struct system_mention *mention = arena_alloc(&file->arena, sizeof *mention);
    *mention = (struct system_mention){.service = service->name,
                                       .server = server,
                                       .place = service->store.place,
                                       .next = file->mentioned};
    file->mentioned = mention;
}

void file_mention_bus(struct system_file *file, const struct system_bus *bus)
{
    if (!bus->server || !*bus->server || strcmp(bus->server, SYSTEM_BUS_FEED) == 0)
        return;
    struct system_mention *mention = arena_alloc(&file->arena, sizeof *mention);
    *mention = (struct system_mention){
        .server = bus->server, .place = bus->place, .next = file->mentioned};
    file->mentioned = mention;
}

void file_settle_mentioned(struct system_file *file, struct findings *findings)
{
    for (const struct system_mention *one = file->mentioned; one; one = one->next) {
        if (system_file_server(file, one->server))
            continue;
        const struct system_derives derives = {
            .name = one->derives, .server = one->server, .server_place = one->place};
        if (one->derives)
            file_report_no_derived(file, one->service, &derives, findings);
        else if (one->service)
            file_report_no_server(file, one->service, one->server, one->place, findings);
        else
            file_report_no_bus(file, "bus", one->server, one->place, findings);
    }
}
