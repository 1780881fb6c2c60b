/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMULATE_DISK_H
#define SIMULATE_DISK_H

/*
 * A node's disk, in memory: files that outlive its processes, with what a kernel and a drive do to
 * them. SQLite reaches it as a VFS, the store's own files through struct world_files.
 *
 * Of each file there is what readers see, what is durable, and the writes in between, in order. A
 * sync makes durable what had been written when it began. When the power goes, a drawn part of the
 * writes in between has reached the drive: none, all, a first part, or any; the last of them
 * perhaps torn. Names (made, moved, removed) are durable in order, as of the last sync of the
 * folder, but for a drawn first part of the rest.
 *
 * A sync that fails takes its writes with it: readers go on seeing them, the drive never will, as
 * on Linux since 4.13.
 */

#include <sqlite3.h>

#include "simulate/world.h"

#define SIMULATE_FILES_MAX 64
#define SIMULATE_SECTOR ((size_t)512)

/* What fails next; counts of operations to go, 0: does not. */
struct simulate_disk_faults {
    int64_t read_in, write_in, sync_in;
    size_t size_max; /* of all files together, 0: no bound; beyond it the disk is full */
};

struct simulate_disk *simulate_disk_new(struct simulate_node *node);
void simulate_disk_free(struct simulate_disk *disk);
/* Gives the process' world this disk as its files. */
void simulate_disk_attach(struct simulate_disk *disk, struct world *world);
void simulate_disk_crashed(struct simulate_disk *disk, enum simulate_crash how);
struct simulate_disk_faults *simulate_disk_faults(struct simulate_disk *disk);
size_t simulate_disk_size(const struct simulate_disk *disk);
/* A look from outside, by someone who is no process of the node: SQLite's VFS of the disk. */
const char *simulate_disk_vfs(const struct simulate_disk *disk);

/* All of its files as they are now; and back again, in place of all there are, while no process of
 * the node lives. */
struct simulate_copy;
struct simulate_copy *simulate_disk_copy(const struct simulate_disk *disk);
void simulate_disk_put_back(struct simulate_disk *disk, const struct simulate_copy *copy);
void simulate_copy_free(struct simulate_copy *copy);

/* One file, as somebody else on the machine finds it or lays it there, durably. */
bool simulate_disk_has(const struct simulate_disk *disk, const char *path);
/* malloc'ed, with a NUL after it; NULL: there is no such file. */
unsigned char *simulate_disk_take(const struct simulate_disk *disk, const char *path,
                                  size_t *ret_size);
void simulate_disk_lay(struct simulate_disk *disk, const char *path, const void *data, size_t size);

#endif
