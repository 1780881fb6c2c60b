/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PostgreSQL's functions that statements call, as functions of SQLite's. A hash is the text itself:
 * so a lock's name says what it is for. One that has to wait fails its statement, which is then
 * taken back and run again. When a transaction's statements are run again at its commit nothing is
 * drawn and nothing locked.
 */

#include "simulate/postgresql/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static struct model_view *function_view(sqlite3_context *context)
{
    return sqlite3_user_data(context);
}

static const char *value_text(sqlite3_value *value)
{
    const unsigned char *text = sqlite3_value_text(value);
    return text ? (const char *)text : "";
}

static void answer_text(sqlite3_context *context, const char *text)
{
    sqlite3_result_text(context, text, -1, SQLITE_TRANSIENT);
}

static void call_nextval(sqlite3_context *context, int count, sqlite3_value **values)
{
    struct model_view *view = function_view(context);
    (void)count, (void)values;
    if (view->replays || !view->session) {
        sqlite3_result_int64(context, 0);
        return;
    }
    model_lock(view->session, MODEL_DRAWING, true, false); /* the trigger's: free of waiting */
    sqlite3_result_int64(context, ++view->database->sequence);
}

static void call_place(sqlite3_context *context, int count, sqlite3_value **values)
{
    char place[32];
    (void)count, (void)values;
    snprintf(place, sizeof place, "(0,%lld)", (long long)++function_view(context)->database->place);
    answer_text(context, place);
}

static void call_hash(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    answer_text(context, value_text(values[0]));
}

static void call_schema(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count, (void)values;
    answer_text(context, "public");
}

static void call_setting(sqlite3_context *context, int count, sqlite3_value **values)
{
    static const char *const settings[][2] = {
        {"server_version_num", "150000"}, {"fsync", "on"}, {"synchronous_commit", "on"}};
    const char *name = value_text(values[0]);
    (void)count;
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        if (strcmp(settings[i][0], name) == 0)
            answer_text(context, settings[i][1]);
    }
    if (strcmp(name, "application_name") == 0 && function_view(context)->session)
        answer_text(context, function_view(context)->session->application);
}

static void call_recovery(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count, (void)values;
    answer_text(context, "f");
}

static void call_pid(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count, (void)values;
    sqlite3_result_int(context, function_view(context)->session->pid);
}

/* Whoever listens is told at the commit. */
static void call_notify(sqlite3_context *context, int count, sqlite3_value **values)
{
    struct model_view *view = function_view(context);
    (void)count, (void)values;
    if (!view->replays && view->session)
        view->session->notifies = true;
    answer_text(context, "");
}

/* The server's own clock, which is right; in milliseconds, as an interval is here. */
static void call_now_ms(sqlite3_context *context, int count, sqlite3_value **values)
{
    struct simulate *simulate = function_view(context)->database->server->simulate;
    (void)count, (void)values;
    sqlite3_result_int64(context, SIMULATE_WALL_MS + simulate->now_ns / SIMULATE_MS);
}

static void call_recent(sqlite3_context *context, int count, sqlite3_value **values)
{
    struct model_view *view = function_view(context);
    (void)count, (void)values;
    if (!view->replays && model_has_forgotten(view->session))
        sqlite3_result_error(context, MODEL_NOT_RECENT, -1);
    else
        sqlite3_result_int(context, 1);
}

static void lock_name(char *name, size_t size, int count, sqlite3_value **values)
{
    if (count == 2)
        snprintf(name, size, "advisory %s %s", value_text(values[0]), value_text(values[1]));
    else
        snprintf(name, size, "advisory %s", value_text(values[0]));
}

static void lock_advisory(sqlite3_context *context, int count, sqlite3_value **values, bool shared,
                          bool of_session)
{
    struct model_view *view = function_view(context);
    char name[200];
    lock_name(name, sizeof name, count, values);
    if (!view->replays && !model_lock(view->session, name, shared, of_session))
        sqlite3_result_error(context, "it waits", -1);
    else
        answer_text(context, "");
}

static void call_lock(sqlite3_context *context, int count, sqlite3_value **values)
{
    lock_advisory(context, count, values, false, false);
}

static void call_lock_shared(sqlite3_context *context, int count, sqlite3_value **values)
{
    lock_advisory(context, count, values, true, true);
}

static void call_try_lock(sqlite3_context *context, int count, sqlite3_value **values)
{
    struct model_session *session = function_view(context)->session;
    char name[200];
    lock_name(name, sizeof name, count, values);
    bool had = model_lock(session, name, false, true);
    session->waits_for[0] = '\0';
    answer_text(context, had ? "t" : "f");
}

static void call_unlock(sqlite3_context *context, int count, sqlite3_value **values)
{
    struct model_session *session = function_view(context)->session;
    char name[200];
    lock_name(name, sizeof name, count, values);
    struct model_lock **at = &session->database->locks;
    while (*at && ((*at)->owner != session || strcmp((*at)->name, name) != 0))
        at = &(*at)->next;
    struct model_lock *had = *at;
    if (had) {
        *at = had->next;
        free(had->name);
        free(had);
    }
    answer_text(context, had ? "t" : "f");
}

void model_functions(struct model_view *view)
{
    static const struct {
        const char *name;
        int arguments;
        void (*call)(sqlite3_context *context, int count, sqlite3_value **values);
    } functions[] = {
        {"nextval", 1, call_nextval},
        {"next_place", 0, call_place},
        {"hashtext", 1, call_hash},
        {"hashtextextended", 2, call_hash},
        {"current_schema", 0, call_schema},
        {"current_setting", 1, call_setting},
        {"pg_is_in_recovery", 0, call_recovery},
        {"pg_backend_pid", 0, call_pid},
        {"pg_notify", 2, call_notify},
        {"now", 0, call_now_ms},
        {"fh_recent", 0, call_recent},
        {"pg_advisory_xact_lock", 2, call_lock},
        {"pg_advisory_lock_shared", 1, call_lock_shared},
        {"pg_try_advisory_lock", 1, call_try_lock},
        {"pg_advisory_unlock", 1, call_unlock},
    };
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
        FH_ASSERT(sqlite3_create_function(view->sql, functions[i].name, functions[i].arguments,
                                          SQLITE_UTF8, view, functions[i].call, NULL,
                                          NULL) == SQLITE_OK);
}
