/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a declaration says of versions, looked at before anything runs: each chain of casts leads
 * without a hole to the version that is read or published, and each cast makes what the next one
 * takes. Whether publishers and subscribers meet is for `freehold check`, which knows both.
 */

#include "event/versions.h"

#include <string.h>

#include "shape/shape.h"

#define COUNT(rows) (sizeof(rows) / sizeof *(rows))

static enum fh_code check_event_version(const char *type, int version, struct fh_error *error)
{
    if (version < 0)
        return error_set(error, FH_INVALID, "%.64s can't have the version %d: expected 1 or more.",
                         type, version);
    if (versions_is_typed(type, strlen(type)))
        return error_set(error, FH_INVALID,
                         "The event \"%.64s\" can't end like that: \"@\" and digits stand for a "
                         "version.",
                         type);
    return FH_OK;
}

static bool is_same_shape(const fh_field *one, const fh_field *other)
{
    if (one == other)
        return true;
    json_t *a = shape_schema(one), *b = shape_schema(other);
    bool same = json_equal(a, b);
    json_decref(a);
    json_decref(b);
    return same;
}

static bool names_any_field(const fh_field *shape)
{
    while (shape->name && strcmp(shape->name, "*") != 0)
        shape++;
    return shape->name != NULL;
}

/* ---- upcasts ---- */

static const struct fh_subscription *subscription_to(const fh_service *service,
                                                     const struct fh_upcast *upcast)
{
    for (size_t i = 0; i < COUNT(service->subscribes) && service->subscribes[i].service; i++) {
        const struct fh_subscription *subscribed = &service->subscribes[i];
        if (upcast->type && strcmp(subscribed->service, upcast->service) == 0 &&
            strcmp(subscribed->type, upcast->type) == 0)
            return subscribed;
    }
    return NULL;
}

static enum fh_code check_upcast_row(const struct fh_upcast *upcast,
                                     const struct fh_subscription *subscribed,
                                     struct fh_error *error)
{
    if (!subscribed)
        return error_set(error, FH_INVALID,
                         "There is an upcast for %.48s of %.48s, to which nothing subscribes.",
                         upcast->type ? upcast->type : "no type", upcast->service);
    if (!subscribed->version)
        return error_set(error, FH_INVALID,
                         "There is an upcast for %.48s of %.48s, and its subscription does not say "
                         "which `.version` it reads.",
                         upcast->type, upcast->service);
    if (upcast->from < 1 || upcast->from >= subscribed->version)
        return error_set(error, FH_INVALID,
                         "The upcast of %.48s from version %d can't lead to version %d, which is "
                         "read.",
                         upcast->type, upcast->from, subscribed->version);
    if (!upcast->shape || !upcast->into || !upcast->cast)
        return error_set(error, FH_INVALID,
                         "The upcast of %.48s from version %d needs `shape`, `into` and `cast`.",
                         upcast->type, upcast->from);
    if (versions_names_fields(subscribed->fields) && names_any_field(upcast->shape))
        return error_set(error, FH_INVALID,
                         "The upcast of %.48s from version %d has a shape with \"*\": it names the "
                         "fields that are asked for, as the subscription has `fields`.",
                         upcast->type, upcast->from);
    return FH_OK;
}

static enum fh_code check_upcast_chain(const fh_service *service, const struct fh_upcast *upcast,
                                       const struct fh_subscription *subscribed,
                                       struct fh_error *error)
{
    if (versions_upcast(service, subscribed, upcast->from) != upcast)
        return error_set(error, FH_INVALID, "There are two upcasts of %.48s from version %d.",
                         upcast->type, upcast->from);
    if (upcast->from + 1 == subscribed->version)
        return FH_OK;
    const struct fh_upcast *next = versions_upcast(service, subscribed, upcast->from + 1);
    if (!next)
        return error_set(error, FH_INVALID,
                         "There is an upcast of %.48s from version %d, and none from version %d "
                         "that would lead on to %d.",
                         upcast->type, upcast->from, upcast->from + 1, subscribed->version);
    if (!next->shape || !is_same_shape(upcast->into, next->shape))
        return error_set(error, FH_INVALID,
                         "The upcast of %.48s from version %d makes another shape than the one "
                         "from version %d takes.",
                         upcast->type, upcast->from, next->from);
    return FH_OK;
}

static enum fh_code check_upcasts(const fh_service *service, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < COUNT(service->upcasts) && service->upcasts[i].service && !code; i++) {
        const struct fh_upcast *upcast = &service->upcasts[i];
        const struct fh_subscription *subscribed = subscription_to(service, upcast);
        code = check_upcast_row(upcast, subscribed, error);
        if (code == FH_OK)
            code = check_upcast_chain(service, upcast, subscribed, error);
    }
    return code;
}

/* ---- downcasts ---- */

static int version_of_published(const fh_service *service, const char *type)
{
    for (size_t i = 0; i < COUNT(service->publishes) && service->publishes[i].type; i++) {
        if (strcmp(service->publishes[i].type, type) == 0)
            return versions_published(&service->publishes[i]);
    }
    return 0;
}

static enum fh_code check_downcast(const fh_service *service, const struct fh_downcast *downcast,
                                   struct fh_error *error)
{
    int present = version_of_published(service, downcast->type);
    if (!present)
        return error_set(error, FH_INVALID,
                         "There is a downcast of %.64s, which %.64s does not publish.",
                         downcast->type, service->name);
    if (downcast->to < 1 || downcast->to >= present)
        return error_set(error, FH_INVALID,
                         "The downcast of %.64s to version %d can't begin at version %d, which is "
                         "published.",
                         downcast->type, downcast->to, present);
    if (!downcast->into || !downcast->cast)
        return error_set(error, FH_INVALID,
                         "The downcast of %.64s to version %d needs `into` and `cast`.",
                         downcast->type, downcast->to);
    if (versions_downcast(service, downcast->type, downcast->to) != downcast)
        return error_set(error, FH_INVALID, "There are two downcasts of %.64s to version %d.",
                         downcast->type, downcast->to);
    if (downcast->to + 1 < present && !versions_downcast(service, downcast->type, downcast->to + 1))
        return error_set(error, FH_INVALID,
                         "There is a downcast of %.64s to version %d, and none to version %d from "
                         "which it would begin.",
                         downcast->type, downcast->to, downcast->to + 1);
    return FH_OK;
}

/* ---- all of it ---- */

enum fh_code versions_check(const fh_service *service, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < COUNT(service->publishes) && service->publishes[i].type && !code; i++)
        code =
            check_event_version(service->publishes[i].type, service->publishes[i].version, error);
    for (size_t i = 0; i < COUNT(service->subscribes) && service->subscribes[i].service && !code;
         i++)
        code =
            check_event_version(service->subscribes[i].type, service->subscribes[i].version, error);
    if (code == FH_OK)
        code = check_upcasts(service, error);
    for (size_t i = 0; i < COUNT(service->downcasts) && service->downcasts[i].type && !code; i++)
        code = check_downcast(service, &service->downcasts[i], error);
    return code;
}
