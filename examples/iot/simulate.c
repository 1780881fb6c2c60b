/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices that measure while everything may fail: they repeat what was not answered, correct what
 * they have sent, send late, and are switched off and on. At the end each point that was taken is
 * in its curve once, with the value sent last, and nothing else is; and of what telemetry has told,
 * each rule has raised and cleared exactly what an independent reading of the same events does.
 */

#include <freehold/simulate.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#define DEVICES 4 /* each is a client */
#define SLOTS 120 /* a second each */
#define BATCHES_MAX 24
#define POINTS_MAX 12 /* of a batch */
#define BEGIN_MS INT64_C(1767225600000)
#define RAISED_ABOVE 80
#define CLEARED_BELOW 60
#define STEADY_S 3 /* of the second rule */
#define STAFF "clerk"

static const char *const kinds[] = {"heat", "load"};
#define KINDS 2

struct device {
    double value[KINDS][SLOTS];
    bool there[KINDS][SLOTS];
};

struct iot {
    struct device devices[DEVICES];
    char rules[2][64]; /* of heat: at once, and after STEADY_S */
};

static json_int_t integer_of(json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static const char *text_of(json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static const char *device_id(int number, char into[static 16])
{
    snprintf(into, 16, "d%d", number);
    return into;
}

/* ---- before ---- */

static void make_rule(fh_client *client, int number, json_t *body)
{
    struct iot *iot = fh_client_state(client);
    char key[32];
    json_t *rule;
    snprintf(key, sizeof key, "rule-%d", number);
    struct fh_ask ask = {"alerts", "POST", "/api/rules", body, key, .as_operator = true};
    int status = fh_client_insist(client, &ask, &rule);
    fh_client_expect(client, status == 201, "a rule was answered %d", status);
    if (number < 2)
        snprintf(iot->rules[number], sizeof iot->rules[number], "%s", text_of(rule, "id"));
    json_decref(rule);
    json_decref(body);
}

static int send_points(fh_client *client, int number, const char *key, json_t *points)
{
    char id[16];
    json_t *body = json_pack("{s:O}", "points", points);
    struct fh_ask ask = {"telemetry",
                         "POST",
                         "/api/points",
                         body,
                         key,
                         .user = device_id(number, id),
                         .grants = FH_ROLE("device")};
    int status = fh_client_insist(client, &ask, NULL);
    json_decref(body);
    return status;
}

/* Returns once telemetry has heard of it. */
static void register_device(fh_client *client, int number)
{
    struct iot *iot = fh_client_state(client);
    char id[16], key[48];
    snprintf(key, sizeof key, "device-%d", number);
    json_t *body = json_pack("{s:s, s:s, s:s}", "id", device_id(number, id), "name", id, "site",
                             number % 2 ? "north" : "south");
    struct fh_ask ask = {
        "devices", "POST", "/api/devices", body, key, .user = STAFF, .grants = FH_ROLE("staff")};
    int status = fh_client_insist(client, &ask, NULL);
    fh_client_expect(client, status == 201, "a device was answered %d", status);
    json_decref(body);
    json_t *points = json_pack("[{s:I, s:s, s:f}]", "at_ms", (json_int_t)BEGIN_MS, "kind", kinds[0],
                               "value", 1.0);
    for (int i = 0; status != 201 || i == 0; i++) {
        snprintf(key, sizeof key, "first-%d-%d", number, i);
        status = send_points(client, number, key, points);
        fh_client_expect(client, status == 201 || status == 409, "the first point was answered %d",
                         status);
        if (status != 201)
            fh_client_sleep_ms(client, 100);
    }
    iot->devices[number].there[0][0] = true;
    iot->devices[number].value[0][0] = 1.0;
    json_decref(points);
}

static void prepare(fh_client *client)
{
    make_rule(client, 0,
              json_pack("{s:s, s:s, s:i, s:i}", "name", "hot", "kind", kinds[0], "above",
                        RAISED_ABOVE, "clear_below", CLEARED_BELOW));
    make_rule(client, 1,
              json_pack("{s:s, s:s, s:i, s:i, s:i}", "name", "hot for long", "kind", kinds[0],
                        "above", RAISED_ABOVE, "clear_below", CLEARED_BELOW, "for_s", STEADY_S));
    make_rule(client, 2, json_pack("{s:s, s:i}", "name", "gone", "absent_s", 20));
    for (int i = 0; i < DEVICES; i++)
        register_device(client, i);
}

/* ---- meanwhile ---- */

/* Points about `slot`, some of them late, some of them corrections. */
static json_t *draw_points(fh_client *client, int slot)
{
    json_t *points = json_array();
    int count = 1 + (int)fh_client_random(client, POINTS_MAX);
    for (int i = 0; i < count; i++) {
        int at = slot + i / 2 - (int)fh_client_random(client, 3) * (int)fh_client_random(client, 9);
        at = at < 0 ? 0 : at >= SLOTS ? SLOTS - 1 : at;
        json_array_append_new(points, json_pack("{s:I, s:s, s:f}", "at_ms",
                                                (json_int_t)(BEGIN_MS + at * INT64_C(1000)), "kind",
                                                kinds[fh_client_random(client, KINDS)], "value",
                                                (double)fh_client_random(client, 400) / 4));
    }
    return points;
}

static void remember_points(struct device *device, json_t *points)
{
    json_t *point;
    size_t i;
    json_array_foreach (points, i, point) {
        int kind = strcmp(text_of(point, "kind"), kinds[0]) != 0;
        int slot = (int)((integer_of(point, "at_ms") - BEGIN_MS) / 1000);
        device->there[kind][slot] = true;
        device->value[kind][slot] = json_real_value(json_object_get(point, "value"));
    }
}

static void switch_device(fh_client *client, int number, const char *key, bool active)
{
    char id[16], path[40];
    snprintf(path, sizeof path, "/api/devices/%s", device_id(number, id));
    json_t *body = json_pack("{s:b}", "active", active);
    struct fh_ask ask = {
        "devices", "PATCH", path, body, key, .user = STAFF, .grants = FH_ROLE("staff")};
    int status = fh_client_insist(client, &ask, NULL);
    fh_client_expect(client, status == 200, "a switch was answered %d", status);
    json_decref(body);
}

static void client(fh_client *client, int number)
{
    struct iot *iot = fh_client_state(client);
    char key[32];
    int batches = 4 + (int)fh_client_random(client, BATCHES_MAX - 4 + 1);
    bool switched = false;
    for (int i = 0; i < batches; i++) {
        json_t *points = draw_points(client, i * (SLOTS / BATCHES_MAX));
        snprintf(key, sizeof key, "d%d-%d", number, i);
        int status = send_points(client, number, key, points);
        fh_client_expect(client, status == 201 || (switched && status == 403),
                         "points were answered %d", status);
        if (status == 201) {
            remember_points(&iot->devices[number], points);
            fh_client_count(client, "points", (int64_t)json_array_size(points));
        }
        if (status == 201 && fh_client_random(client, 6) == 0)
            fh_client_expect(client, send_points(client, number, key, points) == 201,
                             "repeated points were refused");
        json_decref(points);
        if (fh_client_random(client, 12) == 0) {
            snprintf(key, sizeof key, "d%d-%d-off", number, i);
            switch_device(client, number, key, false);
            snprintf(key, sizeof key, "d%d-%d-on", number, i);
            switch_device(client, number, key, true);
            switched = true;
        }
        fh_client_sleep_ms(client, (int)fh_client_random(client, 400));
    }
}

/* ---- afterwards ---- */

/* A point of a curve is its time, then mean, min, max, p95 and count. */
static int check_curve(fh_client *client, const struct device *device, int kind, json_t *curve)
{
    json_t *point;
    size_t i;
    int found = 0;
    json_array_foreach (json_object_get(curve, "points"), i, point) {
        int slot = (int)((json_integer_value(json_array_get(point, 0)) - BEGIN_MS) / 1000);
        double value = json_number_value(json_array_get(point, 1));
        json_int_t count = json_integer_value(json_array_get(point, 5));
        if (count == 0)
            continue;
        found++;
        fh_client_expect(client,
                         slot >= 0 && slot < SLOTS && device->there[kind][slot] && count == 1 &&
                             fabs(value - device->value[kind][slot]) < 1e-9,
                         "in second %d %s has %" JSON_INTEGER_FORMAT " points of %g", slot,
                         kinds[kind], count, value);
    }
    return found;
}

static void check_curves(fh_client *client, int number)
{
    const struct iot *iot = fh_client_state(client);
    const struct device *device = &iot->devices[number];
    char path[160], id[16];
    json_t *answer, *curve;
    size_t i;
    int sent = 0, found = 0;
    snprintf(path, sizeof path, "/api/devices/%s/curves?from_ms=%lld&to_ms=%lld&every_ms=1000",
             device_id(number, id), (long long)BEGIN_MS - 60000,
             (long long)BEGIN_MS + (SLOTS + 60) * 1000LL);
    struct fh_ask ask = {"telemetry", "GET", path, .user = STAFF};
    int status = fh_client_insist(client, &ask, &answer);
    fh_client_expect(client, status == 200, "curves were answered %d", status);
    json_array_foreach (json_object_get(answer, "curves"), i, curve) {
        const char *kind = text_of(json_object_get(curve, "tags"), "kind");
        found += check_curve(client, device, strcmp(kind, kinds[0]) != 0, curve);
    }
    for (int kind = 0; kind < KINDS; kind++) {
        for (int slot = 0; slot < SLOTS; slot++)
            sent += device->there[kind][slot];
    }
    fh_client_expect(client, sent == found, "of %d points of device %s %d are there", sent, id,
                     found);
    json_decref(answer);
}

/* What a rule does with one device's heat, told in the order of the events. */
struct reading {
    int64_t for_ms, latest_ms, above_since_ms;
    bool raised;
    int raises, clears;
};

static void read_heat(struct reading *reading, int64_t at_ms, double value)
{
    if (at_ms <= reading->latest_ms)
        return;
    reading->latest_ms = at_ms;
    if (reading->raised) {
        if (value < CLEARED_BELOW) {
            reading->raised = false;
            reading->above_since_ms = 0;
            reading->clears++;
        }
        return;
    }
    if (value <= RAISED_ABOVE) {
        reading->above_since_ms = 0;
        return;
    }
    if (!reading->above_since_ms)
        reading->above_since_ms = at_ms;
    if (at_ms - reading->above_since_ms >= reading->for_ms) {
        reading->raised = true;
        reading->raises++;
    }
}

static struct reading read_events(json_t *events, const char *device, int64_t for_ms)
{
    struct reading reading = {.for_ms = for_ms};
    json_t *event, *point;
    size_t i, j;
    json_array_foreach (events, i, event) {
        json_t *data = json_loads(text_of(event, "data"), 0, NULL);
        json_array_foreach (json_object_get(data, "latest"), j, point) {
            if (strcmp(text_of(data, "device"), device) == 0 &&
                strcmp(text_of(point, "kind"), kinds[0]) == 0)
                read_heat(&reading, integer_of(point, "at_ms"),
                          json_number_value(json_object_get(point, "value")));
        }
        json_decref(data);
    }
    return reading;
}

/* How many events of `type` the rule has told of the device. */
static int told(json_t *events, const char *type, const char *rule, const char *device)
{
    json_t *event;
    size_t i;
    int count = 0;
    json_array_foreach (events, i, event) {
        json_t *data = json_loads(text_of(event, "data"), 0, NULL);
        count += strcmp(text_of(event, "type"), type) == 0 &&
                 strcmp(text_of(data, "rule"), rule) == 0 &&
                 strcmp(text_of(data, "device"), device) == 0;
        json_decref(data);
    }
    return count;
}

static void check_alerts(fh_client *client)
{
    const struct iot *iot = fh_client_state(client);
    json_t *taken = fh_client_rows(client, "telemetry",
                                   "SELECT data FROM fh_outbox WHERE type = 'PointsTaken'"
                                   " ORDER BY position");
    json_t *alerts = fh_client_rows(client, "alerts",
                                    "SELECT type, data FROM fh_outbox"
                                    " WHERE type IN ('AlertRaised', 'AlertCleared')");
    char id[16];
    for (int i = 0; i < DEVICES; i++) {
        for (int rule = 0; rule < 2; rule++) {
            struct reading due = read_events(taken, device_id(i, id), rule * STEADY_S * 1000);
            int raised = told(alerts, "AlertRaised", iot->rules[rule], id);
            int cleared = told(alerts, "AlertCleared", iot->rules[rule], id);
            fh_client_expect(client, raised == due.raises && cleared == due.clears,
                             "rule %d has raised %d alerts of %s and cleared %d, due were %d and "
                             "%d",
                             rule, raised, id, cleared, due.raises, due.clears);
            fh_client_count(client, rule ? "raised later" : "raised", raised);
            fh_client_count(client, "cleared", cleared);
        }
    }
    json_decref(alerts);
    json_decref(taken);
}

static void check(fh_client *client)
{
    for (int i = 0; i < DEVICES; i++)
        check_curves(client, i);
    check_alerts(client);
}

FH_SIMULATION(iot, .state_size = sizeof(struct iot), .clients = DEVICES, .prepare = prepare,
              .client = client, .check = check);
