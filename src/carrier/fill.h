/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARRIER_FILL_H
#define CARRIER_FILL_H

/* What the files of filling share: a page of rows of a new generation, from when they are listed
 * until they are published (fill.c). Where they come from is a `filling_source`. */

#include "base/text.h"
#include "carrier/parts.h"

#define FILL_DEADLINE_MS 30000

struct filling_page;

struct filling_source {
    /* Lists what follows page->generation->after, of one moment. On a fiber. */
    enum fh_code (*list)(struct filling_page *page, struct store_work *snapshot,
                         struct fh_error *error);
    /* Publishes what was listed (filling_add), again and again perhaps; page->after becomes the
     * last key. */
    enum fh_code (*publish)(struct filling_page *page, struct fh_error *error);
};

struct filling_page {
    struct derived_carrier *carrier;
    const struct carried_generation *generation;
    const struct filling_source *source;
    bool alone;       /* lists while no unit of work of this process changes anything */
    int64_t position; /* that the snapshot knew which the rows are of */
    bool ends;        /* there are none behind them */
    bool torn;        /* they were of several moments: nothing was published */
    struct text data; /* of the event that is being made */
    struct ledger_event *first, *last;
    char after[DERIVED_KEY_LENGTH_MAX + 1];
};

/* A row's op is appended to the text that is returned. */
struct text *filling_add(struct filling_page *page);
/* Lists a page and publishes it. */
enum fh_code filling_run(struct filling_page *page, bool *ret_more, struct fh_error *error);

#endif
