/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server as a whole: up or restarting, quick or slow, and what a run's seed does to it.
 */

#include "simulate/postgresql/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* ---- what goes wrong ---- */

static struct model_session *draw_any(struct model_server *server)
{
    struct model_session *session = server->sessions;
    uint64_t count = 0;
    for (; session; session = session->next)
        count += session->alive;
    if (!count)
        return NULL;
    uint64_t left = simulate_below(server->simulate, count);
    for (session = server->sessions; !session->alive || left-- > 0;)
        session = session->next;
    return session;
}

/* One that is at work, if a few draws find one: most are idle, and nobody minds their end. */
static struct model_session *draw_session(struct model_server *server)
{
    struct model_session *session = draw_any(server);
    for (int i = 0; i < 6 && session && !session->block && !session->first; i++)
        session = draw_any(server);
    return session;
}

static void on_pg_fault(struct simulate_event *event)
{
    struct model_server *server = event->owner;
    struct simulate *simulate = server->simulate;
    struct model_session *session = draw_session(server);
    uint64_t kind = simulate_below(simulate, 20);
    if (simulate->now_ns >= server->until_ns)
        return;
    if (kind == 0)
        model_restart(server);
    else if (kind == 1)
        wire_slow_down(&server->wire);
    else if (kind < 8 && session)
        model_session_end(session, "57P01", "terminating connection due to administrator command");
    else if (session && session->link)
        model_link_cut(session->link, simulate_chance(simulate, 200000));
    simulate_plan(simulate, &server->fault,
                  simulate->now_ns + simulate_between(simulate, 1, server->pause_ns * 2));
}

static void pg_faults_begin(struct simulate_server *base, int64_t until_ns, int64_t pause_ns)
{
    struct model_server *server = model_server_of(base);
    struct simulate *simulate = server->simulate;
    wire_faults_draw(&server->wire);
    server->until_ns = until_ns;
    server->pause_ns = pause_ns;
    server->fault = (struct simulate_event){.fire = on_pg_fault, .owner = server};
    if (simulate_chance(simulate, 700000))
        simulate_plan(simulate, &server->fault, simulate->now_ns + pause_ns);
}

static void pg_faults_end(struct simulate_server *base)
{
    struct model_server *server = model_server_of(base);
    wire_faults_end(&server->wire);
    simulate_cancel(server->simulate, &server->fault);
}

static void pg_fates_begin(struct simulate_server *base, const char *fates)
{
    wire_fates(&model_server_of(base)->wire, fates);
}

static int64_t pg_fates_end(struct simulate_server *base)
{
    return wire_fates_end(&model_server_of(base)->wire);
}

static void pg_client_died(struct simulate_server *base, const struct simulate_node *node,
                           bool power)
{
    for (struct model_link *link = model_server_of(base)->links; link; link = link->next) {
        if (link->node == node)
            model_link_close(link, !power);
    }
}

/* ---- from outside ---- */

static json_t *result_row_json(const PGresult *result, int row)
{
    json_t *object = json_object();
    for (int i = 0; i < result->columns; i++) {
        const char *text = result->values[row * result->columns + i];
        json_t *value = !text                    ? json_null()
                        : result->types[i] == 20 ? json_integer(strtoll(text, NULL, 10))
                                                 : json_string(text);
        json_object_set_new(object, result->names[i], value);
    }
    return object;
}

static json_t *pg_rows(struct simulate_server *base, const char *name, const char *sql,
                       const char **ret_why)
{
    struct model_server *server = model_server_of(base);
    struct model_view *view = model_view_take(model_database(server, name), NULL);
    sqlite3_stmt *statement = model_view_prepare(view, sql);
    json_t *rows = statement ? json_array() : NULL;
    *ret_why = statement ? NULL : sqlite3_errmsg(view->sql);
    if (statement) {
        PGresult *result = model_run(statement, sql, view->sql);
        for (int i = 0; i < result->rows; i++)
            json_array_append_new(rows, result_row_json(result, i));
        model_result_free(result);
    }
    model_view_give_back(view);
    return rows;
}

static bool pg_is_late(const struct simulate_server *base)
{
    const struct model_server *server = (const struct model_server *)base;
    bool is_late = server->simulate->now_ns < server->late_until_ns + WIRE_LATE_NS;
    for (const struct model_session *session = server->sessions; session && !is_late;
         session = session->next)
        is_late = session->alive && (!session->link || session->link->cut) &&
                  (session->commits || session->first);
    return is_late;
}

static int pg_disorder(struct simulate_server *base, const char *name)
{
    struct model_server *server = model_server_of(base);
    struct model_database *database = model_database(server, name);
    const char *why, *last_key = "";
    int64_t last = 0;
    int count = 0;
    size_t i;
    json_t *event, *events = pg_rows(base, name,
                                     "SELECT key, event_id FROM fh_outbox"
                                     " WHERE position IS NOT NULL ORDER BY key, position",
                                     &why);
    json_array_foreach (events, i, event) {
        char row[120];
        const char *key = json_string_value(json_object_get(event, "key"));
        snprintf(row, sizeof row, "fh_outbox|%.100s",
                 json_string_value(json_object_get(event, "event_id")));
        int64_t born = model_changed_at(&database->born, row);
        count += strcmp(key, last_key) == 0 && born < last;
        last_key = key;
        last = born;
    }
    json_decref(events);
    return count;
}

static json_t *pg_config(const char *database)
{
    return json_pack("{s:s, s:s, s:s, s:i}", "host", "/model", "database", database, "user",
                     database, "connections", 4);
}

static const struct simulate_server_ops server_ops = {
    .config = pg_config,
    .faults_begin = pg_faults_begin,
    .faults_end = pg_faults_end,
    .fates = pg_fates_begin,
    .fates_end = pg_fates_end,
    .late = pg_is_late,
    .disorder = pg_disorder,
    .died = pg_client_died,
    .rows = pg_rows,
    .lose = model_lose,
};

struct simulate_server *simulate_postgresql_new(struct simulate *simulate,
                                                simulate_server_failed *failed, void *context)
{
    struct model_server *server = calloc(1, sizeof *server);
    FH_ASSERT(server != NULL);
    server->base.ops = &server_ops;
    server->wire.simulate = simulate;
    server->simulate = simulate;
    server->failed = failed;
    server->context = context;
    server->next_pid = 1000;
    server->backend = &model_backend;
    model_begin(server);
    model_library();
    return &server->base;
}
