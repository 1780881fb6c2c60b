/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_BACKUP_RESTORE_H
#define SYSTEM_BACKUP_RESTORE_H

/*
 * Prepares a backup's file in a service's folder, with the order to restore it, which the service's
 * process carries out when it starts (service/restore.h). The prepared files have no effect until
 * the restore is ordered; that is one rename, done while none of the processes runs.
 */

#include "base/id.h"
#include "system/backup/backup.h"
#include "system/provision/state.h"

/* Copies the service's file from the backup into its folder, with an order beside it that is not in
 * effect yet. `said` is the manifest's entry. FH_CONFLICT: the file is damaged. */
enum fh_code restore_make_ready(int folder_fd, const json_t *said, int service_fd, int64_t now_ms,
                                struct backup_copying *copying, char ret_id[static ID_SIZE],
                                struct fh_error *error);
/* Durable: from now on the service restores before it serves. */
enum fh_code restore_order(int service_fd, struct fh_error *error);
/* Removes the copies of its store that a killed `backup` or `restore` has left in a service's
 * folder. Nobody makes one meanwhile. */
void restore_remove_left(int service_fd);
/* The result of the order `id`; NULL: none is known. New reference. */
json_t *restore_result(int service_fd, const char *id);

#endif
