/* SPDX-License-Identifier: Apache-2.0 */
/* Reads its orders at every point: a file read costs a test nothing, and a service need not be
 * restarted to be armed. Called from any thread. */

#define _GNU_SOURCE
#include "base/crash.h"

#ifdef FREEHOLD_CRASH_POINTS

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ORDER_SIZE 128

void crash_point(const char *name)
{
    static _Atomic long passed;
    char order[ORDER_SIZE];
    const char *path = getenv("FREEHOLD_CRASH");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    ssize_t length = read(fd, order, sizeof order - 1);
    close(fd);
    if (length <= 0)
        return;
    order[length] = '\0';
    size_t name_length = strcspn(order, ":\n");
    if (strlen(name) != name_length || strncmp(order, name, name_length) != 0)
        return;
    long wanted = order[name_length] == ':' ? strtol(order + name_length + 1, NULL, 10) : 1;
    if (atomic_fetch_add(&passed, 1) + 1 < wanted)
        return;
    if (wanted)
        unlink(path);
    else if ((fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC)) < 0 || write(fd, "\n", 1) != 1)
        abort();
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

#endif
