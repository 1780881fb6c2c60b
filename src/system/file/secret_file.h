/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_FILE_SECRET_FILE_H
#define SYSTEM_FILE_SECRET_FILE_H

/* Files with a secret on one line. */

#include <stddef.h>
#include <sys/stat.h>

#include "base/error.h"
#include "system/file/yaml.h"

/* What is wrong with the file of a secret. The group of one that root owns may read it, where root
 * does not run this; of any other nobody but its owner may. */
enum secret_fault { SECRET_SOUND, SECRET_NO_FILE, SECRET_OPEN, SECRET_OF_ANOTHER };
enum secret_fault secret_file_fault(const struct stat *status);

/* Reads the file's only line, without blanks around it, into `ret`. FH_INVALID with a sentence that
 * never contains the secret: the file can't be read, is no regular file, belongs to another user
 * than root and the one who runs this, can be used by others (secret_file_fault), or holds anything
 * but one line of at most `size - 1` visible characters. What is judged is the file that is read,
 * however its name is changed meanwhile. */
enum fh_code secret_file_read(const char *path, char *ret, size_t size, struct fh_error *error);
/* The secret in the file that the node names, by an absolute path; NULL with a finding. */
const char *file_read_secret(struct yaml_reader *reader, yaml_node_t *node, const char *what);

#endif
