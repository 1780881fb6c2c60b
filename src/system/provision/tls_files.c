/* SPDX-License-Identifier: Apache-2.0 */
/* Copies are made again when configurations are written again, so that what was renewed arrives
 * with the process that is started next. */

#include "system/provision/tls_files.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/io.h"
#include "base/json.h"
#include "http/tls.h"

static enum fh_code read_tls_file(const char *path, char *text, size_t *ret_length,
                                  struct fh_error *error)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ssize_t got = fd >= 0 ? io_read(fd, text, HTTP_TLS_PEM_SIZE_MAX + 1) : -1;
    int number = errno;
    if (fd >= 0)
        close(fd);
    if (got < 0)
        return error_set_errno(error, FH_INVALID, number, "%.150s can't be read", path);
    *ret_length = (size_t)got;
    if (*ret_length > HTTP_TLS_PEM_SIZE_MAX)
        return error_set(error, FH_INVALID, "The file %.150s is larger than %zu bytes.", path,
                         HTTP_TLS_PEM_SIZE_MAX);
    return FH_OK;
}

enum fh_code tls_file_copy(const struct provision_part *part, const char *path, const char *name,
                           struct fh_error *error)
{
    size_t length = 0;
    char *text = malloc(HTTP_TLS_PEM_SIZE_MAX + 1);
    FH_ASSERT(text != NULL);
    enum fh_code code = read_tls_file(path, text, &length, error);
    if (code == FH_OK)
        code = state_write_text(part->folder_fd, name, text, length, error);
    sodium_memzero(text, HTTP_TLS_PEM_SIZE_MAX + 1);
    free(text);
    return code;
}

enum fh_code tls_files_give(const struct provision_part *part, json_t *tls, const char *stem,
                            const char *const *members, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    if (!part->user || part->covered)
        return FH_OK;
    for (; *members && code == FH_OK; members++) {
        char name[64];
        const char *path = json_string_at(tls, *members);
        if (!path)
            continue;
        snprintf(name, sizeof name, "%s-%s.pem", stem, *members);
        code = tls_file_copy(part, path, name, error);
        if (code == FH_OK)
            json_object_set_new(tls, *members, json_sprintf("%s/%s", part->folder, name));
    }
    return code;
}
