/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files in a folder are given to a user each time the system comes up, by the process's place
 * in the system file: a service that changes place keeps its files, and removing `isolation` gives
 * them back. Only regular files with a single link are given: a compromised service may have left
 * links behind, and this runs as root.
 */

#define _GNU_SOURCE
#include "system/provision/users.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "system/provision/provision.h"

#define STATE_MODE 0711 /* others may pass through it, not list it */

uid_t users_of(const struct system_file *file, size_t part)
{
    return file->users ? (uid_t)(USERS_FIRST + part) : 0;
}

/* Every folder on the way to `path` must let others through. Overwrites `path`. */
static enum fh_code check_passable(char *path, const char *who, const char *what,
                                   const char *instead, struct fh_error *error)
{
    struct stat status;
    for (char *slash = strrchr(path, '/'); slash && slash != path; slash = strrchr(path, '/')) {
        *slash = '\0';
        if (stat(path, &status) != 0 || !(status.st_mode & S_IXOTH))
            return error_set(error, FH_INVALID,
                             "%s needs a way to the %s for other users, and %.100s (mode %04o) "
                             "gives none; %s.",
                             who, what, path, (unsigned)status.st_mode & 0777, instead);
    }
    return FH_OK;
}

/* The way to this program too: as another user it supervises a server, or is the gateway. */
static enum fh_code check_ways(const struct state *state, const char *who, struct fh_error *error)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", state->folder);
    enum fh_code code = check_passable(path, who, "state folder", "choose another --state", error);
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    FH_ASSERT(length > 0);
    path[length] = '\0';
    return code == FH_OK
               ? check_passable(path, who, "command freehold", "put it where others get to", error)
               : code;
}

enum fh_code users_prepare(const struct system_file *file, const struct state *state,
                           struct fh_error *error)
{
    if (!file->users)
        return FH_OK;
    if (geteuid() != 0)
        return error_set(error, FH_INVALID,
                         "isolation: users needs root. Without it each process is confined by "
                         "Landlock, and all run as one user.");
    return users_let_pass(state, "isolation: users", error);
}

enum fh_code users_let_pass(const struct state *state, const char *who, struct fh_error *error)
{
    enum fh_code code = check_ways(state, who, error);
    if (code == FH_OK && fchmod(state->folder_fd, STATE_MODE) != 0)
        code = error_set_errno(error, FH_UNAVAILABLE, errno, "%s can't be opened to be passed",
                               state->folder);
    return code;
}

static bool is_given(uid_t owner)
{
    return owner >= USERS_FIRST && owner < USERS_FIRST + PROVISION_PARTS_MAX;
}

/* Whether it is ours to give, and not already given. Files are only taken back from users of this
 * kind. */
static bool is_to_give(const struct stat *status, uid_t user)
{
    return status->st_uid != user && (user || is_given(status->st_uid));
}

static enum fh_code give_files(int folder_fd, uid_t user, struct fh_error *error)
{
    struct stat status;
    DIR *folder = fdopendir(openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    enum fh_code code = FH_OK;
    for (struct dirent *entry; folder && code == FH_OK && (entry = readdir(folder));) {
        if (fstatat(folder_fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(status.st_mode) || status.st_nlink != 1 || !is_to_give(&status, user))
            continue;
        if (fchownat(folder_fd, entry->d_name, user, user, AT_SYMLINK_NOFOLLOW) != 0)
            code = error_set_errno(error, FH_UNAVAILABLE, errno, "%s can't be given to user %u",
                                   entry->d_name, (unsigned)user);
    }
    if (folder)
        closedir(folder);
    return code;
}

enum fh_code users_give(int folder_fd, uid_t user, struct fh_error *error)
{
    struct stat status;
    if (geteuid() != 0)
        return FH_OK;
    enum fh_code code = give_files(folder_fd, user, error);
    if (code == FH_OK && fstat(folder_fd, &status) == 0 && is_to_give(&status, user) &&
        fchown(folder_fd, user, user) != 0)
        code = error_set_errno(error, FH_UNAVAILABLE, errno, "The folder can't be given to user %u",
                               (unsigned)user);
    return code;
}
