/* SPDX-License-Identifier: Apache-2.0 */
/* What snapshots need of an engine's ledger: the keys' positions, resync passes, and what they have
 * applied. */

#include <string.h>

#include "conformance.h"
#include "store/ledger_snapshot.h"

static enum fh_code publish(struct conformance *c, struct store_work *work, const char *id,
                            const char *key)
{
    struct ledger_event event = {
        .id = id, .type = "Changed", .key = key, .version = 1, .time_ms = 1, .data = "{}"};
    return ledger_outbox_append(work, &event, &c->error);
}

struct places {
    int64_t a, b, quoted, others;
    bool unsequenced;
};

#define QUOTED "it's \"quoted\" \\ \u00e9"

static bool take(void *context, const char *key, int64_t position)
{
    struct places *places = context;
    if (position == LEDGER_UNSEQUENCED)
        places->unsequenced = true;
    else if (strcmp(key, "a") == 0)
        places->a = position;
    else if (strcmp(key, "b") == 0)
        places->b = position;
    else if (strcmp(key, QUOTED) == 0)
        places->quoted = position;
    else
        places->others++;
    return true;
}

static enum fh_code read_places(struct conformance *c, struct places *ret)
{
    struct store_work *work = conformance_begin(c, STORE_READ);
    *ret = (struct places){0};
    if (!work)
        return FH_UNAVAILABLE;
    enum fh_code code = ledger_snapshots(c->store)->key_places(
        work, "[\"a\",\"b\",\"none\",\"it's \\\"quoted\\\" \\\\ \u00e9\"]", take, ret, &c->error);
    conformance_rollback(c, work);
    return code;
}

static void keys_have_the_positions_of_their_last_events(struct conformance *c)
{
    struct places places;
    int64_t removed;
    EXPECT(read_places(c, &places) == FH_OK && places.a == 0 && places.others == 0);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(publish(c, work, "e1", "a") == FH_OK && publish(c, work, "e2", "b") == FH_OK);
    EXPECT(publish(c, work, "e3", "other") == FH_OK && publish(c, work, "e4", "a") == FH_OK);
    EXPECT(publish(c, work, "e5", QUOTED) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    /* Where a sequencer assigns positions after the commit, there is none yet. */
    EXPECT(read_places(c, &places) == FH_OK);
    EXPECT(places.unsequenced ==
           (c->store->ops->sequence && !engine_can(c->store->engine, ENGINE_READS_APART)));
    EXPECT(store_sequence(c->store, NULL, 0, &c->error) == FH_OK);
    EXPECT(read_places(c, &places) == FH_OK && !places.unsequenced);
    EXPECT(places.a == 4 && places.b == 2 && places.quoted == 5 && places.others == 0);
    work = conformance_begin(c, STORE_WRITE);
    EXPECT(work && ledger_outbox_trim(work, 5, 100, &removed, &c->error) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    EXPECT(read_places(c, &places) == FH_OK && places.a == 4 && places.b == 2);
}

static void a_resync_moves_only_from_where_it_is(struct conformance *c)
{
    const struct ledger_snapshot_ops *ops = ledger_snapshots(c->store);
    struct ledger_resync none = {0}, read, first = {.resync = 1, .phase = LEDGER_PAGES};
    struct ledger_resync next = {
        .resync = 1, .phase = LEDGER_PAGES, .type = 2, .seen_position = 17, .seen_id = "e17"};
    snprintf(next.after, sizeof next.after, "%s", QUOTED);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(ops->resync_get(work, "users", "0/1", &read, &c->error) == FH_OK && read.resync == 0);
    EXPECT(ops->resync_move(work, "users", "0/1", &none, &first, &c->error) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(ops->resync_move(work, "users", "0/1", &none, &first, &c->error) == FH_CONFLICT &&
           !c->error.retryable);
    EXPECT(ops->resync_move(work, "users", "0/1", &first, &next, &c->error) == FH_OK);
    EXPECT(ops->resync_move(work, "users", "0/1", &first, &next, &c->error) == FH_CONFLICT);
    EXPECT(ops->resync_get(work, "users", "0/1", &read, &c->error) == FH_OK);
    EXPECT(read.resync == 1 && read.phase == LEDGER_PAGES && read.type == 2 &&
           strcmp(read.after, QUOTED) == 0 && read.seen_position == 17 &&
           strcmp(read.seen_id, "e17") == 0);
    EXPECT(ops->resync_get(work, "users", "0/2", &read, &c->error) == FH_OK && read.resync == 0);
}

static void what_a_resync_has_applied_is_noted_for_it_only(struct conformance *c)
{
    const struct ledger_snapshot_ops *ops = ledger_snapshots(c->store);
    int64_t position, removed;
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(ops->applied_put(work, "users", "0/1", 0, QUOTED, 7, 1, &c->error) == FH_OK);
    EXPECT(ops->applied_put(work, "users", "0/1", 0, "b", 0, 1, &c->error) == FH_OK);
    EXPECT(ops->applied_put(work, "users", "1/2", 0, "b", 5, 1, &c->error) == FH_OK);
    EXPECT(ops->applied_get(work, "users", "0/1", 0, QUOTED, 1, &position, &c->error) == FH_OK &&
           position == 7);
    EXPECT(ops->applied_get(work, "users", "0/1", 0, "b", 1, &position, &c->error) == FH_OK &&
           position == 0);
    EXPECT(ops->applied_get(work, "users", "0/1", 1, "b", 1, &position, &c->error) == FH_OK &&
           position == -1);
    EXPECT(ops->applied_put(work, "users", "0/1", 0, QUOTED, 3, 2, &c->error) == FH_OK);
    EXPECT(ops->applied_get(work, "users", "0/1", 0, QUOTED, 1, &position, &c->error) == FH_OK &&
           position == -1);
    EXPECT(ops->applied_get(work, "users", "0/1", 0, QUOTED, 2, &position, &c->error) == FH_OK &&
           position == 3);
    EXPECT(ops->applied_clear(work, "users", "0/1", 1, &removed, &c->error) == FH_OK &&
           removed == 1);
    EXPECT(ops->applied_clear(work, "users", "0/1", 9, &removed, &c->error) == FH_OK &&
           removed == 1);
    EXPECT(ops->applied_get(work, "users", "1/2", 0, "b", 1, &position, &c->error) == FH_OK &&
           position == 5);
}

static enum fh_code park_some(struct conformance *c, struct store_work *work)
{
    static const struct ledger_parked parked[] = {
        {.source = "users", .partition = "0/1", .key = QUOTED, .position = 1},
        {.source = "users", .partition = "0/1", .key = QUOTED, .position = 3},
        {.source = "users", .partition = "0/1", .key = "b", .position = 2},
        {.source = "users", .partition = "0/10", .key = "b", .position = 1},
        {.source = "users2", .partition = "0/1", .key = "b", .position = 1}};
    enum fh_code code = FH_OK;
    for (size_t i = 0; i < sizeof parked / sizeof *parked && code == FH_OK; i++) {
        struct ledger_parked one = parked[i];
        one.event_id = one.type = one.error = "";
        one.event = "{}";
        one.parked_ms = 1;
        code = ledger_parked_put(work, &one, &c->error);
    }
    return code;
}

static int64_t parked_events(struct conformance *c, const char *source, const char *partition)
{
    struct ledger_parked_counts counts = {.events = -1};
    struct store_work *work = conformance_begin(c, STORE_READ);
    if (!work)
        return -1;
    ledger_parked_count(work, source, partition, &counts, &c->error);
    conformance_rollback(c, work);
    return counts.events;
}

static bool take_parked(void *context, const struct ledger_parked *parked)
{
    (void)parked;
    ++*(int *)context;
    return true;
}

static void what_is_parked_of_a_partition_is_cleared_at_once(struct conformance *c)
{
    const struct ledger_snapshot_ops *ops = ledger_snapshots(c->store);
    int left = 0;
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work && park_some(c, work) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    EXPECT(parked_events(c, "users", "0/1") == 3);
    work = conformance_begin(c, STORE_WRITE);
    EXPECT(work && ops->parked_clear(work, "users", "0/1", &c->error) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    EXPECT(parked_events(c, "users", "0/1") == 0 && parked_events(c, "users", "0/10") == 1);
    EXPECT(parked_events(c, "users2", "0/1") == 1);
    work = conformance_begin(c, STORE_READ);
    EXPECT(work &&
           ledger_parked_events(work, "users", QUOTED, 10, take_parked, &left, &c->error) == FH_OK);
    EXPECT(left == 0);
    conformance_rollback(c, work);
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(keys_have_the_positions_of_their_last_events),
        CASE(a_resync_moves_only_from_where_it_is),
        CASE(what_a_resync_has_applied_is_noted_for_it_only),
        CASE(what_is_parked_of_a_partition_is_cleared_at_once),
    };
    return conformance_main_all(rows, sizeof rows / sizeof *rows);
}
