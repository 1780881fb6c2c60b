/* SPDX-License-Identifier: Apache-2.0 */
/* Reads gateway.hosts, gateway.cors and gateway.hsts_s, and gives them to the gateway. What hosts
 * there are if none are named is decided here, since only `up` knows where the gateway listens. */

#include "system/file/door.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <string.h>

#include "base/json.h"
#include "system/file/address.h"
#include "system/file/file.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define HOST_LENGTH_MAX 253
#define AGE_S_MAX 86400
#define HSTS_S_MAX 630720000 /* twenty years */

/* ---- Reading ---- */

static const char *lower_copy(struct arena *arena, const char *text)
{
    char *copy = arena_copy(arena, text, strlen(text));
    for (char *at = copy; *at; at++)
        *at = (char)tolower((unsigned char)*at);
    return copy;
}

static bool is_number(const char *host)
{
    unsigned char binary[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, binary) == 1 || inet_pton(AF_INET6, host, binary) == 1;
}

/* A name, an address without brackets, "*.NAME", or "*". */
static bool host_is_sound(const char *host)
{
    if (strcmp(host, "*") == 0 || is_number(host))
        return true;
    const char *name = strncmp(host, "*.", 2) == 0 ? host + 2 : host;
    return *name && *name != '.' && strlen(name) <= HOST_LENGTH_MAX &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == strlen(name) &&
           !strstr(name, "..") && name[strlen(name) - 1] != '.';
}

static void read_door_host(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                           void *into)
{
    struct system_door *door = into;
    const char *text = yaml_text(reader, node, what);
    if (!text)
        return;
    const char *host = lower_copy(reader->arena, text);
    if (host_is_sound(host))
        door->hosts[door->host_count++] = host;
    else
        findings_error(
            reader->findings, yaml_place(reader, node),
            "%s '%.64s' is not a host. Expected a name or an address without a port, such "
            "as shop.example.org, *.example.org, 192.0.2.7 or 2001:db8::7",
            what, text);
}

void file_read_hosts(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    struct system_door *door = &((struct system_file *)into)->door;
    door->hosts_given = true;
    yaml_read_list(reader, node, what, SYSTEM_DOOR_NAMES_MAX, read_door_host, door);
}

/* SCHEME://HOST[:PORT], as browsers send it, or "*". */
static bool origin_is_sound(const char *origin)
{
    if (strcmp(origin, "*") == 0)
        return true;
    const char *host = strncmp(origin, "https://", 8) == 0  ? origin + 8
                       : strncmp(origin, "http://", 7) == 0 ? origin + 7
                                                            : NULL;
    return host && *host && strlen(host) <= HOST_LENGTH_MAX + 6 &&
           strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789-_.:[]") == strlen(host);
}

static void read_origin(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    struct system_door *door = into;
    const char *text = yaml_text(reader, node, what);
    if (!text)
        return;
    const char *origin = lower_copy(reader->arena, text);
    if (origin_is_sound(origin))
        door->origins[door->origin_count++] = origin;
    else
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s '%.64s' is not an origin. Expected https://HOST or https://HOST:PORT "
                       "without a path, or *",
                       what, text);
}

static void read_origins(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                         void *into)
{
    yaml_read_list(reader, node, what, SYSTEM_DOOR_NAMES_MAX, read_origin, into);
}

static void read_credentials(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                             void *into)
{
    yaml_bool(reader, node, what, &((struct system_door *)into)->credentials);
}

static void read_max_age(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                         void *into)
{
    yaml_integer(reader, node, what, 0, AGE_S_MAX, &((struct system_door *)into)->max_age_s);
}

static bool takes_every_origin(const struct system_door *door)
{
    for (size_t i = 0; i < door->origin_count; i++) {
        if (strcmp(door->origins[i], "*") == 0)
            return true;
    }
    return false;
}

void file_read_cors(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    static const struct yaml_key keys[] = {
        {"origins", read_origins, true, "whose pages may use the system: https://app.example.org"},
        {"credentials", read_credentials, false, "true: with cookies and certificates, too"},
        {"max_age_s", read_max_age, false, "how long a browser remembers this; default 600"}};
    struct system_door *door = &((struct system_file *)into)->door;
    door->max_age_s = 600;
    yaml_read_mapping(reader, node, what, keys, COUNT(keys), door);
    if (node && door->credentials && takes_every_origin(door))
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s: every origin (*) with credentials would let any page act as whoever "
                       "opens it. Name the origins, or leave out credentials",
                       what);
}

void file_read_hsts(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    struct system_door *door = &((struct system_file *)into)->door;
    door->hsts_given = yaml_integer(reader, node, what, 0, HSTS_S_MAX, &door->hsts_s);
}

/* ---- Giving it to the gateway ---- */

static json_t *texts_json(const char *const *texts, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_string(texts[i]));
    return list;
}

enum listens { LISTENS_LOOPBACK, LISTENS_ONE, LISTENS_ALL };

/* Where a gateway can be reached that listens there; its host in `ret_host`. */
static enum listens listens_at(const char *listen, char ret_host[static INET6_ADDRSTRLEN])
{
    struct sockaddr_storage address;
    socklen_t length;
    struct fh_error error;
    *ret_host = '\0';
    if (address_parse(listen, &address, &length, &error) != FH_OK)
        return LISTENS_ALL; /* whoever opens the socket reports it */
    if (address.ss_family == AF_INET6) {
        const struct in6_addr *six = &((struct sockaddr_in6 *)&address)->sin6_addr;
        inet_ntop(AF_INET6, six, ret_host, INET6_ADDRSTRLEN);
        return IN6_IS_ADDR_UNSPECIFIED(six) ? LISTENS_ALL
               : IN6_IS_ADDR_LOOPBACK(six)  ? LISTENS_LOOPBACK
                                            : LISTENS_ONE;
    }
    const struct in_addr *four = &((struct sockaddr_in *)&address)->sin_addr;
    inet_ntop(AF_INET, four, ret_host, INET6_ADDRSTRLEN);
    return four->s_addr == htonl(INADDR_ANY)  ? LISTENS_ALL
           : ntohl(four->s_addr) >> 24 == 127 ? LISTENS_LOOPBACK
                                              : LISTENS_ONE;
}

json_t *system_file_door(const struct system_door *door, const char *listen)
{
    char host[INET6_ADDRSTRLEN];
    enum listens listens = listens_at(listen, host);
    json_t *json = json_object();
    json_object_set_new(json, "origins", texts_json(door->origins, door->origin_count));
    json_object_set_new(json, "credentials", json_boolean(door->credentials));
    json_object_set_new(json, "max_age_s", json_integer(door->max_age_s));
    if (door->hsts_given)
        json_object_set_new(json, "hsts_s", json_integer(door->hsts_s));
    if (door->hosts_given) {
        json_object_set_new(json, "hosts", texts_json(door->hosts, door->host_count));
        json_object_set_new(json, "addresses", json_string("none"));
        return json;
    }
    json_object_set_new(json, "addresses",
                        json_string(listens == LISTENS_LOOPBACK ? "loopback"
                                    : listens == LISTENS_ALL    ? "any"
                                                                : "none"));
    if (listens == LISTENS_ONE)
        json_object_set_new(json, "hosts", json_pack("[s]", host));
    return json;
}

void system_file_check_door(const struct system_door *door, const char *listen, struct place place,
                            struct findings *findings)
{
    char host[INET6_ADDRSTRLEN];
    if (!door->hosts_given && listens_at(listen, host) != LISTENS_LOOPBACK)
        findings_warning(findings, place,
                         "the gateway listens beyond this machine, and is reached by its address "
                         "only: name its hosts in gateway.hosts, such as [shop.example.org]");
}
