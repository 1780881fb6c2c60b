/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Series: that a point counts once, as it was written last, in whatever order points come; that
 * they are part of the unit of work; and what is answered of them. Tried in stores of every model,
 * on engines that keep derived stores.
 */

#include "derived_bed.h"

#include <inttypes.h>
#include <stdlib.h>

#define WHENEVER INT64_MIN
#define SAFE "9007199254740992"

static const struct fh_derived_field fields[] = {{"device", FH_STRING, FH_TAG},
                                                 {"site", FH_INT, FH_TAG},
                                                 {"new", FH_BOOL, FH_TAG},
                                                 {"c", FH_NUMBER},
                                                 {"n", FH_INT},
                                                 {0}};
static const struct fh_derived plain = {"measured", FH_SERIES, fields};

static enum fh_code put_in(struct conformance *c, struct store_work *work, int64_t at_ms,
                           json_t *fact)
{
    int64_t number = 0, curve;
    enum fh_code code = series_fact_check(&plain, at_ms, fact, &c->error);
    if (code == FH_OK)
        code = derived(c)->measure(work, &plain, &number, at_ms, fact, &curve, &c->error);
    json_decref(fact);
    return code;
}

static enum fh_code put(struct conformance *c, int64_t at_ms, json_t *fact)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    if (!work)
        return c->error.code;
    enum fh_code code = put_in(c, work, at_ms, fact);
    if (code == FH_OK)
        return conformance_commit(c, work);
    conformance_rollback(c, work);
    return code;
}

static json_t *fact(const char *device, double celsius, int n)
{
    return json_pack("{s:s, s:i, s:b, s:f, s:i, s:s}", "device", device, "site", 1, "new", 0, "c",
                     celsius, "n", n, "left", "out");
}

static enum fh_code put_c(struct conformance *c, const char *device, int64_t at_ms, double celsius)
{
    return put(c, at_ms, fact(device, celsius, 0));
}

/* NULL: c->error says why. */
static json_t *ask_within(struct conformance *c, struct store_work *work,
                          const struct fh_series *series, int64_t oldest_ms)
{
    json_t *answer = NULL;
    c->error.code = derived(c)->series(work, &plain, series, oldest_ms, &answer, &c->error);
    return answer;
}

static json_t *ask_since(struct conformance *c, const struct fh_series *series, int64_t oldest_ms)
{
    struct store_work *work = conformance_begin(c, STORE_READ);
    json_t *answer = work ? ask_within(c, work, series, oldest_ms) : NULL;
    conformance_rollback(c, work);
    return answer;
}

/* What is answered, as `text`, in JSON with ' for ". */
static bool answers_since(struct conformance *c, const struct fh_series *series, int64_t oldest_ms,
                          const char *text)
{
    json_t *answer = ask_since(c, series, oldest_ms);
    if (!answer)
        conformance_note(c, __FILE__, __LINE__, c->error.message);
    bool same = answer && conformance_is(c, json_object_get(answer, "curves"), text);
    json_decref(answer);
    return same;
}

static bool answers(struct conformance *c, const struct fh_series *series, const char *text)
{
    return answers_since(c, series, WHENEVER, text);
}

/* Of one curve, all of it from 0 to 30 ms by 10 ms. */
static bool curve_is(struct conformance *c, const char *value, const char *points)
{
    char text[512];
    snprintf(text, sizeof text, "[{'tags':{},'points':%s}]", points);
    return answers(c,
                   &(struct fh_series){
                       .to_ms = 30, .every_ms = 10, .values = (const char *const[]){value, NULL}},
                   text);
}

static bool refuses(struct conformance *c, const struct fh_series *series, const char *field)
{
    json_t *answer = ask_since(c, series, WHENEVER);
    bool refused = !answer && c->error.code == FH_INVALID && strcmp(c->error.field, field) == 0;
    if (!refused)
        conformance_note(c, __FILE__, __LINE__, answer ? "it was answered" : c->error.message);
    json_decref(answer);
    return refused;
}

#define VALUES(...)                                                                                \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }
#define COUNTED                                                                                    \
    &(struct fh_series)                                                                            \
    {                                                                                              \
        .from_ms = -1000, .to_ms = 1000, .every_ms = 2000, .values = VALUES("count"),              \
        .by = VALUES("device")                                                                     \
    }

/* ---- Once, and in any order ---- */

static void late_points_count_like_all_others(struct conformance *c)
{
    EXPECT(prepare(c, &plain, 1) == FH_OK);
    EXPECT(put_c(c, "a", 25, 3) == FH_OK && put_c(c, "a", 5, 1) == FH_OK);
    EXPECT(curve_is(c, "mean c", "[[0,1.0],[10,null],[20,3.0]]"));
    EXPECT(put_c(c, "a", 15, 2) == FH_OK && put_c(c, "a", 0, 2) == FH_OK);
    EXPECT(curve_is(c, "mean c", "[[0,1.5],[10,2.0],[20,3.0]]"));
}

static void a_point_counts_once_as_it_was_written_last(struct conformance *c)
{
    EXPECT(prepare(c, &plain, 1) == FH_OK);
    for (int i = 0; i < 3; i++)
        EXPECT(put_c(c, "a", 5, 1) == FH_OK);
    EXPECT(curve_is(c, "count", "[[0,1],[10,0],[20,0]]"));
    EXPECT(put_c(c, "a", 5, 7) == FH_OK && put_c(c, "b", 5, 1) == FH_OK);
    EXPECT(curve_is(c, "sum c", "[[0,8.0],[10,null],[20,null]]"));
    EXPECT(put(c, 5,
               json_pack("{s:s, s:s, s:b, s:n, s:i}", "device", "a", "site", "1", "new", 0, "c",
                         "n", 3)) == FH_OK); /* the same tags: as a whole */
    EXPECT(curve_is(c, "sum c", "[[0,1.0],[10,null],[20,null]]"));
    EXPECT(curve_is(c, "sum n", "[[0,3],[10,null],[20,null]]"));
    EXPECT(curve_is(c, "count c", "[[0,1],[10,0],[20,0]]"));
    EXPECT(curve_is(c, "count", "[[0,2],[10,0],[20,0]]"));
}

static void points_of_a_work_that_is_rolled_back_are_not_there(struct conformance *c)
{
    EXPECT(prepare(c, &plain, 1) == FH_OK && put_c(c, "a", 5, 1) == FH_OK);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(put_in(c, work, 5, fact("a", 9, 0)) == FH_OK);
    EXPECT(put_in(c, work, 15, fact("b", 9, 0)) == FH_OK);
    conformance_rollback(c, work);
    EXPECT(curve_is(c, "mean c", "[[0,1.0],[10,null],[20,null]]"));
    EXPECT(put_c(c, "b", 15, 2) == FH_OK);
    EXPECT(curve_is(c, "mean c", "[[0,1.0],[10,2.0],[20,null]]"));
}

static void a_snapshot_has_the_points_of_when_it_began(struct conformance *c)
{
    EXPECT(prepare(c, &plain, 1) == FH_OK && put_c(c, "a", 5, 1) == FH_OK);
    struct store_work *work = conformance_begin(c, STORE_READ);
    json_t *before = ask_within(c, work, COUNTED, WHENEVER);
    EXPECT(put_c(c, "a", 6, 1) == FH_OK && put_c(c, "b", 6, 1) == FH_OK);
    json_t *after = ask_within(c, work, COUNTED, WHENEVER);
    bool same = before && after && json_equal(before, after);
    json_decref(before);
    json_decref(after);
    conformance_rollback(c, work);
    EXPECT(same);
    EXPECT(answers(c, COUNTED,
                   "[{'tags':{'device':'a'},'points':[[-2000,0],[0,2]]},"
                   "{'tags':{'device':'b'},'points':[[-2000,0],[0,1]]}]"));
}

/* Whether they share a transaction, with a savepoint for each or without, or not. */
static void one_of_several_works_that_fails_takes_only_its_own_points_along(struct conformance *c)
{
    char device[16];
    EXPECT(prepare(c, &plain, 1) == FH_OK);
    for (int i = 0; i < 20; i++) {
        struct store_work *work = conformance_begin(c, STORE_WRITE_GROUPED);
        snprintf(device, sizeof device, "d%d", i % 4);
        EXPECT(work && put_in(c, work, i, fact(device, 1, 0)) == FH_OK);
        if (i % 3 == 0) {
            conformance_rollback(c, work);
            continue;
        }
        enum fh_code code = conformance_commit(c, work);
        if (code == FH_CONFLICT && c->error.retryable) /* the group broke: again, alone */
            code = put_c(c, device, i, 1);
        EXPECT(code == FH_OK);
    }
    EXPECT(curve_is(c, "count", "[[0,6],[10,7],[20,0]]"));
}

/* ---- What is declared ---- */

static void a_store_opened_again_has_the_same_points(struct conformance *c)
{
    struct fh_derived other = plain;
    EXPECT(prepare(c, &plain, 1) == FH_OK && put_c(c, "a", 5, 1) == FH_OK);
    conformance_reopen(c);
    EXPECT(prepare(c, &plain, 1) == FH_OK && curve_is(c, "count", "[[0,1],[10,0],[20,0]]"));
    other.keep_days = 30;
    EXPECT(prepare(c, &other, 1) == FH_OK && curve_is(c, "count", "[[0,1],[10,0],[20,0]]"));
}

static void another_declaration_of_points_is_refused(struct conformance *c)
{
    static const struct fh_derived_field less[] = {
        {"device", FH_STRING, FH_TAG}, {"c", FH_NUMBER}, {0}};
    static const struct fh_derived_field words[] = {{"device", FH_STRING, FH_TEXT}, {0}};
    struct fh_derived others[] = {plain, plain, {"measured", FH_SEARCH, words}};
    others[0].fields = less;
    others[1].version = 1;
    EXPECT(prepare(c, &plain, 1) == FH_OK && put_c(c, "a", 5, 1) == FH_OK);
    for (int i = 0; i < 3; i++) {
        EXPECT(prepare(c, &others[i], 1) == FH_UNSUPPORTED);
        EXPECT(strstr(c->error.message, "holds points or facts of another declaration"));
    }
    EXPECT(curve_is(c, "count", "[[0,1],[10,0],[20,0]]"));
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    struct series_trimming at = {0};
    EXPECT(derived(c)->trim(work, &plain, 6, &at, &c->error) == FH_OK && at.removed == 1);
    EXPECT(conformance_commit(c, work) == FH_OK && prepare(c, &others[0], 1) == FH_OK);
}

/* Nobody else has the points. */
static void points_that_are_not_declared_any_more_stay(struct conformance *c)
{
    struct fh_derived two[] = {plain, plain};
    two[1].name = "others";
    EXPECT(prepare(c, two, 2) == FH_OK && put_c(c, "a", 5, 1) == FH_OK);
    EXPECT(prepare(c, NULL, 0) == FH_OK && prepare(c, &two[1], 1) == FH_OK);
    EXPECT(prepare(c, two, 2) == FH_OK && curve_is(c, "count", "[[0,1],[10,0],[20,0]]"));
}

static void a_search_lies_beside_a_series(struct conformance *c)
{
    static const struct fh_derived_field words[] = {{"text", FH_STRING, FH_TEXT}, {0}};
    const struct fh_derived two[] = {{"things", FH_SEARCH, words}, plain};
    EXPECT(prepare(c, two, 2) == FH_OK);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    json_t *thing = json_pack("{s:s}", "text", "red shoe"), *answer = NULL;
    enum fh_code code = derived(c)->put(work, &two[0], "t1", thing, &c->error);
    json_decref(thing);
    EXPECT(code == FH_OK && put_in(c, work, 5, fact("a", 1, 0)) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    work = conformance_begin(c, STORE_READ);
    code =
        derived(c)->search(work, &two[0], &(struct fh_search){.text = "shoe"}, &answer, &c->error);
    conformance_rollback(c, work);
    bool found = json_integer_value(json_object_get(answer, "total")) == 1;
    json_decref(answer);
    EXPECT(code == FH_OK && found && curve_is(c, "count", "[[0,1],[10,0],[20,0]]"));
}

/* ---- What is answered ---- */

static void every_function_is_of_the_values_that_there_are(struct conformance *c)
{
    static const double celsius[] = {4, -1.5, 10, 2.5};
    EXPECT(prepare(c, &plain, 1) == FH_OK);
    for (int i = 0; i < 4; i++)
        EXPECT(put(c, i, fact("a", celsius[i], i * i)) == FH_OK);
    EXPECT(put(c, 4,
               json_pack("{s:s, s:i, s:b, s:n, s:n}", "device", "a", "site", 1, "new", 0, "c",
                         "n")) == FH_OK);
    EXPECT(answers(c,
                   &(struct fh_series){.to_ms = 10,
                                       .every_ms = 10,
                                       .values = VALUES("count", "count c", "mean c", "sum c",
                                                        "min c", "max c", "first c", "last c",
                                                        "p50 c", "p95 c", "p99 c")},
                   "[{'tags':{},'points':[[0,5,4,3.75,15.0,-1.5,10.0,4.0,2.5,2.5,10.0,10.0]]}]"));
    EXPECT(
        answers(c,
                &(struct fh_series){.to_ms = 10,
                                    .every_ms = 10,
                                    .values = VALUES("count n", "mean n", "sum n", "min n", "max n",
                                                     "first n", "last n", "p50 n", "p99 n")},
                "[{'tags':{},'points':[[0,4,3.5,14,0,9,0,9,1,9]]}]"));
}

static void quantiles_are_of_the_nearest_rank(struct conformance *c)
{
    EXPECT(prepare(c, &plain, 1) == FH_OK);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    for (int i = 0; i < 200; i++) /* 1 to 200, shuffled */
        EXPECT(put_in(c, work, i, fact("a", -(double)((i * 77) % 200 + 1), (i * 77) % 200 + 1)) ==
               FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    EXPECT(
        answers(c,
                &(struct fh_series){.to_ms = 1000,
                                    .every_ms = 1000,
                                    .values = VALUES("p50 n", "p95 n", "p99 n", "p50 c", "p99 c")},
                "[{'tags':{},'points':[[0,100,190,198,-101.0,-3.0]]}]"));
}

static void sums_may_be_beyond_a_double_on_the_way(struct conformance *c)
{
    const struct fh_series both = {
        .to_ms = 10, .every_ms = 10, .values = VALUES("sum c", "mean c", "sum n", "mean n")};
    EXPECT(prepare(c, &plain, 1) == FH_OK);
    EXPECT(put_c(c, "a", 1, 1e308) == FH_OK && put_c(c, "a", 2, 1e308) == FH_OK);
    EXPECT(refuses(c, &both, "values"));
    EXPECT(put_c(c, "a", 3, -1e308) == FH_OK);
    json_t *large = fact("a", 0, 0);
    json_object_set_new(large, "n", json_integer(INT64_MAX));
    EXPECT(put(c, 4, json_incref(large)) == FH_OK && put(c, 5, json_incref(large)) == FH_OK);
    json_object_set_new(large, "n", json_integer(-INT64_MAX));
    EXPECT(put(c, 6, large) == FH_OK);
    EXPECT(answers(c, &both,
                   "[{'tags':{},'points':[[0,1e308,1.6666666666666667e307,"
                   "'9223372036854775807',1.5372286728091293e18]]}]"));
}

static void integers_beyond_a_double_are_texts_of_digits(struct conformance *c)
{
    EXPECT(prepare(c, &plain, 1) == FH_OK);
    EXPECT(put(c, 1,
               json_pack("{s:s, s:s, s:b, s:f, s:s}", "device", "a", "site", SAFE, "new", 1, "c",
                         1.0, "n", "-9223372036854775808")) == FH_OK);
    EXPECT(put(c, 2,
               json_pack("{s:s, s:s, s:b, s:f, s:s}", "device", "a", "site", "9007199254740993",
                         "new", 1, "c", 1.0, "n", SAFE)) == FH_OK);
    EXPECT(answers(c, &(struct fh_series){.values = VALUES("n"), .by = VALUES("site", "new")},
                   "[{'tags':{'site':9007199254740992,'new':true},'points':"
                   "[[1,'-9223372036854775808']]},"
                   "{'tags':{'site':'9007199254740993','new':true},'points':"
                   "[[2,9007199254740992]]}]"));
    json_t *tags = conformance_json("{'site':'9007199254740993','new':true}");
    EXPECT(answers(c, &(struct fh_series){.tags = tags, .values = VALUES("n", "c")},
                   "[{'tags':{},'points':[[2,9007199254740992,1.0]]}]"));
    json_decref(tags);
}

/* Of the same time by tags: the first of them is the first, the last the last. */
static void first_and_last_of_the_same_time_are_by_tags(struct conformance *c)
{
    EXPECT(prepare(c, &plain, 1) == FH_OK);
    EXPECT(put_c(c, "b", 5, 2) == FH_OK && put_c(c, "c", 5, 3) == FH_OK);
    EXPECT(put_c(c, "a", 5, 1) == FH_OK);
    EXPECT(curve_is(c, "first c", "[[0,1.0],[10,null],[20,null]]"));
    EXPECT(curve_is(c, "last c", "[[0,3.0],[10,null],[20,null]]"));
    EXPECT(put_c(c, "b", 4, 4) == FH_OK && put_c(c, "b", 6, 6) == FH_OK);
    EXPECT(curve_is(c, "first c", "[[0,4.0],[10,null],[20,null]]"));
    EXPECT(curve_is(c, "last c", "[[0,6.0],[10,null],[20,null]]"));
}

static void gaps_are_filled_from_their_neighbours(struct conformance *c)
{
    struct fh_series series = {
        .to_ms = 60, .every_ms = 10, .values = VALUES("mean c", "max n", "count")};
    EXPECT(prepare(c, &plain, 1) == FH_OK);
    EXPECT(put(c, 12, fact("a", 1, 1)) == FH_OK && put(c, 42, fact("a", 4, 4)) == FH_OK);
    EXPECT(answers(c, &series,
                   "[{'tags':{},'points':[[0,null,null,0],[10,1.0,1,1],[20,null,null,0],"
                   "[30,null,null,0],[40,4.0,4,1],[50,null,null,0]]}]"));
    series.fill = FH_PREVIOUS;
    EXPECT(answers(c, &series,
                   "[{'tags':{},'points':[[0,null,null,0],[10,1.0,1,1],[20,1.0,1,0],"
                   "[30,1.0,1,0],[40,4.0,4,1],[50,4.0,4,0]]}]"));
    series.fill = FH_LINEAR;
    EXPECT(answers(c, &series,
                   "[{'tags':{},'points':[[0,null,null,0],[10,1.0,1,1],[20,2.0,2.0,0],"
                   "[30,3.0,3.0,0],[40,4.0,4,1],[50,null,null,0]]}]"));
}

static void curves_are_by_tags_in_their_order(struct conformance *c)
{
    EXPECT(prepare(c, &plain, 1) == FH_OK);
    EXPECT(put_c(c, "b", 5, 1) == FH_OK && put_c(c, "a", 6, 2) == FH_OK);
    EXPECT(put_c(c, "", 5, 3) == FH_OK && put_c(c, "ab", 7, 4) == FH_OK);
    json_t *other = fact("a", 5, 0);
    json_object_set_new(other, "site", json_integer(-2));
    EXPECT(put(c, 8, other) == FH_OK);
    struct fh_series series = {
        .to_ms = 10, .every_ms = 10, .values = VALUES("sum c"), .by = VALUES("device")};
    EXPECT(answers(c, &series,
                   "[{'tags':{'device':''},'points':[[0,3.0]]},"
                   "{'tags':{'device':'a'},'points':[[0,7.0]]},"
                   "{'tags':{'device':'ab'},'points':[[0,4.0]]},"
                   "{'tags':{'device':'b'},'points':[[0,1.0]]}]"));
    series.by = VALUES("site", "device");
    series.tags = conformance_json("{'device':'a'}");
    EXPECT(answers(c, &series,
                   "[{'tags':{'site':-2,'device':'a'},'points':[[0,5.0]]},"
                   "{'tags':{'site':1,'device':'a'},'points':[[0,2.0]]}]"));
    json_decref(series.tags);
    series.tags = conformance_json("{'device':'a','site':1,'new':true}");
    EXPECT(answers(c, &series, "[]"));
    json_decref(series.tags);
    series = (struct fh_series){
        .from_ms = 8, .to_ms = 9, .every_ms = 10, .values = VALUES("count"), .by = VALUES("new")};
    EXPECT(answers(c, &series, "[{'tags':{'new':false},'points':[[0,1]]}]"));
}

static void intervals_begin_at_multiples_also_before_1970(struct conformance *c)
{
    EXPECT(prepare(c, &plain, 1) == FH_OK);
    for (int at = -25; at < 25; at += 10)
        EXPECT(put_c(c, "a", at, at) == FH_OK);
    EXPECT(put_c(c, "a", -20, -20) == FH_OK && put_c(c, "a", 0, 0) == FH_OK);
    struct fh_series series = {
        .from_ms = -21, .to_ms = 6, .every_ms = 10, .values = VALUES("sum c", "count")};
    EXPECT(answers(c, &series,
                   "[{'tags':{},'points':[[-30,null,0],[-20,-35.0,2],[-10,-5.0,1],[0,5.0,2]]}]"));
    series.to_ms = 5;
    EXPECT(answers(c, &series,
                   "[{'tags':{},'points':[[-30,null,0],[-20,-35.0,2],[-10,-5.0,1],[0,0.0,1]]}]"));
    series.from_ms = -20;
    series.to_ms = -10;
    EXPECT(answers(c, &series, "[{'tags':{},'points':[[-20,-35.0,2]]}]"));
}

static void times_may_be_as_far_as_they_can(struct conformance *c)
{
    const int64_t far = SERIES_AT_MS_MAX;
    EXPECT(prepare(c, &plain, 1) == FH_OK);
    EXPECT(put_c(c, "a", far, 1) == FH_OK && put_c(c, "a", -far, 2) == FH_OK);
    EXPECT(put_c(c, "a", far + 1, 1) == FH_INVALID && strcmp(c->error.field, "at_ms") == 0);
    EXPECT(put_c(c, "a", INT64_MIN, 1) == FH_INVALID);
    EXPECT(answers(c, &(struct fh_series){.values = VALUES("c"), .limit = 2},
                   "[{'tags':{},'points':[[-8640000000000000,2.0],[8640000000000000,1.0]]}]"));
    EXPECT(answers(c,
                   &(struct fh_series){
                       .from_ms = -far, .to_ms = far, .every_ms = far, .values = VALUES("count")},
                   "[{'tags':{},'points':[[-8640000000000000,1],[0,0]]}]"));
}

static void the_last_points_of_each_curve(struct conformance *c)
{
    EXPECT(prepare(c, &plain, 1) == FH_OK);
    for (int at = -2; at < 4; at++)
        EXPECT(put(c, at, fact("b", at, at)) == FH_OK && put(c, at, fact("a", -at, at)) == FH_OK);
    EXPECT(put_c(c, "c", 100, 1) == FH_OK);
    struct fh_series series = {.by = VALUES("device")};
    EXPECT(answers(c, &series,
                   "[{'tags':{'device':'a'},'points':[[3,-3.0,3]]},"
                   "{'tags':{'device':'b'},'points':[[3,3.0,3]]},"
                   "{'tags':{'device':'c'},'points':[[100,1.0,0]]}]"));
    series.values = VALUES("c");
    series.from_ms = -10;
    series.limit = 2;
    EXPECT(answers(c, &series,
                   "[{'tags':{'device':'a'},'points':[[-2,2.0],[-1,1.0]]},"
                   "{'tags':{'device':'b'},'points':[[-2,-2.0],[-1,-1.0]]}]"));
    series.from_ms = 2;
    series.to_ms = 4;
    series.limit = 1000;
    EXPECT(answers(c, &series,
                   "[{'tags':{'device':'a'},'points':[[2,-2.0],[3,-3.0]]},"
                   "{'tags':{'device':'b'},'points':[[2,2.0],[3,3.0]]}]"));
    series.by = NULL; /* of all together */
    series.limit = 3;
    EXPECT(answers(c, &series, "[{'tags':{},'points':[[2,2.0],[3,-3.0],[3,3.0]]}]"));
}

static void what_the_answer_has_is_named(struct conformance *c)
{
    EXPECT(prepare(c, &plain, 1) == FH_OK);
    json_t *answer = ask_since(c, &(struct fh_series){0}, WHENEVER);
    bool same = conformance_is(c, answer, "{'values':['c','n'],'curves':[]}");
    json_decref(answer);
    EXPECT(same);
    answer = ask_since(
        c, &(struct fh_series){.to_ms = 1, .every_ms = 1, .values = VALUES("p50 c", "count")},
        WHENEVER);
    same = conformance_is(c, answer, "{'values':['p50 c','count'],'curves':[]}");
    json_decref(answer);
    EXPECT(same);
}

/* ---- Bounds ---- */

static void put_many(struct conformance *c, int devices, int points)
{
    char device[16];
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    for (int i = 0; i < devices && work; i++) {
        snprintf(device, sizeof device, "d%05d", i);
        for (int at = 0; at < points; at++)
            EXPECT(put_in(c, work, at, fact(device, i, at)) == FH_OK);
    }
    EXPECT(work && conformance_commit(c, work) == FH_OK);
}

static void answers_are_of_a_bounded_size(struct conformance *c)
{
    EXPECT(prepare(c, &plain, 1) == FH_OK);
    put_many(c, 101, 2);
    struct fh_series series = {
        .to_ms = 1000, .every_ms = 1, .values = VALUES("mean c"), .by = VALUES("device")};
    EXPECT(refuses(c, &series, "every_ms"));
    series.to_ms = 990;
    json_t *answer = ask_since(c, &series, WHENEVER);
    EXPECT(answer && json_array_size(json_object_get(answer, "curves")) == 101);
    json_decref(answer);
    series.values = VALUES("mean c", "max c");
    EXPECT(refuses(c, &series, "every_ms"));
    series.to_ms = SERIES_AT_MS_MAX;
    EXPECT(refuses(c, &series, "every_ms"));
    series = (struct fh_series){.to_ms = 100000, .every_ms = 1, .values = VALUES("count")};
    answer = ask_since(c, &series, WHENEVER);
    EXPECT(json_array_size(json_object_get(json_array_get(json_object_get(answer, "curves"), 0),
                                           "points")) == SERIES_ANSWERED_MAX);
    json_decref(answer);
    series.to_ms++;
    EXPECT(refuses(c, &series, "every_ms"));
    EXPECT(refuses(c, &(struct fh_series){.limit = 1000, .by = VALUES("device")}, "limit"));
}

static void answers_are_of_a_bounded_number_of_curves(struct conformance *c)
{
    const struct fh_series last = {.values = VALUES("c"), .by = VALUES("device")};
    EXPECT(prepare(c, &plain, 1) == FH_OK);
    put_many(c, SERIES_GROUPS_MAX, 1);
    json_t *answer = ask_since(c, &last, WHENEVER);
    bool whole = json_array_size(json_object_get(answer, "curves")) == SERIES_GROUPS_MAX;
    json_decref(answer);
    EXPECT(whole && put_c(c, "one more", 0, 1) == FH_OK && refuses(c, &last, "tags"));
}

static void a_question_past_its_deadline_ends(struct conformance *c)
{
    json_t *answer = NULL;
    EXPECT(prepare(c, &plain, 1) == FH_OK);
    put_many(c, 2, 1200);
    struct store_work *work = conformance_begin(c, STORE_READ);
    work->deadline_ns = 1;
    EXPECT(derived(c)->series(work, &plain, COUNTED, WHENEVER, &answer, &c->error) ==
           FH_UNAVAILABLE);
    work->deadline_ns = 0;
    EXPECT(derived(c)->series(work, &plain, COUNTED, WHENEVER, &answer, &c->error) == FH_OK);
    json_decref(answer);
    conformance_rollback(c, work);
}

static void a_wrong_question_names_what_may_be_a_clients(struct conformance *c)
{
    const char *const mean[] = {"mean c", NULL}, *const device[] = {"device", NULL};
    json_t *number = conformance_json("{'device':1}"), *text = conformance_json("{'site':'x'}");
    json_t *nothing = conformance_json("{'device':null}"), *list = json_array();
    json_t *measured = conformance_json("{'c':1}");
    const struct {
        struct fh_series series;
        const char *field;
    } wrong[] = {
        {{.from_ms = 5, .to_ms = 5, .every_ms = 1, .values = mean}, "to_ms"},
        {{.from_ms = 5, .to_ms = -5}, "to_ms"},
        {{.every_ms = 10, .values = mean}, "to_ms"},
        {{.to_ms = INT64_MAX, .every_ms = 10, .values = mean}, "to_ms"},
        {{.from_ms = INT64_MIN, .to_ms = 1, .every_ms = 10, .values = mean}, "from_ms"},
        {{.to_ms = 1, .every_ms = -1, .values = mean}, "every_ms"},
        {{.to_ms = 1, .every_ms = INT64_MAX, .values = mean}, "every_ms"},
        {{.limit = -1}, "limit"},
        {{.limit = 1001}, "limit"},
        {{.tags = number}, "device"},
        {{.tags = text}, "site"},
        {{.tags = nothing}, "device"},
        {{.tags = list}, ""},
        {{.tags = measured}, ""},
        {{.by = VALUES("c")}, ""},
        {{.by = VALUES("device", "device")}, ""},
        {{.by = device, .fill = FH_LINEAR}, "every_ms"},
        {{.values = mean}, "every_ms"},
        {{.values = VALUES("count")}, "every_ms"},
        {{.values = VALUES("median c")}, ""},
        {{.values = VALUES("device")}, ""},
        {{.to_ms = 1, .every_ms = 1}, ""},
        {{.to_ms = 1, .every_ms = 1, .values = mean, .limit = 1}, "limit"},
        {{.to_ms = 1, .every_ms = 1, .values = mean, .fill = (enum fh_fill)7}, ""},
        {{.to_ms = 1, .every_ms = 1, .values = VALUES("mean")}, ""},
        {{.to_ms = 1, .every_ms = 1, .values = VALUES("mean ")}, ""},
        {{.to_ms = 1, .every_ms = 1, .values = VALUES("mean  c")}, ""},
        {{.to_ms = 1, .every_ms = 1, .values = VALUES("mean device")}, ""},
        {{.to_ms = 1, .every_ms = 1, .values = VALUES("median c")}, ""},
        {{.to_ms = 1, .every_ms = 1, .values = VALUES("p50 c) OR 1=1 --")}, ""},
        {{.to_ms = 1, .every_ms = 1, .values = VALUES("")}, ""},
    };
    EXPECT(prepare(c, &plain, 1) == FH_OK && put_c(c, "a", 0, 1) == FH_OK);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (!refuses(c, &wrong[i].series, wrong[i].field))
            return;
    }
    json_decref(number);
    json_decref(text);
    json_decref(nothing);
    json_decref(list);
    json_decref(measured);
}

/* What a service or a client gives of a point, and whose mistake it is. */
static void a_point_that_does_not_fit_is_refused(struct conformance *c)
{
    char word[DERIVED_WORD_LENGTH_MAX + 2];
    memset(word, 'x', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    EXPECT(prepare(c, &plain, 1) == FH_OK);
    EXPECT(put(c, 0, fact(word, 1, 1)) == FH_INVALID && strcmp(c->error.field, "device") == 0);
    EXPECT(put(c, 0, fact(word + 1, 1, 1)) == FH_OK);
    json_t *odd = fact("a", 1, 1);
    json_object_set_new(odd, "device", json_stringn("a\0b", 3));
    EXPECT(put(c, 0, odd) == FH_INVALID && strcmp(c->error.field, "device") == 0);
    static const char *const wrong[] = {
        "[]",
        "{'device':'a','site':1,'new':true,'c':1}",
        "{'device':null,'site':1,'new':true,'c':1,'n':1}",
        "{'device':7,'site':1,'new':true,'c':1,'n':1}",
        "{'device':'a','site':'one','new':true,'c':1,'n':1}",
        "{'device':'a','site':1.5,'new':true,'c':1,'n':1}",
        "{'device':'a','site':1,'new':1,'c':1,'n':1}",
        "{'device':'a','site':1,'new':true,'c':'1','n':1}",
        "{'device':'a','site':1,'new':true,'c':1,'n':1.5}",
        "{'device':'a','site':1,'new':true,'c':1,'n':'9223372036854775808'}",
        "{'device':'a','site':1,'new':true,'c':true,'n':1}",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        EXPECT(put(c, 0, conformance_json(wrong[i])) == FH_UNSUPPORTED);
    EXPECT(curve_is(c, "count", "[[0,1],[10,0],[20,0]]"));
}

/* ---- What is too old ---- */

static void points_are_listed_curve_by_curve_behind_any(struct conformance *c)
{
    const struct derived_fact second = {.id = 1, .at_ms = 7}, none = {.id = 1, .at_ms = 8};
    EXPECT(prepare(c, &plain, 1) == FH_OK);
    EXPECT(lists(c, &plain, NULL, WHENEVER, 9, ""));
    EXPECT(put_c(c, "a", 7, 1) == FH_OK && put_c(c, "b", -3, 1) == FH_OK);
    EXPECT(put_c(c, "a", 5, 1) == FH_OK && put_c(c, "a", 7, 2) == FH_OK);
    EXPECT(lists(c, &plain, NULL, WHENEVER, 9, "1@5 1@7 2@-3 "));
    EXPECT(lists(c, &plain, NULL, WHENEVER, 2, "1@5 1@7 "));
    EXPECT(lists(c, &plain, &second, WHENEVER, 9, "2@-3 "));
    EXPECT(lists(c, &plain, &none, WHENEVER, 9, "2@-3 "));
    EXPECT(lists(c, &plain, NULL, 6, 9, "1@7 ")); /* and none that is too old */
}

static void old_points_are_not_answered_before_they_are_removed(struct conformance *c)
{
    EXPECT(prepare(c, &plain, 1) == FH_OK);
    EXPECT(put_c(c, "a", 5, 1) == FH_OK && put_c(c, "a", 9, 2) == FH_OK);
    EXPECT(put_c(c, "b", 8, 3) == FH_OK);
    struct fh_series series = {
        .to_ms = 20, .every_ms = 10, .values = VALUES("sum c"), .by = VALUES("device")};
    EXPECT(answers_since(c, &series, 9, "[{'tags':{'device':'a'},'points':[[0,2.0],[10,null]]}]"));
    EXPECT(answers_since(c, &series, 50, "[]"));
    series = (struct fh_series){.values = VALUES("c"), .limit = 5};
    EXPECT(answers_since(c, &series, 8, "[{'tags':{},'points':[[8,3.0],[9,2.0]]}]"));
}

static bool trims(struct conformance *c, int64_t oldest_ms, struct series_trimming *at)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    return work && derived(c)->trim(work, &plain, oldest_ms, at, &c->error) == FH_OK &&
           conformance_commit(c, work) == FH_OK;
}

static void old_points_are_removed_slice_by_slice(struct conformance *c)
{
    struct series_trimming at = {0};
    int64_t before = 0;
    int slices = 0;
    EXPECT(prepare(c, &plain, 1) == FH_OK);
    put_many(c, 3, 1500); /* 3 x 1,400 go, 3 x 100 stay */
    EXPECT(put_c(c, "old", 3, 1) == FH_OK && put_c(c, "young", 1400, 1) == FH_OK);
    for (; !at.done && slices < 20; slices++) {
        EXPECT(trims(c, 1400, &at) && at.removed - before <= SERIES_TRIM_ROWS);
        before = at.removed;
    }
    EXPECT(at.done && at.removed == 4201 && slices == 5);
    struct fh_series series = {.from_ms = 0, .to_ms = 2000, .every_ms = 2000};
    series.values = VALUES("count", "min n");
    series.by = VALUES("device");
    EXPECT(answers(c, &series,
                   "[{'tags':{'device':'d00000'},'points':[[0,100,1400]]},"
                   "{'tags':{'device':'d00001'},'points':[[0,100,1400]]},"
                   "{'tags':{'device':'d00002'},'points':[[0,100,1400]]},"
                   "{'tags':{'device':'young'},'points':[[0,1,0]]}]"));
    at = (struct series_trimming){0};
    EXPECT(trims(c, 1400, &at) && at.done && at.removed == 0);
    EXPECT(put_c(c, "old", 1500, 1) == FH_OK); /* its tags are made anew */
    at = (struct series_trimming){0};
    EXPECT(trims(c, INT64_C(1) << 50, &at) && at.done && at.removed == 302);
    EXPECT(answers(c, &series, "[]"));
}

static void many_curves_are_looked_at_a_bounded_number_at_a_time(struct conformance *c)
{
    struct series_trimming at = {0};
    EXPECT(prepare(c, &plain, 1) == FH_OK);
    put_many(c, 1100, 1);
    EXPECT(trims(c, 0, &at) && !at.done && trims(c, 0, &at) && at.done && at.removed == 0);
    at = (struct series_trimming){0};
    for (int i = 0; i < 3 && !at.done; i++)
        EXPECT(trims(c, 1, &at));
    EXPECT(at.done && at.removed == 1100);
    EXPECT(prepare(c, NULL, 0) == FH_OK); /* empty: it goes */
    EXPECT(prepare(c, &plain, 1) == FH_OK && put_c(c, "a", 5, 1) == FH_OK);
    EXPECT(curve_is(c, "count", "[[0,1],[10,0],[20,0]]"));
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE_OF(late_points_count_like_all_others, keeps_derived),
        CASE_OF(a_point_counts_once_as_it_was_written_last, keeps_derived),
        CASE_OF(points_of_a_work_that_is_rolled_back_are_not_there, keeps_derived),
        CASE_OF(a_snapshot_has_the_points_of_when_it_began, keeps_derived),
        CASE_OF(one_of_several_works_that_fails_takes_only_its_own_points_along, keeps_derived),
        CASE_OF(a_store_opened_again_has_the_same_points, keeps_derived),
        CASE_OF(another_declaration_of_points_is_refused, keeps_derived),
        CASE_OF(points_that_are_not_declared_any_more_stay, keeps_derived),
        CASE_OF(a_search_lies_beside_a_series, keeps_derived),
        CASE_OF(every_function_is_of_the_values_that_there_are, keeps_derived),
        CASE_OF(quantiles_are_of_the_nearest_rank, keeps_derived),
        CASE_OF(sums_may_be_beyond_a_double_on_the_way, adds_beyond_doubles),
        CASE_OF(integers_beyond_a_double_are_texts_of_digits, keeps_derived),
        CASE_OF(first_and_last_of_the_same_time_are_by_tags, keeps_derived),
        CASE_OF(gaps_are_filled_from_their_neighbours, keeps_derived),
        CASE_OF(curves_are_by_tags_in_their_order, keeps_derived),
        CASE_OF(intervals_begin_at_multiples_also_before_1970, keeps_derived),
        CASE_OF(times_may_be_as_far_as_they_can, keeps_derived),
        CASE_OF(the_last_points_of_each_curve, keeps_derived),
        CASE_OF(what_the_answer_has_is_named, keeps_derived),
        CASE_OF(answers_are_of_a_bounded_size, keeps_derived),
        CASE_OF(answers_are_of_a_bounded_number_of_curves, keeps_derived),
        CASE_OF(a_question_past_its_deadline_ends, keeps_derived),
        CASE_OF(a_wrong_question_names_what_may_be_a_clients, keeps_derived),
        CASE_OF(a_point_that_does_not_fit_is_refused, keeps_derived),
        CASE_OF(points_are_listed_curve_by_curve_behind_any, keeps_derived),
        CASE_OF(old_points_are_not_answered_before_they_are_removed, keeps_derived),
        CASE_OF(old_points_are_removed_slice_by_slice, keeps_derived),
        CASE_OF(many_curves_are_looked_at_a_bounded_number_at_a_time, keeps_derived),
    };
    return conformance_main_every(rows, sizeof rows / sizeof *rows);
}
