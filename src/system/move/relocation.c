/* SPDX-License-Identifier: Apache-2.0 */
/* What a move consists of: the service, its processes, and the two homes, of which it has one at a
 * time. The steps, which swap them, are in relocate.c. */

#include "engine/engines.h"
#include "store/store.h"
#include "system/supervise/supervisor.h"

struct system_file *relocation_file(const struct supervisor *supervisor)
{
    return supervisor->options->file;
}

struct system_service *relocation_service(const struct supervisor *supervisor)
{
    return &relocation_file(supervisor)->services[supervisor->relocation.service];
}

struct instances *relocation_instances(struct supervisor *supervisor)
{
    return &supervisor->all[supervisor->relocation.service];
}

bool relocation_takes_many(const char *engine)
{
    const struct engine *named = engine_named(engine);
    return named && engine_can(named, ENGINE_MANY_INSTANCES);
}

void relocation_swap(struct supervisor *supervisor)
{
    struct relocation *relocation = &supervisor->relocation;
    struct system_service *service = relocation_service(supervisor);
    json_t *stores = supervisor->options->provision->stores;
    json_t *store = json_incref(json_object_get(stores, service->name));
    home_swap(relocation_file(supervisor), service, &relocation->other);
    if (relocation->store)
        json_object_set_new(stores, service->name, relocation->store);
    else
        json_object_del(stores, service->name);
    relocation->store = store;
}
