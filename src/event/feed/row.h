/* SPDX-License-Identifier: Apache-2.0 */
#ifndef EVENT_FEED_ROW_H
#define EVENT_FEED_ROW_H

#include "base/text.h"
#include "event/fields.h"
#include "store/ledger.h"
#include "work/work.h"

/* What a snapshot's reader asks for. */
struct row_asked {
    int version; /* 0: any */
    struct fields fields;
    const json_t
        *digests; /* names of fields whose digest is sent instead of the data; NULL: none */
};

/* Whether rows in the present version are in the one that is asked for. */
bool row_is_as_asked(const struct fh_published *published, const struct row_asked *asked);

/* Appends a row of a snapshot, of which key and position are given, in the version that is
 * asked for, if there are casts to it. One that fails is the page's fault, as one of the state's
 * handler would be. */
enum fh_code row_write(struct text *body, struct work_context *context,
                       const struct fh_published *published, struct ledger_event *row,
                       const json_t *data, const struct row_asked *asked, struct fh_error *error);

#endif
