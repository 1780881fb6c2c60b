/* SPDX-License-Identifier: Apache-2.0 */
/* The commands by name: present ones, former ones, and the nearest to a name that is none. */

#include "cli/commands.h"

#include <string.h>

#include "system/file/nearest.h"

const struct cli_command *const *commands;

void commands_init(const struct cli_command *const *all)
{
    commands = all;
}

/* Former names of commands, and their present ones. */
static const char *const former_names[][2] = {{"restored", "restore-report"}};

const struct cli_command *commands_find(const char *name)
{
    struct nearest nearest = nearest_begin(name);
    for (size_t i = 0; i < sizeof former_names / sizeof former_names[0]; i++) {
        if (strcmp(former_names[i][0], name) == 0) {
            cli_fail(CLI_USAGE, "'%s' is called '%s' now", name, former_names[i][1]);
            return NULL;
        }
    }
    for (int i = 0; commands[i]; i++) {
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
        if (!commands[i]->hidden)
            nearest_offer(&nearest, commands[i]->name);
    }
    if (nearest.word)
        cli_fail(CLI_USAGE, "there is no command '%s'; did you mean '%s'?", name, nearest.word);
    else
        cli_fail(CLI_USAGE, "there is no command '%s'; see freehold help", name);
    return NULL;
}
