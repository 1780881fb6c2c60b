/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handler runs on a stack of its own, since the crash may be that of a stack. glibc's backtrace
 * needs libgcc, which it loads when it is first called: so it is called once beforehand. From then
 * on it finds frames by _dl_find_object, which takes no lock (glibc 2.35).
 */

#define _GNU_SOURCE
#include "base/backtrace.h"

#include <execinfo.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/doing.h"
#include "base/log.h"
#include "base/symbol.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define BACKTRACE_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BACKTRACE_SANITIZED 1
#endif

#define FRAMES_MAX 48
#define STACK_SIZE ((size_t)64 << 10)
#define TEXT_SIZE 1024

static const char *(*explain_address)(const void *address);
static pid_t loop_thread;

#ifndef BACKTRACE_SANITIZED
static const struct {
    int number;
    const char *name;
} crashes[] = {{SIGSEGV, "SIGSEGV"},
               {SIGBUS, "SIGBUS"},
               {SIGFPE, "SIGFPE"},
               {SIGILL, "SIGILL"},
               {SIGABRT, "SIGABRT"}};

static void report_add(char *text, const char *more)
{
    size_t used = strlen(text);
    for (; *more && used < TEXT_SIZE - 1; more++)
        text[used++] = *more;
    text[used] = '\0';
}

static void report_head(int number, const siginfo_t *info)
{
    char text[TEXT_SIZE] = "", place[SYMBOL_SIZE];
    const char *name = "a signal", *why = NULL;
    for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++) {
        if (crashes[i].number == number)
            name = crashes[i].name;
    }
    if (explain_address && number == SIGSEGV)
        why = explain_address(info->si_addr);
    const struct doing *doing = atomic_load_explicit(&doing_now, memory_order_relaxed);
    report_add(text, why ? why : name);
    if (!why && (number == SIGSEGV || number == SIGBUS)) {
        report_add(text, " at ");
        report_add(text, symbol_place(info->si_addr, place));
    }
    if (gettid() != loop_thread) {
        report_add(text, ", in a thread of the pool");
    } else if (doing) {
        report_add(text, ", in ");
        report_add(text, doing->what);
        report_add(text, doing->handler[0] ? ", handler " : "");
        report_add(text, doing->handler);
    }
    report_add(text, "; ending");
    log_signal_safe(LOG_LEVEL_ERROR, "process-crashed", text);
}

/* Where it crashed; NULL: not known for this machine. */
static void *crash_place(const void *context)
{
    const ucontext_t *crashed = context;
#if defined(__x86_64__)
    return (void *)(uintptr_t)crashed->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (void *)(uintptr_t)crashed->uc_mcontext.pc;
#else
    (void)crashed;
    return NULL;
#endif
}

/* From the place of the crash on. All others are where a call returns to, perhaps behind the end of
 * the function that called: so what is looked up is the byte before. */
static void report_frames(const void *context)
{
    void *frames[FRAMES_MAX], *crashed = crash_place(context);
    char text[TEXT_SIZE], place[SYMBOL_SIZE];
    int count = backtrace(frames, FRAMES_MAX), first = 0;
    for (int i = 0; i < count; i++) {
        if (frames[i] == crashed)
            first = i;
    }
    for (int i = first; i < count; i++) {
        text[0] = '\0';
        report_add(text, "  at ");
        report_add(text, symbol_place((char *)frames[i] - (frames[i] != crashed), place));
        report_add(text, "\n");
        if (write(STDERR_FILENO, text, strlen(text)) < 0)
            return;
    }
}

static void on_crash(int number, siginfo_t *info, void *context)
{
    report_head(number, info);
    report_frames(context);
    raise(number); /* by then with its default action (SA_RESETHAND): delivered on return */
}
#endif

void backtrace_install(const char *(*explain)(const void *address))
{
    static bool installed;
    explain_address = explain;
    if (installed)
        return;
    installed = true;
    loop_thread = gettid();
#ifndef BACKTRACE_SANITIZED
    static char stack[STACK_SIZE];
    void *frame;
    const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_sigaction = on_crash,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    symbols_init();
    backtrace(&frame, 1);
    if (sigaltstack(&alternate, NULL) != 0)
        return;
    for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
        sigaction(crashes[i].number, &action, NULL);
#endif
}

void backtrace_blocks(sigset_t *ret)
{
    /* SIGSYS: a call that its walls refuse. */
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP};
    sigfillset(ret);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(ret, faults[i]);
}
