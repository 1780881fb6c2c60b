/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rest: every service is ready, no event on a server lacks its position, no saga is on its way and
 * none is parked, every subscription has applied all that its publisher has and follows it (one
 * that is ahead of a publisher whose files were put back, or stands where that has another event by
 * now, has still to find that out), and every record of a command between services is gone, since
 * its saga has been closed. It must come within REST_MS_MAX of virtual time after the last fault.
 *
 * What must hold of any system then is checked here, in the stores themselves: their structure;
 * positions dense, each event naming the one before it of its key; cursors where their publishers
 * stand.
 */

#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "event/manager.h"
#include "simulate/server.h"
#include "simulate/run_parts.h"
#include "store/ledger.h"

#define REST_MS_MAX 3600000
#define REST_LOOK_MS_MIN 250 /* looked at ever more seldom, up to the most */
#define REST_LOOK_MS_MAX 5000

static json_int_t integer_of(const json_t *object, const char *path)
{
    json_int_t value = -1;
    json_integer_at(object, path, &value);
    return value;
}

static json_t *service_state_of(fh_client *client, const char *service)
{
    json_t *state = NULL;
    struct fh_ask ask = {service, "GET", "/_freehold/state", .as_operator = true};
    if (fh_client_ask(client, &ask, &state) == 200)
        return state;
    json_decref(state);
    return NULL;
}

static int64_t count_in(fh_client *client, const char *service, const char *sql)
{
    json_t *rows = fh_client_rows(client, service, sql);
    json_int_t count = integer_of(json_array_get(rows, 0), "n");
    json_decref(rows);
    return count;
}

/* Where a service's events end: an instance on a server may not have heard of the last ones yet. */
static json_int_t last_of(fh_client *client, const json_t *states, const char *service)
{
    const struct run *run = client->run;
    for (int i = 0; i < run->node_count; i++) {
        if (run->nodes[i].server && strcmp(run->nodes[i].service->name, service) == 0)
            return count_in(client, service, "SELECT position AS n FROM fh_counter");
    }
    return integer_of(json_object_get(states, service), "position");
}

/* After a failover that lost commits a subscriber may have what its publisher has not any more. It
 * is notified of that, and waits for a person. */
static bool is_refused(const fh_client *client, const json_t *subscription)
{
    return client->run->lost_commits &&
           strcmp(json_string_at(subscription, "state"), "refused") == 0;
}

/* At its place the publisher has another event by now: its files were put back, or it was restored,
 * and went on up to the same position. The subscriber hears of that with its next question. */
static bool stands_at_another(fh_client *client, const char *subscriber, const char *source)
{
    char sql[160];
    bool another = false;
    size_t i;
    json_t *cursor;
    if (!run_has_other_past(client->run, source))
        return false;
    snprintf(sql, sizeof sql, "SELECT position, event_id FROM fh_cursor WHERE source = '%.40s'",
             source);
    json_t *cursors = fh_client_rows(client, subscriber, sql);
    json_array_foreach (cursors, i, cursor) {
        snprintf(sql, sizeof sql,
                 "SELECT event_id FROM fh_outbox WHERE position = %" JSON_INTEGER_FORMAT,
                 integer_of(cursor, "position"));
        json_t *there = fh_client_rows(client, source, sql);
        const char *id = json_string_at(json_array_get(there, 0), "event_id");
        another = another || (id && strcmp(id, json_string_at(cursor, "event_id")) != 0);
        json_decref(there);
    }
    json_decref(cursors);
    return another;
}

/* Why not yet; NULL: it rests. `states` by service. */
static const char *why_restless(fh_client *client, const json_t *states, char *buffer, size_t size)
{
    const char *name;
    json_t *state, *subscription;
    size_t i;
    json_object_foreach ((json_t *)(uintptr_t)states, name, state) {
        json_int_t open =
            integer_of(state, "sagas.running") + integer_of(state, "sagas.compensating");
        if (open) {
            snprintf(buffer, size, "%s has %" JSON_INTEGER_FORMAT " open sagas", name, open);
            return buffer;
        }
        if (integer_of(state, "timers.late_ms") > 0) {
            snprintf(buffer, size, "%s has timers that are %" JSON_INTEGER_FORMAT " ms late: %.80s",
                     name, integer_of(state, "timers.late_ms"),
                     json_string_at(state, "timers.why"));
            return buffer;
        }
        json_array_foreach (json_object_get(state, "subscriptions"), i, subscription) {
            const char *source = json_string_at(subscription, "source");
            json_int_t last = last_of(client, states, source);
            bool follows = strcmp(json_string_at(subscription, "state"), "following") == 0;
            bool there = integer_of(subscription, "position") == last && follows;
            bool another = there && stands_at_another(client, name, source);
            if ((there && !another) || is_refused(client, subscription))
                continue;
            snprintf(buffer, size,
                     "%s stands at %s%" JSON_INTEGER_FORMAT
                     " of %s, which is at %" JSON_INTEGER_FORMAT " (%s: %.120s)",
                     name, another ? "another " : "", integer_of(subscription, "position"), source,
                     last, json_string_at(subscription, "state"),
                     json_string_at(subscription, "reason") ? json_string_at(subscription, "reason")
                                                            : "");
            return buffer;
        }
    }
    return NULL;
}

static const char *why_unclosed(fh_client *client, char *buffer, size_t size)
{
    struct run *run = client->run;
    for (int i = 0; i < run->node_count; i++) {
        const char *name = run->nodes[i].service->name;
        int64_t count =
            count_in(client, name, "SELECT count(*) AS n FROM fh_command WHERE birth <> ''");
        if (!count)
            continue;
        snprintf(buffer, size, "%s keeps %" PRId64 " records of sagas that have ended", name,
                 count);
        return buffer;
    }
    return NULL;
}

/* What is published on a server, sagas' starts too, gets its positions after its work. */
static const char *why_unnumbered(fh_client *client, char *buffer, size_t size)
{
    struct run *run = client->run;
    for (int i = 0; i < run->node_count; i++) {
        const char *name = run->nodes[i].service->name;
        int64_t count =
            !run->nodes[i].server
                ? 0
                : count_in(client, name,
                           "SELECT count(*) AS n FROM fh_outbox WHERE position IS NULL");
        if (!count)
            continue;
        snprintf(buffer, size, "%s has %" PRId64 " events without positions", name, count);
        return buffer;
    }
    return NULL;
}

static int64_t parked_sagas(fh_client *client)
{
    int64_t count = 0;
    for (int i = 0; i < client->run->node_count; i++)
        count += count_in(client, client->run->nodes[i].service->name,
                          "SELECT count(*) AS n FROM fh_saga WHERE status = 'parked'");
    return count;
}

/* Who was restored has notified all, and all have found out what that means for them. */
static const char *why_untold(fh_client *client, char *buffer, size_t size)
{
    struct run *run = client->run;
    const char *why = NULL;
    for (int i = 0; i < run->node_count && !why; i++) {
        const char *name = run->nodes[i].service->name;
        struct fh_ask ask = {name, "GET", "/_freehold/restored", .as_operator = true};
        json_t *report = NULL;
        bool answered = fh_client_ask(client, &ask, &report) == 200;
        if (!answered || json_array_size(json_object_get(report, "untold")) > 0 ||
            json_array_size(json_object_get(report, "looking")) > 0) {
            snprintf(buffer, size, "%s still sees to a restore", name);
            why = buffer;
        }
        json_decref(report);
    }
    return why;
}

static const char *why_no_rest(fh_client *client, char *buffer, size_t size)
{
    struct run *run = client->run;
    json_t *states = json_object();
    const char *why = NULL;
    for (int i = 0; i < run->node_count && !why; i++) {
        const char *name = run->nodes[i].service->name;
        json_t *state = service_state_of(client, name);
        if (state) {
            json_object_set_new(states, name, state);
        } else {
            snprintf(buffer, size, "%s does not answer", name);
            why = buffer;
        }
    }
    for (int i = 0; i < run->server_count && !why; i++) {
        if (run->servers[i]->ops->late(run->servers[i]))
            why = "the server has messages from the past";
    }
    if (!why)
        why = why_unnumbered(client, buffer, size);
    if (!why)
        why = why_restless(client, states, buffer, size);
    json_decref(states);
    if (!why && run->restore.done)
        why = why_untold(client, buffer, size);
    /* A test, a restore, or a failover may leave a saga parked, whose records stay. */
    bool lost = run->restore.done || run->lost_commits > 0;
    bool leaves = run->test || (lost && parked_sagas(client) > 0);
    return why || leaves ? why : why_unclosed(client, buffer, size);
}

static void wait_and_operate(fh_client *client, int *pause_ms)
{
    const fh_simulation *simulation = client->run->system->simulation;
    fh_client_sleep_ms(client, *pause_ms);
    *pause_ms += *pause_ms / 8;
    if (*pause_ms > REST_LOOK_MS_MAX)
        *pause_ms = REST_LOOK_MS_MAX;
    if (simulation && simulation->operate)
        simulation->operate(client);
}

void run_wait_for_rest(fh_client *client)
{
    struct simulate *simulate = &client->run->simulate;
    int64_t until_ns = simulate->now_ns + REST_MS_MAX * SIMULATE_MS;
    int pause_ms = REST_LOOK_MS_MIN;
    char buffer[256];
    const char *why;
    while ((why = why_no_rest(client, buffer, sizeof buffer)) && simulate->now_ns < until_ns) {
        fh_client_note(client, "no rest yet: %s", why);
        wait_and_operate(client, &pause_ms);
    }
    fh_client_expect(client, why == NULL, "it does not come to rest: %s", why);
}

/* ---- what must hold of any system ---- */

/* In the words of a query: up to which position events are gone. */
#define TRIMMED                                                                                    \
    "coalesce((SELECT CAST(value AS INTEGER) FROM fh_meta WHERE name = 'trimmed_position'), 0)"

static void check_store_holds(fh_client *client, const char *service)
{
    json_t *rows = fh_client_rows(client, service, "PRAGMA integrity_check");
    const char *result = json_string_at(json_array_get(rows, 0), "integrity_check");
    fh_client_expect(client, result && strcmp(result, "ok") == 0, "%s: the store is damaged: %s",
                     service, result);
    json_decref(rows);
    static const struct {
        const char *sql, *what;
    } empty[] = {
        {"SELECT count(*) AS n FROM (SELECT position, row_number() OVER (ORDER BY position) AS "
         "place FROM fh_outbox) WHERE position <> place + " TRIMMED,
         "events whose positions are not dense"},
        {"SELECT count(*) AS n FROM fh_counter WHERE position <> "
         "(SELECT coalesce(max(position), " TRIMMED ") FROM fh_outbox)",
         "positions given out without an event"},
        {"SELECT count(*) AS n FROM (SELECT prev, coalesce(lag(position) OVER "
         "(PARTITION BY key ORDER BY position), 0) AS before FROM fh_outbox)"
         " WHERE prev <> before AND NOT (before = 0 AND prev <= " TRIMMED ")",
         "events that name another than the one before them of their key"},
        {"SELECT count(*) AS n FROM fh_saga_step t WHERE NOT EXISTS (SELECT 1 FROM fh_saga s"
         " WHERE s.birth = t.birth AND s.number = t.number)",
         "steps of forgotten sagas"},
        {"SELECT count(*) AS n FROM fh_saga WHERE status = 'parked'", "parked sagas"},
        {"SELECT count(*) AS n FROM fh_parked_key k WHERE events <> (SELECT count(*) FROM fh_parked"
         " p WHERE p.source = k.source AND p.share = k.share AND p.key = k.key)",
         "parked keys that miscount their events"},
        {"SELECT count(*) AS n FROM fh_parked", "parked events"},
    };
    size_t checks = sizeof empty / sizeof empty[0] - client->run->system->simulation->parks;
    for (size_t i = 0; i < checks; i++) {
        bool lost = client->run->restore.done || client->run->lost_commits > 0;
        bool waits = lost && strstr(empty[i].what, "parked sagas");
        int64_t count = waits ? 0 : count_in(client, service, empty[i].sql);
        fh_client_expect(client, count == 0, "%s has %" PRId64 " %s", service, count,
                         empty[i].what);
    }
}

static void check_cursors(fh_client *client, const char *service)
{
    json_t *rows = fh_client_rows(client, service,
                                  "SELECT source, incarnation, position FROM fh_cursor"
                                  " WHERE source NOT LIKE '%" LEDGER_ASIDE "%'");
    size_t i;
    json_t *row;
    json_array_foreach (rows, i, row) {
        const char *source = json_string_at(row, "source");
        int64_t there = count_in(client, source, "SELECT position AS n FROM fh_counter");
        fh_client_expect(client, integer_of(row, "position") == there,
                         "%s has applied %s up to %" JSON_INTEGER_FORMAT ", not %" PRId64, service,
                         source, integer_of(row, "position"), there);
    }
    json_decref(rows);
}

/* Of two events of one key, that of the work which committed first stands first. */
static void check_order(fh_client *client, const struct run_node *node)
{
    const char *service = node->service->name;
    int count = node->server->ops->disorder(node->server, service);
    fh_client_expect(client, count == 0, "%s has %d events before one that was committed earlier",
                     service, count);
}

/* By the processes that live now: some of what they were told since the faults ended, at least. */
static void count_carried(fh_client *client)
{
    struct run *run = client->run;
    if (!run->bus_partitions)
        return;
    for (int i = 0; i < run->node_count; i++) {
        const struct run_node *node = &run->nodes[i];
        if (node->life && node->node->open)
            fh_client_count(
                client, "events by the bus",
                (int64_t)run_node_runtime(&run->nodes[i])->context.events->counters.carried);
    }
}

void run_check_always(fh_client *client)
{
    struct run *run = client->run;
    for (int i = 0; i < run->node_count; i++) {
        if (run->nodes[i].server)
            check_order(client, &run->nodes[i]);
        check_store_holds(client, run->nodes[i].service->name);
        if (!run->lost_commits) /* else `check` looks whether who does not follow has said so */
            check_cursors(client, run->nodes[i].service->name);
    }
    run_restore_check(client);
    count_carried(client);
}
