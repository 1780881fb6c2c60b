/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_PROGRAM_FILE_H
#define SYSTEM_PROGRAM_FILE_H

/* Which file a program is, as far as a look tells without reading it: one that was replaced has
 * another inode, another time or another size. */

#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>

struct program_file {
    dev_t device;
    ino_t inode; /* 0: there is none */
    off_t size;
    struct timespec changed;
};

static inline struct program_file program_file_look(const char *path)
{
    struct stat status;
    if (!path || stat(path, &status) != 0)
        return (struct program_file){0};
    return (struct program_file){status.st_dev, status.st_ino, status.st_size, status.st_mtim};
}

static inline bool program_file_same(const struct program_file *one,
                                     const struct program_file *other)
{
    return one->device == other->device && one->inode == other->inode && one->size == other->size &&
           one->changed.tv_sec == other->changed.tv_sec &&
           one->changed.tv_nsec == other->changed.tv_nsec;
}

#endif
