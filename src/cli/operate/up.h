/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_OPERATE_UP_H
#define CLI_OPERATE_UP_H

#include "cli/cli.h"

/* Like `up`, with FILE and the services whose stores are moved at the start. */
int up_move(const struct cli_command *command, char **words, const char **values);

#endif
