/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running a unit of work: the order of work.h, refusals, reruns.
 *
 *     ASKING --first use of the store--> OPEN --handler returned--> finish, record, commit
 *        |                                 |
 *        +------ work_fail (longjmp) ------+--> rollback; a refusal by a fenced handler is then
 *                                               recorded in a transaction of its own
 *
 * Dying before COMMIT is durable leaves no trace. Dying after it leaves everything, and a repeat
 * under the same key gets the recorded answer.
 *
 * A conflict (a broken commit group, a serialization failure) runs the handler again from its
 * start: see retry.c. Its arena is emptied; the time, randomness and answers of other services are
 * kept, so that it decides the same way.
 */

#include "work/work.h"

#include <string.h>

#include "base/crash.h"
#include "base/doing.h"
#include "base/json.h"
#include "work/batch.h"
#include "work/fault.h"
#include "work/gate.h"
#include "work/meters.h"

#define REPLY_SIZE_MAX ((size_t)32 << 20)
#define REPLY_MEASURED_SIZE_MIN (REPLY_SIZE_MAX / 6) /* escaping makes six bytes of one at most */

struct work_deferred {
    void (*release)(void *);
    void *argument;
    struct work_deferred *next;
};

void work_init(fh_work *w, struct work_context *context, fh_handler *handler)
{
    *w = (fh_work){.context = context, .handler = handler};
    arena_init(&w->arena, ARENA_SIZE_MAX);
    arena_init(&w->kept, ARENA_SIZE_MAX);
    w->deadline_ns = -1;
}

void work_release(fh_work *w)
{
    fault_tell(w);
    arena_release(&w->arena);
    arena_release(&w->kept);
}

/* ---- asking ---- */

void work_asks(fh_work *w)
{
    work_is_no_cast(w, "the store, or other services");
    if (w->member && w->phase == WORK_ASKING)
        work_gate_asks(w);
}

void work_waits(fh_work *w)
{
    if (w->member && w->context->store->engine->server)
        work_gate_asks(w);
}

void work_must_be_asking(fh_work *w, const char *what)
{
    work_asks(w);
    if (w->phase == WORK_ASKING)
        return;
    work_fail_with(
        w, FH_UNSUPPORTED,
        work_printf(w,
                    "%s was called after the store was used: ask other services first, then "
                    "use the own store (fh_peek reads without using it).",
                    what));
}

/* ---- the store ---- */

static bool is_in_time(const fh_work *w)
{
    return w->deadline_ns < 0 || world_monotonic_ns(w->context->world) < w->deadline_ns;
}

static void open_write(fh_work *w)
{
    struct fh_error error;
    if (w->member) {
        w->store_work = work_gate_pass(w);
        w->phase = WORK_OPEN;
        return;
    }
    enum store_mode mode = w->exclusive           ? STORE_WRITE_EXCLUSIVE
                           : w->apart || w->fence ? STORE_WRITE
                                                  : STORE_WRITE_GROUPED;
    bool was_in_time = is_in_time(w);
    if (w->entrance)
        w->entrance->enter(w);
    w->entered = w->entrance;
    if (store_begin(w->context->store, mode, &w->store_work, &error) != FH_OK) {
        w->by_store = true;
        work_fail(w, &error);
    }
    w->phase = WORK_OPEN;
    /* The client no longer waits. (A handler that had passed its deadline before goes on.) */
    if (was_in_time && !is_in_time(w))
        work_fail_with(w, FH_UNAVAILABLE, STORE_TOO_BUSY);
    if (was_in_time && w->deadline_ns > 0)
        w->store_work->deadline_ns = w->deadline_ns;
    w->store_work->keeps_events = true; /* on the run's arena */
    CRASH_POINT("work.opened");
    enum work_verdict verdict =
        w->fence ? w->fence->check(w->fence, w->store_work, &error) : WORK_GOES_ON;
    if (verdict == WORK_IS_OVER)
        work_fail(w, &error);
    CRASH_POINT("work.fenced");
    if (verdict == WORK_IS_ANSWERED)
        work_end_handler(w, WORK_ENDED_BY_FENCE);
}

struct store_work *work_store_write(fh_work *w)
{
    work_is_no_cast(w, "the store");
    if (w->read_only)
        work_fail_with(w, FH_UNSUPPORTED, "A handler of GET changes nothing; use another method.");
    if (w->phase == WORK_ASKING)
        open_write(w);
    FH_ASSERT(w->phase == WORK_OPEN);
    return w->store_work;
}

struct store_work *work_store_read(fh_work *w)
{
    work_is_no_cast(w, "the store");
    if (!w->read_only)
        return work_store_write(w);
    if (!w->store_work && w->snapshot) {
        w->store_work = w->snapshot;
        w->phase = WORK_OPEN;
    }
    if (!w->store_work) {
        struct fh_error error;
        struct store *store = w->context->store;
        bool was_in_time = is_in_time(w);
        enum fh_code code = w->fresh
                                ? store_begin(store, STORE_READ_COMMITTED, &w->store_work, &error)
                                : store_begin_anywhere(store, &w->store_work, &error);
        if (code != FH_OK) {
            w->by_store = true;
            work_fail(w, &error);
        }
        w->phase = WORK_OPEN;
        if (was_in_time && w->deadline_ns > 0) /* one that had passed it before goes on */
            w->store_work->deadline_ns = w->deadline_ns;
        if (w->store_work->stale_ms > 0 && w->reply_header_count < WORK_REPLY_HEADERS_MAX)
            w->reply_headers[w->reply_header_count++] = (struct work_reply_header){
                "Age", work_printf(w, "%lld", (long long)(w->store_work->stale_ms + 999) / 1000)};
    }
    return w->store_work;
}

/* ---- hooks, deferred ---- */

void work_on_end_always(fh_work *w, enum fh_code (*finish)(fh_work *, void *, struct fh_error *),
                        void (*committed)(fh_work *, void *), void *argument)
{
    for (struct work_hook *hook = w->hooks_first; hook; hook = hook->next) {
        if (hook->argument == argument && hook->finish == finish)
            return;
    }
    struct work_hook *hook = work_alloc(w, sizeof *hook);
    *hook = (struct work_hook){.finish = finish, .committed = committed, .argument = argument};
    if (w->hooks_last)
        w->hooks_last->next = hook;
    else
        w->hooks_first = hook;
    w->hooks_last = hook;
}

void work_on_end(fh_work *w, enum fh_code (*finish)(fh_work *, void *, struct fh_error *),
                 void (*committed)(fh_work *, void *), void *argument)
{
    FH_ASSERT(work_reaches_out(w));
    work_on_end_always(w, finish, committed, argument);
}

void fh_defer(fh_work *w, void (*release)(void *), void *argument)
{
    struct work_deferred *deferred = work_alloc(w, sizeof *deferred);
    *deferred = (struct work_deferred){release, argument, w->deferred};
    w->deferred = deferred;
}

static void run_deferred(fh_work *w)
{
    while (w->deferred) {
        struct work_deferred *deferred = w->deferred;
        w->deferred = deferred->next;
        deferred->release(deferred->argument);
    }
}

/* ---- running ---- */

static void run_begin(fh_work *w)
{
    arena_release(&w->arena);
    w->phase = WORK_ASKING;
    w->store_work = NULL;
    w->hooks_first = w->hooks_last = NULL;
    w->appended = NULL;
    w->deferred = NULL;
    w->noted = NULL;
    w->runs++;
    w->replied = false;
    w->reply_status = 204;
    w->reply_body = NULL;
    w->reply_text.of = NULL;
    w->reply_header_count = 0;
    w->durable = w->outdated = false;
    w->by_store = w->by_fence = w->parts = false;
    w->documents_changed = 0;
    w->document_changed = NULL;
    w->derived = w->points = 0;
    w->marked = NULL;
    w->found = NULL;
    memset(w->series_numbers, 0, sizeof w->series_numbers);
    w->cast.data = NULL;
    w->cast.running = NULL;
    w->retry_after_s = 0;
    w->fault_status = 0;
    w->statement = NULL;
    w->unanswered = NULL;
    w->random_count = 0;
    w->asked_next = w->asked_first;
    memset(&w->failure, 0, sizeof w->failure);
}

/* Before the commit: an answer this large could be neither recorded nor sent. Only a large arena
 * can hold one, so most answers are not measured. */
static void check_reply(fh_work *w)
{
    if (!w->reply_body || w->arena.size < REPLY_MEASURED_SIZE_MIN)
        return;
    struct arena *before = json_arena_set(NULL);
    size_t size = json_dumpb(w->reply_body, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
    json_arena_set(before);
    if (size > REPLY_SIZE_MAX)
        work_fail_with(
            w, FH_UNSUPPORTED,
            work_printf(w, "An answer of %zu bytes; at most %zu are given.", size, REPLY_SIZE_MAX));
}

/* jansson fails silently without memory: a query, an answer or a row could lack a part. */
static void check_arenas(fh_work *w)
{
    if (w->arena.refused || w->kept.refused)
        work_fail_with(w, FH_NO_MEMORY, WORK_MEMORY_FAULT);
}

void work_handler_run(fh_work *w, bool *ret_by_fence)
{
    run_begin(w);
    *ret_by_fence = false;
    struct arena *before = json_arena_set(&w->arena);
    const struct doing *did = doing_set(w->doing);
    jmp_buf fail_to;
    w->fail_to = &fail_to;
    w->ending.frame = __builtin_frame_address(0);
    w->ending.count = 0;
    switch (_setjmp(fail_to)) {
    case WORK_RAN_TO_ITS_END: {
        check_arenas(w);
        if (w->cast.run)
            w->cast.run(w);
        w->handler(w);
        check_arenas(w);
        check_reply(w);
        if (!w->read_only && (w->hooks_first || w->fence))
            work_store_write(w);
        struct fh_error error;
        CRASH_POINT("work.handled");
        for (struct work_hook *hook = w->hooks_first; hook; hook = hook->next) {
            if (hook->finish && hook->finish(w, hook->argument, &error) != FH_OK)
                work_fail(w, &error);
        }
        if (w->fence && w->fence->record && !w->member &&
            w->fence->record(w, w->fence, false, &error) != FH_OK)
            work_fail(w, &error);
        check_arenas(w); /* of what the hooks and the fence have written */
        CRASH_POINT("work.finished");
        break;
    }
    case WORK_ENDED_BY_FENCE:
        *ret_by_fence = true;
        break;
    default:
        break;
    }
    w->fail_to = NULL;
    json_arena_set(&w->arena);
    run_deferred(w);
    doing_set(did);
    json_arena_set(before);
}

void work_committed(fh_work *w)
{
    meters_add_noted(w);
    struct arena *before = json_arena_set(&w->arena);
    for (struct work_hook *hook = w->hooks_first; hook; hook = hook->next) {
        if (hook->committed)
            hook->committed(w, hook->argument);
    }
    json_arena_set(before);
}

/* The failure may stem from reading another transaction's uncommitted changes, which never became
 * durable. */
static enum fh_code ask_to_run_apart(fh_work *w)
{
    error_retry(&w->failure, FH_CONFLICT, "What the unit of work has read was not committed.");
    work_set_problem(w, &w->failure);
    return FH_CONFLICT;
}

static void note_store(const fh_work *w, enum fh_code code, const struct fh_error *error)
{
    trouble_note(w->context->troubles, w->read_only ? TROUBLE_READS : TROUBLE_WRITES,
                 w->context->world, code, error);
}

static bool is_work_refusal(const fh_work *w)
{
    int status = w->reply_status;
    return status >= 400 && status < 500 &&
           !(w->failure.code == FH_CONFLICT && w->failure.retryable);
}

/* A refusal says something of the rows, too: that one is not there. */
static void check_read_stands(fh_work *w)
{
    struct fh_error error = {0};
    if (!w->stands || (w->failure.code != FH_OK && !is_work_refusal(w)))
        return;
    enum fh_code code = w->stands(w, w->store_work, &error);
    if (code == FH_OK)
        return;
    w->failure = error;
    w->failure.code = code;
    w->by_store = !w->outdated;
    work_set_problem(w, &w->failure);
}

/* Commits everything the run did, or rolls all of it back. */
static enum fh_code run_end(fh_work *w, bool by_fence)
{
    check_read_stands(w);
    enum fh_code code = w->failure.code;
    struct store_work *store_work = w->store_work;
    w->store_work = NULL;
    w->phase = WORK_ENDED;
    if (code != FH_OK) {
        bool tentative = store_work && store_work->tentative;
        if (store_work)
            store_rollback(store_work);
        return tentative ? ask_to_run_apart(w) : code;
    }
    if (store_work) {
        code = store_commit(store_work, &w->failure);
        if (code != FH_OK) {
            w->failure.code = code;
            w->by_store = true;
            work_set_problem(w, &w->failure);
            return code;
        }
        w->durable = true;
        note_store(w, FH_OK, NULL);
        CRASH_POINT("work.durable");
        work_sequence(&w, 1);
        CRASH_POINT("work.sequenced");
    }
    if (!by_fence)
        work_committed(w);
    return FH_OK;
}

/* One attempt to record the refusal in w->reply_*, in a transaction of its own. */
static enum fh_code refusal_try(fh_work *w, enum store_mode mode, struct fh_error *error)
{
    enum fh_code code = store_begin(w->context->store, mode, &w->store_work, error);
    if (code != FH_OK)
        return code;
    enum work_verdict verdict = w->fence->check(w->fence, w->store_work, error);
    if (verdict == WORK_IS_OVER)
        code = error->code;
    else if (verdict == WORK_GOES_ON)
        code = w->fence->record(w, w->fence, true, error);
    if (code == FH_OK && w->kept.refused) /* the record may lack a part of the answer */
        code = error_set(error, FH_NO_MEMORY, "%s", WORK_MEMORY_FAULT);
    struct store_work *store_work = w->store_work;
    w->store_work = NULL;
    if (code != FH_OK) {
        store_rollback(store_work);
        return code;
    }
    CRASH_POINT("refusal.recorded");
    code = store_commit(store_work, error);
    CRASH_POINT("refusal.durable");
    return code;
}

static enum fh_code record_refusal(fh_work *w)
{
    struct fh_error error = {0}, refused = w->failure;
    struct arena *before = json_arena_set(&w->kept);
    struct work_tries tries = {0};
    enum fh_code code;
    do {
        code = refusal_try(w, work_tries_mode(&tries), &error);
    } while (code == FH_CONFLICT && error.retryable &&
             work_retry(w->context, &tries, w->deadline_ns));
    json_arena_set(before);
    if (!w->by_fence)
        note_store(w, code, &error);
    if (code == FH_CONFLICT && error.retryable)
        code = error_set(&error, FH_UNAVAILABLE, "The refusal met conflicts again and again.");
    if (code == FH_OK) {
        w->durable = true;
        w->context->counters.refused++;
        w->failure = refused;
        return refused.code;
    }
    w->failure = error;
    work_set_problem(w, &error);
    return code;
}

enum fh_code work_run(fh_work *w)
{
    work_record_begin(w);
    enum fh_code code = FH_OK;
    struct work_tries tries = {0};
    for (;;) {
        bool by_fence;
        work_handler_run(w, &by_fence);
        code = run_end(w, by_fence);
        if (w->entered)
            w->entrance->leave(w);
        w->entered = false;
        if (code != FH_CONFLICT || !w->failure.retryable)
            break;
        if (!work_retry(w->context, &tries, w->deadline_ns)) {
            error_set(&w->failure, FH_UNAVAILABLE,
                      "The unit of work conflicted with others again and again.");
            work_set_problem(w, &w->failure);
            code = FH_UNAVAILABLE;
            w->by_store = false;
            break;
        }
        w->exclusive = tries.alone;
        w->apart = true;
        w->context->counters.reruns++;
    }
    if (code == FH_OK) {
        if (w->durable && !w->read_only)
            w->context->counters.committed++;
        return FH_OK;
    }
    if (w->outdated)
        return code;
    if (w->by_store)
        note_store(w, code, &w->failure);
    if (is_work_refusal(w))
        meters_add_noted(w);
    if (w->fence && w->fence->record && is_work_refusal(w))
        return record_refusal(w);
    w->context->counters.failed++;
    return code;
}
