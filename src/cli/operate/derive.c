/* SPDX-License-Identifier: Apache-2.0 */
/* freehold derive: a derived store on a server. It is made anew by an operator's word; what a
 * server that alone has its facts has lost is shown, and given up by an operator's word alone. */

#include <string.h>

#include "base/json.h"
#include "cli/cli.h"

struct derive_asking {
    struct cli_operator *asking;
    const char *service, *name;
    json_t *state; /* the service's */
};

/* NULL: it has said why. */
static const json_t *find_derived(struct derive_asking *derive)
{
    size_t i;
    json_t *one;
    json_array_foreach (json_object_get(derive->state, "derived"), i, one) {
        if (strcmp(cli_text(one, "name"), derive->name) == 0)
            return one;
    }
    cli_fail(CLI_FAILED, "%s has no derived store %s on a server", derive->service, derive->name);
    return NULL;
}

static void print_carried(const struct derive_asking *derive, const json_t *derived)
{
    const char *why = json_string_at(derived, "reason");
    printf("%s of %s on %s: %s; it can%s be asked, and %lld events have not been carried to it.\n",
           derive->name, derive->service, cli_text(derived, "server"), cli_text(derived, "state"),
           json_is_true(json_object_get(derived, "serves")) ? "" : "not",
           (long long)cli_number(derived, "depth"));
    if (why)
        printf("%s\n", why);
    printf("--anew makes it anew, beside the one that is asked.\n");
}

/* Asks its service for `act`. */
static int ask_derived(struct derive_asking *derive, const char *act, json_t **ret)
{
    char path[64];
    snprintf(path, sizeof path, "/_freehold/derived/%s", act);
    return cli_operator_ask(derive->asking, derive->service, "POST", path,
                            json_pack("{s:s}", "name", derive->name), ret);
}

static int make_anew(struct derive_asking *derive, bool as_json)
{
    json_t *answer;
    int code = ask_derived(derive, "anew", &answer);
    if (code != CLI_DONE)
        return code;
    if (as_json)
        cli_print_json(answer);
    else
        printf("%s of %s is being made anew; until that is complete the former one is asked.\n",
               derive->name, derive->service);
    json_decref(answer);
    return CLI_DONE;
}

/* Of that life, and of others that began behind the same place and were lost, too. */
static void print_former(const json_t *former)
{
    char count[40] = "An unknown number"; /* it took too long to count them */
    json_int_t facts = cli_number(former, "facts");
    if (facts >= 0)
        snprintf(count, sizeof count, "%lld", (long long)facts);
    printf("%s in it are of a life that was lost, %s or later: fh_position > %lld.\n", count,
           cli_text(former, "incarnation"), (long long)cli_number(former, "position"));
}

static void print_kept(const struct derive_asking *derive, const json_t *kept)
{
    size_t i;
    json_t *one;
    const json_t *lost = json_object_get(kept, "lost");
    printf("The server alone has %s of %s; the outbox is held behind position %lld.\n",
           derive->name, derive->service, (long long)cli_number(kept, "settled"));
    if (lost)
        printf("It has LOST some or all of what was derived at positions %lld to %lld.\n",
               (long long)cli_number(lost, "after") + 1, (long long)cli_number(lost, "to"));
    json_array_foreach (json_object_get(kept, "losses"), i, one)
        printf("Given up: whatever it had lost at positions %lld to %lld.\n",
               (long long)cli_number(one, "after") + 1, (long long)cli_number(one, "to"));
    json_array_foreach (json_object_get(kept, "formers"), i, one)
        print_former(one);
}

/* Another instance than the one that has told its state may know of a loss before it: so with --yes
 * the service is asked, which looks into its store. */
static int accept_loss(struct derive_asking *derive, const json_t *kept, bool yes, bool as_json)
{
    const json_t *lost = json_object_get(kept, "lost");
    json_t *answer;
    if (!lost && !yes)
        return cli_fail(CLI_FAILED, "the server of %s has lost nothing that nobody else has",
                        derive->name);
    if (!yes && !cli_can_ask())
        return cli_fail(CLI_USAGE, "what is given up is gone for good: confirm it with --yes");
    if (!yes &&
        !cli_confirms("Give up what %s has lost at positions %lld to %lld?", derive->name,
                      (long long)cli_number(lost, "after") + 1, (long long)cli_number(lost, "to")))
        return cli_fail(CLI_FAILED, "nothing was done");
    int code = ask_derived(derive, "accept", &answer);
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

/* One whose facts its server alone has, or any other. */
static int do_to_derived(struct derive_asking *derive, const json_t *derived, bool anew,
                         bool accepts, bool yes, bool as_json)
{
    const json_t *kept = json_object_get(derived, "kept");
    if (anew)
        return make_anew(derive, as_json);
    if (accepts && !kept)
        return cli_fail(CLI_FAILED, "the service's own store has what %s is made of", derive->name);
    if (accepts)
        return accept_loss(derive, kept, yes, as_json);
    if (as_json)
        cli_print_json(kept ? kept : derived);
    else if (kept)
        print_kept(derive, kept);
    else
        print_carried(derive, derived);
    return CLI_DONE;
}

static int run_derive_command(const struct cli_command *command, char **words, const char **values)
{
    struct cli_operator asking;
    struct derive_asking derive = {.asking = &asking, .service = words[0], .name = words[1]};
    bool as_json = cli_value(command, values, "--json") != NULL;
    bool accepts = cli_value(command, values, "--accept-loss") != NULL;
    bool anew = cli_value(command, values, "--anew") != NULL;
    bool yes = cli_value(command, values, "--yes") != NULL;
    if (yes && !accepts)
        return cli_fail(CLI_USAGE, "--yes is for --accept-loss");
    if (anew && accepts)
        return cli_fail(CLI_USAGE, "either --anew or --accept-loss");
    int code = cli_operator_begin(&asking, cli_value(command, values, "--state"));
    if (code != CLI_DONE)
        return code;
    code = cli_operator_ask(&asking, derive.service, "GET", "/_freehold/state", json_object(),
                            &derive.state);
    if (code == CLI_DONE) {
        const json_t *derived = find_derived(&derive);
        code = derived ? do_to_derived(&derive, derived, anew, accepts, yes, as_json) : CLI_FAILED;
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
    .summary = "A derived store on a server: how far it is, and making it anew",
    .text =
        "  freehold derive SERVICE NAME                 how far it is, and what is lost\n"
        "  freehold derive SERVICE NAME --anew          it is made anew, while the former one is\n"
        "                                               asked until that is complete\n"
        "  freehold derive SERVICE NAME --accept-loss   what its server has lost and nobody\n"
        "                                               else has is given up, and the rest\n"
        "                                               goes on\n\n"
        "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no running system.\n",
    .options = {{"--anew", NULL, "make it anew"},
                {"--accept-loss", NULL, "give up what is lost"},
                {"--yes", NULL, "--accept-loss: do not ask"},
                {"--json", NULL, "print the service's answer"},
                CLI_OPTION_STATE_RUNNING},
    .run = run_derive_command,
};
