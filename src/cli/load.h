/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_LOAD_H
#define CLI_LOAD_H

/* What `check` and `up` both begin with: the file, its programs, and whether they fit together. */

#include "system/file.h"

/* NULL when there was an error; everything found is in `findings`. `programs` may be NULL. */
struct system_file *load_system(const char *path, const char *profile, const char *programs,
                                struct findings *findings);

#endif
