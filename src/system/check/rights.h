/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_CHECK_RIGHTS_H
#define SYSTEM_CHECK_RIGHTS_H

/* Whether root may do here what starting other users' processes takes: in containers, and in user
 * namespaces, root often may not, and each step would fail by itself with EPERM. */

#include "system/file/findings.h"

/* One finding, with what to do; none for other users, who need no rights. */
void rights_check(struct findings *findings);

#endif
