/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of tickets, on virtual time: freehold test examples/tickets/freehold.yaml */

#include <freehold/test.h>

#define DAY_S 86400
#define MANY 25

static json_t *opening(const char *subject)
{
    return json_pack("{s:s, s:s}", "subject", subject, "text", "It makes a noise.");
}

static void login(fh_test *t, const char *name)
{
    fh_test_login(t, name, NULL, NULL);
}

static void login_staff(fh_test *t)
{
    fh_test_login(t, "clerk", FH_ROLE("staff"), NULL);
}

FH_TEST_OF(tickets, users_see_their_own_and_staff_all)
{
    login(t, "ada");
    fh_test_request(t, 201, "tickets", "POST /api/tickets", opening("printer"));
    login(t, "eve");
    fh_test_request(t, 404, "tickets", "GET /api/tickets/1", NULL);
    fh_test_request(t, 404, "tickets", "PUT /api/tickets/1/status",
                    json_pack("{s:s}", "status", "closed"));
    fh_test_expect_json(t, fh_test_request(t, 200, "tickets", "GET /api/tickets", NULL),
                        json_array());
    login_staff(t);
    fh_test_expect_json(t, fh_test_request(t, 200, "tickets", "GET /api/tickets/1", NULL),
                        json_pack("{s:s, s:s}", "owner", "ada", "subject", "printer"));
    fh_test_login(t, NULL, NULL, NULL);
    fh_test_request(t, 401, "tickets", "GET /api/tickets", NULL);
}

FH_TEST_OF(tickets, a_place_comes_back_as_it_was_given)
{
    login(t, "ada");
    json_t *place = json_pack("{s:i, s:i}", "longitude", 8541694, "latitude", 47376887);
    json_t *ticket = opening("door");
    json_object_set(ticket, "place", place);
    fh_test_request(t, 201, "tickets", "POST /api/tickets", ticket);
    fh_test_expect_json(t, fh_test_request(t, 200, "tickets", "GET /api/tickets/1", NULL),
                        json_pack("{s:o}", "place", place));
    ticket = opening("nowhere on this planet");
    json_object_set_new(ticket, "place",
                        json_pack("{s:i, s:i}", "longitude", 0, "latitude", 90000001));
    fh_test_request(t, 422, "tickets", "POST /api/tickets", ticket);
}

FH_TEST_OF(tickets, comments_are_shown_in_order_until_it_is_closed)
{
    login(t, "ada");
    fh_test_request(t, 201, "tickets", "POST /api/tickets", opening("printer"));
    fh_test_request(t, 201, "tickets", "POST /api/tickets/1/comments",
                    json_pack("{s:s}", "text", "Still."));
    login_staff(t);
    fh_test_request(t, 201, "tickets", "POST /api/tickets/1/comments",
                    json_pack("{s:s}", "text", "Now?"));
    fh_test_expect_json(t, fh_test_request(t, 200, "tickets", "GET /api/tickets/1", NULL),
                        json_pack("{s:[{s:s, s:s}, {s:s, s:s}]}", "comments", "author", "ada",
                                  "text", "Still.", "author", "clerk", "text", "Now?"));
    fh_test_request(t, 200, "tickets", "PUT /api/tickets/1/status",
                    json_pack("{s:s}", "status", "closed"));
    fh_test_request(t, 409, "tickets", "POST /api/tickets/1/comments",
                    json_pack("{s:s}", "text", "No."));
}

FH_TEST_OF(tickets, pages_follow_each_other_and_miss_nothing)
{
    login(t, "ada");
    for (int i = 0; i < MANY; i++)
        fh_test_request(t, 201, "tickets", "POST /api/tickets", opening("one of many"));
    int seen = 0;
    for (long long before = MANY + 1; before > 1; seen++) {
        char path[64];
        snprintf(path, sizeof path, "GET /api/tickets?limit=10&before=%lld", before);
        json_t *page = fh_test_request(t, 200, "tickets", path, NULL);
        size_t count = json_array_size(page);
        fh_test_expect(t, count == (size_t)(seen < 2 ? 10 : 5), "page %d has %zu", seen, count);
        before =
            (long long)json_integer_value(json_object_get(json_array_get(page, count - 1), "id"));
    }
    fh_test_expect(t, seen == 3, "%d pages", seen);
}

FH_TEST_OF(tickets, what_is_open_for_a_day_is_escalated_once)
{
    login(t, "ada");
    fh_test_request(t, 201, "tickets", "POST /api/tickets", opening("old"));
    fh_test_request(t, 201, "tickets", "POST /api/tickets", opening("settled"));
    fh_test_request(t, 200, "tickets", "PUT /api/tickets/2/status",
                    json_pack("{s:s}", "status", "closed"));
    fh_test_skip_time(t, DAY_S);
    fh_test_request(t, 201, "tickets", "POST /api/tickets", opening("new"));
    fh_test_login(t, NULL, NULL, NULL);
    fh_test_crash_soon(t, "tickets");
    for (int i = 0; i < 3; i++)
        fh_test_request(t, 200, "tickets", "POST /api/escalations", NULL);
    fh_test_expect_event(t, "tickets", "TicketEscalated", json_pack("{s:s}", "subject", "old"));
    fh_test_expect_events(t, "tickets", "TicketEscalated", 1);
}
