/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LINK_H
#define TESTS_LINK_H

/*
 * A TCP link that can be cut exactly where it hurts: a port that passes everything on to a server,
 * on fibers, and does what it is told, once, with the next request that contains `marker`. Then the
 * first entry of `then` is next: so the recovery from one cut can meet another.
 */

#include "../support/harness.h"

enum link_cut {
    LINK_WHOLE,
    LINK_CUT_BEFORE, /* the request is never sent, and both ends learn that the link is gone */
    LINK_CUT_LATE,   /* likewise, but only when it is `released` */
    LINK_CUT_AFTER,  /* it is sent and answered, and the client never gets the answer */
    LINK_CUT_IN, /* the server gets what comes before the marker, and never learns that the link is
                    gone; the client does */
    LINK_HELD,   /* the client learns that the link is gone; the server gets the request on
                    link_release, and not before */
    LINK_SILENT, /* it is sent, and the client hears nothing more, not even that the link is gone */
};

struct link_plan {
    const char *marker; /* NULL: no more */
    enum link_cut how;
};

struct link {
    struct world *world;
    int listening, port, server_port;
    const char *marker, *also; /* the request must contain both; NULL: the first is enough */
    const char *without;       /* and not this one, or NULL */
    enum link_cut next;
    const struct link_plan *then; /* or NULL */
    bool refuses;                 /* new connections are refused, and counted */
    int refused;
    bool released, delivered; /* what was held */
    bool refuses_behind;      /* from the next cut on new connections are refused */
    int pumps;                /* under way */
    void (*seen)(void *context, const char *data, size_t length); /* each request, or NULL */
    void *context;
    struct fiber_queue changed;
};

/* On a fiber. The server is on the loopback. False: no port, and nothing is to be closed. */
bool link_open(struct link *link, struct world *world, int server_port, const char *marker);
/* Returns `used`; if nothing came to use it, it is closed, and a case may be left there and then:
 * its fibers look at it as long as it is open. */
bool link_used(struct link *link, bool used);
/* Lets the server have what is held, and waits until it has answered. */
void link_release(struct link *link);
/* All that used it have closed; waits until its fibers have ended. */
void link_close(struct link *link);

#endif
