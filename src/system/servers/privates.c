/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whoever binds a server's port after it has ended would be told the services' passwords. So what
 * listens on a port is known by a certificate before it is told one, and `up` keeps the port for it
 * (address_reserve) as long as the system runs.
 */

#include "system/servers/privates.h"

#include <stdlib.h>
#include <string.h>

#include "system/provision/certificates.h"
#include "system/provision/part.h"
#include "system/provision/tls_files.h"
#include "system/servers/kept.h"

bool privates_is(const struct system_server *server)
{
    return server->used && !server->address.host;
}

const char *privates_kind(const struct system_server *server)
{
    return server->broker ? server->broker : server->derived ? server->derived : server->engine;
}

const char *privates_key(struct arena *arena, const struct system_server *server)
{
    return arena_printf(arena, "%s-%s", server->name, privates_kind(server));
}

struct provision_part *privates_part(struct provision *provision,
                                     const struct system_server *server)
{
    const char *key = privates_key(&provision->arena, server);
    for (size_t i = 0; i < provision->server_count; i++) {
        if (strcmp(provision->servers[i].name, key) == 0)
            return &provision->servers[i];
    }
    return NULL;
}

int privates_port(const struct provision_part *part)
{
    const char *colon = strrchr(part->address, ':');
    FH_ASSERT(colon != NULL);
    return (int)strtol(colon + 1, NULL, 10);
}

enum fh_code privates_certify(const struct provision *provision, const struct provision_part *part,
                              struct fh_error *error)
{
    struct certificates *certificates;
    enum fh_code code = certificates_open(provision->state.folder_fd, provision->options.file->name,
                                          &certificates, error);
    if (code == FH_OK)
        code = certificates_give(certificates, part->folder_fd, PRIVATES_HOST, error);
    if (code == FH_OK)
        certificates_close(certificates);
    return code;
}

enum fh_code privates_make_known(const struct provision *provision,
                                 const struct provision_part *service, const char *file,
                                 json_t *tls, struct fh_error *error)
{
    char path[PROVISION_PATH_SIZE];
    snprintf(path, sizeof path, "%s/" CERTIFICATES_FOLDER "/" CERTIFICATES_CA,
             provision->state.folder);
    json_object_set_new(tls, "ca", json_sprintf("%s/%s", service->folder, file));
    return tls_file_copy(service, path, file, error);
}

enum fh_code privates_supervise(struct provision *provision, const struct system_server *server,
                                struct provision_part *part, const char *role, json_t *stores,
                                json_t *kept, struct fh_error *error)
{
    json_t *config =
        json_pack("{s:i, s:s, s:s, s:s, s:s, s:i, s:i, s:o, s:o, s:o, s:o}", "freehold", 1,
                  "server", part->name, role, privates_kind(server), "folder", part->folder,
                  "password", json_string_value(kept_secret(kept, part->name)), "control_fd", 4,
                  "port", privates_port(part), "stores", stores, "certificate",
                  json_sprintf("%s/" CERTIFICATES_OWN, part->folder), "key",
                  json_sprintf("%s/" CERTIFICATES_KEY, part->folder), "ca",
                  json_sprintf("%s/" CERTIFICATES_CA, part->folder));
    enum fh_code code = privates_certify(provision, part, error);
    if (code == FH_OK)
        code = state_write_json(part->folder_fd, "server.json", config, error);
    json_decref(config);
    part_supervise(provision, part);
    return code;
}
