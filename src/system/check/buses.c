/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A feed gives each subscriber the fields that it was granted, and a bus gives all who read the
 * topic all of an event. So types with personal fields go there only where the file names them:
 * whoever adds such a type has to look at who reads it.
 */

#include "system/check/buses.h"

#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "broker/broker.h"
#include "engine/engines.h"
#include "event/subscribe/partitions.h"
#include "service/marks.h"
#include "store/store.h"
#include "system/servers/brokers.h"

json_t *buses_map(struct system_file *file)
{
    json_t *map = json_array();
    char topic[BROKERS_TOPIC_SIZE];
    unsigned partitions;
    for (size_t i = 0; i < file->service_count; i++) {
        const struct system_service *service = &file->services[i];
        const struct system_server *server = brokers_of_publisher(file, service);
        if (!json_array_size(json_object_get(service->description, "publishes")))
            continue;
        json_int_t topic_s = server ? system_file_bus(file, service)->outside_kept_s : 0;
        json_int_t outbox_ms = 0;
        json_integer_at(service->retention, "outside_kept_ms", &outbox_ms);
        json_t *one = json_pack("{s:s, s:s, s:o, s:{s:I, s:I}}", "service", service->name, "by",
                                server ? server->broker : SYSTEM_BUS_FEED, "subscribers",
                                brokers_subscribers(file, service->name), "outside", "topic_s",
                                topic_s, "outbox_s", outbox_ms / 1000);
        if (server) {
            brokers_topic(file, service, server, topic, &partitions);
            json_object_set_new(one, "server", json_string(server->name));
            json_object_set_new(one, "topic", json_string(topic));
            json_object_set_new(one, "partitions", json_integer((json_int_t)partitions));
        }
        json_array_append_new(map, one);
    }
    return map;
}

/* ---- personal fields ---- */

static bool bus_may_carry(const struct system_bus *bus, const char *type)
{
    for (size_t i = 0; i < bus->personal_count; i++) {
        if (strcmp(bus->personal[i], type) == 0)
            return true;
    }
    return false;
}

static void name_fields(const json_t *fields, struct text *out)
{
    const char *name;
    json_t *mark;
    json_object_foreach ((json_t *)(uintptr_t)fields, name, mark)
        text_printf(out, "%s%s", out->length ? ", " : "", name);
}

static void check_carried_type(const struct system_bus *bus, const struct system_service *service,
                               const json_t *published, struct findings *findings)
{
    const char *type = json_string_at(published, "type");
    json_t *fields = marks_of_schema(json_object_get(published, "schema"));
    struct text names;
    text_init(&names, 1024);
    name_fields(fields, &names);
    if (type && json_object_size(fields) && !bus_may_carry(bus, type))
        findings_error(findings, bus->place,
                       "%s publishes %s with the personal %s, and a bus carries events whole, to "
                       "all who read the topic: accept that with bus: { server: %s, personal: "
                       "[%s] }, or let its events stay with the feed: services.%s.bus: feed",
                       service->name, type, names.data, bus->server, type, service->name);
    text_release(&names);
    json_decref(fields);
}

static bool type_is_personal(const struct system_service *service, const char *type)
{
    size_t i;
    json_t *published;
    bool personal = false;
    json_array_foreach (json_object_get(service->description, "publishes"), i, published) {
        const char *name = json_string_at(published, "type");
        json_t *fields = marks_of_schema(json_object_get(published, "schema"));
        personal |= name && strcmp(name, type) == 0 && json_object_size(fields);
        json_decref(fields);
    }
    return personal;
}

/* What is allowed and does not exist may be a mistyped one that is refused elsewhere, or is left of
 * a type that has changed. */
static void check_allowed(struct system_file *file, const struct system_bus *bus,
                          struct findings *findings)
{
    for (size_t i = 0; i < bus->personal_count; i++) {
        bool known = false;
        for (size_t j = 0; j < file->service_count; j++)
            known |= system_file_bus(file, &file->services[j]) == bus &&
                     type_is_personal(&file->services[j], bus->personal[i]);
        if (!known)
            findings_warning(findings, bus->personal_places[i],
                             "no service whose bus this is publishes '%.64s' with personal fields",
                             bus->personal[i]);
    }
}

/* ---- publishers and brokers ---- */

static void check_publisher(struct system_file *file, const struct system_service *service,
                            struct findings *findings)
{
    const struct system_bus *bus = system_file_bus(file, service);
    size_t i;
    json_t *published;
    if (!brokers_of_publisher(file, service)) {
        if (service->bus.server && system_file_broker(file, service))
            findings_warning(findings, service->bus.place,
                             "services.%s.bus: nobody reads it there: %s publishes nothing, or no "
                             "service of the system subscribes to it",
                             service->name, service->name);
        return;
    }
    json_array_foreach (json_object_get(service->description, "publishes"), i, published)
        check_carried_type(bus, service, published, findings);
}

/* A subscription's partitions are parts of the topic's. */
static void check_partitions(struct system_file *file, const struct system_server *server,
                             const struct system_service *publisher, struct findings *findings)
{
    if (!server->partitions || server->partitions % PARTITIONS_AT_BIRTH == 0)
        return;
    for (size_t i = 0; i < file->service_count; i++) {
        const struct system_service *service = &file->services[i];
        const struct engine *engine = engine_named(service->engine);
        if (engine && engine_can(engine, ENGINE_MANY_INSTANCES) &&
            brokers_subscribes(service, publisher->name))
            findings_warning(findings, server->place,
                             "servers.%s.partitions is %d, and %s reads the events of %s in %d "
                             "partitions: it takes them from the feed alone; say %d or more",
                             server->name, server->partitions, service->name, publisher->name,
                             PARTITIONS_AT_BIRTH, PARTITIONS_AT_BIRTH);
    }
}

/* Who is concerned by the broker. */
static size_t count_on_broker(struct system_file *file, const struct system_server *server)
{
    size_t count = 0;
    for (size_t i = 0; i < file->service_count; i++) {
        const struct system_service *service = &file->services[i];
        bool concerned = brokers_of_publisher(file, service) == server;
        for (size_t j = 0; j < file->service_count && !concerned; j++)
            concerned = brokers_of_publisher(file, &file->services[j]) == server &&
                        brokers_subscribes(service, file->services[j].name);
        count += concerned;
    }
    return count;
}

static void check_existing(struct system_file *file, const struct system_server *server,
                           struct findings *findings)
{
    if (!server->broker || !server->used || !server->address.host ||
        count_on_broker(file, server) < 2)
        return;
    findings_warning(findings, server->place,
                     "servers.%s: all services are the same user there, so each of them can read "
                     "and change what the others publish by it; a private broker, without a host, "
                     "keeps them apart",
                     server->name);
}

void buses_check(struct system_file *file, struct findings *findings)
{
    for (size_t i = 0; i < file->service_count; i++) {
        const struct system_server *server = brokers_of_publisher(file, &file->services[i]);
        check_publisher(file, &file->services[i], findings);
        if (server)
            check_partitions(file, server, &file->services[i], findings);
        check_allowed(file, &file->services[i].bus, findings);
    }
    check_allowed(file, &file->bus, findings);
    for (size_t i = 0; i < file->server_count; i++)
        check_existing(file, &file->servers[i], findings);
}
