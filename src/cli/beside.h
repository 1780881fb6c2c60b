/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_BESIDE_H
#define CLI_BESIDE_H

/* A file that is replaced as a whole: what is new is written beside it, and takes its place once it
 * is durable. Whoever reads it finds the old one or the new one. Functions that return an exit code
 * have reported what is wrong. */

#include "base/text.h"

/* Writes all of `text` beside `path`, to the disk. If that fails, nothing is left there. */
int beside_write(const char *path, const struct text *text);
/* Puts what was written beside it in its place. */
int beside_take(const char *path);
/* Removes what was written beside it, if that is still there. */
void beside_drop(const char *path);

#endif
