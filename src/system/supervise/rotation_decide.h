/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SUPERVISE_ROTATION_DECIDE_H
#define SYSTEM_SUPERVISE_ROTATION_DECIDE_H

/* What comes next while keys are replaced. Pure: no file, no time, no process. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "system/provision/keys.h"

/* What a process has said of its keys, by keys.json's number (child.h). */
struct rotation_process {
    bool runs;
    int64_t known, settled;
};

enum rotation_move {
    ROTATION_WAIT,
    ROTATION_PROMOTE,   /* everybody accepts the next keys: they may be used */
    ROTATION_TAKE_BACK, /* somebody does not take them */
    ROTATION_FORGET,    /* nothing is under way any more that was signed with a former key */
    ROTATION_END        /* everybody has forgotten them, or has had the time to */
};

/* A process takes new keys within milliseconds, but it may be starting. */
#define ROTATION_LEARN_MS_MAX 60000

/* `waited_ms`: since processes are told of the keys of this number. */
enum rotation_move rotation_decide(enum keys_phase phase, int64_t number,
                                   const struct rotation_process *processes, size_t count,
                                   int64_t waited_ms);

#endif
