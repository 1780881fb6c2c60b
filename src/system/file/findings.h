/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_FILE_FINDINGS_H
#define SYSTEM_FILE_FINDINGS_H

/*
 * The faults found in a system file or its programs: errors and warnings, each one sentence and the
 * place it is about. They are collected rather than returned one at a time, so that several can be
 * fixed at once. At most FINDINGS_MAX are kept; all are counted.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define FINDINGS_MAX 20

struct place {
    const char *file; /* borrowed; NULL: no place */
    int line, column; /* from 1; 0: the file as a whole */
};

struct finding {
    bool warning;
    struct place place;
    char *message;
};

struct findings {
    struct finding items[FINDINGS_MAX];
    size_t count;
    size_t errors, warnings; /* all, including those not kept */
};

void findings_release(struct findings *findings);
void findings_error(struct findings *findings, struct place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void findings_warning(struct findings *findings, struct place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* {"errors": [{"file", "line", "column", "message"}], "warnings": [...]}. New reference. */
json_t *findings_json(const struct findings *findings);

#endif
