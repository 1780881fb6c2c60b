/* SPDX-License-Identifier: Apache-2.0 */
/* What clients of a simulated system can do: ask over the simulated network, wait on virtual time,
 * draw from the run's generator, and look into stores from outside when all is over. */

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "call/auth.h"
#include "call/user.h"
#include "simulate/server.h"
#include "simulate/run_parts.h"

#define ASK_MS 5000
#define INSIST_PAUSE_MS_MIN 20
#define INSIST_PAUSE_MS_MAX 2000
#define INSIST_MS_MAX 7200000
#define ASKED_HEADERS_MAX 8

static struct simulate *client_simulate(fh_client *client)
{
    return &client->run->simulate;
}

/* What the gateway does of which no run has one. */
static bool state_user(fh_client *client, const struct fh_ask *ask,
                       char ret[static USER_STATEMENT_SIZE])
{
    struct user_signer *signer;
    struct fh_error error;
    json_t *identity = json_pack("{s:s, s:s, s:o, s:o, s:O?, s:I}", "sub", ask->user, "via", "jwt",
                                 "scopes", auth_demanded(ask->grants, "scopes"), "roles",
                                 auth_demanded(ask->grants, "roles"), "claims", ask->claims, "iat",
                                 (json_int_t)(world_wall_ms(&client->run->outside->world) / 1000));
    if (!ask->claims)
        json_object_del(identity, "claims");
    enum fh_code code = user_signer_new(RUN_SYSTEM, RUN_USER_KEY, &signer, &error);
    if (code == FH_OK)
        code = user_sign(signer, identity, ret, &error);
    if (code != FH_OK)
        run_fail(client->run, "the user %s can't log in: %s", ask->user, error.message);
    user_signer_free(signer);
    json_decref(identity);
    return code == FH_OK;
}

/* What it adds to those that there are. */
static void add_asked_headers(const struct fh_ask *ask, struct world_request *request, int count)
{
    const char *name;
    json_t *value;
    FH_ASSERT(json_object_size(ask->headers) <= ASKED_HEADERS_MAX);
    json_object_foreach (ask->headers, name, value)
        request->headers[count++] = (struct world_header){name, json_string_value(value)};
}

/* Of a request that is repeated, what the answer before said is forgotten. */
static void tell_answer_headers(const struct fh_ask *ask, const struct world_request *request)
{
    if (!ask->ret_headers)
        return;
    json_decref(*ask->ret_headers);
    *ask->ret_headers = request->status ? json_object() : NULL;
    for (size_t i = 0; request->status && i < request->answer_header_count; i++)
        json_object_set_new(*ask->ret_headers, request->answer_headers[i].name,
                            json_string(request->answer_headers[i].value));
}

static int ask_from_outside(fh_client *client, const struct fh_ask *ask,
                            const struct run_body *body, struct run_body *ret)
{
    char statement[USER_STATEMENT_SIZE];
    struct world *world = &client->run->outside->world;
    struct world_request request = {
        .service = ask->service,
        .method = ask->method,
        .path = ask->path,
        .body = body->bytes,
        .body_length = body->length,
        .deadline_ns = world_in_ms(world, ask->timeout_ms ? ask->timeout_ms : ASK_MS)};
    int count = 0;
    if (ask->key)
        request.headers[count++] = (struct world_header){"Idempotency-Key", ask->key};
    if (ask->statement)
        request.headers[count++] = (struct world_header){USER_HEADER, ask->statement};
    else if (ask->user && state_user(client, ask, statement))
        request.headers[count++] = (struct world_header){USER_HEADER, statement};
    if (ask->as_operator)
        request.headers[count++] = (struct world_header){"Freehold-From", "operator"};
    if (body->type)
        request.headers[count++] = (struct world_header){"Content-Type", body->type};
    add_asked_headers(ask, &request, count);
    world_request_wait(world, &request);
    int status = request.status;
    tell_answer_headers(ask, &request);
    *ret = (struct run_body){.length = status ? request.answer_length : 0};
    ret->bytes = malloc(ret->length + 1);
    FH_ASSERT(ret->bytes != NULL);
    if (ret->length)
        memcpy(ret->bytes, request.answer, ret->length);
    ret->bytes[ret->length] = '\0';
    world_request_release(&request);
    return status;
}

int run_client_ask(fh_client *client, const struct fh_ask *ask, bool insists,
                   const struct run_body *body, struct run_body *ret)
{
    struct simulate *simulate = client_simulate(client);
    int64_t until_ns = simulate->now_ns + INSIST_MS_MAX * SIMULATE_MS;
    int64_t pause_ms = INSIST_PAUSE_MS_MIN;
    if (ask->ret_headers)
        *ask->ret_headers = NULL;
    for (;;) {
        int status = ask_from_outside(client, ask, body, ret);
        if (!insists || (status && status < 500) || simulate->now_ns >= until_ns)
            return status;
        free(ret->bytes);
        fh_client_sleep_ms(client, (int)simulate_between(simulate, 1, pause_ms));
        pause_ms = pause_ms * 2 < INSIST_PAUSE_MS_MAX ? pause_ms * 2 : INSIST_PAUSE_MS_MAX;
    }
}

static int ask_json(fh_client *client, const struct fh_ask *ask, bool insists, json_t **ret_answer)
{
    char *text = ask->body ? json_text(ask->body) : NULL;
    struct run_body answer;
    int status = run_client_ask(
        client, ask, insists, &(struct run_body){.bytes = text, .length = text ? strlen(text) : 0},
        &answer);
    if (ret_answer)
        *ret_answer = NULL;
    if (ret_answer && answer.length)
        json_parse(answer.bytes, answer.length, ret_answer, ERROR_UNHEEDED);
    free(answer.bytes);
    json_text_free(text);
    return status;
}

int fh_client_ask(fh_client *client, const struct fh_ask *ask, json_t **ret_answer)
{
    return ask_json(client, ask, false, ret_answer);
}

int fh_client_insist(fh_client *client, const struct fh_ask *ask, json_t **ret_answer)
{
    return ask_json(client, ask, true, ret_answer);
}

void *fh_client_state(fh_client *client)
{
    return client->run->state;
}

uint64_t fh_client_random(fh_client *client, uint64_t below)
{
    return simulate_below(client_simulate(client), below);
}

void fh_client_sleep_ms(fh_client *client, int ms)
{
    struct world *world = &client->run->outside->world;
    fiber_sleep_until(world, world_in_ms(world, ms));
}

void fh_client_count(fh_client *client, const char *what, int64_t more)
{
    struct run_result *result = client->run->result;
    for (int i = 0; i < RUN_COUNTS_MAX; i++) {
        if (result->counts[i].name[0] && strcmp(result->counts[i].name, what) != 0)
            continue;
        snprintf(result->counts[i].name, sizeof result->counts[i].name, "%s", what);
        result->counts[i].value += more;
        return;
    }
}

void fh_client_note(fh_client *client, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    simulate_say(client_simulate(client), client->run->outside, "%s", text);
}

int64_t fh_client_ms(fh_client *client)
{
    return client_simulate(client)->now_ns / SIMULATE_MS;
}

bool fh_client_expect(fh_client *client, bool holds, const char *format, ...)
{
    if (holds)
        return true;
    char text[RUN_FAILURE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    run_fail(client->run, "%s", text);
    return false;
}

/* ---- a look into a store ---- */

static json_t *outside_value(sqlite3_stmt *statement, int column)
{
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
        return json_integer(sqlite3_column_int64(statement, column));
    case SQLITE_FLOAT:
        return json_real(sqlite3_column_double(statement, column));
    case SQLITE_NULL:
        return json_null();
    default:
        return json_string((const char *)sqlite3_column_text(statement, column));
    }
}

static json_t *outside_row(sqlite3_stmt *statement)
{
    json_t *row = json_object();
    for (int i = 0; i < sqlite3_column_count(statement); i++)
        json_object_set_new(row, sqlite3_column_name(statement, i), outside_value(statement, i));
    return row;
}

static struct run_node *client_node(struct run *run, const char *name)
{
    for (int i = 0; i < run->node_count; i++) {
        if (strcmp(run->nodes[i].service->name, name) == 0)
            return &run->nodes[i];
    }
    return NULL;
}

static json_t *rows_on_server(fh_client *client, struct run_node *node, const char *sql)
{
    const char *why;
    json_t *rows = node->server->ops->rows(node->server, node->service->name, sql, &why);
    fh_client_expect(client, rows != NULL, "%s: %s: %s", node->service->name, sql, why);
    return rows ? rows : json_array();
}

json_t *fh_client_rows(fh_client *client, const char *service, const char *sql)
{
    struct run_node *node = client_node(client->run, service);
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    if (node && node->server)
        return rows_on_server(client, node, sql);
    json_t *rows = json_array();
    char path[80];
    if (!fh_client_expect(client, node != NULL, "there is no service %s", service))
        return rows;
    snprintf(path, sizeof path, "%s/store.db", node->folder);
    int result = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_PRIVATECACHE,
                                 simulate_disk_vfs(node->node->disk));
    if (result == SQLITE_OK) {
        sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        result = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    }
    while (result == SQLITE_OK && (result = sqlite3_step(statement)) == SQLITE_ROW) {
        json_array_append_new(rows, outside_row(statement));
        result = SQLITE_OK;
    }
    fh_client_expect(client, result == SQLITE_DONE, "%s: %s: %s", service, sql,
                     db ? sqlite3_errmsg(db) : "no memory");
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return rows;
}
