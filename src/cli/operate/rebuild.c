/* SPDX-License-Identifier: Apache-2.0 */
/* freehold rebuild: makes a service's store anew from the events of others, while it serves. */

#include <stdint.h>

#include "base/json.h"
#include "cli/follow.h"

/* The process that fills the store reports more often, also while it waits for a publisher. */
#define REBUILD_ANSWER_MS_MAX (600 * 1000)

static int tell_rebuild(const struct following *asked, bool abandons)
{
    const json_t *rebuilt = json_object_get(asked->end, "rebuilt");
    const char *error = json_string_at(asked->end, "error");
    bool back = json_is_true(json_object_get(asked->end, "back"));
    if (error && !(back && abandons))
        return cli_fail(CLI_FAILED, "%s", error);
    if (!rebuilt && !back)
        return cli_fail(CLI_FAILED, "up did not say that it is done: see freehold status");
    if (rebuilt && abandons)
        return cli_fail(CLI_FAILED, "%s was rebuilt before that could be given up", asked->service);
    if (asked->quiet)
        cli_print_json(rebuilt ? rebuilt : asked->end);
    else if (back)
        printf("%s\n", error);
    else if (json_string_at(rebuilt, "kept"))
        printf("A new store of %s was filled in %.1f s from %lld events: %s\n", asked->service,
               (double)cli_number(rebuilt, "took_ms") / 1000,
               (long long)cli_number(rebuilt, "events"), json_string_at(rebuilt, "kept"));
    else
        printf("%s was rebuilt in %.1f s from %lld events; its requests waited %.1f s.\n",
               asked->service, (double)cli_number(rebuilt, "took_ms") / 1000,
               (long long)cli_number(rebuilt, "events"),
               (double)cli_number(rebuilt, "paused_ms") / 1000);
    return CLI_DONE;
}

static int run_rebuild(const struct cli_command *command, char **words, const char **values)
{
    struct state state;
    bool abandons = cli_value(command, values, "--abandon") != NULL;
    struct following asked = {.service = words[0],
                              .quiet = cli_value(command, values, "--json") != NULL};
    int code = cli_find_state(cli_value(command, values, "--state"), &state);
    if (code != CLI_DONE)
        return code;
    code = follow(&asked, &state,
                  json_pack("{s:s, s:s, s:b, s:b, s:b}", "command", "rebuild", "service", words[0],
                            "abandon", abandons, "force",
                            cli_value(command, values, "--force") != NULL, "keep",
                            cli_value(command, values, "--keep") != NULL),
                  REBUILD_ANSWER_MS_MAX);
    if (code == CLI_NOT_RUNNING)
        cli_fail(code, "the system has just stopped");
    else if (code == CLI_DONE)
        code = tell_rebuild(&asked, abandons);
    follow_release(&asked);
    state_close(&state);
    return code;
}

const struct cli_command cli_rebuild = {
    .name = "rebuild",
    .words = "SERVICE",
    .words_min = 1,
    .words_max = 1,
    .summary = "Make a service's store anew from others' events, while it serves",
    .text =
        "For a service whose rows all come from others' events: a list, a search, a report.\n"
        "A second process of its program applies all of them to an empty store, beginning with\n"
        "its publishers' state where they offer it. When it has all that there is, the two\n"
        "stores are exchanged; requests wait while the service starts on the new one. If it\n"
        "does not get ready there, it goes on with the store that it had. What is parked in\n"
        "the new store, since it could not be applied, is a reason not to exchange them.\n"
        "What the service publishes and begins is held back meanwhile, and goes on as it was.\n"
        "With --keep the new store is not taken: it is left in the service's folder, as\n"
        "rebuilt.db, until the next rebuild of the service begins. Of a store on PostgreSQL\n"
        "the new one is a schema beside its own, and is left there.\n"
        "Publishers keep what the second process has not read yet. The running `up` goes on\n"
        "even if this command is interrupted; what the process does is in rebuild.log in the\n"
        "service's folder.\n"
        "Exit codes: 0 rebuilt, 1 failed, 2 wrong usage, 3 no running system.\n",
    .options = {{"--force", NULL, "exchange the stores even if events are parked in the new one"},
                {"--keep", NULL, "leave the new store beside the present one, to be looked at"},
                {"--abandon", NULL, "give up one that is under way"},
                CLI_OPTION_STATE_RUNNING,
                CLI_OPTION_JSON},
    .run = run_rebuild,
};
