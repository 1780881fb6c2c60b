/* SPDX-License-Identifier: Apache-2.0 */
/*
 * freehold move: moves a service's store to another engine, while the system runs or, with FILE,
 * when it is started. The running `up` does it, and goes on with it even if the client is gone.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/follow.h"
#include "cli/operate/up.h"

/* A server is made, a process drains, a slice is copied: `up` reports more often than this. */
#define MOVE_ANSWER_MS_MAX (600 * 1000)

/* What is left for the operator to do. */
static void tell_file(const json_t *moved)
{
    const json_t *file = json_object_get(moved, "file");
    if (!file)
        return;
    cli_line(2, "The system file still says otherwise, at %s:%lld: %s. Say there: %s",
             json_string_at(file, "path"), (long long)cli_number(file, "line"),
             json_string_at(file, "says"), json_string_at(file, "expected"));
    cli_line(2,
             "Until then `freehold up` starts it where its data are, and check and status say so.");
}

static int tell_end(const struct following *asked, bool abandons)
{
    const char *service = asked->service;
    const json_t *moved = json_object_get(asked->end, "moved");
    const char *error = json_string_at(asked->end, "error");
    bool back = json_is_true(json_object_get(asked->end, "back"));
    if (error && !(back && abandons))
        return cli_fail(CLI_FAILED, "%s", error);
    if (!moved && !back)
        return cli_fail(CLI_FAILED,
                        "up did not say that it is done: it goes on, or the next up does; see "
                        "freehold status");
    if (moved && abandons)
        return cli_fail(CLI_FAILED, "%s was moved before it could be abandoned", service);
    if (asked->quiet)
        cli_print_json(moved ? moved : asked->end);
    else if (back)
        printf("%s\n", error);
    else
        printf("%s was moved from %s to %s; its requests waited %.1f s.\n", service,
               json_string_at(moved, "from"), json_string_at(moved, "to"),
               (double)cli_number(moved, "paused_ms") / 1000);
    if (moved && !asked->quiet)
        tell_file(moved);
    return CLI_DONE;
}

static int move_running(const struct cli_command *command, const char *service, const char **values)
{
    struct state state;
    bool abandons = cli_value(command, values, "--abandon") != NULL;
    struct following asked = {.service = service,
                              .quiet = cli_value(command, values, "--json") != NULL};
    int code = cli_find_state(cli_value(command, values, "--state"), &state);
    if (code == CLI_NOT_RUNNING)
        cli_note(CLI_PLAIN,
                 "A stopped system's store moves when it is started: freehold move FILE %s",
                 service);
    if (code != CLI_DONE)
        return code;
    json_t *request = json_pack("{s:s, s:s, s:s*, s:s*}", "command", "move", "service", service,
                                "to", cli_value(command, values, "--to"), "profile",
                                cli_value(command, values, "--profile"));
    if (abandons)
        json_object_set_new(request, "abandon", json_true());
    code = follow(&asked, &state, request, MOVE_ANSWER_MS_MAX);
    if (code == CLI_NOT_RUNNING)
        cli_fail(code, "the system has just stopped");
    else if (code == CLI_DONE)
        code = tell_end(&asked, abandons);
    follow_release(&asked);
    state_close(&state);
    return code;
}

/* No service's name has a '/' or a '.'. */
static bool is_file(const char *word)
{
    return strpbrk(word, "/.") != NULL;
}

static int run_move(const struct cli_command *command, char **words, const char **values)
{
    bool file = words[1] != NULL;
    if (!file && is_file(words[0]))
        return cli_fail(CLI_USAGE, "say whose store, too: freehold move %s SERVICE", words[0]);
    if (file && !is_file(words[0]) && access(words[0], F_OK) != 0)
        return cli_fail(CLI_USAGE,
                        "with several words the first is the system file, and %s is "
                        "none; under a running system one service moves at a time",
                        words[0]);
    if (file && cli_value(command, values, "--to"))
        return cli_fail(CLI_USAGE, "with FILE, the file says where to; --to is for a running "
                                   "system: freehold move SERVICE --to ENGINE");
    if (!file && (cli_value(command, values, "--listen") || cli_value(command, values, "--detach")))
        return cli_fail(CLI_USAGE, "--listen and --detach are for a start: freehold move FILE "
                                   "SERVICE ...");
    return file ? up_move(command, words, values) : move_running(command, words[0], values);
}

const struct cli_command cli_move = {
    .name = "move",
    .words = "[FILE] SERVICE ...",
    .words_min = 1,
    .words_max = CLI_WORDS_MAX,
    .summary = "Move a service's store to another engine",
    .text =
        "Without FILE, SERVICE is one of a running system. Its new store is made ready, then its\n"
        "requests wait while the data is copied, read again and compared, and the service goes\n"
        "on there. The engine is that of --to, or of the system file as it is now, or of the\n"
        "profile. A move that fails is taken back: the service goes on where it was. The system\n"
        "file stays yours: the command says what to change in it, and until you do, `up` starts\n"
        "the service where its data is.\n"
        "With FILE, starts the system as `up` does, and first moves the stores of services whose\n"
        "engine in FILE (with the profile) differs from that of the store they have.\n"
        "Either can be interrupted and continues. The old store is kept, and no longer serves.\n"
        "Exit codes: 0 moved (with FILE: stopped as asked, or ready), 1 failed, 2 wrong usage,\n"
        "3 no running system.\n",
    .options = {{"--to", "ENGINE", "the engine to move to; a server engine gets a private server"},
                {"--profile", "NAME", "where this profile has it; with FILE, its overrides"},
                {"--abandon", NULL, "back to the old store, while the new one does not serve"},
                {"--state", "DIR", "the system's state folder"},
                {"--listen", "ADDR:PORT", "with FILE: where the gateway listens"},
                {"--programs", "DIR", "with FILE: look for programs here first"},
                {"--detach", NULL, "with FILE: returns when everything is ready"},
                CLI_OPTION_JSON},
    .run = run_move,
};
