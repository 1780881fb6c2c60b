/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_FILE_PROGRAM_FILE_H
#define SYSTEM_FILE_PROGRAM_FILE_H

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

/* A program that was checked, open: its processes can be started from it when another file has
 * taken its name, or none has. Not when it was overwritten where it lies. */
struct program_held {
    struct program_file file; /* inode 0: none is held */
    int fd;
};

struct program_file program_file_look(const char *path);
bool program_file_same(const struct program_file *one, const struct program_file *other);

/* What is at `path` now; nothing, if it can't be opened. */
struct program_held program_hold(const char *path);
void program_release(struct program_held *held);
/* It is still what it was when it was opened. */
bool program_is_whole(const struct program_held *held);

#endif
