/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

/* The commands, for those among them that are about commands: help and completion. main.c, which
 * knows them all, passes them down. */

#include "cli/cli.h"

extern const struct cli_command *const *commands; /* ended by NULL */

/* Once, at the start; `all` is borrowed. */
void commands_init(const struct cli_command *const *all);
/* NULL if there is none of this name; reports that, with the nearest one. */
const struct cli_command *commands_find(const char *name);

#endif
