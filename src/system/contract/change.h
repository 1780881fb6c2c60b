/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_CONTRACT_CHANGE_H
#define SYSTEM_CONTRACT_CHANGE_H

/* For those who find changes (changes.h): adds them to a list. */

#include <jansson.h>
#include <stdbool.h>

#include "shape/accept.h"

struct changes {
    json_t *found; /* an array */
    const char *service;
    /* What the next ones are of; NULL or 0: nothing of the kind. */
    const char *kind, *name, *method, *path;
    json_int_t version;
};

void changes_add(struct changes *changes, bool breaking, const char *rule, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Of two shapes; NULL accepts everything. */
void changes_of_shapes(struct changes *changes, const char *part, const json_t *old,
                       const json_t *now, enum shape_use use);

#endif
