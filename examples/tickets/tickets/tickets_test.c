/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of tickets, on virtual time: freehold test examples/tickets/freehold.yaml */

#include <freehold/test.h>

#define DAY_S 86400
#define MANY 45

static void login(fh_test *t, const char *name)
{
    fh_test_login(t, name, NULL, NULL);
}

static void login_staff(fh_test *t)
{
    fh_test_login(t, "clerk", FH_ROLE("staff"), NULL);
}

static void open_ticket(fh_test *t, const char *subject)
{
    fh_test_request(t, 201, "tickets", "POST /api/tickets",
                    fh_object(t, "subject", subject, "text", "It makes a noise."));
}

static void comment(fh_test *t, const char *text)
{
    fh_test_request(t, 201, "tickets", "POST /api/tickets/1/comments", fh_object(t, "text", text));
}

static void set_status(fh_test *t, const char *status)
{
    fh_test_request(t, 200, "tickets", "PUT /api/tickets/1/status", fh_object(t, "status", status));
}

static void expect_ticket(fh_test *t, json_t *expected)
{
    fh_test_expect_json(t, fh_test_request(t, 200, "tickets", "GET /api/tickets/1", NULL),
                        expected);
}

FH_TEST_OF(tickets, users_see_their_own_and_staff_all)
{
    login(t, "ada");
    open_ticket(t, "printer");
    login(t, "eve");
    fh_test_request(t, 404, "tickets", "GET /api/tickets/1", NULL);
    fh_test_request(t, 404, "tickets", "PUT /api/tickets/1/status",
                    fh_object(t, "status", "closed"));
    fh_test_request(t, 404, "tickets", "POST /api/tickets/1/comments", fh_object(t, "text", "?"));
    fh_test_expect_json(t, fh_test_request(t, 200, "tickets", "GET /api/tickets", NULL),
                        fh_array(t));
    login_staff(t);
    expect_ticket(t, fh_object(t, "owner", "ada", "subject", "printer"));
    fh_test_login(t, NULL, NULL, NULL);
    fh_test_request(t, 401, "tickets", "GET /api/tickets", NULL);
}

FH_TEST_OF(tickets, a_place_comes_back_as_it_was_given)
{
    login(t, "ada");
    fh_test_request(t, 201, "tickets", "POST /api/tickets",
                    fh_object(t, "subject", "door", "text", "It is stuck.", "place",
                              fh_object(t, "longitude", 8.541694, "latitude", 47.0)));
    expect_ticket(t, fh_object(t, "place", fh_object(t, "longitude", 8.541694, "latitude", 47.0)));
    fh_test_request(t, 422, "tickets", "POST /api/tickets",
                    fh_object(t, "subject", "door", "text", "Not on this planet.", "place",
                              fh_object(t, "longitude", 0.0, "latitude", 90.000001)));
}

FH_TEST_OF(tickets, comments_are_shown_in_order_until_it_is_closed)
{
    login(t, "ada");
    open_ticket(t, "printer");
    comment(t, "Still.");
    login_staff(t);
    comment(t, "Is there paper in it?");
    expect_ticket(
        t, fh_object(t, "status", "answered", "comments",
                     fh_array(t, fh_object(t, "author", "ada", "text", "Still."),
                              fh_object(t, "author", "clerk", "text", "Is there paper in it?"))));
    set_status(t, "closed");
    fh_test_request(t, 409, "tickets", "POST /api/tickets/1/comments", fh_object(t, "text", "No."));
}

FH_TEST_OF(tickets, lists_are_of_the_states_that_are_asked_for)
{
    login(t, "ada");
    open_ticket(t, "first");
    open_ticket(t, "second");
    set_status(t, "closed");
    fh_test_expect_json(
        t, fh_test_request(t, 200, "tickets", "GET /api/tickets?status=closed,answered", NULL),
        fh_array(t, fh_object(t, "id", 1)));
    fh_test_expect_json(t, fh_test_request(t, 200, "tickets", "GET /api/tickets", NULL),
                        fh_array(t, fh_object(t, "id", 2), fh_object(t, "id", 1)));
    for (int i = 2; i < MANY; i++)
        open_ticket(t, "one of many");
    fh_test_expect_count(t, fh_test_request(t, 200, "tickets", "GET /api/tickets", NULL), 20);
    fh_test_request(t, 400, "tickets", "GET /api/tickets?status=lost", NULL);
}

FH_TEST_OF(tickets, what_nobody_answers_for_a_day_is_escalated_once)
{
    login(t, "ada");
    open_ticket(t, "old");
    fh_test_skip_time(t, DAY_S - 60);
    fh_test_expect_events(t, "tickets", "TicketEscalated", 0);
    fh_test_crash_soon(t, "tickets");
    fh_test_skip_time(t, 120);
    fh_test_expect_event(t, "tickets", "TicketEscalated", fh_object(t, "subject", "old"));
    expect_ticket(t, fh_object(t, "escalated", true));
    fh_test_skip_time(t, 3 * DAY_S);
    fh_test_expect_events(t, "tickets", "TicketEscalated", 1);
}

FH_TEST_OF(tickets, an_answer_ends_the_wait_and_a_question_begins_another)
{
    login(t, "ada");
    open_ticket(t, "printer");
    login_staff(t);
    fh_test_crash_soon(t, "tickets");
    comment(t, "Is there paper in it?");
    fh_test_skip_time(t, 2 * DAY_S);
    fh_test_expect_events(t, "tickets", "TicketEscalated", 0);
    login(t, "ada");
    comment(t, "Yes.");
    fh_test_skip_time(t, DAY_S / 2);
    comment(t, "And it is switched on.");
    fh_test_expect_events(t, "tickets", "TicketEscalated", 0);
    fh_test_skip_time(t, DAY_S / 2);
    fh_test_expect_event(t, "tickets", "TicketEscalated", fh_object(t, "id", 1));
    set_status(t, "closed");
    fh_test_skip_time(t, 2 * DAY_S);
    fh_test_expect_events(t, "tickets", "TicketEscalated", 1);
}

FH_TEST_OF(tickets, each_night_says_what_waits)
{
    login(t, "ada");
    open_ticket(t, "printer");
    open_ticket(t, "door");
    set_status(t, "closed");
    fh_test_skip_time(t, DAY_S);
    fh_test_expect_event(t, "tickets", "DaySummedUp", fh_object(t, "open", 1, "escalated", 0));
    fh_test_skip_time(t, DAY_S);
    fh_test_expect_event(t, "tickets", "DaySummedUp", fh_object(t, "open", 1, "escalated", 1));
    fh_test_expect_events(t, "tickets", "DaySummedUp", 2);
}
