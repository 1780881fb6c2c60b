/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_RESTORE_H
#define SERVICE_RESTORE_H

/*
 * A backup replaces the service's store, before the service serves (docs/operate/backup.md).
 *
 * `freehold restore` puts the backup's file into the service's folder, and beside it the order,
 * SERVICE_RESTORE_ORDER: {"freehold": 1, "id", "file": "restore-ID", "replaces": the incarnation of
 * the present store, "" if not known}. The result is SERVICE_RESTORE_RESULT: {"id", "state": "done"
 * | "failed", "error" | "incarnation", "position", "kept": the file with the former contents, or
 * null}.
 */

#include "service/move.h"

#define SERVICE_RESTORE_ORDER "restore.json"
#define SERVICE_RESTORE_RESULT "restored.json"

/* FH_OK: there was nothing to restore; or it is done; or it can't be done and the store is as it
 * was (the result says why). Otherwise the service can't serve, and the restore continues at the
 * next start or by another order. On a fiber; no store is open afterwards. */
enum fh_code service_store_restore(const fh_service *service, const json_t *config,
                                   struct world *world, const struct move_watch *watch,
                                   struct fh_error *error);

#endif
