/* SPDX-License-Identifier: Apache-2.0 */
/* Programs are opened with O_PATH, which needs no read permission and is enough to execute them. */

#define _GNU_SOURCE
#include "system/file/program_file.h"

#include <fcntl.h>
#include <unistd.h>

static struct program_file file_of_status(const struct stat *status)
{
    return (struct program_file){status->st_dev, status->st_ino, status->st_size, status->st_mtim};
}

struct program_file program_file_look(const char *path)
{
    struct stat status;
    if (!path || stat(path, &status) != 0)
        return (struct program_file){0};
    return file_of_status(&status);
}

bool program_file_same(const struct program_file *one, const struct program_file *other)
{
    return one->device == other->device && one->inode == other->inode && one->size == other->size &&
           one->changed.tv_sec == other->changed.tv_sec &&
           one->changed.tv_nsec == other->changed.tv_nsec;
}

struct program_held program_hold(const char *path)
{
    struct stat status;
    struct program_held held = {.fd = path ? open(path, O_PATH | O_CLOEXEC) : -1};
    if (held.fd < 0)
        return (struct program_held){0};
    if (fstat(held.fd, &status) == 0)
        held.file = file_of_status(&status);
    else
        close(held.fd);
    return held;
}

void program_release(struct program_held *held)
{
    if (held->file.inode)
        close(held->fd);
    *held = (struct program_held){0};
}

bool program_is_whole(const struct program_held *held)
{
    struct stat status;
    if (!held->file.inode || fstat(held->fd, &status) != 0)
        return false;
    struct program_file now = file_of_status(&status);
    return program_file_same(&now, &held->file);
}
