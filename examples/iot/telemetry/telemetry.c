/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telemetry: takes what devices measure, and answers curves. Owns the series `measured`, and a
 * table of which devices it believes.
 *
 * A device sends its points in batches, as often and as late as it likes: a point counts once. Of
 * each batch others are told the last point of each kind.
 */

#include <freehold.h>

#define POINTS_MAX 1000
#define KEPT_DAYS 90

/* ---- what is measured ---- */

/* Nobody but the device itself, which is logged in by its id. */
static json_t *believed_device(fh_work *w)
{
    json_t *id = fh_object(w, "id", fh_user(w)->subject);
    json_t *device = fh_try_row(w, "SELECT id, site, active FROM devices WHERE id = :id", id);
    if (!device)
        fh_fail(w, 409, "The device %s is not known here, or not yet.", fh_user(w)->subject);
    if (!json_is_true(json_object_get(device, "active")))
        fh_fail(w, 403, "The device %s is switched off.", fh_user(w)->subject);
    return device;
}

/* Keeps, of each kind, the point with the latest time; of two of one time the one behind. */
static void keep_latest(json_t *latest, json_t *point)
{
    const char *kind = json_string_value(json_object_get(point, "kind"));
    json_t *kept = json_object_get(latest, kind);
    if (!kept || json_integer_value(json_object_get(kept, "at_ms")) <=
                     json_integer_value(json_object_get(point, "at_ms")))
        json_object_set(latest, kind, point);
}

static void take_points(fh_work *w)
{
    json_t *device = believed_device(w), *points = json_object_get(fh_body(w), "points");
    json_t *latest = fh_object(w), *list = fh_array(w), *point;
    const char *kind;
    size_t i;
    json_array_foreach (points, i, point) {
        fh_fact(w, "measured", json_integer_value(json_object_get(point, "at_ms")),
                fh_object(w, "device", json_object_get(device, "id"), "site",
                          json_object_get(device, "site"), "kind", json_object_get(point, "kind"),
                          "value", json_object_get(point, "value")));
        keep_latest(latest, point);
    }
    json_object_foreach (latest, kind, point)
        json_array_append(list, point);
    fh_publish(w, "PointsTaken",
               fh_object(w, "device", json_object_get(device, "id"), "site",
                         json_object_get(device, "site"), "latest", list));
    fh_reply(w, 201, fh_object(w, "taken", (int64_t)json_array_size(points)));
}

/* ---- curves ---- */

static int64_t number_of(json_t *query, const char *name)
{
    return json_integer_value(json_object_get(query, name));
}

/* Of a device, or of a site; a curve for each kind. */
static void answer_curves(fh_work *w, json_t *tags)
{
    json_t *query = fh_query(w), *kind = json_object_get(query, "kind");
    if (json_is_string(kind))
        json_object_set(tags, "kind", kind);
    const struct fh_series question = {.tags = tags,
                                       .from_ms = number_of(query, "from_ms"),
                                       .to_ms = number_of(query, "to_ms"),
                                       .every_ms = number_of(query, "every_ms"),
                                       .values = (const char *const[]){"mean value", "min value",
                                                                       "max value", "p95 value",
                                                                       "count", NULL},
                                       .by = (const char *const[]){"kind", NULL},
                                       .fill = FH_GAPS};
    fh_reply(w, 200, fh_series(w, "measured", &question));
}

static void device_curves(fh_work *w)
{
    answer_curves(w, fh_object(w, "device", json_object_get(fh_path(w), "device")));
}

static void site_curves(fh_work *w)
{
    answer_curves(w, fh_object(w, "site", json_object_get(fh_path(w), "site")));
}

/* The last point of each kind that each device of the site has measured. */
static void latest_of_site(fh_work *w)
{
    const struct fh_series question = {.tags = fh_path(w),
                                       .by = (const char *const[]){"device", "kind", NULL}};
    fh_reply(w, 200, fh_series(w, "measured", &question));
}

/* ---- which devices there are ---- */

static void device_changed(fh_work *w)
{
    fh_exec(w,
            "INSERT INTO devices (id, site, active) VALUES (:id, :site, :active)"
            " ON CONFLICT (id) DO UPDATE SET site = excluded.site, active = excluded.active",
            fh_event_data(w));
}

static void device_gone(fh_work *w)
{
    fh_exec(w, "DELETE FROM devices WHERE id = :key", fh_event_data(w));
}

static void devices_held(fh_work *w)
{
    fh_reply(w, 200,
             fh_rows(w,
                     "SELECT id, site, active FROM devices WHERE id > :after ORDER BY id"
                     " LIMIT :limit",
                     fh_query(w)));
}

/* ---- the declaration ---- */

static const struct fh_derived_field measured_fields[] = {{"device", FH_STRING, FH_TAG},
                                                          {"site", FH_STRING, FH_TAG},
                                                          {"kind", FH_STRING, FH_TAG},
                                                          {"value", FH_NUMBER},
                                                          {0}};

static const fh_field point_shape[] = {
    {"at_ms", FH_INT, .min = 0, .max = 4102444800000}, /* until 2100: a server may end in 2260 */
    {"kind", FH_STRING, .min = 1, .max = 64, .pattern = "[a-z][a-z0-9_]*"},
    {"value", FH_NUMBER},
    {0}};
static const fh_field points_shape[] = {
    {"points", FH_ARRAY, .of = point_shape, .min = 1, .max = POINTS_MAX}, {0}};
static const fh_field taken_shape[] = {{"taken", FH_INT}, {0}};
static const fh_field told_shape[] = {
    {"device", FH_STRING}, {"site", FH_STRING}, {"latest", FH_ARRAY, .of = point_shape}, {0}};
static const fh_field curve_query[] = {
    {"kind", FH_STRING, .max = 64, .nullable = true, .default_value = "null"},
    {"from_ms", FH_INT, .min = 0},
    {"to_ms", FH_INT, .min = 0},
    {"every_ms", FH_INT, .min = 1},
    {0}};
static const fh_field curves_shape[] = {
    {"values", FH_ARRAY, .elements = FH_STRING}, {"curves", FH_ANY}, {0}};

FH_SERVICE(
    telemetry, .model = FH_RELATIONAL,
    .routes = {{"POST", "/api/points", take_points, .body = points_shape,
                .answer = {201, taken_shape}, .auth = FH_ROLE("device"), .name = "take_points",
                .summary = "What the device that is logged in has measured"},
               {"GET", "/api/devices/{device}/curves", device_curves, .query = curve_query,
                .answer = {200, curves_shape}, .auth = FH_USER, .name = "device_curves",
                .summary = "What a device has measured, by intervals"},
               {"GET", "/api/sites/{site}/curves", site_curves, .query = curve_query,
                .answer = {200, curves_shape}, .auth = FH_USER, .name = "site_curves",
                .summary = "What all devices of a site have measured, by intervals"},
               {"GET", "/api/sites/{site}/latest", latest_of_site, .answer = {200, curves_shape},
                .auth = FH_USER, .name = "latest_of_site", .summary = "The last points of a site"}},
    .publishes = {{"PointsTaken", 1, told_shape, .key = "device"}},
    .subscribes = {{"devices", "DeviceChanged", device_changed, .fields = "id,site,active",
                    .upsert = device_changed, .gone = device_gone, .held = devices_held,
                    .sync_s = 24 * 60 * 60}},
    .derives = {{"measured", FH_SERIES, measured_fields, .keep_days = KEPT_DAYS}},
    .shapes = {{"Points", points_shape},
               {"Point", point_shape},
               {"Taken", taken_shape},
               {"Curves", curves_shape}});
