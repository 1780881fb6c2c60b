/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must hold when a service was restored from a backup: every deal that the desk knows was made
 * on all sides or on none, or its saga waits for a person, or it is in the desk's report. What a
 * side did for deals that the desk knows nothing of any more is in that side's report. No side does
 * anything twice for one deal, or gives back what it has not taken.
 */

#include <freehold/simulate.h>
#include <string.h>

#define ACTIONS_MAX 10

static json_int_t integer_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static void prepare(fh_client *client)
{
    (void)client;
}

static void client(fh_client *client, int number)
{
    char key[32];
    int actions = 2 + (int)fh_client_random(client, ACTIONS_MAX - 1);
    for (int i = 0; i < actions; i++) {
        json_t *body = json_pack("{s:b}", "refused", fh_client_random(client, 4) == 0);
        snprintf(key, sizeof key, "c%d-%d", number, i);
        struct fh_ask ask = {"desk", "POST", "/deals", body, key};
        int status = fh_client_insist(client, &ask, NULL);
        fh_client_expect(client, status == 202, "a deal was answered %d", status);
        fh_client_count(client, "deals", 1);
        json_decref(body);
        fh_client_sleep_ms(client, (int)fh_client_random(client, 600));
    }
}

/* ---- at rest ---- */

static json_t *report_of(fh_client *client, const char *service)
{
    json_t *report = NULL;
    struct fh_ask ask = {service, "GET", "/_freehold/restored", .as_operator = true};
    int status = fh_client_insist(client, &ask, &report);
    fh_client_expect(client, status == 200, "the report of %s was answered %d", service, status);
    fh_client_expect(client, integer_of(report, "left_out") == 0, "a report is full");
    return report;
}

static bool reports_saga(const json_t *report, const char *saga)
{
    size_t i;
    json_t *entry;
    json_array_foreach (json_object_get(report, "entries"), i, entry) {
        if (strcmp(text_of(entry, "saga"), saga) == 0)
            return true;
    }
    return false;
}

/* {"TOKEN what": what is left of it}. */
static json_t *taken_at(fh_client *client, const char *service)
{
    json_t *taken = json_object(), *row;
    json_t *rows = fh_client_rows(client, service, "SELECT token, what, times, undone FROM taken");
    size_t i;
    char name[80];
    json_array_foreach (rows, i, row) {
        json_int_t times = integer_of(row, "times"), undone = integer_of(row, "undone");
        fh_client_expect(client, times == 1 && undone <= times,
                         "%s has taken %s for %s %" JSON_INTEGER_FORMAT
                         " times, and given it back %" JSON_INTEGER_FORMAT " times",
                         service, text_of(row, "what"), text_of(row, "token"), times, undone);
        snprintf(name, sizeof name, "%s %s", text_of(row, "token"), text_of(row, "what"));
        json_object_set_new(taken, name, json_integer(times - undone));
    }
    json_decref(rows);
    return taken;
}

struct sides {
    json_t *left, *right;
};

/* Takes it from what is left to be explained. */
static bool is_taken(json_t *taken, const char *token, const char *what)
{
    char name[80];
    snprintf(name, sizeof name, "%s %s", token, what);
    bool is = integer_of(taken, name) == 1;
    json_object_del(taken, name);
    return is;
}

static void check_deal(fh_client *client, const struct sides *sides, const json_t *report,
                       const json_t *deal)
{
    const char *token = text_of(deal, "token"), *saga = text_of(deal, "saga");
    bool left = is_taken(sides->left, token, "deal"), right = is_taken(sides->right, token, "deal");
    bool noted = is_taken(sides->left, token, "note");
    if (strcmp(text_of(deal, "status"), "parked") == 0) {
        fh_client_count(client, "parked", 1);
        return;
    }
    if (reports_saga(report, saga)) {
        fh_client_count(client, "reported", 1);
        return;
    }
    bool done = strcmp(text_of(deal, "deal"), "DONE") == 0;
    fh_client_expect(client, done || strcmp(text_of(deal, "deal"), "GONE") == 0,
                     "deal %s (%s) is %s", token, saga, text_of(deal, "deal"));
    fh_client_expect(client, left == done && right == done && noted == done,
                     "deal %s (%s) is %s: left has %d, right %d, noted %d", token, saga,
                     text_of(deal, "deal"), left, right, noted);
}

/* What the desk knows nothing of. */
static void check_rest(fh_client *client, const char *service, const json_t *taken)
{
    const char *name;
    json_t *one, *entry;
    size_t i, lost = 0, told = 0;
    bool closed = false;
    json_object_foreach ((json_t *)(uintptr_t)taken, name, one)
        lost += json_integer_value(one) > 0;
    fh_client_expect(client, lost == 0 || fh_client_loses(client, "desk"),
                     "%s has taken for %zu deals that were never made", service, lost);
    json_t *report = report_of(client, service);
    json_array_foreach (json_object_get(report, "entries"), i, entry) {
        told++;
        closed |= strstr(text_of(entry, "what"), "has closed") != NULL;
    }
    fh_client_expect(client, closed || told >= lost,
                     "%s has taken %zu times for deals that are lost, and reports %zu", service,
                     lost, told);
    fh_client_count(client, "lost", (int64_t)lost);
    json_decref(report);
}

static void check(fh_client *client)
{
    struct sides sides = {taken_at(client, "left"), taken_at(client, "right")};
    json_t *report = report_of(client, "desk"), *deal;
    json_t *deals =
        fh_client_rows(client, "desk",
                       "SELECT token, deal.status AS deal, fh_saga.status AS status,"
                       " birth || '.' || number AS saga FROM deal"
                       " JOIN fh_saga ON json_extract(fh_saga.input, '$.token') = token");
    size_t i;
    json_array_foreach (deals, i, deal)
        check_deal(client, &sides, report, deal);
    check_rest(client, "left", sides.left);
    check_rest(client, "right", sides.right);
    json_decref(deals);
    json_decref(report);
    json_decref(sides.left);
    json_decref(sides.right);
}

FH_SIMULATION(deals, .prepare = prepare, .client = client, .check = check,
              .restored = {"desk", "desk", "left", "right"});
