/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SHAPE_PROBLEM_H
#define SHAPE_PROBLEM_H

/* Problem documents, RFC 9457: {"type": "about:blank", "title", "status", "detail", "errors"}. */

#include <jansson.h>

#define PROBLEM_CONTENT_TYPE "application/problem+json"

/* title is the status's standard phrase. detail may be NULL. errors (an array of faults) may be
 * NULL; its reference is not stolen. Returns a new reference. */
json_t *problem_new(int status, const char *detail, json_t *errors);
const char *problem_title(int status); /* "Not Found"; "Error" for an unknown status */

#endif
