/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SUPERVISE_REBUILD_H
#define SYSTEM_SUPERVISE_REBUILD_H

/*
 * A service whose store is made anew while it serves from the one that it has (service/rebuild.h):
 * one at a time in a system. The service is stopped only for the exchange of the two, which is one
 * rename of a file, or one transaction of its server; its requests wait meanwhile.
 */

#include "base/id.h"
#include "system/supervise/child.h"
#include "system/supervise/instances.h"

struct supervisor;

enum rebuild_phase {
    REBUILD_NONE,
    REBUILD_FILLING,  /* the new store, by a second process */
    REBUILD_LEAVING,  /* that process ends: because the store is full, or for `why` */
    REBUILD_EXCHANGE, /* the service stops, and starts on the new store; if there is a `why`, on
                         the one it had */
    REBUILD_BACK,     /* it did not get ready there: it stops, and starts on the one it had */
};

struct rebuild {
    enum rebuild_phase phase;
    size_t service;             /* by its number */
    struct provision_part part; /* the service's own, with another configuration */
    struct child child;
    struct start_terms terms;
    bool running;   /* the child is not released yet */
    bool on_server; /* both stores are, and the service exchanges them itself */
    char id[ID_SIZE];
    bool takes_parked;
    bool keeps;     /* the new store is only laid aside, to be looked at */
    bool joined;    /* the new store is the valid one, though the service died on it at first */
    char why[256];  /* it is given up; "": it is not */
    int64_t events; /* or rows that the new store was filled with, as last told */
    int64_t began_ns, paused_ns;
    struct world_timer report; /* the end of the child is reported from the loop */
};

/* Begins one, or with "abandon" ends it. FH_OK: the control's clients will be answered. */
enum fh_code rebuild_asked(struct supervisor *supervisor, size_t service, const json_t *request,
                           struct fh_error *error);
/* FH_CONFLICT: the service is being rebuilt, so that nothing else may be done to it. */
enum fh_code rebuild_lets(const struct supervisor *supervisor, size_t service,
                          struct fh_error *error);
/* Whether these are the processes of the service that is being rebuilt. */
bool rebuild_has(const struct supervisor *supervisor, const struct instances *instances);
/* Whether news of a service's processes were about its rebuilding. */
bool rebuild_takes(struct supervisor *supervisor, struct instances *instances,
                   enum instances_news news);
/* A process of the service has got ready: while the system stops, nobody else acts on that. */
void rebuild_ready(struct supervisor *supervisor, const struct instances *instances);
void rebuild_kill(struct supervisor *supervisor); /* the second process, if it runs */

#endif
