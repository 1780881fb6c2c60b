/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who owns a folder in the state folder says whose the files in it are. Changing that runs as root
 * in a folder that a compromised service may have prepared, or still changes, so:
 *
 *  - only what belonged to the folder's owner is given: a link to anyone else's file stays theirs,
 *    even when its other names are gone by now (as with /etc/shadow after passwd has replaced it)
 *  - of files, only regular ones with a single link
 *  - each is opened first, as a path only and through no link, then looked at, then given, all by
 *    its descriptor: what has its name by then does not matter
 *  - the folder itself comes last, and while it is under way the folder's group is the new user's
 *    number, so that what was interrupted is finished, even if somebody else gets the folder next
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

#include "system/provision/keys.h"
#include "system/provision/namespace.h"
#include "system/provision/numbers.h"

#define STATE_MODE 0711 /* others may pass through it, not list it */
#define GIVE_DEPTH_MAX 16
#define SERVER_NUMBERS                                                                             \
    ".servers" /* names of private servers in numbers.h: .servers/users-redis                      \
                */

uid_t users_of(const struct provision *provision, const char *name)
{
    if (!provision->options.file->users || geteuid() != 0)
        return 0;
    uid_t user = numbers_of(provision->numbers, name);
    FH_ASSERT(user != 0); /* which would be root */
    return user;
}

enum fh_code users_of_server(struct provision *provision, const char *name, uid_t *ret,
                             struct fh_error *error)
{
    const char *key = arena_printf(&provision->arena, "%s/%s", SERVER_NUMBERS, name);
    *ret = numbers_of(provision->numbers, key);
    if (*ret)
        return FH_OK;
    FH_ASSERT(provision->numbers != NULL);
    enum fh_code code = numbers_add(provision->numbers, key, error);
    if (code == FH_OK)
        code = numbers_write(&provision->state, provision->numbers, error);
    *ret = numbers_of(provision->numbers, key);
    return code;
}

/* ---- The way to the state folder ---- */

/* Every folder on the way to `path` must let others through. Overwrites `path`. */
static enum fh_code check_passable(char *path, const char *who, const char *what,
                                   const char *instead, struct fh_error *error)
{
    struct stat status;
    for (char *slash = strrchr(path, '/'); slash && slash != path; slash = strrchr(path, '/')) {
        *slash = '\0';
        if (stat(path, &status) != 0 || !(status.st_mode & S_IXOTH))
            return error_set(error, FH_INVALID,
                             "%s needs a way to the %s for other users, and %.80s (mode %04o) "
                             "gives none; %s, or let up make mount namespaces (CAP_SYS_ADMIN).",
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

enum fh_code users_let_pass(const struct provision *provision, const char *who,
                            struct fh_error *error)
{
    const struct state *state = &provision->state;
    if (provision->covered)
        return FH_OK;
    enum fh_code code = check_ways(state, who, error);
    if (code == FH_OK && fchmod(state->folder_fd, STATE_MODE) != 0)
        code = error_set_errno(error, FH_UNAVAILABLE, errno, "%s can't be opened to be passed",
                               state->folder);
    return code;
}

/* ---- Numbers ---- */

static enum fh_code draw_numbers(struct provision *provision, struct fh_error *error)
{
    const struct system_file *file = provision->options.file;
    const struct provision_options *options = &provision->options;
    bool unregistered;
    enum fh_code code = numbers_read(&provision->state, &provision->numbers, &unregistered, error);
    for (size_t i = 0; i < file->service_count && code == FH_OK; i++)
        code = numbers_add(provision->numbers, file->services[i].name, error);
    if (code == FH_OK)
        code = numbers_add(provision->numbers, KEYS_GATEWAY, error);
    if (code == FH_OK)
        code = numbers_write(&provision->state, provision->numbers, error);
    if (code == FH_OK && unregistered)
        options->say(options->context, "user-numbers-unregistered",
                     "the register " NUMBERS_REGISTER " can't be written: another system on this "
                     "machine might draw the same user numbers");
    return code;
}

static void find_namespaces(struct provision *provision)
{
    const struct provision_options *options = &provision->options;
    char why[NAMESPACE_WHY_SIZE], text[NAMESPACE_WHY_SIZE + 160];
    if (!options->file->namespaces)
        return;
    provision->covered = namespace_possible(why);
    if (provision->covered)
        return;
    snprintf(text, sizeof text,
             "no mount namespaces can be made here (%s): processes see which files there are, and "
             "only modes and Landlock keep them out",
             why);
    options->say(options->context, "namespaces-unsupported", text);
}

enum fh_code users_prepare(struct provision *provision, struct fh_error *error)
{
    const struct system_file *file = provision->options.file;
    if (file->users && geteuid() != 0)
        return error_set(error, FH_INVALID,
                         "isolation: users needs root. Without it each process is confined by "
                         "Landlock and a mount namespace, and all run as one user.");
    find_namespaces(provision);
    enum fh_code code = geteuid() == 0 ? draw_numbers(provision, error) : FH_OK;
    return code == FH_OK && file->users ? users_let_pass(provision, "isolation: users", error)
                                        : code;
}

void users_look(struct provision *provision)
{
    find_namespaces(provision);
    if (geteuid() == 0)
        state_read_json(provision->state.folder_fd, NUMBERS_FILE, &provision->numbers,
                        ERROR_UNHEEDED);
}

/* Whether it is being given to the user with the group's number (users_give). */
static bool is_being_given(const struct stat *folder)
{
    return folder->st_gid != folder->st_uid &&
           (numbers_are_ours(folder->st_gid) ||
            (folder->st_gid == 0 && numbers_are_ours(folder->st_uid)));
}

enum fh_code users_of_folder(int folder_fd, uid_t *ret_user, gid_t *ret_group,
                             struct fh_error *error)
{
    struct stat status;
    *ret_user = 0;
    *ret_group = 0;
    if (fstat(folder_fd, &status) != 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "A service's folder can't be read");
    if (geteuid() == 0) {
        *ret_user = is_being_given(&status) ? status.st_gid : status.st_uid;
        *ret_group = status.st_gid;
    }
    return FH_OK;
}

/* ---- Giving ---- */

struct giving {
    uid_t from, to;
    gid_t group;
    dev_t device;
    struct fh_error *error;
};

static enum fh_code give_folder(const struct giving *giving, int folder_fd, int depth);

static enum fh_code give_entry(const struct giving *giving, int folder_fd, const char *name,
                               int depth)
{
    struct stat status;
    int fd = openat(folder_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return FH_OK; /* it has vanished */
    enum fh_code code = FH_OK;
    bool known =
        fstat(fd, &status) == 0 && status.st_dev == giving->device && status.st_uid == giving->from;
    bool file = known && S_ISREG(status.st_mode) && status.st_nlink == 1;
    bool folder = known && S_ISDIR(status.st_mode);
    if (folder && depth < GIVE_DEPTH_MAX)
        code = give_folder(giving, fd, depth + 1);
    if (code == FH_OK && (file || folder) &&
        fchownat(fd, "", giving->to, giving->group, AT_EMPTY_PATH) != 0)
        code = error_set_errno(giving->error, FH_UNAVAILABLE, errno,
                               "%.100s can't be given to user %u", name, (unsigned)giving->to);
    close(fd);
    return code;
}

static enum fh_code give_folder(const struct giving *giving, int folder_fd, int depth)
{
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (!folder)
        return error_set_errno(giving->error, FH_UNAVAILABLE, errno,
                               "A service's folder can't be listed");
    enum fh_code code = FH_OK;
    for (const struct dirent *entry; code == FH_OK && (entry = readdir(folder));) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            code = give_entry(giving, fd, entry->d_name, depth);
    }
    closedir(folder);
    return code;
}

static enum fh_code give_all(int folder_fd, const struct giving *giving)
{
    enum fh_code code = give_folder(giving, folder_fd, 0);
    if (code == FH_OK && fchown(folder_fd, giving->to, giving->group) != 0)
        code = error_set_errno(giving->error, FH_UNAVAILABLE, errno,
                               "The folder can't be given to user %u", (unsigned)giving->to);
    return code;
}

enum fh_code users_give(int folder_fd, uid_t user, gid_t group, struct fh_error *error)
{
    struct stat status;
    enum fh_code code = FH_OK;
    if (geteuid() != 0)
        return FH_OK;
    if (fstat(folder_fd, &status) != 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "A service's folder can't be read");
    uid_t owner = status.st_uid;
    if (is_being_given(&status)) {
        const struct giving begun = {owner, status.st_gid, status.st_gid, status.st_dev, error};
        code = give_all(folder_fd, &begun);
        owner = status.st_gid;
    }
    if (code != FH_OK || owner == user || (user == 0 && !numbers_are_ours(owner)))
        return code;
    const struct giving giving = {owner, user, group, status.st_dev, error};
    if (fchown(folder_fd, owner, (gid_t)user) != 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "A service's folder can't be given");
    return give_all(folder_fd, &giving);
}
