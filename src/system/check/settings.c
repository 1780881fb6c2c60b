/* SPDX-License-Identifier: Apache-2.0 */
/* The shape is made of the schema that the program described itself with, so one text says what is
 * expected here and there. Values may be secrets: a finding has their places alone. */

#include "system/check/settings.h"

#include "base/json.h"
#include "shape/shape.h"

#define SETTINGS_SHAPE_SIZE_MAX ((size_t)1 << 20)

void settings_check(const struct system_service *service, struct findings *findings)
{
    static const fh_field nothing[] = {{0}};
    const json_t *schema = json_object_get(service->description, "settings");
    struct arena arena;
    size_t i;
    json_t *fault;
    if (!service->description)
        return;
    arena_init(&arena, SETTINGS_SHAPE_SIZE_MAX);
    const fh_field *shape = schema ? shape_of_schema(&arena, schema) : nothing;
    json_t *faults = shape && service->settings ? shape_check(shape, service->settings) : NULL;
    json_array_foreach (faults, i, fault) {
        const char *where = json_string_at(fault, "pointer");
        bool inside = where && *where;
        findings_error(findings, service->settings_place, "%s's settings are wrong%s%s: %s",
                       service->name, inside ? " at " : "", inside ? where : "",
                       json_string_at(fault, "detail"));
    }
    json_decref(faults);
    arena_release(&arena);
}

void settings_check_all(const struct system_file *file, struct findings *findings)
{
    for (size_t i = 0; i < file->service_count; i++)
        settings_check(&file->services[i], findings);
}
