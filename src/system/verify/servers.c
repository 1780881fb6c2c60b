/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The credentials are those of the live services, read from their configurations. If a server lets
 * nobody in, a refusal verifies nothing, so each store is first entered with its own credentials.
 *
 * How many connections may be opened is a sum: each process of a service may have as many as its
 * "connections" says, plus a few of the engine's own. A server with room for fewer refuses someone
 * sooner or later, and always at the busiest time, so this warns while there is still room.
 */

#include "system/verify/servers.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "engine/engines.h"
#include "store/server.h"

#define ROOM_SHARE_MAX 80 /* per cent of a server's connections */

struct verifying {
    const struct system_file *file;
    const json_t *status;
    struct findings *findings;
    json_t *stores; /* {"users": "store" of its configuration} */
};

static json_t *read_stores(const struct system_file *file, const struct state *state)
{
    json_t *stores = json_object(), *config;
    char name[64];
    for (size_t i = 0; i < file->service_count; i++) {
        const char *service = file->services[i].name;
        snprintf(name, sizeof name, "%s/service.json", service);
        if (state_read_json(state->folder_fd, name, &config, ERROR_UNHEEDED) != FH_OK)
            continue; /* live_check has reported it */
        if (json_object_get(config, "store") && server_kind(server_text(config, "engine")))
            json_object_set(stores, service, json_object_get(config, "store"));
        if (json_object_get(stores, service))
            json_object_set(json_object_get(stores, service), "engine",
                            json_object_get(config, "engine"));
        json_decref(config);
    }
    return stores;
}

static void try_store(const struct verifying *by, const struct system_service *owner,
                      const json_t *store)
{
    const struct server_kind *kind = server_kind(server_text(store, "engine"));
    struct fh_error error = {0};
    char open[SERVER_OPEN_SIZE], place[SERVER_PLACE_SIZE];
    if (kind->enter(store, &error) != FH_OK) {
        findings_error(
            by->findings, owner->place,
            "the store of %s does not let its own service in, so nothing was verified of "
            "it: %s",
            owner->name, error.message);
        return;
    }
    for (size_t i = 0; i < by->file->service_count; i++) {
        const struct system_service *other = &by->file->services[i];
        const json_t *as = json_object_get(by->stores, other->name);
        if (other == owner || !as)
            continue;
        if (kind->trespass(as, store, open, &error) != FH_OK)
            findings_error(by->findings, other->place,
                           "whether %s reaches the store of %s could not be tried: %s", other->name,
                           owner->name, error.message);
        else if (*open)
            findings_error(by->findings, other->place,
                           "%s can %s on the server of %s at %s, which is not its own", other->name,
                           open, owner->name, server_place(store, kind->port, place));
    }
}

/* ---- Connections ---- */

static bool same_server(const json_t *a, const json_t *b)
{
    return strcmp(server_text(a, "host"), server_text(b, "host")) == 0 &&
           server_port(a, 0) == server_port(b, 0);
}

static int processes_of(const struct verifying *by, const struct system_service *service)
{
    size_t i;
    json_t *process;
    json_array_foreach (json_at(by->status, "services"), i, process) {
        size_t count = json_array_size(json_at(process, "instances"));
        if (count && strcmp(server_text(process, "name"), service->name) == 0)
            return (int)count;
    }
    return service->instances;
}

/* By all services on the server of `store`; *ret_first: the first of them. */
static int count_needed(const struct verifying *by, const json_t *store,
                        const struct system_service **ret_first)
{
    int needed = 0;
    *ret_first = NULL;
    for (size_t i = 0; i < by->file->service_count; i++) {
        const struct system_service *service = &by->file->services[i];
        const json_t *other = json_object_get(by->stores, service->name);
        if (!other || !same_server(store, other))
            continue;
        if (!*ret_first)
            *ret_first = service;
        int pool = (int)json_integer_value(json_object_get(other, "connections"));
        int each = server_kind(server_text(other, "engine"))->connections(pool);
        each += json_object_get(other, "reports") != NULL; /* one is under way at once */
        needed += processes_of(by, service) * each;
    }
    return needed;
}

static void check_room(const struct verifying *by, const struct system_service *service,
                       const json_t *store)
{
    const struct server_kind *kind = server_kind(server_text(store, "engine"));
    const struct system_service *first;
    struct server_room room;
    char place[SERVER_PLACE_SIZE];
    struct fh_error error = {0};
    int needed = count_needed(by, store, &first);
    if (first != service)
        return; /* check each server once */
    enum fh_code code = server_room(kind, store, &room, &error);
    if (code == FH_UNSUPPORTED)
        return; /* it reports no limit */
    if (code != FH_OK)
        findings_warning(by->findings, service->place,
                         "the connections of the server of %s were not counted: %s", service->name,
                         error.message);
    else if (needed * 100 > room.connections_max * ROOM_SHARE_MAX)
        findings_warning(by->findings, service->place,
                         "the server of %s at %s takes %d connections and has %d now, and the "
                         "services on it may open %d: give it more, or them fewer "
                         "(store.connections, instances)",
                         service->name, server_place(store, kind->port, place),
                         room.connections_max, room.connections, needed);
}

void verify_servers(const struct system_file *file, const struct state *state, const json_t *status,
                    struct findings *findings)
{
    struct verifying by = {
        .file = file, .status = status, .findings = findings, .stores = read_stores(file, state)};
    for (size_t i = 0; i < file->service_count; i++) {
        const struct system_service *service = &file->services[i];
        const json_t *store = json_object_get(by.stores, service->name);
        if (!store)
            continue;
        try_store(&by, service, store);
        check_room(&by, service, store);
    }
    json_decref(by.stores);
}
