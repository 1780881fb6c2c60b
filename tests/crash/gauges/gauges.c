/* SPDX-License-Identifier: Apache-2.0 */
/* What gauges measure: an edition that keeps all of it, and one that keeps the last 30 days; and
 * two that keep it in columns, in the same way; and one of each whose points lie on a server. */

#include <freehold.h>

#define AT_ONCE 1000
#define ON_SERVER (EDITION > 4)
#define IN_COLUMNS (EDITION > 2 && EDITION != 5)
#define DAY_MS INT64_C(86400000)

/* Each of ten gauges, at as many milliseconds after so many days ago. */
static void add_points(fh_work *w)
{
    int64_t at_ms = fh_now_ms(w) - fh_int(w, fh_body(w), "days_ago") * DAY_MS;
    for (int i = 0; i < AT_ONCE; i++)
        fh_fact(w, "measured", at_ms + i,
                fh_object(w, "gauge", fh_format(w, "g%d", i % 10), "n", i));
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
        .from_ms = -1, .to_ms = INT64_C(1) << 52, .every_ms = INT64_C(1) << 52, .values = counted};
    return fh_series(w, "measured", &series);
}

/* How many points there are, also of those that no question answers. */
static void count_points(fh_work *w)
{
    json_t *answer = IN_COLUMNS ? points_in_columns(w) : points_in_series(w);
    if (!ON_SERVER)
        json_object_set(answer, "kept", fh_row(w, "SELECT count(*) AS n FROM fh_derived_1"));
    fh_reply(w, 200, answer);
}

static const fh_field points_shape[] = {{"days_ago", FH_INT}, {0}};
static const struct fh_derived_field measured_fields[] = {
    {"gauge", FH_STRING, FH_TAG}, {"n", FH_INT}, {0}};

FH_SERVICE(gauges, .model = FH_RELATIONAL,
           .routes = {{"POST", "/api/points", add_points, .body = points_shape, .auth = FH_ANYONE},
                      {"GET", "/api/points", count_points, .auth = FH_ANYONE}},
           .derives = {{.name = "measured",
                        .model = IN_COLUMNS ? FH_COLUMNS : FH_SERIES,
                        .fields = measured_fields,
                        .keep_days = EDITION % 2 == 0 ? 30 : 0}});
