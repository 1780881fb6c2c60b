/* SPDX-License-Identifier: Apache-2.0 */
/* Documents as handlers change them: one per unit of work, ids from keys, whose fault a failure
 * is. */

#include "../support/run.h"

#include <string.h>

#include "base/json.h"

static const fh_service service = {
    .name = "shelves", .model = FH_DOCUMENT, .collections = {{"book", {"author"}}, {"shelf"}}};

static int set_up(void **state)
{
    return fixture_set_up(state, &service, NULL);
}

/* One unit of work on a fiber, and what came of it. */

static struct run run_keyed(void **state, fh_handler *handler, const char *key)
{
    struct run run = {handler, false, *state, .key = key};
    harness_run(&run.fixture->harness, run_work, &run);
    return run;
}

static json_t *book(const char *id, int copies)
{
    return json_pack("{s:s, s:s, s:i}", "id", id, "author", "le guin", "copies", copies);
}

static json_t *take(int copies)
{
    return json_pack("{s:{s:i}}", "$inc", "copies", -copies);
}

static json_t *at_least(int copies)
{
    return json_pack("{s:{s:i}}", "copies", "$gte", copies);
}

static void insert_book(fh_work *w)
{
    fh_reply(w, 201, fh_doc_insert(w, "book", book("b1", 2)));
}

static void get_book(fh_work *w)
{
    fh_reply(w, 200, fh_doc(w, "book", "b1"));
}

static void take_one(fh_work *w)
{
    fh_reply(w, 200, fh_doc_update(w, "book", "b1", at_least(1), take(1)));
}

static void a_document_is_inserted_read_and_updated(void **state)
{
    struct run run = run_one(state, get_book, true);
    assert_int_equal(run.status, 404);
    run = run_one(state, insert_book, false);
    assert_int_equal(run.status, 201);
    assert_string_equal(run.reply, "{\"id\":\"b1\",\"author\":\"le guin\",\"copies\":2}");
    run = run_one(state, insert_book, false);
    assert_int_equal(run.status, 409);
    run = run_one(state, take_one, false);
    assert_string_equal(run.reply, "{\"id\":\"b1\",\"author\":\"le guin\",\"copies\":1}");
    assert_int_equal(run_one(state, take_one, false).status, 200);
    assert_int_equal(run_one(state, take_one, false).status, 409);
    run = run_one(state, get_book, true);
    assert_string_equal(run.reply, "{\"id\":\"b1\",\"author\":\"le guin\",\"copies\":0}");
}

static void try_to_take(fh_work *w)
{
    bool missing = fh_try_doc_update(w, "book", "none", NULL, take(1)) == NULL;
    bool too_few = fh_try_doc_update(w, "book", "b1", at_least(9), take(9)) == NULL;
    json_t *taken = fh_try_doc_update(w, "book", "b1", at_least(2), take(2));
    fh_reply(w, 200,
             json_pack("{s:b, s:b, s:O}", "missing", missing, "too_few", too_few, "taken", taken));
}

static void an_update_that_is_tried_may_find_nothing(void **state)
{
    run_one(state, insert_book, false);
    struct run run = run_one(state, try_to_take, false);
    assert_int_equal(run.status, 200);
    assert_string_equal(run.reply, "{\"missing\":true,\"too_few\":true,\"taken\":"
                                   "{\"id\":\"b1\",\"author\":\"le guin\",\"copies\":0}}");
}

static void count_words(fh_work *w)
{
    fh_try_doc_update(w, "book", "b1", NULL, json_pack("{s:{s:i}}", "$inc", "author", 1));
}

static void what_the_document_does_not_allow_is_a_conflict_even_when_tried(void **state)
{
    run_one(state, insert_book, false);
    struct run run = run_one(state, count_words, false);
    assert_int_equal(run.status, 409);
    assert_non_null(strstr(run.reply, "/author"));
}

/* ---- One document per unit of work ---- */

static void change_two(fh_work *w)
{
    fh_doc_insert(w, "book", book("b2", 1));
    fh_doc_insert(w, "shelf", json_pack("{s:s}", "id", "s1"));
}

static void change_one_twice(fh_work *w)
{
    fh_doc_insert(w, "book", book("b2", 5));
    fh_doc_update(w, "book", "b2", NULL, take(1));
    fh_doc_update(w, "book", "b2", NULL, take(1));
    fh_reply(w, 200, fh_doc(w, "book", "b2"));
}

static void look_at_many(fh_work *w)
{
    fh_try_doc(w, "book", "b1");
    fh_try_doc_update(w, "book", "none", NULL, take(1));
    if (!fh_doc_delete(w, "book", "none either"))
        fh_doc_update(w, "book", "b1", NULL, take(1));
}

static void delete_and_insert(fh_work *w)
{
    fh_doc_delete(w, "book", "b1");
    fh_doc_insert(w, "book", book("b1", 9));
    fh_reply(w, 200, fh_doc(w, "book", "b1"));
}

static void delete_two(fh_work *w)
{
    fh_doc_delete(w, "book", "b1");
    fh_doc_delete(w, "book", "b2");
}

/* Schedule 18. */
static void a_second_document_is_refused_and_the_first_change_undone(void **state)
{
    run_one(state, insert_book, false);
    struct run run = run_one(state, change_two, false);
    assert_int_equal(run.status, 500);
    assert_non_null(strstr(run.failure, "book/b2"));
    assert_non_null(strstr(run.failure, "shelf/s1"));
    assert_null(strstr(run.reply, "b2")); /* the log says it, not the answer */
    run = run_one(state, change_one_twice, false);
    assert_int_equal(run.status, 200);
    assert_string_equal(run.reply, "{\"id\":\"b2\",\"author\":\"le guin\",\"copies\":3}");
    assert_int_equal(run_one(state, delete_two, false).status, 500);
    assert_int_equal(run_one(state, get_book, true).status, 200);
}

static void looking_and_failing_to_change_are_no_changes(void **state)
{
    run_one(state, insert_book, false);
    assert_int_equal(run_one(state, look_at_many, false).status, 204);
    assert_int_equal(run_one(state, delete_and_insert, false).status, 200);
}

/* ---- Ids ---- */

static void insert_shelf(fh_work *w)
{
    fh_reply(w, 201, fh_doc_insert(w, "shelf", json_pack("{s:s}", "room", "hall")));
}

static void insert_book_without_id(fh_work *w)
{
    fh_reply(w, 201, fh_doc_insert(w, "book", json_pack("{s:s}", "room", "hall")));
}

static void insert_two_shelves(fh_work *w)
{
    insert_shelf(w);
    fh_doc_insert(w, "shelf", json_pack("{s:s}", "room", "kitchen"));
}

static void an_id_is_made_and_differs(void **state)
{
    struct run first = run_one(state, insert_shelf, false);
    struct run second = run_one(state, insert_shelf, false);
    assert_int_equal(first.status, 201);
    assert_int_equal(second.status, 201);
    assert_int_equal(strncmp(first.reply, "{\"id\":\"", 7), 0);
    assert_non_null(strstr(first.reply, "\",\"room\":\"hall\"}"));
    assert_string_not_equal(first.reply, second.reply);
}

static void a_keyed_command_creates_its_document_once(void **state)
{
    struct run first = run_keyed(state, insert_shelf, "orders key-1");
    assert_int_equal(first.status, 201);
    assert_int_equal(strcspn(first.reply + 7, "\""), 24);
    /* Its record is gone, and it is repeated: it finds its own document. */
    assert_int_equal(run_keyed(state, insert_shelf, "orders key-1").status, 409);
    struct run other_key = run_keyed(state, insert_shelf, "orders key-2");
    struct run other_collection = run_keyed(state, insert_book_without_id, "orders key-1");
    assert_int_equal(other_key.status, 201);
    assert_int_equal(other_collection.status, 201);
    assert_string_not_equal(first.reply, other_key.reply);
    assert_string_not_equal(first.reply, other_collection.reply);
}

static void two_documents_of_one_key_are_two_documents(void **state)
{
    struct run run = run_keyed(state, insert_two_shelves, "orders key-3");
    assert_int_equal(run.status, 500);
    assert_non_null(strstr(run.failure, "a new one in shelf"));
}

/* ---- Whose fault ---- */

static void wrong_operator(fh_work *w)
{
    fh_doc_update(w, "book", "b1", NULL, json_pack("{s:{s:i}}", "$plus", "copies", 1));
}

static void wrong_filter(fh_work *w)
{
    fh_docs(w, "book", json_pack("{s:{s:s}}", "author", "$like", "x"), NULL, NULL, 10);
}

static void wrong_collection(fh_work *w)
{
    fh_try_doc(w, "magazine", "m1");
}

static void clients_new_id(fh_work *w)
{
    fh_doc_update(w, "book", "b1", NULL, json_pack("{s:{s:s}}", "$set", "id", "b9"));
}

static void clients_field(fh_work *w)
{
    fh_doc_insert(w, "book", json_pack("{s:s, s:i}", "id", "b3", "$ref", 1));
}

static void clients_limit(fh_work *w)
{
    fh_docs(w, "book", NULL, NULL, NULL, 5000);
}

static void clients_page(fh_work *w)
{
    fh_docs(w, "book", NULL, json_pack("{s:i}", "author", 1), "gone", 10);
}

static void failures_are_reported_to_whoever_caused_them(void **state)
{
    static const struct {
        fh_handler *handler;
        int status;
        const char *names;
    } rows[] = {
        {wrong_operator, 500, "$plus"},      {wrong_filter, 500, "$like"},
        {wrong_collection, 500, "magazine"}, {clients_new_id, 422, "never changes"},
        {clients_field, 422, "begin with"},  {clients_limit, 422, "limit"},
        {clients_page, 422, "gone"},
    };
    run_one(state, insert_book, false);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct run run = run_one(state, rows[i].handler, false);
        assert_int_equal(run.status, rows[i].status);
        assert_non_null(strstr(run.failure, rows[i].names));
        /* What is the service's own fault is for its log. */
        assert_int_equal(strstr(run.reply, rows[i].names) == NULL, rows[i].status == 500);
    }
}

static void a_get_changes_nothing(void **state)
{
    assert_int_equal(run_one(state, insert_book, true).status, 500);
    assert_int_equal(run_one(state, get_book, true).status, 404);
}

/* ---- Looking ---- */

static void list_books(fh_work *w)
{
    json_t *filter = json_pack("{s:s}", "author", "le guin");
    json_t *all = fh_docs(w, "book", filter, json_pack("{s:i}", "id", -1), NULL, 10);
    json_t *rest = fh_docs(w, "book", filter, NULL, "b1", 10);
    fh_reply(w, 200,
             json_pack("[i, s, i]", (int)json_array_size(all),
                       json_string_at(json_array_get(all, 0), "id"), (int)json_array_size(rest)));
}

static void peek_first(fh_work *w)
{
    json_t *seen = fh_peek_doc(w, "book", "b1"), *none = fh_peek_doc(w, "book", "none");
    bool asking = w->phase == WORK_ASKING;
    fh_doc_update(w, "book", "b1", NULL, take(1));
    json_t *committed = fh_peek_doc(w, "book", "b1"), *own = fh_doc(w, "book", "b1");
    fh_reply(w, 200,
             json_pack("[O, b, b, O, O]", json_object_get(seen, "copies"), none == NULL, asking,
                       json_object_get(committed, "copies"), json_object_get(own, "copies")));
}

static void documents_are_listed(void **state)
{
    run_one(state, insert_book, false);
    run_one(state, change_one_twice, false);
    struct run run = run_one(state, list_books, true);
    assert_string_equal(run.reply, "[2,\"b2\",1]");
}

static void peeking_does_not_open_the_unit_of_work(void **state)
{
    run_one(state, insert_book, false);
    struct run run = run_one(state, peek_first, false);
    assert_string_equal(run.reply, "[2,true,true,2,1]");
}

int main(void)
{
    json_memory_init();
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fixture_tear_down)
        TEST(a_document_is_inserted_read_and_updated),
        TEST(an_update_that_is_tried_may_find_nothing),
        TEST(what_the_document_does_not_allow_is_a_conflict_even_when_tried),
        TEST(a_second_document_is_refused_and_the_first_change_undone),
        TEST(looking_and_failing_to_change_are_no_changes),
        TEST(an_id_is_made_and_differs),
        TEST(a_keyed_command_creates_its_document_once),
        TEST(two_documents_of_one_key_are_two_documents),
        TEST(failures_are_reported_to_whoever_caused_them),
        TEST(a_get_changes_nothing),
        TEST(documents_are_listed),
        TEST(peeking_does_not_open_the_unit_of_work),
#undef TEST
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
