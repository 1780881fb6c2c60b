/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files first, then the manifest: written under another name, synced, renamed, and the folder
 * synced. A crash before that leaves a folder that nobody takes for a backup. Files from a
 * service's folder are checked after opening them, not before: the service could put a link there.
 */

#define _GNU_SOURCE
#include "system/backup/backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crash.h"
#include "base/id.h"
#include "base/json.h"
#include "service/process.h"
#include "system/provision/state.h"

/* ---- The folder ---- */

static bool is_empty_folder(int folder_fd)
{
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    int count = 0;
    while (folder && readdir(folder))
        count++;
    if (folder)
        closedir(folder);
    return folder && count <= 2; /* "." and ".." */
}

static enum fh_code folder_open(const char *folder, int *ret_fd, struct fh_error *error)
{
    *ret_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*ret_fd >= 0)
        return FH_OK;
    return error_set_errno(error, errno == ENOENT ? FH_NOT_FOUND : FH_UNAVAILABLE, errno,
                           "The folder %.120s can't be opened", folder);
}

enum fh_code backup_folder_make(const char *folder, int *ret_fd, struct fh_error *error)
{
    bool made = mkdir(folder, 0700) == 0 || errno == EEXIST;
    if (!made && errno == ENOENT)
        return error_set(error, FH_NOT_FOUND,
                         "The folder %.120s can't be made: the one above it is not there.", folder);
    if (!made)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "The folder %.120s can't be made",
                               folder);
    enum fh_code code = folder_open(folder, ret_fd, error);
    if (code != FH_OK)
        return code;
    if (is_empty_folder(*ret_fd) && fchmod(*ret_fd, 0700) == 0)
        return FH_OK;
    close(*ret_fd);
    return error_set(error, FH_INVALID,
                     "%.110s is not empty, or not yours: a backup needs a new or an empty folder.",
                     folder);
}

/* ---- The manifest ---- */

#define TEXT_SIZE_MAX 256 /* of what others say */

static bool is_count(const json_t *said, const char *name)
{
    json_int_t value;
    const char *digits = json_string_at(said, name);
    return (!digits || strlen(digits) < TEXT_SIZE_MAX) && json_integer_at(said, name, &value) &&
           value >= 0;
}

static bool is_text(const json_t *said, const char *name, size_t length)
{
    const char *text = json_string_at(said, name);
    return text && *text && (length == 0 ? strlen(text) < TEXT_SIZE_MAX : strlen(text) == length);
}

bool backup_is_sealed(const json_t *manifest)
{
    return json_integer_value(json_object_get(manifest, "freehold_backup")) == BACKUP_FORMAT_SEALED;
}

void backup_file_name(const char *service, bool sealed, char ret[static BACKUP_FILE_SIZE])
{
    snprintf(ret, BACKUP_FILE_SIZE, "%.*s.%s", BACKUP_NAME_SIZE - 1, service,
             sealed ? "sealed" : "db");
}

const char *backup_wrong_with(const char *service, const json_t *said, bool sealed)
{
    static const char *const counts[] = {"position", "taken_ms", "migration", "rows", "size"};
    char file[BACKUP_FILE_SIZE];
    backup_file_name(service, sealed, file);
    const char *named = json_string_at(said, "file");
    if (!named || strcmp(named, file) != 0 || strchr(file, '/'))
        return "file";
    if (!is_text(said, "model", 0))
        return "model";
    if (!is_text(said, "engine", 0))
        return "engine";
    if (!is_text(said, "incarnation", ID_SIZE - 1))
        return "incarnation";
    if (!is_text(said, "sha256", BACKUP_SUM_SIZE - 1))
        return "sha256";
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        if (!is_count(said, counts[i]))
            return counts[i];
    }
    return NULL;
}

enum fh_code backup_manifest_check(const json_t *manifest, struct fh_error *error)
{
    json_int_t format = 0;
    const char *service;
    json_t *said, *services = json_object_get(manifest, "services");
    if (!json_integer_at(manifest, "freehold_backup", &format))
        return error_set(error, FH_INVALID, "It is not the manifest of a backup.");
    if (format != BACKUP_FORMAT && format != BACKUP_FORMAT_SEALED)
        return error_set(error, FH_UNSUPPORTED,
                         "The backup has format %lld; this program knows formats up to %d.",
                         (long long)format, BACKUP_FORMAT_SEALED);
    if (!is_text(manifest, "system", 0) || !is_count(manifest, "taken_ms") ||
        json_object_size(services) == 0)
        return error_set(error, FH_INVALID,
                         "The manifest lacks its system, its time, or its services.");
    json_object_foreach (services, service, said) {
        const char *wrong = backup_wrong_with(service, said, backup_is_sealed(manifest));
        if (wrong)
            return error_set(error, FH_INVALID, "The manifest is wrong at services.%.64s.%s.",
                             service, wrong);
    }
    return FH_OK;
}

enum fh_code backup_open(const char *folder, int *ret_fd, json_t **ret, struct fh_error *error)
{
    struct fh_error why = {0};
    *ret = NULL;
    enum fh_code code = folder_open(folder, ret_fd, error);
    if (code != FH_OK)
        return code;
    code = state_read_json(*ret_fd, BACKUP_MANIFEST, ret, &why);
    if (code == FH_NOT_FOUND)
        error_set(error, code,
                  "%.100s has no " BACKUP_MANIFEST ": it is not a backup, or not a complete one.",
                  folder);
    else if (code != FH_OK || (code = backup_manifest_check(*ret, &why)) != FH_OK)
        error_set(error, code, "%.80s/" BACKUP_MANIFEST ": %.100s", folder, why.message);
    if (code == FH_OK)
        return FH_OK;
    json_decref(*ret);
    *ret = NULL;
    close(*ret_fd);
    return code;
}

enum fh_code backup_finish(const char *folder, int folder_fd, json_t *manifest,
                           const struct seal *seal, struct fh_error *error)
{
    enum fh_code code = backup_manifest_check(manifest, error);
    if (code != FH_OK)
        return code;
    if (seal)
        seal_manifest(seal, manifest);
    CRASH_POINT("backup.unended");
    code = process_write(NULL, folder, BACKUP_MANIFEST, manifest, error);
    if (code == FH_OK && fsync(folder_fd) != 0)
        code = error_set_errno(error, FH_UNAVAILABLE, errno, "The folder %.120s can't be synced",
                               folder);
    return code;
}

/* ---- Files ---- */

static enum fh_code open_backup_file(int folder_fd, const char *name, int *ret_fd,
                                     struct fh_error *error)
{
    struct stat status;
    *ret_fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (*ret_fd < 0)
        return error_set_errno(error, errno == ENOENT ? FH_NOT_FOUND : FH_UNAVAILABLE, errno,
                               "The file %.80s can't be read", name);
    if (fstat(*ret_fd, &status) == 0 && S_ISREG(status.st_mode))
        return FH_OK;
    close(*ret_fd);
    return error_set(error, FH_INVALID, "%.80s is not a plain file.", name);
}

enum fh_code backup_read(int folder_fd, const char *name, struct backup_copying *copying,
                         struct fh_error *error)
{
    int fd;
    enum fh_code code = open_backup_file(folder_fd, name, &fd, error);
    if (code != FH_OK)
        return code;
    code = backup_pass(fd, -1, copying, error);
    close(fd);
    return code;
}

static enum fh_code copy_to_new(int source, int to_fd, const char *to,
                                struct backup_copying *copying, struct fh_error *error)
{
    unlinkat(to_fd, to, 0);
    int copy = state_make_file(to_fd, to, O_WRONLY);
    if (copy < 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "%.60s can't be made", to);
    enum fh_code code = backup_pass(source, copy, copying, error);
    if (code == FH_OK && fsync(copy) != 0)
        code = error_set_errno(error, FH_UNAVAILABLE, errno, "%.60s can't be written", to);
    close(copy);
    if (code != FH_OK)
        unlinkat(to_fd, to, 0);
    CRASH_POINT("backup.passed");
    return code;
}

/* `keep` false: the source has no name any more as soon as it is open, so that nothing of it is
 * left whatever happens meanwhile. */
static enum fh_code copy_backup_file(int from_fd, const char *from, bool keep, int to_fd,
                                     const char *to, struct backup_copying *copying,
                                     struct fh_error *error)
{
    int source;
    struct fh_error why;
    enum fh_code code = open_backup_file(from_fd, from, &source, error);
    if (code != FH_OK)
        return code;
    if (!keep && unlinkat(from_fd, from, 0) != 0)
        code = error_set_errno(&why, FH_UNAVAILABLE, errno, "it can't be removed");
    if (code == FH_OK)
        code = copy_to_new(source, to_fd, to, copying, &why);
    close(source);
    return code == FH_OK ? code
                         : error_set(error, code, "The file %.60s can't be copied: %.150s", from,
                                     why.message);
}

enum fh_code backup_copy(int from_fd, const char *from, int to_fd, const char *to,
                         struct backup_copying *copying, struct fh_error *error)
{
    return copy_backup_file(from_fd, from, true, to_fd, to, copying, error);
}

/* What is renamed was written by the service, whose it still is. */
static enum fh_code keep_renamed(int to_fd, const char *to, struct backup_copying *copying,
                                 struct fh_error *error)
{
    int fd;
    enum fh_code code = open_backup_file(to_fd, to, &fd, error);
    if (code != FH_OK)
        return code;
    if (fchown(fd, geteuid(), getegid()) != 0 || fchmod(fd, 0600) != 0 || fsync(fd) != 0)
        code = error_set_errno(error, FH_UNAVAILABLE, errno, "The file %.80s can't be kept", to);
    if (code == FH_OK)
        code = backup_pass(fd, -1, copying, error);
    close(fd);
    return code;
}

enum fh_code backup_take(int from_fd, const char *from, int to_fd, const char *to,
                         struct backup_copying *copying, struct fh_error *error)
{
    CRASH_POINT("backup.untaken");
    if (copying->way == BACKUP_AS_IT_IS && renameat(from_fd, from, to_fd, to) == 0)
        return keep_renamed(to_fd, to, copying, error);
    if (copying->way == BACKUP_AS_IT_IS && errno != EXDEV)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "The file %.80s can't be taken", from);
    return copy_backup_file(from_fd, from, false, to_fd, to, copying, error);
}

enum fh_code backup_check_file(int folder_fd, const char *service, const json_t *said,
                               struct backup_copying *copying, struct fh_error *error)
{
    json_int_t wanted = 0;
    struct fh_error why;
    const char *file = json_string_at(said, "file");
    copying->service = service;
    enum fh_code code = backup_read(folder_fd, file, copying, &why);
    if (code == FH_NOT_FOUND)
        return error_set(error, code, "The backup of %.64s is damaged: %s is missing.", service,
                         file);
    if (code != FH_OK && code != FH_CONFLICT) {
        *error = why;
        return code;
    }
    json_integer_at(said, "size", &wanted);
    if (copying->size != wanted)
        return error_set(error, FH_CONFLICT,
                         "The backup of %.64s is damaged: %s has %lld bytes, and had %lld.",
                         service, file, (long long)copying->size, (long long)wanted);
    if (code == FH_CONFLICT || strcmp(copying->sum, json_string_at(said, "sha256")) != 0)
        return error_set(error, FH_CONFLICT,
                         "The backup of %.64s is damaged: %s is not what it was when it was made.",
                         service, file);
    return FH_OK;
}
