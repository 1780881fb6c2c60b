/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Positions of published events. An embedded store assigns them inside the transaction. A server's
 * sequencer does so after the commit, and only then may anyone see the events: so work.c and
 * batch.c fetch the positions before they run the hooks that follow a commit.
 *
 * If fetching fails, the transaction still stands. Its events keep position 0 here; the store
 * assigns positions as soon as it can be reached, and notifies its listeners (store.h).
 */

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/ledger.h"
#include "work/batch.h"

struct work_appended {
    struct ledger_event *events;
    struct work_appended *next;
};

void work_appended(fh_work *w, struct ledger_event *events)
{
    struct work_appended *appended = work_alloc(w, sizeof *appended);
    *appended = (struct work_appended){events, w->appended};
    w->appended = appended;
}

int64_t work_position_of(const fh_work *w, const char *event_id)
{
    for (const struct work_appended *a = w->appended; a; a = a->next) {
        for (const struct ledger_event *event = a->events; event; event = event->next) {
            if (strcmp(event->id, event_id) == 0)
                return event->position;
        }
    }
    return 0;
}

int64_t work_last_position(const fh_work *w)
{
    int64_t last = 0;
    for (const struct work_appended *a = w->appended; a; a = a->next) {
        for (const struct ledger_event *event = a->events; event; event = event->next) {
            if (event->position > last)
                last = event->position;
        }
    }
    return last;
}

/* Visits the events of all units of work: counts them, copies them to `placed`, or sets their
 * positions from it. */
static int each_event(fh_work *const *works, int count, struct store_placed *placed, bool told)
{
    int at = 0;
    for (int i = 0; i < count; i++) {
        for (struct work_appended *a = works[i]->appended; a; a = a->next) {
            for (struct ledger_event *event = a->events; event; event = event->next, at++) {
                if (told)
                    event->position = placed[at].position;
                else if (placed)
                    placed[at] = (struct store_placed){event->id, event->position};
            }
        }
    }
    return at;
}

/* False: they come later. */
static bool fetch_positions(struct work_context *context, struct store_placed *placed, int count)
{
    struct fh_error error;
    bool told = store_sequence(context->store, placed, count, &error) == FH_OK;
    if (!told)
        log_warning("event-positions-delayed",
                    "Events that are durable get their positions later: %s", error.message);
    for (int i = 0; i < count; i++) {
        if (placed[i].position > context->position)
            context->position = placed[i].position;
    }
    return told;
}

void work_sequence(fh_work *const *works, int count)
{
    struct work_context *context = works[0]->context;
    if (!context->store->ops->sequence)
        return;
    int events = each_event(works, count, NULL, false);
    if (events == 0)
        return;
    struct store_placed *placed = calloc((size_t)events, sizeof *placed);
    FH_ASSERT(placed != NULL);
    each_event(works, count, placed, false);
    if (fetch_positions(context, placed, events))
        each_event(works, count, placed, true);
    free(placed);
}

void work_sequence_events(struct work_context *context, struct ledger_event *first)
{
    for (struct ledger_event *event = first; event && context->store->ops->sequence;
         event = event->next) {
        struct store_placed placed = {event->id, event->position};
        if (!fetch_positions(context, &placed, 1))
            return;
        event->position = placed.position;
    }
}
