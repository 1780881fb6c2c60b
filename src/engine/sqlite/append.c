/* SPDX-License-Identifier: Apache-2.0 */
/* Appends a unit of work's events to its group's: outbox.c. */

#include "engine/sqlite/internal.h"
#include "store/relational/ledger.h"

/* A read that fails leaves it unknown: a wrong position would be given twice. */
static enum fh_code position_learn(struct store_work *work, struct sqlite_outbox *outbox,
                                   struct fh_error *error)
{
    int64_t position;
    if (outbox->position != SQLITE_POSITION_UNKNOWN)
        return FH_OK;
    enum fh_code code = sql_ledger_position(work, &position, error);
    if (code == FH_OK)
        outbox->position = position;
    return code;
}

/* There is no room to keep it: it is written, and those before it first. */
static enum fh_code append_written(struct store_work *work, const struct ledger_event *event,
                                   struct fh_error *error)
{
    ((struct sqlite_work *)work)->changed = true;
    int result = sqlite_outbox_write_now((struct sqlite_store *)work->store, event);
    return result == SQLITE_OK ? FH_OK : sqlite_statement_failed(work, result, error);
}

enum fh_code sqlite_append(struct store_work *work, struct ledger_event *events,
                           struct fh_error *error)
{
    struct sqlite_outbox *outbox = &((struct sqlite_store *)work->store)->outbox;
    enum fh_code code = sqlite_may_run(work, error);
    if (code == FH_OK)
        code = position_learn(work, outbox, error);
    for (struct ledger_event *event = events; event && code == FH_OK; event = event->next) {
        event->position = ++outbox->position;
        event->previous = 0; /* found when it is written */
        if (!sqlite_outbox_keep(outbox, event))
            code = append_written(work, event, error);
    }
    return code;
}
