/* SPDX-License-Identifier: Apache-2.0 */
/* Prices at the rate of a day, which is fetched from outside the system. */

#include <freehold.h>

static const char *rates_url(fh_work *w, const char *path)
{
    return fh_format(w, "%s%s", json_string_value(json_object_get(fh_settings(w), "from")), path);
}

static void post_price(fh_work *w)
{
    json_t *rates = fh_fetch(w, rates_url(w, "/rates/{day}"), fh_body(w));
    fh_exec(w, "INSERT INTO price (day, rate) VALUES (:day, :rate)", fh_body(w), rates);
    fh_reply(w, 201, rates);
}

static void get_prices(fh_work *w)
{
    fh_reply(w, 200, fh_rows(w, "SELECT day, rate FROM price ORDER BY id"));
}

/* What is outside at a path, or the problem. */
static void get_outside(fh_work *w)
{
    json_t *problem, *value = fh_try_fetch(w, &problem, rates_url(w, "/{name}"), fh_path(w));
    fh_reply(w, 200,
             value ? fh_object(w, "value", value)
                   : fh_object(w, "status", json_object_get(problem, "status"), "detail",
                               json_object_get(problem, "detail")));
}

static void echo_bytes(fh_work *w)
{
    size_t length;
    const void *bytes = fh_body_bytes(w, &length);
    fh_reply_bytes(w, 200, bytes, length);
}

static const fh_field price_shape[] = {{"day", FH_STRING, .min = 1, .max = 40}, {0}};
static const fh_field settings_shape[] = {{"from", FH_STRING}, {0}};

FH_SERVICE(rates, .model = FH_RELATIONAL, .settings = settings_shape,
           .fetches = {"api.example.org", "127.0.0.1", "localhost"},
           .routes = {{"POST", "/api/prices", post_price, .body = price_shape, .auth = FH_ANYONE},
                      {"GET", "/api/prices", get_prices, .auth = FH_ANYONE},
                      {"POST", "/api/echo", echo_bytes, .body_type = "application/octet-stream",
                       .answer_type = "application/octet-stream", .auth = FH_ANYONE},
                      {"GET", "/api/outside/{name}", get_outside, .auth = FH_ANYONE,
                       .deadline_ms = 3000}});
