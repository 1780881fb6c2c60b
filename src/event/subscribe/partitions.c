/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Instances may start together and all find no cursors. Their transactions are serializable: one
 * creates the cursors, and the others run again and find them.
 */

#include "event/subscribe/partitions.h"

#include <stdio.h>
#include <stdlib.h>

#include "event/envelope.h"
#include "event/subscribe/subscription.h"
#include "store/ledger.h"
#include "work/batch.h"
#include "work/work.h"

struct found {
    unsigned count, partitions; /* number of cursors; and of partitions by their names */
};

static bool take_partition(void *context, const char *partition)
{
    struct found *found = context;
    unsigned index;
    if (sscanf(partition, "%u/%u", &index, &found->partitions) == 2)
        found->count++;
    return true;
}

/* In an embedded store the first move creates the only cursor. */
static enum fh_code make_cursors(struct store_work *work, const char *source, bool many,
                                 struct found *ret, struct fh_error *error)
{
    char partition[16];
    *ret = (struct found){0};
    enum fh_code code = ledger_cursor_partitions(work, source, take_partition, ret, error);
    if (code != FH_OK || ret->count)
        return code;
    ret->partitions = 1;
    if (!many)
        return FH_OK;
    for (unsigned i = 0; i < PARTITIONS_AT_BIRTH && code == FH_OK; i++) {
        snprintf(partition, sizeof partition, "%u/%u", i, PARTITIONS_AT_BIRTH);
        code = ledger_cursor_take(work, source, partition, 0, error);
    }
    ret->count = ret->partitions = PARTITIONS_AT_BIRTH;
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

enum fh_code partitions_count(struct event_manager *manager, const char *source, unsigned *ret,
                              struct fh_error *error)
{
    struct found found = {0};
    struct work_tries tries = {0};
    enum fh_code code;
    do {
        *error = (struct fh_error){0};
        code = try_once(manager, source, &found, error);
    } while (code == FH_CONFLICT && error->retryable && work_retry(manager->context, &tries, -1));
    if (code == FH_OK && (found.partitions < 1 || found.partitions > ENVELOPE_SHARES_MAX))
        code = error_set(
            error, FH_INVALID,
            "The cursors of %s in the store are for %u partitions; there can be from 1 to %d.",
            source, found.partitions, ENVELOPE_SHARES_MAX);
    if (code == FH_OK)
        *ret = found.partitions;
    return code;
}

struct subscription *partitions_spread(struct subscription *s, unsigned count)
{
    s->partition_count = count;
    for (unsigned i = 1; i < count; i++) {
        struct subscription *other = calloc(1, sizeof *other);
        FH_ASSERT(other != NULL);
        *other = *s;
        other->partition_index = i;
        s->next = other;
        s = other;
    }
    return s;
}
