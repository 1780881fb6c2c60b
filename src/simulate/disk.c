/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk: names and what they name, the faults, and the files that the store uses beside SQLite.
 * The VFS on top of it is vfs.c.
 *
 * A name is durable once its folder was synced. What was made, moved and removed since stands in
 * one list, in order; when the power goes, a drawn first part of it has happened, as a journalling
 * file system has it. A move is one entry: it has happened or it has not.
 */

#include "simulate/disk_files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"

#define SYNC_NS_MIN ((int64_t)40000)
#define SYNC_NS_MAX ((int64_t)400000)
#define SYNC_SLOW_NS_MAX ((int64_t)60000000)

/* ---- names ---- */

static int name_find(const struct disk_names *names, const char *path)
{
    for (int i = 0; i < names->count; i++) {
        if (strcmp(names->entries[i].path, path) == 0)
            return i;
    }
    return -1;
}

static void name_set(struct disk_names *names, const char *path, struct image *image)
{
    int at = name_find(names, path);
    if (at < 0 && image) {
        FH_ASSERT(names->count < SIMULATE_FILES_MAX && strlen(path) < DISK_PATH_SIZE);
        at = names->count++;
        snprintf(names->entries[at].path, DISK_PATH_SIZE, "%s", path);
    }
    if (at >= 0 && image)
        names->entries[at].image = image;
    else if (at >= 0)
        names->entries[at] = names->entries[--names->count];
}

static void change_apply(struct disk_names *names, const struct disk_change *change)
{
    if (change->from[0])
        name_set(names, change->from, NULL);
    name_set(names, change->to, change->image);
}

/* `from` "": nothing is moved; image NULL: `to` is removed. */
static void change_names(struct simulate_disk *disk, const char *from, const char *to,
                         struct image *image)
{
    struct disk_change *change = calloc(1, sizeof *change);
    FH_ASSERT(change != NULL);
    snprintf(change->from, sizeof change->from, "%s", from);
    snprintf(change->to, sizeof change->to, "%s", to);
    change->image = image;
    change_apply(&disk->seen, change);
    *disk->changes_last = change;
    disk->changes_last = &change->next;
}

struct image *disk_find(const struct simulate_disk *disk, const char *path)
{
    int at = name_find(&disk->seen, path);
    return at < 0 ? NULL : disk->seen.entries[at].image;
}

struct image *disk_make(struct simulate_disk *disk, const char *path)
{
    struct image *image = image_new();
    image->next = disk->images;
    disk->images = image;
    change_names(disk, "", path, image);
    return image;
}

bool disk_remove(struct simulate_disk *disk, const char *path)
{
    if (!disk_find(disk, path))
        return false;
    change_names(disk, "", path, NULL);
    return true;
}

/* The first `count` of the changes have become durable; the others, if the power is gone, have
 * never been. */
static void changes_settle(struct simulate_disk *disk, size_t count)
{
    while (disk->changes) {
        struct disk_change *change = disk->changes;
        disk->changes = change->next;
        if (count) {
            change_apply(&disk->durable, change);
            count--;
        }
        free(change);
    }
    disk->changes_last = &disk->changes;
}

void disk_sync_folder(struct simulate_disk *disk)
{
    changes_settle(disk, SIZE_MAX);
}

/* ---- operations and their faults ---- */

static bool due(int64_t *in)
{
    return *in && --*in == 0;
}

bool disk_read_fails(struct simulate_disk *disk)
{
    if (!due(&disk->faults.read_in))
        return false;
    simulate_say(disk->node->simulate, disk->node, "disk: a read fails");
    return true;
}

bool disk_write_fails(struct simulate_disk *disk)
{
    if (!due(&disk->faults.write_in))
        return false;
    simulate_say(disk->node->simulate, disk->node, "disk: a write fails");
    return true;
}

bool disk_is_full(struct simulate_disk *disk, const struct image *image, size_t size)
{
    if (!disk->faults.size_max || size <= image->seen.size ||
        simulate_disk_size(disk) - image->seen.size + size <= disk->faults.size_max)
        return false;
    simulate_say(disk->node->simulate, disk->node, "disk: it is full");
    return true;
}

bool disk_sync(struct simulate_disk *disk, struct image *image, const char *path)
{
    struct simulate *simulate = disk->node->simulate;
    size_t count = image->write_count;
    bool slow = simulate_chance(simulate, simulate->faults.sync_slow);
    if (simulate_node_in_job(disk->node))
        simulate_node_wait(disk->node, simulate_between(simulate, SYNC_NS_MIN,
                                                        slow ? SYNC_SLOW_NS_MAX : SYNC_NS_MAX));
    if (due(&disk->faults.sync_in)) {
        image_lose(image);
        simulate_say(simulate, disk->node, "disk: the sync of %s fails", path);
        return false;
    }
    image_sync(image, count);
    return true;
}

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
    change_names(disk, from, to, image);
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
    if (due(&disk->faults.sync_in)) {
        simulate_say(disk->node->simulate, disk->node, "disk: the sync of %s fails", folder);
        return EIO;
    }
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
    change_names(disk, fresh, path, image);
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

struct simulate_disk *simulate_disk_new(struct simulate_node *node)
{
    struct simulate_disk *disk = calloc(1, sizeof *disk);
    FH_ASSERT(disk != NULL);
    disk->node = node;
    disk->changes_last = &disk->changes;
    node->disk = disk;
    disk_vfs_register(disk);
    return disk;
}

void simulate_disk_attach(struct simulate_disk *disk, struct world *world)
{
    world->vfs = disk->inside.name;
    world->files = &disk_files;
}

static void images_free_unused(struct simulate_disk *disk)
{
    for (struct image *image = disk->images; image; image = image->next)
        image->used = false;
    for (int i = 0; i < disk->seen.count; i++)
        disk->seen.entries[i].image->used = true;
    for (int i = 0; i < disk->durable.count; i++)
        disk->durable.entries[i].image->used = true;
    for (struct disk_change *change = disk->changes; change; change = change->next) {
        if (change->image)
            change->image->used = true;
    }
    for (struct image **at = &disk->images; *at;) {
        struct image *image = *at;
        if (image->used) {
            at = &image->next;
            continue;
        }
        *at = image->next;
        image_free(image);
    }
}

static void power_fails(struct simulate_disk *disk)
{
    struct simulate *simulate = disk->node->simulate;
    size_t changes = 0;
    for (struct disk_change *change = disk->changes; change; change = change->next)
        changes++;
    changes_settle(disk, simulate_below(simulate, changes + 1));
    disk->seen = disk->durable;
    for (int i = 0; i < disk->seen.count; i++) {
        struct image *image = disk->seen.entries[i].image;
        size_t unsynced = image->write_count;
        size_t kept = unsynced ? image_power_fails(image, simulate) : 0;
        if (unsynced)
            simulate_say(simulate, disk->node, "disk: %s has %zu of %zu unsynced writes",
                         disk->seen.entries[i].path, kept, unsynced);
    }
}

void simulate_disk_crashed(struct simulate_disk *disk, enum simulate_crash how)
{
    memset(disk->locked, 0, sizeof disk->locked);
    disk_vfs_forget(disk);
    if (how == SIMULATE_POWER)
        power_fails(disk);
    images_free_unused(disk);
}

struct simulate_disk_faults *simulate_disk_faults(struct simulate_disk *disk)
{
    return &disk->faults;
}

size_t simulate_disk_size(const struct simulate_disk *disk)
{
    size_t size = 0;
    for (int i = 0; i < disk->seen.count; i++)
        size += disk->seen.entries[i].image->seen.size;
    return size;
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
    changes_settle(disk, 0);
    while (disk->images) {
        struct image *image = disk->images;
        disk->images = image->next;
        image_free(image);
    }
    disk->node->disk = NULL;
    free(disk);
}
