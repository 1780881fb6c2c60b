/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_ID_H
#define BASE_ID_H

/* Time-ordered ids, RFC 9562 version 7, as 36 characters of text. Pure: time and randomness are
 * given. */

#include <stdint.h>

#define ID_SIZE 37 /* with the NUL */

void id_format(char out[static ID_SIZE], int64_t wall_ms, const unsigned char random[static 10]);

#endif
