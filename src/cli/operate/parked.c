/* SPDX-License-Identifier: Apache-2.0 */
/* freehold parked: events whose handlers keep failing, and the operator's decisions on them. */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/operate/parked.h"
#include "cli/table.h"

/* ---- List ---- */

static void print_parked(const json_t *list)
{
    struct cli_table table;
    size_t i;
    json_t *one;
    char age[32];
    if (json_array_size(list) == 0) {
        printf("Nothing is parked.\n");
        return;
    }
    table_begin(&table, (const char *const[]){"SERVICE", "SOURCE", "KEY", ">EVENTS", ">SINCE",
                                              ">ATTEMPTS", "WHY", NULL});
    json_array_foreach (list, i, one) {
        cli_format_span(age, sizeof age, json_object_get(one, "age_s"));
        table_cell(&table, "%s", cli_text(one, "service"));
        table_cell(&table, "%s", cli_text(one, "source"));
        table_cell(&table, "%s", cli_text(one, "key"));
        table_cell(&table, "%lld", cli_number(one, "events"));
        table_cell(&table, "%s", age);
        table_cell(&table, "%lld", cli_number(one, "attempts"));
        table_cell(&table, "%s at %lld: %s", cli_text(one, "type"), cli_number(one, "position"),
                   cli_text(one, "error"));
    }
    table_end(&table);
}

static int list_parked(struct cli_operator *asking, const char *service, bool as_json)
{
    return cli_operator_list(asking, service, "/_freehold/parked", "keys", "parked", print_parked,
                             as_json);
}

/* ---- Show ---- */

/* Who has changed it, and what it was before. */
static void print_edits(const json_t *event)
{
    size_t i;
    json_t *edit;
    char age[32];
    json_array_foreach (json_object_get(event, "edits"), i, edit) {
        char *before = json_text(json_object_get(edit, "before"));
        json_t *age_s = json_integer((cli_now_ms() - cli_number(edit, "time_ms")) / 1000);
        cli_format_span(age, sizeof age, age_s);
        printf("  changed by %s %s ago; before: %s\n", cli_text(edit, "by"), age, before);
        json_decref(age_s);
        json_text_free(before);
    }
}

static void print_events(const json_t *body)
{
    const json_t *events = json_object_get(body, "events");
    size_t i;
    json_t *one;
    char age[32];
    printf("%lld events of %s are parked under the key %s.\n", cli_number(body, "count"),
           cli_text(body, "source"), cli_text(body, "key"));
    json_array_foreach (events, i, one) {
        char *data = json_dumps(json_at(one, "event.data"), JSON_INDENT(2) | JSON_ENCODE_ANY);
        cli_format_span(age, sizeof age, json_object_get(one, "age_s"));
        printf("\n%s%s%s at %lld, id %s, parked %s ago\n", cli_colour(stdout, CLI_BOLD),
               cli_text(one, "type"), cli_colour(stdout, CLI_PLAIN), cli_number(one, "position"),
               cli_text(one, "id"), age);
        if (cli_number(one, "attempts"))
            printf("  failed %lld times: %s%s%s\n", cli_number(one, "attempts"),
                   cli_colour(stdout, CLI_RED), cli_text(one, "error"),
                   cli_colour(stdout, CLI_PLAIN));
        else
            printf("  waits for those above it\n");
        printf("%s\n", data ? data : "-");
        json_text_free(data);
        print_edits(one);
    }
    if ((size_t)cli_number(body, "count") > json_array_size(events))
        printf("\n"
               "... and more after them\n");
}

static json_t *key_names(char **words)
{
    return json_pack("{s:s, s:s}", "source", words[2], "key", words[3]);
}

static int show_parked(struct cli_operator *asking, char **words, bool as_json)
{
    json_t *body;
    int code =
        cli_operator_ask(asking, words[1], "GET", "/_freehold/parked?source={source}&key={key}",
                         key_names(words), &body);
    if (code != CLI_DONE)
        return code;
    if (as_json)
        cli_print_json(body);
    else
        print_events(body);
    json_decref(body);
    return CLI_DONE;
}

/* ---- Retry ---- */

static int order_parked_retry(struct cli_operator *asking, char **words, bool as_json)
{
    return parked_retried(asking, words, "/_freehold/parked/retry",
                          words[2] ? key_names(words) : json_object(), as_json);
}

/* ---- Drop ---- */

static bool confirmed_drop(char **words, bool all)
{
    return cli_confirms("Give up %s of %s parked in %s under the key %s, for good?",
                        all ? "all events" : "the first event", words[2], words[1], words[3]);
}

static int drop_parked(struct cli_operator *asking, char **words, bool all, bool yes, bool as_json)
{
    json_t *body, *one, *wanted = key_names(words);
    size_t i;
    if (!yes && !cli_can_ask()) {
        json_decref(wanted);
        return cli_fail(CLI_USAGE, "what is dropped is gone for good: confirm it with --yes");
    }
    if (!yes && !confirmed_drop(words, all)) {
        json_decref(wanted);
        return cli_fail(CLI_FAILED, "nothing was dropped");
    }
    json_object_set_new(wanted, "all", json_boolean(all));
    int code = cli_operator_ask(asking, words[1], "POST", "/_freehold/parked/drop", wanted, &body);
    if (code != CLI_DONE)
        return code;
    if (as_json) {
        cli_print_json(body);
    } else {
        json_array_foreach (json_object_get(body, "dropped"), i, one)
            printf("dropped %s at %lld, id %s\n", cli_text(one, "type"),
                   cli_number(one, "position"), cli_text(one, "id"));
        if (cli_number(body, "left"))
            printf("%lld wait for their retry: freehold parked retry %s %s %s\n",
                   cli_number(body, "left"), words[1], words[2], words[3]);
    }
    json_decref(body);
    return CLI_DONE;
}

/* ---- The command ---- */

static int count_words(char **words)
{
    int count = 0;
    while (count < CLI_WORDS_MAX && words[count])
        count++;
    return count;
}

/* How many words each action takes, including itself. */
static const struct form {
    const char *name, *words;
    int least, most;
} forms[] = {{"list", "[SERVICE]", 1, 2},
             {"show", "SERVICE SOURCE KEY", 4, 4},
             {"edit", "SERVICE SOURCE KEY", 4, 4},
             {"retry", "SERVICE [SOURCE KEY]", 2, 4},
             {"drop", "SERVICE SOURCE KEY", 4, 4}};

/* CLI_DONE, or a usage error, which has been reported. */
static int check_form(char **words, bool confirms, bool gives)
{
    const struct form *form = forms;
    int count = count_words(words);
    while (strcmp(form->name, words[0]) != 0)
        form++; /* it is one of them: words.c has checked */
    if (count < form->least || count > form->most || count == 3)
        return cli_fail(CLI_USAGE, "usage: freehold parked %s %s", form->name, form->words);
    if (confirms && strcmp(words[0], "drop") != 0)
        return cli_fail(CLI_USAGE, "only drop takes --all and --yes");
    if (gives && strcmp(words[0], "edit") != 0)
        return cli_fail(CLI_USAGE, "only edit takes --data");
    return CLI_DONE;
}

static int run_parked(const struct cli_command *command, char **words, const char **values)
{
    struct cli_operator asking;
    bool as_json = cli_value(command, values, "--json") != NULL;
    bool all = cli_value(command, values, "--all") != NULL;
    bool yes = cli_value(command, values, "--yes") != NULL;
    const char *data = cli_value(command, values, "--data");
    int code = check_form(words, all || yes, data != NULL);
    if (code == CLI_DONE)
        code = cli_operator_begin(&asking, cli_value(command, values, "--state"));
    if (code != CLI_DONE)
        return code;
    if (strcmp(words[0], "list") == 0)
        code = list_parked(&asking, words[1], as_json);
    else if (strcmp(words[0], "show") == 0)
        code = show_parked(&asking, words, as_json);
    else if (strcmp(words[0], "edit") == 0)
        code = parked_edit_run(&asking, words, data, as_json);
    else if (strcmp(words[0], "retry") == 0)
        code = order_parked_retry(&asking, words, as_json);
    else
        code = drop_parked(&asking, words, all, yes, as_json);
    cli_operator_end(&asking);
    return code;
}

const struct cli_command cli_parked = {
    .name = "parked",
    .words = "list|show|edit|retry|drop [SERVICE [SOURCE KEY]]",
    .words_min = 1,
    .words_max = 4,
    .summary = "Events whose handlers fail: list, show, edit, retry, drop",
    .text = "  freehold parked list [SERVICE]                what is parked, and why\n"
            "  freehold parked show SERVICE SOURCE KEY       the events of one key\n"
            "  freehold parked edit SERVICE SOURCE KEY       other data for the first of them\n"
            "  freehold parked retry SERVICE [SOURCE KEY]    try them again, in order\n"
            "  freehold parked drop SERVICE SOURCE KEY       give up the first of them for good\n\n"
            "edit opens $EDITOR, or takes --data. The data are checked against what SOURCE\n"
            "declares of the event; what they were before is kept, with who changed them; then\n"
            "the key is retried.\n"
            "Exit codes: 0 done, 1 failed, or something is still parked after a retry,\n"
            "2 wrong usage, 3 no running system.\n",
    .options = {{"--data", "JSON", "edit: the new data; @FILE reads a file, - standard input"},
                {"--all", NULL, "drop: all events of the key, not only the first"},
                {"--yes", NULL, "drop: do not ask"},
                {"--json", NULL, "print the service's answer"},
                CLI_OPTION_STATE_RUNNING},
    .run = run_parked,
};
