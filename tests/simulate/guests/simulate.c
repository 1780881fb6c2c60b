/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks, while everything fails: several users choose the same keys, and each has to get an
 * answer of their own; what a saga does late, after its service has died and started again, is done
 * for the user who began it; nobody sees another's stay, sets a price without the right to, or gets
 * anything by a statement that the gateway has not signed.
 */

#include <freehold/simulate.h>
#include <string.h>

#define CLIENTS 6
#define ACTIONS_MAX 10
#define KEYS 6 /* the same ones for all */
#define STAYS_MAX (CLIENTS * ACTIONS_MAX)

static const char *const users[] = {"ada", "grace", "joan"};
#define USERS (sizeof users / sizeof users[0])

struct state {
    json_int_t stay[USERS][KEYS]; /* as it was answered; 0: not yet */
    int prices, usual; /* that were acknowledged, and those of them for which none was named */
};

static json_int_t integer_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static void prepare(fh_client *client)
{
    (void)client;
}

/* The same key of the same user gives the same stay, and of another user another. */
static void stay(fh_client *client, size_t user)
{
    struct state *state = fh_client_state(client);
    int number = (int)fh_client_random(client, KEYS);
    char key[16];
    json_t *answer;
    snprintf(key, sizeof key, "k%d", number);
    struct fh_ask ask = {"desk", "POST", "/stays", NULL, key, .user = users[user]};
    int status = fh_client_insist(client, &ask, &answer);
    json_int_t id = integer_of(answer, "id"), *known = &state->stay[user][number];
    fh_client_expect(client, status == 202, "a stay was answered %d", status);
    fh_client_expect(client, strcmp(text_of(answer, "guest"), users[user]) == 0,
                     "%s was answered the stay of %s", users[user], text_of(answer, "guest"));
    fh_client_expect(client, !*known || *known == id,
                     "one key of %s gave two stays, %" JSON_INTEGER_FORMAT
                     " and %" JSON_INTEGER_FORMAT,
                     users[user], *known, id);
    *known = id;
    fh_client_count(client, "stays", 1);
    json_decref(answer);
}

static void look(fh_client *client, size_t user, size_t owner)
{
    const struct state *state = fh_client_state(client);
    json_int_t id = state->stay[owner][fh_client_random(client, KEYS)];
    char path[40];
    if (!id)
        return;
    snprintf(path, sizeof path, "/stays/%" JSON_INTEGER_FORMAT, id);
    struct fh_ask ask = {"desk", "GET", path, .user = users[user]};
    int status = fh_client_insist(client, &ask, NULL);
    fh_client_expect(client, status == (user == owner ? 200 : 404),
                     "%s asked for a stay of %s and was answered %d", users[user], users[owner],
                     status);
}

/* With a role and a scope, with one of them, or neither; and with an amount or the usual one. */
static void set_price(fh_client *client, size_t user, const char *key)
{
    static const char *const grants[] = {FH_ROLE("staff") FH_SCOPE("prices:write"),
                                         FH_ROLE("staff"), FH_SCOPE("prices:write"), NULL};
    struct state *state = fh_client_state(client);
    uint64_t drawn = fh_client_random(client, 4);
    bool usual = fh_client_random(client, 2) == 0;
    json_t *body = usual ? json_object() : json_pack("{s:f}", "amount", 0.1 + 0.2);
    struct fh_ask ask = {
        "desk", "POST", "/prices", body, key, .user = users[user], .grants = grants[drawn]};
    int status = fh_client_insist(client, &ask, NULL);
    json_decref(body);
    fh_client_expect(client, status == (drawn == 0 ? 204 : 403), "a price was answered %d", status);
    state->prices += status == 204;
    state->usual += status == 204 && usual;
}

static void ask_without_right(fh_client *client)
{
    /* {"sub":"ada","via":"key","iat":1700000000}, and a signature that nobody made. */
    static const char forged[] =
        "1.eyJzdWIiOiJhZGEiLCJ2aWEiOiJrZXkiLCJpYXQiOjE3MDAwMDAwMDB9."
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    bool forges = fh_client_random(client, 2) == 0;
    struct fh_ask ask = {"desk", "POST", "/stays", .statement = forges ? forged : NULL};
    int status = fh_client_insist(client, &ask, NULL);
    fh_client_expect(client, status == 401, "%s was answered %d",
                     forges ? "a forged statement" : "nobody", status);
}

static void client(fh_client *client, int number)
{
    char key[32];
    int actions = 4 + (int)fh_client_random(client, ACTIONS_MAX - 4 + 1);
    for (int i = 0; i < actions; i++) {
        uint64_t drawn = fh_client_random(client, 12);
        size_t user = (size_t)fh_client_random(client, USERS);
        snprintf(key, sizeof key, "c%d-%d", number, i);
        if (drawn < 6)
            stay(client, user);
        else if (drawn < 8)
            look(client, user, (size_t)fh_client_random(client, USERS));
        else if (drawn < 10)
            set_price(client, user, key);
        else
            ask_without_right(client);
        if (fh_client_random(client, 3) == 0)
            fh_client_sleep_ms(client, (int)fh_client_random(client, 200));
    }
}

/* Rows of `sql` have a stay and for whom something was done, which must be its guest. */
static void check_whose(fh_client *client, const json_t *stays, const char *service,
                        const char *sql)
{
    json_t *rows = fh_client_rows(client, service, sql), *row, *whose;
    size_t i, j;
    fh_client_expect(client, json_array_size(rows) == json_array_size(stays),
                     "%zu rows for %zu stays: %s", json_array_size(rows), json_array_size(stays),
                     sql);
    json_array_foreach (rows, i, row) {
        json_array_foreach (stays, j, whose) {
            if (integer_of(whose, "id") == integer_of(row, "id"))
                fh_client_expect(
                    client, strcmp(text_of(whose, "guest"), text_of(row, "whose")) == 0,
                    "%s had it for %s: %s", text_of(whose, "guest"), text_of(row, "whose"), sql);
        }
    }
    json_decref(rows);
}

static void check(fh_client *client)
{
    const struct state *state = fh_client_state(client);
    size_t acknowledged = 0;
    json_t *stays = fh_client_rows(client, "desk", "SELECT id, guest FROM stay");
    for (size_t i = 0; i < USERS; i++) {
        for (int key = 0; key < KEYS; key++)
            acknowledged += state->stay[i][key] != 0;
    }
    fh_client_expect(client, json_array_size(stays) == acknowledged,
                     "%zu stays were acknowledged, and %zu are there", acknowledged,
                     json_array_size(stays));
    check_whose(client, stays, "desk", "SELECT id, ended_for AS whose FROM stay");
    check_whose(client, stays, "rooms", "SELECT stay AS id, guest AS whose FROM booking");
    check_whose(client, stays, "rooms", "SELECT stay AS id, actor AS whose FROM heard");
    json_t *undone = fh_client_rows(client, "rooms",
                                    "SELECT stay FROM booking WHERE (stay % 3 = 0) <> (undone_for"
                                    " IS NOT NULL) OR undone_for <> guest");
    fh_client_expect(client, json_array_size(undone) == 0, "%zu undos were for another",
                     json_array_size(undone));
    json_decref(undone);
    json_t *prices = fh_client_rows(client, "desk", "SELECT id FROM price");
    fh_client_expect(client, json_array_size(prices) == (size_t)state->prices,
                     "%d prices were acknowledged, and %zu are there", state->prices,
                     json_array_size(prices));
    json_decref(prices);
    prices = fh_client_rows(client, "desk", "SELECT id FROM price WHERE amount = 19.99");
    fh_client_expect(client, json_array_size(prices) == (size_t)state->usual,
                     "%d prices were to be the usual one, and %zu are", state->usual,
                     json_array_size(prices));
    json_decref(prices);
    prices = fh_client_rows(client, "desk",
                            "SELECT id FROM price WHERE amount NOT IN (19.99, 0.1 + 0.2)");
    fh_client_expect(client, json_array_size(prices) == 0, "%zu prices are others than were sent",
                     json_array_size(prices));
    json_decref(prices);
    json_decref(stays);
}

FH_SIMULATION(guests, .state_size = sizeof(struct state), .clients = CLIENTS, .prepare = prepare,
              .client = client, .check = check);
