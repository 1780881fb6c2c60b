/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SUPERVISE_SPAWN_CHILD_H
#define SYSTEM_SUPERVISE_SPAWN_CHILD_H

/* The child's side of spawn.c, from its creation to the program. */

#include "system/supervise/spawn.h"

/* What it says if it fails. `step` is a string constant, at the same address in the parent. */
struct spawn_failure {
    const char *step;
    int number; /* errno */
};

struct spawn_plan {
    const struct spawn_options *options;
    char *const *environment;
    int null_fd;
    int report_fd; /* a spawn_failure is written to it; it closes by the exec */
    int gate_fd;   /* a byte from it admits the process; its end: the parent has died or refuses */
    bool privileged; /* the parent is root */
};

_Noreturn void spawn_child_run(const struct spawn_plan *plan);

#endif
