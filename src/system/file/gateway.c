/* SPDX-License-Identifier: Apache-2.0 */
/* The system file's gateway: where it listens, its TLS, and the answers that it composes. */

#define _GNU_SOURCE
#include "system/file/gateway.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "gateway/identity/certificate.h"
#include "system/file/address.h"
#include "system/file/auth.h"
#include "system/file/auth_reading.h"
#include "system/file/door.h"
#include "system/file/exposure.h"
#include "system/file/file.h"
#include "system/file/private_key.h"

#define WAIT_MS_MAX 600000
#define COUNT(array) (sizeof(array) / sizeof *(array))

static void read_listen(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    struct system_file *file = into;
    struct sockaddr_storage address;
    socklen_t length;
    struct fh_error error;
    const char *listen = yaml_text(reader, node, what);
    if (!listen)
        return;
    if (address_parse(listen, &address, &length, &error) != FH_OK) {
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s '%.64s' is not an address. %s", what,
                       (const char *)node->data.scalar.value, error.message);
        return;
    }
    file->listen = listen;
    file->listen_place = yaml_place(reader, node);
}

static void read_part_name(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                           void *into)
{
    ((struct system_part *)into)->name = yaml_text(reader, node, what);
}

static void read_part_get(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                          void *into)
{
    ((struct system_part *)into)->get = yaml_text(reader, node, what);
}

static void read_part_each(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                           void *into)
{
    ((struct system_part *)into)->each = yaml_text(reader, node, what);
}

static void read_part_id(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                         void *into)
{
    ((struct system_part *)into)->id = yaml_text(reader, node, what);
}

static void read_part_required(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                               void *into)
{
    yaml_bool(reader, node, what, &((struct system_part *)into)->required);
}

static void read_part_query(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                            void *into)
{
    yaml_bool(reader, node, what, &((struct system_part *)into)->query);
}

static void read_part_timeout(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                              void *into)
{
    yaml_integer(reader, node, what, 1, WAIT_MS_MAX, &((struct system_part *)into)->timeout_ms);
}

static void read_part(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    static const struct yaml_key keys[] = {
        {"name", read_part_name, true},          {"get", read_part_get, true},
        {"each", read_part_each, false},         {"id", read_part_id, false},
        {"required", read_part_required, false}, {"query", read_part_query, false},
        {"timeout_ms", read_part_timeout, false}};
    struct system_composition *composition = into;
    struct system_part *part = &composition->parts[composition->part_count++];
    part->place = yaml_place(reader, node);
    yaml_read_mapping(reader, node, what, keys, COUNT(keys), part);
    for (size_t i = 0; part->name && i + 1 < composition->part_count; i++) {
        if (composition->parts[i].name && strcmp(composition->parts[i].name, part->name) == 0)
            findings_error(reader->findings, part->place, "a second part is named '%s'",
                           part->name);
    }
}

static void read_composition_path(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                                  void *into)
{
    struct system_composition *composition = into;
    composition->path = yaml_text(reader, node, what);
    if (composition->path && composition->path[0] != '/')
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s must begin with '/', such as /api/orders/{id}/details", what);
}

static void read_composition_deadline(struct yaml_reader *reader, yaml_node_t *node,
                                      const char *what, void *into)
{
    yaml_integer(reader, node, what, 1, WAIT_MS_MAX,
                 &((struct system_composition *)into)->deadline_ms);
}

static void read_composed_parts(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                                void *into)
{
    yaml_read_list(reader, node, what, SYSTEM_PARTS_MAX, read_part, into);
}

static void read_composition(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                             void *into)
{
    static const struct yaml_key keys[] = {{"path", read_composition_path, true},
                                           {"parts", read_composed_parts, true},
                                           {"deadline_ms", read_composition_deadline, false}};
    struct system_file *file = into;
    struct system_composition *composition = &file->compositions[file->composition_count++];
    composition->place = yaml_place(reader, node);
    yaml_read_mapping(reader, node, what, keys, COUNT(keys), composition);
}

static void read_compose(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                         void *into)
{
    yaml_read_list(reader, node, what, SYSTEM_COMPOSE_MAX, read_composition, into);
}

static const char *read_path(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                             const struct system_file *file)
{
    const char *path = yaml_text(reader, node, what);
    if (path && path[0] != '/')
        path = arena_printf(reader->arena, "%s/%s", file->folder, path);
    if (path && access(path, F_OK) != 0)
        findings_error(reader->findings, yaml_place(reader, node), "%s: there is no file %s", what,
                       path);
    return path;
}

static void read_door_certificate(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                                  void *into)
{
    struct system_file *file = into;
    file->door_certificate = read_path(reader, node, what, file);
}

static void read_door_key(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                          void *into)
{
    struct system_file *file = into;
    file->door_key = read_path(reader, node, what, file);
    if (file->door_key)
        private_key_check(reader, node, what, file->door_key);
}

static void set_client_path(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                            struct system_file *file, const char *name)
{
    struct stat status;
    const char *path = read_path(reader, node, what, file);
    if (path && stat(path, &status) == 0 && !S_ISREG(status.st_mode))
        findings_error(reader->findings, yaml_place(reader, node), "%s: %s is not a regular file",
                       what, path);
    if (path)
        json_object_set_new(file->door_clients, name, json_string(path));
}

static void read_client_ca(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                           void *into)
{
    set_client_path(reader, node, what, into, "ca");
}

static void read_client_revoked(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                                void *into)
{
    set_client_path(reader, node, what, into, "revoked");
}

static void read_client_mode(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                             void *into)
{
    static const char *const modes[] = {"required", "optional", NULL};
    int chosen = yaml_word(reader, node, what, modes, true);
    json_object_set_new(((struct system_file *)into)->door_clients, "optional",
                        json_boolean(chosen == 1));
}

static void read_client_name(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                             void *into)
{
    int chosen = yaml_word(reader, node, what, certificate_name_words, false);
    if (chosen >= 0)
        json_object_set_new(((struct system_file *)into)->door_clients, "name",
                            json_string(certificate_name_words[chosen]));
}

static void read_client_subjects(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                                 void *into)
{
    struct auth_reading reading = {.into = ((struct system_file *)into)->door_clients};
    auth_read_subjects(reader, node, what, &reading);
}

static void read_door_clients(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                              void *into)
{
    static const struct yaml_key keys[] = {
        {"ca", read_client_ca, true, "the authority of clients' certificates, and of no others"},
        {"name", read_client_name, true,
         "which name of the certificate is the subject: uri, dns, email, cn"},
        {"subjects", read_client_subjects, false,
         "a prefix for clients' subjects; needed beside issuers in auth"},
        {"mode", read_client_mode, false,
         "whether every client must show one: required (the default) or optional"},
        {"revoked", read_client_revoked, false, "a file with revoked certificates (CRL)"}};
    struct system_file *file = into;
    json_decref(file->door_clients);
    file->door_clients = json_object();
    yaml_read_mapping(reader, node, what, keys, COUNT(keys), file);
}

static void read_door(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    static const struct yaml_key keys[] = {
        {"certificate", read_door_certificate, true},
        {"key", read_door_key, true},
        {"clients", read_door_clients, false, "clients' certificates, by which they are known"}};
    yaml_read_mapping(reader, node, what, keys, COUNT(keys), into);
}

bool file_request_log(struct yaml_reader *reader, yaml_node_t *node, const char *what)
{
    static const char *const kinds[] = {"failed", "all", NULL};
    return yaml_word(reader, node, what, kinds, true) == 1;
}

static void read_gateway_log(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                             void *into)
{
    ((struct system_file *)into)->logs_requests = file_request_log(reader, node, what);
}

void file_read_gateway(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    static const struct yaml_key keys[] = {
        {"listen", read_listen, false},
        {"tls", read_door, false},
        {"compose", read_compose, false},
        {"inside", file_read_inside, false, "a second address, for what only the inside may see"},
        {"auth", file_read_auth, false, "who its clients are"},
        {"hosts", file_read_hosts, false,
         "the names that clients know it by; default: what it "
         "listens on"},
        {"limits", file_read_limits, false, "how much one client may ask of it"},
        {"proxies", file_read_proxies, false,
         "whose X-Forwarded-For it believes: addresses and networks; default: nobody's"},
        {"cors", file_read_cors, false, "which other sites' pages may use it"},
        {"hsts_s", file_read_hsts, false, "how long browsers insist on TLS; default a year"},
        {"request_log", read_gateway_log, false,
         "all: the log has a line for each request, not only for those that fail"}};
    yaml_read_mapping(reader, node, what, keys, COUNT(keys), into);
}
