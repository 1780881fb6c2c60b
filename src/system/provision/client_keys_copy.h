/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_PROVISION_CLIENT_KEYS_COPY_H
#define SYSTEM_PROVISION_CLIENT_KEYS_COPY_H

/*
 * The gateway's copy of the file of API keys. The operator's may be closed to the gateway's user;
 * and a mount namespace shows a file as it was, not the one that has replaced it. So `up` looks
 * whether it has changed, and the gateway whether its copy has, in a folder in which there is
 * nothing else (gateway.c leaves it in its own reach).
 *
 * Only what is a file of keys is copied: where root runs `up`, whoever can put a link in its place
 * must not have root read another file to the gateway.
 */

#include "base/error.h"
#include "gateway/identity/key_file.h"

#define CLIENT_KEYS_FOLDER "clients"
#define CLIENT_KEYS_NAME "keys.json"

struct provision_part;

struct client_keys_copy {
    struct key_look look; /* at the operator's file; no path: there is none, or not yet */
    int folder_fd;        /* the copy's */
};

/* Makes the copy in the gateway's folder, which is given away already. `path` is borrowed. */
enum fh_code client_keys_copy_open(struct client_keys_copy *copy, const struct provision_part *part,
                                   const char *path, struct fh_error *error);
/* Looks again. FH_OK: the copy is as the file is, or was when it was last said what is wrong with
 * it (*ret_looked: the file was read). Otherwise the copy stays. */
enum fh_code client_keys_copy_look(struct client_keys_copy *copy, bool *ret_looked,
                                   struct fh_error *error);
void client_keys_copy_close(struct client_keys_copy *copy); /* zeroed is fine */

#endif
