/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMULATE_DISK_FILES_H
#define SIMULATE_DISK_FILES_H

/* What lies on a disk, for disk.c, the VFS, and copies. */

#include "simulate/disk.h"
#include "simulate/image.h"

#define DISK_PATH_SIZE 128
#define DISK_SHM_REGIONS_MAX 64
#define DISK_SHM_LOCKS SQLITE_SHM_NLOCK
#define DISK_LOCKS_MAX 4
#define DISK_SHARED_MAX 32 /* files of which some connection has locks or a WAL index */

struct disk_names {
    struct {
        char path[DISK_PATH_SIZE];
        struct image *image;
    } entries[SIMULATE_FILES_MAX];
    int count;
};

struct disk_change {
    struct disk_change *next;
    char from[DISK_PATH_SIZE], to[DISK_PATH_SIZE];
    struct image *image;
};

/* What the connections of one process share of a file: locks, and the WAL's index. */
struct disk_shared {
    char path[DISK_PATH_SIZE]; /* "": free */
    int files;                 /* that are open */
    int readers;               /* with at least a shared lock */
    const void *writer;        /* who holds more */
    int writer_level;
    int shm_users;
    void *regions[DISK_SHM_REGIONS_MAX];
    int region_count;
    int shared_locks[DISK_SHM_LOCKS];
    bool exclusive_locks[DISK_SHM_LOCKS];
};

struct disk_vfs {
    sqlite3_vfs base;
    char name[48];
    struct simulate_disk *disk;
    bool outside; /* nothing fails for it, and nobody crashes by it */
};

struct simulate_disk {
    struct simulate_node *node;
    struct disk_names seen, durable;
    struct disk_change *changes, **changes_last; /* of names, not durable */
    struct image *images;                        /* all */
    struct simulate_disk_faults faults;
    char locked[DISK_LOCKS_MAX][DISK_PATH_SIZE]; /* by the process; "": free */
    struct disk_vfs inside, outside;
    struct disk_shared shared[DISK_SHARED_MAX];
};

struct image *disk_find(const struct simulate_disk *disk, const char *path);
struct image *disk_make(struct simulate_disk *disk, const char *path);
/* `image` is what is moved. */
void disk_move(struct simulate_disk *disk, const char *from, const char *to, struct image *image);
bool disk_remove(struct simulate_disk *disk, const char *path);
void disk_sync_folder(struct simulate_disk *disk);
bool disk_read_fails(struct simulate_disk *disk);
bool disk_write_fails(struct simulate_disk *disk);
bool disk_is_full(struct simulate_disk *disk, const struct image *image, size_t size);
bool disk_sync(struct simulate_disk *disk, struct image *image, const char *path);
bool disk_sync_folder_fails(struct simulate_disk *disk, const char *folder);
void disk_power_fails(struct simulate_disk *disk);
void disk_free_unused(struct simulate_disk *disk); /* what has no name any more */
void disk_free_all(struct simulate_disk *disk);

/* vfs.c */
void disk_vfs_register(struct simulate_disk *disk);
void disk_vfs_unregister(struct simulate_disk *disk);
void disk_vfs_forget(struct simulate_disk *disk); /* locks and indexes die with the process */

#endif
