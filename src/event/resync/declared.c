/* SPDX-License-Identifier: Apache-2.0 */
/* What a subscription's declarations say of a resync: whether they suffice, which type's state
 * comes next, and which events the state of a type includes already. */

#include "event/resync/resync.h"

#include <stdio.h>
#include <string.h>

#include "event/resync/parts.h"

#define SYNC_S_MAX (366 * 24 * 60 * 60)

enum fh_code resync_check(const fh_service *service, const struct fh_subscription *subscribed,
                          struct fh_error *error)
{
    if ((subscribed->gone || subscribed->held) &&
        (!subscribed->gone || !subscribed->held || !subscribed->upsert))
        return error_set(error, FH_INVALID,
                         "`subscribes` to %s %s: `gone` and `held` go together, and need `upsert`.",
                         subscribed->service, subscribed->type);
    if (subscribed->sync_s < 0 || subscribed->sync_s > SYNC_S_MAX)
        return error_set(error, FH_INVALID,
                         "`subscribes` to %s %s: `sync_s` is %d: expected 0 to %d seconds.",
                         subscribed->service, subscribed->type, subscribed->sync_s, SYNC_S_MAX);
    if (subscribed->sync_s && !subscribed->held)
        return error_set(error, FH_INVALID, "`subscribes` to %s %s: `sync_s` needs `held`.",
                         subscribed->service, subscribed->type);
    if (!subscribed->covered_by)
        return FH_OK;
    for (size_t i = 0; i < SUBSCRIBED_MAX; i++) {
        const struct fh_subscription *other = &service->subscribes[i];
        if (other->service && strcmp(other->service, subscribed->service) == 0 && other->upsert &&
            strcmp(other->type, subscribed->covered_by) == 0)
            return FH_OK;
    }
    return error_set(error, FH_INVALID,
                     "`subscribes` to %s %s is covered by %s, to which there is no subscription "
                     "with an `upsert`.",
                     subscribed->service, subscribed->type, subscribed->covered_by);
}

bool resync_possible(const struct subscription *s, char *ret_why, size_t size)
{
    for (int i = 0; i < s->subscribed_count; i++) {
        if (s->subscribed[i]->upsert || s->subscribed[i]->covered_by)
            continue;
        snprintf(ret_why, size,
                 "nothing is declared that takes over the publisher's state for %s (`upsert`, or "
                 "`covered_by`)",
                 s->subscribed[i]->type);
        return false;
    }
    return true;
}

/* The index of the declaration whose state includes the effect of events of `type`; -1: none. */
static int type_of(const struct subscription *s, const char *type)
{
    for (int i = 0; i < s->subscribed_count; i++) {
        if (strcmp(s->subscribed[i]->type, type) != 0)
            continue;
        return s->subscribed[i]->upsert || !s->subscribed[i]->covered_by
                   ? i
                   : type_of(s, s->subscribed[i]->covered_by);
    }
    return -1;
}

int64_t resync_next_type(const struct subscription *s, int64_t index)
{
    while (index < s->subscribed_count && !s->subscribed[index]->upsert)
        index++;
    return index;
}

enum fh_code resync_compare(struct subscription *s, struct store_work *work,
                            const struct batch_event *events, int count, bool *covered,
                            struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (int i = 0; i < count && code == FH_OK; i++) {
        int64_t position = -1;
        int type = type_of(s, events[i].type);
        covered[i] = false;
        if (type < 0 || s->resync.phase != LEDGER_FOLLOW)
            continue;
        code = ledger_snapshots(work->store)
                   ->applied_get(work, s->source, s->partition, type, events[i].key,
                                 s->resync.resync, &position, error);
        covered[i] = code == FH_OK && events[i].position <= position;
    }
    return code;
}
