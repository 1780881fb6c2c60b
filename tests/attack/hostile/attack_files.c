/* SPDX-License-Identifier: Apache-2.0 */
/* Reaching files that belong to others, and opening its own to them. */

#define _GNU_SOURCE
#include "attack.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
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

static int try_mode(int failed, const char *path, json_t *found)
{
    struct stat status;
    int refused = outcome_of(failed);
    if (stat(path, &status) == 0)
        json_object_set_new(found, "mode", json_integer(status.st_mode & 07777));
    return refused;
}

ATTACK(open_to_all)
{
    const char *path = text_argument(arguments, "path");
    return try_mode(chmod(path, 0777), path, found);
}

ATTACK(open_to_all_by_descriptor)
{
    const char *path = text_argument(arguments, "path");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int refused = try_mode(fchmod(fd, 0777), path, found);
    close(fd);
    return refused;
}

/* By the mask that new files' modes are taken from. */
ATTACK(make_open_file)
{
    const char *path = text_argument(arguments, "path");
    mode_t before = umask(0);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    int refused = try_mode(fd, path, found);
    if (fd >= 0)
        close(fd);
    unlink(path);
    umask(before);
    return refused;
}

ATTACK(give_away)
{
    return outcome_of(chown(text_argument(arguments, "path"), 65534, 65534));
}

/* A path that was only looked up, and opened by its number. */
ATTACK(open_again)
{
    char again[64];
    int fd = open(text_argument(arguments, "path"), O_PATH | O_CLOEXEC);
    if (fd < 0)
        return errno;
    snprintf(again, sizeof again, "/proc/self/fd/%d", fd);
    int opened = open(again, O_RDONLY | O_CLOEXEC);
    int refused = outcome_of(opened);
    close(fd);
    if (opened >= 0)
        close(opened);
    return refused;
}

/* By the file's own number, past all folders. */
ATTACK(open_by_handle)
{
    union {
        struct file_handle handle;
        char space[sizeof(struct file_handle) + MAX_HANDLE_SZ];
    } of = {.handle = {.handle_bytes = MAX_HANDLE_SZ}};
    int mount_id;
    if (name_to_handle_at(AT_FDCWD, text_argument(arguments, "path"), &of.handle, &mount_id, 0) !=
        0)
        return errno;
    int folder = open(text_argument(arguments, "folder"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = open_by_handle_at(folder, &of.handle, O_RDONLY | O_CLOEXEC);
    int refused = outcome_of(fd);
    close(folder);
    if (fd >= 0)
        close(fd);
    return refused;
}

/* Into its own folder, by a name of its own. */
ATTACK(link_here)
{
    const char *own = text_argument(arguments, "own");
    int refused = outcome_of(link(text_argument(arguments, "path"), own));
    unlink(own);
    return refused;
}

ATTACK(link_to_there)
{
    const char *own = text_argument(arguments, "own");
    if (symlink(text_argument(arguments, "path"), own) != 0)
        return errno;
    int fd = open(own, O_RDONLY | O_CLOEXEC);
    int refused = outcome_of(fd);
    if (fd >= 0)
        close(fd);
    unlink(own);
    return refused;
}

ATTACK(set_times)
{
    static const struct timespec times[2] = {{1, 0}, {1, 0}};
    return outcome_of(utimensat(AT_FDCWD, text_argument(arguments, "path"), times, 0));
}

/* Whatever text: into the log, past the runtime. */
ATTACK(write_log)
{
    const char *text = text_argument(arguments, "text");
    return outcome_of(write(STDERR_FILENO, text, strlen(text)));
}
