/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SUPERVISE_CHILD_H
#define SYSTEM_SUPERVISE_CHILD_H

/*
 * One supervised process: started, watched, started again when it dies, stopped when asked to.
 *
 *   IDLE ──start──▸ STARTING ──"ready"──▸ READY
 *                      │ exit, silence      │ exit, silence
 *                      ▾                    ▾
 *                   WAITING ◂───────────────┘      (backoff, then STARTING again)
 *                      │
 *   any ──stop──▸ STOPPING ──exit──▸ ENDED         exit code 78, not stopping ──▸ GIVEN_UP
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/apart.h"
#include "base/progress.h"
#include "base/text.h"
#include "system/provision/provision.h"
#include "world/world.h"

#define CHILD_START_MS_MAX 60000
#define CHILD_SILENCE_MS_MAX 5000  /* without a heartbeat */
#define CHILD_STARVED_MS_MAX 30000 /* as that, while it waits for a processor or a disk */
#define CHILD_GRACE_MS_MAX 15000   /* from SIGTERM to SIGKILL */
#define CHILD_BACKOFF_MS_MIN 100
#define CHILD_BACKOFF_MS_MAX 10000
#define CHILD_BACKOFF_SERVED_MS_MAX 1000 /* of one that had been ready */
#define CHILD_STEADY_MS 30000 /* ready for so long: the next backoff begins small again */
#define CHILD_LOG_SIZE_MAX (8 << 20)
#define CHILD_EXIT_CONFIGURATION 78

enum child_state {
    CHILD_IDLE,
    CHILD_STARTING,
    CHILD_READY,
    CHILD_WAITING,
    CHILD_GIVEN_UP,
    CHILD_STOPPING,
    CHILD_ENDED
};

struct child {
    const struct provision_part *part;
    int instance; /* which of the part's processes it is */
    /* Besides the part's address, which it shares with others, it has one of its own. */
    bool addressed;
    bool once; /* it ends by itself: never READY, and not started again */
    struct world *world;
    uv_loop_t *loop;
    char **environment;
    /* Called on the loop after each change of state. */
    void (*changed)(struct child *child);
    /* While it starts it says how far its work has come: `done` of `what`. NULL: nobody listens. */
    void (*works)(struct child *child, const struct course *course);
    /* Its wall clock differs from ours, or agrees again: `clock`. NULL: nobody listens. */
    void (*clock_set)(struct child *child);
    void *owner;

    enum child_state state;
    uv_process_t process;
    uv_pipe_t control;
    int open_handles; /* of the two above */
    int pid;          /* 0: none runs */
    int restarts;
    int failures; /* endings in a row without a steady time in between */
    int64_t started_ns, ready_ns, heard_ns;
    int64_t doubted_ns; /* the `heard_ns` behind which silence was noticed once */
    int64_t start_took_ms, wait_ms;
    struct world_timer timer; /* silence, backoff or grace, by state */
    bool killed_for_silence;
    int silent_s; /* for so long it was */
    int64_t exit_code;
    int exit_signal;
    char why[128];            /* how it ended last: "was killed by SIGKILL"; "" when it never did */
    struct program_file runs; /* what it was started from last */
    bool from_held;           /* and that is no longer what the program's name says */
    bool overwritten;         /* it was not started: what was checked is gone */
    char config[PROVISION_PATH_SIZE]; /* of another instance than the first */
    char own_address[ADDRESS_TEXT_SIZE];
    int own_fd; /* listens there; -1: it has none */
    int log_fd;
    int64_t log_start;  /* where the present process' part of the log begins */
    struct apart clock; /* of the present process; it is ahead of ours */
    char line[128];     /* what has come of a control line so far */
    size_t line_length;
    char buffer[256];
};

const char *child_state_name(enum child_state state);
/* part, instance, world, ... are set */
enum fh_code child_init(struct child *child, struct fh_error *error);
void child_release(
    struct child *child);              /* IDLE, GIVEN_UP or ENDED, and the loop has turned since */
void child_start(struct child *child); /* IDLE or ENDED */
void child_stop(struct child *child);  /* SIGTERM, and SIGKILL after the grace; ends in ENDED */
void child_kill(struct child *child);  /* for the impatient: SIGKILL now; only while STOPPING */
/* The last lines that the present or last process wrote to its log, at most `count`. */
void child_last_lines(const struct child *child, int count, struct text *out);
int64_t child_log_size(const struct child *child);
void child_log_bound(struct child *child); /* cuts it where it has become too long */

#endif
