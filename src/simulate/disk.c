/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node's disk through its processes' lives, and the files that the store uses beside SQLite.
 * What lies on it is disk_files.c; SQLite's way to it is vfs.c.
 */

#include "simulate/disk_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"

/* ---- what the store uses beside SQLite ---- */

static struct simulate_disk *disk_of(struct world *world)
{
    return ((struct simulate_node *)world)->disk;
}

static int files_lock(struct world *world, const char *path, int *ret_lock)
{
    struct simulate_disk *disk = disk_of(world);
    simulate_node_step(disk->node);
    *ret_lock = -1;
    for (int i = 0; i < DISK_LOCKS_MAX; i++) {
        if (strcmp(disk->locked[i], path) == 0)
            return EWOULDBLOCK;
        if (!disk->locked[i][0])
            *ret_lock = i;
    }
    FH_ASSERT(*ret_lock >= 0);
    if (!disk_find(disk, path))
        disk_make(disk, path);
    snprintf(disk->locked[*ret_lock], DISK_PATH_SIZE, "%s", path);
    return 0;
}

static void files_unlock(struct world *world, int lock)
{
    disk_of(world)->locked[lock][0] = '\0';
}

static int files_size(struct world *world, const char *path, int64_t *ret)
{
    const struct image *image = disk_find(disk_of(world), path);
    if (image)
        *ret = (int64_t)image->seen.size;
    return image ? 0 : ENOENT;
}

static int files_copy_synced(struct world *world, const char *from, const char *to)
{
    struct simulate_disk *disk = disk_of(world);
    const struct image *source = disk_find(disk, from);
    if (!source)
        return ENOENT;
    if (disk_find(disk, to))
        return EEXIST;
    simulate_node_step(disk->node);
    if (disk_read_fails(disk))
        return EIO;
    struct image *target = disk_make(disk, to);
    if (disk_is_full(disk, target, source->seen.size))
        return ENOSPC;
    if (disk_write_fails(disk))
        return EIO;
    image_write(target, source->seen.data, source->seen.size, 0);
    simulate_node_step(disk->node);
    bool synced = disk_sync(disk, target, to);
    simulate_node_step(disk->node);
    return synced ? 0 : EIO;
}

static int files_rename(struct world *world, const char *from, const char *to)
{
    struct simulate_disk *disk = disk_of(world);
    struct image *image = disk_find(disk, from);
    if (!image)
        return ENOENT;
    disk_move(disk, from, to, image);
    simulate_node_step(disk->node);
    return 0;
}

static int files_remove(struct world *world, const char *path)
{
    return disk_remove(disk_of(world), path) ? 0 : ENOENT;
}

static int files_sync_folder(struct world *world, const char *folder)
{
    struct simulate_disk *disk = disk_of(world);
    simulate_node_step(disk->node);
    if (disk_sync_folder_fails(disk, folder))
        return EIO;
    disk_sync_folder(disk);
    return 0;
}

static int files_read(struct world *world, const char *path, struct text *ret)
{
    struct simulate_disk *disk = disk_of(world);
    const struct image *image = disk_find(disk, path);
    if (!image)
        return ENOENT;
    if (disk_read_fails(disk))
        return EIO;
    text_append(ret, (const char *)image->seen.data, image->seen.size);
    return ret->overflow ? EFBIG : 0;
}

static int files_replace(struct world *world, const char *path, const char *data, size_t length)
{
    struct simulate_disk *disk = disk_of(world);
    char fresh[DISK_PATH_SIZE];
    snprintf(fresh, sizeof fresh, "%s.new", path);
    simulate_node_step(disk->node);
    struct image *image = disk_make(disk, fresh);
    if (disk_is_full(disk, image, length))
        return ENOSPC;
    if (disk_write_fails(disk))
        return EIO;
    image_write(image, data, length, 0);
    simulate_node_step(disk->node);
    if (!disk_sync(disk, image, fresh))
        return EIO;
    simulate_node_step(disk->node);
    disk_move(disk, fresh, path, image);
    simulate_node_step(disk->node);
    return 0;
}

static const struct world_files disk_files = {
    .lock = files_lock,
    .unlock = files_unlock,
    .size = files_size,
    .copy_synced = files_copy_synced,
    .rename = files_rename,
    .remove = files_remove,
    .sync_folder = files_sync_folder,
    .read = files_read,
    .replace = files_replace,
};

/* ---- lives ---- */

static const struct simulate_disk_ops node_disk = {
    .attach = simulate_disk_attach,
    .crashed = simulate_disk_crashed,
};

struct simulate_disk *simulate_disk_new(struct simulate_node *node)
{
    struct simulate_disk *disk = calloc(1, sizeof *disk);
    FH_ASSERT(disk != NULL);
    disk->node = node;
    disk->changes_last = &disk->changes;
    node->disk = disk;
    node->disk_ops = &node_disk;
    disk_vfs_register(disk);
    return disk;
}

void simulate_disk_attach(struct simulate_disk *disk, struct world *world)
{
    world->vfs = disk->inside.name;
    world->files = &disk_files;
    world->log_frames = disk->node->simulate->log_frames;
}

void simulate_disk_crashed(struct simulate_disk *disk, enum simulate_crash how)
{
    memset(disk->locked, 0, sizeof disk->locked);
    disk_vfs_forget(disk);
    if (how == SIMULATE_POWER)
        disk_power_fails(disk);
    disk_free_unused(disk);
}

struct simulate_disk_faults *simulate_disk_faults(struct simulate_disk *disk)
{
    return &disk->faults;
}

const char *simulate_disk_vfs(const struct simulate_disk *disk)
{
    return disk->outside.name;
}

void simulate_disk_free(struct simulate_disk *disk)
{
    if (!disk)
        return;
    disk_vfs_forget(disk);
    disk_vfs_unregister(disk);
    disk_free_all(disk);
    disk->node->disk = NULL;
    free(disk);
}
