/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks a log before SQLite recovers it. SQLite trusts frames up to the first whose sum is wrong,
 * and drops the rest: right for frames torn by a crash, wrong for frames spoiled by a disk. What
 * follows tells the two apart. SQLite syncs each commit before it writes the next transaction, so
 * after a frame torn by a crash there is at most the rest of that one transaction. If a frame with
 * a correct sum follows a commit at or after the first wrong frame, the wrong frame was durable and
 * is damaged.
 *
 * The same holds for the log's header, which is synced before the first frame is written.
 *
 * Damage in the last transaction of a log left by a crash can't be told from tearing, and is taken
 * for it. A store that was closed leaves no log.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "engine/sqlite/checksum.h"
#include "world/world.h"

#define MAGIC UINT32_C(0x377f0682)     /* sums in little-endian order */
#define MAGIC_BIG UINT32_C(0x377f0683) /* in big-endian order */
#define TOLD_MS 1000                   /* between two lines on how far it is */
#define TOLD_FRAMES 4096               /* between two looks at the clock */

struct log {
    struct world *world;
    int64_t tell_ns;
    sqlite3_file *file;
    sqlite3_int64 frames;
    unsigned char head[LOG_HEAD_SIZE];
    unsigned char frame[LOG_FRAME_SIZE];
};

static bool read_frame(struct log *log, sqlite3_int64 number)
{
    return number < log->frames &&
           log->file->pMethods->xRead(log->file, log->frame, LOG_FRAME_SIZE,
                                      LOG_HEAD_SIZE + number * LOG_FRAME_SIZE) == SQLITE_OK;
}

static struct log_sum sum_after(const struct log *log, struct log_sum before)
{
    return log_sum_of_frame(before, log->frame, log->frame + LOG_FRAME_HEAD_SIZE);
}

static struct log_sum stored_sum(const struct log *log)
{
    return log_sum_read(log->frame + 16);
}

/* Whether the frame follows from `before` and belongs to this generation of the log. */
static bool frame_follows(const struct log *log, struct log_sum before, const unsigned char *salt)
{
    return log_integer(log->frame) != 0 && memcmp(log->frame + 8, salt, 8) == 0 &&
           log_sum_equal(sum_after(log, before), stored_sum(log));
}

static void tell_progress(struct log *log, sqlite3_int64 number)
{
    if (number % TOLD_FRAMES != 0 || world_monotonic_ns(log->world) < log->tell_ns)
        return;
    log_info("log-checked",
             "the store's log, left by a process that was killed, is being checked and made "
             "durable: %lld of %lld MB",
             (long long)(number * LOG_FRAME_SIZE / 1000000),
             (long long)(log->frames * LOG_FRAME_SIZE / 1000000));
    log->tell_ns = world_in_ms(log->world, TOLD_MS);
}

/* The number of the first wrong frame; *ret_before: the sum up to it. */
static sqlite3_int64 first_wrong(struct log *log, struct log_sum *ret_before)
{
    sqlite3_int64 number = 0;
    *ret_before = log_sum_read(log->head + 24);
    while (read_frame(log, number) && frame_follows(log, *ret_before, log->head + 16)) {
        *ret_before = stored_sum(log);
        number++;
        tell_progress(log, number);
    }
    return number;
}

/* Whether another transaction follows the one whose frames are wrong from `wrong` on. */
static bool was_durable(struct log *log, sqlite3_int64 wrong, struct log_sum before)
{
    unsigned char salt[8];
    memcpy(salt, log->head + 16, sizeof salt);
    for (sqlite3_int64 number = wrong; read_frame(log, number); number++) {
        bool commits = log_integer(log->frame + 4) != 0 &&
                       (number == wrong || memcmp(log->frame + 8, salt, sizeof salt) == 0);
        struct log_sum stored = stored_sum(log), computed = sum_after(log, before);
        if (!commits || !read_frame(log, number + 1))
            continue;
        if (frame_follows(log, stored, salt) ||
            (number == wrong && frame_follows(log, computed, salt)))
            return true;
    }
    return false;
}

/* The header is wrong: whether any frame shows that it was once right. */
static bool head_was_durable(struct log *log)
{
    struct log_sum zero = {0, 0};
    struct log_sum starts[] = {log_sum_read(log->head + 24), log_sum_add(zero, log->head, 24)};
    for (sqlite3_int64 number = 0; read_frame(log, number); number++) {
        unsigned char salt[8];
        memcpy(salt, log->frame + 8, sizeof salt);
        if (number == 0 &&
            (frame_follows(log, starts[0], salt) || frame_follows(log, starts[1], salt)))
            return true;
        struct log_sum stored = stored_sum(log);
        if (read_frame(log, number + 1) && frame_follows(log, stored, salt))
            return true;
    }
    return false;
}

static enum fh_code judge_log(struct log *log, const char *path, struct fh_error *error)
{
    const char *name = sqlite_checksum_tail(path);
    struct log_sum zero = {0, 0};
    uint32_t magic = log_integer(log->head), own = MAGIC;
    bool little = *(const unsigned char *)&own == (MAGIC & 0xff);
    if (magic == (little ? MAGIC_BIG : MAGIC))
        return error_set(error, FH_UNAVAILABLE,
                         "The log %s was written on a machine of another byte order; start the "
                         "service there again.",
                         name);
    if (magic != (little ? MAGIC : MAGIC_BIG) || log_integer(log->head + 8) != CHECKSUM_PAGE_SIZE ||
        !log_sum_equal(log_sum_add(zero, log->head, 24), log_sum_read(log->head + 24))) {
        if (!head_was_durable(log))
            return FH_OK;
        return error_set(error, FH_UNAVAILABLE,
                         "The head of the log %s is damaged: restore the store from a backup.",
                         name);
    }
    struct log_sum before;
    sqlite3_int64 wrong = first_wrong(log, &before);
    if (!was_durable(log, wrong, before))
        return FH_OK;
    return error_set(error, FH_UNAVAILABLE,
                     "Frame %lld of the log %s is damaged, and others were committed after it: "
                     "restore the store from a backup.",
                     (long long)wrong + 1, name);
}

static enum fh_code check_open(struct log *log, const char *path, struct fh_error *error)
{
    sqlite3_int64 size = 0;
    int result = log->file->pMethods->xFileSize(log->file, &size);
    if (result == SQLITE_OK && size < LOG_HEAD_SIZE)
        return FH_OK;
    if (result == SQLITE_OK)
        result = log->file->pMethods->xRead(log->file, log->head, LOG_HEAD_SIZE, 0);
    if (result != SQLITE_OK)
        return error_set(error, FH_UNAVAILABLE, "The log %s can't be read: %s.",
                         sqlite_checksum_tail(path), sqlite3_errstr(result));
    log->frames = (size - LOG_HEAD_SIZE) / LOG_FRAME_SIZE;
    return judge_log(log, path, error);
}

enum fh_code sqlite_log_check(struct world *world, const char *database_path,
                              struct fh_error *error)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(world->vfs);
    char path[4200];
    snprintf(path, sizeof path, "%s-wal", database_path);
    const char *name = sqlite3_create_filename(database_path, "", path, 0, NULL);
    struct log *log = calloc(1, sizeof *log);
    sqlite3_file *file = vfs ? calloc(1, (size_t)vfs->szOsFile) : NULL;
    enum fh_code code;
    if (!name || !log || !file) {
        code = error_set(error, FH_NO_MEMORY, "No memory to read through the log %s.", path);
    } else {
        log->file = file;
        log->world = world;
        log->tell_ns = world_in_ms(world, TOLD_MS);
        int flags = SQLITE_OPEN_WAL | SQLITE_OPEN_READWRITE;
        int result = vfs->xOpen(vfs, sqlite3_filename_wal(name), file, flags, &flags);
        if (result == SQLITE_OK)
            code = check_open(log, path, error);
        else
            code = error_set(error, FH_UNAVAILABLE, "The log %s can't be opened: %s.", path,
                             sqlite3_errstr(result));
        if (file->pMethods)
            file->pMethods->xClose(file);
    }
    if (name)
        sqlite3_free_filename((char *)(uintptr_t)name);
    free(file);
    free(log);
    return code;
}
