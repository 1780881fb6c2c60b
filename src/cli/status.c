/* SPDX-License-Identifier: Apache-2.0 */
/* freehold status: what `up` knows of its processes, and what the services say of themselves. */

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/cli.h"
#include "system/file.h"

#define STATE_MS_MAX 2000

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

static void print_row(const json_t *process, bool service)
{
    char pid[16] = "-", span[32], events[64] = "-", sagas[96] = "-", position[32] = "-";
    const json_t *state = json_at(process, "state");
    const char *phase = json_string_at(process, "phase");
    bool ready = json_is_true(json_at(process, "ready"));
    if (json_is_integer(json_at(process, "pid")))
        snprintf(pid, sizeof pid, "%lld", (long long)json_integer_value(json_at(process, "pid")));
    cli_format_span(span, sizeof span, json_at(process, "since_s"));
    if (json_is_object(state)) {
        snprintf(position, sizeof position, "%lld",
                 (long long)json_integer_value(json_at(state, "position")));
        format_unapplied(events, sizeof events, state);
        format_sagas(sagas, sizeof sagas, state);
    }
    printf("%-14s %s%-10s%s %-8s %-5s %8lld  ", json_string_at(process, "name"),
           cli_colour(stdout, ready ? CLI_GREEN : CLI_RED), phase, cli_colour(stdout, CLI_PLAIN),
           pid, span, (long long)json_integer_value(json_at(process, "restarts")));
    if (service)
        printf("%-21s %8s  %-9s  %s\n", json_string_at(process, "address"), position, events,
               sagas);
    else
        printf("%s\n", json_string_at(process, "address"));
}

static void print_table(const json_t *status)
{
    size_t i;
    json_t *service;
    printf("%s%s%s is %s at http://%s (pid %lld)\n\n", cli_colour(stdout, CLI_BOLD),
           json_string_at(status, "system"), cli_colour(stdout, CLI_PLAIN),
           json_string_at(status, "phase"), json_string_at(status, "gateway.address"),
           (long long)json_integer_value(json_at(status, "up_pid")));
    printf("%s%-14s %-10s %-8s %-5s %8s  %-21s %8s  %-9s  %s%s\n", cli_colour(stdout, CLI_DIM),
           "SERVICE", "STATE", "PID", "FOR", "RESTARTS", "ADDRESS", "POSITION", "UNAPPLIED",
           "SAGAS", cli_colour(stdout, CLI_PLAIN));
    print_row(json_at(status, "gateway"), false);
    json_array_foreach (json_at(status, "services"), i, service)
        print_row(service, true);
    json_array_foreach (json_at(status, "services"), i, service) {
        const char *last_end = json_string_at(service, "last_end");
        if (last_end && !json_is_true(json_at(service, "ready")))
            printf("\n%s %s.\n", json_string_at(service, "name"), last_end);
    }
}

static int run(const struct cli_command *command, char **words, const char **values)
{
    (void)words;
    struct state state;
    json_t *status = NULL;
    int code = cli_find_state(cli_value(command, values, "--state"), &state);
    if (code != CLI_DONE)
        return code;
    code = cli_control(&state, "status", keep, &status);
    if (code == CLI_DONE)
        add_states(&state, status);
    state_close(&state);
    if (code == CLI_NOT_RUNNING)
        return cli_fail(code, "the system has just stopped");
    if (code != CLI_DONE)
        return code;
    if (cli_value(command, values, "--json"))
        cli_print_json(status);
    else
        print_table(status);
    code = all_ready(status) ? CLI_DONE : CLI_FAILED;
    json_decref(status);
    return code;
}

const struct cli_command cli_status = {
    .name = "status",
    .words = "",
    .summary = "Show a running system: processes, events not yet applied, open sagas",
    .text = "Exit codes: 0 everything is ready, 1 something is not, 3 no running system.\n",
    .options = {{"--state", "DIR",
                 "its state folder; default: the one that runs below ./.freehold"},
                {"--json", NULL, "answer in JSON"}},
    .run = run,
};
