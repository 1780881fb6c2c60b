/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SUPERVISE_SPAWN_H
#define SYSTEM_SUPERVISE_SPAWN_H

/*
 * Starts a program with nothing but what it was given, whatever `up` itself was started with:
 *
 *   descriptors  those of the options, numbered from 0, and no other
 *   environment  the variables of an allow-list (spawn.c), and HOME, which is its folder
 *   privileges   no capability in any set, none to be gained by an exec (no_new_privs; where the
 *                kernel lets us, the bounding set is empty and root is a user like others), no
 *                supplementary groups, the session keyring of nobody else
 *   core dumps   none
 *   signals      default dispositions, none blocked; a session of its own
 *
 * It does not run before the caller has admitted it: what must be known about a process (its
 * record, its cgroup) is known before its first instruction, even if `up` is killed in between.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <uv.h>

#include "base/error.h"

#define SPAWN_DESCRIPTORS_MAX 8

/* Where a process lives: namespaces, mounts. `enter` runs in the child, single-threaded, with all
 * descriptors and privileges of the parent, before the folder is entered and the user is switched.
 * Only async-signal-safe calls, and raw system calls for set*id (glibc's talk to threads that the
 * child does not have). It returns NULL, or the name of the step that failed, a string constant,
 * with errno; then the program is not run. */
struct spawn_room {
    const char *(*enter)(const void *argument);
    const void *argument;
};

/* Ways of newer kernels that are not to be used. */
enum spawn_avoided { SPAWN_AVOIDS_NOTHING, SPAWN_AVOIDS_CLONE3, SPAWN_AVOIDS_PIDFD };

struct spawn_options {
    const char *program;      /* absolute */
    char *const *arguments;   /* ended by NULL */
    char *const *environment; /* NULL: that of this process. Only what the list allows is passed */
    const char *also;         /* one more variable, "NAME=value"; NULL: none */
    const char *folder;       /* to run in, absolute; NULL: where this process is */
    /* [i] becomes descriptor i; -1: none. Of 0, 1 and 2 those missing are /dev/null. */
    int descriptors[SPAWN_DESCRIPTORS_MAX];
    uid_t user; /* 0: that of this process */
    gid_t group;
    const struct spawn_room *room; /* NULL: none */
    /* Called once the process exists, before it runs. Anything but FH_OK: it never does. May be
     * NULL. */
    enum fh_code (*admit)(void *context, pid_t pid, struct fh_error *error);
    void *context;
    enum spawn_avoided avoided; /* for tests */
};

/* A process and the handle that watches for its end. */
struct spawned {
    pid_t pid; /* 0: it has been reaped */
    int pidfd; /* -1: the kernel has none */
    union {
        uv_poll_t poll;
        uv_timer_t timer; /* without a pidfd */
        uv_handle_t any;
    } handle;
    bool watched;            /* `handle` is open */
    struct spawned *sibling; /* the next of this process's children */
    /* It has ended. `signal` 0: with exit code `code`. */
    void (*ended)(struct spawned *spawned, int code, int signal);
    void (*closed)(struct spawned *spawned); /* the last callback; the memory may go */
    void *owner;
};

/* `ended`, `closed` and `owner` must be set. FH_INVALID: the program can't be run, and why. After a
 * failure there is no process, and no callback is called. */
enum fh_code spawn_start(struct spawned *spawned, uv_loop_t *loop,
                         const struct spawn_options *options, struct fh_error *error);
/* Nothing if it has ended. */
void spawn_signal(struct spawned *spawned, int number);
/* Takes the ends of descendants whose parents have ended, which a subreaper inherits. */
void spawn_reap_orphans(void);
/* Whether `pid` is a child that spawn_start made and that has not been reaped. */
bool spawn_is_ours(pid_t pid);
/* Whether a variable ("NAME=value") may be passed to a process. */
bool spawn_passes_variable(const char *variable);

#endif
