/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the shop can't show: undoing in the wrong order (blocks fall), an event applied twice
 * (counts, where the shop only overwrites names), a refused handler's changes that stay, a group
 * whose transaction one member has rolled back, and events that can't be borne: they are parked
 * with their keys, retried or given other data while everything fails, and applied in their order
 * in the end. And sagas that are parked until an operator says a word: retry, skip, compensate, or
 * abandon.
 */

#include <freehold/simulate.h>
#include <string.h>

#define CLIENTS 8
#define ACTIONS_MAX 14
#define NAMES 12
#define ROOMS 20
#define CROWNS_MAX (CLIENTS * ACTIONS_MAX)
#define EDITS_MAX (CLIENTS * ACTIONS_MAX)

struct state {
    int builds, rooms;
    bool named[NAMES];
    int crowns;
    bool skipped[CROWNS_MAX + 1], turned_back[CROWNS_MAX + 1];  /* somebody said so, of the crown */
    bool given_up[CROWNS_MAX + 1], is_given_up[CROWNS_MAX + 1]; /* said; and acknowledged */
    int edits;
    struct {
        json_int_t position;
        bool acknowledged;
    } edit[EDITS_MAX + 1]; /* by the blessing that was written into an event */
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

static void take_suite(fh_client *client, const char *key)
{
    struct fh_ask ask = {"tower", "POST", "/suites", NULL, key};
    int status = fh_client_insist(client, &ask, NULL);
    fh_client_expect(client, status == 409, "a suite was answered %d", status);
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

/* Events of that build can be applied from now on; of another one, nothing happens. */
static void lift_curse(fh_client *client, json_int_t build, const char *key)
{
    json_t *body = json_pack("{s:I}", "build", build);
    struct fh_ask ask = {"builder", "POST", "/lifted", body, key};
    int status = fh_client_insist(client, &ask, NULL);
    fh_client_expect(client, status == 204, "the lifting of a curse was answered %d", status);
    json_decref(body);
}

/* An operator retries what is parked under a key, or everything (0). */
static void retry(fh_client *client, json_int_t build)
{
    char name[24];
    snprintf(name, sizeof name, "%" JSON_INTEGER_FORMAT, build);
    json_t *body = build ? json_pack("{s:s, s:s}", "source", "tower", "key", name) : json_object();
    struct fh_ask ask = {
        "builder",          "POST", "/_freehold/parked/retry", body, .as_operator = true,
        .timeout_ms = 10000};
    json_t *told;
    int status = fh_client_insist(client, &ask, &told);
    fh_client_expect(client, status == 200 || (status == 404 && build), "a retry was answered %d",
                     status);
    fh_client_count(client, "retried", integer_of(told, "applied"));
    json_decref(told);
    json_decref(body);
}

/* An operator gives the first event that is parked under a key other data, once. */
static void bless(fh_client *client, const json_t *parked, json_int_t build)
{
    struct state *state = fh_client_state(client);
    const json_t *first = json_array_get(json_object_get(parked, "events"), 0);
    json_t *data = json_object_get(json_object_get(first, "event"), "data");
    char name[24];
    if (!data || state->edits == EDITS_MAX)
        return;
    int blessing = ++state->edits;
    snprintf(name, sizeof name, "%" JSON_INTEGER_FORMAT, build);
    json_t *body = json_pack("{s:s, s:s, s:O, s:O}", "source", "tower", "key", name, "position",
                             json_object_get(first, "position"), "data", data);
    json_object_set_new(data, "blessing", json_integer(blessing));
    state->edit[blessing].position = integer_of(first, "position");
    struct fh_ask ask = {
        "builder",          "POST", "/_freehold/parked/edit", body, .as_operator = true,
        .timeout_ms = 10000};
    int status = fh_client_ask(client, &ask, NULL);
    state->edit[blessing].acknowledged = status == 200;
    fh_client_expect(
        client, status == 0 || status == 200 || status == 404 || status == 409 || status >= 500,
        "other data for an event were answered %d", status);
    fh_client_count(client, "edited", status == 200);
    json_decref(body);
}

static void edit(fh_client *client, json_int_t build)
{
    char path[80];
    json_t *parked = NULL;
    snprintf(path, sizeof path, "/_freehold/parked?source=tower&key=%" JSON_INTEGER_FORMAT, build);
    struct fh_ask ask = {"builder", "GET", path, .as_operator = true};
    if (fh_client_ask(client, &ask, &parked) == 200)
        bless(client, parked, build);
    json_decref(parked);
}

static void mend(fh_client *client, const char *key)
{
    const struct state *state = fh_client_state(client);
    json_int_t build = 1 + (json_int_t)fh_client_random(client, (uint64_t)state->builds + 1);
    if (fh_client_random(client, 2) == 0)
        edit(client, 2 + 4 * (json_int_t)fh_client_random(client, (uint64_t)state->builds / 4 + 1));
    if (fh_client_random(client, 2) == 0)
        lift_curse(client, build, key);
    retry(client, fh_client_random(client, 3) == 0 ? 0 : build);
}

/* The first row's `n`. */
static json_int_t count(fh_client *client, const char *service, const char *sql)
{
    json_t *rows = fh_client_rows(client, service, sql);
    json_int_t n = integer_of(json_array_get(rows, 0), "n");
    json_decref(rows);
    return n;
}

/* ---- parked sagas ---- */

static void crown(fh_client *client, const char *key)
{
    struct state *state = fh_client_state(client);
    struct fh_ask ask = {"builder", "POST", "/crowns", NULL, key};
    int status = fh_client_insist(client, &ask, NULL);
    fh_client_expect(client, status == 202, "a crown was answered %d", status);
    state->crowns++;
    fh_client_count(client, "crowns", 1);
}

static void oil(fh_client *client, json_int_t crown, const char *key)
{
    json_t *body = json_pack("{s:I}", "crown", crown);
    struct fh_ask ask = {"tower", "POST", "/oil", body, key};
    int status = fh_client_insist(client, &ask, NULL);
    fh_client_expect(client, status == 204, "oil was answered %d", status);
    json_decref(body);
}

/* Once, whether or not the word is heard; it may come late, to a saga that is parked again, or that
 * is over and forgotten. */
static void say_word(fh_client *client, json_t *saga)
{
    static const char *const paths[] = {"/_freehold/saga/retry", "/_freehold/saga/skip",
                                        "/_freehold/saga/compensate", "/_freehold/saga/abandon"};
    struct state *state = fh_client_state(client);
    json_int_t crown = integer_of(json_object_get(saga, "input"), "id");
    int word = (int)fh_client_random(client, 4);
    json_t *body = json_pack("{s:O, s:s}", "id", json_object_get(saga, "id"), "why", "Enough.");
    struct fh_ask ask = {"builder", "POST", paths[word], body, .as_operator = true};
    state->skipped[crown] |= word == 1;
    state->turned_back[crown] |= word == 2;
    state->given_up[crown] |= word == 3;
    int status = fh_client_ask(client, &ask, NULL);
    state->is_given_up[crown] |= word == 3 && status == 200;
    fh_client_expect(
        client, status == 0 || status == 200 || status == 404 || status == 409 || status >= 500,
        "an operator's word was answered %d", status);
    fh_client_count(client, "words", status == 200);
    json_decref(body);
}

/* One of the parked sagas, with its input; NULL: none was told. */
static json_t *find_parked(fh_client *client)
{
    struct fh_ask ask = {"builder", "GET", "/_freehold/sagas?status=parked", .as_operator = true};
    json_t *told = NULL, *shown = NULL;
    int status = fh_client_ask(client, &ask, &told);
    json_t *list = json_object_get(told, "sagas");
    if (status == 200 && json_array_size(list) > 0) {
        char path[128];
        size_t some =
            fh_client_random(client, 2) ? json_array_size(list) : 1; /* so that they meet */
        json_t *one = json_array_get(list, fh_client_random(client, some));
        snprintf(path, sizeof path, "/_freehold/saga?id=%s",
                 json_string_value(json_object_get(one, "id")));
        ask.path = path;
        status = fh_client_ask(client, &ask, &shown);
    }
    json_decref(told);
    if (status == 200)
        return shown;
    json_decref(shown);
    return NULL;
}

/* An operator looks at one saga that is parked. */
static void operate(fh_client *client)
{
    json_t *saga = find_parked(client);
    if (saga)
        say_word(client, saga);
    json_decref(saga);
}

/* The same at rest, until nothing is parked any more: then all crowns can be finished. */
static void operate_at_rest(fh_client *client)
{
    const struct state *state = fh_client_state(client);
    char key[32];
    for (int i = 1; i <= state->crowns; i++) {
        snprintf(key, sizeof key, "oil-%d", i);
        oil(client, i, key);
    }
    operate(client);
}

/* Whether it has the parts that its end allows: what was given up keeps what it had. */
static bool crown_is_right(const struct state *state, json_int_t id, const char *status,
                           json_int_t parts)
{
    if (strcmp(status, "OPEN") == 0)
        return state->given_up[id] && (parts == 2 || parts == 3);
    if (state->is_given_up[id])
        return false; /* somebody was told that nothing more is done of it */
    if (strcmp(status, "GONE") == 0)
        return parts == 0 && state->turned_back[id];
    return parts == 3 || (parts == 2 && state->skipped[id]);
}

static void check_crowns(fh_client *client)
{
    const struct state *state = fh_client_state(client);
    json_t *crowns = fh_client_rows(client, "builder", "SELECT id, status FROM crown"), *row;
    size_t i;
    fh_client_expect(client, json_array_size(crowns) == (size_t)state->crowns,
                     "%d crowns were acknowledged, and %zu are there", state->crowns,
                     json_array_size(crowns));
    json_array_foreach (crowns, i, row) {
        char sql[128];
        json_int_t id = integer_of(row, "id");
        const char *status = json_string_value(json_object_get(row, "status"));
        snprintf(sql, sizeof sql,
                 "SELECT count(*) AS n FROM part WHERE crown = %" JSON_INTEGER_FORMAT, id);
        json_int_t parts = count(client, "tower", sql);
        fh_client_expect(client, crown_is_right(state, id, status, parts),
                         "crown %" JSON_INTEGER_FORMAT " is %s%s, and has %" JSON_INTEGER_FORMAT
                         " parts",
                         id, status, state->is_given_up[id] ? " and was given up" : "", parts);
        fh_client_count(client, "given up", strcmp(status, "OPEN") == 0);
    }
    json_decref(crowns);
}

/* ---- a client ---- */

static void client(fh_client *client, int number)
{
    char key[32];
    int actions = 4 + (int)fh_client_random(client, ACTIONS_MAX - 4 + 1);
    for (int i = 0; i < actions; i++) {
        uint64_t drawn = fh_client_random(client, 19);
        snprintf(key, sizeof key, "c%d-%d", number, i);
        if (drawn < 5)
            build(client, key);
        else if (drawn < 8)
            take_name(client, key);
        else if (drawn < 10)
            take_room(client, key);
        else if (drawn < 12)
            mend(client, key);
        else if (drawn < 14)
            crown(client, key);
        else if (drawn < 17)
            operate(client);
        else if (drawn < 18)
            take_suite(client, key);
        else
            oil(client, 1 + (json_int_t)fh_client_random(client, CROWNS_MAX / 8), key);
        if (fh_client_random(client, 3) == 0)
            fh_client_sleep_ms(client, (int)fh_client_random(client, 200));
    }
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

/* What waits does so for a reason, and no longer than that. */
static void check_parked(fh_client *client)
{
    const struct state *state = fh_client_state(client);
    char key[32];
    json_int_t without_cause = count(
        client, "builder",
        "SELECT count(*) AS n FROM fh_parked p WHERE NOT EXISTS (SELECT 1 FROM curse WHERE"
        " CAST(build AS TEXT) = p.key) OR (position = (SELECT min(position) FROM fh_parked WHERE"
        " key = p.key) AND error NOT LIKE '%cursed%' AND error <> '')");
    fh_client_expect(client, without_cause == 0,
                     "%" JSON_INTEGER_FORMAT " events are parked without a cause", without_cause);
    fh_client_count(client, "parked",
                    count(client, "builder", "SELECT count(*) AS n FROM fh_parked"));
    for (int build = 1; build <= state->builds; build++) {
        snprintf(key, sizeof key, "last-%d", build);
        lift_curse(client, build, key);
    }
    retry(client, 0);
    json_int_t left = count(client, "builder",
                            "SELECT (SELECT count(*) FROM fh_parked) + (SELECT count(*) FROM "
                            "fh_parked_key) AS n");
    fh_client_expect(client, left == 0, "%" JSON_INTEGER_FORMAT " events are parked for ever",
                     left);
    json_int_t disorder = count(client, "builder", "SELECT count(*) AS n FROM disorder");
    fh_client_expect(client, disorder == 0,
                     "%" JSON_INTEGER_FORMAT " events were applied out of their order", disorder);
}

/* Data that an operator was told are in an event's place were heard, once, and in that place. */
static void check_edits(fh_client *client)
{
    const struct state *state = fh_client_state(client);
    json_t *rows = fh_client_rows(client, "builder", "SELECT position, word FROM blessing"), *row;
    bool heard[EDITS_MAX + 1] = {false};
    size_t i;
    json_array_foreach (rows, i, row) {
        json_int_t word = integer_of(row, "word"), position = integer_of(row, "position");
        bool said = word > 0 && word <= state->edits && state->edit[word].position == position;
        fh_client_expect(client, said,
                         "nobody wrote blessing %" JSON_INTEGER_FORMAT " at %" JSON_INTEGER_FORMAT,
                         word, position);
        for (int one = 1; one <= state->edits; one++) /* a later one may stand in its place */
            heard[one] |= state->edit[one].position == position;
    }
    for (int one = 1; one <= state->edits; one++)
        fh_client_expect(client, heard[one] || !state->edit[one].acknowledged,
                         "blessing %d at %" JSON_INTEGER_FORMAT " was never heard", one,
                         state->edit[one].position);
    json_decref(rows);
}

static void check(fh_client *client)
{
    const struct state *state = fh_client_state(client);
    check_parked(client);
    check_edits(client);
    check_builds(client);
    check_crowns(client);
    json_int_t falls = count(client, "tower", "SELECT count(*) AS n FROM fall");
    fh_client_expect(client, falls == 0, "%" JSON_INTEGER_FORMAT " blocks fell", falls);
    json_int_t published = count(client, "tower", "SELECT position AS n FROM fh_counter");
    json_int_t heard = count(client, "builder", "SELECT sum(events) AS n FROM heard");
    fh_client_expect(client, published == heard,
                     "%" JSON_INTEGER_FORMAT " events were published, %" JSON_INTEGER_FORMAT
                     " applied",
                     published, heard);
    fh_client_expect(
        client, count(client, "builder", "SELECT count(*) AS n FROM heard WHERE build = 0") == 0,
        "an event was heard whose unit of work was refused");
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
              .client = client, .check = check, .operate = operate_at_rest, .parks = true,
              .trims = true);
