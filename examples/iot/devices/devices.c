/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices: what measures, and where it stands. Owns the table `devices`.
 *
 * A device stays where it is: its site says whose points its points are, so one that was moved
 * would measure the same moment twice. At another site it is another device.
 *
 * A device that is switched off (`active`) is not believed any more; it stays, since there are
 * points of it.
 */

#include <freehold.h>

static void create_device(fh_work *w)
{
    json_t *device = fh_row(w,
                            "INSERT INTO devices (id, name, site, active)"
                            " VALUES (:id, :name, :site, TRUE) RETURNING *",
                            fh_body(w));
    fh_publish(w, "DeviceChanged", device);
    fh_reply(w, 201, device);
}

static void get_device(fh_work *w)
{
    fh_reply(w, 200, fh_row(w, "SELECT * FROM devices WHERE id = :id", fh_path(w)));
}

static void list_devices(fh_work *w)
{
    fh_reply(
        w, 200,
        fh_page_rows(w, "SELECT * FROM devices WHERE site = coalesce(:site, site)", fh_query(w)));
}

static void change_device(fh_work *w)
{
    json_t *device = fh_row(w,
                            "UPDATE devices SET name = coalesce(:name, name),"
                            " active = coalesce(:active, active) WHERE id = :id RETURNING *",
                            fh_path(w), fh_body(w));
    fh_publish(w, "DeviceChanged", device);
    fh_reply(w, 200, device);
}

/* For those who begin anew with what there is. */
static void every_device(fh_work *w)
{
    fh_reply(w, 200,
             fh_rows(w, "SELECT * FROM devices WHERE id > :after ORDER BY id LIMIT :limit",
                     fh_query(w)));
}

#define NAME_PATTERN "[a-z0-9][a-z0-9_.-]*"

static const fh_field new_device_shape[] = {
    {"id", FH_STRING, .min = 1, .max = 64, .pattern = NAME_PATTERN},
    {"name", FH_STRING, .min = 1, .max = 200},
    {"site", FH_STRING, .min = 1, .max = 64, .pattern = NAME_PATTERN},
    {0}};
static const fh_field change_shape[] = {
    {"name", FH_STRING, .min = 1, .max = 200, .nullable = true, .default_value = "null"},
    {"active", FH_BOOL, .nullable = true, .default_value = "null"},
    {0}};
static const fh_field device_shape[] = {
    {"id", FH_STRING}, {"name", FH_STRING}, {"site", FH_STRING}, {"active", FH_BOOL}, {0}};
static const fh_field list_shape[] = {
    {"site", FH_STRING, .max = 64, .nullable = true, .default_value = "null"}, {0}};

FH_SERVICE(devices, .model = FH_RELATIONAL,
           .routes = {{"POST", "/api/devices", create_device, .body = new_device_shape,
                       .answer = {201, device_shape}, .auth = FH_ROLE("staff"),
                       .location = "/api/devices/{id}", .name = "create_device",
                       .summary = "A new device, switched on"},
                      {"GET", "/api/devices", list_devices, .query = list_shape,
                       .answer = {200, .each = device_shape}, .page = {"id"}, .auth = FH_USER,
                       .name = "list_devices", .summary = "All devices, or those of a site"},
                      {"GET", "/api/devices/{id}", get_device, .answer = {200, device_shape},
                       .auth = FH_USER, .name = "get_device", .summary = "A device"},
                      {"PATCH", "/api/devices/{id}", change_device, .body = change_shape,
                       .answer = {200, device_shape}, .auth = FH_ROLE("staff"),
                       .name = "change_device",
                       .summary = "Renames a device, switches it on or off"}},
           .publishes = {{"DeviceChanged", 1, device_shape, .key = "id", .state = every_device}},
           .shapes = {{"Device", device_shape},
                      {"NewDevice", new_device_shape},
                      {"DeviceChange", change_shape}});
