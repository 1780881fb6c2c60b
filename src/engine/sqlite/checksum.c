/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VFS between SQLite and its files. It checks only whole pages of the database and of its log;
 * everything else passes through to the VFS below.
 *
 *     database, write   puts the page's sum into its reserved bytes, in a copy
 *     database, read    the sum must match; a page cut short by the end of the file, or past it, is
 *                       damaged too, unless the file is still empty
 *     log, write        unchanged: SQLite's sums are chained, and cover the reserved bytes too
 *     log, read         the frame's sum must follow from that of the previous frame
 *
 * A page that fails is SQLITE_CORRUPT: the statement that needs it fails and its unit of work is
 * rolled back; others go on. SQLite reads the first 100 bytes separately, before it knows the page
 * size; they are read again with their page before anything relies on them. A checkpoint reads from
 * the log and writes to the database, so a damaged frame stops it and never gets a fresh sum.
 *
 * A crash during a checkpoint may leave a torn page in the database. That page is still in the log,
 * and SQLite reads it from there until the checkpoint is complete and synced.
 *
 * The writer's own frames are not checked before it syncs them: a transaction that outgrows the
 * cache defers their sums and writes them just before it commits.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/sqlite/checksum.h"

#define PATH_SHOWN_MAX 200
#define SQLITE_SMALLEST_PAGE 512

struct sqlite_checksum {
    sqlite3_vfs base; /* first */
    sqlite3_vfs *under;
    char name[48];
};

struct checked_file {
    sqlite3_file base; /* first */
    bool is_log;
    bool committed;              /* database: since commit_watch */
    sqlite3_int64 unsynced_from; /* log: lowest offset written here since the last sync */
    const char *path;            /* SQLite's; valid while the file is open */
    char damage[PATH_SHOWN_MAX + 64];
    _Alignas(8) unsigned char under[]; /* the file of the VFS below, with SQLite's alignment */
};

static struct checked_file *checksum_file_of(sqlite3_file *base)
{
    return (struct checked_file *)base;
}

static sqlite3_file *file_under(sqlite3_file *base)
{
    return (sqlite3_file *)checksum_file_of(base)->under;
}

const char *sqlite_checksum_tail(const char *path)
{
    const char *tail = path;
    int slashes = 0;
    for (const char *at = path + strlen(path); at > path && slashes < 2; at--) {
        slashes += at[-1] == '/';
        tail = slashes < 2 ? at - 1 : at;
    }
    return tail;
}

static int note_damage(struct checked_file *file, const char *what, sqlite3_int64 number)
{
    snprintf(file->damage, sizeof file->damage, "%s %lld of %.*s", what, (long long)number,
             PATH_SHOWN_MAX, sqlite_checksum_tail(file->path));
    return SQLITE_CORRUPT;
}

/* ---- reading and writing ---- */

static int database_read(struct checked_file *file, void *buffer, int length, sqlite3_int64 at)
{
    sqlite3_file *below = file_under(&file->base);
    int result = below->pMethods->xRead(below, buffer, length, at);
    if (length < SQLITE_SMALLEST_PAGE)
        return result;
    sqlite3_int64 number = at / CHECKSUM_PAGE_SIZE + 1, size = 0;
    if (result == SQLITE_IOERR_SHORT_READ) {
        int measured = below->pMethods->xFileSize(below, &size);
        if (measured != SQLITE_OK)
            return measured;
        return size == 0 ? result : note_damage(file, "page", number);
    }
    if (result != SQLITE_OK)
        return result;
    /* Only a damaged header can lead to another page size. */
    if (length != CHECKSUM_PAGE_SIZE || at % CHECKSUM_PAGE_SIZE != 0 ||
        !checksum_holds(buffer, (uint32_t)number))
        return note_damage(file, "page", number);
    return SQLITE_OK;
}

static int database_write(struct checked_file *file, const void *buffer, int length,
                          sqlite3_int64 at)
{
    sqlite3_file *below = file_under(&file->base);
    if (length != CHECKSUM_PAGE_SIZE || at % CHECKSUM_PAGE_SIZE != 0)
        return below->pMethods->xWrite(below, buffer, length, at);
    unsigned char page[CHECKSUM_PAGE_SIZE];
    memcpy(page, buffer, sizeof page);
    checksum_write(page, (uint32_t)(at / CHECKSUM_PAGE_SIZE + 1));
    return below->pMethods->xWrite(below, page, length, at);
}

static int log_read(struct checked_file *file, void *buffer, int length, sqlite3_int64 at)
{
    sqlite3_file *below = file_under(&file->base);
    int result = below->pMethods->xRead(below, buffer, length, at);
    sqlite3_int64 frame_at = at - LOG_FRAME_HEAD_SIZE;
    if (result != SQLITE_OK || length != CHECKSUM_PAGE_SIZE || frame_at < LOG_HEAD_SIZE ||
        (frame_at - LOG_HEAD_SIZE) % LOG_FRAME_SIZE != 0 || frame_at >= file->unsynced_from)
        return result;
    unsigned char head[LOG_FRAME_HEAD_SIZE], before[8];
    bool first = frame_at == LOG_HEAD_SIZE;
    result = below->pMethods->xRead(below, head, sizeof head, frame_at);
    if (result == SQLITE_OK)
        result = below->pMethods->xRead(below, before, sizeof before,
                                        first ? LOG_HEAD_SIZE - 8 : frame_at - LOG_FRAME_SIZE + 16);
    if (result != SQLITE_OK)
        return result;
    struct log_sum sum = log_sum_of_frame(log_sum_read(before), head, buffer);
    if (!log_sum_equal(sum, log_sum_read(head + 16)))
        return note_damage(file, "frame", (frame_at - LOG_HEAD_SIZE) / LOG_FRAME_SIZE + 1);
    return SQLITE_OK;
}

static int checksum_file_read(sqlite3_file *base, void *buffer, int length, sqlite3_int64 at)
{
    struct checked_file *file = checksum_file_of(base);
    return file->is_log ? log_read(file, buffer, length, at)
                        : database_read(file, buffer, length, at);
}

static int checksum_file_write(sqlite3_file *base, const void *buffer, int length, sqlite3_int64 at)
{
    struct checked_file *file = checksum_file_of(base);
    if (!file->is_log)
        return database_write(file, buffer, length, at);
    if (at < file->unsynced_from)
        file->unsynced_from = at;
    return file_under(base)->pMethods->xWrite(file_under(base), buffer, length, at);
}

static int checksum_file_sync(sqlite3_file *base, int flags)
{
    int result = file_under(base)->pMethods->xSync(file_under(base), flags);
    if (result == SQLITE_OK)
        checksum_file_of(base)->unsynced_from = INT64_MAX;
    return result;
}

/* ---- passing through ---- */

static int checksum_file_close(sqlite3_file *base)
{
    return file_under(base)->pMethods->xClose(file_under(base));
}

static int checksum_file_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    return file_under(base)->pMethods->xTruncate(file_under(base), size);
}

static int checksum_file_size(sqlite3_file *base, sqlite3_int64 *ret)
{
    return file_under(base)->pMethods->xFileSize(file_under(base), ret);
}

static int checksum_file_lock(sqlite3_file *base, int level)
{
    return file_under(base)->pMethods->xLock(file_under(base), level);
}

static int checksum_file_unlock(sqlite3_file *base, int level)
{
    return file_under(base)->pMethods->xUnlock(file_under(base), level);
}

static int file_is_reserved(sqlite3_file *base, int *ret)
{
    return file_under(base)->pMethods->xCheckReservedLock(file_under(base), ret);
}

static int checksum_file_control(sqlite3_file *base, int what, void *argument)
{
    if (what == SQLITE_FCNTL_COMMIT_PHASETWO)
        checksum_file_of(base)->committed = true;
    return file_under(base)->pMethods->xFileControl(file_under(base), what, argument);
}

static int checksum_file_sector_size(sqlite3_file *base)
{
    return file_under(base)->pMethods->xSectorSize(file_under(base));
}

static int checksum_file_characteristics(sqlite3_file *base)
{
    return file_under(base)->pMethods->xDeviceCharacteristics(file_under(base));
}

static int checksum_index_map(sqlite3_file *base, int region, int size, int extend,
                              void volatile **ret)
{
    return file_under(base)->pMethods->xShmMap(file_under(base), region, size, extend, ret);
}

static int checksum_index_lock(sqlite3_file *base, int offset, int count, int flags)
{
    return file_under(base)->pMethods->xShmLock(file_under(base), offset, count, flags);
}

static void checksum_index_barrier(sqlite3_file *base)
{
    file_under(base)->pMethods->xShmBarrier(file_under(base));
}

static int checksum_index_unmap(sqlite3_file *base, int remove)
{
    return file_under(base)->pMethods->xShmUnmap(file_under(base), remove);
}

/* Version 2 has no memory mapping, so every page comes through xRead. */
static const sqlite3_io_methods file_methods = {
    .iVersion = 2,
    .xClose = checksum_file_close,
    .xRead = checksum_file_read,
    .xWrite = checksum_file_write,
    .xTruncate = checksum_file_truncate,
    .xSync = checksum_file_sync,
    .xFileSize = checksum_file_size,
    .xLock = checksum_file_lock,
    .xUnlock = checksum_file_unlock,
    .xCheckReservedLock = file_is_reserved,
    .xFileControl = checksum_file_control,
    .xSectorSize = checksum_file_sector_size,
    .xDeviceCharacteristics = checksum_file_characteristics,
    .xShmMap = checksum_index_map,
    .xShmLock = checksum_index_lock,
    .xShmBarrier = checksum_index_barrier,
    .xShmUnmap = checksum_index_unmap,
};

/* ---- the VFS ---- */

static sqlite3_vfs *vfs_below(sqlite3_vfs *base)
{
    return ((struct sqlite_checksum *)base)->under;
}

static int checksum_vfs_open(sqlite3_vfs *base, const char *path, sqlite3_file *opened, int flags,
                             int *ret_flags)
{
    sqlite3_vfs *vfs = vfs_below(base);
    if (!(flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)))
        return vfs->xOpen(vfs, path, opened, flags, ret_flags);
    struct checked_file *file = checksum_file_of(opened);
    file->is_log = (flags & SQLITE_OPEN_WAL) != 0;
    file->committed = false;
    file->unsynced_from = INT64_MAX;
    file->path = path;
    file->damage[0] = '\0';
    int result = vfs->xOpen(vfs, path, file_under(opened), flags, ret_flags);
    opened->pMethods = file_under(opened)->pMethods ? &file_methods : NULL;
    return result;
}

static int checksum_vfs_delete(sqlite3_vfs *base, const char *path, int sync_folder)
{
    return vfs_below(base)->xDelete(vfs_below(base), path, sync_folder);
}

static int checksum_vfs_access(sqlite3_vfs *base, const char *path, int flags, int *ret)
{
    return vfs_below(base)->xAccess(vfs_below(base), path, flags, ret);
}

static int vfs_full_path(sqlite3_vfs *base, const char *path, int size, char *ret)
{
    return vfs_below(base)->xFullPathname(vfs_below(base), path, size, ret);
}

static int vfs_random(sqlite3_vfs *base, int length, char *ret)
{
    return vfs_below(base)->xRandomness(vfs_below(base), length, ret);
}

static int checksum_vfs_sleep(sqlite3_vfs *base, int us)
{
    return vfs_below(base)->xSleep(vfs_below(base), us);
}

static int vfs_time(sqlite3_vfs *base, double *ret)
{
    return vfs_below(base)->xCurrentTime(vfs_below(base), ret);
}

static int vfs_time_ms(sqlite3_vfs *base, sqlite3_int64 *ret)
{
    return vfs_below(base)->xCurrentTimeInt64(vfs_below(base), ret);
}

static int checksum_vfs_last_error(sqlite3_vfs *base, int length, char *ret)
{
    return vfs_below(base)->xGetLastError
               ? vfs_below(base)->xGetLastError(vfs_below(base), length, ret)
               : 0;
}

struct sqlite_checksum *sqlite_checksum_new(const char *name)
{
    sqlite3_vfs *found = sqlite3_vfs_find(name);
    struct sqlite_checksum *checksum = calloc(1, sizeof *checksum);
    if (!found || !checksum) {
        free(checksum);
        return NULL;
    }
    snprintf(checksum->name, sizeof checksum->name, "freehold-%p", (void *)checksum);
    checksum->under = found;
    bool counts_ms = found->iVersion >= 2 && found->xCurrentTimeInt64;
    checksum->base = (sqlite3_vfs){
        .iVersion = counts_ms ? 2 : 1,
        .szOsFile = (int)sizeof(struct checked_file) + found->szOsFile,
        .mxPathname = found->mxPathname,
        .zName = checksum->name,
        .xOpen = checksum_vfs_open,
        .xDelete = checksum_vfs_delete,
        .xAccess = checksum_vfs_access,
        .xFullPathname = vfs_full_path,
        .xRandomness = vfs_random,
        .xSleep = checksum_vfs_sleep,
        .xCurrentTime = vfs_time,
        .xGetLastError = checksum_vfs_last_error,
        .xCurrentTimeInt64 = counts_ms ? vfs_time_ms : NULL,
    };
    if (sqlite3_vfs_register(&checksum->base, 0) == SQLITE_OK)
        return checksum;
    free(checksum);
    return NULL;
}

void sqlite_checksum_free(struct sqlite_checksum *checksum)
{
    if (!checksum)
        return;
    sqlite3_vfs_unregister(&checksum->base);
    free(checksum);
}

const char *sqlite_checksum_name(const struct sqlite_checksum *checksum)
{
    return checksum->name;
}

static struct checked_file *database_of(sqlite3 *db)
{
    sqlite3_file *file = NULL;
    sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
    FH_ASSERT(file && file->pMethods == &file_methods);
    return checksum_file_of(file);
}

void sqlite_commit_watch(sqlite3 *db)
{
    database_of(db)->committed = false;
}

bool sqlite_commit_stands(sqlite3 *db)
{
    return database_of(db)->committed;
}

const char *sqlite_checksum_damage(sqlite3 *db)
{
    static const int pointers[] = {SQLITE_FCNTL_JOURNAL_POINTER, SQLITE_FCNTL_FILE_POINTER};
    for (size_t i = 0; i < sizeof pointers / sizeof pointers[0]; i++) {
        sqlite3_file *file = NULL;
        sqlite3_file_control(db, "main", pointers[i], &file);
        if (file && file->pMethods == &file_methods && checksum_file_of(file)->damage[0])
            return checksum_file_of(file)->damage;
    }
    return NULL;
}
