/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A service that publishes gets a store that was filled beside the one it served from: what follows
 * from events happens once, what was published stays what it was, and what the new store can't have
 * keeps the former one.
 */

#include "../support/hearing.h"

#include <unistd.h>

#include "event/subscribe/replay.h"
#include "service/rebuild.h"
#include "service/rebuild_join.h"

static bool draws;

static void note_user(fh_work *w)
{
    json_t *data = fh_event_data(w);
    const char *name = fh_text(w, data, "name");
    if (poison && strcmp(name, poison) == 0)
        fh_fail(w, 422, "the name %s is too much", name);
    fh_exec(w, "INSERT INTO seen (user_id, name, fields) VALUES (:id, :name, 1)", data);
    if (draws)
        data = fh_object(w, "id", fh_int(w, data, "id"), "name", fh_id_new(w));
    fh_publish(w, "UserNoted", data);
}

#define NOTING                                                                                     \
    .model = FH_RELATIONAL, .subscribes = {{"users", "UserUpdated", note_user}},                   \
    .publishes = {{"UserNoted", 1, user_shape, .key = "id"}}
static const fh_service noting = {.name = "orders", NOTING};
static const fh_service filling = {.name = "filled", NOTING}; /* another folder */

/* ---- two stores ---- */

static struct service beside;

static void open_noting(struct fixture *fixture)
{
    service_open(&fixture->orders, &fixture->harness, &fixture->world.world, &noting);
    service_must(&fixture->orders, make_table);
    begin_hearing(&fixture->orders);
}

static void open_beside(struct fixture *fixture)
{
    service_open(&beside, &fixture->harness, &fixture->world.world, &filling);
    beside.context.holds_back = true;
    beside.context.reads_as = "orders" LEDGER_ASIDE "rebuild";
    service_must(&beside, make_table);
    service_sql(&beside, "INSERT OR REPLACE INTO fh_meta (name, value) VALUES ('" LEDGER_UNFINISHED
                         "', '" LEDGER_REBUILT "')");
    begin_hearing(&beside);
}

static void close_beside(struct fixture *fixture)
{
    end_hearing(fixture, &beside);
    service_close(&beside);
}

static void path_in(const struct service *service, const char *file, char ret[static 256])
{
    snprintf(ret, 256, "%s/%s", service->folder, file);
}

static const fh_step calls[] = {{.name = "greet", .call = "POST mails /api/mails"}, {0}};

static bool is_there(const struct service *service, const char *file)
{
    char path[256];
    path_in(service, file, path);
    return access(path, F_OK) == 0;
}

static bool has_log(const struct service *service)
{
    char path[256];
    struct stat status;
    path_in(service, "store.db-wal", path);
    return stat(path, &status) == 0 && status.st_size > 0;
}

static void rename_to(const struct service *from, const char *old, const struct service *to,
                      const char *fresh)
{
    char old_path[256], fresh_path[256];
    path_in(from, old, old_path);
    path_in(to, fresh, fresh_path);
    assert_int_equal(rename(old_path, fresh_path), 0);
}

/* As `up` does it. Both are closed. */
static void exchange(struct fixture *fixture)
{
    assert_false(has_log(&fixture->orders) || has_log(&beside));
    rename_to(&fixture->orders, "store.db", &fixture->orders, "former.db");
    rename_to(&beside, "store.db", &fixture->orders, "store.db");
}

struct joined {
    struct service *service;
    const fh_service *declaration; /* NULL: noting */
    enum fh_code code;
    struct fh_error error;
};

static void join_entry(void *argument)
{
    struct joined *joined = argument;
    json_t *config = json_pack("{s:s}", "folder", joined->service->folder);
    joined->code = service_rebuild_join(joined->declaration ? joined->declaration : &noting, config,
                                        joined->service->context.world, &joined->error);
    json_decref(config);
}

static void join(struct fixture *fixture)
{
    struct joined joined = {.service = &fixture->orders};
    harness_run(&fixture->harness, join_entry, &joined);
    if (joined.code != FH_OK)
        fail_msg("%s", joined.error.message);
    assert_false(is_there(&fixture->orders, "former.db"));
    assert_false(is_there(&fixture->orders, "former.lock"));
}

/* Nothing was written to either: the former one is had back, and serves. */
static void expect_former_stays(struct fixture *fixture, const char *why)
{
    struct joined joined = {.service = &fixture->orders};
    for (int i = 0; i < 2; i++) {
        harness_run(&fixture->harness, join_entry, &joined);
        assert_int_equal(joined.code, FH_INVALID);
        if (!strstr(joined.error.message, why))
            fail_msg("%s", joined.error.message);
    }
    assert_true(is_there(&fixture->orders, "former.db"));
    assert_false(is_there(&fixture->orders, "former.db-wal"));
    rename_to(&fixture->orders, "former.db", &fixture->orders, "store.db");
}

static int64_t count_in(struct service *service, const char *what)
{
    char sql[160];
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", what);
    return service_count(service, sql);
}

static int64_t place_of(struct service *service, const char *source)
{
    char sql[128];
    snprintf(sql, sizeof sql, "SELECT position FROM fh_cursor WHERE source = '%s'", source);
    return service_count(service, sql);
}

/* Of its new store: the events are all there, and each has had its effects once. */
static void expect_new_serves(struct fixture *fixture, int64_t position, int last)
{
    open_noting(fixture);
    wait_for(&fixture->orders, position, "following");
    expect_seen(&fixture->orders, 1, last);
    assert_int_equal(count_in(&fixture->orders, "fh_outbox"), last);
    close_orders(fixture);
}

/* Each of the two stores has applied what there is by then. */
static void serve_until(struct fixture *fixture, int64_t position)
{
    open_noting(fixture);
    wait_for(&fixture->orders, position, "following");
    close_orders(fixture);
}

static void fill_until(struct fixture *fixture, int64_t position)
{
    open_beside(fixture);
    wait_for(&beside, position, "following");
    close_beside(fixture);
}

/* ---- tests ---- */

static void what_follows_from_an_event_happens_once_and_its_subscribers_notice_nothing(void **state)
{
    struct fixture *fixture = *state;
    char incarnation[ID_SIZE], last[256];
    publish(fixture, 1, 10);
    open_noting(fixture);
    wait_for(&fixture->orders, 10, "following");
    service_sql(&fixture->orders,
                "INSERT INTO fh_subscriber VALUES ('search', '0/1', 'theirs', 7, 9, 12)");
    service_trim(&fixture->orders, 4);
    open_beside(fixture);
    wait_for(&beside, 10, "following");
    assert_int_equal(count_in(&beside, "fh_outbox"), 0);
    expect_seen(&beside, 1, 10);
    close_beside(fixture);
    publish(fixture, 11, 5); /* that store has not heard of these */
    wait_for(&fixture->orders, 15, "following");
    memcpy(incarnation, fixture->orders.context.store->incarnation, ID_SIZE);
    memcpy(last,
           service_sql(&fixture->orders, "SELECT event_id FROM fh_outbox WHERE position = 15").text,
           sizeof last);
    close_orders(fixture);
    exchange(fixture);
    join(fixture);
    open_noting(fixture);
    wait_for(&fixture->orders, 15, "following");
    publish(fixture, 16, 5);
    wait_for(&fixture->orders, 20, "following");
    struct service *service = &fixture->orders;
    assert_string_equal(service->context.store->incarnation, incarnation);
    expect_seen(service, 1, 20);
    assert_int_equal(count_in(service, "fh_outbox"), 16);
    assert_int_equal(service_count(service, "SELECT min(position) FROM fh_outbox"), 5);
    assert_int_equal(service_count(service, "SELECT max(position) FROM fh_outbox"), 20);
    assert_string_equal(
        service_sql(service, "SELECT event_id FROM fh_outbox WHERE position = 15").text, last);
    assert_string_equal(
        service_sql(service, "SELECT value FROM fh_meta WHERE name = 'trimmed_position'").text,
        "4");
    assert_int_equal(count_in(service, "fh_last_of_key"), 20);
    assert_int_equal(service_count(service, "SELECT done FROM fh_subscriber"), 7);
    assert_int_equal(place_of(service, "users~replay"), 0);
    close_orders(fixture);
}

static void it_can_be_repeated_and_does_nothing_where_there_is_no_former_store(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 1, 10);
    open_noting(fixture);
    wait_for(&fixture->orders, 10, "following");
    fill_until(fixture, 10);
    close_orders(fixture);
    exchange(fixture);
    join(fixture);
    rename_to(&fixture->orders, "store.db", &fixture->orders, "former.db"); /* a crash */
    open_noting(fixture);
    close_orders(fixture);
    join(fixture);
    join(fixture);
}

/* The two pass them at different times, and keep their cursors then. */
static void events_of_other_types_do_not_count(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 1, 10);
    serve_until(fixture, 10);
    publish_unheard(fixture, 5);
    open_beside(fixture);
    wait_for(&beside, 10, "following");
    publish(fixture, 11, 1);
    publish_unheard(fixture, 5);
    wait_for(&beside, 16, "following");
    close_beside(fixture);
    fill_until(fixture, 16); /* a cursor that has been passed by many stays where it was */
    serve_until(fixture, 21);
    exchange(fixture);
    join(fixture);
    expect_new_serves(fixture, 21, 11);
}

static void a_store_that_has_heard_nothing_yet_begins_where_the_former_one_did(void **state)
{
    struct fixture *fixture = *state;
    publish_unheard(fixture, 3);
    fill_until(fixture, 0);
    publish(fixture, 1, 2);
    serve_until(fixture, 5);
    exchange(fixture);
    join(fixture);
    expect_new_serves(fixture, 5, 2);
}

/* Its outbox has no op for what its new rows have otherwise. */
static void what_is_derived_for_a_server_is_made_anew_under_another_name(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 1, 2);
    open_noting(fixture);
    wait_for(&fixture->orders, 2, "following");
    service_sql(&fixture->orders,
                "INSERT INTO fh_meta (name, value) VALUES ('carried', '[\"items\"]'), "
                "('carried items', '{\"last\":7,\"serving\":{\"number\":7,\"incarnation\":\"i\","
                "\"digest\":\"d\",\"began\":0,\"cursor\":2,\"after\":\"\",\"filled\":true,"
                "\"lost\":false,\"end\":1,\"parked\":[]}}')");
    close_orders(fixture);
    open_beside(fixture);
    wait_for(&beside, 2, "following");
    close_beside(fixture);
    exchange(fixture);
    join(fixture);
    open_noting(fixture);
    assert_string_equal(
        service_sql(&fixture->orders, "SELECT value FROM fh_meta WHERE name = 'carried items'")
            .text,
        "{\"last\":7}");
    close_orders(fixture);
}

static void a_store_with_events_that_the_former_one_lacks_is_not_taken(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 1, 10);
    serve_until(fixture, 10);
    publish(fixture, 11, 1);
    fill_until(fixture, 11);
    exchange(fixture);
    expect_former_stays(fixture, "up to 10, and its new store has them up to 11");
    open_noting(fixture);
    wait_for(&fixture->orders, 11, "following");
    assert_int_equal(count_in(&fixture->orders, "fh_outbox"), 11);
    close_orders(fixture);
}

static void what_is_in_the_former_store_alone_keeps_it(void **state)
{
    static const struct {
        const char *statement, *undone, *why;
    } all[] = {
        {"INSERT INTO fh_timer VALUES ('at', 5, 'x', 'remind', '{}', NULL, 0, '')",
         "DELETE FROM fh_timer", "holds timers"},
        {"INSERT INTO fh_saga (birth, number, name, input, state, status, epoch, deadline_ms,"
         " updated_ms) VALUES ('b', 1, 'pay', '{}', '{}', 'ended', 1, 0, 0)",
         "DELETE FROM fh_saga", "holds sagas"},
        {"INSERT INTO fh_command (caller, key, birth, number, attempt, created_ms, outcome, digest)"
         " VALUES ('client POST /a', 'k', '', 0, 1, 0, 'done', '')",
         "DELETE FROM fh_command", "holds what came of commands"},
        {"INSERT INTO fh_parked VALUES ('users', '0/1', '3', 3, 'id', 'UserUpdated', 0, 5, 'no', 0,"
         " '{}')",
         "DELETE FROM fh_parked", "holds parked events"},
        {"INSERT INTO fh_cursor VALUES ('users~replay', '0/1', (SELECT incarnation FROM fh_cursor"
         " WHERE source = 'users'), 12, 'id', 0)",
         "DELETE FROM fh_cursor WHERE source = 'users~replay'", "were being applied again"},
        {"INSERT INTO fh_round VALUES ('users', '0/1', 1, 1, 0, '', 0, '')", "DELETE FROM fh_round",
         "was resynchronising with users"},
        {"UPDATE fh_cursor SET incarnation = 'another' WHERE source = 'users'",
         "UPDATE fh_cursor SET incarnation = (SELECT value FROM fh_meta WHERE name = 'kept')",
         "has not applied an event since"},
    };
    struct fixture *fixture = *state;
    publish(fixture, 1, 10);
    open_noting(fixture);
    wait_for(&fixture->orders, 10, "following");
    fill_until(fixture, 10);
    end_hearing(fixture, &fixture->orders);
    service_sql(&fixture->orders, "INSERT INTO fh_meta (name, value) SELECT 'kept', incarnation"
                                  " FROM fh_cursor WHERE source = 'users'");
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        service_sql(&fixture->orders, all[i].statement);
        service_close(&fixture->orders);
        rename_to(&fixture->orders, "store.db", &fixture->orders, "former.db");
        rename_to(&beside, "store.db", &fixture->orders, "store.db");
        struct joined joined = {.service = &fixture->orders};
        harness_run(&fixture->harness, join_entry, &joined);
        assert_int_equal(joined.code, FH_INVALID);
        if (!strstr(joined.error.message, all[i].why))
            fail_msg("%s", joined.error.message);
        rename_to(&fixture->orders, "store.db", &beside, "store.db");
        rename_to(&fixture->orders, "former.db", &fixture->orders, "store.db");
        service_open(&fixture->orders, &fixture->harness, &fixture->world.world, &noting);
        service_sql(&fixture->orders, all[i].undone);
    }
    service_close(&fixture->orders);
    exchange(fixture);
    join(fixture);
}

static void sagas_and_what_is_known_of_others_go_over_as_they_are(void **state)
{
    struct fixture *fixture = *state;
    fh_service declaration = noting;
    struct joined joined = {.service = &fixture->orders, .declaration = &declaration};
    declaration.sagas[0] = (struct fh_saga_definition){"welcome", calls};
    publish(fixture, 1, 10);
    open_noting(fixture);
    wait_for(&fixture->orders, 10, "following");
    service_sql(
        &fixture->orders,
        "INSERT INTO fh_saga (birth, number, name, input, state, status, epoch, deadline_ms,"
        " updated_ms) VALUES ('b', 3, 'welcome', '{}', '{}', 'running', 7, 0, 0)");
    service_sql(&fixture->orders,
                "INSERT INTO fh_saga_step VALUES ('b', 3, 0, 0, 2, 'mails', '{}', 'sent', NULL,"
                " NULL, 0)");
    service_sql(&fixture->orders, "INSERT INTO fh_meta VALUES ('peers', '{\"mails\": {}}')");
    fill_until(fixture, 10);
    close_orders(fixture);
    exchange(fixture);
    harness_run(&fixture->harness, join_entry, &joined);
    assert_int_equal(joined.code, FH_OK);
    open_noting(fixture);
    struct service *service = &fixture->orders;
    assert_int_equal(service_count(service, "SELECT epoch FROM fh_saga WHERE status = 'running'"),
                     7);
    assert_int_equal(service_count(service, "SELECT attempt FROM fh_saga_step"), 2);
    assert_int_equal(count_in(service, "fh_meta WHERE name = 'peers' AND value <> ''"), 1);
    assert_int_equal(count_in(service, "fh_meta WHERE name = 'unfinished' AND value <> ''"), 0);
    close_orders(fixture);
}

static void lose_entry(void *argument)
{
    struct fixture *fixture = argument;
    assert_false(subscription_replay_lost(fixture->orders.context.events->subscriptions, "A test"));
}

struct abandoned {
    struct fixture *fixture;
    enum fh_code code;
    json_t *answer;
    struct fh_error error;
};

static void abandon_entry(void *argument)
{
    struct abandoned *abandoned = argument;
    abandoned->code = replay_abandon(abandoned->fixture->orders.context.events, "users",
                                     &abandoned->answer, &abandoned->error);
}

/* It has never applied them, so nobody may have it go on behind them. */
static void what_the_new_store_lacks_is_not_given_up(void **state)
{
    struct fixture *fixture = *state;
    struct abandoned abandoned = {.fixture = fixture};
    publish(fixture, 1, 10);
    fill_until(fixture, 10);
    publish(fixture, 11, 10);
    serve_until(fixture, 20);
    exchange(fixture);
    join(fixture);
    fixture->road = ROAD_DOWN;
    open_noting(fixture);
    wait_for(&fixture->orders, 10, "unreachable");
    harness_run(&fixture->harness, lose_entry, fixture);
    harness_run(&fixture->harness, abandon_entry, &abandoned);
    assert_int_equal(abandoned.code, FH_CONFLICT);
    assert_non_null(strstr(abandoned.error.message, "its new store lacks still"));
    json_decref(abandoned.answer);
    service_trim(&fixture->users, 15);
    fixture->road = ROAD_GOOD;
    wait_for(&fixture->orders, 10, "refused"); /* there is no state to begin with */
    assert_int_equal(place_of(&fixture->orders, "users"), 10);
    assert_int_equal(place_of(&fixture->orders, "users~replay"), 20);
    close_orders(fixture);
}

static bool nothing_is_parked(void *argument)
{
    return view_of(&((struct fixture *)argument)->orders).parked_events == 0;
}

static void what_was_parked_meanwhile_holds_back_the_same_when_it_is_retried(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture, 1, 10);
    open_noting(fixture);
    wait_for(&fixture->orders, 10, "following");
    poison = "name 5";
    fill_until(fixture, 10);
    poison = NULL;
    close_orders(fixture);
    exchange(fixture);
    join(fixture);
    open_noting(fixture);
    wait_for(&fixture->orders, 10, "following");
    harness_until(&fixture->harness, nothing_is_parked, fixture); /* retried at the start */
    assert_int_equal(count_in(&fixture->orders, "seen"), 10);
    assert_int_equal(count_in(&fixture->orders, "fh_outbox"), 10);
    close_orders(fixture);
}

/* Others know the id that it drew when it published. */
static void an_id_that_is_drawn_and_published_is_no_id_for_another_store(void **state)
{
    struct fixture *fixture = *state;
    draws = true;
    publish(fixture, 1, 1);
    open_beside(fixture);
    wait_for(&beside, 1, "following");
    draws = false;
    assert_int_equal(count_in(&beside, "seen"), 0);
    assert_non_null(strstr(service_sql(&beside, "SELECT error FROM fh_parked").text,
                           "UserNoted holds an id that its handler has drawn"));
    close_beside(fixture);
}

static void which_services_may_be_rebuilt(void **state)
{
    static const fh_step runs[] = {{.name = "greet", .call = "POST mails /api/mails"},
                                   {.name = "note", .run = note_user, .pivot = true},
                                   {0}};
    fh_service service = noting;
    struct fh_error error;
    (void)state;
    assert_true(service_rebuild_joins(&service));
    assert_int_equal(service_may_be_rebuilt(&service, &error), FH_OK);
    service.routes[0] = (struct fh_route){"GET", "/api/a", note_user};
    assert_int_equal(service_may_be_rebuilt(&service, &error), FH_OK);
    service.routes[1] = (struct fh_route){"POST", "/api/a", note_user};
    assert_int_equal(service_may_be_rebuilt(&service, &error), FH_UNSUPPORTED);
    assert_non_null(strstr(error.message, "orders takes commands"));
    service = noting;
    service.publishes[0] = (struct fh_published){0};
    assert_false(service_rebuild_joins(&service));
    service.sagas[0] = (struct fh_saga_definition){"welcome", calls};
    assert_true(service_rebuild_joins(&service));
    assert_int_equal(service_may_be_rebuilt(&service, &error), FH_OK);
    service.sagas[0].undone = note_user;
    assert_int_equal(service_may_be_rebuilt(&service, &error), FH_UNSUPPORTED);
    service.sagas[0] = (struct fh_saga_definition){"welcome", runs};
    assert_int_equal(service_may_be_rebuilt(&service, &error), FH_UNSUPPORTED);
    assert_non_null(strstr(error.message, "orders handles steps of sagas"));
    service = noting;
    service.timers[0] = (struct fh_timer){"remind", note_user};
    assert_int_equal(service_may_be_rebuilt(&service, &error), FH_UNSUPPORTED);
    assert_non_null(strstr(error.message, "orders has timers"));
}

static int set_up(void **state)
{
    draws = false;
    return setup(state);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_follows_from_an_event_happens_once_and_its_subscribers_notice_nothing),
        TEST(it_can_be_repeated_and_does_nothing_where_there_is_no_former_store),
        TEST(events_of_other_types_do_not_count),
        TEST(a_store_that_has_heard_nothing_yet_begins_where_the_former_one_did),
        TEST(what_is_derived_for_a_server_is_made_anew_under_another_name),
        TEST(a_store_with_events_that_the_former_one_lacks_is_not_taken),
        TEST(what_is_in_the_former_store_alone_keeps_it),
        TEST(sagas_and_what_is_known_of_others_go_over_as_they_are),
        TEST(what_the_new_store_lacks_is_not_given_up),
        TEST(what_was_parked_meanwhile_holds_back_the_same_when_it_is_retried),
        TEST(an_id_that_is_drawn_and_published_is_no_id_for_another_store),
        TEST(which_services_may_be_rebuilt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
