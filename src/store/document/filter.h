/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_DOCUMENT_FILTER_H
#define STORE_DOCUMENT_FILTER_H

/* Filters, for the other files of this folder: the form is checked once, then the filter is matched
 * against many documents. */

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"

/* `filter` passed document_filter_check. NULL matches everything. */
bool document_matches_checked(const json_t *document, const json_t *filter);
/* Matches one value, not a document, against operators such as {"$gte": 5}; arrays are searched as
 * at the end of a path. For $pull. `operators` was checked. */
bool document_value_matches(const json_t *value, const json_t *operators);
/* Checks the form of such operators; `path` is for the message. */
enum fh_code document_operators_check(const json_t *operators, const char *path,
                                      struct fh_error *error);
/* True for {"$gte": 5}: an object whose first name begins with '$'. */
bool document_is_operators(const json_t *value);
/* True if that first name is $and, $or or $nor: operators on whole documents. */
bool document_is_logical(const json_t *value);

#endif
