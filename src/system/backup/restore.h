/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_BACKUP_RESTORE_H
#define SYSTEM_BACKUP_RESTORE_H

/*
 * A backup's file made ready in a service's folder, and the order to restore it, which the
 * service's process carries out when it starts (service/restore.h). What lies ready is nothing to
 * anybody until it is ordered; that is one rename, done while none of the processes runs.
 */

#include "base/id.h"
#include "system/backup/backup.h"
#include "system/provision/state.h"

/* Copies the service's file out of the backup into its folder, and its order beside it; nothing is
 * ordered yet. `said` is the manifest's entry. FH_CONFLICT: the file is damaged. */
enum fh_code restore_make_ready(int folder_fd, const json_t *said, int service_fd, int64_t now_ms,
                                backup_told *told, void *context, char ret_id[static ID_SIZE],
                                struct fh_error *error);
/* Durable: from now on the service restores before it serves. */
enum fh_code restore_order(int service_fd, struct fh_error *error);
/* What came of the order `id`; NULL: nothing is known. New reference. */
json_t *restore_result(int service_fd, const char *id);

#endif
