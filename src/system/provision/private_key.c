/* SPDX-License-Identifier: Apache-2.0 */
/* The copy is made again at each start of `up`, and when configurations are written again, so that
 * a renewed key arrives with the process that is started next. */

#include "system/provision/private_key.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"

#define KEY_SIZE_MAX ((size_t)64 << 10)

static enum fh_code read_private_key(const char *path, char *text, size_t *ret_length,
                                     struct fh_error *error)
{
    ssize_t got = -1;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    *ret_length = 0;
    while (fd >= 0 && *ret_length < KEY_SIZE_MAX &&
           (got = read(fd, text + *ret_length, KEY_SIZE_MAX - *ret_length)) > 0)
        *ret_length += (size_t)got;
    int number = errno;
    if (fd >= 0)
        close(fd);
    if (fd < 0 || got < 0)
        return error_set_errno(error, FH_INVALID, number, "The private key %.150s can't be read",
                               path);
    if (*ret_length == KEY_SIZE_MAX)
        return error_set(error, FH_INVALID, "The file %.150s is too large for a private key.",
                         path);
    return FH_OK;
}

enum fh_code private_key_give(const struct provision_part *part, uid_t user, json_t *tls,
                              const char *name, struct fh_error *error)
{
    const char *path = json_string_at(tls, "key");
    size_t length;
    if (!user || !path)
        return FH_OK;
    char *text = malloc(KEY_SIZE_MAX);
    FH_ASSERT(text != NULL);
    enum fh_code code = read_private_key(path, text, &length, error);
    if (code == FH_OK)
        code = state_write_text(part->folder_fd, name, text, length, error);
    sodium_memzero(text, KEY_SIZE_MAX);
    free(text);
    if (code == FH_OK)
        json_object_set_new(tls, "key", json_sprintf("%s/%s", part->folder, name));
    return code;
}
