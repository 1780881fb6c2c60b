/* SPDX-License-Identifier: Apache-2.0 */
/* Taking over what another service has kept: all of it comes, however large its rows are. */

#include "../support/service.h"

#include <stdlib.h>

#include "../support/fake_world.h"
#include "base/log.h"
#include "base/text.h"
#include "service/runtime.h"
#include "service/take_over.h"
#include "work/batch.h"

#define ITEMS 250

struct fixture {
    struct harness harness;
    struct fake_world world;
    struct service inventory;
    struct runtime runtime;
    enum fh_code code;
    int bearable; /* rows of one answer; 0: as many as are requested */
    int away;     /* so many requests get no answer */
    int asked, limits;
    const char *name; /* of each item; NULL: they have none */
};

static void take_item(fh_work *w)
{
    fh_exec(w, "INSERT INTO item (id) VALUES (:id) ON CONFLICT DO NOTHING", fh_event_data(w), NULL);
}

static const fh_service inventory = {
    .name = "inventory",
    .model = FH_RELATIONAL,
    .takes_over = {{"products", "/api/items", take_item, "reserve"}},
};

static void make_items(fh_work *w)
{
    fh_exec(w, "CREATE TABLE item (id INTEGER PRIMARY KEY)", NULL);
}

static int number_of(const char *path, const char *name)
{
    const char *at = strstr(path, name);
    return at ? atoi(at + strlen(name)) : 0;
}

static void request(struct fake_world *fake, struct world_request *asked)
{
    struct fixture *fixture = fake->context;
    int limit = number_of(asked->path, "limit="), after = number_of(asked->path, "after=");
    fixture->asked++;
    if (fixture->away-- > 0) {
        fake_answer(asked, 0, NULL, NULL, 0);
    } else if (strncmp(asked->path, TAKE_OVER_PATH, sizeof TAKE_OVER_PATH - 1) == 0) {
        fake_answer(asked, 200, "{\"commands\":[],\"callers\":[]}", NULL, 0);
    } else if (fixture->bearable && limit > fixture->bearable) {
        fake_answer(asked, 500, "{}", NULL, 0);
    } else {
        struct text text;
        text_init(&text, TEXT_LENGTH_MAX);
        fixture->limits += limit;
        for (int id = after + 1; id <= ITEMS && id <= after + limit; id++)
            text_printf(&text, "%s{\"id\":%d%s%s%s}", id == after + 1 ? "[" : ",", id,
                        fixture->name ? ",\"name\":\"" : "", fixture->name ? fixture->name : "",
                        fixture->name ? "\"" : "");
        text_add(&text, text.length ? "]" : "[]");
        fake_answer(asked, 200, text.data, NULL, 0);
        text_release(&text);
    }
}

static void take_entry(void *argument)
{
    struct fixture *fixture = argument;
    fixture->code = take_over(&fixture->runtime, &fixture->inventory.error);
}

static void run_take_over(struct fixture *fixture, const fh_service *service)
{
    fixture->runtime.context = fixture->inventory.context;
    fixture->runtime.world = fixture->inventory.context.world;
    fixture->runtime.service = service;
    harness_run(&fixture->harness, take_entry, fixture);
}

static int taken(struct fixture *fixture)
{
    run_take_over(fixture, &inventory);
    assert_int_equal(fixture->code, FH_OK);
    return (int)service_count(&fixture->inventory, "SELECT count(*) FROM item");
}

static void all_is_taken_over_page_by_page(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(taken(fixture), ITEMS);
    assert_int_equal(fixture->asked, 4); /* three pages, and the commands */
}

static void rows_of_which_a_page_is_too_large_are_taken_over_in_smaller_ones(void **state)
{
    struct fixture *fixture = *state;
    fixture->bearable = 7;
    assert_int_equal(taken(fixture), ITEMS);
    assert_true(fixture->asked < 100);
}

static void a_giver_that_is_away_for_a_while_is_waited_for(void **state)
{
    struct fixture *fixture = *state;
    fixture->away = 3;
    fixture->bearable = 1;
    assert_int_equal(taken(fixture), ITEMS);
}

static bool refused;

static void fail_once(fh_work *w)
{
    json_t *item = fh_event_data(w);
    if (refused)
        return;
    refused = true;
    struct fh_error error;
    error_set(&error, FH_UNSUPPORTED, "%s of item %d is not known.", json_string_at(item, "name"),
              (int)json_integer_value(json_object_get(item, "id")));
    work_fail(w, &error);
}

static void keep_fault(void *context, enum log_level level, const char *id, const char *text)
{
    (void)level;
    if (strcmp(id, "handler-failed") == 0)
        snprintf(context, 256, "%s", text);
}

/* Nobody knows here what its publisher has marked. */
static void a_fault_quotes_nothing_of_a_row_but_its_id(void **state)
{
    static fh_service failing = {.name = "inventory", .model = FH_RELATIONAL};
    struct fixture *fixture = *state;
    char told[256] = "";
    failing.takes_over[0] = (struct fh_taken_over){"products", "/api/items", fail_once, "reserve"};
    fixture->name = "Zebedee";
    log_redirect(keep_fault, told);
    run_take_over(fixture, &failing);
    log_redirect(NULL, NULL);
    assert_int_equal(fixture->code, FH_OK); /* the second time */
    assert_non_null(strstr(told, "[personal] of item 1 is not known."));
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    harness_init(&fixture->harness);
    fake_world_init(&fixture->world, fixture->harness.world);
    fixture->world.request = request;
    fixture->world.context = fixture;
    service_open(&fixture->inventory, &fixture->harness, &fixture->world.world, &inventory);
    service_must(&fixture->inventory, make_items);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    service_close(&fixture->inventory);
    harness_release(&fixture->harness);
    free(fixture);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        CASE(all_is_taken_over_page_by_page),
        CASE(rows_of_which_a_page_is_too_large_are_taken_over_in_smaller_ones),
        CASE(a_fault_quotes_nothing_of_a_row_but_its_id),
        CASE(a_giver_that_is_away_for_a_while_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
