/* SPDX-License-Identifier: Apache-2.0 */
/* freehold stop: asks the running `up` to stop, and shows the progress. */

#include "base/json.h"
#include "cli/cli.h"
#include "cli/killed.h"

struct stop_progress {
    bool quiet, stopped, refused;
};

static void take_stop_line(void *context, const json_t *line)
{
    struct stop_progress *progress = context;
    const char *text = json_string_at(line, "progress");
    if (text && !progress->quiet)
        cli_note(CLI_PLAIN, "  %s", text);
    const char *error = json_string_at(line, "error");
    if (error)
        cli_fail(CLI_FAILED, "%s", error);
    progress->refused |= error != NULL;
    progress->stopped |= json_is_true(json_at(line, "stopped"));
}

/* Nothing runs there, but what an `up` that was killed has left. */
static int end_killed(struct state *state, bool quiet)
{
    json_t *ended, *one;
    size_t i;
    int code = killed_end(state, &ended);
    if (code == CLI_DONE && quiet) {
        json_t *told = json_pack("{s:b, s:b, s:O}", "stopped", 1, "killed", 1, "ended", ended);
        cli_print_json(told);
        json_decref(told);
    } else if (code == CLI_DONE) {
        json_array_foreach (ended, i, one)
            cli_note(CLI_PLAIN, "  %s (pid %lld) has ended", cli_text(one, "name"),
                     cli_number(one, "pid"));
        printf("Stopped: its up had been killed%s.\n",
               json_array_size(ended) ? "" : ", and nothing of it was running any more");
    }
    json_decref(ended);
    state_close(state);
    return code;
}

static int run_stop(const struct cli_command *command, char **words, const char **values)
{
    (void)words;
    struct state state;
    struct stop_progress progress = {.quiet = cli_value(command, values, "--json") != NULL};
    const char *folder = cli_value(command, values, "--state");
    int code = CLI_DONE;
    if (cli_find_killed(folder, &state))
        return end_killed(&state, progress.quiet);
    code = cli_find_state(folder, &state);
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
            "Where up was killed, it ends what that has left.\n"
            "Exit codes: 0 stopped, 1 failed, 3 no running system.\n",
    .options = {CLI_OPTION_STATE_RUNNING, CLI_OPTION_JSON},
    .run = run_stop,
};
