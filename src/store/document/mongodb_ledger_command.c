/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger on MongoDB: commands, and what callers have closed. */

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "store/document/mongodb_ledger.h"

#define COMMANDS "fh_command"
#define CALLERS "fh_caller"
#define NEWEST "fh_caller_newest"

enum fh_code mongodb_ledger_command_get(struct store_work *work, struct arena *arena,
                                        const char *caller, const char *key,
                                        struct ledger_command *ret, struct fh_error *error)
{
    char id[MONGODB_ID_SIZE];
    json_t *document = NULL;
    enum fh_code code = mongodb_id(id, error, "%s" MONGODB_SEPARATOR "%s", caller, key);
    if (!code)
        code = mongodb_get(work, COMMANDS, id, &document, error);
    if (code)
        return code;
    if (!document)
        return error_set(error, FH_NOT_FOUND, "There is no record of that command.");
    *ret = (struct ledger_command){
        .caller = arena_text(arena, caller),
        .key = arena_text(arena, key),
        .birth = mongodb_copy(arena, mongodb_text(document, "birth")),
        .number = mongodb_integer(document, "number"),
        .attempt = mongodb_integer(document, "attempt"),
        .created_ms = mongodb_integer(document, "created_ms"),
        .outcome = ledger_outcome_of(mongodb_text(document, "outcome")),
        .digest = mongodb_copy(arena, mongodb_text(document, "digest")),
        .request = mongodb_copy(arena, mongodb_text(document, "request")),
        .answer = mongodb_copy(arena, mongodb_text(document, "answer")),
        .undo_answer = mongodb_copy(arena, mongodb_text(document, "undo_answer"))};
    json_decref(document);
    return FH_OK;
}

struct commands_visit {
    const char *caller, *key; /* behind which */
    int left;
    bool (*visit)(void *context, const struct ledger_command *command);
    void *context;
};

static bool visit_command(void *context, const json_t *document)
{
    struct commands_visit *to = context;
    struct ledger_command command = {.caller = mongodb_text(document, "caller"),
                                     .key = mongodb_text(document, "key"),
                                     .birth = mongodb_text(document, "birth"),
                                     .number = mongodb_integer(document, "number"),
                                     .attempt = mongodb_integer(document, "attempt"),
                                     .created_ms = mongodb_integer(document, "created_ms"),
                                     .outcome =
                                         ledger_outcome_of(mongodb_text(document, "outcome")),
                                     .digest = mongodb_text(document, "digest"),
                                     .request = mongodb_text(document, "request"),
                                     .answer = mongodb_text(document, "answer"),
                                     .undo_answer = mongodb_text(document, "undo_answer")};
    int order = strcmp(command.caller, to->caller);
    if (order < 0 || (order == 0 && strcmp(command.key, to->key) <= 0))
        return true;
    return to->left-- > 0 && to->visit(to->context, &command);
}

/* In the order of ids, which begin with the caller. */
enum fh_code mongodb_ledger_commands_read(struct store_work *work, const char *caller,
                                          const char *key, int limit,
                                          bool (*visit)(void *context,
                                                        const struct ledger_command *command),
                                          void *context, struct fh_error *error)
{
    struct commands_visit to = {caller, key, limit, visit, context};
    return mongodb_each(work, COMMANDS, mongodb_pack("{s:{s:s}}", "birth", "$ne", ""),
                        visit_command, &to, error);
}

/* A record keeps its birth, its number and its time of making. */
enum fh_code mongodb_ledger_command_put(struct store_work *work,
                                        const struct ledger_command *command,
                                        struct fh_error *error)
{
    char id[MONGODB_ID_SIZE];
    json_t *before = NULL;
    enum fh_code code =
        mongodb_id(id, error, "%s" MONGODB_SEPARATOR "%s", command->caller, command->key);
    if (!code)
        code = mongodb_get(work, COMMANDS, id, &before, error);
    if (code)
        return code;
    json_t *values = mongodb_pack(
        "{s:I, s:s, s:s?, s:s?, s:s?, s:s?}", "attempt", (json_int_t)command->attempt, "outcome",
        ledger_outcome_name(command->outcome), "digest", command->digest, "request",
        command->request, "answer", command->answer, "undo_answer", command->undo_answer);
    if (!before) {
        json_t *made = mongodb_pack("{s:s, s:s, s:s, s:I, s:I}", "caller", command->caller, "key",
                                    command->key, "birth", command->birth, "number",
                                    (json_int_t)command->number, "created_ms",
                                    (json_int_t)command->created_ms);
        code = mongodb_set(work, COMMANDS, id, made, values, error);
        json_decref(made);
    } else {
        code = mongodb_set(work, COMMANDS, id, before, values, error);
        json_decref(before);
    }
    return code;
}

enum fh_code mongodb_ledger_commands_expire(struct store_work *work, int64_t before_ms, int limit,
                                            int64_t *ret_removed, struct fh_error *error)
{
    json_t *list, *document;
    size_t index;
    *ret_removed = 0;
    json_t *filter =
        mongodb_pack("{s:s, s:{s:I}}", "birth", "", "created_ms", "$lt", (json_int_t)before_ms);
    enum fh_code code = mongodb_some(work, COMMANDS, filter, limit, false, false, &list, error);
    json_array_foreach (list, index, document) {
        if (!code)
            code = mongodb_put(work, COMMANDS, mongodb_text(document, "id"), NULL, error);
        *ret_removed += !code;
    }
    json_decref(list);
    return code;
}

/* ---- Callers --------------------------------------------------------------------------------- */

enum fh_code mongodb_ledger_caller_get(struct store_work *work, struct arena *arena,
                                       const char *caller, const char *birth,
                                       struct ledger_caller *ret, struct fh_error *error)
{
    char id[MONGODB_ID_SIZE];
    json_t *document = NULL;
    *ret = (struct ledger_caller){.still_open = "[]"};
    enum fh_code code = mongodb_id(id, error, "%s" MONGODB_SEPARATOR "%s", caller, birth);
    if (!code)
        code = mongodb_get(work, CALLERS, id, &document, error);
    if (code || !document)
        return code;
    ret->closed_through = mongodb_integer(document, "closed_through");
    ret->still_open = arena_text(arena, mongodb_text(document, "still_open"));
    json_decref(document);
    return FH_OK;
}

struct callers_visit {
    bool (*visit)(void *context, const char *caller, const char *birth,
                  const struct ledger_caller *closed);
    void *context;
};

static bool visit_caller(void *context, const json_t *document)
{
    struct callers_visit *to = context;
    struct ledger_caller closed = {.closed_through = mongodb_integer(document, "closed_through"),
                                   .still_open = mongodb_text(document, "still_open")};
    return to->visit(to->context, mongodb_text(document, "caller"), mongodb_text(document, "birth"),
                     &closed);
}

enum fh_code mongodb_ledger_callers_read(struct store_work *work,
                                         bool (*visit)(void *context, const char *caller,
                                                       const char *birth,
                                                       const struct ledger_caller *closed),
                                         void *context, struct fh_error *error)
{
    struct callers_visit to = {visit, context};
    return mongodb_each(work, CALLERS, mongodb_pack("{}"), visit_caller, &to, error);
}

/* In the server's words: it is the server that removes them, once the closing is committed. */
static enum fh_code closed_commands(const char *caller, const char *birth,
                                    const struct ledger_caller *closed, json_t **ret,
                                    struct fh_error *error)
{
    json_t *open;
    struct arena *arena = json_arena_set(NULL);
    enum fh_code code = json_parse(closed->still_open, strlen(closed->still_open), &open, error);
    if (!code)
        *ret = mongodb_pack("{s:s, s:s, s:{s:s}, s:{s:I, s:o}}", "caller", caller, "birth", birth,
                            "outcome", "$ne", "pending", "number", "$lte",
                            (json_int_t)closed->closed_through, "$nin", open);
    json_arena_set(arena);
    return code;
}

enum fh_code mongodb_ledger_caller_close(struct store_work *work, const char *caller,
                                         const char *birth, const struct ledger_caller *closed,
                                         struct fh_error *error)
{
    char id[MONGODB_ID_SIZE];
    json_t *commands;
    enum fh_code code = mongodb_id(id, error, "%s" MONGODB_SEPARATOR "%s", caller, birth);
    if (!code)
        code = mongodb_put(work, CALLERS, id,
                           mongodb_pack("{s:s, s:s, s:I, s:s}", "caller", caller, "birth", birth,
                                        "closed_through", (json_int_t)closed->closed_through,
                                        "still_open", closed->still_open),
                           error);
    if (code || !*birth)
        return code;
    code = closed_commands(caller, birth, closed, &commands, error);
    return code ? code : mongodb_remove_range(work, COMMANDS, commands, error);
}

enum fh_code mongodb_ledger_caller_newest(struct store_work *work, const char *caller,
                                          char ret_incarnation[ID_SIZE], struct fh_error *error)
{
    json_t *document;
    ret_incarnation[0] = '\0';
    enum fh_code code = mongodb_get(work, NEWEST, caller, &document, error);
    if (!code && document) {
        snprintf(ret_incarnation, ID_SIZE, "%s", mongodb_text(document, "incarnation"));
        json_decref(document);
    }
    return code;
}

enum fh_code mongodb_ledger_caller_set_newest(struct store_work *work, const char *caller,
                                              const char *incarnation, struct fh_error *error)
{
    return mongodb_put(work, NEWEST, caller, mongodb_pack("{s:s}", "incarnation", incarnation),
                       error);
}
