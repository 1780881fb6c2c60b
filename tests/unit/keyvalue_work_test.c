/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and values as handlers use them: what is built on the engine, and whose fault a failure is.
 */

#include "../support/run.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "work/keyvalue.h"

#define HOUR_MS 3600000

static const fh_service service = {.name = "keys", .model = FH_KEY_VALUE};

static int set_up(void **state)
{
    return fixture_set_up(state, &service, NULL);
}

/* One unit of work on a fiber, and what came of it. */

#define MUST(handler)                                                                              \
    do {                                                                                           \
        struct run did = run_one(state, handler, false);                                           \
        if (did.status >= 300)                                                                     \
            fail_msg("%d %s", did.status, did.reply);                                              \
    } while (0)

/* The handler's reply is exactly `text`. */
static void replies(void **state, fh_handler *handler, bool read_only, const char *text)
{
    struct run run = run_one(state, handler, read_only);
    assert_string_equal(run.reply, text);
    assert_int_equal(run.status, 200);
}

/* ---- Values, counters, hashes ---- */

static void set_value(fh_work *w)
{
    fh_kv_set(w, "v", json_pack("{s:i}", "a", 1));
    fh_reply(w, 200, fh_kv(w, "v"));
}

static void get_value(fh_work *w)
{
    fh_reply(w, 200, fh_kv(w, "v"));
}

static void try_value(fh_work *w)
{
    fh_reply(w, 200,
             json_pack("{s:b, s:b}", "v", fh_try_kv(w, "v") != NULL, "none",
                       fh_try_kv(w, "none") != NULL));
}

static void delete_value(fh_work *w)
{
    bool first = fh_kv_delete(w, "v"), again = fh_kv_delete(w, "v");
    fh_reply(w, 200, json_pack("[b, b]", first, again));
}

static void a_value_is_set_read_and_deleted(void **state)
{
    assert_int_equal(run_one(state, get_value, true).status, 404);
    replies(state, set_value, false, "{\"a\":1}");
    replies(state, get_value, true, "{\"a\":1}");
    replies(state, try_value, true, "{\"v\":true,\"none\":false}");
    replies(state, delete_value, false, "[true,false]");
    assert_int_equal(run_one(state, get_value, true).status, 404);
}

static void count(fh_work *w)
{
    int64_t five = fh_kv_add(w, "n", 5);
    fh_kv_count(w, "n", -7);
    int64_t minus_one = fh_kv_add(w, "n", 1);
    int64_t two = fh_kv_field_add(w, "h", "clicks", 2);
    int64_t one = fh_kv_field_add(w, "h", "clicks", -1);
    int64_t points = fh_kv_score_add(w, "s", "ann", 10) + fh_kv_score_add(w, "s", "ann", 5);
    fh_reply(w, 200,
             json_pack("[I, I, I, I, I]", (json_int_t)five, (json_int_t)minus_one, (json_int_t)two,
                       (json_int_t)one, (json_int_t)points));
}

static void counters_return_their_new_value(void **state)
{
    replies(state, count, false, "[5,-1,2,1,25]");
    replies(state, count, false, "[4,-2,3,2,55]");
}

static void add_to_text(fh_work *w)
{
    fh_kv_field_set(w, "h", "name", json_string("ann"));
    fh_kv_field_add(w, "h", "name", 1);
}

static void add_too_much(fh_work *w)
{
    fh_kv_score_set(w, "s", "ann", FH_SCORE_MAX);
    fh_kv_score_add(w, "s", "ann", 1);
}

static void sorted_as_hash(fh_work *w)
{
    fh_kv_score_set(w, "s", "ann", 1);
    fh_kv_field_set(w, "s", "ann", json_integer(1));
}

static void read_hash(fh_work *w)
{
    fh_reply(w, 200, fh_kv_fields(w, "h"));
}

static void what_the_store_does_not_allow_is_a_conflict_and_nothing_is_done(void **state)
{
    struct run run = run_one(state, add_to_text, false);
    assert_int_equal(run.status, 409);
    assert_non_null(strstr(run.reply, "'name' is not an integer"));
    assert_int_equal(run_one(state, add_too_much, false).status, 409);
    run = run_one(state, sorted_as_hash, false);
    assert_int_equal(run.status, 409);
    assert_non_null(strstr(run.reply, "'s' is a sorted set, and a hash is needed."));
    replies(state, read_hash, true, "{}");
}

/* ---- Sorted sets and places ---- */

static void make_ranking(fh_work *w)
{
    fh_kv_score_set(w, "s", "cid", 30);
    fh_kv_score_set(w, "s", "ann", 10);
    fh_kv_score_set(w, "s", "bea", 30);
    fh_kv_score_set(w, "s", "gone", 5);
    bool first = fh_kv_member_delete(w, "s", "gone"), again = fh_kv_member_delete(w, "s", "gone");
    int64_t score;
    if (!first || again || fh_kv_score(w, "s", "gone", &score))
        fh_fail(w, 500, "A deleted member is there.");
}

static void best_two(fh_work *w)
{
    fh_reply(w, 200, fh_kv_highest(w, "s", FH_SCORE_MIN, FH_SCORE_MAX, 0, 2));
}

static void second_lowest(fh_work *w)
{
    fh_reply(w, 200, fh_kv_lowest(w, "s", 0, FH_SCORE_MAX, 1, 1));
}

static void a_ranking_is_read_from_both_ends(void **state)
{
    MUST(make_ranking);
    replies(state, best_two, true,
            "[{\"member\":\"cid\",\"score\":30},{\"member\":\"bea\",\"score\":30}]");
    replies(state, second_lowest, true, "[{\"member\":\"bea\",\"score\":30}]");
}

static void make_places(fh_work *w)
{
    fh_kv_place_set(w, "sicily", "Palermo", 13.361389, 38.115556);
    fh_kv_place_set(w, "sicily", "Catania", 15.087269, 37.502669);
    fh_kv_place_set(w, "sicily", "Agrigento", 13.583333, 37.316667);
    fh_kv_place_set(w, "sicily", "Lagos", 3.4, 6.5);
}

static json_t *names_and_km(fh_work *w, json_t *near)
{
    json_t *list = json_array(), *one;
    size_t i;
    json_array_foreach (near, i, one)
        json_array_append_new(
            list, json_string(fh_format(
                      w, "%s %ld", json_string_value(json_object_get(one, "member")),
                      lround(json_real_value(json_object_get(one, "distance_m")) / 1000))));
    return list;
}

static void near_catania(fh_work *w)
{
    fh_reply(w, 200, names_and_km(w, fh_kv_near(w, "sicily", 15, 37, 200000, 10)));
}

static void nearest_to_catania(fh_work *w)
{
    fh_reply(w, 200, names_and_km(w, fh_kv_near(w, "sicily", 15, 37, 200000, 1)));
}

static void nowhere(fh_work *w)
{
    fh_reply(w, 200, fh_kv_near(w, "none", 15, 37, 200000, 1));
}

static void where_is_palermo(fh_work *w)
{
    json_t *place = fh_kv_place(w, "sicily", "Palermo");
    bool near = fabs(json_real_value(json_object_get(place, "longitude")) - 13.361389) < 0.00001 &&
                fabs(json_real_value(json_object_get(place, "latitude")) - 38.115556) < 0.00001;
    fh_reply(w, 200, json_pack("[b, b]", near, fh_kv_place(w, "sicily", "Rome") == NULL));
}

static void places_around_one_come_nearest_first(void **state)
{
    MUST(make_places);
    replies(state, near_catania, true, "[\"Catania 56\",\"Agrigento 130\",\"Palermo 190\"]");
    replies(state, nearest_to_catania, true, "[\"Catania 56\"]");
    replies(state, nowhere, true, "[]");
    replies(state, where_is_palermo, true, "[true,true]");
}

static void crowd(fh_work *w)
{
    for (int i = 0; i < KEYVALUE_MEMBERS_MAX; i++)
        fh_kv_place_set(w, "crowd", fh_format(w, "p%d", i), 15, 37);
}

static void near_crowd(fh_work *w)
{
    fh_reply(w, 200, names_and_km(w, fh_kv_near(w, "crowd", 15, 37, 10, 1)));
}

static void more_places_than_can_be_looked_at_are_refused(void **state)
{
    MUST(crowd);
    struct run run = run_one(state, near_crowd, true);
    assert_int_equal(run.status, 422);
    assert_non_null(strstr(run.reply, "/radius_m"));
}

/* ---- Whose fault ---- */

static void long_key(fh_work *w)
{
    char name[KEYVALUE_NAME_LENGTH_MAX + 2];
    memset(name, 'k', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    fh_kv_set(w, name, json_true());
}

static void no_key(fh_work *w)
{
    fh_try_kv(w, "");
}

static void broken_field(fh_work *w)
{
    fh_kv_field_set(w, "h", "\xff", json_true());
}

static void empty_member(fh_work *w)
{
    fh_kv_score_set(w, "s", "", 1);
}

static void no_value(fh_work *w)
{
    fh_kv_set(w, "v", NULL);
}

static void large_value(fh_work *w)
{
    fh_kv_set(w, "v", json_string(fh_format(w, "%*s", KEYVALUE_VALUE_SIZE_MAX, "x")));
}

static void large_score(fh_work *w)
{
    fh_kv_score_set(w, "s", "m", FH_SCORE_MAX + 1);
}

static void no_limit(fh_work *w)
{
    fh_kv_lowest(w, "s", 0, 1, 0, 0);
}

static void far_skip(fh_work *w)
{
    fh_kv_highest(w, "s", 0, 1, KEYVALUE_SKIP_MAX + 1, 1);
}

static void off_the_earth(fh_work *w)
{
    fh_kv_place_set(w, "s", "m", 0, 90);
}

static void endless_radius(fh_work *w)
{
    fh_kv_near(w, "s", 0, 0, NAN, 1);
}

static void no_time(fh_work *w)
{
    fh_kv_expire_at(w, "v", -1);
}

static void what_is_out_of_bounds_is_refused_with_its_field(void **state)
{
    static const struct {
        fh_handler *handler;
        const char *pointer;
    } rows[] = {{long_key, "\"/key\""},
                {no_key, "\"/key\""},
                {broken_field, "\"/field\""},
                {empty_member, "\"/member\""},
                {no_value, "\"/value\""},
                {large_value, "\"/value\""},
                {large_score, "\"/score\""},
                {no_limit, "\"/limit\""},
                {far_skip, "\"/skip\""},
                {off_the_earth, "\"/latitude\""},
                {endless_radius, "\"/radius_m\""},
                {no_time, "\"/at_ms\""}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct run run = run_one(state, rows[i].handler, false);
        assert_int_equal(run.status, 422);
        if (!strstr(run.reply, rows[i].pointer))
            fail_msg("%s names no %s", run.reply, rows[i].pointer);
    }
}

static void use_documents(fh_work *w)
{
    fh_try_doc(w, "c", "id");
}

static void calls_of_other_models_are_the_services_fault(void **state)
{
    assert_int_equal(run_one(state, use_documents, false).status, 500);
    assert_int_equal(run_one(state, set_value, true).status, 500); /* in a GET */
}

/* ---- Expiry ---- */

static void set_for_an_hour(fh_work *w)
{
    int64_t ends_ms;
    fh_kv_field_set(w, "h", "f", json_integer(1));
    bool there = fh_kv_expire_at(w, "h", fh_now_ms(w) + HOUR_MS);
    bool tells = fh_kv_expires_at(w, "h", &ends_ms) && ends_ms == fh_now_ms(w) + HOUR_MS;
    bool none = fh_kv_expire_at(w, "none", fh_now_ms(w) + HOUR_MS);
    fh_reply(w, 200, json_pack("[b, b, b]", there, tells, none));
}

static void end_now(fh_work *w)
{
    fh_kv_expire_at(w, "h", fh_now_ms(w));
    fh_reply(w, 200, fh_kv_fields(w, "h"));
}

static void a_key_expires_at_the_time_it_is_given(void **state)
{
    replies(state, set_for_an_hour, false, "[true,true,false]");
    replies(state, read_hash, true, "{\"f\":1}");
    replies(state, end_now, false, "{}");
    replies(state, read_hash, true, "{}");
}

/* ---- Peeking and sweeping ---- */

static void peek(fh_work *w)
{
    json_t *value = fh_peek_kv(w, "v"), *none = fh_peek_kv(w, "none");
    json_t *fields = fh_peek_kv_fields(w, "h");
    fh_kv_set(w, "v", json_integer(2));
    fh_reply(w, 200, json_pack("{s:O, s:b, s:O}", "v", value, "none", none != NULL, "h", fields));
}

static void peeking_opens_no_unit_of_work(void **state)
{
    MUST(set_value);
    replies(state, peek, false, "{\"v\":{\"a\":1},\"none\":false,\"h\":{}}");
}

struct sweep {
    struct fixture *fixture;
    enum fh_code code;
    int slices;
};

static void sweep_all(void *argument)
{
    struct sweep *sweep = argument;
    struct fh_error error;
    bool more = true;
    for (; more && sweep->code == FH_OK; sweep->slices++)
        sweep->code = keyvalue_sweep_slice(&sweep->fixture->context, &more, &error);
}

static void fill(fh_work *w)
{
    for (int i = 0; i < 2 * KEYVALUE_SWEEP_ROWS; i++)
        fh_kv_field_set(w, "h", fh_format(w, "f%d", i), json_integer(i));
    fh_kv_delete(w, "h");
}

static void what_was_deleted_is_swept_in_slices(void **state)
{
    struct sweep sweep = {*state, FH_OK, 0};
    MUST(fill);
    replies(state, read_hash, true, "{}");
    harness_run(&sweep.fixture->harness, sweep_all, &sweep);
    assert_int_equal(sweep.code, FH_OK);
    assert_int_equal(sweep.slices, 3);
    sweep.slices = 0;
    harness_run(&sweep.fixture->harness, sweep_all, &sweep);
    assert_int_equal(sweep.slices, 1);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, fixture_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_value_is_set_read_and_deleted),
        TEST(counters_return_their_new_value),
        TEST(what_the_store_does_not_allow_is_a_conflict_and_nothing_is_done),
        TEST(a_ranking_is_read_from_both_ends),
        TEST(places_around_one_come_nearest_first),
        TEST(more_places_than_can_be_looked_at_are_refused),
        TEST(what_is_out_of_bounds_is_refused_with_its_field),
        TEST(calls_of_other_models_are_the_services_fault),
        TEST(a_key_expires_at_the_time_it_is_given),
        TEST(peeking_opens_no_unit_of_work),
        TEST(what_was_deleted_is_swept_in_slices),
    };
    return cmocka_run_group_tests_name("keyvalue_work", tests, NULL, NULL);
}
