/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publishing. fh_publish opens the transaction, as any use of the store does, because an event is a
 * change of the store; then it only notes what to write. The hook that runs after the handler
 * appends to the outbox. That comes last because there the event draws its position, and by then
 * the transaction must already hold the rows that the event reports on (docs/guide/work.md).
 *
 * A rerun of the handler publishes afresh; the first run's notes were on its arena and are gone.
 * Ids come from the recorded seed, so they are the same again.
 *
 * After a crash: the transaction's commit decides over its events as over its rows.
 */

#include "event/outbox/publish.h"

#include <stdio.h>
#include <string.h>

#include "base/crash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "event/manager.h"
#include "shape/shape.h"
#include "store/ledger.h"
#include "work/spans.h"
#include "work/work.h"

/* What one run of a handler has published; on that run's arena. */
struct publishing {
    struct ledger_event *first, *last;
    int count;
};

static enum fh_code publishing_finish(fh_work *w, void *argument, struct fh_error *error)
{
    struct publishing *publishing = argument;
    CRASH_POINT("outbox.begins");
    enum fh_code code = ledger_outbox_append(w->store_work, publishing->first, error);
    work_appended(w, publishing->first);
    CRASH_POINT("outbox.written");
    return code;
}

static void publishing_committed(fh_work *w, void *argument)
{
    const struct publishing *publishing = argument;
    for (const struct ledger_event *event = publishing->first; event; event = event->next) {
        struct span span = {.kind = SPAN_PUBLISHED,
                            .parent = w->trace,
                            .what = event->type,
                            .key = event->key,
                            .began_ns = world_monotonic_ns(w->context->world)};
        spans_keep(w->context->spans, &span);
    }
    event_manager_committed(w->context->events, publishing->last->position, publishing->count);
}

static struct publishing *publishing_of(fh_work *w)
{
    for (struct work_hook *hook = w->hooks_first; hook; hook = hook->next) {
        if (hook->finish == publishing_finish)
            return hook->argument;
    }
    struct publishing *publishing = work_alloc(w, sizeof *publishing);
    *publishing = (struct publishing){0};
    work_on_end(w, publishing_finish, publishing_committed, publishing);
    return publishing;
}

static const struct fh_published *published_declared(fh_work *w, const char *type)
{
    const struct fh_service *service = w->context->service;
    for (size_t i = 0; i < sizeof service->publishes / sizeof *service->publishes; i++) {
        const struct fh_published *published = &service->publishes[i];
        if (published->type && strcmp(published->type, type) == 0)
            return published;
    }
    work_fault(w, "%s published %s, which is not among its declared `publishes`.", service->name,
               type);
}

void outbox_check_data(fh_work *w, const struct fh_published *published, const json_t *data)
{
    if (!json_is_object(data))
        work_fault(w, "The data of %s must be an object.", published->type);
    if (!published->shape)
        return;
    json_t *faults = shape_check(published->shape, data);
    if (!faults)
        return;
    json_t *fault = json_array_get(faults, 0);
    const char *pointer = json_string_at(fault, "pointer");
    const char *detail = json_string_at(fault, "detail");
    work_fault(w, "The data of %s does not fit its declared shape, at \"%s\": %s", published->type,
               pointer ? pointer : "", detail ? detail : "it is wrong.");
}

/* The key's value came from the client or another service: the answer names the field, and the log
 * names the event. */
static _Noreturn void refuse_key(fh_work *w, const struct fh_published *published, const char *text,
                                 size_t length)
{
    struct fh_error error;
    if (length == 0)
        error_set(&error, FH_INVALID, "\"%s\" is empty, and it is the key of an event.",
                  published->key);
    else if (strlen(text) != length)
        error_set(&error, FH_INVALID,
                  "\"%s\" holds NUL (after %zu bytes), and it is the key of an event.",
                  published->key, strlen(text));
    else
        error_set(&error, FH_INVALID,
                  "\"%s\" has %zu bytes, and as the key of an event at most %d.", published->key,
                  length, OUTBOX_KEY_LENGTH_MAX);
    snprintf(error.field, sizeof error.field, "%s", published->key);
    log_warning("event-rejected", "%s is not published: %s", published->type, error.message);
    work_fail(w, &error);
}

const char *outbox_key(fh_work *w, const struct fh_published *published, const json_t *data)
{
    if (!published->key)
        return published->type; /* no key declared: one order for all events of the type */
    const json_t *value = json_at(data, published->key);
    if (json_is_integer(value))
        return text_of_integer(json_integer_value(value), work_alloc(w, TEXT_INTEGER_SIZE));
    const char *text = json_string_value(value);
    size_t length = json_string_length(value);
    if (!text)
        work_fault(w, "The key of %s, its field \"%s\", must be there, as an integer or a text.",
                   published->type, published->key);
    if (length == 0 || length > OUTBOX_KEY_LENGTH_MAX || strlen(text) != length)
        refuse_key(w, published, text, length);
    return text;
}

/* See ledger.h. In the handler of an event the trace is what its publisher wrote: whatever has
 * another form could name an actor. */
static const char *trace_and_actor(fh_work *w, const struct fh_published *published)
{
    const char *trace = spans_is_traceparent(w->trace) ? w->trace : NULL;
    if (!published->actor || !w->user)
        return trace;
    return work_printf(w, "%s %s", trace ? trace : "-", w->user->shown.subject);
}

void fh_publish(fh_work *w, const char *type, json_t *data)
{
    const struct fh_published *published = published_declared(w, type);
    work_store_write(w);
    outbox_check_data(w, published, data);
    const char *key = outbox_key(w, published, data);
    if (!work_reaches_out(w)) {
        work_refuse_drawn(w, type, data);
        return;
    }
    struct publishing *publishing = publishing_of(w);
    if (publishing->count >= OUTBOX_EVENTS_MAX)
        work_fault(w, "One unit of work publishes at most %d events.", OUTBOX_EVENTS_MAX);
    size_t key_length = strlen(key) + 1;
    char *text = json_text(data);
    size_t text_length = strlen(text) + 1;
    if (text_length > OUTBOX_DATA_SIZE_MAX)
        work_fault(w, "The data of %s is larger than %zu bytes.", type, OUTBOX_DATA_SIZE_MAX);
    struct ledger_event *next = work_alloc(w, sizeof *next + key_length);
    *next = (struct ledger_event){
        .time_ms = fh_now_ms(w),
        .version = published->version ? published->version : 1,
        .id = fh_id_new(w),
        .type = published->type,
        .key = memcpy(next + 1, key, key_length),
        .data = text, /* on the run's arena, like all JSON in a handler */
        .trace = trace_and_actor(w, published),
    };
    if (publishing->last)
        publishing->last->next = next;
    else
        publishing->first = next;
    publishing->last = next;
    publishing->count++;
}

static json_t *of_event(fh_work *w, const char *what,
                        json_t *(*make)(const struct work_event *event))
{
    work_is_no_cast(w, what);
    if (!w->event)
        work_fault(w, "%s is for handlers of `subscribes`: this one handles no event.", what);
    json_t *made = make(w->event);
    if (!made)
        work_fault(w, "This unit of work has no memory left for the event that it handles.");
    return made;
}

/* As if it had come in the version that the handler reads. */
static json_t *cast_envelope(fh_work *w, json_t *envelope)
{
    json_t *data = json_copy_all(w->cast.data);
    if (!data || json_object_set_new(envelope, "data", data) != 0 ||
        json_object_set_new(envelope, "version", json_integer(w->cast.version)) != 0)
        work_fault(w, WORK_MEMORY_FAULT);
    return envelope;
}

json_t *fh_event(fh_work *w)
{
    json_t *envelope = of_event(w, "fh_event", work_event_envelope);
    return w->cast.data ? cast_envelope(w, envelope) : envelope;
}

json_t *fh_event_data(fh_work *w)
{
    if (!w->cast.data || w->cast.running)
        return of_event(w, "fh_event_data", work_event_data);
    json_t *data = json_copy_all(w->cast.data);
    if (!data)
        work_fault(w, WORK_MEMORY_FAULT);
    return data;
}
