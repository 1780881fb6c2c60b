/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_MOVE_HOME_H
#define SYSTEM_MOVE_HOME_H

/*
 * Where a service's data live, as the system file says it: its engine, its store, and the private
 * server that it has by itself. A move exchanges one home for another, in the file that was read,
 * and back if it fails.
 */

#include "system/file/file.h"

struct system_home {
    const char *engine;
    struct place engine_place;
    struct system_store store;
    struct system_server server; /* without a name: none of its own */
};

/* The home that the file on disk names for the service by now, under `profile` (NULL: none); or,
 * with `to`, the one on that engine that a service gets which says no more. The file as it was read
 * gets what it has to know of servers; nothing else changes. False with findings. */
bool home_read(struct system_file *file, const struct system_service *service, const char *profile,
               const char *to, struct system_home *ret, struct findings *findings);
/* The service has `home` now, and `home` what it had. */
void home_swap(struct system_file *file, struct system_service *service, struct system_home *home);
void home_release(struct system_home *home);

/* Would a store of both be the same one? */
bool home_same(const struct system_home *one, const struct system_home *other);
/* That of a service in the file, borrowed. */
struct system_home home_of(const struct system_service *service);
/* What the file has to say for it: "engine: postgresql, store: { server: shared }". */
const char *home_words(struct arena *arena, const struct system_service *service,
                       const struct system_home *home);

#endif
