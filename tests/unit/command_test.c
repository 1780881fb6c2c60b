/* SPDX-License-Identifier: Apache-2.0 */
/* Commands at the receiver, on the embedded engine: once, and the same answer for ever. */

#include "../support/sent.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "engine/engines.h"
#include "work/command_key.h"
#include "work/keys.h"

#define OLD "01900000-0000-7000-8000-000000000001"
#define NOW "01900000-0000-7000-8000-000000000002"
#define KEY "orders/" NOW ".7/charge/0"

static const fh_service service = {.name = "payments", .model = FH_RELATIONAL};

static const char script[] = "CREATE TABLE effect (id INTEGER PRIMARY KEY, what TEXT NOT NULL);";

static int set_up(void **state)
{
    return fixture_set_up(state, &service, script);
}

static void charge(fh_work *w)
{
    fh_exec(w, "INSERT INTO effect (what) VALUES ('charge')");
    fh_reply(w, 201, json_pack("{s:i}", "id", 7));
}

static void decline(fh_work *w)
{
    fh_exec(w, "INSERT INTO effect (what) VALUES ('declined')");
    fh_fail(w, 402, "The card was declined.");
}

static void break_down(fh_work *w)
{
    fh_exec(w, "INSERT INTO effect (what) VALUES ('broken')");
    fh_fail(w, 503, "The bank is away.");
}

static void take_back(fh_work *w)
{
    int id = (int)json_integer_value(json_object_get(fh_undone_answer(w), "id"));
    int amount = (int)json_integer_value(json_object_get(fh_undone_request(w), "amount"));
    json_t *named = json_pack("{s:o}", "what", json_sprintf("take back %d of %d", id, amount));
    fh_exec(w, "INSERT INTO effect (what) VALUES (:what)", named);
    fh_reply(w, 200, NULL);
}

static struct sent step(void *state, fh_handler *handler)
{
    struct fixture *fixture = state;
    return (struct sent){.fixture = fixture,
                         .handler = handler,
                         .request = {.method = "POST",
                                     .path = "/api/payments",
                                     .pattern = "/api/payments",
                                     .body = "{\"amount\":5}",
                                     .body_length = 12,
                                     .key = KEY,
                                     .from = "orders/" NOW,
                                     .to = fixture->context.store->incarnation}};
}

static struct sent undo(void *state, fh_handler *handler)
{
    struct sent sent = step(state, handler);
    sent.request.path = sent.request.pattern = "/api/payments/refund";
    sent.request.key = NULL;
    sent.request.undone = KEY;
    sent.request.undo = handler;
    return sent;
}

static void expect(struct sent *sent, int status, const char *outcome)
{
    sent_go(sent);
    assert_int_equal(sent->status, status);
    assert_string_equal(sent->outcome, outcome);
}

/* All effects, in order; or another column. */
struct looked {
    struct fixture *fixture;
    const char *sql;
    char text[256];
};

static bool add_effect(void *context, const struct sql_row *row)
{
    struct looked *looked = context;
    size_t length = strlen(looked->text);
    snprintf(looked->text + length, sizeof looked->text - length, "%s%s", length ? ", " : "",
             row->values[0].text);
    return true;
}

static void look(void *argument)
{
    struct looked *looked = argument;
    struct store_work *work;
    if (store_begin(looked->fixture->context.store, STORE_READ, &work, ERROR_UNHEEDED) != FH_OK)
        return;
    const char *sql = looked->sql ? looked->sql : "SELECT what FROM effect ORDER BY id";
    sql_run(work, sql, NULL, 0, add_effect, looked, NULL, ERROR_UNHEEDED);
    store_rollback(work);
}

static void expect_effects(void *state, const char *effects)
{
    struct looked looked = {.fixture = state};
    harness_run(&looked.fixture->harness, look, &looked);
    assert_string_equal(looked.text, effects);
}

static void expect_no_records(void *state)
{
    struct looked looked = {.fixture = state, .sql = "SELECT key FROM fh_command"};
    harness_run(&looked.fixture->harness, look, &looked);
    assert_string_equal(looked.text, "");
}

/* ---- Steps ---- */

static void a_repeated_step_takes_effect_once(void **state)
{
    for (int i = 0; i < 3; i++) {
        struct sent sent = step(*state, charge);
        expect(&sent, 201, "done");
        assert_string_equal(sent.reply, "{\"id\":7}");
        assert_int_equal(sent.repeated, i > 0);
        assert_memory_equal(sent.at, sent.fixture->context.store->incarnation, ID_SIZE - 1);
    }
    expect_effects(*state, "charge");
}

static void another_request_under_the_same_key_is_a_mismatch(void **state)
{
    struct sent sent = step(*state, charge);
    expect(&sent, 201, "done");
    sent.request.body = "{\"amount\":6}";
    expect(&sent, 422, "mismatch");
    sent.request.body = "{\"amount\":5}";
    sent.request.query = "a=1";
    expect(&sent, 422, "mismatch");
    expect_effects(*state, "charge");
}

static void a_refusal_is_recorded_and_a_higher_attempt_runs_over_it_alone(void **state)
{
    struct sent sent = step(*state, decline);
    expect(&sent, 402, "refused");
    sent.handler = charge;
    expect(&sent, 402, "refused");
    assert_non_null(strstr(sent.reply, "declined"));
    sent.request.attempt = "2";
    expect(&sent, 201, "done");
    sent.request.attempt = "3";
    sent.handler = decline;
    expect(&sent, 201, "done");
    expect_effects(*state, "charge");
}

static void a_failure_decides_nothing(void **state)
{
    struct sent sent = step(*state, break_down);
    expect(&sent, 503, "");
    assert_true(sent.at[0] != '\0');
    sent.handler = charge;
    expect(&sent, 201, "done");
    expect_effects(*state, "charge");
}

static void equal_keys_at_once_wait_for_each_other(void **state)
{
    struct sent sent[8];
    void *arguments[8];
    for (int i = 0; i < 8; i++) {
        sent[i] = step(*state, charge);
        arguments[i] = &sent[i];
    }
    harness_run_all(&sent[0].fixture->harness, sent_run, arguments, 8);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(sent[i].status, 201);
        assert_string_equal(sent[i].outcome, "done");
    }
    expect_effects(*state, "charge");
}

static void charge_slowly(fh_work *w)
{
    for (int i = 0; i < 20; i++)
        fiber_yield(); /* as if it queried others */
    charge(w);
}

static void decline_slowly(fh_work *w)
{
    for (int i = 0; i < 20; i++)
        fiber_yield();
    decline(w);
}

/* Schedule 30. */
static void a_higher_attempt_that_meets_the_first_one_under_way_is_done_once(void **state)
{
    fh_handler *const firsts[] = {charge_slowly, decline_slowly};
    for (int i = 0; i < 2; i++) {
        struct sent first = step(*state, firsts[i]), retried = step(*state, charge);
        first.request.key = retried.request.key = i == 0 ? KEY : "orders/" NOW ".8/charge/0";
        retried.request.attempt = "2";
        void *arguments[] = {&first, &retried};
        harness_run_all(&first.fixture->harness, sent_run, arguments, 2);
        assert_string_equal(first.outcome, i == 0 ? "done" : "refused");
        assert_string_equal(retried.outcome, "done");
    }
    expect_effects(*state, "charge, charge"); /* of two keys */
}

static struct sent refused_client(void *state, struct work_user *user, const char *key)
{
    struct sent sent = step(state, decline);
    sent.request.from = sent.request.to = NULL;
    sent.request.key = key;
    sent.user = user;
    return sent;
}

/* A client that is refused again and again fills no store; others' refusals are recorded. */
static void recorded_refusals_of_a_client_are_bounded(void **state)
{
    struct work_user ada = {.shown.subject = "ada"}, bob = {.shown.subject = "bob"};
    char key[32];
    for (int i = 0; i <= WORK_REFUSALS_MAX; i++) {
        snprintf(key, sizeof key, "k%d", i);
        struct sent sent = refused_client(*state, &ada, key);
        sent_go(&sent);
        assert_int_equal(sent.status, 402);
    }
    struct sent last = refused_client(*state, &ada, key);
    struct sent first = refused_client(*state, &ada, "k0");
    struct sent others = refused_client(*state, &bob, "k0");
    sent_go(&others);
    first.handler = last.handler = others.handler = charge;
    sent_go(&first);
    sent_go(&last);
    sent_go(&others);
    assert_int_equal(first.status, 402);
    assert_int_equal(others.status, 402);
    assert_int_equal(last.status, 201); /* nothing was done for it before */
    expect_effects(*state, "charge");
}

/* ---- Undo ---- */

static void an_undo_runs_once_with_request_and_answer_at_hand(void **state)
{
    struct sent first = step(*state, charge), back = undo(*state, take_back);
    expect(&first, 201, "done");
    expect(&back, 200, "undone");
    expect(&back, 200, "undone");
    expect(&first, 409, "undone");
    expect_effects(*state, "charge, take back 7 of 5");
}

/* Schedule 2. */
static void a_step_behind_its_tombstone_does_nothing(void **state)
{
    struct sent first = step(*state, charge), back = undo(*state, take_back);
    expect(&back, 200, "never");
    expect(&back, 200, "never");
    expect(&first, 409, "never");
    first.request.attempt = "9";
    expect(&first, 409, "never");
    expect_effects(*state, "");
}

/* Schedule 2. */
static void a_refused_step_is_never_done_after_its_undo(void **state)
{
    struct sent first = step(*state, decline), back = undo(*state, take_back);
    expect(&first, 402, "refused");
    expect(&back, 200, "never");
    first.handler = charge;
    first.request.attempt = "2";
    expect(&first, 409, "never");
    expect_effects(*state, "");
}

static void what_has_no_undo_is_fixed_only_if_it_was_done(void **state)
{
    struct sent first = step(*state, charge), back = undo(*state, NULL);
    expect(&first, 201, "done");
    expect(&back, 409, "fixed");
    back.request.undone = "orders/" NOW ".8/charge/0";
    expect(&back, 200, "never");
    expect_effects(*state, "charge");
}

static void an_undo_that_fails_is_asked_again(void **state)
{
    struct sent first = step(*state, charge), back = undo(*state, break_down);
    expect(&first, 201, "done");
    expect(&back, 503, "");
    back.request.undo = decline;
    expect(&back, 402, "");
    back.request.undo = take_back;
    expect(&back, 200, "undone");
    expect_effects(*state, "charge, take back 7 of 5");
}

/* The store is away when the undo looks before its unit of work, and back for that itself. */
static enum fh_code refuse_looks(struct store *store, enum store_mode mode, struct store_work **ret,
                                 struct fh_error *error)
{
    if (mode == STORE_READ_COMMITTED)
        return error_set(error, FH_UNAVAILABLE, "The store is away.");
    return engine_embedded()->store->begin(store, mode, ret, error);
}

static void an_undo_whose_look_fails_does_not_run_without_its_request(void **state)
{
    struct fixture *fixture = *state;
    struct sent first = step(*state, charge), back = undo(*state, take_back);
    struct store *store = fixture->context.store;
    const struct store_ops *ops = store->ops;
    struct store_ops away = *ops;
    away.begin = refuse_looks;
    expect(&first, 201, "done");
    store->ops = &away;
    expect(&back, 503, "");
    store->ops = ops;
    expect_effects(*state, "charge");
    expect(&back, 200, "undone");
    expect_effects(*state, "charge, take back 7 of 5");
}

/* ---- Senders ---- */

static void a_former_life_of_the_sender_changes_nothing(void **state)
{
    struct sent sent = step(*state, charge), old = step(*state, charge);
    expect(&sent, 201, "done");
    old.request.from = "orders/" OLD;
    expect(&old, 403, "");
    old.request.key = "orders/" OLD ".1/charge/0";
    expect(&old, 403, "");
    struct sent back = undo(*state, take_back);
    back.request.from = "orders/" OLD;
    expect(&back, 403, "");
    back.closed = "{\"birth\":\"" NOW "\",\"closed_through\":9,\"still_open\":[]}";
    expect(&back, 403, "");
    expect_effects(*state, "charge");
}

static void a_newer_life_of_the_sender_keeps_its_keys(void **state)
{
    struct sent sent = step(*state, charge);
    sent.request.key = "orders/" OLD ".1/charge/0";
    sent.request.from = "orders/" OLD;
    expect(&sent, 201, "done");
    sent.request.from = "orders/" NOW;
    expect(&sent, 201, "done");
    sent.request.from = "orders/" OLD;
    expect(&sent, 403, "");
    expect_effects(*state, "charge");
}

static void a_request_for_another_life_of_the_receiver_is_told_which_one_it_is(void **state)
{
    const char *const others[] = {NULL, NOW, "?"};
    for (int i = 0; i < 3; i++) {
        struct sent sent = step(*state, charge);
        sent.request.to = others[i];
        expect(&sent, 421, "");
        assert_memory_equal(sent.at, sent.fixture->context.store->incarnation, ID_SIZE - 1);
    }
    expect_effects(*state, "");
}

static void malformed_headers_are_refused(void **state)
{
    static const char *const keys[] = {"x",
                                       "orders/7/charge/0",
                                       "orders/" NOW ".0/charge/0",
                                       "orders/" NOW ".07/charge/0",
                                       "orders/" NOW ".7/charge",
                                       "orders/" NOW ".7/charge/",
                                       "orders/" NOW ".7/a/b/c",
                                       "users/" NOW ".7/charge/0",
                                       "",
                                       "orders/" NOW ".7/ä/0"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct sent sent = step(*state, charge);
        sent.request.key = keys[i];
        expect(&sent, 400, "");
    }
    struct sent sent = step(*state, charge);
    sent.request.from = "orders";
    expect(&sent, 400, "");
    sent = step(*state, charge);
    sent.request.attempt = "0";
    expect(&sent, 400, "");
    sent = undo(*state, take_back);
    sent.request.from = NULL;
    expect(&sent, 400, "");
    expect_effects(*state, "");
}

/* ---- Outside clients ---- */

static struct sent client(void *state, const char *key)
{
    struct sent sent = step(state, charge);
    sent.request.key = key;
    sent.request.from = sent.request.to = NULL;
    return sent;
}

static void a_clients_key_is_its_own_route_by_route(void **state)
{
    struct sent sent = client(*state, "a");
    expect(&sent, 201, "");
    expect(&sent, 201, "");
    assert_string_equal(sent.at, "");
    sent.request.body = "{\"amount\":6}";
    expect(&sent, 422, "");
    struct sent other = client(*state, "a");
    other.request.pattern = other.request.path = "/api/others";
    expect(&other, 201, "");
    struct sent operators = client(*state, "a");
    operators.request.from = "operator";
    expect(&operators, 201, "");
    struct sent longest = client(*state, "");
    char key[COMMAND_KEY_LENGTH_MAX + 2];
    memset(key, 'k', sizeof key);
    key[COMMAND_KEY_LENGTH_MAX + 1] = '\0';
    longest.request.key = key;
    expect(&longest, 400, "");
    key[COMMAND_KEY_LENGTH_MAX] = '\0';
    expect(&longest, 201, "");
    expect_effects(*state, "charge, charge, charge, charge");
}

struct expiry {
    struct fixture *fixture;
    int64_t removed;
    enum fh_code code;
};

static void expire(void *argument)
{
    struct expiry *expiry = argument;
    expiry->code =
        command_expire(&expiry->fixture->context, &expiry->removed, &expiry->fixture->error);
}

static void age_commands(void *argument)
{
    struct expiry *expiry = argument;
    struct store_work *work;
    expiry->code = store_begin(expiry->fixture->context.store, STORE_WRITE, &work, ERROR_UNHEEDED);
    struct sql_value by = sql_integer(COMMAND_CLIENT_KEPT_MS + 60000);
    sql_run(work, "UPDATE fh_command SET created_ms = created_ms - ?1", &by, 1, NULL, NULL, NULL,
            ERROR_UNHEEDED);
    expiry->code = store_commit(work, ERROR_UNHEEDED);
}

/* ada, grace, and another ada of whom somebody else says so. */
static void a_users_key_is_theirs_alone(void **state)
{
    struct work_user ada = {.shown = {.subject = "ada", .via = "key"}},
                     grace = {.shown = {.subject = "grace", .via = "key"}},
                     other = {.shown = {.subject = "ada", .issuer = "https://id", .via = "jwt"}};
    struct work_user *users[] = {&ada, &grace, &other, NULL};
    for (size_t i = 0; i < sizeof users / sizeof users[0]; i++) {
        struct sent sent = client(*state, "a");
        sent.user = users[i];
        sent.request.body = i % 2 ? "{\"amount\":6}" : "{\"amount\":5}"; /* no mismatch either */
        expect(&sent, 201, "");
        expect(&sent, 201, "");
    }
    struct sent again = client(*state, "a");
    again.user = &grace;
    expect(&again, 422, ""); /* her own key, with another body */
    expect_effects(*state, "charge, charge, charge, charge");
}

static void a_service_without_its_name_gets_nobodys_keys(void **state)
{
    struct sent sent = client(*state, "a");
    sent.caller = "orders";
    expect(&sent, 400, "");
    sent.caller = "gateway";
    expect(&sent, 201, "");
}

static void a_clients_record_expires_and_a_services_does_not(void **state)
{
    struct expiry expiry = {.fixture = *state};
    struct sent outside = client(*state, "a"), inside = step(*state, charge);
    expect(&outside, 201, "");
    expect(&inside, 201, "done");
    harness_run(&expiry.fixture->harness, expire, &expiry);
    assert_int_equal(expiry.code, FH_OK);
    assert_int_equal(expiry.removed, 0);
    harness_run(&expiry.fixture->harness, age_commands, &expiry);
    assert_int_equal(expiry.code, FH_OK);
    harness_run(&expiry.fixture->harness, expire, &expiry);
    assert_int_equal(expiry.removed, 1);
    expect(&outside, 201, "");
    expect(&inside, 201, "done");
    expect_effects(*state, "charge, charge, charge");
}

/* ---- Closing ---- */

static void close_saga(void *state, const char *body)
{
    struct sent sent = step(state, NULL);
    sent.closed = body;
    expect(&sent, 200, "");
}

/* Every stored list is ascending. */
static void what_is_still_open_is_found_among_many(void **state)
{
    (void)state;
    for (int count = 0; count < 40; count++) {
        char text[512] = "[";
        for (int i = 0; i < count; i++)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%d", i ? "," : "",
                     i < 7 ? i + 1 : i * i * i);
        snprintf(text + strlen(text), sizeof text - strlen(text), "]");
        const struct ledger_caller closed = {.closed_through = 50000, .still_open = text};
        for (int number = 1; number <= 50002; number++) {
            bool open = number > 50000;
            for (int i = 0; i < count && !open; i++)
                open = number == (i < 7 ? i + 1 : i * i * i);
            if (command_is_closed(&closed, number) == open)
                fail_msg("%d among %s", number, text);
        }
    }
}

/* Schedule 1. */
static void a_closed_sagas_late_messages_are_closed_for_ever(void **state)
{
    struct sent first = step(*state, charge), back = undo(*state, take_back);
    expect(&first, 201, "done");
    close_saga(*state, "{\"birth\":\"" NOW "\",\"closed_through\":9,\"still_open\":[8]}");
    expect(&first, 410, "closed");
    expect(&back, 410, "closed");
    first.request.attempt = "5";
    expect(&first, 410, "closed");
    first.request.key = "orders/" NOW ".8/charge/0";
    expect(&first, 201, "done");
    first.request.key = "orders/" NOW ".10/charge/0";
    expect(&first, 201, "done");
    first.request.key = "orders/" OLD ".3/charge/0"; /* another birth: not closed by this */
    expect(&first, 201, "done");
    expect_effects(*state, "charge, charge, charge, charge");
}

static void closings_close_in_any_order_and_twice(void **state)
{
    static const char *const early =
        "{\"birth\":\"" NOW "\",\"closed_through\":8,\"still_open\":[7]}";
    static const char *const late =
        "{\"birth\":\"" NOW "\",\"closed_through\":8,\"still_open\":[]}";
    const char *const order[] = {late, early, early, late};
    struct sent sent = step(*state, charge);
    for (int i = 0; i < 4; i++) {
        close_saga(*state, order[i]);
        expect(&sent, 410, "closed");
    }
    expect_effects(*state, "");
}

#define CLOSING(birth, open)                                                                       \
    "{\"birth\":\"" birth "\",\"closed_through\":2,\"still_open\":[" open "]}"

/* Saga 1 starts, saga 2 starts and ends, saga 1 ends: two closings, in either
 * order, twice. */
static void close_two(void *state, const char *key_1, const char *key_2, const char *early,
                      const char *late, bool late_first)
{
    struct sent one = step(state, charge), two = step(state, charge);
    one.request.key = key_1;
    two.request.key = key_2;
    expect(&one, 201, "done");
    expect(&two, 201, "done");
    for (int i = 0; i < 4; i++) {
        bool is_late = (i % 2 == 0) == late_first;
        close_saga(state, is_late ? late : early);
        expect(&two, 410, "closed");
        expect(&one, i == 0 && !is_late ? 201 : 410, i == 0 && !is_late ? "done" : "closed");
    }
    expect_no_records(state);
}

/* Schedule 29. */
static void closings_of_two_sagas_remove_all_records_and_open_nothing_again(void **state)
{
    close_two(*state, "orders/" NOW ".1/charge/0", "orders/" NOW ".2/charge/0", CLOSING(NOW, "1"),
              CLOSING(NOW, ""), false);
    close_two(*state, "orders/" OLD ".1/charge/0", "orders/" OLD ".2/charge/0", CLOSING(OLD, "1"),
              CLOSING(OLD, ""), true);
    expect_effects(*state, "charge, charge, charge, charge");
}

static void malformed_closings_are_refused(void **state)
{
    static const char *const bodies[] = {
        "{}",
        "[]",
        "{\"birth\":\"x\",\"closed_through\":1,\"still_open\":[]}",
        "{\"birth\":\"" NOW "\",\"closed_through\":-1,\"still_open\":[]}",
        "{\"birth\":\"" NOW "\",\"closed_through\":1,\"still_open\":[\"a\"]}",
        "{\"birth\":\"" NOW "\",\"closed_through\":1,\"still_open\":{}}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct sent sent = step(*state, NULL);
        sent.closed = bodies[i];
        expect(&sent, 400, "");
    }
}

/* Every pair and triple of small closings: the order must not matter. */
#define SMALL 3 /* numbers 1..3 */

static struct ledger_caller small_closing(struct arena *arena, int code)
{
    int through = code >> SMALL, count = 0;
    char open[32] = "[";
    for (int number = 1; number <= through; number++)
        if (code >> (number - 1) & 1)
            sprintf(open + strlen(open), "%s%d", count++ ? "," : "", number);
    strcat(open, "]");
    return (struct ledger_caller){through, arena_text(arena, open)};
}

static struct ledger_caller merged(struct arena *arena, struct ledger_caller a,
                                   struct ledger_caller b)
{
    struct ledger_caller both;
    assert_int_equal(command_closed_merge(&a, &b, arena, &both, ERROR_UNHEEDED), FH_OK);
    return both;
}

static void same_closing(struct ledger_caller a, struct ledger_caller b)
{
    assert_int_equal(a.closed_through, b.closed_through);
    assert_string_equal(a.still_open, b.still_open);
}

static void closings_merge_the_same_in_every_order(void **unused)
{
    (void)unused;
    struct arena arena;
    const int codes = (SMALL + 1) << SMALL;
    for (int i = 0; i < codes; i++) {
        for (int j = 0; j < codes; j++) {
            arena_init(&arena, ARENA_SIZE_MAX);
            struct ledger_caller a = small_closing(&arena, i), b = small_closing(&arena, j);
            struct ledger_caller both = merged(&arena, a, b);
            same_closing(both, merged(&arena, b, a));
            same_closing(both, merged(&arena, both, a));
            for (int number = 1; number <= SMALL; number++)
                assert_int_equal(command_is_closed(&both, number),
                                 command_is_closed(&a, number) || command_is_closed(&b, number));
            for (int k = 0; k < codes; k++) {
                struct ledger_caller c = small_closing(&arena, k);
                same_closing(merged(&arena, both, c), merged(&arena, a, merged(&arena, b, c)));
            }
            arena_release(&arena);
        }
    }
}

#define STORED(test) cmocka_unit_test_setup_teardown(test, set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORED(a_repeated_step_takes_effect_once),
        STORED(another_request_under_the_same_key_is_a_mismatch),
        STORED(a_refusal_is_recorded_and_a_higher_attempt_runs_over_it_alone),
        STORED(a_failure_decides_nothing),
        STORED(equal_keys_at_once_wait_for_each_other),
        STORED(a_higher_attempt_that_meets_the_first_one_under_way_is_done_once),
        STORED(an_undo_runs_once_with_request_and_answer_at_hand),
        STORED(a_step_behind_its_tombstone_does_nothing),
        STORED(a_refused_step_is_never_done_after_its_undo),
        STORED(recorded_refusals_of_a_client_are_bounded),
        STORED(what_has_no_undo_is_fixed_only_if_it_was_done),
        STORED(an_undo_that_fails_is_asked_again),
        STORED(an_undo_whose_look_fails_does_not_run_without_its_request),
        STORED(a_former_life_of_the_sender_changes_nothing),
        STORED(a_newer_life_of_the_sender_keeps_its_keys),
        STORED(a_request_for_another_life_of_the_receiver_is_told_which_one_it_is),
        STORED(malformed_headers_are_refused),
        STORED(a_clients_key_is_its_own_route_by_route),
        STORED(a_users_key_is_theirs_alone),
        STORED(a_service_without_its_name_gets_nobodys_keys),
        STORED(a_clients_record_expires_and_a_services_does_not),
        STORED(what_is_still_open_is_found_among_many),
        STORED(a_closed_sagas_late_messages_are_closed_for_ever),
        STORED(closings_close_in_any_order_and_twice),
        STORED(closings_of_two_sagas_remove_all_records_and_open_nothing_again),
        STORED(malformed_closings_are_refused),
        cmocka_unit_test(closings_merge_the_same_in_every_order),
    };
    json_memory_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
