/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_PROVISION_PROVISION_H
#define SYSTEM_PROVISION_PROVISION_H

/*
 * What must exist before the first process starts: the state folder, a private folder for each
 * service, its configuration, and the sockets to reach the services at. `up` keeps the sockets
 * open.
 */

#include <jansson.h>
#include <sys/types.h>

#include "base/arena.h"
#include "system/file/address.h"
#include "system/file/file.h"
#include "system/move/moved.h"
#include "system/provision/client_keys_copy.h"
#include "system/provision/state.h"
#include "system/supervise/life.h"

#define PROVISION_PARTS_MAX (SYSTEM_SERVICES_MAX + 1)
#define PROVISION_PATH_SIZE 4400
#define PROVISION_READS_MAX 128 /* part.h */

/* What processes belong to: a service, the gateway (the last one), or a private server. */
struct provision_part {
    const char *name;
    const char *folder; /* STATE/NAME */
    int folder_fd;
    int listen_fd;
    int inside_fd;                   /* the gateway's listener that is inside; -1: none */
    char address[ADDRESS_TEXT_SIZE]; /* of a private server: its folder in SERVERS_SOCKETS, or
                                      * where it listens */
    const char *sockets;             /* a private server's: the folder with its socket; a broker's,
                                      * which listens on a port: NULL */
    bool spare;                      /* a private broker's, or one's of derived stores: the system
                                      * goes on without it */
    /* What it sees of closed places, besides its folder and its program (part.h): folders and
     * files to read, and files to read even if they are root's alone; each ended by NULL. */
    const char *reads[PROVISION_READS_MAX + 1], *keys[PROVISION_READS_MAX + 1];
    const char *writes[PROVISION_READS_MAX + 1]; /* and folders to write in */
    const char *covered; /* the state folder, if it runs in a mount namespace; NULL: it does not */
    bool moves;          /* a service's: its store, so that it is also where it was before */
    uid_t user;          /* 0: the user who runs `up` */
    gid_t group;         /* 0: the same number as the user */
    const char *account; /* the user's name, which it finds in its /etc/passwd; NULL: none */
    const char *arguments[5]; /* the program and its arguments, ended by NULL */
    const struct program_held
        *program; /* the file that was checked; NULL: whatever file has the name at the start */
    int config_argument; /* index of the one that names its configuration, FOLDER/STEM.json */
    const char *stem;
};

struct provision_options {
    struct system_file *file; /* described and checked */
    const char *state_folder;
    const char *listen;  /* the gateway's */
    const char *command; /* freehold itself: the gateway's program and the supervisors' */
    /* The services whose stores may be moved to the engine that the file names for them, or whose
     * moves are given up; ended by NULL. NULL: none. */
    const char *const *moving;
    bool abandon;
    /* Reports reasons for delays; `id` as in the log (base/log.h). */
    void (*say)(void *context, const char *id, const char *text);
    void *context;
};

struct provision {
    struct provision_options options;
    struct state state; /* locked */
    struct lives lives;
    struct provision_part parts[PROVISION_PARTS_MAX];
    size_t part_count;
    struct program_held command;                       /* options.command, as last taken */
    struct provision_part servers[SYSTEM_SERVERS_MAX]; /* supervisors of private servers */
    size_t server_count;
    char inside[ADDRESS_TEXT_SIZE]; /* where the gateway listens for the inside; "": nowhere */
    json_t *numbers; /* of users, contents of users.json (numbers.h); NULL: not root */
    bool covered;    /* processes run in mount namespaces (namespace.h) */
    json_t *moved;   /* contents of moves.json (moved.h) */
    json_t *granted; /* who may call whom (callers.h), as in the configurations */
    /* [for][whom] a restart: `granted` has a caller that it does not know, since that program was
     * upgraded, or was to be. */
    bool owed[PROVISION_PARTS_MAX][PROVISION_PARTS_MAX];
    json_t *keys; /* contents of keys.json (keys.h), as in the configurations */
    struct client_keys_copy client_keys;
    json_t *stores;  /* {"users": {...}}: for services with a store on a server, its part of their
                      * configuration */
    json_t *buses;   /* {"users": {"bus", "buses"}}: the part of each service's configuration, but
                      * for its certificates (servers/brokers.h) */
    json_t *derives; /* {"search": {"products": {...}}}: likewise "derives", of services that have
                      * some (servers/derives.h) */
    struct arena arena;
};

/* FH_CONFLICT: another `up` is running (its pid in *ret_holder), or the gateway's address is taken
 * (0). */
enum fh_code provision_system(const struct provision_options *options, struct provision **ret,
                              pid_t *ret_holder, struct fh_error *error);
/* Writes a service's configuration again, by its number, from the file as it is now and the
 * recorded moves. If it fails, the earlier one remains. */
enum fh_code provision_configure_service(struct provision *provision, size_t service,
                                         struct fh_error *error);
/* The gateway's, in the same way. */
enum fh_code provision_configure_gateway(struct provision *provision, struct fh_error *error);
/* Writes all configurations again, in the same way. */
enum fh_code provision_configure(struct provision *provision, struct fh_error *error);
/* Writes the configurations again, from the present descriptions, with keys for new pairs. Earlier
 * grants remain until the next `up`: older programs are still running. Services whose callers have
 * changed for that one, by its number, learn of it when they are restarted, which they are `owed`,
 * even where this fails, or the program that needs it is not taken: what is granted stays. */
enum fh_code provision_renew(struct provision *provision, size_t service, struct fh_error *error);
/* What a running process of a service or the gateway is told of its keys (keys.h). New
 * reference. */
json_t *provision_keys(const struct provision *provision, const struct provision_part *part);
/* Waits for processes that an earlier `up` has left, ends those that linger, and opens
 * provision->lives. The lock is held, and the parts are made. */
enum fh_code provision_await(struct provision *provision, struct fh_error *error);
/* One process of a part. */
struct life provision_life(const struct provision_part *part, int instance);
void provision_free(struct provision *provision);

#endif
