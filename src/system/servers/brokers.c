/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has which rights follows from the descriptions at the time of `up`, as everything that is
 * granted does. A program that is upgraded to one which subscribes to more reads that from the feed
 * until the next `up`: its broker knows no user for it.
 */

#define _GNU_SOURCE
#include "system/servers/brokers.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "broker/broker.h"
#include "event/carried/bus.h"
#include "event/relay/relay.h"
#include "event/subscribe/partitions.h"
#include "store/server.h"
#include "store/tls.h"
#include "system/provision/part.h"
#include "system/provision/tls_files.h"
#include "system/servers/kept.h"
#include "system/servers/privates.h"
#include "system/servers/servers.h"

#define BUS_CA "bus-ca.pem" /* in the folder of a service: who a private broker is known by */

/* ---- who is concerned ---- */

bool brokers_subscribes(const struct system_service *service, const char *publisher)
{
    size_t i;
    json_t *subscribed;
    json_array_foreach (json_object_get(service->description, "hears"), i, subscribed) {
        const char *of = json_string_at(subscribed, "service");
        if (of && strcmp(of, publisher) == 0)
            return true;
    }
    return false;
}

json_t *brokers_subscribers(const struct system_file *file, const char *publisher)
{
    json_t *names = json_array();
    for (size_t i = 0; i < file->service_count; i++) {
        if (brokers_subscribes(&file->services[i], publisher))
            json_array_append_new(names, json_string(file->services[i].name));
    }
    return names;
}

static bool has_subscriber(const struct system_file *file, const struct system_service *publisher)
{
    for (size_t i = 0; i < file->service_count; i++) {
        if (&file->services[i] != publisher &&
            brokers_subscribes(&file->services[i], publisher->name))
            return true;
    }
    return false;
}

const struct system_server *brokers_of_publisher(struct system_file *file,
                                                 const struct system_service *publisher)
{
    const struct system_server *server = system_file_broker(file, publisher);
    if (!server || !json_array_size(json_object_get(publisher->description, "publishes")))
        return NULL;
    return server->address.host || has_subscriber(file, publisher) ? server : NULL;
}

void brokers_topic(const struct system_file *file, const struct system_service *publisher,
                   const struct system_server *server, char ret[static BROKERS_TOPIC_SIZE],
                   unsigned *ret_partitions)
{
    json_t *options = json_object();
    if (server->partitions)
        json_object_set_new(options, "partitions", json_integer(server->partitions));
    /* Names of systems and services are short. */
    FH_ASSERT(relay_topic(file->name, publisher->name, options, ret, BROKERS_TOPIC_SIZE,
                          ret_partitions, ERROR_UNHEEDED) == FH_OK);
    json_decref(options);
}

/* Who a service is for a topic: "orders", or as a subscriber "orders@users". */
static const char *user_of(struct arena *arena, const char *service, const char *publisher)
{
    return strcmp(service, publisher) == 0 ? service
                                           : arena_printf(arena, "%s@%s", service, publisher);
}

static const char *password_of(struct arena *arena, json_t *kept,
                               const struct system_server *server, const char *user)
{
    const char *key = arena_printf(arena, "%s@%s-%s", user, server->name, server->broker);
    return json_string_value(kept_secret(kept, key));
}

/* ---- configurations ---- */

static json_t *existing_address(const struct system_server *server)
{
    const struct system_address *address = &server->address;
    const struct broker_driver *driver = broker_driver_named(server->broker);
    json_t *tls = store_tls_json(address->tls, address->host);
    bool verified = strcmp(server_text(tls, "mode"), "verify") == 0;
    int usual = verified && driver->port_tls ? driver->port_tls : driver->port;
    json_t *options = json_pack("{s:s, s:i, s:s*, s:s*, s:s*}", "host", address->host, "port",
                                address->port ? address->port : usual, "user", address->user,
                                "password", address->password, "token", server->token);
    json_object_set_new(options, "tls", tls);
    return options;
}

static json_t *private_address(struct provision *provision, const struct system_server *server,
                               const char *user, json_t *kept)
{
    const struct provision_part *part = privates_part(provision, server);
    FH_ASSERT(part != NULL);
    return json_pack("{s:s, s:i, s:s, s:s, s:{s:s}}", "host", PRIVATES_HOST, "port",
                     privates_port(part), "user", user, "password",
                     password_of(&provision->arena, kept, server, user), "tls", "mode", "verify");
}

static json_t *bus_json(struct provision *provision, const struct system_server *server,
                        const char *service, const char *publisher, json_t *kept)
{
    const char *user = user_of(&provision->arena, service, publisher);
    const struct broker_driver *driver = broker_driver_named(server->broker);
    json_t *options = server->address.host ? existing_address(server)
                                           : private_address(provision, server, user, kept);
    if (server->options)
        json_object_update(options, server->options);
    if (!server->address.host && driver->mechanism)
        json_object_set_new(options, "mechanism", json_string(driver->mechanism));
    json_object_set_new(options, "driver", json_string(server->broker));
    if (server->partitions)
        json_object_set_new(options, "partitions", json_integer(server->partitions));
    return options;
}

static void configure_topic(struct provision *provision, const struct system_service *publisher,
                            const struct system_server *server, json_t *kept)
{
    const struct system_file *file = provision->options.file;
    int outside_kept_s = system_file_bus(file, publisher)->outside_kept_s;
    for (size_t i = 0; i < file->service_count; i++) {
        const char *name = file->services[i].name;
        json_t *of_service = json_object_get(provision->buses, name);
        if (&file->services[i] == publisher) {
            json_t *own = bus_json(provision, server, name, publisher->name, kept);
            if (outside_kept_s)
                json_object_set_new(own, "outside_kept_s", json_integer(outside_kept_s));
            json_object_set_new(of_service, "bus", own);
        } else if (brokers_subscribes(&file->services[i], publisher->name))
            json_object_set_new(json_object_get(of_service, "buses"), publisher->name,
                                bus_json(provision, server, name, publisher->name, kept));
    }
}

static json_t *source_json(struct system_file *file, const struct system_source *source)
{
    const struct system_server *server = system_source_server(file, source);
    if (!server)
        return NULL;
    json_t *options = existing_address(server);
    if (server->options)
        json_object_update(options, server->options);
    json_object_set_new(options, "driver", json_string(server->broker));
    json_object_set_new(options, "source",
                        json_pack("{s:s, s:i, s:i, s:s, s:s*, s:s*, s:s*}", "topic", source->topic,
                                  "partitions", source->partitions, "generation",
                                  source->generation, "from",
                                  source->from_end ? "end" : "beginning", "type", source->type,
                                  "key", source->key, "empty", source->empty));
    return options;
}

static void configure_source(struct provision *provision, const struct system_source *source)
{
    struct system_file *file = provision->options.file;
    for (size_t i = 0; i < file->service_count; i++) {
        json_t *of_service = json_object_get(provision->buses, file->services[i].name);
        if (brokers_subscribes(&file->services[i], source->name))
            json_object_set_new(json_object_get(of_service, "buses"), source->name,
                                source_json(file, source));
    }
}

enum fh_code brokers_configure(struct provision *provision, json_t *kept, struct fh_error *error)
{
    struct system_file *file = provision->options.file;
    (void)error;
    json_decref(provision->buses);
    provision->buses = json_object();
    for (size_t i = 0; i < file->service_count; i++)
        json_object_set_new(provision->buses, file->services[i].name, json_pack("{s:{}}", "buses"));
    for (size_t i = 0; i < file->service_count; i++) {
        const struct system_server *server = brokers_of_publisher(file, &file->services[i]);
        if (server)
            configure_topic(provision, &file->services[i], server, kept);
    }
    for (size_t i = 0; i < file->source_count; i++)
        configure_source(provision, &file->sources[i]);
    return FH_OK;
}

/* ---- certificates ---- */

static const struct system_server *server_of_bus(struct system_file *file, const char *publisher)
{
    const struct system_service *service = system_file_service(file, publisher);
    const struct system_source *source = system_file_source(file, publisher);
    return source    ? system_source_server(file, source)
           : service ? system_file_broker(file, service)
                     : NULL;
}

static enum fh_code give_bus_files(struct provision *provision, struct provision_part *part,
                                   const struct system_server *server, json_t *options,
                                   struct fh_error *error)
{
    static const char *const members[] = {"ca", "certificate", "key", NULL};
    struct arena *arena = &provision->arena;
    json_t *tls = json_object_get(options, "tls");
    if (!server->address.host)
        return privates_make_known(provision, part, BUS_CA, tls, error);
    for (const char *const *member = members; *member; member++) {
        const char *path = json_string_at(server->address.tls, *member);
        if (path)
            part_lend_key(part, arena_text(arena, path));
    }
    return tls_files_give(part, tls, arena_printf(arena, "bus-%s", server->name), members, error);
}

enum fh_code brokers_configure_service(struct provision *provision, struct provision_part *part,
                                       const char *service, json_t *config, struct fh_error *error)
{
    struct system_file *file = provision->options.file;
    json_t *all = json_deep_copy(json_object_get(provision->buses, service)), *options;
    json_t *own = json_object_get(all, "bus");
    const char *publisher;
    enum fh_code code = FH_OK;
    if (own)
        code = give_bus_files(provision, part, server_of_bus(file, service), own, error);
    json_object_foreach (json_object_get(all, "buses"), publisher, options) {
        if (code == FH_OK)
            code = give_bus_files(provision, part, server_of_bus(file, publisher), options, error);
    }
    json_object_update(config, all);
    json_decref(all);
    return code;
}

/* ---- a private broker ---- */

static json_t *user_json(struct provision *provision, const struct system_server *server,
                         const char *service, const char *publisher, json_t *kept)
{
    const char *user = user_of(&provision->arena, service, publisher);
    return json_pack("{s:s, s:s}", "user", user, "password",
                     password_of(&provision->arena, kept, server, user));
}

/* Every way in which its subscription may read: as a whole, or in partitions of its own. */
static json_t *readings_json(const char *service, unsigned partitions)
{
    static const unsigned ways[] = {1, PARTITIONS_AT_BIRTH};
    char name[BROKER_NAME_LENGTH_MAX + 1];
    json_t *readings = json_array();
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        for (unsigned index = 0; index < ways[i] && partitions % ways[i] == 0; index++) {
            carried_consumer_name(service, index, ways[i], name);
            json_array_append_new(readings, json_pack("{s:s, s:i, s:i}", "name", name, "index",
                                                      (int)index, "of", (int)ways[i]));
        }
    }
    return readings;
}

static json_t *topic_json(struct provision *provision, const struct system_server *server,
                          const struct system_service *publisher, json_t *kept)
{
    const struct system_file *file = provision->options.file;
    char name[BROKERS_TOPIC_SIZE];
    unsigned partitions;
    json_t *subscribers = json_array();
    brokers_topic(file, publisher, server, name, &partitions);
    for (size_t i = 0; i < file->service_count; i++) {
        const struct system_service *service = &file->services[i];
        if (service == publisher || !brokers_subscribes(service, publisher->name))
            continue;
        json_t *subscriber = user_json(provision, server, service->name, publisher->name, kept);
        json_object_set_new(subscriber, "readings", readings_json(service->name, partitions));
        json_array_append_new(subscribers, subscriber);
    }
    json_t *topic =
        json_pack("{s:s, s:i, s:o, s:o}", "topic", name, "partitions", (int)partitions, "publisher",
                  user_json(provision, server, publisher->name, publisher->name, kept),
                  "subscribers", subscribers);
    if (server->options)
        json_object_set(topic, "options", server->options);
    return topic;
}

enum fh_code brokers_supervise(struct provision *provision, const struct system_server *server,
                               struct provision_part *part, json_t *kept, struct fh_error *error)
{
    struct system_file *file = provision->options.file;
    json_t *topics = json_array();
    for (size_t i = 0; i < file->service_count; i++) {
        if (brokers_of_publisher(file, &file->services[i]) == server)
            json_array_append_new(topics, topic_json(provision, server, &file->services[i], kept));
    }
    return privates_supervise(provision, server, part, "broker", topics, kept, error);
}
