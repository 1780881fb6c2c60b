/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node's disk as it is now, kept aside, and put back later; or single files of it. What is copied
 * is what readers see, at one moment: that is what a copy of a killed process' files has. What is
 * put back is durable.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "simulate/disk_files.h"

struct simulate_copy {
    struct {
        char path[DISK_PATH_SIZE];
        unsigned char *data;
        size_t size;
    } files[SIMULATE_FILES_MAX];
    int count;
};

struct simulate_copy *simulate_disk_copy(const struct simulate_disk *disk)
{
    struct simulate_copy *copy = calloc(1, sizeof *copy);
    FH_ASSERT(copy != NULL);
    for (; copy->count < disk->seen.count; copy->count++) {
        const struct image_bytes *seen = &disk->seen.entries[copy->count].image->seen;
        unsigned char *data = malloc(seen->size + 1);
        FH_ASSERT(data != NULL);
        if (seen->size)
            memcpy(data, seen->data, seen->size);
        snprintf(copy->files[copy->count].path, DISK_PATH_SIZE, "%s",
                 disk->seen.entries[copy->count].path);
        copy->files[copy->count].data = data;
        copy->files[copy->count].size = seen->size;
    }
    return copy;
}

void simulate_disk_put_back(struct simulate_disk *disk, const struct simulate_copy *copy)
{
    while (disk->seen.count)
        disk_remove(disk, disk->seen.entries[0].path);
    for (int i = 0; i < copy->count; i++) {
        struct image *image = disk_make(disk, copy->files[i].path);
        if (copy->files[i].size)
            image_write(image, copy->files[i].data, copy->files[i].size, 0);
        image_sync(image, SIZE_MAX);
    }
    disk_sync_folder(disk);
}

void simulate_copy_free(struct simulate_copy *copy)
{
    for (int i = 0; copy && i < copy->count; i++)
        free(copy->files[i].data);
    free(copy);
}

bool simulate_disk_has(const struct simulate_disk *disk, const char *path)
{
    return disk_find(disk, path) != NULL;
}

unsigned char *simulate_disk_take(const struct simulate_disk *disk, const char *path,
                                  size_t *ret_size)
{
    const struct image *image = disk_find(disk, path);
    if (!image)
        return NULL;
    unsigned char *data = calloc(1, image->seen.size + 1);
    FH_ASSERT(data != NULL);
    if (image->seen.size)
        memcpy(data, image->seen.data, image->seen.size);
    *ret_size = image->seen.size;
    return data;
}

void simulate_disk_lay(struct simulate_disk *disk, const char *path, const void *data, size_t size)
{
    struct image *image = disk_make(disk, path);
    image_write(image, data, size, 0);
    image_sync(image, SIZE_MAX);
    disk_sync_folder(disk);
}
