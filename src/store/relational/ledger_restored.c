/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger on relational engines: answers that restored receivers may have lost. */

#include "store/relational/ledger.h"
#include "store/relational/ledger_sql.h"

struct answered_visit {
    bool (*visit)(void *context, const struct ledger_saga *saga, const struct ledger_step *step);
    void *context;
};

static bool visit_answered_row(void *context, const struct sql_row *row)
{
    const struct answered_visit *to = context;
    const struct sql_value *v = row->values;
    struct ledger_saga saga = {.birth = ledger_word(&v[0]),
                               .number = v[1].integer,
                               .start_id = "",
                               .name = ledger_word(&v[2]),
                               .input = "",
                               .state = "",
                               .status = ledger_word(&v[3])};
    struct ledger_step step = {.birth = ledger_word(&v[0]),
                               .number = v[1].integer,
                               .step = (int)v[4].integer,
                               .element = (int)v[5].integer,
                               .attempt = v[6].integer,
                               .target = ledger_word(&v[7]),
                               .request = "",
                               .state = ledger_word(&v[8]),
                               .receiver = v[9].text,
                               .receiver_position = v[10].integer};
    return to->visit(to->context, &saga, &step);
}

enum fh_code sql_ledger_steps_answered(struct store_work *work, const char *target,
                                       const char *present,
                                       bool (*visit)(void *context, const struct ledger_saga *saga,
                                                     const struct ledger_step *step),
                                       void *context, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(target), sql_text(present)};
    struct answered_visit to = {visit, context};
    return sql_run(work,
                   "SELECT t.birth, t.number, s.name, s.status, t.step, t.element, t.attempt,"
                   " t.target, t.state, t.receiver, t.receiver_position"
                   " FROM fh_saga_step AS t JOIN fh_saga AS s"
                   " ON s.birth = t.birth AND s.number = t.number"
                   " WHERE t.target = ?1 AND t.receiver <> ?2"
                   " AND s.status IN ('ended', 'undone', 'parked', 'abandoned')",
                   values, 2, visit_answered_row, &to, NULL, error);
}
