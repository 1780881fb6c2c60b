/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_ID_H
#define BASE_ID_H

/* Time-ordered ids (RFC 9562, version 7) as 36 characters of text. Pure: the caller passes time and
 * randomness. */

#include <stdint.h>

#define ID_SIZE 37 /* includes the NUL */

void id_format(char out[static ID_SIZE], int64_t wall_ms, const unsigned char random[static 10]);
/* The wall clock's ms of such an id; 0: it is another text. */
int64_t id_time_ms(const char *id);

#endif
