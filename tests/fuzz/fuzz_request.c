/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole requests to the shop: its services, unchanged, on the simulator's clock, disks and
 * network, on which nothing fails. An input is several requests, parted by lines of %%:
 *
 *     SERVICE METHOD TARGET
 *     Name: value
 *
 *     body
 *
 * They go to the services' exchange one after another, as the HTTP server would hand them over:
 * what it would have refused is no input. One without a Freehold-User comes from the user 1, who is
 * of the staff, too; "Freehold-User: -" is nobody's. So paths, queries, shapes, SQL, documents,
 * commands, undos, sagas, events, the feed and the operators' routes are reached, and problems.
 *
 * Each is answered once, with a status that is nobody's fault (500 would be ours), in JSON, a
 * problem from 400 on; and it ends no service. Afterwards the stores are emptied, so that what an
 * input breaks it breaks again when it is run alone.
 */

#define _GNU_SOURCE
#include <ctype.h>
#include <sodium.h>
#include <stdio.h>

#include "base/log.h"
#include "call/user.h"
#include "fuzz.h"
#include "http/virtual.h"

#include "shape/problem.h"
#include "simulate/run_parts.h"
#include "store/relational/sql.h"

#define SEED 1
#define REQUESTS_MAX 8
#define HEADERS_MAX 12
#define ANSWER_NS_MAX (120000 * SIMULATE_MS)
#define SETTLE_NS (300 * SIMULATE_MS)
#define SETTLES_MAX 100
#define STEPS_MAX ((uint64_t)1000000)

extern const fh_service *const __start_fh_services[];
extern const fh_service *const __stop_fh_services[];

static struct run shop;
static bool answered, changes, starts_sagas;
static char statement[USER_STATEMENT_SIZE];

/* ---- the shop ---- */

static void say_nothing(void *context, enum log_level level, const char *id, const char *text)
{
    (void)context;
    (void)level;
    (void)id;
    (void)text;
}

static void log_in(void)
{
    struct user_signer *signer;
    json_t *identity =
        json_pack("{s:s, s:s, s:[s], s:i}", "sub", "1", "via", "jwt", "roles", "staff", "iat", 1);
    FH_ASSERT(user_signer_new(RUN_SYSTEM, RUN_USER_KEY, &signer, ERROR_UNHEEDED) == FH_OK);
    FH_ASSERT(user_sign(signer, identity, statement, ERROR_UNHEEDED) == FH_OK);
    user_signer_free(signer);
    json_decref(identity);
}

static void start_shop(void)
{
    static struct run_system system;
    static struct run_result result;
    struct findings findings = {0};
    FH_ASSERT(sodium_init() >= 0);
    json_object_seed(SEED);
    log_redirect(say_nothing, NULL);
    system =
        (struct run_system){.file = system_file_read(SHOP_FILE, NULL, &findings),
                            .services = __start_fh_services,
                            .service_count = (size_t)(__stop_fh_services - __start_fh_services)};
    FH_ASSERT(system.file != NULL && findings.count == 0);
    log_in();
    shop.system = &system;
    shop.calm = true;
    shop.result = &result;
    simulate_init(&shop.simulate, SEED);
    sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, SEED, NULL);
    run_nodes_make(&shop);
    shop.outside = simulate_node_new(&shop.simulate, "client");
    simulate_node_begin(shop.outside);
    shop.clients[0].run = &shop;
    FH_ASSERT(simulate_run(&shop.simulate, run_nodes_ready, &shop, SIMULATE_NEVER, STEPS_MAX));
}

static struct run_node *node_named(const char *name)
{
    for (int i = 0; i < shop.node_count; i++) {
        if (strcmp(shop.nodes[i].service->name, name) == 0)
            return &shop.nodes[i];
    }
    return NULL;
}

/* ---- emptying the stores ---- */

static const struct {
    const char *service, *script;
} own_tables[] = {
    {"users", "DELETE FROM users; DELETE FROM sqlite_sequence;"},
    {"products", "DELETE FROM doc_products; DELETE FROM key_products;"},
    {"inventory", "DELETE FROM doc_stock; DELETE FROM key_stock;"},
    {"shipping", "DELETE FROM shipments; DELETE FROM sqlite_sequence;"},
    {"carts", "DELETE FROM kv_key; DELETE FROM kv_field; DELETE FROM kv_member; "
              "DELETE FROM kv_gone; DELETE FROM sqlite_sequence;"},
    {"payments", "DELETE FROM doc_payments; DELETE FROM key_payments;"},
    {"orders", "DELETE FROM order_items; DELETE FROM orders; DELETE FROM user_names;"
               "DELETE FROM product_names; DELETE FROM sqlite_sequence;"},
};
/* Of the outbox the last rows stay: its readers stand behind them. */
static const char common_tables[] =
    "DELETE FROM fh_command; DELETE FROM fh_caller; DELETE FROM fh_caller_newest;"
    "DELETE FROM fh_parked; DELETE FROM fh_parked_key; DELETE FROM fh_subscriber;"
    "DELETE FROM fh_saga_step; DELETE FROM fh_saga; DELETE FROM fh_last_of_key;"
    "DELETE FROM fh_outbox WHERE position < (SELECT position FROM fh_counter) - 20;";

struct emptying {
    struct store *store;
    const char *script;
    bool done;
};

static void empty_entry(void *argument)
{
    struct emptying *emptying = argument;
    const struct sql_ops *sql = emptying->store->engine->sql;
    struct store_work *work;
    struct fh_error error = {0};
    FH_ASSERT(store_begin(emptying->store, STORE_WRITE, &work, &error) == FH_OK);
    FH_ASSERT(sql->script(work, emptying->script, &error) == FH_OK);
    FH_ASSERT(sql->script(work, common_tables, &error) == FH_OK);
    FH_ASSERT(store_commit(work, &error) == FH_OK);
    emptying->done = true;
}

static bool is_true(void *argument)
{
    return *(bool *)argument;
}

static void empty_stores(void)
{
    for (size_t i = 0; i < sizeof own_tables / sizeof *own_tables; i++) {
        struct run_node *node = node_named(own_tables[i].service);
        struct emptying emptying = {.store = ((struct runtime *)node->life)->context.store,
                                    .script = own_tables[i].script};
        FH_ASSERT(fiber_start(node->node->world.fibers, empty_entry, &emptying));
        FH_ASSERT(simulate_run(&shop.simulate, is_true, &emptying.done, SIMULATE_NEVER, STEPS_MAX));
    }
}

static bool sagas_are_open(void)
{
    json_t *rows = fh_client_rows(&shop.clients[0], "orders",
                                  "SELECT count(*) AS n FROM fh_saga WHERE closed = 0");
    json_int_t count = json_integer_value(json_object_get(json_array_get(rows, 0), "n"));
    json_decref(rows);
    return count > 0;
}

/* What the requests began comes to its end, as far as it does soon. */
static void settle(void)
{
    int left = SETTLES_MAX;
    do
        simulate_run(&shop.simulate, NULL, NULL, shop.simulate.now_ns + SETTLE_NS, STEPS_MAX);
    while (starts_sagas && --left > 0 && sagas_are_open());
}

/* ---- answers ---- */

static bool is_json(const struct http_answer *answer)
{
    return !answer->content_type || strstr(answer->content_type, "json");
}

static void on_replied(void *context, const struct http_answer *answer)
{
    const struct http_virtual *request = context;
    FH_ASSERT(!answered);
    answered = true;
    FH_ASSERT(answer->status >= 200 && answer->status < 600 && answer->status != 500);
    for (size_t i = 0; i < answer->header_count; i++) {
        for (const char *at = answer->headers[i].value; *at; at++)
            FH_ASSERT((unsigned char)*at >= ' ' || *at == '\t');
    }
    if (answer->status >= 400)
        FH_ASSERT(answer->content_type && strcmp(answer->content_type, PROBLEM_CONTENT_TYPE) == 0);
    if (answer->body_length && is_json(answer)) {
        json_t *body = NULL;
        json_int_t status = 0;
        FH_ASSERT(json_parse(answer->body, answer->body_length, &body, ERROR_UNHEEDED) == FH_OK);
        FH_ASSERT(answer->status < 400 ||
                  (json_integer_at(body, "status", &status) && status == answer->status));
        json_decref(body);
    }
    if (strcmp(request->method, "GET") != 0)
        changes = true;
    starts_sagas |= answer->status == 202;
}

/* ---- requests ---- */

static bool is_token(const char *text)
{
    const char *at = text;
    while (isalnum((unsigned char)*at) || (*at && strchr("!#$%&'*+-.^_`|~", *at)))
        at++;
    return at != text && !*at;
}

static bool is_text(const char *text, char lowest)
{
    for (; *text; text++) {
        if ((unsigned char)*text < (unsigned char)lowest || *text == 0x7f)
            return false;
    }
    return true;
}

static const char *header_of(const struct http_virtual *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (strcasecmp(request->headers[i].name, name) == 0)
            return request->headers[i].value;
    }
    return NULL;
}

static void drop_header(struct http_virtual *request, struct http_header *headers, const char *name)
{
    size_t kept = 0;
    for (size_t i = 0; i < request->header_count; i++) {
        if (strcasecmp(headers[i].name, name) != 0)
            headers[kept++] = headers[i];
    }
    request->header_count = kept;
}

/* The lines up to an empty one. False: the HTTP server would have refused them. */
static bool take_headers(char **at, struct http_virtual *request, struct http_header *headers,
                         const struct run_node *node)
{
    for (char *line; (line = strsep(at, "\n")) && *line;) {
        char *value = strchr(line, ':');
        if (!value || request->header_count == HEADERS_MAX)
            return false;
        *value++ = '\0';
        value += strspn(value, " \t");
        if (!is_token(line) || !is_text(value, ' ') || header_of(request, line))
            return false;
        if (strcasecmp(line, "Freehold-To") == 0 && strcmp(value, "@") == 0)
            value = (char *)(uintptr_t)node->incarnation; /* which no input can know */
        headers[request->header_count++] = (struct http_header){line, value};
    }
    return true;
}

/* Sends one request of the text, which it takes apart, and waits for the answer. */
static void send_one(char *text)
{
    struct http_header headers[HEADERS_MAX + 2];
    const char *service = strsep(&text, " "), *method = strsep(&text, " ");
    const char *target = strsep(&text, "\n");
    struct http_virtual request = {.method = method,
                                   .target = target,
                                   .headers = headers,
                                   .received_ns = shop.simulate.now_ns,
                                   .replied = on_replied};
    struct run_node *node = node_named(service);
    if (!node || !method || !target || !is_token(method) || *target != '/' ||
        !is_text(target, '!') || !take_headers(&text, &request, headers, node))
        return;
    if (strncmp(target, "/_freehold/prove", 16) == 0)
        return; /* it opens real files, whatever they are called */
    request.body = text ? text : "";
    request.body_length = strlen(request.body);
    if (request.body_length && !header_of(&request, "Content-Type"))
        headers[request.header_count++] = (struct http_header){"Content-Type", "application/json"};
    const char *user = header_of(&request, USER_HEADER);
    if (!user)
        headers[request.header_count++] = (struct http_header){USER_HEADER, statement};
    else if (strcmp(user, "-") == 0)
        drop_header(&request, headers, USER_HEADER);
    request.context = &request;
    answered = false;
    http_virtual_send(&request, (struct http_handler){exchange_incoming, node->life});
    simulate_run(&shop.simulate, is_true, &answered, shop.simulate.now_ns + ANSWER_NS_MAX,
                 STEPS_MAX);
    FH_ASSERT(answered);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_start();
    if (!shop.simulate.now_ns)
        start_shop();
    changes = starts_sagas = false;
    int crashes = shop.result->crashes;
    char *text = fuzz_rest(&data, &size), *at = text;
    for (int i = 0; at && i < REQUESTS_MAX; i++) {
        char *next = strstr(at, "\n%%\n");
        if (next)
            *next = '\0';
        send_one(at);
        at = next ? next + 4 : NULL;
    }
    free(text);
    if (changes) {
        settle();
        empty_stores();
    }
    FH_ASSERT(shop.result->crashes == crashes && shop.result->failures == 0);
    return 0;
}
