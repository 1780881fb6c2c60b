/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_MOVE_RELOCATE_H
#define SYSTEM_MOVE_RELOCATE_H

/*
 * Moves a service's store to another engine while the system runs. The service itself does the
 * moving (service/move.h); this decides who runs when, and on which store.
 */

#include "system/move/home.h"
#include "system/supervise/instances.h"

#define RELOCATION_WHY_SIZE 400

enum relocation_phase {
    RELOCATION_NONE,
    RELOCATION_SERVER, /* the new server gets ready, or is asked whether it lets the service in; the
                        * service serves from the old store */
    RELOCATION_MOVING, /* one process moves the store and then serves from the new one */
    RELOCATION_BACK,   /* one process takes the move back and serves from the old store */
    RELOCATION_FORWARD, /* the move had completed: as MOVING, with no way back */
};

struct relocation {
    enum relocation_phase phase;
    size_t service;                /* its number */
    struct system_home other;      /* the home that it does not have now */
    struct system_home said;       /* the home that the file names */
    json_t *store;                 /* the store configuration of the other home; NULL: embedded */
    struct instances *old_server;  /* the service's own private one; NULL: it has none */
    struct instances *new_server;  /* a private one, its own or shared; NULL: none */
    bool started;                  /* this move started the new one */
    struct reaching *reaching;     /* while a server that is not private is asked; else NULL */
    const char *from, *to;         /* engines */
    json_t *entry;                 /* for moves.json, without its state */
    int64_t paused_ns;             /* when it stopped serving */
    char why[RELOCATION_WHY_SIZE]; /* why it goes back */
};

struct supervisor;

/* Begins what a `move` request asks for, or abandons a move; the clients that asked are told the
 * end. */
enum fh_code relocate_asked(struct supervisor *supervisor, size_t service, const json_t *request,
                            struct fh_error *error);
/* Handles news of processes; true: they belong to the move. */
bool relocate_takes(struct supervisor *supervisor, struct instances *instances,
                    enum instances_news news);
/* Once the system is up: moves that an earlier `up` had begun are complete. */
void relocate_came_up(struct supervisor *supervisor);
void relocate_release(struct supervisor *supervisor);

#endif
