/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_BACKUP_BACKUP_H
#define SYSTEM_BACKUP_BACKUP_H

/*
 * A backup as it lies in its folder: a file for each service, and BACKUP_MANIFEST, which says what
 * they are and is written last. A folder without it is no backup (docs/operate/backup.md).
 *
 *     {"freehold_backup": 1, "system": "shop", "taken_ms": wall clock,
 *      "services": {"users": {"file": "users.db", "model": "relational", "engine": "postgresql",
 *                             "incarnation": ID, "position": 4711, "taken_ms": ..., "migration": 3,
 *                             "rows": 1200, "size": bytes, "sha256": hex}}}
 */

#include <jansson.h>
#include <stdint.h>

#include "base/error.h"

#define BACKUP_MANIFEST "manifest.json"
#define BACKUP_FORMAT 1
#define BACKUP_SUM_SIZE 65 /* SHA-256 in hex, with the NUL */
#define BACKUP_NAME_SIZE 80

/* How far the reading of a file has come, in bytes. NULL: nobody wants to know. */
typedef void backup_told(void *context, int64_t done, int64_t total);

/* The folder, new or empty, of mode 0700. FH_INVALID: it holds something. */
enum fh_code backup_folder_make(const char *folder, int *ret_fd, struct fh_error *error);

/* Whether that is a manifest, whatever lies beside it. FH_INVALID says what is wrong where. */
enum fh_code backup_manifest_check(const json_t *manifest, struct fh_error *error);
/* The folder and its manifest, checked. FH_NOT_FOUND: there is none; FH_INVALID. */
enum fh_code backup_open(const char *folder, int *ret_fd, json_t **ret, struct fh_error *error);
/* The manifest, durable: from now on it is a backup. */
enum fh_code backup_finish(const char *folder, int folder_fd, const json_t *manifest,
                           struct fh_error *error);

/* The file `from` of one folder becomes `to` of the other: renamed where it can be, else copied and
 * removed; durable, mode 0600. Only a plain file is taken. */
enum fh_code backup_take(int from_fd, const char *from, int to_fd, const char *to,
                         struct fh_error *error);
/* A durable copy, new, mode 0600, and the sum of what was read for it. Nothing is left of one that
 * failed. */
enum fh_code backup_copy(int from_fd, const char *from, int to_fd, const char *to,
                         backup_told *told, void *context, char ret_sum[static BACKUP_SUM_SIZE],
                         struct fh_error *error);
/* Reads all of a file. */
enum fh_code backup_sum(int folder_fd, const char *name, backup_told *told, void *context,
                        char ret_sum[static BACKUP_SUM_SIZE], int64_t *ret_size,
                        struct fh_error *error);
/* The service's file is what the manifest says, by size and sum. FH_CONFLICT: it is not. */
enum fh_code backup_check_file(int folder_fd, const char *service, const json_t *said,
                               backup_told *told, void *context, struct fh_error *error);

#endif
