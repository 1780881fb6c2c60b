/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

/*
 * Shared by the commands of `freehold`: how they are declared, how their words are read, how they
 * print. Answers go to standard output, everything else to standard error.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/arena.h"
#include "system/file/findings.h"
#include "system/provision/state.h"

/* Exit codes, the same for all commands. */
enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_NOT_RUNNING = 3 };

#define CLI_WORDS_MAX 24
#define CLI_OPTIONS_MAX 10

/* An option: "--state" and its placeholder "DIR", or its choices, "error|warning"; without either
 * it is a flag. */
struct cli_option {
    const char *name, *placeholder, *help;
    char letter; /* 'f': -f means the same; 0: no letter does */
};

/* Those that several commands have. Where the state folder is, unless it is said: of the only
 * running system (cli_find_state), of the only one (cli_open_state), or beside the system file
 * (cli_default_state). */
#define CLI_OPTION_STATE_RUNNING                                                                   \
    {                                                                                              \
        "--state", "DIR", "its state folder; default: the one that runs below ./.freehold"         \
    }
#define CLI_OPTION_STATE                                                                           \
    {                                                                                              \
        "--state", "DIR", "its state folder; default: the one below ./.freehold"                   \
    }
#define CLI_OPTION_STATE_BESIDE                                                                    \
    {                                                                                              \
        "--state", "DIR", "its state folder; default: .freehold/SYSTEM beside FILE"                \
    }
#define CLI_OPTION_PROFILE                                                                         \
    {                                                                                              \
        "--profile", "NAME", "with the overrides of this profile"                                  \
    }
#define CLI_OPTION_PROGRAMS                                                                        \
    {                                                                                              \
        "--programs", "DIR", "look for programs here first"                                        \
    }
#define CLI_OPTION_JSON                                                                            \
    {                                                                                              \
        "--json", NULL, "answer in JSON"                                                           \
    }

struct cli_command {
    const char *name;
    const char *words; /* "SERVICE METHOD PATH"; [FILE] is optional */
    int words_min, words_max;
    const char *summary; /* one line, for the list of commands */
    const char *text;    /* for its own --help, after the summary */
    struct cli_option options[CLI_OPTIONS_MAX];
    bool hidden;
    int (*run)(const struct cli_command *command, char **words, const char **values);
};

extern const struct cli_command cli_up, cli_move, cli_rebuild, cli_status, cli_stop, cli_call,
    cli_check, cli_gateway, cli_simulate, cli_test, cli_parked, cli_saga, cli_timers, cli_scale,
    cli_upgrade, cli_rotate_keys, cli_keep, cli_migrate, cli_config, cli_new, cli_help, cli_version,
    cli_complete, cli_logs, cli_trace, cli_events, cli_audit, cli_restore_report, cli_backup,
    cli_restore, cli_personal, cli_key, cli_describe, cli_report, cli_derive;

/* The default for FILE. */
#define CLI_SYSTEM_FILE "freehold.yaml"

/* The value given for an option; "" for a flag that was given; NULL if it was not given. */
const char *cli_value(const struct cli_command *command, const char **values, const char *option);

/* ---- Printing ---- */

enum cli_colour { CLI_PLAIN, CLI_BOLD, CLI_RED, CLI_GREEN, CLI_YELLOW, CLI_DIM };

/* An escape sequence, or "" if it is not a terminal or NO_COLOR is set. */
const char *cli_colour(FILE *stream, enum cli_colour colour);
/* The terminal's width in columns; 0: not a terminal, so a line may have any length. */
int cli_width(FILE *stream);
/*
 * What is said besides the answer, on standard error: wrapped to a terminal's width there. With
 * --json nothing is said while a command runs; at its end cli_end prints one object:
 *     {"error": {"exit": 1, "message": "...", "more": ["..."]},      if there was an error
 *      "findings": {"errors": [...], "warnings": [...]}, "notes": ["..."]}     if there were any
 */
void cli_say_json(void);
/* "freehold: ...". Returns `code`. */
int cli_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A line of its own, indented as `format` is: what is under way, or what else there is to know. */
void cli_note(enum cli_colour colour, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void cli_print_findings(const struct findings *findings);
/* Prints what --json has held back, if that is anything; an answer of `up` comes after it. Returns
 * `code`. */
int cli_end(int code);
/* Whether somebody can be asked: not with --json, and not without a terminal to answer at. */
bool cli_can_ask(void);
/* Asks, and waits for the answer. Only after cli_can_ask. */
bool cli_confirms(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Breaks `text` between words, where a line would become longer than a terminal's `width` (0: it
 * has none); lines after the first begin after `indent` spaces. `column`: where the first begins.
 */
void cli_wrap(FILE *stream, int width, int column, int indent, const char *text);
/* A line of an answer, with its end: wrapped to a terminal's width there, and then indented. */
void cli_line(int indent, const char *format, ...) __attribute__((format(printf, 2, 3)));
void cli_print_json(const json_t *value); /* one line, on standard output */
/* Members of an answer; 0 or "-" for those that are missing. */
long long cli_number(const json_t *object, const char *name);
const char *cli_text(const json_t *object, const char *name);
/* The user's name on this machine, for records of what they do. */
const char *cli_person(void);
/* The wall clock, for display. */
int64_t cli_now_ms(void);
/* Digits alone. False: it is something else, or more than `most`. */
bool cli_read_number(const char *given, long long most, long long *ret);
/* "90s", "15m", "2h", "3d". False: it is none of these. */
bool cli_read_span(const char *given, long long *ret_s);
/* "17s", "3h"; "-" if it is not an integer. */
void cli_format_span(char *out, size_t size, const json_t *seconds);
/* For how long events are held for readers outside: "7d on the topic, 2h in the outbox". */
#define CLI_OUTSIDE_SIZE 80
void cli_format_outside(char *out, size_t size, long long topic_s, long long outbox_s,
                        const char *otherwise);

/* ---- Finding the running system ---- */

/* Opens the state folder given as `folder` (--state), or that of the only system running in
 * ./.freehold. CLI_DONE, or the exit code after saying why not. */
int cli_find_state(const char *folder, struct state *state);
/* The same for commands that do not need `up`: accepts a stopped system too, if it is the only one
 * in ./.freehold. */
int cli_open_state(const char *folder, struct state *state);
/* Whether no system runs there (NULL: below ./.freehold), and exactly one was left by an `up` that
 * was killed: opens its state folder. Reports nothing. */
bool cli_find_killed(const char *folder, struct state *state);
/* Whether `up` listens there. */
bool cli_is_running(const struct state *state);
/* The default state folder of the system whose file is in `file_folder`. */
const char *cli_default_state(struct arena *arena, const char *file_folder, const char *system);

/* Sends {"command": command} to the running `up` and passes each line of its answer to `take` until
 * the end. CLI_NOT_RUNNING if there is no `up`; that is not reported. */
int cli_control(const struct state *state, const char *command,
                void (*take)(void *context, const json_t *line), void *context);
/* The same with a full request, which is taken; `timeout_ms` is the longest silence. */
int cli_control_request(const struct state *state, json_t *request, int timeout_ms,
                        void (*take)(void *context, const json_t *line), void *context);

/* What `up` says of its system; *ret has to be NULL, and is a new reference. If it has stopped in
 * the meantime, that is reported. */
int cli_control_status(const struct state *state, json_t **ret);

/* ---- Asking services ---- */

#define CLI_HEADERS_MAX 4

struct cli_ask {
    const char *service, *address, *method, *path;
    const char *body;                        /* NULL: none */
    const char *headers[CLI_HEADERS_MAX][2]; /* ended by NULL */
    int status;                              /* 0: no answer */
    char *answer; /* malloc'ed text, "" if it is empty; or, with status 0, the reason */
    bool wants_next;
    char *next; /* if that is wanted: where the next page is, malloc'ed; NULL: there is none */
};

/* Sends all requests side by side, as the operator of the system in `state`, and returns when each
 * has an answer. The caller frees the answers. */
void cli_ask_all(const struct state *state, struct cli_ask *asks, size_t count, int timeout_ms);

/* The address of a service or of the gateway, as `up` recorded it in system.json. NULL if there is
 * none of that name, which is reported. Borrowed from `system`. */
const char *cli_service_address(const json_t *system, const char *name);

/* A running system, and an operator who sends requests to its services. All functions return an
 * exit code, and have reported what is wrong if it is not CLI_DONE. */
struct cli_operator {
    struct state state;
    json_t *system; /* system.json */
    struct arena arena;
};
int cli_operator_begin(struct cli_operator *asking, const char *state_folder);
void cli_operator_end(struct cli_operator *asking);
/* Fills `pattern` from `values`, which are taken. */
int cli_operator_path(struct cli_operator *asking, const char *pattern, json_t *values,
                      const char **ret);
/* GET fills `path` from `values`, POST sends them as the body; they are taken. CLI_DONE: the body
 * of a 200 answer, a new reference. */
int cli_operator_ask(struct cli_operator *asking, const char *service, const char *method,
                     const char *path, json_t *values, json_t **ret);
/* The same GET, waited for up to `timeout_ms`. */
int cli_operator_get_within(struct cli_operator *asking, const char *service, const char *path,
                            json_t *values, int timeout_ms, json_t **ret);
/* POSTs the body, which is taken, to each process of one service: `process` is what `up` says of it
 * (cli_control_status). *ret is set in any case, to an array of the answers that could be got.
 * *ret_silent: some gave none, so that nobody knows whether they have done it. */
int cli_operator_ask_each(struct cli_operator *asking, const json_t *process, const char *path,
                          json_t *body, json_t **ret, bool *ret_silent);
/* GET from all services: the objects of the `list` in each answer, each with its "service". *ret is
 * set in any case, to what could be got. */
int cli_operator_ask_all(struct cli_operator *asking, const char *path, const char *list,
                         json_t **ret);
/* The `list` of one service (NULL: of all), printed as {named: [...]} or by `print`. */
int cli_operator_list(struct cli_operator *asking, const char *service, const char *path,
                      const char *list, const char *named, void (*print)(const json_t *list),
                      bool as_json);
/* What restores have left for an operator to do, from all services: restore_report.c. *ret is set
 * in any case, to what could be got. */
int cli_restore_report_take(struct cli_operator *asking, json_t **ret);
void cli_restore_report_print(const json_t *reports);

#endif
