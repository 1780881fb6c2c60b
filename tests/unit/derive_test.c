/* SPDX-License-Identifier: Apache-2.0 */
/* Filling a derived store from what the service lists: all of it, in whatever pages, and on from
 * where a process has died. */

#include "../support/service.h"

#include <stdlib.h>

#include "service/derive.h"
#include "store/derived/derived.h"

#define ITEMS 1203

struct fixture {
    struct harness harness;
    struct service library;
    struct runtime runtime;
    enum fh_code code;
};

static int calls,
    bearable; /* of the `state` handlers; how many rows are too many for one: 0: none */

static void fail_beyond(fh_work *w, const json_t *rows)
{
    calls++;
    if (bearable && json_array_size(rows) > (size_t)bearable)
        fh_rows(w, "SELECT what FROM nowhere", NULL);
    fh_reply(w, 200, (json_t *)(uintptr_t)rows);
}

static void list_integers(fh_work *w)
{
    fail_beyond(w, fh_rows(w,
                           "SELECT id, 'Item ' || id AS name FROM item WHERE id > :after "
                           "ORDER BY id LIMIT :limit",
                           fh_query(w), NULL));
}

static void list_texts(fh_work *w)
{
    fail_beyond(w, fh_rows(w,
                           "SELECT code, 'Item ' || id AS name FROM item WHERE code > :after "
                           "ORDER BY code LIMIT :limit",
                           fh_query(w), NULL));
}

static void list_the_same_again(fh_work *w)
{
    fh_reply(
        w, 200,
        fh_rows(w, "SELECT 'k' AS key, 'Item' AS name FROM item LIMIT :limit", fh_query(w), NULL));
}

static void list_from_the_beginning(fh_work *w)
{
    fh_reply(w, 200,
             fh_rows(w, "SELECT id, 'Item' AS name FROM item ORDER BY id LIMIT :limit", fh_query(w),
                     NULL));
}

static void list_a_key_with_nul(fh_work *w)
{
    json_t *rows = json_array(), *row = json_object();
    json_object_set_new(row, "id", json_stringn("a\0b", 3));
    json_object_set_new(row, "name", json_string("Item"));
    json_array_append_new(rows, row);
    fh_reply(w, 200, rows);
}

static void list_without_names(fh_work *w)
{
    fh_reply(w, 200, fh_rows(w, "SELECT id FROM item LIMIT :limit", fh_query(w), NULL));
}

static void list_no_keys(fh_work *w)
{
    fh_reply(
        w, 200,
        fh_rows(w, "SELECT NULL AS id, 'Item' AS name FROM item LIMIT :limit", fh_query(w), NULL));
}

static void list_an_object(fh_work *w)
{
    fh_reply(w, 200, json_object());
}

static void change_something(fh_work *w)
{
    fh_exec(w, "DELETE FROM item", NULL);
    fh_reply(w, 200, json_array());
}

static const struct fh_derived_field item_fields[] = {{"name", FH_STRING, FH_TEXT}, {0}};
static fh_service library = {.name = "library", .model = FH_RELATIONAL};

static void declare(fh_handler *state, enum fh_type keys, int version)
{
    library.derives[0] = (struct fh_derived){.name = "items",
                                             .model = FH_SEARCH,
                                             .fields = item_fields,
                                             .state = state,
                                             .keys = keys,
                                             .version = version};
}

static void make_items(fh_work *w)
{
    fh_exec(w, "CREATE TABLE item (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE)", NULL);
    fh_exec(w,
            "WITH RECURSIVE n(i) AS (VALUES (-3) UNION ALL SELECT i + 1 FROM n WHERE i < :last) "
            "INSERT INTO item SELECT i, printf('k%05d', i + 3) FROM n",
            json_pack("{s:i}", "last", ITEMS - 4), NULL);
}

static void fill_entry(void *argument)
{
    struct fixture *fixture = argument;
    struct fh_error *error = &fixture->library.error;
    fixture->code = derived_prepare(fixture->library.context.store, &library, 0, error);
    if (fixture->code == FH_OK)
        fixture->code = derive_fill(&fixture->runtime, error);
}

static enum fh_code fill(struct fixture *fixture)
{
    fixture->runtime.context = fixture->library.context;
    fixture->runtime.world = fixture->library.context.world;
    fixture->runtime.service = &library;
    calls = 0;
    harness_run(&fixture->harness, fill_entry, fixture);
    return fixture->code;
}

static void count_items(fh_work *w)
{
    const struct fh_search search = {.text = "item", .limit = 1};
    fh_reply(w, 200, json_object_get(fh_search(w, "items", &search), "total"));
}

static int filled(struct fixture *fixture)
{
    struct service_run run = service_do(&fixture->library, count_items);
    assert_int_equal(run.status, 200);
    int count = atoi(run.body);
    json_text_free(run.body);
    return count;
}

static void all_that_is_listed_is_in(void **state)
{
    struct fixture *fixture = *state;
    declare(list_integers, FH_INT, 0);
    assert_int_equal(fill(fixture), FH_OK);
    assert_int_equal(filled(fixture), ITEMS);
    assert_int_equal(calls, 3);
    assert_int_equal(fill(fixture), FH_OK); /* it is filled */
    assert_int_equal(calls, 0);
    declare(list_texts, FH_STRING, 1); /* made anew, by other keys */
    assert_int_equal(fill(fixture), FH_OK);
    assert_int_equal(filled(fixture), ITEMS);
}

static void pages_that_fail_are_listed_again_with_fewer_rows(void **state)
{
    struct fixture *fixture = *state;
    declare(list_integers, 0, 0);
    library.derives[0].keys = FH_INT;
    bearable = 40;
    assert_int_equal(fill(fixture), FH_OK);
    assert_int_equal(filled(fixture), ITEMS);
}

static void end_between(fh_work *w)
{
    list_integers(w);
    if (calls == 2)
        fh_fail(w, 503, "The process dies here.");
}

static void it_goes_on_behind_the_last_page_that_is_in(void **state)
{
    struct fixture *fixture = *state;
    declare(end_between, FH_INT, 0);
    assert_int_equal(fill(fixture), FH_UNAVAILABLE);
    service_close(&fixture->library);
    service_open(&fixture->library, &fixture->harness, fixture->harness.world, &library);
    declare(list_integers, FH_INT, 0);
    assert_int_equal(fill(fixture), FH_OK);
    assert_int_equal(calls, 2); /* the first page was in */
    assert_int_equal(filled(fixture), ITEMS);
}

static void a_state_that_can_not_be_is_told(void **state)
{
    static const struct {
        fh_handler *state;
        const char *words;
    } wrong[] = {{list_the_same_again, "does not continue after `after`"},
                 {list_from_the_beginning, "does not continue after `after`"},
                 {list_a_key_with_nul, "whose first member is not a key"},
                 {list_without_names, "lacks its field name"},
                 {list_no_keys, "whose first member is not a key"},
                 {list_an_object, "must be an array of at most `limit` rows"},
                 {change_something, "can't change the store"}};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        declare(wrong[i].state, FH_INT, (int)i);
        assert_int_not_equal(fill(fixture), FH_OK);
        const char *message = fixture->library.error.message;
        if (!strstr(message, wrong[i].words) || !strstr(message, "store items can't be filled"))
            fail_msg("%s", message);
    }
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    bearable = 0;
    harness_init(&fixture->harness);
    service_open(&fixture->library, &fixture->harness, fixture->harness.world, &library);
    service_must(&fixture->library, make_items);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    service_close(&fixture->library);
    harness_release(&fixture->harness);
    free(fixture);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        CASE(all_that_is_listed_is_in),
        CASE(pages_that_fail_are_listed_again_with_fewer_rows),
        CASE(it_goes_on_behind_the_last_page_that_is_in),
        CASE(a_state_that_can_not_be_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
