/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request needs is taken in one order: what is its client's own (a place, one on the route,
 * bytes), then what belongs to all (a place on the route, bytes). So nobody waits for somebody who
 * waits for him, and whoever waits for himself has nothing of what belongs to all. The route's
 * place is given back with the answer, which its service has then made, and the others when the
 * answer was sent. Clients are known only while they have a place or wait for one, so there are
 * never more of them than connections.
 *
 * Whoever is woken and can't go on waits again; whoever goes on, or gives up, wakes the next. As
 * long as a client has anything, its end wakes somebody; when it has nothing, the first may go on.
 */

#include "gateway/places.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/map.h"
#include "call/fair_line.h"
#include "call/line.h"

#define WAITING_MAX 1024     /* of one client, or on one route */
#define EXPECTED_FIRST 65536 /* of a route that has given no answer yet */
#define HALVING_NS INT64_C(60000000000)

struct places_route {
    struct fair_line line;
    int64_t expected; /* bytes; -1: none has been seen */
    int64_t halved_ns;
};

/* A client's places on one route, where they are counted. */
struct share {
    size_t route;
    unsigned users;
    struct line line;
    struct share *next;
};

struct places_client {
    char *name;
    unsigned users;
    struct line line;
    struct share *shares;
    int64_t expected; /* `asked`, and what still waits for what belongs to all */
    int64_t asked, unread;
    int64_t waiting; /* bodies */
    struct fiber_queue room;
};

struct place {
    struct http_held held; /* first: it is cast from */
    struct places *places;
    struct places_client *client;
    struct share *share; /* NULL: not counted */
    size_t route;
    size_t lines; /* of its client's two, how many it is in */
    bool on_route;
    unsigned holds; /* place_hold */
    bool sent;      /* its answer is gone */
    int64_t expected, asked, unread;
    int64_t body, waiting; /* 0: it does not wait */
};

struct places {
    struct world *world;
    struct places_bounds bounds;
    struct map clients;
    /* Those whose own bounds would let them, by whether they have something already. */
    struct fiber_queue firsts, others;
    int64_t asked, unread, waiting;
    size_t route_count;
    struct places_route routes[];
};

struct places *places_new(struct world *world, const struct places_bounds *bounds,
                          size_t route_count)
{
    struct places *places = calloc(1, sizeof *places + route_count * sizeof(struct places_route));
    FH_ASSERT(places != NULL);
    places->world = world;
    places->bounds = *bounds;
    places->route_count = route_count;
    map_init(&places->clients);
    for (size_t i = 0; i < route_count; i++) {
        places->routes[i].expected = -1;
        fair_line_init(&places->routes[i].line, "a route", bounds->route_in_flight, WAITING_MAX);
    }
    return places;
}

void places_free(struct places *places)
{
    if (!places)
        return;
    FH_ASSERT(places->clients.count == 0);
    for (size_t i = 0; i < places->route_count; i++)
        fair_line_release(&places->routes[i].line);
    map_release(&places->clients);
    free(places);
}

/* ---- How large an answer will be ---- */

/* A client that is not counted may ask as much as it likes of a route that nothing is known of. */
static int64_t expected_size(struct places *places, size_t route, bool counted)
{
    struct places_route *of = &places->routes[route];
    int64_t now_ns = world_monotonic_ns(places->world);
    if (of->expected < 0)
        return counted ? EXPECTED_FIRST : 0;
    while (of->expected > 0 && now_ns - of->halved_ns >= HALVING_NS) {
        of->expected /= 2;
        of->halved_ns += HALVING_NS;
    }
    return of->expected;
}

static void note_size(struct places *places, size_t route, int64_t size)
{
    struct places_route *of = &places->routes[route];
    if (of->expected >= 0 && size < expected_size(places, route, false))
        return;
    of->expected = size;
    of->halved_ns = world_monotonic_ns(places->world);
}

/* ---- Clients and their shares ---- */

static struct places_client *use_client(struct places *places, const char *name)
{
    struct places_client *client = map_get(&places->clients, name);
    if (!client) {
        client = calloc(1, sizeof *client);
        FH_ASSERT(client != NULL);
        client->name = strdup(name);
        FH_ASSERT(client->name != NULL);
        map_put(&places->clients, name, client);
    }
    client->users++;
    return client;
}

static void unuse_client(struct places *places, struct places_client *client)
{
    if (--client->users)
        return;
    FH_ASSERT(!client->shares && client->expected == 0 && client->asked == 0 &&
              client->unread == 0 && client->waiting == 0);
    map_remove(&places->clients, client->name);
    free(client->name);
    free(client);
}

static struct share *use_share(struct places_client *client, size_t route)
{
    struct share *share = client->shares;
    while (share && share->route != route)
        share = share->next;
    if (!share) {
        share = calloc(1, sizeof *share);
        FH_ASSERT(share != NULL);
        *share = (struct share){.route = route, .next = client->shares};
        client->shares = share;
    }
    share->users++;
    return share;
}

static void unuse_share(struct places_client *client, struct share *share)
{
    struct share **at = &client->shares;
    if (--share->users)
        return;
    while (*at != share)
        at = &(*at)->next;
    *at = share->next;
    free(share);
}

/* ---- What waits ---- */

static void count_waiting(struct place *place, int64_t bytes)
{
    place->waiting += bytes;
    place->client->waiting += bytes;
    place->places->waiting += bytes;
}

/* False: too much waits already. */
static bool begin_to_wait(struct place *place)
{
    const struct places *places = place->places;
    int64_t of_client = place->client->waiting, of_all = places->waiting, body = place->body;
    if (place->waiting || !body)
        return true;
    int64_t most = of_client ? places->bounds.all / 2 : places->bounds.all;
    if ((of_client && of_client + body > places->bounds.unread) || (of_all && of_all + body > most))
        return false;
    count_waiting(place, body);
    return true;
}

/* ---- Bytes ---- */

static bool fits_client(const struct places *places, const struct places_client *client,
                        int64_t size)
{
    const struct places_bounds *bounds = &places->bounds;
    int64_t has = client->expected + client->unread;
    return (client->expected == 0 || client->expected + size <= bounds->asked) &&
           (has == 0 || has + size <= bounds->unread);
}

static bool has_nothing(const struct places_client *client)
{
    return client->asked + client->unread == 0;
}

static bool fits_all(const struct places *places, const struct places_client *client, int64_t size)
{
    int64_t all = places->asked + places->unread, most = places->bounds.all;
    return all == 0 || all + size <= (has_nothing(client) ? most : most / 2);
}

static void wake_for_all(struct places *places)
{
    fiber_wake_one(places->firsts.first ? &places->firsts : &places->others);
}

/* False: the deadline passed first. */
static bool take_own_bytes(struct place *place, int64_t deadline_ns)
{
    struct places *places = place->places;
    struct places_client *client = place->client;
    int64_t size = expected_size(places, place->route, place->share != NULL);
    bool in_time = true, waited = false;
    while (in_time && !fits_client(places, client, size)) {
        waited = true;
        in_time =
            begin_to_wait(place) && fiber_wait_until(&client->room, places->world, deadline_ns);
        size = expected_size(places, place->route, place->share != NULL);
    }
    if (in_time) {
        place->expected = size;
        client->expected += size;
    }
    if (waited)
        fiber_wake_one(&client->room);
    return in_time;
}

/* The same of the bytes of all. */
static bool take_bytes_of_all(struct place *place, int64_t deadline_ns)
{
    struct places *places = place->places;
    struct places_client *client = place->client;
    bool in_time = true, waited = false;
    while (in_time && !fits_all(places, client, place->expected)) {
        waited = true;
        in_time = begin_to_wait(place) &&
                  fiber_wait_until(has_nothing(client) ? &places->firsts : &places->others,
                                   places->world, deadline_ns);
    }
    if (in_time) {
        place->asked = place->expected;
        client->asked += place->asked;
        places->asked += place->asked;
    }
    if (waited)
        wake_for_all(places);
    return in_time;
}

static void wake_for_bytes(const struct place *place)
{
    fiber_wake_one(&place->client->room);
    wake_for_all(place->places);
}

static void give_asked_back(struct place *place)
{
    place->client->expected -= place->expected;
    place->client->asked -= place->asked;
    place->places->asked -= place->asked;
    place->expected = place->asked = 0;
    wake_for_bytes(place);
}

static void set_unread(struct place *place, int64_t bytes)
{
    place->client->unread += bytes - place->unread;
    place->places->unread += bytes - place->unread;
    place->unread = bytes;
}

/* ---- Places ---- */

static bool enter_place_line(struct place *place, struct line *line, int most, int64_t deadline_ns)
{
    return (line->in_flight < most || begin_to_wait(place)) &&
           line_enter(line, place->places->world, most, WAITING_MAX, deadline_ns) == LINE_TAKEN;
}

static bool enter_own_lines(struct place *place, int64_t deadline_ns)
{
    const struct places_bounds *bounds = &place->places->bounds;
    int half = bounds->route_in_flight / 2;
    if (!place->share)
        return true;
    if (enter_place_line(place, &place->client->line, bounds->in_flight, deadline_ns))
        place->lines = 1;
    if (place->lines && enter_place_line(place, &place->share->line, half ? half : 1, deadline_ns))
        place->lines = 2;
    return place->lines == 2;
}

static bool enter_route(struct place *place, int64_t deadline_ns, bool *ret_shed)
{
    struct places *places = place->places;
    struct fair_line *line = &places->routes[place->route].line;
    if (!place->share)
        return true;
    if (line->in_flight >= line->in_flight_max && !begin_to_wait(place))
        return false;
    enum fair_place taken =
        fair_line_enter(line, places->world, place->client->name, (size_t)place->body, deadline_ns);
    place->on_route = taken == FAIR_TAKEN;
    *ret_shed = taken == FAIR_SHED;
    return place->on_route;
}

static void leave_route(struct place *place)
{
    if (place->on_route)
        fair_line_leave(&place->places->routes[place->route].line);
    place->on_route = false;
}

/* With all that it has. */
static void give_place_back(struct place *place)
{
    set_unread(place, 0);
    give_asked_back(place);
    leave_route(place);
    if (place->lines > 1)
        line_leave(&place->share->line);
    if (place->lines > 0)
        line_leave(&place->client->line);
    if (place->share)
        unuse_share(place->client, place->share);
    unuse_client(place->places, place->client);
    free(place);
}

static void on_place_gone(struct http_held *held)
{
    struct place *place = (struct place *)held;
    place->sent = true;
    if (!place->holds) {
        give_place_back(place);
        return;
    }
    set_unread(place, 0);
    wake_for_bytes(place);
}

void place_hold(struct place *place)
{
    place->holds++;
}

void place_let_go(struct place *place)
{
    if (--place->holds)
        return;
    if (place->sent) {
        give_place_back(place);
        return;
    }
    give_asked_back(place);
    leave_route(place);
}

struct place *places_take(struct places *places, const char *client, bool counted, size_t route,
                          size_t body, int64_t deadline_ns, bool *ret_shed)
{
    FH_ASSERT(route < places->route_count);
    *ret_shed = false;
    struct place *place = calloc(1, sizeof *place);
    FH_ASSERT(place != NULL);
    *place = (struct place){.held = {.gone = on_place_gone},
                            .places = places,
                            .client = use_client(places, client),
                            .route = route,
                            .body = (int64_t)body};
    if (counted)
        place->share = use_share(place->client, route);
    bool taken = enter_own_lines(place, deadline_ns) && take_own_bytes(place, deadline_ns) &&
                 enter_route(place, deadline_ns, ret_shed) && take_bytes_of_all(place, deadline_ns);
    count_waiting(place, -place->waiting);
    if (taken)
        return place;
    give_place_back(place);
    return NULL;
}

void place_note(const struct place *place, size_t size)
{
    note_size(place->places, place->route, (int64_t)size);
}

bool place_fits(const struct place *place, size_t size)
{
    const struct places *places = place->places;
    const struct places_client *client = place->client;
    int64_t unread = places->unread + (int64_t)size, most = places->bounds.all;
    if (client->unread == 0)
        return unread <= most || places->unread == 0;
    return client->unread + (int64_t)size <= places->bounds.unread && unread <= most / 2;
}

struct http_held *place_answer(struct place *place, size_t size)
{
    int64_t bytes = (int64_t)size;
    note_size(place->places, place->route, bytes);
    if (!place->holds) {
        give_asked_back(place);
        leave_route(place);
    }
    set_unread(place, bytes);
    return &place->held;
}

void places_load(const struct places *places, int64_t *ret_asked, int64_t *ret_unread,
                 size_t *ret_clients)
{
    *ret_asked = places->asked;
    *ret_unread = places->unread;
    *ret_clients = places->clients.count;
}
