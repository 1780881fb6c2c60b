/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger as records: commands, and what callers have closed. */

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "store/records/records.h"

#define COMMANDS "command"
#define CALLERS "caller"
#define NEWEST "caller_newest"

struct ledger_command record_command(const json_t *record)
{
    return (struct ledger_command){.caller = record_text(record, "caller"),
                                   .key = record_text(record, "key"),
                                   .birth = record_text(record, "birth"),
                                   .number = record_integer(record, "number"),
                                   .attempt = record_integer(record, "attempt"),
                                   .created_ms = record_integer(record, "created_ms"),
                                   .outcome = ledger_outcome_of(record_text(record, "outcome")),
                                   .digest = record_optional(record, "digest"),
                                   .request = record_optional(record, "request"),
                                   .answer = record_optional(record, "answer"),
                                   .undo_answer = record_optional(record, "undo_answer")};
}

enum fh_code records_command_get(struct store_work *work, struct arena *arena, const char *caller,
                                 const char *key, struct ledger_command *ret,
                                 struct fh_error *error)
{
    char id[RECORD_ID_SIZE];
    json_t *record = NULL;
    enum fh_code code = record_id(id, error, "%s" RECORD_SEPARATOR "%s", caller, key);
    if (!code)
        code = records_get(work, COMMANDS, id, &record, error);
    if (code)
        return code;
    if (!record)
        return error_set(error, FH_NOT_FOUND, "There is no record of that command.");
    *ret = record_command(record);
    ret->caller = arena_text(arena, caller);
    ret->key = arena_text(arena, key);
    ret->birth = record_copy(arena, record, "birth");
    ret->digest = record_copy(arena, record, "digest");
    ret->request = record_copy(arena, record, "request");
    ret->answer = record_copy(arena, record, "answer");
    ret->undo_answer = record_copy(arena, record, "undo_answer");
    json_decref(record);
    return FH_OK;
}

/* A record keeps its birth, its number and its creation time. */
enum fh_code records_command_put(struct store_work *work, const struct ledger_command *command,
                                 struct fh_error *error)
{
    char id[RECORD_ID_SIZE];
    json_t *before = NULL;
    enum fh_code code =
        record_id(id, error, "%s" RECORD_SEPARATOR "%s", command->caller, command->key);
    if (!code)
        code = records_get(work, COMMANDS, id, &before, error);
    if (code)
        return code;
    json_t *values = record_pack(
        "{s:I, s:s, s:s?, s:s?, s:s?, s:s?}", "attempt", (json_int_t)command->attempt, "outcome",
        ledger_outcome_name(command->outcome), "digest", command->digest, "request",
        command->request, "answer", command->answer, "undo_answer", command->undo_answer);
    if (!before) {
        json_t *made =
            record_pack("{s:s, s:s, s:s, s:I, s:I}", "caller", command->caller, "key", command->key,
                        "birth", command->birth, "number", (json_int_t)command->number,
                        "created_ms", (json_int_t)command->created_ms);
        code = records_set(work, COMMANDS, id, made, values, error);
        json_decref(made);
    } else {
        code = records_set(work, COMMANDS, id, before, values, error);
        json_decref(before);
    }
    return code;
}

/* Reads the records so that the commit checks them: one that a client has created again is not
 * removed. */
enum fh_code records_commands_expire(struct store_work *work, int64_t before_ms, int limit,
                                     int64_t *ret_removed, struct fh_error *error)
{
    json_t *list, *record;
    size_t index;
    *ret_removed = 0;
    struct record_range old = {.table = COMMANDS,
                               .list = RECORDS_OF_CLIENT,
                               .below = before_ms > 0 ? before_ms : 1,
                               .limit = limit};
    enum fh_code code = records_gather(work, &old, &list, error);
    json_array_foreach (list, index, record) {
        if (!code)
            code = records_put(work, COMMANDS, record_text(record, "id"), NULL, error);
        *ret_removed += !code;
    }
    json_decref(list);
    return code;
}

struct commands {
    bool (*visit)(void *context, const struct ledger_command *command);
    void *context;
    const char *after; /* visits only ids after this one */
    int left;
};

static bool see_command_record(void *context, json_t *record)
{
    struct commands *commands = context;
    struct ledger_command command = record_command(record);
    if (strcmp(record_text(record, "id"), commands->after) <= 0)
        return true;
    return commands->left-- > 0 && commands->visit(commands->context, &command);
}

enum fh_code
records_commands_read(struct store_work *work, const char *caller, const char *key, int limit,
                      bool (*visit)(void *context, const struct ledger_command *command),
                      void *context, struct fh_error *error)
{
    char after[RECORD_ID_SIZE];
    struct record_range range = {.table = COMMANDS, .list = RECORDS_OF_SERVICE};
    struct commands commands = {visit, context, after, limit};
    enum fh_code code = record_id(after, error, "%s" RECORD_SEPARATOR "%s", caller, key);
    return code ? code : records_each(work, &range, see_command_record, &commands, error);
}

/* ---- Callers ---- */

struct ledger_caller record_caller(const json_t *record)
{
    return (struct ledger_caller){.closed_through = record_integer(record, "closed_through"),
                                  .still_open = record_text(record, "still_open")};
}

struct callers {
    bool (*visit)(void *context, const char *caller, const char *birth,
                  const struct ledger_caller *closed);
    void *context;
};

static bool see_caller_record(void *context, json_t *record)
{
    const struct callers *callers = context;
    struct ledger_caller closed = record_caller(record);
    return callers->visit(callers->context, record_text(record, "caller"),
                          record_text(record, "birth"), &closed);
}

enum fh_code records_callers_read(struct store_work *work,
                                  bool (*visit)(void *context, const char *caller,
                                                const char *birth,
                                                const struct ledger_caller *closed),
                                  void *context, struct fh_error *error)
{
    struct callers callers = {visit, context};
    return records_each(work, &(struct record_range){.table = CALLERS}, see_caller_record, &callers,
                        error);
}

enum fh_code records_caller_get(struct store_work *work, struct arena *arena, const char *caller,
                                const char *birth, struct ledger_caller *ret,
                                struct fh_error *error)
{
    char id[RECORD_ID_SIZE];
    json_t *record = NULL;
    *ret = (struct ledger_caller){.still_open = "[]"};
    enum fh_code code = record_id(id, error, "%s" RECORD_SEPARATOR "%s", caller, birth);
    if (!code)
        code = records_get(work, CALLERS, id, &record, error);
    if (code || !record)
        return code;
    *ret = record_caller(record);
    ret->still_open = arena_text(arena, ret->still_open);
    json_decref(record);
    return FH_OK;
}

enum fh_code records_caller_close(struct store_work *work, const char *caller, const char *birth,
                                  const struct ledger_caller *closed, struct fh_error *error)
{
    char id[RECORD_ID_SIZE];
    enum fh_code code = record_id(id, error, "%s" RECORD_SEPARATOR "%s", caller, birth);
    if (!code)
        code = records_put(work, CALLERS, id,
                           record_pack("{s:s, s:s, s:I, s:s}", "caller", caller, "birth", birth,
                                       "closed_through", (json_int_t)closed->closed_through,
                                       "still_open", closed->still_open),
                           error);
    if (code || !*birth)
        return code;
    json_t *open = NULL;
    struct arena *arena = json_arena_set(NULL);
    code = json_parse(closed->still_open, strlen(closed->still_open), &open, error);
    if (!code)
        code = records_of(work)->commands_close(work, caller, birth, closed->closed_through, open,
                                                error);
    json_decref(open);
    json_arena_set(arena);
    return code;
}

enum fh_code records_caller_newest(struct store_work *work, const char *caller,
                                   char ret_incarnation[ID_SIZE], struct fh_error *error)
{
    json_t *record;
    ret_incarnation[0] = '\0';
    enum fh_code code = records_get(work, NEWEST, caller, &record, error);
    if (!code && record) {
        snprintf(ret_incarnation, ID_SIZE, "%s", record_text(record, "incarnation"));
        json_decref(record);
    }
    return code;
}

enum fh_code records_caller_set_newest(struct store_work *work, const char *caller,
                                       const char *incarnation, struct fh_error *error)
{
    return records_put(work, NEWEST, caller, record_pack("{s:s}", "incarnation", incarnation),
                       error);
}
