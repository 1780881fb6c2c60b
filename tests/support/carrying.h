/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CARRYING_H
#define TESTS_CARRYING_H

/*
 * A service with items, which it derives for a server in memory, and two carriers that know nothing
 * of each other. What is done to the items is done by handlers; `carrying_expected` is what they
 * left, as carried_server.h answers. Header only.
 */

#include "run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "carried_server.h"
#include "carrier/carrier.h"
#include "store/ledger.h"
#include "work/carried.h"

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
static fh_service carrying_service = {
    .name = "shop",
    .model = FH_RELATIONAL,
    .derives = {
        {.name = "items", .model = FH_SEARCH, .fields = carrying_fields, .state = carrying_state}}};
static const struct work_carried carrying_carried = {.declared = 1};

struct carrying {
    struct fixture *fixture;
    struct memory_server *server;
    struct derived_carrier carriers[2];
};

static struct carrying carrying;

/* Their own memory is gone. */
static inline void carrying_restart(int number)
{
    carrying.carriers[number] = (struct derived_carrier){.context = &carrying.fixture->context,
                                                         .declared = &carrying_service.derives[0],
                                                         .server = &carrying.server->base};
}

static inline int carrying_set_up(void **state)
{
    carrying_service.derives[0].version = 0;
    fixture_set_up(state, &carrying_service, "CREATE TABLE item (id TEXT PRIMARY KEY, name TEXT)");
    carrying.fixture = *state;
    carrying.fixture->context.carried = &carrying_carried;
    carrying.fixture->context.serves = true;
    carrying.server = memory_server_new();
    carrying_restart(0);
    carrying_restart(1);
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

static bool carrying_row(void *context, const struct sql_row *row)
{
    char *text = context;
    size_t length = strlen(text);
    snprintf(text + length, 1024 - length, "%s=%s ", row->values[0].text, row->values[1].text);
    return true;
}

static inline void carrying_expected_here(char ret[static 1024])
{
    struct store_work *work;
    struct fh_error error;
    ret[0] = '\0';
    FH_ASSERT(store_begin(carrying.fixture->context.store, STORE_READ, &work, &error) == FH_OK);
    FH_ASSERT(sql_run(work, "SELECT id, name FROM item ORDER BY id", NULL, 0, carrying_row, ret,
                      NULL, &error) == FH_OK);
    store_rollback(work);
}

static void carrying_expected_entry(void *argument)
{
    carrying_expected_here(argument);
}

static inline const char *carrying_expected(void)
{
    static char text[1024];
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
    char text[1024];
    struct fh_error error;
};

static inline void carrying_ask_here(struct carrying_answer *answer)
{
    json_t *found = NULL;
    answer->code =
        carrier_ask(&carrying.carriers[0], &(struct fh_search){0}, 0, &found, &answer->error);
    snprintf(answer->text, sizeof answer->text, "%s",
             answer->code == FH_OK ? json_string_value(found) : "");
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
    int64_t needed, position;
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
    FH_ASSERT(store_begin(store, STORE_WRITE_EXCLUSIVE, &work, &error) == FH_OK);
    if (ledger->renew)
        FH_ASSERT(ledger_incarnation_renew(work, ledger->restored, &error) == FH_OK);
    if (ledger->renew)
        FH_ASSERT(ledger_meta_get(work, LEDGER_INCARNATION, store->incarnation, ID_SIZE, &error) ==
                  FH_OK);
    if (ledger->trim)
        FH_ASSERT(ledger_outbox_trim(work, ledger->trim, 10000, &removed, &error) == FH_OK);
    if (ledger->write)
        FH_ASSERT(carried_record_write(work, "items", &ledger->record, &error) == FH_OK);
    FH_ASSERT(carried_record_read(work, "items", &ledger->record, &error) == FH_OK);
    FH_ASSERT(carried_needed(work, "items", &ledger->needed, &error) == FH_OK);
    FH_ASSERT(ledger_position(work, &ledger->position, &error) == FH_OK);
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
