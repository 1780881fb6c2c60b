/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one order of a store on a server into which several processes write: two sequencers at once,
 * one of them stopped between any two of its statements; units of work that compete; transactions
 * that never seem to end. The second process is a second opened store.
 *
 * To stop a sequencer, the procedure in the store is created again with a gate in one place: the
 * first one to get there waits until the test releases a lock that it holds on the server.
 */

#define _GNU_SOURCE
#include "conformance.h"

#include <stdlib.h>
#include <string.h>

#include "event/feed/feed.h"
#include "event/manager.h"
#include "store/notifier.h"
#include "store/ledger.h"
#include "store/relational/sql.h"
#include "work/command.h"
#include "work/fault.h"
#include "work/work.h"

#define EVENTS 11 /* of one round */
#define GATES_MAX 32

/* ---- The server's own statements ---- */

static const struct sequencer_words *words_of(const struct conformance *c)
{
    return c->engine->sequencer;
}

/* ---- Small things ---- */

static bool take_text(void *context, const struct sql_row *row)
{
    char **text = context;
    free(*text);
    *text = row->values[0].kind == SQL_TEXT ? strdup(row->values[0].text) : NULL;
    return true;
}

static bool take_integer(void *context, const struct sql_row *row)
{
    *(int64_t *)context = row->values[0].integer;
    return true;
}

static int64_t integer_in(struct conformance *c, struct store_work *work, const char *sql)
{
    int64_t value = -1;
    sql_run(work, sql, NULL, 0, take_integer, &value, NULL, &c->error);
    return value;
}

/* Until the query, run in the open unit of work, returns `wanted` or more, or `*done`. */
static bool wait_until(struct conformance *c, struct store_work *work, const char *sql,
                       int64_t wanted, const bool *done)
{
    struct world *world = c->harness.world;
    int64_t deadline_ns = world_in_ms(world, 60000);
    while (!(done && *done) && integer_in(c, work, sql) < wanted) {
        if (world_monotonic_ns(world) > deadline_ns)
            return false;
        fiber_sleep_until(world, world_in_ms(world, words_of(c)->look_ms));
    }
    return true;
}

static struct ledger_event event_of(const char *id, const char *key)
{
    return (struct ledger_event){
        .id = id, .type = "OrderCreated", .key = key, .version = 1, .time_ms = 1, .data = "{}"};
}

/* Commits one event, or a saga's start, without waiting for its position. */
static enum fh_code commit_event(struct conformance *c, struct store *store, const char *id,
                                 const char *key, bool saga)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_WRITE, &work, &c->error);
    if (code != FH_OK)
        return code;
    struct ledger_event event = event_of(id, key);
    struct ledger_saga started = {.birth = "birth",
                                  .name = "order",
                                  .input = "{}",
                                  .state = "{}",
                                  .status = "running",
                                  .epoch = 1};
    if (saga)
        event.type = "freehold.saga.started";
    code = saga ? ledger_saga_start(work, &event, &started, NULL, 0, &c->error)
                : ledger_outbox_append(work, &event, &c->error);
    if (code == FH_OK)
        return store_commit(work, &c->error);
    store_rollback(work);
    return code;
}

/* ---- A stopped sequencer ---- */

/* The sequencer's text with a gate before its n-th statement; NULL: it has fewer. */
static char *gated_source(const struct sequencer_words *words, const char *source, int n)
{
    const char *at = strstr(source, words->begins);
    at = at ? at + strlen(words->begins) : NULL;
    for (int i = 0; at && i < n; i++) {
        at = strstr(at, ";\n");
        at = at ? at + 2 : NULL;
    }
    char *gated = NULL;
    if (at && asprintf(&gated, "%.*s%s%s", (int)(at - source), source, words->gate, at) < 0)
        abort();
    return gated;
}

static void install(struct conformance *c, const char *source)
{
    const struct sequencer_words *words = words_of(c);
    struct store_work *work = conformance_begin(c, STORE_MIGRATE);
    EXPECT(work);
    if (words->drops && strcmp(source, words->drop) != 0)
        EXPECT(c->store->engine->sql->script(work, words->drop, &c->error) == FH_OK);
    EXPECT(c->store->engine->sql->script(work, source, &c->error) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
}

static void read_source(struct conformance *c, char **ret)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    sql_run(work, words_of(c)->source, NULL, 0, take_text, ret, NULL, &c->error);
    conformance_rollback(c, work);
    EXPECT(*ret);
}

struct call {
    struct store *store;
    struct store_placed placed[EVENTS];
    int count;
    bool done;
    enum fh_code code;
    struct fh_error error;
};

static void run_call(void *argument)
{
    struct call *call = argument;
    call->code = store_sequence(call->store, call->placed, call->count, &call->error);
    call->done = true;
}

struct outbox {
    struct conformance *c;
    int64_t positions[GATES_MAX * EVENTS];
    int count;
    bool whole;
};

static bool check_event(void *context, const struct ledger_event *event)
{
    struct outbox *outbox = context;
    char id[24], key[2] = {(char)('a' + outbox->count % 3), '\0'};
    int n = outbox->count++;
    snprintf(id, sizeof id, "event %d", n + 1);
    bool saga = n % EVENTS == 3;
    /* Every third one is of the same key; the saga's start is of its own. */
    int before = n - 3 >= 0 && (n - 3) % EVENTS == 3 ? n - 6 : n - 3;
    int64_t previous = saga || before < 0 ? 0 : before + 1;
    outbox->whole &= strcmp(event->id, id) == 0 && event->position == n + 1 &&
                     (saga || strcmp(event->key, key) == 0) && event->previous == previous;
    return true;
}

/* Eleven events of two processes; the first one's sequencer is stopped at the gate. */
static void round_of_events(struct conformance *c, struct store *second, int base, bool cut,
                            int *stops)
{
    const struct sequencer_words *words = words_of(c);
    char ids[EVENTS][24];
    struct call one = {.store = c->store, .count = 5}, other = {.store = second, .count = 3};
    struct store_placed all[EVENTS];
    for (int i = 0; i < EVENTS; i++) {
        snprintf(ids[i], sizeof ids[i], "event %d", base + i + 1);
        all[i] = (struct store_placed){.event_id = ids[i]};
    }
    memcpy(one.placed, all, 5 * sizeof *all);
    memcpy(other.placed, all + 5, 3 * sizeof *all);
    struct store_work *holder = conformance_begin(c, STORE_WRITE);
    EXPECT(holder);
    EXPECT(integer_in(c, holder, words->close) >= 0);
    for (int i = 0; i < EVENTS; i++) {
        char key[2] = {(char)('a' + (base + i) % 3), '\0'};
        EXPECT(commit_event(c, i % 2 ? second : c->store, ids[i], key, i == 3) == FH_OK);
        if (i == 4) {
            conformance_start(c, run_call, &one);
            EXPECT(wait_until(c, holder, words->at_gate, 1, &one.done));
        } else if (i == 7) {
            conformance_start(c, run_call, &other);
            EXPECT(wait_until(c, holder, words->at_lock, 1, &other.done));
        }
        EXPECT(integer_in(c, holder, "SELECT 1") == 1); /* it is not idle */
    }
    bool stopped = !one.done; /* else it does not get there */
    *stops += stopped;
    if (cut && stopped)
        words_of(c)->cut(c->store);
    if (words->open)
        EXPECT(integer_in(c, holder, words->open) == 1);
    conformance_rollback(c, holder);
    conformance_join(c);
    if (other.code != FH_OK)
        c->error = other.error;
    EXPECT(one.code == FH_OK || (cut && stopped));
    EXPECT(other.code == FH_OK);
    EXPECT(store_sequence(second, all, EVENTS, &c->error) == FH_OK);
    for (int i = 0; i < EVENTS; i++)
        EXPECT(all[i].position == base + i + 1);
    for (int i = 0; i < 5 && one.code == FH_OK; i++)
        EXPECT(one.placed[i].position == all[i].position);
    for (int i = 0; i < 3; i++)
        EXPECT(other.placed[i].position == all[5 + i].position);
}

static void all_rounds(struct conformance *c, struct store *second, const char *source, bool cut)
{
    int gates = 0, stops = 0;
    for (char *gated; (gated = gated_source(words_of(c), source, gates)); gates++) {
        EXPECT(gates < GATES_MAX);
        install(c, gated);
        free(gated);
        EXPECT(!c->failure[0]);
        round_of_events(c, second, gates * EVENTS, cut, &stops);
        if (c->failure[0])
            printf("# stopped before statement %d\n", gates + 1);
        EXPECT(!c->failure[0]);
    }
    EXPECT(stops >= 6);
    struct store_work *work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    struct outbox outbox = {.c = c, .whole = true};
    EXPECT(ledger_outbox_read(work, 0, 1000, check_event, &outbox, &c->error) == FH_OK);
    EXPECT(outbox.count == gates * EVENTS && outbox.whole);
    struct ledger_counts counts;
    EXPECT(ledger_saga_counts(work, &counts, &c->error) == FH_OK && counts.running == gates);
}

static void with_stopped_sequencer(struct conformance *c, bool cut)
{
    struct store *second;
    char *source = NULL;
    EXPECT(c->engine->open(&c->harness, c->model, &second, &c->error) == FH_OK);
    read_source(c, &source);
    if (source)
        all_rounds(c, second, source, cut);
    free(source);
    for (int i = 0; i < CONFORMANCE_WORKS_MAX; i++) {
        if (c->works[i]) /* a round failed: what it holds lets nobody end */
            conformance_rollback(c, c->works[i]);
    }
    conformance_join(c);
    c->engine->close(second);
}

/* Schedule 6. */
static void two_sequencers_make_one_order_wherever_one_is_stopped(struct conformance *c)
{
    with_stopped_sequencer(c, false);
}

/* Schedule 6. */
static void a_sequencer_that_outlives_its_connection_makes_the_same_order(struct conformance *c)
{
    with_stopped_sequencer(c, true);
}

/* ---- The sequencer away, and others that publish ---- */

struct heard {
    struct store_listener listener;
    int count;
};

static void on_heard(void *context)
{
    ((struct heard *)context)->count++;
}

/* What was durable stays durable, and is in nobody's feed until it has its position. */
static void what_could_not_be_numbered_is_numbered_as_soon_as_it_can_be(struct conformance *c)
{
    char *source = NULL;
    struct heard heard = {.listener = {.heard = on_heard, .context = &heard}};
    struct store_placed placed = {.event_id = "one"};
    struct world *world = c->harness.world;
    read_source(c, &source);
    EXPECT(!c->failure[0]);
    install(c, words_of(c)->drop);
    EXPECT(!c->failure[0]);
    EXPECT(commit_event(c, c->store, "one", "a", false) == FH_OK);
    EXPECT(store_sequence(c->store, &placed, 1, &c->error) != FH_OK && placed.position == 0);
    store_listen(c->store, &heard.listener);
    struct store_work *work = conformance_begin(c, STORE_MIGRATE);
    if (work && c->store->engine->sql->script(work, source, &c->error) == FH_OK)
        conformance_commit(c, work);
    free(source);
    int64_t deadline_ns = world_in_ms(world, 60000);
    while (!heard.count && world_monotonic_ns(world) < deadline_ns)
        fiber_sleep_until(world, world_in_ms(world, 5));
    store_unlisten(c->store, &heard.listener);
    EXPECT(heard.count > 0);
    work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    int64_t last = 0;
    EXPECT(ledger_position(work, &last, &c->error) == FH_OK && last == 1);
}

struct poll {
    struct event_manager *manager;
    struct feed_answer answer;
    int count;
};

static void run_poll(void *argument)
{
    struct poll *poll = argument;
    json_t *query = json_pack("{s:s}", "wait", "20");
    feed_answer(poll->manager, query, NULL, &poll->answer);
    poll->count++;
    json_decref(query);
}

static void hear_of_another(struct conformance *c, struct event_manager *manager,
                            struct store *second)
{
    struct poll poll = {.manager = manager};
    struct world *world = c->harness.world;
    EXPECT(event_manager_start(manager, &c->error) == FH_OK);
    conformance_start(c, run_poll, &poll);
    int64_t deadline_ns = world_in_ms(world, 60000);
    while (manager->reader_count == 0 && world_monotonic_ns(world) < deadline_ns)
        fiber_sleep_until(world, world_in_ms(world, 5));
    EXPECT(manager->reader_count == 1);
    EXPECT(commit_event(c, second, "one", "a", false) == FH_OK);
    EXPECT(store_sequence(second, NULL, 0, &c->error) == FH_OK);
    conformance_join(c);
    bool told =
        poll.answer.status == 200 && poll.answer.body && strstr(poll.answer.body, "\"one\"");
    feed_answer_release(&poll.answer);
    EXPECT(told);
}

static void a_long_poll_gets_what_another_process_has_published(struct conformance *c)
{
    static const fh_service service = {.name = "orders"};
    struct store *second;
    struct work_context context = {
        .world = c->harness.world, .store = c->store, .service = &service};
    EXPECT(c->engine->open(&c->harness, c->model, &second, &c->error) == FH_OK);
    struct event_manager *manager = context.events = event_manager_new(&context);
    hear_of_another(c, manager, second);
    event_manager_drain(manager);
    conformance_join(c);
    while (!event_manager_ended(manager))
        fiber_sleep_until(context.world, world_in_ms(context.world, 1));
    event_manager_free(manager);
    c->engine->close(second);
}

static void ring_and_hear(struct conformance *c, struct store *second, struct heard *heard)
{
    char path[128];
    struct store_placed placed = {.event_id = "one"};
    struct world *world = c->harness.world;
    snprintf(path, sizeof path, "%s/" NOTIFIER_FILE, c->harness.folder);
    EXPECT(store_notifier_open(c->store, path, &c->error) == FH_OK);
    EXPECT(store_notifier_open(second, path, &c->error) == FH_OK);
    EXPECT(commit_event(c, second, "one", "a", false) == FH_OK);
    EXPECT(heard->count == 0);
    EXPECT(store_sequence(second, &placed, 1, &c->error) == FH_OK);
    int64_t deadline_ns = world_in_ms(world, 20000);
    while (!heard->count && world_monotonic_ns(world) < deadline_ns)
        fiber_sleep_until(world, world_in_ms(world, 5));
    EXPECT(heard->count > 0);
}

/* Nobody reads here: there is no place for events. */
static void a_notifier_reports_positions_that_another_process_has_assigned(struct conformance *c)
{
    struct store *second;
    struct heard heard = {.listener = {.heard = on_heard, .context = &heard}};
    EXPECT(c->engine->open(&c->harness, c->model, &second, &c->error) == FH_OK);
    store_listen(c->store, &heard.listener);
    ring_and_hear(c, second, &heard);
    store_unlisten(c->store, &heard.listener);
    c->engine->close(second);
    struct store_work *work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    int64_t last = 0;
    EXPECT(ledger_position(work, &last, &c->error) == FH_OK && last == 1);
}

/* ---- Units of work that conflict ---- */

#define INCREMENTS 5
#define WRITERS 6

static void increment(fh_work *w)
{
    json_t *row = fh_row(w, "SELECT n FROM total WHERE id = 1", (json_t *)NULL);
    json_int_t n = json_integer_value(json_object_get(row, "n"));
    fh_exec(w, "UPDATE total SET n = :n WHERE id = 1", json_pack("{s:I}", "n", n + 1));
}

struct writer {
    struct work_context *context;
    int done;
};

static void run_writer(void *argument)
{
    struct writer *writer = argument;
    for (int i = 0; i < INCREMENTS; i++) {
        fh_work w;
        work_init(&w, writer->context, increment);
        writer->done += work_run(&w) == FH_OK;
        work_release(&w);
    }
}

/* Schedule 15. */
static void works_that_read_compute_and_write_run_again_when_they_meet(struct conformance *c)
{
    static const fh_service service = {.name = "totals", .model = FH_RELATIONAL};
    struct store *second;
    struct work_context contexts[2];
    struct writer writers[WRITERS];
    EXPECT(conformance_does(c, "CREATE TABLE total (id BIGINT PRIMARY KEY, n BIGINT NOT NULL)",
                            NULL) == FH_OK);
    EXPECT(conformance_does(c, "INSERT INTO total (id, n) VALUES (1, 0)", NULL) == FH_OK);
    EXPECT(c->engine->open(&c->harness, c->model, &second, &c->error) == FH_OK);
    for (int i = 0; i < 2; i++)
        contexts[i] = (struct work_context){
            .world = c->harness.world, .store = i ? second : c->store, .service = &service};
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){.context = &contexts[i % 2]};
        conformance_start(c, run_writer, &writers[i]);
    }
    conformance_join(c);
    c->engine->close(second);
    for (int i = 0; i < WRITERS; i++)
        EXPECT(writers[i].done == INCREMENTS);
    EXPECT(contexts[0].counters.reruns + contexts[1].counters.reruns > 0);
    EXPECT(conformance_reads(c, "SELECT n FROM total", "[{'n': 30}]"));
}

/* ---- Statements that nobody waits for ---- */

#define FAILS "INSERT INTO named (id) VALUES (1)"

static void fail_at_the_end(fh_work *w)
{
    fh_exec(w, "INSERT INTO named (id) VALUES (2)");
    fh_exec(w, FAILS);
    fh_exec(w, "INSERT INTO named (id) VALUES (3)");
}

static void fail_before_a_row(fh_work *w)
{
    fail_at_the_end(w);
    fh_row(w, "SELECT id FROM named WHERE id = 2");
}

static void fail_itself(fh_work *w)
{
    fh_exec(w, "INSERT INTO named (id) VALUES (2)");
    fh_exec_count(w, FAILS);
}

static void fail_after_all(fh_work *w)
{
    fh_exec(w, "INSERT INTO named (id) VALUES (2)");
    fh_fail(w, 500, "It is nobody's fault.");
}

/* As the line about the fault has it. */
static void the_statement_that_failed_is_known_however_late_it_does(struct conformance *c)
{
    static const fh_service service = {.name = "named", .model = FH_RELATIONAL};
    static const struct {
        fh_handler *handler;
        const char *statement;
    } cases[] = {{fail_at_the_end, FAILS},
                 {fail_before_a_row, FAILS},
                 {fail_itself, FAILS},
                 {fail_after_all, NULL}};
    struct work_context context = {
        .world = c->harness.world, .store = c->store, .service = &service};
    EXPECT(conformance_does(c, "CREATE TABLE named (id BIGINT PRIMARY KEY)", NULL) == FH_OK);
    EXPECT(conformance_does(c, "INSERT INTO named (id) VALUES (1)", NULL) == FH_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fh_work w;
        work_init(&w, &context, cases[i].handler);
        EXPECT(work_run(&w) != FH_OK);
        EXPECT(cases[i].statement ? w.statement && strcmp(w.statement, cases[i].statement) == 0
                                  : !w.statement);
        fault_is_told(&w);
        work_release(&w);
    }
}

#define CALLERS 8
#define COMMANDS 20

struct caller {
    struct work_context *context;
    int number, done;
};

static void note(fh_work *w)
{
    fh_exec(w, "INSERT INTO noted (id) VALUES (:id)", fh_body(w));
    fh_reply(w, 201, NULL);
}

static void run_caller(void *argument)
{
    struct caller *caller = argument;
    for (int i = 0; i < COMMANDS; i++) {
        char key[96], from[64];
        const char *incarnation = caller->context->store->incarnation; /* one that looks like it */
        int id = i * CALLERS + caller->number;
        snprintf(key, sizeof key, "orders/%s.%d/reserve/0", incarnation, id + 1000);
        snprintf(from, sizeof from, "orders/%s", incarnation);
        struct command_request request = {.method = "POST",
                                          .path = "/notes",
                                          .pattern = "/notes",
                                          .key = key,
                                          .from = from,
                                          .to = incarnation};
        fh_work w;
        work_init(&w, caller->context, note);
        w.body = json_pack("{s:i}", "id", id);
        caller->done += command_run(&w, &request) == FH_OK && w.reply_status == 201;
        json_decref(w.body);
        work_release(&w);
    }
}

/* Whose records do not exist yet, and would be adjacent. */
static void commands_under_different_keys_do_not_meet(struct conformance *c)
{
    static const fh_service service = {.name = "notes", .model = FH_RELATIONAL};
    struct work_context context = {
        .world = c->harness.world, .store = c->store, .service = &service, .keys = work_keys_new()};
    struct caller callers[CALLERS];
    EXPECT(conformance_does(c, "CREATE TABLE noted (id BIGINT PRIMARY KEY)", NULL) == FH_OK);
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (struct caller){.context = &context, .number = i};
        conformance_start(c, run_caller, &callers[i]);
    }
    conformance_join(c);
    work_keys_free(context.keys);
    for (int i = 0; i < CALLERS; i++)
        EXPECT(callers[i].done == COMMANDS);
    EXPECT(context.counters.reruns <= CALLERS * COMMANDS / 4); /* by the page, now and then */
}

struct late {
    struct conformance *c;
    bool done;
    enum fh_code code;
};

static void run_late(void *argument)
{
    struct late *late = argument;
    late->code = commit_event(late->c, late->c->store, "second", "a", false);
    late->done = true;
}

/* Schedule 19. */
static void a_work_waits_for_another_that_has_published_under_its_key(struct conformance *c)
{
    struct late late = {.c = c};
    struct store_placed placed[] = {{.event_id = "first"}, {.event_id = "second"}};
    struct ledger_event event = event_of("first", "a");
    struct store_work *watcher = conformance_begin(c, STORE_WRITE);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(watcher && work);
    EXPECT(ledger_outbox_append(work, &event, &c->error) == FH_OK);
    EXPECT(integer_in(c, work, "SELECT 1") == 1); /* it has got there */
    conformance_start(c, run_late, &late);
    EXPECT(wait_until(c, watcher, words_of(c)->at_lock, 1, &late.done));
    EXPECT(!late.done);
    EXPECT(commit_event(c, c->store, "other", "b", false) == FH_OK); /* nobody waits for a key */
    EXPECT(conformance_commit(c, work) == FH_OK);
    conformance_join(c);
    EXPECT(late.code == FH_OK || c->error.retryable);
    if (late.code != FH_OK) /* a server may require a rerun */
        EXPECT(commit_event(c, c->store, "second", "a", false) == FH_OK);
    EXPECT(store_sequence(c->store, placed, 2, &c->error) == FH_OK);
    EXPECT(placed[0].position < placed[1].position);
}

/* A store of its own in another database of the server. */
static enum fh_code open_elsewhere(struct conformance *c, struct store **ret)
{
    struct store_options options = {.service = "conformance", .model = c->model};
    char name[64];
    json_t *server = NULL;
    snprintf(name, sizeof name, "elsewhere_%s", strrchr(c->harness.folder, '-') + 1);
    enum fh_code code = words_of(c)->make_elsewhere(&c->harness, name, &server, &c->error);
    json_object_set_new(server, "database", json_string(name));
    options.server = server;
    if (code == FH_OK)
        code = c->store->ops->open(&options, c->harness.world, ret, &c->error);
    json_decref(server);
    return code;
}

static void drop_elsewhere(struct conformance *c)
{
    char sql[96];
    snprintf(sql, sizeof sql, "DROP DATABASE elsewhere_%s", strrchr(c->harness.folder, '-') + 1);
    EXPECT(words_of(c)->administer(&c->harness, sql, &c->error) == FH_OK);
}

static void publish_beside(struct conformance *c, struct store_work *old)
{
    struct store_placed placed[] = {{.event_id = "one"}, {.event_id = "two"}, {.event_id = "old"}};
    struct ledger_event event = event_of("old", "b");
    /* Older ones here, too: a snapshot, and a unit of work that has taken its place in the
     * order. */
    EXPECT(conformance_begin(c, STORE_READ));
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(ledger_outbox_append(work, &event, &c->error) == FH_OK);
    EXPECT(integer_in(c, work, "SELECT 1") == 1);
    EXPECT(commit_event(c, c->store, "one", "a", false) == FH_OK);
    EXPECT(commit_event(c, c->store, "two", "a", false) == FH_OK);
    EXPECT(store_sequence(c->store, placed, 2, &c->error) == FH_OK);
    EXPECT(placed[0].position == 1 && placed[1].position == 2);
    EXPECT(conformance_commit(c, work) == FH_OK);
    EXPECT(store_sequence(c->store, placed + 2, 1, &c->error) == FH_OK);
    EXPECT(placed[2].position == 3);
    EXPECT(integer_in(c, old, "SELECT count(*) FROM fh_meta WHERE name = 'old'") == 1);
}

/* Schedule 20. */
static void the_feed_goes_on_beside_transactions_that_stay_open(struct conformance *c)
{
    struct store *elsewhere;
    struct store_work *old;
    EXPECT(open_elsewhere(c, &elsewhere) == FH_OK);
    enum fh_code code = store_begin(elsewhere, STORE_WRITE, &old, &c->error);
    if (code == FH_OK) {
        int64_t inserted;
        code = sql_run(old, "INSERT INTO fh_meta (name, value) VALUES ('old', '1')", NULL, 0, NULL,
                       NULL, &inserted, &c->error);
        if (code == FH_OK)
            publish_beside(c, old);
        store_rollback(old);
    }
    c->engine->close(elsewhere);
    drop_elsewhere(c);
    EXPECT(code == FH_OK);
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(two_sequencers_make_one_order_wherever_one_is_stopped),
        CASE(a_sequencer_that_outlives_its_connection_makes_the_same_order),
        CASE(what_could_not_be_numbered_is_numbered_as_soon_as_it_can_be),
        CASE(a_long_poll_gets_what_another_process_has_published),
        CASE(a_notifier_reports_positions_that_another_process_has_assigned),
        CASE(works_that_read_compute_and_write_run_again_when_they_meet),
        CASE(the_statement_that_failed_is_known_however_late_it_does),
        CASE(commands_under_different_keys_do_not_meet),
        CASE(a_work_waits_for_another_that_has_published_under_its_key),
        CASE(the_feed_goes_on_beside_transactions_that_stay_open),
    };
    return conformance_main_of("", FH_RELATIONAL, rows, sizeof rows / sizeof *rows);
}
