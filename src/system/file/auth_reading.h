/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_FILE_AUTH_READING_H
#define SYSTEM_FILE_AUTH_READING_H

/* What the files that read gateway.auth share. */

#include <jansson.h>

#include "system/file/yaml.h"

struct system_file;

/* What their readers fill in. */
struct auth_reading {
    struct system_file *file;
    json_t *into;
};

/* The content of the file at `path`; relative paths start at the system file. malloc'ed; NULL with
 * a finding, or because the system file is keyless. */
char *auth_read_file(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                     const struct system_file *file, const char *path, size_t size_max,
                     size_t *ret_length);

/* gateway.auth.keys; `into` is a struct auth_reading. */
yaml_read auth_read_keys;
/* Texts of "subjects", "scopes", "roles" and "claims" into auth_reading.into. */
yaml_read auth_read_subjects, auth_read_scopes_place, auth_read_roles_place, auth_read_leeway,
    auth_read_claims_passed;
void auth_set_text(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into,
                   const char *name);
void auth_set_integer(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into,
                      const char *name, int minimum, int maximum);
void auth_check_url(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                    const char *url);

/* gateway.auth.introspection; `into` is a struct auth_reading. */
yaml_read auth_read_introspection;

#endif
