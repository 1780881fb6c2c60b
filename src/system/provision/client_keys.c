/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folder is locked, not the file: that one is replaced, and a lock on the former one would lock
 * nobody out. Locks of the kernel go with the process. Whoever edits the file by hand takes no
 * lock; so it is looked at again right before it is replaced.
 *
 * A crash leaves the former file or the new one, and perhaps NAME.new, which the next change
 * removes: under the lock it is nobody else's.
 */

#define _GNU_SOURCE
#include "system/provision/client_keys.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/io.h"
#include "base/json.h"
#include "base/text.h"
#include "gateway/identity/strict.h"

#define LOCK_LOOK_MS 20

/* ---- Opening ---- */

/* Links are followed, so that what they lead to is replaced and not they. */
static enum fh_code resolve_keys_path(struct client_keys *keys, const char *path,
                                      struct fh_error *error)
{
    keys->path = realpath(path, NULL);
    if (!keys->path && errno == ENOENT) {
        const char *slash = strrchr(path, '/');
        char *folder = slash ? strndup(path, (size_t)(slash + 1 - path)) : strdup("."), *whole;
        FH_ASSERT(folder != NULL);
        char *real = realpath(folder, NULL);
        free(folder);
        if (real && asprintf(&whole, "%s/%s", real, slash ? slash + 1 : path) >= 0)
            keys->path = whole;
        free(real);
        if (!keys->path)
            return error_set(
                error, FH_UNAVAILABLE,
                "%s: its folder isn't there. Make that with mode 0700; `freehold key new` "
                "makes the file.",
                path);
    }
    if (!keys->path)
        return error_set_errno(error, FH_UNAVAILABLE, errno, "%s can't be opened", path);
    keys->name = strrchr(keys->path, '/') + 1;
    if (!*keys->name)
        return error_set(error, FH_INVALID, "%s is a folder.", path);
    return FH_OK;
}

static enum fh_code lock_keys_folder(struct client_keys *keys, struct fh_error *error)
{
    char *folder = strndup(keys->path, (size_t)(keys->name - keys->path));
    FH_ASSERT(folder != NULL);
    keys->folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int number = errno;
    free(folder);
    if (keys->folder_fd < 0)
        return error_set_errno(error, FH_UNAVAILABLE, number, "The folder of %s can't be opened",
                               keys->path);
    for (int waited_ms = 0; flock(keys->folder_fd, LOCK_EX | LOCK_NB) != 0;
         waited_ms += LOCK_LOOK_MS) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return error_set_errno(error, FH_UNAVAILABLE, errno, "The folder of %s can't be locked",
                                   keys->path);
        if (waited_ms >= CLIENT_KEYS_LOCK_MS_MAX)
            return error_set(error, FH_CONFLICT, "Another freehold key changes %s: try again.",
                             keys->path);
        poll(NULL, 0, LOCK_LOOK_MS);
    }
    return FH_OK;
}

static enum fh_code read_keys_text(struct client_keys *keys, struct text *text,
                                   struct fh_error *error)
{
    int fd = openat(keys->folder_fd, keys->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return FH_OK;
    if (fd < 0 || fstat(fd, &keys->status) != 0) {
        error_set_errno(error, FH_UNAVAILABLE, errno, "%s can't be read", keys->path);
        if (fd >= 0)
            close(fd);
        return FH_UNAVAILABLE;
    }
    keys->is_there = true;
    bool regular = S_ISREG(keys->status.st_mode);
    bool read_all = regular && io_read_text(fd, text);
    int number = errno;
    close(fd);
    if (!regular)
        return error_set(error, FH_INVALID, "%s is not a regular file.", keys->path);
    if (!read_all)
        return error_set_errno(error, FH_UNAVAILABLE, number, "%s can't be read", keys->path);
    if (text->overflow)
        return error_set(error, FH_INVALID, "%s is larger than %zu bytes.", keys->path,
                         KEY_FILE_SIZE_MAX);
    return FH_OK;
}

static enum fh_code parse_keys_text(struct client_keys *keys, const struct text *text,
                                    struct fh_error *error)
{
    struct key_set *set;
    struct fh_error fault = {0};
    enum fh_code code = key_set_parse(text->data ? text->data : "", text->length, &set, &fault);
    if (code == FH_OK)
        code = strict_object(text->data, text->length, &keys->whole, &fault);
    if (code != FH_OK)
        return error_set(error, code, "%.80s: %.100s", keys->path, fault.message);
    key_set_free(set);
    keys->keys = json_object_get(keys->whole, "keys");
    return FH_OK;
}

enum fh_code client_keys_open(struct client_keys *keys, const char *path, struct fh_error *error)
{
    struct text text;
    *keys = (struct client_keys){.folder_fd = -1};
    text_init(&text, KEY_FILE_SIZE_MAX);
    enum fh_code code = resolve_keys_path(keys, path, error);
    if (code == FH_OK)
        code = lock_keys_folder(keys, error);
    if (code == FH_OK)
        code = read_keys_text(keys, &text, error);
    if (code == FH_OK && keys->is_there) {
        code = parse_keys_text(keys, &text, error);
    } else if (code == FH_OK) {
        keys->keys = json_array();
        keys->whole = json_pack("{s:o}", "keys", keys->keys);
        FH_ASSERT(keys->whole != NULL);
    }
    text_release(&text);
    if (code != FH_OK)
        client_keys_close(keys);
    return code;
}

void client_keys_close(struct client_keys *keys)
{
    if (keys->folder_fd >= 0)
        close(keys->folder_fd);
    json_decref(keys->whole);
    free(keys->path);
    *keys = (struct client_keys){.folder_fd = -1};
}

/* ---- Saving ---- */

/* Its mode and owner are set before it has a byte. */
static bool write_keys_file(const struct client_keys *keys, const char *unfinished,
                            const char *text)
{
    unlinkat(keys->folder_fd, unfinished, 0);
    int fd = openat(keys->folder_fd, unfinished, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    const struct stat *former = &keys->status;
    bool owned = !keys->is_there || (former->st_uid == geteuid() && former->st_gid == getegid()) ||
                 fchown(fd, former->st_uid, former->st_gid) == 0;
    bool written = owned && (!keys->is_there || fchmod(fd, former->st_mode & 0666) == 0) &&
                   io_write(fd, text, strlen(text)) && fsync(fd) == 0;
    int number = errno;
    close(fd);
    errno = number;
    return written;
}

/* Whether the file is still the one that was read. */
static bool keys_are_unchanged(const struct client_keys *keys)
{
    struct stat now;
    const struct stat *then = &keys->status;
    if (fstatat(keys->folder_fd, keys->name, &now, AT_SYMLINK_NOFOLLOW) != 0)
        return !keys->is_there && errno == ENOENT;
    return keys->is_there && now.st_ino == then->st_ino && now.st_size == then->st_size &&
           now.st_ctim.tv_sec == then->st_ctim.tv_sec &&
           now.st_ctim.tv_nsec == then->st_ctim.tv_nsec;
}

static enum fh_code replace_keys_file(struct client_keys *keys, const char *text,
                                      struct fh_error *error)
{
    char *unfinished;
    enum fh_code code = FH_OK;
    if (asprintf(&unfinished, "%s.new", keys->name) < 0)
        return error_set(error, FH_NO_MEMORY, "There is no memory to write %s.", keys->path);
    if (!write_keys_file(keys, unfinished, text))
        code = error_set_errno(error, FH_UNAVAILABLE, errno, "%s can't be written", keys->path);
    else if (!keys_are_unchanged(keys))
        code = error_set(error, FH_CONFLICT,
                         "%s was changed by somebody else in the meantime: try again.", keys->path);
    else if (renameat(keys->folder_fd, unfinished, keys->folder_fd, keys->name) != 0)
        code = error_set_errno(error, FH_UNAVAILABLE, errno, "%s can't be replaced", keys->path);
    else if (fsync(keys->folder_fd) != 0)
        code = error_set_errno(error, FH_UNAVAILABLE, errno, "%s is not durable", keys->path);
    if (code != FH_OK)
        unlinkat(keys->folder_fd, unfinished, 0);
    free(unfinished);
    return code;
}

enum fh_code client_keys_save(struct client_keys *keys, struct fh_error *error)
{
    struct key_set *set;
    struct text text;
    text_init(&text, KEY_FILE_SIZE_MAX);
    char *dumped = json_dumps(keys->whole, JSON_INDENT(2));
    FH_ASSERT(dumped != NULL);
    text_add(&text, dumped);
    text_add(&text, "\n");
    json_text_free(dumped);
    enum fh_code code =
        text.overflow
            ? error_set(error, FH_INVALID, "A file of keys has at most %zu bytes.",
                        KEY_FILE_SIZE_MAX)
            : key_set_parse(text.data, text.length, &set, error); /* as the gateway will */
    if (code == FH_OK) {
        key_set_free(set);
        code = replace_keys_file(keys, text.data, error);
    }
    text_release(&text);
    return code;
}

size_t client_keys_find(const struct client_keys *keys, const char *id, size_t *ret)
{
    size_t i, count = 0;
    json_t *entry;
    json_array_foreach (keys->keys, i, entry) {
        if (strncmp(json_string_at(entry, "hash"), id, strlen(id)) != 0)
            continue;
        if (count++ == 0)
            *ret = i;
    }
    return count;
}
