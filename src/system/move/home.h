/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_MOVE_HOME_H
#define SYSTEM_MOVE_HOME_H

/*
 * Where a service's data live, according to the system file: its engine, its store, and its own
 * private server. A move exchanges one home for another in the parsed file, and back if it fails.
 */

#include "system/file/file.h"

struct system_home {
    const char *engine;
    struct place engine_place;
    struct system_store store;
    struct system_server server; /* without a name: it has no private server */
};

/* Reads the home that the file on disk now names for the service, under `profile` (NULL: none); or,
 * with `to`, the default home on that engine, as if the file said nothing else of the store. Adds
 * to `file` what it must know of servers; changes nothing else. False with findings. */
bool home_read(struct system_file *file, const struct system_service *service, const char *profile,
               const char *to, struct system_home *ret, struct findings *findings);
/* Gives the service `home`, and stores its earlier home in `home`. */
void home_swap(struct system_file *file, struct system_service *service, struct system_home *home);
void home_release(struct system_home *home);

/* Whether both name the same store. */
bool home_same(const struct system_home *one, const struct system_home *other);
/* The home of a service in the file, borrowed. */
struct system_home home_of(const struct system_service *service);
/* What the file must say for this home: "engine: postgresql, store: { server: shared }". */
const char *home_words(struct arena *arena, const struct system_service *service,
                       const struct system_home *home);

#endif
