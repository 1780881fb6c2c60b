/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_CHECK_SETTINGS_H
#define SYSTEM_CHECK_SETTINGS_H

/* Whether services' settings have the shapes that their programs declare. */

#include "system/file/file.h"

/* The same check as the service makes at its start; one that was not described has a finding
 * already. */
void settings_check(const struct system_service *service, struct findings *findings);
/* Of all services; the file may have errors. */
void settings_check_all(const struct system_file *file, struct findings *findings);

#endif
