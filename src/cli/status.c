/* SPDX-License-Identifier: Apache-2.0 */
/* freehold status: what `up` knows of its processes, and what the services say of themselves. */

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/cli.h"
#include "system/file.h"

#define STATE_MS_MAX 2000
#define LOOK_MS 1000 /* between two looks of the live table */

static void keep(void *context, const json_t *line)
{
    json_t **status = context;
    if (!*status)
        *status = json_copy_out(line);
}

/* Asks every ready service for /_freehold/state and puts the answer in as "state". */
static void add_states(const struct state *folder, json_t *status)
{
    struct cli_ask asks[SYSTEM_SERVICES_MAX] = {0};
    json_t *asked[SYSTEM_SERVICES_MAX], *service, *state;
    size_t count = 0, i;
    json_array_foreach (json_at(status, "services"), i, service) {
        json_object_set_new(service, "state", json_null());
        if (!json_is_true(json_at(service, "ready")) || count == SYSTEM_SERVICES_MAX)
            continue;
        asked[count] = service;
        asks[count++] = (struct cli_ask){.service = json_string_at(service, "name"),
                                         .address = json_string_at(service, "address"),
                                         .method = "GET",
                                         .path = "/_freehold/state",
                                         .headers = {{"Freehold-From", "operator"}}};
    }
    cli_ask_all(folder, asks, count, STATE_MS_MAX);
    for (i = 0; i < count; i++) {
        if (asks[i].status == 200 &&
            json_parse(asks[i].answer, strlen(asks[i].answer), &state, NULL) == FH_OK)
            json_object_set_new(asked[i], "state", state);
        free(asks[i].answer);
    }
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

/* ---- The table ---------------------------------------------------------------------------------
 */

/* Events waiting over all subscriptions, and the largest lag: "3 (12 ms)". */
static void format_unapplied(char *out, size_t size, const json_t *state)
{
    long long depth = 0, lag_ms = 0;
    size_t i;
    json_t *subscription;
    const json_t *subscriptions = json_at(state, "subscriptions");
    json_array_foreach (subscriptions, i, subscription) {
        long long lag = json_integer_value(json_at(subscription, "lag_ms"));
        depth += json_integer_value(json_at(subscription, "depth"));
        lag_ms = lag > lag_ms ? lag : lag_ms;
    }
    if (json_array_size(subscriptions) == 0)
        snprintf(out, size, "-");
    else if (depth == 0)
        snprintf(out, size, "0");
    else
        snprintf(out, size, "%lld (%lld ms)", depth, lag_ms);
}

static void format_sagas(char *out, size_t size, const json_t *state)
{
    static const char *const stages[] = {"running", "compensating", "parked"};
    struct text text;
    text_init(&text, 256);
    for (size_t i = 0; i < 3; i++) {
        long long count = json_integer_value(json_object_get(json_at(state, "sagas"), stages[i]));
        if (count)
            text_printf(&text, "%s%lld %s", text.length ? ", " : "", count, stages[i]);
    }
    snprintf(out, size, "%s", text.length ? text.data : json_at(state, "sagas") ? "0 open" : "-");
    text_release(&text);
}

static void print_process(const json_t *process, const char *name)
{
    char pid[16] = "-", span[32];
    bool ready = json_is_true(json_at(process, "ready"));
    if (json_is_integer(json_at(process, "pid")))
        snprintf(pid, sizeof pid, "%lld", (long long)json_integer_value(json_at(process, "pid")));
    cli_format_span(span, sizeof span, json_at(process, "since_s"));
    printf("%-20s %s%-10s%s %-8s %-5s %8lld  ", name,
           cli_colour(stdout, ready ? CLI_GREEN : CLI_RED), json_string_at(process, "phase"),
           cli_colour(stdout, CLI_PLAIN), pid, span,
           (long long)json_integer_value(json_at(process, "restarts")));
}

/* The processes of a service that has several, each below it. */
static void print_instances(const json_t *service)
{
    size_t i;
    json_t *instance;
    char name[64];
    const json_t *instances = json_at(service, "instances");
    json_array_foreach (instances, i, instance) {
        snprintf(name, sizeof name, "  %s/%lld", json_string_at(service, "name"),
                 (long long)json_integer_value(json_at(instance, "instance")));
        if (json_array_size(instances) > 1) {
            print_process(instance, name);
            printf("%s\n", json_string_at(instance, "address"));
        }
    }
}

static void print_row(const json_t *process, bool service)
{
    char events[64] = "-", sagas[96] = "-", position[32] = "-";
    const json_t *state = json_at(process, "state");
    if (json_is_object(state)) {
        snprintf(position, sizeof position, "%lld",
                 (long long)json_integer_value(json_at(state, "position")));
        format_unapplied(events, sizeof events, state);
        format_sagas(sagas, sizeof sagas, state);
    }
    print_process(process, json_string_at(process, "name"));
    if (service)
        printf("%-21s %8s  %-9s  %s\n", json_string_at(process, "address"), position, events,
               sagas);
    else
        printf("%s\n", json_string_at(process, "address"));
    print_instances(process);
}

static void print_older(const json_t *service)
{
    const char *refused = json_string_at(service, "program.refused");
    if (json_is_true(json_at(service, "program.older")))
        printf("\n%s runs an older program than is on disk%s%s\n", json_string_at(service, "name"),
               refused ? ": " : "; freehold upgrade takes the new one.", refused ? refused : "");
}

/* Subscribers for whom events are gone that they have not applied. */
static void print_expired(const json_t *service)
{
    size_t i;
    json_t *subscriber;
    json_array_foreach (json_at(service, "state.subscribers"), i, subscriber) {
        if (json_is_true(json_at(subscriber, "expired")))
            printf("\n%s has trimmed events that %s (share %s) has not applied: it is expired.\n",
                   json_string_at(service, "name"), json_string_at(subscriber, "name"),
                   json_string_at(subscriber, "share"));
    }
}

static void print_restored(const json_t *service)
{
    long long waits = (long long)json_integer_value(json_at(service, "state.restored"));
    if (waits)
        printf("\n%s reports %lld things that a restore has left: freehold restored %s\n",
               json_string_at(service, "name"), waits, json_string_at(service, "name"));
}

static void print_table(const json_t *status)
{
    size_t i;
    json_t *service;
    printf("%s%s%s is %s at %s://%s (pid %lld)\n\n", cli_colour(stdout, CLI_BOLD),
           json_string_at(status, "system"), cli_colour(stdout, CLI_PLAIN),
           json_string_at(status, "phase"),
           json_is_true(json_at(status, "gateway.tls")) ? "https" : "http",
           json_string_at(status, "gateway.address"),
           (long long)json_integer_value(json_at(status, "up_pid")));
    printf("%s%-20s %-10s %-8s %-5s %8s  %-21s %8s  %-9s  %s%s\n", cli_colour(stdout, CLI_DIM),
           "SERVICE", "STATE", "PID", "FOR", "RESTARTS", "ADDRESS", "POSITION", "UNAPPLIED",
           "SAGAS", cli_colour(stdout, CLI_PLAIN));
    print_row(json_at(status, "gateway"), false);
    json_array_foreach (json_at(status, "services"), i, service)
        print_row(service, true);
    json_array_foreach (json_at(status, "servers"), i, service)
        print_row(service, false);
    json_array_foreach (json_at(status, "services"), i, service) {
        const char *last_end = json_string_at(service, "last_end");
        if (last_end && !json_is_true(json_at(service, "ready")))
            printf("\n%s %s.\n", json_string_at(service, "name"), last_end);
    }
    json_array_foreach (json_at(status, "services"), i, service)
        print_expired(service);
    json_array_foreach (json_at(status, "services"), i, service)
        print_restored(service);
    json_array_foreach (json_at(status, "services"), i, service)
        print_older(service);
}

/* ---- Once, or as it goes ---- */

/* What `up` and the services say now. */
static int look(const struct state *state, json_t **ret)
{
    *ret = NULL;
    int code = cli_control(state, "status", keep, ret);
    if (code == CLI_DONE)
        add_states(state, *ret);
    else if (code == CLI_NOT_RUNNING)
        cli_fail(code, "the system has just stopped");
    return code;
}

static int show_once(const struct state *state, bool as_json)
{
    json_t *status;
    int code = look(state, &status);
    if (code == CLI_DONE) {
        if (as_json)
            cli_print_json(status);
        else
            print_table(status);
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

/* On a screen of its own, whose lines the terminal cuts at its width; the last look stays behind
 * when it ends. */
static int show_live(const struct state *state)
{
    static const char enter[] = "\033[?1049h\033[?7l\033[?25l",
                      leave[] = "\033[?25h\033[?7h\033[?1049l";
    struct sigaction action = {.sa_handler = on_interrupt};
    json_t *status = NULL;
    int code = CLI_DONE;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    fputs(enter, stdout);
    while (!interrupted && code == CLI_DONE) {
        json_t *next;
        code = look(state, &next);
        if (code != CLI_DONE)
            break;
        json_decref(status);
        status = next;
        fputs("\033[H\033[J", stdout);
        print_table(status);
        printf("\n%sCtrl-C ends this.%s\n", cli_colour(stdout, CLI_DIM),
               cli_colour(stdout, CLI_PLAIN));
        fflush(stdout);
        if (!interrupted)
            poll(NULL, 0, LOOK_MS);
    }
    fputs(leave, stdout);
    if (status) {
        print_table(status);
        code = code != CLI_DONE ? code : all_ready(status) ? CLI_DONE : CLI_FAILED;
    }
    fflush(stdout);
    json_decref(status);
    return code;
}

static int run(const struct cli_command *command, char **words, const char **values)
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
    .summary = "Show a running system: processes, events not yet applied, open sagas",
    .text = "On a terminal the table is live until Ctrl-C; elsewhere it is printed once.\n"
            "Exit codes: 0 everything is ready, 1 something is not, 3 no running system.\n",
    .options = {{"--state", "DIR",
                 "its state folder; default: the one that runs below ./.freehold"},
                {"--once", NULL, "print it once, on a terminal too"},
                {"--json", NULL, "answer in JSON"}},
    .run = run,
};
