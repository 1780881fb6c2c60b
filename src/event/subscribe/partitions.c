/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instances that start together and all find no cursors: their works are serializable, so one makes
 * them, and the others run again and find them.
 */

#include "event/subscribe/partitions.h"

#include <stdio.h>

#include "event/feed/feed.h"
#include "store/ledger.h"
#include "work/batch.h"
#include "work/work.h"

struct found {
    unsigned count, shares; /* cursors; and what they say there are */
};

static bool take_share(void *context, const char *share)
{
    struct found *found = context;
    unsigned index;
    if (sscanf(share, "%u/%u", &index, &found->shares) == 2)
        found->count++;
    return true;
}

/* In an embedded store the one cursor is made by its first move. */
static enum fh_code make_cursors(struct store_work *work, const char *source, bool many,
                                 struct found *ret, struct fh_error *error)
{
    char share[16];
    *ret = (struct found){0};
    enum fh_code code = ledger_cursor_shares(work, source, take_share, ret, error);
    if (code != FH_OK || ret->count)
        return code;
    ret->shares = 1;
    if (!many)
        return FH_OK;
    for (unsigned i = 0; i < SHARES_AT_BIRTH && code == FH_OK; i++) {
        snprintf(share, sizeof share, "%u/%u", i, SHARES_AT_BIRTH);
        code = ledger_cursor_take(work, source, share, 0, error);
    }
    ret->count = ret->shares = SHARES_AT_BIRTH;
    return code;
}

static enum fh_code try_once(struct event_manager *manager, const char *source, struct found *ret,
                             struct fh_error *error)
{
    struct store_work *work;
    bool many = manager->context->leases != NULL;
    enum fh_code code =
        store_begin(manager->context->store, many ? STORE_WRITE : STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = make_cursors(work, source, many, ret, error);
    if (code == FH_OK)
        return store_commit(work, error);
    store_rollback(work);
    return code;
}

enum fh_code shares_count(struct event_manager *manager, const char *source, unsigned *ret,
                          struct fh_error *error)
{
    struct found found = {0};
    struct work_tries tries = {0};
    enum fh_code code;
    do {
        *error = (struct fh_error){0};
        code = try_once(manager, source, &found, error);
    } while (code == FH_CONFLICT && error->retryable && work_retry(manager->context, &tries, -1));
    if (code == FH_OK && (found.shares < 1 || found.shares > FEED_SHARES_MAX))
        code = error_set(error, FH_INVALID,
                         "The cursors of %s in the store are for %u shares; there can be from 1 "
                         "to %d.",
                         source, found.shares, FEED_SHARES_MAX);
    if (code == FH_OK)
        *ret = found.shares;
    return code;
}
