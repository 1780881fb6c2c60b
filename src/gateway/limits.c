/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client is told by its name: an address, or what known.h remembers a user or a key by. Refusals
 * are logged, at most one line in LOG_PAUSE_NS.
 */

#include "gateway/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "gateway/shared.h"

#define BUCKETS_MAX 16384 /* of one kind; 24 bytes each */
#define CONNECTIONS_DEFAULT 2000
#define FAILED_DEFAULT 10
#define IN_FLIGHT_DEFAULT 256
#define ASKED_KIB_DEFAULT 1024
#define UNREAD_KIB_DEFAULT 8192
#define UNREAD_ALL_MIB_DEFAULT 256

struct limits {
    struct world *world;
    struct client_proxies proxies;
    struct bucket_table tables[LIMITS_KINDS]; /* without slots: no limit */
    struct shared_kind kinds[LIMITS_KINDS];
    struct shared *shared; /* NULL: this gateway counts for itself */
    struct places *places;
    struct map connections; /* how many are open, by the address's name: struct open_connections */
    unsigned connections_max;
    int failed_cost;
    bool spares_local;
    uint64_t refused[LIMITS_KINDS], busy, failures, turned_away;
    struct log_pause pause; /* of client-limited */
};

struct open_connections {
    unsigned count;
};

static const struct {
    const char *name;
    int requests, window_s;
} kinds[LIMITS_KINDS] = {
    [LIMITS_ADDRESS] = {"address", 6000, 10},
    [LIMITS_USER] = {"user", 3000, 10},
    [LIMITS_KEY] = {"key", 6000, 10},
};

const char *limits_kind_name(enum limits_kind kind)
{
    return kinds[kind].name;
}

/* ---- The configuration ---- */

static enum fh_code read_limit(const json_t *object, const char *name, json_int_t least,
                               json_int_t most, json_int_t *number, struct fh_error *error)
{
    const json_t *given = json_object_get(object, name);
    if (!given)
        return FH_OK;
    *number = json_integer_value(given);
    if (json_is_integer(given) && *number >= least && *number <= most)
        return FH_OK;
    return error_set(error, FH_INVALID, "\"limits\": \"%s\" must be a number from %lld to %lld.",
                     name, (long long)least, (long long)most);
}

static enum fh_code read_table(struct limits *limits, const json_t *config, enum limits_kind kind,
                               struct fh_error *error)
{
    unsigned char key[16];
    json_int_t requests = kinds[kind].requests, window_s = kinds[kind].window_s;
    const json_t *given = json_object_get(config, kinds[kind].name);
    enum fh_code code = read_limit(given, "requests", 0, BUCKET_QUOTA_MAX, &requests, error);
    if (code == FH_OK)
        code = read_limit(given, "window_s", 1, BUCKET_WINDOW_S_MAX, &window_s, error);
    if (code != FH_OK || requests == 0)
        return code;
    world_random(limits->world, key, sizeof key);
    bucket_init(&limits->tables[kind], requests, (int)window_s, BUCKETS_MAX, key);
    return FH_OK;
}

static enum fh_code read_limit_numbers(struct limits *limits, const json_t *config,
                                       struct places_bounds *ret, struct fh_error *error)
{
    json_int_t failed = FAILED_DEFAULT, in_flight = IN_FLIGHT_DEFAULT, route = IN_FLIGHT_DEFAULT;
    json_int_t connections = CONNECTIONS_DEFAULT;
    json_int_t asked = ASKED_KIB_DEFAULT, unread = UNREAD_KIB_DEFAULT, all = UNREAD_ALL_MIB_DEFAULT;
    const struct {
        const char *name;
        json_int_t least, most, *number;
    } members[] = {{"connections", 1, 100000, &connections},
                   {"failed_credentials", 0, BUCKET_QUOTA_MAX, &failed},
                   {"in_flight", 1, 100000, &in_flight},
                   {"route_in_flight", 1, 100000, &route},
                   {"asked_kib", 1, 1 << 20, &asked},
                   {"unread_kib", 1, 1 << 20, &unread},
                   {"unread_all_mib", 1, 1 << 20, &all}};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        enum fh_code code = read_limit(config, members[i].name, members[i].least, members[i].most,
                                       members[i].number, error);
        if (code != FH_OK)
            return code;
    }
    limits->connections_max = (unsigned)connections;
    limits->failed_cost = (int)failed;
    *ret = (struct places_bounds){.in_flight = (int)in_flight,
                                  .route_in_flight = (int)route,
                                  .asked = asked << 10,
                                  .unread = unread << 10,
                                  .all = all << 20};
    return FH_OK;
}

static enum fh_code share_limits(struct limits *limits, const json_t *shared,
                                 struct fh_error *error)
{
    for (int kind = 0; kind < LIMITS_KINDS; kind++)
        limits->kinds[kind] = (struct shared_kind){kinds[kind].name, &limits->tables[kind]};
    return shared ? shared_open(limits->world, shared, limits->kinds, &limits->shared, error)
                  : FH_OK;
}

enum fh_code limits_load(const json_t *config, struct fh_error *error)
{
    return shared_load(json_at(config, "limits.shared"), error);
}

enum fh_code limits_new(struct world *world, const json_t *config, size_t route_count,
                        struct limits **ret, struct fh_error *error)
{
    const json_t *given = json_object_get(config, "limits");
    struct limits *limits = calloc(1, sizeof *limits);
    struct places_bounds bounds;
    FH_ASSERT(limits != NULL);
    *ret = NULL;
    limits->world = world;
    map_init(&limits->connections);
    limits->spares_local = given == NULL;
    enum fh_code code = FH_OK;
    if (given && !json_is_object(given))
        code = error_set(error, FH_INVALID, "\"limits\" must be an object.");
    for (int kind = 0; kind < LIMITS_KINDS && code == FH_OK; kind++)
        code = read_table(limits, given, (enum limits_kind)kind, error);
    if (code == FH_OK)
        code = read_limit_numbers(limits, given, &bounds, error);
    if (code == FH_OK)
        code = client_proxies_init(&limits->proxies, config, error);
    if (code == FH_OK)
        code = share_limits(limits, json_object_get(given, "shared"), error);
    if (code == FH_OK) {
        limits->places = places_new(world, &bounds, route_count);
        *ret = limits;
    } else {
        limits_free(limits);
    }
    return code;
}

bool limits_stop(struct limits *limits)
{
    return !limits || !limits->shared || shared_stop(limits->shared);
}

void limits_free(struct limits *limits)
{
    if (!limits)
        return;
    shared_free(limits->shared);
    for (int kind = 0; kind < LIMITS_KINDS; kind++)
        bucket_release(&limits->tables[kind]);
    places_free(limits->places);
    map_release(&limits->connections); /* empty by now */
    free(limits);
}

/* ---- Who ---- */

void limits_address(const struct limits *limits, const struct http_incoming *incoming,
                    struct client_address *ret)
{
    client_address_of(&limits->proxies, incoming, ret);
}

static bool is_spared(const struct limits *limits, const struct client_address *address)
{
    return limits->spares_local && address->local;
}

static enum limits_kind kind_of(const struct known_user *user)
{
    if (!user)
        return LIMITS_ADDRESS;
    return user->by_key ? LIMITS_KEY : LIMITS_USER;
}

const char *limits_client(const struct client_address *address, const struct known_user *user)
{
    return user ? user->client : address->name;
}

static int64_t now_us_of(const struct limits *limits)
{
    return world_monotonic_ns(limits->world) / 1000;
}

static void log_limited(struct limits *limits, const struct client_address *address,
                        const char *why)
{
    unsigned more;
    if (!log_pause_passes(&limits->pause, world_monotonic_ns(limits->world), &more))
        return;
    log_warning("client-limited",
                "A client is over a limit of gateway.limits: %s. Its address is %s. (%u more "
                "since the last such line.)",
                why, address->name, more);
}

/* ---- Rates ---- */

static void share_take(struct limits *limits, enum limits_kind kind,
                       const struct client_address *address, const struct known_user *user,
                       int64_t units)
{
    char name[TALLY_NAME_SIZE];
    if (!limits->shared)
        return;
    if (!user)
        tally_name(kinds[LIMITS_ADDRESS].name, address->name, name);
    shared_take(limits->shared, (int)kind, limits_client(address, user),
                user ? user->everywhere : name, units);
}

bool limits_take(struct limits *limits, const struct client_address *address,
                 const struct known_user *user, struct limits_standing *ret)
{
    enum limits_kind kind = kind_of(user);
    struct bucket_table *table = &limits->tables[kind];
    ret->known = table->slots && !is_spared(limits, address);
    ret->kind = kind;
    if (!ret->known)
        return true;
    if (bucket_take(table, limits_client(address, user), 1, now_us_of(limits), &ret->bucket)) {
        share_take(limits, kind, address, user, table->window_us);
        return true;
    }
    limits->refused[kind]++;
    log_limited(limits, address, kinds[kind].name);
    return false;
}

static void charge_address(struct limits *limits, const struct client_address *address, int cost)
{
    struct bucket_table *table = &limits->tables[LIMITS_ADDRESS];
    if (!table->slots || is_spared(limits, address))
        return;
    int64_t units = bucket_charge(table, address->name, cost, now_us_of(limits));
    share_take(limits, LIMITS_ADDRESS, address, NULL, units);
}

void limits_charge_failure(struct limits *limits, const struct client_address *address)
{
    limits->failures++;
    charge_address(limits, address, limits->failed_cost);
}

struct place *limits_place(struct limits *limits, const struct client_address *address,
                           const struct known_user *user, size_t route, size_t body,
                           int64_t deadline_ns, bool *ret_shed)
{
    struct place *place =
        places_take(limits->places, limits_client(address, user), !is_spared(limits, address),
                    route, body, deadline_ns, ret_shed);
    if (!place && !*ret_shed) {
        limits->busy++;
        log_limited(limits, address, "requests at one time, or answers that it does not read");
    }
    return place;
}

/* ---- Connections ---- */

/* Those of a proxy are of many clients, and its own affair. */
static bool is_bounded_peer(const struct limits *limits, const struct http_peer *peer,
                            struct client_address *ret)
{
    return client_address_of_peer(&limits->proxies, peer, ret) && !is_spared(limits, ret);
}

enum http_admission limits_connect(struct limits *limits, const struct http_peer *peer)
{
    const struct bucket_table *rates = &limits->tables[LIMITS_ADDRESS];
    struct client_address address;
    if (!is_bounded_peer(limits, peer, &address))
        return HTTP_ADMIT;
    struct open_connections *open = map_get(&limits->connections, address.name);
    if (open && open->count >= limits->connections_max) {
        limits->turned_away++;
        log_limited(limits, &address, "open connections");
        return HTTP_TURN_AWAY;
    }
    if (!open) {
        open = calloc(1, sizeof *open);
        FH_ASSERT(open != NULL);
        map_put(&limits->connections, address.name, open);
    }
    open->count++;
    bool over = rates->slots && bucket_is_empty(rates, address.name, now_us_of(limits));
    return over ? HTTP_ADMIT_PACED : HTTP_ADMIT;
}

void limits_disconnect(struct limits *limits, const struct http_peer *peer, bool asked)
{
    struct client_address address;
    if (!is_bounded_peer(limits, peer, &address))
        return;
    struct open_connections *open = map_get(&limits->connections, address.name);
    if (--open->count == 0)
        free(map_remove(&limits->connections, address.name));
    if (!asked)
        charge_address(limits, &address, 1);
}

/* ---- What is told ---- */

static long long seconds_of(int64_t us)
{
    return (long long)((us + 999999) / 1000000);
}

void limits_headers(const struct limits *limits, const struct limits_standing *standing,
                    char ret_policy[static LIMITS_HEADER_SIZE],
                    char ret_limit[static LIMITS_HEADER_SIZE])
{
    const struct bucket_table *table = &limits->tables[standing->kind];
    const char *name = kinds[standing->kind].name;
    snprintf(ret_policy, LIMITS_HEADER_SIZE, "\"%s\";q=%lld;w=%lld", name, (long long)table->quota,
             (long long)(table->window_us / 1000000));
    snprintf(ret_limit, LIMITS_HEADER_SIZE, "\"%s\";r=%lld;t=%lld", name,
             (long long)standing->bucket.remaining, seconds_of(standing->bucket.full_us));
}

int limits_retry_s(const struct limits_standing *standing)
{
    long long seconds = standing->known ? seconds_of(standing->bucket.possible_us) : 1;
    return seconds < 1 ? 1 : (int)seconds;
}

void limits_metrics_text(const struct limits *limits, struct text *text)
{
    int64_t asked, unread;
    size_t clients;
    places_load(limits->places, &asked, &unread, &clients);
    text_add(text,
             "# HELP freehold_gateway_limited_total Requests, and connections, refused because "
             "their client was over a limit.\n# TYPE freehold_gateway_limited_total counter\n");
    for (int kind = 0; kind < LIMITS_KINDS; kind++)
        text_printf(text, "freehold_gateway_limited_total{limit=\"%s\"} %llu\n", kinds[kind].name,
                    (unsigned long long)limits->refused[kind]);
    text_printf(text,
                "freehold_gateway_limited_total{limit=\"places\"} %llu\n"
                "freehold_gateway_limited_total{limit=\"connections\"} %llu\n"
                "# HELP freehold_gateway_failed_credentials_total Credentials that were refused.\n"
                "# TYPE freehold_gateway_failed_credentials_total counter\n"
                "freehold_gateway_failed_credentials_total %llu\n"
                "# HELP freehold_gateway_answers_bytes Answers by where they are: asked for, or "
                "here and not read by their clients.\n"
                "# TYPE freehold_gateway_answers_bytes gauge\n"
                "freehold_gateway_answers_bytes{state=\"asked\"} %lld\n"
                "freehold_gateway_answers_bytes{state=\"unread\"} %lld\n"
                "# HELP freehold_gateway_clients Clients with a request under way.\n"
                "# TYPE freehold_gateway_clients gauge\n"
                "freehold_gateway_clients %zu\n",
                (unsigned long long)limits->busy, (unsigned long long)limits->turned_away,
                (unsigned long long)limits->failures, (long long)asked, (long long)unread, clients);
    if (limits->shared)
        text_printf(text,
                    "# HELP freehold_gateway_limits_shared 1: gateways count together; 0: each for "
                    "itself, since the server of their counters is away.\n"
                    "# TYPE freehold_gateway_limits_shared gauge\n"
                    "freehold_gateway_limits_shared %d\n",
                    shared_stands(limits->shared));
}
