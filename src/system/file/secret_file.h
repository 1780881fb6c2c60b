/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_FILE_SECRET_FILE_H
#define SYSTEM_FILE_SECRET_FILE_H

/* Files with a secret on one line. */

#include <stddef.h>

#include "base/error.h"

/* Reads the file's only line, without blanks around it, into `ret`. FH_INVALID with a sentence that
 * never contains the secret: the file can't be read, is no regular file, belongs to another user
 * than root and the one who runs this, can be used by others (group and mode: see private_key.h),
 * or holds anything but one line of at most `size - 1` visible characters. What is judged is the
 * file that is read, however its name is changed meanwhile. */
enum fh_code secret_file_read(const char *path, char *ret, size_t size, struct fh_error *error);

#endif
