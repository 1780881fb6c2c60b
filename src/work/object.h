/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_OBJECT_H
#define WORK_OBJECT_H

/* What fh_object and fh_array make of their typed values (freehold/json.h), for handlers and for
 * users' tests. */

#include "base/error.h"
#include "freehold.h"

/* A new object, or NULL: FH_UNSUPPORTED with what is wrong with which member, or FH_NO_MEMORY.
 * take_over: the values' JSON goes over to it, even if it fails; otherwise it is borrowed. */
json_t *object_build(const struct fh_member_value *members, size_t count, bool take_over,
                     struct fh_error *error);
/* The same for an array. */
json_t *object_build_array(const struct fh_value *values, size_t count, bool take_over,
                           struct fh_error *error);

#endif
