/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_BACKTRACE_H
#define BASE_BACKTRACE_H

#include <signal.h>

/*
 * What a process says when it crashes (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT), before it ends as
 * it would have: in its log, the signal, what it was doing (doing.h), and its stack with the names
 * of functions, offsets in them and in their module (for addr2line). All of it is made in the
 * process itself, which may be confined and see no other program, and without memory or locks,
 * which may be what is broken. If that crashes, too, the process ends with what is written by then.
 */

/* Once, on the loop's thread. `explain` (NULL: nothing) may know a better reason than the signal,
 * by the address that was touched: a sentence without its full stop, or NULL. With a sanitizer, who
 * reports better, nothing is installed. */
void backtrace_install(const char *(*explain)(const void *address));
/* What a thread beside the loop's blocks, since signals are the loop's: all but those of its own
 * faults. Where these are blocked the kernel ends the process without a word. */
void backtrace_blocks(sigset_t *ret);

#endif
