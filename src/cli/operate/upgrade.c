/* SPDX-License-Identifier: Apache-2.0 */
/* freehold upgrade: replaces a service's processes by its present program. */

#include "cli/operate/change.h"

static int run_upgrade(const struct cli_command *command, char **words, const char **values)
{
    return cli_change(command, values,
                      json_pack("{s:s, s:s, s:b}", "command", "upgrade", "service", words[0],
                                "force", cli_value(command, values, "--force") != NULL));
}

const struct cli_command cli_upgrade = {
    .name = "upgrade",
    .words = "SERVICE",
    .words_min = 1,
    .words_max = 1,
    .summary = "Replace a service's processes by its new program, one by one",
    .text = "A new process starts beside the old ones; when it is ready they are drained and\n"
            "started again one after the other. When it does not get ready they go on as they\n"
            "are. Where a store is embedded, the new program and its migrations are tried on a\n"
            "copy of it first; only then does the old process end, and requests wait meanwhile.\n"
            "What still fails after that gives way to the older program.\n"
            "The program describes itself first: whoever has to know of its new needs or routes\n"
            "is started again too, and what can't be run in this system is refused; so is a\n"
            "program that lacks definitions which sagas that are not over began with.\n"
            "A program that is replaced on disk is taken by itself, unless the system file says\n"
            "upgrade: by hand; freehold status names those that run an older one.\n"
            "SERVICE may be gateway, whose program is freehold itself.\n"
            "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no running system.\n",
    .options = {{"--force", NULL,
                 "park sagas whose definitions it lacks; do without a trial's room"},
                CLI_OPTION_STATE_RUNNING,
                CLI_OPTION_JSON},
    .run = run_upgrade,
};
