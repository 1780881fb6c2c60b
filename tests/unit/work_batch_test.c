/* SPDX-License-Identifier: Apache-2.0 */
/* Batches whose members are not expected to ask: one after the other, on one fiber, in the open
 * transaction; and side by side, once one has asked after all. */

#include "../support/fixture.h"

#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "store/relational/relational.h"

#define MEMBERS 20

static const fh_service service = {.name = "books", .model = FH_RELATIONAL};

static const char script[] =
    "CREATE TABLE shelf (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);";

static int set_up(void **state)
{
    return fixture_set_up(state, &service, script);
}

struct batch {
    struct fixture *fixture;
    fh_handler *handler;
    int peeks, refuses; /* the member that does; 0: none */
    struct work_batch_habits habits;
    struct work_fence *fence;
    enum fh_code code;
    int failed;
    char order[8 * MEMBERS]; /* b: a member begins; w: it has written */
    json_int_t peeked;
    struct fiber *fibers[MEMBERS + 1];
    int reruns;
    long shelves;
};

static struct batch *current;

static void note(char what)
{
    size_t length = strlen(current->order);
    assert_true(length + 1 < sizeof current->order);
    current->order[length] = what;
}

static void adds(fh_work *w)
{
    json_int_t id = json_integer_value(json_object_get(fh_body(w), "id"));
    note('b');
    current->fibers[id] = fiber_self();
    if (id == current->peeks) {
        json_t *rows = fh_peek(w, "SELECT count(*) AS n FROM shelf");
        current->peeked = json_integer_value(json_object_get(json_array_get(rows, 0), "n"));
    }
    fh_exec(w, "INSERT INTO shelf (id, name) VALUES (:id, :name)", fh_body(w));
    note('w');
    if (id == current->refuses)
        fh_fail(w, 422, "Not this one.");
    fh_reply(w, 200, fh_body(w));
}

static void run_batch(void *argument)
{
    struct batch *batch = argument;
    fh_work works[MEMBERS], *pointers[MEMBERS];
    for (int i = 0; i < MEMBERS; i++) {
        work_init(&works[i], &batch->fixture->context, batch->handler);
        json_arena_set(&works[i].kept);
        works[i].body = json_pack("{s:i, s:o}", "id", i + 1, "name", json_sprintf("%d", i + 1));
        json_arena_set(NULL);
        pointers[i] = &works[i];
    }
    batch->code = work_batch(&batch->fixture->context, pointers, MEMBERS, batch->fence,
                             &batch->habits, &batch->failed, &batch->fixture->error);
    for (int i = 0; i < MEMBERS; i++)
        work_release(&works[i]);
    struct store_work *work;
    FH_ASSERT(store_begin(batch->fixture->context.store, STORE_READ, &work, ERROR_UNHEEDED) ==
              FH_OK);
    batch->shelves = 0;
    json_t *rows = NULL;
    FH_ASSERT(relational_run(work, "SELECT id FROM shelf", NULL, 0, 1000, &rows, NULL,
                             ERROR_UNHEEDED) == FH_OK);
    batch->shelves = (long)json_array_size(rows);
    json_decref(rows);
    store_rollback(work);
}

static struct batch batch_of(void **state, struct batch batch)
{
    batch.fixture = *state;
    batch.handler = batch.handler ? batch.handler : adds;
    batch.failed = -1;
    current = &batch;
    harness_run(&batch.fixture->harness, run_batch, &batch);
    current = NULL;
    return batch;
}

static void those_that_do_not_ask_run_one_after_the_other_on_one_fiber(void **state)
{
    struct batch batch = batch_of(state, (struct batch){0});
    assert_int_equal(batch.code, FH_OK);
    assert_false(batch.habits.asks);
    assert_int_equal(batch.shelves, MEMBERS);
    for (int i = 0; i < MEMBERS; i++) {
        assert_memory_equal(batch.order + 2 * (size_t)i, "bw", 2);
        assert_ptr_equal(batch.fibers[i + 1], batch.fibers[1]);
    }
    assert_int_equal(batch.order[2 * MEMBERS], '\0');
}

/* It sees what was committed, and nothing of those before it. */
static void one_that_asks_makes_all_run_anew_side_by_side(void **state)
{
    struct batch batch = batch_of(state, (struct batch){.peeks = 7, .peeked = -1});
    assert_int_equal(batch.code, FH_OK);
    assert_true(batch.habits.asks);
    assert_int_equal(batch.peeked, 0);
    assert_int_equal(batch.shelves, MEMBERS);
    char wanted[8 * MEMBERS] = "bwbwbwbwbwbwb"; /* six, and the seventh */
    memset(wanted + strlen(wanted), 'b', MEMBERS);
    memset(wanted + strlen(wanted), 'w', MEMBERS);
    assert_string_equal(batch.order, wanted);
    assert_ptr_not_equal(batch.fibers[1], batch.fibers[2]);
    assert_int_equal(batch.fixture->context.counters.reruns, 0);
}

static void what_is_known_to_ask_runs_side_by_side_at_once(void **state)
{
    struct batch batch = batch_of(state, (struct batch){.peeks = 7, .habits.asks = true});
    char wanted[8 * MEMBERS] = "";
    assert_int_equal(batch.code, FH_OK);
    memset(wanted, 'b', MEMBERS);
    memset(wanted + MEMBERS, 'w', MEMBERS);
    assert_string_equal(batch.order, wanted);
}

static void the_first_that_fails_is_to_blame_and_nothing_is_left(void **state)
{
    struct batch batch = batch_of(state, (struct batch){.refuses = 11});
    assert_int_not_equal(batch.code, FH_OK);
    assert_int_equal(batch.failed, 10);
    assert_int_equal(batch.shelves, 0);
    assert_int_equal(strlen(batch.order), 22);
    assert_int_equal(batch_of(state, (struct batch){0}).shelves, MEMBERS);
}

static enum work_verdict refuse(struct work_fence *fence, struct store_work *work,
                                struct fh_error *error)
{
    (void)fence, (void)work;
    return work_verdict_of(error_set(error, FH_CONFLICT, "Somebody else was here."), error);
}

static void none_begins_behind_a_fence_that_is_over(void **state)
{
    struct work_fence fence = {.check = refuse};
    struct batch batch = batch_of(state, (struct batch){.fence = &fence, .peeks = 1});
    assert_int_equal(batch.code, FH_CONFLICT);
    assert_int_equal(batch.failed, -1);
    assert_int_equal(batch.order[0], '\0');
    assert_false(batch.habits.asks);
}

static enum fh_code conflict_once(fh_work *w, void *argument, struct fh_error *error)
{
    (void)w, (void)argument;
    return current->reruns++ ? FH_OK : error_retry(error, FH_CONFLICT, "Once.");
}

static void conflicts_once(fh_work *w)
{
    adds(w);
    if (json_integer_value(json_object_get(fh_body(w), "id")) == 3)
        work_on_end(w, conflict_once, NULL, current);
}

static void a_conflict_runs_all_again_in_turn(void **state)
{
    struct batch batch = batch_of(state, (struct batch){.handler = conflicts_once});
    assert_int_equal(batch.code, FH_OK);
    assert_int_equal(batch.shelves, MEMBERS);
    assert_int_equal(strlen(batch.order), 6 + 2 * MEMBERS);
    assert_int_equal(batch.fixture->context.counters.reruns, 1);
    assert_false(batch.habits.asks);
}

static int released;

static void release_one(void *argument)
{
    released += *(int *)argument;
}

static void peeks_late(fh_work *w)
{
    int *one = work_alloc(w, sizeof *one);
    *one = 1;
    fh_defer(w, release_one, one);
    adds(w);
    json_t *rows = fh_peek(w, "SELECT count(*) AS n FROM shelf");
    current->peeked += json_integer_value(json_object_get(json_array_get(rows, 0), "n"));
}

/* It does not see what its own transaction has written, and the batch is not run again. */
static void one_that_peeks_after_it_used_the_store_stays_in_turn(void **state)
{
    released = 0;
    struct batch batch = batch_of(state, (struct batch){.handler = peeks_late});
    assert_int_equal(batch.code, FH_OK);
    assert_false(batch.habits.asks);
    assert_int_equal(batch.peeked, 0);
    assert_int_equal(batch.shelves, MEMBERS);
    assert_int_equal(released, MEMBERS);
    assert_int_equal(strlen(batch.order), 2 * MEMBERS);
}

static void adds_slowly(fh_work *w)
{
    usleep(1000);
    adds(w);
}

/* Who else would write waits for them. */
static void only_quick_ones_that_do_not_ask_are_many(void **state)
{
    const struct fixture *fixture = *state;
    struct work_batch_habits unknown = {0}, quick = {.run_ns = 1},
                             asking = {.run_ns = 1, .asks = true};
    assert_int_equal(work_batch_size(&fixture->context, &unknown), WORK_BATCH_SMALL);
    assert_int_equal(work_batch_size(&fixture->context, &quick), WORK_BATCH_MAX);
    assert_int_equal(work_batch_size(&fixture->context, &asking), WORK_BATCH_SMALL);
    struct batch slow = batch_of(state, (struct batch){.handler = adds_slowly, .habits = quick});
    assert_int_equal(slow.code, FH_OK);
    assert_int_equal(work_batch_size(&fixture->context, &slow.habits), WORK_BATCH_SMALL);
}

#define BATCH_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fixture_tear_down)

int main(void)
{
    json_memory_init();
    const struct CMUnitTest tests[] = {
        BATCH_TEST(those_that_do_not_ask_run_one_after_the_other_on_one_fiber),
        BATCH_TEST(one_that_asks_makes_all_run_anew_side_by_side),
        BATCH_TEST(what_is_known_to_ask_runs_side_by_side_at_once),
        BATCH_TEST(the_first_that_fails_is_to_blame_and_nothing_is_left),
        BATCH_TEST(none_begins_behind_a_fence_that_is_over),
        BATCH_TEST(a_conflict_runs_all_again_in_turn),
        BATCH_TEST(one_that_peeks_after_it_used_the_store_stays_in_turn),
        BATCH_TEST(only_quick_ones_that_do_not_ask_are_many),
    };
    return cmocka_run_group_tests_name("work_batch", tests, NULL, NULL);
}
