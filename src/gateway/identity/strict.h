/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_IDENTITY_STRICT_H
#define GATEWAY_IDENTITY_STRICT_H

/* JSON that decides who somebody is: tokens, keys, and what a provider answers. */

#include <jansson.h>
#include <stddef.h>

#include "base/error.h"

/* json_parse for an object none of whose texts has a NUL (\u0000) inside: they are compared and
 * copied as C's strings, which would end there. FH_INVALID: a sentence with line and column. */
enum fh_code strict_object(const char *text, size_t length, json_t **ret, struct fh_error *error);

#endif
