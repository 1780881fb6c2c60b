/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SUPERVISE_INSTANCES_H
#define SYSTEM_SUPERVISE_INSTANCES_H

/*
 * All processes of one service, or of the gateway. They share its one listening socket, so that
 * whoever is free takes the next connection; a process that drains takes none, and those that it
 * does not take wait for the others: their number changes, and their program is replaced, without
 * a request failing.
 *
 *   scale    those with too high a number drain and end, those that are missing start
 *   upgrade  one more than usual starts first, with whatever the program is by now; only when it is
 *            ready the others are drained and started again, one after the other; then the one too
 *            many ends. A program that can't start is noticed before anything was stopped. An
 *            embedded store has one process: there the old one ends first, and requests wait.
 *   part     all drain and end, something is done while none runs, and all start again; requests
 *            wait
 */

#include <jansson.h>

#include "system/supervise/child.h"
#include "system/file/file.h"

/* An upgrade gives up when what it started has failed so often. */
#define INSTANCES_UPGRADE_FAILURES_MAX 3

enum instances_news {
    INSTANCES_CHANGING,
    INSTANCES_SETTLED,        /* all that should run is ready, all else has ended */
    INSTANCES_UPGRADE_FAILED, /* once; the ones before go on */
    INSTANCES_PARTED_FAILED,  /* once: what was started again does not get ready */
};

struct instances {
    const struct provision_part *part;
    bool many;   /* its store takes more than one process */
    bool beside; /* it has none, and may have a second one for an upgrade */
    struct child
        model; /* what each child has in common: world, loop, environment, changed, owner */
    int wanted;
    bool surge;                                       /* one more, for an upgrade */
    int upgraded;                                     /* the next to be replaced; -1: no upgrade */
    int64_t upgrade_began_ns;                         /* who was started since is new already */
    bool parting, parted;                             /* none shall run; none has run, and again */
    bool alone;                                       /* one, whose store moves; the others wait */
    void (*between)(struct instances *instances);     /* while none runs, before they start again */
    bool tending, tend_again;                         /* a child's change came while we tended */
    struct child *children[SYSTEM_INSTANCES_MAX + 1]; /* as far as there ever were any */
};

/* part, many, model and wanted are set. Makes the children; starts none. */
enum fh_code instances_init(struct instances *instances, struct fh_error *error);
void instances_release(struct instances *instances);

void instances_start(struct instances *instances);
/* Starts and stops what is due; after each change of a child while the system is up. */
enum instances_news instances_tend(struct instances *instances);
/* FH_CONFLICT: an upgrade is under way. FH_UNSUPPORTED: its store has one process. FH_INVALID. */
enum fh_code instances_scale(struct instances *instances, int wanted, struct fh_error *error);
enum fh_code instances_upgrade(struct instances *instances, struct fh_error *error);
enum fh_code instances_part(struct instances *instances,
                            void (*between)(struct instances *instances), struct fh_error *error);
/* Its processes, none of which runs, have a store now that takes one alone, or many. */
enum fh_code instances_rehouse(struct instances *instances, bool many, struct fh_error *error);
/* Those that wait, or were given up, are started at once when they are tended: asked for anew. */
void instances_try_again(struct instances *instances);
void instances_stop(struct instances *instances);
void instances_kill(struct instances *instances);

bool instances_ready(const struct instances *instances); /* all that should run */
bool instances_ended(const struct instances *instances);
/* Does any process run another program than this file? */
/* One has ended and is being started again, not for the third time in a row. */
bool instances_restart(const struct instances *instances);
/* None runs, or can run before another program is taken: the one that was checked is gone. */
bool instances_overwritten(const struct instances *instances);
bool instances_outdated(const struct instances *instances, const struct program_file *file);
/* "orders", or "orders/1" where there are several. */
void instances_name(const struct instances *instances, const struct child *child, char *ret,
                    size_t size);
/* What `status` tells of it. New reference. */
json_t *instances_json(const struct instances *instances);

#endif
