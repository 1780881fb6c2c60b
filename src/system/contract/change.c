/* SPDX-License-Identifier: Apache-2.0 */
/* One change, as JSON. */

#define _GNU_SOURCE
#include "system/contract/change.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/json.h"

static void append_change(struct changes *changes, json_t *change)
{
    static const struct {
        const char *name;
        size_t at;
    } texts[] = {{"service", offsetof(struct changes, service)},
                 {"kind", offsetof(struct changes, kind)},
                 {"name", offsetof(struct changes, name)},
                 {"method", offsetof(struct changes, method)},
                 {"path", offsetof(struct changes, path)}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const char *text = *(const char *const *)((const char *)changes + texts[i].at);
        if (text)
            json_object_set_new(change, texts[i].name, json_string(text));
    }
    if (changes->version)
        json_object_set_new(change, "version", json_integer(changes->version));
    FH_ASSERT(json_array_append_new(changes->found, change) == 0);
}

void changes_add(struct changes *changes, bool breaking, const char *rule, const char *format, ...)
{
    char *text;
    va_list args;
    va_start(args, format);
    FH_ASSERT(vasprintf(&text, format, args) >= 0);
    va_end(args);
    json_t *change = json_pack("{s:s, s:s, s:s, s:o, s:b}", "part", "", "pointer", "", "rule", rule,
                               "text", json_string_lossy(text), "breaking", breaking);
    FH_ASSERT(change != NULL);
    append_change(changes, change);
    free(text);
}

void changes_of_shapes(struct changes *changes, const char *part, const json_t *old,
                       const json_t *now, enum shape_use use)
{
    json_t *all = shape_differences(old, now, use), *one;
    size_t i;
    json_array_foreach (all, i, one) {
        json_t *change = json_copy(one);
        FH_ASSERT(json_object_set_new(change, "part", json_string(part)) == 0);
        append_change(changes, change);
    }
    json_decref(all);
}
