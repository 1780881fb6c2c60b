/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Series on PostgreSQL: whatever is asked of points there is answered as it is of the same points
 * in the service's own store, in whatever order and however often they came.
 */

#include "postgresql_series.h"

#define POINTS 900
#define QUESTIONS 200

/* ---- Both answer alike ---- */

static const char *const devices[] = {"d1", "d\"2", "d\\3", "ü,{4}", "NULL", "", "d1 ", "日本"};
#define DEVICES ((int)(sizeof devices / sizeof *devices))

static int64_t draw_time(void)
{
    if (draw(40) == 0)
        return (draw(2) ? 1 : -1) * (int64_t)draw(1000000) * 8640000000;
    return BEGAN_MS + (int64_t)draw(60) * 86400000 / 4 + draw(5) * 1000 + draw(3);
}

static json_t *draw_point(void)
{
    json_t *battery = draw(6) ? json_integer(draw(1000) - 500) : json_null();
    if (draw(30) == 0) {
        json_decref(battery);
        battery = json_string("9223372036854775807");
    }
    return keep_value(json_pack("{s:s, s:i, s:b, s:o, s:o}", "device", devices[draw(DEVICES)],
                                "site", draw(3) - 1, "on", draw(2), "celsius",
                                draw(8) ? json_real(draw(800) / 8.0 - 40) : json_null(), "battery",
                                battery));
}

static void put_own(const struct carried_op *ops)
{
    struct store *store = trial.fixture->context.store;
    struct store_work *work;
    struct fh_error error;
    int64_t number = 0, id;
    FH_ASSERT(store_begin(store, STORE_WRITE, &work, &error) == FH_OK);
    for (int i = 0; i < POINTS; i++)
        FH_ASSERT(derived_engine(store)->measure(work, declared(), &number, ops[i].at_ms,
                                                 ops[i].value, &id, &error) == FH_OK);
    FH_ASSERT(store_commit(work, &error) == FH_OK);
}

/* Pages that begin and end anywhere, in any order; the last ones are all of it. */
static void carry_drawn(struct carried_op *ops)
{
    for (int i = 0; i < 25; i++) {
        int from = draw(POINTS), count = 1 + draw(POINTS - from < 120 ? POINTS - from : 120);
        EXPECT_THAT(send_ops(trial.server, from, from + count, &ops[from], count) == FH_OK);
    }
    for (int from = 0, count; from < POINTS; from += count) {
        count = POINTS - from < 100 ? POINTS - from : 100;
        EXPECT_THAT(send_ops(trial.server, from, from + count, &ops[from], count) == FH_OK);
    }
    for (int i = 0; i < POINTS; i++)
        EXPECT_THAT(!ops[i].refused[0]);
}

static void fill_both(void)
{
    static struct carried_op ops[POINTS];
    for (int i = 0; i < POINTS; i++)
        ops[i] = make_op(i + 1, draw_time(), draw_point());
    put_own(ops);
    EXPECT_THAT(make_generation(trial.server) == FH_OK);
    carry_drawn(ops);
}

static enum fh_code ask_own(const struct fh_series *series, int64_t oldest_ms, json_t **ret,
                            struct fh_error *error)
{
    struct store *store = trial.fixture->context.store;
    struct store_work *work;
    FH_ASSERT(store_begin(store, STORE_READ, &work, error) == FH_OK);
    enum fh_code code =
        derived_engine(store)->series(work, declared(), series, oldest_ms, ret, error);
    store_rollback(work);
    return code;
}

static void compare_question(const struct fh_series *series, int64_t oldest_ms)
{
    struct fh_error error = {0}, served_error = {0};
    json_t *own = NULL, *served = NULL;
    enum fh_code code = ask_own(series, oldest_ms, &own, &error);
    enum fh_code served_code = trial.server->ops->series(
        trial.server, declared(), &trial.name, series, oldest_ms, NULL, 0, &served, &served_error);
    bool alike = code == served_code && strcmp(error.message, served_error.message) == 0 &&
                 strcmp(error.field, served_error.field) == 0 &&
                 (code != FH_OK || json_equal(own, served));
    trial.compared++;
    trial.refused += code != FH_OK;
    trial.curves += (int)json_array_size(json_object_get(own, "curves"));
    if (!alike && !trial.wrong[0]) {
        char *one = json_text(own ? own : json_null()),
             *other = json_text(served ? served : json_null());
        snprintf(trial.wrong, sizeof trial.wrong,
                 "question %d, every %lld ms: %d %s %.700s here, %d %s %.700s there",
                 trial.compared, (long long)series->every_ms, (int)code, error.message, one,
                 (int)served_code, served_error.message, other);
        json_text_free(one);
        json_text_free(other);
    }
    json_decref(own);
    json_decref(served);
}

static void draw_values(const char *values[5], bool intervals)
{
    static const char *const functions[] = {"mean celsius",  "sum battery",   "min celsius",
                                            "max battery",   "first celsius", "last celsius",
                                            "p50 celsius",   "p95 battery",   "p99 celsius",
                                            "count celsius", "count",         "sum celsius"};
    int count = 1 + draw(4);
    for (int i = 0; i < count; i++)
        values[i] = intervals ? functions[draw(12)] : draw(2) ? "celsius" : "battery";
    values[count] = NULL;
}

static void compare_drawn(void)
{
    static const char *const tags[] = {"device", "site", "on"};
    const char *values[5], *by[4];
    int by_count = 0;
    bool intervals = draw(3) > 0;
    struct fh_series series = {.by = by, .tags = json_object()};
    for (int i = 0; i < 3; i++) {
        if (draw(3) == 0)
            by[by_count++] = tags[i];
    }
    by[by_count] = NULL;
    if (draw(3) == 0)
        json_object_set_new(series.tags, "device", json_string(devices[draw(DEVICES)]));
    if (draw(5) == 0)
        json_object_set_new(series.tags, "site", json_integer(draw(5) - 2));
    if (draw(5) == 0)
        json_object_set_new(series.tags, "on", json_boolean(draw(2)));
    if (intervals || draw(2)) {
        series.from_ms = BEGAN_MS + (int64_t)(draw(20) - 4) * 86400000 + draw(3);
        series.to_ms = series.from_ms + (int64_t)draw(16) * 86400000 + draw(2);
    }
    if (intervals) {
        series.every_ms = (int64_t[]){3600000, 86400000, WEEK_MS, 50000000}[draw(4)];
        series.fill = (enum fh_fill[]){FH_GAPS, FH_PREVIOUS, FH_LINEAR}[draw(3)];
    } else {
        series.limit = draw(30);
    }
    draw_values(values, intervals);
    series.values = !intervals && draw(3) == 0 ? NULL : values;
    compare_question(&series, draw(4) ? INT64_MIN : BEGAN_MS + (int64_t)draw(15) * 86400000);
    json_decref(series.tags);
}

static void compare_what_is_refused(void)
{
    json_t *tags = json_pack("{s:s}", "site", "a text"), *none = json_pack("{s:i}", "no", 1);
    const char *const mean[] = {"mean celsius", NULL}, *const wrong[] = {"mean device", NULL};
    compare_question(&(struct fh_series){.values = mean, .from_ms = 5, .to_ms = 5, .every_ms = 1},
                     INT64_MIN);
    compare_question(&(struct fh_series){.values = mean, .to_ms = 1000000, .every_ms = 1},
                     INT64_MIN);
    compare_question(&(struct fh_series){.values = wrong, .to_ms = 1000, .every_ms = 100},
                     INT64_MIN);
    compare_question(&(struct fh_series){.tags = tags}, INT64_MIN);
    compare_question(&(struct fh_series){.tags = none}, INT64_MIN);
    compare_question(&(struct fh_series){.limit = 1001}, INT64_MIN);
    json_decref(tags);
    json_decref(none);
}

static void what_is_asked_is_answered_as_by_the_services_own_store(void)
{
    fill_both();
    for (int i = 0; i < QUESTIONS && !trial.wrong[0]; i++)
        compare_drawn();
    compare_what_is_refused();
    EXPECT_THAT(trial.compared > QUESTIONS && trial.refused > 5 && trial.curves > QUESTIONS);
}

/* ---- Ops ---- */

static void versions_compare(void)
{
    json_t *old = make_point("d1", 1, 1), *new = make_point("d1", 1, 2),
           *newer = make_point("d1", 1, 3);
    struct carried_op first = make_op(5, BEGAN_MS, new), late = make_op(4, BEGAN_MS, old);
    struct carried_op both[2] = {make_op(6, BEGAN_MS, old), make_op(7, BEGAN_MS, newer)};
    EXPECT_THAT(send_ops(trial.server, 0, 5, &first, 1) == FH_NOT_FOUND);
    EXPECT_THAT(make_generation(trial.server) == FH_OK && make_generation(trial.server) == FH_OK);
    EXPECT_THAT(send_ops(trial.server, 4, 5, &first, 1) == FH_OK);
    EXPECT_THAT(send_ops(trial.server, 3, 4, &late, 1) == FH_OK && last_celsius() == 2);
    EXPECT_THAT(send_ops(trial.server, 5, 7, both, 2) == FH_OK && last_celsius() == 3);
    EXPECT_THAT(send_ops(trial.server, 4, 5, &first, 1) == FH_OK && last_celsius() == 3);
    EXPECT_THAT(send_ops(trial.server, 7, 9, NULL, 0) == FH_OK);
    EXPECT_THAT(administer("SELECT count(*) FROM $.link") == 4);
}

static void links_come_in_the_order_of_their_ends(void)
{
    struct carried_link after = {0, 0};
    int count = 0, all = 0;
    EXPECT_THAT(make_generation(trial.server) == FH_OK);
    for (int i = 9; i > 0; i--)
        EXPECT_THAT(send_ops(trial.server, i > 4 ? i - 2 : 0, i, NULL, 0) == FH_OK);
    do {
        EXPECT_THAT(trial.server->ops->links(trial.server, declared(), &trial.name, &after, 4,
                                             note_link, NULL, &count, &said) == FH_OK);
        EXPECT_THAT(links_last.to > after.to);
        after = links_last;
        all += count;
    } while (count == 4 && !trial.wrong[0]);
    EXPECT_THAT(all == 9 && links_found == 9 && after.to == 9 && after.from == 7);
}

/* What is no point as declared, and what the server will not have: a column that is narrower. */
static void refused_ops_are_alone(void)
{
    struct carried_op ops[40];
    json_t *bad = keep_value(json_pack("{s:s}", "device", "secret"));
    EXPECT_THAT(make_generation(trial.server) == FH_OK);
    administer("ALTER TABLE $.point ALTER COLUMN v4 TYPE smallint");
    for (int i = 0; i < 40; i++) {
        char device[16];
        snprintf(device, sizeof device, "d%d", i % 7);
        json_t *value = make_point(device, i % 3, 21.5);
        if (i == 13 || i == 31)
            json_object_set_new(value, "battery", json_integer(4242424242 + i));
        ops[i] = make_op(i + 1, BEGAN_MS + i, value);
    }
    struct carried_op worse = make_op(41, BEGAN_MS, bad);
    EXPECT_THAT(send_ops(trial.server, 0, 40, ops, 40) == FH_OK);
    for (int i = 0; i < 40; i++)
        EXPECT_THAT(!ops[i].refused[0] == (i != 13 && i != 31));
    EXPECT_THAT(strcmp(ops[13].refused, "PostgreSQL does not take it: 22003") == 0);
    EXPECT_THAT(administer("SELECT count(*) FROM $.point") == 38);
    EXPECT_THAT(administer("SELECT count(*) FROM $.link") == 1);
    EXPECT_THAT(send_ops(trial.server, 40, 41, &worse, 1) == FH_OK && worse.refused[0]);
    EXPECT_THAT(!strstr(worse.refused, "secret"));
}

/* Nobody else has it: so the page is not there, nor its link, which would say that it is. */
static void of_kept_points_none_is_there_where_one_is_refused(void)
{
    struct carried_op ops[3];
    trial.name.kept = true;
    curves_schema(curves_of(trial.server), declared(), &trial.name, trial.schema);
    EXPECT_THAT(make_generation(trial.server) == FH_OK);
    administer("ALTER TABLE $.point ALTER COLUMN v4 TYPE smallint");
    for (int i = 0; i < 3; i++) {
        json_t *value = make_point("d", i, 21.5);
        if (i == 1)
            json_object_set_new(value, "battery", json_integer(4242424242));
        ops[i] = make_op(i + 1, BEGAN_MS + i, value);
        ops[i].life = trial.name.incarnation;
    }
    EXPECT_THAT(send_ops(trial.server, 0, 3, ops, 3) == FH_OK && ops[1].refused[0]);
    EXPECT_THAT(administer("SELECT count(*) FROM $.point") == 0);
    EXPECT_THAT(administer("SELECT count(*) FROM $.link") == 0);
    administer("ALTER TABLE $.point ALTER COLUMN v4 TYPE bigint");
    EXPECT_THAT(send_ops(trial.server, 0, 3, ops, 3) == FH_OK && !ops[1].refused[0]);
    EXPECT_THAT(administer("SELECT count(*) FROM $.point") == 3);
    EXPECT_THAT(administer("SELECT count(*) FROM $.link") == 1);
}

/* ---- As much as is read ---- */

/* Made there: to carry so many takes long. */
static void points_are_read_up_to_a_bound(void)
{
    static const char *const values[] = {"count", "sum battery", "p99 battery", NULL};
    const struct fh_series series = {
        .values = values, .from_ms = BEGAN_MS, .to_ms = BEGAN_MS + WEEK_MS, .every_ms = WEEK_MS};
    struct carried_op op = make_op(1, BEGAN_MS, make_point("d1", 1, 1));
    EXPECT_THAT(make_generation(trial.server) == FH_OK);
    EXPECT_THAT(send_ops(trial.server, 0, 1, &op, 1) == FH_OK);
    EXPECT_THAT(administer("INSERT INTO $.point SELECT 1, 1700000000000 + n, 1, n, n"
                           " FROM generate_series(1, 999999) AS n; SELECT count(*) FROM $.point") ==
                SERIES_FOUND_MAX);
    json_t *answer = ask_series(&series, INT64_MIN, 0);
    const json_t *curve = json_array_get(json_object_get(answer, "curves"), 0);
    int64_t counted = 0;
    size_t i;
    const json_t *point;
    json_array_foreach (json_object_get(curve, "points"), i, point)
        counted += json_integer_value(json_array_get(point, 1));
    EXPECT_THAT(counted == SERIES_FOUND_MAX);
    json_decref(answer);
    administer("INSERT INTO $.point VALUES (1, 1700001000000, 1, 1, 1)");
    answer = ask_series(&series, INT64_MIN, 0);
    EXPECT_THAT(!answer && said.code == FH_INVALID && strcmp(said.field, "tags") == 0);
}

#define TRIALS(X)                                                                                  \
    X(versions_compare)                                                                            \
    X(what_is_asked_is_answered_as_by_the_services_own_store)                                      \
    X(links_come_in_the_order_of_their_ends)                                                       \
    X(refused_ops_are_alone)                                                                       \
    X(of_kept_points_none_is_there_where_one_is_refused)                                           \
    X(points_are_read_up_to_a_bound)

TRIALS(TRIAL_TEST)

int main(void)
{
    static const struct CMUnitTest tests[] = {TRIALS(TRIAL_ROW)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
