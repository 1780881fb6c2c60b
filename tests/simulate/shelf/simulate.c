/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Derived stores on servers that are away, do half of a page or all of it without an answer, do it
 * later, forget everything, or are put back to what they had; of services whose processes die and
 * are paused, and are several, and while an operator has them made anew:
 *
 *     what is found    is of no more changes than were made, and of no fewer than were found before
 *                      the question, unless a server was put back
 *     at rest          it is what the rows say
 */

#include <freehold/simulate.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../../support/carried_server.h"
#include "carrier/driver.h"
#include "shelves.h"
#include "world/world.h"

#define ACTIONS 40
#define SETTLE_S 1500 /* of virtual time: until the links are walked again */

static const char *const shelves[] = {"shelf", "desk"};

/* ---- The servers ---- */

#define SERVERS 2

/* They outlive the simulated processes. */
static struct {
    char host[16];
    struct memory_server *server;
    int searches; /* under way */
} servers[SERVERS];
static bool calm;
static bool put_back; /* one was, and answers as it did then until that is noticed */
static enum { UNDECIDED, PUTS_BACK, PUTS_NOTHING_BACK } putting;

struct connection {
    struct carried_server base;
    struct world *world;
    struct memory_server *server;
    bool silent;
};

static bool happens(struct world *world, unsigned in_a_thousand)
{
    return !calm && world_random_below(world, 1000) < in_a_thousand;
}

static void takes_its_time(struct connection *connection)
{
    struct world *world = connection->world;
    int64_t most_us = happens(world, 20) ? 2000000 : 3000;
    int64_t us = (int64_t)world_random_below(world, (uint64_t)most_us);
    fiber_sleep_until(world, world_monotonic_ns(world) + us * 1000);
}

/* Before each request. */
static enum fh_code reach_server(struct connection *connection, bool changes,
                                 struct fh_error *error)
{
    struct memory_server *server = connection->server;
    struct world *world = connection->world;
    takes_its_time(connection);
    if (happens(world, 50))
        memory_deliver(server);
    if (happens(world, 3))
        memory_empty(server);
    if (happens(world, 30))
        memory_back_up(server);
    if (!putting)
        putting = world_random_below(world, 2) ? PUTS_BACK : PUTS_NOTHING_BACK;
    if (putting == PUTS_BACK && happens(world, 20)) {
        memory_restore(server);
        put_back = true;
    }
    if (connection->silent || happens(world, 30))
        return error_set(error, FH_UNAVAILABLE, "It is away.");
    server->fault = !changes             ? MEMORY_WELL
                    : happens(world, 20) ? MEMORY_BEGINNING
                    : happens(world, 30) ? MEMORY_UNANSWERED
                    : happens(world, 20) ? MEMORY_LATER
                                         : MEMORY_WELL;
    return FH_OK;
}

#define REACHES(changes)                                                                           \
    struct connection *connection = (struct connection *)base;                                     \
    if (reach_server(connection, changes, error) != FH_OK)                                         \
        return error->code;                                                                        \
    base = &connection->server->base

static enum fh_code simulated_make(struct carried_server *base, const struct fh_derived *declared,
                                   const struct carried_name *name, struct fh_error *error)
{
    REACHES(true);
    return memory_make(base, declared, name, error);
}

static enum fh_code simulated_send(struct carried_server *base, const struct fh_derived *declared,
                                   const struct carried_name *name, struct carried_page *page,
                                   struct fh_error *error)
{
    REACHES(true);
    enum fh_code code = memory_send(base, declared, name, page, error);
    takes_its_time(connection);
    return code;
}

static enum fh_code simulated_links(struct carried_server *base, const struct fh_derived *declared,
                                    const struct carried_name *name,
                                    const struct carried_link *after, int limit,
                                    void (*visit)(void *context, const struct carried_link *link),
                                    void *context, int *ret_count, struct fh_error *error)
{
    REACHES(false);
    return memory_links(base, declared, name, after, limit, visit, context, ret_count, error);
}

static enum fh_code
simulated_generations(struct carried_server *base, const struct fh_derived *declared,
                      void (*visit)(void *context, const struct carried_name *name), void *context,
                      struct fh_error *error)
{
    REACHES(false);
    return memory_generations(base, declared, visit, context, error);
}

static enum fh_code simulated_drop(struct carried_server *base, const struct fh_derived *declared,
                                   const struct carried_name *name, struct fh_error *error)
{
    REACHES(true);
    return memory_drop(base, declared, name, error);
}

static enum fh_code simulated_search(struct carried_server *base, const struct fh_derived *declared,
                                     const struct carried_name *name,
                                     const struct fh_search *search, int64_t deadline_ns,
                                     json_t **ret, struct fh_error *error)
{
    REACHES(false);
    enum fh_code code = memory_search(base, declared, name, search, deadline_ns, ret, error);
    takes_its_time(connection);
    return code;
}

static const struct carried_server_ops simulated_ops = {.name = "memory",
                                                        .models = 1u << FH_SEARCH,
                                                        .make = simulated_make,
                                                        .send = simulated_send,
                                                        .links = simulated_links,
                                                        .generations = simulated_generations,
                                                        .drop = simulated_drop,
                                                        .search = simulated_search};

static enum fh_code check_options(const json_t *options, struct fh_error *error)
{
    (void)options;
    (void)error;
    return FH_OK;
}

static enum fh_code connect_to(struct world *world, const json_t *options, const char *owner,
                               struct carried_server **ret, struct fh_error *error)
{
    const char *host = json_string_value(json_object_get(options, "host"));
    struct connection *connection = calloc(1, sizeof *connection);
    int at = 0;
    (void)owner;
    (void)error;
    FH_ASSERT(connection && host);
    while (servers[at].server && strcmp(servers[at].host, host) != 0)
        FH_ASSERT(++at < SERVERS);
    if (!servers[at].server) {
        snprintf(servers[at].host, sizeof servers[at].host, "%s", host);
        servers[at].server = memory_server_new();
    }
    *connection = (struct connection){{&simulated_ops}, world, servers[at].server, false};
    *ret = &connection->base;
    return FH_OK;
}

static void silence_connection(struct carried_server *base)
{
    ((struct connection *)base)->silent = true;
}

static void close_connection(struct carried_server *base)
{
    free(base);
}

static const struct carried_driver simulated_driver = {.name = "memory",
                                                       .title = "A server in memory",
                                                       .models = 1u << FH_SEARCH,
                                                       .check = check_options,
                                                       .open = connect_to,
                                                       .silence = silence_connection,
                                                       .close = close_connection};

__attribute__((constructor)) static void register_simulated(void)
{
    carried_driver_register(&simulated_driver);
}

/* ---- What clients know ---- */

struct shelf_state {
    int sent[BOOKS];    /* changes */
    int seen[BOOKS][2]; /* of it, and of the one before it, that were found */
};

struct state {
    struct shelf_state shelves[2];
};

static void change(fh_client *client, int which, const char *key)
{
    struct state *state = fh_client_state(client);
    struct shelf_state *shelf = &state->shelves[which];
    bool sought = fh_client_random(client, 2) > 0; /* by all at a time */
    int book = (int)fh_client_random(client, sought ? 2 : BOOKS);
    char id[4];
    snprintf(id, sizeof id, "k%d", book);
    json_t *body = json_pack("{s:s}", "id", id), *answer;
    struct fh_ask ask = {shelves[which], "POST", "/books", body, key};
    shelf->sent[book]++;
    int status = fh_client_insist(client, &ask, &answer);
    json_int_t n = json_integer_value(json_object_get(answer, "n"));
    fh_client_expect(client, status == 201 && n > 0 && n <= shelf->sent[book],
                     "a change of %s was answered %d, as number %" JSON_INTEGER_FORMAT, id, status,
                     n);
    fh_client_count(client, "changes", 1);
    json_decref(answer);
    json_decref(body);
}

static void derive_once_more(fh_client *client, int which, const char *key)
{
    char id[4];
    snprintf(id, sizeof id, "k%d", (int)fh_client_random(client, 3));
    json_t *body = json_pack("{s:s}", "id", id), *answer;
    struct fh_ask ask = {shelves[which], "POST", "/books/again", body, key};
    int status = fh_client_insist(client, &ask, &answer);
    fh_client_expect(client, status == 204, "deriving %s again was answered %d", id, status);
    json_decref(answer);
    json_decref(body);
}

/* "k1=3.2 k2=1.0 " */
static void check_found(fh_client *client, int which, const char *found,
                        const struct shelf_state *before)
{
    struct state *state = fh_client_state(client);
    struct shelf_state *now = &state->shelves[which];
    int book, n, m, read = 0;
    for (const char *at = found; sscanf(at, "k%d=%d.%d %n", &book, &n, &m, &read) == 3;
         at += read) {
        int former = (book + BOOKS - 1) % BOOKS;
        fh_client_expect(
            client,
            n <= now->sent[book] && m <= now->sent[former] &&
                (put_back || (n >= before->seen[book][0] && m >= before->seen[book][1])),
            "%s found k%d with %d.%d changes, where %d.%d were made and %d.%d found",
            shelves[which], book, n, m, now->sent[book], now->sent[former], before->seen[book][0],
            before->seen[book][1]);
        if (n > now->seen[book][0])
            now->seen[book][0] = n;
        if (m > now->seen[book][1])
            now->seen[book][1] = m;
        fh_client_count(client, "found", 1);
    }
}

static int find(fh_client *client, int which, char *ret, size_t size)
{
    const struct state *state = fh_client_state(client);
    const struct shelf_state before = state->shelves[which];
    json_t *answer;
    struct fh_ask ask = {shelves[which], "GET", "/books", .timeout_ms = 8000};
    int status = fh_client_ask(client, &ask, &answer);
    const char *found = json_string_value(json_object_get(answer, "found"));
    fh_client_expect(client,
                     status == 0 || (status == 200 && found) || status == 503 || status == 504,
                     "%s was answered %d", shelves[which], status);
    if (status == 200 && found) {
        check_found(client, which, found, &before);
        snprintf(ret, size, "%s", found);
    }
    json_decref(answer);
    return status;
}

/* Has one made anew, whatever it holds. */
static void operate(fh_client *client)
{
    for (int i = 0; i < ACTIONS; i++) {
        json_t *body = json_pack("{s:s}", "name", "books");
        struct fh_ask ask = {shelves[fh_client_random(client, 2)],
                             "POST",
                             "/_freehold/derived/anew",
                             body,
                             .as_operator = true,
                             .timeout_ms = 8000};
        int status = fh_client_ask(client, &ask, NULL);
        fh_client_expect(client, status == 0 || status == 200 || status == 409 || status == 503,
                         "making it anew was answered %d", status);
        fh_client_count(client, "made anew", status == 200);
        fh_client_sleep_ms(client, (int)fh_client_random(client, 300));
        json_decref(body);
    }
}

static void client(fh_client *client, int number)
{
    char key[32], found[512];
    if (number == 0 && fh_client_random(client, 2) == 0) {
        operate(client);
        return;
    }
    for (int i = 0; i < ACTIONS; i++) {
        bool hurries = i > ACTIONS / 2; /* so that many are at it at a time */
        int which = (int)fh_client_random(client, 2);
        snprintf(key, sizeof key, "c%d-%d", number, i);
        int what = (int)fh_client_random(client, 4);
        if (what == 0)
            derive_once_more(client, which, key);
        else if (what < 3)
            change(client, which, key);
        else
            find(client, which, found, sizeof found);
        fh_client_sleep_ms(client, (int)fh_client_random(client, hurries ? 8 : 400));
    }
}

/* ---- At rest ---- */

static void rows_say(fh_client *client, int which, char *ret, size_t size)
{
    int changes[BOOKS] = {0};
    size_t i, length = 0;
    json_t *rows = fh_client_rows(client, shelves[which], shelf_queries[which]), *row;
    json_array_foreach (rows, i, row)
        changes[json_string_value(json_object_get(row, "id"))[1] - '0'] =
            (int)json_integer_value(json_object_get(row, "n"));
    json_decref(rows);
    ret[0] = '\0';
    for (int book = 0; book < BOOKS; book++) {
        if (changes[book] % GONE_AT)
            length += (size_t)snprintf(ret + length, size - length, "k%d=%d.%d ", book,
                                       changes[book], changes[(book + BOOKS - 1) % BOOKS]);
    }
}

static void check(fh_client *client)
{
    calm = true;
    for (int which = 0; which < 2; which++) {
        char expected[512], found[512] = "nothing";
        rows_say(client, which, expected, sizeof expected);
        for (int i = 0; i < SETTLE_S && strcmp(found, expected) != 0; i++) {
            if (find(client, which, found, sizeof found) != 200)
                snprintf(found, sizeof found, "nothing");
            if (strcmp(found, expected) != 0)
                fh_client_sleep_ms(client, 1000);
        }
        fh_client_expect(client, strcmp(found, expected) == 0, "%s finds %s, and has %s",
                         shelves[which], found, expected);
    }
}

FH_SIMULATION(shelves, .state_size = sizeof(struct state), .clients = 5, .client = client,
              .check = check, .servers = true, .trims = true);
