/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the stores are on a server, `up` can't rename them: it leaves an order, and the first
 * process of the service carries it out, while no other runs. For a service that publishes the new
 * store first takes over what it has published (rebuild_join.c). Then one transaction of the server
 * removes the former one, and has the new one take its place (store/beside.h).
 *
 *   killed before that is durable   the next process goes on, while the order is there; the next
 *                                   `up` removes the order, and the former store serves
 *   killed after it                 the next process finds that it was done, and removes the order
 *
 * From there on there is no way back, whatever the service does: unlike a file, the former store is
 * gone.
 */

#include "service/rebuild_exchange.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/crash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "engine/engines.h"
#include "service/move.h"
#include "service/rebuild.h"
#include "service/rebuild_join.h"
#include "service/runtime.h"
#include "store/beside.h"

struct exchange_order {
    const fh_service *service;
    const json_t *config;
    struct world *world;
    json_t *order;
    char path[4300];
};

static enum fh_code read_order(struct exchange_order *order, struct fh_error *error)
{
    int64_t size;
    const char *folder = json_string_at(order->config, "folder");
    snprintf(order->path, sizeof order->path, "%s/" REBUILD_ORDER, folder);
    int failed = order->world->files->size(order->world, order->path, &size);
    if (failed == ENOENT)
        return FH_OK;
    if (failed)
        return error_set_errno(error, FH_UNAVAILABLE, failed, "%.150s can't be looked at",
                               order->path);
    struct text text;
    text_init(&text, 4096);
    failed = order->world->files->read(order->world, order->path, &text);
    enum fh_code code =
        failed ? error_set_errno(error, FH_UNAVAILABLE, failed, "%.150s can't be read", order->path)
               : json_parse(text.data ? text.data : "", text.length, &order->order, error);
    text_release(&text);
    if (code == FH_OK && !json_string_at(order->order, "rebuild"))
        code = error_set(error, FH_INVALID, "%.150s: expected a \"rebuild\".", order->path);
    return code;
}

static enum fh_code join_both(const struct exchange_order *order, struct store *fresh,
                              struct fh_error *error)
{
    bool unjoined;
    struct store *former;
    enum fh_code code = rebuild_is_unjoined(fresh, &unjoined, error);
    if (code != FH_OK || !unjoined)
        return code;
    code = service_store_open_beside(order->service, order->config, NULL, order->world, &former,
                                     error);
    if (code != FH_OK)
        return code;
    code = rebuild_join_stores(order->service, former, fresh, error);
    service_store_leave(former);
    return code;
}

static enum fh_code carry_out_order(const struct exchange_order *order, struct fh_error *error)
{
    struct store *fresh;
    bool taken = false;
    struct store_beside beside = {.id = json_string_at(order->order, "rebuild"), .taken = &taken};
    CRASH_POINT("exchange.ordered");
    enum fh_code code = service_store_open_beside(order->service, order->config, &beside,
                                                  order->world, &fresh, error);
    if (taken)
        return FH_OK;
    if (code == FH_NOT_FOUND) /* and trying again would not help */
        return error->code = FH_INVALID;
    if (code != FH_OK)
        return code;
    if (service_rebuild_joins(order->service))
        code = join_both(order, fresh, error);
    CRASH_POINT("exchange.joined");
    if (code == FH_OK)
        code = fresh->engine->beside->take(fresh, error);
    service_store_leave(fresh);
    return code;
}

static enum fh_code remove_order(const struct exchange_order *order, struct fh_error *error)
{
    CRASH_POINT("exchange.taken");
    int failed = order->world->files->remove(order->world, order->path);
    if (failed && failed != ENOENT)
        return error_set_errno(error, FH_UNAVAILABLE, failed, "%.150s can't be removed",
                               order->path);
    log_info("rebuild-taken", "the new store has taken the place of the former one");
    return FH_OK;
}

static enum fh_code exchange_on_server(const fh_service *service, const json_t *config,
                                       struct world *world, struct fh_error *error)
{
    struct exchange_order order = {.service = service, .config = config, .world = world};
    const char *instance = json_string_at(config, "instance");
    enum fh_code code = read_order(&order, error);
    if (code == FH_OK && order.order && instance && strcmp(instance, "0") != 0)
        code = error_set(error, FH_UNAVAILABLE, "The first instance exchanges the store.");
    else if (code == FH_OK && order.order)
        code = carry_out_order(&order, error);
    if (code == FH_OK && order.order)
        code = remove_order(&order, error);
    json_decref(order.order);
    return code;
}

enum fh_code service_rebuild_exchange(const fh_service *service, const json_t *config,
                                      struct world *world, struct fh_error *error)
{
    const char *name = json_string_at(config, "engine");
    const struct engine *engine = name ? engine_named(name) : engine_embedded();
    /* Simulated services are not rebuilt. */
    if (!json_string_at(config, "folder") || service_is_rebuilt(config) || world->vfs || !engine)
        return FH_OK;
    return engine->beside ? exchange_on_server(service, config, world, error)
                          : service_rebuild_join(service, config, world, error);
}

void service_rebuild_sweep(const struct runtime *runtime)
{
    char path[4300];
    int64_t size;
    struct fh_error error;
    struct store *store = runtime->context.store;
    const struct beside_ops *beside = store->engine->beside;
    const char *folder = json_string_at(runtime->config, "folder");
    if (!folder || !beside || service_is_rebuilt(runtime->config) || runtime->world->vfs)
        return;
    snprintf(path, sizeof path, "%s/" REBUILD_CONFIG, folder);
    if (runtime->world->files->size(runtime->world, path, &size) == ENOENT &&
        beside->sweep(store, &error) != FH_OK)
        log_warning("rebuild-remains",
                    "What a rebuild that was given up has left beside the store can't be removed "
                    "now; this will be tried again: %s",
                    error.message);
}
