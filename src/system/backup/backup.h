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
 *
 * Format 2 is encrypted and signed (seal.h): "freehold_backup" is 2, files are named users.sealed,
 * their sizes and checksums are those of the sealed files, and there are "backup", its id, and
 * "mac".
 */

#include <jansson.h>
#include <stdint.h>

#include "base/error.h"
#include "system/backup/seal.h"

#define BACKUP_MANIFEST "manifest.json"
#define BACKUP_FORMAT 1
#define BACKUP_FORMAT_SEALED 2
#define BACKUP_SUM_SIZE 65 /* SHA-256 in hex, with the NUL */
#define BACKUP_NAME_SIZE 80

/* Reports the progress of reading a file, in bytes. May be NULL. */
typedef void backup_told(void *context, int64_t done, int64_t total);

/* Opens the folder, which must be new or empty, with mode 0700. FH_INVALID: it is not empty. */
enum fh_code backup_folder_make(const char *folder, int *ret_fd, struct fh_error *error);

/* Whether that is a valid manifest, whatever files are there. FH_INVALID says what is wrong
 * where. */
enum fh_code backup_manifest_check(const json_t *manifest, struct fh_error *error);
/* Where what it says of one service is wrong; NULL: nowhere. */
const char *backup_wrong_with(const char *service, const json_t *said, bool sealed);
/* Opens the folder and reads its manifest, checked. FH_NOT_FOUND: there is none; FH_INVALID. */
enum fh_code backup_open(const char *folder, int *ret_fd, json_t **ret, struct fh_error *error);
bool backup_is_sealed(const json_t *manifest);
/* Writes the manifest durably, if it is valid: from now on the folder is a backup. `seal` NULL: it
 * is neither encrypted nor signed. */
enum fh_code backup_finish(const char *folder, int folder_fd, json_t *manifest,
                           const struct seal *seal, struct fh_error *error);
/* The name of a service's file, BACKUP_FILE_SIZE. */
#define BACKUP_FILE_SIZE (BACKUP_NAME_SIZE + 8)
void backup_file_name(const char *service, bool sealed, char ret[static BACKUP_FILE_SIZE]);

/* What is done to a file's bytes on their way. */
enum backup_way { BACKUP_AS_IT_IS, BACKUP_SEAL, BACKUP_OPEN };
struct backup_copying {
    enum backup_way way;
    const struct seal *seal; /* for the latter two */
    const char *service;     /* whose file it is */
    backup_told *told;       /* may be NULL */
    void *context;
    /* Filled in: of the file as it is in the backup. */
    char sum[BACKUP_SUM_SIZE];
    int64_t size;
};
/* Makes a new, durable copy, mode 0600. Leaves nothing behind if it fails. FH_CONFLICT: what is
 * opened was not sealed so. */
enum fh_code backup_copy(int from_fd, const char *from, int to_fd, const char *to,
                         struct backup_copying *copying, struct fh_error *error);
/* The same of a file that is not kept: it is renamed if it is taken as it is and that is possible;
 * else its name is removed before a byte is copied. */
enum fh_code backup_take(int from_fd, const char *from, int to_fd, const char *to,
                         struct backup_copying *copying, struct fh_error *error);
/* Reads the whole file, and writes nothing. */
enum fh_code backup_read(int folder_fd, const char *name, struct backup_copying *copying,
                         struct fh_error *error);
/* Whether the service's file has the size and checksum in the manifest, and can be opened if it is
 * sealed. FH_CONFLICT: it has not, or can't. */
enum fh_code backup_check_file(int folder_fd, const char *service, const json_t *said,
                               struct backup_copying *copying, struct fh_error *error);

/* copy.c: all bytes of `from`, to `to` unless that is negative. */
enum fh_code backup_pass(int from, int to, struct backup_copying *copying, struct fh_error *error);

#endif
