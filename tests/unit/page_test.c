/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of a list: what each holds, where the next one is, and cursors that are none. */

#include "../support/fixture.h"

#include <string.h>

#include "base/json.h"
#include "engine/engines.h"
#include "http/path.h"
#include "shape/shape.h"
#include "work/page.h"

static const fh_field query_shape[] = {{"kind", FH_STRING, .optional = true}, {0}};
static const struct fh_route by_id = {"GET", "/api/{shelf}/books", NULL, .query = query_shape,
                                      .page = {"id", .limit = 3, .limit_max = 5}};
static const struct fh_route by_day = {"GET", "/api/{shelf}/days", NULL, .query = query_shape,
                                       .page = {"day,id", .limit = 2, .descending = true}};
static const fh_service service = {.name = "books", .model = FH_RELATIONAL};

static int set_up(void **state)
{
    return fixture_set_up(
        state, &service,
        "CREATE TABLE book (id INTEGER PRIMARY KEY, kind TEXT NOT NULL,"
        " day TEXT, lent BOOLEAN NOT NULL);"
        "INSERT INTO book VALUES (1, 'a', '2026-01-02', 1), (2, 'a', '2026-01-01', 0),"
        " (3, 'b', '2026-01-02', 1), (4, 'a', '2026-01-02', 0), (5, 'a', NULL, 1),"
        " (6, 'a', '2026-01-03', 0);");
}

/* One request for a page. */
struct asked {
    struct fixture *fixture;
    const struct fh_route *route;
    fh_handler *handler;
    const char *shelf;
    char query[2048]; /* raw */
    char fault[256];  /* that the query has */
    int status;
    char reply[1024], link[2048], failure[256];
};

static void list_books(fh_work *w)
{
    fh_reply(w, 200,
             fh_page_rows(w, "SELECT id FROM book WHERE kind = 'a' -- of one kind", fh_query(w)));
}

static void list_days(fh_work *w)
{
    fh_reply(w, 200, fh_page_rows(w, "SELECT id, day, lent FROM book WHERE day IS NOT NULL"));
}

static void list_torn_days(fh_work *w)
{
    fh_reply(w, 200, fh_page_rows(w, "SELECT id, day FROM book"));
}

static void list_without_key(fh_work *w)
{
    fh_reply(w, 200, fh_page_rows(w, "SELECT id AS number, id FROM book"));
}

/* What exchange.c does with the query. */
static json_t *take(struct asked *asked, fh_work *w)
{
    json_t *strings;
    struct fh_error error;
    assert_int_equal(path_query(asked->query, &strings, &error), FH_OK);
    json_t *faults = shape_query(page_query_shape(&w->kept, asked->route), strings, &w->query);
    w->page.path = "/api/1/books";
    w->page.query = asked->query;
    return faults ? faults : page_take_query(w);
}

static void run_asked(void *argument)
{
    struct asked *asked = argument;
    fh_work w;
    work_init(&w, &asked->fixture->context, asked->handler);
    w.read_only = true;
    w.route = asked->route;
    json_arena_set(&w.kept);
    w.path = json_pack("{s:s}", "shelf", asked->shelf ? asked->shelf : "1");
    json_t *faults = take(asked, &w);
    if (faults) {
        const json_t *first = json_array_get(faults, 0);
        snprintf(asked->fault, sizeof asked->fault, "%s: %s", json_string_at(first, "parameter"),
                 json_string_at(first, "detail"));
    }
    json_arena_set(NULL);
    if (!faults) {
        work_run(&w);
        asked->status = w.reply_status;
        snprintf(asked->failure, sizeof asked->failure, "%s", w.failure.message);
        char *text = w.reply_body ? json_text(w.reply_body) : NULL;
        snprintf(asked->reply, sizeof asked->reply, "%s", text ? text : "");
        json_text_free(text);
        for (int i = 0; i < w.reply_header_count; i++) {
            if (strcmp(w.reply_headers[i].name, "Link") == 0)
                snprintf(asked->link, sizeof asked->link, "%s", w.reply_headers[i].value);
        }
    }
    work_release(&w);
}

static struct asked ask(void **state, const struct fh_route *route, fh_handler *handler,
                        const char *query)
{
    struct asked asked = {.fixture = *state, .route = route, .handler = handler};
    snprintf(asked.query, sizeof asked.query, "%s", query);
    harness_run(&asked.fixture->harness, run_asked, &asked);
    return asked;
}

/* The query in a Link. */
static const char *next_query(const struct asked *asked)
{
    static char query[2048];
    assert_int_equal(sscanf(asked->link, "</api/1/books?%2047[^>]>; rel=\"next\"", query), 1);
    return query;
}

static void pages_follow_each_other_to_the_end(void **state)
{
    struct asked first = ask(state, &by_id, list_books, "kind=a");
    assert_string_equal(first.reply, "[{\"id\":1},{\"id\":2},{\"id\":4}]");
    assert_non_null(strstr(first.link, "</api/1/books?kind=a&cursor="));
    struct asked second = ask(state, &by_id, list_books, next_query(&first));
    assert_string_equal(second.fault, "");
    assert_string_equal(second.reply, "[{\"id\":5},{\"id\":6}]");
    assert_string_equal(second.link, "");
}

static void the_limit_is_the_clients_within_its_bounds(void **state)
{
    struct asked all = ask(state, &by_id, list_books, "limit=5");
    assert_string_equal(all.reply, "[{\"id\":1},{\"id\":2},{\"id\":4},{\"id\":5},{\"id\":6}]");
    assert_string_equal(all.link, "");
    struct asked one = ask(state, &by_id, list_books, "limit=1&kind=x%3Ey");
    assert_string_equal(one.reply, "[{\"id\":1}]");
    assert_non_null(strstr(one.link, "?limit=1&kind=x%3Ey&cursor="));
    assert_string_equal(ask(state, &by_id, list_books, next_query(&one)).reply, "[{\"id\":2}]");
    assert_string_equal(ask(state, &by_id, list_books, "limit=6").fault,
                        "limit: expected an integer from 1 to 5, found 6");
    assert_string_equal(ask(state, &by_id, list_books, "limit=0").fault,
                        "limit: expected an integer from 1 to 5, found 0");
}

static void documents_say_which_limit_holds_without_one(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, ARENA_SIZE_MAX);
    json_t *schema = shape_schema(page_query_shape(&arena, &by_id));
    arena_release(&arena);
    assert_int_equal(json_integer_value(json_at(schema, "properties.limit.default")), 3);
    assert_null(json_object_get(schema, "required"));
    json_decref(schema);
}

static void several_columns_order_and_descend(void **state)
{
    struct asked first = ask(state, &by_day, list_days, "");
    assert_string_equal(first.reply, "[{\"id\":6,\"day\":\"2026-01-03\",\"lent\":false},"
                                     "{\"id\":4,\"day\":\"2026-01-02\",\"lent\":false}]");
    struct asked second = ask(state, &by_day, list_days, next_query(&first));
    assert_string_equal(second.reply, "[{\"id\":3,\"day\":\"2026-01-02\",\"lent\":true},"
                                      "{\"id\":1,\"day\":\"2026-01-02\",\"lent\":true}]");
    struct asked third = ask(state, &by_day, list_days, next_query(&second));
    assert_string_equal(third.reply, "[{\"id\":2,\"day\":\"2026-01-01\",\"lent\":false}]");
    assert_string_equal(third.link, "");
}

#define NO_CURSOR                                                                                  \
    "cursor: it is no cursor of this list: take it from the header Link of the page before, with " \
    "the same query, or leave it out to begin anew"

static void a_cursor_that_was_changed_is_refused(void **state)
{
    struct asked first = ask(state, &by_id, list_books, "");
    const char *query = next_query(&first);
    assert_string_equal(ask(state, &by_id, list_books, query).fault, "");
    for (size_t at = strlen("cursor="); query[at]; at++) {
        char changed[2048];
        snprintf(changed, sizeof changed, "%s", next_query(&first));
        changed[at] = changed[at] == 'A' ? 'B' : 'A';
        if (strcmp(changed, next_query(&first)) == 0)
            continue;
        assert_string_equal(ask(state, &by_id, list_books, changed).fault, NO_CURSOR);
        changed[at] = '\0';
        if (at > strlen("cursor="))
            assert_string_equal(ask(state, &by_id, list_books, changed).fault, NO_CURSOR);
    }
    assert_string_equal(ask(state, &by_id, list_books, "cursor=1").fault, NO_CURSOR);
}

static void a_cursor_is_of_one_list(void **state)
{
    struct asked first = ask(state, &by_id, list_books, "");
    char query[2048], other[2100];
    snprintf(query, sizeof query, "%s", next_query(&first));
    snprintf(other, sizeof other, "kind=b&%s", query);
    assert_string_equal(ask(state, &by_id, list_books, other).fault, NO_CURSOR);
    assert_string_equal(ask(state, &by_day, list_days, query).fault, NO_CURSOR);
    struct asked shelf = {.fixture = *state, .route = &by_id, .handler = list_books, .shelf = "2"};
    snprintf(shelf.query, sizeof shelf.query, "%s", query);
    harness_run(&shelf.fixture->harness, run_asked, &shelf);
    assert_string_equal(shelf.fault, NO_CURSOR);
}

static void a_column_that_is_null_or_not_selected_is_a_fault(void **state)
{
    struct asked torn = ask(state, &by_day, list_torn_days, "limit=5");
    assert_int_equal(torn.status, 200);
    static const struct fh_route by_null = {"GET", "/api/{shelf}/days", NULL,
                                            .page = {"day,id", .limit = 1}};
    torn = ask(state, &by_null, list_torn_days, "");
    assert_int_equal(torn.status, 500);
    assert_non_null(strstr(torn.failure, "A page's last row has no \"day\""));
    assert_int_equal(ask(state, &by_day, list_without_key, "").status, 500);
}

/* ---- Documents ---- */

static const fh_service shelf_service = {
    .name = "shelves", .model = FH_DOCUMENT, .collections = {{"shelf", {"kind"}}}};
static const struct fh_route shelves = {"GET", "/api/{shelf}/shelves", NULL,
                                        .page = {"id", .limit = 2}};

static int set_up_documents(void **state)
{
    return fixture_set_up(state, &shelf_service, NULL);
}

static void list_shelves(fh_work *w)
{
    fh_reply(w, 200, fh_page_docs(w, "shelf", fh_object(w, "kind", "x")));
}

struct inserted {
    struct fixture *fixture;
    const char *id;
};

static const char *inserted_id;

static void insert_named(fh_work *w)
{
    fh_doc_insert(w, "shelf", fh_object(w, "id", inserted_id, "kind", "x"));
}

static void run_insert(void *argument)
{
    struct inserted *inserted = argument;
    fh_work w;
    inserted_id = inserted->id;
    work_init(&w, &inserted->fixture->context, insert_named);
    assert_int_equal(work_run(&w), FH_OK);
    work_release(&w);
}

static void documents_are_in_pages_too(void **state)
{
    static const char *const ids[] = {"c", "a", "e", "b", "d"};
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        struct inserted inserted = {*state, ids[i]};
        harness_run(&inserted.fixture->harness, run_insert, &inserted);
    }
    struct asked first = ask(state, &shelves, list_shelves, "");
    assert_string_equal(first.reply,
                        "[{\"id\":\"a\",\"kind\":\"x\"},{\"id\":\"b\",\"kind\":\"x\"}]");
    struct asked second = ask(state, &shelves, list_shelves, next_query(&first));
    assert_string_equal(second.reply,
                        "[{\"id\":\"c\",\"kind\":\"x\"},{\"id\":\"d\",\"kind\":\"x\"}]");
    struct asked third = ask(state, &shelves, list_shelves, next_query(&second));
    assert_string_equal(third.reply, "[{\"id\":\"e\",\"kind\":\"x\"}]");
    assert_string_equal(third.link, "");
}

static void expect_refused(struct fh_route route, const char *why)
{
    struct fh_error error = {0};
    route.path = "/api/books";
    if (!route.method)
        route.method = "GET";
    assert_int_equal(page_check(&route, &error), why ? FH_INVALID : FH_OK);
    if (why && !strstr(error.message, why))
        fail_msg("\"%s\" has no \"%s\"", error.message, why);
}

static void a_page_that_can_not_be_kept_to_is_refused(void **state)
{
    (void)state;
    static const fh_field named[] = {{"limit", FH_INT}, {0}};
    static const fh_field rows[] = {{"id", FH_INT}, {"email", FH_STRING, .personal = true}, {0}};
    static const struct fh_answer answer = {200, .each = rows};
    expect_refused((struct fh_route){.query = named}, NULL);
    expect_refused((struct fh_route){.page = {"id"}, .answer = answer}, NULL);
    expect_refused((struct fh_route){.page = {"created_at, id", 20, 999, true}}, NULL);
    expect_refused((struct fh_route){.method = "POST", .page = {"id"}}, "which is for GET");
    expect_refused((struct fh_route){.page = {.limit = 10}}, "without `by`");
    expect_refused((struct fh_route){.page = {"id", .limit_max = 1000}}, "at most 999");
    expect_refused((struct fh_route){.page = {"id", .limit_max = 49}}, "no limit beyond limit_max");
    expect_refused((struct fh_route){.page = {"id", .limit = -1}}, "at most 999");
    expect_refused((struct fh_route){.page = {"id"}, .query = named}, "can't declare `limit`");
    expect_refused((struct fh_route){.page = {""}}, "expected 1 to 8 names");
    expect_refused((struct fh_route){.page = {"id; DROP"}}, "expected 1 to 8 names");
    expect_refused((struct fh_route){.page = {"id) --"}}, "expected 1 to 8 names");
    expect_refused((struct fh_route){.page = {"email"}, .answer = answer}, "which is marked");
    expect_refused((struct fh_route){.page = {"number"}, .answer = answer}, "does not have");
}

static void pages_need_a_route_that_has_them(void **state)
{
    static const struct fh_route without = {"GET", "/api/{shelf}/books", NULL,
                                            .query = query_shape};
    static const struct fh_route by_kind = {"GET", "/api/{shelf}/shelves", NULL, .page = {"kind"}};
    assert_ptr_equal(page_query_shape(NULL, &without), query_shape);
    struct asked asked = ask(state, &without, list_books, "");
    assert_int_equal(asked.status, 500);
    assert_non_null(strstr(asked.failure, "a GET route that declares .page"));
    asked = ask(state, &by_kind, list_shelves, "");
    assert_int_equal(asked.status, 500);
    assert_non_null(strstr(asked.failure, "in pages by \"id\", ascending"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pages_follow_each_other_to_the_end, set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(the_limit_is_the_clients_within_its_bounds, set_up,
                                        fixture_tear_down),
        cmocka_unit_test(documents_say_which_limit_holds_without_one),
        cmocka_unit_test_setup_teardown(several_columns_order_and_descend, set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_cursor_that_was_changed_is_refused, set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_cursor_is_of_one_list, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_column_that_is_null_or_not_selected_is_a_fault, set_up,
                                        fixture_tear_down),
        cmocka_unit_test_setup_teardown(documents_are_in_pages_too, set_up_documents,
                                        fixture_tear_down),
        cmocka_unit_test(a_page_that_can_not_be_kept_to_is_refused),
        cmocka_unit_test_setup_teardown(pages_need_a_route_that_has_them, set_up,
                                        fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
