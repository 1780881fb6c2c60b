/* SPDX-License-Identifier: Apache-2.0 */
/* See secret_file.h. */

#define _GNU_SOURCE
#include "system/file/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/io.h"

#define SECRET_FILE_SIZE_MAX 4096
#define SECRET_SIZE 512
#define BLANKS " \t\r\n"

enum secret_fault secret_file_fault(const struct stat *status)
{
    mode_t closed = status->st_uid == 0 && geteuid() != 0 ? 0037 : 0077;
    if (!S_ISREG(status->st_mode))
        return SECRET_NO_FILE;
    if (status->st_mode & closed)
        return SECRET_OPEN;
    return status->st_uid == 0 || status->st_uid == geteuid() ? SECRET_SOUND : SECRET_OF_ANOTHER;
}

static enum fh_code check_secret_file(int fd, const char *path, struct fh_error *error)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return error_set_errno(error, FH_INVALID, errno, "%s can't be read", path);
    switch (secret_file_fault(&status)) {
    case SECRET_SOUND:
        return FH_OK;
    case SECRET_NO_FILE:
        return error_set(error, FH_INVALID, "%s is not a regular file.", path);
    case SECRET_OPEN:
        return error_set(error, FH_INVALID,
                         "Others can use the key in %s, whose mode is %04o: chmod 600 it, and take "
                         "a new key if they may have read it.",
                         path, (unsigned)status.st_mode & 0777);
    case SECRET_OF_ANOTHER:
        break;
    }
    return error_set(error, FH_INVALID,
                     "%s belongs to another user, %u: chown it to the one who runs this, or "
                     "to root.",
                     path, (unsigned)status.st_uid);
}

static bool take_secret_line(const char *text, size_t length, char *ret, size_t size)
{
    while (length > 0 && strchr(BLANKS, text[length - 1]) && text[length - 1])
        length--;
    while (length > 0 && *text && strchr(BLANKS, *text)) {
        text++;
        length--;
    }
    if (length == 0 || length >= size)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] <= ' ' || text[i] >= 0x7f)
            return false;
    }
    memcpy(ret, text, length);
    ret[length] = '\0';
    return true;
}

enum fh_code secret_file_read(const char *path, char *ret, size_t size, struct fh_error *error)
{
    char buffer[SECRET_FILE_SIZE_MAX];
    ssize_t length = -1;
    /* A pipe would make us wait for whoever writes to it. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return error_set_errno(error, FH_INVALID, errno, "%s can't be read", path);
    enum fh_code code = check_secret_file(fd, path, error);
    if (code == FH_OK && (length = io_read(fd, buffer, sizeof buffer)) < 0)
        code = error_set_errno(error, FH_INVALID, errno, "%s can't be read", path);
    if (code == FH_OK && length == sizeof buffer)
        code = error_set_errno(error, FH_INVALID, EFBIG, "%s can't be read", path);
    if (code == FH_OK && !take_secret_line(buffer, (size_t)length, ret, size))
        code = error_set(error, FH_INVALID,
                         "%s must hold a key of at most %zu visible characters on one line, and "
                         "nothing else.",
                         path, size - 1);
    sodium_memzero(buffer, sizeof buffer);
    close(fd);
    return code;
}

const char *file_read_secret(struct yaml_reader *reader, yaml_node_t *node, const char *what)
{
    struct fh_error error = {0};
    char text[SECRET_SIZE];
    const char *path = yaml_text(reader, node, what), *secret = NULL;
    if (!path || reader->sealed)
        return path ? "" : NULL;
    if (path[0] != '/')
        findings_error(reader->findings, yaml_place(reader, node), "%s must be an absolute path",
                       what);
    else if (secret_file_read(path, text, sizeof text, &error) != FH_OK)
        findings_error(reader->findings, yaml_place(reader, node), "%s: %s", what, error.message);
    else
        secret = arena_text(reader->arena, text);
    sodium_memzero(text, sizeof text);
    return secret;
}
