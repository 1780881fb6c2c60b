/* SPDX-License-Identifier: Apache-2.0 */
/* An event without its key is refused when it is published, and its handler ends with 500: so what
 * its shape says of the key is looked at before. */

#include "system/check/event_keys.h"

#include "base/json.h"
#include "system/check/fit.h"

static void check_key(const struct system_service *service, const char *type, const char *key,
                      const json_t *schema, struct findings *findings)
{
    const json_t *field;
    enum fit_there there = fit_find(schema, key, &field);
    unsigned types = field ? fit_types(field) : 0;
    const char *fault = there == FIT_NEVER                      ? "is no field of it"
                        : !field                                ? NULL
                        : !(types & (FIT_INTEGER | FIT_STRING)) ? "is no integer or text"
                                                                : NULL;
    const char *doubt = !field                   ? NULL
                        : there == FIT_SOMETIMES ? "absent: say in its shape that it is there"
                        : types & FIT_NULL       ? "null: say in its shape that it is not"
                                                 : NULL;
    if (fault)
        findings_error(findings, service->place, "%s publishes %s by the key '%s', which %s",
                       service->name, type, key, fault);
    else if (doubt)
        findings_warning(findings, service->place,
                         "%s publishes %s by the key '%s', and without it no event can be "
                         "published, but it may be %s",
                         service->name, type, key, doubt);
}

void event_keys_check(const struct system_service *service, struct findings *findings)
{
    size_t i;
    json_t *published;
    json_array_foreach (json_object_get(service->description, "publishes"), i, published) {
        const char *key = json_string_at(published, "key");
        const json_t *schema = json_object_get(published, "schema");
        if (key && *key && schema)
            check_key(service, json_string_at(published, "type"), key, schema, findings);
    }
}
