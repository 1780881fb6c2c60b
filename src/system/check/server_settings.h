/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SYSTEM_CHECK_SERVER_SETTINGS_H
#define SYSTEM_CHECK_SERVER_SETTINGS_H

/* Has each private server that has settings read them, by a program of the server's own that then
 * ends: names and values that it does not take are findings, before any server is made. */

#include "system/file/file.h"

#define SERVER_SETTINGS_MS_MAX 20000

void server_settings_check(struct system_file *file, struct findings *findings);

#endif
