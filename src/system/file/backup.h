/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_FILE_BACKUP_H
#define SYSTEM_FILE_BACKUP_H

/* The system file's `backup`: where the key is with which backups are encrypted and signed. */

#include "system/file/yaml.h"

yaml_read file_read_backup; /* `into` is the struct system_file */

#endif
