/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_STARVED_H
#define TESTS_STARVED_H

/*
 * What becomes of a process that gets no memory any more, not a byte: in one of its own.
 */

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "service/sanitized.h"
#include "skip.h"

static inline void take_all_memory(void)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_AS, &none);
    for (size_t size = (size_t)1 << 20; size > 0; size /= 2) {
        while (malloc(size) != NULL)
            ;
    }
}

/* The signal by which it ended; 0: it came to its end; below: so it said itself. */
static inline int ended_without_memory(void (*run)(void))
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit none = {0, 0};
        signal(SIGABRT, SIG_DFL);
        setrlimit(RLIMIT_CORE, &none);
        close(STDERR_FILENO);
        take_all_memory();
        run();
        _exit(0);
    }
    if (waitpid(pid, &status, 0) != pid)
        return -1;
    return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

#endif
