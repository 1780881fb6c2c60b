/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the ledger has as code on the server, by hand, since SQLite can't run it: fh_append,
 * fh_sequence and fh_fence (engine/postgresql/ledger_schema.c). Each takes the locks of the
 * original in the original's order, then runs as one step. What happens between two statements
 * inside of one is so not seen here: conformance tests stop the real ones there
 * (sequence_conformance, postgresql_number_conformance). And what the engine does before it joins
 * rows of several units of work: a lock on the table, and a look at the catalogue.
 */

#include "simulate/postgresql/model.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "store/ledger.h"

#define STARTED "freehold.saga.started"
#define COUNTER_ROW "fh_counter|1"
#define EVENTS_MAX 512

/* One statement on the transaction's view: "i" integers, "s" texts. Its first row's first column,
 * or 0. */
static int64_t run_on_view(struct model_view *view, const char *sql, const char *types, ...)
{
    sqlite3_stmt *statement = model_view_prepare(view, sql);
    va_list values;
    va_start(values, types);
    FH_ASSERT(statement != NULL);
    for (int i = 0; types[i]; i++) {
        if (types[i] == 'i')
            sqlite3_bind_int64(statement, i + 1, va_arg(values, int64_t));
        else
            sqlite3_bind_text(statement, i + 1, va_arg(values, const char *), -1, SQLITE_TRANSIENT);
    }
    va_end(values);
    int64_t first = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_reset(statement);
    return first;
}

/* Gives an event its position, and its key's former one. */
static void place_event(struct model_view *view, const char *id, const char *key, const char *type,
                        int64_t position)
{
    int64_t former = run_on_view(view, "SELECT position FROM fh_place WHERE key = ?1", "s", key);
    run_on_view(view, "UPDATE fh_outbox SET position = ?2, prev = ?3 WHERE event_id = ?1", "sii",
                id, position, former);
    if (strcmp(type, STARTED) != 0)
        run_on_view(
            view,
            "INSERT INTO fh_place (key, position) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET"
            " position = excluded.position",
            "si", key, position);
}

/* ---- fh_sequence ---- */

static void make_saga(struct model_view *view, const char *id, int64_t position)
{
    run_on_view(
        view,
        "INSERT INTO fh_saga (birth, number, name, input, state, status, epoch, deadline_ms,"
        " updated_ms, start_id, owner) SELECT data ->> 'birth', ?2, data ->> 'name',"
        " data ->> 'input', data ->> 'state', data ->> 'status', data ->> 'epoch',"
        " data ->> 'deadline_ms', data ->> 'updated_ms', event_id, data ->> 'owner'"
        " FROM fh_outbox WHERE event_id = ?1",
        "si", id, position);
    run_on_view(
        view,
        "INSERT INTO fh_saga_step (birth, number, step, element, attempt, target, request, state,"
        " receiver_position) SELECT o.data ->> 'birth', ?2, t.value ->> 'step',"
        " t.value ->> 'element', t.value ->> 'attempt', t.value ->> 'target',"
        " t.value ->> 'request', t.value ->> 'state', 0 FROM fh_outbox o,"
        " json_each(o.data, '$.steps') AS t WHERE o.event_id = ?1",
        "si", id, position);
}

struct fresh {
    char *id, *key, *type;
};

static int find_fresh(struct model_view *view, struct fresh fresh[EVENTS_MAX])
{
    sqlite3_stmt *statement = model_view_prepare(
        view, "SELECT event_id, key, type FROM fh_outbox WHERE position IS NULL ORDER BY seq");
    int count = 0;
    FH_ASSERT(statement != NULL);
    while (count < EVENTS_MAX && sqlite3_step(statement) == SQLITE_ROW) {
        fresh[count++] = (struct fresh){strdup((const char *)sqlite3_column_text(statement, 0)),
                                        strdup((const char *)sqlite3_column_text(statement, 1)),
                                        strdup((const char *)sqlite3_column_text(statement, 2))};
    }
    sqlite3_reset(statement);
    return count;
}

static int number_fresh(struct model_session *session, PGresult *result)
{
    static struct fresh fresh[EVENTS_MAX];
    struct model_view *view = session->view;
    int64_t last = run_on_view(view, "SELECT position FROM fh_counter WHERE one = 1", "");
    int count = find_fresh(view, fresh);
    bool known = count < EVENTS_MAX && !model_lock_others(session, MODEL_DRAWING);
    for (int i = 0; i < count; i++) {
        char position[24];
        snprintf(position, sizeof position, "%lld", (long long)++last);
        place_event(view, fresh[i].id, fresh[i].key, fresh[i].type, last);
        if (strcmp(fresh[i].type, STARTED) == 0)
            make_saga(view, fresh[i].id, last);
        model_result_row(result, (const char *const[]){fresh[i].id, position});
        free(fresh[i].id);
        free(fresh[i].key);
        free(fresh[i].type);
    }
    run_on_view(view,
                "UPDATE fh_counter SET position = ?1, drawn = coalesce(?2, drawn) WHERE one = 1",
                known ? "ii" : "i", last, session->database->sequence);
    return count;
}

static enum model_outcome by_sequence(struct model_session *session,
                                      const struct model_command *with, const char *text,
                                      PGresult **ret)
{
    (void)with, (void)text;
    if (!model_lock(session, MODEL_NUMBERING, false, false) ||
        !model_lock(session, COUNTER_ROW, false, false) ||
        !model_lock(session, MODEL_SCHEMA, true, false))
        return MODEL_BLOCKED;
    model_look(session); /* a fresh view, after the locks */
    model_write_begin(session);
    PGresult *result = model_result(PGRES_TUPLES_OK, "");
    model_result_columns(result, 2);
    result->names[0] = strdup("event_id");
    result->names[1] = strdup("position");
    result->types[1] = 20;
    int count = number_fresh(session, result);
    snprintf(result->tag, sizeof result->tag, "SELECT %d", count);
    session->notifies |= count > 0 && model_lock_others(session, MODEL_LISTENERS);
    enum model_outcome outcome = model_write_end(session, ret);
    if (outcome == MODEL_DONE)
        *ret = result;
    else
        model_result_free(result);
    return outcome;
}

/* ---- fh_append ---- */

/* The next element of an array's literal; NULL is NULL. False: there is none. */
static bool next_element(const char **at, char *out, size_t size, bool *ret_null)
{
    const char *from = *at;
    size_t used = 0;
    if (*from == '{' || *from == ',')
        from++;
    if (*from == '}' || !*from)
        return false;
    bool quoted = *from == '"';
    from += quoted;
    while (*from && (quoted ? *from != '"' : *from != ',' && *from != '}')) {
        if (*from == '\\')
            from++;
        FH_ASSERT(used + 1 < size);
        out[used++] = *from++;
    }
    out[used] = '\0';
    *at = from + quoted;
    *ret_null = !quoted && strcmp(out, "NULL") == 0;
    return true;
}

static bool lock_stripes(struct model_session *session, const char *stripes)
{
    char stripe[16], name[64];
    bool null;
    while (next_element(&stripes, stripe, sizeof stripe, &null)) {
        snprintf(name, sizeof name, "advisory freehold.keys.public %s", stripe);
        if (!model_lock(session, name, false, false))
            return false;
    }
    return true;
}

static int count_elements(const char *array)
{
    static char element[1 << 20];
    bool null;
    int count = 0;
    while (next_element(&array, element, sizeof element, &null))
        count++;
    return count;
}

/* Where they are written: in the order of the arrays. `first`: their positions, or 0. */
static void append_events(struct model_view *view, const struct model_command *with, int64_t seq,
                          int64_t first)
{
    static char words[7][1 << 20];
    const char *at[7];
    bool null[7] = {false};
    for (int i = 0; i < 7; i++)
        at[i] = with->values[i + 1];
    while (next_element(&at[0], words[0], sizeof words[0], &null[0])) {
        for (int i = 1; i < 7; i++)
            FH_ASSERT(next_element(&at[i], words[i], sizeof words[i], &null[i]));
        run_on_view(
            view,
            "INSERT INTO fh_outbox (seq, event_id, type, version, key, time_ms, data, trace)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            "isssssss", seq++, words[0], words[1], words[2], words[3], words[4], words[5],
            null[6] ? (const char *)NULL : words[6]);
        if (first)
            place_event(view, words[0], words[3], words[1], first++);
    }
}

/* Whether the next positions may be given in this transaction; and which was the last. */
static bool may_number(struct model_session *session, int64_t *ret_last, int64_t *ret_drawn)
{
    struct model_view *view = session->view;
    if (!model_lock_try(session, MODEL_NUMBERING, false))
        return false;
    if (model_changed_at(&session->database->rows, COUNTER_ROW) > session->snapshot ||
        model_lock_others(session, COUNTER_ROW))
        return false;
    *ret_last = run_on_view(view, "SELECT position FROM fh_counter WHERE one = 1", "");
    *ret_drawn = run_on_view(view, "SELECT drawn FROM fh_counter WHERE one = 1", "");
    return true;
}

static enum model_outcome by_append(struct model_session *session, const struct model_command *with,
                                    const char *text, PGresult **ret)
{
    char number[24];
    int64_t last = 0, drawn = -1;
    (void)text;
    model_look(session);
    if (!model_lock(session, MODEL_SCHEMA, true, false) || !lock_stripes(session, with->values[0]))
        return MODEL_BLOCKED;
    model_lock(session, MODEL_DRAWING, true, false);
    bool numbers = strcmp(with->values[8], "1") == 0 && may_number(session, &last, &drawn);
    int count = count_elements(with->values[1]);
    int64_t seq = session->database->sequence + 1;
    session->database->sequence += count;
    numbers = numbers && drawn >= 0 && seq == drawn + 1;
    model_write_begin(session);
    append_events(session->view, with, seq, numbers ? last + 1 : 0);
    if (numbers)
        run_on_view(session->view, "UPDATE fh_counter SET position = ?1, drawn = ?2 WHERE one = 1",
                    "ii", last + count, drawn + count);
    session->notifies |= numbers;
    enum model_outcome outcome = model_write_end(session, ret);
    if (outcome != MODEL_DONE)
        return outcome;
    snprintf(number, sizeof number, "%lld", (long long)last + 1);
    *ret = model_result(PGRES_TUPLES_OK, "SELECT 1");
    model_result_columns(*ret, 1);
    (*ret)->names[0] = strdup("fh_append");
    (*ret)->types[0] = 20;
    model_result_row(*ret, (const char *const[]){numbers ? number : NULL});
    return MODEL_DONE;
}

/* ---- fh_fence ---- */

/* The update inside of it; then, where it has changed nothing, why. */
static enum model_outcome by_fence(struct model_session *session, const struct model_command *with,
                                   const char *text, PGresult **ret)
{
    static const char before[] = "WITH moved AS (";
    const char *end = strstr(text, " RETURNING 1)");
    FH_ASSERT(end != NULL);
    char *update = strndup(text + strlen(before), (size_t)(end - text) - strlen(before));
    enum model_outcome outcome = model_statement(session, with, update, ret);
    free(update);
    if (outcome != MODEL_DONE)
        return outcome;
    bool moved = strcmp((*ret)->tag, "UPDATE 1") == 0;
    model_result_free(*ret);
    *ret = model_result(PGRES_TUPLES_OK, "SELECT 1");
    if (moved)
        return MODEL_DONE;
    model_result_free(*ret);
    bool there = run_on_view(session->view,
                             "SELECT 1 FROM fh_saga WHERE birth = ?1 AND number = ?2 AND epoch = ?3"
                             " AND status NOT IN ('ended', 'undone', 'abandoned')",
                             "sss", with->values[0], with->values[1], with->values[2]);
    *ret = there ? model_error("ERROR", "40001", "The row of the saga was moved.")
                 : model_error("ERROR", LEDGER_FENCED, LEDGER_SAGA_FENCED);
    return MODEL_FAILED;
}

/* ---- a table, before rows are joined ---- */

/* Takes no snapshot of its transaction's. */
static bool has_table(struct model_session *session, const char *name)
{
    struct model_view *view = model_view_take(session->database, session);
    bool has = run_on_view(
        view, "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = trim(?1, '\"')", "s",
        name);
    model_view_give_back(view);
    return has;
}

static enum model_outcome by_lock(struct model_session *session, const struct model_command *with,
                                  const char *text, PGresult **ret)
{
    static const char before[] = "LOCK TABLE ";
    const char *table = text + sizeof before - 1, *end = strstr(table, " IN ROW EXCLUSIVE MODE");
    char name[80];
    (void)with;
    FH_ASSERT(end != NULL);
    snprintf(name, sizeof name, "%.*s", (int)(end - table), table);
    if (!model_lock(session, MODEL_SCHEMA, true, false))
        return MODEL_BLOCKED;
    bool has = has_table(session, name);
    *ret = has ? model_result(PGRES_COMMAND_OK, "LOCK TABLE")
               : model_error("ERROR", "42P01", "relation does not exist");
    return has ? MODEL_DONE : MODEL_FAILED;
}

/* Triggers and rules of services' own are not modelled, nor checks that call functions. */
static enum model_outcome by_look(struct model_session *session, const struct model_command *with,
                                  const char *text, PGresult **ret)
{
    (void)text;
    model_look(session);
    bool plain = run_on_view(session->view,
                             "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name ="
                             " trim(?1, '\"') AND NOT EXISTS (SELECT 1 FROM"
                             " pragma_foreign_key_list(name) AS k WHERE k.\"table\" = name)",
                             "s", with->values[0]);
    *ret = model_result(PGRES_TUPLES_OK, plain ? "SELECT 1" : "SELECT 0");
    model_result_columns(*ret, 1);
    (*ret)->names[0] = strdup("?column?");
    if (plain)
        model_result_row(*ret, (const char *const[]){"1"});
    return MODEL_DONE;
}

model_by_hand *model_ledger(const char *text)
{
    static const struct {
        const char *begins;
        model_by_hand *runs;
    } known[] = {{"SELECT event_id, position FROM fh_sequence(", by_sequence},
                 {"SELECT fh_append(", by_append},
                 {"LOCK TABLE ", by_lock},
                 {"SELECT 1 FROM pg_catalog.pg_class c WHERE c.oid = ", by_look},
                 {"WITH moved AS (UPDATE fh_saga SET ", by_fence}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strncmp(text, known[i].begins, strlen(known[i].begins)) == 0)
            return known[i].runs;
    }
    return NULL;
}
