/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services listen only on the loopback address, where nobody can eavesdrop, so their links are
 * plain unless the file says otherwise. With TLS both sides present a certificate in the process's
 * name; what each may do is still decided by the tokens they exchange.
 */

#define _GNU_SOURCE
#include "system/provision/links.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/engines.h"
#include "store/server.h"
#include "store/tls.h"
#include "system/provision/certificates.h"

static json_t *link_places(const char *folder)
{
    return json_pack("{s:o, s:o, s:o}", "ca", json_sprintf("%s/" CERTIFICATES_CA, folder),
                     "certificate", json_sprintf("%s/" CERTIFICATES_OWN, folder), "key",
                     json_sprintf("%s/" CERTIFICATES_KEY, folder));
}

static enum fh_code give_operator(const struct provision *provision,
                                  struct certificates *certificates, struct fh_error *error)
{
    static const char folder[] = CERTIFICATES_FOLDER "/" LINKS_OPERATOR;
    mkdirat(provision->state.folder_fd, folder, 0700);
    int fd =
        openat(provision->state.folder_fd, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_set(error, FH_UNAVAILABLE, "The folder %s can't be made.", folder);
    enum fh_code code = certificates_give(certificates, fd, LINKS_OPERATOR, error);
    close(fd);
    return code;
}

enum fh_code links_prepare(const struct provision *provision, const struct system_file *file,
                           struct fh_error *error)
{
    struct certificates *certificates;
    if (!file->links_tls)
        return FH_OK;
    enum fh_code code =
        certificates_open(provision->state.folder_fd, file->name, &certificates, error);
    if (code != FH_OK)
        return code;
    for (size_t i = 0; i < provision->part_count && code == FH_OK; i++)
        code = certificates_give(certificates, provision->parts[i].folder_fd,
                                 provision->parts[i].name, error);
    if (code == FH_OK)
        code = give_operator(provision, certificates, error);
    certificates_close(certificates);
    return code;
}

void links_configure(const struct provision_part *part, const struct system_file *file,
                     json_t *config)
{
    if (file->links_tls)
        json_object_set_new(config, "tls", link_places(part->folder));
}

json_t *links_of_operator(const struct state *state)
{
    json_t *system = NULL, *found = NULL;
    char folder[sizeof state->folder + sizeof CERTIFICATES_FOLDER + sizeof LINKS_OPERATOR + 2];
    snprintf(folder, sizeof folder, "%s/" CERTIFICATES_FOLDER "/" LINKS_OPERATOR, state->folder);
    if (state_read_json(state->folder_fd, "system.json", &system, ERROR_UNHEEDED) == FH_OK &&
        json_is_true(json_object_get(system, "links_tls")))
        found = link_places(folder);
    json_decref(system);
    return found;
}

static bool is_loopback(const char *listen)
{
    return strncmp(listen, "127.", 4) == 0 || strncmp(listen, "[::1]", 5) == 0 ||
           strncmp(listen, "localhost:", 10) == 0;
}

/* `told`: who is told passwords there, as people write it; NULL: nobody. */
static void check_link_to(const struct system_address *address, struct place place,
                          const char *told, const char *what, struct findings *findings)
{
    const char *mode = json_string_value(json_object_get(address->tls, "mode"));
    if (told && address->host && address->password && !address->tls && address->host[0] != '/' &&
        store_is_here(address->host))
        findings_error(findings, place,
                       "%s is on %s at a port of this machine, which a service tells its password: "
                       "any process that takes the port when the server has ended is told it. Name "
                       "the server's socket as the host, or give it TLS; or accept that: tls: { "
                       "mode: off }",
                       what, told);
    if (address->host && !store_is_here(address->host) && mode && strcmp(mode, "off") == 0)
        findings_warning(findings, place,
                         "%s is at %s, beyond this machine, without TLS: anybody on the way can "
                         "read and change what passes",
                         what, address->host);
}

static void check_server_link(const struct system_address *address, struct place place,
                              const char *engine, const char *what, struct findings *findings)
{
    const struct server_kind *kind = engine ? server_kind(engine) : NULL;
    check_link_to(address, place, kind && kind->tells_password ? kind->engine : NULL, what,
                  findings);
}

void links_check(const struct system_file *file, struct findings *findings)
{
    char what[160];
    if (file->listen && !is_loopback(file->listen) && !file->door_certificate)
        findings_warning(findings, file->listen_place,
                         "the gateway listens beyond this machine without TLS: say gateway.tls, or "
                         "let something in front of it speak TLS");
    if (file->listen)
        system_file_check_door(&file->door, file->listen, file->listen_place, findings);
    check_server_link(&file->limits.shared.address, file->limits.shared.place,
                      file->limits.shared.engine, "gateway.limits.shared", findings);
    for (size_t i = 0; i < file->server_count; i++) {
        snprintf(what, sizeof what, "the server %s", file->servers[i].name);
        if (file->servers[i].broker || file->servers[i].derived)
            check_link_to(&file->servers[i].address, file->servers[i].place,
                          file->servers[i].broker ? file->servers[i].broker
                                                  : file->servers[i].derived,
                          what, findings);
        else
            check_server_link(&file->servers[i].address, file->servers[i].place,
                              file->servers[i].engine, what, findings);
    }
    for (size_t i = 0; i < file->service_count; i++) {
        snprintf(what, sizeof what, "the store of %s", file->services[i].name);
        check_server_link(&file->services[i].store.address, file->services[i].store.place,
                          file->services[i].engine, what, findings);
    }
}
