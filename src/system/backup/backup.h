/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_BACKUP_BACKUP_H
#define SYSTEM_BACKUP_BACKUP_H

/*
 * A backup in its folder: a file for each service, and BACKUP_MANIFEST, which describes them and is
 * written last. A folder without it is not a backup (docs/operate/backup.md).
 *
 *  {"freehold_backup": 1, "system": "shop", "taken_ms": wall clock,
 *   "services": {"users": {"file": "users.db", "model": "relational", "engine": "postgresql",
 *                          "incarnation": ID, "position": 4711, "taken_ms": ..., "migration": 3,
 *                          "rows": 1200, "size": bytes, "sha256": hex}}}
 */

#include <jansson.h>
#include <stdint.h>

#include "base/error.h"

#define BACKUP_MANIFEST "manifest.json"
#define BACKUP_FORMAT 1
#define BACKUP_SUM_SIZE 65 /* SHA-256 in hex, with the NUL */
#define BACKUP_NAME_SIZE 80

/* Reports the progress of reading a file, in bytes. May be NULL. */
typedef void backup_told(void *context, int64_t done, int64_t total);

/* Opens the folder, which must be new or empty, with mode 0700. FH_INVALID: it is not empty. */
enum fh_code backup_folder_make(const char *folder, int *ret_fd, struct fh_error *error);

/* Whether that is a valid manifest, whatever files are there. FH_INVALID says what is wrong
 * where. */
enum fh_code backup_manifest_check(const json_t *manifest, struct fh_error *error);
/* Opens the folder and reads its manifest, checked. FH_NOT_FOUND: there is none; FH_INVALID. */
enum fh_code backup_open(const char *folder, int *ret_fd, json_t **ret, struct fh_error *error);
/* Writes the manifest durably: from now on the folder is a backup. */
enum fh_code backup_finish(const char *folder, int folder_fd, const json_t *manifest,
                           struct fh_error *error);

/* Moves the file `from` of one folder to `to` of the other: renames it if possible, else copies and
 * removes it; durable, mode 0600. Takes only regular files. */
enum fh_code backup_take(int from_fd, const char *from, int to_fd, const char *to,
                         struct fh_error *error);
/* Makes a new, durable copy, mode 0600, and the checksum of the data copied. Leaves nothing behind
 * if it fails. */
enum fh_code backup_copy(int from_fd, const char *from, int to_fd, const char *to,
                         backup_told *told, void *context, char ret_sum[static BACKUP_SUM_SIZE],
                         struct fh_error *error);
/* Reads the whole file. */
enum fh_code backup_sum(int folder_fd, const char *name, backup_told *told, void *context,
                        char ret_sum[static BACKUP_SUM_SIZE], int64_t *ret_size,
                        struct fh_error *error);
/* Whether the service's file has the size and checksum in the manifest. FH_CONFLICT: it has not. */
enum fh_code backup_check_file(int folder_fd, const char *service, const json_t *said,
                               backup_told *told, void *context, struct fh_error *error);

#endif
