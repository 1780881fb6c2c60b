/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_OPERATORS_PARTS_H
#define SERVICE_OPERATORS_PARTS_H

/* What operators' routes share: how they read what was asked, and answer. */

#include <jansson.h>

#include "service/exchange.h"

/* Answers with `value` (stolen), or with the error. */
void operators_answer(struct exchange *exchange, enum fh_code code, json_t *value,
                      const struct fh_error *error);
/* The parameters of a GET. NULL: it has been answered. */
json_t *operators_query(struct exchange *exchange);
/* An integer parameter; *ret stays as it is if there is none. False: not an integer, or above
 * `most`. */
bool operators_number(const json_t *query, const char *name, int64_t most, int64_t *ret);
/* The body of a POST: an object. NULL: it has been answered. */
json_t *operators_body(struct exchange *exchange);

#endif
