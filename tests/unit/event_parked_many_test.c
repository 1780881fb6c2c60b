/* SPDX-License-Identifier: Apache-2.0 */
/* Operators act on many parked keys at once: on those they saw, as they saw them, and on no other.
 */

#include "../support/hearing.h"
#include "../support/operator.h"

struct choosing {
    struct service *service;
    struct parked_filter filter;
    json_t *keys; /* to act on; NULL: choose them */
    bool drops;
    json_t *answer;
    enum fh_code code;
    struct fh_error error;
};

static void select_entry(void *argument)
{
    struct choosing *c = argument;
    c->code = parked_select(c->service->context.events, &c->filter, &c->answer, &c->error);
}

static void act_entry(void *argument)
{
    struct choosing *c = argument;
    struct event_manager *manager = c->service->context.events;
    c->code = c->drops ? parked_drop_many(manager, c->keys, &c->answer, &c->error)
                       : parked_retry_many(manager, c->keys, &c->answer, &c->error);
}

/* The answer of a page. */
static json_t *page(struct fixture *fixture, struct parked_filter filter)
{
    struct choosing c = {.service = &fixture->orders, .filter = filter};
    harness_run(&fixture->harness, select_entry, &c);
    assert_int_equal(c.code, FH_OK);
    return c.answer;
}

static json_t *chosen(struct fixture *fixture, struct parked_filter filter)
{
    json_t *answer = page(fixture, filter);
    json_t *keys = json_incref(json_object_get(answer, "keys"));
    json_decref(answer);
    return keys;
}

static void expect_keys(struct fixture *fixture, struct parked_filter filter, const char *expected)
{
    char names[64] = "";
    size_t i;
    json_t *one, *keys = chosen(fixture, filter);
    json_array_foreach (keys, i, one)
        strcat(strcat(names, json_string_at(one, "key")), " ");
    assert_string_equal(names, expected);
    json_decref(keys);
}

/* What became of each key; `keys` stays the caller's. */
static json_t *act(struct fixture *fixture, json_t *keys, bool drops)
{
    struct choosing c = {.service = &fixture->orders, .keys = keys, .drops = drops};
    harness_run(&fixture->harness, act_entry, &c);
    assert_int_equal(c.code, FH_OK);
    json_t *told = json_incref(json_object_get(c.answer, "keys"));
    json_decref(c.answer);
    return told;
}

static void expect_told(json_t *told, size_t index, const char *expected)
{
    const json_t *one = json_array_get(told, index);
    char text[128];
    snprintf(text, sizeof text, "%s: %lld %lld%s", json_string_at(one, "key"),
             (long long)json_integer_value(
                 json_object_get(one, json_object_get(one, "dropped") ? "dropped" : "applied")),
             (long long)json_integer_value(json_object_get(one, "left")),
             json_object_get(one, "changed") ? " changed"
             : json_object_get(one, "error") ? " error"
                                             : "");
    assert_string_equal(text, expected);
}

/* Keys 1 to `count`, each with a poison event and one that waits for it. */
static void park_pairs(struct fixture *fixture, int count)
{
    poison = "poison";
    for (int id = 1; id <= count; id++)
        publish_named(fixture, id, "poison");
    for (int id = 1; id <= count; id++)
        publish_named(fixture, id, "b");
    open_orders(fixture);
    wait_for(&fixture->orders, 2 * count, "following");
}

static int64_t parked_count(struct fixture *fixture)
{
    return service_count(&fixture->orders, "SELECT count(*) FROM fh_parked");
}

/* ---- which ---- */

static void keys_are_chosen_by_type_error_and_age_of_their_first_event(void **state)
{
    struct fixture *fixture = *state;
    park_pairs(fixture, 3);
    service_sql(&fixture->orders, "UPDATE fh_parked SET error = 'caf\u00e9 \x1b[31m % closed',"
                                  " parked_ms = 1000 WHERE key = '2' AND attempts > 0");
    service_sql(&fixture->orders, "UPDATE fh_parked SET type = 'UserMoved'"
                                  " WHERE key = '3' AND attempts > 0");
    expect_keys(fixture, (struct parked_filter){0}, "1 2 3 ");
    expect_keys(fixture, (struct parked_filter){.source = "carts"}, "");
    expect_keys(fixture, (struct parked_filter){.type = "UserUpdated"}, "1 2 ");
    expect_keys(fixture, (struct parked_filter){.type = "User"}, "");
    expect_keys(fixture, (struct parked_filter){.error = "\u00e9 \x1b[31m %"}, "2 ");
    expect_keys(fixture, (struct parked_filter){.error = "too much"}, "1 3 ");
    expect_keys(fixture, (struct parked_filter){.error = "too much", .type = "UserUpdated"}, "1 ");
    expect_keys(fixture, (struct parked_filter){.before_ms = 1000}, "2 ");
    expect_keys(fixture, (struct parked_filter){.before_ms = 999}, "");
    expect_keys(fixture, (struct parked_filter){.after_ms = 1001}, "1 3 ");
    struct event_retried after = {.source = "users", .share = "0/1", .position = 1};
    expect_keys(fixture, (struct parked_filter){.after = &after}, "2 3 ");
    close_orders(fixture);
}

/* More than a page can keep before it is cut, and not in the order in which they are answered. */
static void pages_have_each_key_once(void **state)
{
    struct fixture *fixture = *state;
    struct event_retried after;
    struct parked_filter filter = {0};
    char seen[2501] = "";
    int count = 0, pages = 0;
    bool more = true;
    park_pairs(fixture, 1);
    service_sql(&fixture->orders,
                "WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)"
                " INSERT INTO fh_parked (source, share, key, position, event_id, type, time_ms,"
                " attempts, error, parked_ms, event) SELECT CASE i % 2 WHEN 0 THEN 'a-b' ELSE"
                " 'ab' END, '0/1', i, 9000 - i, 'id', 'UserUpdated', 1, 5, '', 1, '{}' FROM n");
    service_sql(&fixture->orders,
                "INSERT INTO fh_parked_key (source, share, key, events, oldest_ms)"
                " SELECT source, share, key, 1, 1 FROM fh_parked WHERE error = ''"
                " AND attempts = 5");
    while (more) {
        size_t i;
        json_t *one, *answer = page(fixture, filter);
        more = json_is_true(json_object_get(answer, "more"));
        json_array_foreach (json_object_get(answer, "keys"), i, one) {
            int key = atoi(json_string_at(one, "key"));
            assert_false(seen[key]++);
            count++;
            parked_place_of(&after, one);
        }
        filter.after = &after;
        pages++;
        json_decref(answer);
    }
    assert_int_equal(count, 2500);
    assert_int_equal(pages, 3);
    close_orders(fixture);
}

/* ---- retried ---- */

static void each_chosen_key_is_retried_in_order_whatever_becomes_of_the_others(void **state)
{
    struct fixture *fixture = *state;
    park_pairs(fixture, 3);
    service_sql(&fixture->orders, "UPDATE fh_parked SET event = replace(event, 'poison', 'good')"
                                  " WHERE key <> '1'");
    json_t *keys = chosen(fixture, (struct parked_filter){0});
    json_t *told = act(fixture, keys, false);
    expect_told(told, 0, "1: 0 2 error");
    expect_told(told, 1, "2: 2 0");
    expect_told(told, 2, "3: 2 0");
    json_decref(told);
    assert_int_equal(service_count(&fixture->orders,
                                   "SELECT count(*) FROM seen a JOIN seen b ON b.user_id ="
                                   " a.user_id AND b.n > a.n WHERE a.name = 'good'"
                                   " AND b.name = 'b'"),
                     2);
    struct edited edited = edit(fixture, "1", 0, "{\"id\":1,\"name\":\"poison\"}");
    json_decref(edited.answer);
    /* The same request again does nothing: one was tried meanwhile, two are not there. */
    told = act(fixture, keys, false);
    expect_told(told, 0, "1: 0 0 changed");
    expect_told(told, 1, "2: 0 0 changed");
    expect_told(told, 2, "3: 0 0 changed");
    json_decref(told);
    json_decref(keys);
    assert_int_equal(service_count(&fixture->orders, "SELECT max(attempts) FROM fh_parked"),
                     SUBSCRIBE_ATTEMPTS_MAX + 3);
    close_orders(fixture);
}

static void what_is_parked_again_meanwhile_is_not_what_was_chosen(void **state)
{
    struct fixture *fixture = *state;
    park_pairs(fixture, 1);
    json_t *keys = chosen(fixture, (struct parked_filter){0});
    struct asked asked = ask(fixture, drop_entry, "1", true);
    json_decref(asked.answer);
    publish_named(fixture, 1, "poison");
    wait_for(&fixture->orders, 3, "following");
    for (int drops = 0; drops < 2; drops++) {
        json_t *told = act(fixture, keys, drops);
        expect_told(told, 0, "1: 0 0 changed");
        json_decref(told);
    }
    json_decref(keys);
    assert_int_equal(parked_count(fixture), 1);
    assert_int_equal(service_count(&fixture->orders, "SELECT max(attempts) FROM fh_parked"),
                     SUBSCRIBE_ATTEMPTS_MAX);
    close_orders(fixture);
}

/* ---- dropped ---- */

static void the_first_event_of_each_chosen_key_is_dropped(void **state)
{
    struct fixture *fixture = *state;
    size_t i;
    json_t *one;
    park_pairs(fixture, 3);
    json_t *keys = chosen(fixture, (struct parked_filter){0});
    json_array_foreach (keys, i, one)
        json_object_del(one, "until");
    json_array_remove(keys, 1);
    json_t *told = act(fixture, keys, true);
    expect_told(told, 0, "1: 1 1");
    expect_told(told, 1, "3: 1 1");
    json_decref(told);
    json_decref(keys);
    assert_int_equal(service_count(&fixture->orders, "SELECT count(*) FROM fh_parked"
                                                     " WHERE attempts > 0 AND key = '2'"),
                     1);
    assert_int_equal(parked_count(fixture), 4);
    assert_int_equal(view_of(&fixture->orders).parked_events, 4);
    close_orders(fixture);
}

static void what_came_behind_a_key_since_it_was_chosen_is_not_dropped_with_it(void **state)
{
    struct fixture *fixture = *state;
    park_pairs(fixture, 2);
    json_t *keys = chosen(fixture, (struct parked_filter){0});
    publish_named(fixture, 1, "later");
    wait_for(&fixture->orders, 5, "following");
    assert_int_equal(parked_count(fixture), 5);
    json_t *told = act(fixture, keys, true);
    expect_told(told, 0, "1: 2 1");
    expect_told(told, 1, "2: 2 0");
    json_decref(told);
    told = act(fixture, keys, true); /* nor by the request that comes again */
    expect_told(told, 0, "1: 0 0 changed");
    json_decref(told);
    json_decref(keys);
    poison = NULL;
    struct asked asked = ask(fixture, retry_entry, NULL, false);
    assert_int_equal(number_at(asked.answer, "applied"), 1);
    json_decref(asked.answer);
    assert_string_equal(service_sql(&fixture->orders, "SELECT name FROM seen").text, "later");
    close_orders(fixture);
}

static void nothing_is_done_for_a_request_that_is_wrong_in_one_place(void **state)
{
    struct fixture *fixture = *state;
    park_pairs(fixture, 1);
    json_t *keys = chosen(fixture, (struct parked_filter){0}), *good = json_array_get(keys, 0);
    static const char *const bad[] = {"{}",
                                      "[1]",
                                      "[null]",
                                      "[{\"source\": \"users\"}]",
                                      "[{\"source\": \"users\", \"key\": \"1\", \"id\": 7}]",
                                      "[{\"source\": \"users\", \"key\": \"1\", \"id\": \"\","
                                      " \"attempts\": -1}]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct choosing c = {.service = &fixture->orders, .drops = i % 2 == 1};
        assert_int_equal(json_parse(bad[i], strlen(bad[i]), &c.keys, &c.error), FH_OK);
        if (json_is_array(c.keys))
            json_array_insert(c.keys, 0, good);
        harness_run(&fixture->harness, act_entry, &c);
        assert_int_equal(c.code, FH_INVALID);
        json_decref(c.keys);
    }
    struct choosing many = {.service = &fixture->orders, .keys = json_array(), .drops = true};
    for (int i = 0; i <= PARKED_MANY_MAX; i++)
        json_array_append(many.keys, good);
    harness_run(&fixture->harness, act_entry, &many);
    assert_int_equal(many.code, FH_INVALID);
    json_decref(many.keys);
    json_decref(keys);
    assert_int_equal(parked_count(fixture), 2);
    close_orders(fixture);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(keys_are_chosen_by_type_error_and_age_of_their_first_event),
        TEST(pages_have_each_key_once),
        TEST(each_chosen_key_is_retried_in_order_whatever_becomes_of_the_others),
        TEST(what_is_parked_again_meanwhile_is_not_what_was_chosen),
        TEST(the_first_event_of_each_chosen_key_is_dropped),
        TEST(what_came_behind_a_key_since_it_was_chosen_is_not_dropped_with_it),
        TEST(nothing_is_done_for_a_request_that_is_wrong_in_one_place),
    };
    return cmocka_run_group_tests_name("event_parked_many", tests, NULL, NULL);
}
