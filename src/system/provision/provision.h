/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_PROVISION_PROVISION_H
#define SYSTEM_PROVISION_PROVISION_H

/*
 * What has to be there before the first process starts: the state folder, a private folder for each
 * service, its configuration, and the sockets at which they will be reached. `up` keeps the
 * sockets.
 */

#include <jansson.h>
#include <sys/types.h>

#include "base/arena.h"
#include "system/file/address.h"
#include "system/file/file.h"
#include "system/move/moved.h"
#include "system/provision/state.h"

#define PROVISION_PARTS_MAX (SYSTEM_SERVICES_MAX + 1)
/* What is left of an earlier `up` may drain this long before it is killed. Killing is safe: see
 * the design's second law. */
#define PROVISION_SURVIVORS_MS_MAX 2000
#define PROVISION_PATH_SIZE 4400
/* What processes are to be of: a service, the gateway (the last one), or a private server. */
struct provision_part {
    const char *name;
    const char *folder; /* STATE/NAME */
    int folder_fd;
    int listen_fd;
    char address[ADDRESS_TEXT_SIZE];
    uid_t user;                         /* 0: whoever runs `up` */
    gid_t group;                        /* 0: as the user */
    const char *arguments[5];           /* the program and its arguments, ends with NULL */
    const struct program_held *program; /* as it was checked; NULL: as it is when it is started */
    int config_argument;                /* which one names its configuration, FOLDER/STEM.json */
    const char *stem;
};

struct provision_options {
    struct system_file *file; /* described and checked */
    const char *state_folder;
    const char *listen;  /* the gateway's */
    const char *command; /* freehold itself: the gateway's program and the keepers' */
    /* Whose stores may be moved to the engine that the file names for them, ended by NULL; or whose
     * moves are given up. NULL: nobody's. */
    const char *const *moving;
    bool abandon;
    void (*say)(void *context, const char *text); /* why it takes a while */
    void *context;
};

struct provision {
    struct provision_options options;
    struct state state; /* locked */
    struct provision_part parts[PROVISION_PARTS_MAX];
    size_t part_count;
    struct program_held command; /* options.command, as it was when it was taken last */
    struct provision_part servers[SYSTEM_SERVERS_MAX]; /* the private ones: their keepers */
    size_t server_count;
    json_t *moved;   /* what moves.json says (moved.h) */
    json_t *granted; /* who may call whom (callers.h), as the configurations say it */
    json_t *stores;  /* {"users": {...}}: of services whose store is on a server, as they get it */
    struct arena arena;
};

/* FH_CONFLICT: another `up` runs (its pid in *ret_holder), or the gateway's address is taken (0).
 */
enum fh_code provision_system(const struct provision_options *options, struct provision **ret,
                              pid_t *ret_holder, struct fh_error *error);
/* A service's configuration again, by its number, as the file is by now, and as what was recorded
 * of moves says. Not FH_OK: it is as it was. */
enum fh_code provision_configure_service(struct provision *provision, size_t service,
                                         struct fh_error *error);
/* All configurations again, in the same way. */
enum fh_code provision_configure(struct provision *provision, struct fh_error *error);
/* The configurations again, of the file's descriptions as they are now, with keys for new pairs.
 * What was granted stays so until the next `up`: older programs still run. Tells of which services
 * the callers have changed, by their numbers: they hear of it when they are started again. */
enum fh_code provision_renew(struct provision *provision, bool ret_changed[PROVISION_PARTS_MAX],
                             struct fh_error *error);
void provision_free(struct provision *provision);

#endif
