/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of a series' roll-ups, and what becomes of the intervals in them when the service
 * declares others, in the one unit of work that prepares its derived stores:
 *
 *     declared, and not in the store     nothing: the sweep makes them
 *     in the store, and not declared,    the sweep merges them into those: the time up to which
 *     but fits into longer ones          there are any is theirs from now on
 *     in the store, and fits into none   refused: nobody else has them
 *
 * The tables are there once the series has declared roll-ups, and go once it declares none and
 * there are no intervals.
 */

#include "store/derived/series_rollup.h"

#include <stdio.h>

#include "store/relational/catalog.h"

static bool take_rollup_integer(void *context, const struct sql_row *row)
{
    *(int64_t *)context = row->values[0].integer;
    return false;
}

static enum fh_code run_rollup_text(struct store_work *work, struct text *sql,
                                    struct fh_error *error)
{
    FH_ASSERT(!sql->overflow);
    enum fh_code code = sql_run(work, sql->data, NULL, 0, NULL, NULL, NULL, error);
    text_release(sql);
    return code;
}

/* ---- Lengths ---- */

struct reading_lengths {
    const struct fh_derived *declared;
    struct series_lengths *lengths;
    bool more; /* than there is room for */
};

static bool take_rollup_length(void *context, const struct sql_row *row)
{
    struct reading_lengths *reading = context;
    struct series_lengths *lengths = reading->lengths;
    int64_t every_ms = row->values[0].integer;
    int level = 0, count = series_rollup_count(reading->declared);
    if (every_ms == 0) {
        lengths->points_ms = row->values[1].integer;
        return true;
    }
    reading->more = lengths->count == SERIES_LENGTHS_MAX;
    if (reading->more)
        return false;
    while (level < count && reading->declared->rollups[level].every_ms != every_ms)
        level++;
    lengths->lengths[lengths->count++] =
        (struct series_length){every_ms, row->values[1].integer, level < count ? level : -1};
    return true;
}

enum fh_code series_rollups_lengths(struct store_work *work, const struct fh_derived *declared,
                                    int64_t number, struct series_lengths *ret,
                                    struct fh_error *error)
{
    char sql[96];
    struct reading_lengths reading = {.declared = declared, .lengths = ret};
    *ret = (struct series_lengths){.points_ms = -SERIES_AT_MS_MAX};
    snprintf(sql, sizeof sql,
             "SELECT every, until FROM fh_derived_%lld_rollup_until ORDER BY every",
             (long long)number);
    enum fh_code code = sql_run(work, sql, NULL, 0, take_rollup_length, &reading, NULL, error);
    if (code == FH_OK && reading.more)
        return error_set(error, FH_UNSUPPORTED,
                         "The series %s has roll-ups of more than %d lengths: declare it as it "
                         "was, until those that are not declared any more are merged.",
                         declared->name, SERIES_LENGTHS_MAX);
    return code;
}

enum fh_code series_rollups_set(struct store_work *work, int64_t number, int64_t every_ms,
                                int64_t until_ms, struct fh_error *error)
{
    char sql[128];
    const struct sql_value values[] = {sql_integer(every_ms), sql_integer(until_ms)};
    snprintf(sql, sizeof sql,
             "INSERT OR REPLACE INTO fh_derived_%lld_rollup_until (every, until) VALUES (?1, ?2)",
             (long long)number);
    return sql_run(work, sql, values, 2, NULL, NULL, NULL, error);
}

enum fh_code series_rollups_moved(struct store_work *work, int64_t number, int64_t *ret,
                                  struct fh_error *error)
{
    char sql[112];
    snprintf(sql, sizeof sql, "SELECT until FROM fh_derived_%lld_rollup_until WHERE every = 0",
             (long long)number);
    return sql_run(work, sql, NULL, 0, take_rollup_integer, ret, NULL, error);
}

void series_rollups_list(struct text *sql, const struct series_lengths *lengths)
{
    for (int i = 0; i < lengths->count; i++)
        text_printf(sql, "%s%lld", i ? ", " : "", (long long)lengths->lengths[i].every_ms);
}

/* ---- Tables ---- */

static enum fh_code create_rollups(struct store_work *work, const struct fh_derived *declared,
                                   int64_t number, struct fh_error *error)
{
    struct text sql;
    text_init(&sql, DERIVED_SQL_SIZE);
    text_printf(&sql,
                "CREATE TABLE fh_derived_%lld_rollup (every INTEGER NOT NULL, curve INTEGER NOT "
                "NULL, at INTEGER NOT NULL, points INTEGER NOT NULL",
                (long long)number);
    for (int i = 0; declared->fields[i].name; i++) {
        if (!series_is_tag(&declared->fields[i]))
            text_printf(&sql, ", v%d", i);
    }
    text_add(&sql, ", PRIMARY KEY (every, curve, at)) WITHOUT ROWID");
    enum fh_code code = run_rollup_text(work, &sql, error);
    if (code != FH_OK)
        return code;
    text_init(&sql, DERIVED_SQL_SIZE);
    text_printf(&sql,
                "CREATE TABLE fh_derived_%lld_rollup_until (every INTEGER PRIMARY KEY, until "
                "INTEGER NOT NULL)",
                (long long)number);
    return run_rollup_text(work, &sql, error);
}

static enum fh_code has_rollups_table(struct store_work *work, int64_t number, bool *ret,
                                      struct fh_error *error)
{
    char table[48];
    snprintf(table, sizeof table, "fh_derived_%lld_rollup", (long long)number);
    return catalog_has_table(work, table, ret, error);
}

/* Intervals of that length; 0: of any. */
static enum fh_code has_intervals(struct store_work *work, int64_t number, int64_t every_ms,
                                  bool *ret, struct fh_error *error)
{
    char sql[96];
    int64_t any = 0;
    const struct sql_value value = sql_integer(every_ms);
    snprintf(sql, sizeof sql, "SELECT EXISTS (SELECT 1 FROM fh_derived_%lld_rollup%s)",
             (long long)number, every_ms ? " WHERE every = ?1" : "");
    enum fh_code code =
        sql_run(work, sql, &value, every_ms ? 1 : 0, take_rollup_integer, &any, NULL, error);
    *ret = any != 0;
    return code;
}

enum fh_code series_rollups_any(struct store_work *work, int64_t number, bool *ret,
                                struct fh_error *error)
{
    enum fh_code code = has_rollups_table(work, number, ret, error);
    return code == FH_OK && *ret ? has_intervals(work, number, 0, ret, error) : code;
}

/* ---- Another declaration ---- */

static enum fh_code fits_nowhere(const struct fh_derived *declared, int64_t every_ms,
                                 struct fh_error *error)
{
    return error_set(error, FH_UNSUPPORTED,
                     "The series %s holds roll-ups of %lld ms, which are part of none that it "
                     "declares: declare that one as well, until there are none left, or one of a "
                     "multiple of it.",
                     declared->name, (long long)every_ms);
}

static enum fh_code forget_length(struct store_work *work, int64_t number, int64_t every_ms,
                                  struct fh_error *error)
{
    char sql[96];
    const struct sql_value value = sql_integer(every_ms);
    snprintf(sql, sizeof sql, "DELETE FROM fh_derived_%lld_rollup_until WHERE every = ?1",
             (long long)number);
    return sql_run(work, sql, &value, 1, NULL, NULL, NULL, error);
}

/* Its time is kept by the one that it fits into, which may have later times already. */
static enum fh_code pass_length_on(struct store_work *work, const struct fh_derived *declared,
                                   int64_t number, const struct series_lengths *lengths,
                                   const struct series_length *length, struct fh_error *error)
{
    int level = series_level_fitting(declared, 0, length->every_ms);
    if (level < 0)
        return fits_nowhere(declared, length->every_ms, error);
    int64_t every_ms = declared->rollups[level].every_ms;
    int64_t until_ms = series_ceiling(length->until_ms, every_ms);
    for (int i = 0; i < lengths->count; i++) {
        if (lengths->lengths[i].level == level && lengths->lengths[i].until_ms > until_ms)
            return FH_OK;
    }
    return series_rollups_set(work, number, every_ms, until_ms, error);
}

/* Again for each: what one has passed on is known to the next. */
static enum fh_code settle_length(struct store_work *work, const struct fh_derived *declared,
                                  int64_t number, int64_t every_ms, struct fh_error *error)
{
    struct series_lengths lengths;
    bool any = false;
    enum fh_code code = series_rollups_lengths(work, declared, number, &lengths, error);
    if (code == FH_OK)
        code = has_intervals(work, number, every_ms, &any, error);
    if (code == FH_OK && !any)
        return forget_length(work, number, every_ms, error);
    for (int i = 0; i < lengths.count && code == FH_OK; i++) {
        if (lengths.lengths[i].every_ms == every_ms)
            return pass_length_on(work, declared, number, &lengths, &lengths.lengths[i], error);
    }
    return code;
}

static enum fh_code drop_rollups(struct store_work *work, int64_t number, struct fh_error *error)
{
    char sql[64];
    snprintf(sql, sizeof sql, "DROP TABLE fh_derived_%lld_rollup", (long long)number);
    enum fh_code code = sql_run(work, sql, NULL, 0, NULL, NULL, NULL, error);
    if (code != FH_OK)
        return code;
    snprintf(sql, sizeof sql, "DROP TABLE fh_derived_%lld_rollup_until", (long long)number);
    return sql_run(work, sql, NULL, 0, NULL, NULL, NULL, error);
}

enum fh_code series_rollups_prepare(struct store_work *work, const struct fh_derived *declared,
                                    int64_t number, struct fh_error *error)
{
    struct series_lengths lengths = {0};
    bool there, wanted = series_rollup_count(declared) > 0;
    enum fh_code code = has_rollups_table(work, number, &there, error);
    if (code == FH_OK && !there)
        return wanted ? create_rollups(work, declared, number, error) : FH_OK;
    if (code == FH_OK)
        code = series_rollups_lengths(work, declared, number, &lengths, error);
    for (int i = 0; i < lengths.count && code == FH_OK; i++) {
        if (lengths.lengths[i].level < 0)
            code = settle_length(work, declared, number, lengths.lengths[i].every_ms, error);
    }
    return code == FH_OK && !wanted ? drop_rollups(work, number, error) : code;
}
