/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_FILE_PROGRAM_FILE_H
#define SYSTEM_FILE_PROGRAM_FILE_H

/* The identity of a program file as far as stat can tell without reading it: a replaced file has
 * another inode, modification time or size. */

#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>

struct program_file {
    dev_t device;
    ino_t inode; /* 0: there is no file */
    off_t size;
    struct timespec changed;
};

/* An open handle on a program that was checked: its processes can be started from it even after
 * another file has taken its name, or none has. Not if the file was overwritten in place. */
struct program_held {
    struct program_file file; /* inode 0: nothing is held */
    int fd;
};

struct program_file program_file_look(const char *path);
bool program_file_same(const struct program_file *one, const struct program_file *other);

/* Opens what is at `path` now; holds nothing if it can't be opened. */
struct program_held program_hold(const char *path);
void program_release(struct program_held *held);
/* The file is still as it was when it was opened. */
bool program_is_whole(const struct program_held *held);

#endif
