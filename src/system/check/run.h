/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_CHECK_RUN_H
#define SYSTEM_CHECK_RUN_H

/*
 * Programs that are asked something and end: all side by side, each limited in output and time. One
 * is done when it has exited and its standard output and error have ended; one that says too much
 * or takes too long is killed. If only its errors are held open, by something that it has started,
 * what it has said counts when the time is over. What a program has started may go on; no handle
 * outlives program_runs_end.
 */

#include <uv.h>

#include "base/error.h"
#include "base/text.h"
#include "system/supervise/spawn.h"
#include "world/world.h"

#define PROGRAM_RUN_ERRORS_MAX ((size_t)16 << 10)

struct program_runs {
    uv_loop_t loop;
    struct world *world;
};

struct program_run {
    /* Set before it is started. */
    const char *folder; /* to run in; NULL: where this process is */
    const char *also;   /* one more variable for it, "NAME=value"; NULL: none */
    size_t said_max;    /* bytes of standard output */
    int time_ms_max;
    /* What came of it, after program_runs_end. */
    enum fh_code spawned; /* anything but FH_OK: it was not, and `why` */
    struct fh_error why;
    int exit_code, exit_signal;
    bool late, too_much;
    bool left; /* late, although it had exited: something that it has started holds its output */
    struct text said, complained; /* standard output and error */
    /* Its own. */
    struct world *world;
    struct spawned process;
    bool exited;
    uv_pipe_t output, errors;
    struct world_timer patience;
    char buffer[4096];
};

void program_runs_begin(struct program_runs *runs);
/* `arguments` begin with the program, an absolute path, and end with NULL. `run` must not move
 * before program_runs_end. */
void program_run_start(struct program_runs *runs, struct program_run *run,
                       const char *const *arguments);
/* Returns when all have ended. */
void program_runs_end(struct program_runs *runs);
void program_run_release(struct program_run *run);

#endif
