/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger on relational engines: command records and what callers have closed. A record is
 * found by (caller, key); services' records also carry the saga's birth incarnation and number,
 * by which a closing deletes them.
 */

#include <string.h>

#include "store/relational/ledger.h"

static const char *const outcome_names[] = {
    [LEDGER_DONE] = "done",   [LEDGER_REFUSED] = "refused", [LEDGER_UNDONE] = "undone",
    [LEDGER_NEVER] = "never", [LEDGER_PENDING] = "pending",
};

const char *ledger_outcome_name(enum ledger_outcome outcome)
{
    return outcome_names[outcome];
}

static enum ledger_outcome outcome_of(const char *name)
{
    for (size_t i = 0; i < sizeof outcome_names / sizeof outcome_names[0]; i++) {
        if (strcmp(outcome_names[i], name) == 0)
            return (enum ledger_outcome)i;
    }
    error_assertion_failed("a command record has a known outcome", __FILE__, __LINE__);
}

struct command_found {
    struct arena *arena;
    struct ledger_command *command;
    bool found;
};

static bool take_command(void *context, const struct sql_row *row)
{
    struct command_found *found = context;
    const struct sql_value *v = row->values;
    struct arena *arena = found->arena;
    found->found = true;
    *found->command = (struct ledger_command){.birth = ledger_copy(arena, &v[0]),
                                              .number = v[1].integer,
                                              .attempt = v[2].integer,
                                              .created_ms = v[3].integer,
                                              .outcome = outcome_of(v[4].text),
                                              .digest = ledger_copy(arena, &v[5]),
                                              .request = ledger_copy(arena, &v[6]),
                                              .answer = ledger_copy(arena, &v[7]),
                                              .undo_answer = ledger_copy(arena, &v[8])};
    return true;
}

enum fh_code ledger_command_get(struct store_work *work, struct arena *arena, const char *caller,
                                const char *key, struct ledger_command *ret, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(caller), sql_text(key)};
    struct command_found found = {.arena = arena, .command = ret};
    enum fh_code code = sql_run(work,
                                "SELECT birth, number, attempt, created_ms, outcome, digest,"
                                " request, answer, undo_answer FROM fh_command"
                                " WHERE caller = ?1 AND key = ?2",
                                values, 2, take_command, &found, NULL, error);
    if (code != FH_OK)
        return code;
    if (!found.found)
        return error_set(error, FH_NOT_FOUND, "There is no record of that command.");
    ret->caller = arena_text(arena, caller);
    ret->key = arena_text(arena, key);
    return FH_OK;
}

enum fh_code ledger_command_put(struct store_work *work, const struct ledger_command *command,
                                struct fh_error *error)
{
    struct sql_value values[] = {sql_text(command->caller),
                                 sql_text(command->key),
                                 sql_text(command->birth),
                                 sql_integer(command->number),
                                 sql_integer(command->attempt),
                                 sql_integer(command->created_ms),
                                 sql_text(outcome_names[command->outcome]),
                                 sql_text(command->digest),
                                 sql_text(command->request),
                                 sql_text(command->answer),
                                 sql_text(command->undo_answer)};
    return ledger_do(work,
                     "INSERT INTO fh_command (caller, key, birth, number, attempt, created_ms,"
                     " outcome, digest, request, answer, undo_answer)"
                     " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
                     " ON CONFLICT (caller, key) DO UPDATE SET attempt = excluded.attempt,"
                     " outcome = excluded.outcome, digest = excluded.digest,"
                     " request = excluded.request, answer = excluded.answer,"
                     " undo_answer = excluded.undo_answer",
                     values, LEDGER_COUNT(values), NULL, error);
}

enum fh_code ledger_commands_expire(struct store_work *work, int64_t before_ms, int limit,
                                    int64_t *ret_removed, struct fh_error *error)
{
    struct sql_value values[] = {sql_integer(before_ms), sql_integer(limit)};
    return ledger_do(work,
                     "DELETE FROM fh_command WHERE (caller, key) IN (SELECT caller, key"
                     " FROM fh_command WHERE birth = '' AND created_ms < ?1"
                     " ORDER BY created_ms LIMIT ?2)",
                     values, 2, ret_removed, error);
}

/* ---- callers ---- */

struct caller_found {
    struct arena *arena;
    struct ledger_caller *caller;
};

static bool take_caller(void *context, const struct sql_row *row)
{
    struct caller_found *found = context;
    found->caller->closed_through = row->values[0].integer;
    found->caller->still_open = ledger_copy(found->arena, &row->values[1]);
    return true;
}

enum fh_code ledger_caller_get(struct store_work *work, struct arena *arena, const char *caller,
                               const char *birth, struct ledger_caller *ret, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(caller), sql_text(birth)};
    struct caller_found found = {arena, ret};
    *ret = (struct ledger_caller){.still_open = "[]"};
    return sql_run(work,
                   "SELECT closed_through, still_open FROM fh_caller"
                   " WHERE caller = ?1 AND birth = ?2",
                   values, 2, take_caller, &found, NULL, error);
}

enum fh_code ledger_caller_close(struct store_work *work, const char *caller, const char *birth,
                                 const struct ledger_caller *closed, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(caller), sql_text(birth),
                                 sql_integer(closed->closed_through), sql_text(closed->still_open)};
    enum fh_code code =
        ledger_do(work,
                  "INSERT INTO fh_caller (caller, birth, closed_through, still_open)"
                  " VALUES (?1, ?2, ?3, ?4) ON CONFLICT (caller, birth) DO UPDATE SET"
                  " closed_through = excluded.closed_through, still_open = excluded.still_open",
                  values, LEDGER_COUNT(values), NULL, error);
    if (code != FH_OK)
        return code;
    return ledger_do(work,
                     "DELETE FROM fh_command WHERE caller = ?1 AND birth = ?2 AND birth <> ''"
                     " AND number <= ?3 AND outcome <> 'pending'"
                     " AND number NOT IN (SELECT value FROM json_each(?4))",
                     values, LEDGER_COUNT(values), NULL, error);
}

enum fh_code ledger_caller_newest(struct store_work *work, const char *caller,
                                  char ret_incarnation[ID_SIZE], struct fh_error *error)
{
    struct sql_value values[] = {sql_text(caller)};
    enum fh_code code =
        ledger_text(work, "SELECT incarnation FROM fh_caller_newest WHERE caller = ?1", values, 1,
                    ret_incarnation, ID_SIZE, error);
    return code == FH_NOT_FOUND ? FH_OK : code;
}

enum fh_code ledger_caller_set_newest(struct store_work *work, const char *caller,
                                      const char *incarnation, struct fh_error *error)
{
    struct sql_value values[] = {sql_text(caller), sql_text(incarnation)};
    return ledger_do(work,
                     "INSERT INTO fh_caller_newest (caller, incarnation) VALUES (?1, ?2)"
                     " ON CONFLICT (caller) DO UPDATE SET incarnation = excluded.incarnation",
                     values, 2, NULL, error);
}
