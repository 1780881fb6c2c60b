/* SPDX-License-Identifier: Apache-2.0 */
/* The files that gateway.auth names, and of them the one of API keys: what it must be, and where it
 * is, for the command that changes it. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"
#include "base/json.h"
#include "base/text.h"
#include "gateway/identity/key_file.h"
#include "system/file/auth.h"
#include "system/file/auth_reading.h"
#include "system/file/file.h"

/* ---- Files ---- */

/* Waits for no FIFO. False with a finding. */
static bool open_named_file(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                            const char *path, int *ret_fd)
{
    struct stat status;
    struct place place = yaml_place(reader, node);
    *ret_fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (*ret_fd < 0 || fstat(*ret_fd, &status) != 0)
        findings_error(reader->findings, place, "%s: %s can't be read: %s", what, path,
                       strerror(errno));
    else if (!S_ISREG(status.st_mode))
        findings_error(reader->findings, place, "%s: %s is not a regular file", what, path);
    else
        return true;
    if (*ret_fd >= 0)
        close(*ret_fd);
    return false;
}

char *auth_read_file(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                     const struct system_file *file, const char *path, size_t size_max,
                     size_t *ret_length)
{
    int fd;
    struct text text;
    if (file->keyless)
        return NULL;
    if (path[0] != '/')
        path = arena_printf(reader->arena, "%s/%s", file->folder, path);
    if (!open_named_file(reader, node, what, path, &fd))
        return NULL;
    text_init(&text, size_max);
    bool read_all = io_read_text(fd, &text);
    int number = errno;
    close(fd);
    *ret_length = text.length;
    if (read_all && !text.overflow)
        return text_take(&text);
    if (!read_all)
        findings_error(reader->findings, yaml_place(reader, node), "%s: %s can't be read: %s", what,
                       path, strerror(number));
    else
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s: %s is larger than %zu bytes", what, path, size_max);
    text_release(&text);
    return NULL;
}

/* ---- API keys ---- */

/* Whoever can write there can give themselves a key. */
static void check_keys_writers(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                               const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return;
    if (status.st_mode & 0022)
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s: others can change %s, whose mode is %04o: chmod go-w it, and look "
                       "through its keys",
                       what, path, (unsigned)status.st_mode & 0777);
    else if (status.st_uid != 0 && status.st_uid != geteuid())
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s: %s belongs to another user, %u, who can change it: chown it to the one "
                       "who runs up, or to root",
                       what, path, (unsigned)status.st_uid);
}

/* The gateway reads it itself, again and again, so only its path is passed on. */
void auth_read_keys(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    struct auth_reading *reading = into;
    struct key_set *keys;
    struct fh_error error;
    size_t length;
    const char *path = yaml_text(reader, node, what);
    if (path && path[0] != '/')
        path = arena_printf(reader->arena, "%s/%s", reading->file->folder, path);
    if (path)
        json_object_set_new(reading->into, "keys", json_string(path));
    if (path && !reading->file->keyless && access(path, F_OK) != 0 && errno == ENOENT) {
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s: there is no file %s. freehold key new makes it, with a first key", what,
                       path);
        return;
    }
    char *text =
        path ? auth_read_file(reader, node, what, reading->file, path, KEY_FILE_SIZE_MAX, &length)
             : NULL;
    if (!text)
        return;
    check_keys_writers(reader, node, what, path);
    if (key_set_parse(text, length, &keys, &error) == FH_OK)
        key_set_free(keys);
    else
        findings_error(reader->findings, yaml_place(reader, node), "%s: %s: %s", what, path,
                       error.message);
    free(text);
}

/* ---- For the command that changes the file of keys ---- */

static yaml_node_t *member_named(struct yaml_reader *reader, yaml_node_t *node, const char *name)
{
    const yaml_node_pair_t *pair = yaml_pair(reader, node, name);
    return pair ? yaml_document_get_node(&reader->document, pair->value) : NULL;
}

const char *file_keys_path(const char *path, struct arena *arena, struct findings *findings)
{
    struct yaml_reader reader = {.findings = findings, .arena = arena};
    yaml_node_t *root = yaml_open(&reader, path, SYSTEM_FILE_SIZE_MAX);
    yaml_node_t *gateway = member_named(&reader, root, "gateway");
    yaml_node_t *keys = member_named(&reader, member_named(&reader, gateway, "auth"), "keys");
    const char *named = keys ? yaml_text(&reader, keys, "gateway.auth.keys") : NULL;
    if (root && !keys)
        findings_error(findings, yaml_place(&reader, gateway ? gateway : root),
                       "the system has no file of API keys: name one in gateway.auth.keys, such as "
                       "clients/keys.json");
    char *absolute = named && named[0] != '/' ? realpath(path, NULL) : NULL;
    if (absolute) /* relative paths start where system_file.folder is */
        named = arena_printf(arena, "%.*s%s", (int)(strrchr(absolute, '/') + 1 - absolute),
                             absolute, named);
    free(absolute);
    yaml_release(&reader);
    return named;
}
