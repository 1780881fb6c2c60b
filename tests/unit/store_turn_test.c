/* SPDX-License-Identifier: Apache-2.0 */
/* Turns between processes of one machine: who has one, who wants it, and who died with it. */

#define _GNU_SOURCE
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/turn.h"

static struct harness harness;
static struct store_turn *turns[2];
static int stirs[2];
static char path[128];

static void on_stirred(void *context)
{
    ++*(int *)context;
}

static int set_up(void **state)
{
    (void)state;
    harness_init(&harness);
    snprintf(path, sizeof path, "%s/" TURN_FILE, harness.folder);
    for (int i = 0; i < 2; i++) {
        stirs[i] = 0;
        assert_int_equal(
            store_turn_open(harness.world, path, on_stirred, &stirs[i], &turns[i], ERROR_UNHEEDED),
            FH_OK);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++)
        store_turn_close(turns[i]);
    harness_release(&harness);
    return 0;
}

static bool is_stirred(void *argument)
{
    return *(int *)argument > 0;
}

static void until_stirred(int *count)
{
    harness_until(&harness, is_stirred, count);
    *count = 0;
}

static void one_has_it_at_a_time(void **state)
{
    (void)state;
    int64_t mark;
    assert_true(store_turn_is_free(turns[0]));
    assert_true(store_turn_take(turns[0], &mark));
    assert_true(mark == TURN_UNCLEAN); /* nobody has had it yet: the content may be anything */
    assert_false(store_turn_is_free(turns[1]));
    assert_false(store_turn_take(turns[1], &mark));
    store_turn_give(turns[0], 7);
    assert_true(store_turn_take(turns[1], &mark));
    assert_true(mark == 7);
    assert_false(store_turn_take(turns[0], &mark));
    store_turn_give(turns[1], TURN_UNCLEAN);
    assert_true(store_turn_take(turns[0], &mark));
    assert_true(mark == TURN_UNCLEAN);
}

static void the_owner_is_notified_that_it_is_wanted_and_a_waiter_that_it_is_free(void **state)
{
    (void)state;
    int64_t mark;
    assert_true(store_turn_take(turns[0], &mark));
    assert_false(store_turn_is_wanted(turns[0]));
    stirs[0] = 0;
    store_turn_want(turns[1], true);
    until_stirred(&stirs[0]);
    assert_true(store_turn_is_wanted(turns[0]));
    assert_false(store_turn_is_wanted(turns[1])); /* by another one */
    until_stirred(&stirs[1]);                     /* its own */
    store_turn_give(turns[0], 7);
    until_stirred(&stirs[1]);
    assert_true(store_turn_take(turns[1], &mark));
    store_turn_want(turns[1], false);
    assert_false(store_turn_is_wanted(turns[0]));
}

static void who_closes_it_in_the_middle_has_died_with_it(void **state)
{
    (void)state;
    int64_t mark;
    assert_true(store_turn_take(turns[0], &mark));
    store_turn_give(turns[0], 7);
    assert_true(store_turn_take(turns[1], &mark) && mark == 7);
    store_turn_want(turns[1], true);
    store_turn_close(turns[1]);
    turns[1] = NULL;
    assert_false(store_turn_is_wanted(turns[0]));
    assert_true(store_turn_take(turns[0], &mark) && mark == TURN_UNCLEAN);
}

static void take_until_killed(int told)
{
    struct harness own;
    struct store_turn *turn;
    int64_t mark;
    harness_init(&own);
    if (store_turn_open(own.world, path, on_stirred, &stirs[0], &turn, ERROR_UNHEEDED) != FH_OK ||
        !store_turn_take(turn, &mark) || write(told, "t", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

static void a_paused_owner_still_has_it_and_a_killed_one_has_not(void **state)
{
    (void)state;
    int told[2];
    char byte;
    int64_t mark;
    assert_true(store_turn_take(turns[0], &mark));
    store_turn_give(turns[0], 7);
    assert_int_equal(pipe(told), 0);
    pid_t pid = fork();
    if (pid == 0)
        take_until_killed(told[1]);
    assert_int_equal(close(told[1]), 0);
    assert_int_equal(read(told[0], &byte, 1), 1);
    close(told[0]);
    assert_int_equal(kill(pid, SIGSTOP), 0);
    assert_int_equal(waitpid(pid, NULL, WUNTRACED), pid);
    assert_false(store_turn_take(turns[0], &mark));
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(store_turn_take(turns[0], &mark));
    assert_true(mark == TURN_UNCLEAN);
}

static void what_can_not_be_opened_is_named(void **state)
{
    (void)state;
    char other[160];
    struct fh_error error;
    struct store_turn *turn = NULL;
    snprintf(other, sizeof other, "%s/link", harness.folder);
    assert_int_equal(symlink("/dev/null", other), 0);
    assert_int_equal(store_turn_open(harness.world, other, on_stirred, NULL, &turn, &error),
                     FH_UNAVAILABLE);
    assert_non_null(strstr(error.message, "link can't be opened"));
    assert_null(turn);
}

/* One descriptor is left: for the file. */
static void without_a_watch_it_is_a_turn_all_the_same(void **state)
{
    (void)state;
    int64_t mark;
    struct rlimit before, tight;
    struct store_turn *turn = NULL;
    int next = dup(STDOUT_FILENO);
    assert_true(next >= 0 && close(next) == 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = (struct rlimit){.rlim_cur = (rlim_t)next + 1, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    enum fh_code code =
        store_turn_open(harness.world, path, on_stirred, NULL, &turn, ERROR_UNHEEDED);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(code, FH_OK);
    assert_false(store_turn_is_watched(turn));
    assert_true(store_turn_is_watched(turns[0]));
    assert_true(store_turn_take(turn, &mark));
    assert_false(store_turn_take(turns[0], &mark));
    store_turn_close(turn);
    assert_true(store_turn_take(turns[0], &mark));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    static const struct CMUnitTest tests[] = {
        CASE(one_has_it_at_a_time),
        CASE(the_owner_is_notified_that_it_is_wanted_and_a_waiter_that_it_is_free),
        CASE(who_closes_it_in_the_middle_has_died_with_it),
        CASE(a_paused_owner_still_has_it_and_a_killed_one_has_not),
        CASE(what_can_not_be_opened_is_named),
        CASE(without_a_watch_it_is_a_turn_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
