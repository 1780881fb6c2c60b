/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fills the embedded store of a service that is stopped, far faster than its requests would, past
 * the service but through its VFS, so that pages have their sums:
 *
 *     store fill FOLDER COUNT STATEMENT...   the statements for the numbers from 1 to COUNT
 *     store log FOLDER BYTES STATEMENT...    for as many as it takes until the log has BYTES, all
 *                                            of it committed and synced; then it ends as a process
 *                                            that is killed does, and leaves the log
 *
 * Each statement is run once for each slice of the numbers: ?1 is the slice's first, ?2 its last.
 * A slice of `fill` is one transaction, and its pages are in the database's file before the next; a
 * slice of `log` is what a group of units of work would commit.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/sqlite/checksum.h"

#define FILL_SLICE 100000
#define LOG_SLICE 240
#define STATEMENTS_MAX 8
#define LOG_COUNT_MAX 100000000

struct filling {
    sqlite3 *db;
    char path[4096], log[4200];
    sqlite3_stmt *statements[STATEMENTS_MAX];
    int count;
};

static _Noreturn void fail(const char *why)
{
    fprintf(stderr, "store: %s\n", why);
    exit(1);
}

static void run(struct filling *filling, const char *sql)
{
    if (sqlite3_exec(filling->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail(sqlite3_errmsg(filling->db));
}

/* `log_is_kept`: closing must not move it into the database. */
static void open_store(struct filling *filling, const char *folder, bool log_is_kept)
{
    struct sqlite_checksum *checksum = sqlite_checksum_new(NULL);
    snprintf(filling->path, sizeof filling->path, "%s/store.db", folder);
    snprintf(filling->log, sizeof filling->log, "%s-wal", filling->path);
    if (!checksum)
        fail("no memory");
    if (sqlite3_open_v2(filling->path, &filling->db, SQLITE_OPEN_READWRITE,
                        sqlite_checksum_name(checksum)) != SQLITE_OK)
        fail(sqlite3_errmsg(filling->db));
    sqlite3_db_config(filling->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, log_is_kept, NULL);
    run(filling, "PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-200000; PRAGMA synchronous=OFF");
}

static void prepare(struct filling *filling, char **statements, int count)
{
    if (count > STATEMENTS_MAX)
        fail("so many statements are not expected");
    for (filling->count = 0; filling->count < count; filling->count++)
        if (sqlite3_prepare_v2(filling->db, statements[filling->count], -1,
                               &filling->statements[filling->count], NULL) != SQLITE_OK)
            fail(sqlite3_errmsg(filling->db));
}

static void run_slice(struct filling *filling, long long first, long long last)
{
    run(filling, "BEGIN IMMEDIATE");
    for (int i = 0; i < filling->count; i++) {
        sqlite3_stmt *statement = filling->statements[i];
        int parameters = sqlite3_bind_parameter_count(statement);
        if (parameters > 0)
            sqlite3_bind_int64(statement, 1, first);
        if (parameters > 1)
            sqlite3_bind_int64(statement, 2, last);
        while (sqlite3_step(statement) == SQLITE_ROW)
            continue;
        if (sqlite3_reset(statement) != SQLITE_OK)
            fail(sqlite3_errmsg(filling->db));
    }
    run(filling, "COMMIT");
}

static void sync_file(const char *path)
{
    FILE *file = fopen(path, "r+");
    if (!file || fsync(fileno(file)) != 0)
        fail("a file can't be synced");
    fclose(file);
}

static void fill(struct filling *filling, long long count)
{
    for (long long first = 1; first <= count; first += FILL_SLICE) {
        long long last = first + FILL_SLICE - 1;
        run_slice(filling, first, last < count ? last : count);
        run(filling, "PRAGMA wal_checkpoint(TRUNCATE)");
    }
    for (int i = 0; i < filling->count; i++)
        sqlite3_finalize(filling->statements[i]);
    if (sqlite3_close(filling->db) != SQLITE_OK)
        fail(sqlite3_errmsg(filling->db));
    sync_file(filling->path);
}

static long long log_size(const struct filling *filling)
{
    struct stat status;
    return stat(filling->log, &status) == 0 ? (long long)status.st_size : 0;
}

static void leave_log(struct filling *filling, long long bytes)
{
    for (long long first = 1; log_size(filling) < bytes; first += LOG_SLICE) {
        if (first > LOG_COUNT_MAX)
            fail("the statements write too little for such a log");
        run_slice(filling, first, first + LOG_SLICE - 1);
    }
    sync_file(filling->log);
    _exit(0);
}

int main(int argc, char **argv)
{
    static struct filling filling;
    const char *what = argc > 4 ? argv[1] : "";
    char none[] = "", *end = none;
    long long wanted = argc > 4 ? strtoll(argv[3], &end, 10) : 0;
    bool fills = strcmp(what, "fill") == 0, logs = strcmp(what, "log") == 0;
    if ((!fills && !logs) || *end || wanted <= 0)
        fail("store fill FOLDER COUNT STATEMENT..., or store log FOLDER BYTES STATEMENT...");
    open_store(&filling, argv[2], logs);
    prepare(&filling, argv + 4, argc - 4);
    if (fills)
        fill(&filling, wanted);
    else
        leave_log(&filling, wanted);
    return 0;
}
