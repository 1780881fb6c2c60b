/* SPDX-License-Identifier: Apache-2.0 */
/* The unit of work on the embedded engine: what is committed, what leaves no trace, what is
 * rerun. */

#include "../support/fixture.h"

#include <string.h>

#include "base/json.h"
#include "engine/engines.h"

static const fh_service service = {.name = "books", .model = FH_RELATIONAL};

static const char script[] =
    "CREATE TABLE shelf (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
    "CREATE TABLE book (id INTEGER PRIMARY KEY, shelf_id INTEGER NOT NULL REFERENCES shelf (id)"
    "  DEFERRABLE INITIALLY DEFERRED);";

static int set_up(void **state)
{
    return fixture_set_up(state, &service, script);
}

/* One unit of work on a fiber: runs the handler and keeps what came of it. */
struct run {
    struct fixture *fixture;
    fh_handler *handler;
    bool read_only;
    int number;
    enum fh_code code;
    int status;
    char reply[256];
    int runs, released;
    int64_t first_now;
    char first_id[40];
    bool same;
};

static struct run *current; /* what a handler without state of its own looks at */

static void run_work(void *argument)
{
    struct run *run = argument;
    fh_work w;
    work_init(&w, &run->fixture->context, run->handler);
    w.read_only = run->read_only;
    json_arena_set(&w.kept);
    w.body =
        json_pack("{s:i, s:o}", "id", run->number, "name", json_sprintf("shelf %d", run->number));
    json_arena_set(NULL);
    run->code = work_run(&w);
    run->status = w.reply_status;
    if (w.reply_body) {
        char *text = json_text(w.reply_body);
        snprintf(run->reply, sizeof run->reply, "%s", text);
        json_text_free(text);
    }
    work_release(&w);
}

static void one(struct fixture *fixture, struct run *run)
{
    run->fixture = fixture;
    current = run;
    harness_run(&fixture->harness, run_work, run);
}

static void add_shelf(fh_work *w)
{
    fh_reply(w, 201,
             fh_row(w, "INSERT INTO shelf (id, name) VALUES (:id, :name) RETURNING *", fh_body(w)));
}

static void count_shelves(fh_work *w)
{
    fh_reply(w, 200, fh_row(w, "SELECT count(*) AS n FROM shelf"));
}

static long shelves(struct fixture *fixture)
{
    struct run run = {.handler = count_shelves, .read_only = true};
    one(fixture, &run);
    assert_int_equal(run.status, 200);
    long count = -1;
    assert_int_equal(sscanf(run.reply, "{\"n\":%ld}", &count), 1);
    return count;
}

static void a_handler_that_replies_is_committed(void **state)
{
    struct run run = {.handler = add_shelf, .number = 7};
    one(*state, &run);
    assert_int_equal(run.code, FH_OK);
    assert_int_equal(run.status, 201);
    assert_string_equal(run.reply, "{\"id\":7,\"name\":\"shelf 7\"}");
    assert_int_equal(shelves(*state), 1);
}

static void note_release(void *argument)
{
    struct run *run = argument;
    run->released = run->released * 10 + 1;
}

static void note_release_second(void *argument)
{
    struct run *run = argument;
    run->released = run->released * 10 + 2;
}

static void add_and_fail(fh_work *w)
{
    fh_defer(w, note_release, current);
    fh_defer(w, note_release_second, current);
    add_shelf(w);
    fh_fail(w, 409, "The shelf is %s.", "full");
}

static void a_handler_that_fails_leaves_no_trace_and_releases_in_reverse(void **state)
{
    struct run run = {.handler = add_and_fail, .number = 1};
    one(*state, &run);
    assert_int_equal(run.status, 409);
    assert_non_null(strstr(run.reply, "The shelf is full."));
    assert_int_equal(run.released, 21);
    assert_int_equal(shelves(*state), 0);
}

static void constraints_are_answered_with_their_field(void **state)
{
    struct run first = {.handler = add_shelf, .number = 1};
    struct run again = {.handler = add_shelf, .number = 1};
    one(*state, &first);
    one(*state, &again);
    assert_int_equal(again.status, 409);
    assert_non_null(strstr(again.reply, "\"pointer\":\"/id\""));
}

static void writes_in_get(fh_work *w)
{
    fh_exec(w, "INSERT INTO shelf (id, name) VALUES (:id, :name)", fh_body(w));
}

static void a_handler_of_get_cannot_write(void **state)
{
    struct run run = {.handler = writes_in_get, .read_only = true, .number = 1};
    one(*state, &run);
    assert_int_equal(run.status, 500);
    assert_int_equal(shelves(*state), 0);
}

static void misses_a_name(fh_work *w)
{
    fh_exec(w, "INSERT INTO shelf (id, name) VALUES (:id, :title)", fh_body(w));
}

static void a_missing_name_is_the_programs_fault(void **state)
{
    struct run run = {.handler = misses_a_name, .number = 1};
    one(*state, &run);
    assert_int_equal(run.status, 500);
}

static void asks_too_late(fh_work *w)
{
    add_shelf(w);
    work_must_be_asking(w, "fh_get");
}

static void asking_after_the_store_was_used_is_refused(void **state)
{
    struct run run = {.handler = asks_too_late, .number = 1};
    one(*state, &run);
    assert_int_equal(run.status, 500);
    assert_int_equal(shelves(*state), 0);
}

static void breaks_the_group(fh_work *w)
{
    struct run *run = current;
    fh_exec(w, "INSERT INTO shelf (id, name) VALUES (:id, :name)", fh_body(w));
    run->runs++;
    fh_exec(w, "INSERT OR ROLLBACK INTO shelf (id, name) VALUES (:id, :name)", fh_body(w));
}

/* One unit of work whose statement rolls back the whole transaction, among others in its group. */
static void a_broken_group_takes_no_other_unit_of_work_with_it(void **state)
{
    struct fixture *fixture = *state;
    static struct run runs[64];
    void *arguments[64];
    memset(runs, 0, sizeof runs);
    for (int i = 0; i < 64; i++) {
        runs[i] = (struct run){.fixture = fixture, .handler = add_shelf, .number = i + 1};
        arguments[i] = &runs[i];
    }
    runs[40].handler = breaks_the_group;
    current = &runs[40];
    harness_run_all(&fixture->harness, run_work, arguments, 64);
    for (int i = 0; i < 64; i++)
        assert_int_equal(runs[i].status, i == 40 ? 409 : 201);
    assert_int_equal(runs[40].runs, 3); /* twice in a group, once exclusively */
    assert_int_equal(shelves(fixture), 63);
}

static void fills_the_disk(fh_work *w)
{
    struct run *run = current;
    run->runs++;
    fh_exec(w, "INSERT INTO shelf (id, name) VALUES (:id, :name)", fh_body(w));
    fh_exec(w, "INSERT INTO shelf (id, name) VALUES (1000, hex(zeroblob(4000000)))");
}

static void bound_pages(void *argument)
{
    struct fixture *fixture = argument;
    struct store_work *work;
    fixture->code =
        store_begin(fixture->context.store, STORE_WRITE_EXCLUSIVE, &work, &fixture->error);
    if (fixture->code != FH_OK)
        return;
    fixture->code = fixture->context.store->engine->sql->script(work, "PRAGMA max_page_count = 200",
                                                                &fixture->error);
    store_rollback(work);
}

/* Schedule 21. */
static void a_work_that_fills_the_disk_takes_no_other_with_it(void **state)
{
    struct fixture *fixture = *state;
    static struct run runs[64];
    void *arguments[64];
    harness_run(&fixture->harness, bound_pages, fixture);
    assert_int_equal(fixture->code, FH_OK);
    memset(runs, 0, sizeof runs);
    for (int i = 0; i < 64; i++) {
        runs[i] = (struct run){.fixture = fixture, .handler = add_shelf, .number = i + 1};
        arguments[i] = &runs[i];
    }
    runs[20].handler = fills_the_disk;
    current = &runs[20];
    harness_run_all(&fixture->harness, run_work, arguments, 64);
    for (int i = 0; i < 64; i++)
        assert_int_equal(runs[i].status, i == 20 ? 503 : 201);
    assert_non_null(strstr(runs[20].reply, "is not available now"));
    assert_null(strstr(runs[20].reply, "disk")); /* that is for the log */
    assert_int_equal(shelves(fixture), 63);
}

static void leaves_a_constraint_open(fh_work *w)
{
    fh_exec(w, "INSERT INTO book (id, shelf_id) VALUES (:id, 999)", fh_body(w));
}

static void open_a_constraint_among_others(struct fixture *fixture, int first)
{
    static struct run runs[64];
    void *arguments[64];
    memset(runs, 0, sizeof runs);
    for (int i = 0; i < 64; i++) {
        runs[i] = (struct run){.fixture = fixture, .handler = add_shelf, .number = first + i};
        arguments[i] = &runs[i];
    }
    runs[10].handler = leaves_a_constraint_open;
    harness_run_all(&fixture->harness, run_work, arguments, 64);
    for (int i = 0; i < 64; i++)
        assert_int_equal(runs[i].status, i == 10 ? 409 : 201);
}

/* Schedule 21. Those before it run again the first time; from then on there are savepoints. */
static void an_open_constraint_fails_its_own_work_alone(void **state)
{
    struct fixture *fixture = *state;
    open_a_constraint_among_others(fixture, 1);
    assert_int_equal(fixture->context.counters.reruns, 10);
    assert_int_equal(shelves(fixture), 63);
    open_a_constraint_among_others(fixture, 1001);
    assert_int_equal(fixture->context.counters.reruns, 10);
    assert_int_equal(shelves(fixture), 126);
}

static void refuses_before_it_changes(fh_work *w)
{
    if (fh_exec_count(w, "UPDATE shelf SET name = 'other' WHERE id = -1") == 0)
        fh_fail(w, 409, "There is no such shelf.");
}

static void a_work_that_fails_without_a_change_costs_no_other_anything(void **state)
{
    struct fixture *fixture = *state;
    static struct run runs[64];
    void *arguments[64];
    memset(runs, 0, sizeof runs);
    for (int i = 0; i < 64; i++) {
        runs[i] = (struct run){.fixture = fixture,
                               .handler = i % 2 ? refuses_before_it_changes : add_shelf,
                               .number = i + 1};
        arguments[i] = &runs[i];
    }
    harness_run_all(&fixture->harness, run_work, arguments, 64);
    for (int i = 0; i < 64; i++)
        assert_int_equal(runs[i].status, i % 2 ? 409 : 201);
    assert_int_equal(fixture->context.counters.reruns, 0);
    assert_int_equal(shelves(fixture), 32);
}

static void remembers(fh_work *w)
{
    struct run *run = current;
    const char *id = fh_id_new(w);
    if (run->runs++ == 0) {
        run->first_now = fh_now_ms(w);
        snprintf(run->first_id, sizeof run->first_id, "%s", id);
    } else {
        run->same = run->first_now == fh_now_ms(w) && strcmp(run->first_id, id) == 0;
    }
    fh_exec(w, "INSERT INTO shelf (id, name) VALUES (:id, :name)", fh_body(w));
}

static void a_rerun_gets_the_same_time_and_randomness(void **state)
{
    struct fixture *fixture = *state;
    struct run breaking = {.fixture = fixture, .handler = breaks_the_group, .number = 1};
    struct run remembering = {.fixture = fixture, .handler = remembers, .number = 2};
    void *arguments[] = {&remembering, &breaking};
    current = &remembering;
    harness_run_all(&fixture->harness, run_work, arguments, 2);
    assert_int_equal(remembering.status, 204);
    assert_true(remembering.runs >= 2);
    assert_true(remembering.same);
}

/* ---- batches ---- */

static int asked, asked_before_first_write;

static void subscribes(fh_work *w)
{
    asked++;
    fiber_yield(); /* as a call to another service would */
    json_int_t id = json_integer_value(json_object_get(w->body, "id"));
    fh_exec(w, "INSERT INTO shelf (id, name) VALUES (:id, :name)", fh_body(w));
    if (!asked_before_first_write)
        asked_before_first_write = asked;
    if (id == 666)
        fh_fail(w, 422, "Not this one.");
}

struct batch {
    struct fixture *fixture;
    int ids[8];
    enum fh_code code;
    int failed;
};

static void run_batch(void *argument)
{
    struct batch *batch = argument;
    fh_work works[8], *pointers[8];
    for (int i = 0; i < 8; i++) {
        work_init(&works[i], &batch->fixture->context, subscribes);
        json_arena_set(&works[i].kept);
        works[i].body =
            json_pack("{s:i, s:o}", "id", batch->ids[i], "name", json_sprintf("%d", batch->ids[i]));
        json_arena_set(NULL);
        pointers[i] = &works[i];
    }
    batch->code = work_batch(&batch->fixture->context, pointers, 8, NULL, NULL, &batch->failed,
                             &batch->fixture->error);
    for (int i = 0; i < 8; i++)
        work_release(&works[i]);
}

static void a_batch_queries_concurrently_and_commits_once(void **state)
{
    struct batch batch = {.fixture = *state, .ids = {1, 2, 3, 4, 5, 6, 7, 8}};
    asked = asked_before_first_write = 0;
    harness_run(&batch.fixture->harness, run_batch, &batch);
    assert_int_equal(batch.code, FH_OK);
    assert_int_equal(asked_before_first_write, 8);
    assert_int_equal(shelves(*state), 8);
}

static void a_batch_with_one_that_fails_leaves_no_trace(void **state)
{
    struct batch batch = {.fixture = *state, .ids = {1, 2, 3, 666, 5, 6, 7, 8}};
    harness_run(&batch.fixture->harness, run_batch, &batch);
    assert_int_not_equal(batch.code, FH_OK);
    assert_int_equal(batch.failed, 3);
    assert_int_equal(shelves(*state), 0);
    struct run after = {.handler = add_shelf, .number = 1};
    one(*state, &after);
    assert_int_equal(after.status, 201);
}

static void reopen(void *argument)
{
    struct fixture *fixture = argument;
    struct store_options options = {
        .service = "books", .folder = fixture->harness.folder, .model = FH_RELATIONAL};
    fixture->code = engine_embedded()->store->open(&options, fixture->harness.world,
                                                   &fixture->context.store, &fixture->error);
}

static void a_store_in_use_refuses_a_second_process_and_reopens_as_it_was(void **state)
{
    struct fixture *fixture = *state;
    struct run run = {.handler = add_shelf, .number = 1};
    char incarnation[ID_SIZE];
    one(fixture, &run);
    struct store *open = fixture->context.store;
    memcpy(incarnation, open->incarnation, sizeof incarnation);
    harness_run(&fixture->harness, reopen, fixture);
    assert_int_equal(fixture->code, FH_UNAVAILABLE);
    store_close(open);
    harness_run(&fixture->harness, reopen, fixture);
    assert_int_equal(fixture->code, FH_OK);
    assert_string_equal(fixture->context.store->incarnation, incarnation);
    assert_int_equal(shelves(fixture), 1);
}

#define WORK_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fixture_tear_down)

/* ---- what a handler can't do ---- */

static const char *statement;

static void runs_a_statement(fh_work *w)
{
    fh_exec(w, "INSERT INTO shelf (id, name) VALUES (:id, :name)", fh_body(w));
    fh_exec(w, statement);
}

static void a_handler_can_not_end_the_group_it_is_in(void **state)
{
    struct fixture *fixture = *state;
    static const char *const statements[] = {
        "COMMIT",       "commit;", " /* now */ ROLLBACK", "-- now\nEND", "SAVEPOINT mine",
        "RELEASE work", "BEGIN",   "PRAGMA synchronous=0"};
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++) {
        statement = statements[i];
        struct run runs[3] = {{.handler = add_shelf, .number = 2 * (int)i + 1},
                              {.handler = runs_a_statement, .number = 100},
                              {.handler = add_shelf, .number = 2 * (int)i + 2}};
        void *arguments[3];
        for (int j = 0; j < 3; j++) {
            runs[j].fixture = fixture;
            arguments[j] = &runs[j];
        }
        harness_run_all(&fixture->harness, run_work, arguments, 3);
        assert_int_equal(runs[0].status, 201);
        assert_int_equal(runs[1].status, 500);
        assert_int_equal(runs[2].status, 201);
        assert_int_equal(shelves(fixture), 2 * (long)(i + 1));
    }
}

static void a_handler_can_not_attach_another_store(void **state)
{
    struct fixture *fixture = *state;
    static const char *const statements[] = {"ATTACH DATABASE ':memory:' AS other",
                                             " /* now */ attach ':memory:' as other",
                                             "VACUUM INTO '/dev/null'"};
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++) {
        statement = statements[i];
        struct run run = {.handler = runs_a_statement, .number = 1};
        one(fixture, &run);
        assert_int_equal(run.status, 500);
        assert_int_equal(shelves(fixture), 0);
    }
}

static void run_script(void *argument)
{
    struct fixture *fixture = argument;
    struct store_work *work;
    fixture->code =
        store_begin(fixture->context.store, STORE_WRITE_EXCLUSIVE, &work, &fixture->error);
    if (fixture->code != FH_OK)
        return;
    fixture->code = fixture->context.store->engine->sql->script(
        work, "INSERT INTO shelf VALUES (1, 'one'); COMMIT; BEGIN;", &fixture->error);
    store_rollback(work);
}

static void a_migration_can_not_end_its_transaction_and_begin_another(void **state)
{
    struct fixture *fixture = *state;
    harness_run(&fixture->harness, run_script, fixture);
    assert_int_equal(fixture->code, FH_UNSUPPORTED);
    assert_non_null(strstr(fixture->error.message, "transaction"));
    assert_int_equal(shelves(fixture), 0);
}

static const char *header_name, *header_value;

static void answers_with_a_header(fh_work *w)
{
    fh_exec(w, "INSERT INTO shelf (id, name) VALUES (:id, :name)", fh_body(w));
    fh_reply_header(w, header_name, header_value);
}

static void a_header_that_can_not_be_sent_ends_the_unit_of_work_before_its_commit(void **state)
{
    struct fixture *fixture = *state;
    static const char *const unfit[][2] = {
        {"", "x"},        {"Two words", "x"},         {"X-Split", "a\r\nX-More: b"},
        {"X-Empty", ""},  {"Content-Length", "1"},    {"Freehold-Outcome", "done"},
        {"X\nName", "x"}, {"transfer-encoding", "x"}, {"X-Tab", "a\tb"}};
    for (size_t i = 0; i < sizeof unfit / sizeof unfit[0]; i++) {
        header_name = unfit[i][0];
        header_value = unfit[i][1];
        struct run run = {.handler = answers_with_a_header, .number = 1};
        one(fixture, &run);
        assert_int_equal(run.status, 500);
        assert_int_equal(shelves(fixture), 0);
    }
    header_name = "X-Shelf";
    header_value = "number 1";
    struct run run = {.handler = answers_with_a_header, .number = 1};
    one(fixture, &run);
    assert_int_equal(run.status, 204);
    assert_int_equal(shelves(fixture), 1);
}

/* jansson returns NULL, and takes NULL for nothing. */
static void makes_too_much(fh_work *w)
{
    fh_exec(w, "INSERT INTO shelf (id, name) VALUES (:id, :name)", fh_body(w));
    json_t *texts = json_array();
    char *text = memset(work_alloc(w, (1 << 20) + 1), 'x', 1 << 20);
    for (int i = 0; i < 100; i++)
        json_array_append_new(texts, json_string(text));
    fh_reply(w, 200, texts);
}

static void an_answer_that_memory_has_cut_is_not_sent(void **state)
{
    struct fixture *fixture = *state;
    struct run run = {.handler = makes_too_much, .number = 1};
    one(fixture, &run);
    assert_int_equal(run.status, 503);
    assert_non_null(strstr(run.reply, "urn:freehold:problem:overloaded"));
    assert_int_equal(shelves(fixture), 0);
}

/* Each byte is escaped as six. */
static void answers_with_control_characters(fh_work *w)
{
    fh_exec(w, "INSERT INTO shelf (id, name) VALUES (:id, :name)", fh_body(w));
    size_t length = (size_t)6 << 20;
    fh_reply(w, 200, json_string(memset(work_alloc(w, length + 1), 1, length)));
}

static void an_answer_that_is_too_long_ends_the_unit_of_work_before_its_commit(void **state)
{
    struct fixture *fixture = *state;
    struct run run = {.handler = answers_with_control_characters, .number = 1};
    one(fixture, &run);
    assert_int_equal(run.status, 500);
    assert_int_equal(shelves(fixture), 0);
}

static void holds_the_store(struct run *run)
{
    struct fixture *fixture = run->fixture;
    struct store_work *work;
    run->code = store_begin(fixture->context.store, STORE_WRITE, &work, &fixture->error);
    if (run->code != FH_OK)
        return;
    fiber_sleep_until(fixture->context.world, run->first_now);
    run->code = store_commit(work, &fixture->error);
}

static void holds_or_comes_late(void *argument)
{
    struct run *run = argument;
    fh_work w;
    if (!run->handler) {
        holds_the_store(run);
        return;
    }
    work_init(&w, &run->fixture->context, run->handler);
    w.deadline_ns = run->first_now;
    json_arena_set(&w.kept);
    w.body = json_pack("{s:i, s:s}", "id", run->number, "name", "late");
    json_arena_set(NULL);
    run->code = work_run(&w);
    run->status = w.reply_status;
    work_release(&w);
}

static void a_unit_of_work_whose_deadline_passed_while_the_store_was_busy_does_nothing(void **state)
{
    struct fixture *fixture = *state;
    int64_t soon = world_in_ms(fixture->context.world, 50);
    struct run holder = {.fixture = fixture, .first_now = soon};
    struct run late = {.fixture = fixture, .handler = add_shelf, .first_now = soon, .number = 1};
    harness_run_all(&fixture->harness, holds_or_comes_late, (void *[]){&holder, &late}, 2);
    assert_int_equal(holder.code, FH_OK);
    assert_int_equal(late.status, 503);
    assert_int_equal(shelves(fixture), 0);
}

/* Of the run or of what outlives it; as a hook of the outbox may meet it, or what came before. */
static enum fh_code run_out_of_memory(fh_work *w, void *argument, struct fh_error *error)
{
    struct arena *arena = argument;
    (void)w, (void)error;
    assert_null(arena_try_alloc(arena, arena->size_max + 1));
    return FH_OK;
}

static void add_shelf_and_publish_without_memory(fh_work *w)
{
    add_shelf(w);
    work_on_end(w, run_out_of_memory, NULL, current->same ? &w->arena : &w->kept);
}

/* jansson leaves out a member, and does not say so: an event or a record would lack it. */
static void what_memory_was_lacking_for_is_never_committed(void **state)
{
    for (int i = 0; i < 2; i++) {
        struct run run = {
            .handler = add_shelf_and_publish_without_memory, .number = 1, .same = i == 0};
        one(*state, &run);
        assert_int_equal(run.code, FH_NO_MEMORY);
        assert_int_equal(run.status, 503);
        assert_int_equal(shelves(*state), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORK_TEST(what_memory_was_lacking_for_is_never_committed),
        WORK_TEST(a_handler_that_replies_is_committed),
        WORK_TEST(a_handler_that_fails_leaves_no_trace_and_releases_in_reverse),
        WORK_TEST(constraints_are_answered_with_their_field),
        WORK_TEST(a_handler_of_get_cannot_write),
        WORK_TEST(a_missing_name_is_the_programs_fault),
        WORK_TEST(asking_after_the_store_was_used_is_refused),
        WORK_TEST(a_broken_group_takes_no_other_unit_of_work_with_it),
        WORK_TEST(a_work_that_fills_the_disk_takes_no_other_with_it),
        WORK_TEST(an_open_constraint_fails_its_own_work_alone),
        WORK_TEST(a_work_that_fails_without_a_change_costs_no_other_anything),
        WORK_TEST(a_rerun_gets_the_same_time_and_randomness),
        WORK_TEST(a_batch_queries_concurrently_and_commits_once),
        WORK_TEST(a_batch_with_one_that_fails_leaves_no_trace),
        WORK_TEST(a_handler_can_not_end_the_group_it_is_in),
        WORK_TEST(a_handler_can_not_attach_another_store),
        WORK_TEST(a_migration_can_not_end_its_transaction_and_begin_another),
        WORK_TEST(a_header_that_can_not_be_sent_ends_the_unit_of_work_before_its_commit),
        WORK_TEST(an_answer_that_memory_has_cut_is_not_sent),
        WORK_TEST(an_answer_that_is_too_long_ends_the_unit_of_work_before_its_commit),
        WORK_TEST(a_unit_of_work_whose_deadline_passed_while_the_store_was_busy_does_nothing),
        WORK_TEST(a_store_in_use_refuses_a_second_process_and_reopens_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
