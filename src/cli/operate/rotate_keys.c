/* SPDX-License-Identifier: Apache-2.0 */
/* freehold rotate-keys: replaces the keys by which the processes of a running system know each
 * other. */

#include "cli/operate/change.h"
#include "system/supervise/rotation.h"

static int run_rotate_keys(const struct cli_command *command, char **words, const char **values)
{
    bool forget = cli_value(command, values, "--forget-users") != NULL;
    return cli_change(command, values,
                      json_pack("{s:s, s:s, s:s*, s:o*}", "command", "rotate-keys", "service",
                                ROTATION_NAME, "of", words[0], "forget",
                                forget ? json_true() : NULL));
}

const struct cli_command cli_rotate_keys = {
    .name = "rotate-keys",
    .words = "[SERVICE]",
    .words_max = 1,
    .summary = "Replace the processes' keys while the system runs",
    .text =
        "Every process first accepts the new keys, then uses them, then forgets the former ones;\n"
        "no request is refused meanwhile. Returns when the former keys are accepted no more:\n"
        "that waits for requests that are under way, up to some 30 seconds where services\n"
        "subscribe to events. If a process does not take the new keys within a minute, all keys\n"
        "stay as they are.\n"
        "SERVICE, which may be gateway or operator: only the keys that it calls others with and\n"
        "others call it with. The gateway's are also those that it signs with who a user is:\n"
        "a former one is accepted for 30 days more, since sagas that are not over carry what it\n"
        "has signed; --forget-users ends that at once, and these sagas go on without a user.\n"
        "With security: { rotate_keys_days: 30 } in the system file, up does this by itself.\n"
        "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no running system.\n",
    .options = {{"--forget-users", NULL,
                 "stop accepting statements of users made with former keys"},
                CLI_OPTION_STATE_RUNNING,
                CLI_OPTION_JSON},
    .run = run_rotate_keys,
};
