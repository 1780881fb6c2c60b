/* SPDX-License-Identifier: Apache-2.0 */
/* Derived stores on servers that are made anew, rule by rule (docs/internals/carriers.md, 12 to
 * 19).
 */

#include "../support/carrying.h"

static void change_while_rows_are_sent(struct memory_server *server, bool done)
{
    if (done)
        return;
    server->between = NULL;
    carrying_put_here("a", NULL);
    carrying_put_here("b", "butter");
    carrying_put_here("d", "dates");
}

static void what_changes_while_it_is_made_anew_is_in_it(void **state)
{
    (void)state;
    carrying_item("a", "apple");
    carrying_item("b", "bread");
    carrying_item("c", "cheese");
    carrying.server->between = change_while_rows_are_sent; /* before it is made */
    carrying_settle(0);
    carrying_assert_found("b=butter c=cheese d=dates ");
}

static int requests_before_removal;

static void remove_at_its_request(struct memory_server *server, bool done)
{
    if (done || requests_before_removal-- > 0)
        return;
    server->between = NULL;
    carrying_put_here("a", NULL);
}

/* Whether any value of any generation has it. */
static bool is_on_server(const char *word)
{
    for (int i = 0; i < MEMORY_GENERATIONS; i++) {
        const struct memory_generation *generation = &carrying.server->generations[i];
        for (int j = 0; generation->there && j < generation->value_count; j++) {
            uint32_t text = generation->values[j].text;
            if (text && strstr(carrying.server->texts + text, word))
                return true;
        }
    }
    return false;
}

/* Before and between all requests of a filling; what is removed of a person stays so in the one
 * that serves, and is not in the one that is made. */
static void what_is_removed_while_it_is_made_anew_is_in_no_generation(void **state)
{
    int moment = 0;
    (void)state;
    for (bool reached = true; reached; moment++) {
        carrying_item("a", "zebedee");
        carrying_item("b", "bread");
        carrying_settle(0);
        assert_true(is_on_server("zebedee"));
        assert_int_equal(carrying_make_anew(), FH_OK);
        requests_before_removal = moment;
        carrying.server->between = remove_at_its_request;
        carrying_settle(0);
        reached = !carrying.server->between;
        carrying.server->between = NULL;
        if (!reached)
            carrying_item("a", NULL);
        carrying_settle(0);
        carrying_assert_found("b=bread ");
        assert_int_equal(memory_count(carrying.server), 1);
        assert_false(is_on_server("zebedee"));
    }
    assert_true(moment > 4);
}

/* After a request it is away for the next one. */
static void go_away_then(struct memory_server *server, bool done)
{
    if (done) {
        server->between = NULL;
        server->fault = MEMORY_AWAY;
    }
}

/* 3, 15, 16, 19: another declaration's generation is not asked; one of the same serves until the
 * switch, and is then dropped. */
static void one_serves_until_another_is_whole(void **state)
{
    (void)state;
    carrying_item("a", "apple");
    carrying_settle(0);
    assert_int_equal(carrying_make_anew(), FH_OK);
    assert_int_equal(carrying_make_anew(), FH_CONFLICT);
    int64_t began = carrying_ledger(NULL)->record.filling.cursor;
    carrying_item("b", "bread");
    carrying.server->between = go_away_then;
    assert_int_not_equal(carrying_turn(0).code, FH_OK);
    const struct carrying_ledger *ledger = carrying_ledger(NULL);
    assert_int_equal(ledger->record.serving.cursor, ledger->position);
    assert_int_equal(ledger->needed, began); /* held for the one that is filled */
    struct carrying_turn turn = {.more = true};
    while (carrying_ledger(NULL)->record.filling.name.number && turn.code == FH_OK) {
        struct carrying_answer answer = carrying_ask();
        assert_int_equal(answer.code, FH_OK);
        assert_non_null(strstr(answer.text, "a=apple"));
        turn = carrying_turn(0);
    }
    assert_int_equal(turn.code, FH_OK);
    carrying_settle(0);
    carrying_assert_found("a=apple b=bread ");
    assert_int_equal(memory_count(carrying.server), 1);
}

static void a_declaration_that_has_changed_makes_it_anew(void **state)
{
    (void)state;
    carrying_item("a", "apple");
    carrying_settle(0);
    carrying_service.derives[0].version = 2;
    carrying_restart(0);
    carrying_assert_not_asked();
    carrying_settle(0);
    carrying_assert_found("a=apple ");
    assert_int_equal(memory_count(carrying.server), 1);
}

/* Carries what is new to the one that serves alone. */
static void serve_more_meanwhile(struct memory_server *server, bool done)
{
    struct carrying_turn turn = {.carrier = 1};
    if (done)
        return;
    carrying_put_here("b", "bread");
    server->between = go_away_then;
    carrying_turn_entry(&turn);
    FH_ASSERT(turn.code == FH_UNAVAILABLE);
}

static void then_serve_more(struct memory_server *server, bool done)
{
    if (done)
        server->between = serve_more_meanwhile;
}

/* 16 */
static void what_is_shown_is_not_taken_back_by_a_switch(void **state)
{
    (void)state;
    carrying_item("a", "apple");
    carrying_settle(0);
    carrying_settle(1);
    assert_int_equal(carrying_make_anew(), FH_OK);
    assert_int_equal(carrying_turn(0).code, FH_OK); /* its rows are there */
    const struct carrying_ledger *ledger = carrying_ledger(NULL);
    assert_true(ledger->record.filling.filled);
    carrying_item("c", "cheese");
    carrying.server->between = then_serve_more; /* within the second page */
    carrying_turn(0);
    assert_string_equal(carrying_expected(), "a=apple b=bread c=cheese ");
    carrying_assert_found(carrying_expected());
    carrying_turn(0);
    carrying_assert_found(carrying_expected());
    carrying_settle(0);
    carrying_assert_found(carrying_expected());
    assert_int_equal(carrying_ledger(NULL)->record.filling.name.number, 0);
}

static void make_many_items(fh_work *w)
{
    fh_exec(w,
            "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 1200) "
            "INSERT INTO item SELECT printf('k%05d', i), 'many' FROM n",
            NULL);
}

static int values_served(void)
{
    struct carried_name name = carrying_ledger(NULL)->record.serving.name;
    const struct memory_generation *generation = memory_find(carrying.server, &name, false);
    return generation ? generation->value_count : 0;
}

/* 15: more rows than are in a page, of which none could be carried while they were published. */
static void it_serves_once_its_last_row_is_there(void **state)
{
    assert_int_equal(run_one(state, make_many_items, false).status, 204);
    struct carrying_turn turn = {.code = FH_OK};
    while (!carrying_ledger(NULL)->record.filling.listed) {
        carrying.server->between = go_away_then; /* after it is made */
        turn = carrying_turn(0);
        assert_int_equal(turn.code, FH_UNAVAILABLE);
    }
    while (!carrying_ledger(NULL)->record.serving.name.number) {
        carrying_assert_not_asked();
        assert_int_equal(carrying_turn(0).code, FH_OK);
    }
    assert_int_equal(values_served(), 1200);
}

/* In the snapshot it was there. */
static void change_behind_the_listing(void)
{
    struct arena *arena = json_arena_set(NULL);
    carrying_listed = NULL;
    carrying_put_here("a", NULL);
    carrying_put_here("b", "butter");
    json_arena_set(arena);
}

/* 14 */
static void a_row_that_changes_after_it_is_listed_is_not_shown(void **state)
{
    (void)state;
    carrying_item("a", "apple");
    carrying_item("b", "bread");
    carrying_item("c", "cheese");
    carrying_listed = change_behind_the_listing;
    carrying_settle(0);
    assert_null(carrying_listed);
    carrying_assert_found("b=butter c=cheese ");
}

/* A page of ops by itself. */
static void remove_a_thousand(fh_work *w)
{
    for (int i = 0; i < CARRIED_OPS_MAX; i++)
        fh_derive_gone(w, "items", fh_format(w, "k%d", i));
}

static void remove_thousands(struct memory_server *server, bool done)
{
    (void)done;
    server->between = NULL;
    for (int i = 0; i < 3; i++)
        carrying_run_here(remove_a_thousand);
}

static void change_the_only_row(void)
{
    struct arena *arena = json_arena_set(NULL);
    carrying_listed = NULL;
    carrying_put_here("a", "avocado");
    json_arena_set(arena);
}

/* 15: what is carried instead of the last row may be pages away. */
static void it_serves_once_what_replaces_its_last_row_is_there(void **state)
{
    (void)state;
    carrying_item("a", "apple");
    carrying.server->between = remove_thousands; /* after it is begun, before rows are listed */
    carrying_listed = change_the_only_row;
    while (!carrying_ledger(NULL)->record.serving.name.number) {
        carrying_assert_not_asked();
        assert_int_equal(carrying_turn(0).code, FH_OK);
    }
    carrying_assert_found("a=avocado ");
}

/* Its late drop and its late making meet nobody. */
static void what_is_late_of_an_older_generation_is_dropped_again(void **state)
{
    (void)state;
    carrying.server->fault = MEMORY_LATER;
    assert_int_not_equal(carrying_turn(0).code, FH_OK); /* making the first one */
    carrying_item("a", "apple");
    carrying_settle(0);
    assert_int_equal(carrying_make_anew(), FH_OK);
    carrying_settle(0);
    assert_int_equal(memory_count(carrying.server), 1);
    assert_true(memory_deliver(carrying.server));
    assert_int_equal(memory_count(carrying.server), 2);
    carrying_assert_found("a=apple ");
    carrying_restart(0);
    carrying_settle(0);
    assert_int_equal(memory_count(carrying.server), 1);
    carrying_assert_found("a=apple ");
}

int main(void)
{
#define ANEW_TEST(name) cmocka_unit_test_setup_teardown(name, carrying_set_up, carrying_tear_down)
    static const struct CMUnitTest tests[] = {
        ANEW_TEST(what_changes_while_it_is_made_anew_is_in_it),
        ANEW_TEST(what_is_removed_while_it_is_made_anew_is_in_no_generation),
        ANEW_TEST(one_serves_until_another_is_whole),
        ANEW_TEST(it_serves_once_its_last_row_is_there),
        ANEW_TEST(what_is_shown_is_not_taken_back_by_a_switch),
        ANEW_TEST(a_row_that_changes_after_it_is_listed_is_not_shown),
        ANEW_TEST(it_serves_once_what_replaces_its_last_row_is_there),
        ANEW_TEST(a_declaration_that_has_changed_makes_it_anew),
        ANEW_TEST(what_is_late_of_an_older_generation_is_dropped_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
