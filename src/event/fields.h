/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_FIELDS_H
#define EVENT_FIELDS_H

/*
 * Which fields of an event's data a subscriber gets: "id,name" for every type, "UserUpdated:id" for
 * one, "UserUpdated@1:id" for one in version 1: with such an entry nothing else counts for that
 * version. Of a type without any entry it gets all data. Only top-level fields can be named.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"
#include "event/versions.h"

#define FIELDS_MAX 256

struct fields_entry {
    const char *type; /* not NUL-terminated; NULL: every type */
    size_t type_length;
    const char *name;
};

struct fields {
    int count;
    bool by_version; /* an entry is for one version */
    struct fields_entry entries[FIELDS_MAX];
};

/* From an array of strings, which is borrowed. False: an entry is empty or malformed, or there are
 * too many. */
bool fields_parse(const json_t *list, struct fields *ret);
/* Whether an entry applies to this type, which may be "TYPE@1". */
bool fields_entry_is_for(const struct fields_entry *entry, const char *type);
/* True when only part of this type's data is sent. */
bool fields_selects(const struct fields *fields, const char *type);
/* Where entries are for this version alone, "TYPE@1", in `out`; else `type`. That is the type for
 * fields_selects and fields_write. */
const char *fields_type(const struct fields *fields, const char *type, int version,
                        char out[static VERSIONS_TYPE_SIZE]);
/* Whether a member of this name is sent. */
bool fields_gives(const struct fields *fields, const char *type, const char *name);
/* Appends the selected members of `data`, unchanged and in their order. `data` is a JSON object as
 * json_text prints it. */
void fields_write(const struct fields *fields, const char *type, const char *data,
                  struct text *out);

#endif
