/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CARRYING_H
#define TESTS_CARRYING_H

/*
 * A service with items, which it derives for a server in memory, and two carriers that know nothing
 * of each other. What is done to the items is done by handlers; `carrying_expected` is what they
 * left, as carried_server.h answers.
 *
 * After carrying_begin(CARRYING_MEASURED) or (CARRYING_SOLD) it is points or facts that are carried
 * instead, and what is expected is what the service's own store answers. Header only.
 */

#include "run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "carried_server.h"
#include "carrier/carrier.h"
#include "store/derived/derived.h"
#include "store/ledger.h"
#include "work/carried.h"
#include "work/derived.h"

#define CARRYING_TEXT_SIZE 8192

enum { CARRYING_ITEMS, CARRYING_MEASURED, CARRYING_SOLD, CARRYING_DERIVED }; /* of the service's */

static void (*carrying_listed)(void); /* when rows are read, and not published; or NULL */

static void carrying_state(fh_work *w)
{
    json_t *rows =
        fh_rows(w, "SELECT id, name FROM item WHERE id > :after ORDER BY id LIMIT :limit",
                fh_query(w), NULL);
    if (carrying_listed)
        carrying_listed();
    fh_reply(w, 200, rows);
}

static const struct fh_derived_field carrying_fields[] = {{"name", FH_STRING, FH_TEXT | FH_FACET},
                                                          {0}};
static const struct fh_derived_field carrying_measured_fields[] = {
    {"device", FH_STRING, FH_TAG}, {"site", FH_INT, FH_TAG}, {"c", FH_NUMBER}, {"n", FH_INT}, {0}};
static const struct fh_derived_field carrying_sold_fields[] = {{"kind", FH_STRING, FH_TAG},
                                                               {"paid", FH_BOOL, FH_TAG},
                                                               {"kg", FH_NUMBER},
                                                               {"cents", FH_INT},
                                                               {0}};
static fh_service carrying_service = {
    .name = "shop",
    .model = FH_RELATIONAL,
    .derives = {
        {.name = "items", .model = FH_SEARCH, .fields = carrying_fields, .state = carrying_state},
        {.name = "measured", .model = FH_SERIES, .fields = carrying_measured_fields},
        {.name = "sold", .model = FH_COLUMNS, .fields = carrying_sold_fields}}};
static enum fh_code (*carrying_refuses)(struct work_context *context,
                                        const struct fh_derived *declared, int64_t at_ms,
                                        struct fh_error *error);

static enum fh_code carrying_takes(struct work_context *context, const struct fh_derived *declared,
                                   int64_t at_ms, struct fh_error *error)
{
    return carrying_refuses ? carrying_refuses(context, declared, at_ms, error) : FH_OK;
}

/* The server alone has its points or facts. */
static const struct work_carried carrying_kept[CARRYING_DERIVED] = {
    [CARRYING_MEASURED] = {.declared = 1u << CARRYING_MEASURED,
                           .kept = 1u << CARRYING_MEASURED,
                           .takes = carrying_takes},
    [CARRYING_SOLD] = {
        .declared = 1u << CARRYING_SOLD, .kept = 1u << CARRYING_SOLD, .takes = carrying_takes}};
static const struct work_carried carrying_carried[CARRYING_DERIVED] = {
    {.declared = 1u << CARRYING_ITEMS},
    {.declared = 1u << CARRYING_MEASURED},
    {.declared = 1u << CARRYING_SOLD}};

struct carrying {
    struct fixture *fixture;
    struct memory_server *server;
    int derived; /* which of the service's */
    bool kept;   /* whose facts the server alone has */
    struct derived_carrier carriers[2];
};

static struct carrying carrying;

static inline const struct fh_derived *carrying_declared(void)
{
    return &carrying_service.derives[carrying.derived];
}

/* Their own memory is gone. */
static inline void carrying_restart(int number)
{
    carrying.carriers[number] = (struct derived_carrier){.context = &carrying.fixture->context,
                                                         .declared = carrying_declared(),
                                                         .server = &carrying.server->base,
                                                         .kept = carrying.kept};
}

/* From now on this one is carried, and no other. */
static inline void carrying_begin(int derived)
{
    carrying.derived = derived;
    carrying.fixture->context.carried = &carrying_carried[derived];
    carrying_restart(0);
    carrying_restart(1);
}

static inline void carrying_begin_kept(int derived)
{
    carrying.kept = true;
    carrying_begin(derived);
    carrying.fixture->context.carried = &carrying_kept[derived];
}

static inline int carrying_set_up(void **state)
{
    carrying.kept = false;
    carrying_service.derives[CARRYING_ITEMS].version = 0;
    for (int i = 0; i < CARRYING_DERIVED; i++)
        carrying_service.derives[i].keep_days = 0;
    fixture_set_up(state, &carrying_service, "CREATE TABLE item (id TEXT PRIMARY KEY, name TEXT)");
    carrying.fixture = *state;
    carrying.fixture->context.serves = true;
    carrying.server = memory_server_new();
    carrying_begin(CARRYING_ITEMS);
    return 0;
}

static inline int carrying_tear_down(void **state)
{
    memory_server_free(carrying.server);
    return fixture_tear_down(state);
}

/* ---- What the service does ---- */

static const char *carrying_key, *carrying_name; /* for carrying_put */

static void carrying_put(fh_work *w)
{
    json_t *item = json_pack("{s:s, s:s?}", "id", carrying_key, "name", carrying_name);
    fh_exec(w, "DELETE FROM item WHERE id = :id", item, NULL);
    if (!carrying_name) {
        fh_derive_gone(w, "items", carrying_key);
        return;
    }
    fh_exec(w, "INSERT INTO item VALUES (:id, :name)", item, NULL);
    fh_derive(w, "items", carrying_key, item);
}

/* On a fiber: the harness's, or a carrier's own. */
static inline void carrying_run_here(fh_handler *handler)
{
    fh_work w;
    work_init(&w, &carrying.fixture->context, handler);
    w.deadline_ns = -1;
    FH_ASSERT(work_run(&w) == FH_OK);
    work_release(&w);
}

static inline void carrying_put_here(const char *key, const char *name)
{
    carrying_key = key;
    carrying_name = name;
    carrying_run_here(carrying_put);
}

static void carrying_put_entry(void *argument)
{
    const char *const *item = argument;
    carrying_put_here(item[0], item[1]);
}

static inline void carrying_item(const char *key, const char *name)
{
    const char *item[] = {key, name};
    harness_run(&carrying.fixture->harness, carrying_put_entry, item);
}

/* ---- Points and facts ---- */

struct carrying_fact {
    const char *tag; /* the device, or the kind */
    int64_t at_ms;
    int64_t number;
    int more; /* as many again, a millisecond later each */
};

static struct carrying_fact carrying_fact_given; /* for carrying_fact_put */

static inline json_t *carrying_fact_value(const char *tag, int64_t number)
{
    bool measured = carrying.derived == CARRYING_MEASURED;
    return json_pack(
        "{s:s, s:o, s:f, s:I}", measured ? "device" : "kind", tag, measured ? "site" : "paid",
        measured ? json_integer(number % 2) : json_boolean(number % 3 == 0), measured ? "c" : "kg",
        (double)number / 4, measured ? "n" : "cents", (json_int_t)number);
}

static void carrying_fact_put(fh_work *w)
{
    const struct carrying_fact *fact = &carrying_fact_given;
    for (int i = 0; i <= fact->more; i++)
        fh_fact(w, carrying_declared()->name, fact->at_ms + i,
                carrying_fact_value(fact->tag, fact->number));
}

static inline void carrying_fact_here(const char *tag, int64_t at_ms, int64_t number)
{
    carrying_fact_given = (struct carrying_fact){tag, at_ms, number, 0};
    carrying_run_here(carrying_fact_put);
}

static void carrying_fact_entry(void *argument)
{
    carrying_fact_given = *(const struct carrying_fact *)argument;
    carrying_run_here(carrying_fact_put);
}

static inline void carrying_fact(const char *tag, int64_t at_ms, int64_t number)
{
    struct carrying_fact fact = {tag, at_ms, number, 0};
    harness_run(&carrying.fixture->harness, carrying_fact_entry, &fact);
}

/* ---- What is asked ---- */

/* All points; or what all facts come to. */
static inline const void *carrying_question(void)
{
    static const char *const devices[] = {"device", "site", NULL}, *const kinds[] = {"kind", NULL};
    static const char *const sums[] = {"count", "sum cents", "max cents", "sum kg", NULL};
    static const struct fh_search search;
    static const struct fh_series series = {.by = devices, .limit = 1000};
    static const struct fh_columns columns = {.by = kinds, .values = sums};
    return carrying.derived == CARRYING_ITEMS      ? (const void *)&search
           : carrying.derived == CARRYING_MEASURED ? (const void *)&series
                                                   : (const void *)&columns;
}

/* An answer as text. */
static inline void carrying_write_answer(const json_t *answer, char ret[static CARRYING_TEXT_SIZE])
{
    struct text text;
    text_init(&text, TEXT_LENGTH_MAX);
    if (json_is_string(answer))
        text_add(&text, json_string_value(answer));
    else
        json_write(&text, answer);
    FH_ASSERT(text.length < CARRYING_TEXT_SIZE);
    snprintf(ret, CARRYING_TEXT_SIZE, "%s", text.data ? text.data : "");
    text_release(&text);
}

static bool carrying_row(void *context, const struct sql_row *row)
{
    char *text = context;
    size_t length = strlen(text);
    snprintf(text + length, CARRYING_TEXT_SIZE - length, "%s=%s ", row->values[0].text,
             row->values[1].text);
    return true;
}

static inline enum fh_code carrying_expect(struct store_work *work, char *ret,
                                           struct fh_error *error)
{
    const struct fh_derived *declared = carrying_declared();
    const struct derived_ops *derived = derived_engine(work->store);
    json_t *answer = NULL;
    if (carrying.derived == CARRYING_ITEMS)
        return sql_run(work, "SELECT id, name FROM item ORDER BY id", NULL, 0, carrying_row, ret,
                       NULL, error);
    int64_t oldest_ms = work_series_oldest_ms(&carrying.fixture->context, declared);
    enum fh_code code =
        carrying.derived == CARRYING_MEASURED
            ? derived->series(work, declared, carrying_question(), oldest_ms, &answer, error)
            : derived->columns(work, declared, carrying_question(), oldest_ms, &answer, error);
    if (code == FH_OK)
        carrying_write_answer(answer, ret);
    json_decref(answer);
    return code;
}

static inline void carrying_expected_here(char ret[static CARRYING_TEXT_SIZE])
{
    struct store_work *work;
    struct fh_error error;
    ret[0] = '\0';
    FH_ASSERT(store_begin(carrying.fixture->context.store, STORE_READ, &work, &error) == FH_OK);
    FH_ASSERT(carrying_expect(work, ret, &error) == FH_OK);
    store_rollback(work);
}

static void carrying_expected_entry(void *argument)
{
    carrying_expected_here(argument);
}

static inline const char *carrying_expected(void)
{
    static char text[CARRYING_TEXT_SIZE];
    harness_run(&carrying.fixture->harness, carrying_expected_entry, text);
    return text;
}

/* ---- What carriers do ---- */

struct carrying_turn {
    int carrier;
    bool more;
    enum fh_code code;
    struct fh_error error;
};

static void carrying_turn_entry(void *argument)
{
    struct carrying_turn *turn = argument;
    turn->code = carrier_turn(&carrying.carriers[turn->carrier], &turn->more, &turn->error);
}

static inline struct carrying_turn carrying_turn(int carrier)
{
    struct carrying_turn turn = {.carrier = carrier};
    harness_run(&carrying.fixture->harness, carrying_turn_entry, &turn);
    return turn;
}

/* Turns of one carrier until there is nothing more to do. */
static inline void carrying_settle(int carrier)
{
    struct carrying_turn turn = {.more = true};
    for (int i = 0; i < 200 && turn.more; i++) {
        turn = carrying_turn(carrier);
        if (turn.code != FH_OK)
            fail_msg("%s", turn.error.message);
    }
    assert_false(turn.more);
}

static void carrying_anew_entry(void *argument)
{
    struct carrying_turn *turn = argument;
    turn->code = carrier_make_anew(&carrying.carriers[turn->carrier], &turn->error);
}

static inline enum fh_code carrying_make_anew(void)
{
    struct carrying_turn turn = {0};
    harness_run(&carrying.fixture->harness, carrying_anew_entry, &turn);
    return turn.code;
}

/* ---- What is answered ---- */

struct carrying_answer {
    enum fh_code code;
    char text[CARRYING_TEXT_SIZE];
    struct fh_error error;
};

static inline void carrying_ask_here(struct carrying_answer *answer)
{
    json_t *found = NULL;
    answer->text[0] = '\0';
    answer->code =
        carrier_ask(&carrying.carriers[0], carrying_question(), 0, &found, &answer->error);
    if (answer->code == FH_OK)
        carrying_write_answer(found, answer->text);
    json_decref(found);
}

static void carrying_ask_entry(void *argument)
{
    carrying_ask_here(argument);
}

static inline struct carrying_answer carrying_ask(void)
{
    struct carrying_answer answer = {0};
    harness_run(&carrying.fixture->harness, carrying_ask_entry, &answer);
    return answer;
}

static inline void carrying_assert_found(const char *expected)
{
    struct carrying_answer answer = carrying_ask();
    if (answer.code != FH_OK)
        fail_msg("%s", answer.error.message);
    assert_string_equal(answer.text, expected);
}

static inline void carrying_assert_not_asked(void)
{
    assert_int_equal(carrying_ask().code, FH_UNAVAILABLE);
}

/* ---- What the ledger knows ---- */

struct carrying_ledger {
    struct carried_record record;
    int64_t needed, settled, position, trimmed;
    bool write;           /* ->record, instead of reading it */
    bool renew, restored; /* the incarnation */
    int64_t trim;
};

static void carrying_ledger_entry(void *argument)
{
    struct carrying_ledger *ledger = argument;
    struct store *store = carrying.fixture->context.store;
    struct store_work *work;
    struct fh_error error;
    int64_t removed;
    char id[ID_SIZE];
    FH_ASSERT(store_begin(store, STORE_WRITE_EXCLUSIVE, &work, &error) == FH_OK);
    if (ledger->renew)
        FH_ASSERT(ledger_incarnation_renew(work, ledger->restored, &error) == FH_OK);
    if (ledger->renew)
        FH_ASSERT(ledger_meta_get(work, LEDGER_INCARNATION, store->incarnation, ID_SIZE, &error) ==
                  FH_OK);
    if (ledger->trim)
        FH_ASSERT(ledger_outbox_trim(work, ledger->trim, 10000, &removed, &error) == FH_OK);
    if (ledger->write)
        FH_ASSERT(carried_record_write(work, carrying_declared()->name, &ledger->record, &error) ==
                  FH_OK);
    FH_ASSERT(carried_record_read(work, carrying_declared()->name, &ledger->record, &error) ==
              FH_OK);
    FH_ASSERT(carried_needed(work, carrying_declared()->name, &ledger->needed, &error) == FH_OK);
    FH_ASSERT(carried_kept_settled(work, carrying_declared()->name, &ledger->settled, &error) ==
              FH_OK);
    FH_ASSERT(ledger_position(work, &ledger->position, &error) == FH_OK);
    FH_ASSERT(ledger_outbox_trimmed(work, &ledger->trimmed, id, &error) == FH_OK);
    FH_ASSERT(store_commit(work, &error) == FH_OK);
}

static inline struct carrying_ledger *carrying_ledger(const struct carrying_ledger *asked)
{
    static struct carrying_ledger ledger;
    ledger = asked ? *asked : (struct carrying_ledger){0};
    harness_run(&carrying.fixture->harness, carrying_ledger_entry, &ledger);
    return &ledger;
}

#endif
