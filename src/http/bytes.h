/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_BYTES_H
#define HTTP_BYTES_H

/* Which bytes may stand where in a request. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a byte may be part of. */
#define BYTE_TOKEN 1u  /* RFC 9110, 5.6.2 */
#define BYTE_VALUE 2u  /* of a header: visible, space, tab, and 0x80 to 0xff */
#define BYTE_TARGET 4u /* visible ASCII but '#' */
#define BYTE_HOST 8u   /* a name or an IPv4 address: RFC 3986's reg-name without ',' */
extern const uint8_t byte_classes[256];
/* The number of bytes from data[0] that all are of the class. */
size_t byte_span(const char *data, size_t length, unsigned kind);
/* The same for BYTE_VALUE, and faster. */
size_t value_span(const char *data, size_t length);
bool text_is_token(const char *text);

#endif
