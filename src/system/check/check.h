/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_CHECK_CHECK_H
#define SYSTEM_CHECK_CHECK_H

/* Whether the programs of a system fit together: everything that one of them expects of another is
 * there. What would otherwise be found out at run time, by a customer. */

#include "system/file/file.h"

/* All services have been described. */
void check_system(struct system_file *file, struct findings *findings);

struct check_counts {
    size_t services, routes, public_routes, subscriptions, sagas, compositions;
};
struct check_counts check_count(const struct system_file *file);

#endif
