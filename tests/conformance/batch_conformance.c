/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch: members in one transaction, one after the other. Where the engine sends a member's
 * statement before that of the one before it is answered, nobody can tell: what each of them sees,
 * which one is to blame, the order of their events. Engines learn from a first batch which
 * statements are their units' only ones; so each case lets some be learnt first.
 */

#include "conformance.h"

#include <stdio.h>
#include <stdlib.h>

#include "store/ledger.h"
#include "work/batch.h"

#define MEMBERS 7
#define MANY 300    /* more than any engine sends without an answer */
#define WIDE 70     /* rows that no engine holds for several members */
#define LARGE 40000 /* bytes of one of two rows, likewise */
#define ADD "UPDATE things SET n = n + 1 WHERE id = 1"
#define READ "SELECT id, note FROM things"
#define INSERT "INSERT INTO things (id, n) VALUES (:id, 0)"

/* What a member does: its place in the batch, and these. */
enum {
    ADDS,
    FOLLOWS = 1,
    TAKEN = 2,
    REFUSES = 4,
    REFUSES_FIRST = 8,
    PUBLISHES = 16,
    INSERTS = 32,
    READS = 64
};

struct one {
    fh_work w; /* first: its handler casts */
    struct batch_tried *tried;
    int index, does;
    char event_id[ID_SIZE];
    struct ledger_event event;
};

/* Members that do not ask may run on one fiber. */
static bool in_turn;

struct batch_tried {
    struct conformance *c;
    struct work_context context;
    struct one *ones;
    fh_work **works;
    char order[4 * MEMBERS + 1]; /* s: about to send its statement; a: answered */
    enum fh_code code;
    struct fh_error error;
    int failed;
};

static void note_order(struct batch_tried *tried, char what)
{
    size_t length = strlen(tried->order);
    if (length + 1 < sizeof tried->order)
        tried->order[length] = what;
}

static enum fh_code publish_one(fh_work *w, void *argument, struct fh_error *error)
{
    struct one *one = argument;
    snprintf(one->event_id, sizeof one->event_id, "event-%03d", one->index);
    one->event = (struct ledger_event){
        .id = one->event_id, .type = "Done", .version = 1, .key = "a", .data = "{}"};
    return ledger_outbox_append(w->store_work, &one->event, error);
}

static void do_one(fh_work *w)
{
    struct one *one = (struct one *)w;
    json_t *values = json_pack("{s:i}", "id", one->does & TAKEN ? 1 : 100 + one->index);
    work_store_write(w);
    if (one->does & REFUSES_FIRST)
        fh_fail(w, 409, "It is refused at once.");
    note_order(one->tried, 's');
    int64_t changed = one->does & READS               ? (int64_t)json_array_size(fh_rows(w, READ))
                      : one->does & (TAKEN | INSERTS) ? fh_exec_count(w, INSERT, values)
                                                      : fh_exec_count(w, ADD);
    note_order(one->tried, 'a');
    if (one->does & REFUSES)
        fh_fail(w, 409, "It is refused.");
    if (one->does & FOLLOWS)
        changed += fh_exec_count(w, "UPDATE things SET n = n * 10 WHERE id = 1");
    if (one->does & PUBLISHES)
        work_on_end(w, publish_one, NULL, one);
    fh_reply(w, 200, fh_object(w, "changed", changed));
}

/* `does` of each of `count`; NULL: they publish. */
static struct batch_tried try_batch(struct conformance *c, const int *does, int count)
{
    static const fh_service service = {.name = "things", .model = FH_RELATIONAL};
    struct batch_tried tried = {
        .c = c, .context = {.world = c->harness.world, .store = c->store, .service = &service}};
    tried.ones = calloc((size_t)count, sizeof *tried.ones);
    tried.works = calloc((size_t)count, sizeof(fh_work *));
    FH_ASSERT(tried.ones && tried.works);
    for (int i = 0; i < count; i++) {
        struct one *one = &tried.ones[i];
        work_init(&one->w, &tried.context, do_one);
        one->tried = &tried;
        one->index = i + (count == 1 ? MANY : 0);
        one->does = does ? does[i] : PUBLISHES;
        tried.works[i] = &one->w;
    }
    struct work_batch_habits habits = {0};
    tried.failed = -1;
    tried.code = work_batch(&tried.context, tried.works, count, NULL, in_turn ? &habits : NULL,
                            &tried.failed, &tried.error);
    for (int i = 0; i < count; i++)
        work_release(&tried.ones[i].w);
    free(tried.works);
    free(tried.ones);
    return tried;
}

static bool prepare(struct conformance *c)
{
    static const int learns[] = {ADDS, INSERTS};
    bool good = conformance_does(
                    c, "CREATE TABLE things (id BIGINT PRIMARY KEY, n BIGINT NOT NULL, note TEXT)",
                    NULL) == FH_OK &&
                conformance_does(c, "INSERT INTO things (id, n) VALUES (1, 0)", NULL) == FH_OK;
    return good && try_batch(c, learns, 2).code == FH_OK &&
           conformance_does(c, "DELETE FROM things WHERE id <> 1", NULL) == FH_OK &&
           conformance_does(c, "UPDATE things SET n = 0", NULL) == FH_OK;
}

static bool sends_ahead(const struct conformance *c)
{
    return strcmp(c->engine->name, "postgresql") == 0;
}

/* ---- Cases ---- */

static void members_run_in_their_order(struct conformance *c)
{
    static const int does[] = {ADDS, ADDS, INSERTS, ADDS};
    EXPECT(prepare(c));
    struct batch_tried tried = try_batch(c, does, 4);
    EXPECT(tried.code == FH_OK && tried.context.counters.reruns == 0);
    EXPECT(strcmp(tried.order, sends_ahead(c) ? "ssssaaaa" : "sasasasa") == 0);
    EXPECT(conformance_reads(c, "SELECT id, n FROM things ORDER BY id",
                             "[{'id': 1, 'n': 3}, {'id': 102, 'n': 0}]"));
}

static void the_events_of_many_have_their_order(struct conformance *c)
{
    char last[128];
    EXPECT(prepare(c));
    EXPECT(try_batch(c, NULL, MANY).code == FH_OK);
    EXPECT(try_batch(c, NULL, 1).code == FH_OK);
    EXPECT(store_sequence(c->store, NULL, 0, &c->error) == FH_OK);
    snprintf(last, sizeof last, "[{'n': %d, 'last': 'event-%d'}]", MANY + 1, MANY);
    EXPECT(conformance_reads(c,
                             "SELECT count(*) AS n, (SELECT event_id FROM fh_outbox ORDER BY"
                             " position DESC LIMIT 1) AS last FROM fh_outbox",
                             last));
    EXPECT(conformance_reads(c,
                             "SELECT count(*) AS n FROM fh_outbox a JOIN fh_outbox b ON"
                             " b.position = a.position + 1 WHERE b.event_id > a.event_id AND"
                             " b.prev = a.position",
                             "[{'n': 300}]"));
    EXPECT(conformance_reads(c, "SELECT n FROM things", "[{'n': 301}]"));
}

static bool is_blamed(struct conformance *c, const int *does, int failed)
{
    struct batch_tried tried = try_batch(c, does, MEMBERS);
    bool nothing = conformance_reads(c, "SELECT id, n FROM things", "[{'id': 1, 'n': 0}]");
    return nothing && tried.code != FH_OK && tried.failed == failed;
}

static void the_first_that_fails_is_to_blame(struct conformance *c)
{
    EXPECT(prepare(c));
    EXPECT(is_blamed(c, (const int[MEMBERS]){[2] = TAKEN, [3] = REFUSES, [5] = TAKEN}, 2));
    EXPECT(is_blamed(c, (const int[MEMBERS]){[1] = REFUSES, [3] = TAKEN}, 1));
    EXPECT(is_blamed(c, (const int[MEMBERS]){[1] = TAKEN, [3] = REFUSES_FIRST}, 1));
    EXPECT(is_blamed(c, (const int[MEMBERS]){[3] = REFUSES_FIRST, [4] = TAKEN}, 3));
    EXPECT(is_blamed(c, (const int[MEMBERS]){[MEMBERS - 1] = TAKEN}, MEMBERS - 1));
    EXPECT(is_blamed(c, (const int[MEMBERS]){[0] = TAKEN}, 0));
    EXPECT(try_batch(c, NULL, MEMBERS).code == FH_OK); /* nothing is left of them */
    EXPECT(conformance_reads(c, "SELECT n FROM things", "[{'n': 7}]"));
}

/* The others have sent theirs by then: 0 + 1, times 10, + 1 is not 0 + 1 + 1, times 10. */
static void one_that_goes_on_after_all_comes_first(struct conformance *c)
{
    static const int does[] = {FOLLOWS, ADDS, FOLLOWS, ADDS};
    EXPECT(prepare(c));
    struct batch_tried tried = try_batch(c, does, 4);
    EXPECT(tried.code == FH_OK && tried.context.counters.reruns == sends_ahead(c));
    EXPECT(conformance_reads(c, "SELECT n FROM things", "[{'n': 121}]"));
    tried = try_batch(c, does, 4); /* it is known now */
    EXPECT(tried.code == FH_OK && tried.context.counters.reruns == 0);
    EXPECT(conformance_reads(c, "SELECT n FROM things", "[{'n': 12221}]"));
}

static void the_last_one_may_go_on(struct conformance *c)
{
    static const int does[] = {INSERTS, INSERTS, FOLLOWS};
    EXPECT(prepare(c));
    struct batch_tried tried = try_batch(c, does, 3);
    EXPECT(tried.code == FH_OK && tried.context.counters.reruns == 0);
    EXPECT(conformance_reads(c, "SELECT n FROM things WHERE id = 1", "[{'n': 10}]"));
}

/* Or the rows of all would be in memory at once. */
static void many_rows_are_read_by_one_at_a_time(struct conformance *c)
{
    static const int does[] = {READS, READS, READS};
    EXPECT(prepare(c));
    EXPECT(try_batch(c, does, 3).code == FH_OK);
    struct batch_tried tried = try_batch(c, does, 3);
    EXPECT(strcmp(tried.order, sends_ahead(c) ? "sssaaa" : "sasasa") == 0);
    for (int i = 0; i < WIDE; i++) {
        char sql[80];
        snprintf(sql, sizeof sql, "INSERT INTO things (id, n) VALUES (%d, 0)", 1000 + i);
        EXPECT(conformance_does(c, sql, NULL) == FH_OK);
    }
    EXPECT(try_batch(c, does, 3).code == FH_OK);
    tried = try_batch(c, does, 3);
    EXPECT(strcmp(tried.order, "sasasa") == 0);
}

static void large_rows_are_read_by_one_at_a_time(struct conformance *c)
{
    static const int does[] = {READS, READS, READS};
    static char sql[LARGE + 80];
    EXPECT(prepare(c));
    EXPECT(conformance_does(c, "INSERT INTO things (id, n) VALUES (2, 0)", NULL) == FH_OK);
    EXPECT(try_batch(c, does, 3).code == FH_OK);
    int start = snprintf(sql, sizeof sql, "UPDATE things SET note = '");
    memset(sql + start, 'x', LARGE);
    snprintf(sql + start + LARGE, sizeof sql - (size_t)start - LARGE, "'");
    EXPECT(conformance_does(c, sql, NULL) == FH_OK);
    EXPECT(try_batch(c, does, 3).code == FH_OK);
    struct batch_tried tried = try_batch(c, does, 3);
    EXPECT(strcmp(tried.order, "sasasa") == 0);
}

static bool is_embedded(const struct engine *engine)
{
    return !engine->server;
}

static void they_are_the_same_in_turn(struct conformance *c)
{
    static void (*const cases[])(struct conformance * c) = {members_run_in_their_order,
                                                            the_events_of_many_have_their_order,
                                                            the_first_that_fails_is_to_blame};
    in_turn = true;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cases[i](c);
        EXPECT(conformance_does(c, "DROP TABLE things", NULL) == FH_OK);
    }
    in_turn = false;
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(members_run_in_their_order),
        CASE(the_events_of_many_have_their_order),
        CASE(the_first_that_fails_is_to_blame),
        CASE(one_that_goes_on_after_all_comes_first),
        CASE(the_last_one_may_go_on),
        CASE(many_rows_are_read_by_one_at_a_time),
        CASE(large_rows_are_read_by_one_at_a_time),
        CASE_OF(they_are_the_same_in_turn, is_embedded),
    };
    return conformance_main(FH_RELATIONAL, rows, sizeof rows / sizeof *rows);
}
