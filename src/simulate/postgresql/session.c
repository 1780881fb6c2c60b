/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backend. What it is sent it does one after the other, each in its time; answers go out with the
 * next sync. After an error everything is skipped up to there. What waits for a lock is tried
 * again whenever one is given up, until lock_timeout or statement_timeout is over. Within a
 * transaction a client that says nothing for idle_in_transaction_session_timeout is left.
 */

#include "simulate/postgresql/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/postgresql/internal.h"
#include "store/relational/script.h"

/* ---- replies ---- */

static void queue_reply(struct model_session *session, struct model_reply *reply)
{
    *session->replies_last = reply;
    session->replies_last = &reply->next;
}

static void queue_result(struct model_session *session, PGresult *result)
{
    struct model_reply *reply = model_reply(result->status == PGRES_PIPELINE_SYNC);
    model_reply_add(reply, result);
    queue_reply(session, reply);
}

static void flush_replies(struct model_session *session)
{
    struct model_reply *first = session->replies;
    session->replies = NULL;
    session->replies_last = &session->replies;
    if (first && session->link)
        model_link_reply(session->link, first);
}

/* ---- going on ---- */

static void command_done(struct model_session *session)
{
    struct model_command *command = session->first;
    struct simulate *simulate = session->server->simulate;
    simulate_cancel(simulate, &session->timeout);
    session->first = command->next;
    if (!session->first)
        session->last = &session->first;
    model_command_free(command);
    if (session->first)
        model_session_plan(session, model_execution_ns(session->server));
    else if (session->alive && session->block && session->idle_ms > 0)
        simulate_plan(simulate, &session->idle, simulate->now_ns + session->idle_ms * SIMULATE_MS);
}

/* It waits for a lock, now or still. */
static void wait_for_lock(struct model_session *session)
{
    struct simulate *simulate = session->server->simulate;
    int64_t lock_ms = session->local_lock_ms >= 0 ? session->local_lock_ms : session->lock_ms;
    int64_t ms = session->statement_ms > 0 ? session->statement_ms : 3600000;
    if (lock_ms > 0 && lock_ms < ms)
        ms = lock_ms;
    session->waits = true;
    if (!session->timeout.place)
        simulate_plan(simulate, &session->timeout, simulate->now_ns + ms * SIMULATE_MS);
}

/* ---- one command ---- */

static void queue_error(struct model_session *session, PGresult *error)
{
    simulate_say(session->server->simulate, NULL, "server: %d: %s %s", session->pid,
                 error->sqlstate, error->message);
    queue_result(session, error);
    session->skips = true;
}

/* The rest of what is one statement after the other, and their end. */
static enum model_outcome run_simple(struct model_session *session, PGresult **ret)
{
    struct script script = script_begin(session->first->text, &postgresql_dialect);
    struct script_statement statement;
    enum model_outcome outcome = MODEL_DONE;
    if (!session->simple)
        session->simple = model_reply(false);
    for (int i = 0; outcome == MODEL_DONE && script_next(&script, &statement); i++) {
        if (i < session->simple->count)
            continue;
        char *text = strndup(statement.text, statement.length);
        outcome = model_transact(session, NULL, text, ret);
        free(text);
        if (*ret)
            model_reply_add(session->simple, *ret);
        session->waits_for[0] = outcome == MODEL_BLOCKED ? session->waits_for[0] : '\0';
    }
    if (outcome == MODEL_DONE) {
        outcome = model_end_implicit(session, ret);
        if (outcome == MODEL_FAILED)
            model_reply_add(session->simple, *ret);
    }
    return outcome;
}

static void simple_ended(struct model_session *session)
{
    queue_reply(session, session->simple);
    session->simple = NULL;
    flush_replies(session);
}

static enum model_outcome run_session_command(struct model_session *session, PGresult **ret)
{
    struct model_command *command = session->first;
    const char *text = command->text;
    switch (command->kind) {
    case MODEL_PARSE:
        free(map_remove(&session->prepared, command->name));
        map_put(&session->prepared, command->name, strdup(text));
        *ret = model_result(PGRES_COMMAND_OK, "");
        return MODEL_DONE;
    case MODEL_DESCRIBE:
        text = map_get(&session->prepared, command->name);
        *ret = model_result(PGRES_COMMAND_OK, "");
        (*ret)->parameters = text ? model_parameters(text) : 0;
        return MODEL_DONE;
    case MODEL_EXECUTE:
        text = text ? text : map_get(&session->prepared, command->name);
        if (text)
            return model_transact(session, command, text, ret);
        *ret = model_error("ERROR", "26000", "prepared statement does not exist");
        return MODEL_FAILED;
    case MODEL_SYNC:
        return model_end_implicit(session, ret);
    case MODEL_SIMPLE:
        return run_simple(session, ret);
    case MODEL_GONE:
        break;
    }
    return MODEL_DONE;
}

static bool is_skipped(struct model_session *session)
{
    enum model_kind kind = session->first->kind;
    if (!session->skips || kind == MODEL_SYNC || kind == MODEL_SIMPLE)
        return false;
    queue_result(session, model_result(PGRES_PIPELINE_ABORTED, ""));
    command_done(session);
    return true;
}

static void command_ended(struct model_session *session, PGresult *result, bool good)
{
    enum model_kind kind = session->first->kind;
    if (kind == MODEL_SIMPLE) {
        simple_ended(session);
    } else if (kind == MODEL_SYNC) {
        if (result)
            queue_error(session, result);
        session->skips = false;
        queue_result(session, model_result(PGRES_PIPELINE_SYNC, ""));
        flush_replies(session);
    } else if (good) {
        queue_result(session, result);
    } else {
        queue_error(session, result);
    }
    command_done(session);
}

static void leave_session(struct model_session *session)
{
    session->link = NULL;
    model_session_end(session, NULL, NULL);
}

static void on_step(struct simulate_event *event)
{
    struct model_session *session = event->owner;
    PGresult *result = NULL;
    if (!session->alive || !session->first)
        return;
    if (session->first->kind == MODEL_GONE) {
        leave_session(session);
        return;
    }
    if (is_skipped(session))
        return;
    session->waits_for[0] = '\0';
    enum model_outcome outcome = run_session_command(session, &result);
    if (outcome == MODEL_COMMITS) {
        model_session_plan(session, model_sync_ns(session->server));
        return;
    }
    if (outcome == MODEL_BLOCKED && model_lock_circle(session)) {
        result = model_error("ERROR", "40P01", "deadlock detected");
        session->failed = session->block;
        outcome = MODEL_FAILED;
        if (session->simple)
            model_reply_add(session->simple, result);
    }
    if (outcome == MODEL_BLOCKED) {
        wait_for_lock(session);
        return;
    }
    session->waits_for[0] = '\0';
    command_ended(session, result, outcome == MODEL_DONE);
    if (session->ends_after_commit && session->alive)
        model_session_end(session, "57P01", "terminating connection due to administrator command");
}

/* It has waited for a lock as long as it may. */
static void on_lock_timeout(struct simulate_event *event)
{
    struct model_session *session = event->owner;
    int64_t lock_ms = session->local_lock_ms >= 0 ? session->local_lock_ms : session->lock_ms;
    if (!session->alive || !session->first || !session->waits)
        return;
    PGresult *result =
        lock_ms > 0 ? model_error("ERROR", "55P03", "canceling statement due to lock timeout")
                    : model_error("ERROR", "57014", "canceling statement due to statement timeout");
    session->waits = false;
    session->waits_for[0] = '\0';
    if (session->block)
        session->failed = true;
    else
        model_rollback(session);
    if (session->simple)
        model_reply_add(session->simple, result);
    command_ended(session, result, false);
}

static void on_idle(struct simulate_event *event)
{
    model_session_end(event->owner, "25P03",
                      "terminating connection due to idle-in-transaction timeout");
}

/* ---- lives ---- */

static struct model_session *session_begin(struct model_server *server, struct model_link *link,
                                           const char *database, const char *application)
{
    struct model_session *session = calloc(1, sizeof *session);
    FH_ASSERT(session != NULL);
    session->server = server;
    session->database = model_database(server, database);
    session->link = link;
    session->pid = ++server->next_pid;
    snprintf(session->application, sizeof session->application, "%s", application);
    session->alive = true;
    session->last = &session->first;
    session->replies_last = &session->replies;
    session->said_last = &session->said;
    session->local_lock_ms = -1;
    map_init(&session->prepared);
    map_init(&session->rows);
    session->step = (struct simulate_event){.fire = on_step, .owner = session};
    session->timeout = (struct simulate_event){.fire = on_lock_timeout, .owner = session};
    session->idle = (struct simulate_event){.fire = on_idle, .owner = session};
    session->next = server->sessions;
    server->sessions = session;
    return session;
}

static void session_take(struct model_session *session, struct model_command *commands)
{
    if (!session->alive) {
        model_commands_free(commands);
        return;
    }
    simulate_cancel(session->server->simulate, &session->idle);
    bool rests = !session->first;
    *session->last = commands;
    while (*session->last)
        session->last = &(*session->last)->next;
    if (rests && session->first)
        model_session_plan(session, model_execution_ns(session->server));
}

const struct model_backend model_backend = {
    .begin = session_begin,
    .take = session_take,
};
