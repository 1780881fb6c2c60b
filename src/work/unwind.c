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
#include <string.h>

static _Unwind_Reason_Code stop(int version, _Unwind_Action actions,
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

static _Noreturn void unwind(fh_work *w);

/* Does nothing for an unwinding that a newer one has replaced: a call inside the catch has ended
 * the handler again. */
static void on_caught(_Unwind_Reason_Code reason, struct _Unwind_Exception *exception)
{
    (void)reason;
    unwind((fh_work *)((char *)exception - offsetof(fh_work, ending.exception)));
}

static _Noreturn void unwind(fh_work *w)
{
    memset(&w->ending.exception, 0, sizeof w->ending.exception);
    w->ending.exception.exception_cleanup = on_caught;
    _Unwind_ForcedUnwind(&w->ending.exception, stop, w);
    error_assertion_failed("a handler's frames can be unwound", __FILE__, __LINE__);
}

_Noreturn void work_end_handler(fh_work *w, int how)
{
    const struct fh_layout *layout = w->context->service->layout;
    FH_ASSERT(w->fail_to != NULL);
    w->ending.how = how;
    if (layout && layout->cplusplus)
        unwind(w);
    _longjmp(*w->fail_to, how);
}
