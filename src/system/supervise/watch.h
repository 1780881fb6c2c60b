/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SUPERVISE_WATCH_H
#define SYSTEM_SUPERVISE_WATCH_H

/*
 * Programs that are replaced while their services run, freehold itself as the gateway's too. A look
 * now and then tells which files are others than those that run; a service is then upgraded as if
 * the operator had asked for it, unless the system file says `upgrade: by hand`. What can't be is
 * tried again, less and less often: it may be half copied, need a program that is not replaced yet,
 * or sagas may have to end first.
 */

#include <jansson.h>

#include "base/error.h"
#include "system/provision/provision.h"
#include "world/world.h"

#define WATCH_LOOK_MS 1000
#define WATCH_LOOKS_SETTLED 2 /* a file that was the same so often is taken for whole */
#define WATCH_AGAIN_MS_MIN 2000
#define WATCH_AGAIN_MS_MAX 60000

struct watched {
    struct program_file seen;
    int looks; /* since it is this one, up to WATCH_LOOKS_SETTLED */
    int64_t pause_ms, again_ns;
    struct program_file failed; /* what did not get ready: not tried again */
    char why[256];              /* it was refused last; "" not at all */
};

struct watch {
    struct world_timer timer;
    struct watched parts[PROVISION_PARTS_MAX]; /* the services, and the gateway */
};

struct supervisor;

void watch_start(struct supervisor *supervisor);
void watch_stop(struct supervisor *supervisor);
/* An upgrade of this part has failed. */
void watch_failed(struct supervisor *supervisor, size_t part);
/* {"older": does it run an older program than is on disk, "refused": why that is not taken}. New
 * reference. */
json_t *watch_json(const struct supervisor *supervisor, size_t part);

#endif
