/* SPDX-License-Identifier: Apache-2.0 */
/* What a service's configuration has of the events that it subscribes to. */

#include "system/provision/subscribed.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"

/* The publisher's present version of a type and those that it makes of it, by version. */
static json_t *version_schemas(const json_t *published)
{
    json_t *versions = json_object(), *downcast, *schema = json_object_get(published, "schema");
    json_int_t present = json_integer_value(json_object_get(published, "version"));
    char name[24];
    size_t i;
    snprintf(name, sizeof name, "%lld", (long long)(present ? present : 1));
    if (schema)
        json_object_set(versions, name, schema);
    json_array_foreach (json_object_get(published, "downcasts"), i, downcast) {
        snprintf(name, sizeof name, "%lld",
                 (long long)json_integer_value(json_object_get(downcast, "to")));
        json_object_set(versions, name, json_object_get(downcast, "schema"));
    }
    return versions;
}

static void add_subscribed(json_t *all, const char *source, const char *type, json_t *schema)
{
    if (!json_object_get(all, source))
        json_object_set_new(all, source, json_object());
    json_object_set(json_object_get(all, source), type, schema);
}

void subscribed_configure(struct system_file *file, const struct system_service *service,
                          json_t *config)
{
    json_t *all = json_object(), *versions = json_object(), *subscribed, *published;
    size_t i, j;
    json_array_foreach (json_object_get(service->description, "hears"), i, subscribed) {
        const char *source = json_string_at(subscribed, "service"),
                   *type = json_string_at(subscribed, "type");
        const struct system_service *publisher = source ? system_file_service(file, source) : NULL;
        if (!publisher || !type)
            continue;
        json_array_foreach (json_object_get(publisher->description, "publishes"), j, published) {
            const char *named = json_string_at(published, "type");
            json_t *schema = json_object_get(published, "schema");
            if (!named || strcmp(named, type) != 0)
                continue;
            json_t *by_version = version_schemas(published);
            if (schema)
                add_subscribed(all, source, type, schema);
            add_subscribed(versions, source, type, by_version);
            json_decref(by_version);
        }
    }
    json_object_set_new(config, "heard", all);
    json_object_set_new(config, "heard_versions", versions);
}
