/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Points and questions that a seed draws, answered by a series and by a model of one: a list of
 * points that is gone through for each value of an answer. FREEHOLD_SEED repeats a run.
 *
 * Values are multiples of a quarter, so that sums are exact in whichever order they are made.
 */

#include "../support/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

#define ROUNDS 12
#define BATCH 60
#define QUESTIONS 40
#define DEVICES 4
#define SITES 2
#define SPAN_MS 240
#define POINTS_MAX (ROUNDS * BATCH)

static const struct fh_derived_field measured_fields[] = {
    {"device", FH_STRING, FH_TAG}, {"c", FH_NUMBER}, {"site", FH_INT, FH_TAG}, {"n", FH_INT}, {0}};
static const fh_service service = {
    .name = "meters",
    .model = FH_RELATIONAL,
    .derives = {{.name = "measured", .model = FH_SERIES, .fields = measured_fields}}};

struct modelled {
    int device, site;
    int64_t at_ms;
    bool has_c, has_n;
    double c;
    int64_t n;
};

struct drawn_question {
    int64_t from_ms, to_ms, every_ms, oldest_ms;
    int device, site; /* -1: any */
    bool by_device, by_site;
    const char *values[5];
    enum fh_fill fill;
    int limit;
};

static struct modelled points[POINTS_MAX];
static int point_count;
static uint64_t drawn, seed;

static int draw(int below)
{
    drawn ^= drawn << 13; /* xorshift */
    drawn ^= drawn >> 7;
    drawn ^= drawn << 17;
    return (int)((drawn >> 11) % (uint64_t)below);
}

/* ---- The model ---- */

static void model_put(const struct modelled *point)
{
    for (int i = 0; i < point_count; i++) {
        if (points[i].device == point->device && points[i].site == point->site &&
            points[i].at_ms == point->at_ms) {
            points[i] = *point;
            return;
        }
    }
    points[point_count++] = *point;
}

static void model_trim(int64_t oldest_ms)
{
    int kept = 0;
    for (int i = 0; i < point_count; i++) {
        if (points[i].at_ms >= oldest_ms)
            points[kept++] = points[i];
    }
    point_count = kept;
}

/* Of the group, or of any (-1), and within. */
static bool is_asked(const struct drawn_question *question, const struct modelled *point,
                     int device, int site, int64_t from_ms, int64_t to_ms)
{
    return point->at_ms >= question->from_ms && point->at_ms < question->to_ms &&
           point->at_ms >= question->oldest_ms && point->at_ms >= from_ms && point->at_ms < to_ms &&
           (question->device < 0 || point->device == question->device) &&
           (question->site < 0 || point->site == question->site) &&
           (device < 0 || point->device == device) && (site < 0 || point->site == site);
}

static int compare_modelled(const void *one, const void *other)
{
    const struct modelled *a = one, *b = other;
    if (a->at_ms != b->at_ms)
        return a->at_ms < b->at_ms ? -1 : 1;
    return a->device != b->device ? a->device - b->device : a->site - b->site;
}

/* By tags in the order of the answer's, those that it is by first. */
static bool by_site_first;
static int compare_by_answer(const void *one, const void *other)
{
    const struct modelled *a = one, *b = other;
    if (a->at_ms != b->at_ms)
        return a->at_ms < b->at_ms ? -1 : 1;
    if (by_site_first && a->site != b->site)
        return a->site - b->site;
    return compare_modelled(one, other);
}

/* Those asked for, by time. */
static int select_points(const struct drawn_question *question, int device, int site,
                         int64_t from_ms, int64_t to_ms, struct modelled *ret)
{
    int count = 0;
    for (int i = 0; i < point_count; i++) {
        if (is_asked(question, &points[i], device, site, from_ms, to_ms))
            ret[count++] = points[i];
    }
    by_site_first = question->by_site && !question->by_device;
    qsort(ret, (size_t)count, sizeof *ret, compare_by_answer);
    return count;
}

static int compare_doubles(const void *one, const void *other)
{
    double a = *(const double *)one, b = *(const double *)other;
    return (a > b) - (a < b);
}

static json_t *number_of(double value, bool integer)
{
    return integer ? json_integer((json_int_t)value) : json_real(value);
}

static json_t *model_value(const char *value, const struct modelled *found, int count)
{
    static double sorted[POINTS_MAX], plain[POINTS_MAX];
    bool integer = strchr(value, ' ') && value[strlen(value) - 1] == 'n';
    double sum = 0;
    int known = 0;
    if (strcmp(value, "count") == 0)
        return json_integer(count);
    for (int i = 0; i < count; i++) {
        if (!(integer ? found[i].has_n : found[i].has_c))
            continue;
        plain[known] = sorted[known] = integer ? (double)found[i].n : found[i].c;
        sum += plain[known++];
    }
    qsort(sorted, (size_t)known, sizeof *sorted, compare_doubles);
    if (strncmp(value, "count ", 6) == 0)
        return json_integer(known);
    if (known == 0)
        return json_null();
    if (strncmp(value, "mean", 4) == 0)
        return json_real(sum / known);
    if (strncmp(value, "sum", 3) == 0)
        return number_of(sum, integer);
    if (strncmp(value, "first", 5) == 0)
        return number_of(plain[0], integer);
    if (strncmp(value, "last", 4) == 0)
        return number_of(plain[known - 1], integer);
    int percent = strncmp(value, "min", 3) == 0   ? 0
                  : strncmp(value, "max", 3) == 0 ? 100
                                                  : atoi(value + 1);
    int rank = 1;
    while (rank * 100 < percent * known)
        rank++;
    return number_of(sorted[rank - 1], integer);
}

/* The neighbours with a value, if it is one that can be filled. */
static json_t *model_filled(json_t *rows, size_t row, size_t column, enum fh_fill fill)
{
    json_t *before = NULL, *after = NULL;
    size_t i, before_at = 0, after_at = 0;
    json_t *point;
    json_array_foreach (rows, i, point) {
        json_t *value = json_array_get(point, column);
        if (json_is_null(value))
            continue;
        if (i <= row) {
            before = value;
            before_at = i;
        } else if (!after) {
            after = value;
            after_at = i;
        }
    }
    if (!json_is_null(json_array_get(json_array_get(rows, row), column)) || fill == FH_GAPS ||
        !before)
        return json_incref(json_array_get(json_array_get(rows, row), column));
    if (fill == FH_PREVIOUS)
        return json_incref(before);
    if (!after)
        return json_null();
    double from = json_number_value(before), to = json_number_value(after);
    return json_real(from +
                     (to - from) * (double)(row - before_at) / (double)(after_at - before_at));
}

static json_t *model_intervals(const struct drawn_question *question, int device, int site)
{
    static struct modelled found[POINTS_MAX];
    json_t *rows = json_array(), *filled = json_array();
    int64_t begins = -1000000 * question->every_ms;
    while (begins + question->every_ms <= question->from_ms)
        begins += question->every_ms;
    for (; begins < question->to_ms; begins += question->every_ms) {
        json_t *row = json_array();
        int count =
            select_points(question, device, site, begins, begins + question->every_ms, found);
        json_array_append_new(row, json_integer(begins));
        for (int i = 0; question->values[i]; i++)
            json_array_append_new(row, model_value(question->values[i], found, count));
        json_array_append_new(rows, row);
    }
    for (size_t i = 0; i < json_array_size(rows); i++) {
        json_t *row = json_array();
        for (size_t column = 0; column < json_array_size(json_array_get(rows, i)); column++)
            json_array_append_new(row, model_filled(rows, i, column, question->fill));
        json_array_append_new(filled, row);
    }
    json_decref(rows);
    return filled;
}

static json_t *model_last(const struct drawn_question *question, int device, int site)
{
    static struct modelled found[POINTS_MAX];
    json_t *rows = json_array();
    int count = select_points(question, device, site, INT64_MIN, INT64_MAX, found);
    int limit = question->limit ? question->limit : 1;
    for (int i = count > limit ? count - limit : 0; i < count; i++)
        json_array_append_new(rows,
                              json_pack("[I, o, o]", (json_int_t)found[i].at_ms,
                                        found[i].has_n ? json_integer(found[i].n) : json_null(),
                                        found[i].has_c ? json_real(found[i].c) : json_null()));
    return rows;
}

static json_t *model_answer(const struct drawn_question *question)
{
    static struct modelled found[POINTS_MAX];
    json_t *curves = json_array();
    char name[8];
    for (int device = question->by_device ? 0 : -1; device < (question->by_device ? DEVICES : 0);
         device++) {
        for (int site = question->by_site ? 0 : -1; site < (question->by_site ? SITES : 0);
             site++) {
            if (select_points(question, device, site, INT64_MIN, INT64_MAX, found) == 0)
                continue;
            json_t *tags = json_object();
            snprintf(name, sizeof name, "d%d", device);
            if (device >= 0)
                json_object_set_new(tags, "device", json_string(name));
            if (site >= 0)
                json_object_set_new(tags, "site", json_integer(site));
            json_array_append_new(curves, json_pack("{s:o, s:o}", "tags", tags, "points",
                                                    question->every_ms
                                                        ? model_intervals(question, device, site)
                                                        : model_last(question, device, site)));
        }
    }
    return curves;
}

/* ---- What is drawn ---- */

static void draw_point(struct modelled *point)
{
    *point = (struct modelled){.device = draw(DEVICES),
                               .site = draw(SITES),
                               .at_ms = draw(SPAN_MS) - SPAN_MS / 2,
                               .has_c = draw(8) > 0,
                               .has_n = draw(8) > 0,
                               .c = (draw(200) - 100) / 4.0,
                               .n = draw(200) - 100};
}

static void draw_question(struct drawn_question *question)
{
    static const char *const functions[] = {"mean", "sum",   "min", "max", "first",
                                            "last", "count", "p50", "p95", "p99"};
    static char values[4][16];
    *question = (struct drawn_question){.from_ms = draw(SPAN_MS) - SPAN_MS / 2,
                                        .every_ms = draw(4) ? 1 + draw(50) : 0,
                                        .oldest_ms = draw(3) ? INT64_MIN : draw(60) - 90,
                                        .device = draw(3) ? -1 : draw(DEVICES),
                                        .site = draw(3) ? -1 : draw(SITES),
                                        .by_device = draw(2),
                                        .by_site = draw(2)};
    question->to_ms = question->from_ms + 1 + draw(SPAN_MS);
    if (!question->every_ms) {
        question->limit = draw(5);
        question->values[0] = "n";
        question->values[1] = "c";
        return;
    }
    question->fill = (enum fh_fill)draw(3);
    for (int i = 0; i < 1 + draw(4); i++) {
        snprintf(values[i], sizeof values[i], "%s %s", functions[draw(10)], draw(2) ? "c" : "n");
        if (draw(6) == 0)
            snprintf(values[i], sizeof values[i], "count");
        question->values[i] = values[i];
    }
}

/* ---- The series ---- */

struct trying {
    struct fixture *fixture;
    char failure[4096];
};

static void fail_trying(struct trying *trying, const char *what)
{
    if (!trying->failure[0])
        snprintf(trying->failure, sizeof trying->failure, "FREEHOLD_SEED=%llu: %s",
                 (unsigned long long)seed, what);
}

static void put_batch(struct trying *trying)
{
    struct store *store = trying->fixture->context.store;
    const struct fh_derived *declared = &service.derives[0];
    struct fh_error error = {0};
    struct store_work *work;
    int64_t number = 0, curve;
    char name[8];
    enum fh_code code = store_begin(store, STORE_WRITE, &work, &error);
    if (code != FH_OK) {
        fail_trying(trying, error.message);
        return;
    }
    for (int i = 0; i < BATCH && code == FH_OK; i++) {
        struct modelled point;
        draw_point(&point);
        model_put(&point);
        snprintf(name, sizeof name, "d%d", point.device);
        json_t *fact = json_pack("{s:s, s:i, s:o, s:o}", "device", name, "site", point.site, "c",
                                 point.has_c ? json_real(point.c) : json_null(), "n",
                                 point.has_n ? json_integer(point.n) : json_null());
        code = series_fact_check(declared, point.at_ms, fact, &error);
        if (code == FH_OK)
            code = derived_engine(store)->measure(work, declared, &number, point.at_ms, fact,
                                                  &curve, &error);
        json_decref(fact);
    }
    if (code == FH_OK)
        code = store_commit(work, &error);
    else
        store_rollback(work);
    if (code != FH_OK)
        fail_trying(trying, error.message);
}

static void trim_some(struct trying *trying)
{
    struct store *store = trying->fixture->context.store;
    int64_t oldest_ms = draw(60) - 110;
    struct series_trimming at = {0};
    struct fh_error error = {0};
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_WRITE, &work, &error);
    while (code == FH_OK && !at.done)
        code = derived_engine(store)->trim(work, &service.derives[0], oldest_ms, &at, &error);
    if (code == FH_OK)
        code = store_commit(work, &error);
    if (code != FH_OK)
        fail_trying(trying, error.message);
    model_trim(oldest_ms);
}

/* But for the last digits of what lies on a line. */
static bool is_same(const json_t *one, const json_t *other)
{
    if (json_is_real(one) && json_is_real(other)) {
        double apart = json_real_value(one) - json_real_value(other);
        return apart < 1e-9 && apart > -1e-9;
    }
    if (!json_is_array(one) || !json_is_array(other))
        return json_equal(one, other);
    bool same = json_array_size(one) == json_array_size(other);
    for (size_t i = 0; i < json_array_size(one) && same; i++)
        same = is_same(json_array_get(one, i), json_array_get(other, i));
    return same;
}

static bool are_same_curves(const json_t *one, const json_t *other)
{
    bool same = json_array_size(one) == json_array_size(other);
    for (size_t i = 0; i < json_array_size(one) && same; i++) {
        const json_t *a = json_array_get(one, i), *b = json_array_get(other, i);
        same = json_equal(json_object_get(a, "tags"), json_object_get(b, "tags")) &&
               is_same(json_object_get(a, "points"), json_object_get(b, "points"));
    }
    return same;
}

static void compare_answers(struct trying *trying, const struct drawn_question *question,
                            const json_t *answer)
{
    json_t *expected = model_answer(question);
    if (!are_same_curves(expected, json_object_get(answer, "curves"))) {
        char *is = json_text(answer), *should = json_text(expected), what[3900];
        snprintf(what, sizeof what,
                 "from %lld to %lld every %lld since %lld, device %d, site %d, by %d %d, %s, "
                 "fill %d, limit %d: %.1700s\nshould be %.1700s",
                 (long long)question->from_ms, (long long)question->to_ms,
                 (long long)question->every_ms, (long long)question->oldest_ms, question->device,
                 question->site, question->by_device, question->by_site, question->values[0],
                 (int)question->fill, question->limit, is, should);
        fail_trying(trying, what);
        json_text_free(is);
        json_text_free(should);
    }
    json_decref(expected);
}

static void ask_drawn(struct trying *trying)
{
    struct store *store = trying->fixture->context.store;
    struct drawn_question question;
    struct fh_error error = {0};
    struct store_work *work;
    json_t *answer = NULL, *tags = json_object();
    char name[8];
    const char *by[3] = {NULL};
    int count = 0;
    draw_question(&question);
    snprintf(name, sizeof name, "d%d", question.device);
    if (question.device >= 0)
        json_object_set_new(tags, "device", json_string(name));
    if (question.site >= 0)
        json_object_set_new(tags, "site", json_integer(question.site));
    if (question.by_device)
        by[count++] = "device";
    if (question.by_site)
        by[count++] = "site";
    const struct fh_series series = {.tags = tags,
                                     .from_ms = question.from_ms,
                                     .to_ms = question.to_ms,
                                     .every_ms = question.every_ms,
                                     .values = question.values,
                                     .by = by,
                                     .fill = question.fill,
                                     .limit = question.limit};
    if (store_begin(store, STORE_READ, &work, &error) == FH_OK) {
        if (derived_engine(store)->series(work, &service.derives[0], &series, question.oldest_ms,
                                          &answer, &error) != FH_OK)
            fail_trying(trying, error.message);
        store_rollback(work);
    }
    if (answer)
        compare_answers(trying, &question, answer);
    else
        fail_trying(trying, error.message);
    json_decref(answer);
    json_decref(tags);
}

static void try_all(void *argument)
{
    struct trying *trying = argument;
    for (int i = 0; i < ROUNDS && !trying->failure[0]; i++) {
        put_batch(trying);
        if (i % 4 == 3)
            trim_some(trying);
        for (int j = 0; j < QUESTIONS && !trying->failure[0]; j++)
            ask_drawn(trying);
    }
}

static void answers_are_those_of_the_model(void **state)
{
    struct trying trying = {.fixture = *state};
    harness_run(&trying.fixture->harness, try_all, &trying);
    if (trying.failure[0])
        fail_msg("%s", trying.failure);
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
        cmocka_unit_test_setup_teardown(answers_are_those_of_the_model, set_up, fixture_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
