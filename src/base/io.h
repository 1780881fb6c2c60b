/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_IO_H
#define BASE_IO_H

/* read(2) and write(2) of a blocking descriptor, carried on after a signal and after a part. */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/text.h"

/* False: not all of it was written, and errno says why. */
bool io_write(int fd, const void *data, size_t length);
/* What there is up to the end, `size` bytes at most; returns their number. -1: errno says why. */
ssize_t io_read(int fd, void *buffer, size_t size);
/* Appends all of it, unless that exceeds the text's bound (text.h: `overflow`): the rest is not
 * read then. False: errno says why. */
bool io_read_text(int fd, struct text *text);

#endif
