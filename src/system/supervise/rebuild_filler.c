/* SPDX-License-Identifier: Apache-2.0 */
/* It is the service's own configuration, but for what two processes can't share: folder, name as a
 * subscriber, and connections of the server. */

#include "system/supervise/rebuild_filler.h"

#include <stdio.h>

#include "base/json.h"
#include "event/outbox/subscribers.h"
#include "service/process.h"
#include "service/rebuild.h"
#include "service/rebuild_exchange.h"
#include "system/provision/state.h"

#define FILLER_CONNECTIONS_MAX 4

static bool reads_source(const json_t *config)
{
    const char *name;
    json_t *options;
    json_object_foreach (json_object_get(config, "buses"), name, options) {
        if (json_object_get(options, "source"))
            return true;
    }
    return false;
}

/* Those of the server are counted for the service's own processes; and replicas show nothing of the
 * new store yet, of which nobody reads. */
static void share_server(json_t *store)
{
    json_int_t connections = FILLER_CONNECTIONS_MAX;
    json_object_del(store, "replicas");
    if (!json_integer_at(store, "connections", &connections) ||
        connections > FILLER_CONNECTIONS_MAX)
        json_object_set_new(store, "connections", json_integer(FILLER_CONNECTIONS_MAX));
}

static json_t *rebuild_terms(const struct rebuild *rebuild, const struct provision_part *part)
{
    json_t *record = NULL;
    json_t *terms = json_pack("{s:o, s:b, s:b, s:s}", "reads_as",
                              json_sprintf("%s" SUBSCRIBERS_REBUILD, part->name), "takes_parked",
                              rebuild->takes_parked, "keeps", rebuild->keeps, "id", rebuild->id);
    if (state_read_json(part->folder_fd, PROCESS_STORE_FILE, &record, ERROR_UNHEEDED) == FH_OK)
        json_object_set(terms, "migration", json_object_get(record, "migration"));
    json_decref(record);
    return terms;
}

enum fh_code rebuild_configure(const struct rebuild *rebuild, const struct provision_part *part,
                               struct fh_error *error)
{
    json_t *config;
    char folder[PROVISION_PATH_SIZE];
    enum fh_code code = state_read_json(part->folder_fd, "service.json", &config, error);
    if (code != FH_OK)
        return code;
    if (reads_source(config)) {
        json_decref(config);
        return error_set(
            error, FH_UNSUPPORTED,
            "%s subscribes to topics outside the system, and those can't be read into a new "
            "store yet.",
            part->name);
    }
    snprintf(folder, sizeof folder, "%s/" SERVICE_REBUILD_FOLDER, part->folder);
    json_object_set_new(config, "folder", json_string(folder));
    /* Brokers know one user and one queue for the service: it reads from the feed alone. */
    json_object_del(config, "bus");
    json_object_del(config, "buses");
    json_object_del(config, "reports"); /* nobody can ask it for one */
    json_t *terms = rebuild_terms(rebuild, part);
    if (rebuild->on_server) { /* a program that can't make a store there finds none */
        json_object_set(terms, "store", json_object_get(config, "store"));
        json_object_del(config, "store");
        share_server(json_object_get(terms, "store"));
    }
    json_object_set_new(config, "rebuild", terms);
    code = state_write_json(part->folder_fd, REBUILD_CONFIG, config, error);
    json_decref(config);
    return code;
}
