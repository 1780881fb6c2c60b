/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger on Redis: commands, and what callers have closed. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "store/keyvalue/redis_ledger.h"

#define COMMANDS "command"
#define CALLERS "caller"
#define NEWEST "caller_newest"
#define CLOSED_MAX 10000 /* records that one closing removes */

enum fh_code redis_ledger_command_get(struct store_work *work, struct arena *arena,
                                      const char *caller, const char *key,
                                      struct ledger_command *ret, struct fh_error *error)
{
    char id[REDIS_ID_SIZE];
    json_t *record = NULL;
    enum fh_code code = redis_id(id, error, "%s" REDIS_SEPARATOR "%s", caller, key);
    if (!code)
        code = redis_get(work, COMMANDS, id, &record, error);
    if (code)
        return code;
    if (!record)
        return error_set(error, FH_NOT_FOUND, "There is no record of that command.");
    *ret = (struct ledger_command){.caller = arena_text(arena, caller),
                                   .key = arena_text(arena, key),
                                   .birth = redis_copy(arena, redis_text(record, "birth")),
                                   .number = redis_integer(record, "number"),
                                   .attempt = redis_integer(record, "attempt"),
                                   .created_ms = redis_integer(record, "created_ms"),
                                   .outcome = ledger_outcome_of(redis_text(record, "outcome")),
                                   .digest = redis_copy(arena, redis_text(record, "digest")),
                                   .request = redis_copy(arena, redis_text(record, "request")),
                                   .answer = redis_copy(arena, redis_text(record, "answer")),
                                   .undo_answer =
                                       redis_copy(arena, redis_text(record, "undo_answer"))};
    json_decref(record);
    return FH_OK;
}

/* A record keeps its birth, its number and its time of making. */
enum fh_code redis_ledger_command_put(struct store_work *work, const struct ledger_command *command,
                                      struct fh_error *error)
{
    char id[REDIS_ID_SIZE];
    json_t *before = NULL;
    enum fh_code code =
        redis_id(id, error, "%s" REDIS_SEPARATOR "%s", command->caller, command->key);
    if (!code)
        code = redis_get(work, COMMANDS, id, &before, error);
    if (code)
        return code;
    json_t *values = redis_pack(
        "{s:I, s:s, s:s?, s:s?, s:s?, s:s?}", "attempt", (json_int_t)command->attempt, "outcome",
        ledger_outcome_name(command->outcome), "digest", command->digest, "request",
        command->request, "answer", command->answer, "undo_answer", command->undo_answer);
    if (!before) {
        json_t *made =
            redis_pack("{s:s, s:s, s:s, s:I, s:I}", "caller", command->caller, "key", command->key,
                       "birth", command->birth, "number", (json_int_t)command->number, "created_ms",
                       (json_int_t)command->created_ms);
        code = redis_set(work, COMMANDS, id, made, values, error);
        json_decref(made);
    } else {
        code = redis_set(work, COMMANDS, id, before, values, error);
        json_decref(before);
    }
    return code;
}

/* Nothing depends on which of them are found: what is old stays so. */
enum fh_code redis_ledger_commands_expire(struct store_work *work, int64_t before_ms, int limit,
                                          int64_t *ret_removed, struct fh_error *error)
{
    json_t *list, *record;
    size_t index;
    char below[24];
    *ret_removed = 0;
    snprintf(below, sizeof below, REDIS_NUMBER, before_ms);
    struct redis_range old = {
        .order = "command:created", .prefix = "", .below = below, .limit = limit, .looks = true};
    enum fh_code code = redis_range(work, COMMANDS, &old, &list, error);
    json_array_foreach (list, index, record) {
        if (!code)
            code = redis_put(work, COMMANDS, redis_text(record, "id"), NULL, error);
        *ret_removed += !code;
    }
    json_decref(list);
    return code;
}

/* ---- Callers --------------------------------------------------------------------------------- */

enum fh_code redis_ledger_caller_get(struct store_work *work, struct arena *arena,
                                     const char *caller, const char *birth,
                                     struct ledger_caller *ret, struct fh_error *error)
{
    char id[REDIS_ID_SIZE];
    json_t *record = NULL;
    *ret = (struct ledger_caller){.still_open = "[]"};
    enum fh_code code = redis_id(id, error, "%s" REDIS_SEPARATOR "%s", caller, birth);
    if (!code)
        code = redis_get(work, CALLERS, id, &record, error);
    if (code || !record)
        return code;
    ret->closed_through = redis_integer(record, "closed_through");
    ret->still_open = arena_text(arena, redis_text(record, "still_open"));
    json_decref(record);
    return FH_OK;
}

/* As many as one work takes away; the rest at the next closing, which finds them again. Nothing
 * depends on which are found: none comes any more under a number that is closed. */
static enum fh_code remove_closed(struct store_work *work, const char *caller, const char *birth,
                                  const struct ledger_caller *closed, struct fh_error *error)
{
    char prefix[REDIS_ID_SIZE], below[24];
    json_t *open = NULL, *list = NULL, *record;
    size_t index;
    struct arena *arena = json_arena_set(NULL);
    enum fh_code code = json_parse(closed->still_open, strlen(closed->still_open), &open, error);
    if (!code)
        code = redis_id(prefix, error, "%s" REDIS_SEPARATOR "%s" REDIS_SEPARATOR, caller, birth);
    snprintf(below, sizeof below, REDIS_NUMBER, closed->closed_through + 1);
    struct redis_range range = {.order = "command:closable",
                                .prefix = prefix,
                                .below = below,
                                .limit = CLOSED_MAX,
                                .looks = true};
    if (!code)
        code = redis_range(work, COMMANDS, &range, &list, error);
    json_array_foreach (list, index, record) {
        if (!code && !redis_names(open, redis_integer(record, "number")))
            code = redis_put(work, COMMANDS, redis_text(record, "id"), NULL, error);
    }
    json_decref(list);
    json_decref(open);
    json_arena_set(arena);
    return code;
}

enum fh_code redis_ledger_caller_close(struct store_work *work, const char *caller,
                                       const char *birth, const struct ledger_caller *closed,
                                       struct fh_error *error)
{
    char id[REDIS_ID_SIZE];
    enum fh_code code = redis_id(id, error, "%s" REDIS_SEPARATOR "%s", caller, birth);
    if (!code)
        code = redis_put(work, CALLERS, id,
                         redis_pack("{s:s, s:s, s:I, s:s}", "caller", caller, "birth", birth,
                                    "closed_through", (json_int_t)closed->closed_through,
                                    "still_open", closed->still_open),
                         error);
    return code || !*birth ? code : remove_closed(work, caller, birth, closed, error);
}

enum fh_code redis_ledger_caller_newest(struct store_work *work, const char *caller,
                                        char ret_incarnation[ID_SIZE], struct fh_error *error)
{
    json_t *record;
    ret_incarnation[0] = '\0';
    enum fh_code code = redis_get(work, NEWEST, caller, &record, error);
    if (!code && record) {
        snprintf(ret_incarnation, ID_SIZE, "%s", redis_text(record, "incarnation"));
        json_decref(record);
    }
    return code;
}

enum fh_code redis_ledger_caller_set_newest(struct store_work *work, const char *caller,
                                            const char *incarnation, struct fh_error *error)
{
    return redis_put(work, NEWEST, caller, redis_pack("{s:s}", "incarnation", incarnation), error);
}
