/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_RESYNC_PAGE_H
#define EVENT_RESYNC_PAGE_H

/* A page of a snapshot (snapshot.h) as received: checked, in memory of its own. */

#include "event/subscribe/batch.h"

struct page_read {
    struct arena arena; /* of everything below */
    char incarnation[ID_SIZE];
    int64_t position; /* where the publisher stood */
    char position_id[ID_SIZE];
    bool integers;     /* the keys are integers */
    const char *after; /* the next page begins after this key; NULL: this is the last page */
    int count;
    struct batch_event *rows; /* `id` and `time` stay empty; positions may be 0 */
    const char **digests;     /* of each row, where these were asked for instead of data */
    bool same; /* as the reader has said that it would be: neither `after` nor rows are told */
};

/* Parses a 200 answer, with `digests` instead of data. FH_INVALID says why no snapshot would answer
 * like that: a header is missing, the body is not JSON, rows have another type, no key or nothing
 * of it, are more than `count_max`, or lie beyond the publisher's position. */
enum fh_code page_parse(const struct world_request *answer, const char *type, bool digests,
                        int count_max, struct page_read **ret, struct fh_error *error);
/* The same of a 304 answer. */
enum fh_code page_parse_same(const struct world_request *answer, struct page_read **ret,
                             struct fh_error *error);
void page_free(struct page_read *page);

#endif
