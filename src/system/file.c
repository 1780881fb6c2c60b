/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The system file's own shape, as tables of keys. Services are read before profiles (the tables'
 * order, not the file's), so that the chosen profile's values replace theirs; profiles that were
 * not chosen are read into a scratch service, so that their mistakes are found too, but their
 * environment and engines need not be there.
 */

#define _GNU_SOURCE
#include "system/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "store/store.h"
#include "system/address.h"
#include "system/nearest.h"
#include "system/yaml.h"

#define PROFILES_MAX 16
#define WAIT_MS_MAX 600000
#define COUNT(array) (sizeof(array) / sizeof *(array))

static void read_name(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    struct system_file *file = into;
    const char *name = yaml_text(reader, node, what);
    if (name && !yaml_is_name(name))
        findings_error(reader->findings, yaml_place(reader, node),
                       "'%.64s' is no name for a system; expected a lower-case letter, then up to "
                       "31 of a-z, 0-9, '_' and '-'",
                       (const char *)node->data.scalar.value);
    file->name = name;
}

static void read_isolation(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                           void *into)
{
    struct system_file *file = into;
    const char *kind = yaml_text(reader, node, what);
    file->users = kind && strcmp(kind, "users") == 0;
    file->isolation_place = yaml_place(reader, node);
    if (kind && !file->users && strcmp(kind, "landlock") != 0)
        findings_error(reader->findings, file->isolation_place,
                       "%s is '%.64s'; expected 'landlock' (the default) or 'users'", what, kind);
}

/* ---- The gateway ----------------------------------------------------------------------------- */

static void read_listen(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    struct system_file *file = into;
    struct sockaddr_storage address;
    socklen_t length;
    struct fh_error error;
    const char *listen = yaml_text(reader, node, what);
    if (!listen)
        return;
    if (address_parse(listen, &address, &length, &error) != FH_OK) {
        findings_error(reader->findings, yaml_place(reader, node), "%s '%.64s' is no address. %s",
                       what, (const char *)node->data.scalar.value, error.message);
        return;
    }
    file->listen = listen;
    file->listen_place = yaml_place(reader, node);
}

static void read_part_name(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                           void *into)
{
    ((struct system_part *)into)->name = yaml_text(reader, node, what);
}

static void read_part_get(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                          void *into)
{
    ((struct system_part *)into)->get = yaml_text(reader, node, what);
}

static void read_part_each(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                           void *into)
{
    ((struct system_part *)into)->each = yaml_text(reader, node, what);
}

static void read_part_id(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                         void *into)
{
    ((struct system_part *)into)->id = yaml_text(reader, node, what);
}

static void read_part_required(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                               void *into)
{
    yaml_bool(reader, node, what, &((struct system_part *)into)->required);
}

static void read_part_query(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                            void *into)
{
    yaml_bool(reader, node, what, &((struct system_part *)into)->query);
}

static void read_part_timeout(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                              void *into)
{
    yaml_integer(reader, node, what, 1, WAIT_MS_MAX, &((struct system_part *)into)->timeout_ms);
}

static void read_part(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    static const struct yaml_key keys[] = {
        {"name", read_part_name, true},          {"get", read_part_get, true},
        {"each", read_part_each, false},         {"id", read_part_id, false},
        {"required", read_part_required, false}, {"query", read_part_query, false},
        {"timeout_ms", read_part_timeout, false}};
    struct system_composition *composition = into;
    struct system_part *part = &composition->parts[composition->part_count++];
    part->place = yaml_place(reader, node);
    yaml_read_mapping(reader, node, what, keys, COUNT(keys), part);
    for (size_t i = 0; part->name && i + 1 < composition->part_count; i++) {
        if (composition->parts[i].name && strcmp(composition->parts[i].name, part->name) == 0)
            findings_error(reader->findings, part->place, "a second part is named '%s'",
                           part->name);
    }
}

static void read_composition_path(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                                  void *into)
{
    struct system_composition *composition = into;
    composition->path = yaml_text(reader, node, what);
    if (composition->path && composition->path[0] != '/')
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s must begin with '/', such as /api/orders/{id}/details", what);
}

static void read_composition_deadline(struct yaml_reader *reader, yaml_node_t *node,
                                      const char *what, void *into)
{
    yaml_integer(reader, node, what, 1, WAIT_MS_MAX,
                 &((struct system_composition *)into)->deadline_ms);
}

static void read_parts(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    yaml_read_list(reader, node, what, SYSTEM_PARTS_MAX, read_part, into);
}

static void read_composition(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                             void *into)
{
    static const struct yaml_key keys[] = {{"path", read_composition_path, true},
                                           {"parts", read_parts, true},
                                           {"deadline_ms", read_composition_deadline, false}};
    struct system_file *file = into;
    struct system_composition *composition = &file->compositions[file->composition_count++];
    composition->place = yaml_place(reader, node);
    yaml_read_mapping(reader, node, what, keys, COUNT(keys), composition);
}

static void read_compose(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                         void *into)
{
    yaml_read_list(reader, node, what, SYSTEM_COMPOSE_MAX, read_composition, into);
}

static void read_gateway(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                         void *into)
{
    static const struct yaml_key keys[] = {{"listen", read_listen, false},
                                           {"compose", read_compose, false}};
    yaml_read_mapping(reader, node, what, keys, COUNT(keys), into);
}

/* ---- Services -------------------------------------------------------------------------------- */

static void read_program(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                         void *into)
{
    struct system_service *service = into;
    service->program = yaml_text(reader, node, what);
    service->program_place = yaml_place(reader, node);
}

static void read_migrations(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                            void *into)
{
    struct system_service *service = into;
    service->migrations = yaml_text(reader, node, what);
    service->migrations_place = yaml_place(reader, node);
}

static void read_engine(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    struct system_service *service = into;
    service->engine = yaml_text(reader, node, what);
    service->engine_place = yaml_place(reader, node);
}

static void read_settings(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                          void *into)
{
    struct system_service *service = into;
    json_t *settings = yaml_json(reader, node, what);
    if (settings && !json_is_object(settings))
        findings_error(reader->findings, yaml_place(reader, node), "%s must be a mapping", what);
    json_decref(service->settings);
    service->settings = settings;
}

static void read_instances(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                           void *into)
{
    struct system_service *service = into;
    yaml_integer(reader, node, what, 1, SYSTEM_INSTANCES_MAX, &service->instances);
    service->instances_place = yaml_place(reader, node);
}

static void read_caller(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    struct system_service *service = into;
    struct system_caller *caller = &service->callers[service->caller_count];
    caller->name = yaml_text(reader, node, what);
    caller->place = yaml_place(reader, node);
    service->caller_count += caller->name != NULL;
}

static void read_callers(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                         void *into)
{
    struct system_service *service = into;
    service->callers_restricted = true;
    service->caller_count = 0; /* a profile's list replaces */
    yaml_read_list(reader, node, what, SYSTEM_CALLERS_MAX, read_caller, into);
}

static void read_open(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    yaml_bool(reader, node, what, &((struct system_service *)into)->open);
}

static void read_confine(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                         void *into)
{
    bool confine = true;
    yaml_bool(reader, node, what, &confine);
    ((struct system_service *)into)->unconfined = !confine;
}

static void read_service_keys(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                              struct system_service *service)
{
    static const struct yaml_key keys[] = {
        {"program", read_program, false}, {"migrations", read_migrations, false},
        {"engine", read_engine, false},   {"settings", read_settings, false},
        {"callers", read_callers, false}, {"open", read_open, false},
        {"confine", read_confine, false}, {"instances", read_instances, false}};
    yaml_read_mapping(reader, node, what, keys, COUNT(keys), service);
}

static void read_service(struct yaml_reader *reader, yaml_node_t *key, const char *name,
                         yaml_node_t *value, const char *what, void *into)
{
    struct system_file *file = into;
    struct place place = yaml_place(reader, key);
    if (strcmp(name, "gateway") == 0) {
        findings_error(reader->findings, place,
                       "a service cannot be named 'gateway': the system's own gateway is");
        return;
    }
    struct system_service *service = &file->services[file->service_count++];
    *service = (struct system_service){.name = name,
                                       .place = place,
                                       .program = name,
                                       .program_place = place,
                                       .engine = "sqlite",
                                       .engine_place = place,
                                       .instances = 1};
    /* "users:" with nothing behind it: everything as usual. */
    if (value->type != YAML_SCALAR_NODE || value->data.scalar.length)
        read_service_keys(reader, value, what, service);
}

static void read_services(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                          void *into)
{
    struct system_file *file = into;
    size_t errors = reader->findings->errors;
    yaml_read_names(reader, node, what, SYSTEM_SERVICES_MAX, read_service, file);
    if (file->service_count == 0 && reader->findings->errors == errors)
        findings_error(reader->findings, yaml_place(reader, node),
                       "services is empty; expected at least one, such as users: {program: users}");
}

/* ---- Profiles -------------------------------------------------------------------------------- */

struct profile_reading {
    struct system_file *file;
    bool chosen; /* the profile being read is the one in use */
};

static void read_override(struct yaml_reader *reader, yaml_node_t *key, const char *name,
                          yaml_node_t *value, const char *what, void *into)
{
    struct profile_reading *reading = into;
    struct system_service *service = system_file_service(reading->file, name);
    if (!service) {
        struct nearest nearest = nearest_begin(name);
        for (size_t i = 0; i < reading->file->service_count; i++)
            nearest_offer(&nearest, reading->file->services[i].name);
        findings_error(reader->findings, yaml_place(reader, key),
                       "the file has no service '%s'%s%s%s", name,
                       nearest.word ? "; did you mean '" : "", nearest.word ? nearest.word : "",
                       nearest.word ? "'?" : "");
        return;
    }
    if (reading->chosen) {
        read_service_keys(reader, value, what, service);
        return;
    }
    struct system_service scratch = {0};
    reader->sealed = true;
    read_service_keys(reader, value, what, &scratch);
    reader->sealed = false;
    json_decref(scratch.settings);
}

static void read_profile(struct yaml_reader *reader, yaml_node_t *key, const char *name,
                         yaml_node_t *value, const char *what, void *into)
{
    (void)key;
    struct profile_reading *reading = into;
    reading->chosen = reading->file->profile && strcmp(reading->file->profile, name) == 0;
    reading->file->profile_found |= reading->chosen;
    yaml_read_names(reader, value, what, SYSTEM_SERVICES_MAX, read_override, reading);
}

static void read_profiles(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                          void *into)
{
    struct profile_reading reading = {.file = into};
    yaml_read_names(reader, node, what, PROFILES_MAX, read_profile, &reading);
}

/* ---- What the values must be together ----------------------------------------------------------
 */

/* Engines of servers that are no part of this build: asking for one is no typo. */
static const char *const engines_elsewhere[] = {"postgresql", "mariadb", "mysql",
                                                "mongodb",    "redis",   "cassandra"};

static void settle_engine(struct system_service *service, struct findings *findings)
{
    const struct store_ops *engine = store_engine(service->engine);
    struct nearest nearest = nearest_begin(service->engine);
    if (engine && service->instances > 1 && !engine->many_instances) {
        findings_error(findings, service->instances_place,
                       "services.%s: %d instances need a server engine; an embedded store (%s) has "
                       "one process",
                       service->name, service->instances, engine->name);
        return;
    }
    if (engine)
        return;
    nearest_offer(&nearest, store_sqlite.name);
    for (size_t i = 0; i < COUNT(engines_elsewhere); i++) {
        if (strcmp(engines_elsewhere[i], service->engine) == 0) {
            findings_error(findings, service->engine_place,
                           "services.%s: the engine '%s' is not built in; this freehold has %s",
                           service->name, service->engine, store_sqlite.name);
            return;
        }
        nearest_offer(&nearest, engines_elsewhere[i]);
    }
    findings_error(findings, service->engine_place,
                   "services.%s: there is no engine of this name; %s'%s'%s", service->name,
                   nearest.word ? "did you mean " : "expected ",
                   nearest.word ? nearest.word : store_sqlite.name, nearest.word ? "?" : "");
}

static void settle_migrations(struct system_file *file, struct system_service *service,
                              struct findings *findings)
{
    struct stat status;
    if (!service->migrations) {
        const char *usual =
            arena_printf(&file->arena, "%s/%s/migrations", file->folder, service->name);
        if (stat(usual, &status) == 0 && S_ISDIR(status.st_mode))
            service->migrations = usual;
        return;
    }
    if (service->migrations[0] != '/')
        service->migrations =
            arena_printf(&file->arena, "%s/%s", file->folder, service->migrations);
    if (stat(service->migrations, &status) != 0 || !S_ISDIR(status.st_mode))
        findings_error(findings, service->migrations_place,
                       "services.%s.migrations: there is no such folder", service->name);
}

static void settle(struct system_file *file, struct findings *findings)
{
    if (file->profile && !file->profile_found)
        findings_error(findings, (struct place){file->path, 0, 0}, "there is no profile '%s'",
                       file->profile);
    for (size_t i = 0; i < file->service_count; i++) {
        struct system_service *service = &file->services[i];
        if (service->engine)
            settle_engine(service, findings);
        settle_migrations(file, service, findings);
        if (!service->settings)
            service->settings = json_object();
    }
}

static bool find_folder(struct system_file *file, struct findings *findings)
{
    char *absolute = realpath(file->path, NULL);
    if (!absolute) {
        findings_error(findings, (struct place){file->path, 0, 0}, "cannot be read: %s",
                       strerror(errno));
        return false;
    }
    char *slash = strrchr(absolute, '/');
    file->folder =
        slash == absolute ? "/" : arena_copy(&file->arena, absolute, (size_t)(slash - absolute));
    free(absolute);
    return true;
}

struct system_file *system_file_read(const char *path, const char *profile,
                                     struct findings *findings)
{
    static const struct yaml_key keys[] = {{"system", read_name, true},
                                           {"gateway", read_gateway, false},
                                           {"isolation", read_isolation, false},
                                           {"services", read_services, true},
                                           {"profiles", read_profiles, false}};
    struct system_file *file = calloc(1, sizeof *file);
    FH_ASSERT(file != NULL);
    arena_init(&file->arena, ARENA_SIZE_MAX);
    file->path = path;
    file->profile = profile;
    file->listen = SYSTEM_LISTEN_DEFAULT;
    file->listen_place = (struct place){path, 0, 0};
    size_t errors = findings->errors;
    struct yaml_reader reader = {.findings = findings, .arena = &file->arena};
    yaml_node_t *root = NULL;
    if (find_folder(file, findings))
        root = yaml_open(&reader, path, SYSTEM_FILE_SIZE_MAX);
    if (root) {
        yaml_read_mapping(&reader, root, "", keys, COUNT(keys), file);
        settle(file, findings);
        file->variable_count = reader.variable_count;
        file->variables = arena_alloc(&file->arena, sizeof reader.variables);
        memcpy(file->variables, reader.variables, sizeof reader.variables);
    }
    yaml_release(&reader);
    if (findings->errors == errors)
        return file;
    system_file_free(file);
    return NULL;
}

void system_file_free(struct system_file *file)
{
    if (!file)
        return;
    for (size_t i = 0; i < file->service_count; i++) {
        json_decref(file->services[i].settings);
        json_decref(file->services[i].description);
    }
    arena_release(&file->arena);
    free(file);
}

struct system_service *system_file_service(struct system_file *file, const char *name)
{
    for (size_t i = 0; i < file->service_count; i++) {
        if (strcmp(file->services[i].name, name) == 0)
            return &file->services[i];
    }
    return NULL;
}
