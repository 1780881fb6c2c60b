/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_LOAD_H
#define CLI_LOAD_H

/* What `check` and `up` both begin with: the file, its programs, and whether they fit together. */

#include "system/provision.h"

/* NULL when there was an error; everything found is in `findings`. `programs` may be NULL. */
struct system_file *load_system(const char *path, const char *profile, const char *programs,
                                struct findings *findings);
/* The environment without what the file takes from it: those values are for the services that name
 * them. On the file's arena. */
char **load_environment(struct system_file *file);
/* Stores are no source code: keeps .freehold beside a system file out of git by itself. For state
 * folders that nobody has named. */
void load_hide(const struct provision *provision);

#endif
