/* SPDX-License-Identifier: Apache-2.0 */
/* A service and two carriers that know nothing of each other, on each server of derived stores:
 * what is found in the end is what the service has, also where the server has lost all of it. */

#include "../support/carrying.h"
#include "carried_bed.h"

#define CHANGES 30

static const struct carried_bed *bed;
static struct carried_server *bed_server;

static const struct fh_derived *declared(void)
{
    return &carrying_service.derives[0];
}

static void begin_carrier(int number)
{
    carrying_restart(number);
    carrying.carriers[number].server = bed_server;
}

/* ---- What is found ---- */

struct finding {
    enum fh_code code;
    char text[BED_TEXT_SIZE];
    struct fh_error error;
};

static void find_entry(void *argument)
{
    struct finding *finding = argument;
    struct carrying_ledger *ledger = calloc(1, sizeof *ledger);
    json_t *found = NULL;
    carrying_ledger_entry(ledger);
    bed->settle(bed_server, declared(), &ledger->record.serving.name);
    finding->code = carrier_ask(&carrying.carriers[0], &(struct fh_search){.limit = 100}, 0, &found,
                                &finding->error);
    if (finding->code == FH_OK)
        bed->contents(found, finding->text);
    json_decref(found);
    free(ledger);
}

static void assert_all_is_found(void)
{
    struct finding finding = {FH_OK};
    harness_run(&carrying.fixture->harness, find_entry, &finding);
    if (finding.code != FH_OK)
        fail_msg("%s", finding.error.message);
    assert_string_equal(finding.text, carrying_expected());
}

static void change_items(int first, int count)
{
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
    change_items(0, 3);
    for (int i = 3; i < CHANGES; i++) {
        struct carrying_turn turns[2] = {{.carrier = 0}, {.carrier = 1}};
        void *arguments[] = {&turns[0], &turns[1]};
        change_items(i, 1);
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
    bed->wipe(bed_server, declared());
}

static void a_store_that_was_wiped_is_noticed_and_made_anew(void **state)
{
    (void)state;
    change_items(0, 6);
    carrying_settle(0);
    assert_all_is_found();
    harness_run(&carrying.fixture->harness, wipe_entry, NULL);
    begin_carrier(0); /* it walks, and finds no link */
    carrying_settle(0);
    assert_all_is_found();
    assert_int_equal(carrying.carriers[0].counters.lost, 1);
    harness_run(&carrying.fixture->harness, wipe_entry, NULL);
    change_items(6, 3); /* this page finds no generation */
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
    FH_ASSERT(bed_server->ops->generations(bed_server, declared(), count_one, argument, &error) ==
              FH_OK);
}

static void what_is_made_anew_takes_the_place_of_what_served(void **state)
{
    enum fh_code code;
    int count = 0;
    (void)state;
    change_items(0, 6);
    carrying_settle(0);
    harness_run(&carrying.fixture->harness, make_anew_entry, &code);
    assert_int_equal(code, FH_OK);
    change_items(6, 6);
    carrying_settle(1);
    assert_all_is_found();
    assert_int_equal(carrying_ledger(NULL)->record.serving.name.number, 2);
    harness_run(&carrying.fixture->harness, count_entry, &count);
    assert_int_equal(count, 1);
}

/* ---- Running them ---- */

static void run_case(void **state, const struct carried_bed *of, void (*run)(void **state))
{
    char why[160];
    carrying_set_up(state);
    bed = of;
    bed_server = bed->open(&carrying.fixture->harness, why);
    if (!bed_server) {
        carrying_tear_down(state);
        SKIP_BECAUSE("no %s: %s", of->name, why);
    }
    begin_carrier(0);
    begin_carrier(1);
    run(state);
    harness_run(&carrying.fixture->harness, wipe_entry, NULL);
    bed->close(bed_server);
    carrying_tear_down(state);
}

#define CASES(CASE)                                                                                \
    CASE(two_carriers_at_a_time_carry_what_the_service_did)                                        \
    CASE(a_store_that_was_wiped_is_noticed_and_made_anew)                                          \
    CASE(what_is_made_anew_takes_the_place_of_what_served)

#define CASE_OF_EACH(name)                                                                         \
    static void memory_##name(void **state)                                                        \
    {                                                                                              \
        run_case(state, &carried_bed_memory, name);                                                \
    }                                                                                              \
    static void opensearch_##name(void **state)                                                    \
    {                                                                                              \
        run_case(state, &carried_bed_opensearch, name);                                            \
    }
CASES(CASE_OF_EACH)

int main(void)
{
#define MEMORY_TEST(name) {"memory: " #name, memory_##name, NULL, NULL, NULL},
#define OPENSEARCH_TEST(name) {"opensearch: " #name, opensearch_##name, NULL, NULL, NULL},
    static const struct CMUnitTest tests[] = {CASES(MEMORY_TEST) CASES(OPENSEARCH_TEST)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
