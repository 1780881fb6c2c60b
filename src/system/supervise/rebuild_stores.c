/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store is one file only after its process has ended in order: otherwise SQLite's log is beside
 * it, with commits that are not in it. So where either has left a log, the new one is not taken;
 * and where it is given back, its log goes before it: SQLite would apply it to the other one.
 *
 * The folder belongs to the service, which may be hostile: no link in it is followed, and what is
 * renamed stays within it.
 */

#define _GNU_SOURCE
#include "system/supervise/rebuild_stores.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crash.h"
#include "service/rebuild.h"
#include "service/rebuild_exchange.h"
#include "service/rebuild_join.h"
#include "system/provision/state.h"

#define STORE "store.db"
#define STORE_LOG STORE "-wal"
#define STORE_INDEX STORE "-shm"
#define FORMER REBUILD_FORMER ".db"
#define FILLED "filled the new store"

static bool has_log(int folder_fd)
{
    struct stat status;
    return fstatat(folder_fd, STORE_LOG, &status, AT_SYMLINK_NOFOLLOW) == 0 && status.st_size > 0;
}

static enum fh_code ended_in_order(int folder_fd, const char *which, struct fh_error *error)
{
    if (!has_log(folder_fd))
        return FH_OK;
    return error_set(error, FH_UNAVAILABLE, "The process that %s did not end in order. Try again.",
                     which);
}

static enum fh_code link_and_rename(int folder_fd, int beside_fd, struct fh_error *error)
{
    enum fh_code code = ended_in_order(folder_fd, "served", error);
    if (code == FH_OK)
        code = ended_in_order(beside_fd, FILLED, error);
    if (code != FH_OK)
        return code;
    state_remove(folder_fd, FORMER);
    if (linkat(folder_fd, STORE, folder_fd, FORMER, 0) != 0 || fsync(folder_fd) != 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "The former store can't be kept");
    CRASH_POINT("rebuild.kept");
    if (renameat(beside_fd, STORE, folder_fd, STORE) != 0 || fsync(folder_fd) != 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "The new store can't be taken");
    return FH_OK;
}

static enum fh_code rename_aside(int folder_fd, int beside_fd, struct fh_error *error)
{
    enum fh_code code = ended_in_order(beside_fd, FILLED, error);
    if (code == FH_OK &&
        (renameat(beside_fd, STORE, folder_fd, REBUILD_ASIDE) != 0 || fsync(folder_fd) != 0))
        return error_set_errno(error, FH_UNAVAILABLE, errno, "The new store can't be renamed");
    return code;
}

/* In the service's folder and the new store's. */
static enum fh_code
do_beside(int folder_fd, enum fh_code (*act)(int folder_fd, int beside_fd, struct fh_error *error),
          struct fh_error *error)
{
    int beside_fd =
        openat(folder_fd, SERVICE_REBUILD_FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (beside_fd < 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno,
                               "The new store's folder can't be opened");
    enum fh_code code = act(folder_fd, beside_fd, error);
    close(beside_fd);
    return code;
}

enum fh_code rebuild_take(int folder_fd, struct fh_error *error)
{
    return do_beside(folder_fd, link_and_rename, error);
}

enum fh_code rebuild_lay_aside(int folder_fd, struct fh_error *error)
{
    return do_beside(folder_fd, rename_aside, error);
}

enum fh_code rebuild_order_exchange(int folder_fd, const char *id, struct fh_error *error)
{
    json_t *order = json_pack("{s:s}", "rebuild", id);
    enum fh_code code = state_write_durable(folder_fd, REBUILD_ORDER, order, error);
    json_decref(order);
    CRASH_POINT("rebuild.ordered");
    return code;
}

bool rebuild_has_former(int folder_fd)
{
    struct stat status;
    return fstatat(folder_fd, FORMER, &status, AT_SYMLINK_NOFOLLOW) == 0 ||
           fstatat(folder_fd, REBUILD_ORDER, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

/* While no process uses it. FH_OK also where there is none, or the new one was not taken yet. */
enum fh_code rebuild_take_back(int folder_fd, struct fh_error *error)
{
    struct stat former, now;
    state_remove(folder_fd, REBUILD_ORDER);
    if (fsync(folder_fd) != 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno,
                               "The service's folder can't be synced");
    if (fstatat(folder_fd, FORMER, &former, AT_SYMLINK_NOFOLLOW) != 0)
        return FH_OK;
    bool same = fstatat(folder_fd, STORE, &now, AT_SYMLINK_NOFOLLOW) == 0 &&
                now.st_ino == former.st_ino && now.st_dev == former.st_dev;
    if (same || !S_ISREG(former.st_mode)) {
        state_remove(folder_fd, FORMER);
        return FH_OK;
    }
    state_remove(folder_fd, STORE_LOG);
    state_remove(folder_fd, STORE_INDEX);
    if (fsync(folder_fd) != 0 || renameat(folder_fd, FORMER, folder_fd, STORE) != 0 ||
        fsync(folder_fd) != 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "The former store can't be had back");
    return FH_OK;
}

void rebuild_sweep(int folder_fd)
{
    state_remove(folder_fd, SERVICE_REBUILD_FOLDER);
    state_remove(folder_fd, REBUILD_CONFIG);
    /* Of a service that died while it read the former one, into which it writes nothing. */
    state_remove(folder_fd, FORMER "-wal");
    state_remove(folder_fd, FORMER "-shm");
    state_remove(folder_fd, REBUILD_FORMER ".lock");
}

enum fh_code rebuild_recover(int folder_fd, struct fh_error *error)
{
    enum fh_code code = rebuild_take_back(folder_fd, error);
    if (code == FH_OK)
        rebuild_sweep(folder_fd);
    return code;
}

void rebuild_forget_former(int folder_fd)
{
    state_remove(folder_fd, FORMER);
    state_remove(folder_fd, REBUILD_ORDER);
    fsync(folder_fd);
}
