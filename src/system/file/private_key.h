/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_FILE_PRIVATE_KEY_H
#define SYSTEM_FILE_PRIVATE_KEY_H

/* Private keys that the system file names. */

#include "system/file/yaml.h"

/* Reports a file that others than the one who runs this, and root, can read or write. The group of
 * a key that root owns may read it, where root does not run this: so Debian's ssl-cert works, and
 * so judges libpq. Says nothing of a file that is not there. */
void private_key_check(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                       const char *path);

#endif
