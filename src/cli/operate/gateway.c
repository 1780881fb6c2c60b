/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's own process, which `up` starts. */

#include "cli/cli.h"
#include "gateway/gateway.h"

static int run_gateway(const struct cli_command *command, char **words, const char **values)
{
    (void)words;
    const char *config = cli_value(command, values, "--config");
    if (!config)
        return cli_fail(CLI_USAGE, "gateway needs --config FILE");
    return gateway_main(config);
}

const struct cli_command cli_gateway = {
    .name = "gateway",
    .words = "",
    .summary = "Runs the gateway of a system; `up` starts it",
    .text = "The configuration is described in docs/internals/processes.md.\n",
    .options = {{"--config", "FILE", "its configuration"}},
    .hidden = true,
    .run = run_gateway,
};
