/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sagas from both sides: one initiator and two receivers, each with a store of its own, and
 * between them a network that loses requests, loses answers, delivers twice, and keeps some
 * messages back until everything is over. What must hold: every saga ends, each effect of a
 * confirmed one is there exactly once, nothing of a cancelled one is left, all records go when
 * their saga is closed, and no late message does anything any more.
 */

#include "../support/harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "saga/run.h"
#include "store/relational/sql.h"
#include "work/command.h"

#define ORDERS 60
#define KEPT_MAX 200

/* ---- The network ----------------------------------------------------------------------------- */

struct network {
    struct harness *harness;
    struct work_context *receivers[2]; /* products, payments */
    uint64_t seed;
    int lose, lose_answer, twice, keep; /* percent */
    bool away[2];
    int in_flight;
    struct message *kept[KEPT_MAX];
    int kept_count, late_effects, closings;
};

/* A copy of a request: what is in a socket outlives its sender. */
struct message {
    struct network *network;
    struct world_request *answer_to; /* NULL: nobody waits */
    int receiver;
    char method[8], path[128], body[512], names[8][24], values[8][200];
    int header_count;
    int status;
    char outcome[16], at[80], answer[512];
    bool lose_answer;
};

static uint64_t draw(struct network *network, uint64_t below)
{
    network->seed = network->seed * 6364136223846793005u + 1442695040888963407u;
    return (network->seed >> 33) % below;
}

static const char *header(const struct message *message, const char *name)
{
    for (int i = 0; i < message->header_count; i++)
        if (strcmp(message->names[i], name) == 0)
            return message->values[i];
    return NULL;
}

static void add_effect(fh_work *w, const char *sign)
{
    fh_exec(w, "INSERT INTO effect (path, sign) VALUES (:path, :sign)",
            json_pack("{s:s, s:s}", "path", json_string_value(json_object_get(w->path, "path")),
                      "sign", sign));
}

static void step_handler(fh_work *w)
{
    const char *path = json_string_value(json_object_get(w->path, "path"));
    if (strstr(path, "refuse"))
        fh_fail(w, 409, "There is too little of it.");
    add_effect(w, "+");
    fh_reply(w, 200, json_pack("{s:s}", "took", path));
}

static void undo_handler(fh_work *w)
{
    add_effect(w, "-");
    fh_reply(w, 200, NULL);
}

static void keep_reply(struct message *message, const fh_work *w)
{
    message->status = w->reply_status;
    for (int i = 0; i < w->reply_header_count; i++) {
        const struct work_reply_header *reply = &w->reply_headers[i];
        if (strcmp(reply->name, "Freehold-Outcome") == 0)
            snprintf(message->outcome, sizeof message->outcome, "%s", reply->value);
        if (strcmp(reply->name, "Freehold-At") == 0)
            snprintf(message->at, sizeof message->at, "%s", reply->value);
    }
    if (w->reply_body) {
        char *text = json_text(w->reply_body);
        snprintf(message->answer, sizeof message->answer, "%s", text);
        json_text_free(text);
    }
}

static void receive(struct message *message)
{
    struct network *network = message->network;
    struct work_context *context = network->receivers[message->receiver];
    fh_work w;
    work_init(&w, context, step_handler);
    w.deadline_ns = world_in_ms(context->world, 20000);
    json_arena_set(&w.kept);
    w.path = json_pack("{s:s}", "path", message->path);
    if (message->body[0])
        json_parse(message->body, strlen(message->body), &w.body, NULL);
    json_arena_set(NULL);
    struct command_request request = {.method = message->method,
                                      .path = message->path,
                                      .pattern = "/{path}",
                                      .body = message->body,
                                      .body_length = strlen(message->body),
                                      .undo = undo_handler,
                                      .key = header(message, "Idempotency-Key"),
                                      .attempt = header(message, "Freehold-Attempt"),
                                      .from = header(message, "Freehold-From"),
                                      .to = header(message, "Freehold-To"),
                                      .undone = header(message, "Freehold-Undo")};
    message->status = 0;
    message->outcome[0] = message->at[0] = message->answer[0] = '\0';
    if (strcmp(message->path, "/_freehold/closed") == 0)
        command_closed_run(&w, request.from);
    else
        command_run(&w, &request);
    keep_reply(message, &w);
    work_release(&w);
}

static void give_answer(struct message *message)
{
    struct world_request *request = message->answer_to;
    struct world_header headers[2] = {{"freehold-at", message->at},
                                      {"freehold-outcome", message->outcome}};
    request->status = message->lose_answer ? 0 : message->status;
    request->failure = "the answer was lost";
    request->answer = message->answer;
    request->answer_length = message->lose_answer ? 0 : strlen(message->answer);
    request->answer_headers = headers;
    request->answer_header_count = message->lose_answer ? 0 : message->outcome[0] ? 2 : 1;
    request->done(request);
}

static void deliver(void *argument)
{
    struct message *message = argument;
    struct network *network = message->network;
    if (!network->away[message->receiver])
        receive(message);
    else
        message->lose_answer = true;
    if (message->answer_to)
        give_answer(message);
    network->in_flight--;
    free(message);
}

static struct message *copy_message(struct network *network, const struct world_request *request)
{
    struct message *message = calloc(1, sizeof *message);
    message->network = network;
    message->receiver = strcmp(request->service, "payments") == 0;
    snprintf(message->method, sizeof message->method, "%s", request->method);
    snprintf(message->path, sizeof message->path, "%s", request->path);
    snprintf(message->body, sizeof message->body, "%.*s", (int)request->body_length,
             request->body ? request->body : "");
    for (int i = 0; i < 8 && request->headers[i].name; i++) {
        snprintf(message->names[i], sizeof message->names[i], "%s", request->headers[i].name);
        snprintf(message->values[i], sizeof message->values[i], "%s", request->headers[i].value);
        message->header_count++;
    }
    return message;
}

static void carry(void *argument, struct world_request *request)
{
    struct network *network = argument;
    bool closing = strcmp(request->path, "/_freehold/closed") == 0;
    network->closings += closing;
    if (!closing && network->kept_count < KEPT_MAX && draw(network, 100) < (uint64_t)network->keep)
        network->kept[network->kept_count++] = copy_message(network, request);
    if (draw(network, 100) < (uint64_t)network->twice) {
        struct message *twin = copy_message(network, request);
        network->in_flight++;
        fiber_start(network->harness->world->fibers, deliver, twin);
    }
    struct message *message = copy_message(network, request);
    message->answer_to = request;
    message->lose_answer = draw(network, 100) < (uint64_t)network->lose_answer;
    network->in_flight++;
    if (draw(network, 100) < (uint64_t)network->lose)
        message->receiver = -1;
    if (message->receiver < 0) {
        network->in_flight--;
        message->lose_answer = true;
        give_answer(message);
        free(message);
    } else {
        fiber_start(network->harness->world->fibers, deliver, message);
    }
}

/* ---- The initiator --------------------------------------------------------------------------- */

static void confirm(fh_work *w)
{
    if (!fh_saga_answer(w, "charge"))
        fh_fail(w, 500, "The answer of charge is missing.");
    json_t *took = fh_saga_answer(w, "reserve");
    fh_exec(w, "UPDATE placed SET status = 'CONFIRMED', note = :note WHERE id = :id",
            json_pack("{s:I}", "note", (json_int_t)json_array_size(took)), fh_saga_input(w));
}

static void cancel(fh_work *w)
{
    json_t *reason = fh_saga_reason(w);
    fh_exec(w, "UPDATE placed SET status = 'CANCELLED', note = :step WHERE id = :id", reason,
            fh_saga_input(w));
}

static const fh_step place_steps[] = {
    {"reserve", .each = "items", .call = "products POST /reserve/{id}/{item}",
     .undo = "products POST /release/{id}/{item}"},
    {"charge", .call = "payments POST /charge/{id}/{card}", .undo = "payments POST /refund/{id}",
     .body = "order=id,card", .pivot = true},
    {"confirm", .run = confirm},
    {"count", .call = "products POST /count/{id}"},
    {0}};

static const fh_step hopeless_steps[] = {{"charge", .call = "payments POST /charge/{id}/fine",
                                          .undo = "payments POST /refund/{id}", .pivot = true,
                                          .timeout_ms = 200},
                                         {0}};

static const fh_step stubborn_steps[] = {{"charge", .call = "payments POST /charge/{id}/fine",
                                          .undo = "payments POST /refund/{id}", .pivot = true},
                                         {"tell", .call = "products POST /{what}/{id}"},
                                         {0}};

static const fh_service orders = {
    .name = "orders",
    .model = FH_RELATIONAL,
    .sagas = {{"place_order", place_steps, .undone = cancel},
              {"hopeless", hopeless_steps, .deadline_s = 1, .undone = cancel},
              {"stubborn", stubborn_steps}},
};
static const fh_service products = {.name = "products", .model = FH_RELATIONAL};
static const fh_service payments = {.name = "payments", .model = FH_RELATIONAL};

struct fixture {
    struct harness harness;
    struct network network;
    struct work_context contexts[3]; /* products, payments, orders */
    char folders[3][100];
    enum fh_code code;
    struct fh_error error;
    int number, status;
    const char *saga, *word;
    char reference[80];
    int64_t count;
};

static const char *const schemas[3] = {
    "CREATE TABLE effect (id INTEGER PRIMARY KEY, path TEXT NOT NULL, sign TEXT NOT NULL);",
    "CREATE TABLE effect (id INTEGER PRIMARY KEY, path TEXT NOT NULL, sign TEXT NOT NULL);",
    "CREATE TABLE placed (id INTEGER PRIMARY KEY, status TEXT NOT NULL, note TEXT);"};

static void open_stores(void *argument)
{
    static const fh_service *const services[3] = {&products, &payments, &orders};
    struct fixture *fixture = argument;
    for (int i = 0; i < 3 && fixture->code == FH_OK; i++) {
        struct work_context *context = &fixture->contexts[i];
        struct store_work *work;
        struct store_options options = {
            .service = services[i]->name, .folder = fixture->folders[i], .model = FH_RELATIONAL};
        context->world = fixture->harness.world;
        context->service = services[i];
        context->keys = work_keys_new();
        fixture->code =
            store_sqlite.open(&options, context->world, &context->store, &fixture->error);
        if (!fixture->code)
            fixture->code = store_begin(context->store, STORE_WRITE, &work, &fixture->error);
        if (!fixture->code) {
            context->store->ops->sql->script(work, schemas[i], &fixture->error);
            fixture->code = store_commit(work, &fixture->error);
        }
    }
}

static void start_room(void *argument)
{
    struct fixture *fixture = argument;
    struct work_context *context = &fixture->contexts[2];
    fixture->code = saga_room_new(context, &context->sagas, &fixture->error);
    if (!fixture->code)
        fixture->code = saga_room_start(context->sagas, &fixture->error);
}

static void stop_room(void *argument)
{
    struct fixture *fixture = argument;
    saga_room_stop(fixture->contexts[2].sagas);
}

static bool is_quiet(void *argument)
{
    struct fixture *fixture = argument;
    return fixture->network.in_flight == 0;
}

/* As after a crash, but for answers that no one hears: what is not stored is gone. */
static void restart(struct fixture *fixture)
{
    harness_run(&fixture->harness, stop_room, fixture);
    harness_until(&fixture->harness, is_quiet, fixture);
    saga_room_free(fixture->contexts[2].sagas);
    harness_run(&fixture->harness, start_room, fixture);
    assert_int_equal(fixture->code, FH_OK);
}

static int set_up(void **state)
{
    static struct fixture fixture;
    memset(&fixture, 0, sizeof fixture);
    harness_init(&fixture.harness);
    for (int i = 0; i < 3; i++) {
        snprintf(fixture.folders[i], sizeof fixture.folders[i], "%s/%d", fixture.harness.folder, i);
        uv_fs_t request;
        assert_int_equal(
            uv_fs_mkdir(&fixture.harness.loop, &request, fixture.folders[i], 0700, NULL), 0);
        uv_fs_req_cleanup(&request);
    }
    fixture.network = (struct network){.harness = &fixture.harness,
                                       .receivers = {&fixture.contexts[0], &fixture.contexts[1]},
                                       .seed = 7};
    world_real_set_sender(fixture.harness.world, carry, &fixture.network);
    harness_run(&fixture.harness, open_stores, &fixture);
    assert_int_equal(fixture.code, FH_OK);
    harness_run(&fixture.harness, start_room, &fixture);
    assert_int_equal(fixture.code, FH_OK);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    harness_run(&fixture->harness, stop_room, fixture);
    harness_until(&fixture->harness, is_quiet, fixture);
    saga_room_free(fixture->contexts[2].sagas);
    for (int i = 0; i < 3; i++) {
        store_close(fixture->contexts[i].store);
        work_keys_free(fixture->contexts[i].keys);
    }
    for (int i = 0; i < fixture->network.kept_count; i++)
        free(fixture->network.kept[i]);
    harness_release(&fixture->harness);
    return 0;
}

/* ---- Placing and looking --------------------------------------------------------------------- */

static void place(fh_work *w)
{
    fh_exec(w, "INSERT INTO placed (id, status) VALUES (:id, 'PENDING')", fh_body(w));
    fh_saga_start(w, json_string_value(json_object_get(fh_path(w), "saga")), fh_body(w));
    fh_reply(w, 202, NULL);
}

static void run_place(void *argument)
{
    struct fixture *fixture = argument;
    fh_work w;
    work_init(&w, &fixture->contexts[2], place);
    json_arena_set(&w.kept);
    int number = fixture->number;
    const char *item = number % 5 == 3 ? "refuse" : "apple";
    const char *card = number % 7 == 4 ? "refuse" : "fine";
    w.body = json_pack("{s:i, s:s, s:s, s:[{s:s}, {s:s}, {s:s}]}", "id", number, "card", card,
                       "what", fixture->word ? fixture->word : "tell", "items", "item", "pear",
                       "item", item, "item", "plum");
    w.path = json_pack("{s:s}", "saga", fixture->saga ? fixture->saga : "place_order");
    json_arena_set(NULL);
    fixture->code = work_run(&w);
    fixture->status = w.reply_status;
    fixture->reference[0] = '\0';
    for (int i = 0; i < w.reply_header_count; i++)
        if (strcmp(w.reply_headers[i].name, SAGA_HEADER) == 0)
            snprintf(fixture->reference, sizeof fixture->reference, "%s", w.reply_headers[i].value);
    work_release(&w);
}

static void place_order(struct fixture *fixture, int number, const char *saga, const char *word)
{
    fixture->number = number;
    fixture->saga = saga;
    fixture->word = word;
    harness_run(&fixture->harness, run_place, fixture);
    assert_int_equal(fixture->status, 202);
    assert_true(fixture->reference[0] != '\0');
}

static bool no_saga_is_open(void *argument)
{
    struct fixture *fixture = argument;
    struct ledger_counts counts;
    saga_counts(fixture->contexts[2].sagas, &counts);
    return counts.running + counts.compensating == 0;
}

struct looked {
    struct work_context *context;
    const char *sql;
    int64_t value;
    char text[80];
};

static bool take_value(void *context, const struct sql_row *row)
{
    struct looked *looked = context;
    looked->value = row->values[0].integer;
    if (row->values[0].kind == SQL_TEXT)
        snprintf(looked->text, sizeof looked->text, "%s", row->values[0].text);
    return false;
}

static void run_look(void *argument)
{
    struct looked *looked = argument;
    struct store_work *work;
    if (store_begin(looked->context->store, STORE_READ, &work, NULL) != FH_OK)
        return;
    sql_run(work, looked->sql, NULL, 0, take_value, looked, NULL, NULL);
    store_rollback(work);
}

static int64_t look(struct fixture *fixture, int store, const char *sql)
{
    struct looked looked = {.context = &fixture->contexts[store], .sql = sql, .value = -1};
    harness_run(&fixture->harness, run_look, &looked);
    return looked.value;
}

static void expect_text(struct fixture *fixture, const char *sql, const char *text)
{
    struct looked looked = {.context = &fixture->contexts[2], .sql = sql};
    harness_run(&fixture->harness, run_look, &looked);
    assert_string_equal(looked.text, text);
}

/* What was done to one order at one receiver, less what was undone. */
static int64_t net(struct fixture *fixture, int store, const char *what, const char *undone,
                   int number)
{
    char sql[300];
    snprintf(sql, sizeof sql,
             "SELECT coalesce(sum(CASE sign WHEN '+' THEN 1 ELSE -1 END), 0) FROM effect"
             " WHERE path || '/' LIKE '/%s/%d/%%' OR path || '/' LIKE '/%s/%d/%%'",
             what, number, undone, number);
    return look(fixture, store, sql);
}

static void expect_balance(struct fixture *fixture, int count)
{
    for (int number = 1; number <= count; number++) {
        bool cancelled = number % 5 == 3 || number % 7 == 4;
        char sql[120];
        snprintf(sql, sizeof sql, "SELECT status FROM placed WHERE id = %d", number);
        expect_text(fixture, sql, cancelled ? "CANCELLED" : "CONFIRMED");
        assert_int_equal(net(fixture, 0, "reserve", "release", number), cancelled ? 0 : 3);
        assert_int_equal(net(fixture, 1, "charge", "refund", number), cancelled ? 0 : 1);
        assert_int_equal(net(fixture, 0, "count", "-", number), cancelled ? 0 : 1);
    }
}

static const char all_records[] = "SELECT count(*) FROM fh_command";

static bool all_is_closed(void *argument)
{
    struct fixture *fixture = argument;
    return fixture->count == 0;
}

static void count_records(void *argument)
{
    struct fixture *fixture = argument;
    do {
        fixture->count = 0;
        for (int i = 0; i < 2; i++) {
            struct looked looked = {.context = &fixture->contexts[i], .sql = all_records};
            run_look(&looked);
            fixture->count += looked.value;
        }
        struct looked unclosed = {.context = &fixture->contexts[2],
                                  .sql = "SELECT count(*) FROM fh_saga WHERE closed = 0"};
        run_look(&unclosed);
        fixture->count += unclosed.value;
        fiber_sleep_until(fixture->harness.world, world_in_ms(fixture->harness.world, 20));
    } while (!all_is_closed(fixture));
}

/* ---- The tests ------------------------------------------------------------------------------- */

static void a_saga_confirms_and_is_closed(void **state)
{
    struct fixture *fixture = *state;
    place_order(fixture, 1, NULL, NULL);
    harness_until(&fixture->harness, no_saga_is_open, fixture);
    expect_balance(fixture, 1);
    expect_text(fixture, "SELECT note FROM placed WHERE id = 1", "3");
    harness_run(&fixture->harness, count_records, fixture);
    assert_int_equal(look(fixture, 2, "SELECT count(*) FROM fh_saga WHERE status = 'ended'"), 1);
}

static void a_no_cancels_with_its_reason(void **state)
{
    struct fixture *fixture = *state;
    place_order(fixture, 4, NULL, NULL);
    harness_until(&fixture->harness, no_saga_is_open, fixture);
    expect_text(fixture, "SELECT status FROM placed", "CANCELLED");
    expect_text(fixture, "SELECT note FROM placed", "charge");
    assert_int_equal(net(fixture, 0, "reserve", "release", 4), 0);
    assert_int_equal(look(fixture, 0, "SELECT count(*) FROM effect"), 6);
}

static void deliver_late(void *argument)
{
    struct network *network = argument;
    for (int i = 0; i < network->kept_count; i++)
        receive(network->kept[i]);
}

static void books_balance_over_a_bad_network_and_restarts(void **state)
{
    struct fixture *fixture = *state;
    struct network *network = &fixture->network;
    network->lose = network->lose_answer = network->twice = 15;
    network->keep = 20;
    for (int number = 1; number <= ORDERS; number++) {
        place_order(fixture, number, NULL, NULL);
        if (number % 16 == 0)
            restart(fixture);
    }
    harness_until(&fixture->harness, no_saga_is_open, fixture);
    harness_until(&fixture->harness, is_quiet, fixture);
    expect_balance(fixture, ORDERS);
    network->lose = network->lose_answer = 0;
    harness_run(&fixture->harness, count_records, fixture);
    int64_t effects = look(fixture, 0, "SELECT count(*) FROM effect") +
                      look(fixture, 1, "SELECT count(*) FROM effect");
    assert_true(network->kept_count > ORDERS);
    harness_run(&fixture->harness, deliver_late, network);
    for (int i = 0; i < network->kept_count; i++)
        assert_true(strcmp(network->kept[i]->outcome, "closed") == 0 ||
                    network->kept[i]->status == 421);
    assert_int_equal(look(fixture, 0, "SELECT count(*) FROM effect") +
                         look(fixture, 1, "SELECT count(*) FROM effect"),
                     effects);
}

static void a_deadline_undoes_by_key_what_nobody_answered(void **state)
{
    struct fixture *fixture = *state;
    place_order(fixture, 2, "stubborn", NULL);
    harness_until(&fixture->harness, no_saga_is_open, fixture); /* now it knows its receivers */
    fixture->network.lose_answer = 100; /* charged, and nobody hears of it */
    place_order(fixture, 1, "hopeless", NULL);
    struct ledger_counts counts;
    do {
        uv_run(&fixture->harness.loop, UV_RUN_ONCE);
        saga_counts(fixture->contexts[2].sagas, &counts);
    } while (counts.compensating == 0);
    fixture->network.lose_answer = 0;
    harness_until(&fixture->harness, no_saga_is_open, fixture);
    expect_text(fixture, "SELECT status FROM placed WHERE id = 1", "CANCELLED");
    assert_int_equal(look(fixture, 1, "SELECT count(*) FROM effect"), 3);
    assert_int_equal(net(fixture, 1, "charge", "refund", 1), 0);
}

static void a_receiver_that_is_away_is_waited_for(void **state)
{
    struct fixture *fixture = *state;
    fixture->network.away[1] = true;
    place_order(fixture, 1, NULL, NULL);
    place_order(fixture, 2, NULL, NULL);
    do
        uv_run(&fixture->harness.loop, UV_RUN_ONCE);
    while (look(fixture, 0, "SELECT count(*) FROM effect") < 6);
    restart(fixture);
    fixture->network.away[1] = false;
    harness_until(&fixture->harness, no_saga_is_open, fixture);
    expect_balance(fixture, 2);
}

struct retried {
    struct fixture *fixture;
    char birth[ID_SIZE];
    int64_t number;
    enum fh_code code;
};

static void run_retry(void *argument)
{
    struct retried *retried = argument;
    retried->code = saga_retry(retried->fixture->contexts[2].sagas, retried->birth, retried->number,
                               &retried->fixture->error);
}

static void let_pass(struct fixture *fixture)
{
    struct retried retried = {.fixture = fixture};
    memcpy(retried.birth, fixture->reference, ID_SIZE - 1);
    retried.number = strtoll(fixture->reference + ID_SIZE, NULL, 10);
    harness_run(&fixture->harness, run_retry, &retried);
    assert_int_equal(retried.code, FH_OK);
    do
        uv_run(&fixture->harness.loop, UV_RUN_ONCE);
    while (look(fixture, 2, "SELECT attempt FROM fh_saga_step WHERE step = 1") < 2);
    harness_until(&fixture->harness, no_saga_is_open, fixture);
}

static void a_no_after_the_pivot_waits_for_a_person(void **state)
{
    struct fixture *fixture = *state;
    struct ledger_counts counts;
    place_order(fixture, 1, "stubborn", "refuse");
    harness_until(&fixture->harness, no_saga_is_open, fixture);
    saga_counts(fixture->contexts[2].sagas, &counts);
    assert_int_equal(counts.parked, 1);
    restart(fixture);
    saga_counts(fixture->contexts[2].sagas, &counts);
    assert_int_equal(counts.parked, 1);
    let_pass(fixture); /* refused again, with a higher attempt */
    saga_counts(fixture->contexts[2].sagas, &counts);
    assert_int_equal(counts.parked, 1);
    assert_int_equal(look(fixture, 2, "SELECT attempt FROM fh_saga_step WHERE step = 1"), 2);
    assert_int_equal(net(fixture, 1, "charge", "refund", 1), 1);
}

struct waited {
    struct fixture *fixture;
    enum saga_status status;
};

static void run_wait(void *argument)
{
    struct waited *waited = argument;
    waited->status = saga_wait(&waited->fixture->contexts[2], waited->fixture->reference,
                               world_in_ms(waited->fixture->harness.world, 20000));
}

static void who_waits_is_told_the_end(void **state)
{
    struct fixture *fixture = *state;
    struct waited waited = {.fixture = fixture};
    place_order(fixture, 1, NULL, NULL);
    harness_run(&fixture->harness, run_wait, &waited);
    assert_int_equal(waited.status, SAGA_ENDED);
    harness_run(&fixture->harness, run_wait, &waited); /* from the store */
    assert_int_equal(waited.status, SAGA_ENDED);
    place_order(fixture, 4, NULL, NULL);
    harness_run(&fixture->harness, run_wait, &waited);
    assert_int_equal(waited.status, SAGA_UNDONE);
}

static void a_wrong_start_is_a_fault_and_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    fixture->number = 1;
    fixture->saga = "unheard_of";
    harness_run(&fixture->harness, run_place, fixture);
    assert_int_equal(fixture->status, 500);
    fixture->saga = "stubborn";
    fixture->word = "";
    harness_run(&fixture->harness, run_place, fixture); /* an empty segment can't be asked for */
    assert_int_equal(fixture->status, 500);
    assert_int_equal(look(fixture, 2, "SELECT count(*) FROM placed"), 0);
    assert_int_equal(look(fixture, 2, "SELECT count(*) FROM fh_saga"), 0);
}

static void definitions_that_cannot_go_back_are_refused(void **unused)
{
    (void)unused;
    static const fh_step no_undo[] = {{"a", .call = "x POST /a"}, {0}};
    static const fh_step before_pivot[] = {
        {"a", .call = "x POST /a"}, {"b", .call = "x POST /b", .pivot = true}, {0}};
    static const fh_step asks[] = {{"a", .call = "x GET /a", .undo = "x POST /b"}, {0}};
    static const fh_step both[] = {{"a", .call = "x POST /a", .run = confirm}, {0}};
    static const fh_step elsewhere[] = {{"a", .call = "x POST /a", .undo = "y POST /a"}, {0}};
    static const fh_step twice[] = {{"a", .run = confirm}, {"a", .run = confirm}, {0}};
    static const fh_step empty[] = {{0}};
    static const fh_step *const wrong[] = {no_undo,   before_pivot, asks, both,
                                           elsewhere, twice,        empty};
    struct fh_error error;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct fh_saga_definition definition = {.name = "s", .steps = wrong[i]};
        assert_int_equal(saga_definition_check(&definition, &error), FH_INVALID);
        assert_non_null(strstr(error.message, "Saga s"));
    }
    struct fh_saga_definition right = {.name = "s", .steps = place_steps};
    assert_int_equal(saga_definition_check(&right, &error), FH_OK);
}

#define STORED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORED(a_saga_confirms_and_is_closed),
        STORED(a_no_cancels_with_its_reason),
        STORED(books_balance_over_a_bad_network_and_restarts),
        STORED(a_deadline_undoes_by_key_what_nobody_answered),
        STORED(a_receiver_that_is_away_is_waited_for),
        STORED(a_no_after_the_pivot_waits_for_a_person),
        STORED(who_waits_is_told_the_end),
        STORED(a_wrong_start_is_a_fault_and_leaves_nothing),
        cmocka_unit_test(definitions_that_cannot_go_back_are_refused),
    };
    json_memory_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
