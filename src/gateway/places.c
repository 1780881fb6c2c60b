/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places are taken in one order, the client's, the client's on the route, the route's, then the
 * bytes: so nobody waits for somebody who waits for him. Clients are known only while they have a
 * place or wait for one, so there are never more of them than connections.
 *
 * Whoever is woken and can't go on waits again; whoever goes on, or gives up, wakes the next. As
 * long as a client has anything, its end wakes somebody; when it has nothing, the first may go on.
 */

#include "gateway/places.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/map.h"
#include "call/line.h"

#define WAITING_MAX 1024     /* of one client, or on one route */
#define EXPECTED_FIRST 65536 /* of a route that has given no answer yet */
#define HALVING_NS INT64_C(60000000000)

struct places_route {
    struct line line;
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
    int64_t asked, unread;
    struct fiber_queue room;
};

struct place {
    struct http_held held; /* first: it is cast from */
    struct places *places;
    struct places_client *client;
    struct share *share; /* NULL: not counted */
    size_t route;
    int64_t asked, unread;
};

struct places {
    struct world *world;
    struct places_bounds bounds;
    struct map clients;
    /* Those whose own bounds would let them, by whether they have something already. */
    struct fiber_queue firsts, others;
    int64_t asked, unread;
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
    for (size_t i = 0; i < route_count; i++)
        places->routes[i].expected = -1;
    return places;
}

void places_free(struct places *places)
{
    if (!places)
        return;
    FH_ASSERT(places->clients.count == 0);
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
    FH_ASSERT(!client->shares && client->asked == 0 && client->unread == 0);
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

/* ---- Bytes ---- */

static bool fits_client(const struct places *places, const struct places_client *client,
                        int64_t size)
{
    const struct places_bounds *bounds = &places->bounds;
    int64_t has = client->asked + client->unread;
    return (client->asked == 0 || client->asked + size <= bounds->asked) &&
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

static struct fiber_queue *room_for(struct places *places, struct places_client *client,
                                    int64_t size)
{
    if (!fits_client(places, client, size))
        return &client->room;
    return has_nothing(client) ? &places->firsts : &places->others;
}

static void wake_next(struct places *places, struct places_client *client)
{
    fiber_wake_one(&client->room);
    fiber_wake_one(places->firsts.first ? &places->firsts : &places->others);
}

/* False: the deadline passed first. */
static bool take_bytes(struct place *place, int64_t deadline_ns)
{
    struct places *places = place->places;
    struct places_client *client = place->client;
    int64_t size = expected_size(places, place->route, place->share != NULL);
    bool in_time = true, waited = false;
    while (in_time && !(fits_client(places, client, size) && fits_all(places, client, size))) {
        waited = true;
        in_time = fiber_wait_until(room_for(places, client, size), places->world, deadline_ns);
        size = expected_size(places, place->route, place->share != NULL);
    }
    if (in_time) {
        place->asked = size;
        client->asked += size;
        places->asked += size;
    }
    if (waited)
        wake_next(places, client);
    return in_time;
}

static void give_bytes_back(struct place *place)
{
    struct places *places = place->places;
    struct places_client *client = place->client;
    client->asked -= place->asked;
    client->unread -= place->unread;
    places->asked -= place->asked;
    places->unread -= place->unread;
    place->asked = place->unread = 0;
    wake_next(places, client);
}

/* ---- Places ---- */

/* The lines whose places it has, in the order in which they are taken. */
static size_t lines_of(struct place *place, struct line *ret[static 3])
{
    if (!place->share)
        return 0;
    ret[0] = &place->client->line;
    ret[1] = &place->share->line;
    ret[2] = &place->places->routes[place->route].line;
    return 3;
}

static size_t enter_lines(struct place *place, struct line *const *lines, size_t count,
                          int64_t deadline_ns)
{
    const struct places_bounds *bounds = &place->places->bounds;
    int half = bounds->route_in_flight / 2;
    const int most[] = {bounds->in_flight, half ? half : 1, bounds->route_in_flight};
    size_t entered = 0;
    while (entered < count && line_enter(lines[entered], place->places->world, most[entered],
                                         WAITING_MAX, deadline_ns) == LINE_TAKEN)
        entered++;
    return entered;
}

static void leave_lines(struct line *const *lines, size_t count)
{
    while (count > 0)
        line_leave(lines[--count]);
}

static void forget_place(struct place *place)
{
    if (place->share)
        unuse_share(place->client, place->share);
    unuse_client(place->places, place->client);
    free(place);
}

static void on_place_gone(struct http_held *held)
{
    struct place *place = (struct place *)held;
    struct line *lines[3];
    give_bytes_back(place);
    leave_lines(lines, lines_of(place, lines));
    forget_place(place);
}

struct place *places_take(struct places *places, const char *client, bool counted, size_t route,
                          int64_t deadline_ns)
{
    FH_ASSERT(route < places->route_count);
    struct place *place = calloc(1, sizeof *place);
    struct line *lines[3];
    FH_ASSERT(place != NULL);
    *place = (struct place){.held = {.gone = on_place_gone},
                            .places = places,
                            .client = use_client(places, client),
                            .route = route};
    if (counted)
        place->share = use_share(place->client, route);
    size_t count = lines_of(place, lines), entered = enter_lines(place, lines, count, deadline_ns);
    if (entered == count && take_bytes(place, deadline_ns))
        return place;
    leave_lines(lines, entered);
    forget_place(place);
    return NULL;
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
    give_bytes_back(place);
    place->unread = bytes;
    place->client->unread += bytes;
    place->places->unread += bytes;
    return &place->held;
}

void places_load(const struct places *places, int64_t *ret_asked, int64_t *ret_unread,
                 size_t *ret_clients)
{
    *ret_asked = places->asked;
    *ret_unread = places->unread;
    *ret_clients = places->clients.count;
}
