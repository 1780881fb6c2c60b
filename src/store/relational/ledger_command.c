/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger on relational engines: command records and what callers have closed. A record is found
 * by (caller, key); services' records also have the saga's birth incarnation and number, by which a
 * closing deletes them.
 *
 * MariaDB's serializable transactions lock the gap where they have found nothing, so of two that
 * then write there one would always have to be rerun. There the lookup inserts an empty record,
 * which the outcome fills; one that stays empty means nothing and expires by its age.
 *
 * Where serializable transactions record their reads by page (ledger_looks_beside), two that look
 * for records that don't exist yet, and then write them to the same page, would always conflict.
 * There the lookup is a separate statement outside the unit of work, after its snapshot was taken:
 * it sees everything that the snapshot shows. A record that appears after the snapshot is one that
 * the unit of work can't see and so can't write either: the server ends it with a conflict.
 */

#include <stdio.h>
#include <string.h>

#include "store/relational/ledger.h"
#include "store/relational/ledger_sql.h"

struct command_found {
    struct arena *arena;
    struct ledger_command *command;
    bool found;
};

static bool take_command_row(void *context, const struct sql_row *row)
{
    struct command_found *found = context;
    const struct sql_value *v = row->values;
    struct arena *arena = found->arena;
    if (!ledger_word(&v[4])[0])
        return true; /* only claimed, still empty */
    found->found = true;
    *found->command = (struct ledger_command){.birth = ledger_copy(arena, &v[0]),
                                              .number = v[1].integer,
                                              .attempt = v[2].integer,
                                              .created_ms = v[3].integer,
                                              .outcome = ledger_outcome_of(ledger_word(&v[4])),
                                              .digest = ledger_copy(arena, &v[5]),
                                              .request = ledger_copy(arena, &v[6]),
                                              .answer = ledger_copy(arena, &v[7]),
                                              .undo_answer = ledger_copy(arena, &v[8])};
    return true;
}

static bool ignore_row(void *context, const struct sql_row *row)
{
    (void)context, (void)row;
    return true;
}

/* Makes sure that the unit of work has its snapshot. For a service's command it has one: the
 * caller's newest incarnation was read before. */
static enum fh_code look_beside(struct store_work *work, const char *caller,
                                struct store_work **ret, struct fh_error *error)
{
    bool service = !strchr(caller, ' ');
    enum fh_code code =
        service ? FH_OK : sql_run(work, "SELECT 1", NULL, 0, ignore_row, NULL, NULL, error);
    return code == FH_OK ? store_begin(work->store, STORE_READ_COMMITTED, ret, error) : code;
}

static enum fh_code run_command_look(struct store_work *work, const char *sql,
                                     const struct sql_value *values, int count,
                                     struct command_found *found, struct fh_error *error)
{
    const struct sql_ops *ops = work->store->engine->sql;
    if (ops->look_for_command)
        return ops->look_for_command(work, sql, values, count, take_command_row, found, error);
    return sql_run(work, sql, values, count, take_command_row, found, NULL, error);
}

enum fh_code sql_ledger_command_get(struct store_work *work, struct arena *arena,
                                    const char *caller, const char *key, struct ledger_command *ret,
                                    struct fh_error *error)
{
    struct sql_value values[] = {sql_text(caller), sql_text(key)};
    struct command_found found = {.arena = arena, .command = ret};
    bool serializable = store_isolation(work->mode) == STORE_SERIALIZABLE;
    const char *claim = serializable ? ledger_sql(work, LEDGER_COMMAND_CLAIM) : NULL;
    const char *sql = claim ? claim
                            : "SELECT birth, number, attempt, created_ms, outcome, digest,"
                              " request, answer, undo_answer FROM fh_command"
                              " WHERE caller = ?1 AND fh_command.key = ?2";
    struct store_work *beside = NULL;
    enum fh_code code =
        ledger_looks_beside(work) ? look_beside(work, caller, &beside, error) : FH_OK;
    if (code == FH_OK)
        code = run_command_look(beside ? beside : work, sql, values, 2, &found, error);
    if (beside)
        store_rollback(beside);
    if (code != FH_OK)
        return code;
    if (!found.found)
        return error_set(error, FH_NOT_FOUND, "There is no record of that command.");
    ret->caller = arena_text(arena, caller);
    ret->key = arena_text(arena, key);
    return FH_OK;
}

struct commands_visit {
    bool (*visit)(void *context, const struct ledger_command *command);
    void *context;
};

static bool visit_command(void *context, const struct sql_row *row)
{
    struct commands_visit *to = context;
    const struct sql_value *v = row->values;
    struct ledger_command command = {
        .caller = ledger_word(&v[0]),
        .key = ledger_word(&v[1]),
        .birth = ledger_word(&v[2]),
        .number = v[3].integer,
        .attempt = v[4].integer,
        .created_ms = v[5].integer,
        .outcome = ledger_outcome_of(ledger_word(&v[6])),
        .digest = v[7].kind == SQL_NULL ? NULL : v[7].text,
        .request = v[8].kind == SQL_NULL ? NULL : v[8].text,
        .answer = v[9].kind == SQL_NULL ? NULL : v[9].text,
        .undo_answer = v[10].kind == SQL_NULL ? NULL : v[10].text,
    };
    return to->visit(to->context, &command);
}

enum fh_code
sql_ledger_commands_read(struct store_work *work, const char *caller, const char *key, int limit,
                         bool (*visit)(void *context, const struct ledger_command *command),
                         void *context, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(caller), sql_text(key), sql_integer(limit)};
    struct commands_visit to = {visit, context};
    return sql_run(work,
                   "SELECT caller, fh_command.key, birth, number, attempt, created_ms, outcome,"
                   " digest, request, answer, undo_answer FROM fh_command"
                   " WHERE birth <> '' AND outcome <> ''"
                   " AND (caller > ?1 OR (caller = ?1 AND fh_command.key > ?2))"
                   " ORDER BY caller, fh_command.key LIMIT ?3",
                   values, 3, visit_command, &to, NULL, error);
}

void ledger_command_values(const struct ledger_command *command,
                           struct sql_value ret[static LEDGER_COMMAND_VALUES])
{
    struct sql_value values[LEDGER_COMMAND_VALUES] = {
        sql_text(command->caller),
        sql_text(command->key),
        sql_text(command->birth),
        sql_integer(command->number),
        sql_integer(command->attempt),
        sql_integer(command->created_ms),
        sql_text(ledger_outcome_name(command->outcome)),
        sql_text(command->digest),
        sql_text(command->request),
        sql_text(command->answer),
        sql_text(command->undo_answer)};
    memcpy(ret, values, sizeof values);
}

enum fh_code sql_ledger_command_put(struct store_work *work, const struct ledger_command *command,
                                    struct fh_error *error)
{
    const struct sql_ops *sql = work->store->engine->sql;
    struct sql_value values[LEDGER_COMMAND_VALUES];
    if (sql->keep_command && sql->keep_command(work, command))
        return FH_OK;
    ledger_command_values(command, values);
    return ledger_do(work, ledger_sql(work, LEDGER_COMMAND_PUT), values, LEDGER_COMMAND_VALUES,
                     NULL, error);
}

enum fh_code sql_ledger_commands_expire(struct store_work *work, int64_t before_ms, int limit,
                                        int64_t *ret_removed, struct fh_error *error)
{
    struct sql_value values[] = {sql_integer(before_ms), sql_integer(limit)};
    return ledger_do(work, ledger_sql(work, LEDGER_COMMANDS_EXPIRE), values, 2, ret_removed, error);
}

/* ---- callers ---- */

struct caller_found {
    struct arena *arena;
    struct ledger_caller *caller;
};

struct command_look {
    struct arena *arena;
    struct ledger_caller *caller;
    char *incarnation;
};

static bool take_caller_row(void *context, const struct sql_row *row)
{
    struct caller_found *found = context;
    found->caller->closed_through = row->values[0].integer;
    found->caller->still_open = ledger_copy(found->arena, &row->values[1]);
    return true;
}

enum fh_code sql_ledger_caller_get(struct store_work *work, struct arena *arena, const char *caller,
                                   const char *birth, struct ledger_caller *ret,
                                   struct fh_error *error)
{
    struct sql_value values[] = {sql_text(caller), sql_text(birth)};
    struct caller_found found = {arena, ret};
    *ret = (struct ledger_caller){.still_open = "[]"};
    return sql_run(work,
                   "SELECT closed_through, still_open FROM fh_caller"
                   " WHERE caller = ?1 AND birth = ?2",
                   values, 2, take_caller_row, &found, NULL, error);
}

struct callers_visit {
    bool (*visit)(void *context, const char *caller, const char *birth,
                  const struct ledger_caller *closed);
    void *context;
};

static bool visit_caller(void *context, const struct sql_row *row)
{
    struct callers_visit *to = context;
    const struct sql_value *v = row->values;
    struct ledger_caller closed = {.closed_through = v[2].integer,
                                   .still_open = ledger_word(&v[3])};
    return to->visit(to->context, ledger_word(&v[0]), ledger_word(&v[1]), &closed);
}

enum fh_code sql_ledger_callers_read(struct store_work *work,
                                     bool (*visit)(void *context, const char *caller,
                                                   const char *birth,
                                                   const struct ledger_caller *closed),
                                     void *context, struct fh_error *error)
{
    struct callers_visit to = {visit, context};
    return sql_run(work,
                   "SELECT caller, birth, closed_through, still_open FROM fh_caller"
                   " ORDER BY caller, birth",
                   NULL, 0, visit_caller, &to, NULL, error);
}

enum fh_code sql_ledger_caller_close(struct store_work *work, const char *caller, const char *birth,
                                     const struct ledger_caller *closed, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(caller), sql_text(birth),
                                 sql_integer(closed->closed_through), sql_text(closed->still_open)};
    enum fh_code code = ledger_do(work, ledger_sql(work, LEDGER_CALLER_PUT), values,
                                  LEDGER_COUNT(values), NULL, error);
    if (code != FH_OK)
        return code;
    return ledger_do(work, ledger_sql(work, LEDGER_CALLER_DELETE), values, LEDGER_COUNT(values),
                     NULL, error);
}

enum fh_code sql_ledger_caller_newest(struct store_work *work, const char *caller,
                                      char ret_incarnation[ID_SIZE], struct fh_error *error)
{
    struct sql_value values[] = {sql_text(caller)};
    enum fh_code code =
        ledger_text(work, "SELECT incarnation FROM fh_caller_newest WHERE caller = ?1", values, 1,
                    ret_incarnation, ID_SIZE, error);
    return code == FH_NOT_FOUND ? FH_OK : code;
}

static bool take_look(void *context, const struct sql_row *row)
{
    struct command_look *look = context;
    if (row->values[0].kind != SQL_NULL)
        snprintf(look->incarnation, ID_SIZE, "%s", ledger_word(&row->values[0]));
    if (row->values[1].kind != SQL_NULL) {
        look->caller->closed_through = row->values[1].integer;
        look->caller->still_open = ledger_copy(look->arena, &row->values[2]);
    }
    return true;
}

enum fh_code sql_ledger_caller_look(struct store_work *work, struct arena *arena,
                                    const char *caller, const char *birth,
                                    char ret_incarnation[ID_SIZE], struct ledger_caller *ret,
                                    struct fh_error *error)
{
    struct sql_value values[] = {sql_text(caller), sql_text(birth)};
    struct command_look look = {arena, ret, ret_incarnation};
    *ret = (struct ledger_caller){.still_open = "[]"};
    ret_incarnation[0] = '\0';
    return sql_run(work,
                   "SELECT n.incarnation, c.closed_through, c.still_open FROM (SELECT 1) AS asked"
                   " LEFT JOIN fh_caller_newest AS n ON n.caller = ?1"
                   " LEFT JOIN fh_caller AS c ON c.caller = ?1 AND c.birth = ?2",
                   values, 2, take_look, &look, NULL, error);
}

enum fh_code sql_ledger_caller_set_newest(struct store_work *work, const char *caller,
                                          const char *incarnation, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(caller), sql_text(incarnation)};
    return ledger_do(work, ledger_sql(work, LEDGER_NEWEST_PUT), values, 2, NULL, error);
}
