/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_FILE_OUTSIDE_H
#define SYSTEM_FILE_OUTSIDE_H

/* The keys of services.NAME that begin with "outside": where its webhooks may go, and what they are
 * signed with. `into` is the struct system_service. */

#include "system/file/file.h"
#include "system/file/yaml.h"

yaml_read file_read_outside, file_read_outside_ports, file_read_outside_http,
    file_read_outside_hosts, file_read_outside_keys;

/* Reads the files of keys that the service names, also once more: if one of them is wrong, what
 * they held before remains. */
void file_settle_outside(const struct system_file *file, struct system_service *service,
                         struct findings *findings);
void file_outside_release(struct system_outside *outside);

#endif
