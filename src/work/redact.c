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

static void cover_asked(struct shape_cover *cover, const fh_work *w)
{
    const fh_service *service = w->context->service;
    for (size_t i = 0; i < sizeof service->asks / sizeof *service->asks; i++) {
        struct shape_named named;
        const fh_field *shape = shape_named(&named, service->asks[i].personal, true);
        for (const struct work_asked *asked = w->asked_first; shape && asked; asked = asked->next)
            shape_cover_given(cover, shape, json_object_get(asked->answer, "body"));
    }
}

/* The step that is undone had another route, which only the saga's own service knows. */
static void cover_undone(struct shape_cover *cover, const fh_work *w)
{
    const fh_service *service = w->context->service;
    for (size_t i = 0; i < sizeof service->routes / sizeof *service->routes; i++) {
        const struct fh_route *route = &service->routes[i];
        shape_cover_given(cover, route->body, w->undone_request);
        shape_cover_given(cover, route->answer.shape, w->undone_answer);
        shape_cover_given(cover, route->answer.each, w->undone_answer);
    }
}

static void cover_event(struct shape_cover *cover, const fh_work *w)
{
    if (w->event->tree) { /* which may have come from a row that somebody changed by hand */
        shape_cover_given(cover, w->given.shape, json_object_get(w->event->tree, "data"));
        return;
    }
    struct arena *before = json_arena_set(NULL);
    json_t *data = work_event_data(w->event);
    FH_ASSERT(data != NULL);
    shape_cover_given(cover, w->given.shape, data);
    json_decref(data);
    json_arena_set(before);
}

void work_given(struct shape_cover *cover, const void *context)
{
    const fh_work *w = context;
    if (w->route) {
        shape_cover_given(cover, w->route->body, w->body);
        shape_cover_given(cover, w->route->query, w->query);
    }
    if (w->given.shape && w->event)
        cover_event(cover, w);
    if (w->cast.data)
        shape_cover_given(cover, w->cast.shape, w->cast.data);
    shape_cover_given(cover, w->given.shape, w->given.value);
    if (w->given.cover)
        w->given.cover(cover, w->given.context);
    if (!w->context->service)
        return;
    shape_cover_given(cover, w->context->service->settings, w->context->settings);
    cover_undone(cover, w);
    cover_asked(cover, w);
    for (const struct work_found *found = w->found; found; found = found->next)
        shape_cover_given(cover, found->shape, found->answer);
}

void work_redact(const fh_work *w, unsigned marks, char *text, size_t size)
{
    shape_redact_text(text, size, marks, work_given, w);
}
