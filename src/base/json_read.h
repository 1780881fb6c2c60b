/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_JSON_READ_H
#define BASE_JSON_READ_H

/* For json.c alone. Reads a JSON text as jansson does, three times as fast. NULL: it is not valid,
 * has an integer of more than 64 bits, or there was no memory; jansson says which. New reference.
 */

#include <jansson.h>
#include <stddef.h>

json_t *json_read(const char *text, size_t length);

#endif
