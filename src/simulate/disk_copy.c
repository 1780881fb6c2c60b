/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node's disk as it is now, kept aside, and put back later. What is copied is what readers see,
 * at one moment: that is what a copy of a killed process' files has. What is put back is durable.
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
