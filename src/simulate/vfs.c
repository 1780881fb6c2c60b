/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite's VFS over a simulated disk. Two are registered a disk: `inside` for the node's process,
 * where operations fail, wait and may be the process' last; `outside` for who checks the books.
 *
 * Connections of one process share locks and the WAL's index as SQLite's unix VFS lets them; the
 * index is memory, nothing is mapped from files. A job's sync waits for a drawn time, and so do
 * some of its writes: meanwhile other fibers of the node read. Between the parts of a change to
 * the index nothing waits.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "simulate/disk_files.h"

#define WRITE_WAITS 60000 /* in a million */
#define WRITE_NS_MAX ((int64_t)200000)

struct disk_file {
    sqlite3_file base;
    struct disk_vfs *vfs;
    struct image *image;
    struct disk_shared *shared;
    int level;
    bool has_index, delete_on_close, sync_folder;
    unsigned shared_mask, exclusive_mask;
    char path[DISK_PATH_SIZE];
};

static struct disk_file *disk_file_of(sqlite3_file *base)
{
    return (struct disk_file *)base;
}

/* ---- what is shared ---- */

static struct disk_shared *shared_take(struct simulate_disk *disk, const char *path)
{
    struct disk_shared *spare = NULL;
    for (int i = 0; i < DISK_SHARED_MAX; i++) {
        struct disk_shared *shared = &disk->shared[i];
        if (strcmp(shared->path, path) == 0) {
            shared->files++;
            return shared;
        }
        if (!shared->path[0] && !spare)
            spare = shared;
    }
    FH_ASSERT(spare != NULL);
    snprintf(spare->path, sizeof spare->path, "%s", path);
    spare->files = 1;
    return spare;
}

static void index_release(struct disk_shared *shared)
{
    for (int i = 0; i < shared->region_count; i++)
        free(shared->regions[i]);
    shared->region_count = 0;
}

static void shared_leave(struct disk_shared *shared)
{
    if (--shared->files)
        return;
    index_release(shared);
    memset(shared, 0, sizeof *shared);
}

void disk_vfs_forget(struct simulate_disk *disk)
{
    for (int i = 0; i < DISK_SHARED_MAX; i++) {
        index_release(&disk->shared[i]);
        memset(&disk->shared[i], 0, sizeof disk->shared[i]);
    }
}

/* ---- reading and writing ---- */

static int disk_file_read(sqlite3_file *base, void *buffer, int length, sqlite3_int64 at)
{
    struct disk_file *file = disk_file_of(base);
    if (!file->vfs->outside && disk_read_fails(file->vfs->disk))
        return SQLITE_IOERR_READ;
    size_t got = image_read(file->image, buffer, (size_t)length, (size_t)at);
    return got == (size_t)length ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int disk_file_write(sqlite3_file *base, const void *data, int length, sqlite3_int64 at)
{
    struct disk_file *file = disk_file_of(base);
    struct simulate_disk *disk = file->vfs->disk;
    if (!file->vfs->outside) {
        simulate_node_step(disk->node);
        if (disk_is_full(disk, file->image, (size_t)at + (size_t)length))
            return SQLITE_FULL;
        if (disk_write_fails(disk))
            return SQLITE_IOERR_WRITE;
        if (simulate_node_in_job(disk->node) && simulate_chance(disk->node->simulate, WRITE_WAITS))
            simulate_node_wait(disk->node, simulate_between(disk->node->simulate, 0, WRITE_NS_MAX));
    }
    image_write(file->image, data, (size_t)length, (size_t)at);
    return SQLITE_OK;
}

static int disk_file_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    struct disk_file *file = disk_file_of(base);
    if (!file->vfs->outside)
        simulate_node_step(file->vfs->disk->node);
    image_resize(file->image, (size_t)size);
    return SQLITE_OK;
}

static int disk_file_sync(sqlite3_file *base, int flags)
{
    (void)flags;
    struct disk_file *file = disk_file_of(base);
    struct simulate_disk *disk = file->vfs->disk;
    if (file->vfs->outside) {
        image_sync(file->image, SIZE_MAX);
        return SQLITE_OK;
    }
    simulate_node_step(disk->node);
    if (!disk_sync(disk, file->image, file->path))
        return SQLITE_IOERR_FSYNC;
    if (file->sync_folder)
        disk_sync_folder(disk);
    file->sync_folder = false;
    simulate_node_step(disk->node);
    return SQLITE_OK;
}

static int disk_file_size(sqlite3_file *base, sqlite3_int64 *ret)
{
    *ret = (sqlite3_int64)disk_file_of(base)->image->seen.size;
    return SQLITE_OK;
}

/* ---- locks of the file ---- */

static int disk_file_lock(sqlite3_file *base, int level)
{
    struct disk_file *file = disk_file_of(base);
    struct disk_shared *shared = file->shared;
    if (file->level >= level)
        return SQLITE_OK;
    bool others_write = shared->writer && shared->writer != file;
    if (level == SQLITE_LOCK_SHARED) {
        if (others_write && shared->writer_level >= SQLITE_LOCK_PENDING)
            return SQLITE_BUSY;
        shared->readers++;
    } else {
        if (others_write)
            return SQLITE_BUSY;
        shared->writer = file;
        if (level == SQLITE_LOCK_EXCLUSIVE && shared->readers > 1) {
            file->level = shared->writer_level = SQLITE_LOCK_PENDING;
            return SQLITE_BUSY;
        }
        shared->writer_level = level;
    }
    file->level = level;
    return SQLITE_OK;
}

static int disk_file_unlock(sqlite3_file *base, int level)
{
    struct disk_file *file = disk_file_of(base);
    struct disk_shared *shared = file->shared;
    if (file->level <= level)
        return SQLITE_OK;
    if (shared->writer == file) {
        shared->writer = NULL;
        shared->writer_level = SQLITE_LOCK_NONE;
    }
    if (level == SQLITE_LOCK_NONE)
        shared->readers--;
    file->level = level;
    return SQLITE_OK;
}

static int disk_file_check_reserved_lock(sqlite3_file *base, int *ret)
{
    *ret = disk_file_of(base)->shared->writer != NULL;
    return SQLITE_OK;
}

static int disk_file_control(sqlite3_file *base, int operation, void *argument)
{
    (void)base;
    (void)operation;
    (void)argument;
    return SQLITE_NOTFOUND;
}

static int disk_file_sector_size(sqlite3_file *base)
{
    (void)base;
    return (int)SIMULATE_SECTOR;
}

static int disk_file_characteristics(sqlite3_file *base)
{
    (void)base;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE; /* a torn write spoils nothing beside itself */
}

/* ---- the WAL's index ---- */

static int disk_index_map(sqlite3_file *base, int number, int size, int extend, void volatile **ret)
{
    struct disk_file *file = disk_file_of(base);
    struct disk_shared *shared = file->shared;
    *ret = NULL;
    if (!file->has_index)
        shared->shm_users++;
    file->has_index = true;
    if (number >= shared->region_count && !extend)
        return SQLITE_OK;
    if (number >= DISK_SHM_REGIONS_MAX)
        return SQLITE_NOMEM;
    while (shared->region_count <= number) {
        void *region = calloc(1, (size_t)size);
        if (!region)
            return SQLITE_NOMEM;
        shared->regions[shared->region_count++] = region;
    }
    *ret = shared->regions[number];
    return SQLITE_OK;
}

static bool index_is_free(const struct disk_shared *shared, int at, bool exclusive)
{
    return !shared->exclusive_locks[at] && (!exclusive || shared->shared_locks[at] == 0);
}

static int disk_index_lock(sqlite3_file *base, int offset, int count, int flags)
{
    struct disk_file *file = disk_file_of(base);
    struct disk_shared *shared = file->shared;
    bool exclusive = (flags & SQLITE_SHM_EXCLUSIVE) != 0, lock = (flags & SQLITE_SHM_LOCK) != 0;
    unsigned *mask = exclusive ? &file->exclusive_mask : &file->shared_mask;
    for (int i = offset; lock && i < offset + count; i++) {
        if (!(*mask & 1u << i) && !index_is_free(shared, i, exclusive))
            return SQLITE_BUSY;
    }
    for (int i = offset; i < offset + count; i++) {
        unsigned bit = 1u << i;
        if (((*mask & bit) != 0) == lock)
            continue;
        *mask ^= bit;
        if (exclusive)
            shared->exclusive_locks[i] = lock;
        else
            shared->shared_locks[i] += lock ? 1 : -1;
    }
    return SQLITE_OK;
}

static void disk_index_barrier(sqlite3_file *base)
{
    (void)base; /* one thread */
}

static int disk_index_unmap(sqlite3_file *base, int remove_it)
{
    struct disk_file *file = disk_file_of(base);
    (void)remove_it; /* it is memory, and ends with its last user */
    if (!file->has_index)
        return SQLITE_OK;
    disk_index_lock(base, 0, DISK_SHM_LOCKS, SQLITE_SHM_UNLOCK | SQLITE_SHM_SHARED);
    disk_index_lock(base, 0, DISK_SHM_LOCKS, SQLITE_SHM_UNLOCK | SQLITE_SHM_EXCLUSIVE);
    file->has_index = false;
    if (--file->shared->shm_users == 0)
        index_release(file->shared);
    return SQLITE_OK;
}

static int disk_file_close(sqlite3_file *base)
{
    struct disk_file *file = disk_file_of(base);
    disk_index_unmap(base, 0);
    disk_file_unlock(base, SQLITE_LOCK_NONE);
    shared_leave(file->shared);
    if (file->delete_on_close)
        disk_remove(file->vfs->disk, file->path);
    return SQLITE_OK;
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = disk_file_close,
    .xRead = disk_file_read,
    .xWrite = disk_file_write,
    .xTruncate = disk_file_truncate,
    .xSync = disk_file_sync,
    .xFileSize = disk_file_size,
    .xLock = disk_file_lock,
    .xUnlock = disk_file_unlock,
    .xCheckReservedLock = disk_file_check_reserved_lock,
    .xFileControl = disk_file_control,
    .xSectorSize = disk_file_sector_size,
    .xDeviceCharacteristics = disk_file_characteristics,
    .xShmMap = disk_index_map,
    .xShmLock = disk_index_lock,
    .xShmBarrier = disk_index_barrier,
    .xShmUnmap = disk_index_unmap,
};

/* ---- the VFS ---- */

static struct disk_vfs *disk_vfs_of(sqlite3_vfs *base)
{
    return base->pAppData;
}

static int disk_vfs_open(sqlite3_vfs *base, const char *path, sqlite3_file *opened, int flags,
                         int *ret_flags)
{
    struct disk_vfs *vfs = disk_vfs_of(base);
    struct disk_file *file = disk_file_of(opened);
    memset(file, 0, sizeof *file);
    if (!path || strlen(path) >= sizeof file->path)
        return SQLITE_CANTOPEN;
    struct image *image = disk_find(vfs->disk, path);
    if (!image && !(flags & SQLITE_OPEN_CREATE))
        return SQLITE_CANTOPEN;
    if (!image) {
        if (!vfs->outside)
            simulate_node_step(vfs->disk->node);
        image = disk_make(vfs->disk, path);
        file->sync_folder = (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)) != 0;
    }
    file->vfs = vfs;
    file->image = image;
    file->shared = shared_take(vfs->disk, path);
    file->delete_on_close = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0;
    snprintf(file->path, sizeof file->path, "%s", path);
    file->base.pMethods = &methods;
    if (ret_flags)
        *ret_flags = flags;
    return SQLITE_OK;
}

static int disk_vfs_delete(sqlite3_vfs *base, const char *path, int sync)
{
    struct disk_vfs *vfs = disk_vfs_of(base);
    if (!vfs->outside)
        simulate_node_step(vfs->disk->node);
    if (!disk_remove(vfs->disk, path))
        return SQLITE_IOERR_DELETE_NOENT;
    if (sync)
        disk_sync_folder(vfs->disk);
    return SQLITE_OK;
}

static int disk_vfs_access(sqlite3_vfs *base, const char *path, int flags, int *ret)
{
    const struct image *image = disk_find(disk_vfs_of(base)->disk, path);
    *ret = image && (flags != SQLITE_ACCESS_EXISTS || image->seen.size > 0);
    return SQLITE_OK;
}

static int disk_vfs_full_pathname(sqlite3_vfs *base, const char *path, int size, char *ret)
{
    (void)base;
    snprintf(ret, (size_t)size, "%s", path);
    return SQLITE_OK;
}

static int disk_vfs_randomness(sqlite3_vfs *base, int length, char *ret)
{
    simulate_random(disk_vfs_of(base)->disk->node->simulate, ret, (size_t)length);
    return length;
}

static int disk_vfs_sleep(sqlite3_vfs *base, int us)
{
    const struct disk_vfs *vfs = disk_vfs_of(base);
    if (!vfs->outside && simulate_node_in_job(vfs->disk->node))
        simulate_node_wait(vfs->disk->node, (int64_t)us * 1000);
    return us;
}

static int disk_vfs_current_time_ms(sqlite3_vfs *base, sqlite3_int64 *ret)
{
    static const sqlite3_int64 unix_epoch_ms = 24405875 * (sqlite3_int64)8640000;
    const struct simulate_node *node = disk_vfs_of(base)->disk->node;
    *ret = unix_epoch_ms + SIMULATE_WALL_MS + node->simulate->now_ns / SIMULATE_MS +
           node->wall_step_ms;
    return SQLITE_OK;
}

static int disk_vfs_current_time(sqlite3_vfs *base, double *ret)
{
    sqlite3_int64 ms;
    int result = disk_vfs_current_time_ms(base, &ms);
    *ret = (double)ms / 86400000.0;
    return result;
}

static int disk_vfs_last_error(sqlite3_vfs *base, int size, char *ret)
{
    (void)base;
    (void)size;
    (void)ret;
    return 0;
}

static void register_one(struct simulate_disk *disk, struct disk_vfs *vfs, bool outside)
{
    static unsigned number; /* names an instance, decides nothing */
    snprintf(vfs->name, sizeof vfs->name, "simulated-%u", ++number);
    vfs->disk = disk;
    vfs->outside = outside;
    vfs->base = (sqlite3_vfs){.iVersion = 2,
                              .szOsFile = sizeof(struct disk_file),
                              .mxPathname = DISK_PATH_SIZE,
                              .zName = vfs->name,
                              .pAppData = vfs,
                              .xOpen = disk_vfs_open,
                              .xDelete = disk_vfs_delete,
                              .xAccess = disk_vfs_access,
                              .xFullPathname = disk_vfs_full_pathname,
                              .xRandomness = disk_vfs_randomness,
                              .xSleep = disk_vfs_sleep,
                              .xCurrentTime = disk_vfs_current_time,
                              .xCurrentTimeInt64 = disk_vfs_current_time_ms,
                              .xGetLastError = disk_vfs_last_error};
    FH_ASSERT(sqlite3_vfs_register(&vfs->base, 0) == SQLITE_OK);
}

void disk_vfs_register(struct simulate_disk *disk)
{
    register_one(disk, &disk->inside, false);
    register_one(disk, &disk->outside, true);
}

void disk_vfs_unregister(struct simulate_disk *disk)
{
    sqlite3_vfs_unregister(&disk->inside.base);
    sqlite3_vfs_unregister(&disk->outside.base);
}
