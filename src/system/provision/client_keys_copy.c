/* SPDX-License-Identifier: Apache-2.0 */
/* The copy is the gateway's own, as its configuration is: a gateway that was taken over can change
 * it, which gives it nothing that its keys do not. */

#define _GNU_SOURCE
#include "system/provision/client_keys_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "system/provision/provision.h"

/* In the gateway's own folder, where one that was taken over may have made anything but a folder of
 * root's. */
static enum fh_code open_copy_folder(struct client_keys_copy *copy,
                                     const struct provision_part *part, struct fh_error *error)
{
    struct stat status;
    int fd = -1;
    if (mkdirat(part->folder_fd, CLIENT_KEYS_FOLDER, 0700) == 0 || errno == EEXIST)
        fd = openat(part->folder_fd, CLIENT_KEYS_FOLDER,
                    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0 ||
        (part->user && status.st_uid == 0 && fchown(fd, part->user, part->user) != 0)) {
        enum fh_code code =
            error_set_errno(error, FH_UNAVAILABLE, errno, "Cannot make the folder %.150s/%s",
                            part->folder, CLIENT_KEYS_FOLDER);
        if (fd >= 0)
            close(fd);
        return code;
    }
    copy->folder_fd = fd;
    return FH_OK;
}

enum fh_code client_keys_copy_open(struct client_keys_copy *copy, const struct provision_part *part,
                                   const char *path, struct fh_error *error)
{
    bool looked;
    enum fh_code code = open_copy_folder(copy, part, error);
    if (code != FH_OK)
        return code;
    copy->look.path = path;
    text_init(&copy->look.text, KEY_FILE_SIZE_MAX);
    return client_keys_copy_look(copy, &looked, error);
}

static enum fh_code take_copy_look(struct client_keys_copy *copy, struct fh_error *error)
{
    struct key_look *look = &copy->look;
    struct key_set *keys;
    struct fh_error fault = {0};
    const char *text = look->text.data ? look->text.data : "";
    if (key_set_parse(text, look->text.length, &keys, &fault) != FH_OK)
        return error_set(error, FH_INVALID, "%.100s: %.140s", look->path, fault.message);
    key_set_free(keys);
    enum fh_code code =
        state_write_text(copy->folder_fd, CLIENT_KEYS_NAME, text, look->text.length, error);
    if (code != FH_OK)
        key_look_forget(look); /* it is tried again */
    return code;
}

enum fh_code client_keys_copy_look(struct client_keys_copy *copy, bool *ret_looked,
                                   struct fh_error *error)
{
    struct key_look *look = &copy->look;
    *ret_looked = false;
    if (!look->path)
        return FH_OK;
    key_file_look(look);
    *ret_looked = look->changed;
    enum fh_code code = FH_OK;
    if (look->number)
        code = error_set_errno(error, FH_INVALID, look->number, "%.150s can't be read", look->path);
    else if (look->changed)
        code = take_copy_look(copy, error);
    text_release(&look->text);
    text_init(&look->text, KEY_FILE_SIZE_MAX);
    return code;
}

void client_keys_copy_close(struct client_keys_copy *copy)
{
    if (!copy->look.path)
        return;
    text_release(&copy->look.text);
    close(copy->folder_fd);
    *copy = (struct client_keys_copy){0};
}
