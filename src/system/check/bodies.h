/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_CHECK_BODIES_H
#define SYSTEM_CHECK_BODIES_H

/*
 * What sagas send, by what their inputs can be: the names in paths and bodies are looked up in the
 * element, then in the input, as src/saga/definition.c does when a saga starts. Without a declared
 * input nothing is known of the values, only of the names that the receiver takes and needs.
 */

#include "system/file/file.h"

struct bodies_step {
    struct findings *findings;
    struct place place;
    const char *who;    /* "orders: saga place_order, step reserve" */
    const json_t *saga; /* as described */
    const json_t *step;
};

/* `each`, and where it goes outside. */
void bodies_check_sources(const struct bodies_step *by);
/* What it sends to the described route of a service, by its call or its undo; `path` is as it is
 * written there. */
void bodies_check(const struct bodies_step *by, const char *path, bool undo, const char *service,
                  const json_t *route);

#endif
