/* SPDX-License-Identifier: Apache-2.0 */
/* A whole service whose derived store lies on a server, in memory: what it derives is found there,
 * it goes on when the server is away, and ends while a request is under way; and what becomes of
 * the derived store when the configuration changes. */

#include "../support/hosted.h"

#include <sys/stat.h>

#include "../support/carried_server.h"
#include "event/manager.h"
#include "service/carriers.h"
#include "service/trial.h"

/* ---- The service ---- */

static const char *item_key, *item_name; /* for put_item */

static void put_item(fh_work *w)
{
    json_t *item = json_pack("{s:s, s:s}", "id", item_key, "name", item_name);
    fh_exec(w, "INSERT INTO item VALUES (:id, :name) ON CONFLICT DO UPDATE SET name = :name", item,
            NULL);
    fh_derive(w, "items", item_key, item);
}

static void list_items(fh_work *w)
{
    fh_reply(w, 200,
             fh_rows(w, "SELECT id, name FROM item WHERE id > :after ORDER BY id LIMIT :limit",
                     fh_query(w), NULL));
}

static void search_items(fh_work *w)
{
    fh_reply(w, 200, fh_search(w, "items", &(struct fh_search){0}));
}

static const struct fh_derived_field item_fields[] = {{"name", FH_STRING, FH_TEXT}, {0}};
static const fh_service shop = {
    .name = "shop",
    .model = FH_RELATIONAL,
    .derives = {{.name = "items", .model = FH_SEARCH, .fields = item_fields, .state = list_items}}};

/* ---- The server ---- */

static struct {
    struct memory_server *memory;
    char owner[CARRIED_OWNER_SIZE];
    int open;
    bool away, hangs, silenced; /* `away` from when it is opened */
    bool loses;                 /* whatever it had, before each request */
    int hanging;
    struct fiber_queue answers;
} shelf;

static void before_request(struct memory_server *server, bool done)
{
    if (shelf.loses && !done)
        memory_empty(server);
    if (done || !shelf.hangs)
        return;
    shelf.hanging++;
    while (shelf.hangs && !shelf.silenced)
        fiber_wait(&shelf.answers);
    shelf.hanging--;
}

static enum fh_code shelf_check(const json_t *options, struct fh_error *error)
{
    (void)options;
    (void)error;
    return FH_OK;
}

static enum fh_code shelf_open(struct world *world, const json_t *options, const char *owner,
                               struct carried_server **ret, struct fh_error *error)
{
    (void)world;
    if (!json_string_at(options, "host"))
        return error_set(error, FH_INVALID, "It needs a host.");
    snprintf(shelf.owner, sizeof shelf.owner, "%s", owner);
    shelf.silenced = false;
    shelf.memory->away = shelf.away;
    shelf.open++;
    *ret = &shelf.memory->base;
    return FH_OK;
}

static void shelf_silence(struct carried_server *server)
{
    (void)server;
    shelf.silenced = shelf.memory->away = true;
    fiber_wake_all(&shelf.answers);
}

static void shelf_close(struct carried_server *server)
{
    (void)server;
    shelf.open--;
}

static const struct carried_driver shelf_driver = {.name = "shelf",
                                                   .title = "The shelf",
                                                   .models = 1u << FH_SEARCH | 1u << FH_COLUMNS,
                                                   .check = shelf_check,
                                                   .open = shelf_open,
                                                   .silence = shelf_silence,
                                                   .close = shelf_close};

/* ---- What is done ---- */

static void set_derives(struct fixture *fixture, const char *driver)
{
    if (driver)
        json_object_set_new(
            fixture->config, "derives",
            json_pack("{s:{s:s, s:s}}", "items", "driver", driver, "host", "shelf.example"));
    else
        json_object_del(fixture->config, "derives");
}

static int set_up(void **state)
{
    char path[128];
    struct fixture *fixture = hosted_new();
    memset(&shelf, 0, sizeof shelf);
    shelf.memory = memory_server_new();
    shelf.memory->between = before_request;
    if (!carried_driver_named("shelf"))
        carried_driver_register(&shelf_driver);
    snprintf(path, sizeof path, "%s/migrations", fixture->harness.folder);
    assert_int_equal(mkdir(path, 0700), 0);
    json_object_set_new(fixture->config, "migrations", json_string(path));
    snprintf(path, sizeof path, "%s/migrations/0001_item.sql", fixture->harness.folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("CREATE TABLE item (id TEXT PRIMARY KEY, name TEXT);\n", file);
    fclose(file);
    set_derives(fixture, "shelf");
    *state = fixture;
    return 0;
}

static int shelf_tear_down(void **state)
{
    hosted_free(*state);
    assert_int_equal(shelf.open, 0);
    memory_server_free(shelf.memory);
    return 0;
}

struct asked {
    struct fixture *fixture;
    fh_handler *handler;
    bool reads;
    int status;
    char text[512];
};

static void ask_entry(void *argument)
{
    struct asked *asked = argument;
    fh_work w;
    work_init(&w, &asked->fixture->runtime.context, asked->handler);
    w.read_only = asked->reads;
    w.deadline_ns = -1;
    work_run(&w);
    asked->status = w.reply_status;
    asked->text[0] = '\0';
    const json_t *body = w.reply_body;
    if (json_is_string(body))
        snprintf(asked->text, sizeof asked->text, "%s", json_string_value(body));
    json_t *hit;
    size_t i;
    json_array_foreach (json_object_get(body, "hits"), i, hit) {
        size_t length = strlen(asked->text);
        snprintf(asked->text + length, sizeof asked->text - length, "%s=%s ",
                 json_string_at(hit, "key"), json_string_at(hit, "value.name"));
    }
    work_release(&w);
}

static void put(struct fixture *fixture, const char *key, const char *name)
{
    struct asked asked = {.fixture = fixture, .handler = put_item};
    item_key = key;
    item_name = name;
    harness_run(&fixture->harness, ask_entry, &asked);
    assert_int_equal(asked.status, 204);
}

static struct asked ask(struct fixture *fixture)
{
    struct asked asked = {.fixture = fixture, .handler = search_items, .reads = true};
    harness_run(&fixture->harness, ask_entry, &asked);
    return asked;
}

struct expected {
    struct fixture *fixture;
    int64_t generation; /* 0: whichever */
};

/* Of this generation, with all that is committed. */
static bool carrier_is_level(void *argument)
{
    const struct expected *expected = argument;
    const struct work_context *context = &expected->fixture->runtime.context;
    const struct carriers *carriers = (const struct carriers *)context->carried;
    const struct carrier_look *look = &carriers->fibers[0].carrier.look;
    int64_t number = look->record.serving.name.number;
    return (expected->generation ? number == expected->generation : number > 0) &&
           look->record.serving.cursor == look->position &&
           look->position >= context->events->position;
}

static void assert_found(struct fixture *fixture, int64_t generation, const char *text)
{
    struct expected expected = {fixture, generation};
    harness_until(&fixture->harness, carrier_is_level, &expected);
    struct asked asked = ask(fixture);
    assert_int_equal(asked.status, 200);
    assert_string_equal(asked.text, text);
}

static int64_t tables_inside(struct fixture *fixture)
{
    return number_of(fixture, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'fh_derived_%'");
}

/* ---- Tests ---- */

static void what_is_derived_is_found_on_the_server(void **state)
{
    struct fixture *fixture = *state;
    hosted_start(fixture, &shop);
    assert_string_equal(shelf.owner, "alone.shop");
    put(fixture, "a", "apple");
    put(fixture, "b", "bread");
    assert_found(fixture, 1, "a=apple b=bread ");
    put(fixture, "a", "avocado");
    assert_found(fixture, 1, "a=avocado b=bread ");
    assert_int_equal(tables_inside(fixture), 0);
    hosted_stop(fixture);
    hosted_start(fixture, &shop);
    put(fixture, "c", "cheese");
    assert_found(fixture, 1, "a=avocado b=bread c=cheese ");
    hosted_stop(fixture);
}

static void put_both(fh_work *w)
{
    put_item(w);
    fh_derive(w, "names", item_key, json_pack("{s:s}", "name", item_name));
}

static void search_names(fh_work *w)
{
    fh_reply(w, 200, fh_search(w, "names", &(struct fh_search){.text = "apple"}));
}

static void one_lies_on_a_server_and_another_beside_the_rows(void **state)
{
    fh_service both = shop;
    struct fixture *fixture = *state;
    both.derives[1] = both.derives[0];
    both.derives[1].name = "names";
    hosted_start(fixture, &both);
    struct asked asked = {.fixture = fixture, .handler = put_both};
    item_key = "a";
    item_name = "apple";
    harness_run(&fixture->harness, ask_entry, &asked);
    assert_int_equal(asked.status, 204);
    asked = (struct asked){.fixture = fixture, .handler = search_names, .reads = true};
    harness_run(&fixture->harness, ask_entry, &asked);
    assert_string_equal(asked.text, "a=apple "); /* at once */
    assert_found(fixture, 1, "a=apple ");
    assert_int_equal(memory_count(shelf.memory), 1);
    assert_int_equal(number_of(fixture, "SELECT count(*) FROM fh_derived"), 1);
    hosted_stop(fixture);
}

static bool has_failed(void *argument)
{
    const struct fixture *fixture = argument;
    return ((const struct carriers *)fixture->runtime.context.carried)->fibers[0].failures > 1;
}

static void it_is_not_asked_until_it_is_complete(void **state)
{
    struct fixture *fixture = *state;
    shelf.away = true;
    hosted_start(fixture, &shop);
    put(fixture, "a", "apple");
    harness_until(&fixture->harness, has_failed, fixture);
    assert_int_equal(ask(fixture).status, 503);
    shelf.memory->away = false;
    assert_found(fixture, 1, "a=apple ");
    hosted_stop(fixture);
}

static void what_the_server_lost_is_made_anew(void **state)
{
    struct fixture *fixture = *state;
    hosted_start(fixture, &shop);
    put(fixture, "a", "apple");
    assert_found(fixture, 1, "a=apple ");
    memory_empty(shelf.memory);
    assert_int_equal(ask(fixture).status, 503); /* and has it looked for */
    assert_found(fixture, 2, "a=apple ");
    hosted_stop(fixture);
}

static bool rests_after_losses(void *argument)
{
    const struct fixture *fixture = argument;
    const struct carriers *carriers = carriers_of(&fixture->runtime.context);
    const struct carrying_fiber *fiber = &carriers->fibers[0];
    return fiber->carrier.counters.lost > 2 && carriers->resting.first && !fiber->failures;
}

static bool has_no_losses(void *argument)
{
    const struct fixture *fixture = argument;
    return carriers_of(&fixture->runtime.context)->fibers[0].losses == 0;
}

static void what_loses_all_that_it_is_given_has_its_pauses(void **state)
{
    struct fixture *fixture = *state;
    shelf.loses = true;
    hosted_start(fixture, &shop);
    put(fixture, "a", "apple");
    harness_until(&fixture->harness, rests_after_losses, fixture);
    shelf.loses = false;
    harness_until(&fixture->harness, has_no_losses, fixture);
    assert_found(fixture, 0, "a=apple ");
    hosted_stop(fixture);
}

static bool hangs(void *argument)
{
    (void)argument;
    return shelf.hanging > 0;
}

static void it_ends_while_a_request_is_under_way(void **state)
{
    struct fixture *fixture = *state;
    hosted_start(fixture, &shop);
    put(fixture, "a", "apple");
    assert_found(fixture, 1, "a=apple ");
    shelf.hangs = true;
    put(fixture, "b", "bread");
    harness_until(&fixture->harness, hangs, NULL);
    hosted_stop(fixture);
    assert_int_equal(shelf.hanging, 0);
    shelf.hangs = false;
    hosted_start(fixture, &shop);
    assert_found(fixture, 1, "a=apple b=bread ");
    hosted_stop(fixture);
}

static void what_was_derived_inside_meanwhile_is_not_lacking(void **state)
{
    struct fixture *fixture = *state;
    hosted_start(fixture, &shop);
    put(fixture, "a", "apple");
    assert_found(fixture, 1, "a=apple ");
    hosted_stop(fixture);
    set_derives(fixture, NULL);
    hosted_start(fixture, &shop);
    assert_true(tables_inside(fixture) > 0);
    assert_string_equal(ask(fixture).text, "a=apple ");
    put(fixture, "a", "avocado");
    assert_string_equal(ask(fixture).text, "a=avocado ");
    hosted_stop(fixture);
    set_derives(fixture, "shelf");
    hosted_start(fixture, &shop);
    assert_int_equal(tables_inside(fixture), 0);
    assert_found(fixture, 2, "a=avocado ");
    hosted_stop(fixture);
}

static void a_program_that_does_not_declare_it_has_it_made_anew(void **state)
{
    static const fh_service before = {.name = "shop", .model = FH_RELATIONAL};
    struct fixture *fixture = *state;
    hosted_start(fixture, &shop);
    put(fixture, "a", "apple");
    assert_found(fixture, 1, "a=apple ");
    hosted_stop(fixture);
    hosted_start(fixture, &before);
    number_of(fixture, "UPDATE item SET name = 'avocado'");
    hosted_stop(fixture);
    hosted_start(fixture, &shop);
    assert_found(fixture, 2, "a=avocado ");
    hosted_stop(fixture);
}

struct trying {
    struct fixture *fixture;
    enum fh_code code;
    struct fh_error error;
};

static void try_entry(void *argument)
{
    struct trying *trying = argument;
    trying->code = runtime_try(&trying->fixture->runtime, &trying->error);
}

static struct trying try_service(struct fixture *fixture, const fh_service *service)
{
    struct trying trying = {.fixture = fixture};
    runtime_init(&fixture->runtime, service, fixture->config, fixture->harness.world, &host);
    harness_run(&fixture->harness, try_entry, &trying);
    return trying;
}

static void a_trial_carries_nothing(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(try_service(fixture, &shop).code, FH_OK);
    assert_int_equal(shelf.memory->sends, 0);
    assert_int_equal(memory_count(shelf.memory), 0);
}

/* ---- Facts ---- */

static void sell_apples(fh_work *w)
{
    fh_fact(w, "sold", 1000, json_pack("{s:s, s:i}", "kind", "apple", "cents", 7));
    fh_fact(w, "sold", 1000, json_pack("{s:s, s:i}", "kind", "apple", "cents", 5));
}

/* As text: "apple 2 12". */
static void sum_sold(fh_work *w)
{
    static const char *const kinds[] = {"kind", NULL};
    static const char *const sums[] = {"count", "sum cents", NULL};
    json_t *answer = fh_columns(w, "sold", &(struct fh_columns){.by = kinds, .values = sums});
    json_t *row = json_array_get(json_object_get(answer, "rows"), 0);
    fh_reply(w, 200,
             json_sprintf("%s %d %d", json_string_value(json_array_get(row, 0)),
                          (int)json_integer_value(json_array_get(row, 1)),
                          (int)json_integer_value(json_array_get(row, 2))));
}

static const struct fh_derived_field sold_fields[] = {
    {"kind", FH_STRING, FH_TAG}, {"cents", FH_INT}, {0}};
static const fh_service market = {
    .name = "shop",
    .model = FH_RELATIONAL,
    .derives = {{.name = "sold", .model = FH_COLUMNS, .fields = sold_fields}}};

static void put_sold_on_a_server(struct fixture *fixture)
{
    json_object_set_new(
        fixture->config, "derives",
        json_pack("{s:{s:s, s:s}}", "sold", "driver", "shelf", "host", "shelf.example"));
}

static struct asked run_handler(struct fixture *fixture, fh_handler *handler, bool reads)
{
    struct asked asked = {.fixture = fixture, .handler = handler, .reads = reads};
    harness_run(&fixture->harness, ask_entry, &asked);
    return asked;
}

static void assert_sold(struct fixture *fixture, const char *text)
{
    struct expected expected = {fixture, 0};
    harness_until(&fixture->harness, carrier_is_level, &expected);
    struct asked asked = run_handler(fixture, sum_sold, true);
    assert_int_equal(asked.status, 200);
    assert_string_equal(asked.text, text);
}

/* Wherever they lie, the service's own store has them, so they may be put elsewhere at any time. */
static void facts_are_inside_wherever_they_are_asked_for(void **state)
{
    struct fixture *fixture = *state;
    set_derives(fixture, NULL);
    hosted_start(fixture, &market);
    assert_int_equal(run_handler(fixture, sell_apples, false).status, 204);
    assert_string_equal(run_handler(fixture, sum_sold, true).text, "apple 2 12");
    hosted_stop(fixture);
    assert_int_equal(shelf.memory->searches, 0);
    put_sold_on_a_server(fixture);
    assert_int_equal(try_service(fixture, &market).code, FH_OK);
    hosted_start(fixture, &market);
    assert_sold(fixture, "apple 2 12");
    assert_int_equal(run_handler(fixture, sell_apples, false).status, 204);
    assert_sold(fixture, "apple 4 24");
    assert_int_equal(number_of(fixture, "SELECT count(*) FROM fh_derived_1"), 4);
    assert_true(shelf.memory->searches >= 2);
    hosted_stop(fixture);
    set_derives(fixture, NULL);
    hosted_start(fixture, &market);
    assert_int_equal(run_handler(fixture, sell_apples, false).status, 204);
    assert_string_equal(run_handler(fixture, sum_sold, true).text, "apple 6 36");
    hosted_stop(fixture);
    put_sold_on_a_server(fixture); /* which lacks what came meanwhile */
    hosted_start(fixture, &market);
    assert_sold(fixture, "apple 6 36");
    hosted_stop(fixture);
}

static void a_server_that_holds_no_such_model_is_refused(void **state)
{
    fh_service measures = market;
    struct fixture *fixture = *state;
    measures.derives[0].model = FH_SERIES;
    put_sold_on_a_server(fixture);
    struct trying trying = try_service(fixture, &measures);
    assert_int_equal(trying.code, FH_INVALID);
    assert_non_null(strstr(trying.error.message, "sold is an FH_SERIES, and The shelf holds none"));
}

static void list_nothing_right(fh_work *w)
{
    fh_reply(w, 200, fh_rows(w, "SELECT id FROM item LIMIT :limit", fh_query(w), NULL));
}

static void a_trial_lists_what_would_be_made_anew(void **state)
{
    fh_service wrong = shop;
    struct fixture *fixture = *state;
    wrong.derives[0].state = list_nothing_right;
    hosted_start(fixture, &shop);
    put(fixture, "a", "apple");
    assert_found(fixture, 1, "a=apple ");
    hosted_stop(fixture);
    assert_int_equal(try_service(fixture, &wrong).code, FH_OK); /* it is not made anew */
    wrong.derives[0].version = 1;
    struct trying trying = try_service(fixture, &wrong);
    assert_int_not_equal(trying.code, FH_OK);
    assert_non_null(strstr(trying.error.message, "The derived store items can't be filled"));
    wrong.derives[0].state = list_items;
    assert_int_equal(try_service(fixture, &wrong).code, FH_OK);
    hosted_start(fixture, &shop);
    assert_found(fixture, 1, "a=apple ");
    hosted_stop(fixture);
}

static void a_trial_lists_what_is_lost_and_not_made_anew_yet(void **state)
{
    fh_service wrong = shop;
    struct fixture *fixture = *state;
    wrong.derives[0].state = list_nothing_right;
    hosted_start(fixture, &shop);
    put(fixture, "a", "apple");
    assert_found(fixture, 1, "a=apple ");
    shelf.memory->away = true;
    number_of(fixture, "UPDATE fh_meta SET value = json_set(value, '$.serving.lost', json('true')) "
                       "WHERE name = 'carried items'");
    hosted_stop(fixture);
    struct trying trying = try_service(fixture, &wrong);
    assert_int_not_equal(trying.code, FH_OK);
    assert_non_null(strstr(trying.error.message, "The derived store items can't be filled"));
}

static void what_can_t_be_is_refused_at_the_start(void **state)
{
    struct fixture *fixture = *state;
    set_derives(fixture, "nobody");
    struct trying trying = try_service(fixture, &shop);
    assert_int_equal(trying.code, FH_INVALID);
    assert_non_null(strstr(trying.error.message, "nobody"));
    set_derives(fixture, "shelf");
    json_object_del(json_object_get(json_object_get(fixture->config, "derives"), "items"), "host");
    trying = try_service(fixture, &shop);
    assert_int_equal(trying.code, FH_INVALID);
    assert_string_equal(trying.error.message, "It needs a host.");
}

/* ---- What is told ---- */

static void assert_told(struct fixture *fixture, const char *metric, const char *value)
{
    char line[128];
    snprintf(line, sizeof line, "\nfreehold_derived_%s{derived=\"items\"} %s\n", metric, value);
    char *text = metrics_text(&fixture->runtime);
    if (!strstr(text, line))
        print_message("%s\n", text);
    assert_non_null(strstr(text, line));
    free(text);
}

static json_t *state_of(struct fixture *fixture)
{
    json_t *list = carriers_state(&fixture->runtime);
    assert_int_equal(json_array_size(list), 1);
    json_t *one = json_incref(json_array_get(list, 0));
    json_decref(list);
    return one;
}

static bool has_aged(void *argument)
{
    json_t *list = carriers_state(&((struct fixture *)argument)->runtime);
    int64_t age_ms = json_integer_value(json_object_get(json_array_get(list, 0), "age_ms"));
    json_decref(list);
    return age_ms > 0;
}

static bool is_refused(void *argument)
{
    const struct fixture *fixture = argument;
    const struct carriers *carriers = carriers_of(&fixture->runtime.context);
    return carriers->fibers[0].carrier.look.record.serving.parked_count == 1;
}

static void how_far_it_is_is_told(void **state)
{
    struct fixture *fixture = *state;
    hosted_start(fixture, &shop);
    put(fixture, "a", "apple");
    assert_found(fixture, 1, "a=apple ");
    json_t *told = state_of(fixture);
    assert_string_equal(json_string_at(told, "name"), "items");
    assert_string_equal(json_string_at(told, "server"), "The shelf");
    assert_true(json_is_true(json_object_get(told, "serves")));
    assert_null(json_object_get(told, "reason"));
    json_decref(told);
    assert_told(fixture, "serving", "1");
    assert_told(fixture, "depth", "0");
    assert_told(fixture, "age_seconds", "0.000");
    shelf.memory->away = true;
    put(fixture, "b", "bread");
    harness_until(&fixture->harness, has_failed, fixture);
    told = state_of(fixture);
    assert_string_equal(json_string_at(told, "state"), "delayed");
    assert_string_equal(json_string_at(told, "reason"), "It is away.");
    assert_int_equal(json_integer_value(json_object_get(told, "depth")), 1);
    json_decref(told);
    assert_told(fixture, "depth", "1");
    harness_until(&fixture->harness, has_aged, fixture);
    shelf.memory->away = false;
    put(fixture, "c", "bad cheese");
    harness_until(&fixture->harness, is_refused, fixture);
    told = state_of(fixture);
    const json_t *refused = json_array_get(json_object_get(told, "refused"), 0);
    assert_string_equal(json_string_at(refused, "key"), "c");
    assert_string_equal(json_string_at(refused, "reason"), "It is of a kind that is not taken.");
    json_decref(told);
    assert_told(fixture, "refused_keys", "1");
    assert_told(fixture, "lost_total", "0");
    assert_told(fixture, "anew_total", "1");
    hosted_stop(fixture);
}

/* Nothing waits in the outbox, and nothing can be found all the same. */
static void one_that_has_never_served_ages(void **state)
{
    struct fixture *fixture = *state;
    shelf.away = true;
    hosted_start(fixture, &shop);
    harness_until(&fixture->harness, has_failed, fixture);
    assert_told(fixture, "depth", "0");
    harness_until(&fixture->harness, has_aged, fixture);
    shelf.memory->away = false;
    assert_found(fixture, 1, "");
    assert_told(fixture, "age_seconds", "0.000");
    hosted_stop(fixture);
}

static void a_service_without_any_tells_nothing_of_them(void **state)
{
    struct fixture *fixture = *state;
    set_derives(fixture, NULL);
    hosted_start(fixture, &shop);
    assert_null(carriers_state(&fixture->runtime));
    char *text = metrics_text(&fixture->runtime);
    assert_null(strstr(text, "freehold_derived"));
    free(text);
    hosted_stop(fixture);
}

static void needed_entry(void *argument)
{
    struct statement *statement = argument;
    struct work_context *context = &statement->fixture->runtime.context;
    struct store_work *work;
    struct fh_error error;
    int64_t held;
    FH_ASSERT(store_begin(context->store, STORE_READ, &work, &error) == FH_OK);
    FH_ASSERT(context->carried->needed(context, work, &statement->number, &held, &error) == FH_OK);
    FH_ASSERT(held == INT64_MAX);
    store_rollback(work);
}

static void the_outbox_is_held_while_the_server_is_away(void **state)
{
    struct fixture *fixture = *state;
    struct statement needed = {.fixture = fixture};
    hosted_start(fixture, &shop);
    put(fixture, "a", "apple");
    assert_found(fixture, 1, "a=apple ");
    harness_run(&fixture->harness, needed_entry, &needed);
    int64_t before = needed.number;
    shelf.memory->away = true;
    put(fixture, "b", "bread");
    harness_until(&fixture->harness, has_failed, fixture);
    harness_run(&fixture->harness, needed_entry, &needed);
    assert_int_equal(needed.number, before);
    shelf.memory->away = false;
    assert_found(fixture, 1, "a=apple b=bread ");
    harness_run(&fixture->harness, needed_entry, &needed);
    assert_true(needed.number > before);
    hosted_stop(fixture);
}

#define CARRIERS_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, shelf_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CARRIERS_TEST(what_is_derived_is_found_on_the_server),
        CARRIERS_TEST(one_lies_on_a_server_and_another_beside_the_rows),
        CARRIERS_TEST(it_is_not_asked_until_it_is_complete),
        CARRIERS_TEST(what_the_server_lost_is_made_anew),
        CARRIERS_TEST(what_loses_all_that_it_is_given_has_its_pauses),
        CARRIERS_TEST(it_ends_while_a_request_is_under_way),
        CARRIERS_TEST(what_was_derived_inside_meanwhile_is_not_lacking),
        CARRIERS_TEST(a_program_that_does_not_declare_it_has_it_made_anew),
        CARRIERS_TEST(a_trial_carries_nothing),
        CARRIERS_TEST(a_trial_lists_what_would_be_made_anew),
        CARRIERS_TEST(a_trial_lists_what_is_lost_and_not_made_anew_yet),
        CARRIERS_TEST(facts_are_inside_wherever_they_are_asked_for),
        CARRIERS_TEST(a_server_that_holds_no_such_model_is_refused),
        CARRIERS_TEST(what_can_t_be_is_refused_at_the_start),
        CARRIERS_TEST(the_outbox_is_held_while_the_server_is_away),
        CARRIERS_TEST(how_far_it_is_is_told),
        CARRIERS_TEST(one_that_has_never_served_ages),
        CARRIERS_TEST(a_service_without_any_tells_nothing_of_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
