/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_FILE_ISOLATION_H
#define SYSTEM_FILE_ISOLATION_H

/* The keys `isolation` and `services.NAME.reads`. */

#include "system/file/file.h"
#include "system/file/findings.h"
#include "system/file/yaml.h"

/* `into` is a struct system_file. */
void file_read_isolation(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                         void *into);
/* Also where the file says nothing: what the one who runs `up` can give. */
void file_settle_isolation(struct system_file *file, struct findings *findings);
/* `into` is a struct system_service. */
void file_read_reads(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into);
/* Makes the paths absolute; finds those that are missing. */
void file_settle_reads(struct system_file *file, struct system_service *service,
                       struct findings *findings);

#endif
