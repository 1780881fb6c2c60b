/* SPDX-License-Identifier: Apache-2.0 */
/* A service and two carriers that know nothing of each other, on each server that can be the only
 * one to have points or facts: each counts once, what it has lost is sent again or said to be lost,
 * and what a restored service derives at the same positions is something else. */

#include "../support/keeping.h"
#include "carried_bed.h"

#define CHANGES 24
#define LINKS_MAX 128

static const struct carried_bed *bed;
static struct carried_server *bed_server;

static void begin_carrier(int number)
{
    carrying_restart(number);
    carrying.carriers[number].server = bed_server;
}

static void wipe_entry(void *argument)
{
    (void)argument;
    bed->wipe(bed_server, carrying_declared());
}

static void wipe(void)
{
    harness_run(&carrying.fixture->harness, wipe_entry, NULL);
}

/* ---- Links ---- */

struct listing {
    struct carried_link links[LINKS_MAX];
    int count, behind;
    enum fh_code code;
    struct fh_error error;
};

static void note_listed(void *context, const struct carried_link *link)
{
    struct listing *listing = context;
    FH_ASSERT(listing->count < LINKS_MAX);
    listing->links[listing->count++] = *link;
}

/* By pages of three; and how many facts are behind position 4. */
static void list_entry(void *argument)
{
    struct listing *listing = argument;
    struct carrying_ledger *ledger = calloc(1, sizeof *ledger); /* large for a fiber's stack */
    struct carried_link after = {0};
    int count = 3;
    int64_t behind = 0;
    FH_ASSERT(ledger != NULL);
    carrying_ledger_entry(ledger);
    const struct carried_name *name = &ledger->record.serving.name;
    listing->code = FH_OK;
    while (listing->code == FH_OK && count == 3) {
        listing->code = bed_server->ops->links(bed_server, carrying_declared(), name, &after, 3,
                                               note_listed, listing, &count, &listing->error);
        if (listing->count)
            after = listing->links[listing->count - 1];
    }
    if (listing->code == FH_OK)
        listing->code = bed_server->ops->count(bed_server, carrying_declared(), name, 4, &behind,
                                               &listing->error);
    listing->behind = (int)behind;
    free(ledger);
}

static void assert_links_lead_to_the_cursor(void)
{
    struct listing *listing = calloc(1, sizeof *listing);
    struct kept_walk *walk = calloc(1, sizeof *walk);
    struct carried_place began = {0};
    bool reached = false;
    harness_run(&carrying.fixture->harness, list_entry, listing);
    if (listing->code != FH_OK)
        fail_msg("%s", listing->error.message);
    assert_int_equal(listing->behind, 6);
    assert_true(listing->count >= 10);
    kept_walk_begin(walk, &began);
    for (int i = 0; i < listing->count; i++) {
        const struct carried_link *link = &listing->links[i];
        assert_int_equal(strlen(link->to_id), ID_SIZE - 1);
        assert_int_equal(strlen(link->from_id), link->from ? ID_SIZE - 1 : 0);
        if (kept_walk_link(walk, link))
            reached |=
                link->to == 10 && strcmp(link->to_id, keeping_serving()->kept.cursor_id) == 0;
    }
    assert_true(reached);
    free(walk);
    free(listing);
}

static void links_name_events_and_lead_to_the_cursor(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        keeping_write_facts(i, 1);
        carrying_settle(i % 2);
    }
    begin_carrier(1);
    carrying_settle(1);
    assert_links_lead_to_the_cursor();
}

static const struct carried_server_ops *own_ops;

static enum fh_code settles_at_once(struct carried_server *server, int64_t *ret_settle_s,
                                    int64_t *ret_running_s, struct fh_error *error)
{
    enum fh_code code = own_ops->settles(server, ret_settle_s, ret_running_s, error);
    *ret_settle_s = 0;
    *ret_running_s += 1000; /* it may have been started a moment ago */
    return code;
}

/* A milestone is among the links, and takes no other one's place. */
static void a_look_begins_at_a_milestone(void **state)
{
    struct carried_server_ops ops = *bed_server->ops;
    (void)state;
    own_ops = bed_server->ops;
    ops.settles = settles_at_once;
    ops.look_links = 4;
    bed_server->ops = &ops;
    for (int i = 0; i < 10; i++) {
        keeping_write_facts(i, 1);
        carrying_settle(0);
    }
    begin_carrier(1);
    for (int looks = 0; looks < 3; looks++) { /* it is sent, noted, and begun at */
        carrying.carriers[1].walks_ns = 0;
        carrying_settle(1);
    }
    assert_int_equal(carrying.carriers[1].counters.milestones, 1);
    assert_int_equal(keeping_serving()->kept.milestone.place.position, 10);
    assert_int_equal(carrying.carriers[1].links_shown, 2);
    assert_links_lead_to_the_cursor();
    keeping_assert_all_answered();
    wipe();
    begin_carrier(0);
    carrying_settle(0);
    assert_int_equal(carrying.carriers[0].counters.resent, 1);
    keeping_assert_all_answered();
    bed_server->ops = own_ops;
}

/* ---- Cases ---- */

static void each_counts_once_with_two_carriers_at_a_time(void **state)
{
    (void)state;
    for (int i = 0; i < CHANGES; i++) {
        struct carrying_turn turns[2] = {{.carrier = 0}, {.carrier = 1}};
        void *arguments[] = {&turns[0], &turns[1]};
        keeping_write_facts(i, 1);
        harness_run_all(&carrying.fixture->harness, carrying_turn_entry, arguments, 2);
        for (int j = 0; j < 2; j++) {
            if (turns[j].code != FH_OK)
                fail_msg("%s", turns[j].error.message);
        }
        if (i % 8 == 7)
            begin_carrier(i / 8 % 2); /* it looks */
    }
    carrying_settle(0);
    carrying_settle(1);
    keeping_assert_all_answered();
    assert_int_equal(carrying.carriers[0].counters.resent + carrying.carriers[1].counters.resent,
                     0);
}

static void what_was_wiped_is_sent_again_by_the_outbox(void **state)
{
    (void)state;
    keeping_write_facts(0, 6);
    carrying_settle(0);
    keeping_assert_all_answered();
    wipe();
    begin_carrier(0);
    carrying_settle(0);
    keeping_assert_all_answered();
    wipe();
    keeping_write_facts(6, 3); /* this page finds no generation */
    carrying_settle(0);
    keeping_assert_all_answered();
    assert_int_equal(carrying.carriers[0].counters.resent, 2);
    assert_int_equal(keeping_serving()->name.number, 1);
}

static void what_nobody_has_stops_it_until_that_is_accepted(void **state)
{
    (void)state;
    keeping_write_facts(0, 6);
    carrying_settle(0);
    keeping_trim(4);
    wipe();
    begin_carrier(0);
    struct carrying_turn turn = {0};
    for (int i = 0; i < 4 && turn.code == FH_OK; i++)
        turn = carrying_turn(0);
    assert_int_equal(turn.code, FH_UNSUPPORTED);
    carrying_assert_not_asked();
    struct keeping_accepting accepting = keeping_accept_loss();
    assert_int_equal(accepting.code, FH_OK);
    assert_int_equal(accepting.loss.to, 4);
    keeping_write_facts(6, 2);
    carrying_settle(0);
    keeping_assert_answered_without(0, 4);
}

static void a_restored_service_s_positions_are_other_facts(void **state)
{
    (void)state;
    keeping_write_facts(0, 4);
    carrying_settle(0);
    struct keeping_restoring *restoring = keeping_back_up_owner();
    keeping_write_facts(4, 5);
    carrying_settle(0);
    keeping_restore_owner(restoring);
    begin_carrier(0);
    begin_carrier(1);
    keeping_write_facts(9, 7);
    carrying_settle(0);
    carrying_settle(1);
    keeping_assert_all_answered();
    assert_int_equal(keeping_serving()->kept.former_count, 1);
    assert_int_equal(keeping_serving()->kept.formers[0].facts, 5);
    begin_carrier(0);
    carrying_settle(0);
    assert_int_equal(carrying.carriers[0].counters.resent, 0);
}

/* At lower positions than the lost life had. What it does not write again stays. */
static void what_a_restored_service_corrects_is_found(void **state)
{
    (void)state;
    keeping_write_facts(0, 4);
    carrying_settle(0);
    struct keeping_restoring *restoring = keeping_back_up_owner();
    keeping_write_facts(15, 12);
    carrying_settle(0);
    keeping_restore_owner(restoring);
    begin_carrier(0);
    begin_carrier(1);
    keeping_write_facts(30, 6);
    carrying_settle(1);
    keeping_assert_all_answered();
    wipe(); /* what the outbox has is sent again, and is as it was written */
    begin_carrier(0);
    carrying_settle(0);
    keeping_assert_answered_without(4, 16);
}

/* ---- Running them ---- */

struct kept_case {
    const struct carried_bed *bed;
    int derived; /* of carrying.h */
    void (*run)(void **state);
    char name[160];
};

static void run_kept_case(void **state)
{
    const struct kept_case *one = *state;
    char why[160];
    carrying_set_up(state);
    carrying_begin_kept(one->derived);
    keeping_begin();
    bed = one->bed;
    bed_server = bed->open(&carrying.fixture->harness, why);
    if (!bed_server) {
        carrying_tear_down(state);
        SKIP_BECAUSE("no %s: %s", bed->name, why);
    }
    begin_carrier(0);
    begin_carrier(1);
    assert_non_null(bed_server->ops->settles);
    one->run(state);
    wipe();
    bed->close(bed_server);
    keeping_end();
    carrying_tear_down(state);
}

int main(void)
{
#define CASE(name)                                                                                 \
    {                                                                                              \
#name, name                                                                                \
    }
    static const struct {
        int derived;
        enum fh_model model;
        const char *name;
    } kinds[] = {{CARRYING_MEASURED, FH_SERIES, "points"}, {CARRYING_SOLD, FH_COLUMNS, "facts"}};
    static const struct {
        const char *name;
        void (*run)(void **state);
    } cases[] = {
        CASE(links_name_events_and_lead_to_the_cursor),
        CASE(a_look_begins_at_a_milestone),
        CASE(each_counts_once_with_two_carriers_at_a_time),
        CASE(what_was_wiped_is_sent_again_by_the_outbox),
        CASE(what_nobody_has_stops_it_until_that_is_accepted),
        CASE(a_restored_service_s_positions_are_other_facts),
        CASE(what_a_restored_service_corrects_is_found),
    };
    enum { CASES = sizeof cases / sizeof *cases, BEDS_MAX = 8 };
    static struct kept_case all[CASES * BEDS_MAX];
    static struct CMUnitTest tests[CASES * BEDS_MAX];
    size_t count = 0;
    for (const struct carried_bed *const *of = carried_beds; *of; of++) {
        for (size_t i = 0; i < 2 * CASES; i++) {
            int kind = i >= CASES;
            if (!((*of)->keeps >> kinds[kind].model & 1))
                continue;
            FH_ASSERT(count < CASES * BEDS_MAX);
            all[count] = (struct kept_case){*of, kinds[kind].derived, cases[i % CASES].run, ""};
            snprintf(all[count].name, sizeof all[count].name, "%s, %s: %s", (*of)->name,
                     kinds[kind].name, cases[i % CASES].name);
            tests[count] =
                (struct CMUnitTest){all[count].name, run_kept_case, NULL, NULL, &all[count]};
            count++;
        }
    }
    return _cmocka_run_group_tests("tests", tests, count, NULL, NULL);
}
