/* SPDX-License-Identifier: Apache-2.0 */
/* freehold audit: what operators have done, and whether the log of it is whole. */

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/observe/logs.h"
#include "system/audit/audit.h"

struct showing {
    const char *service, *what;
    long long who; /* a user's number; -1: of all */
    char since[LOGS_TIME_SIZE];
    bool open_only;
    json_t *acts;  /* by number, in order */
    json_t *known; /* the same objects: {"17": ...} */
    json_t *faults;
};

/* ---- Reading ---- */

static const char *act_key(const json_t *entry, char out[static 24])
{
    snprintf(out, 24, "%lld", cli_number(entry, "act"));
    return out;
}

static void format_time_ms(long long at_ms, char out[static LOGS_TIME_SIZE])
{
    time_t seconds = (time_t)(at_ms / 1000);
    struct tm parts;
    if (!gmtime_r(&seconds, &parts) || !strftime(out, LOGS_TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &parts))
        snprintf(out, LOGS_TIME_SIZE, "-"); /* no entry of ours is of that year */
}

/* An entry that ends an act whose beginning was moved away is an act of its own. */
static void keep_audit_entry(void *context, const json_t *entry)
{
    struct showing *showing = context;
    char key[24];
    const char *state = json_string_at(entry, "state");
    json_t *act = json_object_get(showing->known, act_key(entry, key));
    if (!act) {
        act = json_pack("{s:O, s:O, s:O*, s:O*, s:O*, s:O*, s:s}", "act",
                        json_object_get(entry, "act"), "at_ms", json_object_get(entry, "at_ms"),
                        "what", json_object_get(entry, "what"), "service",
                        json_object_get(entry, "service"), "who", json_object_get(entry, "who"),
                        "with", json_object_get(entry, "with"), "state", "begun");
        json_array_append(showing->acts, act);
        json_object_set_new(showing->known, key, act);
    }
    if (strcmp(state, "begun") == 0)
        return;
    json_object_set_new(act, "state", json_string(state));
    json_object_set(act, "ended_ms", json_object_get(entry, "at_ms"));
    if (json_object_get(entry, "why"))
        json_object_set(act, "why", json_object_get(entry, "why"));
}

static void keep_fault(void *context, const char *file, long line, const char *text)
{
    struct showing *showing = context;
    cli_fail(CLI_FAILED, "%s:%ld: %s", file, line, text);
    json_array_append_new(showing->faults, json_pack("{s:s, s:i, s:s}", "file", file, "line",
                                                     (int)line, "fault", text));
}

/* ---- Choosing ---- */

static int read_who(const char *given, long long *ret)
{
    const struct passwd *user = given ? getpwnam(given) : NULL;
    *ret = -1;
    if (user)
        *ret = (long long)user->pw_uid;
    else if (given && strlen(given) <= 10 && strspn(given, "0123456789") == strlen(given))
        *ret = strtoll(given, NULL, 10);
    else if (given)
        return cli_fail(CLI_USAGE,
                        "--who: this machine has no user '%s'; expected a user's name or number",
                        given);
    return CLI_DONE;
}

static bool is_done_by(const json_t *act, long long uid)
{
    const json_t *by = json_object_get(act, "who");
    return (json_is_integer(json_object_get(by, "uid")) && cli_number(by, "uid") == uid) ||
           (json_is_integer(json_object_get(by, "login")) && cli_number(by, "login") == uid);
}

static bool is_shown(const struct showing *showing, const json_t *act)
{
    char at[LOGS_TIME_SIZE];
    format_time_ms(cli_number(act, "at_ms"), at);
    if (showing->service && strcmp(cli_text(act, "service"), showing->service) != 0) {
        /* A backup of several names them in a list. */
        size_t i;
        json_t *one;
        bool named = false;
        json_array_foreach (json_at(act, "with.services"), i, one)
            named = named ||
                    (json_is_string(one) && strcmp(json_string_value(one), showing->service) == 0);
        if (!named)
            return false;
    }
    return (!showing->what || strcmp(cli_text(act, "what"), showing->what) == 0) &&
           (showing->who < 0 || is_done_by(act, showing->who)) && strcmp(at, showing->since) >= 0 &&
           (!showing->open_only || strcmp(cli_text(act, "state"), "begun") == 0);
}

static void leave_out(struct showing *showing)
{
    size_t i;
    json_t *act, *shown = json_array();
    json_array_foreach (showing->acts, i, act) {
        if (is_shown(showing, act))
            json_array_append(shown, act);
    }
    json_decref(showing->acts);
    showing->acts = shown;
}

/* ---- Showing ---- */

static void format_user(const json_t *uid, char *out, size_t size)
{
    const struct passwd *user =
        json_is_integer(uid) ? getpwuid((uid_t)json_integer_value(uid)) : NULL;
    if (user)
        snprintf(out, size, "%s", user->pw_name);
    else if (json_is_integer(uid))
        snprintf(out, size, "%lld", (long long)json_integer_value(uid));
    else
        snprintf(out, size, "-");
}

/* "ada", or "root (ada)" where ada logged in and became root. */
static void format_who(const json_t *act, char *out, size_t size)
{
    char name[64], login[64];
    const json_t *by = json_object_get(act, "who");
    const json_t *uid = json_object_get(by, "uid"), *logged_in = json_object_get(by, "login");
    format_user(uid, name, sizeof name);
    format_user(logged_in, login, sizeof login);
    if (logged_in && !json_equal(uid, logged_in))
        snprintf(out, size, "%s (%s)", name, login);
    else
        snprintf(out, size, "%s", name);
}

static void print_act(const json_t *act)
{
    char at[LOGS_TIME_SIZE], who[160];
    const char *state = cli_text(act, "state"), *why = json_string_at(act, "why");
    enum cli_colour colour = strcmp(state, "done") == 0    ? CLI_GREEN
                             : strcmp(state, "begun") == 0 ? CLI_YELLOW
                                                           : CLI_RED;
    const json_t *given = json_object_get(act, "with");
    char *with = json_object_size(given) > 0 ? json_text(given) : NULL;
    format_time_ms(cli_number(act, "at_ms"), at);
    format_who(act, who, sizeof who);
    printf("%6lld  %s  %-12s %s%-6s%s %s", cli_number(act, "act"), at, who,
           cli_colour(stdout, colour), state, cli_colour(stdout, CLI_PLAIN), cli_text(act, "what"));
    if (json_object_get(act, "service"))
        printf(" %s", cli_text(act, "service"));
    if (with)
        printf(" %s", with);
    printf("%s%s\n", why ? ": " : "", why ? why : "");
    json_text_free(with);
}

static void print_audit(const struct showing *showing, const struct audit_reading *reading,
                        bool as_json)
{
    size_t i;
    json_t *act;
    if (as_json) {
        json_t *told = json_pack("{s:O, s:O, s:I, s:I, s:s}", "acts", showing->acts, "faults",
                                 showing->faults, "first", (json_int_t)reading->first, "last",
                                 (json_int_t)reading->last, "head", reading->head);
        cli_print_json(told);
        json_decref(told);
        return;
    }
    json_array_foreach (showing->acts, i, act)
        print_act(act);
    if (reading->faults)
        return;
    if (reading->last == 0)
        cli_note(CLI_PLAIN, "The audit log is empty.");
    else if (reading->first > 1)
        cli_note(CLI_PLAIN,
                 "The chain holds from entry %lld on, the first that is here. Head: %lld:%s",
                 (long long)reading->first, (long long)reading->last, reading->head);
    else
        cli_note(CLI_PLAIN, "The chain holds. Head: %lld:%s", (long long)reading->last,
                 reading->head);
}

/* ---- The command ---- */

static int read_expected(const char *given, struct audit_reading *reading)
{
    char *end;
    if (!given)
        return CLI_DONE;
    reading->expected_n = strtoll(given, &end, 10);
    reading->expected_digest = *end == ':' ? end + 1 : "";
    if (reading->expected_n > 0 &&
        strspn(reading->expected_digest, "0123456789abcdef") == AUDIT_DIGEST_SIZE - 1 &&
        strlen(reading->expected_digest) == AUDIT_DIGEST_SIZE - 1)
        return CLI_DONE;
    return cli_fail(
        CLI_USAGE, "--expect '%s' is not a head; expected NUMBER:DIGEST, as this command prints it",
        given);
}

static int run_audit(const struct cli_command *command, char **words, const char **values)
{
    (void)words;
    struct state state;
    struct fh_error error;
    const char *since = cli_value(command, values, "--since");
    struct showing showing = {.service = cli_value(command, values, "--service"),
                              .what = cli_value(command, values, "--what"),
                              .open_only = cli_value(command, values, "--unfinished") != NULL};
    struct audit_reading reading = {
        .entry = keep_audit_entry, .fault = keep_fault, .context = &showing};
    int code = read_expected(cli_value(command, values, "--expect"), &reading);
    if (code == CLI_DONE)
        code = read_who(cli_value(command, values, "--who"), &showing.who);
    if (code == CLI_DONE && since)
        code = logs_read_since(since, showing.since);
    if (code == CLI_DONE)
        code = cli_open_state(cli_value(command, values, "--state"), &state);
    if (code != CLI_DONE)
        return code;
    showing.acts = json_array();
    showing.known = json_object();
    showing.faults = json_array();
    if (audit_read(state.folder_fd, &reading, &error) != FH_OK) {
        code = cli_fail(CLI_FAILED, "%s", error.message);
    } else {
        leave_out(&showing);
        print_audit(&showing, &reading, cli_value(command, values, "--json") != NULL);
        code = reading.faults ? CLI_FAILED : CLI_DONE;
    }
    json_decref(showing.acts);
    json_decref(showing.known);
    json_decref(showing.faults);
    state_close(&state);
    return code;
}

const struct cli_command cli_audit = {
    .name = "audit",
    .words = "",
    .summary = "What operators have done, and whether the log of it is whole",
    .text =
        "Each act is recorded before it begins, and when it has ended: who, when, what. One that\n"
        "is only begun goes on, or was cut short. Who became root by sudo is shown in brackets.\n"
        "The entries are a chain: what was changed or taken out is found. What was cut off at\n"
        "the end is found with --expect and a head that was noted elsewhere.\n"
        "Exit codes: 0 the chain holds, 1 it does not, 2 wrong usage, 3 no such system.\n",
    .options = {{"--service", "SERVICE", "only what was done to this one"},
                {"--what", "ACT", "only such acts: scale, backup, \"parked drop\""},
                {"--who", "USER", "only what this user has done, a name or a number"},
                {"--since", "TIME", "15m (s, m, h, d) ago, or from a time: 2026-11-20T15:12"},
                {"--unfinished", NULL, "only what was begun and has no end"},
                {"--expect", "HEAD", "fail unless this entry is still there, NUMBER:DIGEST"},
                CLI_OPTION_JSON,
                CLI_OPTION_STATE},
    .run = run_audit,
};
