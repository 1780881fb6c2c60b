/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_RESTORE_H
#define SERVICE_RESTORE_H

/*
 * A backup takes the place of the service's store, before the service serves (docs/operate/backup.md).
 *
 * `freehold restore` puts the backup's file into the service's folder, and orders it by
 * SERVICE_RESTORE_ORDER there: {"freehold": 1, "id", "file": "restore-ID", "replaces": the
 * incarnation of the store that there was, "" where none is known}. What came of it stands in
 * SERVICE_RESTORE_RESULT: {"id", "state": "done" | "failed", "error" | "incarnation", "position",
 * "kept": the file that holds what there was before, or null}.
 */

#include "service/move.h"

#define SERVICE_RESTORE_ORDER "restore.json"
#define SERVICE_RESTORE_RESULT "restored.json"

/* FH_OK: there was nothing to restore; or it is done; or it can't be, and the store is as it was
 * (the result says why). Else the service can't serve, and what was begun goes on at the next start
 * or by another order. On a fiber; no store is open afterwards. */
enum fh_code service_store_restore(const fh_service *service, const json_t *config,
                                   struct world *world, const struct move_watch *watch,
                                   struct fh_error *error);

#endif
