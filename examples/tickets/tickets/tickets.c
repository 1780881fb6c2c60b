/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tickets: what people need help with. Each ticket is one user's, may have a place, and has
 * comments of its owner and of staff. Users see their own, staff all. One that nobody has answered
 * for a day is escalated.
 */

#include <freehold.h>

#include <string.h>

#define DAY_MS INT64_C(86400000)
#define SHOWN "id, owner, subject, text, place, status, escalated, opened_at"

/* :me, :staff and :now for SQL. An operator's request may come without a user: then :me is null. */
static json_t *asking(fh_work *w)
{
    const struct fh_user *user = fh_user(w);
    return fh_object(w, "me", user ? user->subject : NULL, "staff", fh_user_has_role(w, "staff"),
                     "now", fh_now(w));
}

/* The ticket of the path: to whoever may not see it, it is not there. */
static json_t *own_ticket(fh_work *w)
{
    return fh_row(w, "SELECT * FROM tickets WHERE id = :id AND (:staff OR owner = :me)", fh_path(w),
                  asking(w));
}

static json_t *shown_ticket(fh_work *w, json_t *with_id)
{
    return fh_row(w, "SELECT " SHOWN " FROM tickets WHERE id = :id", with_id);
}

/* An open ticket has a timer, and no other has. */
static json_t *change_status(fh_work *w, json_t *ticket, const char *status)
{
    const char *timer = fh_text(w, ticket, "timer");
    bool open = strcmp(status, "open") == 0;
    if (open && !timer)
        timer = fh_at(w, fh_now_ms(w) + DAY_MS, "escalate",
                      fh_object(w, "id", fh_int(w, ticket, "id")));
    if (!open)
        fh_cancel(w, timer);
    fh_exec(w, "UPDATE tickets SET status = :status, timer = :timer WHERE id = :id",
            fh_object(w, "status", status, "timer", open ? timer : NULL), ticket);
    return shown_ticket(w, ticket);
}

static void open_ticket(fh_work *w)
{
    json_t *ticket =
        fh_row(w,
               "INSERT INTO tickets (owner, subject, text, place, status, escalated, opened_at)"
               " VALUES (:me, :subject, :text, :place, 'open', FALSE, :now) RETURNING *",
               fh_body(w), asking(w));
    ticket = change_status(w, ticket, "open");
    fh_publish(w, "TicketOpened", ticket);
    fh_reply(w, 201, ticket);
}

static void list_tickets(fh_work *w)
{
    fh_reply(w, 200,
             fh_page_rows(w,
                          "SELECT " SHOWN
                          " FROM tickets WHERE (:staff OR owner = :me) AND status IN (:status)",
                          fh_query(w), asking(w)));
}

static void get_ticket(fh_work *w)
{
    json_t *ticket = shown_ticket(w, own_ticket(w));
    json_t *comments =
        fh_rows(w, "SELECT * FROM comments WHERE ticket_id = :id ORDER BY id", fh_path(w));
    fh_reply(w, 200, fh_nest(w, ticket, "comments", comments, "ticket_id"));
}

static void set_status(fh_work *w)
{
    fh_reply(w, 200, change_status(w, own_ticket(w), fh_text(w, fh_body(w), "status")));
}

/* Staff's comment answers the ticket, its owner's opens it again. */
static void add_comment(fh_work *w)
{
    json_t *ticket = own_ticket(w);
    if (strcmp(fh_text(w, ticket, "status"), "closed") == 0)
        fh_fail(w, 409, "The ticket is closed: open it again to write more.");
    json_t *comment =
        fh_row(w,
               "INSERT INTO comments (ticket_id, author, text, written_at)"
               " VALUES (:id, :me, :text, :now) RETURNING id, author, text, written_at",
               fh_path(w), fh_body(w), asking(w));
    change_status(w, ticket, fh_user_has_role(w, "staff") ? "answered" : "open");
    fh_reply(w, 201, comment);
}

static void escalate(fh_work *w)
{
    fh_exec(w, "UPDATE tickets SET escalated = TRUE, timer = NULL WHERE id = :id",
            fh_timer_data(w));
    fh_count(w, "tickets_escalated", 1);
    fh_publish(w, "TicketEscalated", shown_ticket(w, fh_timer_data(w)));
}

static void sum_up(fh_work *w)
{
    json_t *sums = fh_row(
        w,
        "SELECT COUNT(*) AS open, COUNT(CASE WHEN escalated THEN 1 END) AS escalated FROM tickets"
        " WHERE status = 'open'");
    fh_log(w, FH_LOG_INFO, "Tickets that wait", sums);
    json_object_set_new(sums, "day", json_string(fh_format(w, "%.10s", fh_now(w))));
    fh_publish(w, "DaySummedUp", sums);
}

static const fh_field place_shape[] = {
    {"longitude", FH_NUMBER, -180, 180}, {"latitude", FH_NUMBER, -90, 90}, {0}};
static const fh_field new_ticket_shape[] = {
    {"subject", FH_STRING, .min = 1, .max = 200},
    {"text", FH_STRING, .max = 4000},
    {"place", FH_OBJECT, .of = place_shape, .nullable = true, .default_value = "null"},
    {0}};
static const fh_field new_comment_shape[] = {{"text", FH_STRING, .min = 1, .max = 4000}, {0}};
static const fh_field comment_shape[] = {{"id", FH_INT},
                                         {"author", FH_STRING},
                                         {"text", FH_STRING},
                                         {"written_at", FH_STRING, .format = FH_DATE_TIME},
                                         {0}};
static const char *const statuses[] = {"open", "answered", "closed", NULL};
static const fh_field status_shape[] = {{"status", FH_STRING, .one_of = statuses}, {0}};
static const fh_field ticket_shape[] = {
    {"id", FH_INT},
    {"owner", FH_STRING},
    {"subject", FH_STRING},
    {"text", FH_STRING},
    {"place", FH_OBJECT, .of = place_shape, .nullable = true},
    {"status", FH_STRING, .one_of = statuses},
    {"escalated", FH_BOOL},
    {"opened_at", FH_STRING, .format = FH_DATE_TIME},
    {"comments", FH_ARRAY, .of = comment_shape, .optional = true}, /* of one ticket alone */
    {0}};
static const fh_field list_shape[] = {{"status", FH_LIST, .min = 1, .max = 3, .one_of = statuses,
                                       .default_value = "open,answered,closed"},
                                      {0}};
static const fh_field timer_shape[] = {{"id", FH_INT}, {0}};
static const fh_field sums_shape[] = {
    {"day", FH_STRING, .format = FH_DATE}, {"open", FH_INT}, {"escalated", FH_INT}, {0}};

FH_SERVICE(
    tickets, .model = FH_RELATIONAL,
    .routes = {{"POST", "/api/tickets", open_ticket, .body = new_ticket_shape,
                .answer = {201, ticket_shape}, .auth = FH_USER, .name = "open_ticket",
                .summary = "Asks for help", .location = "/api/tickets/{id}"},
               {"GET", "/api/tickets", list_tickets, .query = list_shape,
                .answer = {200, .each = ticket_shape}, .auth = FH_USER,
                .page = {"id", .limit = 20, .limit_max = 100, .descending = true},
                .name = "list_tickets", .summary = "The newest first; staff see everybody's"},
               {"GET", "/api/tickets/{id:int}", get_ticket, .answer = {200, ticket_shape},
                .auth = FH_USER, .name = "get_ticket", .summary = "A ticket with its comments"},
               {"PUT", "/api/tickets/{id:int}/status", set_status, .body = status_shape,
                .answer = {200, ticket_shape}, .auth = FH_USER, .name = "set_status",
                .summary = "Closes a ticket, or opens it again"},
               {"POST", "/api/tickets/{id:int}/comments", add_comment, .body = new_comment_shape,
                .answer = {201, comment_shape}, .auth = FH_USER, .name = "add_comment",
                .summary = "Adds a comment"}},
    .publishes = {{"TicketOpened", 1, ticket_shape, .key = "id"},
                  {"TicketEscalated", 1, ticket_shape, .key = "id"},
                  {"DaySummedUp", 1, sums_shape, .key = "day"}},
    .timers = {{"escalate", escalate, .data = timer_shape}},
    .every = {{"nightly", sum_up, "0 3 * * *", "Europe/Berlin"}},
    .metrics = {{"tickets_escalated", "Tickets that nobody answered for a day."}},
    .shapes = {{"Ticket", ticket_shape},
               {"NewTicket", new_ticket_shape},
               {"Comment", comment_shape},
               {"NewComment", new_comment_shape},
               {"Place", place_shape},
               {"TicketStatus", status_shape}});
