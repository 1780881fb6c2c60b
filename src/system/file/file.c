/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shape of the system file, as tables of keys. Keys are read in the tables' order, not the
 * file's: services before profiles (profiles.c), so that the chosen profile's values replace
 * theirs, and servers after both (see servers.c).
 */

#define _GNU_SOURCE
#include "system/file/file.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "engine/engines.h"
#include "system/file/backup.h"
#include "system/file/gateway.h"
#include "system/file/isolation.h"
#include "system/file/servers.h"
#include "system/file/outside.h"
#include "system/file/profiles.h"
#include "system/file/services.h"
#include "system/file/yaml.h"

#define ROTATE_KEYS_DAYS_MAX 3650
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

static void read_system_bus(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                            void *into)
{
    file_read_bus(reader, node, what, &((struct system_file *)into)->bus);
}

/* ---- Checks across values ---- */

/* Of files that are a service's, `what`: the one that is said, or the usual one if that is there.
 */
static void settle_folder(struct system_file *file, const struct system_service *service,
                          const char *what, const char **folder, struct place place,
                          struct findings *findings)
{
    struct stat status;
    if (!*folder) {
        const char *usual =
            arena_printf(&file->arena, "%s/%s/%s", file->folder, service->name, what);
        if (stat(usual, &status) == 0 && S_ISDIR(status.st_mode))
            *folder = usual;
        return;
    }
    if (**folder != '/')
        *folder = arena_printf(&file->arena, "%s/%s", file->folder, *folder);
    if (stat(*folder, &status) != 0 || !S_ISDIR(status.st_mode))
        findings_error(findings, place, "services.%s.%s: there is no such folder", service->name,
                       what);
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
        settle_folder(file, service, "migrations", &service->migrations, service->migrations_place,
                      findings);
        settle_folder(file, service, "reports", &service->reports, service->reports_place,
                      findings);
        file_settle_outside(file, service, findings);
        file_settle_reads(file, service, findings);
        file_settle_retention(service, findings);
        if (!service->settings)
            service->settings = json_object();
    }
}

const char *system_absolute_path(struct arena *arena, const char *path)
{
    char here[PATH_MAX];
    struct text whole;
    text_init(&whole, PATH_MAX);
    if (path[0] != '/') {
        FH_ASSERT(getcwd(here, sizeof here) != NULL);
        text_printf(&whole, "%s", here[1] ? here : "");
    }
    while (*path) {
        size_t length = strcspn(path, "/");
        if (length && !(length == 1 && path[0] == '.'))
            text_printf(&whole, "/%.*s", (int)length, path);
        path += length + (path[length] == '/');
    }
    const char *absolute = arena_text(arena, whole.data && *whole.data ? whole.data : "/");
    text_release(&whole);
    return absolute;
}

/* A file that is a link belongs to the folder of what it points to. Links on the way to it stay. */
static bool find_folder(struct system_file *file, struct findings *findings)
{
    struct stat status;
    char *real = realpath(file->path, NULL);
    if (!real) {
        findings_error(findings, (struct place){file->path, 0, 0}, "cannot be read: %s%s",
                       strerror(errno),
                       errno == ENOENT ? "; name the system file, or begin one with: freehold new "
                                         "system NAME"
                                       : "");
        return false;
    }
    bool is_link = lstat(file->path, &status) == 0 && S_ISLNK(status.st_mode);
    const char *absolute = system_absolute_path(&file->arena, is_link ? real : file->path);
    const char *slash = strrchr(absolute, '/');
    file->folder =
        slash == absolute ? "/" : arena_copy(&file->arena, absolute, (size_t)(slash - absolute));
    free(real);
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
    {"services", file_read_services, true, "by name; what is left out is as usual"},
    {"bus", read_system_bus, false, "a broker that all events travel by; default: none, feed"},
    {"sources", file_read_sources, false,
     "topics that others publish to, by the name under which services subscribe to them"},
    {"profiles", file_read_profiles, false, "other values for services: up --profile NAME"},
    {"security", read_security, false, "security of the whole system"},
    {"servers", file_read_servers, false,
     "database servers that stores may name, brokers for a bus, and servers for what is derived"},
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
        file_settle_buses(file, findings);
        file_settle_derives(file, findings);
        file_settle_sources(file, findings);
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
        json_decref(file->servers[i].options);
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
