/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_MOVE_RELOCATE_H
#define SYSTEM_MOVE_RELOCATE_H

/*
 * A service's store moved to another engine while the system runs. The moving itself is the
 * service's own (service/move.h); here is who runs when, and on which store.
 */

#include "system/move/home.h"
#include "system/supervise/instances.h"

#define RELOCATION_WHY_SIZE 400

enum relocation_phase {
    RELOCATION_NONE,
    RELOCATION_SERVER,  /* the new server gets ready, or is asked whether it lets the service in;
                         * the service serves from the old store */
    RELOCATION_MOVING,  /* one process moves the store and then serves from the new one */
    RELOCATION_BACK,    /* one process takes the move back and serves from the old one */
    RELOCATION_FORWARD, /* the move had been over: as MOVING, and nothing else will do */
};

struct relocation {
    enum relocation_phase phase;
    size_t service;                /* by its number */
    struct system_home other;      /* that which it does not have now */
    struct system_home said;       /* what the file says */
    json_t *store;                 /* what its processes got of the old one; NULL: embedded */
    struct instances *old_server;  /* a private one of its own; NULL: it has none */
    struct instances *new_server;  /* a private one, of its own or shared; NULL: none */
    bool started;                  /* the new one, by this move */
    struct reaching *reaching;     /* others' new server is asked; NULL: it is not */
    const char *from, *to;         /* engines */
    json_t *entry;                 /* for moves.json, without its state */
    int64_t paused_ns;             /* since when it does not serve */
    char why[RELOCATION_WHY_SIZE]; /* it goes back */
};

struct supervisor;

/* Begins what a `move` asks for; its end is told to whoever has asked. FH_OK too for an abandon. */
enum fh_code relocate_asked(struct supervisor *supervisor, size_t service, const json_t *request,
                            struct fh_error *error);
/* What has become of processes; true: they were the move's. */
bool relocate_takes(struct supervisor *supervisor, struct instances *instances,
                    enum instances_news news);
/* The system is up: what an earlier `up` had begun is over. */
void relocate_came_up(struct supervisor *supervisor);
void relocate_release(struct supervisor *supervisor);

#endif
