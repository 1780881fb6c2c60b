/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_FILE_GATEWAY_H
#define SYSTEM_FILE_GATEWAY_H

/* For file.c: reads the key "gateway" into a struct system_file. */

#include "system/file/yaml.h"

yaml_read file_read_gateway;

#endif
