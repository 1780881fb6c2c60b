/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chosen profile's values replace those of the file. Profiles that are not chosen are read into
 * a scratch service, so that their mistakes are found too, but the environment variables they use
 * need not be set, nor their engines be available.
 */

#include "system/file/profiles.h"

#include <string.h>

#include "system/file/bus.h"
#include "system/file/nearest.h"
#include "system/file/outside.h"
#include "system/file/servers.h"
#include "system/file/services.h"

struct profile_reading {
    struct system_file *file;
    bool chosen; /* the profile being read is the chosen one */
};

/* The system's, unless a service has that name. */
static void read_profile_bus(struct yaml_reader *reader, yaml_node_t *value, const char *what,
                             struct profile_reading *reading)
{
    struct system_bus scratch = {0};
    reader->sealed = !reading->chosen;
    file_read_bus(reader, value, what, reading->chosen ? &reading->file->bus : &scratch);
    reader->sealed = false;
    file_mention_bus(reading->file, &scratch);
}

static void read_override(struct yaml_reader *reader, yaml_node_t *key, const char *name,
                          yaml_node_t *value, const char *what, void *into)
{
    struct profile_reading *reading = into;
    struct system_service *service = system_file_service(reading->file, name);
    if (!service && strcmp(name, "bus") == 0) {
        read_profile_bus(reader, value, what, reading);
        return;
    }
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
        file_read_service_keys(reader, value, what, service);
        return;
    }
    struct system_service scratch = {.name = name, .instances = 1};
    reader->sealed = true;
    file_read_service_keys(reader, value, what, &scratch);
    reader->sealed = false;
    file_mention_store(reading->file, &scratch, reader->findings);
    file_mention_bus(reading->file, &scratch.bus);
    file_mention_derives(reading->file, &scratch);
    json_decref(scratch.settings);
    json_decref(scratch.retention);
    file_outside_release(&scratch.outside);
    file_store_release(&scratch.store);
}

/* Beside the names of services. */
static void describe_profile_bus(struct yaml_reader *reader)
{
    json_t *schema = reader->schema, *bus = json_object();
    struct system_bus scratch = {0};
    json_object_set_new(schema, "properties", json_pack("{s:O}", "bus", bus));
    json_object_set_new(bus, "description", json_string("the system's; see there"));
    reader->schema = bus;
    file_read_bus(reader, NULL, "bus", &scratch);
    reader->schema = schema;
    json_decref(bus);
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
    yaml_read_names(reader, value, what, SYSTEM_SERVICES_MAX + 1, read_override, reading);
    if (reader->schema)
        describe_profile_bus(reader);
}

void file_read_profiles(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    struct profile_reading reading = {.file = into};
    yaml_read_names(reader, node, what, SYSTEM_PROFILES_MAX, read_profile, &reading);
}
