/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_HELP_H
#define CLI_HELP_H

#include "cli/cli.h"

/* What a command does and takes, on standard output. */
void help_print(const struct cli_command *command);

#endif
