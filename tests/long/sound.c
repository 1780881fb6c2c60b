/* SPDX-License-Identifier: Apache-2.0 */
/* sound FILE...: whether what a process has left of an embedded store can be read: its log and each
 * page by their checksums, its tables and indexes by SQLite's own check. As the next start would:
 * the log is recovered. */

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "engine/sqlite/checksum.h"
#include "world/real.h"

#define RESERVED_AT 20 /* in the file's head: how many bytes each page reserves */

static bool has_sums(const char *path)
{
    unsigned char head[RESERVED_AT + 1] = {0};
    FILE *file = fopen(path, "rb");
    bool has = file && fread(head, sizeof head, 1, file) == 1 && head[RESERVED_AT] == CHECKSUM_SIZE;
    if (file)
        fclose(file);
    return has;
}

static bool says_ok(sqlite3 *db, const char *path)
{
    sqlite3_stmt *check = NULL;
    bool ok = sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &check, NULL) == SQLITE_OK &&
              sqlite3_step(check) == SQLITE_ROW &&
              strcmp((const char *)sqlite3_column_text(check, 0), "ok") == 0;
    if (!ok) {
        const char *said = check ? (const char *)sqlite3_column_text(check, 0) : NULL;
        printf("%s: %s (%s)\n", path, said ? said : "no answer", sqlite3_errmsg(db));
    }
    sqlite3_finalize(check);
    return ok;
}

static bool is_sound(struct world *world, struct sqlite_checksum *checksum, const char *path)
{
    struct fh_error error;
    sqlite3 *db = NULL;
    char log[4200];
    int64_t size = 0;
    snprintf(log, sizeof log, "%s-wal", path);
    bool has_log = world->files->size(world, log, &size) == 0 && size > 0;
    if (has_log && sqlite_log_check(world, path, &error) != FH_OK) {
        printf("%s\n", error.message);
        return false;
    }
    bool sound = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE,
                                 sqlite_checksum_name(checksum)) == SQLITE_OK &&
                 says_ok(db, path);
    sqlite3_close(db);
    return sound;
}

int main(int count, char **arguments)
{
    uv_loop_t loop;
    int unsound = 0;
    if (uv_loop_init(&loop) != 0)
        return 2;
    struct world *world = world_real_new(&loop, ERROR_UNHEEDED);
    struct sqlite_checksum *checksum = sqlite_checksum_new(NULL);
    if (!world || !checksum)
        return 2;
    for (int i = 1; i < count; i++)
        unsound += has_sums(arguments[i]) && !is_sound(world, checksum, arguments[i]);
    sqlite_checksum_free(checksum);
    world_real_free(world);
    uv_run(&loop, UV_RUN_DEFAULT);
    return unsound ? 1 : 0;
}
