/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A row for each subscription, made once: it is needed where something has failed, and for each
 * unit of work to know it then.
 *
 * The publisher's schema is what this service's configuration has of it, which `up` wrote; a field
 * that was marked since is known with the next configuration. What the subscription names itself is
 * known in any case.
 *
 * Each version of a type has its own marks: those of the publisher's schema of it, as far as the
 * configuration has that, and of the subscription's casts. All of an event in a version that is not
 * known to either is taken for personal.
 */

#include "event/marks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "event/subscribe/batch.h"
#include "event/versions.h"
#include "shape/mark.h"
#include "shape/shape.h"
#include "work/work.h"

#define SUBSCRIPTIONS_MAX                                                                          \
    (sizeof(((struct fh_service *)NULL)->subscribes) / sizeof(struct fh_subscription))

/* Of one version of a type. */
struct version_marks {
    const struct fh_subscription *subscribed;
    int version;           /* 0: of any */
    const fh_field *shape; /* NULL: nothing is marked */
    struct version_marks *next;
};

struct event_marks {
    struct arena arena;
    struct version_marks *first;
};

/* All that is in a version of which nothing is known. */
static const fh_field unknown_shape[] = {{"*", FH_ANY, .personal = true}, {0}};

static size_t count_fields(const fh_field *shape)
{
    size_t count = 0;
    while (shape && shape[count].name)
        count++;
    return count;
}

static fh_field *find_marked(fh_field *fields, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(fields[i].name, name) == 0)
            return &fields[i];
    }
    return NULL;
}

/* Every field of both, with the marks of both. What is in a field is looked for by `one`, unless
 * only `other` marks something there. */
static const fh_field *merged_marks(struct arena *arena, const fh_field *one, const fh_field *other)
{
    size_t count = count_fields(one);
    if (!one || !other)
        return one ? one : other;
    fh_field *merged = arena_alloc(arena, (count + count_fields(other) + 1) * sizeof *merged);
    memcpy(merged, one, count * sizeof *merged);
    for (; other->name; other++) {
        fh_field *same = find_marked(merged, count, other->name);
        if (!same) {
            merged[count++] = *other;
            continue;
        }
        same->personal |= other->personal;
        same->secret |= other->secret;
        same->card |= other->card;
        if (!same->of || !shape_marks(same->of))
            same->of = other->of;
    }
    merged[count] = (fh_field){0};
    return merged;
}

/* Every field that the schema or the subscription names, with the marks of both. */
static const fh_field *joined_marks(struct arena *arena, const fh_field *shape, const char *names)
{
    struct shape_named *named = arena_alloc(arena, sizeof *named);
    const fh_field *own = shape_named(named, names, false);
    if (!own)
        return shape_marks(shape) ? shape : NULL;
    size_t count = count_fields(own) - 1;
    if (own[count].personal) /* more names than there is space for: everything is personal */
        return own;
    fh_field *fields = arena_alloc(arena, (count + 1) * sizeof *fields);
    memcpy(fields, own, count * sizeof *fields);
    fields[count] = (fh_field){0};
    return shape ? merged_marks(arena, fields, shape) : fields;
}

static void add_version(struct event_marks *marks, const struct fh_subscription *subscribed,
                        int version, const fh_field *shape)
{
    struct version_marks *one = arena_alloc(&marks->arena, sizeof *one);
    *one = (struct version_marks){subscribed, version,
                                  joined_marks(&marks->arena, shape, subscribed->personal),
                                  marks->first};
    marks->first = one;
}

const json_t *event_marks_schema(const struct event_manager *manager, const char *source,
                                 const char *type, int version)
{
    char name[24];
    const json_t *versions = json_object_get(json_object_get(manager->versions, source), type);
    snprintf(name, sizeof name, "%d", version);
    return json_object_get(versions, name);
}

static bool has_version(const struct event_marks *marks, const struct fh_subscription *subscribed,
                        int version)
{
    for (const struct version_marks *at = marks->first; at; at = at->next) {
        if (at->subscribed == subscribed && at->version == version)
            return true;
    }
    return false;
}

/* With the publisher's marks and those of the subscription's own shape, if it has one. */
static void add_read_version(struct event_marks *marks, const struct event_manager *manager,
                             const struct fh_subscription *subscribed, int version,
                             const fh_field *own)
{
    const json_t *schema =
        event_marks_schema(manager, subscribed->service, subscribed->type, version);
    const fh_field *shape = schema ? shape_of_schema(&marks->arena, schema) : NULL;
    add_version(marks, subscribed, version, merged_marks(&marks->arena, own, shape));
}

static void add_versions(struct event_marks *marks, const struct event_manager *manager,
                         const struct fh_subscription *subscribed)
{
    const fh_service *service = manager->context->service;
    const char *name;
    json_t *schema;
    add_read_version(marks, manager, subscribed, subscribed->version,
                     versions_shape(service, subscribed, subscribed->version));
    for (size_t i = 0; i < sizeof service->upcasts / sizeof *service->upcasts; i++) {
        const struct fh_upcast *upcast = &service->upcasts[i];
        if (upcast->service && versions_upcast(service, subscribed, upcast->from) == upcast)
            add_read_version(marks, manager, subscribed, upcast->from, upcast->shape);
    }
    json_object_foreach (
        json_object_get(json_object_get(manager->versions, subscribed->service), subscribed->type),
        name, schema) {
        if (!has_version(marks, subscribed, versions_number(name)))
            add_version(marks, subscribed, versions_number(name),
                        shape_of_schema(&marks->arena, schema));
    }
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
        if (subscribes[i].version)
            add_versions(marks, manager, &subscribes[i]);
        else
            add_version(marks, &subscribes[i], 0,
                        schema ? shape_of_schema(&marks->arena, schema) : NULL);
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

/* Where a version is not known any more and others of its type are marked, it may well have been.
 */
static const fh_field *published_marks(const fh_service *service, const char *type, int version)
{
    bool any = false;
    for (size_t i = 0; i < sizeof service->publishes / sizeof *service->publishes; i++) {
        const struct fh_published *published = &service->publishes[i];
        if (!published->type || strcmp(published->type, type) != 0)
            continue;
        any = shape_marks(published->shape) != 0;
        if (version == versions_published(published))
            return any ? published->shape : NULL;
    }
    for (size_t i = 0; i < sizeof service->downcasts / sizeof *service->downcasts; i++) {
        const struct fh_downcast *downcast = &service->downcasts[i];
        if (!downcast->type || strcmp(downcast->type, type) != 0)
            continue;
        any |= shape_marks(downcast->into) != 0;
        if (version == downcast->to)
            return shape_marks(downcast->into) ? downcast->into : NULL;
    }
    return any ? unknown_shape : NULL;
}

static const fh_field *subscribed_marks(const struct event_marks *marks,
                                        const struct fh_subscription *subscribed, int version)
{
    for (const struct version_marks *at = marks->first; at; at = at->next) {
        if (at->subscribed == subscribed && (at->version == version || at->version == 0))
            return at->shape;
    }
    return unknown_shape;
}

const fh_field *event_marks_of(const struct event_manager *manager, const char *source,
                               const char *type, int version)
{
    const fh_service *service = manager->context->service;
    if (strcmp(source, service->name) == 0)
        return published_marks(service, type, version);
    for (size_t i = 0; manager->marks && i < SUBSCRIPTIONS_MAX; i++) {
        const struct fh_subscription *subscribed = &service->subscribes[i];
        if (subscribed->service && strcmp(subscribed->service, source) == 0 &&
            strcmp(subscribed->type, type) == 0)
            return subscribed_marks(manager->marks, subscribed, version);
    }
    return NULL;
}

void event_marks_redact(const struct event_manager *manager, const char *source, json_t *envelope)
{
    const char *type = json_string_at(envelope, "type");
    const json_t *data = json_object_get(envelope, "data");
    int version = batch_event_version(json_object_get(envelope, "version"));
    const fh_field *shape = type ? event_marks_of(manager, source, type, version) : NULL;
    if (shape && data)
        json_object_set_new(envelope, "data", shape_redacted(shape, data, SHAPE_MARKED));
}
