/* SPDX-License-Identifier: Apache-2.0 */
/* freehold saga: where sagas stand and why, and the operator's decisions on parked ones. */

#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/json.h"
#include "cli/cli.h"
#include "cli/table.h"

static void format_age(char *out, size_t size, const json_t *saga)
{
    json_t *seconds = json_integer((cli_now_ms() - cli_number(saga, "updated_ms")) / 1000);
    cli_format_span(out, size, seconds);
    json_decref(seconds);
}

static void print_sagas(const json_t *all)
{
    struct cli_table table;
    size_t i;
    json_t *one;
    char age[32];
    if (json_array_size(all) == 0) {
        printf("No saga is open.\n");
        return;
    }
    table_begin(&table,
                (const char *const[]){"SERVICE", "SAGA", "STATUS", ">SINCE", "ID", "WHY", NULL});
    json_array_foreach (all, i, one) {
        format_age(age, sizeof age, one);
        table_cell(&table, "%s", cli_text(one, "service"));
        table_cell(&table, "%s", cli_text(one, "name"));
        table_cell(&table, "%s", cli_text(one, "status"));
        table_cell(&table, "%s", age);
        table_cell(&table, "%s", cli_text(one, "id"));
        table_cell(&table, "%s", cli_text(one, "why"));
    }
    table_end(&table);
}

#define TIME_SIZE 40

/* False: it is not known. */
static bool format_saga_time(char out[static TIME_SIZE], long long ms)
{
    struct tm parts;
    char text[32];
    time_t seconds = (time_t)(ms / 1000);
    if (ms <= 0 || !gmtime_r(&seconds, &parts))
        return false;
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(out, TIME_SIZE, "%s.%03lldZ", text, ms % 1000);
    return true;
}

/* From one time to another: "12 ms", "3.5 s", "2h"; "-" if one of them is not known. */
static void format_saga_span(char out[static TIME_SIZE], long long from_ms, long long to_ms)
{
    long long ms = to_ms - from_ms;
    if (from_ms <= 0 || to_ms <= 0 || ms < 0) { /* the clock may have been set back */
        snprintf(out, TIME_SIZE, "-");
    } else if (ms < 1000) {
        snprintf(out, TIME_SIZE, "%lld ms", ms);
    } else if (ms < 60000) {
        snprintf(out, TIME_SIZE, "%.1f s", (double)ms / 1000.0);
    } else {
        json_t *seconds = json_integer(ms / 1000);
        cli_format_span(out, TIME_SIZE, seconds);
        json_decref(seconds);
    }
}

static void print_ended_sagas(const json_t *all)
{
    struct cli_table table;
    size_t i;
    json_t *one;
    char ended[TIME_SIZE], took[TIME_SIZE];
    if (json_array_size(all) == 0) {
        printf("There is no such saga.\n");
        return;
    }
    table_begin(&table, (const char *const[]){"SERVICE", "SAGA", "STATUS", "ENDED", ">TOOK", "ID",
                                              "WHY", NULL});
    json_array_foreach (all, i, one) {
        long long ended_ms = cli_number(one, "ended_ms");
        format_saga_span(took, cli_number(one, "begun_ms"), ended_ms);
        table_cell(&table, "%s", cli_text(one, "service"));
        table_cell(&table, "%s", cli_text(one, "name"));
        table_cell(&table, "%s", cli_text(one, "status"));
        table_cell(&table, "%s", format_saga_time(ended, ended_ms) ? ended : "-");
        table_cell(&table, "%s", took);
        table_cell(&table, "%s", cli_text(one, "id"));
        table_cell(&table, "%s", cli_text(one, "why"));
    }
    table_end(&table);
}

struct saga_choice {
    const char *status, *with;
    bool ended;
};

static int list_sagas(struct cli_operator *asking, const char *service,
                      const struct saga_choice *choice, bool as_json)
{
    json_t *with = json_pack("{s:s?}", "with", choice->with);
    const char *path = choice->ended    ? "/_freehold/sagas?ended=true"
                       : choice->status ? arena_printf(&asking->arena, "/_freehold/sagas?status=%s",
                                                       choice->status)
                                        : "/_freehold/sagas";
    if (choice->with)
        path = arena_printf(&asking->arena, "%s%swith={with}", path, strchr(path, '?') ? "&" : "?");
    int code = cli_operator_path(asking, path, with, &path);
    if (code != CLI_DONE)
        return code;
    return cli_operator_list(asking, service, path, "sagas", "sagas",
                             choice->ended ? print_ended_sagas : print_sagas, as_json);
}

static void print_saga_time(const char *what, long long ms)
{
    char text[TIME_SIZE];
    if (format_saga_time(text, ms))
        printf("%-9s %s\n", what, text);
}

static void print_saga_fact(const char *what, const char *text)
{
    int column = printf("%-9s ", what);
    cli_wrap(stdout, cli_width(stdout), column, column, text);
    printf("\n");
}

/* What it began with, as the service shows it: what is marked is not in it. */
static void print_saga_facts(const json_t *saga)
{
    const char *trace = json_string_at(saga, "trace");
    json_t *input = json_object_get(saga, "input");
    print_saga_time("begun", cli_number(saga, "begun_ms"));
    if (cli_number(saga, "ended_ms") > 0)
        print_saga_time("ended", cli_number(saga, "ended_ms"));
    else
        print_saga_time("changed", cli_number(saga, "updated_ms"));
    print_saga_time("deadline", cli_number(saga, "deadline_ms"));
    if (trace)
        print_saga_fact("trace", trace);
    if (input) {
        char *text = json_text(input);
        print_saga_fact("input", text);
        json_text_free(text);
    }
    printf("\n");
}

/* AFTER: the saga's begin, until the step began; TOOK: until it was settled. */
static void print_saga_steps(const json_t *steps, long long begun_ms)
{
    struct cli_table table;
    size_t i;
    json_t *step;
    char after[TIME_SIZE], took[TIME_SIZE];
    table_begin(&table, (const char *const[]){"STEP", ">ELEMENT", "TARGET", "STATE", ">ATTEMPT",
                                              ">AFTER", ">TOOK", ">ANSWER", "REQUEST", NULL});
    json_array_foreach (steps, i, step) {
        const char *method = json_string_at(step, "request.method");
        const char *path = json_string_at(step, "request.path");
        json_int_t status = 0;
        table_cell(&table, "%s", cli_text(step, "step"));
        table_cell(&table, "%lld", cli_number(step, "element"));
        table_cell(&table, "%s", *cli_text(step, "target") ? cli_text(step, "target") : "here");
        table_cell(&table, "%s", cli_text(step, "state"));
        table_cell(&table, "%lld", cli_number(step, "attempt"));
        format_saga_span(after, begun_ms, cli_number(step, "begun_ms"));
        format_saga_span(took, cli_number(step, "begun_ms"), cli_number(step, "settled_ms"));
        table_cell(&table, "%s", after);
        table_cell(&table, "%s", took);
        if (json_integer_at(step, "answer.status", &status))
            table_cell(&table, "%lld", (long long)status);
        else
            table_cell(&table, "-");
        table_cell(&table, "%s %s", method ? method : "-", path ? path : "");
    }
    table_end(&table);
}

static void print_saga(const json_t *saga)
{
    char *said;
    FH_ASSERT(asprintf(&said, " %s is %s. %s", cli_text(saga, "id"), cli_text(saga, "status"),
                       cli_text(saga, "why")) >= 0);
    printf("%s%s%s", cli_colour(stdout, CLI_BOLD), cli_text(saga, "name"),
           cli_colour(stdout, CLI_PLAIN));
    cli_wrap(stdout, cli_width(stdout), (int)strlen(cli_text(saga, "name")), 2, said);
    printf("\n");
    free(said);
    print_saga_facts(saga);
    print_saga_steps(json_object_get(saga, "steps"), cli_number(saga, "begun_ms"));
}

static int show_saga(struct cli_operator *asking, char **words, bool as_json)
{
    json_t *body, *id = json_pack("{s:s}", "id", words[2]);
    int code = cli_operator_ask(asking, words[1], "GET", "/_freehold/saga?id={id}", id, &body);
    if (code != CLI_DONE)
        return code;
    if (as_json)
        cli_print_json(body);
    else
        print_saga(body);
    json_decref(body);
    return CLI_DONE;
}

/* Each word names a route. */
static int order_saga_change(struct cli_operator *asking, char **words, const char *why,
                             bool as_json)
{
    json_t *body, *id = json_pack("{s:s, s:s*}", "id", words[2], "why", why);
    if (why)
        json_object_set_new(id, "by", json_string(cli_person()));
    const char *path = arena_printf(&asking->arena, "/_freehold/saga/%s", words[0]);
    int code = cli_operator_ask(asking, words[1], "POST", path, id, &body);
    if (code != CLI_DONE)
        return code;
    if (as_json)
        cli_print_json(body);
    else if (why)
        printf("%s is abandoned. %s\n", words[2], cli_text(body, "why"));
    else
        printf("%s goes %s: freehold saga show %s %s\n", words[2],
               strcmp(words[0], "compensate") == 0 ? "back" : "on", words[1], words[2]);
    json_decref(body);
    return CLI_DONE;
}

/* Actions that can't be taken back are confirmed. */
static int confirm_saga(char **words, bool yes)
{
    static const struct {
        const char *word, *ever, *question;
    } all[] = {
        {"skip", "the step that is skipped is never asked for again",
         "Take the step under way for done"},
        {"compensate", "a saga that goes back never turns again", "Take back all that it has done"},
        {"abandon", "nothing more is done for a saga that is given up, nor taken back",
         "Leave it as it is, for ever"}};
    int i = 0;
    if (yes)
        return CLI_DONE;
    while (strcmp(all[i].word, words[0]) != 0)
        i++;
    if (!cli_can_ask())
        return cli_fail(CLI_USAGE, "%s: confirm it with --yes", all[i].ever);
    if (cli_confirms("%s? See: freehold saga show %s %s", all[i].question, words[1], words[2]))
        return CLI_DONE;
    return cli_fail(CLI_FAILED, "nothing was done");
}

static int run_saga(const struct cli_command *command, char **words, const char **values)
{
    struct cli_operator asking;
    bool as_json = cli_value(command, values, "--json") != NULL;
    bool yes = cli_value(command, values, "--yes") != NULL;
    const char *status = cli_value(command, values, "--status");
    struct saga_choice choice = {status, cli_value(command, values, "--with"),
                                 cli_value(command, values, "--ended") != NULL};
    const char *why = cli_value(command, values, "--why");
    bool lists = strcmp(words[0], "list") == 0, shows = strcmp(words[0], "show") == 0;
    bool retries = strcmp(words[0], "retry") == 0;
    if (lists ? words[1] && words[2] : !words[1] || !words[2])
        return cli_fail(CLI_USAGE, "usage: freehold saga %s%s", words[0],
                        lists ? " [SERVICE]" : " SERVICE ID");
    if ((status || choice.ended || choice.with) && !lists)
        return cli_fail(CLI_USAGE, "--status, --ended and --with are for list");
    if (choice.ended && status)
        return cli_fail(CLI_USAGE, "--status is for those that are not over: leave out --ended");
    if (choice.with && (!strchr(choice.with, '=') || choice.with[0] == '='))
        return cli_fail(CLI_USAGE, "--with is NAME=VALUE, of the saga's input: --with id=42");
    if (yes && (lists || shows || retries))
        return cli_fail(CLI_USAGE, "only skip, compensate and abandon take --yes");
    if ((strcmp(words[0], "abandon") == 0) != (why != NULL))
        return cli_fail(CLI_USAGE, why ? "only abandon takes --why"
                                       : "say why, for those who look into it later: --why TEXT");
    int code = lists || shows || retries ? CLI_DONE : confirm_saga(words, yes);
    if (code == CLI_DONE)
        code = cli_operator_begin(&asking, cli_value(command, values, "--state"));
    if (code != CLI_DONE)
        return code;
    if (lists)
        code = list_sagas(&asking, words[1], &choice, as_json);
    else
        code = shows ? show_saga(&asking, words, as_json)
                     : order_saga_change(&asking, words, why, as_json);
    cli_operator_end(&asking);
    return code;
}

const struct cli_command cli_saga = {
    .name = "saga",
    .words = "list|show|retry|skip|compensate|abandon [SERVICE [ID]]",
    .words_min = 1,
    .words_max = 3,
    .summary = "Sagas: list them, show why, decide on those parked",
    .text =
        "  freehold saga list [SERVICE]          those that are not over, and why\n"
        "  freehold saga list [SERVICE] --ended  the newest 100 that are over\n"
        "  freehold saga show SERVICE ID         one, with its times, input, trace and steps; "
        "those\n"
        "                                        that are over too; ID may be its number alone,\n"
        "                                        or NAME=VALUE of its input, such as id=42\n"
        "  freehold saga retry SERVICE ID        a parked one goes on in its direction\n"
        "  freehold saga skip SERVICE ID         the same, and the step under way is taken for\n"
        "                                        done (going back: for undone): you saw to it\n"
        "  freehold saga compensate SERVICE ID   a parked one is taken back, where all that it\n"
        "                                        did can be undone\n"
        "  freehold saga abandon SERVICE ID      a parked one is given up as it is: nothing more\n"
        "                                        is done for it, nor undone\n\n"
        "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no running system.\n",
    .options = {{"--status", "running|compensating|parked", "list: only those"},
                {"--ended", NULL, "list: those that are over, the newest first"},
                {"--with", "NAME=VALUE", "list: only those whose input has that"},
                {"--why", "TEXT", "abandon: the reason, for those who look into it later"},
                {"--yes", NULL, "skip, compensate, abandon: do not ask"},
                {"--json", NULL, "print the service's answer"},
                CLI_OPTION_STATE_RUNNING},
    .run = run_saga,
};
