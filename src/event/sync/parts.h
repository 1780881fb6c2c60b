/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_SYNC_PARTS_H
#define EVENT_SYNC_PARTS_H

/* Shared by the files of a sync: sync.c, which takes its steps; below it compare.c, which finds out
 * what differs on a page; and mend.c, which mends it. */

#include "event/digest.h"
#include "event/resync/parts.h"
#include "event/sync/sync.h"

/* One key that this service holds. */
struct sync_held {
    const char *key;
    char digest[DIGEST_SIZE];
};

/* One page of what is held here, listed by `held`. */
struct sync_list {
    fh_work w; /* first: it runs the handler */
    struct subscription *subscription;
    struct arena arena;     /* of everything below */
    json_t *names;          /* of the members beside the key */
    struct sync_held *rows; /* of this partition, in the order of their keys */
    int count, limit;
    const char *last; /* the last key of the list, whosever it is; NULL: none */
    bool ends;        /* nothing comes after it */
};

enum sync_verdict {
    SYNC_DONE,
    SYNC_OUTAGE, /* later */
    SYNC_WRONG,  /* a declaration or a handler is to blame; `error` says how */
    SYNC_LOST,   /* the place in the publisher's history is lost, or in our store */
};

/* One page, from both sides. */
struct sync_page {
    struct subscription *subscription;
    const struct fh_subscription *subscribed;
    struct sync_list *list;
    struct page_read *read;
    int limit;
    const char *upto;            /* what both sides cover; NULL: to the end */
    json_t *differing, *surplus; /* keys */
    int64_t checked;
    struct fh_error error;
};

/* On a fiber; parks. Released by sync_list_release whatever it returns. */
enum fh_code sync_list_read(struct sync_list *list, struct subscription *subscription, int limit,
                            struct fh_error *error);
void sync_list_release(struct sync_list *list);
/* Of the page that the publisher has if it has the same; "": it can't be said. */
void sync_list_digest(const struct sync_list *list, char ret[static DIGEST_SIZE]);

/* Where the sync stands, as a resync's request says it. */
struct ledger_resync sync_place(const struct subscription *subscription);
/* FH_INVALID: a page that ends where it began, or before: asking on would go on for ever. */
enum fh_code sync_check_advance(const struct subscription *subscription, const char *before,
                                const char *after, struct fh_error *error);
/* Compares both lists as far as both go. FH_INVALID: one of them is not in the order of its keys.
 */
enum fh_code sync_compare(struct sync_page *page);
/* How two keys of the type under way are ordered. */
int sync_order(const struct sync *sync, const char *one, const char *other);
/* Whether `list` has this row of the publisher's. */
bool sync_has(const struct sync_list *list, const struct page_read *read, int row);

/* Brings what differs in line, and counts it; the surplus is left. */
enum sync_verdict sync_mend(struct sync_page *page);
/* Gives up what is doubted still, and counts it. */
enum sync_verdict sync_give_up(struct subscription *subscription, struct fh_error *error);

/* What an answer that brought nothing means. */
enum sync_verdict sync_asked(const struct resync_asking *asking, struct fh_error *error);

#endif
