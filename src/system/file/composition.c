/* SPDX-License-Identifier: Apache-2.0 */
/* Turns a composition of the system file into the form that the gateway reads
 * (docs/guide/gateway.md). */

#include "system/file/file.h"

static void set_composed_text(json_t *object, const char *name, const char *text)
{
    if (text)
        json_object_set_new(object, name, json_string(text));
}

static json_t *part_json(const struct system_part *part)
{
    json_t *item = json_object();
    set_composed_text(item, "name", part->name);
    set_composed_text(item, "get", part->get);
    set_composed_text(item, "each", part->each);
    set_composed_text(item, "id", part->id);
    if (part->required)
        json_object_set_new(item, "required", json_true());
    if (part->query)
        json_object_set_new(item, "query", json_true());
    if (part->timeout_ms)
        json_object_set_new(item, "timeout_ms", json_integer(part->timeout_ms));
    return item;
}

json_t *system_file_composition(const struct system_composition *composition)
{
    json_t *parts = json_array(), *item = json_object();
    for (size_t i = 0; i < composition->part_count; i++)
        json_array_append_new(parts, part_json(&composition->parts[i]));
    set_composed_text(item, "path", composition->path);
    json_object_set_new(item, "parts", parts);
    if (composition->deadline_ms)
        json_object_set_new(item, "deadline_ms", json_integer(composition->deadline_ms));
    return item;
}
