/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SUPERVISE_WATCH_H
#define SYSTEM_SUPERVISE_WATCH_H

/*
 * Notices programs that are replaced while their services run, including freehold itself, the
 * gateway's program. Polling tells which files differ from those that run; such a service is then
 * upgraded as if the operator had asked for it, unless the system file says `upgrade: by hand`. If
 * it can't be upgraded, it is retried less and less often: the file may be half copied, may need
 * another program that is not replaced yet, or sagas may have to end first. One that did not get
 * ready is tried again when it or its migrations have changed, which ends a trial that still runs.
 *
 * At the same time the gateway gets the file of API keys again, if that has changed.
 */

#include <jansson.h>

#include "base/error.h"
#include "system/provision/provision.h"
#include "system/supervise/renewal.h"
#include "world/world.h"

#define WATCH_LOOK_MS 1000
#define WATCH_LOOKS_SETTLED 2 /* a file unchanged for this many polls is taken to be complete */
#define WATCH_AGAIN_MS_MIN 2000
#define WATCH_AGAIN_MS_MAX 60000

struct watched {
    struct program_file seen;
    int looks; /* since it last changed, up to WATCH_LOOKS_SETTLED */
    int64_t pause_ms, again_ns;
    struct program_file failed;             /* a program that did not get ready: not tried again, */
    bool owed;                              /* unless its migrations are others now: */
    uint64_t migrations, failed_migrations; /* watch_migrations, as last seen and as they failed */
    char why[256];                          /* why it was last refused; "" if it was not */
};

struct watch {
    struct world_timer timer;
    char keys_why[256]; /* what is wrong with the file of API keys; "" nothing */
    struct watched parts[PROVISION_PARTS_MAX]; /* the services, and the gateway */
};

struct supervisor;

void watch_start(struct supervisor *supervisor);
void watch_stop(struct supervisor *supervisor);
/* The upgrade of its service has failed: with these files it is not tried again. */
void watch_failed(struct supervisor *supervisor, const struct renewal *renewal, const char *why);
/* It could not be tried now, and will be after a while. */
void watch_put_off(struct supervisor *supervisor, size_t part, const char *why);
/* It has succeeded. */
void watch_taken(struct supervisor *supervisor, size_t part);
/* A process of this part has ended for good: other files may mend it. */
void watch_given_up(struct supervisor *supervisor, size_t part);
/* Whether the upgrade under way is this part's. */
bool watch_upgrades(const struct supervisor *supervisor, size_t part);
/* Tells one set of a part's migrations from another; 0: it has none. */
uint64_t watch_migrations(const struct supervisor *supervisor, size_t part);
/* {"older": whether it runs an older program than the one on disk, "refused": why that, or only its
 * new migrations, are not taken}. New reference. */
json_t *watch_json(const struct supervisor *supervisor, size_t part);

#endif
