/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SUPERVISE_RENEWAL_H
#define SYSTEM_SUPERVISE_RENEWAL_H

/*
 * What an upgrade of one service has to restart, and in which order: its program is asked to
 * describe itself again, and services whose callers have changed learn of that first.
 */

#include "system/provision/provision.h"

/* `up` does nothing else while it waits, not even receive its processes' heartbeats. */
#define RENEWAL_DESCRIBE_MS_MAX 10000 /* for a busy machine; usually milliseconds */

struct renewal {
    size_t parts[PROVISION_PARTS_MAX + 1]; /* by their numbers in the provision */
    size_t count, at;          /* how many parts, 0: no upgrade is under way; the current one */
    size_t service;            /* the one whose program is upgraded */
    json_t *before;            /* its program's earlier description, while this is under way, */
    struct program_held older; /* and the program itself */
    struct program_held newer; /* the new one, while it is tried and the older one goes on */
    struct program_file taken; /* which file this is the upgrade to */
    uint64_t migrations;       /* and which migrations: watch_migrations */
    bool force;
};

/* What happens to unfinished sagas whose definitions the new program does not have. */
enum renewal_sagas {
    RENEWAL_ASK, /* ask the running process whether there are any; if so, the program is refused */
    RENEWAL_NOBODY,  /* the same, but no process is ready to answer */
    RENEWAL_PARK_ALL /* the new program parks them */
};
/* FH_INVALID or FH_CONFLICT, and nothing has changed: the error says why the new program can't run
 * in this system. FH_OK: keys and configurations are written. */
enum fh_code renewal_begin(struct renewal *renewal, struct provision *provision, size_t service,
                           enum renewal_sagas sagas, struct fh_error *error);
/* The same for the gateway: it is started beside the running one, and only has to get ready. */
enum fh_code renewal_begin_gateway(struct renewal *renewal, struct provision *provision,
                                   struct fh_error *error);
/* The service's processes are started from its older program for now; and from the new one again.
 */
void renewal_put_off(struct renewal *renewal, struct provision *provision);
void renewal_go_on(struct renewal *renewal, struct provision *provision);
/* Moves on to the next part, once this one's processes are new; false: that was the last. */
bool renewal_next(struct renewal *renewal, struct provision *provision);
/* Abandons the upgrade. True: the service has its older program back, and its processes start from
 * that; false: the older program is gone. With an error other than FH_OK: configurations and keys
 * are still as the new program needs them, which is more. */
bool renewal_take_back(struct renewal *renewal, struct provision *provision,
                       struct fh_error *error);
/* Ends the upgrade, if any was under way: releases the earlier state. */
void renewal_end(struct renewal *renewal);

#endif
