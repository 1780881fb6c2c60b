/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server engine has to keep while its server and the links to it fail: a work without a key
 * that was acknowledged is there once, one that was not is there once or not at all; one with a key
 * is there once, however often it is repeated; each pier's counts are told in their order; what was
 * heard was heard once; a saga's end comes once, with its steps done once or undone once.
 */

#include "port.h"

#include <stdlib.h>

static json_int_t integer_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static void key_of(char key[32], const char *what, int number)
{
    snprintf(key, 32, "%s-%d", what, number);
}

/* With a key: until it is answered. Without: once, and whatever comes. */
void port_land(fh_client *client, bool keyed)
{
    struct port_state *state = fh_client_state(client);
    int number = ++state->crates;
    bool refused = fh_client_random(client, 6) == 0;
    int wanted = refused ? 409 : 201;
    char key[32];
    key_of(key, "crate", number);
    json_t *body = json_pack("{s:i, s:i}", "id", number, "pier",
                             refused ? FULL_PIER : (int)fh_client_random(client, PIERS));
    struct fh_ask ask = {"quay", "POST", "/crates", body, keyed ? key : NULL, .timeout_ms = 20000};
    state->crate[number].refused = refused;
    int status = keyed ? fh_client_insist(client, &ask, NULL) : fh_client_ask(client, &ask, NULL);
    fh_client_expect(client, status == wanted || (!keyed && (status == 0 || status >= 500)),
                     "crate %d was answered %d", number, status);
    state->crate[number].acknowledged = status == 201;
    fh_client_count(client, status == wanted ? "acknowledged" : "unknown", 1);
    json_decref(body);
}

void port_count(fh_client *client, int number)
{
    struct port_state *state = fh_client_state(client);
    int pier = (int)fh_client_random(client, PIERS);
    char key[32];
    key_of(key, "count", number);
    json_t *body = json_pack("{s:i}", "pier", pier);
    struct fh_ask ask = {"quay", "POST", "/counts", body, key};
    int status = fh_client_insist(client, &ask, NULL);
    fh_client_expect(client, status == 200, "a count was answered %d", status);
    state->counts[pier]++;
    fh_client_count(client, "counts", 1);
    json_decref(body);
}

void port_lift(fh_client *client)
{
    struct port_state *state = fh_client_state(client);
    int number = ++state->lifts;
    char key[32];
    key_of(key, "lift", number);
    json_t *body = json_pack("{s:i}", "id", number);
    struct fh_ask ask = {"quay", "POST", "/lifts", body, key};
    int status = fh_client_insist(client, &ask, NULL);
    fh_client_expect(client, status == 202, "lift %d was answered %d", number, status);
    fh_client_count(client, "lifts", 1);
    json_decref(body);
}

/* ---- what must hold ---- */

static void check_crates(fh_client *client)
{
    struct port_state *state = fh_client_state(client);
    json_int_t times[CRATES_MAX] = {0}, told[CRATES_MAX] = {0}, heard[CRATES_MAX] = {0};
    size_t i;
    json_t *row, *rows = fh_client_rows(client, "quay", port_queries.crates);
    json_array_foreach (rows, i, row)
        times[integer_of(row, "id")] = integer_of(row, "times");
    json_decref(rows);
    rows = fh_client_rows(client, "quay",
                          "SELECT CAST(data ->> 'id' AS INTEGER) AS id, count(*) AS n"
                          " FROM fh_outbox WHERE type = 'CrateLanded' GROUP BY 1");
    json_array_foreach (rows, i, row)
        told[integer_of(row, "id")] = integer_of(row, "n");
    json_decref(rows);
    rows = fh_client_rows(client, "yard", port_queries.heard);
    json_array_foreach (rows, i, row)
        heard[integer_of(row, "id")] = integer_of(row, "times");
    json_decref(rows);
    bool loses = fh_client_loses(client, "quay");
    for (int crate = 1; crate <= state->crates; crate++) {
        bool acknowledged = state->crate[crate].acknowledged && !loses;
        bool may = !acknowledged && times[crate] == 0;
        fh_client_expect(client, may || (times[crate] == 1 && !state->crate[crate].refused),
                         "crate %d, %sacknowledged, was landed %d times", crate,
                         acknowledged ? "" : "not ", (int)times[crate]);
        fh_client_expect(client,
                         (told[crate] == times[crate] || (loses && told[crate] == 0)) &&
                             (heard[crate] == times[crate] || state->estranged),
                         "crate %d was landed %d times, told %d, heard %d", crate,
                         (int)times[crate], (int)told[crate], (int)heard[crate]);
    }
}

static void check_piers(fh_client *client)
{
    struct port_state *state = fh_client_state(client);
    json_int_t counted[PIERS] = {0}, heard[PIERS] = {0};
    size_t i;
    json_t *row, *rows = fh_client_rows(client, "quay", port_queries.counted);
    json_array_foreach (rows, i, row)
        counted[integer_of(row, "id")] = integer_of(row, "n");
    json_decref(rows);
    rows = fh_client_rows(client, "yard", port_queries.piers_heard);
    json_array_foreach (rows, i, row) {
        heard[integer_of(row, "id")] = integer_of(row, "n");
        fh_client_expect(client, integer_of(row, "disorder") == 0 || state->estranged,
                         "pier %d was heard of %d times out of order", (int)integer_of(row, "id"),
                         (int)integer_of(row, "disorder"));
    }
    json_decref(rows);
    bool loses = fh_client_loses(client, "quay");
    for (int pier = 0; pier < PIERS; pier++)
        fh_client_expect(client,
                         (counted[pier] == state->counts[pier] ||
                          (loses && counted[pier] < state->counts[pier])) &&
                             (heard[pier] == counted[pier] || state->estranged),
                         "pier %d: %d acknowledged, %d counted, %d heard", pier,
                         state->counts[pier], (int)counted[pier], (int)heard[pier]);
}

/* Each of the two loads at most once. */
static bool is_once(json_int_t loads)
{
    return loads % 100 <= 1 && loads / 100 <= 1;
}

static void check_lifts(fh_client *client)
{
    struct port_state *state = fh_client_state(client);
    json_int_t loaded[CRATES_MAX] = {0}, undone[CRATES_MAX] = {0};
    bool loses = fh_client_loses(client, "yard");
    int seen = 0;
    size_t i;
    json_t *row, *rows = fh_client_rows(client, "yard", port_queries.loads);
    json_array_foreach (rows, i, row) {
        loaded[integer_of(row, "id")] = integer_of(row, "loaded");
        undone[integer_of(row, "id")] = integer_of(row, "undone");
    }
    json_decref(rows);
    rows = fh_client_rows(client, "quay", port_queries.lifts);
    json_array_foreach (rows, i, row) {
        int id = (int)integer_of(row, "id");
        const char *status = json_string_value(json_object_get(row, "status"));
        bool done = status && status[0] == 'D';
        bool fits = done ? loaded[id] == 101 && undone[id] == 0 : loaded[id] == undone[id];
        fits = fits || (loses && is_once(loaded[id]) && is_once(undone[id]));
        seen++;
        fh_client_expect(client,
                         (integer_of(row, "ends") == 1 || (loses && status[0] == 'O')) &&
                             (!done || id % 3) && fits,
                         "lift %d is %s, has ended %d times, was loaded %d and undone %d", id,
                         status, (int)integer_of(row, "ends"), (int)loaded[id], (int)undone[id]);
    }
    json_decref(rows);
    fh_client_expect(client, seen == state->lifts || (loses && seen < state->lifts),
                     "%d lifts were acknowledged, %d are there", state->lifts, seen);
}

static void check_list(fh_client *client, const char *service)
{
    if (!port_queries.unlisted)
        return;
    json_t *rows = fh_client_rows(client, service, port_queries.unlisted);
    json_int_t count = integer_of(json_array_get(rows, 0), "n");
    fh_client_expect(client, count == 0, "%s has %d keys that its list lacks, or has too late",
                     service, (int)count);
    json_decref(rows);
}

static void check_places(fh_client *client)
{
    if (!port_queries.together)
        return;
    json_t *rows = fh_client_rows(client, "quay", port_queries.together);
    json_int_t count = integer_of(json_array_get(rows, 0), "n");
    fh_client_expect(client, count == 0, "%d times two lifts have the same place", (int)count);
    json_decref(rows);
}

void port_check(fh_client *client)
{
    check_list(client, "quay");
    check_list(client, "yard");
    check_crates(client);
    check_piers(client);
    check_lifts(client);
    check_places(client);
}
