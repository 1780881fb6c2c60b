/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_FEED_PAGE_H
#define EVENT_FEED_PAGE_H

/* A page of a snapshot on its way out: snapshot.c reads it, page.c writes it down. */

#include "base/map.h"
#include "base/text.h"
#include "event/feed/row.h"
#include "event/feed/snapshot.h"
#include "work/work.h"

/* One page, and the unit of work that lists its rows. */
struct page {
    fh_work w; /* first: it is cast from */
    const struct fh_published *published;
    const json_t *typed;
    bool integers; /* the keys are integers */
    unsigned partition_index, partition_count;
    int limit;
    struct row_asked asked;
    json_t *keys;      /* of the rows, in their order */
    bool same;         /* page_is_same of them */
    struct map places; /* key → its last position, on the heap */
    struct text body;  /* the answer's */
    int64_t position;
    char position_id[ID_SIZE];
    bool unsequenced;
    int status;
    const char *why; /* when the status is not 200 */
};

/* Whether its rows are what its reader expects, wherever their keys' last events are. */
bool page_is_same(const struct page *page);
/* The answer's body, as snapshot.h describes it. */
enum fh_code page_write(struct page *page, struct fh_error *error);
/* A page of one row that fails: `error` names its key, too. Returns `code`. */
enum fh_code page_name_row(const struct page *page, enum fh_code code, struct fh_error *error);

#endif
