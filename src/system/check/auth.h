/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_CHECK_AUTH_H
#define SYSTEM_CHECK_AUTH_H

#include "system/file/file.h"

/* A finding for each route of the services' descriptions that is open to the outside and does not
 * say to whom, for each `.auth` that can't be read, and for each service with routes for users
 * where nobody can log in. */
void auth_check_routes(const struct system_file *file, struct findings *findings);

#endif
