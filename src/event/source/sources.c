/* SPDX-License-Identifier: Apache-2.0 */
/* The sources that a service reads: from its configuration, and what is reported of them. */

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "event/source/parts.h"

static enum fh_code read_source_options(struct event_source *source, const json_t *options,
                                        struct fh_error *error)
{
    const json_t *said = json_object_get(options, "source");
    json_int_t partitions = 1, generation = 1;
    const char *from = json_string_at(said, "from");
    json_integer_at(said, "partitions", &partitions);
    json_integer_at(said, "generation", &generation);
    source->topic = json_string_at(said, "topic");
    source->mapping.type = json_string_at(said, "type");
    source->mapping.key = json_string_at(said, "key");
    source->mapping.empty = json_string_at(said, "empty");
    source->from_end = from && strcmp(from, "end") == 0;
    if (!source->topic || strlen(source->topic) > SOURCE_TOPIC_LENGTH_MAX || partitions < 1 ||
        partitions > SOURCE_PARTITIONS_MAX || generation < 1 || generation > INT32_MAX)
        return error_set(error, FH_INVALID,
                         "The source %.64s lacks its topic, or its partitions or generation are "
                         "wrong.",
                         source->name);
    source->partitions = (unsigned)partitions;
    source->generation = (int)generation;
    return FH_OK;
}

enum fh_code source_add(struct event_manager *manager, const char *name, const json_t *options,
                        struct fh_error *error)
{
    struct event_source *source = calloc(1, sizeof *source);
    FH_ASSERT(source != NULL);
    source->bus = source_bus_slots;
    source->manager = manager;
    source->name = name;
    enum fh_code code = read_source_options(source, options, error);
    if (code == FH_OK)
        code = broker_link_of(manager, options, false, &source->link, error);
    if (code == FH_OK && !source->link->driver->attach)
        code = error_set(error, FH_UNSUPPORTED, "This freehold reads no topics of others by %s.",
                         source->link->driver->title);
    if (code != FH_OK) {
        free(source);
        return code;
    }
    source->mapping.driver = source->link->driver;
    source->mapping.name = name;
    source->lost_until = calloc(source->partitions, sizeof *source->lost_until);
    FH_ASSERT(source->lost_until != NULL);
    source->next = manager->sources;
    manager->sources = source;
    return FH_OK;
}

static const struct event_source *source_named(const struct event_manager *manager,
                                               const char *name)
{
    const struct event_source *source = manager->sources;
    while (source && strcmp(source->name, name) != 0)
        source = source->next;
    return source;
}

const struct bus *source_bus(const struct event_manager *manager, const char *name)
{
    const struct event_source *source = source_named(manager, name);
    return source ? &source->bus : NULL;
}

unsigned event_manager_source(const struct event_manager *manager, const char *name)
{
    const struct event_source *source = source_named(manager, name);
    return source ? source->partitions : 0;
}

void sources_free(struct event_manager *manager)
{
    while (manager->sources) {
        struct event_source *source = manager->sources;
        manager->sources = source->next;
        free(source->lost_until);
        free(source);
    }
}

json_t *sources_state(const struct event_manager *manager)
{
    json_t *list = json_array();
    for (const struct event_source *source = manager->sources; source; source = source->next) {
        const char *why = broker_link_fault(source->link);
        if (!why && *source->why)
            why = source->why;
        json_t *state =
            json_pack("{s:s, s:s, s:s, s:b, s:I, s:I, s:I}", "source", source->name, "bus",
                      source->link->driver->title, "topic", source->topic, "connected", !why,
                      "taken", (json_int_t)source->taken, "unreadable",
                      (json_int_t)source->unreadable, "lost", (json_int_t)source->lost);
        FH_ASSERT(state != NULL);
        if (why)
            json_object_set_new(state, "reason", json_string(why));
        json_array_append_new(list, state);
    }
    return list;
}
