/* SPDX-License-Identifier: Apache-2.0 */
/* Tests that must fail, each for the reason that tests_test.py names. */

#include <freehold/test.h>

FH_TEST_OF(rates, fetches_without_a_stub)
{
    fh_test_request(t, 422, "rates", "POST /api/prices", fh_object(t, "day", "today"));
}

FH_TEST_OF(rates, a_stub_of_a_host_that_is_not_declared)
{
    fh_test_stub(t, "https://evil.example", "GET /rates", 200, json_true());
}

FH_TEST_OF(rates, a_stub_outside_that_answers_more_than_get)
{
    fh_test_stub(t, "https://api.example.org", "POST /rates", 200, json_true());
}
