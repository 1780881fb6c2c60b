/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_HELP_H
#define CLI_HELP_H

/* All commands, and help on them. */

#include "cli/cli.h"

extern const struct cli_command *const cli_commands[]; /* ended by NULL */

/* NULL if there is none of this name; reports that, with the nearest one. */
const struct cli_command *help_find(const char *name);
void help_print(const struct cli_command *command);

#endif
