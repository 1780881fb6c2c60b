/* SPDX-License-Identifier: Apache-2.0 */
/* It is named like a store that is there already, by an engine that has counters. The password may
 * be in a file of its own, too. */

#include "system/file/shared.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "engine/engines.h"
#include "store/server.h"
#include "store/tls.h"
#include "system/file/bus.h"
#include "system/file/nearest.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define DATABASE_LENGTH_MAX 63

static const char *counting_engines(struct arena *arena)
{
    const char *names = NULL;
    for (const struct engine *one = NULL; (one = engine_next(one));) {
        if (one->counters)
            names = names ? arena_printf(arena, "%s, %s", names, one->name) : one->name;
    }
    return names ? names : "none";
}

static void read_shared_engine(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                               void *into)
{
    struct system_shared *shared = into;
    const char *name = yaml_text(reader, node, what);
    const struct engine *engine = name ? engine_named(name) : NULL;
    struct nearest nearest = nearest_begin(name ? name : "");
    if (engine && engine->counters)
        shared->engine = name;
    if (!name || shared->engine)
        return;
    for (const struct engine *one = NULL; (one = engine_next(one));) {
        if (one->counters)
            nearest_offer(&nearest, one->name);
    }
    /* The name may come from an environment variable, so it is not shown. */
    findings_error(
        reader->findings, yaml_place(reader, node),
        "%s: no engine of this name has counters that gateways can share; this freehold "
        "has %s%s%s%s",
        what, counting_engines(reader->arena), !engine && nearest.word ? "; did you mean '" : "",
        !engine && nearest.word ? nearest.word : "", !engine && nearest.word ? "'?" : "");
}

static void read_shared_host(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                             void *into)
{
    unsigned char binary[sizeof(struct in6_addr)];
    struct system_shared *shared = into;
    file_read_host(reader, node, what, into);
    const char *host = shared->address.host;
    if (host && host[0] != '/' &&
        (strchr(host, '/') || (strchr(host, ':') && inet_pton(AF_INET6, host, binary) != 1)))
        findings_error(
            reader->findings, yaml_place(reader, node),
            "%s is not a name, address or absolute path of a socket; a port has a key of "
            "its own, port",
            what);
}

static void read_shared_database(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                                 void *into)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    struct system_shared *shared = into;
    const char *text = yaml_text(reader, node, what);
    if (!text)
        return;
    if (strlen(text) > DATABASE_LENGTH_MAX || text[strspn(text, allowed)])
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s begins the names of all counters: at most %d letters, digits, _ and -",
                       what, DATABASE_LENGTH_MAX);
    else
        shared->database = text;
}

static void check_shared(const struct system_shared *shared, const char *what,
                         struct findings *findings)
{
    const struct system_address *address = &shared->address;
    const char *mode = json_string_value(json_object_get(address->tls, "mode"));
    bool socket = address->host && address->host[0] == '/';
    if (socket && address->port)
        findings_error(findings, shared->place, "%s: its host is a socket, which has no port",
                       what);
    if (socket && mode && strcmp(mode, "verify") == 0)
        findings_error(findings, shared->place,
                       "%s: its host is a socket, over which there is no TLS", what);
    if (address->user && !address->password)
        findings_error(findings, shared->place,
                       "%s names a user, who needs a password or password_file", what);
}

void file_read_shared(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    static const struct yaml_key keys[] = {
        {"engine", read_shared_engine, true, "an engine whose servers have counters: redis"},
        {"host", read_shared_host, true, "a name, an address, or the absolute path of a socket"},
        {"port", file_read_port, false, "the server's port; default: the engine's own"},
        {"user", file_read_user, false, "the user on the server; default: the one without a name"},
        {"password", file_read_password, false,
         "the password, preferably from the environment: \"${NAME}\""},
        {"password_file", file_read_password_file, false,
         "a file with the password on one line, mode 0600"},
        {"database", read_shared_database, false,
         "what the counters' names begin with; default: the system's name, and _limits"},
        {"tls", file_read_tls, false, "TLS to the server; default: on, except on this machine"}};
    struct system_shared *shared = into;
    shared->place = yaml_place(reader, node);
    yaml_read_mapping(reader, node, what, keys, COUNT(keys), shared);
    check_shared(shared, what, reader->findings);
}

json_t *system_file_shared(const struct system_shared *shared, const char *system)
{
    const struct system_address *address = &shared->address;
    if (!address->host || !shared->engine)
        return NULL;
    int usual_port = server_kind(shared->engine) ? server_kind(shared->engine)->port : 0;
    json_t *json = json_pack("{s:s, s:s, s:i, s:s*, s:s*}", "engine", shared->engine, "host",
                             address->host, "port", address->port ? address->port : usual_port,
                             "user", address->user, "password", address->password);
    json_object_set_new(json, "database",
                        shared->database ? json_string(shared->database)
                                         : json_sprintf("%s_limits", system));
    json_object_set_new(json, "tls", store_tls_json(address->tls, address->host));
    return json;
}
