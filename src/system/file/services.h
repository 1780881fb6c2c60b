/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_FILE_SERVICES_H
#define SYSTEM_FILE_SERVICES_H

/* The system file's `services`. */

#include "system/file/file.h"
#include "system/file/yaml.h"

yaml_read file_read_services; /* `into` is the struct system_file */

/* The keys of one, which a profile may replace. */
void file_read_service_keys(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                            struct system_service *service);
/* Once all of them are read. */
void file_settle_retention(const struct system_service *service, struct findings *findings);

#endif
