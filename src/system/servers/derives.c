/* SPDX-License-Identifier: Apache-2.0 */
/* Where a service's derived stores are, as it alone is told: passwords are made once and kept, and
 * a private server's port is another one at each `up`. */

#include "system/servers/derives.h"

#include <stdio.h>

#include "base/json.h"
#include "carrier/driver.h"
#include "store/server.h"
#include "store/tls.h"
#include "system/provision/part.h"
#include "system/provision/tls_files.h"
#include "system/servers/kept.h"
#include "system/servers/privates.h"

/* ---- who is concerned ---- */

static bool derives_on(const struct system_service *service, const struct system_server *server)
{
    for (size_t i = 0; i < service->derives_count; i++) {
        if (strcmp(service->derives[i].server, server->name) == 0)
            return true;
    }
    return false;
}

/* Another one than SERVER_SUPERUSER, whatever the service is called. */
static const char *derived_user(struct provision *provision, const struct system_service *service)
{
    return arena_printf(&provision->arena, "%s_%s", provision->options.file->name, service->name);
}

static const char *derived_password(struct provision *provision, json_t *kept,
                                    const struct system_server *server,
                                    const struct system_service *service)
{
    struct arena *arena = &provision->arena;
    const char *key = arena_printf(arena, "%s@%s", service->name, privates_key(arena, server));
    return json_string_value(kept_secret(kept, key));
}

/* ---- configurations ---- */

static json_t *existing_derived(const struct system_server *server)
{
    const struct system_address *address = &server->address;
    const struct carried_driver *driver = carried_driver_named(server->derived);
    json_t *options = json_pack("{s:s, s:s, s:i, s:s*, s:s*}", "driver", server->derived, "host",
                                address->host, "port", address->port ? address->port : driver->port,
                                "user", address->user, "password", address->password);
    json_object_set_new(options, "tls", store_tls_json(address->tls, address->host));
    return options;
}

static json_t *private_derived(struct provision *provision, const struct system_server *server,
                               const struct system_service *service, json_t *kept)
{
    const struct provision_part *part = privates_part(provision, server);
    FH_ASSERT(part != NULL);
    return json_pack("{s:s, s:s, s:i, s:s, s:s, s:{s:s}}", "driver", server->derived, "host",
                     PRIVATES_HOST, "port", privates_port(part), "user",
                     derived_user(provision, service), "password",
                     derived_password(provision, kept, server, service), "tls", "mode", "verify");
}

static json_t *derives_of_service(struct provision *provision, const struct system_service *service,
                                  json_t *kept)
{
    struct system_file *file = provision->options.file;
    json_t *derives = json_object();
    for (size_t i = 0; i < service->derives_count; i++) {
        const struct system_server *server = system_file_server(file, service->derives[i].server);
        json_t *options = server->address.host ? existing_derived(server)
                                               : private_derived(provision, server, service, kept);
        if (server->options)
            json_object_update_missing(options, server->options);
        if (service->derives[i].kept)
            json_object_set_new(options, "kept", json_true());
        json_object_set_new(derives, service->derives[i].name, options);
    }
    return derives;
}

void derives_configure(struct provision *provision, json_t *kept)
{
    const struct system_file *file = provision->options.file;
    json_decref(provision->derives);
    provision->derives = json_object();
    for (size_t i = 0; i < file->service_count; i++) {
        if (file->services[i].derives_count)
            json_object_set_new(provision->derives, file->services[i].name,
                                derives_of_service(provision, &file->services[i], kept));
    }
}

void derives_say(const struct provision *provision)
{
    const char *service, *derived;
    json_t *of_service, *at;
    char text[512], place[SERVER_PLACE_SIZE];
    json_object_foreach (provision->derives, service, of_service) {
        json_object_foreach (of_service, derived, at) {
            const struct system_service *of = system_file_service(provision->options.file, service);
            const char *name = "";
            for (size_t i = 0; i < of->derives_count; i++) {
                if (strcmp(of->derives[i].name, derived) == 0)
                    name = of->derives[i].server;
            }
            bool here = !system_file_server(provision->options.file, name)->address.host;
            snprintf(text, sizeof text, "%-12s %s: %s, the %s %s at %s", service, derived,
                     server_text(at, "driver"), here ? "private server" : "server", name,
                     server_place(at, 0, place));
            provision->options.say(provision->options.context, "derived-located", text);
        }
    }
}

/* ---- certificates ---- */

static enum fh_code give_derived_files(struct provision *provision, struct provision_part *part,
                                       const struct system_server *server, json_t *options,
                                       struct fh_error *error)
{
    static const char *const members[] = {"ca", "certificate", "key", NULL};
    struct arena *arena = &provision->arena;
    json_t *tls = json_object_get(options, "tls");
    if (!server->address.host)
        return privates_make_known(
            provision, part, arena_printf(arena, "derived-%s-ca.pem", server->name), tls, error);
    for (const char *const *member = members; *member; member++) {
        const char *path = json_string_at(server->address.tls, *member);
        if (path)
            part_lend_key(part, arena_text(arena, path));
    }
    return tls_files_give(part, tls, arena_printf(arena, "derived-%s", server->name), members,
                          error);
}

enum fh_code derives_configure_service(struct provision *provision, struct provision_part *part,
                                       const struct system_service *service, json_t *config,
                                       struct fh_error *error)
{
    struct system_file *file = provision->options.file;
    json_t *derives = json_deep_copy(json_object_get(provision->derives, service->name));
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < service->derives_count && code == FH_OK; i++)
        code = give_derived_files(provision, part,
                                  system_file_server(file, service->derives[i].server),
                                  json_object_get(derives, service->derives[i].name), error);
    if (json_object_size(derives))
        json_object_set(config, "derives", derives);
    json_decref(derives);
    return code;
}

/* ---- a private one ---- */

enum fh_code derives_supervise(struct provision *provision, const struct system_server *server,
                               struct provision_part *part, json_t *kept, struct fh_error *error)
{
    const struct system_file *file = provision->options.file;
    json_t *users = json_array();
    for (size_t i = 0; i < file->service_count; i++) {
        const struct system_service *service = &file->services[i];
        if (derives_on(service, server))
            json_array_append_new(
                users, json_pack("{s:s, s:s, s:o}", "user", derived_user(provision, service),
                                 "password", derived_password(provision, kept, server, service),
                                 "owner", json_sprintf("%s.%s", file->name, service->name)));
    }
    return privates_supervise(provision, server, part, "derived", users, kept, error);
}
