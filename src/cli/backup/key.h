/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_BACKUP_KEY_H
#define CLI_BACKUP_KEY_H

/* The key of backups: from the file that --key names, or as the system file of the last `up` says.
 */

#include "cli/cli.h"
#include "system/backup/backup.h"

struct backup_key {
    bool given;
    struct seal seal; /* if given */
};

/* `file` is --key, or NULL; `system` is system.json, or NULL. CLI_DONE also without any key; else
 * why not was reported, and nothing must be done: a key that was named and can't be read is never
 * taken for none. */
int backup_key_get(const char *file, const json_t *system, struct backup_key *ret);
void backup_key_forget(struct backup_key *key);

/* Opens a backup with the key: a sealed one only with the key that signed it, and one that is not
 * sealed, where there is a key, only if `unsealed` says so. An exit code, after reporting. */
int backup_key_open(const char *folder, struct backup_key *key, bool unsealed, int *ret_fd,
                    json_t **ret_manifest);

/* How to read files of this backup. */
struct backup_copying backup_key_reading(const json_t *manifest, const struct backup_key *key);

#endif
