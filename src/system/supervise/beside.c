/* SPDX-License-Identifier: Apache-2.0 */
/* Whoever runs such a process writes its configuration, sets what it is told of, and calls
 * child_init. */

#include "system/supervise/beside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

static int64_t size_in(int folder_fd, const char *name)
{
    struct stat status;
    bool there = fstatat(folder_fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
    return there && S_ISREG(status.st_mode) ? (int64_t)status.st_size : 0;
}

enum fh_code beside_look(const struct provision_part *part, bool for_store, struct beside_room *ret,
                         struct fh_error *error)
{
    struct statvfs disk;
    *ret = (struct beside_room){.needed = BESIDE_SPARE_SIZE};
    if (for_store)
        ret->needed +=
            size_in(part->folder_fd, "store.db") + size_in(part->folder_fd, "store.db-wal");
    if (fstatvfs(part->folder_fd, &disk) != 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "The disk of %s can't be asked",
                               part->folder);
    ret->there = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
    return FH_OK;
}

void beside_init(struct child *child, struct provision_part *part, const struct provision_part *of,
                 const struct child *model, const char *stem, const char *log)
{
    *part = *of;
    part->stem = stem;
    part->listen_fd = part->inside_fd = -1;
    *child = *model;
    child->part = part;
    child->log_name = log;
    child->clock_set = NULL;
    child->keyed = NULL;
    child->log_fd = child->own_fd = -1;
    snprintf(child->config, sizeof child->config, "%s/%s.json", of->folder, stem);
    part->arguments[of->config_argument] = child->config;
}
