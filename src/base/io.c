/* SPDX-License-Identifier: Apache-2.0 */
/* See io.h. */

#include "base/io.h"

#include <errno.h>
#include <unistd.h>

#define PORTION ((size_t)16 << 10)

bool io_write(int fd, const void *data, size_t length)
{
    for (const char *at = data; length > 0;) {
        ssize_t written = write(fd, at, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return false;
        at += written;
        length -= (size_t)written;
    }
    return true;
}

ssize_t io_read(int fd, void *buffer, size_t size)
{
    size_t length = 0;
    while (length < size) {
        ssize_t got = read(fd, (char *)buffer + length, size - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        length += (size_t)got;
    }
    return (ssize_t)length;
}

bool io_read_text(int fd, struct text *text)
{
    char portion[PORTION];
    ssize_t got;
    do {
        got = io_read(fd, portion, sizeof portion);
        if (got > 0)
            text_append(text, portion, (size_t)got);
    } while (got == (ssize_t)sizeof portion && !text->overflow);
    return got >= 0;
}
