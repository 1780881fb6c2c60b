/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tickets: what people need help with. Each ticket is one user's, may have a place, and has
 * comments of its owner and of staff. Users see their own, staff all. One that is open for longer
 * than a day is escalated.
 */

#include <freehold.h>

#include <string.h>

#define DAY_MS INT64_C(86400000)
#define PAGE 20

/* ---- Who is asking, and what they may see ---- */

/* :me, :staff, :now and :now_ms for SQL. */
static json_t *asking(fh_work *w)
{
    const struct fh_user *user = fh_user(w);
    return json_pack("{s:s, s:i, s:s, s:I}", "me", user ? user->subject : "", "staff",
                     (int)fh_user_has_role(w, "staff"), "now", fh_now(w), "now_ms",
                     (json_int_t)fh_now_ms(w));
}

/* The ticket of the path: to whoever may not see it, it is not there. */
static json_t *visible_ticket(fh_work *w)
{
    return fh_row(w, "SELECT * FROM tickets WHERE id = :id AND (:staff = 1 OR owner = :me)",
                  fh_path(w), asking(w));
}

/* As it is shown: with its place as an object. */
static json_t *shown(json_t *ticket)
{
    json_t *longitude = json_object_get(ticket, "longitude");
    if (json_is_integer(longitude))
        json_object_set_new(ticket, "place",
                            json_pack("{s:O, s:O}", "longitude", longitude, "latitude",
                                      json_object_get(ticket, "latitude")));
    json_object_del(ticket, "longitude");
    json_object_del(ticket, "latitude");
    json_object_del(ticket, "opened_ms");
    return ticket;
}

/* ---- Tickets ---- */

static void open_ticket(fh_work *w)
{
    json_t *place = json_object_get(fh_body(w), "place");
    json_t *nowhere = json_pack("{s:n, s:n}", "longitude", "latitude");
    json_t *ticket =
        fh_row(w,
               "INSERT INTO tickets (owner, subject, text, status, escalated, longitude,"
               " latitude, opened_at, opened_ms) VALUES (:me, :subject, :text, 'open', 0,"
               " :longitude, :latitude, :now, :now_ms) RETURNING *",
               fh_body(w), place ? place : nowhere, asking(w));
    fh_reply_header(w, "Location",
                    fh_format(w, "/api/tickets/%lld",
                              (long long)json_integer_value(json_object_get(ticket, "id"))));
    fh_publish(w, "TicketOpened",
               json_pack("{s:O, s:O}", "id", json_object_get(ticket, "id"), "subject",
                         json_object_get(ticket, "subject")));
    fh_reply(w, 201, shown(ticket));
}

/* A page: the newest first, those before `before`. The next page is in the Link header. */
static void list_tickets(fh_work *w)
{
    json_t *query = fh_query(w), *page = json_pack("{s:i, s:I, s:s}", "limit", PAGE, "before",
                                                   (json_int_t)INT64_MAX, "status", "");
    json_object_update(page, query);
    json_t *tickets =
        fh_rows(w,
                "SELECT * FROM tickets WHERE (:staff = 1 OR owner = :me) AND id < :before"
                " AND (:status = '' OR status = :status) ORDER BY id DESC LIMIT :limit",
                page, asking(w));
    size_t count = json_array_size(tickets), i;
    json_t *ticket;
    json_array_foreach (tickets, i, ticket)
        shown(ticket);
    json_int_t limit = json_integer_value(json_object_get(page, "limit"));
    if (count > 0 && (json_int_t)count == limit)
        fh_reply_header(w, "Link",
                        fh_format(w, "</api/tickets?before=%lld&limit=%lld%s%s>; rel=\"next\"",
                                  (long long)json_integer_value(
                                      json_object_get(json_array_get(tickets, count - 1), "id")),
                                  (long long)limit,
                                  json_object_get(query, "status") ? "&status=" : "",
                                  json_string_value(json_object_get(page, "status"))));
    fh_reply(w, 200, tickets);
}

static void get_ticket(fh_work *w)
{
    json_t *ticket = visible_ticket(w);
    json_t *comments = fh_rows(w,
                               "SELECT id, author, text, written_at FROM comments"
                               " WHERE ticket_id = :id ORDER BY id",
                               fh_path(w));
    json_object_set(shown(ticket), "comments", comments);
    fh_reply(w, 200, ticket);
}

static void set_status(fh_work *w)
{
    visible_ticket(w);
    json_t *ticket = fh_row(w, "UPDATE tickets SET status = :status WHERE id = :id RETURNING *",
                            fh_body(w), fh_path(w));
    fh_reply(w, 200, shown(ticket));
}

static void add_comment(fh_work *w)
{
    if (strcmp(json_string_value(json_object_get(visible_ticket(w), "status")), "closed") == 0)
        fh_fail(w, 409, "The ticket is closed: open it again to write more.");
    json_t *comment =
        fh_row(w,
               "INSERT INTO comments (ticket_id, author, text, written_at)"
               " VALUES (:id, :me, :text, :now) RETURNING id, author, text, written_at",
               fh_path(w), fh_body(w), asking(w));
    fh_reply(w, 201, comment);
}

/* ---- Escalation: for operators, as often as they like (README.md) ---- */

static void escalate(fh_work *w)
{
    json_t *old = json_pack("{s:I}", "old_ms", (json_int_t)(fh_now_ms(w) - DAY_MS));
    json_t *late =
               fh_rows(w,
                       "UPDATE tickets SET escalated = 1 WHERE status = 'open' AND escalated = 0"
                       " AND opened_ms <= :old_ms RETURNING id, subject",
                       old),
           *ticket;
    size_t i;
    json_array_foreach (late, i, ticket)
        fh_publish(w, "TicketEscalated", json_incref(ticket));
    fh_reply(w, 200, json_pack("{s:i}", "escalated", (int)json_array_size(late)));
}

/* ---- The declaration ---- */

static const char *const statuses[] = {"open", "closed", NULL};

/* In millionths of a degree, which is 11 cm. */
static const fh_field place_shape[] = {
    {"longitude", FH_INT, -180000000, 180000000}, {"latitude", FH_INT, -90000000, 90000000}, {0}};

static const fh_field opening_shape[] = {{"subject", FH_STRING, .min = 1, .max = 200},
                                         {"text", FH_STRING, .max = 4000},
                                         {"place", FH_OBJECT, .of = place_shape, .optional = true},
                                         {0}};

static const fh_field comment_shape[] = {
    {"id", FH_INT}, {"author", FH_STRING}, {"text", FH_STRING}, {"written_at", FH_STRING}, {0}};

static const fh_field ticket_shape[] = {
    {"id", FH_INT},
    {"owner", FH_STRING},
    {"subject", FH_STRING},
    {"text", FH_STRING},
    {"status", FH_STRING, .one_of = statuses},
    {"escalated", FH_INT, 0, 1},
    {"opened_at", FH_STRING},
    {"place", FH_OBJECT, .of = place_shape, .optional = true},
    {"comments", FH_ARRAY, .of = comment_shape, .optional = true}, /* of one ticket alone */
    {0}};

static const fh_field told_shape[] = {{"id", FH_INT}, {"subject", FH_STRING}, {0}};
static const fh_field text_shape[] = {{"text", FH_STRING, .min = 1, .max = 4000}, {0}};
static const fh_field status_shape[] = {{"status", FH_STRING, .one_of = statuses}, {0}};
static const fh_field escalated_shape[] = {{"escalated", FH_INT}, {0}};
static const fh_field page_shape[] = {{"before", FH_INT, 1, 0, .optional = true},
                                      {"limit", FH_INT, 1, 100, .optional = true},
                                      {"status", FH_STRING, .one_of = statuses, .optional = true},
                                      {0}};

FH_SERVICE(tickets, .model = FH_RELATIONAL,
           .routes = {{"POST", "/api/tickets", open_ticket, .body = opening_shape,
                       .answer = {201, ticket_shape}, .auth = FH_USER},
                      {"GET", "/api/tickets", list_tickets, .query = page_shape,
                       .answer = {200, .each = ticket_shape}, .auth = FH_USER},
                      {"GET", "/api/tickets/{id:int}", get_ticket, .answer = {200, ticket_shape},
                       .auth = FH_USER},
                      {"PUT", "/api/tickets/{id:int}/status", set_status, .body = status_shape,
                       .answer = {200, ticket_shape}, .auth = FH_USER},
                      {"POST", "/api/tickets/{id:int}/comments", add_comment, .body = text_shape,
                       .answer = {201, comment_shape}, .auth = FH_USER},
                      {"POST", "/api/escalations", escalate, .audience = FH_OPERATORS,
                       .answer = {200, escalated_shape}}},
           .publishes = {{"TicketOpened", 1, told_shape, .key = "id"},
                         {"TicketEscalated", 1, told_shape, .key = "id"}});
