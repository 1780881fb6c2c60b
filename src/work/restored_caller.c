/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A restored caller, seen by its receiver. Only the receiver still knows the sagas that began after
 * the caller's cut, or in incarnations that no backup has kept. The transaction that closes them
 * for ever also reports what was done for them: once their records are gone, nobody else could.
 *
 *     done, pending            it was done here, and nobody continues it or takes it back
 *     refused, undone, never   nothing is left of it: not reported
 *     closed before            it had ended; its records are gone, and what it did stays
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "work/command_key.h"
#include "work/restored.h"

/* Incarnations of one caller closed at once; the rest at its next restore. */
#define BIRTHS_MAX 64

struct hearing {
    const struct restored_caller *caller;
    const char *service;
    struct restored_news news;
    char skipped[BIRTHS_MAX][ID_SIZE]; /* incarnations that the caller has never heard of */
    int skipped_count;
};

static bool is_caller_known(const struct hearing *hearing, const char *birth)
{
    size_t index;
    json_t *life;
    json_array_foreach (hearing->caller->lives, index, life) {
        if (json_is_string(life) && strcmp(json_string_value(life), birth) == 0)
            return true;
    }
    return false;
}

static void skip_life(struct hearing *hearing, const char *birth)
{
    for (int i = 0; i < hearing->skipped_count; i++) {
        if (strcmp(hearing->skipped[i], birth) == 0)
            return;
    }
    if (hearing->skipped_count < BIRTHS_MAX)
        snprintf(hearing->skipped[hearing->skipped_count++], ID_SIZE, "%s", birth);
}

/* Is that a saga that the caller does not know? */
static bool is_lost(struct hearing *hearing, const char *birth, int64_t number)
{
    if (strcmp(birth, hearing->caller->birth) == 0)
        return number > hearing->caller->cut;
    if (is_caller_known(hearing, birth))
        return false;
    skip_life(hearing, birth);
    return true;
}

static void report_lost_command(struct hearing *hearing, const struct ledger_command *command)
{
    char saga[ID_SIZE + 24], what[RESTORED_TEXT_SIZE];
    const char *step = strrchr(command->key, '.');
    step = step ? strchr(step, '/') : NULL;
    bool pending = command->outcome == LEDGER_PENDING;
    snprintf(saga, sizeof saga, "%s.%" PRId64, command->birth, command->number);
    snprintf(what, sizeof what,
             "%s %s step %.60s of saga %s of %s, which knows nothing of that saga since it was "
             "restored: the key is %.160s.",
             hearing->service, pending ? "is still carrying out" : "did",
             step ? step + 1 : command->key, saga, hearing->caller->caller, command->key);
    restored_news_add(&hearing->news,
                      &(struct restored_entry){
                          .peer = hearing->caller->caller,
                          .saga = saga,
                          .what = what,
                          .todo = pending ? "Wait until it has ended, check what it did, and undo "
                                            "it by hand or enter in the caller what it belongs to."
                                          : "Check what was done under that key, and undo it by "
                                            "hand or enter in the caller what it belongs to."});
}

static bool judge_lost_command(void *context, const struct ledger_command *command)
{
    struct hearing *hearing = context;
    int order = strcmp(command->caller, hearing->caller->caller);
    if (order != 0)
        return order < 0;
    if (!command->birth[0] || !is_lost(hearing, command->birth, command->number))
        return true;
    if (command->outcome == LEDGER_DONE || command->outcome == LEDGER_PENDING)
        report_lost_command(hearing, command);
    return true;
}

static void report_closed_sagas(struct hearing *hearing, const char *birth, int64_t above,
                                const struct ledger_caller *closed)
{
    char what[RESTORED_TEXT_SIZE];
    if (closed->closed_through <= above || closed->closed_through >= RESTORED_NUMBER_MAX)
        return;
    snprintf(what, sizeof what,
             "%s has closed sagas of %s that %s knows nothing of since it was restored: those with "
             "numbers above %" PRId64 " up to %" PRId64 " of life %s. Their records are gone here, "
             "and what they did stays.",
             hearing->service, hearing->caller->caller, hearing->caller->caller, above,
             closed->closed_through, birth);
    restored_news_add(&hearing->news,
                      &(struct restored_entry){.peer = hearing->caller->caller,
                                               .saga = "",
                                               .what = what,
                                               .todo = "Compare what this service has with what "
                                                       "the caller has, from the time of its "
                                                       "backup on."});
}

static bool judge_closed_caller(void *context, const char *caller, const char *birth,
                                const struct ledger_caller *closed)
{
    struct hearing *hearing = context;
    if (strcmp(caller, hearing->caller->caller) != 0)
        return true;
    if (strcmp(birth, hearing->caller->birth) == 0) {
        report_closed_sagas(hearing, birth, hearing->caller->cut, closed);
    } else if (!is_caller_known(hearing, birth)) {
        skip_life(hearing, birth);
        report_closed_sagas(hearing, birth, 0, closed);
    }
    return true;
}

enum fh_code restored_caller_heard(struct store_work *work, const char *service,
                                   const struct restored_caller *caller, int64_t now_ms,
                                   struct fh_error *error)
{
    struct hearing hearing = {.caller = caller, .service = service};
    static const struct ledger_caller all = {.closed_through = RESTORED_NUMBER_MAX,
                                             .still_open = "[]"};
    /* Records are ordered by caller; starting at key "" comes before all of this caller's. */
    enum fh_code code = ledger_commands_read(work, caller->caller, "", INT32_MAX,
                                             judge_lost_command, &hearing, error);
    if (!code)
        code = ledger_callers_read(work, judge_closed_caller, &hearing, error);
    for (int i = 0; i < hearing.skipped_count && !code; i++)
        code = ledger_caller_close(work, caller->caller, hearing.skipped[i], &all, error);
    if (!code)
        code = restored_put(work, &hearing.news, now_ms, error);
    restored_news_release(&hearing.news);
    return code;
}
