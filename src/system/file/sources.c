/* SPDX-License-Identifier: Apache-2.0 */
/* A source is on a broker that is there already: on a private one nobody but the system's own
 * services may publish. */

#include "system/file/sources.h"

#include <string.h>

#include "broker/broker.h"
#include "event/source/bus.h"
#include "event/source/map.h"
#include "system/file/file.h"
#include "system/file/servers.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void read_source_server(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                               void *into)
{
    struct system_source *source = into;
    source->server = yaml_text(reader, node, what);
    source->server_place = reader->schema ? (struct place){0} : yaml_place(reader, node);
}

static const char *read_source_text(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                                    size_t length_max)
{
    const char *text = yaml_text(reader, node, what);
    if (text && strlen(text) > length_max)
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s is too long: %zu characters are the most", what, length_max);
    return text;
}

static void read_topic(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    ((struct system_source *)into)->topic =
        read_source_text(reader, node, what, SOURCE_TOPIC_LENGTH_MAX);
}

static void read_source_partitions(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                                   void *into)
{
    yaml_integer(reader, node, what, 1, SOURCE_PARTITIONS_MAX,
                 &((struct system_source *)into)->partitions);
}

static void read_generation(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                            void *into)
{
    yaml_integer(reader, node, what, 1, INT32_MAX, &((struct system_source *)into)->generation);
}

static void read_source_type(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                             void *into)
{
    ((struct system_source *)into)->type =
        read_source_text(reader, node, what, SOURCE_TYPE_LENGTH_MAX);
}

static void read_source_key(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                            void *into)
{
    struct system_source *source = into;
    source->key = read_source_text(reader, node, what, SOURCE_TYPE_LENGTH_MAX);
    if (source->key && source->key[0] != '/')
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s is not a JSON pointer: expected /MEMBER, as in /order/id", what);
}

static void read_empty(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    ((struct system_source *)into)->empty =
        read_source_text(reader, node, what, SOURCE_TYPE_LENGTH_MAX);
}

static void read_source_from(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                             void *into)
{
    static const char *const words[] = {"beginning", "end", NULL};
    ((struct system_source *)into)->from_end = yaml_word(reader, node, what, words, true) == 1;
}

static void read_source(struct yaml_reader *reader, yaml_node_t *key, const char *name,
                        yaml_node_t *value, const char *what, void *into)
{
    static const struct yaml_key keys[] = {
        {"server", read_source_server, true, "a broker under servers, with a host"},
        {"topic", read_topic, true, "what others publish to: a topic, a stream"},
        {"partitions", read_source_partitions, false, "that the topic has; default: 1"},
        {"type", read_source_type, false,
         "of its events, or /MEMBER that says it; default: messages are CloudEvents"},
        {"key", read_source_key, false, "/MEMBER of the data; default: the message's"},
        {"empty", read_empty, false, "the type of a message without data"},
        {"from", read_source_from, false, "where reading begins for the first time"},
        {"generation", read_generation, false, "raised to begin anew; default: 1"}};
    struct system_file *file = into;
    struct system_source *source = &file->sources[file->source_count++];
    *source = (struct system_source){
        .name = name, .place = yaml_place(reader, key), .partitions = 1, .generation = 1};
    yaml_read_mapping(reader, value, what, keys, COUNT(keys), source);
}

void file_read_sources(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    yaml_read_names(reader, node, what, SYSTEM_SOURCES_MAX, read_source, into);
}

static void settle_source(struct system_file *file, const struct system_source *source,
                          struct findings *findings)
{
    if (system_file_service(file, source->name))
        findings_error(findings, source->place,
                       "the source '%s' has the name of a service: services subscribe to either "
                       "by its name",
                       source->name);
    if (!source->server)
        return;
    const struct system_server *server = system_file_server(file, source->server);
    const struct broker_driver *driver =
        server && server->broker ? broker_driver_named(server->broker) : NULL;
    if (!server)
        file_report_no_bus(file, arena_printf(&file->arena, "sources.%s.server", source->name),
                           source->server, source->server_place, findings);
    else if (!server->broker && (server->engine || server->derived))
        findings_error(findings, source->server_place,
                       "sources.%s: the server '%s' is %s; expected a broker", source->name,
                       server->name, file_server_kind(&file->arena, server));
    else if (!server->address.host)
        findings_error(findings, source->server_place,
                       "sources.%s: nobody outside may publish on '%s', which is a private broker; "
                       "expected one that is there: host",
                       source->name, server->name);
    else if (driver && !driver->attach)
        findings_error(findings, source->server_place,
                       "sources.%s: this freehold reads no topics of others by %s", source->name,
                       driver->title);
}

void file_settle_sources(struct system_file *file, struct findings *findings)
{
    for (size_t i = 0; i < file->source_count; i++)
        settle_source(file, &file->sources[i], findings);
}

struct system_source *system_file_source(struct system_file *file, const char *name)
{
    for (size_t i = 0; i < file->source_count; i++) {
        if (strcmp(file->sources[i].name, name) == 0)
            return &file->sources[i];
    }
    return NULL;
}

struct system_server *system_source_server(struct system_file *file,
                                           const struct system_source *source)
{
    struct system_server *server = source->server ? system_file_server(file, source->server) : NULL;
    return server && server->broker && server->address.host ? server : NULL;
}
