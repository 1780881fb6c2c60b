/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ending a handler from inside a call. A handler in C is left by a jump. One in C++ may hold
 * objects with destructors, so its frames are unwound one by one, as pthread_exit does: destructors
 * run, and `catch (...)` is entered. A handler that swallows the exception there is ended all the
 * same, when its catch ends.
 *
 * Everything needed for this is stored in the unit of work, because the stack below is given up on
 * the way.
 */

#include "work/work.h"

#include <stdint.h>

static _Unwind_Reason_Code stop_at_handler(int version, _Unwind_Action actions,
                                           _Unwind_Exception_Class exception_class,
                                           struct _Unwind_Exception *exception,
                                           struct _Unwind_Context *context, void *argument)
{
    const fh_work *w = argument;
    (void)version, (void)exception_class, (void)exception;
    if (actions & _UA_END_OF_STACK || _Unwind_GetCFA(context) > (uintptr_t)w->ending.frame)
        _longjmp(*w->fail_to, w->ending.how);
    return _URC_NO_REASON;
}

static _Noreturn void unwind_handler(fh_work *w);

/* Does nothing for an unwinding that a newer one has replaced: a call inside the catch has ended
 * the handler again. */
static void on_caught(_Unwind_Reason_Code reason, struct _Unwind_Exception *exception)
{
    (void)reason;
    fh_work *w = ((struct work_unwinding *)exception)->w;
    if (exception == &w->ending.unwindings[w->ending.count - 1].exception)
        unwind_handler(w);
}

static _Noreturn void unwind_handler(fh_work *w)
{
    if (w->ending.count == WORK_UNWINDINGS_MAX)
        error_assertion_failed("a handler does not catch what ends it again and again", __FILE__,
                               __LINE__);
    struct work_unwinding *unwinding = &w->ending.unwindings[w->ending.count++];
    *unwinding = (struct work_unwinding){.exception.exception_cleanup = on_caught, .w = w};
    _Unwind_ForcedUnwind(&unwinding->exception, stop_at_handler, w);
    error_assertion_failed("a handler's frames can be unwound", __FILE__, __LINE__);
}

_Noreturn void work_end_handler(fh_work *w, int how)
{
    const struct fh_layout *layout = w->context->service->layout;
    FH_ASSERT(w->fail_to != NULL);
    w->ending.how = how;
    if (layout && layout->cplusplus)
        unwind_handler(w);
    _longjmp(*w->fail_to, how);
}
