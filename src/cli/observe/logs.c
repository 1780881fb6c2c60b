/* SPDX-License-Identifier: Apache-2.0 */
/* freehold logs: the logs of all processes, merged, filtered and followed. */

#define _GNU_SOURCE
#include "cli/observe/logs.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "cli/cli.h"
#include "system/file/nearest.h"
#include "work/request_log.h"

#define FOLLOW_LOOK_MS 100
#define NAME_WIDTH_MAX 20

struct filter {
    char **names; /* ended by NULL; empty: all */
    enum log_level level;
    const char *id;
    const char *text;
    const char *status; /* of requests: "404", or "4xx"; NULL: any */
    char since[LOGS_TIME_SIZE];
    bool json;
    int name_width;
};

/* ---- The filter ---- */

/* "90s", "15m", "2h", "3d" ago; or the beginning of a time as in logs. */
int logs_read_since(const char *given, char out[static LOGS_TIME_SIZE])
{
    long long span_s;
    if (cli_read_span(given, &span_s)) {
        time_t then = (time_t)(cli_now_ms() / 1000 - span_s);
        struct tm parts;
        strftime(out, LOGS_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", gmtime_r(&then, &parts));
        return CLI_DONE;
    }
    if (strlen(given) < LOGS_TIME_SIZE && strlen(given) >= 4 &&
        strspn(given, "0123456789-T:.Z") == strlen(given)) {
        snprintf(out, LOGS_TIME_SIZE, "%s", given);
        return CLI_DONE;
    }
    return cli_fail(
        CLI_USAGE,
        "--since '%s' is not a time; expected a span such as 15m (s, m, h, d), or one as "
        "logs have it, 2026-11-20T15:12, in UTC",
        given);
}

static bool is_status(const char *given)
{
    return strlen(given) == 3 && given[0] >= '1' && given[0] <= '5' &&
           (strcasecmp(given + 1, "xx") == 0 || strspn(given, "0123456789") == 3);
}

/* "POST /api/orders: 404 in ...": a route has no space in it. */
static bool has_status(const struct logs_line *line, const char *status)
{
    const char *colon = strstr(line->text, ": ");
    size_t length = strcasecmp(status + 1, "xx") == 0 ? 1 : 3;
    return colon && strncmp(colon + 2, status, length) == 0;
}

static int read_filter(const struct cli_command *command, char **words, const char **values,
                       struct filter *filter)
{
    const char *level = cli_value(command, values, "--level");
    const char *since = cli_value(command, values, "--since");
    *filter = (struct filter){.names = words,
                              .level = LOG_LEVEL_DEBUG,
                              .id = cli_value(command, values, "--id"),
                              .text = cli_value(command, values, "--text"),
                              .status = cli_value(command, values, "--status"),
                              .json = cli_value(command, values, "--json") != NULL};
    bool requests = cli_value(command, values, "--requests") || filter->status;
    if (requests && filter->id && strcmp(filter->id, REQUEST_LOG_ID) != 0)
        return cli_fail(CLI_USAGE, "--id is already that of requests; leave out %s",
                        filter->status ? "--status or --id" : "--requests or --id");
    if (filter->status && !is_status(filter->status))
        return cli_fail(CLI_USAGE, "--status '%s' is no status; expected one such as 404, or 4xx",
                        filter->status);
    if (requests)
        filter->id = REQUEST_LOG_ID;
    if (level)
        filter->level = (enum log_level)logs_level_of(level);
    return since ? logs_read_since(since, filter->since) : CLI_DONE;
}

/* Checks that each name has a log. */
static int know_names(const struct logs *logs, char **names)
{
    for (; *names; names++) {
        struct nearest nearest = nearest_begin(*names);
        size_t i = 0;
        while (i < logs->count && !logs_is_of(&logs->sources[i], *names))
            nearest_offer(&nearest, logs->sources[i++].name);
        if (i < logs->count)
            continue;
        return cli_fail(CLI_USAGE, "nothing named '%s' has a log here%s%s%s", *names,
                        nearest.word ? "; did you mean '" : "", nearest.word ? nearest.word : "",
                        nearest.word ? "'?" : "");
    }
    return CLI_DONE;
}

static bool is_line_wanted(const struct filter *filter, const struct logs_source *source,
                           const struct logs_line *line)
{
    char **name = filter->names;
    while (*name && !logs_is_of(source, *name))
        name++;
    return (*name || name == filter->names) && line->level <= filter->level &&
           strcmp(line->time, filter->since) >= 0 &&
           (!filter->id || strcmp(line->id, filter->id) == 0) &&
           (!filter->status || has_status(line, filter->status)) &&
           (!filter->text || strcasestr(line->text, filter->text) ||
            strcasestr(source->name, filter->text));
}

/* ---- Output ---- */

static void print_log_line(const struct filter *filter, const struct logs_source *source,
                           const struct logs_line *line)
{
    static const enum cli_colour colours[] = {CLI_RED, CLI_YELLOW, CLI_PLAIN, CLI_DIM};
    const char *plain = cli_colour(stdout, CLI_PLAIN);
    if (filter->json) {
        json_t *told = json_pack("{s:s, s:s, s:s, s:o*, s:o}", "time", line->time, "service",
                                 source->name, "level", logs_level_name(line->level), "id",
                                 line->id[0] ? json_string_lossy(line->id) : NULL, "text",
                                 json_string_lossy(line->text));
        cli_print_json(told);
        json_decref(told);
        return;
    }
    cli_line(25, "%s%-24s%s %s%-*s%s %s%-7s %s%s", cli_colour(stdout, CLI_DIM), line->time, plain,
             cli_colour(stdout, CLI_BOLD), filter->name_width, source->name, plain,
             cli_colour(stdout, colours[line->level]), logs_level_name(line->level), line->text,
             plain);
}

static void show_lines(struct logs *logs, const struct filter *filter)
{
    const struct logs_source *source;
    struct logs_line line;
    while (logs_next(logs, &source, &line)) {
        if (is_line_wanted(filter, source, &line))
            print_log_line(filter, source, &line);
    }
    fflush(stdout);
}

/* Until Ctrl-C, or until the reader of our output is gone. */
static void follow_logs(struct logs *logs, const struct filter *filter)
{
    struct pollfd reader = {STDOUT_FILENO, 0, 0};
    while (!ferror(stdout) && poll(&reader, 1, FOLLOW_LOOK_MS) == 0)
        show_lines(logs, filter);
}

static int run_logs(const struct cli_command *command, char **words, const char **values)
{
    struct filter filter;
    struct state state;
    int code = read_filter(command, words, values, &filter);
    if (code == CLI_DONE)
        code = cli_open_state(cli_value(command, values, "--state"), &state);
    if (code != CLI_DONE)
        return code;
    struct logs *logs = calloc(1, sizeof *logs);
    FH_ASSERT(logs != NULL);
    logs_open(logs, state.folder_fd);
    for (size_t i = 0; i < logs->count; i++) {
        int width = (int)strlen(logs->sources[i].name);
        if (width > filter.name_width && width <= NAME_WIDTH_MAX)
            filter.name_width = width;
    }
    code = know_names(logs, words);
    if (code == CLI_DONE)
        show_lines(logs, &filter);
    if (code == CLI_DONE && cli_value(command, values, "--follow"))
        follow_logs(logs, &filter);
    logs_release(logs);
    free(logs);
    state_close(&state);
    return code;
}

const struct cli_command cli_logs = {
    .name = "logs",
    .words = "[SERVICE ...]",
    .words_max = CLI_WORDS_MAX,
    .summary = "Show what all processes have logged, in the order of time",
    .text =
        "Of every service, the gateway, private servers and up itself, running or stopped; or of\n"
        "those that are named. Times are UTC, as they were logged. With --json each line is an\n"
        "object of its own, with its message's id, which never changes; docs/reference/logs.md\n"
        "lists all ids.\n\n"
        "  freehold logs orders payments --level warning --since 1h\n"
        "  freehold logs --id subscription-paused --since 1d\n"
        "  freehold logs gateway --status 5xx\n"
        "  freehold logs --text 01a1f983 -f\n",
    .options = {{"--level", "error|warning|info|debug", "only such lines, and more serious ones"},
                {"--id", "ID", "only the message with this id, such as event-parked"},
                {"--text", "TEXT", "only lines with this text, in any case"},
                {"--requests", NULL,
                 "only the lines about requests: failed ones, or all, by request_log"},
                {"--status", "STATUS", "of those only the ones answered so: 404, or 4xx"},
                {"--since", "TIME", "15m (s, m, h, d) ago, or from a time: 2026-11-20T15:12"},
                {"--follow", NULL, "continue with what is logged from now on; also -f", 'f'},
                {"--json", NULL, "print each line as a JSON object"},
                CLI_OPTION_STATE},
    .run = run_logs,
};
