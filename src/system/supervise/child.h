/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SUPERVISE_CHILD_H
#define SYSTEM_SUPERVISE_CHILD_H

/*
 * One supervised process: started, watched, restarted when it dies, stopped on request.
 *
 *   IDLE ──start──▸ STARTING ──"ready"──▸ READY
 *                      │ exit, silence      │ exit, silence
 *                      ▾                    ▾
 *                   WAITING ◂───────────────┘      (backoff, then STARTING again)
 *                      │
 *   any ──stop──▸ STOPPING ──exit──▸ ENDED         final exit code, not stopping ──▸ GIVEN_UP
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/apart.h"
#include "base/progress.h"
#include "base/text.h"
#include "system/provision/provision.h"
#include "system/supervise/life.h"
#include "system/supervise/spawn.h"
#include "world/world.h"

#define CHILD_START_MS_MAX 60000
#define CHILD_SILENCE_MS_MAX 5000  /* without a heartbeat */
#define CHILD_STARVED_MS_MAX 30000 /* the same, while it waits for a processor or a disk */
#define CHILD_GRACE_MS_MAX 15000   /* from SIGTERM to SIGKILL */
#define CHILD_BACKOFF_MS_MIN 100
#define CHILD_BACKOFF_MS_MAX 10000
#define CHILD_BACKOFF_SERVED_MS_MAX 1000 /* if it had been ready */
#define CHILD_STEADY_MS 30000 /* after this long ready, the next backoff starts small again */
#define CHILD_LOG_SIZE_MAX (8 << 20)

enum child_state {
    CHILD_IDLE,
    CHILD_STARTING,
    CHILD_READY,
    CHILD_WAITING,
    CHILD_GIVEN_UP,
    CHILD_STOPPING,
    CHILD_ENDED
};

/* How a part's processes are started for now: instances.c. */
struct start_terms {
    int start_ms_max;  /* to get ready, or to say that it works on that; 0: CHILD_START_MS_MAX */
    bool keeps_schema; /* its store has served this program: no migration is applied */
};

struct child {
    const struct provision_part *part;
    int instance;                    /* which of the part's processes it is */
    const struct start_terms *terms; /* NULL: the usual ones */
    const char *log_name;            /* in the part's folder; NULL: the instance's */
    /* It has an address of its own, besides the part's, which it shares with the other
     * instances. */
    bool addressed;
    bool once; /* ends on its own: never READY, and not restarted */
    struct world *world;
    uv_loop_t *loop;
    char **environment;
    const struct lives *lives;
    /* Called on the loop after each change of state. */
    void (*changed)(struct child *child);
    /* While it starts, it reports its progress: `done` of `what`. May be NULL. */
    void (*works)(struct child *child, const struct course *course);
    /* Its wall clock has started to differ from ours, or agrees again: see `clock`. May be NULL. */
    void (*clock_set)(struct child *child);
    /* It has said which keys it has: `keys_known`, `keys_settled`. May be NULL. */
    void (*keyed)(struct child *child);
    void *owner;

    enum child_state state;
    struct spawned process;
    uv_pipe_t control;
    int open_handles; /* of the two above, and one for what it has started */
    int pid;          /* 0: not running */
    int restarts;
    int failures; /* times it ended in a row without a steady time in between */
    int64_t started_ns, ready_ns, heard_ns;
    int64_t exited_ns;  /* when its process did, though what that has started may not have; or 0 */
    int64_t doubted_ns; /* the `heard_ns` after which silence was noticed once */
    int64_t start_took_ms, wait_ms;
    struct world_timer timer; /* for silence, backoff or grace, depending on the state */
    struct world_timer rest;  /* until all that it has started has ended */
    int rest_looks;
    bool killed_for_silence;
    bool superseded; /* it was killed before it was ready: there is a newer program */
    bool at_fault;   /* it ended by itself, hung or was superseded: nobody else killed it */
    int silent_s;    /* how long it had been silent */
    /* Its own watchdog says that a handler does not return: what ("": none), and since when;
     * the next heartbeat clears it. */
    struct child_hang {
        char what[96];
        int64_t since_ns;
    } hang;
    int64_t exit_code;
    int exit_signal;
    char why[128];            /* how it last ended: "was killed by SIGKILL"; "" if it never did */
    struct program_file runs; /* the file it was last started from */
    bool from_held;           /* and the program's name now stands for another file */
    bool overwritten;         /* it was not started: the program that was checked is gone */
    char config[PROVISION_PATH_SIZE]; /* of an instance other than the first */
    char own_address[ADDRESS_TEXT_SIZE];
    int own_fd; /* listens on own_address; -1: none */
    int log_fd;
    int64_t log_start;  /* where the current process's part of the log begins */
    struct apart clock; /* the current process's, relative to ours */
    /* Of keys.json, the current process's: which it was told of, which it has, and up to which none
     * of its requests is under way that was signed with earlier ones. 0: none. */
    int64_t keys_told, keys_known, keys_settled;
    char line[128]; /* the part of a control line received so far */
    size_t line_length;
    char buffer[256];
};

const char *child_state_name(enum child_state state);
/* It does not run, and is not to be started again by itself. NULL: there is none. */
static inline bool child_is_over(const struct child *child)
{
    return !child || child->state == CHILD_IDLE || child->state == CHILD_ENDED;
}
/* part, instance, world, ... must be set */
enum fh_code child_init(struct child *child, struct fh_error *error);
void child_release(struct child *child); /* IDLE, GIVEN_UP or ENDED, and the loop has run since */
void child_start(struct child *child);   /* in IDLE or ENDED */
void child_stop(struct child *child);    /* SIGTERM, then SIGKILL after the grace; ends in ENDED */
void child_kill(struct child *child);    /* SIGKILL at once; only while STOPPING */
/* SIGKILL to one that does not get ready, since there is a newer program; not to one that works on
 * its store, where not all that it does can be undone. Only while STARTING. */
void child_abandon(struct child *child);
/* Of a process that has just ended: sets `why` and `at_fault`. */
void child_describe_end(struct child *child);
int64_t child_backoff_ms(struct child *child); /* until the next one may be started */
/* If its line is one like "keys 7 6": keys_known and keys_settled. */
void child_take_keys(struct child *child);
/* If it is one like "clock 1763737200123": `clock`. */
void child_take_clock(struct child *child);
/* If it is one like "hangs 3 POST /api/orders": `hang`. */
void child_take_hang(struct child *child);
/* Sends a line (taken) through its control channel, if there still is one. */
void child_tell(struct child *child, json_t *line);
/* The last lines that the current process, or else the last one, wrote to its log; at most
 * `count`. */
void child_last_lines(const struct child *child, int count, struct text *out);
int64_t child_log_size(const struct child *child);
void child_complain(const struct child *child, const char *text); /* a line in its log */
void child_log_bound(struct child *child); /* cuts it if it has become too long */

#endif
