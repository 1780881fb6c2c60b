/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_FILE_AUTH_H
#define SYSTEM_FILE_AUTH_H

/* The key "gateway.auth" of a system file. */

#include "base/arena.h"
#include "system/file/yaml.h"

/* For gateway.c: reads it into system_file.auth. */
yaml_read file_read_auth;

/* Which file of API keys the system file at `path` names, whatever else is wrong with either: the
 * absolute path, in the arena. NULL with a finding. */
const char *file_keys_path(const char *path, struct arena *arena, struct findings *findings);

#endif
