/* SPDX-License-Identifier: Apache-2.0 */
/* Tells of handlers' faults, each once: work_run's callers know where in the service they are. */

#include "work/fault.h"

void work_fault_note(const fh_work *w, const char *place)
{
    const struct work_context *context = w->context;
    if (!context->on_fault || w->reply_status != 500)
        return;
    const char *detail = json_string_value(json_object_get(w->reply_body, "detail"));
    struct work_fault fault = {.service = context->service->name,
                               .place = place,
                               .message = w->failure.code ? w->failure.message
                                          : detail        ? detail
                                                          : "it answered 500",
                               .statement = w->failed_sql,
                               .trace = w->trace,
                               .handler = w->handler};
    context->on_fault(context->fault_owner, &fault);
}
