/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Roll-ups against a model that has every point for ever and answers each question by going through
 * all of them. A seed draws late, repeated and corrected points, how far the clock goes on, or
 * back, how many slices of a sweep there are and which of them are rolled back, and what else is
 * declared from then on. FREEHOLD_SEED repeats a run.
 *
 * Of the store the model knows only up to which times there are roll-ups, which decides whether a
 * point is taken. Values are multiples of a quarter, or 64 bits, so that sums are exact in
 * whichever order they are made.
 */

#include "../support/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "store/derived/series_rollup.h"

#define ROUNDS 40
#define BATCH 40
#define QUESTIONS 10
#define DEVICES 4
#define POINTS_MAX (ROUNDS * BATCH)
#define INTERVALS_MAX 60
#define HOUR_MS INT64_C(3600000)
#define DAY_MS (24 * HOUR_MS)
#define STEP_MS (HOUR_MS / 3)
#define BEGIN_MS (-40 * DAY_MS) /* so that times of both signs are there */

static const struct fh_derived_field measured_fields[] = {
    {"device", FH_STRING, FH_TAG}, {"c", FH_NUMBER}, {"n", FH_INT}, {0}};

#define MEASURED(days, ...)                                                                        \
    {                                                                                              \
        .name = "measured", .model = FH_SERIES, .fields = measured_fields, .keep_days = days,      \
        .rollups = {                                                                               \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

static const struct fh_derived bounded = MEASURED(2, {3 * HOUR_MS, 5}, {DAY_MS, 12});
/* One after the other may be declared in any order: none loses what another one has. */
static const struct fh_derived endless[] = {
    MEASURED(2, {3 * HOUR_MS, 5}, {DAY_MS, 0}),
    MEASURED(4, {3 * HOUR_MS, 5}, {DAY_MS, 0}),
    MEASURED(1, {DAY_MS, 0}),
    MEASURED(2, {HOUR_MS, 3}, {3 * HOUR_MS, 6}, {12 * HOUR_MS, 8}, {DAY_MS, 0}),
    MEASURED(3, {6 * HOUR_MS, 9}, {DAY_MS, 0}),
    MEASURED(2, {2 * HOUR_MS, 4}, {DAY_MS, 0}),
};
static const fh_service service = {
    .name = "meters", .model = FH_RELATIONAL, .derives = {MEASURED(2, {DAY_MS, 0})}};

struct known {
    int device;
    int64_t at_ms;
    bool has_c, has_n;
    double c;
    int64_t n;
};

struct summed {
    int64_t points, counts[2];
    long double sum_c;
    __extension__ __int128 sum_n;
    struct known min_c, max_c, first_c, last_c, min_n, max_n, first_n, last_n;
};

struct rolling {
    struct fixture *fixture;
    struct fh_derived declared;
    int64_t now_ms;
    bool back; /* the clock may go back, and the declaration change */
    char failure[4096];
};

static struct known points[POINTS_MAX];
static int point_count;
static uint64_t drawn, seed;

static int draw(int below)
{
    drawn ^= drawn << 13; /* xorshift */
    drawn ^= drawn >> 7;
    drawn ^= drawn << 17;
    return (int)((drawn >> 11) % (uint64_t)below);
}

static void fail_rolling(struct rolling *rolling, const char *what)
{
    if (!rolling->failure[0])
        snprintf(rolling->failure, sizeof rolling->failure, "FREEHOLD_SEED=%llu: %s",
                 (unsigned long long)seed, what);
}

static const struct derived_ops *ops(const struct rolling *rolling)
{
    return derived_engine(rolling->fixture->context.store);
}

static int64_t oldest_ms(const struct rolling *rolling)
{
    return series_points_ms(&rolling->declared,
                            rolling->now_ms - rolling->declared.keep_days * DAY_MS);
}

static struct store_work *begin(struct rolling *rolling, enum store_mode mode)
{
    struct store_work *work = NULL;
    struct fh_error error;
    if (store_begin(rolling->fixture->context.store, mode, &work, &error) != FH_OK)
        fail_rolling(rolling, error.message);
    return work;
}

static void end(struct rolling *rolling, struct store_work *work, enum fh_code code,
                struct fh_error *error)
{
    if (code == FH_OK)
        code = store_commit(work, error);
    else
        store_rollback(work);
    if (code != FH_OK)
        fail_rolling(rolling, error->message);
}

/* ---- What the model knows of bounds ---- */

struct bounds {
    int count;
    int64_t taken_ms; /* points of earlier times are left out */
    int64_t from_ms[1 + SERIES_ROLLUPS_MAX], every_ms[1 + SERIES_ROLLUPS_MAX]; /* [0]: points */
};

static bool take_until(void *context, const struct sql_row *row)
{
    struct bounds *bounds = context;
    int64_t every_ms = row->values[0].integer, until_ms = row->values[1].integer;
    if (every_ms == 0 && bounds->taken_ms < until_ms)
        bounds->taken_ms = until_ms;
    for (int i = 1; i < bounds->count; i++) {
        for (int j = 0; bounds->every_ms[i] == every_ms && j < i; j++) {
            if (bounds->from_ms[j] < until_ms)
                bounds->from_ms[j] = until_ms;
        }
    }
    return true;
}

static int64_t multiple_before(int64_t at_ms, int64_t every_ms)
{
    int64_t many = 1000000 * every_ms; /* so that it is not negative */
    return (at_ms + many) / every_ms * every_ms - many;
}

/* What is older is what `from_ms` of the last one says, in intervals of the next one's length. */
static struct bounds bounds_of(struct rolling *rolling, struct store_work *work)
{
    const struct fh_derived *declared = &rolling->declared;
    struct bounds bounds = {.count = 1 + series_rollup_count(declared),
                            .taken_ms = oldest_ms(rolling)};
    struct fh_error error;
    for (int i = 0; i < bounds.count; i++) {
        int days = i ? declared->rollups[i - 1].keep_days : declared->keep_days;
        int64_t every_ms = declared->rollups[i + 1 < bounds.count || !i ? i : i - 1].every_ms;
        bounds.every_ms[i] = i ? declared->rollups[i - 1].every_ms : 0;
        /* Days are counted from where points begin. */
        int64_t from_ms = oldest_ms(rolling) - (days - declared->keep_days) * DAY_MS;
        bounds.from_ms[i] = days ? multiple_before(from_ms, every_ms) : -1000 * DAY_MS;
    }
    if (sql_run(work, "SELECT every, until FROM fh_derived_1_rollup_until", NULL, 0, take_until,
                &bounds, NULL, &error) != FH_OK)
        fail_rolling(rolling, error.message);
    if (bounds.from_ms[0] < bounds.taken_ms)
        bounds.from_ms[0] = bounds.taken_ms;
    return bounds;
}

/* ---- Points ---- */

static struct known *known_at(int device, int64_t at_ms)
{
    for (int i = 0; i < point_count; i++) {
        if (points[i].device == device && points[i].at_ms == at_ms)
            return &points[i];
    }
    return NULL;
}

static void draw_known(const struct rolling *rolling, struct known *point)
{
    *point = (struct known){
        .device = draw(DEVICES),
        .at_ms = multiple_before(rolling->now_ms - draw(6) * draw(24) * HOUR_MS, STEP_MS),
        .has_c = draw(8) > 0,
        .has_n = draw(8) > 0,
        .c = (draw(2000) - 1000) / 4.0,
        .n = draw(5) ? draw(200) - 100 : INT64_MAX - draw(100)};
    if (draw(10) == 0)
        point->at_ms += draw(1000);
    if (point_count && draw(3) == 0) { /* repeated, or corrected */
        const struct known *again = &points[draw(point_count)];
        point->device = again->device;
        point->at_ms = again->at_ms;
    }
}

static enum fh_code put_known(struct rolling *rolling, struct store_work *work,
                              const struct known *point, struct fh_error *error)
{
    char name[8];
    int64_t number = 0, id;
    snprintf(name, sizeof name, "d%d", point->device);
    json_t *fact = json_pack("{s:s, s:o, s:o}", "device", name, "c",
                             point->has_c ? json_real(point->c) : json_null(), "n",
                             point->has_n ? json_integer(point->n) : json_null());
    enum fh_code code = series_fact_check(&rolling->declared, point->at_ms, fact, error);
    if (code == FH_OK && point->at_ms >= oldest_ms(rolling)) /* as fh_fact looks at it */
        code = ops(rolling)->measure(work, &rolling->declared, &number, point->at_ms, fact, &id,
                                     error);
    json_decref(fact);
    return code;
}

static void put_some(struct rolling *rolling)
{
    struct store_work *work = begin(rolling, STORE_WRITE);
    struct fh_error error;
    enum fh_code code = FH_OK;
    if (!work)
        return;
    int64_t taken_ms = bounds_of(rolling, work).taken_ms;
    for (int i = 0; i < BATCH && code == FH_OK; i++) {
        struct known point;
        draw_known(rolling, &point);
        code = put_known(rolling, work, &point, &error);
        if (point.at_ms < taken_ms)
            continue;
        struct known *there = known_at(point.device, point.at_ms);
        *(there ? there : &points[point_count++]) = point;
    }
    end(rolling, work, code, &error);
}

/* ---- The sweep, and the declaration ---- */

static void sweep_some(struct rolling *rolling)
{
    struct series_trimming at = {0};
    int slices = draw(5);
    while (slices-- > 0 && !at.done && !rolling->failure[0]) {
        struct fh_error error;
        struct series_trimming after = at;
        struct store_work *work = begin(rolling, STORE_WRITE);
        if (!work)
            return;
        enum fh_code code =
            ops(rolling)->trim(work, &rolling->declared, oldest_ms(rolling), &after, &error);
        if (code == FH_OK && draw(3) == 0) {
            store_rollback(work); /* as if it was killed */
            continue;
        }
        end(rolling, work, code, &error);
        at = after;
    }
}

static void declare(struct rolling *rolling, const struct fh_derived *declared)
{
    struct fh_error error;
    struct store_work *work = begin(rolling, STORE_WRITE_EXCLUSIVE);
    rolling->declared = *declared;
    if (work)
        end(rolling, work, ops(rolling)->prepare(work, declared, 1, &error), &error);
}

/* ---- Questions ---- */

struct rolled_question {
    int64_t from_ms, to_ms, every_ms;
    int device; /* -1: all */
    bool by_device;
};

static const char *const asked[] = {"count",   "count c", "sum c",   "mean c", "min c", "max c",
                                    "first c", "last c",  "count n", "sum n",  "min n", "max n",
                                    "mean n",  "first n", "last n",  NULL};

static int compare_known(const void *one, const void *other)
{
    const struct known *a = one, *b = other;
    if (a->at_ms != b->at_ms)
        return a->at_ms < b->at_ms ? -1 : 1;
    return a->device - b->device;
}

static void sum_known(struct summed *summed, const struct known *point)
{
    summed->points++;
    if (point->has_c) {
        bool only = summed->counts[0]++ == 0;
        summed->sum_c += (long double)point->c;
        summed->min_c = only || point->c < summed->min_c.c ? *point : summed->min_c;
        summed->max_c = only || point->c > summed->max_c.c ? *point : summed->max_c;
        summed->first_c = only ? *point : summed->first_c;
        summed->last_c = *point;
    }
    if (point->has_n) {
        bool only = summed->counts[1]++ == 0;
        summed->sum_n += point->n;
        summed->min_n = only || point->n < summed->min_n.n ? *point : summed->min_n;
        summed->max_n = only || point->n > summed->max_n.n ? *point : summed->max_n;
        summed->first_n = only ? *point : summed->first_n;
        summed->last_n = *point;
    }
}

static json_t *json_of_long(int64_t integer)
{
    if (integer <= INT64_C(1) << 53 && integer >= -(INT64_C(1) << 53))
        return json_integer(integer);
    return json_sprintf("%lld", (long long)integer);
}

static json_t *row_of_summed(int64_t at_ms, const struct summed *s)
{
    json_t *row =
        json_pack("[I, I, I]", (json_int_t)at_ms, (json_int_t)s->points, (json_int_t)s->counts[0]);
    const double of_c[] = {
        (double)s->sum_c, s->counts[0] ? (double)(s->sum_c / (long double)s->counts[0]) : 0,
        s->min_c.c,       s->max_c.c,
        s->first_c.c,     s->last_c.c};
    for (int i = 0; i < 6; i++)
        json_array_append_new(row, s->counts[0] ? json_real(of_c[i]) : json_null());
    json_array_append_new(row, json_integer(s->counts[1]));
    bool fits = s->sum_n <= INT64_MAX && s->sum_n >= INT64_MIN;
    json_t *const of_n[] = {
        fits ? json_of_long((int64_t)s->sum_n) : json_real((double)s->sum_n),
        json_of_long(s->min_n.n),
        json_of_long(s->max_n.n),
        json_real(s->counts[1] ? (double)((long double)s->sum_n / (long double)s->counts[1]) : 0),
        json_of_long(s->first_n.n),
        json_of_long(s->last_n.n)};
    for (int i = 0; i < 6; i++) {
        json_array_append(row, s->counts[1] ? of_n[i] : json_null());
        json_decref(of_n[i]);
    }
    return row;
}

/* NULL: it has no points there. */
static json_t *model_curve(const struct rolled_question *question, int64_t from_ms, int64_t to_ms,
                           int device)
{
    static struct summed summed[INTERVALS_MAX];
    int64_t first_ms = multiple_before(question->from_ms, question->every_ms);
    int count = 0, found = 0;
    while (first_ms + count * question->every_ms < question->to_ms)
        memset(&summed[count++], 0, sizeof *summed);
    for (int i = 0; i < point_count; i++) { /* in the order of compare_known */
        const struct known *point = &points[i];
        if (point->at_ms < from_ms || point->at_ms >= to_ms ||
            (device >= 0 && point->device != device))
            continue;
        found++;
        sum_known(&summed[(point->at_ms - first_ms) / question->every_ms], point);
    }
    json_t *rows = found ? json_array() : NULL;
    for (int i = 0; i < count && rows; i++)
        json_array_append_new(rows, row_of_summed(first_ms + i * question->every_ms, &summed[i]));
    return rows;
}

static json_t *model_curves(const struct rolled_question *question, int64_t from_ms, int64_t to_ms)
{
    json_t *curves = json_array();
    qsort(points, (size_t)point_count, sizeof *points, compare_known);
    for (int i = question->by_device ? 0 : -1; i < (question->by_device ? DEVICES : 0); i++) {
        char name[8];
        if (i >= 0 && question->device >= 0 && i != question->device)
            continue;
        json_t *rows = model_curve(question, from_ms, to_ms, i >= 0 ? i : question->device);
        if (!rows)
            continue;
        snprintf(name, sizeof name, "d%d", i);
        json_t *tags = i >= 0 ? json_pack("{s:s}", "device", name) : json_object();
        json_array_append_new(curves, json_pack("{s:o, s:o}", "tags", tags, "points", rows));
    }
    return curves;
}

/* What time counts, and the field that is wrong; NULL: none is. */
static const char *model_time(const struct bounds *bounds, const struct rolled_question *question,
                              int64_t *from_ms, int64_t *to_ms)
{
    int first = 0, last = 0;
    *from_ms = question->from_ms;
    *to_ms = question->to_ms;
    if (*from_ms < bounds->from_ms[bounds->count - 1])
        *from_ms = bounds->from_ms[bounds->count - 1];
    if (*from_ms >= bounds->from_ms[0] || *from_ms >= *to_ms)
        return NULL;
    while (*from_ms < bounds->from_ms[first])
        first++;
    while (*to_ms - 1 < bounds->from_ms[last])
        last++;
    if (question->every_ms % bounds->every_ms[first])
        return "every_ms";
    *from_ms = multiple_before(*from_ms, bounds->every_ms[first]);
    if (last)
        *to_ms = multiple_before(*to_ms - 1, bounds->every_ms[last]) + bounds->every_ms[last];
    return NULL;
}

static void draw_rolled_question(const struct rolling *rolling, struct rolled_question *question)
{
    static const int64_t lengths[] = {HOUR_MS, 3 * HOUR_MS, 12 * HOUR_MS,
                                      DAY_MS,  2 * DAY_MS,  7 * HOUR_MS};
    *question =
        (struct rolled_question){.from_ms = rolling->now_ms - draw(30 * 24) * HOUR_MS - draw(1000),
                                 .every_ms = lengths[draw(draw(2) ? 6 : 3)],
                                 .device = draw(3) ? -1 : draw(DEVICES),
                                 .by_device = draw(2)};
    if (draw(2))
        question->every_ms = draw(3) ? DAY_MS : 3 * DAY_MS;
    question->to_ms = question->from_ms + 1 + draw(30 * 24) * HOUR_MS;
    int64_t last_ms = question->from_ms + (INTERVALS_MAX - 1) * question->every_ms;
    question->to_ms = question->to_ms < last_ms ? question->to_ms : last_ms;
}

static void compare_rolled(struct rolling *rolling, const struct rolled_question *question,
                           const json_t *answer, const json_t *expected)
{
    if (json_equal(json_object_get(answer, "curves"), expected))
        return;
    char *is = json_text(answer), *should = json_text(expected), what[3900];
    snprintf(what, sizeof what,
             "now %lld, from %lld to %lld every %lld, device %d, by %d: %.1700s\n"
             "should be %.1700s",
             (long long)rolling->now_ms, (long long)question->from_ms, (long long)question->to_ms,
             (long long)question->every_ms, question->device, question->by_device, is, should);
    fail_rolling(rolling, what);
    json_text_free(is);
    json_text_free(should);
}

static void ask_rolled(struct rolling *rolling, int *ret_answered)
{
    struct rolled_question question;
    struct store_work *work = begin(rolling, STORE_READ);
    struct fh_error error = {0};
    int64_t from_ms, to_ms;
    char name[8];
    if (!work)
        return;
    draw_rolled_question(rolling, &question);
    snprintf(name, sizeof name, "d%d", question.device);
    json_t *answer = NULL, *tags = question.device >= 0 ? json_pack("{s:s}", "device", name) : NULL;
    struct bounds bounds = bounds_of(rolling, work);
    const char *field = model_time(&bounds, &question, &from_ms, &to_ms);
    const struct fh_series series = {
        .tags = tags,
        .from_ms = question.from_ms,
        .to_ms = question.to_ms,
        .every_ms = question.every_ms,
        .values = asked,
        .by = question.by_device ? (const char *const[]){"device", NULL} : NULL};
    enum fh_code code = ops(rolling)->series(work, &rolling->declared, &series, oldest_ms(rolling),
                                             &answer, &error);
    store_rollback(work);
    if (field && (code != FH_INVALID || strcmp(error.field, field) != 0))
        fail_rolling(rolling, answer ? "it was not refused" : error.message);
    else if (!field && code != FH_OK)
        fail_rolling(rolling, error.message);
    if (!field && answer) {
        json_t *expected = model_curves(&question, from_ms, to_ms);
        compare_rolled(rolling, &question, answer, expected);
        *ret_answered += json_array_size(expected) > 0 && from_ms < bounds.from_ms[0];
        json_decref(expected);
    }
    json_decref(answer);
    json_decref(tags);
}

/* ---- All of it ---- */

static void roll_all(void *argument)
{
    struct rolling *rolling = argument;
    int answered = 0;
    declare(rolling, rolling->back ? &endless[0] : &bounded);
    for (int i = 0; i < ROUNDS && !rolling->failure[0]; i++) {
        put_some(rolling);
        sweep_some(rolling);
        for (int j = 0; j < QUESTIONS && !rolling->failure[0]; j++)
            ask_rolled(rolling, &answered);
        rolling->now_ms += draw(48) * HOUR_MS + draw(1000);
        if (rolling->back && draw(6) == 0)
            rolling->now_ms -= draw(72) * HOUR_MS;
        if (rolling->back && draw(4) == 0)
            declare(rolling, &endless[draw((int)(sizeof endless / sizeof *endless))]);
    }
    if (answered < 20)
        fail_rolling(rolling, "hardly any question was answered of roll-ups");
}

static void roll(void **state, bool back)
{
    struct rolling rolling = {.fixture = *state, .now_ms = BEGIN_MS, .back = back};
    harness_run(&rolling.fixture->harness, roll_all, &rolling);
    if (rolling.failure[0])
        fail_msg("%s", rolling.failure);
}

static void answers_are_those_of_all_points(void **state)
{
    roll(state, false);
}

static void whatever_the_clock_and_the_declaration_do(void **state)
{
    roll(state, true);
}

static int set_up(void **state)
{
    const char *given = getenv("FREEHOLD_SEED");
    int failed = fixture_set_up(state, &service, "CREATE TABLE device (id TEXT PRIMARY KEY)");
    world_random(((struct fixture *)*state)->context.world, &seed, sizeof seed);
    if (given)
        seed = strtoull(given, NULL, 10);
    drawn = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
    point_count = 0;
    return failed;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_are_those_of_all_points, set_up, fixture_tear_down),
        cmocka_unit_test_setup_teardown(whatever_the_clock_and_the_declaration_do, set_up,
                                        fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
