/* SPDX-License-Identifier: Apache-2.0 */
/* What gauges measure: an edition that keeps all of it, and one that keeps the last 30 days. */

#include <freehold.h>

#define AT_ONCE 1000
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

/* How many points there are, also of those that no question answers. */
static void count_points(fh_work *w)
{
    const struct fh_series series = {.from_ms = -1,
                                     .to_ms = INT64_C(1) << 52,
                                     .every_ms = INT64_C(1) << 52,
                                     .values = (const char *const[]){"count", "sum n", NULL}};
    json_t *answer = fh_series(w, "measured", &series);
    json_t *rows =
        fh_row(w, "SELECT count(*) AS n, count(DISTINCT curve) AS curves FROM fh_derived_1", NULL);
    json_object_set(answer, "kept", rows);
    fh_reply(w, 200, answer);
}

static const fh_field points_shape[] = {{"days_ago", FH_INT}, {0}};
static const struct fh_derived_field measured_fields[] = {
    {"gauge", FH_STRING, FH_TAG}, {"n", FH_INT}, {0}};

FH_SERVICE(gauges, .model = FH_RELATIONAL,
           .routes = {{"POST", "/api/points", add_points, .body = points_shape, .auth = FH_ANYONE},
                      {"GET", "/api/points", count_points, .auth = FH_ANYONE}},
           .derives = {{.name = "measured",
                        .model = FH_SERIES,
                        .fields = measured_fields,
                        .keep_days = EDITION == 2 ? 30 : 0}});
