/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARRIER_PAGE_H
#define CARRIER_PAGE_H

/* A page of ops as it is read from the owner's outbox (work/carried.h says what an event of ops
 * looks like), for one generation of one derived store. */

#include "carrier/record.h"
#include "store/ledger.h"

struct carried_event {
    int64_t position, version;
    char id[ID_SIZE];
    char *data; /* NULL: nothing for carriers, nor in those before it, up to one that has some */
    size_t length;
};

struct carried_reading {
    struct carried_event *read; /* from the outbox, and not taken yet */
    int read_count, read_capacity;
    size_t read_size;
    struct carried_page page; /* link.to == link.from: there is nothing behind it yet */
    int capacity;
    size_t size;
    json_t **events; /* whose data the ops point into */
    int event_count, event_capacity;
    bool fills; /* its generation: the last of its rows are in it */
    struct carried_name generation;
    char life[ID_SIZE]; /* of facts that the server alone has: the owner's, when it was read */
    const char *name;   /* of the derived store */
    int ops_max;
    size_t size_max;
    enum fh_code code;
    struct fh_error *error;
};

/* Reads what follows the generation's cursor, up to the bounds of its server (server.h). In a
 * snapshot, in which the outbox is not trimmed up there. Zero-initialised; released in any case. */
enum fh_code carried_page_read(struct carried_reading *reading, struct store_work *work,
                               const struct carried_server_ops *server, const char *name,
                               const struct carried_generation *generation, struct fh_error *error);
/* Then makes the page of it; ops of other generations, and whatever else is published, are passed
 * over. A large one is made beside the loop. On a fiber. */
enum fh_code carried_page_make(struct carried_reading *reading, struct world *world);
/* On a fiber. */
void carried_page_release(struct carried_reading *reading, struct world *world);

#endif
