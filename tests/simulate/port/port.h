/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMULATE_PORT_H
#define SIMULATE_PORT_H

/* What clients of the port do, and what must hold of it: for simulate.c, where a seed decides what
 * fails, and for links.c, where one or two messages do. */

#include <freehold/simulate.h>

#define PIERS 3
#define FULL_PIER 9 /* crates for it are refused */
#define CRATES_MAX 100

struct port_state {
    struct {
        bool acknowledged, refused;
    } crate[CRATES_MAX];
    int crates, lifts;
    int counts[PIERS];
    bool estranged; /* the yard has said that it does not follow the quay any more */
};

/* What tells what the services have done: of those that are linked (tables.c, keys/keys.c). */
struct port_queries {
    const char *crates, *heard;        /* id, times */
    const char *counted, *piers_heard; /* id, n; and disorder */
    const char *loads, *lifts;         /* id, loaded, undone; id, status, ends */
    const char *unlisted;              /* n: keys that their list lacks; NULL: there is none */
    const char *together;              /* n: lifts that share a place; NULL: they have none */
};
extern const struct port_queries port_queries;

/* A crate: without a key once, whatever comes of it; with one until it is answered. */
void port_land(fh_client *client, bool keyed);
void port_count(fh_client *client, int number); /* `number` is its key: never twice the same */
void port_lift(fh_client *client);
void port_check(fh_client *client);

#endif
