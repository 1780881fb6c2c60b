/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_OPERATE_CHANGE_H
#define CLI_OPERATE_CHANGE_H

/* Changes of a running service, which `up` makes and reports on as it goes. */

#include <jansson.h>

#include "cli/cli.h"

/* Sends `request` (taken), shows its progress, and returns when it is done or has failed. */
int cli_change(const struct cli_command *command, const char **values, json_t *request);

#endif
