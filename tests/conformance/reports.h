/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CONFORMANCE_REPORTS_H
#define TESTS_CONFORMANCE_REPORTS_H

/* What the suites of reports on servers have in common: a table, and reports of it that find, are
 * refused, or are under way. Header only. */

#include "conformance.h"

#include "store/relational/report.h"

/* `rights`: the engine's, of the user for reports. */
static inline void reports_make_items(struct conformance *c,
                                      enum fh_code (*rights)(struct store *store,
                                                             struct fh_error *error))
{
    EXPECT(conformance_does(c, "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, day DATE)",
                            NULL) == FH_OK);
    EXPECT(conformance_does(c,
                            "INSERT INTO item VALUES (1, 'a', '2026-01-01'), (2, 'Zaphod', NULL)",
                            NULL) == FH_OK);
    EXPECT(rights(c->store, &c->error) == FH_OK);
}

/* In the unit of work; NULL: c->error says why. `given`: JSON with ' for ", or NULL. */
static inline json_t *report_in(struct conformance *c, struct store_work *work, const char *text,
                                const char *given)
{
    struct report report = {.name = "r"};
    struct sql_value values[RELATIONAL_NAMES_MAX];
    json_t *answer = NULL, *object = conformance_json(given ? given : "{}");
    if (!report_read(&report, text, c->store->engine->sql))
        c->error.code = error_set(&c->error, FH_UNSUPPORTED, "%s", report.why);
    else
        c->error.code = report_bind(&report, &object, 1, values, &c->error);
    if (c->error.code == FH_OK)
        c->error.code = report_run(work, &report, values, REPORT_TABLE, &answer, &c->error);
    json_decref(object);
    report_release(&report);
    return answer;
}

static inline json_t *report_of(struct conformance *c, const char *text, const char *given)
{
    struct store_work *work = conformance_begin(c, STORE_READ_COMMITTED);
    json_t *answer = work ? report_in(c, work, text, given) : NULL;
    conformance_rollback(c, work);
    return answer;
}

static inline bool finds(struct conformance *c, const char *text, const char *given,
                         const char *rows)
{
    json_t *answer = report_of(c, text, given);
    if (!answer)
        conformance_note(c, __FILE__, __LINE__, c->error.message);
    bool same = answer && conformance_is(c, json_object_get(answer, "rows"), rows);
    json_decref(answer);
    return same;
}

/* `why`: a part of the message. */
static inline bool is_refused(struct conformance *c, const char *text, enum fh_code code,
                              const char *why)
{
    char said[512];
    json_t *answer = report_of(c, text, NULL);
    bool refused = !answer && c->error.code == code && strstr(c->error.message, why);
    snprintf(said, sizeof said, "%.200s: %s", text, answer ? "it was answered" : c->error.message);
    if (!refused)
        conformance_note(c, __FILE__, __LINE__, said);
    json_decref(answer);
    return refused;
}

struct asking {
    struct conformance *c;
    const char *text; /* NULL: it counts the items */
    struct fh_error error;
    enum fh_code code;
    int64_t deadline_ms;
    json_t *answer;
};

static inline void ask_for_items(void *argument)
{
    struct asking *asking = argument;
    struct conformance *c = asking->c;
    struct report report = {.name = "r"};
    struct store_work *work;
    asking->code = store_begin(c->store, STORE_READ_COMMITTED, &work, &asking->error);
    if (asking->code != FH_OK)
        return;
    work->deadline_ns = world_in_ms(c->harness.world, asking->deadline_ms);
    report_read(&report, asking->text ? asking->text : "SELECT count(*) AS n FROM item",
                c->store->engine->sql);
    asking->code = report_run(work, &report, NULL, REPORT_TABLE, &asking->answer, &asking->error);
    report_release(&report);
    store_rollback(work);
}

#endif
