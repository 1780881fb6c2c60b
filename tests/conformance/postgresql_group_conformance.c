/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Units of work that share a transaction of PostgreSQL: all of them are committed, or each is as if
 * it had been ungrouped. Those that begin in one turn of the loop become one group, so these cases
 * do not depend on how fast anything is.
 */

#include "postgresql_members.h"

#include <stdlib.h>

#include "link.h"
#include "engine/engines.h"

#define MARKS "SELECT count(*) FROM fh_mark"

static void units_of_work_of_one_statement_share_a_transaction(struct conformance *c)
{
    struct member members[COUNT] = {0};
    EXPECT(prepare(c));
    int64_t before = count_of(c, MARKS);
    for (int i = 0; i < COUNT; i++) {
        members[i].n = i;
        members[i].key = i % 2 ? "odd" : "even";
    }
    start(c, members, COUNT, INSERT);
    conformance_join(c);
    EXPECT(committed(members, COUNT) == COUNT && shared(members, COUNT) == COUNT);
    for (int i = 0; i < COUNT; i++)
        EXPECT(members[i].runs == 1 && members[i].seen == i);
    EXPECT(count_of(c, MARKS) == before + 1);
    EXPECT(store_sequence(c->store, NULL, 0, &c->error) == FH_OK);
    EXPECT(conformance_reads(c,
                             "SELECT position, event_id, prev FROM fh_outbox WHERE data ="
                             " '{\"said\":\"a \\\"b\\\" \\\\ {c,d} \u00e9\"}' ORDER BY position"
                             " LIMIT 4",
                             "[{'position':1,'event_id':'event-1','prev':0},"
                             "{'position':2,'event_id':'event-2','prev':0},"
                             "{'position':3,'event_id':'event-3','prev':1},"
                             "{'position':4,'event_id':'event-4','prev':2}]"));
    EXPECT(conformance_reads(c, "SELECT count(*) AS n, max(position) AS last FROM fh_outbox",
                             "[{'n':8,'last':8}]"));
}

static void a_lone_unit_of_work_waits_for_no_group(struct conformance *c)
{
    struct member member = {.id = 1};
    EXPECT(prepare(c));
    start(c, &member, 1, INSERT);
    conformance_join(c);
    EXPECT(member.code == FH_OK && member.runs == 1 && member.shared == 0);
}

/* As one that starts a saga behind an event does. */
static void one_that_publishes_before_its_statement_joins_no_group(struct conformance *c)
{
    struct member alone = {.id = 200, .n = 1, .key = "k", .publishes_first = true};
    struct member members[COUNT] = {{0}, {.key = "k", .publishes_first = true}};
    EXPECT(prepare(c));
    start(c, &alone, 1, INSERT);
    conformance_join(c);
    EXPECT(alone.code == FH_OK && alone.runs == 1 && alone.shared == 0);
    EXPECT(count_of(c, "SELECT count(*) FROM things WHERE id = 200") == 1);
    EXPECT(count_of(c, "SELECT count(*) FROM fh_outbox") == 1);
    start(c, members, COUNT, INSERT);
    conformance_join(c);
    EXPECT(committed(members, COUNT) == COUNT && members[1].shared == 0);
    EXPECT(count_of(c, "SELECT count(*) FROM things WHERE id <= 8") == COUNT);
    EXPECT(count_of(c, "SELECT count(*) FROM fh_outbox") == 2);
}

static void units_of_work_on_one_row_see_one_another(struct conformance *c)
{
    struct member members[COUNT] = {0};
    EXPECT(prepare(c));
    for (int i = 0; i < COUNT; i++)
        members[i] = (struct member){.id = 100, .n = 1};
    start(c, members, COUNT, ADD);
    conformance_join(c);
    EXPECT(committed(members, COUNT) == COUNT);
    for (int i = 0; i < COUNT; i++)
        EXPECT(members[i].seen == i + 1 && members[i].runs == 1);
    EXPECT(count_of(c, "SELECT n FROM things WHERE id = 100") == COUNT);
}

static void one_whose_statement_fails_gets_its_error_and_the_others_commit(struct conformance *c)
{
    struct member members[COUNT] = {0};
    EXPECT(prepare(c));
    members[3].id = 100; /* it is there */
    start(c, members, COUNT, INSERT);
    conformance_join(c);
    EXPECT(committed(members, COUNT) == COUNT - 1 && shared(members, COUNT) == COUNT);
    EXPECT(members[3].code == FH_CONFLICT && !members[3].error.retryable);
    EXPECT(strcmp(members[3].error.field, "id") == 0);
    EXPECT(count_of(c, "SELECT count(*) FROM things") == COUNT);
}

static void of_two_that_want_one_place_one_gets_it(struct conformance *c)
{
    struct member members[COUNT] = {0};
    EXPECT(prepare(c));
    members[2].id = members[5].id = 50;
    start(c, members, COUNT, INSERT);
    conformance_join(c);
    EXPECT(committed(members, COUNT) == COUNT - 1);
    EXPECT((members[2].code == FH_OK) != (members[5].code == FH_OK));
    EXPECT(count_of(c, "SELECT count(*) FROM things") == COUNT);
}

static const char insert_referring[] =
    "INSERT INTO things (id, n, other) VALUES (?1, 0, nullif(CAST(?2 AS integer), 0)) RETURNING id";

/* Schedule 21 */
static void a_constraint_that_commit_looks_at_is_its_own_works(struct conformance *c)
{
    struct member first = {.c = c, .store = c->store, .sql = insert_referring, .id = 99};
    struct member members[COUNT] = {0};
    EXPECT(prepare(c));
    run_member(&first);
    members[6].n = 77; /* is not there */
    start(c, members, COUNT, insert_referring);
    conformance_join(c);
    EXPECT(committed(members, COUNT) == COUNT - 1 && shared(members, COUNT) == COUNT);
    EXPECT(members[6].code == FH_CONFLICT && !members[6].error.retryable);
}

static void what_a_unit_of_work_lacks_no_later_one_supplies(struct conformance *c)
{
    struct member first = {.c = c, .store = c->store, .sql = insert_referring, .id = 99};
    struct member members[COUNT] = {0};
    EXPECT(prepare(c));
    run_member(&first);
    members[2].n = 4; /* the one after it */
    start(c, members, COUNT, insert_referring);
    conformance_join(c);
    EXPECT(committed(members, COUNT) >= COUNT - 1 && shared(members, COUNT) == COUNT);
    EXPECT(members[2].runs > 1);
}

/* The second would have enough without the first, which never happens. */
static void a_refusal_is_confirmed_ungrouped_before_it_is_answered(struct conformance *c)
{
    struct member members[COUNT] = {0};
    EXPECT(prepare(c));
    for (int i = 0; i < COUNT; i++)
        members[i] = (struct member){.id = 100, .n = 1};
    members[0] = (struct member){.id = 100, .n = -50, .refuses = true, .needs = 0};
    members[1] = (struct member){.id = 100, .n = 0, .refuses = true, .needs = 0};
    start(c, members, COUNT, ADD);
    conformance_join(c);
    EXPECT(members[0].code == FH_CONFLICT && members[0].refused && members[0].runs > 1);
    EXPECT(committed(members, COUNT) == COUNT - 1 && members[1].runs > 1);
    EXPECT(count_of(c, "SELECT n FROM things WHERE id = 100") == COUNT - 2);
}

static void a_statement_that_is_followed_never_joins_again(struct conformance *c)
{
    struct member members[COUNT] = {0}, later[COUNT] = {0};
    EXPECT(prepare(c));
    members[4].follows = true;
    start(c, members, COUNT, INSERT);
    conformance_join(c);
    EXPECT(committed(members, COUNT) == COUNT && shared(members, COUNT) == COUNT);
    for (int i = 0; i < COUNT; i++)
        later[i].id = COUNT + 1 + i;
    start(c, later, COUNT, INSERT);
    conformance_join(c);
    EXPECT(committed(later, COUNT) == COUNT && shared(later, COUNT) == 0);
    EXPECT(count_of(c, "SELECT count(*) FROM things") == 2 * COUNT + 1);
}

static void a_statement_at_fault_stays_ungrouped_for_a_while(struct conformance *c)
{
    struct member members[COUNT] = {0}, later[COUNT] = {0};
    EXPECT(prepare(c));
    members[0].id = 100;
    start(c, members, COUNT, INSERT);
    conformance_join(c);
    EXPECT(committed(members, COUNT) == COUNT - 1);
    int i = 0;
    for (bool joined = false; !joined && i < 100; i++) {
        for (int j = 0; j < COUNT; j++)
            later[j] = (struct member){.id = 200 + i * COUNT + j};
        start(c, later, COUNT, INSERT);
        conformance_join(c);
        EXPECT(committed(later, COUNT) == COUNT);
        joined = shared(later, COUNT) > 0;
    }
    EXPECT(i > 1 && i < 100);
}

/* ---- Others ---- */

static bool in_time(struct conformance *c, int64_t deadline_ns)
{
    if (world_monotonic_ns(c->harness.world) >= deadline_ns)
        return false;
    fiber_sleep_until(c->harness.world, world_in_ms(c->harness.world, 5));
    return true;
}

static void one_that_waits_for_a_row_holds_up_no_other(struct conformance *c)
{
    struct member members[COUNT] = {0};
    struct sql_value values[] = {sql_integer(100), sql_integer(10)};
    int64_t seen;
    EXPECT(prepare(c));
    EXPECT(conformance_does(c, "INSERT INTO things SELECT id, 0 FROM generate_series(2, 8) AS id",
                            NULL) == FH_OK);
    struct store_work *holder = conformance_begin(c, STORE_WRITE);
    EXPECT(holder);
    EXPECT(sql_run(holder, ADD, values, 2, see, &seen, NULL, &c->error) == FH_OK);
    members[0].id = 100;
    start(c, members, COUNT, ADD);
    int64_t deadline_ns = world_in_ms(c->harness.world, 60000);
    while (committed(members + 1, COUNT - 1) < COUNT - 1 && in_time(c, deadline_ns))
        sql_run(holder, "SELECT 1", NULL, 0, see, &seen, NULL, &c->error); /* it does not idle */
    int early = committed(members + 1, COUNT - 1);
    EXPECT(conformance_commit(c, holder) == FH_OK);
    conformance_join(c);
    EXPECT(early == COUNT - 1 && members[0].code == FH_OK);
    EXPECT(count_of(c, "SELECT n FROM things WHERE id = 100") == 10);
}

/* Its group is under way until the test lets it continue. */
static void one_that_comes_after_a_slow_group_runs_ungrouped(struct conformance *c)
{
    static const char slow[] = "SELECT wait_until_free() + ?1 + ?2";
    struct member first = {.c = c, .store = c->store, .sql = slow, .id = 1};
    struct member waiting[2] = {0}, members[COUNT] = {0};
    EXPECT(prepare(c));
    struct postgresql_store *store = (struct postgresql_store *)c->store;
    store->gather.wait_ms = POSTGRESQL_GATHER_WAIT_MS;
    EXPECT(conformance_does(c,
                            "CREATE FUNCTION wait_until_free() RETURNS integer LANGUAGE plpgsql AS"
                            " $$ BEGIN LOOP EXIT WHEN pg_try_advisory_xact_lock(4711);"
                            " PERFORM pg_sleep(0.005); END LOOP; RETURN 0; END $$",
                            NULL) == FH_OK);
    run_member(&first);
    struct postgresql_connection *holder = postgresql_administrator(c->harness.world, &c->error);
    EXPECT(first.code == FH_OK && holder);
    postgresql_simple(holder, "SELECT pg_advisory_lock(4711)", -1, NULL, NULL, ERROR_UNHEEDED);
    start(c, waiting, 2, slow);
    fiber_sleep_until(c->harness.world, world_in_ms(c->harness.world, 1));
    start(c, members, COUNT, INSERT);
    int64_t deadline_ns = world_in_ms(c->harness.world, 60000);
    while (committed(members, COUNT) < COUNT && in_time(c, deadline_ns))
        ;
    int early = committed(members, COUNT);
    bool ended = waiting[0].ended || waiting[1].ended;
    postgresql_administrator_free(holder);
    conformance_join(c);
    EXPECT(early == COUNT && !ended);
    EXPECT(committed(waiting, 2) == 2);
}

static void
a_unit_of_work_that_reaches_its_first_statement_too_late_does_nothing(struct conformance *c)
{
    int64_t seen;
    struct sql_value values[] = {sql_integer(7), sql_integer(0)};
    EXPECT(prepare(c));
    struct store_work *work = conformance_begin(c, STORE_WRITE_GROUPED);
    EXPECT(work);
    work->deadline_ns = 1;
    enum fh_code code = sql_run(work, INSERT, values, 2, see, &seen, NULL, &c->error);
    conformance_rollback(c, work);
    EXPECT(code == FH_UNAVAILABLE && strstr(c->error.message, "too long"));
    EXPECT(count_of(c, "SELECT count(*) FROM things WHERE id = 7") == 0);
}

/* Nobody joins a transaction that may have read from the store before. */
static void a_unit_of_work_sees_what_was_answered_before_it_began(struct conformance *c)
{
    struct member members[COUNT] = {0};
    EXPECT(prepare(c));
    for (int round = 1; round <= 20; round++) {
        for (int i = 0; i < COUNT; i++)
            members[i] = (struct member){.id = 100, .n = 0};
        start(c, members, COUNT, ADD);
        fiber_yield();
        struct member own = {.c = c, .store = c->store, .sql = ADD, .id = 100, .n = 1};
        struct member after = {.c = c, .store = c->store, .sql = ADD, .id = 100, .n = 0};
        run_member(&own);
        run_member(&after);
        conformance_join(c);
        EXPECT(own.code == FH_OK && after.code == FH_OK && after.seen == round);
    }
}

/* ---- The link ---- */

/* A store over a link, whose groups number their events. NULL: the link is closed. */
static struct store *open_over(struct conformance *c, struct link *link)
{
    struct store *store = NULL;
    struct member members[COUNT] = {0};
    struct member first = {.c = c, .sql = INSERT, .id = 101};
    json_t *server = postgresql_server(&c->harness);
    json_int_t port = 0;
    json_integer_at(server, "port", &port);
    bool opened = link_open(link, c->harness.world, (int)port, "COMMIT");
    json_object_set_new(server, "host", json_string("127.0.0.1"));
    json_object_set_new(server, "port", json_integer(link->port));
    struct store_options options = {
        .service = "conformance", .server = server, .model = FH_RELATIONAL, .instance = "1"};
    if (opened)
        engine_named("postgresql")->store->open(&options, c->harness.world, &store, &c->error);
    json_decref(server);
    if (!link_used(link, store != NULL))
        return NULL;
    be_patient(store);
    first.store = store;
    run_member(&first);
    store_sequence(store, NULL, 0, &c->error);
    for (int i = 0; i < COUNT; i++)
        members[i] = (struct member){.store = store, .id = 110 + i, .key = "k"};
    start(c, members, COUNT, INSERT);
    conformance_join(c);
    bool numbered = first.code == FH_OK && members[0].position == 1;
    if (!numbered)
        store_close(store);
    return link_used(link, numbered) ? store : NULL;
}

/* They come while the first ones are a group: so they are the next group, after its COMMIT. */
static void put_behind(struct member *first, struct member *members)
{
    for (int i = 0; i < COUNT; i++)
        members[i] = (struct member){.store = first->store, .id = first->id + 1000 + i, .key = "k"};
    first->behind = members;
    first->then = start_behind;
}

/* A group to whose COMMIT the plan applies, and one after it: each of their units of work is done,
 * and done once. */
static void lose_inside_commit(struct conformance *c, enum link_cut plan, bool again)
{
    struct link link = {0};
    struct member members[COUNT] = {0}, behind[COUNT] = {0};
    EXPECT(prepare(c));
    struct store *store = open_over(c, &link);
    EXPECT(store);
    for (int i = 0; i < COUNT; i++) {
        members[i].store = store;
        members[i].key = "k";
    }
    link.next = plan;
    members[0].id = 1;
    put_behind(&members[0], behind);
    start(c, members, COUNT, INSERT);
    int64_t deadline_ns = world_in_ms(c->harness.world, 60000);
    while (plan == LINK_HELD && members[0].runs < 2 && in_time(c, deadline_ns))
        ;
    if (plan == LINK_HELD)
        link_release(&link);
    conformance_join(c);
    bool sequenced = store_sequence(store, NULL, 0, &c->error) == FH_OK;
    store_close(store);
    link_close(&link);
    EXPECT(committed(members, COUNT) == COUNT && committed(behind, COUNT) == COUNT && sequenced);
    EXPECT(shared(members, COUNT) == COUNT);
    for (int i = 0; i < COUNT; i++)
        EXPECT((members[i].runs > 1) == again);
    EXPECT(count_of(c, "SELECT count(*) FROM things") == 3 * COUNT + 2);
    EXPECT(conformance_reads(c,
                             "SELECT count(*) AS n, count(DISTINCT event_id) AS ids,"
                             " min(position) AS first, max(position) AS last FROM fh_outbox",
                             "[{'n':24,'ids':24,'first':1,'last':24}]"));
}

/* On the same connection, with a snapshot from after that COMMIT. */
static void the_next_group_is_sent_after_a_groups_commit(struct conformance *c)
{
    struct member members[COUNT] = {0}, behind[COUNT] = {0};
    struct postgresql_store *store = (struct postgresql_store *)c->store;
    EXPECT(prepare(c) && store_sequence(c->store, NULL, 0, &c->error) == FH_OK);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < COUNT; i++)
            members[i] =
                (struct member){.store = c->store, .id = 2000 * (round + 1) + i, .key = "k"};
        put_behind(&members[0], behind);
        start(c, members, COUNT, INSERT);
        conformance_join(c);
        EXPECT(committed(members, COUNT) == COUNT && committed(behind, COUNT) == COUNT);
        EXPECT(shared(members, COUNT) == COUNT && shared(behind, COUNT) == COUNT);
        EXPECT(behind[COUNT - 1].position == 2 * COUNT * (round + 1));
    }
    EXPECT(store->works[1].state == CONNECTION_DOWN);
}

static void a_groups_commit_that_never_reached_the_server_is_repeated(struct conformance *c)
{
    lose_inside_commit(c, LINK_CUT_BEFORE, true);
}

static void a_groups_commit_whose_answer_was_lost_counts(struct conformance *c)
{
    lose_inside_commit(c, LINK_CUT_AFTER, false);
}

/* Schedule 23 */
static void a_groups_commit_that_comes_when_all_is_settled_does_nothing(struct conformance *c)
{
    lose_inside_commit(c, LINK_HELD, true);
}

static void a_groups_commit_that_was_cut_in_two_is_not_waited_for(struct conformance *c)
{
    lose_inside_commit(c, LINK_CUT_IN, true);
}

/* A group whose events can't be written; after its COMMIT one that is rolled back; and after that,
 * on the same connection, a unit of work of two statements. */
static enum fh_code stranger_code, empty_code;

static void run_empty_and_stranger(void *argument)
{
    struct conformance *c = argument;
    struct store_work *work;
    struct fh_error error;
    int64_t seen;
    struct sql_value good[] = {sql_integer(8), sql_integer(9)};
    empty_code = stranger_code = store_begin(c->store, STORE_WRITE_GROUPED, &work, &error);
    if (empty_code == FH_OK) {
        work->deadline_ns = 1; /* it is too late when the group is sent */
        empty_code = sql_run(work, INSERT, good, 2, see, &seen, NULL, &error);
        store_rollback(work);
    }
    if (stranger_code == FH_OK)
        stranger_code = store_begin(c->store, STORE_WRITE, &work, &error);
    if (stranger_code != FH_OK)
        return;
    stranger_code = sql_run(work, INSERT, good, 2, see, &seen, NULL, &error);
    if (stranger_code == FH_OK)
        stranger_code = sql_run(work, "INSERT INTO things (id, n) VALUES (?2, ?1) RETURNING n",
                                good, 2, see, &seen, NULL, &error);
    if (stranger_code == FH_OK)
        stranger_code = store_commit(work, &error);
    else
        store_rollback(work);
}

static void start_empty_and_stranger(struct member *member)
{
    conformance_start(member->c, run_empty_and_stranger, member->c);
}

static void start_follower(struct member *member)
{
    start(member->c, member->behind, 1, INSERT);
}

/* Its BEGIN comes into the failed transaction: nothing of that is its own fault. */
static void one_that_follows_a_group_that_failed_alone_is_run_again(struct conformance *c)
{
    struct member members[COUNT] = {0}, follower = {.id = 300, .n = 1};
    struct ledger_event event = {
        .id = "held", .type = "Happened", .version = 1, .key = "k", .data = "{}"};
    int64_t seen;
    EXPECT(prepare(c) && store_sequence(c->store, NULL, 0, &c->error) == FH_OK);
    for (int i = 0; i < COUNT; i++)
        members[i] = (struct member){.id = 1000 + i, .key = "k"};
    start(c, members, COUNT, INSERT);
    conformance_join(c);
    EXPECT(committed(members, COUNT) == COUNT);
    EXPECT(conformance_does(c, "DELETE FROM things WHERE id >= 1000", NULL) == FH_OK);
    struct store_work *holder = conformance_begin(c, STORE_WRITE);
    EXPECT(holder && ledger_outbox_append(holder, &event, &c->error) == FH_OK);
    EXPECT(sql_run(holder, "SELECT 1", NULL, 0, see, &seen, NULL, &c->error) == FH_OK);
    for (int i = 0; i < COUNT; i++)
        members[i].runs = 0;
    members[0].behind = &follower;
    members[0].then = start_follower;
    start(c, members, COUNT, INSERT); /* their events have the ids of earlier ones */
    const struct postgresql_store *store = (struct postgresql_store *)c->store;
    while (store->gather.groups < 2) /* the first waits for its key; the other comes behind it */
        fiber_sleep_until(c->harness.world, world_in_ms(c->harness.world, 1));
    EXPECT(conformance_commit(c, holder) == FH_OK);
    conformance_join(c);
    EXPECT(committed(members, COUNT) == 0 && follower.code == FH_OK);
    EXPECT(count_of(c, "SELECT count(*) FROM things WHERE id = 300") == 1);
}

static void a_connection_after_a_group_that_failed_is_clean(struct conformance *c)
{
    struct member members[COUNT] = {0};
    struct ledger_event event = {
        .id = "held", .type = "Happened", .version = 1, .key = "k", .data = "{}"};
    int64_t seen;
    EXPECT(prepare(c) && store_sequence(c->store, NULL, 0, &c->error) == FH_OK);
    for (int i = 0; i < COUNT; i++)
        members[i] = (struct member){.id = 1000 + i, .key = "k"};
    start(c, members, COUNT, INSERT);
    conformance_join(c);
    EXPECT(committed(members, COUNT) == COUNT && members[0].position == 1);
    EXPECT(conformance_does(c, "DELETE FROM things WHERE id >= 1000", NULL) == FH_OK);
    struct store_work *holder = conformance_begin(c, STORE_WRITE);
    EXPECT(holder && ledger_outbox_append(holder, &event, &c->error) == FH_OK);
    EXPECT(sql_run(holder, "SELECT 1", NULL, 0, see, &seen, NULL, &c->error) == FH_OK);
    for (int i = 0; i < COUNT; i++)
        members[i].runs = 0;
    members[0].then = start_empty_and_stranger;
    start(c, members, COUNT, INSERT); /* their events have the ids of earlier ones */
    fiber_sleep_until(c->harness.world, world_in_ms(c->harness.world, 50));
    EXPECT(conformance_commit(c, holder) == FH_OK); /* the first group waits for its key */
    conformance_join(c);
    EXPECT(committed(members, COUNT) == 0 && empty_code == FH_UNAVAILABLE &&
           stranger_code == FH_OK);
    EXPECT(count_of(c, "SELECT count(*) FROM things WHERE id IN (8, 9)") == 2);
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(units_of_work_of_one_statement_share_a_transaction),
        CASE(a_lone_unit_of_work_waits_for_no_group),
        CASE(one_that_publishes_before_its_statement_joins_no_group),
        CASE(units_of_work_on_one_row_see_one_another),
        CASE(one_whose_statement_fails_gets_its_error_and_the_others_commit),
        CASE(of_two_that_want_one_place_one_gets_it),
        CASE(a_constraint_that_commit_looks_at_is_its_own_works),
        CASE(what_a_unit_of_work_lacks_no_later_one_supplies),
        CASE(a_refusal_is_confirmed_ungrouped_before_it_is_answered),
        CASE(a_statement_that_is_followed_never_joins_again),
        CASE(a_statement_at_fault_stays_ungrouped_for_a_while),
        CASE(one_that_waits_for_a_row_holds_up_no_other),
        CASE(one_that_comes_after_a_slow_group_runs_ungrouped),
        CASE(a_unit_of_work_that_reaches_its_first_statement_too_late_does_nothing),
        CASE(a_unit_of_work_sees_what_was_answered_before_it_began),
        CASE(the_next_group_is_sent_after_a_groups_commit),
        CASE(a_connection_after_a_group_that_failed_is_clean),
        CASE(one_that_follows_a_group_that_failed_alone_is_run_again),
        CASE(a_groups_commit_that_never_reached_the_server_is_repeated),
        CASE(a_groups_commit_whose_answer_was_lost_counts),
        CASE(a_groups_commit_that_comes_when_all_is_settled_does_nothing),
        CASE(a_groups_commit_that_was_cut_in_two_is_not_waited_for),
    };
    return conformance_main_of("postgresql", FH_RELATIONAL, rows, sizeof rows / sizeof *rows);
}
