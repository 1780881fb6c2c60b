/* SPDX-License-Identifier: Apache-2.0 */
/* A service and two carriers that know nothing of each other, on each server of derived stores, for
 * each model that it holds: what is found in the end is what the service has, also where the server
 * has lost all of it. */

#include "../support/carrying.h"
#include "../support/tallied.h"
#include "carried_bed.h"

#define CHANGES 30
#define TESTS_MAX 64

static const struct carried_bed *bed;
static struct carried_server *bed_server;

static void begin_carrier(int number)
{
    carrying_restart(number);
    carrying.carriers[number].server = bed_server;
}

/* ---- What is found ---- */

struct finding {
    enum fh_code code;
    json_t *found;
    struct fh_error error;
};

static void find_entry(void *argument)
{
    struct finding *finding = argument;
    struct carrying_ledger *ledger = calloc(1, sizeof *ledger);
    carrying_ledger_entry(ledger);
    bed->settle(bed_server, carrying_declared(), &ledger->record.serving.name);
    static const struct fh_search search = {.limit = 100};
    const void *question =
        carrying.derived == CARRYING_ITEMS ? (const void *)&search : carrying_question();
    finding->code =
        carrier_ask(&carrying.carriers[0], question, 0, &finding->found, &finding->error);
    free(ledger);
}

/* Items as text, what is asked of points and facts as JSON. */
static void assert_is_expected(const json_t *found)
{
    char text[BED_TEXT_SIZE];
    if (carrying.derived == CARRYING_ITEMS) {
        bed->contents(found, text);
        assert_string_equal(text, carrying_expected());
        return;
    }
    json_t *expected = json_loads(carrying_expected(), 0, NULL);
    if (!tallied_same(expected, found)) {
        carrying_write_answer(found, text);
        fail_msg("%s instead of %s", text, carrying_expected());
    }
    json_decref(expected);
}

static void assert_all_is_found(void)
{
    struct finding finding = {FH_OK};
    harness_run(&carrying.fixture->harness, find_entry, &finding);
    if (finding.code != FH_OK)
        fail_msg("%s", finding.error.message);
    assert_is_expected(finding.found);
    json_decref(finding.found);
}

/* Of points some come again, with another value. */
static void change_facts(int first, int count)
{
    for (int i = first; i < first + count; i++) {
        char tag[8];
        snprintf(tag, sizeof tag, "d%d", i % 3);
        carrying_fact(tag, 1000 + i * 7 % 5 * 500, i);
    }
}

static void change_some(int first, int count)
{
    if (carrying.derived != CARRYING_ITEMS) {
        change_facts(first, count);
        return;
    }
    for (int i = first; i < first + count; i++) {
        char key[8], name[16];
        snprintf(key, sizeof key, "k%d", i * 7 % 5);
        snprintf(name, sizeof name, "n%d", i);
        carrying_item(key, i % 4 == 3 ? NULL : name);
    }
}

/* ---- Cases ---- */

static void two_carriers_at_a_time_carry_what_the_service_did(void **state)
{
    (void)state;
    change_some(0, 3);
    for (int i = 3; i < CHANGES; i++) {
        struct carrying_turn turns[2] = {{.carrier = 0}, {.carrier = 1}};
        void *arguments[] = {&turns[0], &turns[1]};
        change_some(i, 1);
        harness_run_all(&carrying.fixture->harness, carrying_turn_entry, arguments, 2);
        for (int j = 0; j < 2; j++) {
            if (turns[j].code != FH_OK)
                fail_msg("%s", turns[j].error.message);
        }
        if (i % 10 == 0)
            begin_carrier(i / 10 % 2); /* it walks */
    }
    carrying_settle(0);
    carrying_settle(1);
    assert_all_is_found();
    assert_int_equal(carrying.carriers[0].counters.lost + carrying.carriers[1].counters.lost, 0);
}

static void wipe_entry(void *argument)
{
    (void)argument;
    bed->wipe(bed_server, carrying_declared());
}

static void a_store_that_was_wiped_is_noticed_and_made_anew(void **state)
{
    (void)state;
    change_some(0, 6);
    carrying_settle(0);
    assert_all_is_found();
    harness_run(&carrying.fixture->harness, wipe_entry, NULL);
    begin_carrier(0); /* it walks, and finds no link */
    carrying_settle(0);
    assert_all_is_found();
    assert_int_equal(carrying.carriers[0].counters.lost, 1);
    harness_run(&carrying.fixture->harness, wipe_entry, NULL);
    change_some(6, 3); /* this page finds no generation */
    carrying_settle(0);
    assert_all_is_found();
    assert_int_equal(carrying.carriers[0].counters.lost, 2);
}

static void count_one(void *context, const struct carried_name *name)
{
    (void)name;
    ++*(int *)context;
}

static void make_anew_entry(void *argument)
{
    struct fh_error error;
    *(enum fh_code *)argument = carrier_make_anew(&carrying.carriers[1], &error);
}

static void count_entry(void *argument)
{
    struct fh_error error;
    FH_ASSERT(bed_server->ops->generations(bed_server, carrying_declared(), count_one, argument,
                                           &error) == FH_OK);
}

static void what_is_made_anew_takes_the_place_of_what_served(void **state)
{
    enum fh_code code;
    int count = 0;
    (void)state;
    change_some(0, 6);
    carrying_settle(0);
    harness_run(&carrying.fixture->harness, make_anew_entry, &code);
    assert_int_equal(code, FH_OK);
    change_some(6, 6);
    carrying_settle(1);
    assert_all_is_found();
    assert_int_equal(carrying_ledger(NULL)->record.serving.name.number, 2);
    harness_run(&carrying.fixture->harness, count_entry, &count);
    assert_int_equal(count, 1);
}

static void what_was_there_before_it_is_carried_is_in_it(void **state)
{
    (void)state;
    carrying.fixture->context.carried = NULL;
    change_some(0, 12);
    carrying_begin(carrying.derived);
    begin_carrier(0);
    begin_carrier(1);
    change_some(12, 3);
    carrying_settle(1);
    assert_all_is_found();
    change_some(15, 6);
    carrying_settle(0);
    assert_all_is_found();
}

/* ---- Running them ---- */

struct carrying_case {
    const struct carried_bed *bed;
    int derived;
    void (*run)(void **state);
    char name[160];
};

static void run_carrying_case(void **state)
{
    const struct carrying_case *one = *state;
    char why[160];
    carrying_set_up(state);
    carrying_begin(one->derived);
    bed = one->bed;
    bed_server = bed->open(&carrying.fixture->harness, why);
    if (!bed_server) {
        carrying_tear_down(state);
        SKIP_BECAUSE("no %s: %s", bed->name, why);
    }
    begin_carrier(0);
    begin_carrier(1);
    one->run(state);
    harness_run(&carrying.fixture->harness, wipe_entry, NULL);
    bed->close(bed_server);
    carrying_tear_down(state);
}

int main(void)
{
#define CASE(name)                                                                                 \
    {                                                                                              \
#name, name                                                                                \
    }
    static const struct {
        const char *name;
        void (*run)(void **state);
    } cases[] = {
        CASE(two_carriers_at_a_time_carry_what_the_service_did),
        CASE(a_store_that_was_wiped_is_noticed_and_made_anew),
        CASE(what_is_made_anew_takes_the_place_of_what_served),
        CASE(what_was_there_before_it_is_carried_is_in_it),
    };
    static struct carrying_case all[TESTS_MAX];
    static struct CMUnitTest tests[TESTS_MAX];
    size_t count = 0;
    for (const struct carried_bed *const *of = carried_beds; *of; of++) {
        for (int derived = 0; derived < CARRYING_DERIVED; derived++) {
            const struct fh_derived *declared = &carrying_service.derives[derived];
            for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                if (!((*of)->models >> declared->model & 1))
                    continue;
                FH_ASSERT(count < TESTS_MAX);
                all[count] = (struct carrying_case){*of, derived, cases[i].run, ""};
                snprintf(all[count].name, sizeof all[count].name, "%s: %s: %s", (*of)->name,
                         declared->name, cases[i].name);
                tests[count] = (struct CMUnitTest){all[count].name, run_carrying_case, NULL, NULL,
                                                   &all[count]};
                count++;
            }
        }
    }
    return _cmocka_run_group_tests("tests", tests, count, NULL, NULL);
}
