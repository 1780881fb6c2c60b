/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups and lone units of work that number their own events: whoever else publishes, positions are
 * dense, those of a key are in the order in which its units of work took seq, and each event names
 * the one before it.
 */

#include "postgresql_members.h"
#include "engine/engines.h"

#include <stdlib.h>

#define UNNUMBERED "SELECT count(*) FROM fh_outbox WHERE position IS NULL"

static bool sequenced(struct conformance *c)
{
    return store_sequence(c->store, NULL, 0, &c->error) == FH_OK;
}

/* Positions without a gap, in the order of seq within a key, each with the one before it. */
static bool in_order(struct conformance *c)
{
    return count_of(c,
                    "SELECT count(*) FROM (SELECT position, row_number() OVER (ORDER BY position)"
                    " AS place, prev, lag(position, 1, CAST(0 AS bigint)) OVER (PARTITION BY key"
                    " ORDER BY seq) AS before FROM fh_outbox) o WHERE position IS NULL"
                    " OR position <> place OR prev <> before") == 0 &&
           count_of(c, "SELECT position - (SELECT count(*) FROM fh_outbox) FROM fh_counter") == 0;
}

static void group_of(struct conformance *c, struct member *members, int first_id)
{
    for (int i = 0; i < COUNT; i++)
        members[i] = (struct member){.id = first_id + i, .key = i % 2 ? "odd" : "even"};
    start(c, members, COUNT, INSERT);
    conformance_join(c);
}

static int numbered(const struct member *members)
{
    int count = 0;
    for (int i = 0; i < COUNT; i++)
        count += members[i].code == FH_OK && members[i].position > 0;
    return count;
}

/* A unit of work of its own that publishes an event of this key; not committed yet. */
static struct store_work *publishing(struct conformance *c, const char *key, const char *id)
{
    struct ledger_event event = {
        .id = id, .type = "Happened", .version = 1, .key = key, .data = "{}"};
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    int64_t seen;
    bool sent = work && ledger_outbox_append(work, &event, &c->error) == FH_OK &&
                sql_run(work, "SELECT 1", NULL, 0, see, &seen, NULL, &c->error) == FH_OK;
    return sent ? work : NULL;
}

static void a_group_numbers_its_events(struct conformance *c)
{
    struct member members[COUNT];
    EXPECT(prepare(c) && sequenced(c));
    for (int round = 0; round < 3; round++) {
        group_of(c, members, 200 + round * COUNT);
        EXPECT(numbered(members) == COUNT && shared(members, COUNT) == COUNT);
        for (int i = 0; i < COUNT; i++)
            EXPECT(members[i].position == round * COUNT + i + 1);
    }
    EXPECT(in_order(c));
}

static void a_lone_unit_of_work_is_a_group_of_one(struct conformance *c)
{
    struct member members[COUNT];
    EXPECT(prepare(c) && sequenced(c));
    for (int i = 0; i < 2 * COUNT; i += COUNT + 1) {
        struct member alone = {.id = 1 + i, .key = "even"};
        start(c, &alone, 1, INSERT);
        conformance_join(c);
        EXPECT(alone.code == FH_OK && alone.position == i + 1 && alone.runs == 1);
        if (i == 0)
            group_of(c, members, 200);
    }
    EXPECT(numbered(members) == COUNT && in_order(c));
}

/* Nothing of others' was in its transaction: what goes wrong is told at once. */
static void what_goes_wrong_with_a_lone_one_is_told(struct conformance *c)
{
    struct member refused = {.id = 1, .key = "a", .refuses = true, .needs = 1};
    struct member taken = {.id = 100, .key = "a"}, next = {.id = 2, .key = "a"};
    EXPECT(prepare(c) && sequenced(c));
    start(c, &refused, 1, INSERT);
    conformance_join(c);
    EXPECT(refused.refused && refused.runs == 1);
    start(c, &taken, 1, INSERT);
    conformance_join(c);
    EXPECT(taken.code == FH_CONFLICT && taken.runs == 1 && !taken.error.retryable);
    EXPECT(strcmp(taken.error.native, "23505") == 0);
    start(c, &next, 1, INSERT);
    conformance_join(c);
    EXPECT(next.code == FH_OK && next.runs == 1 && next.position == 1 && in_order(c));
}

/* ---- Units of work of their own ---- */

#define LARGE 100000

struct own {
    struct store_work *work;
    struct ledger_event events[2];
};

/* Two statements, then an event, or two. */
static bool own_begin(struct conformance *c, struct store *store, struct own *own)
{
    *own = (struct own){0};
    enum fh_code code = store_begin(store, STORE_WRITE, &own->work, &c->error);
    int64_t seen;
    for (int i = 0; i < 2 && code == FH_OK; i++)
        code = sql_run(own->work, "SELECT 1", NULL, 0, see, &seen, NULL, &c->error);
    if (code == FH_OK)
        own->work->keeps_events = true;
    return code == FH_OK;
}

static bool own_publish(struct conformance *c, struct own *own, int at, const char *id,
                        const char *data)
{
    own->events[at] =
        (struct ledger_event){.id = id, .type = "Happened", .version = 1, .key = "a", .data = data};
    return ledger_outbox_append(own->work, &own->events[at], &c->error) == FH_OK;
}

static void one_of_several_statements_numbers_its_events(struct conformance *c)
{
    struct own own;
    EXPECT(prepare(c) && sequenced(c));
    for (int i = 0; i < 4; i += 2) {
        EXPECT(own_begin(c, c->store, &own));
        EXPECT(own_publish(c, &own, 0, i ? "3" : "1", "{}"));
        EXPECT(own_publish(c, &own, 1, i ? "4" : "2", "{}"));
        EXPECT(store_commit(own.work, &c->error) == FH_OK);
        EXPECT(own.events[0].position == i + 1 && own.events[1].position == i + 2);
    }
    EXPECT(in_order(c) && count_of(c, UNNUMBERED) == 0);
}

/* Kept, and more than one statement may write: all are written in their order. */
static void what_is_too_large_for_that_is_written_at_once(struct conformance *c)
{
    static char data[LARGE] = "{\"said\":\"";
    struct own own;
    memset(data + strlen(data), 'x', sizeof data - strlen(data) - 3);
    strcpy(data + sizeof data - 3, "\"}");
    EXPECT(prepare(c) && sequenced(c));
    EXPECT(own_begin(c, c->store, &own) && own_publish(c, &own, 0, "1", "{}"));
    EXPECT(own_publish(c, &own, 1, "2", data));
    EXPECT(store_commit(own.work, &c->error) == FH_OK);
    EXPECT(own.events[0].position == 0 && own.events[1].position == 0);
    EXPECT(sequenced(c) && in_order(c) && count_of(c, UNNUMBERED) == 0);
    EXPECT(conformance_reads(c, "SELECT event_id FROM fh_outbox ORDER BY position",
                             "[{'event_id':'1'},{'event_id':'2'}]"));
}

static void with_another_under_way_it_leaves_them_to_the_sequencer(struct conformance *c)
{
    struct own first, second;
    EXPECT(prepare(c) && sequenced(c));
    EXPECT(own_begin(c, c->store, &first) && own_begin(c, c->store, &second));
    EXPECT(own_publish(c, &first, 0, "first", "{}"));
    EXPECT(store_commit(first.work, &c->error) == FH_OK && first.events[0].position == 0);
    EXPECT(own_publish(c, &second, 0, "second", "{}")); /* alone now, behind one without */
    enum fh_code code = store_commit(second.work, &c->error);
    EXPECT(code == FH_OK && second.events[0].position == 0);
    EXPECT(count_of(c, UNNUMBERED) == 2 && sequenced(c) && in_order(c));
}

static void what_others_have_published_comes_first(struct conformance *c)
{
    struct member members[COUNT];
    EXPECT(prepare(c) && sequenced(c));
    struct store_work *work = publishing(c, "even", "before");
    EXPECT(work && conformance_commit(c, work) == FH_OK);
    group_of(c, members, 200);
    EXPECT(committed(members, COUNT) == COUNT && numbered(members) == 0);
    EXPECT(count_of(c, UNNUMBERED) == COUNT + 1);
    EXPECT(sequenced(c) && in_order(c));
    EXPECT(conformance_reads(c, "SELECT event_id FROM fh_outbox WHERE position = 1",
                             "[{'event_id':'before'}]"));
    for (int i = 0; numbered(members) == 0 && i < 4; i++) {
        group_of(c, members, 300 + i * COUNT);
        EXPECT(sequenced(c));
    }
    EXPECT(numbered(members) == COUNT && in_order(c));
}

static void what_was_drawn_and_never_written_holds_nothing_up(struct conformance *c)
{
    struct member members[COUNT];
    EXPECT(prepare(c) && sequenced(c));
    struct store_work *work = publishing(c, "even", "never");
    EXPECT(work);
    conformance_rollback(c, work);
    group_of(c, members, 200);
    EXPECT(numbered(members) == 0);
    for (int i = 0; numbered(members) == 0 && i < 4; i++) {
        EXPECT(sequenced(c));
        group_of(c, members, 300 + i * COUNT);
    }
    EXPECT(numbered(members) == COUNT && sequenced(c) && in_order(c));
}

/* It has a lower seq than the groups', and is committed after them. */
static void one_that_has_taken_seq_and_not_committed_is_not_passed(struct conformance *c)
{
    struct member members[COUNT];
    EXPECT(prepare(c) && sequenced(c));
    struct store_work *work = publishing(c, "another", "slow");
    EXPECT(work);
    for (int i = 0; i < 4; i++) {
        group_of(c, members, 200 + i * COUNT);
        EXPECT(committed(members, COUNT) == COUNT && numbered(members) == 0 && sequenced(c));
    }
    EXPECT(conformance_commit(c, work) == FH_OK && sequenced(c));
    for (int i = 0; numbered(members) == 0 && i < 10; i++) {
        group_of(c, members, 300 + i * COUNT);
        EXPECT(sequenced(c));
    }
    EXPECT(numbered(members) == COUNT && in_order(c));
}

/* ---- Others ---- */

static struct store *open_other(struct conformance *c)
{
    struct store *store = NULL;
    json_t *server = postgresql_server(&c->harness);
    struct store_options options = {
        .service = "conformance", .server = server, .model = FH_RELATIONAL, .instance = "2"};
    engine_named("postgresql")->store->open(&options, c->harness.world, &store, &c->error);
    json_decref(server);
    return store;
}

static void one_that_starts_a_saga_leaves_them_to_the_sequencer(struct conformance *c)
{
    struct own own;
    struct ledger_event event = {.id = "start", .type = "freehold.saga.started", .version = 1};
    struct ledger_saga saga = {
        .birth = "b", .name = "buy", .input = "{}", .state = "{}", .status = "running", .epoch = 1};
    EXPECT(prepare(c) && sequenced(c));
    EXPECT(own_begin(c, c->store, &own) && own_publish(c, &own, 0, "1", "{}"));
    EXPECT(ledger_saga_start(own.work, &event, &saga, NULL, 0, &c->error) == FH_OK);
    EXPECT(own_publish(c, &own, 1, "2", "{}"));
    EXPECT(store_commit(own.work, &c->error) == FH_OK);
    EXPECT(own.events[0].position == 0 && own.events[1].position == 0);
    EXPECT(sequenced(c) && in_order(c) && count_of(c, UNNUMBERED) == 0);
    EXPECT(count_of(c, "SELECT count(*) FROM fh_saga WHERE number = 1") == 1);
}

/* It is alone in its process, and knows nothing of the other's. */
static void what_another_process_has_published_comes_first(struct conformance *c)
{
    struct own own, others;
    struct store *other;
    EXPECT(prepare(c) && sequenced(c));
    EXPECT((other = open_other(c)) != NULL);
    EXPECT(own_begin(c, c->store, &own) && own_begin(c, other, &others));
    others.work->keeps_events = false;
    EXPECT(own_publish(c, &others, 0, "others", "{}"));
    EXPECT(store_commit(others.work, &c->error) == FH_OK);
    EXPECT(own_publish(c, &own, 0, "own", "{}"));
    EXPECT(store_commit(own.work, &c->error) == FH_OK && own.events[0].position == 0);
    EXPECT(sequenced(c) && in_order(c));
    EXPECT(conformance_reads(c, "SELECT event_id FROM fh_outbox ORDER BY position",
                             "[{'event_id':'others'},{'event_id':'own'}]"));
    store_close(other);
}

static void hear(void *context)
{
    ++*(int *)context;
}

static void another_process_is_notified_and_this_one_is_not(struct conformance *c)
{
    struct member members[COUNT];
    int heard_there = 0, heard_here = 0;
    struct store *other;
    EXPECT(prepare(c) && sequenced(c));
    EXPECT((other = open_other(c)) != NULL);
    struct store_listener there = {.heard = hear, .context = &heard_there};
    struct store_listener here = {.heard = hear, .context = &heard_here};
    store_listen(other, &there);
    store_listen(c->store, &here);
    group_of(c, members, 200);
    int64_t deadline_ns = world_in_ms(c->harness.world, 60000);
    while (!heard_there && world_monotonic_ns(c->harness.world) < deadline_ns)
        fiber_sleep_until(c->harness.world, world_in_ms(c->harness.world, 5));
    store_unlisten(c->store, &here);
    store_unlisten(other, &there);
    store_close(other);
    EXPECT(numbered(members) == COUNT && heard_there > 0 && heard_here == 0);
}

/* Two processes' groups, units of work of their own, some rolled back, and calls of the
 * sequencer. */
struct mixed {
    struct conformance *c;
    struct store *store;
    int number;
    unsigned random;
    bool good;
};

static unsigned roll(struct mixed *mixed, unsigned below)
{
    mixed->random = mixed->random * 1103515245 + 12345;
    return (mixed->random >> 16) % below;
}

static enum fh_code publish_apart(struct mixed *mixed, const char *key, const char *id)
{
    struct store_work *work;
    struct fh_error error;
    struct ledger_event event = {
        .id = id, .type = "Happened", .version = 1, .key = key, .data = "{}"};
    enum fh_code code = store_begin(mixed->store, STORE_WRITE, &work, &error);
    if (code == FH_OK) {
        work->keeps_events = roll(mixed, 2);
        code = ledger_outbox_append(work, &event, &error);
    }
    if (code == FH_OK && roll(mixed, 4))
        return store_commit(work, &error);
    if (work)
        store_rollback(work);
    return FH_OK;
}

static void mix(void *argument)
{
    static const char *const keys[] = {"a", "b", "c"};
    struct mixed *mixed = argument;
    char id[32];
    mixed->good = true;
    for (int i = 0; i < 40 && mixed->good; i++) {
        struct member member = {.c = mixed->c,
                                .store = mixed->store,
                                .sql = INSERT,
                                .id = 1000 + mixed->number * 100 + i,
                                .key = keys[roll(mixed, 3)]};
        snprintf(id, sizeof id, "apart-%d-%d", mixed->number, i);
        unsigned what = roll(mixed, 10);
        if (what < 8)
            run_member(&member);
        else if (what == 8)
            member.code = publish_apart(mixed, member.key, id);
        else
            member.code = store_sequence(mixed->store, NULL, 0, &member.error);
        mixed->good = member.code == FH_OK || (what == 8 && member.code == FH_CONFLICT);
    }
}

static void whoever_publishes_positions_are_in_order(struct conformance *c)
{
    struct mixed mixed[2 * COUNT];
    struct store *other;
    struct member first = {.c = c, .sql = INSERT, .id = 900};
    EXPECT(prepare(c) && sequenced(c));
    EXPECT((other = open_other(c)) != NULL);
    first.store = other;
    run_member(&first);
    for (int i = 0; i < 2 * COUNT; i++) {
        mixed[i] = (struct mixed){c, i % 4 ? c->store : other, i, (unsigned)i * 7919 + 1, false};
        conformance_start(c, mix, &mixed[i]);
    }
    conformance_join(c);
    bool good = true;
    for (int i = 0; i < 2 * COUNT; i++)
        good = good && mixed[i].good;
    store_close(other);
    EXPECT(good && first.code == FH_OK && sequenced(c) && in_order(c));
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(a_group_numbers_its_events),
        CASE(a_lone_unit_of_work_is_a_group_of_one),
        CASE(what_goes_wrong_with_a_lone_one_is_told),
        CASE(one_of_several_statements_numbers_its_events),
        CASE(what_is_too_large_for_that_is_written_at_once),
        CASE(with_another_under_way_it_leaves_them_to_the_sequencer),
        CASE(one_that_starts_a_saga_leaves_them_to_the_sequencer),
        CASE(what_another_process_has_published_comes_first),
        CASE(what_others_have_published_comes_first),
        CASE(what_was_drawn_and_never_written_holds_nothing_up),
        CASE(one_that_has_taken_seq_and_not_committed_is_not_passed),
        CASE(another_process_is_notified_and_this_one_is_not),
        CASE(whoever_publishes_positions_are_in_order),
    };
    return conformance_main_of("postgresql", FH_RELATIONAL, rows, sizeof rows / sizeof *rows);
}
