/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger on relational engines: leases, and how a new owner fences off the old one. No clock is
 * used: others judge whether an instance is alive by its beats. Each statement knows by the number
 * of rows it changed whether it came in time.
 */

#include "store/relational/ledger.h"
#include "store/relational/ledger_sql.h"

struct lease_visit {
    bool (*visit)(void *context, const struct ledger_lease *lease);
    void *context;
};

static bool visit_lease_row(void *context, const struct sql_row *row)
{
    const struct lease_visit *to = context;
    const struct sql_value *v = row->values;
    struct ledger_lease lease = {.name = ledger_word(&v[0]),
                                 .owner = ledger_word(&v[1]),
                                 .epoch = v[2].integer,
                                 .beat = v[3].integer,
                                 .note = ledger_word(&v[4])};
    return to->visit(to->context, &lease);
}

enum fh_code sql_ledger_leases_get(struct store_work *work,
                                   bool (*visit)(void *context, const struct ledger_lease *lease),
                                   void *context, struct fh_error *error)
{
    struct lease_visit to = {visit, context};
    return sql_run(work, "SELECT name, owner, epoch, beat, note FROM fh_lease ORDER BY name", NULL,
                   0, visit_lease_row, &to, NULL, error);
}

/* A statement that must change something. */
static enum fh_code write_lease_row(struct store_work *work, const char *sql,
                                    const struct sql_value *values, int count,
                                    struct fh_error *error)
{
    int64_t changed = 0;
    enum fh_code code = ledger_do(work, sql, values, count, &changed, error);
    if (code == FH_OK && changed == 0)
        return error_set(error, FH_CONFLICT, "The lease %s is another instance's now.",
                         values[0].text);
    return code;
}

enum fh_code sql_ledger_lease_take(struct store_work *work, const char *name, int64_t epoch,
                                   const char *owner, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(name), sql_text(owner), sql_integer(epoch)};
    if (epoch == 0)
        return write_lease_row(work, ledger_sql(work, LEDGER_LEASE_BEGIN), values, 2, error);
    return write_lease_row(work,
                           "UPDATE fh_lease SET owner = ?2, epoch = epoch + 1, beat = 0, note = ''"
                           " WHERE name = ?1 AND epoch = ?3",
                           values, LEDGER_COUNT(values), error);
}

enum fh_code sql_ledger_lease_renew(struct store_work *work, const char *name, const char *owner,
                                    const char *note, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(name), sql_text(owner), sql_text(note)};
    if (!note)
        return write_lease_row(work,
                               "UPDATE fh_lease SET beat = beat + 1 WHERE name = ?1 AND owner = ?2",
                               values, 2, error);
    return write_lease_row(
        work, "UPDATE fh_lease SET beat = beat + 1, note = ?3 WHERE name = ?1 AND owner = ?2",
        values, LEDGER_COUNT(values), error);
}

enum fh_code sql_ledger_lease_drop(struct store_work *work, const char *name, const char *owner,
                                   int64_t beat, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(name), sql_text(owner), sql_integer(beat)};
    if (beat < 0)
        return write_lease_row(work, "DELETE FROM fh_lease WHERE name = ?1 AND owner = ?2", values,
                               2, error);
    return write_lease_row(work,
                           "DELETE FROM fh_lease WHERE name = ?1 AND owner = ?2 AND beat = ?3",
                           values, LEDGER_COUNT(values), error);
}

/* ---- cursors ---- */

struct partition_visit {
    bool (*visit)(void *context, const char *partition);
    void *context;
};

static bool visit_partition_row(void *context, const struct sql_row *row)
{
    const struct partition_visit *to = context;
    return to->visit(to->context, ledger_word(&row->values[0]));
}

enum fh_code sql_ledger_cursor_partitions(struct store_work *work, const char *source,
                                          bool (*visit)(void *context, const char *partition),
                                          void *context, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(source)};
    struct partition_visit to = {visit, context};
    return sql_run(work, "SELECT share FROM fh_cursor WHERE source = ?1 ORDER BY share", values, 1,
                   visit_partition_row, &to, NULL, error);
}

struct cursor_visit {
    ledger_visit_cursor *visit;
    void *context;
};

static bool visit_cursor_row(void *context, const struct sql_row *row)
{
    const struct cursor_visit *to = context;
    struct ledger_cursor cursor = {.position = row->values[2].integer,
                                   .epoch = row->values[4].integer};
    snprintf(cursor.incarnation, sizeof cursor.incarnation, "%s", ledger_word(&row->values[1]));
    snprintf(cursor.event_id, sizeof cursor.event_id, "%s", ledger_word(&row->values[3]));
    return to->visit(to->context, ledger_word(&row->values[0]), &cursor);
}

enum fh_code sql_ledger_cursors_get(struct store_work *work, const char *source,
                                    ledger_visit_cursor *visit, void *context,
                                    struct fh_error *error)
{
    struct sql_value values[] = {sql_text(source)};
    struct cursor_visit to = {visit, context};
    return sql_run(work,
                   "SELECT share, incarnation, position, event_id, epoch FROM fh_cursor"
                   " WHERE source = ?1 ORDER BY share",
                   values, 1, visit_cursor_row, &to, NULL, error);
}

enum fh_code sql_ledger_cursor_take(struct store_work *work, const char *source,
                                    const char *partition, int64_t epoch, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(source), sql_text(partition), sql_integer(epoch)};
    struct sql_value fresh[] = {sql_text(source), sql_text(partition), sql_text(""),
                                sql_integer(0),   sql_text(""),        sql_integer(epoch)};
    int64_t made = 0;
    enum fh_code code = ledger_do(work, ledger_sql(work, LEDGER_CURSOR_BEGIN), fresh,
                                  LEDGER_COUNT(fresh), &made, error);
    if (code != FH_OK || made)
        return code;
    return ledger_do(work, "UPDATE fh_cursor SET epoch = ?3 WHERE source = ?1 AND share = ?2",
                     values, LEDGER_COUNT(values), NULL, error);
}
