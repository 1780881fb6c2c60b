/* SPDX-License-Identifier: Apache-2.0 */
/* freehold stop: asks the running `up` to stop, and shows the progress. */

#include "base/json.h"
#include "cli/cli.h"

struct progress {
    bool quiet, stopped, refused;
};

static void take_stop_line(void *context, const json_t *line)
{
    struct progress *progress = context;
    const char *text = json_string_at(line, "progress");
    if (text && !progress->quiet)
        cli_note(CLI_PLAIN, "  %s", text);
    const char *error = json_string_at(line, "error");
    if (error)
        cli_fail(CLI_FAILED, "%s", error);
    progress->refused |= error != NULL;
    progress->stopped |= json_is_true(json_at(line, "stopped"));
}

static int run_stop(const struct cli_command *command, char **words, const char **values)
{
    (void)words;
    struct state state;
    struct progress progress = {.quiet = cli_value(command, values, "--json") != NULL};
    int code = cli_find_state(cli_value(command, values, "--state"), &state);
    if (code != CLI_DONE)
        return code;
    code = cli_control(&state, "stop", take_stop_line, &progress);
    if (code == CLI_NOT_RUNNING)
        cli_fail(code, "the system has just stopped by itself");
    else if (progress.refused)
        code = CLI_FAILED;
    else if (code == CLI_DONE && !progress.stopped)
        code = cli_fail(CLI_FAILED, "up ended before it said that all has stopped");
    if (code == CLI_DONE && progress.quiet)
        printf("{\"stopped\":true}\n");
    else if (code == CLI_DONE)
        printf("Stopped.\n");
    state_close(&state);
    return code;
}

const struct cli_command cli_stop = {
    .name = "stop",
    .words = "",
    .summary = "Stop a running system in order, the gateway first",
    .text = "Requests under way are answered first. Returns when all processes have ended.\n"
            "Exit codes: 0 stopped, 1 failed, 3 no running system.\n",
    .options = {CLI_OPTION_STATE_RUNNING, CLI_OPTION_JSON},
    .run = run_stop,
};
