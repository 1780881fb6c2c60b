/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_SUPERVISE_BESIDE_H
#define SYSTEM_SUPERVISE_BESIDE_H

/* A second process of a service, beside the one that serves: for the trial
 * of a new program (trial.h), and to make the store anew (rebuild.h). It has no sockets. */

#include <stdbool.h>
#include <stdint.h>

#include "system/supervise/child.h"

/* What has to be free besides another store: for what migrations write, and to start a process. */
#define BESIDE_SPARE_SIZE ((int64_t)16 << 20)

struct beside_room {
    int64_t there, needed; /* bytes */
};
/* `for_store`: another one of the present one's size has to fit, too. */
enum fh_code beside_look(const struct provision_part *part, bool for_store, struct beside_room *ret,
                         struct fh_error *error);

/* Makes `part`, that of the second process, and `child` from those of the service and from `model`:
 * its configuration is FOLDER/STEM.json, its log FOLDER/`log`. Both must live as long as it runs.
 */
void beside_init(struct child *child, struct provision_part *part, const struct provision_part *of,
                 const struct child *model, const char *stem, const char *log);

#endif
