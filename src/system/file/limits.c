/* SPDX-License-Identifier: Apache-2.0 */
/* What is not given here is not told the gateway either: it knows the defaults. */

#include "system/file/limits.h"

#include "system/file/file.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define CONNECTIONS_MAX 100000
#define IN_FLIGHT_MAX 100000
#define SIZE_MAX_OF_LIMIT (1 << 20)

static const char *const number_names[LIMIT_NUMBERS] = {
    [LIMIT_CONNECTIONS] = "connections",       [LIMIT_FAILED_CREDENTIALS] = "failed_credentials",
    [LIMIT_IN_FLIGHT] = "in_flight",           [LIMIT_ROUTE_IN_FLIGHT] = "route_in_flight",
    [LIMIT_ASKED_KIB] = "asked_kib",           [LIMIT_UNREAD_KIB] = "unread_kib",
    [LIMIT_UNREAD_ALL_MIB] = "unread_all_mib",
};

static void read_rate_requests(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                               void *into)
{
    struct system_rate *rate = into;
    rate->requests_given = yaml_integer(reader, node, what, 0, BUCKET_QUOTA_MAX, &rate->requests);
}

static void read_rate_window(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                             void *into)
{
    struct system_rate *rate = into;
    rate->window_given = yaml_integer(reader, node, what, 1, BUCKET_WINDOW_S_MAX, &rate->window_s);
}

static void read_rate(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                      struct system_rate *rate)
{
    static const struct yaml_key keys[] = {
        {"requests", read_rate_requests, true, "how many requests may come at once; 0: no limit"},
        {"window_s", read_rate_window, false,
         "seconds in which as many requests come back; default: 10"}};
    yaml_read_mapping(reader, node, what, keys, COUNT(keys), rate);
}

static void read_address_rate(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                              void *into)
{
    read_rate(reader, node, what, &((struct system_limits *)into)->rates[LIMITS_ADDRESS]);
}

static void read_user_rate(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                           void *into)
{
    read_rate(reader, node, what, &((struct system_limits *)into)->rates[LIMITS_USER]);
}

static void read_key_rate(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                          void *into)
{
    read_rate(reader, node, what, &((struct system_limits *)into)->rates[LIMITS_KEY]);
}

static void read_limit_number(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                              void *into, enum limit_number number, int least, int most)
{
    struct system_limits *limits = into;
    limits->numbers_given[number] =
        yaml_integer(reader, node, what, least, most, &limits->numbers[number]);
}

static void read_connections(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                             void *into)
{
    read_limit_number(reader, node, what, into, LIMIT_CONNECTIONS, 1, CONNECTIONS_MAX);
}

static void read_failed_cost(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                             void *into)
{
    read_limit_number(reader, node, what, into, LIMIT_FAILED_CREDENTIALS, 0, BUCKET_QUOTA_MAX);
}

static void read_in_flight_max(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                               void *into)
{
    read_limit_number(reader, node, what, into, LIMIT_IN_FLIGHT, 1, IN_FLIGHT_MAX);
}

static void read_route_in_flight(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                                 void *into)
{
    read_limit_number(reader, node, what, into, LIMIT_ROUTE_IN_FLIGHT, 1, IN_FLIGHT_MAX);
}

static void read_asked(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    read_limit_number(reader, node, what, into, LIMIT_ASKED_KIB, 1, SIZE_MAX_OF_LIMIT);
}

static void read_unread(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    read_limit_number(reader, node, what, into, LIMIT_UNREAD_KIB, 1, SIZE_MAX_OF_LIMIT);
}

static void read_unread_all(struct yaml_reader *reader, yaml_node_t *node, const char *what,
                            void *into)
{
    read_limit_number(reader, node, what, into, LIMIT_UNREAD_ALL_MIB, 1, SIZE_MAX_OF_LIMIT);
}

static void read_shared(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    file_read_shared(reader, node, what, &((struct system_limits *)into)->shared);
}

void file_read_limits(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    static const struct yaml_key keys[] = {
        {"address", read_address_rate, false, "requests from one address; default: 6000 in 10 s"},
        {"user", read_user_rate, false,
         "requests of one user who is logged in; default: 3000 in 10 s"},
        {"key", read_key_rate, false, "requests with one API key; default: 6000 in 10 s"},
        {"connections", read_connections, false,
         "open connections from one address; default: 2000"},
        {"failed_credentials", read_failed_cost, false,
         "how many requests refused credentials count as; default: 10"},
        {"in_flight", read_in_flight_max, false,
         "requests of one client at one time; default: 256"},
        {"route_in_flight", read_route_in_flight, false,
         "requests on one route at one time, at most half of them one client's; default: 256"},
        {"asked_kib", read_asked, false,
         "KiB of one client's answers that services are making; default: 1024"},
        {"unread_kib", read_unread, false,
         "KiB of those and of answers that the client has not read; default: 8192"},
        {"unread_all_mib", read_unread_all, false,
         "MiB of unread answers of all clients together; default: 256"},
        {"shared", read_shared, false, "a server on which several gateways count together"}};
    struct system_limits *limits = &((struct system_file *)into)->limits;
    limits->given = true;
    yaml_read_mapping(reader, node, what, keys, COUNT(keys), limits);
}

static void read_proxy(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    struct system_limits *limits = into;
    struct client_network network;
    const char *text = yaml_text(reader, node, what);
    if (!text)
        return;
    if (client_network_parse(text, &network))
        limits->proxies[limits->proxy_count++] = text;
    else
        findings_error(reader->findings, yaml_place(reader, node),
                       "%s '%.64s' is not an address or network. Expected one such as 192.0.2.7, "
                       "10.0.0.0/8 or 2001:db8::/32, without bits beyond its length",
                       what, text);
}

void file_read_proxies(struct yaml_reader *reader, yaml_node_t *node, const char *what, void *into)
{
    yaml_read_list(reader, node, what, CLIENT_PROXIES_MAX, read_proxy,
                   &((struct system_file *)into)->limits);
}

json_t *system_file_limits(const struct system_limits *limits, const char *system)
{
    if (!limits->given)
        return NULL;
    json_t *json = json_object();
    for (int kind = 0; kind < LIMITS_KINDS; kind++) {
        const struct system_rate *rate = &limits->rates[kind];
        json_t *said = json_object();
        if (rate->requests_given)
            json_object_set_new(said, "requests", json_integer(rate->requests));
        if (rate->window_given)
            json_object_set_new(said, "window_s", json_integer(rate->window_s));
        json_object_set_new(json, limits_kind_name((enum limits_kind)kind), said);
    }
    for (int i = 0; i < LIMIT_NUMBERS; i++) {
        if (limits->numbers_given[i])
            json_object_set_new(json, number_names[i], json_integer(limits->numbers[i]));
    }
    json_t *shared = system_file_shared(&limits->shared, system);
    if (shared)
        json_object_set_new(json, "shared", shared);
    return json;
}

json_t *system_file_proxies(const struct system_limits *limits)
{
    json_t *list = limits->proxy_count ? json_array() : NULL;
    for (size_t i = 0; i < limits->proxy_count; i++)
        json_array_append_new(list, json_string(limits->proxies[i]));
    return list;
}
