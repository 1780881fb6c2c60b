/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands at the receiver: a fence around the transaction in which a keyed request runs.
 *
 * The transaction's first statements judge the request by the stored state (judge); its last one
 * records the answer (record). The handler's changes are in the same transaction, so after a crash
 * either everything is there, and the answer is repeated, or nothing, and the request runs as if
 * for the first time. The look before the transaction (peek) merely saves a repeat the handler's
 * requests to other services.
 *
 *     stored         a step arrives                     its undo arrives
 *     nothing        closed: `closed`; else runs        closed: `closed`; else `never`, for good
 *     done           its answer                         its handler, `undone`; without: `fixed`
 *     refused        its answer; higher attempt: runs   `never`, for good
 *     undone, never  `undone`, `never`: nothing runs    its answer again
 *     pending        `pending`                          `pending`
 *
 * Invariants: a request from a sender older than the newest one seen under its name, or meant for
 * another incarnation of this store, changes nothing and gets no outcome. A differing digest is
 * `mismatch`, except for tombstones, which have no digest, and undos, which compare none.
 */

#include "work/command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "base/json.h"
#include "shape/problem.h"
#include "work/command_key.h"
#include "work/command_record.h"
#include "work/keys.h"

#define COMMAND_RETRY_AFTER_S 1

enum verdict {
    VERDICT_RUN,
    VERDICT_OLDER,  /* the sender is an earlier incarnation of the caller */
    VERDICT_REPEAT, /* repeats the recorded answer */
    VERDICT_PENDING,
    VERDICT_MISMATCH,
    VERDICT_CLOSED,
    VERDICT_TAKEN_BACK, /* a step that arrives after its undo */
    VERDICT_SETTLE,     /* an undo of a step never done: a tombstone must be written */
    VERDICT_SETTLED,    /* a repeated undo */
    VERDICT_FIXED
};

struct command {
    struct work_fence fence; /* first: it is cast from */
    fh_work *w;
    const struct command_request *request;
    bool service, undo;
    const char *caller;
    const char *key;
    struct command_key name; /* parsed from a service's key */
    const char *incarnation; /* the sender's; "" for outside clients */
    int64_t attempt;
    char digest[COMMAND_DIGEST_SIZE];
    /* The same over the request as it came: records made before its secrets were marked have it. */
    char whole_digest[COMMAND_DIGEST_SIZE];
    const char *body; /* as it may be recorded, body_length bytes; NULL: none */
    size_t body_length;

    /* What the latest judgement found. */
    enum verdict verdict;
    bool newer; /* the sender is newer than any seen before */
    struct ledger_command record;

    const char *outcome;         /* for Freehold-Outcome; NULL: none */
    struct work_refusal refusal; /* of an outside client */
};

/* ---- Answers ---- */

static void reply_problem(fh_work *w, enum problem_type type, const char *detail)
{
    command_reply(w, problem_status(type), problem_new(type, detail, NULL));
    w->retry_after_s = w->reply_status == 503 ? COMMAND_RETRY_AFTER_S : 0;
}

const char *command_at(fh_work *w, int64_t position)
{
    return arena_printf(&w->kept, "%s, %lld", w->context->store->incarnation, (long long)position);
}

/* ---- Judging ---- */

static enum verdict judge_step(const struct command *command, bool found,
                               const struct ledger_caller *closed)
{
    const struct ledger_command *record = &command->record;
    bool runs_again =
        found && record->outcome == LEDGER_REFUSED && command->attempt > record->attempt;
    if (!found || runs_again) {
        bool is_closed = command->service && command_is_closed(closed, command->name.number);
        return is_closed ? VERDICT_CLOSED : VERDICT_RUN;
    }
    if (record->outcome == LEDGER_PENDING)
        return VERDICT_PENDING;
    if (record->outcome == LEDGER_NEVER)
        return VERDICT_TAKEN_BACK;
    if (strcmp(record->digest, command->digest) != 0 &&
        strcmp(record->digest, command->whole_digest) != 0)
        return VERDICT_MISMATCH;
    return record->outcome == LEDGER_UNDONE ? VERDICT_TAKEN_BACK : VERDICT_REPEAT;
}

static enum verdict judge_undo(const struct command *command, bool found,
                               const struct ledger_caller *closed)
{
    if (!found)
        return command_is_closed(closed, command->name.number) ? VERDICT_CLOSED : VERDICT_SETTLE;
    switch (command->record.outcome) {
    case LEDGER_DONE:
        return command->request->undo ? VERDICT_RUN : VERDICT_FIXED;
    case LEDGER_REFUSED:
        return VERDICT_SETTLE;
    case LEDGER_PENDING:
        return VERDICT_PENDING;
    case LEDGER_UNDONE:
    case LEDGER_NEVER:
        break;
    }
    return VERDICT_SETTLED;
}

/* For the undo handler: the step's request and answer, kept for reruns. */
static enum fh_code remember_undone(fh_work *w, const struct command *command,
                                    struct fh_error *error)
{
    struct arena *before = json_arena_set(&w->kept);
    const char *request = command->record.request, *answer = command->record.answer;
    enum fh_code code = FH_OK;
    json_t *recorded = NULL;
    if (request && !w->undone_request)
        code = json_parse(request, strlen(request), &w->undone_request, error);
    if (!code && answer && !w->undone_answer) {
        code = json_parse(answer, strlen(answer), &recorded, error);
        if (!code)
            w->undone_answer = json_object_get(recorded, "body");
    }
    json_arena_set(before);
    return code;
}

/* Fills in what it finds; writes nothing. */
static enum fh_code judge_command(fh_work *w, struct command *command, struct store_work *work,
                                  struct fh_error *error)
{
    char newest[ID_SIZE] = "";
    struct ledger_caller closed = {.closed_through = 0, .still_open = "[]"};
    command->newer = false;
    if (command->service) {
        enum fh_code code = ledger_caller_look(work, &w->kept, command->caller, command->name.birth,
                                               newest, &closed, error);
        if (code)
            return code;
        int order = strcmp(command->incarnation, newest); /* time-ordered ids */
        command->newer = order > 0;
        if (order < 0) {
            command->verdict = VERDICT_OLDER;
            return FH_OK;
        }
    }
    memset(&command->record, 0, sizeof command->record);
    enum fh_code code =
        ledger_command_get(work, &w->kept, command->caller, command->key, &command->record, error);
    if (code && code != FH_NOT_FOUND)
        return code;
    bool found = code == FH_OK;
    command->verdict =
        command->undo ? judge_undo(command, found, &closed) : judge_step(command, found, &closed);
    if (command->undo && command->verdict == VERDICT_RUN)
        return remember_undone(w, command, error);
    return FH_OK;
}

/* Sets the answer that the verdict calls for in place of the handler's. */
static enum fh_code answer_by_verdict(fh_work *w, struct command *command, struct fh_error *error)
{
    switch (command->verdict) {
    case VERDICT_RUN:
        break;
    case VERDICT_OLDER:
        reply_problem(
            w, PROBLEM_SENDER_OUTDATED,
            "The sender was restored or moved since: a newer incarnation of it is known.");
        break;
    case VERDICT_REPEAT:
        command->outcome = ledger_outcome_name(command->record.outcome);
        return command_reply_recorded(w, command->record.answer, error);
    case VERDICT_PENDING:
        command->outcome = "pending";
        reply_problem(w, PROBLEM_COMMAND_PENDING,
                      "The request under this key is still being carried out.");
        break;
    case VERDICT_MISMATCH:
        command->outcome = "mismatch";
        reply_problem(w, PROBLEM_KEY_REUSED, "This key was used before, with another request.");
        break;
    case VERDICT_CLOSED:
        command->outcome = "closed";
        reply_problem(w, PROBLEM_SAGA_CLOSED, "The saga of this key is closed.");
        break;
    case VERDICT_TAKEN_BACK:
        command->outcome = ledger_outcome_name(command->record.outcome);
        reply_problem(w, PROBLEM_COMMAND_UNDONE,
                      "This request was undone; nothing is done under its key any more.");
        break;
    case VERDICT_SETTLE:
        command->outcome = "never";
        command_reply(w, 200, NULL);
        break;
    case VERDICT_SETTLED:
        command->outcome = ledger_outcome_name(command->record.outcome);
        if (command->record.undo_answer)
            return command_reply_recorded(w, command->record.undo_answer, error);
        command_reply(w, 200, NULL);
        break;
    case VERDICT_FIXED:
        command->outcome = "fixed";
        reply_problem(w, PROBLEM_UNDO_UNSUPPORTED,
                      "What this request did can't be undone here: the route has no undo.");
        break;
    }
    return FH_OK;
}

/* ---- The fence ---- */

static enum fh_code put_record(fh_work *w, struct command *command, enum ledger_outcome outcome,
                               struct fh_error *error)
{
    struct ledger_command *record = &command->record;
    record->caller = command->caller;
    record->key = command->key;
    record->birth = command->name.birth;
    record->number = command->name.number;
    record->outcome = outcome;
    if (!record->created_ms)
        record->created_ms = command_clock_ms(w->context);
    if (!record->digest)
        record->digest = "";
    CRASH_POINT("command.decided");
    enum fh_code code = ledger_command_put(w->store_work, record, error);
    CRASH_POINT("command.recorded");
    return code;
}

/* For Freehold-At. A sequencer reports it after the commit, without another round trip. */
static enum fh_code see_position(fh_work *w, struct fh_error *error)
{
    if (w->context->store->ops->sequence)
        return FH_OK;
    return ledger_position(w->store_work, &w->context->position, error);
}

static enum work_verdict check_command_fence(struct work_fence *fence, struct store_work *work,
                                             struct fh_error *error)
{
    struct command *command = (struct command *)fence;
    fh_work *w = command->w;
    command->outcome = NULL;
    enum fh_code code = judge_command(w, command, work, error);
    if (!code && command->newer)
        code = ledger_caller_set_newest(work, command->caller, command->incarnation, error);
    if (!code && command->verdict == VERDICT_RUN && command->undo &&
        w->handler != command->request->undo) {
        /* Another instance did the step after the look before this transaction. */
        w->by_fence = true;
        code = error_set(error, FH_UNAVAILABLE, "The request to be undone was still under way.");
    }
    if (code || command->verdict == VERDICT_RUN)
        return work_verdict_of(code, error);
    w->reply_header_count = 0;
    code = answer_by_verdict(w, command, error);
    if (!code && command->verdict == VERDICT_SETTLE) {
        code = put_record(w, command, LEDGER_NEVER, error);
        CRASH_POINT("command.tombstone");
    }
    if (!code && command->service)
        code = see_position(w, error);
    return code ? work_verdict_of(code, error) : WORK_IS_ANSWERED;
}

static enum fh_code record_command_outcome(fh_work *w, struct work_fence *fence, bool refused,
                                           struct fh_error *error)
{
    struct command *command = (struct command *)fence;
    struct arena *before = json_arena_set(&w->kept);
    enum fh_code code = FH_OK;
    if (command->undo && refused) {
        command->outcome = NULL; /* undoing failed: nothing is decided, and the caller asks again */
    } else if (command->undo) {
        command->record.undo_answer = command_answer_text(w, command->service);
        command->outcome = "undone";
        code = put_record(w, command, LEDGER_UNDONE, error);
        CRASH_POINT("command.undone");
    } else {
        bool keeps_request =
            command->service && command->body && command->body_length > 0 && !w->body_bytes;
        command->record.attempt = command->attempt;
        command->record.digest = command->digest;
        command->record.request =
            keeps_request ? arena_copy(&w->kept, command->body, command->body_length) : NULL;
        command->record.answer = command_answer_text(w, command->service);
        command->outcome = refused ? "refused" : "done";
        if (!refused || command->service || work_refusal_keeps(w, &command->refusal))
            code = put_record(w, command, refused ? LEDGER_REFUSED : LEDGER_DONE, error);
    }
    if (!code && command->service)
        code = see_position(w, error);
    json_arena_set(before);
    return code;
}

/* A handler that only opens the transaction: the fence decides. */
static void let_command_fence_decide(fh_work *w)
{
    work_store_write(w);
}

/* ---- Running ---- */

static enum fh_code parse_sender(fh_work *w, struct command *command, struct fh_error *error)
{
    const struct command_request *request = command->request;
    char name[COMMAND_CALLER_SIZE];
    command->incarnation = "";
    bool person = request->from && strcmp(request->from, "operator") == 0;
    if (request->from && !person) {
        if (!command_from_parse(request->from, name, sizeof name, &command->incarnation))
            return error_set(error, FH_INVALID, "Freehold-From must be CALLER/INCARNATION.");
        command->service = true;
        command->caller = arena_text(&w->kept, name);
        return FH_OK;
    }
    if (!request->from && command_is_services(w->caller))
        return error_set(error, FH_INVALID, "A service's command needs Freehold-From.");
    command->caller =
        command_outside_caller(&w->kept, person ? "operator" : "client", request->method,
                               request->pattern, person ? NULL : fh_user(w));
    return FH_OK;
}

static enum fh_code parse_command(fh_work *w, struct command *command, struct fh_error *error)
{
    const struct command_request *request = command->request;
    enum fh_code code = parse_sender(w, command, error);
    if (code)
        return code;
    command->undo = request->undone != NULL;
    command->key = command->undo ? request->undone : request->key;
    if (command->undo && !command->service)
        return error_set(error, FH_INVALID,
                         "Freehold-Undo is for services: Freehold-From is missing.");
    if (command->service)
        code = command_key_parse(command->key, &command->name, error);
    else
        code = command_key_check("Idempotency-Key", command->key, error);
    if (!code && command->service && strcmp(command->name.caller, command->caller) != 0)
        code = error_set(error, FH_INVALID, "The key names another caller than Freehold-From.");
    if (!code)
        code = command_attempt_parse(request->attempt, &command->attempt, error);
    if (!code) {
        command_recordable_body(w, request, &command->body, &command->body_length);
        command_digest(command->digest, request->method, request->path, request->query,
                       command->body, command->body_length);
        if (command->body == request->body)
            memcpy(command->whole_digest, command->digest, sizeof command->digest);
        else
            command_digest(command->whole_digest, request->method, request->path, request->query,
                           request->body, request->body_length);
    }
    return code;
}

/* Looks at what is committed. True: that was enough to answer, and the answer is durable. */
static bool peek_at_record(fh_work *w, struct command *command)
{
    struct fh_error error = {0};
    struct store_work *work;
    command->verdict = VERDICT_SETTLE; /* no undo handler runs before it has seen what it undoes */
    if (store_begin(w->context->store, STORE_READ_COMMITTED, &work, &error) != FH_OK)
        return false; /* the transaction will report it */
    enum fh_code code = judge_command(w, command, work, &error);
    store_rollback(work);
    if (code)
        command->verdict = VERDICT_SETTLE;
    if (code || command->verdict == VERDICT_RUN || command->verdict == VERDICT_SETTLE ||
        command->newer)
        return false;
    struct arena *before = json_arena_set(&w->kept);
    code = answer_by_verdict(w, command, &error);
    json_arena_set(before);
    return code == FH_OK;
}

static enum fh_code run_held(fh_work *w, struct command *command)
{
    const struct command_request *request = command->request;
    /* Where handlers neither ask nor wait, running one up to the fence is cheaper than a look. */
    bool asks = w->context->service->asks[0].service != NULL || w->context->waits;
    bool looks = command->undo ? request->undo != NULL : asks;
    if (looks && peek_at_record(w, command))
        return FH_OK;
    if (command->undo) {
        bool undoes = looks && command->verdict == VERDICT_RUN;
        w->handler = undoes ? request->undo : let_command_fence_decide;
    }
    command->outcome = NULL;
    w->fence = &command->fence;
    enum fh_code code = work_run(w);
    w->fence = NULL; /* it does not outlive this call */
    if (!w->durable)
        command->outcome = NULL;
    return code;
}

static enum fh_code fail_command(fh_work *w, enum fh_code code, enum problem_type type,
                                 const char *detail)
{
    struct arena *before = json_arena_set(&w->kept);
    reply_problem(w, type, detail);
    json_arena_set(before);
    w->failure.code = code;
    snprintf(w->failure.message, sizeof w->failure.message, "%s", detail);
    return code;
}

enum fh_code command_run(fh_work *w, const struct command_request *request)
{
    struct fh_error error = {0};
    struct command *command = arena_alloc(&w->kept, sizeof *command);
    *command = (struct command){
        .fence = {check_command_fence, record_command_outcome}, .w = w, .request = request};
    enum fh_code code = parse_command(w, command, &error);
    if (code)
        return fail_command(w, code, PROBLEM_REQUEST_MALFORMED, error.message);
    if (command->service && (!request->to || strcmp(request->to, w->context->store->incarnation))) {
        code = fail_command(w, FH_CONFLICT, PROBLEM_RECIPIENT_REPLACED,
                            "The request is meant for another incarnation of this service.");
    } else {
        const char *const parts[] = {command->caller, " ", command->key};
        w->command_key = arena_joined(&w->kept, parts, sizeof parts / sizeof *parts);
        struct key_under_way *held = work_key_hold(w, w->command_key);
        if (!held)
            return fail_command(w, FH_UNAVAILABLE, PROBLEM_COMMAND_PENDING,
                                "An equal request is still under way.");
        code = run_held(w, command);
        work_key_release(w->context->keys, w->command_key, held);
        w->repeated = command->verdict == VERDICT_REPEAT;
    }
    if (!command->service)
        return code;
    if (command->outcome)
        command_reply_header(w, "Freehold-Outcome", command->outcome);
    command_reply_header(w, "Freehold-At", command_at(w, w->context->position));
    return code;
}
