/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_BACKUP_NEWEST_H
#define CLI_BACKUP_NEWEST_H

/*
 * Which sealed backup of each service was the newest: STATE/backups.json, {"newest": {"users":
 * taken_ms}}. Who keeps a system's backups can't forge one, but might give an older one back for
 * the newest; that an older one is restored is to be said.
 */

#include "cli/cli.h"

/* A sealed backup was ended. Trouble is reported, and no failure: the backup is whole. */
void newest_note(const struct state *state, const json_t *manifest);
/* An exit code, after reporting, if the sealed backup of `service` is older than the newest. */
int newest_check(const struct state *state, const json_t *manifest, const char *service);

#endif
