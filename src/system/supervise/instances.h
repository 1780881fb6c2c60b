/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SUPERVISE_INSTANCES_H
#define SYSTEM_SUPERVISE_INSTANCES_H

/*
 * All processes of one service, or of the gateway. They share its one listening socket, so that any
 * free process takes the next connection. A draining process takes none, and connections it leaves
 * wait for the others: so the number of processes can change, and their program can be replaced,
 * without a request failing.
 *
 *   scale    those with too high a number drain and end, missing ones start
 *   upgrade  one more than usual starts first, with the program as it is now. Only when it is ready
 *            are the others drained and restarted, one at a time; then the extra one ends. A
 *            program that can't start is noticed before anything was stopped. An embedded store
 *            takes only one process: there the old one ends first, and requests wait. So the new
 *            program was tried on a copy of the store before (trial.h). Each new process is on
 *            probation for a moment after it got ready: ending by itself, it fails the upgrade.
 *   part     all drain and end, something is done while none runs, and all start again; requests
 *            wait
 */

#include <jansson.h>

#include "system/supervise/child.h"
#include "system/file/file.h"

/* A start gives up after the processes have failed this many times, if that may have been others'
 * doing; the new program of an upgrade after the first failure of its own. */
#define INSTANCES_FAILURES_MAX 3
/* How long an upgrade's process may take to get ready where nobody serves meanwhile: so many times
 * what the former one took. Where the older ones go on, CHILD_START_MS_MAX. */
#define INSTANCES_UPGRADE_TIMES 3
#define INSTANCES_UPGRADE_MS_MIN 10000
/* The probation, which is as many times what the former start took, within these bounds. */
#define INSTANCES_PROBATION_MS_MIN 300
#define INSTANCES_PROBATION_MS_MAX 3000

enum instances_news {
    INSTANCES_CHANGING,
    INSTANCES_SETTLED,        /* all that should run are ready, all others have ended */
    INSTANCES_UPGRADE_FAILED, /* once; the older processes go on */
    INSTANCES_PARTED_FAILED,  /* once: the processes restarted after parting do not get ready */
};

struct instances {
    const struct provision_part *part;
    bool many;   /* its store takes more than one process */
    bool beside; /* it has no store, and may run a second process for an upgrade */
    struct child
        model; /* what all children have in common: world, loop, environment, changed, owner */
    int wanted;
    bool surge;               /* one extra, for an upgrade */
    int upgraded;             /* number of the next to replace; -1: no upgrade */
    int64_t upgrade_began_ns; /* those started since are new already */
    int probation_ms;
    struct world_timer probation; /* the upgrade goes on when that of its first process is over */
    struct {
        bool was_ready; /* the process that failed */
        bool may_pass;  /* it could not use its store, which the older ones go on serving from */
    } failure;          /* of the last upgrade, if that failed */
    struct start_terms terms; /* of all processes that are started now */
    bool parting, parted;     /* none is to run now; they have been parted, and start again */
    bool alone; /* only the first may run, while it moves the store; the others wait */
    void (*between)(struct instances *instances);     /* while none runs, before they start again */
    void (*due)(struct instances *instances);         /* must tend it, though no child changed */
    bool tending, tend_again;                         /* a child changed while we were tending */
    struct child *children[SYSTEM_INSTANCES_MAX + 1]; /* created on demand, kept until the end */
};

/* part, many, model and wanted must be set. Creates the children; starts none. */
enum fh_code instances_init(struct instances *instances, struct fh_error *error);
void instances_release(struct instances *instances);

/* How many of its processes should run now: those with lower numbers. */
int instances_limit(const struct instances *instances);
void instances_start(struct instances *instances);
/* Starts and stops what is due; call it after each change of a child while the system is up. */
enum instances_news instances_tend(struct instances *instances);
/* FH_CONFLICT: it is being upgraded, restored or moved. FH_UNSUPPORTED: its store takes one
 * process. FH_INVALID: the number. */
enum fh_code instances_scale(struct instances *instances, int wanted, struct fh_error *error);
/* `migrates`: the new processes apply new migrations. */
enum fh_code instances_upgrade(struct instances *instances, bool migrates, struct fh_error *error);
/* How long a process of an upgrade may take to get ready, by how long those that run took. */
int instances_start_ms_max(const struct instances *instances);
/* Kills those of an upgrade that are not ready: it fails. */
void instances_abandon_upgrade(struct instances *instances);
/* They serve from their store: from now on processes that die are started again on it as it is. */
void instances_came_up(struct instances *instances);
enum fh_code instances_part(struct instances *instances,
                            void (*between)(struct instances *instances), struct fh_error *error);
/* While none of its processes runs: its store now takes only one process, or many. */
enum fh_code instances_rehouse(struct instances *instances, bool many, struct fh_error *error);
/* Those that wait or were given up are started at once when next tended: a new request. */
void instances_try_again(struct instances *instances);
void instances_stop(struct instances *instances);
void instances_kill(struct instances *instances);

bool instances_ready(const struct instances *instances); /* all that should run are ready */
bool instances_ended(const struct instances *instances);
/* One has ended and is being restarted, with fewer than INSTANCES_FAILURES_MAX failures in a row.
 */
bool instances_restart(const struct instances *instances);
/* One has ended, and it is certain that it would again. */
bool instances_given_up(const struct instances *instances);
/* None runs, or can run until another program is taken: the one that was checked is gone. */
bool instances_overwritten(const struct instances *instances);
/* Whether any process runs another program than this file. */
bool instances_outdated(const struct instances *instances, const struct program_file *file);
/* "orders", or "orders/1" if there are several. */
void instances_name(const struct instances *instances, const struct child *child, char *ret,
                    size_t size);
/* What `status` shows of it. New reference. */
json_t *instances_json(const struct instances *instances);

#endif
