/* SPDX-License-Identifier: Apache-2.0 */
/* Reaching files that belong to others, and opening its own to them. */

#define _GNU_SOURCE
#include "attack.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

ATTACK(open_to_read)
{
    int fd = open(text_argument(arguments, "path"), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int refused = outcome_of(fd);
    if (fd >= 0)
        close(fd);
    return refused;
}

ATTACK(open_to_write)
{
    int fd = open(text_argument(arguments, "path"), O_WRONLY | O_CLOEXEC | O_NONBLOCK);
    int refused = outcome_of(fd);
    if (fd >= 0)
        close(fd);
    return refused;
}
