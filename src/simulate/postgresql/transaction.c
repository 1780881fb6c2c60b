/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What ends a session's transactions, and the session. A statement outside of BEGIN and COMMIT is
 * in a transaction that ends with the next sync.
 *
 * A commit takes two visits: the first says that it begins, and the session waits as long as the
 * server syncs; in the second its changes become the next version. Whoever is told to end between
 * these commits all the same.
 */

#include "simulate/postgresql/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "engine/postgresql/internal.h"

static void forget_transaction(struct model_session *session)
{
    struct model_said *next;
    for (struct model_said *said = session->said; said; said = next) {
        next = said->next;
        model_commands_free(said->command);
        free(said->text);
        free(said);
    }
    session->said = NULL;
    session->said_last = &session->said;
    map_release(&session->rows);
    map_init(&session->rows);
    session->view = NULL;
    session->block = session->failed = session->serializable = session->repeatable = false;
    session->forgotten = session->read_only = session->schema = session->notifies =
        session->commits = false;
    session->local_lock_ms = -1;
    model_unlock(session, false);
}

void model_rollback(struct model_session *session)
{
    if (session->view)
        model_view_give_back(session->view);
    forget_transaction(session);
}

static void notify_listeners(struct model_session *from)
{
    struct model_session *session = from->server->sessions;
    for (; session; session = session->next) {
        if (!session->alive || !session->listens || !session->link ||
            session->database != from->database)
            continue;
        char *both = calloc(1, sizeof(PGnotify) + 64);
        FH_ASSERT(both != NULL);
        PGnotify *notify = (PGnotify *)(void *)both;
        notify->be_pid = from->pid;
        notify->relname = both + sizeof *notify;
        notify->extra = both + sizeof *notify + 40;
        snprintf(notify->relname, 40, "%s", POSTGRESQL_CHANNEL);
        snprintf(notify->extra, 24, "public");
        model_link_tell(session->link, notify, NULL);
    }
}

enum model_outcome model_commit(struct model_session *session, PGresult **ret)
{
    bool writes = session->view && (session->view->changes || session->schema);
    if (writes && !session->commits) {
        session->commits = true;
        return MODEL_COMMITS;
    }
    if (model_commit_check(session, ret) != MODEL_DONE) {
        model_rollback(session);
        return MODEL_FAILED;
    }
    bool notifies = session->notifies;
    if (session->view)
        model_database_commit(session->view, session->schema);
    session->view = NULL;
    forget_transaction(session);
    if (notifies)
        notify_listeners(session);
    *ret = model_result(PGRES_COMMAND_OK, "COMMIT");
    return MODEL_DONE;
}

enum model_outcome model_end_implicit(struct model_session *session, PGresult **ret)
{
    *ret = NULL;
    if (session->block || !(session->view || session->rows.count || session->commits))
        return MODEL_DONE;
    enum model_outcome outcome = model_commit(session, ret);
    if (outcome == MODEL_DONE) {
        model_result_free(*ret);
        *ret = NULL;
    }
    return outcome;
}

/* ---- a session's end ---- */

void model_session_end(struct model_session *session, const char *sqlstate, const char *message)
{
    struct simulate *simulate = session->server->simulate;
    if (!session->alive)
        return;
    if (session->commits) {
        session->ends_after_commit = true;
        return;
    }
    session->alive = false;
    simulate_say(simulate, NULL, "server: %d ends%s%s", session->pid, message ? ": " : "",
                 message ? message : "");
    simulate_cancel(simulate, &session->step);
    simulate_cancel(simulate, &session->timeout);
    simulate_cancel(simulate, &session->idle);
    session->waits = false;
    session->waits_for[0] = '\0';
    model_rollback(session);
    model_unlock(session, true);
    model_commands_free(session->first);
    session->first = NULL;
    session->last = &session->first;
    if (session->link && sqlstate)
        model_link_tell(session->link, NULL, model_error("FATAL", sqlstate, message));
    if (session->link)
        model_link_ended(session->link);
    session->link = NULL;
}
