/* SPDX-License-Identifier: Apache-2.0 */
/* The pid is written by `up` after the start: killed in between, it leaves an empty file with a
 * lock, and the process ends by itself because its control descriptor is closed. */

#define _GNU_SOURCE
#include "system/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define PID_FILE "pid"

enum fh_code instance_lock(int folder_fd, int *ret_fd, struct fh_error *error)
{
    int fd = openat(folder_fd, PID_FILE, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "Cannot open the file 'pid'");
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 || ftruncate(fd, 0) != 0) {
        int number = errno;
        close(fd);
        if (number == EWOULDBLOCK)
            return error_set(error, FH_CONFLICT, "An earlier process still lives.");
        return error_set_errno(error, FH_UNAVAILABLE, number, "Cannot lock the file 'pid'");
    }
    *ret_fd = fd;
    return FH_OK;
}

void instance_record(int fd, pid_t pid)
{
    char text[32];
    int length = snprintf(text, sizeof text, "%d\n", (int)pid);
    if (pwrite(fd, text, (size_t)length, 0) != length)
        return; /* as if killed before: see above */
}

pid_t instance_survivor(int folder_fd)
{
    char text[32] = "";
    pid_t pid = 0;
    int fd = openat(folder_fd, PID_FILE, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return 0;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        ssize_t length = pread(fd, text, sizeof text - 1, 0);
        pid = length > 1 ? (pid_t)strtol(text, NULL, 10) : -1;
    }
    close(fd);
    return pid > 0 || pid == -1 ? pid : 0;
}
