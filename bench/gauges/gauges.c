/* SPDX-License-Identifier: Apache-2.0 */
/* What gauges measure, for the benchmarks: many points in a request, and curves of them. */

#include <freehold.h>

static int64_t integer_of(json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static void add_points(fh_work *w)
{
    json_t *point;
    size_t i;
    json_array_foreach (json_object_get(fh_body(w), "points"), i, point)
        fh_fact(w, "measured", integer_of(point, "at_ms"), point);
    fh_reply(w, 201, NULL);
}

static void ask_curve(fh_work *w)
{
    json_t *query = fh_query(w);
    const struct fh_series series = {.tags = fh_object(w, "gauge", json_object_get(query, "gauge")),
                                     .from_ms = integer_of(query, "from_ms"),
                                     .to_ms = integer_of(query, "to_ms"),
                                     .every_ms = integer_of(query, "every_ms"),
                                     .values = (const char *const[]){"mean c", "max c", NULL}};
    fh_reply(w, 200, fh_series(w, "measured", &series));
}

static void ask_last(fh_work *w)
{
    const struct fh_series series = {.by = (const char *const[]){"gauge", NULL}};
    fh_reply(w, 200, fh_series(w, "measured", &series));
}

static const fh_field point_shape[] = {
    {"gauge", FH_STRING}, {"site", FH_STRING}, {"at_ms", FH_INT}, {"c", FH_NUMBER}, {0}};
static const fh_field points_shape[] = {{"points", FH_ARRAY, .of = point_shape, .max = 1000}, {0}};
static const fh_field curve_shape[] = {
    {"gauge", FH_STRING}, {"from_ms", FH_INT}, {"to_ms", FH_INT}, {"every_ms", FH_INT}, {0}};
static const struct fh_derived_field measured_fields[] = {
    {"gauge", FH_STRING, FH_TAG}, {"site", FH_STRING, FH_TAG}, {"c", FH_NUMBER}, {0}};

FH_SERVICE(gauges, .model = FH_RELATIONAL,
           .routes = {{"POST", "/points", add_points, .body = points_shape, .auth = FH_ANYONE},
                      {"GET", "/curve", ask_curve, .query = curve_shape, .auth = FH_ANYONE},
                      {"GET", "/last", ask_last, .auth = FH_ANYONE}},
           .derives = {{"measured", FH_SERIES, measured_fields}});
