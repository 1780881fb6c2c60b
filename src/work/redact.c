/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A failure's text is made by anybody: an engine quotes the row, a handler the person. It goes to
 * the log, to parked events and to sagas, so the values are taken out of it before it goes
 * anywhere. An answer is recorded by its shape; a refusal has none, and is treated as text.
 */

#include "work/redact.h"

#include <string.h>

#include "base/json.h"
#include "shape/mark.h"
#include "work/work.h"

#define LABELS_SPACE 256 /* for what becomes longer */

static void redact_answers(const fh_work *w, unsigned marks, char *text, size_t size)
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
    redact_answers(w, marks, text, size);
}

static json_t *redacted_problem(const fh_work *w, const json_t *problem)
{
    char *text = json_text(problem);
    size_t size = strlen(text) + LABELS_SPACE;
    char *roomy = arena_alloc((struct arena *)(uintptr_t)&w->kept, size);
    json_t *copy = NULL;
    memcpy(roomy, text, strlen(text) + 1);
    work_redact(w, SHAPE_UNKEPT, roomy, size);
    bool same = strcmp(roomy, text) == 0;
    json_text_free(text);
    if (!same && json_parse(roomy, strlen(roomy), &copy, ERROR_UNHEEDED) == FH_OK)
        return copy;
    if (same)
        return json_incref((json_t *)(uintptr_t)problem);
    return problem_of_service(w->reply_status, NULL, NULL); /* the text broke: it says too much */
}

json_t *work_recordable_body(const fh_work *w, bool *ret_left_out)
{
    const struct fh_answer *answer = w->route ? &w->route->answer : NULL;
    const fh_field *shape = !answer ? NULL : answer->shape ? answer->shape : answer->each;
    if (!w->replied || !w->reply_body)
        return NULL;
    if (w->reply_status >= 400)
        return redacted_problem(w, w->reply_body);
    if (!(shape_marks(shape) & SHAPE_UNKEPT))
        return json_incref(w->reply_body);
    return shape_without(shape, w->reply_body, SHAPE_UNKEPT, ret_left_out);
}
