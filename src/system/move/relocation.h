/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_MOVE_RELOCATION_H
#define SYSTEM_MOVE_RELOCATION_H

/* The current move of a service's store to another engine (relocate.h), if there is one. */

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

struct system_file *relocation_file(const struct supervisor *supervisor);
/* The service that is moved, and its processes. */
struct system_service *relocation_service(const struct supervisor *supervisor);
struct instances *relocation_instances(struct supervisor *supervisor);
/* Whether a store on this engine may have several processes. */
bool relocation_takes_many(const char *engine);
/* Gives the service its other home in the file, and its processes the other store. */
void relocation_swap(struct supervisor *supervisor);

#endif
