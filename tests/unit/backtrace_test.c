/* SPDX-License-Identifier: Apache-2.0 */
/* A process that crashes says so, whichever of its threads it is. */

#include "../support/harness.h"
#include "../support/skip.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/backtrace.h"
#include "broker/worker.h"

static void *crash(void *unused)
{
    (void)unused;
    raise(SIGSEGV);
    return NULL;
}

static _Noreturn void crash_in_a_thread(int said)
{
    dup2(said, STDERR_FILENO);
    alarm(20);
    backtrace_install(NULL);
    if (broker_thread_start(crash, NULL) == 0) {
        for (;;)
            pause();
    }
    _exit(1);
}

static void a_thread_beside_the_loops_says_that_it_crashes(void **state)
{
    int said[2], status;
    char text[8192];
    size_t length = 0;
    ssize_t count;
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    SKIP_BECAUSE("a sanitizer reports crashes itself");
#endif
    assert_int_equal(pipe(said), 0);
    pid_t pid = fork();
    if (pid == 0)
        crash_in_a_thread(said[1]);
    assert_true(pid > 0);
    close(said[1]);
    while ((count = read(said[0], text + length, sizeof text - 1 - length)) > 0)
        length += (size_t)count;
    text[length] = '\0';
    close(said[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
    assert_non_null(strstr(text, "SIGSEGV"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_beside_the_loops_says_that_it_crashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
