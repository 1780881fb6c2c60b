/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_CHECK_CHECK_H
#define SYSTEM_CHECK_CHECK_H

/* Whether the programs of a system fit together: whatever one expects of another is there.
 * Otherwise customers would find out at run time. */

#include "system/file/file.h"

/* Of a file without errors. A service that was not described has a finding already: what others
 * expect of it is not judged, nor anything about the system as a whole. */
void check_system(struct system_file *file, struct findings *findings);

struct check_counts {
    size_t services, routes, public_routes, subscriptions, sagas, compositions;
};
struct check_counts check_count(const struct system_file *file);

#endif
