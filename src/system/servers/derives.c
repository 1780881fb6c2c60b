/* SPDX-License-Identifier: Apache-2.0 */
/* Where a service's derived stores are, as it is told: nobody else is, since on such a server all
 * are the user that the system file names. */

#include "system/servers/derives.h"

#include "base/json.h"
#include "carrier/driver.h"
#include "store/tls.h"
#include "system/provision/part.h"
#include "system/provision/tls_files.h"

static json_t *derived_address(const struct system_server *server)
{
    const struct system_address *address = &server->address;
    const struct carried_driver *driver = carried_driver_named(server->derived);
    json_t *options = json_pack("{s:s, s:s, s:i, s:s*, s:s*}", "driver", server->derived, "host",
                                address->host, "port", address->port ? address->port : driver->port,
                                "user", address->user, "password", address->password);
    if (server->options)
        json_object_update_missing(options, server->options);
    json_object_set_new(options, "tls", store_tls_json(address->tls, address->host));
    return options;
}

static enum fh_code give_derived_files(struct system_file *file, struct provision_part *part,
                                       const struct system_server *server, json_t *options,
                                       struct fh_error *error)
{
    static const char *const members[] = {"ca", "certificate", "key", NULL};
    for (const char *const *member = members; *member; member++) {
        const char *path = json_string_at(server->address.tls, *member);
        if (path)
            part_lend_key(part, arena_text(&file->arena, path));
    }
    return tls_files_give(part, json_object_get(options, "tls"),
                          arena_printf(&file->arena, "derived-%s", server->name), members, error);
}

enum fh_code derives_configure(struct system_file *file, struct provision_part *part,
                               const struct system_service *service, json_t *config,
                               struct fh_error *error)
{
    json_t *derives = json_object();
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < service->derives_count && code == FH_OK; i++) {
        const struct system_server *server = system_file_server(file, service->derives[i].server);
        json_t *options = derived_address(server);
        code = give_derived_files(file, part, server, options, error);
        json_object_set_new(derives, service->derives[i].name, options);
    }
    if (json_object_size(derives))
        json_object_set(config, "derives", derives);
    json_decref(derives);
    return code;
}
