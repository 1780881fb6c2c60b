/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_PROVISION_CLIENT_KEYS_H
#define SYSTEM_PROVISION_CLIENT_KEYS_H

/*
 * Changing the file of API keys (gateway/identity/key_file.h, docs/operate/authentication.md): one
 * changes it at a time, and a gateway that runs sees the former file or the new one, never a part.
 */

#include <jansson.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "base/error.h"
#include "gateway/identity/key_file.h"

#define CLIENT_KEYS_LOCK_MS_MAX 5000 /* another one changes the file */
#define CLIENT_KEY_ID_LENGTH 12      /* digits of the hash that are shown */
#define CLIENT_KEY_ID_LENGTH_MIN 8   /* and of those that name a key */

struct client_keys {
    char *path, *name; /* absolute, links resolved; `name` is its end */
    int folder_fd;     /* locked while it is open */
    bool is_there;     /* otherwise it is made by client_keys_save */
    struct stat status;
    json_t *whole, *keys; /* the object, and its list "keys" (borrowed from it) */
};

/* Reads the file. One that is missing has no keys, if its folder is there. FH_INVALID: it has a
 * fault, FH_CONFLICT: another process keeps it locked, FH_UNAVAILABLE: it can't be read. */
enum fh_code client_keys_open(struct client_keys *keys, const char *path, struct fh_error *error);
/* Replaces the file as a whole, durably. A new one has mode 0600; a former one keeps its mode, and
 * its owner. FH_INVALID: what would be written is no file of keys; FH_CONFLICT: somebody else has
 * changed it. */
enum fh_code client_keys_save(struct client_keys *keys, struct fh_error *error);
void client_keys_close(struct client_keys *keys);

/* The numbers of the keys whose hash begins with `id`: how many; *ret is the first. */
size_t client_keys_find(const struct client_keys *keys, const char *id, size_t *ret);

#endif
