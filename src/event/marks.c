/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A row for each subscription, made once: it is needed where something has failed, and for each
 * unit of work to know it then.
 *
 * The publisher's schema is what this service's configuration has of it, which `up` wrote; a field
 * that was marked since is known with the next configuration. What the subscription names itself is
 * known in any case.
 */

#include "event/marks.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "shape/mark.h"
#include "shape/shape.h"
#include "work/work.h"

#define SUBSCRIPTIONS_MAX                                                                          \
    (sizeof(((struct fh_service *)NULL)->subscribes) / sizeof(struct fh_subscription))

struct event_marks {
    struct arena arena;
    const fh_field *of[SUBSCRIPTIONS_MAX];
};

static size_t count_fields(const fh_field *shape)
{
    size_t count = 0;
    while (shape && shape[count].name)
        count++;
    return count;
}

/* Every field that the schema or the subscription names, with the marks of both. */
static const fh_field *joined_marks(struct arena *arena, const fh_field *shape, const char *names)
{
    struct shape_named *named = arena_alloc(arena, sizeof *named);
    const fh_field *own = shape_named(named, names, false);
    size_t count = count_fields(shape), at = 0;
    if (!own)
        return shape_marks(shape) ? shape : NULL;
    fh_field *joined = arena_alloc(arena, (count + SHAPE_NAMED_MAX + 2) * sizeof *joined);
    for (; strcmp(own[at].name, "*") != 0; at++)
        joined[at] = own[at];
    if (own[at].personal) /* more names than there is space for: everything is personal */
        return own;
    size_t named_count = at;
    for (size_t i = 0; i < count; i++) {
        size_t same = 0;
        while (same < named_count && strcmp(joined[same].name, shape[i].name) != 0)
            same++;
        joined[same < named_count ? same : at++] = shape[i];
        if (same < named_count)
            joined[same].personal = true;
    }
    joined[at] = (fh_field){0};
    return joined;
}

struct event_marks *event_marks_new(const struct event_manager *manager)
{
    const struct fh_subscription *subscribes = manager->context->service->subscribes;
    struct event_marks *marks = calloc(1, sizeof *marks);
    FH_ASSERT(marks != NULL);
    arena_init(&marks->arena, ARENA_SIZE_MAX);
    for (size_t i = 0; i < SUBSCRIPTIONS_MAX && subscribes[i].service; i++) {
        const json_t *of = json_object_get(manager->schemas, subscribes[i].service);
        const json_t *schema = json_object_get(of, subscribes[i].type);
        const fh_field *shape = schema ? shape_of_schema(&marks->arena, schema) : NULL;
        marks->of[i] = joined_marks(&marks->arena, shape, subscribes[i].personal);
    }
    return marks;
}

void event_marks_free(struct event_marks *marks)
{
    if (!marks)
        return;
    arena_release(&marks->arena);
    free(marks);
}

static const fh_field *published_marks(const fh_service *service, const char *type)
{
    for (size_t i = 0; i < sizeof service->publishes / sizeof *service->publishes; i++) {
        const struct fh_published *published = &service->publishes[i];
        if (published->type && strcmp(published->type, type) == 0)
            return shape_marks(published->shape) ? published->shape : NULL;
    }
    return NULL;
}

const fh_field *event_marks_of(const struct event_manager *manager, const char *source,
                               const char *type)
{
    const fh_service *service = manager->context->service;
    if (strcmp(source, service->name) == 0)
        return published_marks(service, type);
    for (size_t i = 0; manager->marks && i < SUBSCRIPTIONS_MAX; i++) {
        const struct fh_subscription *subscribed = &service->subscribes[i];
        if (subscribed->service && strcmp(subscribed->service, source) == 0 &&
            strcmp(subscribed->type, type) == 0)
            return manager->marks->of[i];
    }
    return NULL;
}

void event_marks_redact(const struct event_manager *manager, const char *source, json_t *envelope)
{
    const char *type = json_string_at(envelope, "type");
    const json_t *data = json_object_get(envelope, "data");
    const fh_field *shape = type ? event_marks_of(manager, source, type) : NULL;
    if (shape && data)
        json_object_set_new(envelope, "data", shape_redacted(shape, data, SHAPE_MARKED));
}
