/* SPDX-License-Identifier: Apache-2.0 */
/* The file first, then the order under another name, then the rename: a crash in between leaves
 * files that the next restore removes. */

#define _GNU_SOURCE
#include "system/backup/restore.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/json.h"
#include "service/backup.h"
#include "service/process.h"
#include "service/restore.h"
#include "system/provision/state.h"

#define READY SERVICE_RESTORE_ORDER ".ready"

/* Removes all files whose names begin with `prefix`, and not with `kept`. */
static void remove_beginning(int folder_fd, const char *prefix, const char *kept)
{
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        bool begins = strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
        if (begins && (!kept || strncmp(entry->d_name, kept, strlen(kept)) != 0))
            unlinkat(folder_fd, entry->d_name, 0);
    }
    if (folder)
        closedir(folder);
}

/* Removes the files of restores that were not ordered, or have ended. An order that can't be read
 * may be of any of them. */
static void remove_unordered(int service_fd)
{
    json_t *order = NULL;
    enum fh_code code = state_read_json(service_fd, SERVICE_RESTORE_ORDER, &order, ERROR_UNHEEDED);
    const char *file = json_string_at(order, "file");
    unlinkat(service_fd, READY, 0);
    if (file || code == FH_NOT_FOUND)
        remove_beginning(service_fd, "restore-", file);
    json_decref(order);
}

void restore_remove_left(int service_fd)
{
    remove_unordered(service_fd);
    remove_beginning(service_fd, SERVICE_BACKUP_NAME ".db", NULL);
}

static enum fh_code write_order(int service_fd, const char *id, const char *file,
                                struct fh_error *error)
{
    json_t *store = NULL;
    state_read_json(service_fd, PROCESS_STORE_FILE, &store, ERROR_UNHEEDED);
    const char *replaces = json_string_at(store, "incarnation");
    json_t *order = json_pack("{s:i, s:s, s:s, s:s}", "freehold", 1, "id", id, "file", file,
                              "replaces", replaces ? replaces : "");
    enum fh_code code = state_write_json(service_fd, READY, order, error);
    json_decref(order);
    json_decref(store);
    return code;
}

enum fh_code restore_make_ready(int folder_fd, const json_t *said, int service_fd, int64_t now_ms,
                                struct backup_copying *copying, char ret_id[static ID_SIZE],
                                struct fh_error *error)
{
    char file[ID_SIZE + 16], path[ID_SIZE + 24];
    const char *from = json_string_at(said, "file");
    remove_unordered(service_fd);
    snprintf(ret_id, ID_SIZE, "%" PRId64 "-%d", now_ms, (int)getpid());
    snprintf(file, sizeof file, "restore-%s", ret_id);
    snprintf(path, sizeof path, "%s.db", file);
    enum fh_code code = backup_copy(folder_fd, from, service_fd, path, copying, error);
    if (code != FH_OK)
        return code;
    if (strcmp(copying->sum, json_string_at(said, "sha256")) != 0)
        code = error_set(error, FH_CONFLICT,
                         "The backup is damaged: %.80s is not what it was when it was made.", from);
    if (code == FH_OK)
        code = write_order(service_fd, ret_id, file, error);
    if (code != FH_OK)
        unlinkat(service_fd, path, 0);
    CRASH_POINT("restore.unordered");
    return code;
}

enum fh_code restore_order(int service_fd, struct fh_error *error)
{
    int fd = state_open_file(service_fd, READY, O_RDONLY);
    bool durable = fd >= 0 && fsync(fd) == 0;
    int number = errno;
    if (fd >= 0)
        close(fd);
    if (durable && renameat(service_fd, READY, service_fd, SERVICE_RESTORE_ORDER) == 0 &&
        fsync(service_fd) == 0)
        return FH_OK;
    return error_set_errno(error, FH_UNAVAILABLE, durable ? errno : number,
                           "The restore can't be ordered");
}

json_t *restore_result(int service_fd, const char *id)
{
    json_t *result = NULL;
    state_read_json(service_fd, SERVICE_RESTORE_RESULT, &result, ERROR_UNHEEDED);
    const char *of = json_string_at(result, "id");
    if (of && strcmp(of, id) == 0)
        return result;
    json_decref(result);
    return NULL;
}
