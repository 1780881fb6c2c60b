/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger on relational engines: timers. The primary key of fh_timer begins with the kind and
 * the due time, so that those that are due first are read from its beginning, however many stand
 * behind them.
 */

#include <stdio.h>

#include "base/json.h"
#include "store/relational/ledger.h"
#include "store/relational/ledger_sql.h"

#define TAKEN_TOGETHER 50 /* names in one statement */
#define TIMER_COLUMNS "kind, due_ms, name, handler, data, trace, attempts, error"

enum fh_code sql_ledger_timer_put(struct store_work *work, const struct ledger_timer *timer,
                                  struct fh_error *error)
{
    struct sql_value values[] = {sql_text(timer->kind),        sql_integer(timer->due_ms),
                                 sql_text(timer->name),        sql_text(timer->handler),
                                 sql_text(timer->data),        sql_text(timer->trace),
                                 sql_integer(timer->attempts), sql_text(timer->error)};
    return ledger_do(work,
                     "INSERT INTO fh_timer (" TIMER_COLUMNS ")"
                     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                     values, LEDGER_COUNT(values), NULL, error);
}

static enum fh_code take_timer(struct store_work *work, const struct ledger_timer *timer,
                               int64_t *ret_taken, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(timer->kind), sql_integer(timer->due_ms),
                                 sql_text(timer->name)};
    return ledger_do(work, "DELETE FROM fh_timer WHERE kind = ?1 AND due_ms = ?2 AND name = ?3",
                     values, LEDGER_COUNT(values), ret_taken, error);
}

/* How many of these are taken by one statement. All that is due before the last one's time was
 * read, so a range of such times holds few others; of the last one's time there may be a million.
 */
static int count_together(const struct ledger_timer *timers, int count)
{
    int64_t last_ms = timers[count - 1].due_ms;
    bool same = timers[0].due_ms == last_ms;
    int some = 0;
    while (some < count && some < TAKEN_TOGETHER && (same || timers[some].due_ms < last_ms))
        some++;
    return some;
}

/* Each statement is one text, so that it is compiled once: the last name fills what is left. The
 * due times are in order. */
static enum fh_code take_timers_together(struct store_work *work, const struct ledger_timer *timers,
                                         int count, int64_t *ret_taken, struct fh_error *error)
{
    char sql[160 + TAKEN_TOGETHER * 5];
    bool same = timers[0].due_ms == timers[count - 1].due_ms;
    struct sql_value values[3 + TAKEN_TOGETHER] = {sql_text(timers[0].kind),
                                                   sql_integer(timers[0].due_ms),
                                                   sql_integer(timers[count - 1].due_ms)};
    int used = same ? 2 : 3;
    int length =
        snprintf(sql, sizeof sql, "DELETE FROM fh_timer WHERE kind = ?1 AND %s AND name IN",
                 same ? "due_ms = ?2" : "due_ms >= ?2 AND due_ms <= ?3");
    for (int i = 0; i < TAKEN_TOGETHER; i++) {
        values[used++] = sql_text(timers[i < count ? i : count - 1].name);
        length +=
            snprintf(sql + length, sizeof sql - (size_t)length, "%s?%d", i ? ", " : " (", used);
    }
    snprintf(sql + length, sizeof sql - (size_t)length, ")");
    return ledger_do(work, sql, values, used, ret_taken, error);
}

/* Never ""; NULL: no memory. */
static char *names_text(const struct ledger_timer *timers, int count)
{
    json_t *names = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(names, json_string(timers[i].name));
    char *text = json_array_size(names) == (size_t)count ? json_text(names) : NULL;
    json_decref(names);
    return text;
}

/* They stand side by side in the index, so that a range of keys finds them and few others. */
static enum fh_code take_range(struct store_work *work, const struct ledger_timer *timers,
                               int count, int64_t *ret_taken, struct fh_error *error)
{
    const struct ledger_timer *last = &timers[count - 1];
    struct arena *before = json_arena_set(NULL);
    char *names = names_text(timers, count);
    json_arena_set(before);
    if (!names)
        return error_set(error, FH_NO_MEMORY, "There is no memory to take %d timers.", count);
    struct sql_value values[] = {
        sql_text(names),        sql_text(timers->kind),    sql_integer(timers->due_ms),
        sql_text(timers->name), sql_integer(last->due_ms), sql_text(last->name)};
    enum fh_code code = ledger_do(work, ledger_sql(work, LEDGER_TIMERS_TAKE), values,
                                  LEDGER_COUNT(values), ret_taken, error);
    before = json_arena_set(NULL);
    json_text_free(names);
    json_arena_set(before);
    return code;
}

enum fh_code sql_ledger_timers_take(struct store_work *work, const struct ledger_timer *timers,
                                    int count, int64_t *ret_taken, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    *ret_taken = 0;
    if (count > 1 && ledger_sql(work, LEDGER_TIMERS_TAKE))
        return take_range(work, timers, count, ret_taken, error);
    for (int at = 0; at < count && code == FH_OK;) {
        int some = count_together(timers + at, count - at);
        int64_t taken = 0;
        code = some == 1 ? take_timer(work, &timers[at], &taken, error)
                         : take_timers_together(work, &timers[at], some, &taken, error);
        *ret_taken += taken;
        at += some;
    }
    return code;
}

struct timer_visit {
    bool (*visit)(void *context, const struct ledger_timer *timer);
    void *context;
};

static struct ledger_timer timer_of_row(const struct sql_row *row)
{
    const struct sql_value *v = row->values;
    return (struct ledger_timer){.kind = ledger_word(&v[0]),
                                 .due_ms = v[1].integer,
                                 .name = ledger_word(&v[2]),
                                 .handler = ledger_word(&v[3]),
                                 .data = ledger_word(&v[4]),
                                 .trace = v[5].kind == SQL_TEXT ? v[5].text : NULL,
                                 .attempts = v[6].integer,
                                 .error = ledger_word(&v[7])};
}

static bool visit_timer_row(void *context, const struct sql_row *row)
{
    const struct timer_visit *to = context;
    struct ledger_timer timer = timer_of_row(row);
    return to->visit(to->context, &timer);
}

enum fh_code sql_ledger_timers_read(struct store_work *work, const char *kind, int limit,
                                    bool (*visit)(void *context, const struct ledger_timer *timer),
                                    void *context, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(kind), sql_integer(limit)};
    struct timer_visit to = {visit, context};
    return sql_run(work,
                   "SELECT " TIMER_COLUMNS " FROM fh_timer WHERE kind = ?1"
                   " ORDER BY due_ms, name LIMIT ?2",
                   values, LEDGER_COUNT(values), visit_timer_row, &to, NULL, error);
}

struct timer_found {
    struct arena *arena;
    struct ledger_timer *timer;
    bool found;
};

static bool keep_timer_row(void *context, const struct sql_row *row)
{
    struct timer_found *found = context;
    const struct sql_value *v = row->values;
    *found->timer = timer_of_row(row);
    found->timer->kind = ledger_copy(found->arena, &v[0]);
    found->timer->name = ledger_copy(found->arena, &v[2]);
    found->timer->handler = ledger_copy(found->arena, &v[3]);
    found->timer->data = ledger_copy(found->arena, &v[4]);
    found->timer->trace = ledger_copy(found->arena, &v[5]);
    found->timer->error = ledger_copy(found->arena, &v[7]);
    found->found = true;
    return false;
}

enum fh_code sql_ledger_timer_get(struct store_work *work, struct arena *arena, const char *kind,
                                  int64_t due_ms, const char *name, struct ledger_timer *ret,
                                  struct fh_error *error)
{
    struct sql_value values[] = {sql_text(kind), sql_integer(due_ms), sql_text(name)};
    struct timer_found found = {.arena = arena, .timer = ret};
    enum fh_code code = sql_run(work,
                                "SELECT " TIMER_COLUMNS " FROM fh_timer"
                                " WHERE kind = ?1 AND due_ms = ?2 AND name = ?3",
                                values, LEDGER_COUNT(values), keep_timer_row, &found, NULL, error);
    if (code == FH_OK && !found.found)
        return error_set(error, FH_NOT_FOUND, "There is no such timer.");
    return code;
}

enum fh_code sql_ledger_timers_count(struct store_work *work, const char *kind, int64_t most,
                                     int64_t *ret, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(kind), sql_integer(most)};
    return ledger_integer(work,
                          "SELECT count(*) FROM (SELECT 1 FROM fh_timer WHERE kind = ?1 LIMIT ?2)"
                          " AS found",
                          values, LEDGER_COUNT(values), ret, error);
}
