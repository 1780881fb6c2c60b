/* SPDX-License-Identifier: Apache-2.0 */
/* Collects findings. When the list is full, an error displaces a warning. */

#define _GNU_SOURCE
#include "system/file/findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/json.h"

void findings_release(struct findings *findings)
{
    for (size_t i = 0; i < findings->count; i++)
        free(findings->items[i].message);
    *findings = (struct findings){0};
}

static struct finding *findings_place(struct findings *findings, bool warning)
{
    if (findings->count < FINDINGS_MAX)
        return &findings->items[findings->count++];
    if (warning)
        return NULL;
    for (size_t i = FINDINGS_MAX; i-- > 0;) {
        if (findings->items[i].warning) {
            free(findings->items[i].message);
            return &findings->items[i];
        }
    }
    return NULL;
}

static void findings_add(struct findings *findings, bool warning, struct place place,
                         const char *format, va_list args) __attribute__((format(printf, 4, 0)));

static void findings_add(struct findings *findings, bool warning, struct place place,
                         const char *format, va_list args)
{
    struct finding *finding = findings_place(findings, warning);
    if (!finding)
        return;
    *finding = (struct finding){.warning = warning, .place = place};
    FH_ASSERT(vasprintf(&finding->message, format, args) >= 0);
}

void findings_error(struct findings *findings, struct place place, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    findings_add(findings, false, place, format, args);
    va_end(args);
    findings->errors++;
}

void findings_warning(struct findings *findings, struct place place, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    findings_add(findings, true, place, format, args);
    va_end(args);
    findings->warnings++;
}

json_t *findings_json(const struct findings *findings)
{
    json_t *errors = json_array(), *warnings = json_array();
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->items[i];
        json_t *item = json_object();
        if (finding->place.file)
            json_object_set_new(item, "file", json_string_lossy(finding->place.file));
        if (finding->place.line) {
            json_object_set_new(item, "line", json_integer(finding->place.line));
            json_object_set_new(item, "column", json_integer(finding->place.column));
        }
        json_object_set_new(item, "message", json_string_lossy(finding->message));
        json_array_append_new(finding->warning ? warnings : errors, item);
    }
    json_t *all = json_object();
    json_object_set_new(all, "errors", errors);
    json_object_set_new(all, "warnings", warnings);
    return all;
}
