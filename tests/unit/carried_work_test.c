/* SPDX-License-Identifier: Apache-2.0 */
/* What handlers derive for a server: an event of their unit of work that nobody subscribes to. */

#include "../support/run.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "store/engine.h"
#include "store/ledger.h"
#include "work/carried.h"

static const struct fh_derived_field book_fields[] = {
    {"title", FH_STRING, FH_TEXT}, {"year", FH_INT, FH_TAG | FH_SORTED}, {0}};
static const struct fh_derived_field note_fields[] = {{"text", FH_STRING, FH_TEXT}, {0}};
static const struct fh_derived_field lent_fields[] = {
    {"kind", FH_STRING, FH_TAG}, {"branch", FH_INT, FH_TAG}, {"new", FH_BOOL, FH_TAG},
    {"kg", FH_NUMBER},           {"days", FH_INT},           {0}};
static const fh_service service = {
    .name = "library",
    .model = FH_RELATIONAL,
    .derives = {{.name = "notes", .model = FH_SEARCH, .fields = note_fields},
                {.name = "books", .model = FH_SEARCH, .fields = book_fields},
                {.name = "measured", .model = FH_SERIES, .fields = lent_fields, .keep_days = 30},
                {.name = "lent", .model = FH_COLUMNS, .fields = lent_fields}}};

static int64_t told_position;
static int told_count;

static void be_told(struct work_context *context, int64_t position, int count)
{
    (void)context;
    told_position = position;
    told_count += count;
}

static int asked_count;

static enum fh_code answer(struct work_context *context, const struct fh_derived *declared,
                           const void *question, int64_t deadline_ns, json_t **ret,
                           struct fh_error *error)
{
    const struct fh_search *search = question;
    (void)context;
    (void)deadline_ns;
    asked_count++;
    if (declared->model != FH_SEARCH) {
        *ret = json_pack("{s:s}", "of", declared->name);
        return FH_OK;
    }
    if (search->limit == 7)
        return error_set(error, FH_UNAVAILABLE, "The server is away.");
    *ret = json_pack("{s:s, s:s}", "of", declared->name, "text", search->text ? search->text : "");
    return FH_OK;
}

static const struct work_carried carried = {
    .declared = 1u << 1 | 1u << 2 | 1u << 3, .committed = be_told, .ask = answer};

static int set_up(void **state)
{
    fixture_set_up(state, &service, "CREATE TABLE book (id TEXT PRIMARY KEY)");
    struct fixture *fixture = *state;
    fixture->context.carried = &carried;
    told_position = told_count = asked_count = 0;
    return 0;
}

/* ---- The outbox ---- */

struct outbox {
    struct fixture *fixture;
    int count;
    char data[4][1024], type[64];
    int ops;
    size_t length_max;
};

static bool take_event(void *context, const struct ledger_event *event)
{
    struct outbox *outbox = context;
    if (outbox->count < 4)
        snprintf(outbox->data[outbox->count], sizeof outbox->data[0], "%s", event->data);
    if (strlen(event->data) > outbox->length_max)
        outbox->length_max = strlen(event->data);
    snprintf(outbox->type, sizeof outbox->type, "%s", event->type);
    for (const char *at = event->data; (at = strstr(at, "{\"name\":")); at++)
        outbox->ops++;
    outbox->count++;
    return true;
}

static void read_outbox(void *argument)
{
    struct outbox *outbox = argument;
    struct store_work *work;
    struct fh_error error;
    FH_ASSERT(store_begin(outbox->fixture->context.store, STORE_READ, &work, &error) == FH_OK);
    FH_ASSERT(ledger_outbox_read(work, 0, 100, take_event, outbox, &error) == FH_OK);
    store_rollback(work);
}

static struct outbox outbox_of(void **state)
{
    struct outbox outbox = {.fixture = *state};
    harness_run(&outbox.fixture->harness, read_outbox, &outbox);
    return outbox;
}

/* ---- Deriving ---- */

static json_t *book(const char *title, int year)
{
    return json_pack("{s:s, s:i, s:s}", "title", title, "year", year, "shelf", "not declared");
}

static void derive_some(fh_work *w)
{
    json_t *value = book("The Dispossessed", 1974);
    fh_exec(w, "INSERT INTO book VALUES ('b1')", NULL);
    fh_derive(w, "books", "b1", value);
    json_object_set_new(value, "title", json_string("changed afterwards"));
    fh_derive(w, "books", "b\"2", book("The Lathe", 1971));
    fh_derive_gone(w, "books", "b\"2");
    fh_derive_gone(w, "books", "b3");
    fh_derive(w, "books", "b3", book("The Telling", 2000));
    fh_derive(w, "notes", "n1", json_pack("{s:s}", "text", "inside"));
}

static void derive_and_fail(fh_work *w)
{
    derive_some(w);
    fh_fail(w, 409, "There is no room for it.");
}

static void count_notes(fh_work *w)
{
    json_t *found = fh_search(w, "notes", &(struct fh_search){.text = "inside"});
    fh_reply(w, 200, json_object_get(found, "total"));
}

static void what_is_derived_for_a_server_is_one_event_of_the_unit_of_work(void **state)
{
    assert_int_equal(run_one(state, derive_and_fail, false).status, 409);
    assert_int_equal(outbox_of(state).count, 0);
    assert_int_equal(told_count, 0);
    assert_int_equal(run_one(state, derive_some, false).status, 204);
    struct outbox outbox = outbox_of(state);
    assert_int_equal(outbox.count, 1);
    assert_string_equal(outbox.type, CARRIED_TYPE);
    assert_string_equal(
        outbox.data[0],
        "{\"ops\":[{\"name\":\"books\",\"key\":\"b1\",\"value\":{\"title\":\"The Dispossessed\","
        "\"year\":1974}},{\"name\":\"books\",\"key\":\"b\\\"2\"},{\"name\":\"books\",\"key\":"
        "\"b3\",\"value\":{\"title\":\"The Telling\",\"year\":2000}}]}");
    assert_int_equal(told_count, 1);
    assert_int_equal(told_position, 1);
    assert_string_equal(run_one(state, count_notes, true).reply, "1");
}

static void derive_inside_alone(fh_work *w)
{
    fh_derive(w, "notes", "n1", json_pack("{s:s}", "text", "inside"));
}

static void what_is_derived_inside_is_no_event(void **state)
{
    assert_int_equal(run_one(state, derive_inside_alone, false).status, 204);
    assert_int_equal(outbox_of(state).count, 0);
}

static void derive_much(fh_work *w)
{
    static char text[200001];
    memset(text, 'a', sizeof text - 1);
    for (int i = 0; i < 8; i++)
        fh_derive(w, "books", fh_format(w, "b%d", i), book(text, i));
}

static void one_event_holds_a_bounded_part_of_it(void **state)
{
    assert_int_equal(run_one(state, derive_much, false).status, 204);
    struct outbox outbox = outbox_of(state);
    assert_int_equal(outbox.count, 2);
    assert_true(outbox.length_max <= CARRIED_DATA_SIZE_MAX + 16);
    assert_int_equal(told_count, 2);
    assert_int_equal(told_position, 2);
}

static void derive_by_bytes(fh_work *w)
{
    fh_derive_gone(w, "books", "caf\xe9");
}

static void derive_without_year(fh_work *w)
{
    fh_derive(w, "books", "b1", json_pack("{s:s}", "title", "The Telling"));
}

static void derive_under_nothing(fh_work *w)
{
    fh_derive_gone(w, "books", "");
}

static void derive_in_a_replay(fh_work *w)
{
    w->replayed = true;
    derive_some(w);
}

static void what_is_unfit_ends_the_handler(void **state)
{
    struct run run = run_one(state, derive_by_bytes, false);
    assert_int_equal(run.status, 500);
    assert_non_null(strstr(run.failure, "no UTF-8"));
    run = run_one(state, derive_without_year, false);
    assert_int_equal(run.status, 500);
    assert_non_null(strstr(run.failure, "lacks its field year"));
    assert_int_equal(run_one(state, derive_under_nothing, false).status, 422);
    assert_int_equal(run_one(state, derive_some, true).status, 500);
    assert_int_equal(outbox_of(state).count, 0);
}

static void an_event_that_is_applied_again_derives_again(void **state)
{
    assert_int_equal(run_one(state, derive_in_a_replay, false).status, 204);
    assert_int_equal(outbox_of(state).count, 1);
}

/* ---- Asking ---- */

static void ask(fh_work *w)
{
    fh_reply(w, 200, fh_search(w, "books", &(struct fh_search){.text = "lathe"}));
}

static void ask_one_that_is_away(fh_work *w)
{
    fh_reply(w, 200, fh_search(w, "books", &(struct fh_search){.limit = 7}));
}

static void ask_late(fh_work *w)
{
    fh_exec(w, "DELETE FROM book", NULL);
    ask(w);
}

static void a_server_is_asked_before_the_store_is_used_and_in_gets(void **state)
{
    assert_string_equal(run_one(state, ask, true).reply, "{\"of\":\"books\",\"text\":\"lathe\"}");
    assert_string_equal(run_one(state, ask, false).reply, "{\"of\":\"books\",\"text\":\"lathe\"}");
    assert_int_equal(run_one(state, ask_one_that_is_away, true).status, 503);
    struct run run = run_one(state, ask_late, false);
    assert_int_equal(run.status, 500);
    assert_non_null(strstr(run.failure, "fh_search was called after the store was used"));
}

/* ---- Points and facts ---- */

static json_t *lent(const char *kind, json_t *days)
{
    return json_pack("{s:s, s:s, s:b, s:i, s:o, s:s}", "kind", kind, "branch", "9007199254740993",
                     "new", 1, "kg", 3, "days", days, "shelf", "not declared");
}

static void lend_some(fh_work *w)
{
    int64_t now_ms = fh_now_ms(w);
    fh_fact(w, "lent", 1000, lent("a\"b", json_integer(7)));
    fh_fact(w, "lent", 1000, lent("novel", json_null()));
    fh_fact(w, "measured", now_ms, lent("novel", json_integer(1)));
    fh_fact(w, "measured", now_ms, lent("novel", json_integer(2)));
    fh_fact(w, "measured", now_ms - 31 * INT64_C(86400000), lent("old", json_integer(3)));
}

/* Integers are integers, reals are reals, however they were given; and each point is there once. */
static void points_and_facts_are_ops_of_their_unit_of_work(void **state)
{
    static const char facts[] =
        "{\"ops\":[{\"name\":\"lent\",\"key\":\"1@1000\",\"at_ms\":1000,\"value\":{\"kind\":"
        "\"a\\\"b\",\"branch\":9007199254740993,\"new\":true,\"kg\":3.0,\"days\":7}},"
        "{\"name\":\"lent\",\"key\":\"2@1000\",\"at_ms\":1000,\"value\":{\"kind\":\"novel\","
        "\"branch\":9007199254740993,\"new\":true,\"kg\":3.0,\"days\":null}},"
        "{\"name\":\"measured\",\"key\":\"1@";
    assert_int_equal(run_one(state, lend_some, false).status, 204);
    struct outbox outbox = outbox_of(state);
    assert_int_equal(outbox.count, 1);
    assert_memory_equal(outbox.data[0], facts, sizeof facts - 1);
    const char *rest = outbox.data[0] + sizeof facts - 1;
    assert_null(strstr(rest, "\"days\":1"));
    assert_non_null(strstr(rest, "\"days\":2}}]}"));
    assert_null(strstr(rest, "old"));
    assert_int_equal(told_count, 1);
}

static void lend_a_thousand(fh_work *w)
{
    for (int i = 0; i < 1000; i++) {
        fh_fact(w, i % 2 ? "lent" : "measured", fh_now_ms(w) + i,
                lent(fh_format(w, "k%d", i), json_integer(i)));
        fh_derive(w, "books", fh_format(w, "b%d", i / 2), book("The Lathe", i)); /* each twice */
    }
}

/* An op is found by its hash: each has one place, and no other's. */
static void a_unit_of_work_has_more_than_a_thousand_ops(void **state)
{
    struct run run = run_one(state, lend_a_thousand, false);
    assert_int_equal(run.status, 204);
    struct outbox outbox = outbox_of(state);
    assert_int_equal(outbox.count, 1);
    assert_int_equal(outbox.ops, 1500);
}

static void ask_series(fh_work *w)
{
    fh_reply(w, 200, fh_series(w, "measured", &(struct fh_series){0}));
}

static void ask_columns(fh_work *w)
{
    static const char *const count[] = {"count", NULL};
    fh_reply(w, 200, fh_columns(w, "lent", &(struct fh_columns){.values = count}));
}

static void ask_of_no_field(fh_work *w)
{
    static const char *const values[] = {"mean weight", NULL};
    fh_reply(w, 200, fh_columns(w, "lent", &(struct fh_columns){.values = values}));
}

static void ask_of_no_time(fh_work *w)
{
    fh_reply(w, 200,
             fh_series(w, "measured", &(struct fh_series){.from_ms = INT64_MAX, .every_ms = 1}));
}

/* What is wrong with a question is known before a server is asked. */
static void a_wrong_question_is_asked_of_no_server(void **state)
{
    assert_string_equal(run_one(state, ask_series, true).reply, "{\"of\":\"measured\"}");
    assert_string_equal(run_one(state, ask_columns, false).reply, "{\"of\":\"lent\"}");
    assert_int_equal(asked_count, 2);
    struct run run = run_one(state, ask_of_no_field, true);
    assert_int_equal(run.status, 500);
    assert_non_null(strstr(run.failure, "weight"));
    run = run_one(state, ask_of_no_time, true);
    assert_int_equal(run.status, 422);
    assert_non_null(strstr(run.reply, "from_ms"));
    assert_int_equal(asked_count, 2);
}

/* ---- What is personal ---- */

static void derive_what_is_personal(fh_work *w)
{
    static const fh_field shape[] = {{"title", FH_STRING, .personal = true}, {0}};
    w->given.shape = shape;
    w->given.value = json_pack("{s:s}", "title", "Letters to Ann");
    fh_derive(w, "books", "b1", json_pack("{s:s, s:i}", "title", "Some letters", "year", 1974));
    fh_derive(w, "books", "b2", json_pack("{s:s, s:i}", "title", "Letters to Ann", "year", 1974));
}

/* Of the whole unit of work there is nothing on the way to a server. */
static void what_is_personal_is_not_carried_where_nothing_says_so(void **state)
{
    struct run run = run_one(state, derive_what_is_personal, false);
    assert_int_equal(run.status, 500);
    assert_non_null(strstr(run.failure, "fh_derive of books: its field title has a personal"));
    assert_int_equal(outbox_of(state).count, 0);
}

int main(void)
{
#define CARRIED_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fixture_tear_down)
    static const struct CMUnitTest tests[] = {
        CARRIED_TEST(what_is_derived_for_a_server_is_one_event_of_the_unit_of_work),
        CARRIED_TEST(what_is_derived_inside_is_no_event),
        CARRIED_TEST(one_event_holds_a_bounded_part_of_it),
        CARRIED_TEST(what_is_unfit_ends_the_handler),
        CARRIED_TEST(an_event_that_is_applied_again_derives_again),
        CARRIED_TEST(a_server_is_asked_before_the_store_is_used_and_in_gets),
        CARRIED_TEST(points_and_facts_are_ops_of_their_unit_of_work),
        CARRIED_TEST(a_unit_of_work_has_more_than_a_thousand_ops),
        CARRIED_TEST(a_wrong_question_is_asked_of_no_server),
        CARRIED_TEST(what_is_personal_is_not_carried_where_nothing_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
