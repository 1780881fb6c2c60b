/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_MOVE_MOVED_H
#define SYSTEM_MOVE_MOVED_H

/*
 * What `freehold move` has done to a running system, or begun, as long as the system file does not
 * reflect it. The system file itself is the operator's: nobody else writes it. STATE/moves.json,
 * durable:
 *
 *   {"users": {"file": "sqlite", "to": "mariadb", "profile": "NAME" or absent,
 *              "as_said": true or absent, "state": "moving" | "back" | "moved"}}
 *
 *   moving  the next `up` goes on
 *   back    the move has failed or was abandoned; the next `up` takes back what it began
 *   moved   the data are there
 *
 * As long as the file says the engine `file` for the service, or says `to` but another store on it,
 * moving and moved services are at `to`: with `as_said`, at the home that the profile (or, without
 * one, the file) names, else at the default one. If the file says any other engine, the file wins.
 */

#include <jansson.h>

#include "system/file/file.h"
#include "system/provision/state.h"

#define MOVED_FILE "moves.json"

enum moved_state { MOVED_NOT, MOVED_MOVING, MOVED_BACK, MOVED_DONE };

/* {} if there is none. New reference. */
json_t *moved_read(const struct state *state);
enum moved_state moved_state(const json_t *moved, const char *service);
/* Replaces the service's entry in `moved`, whatever is returned; `entry` (taken) NULL removes it.
 * FH_OK: it is durable. */
enum fh_code moved_record(const struct state *state, json_t *moved, const char *service,
                          json_t *entry, enum moved_state to, struct fh_error *error);
/* Gives the services of a file their present homes, with a warning for each where the file says
 * otherwise. Services in `leave` (ended by NULL, or NULL) that have been moved, and with `abandon`
 * those being moved, are left as the file says. Findings where this is impossible. */
void moved_apply(struct system_file *file, const char *state_folder, const char *const *leave,
                 bool abandon, struct findings *findings);

#endif
