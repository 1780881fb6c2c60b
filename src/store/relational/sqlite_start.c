/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Before a store is opened. A killed process may have written WAL frames that it never synced; the
 * kernel still has them, SQLite would serve them, and a power failure could then take back what
 * was served. After an fsync that failed, pages may even look clean and never be written. So a WAL
 * that is not empty is read, written to a new file, synced, renamed over the old one, and the
 * folder synced; only then is it opened. Dying anywhere in between leaves the old WAL in place.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/relational/sqlite.h"

#define COPY_SIZE ((size_t)1 << 20)

enum fh_code sqlite_sync_folder(const char *folder, struct fh_error *error)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int failed = fd < 0 || fsync(fd) != 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    if (failed)
        return error_set_errno(error, FH_UNAVAILABLE, failed, "The folder %s can't be synced",
                               folder);
    return FH_OK;
}

static int write_all(int fd, const char *data, size_t length)
{
    while (length) {
        ssize_t written = write(fd, data, length);
        if (written < 0) {
            if (errno == EINTR)
                continue;
            return errno;
        }
        data += written;
        length -= (size_t)written;
    }
    return 0;
}

/* errno, or 0 */
static int copy_synced(int from, int to)
{
    char *buffer = malloc(COPY_SIZE);
    if (!buffer)
        return ENOMEM;
    int failed = 0;
    for (;;) {
        ssize_t got = read(from, buffer, COPY_SIZE);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            failed = errno;
        if (got <= 0)
            break;
        failed = write_all(to, buffer, (size_t)got);
        if (failed)
            break;
    }
    free(buffer);
    if (!failed && fsync(to) != 0)
        failed = errno;
    return failed;
}

enum fh_code sqlite_make_durable(const char *folder, const char *path, struct fh_error *error)
{
    char wal[4200], copy[4200];
    snprintf(wal, sizeof wal, "%s-wal", path);
    snprintf(copy, sizeof copy, "%s-wal.copy", path);
    unlink(copy); /* of a start that died */
    int from = open(wal, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        return errno == ENOENT ? FH_OK
                               : error_set_errno(error, FH_UNAVAILABLE, errno,
                                                 "The store's log %s can't be opened", wal);
    struct stat status;
    if (fstat(from, &status) == 0 && status.st_size == 0) {
        close(from);
        return FH_OK;
    }
    int to = open(copy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int failed = to < 0 ? errno : copy_synced(from, to);
    close(from);
    if (to >= 0)
        close(to);
    if (!failed && rename(copy, wal) != 0)
        failed = errno;
    if (failed) {
        unlink(copy);
        return error_set_errno(error, FH_UNAVAILABLE, failed,
                               "The store's log %s can't be made durable", wal);
    }
    return sqlite_sync_folder(folder, error);
}
