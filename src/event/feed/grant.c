/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked for is compared with the grants, field by field; nothing is cut down silently,
 * since a subscriber that lacks a field it counts on would apply the event wrongly and go on. A
 * refused one asks again later, and has lost nothing. */

#include "event/feed/grant.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "event/outbox/subscribers.h"
#include "event/versions.h"

/* The next grant of this kind from *at on: its "TYPE" or "TYPE:field,field". NULL: no more. */
static const char *next_granted(const struct event_grant *grant, const char *kind, size_t *at)
{
    size_t length = strlen(kind);
    while (*at < json_array_size(grant->grants)) {
        const char *text = json_string_value(json_array_get(grant->grants, (*at)++));
        if (text && strncmp(text, kind, length) == 0 && text[length] == ' ')
            return text + length + 1;
    }
    return NULL;
}

/* What follows the type in a grant for it: "" or ":field,field". NULL: it is for another one. */
static const char *granted_fields(const char *granted, const char *type)
{
    size_t length = strlen(type);
    if (strncmp(granted, type, length) != 0 || (granted[length] && granted[length] != ':'))
        return NULL;
    return granted + length;
}

static bool list_names_field(const char *list, const char *field)
{
    size_t length = strlen(field);
    while (*list) {
        size_t item = strcspn(list, ",");
        if (item == length && strncmp(list, field, length) == 0)
            return true;
        list += item + (list[item] != '\0');
    }
    return false;
}

/* `field` NULL: all of the type's data. */
static bool field_is_granted(const struct event_grant *grant, const char *kind, const char *type,
                             const char *field)
{
    size_t at = 0;
    const char *granted;
    while ((granted = next_granted(grant, kind, &at))) {
        const char *fields = granted_fields(granted, type);
        if (fields && (!*fields || (field && list_names_field(fields + 1, field))))
            return true;
    }
    return false;
}

static void tell_granted_fields(const struct event_grant *grant, const char *kind, const char *type,
                                struct text *why)
{
    size_t at = 0;
    const char *granted, *separator = "";
    while ((granted = next_granted(grant, kind, &at))) {
        const char *fields = granted_fields(granted, type);
        if (fields && *fields) {
            text_printf(why, "%s%s", separator, fields + 1);
            separator = ",";
        }
    }
}

static bool judge_type(const struct event_grant *grant, const char *kind, const char *type,
                       const struct fields *fields, struct text *why)
{
    size_t at = 0;
    const char *granted;
    bool known = false, all = !fields_selects(fields, type);
    while (!known && (granted = next_granted(grant, kind, &at)))
        known = granted_fields(granted, type) != NULL;
    if (!known) {
        text_printf(why,
                    "%s was not granted the %s of %s: its program does not declare that it "
                    "subscribes to %s.",
                    grant->caller, kind, type, strcmp(kind, GRANT_STATE) == 0 ? "it" : "them");
        return false;
    }
    if (all && !field_is_granted(grant, kind, type, NULL)) {
        text_printf(why, "%s asks for all fields of %s, and was granted only ", grant->caller,
                    type);
        tell_granted_fields(grant, kind, type, why);
        text_add(why, ": name them in `fields`.");
        return false;
    }
    for (int i = 0; i < fields->count; i++) {
        const struct fields_entry *entry = &fields->entries[i];
        if (fields_entry_is_for(entry, type) && !field_is_granted(grant, kind, type, entry->name)) {
            text_printf(why,
                        "%s was not granted the field %s of %s: its program does not declare that "
                        "it needs that.",
                        grant->caller, entry->name, type);
            return false;
        }
    }
    return true;
}

/* The fields that are asked for of single versions of types: "UserUpdated@1:id". Who has all of a
 * type has all of each version. */
static bool judge_versions(const struct event_grant *grant, const char *kind,
                           const struct fields *fields, struct text *why)
{
    for (int i = 0; fields->by_version && i < fields->count; i++) {
        const struct fields_entry *entry = &fields->entries[i];
        char type[VERSIONS_TYPE_SIZE];
        if (!entry->type || !versions_is_typed(entry->type, entry->type_length))
            continue;
        bool whole = entry->type_length < sizeof type;
        snprintf(type, sizeof type, "%.*s", (int)entry->type_length, entry->type);
        bool may = whole && field_is_granted(grant, kind, type, entry->name);
        if (whole && !may) {
            *strrchr(type, '@') = '\0';
            may = field_is_granted(grant, kind, type, NULL);
        }
        if (!may) {
            text_printf(why,
                        "%s was not granted the field %s of %.*s: its program does not declare "
                        "that it needs that.",
                        grant->caller, entry->name, (int)entry->type_length, entry->type);
            return false;
        }
    }
    return true;
}

static json_t *all_granted_types(const struct event_grant *grant, const char *kind)
{
    json_t *types = json_array();
    size_t at = 0;
    const char *granted;
    while ((granted = next_granted(grant, kind, &at))) {
        size_t length = strcspn(granted, ":");
        if (!versions_is_typed(granted, length))
            json_array_append_new(types, json_stringn(granted, length));
    }
    return types;
}

bool grant_judge_name(const struct event_grant *grant, const char *name, struct text *why)
{
    if (name && strncmp(name, SUBSCRIBERS_OWN, sizeof SUBSCRIBERS_OWN - 1) == 0) {
        text_printf(why, "`name` can't begin with " SUBSCRIBERS_OWN
                         ": no subscriber has such a name, but what Freehold keeps of its own.");
        return false;
    }
    if (!grant || !grant->caller || !name)
        return true;
    size_t length;
    subscribers_rebuilds(name, &length);
    if (strlen(grant->caller) == length && memcmp(name, grant->caller, length) == 0)
        return true;
    text_printf(why, "`name` says whose place is recorded: %s can't read as another one.",
                grant->caller);
    return false;
}

bool grant_judge(const struct event_grant *grant, const char *kind, const json_t *types,
                 const struct fields *fields, json_t **ret_types, struct text *why)
{
    size_t i;
    json_t *type;
    *ret_types = json_incref((json_t *)(uintptr_t)types);
    if (!grant || !grant->caller)
        return true;
    if (!judge_versions(grant, kind, fields, why)) {
        json_decref(*ret_types);
        *ret_types = NULL;
        return false;
    }
    if (json_array_size(types) == 0) {
        json_decref(*ret_types);
        *ret_types = all_granted_types(grant, kind);
    }
    json_array_foreach (*ret_types, i, type) {
        if (!judge_type(grant, kind, json_string_value(type), fields, why)) {
            json_decref(*ret_types);
            *ret_types = NULL;
            return false;
        }
    }
    return true;
}

/* `what` is of this kind, and covered. */
static bool kind_is_covered(const struct event_grant *grant, const char *kind, const char *what)
{
    char type[256], field[256];
    size_t length = strlen(kind);
    if (strncmp(what, kind, length) != 0 || what[length] != ' ')
        return false;
    const char *at = what + length + 1, *end = at + strcspn(at, ":");
    if ((size_t)snprintf(type, sizeof type, "%.*s", (int)(end - at), at) >= sizeof type)
        return false;
    if (!*end)
        return field_is_granted(grant, kind, type, NULL);
    for (at = end + 1; *at; at = end + (*end != '\0')) {
        end = at + strcspn(at, ",");
        if ((size_t)snprintf(field, sizeof field, "%.*s", (int)(end - at), at) >= sizeof field ||
            !field_is_granted(grant, kind, type, field))
            return false;
    }
    return true;
}

bool grant_covers(const json_t *grants, const char *what)
{
    const struct event_grant grant = {.grants = grants};
    size_t i;
    json_t *one;
    json_array_foreach (grants, i, one) {
        const char *text = json_string_value(one);
        if (text && strcmp(text, what) == 0)
            return true;
    }
    return kind_is_covered(&grant, GRANT_EVENTS, what) ||
           kind_is_covered(&grant, GRANT_STATE, what);
}
