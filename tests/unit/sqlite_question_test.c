/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions, which are answered off the loop: who waits for whom, and what is left of one that is
 * late or fails. A question that has to be under way for a while waits for a word of the test's.
 */

#define _GNU_SOURCE
#include "../support/embedded.h"
#include "../support/skip.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "engine/sqlite/internal.h"

#define LOG_FRAMES 8

/* Some seconds, unless it is interrupted. */
#define LONG                                                                                       \
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 30000000)"               \
    " SELECT count(*) FROM n"

/* Beyond what it has as all others have it, and soon over with what those leave. */
#define LONG_ENOUGH                                                                                \
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000)"                \
    " SELECT count(*) FROM n"

struct fixture {
    struct harness harness;
    struct store *store;
    uv_sem_t word;
    int answered; /* of those that were begun together */
};

struct asker {
    struct fixture *fixture;
    struct store_work *work;
    sql_question *question;
    int64_t count;
    int policy; /* of the thread, at the end of a question that looks */
    enum fh_code code;
    struct fh_error error;
};

static bool take_count(void *context, const struct sql_row *row)
{
    *(int64_t *)context = row->values[0].integer;
    return true;
}

static enum fh_code count_rows(struct store_work *work, int64_t *ret, struct fh_error *error)
{
    return sql_run(work, "SELECT count(*) FROM book", NULL, 0, take_count, ret, NULL, error);
}

/* ---- Questions ---- */

static enum fh_code ask_count(struct store_work *work, void *context, struct fh_error *error)
{
    struct asker *asker = context;
    return count_rows(work, &asker->count, error);
}

static enum fh_code ask_at_word(struct store_work *work, void *context, struct fh_error *error)
{
    struct asker *asker = context;
    uv_sem_wait(&asker->fixture->word);
    return ask_count(work, context, error);
}

static enum fh_code ask_long(struct store_work *work, void *context, struct fh_error *error)
{
    struct asker *asker = context;
    return sql_run(work, LONG, NULL, 0, take_count, &asker->count, NULL, error);
}

/* And makes a value of it all the same. */
static enum fh_code ask_unheeding(struct store_work *work, void *context, struct fh_error *error)
{
    ask_long(work, context, error);
    return FH_OK;
}

static enum fh_code ask_wrongly(struct store_work *work, void *context, struct fh_error *error)
{
    (void)context;
    return sql_run(work, "SELECT * FROM shelf", NULL, 0, NULL, NULL, NULL, error);
}

static enum fh_code ask_within(struct store_work *work, void *context, struct fh_error *error)
{
    return sql_ask(work, ask_count, context, error);
}

static enum fh_code ask_long_and_look(struct store_work *work, void *context,
                                      struct fh_error *error)
{
    struct asker *asker = context;
    enum fh_code code = sql_run(work, LONG_ENOUGH, NULL, 0, take_count, &asker->count, NULL, error);
    asker->policy = sched_getscheduler(0);
    return code;
}

static enum fh_code ask_count_and_look(struct store_work *work, void *context,
                                       struct fh_error *error)
{
    struct asker *asker = context;
    asker->policy = sched_getscheduler(0);
    return ask_count(work, context, error);
}

/* ---- Their fibers ---- */

static struct store_work *begin_reading(struct fixture *fixture)
{
    struct store_work *work = NULL;
    enum fh_code code = store_begin(fixture->store, STORE_READ, &work, ERROR_UNHEEDED);
    FH_ASSERT(code == FH_OK);
    return work;
}

static struct asker asker_of(struct fixture *fixture, sql_question *question)
{
    return (struct asker){.fixture = fixture, .question = question, .work = begin_reading(fixture)};
}

static void asker_ask(struct asker *asker)
{
    asker->error = (struct fh_error){0};
    asker->code = sql_ask(asker->work, asker->question, asker, &asker->error);
}

static void ask_and_end(void *argument)
{
    struct asker *asker = argument;
    asker_ask(asker);
    store_rollback(asker->work);
    asker->fixture->answered++;
}

static void begin_asking(struct asker *asker)
{
    FH_ASSERT(fiber_start(asker->fixture->harness.world->fibers, ask_and_end, asker));
}

static struct sqlite_store *of_engine(struct fixture *fixture)
{
    return (struct sqlite_store *)fixture->store;
}

/* Waits in the loop's rounds: what is waited for comes with one of them. */
static void pass_round(struct fixture *fixture)
{
    fiber_sleep_until(fixture->harness.world, world_in_ms(fixture->harness.world, 1));
}

static void until_answered(struct fixture *fixture, int count)
{
    while (fixture->answered < count)
        pass_round(fixture);
}

/* Two that are under way until they get the word. */
static void occupy(struct fixture *fixture, struct asker busy[static SQLITE_QUESTIONS_MAX])
{
    for (int i = 0; i < SQLITE_QUESTIONS_MAX; i++) {
        busy[i] = asker_of(fixture, ask_at_word);
        begin_asking(&busy[i]);
    }
    while (of_engine(fixture)->questions.running < SQLITE_QUESTIONS_MAX)
        pass_round(fixture);
}

static void give_word(struct fixture *fixture)
{
    for (int i = 0; i < SQLITE_QUESTIONS_MAX; i++)
        uv_sem_post(&fixture->word);
}

static void add_book(struct fixture *fixture)
{
    struct store_work *work;
    struct fh_error error;
    FH_ASSERT(store_begin(fixture->store, STORE_WRITE, &work, &error) == FH_OK);
    FH_ASSERT(sql_run(work, "INSERT INTO book DEFAULT VALUES", NULL, 0, NULL, NULL, NULL, &error) ==
              FH_OK);
    FH_ASSERT(store_commit(work, &error) == FH_OK);
}

static void open_store(struct fixture *fixture)
{
    struct store_work *work;
    struct fh_error error;
    FH_ASSERT(embedded_open(&fixture->harness, fixture->harness.folder, &fixture->store, &error) ==
              FH_OK);
    FH_ASSERT(store_begin(fixture->store, STORE_WRITE_EXCLUSIVE, &work, &error) == FH_OK);
    FH_ASSERT(fixture->store->engine->sql->script(
                  work, "CREATE TABLE book (id INTEGER PRIMARY KEY)", &error) == FH_OK);
    FH_ASSERT(store_commit(work, &error) == FH_OK);
    add_book(fixture);
}

static void close_store(void *argument)
{
    struct fixture *fixture = argument;
    store_close(fixture->store);
}

static void on_new_store(void (*entry)(void *))
{
    struct fixture fixture = {.store = NULL};
    harness_init(&fixture.harness);
    assert_int_equal(uv_sem_init(&fixture.word, 0), 0);
    harness_run(&fixture.harness, entry, &fixture);
    harness_run(&fixture.harness, close_store, &fixture);
    uv_sem_destroy(&fixture.word);
    harness_release(&fixture.harness);
}

/* ---- Who waits for whom ---- */

/* All readers belong to those that ask after two that have none, or that only read. */
static void ask_with_all_readers(void *argument)
{
    struct fixture *fixture = argument;
    struct asker with[SQLITE_READERS_MAX], without[SQLITE_QUESTIONS_MAX];
    const int asking = SQLITE_READERS_ASKING_MAX;
    int64_t count;
    open_store(fixture);
    for (int i = 0; i < SQLITE_READERS_MAX; i++) {
        with[i] = asker_of(fixture, i < SQLITE_QUESTIONS_MAX ? ask_at_word : ask_count);
        assert_int_equal(count_rows(with[i].work, &count, ERROR_UNHEEDED), FH_OK);
        add_book(fixture); /* ends the sharing */
    }
    for (int i = 0; i < SQLITE_QUESTIONS_MAX; i++) {
        without[i] = asker_of(fixture, ask_count);
        begin_asking(&without[i]);
    }
    pass_round(fixture);
    assert_int_equal(of_engine(fixture)->questions.waiting, SQLITE_QUESTIONS_MAX);
    for (int i = 0; i < asking; i++)
        begin_asking(&with[i]);
    pass_round(fixture);
    assert_int_equal(of_engine(fixture)->questions.running, SQLITE_QUESTIONS_MAX);
    /* Whoever would keep one more from those that only read is refused, and reads on. */
    for (int i = asking; i < SQLITE_READERS_MAX; i++) {
        asker_ask(&with[i]);
        assert_true(with[i].code == FH_UNAVAILABLE && store_is_busy(&with[i].error));
        assert_int_equal(count_rows(with[i].work, &count, ERROR_UNHEEDED), FH_OK);
        store_rollback(with[i].work);
    }
    give_word(fixture);
    until_answered(fixture, asking + SQLITE_QUESTIONS_MAX);
    for (int i = 0; i < asking; i++)
        assert_int_equal(with[i].count, i + 1);
    for (int i = 0; i < SQLITE_QUESTIONS_MAX; i++)
        assert_int_equal(without[i].count, SQLITE_READERS_MAX + 1);
}

static void those_with_all_readers_and_those_without_are_all_answered(void **state)
{
    (void)state;
    on_new_store(ask_with_all_readers);
}

/* The loop's thread, by which this runs, has the usual policy all the time. */
static void look_at_policies(void *argument)
{
    struct fixture *fixture = argument;
    int usual = sched_getscheduler(0);
    open_store(fixture);
    for (int i = 0; i < 2 * SQLITE_QUESTIONS_MAX; i++) {
        struct asker asker = asker_of(fixture, i % 2 ? ask_count_and_look : ask_long_and_look);
        asker_ask(&asker);
        assert_int_equal(asker.code, FH_OK);
        assert_int_equal(asker.policy, i % 2 ? usual : SCHED_IDLE);
        assert_int_equal(sched_getscheduler(0), usual);
        store_rollback(asker.work);
        add_book(fixture);
    }
}

static void one_that_takes_long_leaves_the_processor_to_others(void **state)
{
    (void)state;
    if (sched_getscheduler(0) == SCHED_IDLE)
        SKIP_BECAUSE("everything runs under SCHED_IDLE here already");
    on_new_store(look_at_policies);
}

static int readers_in_use(struct fixture *fixture)
{
    int count = 0;
    for (int i = 0; i < SQLITE_READERS_MAX; i++)
        count += of_engine(fixture)->readers[i].users > 0;
    return count;
}

static void read_while_many_wait(void *argument)
{
    struct fixture *fixture = argument;
    struct asker busy[SQLITE_QUESTIONS_MAX], waiting[20];
    struct store_work *works[SQLITE_READERS_MAX - SQLITE_QUESTIONS_MAX];
    int64_t count;
    open_store(fixture);
    occupy(fixture, busy);
    for (int i = 0; i < 20; i++) {
        waiting[i] = asker_of(fixture, ask_count);
        begin_asking(&waiting[i]);
    }
    pass_round(fixture);
    assert_int_equal(of_engine(fixture)->questions.waiting, 20);
    assert_int_equal(readers_in_use(fixture), SQLITE_QUESTIONS_MAX);
    /* Each in a snapshot of its own, and the loop and the writer go on as well. */
    for (int i = 0; i < SQLITE_READERS_MAX - SQLITE_QUESTIONS_MAX; i++) {
        works[i] = begin_reading(fixture);
        assert_int_equal(count_rows(works[i], &count, ERROR_UNHEEDED), FH_OK);
        assert_int_equal(count, i + 1);
        add_book(fixture);
    }
    for (int i = 0; i < SQLITE_READERS_MAX - SQLITE_QUESTIONS_MAX; i++)
        store_rollback(works[i]);
    assert_int_equal(fixture->answered, 0);
    give_word(fixture);
    until_answered(fixture, 20 + SQLITE_QUESTIONS_MAX);
    for (int i = 0; i < 20; i++)
        assert_int_equal(waiting[i].count, SQLITE_READERS_MAX - SQLITE_QUESTIONS_MAX + 1);
}

static void questions_that_wait_keep_no_reader_from_others(void **state)
{
    (void)state;
    on_new_store(read_while_many_wait);
}

static void ask_too_many(void *argument)
{
    struct fixture *fixture = argument;
    struct asker busy[SQLITE_QUESTIONS_MAX], waiting[SQLITE_QUESTIONS_WAITING_MAX], last;
    open_store(fixture);
    occupy(fixture, busy);
    for (int i = 0; i < SQLITE_QUESTIONS_WAITING_MAX; i++) {
        waiting[i] = asker_of(fixture, ask_count);
        begin_asking(&waiting[i]);
    }
    pass_round(fixture);
    last = asker_of(fixture, ask_count);
    asker_ask(&last);
    assert_int_equal(last.code, FH_UNAVAILABLE);
    assert_string_equal(last.error.message, "Too many questions wait for the store already.");
    assert_true(store_is_busy(&last.error));
    store_rollback(last.work);
    give_word(fixture);
    until_answered(fixture, SQLITE_QUESTIONS_WAITING_MAX + SQLITE_QUESTIONS_MAX);
    for (int i = 0; i < SQLITE_QUESTIONS_WAITING_MAX; i++)
        assert_int_equal(waiting[i].code, FH_OK);
}

static void only_so_many_wait_and_the_next_is_refused_at_once(void **state)
{
    (void)state;
    on_new_store(ask_too_many);
}

/* The first is under way, and the second waits, while others are answered. */
static void ask_long_and_short(void *argument)
{
    struct fixture *fixture = argument;
    struct asker longs[SQLITE_QUESTIONS_LONG_MAX + 1], shorts[3];
    open_store(fixture);
    for (int i = 0; i <= SQLITE_QUESTIONS_LONG_MAX; i++) {
        longs[i] = asker_of(fixture, ask_at_word);
        longs[i].work->asks_long = true;
        begin_asking(&longs[i]);
    }
    pass_round(fixture);
    assert_int_equal(of_engine(fixture)->questions.running, SQLITE_QUESTIONS_LONG_MAX);
    for (int i = 0; i < 3; i++) {
        shorts[i] = asker_of(fixture, ask_count);
        begin_asking(&shorts[i]);
    }
    until_answered(fixture, 3);
    assert_int_equal(of_engine(fixture)->questions.waiting, 1);
    for (int i = 0; i <= SQLITE_QUESTIONS_LONG_MAX; i++)
        uv_sem_post(&fixture->word);
    until_answered(fixture, 3 + SQLITE_QUESTIONS_LONG_MAX + 1);
    for (int i = 0; i <= SQLITE_QUESTIONS_LONG_MAX; i++)
        assert_int_equal(longs[i].count, 1);
}

static void those_that_take_long_leave_a_place_to_others(void **state)
{
    (void)state;
    on_new_store(ask_long_and_short);
}

static void ask_long_too_often(void *argument)
{
    struct fixture *fixture = argument;
    struct asker longs[1 + SQLITE_QUESTIONS_LONG_WAITING_MAX], last;
    open_store(fixture);
    for (int i = 0; i <= SQLITE_QUESTIONS_LONG_WAITING_MAX; i++) {
        longs[i] = asker_of(fixture, i == 0 ? ask_at_word : ask_count);
        longs[i].work->asks_long = true;
        begin_asking(&longs[i]);
    }
    pass_round(fixture);
    last = asker_of(fixture, ask_count);
    last.work->asks_long = true;
    asker_ask(&last);
    assert_true(last.code == FH_UNAVAILABLE && store_is_busy(&last.error));
    last.work->asks_long = false;
    asker_ask(&last);
    assert_int_equal(last.code, FH_OK);
    store_rollback(last.work);
    uv_sem_post(&fixture->word);
    until_answered(fixture, 1 + SQLITE_QUESTIONS_LONG_WAITING_MAX);
}

static void fewer_of_those_that_take_long_wait(void **state)
{
    (void)state;
    on_new_store(ask_long_too_often);
}

struct reading {
    struct fixture *fixture;
    struct store_work *work;
    int64_t count;
    bool over;
};

static void read_on(void *argument)
{
    struct reading *reading = argument;
    assert_int_equal(count_rows(reading->work, &reading->count, ERROR_UNHEEDED), FH_OK);
    store_rollback(reading->work);
    reading->over = true;
}

static void ask_in_a_shared_snapshot(void *argument)
{
    struct fixture *fixture = argument;
    struct asker asker;
    struct reading reading = {.fixture = fixture};
    int64_t count;
    open_store(fixture);
    asker = asker_of(fixture, ask_at_word);
    reading.work = begin_reading(fixture);
    assert_int_equal(count_rows(asker.work, &count, ERROR_UNHEEDED), FH_OK);
    assert_int_equal(count_rows(reading.work, &count, ERROR_UNHEEDED), FH_OK);
    struct sqlite_connection *shared = ((struct sqlite_work *)reading.work)->connection;
    assert_ptr_equal(((struct sqlite_work *)asker.work)->connection, shared);
    begin_asking(&asker);
    FH_ASSERT(fiber_start(fixture->harness.world->fibers, read_on, &reading));
    while (!shared->answered.first)
        pass_round(fixture);
    /* Whoever begins now shares another one. */
    struct store_work *other = begin_reading(fixture);
    assert_int_equal(count_rows(other, &count, ERROR_UNHEEDED), FH_OK);
    assert_ptr_not_equal(((struct sqlite_work *)other)->connection, shared);
    store_rollback(other);
    assert_false(reading.over || fixture->answered);
    uv_sem_post(&fixture->word);
    until_answered(fixture, 1);
    while (!reading.over)
        pass_round(fixture);
    assert_int_equal(reading.count, 1);
}

static void others_in_its_snapshot_wait_until_it_is_answered(void **state)
{
    (void)state;
    on_new_store(ask_in_a_shared_snapshot);
}

/* ---- Late, failed ---- */

static void expect_late(const struct asker *asker, bool begun)
{
    assert_int_equal(store_is_late(&asker->error), begun);
    assert_int_equal(asker->code, FH_UNAVAILABLE);
    assert_string_equal(asker->error.message,
                        "The deadline passed before the answer was complete.");
    assert_true(store_is_busy(&asker->error));
}

static void be_late(void *argument)
{
    static sql_question *const late[] = {ask_long, ask_unheeding};
    struct fixture *fixture = argument;
    int64_t before, after;
    open_store(fixture);
    struct asker asker = asker_of(fixture, ask_count);
    assert_int_equal(count_rows(asker.work, &before, ERROR_UNHEEDED), FH_OK);
    add_book(fixture);
    for (size_t i = 0; i < sizeof late / sizeof *late; i++) {
        asker.question = late[i];
        asker.work->deadline_ns = world_in_ms(fixture->harness.world, 20);
        asker_ask(&asker);
        expect_late(&asker, true);
    }
    /* Once it has passed it is not even begun. */
    asker_ask(&asker);
    expect_late(&asker, false);
    asker.question = ask_wrongly;
    asker.work->deadline_ns = 0;
    asker_ask(&asker);
    assert_int_equal(asker.code, FH_UNSUPPORTED);
    assert_non_null(strstr(asker.error.message, "no such table"));
    assert_int_equal(count_rows(asker.work, &after, ERROR_UNHEEDED), FH_OK);
    assert_int_equal(before, after);
    asker.question = ask_count;
    asker_ask(&asker);
    assert_int_equal(asker.code, FH_OK);
    assert_int_equal(asker.count, before);
    store_rollback(asker.work);
}

static void after_one_that_is_late_or_fails_the_snapshot_is_as_before(void **state)
{
    (void)state;
    on_new_store(be_late);
}

static void be_late_in_line(void *argument)
{
    struct fixture *fixture = argument;
    struct asker busy[SQLITE_QUESTIONS_MAX];
    int64_t count;
    open_store(fixture);
    occupy(fixture, busy);
    struct asker asker = asker_of(fixture, ask_count);
    asker.work->deadline_ns = world_in_ms(fixture->harness.world, 20);
    asker_ask(&asker);
    expect_late(&asker, false);
    assert_int_equal(of_engine(fixture)->questions.waiting, 0);
    assert_int_equal(count_rows(asker.work, &count, ERROR_UNHEEDED), FH_OK);
    store_rollback(asker.work);
    give_word(fixture);
    until_answered(fixture, SQLITE_QUESTIONS_MAX);
}

static void one_that_is_late_in_line_leaves_it(void **state)
{
    (void)state;
    on_new_store(be_late_in_line);
}

static void read_late(void *argument)
{
    struct fixture *fixture = argument;
    struct store_work *works[SQLITE_READERS_MAX], *last;
    struct fh_error error;
    int64_t count;
    open_store(fixture);
    for (int i = 0; i < SQLITE_READERS_MAX; i++) {
        works[i] = begin_reading(fixture);
        assert_int_equal(count_rows(works[i], &count, ERROR_UNHEEDED), FH_OK);
        add_book(fixture); /* ends the sharing */
    }
    last = begin_reading(fixture);
    last->deadline_ns = world_in_ms(fixture->harness.world, 20);
    assert_int_equal(count_rows(last, &count, &error), FH_UNAVAILABLE);
    assert_true(store_is_busy(&error));
    store_rollback(last);
    for (int i = 0; i < SQLITE_READERS_MAX; i++)
        store_rollback(works[i]);
}

static void who_waits_for_a_reader_does_so_until_the_deadline(void **state)
{
    (void)state;
    on_new_store(read_late);
}

/* ---- The log ---- */

/* A snapshot keeps it from beginning anew meanwhile. */
static void make_log_large(struct fixture *fixture)
{
    int64_t count;
    struct store_work *reading = begin_reading(fixture);
    assert_int_equal(count_rows(reading, &count, ERROR_UNHEEDED), FH_OK);
    while (of_engine(fixture)->checkpoint.seen < 4 * LOG_FRAMES)
        add_book(fixture);
    store_rollback(reading);
}

static void ask_without_a_pause(void *argument)
{
    struct fixture *fixture = argument;
    struct asker busy[SQLITE_QUESTIONS_MAX], next;
    fixture->harness.world->log_frames = LOG_FRAMES;
    open_store(fixture);
    struct sqlite_store *store = of_engine(fixture);
    occupy(fixture, busy);
    make_log_large(fixture);
    next = asker_of(fixture, ask_count);
    begin_asking(&next);
    pass_round(fixture);
    unsigned log = store->checkpoint.log;
    give_word(fixture);
    until_answered(fixture, SQLITE_QUESTIONS_MAX);
    while (store->checkpoint.log == log)
        add_book(fixture);
    until_answered(fixture, SQLITE_QUESTIONS_MAX + 1);
    assert_int_equal(next.code, FH_OK);
}

static void a_large_log_begins_anew_before_another_question_does(void **state)
{
    (void)state;
    on_new_store(ask_without_a_pause);
}

/* A snapshot of before keeps the log from beginning anew, and nobody writes. */
static void ask_in_a_pause(void *argument)
{
    struct fixture *fixture = argument;
    struct asker with, without;
    int64_t count;
    fixture->harness.world->log_frames = LOG_FRAMES;
    open_store(fixture);
    struct sqlite_store *store = of_engine(fixture);
    with = asker_of(fixture, ask_count);
    assert_int_equal(count_rows(with.work, &count, ERROR_UNHEEDED), FH_OK);
    make_log_large(fixture);
    without = asker_of(fixture, ask_count);
    begin_asking(&without);
    while (!store->questions.first && !fixture->answered) /* no round of the loop: no timer fires */
        fiber_yield();
    assert_true(store->questions.paused && store->questions.running == 0);
    asker_ask(&with);
    assert_int_equal(with.code, FH_OK);
    store_rollback(with.work);
    until_answered(fixture, 1);
    assert_int_equal(without.code, FH_OK);
    assert_false(store->questions.paused);
}

static void a_pause_for_the_log_is_over_soon_and_not_for_those_with_a_snapshot(void **state)
{
    (void)state;
    on_new_store(ask_in_a_pause);
}

static void close_in_a_pause(void *argument)
{
    struct fixture *fixture = argument;
    fixture->harness.world->log_frames = LOG_FRAMES;
    open_store(fixture);
    make_log_large(fixture);
    struct asker asker = asker_of(fixture, ask_count);
    begin_asking(&asker);
    while (!of_engine(fixture)->questions.first && !fixture->answered)
        fiber_yield();
    assert_true(of_engine(fixture)->questions.paused);
    store_close(fixture->store);
    assert_int_equal(asker.code, FH_OK);
    assert_int_equal(
        embedded_open(&fixture->harness, fixture->harness.folder, &fixture->store, ERROR_UNHEEDED),
        FH_OK);
}

static void a_store_is_closed_after_a_pause(void **state)
{
    (void)state;
    on_new_store(close_in_a_pause);
}

/* ---- Wrong ---- */

static bool ask_of_row(void *context, const struct sql_row *row)
{
    (void)row;
    asker_ask(context);
    return true;
}

static void ask_amiss(void *argument)
{
    struct fixture *fixture = argument;
    struct asker asker;
    struct store_work *writing;
    int64_t count;
    open_store(fixture);
    asker = asker_of(fixture, ask_within);
    asker_ask(&asker);
    assert_int_equal(asker.code, FH_UNSUPPORTED);
    asker.question = ask_count;
    assert_int_equal(
        sql_run(asker.work, "SELECT 1", NULL, 0, ask_of_row, &asker, NULL, ERROR_UNHEEDED), FH_OK);
    assert_int_equal(asker.code, FH_UNSUPPORTED);
    struct store_work *reading = asker.work;
    assert_int_equal(store_begin(fixture->store, STORE_WRITE, &writing, ERROR_UNHEEDED), FH_OK);
    asker.work = writing;
    asker_ask(&asker);
    assert_int_equal(asker.code, FH_UNSUPPORTED);
    assert_non_null(strstr(asker.error.message, "that only reads"));
    store_rollback(writing);
    assert_int_equal(count_rows(reading, &count, ERROR_UNHEEDED), FH_OK);
    store_rollback(reading);
    store_rollback(begin_reading(fixture)); /* that has read nothing */
}

static void one_within_another_or_beside_a_statement_is_refused(void **state)
{
    (void)state;
    on_new_store(ask_amiss);
}

/* ---- The end ---- */

static void close_while_asked(void *argument)
{
    struct fixture *fixture = argument;
    struct asker busy[SQLITE_QUESTIONS_MAX], waiting;
    open_store(fixture);
    occupy(fixture, busy);
    waiting = asker_of(fixture, ask_count);
    begin_asking(&waiting);
    pass_round(fixture);
    give_word(fixture);
    store_close(fixture->store);
    assert_int_equal(fixture->answered, SQLITE_QUESTIONS_MAX + 1);
    assert_int_equal(waiting.code, FH_OK);
    assert_int_equal(
        embedded_open(&fixture->harness, fixture->harness.folder, &fixture->store, ERROR_UNHEEDED),
        FH_OK);
}

static void a_store_is_closed_once_all_are_answered(void **state)
{
    (void)state;
    on_new_store(close_while_asked);
}

int main(void)
{
    setenv("UV_THREADPOOL_SIZE", "1", 1); /* a commit would never come, if this counted */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(those_with_all_readers_and_those_without_are_all_answered),
        cmocka_unit_test(questions_that_wait_keep_no_reader_from_others),
        cmocka_unit_test(only_so_many_wait_and_the_next_is_refused_at_once),
        cmocka_unit_test(those_that_take_long_leave_a_place_to_others),
        cmocka_unit_test(fewer_of_those_that_take_long_wait),
        cmocka_unit_test(one_that_takes_long_leaves_the_processor_to_others),
        cmocka_unit_test(others_in_its_snapshot_wait_until_it_is_answered),
        cmocka_unit_test(after_one_that_is_late_or_fails_the_snapshot_is_as_before),
        cmocka_unit_test(one_that_is_late_in_line_leaves_it),
        cmocka_unit_test(who_waits_for_a_reader_does_so_until_the_deadline),
        cmocka_unit_test(a_large_log_begins_anew_before_another_question_does),
        cmocka_unit_test(a_pause_for_the_log_is_over_soon_and_not_for_those_with_a_snapshot),
        cmocka_unit_test(a_store_is_closed_after_a_pause),
        cmocka_unit_test(one_within_another_or_beside_a_statement_is_refused),
        cmocka_unit_test(a_store_is_closed_once_all_are_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
