/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_KEEPING_H
#define TESTS_KEEPING_H

/* Points or facts that a server alone has, as carrying.h carries them: what was ever written, which
 * nobody else knows, and the owner's store as it was. Header only. */

#include "carrying.h"

#include "carrier/kept.h"
#include "tallied.h"

/* ---- What was ever written ---- */

static struct tallied_fact keeping_facts[200];
static json_t *keeping_values[200];
static int keeping_count;

static inline void keeping_note_written(const char *tag, int64_t at_ms, int64_t number)
{
    keeping_values[keeping_count] = carrying_fact_value(tag, number);
    keeping_facts[keeping_count] =
        (struct tallied_fact){.at_ms = at_ms, .value = keeping_values[keeping_count]};
    keeping_count++;
}

static inline void keeping_write_fact(const char *tag, int64_t at_ms, int64_t number)
{
    carrying_fact(tag, at_ms, number);
    keeping_note_written(tag, at_ms, number);
}

/* Facts of one number are as alike as facts can be; points are corrected. */
static inline void keeping_write_facts(int first, int count)
{
    static const char *const tags[] = {"d1", "d2", "d3"};
    bool measured = carrying.derived == CARRYING_MEASURED;
    for (int i = first; i < first + count; i++)
        keeping_write_fact(tags[i % 3], 1000 + (i % 5) * 250, i % 5 + (measured ? i / 15 * 10 : 0));
}

static inline bool keeping_is_same_point(const struct tallied_fact *one,
                                         const struct tallied_fact *other)
{
    return one->at_ms == other->at_ms &&
           json_equal(json_object_get(one->value, "device"),
                      json_object_get(other->value, "device")) &&
           json_equal(json_object_get(one->value, "site"), json_object_get(other->value, "site"));
}

static inline void keeping_add(struct tallied_fact *list, int *count,
                               const struct tallied_fact *written)
{
    int at = 0;
    while (at < *count &&
           (carrying.derived != CARRYING_MEASURED || !keeping_is_same_point(&list[at], written)))
        at++;
    list[at] = *written;
    *count += at == *count;
}

/* Those in [from, to) are not there. */
static inline void keeping_assert_answered_without(int from, int to)
{
    static char expected[CARRYING_TEXT_SIZE];
    static struct tallied_fact left[200];
    struct fh_error error;
    json_t *answer = NULL;
    int count = 0;
    for (int i = 0; i < keeping_count; i++) {
        if (i < from || i >= to)
            keeping_add(left, &count, &keeping_facts[i]);
    }
    assert_int_equal(
        tallied(carrying_declared(), left, count, carrying_question(), INT64_MIN, &answer, &error),
        FH_OK);
    carrying_write_answer(answer, expected);
    json_decref(answer);
    carrying_assert_found(expected);
}

static inline void keeping_assert_all_answered(void)
{
    keeping_assert_answered_without(0, 0);
}

/* While two carriers work, and requests fail in all ways; some are late, and have not come yet. */
static inline void keeping_write_under_faults(void)
{
    static const enum memory_fault faults[] = {MEMORY_LATER, MEMORY_BEGINNING, MEMORY_UNANSWERED,
                                               MEMORY_AWAY};
    carrying_settle(0);
    for (int i = 0; i < 12; i++) {
        keeping_write_facts(i * 3, 3);
        carrying.server->fault = faults[i % 4];
        carrying_turn(i / 2 % 2);
        carrying_turn((i + 1) % 2);
    }
    carrying_settle(0);
    carrying_settle(1);
}

static inline const struct carried_generation *keeping_serving(void)
{
    return &carrying_ledger(NULL)->record.serving;
}

/* ---- What is given up ---- */

struct keeping_accepting {
    struct carried_loss loss;
    struct fh_error error;
    enum fh_code code;
};

static inline void keeping_accept_entry(void *argument)
{
    struct keeping_accepting *accepting = argument;
    accepting->code =
        carrier_accept_loss(&carrying.carriers[0], &accepting->loss, &accepting->error);
}

static inline struct keeping_accepting keeping_accept_loss(void)
{
    struct keeping_accepting accepting = {0};
    harness_run(&carrying.fixture->harness, keeping_accept_entry, &accepting);
    return accepting;
}

/* ---- Restores ---- */

struct keeping_restoring {
    struct carried_record record;
    int64_t position;
    const char *also; /* SQL that does the same to its own tables; or NULL */
};

/* The store is as of when it had that position and record. */
static inline void keeping_restore_entry(void *argument)
{
    struct keeping_restoring *restoring = argument;
    struct store *store = carrying.fixture->context.store;
    struct store_work *work;
    struct fh_error error;
    char sql[128];
    FH_ASSERT(store_begin(store, STORE_WRITE_EXCLUSIVE, &work, &error) == FH_OK);
    snprintf(sql, sizeof sql, "DELETE FROM fh_outbox WHERE position > %lld",
             (long long)restoring->position);
    FH_ASSERT(sql_run(work, sql, NULL, 0, NULL, NULL, NULL, &error) == FH_OK);
    snprintf(sql, sizeof sql, "UPDATE fh_counter SET position = %lld",
             (long long)restoring->position);
    FH_ASSERT(sql_run(work, sql, NULL, 0, NULL, NULL, NULL, &error) == FH_OK);
    if (restoring->also)
        FH_ASSERT(sql_run(work, restoring->also, NULL, 0, NULL, NULL, NULL, &error) == FH_OK);
    FH_ASSERT(carried_record_write(work, carrying_declared()->name, &restoring->record, &error) ==
              FH_OK);
    FH_ASSERT(store_commit(work, &error) == FH_OK);
}

static inline void keeping_restore_owner(struct keeping_restoring *restoring)
{
    static struct carrying_ledger ledger; /* large for a stack, as valgrind looks at them */
    harness_run(&carrying.fixture->harness, keeping_restore_entry, restoring);
    memset(&ledger, 0, sizeof ledger);
    ledger.renew = ledger.restored = true;
    carrying_ledger(&ledger);
}

/* A replica that lacks the last commits has taken over: the incarnation is the same. */
static inline void keeping_set_back_owner(struct keeping_restoring *restoring)
{
    harness_run(&carrying.fixture->harness, keeping_restore_entry, restoring);
}

/* Until the next one. */
static inline struct keeping_restoring *keeping_back_up_owner(void)
{
    static struct keeping_restoring restoring;
    const struct carrying_ledger *ledger = carrying_ledger(NULL);
    restoring.record = ledger->record;
    restoring.position = ledger->position;
    restoring.also = NULL;
    return &restoring;
}

static inline void keeping_trim(int64_t position)
{
    static struct carrying_ledger ledger;
    memset(&ledger, 0, sizeof ledger);
    ledger.trim = position;
    carrying_ledger(&ledger);
}

static inline void keeping_begin(void)
{
    keeping_count = 0;
}

static inline void keeping_end(void)
{
    for (int i = 0; i < keeping_count; i++)
        json_decref(keeping_values[i]);
    keeping_count = 0;
}

static inline int keeping_set_up(void **state, int derived)
{
    carrying_set_up(state);
    carrying_begin_kept(derived);
    keeping_begin();
    return 0;
}

static inline int keeping_tear_down(void **state)
{
    keeping_end();
    carrying_refuses = NULL;
    return carrying_tear_down(state);
}

#endif
