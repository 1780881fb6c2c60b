/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a transaction publishes that is no group's. Of a batch (member.c) it is kept, and written
 * with the commit by one statement, which assigns the positions where it may (append.c): so the
 * sequencer is not called, whose commit would cost a second sync.
 *
 * A unit of work of its own does the same if no other that writes is under way in this process: its
 * commit keeps the lock of numbering, so others would come to wait for it. With others under way it
 * writes its events at once, and the sequencer numbers those of many with one call. One that starts
 * a saga leaves them to the sequencer, too, which makes the saga's row.
 */

#include <stdlib.h>
#include <string.h>
#include <string.h>

#include "base/crash.h"
#include "store/relational/ledger.h"
#include "engine/postgresql/internal.h"

#define PUBLISHED_FIRST 16
#define BYTES_MAX 65536 /* of events that one statement writes for one unit of work */

static size_t bytes_of(const struct ledger_event *events)
{
    size_t bytes = 0;
    for (; events; events = events->next)
        bytes += strlen(events->key) + strlen(events->data);
    return bytes;
}

static void keep_events(struct postgresql_work *work, struct ledger_event *events)
{
    if (work->published_count == work->published_capacity) {
        work->published_capacity =
            work->published_capacity ? 2 * work->published_capacity : PUBLISHED_FIRST;
        work->published = reallocarray(work->published, (size_t)work->published_capacity,
                                       sizeof *work->published);
        FH_ASSERT(work->published != NULL);
    }
    work->published[work->published_count++] = events;
    work->published_bytes += bytes_of(events);
}

static enum fh_code write_events(struct postgresql_work *work, struct ledger_event *events,
                                 struct fh_error *error)
{
    work->appending = true;
    enum fh_code code = ledger_append(&work->base, events, error);
    work->appending = false;
    return code;
}

static bool is_alone(const struct postgresql_store *store)
{
    return store->writers + store->exclusive == 1 && !store->sequencing;
}

enum fh_code postgresql_publish(struct postgresql_work *work, struct ledger_event *events,
                                struct fh_error *error)
{
    const struct postgresql_store *store = (struct postgresql_store *)work->base.store;
    enum fh_code code = work->base.member ? postgresql_member_turn(work, error) : FH_OK;
    if (code != FH_OK)
        return code;
    bool alone = work->base.keeps_events && !work->base.starts_saga && is_alone(store);
    bool kept = work->base.member || work->published_count || alone;
    bool fits = work->base.member || work->published_bytes + bytes_of(events) <= BYTES_MAX;
    if (kept && fits) {
        keep_events(work, events);
        return FH_OK;
    }
    for (int i = 0; i < work->published_count && code == FH_OK; i++)
        code = write_events(work, work->published[i], error);
    work->published_count = 0;
    return code == FH_OK ? write_events(work, events, error) : code;
}

/* Their positions, which start at `first`. */
static void place_events(struct ledger_event **lists, int count, int64_t first)
{
    for (int i = 0; i < count; i++) {
        for (struct ledger_event *event = lists[i]; event; event = event->next)
            event->position = first++;
    }
}

enum fh_code postgresql_published_commit(struct postgresql_work *work, struct fh_error *error)
{
    struct postgresql_store *store = (struct postgresql_store *)work->base.store;
    struct ledger_event **lists = work->published;
    int count = work->published_count;
    bool small = work->published_bytes <= BYTES_MAX;
    bool numbers = work->base.keeps_events ? !store->sequencing : postgresql_may_number(store);
    numbers = numbers && !work->base.starts_saga;
    int64_t first = 0;
    enum fh_code code;
    work->published = NULL;
    work->published_count = 0;
    work->ret_first = &first;
    work->appending = true;
    if (count == 1 && !(small && numbers)) /* of whatever size */
        code = ledger_append(&work->base, lists[0], error);
    else
        code = postgresql_append_all(work, lists, count, numbers, error);
    CRASH_POINT("postgresql.published");
    if (code == FH_OK)
        code = postgresql_work_commit(work, error);
    else
        postgresql_work_rollback(work);
    if (code == FH_OK) /* a batch is longer than a group: that it failed says nothing of groups */
        postgresql_numbering_told(&store->gather, false, first != 0);
    if (code == FH_OK && first)
        place_events(lists, count, first);
    free(lists);
    return code;
}
