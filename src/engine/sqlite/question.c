/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions: what may take long is answered off the loop, by one job beside the loop, on a
 * reader that nothing else uses meanwhile (sql_ask). At most SQLITE_QUESTIONS_MAX of a store are at
 * once; others wait in line. Of those that may take all the time they have, reports, one is
 * answered at once, so that the others have a place.
 *
 *     asked     in line                        its deadline passes: late, and nothing was done
 *     started   its turn, and a reader for it  late: the statement under way is interrupted
 *     answered  the reader is its unit of work's again, in the same snapshot
 *
 * One that takes long has the processor for LOWERS_AFTER_NS as all others have it, and from then on
 * what those leave (world_lower), and rests now and then while others are served: commits and
 * whatever the loop does come first.
 *
 * A unit of work that has read before goes on in its snapshot: its reader is used for the question,
 * once nothing steps on it. Others that share the snapshot wait meanwhile. One that has read
 * nothing waits without a reader, and takes one in its turn. So it can happen that all readers
 * belong to such as wait in line behind one that needs one: whoever can't be started is passed
 * over. None is kept from its turn so for good: those with readers end, and a reader that becomes
 * free is offered to the line before anybody else.
 *
 * A late question is nobody's failure but that of who asked too much: STORE_BUSY. One that sorts
 * more than it may keep in memory (memory.c) is ended as a late one is, and is the service's fault.
 *
 * Whoever would wait with a reader beyond SQLITE_READERS_ASKING_MAX of them is refused, so that
 * there are some for units of work that only read, and for questions that take one in their turn.
 */

#include <stdio.h>

#include "base/json.h"
#include "engine/sqlite/internal.h"

#define LOG_TIMES_MAX 4          /* as large as it is when it is copied */
#define LOG_PAUSE_MS 1000        /* what is committed meanwhile begins the log anew */
#define STEPS_BETWEEN_LOOKS 1000 /* of SQLite's virtual machine: some 20 us */
#define LOWERS_AFTER_NS ((int64_t)5000000)

struct sqlite_question {
    struct sqlite_question *next, *previous; /* in line */
    struct sqlite_work *work;
    sql_question *answer;
    void *context;
    struct arena *arena; /* of whoever asks */
    struct fiber *fiber;
    int64_t deadline_ns, lowers_ns;
    bool waits, begun, late, large;
    struct world_timer timer;
    struct world_job job;
    enum fh_code code;
    struct fh_error *error;
};

static struct sqlite_store *store_asked(const struct sqlite_question *question)
{
    return (struct sqlite_store *)question->work->base.store;
}

enum fh_code sqlite_busy(struct fh_error *error, const char *message)
{
    error_retry(error, FH_UNAVAILABLE, "%s", message);
    snprintf(error->native, sizeof error->native, STORE_BUSY);
    return FH_UNAVAILABLE;
}

static enum fh_code late_error(const struct sqlite_question *question)
{
    sqlite_busy(question->error, STORE_ASKED_TOO_LATE);
    if (question->begun)
        snprintf(question->error->native, sizeof question->error->native, STORE_LATE);
    return FH_UNAVAILABLE;
}

/* ---- in line ---- */

static void line_enter(struct sqlite_questions *line, struct sqlite_question *question)
{
    question->previous = line->last;
    if (line->last)
        line->last->next = question;
    else
        line->first = question;
    line->last = question;
    line->waiting++;
    line->waiting_long += question->work->base.asks_long;
    question->waits = true;
    if (question->work->connection)
        question->work->connection->asking++;
}

static void line_leave(struct sqlite_questions *line, struct sqlite_question *question)
{
    if (question->previous)
        question->previous->next = question->next;
    else
        line->first = question->next;
    if (question->next)
        question->next->previous = question->previous;
    else
        line->last = question->previous;
    line->waiting--;
    line->waiting_long -= question->work->base.asks_long;
    question->waits = false;
}

/* It is neither in line nor under way. */
static void question_end(struct sqlite_question *question)
{
    struct sqlite_store *store = store_asked(question);
    if (question->work->connection)
        question->work->connection->asking--;
    fiber_ready(question->fiber);
    if (!sqlite_questions_pend(store))
        fiber_wake_all(&store->questions.over);
}

static void question_overdue(struct world_timer *timer)
{
    struct sqlite_question *question = timer->owner;
    question->late = true;
    line_leave(&store_asked(question)->questions, question);
    question_end(question);
}

/* ---- under way ---- */

static int is_question_over(void *context)
{
    struct sqlite_question *question = context;
    const struct store *store = &store_asked(question)->base;
    int64_t now_ns = world_monotonic_ns(store->world);
    int64_t ends_ns = atomic_load_explicit(&store->asked_until_ns, memory_order_relaxed);
    question->late = now_ns >= question->deadline_ns || (ends_ns && now_ns >= ends_ns);
    question->large |= sqlite_memory_is_over();
    if (now_ns >= question->lowers_ns)
        world_lower(store->world, LOWERS_AFTER_NS);
    return question->late || question->large;
}

static void question_run(struct world_job *job)
{
    struct sqlite_question *question = job->owner;
    sqlite3 *db = question->work->connection->db;
    question->begun = true;
    question->lowers_ns = world_monotonic_ns(store_asked(question)->base.world) + LOWERS_AFTER_NS;
    struct arena *before = json_arena_set(question->arena);
    sqlite3_progress_handler(db, STEPS_BETWEEN_LOOKS, is_question_over, question);
    sqlite_memory_count(SQLITE_QUESTION_MEMORY_MAX);
    question->code = question->answer(&question->work->base, question->context, question->error);
    question->large |= question->code != FH_OK && sqlite_memory_is_over();
    sqlite_memory_count(0);
    sqlite3_progress_handler(db, 0, NULL, NULL);
    json_arena_set(before);
}

static void question_done(struct world_job *job)
{
    struct sqlite_question *question = job->owner;
    struct sqlite_store *store = store_asked(question);
    struct sqlite_connection *reader = question->work->connection;
    store->questions.running--;
    store->questions.running_long -= question->work->base.asks_long;
    reader->asked = false;
    fiber_wake_all(&reader->answered);
    question_end(question);
    sqlite_questions_start(store);
}

static bool is_kept_back(const struct sqlite_questions *line,
                         const struct sqlite_question *question, bool pauses)
{
    if (question->work->base.asks_long && line->running_long >= SQLITE_QUESTIONS_LONG_MAX)
        return true;
    return pauses && !question->work->connection;
}

/* False: there is none for it now. `question->code`: of one that can't be opened. */
static bool reader_for(struct sqlite_store *store, struct sqlite_question *question)
{
    struct sqlite_work *work = question->work;
    if (work->connection)
        return !work->connection->asked && !work->connection->stepping;
    question->code = sqlite_reader_take(store, &work->connection, question->error);
    if (work->connection) {
        work->connection->users++;
        work->connection->asking++;
    }
    return work->connection || question->code != FH_OK;
}

static void question_start(struct sqlite_store *store, struct sqlite_question *question)
{
    struct sqlite_connection *reader = question->work->connection;
    if (store->shared == reader)
        store->shared = NULL; /* it has a user, so it is not released */
    reader->asked = true;
    store->questions.running++;
    store->questions.running_long += question->work->base.asks_long;
    question->job =
        (struct world_job){.run = question_run, .done = question_done, .owner = question};
    world_job_aside(store->base.world, &question->job);
}

static void pause_over(struct world_timer *timer)
{
    struct sqlite_store *store = timer->owner;
    store->questions.paused = false;
    store->questions.frames_max =
        store->checkpoint.seen + LOG_TIMES_MAX * store->checkpoint.frames_max;
    sqlite_questions_start(store);
}

/* The log begins anew only while nobody reads it. Where one question begins before another ends
 * that would never be. So once it is large those without a snapshot wait until it has, for a second
 * at most; those that have one keep the log as it is anyway. */
static bool log_comes_first(struct sqlite_store *store)
{
    struct sqlite_questions *line = &store->questions;
    const struct sqlite_checkpoint *log = &store->checkpoint;
    if (line->frames_max == 0 || line->log != log->log) {
        line->frames_max = LOG_TIMES_MAX * log->frames_max;
        line->log = log->log;
        line->paused = false;
        world_timer_stop(store->base.world, &line->pause);
    }
    if (log->seen < line->frames_max)
        return false;
    if (line->first && !line->paused) {
        line->paused = true;
        line->pause = (struct world_timer){.fire = pause_over, .owner = store};
        world_timer_start(store->base.world, &line->pause,
                          world_in_ms(store->base.world, LOG_PAUSE_MS));
    }
    return true;
}

void sqlite_questions_start(struct sqlite_store *store)
{
    struct sqlite_questions *line = &store->questions;
    struct sqlite_question *question = line->first, *next;
    bool pauses = log_comes_first(store);
    for (; question && line->running < SQLITE_QUESTIONS_MAX; question = next) {
        next = question->next;
        if (is_kept_back(line, question, pauses) || !reader_for(store, question))
            continue;
        line_leave(line, question);
        world_timer_stop(store->base.world, &question->timer);
        if (question->code == FH_OK)
            question_start(store, question);
        else
            question_end(question);
    }
}

/* ---- asking ---- */

/* Some readers are always left for those that only read. */
static bool keeps_too_many_readers(const struct sqlite_store *store,
                                   const struct sqlite_connection *reader)
{
    int kept = 0;
    for (int i = 0; i < SQLITE_READERS_MAX; i++)
        kept += store->readers[i].asking > 0;
    return reader && reader->asking == 0 && kept >= SQLITE_READERS_ASKING_MAX;
}

static enum fh_code may_ask(const struct sqlite_work *work, int64_t deadline_ns,
                            struct fh_error *error)
{
    const struct sqlite_store *store = (struct sqlite_store *)work->base.store;
    if (store_writes(work->base.mode) || work->question || work->stepping)
        return error_set(error, FH_UNSUPPORTED,
                         "A question is asked in a unit of work that only reads, while nothing "
                         "else is done in it.");
    const struct sqlite_questions *line = &store->questions;
    if (line->waiting >= SQLITE_QUESTIONS_WAITING_MAX ||
        (work->base.asks_long && line->waiting_long >= SQLITE_QUESTIONS_LONG_WAITING_MAX) ||
        keeps_too_many_readers(store, work->connection))
        return sqlite_busy(error, STORE_ASKED_TOO_MUCH);
    if (world_monotonic_ns(store->base.world) >= deadline_ns)
        return sqlite_busy(error, STORE_ASKED_TOO_LATE);
    return FH_OK;
}

enum fh_code sqlite_ask(struct store_work *base, sql_question *answer, void *context,
                        struct fh_error *error)
{
    struct sqlite_work *work = (struct sqlite_work *)base;
    struct sqlite_store *store = (struct sqlite_store *)base->store;
    struct world *world = base->store->world;
    struct sqlite_question question = {.work = work,
                                       .answer = answer,
                                       .context = context,
                                       .fiber = fiber_self(),
                                       .deadline_ns = base->deadline_ns,
                                       .error = error};
    if (!question.deadline_ns)
        question.deadline_ns = world_in_ms(world, SQLITE_QUESTION_MS_MAX);
    enum fh_code code = may_ask(work, question.deadline_ns, error);
    if (code != FH_OK)
        return code;
    FH_ASSERT(question.fiber != NULL);
    question.arena = json_arena_set(NULL);
    json_arena_set(question.arena);
    question.timer = (struct world_timer){.fire = question_overdue, .owner = &question};
    work->question = &question;
    line_enter(&store->questions, &question);
    sqlite_questions_start(store);
    if (question.waits)
        world_timer_start(world, &question.timer, question.deadline_ns);
    fiber_park();
    work->question = NULL;
    if (question.late)
        return late_error(&question);
    return question.large ? error_set(error, FH_UNSUPPORTED, STORE_ASKED_TOO_LARGE) : question.code;
}
