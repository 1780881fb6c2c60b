/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_HELP_H
#define CLI_HELP_H

/* All commands, and what is said of them. */

#include "cli/cli.h"

extern const struct cli_command *const cli_commands[]; /* ends with NULL */

/* NULL after saying that there is none of this name, and which one is near. */
const struct cli_command *help_find(const char *name);
void help_print(const struct cli_command *command);

#endif
