/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor process of a private database server, which `up` starts. */

#include "cli/cli.h"
#include "system/servers/supervisor.h"

static int run_keep(const struct cli_command *command, char **words, const char **values)
{
    (void)words;
    const char *config = cli_value(command, values, "--config");
    if (!config)
        return cli_fail(CLI_USAGE, "keep needs --config FILE");
    return server_supervisor_main(config);
}

const struct cli_command cli_keep = {
    .name = "keep",
    .words = "",
    .summary = "Runs a private database server of a system; `up` starts it",
    .text = "The configuration is described in docs/internals/processes.md.\n",
    .options = {{"--config", "FILE", "its configuration"}},
    .hidden = true,
    .run = run_keep,
};
