/* SPDX-License-Identifier: Apache-2.0 */
/* freehold derive: derived stores whose facts a server alone has. What that has lost is shown, and
 * given up by an operator's word alone. */

#include <string.h>

#include "base/json.h"
#include "cli/cli.h"

struct derive_asking {
    struct cli_operator *asking;
    const char *service, *name;
    json_t *state; /* the service's */
};

/* NULL: it has said why. */
static const json_t *find_kept(struct derive_asking *derive)
{
    size_t i;
    json_t *one;
    json_array_foreach (json_object_get(derive->state, "derived"), i, one) {
        if (strcmp(cli_text(one, "name"), derive->name) != 0)
            continue;
        const json_t *kept = json_object_get(one, "kept");
        if (!kept)
            cli_fail(CLI_FAILED, "the service's own store has what %s is made of", derive->name);
        return kept;
    }
    cli_fail(CLI_FAILED, "%s has no derived store %s on a server", derive->service, derive->name);
    return NULL;
}

static void print_kept(const struct derive_asking *derive, const json_t *kept)
{
    size_t i;
    json_t *one;
    const json_t *lost = json_object_get(kept, "lost");
    printf("The server alone has the facts of %s of %s; the outbox is held behind position %lld.\n",
           derive->name, derive->service, (long long)cli_number(kept, "settled"));
    if (lost)
        printf("It has LOST facts: some or all of those at positions %lld to %lld.\n",
               (long long)cli_number(lost, "after") + 1, (long long)cli_number(lost, "to"));
    json_array_foreach (json_object_get(kept, "losses"), i, one)
        printf("Given up: whatever it had lost at positions %lld to %lld.\n",
               (long long)cli_number(one, "after") + 1, (long long)cli_number(one, "to"));
    json_array_foreach (json_object_get(kept, "formers"), i, one)
        printf("%lld facts are of a life that was lost: fh_life = '%s' AND fh_position > %lld.\n",
               (long long)cli_number(one, "facts"), cli_text(one, "incarnation"),
               (long long)cli_number(one, "position"));
}

static int accept_loss(struct derive_asking *derive, const json_t *kept, bool yes, bool as_json)
{
    const json_t *lost = json_object_get(kept, "lost");
    json_t *answer;
    if (!lost)
        return cli_fail(CLI_FAILED, "the server of %s has lost nothing that nobody else has",
                        derive->name);
    if (!yes && !cli_can_ask())
        return cli_fail(CLI_USAGE, "what is given up is gone for good: confirm it with --yes");
    if (!yes &&
        !cli_confirms("Give up what %s has lost at positions %lld to %lld?", derive->name,
                      (long long)cli_number(lost, "after") + 1, (long long)cli_number(lost, "to")))
        return cli_fail(CLI_FAILED, "nothing was done");
    int code =
        cli_operator_ask(derive->asking, derive->service, "POST", "/_freehold/derived/accept",
                         json_pack("{s:s}", "name", derive->name), &answer);
    if (code != CLI_DONE)
        return code;
    if (as_json)
        cli_print_json(answer);
    else
        printf("Given up: whatever it had lost at positions %lld to %lld. What is in the outbox is "
               "carried again.\n",
               (long long)cli_number(answer, "after") + 1, (long long)cli_number(answer, "to"));
    json_decref(answer);
    return CLI_DONE;
}

static int run_derive_command(const struct cli_command *command, char **words, const char **values)
{
    struct cli_operator asking;
    struct derive_asking derive = {.asking = &asking, .service = words[0], .name = words[1]};
    bool as_json = cli_value(command, values, "--json") != NULL;
    bool accepts = cli_value(command, values, "--accept-loss") != NULL;
    bool yes = cli_value(command, values, "--yes") != NULL;
    if (yes && !accepts)
        return cli_fail(CLI_USAGE, "--yes is for --accept-loss");
    int code = cli_operator_begin(&asking, cli_value(command, values, "--state"));
    if (code != CLI_DONE)
        return code;
    code = cli_operator_ask(&asking, derive.service, "GET", "/_freehold/state", json_object(),
                            &derive.state);
    if (code == CLI_DONE) {
        const json_t *kept = find_kept(&derive);
        if (!kept)
            code = CLI_FAILED;
        else if (accepts)
            code = accept_loss(&derive, kept, yes, as_json);
        else if (as_json)
            cli_print_json(kept);
        else
            print_kept(&derive, kept);
        json_decref(derive.state);
    }
    cli_operator_end(&asking);
    return code;
}

const struct cli_command cli_derive = {
    .name = "derive",
    .words = "SERVICE NAME",
    .words_min = 2,
    .words_max = 2,
    .summary = "A derived store whose facts a server alone has (kept)",
    .text = "  freehold derive SERVICE NAME                 how far it is, and what is lost\n"
            "  freehold derive SERVICE NAME --accept-loss   what its server has lost and nobody\n"
            "                                               else has is given up, and the rest\n"
            "                                               goes on\n\n"
            "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no running system.\n",
    .options = {{"--accept-loss", NULL, "give up what is lost"},
                {"--yes", NULL, "--accept-loss: do not ask"},
                {"--json", NULL, "print the service's answer"},
                CLI_OPTION_STATE_RUNNING},
    .run = run_derive_command,
};
