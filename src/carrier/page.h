/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARRIER_PAGE_H
#define CARRIER_PAGE_H

/* A page of ops as it is read from the owner's outbox (work/carried.h says what an event of ops
 * looks like), for one generation of one derived store. */

#include "carrier/form.h"
#include "carrier/record.h"
#include "carrier/spare.h"
#include "store/ledger.h"

struct carried_event {
    int64_t position, version;
    char id[ID_SIZE];
    char *data; /* with what json_scan.h reads behind it. NULL: nothing for carriers, nor in those
                   before it, up to one that has some */
    size_t length;
};

/* From where on: a generation's cursor, or where the page before it ends. */
struct carried_start {
    struct carried_name generation;
    int64_t position;
    char id[ID_SIZE]; /* of the event there; "": it is not known */
    /* The last event that this process has ever sent to the server; at 0: none. */
    struct carried_place sent;
};

struct carried_reading {
    struct carried_event *read; /* from the outbox; `taken` of them are in the page */
    int taken;
    int read_count, read_capacity;
    size_t read_size;
    int64_t slice_count;      /* of what is read at once: how many events so far, */
    size_t slice_end;         /* and the read_size at which it ends */
    struct carried_page page; /* link.to == link.from: there is nothing behind it yet */
    struct carried_place end; /* the event at link.to */
    int capacity;
    size_t size;
    struct carried_held {
        json_t *event;
        void *values;
        void *room; /* of `spare` */
    } * held;       /* what ops point into, besides the texts that were read */
    int held_count, held_capacity;
    struct carried_form form;     /* of points and facts */
    bool more;                    /* it has ended at its bounds: something follows */
    struct carried_place missing; /* what it follows, if the outbox has lost that (37): nothing of
                                   * it may be sent. Else "" */
    bool noted;                   /* set by whoever sends it: what follows may be sent */
    bool fills;                   /* its generation: the last of its rows are in it */
    struct carried_name generation;
    char life[ID_SIZE]; /* of facts that the server alone has: the owner's, when it was read */
    const struct carried_server_ops *server;
    const struct fh_derived *declared;
    struct carried_spare *spare; /* or NULL; it lives longer */
    int ops_max;
    size_t size_max;
    enum fh_code code;
    struct fh_error *error;
};

/* Reads what follows, up to the bounds of the server (server.h). In a snapshot, in which the outbox
 * is not trimmed up there. Parks between slices. Zero-initialised but for `spare`, or as
 * carried_page_follow made it; released in any case. On a fiber. */
enum fh_code carried_page_read(struct carried_reading *reading, struct store_work *work,
                               struct world *world, const struct carried_server_ops *server,
                               const struct fh_derived *declared, const struct carried_start *start,
                               struct fh_error *error);
/* How many bytes of texts to read at once, after `size` took so long and the loop needed `turn_ns`
 * to come back: where its turns are long, as much as takes half of one, and 4 ms at most. */
size_t carried_slice_size(size_t size, int64_t took_ns, int64_t turn_ns);
/* Room for one more event that is read. */
struct carried_event *carried_page_event(struct carried_reading *reading);
/* Then makes the page of it, and of that what the server's `write` makes; ops of other generations,
 * and whatever else is published, are passed over. A large one is made beside the loop. On a
 * fiber. */
enum fh_code carried_page_make(struct carried_reading *reading, struct world *world);
/* The page behind one that is made: `next`, zero-initialised, is given what that has read and not
 * taken. */
void carried_page_follow(struct carried_reading *next, struct carried_reading *before,
                         struct carried_start *ret_start);
/* On a fiber. */
void carried_page_release(struct carried_reading *reading, struct world *world);

#endif
