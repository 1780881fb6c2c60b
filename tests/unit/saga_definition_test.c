/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program is replaced by one whose sagas are defined differently, with sagas under way. What must
 * hold: each ends on the definition that it began with, as long as the program has that; a program
 * that does not have it leaves the saga to an operator, and whoever has the definition can carry it
 * on.
 */

#include "../support/saga_network.h"

#include "saga/definition.h"
#include "saga/show.h"

static void confirm_later(fh_work *w)
{
    fh_exec(w, "UPDATE placed SET status = 'LATER' WHERE id = :id", fh_saga_input(w));
}

/* Like place_steps, except for the end. */
static const fh_step later_steps[] = {
    {"reserve", .each = "items", .call = "products POST /reserve/{id}/{item}",
     .undo = "products POST /release/{id}/{item}"},
    {"charge", .call = "payments POST /charge/{id}/{card}", .undo = "payments POST /refund/{id}",
     .body = "order=id,card", .pivot = true},
    {"confirm", .run = confirm_later},
    {"remember", .call = "products POST /remember/{id}"},
    {0}};

static const fh_service later = {
    .name = "orders",
    .model = FH_RELATIONAL,
    .sagas = {{"place_order", later_steps, .undone = cancel, .version = 2},
              {"place_order", place_steps, .undone = cancel}},
};
static const fh_service later_alone = {
    .name = "orders",
    .model = FH_RELATIONAL,
    .sagas = {{"place_order", later_steps, .undone = cancel, .version = 2}},
};
static const fh_service later_unnumbered = {
    .name = "orders",
    .model = FH_RELATIONAL,
    .sagas = {{"place_order", later_steps, .undone = cancel}},
};

/* The next process of the service runs `program`. */
static void replace(struct fixture *fixture, const fh_service *program)
{
    fixture->contexts[2].service = program;
    restart(fixture);
}

/* Reserved, and not charged: payments are away. */
static void begin(struct fixture *fixture, int number)
{
    fixture->network.away[1] = true;
    place_order(fixture, number, NULL, NULL);
    do
        uv_run(&fixture->harness.loop, UV_RUN_ONCE);
    while (net(fixture, 0, "reserve", "release", number) < 3);
}

static void go_on(struct fixture *fixture)
{
    fixture->network.away[1] = false;
    harness_until(&fixture->harness, no_saga_is_open, fixture);
}

static void a_saga_ends_on_the_definition_it_began_with(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, 1);
    replace(fixture, &later);
    begin(fixture, 2);
    go_on(fixture);
    expect_text(fixture, "SELECT status FROM placed WHERE id = 1", "CONFIRMED");
    expect_text(fixture, "SELECT status FROM placed WHERE id = 2", "LATER");
    assert_int_equal(net(fixture, 0, "count", "-", 1), 1);
    assert_int_equal(net(fixture, 0, "remember", "-", 1), 0);
    assert_int_equal(net(fixture, 0, "count", "-", 2), 0);
    assert_int_equal(net(fixture, 0, "remember", "-", 2), 1);
}

static void expect_parked(struct fixture *fixture, const char *why)
{
    struct looked looked = {.context = &fixture->contexts[2],
                            .sql = "SELECT json_extract(state, '$.why') FROM fh_saga"};
    do
        uv_run(&fixture->harness.loop, UV_RUN_ONCE);
    while (look(fixture, 2, "SELECT status = 'parked' FROM fh_saga") == 0);
    harness_run(&fixture->harness, run_look, &looked);
    assert_non_null(strstr(looked.text, why));
}

static void a_program_without_its_definition_parks_it_and_one_with_it_carries_it_on(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, 1);
    replace(fixture, &later_alone);
    expect_parked(fixture, "began with its version 1");
    struct retried retried = {.fixture = fixture};
    memcpy(retried.birth, fixture->reference, ID_SIZE - 1);
    retried.number = strtoll(fixture->reference + ID_SIZE, NULL, 10);
    harness_run(&fixture->harness, run_retry, &retried);
    assert_int_equal(retried.code, FH_CONFLICT);
    replace(fixture, &later);
    fixture->network.away[1] = false;
    retry(fixture);
    do
        uv_run(&fixture->harness.loop, UV_RUN_ONCE);
    while (look(fixture, 2, "SELECT status = 'ended' FROM fh_saga") == 0);
    expect_text(fixture, "SELECT status FROM placed WHERE id = 1", "CONFIRMED");
}

static void another_definition_of_the_same_version_is_not_its_own(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, 1);
    replace(fixture, &later_unnumbered);
    expect_parked(fixture, "began with its version 1");
}

struct needed {
    struct fixture *fixture;
    json_t *value;
    enum fh_code code;
};

static void run_needed(void *argument)
{
    struct needed *needed = argument;
    needed->code =
        saga_needed(&needed->fixture->contexts[2], &needed->value, &needed->fixture->error);
}

static void what_unfinished_sagas_need_is_told(void **state)
{
    struct fixture *fixture = *state;
    struct needed needed = {.fixture = fixture};
    char digest[SAGA_DIGEST_SIZE];
    begin(fixture, 1);
    begin(fixture, 2);
    replace(fixture, &later);
    begin(fixture, 6); /* its items are there, and its card is good */
    harness_run(&fixture->harness, run_needed, &needed);
    assert_int_equal(needed.code, FH_OK);
    const json_t *all = json_object_get(needed.value, "definitions");
    assert_int_equal(json_array_size(all), 2);
    for (size_t i = 0; i < 2; i++) {
        const json_t *one = json_array_get(all, i);
        saga_definition_digest(&later.sagas[i], digest);
        assert_string_equal(json_string_at(one, "digest"), digest);
        assert_int_equal(json_integer_value(json_object_get(one, "version")), i ? 1 : 2);
        assert_int_equal(json_integer_value(json_object_get(one, "sagas")), i ? 2 : 1);
    }
    json_decref(needed.value);
    go_on(fixture);
    harness_run(&fixture->harness, run_needed, &needed);
    assert_int_equal(json_array_size(json_object_get(needed.value, "definitions")), 0);
    json_decref(needed.value);
}

static void forget_versions(void *argument)
{
    struct fixture *fixture = argument;
    struct store *store = fixture->contexts[2].store;
    struct store_work *work;
    assert_int_equal(store_begin(store, STORE_WRITE, &work, ERROR_UNHEEDED), FH_OK);
    store->engine->sql->script(
        work, "UPDATE fh_saga SET state = json_remove(state, '$.version', '$.digest')",
        ERROR_UNHEEDED);
    assert_int_equal(store_commit(work, ERROR_UNHEEDED), FH_OK);
}

static void sagas_stored_before_there_were_versions_are_known_by_their_steps(void **state)
{
    struct fixture *fixture = *state;
    begin(fixture, 1);
    harness_run(&fixture->harness, stop_manager, fixture);
    harness_until(&fixture->harness, is_quiet, fixture);
    saga_manager_free(fixture->contexts[2].sagas);
    harness_run(&fixture->harness, forget_versions, fixture);
    assert_int_equal(look(fixture, 2, "SELECT count(*) FROM fh_saga WHERE state LIKE '%digest%'"),
                     0);
    fixture->contexts[2].service = &later;
    harness_run(&fixture->harness, start_manager, fixture);
    go_on(fixture);
    expect_text(fixture, "SELECT status FROM placed WHERE id = 1", "CONFIRMED");
}

/* ---- The digest ---- */

static void the_digest_is_of_what_a_saga_rests_on(void **unused)
{
    (void)unused;
    static const fh_step moved[] = {{"charge", .call = "bank POST /charge/{id}",
                                     .undo = "bank POST /refund/{id}", .body = "id", .pivot = true,
                                     .timeout_ms = 7},
                                    {0}};
    static const fh_step first[] = {{"charge", .call = "payments POST /charge/{id}",
                                     .undo = "payments POST /refund/{id}", .body = "id",
                                     .pivot = true},
                                    {0}};
    static const fh_step path[] = {{"charge", .call = "payments POST /pay/{id}",
                                    .undo = "payments POST /refund/{id}", .body = "id",
                                    .pivot = true},
                                   {0}};
    static const fh_step body[] = {{"charge", .call = "payments POST /charge/{id}",
                                    .undo = "payments POST /refund/{id}", .body = "id,card",
                                    .pivot = true},
                                   {0}};
    static const fh_step no[] = {{"charge", .call = "payments POST /charge/{id}",
                                  .undo = "payments POST /refund/{id}", .body = "id", .pivot = true,
                                  .no = {402}},
                                 {0}};
    static const fh_step pivot[] = {{"charge", .call = "payments POST /charge/{id}",
                                     .undo = "payments POST /refund/{id}", .body = "id"},
                                    {0}};
    static const fh_step *const others[] = {path, body, no, pivot};
    char digest[SAGA_DIGEST_SIZE], other[SAGA_DIGEST_SIZE];
    struct fh_saga_definition definition = {"pay", first}, same = {"pay", moved, .deadline_s = 9};
    struct fh_saga_definition undone = {"pay", first, .undone = cancel};
    saga_definition_digest(&definition, digest);
    assert_int_equal(strlen(digest), SAGA_DIGEST_SIZE - 1);
    saga_definition_digest(&same, other);
    assert_string_equal(other, digest);
    saga_definition_digest(&undone, other);
    assert_string_not_equal(other, digest);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct fh_saga_definition changed = {"pay", others[i]};
        saga_definition_digest(&changed, other);
        assert_string_not_equal(other, digest);
    }
}

static void two_definitions_of_one_version_are_refused(void **unused)
{
    (void)unused;
    static const fh_service wrong = {
        .name = "orders",
        .sagas = {{"place_order", later_steps, .version = 1}, {"place_order", place_steps}}};
    struct work_context context = {.service = &wrong};
    struct saga_manager *manager;
    struct fh_error error;
    assert_int_equal(saga_manager_new(&context, &manager, &error), FH_INVALID);
    assert_non_null(strstr(error.message, "two definitions of version 1"));
}

#define STORED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORED(a_saga_ends_on_the_definition_it_began_with),
        STORED(a_program_without_its_definition_parks_it_and_one_with_it_carries_it_on),
        STORED(another_definition_of_the_same_version_is_not_its_own),
        STORED(what_unfinished_sagas_need_is_told),
        STORED(sagas_stored_before_there_were_versions_are_known_by_their_steps),
        cmocka_unit_test(the_digest_is_of_what_a_saga_rests_on),
        cmocka_unit_test(two_definitions_of_one_version_are_refused),
    };
    json_memory_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
