/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_CHECK_PROGRAMS_H
#define SYSTEM_CHECK_PROGRAMS_H

/*
 * Where services' programs are found. A program with a slash is relative to the system file's
 * folder. A bare NAME is searched, in this order, as EXTRA/NAME (--programs), FOLDER/NAME,
 * BIN/examples/SYSTEM/NAME and BIN/NAME, where FOLDER is the file's and BIN the command's own.
 */

#include "system/file/file.h"

/* The folder of the running command, absolute, from `arena`. */
const char *programs_own_folder(struct arena *arena);
/* Sets every service's program_path; adds a finding for each that is not found. `extra` may be
 * NULL. */
void programs_find(struct system_file *file, const char *extra, struct findings *findings);
/* Where a program of that name is found: as above, or next to a service's program that the file
 * names with a slash; NULL: nowhere. */
const char *programs_find_one(struct system_file *file, const char *program, const char *extra);

/* The folder `servers` beside the command, with database servers that `make servers` has built;
 * NULL: there is none. */
const char *programs_servers_folder(struct arena *arena);
/* Lets this process, and those that it starts, find them: after whatever is on the PATH. */
void programs_offer_servers(struct arena *arena);

#endif
