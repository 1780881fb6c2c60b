/* SPDX-License-Identifier: Apache-2.0 */
/* freehold parked: events whose handlers keep failing, and the operator's decisions on them. */

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/operate/parked.h"

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
    return parked_retried(asking, words, "/_freehold/parked/retry", key_names(words), as_json);
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
             {"retry", "SERVICE [SOURCE [KEY]]", 2, 4},
             {"drop", "SERVICE [SOURCE [KEY]]", 2, 4}};

/* Whether the action may be one on many keys, by what their first events are. */
static bool can_choose(const char *action)
{
    return strcmp(action, "retry") == 0 || strcmp(action, "drop") == 0;
}

static int check_choosing(char **words, const struct parked_choosing *choosing)
{
    bool filtered = parked_is_filtered(choosing);
    bool one = can_choose(words[0]) && count_words(words) == 4;
    if (choosing->yes && !choosing->drops)
        return cli_fail(CLI_USAGE, "only drop takes --yes");
    if (filtered && (one || (!can_choose(words[0]) && strcmp(words[0], "list") != 0)))
        return cli_fail(CLI_USAGE, "--type, --error, --older and --newer are of list, and of retry "
                                   "and drop without a KEY");
    if ((choosing->all || choosing->dry_run) && !can_choose(words[0]))
        return cli_fail(CLI_USAGE, "only retry and drop take --all and --dry-run");
    if (one && (choosing->dry_run || (choosing->all && !choosing->drops)))
        return cli_fail(CLI_USAGE, "--dry-run, and --all of retry, are for many keys: leave out "
                                   "KEY");
    if (choosing->drops && !one && !filtered && !choosing->all)
        return cli_fail(CLI_USAGE, "say what to drop: a SOURCE and KEY, or what has a --type, an "
                                   "--error or an age (--older, --newer), or --all");
    return CLI_DONE;
}

/* CLI_DONE, or a usage error, which has been reported. */
static int check_form(char **words, const struct parked_choosing *choosing, bool gives)
{
    const struct form *form = forms;
    int count = count_words(words);
    while (strcmp(form->name, words[0]) != 0)
        form++; /* it is one of them: words.c has checked */
    if (count < form->least || count > form->most || (count == 3 && !can_choose(words[0])))
        return cli_fail(CLI_USAGE, "usage: freehold parked %s %s", form->name, form->words);
    if (gives && strcmp(words[0], "edit") != 0)
        return cli_fail(CLI_USAGE, "only edit takes --data");
    return check_choosing(words, choosing);
}

/* *ret: when it was. */
static int read_age(const char *option, const char *given, int64_t *ret)
{
    long long span_s;
    *ret = 0;
    if (!given)
        return CLI_DONE;
    if (!cli_read_span(given, &span_s))
        return cli_fail(CLI_USAGE, "%s '%s' is not a span; expected one such as 15m (s, m, h, d)",
                        option, given);
    *ret = cli_now_ms() - span_s * 1000;
    return CLI_DONE;
}

static int read_choosing(const struct cli_command *command, char **words, const char **values,
                         struct parked_choosing *ret)
{
    *ret = (struct parked_choosing){.service = words[1],
                                    .source = words[1] ? words[2] : NULL,
                                    .type = cli_value(command, values, "--type"),
                                    .error = cli_value(command, values, "--error"),
                                    .older = cli_value(command, values, "--older"),
                                    .newer = cli_value(command, values, "--newer"),
                                    .drops = strcmp(words[0], "drop") == 0,
                                    .all = cli_value(command, values, "--all") != NULL,
                                    .dry_run = cli_value(command, values, "--dry-run") != NULL,
                                    .yes = cli_value(command, values, "--yes") != NULL,
                                    .as_json = cli_value(command, values, "--json") != NULL};
    if ((ret->type && !*ret->type) || (ret->error && !*ret->error))
        return cli_fail(CLI_USAGE, "--type and --error need a text that is not empty");
    int code = read_age("--older", ret->older, &ret->before_ms);
    return code == CLI_DONE ? read_age("--newer", ret->newer, &ret->after_ms) : code;
}

static int run_parked(const struct cli_command *command, char **words, const char **values)
{
    struct cli_operator asking;
    struct parked_choosing choosing;
    const char *data = cli_value(command, values, "--data");
    int code = read_choosing(command, words, values, &choosing);
    bool as_json = choosing.as_json;
    if (code == CLI_DONE)
        code = check_form(words, &choosing, data != NULL);
    if (code == CLI_DONE)
        code = cli_operator_begin(&asking, cli_value(command, values, "--state"));
    if (code != CLI_DONE)
        return code;
    if (strcmp(words[0], "list") == 0)
        code = parked_list_run(&asking, &choosing);
    else if (strcmp(words[0], "show") == 0)
        code = show_parked(&asking, words, as_json);
    else if (strcmp(words[0], "edit") == 0)
        code = parked_edit_run(&asking, words, data, as_json);
    else if (count_words(words) < 4)
        code = parked_many_run(&asking, &choosing);
    else if (strcmp(words[0], "retry") == 0)
        code = order_parked_retry(&asking, words, as_json);
    else
        code = drop_parked(&asking, words, choosing.all, choosing.yes, as_json);
    cli_operator_end(&asking);
    return code;
}

const struct cli_command cli_parked = {
    .name = "parked",
    .words = "list|show|edit|retry|drop [SERVICE [SOURCE KEY]]",
    .words_min = 1,
    .words_max = 4,
    .summary = "Events whose handlers fail: list, show, edit, retry, drop",
    .text =
        "  freehold parked list [SERVICE]                what is parked, and why\n"
        "  freehold parked show SERVICE SOURCE KEY       the events of one key\n"
        "  freehold parked edit SERVICE SOURCE KEY       other data for the first of them\n"
        "  freehold parked retry SERVICE [SOURCE [KEY]]  try them again, in order\n"
        "  freehold parked drop SERVICE SOURCE KEY       give up the first of them for good\n"
        "  freehold parked drop SERVICE [SOURCE] ...     the same of many keys\n\n"
        "Without a KEY, retry and drop act on many: on those keys whose first event, the one\n"
        "that holds up the rest, has this --type, this --error and this age; retry without any\n"
        "of these on all. What parks while they act is not touched.\n"
        "edit opens $EDITOR, or takes --data. The data are checked against what SOURCE\n"
        "declares of the event; what they were before is kept, with who changed them; then\n"
        "the key is retried.\n"
        "Exit codes: 0 done, 1 failed, or something is still parked after a retry,\n"
        "2 wrong usage, 3 no running system.\n",
    .options = {{"--data", "JSON", "edit: the new data; @FILE reads a file, - standard input"},
                {"--type", "TYPE", "only keys whose first event is of this type"},
                {"--error", "TEXT", "only those whose error has this in it"},
                {"--older", "SPAN", "only those parked longer ago than this: 2h (s, m, h, d)"},
                {"--newer", "SPAN", "only those parked since then"},
                {"--all", NULL, "drop: all events of the keys, not only the first of each"},
                {"--dry-run", NULL, "retry, drop: only say which keys are meant"},
                {"--yes", NULL, "drop: do not ask"},
                {"--json", NULL, "print the service's answer"},
                CLI_OPTION_STATE_RUNNING},
    .run = run_parked,
};
