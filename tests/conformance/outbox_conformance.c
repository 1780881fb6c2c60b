/* SPDX-License-Identifier: Apache-2.0 */
/* Reading an outbox whose events are of any size, on every engine. */

#include <stdio.h>
#include <string.h>

#include "conformance.h"
#include "store/ledger.h"

#define LARGE 8
#define SMALL 300
#define LARGE_SIZE 1000000

static const struct ledger_ops *honest_ledger;
static int asked_max;

static enum fh_code asked_read(struct store_work *work, int64_t after, int limit,
                               bool (*visit)(void *context, const struct ledger_event *event),
                               void *context, struct fh_error *error)
{
    asked_max = limit > asked_max ? limit : asked_max;
    return honest_ledger->outbox_read(work, after, limit, visit, context, error);
}

static void publish_sized(struct conformance *c, int count, size_t size)
{
    static char data[LARGE_SIZE + 1];
    memset(data, 'x', sizeof data - 1);
    memcpy(data, "{\"a\":\"", 6);
    memcpy(data + size - 2, "\"}", 3);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    for (int i = 0; i < count; i++) {
        char id[ID_SIZE];
        snprintf(id, sizeof id, "%zu-%d", size, i);
        struct ledger_event event = {
            .id = id, .type = "Sized", .key = "a", .version = 1, .time_ms = 1, .data = data};
        EXPECT(ledger_outbox_append(work, &event, &c->error) == FH_OK);
    }
    EXPECT(conformance_commit(c, work) == FH_OK);
    EXPECT(store_sequence(c->store, NULL, 0, &c->error) == FH_OK);
}

struct count_events {
    int64_t last;
    int count, large;
    bool in_order;
};

static bool count_event(void *context, const struct ledger_event *event)
{
    struct count_events *count = context;
    count->in_order = count->in_order && event->position == ++count->last;
    count->large += strlen(event->data) == LARGE_SIZE;
    count->count++;
    return true;
}

static void read_all(struct conformance *c)
{
    struct count_events count = {.in_order = true};
    struct store_work *work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    EXPECT(ledger_outbox_read(work, 0, 5000, count_event, &count, &c->error) == FH_OK);
    conformance_rollback(c, work);
    EXPECT(count.in_order && count.large == LARGE && count.count == LARGE + 2 * SMALL);
}

/* A server would send all of them, far more than are wanted. */
static void large_events_are_read_a_few_at_once_and_small_ones_many(struct conformance *c)
{
    const struct engine *honest = c->store->engine;
    struct engine engine = *honest;
    struct ledger_ops ledger = *honest->ledger;
    struct count_events count = {.in_order = true};
    publish_sized(c, SMALL, 10);
    publish_sized(c, LARGE, LARGE_SIZE);
    publish_sized(c, SMALL, 11);
    read_all(c);
    honest_ledger = honest->ledger;
    ledger.outbox_read = asked_read;
    engine.ledger = &ledger;
    c->store->engine = &engine;
    for (int i = 0; i < 2; i++) {
        struct store_work *work = conformance_begin(c, STORE_READ);
        EXPECT(work);
        count = (struct count_events){.last = SMALL, .in_order = true};
        asked_max = 0;
        EXPECT(ledger_outbox_read(work, SMALL, LARGE, count_event, &count, &c->error) == FH_OK);
        conformance_rollback(c, work);
        EXPECT(count.in_order && count.count == LARGE);
    }
    int large = asked_max;
    asked_max = 0;
    read_all(c);
    c->store->engine = honest;
    EXPECT(large <= 4 && asked_max >= 64);
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(large_events_are_read_a_few_at_once_and_small_ones_many),
    };
    return conformance_main_all(rows, sizeof rows / sizeof *rows);
}
