/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeps the record of a command with its group's late rows: late.c. Before each keyed request its
 * record is looked for. Where the filter (filter.c) does not rule it out, the table is asked; a bit
 * tells that none is kept, so that the look need not have all those of the group written first.
 */

#include "engine/sqlite/internal.h"
#include "store/relational/ledger.h"

bool sqlite_keep_command(struct store_work *work, const struct ledger_command *command)
{
    struct sqlite_store *store = (struct sqlite_store *)work->store;
    if (!store_writes(work->mode) || sqlite_may_run(work, ERROR_UNHEEDED) != FH_OK)
        return false;
    sqlite_filter_add(&store->filter, command->caller, command->key);
    bool kept = sqlite_late_keep_command(&store->late, command);
    ((struct sqlite_work *)work)->puts_command = !kept;
    return kept;
}

static enum fh_code look_in_table(struct store_work *work, const char *sql,
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

enum fh_code sqlite_look_for_command(struct store_work *work, const char *sql,
                                     const struct sql_value *values, int count, sql_visit *visit,
                                     void *context, struct fh_error *error)
{
    const struct sqlite_filter *filter = &((struct sqlite_store *)work->store)->filter;
    bool ruled_out = sqlite_filter_rules_out(filter, values[0].text, values[1].text);
    enum fh_code code = ruled_out ? sqlite_may_run(work, error)
                                  : look_in_table(work, sql, values, count, visit, context, error);
    if (code == FH_OK && store_writes(work->mode))
        code = sqlite_filter_fill((struct sqlite_work *)work, error);
    return code;
}
