/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the configuration's buses are used: a source's only where its events are subscribed to.
 */

#include "service/buses.h"

#include <string.h>

#include "base/json.h"
#include "event/carried/bus.h"
#include "event/relay/relay.h"
#include "event/source/bus.h"

static bool bus_is_needed(const fh_service *service, const char *source)
{
    for (size_t i = 0; i < sizeof service->subscribes / sizeof *service->subscribes; i++) {
        const char *of = service->subscribes[i].service;
        if (of && strcmp(of, source) == 0)
            return true;
    }
    return false;
}

enum fh_code buses_take(struct runtime *runtime, struct fh_error *error)
{
    struct event_manager *events = runtime->context.events;
    const char *system = json_string_at(runtime->config, "system"), *source;
    const json_t *own = json_object_get(runtime->config, "bus");
    json_t *options;
    enum fh_code code = FH_OK;
    if (json_object_get(runtime->config, "task")) /* its store is no running service's */
        return FH_OK;
    if (own)
        code = relay_new(events, system, own, error);
    json_object_foreach (json_object_get(runtime->config, "buses"), source, options) {
        if (code != FH_OK || !bus_is_needed(runtime->service, source))
            continue;
        code = json_object_get(options, "source")
                   ? source_add(events, source, options, error)
                   : carried_add(events, system, source, options, error);
    }
    return code;
}
