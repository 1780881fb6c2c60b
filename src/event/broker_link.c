/* SPDX-License-Identifier: Apache-2.0 */
/* Connecting. What fails is logged once, until it has succeeded. */

#include "event/broker_link.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "work/work.h"
#include "world/world.h"

int64_t broker_pause_until_ns(struct world *world, int n, int64_t ms_max)
{
    int64_t most = BROKER_RETRY_MS_MIN;
    for (int i = 1; i < n && most < ms_max; i++)
        most *= 2;
    most = most < ms_max ? most : ms_max;
    return world_in_ms(world, 1 + (int64_t)world_random_below(world, (uint64_t)most));
}

static void tell_failure(struct broker_link *link, const struct fh_error *error)
{
    if (!*link->why)
        log_warning("broker-unreachable", "The broker can't be used, and is tried again: %s",
                    error->message);
    snprintf(link->why, sizeof link->why, "%s", error->message);
}

static void run_link(void *argument)
{
    struct broker_link *link = argument;
    struct world *world = link->manager->context->world;
    struct fh_error error = {0};
    for (int n = 1; !link->broker && !link->manager->draining; n++) {
        enum fh_code code = link->driver->connect(
            world, link->options, world_in_ms(world, BROKER_CONNECT_MS), &link->broker, &error);
        if (code == FH_OK)
            break;
        link->broker = NULL;
        tell_failure(link, &error);
        event_manager_sleep(link->manager,
                            code == FH_UNAVAILABLE
                                ? broker_pause_until_ns(world, n, BROKER_RETRY_MS_MAX)
                                : world_in_ms(world, BROKER_HOPELESS_MS));
    }
    if (link->broker && *link->why)
        log_info("broker-reached", "The broker is connected.");
    if (link->broker)
        link->why[0] = '\0';
    link->connecting = false;
    fiber_wake_all(&link->changed);
    event_manager_fiber_ends(link->manager);
}

struct broker *broker_link_get(struct broker_link *link)
{
    if (!link->broker && !link->connecting && !link->manager->draining)
        link->connecting = event_manager_fiber(link->manager, run_link, link);
    return link->broker;
}

const char *broker_link_fault(struct broker_link *link)
{
    struct fh_error error;
    if (!link->broker)
        return *link->why ? link->why : "The broker is not connected yet.";
    if (!link->driver->connected || link->driver->connected(link->broker, &error) == FH_OK)
        return NULL;
    snprintf(link->lost, sizeof link->lost, "%s", error.message);
    return link->lost;
}

enum fh_code broker_link_of(struct event_manager *manager, const json_t *options, bool relays,
                            struct broker_link **ret, struct fh_error *error)
{
    const char *name = json_string_at(options, "driver");
    const struct broker_driver *driver = name ? broker_driver_named(name) : NULL;
    struct broker_link **at = &manager->links;
    if (!driver)
        return error_set(error, FH_INVALID, "This build has no driver of a bus named %.64s.",
                         name ? name : "nothing");
    while (*at && ((*at)->relays != relays || !json_equal((*at)->options, options)))
        at = &(*at)->next;
    if (!*at) {
        *at = calloc(1, sizeof **at);
        FH_ASSERT(*at != NULL);
        **at = (struct broker_link){
            .manager = manager, .driver = driver, .options = options, .relays = relays};
    }
    *ret = *at;
    return FH_OK;
}

void broker_links_free(struct event_manager *manager)
{
    while (manager->links) {
        struct broker_link *link = manager->links;
        manager->links = link->next;
        if (link->broker)
            link->driver->close(link->broker);
        free(link);
    }
}
