/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps the record of a command with its group's late rows: late.c. Before each keyed request its
 * record is looked for; a bit tells that none is kept, so that the look need not have all those of
 * the group written first.
 */

#include "engine/sqlite/internal.h"

bool sqlite_keep_command(struct store_work *work, const struct ledger_command *command)
{
    struct sqlite_store *store = (struct sqlite_store *)work->store;
    return store_writes(work->mode) && sqlite_may_run(work, ERROR_UNHEEDED) == FH_OK &&
           sqlite_late_keep_command(&store->late, command);
}

enum fh_code sqlite_look_for_command(struct store_work *work, const char *sql,
                                     const struct sql_value *values, int count, sql_visit *visit,
                                     void *context, struct fh_error *error)
{
    struct sqlite_work *own = (struct sqlite_work *)work;
    const struct sqlite_late *late = &((struct sqlite_store *)work->store)->late;
    own->looks_for_command = !sqlite_late_may_keep(late, values[0].text, values[1].text);
    enum fh_code code = sqlite_statement_run(work, sql, values, count, visit, context, NULL, error);
    own->looks_for_command = false;
    return code;
}
