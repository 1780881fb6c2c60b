/* SPDX-License-Identifier: Apache-2.0 */
/* freehold status: what `up` knows of its processes, and what the services report of themselves. */

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/terminal.h"
#include "cli/cli.h"
#include "cli/observe/status.h"
#include "system/file/file.h"

#define STATE_MS_MAX 2000
#define LOOK_MS 1000 /* between updates of the live table */

struct asking {
    struct cli_ask asks[2 * SYSTEM_SERVICES_MAX + 2];
    json_t *of[2 * SYSTEM_SERVICES_MAX + 2];
    size_t count;
};

static void ask_process(struct asking *asking, json_t *process, const char *path)
{
    asking->of[asking->count] = process;
    asking->asks[asking->count++] = (struct cli_ask){.service = json_string_at(process, "name"),
                                                     .address = json_string_at(process, "address"),
                                                     .method = "GET",
                                                     .path = path,
                                                     .headers = {{"Freehold-From", "operator"}}};
}

/* The services it refuses to call at the moment, from the gauge of its circuit breakers. */
static json_t *refused_in(const char *metrics)
{
    static const char gauge[] = "breaker{service=\"";
    json_t *refused = json_array();
    for (const char *at = metrics; (at = strstr(at, gauge));) {
        const char *name = at + strlen(gauge), *end = strchr(name, '"');
        at = name;
        if (end && strncmp(end, "\"} 2", 4) == 0)
            json_array_append_new(refused, json_stringn(name, (size_t)(end - name)));
    }
    return refused;
}

static void take_process(json_t *process, const struct cli_ask *ask)
{
    json_t *state;
    bool metrics = strcmp(ask->path, "/metrics") == 0;
    if (ask->status == 200 && metrics)
        json_object_set_new(process, "refuses", refused_in(ask->answer));
    else if (ask->status == 200 &&
             json_parse(ask->answer, strlen(ask->answer), &state, ERROR_UNHEEDED) == FH_OK)
        json_object_set_new(process, "state", state);
}

/* Asks every ready service for /_freehold/state and stores the answer as "state". For the table
 * (`refuses`) also asks services and the gateway which services they refuse to call, stored as
 * "refuses". */
static void add_states(const struct state *folder, json_t *status, bool refuses)
{
    struct asking *asking = calloc(1, sizeof *asking);
    json_t *service, *gateway = json_object_get(status, "gateway");
    size_t i;
    FH_ASSERT(asking != NULL);
    if (refuses && json_is_true(json_at(gateway, "ready")))
        ask_process(asking, gateway, "/metrics");
    json_array_foreach (json_at(status, "services"), i, service) {
        json_object_set_new(service, "state", json_null());
        if (!json_is_true(json_at(service, "ready")) || i >= SYSTEM_SERVICES_MAX)
            continue;
        ask_process(asking, service, "/_freehold/state");
        if (refuses)
            ask_process(asking, service, "/metrics");
    }
    cli_ask_all(folder, asking->asks, asking->count, STATE_MS_MAX);
    for (i = 0; i < asking->count; i++) {
        take_process(asking->of[i], &asking->asks[i]);
        free(asking->asks[i].answer);
    }
    free(asking);
}

static bool all_ready(const json_t *status)
{
    size_t i;
    json_t *service;
    bool ready = json_is_true(json_at(status, "gateway.ready"));
    json_array_foreach (json_at(status, "services"), i, service)
        ready &= json_is_true(json_at(service, "ready"));
    json_array_foreach (json_at(status, "servers"), i, service)
        ready &= json_is_true(json_at(service, "ready"));
    return ready;
}

/* ---- Once, or live ---- */

/* What `up` and the services report now. */
static int look_at_system(const struct state *state, bool refuses, json_t **ret)
{
    *ret = NULL;
    int code = cli_control_status(state, ret);
    if (code == CLI_DONE)
        add_states(state, *ret, refuses);
    return code;
}

static int show_once(const struct state *state, bool as_json)
{
    json_t *status;
    int code = look_at_system(state, !as_json, &status);
    if (code == CLI_DONE) {
        if (as_json)
            cli_print_json(status);
        else
            status_print(status, cli_width(stdout));
        code = all_ready(status) ? CLI_DONE : CLI_FAILED;
    }
    json_decref(status);
    return code;
}

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

/* On the terminal's alternate screen, with long lines cut off; the last table stays on the normal
 * screen afterwards. */
static int show_live(const struct state *state)
{
    static const char enter[] = "\033[?1049h\033[?7l\033[?25l",
                      leave[] = "\033[?25h\033[?7h\033[?1049l";
    struct sigaction action = {.sa_handler = on_interrupt};
    json_t *status = NULL;
    int code = CLI_DONE;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    terminal_control(stdout, enter);
    while (!interrupted && code == CLI_DONE) {
        json_t *next;
        code = look_at_system(state, true, &next);
        if (code != CLI_DONE)
            break;
        json_decref(status);
        status = next;
        terminal_control(stdout, "\033[H\033[J");
        status_print(status, cli_width(stdout));
        printf("\n%sCtrl-C ends this.%s\n", cli_colour(stdout, CLI_DIM),
               cli_colour(stdout, CLI_PLAIN));
        fflush(stdout);
        if (!interrupted)
            poll(NULL, 0, LOOK_MS);
    }
    terminal_control(stdout, leave);
    if (status) {
        status_print(status, cli_width(stdout));
        code = code != CLI_DONE ? code : all_ready(status) ? CLI_DONE : CLI_FAILED;
    }
    fflush(stdout);
    json_decref(status);
    return code;
}

static int run_status(const struct cli_command *command, char **words, const char **values)
{
    (void)words;
    struct state state;
    const char *terminal = getenv("TERM");
    bool as_json = cli_value(command, values, "--json") != NULL;
    bool live = isatty(STDOUT_FILENO) && terminal && strcmp(terminal, "dumb") != 0;
    int code = cli_find_state(cli_value(command, values, "--state"), &state);
    if (code != CLI_DONE)
        return code;
    code = live && !as_json && !cli_value(command, values, "--once") ? show_live(&state)
                                                                     : show_once(&state, as_json);
    state_close(&state);
    return code;
}

const struct cli_command cli_status = {
    .name = "status",
    .words = "",
    .summary = "Show a running system: processes, lag, open sagas",
    .text =
        "On a terminal the table is live until Ctrl-C; elsewhere it is printed once. It fits into\n"
        "80 columns; a wider terminal gets addresses and positions, too.\n"
        "Exit codes: 0 everything is ready, 1 something is not, 3 no running system.\n",
    .options = {CLI_OPTION_STATE_RUNNING,
                {"--once", NULL, "print it once, on a terminal too"},
                CLI_OPTION_JSON},
    .run = run_status,
};
