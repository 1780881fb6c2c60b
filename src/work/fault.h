/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_FAULT_H
#define WORK_FAULT_H

/*
 * A handler's fault: its unit of work ended with 500, for good, so no rerun mends it. Wrong SQL, an
 * event that is not declared or does not fit, an answer that does not fit, fh_fail(w, 500, ...).
 * What is not the handler's (a store or a service that is away, a conflict) is no 500.
 */

#include "work/work.h"

struct work_fault {
    const char *service;   /* whose handler it is */
    const char *place;     /* "POST /api/orders/{id}", "the event OrderCreated of orders" */
    const char *message;   /* without what is marked in shapes */
    const char *statement; /* the SQL that failed, as it was written; NULL: none did */
    const char *trace;     /* traceparent, or NULL */
    fh_handler *handler;
};

/* Tells context->on_fault, if there is one and `w`, which is not released yet, ended so. `code` is
 * what it ended with. */
void work_fault_note(const fh_work *w, const char *place);

#endif
