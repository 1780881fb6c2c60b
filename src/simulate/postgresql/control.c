/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statements of whichever kind: BEGIN and what ends a transaction, the settings that live as long
 * as one, what is cut out of the ledger, and all others.
 */

#include "simulate/postgresql/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum model_outcome answer_tag(PGresult **ret, const char *tag)
{
    *ret = model_result(PGRES_COMMAND_OK, tag);
    return MODEL_DONE;
}

static enum model_outcome answer_error(PGresult **ret, const char *sqlstate, const char *message)
{
    *ret = model_error("ERROR", sqlstate, message);
    return MODEL_FAILED;
}

/* Within a transaction it is only a warning, unless it asks for another isolation too late. */
static enum model_outcome begin_block(struct model_session *session, const char *text,
                                      PGresult **ret)
{
    bool serializable = strstr(text, "SERIALIZABLE") != NULL;
    bool repeatable = serializable || strstr(text, "REPEATABLE") != NULL;
    bool other = serializable != session->serializable || repeatable != session->repeatable;
    if (session->failed)
        return answer_error(ret, "25P02", "current transaction is aborted");
    if (session->block && session->view && other)
        return answer_error(ret, "25001",
                            "SET TRANSACTION ISOLATION LEVEL must be called before any query");
    session->block = true;
    session->serializable = serializable;
    session->repeatable = repeatable;
    session->read_only = strstr(text, "READ ONLY") != NULL;
    return answer_tag(ret, "BEGIN");
}

static enum model_outcome change_setting(struct model_session *session, const char *text,
                                         PGresult **ret)
{
    int ms = 0;
    if (sscanf(text, "SET LOCAL lock_timeout = '%dms'", &ms) == 1 ||
        sscanf(text, "SET LOCAL lock_timeout=%d", &ms) == 1)
        session->local_lock_ms = ms;
    else if (strcmp(text, "SET LOCAL lock_timeout TO DEFAULT") == 0)
        session->local_lock_ms = -1;
    else if (sscanf(text, "SET lock_timeout=%d", &ms) == 1)
        session->lock_ms = ms;
    else if (sscanf(text, "SET idle_in_transaction_session_timeout=%d", &ms) == 1)
        session->idle_ms = ms;
    else if (sscanf(text, "SET statement_timeout=%d", &ms) == 1)
        session->statement_ms = ms;
    return answer_tag(ret, "SET");
}

/* Of the same user and application, as the engine asks. */
static enum model_outcome terminate_backend(struct model_session *session, const char *text,
                                            PGresult **ret)
{
    const char *where = strstr(text, "WHERE pid = ");
    int pid = 0, count = 0;
    if (where)
        sscanf(where, "WHERE pid = %d", &pid);
    for (struct model_session *other = session->server->sessions, *next; other; other = next) {
        next = other->next;
        if (other->pid != pid || !other->alive ||
            strcmp(other->application, session->application) != 0)
            continue;
        model_session_end(other, "57P01", "terminating connection due to administrator command");
        count++;
    }
    *ret = model_result(PGRES_TUPLES_OK, "SELECT 0");
    model_result_columns(*ret, 1);
    (*ret)->names[0] = strdup("pg_terminate_backend");
    for (int i = 0; i < count; i++)
        model_result_row(*ret, (const char *const[]){"t"});
    return MODEL_DONE;
}

static void forget_session_prepared(struct model_session *session)
{
    struct map_entry *entry;
    const char *name;
    void *text;
    while (entry = NULL, map_next(&session->prepared, &entry, &name, &text))
        free(map_remove(&session->prepared, name));
}

static enum model_outcome control_statement(struct model_session *session, const char *text,
                                            PGresult **ret, bool *ret_known)
{
    *ret_known = true;
    if (strncmp(text, "BEGIN", 5) == 0)
        return begin_block(session, text, ret);
    if (strcmp(text, "COMMIT") == 0 && !session->failed)
        return model_commit(session, ret);
    if (strcmp(text, "COMMIT") == 0 || strcmp(text, "ROLLBACK") == 0) {
        model_rollback(session);
        return answer_tag(ret, "ROLLBACK");
    }
    *ret_known = !session->failed;
    if (session->failed)
        return answer_error(ret, "25P02", "current transaction is aborted");
    *ret_known = true;
    if (strncmp(text, "SET ", 4) == 0)
        return change_setting(session, text, ret);
    if (strcmp(text, "DISCARD ALL") == 0) { /* what was set is set again by who sends this */
        forget_session_prepared(session);
        model_unlock(session, true);
        session->listens = false;
        return answer_tag(ret, "DISCARD ALL");
    }
    if (strncmp(text, "DEALLOCATE ", 11) == 0) {
        free(map_remove(&session->prepared, text + 11));
        return answer_tag(ret, "DEALLOCATE");
    }
    if (strncmp(text, "LISTEN ", 7) == 0) {
        session->listens = true;
        return answer_tag(ret, "LISTEN");
    }
    if (strncmp(text, "SELECT pg_terminate_backend(", 28) == 0)
        return terminate_backend(session, text, ret);
    *ret_known = false;
    return MODEL_DONE;
}

static enum model_outcome run_modelled(struct model_session *session,
                                       const struct model_command *with, const char *text,
                                       PGresult **ret)
{
    model_by_hand *by_hand = model_ledger(text);
    if (!by_hand)
        return model_statement(session, with, text, ret);
    *ret = NULL;
    session->waits_for[0] = '\0';
    return by_hand(session, with, text, ret);
}

enum model_outcome model_transact(struct model_session *session, const struct model_command *with,
                                  const char *text, PGresult **ret)
{
    bool known;
    *ret = NULL;
    enum model_outcome outcome = control_statement(session, text, ret, &known);
    if (!known && outcome == MODEL_DONE)
        outcome = run_modelled(session, with, text, ret);
    if (outcome != MODEL_FAILED)
        return outcome;
    if (session->block)
        session->failed = true;
    else
        model_rollback(session);
    return outcome;
}
