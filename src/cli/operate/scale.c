/* SPDX-License-Identifier: Apache-2.0 */
/* freehold scale: more or fewer processes of one service, while it runs. */

#include <stdlib.h>

#include "base/json.h"
#include "cli/operate/change.h"
#include "system/supervise/child.h"

/* Longest time between two lines: a process starts, or drains. */
#define CHANGE_ANSWER_MS_MAX (CHILD_START_MS_MAX + CHILD_GRACE_MS_MAX)

struct change {
    bool quiet, done;
    json_t *error;
};

static void take_scale_line(void *context, const json_t *line)
{
    struct change *change = context;
    const char *text = json_string_at(line, "progress");
    if (text && !change->quiet)
        cli_note(CLI_PLAIN, "  %s", text);
    change->done |= json_is_true(json_at(line, "done"));
    if (json_is_string(json_at(line, "error")) && !change->error)
        change->error = json_copy_out(json_at(line, "error"));
}

int cli_change(const struct cli_command *command, const char **values, json_t *request)
{
    struct state state;
    struct change change = {.quiet = cli_value(command, values, "--json") != NULL};
    int code = cli_find_state(cli_value(command, values, "--state"), &state);
    if (code != CLI_DONE) {
        json_decref(request);
        return code;
    }
    code = cli_control_request(&state, request, CHANGE_ANSWER_MS_MAX, take_scale_line, &change);
    if (code == CLI_NOT_RUNNING)
        cli_fail(code, "the system has just stopped");
    else if (change.error)
        code = cli_fail(CLI_FAILED, "%s", json_string_value(change.error));
    else if (code == CLI_DONE && !change.done)
        code = cli_fail(CLI_FAILED, "up did not say that it is done; see freehold status");
    if (code == CLI_DONE)
        printf("%s\n", change.quiet ? "{\"done\":true}" : "Done.");
    json_decref(change.error);
    state_close(&state);
    return code;
}

static int run_scale(const struct cli_command *command, char **words, const char **values)
{
    char *end;
    long wanted = strtol(words[1], &end, 10);
    if (*end || end == words[1] || wanted < 1 || wanted > SYSTEM_INSTANCES_MAX)
        return cli_fail(CLI_USAGE, "'%s' is not a number of instances; expected one from 1 to %d",
                        words[1], SYSTEM_INSTANCES_MAX);
    return cli_change(command, values,
                      json_pack("{s:s, s:s, s:i}", "command", "scale", "service", words[0],
                                "instances", (int)wanted));
}

const struct cli_command cli_scale = {
    .name = "scale",
    .words = "SERVICE INSTANCES",
    .words_min = 2,
    .words_max = 2,
    .summary = "Run more or fewer processes of a service; no request fails",
    .text = "Returns when the new ones are ready and those too many have drained and ended. The\n"
            "number holds for the next up too, until the system file says another one.\n"
            "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no running system.\n",
    .options = {CLI_OPTION_STATE_RUNNING, CLI_OPTION_JSON},
    .run = run_scale,
};
