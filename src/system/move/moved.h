/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_MOVE_MOVED_H
#define SYSTEM_MOVE_MOVED_H

/*
 * What `freehold move` has done to a running system, or begun, until the system file agrees. It is
 * a person's file: nobody else writes it. STATE/moves.json, durable:
 *
 *   {"users": {"file": "sqlite", "to": "mariadb", "profile": "NAME" or absent,
 *              "as_said": true or absent, "state": "moving" | "back" | "moved"}}
 *
 *   moving  the next `up` goes on
 *   back    the move has failed or was abandoned; the next `up` takes back what it began
 *   moved   the data are there
 *
 * While the file says the engine `file` for the service, or `to` but another store of it, moving
 * and moved ones are at `to`: at the home which the profile (or, without one, the file) names, with
 * `as_said`, else at the usual one. When the file says another engine, it has the last word.
 */

#include <jansson.h>

#include "system/file/file.h"
#include "system/provision/state.h"

#define MOVED_FILE "moves.json"

enum moved_state { MOVED_NOT, MOVED_MOVING, MOVED_BACK, MOVED_DONE };

/* {} where there is none. New reference. */
json_t *moved_read(const struct state *state);
enum moved_state moved_state(const json_t *moved, const char *service);
/* Replaces the service's entry in `moved`, whatever is returned; `entry` (taken) NULL: there is
 * none any more. FH_OK: it is durable. */
enum fh_code moved_record(const struct state *state, json_t *moved, const char *service,
                          json_t *entry, enum moved_state to, struct fh_error *error);
/* Gives the services of a file the homes that they have by now, with a warning for each that the
 * file says otherwise of; those in `leave` (ended by NULL, or NULL) that were moved, and with
 * `abandon` those that are being moved, are as the file says. Findings where that can't be. */
void moved_apply(struct system_file *file, const char *state_folder, const char *const *leave,
                 bool abandon, struct findings *findings);

#endif
