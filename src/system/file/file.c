/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shape of the system file, as tables of keys. Keys are read in the tables' order, not the
 * file's: services before profiles, so that the chosen profile's values replace theirs, and servers
 * after both (see servers.c). Profiles that are not chosen are read into a scratch service, so that
 * their mistakes are found too, but the environment variables they use need not be set, nor their
 * engines be available.
 */

#define _GNU_SOURCE
#include "system/file/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "engine/engines.h"
#include "system/file/backup.h"
#include "system/file/gateway.h"
#include "system/file/isolation.h"
#include "system/file/servers.h"
#include "system/file/nearest.h"
#include "system/file/outside.h"
#include "system/file/yaml.h"

#define ROTATE_KEYS_DAYS_MAX 3650
#define RETENTION_AMOUNT_MAX 1000000000 /* seconds, or events */
#define COUNT(array) (sizeof(array) / sizeof *(array))

static void read_name(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    struct system_file *file = into;
    const char *name = yaml_text(reader, node, what);
    if (name && !yaml_is_name(name))
        findings_error(
            reader->findings, yaml_place(reader, node),
            "'%.64s' is not a name for a system; expected a lower-case letter, then up to "
            "31 of a-z, 0-9, '_' and '-'",
            (const char *)node->data.scalar.value);
    file->name = name;
}

static void read_links(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    static const char *const kinds[] = {"plain", "tls", NULL};
    ((struct system_file *)into)->links_tls = yaml_word(reader, node, what, kinds, true) == 1;
}

static void read_upgrade(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                         void *into)
{
    static const char *const kinds[] = {"automatic", "by hand", NULL};
    ((struct system_file *)into)->upgrades_by_hand =
        yaml_word(reader, node, what, kinds, true) == 1;
}

static void read_rotate_keys(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                             void *into)
{
    yaml_integer(reader, node, what, 1, ROTATE_KEYS_DAYS_MAX,
                 &((struct system_file *)into)->rotate_keys_days);
}

static const struct yaml_key security_keys[] = {
    {"rotate_keys_days", read_rotate_keys, false,
     "the processes' keys are replaced every so many days, while the system runs"}};

static void read_security(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                          void *into)
{
    yaml_read_mapping(reader, node, what, security_keys, COUNT(security_keys), into);
}

/* ---- Services ---- */

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

static void read_settings(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                          void *into)
{
    struct system_service *service = into;
    json_decref(service->settings);
    service->settings = yaml_json(reader, node, what);
    service->settings_place = yaml_place(reader, node);
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
    service->caller_count = 0; /* a profile's list replaces the service's */
    yaml_read_list(reader, node, what, SYSTEM_CALLERS_MAX, read_caller, into);
}

static void read_service_open(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                              void *into)
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

static void read_request_log(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                             void *into)
{
    ((struct system_service *)into)->logs_requests = file_request_log(reader, node, what);
}

static void read_amount(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                        const char *name, int unit, json_t *retention)
{
    int amount;
    if (yaml_integer(reader, node, what, 1, RETENTION_AMOUNT_MAX, &amount))
        json_object_set_new(retention, name, json_integer((json_int_t)amount * unit));
}

static void read_events_s(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                          void *into)
{
    read_amount(reader, node, what, "events_kept_ms", 1000, into);
}

static void read_events_s_max(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                              void *into)
{
    read_amount(reader, node, what, "events_kept_ms_max", 1000, into);
}

static void read_events_max(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                            void *into)
{
    read_amount(reader, node, what, "events_max", 1, into);
}

static void read_sagas_s(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                         void *into)
{
    read_amount(reader, node, what, "sagas_kept_ms", 1000, into);
}

static void read_retention(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                           void *into)
{
    static const struct yaml_key keys[] = {{"events_kept_s", read_events_s, false},
                                           {"events_kept_s_max", read_events_s_max, false},
                                           {"events_max", read_events_max, false},
                                           {"sagas_kept_s", read_sagas_s, false}};
    struct system_service *service = into;
    if (!service->retention) /* a profile replaces individual values */
        service->retention = json_object();
    yaml_read_mapping(reader, node, what, keys, COUNT(keys), service->retention);
}

static void read_service_keys(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                              struct system_service *service)
{
    static const struct yaml_key keys[] = {
        {"program", read_program, false, "the service's program; default: its name"},
        {"migrations", read_migrations, false, "a folder; default: NAME/migrations, if there"},
        {"engine", file_read_engine, false,
         "of its store; default: the one that is a file in its folder"},
        {"store", file_read_store, false, "where the store is, for a server engine"},
        {"settings", read_settings, false, "the service's own; its program declares their shape"},
        {"callers", read_callers, false, "who may call it; default: all who declare that need"},
        {"open", read_service_open, false,
         "public routes take requests without a token; default: false"},
        {"reads", file_read_reads, false,
         "files and folders that its program reads or runs as it starts"},
        {"confine", read_confine, false, "false: it reaches every file of its user"},
        {"instances", read_instances, false, "processes; more than one needs a server engine"},
        {"outside", file_read_outside, false, "which addresses its webhooks and fetches may go to"},
        {"outside_ports", file_read_outside_ports, false,
         "ports that it may connect to besides 80 and 443"},
        {"outside_hosts", file_read_outside_hosts, false,
         "hosts that its webhooks and fetches may go to; default: all"},
        {"outside_http", file_read_outside_http, false,
         "true: its webhooks and fetches may also go by http"},
        {"outside_keys", file_read_outside_keys, false, "what its webhooks are signed with"},
        {"retention", read_retention, false, "how long events and sagas are kept"},
        {"request_log", read_request_log, false,
         "all: the log has a line for each request, not only for those that fail"}};
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
                                       .engine = engine_embedded()->name,
                                       .engine_place = place,
                                       .settings_place = place,
                                       .store.connections = SYSTEM_CONNECTIONS_DEFAULT,
                                       .instances = 1};
    /* "users:" followed by nothing: all defaults. */
    if (!yaml_nothing(reader, value))
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

/* ---- Profiles ---- */

struct profile_reading {
    struct system_file *file;
    bool chosen; /* the profile being read is the chosen one */
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
    struct system_service scratch = {.name = name, .instances = 1};
    reader->sealed = true;
    read_service_keys(reader, value, what, &scratch);
    reader->sealed = false;
    file_mention_store(reading->file, &scratch, reader->findings);
    json_decref(scratch.settings);
    json_decref(scratch.retention);
    file_outside_release(&scratch.outside);
    file_store_release(&scratch.store);
}

static void read_profile(struct yaml_reader *reader, yaml_node_t *key, const char *name,
                         yaml_node_t *value, const char *what, void *into)
{
    (void)key;
    struct profile_reading *reading = into;
    reading->chosen = reading->file->profile && strcmp(reading->file->profile, name) == 0;
    reading->file->profile_found |= reading->chosen;
    if (value && reading->file->profile_count < SYSTEM_PROFILES_MAX)
        reading->file->profiles[reading->file->profile_count++] = name;
    yaml_read_names(reader, value, what, SYSTEM_SERVICES_MAX, read_override, reading);
}

static void read_profiles(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                          void *into)
{
    struct profile_reading reading = {.file = into};
    yaml_read_names(reader, node, what, SYSTEM_PROFILES_MAX, read_profile, &reading);
}

/* ---- Checks across values ---- */

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

static void settle_services(struct system_file *file, struct findings *findings)
{
    if (file->profile && !file->profile_found)
        findings_error(findings, (struct place){file->path, 0, 0}, "there is no profile '%s'",
                       file->profile);
    for (size_t i = 0; i < file->service_count; i++) {
        struct system_service *service = &file->services[i];
        if (service->engine)
            file_settle_store(file, service, findings);
        settle_migrations(file, service, findings);
        file_settle_outside(file, service, findings);
        file_settle_reads(file, service, findings);
        if (!service->settings)
            service->settings = json_object();
    }
}

static bool find_folder(struct system_file *file, struct findings *findings)
{
    char *absolute = realpath(file->path, NULL);
    if (!absolute) {
        findings_error(findings, (struct place){file->path, 0, 0}, "cannot be read: %s%s",
                       strerror(errno),
                       errno == ENOENT ? "; name the system file, or begin one with: freehold new "
                                         "system NAME"
                                       : "");
        return false;
    }
    char *slash = strrchr(absolute, '/');
    file->folder =
        slash == absolute ? "/" : arena_copy(&file->arena, absolute, (size_t)(slash - absolute));
    free(absolute);
    return true;
}

static const struct yaml_key file_keys[] = {
    {"system", read_name, true, "the system's name"},
    {"gateway", file_read_gateway, false, "the one public door"},
    {"exposure", file_read_exposure, false,
     "who sees metrics and API documents: inside, public or off"},
    {"isolation", file_read_isolation, false,
     "users: each process has a user and a namespace of its own (the default); landlock: neither"},
    {"links", read_links, false, "between the processes"},
    {"services", read_services, true, "by name; what is left out is as usual"},
    {"profiles", read_profiles, false, "other values for services: up --profile NAME"},
    {"security", read_security, false, "security of the whole system"},
    {"servers", file_read_servers, false, "database servers that stores may name"},
    {"upgrade", read_upgrade, false, "to a program that was replaced on disk"},
    {"backup", file_read_backup, false, "encryption and signing of backups"}};

static struct system_file *file_new(const char *path, const char *profile, bool keyless)
{
    struct system_file *file = malloc(sizeof *file);
    FH_ASSERT(file != NULL);
    *file = (struct system_file){.path = path,
                                 .profile = profile,
                                 .keyless = keyless,
                                 .listen = SYSTEM_LISTEN_DEFAULT,
                                 .listen_place = {path, 0, 0}};
    arena_init(&file->arena, ARENA_SIZE_MAX);
    return file;
}

static struct system_file *read_file(const char *path, const char *profile, bool keyless,
                                     struct findings *findings)
{
    struct system_file *file = file_new(path, profile, keyless);
    struct yaml_reader reader = {.findings = findings, .arena = &file->arena};
    yaml_node_t *root =
        find_folder(file, findings) ? yaml_open(&reader, path, SYSTEM_FILE_SIZE_MAX) : NULL;
    if (root) {
        yaml_read_mapping(&reader, root, "", file_keys, COUNT(file_keys), file);
        file_settle_isolation(file, findings);
        settle_services(file, findings);
        file_settle_mentioned(file, findings);
        file->variable_count = reader.variable_count;
        file->variables = arena_alloc(&file->arena, sizeof reader.variables);
        memcpy(file->variables, reader.variables, sizeof reader.variables);
    }
    yaml_release(&reader);
    if (root && file->name)
        return file;
    system_file_free(file);
    return NULL;
}

static struct system_file *read_right_file(const char *path, const char *profile, bool keyless,
                                           struct findings *findings)
{
    size_t errors = findings->errors;
    struct system_file *file = read_file(path, profile, keyless, findings);
    if (findings->errors == errors)
        return file;
    system_file_free(file);
    return NULL;
}

struct system_file *system_file_read_faulty(const char *path, const char *profile,
                                            struct findings *findings)
{
    return read_file(path, profile, false, findings);
}

struct system_file *system_file_read(const char *path, const char *profile,
                                     struct findings *findings)
{
    return read_right_file(path, profile, false, findings);
}

struct system_file *system_file_read_keyless(const char *path, struct findings *findings)
{
    return read_right_file(path, NULL, true, findings);
}

json_t *system_file_schema(void)
{
    struct system_file *file = file_new(NULL, NULL, false); /* nothing is read into it */
    struct findings findings = {0};
    struct yaml_reader reader = {
        .findings = &findings, .arena = &file->arena, .schema = json_object()};
    json_object_set_new(reader.schema, "$schema",
                        json_string("https://json-schema.org/draft/2020-12/schema"));
    json_object_set_new(reader.schema, "title", json_string("A system file of Freehold"));
    yaml_read_mapping(&reader, NULL, "", file_keys, COUNT(file_keys), file);
    findings_release(&findings);
    system_file_free(file);
    return reader.schema;
}

void system_file_free(struct system_file *file)
{
    if (!file)
        return;
    for (size_t i = 0; i < file->service_count; i++) {
        json_decref(file->services[i].settings);
        json_decref(file->services[i].retention);
        file_outside_release(&file->services[i].outside);
        json_decref(file->services[i].description);
        program_release(&file->services[i].described);
        file_store_release(&file->services[i].store);
    }
    for (size_t i = 0; i < file->server_count; i++) {
        json_decref(file->servers[i].settings);
        json_decref(file->servers[i].address.tls);
    }
    json_decref(file->limits.shared.address.tls);
    json_decref(file->others);
    json_decref(file->auth);
    json_decref(file->backup_key);
    json_decref(file->door_clients);
    system_file_free(file->lent);
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
