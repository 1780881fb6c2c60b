/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of a service, and of the gateway, by what the system file says of them alone. */

#include "system/check/own.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "carrier/driver.h"
#include "engine/engines.h"
#include "gateway/routes.h"
#include "http/outside.h"
#include "store/derived/derived.h"
#include "store/model.h"
#include "store/store.h"
#include "system/check/event_keys.h"
#include "system/check/migrations.h"
#include "system/check/reports.h"
#include "system/check/settings.h"
#include "system/file/nearest.h"
#include "system/provision/links.h"
#include "work/carried.h"

struct own {
    const struct system_file *file;
    const struct system_service *service;
    struct findings *findings;
};

static void check_allowed_fetches(const struct own *by, const struct system_service *service)
{
    size_t i, j;
    json_t *host, *pattern;
    json_array_foreach (json_object_get(service->description, "fetches"), i, host) {
        bool allowed = !service->outside.hosts;
        json_array_foreach (service->outside.hosts, j, pattern)
            allowed = allowed ||
                      outside_host_matches(json_string_value(pattern), json_string_value(host));
        if (!allowed)
            findings_error(by->findings, by->service->place,
                           "%s fetches from %s, which services.%s.outside_hosts does not allow",
                           service->name, json_string_value(host), service->name);
    }
}

static void check_model(const struct own *by, const struct system_service *service)
{
    const struct engine *engine = engine_named(service->engine);
    const struct model *model = model_named(json_string_at(service->description, "model"));
    if (model && !(engine->models & 1u << model->id))
        findings_error(by->findings, service->engine_place,
                       "%s keeps %s, and the engine %s has none", service->name, model->keeps,
                       service->engine);
}

static const json_t *find_declared(const struct system_service *service, const char *name)
{
    size_t i;
    json_t *declared;
    json_array_foreach (json_object_get(service->description, "derives"), i, declared) {
        const char *declared_name = json_string_at(declared, "name");
        if (declared_name && strcmp(declared_name, name) == 0)
            return declared;
    }
    return NULL;
}

static void report_undeclared(const struct own *by, const struct system_derives *derives)
{
    struct nearest nearest = nearest_begin(derives->name);
    size_t i;
    json_t *declared;
    json_array_foreach (json_object_get(by->service->description, "derives"), i, declared)
        nearest_offer(&nearest, json_string_at(declared, "name"));
    findings_error(by->findings, derives->place,
                   "services.%s.derives: %s declares no derived store '%s'%s%s%s",
                   by->service->name, by->service->name, derives->name,
                   nearest.word ? "; did you mean '" : "", nearest.word ? nearest.word : "",
                   nearest.word ? "'?" : "");
}

/* "FH_SEARCH and FH_SERIES": what a driver holds. */
static const char *models_held(const struct carried_driver *driver, char ret[static 64])
{
    static const enum fh_model models[] = {FH_SEARCH, FH_SERIES, FH_COLUMNS};
    ret[0] = '\0';
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        size_t length = strlen(ret);
        if (driver->models >> models[i] & 1)
            snprintf(ret + length, 64 - length, "%s%s", length ? " and " : "",
                     derived_model_name(models[i]));
    }
    return ret;
}

/* NULL: the server is none that is known, of which the file was told. */
static const struct carried_driver *driver_of(const struct system_file *file,
                                              const struct system_derives *derives)
{
    for (size_t i = 0; i < file->server_count && derives->server; i++) {
        const struct system_server *server = &file->servers[i];
        if (server->derived && strcmp(server->name, derives->server) == 0)
            return carried_driver_named(server->derived);
    }
    return NULL;
}

static enum fh_model declared_model(const json_t *declared)
{
    const char *model = json_string_at(declared, "model");
    return !model                          ? FH_SEARCH
           : strcmp(model, "series") == 0  ? FH_SERIES
           : strcmp(model, "columns") == 0 ? FH_COLUMNS
                                           : FH_SEARCH;
}

/* One that the file puts on a server. */
static void check_carried(const struct own *by, const struct system_derives *derives,
                          const json_t *declared)
{
    const struct carried_driver *driver = driver_of(by->file, derives);
    enum fh_model model = declared_model(declared);
    char held[64], why[160];
    bool keeps = driver && carried_keeps(driver, model, why);
    if (keeps && json_object_get(declared, "rollups"))
        snprintf(why, sizeof why, CARRIED_KEEPS_NO_ROLLUPS);
    if (derives->kept && driver && (!keeps || json_object_get(declared, "rollups")))
        findings_error(by->findings, derives->kept_place,
                       "services.%s.derives.%s.kept: its server can't be the only one to have it: "
                       "%s",
                       by->service->name, derives->name, why);
    if (driver && !(driver->models >> model & 1))
        findings_error(by->findings, derives->server_place,
                       "services.%s.derives.%s: %s holds %s; %s is an %s", by->service->name,
                       derives->name, driver->title, models_held(driver, held), derives->name,
                       derived_model_name(model));
    else if (model == FH_SEARCH && !json_is_true(json_object_get(declared, "state")))
        findings_error(by->findings, derives->place,
                       "services.%s.derives.%s: to lie on a server it needs a `state`, from "
                       "which it is made anew when the server has lost it",
                       by->service->name, derives->name);
}

static void check_all_carried(const struct own *by, const struct system_service *service)
{
    for (size_t i = 0; i < service->derives_count; i++) {
        const json_t *declared = find_declared(service, service->derives[i].name);
        if (declared)
            check_carried(by, &service->derives[i], declared);
        else
            report_undeclared(by, &service->derives[i]);
    }
}

/* Points and facts are in the service's own store, wherever else they lie, unless the server alone
 * has them. */
static bool is_derived_elsewhere(const struct system_service *service, const json_t *declared)
{
    const char *name = json_string_at(declared, "name");
    for (size_t i = 0; i < service->derives_count; i++) {
        const struct system_derives *derives = &service->derives[i];
        if (name && strcmp(derives->name, name) == 0)
            return declared_model(declared) == FH_SEARCH || derives->kept;
    }
    return false;
}

static bool needs_own_store(const struct system_service *service)
{
    size_t i;
    json_t *declared;
    json_array_foreach (json_object_get(service->description, "derives"), i, declared) {
        if (!is_derived_elsewhere(service, declared))
            return true;
    }
    return false;
}

static void check_derives(const struct own *by, const struct system_service *service)
{
    const struct engine *engine = engine_named(service->engine);
    check_all_carried(by, service);
    if (!engine->derived && needs_own_store(service))
        findings_error(by->findings, service->engine_place,
                       "%s declares derived stores, and a store of %s can't have any: expected "
                       "%s, or on a server an FH_SEARCH, or what is `kept` there",
                       service->name, engine->title, engine_embedded()->name);
}

static void check_model_store(const struct own *by, const struct system_service *service)
{
    const struct model *model = model_named(json_string_at(service->description, "model"));
    if (!model || !model->has_migrations)
        return;
    if (!service->migrations)
        findings_warning(by->findings, by->service->place,
                         "%s is relational and has no migrations, so no tables; looked for %s/%s/"
                         "migrations",
                         service->name, by->file->folder, service->name);
    migrations_check(service, by->findings);
}

void own_check(const struct system_file *file, const struct system_service *service,
               struct findings *findings)
{
    const struct own own = {file, service, findings};
    check_model(&own, service);
    check_derives(&own, service);
    reports_check_store(service, engine_named(service->engine), findings);
    check_model_store(&own, service);
    settings_check(service, findings);
    check_allowed_fetches(&own, service);
    event_keys_check(service, findings);
}

/* Finds everything that the gateway would refuse, by running its own code. */
void own_check_gateway(struct system_file *file, struct findings *findings)
{
    struct fh_error error;
    struct routes routes;
    json_t *peers = json_object(), *services = json_object(), *compose = json_array();
    for (size_t i = 0; i < file->service_count; i++) {
        const struct system_service *service = &file->services[i];
        json_object_set_new(peers, service->name, json_string("127.0.0.1:1"));
        json_object_set(services, service->name, service->description);
    }
    for (size_t i = 0; i < file->composition_count; i++)
        json_array_append_new(compose, system_file_composition(&file->compositions[i]));
    json_t *config = json_object();
    json_object_set_new(config, "peers", peers);
    json_object_set_new(config, "services", services);
    json_object_set_new(config, "compose", compose);
    links_check(file, findings);
    if (routes_init(&routes, config, &error) == FH_OK)
        routes_release(&routes);
    else
        findings_error(findings, file->listen_place, "the gateway: %s", error.message);
    json_decref(config);
}
