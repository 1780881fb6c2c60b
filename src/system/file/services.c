/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of a service. */

#include "system/file/services.h"

#include <string.h>

#include "base/json.h"
#include "engine/engines.h"
#include "system/file/bus.h"
#include "system/file/derives.h"
#include "system/file/gateway.h"
#include "system/file/isolation.h"
#include "system/file/outside.h"
#include "system/file/servers.h"
#include "work/retention.h"

#define RETENTION_AMOUNT_MAX 1000000000 /* seconds, or events */
#define COUNT(array) (sizeof(array) / sizeof *(array))

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

static void read_reports(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                         void *into)
{
    struct system_service *service = into;
    service->reports = yaml_text(reader, node, what);
    service->reports_place = yaml_place(reader, node);
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
                        const char *name, int unit, void *into)
{
    const struct system_service *service = into;
    int amount;
    if (yaml_integer(reader, node, what, 1, RETENTION_AMOUNT_MAX, &amount))
        json_object_set_new(service->retention, name, json_integer((json_int_t)amount * unit));
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

static void read_outside_s(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                           void *into)
{
    struct system_service *service = into;
    int amount;
    service->outside_kept_place = yaml_place(reader, node);
    if (yaml_integer(reader, node, what, 0, RETENTION_AMOUNT_MAX, &amount))
        json_object_set_new(service->retention, "outside_kept_ms",
                            json_integer((json_int_t)amount * 1000));
}

static void read_retention(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                           void *into)
{
    static const struct yaml_key keys[] = {{"events_kept_s", read_events_s, false},
                                           {"events_kept_s_max", read_events_s_max, false},
                                           {"events_max", read_events_max, false},
                                           {"outside_kept_s", read_outside_s, false,
                                            "for how long the outbox holds events for readers "
                                            "outside; default: 0, not at all"},
                                           {"sagas_kept_s", read_sagas_s, false}};
    struct system_service *service = into;
    if (!service->retention) /* a profile replaces individual values */
        service->retention = json_object();
    yaml_read_mapping(reader, node, what, keys, COUNT(keys), service);
}

void file_settle_retention(const struct system_service *service, struct findings *findings)
{
    json_int_t outside_ms = 0, most_ms = RETENTION_EVENTS_KEPT_MS_MAX;
    json_integer_at(service->retention, "outside_kept_ms", &outside_ms);
    json_integer_at(service->retention, "events_kept_ms_max", &most_ms);
    if (outside_ms > most_ms)
        findings_error(findings, service->outside_kept_place,
                       "services.%s.retention.outside_kept_s is %lld, and no event is held for "
                       "longer than events_kept_s_max says, %lld",
                       service->name, (long long)outside_ms / 1000, (long long)most_ms / 1000);
}

static void read_service_bus(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                             void *into)
{
    file_read_bus(reader, node, what, &((struct system_service *)into)->bus);
}

void file_read_service_keys(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                            struct system_service *service)
{
    static const struct yaml_key keys[] = {
        {"program", read_program, false, "the service's program; default: its name"},
        {"migrations", read_migrations, false, "a folder; default: NAME/migrations, if there"},
        {"reports", read_reports, false, "a folder; default: NAME/reports, if there"},
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
        {"bus", read_service_bus, false,
         "a broker that its events also go out by; default: the system's"},
        {"derives", file_read_derives, false,
         "which of its derived stores lie on servers; the others are in its own store"},
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
        file_read_service_keys(reader, value, what, service);
}

void file_read_services(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    struct system_file *file = into;
    size_t errors = reader->findings->errors;
    yaml_read_names(reader, node, what, SYSTEM_SERVICES_MAX, read_service, file);
    if (file->service_count == 0 && reader->findings->errors == errors)
        findings_error(reader->findings, yaml_place(reader, node),
                       "services is empty; expected at least one, such as users: {program: users}");
}

struct system_service *system_file_service(struct system_file *file, const char *name)
{
    for (size_t i = 0; i < file->service_count; i++) {
        if (strcmp(file->services[i].name, name) == 0)
            return &file->services[i];
    }
    return NULL;
}
