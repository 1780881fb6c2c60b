/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers while everything fails: processes die, disks fill, wall clocks step by seconds and by
 * weeks. At the end each bell that was hung has rung once, or is pending, parked or cancelled, and
 * nothing else; no run of a schedule was done twice, and none after a later one.
 */

#include <freehold/simulate.h>

#include <string.h>

#define CLIENTS 6
#define ACTIONS_MAX 16
#define NAME_SIZE 24

struct state {
    int hung, taken; /* acknowledged: bells, and cancellations that came in time */
};

static json_int_t integer_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static int ask_bells(fh_client *client, const char *path, json_t *body, const char *key,
                     json_t **ret_answer)
{
    struct fh_ask ask = {"bells", "POST", path, body, key, .as_operator = true};
    int status = fh_client_insist(client, &ask, ret_answer);
    json_decref(body);
    return status;
}

static void hang_bell(fh_client *client, const char *name, const char *key)
{
    struct state *state = fh_client_state(client);
    static const json_int_t waits_ms[] = {-5000, 0, 20, 1000, 5000, 20000, 86400000};
    json_int_t in_ms = waits_ms[fh_client_random(client, sizeof waits_ms / sizeof *waits_ms)];
    json_int_t again = fh_client_random(client, 4) == 0 ? 2 : 0;
    int status = ask_bells(
        client, "/bells",
        json_pack("{s:s, s:I, s:I}", "name", name, "in_ms", in_ms, "again", again), key, NULL);
    fh_client_expect(client, status == 201, "a bell was answered %d", status);
    state->hung++;
    fh_client_count(client, "hung", 1);
}

/* Whether it came in time is what the answer says, in every attempt the same. */
static void cancel_bell(fh_client *client, const char *name, const char *key)
{
    struct state *state = fh_client_state(client);
    json_t *answer = NULL;
    int status = ask_bells(client, "/cancels", json_pack("{s:s}", "name", name), key, &answer);
    fh_client_expect(client, status == 200 || status == 404, "a cancellation was answered %d",
                     status);
    bool pending = json_is_true(json_object_get(answer, "pending"));
    state->taken += status == 200 && pending;
    fh_client_count(client, pending ? "cancelled" : "too late", status == 200);
    json_decref(answer);
}

/* An operator lifts what makes a bell fail, and has what is parked tried again. */
static void retry_parked(fh_client *client, const char *name, const char *key)
{
    json_t *listed = NULL;
    ask_bells(client, "/blessings", json_pack("{s:s}", "name", name), key, NULL);
    struct fh_ask list = {"bells", "GET", "/_freehold/timers?state=parked", .as_operator = true};
    if (fh_client_ask(client, &list, &listed) == 200) {
        const json_t *first = json_array_get(json_object_get(listed, "timers"), 0);
        json_t *body = first ? json_pack("{s:O}", "id", json_object_get(first, "id")) : NULL;
        struct fh_ask ask = {"bells", "POST", "/_freehold/timers/retry", body, .as_operator = true};
        int status = body ? fh_client_ask(client, &ask, NULL) : 404;
        fh_client_count(client, "retried", status == 200);
        json_decref(body);
    }
    json_decref(listed);
}

static void client(fh_client *client, int number)
{
    char name[NAME_SIZE], key[NAME_SIZE];
    int actions = 4 + (int)fh_client_random(client, ACTIONS_MAX - 4 + 1);
    for (int i = 0; i < actions; i++) {
        uint64_t drawn = fh_client_random(client, 10);
        snprintf(key, sizeof key, "c%d-%d", number, i);
        snprintf(name, sizeof name, "b%d-%d", number,
                 drawn < 5 ? i : (int)fh_client_random(client, (uint64_t)actions));
        if (drawn < 5) {
            hang_bell(client, name, key);
            snprintf(key, sizeof key, "x%d-%d", number, i);
            if (fh_client_random(client, 4) == 0) /* as it is about to ring */
                cancel_bell(client, name, key);
        } else if (drawn < 7)
            cancel_bell(client, name, key);
        else if (drawn < 8)
            ask_bells(client, "/curses", json_pack("{s:s}", "name", name), key, NULL);
        else if (drawn < 9)
            retry_parked(client, name, key);
        else
            fh_client_sleep_ms(client, (int)fh_client_random(client, 20000));
    }
}

/* Rows of which there must be none. */
static void check_none(fh_client *client, const char *what, const char *sql)
{
    json_t *rows = fh_client_rows(client, "bells", sql);
    char first[200] = "";
    json_dumpb(json_array_get(rows, 0), first, sizeof first - 1, JSON_COMPACT | JSON_ENCODE_ANY);
    fh_client_expect(client, json_array_size(rows) == 0, "%zu %s, the first one %s",
                     json_array_size(rows), what, first);
    json_decref(rows);
}

static json_int_t count(fh_client *client, const char *sql)
{
    json_t *rows = fh_client_rows(client, "bells", sql);
    json_int_t n = integer_of(json_array_get(rows, 0), "n");
    json_decref(rows);
    return n;
}

static void check(fh_client *client)
{
    const struct state *state = fh_client_state(client);
    check_none(client, "bells rang twice, or are lost",
               "SELECT b.name, b.cancelled, (SELECT count(*) FROM ring r WHERE r.name = b.name) AS"
               " rings, (SELECT group_concat(t.kind) FROM fh_timer t"
               " WHERE b.timer = t.due_ms || '-' || t.name) AS timers FROM bell b"
               " WHERE b.cancelled + rings + (timers IS NOT NULL) <> 1 OR timers LIKE '%,%'");
    check_none(client, "rings belong to no bell",
               "SELECT name FROM ring WHERE name NOT IN (SELECT name FROM bell)");
    check_none(client, "timers belong to no bell",
               "SELECT name FROM fh_timer t WHERE kind <> 'every' AND NOT EXISTS"
               " (SELECT 1 FROM bell b WHERE b.timer = t.due_ms || '-' || t.name)");
    check_none(client, "runs of a schedule came twice, or after a later one",
               "SELECT a.schedule, a.due_ms FROM tick a JOIN tick b ON a.schedule = b.schedule"
               " WHERE a.id < b.id AND a.due_ms >= b.due_ms");
    check_none(client, "schedules have not one row",
               "SELECT name, count(*) AS n FROM fh_timer WHERE kind = 'every' GROUP BY name"
               " HAVING n <> 1");
    fh_client_expect(client,
                     count(client, "SELECT count(*) AS n FROM bell WHERE name NOT LIKE '%+'") ==
                         state->hung,
                     "%d bells were acknowledged, and others are there", state->hung);
    fh_client_expect(client, count(client, "SELECT sum(cancelled) AS n FROM bell") == state->taken,
                     "%d cancellations were acknowledged, and others were done", state->taken);
    fh_client_count(client, "rung", count(client, "SELECT count(*) AS n FROM ring"));
    fh_client_count(client, "ticks", count(client, "SELECT count(*) AS n FROM tick"));
    fh_client_count(client, "parked",
                    count(client, "SELECT count(*) AS n FROM fh_timer WHERE kind = 'parked'"));
}

#ifndef SERVERS
#define SERVERS false
#endif

FH_SIMULATION(clock, .state_size = sizeof(struct state), .clients = CLIENTS, .client = client,
              .check = check, .servers = SERVERS);
