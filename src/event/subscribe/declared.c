/* SPDX-License-Identifier: Apache-2.0 */
/* From what a service declares to its subscriptions, one for each publisher. */

#include <stdlib.h>
#include <string.h>

#include "event/resync/resync.h"
#include "event/subscribe/apply.h"
#include "event/subscribe/subscription.h"

static struct subscription *subscription_of(struct event_manager *manager, const char *source)
{
    struct subscription **at = &manager->subscriptions;
    for (; *at; at = &(*at)->next) {
        if (strcmp((*at)->source, source) == 0)
            return *at;
    }
    struct subscription *s = calloc(1, sizeof *s);
    FH_ASSERT(s != NULL);
    s->manager = manager;
    s->source = source;
    s->bus = event_manager_bus(manager, source);
    s->outside = event_manager_source(manager, source) > 0;
    *at = s;
    return s;
}

/* It declares what only a service of Freehold answers. */
static bool needs_publisher(const struct fh_subscription *subscribed)
{
    return subscribed->upsert || subscribed->gone || subscribed->held || subscribed->covered_by ||
           subscribed->sync_s || subscribed->version;
}

static enum fh_code add_declaration(struct event_manager *manager,
                                    const struct fh_subscription *subscribed,
                                    struct fh_error *error)
{
    struct subscription *s = subscription_of(manager, subscribed->service);
    if (!subscribed->type || !subscribed->handler)
        return error_set(error, FH_INVALID, "`subscribes` to %s lacks a type or a handler.",
                         subscribed->service);
    if (apply_handler(s, subscribed->type))
        return error_set(error, FH_INVALID, "`subscribes` names %s of %s twice.", subscribed->type,
                         subscribed->service);
    if (s->outside && needs_publisher(subscribed))
        return error_set(error, FH_INVALID,
                         "`subscribes` to %s %s: a source outside has no state to resync with, and "
                         "no versions.",
                         subscribed->service, subscribed->type);
    s->subscribed[s->subscribed_count++] = subscribed;
    return resync_check(manager->context->service, subscribed, error);
}

enum fh_code subscribe_declare(struct event_manager *manager, struct fh_error *error)
{
    const struct fh_service *service = manager->context->service;
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < SUBSCRIBED_MAX && code == FH_OK; i++) {
        if (service->subscribes[i].service)
            code = add_declaration(manager, &service->subscribes[i], error);
    }
    return code;
}
