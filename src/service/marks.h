/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_MARKS_H
#define SERVICE_MARKS_H

/* Whether what a declaration marks (`.personal`, `.secret`, `.card`) can be kept as promised. */

#include <jansson.h>

#include "base/error.h"

/* `description`: what --describe prints. FH_INVALID with one sentence. The start of a service and
 * `freehold check` refuse what this refuses. Pure. */
enum fh_code marks_check(const json_t *description, struct fh_error *error);

/* Every marked field of a JSON Schema, of an object or of an array of objects: {"home.street":
 * "personal", "pin": "secret"}. A mark on a field is one on everything in it, which is not listed.
 * NULL as a schema: {}. New reference. */
json_t *marks_of_schema(const json_t *schema);

#endif
