/* SPDX-License-Identifier: Apache-2.0 */
/* A signal interrupts a write or a read after any part of it: nothing is lost, or done twice. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/io.h"

#define LENGTH ((size_t)200000) /* more than a pipe holds */

static unsigned char sent[LENGTH], taken[LENGTH];
static size_t passed; /* by the handler */
static volatile sig_atomic_t signals;
static int ends[2];

/* Takes a part out of the full pipe; what has waited to write into it goes on or is interrupted. */
static void take_part(int signal)
{
    (void)signal;
    signals++;
    ssize_t got = read(ends[0], taken + passed, 9000);
    passed += got > 0 ? (size_t)got : 0;
}

/* Puts a part into the empty pipe, and closes it behind the last one. */
static void put_part(int signal)
{
    (void)signal;
    if (passed == LENGTH)
        return;
    size_t length = LENGTH - passed < 9000 ? LENGTH - passed : 9000;
    ssize_t put = signals++ % 2 ? 0 : write(ends[1], sent + passed, length);
    passed += put > 0 ? (size_t)put : 0;
    if (passed == LENGTH)
        close(ends[1]);
}

static void signal_often(void (*handler)(int))
{
    const struct sigaction action = {.sa_handler = handler}; /* without SA_RESTART */
    const struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    assert_int_equal(setitimer(ITIMER_REAL, handler ? &often : &never, NULL), 0);
    if (handler)
        assert_int_equal(sigaction(SIGALRM, &action, NULL), 0);
}

static void begin_pipe(void)
{
    for (size_t i = 0; i < LENGTH; i++)
        sent[i] = (unsigned char)(i * 31 + i / 251);
    memset(taken, 0, sizeof taken);
    passed = 0;
    signals = 0;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
}

static void what_signals_interrupt_is_written_once_and_whole(void **state)
{
    (void)state;
    begin_pipe();
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    signal_often(take_part);
    assert_true(io_write(ends[1], sent, LENGTH));
    signal_often(NULL);
    assert_true(signals > 0);
    close(ends[1]);
    ssize_t rest = io_read(ends[0], taken + passed, LENGTH - passed);
    assert_int_equal((size_t)rest, LENGTH - passed);
    assert_memory_equal(taken, sent, LENGTH);
    close(ends[0]);
}

static void what_signals_interrupt_is_read_to_its_end(void **state)
{
    (void)state;
    begin_pipe();
    signal_often(put_part);
    ssize_t length = io_read(ends[0], taken, LENGTH);
    signal_often(NULL);
    assert_int_equal(length, LENGTH);
    assert_memory_equal(taken, sent, LENGTH);
    assert_int_equal(io_read(ends[0], taken, LENGTH), 0);
    close(ends[0]);
}

static void no_more_is_read_than_there_is_room_for(void **state)
{
    (void)state;
    begin_pipe();
    assert_true(io_write(ends[1], "abcdef", 6));
    assert_int_equal(io_read(ends[0], taken, 4), 4);
    assert_int_equal(taken[4], 0);
    close(ends[1]);
    assert_int_equal(io_read(ends[0], taken, 4), 2);
    close(ends[0]);
}

static void a_text_takes_all_or_no_more_than_its_bound(void **state)
{
    (void)state;
    struct text text;
    int folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), endless;
    assert_true((endless = open("/dev/zero", O_RDONLY | O_CLOEXEC)) >= 0);
    begin_pipe();
    text_init(&text, LENGTH);
    signal_often(put_part);
    assert_true(io_read_text(ends[0], &text));
    signal_often(NULL);
    assert_false(text.overflow);
    assert_int_equal(text.length, LENGTH);
    assert_memory_equal(text.data, sent, LENGTH);
    assert_false(io_read_text(folder, &text));
    assert_int_equal(errno, EISDIR);
    assert_true(io_read_text(endless, &text));
    assert_true(text.overflow);
    text_release(&text);
    close(endless);
    close(folder);
    close(ends[0]);
}

static void a_failure_is_told_with_its_reason(void **state)
{
    (void)state;
    int full = open("/dev/full", O_RDWR | O_CLOEXEC);
    assert_true(full >= 0);
    assert_false(io_write(full, "x", 1));
    assert_int_equal(errno, ENOSPC);
    close(full);
    int folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(io_read(folder, taken, 4), -1);
    assert_int_equal(errno, EISDIR);
    close(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_signals_interrupt_is_written_once_and_whole),
        cmocka_unit_test(what_signals_interrupt_is_read_to_its_end),
        cmocka_unit_test(no_more_is_read_than_there_is_room_for),
        cmocka_unit_test(a_text_takes_all_or_no_more_than_its_bound),
        cmocka_unit_test(a_failure_is_told_with_its_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
