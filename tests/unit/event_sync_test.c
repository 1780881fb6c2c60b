/* SPDX-License-Identifier: Apache-2.0 */
/* Syncs: whatever a copy has lost or was given beside its events, it gets back what its publisher
 * has, and nothing else is touched. */

#include <time.h>
#include <unistd.h>

#include "../support/mirror.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "event/digest.h"
#include "event/sync/sync.h"

#define HELD_SLOWLY_MS 20

static bool backwards, keys_only, shouts, too_wide, slow;
static int64_t asked_ns[8]; /* when each page's rows were asked for */
static size_t asked;

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void copies_held(fh_work *w)
{
    if (asked < sizeof asked_ns / sizeof *asked_ns)
        asked_ns[asked++] = now_ns();
    if (slow)
        usleep(HELD_SLOWLY_MS * 1000);
    const char *sql =
        "SELECT id, name, changes FROM copy WHERE id > :after ORDER BY id LIMIT :limit";
    if (backwards)
        sql = "SELECT id, name, changes FROM copy WHERE id > :after ORDER BY id DESC LIMIT :limit";
    if (too_wide)
        sql = "SELECT id, name, 7 AS price FROM copy WHERE id > :after ORDER BY id LIMIT :limit";
    if (keys_only)
        sql = "SELECT id FROM copy WHERE id > :after ORDER BY id LIMIT :limit";
    fh_reply(w, 200, fh_rows(w, sql, fh_query(w), NULL));
}

static void item_is_perhaps_loud(fh_work *w)
{
    if (shouts)
        fh_exec(w,
                "INSERT INTO copy (id, name, changes) VALUES (:id, upper(:name), :changes)"
                " ON CONFLICT (id) DO UPDATE SET name = excluded.name, changes = excluded.changes",
                fh_event_data(w), NULL);
    else
        item_is(w);
}

static const fh_service syncing = {
    .name = "search",
    .model = FH_RELATIONAL,
    .subscribes = {{"products", "ItemChanged", item_changed, .upsert = item_is_perhaps_loud,
                    .gone = item_gone, .held = copies_held, .sync_s = 86400,
                    .fields = "id,name,changes"},
                   {"products", "ItemRemoved", item_removed, .covered_by = "ItemChanged"}},
};

static int prepare(void **state)
{
    searching = &syncing;
    backwards = keys_only = shouts = too_wide = slow = false;
    asked = 0;
    return setup(state);
}

/* ---- what the tests do ---- */

static struct subscription *subscription_of_search(struct fixture *fixture)
{
    return (struct subscription *)(uintptr_t)subscription_next(fixture->search.context.events,
                                                               NULL);
}

static bool sync_is_over(void *argument)
{
    const struct sync *sync = subscription_of_search(argument)->sync;
    return sync->type < 0 && sync->periods[0] != -1;
}

static void begin_sync(struct fixture *fixture)
{
    struct subscription *s = subscription_of_search(fixture);
    s->sync->periods[0] = -1; /* as if a day had passed */
    s->sync->all = (struct sync_counts){0};
    fiber_wake_all(&s->for_batches);
}

static struct sync_counts sync_now(struct fixture *fixture)
{
    begin_sync(fixture);
    harness_until(&fixture->harness, sync_is_over, fixture);
    return subscription_of_search(fixture)->sync->all;
}

static void follow(struct fixture *fixture, int items)
{
    change(fixture, 1, items, "first");
    open_search(fixture);
    expect_same(fixture);
}

static void spoil(fh_work *w)
{
    fh_exec(w, "UPDATE copy SET name = 'spoilt' WHERE id = 5", NULL);
    fh_exec(w, "DELETE FROM copy WHERE id = 6", NULL);
    fh_exec(w, "INSERT INTO copy (id, name, changes) VALUES (9000, 'nobody''s', 1)", NULL);
}

static const char *reason_of(struct fixture *fixture)
{
    return subscription_of_search(fixture)->sync->reason;
}

/* ---- syncs ---- */

static void a_copy_that_is_right_is_left_alone(void **state)
{
    struct fixture *fixture = *state;
    follow(fixture, 2500);
    fixture->pages = 0;
    struct sync_counts found = sync_now(fixture);
    assert_int_equal(found.checked, 2500);
    assert_int_equal(found.differed + found.unmended, 0);
    assert_int_equal(fixture->pages, 4); /* of what kind keys are, and three of digests */
    assert_int_equal(fixture->same, 3);
    assert_true(subscription_of_search(fixture)->sync->finished_ms > 0);
    close_search(fixture);
}

/* As one of an earlier version. */
static void a_publisher_that_can_not_say_whether_a_page_is_the_same_tells_it(void **state)
{
    struct fixture *fixture = *state;
    fixture->same_unknown = true;
    follow(fixture, 1200);
    service_must(&fixture->search, spoil);
    struct sync_counts found = sync_now(fixture);
    assert_int_equal(found.checked, 1200);
    assert_int_equal(found.differed, 3);
    assert_int_equal(fixture->same, 0);
    expect_same(fixture);
    close_search(fixture);
}

static void what_differs_is_mended_and_counted(void **state)
{
    struct fixture *fixture = *state;
    follow(fixture, 2500);
    service_must(&fixture->search, spoil);
    fixture->same = 0;
    struct sync_counts found = sync_now(fixture);
    assert_int_equal(fixture->same, 1); /* the second page; the first and the last differ */
    assert_int_equal(found.differed, 3);
    assert_int_equal(found.unmended, 0);
    expect_same(fixture);
    found = sync_now(fixture);
    assert_int_equal(found.differed, 0);
    change(fixture, 1, 20, "and on");
    expect_same(fixture);
    close_search(fixture);
}

static void lose_all(fh_work *w)
{
    fh_exec(w, "DELETE FROM copy", NULL);
}

static void a_copy_that_lost_all_gets_all(void **state)
{
    struct fixture *fixture = *state;
    follow(fixture, 2000);
    service_must(&fixture->search, lose_all);
    struct sync_counts found = sync_now(fixture);
    assert_int_equal(found.differed, 2000);
    expect_same(fixture);
    close_search(fixture);
}

static void remove_all_of_them(fh_work *w)
{
    fh_exec(w, "DELETE FROM item", NULL);
}

/* The publisher's own events never said so. */
static void a_copy_of_what_is_gone_is_given_up(void **state)
{
    struct fixture *fixture = *state;
    follow(fixture, 1200);
    service_must(&fixture->products, remove_all_of_them);
    struct sync_counts found = sync_now(fixture);
    assert_int_equal(found.differed, 1200);
    expect_same(fixture);
    close_search(fixture);
}

static void keys_alone_are_compared(void **state)
{
    struct fixture *fixture = *state;
    keys_only = true;
    follow(fixture, 100);
    service_must(&fixture->search, spoil);
    struct sync_counts found = sync_now(fixture);
    assert_int_equal(found.differed, 2); /* it can't see that a name is wrong */
    assert_int_equal(service_count(&fixture->search, "SELECT count(*) FROM copy"), 100);
    close_search(fixture);
}

static const fh_service often = {
    .name = "search",
    .model = FH_RELATIONAL,
    .subscribes = {{"products", "ItemChanged", item_changed, .upsert = item_is, .gone = item_gone,
                    .held = copies_held, .sync_s = 1},
                   {"products", "ItemRemoved", item_removed, .covered_by = "ItemChanged"}},
};

static bool three_were_mended(void *argument)
{
    const struct sync *sync = subscription_of_search(argument)->sync;
    return sync->type < 0 && sync->all.differed == 3;
}

/* Nobody begins it here. */
static void a_sync_begins_by_the_clock(void **state)
{
    struct fixture *fixture = *state;
    searching = &often;
    follow(fixture, 50);
    service_must(&fixture->search, spoil);
    harness_until(&fixture->harness, three_were_mended, fixture);
    expect_same(fixture);
    close_search(fixture);
}

static void it_rests_for_longer_than_a_page_takes(void **state)
{
    struct fixture *fixture = *state;
    follow(fixture, 2500);
    asked = 0;
    slow = true;
    assert_int_equal(sync_now(fixture).checked, 2500);
    assert_true(asked >= 3);
    for (size_t i = 1; i < asked; i++)
        assert_true(asked_ns[i] - asked_ns[i - 1] >= 6 * HELD_SLOWLY_MS * INT64_C(1000000));
    close_search(fixture);
}

static void it_goes_at_half_its_pace_while_events_come(void **state)
{
    struct fixture *fixture = *state;
    follow(fixture, 2500);
    sync_now(fixture);
    change(fixture, 1, 1, "more");
    expect_same(fixture);
    asked = 0;
    sync_now(fixture);
    assert_true(asked >= 2);
    assert_true(asked_ns[1] - asked_ns[0] >= INT64_C(960) * 1000000000 / 54000 * 3 / 2);
    close_search(fixture);
}

static void syncs_that_can_not_be_are_not_started(void **state)
{
    static const int wrong[] = {-1, 366 * 24 * 60 * 60 + 1, INT32_MAX};
    struct fixture *fixture = *state;
    for (size_t i = 0; i <= sizeof wrong / sizeof *wrong; i++) {
        bool listed = i < sizeof wrong / sizeof *wrong;
        fh_service declared = syncing;
        declared.subscribes[0].sync_s = listed ? wrong[i] : 60;
        if (!listed)
            declared.subscribes[0].held = declared.subscribes[0].gone = NULL;
        struct service service;
        service_open(&service, &fixture->harness, &fixture->world.world, &declared);
        service.context.events = event_manager_new(&service.context);
        harness_run(&fixture->harness, start_manager, &service);
        assert_int_equal(service.code, FH_INVALID);
        assert_non_null(strstr(service.error.message, "`sync_s`"));
        event_manager_drain(service.context.events);
        event_manager_free(service.context.events);
        service_close(&service);
    }
}

/* ---- what is on its way ---- */

static void change_and_remove(struct fixture *fixture)
{
    changing(3, 1, "on its way");
    now(fixture, change_some);
    changing(4, 1, NULL);
    now(fixture, remove_some);
    changing(60, 1, "new");
    now(fixture, change_some);
}

static void what_is_on_its_way_is_left_to_its_events(void **state)
{
    struct fixture *fixture = *state;
    for (int at = 1; at <= 2; at++) {
        change(fixture, 1, 50, "first");
        open_search(fixture);
        expect_same(fixture);
        fixture->pages = 0;
        fixture->hook_at = at;
        fixture->hook = change_and_remove;
        struct sync_counts found = sync_now(fixture);
        assert_int_equal(found.differed + found.unmended, 0);
        fixture->hook_at = 0;
        expect_same(fixture); /* each change once */
        close_search(fixture);
        remove_items(fixture, 60, 1);
    }
}

/* Between the digests and the rows, and after them. */
static void what_changes_while_it_is_mended_is_left_to_its_events(void **state)
{
    struct fixture *fixture = *state;
    for (int at = 3; at <= 4; at++) {
        change(fixture, 1, 50, "first");
        change(fixture, 9000, 1, "passing");
        remove_items(fixture, 9000, 1);
        open_search(fixture);
        expect_same(fixture);
        service_must(&fixture->search, spoil);
        fixture->pages = 0;
        fixture->hook_at = at;
        changing(5, 2, "again");
        fixture->hook = change_and_remove;
        sync_now(fixture);
        fixture->hook_at = 0;
        expect_same(fixture);
        close_search(fixture);
        remove_items(fixture, 60, 1);
    }
}

static void make_and_remove(struct fixture *fixture)
{
    changing(9000, 1, "somebody's");
    now(fixture, change_some);
    changing(9000, 1, NULL);
    now(fixture, remove_some);
}

/* Its events come while the key is doubted: nothing is left to give up. */
static void a_key_of_which_is_heard_meanwhile_is_not_given_up(void **state)
{
    struct fixture *fixture = *state;
    follow(fixture, 50);
    service_must(&fixture->search, spoil);
    fixture->pages = 0;
    fixture->hook_at = 2; /* before the digests are made */
    fixture->hook = make_and_remove;
    struct sync_counts found = sync_now(fixture);
    assert_int_equal(found.differed, 2); /* not the one beside them */
    fixture->hook_at = 0;
    expect_same(fixture);
    close_search(fixture);
}

static void a_parked_key_is_left_to_its_events(void **state)
{
    struct fixture *fixture = *state;
    follow(fixture, 50);
    too_much = "too much";
    change(fixture, 1, 1, "too much");
    harness_until(&fixture->harness, one_is_parked, fixture);
    too_much = NULL;
    struct sync_counts found = sync_now(fixture);
    assert_int_equal(found.differed + found.unmended, 0);
    assert_int_equal(view_of(fixture).parked_events, 1);
    harness_run(&fixture->harness, retry_entry, fixture);
    assert_int_equal(fixture->search.code, FH_OK);
    expect_same(fixture);
    close_search(fixture);
}

/* ---- what can't be ---- */

static void what_upsert_makes_otherwise_is_told_once_and_not_as_mended(void **state)
{
    struct fixture *fixture = *state;
    follow(fixture, 50);
    service_must(&fixture->search, spoil);
    shouts = true;
    struct sync_counts found = sync_now(fixture);
    assert_int_equal(found.differed, 1); /* the one that is gone */
    assert_int_equal(found.unmended, 2);
    shouts = false;
    found = sync_now(fixture);
    assert_int_equal(found.differed, 2);
    expect_same(fixture);
    close_search(fixture);
}

static void one_that_can_not_be_applied_holds_up_no_other(void **state)
{
    struct fixture *fixture = *state;
    change(fixture, 5, 1, "too much");
    open_search(fixture);
    change(fixture, 1, 4, "first");
    change(fixture, 6, 5, "first");
    expect_same(fixture);
    service_must(&fixture->search, spoil);
    too_much = "too much";
    struct sync_counts found = sync_now(fixture);
    assert_int_equal(found.differed, 2);
    assert_int_equal(found.unmended, 1);
    wait_for(fixture, "following", LAST);
    too_much = NULL;
    found = sync_now(fixture);
    assert_int_equal(found.differed, 1);
    expect_same(fixture);
    close_search(fixture);
}

static void a_list_in_another_order_is_refused_and_the_events_go_on(void **state)
{
    struct fixture *fixture = *state;
    follow(fixture, 50);
    service_must(&fixture->search, spoil);
    backwards = true;
    struct sync_counts found = sync_now(fixture);
    assert_int_equal(found.checked + found.differed + found.unmended, 0);
    assert_non_null(strstr(reason_of(fixture), "it must be in the order of keys"));
    change(fixture, 1, 20, "and on");
    wait_for(fixture, "following", LAST);
    backwards = false;
    found = sync_now(fixture);
    assert_int_equal(found.differed,
                     2); /* the change has mended the fifth's name, and made the sixth */
    assert_string_equal(reason_of(fixture), "");
    close_search(fixture);
}

static void what_is_not_subscribed_to_can_not_be_compared(void **state)
{
    struct fixture *fixture = *state;
    follow(fixture, 50);
    too_wide = true;
    sync_now(fixture);
    assert_non_null(strstr(reason_of(fixture), "lists price, which is not among the `fields`"));
    close_search(fixture);
}

/* It would be asked for the same page for ever. */
static void a_page_that_ends_where_it_began_is_refused(void **state)
{
    struct fixture *fixture = *state;
    follow(fixture, 50);
    fixture->instead = "{\"key\": \"integer\", \"after\": \"-9007199254740992\", \"rows\": []}";
    sync_now(fixture); /* the first page has no place where it began */
    assert_non_null(strstr(reason_of(fixture), "products ends a page of its state at"));
    fixture->instead = NULL;
    close_search(fixture);
}

static bool sync_waits(void *argument)
{
    return subscription_of_search(argument)->sync->failures > 0;
}

static void a_publisher_that_is_away_is_compared_with_later(void **state)
{
    struct fixture *fixture = *state;
    follow(fixture, 50);
    service_must(&fixture->search, spoil);
    fixture->down = true;
    begin_sync(fixture);
    harness_until(&fixture->harness, sync_waits, fixture);
    fixture->down = false;
    harness_until(&fixture->harness, sync_is_over, fixture);
    assert_int_equal(subscription_of_search(fixture)->sync->all.differed, 3);
    expect_same(fixture);
    close_search(fixture);
}

/* The copy is not mended to a history that is not its own: the resync that follows does that. */
static void a_publisher_of_another_history_is_left_to_the_resync(void **state)
{
    struct fixture *fixture = *state;
    follow(fixture, 50);
    fixture->pages = 0;
    fixture->hook_at = 2;
    fixture->hook = live_another_life;
    struct sync_counts found = sync_now(fixture);
    assert_int_equal(found.differed, 0);
    fixture->hook_at = 0;
    change(fixture, 1, 1, "and on");
    expect_same(fixture);
    close_search(fixture);
}

/* Another instance has taken the partition over while the rows were on their way. */
static void take_over(fh_work *w)
{
    fh_exec(w, "UPDATE fh_cursor SET epoch = epoch + 1", NULL);
}

static void lose_the_partition(struct fixture *fixture)
{
    fh_work w;
    work_init(&w, &fixture->search.context, take_over);
    FH_ASSERT(work_run(&w) == FH_OK);
    work_release(&w);
}

static void an_instance_that_lost_its_partition_mends_nothing(void **state)
{
    struct fixture *fixture = *state;
    follow(fixture, 50);
    service_must(&fixture->search, spoil);
    fixture->pages = 0;
    fixture->hook_at = 3;
    fixture->hook = lose_the_partition;
    struct sync_counts found = sync_now(fixture);
    assert_int_equal(found.differed + found.unmended, 0);
    assert_int_equal(
        service_count(&fixture->search, "SELECT count(*) FROM copy WHERE name = 'spoilt'"), 1);
    fixture->hook_at = 0;
    close_search(fixture);
}

/* ---- what is asked ---- */

struct question {
    struct fixture *fixture;
    const char *query;
    int status;
};

static void question_entry(void *argument)
{
    struct question *question = argument;
    struct feed_answer answer;
    json_t *query;
    FH_ASSERT(path_query(question->query, &query, ERROR_UNHEEDED) == FH_OK);
    snapshot_answer(question->fixture->products.context.events, query, NULL, &answer);
    question->status = answer.status;
    json_decref(query);
    feed_answer_release(&answer);
}

static void what_is_wrongly_asked_is_refused(void **state)
{
    static const struct {
        const char *query;
        int status;
    } cases[] = {
        {"type=ItemChanged&fields=id,name&digests=name", 200},
        {"type=ItemChanged&fields=id&digests=name",
         400}, /* it would tell whether a guess is right */
        {"type=ItemChanged&fields=id&digests=id,", 400},
        {"type=ItemChanged&fields=id,name&digests=name&same=0123456789abcdef0123456789abcdef", 200},
        {"type=ItemChanged&fields=id,name&digests=name&same=0123456789abcdef", 400},
    };
    struct fixture *fixture = *state;
    change(fixture, 1, 3, "first");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct question question = {fixture, cases[i].query, 0};
        harness_run(&fixture->harness, question_entry, &question);
        assert_int_equal(question.status, cases[i].status);
    }
}

/* Only of a page that its reader has the rows are not looked at: none of them is sent. */
static void a_wrong_row_is_found_where_a_page_differs(void **state)
{
    struct fixture *fixture = *state;
    struct question question = {
        fixture,
        "type=ItemChanged&fields=id,name&digests=name&same=0123456789abcdef0123456789abcdef", 0};
    change(fixture, 1, 3, "first");
    service_sql(&fixture->products, "UPDATE item SET changes = 'many' WHERE id = 1");
    harness_run(&fixture->harness, question_entry, &question);
    assert_int_equal(question.status, 500);
}

/* ---- digests ---- */

static bool is_same(const char *one, const char *other)
{
    char a[DIGEST_SIZE], b[DIGEST_SIZE];
    json_t *names = json_pack("[s, s]", "a", "b");
    json_t *here = json_loads(one, JSON_ALLOW_NUL, NULL),
           *there = json_loads(other, JSON_ALLOW_NUL, NULL);
    assert_non_null(here);
    assert_non_null(there);
    digest_of(here, names, a);
    digest_of(there, names, b);
    json_decref(names);
    json_decref(here);
    json_decref(there);
    return strcmp(a, b) == 0;
}

/* The protocol's: of 's', the length in eight bytes, the lowest first, and the text. */
static void digests_are_the_same_however_long_what_is_hashed_is(void **state)
{
    char text[1600], wanted[DIGEST_SIZE], got[DIGEST_SIZE];
    json_t *names = json_pack("[s, s]", "a", "b");
    (void)state;
    for (size_t length = 0; length < 700; length += length < 440 ? 55 : 1) {
        char bytes[2 * sizeof text] = {0};
        size_t size = 0;
        memset(text, 'x', length);
        text[length] = '\0';
        for (int i = 0; i < 2; i++) {
            bytes[size] = 's';
            bytes[size + 1] = (char)length;
            bytes[size + 2] = (char)(length >> 8);
            memcpy(bytes + size + 9, text, length);
            size += 9 + length;
        }
        XXH128_hash_t hash = XXH3_128bits(bytes, size);
        snprintf(wanted, sizeof wanted, "%016llx%016llx", (unsigned long long)hash.high64,
                 (unsigned long long)hash.low64);
        json_t *data = json_pack("{s:s, s:s}", "a", text, "b", text);
        digest_of(data, names, got);
        assert_string_equal(got, wanted);
        json_decref(data);
    }
    json_decref(names);
}

static void digests_are_of_values_however_a_store_keeps_them(void **state)
{
    (void)state;
    assert_true(is_same("{\"a\": 1, \"b\": \"x\"}", "{\"b\": \"x\", \"c\": 3, \"a\": 1.0}"));
    assert_true(is_same("{\"a\": true, \"b\": null}", "{\"a\": 1}"));
    assert_true(is_same("{\"a\": {\"x\": 1, \"y\": null}}", "{\"a\": {\"x\": 1.0}}"));
    assert_true(is_same("{\"a\": {\"x\": 1, \"y\": 2}}", "{\"a\": {\"y\": 2, \"x\": 1}}"));
    assert_true(is_same("{\"a\": -0.0}", "{\"a\": 0}"));
    assert_false(is_same("{\"a\": 1}", "{\"a\": 2}"));
    assert_false(is_same("{\"a\": 1}", "{\"b\": 1}"));
    assert_false(is_same("{\"a\": 1}", "{\"a\": \"1\"}"));
    assert_false(is_same("{\"a\": \"xy\", \"b\": \"z\"}", "{\"a\": \"x\", \"b\": \"yz\"}"));
    /* As between two texts without lengths. */
#define BREAK "s\\u0000\\u0000\\u0000\\u0000\\u0000\\u0000\\u0000\\u0000"
    assert_false(is_same("{\"a\": \"x" BREAK "y\", \"b\": \"z\"}",
                         "{\"a\": \"x\", \"b\": \"y" BREAK "z\"}"));
    assert_false(is_same("{\"a\": 1.5}", "{\"a\": 1.25}"));
    assert_false(is_same("{\"a\": 9007199254740992}", "{\"a\": 9007199254740993}"));
    assert_false(is_same("{\"a\": [1, 2]}", "{\"a\": [2, 1]}"));
    assert_false(is_same("{\"a\": []}", "{\"a\": {}}"));
    assert_false(is_same("{\"a\": \"\"}", "{\"a\": null}"));
    assert_false(is_same("{\"a\": \"x\\u0000y\"}", "{\"a\": \"x\"}"));
}

static void page_digest(const char *const *keys_and_digests, const char *after,
                        char ret[static DIGEST_SIZE])
{
    struct digest_page *page = digest_page_begin();
    for (int i = 0; keys_and_digests[i]; i += 2)
        digest_page_add(page, keys_and_digests[i], keys_and_digests[i + 1]);
    digest_page_end(page, after, ret);
}

static void digests_of_pages_tell_apart_what_they_are_of(void **state)
{
    static const char one[] = "00000000000000000000000000000001";
    static const char two[] = "00000000000000000000000000000002";
    static const struct {
        const char *keys_and_digests[5], *after;
    } pages[] = {
        {{NULL}, NULL},
        {{NULL}, "b"},
        {{NULL}, "c"},
        {{"a", one}, NULL},
        {{"a", one}, "a"},
        {{"a", two}, NULL},
        {{"b", one}, NULL},
        {{"a", one, "b", one}, NULL},
        {{"b", one, "a", one}, NULL},
        {{"a", two, "b", one}, NULL},
        {{"a", one, "b", one}, "b"},
    };
    enum { COUNT = sizeof pages / sizeof *pages };
    char digests[COUNT][DIGEST_SIZE];
    (void)state;
    for (int i = 0; i < COUNT; i++) {
        page_digest(pages[i].keys_and_digests, pages[i].after, digests[i]);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(digests[i], digests[j]);
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, prepare, teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_copy_that_is_right_is_left_alone),
        CASE(a_publisher_that_can_not_say_whether_a_page_is_the_same_tells_it),
        CASE(what_differs_is_mended_and_counted),
        CASE(a_copy_that_lost_all_gets_all),
        CASE(a_copy_of_what_is_gone_is_given_up),
        CASE(keys_alone_are_compared),
        CASE(what_is_on_its_way_is_left_to_its_events),
        CASE(what_changes_while_it_is_mended_is_left_to_its_events),
        CASE(a_key_of_which_is_heard_meanwhile_is_not_given_up),
        CASE(a_parked_key_is_left_to_its_events),
        CASE(what_upsert_makes_otherwise_is_told_once_and_not_as_mended),
        CASE(one_that_can_not_be_applied_holds_up_no_other),
        CASE(a_list_in_another_order_is_refused_and_the_events_go_on),
        CASE(what_is_not_subscribed_to_can_not_be_compared),
        CASE(a_sync_begins_by_the_clock),
        CASE(it_rests_for_longer_than_a_page_takes),
        CASE(it_goes_at_half_its_pace_while_events_come),
        CASE(syncs_that_can_not_be_are_not_started),
        CASE(a_page_that_ends_where_it_began_is_refused),
        CASE(a_publisher_that_is_away_is_compared_with_later),
        CASE(a_publisher_of_another_history_is_left_to_the_resync),
        CASE(an_instance_that_lost_its_partition_mends_nothing),
        CASE(what_is_wrongly_asked_is_refused),
        CASE(a_wrong_row_is_found_where_a_page_differs),
        cmocka_unit_test(digests_are_the_same_however_long_what_is_hashed_is),
        cmocka_unit_test(digests_are_of_values_however_a_store_keeps_them),
        cmocka_unit_test(digests_of_pages_tell_apart_what_they_are_of),
    };
    return cmocka_run_group_tests_name("event_sync", tests, NULL, NULL);
}
