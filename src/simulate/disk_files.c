/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lies on a disk: names and what they name, which operations on it fail, and what of it a
 * power cut leaves. Who works with it is above: SQLite through the VFS (vfs.c), the store's own
 * files (disk.c), somebody else on the machine (disk_copy.c).
 *
 * A name is durable once its folder was synced. What was made, moved and removed since stands in
 * one list, in order; when the power goes, a drawn first part of it has happened, as a journalling
 * file system has it. A move is one entry: it has happened or it has not.
 */

#include "simulate/disk_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

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

void disk_move(struct simulate_disk *disk, const char *from, const char *to, struct image *image)
{
    change_names(disk, from, to, image);
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

size_t simulate_disk_size(const struct simulate_disk *disk)
{
    size_t size = 0;
    for (int i = 0; i < disk->seen.count; i++)
        size += disk->seen.entries[i].image->seen.size;
    return size;
}

static bool fault_is_due(int64_t *in)
{
    return *in && --*in == 0;
}

bool disk_read_fails(struct simulate_disk *disk)
{
    if (!fault_is_due(&disk->faults.read_in))
        return false;
    simulate_say(disk->node->simulate, disk->node, "disk: a read fails");
    return true;
}

bool disk_write_fails(struct simulate_disk *disk)
{
    if (!fault_is_due(&disk->faults.write_in))
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
    if (fault_is_due(&disk->faults.sync_in)) {
        image_lose(image);
        simulate_say(simulate, disk->node, "disk: the sync of %s fails", path);
        return false;
    }
    image_sync(image, count);
    return true;
}

bool disk_sync_folder_fails(struct simulate_disk *disk, const char *folder)
{
    if (!fault_is_due(&disk->faults.sync_in))
        return false;
    simulate_say(disk->node->simulate, disk->node, "disk: the sync of %s fails", folder);
    return true;
}

/* ---- a machine's end ---- */

void disk_free_unused(struct simulate_disk *disk)
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

void disk_power_fails(struct simulate_disk *disk)
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

void disk_free_all(struct simulate_disk *disk)
{
    changes_settle(disk, 0);
    while (disk->images) {
        struct image *image = disk->images;
        disk->images = image->next;
        image_free(image);
    }
}
