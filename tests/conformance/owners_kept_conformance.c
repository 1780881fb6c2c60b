/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Facts and points that a server alone has, of owners on every engine: each counts once, however
 * many write and carry at a time, in several processes; and none is missing from an answer,
 * whichever process knows that the server has lost some.
 */

#include "another_instance.h"
#include "conformance.h"

#include "../support/carried_server.h"
#include "carrier/alike.h"
#include "carrier/carrier.h"
#include "carrier/record.h"
#include "store/engine.h"
#include "store/ledger.h"
#include "work/batch.h"
#include "work/carried.h"
#include "work/command.h"

#define WRITERS 6
#define WORKS 12
#define FACTS 3 /* in a unit of work */
#define TURNS_MAX 400

static const struct fh_derived_field fields[] = {{"tag", FH_STRING, FH_TAG}, {"n", FH_INT}, {0}};
static fh_service service = {.name = "shop",
                             .derives = {{.name = "sold", .model = FH_COLUMNS, .fields = fields}}};
static const struct work_carried carried = {.declared = 1, .kept = 1};

/* A process of the service. */
struct instance {
    struct work_context context;
    struct derived_carrier carrier;
};

struct keepers {
    struct conformance *c;
    json_t *own; /* what both tell others that they derive */
    struct instance instances[2];
    struct store *other; /* the second one's; or NULL */
    struct memory_server *server;
    int left; /* writers */
};

static struct keepers keepers;

static bool has_many(const struct engine *engine)
{
    return engine_can(engine, ENGINE_MANY_INSTANCES);
}

static struct instance *instance_of(int number)
{
    return &keepers.instances[keepers.other ? number % 2 : 0];
}

/* As a process that was just started. */
static void begin_carrier(int number)
{
    struct instance *instance = instance_of(number);
    instance->carrier = (struct derived_carrier){.context = &instance->context,
                                                 .declared = &service.derives[0],
                                                 .server = &keepers.server->base,
                                                 .alike = keepers.other ? keepers.own : NULL,
                                                 .kept = true};
}

static void begin_instance(struct conformance *c, int number, struct store *store)
{
    keepers.instances[number].context = (struct work_context){.world = c->harness.world,
                                                              .service = &service,
                                                              .store = store,
                                                              .keys = work_keys_new(),
                                                              .carried = &carried,
                                                              .serves = true};
    begin_carrier(number);
}

static bool settles(int number, bool begins)
{
    bool noted = false, settled = false;
    return carried_alike_settle(&instance_of(number)->context, keepers.own, begins, &noted,
                                &settled, &keepers.c->error) == FH_OK &&
           settled && noted;
}

static bool begin_keepers(struct conformance *c)
{
    service.model = c->model;
    keepers = (struct keepers){.c = c, .server = memory_server_new()};
    struct arena *arena = json_arena_set(NULL);
    keepers.own = json_pack("{s:s}", "sold", "as it is");
    json_arena_set(arena);
    if (has_many(c->store->engine) && !another_opens(c, &keepers.other))
        return false;
    begin_instance(c, 0, c->store);
    if (!keepers.other)
        return true;
    begin_instance(c, 1, keepers.other);
    return settles(0, true);
}

static void end_keepers(void)
{
    conformance_join(keepers.c);
    for (int i = 0; i < 2; i++) {
        if (keepers.instances[i].context.keys)
            work_keys_free(keepers.instances[i].context.keys);
    }
    if (keepers.other)
        keepers.c->engine->close(keepers.other);
    memory_server_free(keepers.server);
    json_decref(keepers.own);
}

#define KEEPERS_CASE(name)                                                                         \
    static void name##_run(struct conformance *c);                                                 \
    static void name(struct conformance *c)                                                        \
    {                                                                                              \
        if (begin_keepers(c))                                                                      \
            name##_run(c);                                                                         \
        else                                                                                       \
            conformance_note(c, __FILE__, __LINE__, "keepers begin");                              \
        end_keepers();                                                                             \
    }                                                                                              \
    static void name##_run(struct conformance *c)

/* ---- What is derived, and what is found ---- */

/* The body says the number of the first one. All of a unit of work are at the same time. */
static void derive_facts(fh_work *w)
{
    json_int_t first = json_integer_value(json_object_get(fh_body(w), "first"));
    for (json_int_t n = first; n < first + FACTS; n++)
        fh_fact(w, "sold", 1000 + first % 5, fh_object(w, "tag", n % 2 ? "odd" : "even", "n", n));
}

static bool derive(int number, int first)
{
    fh_work w;
    struct arena *arena = json_arena_set(NULL);
    json_t *body = json_pack("{s:i}", "first", first);
    json_arena_set(arena);
    work_init(&w, &instance_of(number)->context, derive_facts);
    w.deadline_ns = -1;
    w.body = body;
    enum fh_code code = work_run(&w);
    if (code != FH_OK)
        conformance_note(keepers.c, __FILE__, __LINE__, w.failure.message);
    work_release(&w);
    arena = json_arena_set(NULL);
    json_decref(body);
    json_arena_set(arena);
    return code == FH_OK;
}

static bool take_turns(int number)
{
    struct fh_error error = {0};
    enum fh_code code = FH_OK;
    bool more = true;
    for (int i = 0; i < TURNS_MAX && more && code == FH_OK; i++)
        code = carrier_turn(&instance_of(number)->carrier, &more, &error);
    if (code != FH_OK) {
        char what[300];
        snprintf(what, sizeof what, "a turn passes: %s: %.200s", error_code_name(code),
                 error.message);
        conformance_note(keepers.c, __FILE__, __LINE__, what);
    }
    return code == FH_OK && !more;
}

/* How many, their sum, and how many numbers. */
static enum fh_code ask(int number, json_int_t ret[static 3])
{
    const struct fh_columns question = {
        .values = (const char *const[]){"count", "sum n", "uniq n", NULL}};
    struct conformance *c = keepers.c;
    json_t *answer = NULL;
    struct arena *arena = json_arena_set(NULL);
    enum fh_code code =
        carrier_ask(&instance_of(number)->carrier, &question, 0, &answer, &c->error);
    const json_t *row = json_array_get(json_object_get(answer, "rows"), 0);
    for (size_t i = 0; i < 3; i++)
        ret[i] = json_integer_value(json_array_get(row, i));
    json_decref(answer);
    json_arena_set(arena);
    return code;
}

/* The numbers from 0 on, each once. */
static bool finds(int number, json_int_t count)
{
    json_int_t found[3];
    enum fh_code code = ask(number, found);
    bool same = code == FH_OK && found[0] == count && found[1] == count * (count - 1) / 2 &&
                found[2] == count;
    if (code == FH_OK && !same) {
        char what[128];
        snprintf(what, sizeof what, "found %lld facts, their sum %lld, %lld numbers, not %lld",
                 (long long)found[0], (long long)found[1], (long long)found[2], (long long)count);
        conformance_note(keepers.c, __FILE__, __LINE__, what);
    }
    return same;
}

/* ---- Cases ---- */

static void write_facts(void *argument)
{
    const int number = *(const int *)argument;
    for (int i = 0; i < WORKS && derive(number, (number * WORKS + i) * FACTS); i++)
        ;
    keepers.left--;
}

static void carry_beside(void *argument)
{
    const int number = *(const int *)argument;
    while (keepers.left > 0 && !keepers.c->failure[0] && take_turns(number))
        fiber_sleep_until(keepers.c->harness.world, world_in_ms(keepers.c->harness.world, 1));
}

/* Whoever was in the sequencer's way left some for later. */
static bool all_have_positions(struct conformance *c)
{
    enum fh_code code;
    do
        code = store_sequence(c->store, NULL, 0, &c->error);
    while (code == FH_UNAVAILABLE);
    return code == FH_OK;
}

/* No lease keeps carriers apart here, and now and then one is another process. */
KEEPERS_CASE(what_many_derive_at_a_time_is_there_once)
{
    static const int numbers[WRITERS] = {0, 1, 2, 3, 4, 5};
    keepers.left = WRITERS;
    for (int i = 0; i < WRITERS; i++)
        conformance_start(c, write_facts, (void *)(uintptr_t)&numbers[i]);
    for (int i = 0; i < 2 && keepers.other; i++)
        conformance_start(c, carry_beside, (void *)(uintptr_t)&numbers[i]);
    while (keepers.left > 0 && !keepers.other && take_turns(0))
        fiber_sleep_until(c->harness.world, world_in_ms(c->harness.world, 1));
    conformance_join(c);
    EXPECT(all_have_positions(c));
    begin_carrier(1); /* which walks through all of it */
    EXPECT(take_turns(0) && take_turns(1));
    EXPECT(finds(0, WRITERS * WORKS * FACTS) && finds(1, WRITERS * WORKS * FACTS));
    EXPECT(instance_of(1)->carrier.counters.resent == 0);
}

/* How many points, and their sum. */
static bool finds_points(int number, json_int_t count, json_int_t sum)
{
    const struct fh_series question = {.from_ms = 0,
                                       .to_ms = 10000,
                                       .every_ms = 10000,
                                       .values = (const char *const[]){"count", "sum n", NULL}};
    json_t *answer = NULL;
    struct arena *arena = json_arena_set(NULL);
    enum fh_code code =
        carrier_ask(&instance_of(number)->carrier, &question, 0, &answer, &keepers.c->error);
    const json_t *curve = json_array_get(json_object_get(answer, "curves"), 0);
    const json_t *interval = json_array_get(json_object_get(curve, "points"), 0);
    bool same = code == FH_OK && json_integer_value(json_array_get(interval, 1)) == count &&
                json_integer_value(json_array_get(interval, 2)) == sum;
    json_decref(answer);
    json_arena_set(arena);
    return same;
}

static bool measures_each_thrice(void)
{
    bool done = true;
    for (int first = 0; first < 15 && done; first++)
        done = derive(first % 2, first);
    return done && take_turns(0) && take_turns(1);
}

/* Each of ten thrice or more, by either process in turn: of each tag and time the last one counts.
 */
KEEPERS_CASE(points_are_as_they_were_measured_last)
{
    service.derives[0].model = FH_SERIES;
    bool found = measures_each_thrice() && finds_points(0, 10, 135) && finds_points(1, 10, 135);
    memory_empty(keepers.server);
    begin_carrier(0);
    found = found && take_turns(0) && finds_points(0, 10, 135);
    service.derives[0].model = FH_COLUMNS;
    EXPECT(found && instance_of(0)->carrier.counters.resent == 1);
}

KEEPERS_CASE(one_that_began_is_known_before_it_carries)
{
    struct store_work *work;
    struct carried_record *record;
    EXPECT(carrier_begin_kept(&instance_of(0)->carrier, &c->error) == FH_OK);
    EXPECT(carrier_begin_kept(&instance_of(1)->carrier, &c->error) == FH_OK);
    EXPECT(keepers.server->sends == 0);
    work = conformance_begin(c, STORE_READ);
    EXPECT(work && carried_record_get(work, "sold", &record, &c->error) == FH_OK);
    bool begun = record->serving.name.number == 1 && record->last == 1;
    free(record);
    conformance_rollback(c, work);
    EXPECT(begun && derive(1, 0) && take_turns(1) && finds(0, FACTS));
}

/* Its server has what a backup of it had: the later half is missing. */
static bool loses_half(void)
{
    if (!derive(0, 0) || !take_turns(0) || !take_turns(1))
        return false;
    memory_back_up(keepers.server);
    if (!derive(0, FACTS) || !take_turns(0) || !take_turns(1) || !finds(1, 2 * FACTS))
        return false;
    memory_restore(keepers.server);
    return true;
}

/* One process finds it out, and can't send it again. */
static bool finds_out(struct conformance *c, int number)
{
    bool more;
    begin_carrier(number);
    keepers.server->fault = MEMORY_AWAY;
    return carrier_turn(&instance_of(number)->carrier, &more, &c->error) != FH_OK;
}

KEEPERS_CASE(nobody_answers_while_what_was_lost_is_sent_again)
{
    json_int_t found[3];
    EXPECT(loses_half() && finds_out(c, 0));
    EXPECT(ask(1, found) == FH_UNAVAILABLE && ask(0, found) == FH_UNAVAILABLE);
    begin_carrier(0); /* that one is gone */
    EXPECT(ask(0, found) == FH_UNAVAILABLE);
    EXPECT(take_turns(0) && finds(0, 2 * FACTS) && finds(1, 2 * FACTS));
    EXPECT(derive(1, 2 * FACTS) && take_turns(1) && finds(0, 3 * FACTS));
}

/* A carrier that has looked before finds out from the store, not from its server. */
KEEPERS_CASE(one_that_goes_on_sends_again_what_another_found_missing)
{
    json_int_t found[3];
    EXPECT(loses_half() && finds_out(c, 0));
    EXPECT(derive(1, 2 * FACTS) && ask(1, found) == FH_UNAVAILABLE);
    EXPECT(take_turns(1) && finds(1, 3 * FACTS));
    EXPECT(finds(0, 3 * FACTS)); /* which carries no more */
    EXPECT(carrier_look_again(&instance_of(0)->carrier, &c->error) == FH_OK);
    EXPECT(take_turns(0) && finds(0, 3 * FACTS));
}

/* ---- What nobody has any more ---- */

/* All that is in the outbox but the last `left`. */
static bool trims_but(struct conformance *c, int left)
{
    int64_t position = 0, removed;
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    if (!work)
        return false;
    enum fh_code code = ledger_position(work, &position, &c->error);
    if (code == FH_OK)
        code = ledger_outbox_trim(work, position - left, 1000, &removed, &c->error);
    return another_commits(c, work, code);
}

static bool has_lost(struct conformance *c)
{
    bool more = true, lost = false;
    for (int i = 0; i < 3 && !lost; i++)
        lost = carrier_turn(&instance_of(0)->carrier, &more, &c->error) == FH_UNSUPPORTED;
    return lost && instance_of(0)->carrier.counters.lost == 1;
}

static enum fh_code accept_in(int number)
{
    struct carried_loss loss;
    return carrier_accept_loss(&instance_of(number)->carrier, &loss, &keepers.c->error);
}

/* By a program that does not know that they are kept. */
KEEPERS_CASE(what_was_trimmed_before_it_was_carried_is_told)
{
    json_int_t found[3];
    EXPECT(derive(0, 0) && take_turns(0) && finds(1, FACTS));
    EXPECT(derive(0, FACTS) && trims_but(c, 0));
    EXPECT(has_lost(c) && ask(0, found) == FH_UNAVAILABLE && ask(1, found) == FH_UNAVAILABLE);
    EXPECT(accept_in(0) == FH_OK && take_turns(0));
    EXPECT(ask(1, found) == FH_OK && found[0] == FACTS);
    EXPECT(derive(1, 2 * FACTS) && take_turns(0));
    EXPECT(ask(1, found) == FH_OK && found[0] == 2 * FACTS);
    EXPECT(accept_in(1) == FH_CONFLICT);
}

/* By the word of an operator, whom another process hears than the one that carries. */
KEEPERS_CASE(where_a_loss_was_given_up_nobody_answers_without_what_the_outbox_has)
{
    json_int_t found[3];
    EXPECT(derive(0, 0) && derive(0, FACTS) && take_turns(0) && finds(1, 2 * FACTS));
    EXPECT(trims_but(c, 1));
    memory_empty(keepers.server);
    begin_carrier(0);
    EXPECT(has_lost(c) && accept_in(1) == FH_OK);
    EXPECT(ask(0, found) == FH_UNAVAILABLE && ask(1, found) == FH_UNAVAILABLE);
    EXPECT(derive(1, 2 * FACTS) && take_turns(0));
    EXPECT(ask(0, found) == FH_OK && found[0] == 2 * FACTS);
    EXPECT(ask(1, found) == FH_OK && found[0] == 2 * FACTS && found[2] == 2 * FACTS);
}

/* Nothing is to be sent, so no page says that it is whole. */
KEEPERS_CASE(where_all_was_given_up_there_is_nothing_to_wait_for)
{
    json_int_t found[3];
    EXPECT(derive(0, 0) && take_turns(0) && trims_but(c, 0));
    memory_empty(keepers.server);
    begin_carrier(0);
    EXPECT(has_lost(c) && accept_in(1) == FH_OK && take_turns(0));
    EXPECT(ask(1, found) == FH_OK && found[0] == 0);
}

KEEPERS_CASE(a_generation_that_serves_is_not_one_that_was_left)
{
    EXPECT(carrier_begin_kept(&instance_of(0)->carrier, &c->error) == FH_OK);
    EXPECT(carrier_begin_kept(&instance_of(1)->carrier, &c->error) == FH_OK);
    EXPECT(derive(0, 0) && take_turns(0) && take_turns(1));
    EXPECT(instance_of(0)->carrier.counters.left == 0 &&
           instance_of(1)->carrier.counters.left == 0);
}

/* ---- Programs that derive otherwise ---- */

/* It may be one that has another server, or one that does not know of it. */
KEEPERS_CASE(facts_wait_while_one_derives_otherwise_and_go_on_where_they_were)
{
    static const char *const notes[] = {"{\"told\":[{\"carries\":{\"sold\":\"otherwise\"}}]}",
                                        "{\"told\":[{\"at\":1}]}"};
    EXPECT(derive(0, 0) && take_turns(0));
    for (int i = 0; i < 2; i++) {
        int sends = keepers.server->sends, facts = (i + 1) * FACTS;
        EXPECT(another_joins(c, notes[i]) && !settles(0, false));
        EXPECT(derive(1, facts) && take_turns(0) && keepers.server->sends == sends);
        EXPECT(finds(1, facts)); /* what was there */
        EXPECT(another_leaves(c) && settles(0, false));
        EXPECT(take_turns(0) && finds(1, facts + FACTS));
    }
    EXPECT(instance_of(0)->carrier.look.record.serving.name.number == 1);
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(what_many_derive_at_a_time_is_there_once),
        CASE(points_are_as_they_were_measured_last),
        CASE(one_that_began_is_known_before_it_carries),
        CASE(nobody_answers_while_what_was_lost_is_sent_again),
        CASE_OF(one_that_goes_on_sends_again_what_another_found_missing, has_many),
        CASE(what_was_trimmed_before_it_was_carried_is_told),
        CASE(where_a_loss_was_given_up_nobody_answers_without_what_the_outbox_has),
        CASE(where_all_was_given_up_there_is_nothing_to_wait_for),
        CASE(a_generation_that_serves_is_not_one_that_was_left),
        CASE_OF(facts_wait_while_one_derives_otherwise_and_go_on_where_they_were, has_many),
    };
    return conformance_main_every(rows, sizeof rows / sizeof *rows);
}
