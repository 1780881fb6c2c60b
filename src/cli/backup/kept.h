/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_BACKUP_KEPT_H
#define CLI_BACKUP_KEPT_H

/* Shared by `backup` and `restore`: reading through a backup's files, and showing what it holds. */

#include <jansson.h>

#include "base/progress.h"
#include "cli/backup/key.h"
#include "system/backup/backup.h"

struct kept_reading {
    struct progress progress;
};
/* Shows how far a file has been read: for backup_told. */
void kept_begin(struct kept_reading *reading, const char *service, bool quiet);
void kept_told(void *context, int64_t done, int64_t total);
void kept_end(struct kept_reading *reading);

#define KEPT_TIME_SIZE 32
/* When a backup was taken, from a manifest's "taken_ms". */
void kept_format_time(const json_t *said, char out[static KEPT_TIME_SIZE]);
/* On standard error, whatever else is printed. */
void kept_warn_of_unsealed(const char *folder);
void kept_print(const json_t *manifest, const char *folder, bool as_json);
/* Checks the files of `words` (none: of all services) and shows what the backup holds. */
int kept_check(const char *folder, struct backup_key *key, char **words, bool as_json);
/* Checks files of an open backup. The exit code, after reporting any damage. */
int kept_check_files(const json_t *manifest, const struct backup_key *key, int folder_fd,
                     char **words, bool quiet);

#endif
