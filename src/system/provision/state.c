/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock is flock(2) on up.lock: it ends with the process, so a killed `up` leaves nothing to
 * clean up. Its descriptor is close-on-exec, so services never hold it. To find out whether an `up`
 * is running, connect to control.sock; never try the lock, since that could get in the way of an
 * `up` starting at that moment.
 *
 * Socket addresses have room for 107 bytes of path; /proc/self/fd/N/control.sock is always short.
 */

#define _GNU_SOURCE
#include "system/provision/state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/io.h"
#include "base/json.h"
#include "base/text.h"

#define REMOVED_DEPTH_MAX 16 /* of folders that a service has made */

/* Whatever is written in a folder is lost with its entry in the one above. */
static bool sync_folder_above(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *above = !slash ? strdup(".") : strndup(path, slash > path ? (size_t)(slash - path) : 1);
    FH_ASSERT(above != NULL);
    int fd = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(above);
    bool synced = fd >= 0 && fsync(fd) == 0;
    int number = errno;
    if (fd >= 0)
        close(fd);
    errno = number;
    return synced;
}

/* One that is there may have been made by an `up` that ended before it was synced; not each of
 * those may be opened. */
static enum fh_code make_state_folder(const char *path, mode_t mode, struct fh_error *error)
{
    bool made = mkdir(path, mode) == 0;
    if (!made && errno != EEXIST)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "Cannot make the folder %s", path);
    if (sync_folder_above(path) || !made)
        return FH_OK;
    return error_set_errno(error, FH_UNAVAILABLE, errno, "Cannot sync the folder that %s is in",
                           path);
}

static enum fh_code make_state_folders(const char *folder, struct fh_error *error)
{
    char path[PATH_MAX];
    enum fh_code code = FH_OK;
    if (strlen(folder) >= sizeof path)
        return error_set(error, FH_INVALID, "The state folder's path is longer than %d bytes.",
                         PATH_MAX - 1);
    snprintf(path, sizeof path, "%s", folder);
    for (char *slash = strchr(path + 1, '/'); slash && code == FH_OK;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        code = make_state_folder(path, 0755, error);
        *slash = '/';
    }
    return code == FH_OK ? make_state_folder(path, 0700, error) : code;
}

bool state_make_part(const struct state *state, const char *name)
{
    bool there = mkdirat(state->folder_fd, name, 0700) == 0 || errno == EEXIST;
    return there && fsync(state->folder_fd) == 0;
}

static bool is_state_folder(int folder_fd)
{
    if (faccessat(folder_fd, "up.lock", F_OK, 0) == 0)
        return true;
    DIR *folder = fdopendir(fcntl(folder_fd, F_DUPFD_CLOEXEC, 0));
    bool empty = true;
    struct dirent *entry;
    while (folder && (entry = readdir(folder)))
        empty &= strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    if (folder)
        closedir(folder);
    return empty;
}

enum fh_code state_open(struct state *state, const char *folder, struct fh_error *error)
{
    *state = (struct state){.folder_fd = -1, .lock_fd = -1};
    char *absolute = realpath(folder, NULL);
    if (!absolute)
        return error_set_errno(error, errno == ENOENT ? FH_NOT_FOUND : FH_UNAVAILABLE, errno,
                               "Cannot open the state folder %s", folder);
    snprintf(state->folder, sizeof state->folder, "%s", absolute);
    free(absolute);
    state->folder_fd = open(state->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (state->folder_fd < 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "Cannot open the state folder %s",
                               folder);
    return FH_OK;
}

enum fh_code state_create(struct state *state, const char *folder, struct fh_error *error)
{
    *state = (struct state){.folder_fd = -1, .lock_fd = -1};
    enum fh_code code = make_state_folders(folder, error);
    if (code == FH_OK)
        code = state_open(state, folder, error);
    if (code != FH_OK)
        return code;
    if (!is_state_folder(state->folder_fd))
        code =
            error_set(error, FH_INVALID,
                      "%s holds other files and no system; name an empty or a new folder.", folder);
    else if (fchmod(state->folder_fd, 0700) != 0)
        code = error_set_errno(error, FH_UNAVAILABLE, errno,
                               "Cannot make the state folder %s private", folder);
    if (code != FH_OK)
        state_close(state);
    return code;
}

void state_close(struct state *state)
{
    state_unlock(state);
    if (state->folder_fd >= 0)
        close(state->folder_fd);
    state->folder_fd = -1;
}

enum fh_code state_lock(struct state *state, pid_t *ret_holder, struct fh_error *error)
{
    char text[32] = "";
    *ret_holder = 0;
    int fd = openat(state->folder_fd, "up.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "Cannot open %s/up.lock",
                               state->folder);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int number = errno;
        if (pread(fd, text, sizeof text - 1, 0) > 0)
            *ret_holder = (pid_t)strtol(text, NULL, 10);
        close(fd);
        if (number == EWOULDBLOCK)
            return error_set(error, FH_CONFLICT, "Another up runs with the state folder %s.",
                             state->folder);
        return error_set_errno(error, FH_UNAVAILABLE, number, "Cannot lock %s/up.lock",
                               state->folder);
    }
    int length = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)length, 0) != length) {
        close(fd);
        return error_set_errno(error, FH_UNAVAILABLE, errno, "Cannot write %s/up.lock",
                               state->folder);
    }
    state->lock_fd = fd;
    return FH_OK;
}

void state_unlock(struct state *state)
{
    if (state->lock_fd >= 0)
        close(state->lock_fd);
    state->lock_fd = -1;
}

/* ---- JSON files ---- */

/* Through the descriptor of a file that this process has just made, and that nobody else can name
 * or has opened: a service that owns the folder can't put another file in its place meanwhile. */
static bool give_to_folders_owner(int folder_fd, int fd)
{
    struct stat folder;
    return geteuid() != 0 ||
           (fstat(folder_fd, &folder) == 0 &&
            (folder.st_uid == 0 || fchown(fd, folder.st_uid, folder.st_gid) == 0));
}

int state_make_file(int folder_fd, const char *name, int flags)
{
    int fd = openat(folder_fd, name, flags | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || give_to_folders_owner(folder_fd, fd))
        return fd;
    int number = errno;
    close(fd);
    unlinkat(folder_fd, name, 0);
    errno = number;
    return -1;
}

/* What has a name is complete, after a power failure too; `durable`: so is the name. */
static enum fh_code write_state_file(int folder_fd, const char *name, const char *text,
                                     size_t length, bool durable, struct fh_error *error)
{
    char unfinished[300];
    snprintf(unfinished, sizeof unfinished, "%s.new", name);
    unlinkat(folder_fd, unfinished, 0);
    int fd = state_make_file(folder_fd, unfinished, O_WRONLY);
    if (fd < 0)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "Cannot write %s", name);
    bool written = io_write(fd, text, length) && fsync(fd) == 0;
    int number = errno;
    close(fd);
    if (written && renameat(folder_fd, unfinished, folder_fd, name) == 0) {
        if (!durable || fsync(folder_fd) == 0)
            return FH_OK;
        return error_set_errno(error, FH_UNAVAILABLE, errno, "%s is not durable", name);
    }
    if (written)
        number = errno;
    unlinkat(folder_fd, unfinished, 0);
    return error_set_errno(error, FH_UNAVAILABLE, number, "Cannot write %s", name);
}

static enum fh_code write_json_file(int folder_fd, const char *name, const json_t *value,
                                    bool durable, struct fh_error *error)
{
    struct text line;
    char *text = json_text(value);
    text_init(&line, TEXT_LENGTH_MAX);
    text_add(&line, text);
    text_add(&line, "\n");
    json_text_free(text);
    enum fh_code code =
        line.overflow ? error_set(error, FH_NO_MEMORY, "There is no memory to write %s.", name)
                      : write_state_file(folder_fd, name, line.data, line.length, durable, error);
    text_release(&line);
    return code;
}

enum fh_code state_write_text(int folder_fd, const char *name, const char *text, size_t length,
                              struct fh_error *error)
{
    return write_state_file(folder_fd, name, text, length, false, error);
}

enum fh_code state_write_json(int folder_fd, const char *name, const json_t *value,
                              struct fh_error *error)
{
    return write_json_file(folder_fd, name, value, false, error);
}

enum fh_code state_write_durable(int folder_fd, const char *name, const json_t *value,
                                 struct fh_error *error)
{
    return write_json_file(folder_fd, name, value, true, error);
}

static void remove_at(int folder_fd, const char *name, int depth)
{
    if (unlinkat(folder_fd, name, 0) == 0 || errno == ENOENT || depth == REMOVED_DEPTH_MAX)
        return;
    int fd = openat(folder_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            remove_at(fd, entry->d_name, depth + 1);
    }
    if (folder)
        closedir(folder);
    else if (fd >= 0)
        close(fd);
    unlinkat(folder_fd, name, AT_REMOVEDIR);
}

void state_remove(int folder_fd, const char *name)
{
    remove_at(folder_fd, name, 0);
}

int state_open_file(int folder_fd, const char *name, int flags)
{
    struct stat status;
    int fd = openat(folder_fd, name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    /* Processes that inherit it need not know how it was opened. */
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
        fcntl(fd, F_SETFL, flags & O_APPEND) == 0)
        return fd;
    close(fd);
    errno = ENXIO; /* as open(2) has it of a FIFO that nobody reads */
    return -1;
}

enum fh_code state_read_json(int folder_fd, const char *name, json_t **ret, struct fh_error *error)
{
    struct stat status;
    *ret = NULL;
    int fd = state_open_file(folder_fd, name, O_RDONLY);
    if (fd < 0 && errno == ENXIO)
        return error_set(error, FH_INVALID, "%s is not a regular file.", name);
    if (fd < 0)
        return error_set_errno(error, errno == ENOENT ? FH_NOT_FOUND : FH_UNAVAILABLE, errno,
                               "Cannot read %s", name);
    if (fstat(fd, &status) != 0 || (size_t)status.st_size > STATE_JSON_SIZE_MAX) {
        close(fd);
        return error_set(error, FH_INVALID, "%s is too large.", name);
    }
    size_t size = (size_t)status.st_size;
    char *text = malloc(size + 1);
    FH_ASSERT(text != NULL);
    ssize_t length = io_read(fd, text, size);
    int number = errno;
    close(fd);
    enum fh_code code =
        length >= 0 ? json_parse(text, (size_t)length, ret, error)
                    : error_set_errno(error, FH_UNAVAILABLE, number, "Cannot read %s", name);
    free(text);
    return code;
}

/* ---- The control socket ---- */

static void control_address(const struct state *state, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d/control.sock",
             state->folder_fd);
}

enum fh_code state_control_listen(struct state *state, int *ret_fd, struct fh_error *error)
{
    struct sockaddr_un address;
    control_address(state, &address);
    unlinkat(state->folder_fd, "control.sock", 0);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0) {
        *ret_fd = fd;
        return FH_OK;
    }
    int number = errno;
    if (fd >= 0)
        close(fd);
    return error_set_errno(error, FH_UNAVAILABLE, number, "Cannot make %s/control.sock",
                           state->folder);
}

enum fh_code state_control_connect(const struct state *state, int *ret_fd, struct fh_error *error)
{
    struct sockaddr_un address;
    control_address(state, &address);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0) {
        *ret_fd = fd;
        return FH_OK;
    }
    int number = errno;
    if (fd >= 0)
        close(fd);
    bool nobody = number == ENOENT || number == ECONNREFUSED;
    return error_set_errno(error, nobody ? FH_NOT_FOUND : FH_UNAVAILABLE, number,
                           "Cannot reach %s/control.sock", state->folder);
}
