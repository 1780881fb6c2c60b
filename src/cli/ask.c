/* SPDX-License-Identifier: Apache-2.0 */
/* Sends requests from the command to services, on a loop of its own. Whatever may change something
 * is in the audit log before it is sent. */

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/json.h"
#include "call/sign.h"
#include "cli/audit.h"
#include "cli/cli.h"
#include "http/client.h"
#include "system/audit/audit.h"
#include "system/provision/keys.h"
#include "system/provision/links.h"
#include "world/real.h"

#define ASK_TRIES 3

struct asking {
    struct world_request request;
    struct cli_ask *ask;
    size_t client; /* which one sends it */
};

/* A client knows one address of a service. So there are as many as a service has addresses. */
struct ask_client {
    struct http_client *client; /* NULL: it is not needed */
    struct signing *signing;
};

/* The next page of a list, as routes with .page name it: `</api/notes?cursor=...>; rel="next"`. It
 * is to be typed in again, so what a shell or a terminal would make something of is none. */
static char *next_page(const struct world_request *request)
{
    static const char end[] = ">; rel=\"next\"";
    const char *link = world_answer_header(request, "link");
    if (!link || strncmp(link, "</", 2) != 0)
        return NULL;
    size_t length = strcspn(link + 1, "<>'\"\\ ");
    if (strcmp(link + 1 + length, end) != 0)
        return NULL;
    for (size_t i = 1; i <= length; i++) {
        if (link[i] <= ' ' || link[i] >= 0x7f)
            return NULL;
    }
    char *next = strndup(link + 1, length);
    FH_ASSERT(next != NULL);
    return next;
}

static void command_answered(struct world_request *request)
{
    struct asking *asking = request->owner;
    struct cli_ask *ask = asking->ask;
    ask->status = request->status;
    if (request->status)
        ask->answer = strndup(request->answer ? request->answer : "", request->answer_length);
    else
        ask->answer = strdup(request->failure ? request->failure : "no answer");
    FH_ASSERT(ask->answer != NULL);
    if (ask->wants_next && request->status)
        ask->next = next_page(request);
}

static void send_ask(struct http_client *client, struct asking *asking, int64_t deadline_ns)
{
    struct cli_ask *ask = asking->ask;
    asking->request = (struct world_request){.service = ask->service,
                                             .method = ask->method,
                                             .path = ask->path,
                                             .body = ask->body,
                                             .body_length = ask->body ? strlen(ask->body) : 0,
                                             .deadline_ns = deadline_ns,
                                             .done = command_answered,
                                             .owner = asking};
    for (int i = 0; i < CLI_HEADERS_MAX && ask->headers[i][0]; i++)
        asking->request.headers[i] = (struct world_header){ask->headers[i][0], ask->headers[i][1]};
    http_client_set_address(client, ask->service, ask->address);
    http_client_send(client, &asking->request);
}

/* Each request has its own deadline; this timer only keeps the loop running until the first is
 * sent. */
static void keep_asks_turning(struct world_timer *timer)
{
    (void)timer;
}

static bool all_answered(const struct cli_ask *asks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!asks[i].answer)
            return false;
    }
    return true;
}

/* Those to other addresses of the same service have others. */
static size_t client_of(const struct cli_ask *asks, const struct asking *asking, size_t i)
{
    size_t next = 0;
    for (size_t j = 0; j < i; j++) {
        if (strcmp(asks[j].service, asks[i].service) != 0)
            continue;
        if (strcmp(asks[j].address, asks[i].address) == 0)
            return asking[j].client;
        if (asking[j].client >= next)
            next = asking[j].client + 1;
    }
    return next;
}

/* Whoever can read the keys in the state folder is the operator. */
static struct signing *sign_as_operator(const struct state *state, struct http_client *client,
                                        struct world *world)
{
    struct fh_error error;
    struct signing *signing = NULL;
    json_t *keys;
    enum fh_code code = keys_read(state, &keys, &error);
    if (code == FH_OK)
        code = sign_requests(client, world, KEYS_OPERATOR, json_object_get(keys, KEYS_OPERATOR),
                             &signing, &error);
    if (code != FH_OK)
        cli_fail(CLI_FAILED, "no operator's keys, so services will refuse: %s", error.message);
    json_decref(keys);
    return signing;
}

/* The operator's certificate, where links use TLS. */
static struct http_tls operator_links(const struct state *state)
{
    struct fh_error error;
    struct http_tls tls;
    json_t *places = links_of_operator(state);
    if (http_tls_read(places, &tls, &error) != FH_OK)
        cli_fail(CLI_FAILED, "no operator's certificate, so services will refuse: %s",
                 error.message);
    json_decref(places);
    return tls;
}

/* Keys are replaced while the system runs: those that were read before are refused then, and
 * nothing was done. */
static bool ask_is_refused(const struct cli_ask *ask)
{
    return ask->status == 401;
}

/* All that are under way at once, and what they are sent with. */
struct ask_round {
    const struct state *state;
    struct cli_ask *asks;
    size_t count;
    int timeout_ms;
    uv_loop_t loop;
    struct world *world;
    struct http_tls tls;
    struct ask_client *clients; /* as many as asks, of which the first are used */
};

static void open_client(struct ask_round *round, struct ask_client *ret)
{
    struct fh_error error;
    FH_ASSERT(http_client_new(&round->loop, round->world, &ret->client, &error) == FH_OK);
    http_client_use_tls(ret->client, &round->tls);
    ret->signing = sign_as_operator(round->state, ret->client, round->world);
}

/* All at once: one that is silent holds up none of the others. */
static void send_asks(struct ask_round *round)
{
    struct asking *asking = calloc(round->count + 1, sizeof *asking);
    FH_ASSERT(asking != NULL);
    for (size_t i = 0; i < round->count; i++) {
        asking[i].client = client_of(round->asks, asking, i);
        asking[i].ask = &round->asks[i];
        struct ask_client *one = &round->clients[asking[i].client];
        if (round->asks[i].answer)
            continue;
        if (!one->client)
            open_client(round, one);
        send_ask(one->client, &asking[i], world_in_ms(round->world, round->timeout_ms));
    }
    struct world_timer turning = {.fire = keep_asks_turning};
    world_timer_start(round->world, &turning, world_in_ms(round->world, round->timeout_ms));
    while (!all_answered(round->asks, round->count))
        uv_run(&round->loop, UV_RUN_ONCE);
    world_timer_stop(round->world, &turning);
    free(asking);
}

static void ask_with_keys(const struct state *state, struct cli_ask *asks, size_t count,
                          int timeout_ms)
{
    struct fh_error error;
    struct ask_round round = {
        .state = state, .asks = asks, .count = count, .timeout_ms = timeout_ms};
    round.clients = calloc(count + 1, sizeof *round.clients);
    FH_ASSERT(round.clients != NULL && uv_loop_init(&round.loop) == 0);
    round.world = world_real_new(&round.loop, &error);
    FH_ASSERT(round.world != NULL);
    round.tls = operator_links(state);
    send_asks(&round);
    for (size_t i = 0; i < count; i++) {
        http_client_free(round.clients[i].client);
        sign_free(round.clients[i].signing);
    }
    http_tls_release(&round.tls);
    world_real_free(round.world);
    uv_run(&round.loop, UV_RUN_DEFAULT);
    FH_ASSERT(uv_loop_close(&round.loop) == 0);
    free(round.clients);
}

static int64_t number_of_keys(const struct state *state)
{
    json_t *all;
    if (keys_read_all(state, &all, ERROR_UNHEEDED) != FH_OK)
        return 0;
    int64_t number = keys_number(all);
    json_decref(all);
    return number;
}

static void ask_all(const struct state *state, struct cli_ask *asks, size_t count, int timeout_ms)
{
    bool again = true;
    for (int tries = 0; tries < ASK_TRIES && again; tries++) {
        int64_t before = number_of_keys(state);
        ask_with_keys(state, asks, count, timeout_ms);
        again = false;
        bool changed = number_of_keys(state) != before;
        for (size_t i = 0; i < count && changed && tries + 1 < ASK_TRIES; i++) {
            if (!ask_is_refused(&asks[i]))
                continue;
            free(asks[i].answer);
            free(asks[i].next);
            asks[i].answer = asks[i].next = NULL;
            again = true;
        }
    }
}

/* ---- The audit log ---- */

/* What only reads, though it is a POST: `check --live` has services try what they can open. */
#define PROVE_PATH "/_freehold/prove"

static bool is_changing_ask(const struct cli_ask *ask)
{
    return strcmp(ask->method, "GET") != 0 && strcmp(ask->method, "HEAD") != 0 &&
           strcmp(ask->path, PROVE_PATH) != 0;
}

/* "saga/retry" of "/_freehold/saga/retry?..."; else it is a route of the service's own, with what
 * the operator sends there, which is not recorded. */
static json_t *ask_arguments(const struct cli_ask *ask, char *what, size_t size)
{
    static const char own[] = "/_freehold/";
    json_t *body = NULL;
    bool is_own = strncmp(ask->path, own, strlen(own)) == 0;
    size_t length = strcspn(ask->path, "?");
    if (is_own && ask->body)
        json_parse(ask->body, strlen(ask->body), &body, ERROR_UNHEEDED);
    if (!json_is_object(body)) {
        json_decref(body);
        body = json_object();
    }
    if (is_own)
        snprintf(what, size, "%.*s", (int)(length - strlen(own)), ask->path + strlen(own));
    else
        snprintf(what, size, "call");
    for (char *slash = what; is_own && (slash = strchr(slash, '/'));)
        *slash = ' ';
    if (!is_own) {
        json_object_set_new(body, "method", json_string(ask->method));
        json_object_set_new(body, "path", json_stringn(ask->path, length));
    }
    return body;
}

static bool begin_asks(const struct state *state, const struct cli_ask *asks, size_t count,
                       struct cli_act *acts)
{
    char what[AUDIT_WHAT_LENGTH_MAX];
    for (size_t i = 0; i < count; i++) {
        if (!is_changing_ask(&asks[i]))
            continue;
        json_t *with = ask_arguments(&asks[i], what, sizeof what);
        if (cli_audit_begin(&acts[i], state, what, asks[i].service, with) != CLI_DONE)
            return false;
    }
    return true;
}

static void end_ask(const struct cli_ask *ask, struct cli_act *act)
{
    char why[128];
    bool done = ask->status >= 200 && ask->status < 300;
    if (ask->status)
        snprintf(why, sizeof why, "status %d", ask->status);
    else
        snprintf(why, sizeof why, "%s", ask->answer);
    cli_audit_end(act, done ? CLI_DONE : CLI_FAILED, why);
}

void cli_ask_all(const struct state *state, struct cli_ask *asks, size_t count, int timeout_ms)
{
    struct cli_act *acts = calloc(count ? count : 1, sizeof *acts);
    FH_ASSERT(acts != NULL);
    if (begin_asks(state, asks, count, acts)) {
        ask_all(state, asks, count, timeout_ms);
    } else {
        for (size_t i = 0; i < count; i++)
            FH_ASSERT((asks[i].answer = strdup("nothing was asked")) != NULL);
    }
    for (size_t i = 0; i < count; i++)
        end_ask(&asks[i], &acts[i]);
    free(acts);
}
