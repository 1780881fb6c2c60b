/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A failure's text is made by anybody: an engine quotes the row, a handler the person. It goes to
 * the log, to parked events and to sagas, so the values are taken out of it before it goes
 * anywhere.
 */

#include "work/redact.h"

#include <string.h>

#include "base/json.h"
#include "shape/mark.h"
#include "work/work.h"

static void redact_asked(const fh_work *w, unsigned marks, char *text, size_t size)
{
    const fh_service *service = w->context->service;
    for (size_t i = 0; i < sizeof service->asks / sizeof *service->asks; i++) {
        struct shape_named named;
        const fh_field *shape = shape_named(&named, service->asks[i].personal, true);
        for (const struct work_asked *asked = w->asked_first; shape && asked; asked = asked->next)
            shape_redact_text(shape, json_object_get(asked->answer, "body"), marks, text, size);
    }
}

void work_redact(const fh_work *w, unsigned marks, char *text, size_t size)
{
    if (w->route) {
        shape_redact_text(w->route->body, w->body, marks, text, size);
        shape_redact_text(w->route->body, w->undone_request, marks, text, size);
        shape_redact_text(w->route->query, w->query, marks, text, size);
    }
    shape_redact_text(w->given.shape, w->given.value, marks, text, size);
    if (!w->context->service)
        return;
    shape_redact_text(w->context->service->settings, w->context->settings, marks, text, size);
    redact_asked(w, marks, text, size);
}
