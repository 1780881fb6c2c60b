/* SPDX-License-Identifier: Apache-2.0 */
/* Records of commands that are too many to be kept until their group's commit are written at once.
 */

#include "../support/embedded.h"

#include <string.h>

#include "store/ledger.h"

#define CALLER "client POST /orders"
#define RECORDS 8

static const char *const keys[RECORDS] = {"a", "b", "c", "d", "e", "f", "g", "h"};

struct fixture {
    struct harness harness;
    struct store *store;
    struct store_work *work;
    struct fh_error error;
};

static void begin_writing(struct fixture *fixture)
{
    assert_int_equal(store_begin(fixture->store, STORE_WRITE, &fixture->work, &fixture->error),
                     FH_OK);
}

static void expect_records(struct fixture *fixture, const char *answer)
{
    struct arena arena;
    arena_init(&arena, ARENA_SIZE_MAX);
    for (int i = 0; i < RECORDS; i++) {
        struct ledger_command record;
        assert_int_equal(
            ledger_command_get(fixture->work, &arena, CALLER, keys[i], &record, &fixture->error),
            FH_OK);
        assert_string_equal(record.answer, answer);
    }
    arena_release(&arena);
}

static void record_large_ones(void *argument)
{
    static char answer[1 << 20];
    struct fixture *fixture = argument;
    memset(answer, ' ', sizeof answer - 1);
    assert_int_equal(
        embedded_open(&fixture->harness, fixture->harness.folder, &fixture->store, &fixture->error),
        FH_OK);
    begin_writing(fixture);
    for (int i = 0; i < RECORDS; i++) {
        struct ledger_command record = {.caller = CALLER,
                                        .key = keys[i],
                                        .birth = "",
                                        .outcome = LEDGER_DONE,
                                        .digest = "",
                                        .answer = answer};
        assert_int_equal(ledger_command_put(fixture->work, &record, &fixture->error), FH_OK);
    }
    expect_records(fixture, answer);
    assert_int_equal(store_commit(fixture->work, &fixture->error), FH_OK);
    begin_writing(fixture);
    expect_records(fixture, answer);
    store_rollback(fixture->work);
    store_close(fixture->store);
}

static void a_record_that_can_not_be_kept_is_written_at_once(void **state)
{
    struct fixture fixture = {.store = NULL};
    (void)state;
    harness_init(&fixture.harness);
    harness_run(&fixture.harness, record_large_ones, &fixture);
    harness_release(&fixture.harness);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_that_can_not_be_kept_is_written_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
