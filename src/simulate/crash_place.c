/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs here runs in a process that ends anyway, and whose memory may be in any state: whatever
 * goes wrong while it looks ends it by the same signal, with less said.
 */

#define _GNU_SOURCE
#include "simulate/crash_place.h"

#include <execinfo.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/backtrace.h"
#include "base/symbol.h"
#include "service/sanitized.h"
#include "simulate/world.h"

#define FRAMES_MAX 64
#define NAMES_MAX 8
#define STACK_SIZE ((size_t)256 << 10) /* a fiber's own may be what is used up */

static const struct simulate *watched;
static struct run_result *told;

/* What calls handlers: what called that in turn says nothing of the fault. */
static bool calls_handlers(const char *name)
{
    return strcmp(name, "work_handler_run") == 0;
}

static void on_fatal_signal(int number)
{
    void *frames[FRAMES_MAX];
    char name[SYMBOL_SIZE], names[RUN_FAILURE_SIZE] = "";
    int count = backtrace(frames, FRAMES_MAX), shown = 0;
    for (int i = 1; i < count && shown < NAMES_MAX; i++) {
        /* The address is that of the next instruction, which may be the next function's. */
        if (!symbol_name_own((const char *)frames[i] - 1, name) ||
            strcmp(name, "on_fatal_signal") == 0 || strcmp(name, "error_assertion_failed") == 0)
            continue;
        if (calls_handlers(name))
            break;
        size_t used = strlen(names);
        snprintf(names + used, sizeof names - used, "%s%s", shown++ ? ", called by " : "", name);
    }
    snprintf(told->crash, sizeof told->crash, "%s crashed (%s)%s%.*s",
             watched->running ? watched->running->name : "the test", strsignal(number),
             shown ? " in " : "", RUN_FAILURE_SIZE / 2, names);
}

void crash_place_watch(const struct simulate *simulate, struct run_result *result)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    void *first;
    if (SANITIZED)
        return; /* the sanitizer says it better */
    stack_t stack = {.ss_sp = malloc(STACK_SIZE), .ss_size = STACK_SIZE};
    if (!stack.ss_sp || sigaltstack(&stack, NULL) != 0)
        return;
    backtrace_install(NULL); /* once for a process: what a program does stays below this */
    backtrace(&first, 1);    /* loads what it needs */
    watched = simulate;
    told = result;
    struct sigaction action = {.sa_handler = on_fatal_signal,
                               .sa_flags = (int)(SA_ONSTACK | SA_RESETHAND)};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaction(signals[i], &action, NULL);
}
