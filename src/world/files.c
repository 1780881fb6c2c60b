/* SPDX-License-Identifier: Apache-2.0 */
/* Durable files on the kernel's file system: what a store needs besides the files that SQLite
 * opens. A copy is complete and durable, or an error is returned; the caller removes what a failed
 * one leaves. */

#define _GNU_SOURCE
#include "world/world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/text.h"

#define COPY_SIZE ((size_t)1 << 20)

static int real_lock(struct world *world, const char *path, int *ret_lock)
{
    (void)world;
    *ret_lock = -1;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int failed = errno;
        close(fd);
        return failed;
    }
    *ret_lock = fd;
    return 0;
}

static void real_unlock(struct world *world, int lock)
{
    (void)world;
    close(lock);
}

static int real_size(struct world *world, const char *path, int64_t *ret)
{
    (void)world;
    struct stat status;
    if (stat(path, &status) != 0)
        return errno;
    *ret = status.st_size;
    return 0;
}

/* Only begun here, so that the disk is busy while the next part is read. The sync at the end waits
 * for all of it, and tells what fails from now on; but what can't even be begun may be told here
 * alone. Where files can't be written so, nothing is lost. */
static int begin_writing_back(int file, off_t at, ssize_t length)
{
    if (sync_file_range(file, at, length, SYNC_FILE_RANGE_WRITE) == 0)
        return 0;
    return errno == EIO || errno == ENOSPC || errno == EDQUOT ? errno : 0;
}

static int copy_all(int from, int to)
{
    char *buffer = malloc(COPY_SIZE);
    if (!buffer)
        return ENOMEM;
    int failed = 0;
    off_t at = 0;
    while (!failed) {
        ssize_t got = read(from, buffer, COPY_SIZE);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            failed = errno;
        if (got <= 0)
            break;
        failed = io_write(to, buffer, (size_t)got) ? 0 : errno;
        if (!failed)
            failed = begin_writing_back(to, at, got);
        at += got;
    }
    free(buffer);
    if (!failed && fsync(to) != 0)
        failed = errno;
    return failed;
}

static int real_copy_synced(struct world *world, const char *from, const char *to)
{
    (void)world;
    int source = open(from, O_RDONLY | O_CLOEXEC);
    if (source < 0)
        return errno;
    int target = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int failed = target < 0 ? errno : copy_all(source, target);
    close(source);
    if (target >= 0)
        close(target);
    return failed;
}

static int real_rename(struct world *world, const char *from, const char *to)
{
    (void)world;
    return rename(from, to) == 0 ? 0 : errno;
}

static int real_remove(struct world *world, const char *path)
{
    (void)world;
    return unlink(path) == 0 ? 0 : errno;
}

static int real_sync_folder(struct world *world, const char *folder)
{
    (void)world;
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int failed = fd < 0 || fsync(fd) != 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    return failed;
}

static int real_read(struct world *world, const char *path, struct text *ret)
{
    (void)world;
    FILE *file = fopen(path, "re");
    if (!file)
        return errno;
    char buffer[4096];
    size_t got;
    while ((got = fread(buffer, 1, sizeof buffer, file)) > 0)
        text_append(ret, buffer, got);
    int failed = ferror(file) ? EIO : 0;
    fclose(file);
    return ret->overflow ? EFBIG : failed;
}

static int real_replace(struct world *world, const char *path, const char *data, size_t length)
{
    (void)world;
    char fresh[4220];
    snprintf(fresh, sizeof fresh, "%s.%d.new", path, (int)getpid());
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    int failed = io_write(fd, data, length) ? 0 : errno;
    if (!failed && fsync(fd) != 0)
        failed = errno;
    close(fd);
    return failed || rename(fresh, path) == 0 ? failed : errno;
}

const struct world_files world_files_real = {
    .lock = real_lock,
    .unlock = real_unlock,
    .size = real_size,
    .copy_synced = real_copy_synced,
    .rename = real_rename,
    .remove = real_remove,
    .sync_folder = real_sync_folder,
    .read = real_read,
    .replace = real_replace,
};
