/* SPDX-License-Identifier: Apache-2.0 */
/* Appends a unit of work's events to its group's late rows: late.c. */

#include "engine/sqlite/internal.h"
#include "store/relational/ledger.h"

/* There is no room to keep it: it is written, and those before it first. */
static enum fh_code append_written(struct store_work *work, const struct ledger_event *event,
                                   struct fh_error *error)
{
    ((struct sqlite_work *)work)->changed = true;
    int result = sqlite_late_write_now((struct sqlite_store *)work->store, event);
    return result == SQLITE_OK ? FH_OK : sqlite_statement_failed(work, result, error);
}

/* A read that fails leaves it unknown: a wrong position would be given twice. */
static enum fh_code position_learn(struct store_work *work, struct sqlite_late *late,
                                   struct fh_error *error)
{
    int64_t position;
    if (late->position != SQLITE_POSITION_UNKNOWN)
        return FH_OK;
    enum fh_code code = ledger_position_read(work, &position, error);
    if (code == FH_OK)
        late->position = position;
    return code;
}

enum fh_code sqlite_append(struct store_work *work, struct ledger_event *events,
                           struct fh_error *error)
{
    struct sqlite_late *late = &((struct sqlite_store *)work->store)->late;
    enum fh_code code = sqlite_may_run(work, error);
    if (code == FH_OK)
        code = position_learn(work, late, error);
    for (struct ledger_event *event = events; event && code == FH_OK; event = event->next) {
        event->position = ++late->position;
        event->previous = 0; /* found when it is written */
        if (!sqlite_late_keep_event(late, event))
            code = append_written(work, event, error);
    }
    return code;
}

enum fh_code sqlite_position(struct store_work *work, int64_t *ret, struct fh_error *error)
{
    struct sqlite_late *late = &((struct sqlite_store *)work->store)->late;
    if (!store_writes(work->mode))
        return ledger_position_read(work, ret, error);
    enum fh_code code = sqlite_may_run(work, error);
    if (code == FH_OK)
        code = position_learn(work, late, error);
    *ret = code == FH_OK ? late->position : 0;
    return code;
}
