/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_FILE_GATEWAY_H
#define SYSTEM_FILE_GATEWAY_H

/* For file.c: reads the key "gateway" into a struct system_file. */

#include "system/file/yaml.h"

yaml_read file_read_gateway;
/* The value of a key "request_log", of the gateway or a service: true for `all`. */
bool file_request_log(struct yaml_reader *reader, yaml_node_t *node, const char *what);

#endif
