/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parked events: fh_parked_key has the keys with parked events and how many there are, fh_parked
 * the events. A key exists exactly as long as it has events: whoever takes the last one removes the
 * key, in the same unit of work. Units of work that apply and those that retry both read
 * fh_parked_key first; with one writer that is the lock.
 */

#include <inttypes.h>
#include <stdio.h>

#include "store/relational/ledger.h"
#include "store/relational/ledger_sql.h"

enum fh_code sql_ledger_parked_any(struct store_work *work, const char *source,
                                   const char *partition, bool *ret, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(source), sql_text(partition)};
    int64_t found = 0;
    enum fh_code code = ledger_integer(
        work,
        "SELECT count(*) FROM (SELECT 1 FROM fh_parked_key WHERE source = ?1 AND share = ?2"
        " LIMIT 1) AS found",
        values, 2, &found, error);
    *ret = found != 0;
    return code;
}

enum fh_code sql_ledger_parked_has(struct store_work *work, const char *source,
                                   const char *partition, const char *key, bool *ret,
                                   struct fh_error *error)
{
    struct sql_value values[] = {sql_text(source), sql_text(partition), sql_text(key)};
    int64_t found = 0;
    enum fh_code code =
        ledger_integer(work,
                       "SELECT count(*) FROM fh_parked_key WHERE source = ?1 AND share = ?2"
                       " AND fh_parked_key.key = ?3",
                       values, 3, &found, error);
    *ret = found != 0;
    return code;
}

static bool take_counts(void *context, const struct sql_row *row)
{
    struct ledger_parked_counts *counts = context;
    counts->keys = row->values[0].integer;
    counts->events = row->values[1].integer;
    counts->oldest_ms = row->values[2].kind == SQL_INTEGER ? row->values[2].integer : 0;
    return true;
}

enum fh_code sql_ledger_parked_count(struct store_work *work, const char *source,
                                     const char *partition, struct ledger_parked_counts *ret,
                                     struct fh_error *error)
{
    struct sql_value values[] = {sql_text(source), sql_text(partition)};
    *ret = (struct ledger_parked_counts){0};
    return sql_run(work, ledger_sql(work, LEDGER_PARKED_COUNT), values, 2, take_counts, ret, NULL,
                   error);
}

enum fh_code sql_ledger_parked_put(struct store_work *work, const struct ledger_parked *parked,
                                   struct fh_error *error)
{
    struct sql_value key[] = {sql_text(parked->source), sql_text(parked->partition),
                              sql_text(parked->key),
                              sql_integer(parked->time_ms ? parked->time_ms : parked->parked_ms)};
    enum fh_code code = ledger_do(work, ledger_sql(work, LEDGER_PARKED_KEY_PUT), key,
                                  LEDGER_COUNT(key), NULL, error);
    if (code != FH_OK)
        return code;
    struct sql_value values[] = {
        sql_text(parked->source),       sql_text(parked->partition),   sql_text(parked->key),
        sql_integer(parked->position),  sql_text(parked->event_id),    sql_text(parked->type),
        sql_integer(parked->time_ms),   sql_integer(parked->attempts), sql_text(parked->error),
        sql_integer(parked->parked_ms), sql_text(parked->event)};
    return ledger_do(work, ledger_sql(work, LEDGER_PARKED_PUT), values, LEDGER_COUNT(values), NULL,
                     error);
}

static enum fh_code row_not_as_read(int64_t position, struct fh_error *error)
{
    return error_set(error, FH_CONFLICT,
                     "The event at %" PRId64 " is not the first that is parked under its key any "
                     "more, or was tried or edited meanwhile.",
                     position);
}

enum fh_code sql_ledger_parked_take(struct store_work *work, const struct ledger_parked *parked,
                                    bool *ret_unparked, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(parked->source), sql_text(parked->partition),
                                 sql_text(parked->key), sql_integer(parked->position),
                                 sql_integer(parked->attempts)};
    int64_t taken = 0, unparked = 0;
    enum fh_code code =
        ledger_do(work,
                  "DELETE FROM fh_parked WHERE source = ?1 AND share = ?2 AND fh_parked.key = ?3"
                  " AND position = ?4 AND attempts = ?5 AND NOT EXISTS (SELECT 1 FROM fh_parked b"
                  " WHERE b.source = ?1 AND b.share = ?2 AND b.key = ?3 AND b.position < ?4)",
                  values, 5, &taken, error);
    if (code == FH_OK && taken == 0)
        return row_not_as_read(parked->position, error);
    if (code == FH_OK)
        code = ledger_do(work,
                         "UPDATE fh_parked_key SET events = events - 1, oldest_ms = coalesce("
                         "(SELECT CASE time_ms WHEN 0 THEN parked_ms ELSE time_ms END"
                         " FROM fh_parked a WHERE a.source = ?1 AND a.share = ?2 AND a.key = ?3"
                         " ORDER BY position LIMIT 1), 0)"
                         " WHERE source = ?1 AND share = ?2 AND fh_parked_key.key = ?3",
                         values, 3, NULL, error);
    if (code == FH_OK)
        code = ledger_do(work,
                         "DELETE FROM fh_parked_key WHERE source = ?1 AND share = ?2"
                         " AND fh_parked_key.key = ?3 AND events = 0",
                         values, 3, &unparked, error);
    *ret_unparked = unparked != 0;
    return code;
}

enum fh_code sql_ledger_parked_edit(struct store_work *work, const struct ledger_parked *parked,
                                    struct fh_error *error)
{
    struct sql_value values[] = {sql_text(parked->source),      sql_text(parked->partition),
                                 sql_text(parked->key),         sql_integer(parked->position),
                                 sql_integer(parked->attempts), sql_text(parked->event)};
    int64_t changed = 0;
    enum fh_code code =
        ledger_do(work,
                  "UPDATE fh_parked SET attempts = attempts + 1, event = ?6 WHERE source = ?1"
                  " AND share = ?2 AND fh_parked.key = ?3 AND position = ?4 AND attempts = ?5",
                  values, LEDGER_COUNT(values), &changed, error);
    return code == FH_OK && changed == 0 ? row_not_as_read(parked->position, error) : code;
}

enum fh_code sql_ledger_parked_failed(struct store_work *work, const struct ledger_parked *parked,
                                      struct fh_error *error)
{
    struct sql_value values[] = {sql_text(parked->source), sql_text(parked->partition),
                                 sql_text(parked->key), sql_integer(parked->position),
                                 sql_text(parked->error)};
    return ledger_do(work,
                     "UPDATE fh_parked SET attempts = attempts + 1, error = ?5 WHERE source = ?1"
                     " AND share = ?2 AND fh_parked.key = ?3 AND position = ?4",
                     values, LEDGER_COUNT(values), NULL, error);
}

/* ---- reading ---- */

struct parked_visit {
    bool (*visit)(void *context, const struct ledger_parked *parked);
    void *context;
};

static struct ledger_parked parked_of_row(const struct sql_value *v)
{
    return (struct ledger_parked){.source = ledger_word(&v[0]),
                                  .partition = ledger_word(&v[1]),
                                  .key = ledger_word(&v[2]),
                                  .position = v[3].integer,
                                  .event_id = ledger_word(&v[4]),
                                  .type = ledger_word(&v[5]),
                                  .time_ms = v[6].integer,
                                  .attempts = v[7].integer,
                                  .error = ledger_word(&v[8]),
                                  .parked_ms = v[9].integer,
                                  .event = ledger_word(&v[10])};
}

static bool visit_key(void *context, const struct sql_row *row)
{
    const struct parked_visit *to = context;
    struct ledger_parked parked = parked_of_row(row->values);
    parked.waiting = row->values[11].integer;
    return to->visit(to->context, &parked);
}

#define PARKED_COLUMNS                                                                             \
    "a.source, a.share, a.key, a.position, a.event_id, a.type, a.time_ms, a.attempts, a.error,"    \
    " a.parked_ms"

enum fh_code sql_ledger_parked_keys(struct store_work *work, const char *source, int limit,
                                    bool (*visit)(void *context,
                                                  const struct ledger_parked *parked),
                                    void *context, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(source ? source : ""), sql_integer(limit)};
    struct parked_visit to = {visit, context};
    return sql_run(work,
                   "SELECT " PARKED_COLUMNS ", '', k.events FROM fh_parked_key k"
                   " JOIN fh_parked a ON a.source = k.source AND a.share = k.share"
                   " AND a.key = k.key AND a.position = (SELECT min(b.position)"
                   " FROM fh_parked b WHERE b.source = k.source AND b.share = k.share"
                   " AND b.key = k.key) WHERE (?1 = '' OR k.source = ?1)"
                   " ORDER BY k.source, k.share, a.position LIMIT ?2",
                   values, 2, visit_key, &to, NULL, error);
}

/* The partitions with a key's events: one, as long as the subscription keeps its number of
 * partitions. */
#define PARTITION_SIZE 33 /* MariaDB's column has 32 characters */
#define PARTITIONS_MAX 16

struct places {
    struct {
        char partition[PARTITION_SIZE];
        int64_t waiting;
    } places[PARTITIONS_MAX];
    int count;
};

static bool take_parked_place(void *context, const struct sql_row *row)
{
    struct places *places = context;
    snprintf(places->places[places->count].partition, PARTITION_SIZE, "%s",
             ledger_word(&row->values[0]));
    places->places[places->count].waiting = row->values[1].integer;
    return ++places->count < PARTITIONS_MAX;
}

struct events_visit {
    struct parked_visit to;
    int64_t waiting;
    int left;
    bool goes_on;
};

static bool visit_event_of_key(void *context, const struct sql_row *row)
{
    struct events_visit *visiting = context;
    struct ledger_parked parked = parked_of_row(row->values);
    parked.waiting = visiting->waiting;
    visiting->left--;
    visiting->goes_on = visiting->to.visit(visiting->to.context, &parked);
    return visiting->goes_on;
}

/* Two queries, each of which reads only the rows it returns: the first event of a key is one row to
 * read, however many wait after it. */
enum fh_code
sql_ledger_parked_events(struct store_work *work, const char *source, const char *key, int limit,
                         bool (*visit)(void *context, const struct ledger_parked *parked),
                         void *context, struct fh_error *error)
{
    struct sql_value of[] = {sql_text(source), sql_text(key)};
    struct places places = {.count = 0};
    struct events_visit visiting = {{visit, context}, 0, limit, true};
    enum fh_code code = sql_run(work,
                                "SELECT share, events FROM fh_parked_key WHERE source = ?1"
                                " AND fh_parked_key.key = ?2 ORDER BY share",
                                of, 2, take_parked_place, &places, NULL, error);
    for (int i = 0; i < places.count && code == FH_OK && visiting.goes_on && visiting.left; i++) {
        struct sql_value values[] = {sql_text(source), sql_text(key),
                                     sql_text(places.places[i].partition),
                                     sql_integer(visiting.left)};
        visiting.waiting = places.places[i].waiting;
        code = sql_run(work,
                       "SELECT " PARKED_COLUMNS ", a.event FROM fh_parked a"
                       " WHERE a.source = ?1 AND a.share = ?3 AND a.key = ?2"
                       " ORDER BY a.position LIMIT ?4",
                       values, 4, visit_event_of_key, &visiting, NULL, error);
    }
    return code;
}
