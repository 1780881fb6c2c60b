/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Roll-ups of series: that what becomes an interval counts as it did before, once; what can be
 * asked of it; and what becomes of it when others are declared. The unit test series_rollup tries
 * the same at random.
 */

#include "derived_bed.h"

#include <stdio.h>

#include "store/relational/sql.h"

#define DAY_MS INT64_C(86400000)
#define HOUR_MS INT64_C(3600000)
#define NOW_MS (1000 * DAY_MS)
#define FIELDS_MANY (DERIVED_FIELDS_MAX - 1)

static const struct fh_derived_field fields[] = {
    {"device", FH_STRING, FH_TAG}, {"c", FH_NUMBER}, {"n", FH_INT}, {0}};
static const struct fh_derived plain = {
    .name = "measured", .model = FH_SERIES, .fields = fields, .keep_days = 10};
static const struct fh_derived hours = {.name = "measured",
                                        .model = FH_SERIES,
                                        .fields = fields,
                                        .keep_days = 10,
                                        .rollups = {{HOUR_MS, 0}}};
static const struct fh_derived hours_and_days = {.name = "measured",
                                                 .model = FH_SERIES,
                                                 .fields = fields,
                                                 .keep_days = 10,
                                                 .rollups = {{HOUR_MS, 20}, {DAY_MS, 40}}};

#define VALUES(...)                                                                                \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static int64_t oldest_ms(const struct fh_derived *declared, int64_t now_ms)
{
    return now_ms - declared->keep_days * DAY_MS;
}

static bool put_in(struct conformance *c, struct store_work *work,
                   const struct fh_derived *declared, int64_t at_ms, json_t *fact)
{
    int64_t number = 0, id;
    enum fh_code code = series_fact_check(declared, at_ms, fact, &c->error);
    if (code == FH_OK)
        code = derived(c)->measure(work, declared, &number, at_ms, fact, &id, &c->error);
    json_decref(fact);
    return code == FH_OK;
}

static bool put(struct conformance *c, const struct fh_derived *declared, const char *device,
                int64_t at_ms, double celsius, int64_t n)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    json_t *fact = json_pack("{s:s, s:f, s:I}", "device", device, "c", celsius, "n", (json_int_t)n);
    if (work && put_in(c, work, declared, at_ms, fact))
        return conformance_commit(c, work) == FH_OK;
    conformance_rollback(c, work);
    return false;
}

static json_t *ask(struct conformance *c, const struct fh_derived *declared, int64_t now_ms,
                   const struct fh_series *series)
{
    json_t *answer = NULL;
    struct store_work *work = conformance_begin(c, STORE_READ);
    if (work)
        c->error.code = derived(c)->series(work, declared, series, oldest_ms(declared, now_ms),
                                           &answer, &c->error);
    conformance_rollback(c, work);
    return answer;
}

static bool answers(struct conformance *c, const struct fh_derived *declared, int64_t now_ms,
                    const struct fh_series *series, const char *text)
{
    json_t *answer = ask(c, declared, now_ms, series);
    if (!answer)
        conformance_note(c, __FILE__, __LINE__, c->error.message);
    bool same = answer && conformance_is(c, json_object_get(answer, "curves"), text);
    json_decref(answer);
    return same;
}

static bool refuses(struct conformance *c, const struct fh_derived *declared,
                    const struct fh_series *series, const char *field)
{
    json_t *answer = ask(c, declared, NOW_MS, series);
    bool refused = !answer && c->error.code == FH_INVALID && strcmp(c->error.field, field) == 0;
    if (!refused)
        conformance_note(c, __FILE__, __LINE__, answer ? "it was answered" : c->error.message);
    json_decref(answer);
    return refused;
}

static bool sweeps_slice(struct conformance *c, const struct fh_derived *declared, int64_t now_ms,
                         struct series_trimming *at)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    return work &&
           derived(c)->trim(work, declared, oldest_ms(declared, now_ms), at, &c->error) == FH_OK &&
           conformance_commit(c, work) == FH_OK;
}

/* How many points and intervals were moved, or removed; -1: it failed. */
static int64_t sweep(struct conformance *c, const struct fh_derived *declared, int64_t now_ms)
{
    struct series_trimming at = {0};
    while (!at.done) {
        if (!sweeps_slice(c, declared, now_ms, &at))
            return -1;
    }
    return at.removed;
}

static bool take_count(void *context, const struct sql_row *row)
{
    *(int64_t *)context = row->values[0].integer;
    return false;
}

/* Of the only series that there is: its tables are of the first number. */
static int64_t count_of(struct conformance *c, const char *table)
{
    char sql[96];
    int64_t count = -1;
    struct store_work *work = conformance_begin(c, STORE_READ);
    snprintf(sql, sizeof sql, "SELECT count(*) FROM fh_derived_1%s", table);
    if (work)
        sql_run(work, sql, NULL, 0, take_count, &count, NULL, &c->error);
    conformance_rollback(c, work);
    return count;
}

/* All that there is, in one interval. */
static const struct fh_series whole = {.from_ms = 0,
                                       .to_ms = 2000 * DAY_MS,
                                       .every_ms = 2000 * DAY_MS,
                                       .values = (const char *const[]){"count", "sum n", NULL}};

/* ---- It counts as it did ---- */

static void an_interval_has_what_its_points_had(struct conformance *c)
{
    const int64_t at_ms = 980 * DAY_MS;
    const struct fh_series series = {.from_ms = at_ms,
                                     .to_ms = at_ms + 2 * DAY_MS,
                                     .every_ms = DAY_MS,
                                     .values = VALUES("count", "count c", "mean c", "sum c",
                                                      "min c", "max c", "first c", "last c",
                                                      "max n", "first n", "count n")};
    EXPECT(prepare(c, &hours, 1) == FH_OK);
    EXPECT(put(c, &hours, "a", at_ms + 7, 4, INT64_MAX));
    EXPECT(put(c, &hours, "b", at_ms, 1, 1) && put(c, &hours, "a", at_ms + 5, 2, INT64_MAX));
    EXPECT(put(c, &hours, "b", at_ms + HOUR_MS, 3, INT64_MAX));
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(put_in(c, work, &hours, at_ms + 6,
                  json_pack("{s:s, s:n, s:I}", "device", "a", "c", "n", (json_int_t)INT64_MAX)));
    EXPECT(conformance_commit(c, work) == FH_OK);
    static const char text[] =
        "[{'tags':{},'points':[[84672000000,5,4,2.5,10.0,1.0,4.0,1.0,3.0,'9223372036854775807',1,"
        "5],[84758400000,0,0,null,null,null,null,null,null,null,null,0]]}]";
    EXPECT(answers(c, &hours, NOW_MS, &series, text));
    EXPECT(sweep(c, &hours, NOW_MS) == 5 && count_of(c, "") == 0 && count_of(c, "_rollup") == 3);
    EXPECT(answers(c, &hours, NOW_MS, &series, text));
    conformance_reopen(c);
    EXPECT(prepare(c, &hours, 1) == FH_OK && sweep(c, &hours, NOW_MS) == 0);
    EXPECT(answers(c, &hours, NOW_MS, &series, text));
}

/* Also while it is beyond 64 bits, or beyond a double, on the way. */
static void sums_are_as_exact_as_those_of_points(struct conformance *c)
{
    const int64_t at_ms = 980 * DAY_MS;
    const struct fh_series series = {.from_ms = at_ms,
                                     .to_ms = at_ms + DAY_MS,
                                     .every_ms = DAY_MS,
                                     .values = VALUES("sum c", "sum n")};
    EXPECT(prepare(c, &hours, 1) == FH_OK);
    EXPECT(put(c, &hours, "a", at_ms, DBL_MAX, INT64_MAX));
    EXPECT(put(c, &hours, "a", at_ms + 1, DBL_MAX, INT64_MAX));
    EXPECT(put(c, &hours, "a", at_ms + HOUR_MS, -DBL_MAX, -INT64_MAX));
    EXPECT(put(c, &hours, "b", at_ms, 1 - DBL_MAX, -INT64_MAX + 5));
    EXPECT(sweep(c, &hours, NOW_MS) == 4);
    EXPECT(answers(c, &hours, NOW_MS, &series, "[{'tags':{},'points':[[84672000000,0.0,5]]}]"));
}

static void first_and_last_of_the_same_time_are_by_tags(struct conformance *c)
{
    const int64_t at_ms = 980 * DAY_MS;
    const struct fh_series series = {.from_ms = at_ms,
                                     .to_ms = at_ms + DAY_MS,
                                     .every_ms = DAY_MS,
                                     .values = VALUES("first c", "last c")};
    EXPECT(prepare(c, &hours, 1) == FH_OK);
    EXPECT(put(c, &hours, "b", at_ms, 2, 0) && put(c, &hours, "a", at_ms, 1, 0));
    EXPECT(put(c, &hours, "c", at_ms, 3, 0));
    EXPECT(answers(c, &hours, NOW_MS, &series, "[{'tags':{},'points':[[84672000000,1.0,3.0]]}]"));
    EXPECT(sweep(c, &hours, NOW_MS) == 3);
    EXPECT(answers(c, &hours, NOW_MS, &series, "[{'tags':{},'points':[[84672000000,1.0,3.0]]}]"));
}

static bool put_many(struct conformance *c, const struct fh_derived *declared, int64_t at_ms,
                     int count, int64_t apart_ms)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    bool is_put = work != NULL;
    for (int i = 0; i < count && is_put; i++)
        is_put =
            put_in(c, work, declared, at_ms + i * apart_ms,
                   json_pack("{s:s, s:f, s:i}", "device", i % 3 ? "a" : "b", "c", 1.0, "n", i));
    return is_put && conformance_commit(c, work) == FH_OK;
}

/* A slice is bounded by what it moves, and by what it writes. */
static void an_interval_is_filled_slice_by_slice(struct conformance *c)
{
    struct series_trimming at = {0};
    int64_t before = 0;
    int slices = 0;
    EXPECT(prepare(c, &hours, 1) == FH_OK);
    EXPECT(put_many(c, &hours, 900 * DAY_MS, 2500, 1));
    EXPECT(put_many(c, &hours, 910 * DAY_MS, 500, HOUR_MS));
    for (; !at.done && slices < 20; slices++) {
        EXPECT(sweeps_slice(c, &hours, NOW_MS, &at) && at.removed - before <= SERIES_TRIM_ROWS);
        EXPECT(answers(c, &hours, NOW_MS, &whole, "[{'tags':{},'points':[[0,3000,3248500]]}]"));
        before = at.removed;
    }
    EXPECT(at.removed == 3000 && slices == 4 && count_of(c, "_rollup") == 502);
}

static void an_interval_of_many_fields_fits(struct conformance *c)
{
    static struct fh_derived_field many[DERIVED_FIELDS_MAX + 1];
    static char names[FIELDS_MANY][8];
    struct fh_derived wide = hours;
    json_t *fact = json_pack("{s:s}", "device", "a");
    memset(many, 0, sizeof many);
    many[0] = fields[0];
    for (int i = 0; i < FIELDS_MANY; i++) {
        snprintf(names[i], sizeof names[i], "f%d", i);
        many[1 + i] = (struct fh_derived_field){.name = names[i], .type = FH_INT};
        json_object_set_new(fact, names[i], json_integer(i));
    }
    wide.fields = many;
    EXPECT(prepare(c, &wide, 1) == FH_OK);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(put_in(c, work, &wide, 5, fact) && conformance_commit(c, work) == FH_OK);
    EXPECT(sweep(c, &wide, NOW_MS) == 1);
    const struct fh_series series = {
        .to_ms = DAY_MS, .every_ms = DAY_MS, .values = VALUES("sum f0", "sum f30", "count")};
    EXPECT(answers(c, &wide, NOW_MS, &series, "[{'tags':{},'points':[[0,0,30,1]]}]"));
}

/* ---- It counts once ---- */

static void a_point_that_may_be_in_an_interval_is_left_out(struct conformance *c)
{
    EXPECT(prepare(c, &hours, 1) == FH_OK);
    EXPECT(put(c, &hours, "a", 980 * DAY_MS, 1, 1) && put(c, &hours, "a", 995 * DAY_MS, 1, 2));
    EXPECT(sweep(c, &hours, NOW_MS) == 1);
    EXPECT(put(c, &hours, "a", 980 * DAY_MS, 1, 1)); /* as if the clock had been set back */
    EXPECT(put(c, &hours, "new", 980 * DAY_MS, 1, 1) && put(c, &hours, "a", 995 * DAY_MS, 1, 3));
    EXPECT(answers(c, &hours, NOW_MS, &whole, "[{'tags':{},'points':[[0,2,4]]}]"));
    EXPECT(answers(c, &hours, NOW_MS - 50 * DAY_MS, &whole, "[{'tags':{},'points':[[0,2,4]]}]"));
    EXPECT(put(c, &hours, "a", 990 * DAY_MS, 1, 7)); /* from where points begin */
    EXPECT(put(c, &hours, "a", 990 * DAY_MS - 1, 1, 9));
    EXPECT(answers(c, &hours, NOW_MS, &whole, "[{'tags':{},'points':[[0,3,11]]}]"));
}

static void what_gets_older_goes_from_one_into_the_next(struct conformance *c)
{
    const struct fh_derived *both = &hours_and_days;
    EXPECT(prepare(c, both, 1) == FH_OK && put_many(c, both, 900 * DAY_MS, 48, HOUR_MS));
    EXPECT(sweep(c, both, 908 * DAY_MS) == 0);
    EXPECT(sweep(c, both, 911 * DAY_MS) == 24 && count_of(c, "_rollup") == 24);
    EXPECT(sweep(c, both, 915 * DAY_MS) == 24 && count_of(c, "") == 0);
    EXPECT(sweep(c, both, 921 * DAY_MS) == 24 && count_of(c, "_rollup") == 26);
    EXPECT(answers(c, both, 921 * DAY_MS, &whole, "[{'tags':{},'points':[[0,48,1128]]}]"));
    EXPECT(sweep(c, both, 930 * DAY_MS) == 24 && count_of(c, "_rollup") == 4);
    EXPECT(answers(c, both, 930 * DAY_MS, &whole, "[{'tags':{},'points':[[0,48,1128]]}]"));
    /* Not answered any more, whether it is still there or not. */
    EXPECT(answers(c, both, 941 * DAY_MS, &whole, "[{'tags':{},'points':[[0,24,852]]}]"));
    EXPECT(sweep(c, both, 941 * DAY_MS) == 2 && count_of(c, "_rollup") == 2);
    EXPECT(count_of(c, "_curve") == 2 && sweep(c, both, 950 * DAY_MS) == 2);
    EXPECT(count_of(c, "_curve") == 0 && answers(c, both, 950 * DAY_MS, &whole, "[]"));
}

/* ---- What can be asked ---- */

static void whole_intervals_count(struct conformance *c)
{
    EXPECT(prepare(c, &hours, 1) == FH_OK && put_many(c, &hours, 980 * DAY_MS, 120, HOUR_MS / 60));
    struct fh_series series = {.from_ms = 980 * DAY_MS + HOUR_MS / 2,
                               .to_ms = 980 * DAY_MS + HOUR_MS + 1,
                               .every_ms = HOUR_MS,
                               .values = VALUES("count")};
    static const char both[] = "[{'tags':{},'points':[[84672000000,60],[84675600000,60]]}]";
    EXPECT(answers(c, &hours, NOW_MS, &series, both)); /* before and after they are moved */
    EXPECT(sweep(c, &hours, NOW_MS) == 120 && answers(c, &hours, NOW_MS, &series, both));
    series.every_ms = 2 * HOUR_MS;
    EXPECT(answers(c, &hours, NOW_MS, &series, "[{'tags':{},'points':[[84672000000,120]]}]"));
    series.to_ms = 980 * DAY_MS + HOUR_MS;
    EXPECT(answers(c, &hours, NOW_MS, &series, "[{'tags':{},'points':[[84672000000,60]]}]"));
    series.by = VALUES("device");
    series.tags = conformance_json("{'device':'b'}");
    EXPECT(answers(c, &hours, NOW_MS, &series,
                   "[{'tags':{'device':'b'},'points':[[84672000000,20]]}]"));
    json_decref(series.tags);
}

static void what_roll_ups_do_not_know_is_refused(struct conformance *c)
{
    const struct fh_derived *both = &hours_and_days;
    EXPECT(prepare(c, both, 1) == FH_OK && put(c, both, "a", 995 * DAY_MS, 1, 2));
    struct fh_series series = {.from_ms = 985 * DAY_MS,
                               .to_ms = NOW_MS,
                               .every_ms = 100 * DAY_MS,
                               .values = VALUES("count", "p95 c")};
    EXPECT(refuses(c, both, &series, "from_ms"));
    EXPECT(strstr(c->error.message, "\"p95 c\" is of points, which are kept for 10 days"));
    series.from_ms = 990 * DAY_MS;
    EXPECT(answers(c, both, NOW_MS, &series, "[{'tags':{},'points':[[77760000000,1,1.0]]}]"));
    series.values = VALUES("count");
    series.from_ms--;
    series.every_ms = HOUR_MS / 2;
    EXPECT(refuses(c, both, &series, "every_ms"));
    EXPECT(strstr(c->error.message, "intervals of 3600000 ms are kept"));
    series.from_ms = 975 * DAY_MS;
    series.every_ms = 6 * HOUR_MS;
    EXPECT(refuses(c, both, &series, "every_ms"));
    series.to_ms = 970 * DAY_MS; /* of the last level that there is */
    series.from_ms = 0;
    EXPECT(refuses(c, both, &series, "every_ms"));
    series.to_ms = 900 * DAY_MS; /* of which nothing is kept */
    EXPECT(answers(c, both, NOW_MS, &series, "[]"));
    EXPECT(put(c, both, "b", 985 * DAY_MS, 1, 2));
    EXPECT(answers(c, both, NOW_MS, &(struct fh_series){.by = VALUES("device"), .limit = 9},
                   "[{'tags':{'device':'a'},'points':[[85968000000,1.0,2]]}]"));
}

/* ---- What is declared ---- */

static bool take_digest(void *context, const struct sql_row *row)
{
    snprintf(context, DERIVED_DIGEST_SIZE, "%s", row->values[0].text);
    return false;
}

/* A program that computes another one than the store has would not open it. */
static bool has_digest_of(struct conformance *c, const struct fh_derived *declared)
{
    char digest[DERIVED_DIGEST_SIZE], found[DERIVED_DIGEST_SIZE] = "";
    struct store_work *work = conformance_begin(c, STORE_READ);
    derived_digest(declared, digest);
    if (work)
        sql_run(work, "SELECT digest FROM fh_derived", NULL, 0, take_digest, found, NULL,
                &c->error);
    conformance_rollback(c, work);
    return strcmp(found, digest) == 0;
}

/* One that knows no roll-ups computes that of a series without any. */
static void a_program_that_would_lose_roll_ups_is_refused(struct conformance *c)
{
    EXPECT(prepare(c, &plain, 1) == FH_OK && has_digest_of(c, &plain));
    EXPECT(put(c, &plain, "a", 995 * DAY_MS, 1, 1) && prepare(c, &hours, 1) == FH_OK);
    EXPECT(has_digest_of(c, &hours) && !has_digest_of(c, &plain));
    EXPECT(prepare(c, &hours_and_days, 1) == FH_OK && has_digest_of(c, &hours));
    EXPECT(prepare(c, &plain, 1) == FH_OK && has_digest_of(c, &plain));
    EXPECT(answers(c, &plain, NOW_MS, &whole, "[{'tags':{},'points':[[0,1,1]]}]"));
}

static void roll_ups_may_be_added_and_taken_out(struct conformance *c)
{
    EXPECT(prepare(c, &plain, 1) == FH_OK && put(c, &plain, "a", 980 * DAY_MS, 1, 1));
    EXPECT(put(c, &plain, "a", 995 * DAY_MS, 1, 2));
    EXPECT(prepare(c, &hours, 1) == FH_OK && sweep(c, &hours, NOW_MS) == 1);
    EXPECT(prepare(c, &plain, 1) == FH_UNSUPPORTED);
    EXPECT(strstr(c->error.message, "holds roll-ups of 3600000 ms"));
    struct fh_derived others = hours;
    others.rollups[0] = (struct fh_rollup){HOUR_MS / 2, 0};
    EXPECT(prepare(c, &others, 1) == FH_UNSUPPORTED);
    others.rollups[0] = (struct fh_rollup){3 * HOUR_MS, 0}; /* which they fit into */
    EXPECT(prepare(c, &others, 1) == FH_OK);
    EXPECT(answers(c, &others, NOW_MS, &whole, "[{'tags':{},'points':[[0,2,3]]}]"));
    struct fh_series series = whole;
    series.from_ms = 980 * DAY_MS;
    series.every_ms = HOUR_MS;
    EXPECT(refuses(c, &others, &series, "every_ms"));
    EXPECT(sweep(c, &others, NOW_MS) == 1 && count_of(c, "_rollup") == 1);
    EXPECT(answers(c, &others, NOW_MS, &whole, "[{'tags':{},'points':[[0,2,3]]}]"));
    others.rollups[0].keep_days = 11; /* to be rid of them */
    EXPECT(prepare(c, &others, 1) == FH_OK && sweep(c, &others, NOW_MS) == 1);
    EXPECT(prepare(c, &plain, 1) == FH_OK && count_of(c, "_rollup") == -1);
    EXPECT(answers(c, &plain, NOW_MS, &whole, "[{'tags':{},'points':[[0,1,2]]}]"));
}

/* Points of an interval that has begun to be filled, of a length that it has not any more. */
static void points_beside_an_interval_are_the_rest_of_it(struct conformance *c)
{
    struct fh_derived days = hours;
    days.rollups[0].every_ms = 8 * DAY_MS; /* one begins with the day 984, and with 992 */
    EXPECT(prepare(c, &hours, 1) == FH_OK && put_many(c, &hours, 984 * DAY_MS, 192, HOUR_MS));
    EXPECT(sweep(c, &hours, NOW_MS) == 144 && prepare(c, &days, 1) == FH_OK);
    struct fh_series series = {.from_ms = 984 * DAY_MS,
                               .to_ms = 992 * DAY_MS,
                               .every_ms = 8 * DAY_MS,
                               .values = VALUES("count", "sum n")};
    static const char all[] = "[{'tags':{},'points':[[85017600000,192,18336]]}]";
    EXPECT(answers(c, &days, NOW_MS, &series, all) && sweep(c, &days, NOW_MS) == 144);
    EXPECT(answers(c, &days, NOW_MS, &series, all));
    EXPECT(put(c, &days, "a", 991 * DAY_MS + HOUR_MS, 1, 1169)); /* a correction: it was 169 */
    EXPECT(put(c, &days, "late", 990 * DAY_MS, 1, 0));
    EXPECT(put(c, &days, "late", 990 * DAY_MS - 1, 1, 77)); /* too late */
    static const char corrected[] = "[{'tags':{},'points':[[85017600000,193,19336]]}]";
    EXPECT(answers(c, &days, NOW_MS, &series, corrected));
    EXPECT(sweep(c, &days, 1002 * DAY_MS) == 49 && count_of(c, "_rollup") == 3);
    EXPECT(answers(c, &days, 1002 * DAY_MS, &series, corrected));
    series.every_ms = DAY_MS;
    EXPECT(refuses(c, &days, &series, "every_ms"));
}

static void roll_ups_that_are_alone_are_kept_as_points_are(struct conformance *c)
{
    static const struct fh_derived_field less[] = {
        {"device", FH_STRING, FH_TAG}, {"c", FH_NUMBER}, {0}};
    struct fh_derived other = hours;
    other.fields = less;
    EXPECT(prepare(c, &hours, 1) == FH_OK && put(c, &hours, "a", 980 * DAY_MS, 1, 1));
    EXPECT(sweep(c, &hours, NOW_MS) == 1 && count_of(c, "") == 0);
    EXPECT(prepare(c, &other, 1) == FH_UNSUPPORTED);
    EXPECT(strstr(c->error.message, "holds points or facts of another declaration"));
    EXPECT(prepare(c, NULL, 0) == FH_OK && prepare(c, &hours, 1) == FH_OK);
    EXPECT(answers(c, &hours, NOW_MS, &whole, "[{'tags':{},'points':[[0,1,1]]}]"));
    struct fh_derived short_kept = hours;
    short_kept.rollups[0].keep_days = 11;
    EXPECT(prepare(c, &short_kept, 1) == FH_OK && sweep(c, &short_kept, NOW_MS) == 1);
    EXPECT(prepare(c, NULL, 0) == FH_OK && count_of(c, "_rollup") == -1);
    EXPECT(prepare(c, &other, 1) == FH_OK);
}

static void a_changed_roll_up_is_refused(struct conformance *c)
{
    EXPECT(prepare(c, &hours, 1) == FH_OK && put(c, &hours, "a", 980 * DAY_MS, 1, 1));
    EXPECT(sweep(c, &hours, NOW_MS) == 1);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(sql_run(work, "UPDATE fh_derived_1_rollup SET v2 = x'00'", NULL, 0, NULL, NULL, NULL,
                   &c->error) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    json_t *answer = ask(c, &hours, NOW_MS, &whole);
    EXPECT(!answer && c->error.code == FH_UNSUPPORTED);
    EXPECT(strstr(c->error.message, "is not in the form that this Freehold writes"));
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE_OF(an_interval_has_what_its_points_had, keeps_derived),
        CASE_OF(sums_are_as_exact_as_those_of_points, adds_beyond_doubles),
        CASE_OF(first_and_last_of_the_same_time_are_by_tags, keeps_derived),
        CASE_OF(an_interval_is_filled_slice_by_slice, keeps_derived),
        CASE_OF(an_interval_of_many_fields_fits, keeps_derived),
        CASE_OF(a_point_that_may_be_in_an_interval_is_left_out, keeps_derived),
        CASE_OF(what_gets_older_goes_from_one_into_the_next, keeps_derived),
        CASE_OF(whole_intervals_count, keeps_derived),
        CASE_OF(what_roll_ups_do_not_know_is_refused, keeps_derived),
        CASE_OF(a_program_that_would_lose_roll_ups_is_refused, keeps_derived),
        CASE_OF(roll_ups_may_be_added_and_taken_out, keeps_derived),
        CASE_OF(points_beside_an_interval_are_the_rest_of_it, keeps_derived),
        CASE_OF(roll_ups_that_are_alone_are_kept_as_points_are, keeps_derived),
        CASE_OF(a_changed_roll_up_is_refused, keeps_derived),
    };
    return conformance_main_every(rows, sizeof rows / sizeof *rows);
}
