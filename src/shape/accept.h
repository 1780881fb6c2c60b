/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHAPE_ACCEPT_H
#define SHAPE_ACCEPT_H

/*
 * Whether one shape accepts all that another one does, by their schemas (shape_schema): what a
 * change of a contract is judged by. Never yes where it is no; where it can't be told, as of two
 * different patterns, it is no.
 */

#include <jansson.h>
#include <stdbool.h>

#define SHAPE_DIFFERENCES_MAX 64

/* Who has to do with the values: that decides what a difference means. */
enum shape_use {
    SHAPE_TAKEN,       /* a body: the new shape must take what the old one did */
    SHAPE_TAKEN_QUERY, /* the same of parameters, which are texts */
    SHAPE_GIVEN        /* answers, events: those who read the old shape must be able to read the
                          new one; they ignore members that they don't know */
};

/* Whether each value of the old one is one of the new one, as `use` says whose. NULL is a schema
 * that accepts everything. If not, *ret (unless NULL) is the JSON Pointer of the first value that
 * may not be, malloc'ed: "/items/0/quantity". */
bool shape_accepts_all(const json_t *old_schema, const json_t *new_schema, enum shape_use use,
                       char **ret);

/*
 * What has changed, at most SHAPE_DIFFERENCES_MAX of each kind:
 *     [{"pointer": "/user_id", "rule": "required", "text": "is required now", "breaking": true}]
 * Breaking ones come first. Of what is given, members that are gone count, too, even if they were
 * optional, and those that are newly marked. New reference.
 *
 * Rules: "type", "values", "range", "length", "count", "format", "pattern", "digits", "required",
 * "unknown", "gone", "marked", "untold".
 */
json_t *shape_differences(const json_t *old_schema, const json_t *new_schema, enum shape_use use);

#endif
