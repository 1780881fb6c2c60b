/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_FILE_PROFILES_H
#define SYSTEM_FILE_PROFILES_H

/* The system file's `profiles`. */

#include "system/file/file.h"
#include "system/file/yaml.h"

yaml_read file_read_profiles; /* `into` is the struct system_file; after its services */

#endif
