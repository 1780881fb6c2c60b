/* SPDX-License-Identifier: Apache-2.0 */
/* A fiber stores what subscribers have reported. It runs only while there is something to store. */

#include "event/outbox/subscribers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crash.h"
#include "base/log.h"
#include "store/ledger.h"
#include "work/work.h"
#include "world/world.h"

/* A subscriber's last report. */
struct subscriber {
    char name[SUBSCRIBERS_NAME_LENGTH_MAX + 1], partition[17];
    int64_t done, seen;
    int64_t stored_ns; /* when that began last; of one that is being rebuilt */
    bool dirty;        /* not stored yet */
    bool storing;      /* in the transaction that is in progress */
};

static enum fh_code put_dirty(struct event_manager *manager, struct store_work *work,
                              struct fh_error *error)
{
    struct work_context *context = manager->context;
    struct map_entry *entry = NULL;
    const char *key;
    void *value;
    enum fh_code code = FH_OK;
    while (code == FH_OK && map_next(&manager->subscribers, &entry, &key, &value)) {
        struct subscriber *subscriber = value;
        if (!subscriber->dirty)
            continue;
        /* If it reports again during the commit, it becomes dirty again. */
        subscriber->dirty = false;
        subscriber->storing = true;
        subscriber->stored_ns = world_monotonic_ns(context->world);
        code = ledger_subscriber_put(work, subscriber->name, subscriber->partition,
                                     context->store->incarnation, subscriber->done,
                                     subscriber->seen, world_wall_ms(context->world), error);
    }
    return code;
}

/* An idle subscriber reports the same place again and again, which is no news: so what was not
 * stored stays dirty. */
static void end_storing(struct event_manager *manager, bool stored)
{
    struct map_entry *entry = NULL;
    const char *key;
    void *value;
    while (map_next(&manager->subscribers, &entry, &key, &value)) {
        struct subscriber *subscriber = value;
        subscriber->dirty |= subscriber->storing && !stored;
        subscriber->storing = false;
    }
}

static enum fh_code record_all(struct event_manager *manager, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(manager->context->store, STORE_WRITE, &work, error);
    if (code != FH_OK)
        return code;
    code = put_dirty(manager, work, error);
    CRASH_POINT("subscriber.recorded");
    if (code == FH_OK)
        code = store_commit(work, error);
    else
        store_rollback(work);
    CRASH_POINT("subscriber.durable");
    end_storing(manager, code == FH_OK);
    return code;
}

static bool any_dirty(struct event_manager *manager)
{
    struct map_entry *entry = NULL;
    const char *key;
    void *value;
    while (map_next(&manager->subscribers, &entry, &key, &value)) {
        if (((struct subscriber *)value)->dirty)
            return true;
    }
    return false;
}

/* Runs while there is something to store; what could not be stored is tried again with the next
 * transaction. */
static void run_subscriber_recorder(void *argument)
{
    struct event_manager *manager = argument;
    struct world *world = manager->context->world;
    struct fh_error error;
    bool failed = false;
    while (any_dirty(manager) &&
           event_manager_sleep(manager,
                               manager->recorded_ns + SUBSCRIBERS_INTERVAL_MS * INT64_C(1000000))) {
        manager->recorded_ns = world_monotonic_ns(world);
        enum fh_code code = record_all(manager, &error);
        if (code != FH_OK && !failed)
            log_warning("subscriber-progress-unsaved",
                        "What subscribers have committed could not be stored: %s", error.message);
        failed = code != FH_OK;
    }
    manager->recording = false;
    event_manager_fiber_ends(manager);
}

void subscribers_told(struct event_manager *manager, const char *name, const char *partition,
                      int64_t done, int64_t seen)
{
    char key[SUBSCRIBERS_NAME_LENGTH_MAX + 20];
    if (!name || manager->draining)
        return;
    snprintf(key, sizeof key, "%s %s", name, partition);
    struct subscriber *subscriber = map_get(&manager->subscribers, key);
    if (!subscriber) {
        if (manager->subscribers.count >= SUBSCRIBERS_MAX)
            return;
        subscriber = calloc(1, sizeof *subscriber);
        FH_ASSERT(subscriber != NULL);
        snprintf(subscriber->name, sizeof subscriber->name, "%s", name);
        snprintf(subscriber->partition, sizeof subscriber->partition, "%s", partition);
        subscriber->done = -1;
        map_put(&manager->subscribers, key, subscriber);
    }
    size_t length;
    bool old = subscribers_rebuilds(name, &length) &&
               world_monotonic_ns(manager->context->world) - subscriber->stored_ns >
                   SUBSCRIBERS_REBUILD_TOLD_MS * INT64_C(1000000);
    subscriber->dirty |= subscriber->done != done || subscriber->seen != seen || old;
    subscriber->done = done;
    subscriber->seen = seen;
    if (subscriber->dirty && !manager->recording) /* it was dirty before: no fiber was free */
        manager->recording = event_manager_fiber(manager, run_subscriber_recorder, manager);
}

bool subscribers_rebuilds(const char *name, size_t *ret_length)
{
    size_t length = strlen(name), behind = strlen(SUBSCRIBERS_REBUILD);
    *ret_length = length;
    if (length <= behind || strcmp(name + length - behind, SUBSCRIBERS_REBUILD) != 0)
        return false;
    *ret_length = length - behind;
    return true;
}

void subscribers_release(struct event_manager *manager)
{
    struct map_entry *entry = NULL;
    const char *key;
    void *value;
    while (map_next(&manager->subscribers, &entry, &key, &value))
        free(value);
    map_release(&manager->subscribers);
}
