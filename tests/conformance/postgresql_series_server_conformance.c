/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Series on PostgreSQL: what is of this server alone. Generations and their names, partitions,
 * transactions over broken links, backends that end, deadlines, rights.
 */

#include "postgresql_series.h"

#include "link.h"

/* ---- Generations ---- */

static int names_found;
static bool own_name_found;

static void note_name(void *context, const struct carried_name *name)
{
    (void)context;
    names_found++;
    own_name_found |= carried_name_compare(name, &trial.name) == 0;
}

static void generations_are_named_after_their_owner(void)
{
    struct carried_name second = trial.name;
    struct fh_error error;
    const struct carried_server_ops *ops = trial.server->ops;
    static const struct fh_derived_field others[] = {
        {"device", FH_STRING, FH_TAG}, {"celsius", FH_INT}, {0}};
    const struct fh_derived other = {.name = "measured", .model = FH_SERIES, .fields = others};
    second.number = 2;
    EXPECT_THAT(make_generation(trial.server) == FH_OK);
    EXPECT_THAT(ops->make(trial.server, &other, &trial.name, &error) == FH_INVALID);
    EXPECT_THAT(ops->make(trial.server, declared(), &second, &error) == FH_OK);
    EXPECT_THAT(ops->generations(trial.server, declared(), note_name, NULL, &error) == FH_OK);
    EXPECT_THAT(names_found == 2 && own_name_found);
    EXPECT_THAT(strlen(trial.schema) <= 63 && strncmp(trial.schema, "freehold-", 9) == 0);
    EXPECT_THAT(ops->drop(trial.server, declared(), &trial.name, &error) == FH_OK);
    EXPECT_THAT(ops->drop(trial.server, declared(), &trial.name, &error) == FH_OK);
    names_found = 0;
    EXPECT_THAT(ops->generations(trial.server, declared(), note_name, NULL, &error) == FH_OK);
    EXPECT_THAT(names_found == 1);
    json_t *answer = ask_series(&(struct fh_series){0}, INT64_MIN, 0);
    EXPECT_THAT(!answer && said.code == FH_NOT_FOUND);
    EXPECT_THAT(ops->trim(trial.server, declared(), &trial.name, 0, &error) == FH_NOT_FOUND);
    EXPECT_THAT(ops->links(trial.server, declared(), &trial.name, &(struct carried_link){0}, 1,
                           note_link, NULL, &(int){0}, &error) == FH_NOT_FOUND);
    EXPECT_THAT(ops->drop(trial.server, declared(), &second, &error) == FH_OK);
}

/* ---- Partitions ---- */

static void partitions_are_made_as_points_come_and_dropped_with_them(void)
{
    enum { WEEKS = 30 };
    struct carried_op ops[WEEKS + 2];
    struct fh_error error;
    EXPECT_THAT(make_generation(trial.server) == FH_OK);
    for (int i = 0; i < WEEKS; i++) {
        char device[16];
        snprintf(device, sizeof device, "d%d", i);
        ops[i] = make_op(i + 1, BEGAN_MS + i * WEEK_MS, make_point(device, 1, i));
    }
    ops[WEEKS] = make_op(WEEKS + 1, SERIES_AT_MS_MAX, make_point("far", 1, 50));
    ops[WEEKS + 1] = make_op(WEEKS + 2, -SERIES_AT_MS_MAX, make_point("early", 1, 51));
    EXPECT_THAT(send_ops(trial.server, 0, WEEKS + 2, ops, WEEKS + 2) == FH_OK);
    EXPECT_THAT(administer("SELECT count(*) FROM pg_inherits WHERE inhparent ="
                           " '$.point'::regclass") == WEEKS + 2);
    EXPECT_THAT(trial.server->ops->trim(trial.server, declared(), &trial.name,
                                        BEGAN_MS + 20 * WEEK_MS, &error) == FH_OK);
    /* The early one, and those that end by then: not the one that time is in. */
    EXPECT_THAT(administer("SELECT count(*) FROM pg_inherits WHERE inhparent ="
                           " '$.point'::regclass") == WEEKS + 2 - 21);
    EXPECT_THAT(administer("SELECT count(*) FROM $.curve") <= WEEKS + 2);
    for (int i = 0; i < 60; i++) /* a slice of curves each time, from anywhere on */
        EXPECT_THAT(trial.server->ops->trim(trial.server, declared(), &trial.name, 0, &error) ==
                    FH_OK);
    EXPECT_THAT(administer("SELECT count(*) FROM $.curve") == WEEKS + 2 - 21);
    EXPECT_THAT(last_celsius() == 50);
    /* What was removed may come late, and is as if it were not there. */
    EXPECT_THAT(send_ops(trial.server, 0, WEEKS + 2, ops, WEEKS + 2) == FH_OK);
    json_t *answer = ask_series(&(struct fh_series){.by = (const char *const[]){"device", NULL}},
                                BEGAN_MS + 20 * WEEK_MS, 0);
    EXPECT_THAT(json_array_size(json_object_get(answer, "curves")) == WEEKS - 20 + 1);
    json_decref(answer);
}

/* A client may choose the times of points. */
static void partitions_stay_few_whatever_times_there_are(void)
{
    enum { OPS = 1500 };
    static struct carried_op ops[OPS];
    EXPECT_THAT(make_generation(trial.server) == FH_OK);
    json_t *value = make_point("d1", 1, 1);
    for (int i = 0; i < OPS; i++)
        ops[i] = make_op(i + 1, ((int64_t)draw(1 << 30) - (1 << 29)) * 8000000 * 2, value);
    EXPECT_THAT(send_ops(trial.server, 0, OPS, ops, OPS) == FH_OK);
    int64_t partitions = administer("SELECT count(*) FROM pg_inherits WHERE inhparent ="
                                    " '$.point'::regclass");
    EXPECT_THAT(partitions > 50 && partitions < 600);
    EXPECT_THAT(administer("SELECT count(*) FROM $.point") > OPS - 10);
    EXPECT_THAT(trial.server->ops->drop(trial.server, declared(), &trial.name, &said) == FH_OK);
}

/* ---- Broken links ---- */

static int64_t points_there(void)
{
    return administer("SELECT count(*) FROM $.point");
}

static void a_page_is_there_whole_or_not_at_all(void)
{
    static const enum link_cut cuts[] = {LINK_CUT_BEFORE, LINK_CUT_AFTER, LINK_CUT_IN, LINK_HELD};
    static const char *const markers[] = {"; COMMIT", "fh_position", "SAVEPOINT"};
    struct link link;
    json_t *value = make_point("d1", 1, 1);
    EXPECT_THAT(make_generation(trial.server) == FH_OK);
    EXPECT_THAT(link_open(&link, trial.world, server_port_of_tests(), "nothing"));
    struct carried_server *server = open_over(link.port);
    for (int i = 0; i < 12 && !trial.wrong[0]; i++) {
        struct carried_op ops[2] = {make_op(2 * i + 1, BEGAN_MS + 2 * i, value),
                                    make_op(2 * i + 2, BEGAN_MS + 2 * i + 1, value)};
        bool commits = i / 4 == 0;
        int64_t before = points_there();
        link.marker = markers[i / 4];
        link.next = cuts[i % 4];
        enum fh_code code = send_ops(server, 2 * i, 2 * i + 2, ops, 2);
        EXPECT_THAT(code == (commits ? FH_OUTCOME_UNKNOWN : FH_UNAVAILABLE));
        if (cuts[i % 4] == LINK_HELD)
            link_release(&link);
        int64_t after = points_there(), links = administer("SELECT count(*) FROM $.link");
        EXPECT_THAT(after == before || after == before + 2);
        EXPECT_THAT(after == 2 * links);
        /* A backend that does not know that its client is gone holds the generation a while. */
        int64_t until_ns = world_in_ms(trial.world, 20000);
        do
            code = send_ops(server, 2 * i, 2 * i + 2, ops, 2);
        while (code == FH_UNAVAILABLE && world_monotonic_ns(trial.world) < until_ns);
        EXPECT_THAT(code == FH_OK);
        EXPECT_THAT(points_there() == 2 * (i + 1) && send_ops(server, 0, 2, ops, 0) == FH_OK);
        EXPECT_THAT(administer("SELECT count(*) FROM $.link WHERE begins > 0 OR ends = 2") ==
                    i + 1);
    }
    curves_close(server);
    link_close(&link);
}

static void ended_backends_are_replaced(void)
{
    json_t *value = make_point("d1", 1, 1);
    struct carried_op op = make_op(1, BEGAN_MS, value);
    EXPECT_THAT(make_generation(trial.server) == FH_OK);
    EXPECT_THAT(send_ops(trial.server, 0, 1, &op, 1) == FH_OK && last_celsius() == 1);
    EXPECT_THAT(administer("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE"
                           " application_name = 'freehold derived'") >= 2);
    EXPECT_THAT(send_ops(trial.server, 0, 1, &op, 1) == FH_OK && last_celsius() == 1);
}

struct holding {
    struct postgresql_connection *connection;
};

/* All of the points, until it is let go. */
static struct holding hold_points(void)
{
    char sql[160];
    struct holding holding = {postgresql_administrator(trial.world, &said)};
    snprintf(sql, sizeof sql, "BEGIN; LOCK TABLE \"%s\".point IN ACCESS EXCLUSIVE MODE",
             trial.schema);
    FH_ASSERT(holding.connection &&
              postgresql_simple(holding.connection, "SET idle_in_transaction_session_timeout=0", -1,
                                NULL, NULL, &said) == FH_OK &&
              postgresql_simple(holding.connection, sql, -1, NULL, NULL, &said) == FH_OK);
    return holding;
}

static void a_question_past_its_deadline_ends(void)
{
    json_t *value = make_point("d1", 1, 1);
    struct carried_op op = make_op(1, BEGAN_MS, value);
    EXPECT_THAT(make_generation(trial.server) == FH_OK);
    EXPECT_THAT(send_ops(trial.server, 0, 1, &op, 1) == FH_OK);
    struct holding holding = hold_points();
    int64_t began_ns = world_monotonic_ns(trial.world);
    json_t *answer = ask_series(&(struct fh_series){0}, INT64_MIN, world_in_ms(trial.world, 300));
    EXPECT_THAT(!answer && said.code == FH_UNAVAILABLE);
    EXPECT_THAT(world_monotonic_ns(trial.world) - began_ns < INT64_C(3000000000));
    EXPECT_THAT(send_ops(trial.server, 0, 1, &op, 1) == FH_UNAVAILABLE);
    postgresql_administrator_free(holding.connection);
    EXPECT_THAT(last_celsius() == 1 && send_ops(trial.server, 0, 1, &op, 1) == FH_OK);
}

static void silence_soon(void *argument)
{
    struct carried_server *server = argument;
    fiber_sleep_until(trial.world, world_in_ms(trial.world, 150));
    curves_silence(server);
}

static void silence_ends_what_is_under_way(void)
{
    EXPECT_THAT(make_generation(trial.server) == FH_OK);
    struct holding holding = hold_points();
    struct carried_server *server = open_over(0);
    FH_ASSERT(fiber_start(trial.world->fibers, silence_soon, server));
    int64_t began_ns = world_monotonic_ns(trial.world);
    json_t *answer = NULL;
    enum fh_code code = server->ops->series(server, declared(), &trial.name, &(struct fh_series){0},
                                            INT64_MIN, NULL, 0, &answer, &said);
    EXPECT_THAT(code == FH_UNAVAILABLE && !answer);
    EXPECT_THAT(world_monotonic_ns(trial.world) - began_ns < INT64_C(3000000000));
    EXPECT_THAT(server->ops->series(server, declared(), &trial.name, &(struct fh_series){0},
                                    INT64_MIN, NULL, 0, &answer, &said) == FH_UNAVAILABLE);
    EXPECT_THAT(send_ops(server, 0, 1, NULL, 0) == FH_UNAVAILABLE);
    curves_close(server);
    postgresql_administrator_free(holding.connection);
}

static void a_server_that_is_away_is_unavailable(void)
{
    struct link link;
    EXPECT_THAT(link_open(&link, trial.world, server_port_of_tests(), "nothing"));
    link.refuses = true;
    struct carried_server *server = open_over(link.port);
    EXPECT_THAT(send_ops(server, 0, 1, NULL, 0) == FH_UNAVAILABLE);
    EXPECT_THAT(make_generation(trial.server) == FH_OK);
    link.refuses = false;
    EXPECT_THAT(send_ops(server, 0, 1, NULL, 0) == FH_OK);
    curves_close(server);
    link_close(&link);
}

/* ---- Two at a time ---- */

struct carrier_of_two {
    struct carried_server *server;
    int step, done;
};

static void carry_beside(void *argument)
{
    struct carrier_of_two *carrier = argument;
    for (int i = 0; i < 20; i++) {
        struct carried_op ops[50];
        struct carried_page page = {{i * 10, i * 10 + 50}, ops, 50};
        struct fh_error error;
        for (int j = 0; j < 50; j++) {
            int position = i * 10 + (carrier->step > 0 ? j : 49 - j) + 1;
            char device[16];
            snprintf(device, sizeof device, "d%d", position % 23);
            ops[j] = make_op(position, BEGAN_MS + (position % 70) * WEEK_MS / 9,
                             make_point(device, 1, position));
        }
        if (carrier->server->ops->send(carrier->server, declared(), &trial.name, &page, &error) ==
            FH_OK)
            carrier->done++;
        else
            fprintf(stderr, "%s\n", error.message);
    }
}

static void start_carrying_beside(void *argument)
{
    carry_beside(argument);
    ((struct carrier_of_two *)argument)->step = 0;
}

static void two_carriers_at_a_time_do_no_harm(void)
{
    struct carrier_of_two one = {trial.server, 1, 0}, other = {open_over(0), -1, 0};
    EXPECT_THAT(make_generation(trial.server) == FH_OK);
    FH_ASSERT(fiber_start(trial.world->fibers, start_carrying_beside, &other));
    carry_beside(&one);
    while (other.step)
        fiber_sleep_until(trial.world, world_in_ms(trial.world, 5));
    EXPECT_THAT(one.done == 20 && other.done == 20);
    EXPECT_THAT(administer("SELECT count(*) FROM $.point WHERE v3 <> fh_position") == 0);
    EXPECT_THAT(administer("SELECT count(*) FROM $.point") > 200);
    curves_close(other.server);
}

/* ---- A user with few rights ---- */

static void a_user_needs_no_more_than_to_make_schemas(void)
{
    char sql[320], role[64];
    struct carried_server *server;
    struct carried_op op = make_op(1, BEGAN_MS, make_point("d1", 1, 1));
    json_t *options = options_over(0), *answer = NULL;
    snprintf(role, sizeof role, "%.40s.few", owner);
    json_object_set_new(options, "user", json_string(role));
    json_object_set_new(options, "password", json_string("few"));
    snprintf(sql, sizeof sql, "CREATE ROLE \"%s\" LOGIN PASSWORD 'few'", role);
    administer(sql);
    EXPECT_THAT(curves_open(trial.world, options, owner, &server, &said) == FH_OK);
    EXPECT_THAT(server->ops->make(server, declared(), &trial.name, &said) == FH_UNSUPPORTED);
    EXPECT_THAT(strstr(said.message, "42501") != NULL);
    snprintf(sql, sizeof sql, "GRANT CREATE ON DATABASE postgres TO \"%s\"", role);
    administer(sql);
    EXPECT_THAT(make_generation(server) == FH_OK);
    EXPECT_THAT(send_ops(server, 0, 1, &op, 1) == FH_OK);
    EXPECT_THAT(server->ops->series(server, declared(), &trial.name, &(struct fh_series){0},
                                    INT64_MIN, NULL, 0, &answer, &said) == FH_OK);
    EXPECT_THAT(json_array_size(json_object_get(answer, "curves")) == 1);
    EXPECT_THAT(server->ops->trim(server, declared(), &trial.name, INT64_MAX, &said) == FH_OK);
    EXPECT_THAT(server->ops->generations(server, declared(), note_name, NULL, &said) == FH_OK);
    EXPECT_THAT(server->ops->drop(server, declared(), &trial.name, &said) == FH_OK);
    curves_close(server);
    snprintf(sql, sizeof sql, "REVOKE CREATE ON DATABASE postgres FROM \"%s\"; DROP ROLE \"%s\"",
             role, role);
    administer(sql);
    json_decref(answer);
    json_decref(options);
}

/* ---- Options ---- */

static void options_are_looked_at(void)
{
    static const char *const wrong[] = {
        "{}",
        "{\"database\": \"d\"}",
        "{\"database\": \"d\", \"user\": 7}",
        "{\"database\": \"d\", \"user\": \"u\", \"port\": 0}",
        "{\"database\": \"d\", \"user\": \"u\", \"password\": [\"secret\"]}",
        "{\"database\": \"d\", \"user\": \"u\", \"tls\": {\"mode\": \"some\"}}",
        NULL};
    json_t *good = json_pack("{s:s, s:s}", "database", "d", "user", "u");
    for (const char *const *text = wrong; *text; text++) {
        json_t *options = json_loads(*text, 0, NULL);
        EXPECT_THAT(curves_check(options, &said) == FH_INVALID && said.message[0]);
        EXPECT_THAT(!strstr(said.message, "secret"));
        json_decref(options);
    }
    EXPECT_THAT(curves_check(NULL, &said) == FH_INVALID);
    EXPECT_THAT(curves_check(good, &said) == FH_OK);
    json_decref(good);
}

#define TRIALS(X)                                                                                  \
    X(generations_are_named_after_their_owner)                                                     \
    X(partitions_are_made_as_points_come_and_dropped_with_them)                                    \
    X(partitions_stay_few_whatever_times_there_are)                                                \
    X(a_page_is_there_whole_or_not_at_all)                                                         \
    X(ended_backends_are_replaced)                                                                 \
    X(a_question_past_its_deadline_ends)                                                           \
    X(silence_ends_what_is_under_way)                                                              \
    X(a_server_that_is_away_is_unavailable)                                                        \
    X(two_carriers_at_a_time_do_no_harm)                                                           \
    X(a_user_needs_no_more_than_to_make_schemas)                                                   \
    X(options_are_looked_at)

TRIALS(TRIAL_TEST)

int main(void)
{
    static const struct CMUnitTest tests[] = {TRIALS(TRIAL_ROW)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
