/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots: whatever happens to either side, a subscriber ends up with what its publisher has. */

#include "../support/mirror.h"

#include "event/resync/resync.h"

/* ---- resyncs ---- */

static void a_new_subscriber_of_a_trimmed_publisher_gets_its_state(void **state)
{
    struct fixture *fixture = *state;
    change(fixture, 1, 2500, "first");
    change(fixture, 100, 700, "second");
    remove_items(fixture, 2000, 50);
    trim(fixture);
    open_search(fixture);
    expect_same(fixture);
    assert_int_equal(fixture->pages, 4); /* the beginning, and three */
    change(fixture, 1, 20, "third");
    remove_items(fixture, 21, 5);
    expect_same(fixture);
    assert_int_equal(fixture->pages, 4);
    close_search(fixture);
    open_search(fixture);
    expect_same(fixture);
    assert_int_equal(fixture->pages, 4);
    close_search(fixture);
}

/* Rows that were there may be older now than it said before: subscribe/set_back.h. */
static void each_resync_is_counted_as_one_that_sets_back(void **state)
{
    static const char counted[] = "SELECT coalesce(sum(position), 0) FROM fh_cursor"
                                  " WHERE source = 'products~back'";
    struct fixture *fixture = *state;
    open_search(fixture);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(service_count(&fixture->search, counted), i);
        close_search(fixture);
        change(fixture, 1, 10 * (i + 1), "another");
        trim(fixture);
        open_search(fixture);
        expect_same(fixture);
        const struct subscription *s = subscription_next(fixture->search.context.events, NULL);
        assert_int_equal(s->set_back, i + 1);
        assert_int_equal(s->level.set_back, i + 1);
    }
    close_search(fixture);
}

static void an_empty_publisher_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    change(fixture, 1, 10, "first");
    open_search(fixture);
    expect_same(fixture);
    close_search(fixture);
    remove_items(fixture, 1, 10);
    trim(fixture);
    open_search(fixture);
    expect_same(fixture);
    assert_int_equal(service_count(&fixture->search, "SELECT count(*) FROM copy"), 0);
    close_search(fixture);
}

/* Schedule 11, its second part. */
static void an_expired_subscriber_gives_up_what_is_gone(void **state)
{
    struct fixture *fixture = *state;
    change(fixture, 1, 2000, "first");
    open_search(fixture);
    expect_same(fixture);
    close_search(fixture);
    remove_items(fixture, 1, 1990);
    change(fixture, 3000, 3, "second");
    trim(fixture);
    open_search(fixture);
    expect_same(fixture);
    assert_int_equal(service_count(&fixture->search, "SELECT count(*) FROM copy"), 13);
    close_search(fixture);
}

static void change_everywhere(struct fixture *fixture)
{
    changing(900, 200, "meanwhile"); /* of pages that were sent and of one that was not */
    now(fixture, change_some);
    now(fixture, change_some);
    changing(1, 30, NULL);
    now(fixture, remove_some);
    changing(2400, 30, NULL);
    now(fixture, remove_some);
    changing(5000, 10, "new");
    now(fixture, change_some);
    changing(20, 5, "again");
    now(fixture, change_some);
}

static void what_changes_between_pages_takes_effect_once(void **state)
{
    struct fixture *fixture = *state;
    change(fixture, 1, 2500, "first");
    trim(fixture);
    for (fixture->hook_at = 1; fixture->hook_at <= 4; fixture->hook_at++) {
        fixture->hook = change_everywhere;
        fixture->pages = 0;
        open_search(fixture);
        expect_same(fixture);
        close_search(fixture);
        trim(fixture);
        change(fixture, 1, 1, "and on");
        trim(fixture); /* it is expired again */
    }
}

/* What a resync has noted of keys is deleted when the cursor is past it. */
static bool nothing_is_noted(void *argument)
{
    struct fixture *fixture = argument;
    return subscription_next(fixture->search.context.events, NULL)->resync.phase == LEDGER_FEED;
}

static void what_a_resync_has_noted_is_deleted_after_it(void **state)
{
    struct fixture *fixture = *state;
    change(fixture, 1, 1200, "first");
    trim(fixture);
    fixture->hook_at = 2;
    fixture->hook = change_everywhere;
    open_search(fixture);
    expect_same(fixture);
    harness_until(&fixture->harness, nothing_is_noted, fixture);
    assert_int_equal(service_count(&fixture->search, "SELECT count(*) FROM fh_applied"), 0);
    close_search(fixture);
}

static void go_down(struct fixture *fixture)
{
    fixture->down = true;
}

static void a_round_goes_on_where_it_was_when_the_process_died(void **state)
{
    struct fixture *fixture = *state;
    change(fixture, 1, 2500, "first");
    trim(fixture);
    fixture->hook_at = 3; /* after the first page */
    fixture->hook = go_down;
    open_search(fixture);
    wait_for(fixture, "waiting", -1);
    assert_int_equal(service_count(&fixture->search, "SELECT count(*) FROM copy"), 960);
    close_search(fixture);
    fixture->down = false;
    fixture->pages = 10;
    open_search(fixture);
    expect_same(fixture);
    assert_int_equal(fixture->pages, 12);
    close_search(fixture);
}

static void a_row_that_can_not_be_processed_holds_up_the_resync_and_is_reported(void **state)
{
    struct fixture *fixture = *state;
    change(fixture, 1, 5, "first");
    change(fixture, 6, 1, "too much");
    trim(fixture);
    too_much = "too much";
    open_search(fixture);
    wait_for(fixture, "failing", -1);
    assert_non_null(strstr(view_of(fixture).reason, "for the key 6"));
    assert_int_equal(service_count(&fixture->search, "SELECT count(*) FROM copy"), 0);
    too_much = NULL;
    expect_same(fixture);
    close_search(fixture);
}

static void held_keys_that_come_again_hold_up_the_resync_and_are_reported(void **state)
{
    struct fixture *fixture = *state;
    change(fixture, 1, RESYNC_ROWS_MAX + 40, "first");
    trim(fixture);
    holds_from_the_start = true;
    open_search(fixture);
    wait_for(fixture, "failing", -1);
    assert_non_null(strstr(view_of(fixture).reason, "does not continue after `after`"));
    holds_from_the_start = false;
    expect_same(fixture);
    close_search(fixture);
}

/* ---- restores ---- */

static void copy_store(struct fixture *fixture, const char *from, const char *to)
{
    char command[512];
    snprintf(command, sizeof command, "rm -rf %s/%s && cp -r %s/%s %s/%s", fixture->harness.folder,
             to, fixture->harness.folder, from, fixture->harness.folder, to);
    assert_int_equal(system(command), 0);
}

static void save_products(struct fixture *fixture)
{
    close_products(fixture);
    copy_store(fixture, "products", "saved");
    open_products(fixture);
}

/* By hand: of the same incarnation. */
static void put_products_back(struct fixture *fixture)
{
    close_products(fixture);
    copy_store(fixture, "saved", "products");
    open_products(fixture);
}

/* Schedule 10, its first part. */
static void a_store_that_was_copied_back_by_hand_is_noticed(void **state)
{
    struct fixture *fixture = *state;
    change(fixture, 1, 10, "first");
    save_products(fixture);
    change(fixture, 5, 20, "of a life that is lost");
    open_search(fixture);
    expect_same(fixture);
    close_search(fixture);
    put_products_back(fixture);
    change(fixture, 8, 100, "second"); /* beyond where it was */
    open_search(fixture);
    expect_same(fixture);
    assert_true(fixture->pages > 0);
    close_search(fixture);
}

/* Schedule 10, its second part. */
static void a_trimmed_store_that_was_copied_back_by_hand_is_noticed(void **state)
{
    struct fixture *fixture = *state;
    change(fixture, 1, 10, "first");
    save_products(fixture);
    change(fixture, 11, 100, "of a life that is lost");
    open_search(fixture);
    expect_same(fixture);
    close_search(fixture);
    put_products_back(fixture);
    change(fixture, 11, 100, "second"); /* exactly where it was */
    trim(fixture);
    open_search(fixture);
    expect_same(fixture);
    close_search(fixture);
}

/* Schedule 10, its third part. */
static void a_store_that_goes_another_way_during_a_snapshot_is_noticed(void **state)
{
    struct fixture *fixture = *state;
    change(fixture, 1, 2500, "first");
    trim(fixture);
    change(fixture, 1, 1, "second");
    fixture->hook_at = 3;
    fixture->hook = live_another_life;
    open_search(fixture);
    expect_same(fixture);
    assert_int_equal(fixture->pages, 7); /* two and a refused one; four of the new resync */
    close_search(fixture);
}

static void lose_products(struct fixture *fixture)
{
    char command[256];
    close_products(fixture);
    snprintf(command, sizeof command, "rm -rf %s/products", fixture->harness.folder);
    assert_int_equal(system(command), 0);
    open_products(fixture);
}

/* Schedule 36. */
static void a_key_that_is_set_anew_at_the_same_position_is_taken_over(void **state)
{
    struct fixture *fixture = *state;
    change(fixture, 1, 1, "former life");
    open_search(fixture);
    expect_same(fixture);
    close_search(fixture);
    lose_products(fixture);
    change(fixture, 1, 1, "present life"); /* at position 1 as well */
    open_search(fixture);
    expect_same(fixture);
    change(fixture, 1, 1, "and on");
    expect_same(fixture);
    close_search(fixture);
}

/* Schedule 35. */
static void what_was_parked_is_gone_with_the_round(void **state)
{
    struct fixture *fixture = *state;
    too_much = "too much";
    change(fixture, 1, 1, "too much");
    open_search(fixture);
    harness_until(&fixture->harness, one_is_parked, fixture);
    close_search(fixture);
    change(fixture, 1, 1, "second");
    trim(fixture);
    change(fixture, 2, 1, "another");
    open_search(fixture);
    expect_same(fixture);
    assert_int_equal(view_of(fixture).parked_events, 0);
    too_much = NULL;
    harness_run(&fixture->harness, retry_entry, fixture);
    assert_int_equal(fixture->search.code, FH_NOT_FOUND);
    expect_same(fixture);
    close_search(fixture);
}

/* Schedule 38: each believes that it is alone; the store lets only one of them take each step. */
static void a_paused_instance_of_a_former_life_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct service other;
    change(fixture, 1, 3000, "first");
    trim(fixture);
    fixture->hook_at = 3;
    fixture->hook = change_everywhere;
    open_search(fixture);
    other = fixture->search;
    begin_hearing(&other);
    expect_same(fixture);
    change(fixture, 2990, 100, "second");
    expect_same(fixture);
    end_hearing(fixture, &other);
    close_search(fixture);
}

/* Another session has begun a resync since, and noted a key of it. */
static void begin_another_resync(fh_work *w)
{
    fh_exec(w, "UPDATE fh_round SET round = round + 1, phase = 1", NULL);
    fh_exec(w,
            "INSERT INTO fh_applied (source, share, type, key, position, round)"
            " VALUES ('products', '0/1', 0, '1', 1, 2)",
            NULL);
}

static void forget_entry(void *argument)
{
    struct fixture *fixture = argument;
    struct subscription former = *subscription_next(fixture->search.context.events, NULL);
    former.resync.phase = LEDGER_FOLLOW; /* as it believes */
    fixture->search.code = resync_forget(&former) ? FH_OK : FH_NOT_FOUND;
}

static void a_former_session_deletes_nothing_of_a_later_resync(void **state)
{
    struct fixture *fixture = *state;
    change(fixture, 1, 3, "first");
    trim(fixture);
    open_search(fixture);
    expect_same(fixture);
    harness_until(&fixture->harness, nothing_is_noted, fixture);
    service_must(&fixture->search, begin_another_resync);
    harness_run(&fixture->harness, forget_entry, fixture);
    assert_int_equal(fixture->search.code, FH_OK); /* it has tried */
    assert_int_equal(service_count(&fixture->search, "SELECT count(*) FROM fh_applied"), 1);
    close_search(fixture);
}

static const struct store_ops *real_ops;
static struct store_ops away_ops;
static const struct service *away_from;
#define AWAY 4
static int away; /* so many of its units of work find the store away, as soon as a resync is over */

static enum fh_code begin_away(struct store *store, enum store_mode mode, struct store_work **ret,
                               struct fh_error *error)
{
    const struct subscription *s = subscription_next(away_from->context.events, NULL);
    if (away == 0 || (away == AWAY && s->resync.phase != LEDGER_FOLLOW))
        return real_ops->begin(store, mode, ret, error);
    away--;
    return error_set(error, FH_UNAVAILABLE, "The server is gone.");
}

static void lose_store(struct fixture *fixture)
{
    struct store *store = fixture->search.context.store;
    away_from = &fixture->search;
    real_ops = store->ops;
    away_ops = *real_ops;
    away_ops.begin = begin_away;
    store->ops = &away_ops;
}

static bool was_away(void *argument)
{
    (void)argument;
    return away == 0;
}

static void what_can_not_be_forgotten_for_a_while_holds_no_subscription(void **state)
{
    struct fixture *fixture = *state;
    change(fixture, 1, 3, "first");
    trim(fixture);
    away = AWAY;
    fixture->hook_at = 1;
    fixture->hook = lose_store;
    open_search(fixture);
    harness_until(&fixture->harness, was_away, NULL);
    harness_until(&fixture->harness, nothing_is_noted, fixture);
    wait_for(fixture, "following", -1);
    fixture->search.context.store->ops = real_ops;
    close_search(fixture);
}

static struct fiber_queue for_refusal;
static bool forgetting, refused;
static struct fixture *changed;

/* The first unit of work that deletes what a resync has noted fails once the publisher has refused
 * the feed, which is not the one that the resync was about. */
static enum fh_code begin_until_refused(struct store *store, enum store_mode mode,
                                        struct store_work **ret, struct fh_error *error)
{
    const struct subscription *s = subscription_next(away_from->context.events, NULL);
    if (forgetting || !store_writes(mode) || s->resync.phase != LEDGER_FOLLOW)
        return real_ops->begin(store, mode, ret, error);
    forgetting = true;
    changed->products.context.store->incarnation[0] ^= 1;
    while (!refused)
        fiber_wait(&for_refusal);
    return error_set(error, FH_UNAVAILABLE, "The server is gone.");
}

static void hold_forgetting(struct fixture *fixture)
{
    changed = fixture;
    lose_store(fixture);
    away_ops.begin = begin_until_refused;
}

static bool is_forgetting(void *argument)
{
    (void)argument;
    return forgetting;
}

static bool is_refused(void *argument)
{
    return strcmp(view_of(argument).state, "resynchronising") == 0;
}

static void a_refusal_meanwhile_is_not_forgotten(void **state)
{
    struct fixture *fixture = *state;
    change(fixture, 1, 3, "former life");
    trim(fixture);
    fixture->hook_at = 1;
    fixture->hook = hold_forgetting;
    open_search(fixture);
    harness_until(&fixture->harness, is_forgetting, NULL);
    harness_until(&fixture->harness, is_refused, fixture);
    change(fixture, 1, 2, "present life");
    refused = true;
    fiber_wake_all(&for_refusal);
    expect_same(fixture);
    fixture->search.context.store->ops = real_ops;
    close_search(fixture);
}

/* ---- the publisher's side ---- */

struct asking {
    struct fixture *fixture;
    const char *query;
    const struct event_grant *grant; /* NULL: everything */
    int status;
    json_t *body;
};

static void ask_entry(void *argument)
{
    struct asking *asking = argument;
    struct feed_answer answer;
    json_t *query;
    FH_ASSERT(path_query(asking->query, &query, ERROR_UNHEEDED) == FH_OK);
    snapshot_answer(asking->fixture->products.context.events, query, asking->grant, &answer);
    asking->status = answer.status;
    json_parse(answer.body, answer.body_length, &asking->body, ERROR_UNHEEDED);
    json_decref(query);
    feed_answer_release(&answer);
}

static struct asking ask(struct fixture *fixture, const char *query)
{
    struct asking asking = {.fixture = fixture, .query = query};
    harness_run(&fixture->harness, ask_entry, &asking);
    return asking;
}

static void a_subscriber_gets_the_state_that_it_was_granted(void **state)
{
    struct fixture *fixture = *state;
    change(fixture, 1, 2, "first");
    json_t *grants = json_pack("[s,s]", "events ItemChanged", "state ItemChanged:id"),
           *others = json_pack("[s,s]", "events ItemChanged", "state ItemRemoved");
    const struct event_grant limited = {"search", grants}, of_events = {"search", others};
    const struct {
        const struct event_grant *grant;
        const char *query, *words; /* of the refusal; NULL: it is answered */
    } all[] = {
        {&limited, "type=ItemChanged&fields=id", NULL},
        {&limited, "type=ItemChanged&fields=ItemChanged%3Aid&name=search", NULL},
        {&limited, "type=ItemChanged", "was granted only id"},
        {&limited, "type=ItemChanged&fields=ItemRemoved%3Aid", "was granted only id"},
        {&limited, "type=ItemChanged&fields=id,name", "was not granted the field name"},
        {&limited, "type=ItemChanged&fields=id&limit=0&name=other", "can't read as another"},
        {&of_events, "type=ItemChanged&fields=id", "was not granted the state of ItemChanged"},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct asking asking = {.fixture = fixture, .query = all[i].query, .grant = all[i].grant};
        harness_run(&fixture->harness, ask_entry, &asking);
        const char *detail = json_string_at(asking.body, "detail");
        if (asking.status != (all[i].words ? 403 : 200) ||
            (all[i].words && !strstr(detail, all[i].words)))
            fail_msg("%s: %d %s", all[i].query, asking.status, detail ? detail : "");
        json_decref(asking.body);
    }
    json_decref(grants);
    json_decref(others);
}

static void wrong_questions_are_refused(void **state)
{
    struct fixture *fixture = *state;
    change(fixture, 1, 3, "first");
    static const struct {
        const char *query;
        int status;
    } wrong[] = {{"", 400},
                 {"type=", 400},
                 {"type=ItemRemoved", 404},
                 {"type=ItemChanged&share=2/2", 400},
                 {"type=ItemChanged&limit=961", 400},
                 {"type=ItemChanged&limit=-1", 400},
                 {"type=ItemChanged&after=", 400},
                 {"type=ItemChanged&fields=%3A", 400},
                 {"type=ItemChanged&more=1", 400},
                 {"type=ItemChanged&incarnation=another", 409},
                 {"type=ItemChanged&seen=4&seen_id=x", 409},
                 {"type=ItemChanged&seen=3&seen_id=x", 409}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct asking asking = ask(fixture, wrong[i].query);
        if (asking.status != wrong[i].status)
            fail_msg("%s: %d", wrong[i].query, asking.status);
        json_decref(asking.body);
    }
}

static void a_page_has_its_partitions_keys_with_their_last_positions(void **state)
{
    struct fixture *fixture = *state;
    change(fixture, 1, 40, "first");
    change(fixture, 7, 1, "second");
    int rows = 0;
    for (int partition = 0; partition < 3; partition++) {
        char query[96];
        snprintf(query, sizeof query, "type=ItemChanged&share=%d/3&fields=id&limit=960", partition);
        struct asking asking = ask(fixture, query);
        assert_int_equal(asking.status, 200);
        size_t i;
        json_t *row;
        json_array_foreach (json_object_get(asking.body, "rows"), i, row) {
            int key = atoi(json_string_at(row, "subject"));
            rows++;
            assert_int_equal(json_integer_value(json_object_get(row, "position")),
                             key == 7 ? 41 : key);
            assert_int_equal(json_object_size(json_object_get(row, "data")), 1);
        }
        assert_true(json_is_null(json_object_get(asking.body, "after")));
        json_decref(asking.body);
    }
    assert_int_equal(rows, 40);
}

static void rows_of_which_a_page_is_too_large_come_in_smaller_ones(void **state)
{
    struct fixture *fixture = *state;
    static char name[8001];
    memset(name, 'x', sizeof name - 1);
    change(fixture, 1, 400, name);
    change(fixture, 401, 400, name);
    struct asking asking = ask(fixture, "type=ItemChanged");
    assert_int_equal(asking.status, 200);
    assert_int_equal(json_array_size(json_object_get(asking.body, "rows")), 480);
    assert_string_equal(json_string_at(asking.body, "after"), "480");
    json_decref(asking.body);
}

/* A page of the most rows allowed is far larger than one answer, or one unit of work, can be. */
static void a_round_comes_through_however_large_the_rows_are(void **state)
{
    struct fixture *fixture = *state;
    static char huge[1000001], large[40001];
    memset(huge, 'x', sizeof huge - 1);
    memset(large, 'y', sizeof large - 1);
    for (int i = 0; i < 5; i++)
        change(fixture, 1 + i * 8, 8, huge);
    for (int i = 0; i < 8; i++)
        change(fixture, 41 + i * 100, 100, large);
    change(fixture, 841, 3000, "small");
    trim(fixture);
    open_search(fixture);
    expect_same(fixture);
    /* Some at once, then more and more. */
    if (fixture->pages > 60)
        fail_msg("%d pages", fixture->pages);
    close_search(fixture);
}

static void put_what_can_not_be_told(fh_work *w)
{
    fh_exec(w, "INSERT INTO item (id, name, changes) VALUES (17, hex(zeroblob(3000000)), 1)", NULL);
}

static void make_it_smaller(fh_work *w)
{
    fh_exec(w, "UPDATE item SET name = 'small' WHERE id = 17", NULL);
}

static void a_row_too_large_to_be_sent_is_named_and_requested_patiently(void **state)
{
    struct fixture *fixture = *state;
    change(fixture, 1, 16, "first");
    change(fixture, 18, 20, "first");
    service_must(&fixture->products, put_what_can_not_be_told);
    trim(fixture);
    struct asking asking = ask(fixture, "type=ItemChanged&after=16");
    assert_int_equal(asking.status, 500);
    const char *detail = json_string_at(asking.body, "detail");
    assert_non_null(strstr(detail, "ItemChanged"));
    assert_non_null(strstr(detail, "17"));
    json_decref(asking.body);
    open_search(fixture);
    wait_for(fixture, "failing", -1);
    const char *reason = view_of(fixture).reason;
    assert_non_null(strstr(reason, "ItemChanged"));
    assert_non_null(strstr(reason, "the key \"17\""));
    assert_int_equal(service_count(&fixture->search, "SELECT count(*) FROM copy"), 16);
    service_must(&fixture->products, make_it_smaller);
    expect_same(fixture);
    close_search(fixture);
}

static struct ledger_snapshot_ops slow_snapshots;
static const struct ledger_snapshot_ops *honest_snapshots;
static int unsequenced;

static enum fh_code slow_places(struct store_work *work, const char *keys,
                                bool (*visit)(void *context, const char *key, int64_t position),
                                void *context, struct fh_error *error)
{
    enum fh_code code = honest_snapshots->key_places(work, keys, visit, context, error);
    if (code == FH_OK && unsequenced > 0) {
        unsequenced--;
        visit(context, "2", LEDGER_UNSEQUENCED);
    }
    return code;
}

/* Schedule 11, its first part. */
static void a_row_whose_change_has_no_position_yet_is_not_sent(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->products.context.store;
    const struct engine *honest = store->engine;
    struct engine engine = *honest;
    struct ledger_ops ledger = *honest->ledger;
    honest_snapshots = honest->ledger->snapshots;
    slow_snapshots = *honest_snapshots;
    slow_snapshots.key_places = slow_places;
    ledger.snapshots = &slow_snapshots;
    engine.ledger = &ledger;
    change(fixture, 1, 3, "first");
    store->engine = &engine;
    unsequenced = 3;
    struct asking asking = ask(fixture, "type=ItemChanged");
    assert_int_equal(asking.status, 200);
    assert_int_equal(unsequenced, 0);
    json_decref(asking.body);
    unsequenced = SNAPSHOT_TRIES_MAX;
    asking = ask(fixture, "type=ItemChanged");
    assert_int_equal(asking.status, 503);
    json_decref(asking.body);
    store->engine = honest;
}

/* ---- wrong declarations ---- */

static const fh_service sweeps_blindly = {.name = "sweeps_blindly",
                                          .model = FH_RELATIONAL,
                                          .subscribes = {{"products", "ItemChanged", item_changed,
                                                          .upsert = item_is, .gone = item_gone}}};
static const fh_service is_not_covered = {
    .name = "is_not_covered",
    .model = FH_RELATIONAL,
    .subscribes = {{"products", "ItemRemoved", item_removed, .covered_by = "ItemChanged"}}};
static const fh_service has_no_key = {
    .name = "has_no_key",
    .model = FH_RELATIONAL,
    .publishes = {{"ItemChanged", 1, item_shape, .state = every_item}}};

static void wrong_declarations_do_not_start(void **state)
{
    struct fixture *fixture = *state;
    const fh_service *wrong[] = {&sweeps_blindly, &is_not_covered, &has_no_key};
    for (int i = 0; i < 3; i++) {
        struct service service;
        service_open(&service, &fixture->harness, &fixture->world.world, wrong[i]);
        service.context.events = event_manager_new(&service.context);
        harness_run(&fixture->harness, start_manager, &service);
        assert_int_equal(service.code, FH_INVALID);
        event_manager_drain(service.context.events);
        event_manager_free(service.context.events);
        service_close(&service);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        CASE(a_new_subscriber_of_a_trimmed_publisher_gets_its_state),
        CASE(each_resync_is_counted_as_one_that_sets_back),
        CASE(an_empty_publisher_leaves_nothing),
        CASE(an_expired_subscriber_gives_up_what_is_gone),
        CASE(what_changes_between_pages_takes_effect_once),
        CASE(what_a_resync_has_noted_is_deleted_after_it),
        CASE(a_round_goes_on_where_it_was_when_the_process_died),
        CASE(a_row_that_can_not_be_processed_holds_up_the_resync_and_is_reported),
        CASE(held_keys_that_come_again_hold_up_the_resync_and_are_reported),
        CASE(a_store_that_was_copied_back_by_hand_is_noticed),
        CASE(a_trimmed_store_that_was_copied_back_by_hand_is_noticed),
        CASE(a_store_that_goes_another_way_during_a_snapshot_is_noticed),
        CASE(a_key_that_is_set_anew_at_the_same_position_is_taken_over),
        CASE(what_was_parked_is_gone_with_the_round),
        CASE(a_paused_instance_of_a_former_life_changes_nothing),
        CASE(a_former_session_deletes_nothing_of_a_later_resync),
        CASE(what_can_not_be_forgotten_for_a_while_holds_no_subscription),
        CASE(a_refusal_meanwhile_is_not_forgotten),
        CASE(a_subscriber_gets_the_state_that_it_was_granted),
        CASE(wrong_questions_are_refused),
        CASE(a_page_has_its_partitions_keys_with_their_last_positions),
        CASE(rows_of_which_a_page_is_too_large_come_in_smaller_ones),
        CASE(a_round_comes_through_however_large_the_rows_are),
        CASE(a_row_too_large_to_be_sent_is_named_and_requested_patiently),
        CASE(a_row_whose_change_has_no_position_yet_is_not_sent),
        CASE(wrong_declarations_do_not_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
