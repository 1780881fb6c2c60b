/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_RESYNC_PAGE_H
#define EVENT_RESYNC_PAGE_H

/* A page of a snapshot (snapshot.h) as its reader takes it: checked, in memory of its own. */

#include "event/subscribe/batch.h"

struct page_read {
    struct arena arena; /* all of the below */
    char incarnation[ID_SIZE];
    int64_t position; /* where the publisher stood */
    char position_id[ID_SIZE];
    bool integers;     /* its keys are */
    const char *after; /* the next page begins behind it; NULL: this was the last one */
    int count;
    struct batch_event *rows; /* `id` and `time_ms` stay empty; positions from 0 */
};

/* From a 200. FH_INVALID says what of it no snapshot answers: a missing header, no JSON, rows of
 * another type, without key or data, more than `count_max`, beyond the publisher's position. */
enum fh_code page_parse(const struct world_request *answer, const char *type, int count_max,
                        struct page_read **ret, struct fh_error *error);
void page_free(struct page_read *page);

#endif
