/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SUPERVISE_ROTATION_H
#define SYSTEM_SUPERVISE_ROTATION_H

/* Keys are replaced while the system runs: on request, and every so often if the system file says
 * so. */

#include <jansson.h>

#include "base/error.h"
#include "world/world.h"

#define ROTATION_TICK_MS 1000
#define ROTATION_TICKS_TOLD 10
#define ROTATION_AGAIN_MS 600000 /* after one by itself has failed */
/* What the request is about, where other changes name a service. */
#define ROTATION_NAME "_keys"

struct rotation {
    struct world_timer timer;
    bool active;      /* until everybody has forgotten the former keys */
    bool unwritten;   /* the configurations do not have the present keys yet */
    int64_t since_ns; /* since when processes are told of the present keys */
    int64_t again_ns; /* none begins by itself before */
    unsigned ticks;   /* since it began */
    char failed[256]; /* why it was taken back; "" it was not */
};

struct child;
struct supervisor;

void rotation_start(struct supervisor *supervisor);
void rotation_stop(struct supervisor *supervisor);
/* Begins one. FH_OK: control_done will report its end, for ROTATION_NAME. FH_CONFLICT: not now.
 * FH_NOT_FOUND: there is no such service. */
enum fh_code rotation_asked(struct supervisor *supervisor, const json_t *request,
                            struct fh_error *error);
/* After each change of a process, or of what it has said of its keys. */
void rotation_tend(struct supervisor *supervisor);

#endif
