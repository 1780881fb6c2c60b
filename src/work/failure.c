/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A handler's failure: what it becomes as an answer, and leaving the handler with it. It is set
 * while the handler may hold any state, so nothing here uses the store or the arena of the run.
 *
 * The client is told what went wrong with its values, the log and whoever keeps w->failure without
 * those that are marked. Of what is no fault of the client's, a status of 500 and more, it is told
 * only a sentence that is the same for all: why is in the log (fault.h).
 */

#include <stdarg.h>
#include <stdio.h>

#include "base/json.h"
#include "base/log.h"
#include "shape/mark.h"
#include "shape/problem.h"
#include "work/batch.h"
#include "work/fault.h"
#include "work/redact.h"

static enum problem_type problem_of_code(enum fh_code code)
{
    switch (code) {
    case FH_INVALID:
        return PROBLEM_DATA_REJECTED;
    case FH_NOT_FOUND:
        return PROBLEM_DATA_MISSING;
    case FH_CONFLICT:
        return PROBLEM_DATA_CONFLICTED;
    case FH_UNAVAILABLE:
        return PROBLEM_DEPENDENCY_UNAVAILABLE;
    case FH_NO_MEMORY:
        return PROBLEM_OVERLOADED;
    case FH_OUTCOME_UNKNOWN: /* engines resolve it themselves */
    case FH_UNSUPPORTED:
    case FH_OK:
        break;
    }
    return PROBLEM_HANDLER_FAILED;
}

/* What a client is told of a problem: `detail`, or a sentence that tells nothing of the inside. */
static const char *told_detail(enum problem_type type, const char *detail)
{
    static const struct {
        enum problem_type type;
        const char *sentence;
    } sentences[] = {
        {PROBLEM_HANDLER_FAILED, "The service has a fault here; its log says which."},
        {PROBLEM_DEPENDENCY_UNAVAILABLE,
         "What the service needs for this is not available now: nothing was done. Repeat the "
         "request later."},
        {PROBLEM_OVERLOADED, "The service has no memory for this request now: nothing was done."},
        {PROBLEM_CALL_FAILED,
         "Another service gave an answer that this one can't use: nothing was done."}};
    for (size_t i = 0; i < sizeof sentences / sizeof *sentences; i++) {
        if (sentences[i].type == type)
            return sentences[i].sentence;
    }
    return detail;
}

static void set_reply(fh_work *w, int status, json_t *body)
{
    w->fault_status = status >= 500 ? status : 0;
    w->replied = true;
    w->reply_status = status;
    w->reply_body = body;
}

static void name_statement(fh_work *w, unsigned number)
{
    for (const struct work_unanswered *one = w->unanswered; number && one; one = one->next) {
        if (one->number == number)
            w->statement = one->sql;
    }
}

void work_set_problem(fh_work *w, const struct fh_error *error)
{
    struct arena *before = json_arena_set(&w->kept);
    json_t *errors = NULL;
    struct fh_error told = *error;
    work_redact(w, SHAPE_UNKEPT, told.message, sizeof told.message);
    if (error->field[0])
        errors = json_pack("[{s:o, s:s}]", "pointer", json_sprintf("/%s", error->field), "detail",
                           told.message);
    enum problem_type type = problem_of_code(error->code);
    int status = problem_status(type);
    json_t *problem =
        problem_new(type, told_detail(type, told.message), status < 500 ? errors : NULL);
    work_redact(w, SHAPE_MARKED, told.message, sizeof told.message);
    work_redact(w, SHAPE_MARKED, w->failure.message, sizeof w->failure.message);
    name_statement(w, error->statement);
    if (store_is_damaged(error))
        log_error("store-damaged", "%s",
                  told.message); /* an operator has to act, whatever the request was */
    set_reply(w, status, problem);
    if (status == 503 && !w->retry_after_s)
        w->retry_after_s = 1;
    json_arena_set(before);
}

void work_fail(fh_work *w, const struct fh_error *error)
{
    w->failure = *error;
    if (w->failure.code == FH_OK)
        w->failure.code = FH_UNSUPPORTED;
    w->by_store =
        w->by_store || (w->phase == WORK_OPEN && !w->by_fence && !store_is_busy(&w->failure));
    work_set_problem(w, &w->failure);
    work_end_handler(w, WORK_ENDED_BY_FAILURE);
}

/* `why`: for the log and whoever keeps the failure. */
static _Noreturn void fail_problem(fh_work *w, int status, json_t *problem, const char *why)
{
    static const struct {
        int status;
        enum fh_code code;
    } codes[] = {{404, FH_NOT_FOUND}, {409, FH_CONFLICT}, {503, FH_UNAVAILABLE}};
    enum fh_code code = status >= 500 ? FH_UNAVAILABLE : FH_INVALID;
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (codes[i].status == status)
            code = codes[i].code;
    }
    error_set(&w->failure, code, "%s", why);
    work_redact(w, SHAPE_MARKED, w->failure.message, sizeof w->failure.message);
    if (status == 503 && !w->retry_after_s)
        w->retry_after_s = 1;
    set_reply(w, status, problem);
    work_end_handler(w, WORK_ENDED_BY_FAILURE);
}

void work_fail_problem(fh_work *w, int status, json_t *problem)
{
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    fail_problem(w, status, problem, detail ? detail : problem_title(status));
}

void work_fail_as(fh_work *w, enum problem_type type, const char *pointer, const char *detail)
{
    struct arena *before = json_arena_set(&w->kept);
    int status = problem_status(type);
    const char *told = told_detail(type, detail);
    json_t *errors = pointer && told == detail
                         ? json_pack("[{s:s, s:s}]", "pointer", pointer, "detail", detail)
                         : NULL;
    json_t *problem = problem_new(type, told, errors);
    json_arena_set(before);
    fail_problem(w, status, problem, detail);
}

void work_fault(fh_work *w, const char *format, ...)
{
    struct fh_error error = {.code = FH_UNSUPPORTED};
    va_list args;
    va_start(args, format);
    vsnprintf(error.message, sizeof error.message, format, args);
    va_end(args);
    work_fail(w, &error);
}

void work_is_no_cast(fh_work *w, const char *what)
{
    if (w->cast.running)
        work_fault(w, "%s uses %s: what casts an event is a function of its data alone.",
                   w->cast.running, what);
}

void work_fail_with(fh_work *w, enum fh_code code, const char *message)
{
    struct fh_error error;
    error_set(&error, code, "%s", message);
    work_fail(w, &error);
}
