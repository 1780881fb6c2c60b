/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SAGA_NETWORK_H
#define TESTS_SAGA_NETWORK_H

/* One initiator and two receivers of sagas, each with a store of its own, and between them a
 * network that loses requests, loses answers, delivers twice, and keeps some messages back, for as
 * long as the test likes. Header only. */

#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "engine/engines.h"
#include "saga/run.h"
#include "store/relational/sql.h"
#include "work/command.h"

#define KEPT_MAX 200

/* ---- The network ---- */

struct network {
    struct harness *harness;
    struct work_context *receivers[2]; /* products, payments */
    uint64_t seed;
    int lose, lose_answer, twice, keep; /* percent */
    int lose_next; /* so many requests get no further than a socket: they are kept */
    bool lose_closings;
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

static inline uint64_t draw(struct network *network, uint64_t below)
{
    network->seed = network->seed * 6364136223846793005u + 1442695040888963407u;
    return (network->seed >> 33) % below;
}

static inline const char *header(const struct message *message, const char *name)
{
    for (int i = 0; i < message->header_count; i++)
        if (strcmp(message->names[i], name) == 0)
            return message->values[i];
    return NULL;
}

static inline void add_effect(fh_work *w, const char *sign)
{
    fh_exec(w, "INSERT INTO effect (path, sign) VALUES (:path, :sign)",
            json_pack("{s:s, s:s}", "path", json_string_value(json_object_get(w->path, "path")),
                      "sign", sign));
}

static bool steps_held; /* those whose path says so wait in their handlers */
static bool in_stock;   /* what is refused otherwise */

static inline void step_handler(fh_work *w)
{
    const char *path = json_string_value(json_object_get(w->path, "path"));
    while (steps_held && strstr(path, "hold"))
        fiber_sleep_until(w->context->world, world_in_ms(w->context->world, 1));
    if (strstr(path, "quote"))
        fh_fail(w, 409, "The card %s is empty.", json_string_at(fh_body(w), "number"));
    if (strstr(path, "refuse") && !in_stock)
        fh_fail(w, 409, "There is too little of it.");
    add_effect(w, "+");
    fh_reply(w, 200, json_pack("{s:s}", "took", path));
}

static inline void undo_handler(fh_work *w)
{
    add_effect(w, "-");
    fh_reply(w, 200, NULL);
}

static inline void keep_reply(struct message *message, const fh_work *w)
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

static inline void receive(struct message *message)
{
    struct network *network = message->network;
    struct work_context *context = network->receivers[message->receiver];
    fh_work w;
    work_init(&w, context, step_handler);
    w.deadline_ns = world_in_ms(context->world, 20000);
    json_arena_set(&w.kept);
    w.path = json_pack("{s:s}", "path", message->path);
    if (message->body[0])
        json_parse(message->body, strlen(message->body), &w.body, ERROR_UNHEEDED);
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

static inline void give_answer(struct message *message)
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

static inline void deliver(void *argument)
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

static inline struct message *copy_message(struct network *network,
                                           const struct world_request *request)
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

static inline void keep_message(struct network *network, const struct world_request *request)
{
    if (network->kept_count < KEPT_MAX)
        network->kept[network->kept_count++] = copy_message(network, request);
}

static inline bool is_lost(struct network *network, const struct world_request *request,
                           bool closing)
{
    if (closing)
        return network->lose_closings || draw(network, 100) < (uint64_t)network->lose;
    if (network->lose_next > 0) {
        network->lose_next--;
        keep_message(network, request);
        return true;
    }
    if (draw(network, 100) < (uint64_t)network->keep)
        keep_message(network, request);
    return draw(network, 100) < (uint64_t)network->lose;
}

static inline void carry(void *argument, struct world_request *request)
{
    struct network *network = argument;
    bool closing = strcmp(request->path, "/_freehold/closed") == 0;
    network->closings += closing;
    if (draw(network, 100) < (uint64_t)network->twice) {
        struct message *twin = copy_message(network, request);
        network->in_flight++;
        fiber_start(network->harness->world->fibers, deliver, twin);
    }
    struct message *message = copy_message(network, request);
    message->answer_to = request;
    message->lose_answer = draw(network, 100) < (uint64_t)network->lose_answer;
    if (is_lost(network, request, closing)) {
        message->lose_answer = true;
        give_answer(message);
        free(message);
        return;
    }
    network->in_flight++;
    fiber_start(network->harness->world->fibers, deliver, message);
}

/* ---- The initiator ---- */

static bool confirms_held; /* they stop before they use the store */
static int confirms_waiting;
static struct fiber_queue for_confirms;

static inline void confirm(fh_work *w)
{
    confirms_waiting++;
    while (confirms_held)
        fiber_wait(&for_confirms);
    confirms_waiting--;
    if (!fh_saga_answer(w, "charge"))
        fh_fail(w, 500, "The answer of charge is missing.");
    json_t *took = fh_saga_answer(w, "reserve");
    fh_exec(w,
            "UPDATE placed SET status = 'CONFIRMED', note = :note, times = times + 1"
            " WHERE id = :id",
            json_pack("{s:I}", "note", (json_int_t)json_array_size(took)), fh_saga_input(w));
}

static inline void confirm_paused(fh_work *w)
{
    fh_exec(w, "UPDATE placed SET status = 'CONFIRMED' WHERE id = :id", fh_saga_input(w));
}

static inline void cancel(fh_work *w)
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

static const fh_step paused_steps[] = {{"charge", .call = "payments POST /charge/{id}/fine",
                                        .undo = "payments POST /refund/{id}", .pivot = true},
                                       {"confirm", .run = confirm_paused},
                                       {0}};

static const fh_step stubborn_steps[] = {{"charge", .call = "payments POST /charge/{id}/fine",
                                          .undo = "payments POST /refund/{id}", .pivot = true},
                                         {"tell", .call = "products POST /{what}/{id}"},
                                         {0}};

static const fh_step hasty_steps[] = {{"charge", .call = "payments POST /charge/{id}/fine",
                                       .undo = "payments POST /refund/{id}", .pivot = true},
                                      {"tell", .call = "products POST /{what}/{id}"},
                                      {0}};

#define CARD "4111222233334444"
static const fh_field card_shape[] = {{"number", FH_STRING}, {0}};
static const fh_field guarded_input[] = {
    {"payment", FH_OBJECT, .of = card_shape, .card = true}, {"*"}, {0}};
static inline void note_guarded(fh_work *w)
{
    fh_fail(w, 409, "%s was noted.", json_string_at(fh_saga_answer(w, "charge"), "took"));
}

static const fh_step guarded_steps[] = {
    {"charge", .call = "payments POST /charge/{id}/fine", .undo = "payments POST /refund/{id}",
     .pivot = true, .personal = "took"},
    {"tell", .call = "products POST /{what}/{id}", .body = "number=payment.number"},
    {"note", .run = note_guarded},
    {0}};

static const fh_service orders = {
    .name = "orders",
    .model = FH_RELATIONAL,
    .sagas = {{"place_order", place_steps, .undone = cancel},
              {"hopeless", hopeless_steps, .deadline_s = 1, .undone = cancel},
              {"hasty", hasty_steps, .deadline_s = 1},
              {"paused", paused_steps, .deadline_s = 1, .undone = cancel},
              {"guarded", guarded_steps, .input = guarded_input},
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
    "CREATE TABLE placed (id INTEGER PRIMARY KEY, status TEXT NOT NULL, note TEXT,"
    " times INTEGER NOT NULL DEFAULT 0);"};

static inline void open_stores(void *argument)
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
        fixture->code = engine_embedded()->store->open(&options, context->world, &context->store,
                                                       &fixture->error);
        if (!fixture->code)
            fixture->code = store_begin(context->store, STORE_WRITE, &work, &fixture->error);
        if (!fixture->code) {
            context->store->engine->sql->script(work, schemas[i], &fixture->error);
            fixture->code = store_commit(work, &fixture->error);
        }
    }
}

static inline void start_manager(void *argument)
{
    struct fixture *fixture = argument;
    struct work_context *context = &fixture->contexts[2];
    fixture->code = saga_manager_new(context, &context->sagas, &fixture->error);
    if (!fixture->code)
        fixture->code = saga_manager_start(context->sagas, &fixture->error);
}

static inline void stop_manager(void *argument)
{
    struct fixture *fixture = argument;
    saga_manager_stop(fixture->contexts[2].sagas);
}

static inline bool is_quiet(void *argument)
{
    struct fixture *fixture = argument;
    return fixture->network.in_flight == 0;
}

/* As after a crash, but for answers that nobody gets: what is not stored is gone. */
static inline void restart(struct fixture *fixture)
{
    harness_run(&fixture->harness, stop_manager, fixture);
    harness_until(&fixture->harness, is_quiet, fixture);
    saga_manager_free(fixture->contexts[2].sagas);
    harness_run(&fixture->harness, start_manager, fixture);
    assert_int_equal(fixture->code, FH_OK);
}

static inline int set_up(void **state)
{
    static struct fixture fixture;
    memset(&fixture, 0, sizeof fixture);
    steps_held = in_stock = confirms_held = false;
    confirms_waiting = 0;
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
    harness_run(&fixture.harness, start_manager, &fixture);
    assert_int_equal(fixture.code, FH_OK);
    *state = &fixture;
    return 0;
}

static inline int tear_down(void **state)
{
    struct fixture *fixture = *state;
    harness_run(&fixture->harness, stop_manager, fixture);
    harness_until(&fixture->harness, is_quiet, fixture);
    saga_manager_free(fixture->contexts[2].sagas);
    for (int i = 0; i < 3; i++) {
        store_close(fixture->contexts[i].store);
        work_keys_free(fixture->contexts[i].keys);
    }
    for (int i = 0; i < fixture->network.kept_count; i++)
        free(fixture->network.kept[i]);
    harness_release(&fixture->harness);
    return 0;
}

/* ---- Placing and looking ---- */

static inline void place(fh_work *w)
{
    fh_exec(w, "INSERT INTO placed (id, status) VALUES (:id, 'PENDING')", fh_body(w));
    fh_saga_start(w, json_string_value(json_object_get(fh_path(w), "saga")), fh_body(w));
    fh_reply(w, 202, NULL);
}

static inline void run_place(void *argument)
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
    if (fixture->saga && strcmp(fixture->saga, "guarded") == 0)
        json_object_set_new(w.body, "payment", json_pack("{s:s}", "number", CARD));
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

static inline void place_order(struct fixture *fixture, int number, const char *saga,
                               const char *word)
{
    fixture->number = number;
    fixture->saga = saga;
    fixture->word = word;
    harness_run(&fixture->harness, run_place, fixture);
    assert_int_equal(fixture->status, 202);
    assert_true(fixture->reference[0] != '\0');
}

static inline bool no_saga_is_open(void *argument)
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

static inline bool take_value(void *context, const struct sql_row *row)
{
    struct looked *looked = context;
    looked->value = row->values[0].integer;
    if (row->values[0].kind == SQL_TEXT)
        snprintf(looked->text, sizeof looked->text, "%s", row->values[0].text);
    return false;
}

static inline void run_look(void *argument)
{
    struct looked *looked = argument;
    struct store_work *work;
    if (store_begin(looked->context->store, STORE_READ, &work, ERROR_UNHEEDED) != FH_OK)
        return;
    sql_run(work, looked->sql, NULL, 0, take_value, looked, NULL, ERROR_UNHEEDED);
    store_rollback(work);
}

static inline int64_t look(struct fixture *fixture, int store, const char *sql)
{
    struct looked looked = {.context = &fixture->contexts[store], .sql = sql, .value = -1};
    harness_run(&fixture->harness, run_look, &looked);
    return looked.value;
}

static inline void expect_text(struct fixture *fixture, const char *sql, const char *text)
{
    struct looked looked = {.context = &fixture->contexts[2], .sql = sql};
    harness_run(&fixture->harness, run_look, &looked);
    assert_string_equal(looked.text, text);
}

/* What was done to one order at one receiver, less what was undone. */
static inline int64_t net(struct fixture *fixture, int store, const char *what, const char *undone,
                          int number)
{
    char sql[300];
    snprintf(sql, sizeof sql,
             "SELECT coalesce(sum(CASE sign WHEN '+' THEN 1 ELSE -1 END), 0) FROM effect"
             " WHERE path || '/' LIKE '/%s/%d/%%' OR path || '/' LIKE '/%s/%d/%%'",
             what, number, undone, number);
    return look(fixture, store, sql);
}

static inline void expect_balance(struct fixture *fixture, int count)
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

static inline bool all_is_closed(void *argument)
{
    struct fixture *fixture = argument;
    return fixture->count == 0;
}

static inline void count_records(void *argument)
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

/* ---- Late messages, and the operator ---- */

static inline void deliver_late(void *argument)
{
    struct network *network = argument;
    for (int i = 0; i < network->kept_count; i++)
        receive(network->kept[i]);
}

struct retried {
    struct fixture *fixture;
    char birth[ID_SIZE];
    int64_t number;
    enum fh_code code;
};

static inline void run_retry(void *argument)
{
    struct retried *retried = argument;
    retried->code = saga_operate(retried->fixture->contexts[2].sagas, retried->birth,
                                 retried->number, SAGA_RETRIED, &retried->fixture->error);
}

/* The operator's decision on the saga that was begun last. */
static inline void retry(struct fixture *fixture)
{
    struct retried retried = {.fixture = fixture};
    memcpy(retried.birth, fixture->reference, ID_SIZE - 1);
    retried.number = strtoll(fixture->reference + ID_SIZE, NULL, 10);
    harness_run(&fixture->harness, run_retry, &retried);
    assert_int_equal(retried.code, FH_OK);
}

#endif
