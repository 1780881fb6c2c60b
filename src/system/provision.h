/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_PROVISION_H
#define SYSTEM_PROVISION_H

/*
 * What has to be there before the first process starts: the state folder, a private folder for each
 * service, its configuration, and the sockets at which they will be reached. `up` keeps the
 * sockets.
 */

#include <jansson.h>
#include <sys/types.h>

#include "base/arena.h"
#include "system/address.h"
#include "system/file.h"
#include "system/state.h"

#define PROVISION_PARTS_MAX (SYSTEM_SERVICES_MAX + 1)
/* What is left of an earlier `up` may drain this long before it is killed. Killing is safe: see
 * the design's second law. */
#define PROVISION_SURVIVORS_MS_MAX 2000

/* A process to be: a service, or the gateway (the last one). */
struct provision_part {
    const char *name;
    const char *folder; /* STATE/NAME */
    int folder_fd;
    int listen_fd;
    char address[ADDRESS_TEXT_SIZE];
    uid_t user;               /* 0: whoever runs `up` */
    const char *arguments[5]; /* the program and its arguments, ends with NULL */
};

struct provision {
    struct state state; /* locked */
    struct provision_part parts[PROVISION_PARTS_MAX];
    size_t part_count;
    struct arena arena;
};

struct provision_options {
    struct system_file *file; /* described and checked */
    const char *state_folder;
    const char *listen;                           /* the gateway's */
    const char *command;                          /* freehold itself */
    void (*say)(void *context, const char *text); /* why it takes a while */
    void *context;
};

/* FH_CONFLICT: another `up` runs (its pid in *ret_holder), or the gateway's address is taken (0).
 */
enum fh_code provision_system(const struct provision_options *options, struct provision **ret,
                              pid_t *ret_holder, struct fh_error *error);
void provision_free(struct provision *provision);

#endif
