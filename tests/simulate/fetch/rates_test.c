/* SPDX-License-Identifier: Apache-2.0 */
/* What is fetched, as its users test it: by stubs of what is outside. */

#include <freehold/test.h>
#include <string.h>

#define OUTSIDE "https://api.example.org"

static void post_price(fh_test *t, int status)
{
    fh_test_request(t, status, "rates", "POST /api/prices", fh_object(t, "day", "2026-03-01"));
}

FH_TEST_OF(rates, a_price_is_kept_at_the_rate_that_was_fetched)
{
    fh_test_stub(t, OUTSIDE, "GET /rates/{day}", 200, fh_object(t, "rate", 2));
    post_price(t, 201);
    fh_test_expect_asked(t, OUTSIDE, "GET /rates/2026-03-01", 1);
    fh_test_stub(t, OUTSIDE, "GET /rates/2026-03-01", 200, fh_object(t, "rate", 3));
    fh_test_crash_soon(t, "rates");
    post_price(t, 201);
    fh_test_expect_json(t, fh_test_request(t, 200, "rates", "GET /api/prices", NULL),
                        json_pack("[{s:i}, {s:i}]", "rate", 2, "rate", 3));
}

FH_TEST(what_is_outside_is_a_stub_in_every_test)
{
    fh_test_stub(t, OUTSIDE, "GET /rates/{day}", 404, NULL);
    post_price(t, 422);
    fh_test_stub(t, OUTSIDE, "GET /motto", 200, json_string("more than words"));
    fh_test_expect_json(t, fh_test_request(t, 200, "rates", "GET /api/outside/motto", NULL),
                        fh_object(t, "value", "more than words"));
    fh_test_stub(t, OUTSIDE, "GET /motto", 503, NULL);
    fh_test_expect_json(t, fh_test_request(t, 200, "rates", "GET /api/outside/motto", NULL),
                        fh_object(t, "status", 503));
}

FH_TEST_OF(rates, bytes_come_back_as_they_went)
{
    static const char bytes[] = "a\0b\xff\n";
    size_t length;
    fh_test_crash_soon(t, "rates");
    const char *echo =
        fh_test_request_bytes(t, 200, "rates", "POST /api/echo", bytes, sizeof bytes, &length);
    fh_test_expect(t, length == sizeof bytes && memcmp(echo, bytes, length) == 0,
                   "%zu other bytes came back", length);
    fh_test_request_bytes(t, 400, "rates", "POST /api/echo", NULL, 0, NULL);
    fh_test_expect_count(t, fh_test_request(t, 200, "rates", "GET /api/prices", NULL), 0);
}

FH_TEST_OF(rates, what_is_fetched_survives_a_broken_network)
{
    fh_test_stub(t, OUTSIDE, "GET /rates/{day}", 200, fh_object(t, "rate", 2));
    fh_test_faults_begin(t);
    post_price(t, 201);
    fh_test_faults_end(t);
    fh_test_expect_json(t, fh_test_rows(t, "rates", "SELECT rate FROM price"),
                        json_pack("[{s:i}]", "rate", 2));
}
