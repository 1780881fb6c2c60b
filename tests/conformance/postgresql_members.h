/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_POSTGRESQL_MEMBERS_H
#define TESTS_POSTGRESQL_MEMBERS_H

/* Units of work of one statement, as handlers have them, which PostgreSQL may group in one
 * transaction. Header only. */

#include "engine_postgresql.h"

#include <stdio.h>

#include "store/ledger.h"
#include "engine/postgresql/internal.h"

#define COUNT 8
#define TRIES_MAX 100
#define INSERT "INSERT INTO things (id, n) VALUES (?1, ?2) RETURNING n"
#define ADD "UPDATE things SET n = n + ?2 WHERE id = ?1 RETURNING n"

/* A unit of work of one statement, run as work.c does: again, and then ungrouped, when it meets a
 * conflict. */
struct member {
    struct conformance *c;
    struct store *store;
    const char *sql;
    int id, n;
    const char *key; /* of the event that it publishes; NULL: none */
    bool publishes_first;
    bool refuses; /* when it sees less than `needs` */
    int needs;
    bool follows;                        /* with a second statement */
    void (*then)(struct member *member); /* once its statement is answered; or NULL */
    struct member *behind;               /* for start_behind */
    char event_id[32];
    int64_t seen;
    int64_t position; /* the event's, as the commit reported it; 0: it did not */
    bool refused, ended;
    int runs, shared; /* all, and those in a transaction with others */
    enum fh_code code;
    struct fh_error error;
};

static inline bool see(void *context, const struct sql_row *row)
{
    *(int64_t *)context = row->values[0].integer;
    return true;
}

static inline enum fh_code publish(struct member *member, struct store_work *work,
                                   struct ledger_event *event)
{
    snprintf(member->event_id, sizeof member->event_id, "event-%d", member->id);
    *event = (struct ledger_event){.id = member->event_id,
                                   .type = "Happened",
                                   .version = 1,
                                   .key = member->key,
                                   .data = "{\"said\":\"a \\\"b\\\" \\\\ {c,d} \u00e9\"}"};
    return ledger_outbox_append(work, event, &member->error);
}

static inline void start(struct conformance *c, struct member *members, int count, const char *sql);

static inline enum fh_code run_once(struct member *member, enum store_mode mode)
{
    struct store_work *work;
    struct ledger_event event;
    struct sql_value values[] = {sql_integer(member->id), sql_integer(member->n)};
    member->seen = -1;
    member->runs++;
    enum fh_code code = store_begin(member->store, mode, &work, &member->error);
    if (code != FH_OK)
        return code;
    work->keeps_events = member->publishes_first;
    if (member->publishes_first)
        code = publish(member, work, &event);
    if (code == FH_OK)
        code = sql_run(work, member->sql, values, 2, see, &member->seen, NULL, &member->error);
    member->shared += work->tentative;
    if (member->then && member->runs == 1)
        member->then(member);
    if (code == FH_OK && member->refuses && member->seen < member->needs) {
        bool tentative = work->tentative;
        store_rollback(work);
        member->refused = !tentative;
        member->error.retryable = tentative;
        return FH_CONFLICT;
    }
    if (code == FH_OK && member->follows)
        code = sql_run(work, "UPDATE things SET n = n WHERE id = ?1", values, 1, NULL, NULL, NULL,
                       &member->error);
    if (code == FH_OK && member->key && !member->publishes_first)
        code = publish(member, work, &event);
    if (code == FH_OK) {
        code = store_commit(work, &member->error);
        member->position = member->key ? event.position : 0;
        return code;
    }
    store_rollback(work);
    return code;
}

static inline void run_member(void *argument)
{
    struct member *member = argument;
    struct world *world = member->store->world;
    member->code = run_once(member, STORE_WRITE_GROUPED);
    for (int i = 1; member->code == FH_CONFLICT && member->error.retryable && i < TRIES_MAX; i++) {
        fiber_sleep_until(world, world_in_ms(world, 1 + member->id));
        member->code = run_once(member, STORE_WRITE);
    }
    member->ended = true;
}

static inline void start(struct conformance *c, struct member *members, int count, const char *sql)
{
    for (int i = 0; i < count; i++) {
        struct member *member = &members[i];
        member->c = c;
        member->store = member->store ? member->store : c->store;
        member->sql = sql;
        member->id = member->id ? member->id : i + 1;
        conformance_start(c, run_member, member);
    }
}

static inline void start_behind(struct member *member)
{
    start(member->c, member->behind, COUNT, member->sql);
}

static inline int committed(const struct member *members, int count)
{
    int sum = 0;
    for (int i = 0; i < count; i++)
        sum += members[i].code == FH_OK;
    return sum;
}

/* How many of the first runs were in a transaction with others; no later one was. */
static inline int shared(const struct member *members, int count)
{
    int sum = 0;
    for (int i = 0; i < count; i++)
        sum += members[i].shared;
    return sum;
}

/* A case is about groups, and not about how busy its machine is. */
static inline void be_patient(struct store *store)
{
    struct postgresql_store *postgresql = (struct postgresql_store *)store;
    postgresql->gather.wait_ms = postgresql->gather.slow_ms = 60000;
}

/* The table, and that both statements come ungrouped. */
static inline bool prepare(struct conformance *c)
{
    be_patient(c->store);
    struct member add = {.c = c, .store = c->store, .sql = ADD, .id = 100};
    struct member insert = {.c = c, .store = c->store, .sql = INSERT, .id = 100};
    if (conformance_does(c,
                         "CREATE TABLE things (id INTEGER PRIMARY KEY, n INTEGER NOT NULL,"
                         " other INTEGER DEFAULT NULL REFERENCES things DEFERRABLE INITIALLY "
                         "DEFERRED)",
                         NULL) != FH_OK)
        return false;
    run_member(&insert);
    run_member(&add);
    return insert.code == FH_OK && add.code == FH_OK && insert.shared + add.shared == 0;
}

static inline int64_t count_of(struct conformance *c, const char *sql)
{
    int64_t count = -1;
    struct store_work *work = conformance_begin(c, STORE_READ);
    if (!work)
        return count;
    sql_run(work, sql, NULL, 0, see, &count, NULL, &c->error);
    conformance_rollback(c, work);
    return count;
}

#endif
