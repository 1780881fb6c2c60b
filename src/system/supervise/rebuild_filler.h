/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SUPERVISE_REBUILD_FILLER_H
#define SYSTEM_SUPERVISE_REBUILD_FILLER_H

/* What the process is told that fills a new store (rebuild.h). */

#include "system/supervise/rebuild.h"

/* Writes REBUILD_CONFIG, from the service's own configuration. FH_UNSUPPORTED: the new store can't
 * be filled from all that the service subscribes to. */
enum fh_code rebuild_configure(const struct rebuild *rebuild, const struct provision_part *part,
                               struct fh_error *error);

#endif
