/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_COPY_MOMENT_H
#define STORE_COPY_MOMENT_H

/* The one moment of a relational store that is copied. */

#include "store/copy/copy.h"

/* Begins to read options->from as of a moment at which all of its events have positions: *ret is a
 * STORE_READ whose snapshot is fixed. FH_UNAVAILABLE: none was found, or the copy is stopped. */
enum fh_code copy_moment_begin(const struct copy_options *options, struct store_work **ret,
                               struct fh_error *error);

#endif
