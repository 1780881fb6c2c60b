/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Casting. A subscriber's casts run in the handler's own unit of work, before it and again in each
 * of its reruns: so they have its arena and its bounds, a cast that fails ends it as the handler's
 * own failure would, and whatever way an event has come (a feed, a broker, a parked one that is
 * retried, a row of a snapshot), there is one place where it is cast. A publisher's run in units of
 * work of their own, which have no store.
 *
 * Nothing durable happens here: the stored event is never changed.
 */

#include "event/versions.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "event/outbox/publish.h"
#include "shape/shape.h"
#include "work/batch.h"
#include "work/fault.h"

#define COUNT(rows) (sizeof(rows) / sizeof *(rows))

/* ---- declarations ---- */

const struct fh_upcast *versions_upcast(const fh_service *service,
                                        const struct fh_subscription *subscribed, int from)
{
    for (size_t i = 0; i < COUNT(service->upcasts) && service->upcasts[i].service; i++) {
        const struct fh_upcast *upcast = &service->upcasts[i];
        if (upcast->from == from && strcmp(upcast->service, subscribed->service) == 0 &&
            strcmp(upcast->type, subscribed->type) == 0)
            return upcast;
    }
    return NULL;
}

const struct fh_downcast *versions_downcast(const fh_service *service, const char *type, int to)
{
    for (size_t i = 0; i < COUNT(service->downcasts) && service->downcasts[i].type; i++) {
        const struct fh_downcast *downcast = &service->downcasts[i];
        if (downcast->to == to && strcmp(downcast->type, type) == 0)
            return downcast;
    }
    return NULL;
}

static const struct fh_published *published_of(const fh_service *service, const char *type)
{
    for (size_t i = 0; i < COUNT(service->publishes) && service->publishes[i].type; i++) {
        if (strcmp(service->publishes[i].type, type) == 0)
            return &service->publishes[i];
    }
    return NULL;
}

const fh_field *versions_shape(const fh_service *service, const struct fh_subscription *subscribed,
                               int version)
{
    const struct fh_upcast *takes = versions_upcast(service, subscribed, version);
    const struct fh_upcast *makes = versions_upcast(service, subscribed, version - 1);
    return takes ? takes->shape : makes ? makes->into : NULL;
}

int versions_number(const char *text)
{
    int number = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 9 || text[digits] != '\0')
        return 0;
    for (; *text; text++)
        number = number * 10 + (*text - '0');
    return number;
}

/* ---- fields ---- */

void versions_type(char out[static VERSIONS_TYPE_SIZE], const char *type, int version)
{
    snprintf(out, VERSIONS_TYPE_SIZE, "%s@%d", type, version);
}

bool versions_is_typed(const char *type, size_t length)
{
    size_t digits = 0;
    while (digits < length && isdigit((unsigned char)type[length - 1 - digits]))
        digits++;
    return digits > 0 && digits < length && type[length - 1 - digits] == '@';
}

bool versions_names_fields(const char *fields)
{
    return fields && fields[strspn(fields, ", ")];
}

bool versions_names_field(const char *fields, const char *name)
{
    size_t wanted = strlen(name);
    for (const char *at = fields; at && *at;) {
        size_t length = strcspn(at, ", ");
        if (length == wanted && strncmp(at, name, length) == 0)
            return true;
        at += length + (at[length] != '\0');
    }
    return false;
}

bool versions_gets(const fh_service *service, const struct fh_subscription *subscribed, int version,
                   const char *field)
{
    if (!versions_names_fields(subscribed->fields))
        return true;
    const struct fh_upcast *upcast =
        subscribed->version ? versions_upcast(service, subscribed, version) : NULL;
    if (!upcast)
        return versions_names_field(subscribed->fields, field);
    for (const fh_field *at = upcast->shape; at->name; at++) {
        if (strcmp(at->name, field) == 0)
            return true;
    }
    return false;
}

/* ---- one cast ---- */

/* NULL, or where and why the data do not fit; on the unit of work's arena. */
static const char *data_misfit(fh_work *w, const fh_field *shape, const json_t *data)
{
    if (!json_is_object(data))
        return "they are no object";
    json_t *faults = shape ? shape_check(shape, data) : NULL;
    if (!faults)
        return NULL;
    const json_t *fault = json_array_get(faults, 0);
    const char *pointer = json_string_at(fault, "pointer"),
               *detail = json_string_at(fault, "detail");
    return work_printf(w, "at \"%.60s\": %.80s", pointer ? pointer : "",
                       detail ? detail : "it is wrong");
}

static void take_cast(fh_work *w, int version, json_t *data, const fh_field *shape)
{
    w->cast.version = version;
    w->cast.data = data;
    w->cast.shape = shape;
}

/* `what` is the cast, in the words of a message. */
static void run_cast(fh_work *w, const char *what, fh_cast *cast, int version, const fh_field *into)
{
    w->cast.running = what;
    json_t *made = cast(w, w->cast.data);
    if (w->arena.refused)
        work_fail_with(w, FH_NO_MEMORY, WORK_MEMORY_FAULT);
    take_cast(w, version, made, into);
    const char *misfit = data_misfit(w, into, made);
    if (misfit)
        work_fault(w, "%s makes data that do not fit version %d: %s", what, version, misfit);
}

/* ---- the subscriber ---- */

static _Noreturn void fail_unreadable(fh_work *w, const struct fh_subscription *subscribed)
{
    const char *reader = w->context->service->name;
    int version = w->cast.from;
    w->given.shape = NULL; /* nothing of the data is in these sentences */
    if (version == 0)
        work_fault(w, "%.40s of %.40s says not in which version it is; %.40s reads version %d.",
                   subscribed->type, subscribed->service, reader, subscribed->version);
    if (version > subscribed->version)
        work_fault(w,
                   "%.40s of %.40s is in version %d, and %.40s reads version %d: it needs a newer "
                   "%.40s.",
                   subscribed->type, subscribed->service, version, reader, subscribed->version,
                   reader);
    work_fault(w,
               "%.40s of %.40s is in version %d, and %.40s reads version %d: it has no upcast from "
               "%d.",
               subscribed->type, subscribed->service, version, reader, subscribed->version,
               version);
}

static void upcast_event(fh_work *w)
{
    const struct fh_subscription *subscribed = w->cast.context;
    const fh_service *service = w->context->service;
    w->cast.running = "an upcast"; /* until the end: whatever fails is the event's fault */
    for (int version = w->cast.from; version != subscribed->version; version++) {
        const struct fh_upcast *upcast = versions_upcast(service, subscribed, version);
        if (!upcast)
            fail_unreadable(w, subscribed);
        const char *what =
            work_printf(w, "The upcast of %.40s from version %d", upcast->type, version);
        if (!w->cast.data) {
            json_t *data = work_event_data(w->event);
            if (!data)
                work_fault(w, WORK_MEMORY_FAULT);
            take_cast(w, version, data, upcast->shape);
            const char *misfit = data_misfit(w, upcast->shape, data);
            if (misfit)
                work_fault(w, "%.40s of %.40s does not fit version %d, in which it is: %s",
                           subscribed->type, subscribed->service, version, misfit);
        }
        run_cast(w, what, upcast->cast, version + 1, upcast->into);
    }
    w->cast.running = NULL;
}

void versions_prepare(fh_work *w, const struct fh_subscription *subscribed, int version)
{
    if (!subscribed->version || version == subscribed->version)
        return;
    w->cast.run = upcast_event;
    w->cast.context = subscribed;
    w->cast.from = version;
}

/* ---- the publisher ---- */

/* "Type:2". False: it is malformed. */
static bool parse_asked(const char *text, size_t *ret_length, int *ret_version)
{
    const char *colon = text ? strrchr(text, ':') : NULL;
    if (!colon || colon == text)
        return false;
    *ret_length = (size_t)(colon - text);
    *ret_version = versions_number(colon + 1);
    return *ret_version > 0;
}

int versions_asked(const json_t *versions, const char *type)
{
    size_t i, length;
    json_t *one;
    int version;
    json_array_foreach (versions, i, one) {
        const char *text = json_string_value(one);
        if (parse_asked(text, &length, &version) && strncmp(text, type, length) == 0 &&
            type[length] == '\0')
            return version;
    }
    return 0;
}

bool versions_are_asked(const json_t *versions)
{
    size_t i, length;
    json_t *one;
    int version;
    json_array_foreach (versions, i, one) {
        if (!parse_asked(json_string_value(one), &length, &version))
            return false;
    }
    return true;
}

struct downcasting {
    fh_work w; /* first: it is cast from */
    const char *type, *data;
    int from, to;
    const fh_field *shape; /* of `from`; NULL: it is not known */
};

static void downcast_data(fh_work *w)
{
    const struct downcasting *casting = (const struct downcasting *)w;
    struct fh_error error;
    json_t *data;
    w->cast.running = "a downcast";
    if (json_parse(casting->data, strlen(casting->data), &data, &error) != FH_OK)
        work_fail(w, &error);
    take_cast(w, casting->from, data, casting->shape);
    for (int version = casting->from - 1; version >= casting->to; version--) {
        const struct fh_downcast *downcast =
            versions_downcast(w->context->service, casting->type, version);
        const char *what =
            work_printf(w, "The downcast of %.40s to version %d", casting->type, version);
        run_cast(w, what, downcast->cast, version, downcast->into);
    }
}

/* Of an event's data the largest are as large as what may be published. */
static enum fh_code cast_for_reader(struct downcasting *casting, char **ret_data,
                                    struct fh_error *error)
{
    bool by_fence;
    fh_work *w = &casting->w;
    work_record_begin(w);
    work_handler_run(w, &by_fence);
    w->phase = WORK_ENDED;
    if (w->failure.code != FH_OK) {
        *error = w->failure;
        return error->code;
    }
    struct arena *before = json_arena_set(NULL);
    char *text = json_text(w->cast.data);
    json_arena_set(before);
    if (strlen(text) < OUTBOX_DATA_SIZE_MAX) {
        *ret_data = text;
        return FH_OK;
    }
    json_text_free(text);
    return error_set(error, FH_INVALID, "The downcast of %.40s makes data of more than %zu bytes.",
                     casting->type, OUTBOX_DATA_SIZE_MAX);
}

enum versions_verdict versions_for_reader(struct work_context *context, const char *type, int from,
                                          int to, const char *data, char **ret_data,
                                          struct fh_error *error)
{
    const struct fh_published *published = published_of(context->service, type);
    if (!to || from <= to || !published)
        return VERSIONS_AS_IT_IS;
    if (from > versions_published(published))
        return VERSIONS_NEWER;
    for (int version = from - 1; version >= to; version--) {
        if (!versions_downcast(context->service, type, version))
            return VERSIONS_AS_IT_IS;
    }
    const struct fh_downcast *own = versions_downcast(context->service, type, from);
    struct downcasting *casting = malloc(sizeof *casting);
    FH_ASSERT(casting != NULL);
    *casting =
        (struct downcasting){.type = type,
                             .data = data,
                             .from = from,
                             .to = to,
                             .shape = from == versions_published(published) ? published->shape
                                      : own                                 ? own->into
                                                                            : NULL};
    work_init(&casting->w, context, downcast_data);
    casting->w.read_only = true;
    enum fh_code code = cast_for_reader(casting, ret_data, error);
    fault_is_told(&casting->w); /* by the caller, in a line that names the event */
    work_release(&casting->w);
    free(casting);
    return code == FH_OK ? VERSIONS_CAST : VERSIONS_FAILED;
}
