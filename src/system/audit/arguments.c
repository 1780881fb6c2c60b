/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is recorded of an act's arguments. An argument is recorded if its name is known to stand for
 * nothing secret; of all others only that they were given. So a new argument is left out until it
 * is named here, and never recorded by mistake. The changed data of a parked event, the body of a
 * request and the like are never recorded.
 */

#include <string.h>

#include "base/json.h"
#include "system/audit/audit.h"

#define NOT_RECORDED "(not recorded)"
#define LIST_MAX 32
#define LISTED_LENGTH_MAX 64
#define ARGUMENTS_MAX 24

static const char *const recorded_names[] = {
    "abandon",  "action",   "all",     "by",     "encrypted", "file",      "folder",  "error",
    "force",    "forget",   "from",    "id",     "ids",       "instances", "key",     "keys",
    "left_out", "listen",   "matched", "method", "newer",     "older",     "path",    "position",
    "profile",  "services", "source",  "to",     "type",      "unsigned",  "version", "why",
};

json_t *audit_text(const char *text)
{
    size_t length = strlen(text);
    if (length > AUDIT_TEXT_LENGTH_MAX) {
        length = AUDIT_TEXT_LENGTH_MAX;
        while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80) /* within a character */
            length--;
    }
    json_t *value = json_stringn(text, length);
    return value ? value : json_string("(not UTF-8)");
}

static json_t *plain_argument(const json_t *value)
{
    if (json_is_string(value))
        return audit_text(json_string_value(value));
    if (json_is_number(value) || json_is_boolean(value))
        return json_deep_copy(value);
    return json_string(NOT_RECORDED);
}

static bool is_recorded(const char *name)
{
    for (size_t i = 0; i < sizeof recorded_names / sizeof *recorded_names; i++) {
        if (strcmp(recorded_names[i], name) == 0)
            return true;
    }
    return false;
}

/* One of several that a request names, by members of the same names. */
static json_t *listed_argument(const json_t *one)
{
    const char *name;
    json_t *recorded, *value;
    if (!json_is_object(one))
        return json_is_string(one) && json_string_length(one) > LISTED_LENGTH_MAX
                   ? json_string(NOT_RECORDED)
                   : plain_argument(one);
    recorded = json_object();
    json_object_foreach ((json_t *)(uintptr_t)one, name, value) {
        if (is_recorded(name))
            json_object_set_new(recorded, name, plain_argument(value));
    }
    return recorded;
}

static json_t *recorded_argument(const json_t *value)
{
    size_t i;
    json_t *one, *list;
    if (!json_is_array(value))
        return plain_argument(value);
    list = json_array();
    json_array_foreach ((json_t *)(uintptr_t)value, i, one) {
        if (i < LIST_MAX)
            json_array_append_new(list, listed_argument(one));
    }
    return list;
}

json_t *audit_arguments(const json_t *with)
{
    json_t *recorded = json_object(), *value;
    const char *name;
    int count = 0;
    json_object_foreach ((json_t *)(uintptr_t)with, name, value) {
        if (count++ < ARGUMENTS_MAX && strlen(name) <= AUDIT_WHAT_LENGTH_MAX)
            json_object_set_new(recorded, name,
                                is_recorded(name) ? recorded_argument(value)
                                                  : json_string(NOT_RECORDED));
    }
    return recorded;
}
