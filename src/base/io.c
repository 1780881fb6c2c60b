/* SPDX-License-Identifier: Apache-2.0 */
/* See io.h. */

#include "base/io.h"

#include <errno.h>
#include <unistd.h>

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
