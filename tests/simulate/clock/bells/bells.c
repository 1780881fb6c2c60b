/* SPDX-License-Identifier: Apache-2.0 */
/* Bells that ring at their time: each ring is a row. */

#include <freehold.h>

#ifdef WITHOUT_RING /* a program that lacks what is set: tests/scenario/test_timers.py */
#define RING "chime"
#else
#define RING "ring"
#endif

static const fh_field bell_shape[] = {{"name", FH_STRING, .min = 1, .max = 40},
                                      {"in_ms", FH_INT, .min = -1000000000, .max = 1000000000},
                                      {"again", FH_INT, .min = 0, .max = 10, .optional = true},
                                      {0}};
static const fh_field peal_shape[] = {{"name", FH_STRING, .min = 1, .max = 20},
                                      {"count", FH_INT, .min = 1, .max = 1000},
                                      {"in_ms", FH_INT, .min = 0, .max = 1000000000},
                                      {0}};
static const fh_field parcel_shape[] = {{"what", FH_ANY}, {0}};
static const fh_field name_shape[] = {{"name", FH_STRING, .min = 1, .max = 40}, {0}};
static const fh_field ring_shape[] = {
    {"name", FH_STRING}, {"again", FH_INT, .min = 0, .max = 10}, {0}};

static void set_bell(fh_work *w, const char *name, int64_t due_ms, json_int_t again)
{
    const char *id =
        fh_at(w, due_ms, "ring", json_pack("{s:s, s:I}", "name", name, "again", again));
    fh_exec(w, "INSERT INTO bell (name, timer, due_ms) VALUES (:name, :timer, :due_ms)",
            json_pack("{s:s, s:s, s:I}", "name", name, "timer", id, "due_ms", (json_int_t)due_ms));
}

static void post_bell(fh_work *w)
{
    json_t *body = fh_body(w);
    const char *name = json_string_value(json_object_get(body, "name"));
    set_bell(w, name, fh_now_ms(w) + json_integer_value(json_object_get(body, "in_ms")),
             json_integer_value(json_object_get(body, "again")));
    if (name[0] == '!')
        fh_fail(w, 409, "Such bells are not hung.");
    fh_reply(w, 201, json_pack("{s:s}", "name", name));
}

static void cancel_bell(fh_work *w)
{
    json_t *bell = fh_row(w, "SELECT name, timer FROM bell WHERE name = :name", fh_body(w));
    bool pending = fh_cancel(w, json_string_value(json_object_get(bell, "timer")));
    if (pending)
        fh_exec(w, "UPDATE bell SET cancelled = 1 WHERE name = :name", bell);
    fh_reply(w, 200, json_pack("{s:b}", "pending", pending));
}

static void ring(fh_work *w)
{
    json_t *data = fh_timer_data(w);
    const char *name = json_string_value(json_object_get(data, "name"));
    json_int_t again = json_integer_value(json_object_get(data, "again"));
    json_t *at = json_pack("{s:I, s:I}", "due_ms", (json_int_t)fh_timer_due_ms(w), "at_ms",
                           (json_int_t)fh_now_ms(w));
    if (json_array_size(fh_rows(w, "SELECT name FROM curse WHERE name = :name", data)) > 0)
        fh_fail(w, name[0] == '~' ? 503 : 500, "The bell is cursed.");
    fh_exec(w, "INSERT INTO ring (name, due_ms, at_ms) VALUES (:name, :due_ms, :at_ms)", data, at);
    fh_publish(w, "BellRung", json_pack("{s:s}", "name", name));
    if (again > 0)
        set_bell(w, fh_format(w, "%s+", name), fh_timer_due_ms(w) + 60000, again - 1);
}

/* What its data hold is for nobody to know beforehand. */
static void post_parcel(fh_work *w)
{
    fh_at(w, fh_now_ms(w), "parcel", json_pack("{s:O}", "parcel", fh_body(w)));
}

static void deliver(fh_work *w)
{
    if (!json_object_get(json_object_get(fh_timer_data(w), "parcel"), "what"))
        fh_fail(w, 500, "The parcel is empty.");
    fh_exec(w, "INSERT INTO ring (name, due_ms, at_ms) VALUES ('parcel', :due_ms, :due_ms)",
            json_pack("{s:I}", "due_ms", (json_int_t)fh_timer_due_ms(w)));
}

static void tick_as(fh_work *w, const char *schedule)
{
    fh_exec(w, "INSERT INTO tick (schedule, due_ms, at_ms) VALUES (:schedule, :due_ms, :at_ms)",
            json_pack("{s:s, s:I, s:I}", "schedule", schedule, "due_ms",
                      (json_int_t)fh_timer_due_ms(w), "at_ms", (json_int_t)fh_now_ms(w)));
}

static void tick(fh_work *w)
{
    tick_as(w, "often");
}

static void toll(fh_work *w)
{
    tick_as(w, "nightly");
    if (json_array_size(fh_rows(w, "SELECT name FROM curse WHERE name = 'nightly'")) > 0)
        fh_fail(w, 503, "The tower is closed.");
}

static void post_curse(fh_work *w)
{
    fh_exec(w, "INSERT INTO curse (name) VALUES (:name) ON CONFLICT DO NOTHING", fh_body(w));
}

static void lift_curse(fh_work *w)
{
    fh_exec(w, "DELETE FROM curse WHERE name = :name", fh_body(w));
}

/* Many at once, which stand in no table of bells. */
static void post_peal(fh_work *w)
{
    json_t *body = fh_body(w);
    const char *name = json_string_value(json_object_get(body, "name"));
    json_int_t count = json_integer_value(json_object_get(body, "count"));
    int64_t due_ms = fh_now_ms(w) + json_integer_value(json_object_get(body, "in_ms"));
    for (json_int_t i = 0; i < count; i++)
        fh_at(w, due_ms, "ring",
              json_pack("{s:s, s:i}", "name", fh_format(w, "%s-%" JSON_INTEGER_FORMAT, name, i),
                        "again", 0));
    fh_reply(w, 201, body);
}

/* How often each has rung. */
static void get_bells(fh_work *w)
{
    fh_reply(w, 200,
             fh_rows(w, "SELECT b.name, b.cancelled, count(r.id) AS rings FROM bell b"
                        " LEFT JOIN ring r ON r.name = b.name GROUP BY b.name ORDER BY b.name"));
}

static void post_unknown(fh_work *w)
{
    fh_at(w, fh_now_ms(w), "nobody", NULL);
}

FH_SERVICE(
    bells, .model = FH_RELATIONAL,
    .routes = {{"GET", "/bells", get_bells, .audience = FH_OPERATORS},
               {"POST", "/bells", post_bell, .body = bell_shape, .audience = FH_OPERATORS},
               {"POST", "/peals", post_peal, .body = peal_shape, .audience = FH_OPERATORS},
               {"POST", "/parcels", post_parcel, .body = parcel_shape, .audience = FH_OPERATORS},
               {"POST", "/cancels", cancel_bell, .body = name_shape, .audience = FH_OPERATORS},
               {"POST", "/curses", post_curse, .body = name_shape, .audience = FH_OPERATORS},
               {"POST", "/blessings", lift_curse, .body = name_shape, .audience = FH_OPERATORS},
               {"POST", "/unknown", post_unknown, .audience = FH_OPERATORS}},
    .publishes = {{"BellRung", .shape = name_shape, .key = "name"}},
    .timers = {{RING, ring, .data = ring_shape}, {"parcel", deliver}},
    .every = {{"often", tick, "*/20 * * * *", "Europe/Berlin"},
              {"nightly", toll, "0 3 * * *", "Europe/Berlin"}});
