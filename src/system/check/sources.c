/* SPDX-License-Identifier: Apache-2.0 */
/* Nobody describes what a source publishes, so little can be wrong before it comes. */

#include "system/check/sources.h"

#include <string.h>

#include "base/json.h"
#include "event/source/map.h"
#include "system/servers/brokers.h"

json_t *sources_map(struct system_file *file)
{
    json_t *map = json_array();
    for (size_t i = 0; i < file->source_count; i++) {
        const struct system_source *source = &file->sources[i];
        const struct system_server *server = system_source_server(file, source);
        if (server)
            json_array_append_new(
                map, json_pack("{s:s, s:s, s:s, s:s, s:i, s:s, s:o}", "source", source->name, "by",
                               server->broker, "server", server->name, "topic", source->topic,
                               "partitions", source->partitions, "from",
                               source->from_end ? "end" : "beginning", "subscribers",
                               brokers_subscribers(file, source->name)));
    }
    return map;
}

static bool can_have_type(const struct system_source *source, const char *type)
{
    return !source->type || source->type[0] == '/' || strcmp(source->type, type) == 0 ||
           (source->empty && strcmp(source->empty, type) == 0);
}

void sources_check_subscription(const struct system_source *source,
                                const struct system_service *service, const json_t *subscribed,
                                struct findings *findings)
{
    const char *type = json_string_at(subscribed, "type");
    if (type && !can_have_type(source, type))
        findings_error(findings, source->place,
                       "%s subscribes to %s of the source %s, whose messages are %s, as "
                       "sources.%s.type says",
                       service->name, type, source->name, source->type, source->name);
    if (json_is_true(json_object_get(subscribed, "snapshot")))
        findings_error(findings, source->place,
                       "%s subscribes to %s of %s with an upsert, but a source outside has no "
                       "state to resync with",
                       service->name, type ? type : "events", source->name);
    if (json_object_get(subscribed, "version"))
        findings_error(findings, source->place,
                       "%s subscribes to %s of %s in a version, but messages of a source outside "
                       "have none",
                       service->name, type ? type : "events", source->name);
}

void sources_check(struct system_file *file, struct findings *findings)
{
    for (size_t i = 0; i < file->source_count; i++) {
        json_t *readers = brokers_subscribers(file, file->sources[i].name);
        if (json_array_size(readers) == 0)
            findings_warning(findings, file->sources[i].place,
                             "no service subscribes to the source %s", file->sources[i].name);
        json_decref(readers);
    }
}
