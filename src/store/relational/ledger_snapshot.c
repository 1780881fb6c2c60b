/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger on relational engines: keys' positions, and the resyncs of subscriptions. */

#include <stdio.h>
#include <string.h>

#include "store/ledger_snapshot.h"
#include "store/relational/ledger.h"
#include "store/relational/ledger_sql.h"

/* ---- the publisher's side ---- */

struct place_visit {
    bool (*visit)(void *context, const char *key, int64_t position);
    void *context;
};

static bool visit_place(void *context, const struct sql_row *row)
{
    const struct place_visit *to = context;
    return to->visit(to->context, ledger_word(&row->values[0]), row->values[1].integer);
}

static bool visit_unsequenced(void *context, const struct sql_row *row)
{
    const struct place_visit *to = context;
    return to->visit(to->context, ledger_word(&row->values[0]), LEDGER_UNSEQUENCED);
}

static enum fh_code sql_key_places(struct store_work *work, const char *keys,
                                   bool (*visit)(void *context, const char *key, int64_t position),
                                   void *context, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(keys)};
    struct place_visit to = {visit, context};
    enum fh_code code = sql_run(work, ledger_sql(work, LEDGER_KEY_PLACES), values, 1, visit_place,
                                &to, NULL, error);
    if (code != FH_OK || !work->store->ops->sequence)
        return code;
    return sql_run(work, ledger_sql(work, LEDGER_KEYS_UNSEQUENCED), values, 1, visit_unsequenced,
                   &to, NULL, error);
}

/* ---- the subscriber's side ---- */

static bool take_resync(void *context, const struct sql_row *row)
{
    struct ledger_resync *resync = context;
    const struct sql_value *v = row->values;
    resync->resync = v[0].integer;
    resync->phase = (enum ledger_phase)v[1].integer;
    resync->type = v[2].integer;
    snprintf(resync->after, sizeof resync->after, "%s", ledger_word(&v[3]));
    resync->seen_position = v[4].integer;
    snprintf(resync->seen_id, sizeof resync->seen_id, "%s", ledger_word(&v[5]));
    return true;
}

static enum fh_code sql_resync_get(struct store_work *work, const char *source,
                                   const char *partition, struct ledger_resync *ret,
                                   struct fh_error *error)
{
    struct sql_value values[] = {sql_text(source), sql_text(partition)};
    *ret = (struct ledger_resync){0};
    return sql_run(work,
                   "SELECT round, phase, type, behind, seen_position, seen_id FROM fh_round"
                   " WHERE source = ?1 AND share = ?2",
                   values, 2, take_resync, ret, NULL, error);
}

static enum fh_code sql_resync_move(struct store_work *work, const char *source,
                                    const char *partition, const struct ledger_resync *old,
                                    const struct ledger_resync *next, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(source),
                                 sql_text(partition),
                                 sql_integer(next->resync),
                                 sql_integer(next->phase),
                                 sql_integer(next->type),
                                 sql_text(next->after),
                                 sql_integer(next->seen_position),
                                 sql_text(next->seen_id),
                                 sql_integer(old->resync),
                                 sql_integer(old->phase),
                                 sql_integer(old->type),
                                 sql_text(old->after)};
    int64_t moved = 0;
    enum fh_code code;
    if (old->resync == 0)
        code = ledger_do(work, ledger_sql(work, LEDGER_RESYNC_BEGIN), values, 8, &moved, error);
    else
        code = ledger_do(work,
                         "UPDATE fh_round SET round = ?3, phase = ?4, type = ?5, behind = ?6,"
                         " seen_position = ?7, seen_id = ?8 WHERE source = ?1 AND share = ?2"
                         " AND round = ?9 AND phase = ?10 AND type = ?11 AND behind = ?12",
                         values, LEDGER_COUNT(values), &moved, error);
    if (code == FH_OK && moved == 0)
        return error_set(error, FH_CONFLICT, "The snapshot of %s is further, or another one.",
                         source);
    return code;
}

static enum fh_code sql_applied_put(struct store_work *work, const char *source,
                                    const char *partition, int64_t type, const char *key,
                                    int64_t position, int64_t resync, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(source), sql_text(partition),   sql_integer(type),
                                 sql_text(key),    sql_integer(position), sql_integer(resync)};
    return ledger_do(work, ledger_sql(work, LEDGER_APPLIED_PUT), values, LEDGER_COUNT(values), NULL,
                     error);
}

static enum fh_code sql_applied_get(struct store_work *work, const char *source,
                                    const char *partition, int64_t type, const char *key,
                                    int64_t resync, int64_t *ret, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(source), sql_text(partition), sql_integer(type),
                                 sql_text(key), sql_integer(resync)};
    enum fh_code code = ledger_integer(work,
                                       "SELECT position FROM fh_applied WHERE source = ?1"
                                       " AND share = ?2 AND type = ?3 AND fh_applied.key = ?4"
                                       " AND round = ?5",
                                       values, LEDGER_COUNT(values), ret, error);
    if (code == FH_NOT_FOUND)
        *ret = -1;
    return code == FH_NOT_FOUND ? FH_OK : code;
}

static enum fh_code sql_applied_clear(struct store_work *work, const char *source,
                                      const char *partition, int limit, int64_t *ret_removed,
                                      struct fh_error *error)
{
    struct sql_value values[] = {sql_text(source), sql_text(partition), sql_integer(limit)};
    return ledger_do(work, ledger_sql(work, LEDGER_APPLIED_CLEAR), values, LEDGER_COUNT(values),
                     ret_removed, error);
}

static enum fh_code sql_parked_clear(struct store_work *work, const char *source,
                                     const char *partition, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(source), sql_text(partition)};
    enum fh_code code = ledger_do(
        work, "DELETE FROM fh_parked_key WHERE source = ?1 AND share = ?2", values, 2, NULL, error);
    if (code == FH_OK)
        code = ledger_do(work, "DELETE FROM fh_parked WHERE source = ?1 AND share = ?2", values, 2,
                         NULL, error);
    return code;
}

const struct ledger_snapshot_ops ledger_relational_snapshots = {.key_places = sql_key_places,
                                                                .resync_get = sql_resync_get,
                                                                .resync_move = sql_resync_move,
                                                                .applied_put = sql_applied_put,
                                                                .applied_get = sql_applied_get,
                                                                .applied_clear = sql_applied_clear,
                                                                .parked_clear = sql_parked_clear};
