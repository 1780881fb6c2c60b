/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to one service, or to all, that only operators may make: shared by `parked` and
 * `saga`. */

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "cli/cli.h"
#include "http/path.h"
#include "system/file/file.h"
#include "system/file/nearest.h"

#define OPERATE_MS_MAX 30000

const char *cli_service_address(const json_t *system, const char *name)
{
    struct nearest nearest = nearest_begin(name);
    size_t i;
    json_t *service;
    if (strcmp(name, "gateway") == 0)
        return json_string_at(system, "gateway.address");
    json_array_foreach (json_at(system, "services"), i, service) {
        const char *known = json_string_at(service, "name");
        if (strcmp(known, name) == 0)
            return json_string_at(service, "address");
        nearest_offer(&nearest, known);
    }
    cli_fail(CLI_USAGE, "the system has no service '%s'%s%s%s", name,
             nearest.word ? "; did you mean '" : "", nearest.word ? nearest.word : "",
             nearest.word ? "'?" : "");
    return NULL;
}

int cli_operator_begin(struct cli_operator *asking, const char *folder)
{
    struct fh_error error;
    *asking = (struct cli_operator){0};
    int code = cli_find_state(folder, &asking->state);
    if (code != CLI_DONE)
        return code;
    arena_init(&asking->arena, ARENA_SIZE_MAX);
    if (state_read_json(asking->state.folder_fd, "system.json", &asking->system, &error) == FH_OK)
        return CLI_DONE;
    cli_operator_end(asking);
    return cli_fail(CLI_FAILED, "%s", error.message);
}

void cli_operator_end(struct cli_operator *asking)
{
    json_decref(asking->system);
    arena_release(&asking->arena);
    state_close(&asking->state);
}

/* The answer's body, or an error if it is not usable. */
static int take_service_answer(const struct cli_ask *ask, json_t **ret)
{
    json_t *body = NULL, *fault;
    size_t i;
    if (ask->status == 0)
        return cli_fail(CLI_FAILED, "%s gave no answer: %s", ask->service, ask->answer);
    bool is_json = json_parse(ask->answer, strlen(ask->answer), &body, ERROR_UNHEEDED) == FH_OK;
    if (ask->status == 200 && is_json) {
        *ret = body;
        return CLI_DONE;
    }
    const char *detail = json_string_at(body, "detail");
    int code = detail
                   ? cli_fail(CLI_FAILED, "%s: %s", ask->service, detail)
                   : cli_fail(CLI_FAILED, "%s answered with status %d", ask->service, ask->status);
    json_array_foreach (json_object_get(body, "errors"), i, fault)
        cli_note(CLI_PLAIN, "  %s: %s", json_string_at(fault, "pointer"),
                 json_string_at(fault, "detail"));
    json_decref(body);
    return code;
}

int cli_operator_path(struct cli_operator *asking, const char *pattern, json_t *values,
                      const char **ret)
{
    struct fh_error error;
    enum fh_code code = path_fill(&asking->arena, pattern, &values, 1, ret, &error);
    json_decref(values);
    return code == FH_OK ? CLI_DONE : cli_fail(CLI_USAGE, "%s", error.message);
}

static int ask_service_once(struct cli_operator *asking, struct cli_ask *ask, int timeout_ms,
                            json_t **ret)
{
    int code = CLI_USAGE;
    ask->headers[0][0] = "Freehold-From";
    ask->headers[0][1] = "operator";
    if ((ask->address = cli_service_address(asking->system, ask->service))) {
        cli_ask_all(&asking->state, ask, 1, timeout_ms);
        code = take_service_answer(ask, ret);
    }
    free(ask->answer);
    return code;
}

int cli_operator_get_within(struct cli_operator *asking, const char *service, const char *path,
                            json_t *values, int timeout_ms, json_t **ret)
{
    struct cli_ask ask = {.service = service, .method = "GET"};
    int code = cli_operator_path(asking, path, values, &ask.path);
    return code == CLI_DONE ? ask_service_once(asking, &ask, timeout_ms, ret) : code;
}

int cli_operator_ask(struct cli_operator *asking, const char *service, const char *method,
                     const char *path, json_t *values, json_t **ret)
{
    struct cli_ask ask = {.service = service, .method = method, .path = path};
    if (strcmp(method, "POST") != 0)
        return cli_operator_get_within(asking, service, path, values, OPERATE_MS_MAX, ret);
    char *body = json_text(values);
    json_decref(values);
    ask.body = body;
    int code = ask_service_once(asking, &ask, OPERATE_MS_MAX, ret);
    json_text_free(body);
    return code;
}

/* Instances that have addresses of their own, or else whichever process answers. */
static size_t asked_processes_of(const json_t *process,
                                 struct cli_ask asks[static SYSTEM_INSTANCES_MAX])
{
    size_t i, count = 0;
    json_t *instance;
    json_array_foreach (json_at(process, "instances"), i, instance) {
        const char *address = json_string_at(instance, "address");
        if (address && json_is_true(json_at(instance, "ready")) && count < SYSTEM_INSTANCES_MAX)
            asks[count++].address = address;
    }
    if (count == 0 && json_string_at(process, "address"))
        asks[count++].address = json_string_at(process, "address");
    return count;
}

int cli_operator_ask_each(struct cli_operator *asking, const json_t *process, const char *path,
                          json_t *body, json_t **ret, bool *ret_silent)
{
    struct cli_ask asks[SYSTEM_INSTANCES_MAX] = {0};
    size_t count = asked_processes_of(process, asks);
    char *text = json_text(body);
    int code = count ? CLI_DONE : cli_fail(CLI_FAILED, "the service does not run");
    json_t *answer;
    json_decref(body);
    for (size_t i = 0; i < count; i++) {
        asks[i].service = json_string_at(process, "name");
        asks[i].method = "POST";
        asks[i].path = path;
        asks[i].body = text;
        asks[i].headers[0][0] = "Freehold-From";
        asks[i].headers[0][1] = "operator";
    }
    cli_ask_all(&asking->state, asks, count, OPERATE_MS_MAX);
    *ret = json_array();
    *ret_silent = false;
    for (size_t i = 0; i < count; i++) {
        int taken = take_service_answer(&asks[i], &answer);
        *ret_silent |= asks[i].status == 0;
        if (taken == CLI_DONE)
            json_array_append_new(*ret, answer);
        else
            code = taken;
        free(asks[i].answer);
    }
    json_text_free(text);
    return code;
}

static void note_if_more(const char *service, const json_t *body)
{
    if (json_is_true(json_object_get(body, "more")))
        cli_note(CLI_PLAIN, "%s has more than these.", service);
}

int cli_operator_ask_all(struct cli_operator *asking, const char *path, const char *list,
                         json_t **ret)
{
    struct cli_ask asks[SYSTEM_SERVICES_MAX] = {0};
    size_t count = 0, i, j;
    json_t *service, *body, *one;
    int code = CLI_DONE;
    json_array_foreach (json_at(asking->system, "services"), i, service) {
        if (count < SYSTEM_SERVICES_MAX)
            asks[count++] = (struct cli_ask){.service = json_string_at(service, "name"),
                                             .address = json_string_at(service, "address"),
                                             .method = "GET",
                                             .path = path,
                                             .headers = {{"Freehold-From", "operator"}}};
    }
    cli_ask_all(&asking->state, asks, count, OPERATE_MS_MAX);
    *ret = json_array();
    for (i = 0; i < count; i++) {
        int taken = take_service_answer(&asks[i], &body);
        if (taken == CLI_DONE) {
            json_array_foreach (json_object_get(body, list), j, one) {
                json_object_set_new(one, "service", json_string(asks[i].service));
                json_array_append(*ret, one);
            }
            note_if_more(asks[i].service, body);
            json_decref(body);
        } else {
            code = taken;
        }
        free(asks[i].answer);
    }
    return code;
}

int cli_operator_list(struct cli_operator *asking, const char *service, const char *path,
                      const char *list, const char *named, void (*print)(const json_t *list),
                      bool as_json)
{
    json_t *all = NULL, *body, *one;
    size_t i;
    int code;
    if (service) {
        code = cli_operator_ask(asking, service, "GET", path, json_object(), &body);
        if (code != CLI_DONE)
            return code;
        all = json_incref(json_object_get(body, list));
        json_array_foreach (all, i, one)
            json_object_set_new(one, "service", json_string(service));
        note_if_more(service, body);
        json_decref(body);
    } else {
        code = cli_operator_ask_all(asking, path, list, &all);
    }
    if (as_json) {
        json_t *told = json_pack("{s:O}", named, all);
        cli_print_json(told);
        json_decref(told);
    } else {
        print(all);
    }
    json_decref(all);
    return code;
}
