/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_FILE_AUTH_H
#define SYSTEM_FILE_AUTH_H

/* For gateway.c: reads the key "gateway.auth" into system_file.auth. */

#include "system/file/yaml.h"

yaml_read file_read_auth;

#endif
