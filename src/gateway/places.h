/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_PLACES_H
#define GATEWAY_PLACES_H

/*
 * What a client takes up of the gateway and of the services behind it, at one time: requests, and
 * answers by their size. A request has a place of its client's from when it is passed on until its
 * answer has been sent, so whoever does not read its answers has its places taken. What is beyond a
 * client's bounds waits in that client's own line, until the request's deadline; others never wait
 * for it. It has a place of the route's, which are few for all clients, until its answer is here.
 *
 *     asked     bytes of answers that services are making
 *     unread    bytes of answers that are here, and which their clients have not taken
 *
 * How large an answer will be is not known; it is expected to be as large as those that the route
 * gave lately. Each client may have a bound of both, and one request more than that if it has
 * nothing else. Of what all may have together, clients that have something already leave half to
 * those that have nothing.
 *
 * What waits keeps its request's body: of those a client may have as many bytes as it may leave
 * unread, or one request, and all together as many as they may leave unread, half of which is left
 * to clients of which nothing waits.
 *
 * Clients take turns at a route's places; where more comes than its service can do, whoever asks
 * most is shed (call/turns.h).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/server.h"
#include "world/world.h"

struct places_bounds {
    int in_flight;              /* of one client */
    int route_in_flight;        /* of all clients on one route; at most half of them one client's */
    int64_t asked, unread, all; /* bytes */
};

struct places;
struct place;

struct places *places_new(struct world *world, const struct places_bounds *bounds,
                          size_t route_count);
void places_free(struct places *places); /* no place may be taken; NULL is fine */

/* On a fiber, which may wait. `client`: a name; `route`: less than route_count; `counted`: requests
 * are counted, too; `body`: bytes of this one's. NULL: it was shed, of which nothing is left; or
 * the client's line is full, or the bodies that wait are too many, or the deadline passed first. */
struct place *places_take(struct places *places, const char *client, bool counted, size_t route,
                          size_t body, int64_t deadline_ns, bool *ret_shed);
/* Whether an answer of `size` bytes may be kept until it is read. It may not where all bytes are
 * taken up: that it would be so large was not expected. */
bool place_fits(const struct place *place, size_t size);
/* Its answer, of `size` bytes, is here and does not fit: others of its route may be as large. */
void place_note(const struct place *place, size_t size);
/* Its answer is here, of `size` bytes, and is about to be sent: for http_answer.held. When that is
 * gone, so is the place. */
struct http_held *place_answer(struct place *place, size_t size);
/* Until place_let_go, services are asked for it even if its answer is here, or gone: it keeps what
 * it has but for the answer's bytes. Before the answer; not after the last place_let_go. */
void place_hold(struct place *place);
void place_let_go(struct place *place);

/* Bytes of all clients, and clients that have any place. */
void places_load(const struct places *places, int64_t *ret_asked, int64_t *ret_unread,
                 size_t *ret_clients);

#endif
