/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_MEDIA_H
#define HTTP_MEDIA_H

/* Media types, "text/csv" (RFC 9110, 8.3.1), and which of them a client accepts (12.5.1). Pure. */

#include <stdbool.h>
#include <stddef.h>

/* The longest, with its NUL. */
#define MEDIA_TYPE_SIZE 128

/* Lower case, without parameters, not "*". */
bool media_is_type(const char *text);
bool media_is_text(const char *type); /* text/... */
/* Whether a Content-Type (NULL: there is none) is application/json or one that ends with +json (RFC
 * 6839), whatever its parameters. */
bool media_is_json(const char *content_type);
/* Whether a Content-Type (NULL: there is none) is `type`, whatever its parameters; but text with a
 * charset other than UTF-8 and US-ASCII is not. */
bool media_fits(const char *content_type, const char *type);
/* Whether an Accept (NULL: there is none) takes `type`: the most precise of its ranges says so. */
bool media_accepted(const char *accept, const char *type);
bool media_is_utf8(const void *data, size_t length);

#endif
