/* SPDX-License-Identifier: Apache-2.0 */
/* The owner of /proc/PID is no evidence of a process's user: for one that is not dumpable it is
 * root. proc_pid_stat(5), proc_pid_status(5). */

#define _GNU_SOURCE
#include "system/supervise/being.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"

/* The fields of /proc/PID/stat behind the name, from 0. */
enum { FIELD_STATE, FIELD_PARENT, FIELD_SESSION = 3, FIELD_START = 19 };

static bool read_of_being(pid_t pid, const char *name, char *ret, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, ret, size - 1) : -1;
    /* One that may not even be looked at (hidepid, proc(5)) is none of ours. */
    bool none = length == 0 || errno == ENOENT || errno == EACCES || errno == EPERM;
    int number = none ? ESRCH : errno;
    if (fd >= 0)
        close(fd);
    ret[length > 0 ? length : 0] = '\0';
    errno = number;
    return length > 0;
}

static bool read_stat(pid_t pid, struct being *ret)
{
    char text[1024];
    if (!read_of_being(pid, "stat", text, sizeof text))
        return false;
    char *rest = strrchr(text, ')'), *word;
    errno = ESRCH;
    if (!rest)
        return false;
    rest += strspn(rest, ") ");
    for (int field = FIELD_STATE; (word = strsep(&rest, " ")); field++) {
        if (field == FIELD_STATE && strpbrk(word, "ZX"))
            return false;
        if (field == FIELD_PARENT)
            ret->parent = (pid_t)strtol(word, NULL, 10);
        if (field == FIELD_SESSION)
            ret->session = (pid_t)strtol(word, NULL, 10);
        if (field == FIELD_START) {
            ret->start = strtoull(word, NULL, 10);
            return true;
        }
    }
    return false;
}

bool being_look(pid_t pid, struct being *ret)
{
    char text[4096];
    *ret = (struct being){.pid = pid};
    if (!read_stat(pid, ret) || !read_of_being(pid, "status", text, sizeof text))
        return false;
    const char *user = strstr(text, "\nUid:\t");
    errno = ESRCH;
    if (!user)
        return false;
    ret->user = (uid_t)strtoul(user + strlen("\nUid:\t"), NULL, 10);
    return true;
}

bool being_is(const struct being *one, const struct being *other)
{
    return one->pid == other->pid && one->start == other->start && one->user == other->user;
}

bool being_signal(const struct being *being, int number)
{
    struct being now;
    int pidfd = (int)syscall(SYS_pidfd_open, being->pid, 0);
    if (pidfd < 0 && errno == ESRCH)
        return false;
    bool seen = being_look(being->pid, &now), unknown = !seen && errno != ESRCH;
    bool same = seen && being_is(&now, being);
    if (same && number && pidfd >= 0)
        syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0);
    else if (same && number)
        kill(being->pid, number); /* a kernel without pidfds */
    if (pidfd >= 0)
        close(pidfd);
    return same || unknown;
}

struct being *being_all(size_t *ret_count, bool *ret_whole)
{
    size_t size = 256;
    struct being *all = malloc(size * sizeof *all);
    FH_ASSERT(all != NULL);
    *ret_count = 0;
    DIR *folder = opendir("/proc");
    const struct dirent *entry;
    *ret_whole = folder != NULL;
    while (folder && (entry = readdir(folder))) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10); /* 0: no process's */
        if (pid <= 0)
            continue;
        if (!being_look(pid, &all[*ret_count])) {
            *ret_whole = *ret_whole && errno == ESRCH;
            continue;
        }
        if (++*ret_count == size) {
            size *= 2;
            all = realloc(all, size * sizeof *all);
            FH_ASSERT(all != NULL);
        }
    }
    if (folder)
        closedir(folder);
    return all;
}

bool being_is_in(const struct being *being, const char *folder)
{
    char path[64], found[PATH_MAX];
    snprintf(path, sizeof path, "/proc/%d/cwd", (int)being->pid);
    ssize_t length = readlink(path, found, sizeof found - 1);
    found[length > 0 ? length : 0] = '\0';
    return length > 0 && strcmp(found, folder) == 0;
}

/* Its main thread, which sends the heartbeats, is runnable (R) or waits for a disk (D);
 * proc_pid_stat(5). A stopped one (T), or one that waits for anything else (S), has no such
 * excuse. */
bool being_waits_for_the_machine(pid_t pid)
{
    char path[32], text[128];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
    if (fd >= 0)
        close(fd);
    text[length > 0 ? length : 0] = '\0';
    const char *after_name = strrchr(text, ')');
    return after_name && (strncmp(after_name, ") R", 3) == 0 || strncmp(after_name, ") D", 3) == 0);
}
