/* SPDX-License-Identifier: Apache-2.0 */
/* The unit of work on a server, simulated by an engine that does what each test says: units of work
 * that meet conflicts, and positions that come after the commit. */

#include "../support/harness.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/ledger.h"
#include "store/sequence.h"
#include "store/store.h"
#include "work/work.h"

static const fh_service service = {.name = "books", .model = FH_RELATIONAL};

struct played {
    struct store base;
    int conflicts; /* left, one per commit; -1: for ever */
    int commits, exclusive, grouped, begun;
    int failures; /* of the sequencer, left */
    int calls, busy, busy_most;
    int64_t position;
    int heard;
};

static enum fh_code play_begin(struct store *store, enum store_mode mode, struct store_work **ret,
                               struct fh_error *error)
{
    (void)error;
    *ret = malloc(sizeof **ret);
    FH_ASSERT(*ret != NULL);
    struct played *played = (struct played *)store;
    **ret =
        (struct store_work){.store = store, .mode = mode, .tentative = mode == STORE_WRITE_GROUPED};
    played->begun++;
    played->exclusive += mode == STORE_WRITE_EXCLUSIVE;
    played->grouped += mode == STORE_WRITE_GROUPED;
    return FH_OK;
}

static enum fh_code play_commit(struct store_work *work, struct fh_error *error)
{
    struct played *played = (struct played *)work->store;
    free(work);
    played->commits++;
    if (played->conflicts == 0)
        return FH_OK;
    played->conflicts -= played->conflicts > 0;
    error_set(error, FH_CONFLICT, "Another work was quicker.");
    error->retryable = true;
    return FH_CONFLICT;
}

static void play_rollback(struct store_work *work)
{
    free(work);
}

static enum fh_code play_sequence(struct store *store, struct store_placed *placed, int count,
                                  struct fh_error *error)
{
    struct played *played = (struct played *)store;
    played->calls++;
    played->busy_most = ++played->busy > played->busy_most ? played->busy : played->busy_most;
    fiber_sleep_until(store->world, world_in_ms(store->world, 5));
    played->busy--;
    if (played->failures && played->failures--)
        return error_set(error, FH_UNAVAILABLE, "The server is away.");
    for (int i = 0; i < count; i++)
        placed[i].position = ++played->position;
    return FH_OK;
}

static const struct store_ops play_store = {.begin = play_begin,
                                            .commit = play_commit,
                                            .rollback = play_rollback,
                                            .sequence = play_sequence};

static const struct engine play = {
    .name = "play", .abilities = ENGINE_MANY_INSTANCES | ENGINE_GROUPED, .store = &play_store};

struct fixture {
    struct harness harness;
    struct played played;
    struct work_context context;
    struct store_listener listener;
    int64_t deadline_ms; /* of the units of work; 0: none */
};

static void on_heard(void *context)
{
    ((struct fixture *)context)->played.heard++;
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct store_options options = {.service = "books", .model = FH_RELATIONAL};
    assert_non_null(fixture);
    harness_init(&fixture->harness);
    store_init(&fixture->played.base, &play, &options, fixture->harness.world);
    fixture->context = (struct work_context){
        .world = fixture->harness.world, .store = &fixture->played.base, .service = &service};
    fixture->listener = (struct store_listener){.heard = on_heard, .context = fixture};
    store_listen(&fixture->played.base, &fixture->listener);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    harness_release(&fixture->harness);
    free(fixture);
    return 0;
}

/* Publishes one event, and keeps its position. */
struct run {
    struct fixture *fixture;
    fh_handler *handler; /* NULL: publish */
    struct ledger_event event;
    enum fh_code code;
    int status;
    char said[256];
    int64_t position;
    bool told;
};

static struct run *running; /* for a handler, which has no state of its own */

static enum fh_code append(fh_work *w, void *argument, struct fh_error *error)
{
    struct run *run = argument;
    (void)error;
    run->event = (struct ledger_event){.id = "one"};
    work_appended(w, &run->event);
    return FH_OK;
}

static void committed(fh_work *w, void *argument)
{
    struct run *run = argument;
    (void)w;
    run->position = run->event.position;
    run->told = true;
}

static void publish(fh_work *w)
{
    work_store_write(w);
    work_on_end(w, append, committed, running);
}

/* As long as it sees what can never be. */
static void refuse(fh_work *w)
{
    bool tentative = work_store_write(w)->tentative;
    fh_fail(w, 409, tentative ? "Nothing is left, perhaps." : "Nothing is left.");
}

static void refuse_at_first(fh_work *w)
{
    if (work_store_write(w)->tentative)
        fh_fail(w, 409, "Nothing is left, perhaps.");
    work_on_end(w, append, committed, running);
}

static void run_work(void *argument)
{
    struct run *run = argument;
    struct world *world = run->fixture->context.world;
    fh_work w;
    work_init(&w, &run->fixture->context, run->handler ? run->handler : publish);
    if (run->fixture->deadline_ms)
        w.deadline_ns = world_in_ms(world, run->fixture->deadline_ms);
    running = run;
    run->code = work_run(&w);
    run->status = w.reply_status;
    snprintf(run->said, sizeof run->said, "%s", w.failure.message);
    work_release(&w);
}

static void close_sequencer(void *argument)
{
    struct fixture *fixture = argument;
    store_sequencer_close(&fixture->played.base);
}

static void finish(struct fixture *fixture)
{
    harness_run(&fixture->harness, close_sequencer, fixture);
}

static void a_unit_of_work_that_meets_conflicts_gets_through(void **state)
{
    struct fixture *fixture = *state;
    struct run run = {.fixture = fixture};
    fixture->played.conflicts = 10;
    harness_run(&fixture->harness, run_work, &run);
    assert_int_equal(run.code, FH_OK);
    assert_int_equal(fixture->played.commits, 11);
    assert_int_equal(fixture->context.counters.reruns, 10);
    assert_int_equal(fixture->played.exclusive, 2); /* from the ninth rerun on */
    assert_true(run.told && run.position == 1);
    finish(fixture);
}

static void a_unit_of_work_that_met_a_conflict_is_not_grouped_again(void **state)
{
    struct fixture *fixture = *state;
    struct run run = {.fixture = fixture};
    fixture->played.conflicts = 3;
    harness_run(&fixture->harness, run_work, &run);
    assert_int_equal(run.code, FH_OK);
    assert_int_equal(fixture->played.begun, 4);
    assert_int_equal(fixture->played.grouped, 1);
    finish(fixture);
}

/* It knows groups, and not guarded units of work. */
static void what_an_engine_does_not_know_of_a_mode_it_takes_as_a_write(void **state)
{
    (void)state;
    assert_int_equal(store_mode_of(&play, STORE_WRITE_GROUPED), STORE_WRITE_GROUPED);
    assert_int_equal(store_mode_of(&play, STORE_WRITE_GUARDED), STORE_WRITE);
    assert_int_equal(store_mode_of(&play, STORE_WRITE_EXCLUSIVE), STORE_WRITE_EXCLUSIVE);
    assert_int_equal(store_mode_of(&play, STORE_MIGRATE), STORE_MIGRATE);
    assert_int_equal(store_mode_of(&play, STORE_READ), STORE_READ);
}

static int signal_of(int mode)
{
    int status;
    pid_t process = fork();
    if (process == 0) {
        close(STDERR_FILENO);
        store_mode_of(&play, (enum store_mode)mode);
        _exit(0);
    }
    assert_true(process > 0 && waitpid(process, &status, 0) == process);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void an_impossible_mode_ends_the_process(void **state)
{
    (void)state;
    assert_int_equal(signal_of(STORE_READ), 0);
    assert_int_equal(signal_of(STORE_READ | STORE_EXCLUSIVE), SIGABRT);
    assert_int_equal(signal_of(STORE_COMMITTED | STORE_WRITES), SIGABRT);
    assert_int_equal(signal_of(STORE_WRITE_GROUPED | STORE_EXCLUSIVE), SIGABRT);
    assert_int_equal(signal_of(STORE_WRITES), SIGABRT);
    assert_int_equal(signal_of(0), SIGABRT);
}

static void a_refusal_because_of_what_may_never_be_is_not_answered(void **state)
{
    struct fixture *fixture = *state;
    struct run run = {.fixture = fixture, .handler = refuse};
    harness_run(&fixture->harness, run_work, &run);
    assert_int_equal(run.status, 409);
    assert_string_equal(run.said, "Nothing is left.");
    assert_int_equal(fixture->played.begun, 2);
    struct run other = {.fixture = fixture, .handler = refuse_at_first};
    harness_run(&fixture->harness, run_work, &other);
    assert_int_equal(other.code, FH_OK);
    assert_true(other.told);
    finish(fixture);
}

static void a_unit_of_work_that_never_gets_through_ends_by_its_deadline(void **state)
{
    struct fixture *fixture = *state;
    struct run run = {.fixture = fixture};
    fixture->played.conflicts = -1;
    fixture->deadline_ms = 200;
    harness_run(&fixture->harness, run_work, &run);
    assert_int_equal(run.code, FH_UNAVAILABLE);
    assert_int_equal(run.status, 503);
    assert_false(run.told);
    assert_true(fixture->played.commits > 3);
    assert_int_equal(fixture->played.calls, 0);
    finish(fixture);
}

static void nobody_learns_of_an_event_before_it_has_its_position(void **state)
{
    enum { WORKS = 20 };
    struct fixture *fixture = *state;
    struct run runs[WORKS];
    void *arguments[WORKS];
    for (int i = 0; i < WORKS; i++) {
        runs[i] = (struct run){.fixture = fixture};
        arguments[i] = &runs[i];
    }
    harness_run_all(&fixture->harness, run_work, arguments, WORKS);
    for (int i = 0; i < WORKS; i++)
        assert_true(runs[i].told && runs[i].position > 0);
    assert_int_equal(fixture->played.busy_most, 1);
    assert_true(fixture->played.calls < WORKS); /* those who wait share the next call */
    assert_int_equal(fixture->context.position, WORKS);
    finish(fixture);
}

static bool is_heard(void *argument)
{
    return ((struct fixture *)argument)->played.heard > 0;
}

static void a_work_stands_when_its_events_get_no_positions_and_they_come_later(void **state)
{
    struct fixture *fixture = *state;
    struct run run = {.fixture = fixture};
    fixture->played.failures = 2;
    harness_run(&fixture->harness, run_work, &run);
    assert_int_equal(run.code, FH_OK);
    assert_true(run.told);
    assert_int_equal(run.position, 0);
    assert_int_equal(fixture->played.heard, 0);
    harness_until(&fixture->harness, is_heard, fixture);
    assert_int_equal(fixture->played.calls, 3);
    finish(fixture);
}

static void a_store_is_closed_while_positions_are_owed(void **state)
{
    struct fixture *fixture = *state;
    struct run run = {.fixture = fixture};
    fixture->played.failures = 1000;
    harness_run(&fixture->harness, run_work, &run);
    assert_int_equal(run.code, FH_OK);
    finish(fixture);
    assert_int_equal(fixture->played.heard, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_unit_of_work_that_meets_conflicts_gets_through, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_unit_of_work_that_met_a_conflict_is_not_grouped_again,
                                        set_up, tear_down),
        cmocka_unit_test(what_an_engine_does_not_know_of_a_mode_it_takes_as_a_write),
        cmocka_unit_test(an_impossible_mode_ends_the_process),
        cmocka_unit_test_setup_teardown(a_refusal_because_of_what_may_never_be_is_not_answered,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_unit_of_work_that_never_gets_through_ends_by_its_deadline,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_learns_of_an_event_before_it_has_its_position,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_work_stands_when_its_events_get_no_positions_and_they_come_later, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_store_is_closed_while_positions_are_owed, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests_name("server_work", tests, NULL, NULL);
}
