/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decision: single rules by example, and then everything at once. The explorer below walks
 * every state that any order of any happenings can lead to, late, doubled and senseless ones
 * included, breadth first, and checks the invariants in each of them.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "saga/decide.h"

#define ELEMENTS_MAX 40

static const struct saga_rules order_rules = {
    .name = "place_order",
    .step_count = 4,
    .pivot = 1,
    .undone = true,
    .steps = {{"reserve", .undo = true, .no = {402, 409, 422}},
              {"charge", .undo = true, .no = {402, 409, 422}},
              {"confirm", .run = true, .no = {402, 409, 422}},
              {"count", .no = {402, 409, 422}}},
};
static const int order_counts[] = {2, 1, 1, 1};

static const struct saga_rules plain_rules = {
    /* no pivot: every *no* compensates */
    .name = "delete_all",
    .step_count = 2,
    .pivot = 2,
    .steps = {{"first", .undo = true, .no = {409}}, {"second", .undo = true, .no = {409}}},
};
static const int plain_counts[] = {2, 2};

static const struct saga_rules fixed_rules = {
    /* a pivot that nobody can undo */
    .name = "send",
    .step_count = 3,
    .pivot = 1,
    .undone = true,
    .steps = {{"prepare", .undo = true, .no = {409}},
              {"send", .no = {409}},
              {"note", .run = true, .no = {409}}},
};
static const int fixed_counts[] = {1, 2, 1};

static const struct saga_rules local_rules = {
    /* a handler before the pivot, and an empty list */
    .name = "local",
    .step_count = 3,
    .pivot = 2,
    .steps = {{"check", .run = true, .no = {409}},
              {"none", .undo = true, .no = {409}},
              {"charge", .undo = true, .no = {409}}},
};
static const int local_counts[] = {1, 0, 2};

/* ---- By example ---- */

struct example {
    const struct saga_rules *rules;
    struct saga_state state;
    struct saga_element elements[ELEMENTS_MAX];
};

static void start(struct example *example, const struct saga_rules *rules, const int *counts)
{
    example->rules = rules;
    saga_state_init(rules, counts, &example->state, example->elements);
    struct saga_happening started = {.what = SAGA_STARTED};
    assert_int_equal(saga_decide(rules, &example->state, &started), SAGA_CHANGED);
}

static enum saga_verdict answer(struct example *example, int step, int element, const char *outcome,
                                int status)
{
    bool undo = example->state.status == SAGA_COMPENSATING;
    struct saga_happening happening = {.what = SAGA_ANSWERED,
                                       .step = step,
                                       .element = element,
                                       .attempt =
                                           saga_element(&example->state, step, element)->attempt,
                                       .undo = undo,
                                       .outcome = saga_outcome_of(outcome),
                                       .status = status,
                                       .detail = "because"};
    return saga_decide(example->rules, &example->state, &happening);
}

static enum saga_verdict happen(struct example *example, enum saga_happened what)
{
    struct saga_happening happening = {.what = what, .status = 409, .detail = "because"};
    return saga_decide(example->rules, &example->state, &happening);
}

static int due_count(const struct example *example)
{
    int due = 0;
    for (int i = 0; i < saga_elements(&example->state, example->state.step); i++)
        due += saga_element_due(example->rules, &example->state, i);
    return due;
}

static void a_saga_ends_when_every_step_is_done(void **unused)
{
    (void)unused;
    struct example order;
    start(&order, &order_rules, order_counts);
    assert_int_equal(saga_due(order.rules, &order.state), SAGA_DUE_ASK);
    assert_int_equal(due_count(&order), 2);
    assert_int_equal(answer(&order, 0, 1, "done", 200), SAGA_CHANGED);
    assert_int_equal(due_count(&order), 1);
    assert_int_equal(answer(&order, 0, 0, "done", 200), SAGA_CHANGED);
    assert_int_equal(answer(&order, 1, 0, "done", 201), SAGA_CHANGED);
    assert_int_equal(saga_due(order.rules, &order.state), SAGA_DUE_RUN);
    assert_int_equal(happen(&order, SAGA_HANDLED), SAGA_CHANGED);
    assert_int_equal(answer(&order, 3, 0, "done", 204), SAGA_CHANGED);
    assert_int_equal(order.state.status, SAGA_ENDED);
    assert_int_equal(saga_due(order.rules, &order.state), SAGA_DUE_NOTHING);
}

static void a_no_undoes_every_sent_element_in_reverse(void **unused)
{
    (void)unused;
    struct example order;
    start(&order, &order_rules, order_counts);
    answer(&order, 0, 0, "done", 200);
    answer(&order, 0, 1, "done", 200);
    assert_int_equal(answer(&order, 1, 0, "refused", 402), SAGA_CHANGED);
    assert_int_equal(order.state.status, SAGA_COMPENSATING);
    assert_int_equal(order.state.reason_step, 1);
    assert_int_equal(order.state.reason_status, 402);
    assert_string_equal(order.state.reason_detail, "because");
    assert_int_equal(order.state.step, 1); /* the refused one too */
    assert_int_equal(answer(&order, 1, 0, "never", 200), SAGA_CHANGED);
    assert_int_equal(order.state.step, 0);
    assert_int_equal(due_count(&order), 2);
    answer(&order, 0, 0, "undone", 200);
    answer(&order, 0, 1, "undone", 200);
    assert_int_equal(saga_due(order.rules, &order.state), SAGA_DUE_UNDONE);
    assert_int_equal(happen(&order, SAGA_HANDLED), SAGA_CHANGED);
    assert_int_equal(order.state.status, SAGA_UNDONE);
}

static void lose(struct example *example, int step, int element)
{
    struct saga_happening lost = {.what = SAGA_LOST, .step = step, .element = element};
    assert_int_equal(saga_decide(example->rules, &example->state, &lost), SAGA_CHANGED);
}

static void after_a_restore_all_is_requested_again_and_undone_whether_sent_or_not(void **unused)
{
    (void)unused;
    struct example order;
    start(&order, &order_rules, order_counts);
    answer(&order, 0, 0, "done", 200);
    answer(&order, 0, 1, "done", 200);
    assert_int_equal(happen(&order, SAGA_RELIVED), SAGA_IGNORE); /* its store was not restored */
    order.state.lived = true;
    assert_int_equal(happen(&order, SAGA_RELIVED), SAGA_CHANGED);
    assert_int_equal(order.state.step, 0);
    assert_int_equal(due_count(&order), 2);
    answer(&order, 0, 0, "undone", 409); /* by the incarnation that is lost */
    assert_int_equal(order.state.status, SAGA_COMPENSATING);
    assert_int_equal(order.state.step, 3); /* count, which has no undo, may have been done */
    answer(&order, 3, 0, "never", 200);
    answer(&order, 1, 0, "never", 200);
    answer(&order, 0, 0, "undone", 200);
    answer(&order, 0, 1, "undone", 200);
    assert_int_equal(saga_due(order.rules, &order.state), SAGA_DUE_UNDONE);
}

static void what_a_receiver_has_lost_is_requested_there_again(void **unused)
{
    (void)unused;
    struct example order;
    start(&order, &order_rules, order_counts);
    answer(&order, 0, 0, "done", 200);
    answer(&order, 0, 1, "done", 200);
    lose(&order, 0, 1);
    assert_int_equal(order.state.step, 0);
    assert_int_equal(due_count(&order), 1);
    answer(&order, 0, 1, "done", 200);
    assert_int_equal(order.state.step, 1);
    answer(&order, 1, 0, "done", 200);
    assert_int_equal(happen(&order, SAGA_HANDLED), SAGA_CHANGED);
    lose(&order, 0, 0); /* after the pivot, and what ran here is not run again */
    answer(&order, 0, 0, "refused", 409);
    assert_int_equal(order.state.status, SAGA_PARKED);
    assert_non_null(strstr(order.state.why, "asked again after a restore"));
    assert_int_equal(happen(&order, SAGA_RETRIED), SAGA_CHANGED);
    answer(&order, 0, 0, "done", 200);
    assert_int_equal(order.state.step, 3);
}

static void what_a_receiver_has_lost_of_an_undo_is_undone_there_again(void **unused)
{
    (void)unused;
    struct example order;
    start(&order, &order_rules, order_counts);
    answer(&order, 0, 0, "done", 200);
    answer(&order, 0, 1, "done", 200);
    answer(&order, 1, 0, "refused", 402);
    answer(&order, 1, 0, "never", 200);
    answer(&order, 0, 0, "undone", 200);
    lose(&order, 1, 0);
    assert_int_equal(order.state.step, 1);
    answer(&order, 1, 0, "never", 200);
    answer(&order, 0, 1, "undone", 200);
    assert_int_equal(saga_due(order.rules, &order.state), SAGA_DUE_UNDONE);
}

static void a_status_without_outcome_decides_nothing(void **unused)
{
    (void)unused;
    struct example order;
    start(&order, &order_rules, order_counts);
    const int statuses[] = {0, 200, 401, 402, 404, 409, 422, 500, 503};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++)
        assert_int_equal(answer(&order, 0, 0, NULL, statuses[i]), SAGA_AGAIN);
    assert_int_equal(answer(&order, 0, 0, "pending", 503), SAGA_AGAIN);
    assert_int_equal(answer(&order, 0, 0, "refused", 404), SAGA_AGAIN); /* not declared as a no */
    assert_int_equal(answer(&order, 0, 0, "what?", 409), SAGA_AGAIN);
    assert_int_equal(due_count(&order), 2);
}

static void the_doubtful_are_undone_at_the_deadline(void **unused)
{
    (void)unused;
    struct example order;
    start(&order, &order_rules, order_counts);
    answer(&order, 0, 0, "done", 200);
    answer(&order, 0, 1, "done", 200);
    assert_int_equal(happen(&order, SAGA_DEADLINE), SAGA_CHANGED); /* charge: nobody knows */
    assert_int_equal(order.state.status, SAGA_COMPENSATING);
    assert_int_equal(order.state.step, 1);
    assert_int_equal(order.state.reason_status, 504);
    assert_int_equal(answer(&order, 1, 0, NULL, 0), SAGA_AGAIN);
    assert_int_equal(happen(&order, SAGA_DEADLINE), SAGA_IGNORE); /* going back has none */
    assert_int_equal(answer(&order, 1, 0, "undone", 200), SAGA_CHANGED);
}

static void after_the_pivot_a_no_and_the_deadline_park(void **unused)
{
    (void)unused;
    for (int by_deadline = 0; by_deadline < 2; by_deadline++) {
        struct example order;
        start(&order, &order_rules, order_counts);
        answer(&order, 0, 0, "done", 200);
        answer(&order, 0, 1, "done", 200);
        answer(&order, 1, 0, "done", 200);
        happen(&order, SAGA_HANDLED);
        enum saga_verdict verdict =
            by_deadline ? happen(&order, SAGA_DEADLINE) : answer(&order, 3, 0, "refused", 409);
        assert_int_equal(verdict, SAGA_CHANGED);
        assert_int_equal(order.state.status, SAGA_PARKED);
        assert_non_null(strstr(order.state.why, "pivot"));
        assert_non_null(strstr(order.state.why, "count"));
        assert_int_equal(answer(&order, 3, 0, "done", 200), SAGA_IGNORE);
        assert_int_equal(happen(&order, SAGA_RETRIED), SAGA_CHANGED);
        assert_int_equal(saga_element(&order.state, 3, 0)->attempt, 2);
        assert_int_equal(answer(&order, 3, 0, "done", 200), SAGA_CHANGED);
        assert_int_equal(order.state.status, SAGA_ENDED);
    }
}

static void after_the_pivot_a_handler_of_its_own_is_never_parked_by_time(void **unused)
{
    (void)unused;
    struct example order;
    start(&order, &order_rules, order_counts);
    answer(&order, 0, 0, "done", 200);
    answer(&order, 0, 1, "done", 200);
    answer(&order, 1, 0, "done", 200);
    assert_int_equal(saga_due(order.rules, &order.state), SAGA_DUE_RUN);
    assert_false(saga_minds_time(order.rules, &order.state));
    assert_int_equal(happen(&order, SAGA_DEADLINE), SAGA_IGNORE);
    assert_int_equal(happen(&order, SAGA_HANDLER_FAILED), SAGA_AGAIN);
    assert_int_equal(happen(&order, SAGA_DEADLINE), SAGA_IGNORE);
    assert_int_equal(happen(&order, SAGA_HANDLED), SAGA_CHANGED);
    assert_true(saga_minds_time(order.rules, &order.state));
    struct example local;
    start(&local, &local_rules, local_counts); /* before its pivot it can go back */
    assert_int_equal(happen(&local, SAGA_DEADLINE), SAGA_CHANGED);
    assert_true(local.state.back);
}

static void what_was_not_sent_before_a_no_never_is(void **unused)
{
    (void)unused;
    const int counts[] = {ELEMENTS_MAX - 4, 1, 1, 1};
    struct example order;
    start(&order, &order_rules, counts);
    assert_int_equal(due_count(&order), SAGA_PARALLEL_MAX);
    answer(&order, 0, 3, "done", 200);
    assert_int_equal(due_count(&order), SAGA_PARALLEL_MAX); /* the next one came up */
    assert_int_equal(answer(&order, 0, 5, "refused", 409), SAGA_CHANGED);
    assert_int_equal(order.state.status, SAGA_COMPENSATING);
    assert_int_equal(due_count(&order), SAGA_PARALLEL_MAX + 1); /* sent, done or refused */
    assert_int_equal(saga_element(&order.state, 0, 20)->state, SAGA_STORED);
}

static void a_step_that_meets_its_own_undo_was_refused(void **unused)
{
    (void)unused;
    const char *const outcomes[] = {"undone", "never"};
    for (int i = 0; i < 2; i++) {
        struct example order;
        start(&order, &order_rules, order_counts);
        assert_int_equal(answer(&order, 0, 0, outcomes[i], 409), SAGA_CHANGED);
        assert_int_equal(order.state.status, SAGA_COMPENSATING);
    }
}

static void a_strange_answer_parks_with_a_sentence(void **unused)
{
    (void)unused;
    const char *const outcomes[] = {"mismatch", "closed", "fixed"};
    for (int i = 0; i < 3; i++) {
        struct example order;
        start(&order, &order_rules, order_counts);
        assert_int_equal(answer(&order, 0, 0, outcomes[i], 422), SAGA_CHANGED);
        assert_int_equal(order.state.status, SAGA_PARKED);
        assert_non_null(strstr(order.state.why, "reserve"));
        assert_false(order.state.back);
    }
}

static void a_retry_goes_on_in_the_direction_it_went(void **unused)
{
    (void)unused;
    struct example order;
    start(&order, &order_rules, order_counts);
    answer(&order, 0, 0, "refused", 409);
    assert_int_equal(answer(&order, 0, 1, "fixed", 409), SAGA_CHANGED);
    assert_int_equal(order.state.status, SAGA_PARKED);
    assert_int_equal(happen(&order, SAGA_RETRIED), SAGA_CHANGED);
    assert_int_equal(order.state.status, SAGA_COMPENSATING);
    assert_int_equal(saga_element(&order.state, 0, 1)->attempt, 1);
}

/* Done up to the count of the order, which comes after the pivot and was refused. */
static void park_behind_the_pivot(struct example *order)
{
    start(order, &order_rules, order_counts);
    answer(order, 0, 0, "done", 200);
    answer(order, 0, 1, "done", 200);
    answer(order, 1, 0, "done", 200);
    happen(order, SAGA_HANDLED);
    answer(order, 3, 0, "refused", 409);
    assert_int_equal(order->state.status, SAGA_PARKED);
}

static void a_step_is_retried_so_often_and_no_more(void **unused)
{
    (void)unused;
    struct example order;
    char why[SAGA_TEXT_SIZE];
    park_behind_the_pivot(&order);
    struct saga_element *element = saga_element(&order.state, 3, 0);
    element->attempt = SAGA_ATTEMPTS_MAX - 1;
    assert_null(saga_may_retry(&order_rules, &order.state, why));
    assert_int_equal(happen(&order, SAGA_RETRIED), SAGA_CHANGED);
    answer(&order, 3, 0, "refused", 409);
    assert_int_equal(element->attempt, SAGA_ATTEMPTS_MAX);
    assert_non_null(strstr(saga_may_retry(&order_rules, &order.state, why), "10000 times"));
    assert_int_equal(happen(&order, SAGA_RETRIED), SAGA_IGNORE);
    assert_int_equal(order.state.status, SAGA_PARKED);
    assert_int_equal(happen(&order, SAGA_SKIPPED), SAGA_CHANGED);
}

static void what_an_operator_has_settled_is_skipped_in_either_direction(void **unused)
{
    (void)unused;
    struct example order;
    park_behind_the_pivot(&order);
    assert_int_equal(happen(&order, SAGA_SKIPPED), SAGA_CHANGED);
    assert_int_equal(order.state.status, SAGA_ENDED);
    assert_int_equal(saga_element(&order.state, 3, 0)->state, SAGA_DONE);
    assert_int_equal(saga_element(&order.state, 3, 0)->attempt, 1);
    assert_int_equal(happen(&order, SAGA_SKIPPED), SAGA_IGNORE);
    /* In the middle: the next step begins, and sends its request. */
    start(&order, &order_rules, order_counts);
    answer(&order, 0, 0, "mismatch", 422);
    assert_int_equal(happen(&order, SAGA_SKIPPED), SAGA_CHANGED);
    assert_int_equal(order.state.status, SAGA_RUNNING);
    assert_int_equal(order.state.step, 1);
    assert_int_equal(due_count(&order), 1);
    /* Going back: to the step before. */
    start(&order, &order_rules, order_counts);
    answer(&order, 0, 0, "done", 200);
    answer(&order, 0, 1, "done", 200);
    answer(&order, 1, 0, "refused", 402);
    assert_int_equal(answer(&order, 1, 0, "fixed", 409), SAGA_CHANGED);
    assert_int_equal(order.state.status, SAGA_PARKED);
    assert_int_equal(happen(&order, SAGA_SKIPPED), SAGA_CHANGED);
    assert_int_equal(order.state.status, SAGA_COMPENSATING);
    assert_int_equal(order.state.step, 0);
    assert_int_equal(due_count(&order), 2);
    answer(&order, 0, 0, "undone", 200);
    answer(&order, 0, 1, "undone", 200);
    assert_int_equal(happen(&order, SAGA_HANDLER_REFUSED), SAGA_CHANGED);
    assert_int_equal(order.state.status, SAGA_PARKED); /* the undone handler is all that is left */
    assert_int_equal(happen(&order, SAGA_SKIPPED), SAGA_CHANGED);
    assert_int_equal(order.state.status, SAGA_UNDONE);
    assert_string_equal(order.state.why, "");
}

static void an_order_for_what_is_not_parked_changes_nothing(void **unused)
{
    (void)unused;
    struct example order;
    char why[SAGA_TEXT_SIZE];
    start(&order, &order_rules, order_counts);
    assert_int_equal(happen(&order, SAGA_SKIPPED), SAGA_IGNORE);
    assert_int_equal(happen(&order, SAGA_TURNED_BACK), SAGA_IGNORE);
    assert_non_null(saga_may_turn_back(order.rules, &order.state, why));
    assert_int_equal(order.state.status, SAGA_RUNNING);
}

static void a_parked_saga_is_taken_back_only_if_all_of_it_can_be(void **unused)
{
    (void)unused;
    struct example order;
    char why[SAGA_TEXT_SIZE];
    park_behind_the_pivot(&order); /* its count, of which nothing was done, has no undo */
    assert_null(saga_may_turn_back(order.rules, &order.state, why));
    assert_int_equal(happen(&order, SAGA_TURNED_BACK), SAGA_CHANGED);
    assert_int_equal(order.state.status, SAGA_COMPENSATING);
    assert_int_equal(order.state.step, 1);
    assert_int_equal(order.state.reason_step, 3);
    assert_int_equal(answer(&order, 1, 0, "undone", 200), SAGA_CHANGED);
    answer(&order, 0, 0, "undone", 200);
    answer(&order, 0, 1, "undone", 200);
    assert_int_equal(happen(&order, SAGA_HANDLED), SAGA_CHANGED);
    assert_int_equal(order.state.status, SAGA_UNDONE);
    /* In doubt after the pivot: nothing undoes a count. */
    start(&order, &order_rules, order_counts);
    answer(&order, 0, 0, "done", 200);
    answer(&order, 0, 1, "done", 200);
    answer(&order, 1, 0, "done", 200);
    happen(&order, SAGA_HANDLED);
    happen(&order, SAGA_DEADLINE);
    assert_int_equal(order.state.status, SAGA_PARKED);
    assert_non_null(saga_may_turn_back(order.rules, &order.state, why));
    assert_non_null(strstr(why, "count"));
    assert_int_equal(happen(&order, SAGA_TURNED_BACK), SAGA_IGNORE);
    assert_int_equal(order.state.status, SAGA_PARKED);
    assert_false(order.state.back);
}

static void a_pivot_without_undo_parks_in_doubt(void **unused)
{
    (void)unused;
    struct example send;
    start(&send, &fixed_rules, fixed_counts);
    answer(&send, 0, 0, "done", 200);
    assert_int_equal(happen(&send, SAGA_DEADLINE), SAGA_CHANGED);
    assert_int_equal(send.state.status, SAGA_PARKED);
    start(&send, &fixed_rules, fixed_counts);
    answer(&send, 0, 0, "done", 200);
    assert_int_equal(answer(&send, 1, 0, "refused", 409), SAGA_CHANGED);
    assert_int_equal(send.state.status, SAGA_PARKED); /* the other element is doubtful */
}

/* ---- Everything ---- */

#define WALK_ELEMENTS 6
#define WALK_ATTEMPTS 2
#define NODES_MAX 200000

struct node {
    signed char status, back, step;
    struct saga_element elements[WALK_ELEMENTS];
    /* What the world saw: not known to the decision. */
    unsigned char sent[WALK_ELEMENTS], done[WALK_ELEMENTS], settled[WALK_ELEMENTS];
};

struct walk {
    const struct saga_rules *rules;
    const int *counts;
    struct node *nodes;
    uint32_t *table; /* open addressing, index + 1 */
    uint32_t (*edges)[2];
    size_t count, edge_count, edge_capacity;
    size_t statuses[5];
};

#define TABLE_SIZE (1u << 19)

static uint32_t find_node(struct walk *walk, const struct node *node)
{
    const unsigned char *bytes = (const unsigned char *)node;
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < sizeof *node; i++)
        hash = (hash ^ bytes[i]) * 16777619u;
    for (uint32_t at = hash % TABLE_SIZE;; at = (at + 1) % TABLE_SIZE) {
        if (!walk->table[at]) {
            assert_true(walk->count < NODES_MAX);
            walk->nodes[walk->count++] = *node;
            walk->table[at] = (uint32_t)walk->count;
            return (uint32_t)walk->count - 1;
        }
        if (memcmp(&walk->nodes[walk->table[at] - 1], node, sizeof *node) == 0)
            return walk->table[at] - 1;
    }
}

static void state_of(const struct walk *walk, const struct node *node, struct saga_state *state,
                     struct saga_element *elements)
{
    saga_state_init(walk->rules, walk->counts, state, elements);
    state->status = (enum saga_status)node->status;
    state->back = node->back;
    state->step = node->step;
    memcpy(elements, node->elements, sizeof node->elements);
}

/* What must hold of every state that can be reached. */
static void judge(const struct walk *walk, const struct node *node, const struct saga_state *state)
{
    const struct saga_rules *rules = walk->rules;
    enum saga_due due = saga_due(rules, state);
    assert_true(
        (due == SAGA_DUE_NOTHING) ==
        (node->status == SAGA_ENDED || node->status == SAGA_UNDONE || node->status == SAGA_PARKED));
    for (int step = 0; step < rules->step_count; step++) {
        for (int i = 0; i < walk->counts[step]; i++) {
            int at = state->first[step] + i;
            int is = node->elements[at].state;
            if (node->status == SAGA_ENDED)
                assert_true(is == SAGA_DONE && node->done[at]);
            if (node->status == SAGA_UNDONE && node->sent[at] && rules->steps[step].undo)
                assert_true(node->settled[at]);
            if (node->status == SAGA_UNDONE && !rules->steps[step].undo && !rules->steps[step].run)
                assert_true(!node->done[at]);
            if ((due == SAGA_DUE_ASK || due == SAGA_DUE_RUN) && step < state->step)
                assert_int_equal(is, SAGA_DONE);
            if ((due == SAGA_DUE_ASK || due == SAGA_DUE_RUN) && step > state->step)
                assert_int_equal(is, SAGA_UNSTORED);
            if (due == SAGA_DUE_UNDO && step > state->step && node->sent[at] &&
                rules->steps[step].undo)
                assert_true(node->settled[at]); /* undone in reverse */
            assert_false(node->settled[at] && !node->sent[at]);
        }
    }
    if (due == SAGA_DUE_ASK || due == SAGA_DUE_UNDO) {
        int asked = 0;
        for (int i = 0; i < saga_elements(state, state->step); i++)
            asked += saga_element_due(rules, state, i);
        assert_true(asked > 0);
    }
}

/* One happening from one state. */
static void take(struct walk *walk, uint32_t from, const struct saga_happening *happening)
{
    struct node node = walk->nodes[from];
    struct node next = node;
    struct saga_state state;
    struct saga_element elements[WALK_ELEMENTS];
    memset(elements, 0, sizeof elements);
    state_of(walk, &node, &state, elements);
    enum saga_due due = saga_due(walk->rules, &state);
    enum saga_verdict verdict = saga_decide(walk->rules, &state, happening);
    bool same = state.status == (enum saga_status)node.status && state.back == node.back &&
                state.step == node.step && memcmp(elements, node.elements, sizeof elements) == 0;
    if (verdict != SAGA_CHANGED) {
        assert_true(same);
        return;
    }
    assert_false(node.status == SAGA_ENDED || node.status == SAGA_UNDONE);
    assert_false(node.back && (state.status == SAGA_RUNNING || !state.back));
    assert_true(happening->what == SAGA_RETRIED || happening->what == SAGA_TURNED_BACK ||
                node.status != SAGA_PARKED);
    if (state.status == SAGA_PARKED)
        assert_true(state.why[0] != '\0');
    assert_false(happening->what == SAGA_DEADLINE && state.status == SAGA_PARKED &&
                 due == SAGA_DUE_RUN);
    next.status = (signed char)state.status;
    next.back = state.back;
    next.step = (signed char)state.step;
    memcpy(next.elements, elements, sizeof elements);
    if (happening->what == SAGA_ANSWERED) {
        int at = state.first[happening->step] + happening->element;
        if (happening->undo)
            next.settled[at] |= happening->outcome == SAGA_OUTCOME_UNDONE ||
                                happening->outcome == SAGA_OUTCOME_NEVER;
        else
            next.done[at] |= happening->outcome == SAGA_OUTCOME_DONE;
    }
    if (happening->what == SAGA_HANDLED && due == SAGA_DUE_RUN)
        next.done[state.first[(int)node.step]] = 1;
    for (int i = 0; i < state.first[walk->rules->step_count]; i++) {
        next.sent[i] |= elements[i].state == SAGA_SENT;
        if (happening->what != SAGA_RETRIED)
            assert_int_equal(elements[i].attempt, node.elements[i].attempt);
    }
    uint32_t to = find_node(walk, &next);
    if (walk->edge_count == walk->edge_capacity) {
        walk->edge_capacity = walk->edge_capacity ? walk->edge_capacity * 2 : 1024;
        walk->edges = realloc(walk->edges, walk->edge_capacity * sizeof *walk->edges);
        assert_non_null(walk->edges);
    }
    walk->edges[walk->edge_count][0] = from;
    walk->edges[walk->edge_count++][1] = to;
}

static void take_answers(struct walk *walk, uint32_t from, int step, int element)
{
    static const int statuses[] = {200, 404, 409};
    for (int outcome = SAGA_OUTCOME_NONE; outcome <= SAGA_OUTCOME_FIXED; outcome++)
        for (int status = 0; status < 3; status++)
            for (int variant = 0; variant < 2 * WALK_ATTEMPTS; variant++) {
                struct saga_happening happening = {.what = SAGA_ANSWERED,
                                                   .step = step,
                                                   .element = element,
                                                   .attempt = 1 + variant / 2,
                                                   .undo = variant % 2,
                                                   .outcome = (enum saga_outcome)outcome,
                                                   .status = statuses[status]};
                take(walk, from, &happening);
            }
}

static void expand(struct walk *walk, uint32_t from)
{
    struct saga_happening happening = {.status = 409, .detail = "because"};
    const enum saga_happened others[] = {SAGA_HANDLED, SAGA_HANDLER_REFUSED, SAGA_HANDLER_FAILED,
                                         SAGA_DEADLINE, SAGA_BROKEN};
    for (int step = 0; step < walk->rules->step_count; step++)
        for (int i = 0; i < walk->counts[step]; i++)
            take_answers(walk, from, step, i);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        happening.what = others[i];
        take(walk, from, &happening);
    }
    happening.what = SAGA_TURNED_BACK;
    take(walk, from, &happening);
    for (int i = 0; i < WALK_ELEMENTS; i++)
        if (walk->nodes[from].elements[i].attempt >= WALK_ATTEMPTS)
            return;
    happening.what = SAGA_RETRIED;
    take(walk, from, &happening);
}

/* From every state an end, or an operator, can still be reached. */
static void judge_ends(struct walk *walk)
{
    bool *ends = calloc(walk->count, sizeof *ends);
    assert_non_null(ends);
    for (size_t i = 0; i < walk->count; i++) {
        int status = walk->nodes[i].status;
        ends[i] = status == SAGA_ENDED || status == SAGA_UNDONE || status == SAGA_PARKED;
    }
    for (bool more = true; more;) {
        more = false;
        for (size_t i = walk->edge_count; i-- > 0;)
            if (ends[walk->edges[i][1]] && !ends[walk->edges[i][0]])
                more = ends[walk->edges[i][0]] = true;
    }
    for (size_t i = 0; i < walk->count; i++)
        assert_true(ends[i]);
    free(ends);
}

static void walk_all(const struct saga_rules *rules, const int *counts)
{
    struct walk walk = {.rules = rules, .counts = counts};
    walk.nodes = calloc(NODES_MAX, sizeof *walk.nodes);
    walk.table = calloc(TABLE_SIZE, sizeof *walk.table);
    assert_true(walk.nodes && walk.table);
    struct node first;
    memset(&first, 0, sizeof first);
    struct saga_state state;
    saga_state_init(rules, counts, &state, first.elements);
    struct saga_happening started = {.what = SAGA_STARTED};
    saga_decide(rules, &state, &started);
    first.status = (signed char)state.status;
    first.step = (signed char)state.step;
    for (int i = 0; i < WALK_ELEMENTS; i++)
        first.sent[i] = first.elements[i].state == SAGA_SENT;
    find_node(&walk, &first);
    for (uint32_t i = 0; i < walk.count; i++) {
        struct saga_element elements[WALK_ELEMENTS];
        state_of(&walk, &walk.nodes[i], &state, elements);
        judge(&walk, &walk.nodes[i], &state);
        walk.statuses[(int)walk.nodes[i].status]++;
        expand(&walk, i);
    }
    judge_ends(&walk);
    assert_true(walk.statuses[SAGA_ENDED] > 0 && walk.statuses[SAGA_UNDONE] > 0 &&
                walk.statuses[SAGA_PARKED] > 0);
    print_message("# %s: %zu states, %zu transitions\n", rules->name, walk.count, walk.edge_count);
    free(walk.nodes);
    free(walk.table);
    free(walk.edges);
}

static void every_path_of_an_order_ends_rightly(void **unused)
{
    (void)unused;
    walk_all(&order_rules, order_counts);
}

static void every_path_without_a_pivot_ends_rightly(void **unused)
{
    (void)unused;
    walk_all(&plain_rules, plain_counts);
}

static void every_path_past_a_fixed_pivot_ends_rightly(void **unused)
{
    (void)unused;
    walk_all(&fixed_rules, fixed_counts);
}

static void every_path_with_own_handlers_and_empty_lists_ends_rightly(void **unused)
{
    (void)unused;
    walk_all(&local_rules, local_counts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_saga_ends_when_every_step_is_done),
        cmocka_unit_test(a_no_undoes_every_sent_element_in_reverse),
        cmocka_unit_test(after_a_restore_all_is_requested_again_and_undone_whether_sent_or_not),
        cmocka_unit_test(what_a_receiver_has_lost_is_requested_there_again),
        cmocka_unit_test(what_a_receiver_has_lost_of_an_undo_is_undone_there_again),
        cmocka_unit_test(a_status_without_outcome_decides_nothing),
        cmocka_unit_test(the_doubtful_are_undone_at_the_deadline),
        cmocka_unit_test(after_the_pivot_a_no_and_the_deadline_park),
        cmocka_unit_test(after_the_pivot_a_handler_of_its_own_is_never_parked_by_time),
        cmocka_unit_test(what_was_not_sent_before_a_no_never_is),
        cmocka_unit_test(a_step_that_meets_its_own_undo_was_refused),
        cmocka_unit_test(a_strange_answer_parks_with_a_sentence),
        cmocka_unit_test(a_retry_goes_on_in_the_direction_it_went),
        cmocka_unit_test(a_step_is_retried_so_often_and_no_more),
        cmocka_unit_test(what_an_operator_has_settled_is_skipped_in_either_direction),
        cmocka_unit_test(an_order_for_what_is_not_parked_changes_nothing),
        cmocka_unit_test(a_parked_saga_is_taken_back_only_if_all_of_it_can_be),
        cmocka_unit_test(a_pivot_without_undo_parks_in_doubt),
        cmocka_unit_test(every_path_of_an_order_ends_rightly),
        cmocka_unit_test(every_path_without_a_pivot_ends_rightly),
        cmocka_unit_test(every_path_past_a_fixed_pivot_ends_rightly),
        cmocka_unit_test(every_path_with_own_handlers_and_empty_lists_ends_rightly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
