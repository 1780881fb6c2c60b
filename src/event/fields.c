/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Selects fields in the text itself: the data is copied as it was stored, without being parsed and
 * printed again. json_text printed it when it was published, so it is valid JSON without blanks;
 * even if it were not, the scan would end at its NUL.
 */

#include "event/fields.h"

#include <string.h>

bool fields_parse(const json_t *list, struct fields *ret)
{
    ret->count = 0;
    ret->by_version = false;
    if (json_array_size(list) > FIELDS_MAX)
        return false;
    size_t index;
    json_t *item;
    json_array_foreach (list, index, item) {
        const char *text = json_string_value(item);
        if (!text)
            return false;
        const char *colon = strchr(text, ':');
        struct fields_entry *entry = &ret->entries[ret->count++];
        *entry = (struct fields_entry){.name = colon ? colon + 1 : text};
        if (colon) {
            entry->type = text;
            entry->type_length = (size_t)(colon - text);
            ret->by_version |= versions_is_typed(text, entry->type_length);
        }
        if (colon == text || entry->name[0] == '\0')
            return false;
    }
    return true;
}

bool fields_entry_is_for(const struct fields_entry *entry, const char *type)
{
    return !entry->type || (strncmp(entry->type, type, entry->type_length) == 0 &&
                            type[entry->type_length] == '\0');
}

bool fields_selects(const struct fields *fields, const char *type)
{
    for (int i = 0; i < fields->count; i++) {
        if (fields_entry_is_for(&fields->entries[i], type))
            return true;
    }
    return false;
}

const char *fields_type(const struct fields *fields, const char *type, int version,
                        char out[static VERSIONS_TYPE_SIZE])
{
    if (!fields->by_version)
        return type;
    versions_type(out, type, version);
    for (int i = 0; i < fields->count; i++) {
        if (fields->entries[i].type && fields_entry_is_for(&fields->entries[i], out))
            return out;
    }
    return type;
}

static bool is_field_wanted(const struct fields *fields, const char *type, const char *name,
                            size_t length)
{
    for (int i = 0; i < fields->count; i++) {
        const struct fields_entry *entry = &fields->entries[i];
        if (fields_entry_is_for(entry, type) && strlen(entry->name) == length &&
            memcmp(entry->name, name, length) == 0)
            return true;
    }
    return false;
}

bool fields_gives(const struct fields *fields, const char *type, const char *name)
{
    return !fields_selects(fields, type) || is_field_wanted(fields, type, name, strlen(name));
}

/* The end of the string whose opening quote is at `at`. */
static const char *after_string(const char *at)
{
    for (at++; *at && *at != '"'; at++) {
        if (*at == '\\' && at[1])
            at++;
    }
    return *at ? at + 1 : at;
}

/* The end of the value that begins at `at`: the comma or bracket that ends it. */
static const char *after_value(const char *at)
{
    int depth = 0;
    while (*at) {
        if (*at == '"') {
            at = after_string(at);
            continue;
        }
        if (depth == 0 && (*at == ',' || *at == '}' || *at == ']'))
            break;
        if (*at == '{' || *at == '[')
            depth++;
        else if (*at == '}' || *at == ']')
            depth--;
        at++;
    }
    return at;
}

void fields_write(const struct fields *fields, const char *type, const char *data, struct text *out)
{
    bool first = true;
    const char *at = data;
    text_add(out, "{");
    while ((*at == '{' || *at == ',') && at[1] == '"') {
        const char *member = at + 1;
        const char *colon = after_string(member);
        if (*colon != ':')
            break;
        at = after_value(colon + 1);
        if (is_field_wanted(fields, type, member + 1, (size_t)(colon - member) - 2)) {
            if (!first)
                text_add(out, ",");
            text_append(out, member, (size_t)(at - member));
            first = false;
        }
    }
    text_add(out, "}");
}
