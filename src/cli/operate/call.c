/* SPDX-License-Identifier: Apache-2.0 */
/* freehold call: an operator's request, sent straight to the service, not through the gateway. */

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cli/data.h"

#define CALL_MS_MAX 60000

static void print_answer(const struct cli_ask *ask, bool as_json)
{
    size_t length = strlen(ask->answer);
    if (!as_json) {
        printf("%s%s", ask->answer, length && ask->answer[length - 1] != '\n' ? "\n" : "");
        fflush(stdout);
        if (ask->next)
            cli_note(CLI_PLAIN, "The next page: freehold call %s GET '%s'", ask->service,
                     ask->next);
        return;
    }
    json_t *body = NULL, *all = json_object();
    if (length && json_parse(ask->answer, length, &body, ERROR_UNHEEDED) != FH_OK)
        body = json_string(ask->answer);
    json_object_set_new(all, "status", json_integer(ask->status));
    json_object_set_new(all, "body", body ? body : json_null());
    if (ask->next)
        json_object_set_new(all, "next", json_string(ask->next));
    cli_print_json(all);
    json_decref(all);
}

static int call_service(const struct state *state, struct cli_ask *ask, bool as_json)
{
    cli_ask_all(state, ask, 1, CALL_MS_MAX);
    if (ask->status == 0)
        return cli_fail(CLI_FAILED, "%s gave no answer: %s", ask->service, ask->answer);
    print_answer(ask, as_json);
    if (ask->status >= 200 && ask->status < 300)
        return CLI_DONE;
    if (!as_json)
        cli_fail(CLI_FAILED, "%s answered with status %d", ask->service, ask->status);
    return CLI_FAILED;
}

static int run_call(const struct cli_command *command, char **words, const char **values)
{
    const char *data = cli_value(command, values, "--data");
    const char *key = cli_value(command, values, "--key");
    struct state state;
    struct text body;
    struct fh_error error;
    json_t *system = NULL, *parsed = NULL;
    struct cli_ask ask = {
        .service = words[0], .method = words[1], .path = words[2], .wants_next = true};
    for (char *c = words[1]; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    if (words[2][0] != '/')
        return cli_fail(CLI_USAGE, "the path '%s' must begin with '/'", words[2]);
    text_init(&body, CLI_DATA_SIZE_MAX);
    int code = data ? data_read(data, &body, &parsed) : CLI_DONE;
    json_decref(parsed);
    if (code == CLI_DONE)
        code = cli_find_state(cli_value(command, values, "--state"), &state);
    if (code != CLI_DONE) {
        text_release(&body);
        return code;
    }
    ask.body = data ? body.data : NULL;
    ask.headers[0][0] = "Freehold-From";
    ask.headers[0][1] = "operator";
    if (key) {
        ask.headers[1][0] = "Idempotency-Key";
        ask.headers[1][1] = key;
    }
    if (state_read_json(state.folder_fd, "system.json", &system, &error) != FH_OK)
        code = cli_fail(CLI_FAILED, "%s", error.message);
    else if (!(ask.address = cli_service_address(system, words[0])))
        code = CLI_USAGE;
    else
        code = call_service(&state, &ask, cli_value(command, values, "--json") != NULL);
    free(ask.answer);
    free(ask.next);
    json_decref(system);
    text_release(&body);
    state_close(&state);
    return code;
}

const struct cli_command cli_call = {
    .name = "call",
    .words = "SERVICE METHOD PATH",
    .words_min = 3,
    .words_max = 3,
    .summary = "Call a route of a running service, internal ones too",
    .text = "Prints the answer's body. Exit codes: 0 for an answer of 200 to 299, 1 for any other\n"
            "or none, 2 wrong usage, 3 no running system. Of a list in pages it also says where\n"
            "the next one is.\n\n"
            "  freehold call orders GET /api/orders/7\n"
            "  freehold call users POST /api/users --data '{\"name\": \"Ada\"}' --key first-try\n",
    .options = {{"--data", "JSON", "the body; @FILE reads it from a file, - from standard input"},
                {"--key", "KEY", "an Idempotency-Key: the same one again does nothing again"},
                {"--json", NULL,
                 "print {\"status\": ..., \"body\": ...}, and \"next\", the next page"},
                CLI_OPTION_STATE_RUNNING},
    .run = run_call,
};
