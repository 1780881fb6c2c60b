/* SPDX-License-Identifier: Apache-2.0 */
/* What gauges measure: an edition that keeps all of it, and one that keeps the last 30 days; two
 * that keep it in columns, in the same way; one that keeps roll-ups of what is older; and one of
 * series and one of columns that lie on a server. */

#include <freehold.h>

#define AT_ONCE 1000
#define ROLLS_UP (EDITION == 5)
#define ON_SERVER (EDITION > 5)
#define IN_COLUMNS (EDITION == 3 || EDITION == 4 || EDITION == 7)
#define DAY_MS INT64_C(86400000)
#define ALL_MS (50000000 * DAY_MS)

/* Each of ten gauges, at as many milliseconds after so many days ago, or after a time. */
static void add_points(fh_work *w)
{
    const json_t *given_ms = json_object_get(fh_body(w), "at_ms");
    json_int_t more = json_integer_value(json_object_get(fh_body(w), "more"));
    int64_t at_ms = fh_now_ms(w) - fh_int(w, fh_body(w), "days_ago") * DAY_MS;
    if (given_ms)
        at_ms = json_integer_value(given_ms);
    for (int i = 0; i < AT_ONCE; i++)
        fh_fact(w, "measured", at_ms + i,
                fh_object(w, "gauge", fh_format(w, "g%d", i % 10), "n", i + more));
    fh_reply(w, 201, NULL);
}

static const char *const counted[] = {"count", "sum n", NULL};

/* [how many there are, their sum] */
static json_t *points_in_columns(fh_work *w)
{
    json_t *answer = fh_columns(w, "measured", &(struct fh_columns){.values = counted});
    json_t *row = json_array_get(json_object_get(answer, "rows"), 0);
    return fh_object(w, "points", json_incref(row));
}

static json_t *points_in_series(fh_work *w)
{
    const struct fh_series series = {
        .from_ms = -1, .to_ms = ALL_MS, .every_ms = ALL_MS, .values = counted};
    return fh_series(w, "measured", &series);
}

/* How many points there are, also of those that no question answers. */
static void count_points(fh_work *w)
{
    json_t *answer = IN_COLUMNS ? points_in_columns(w) : points_in_series(w);
    if (!ON_SERVER)
        json_object_set(answer, "kept", fh_row(w, "SELECT count(*) AS n FROM fh_derived_1"));
    if (ROLLS_UP)
        json_object_set(answer, "rolled",
                        fh_row(w, "SELECT sum(points) AS n FROM fh_derived_1_rollup"));
    fh_reply(w, 200, answer);
}

static const fh_field points_shape[] = {{"days_ago", FH_INT},
                                        {"at_ms", FH_INT, .optional = true},
                                        {"more", FH_INT, .optional = true},
                                        {0}};
static const struct fh_derived_field measured_fields[] = {
    {"gauge", FH_STRING, FH_TAG}, {"n", FH_INT}, {0}};

FH_SERVICE(gauges, .model = FH_RELATIONAL,
           .routes = {{"POST", "/api/points", add_points, .body = points_shape, .auth = FH_ANYONE},
                      {"GET", "/api/points", count_points, .auth = FH_ANYONE}},
           .derives = {
               {.name = "measured",
                .model = IN_COLUMNS ? FH_COLUMNS : FH_SERIES,
                .fields = measured_fields,
                .keep_days = EDITION == 2 || EDITION == 4 || EDITION == 5 || EDITION == 7 ? 30 : 0,
                .rollups = {{ROLLS_UP ? DAY_MS / 24 : 0, 0}}}});
