/* SPDX-License-Identifier: Apache-2.0 */
/* freehold timers: what services do at a time, and the operator's decisions on parked ones. */

#include <string.h>
#include <time.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/table.h"

/* "2026-03-01 12:00:05", in UTC. */
static void format_due(char *out, size_t size, long long due_ms)
{
    time_t due_s = (time_t)(due_ms / 1000);
    struct tm parts;
    if (!gmtime_r(&due_s, &parts) || strftime(out, size, "%Y-%m-%d %H:%M:%S", &parts) == 0)
        snprintf(out, size, "%lld ms", due_ms);
}

static void print_timers(const json_t *all)
{
    struct cli_table table;
    size_t i;
    json_t *one;
    char due[32];
    if (json_array_size(all) == 0) {
        printf("There is no timer.\n");
        return;
    }
    table_begin(&table,
                (const char *const[]){"SERVICE", "TIMER", "STATE", "DUE (UTC)", "ID", "WHY", NULL});
    json_array_foreach (all, i, one) {
        format_due(due, sizeof due, cli_number(one, "due_ms"));
        table_cell(&table, "%s", cli_text(one, "service"));
        table_cell(&table, "%s", cli_text(one, "handler"));
        table_cell(&table, "%s", cli_text(one, "state"));
        table_cell(&table, "%s", due);
        table_cell(&table, "%s", cli_text(one, "id"));
        table_cell(&table, "%s", cli_text(one, "error"));
    }
    table_end(&table);
}

static int list_timers(struct cli_operator *asking, const char *service, const char *state,
                       bool as_json)
{
    const char *path = state ? arena_printf(&asking->arena, "/_freehold/timers?state=%s", state)
                             : "/_freehold/timers";
    return cli_operator_list(asking, service, path, "timers", "timers", print_timers, as_json);
}

/* "retry" or "drop", as the routes are named. */
static int order_timer(struct cli_operator *asking, char **words, bool as_json)
{
    json_t *body, *id = json_pack("{s:s}", "id", words[2]);
    const char *path = arena_printf(&asking->arena, "/_freehold/timers/%s", words[0]);
    int code = cli_operator_ask(asking, words[1], "POST", path, id, &body);
    if (code != CLI_DONE)
        return code;
    if (as_json)
        cli_print_json(body);
    else
        printf("%s is %s.\n", words[2], strcmp(words[0], "drop") == 0 ? "removed" : "due again");
    json_decref(body);
    return CLI_DONE;
}

static int confirm_timer_drop(char **words, bool yes)
{
    if (yes)
        return CLI_DONE;
    if (!cli_can_ask())
        return cli_fail(CLI_USAGE, "a timer that is dropped never fires: confirm it with --yes");
    if (cli_confirms("Remove %s of %s, which then never fires?", words[2], words[1]))
        return CLI_DONE;
    return cli_fail(CLI_FAILED, "nothing was done");
}

static int run_timers_command(const struct cli_command *command, char **words, const char **values)
{
    struct cli_operator asking;
    bool as_json = cli_value(command, values, "--json") != NULL;
    bool yes = cli_value(command, values, "--yes") != NULL;
    const char *only = cli_value(command, values, "--only");
    bool lists = strcmp(words[0], "list") == 0, drops = strcmp(words[0], "drop") == 0;
    if (!lists && !drops && strcmp(words[0], "retry") != 0)
        return cli_fail(CLI_USAGE, "usage: freehold timers list|retry|drop [SERVICE [ID]]");
    if (lists ? words[1] && words[2] : !words[1] || !words[2])
        return cli_fail(CLI_USAGE, "usage: freehold timers %s%s", words[0],
                        lists ? " [SERVICE]" : " SERVICE ID");
    if (only && !lists)
        return cli_fail(CLI_USAGE, "--only is for list");
    if (yes && !drops)
        return cli_fail(CLI_USAGE, "only drop takes --yes");
    int code = drops ? confirm_timer_drop(words, yes) : CLI_DONE;
    if (code == CLI_DONE)
        code = cli_operator_begin(&asking, cli_value(command, values, "--state"));
    if (code != CLI_DONE)
        return code;
    code = lists ? list_timers(&asking, words[1], only, as_json)
                 : order_timer(&asking, words, as_json);
    cli_operator_end(&asking);
    return code;
}

const struct cli_command cli_timers = {
    .name = "timers",
    .words = "list|retry|drop [SERVICE [ID]]",
    .words_min = 1,
    .words_max = 3,
    .summary = "Timers and schedules: list them, decide on those parked",
    .text = "  freehold timers list [SERVICE]        the first 500 that are pending, schedules,\n"
            "                                        and those that failed too often\n"
            "  freehold timers retry SERVICE ID      a parked one is due again\n"
            "  freehold timers drop SERVICE ID       a parked one is removed\n\n"
            "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no running system.\n",
    .options = {{"--only", "pending|schedule|parked", "list: only those"},
                {"--yes", NULL, "drop: do not ask"},
                {"--json", NULL, "print the service's answer"},
                CLI_OPTION_STATE_RUNNING},
    .run = run_timers_command,
};
