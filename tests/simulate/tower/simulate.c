/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the shop can't show: undoing in the wrong order (blocks fall), an event applied twice
 * (counts, where the shop only overwrites names), a refused handler's changes that stay, and a
 * group whose transaction one member has rolled back.
 */

#include <freehold/simulate.h>
#include <string.h>

#define CLIENTS 8
#define ACTIONS_MAX 14
#define NAMES 12
#define ROOMS 20

struct state {
    int builds, rooms;
    bool named[NAMES];
};

static json_int_t integer_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static void prepare(fh_client *client)
{
    (void)client;
}

static void build(fh_client *client, const char *key)
{
    struct state *state = fh_client_state(client);
    struct fh_ask ask = {"builder", "POST", "/builds", NULL, key};
    int status = fh_client_insist(client, &ask, NULL);
    fh_client_expect(client, status == 202, "a build was answered %d", status);
    state->builds++;
    fh_client_count(client, "builds", 1);
}

static void take_room(fh_client *client, const char *key)
{
    struct state *state = fh_client_state(client);
    struct fh_ask ask = {"tower", "POST", "/rooms", NULL, key};
    int status = fh_client_insist(client, &ask, NULL);
    fh_client_expect(client, status == 200 || (status == 409 && state->rooms <= ROOMS),
                     "a room was answered %d", status);
    state->rooms += status == 200;
}

static void take_name(fh_client *client, const char *key)
{
    struct state *state = fh_client_state(client);
    int number = (int)fh_client_random(client, NAMES);
    char name[8];
    snprintf(name, sizeof name, "n%d", number);
    json_t *body = json_pack("{s:s}", "name", name);
    struct fh_ask ask = {"tower", "POST", "/names", body, key};
    int status = fh_client_insist(client, &ask, NULL);
    fh_client_expect(client, status == 409 || (status == 201 && !state->named[number]),
                     "name %s was answered %d", name, status);
    state->named[number] |= status == 201;
    json_decref(body);
}

static void client(fh_client *client, int number)
{
    char key[32];
    int actions = 4 + (int)fh_client_random(client, ACTIONS_MAX - 4 + 1);
    for (int i = 0; i < actions; i++) {
        uint64_t drawn = fh_client_random(client, 10);
        snprintf(key, sizeof key, "c%d-%d", number, i);
        if (drawn < 5)
            build(client, key);
        else if (drawn < 8)
            take_name(client, key);
        else
            take_room(client, key);
        if (fh_client_random(client, 3) == 0)
            fh_client_sleep_ms(client, (int)fh_client_random(client, 200));
    }
}

/* The first row's `n`. */
static json_int_t count(fh_client *client, const char *service, const char *sql)
{
    json_t *rows = fh_client_rows(client, service, sql);
    json_int_t n = integer_of(json_array_get(rows, 0), "n");
    json_decref(rows);
    return n;
}

static void check_builds(fh_client *client)
{
    const struct state *state = fh_client_state(client);
    json_t *builds = fh_client_rows(client, "builder", "SELECT id, status FROM build"), *row;
    size_t i;
    fh_client_expect(client, json_array_size(builds) == (size_t)state->builds,
                     "%d builds were acknowledged, and %zu are there", state->builds,
                     json_array_size(builds));
    json_array_foreach (builds, i, row) {
        char sql[128];
        json_int_t id = integer_of(row, "id");
        const char *status = json_string_value(json_object_get(row, "status"));
        json_int_t wanted = strcmp(status, "BUILT") == 0 ? 3 : 0;
        snprintf(sql, sizeof sql,
                 "SELECT count(*) AS n FROM block WHERE build = %" JSON_INTEGER_FORMAT, id);
        json_int_t blocks = count(client, "tower", sql);
        snprintf(sql, sizeof sql,
                 "SELECT blocks AS n FROM heard WHERE build = %" JSON_INTEGER_FORMAT, id);
        json_int_t heard = count(client, "builder", sql);
        fh_client_expect(client, strcmp(status, "OPEN") != 0 && blocks == wanted && heard == wanted,
                         "build %" JSON_INTEGER_FORMAT " is %s, of %" JSON_INTEGER_FORMAT
                         " blocks, and %" JSON_INTEGER_FORMAT " were heard",
                         id, status, blocks, heard);
    }
    json_decref(builds);
}

static void check(fh_client *client)
{
    const struct state *state = fh_client_state(client);
    check_builds(client);
    json_int_t falls = count(client, "tower", "SELECT count(*) AS n FROM fall");
    fh_client_expect(client, falls == 0, "%" JSON_INTEGER_FORMAT " blocks fell", falls);
    json_int_t published = count(client, "tower", "SELECT count(*) AS n FROM fh_outbox");
    json_int_t heard = count(client, "builder", "SELECT sum(events) AS n FROM heard");
    fh_client_expect(client, published == heard,
                     "%" JSON_INTEGER_FORMAT " events were published, %" JSON_INTEGER_FORMAT
                     " applied",
                     published, heard);
    json_int_t rooms = count(client, "tower", "SELECT taken AS n FROM room");
    fh_client_expect(client, rooms == state->rooms,
                     "%d rooms were given, and %" JSON_INTEGER_FORMAT " are taken", state->rooms,
                     rooms);
    int named = 0;
    for (int i = 0; i < NAMES; i++)
        named += state->named[i];
    fh_client_expect(client, count(client, "tower", "SELECT count(*) AS n FROM name") == named,
                     "%d names were given, and not as many are taken", named);
}

FH_SIMULATION(tower, .state_size = sizeof(struct state), .clients = CLIENTS, .prepare = prepare,
              .client = client, .check = check);
