/* SPDX-License-Identifier: Apache-2.0 */
/* One route for each fault that a handler can have. */

#include <freehold.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void publish_misfit(fh_work *w)
{
    fh_publish(w, "Made", json_pack("{s:s}", "id", "not-a-number"));
}

static void publish_undeclared(fh_work *w)
{
    fh_publish(w, "Unmade", json_object());
}

static void publish_keyless(fh_work *w)
{
    fh_publish(w, "Kept", json_pack("{s:s}", "word", "no id"));
}

static void ask_undeclared(fh_work *w)
{
    fh_get(w, "hearer", "/api/nothing");
}

static void start_undeclared(fh_work *w)
{
    fh_saga_start(w, "no_such_saga", json_object());
}

static void set_undeclared(fh_work *w)
{
    fh_at(w, 4102444800000, "no_such_timer", NULL);
}

static void set_misfit(fh_work *w)
{
    fh_at(w, 4102444800000, "burn_out", json_pack("{s:s}", "id", "not-a-number"));
}

static void burn_out(fh_work *w)
{
    (void)w;
}

static void select_nowhere(fh_work *w)
{
    fh_rows(w, "SELECT secret_column FROM nowhere WHERE word = 'hunter2' AND id > 4711",
            fh_path(w));
}

/* The text is gone when the handler has been left. */
static void select_built(fh_work *w)
{
    char sql[100];
    snprintf(sql, sizeof sql, "SELECT made_column FROM %s WHERE id = :id", "made_table");
    fh_rows(w, sql, json_pack("{s:i}", "id", 1));
}

static void refuse_itself(fh_work *w)
{
    fh_fail(w, 503, "The kiln is cold.");
}

static void overload(fh_work *w)
{
    fh_fail(w, 503, "Too much of %s.", json_string_value(json_object_get(fh_body(w), "word")));
}

static void make_thing(fh_work *w)
{
    fh_exec(w, "INSERT INTO thing (id, word) VALUES (:id, :word)", fh_body(w));
    fh_publish(w, "Made", fh_body(w));
    fh_reply(w, 201, fh_body(w));
}

static void begin_saga(fh_work *w)
{
    fh_saga_start(w, "stumble", fh_body(w));
    fh_reply(w, 202, NULL);
}

static void stumble(fh_work *w)
{
    fh_exec(w, "INSERT INTO nowhere_else VALUES (:word)", fh_saga_input(w));
}

static void begin_walk(fh_work *w)
{
    fh_saga_start(w, "walk", fh_body(w));
    fh_reply(w, 202, fh_body(w));
}

static void walk(fh_work *w)
{
    (void)w;
}

static void tell_walk(fh_work *w)
{
    fh_reply(w, 200, fh_query(w));
}

/* Does not return to the loop for so long. */
static void hold_on(fh_work *w)
{
    usleep((useconds_t)json_integer_value(json_object_get(fh_path(w), "ms")) * 1000);
    fh_reply(w, 200, json_object());
}

__attribute__((noinline)) static void touch_nothing(volatile int *place)
{
    *place = 7;
}

static void crash(fh_work *w)
{
    touch_nothing((int *)(uintptr_t)json_array_size(fh_path(w)));
    fh_reply(w, 200, json_object());
}

static void give_up(fh_work *w)
{
    (void)w;
    abort();
}

/* What it says has a marked value in it, and a line break. */
static void say_things(fh_work *w)
{
    json_t *body = fh_body(w);
    const char *word = json_string_value(json_object_get(body, "word"));
    fh_log(w, FH_LOG_WARNING, fh_format(w, "A thing of\n%s came", word), body,
           json_pack("{s:i, s:s}", "size", 3, "label", word));
    fh_reply(w, 204, NULL);
}

static void say_too_much(fh_work *w)
{
    for (int i = 0; i < 100000; i++)
        fh_log(w, FH_LOG_INFO, "Said too much");
    fh_reply(w, 204, NULL);
}

/* Counts and observes, and then fails with the status that the id says. */
static void measure(fh_work *w)
{
    json_t *body = fh_body(w);
    int64_t id = json_integer_value(json_object_get(body, "id"));
    fh_exec(w, "INSERT INTO thing (id, word) VALUES (:id, :word)", body);
    fh_count(w, "things_made", 2, body);
    fh_observe(w, "thing_size", (double)id / 10);
    if (id >= 400)
        fh_fail(w, (int)id, "It is not to be.");
    fh_reply(w, 204, NULL);
}

static void count_undeclared(fh_work *w)
{
    fh_count(w, "no_such_metric", 1);
}

/* What is set, or its defaults, but for the secret: of that only how long it is. */
static void tell_settings(fh_work *w)
{
    json_t *told = json_copy(fh_settings(w));
    const char *token = json_string_value(json_object_get(told, "token"));
    json_object_set_new(told, "token_length", json_integer(token ? (json_int_t)strlen(token) : -1));
    json_object_del(told, "token");
    fh_reply(w, 200, told);
}

/* Fails with what it was given in its sentence, where it is asked to. */
static void take_kinds(fh_work *w)
{
    json_t *body = fh_body(w);
    double number = json_real_value(json_object_get(body, "number"));
    if (number > 1)
        fh_fail(w, 409, "There are %.17g already, for %s.", number,
                json_string_value(json_object_get(body, "price")));
    fh_reply(w, 200, body);
}

static const fh_field settings[] = {
    {"ratio", FH_NUMBER, .minimum = "0", .maximum = "1", .default_value = "0.25"},
    {"price", FH_DECIMAL, .scale = 2, .default_value = "19.90"},
    {"limit", FH_INT, .min = 1, .default_value = "1e2"},
    {"names", FH_LIST, .pattern = "[a-z]+", .default_value = "ann,bob", .optional = true},
    {"token", FH_STRING, .secret = true, .default_value = "hunter2-by-default"},
    {0}};
static const fh_field kinds[] = {
    {"number", FH_NUMBER, .maximum = "9", .personal = true, .default_value = "0.5"},
    {"price", FH_DECIMAL, .scale = 2, .card = true, .default_value = "0.10"},
    {"at", FH_STRING, .format = FH_DATE_TIME, .personal = true, .optional = true},
    {"code", FH_STRING, .pattern = "[a-z]{2}-\\d+", .secret = true, .default_value = "ab-4711"},
    {0}};
static const fh_field thing[] = {
    {"id", FH_INT}, {"word", FH_STRING, .max = 100, .personal = true}, {0}};
static const fh_field kept[] = {{"id", FH_INT, .optional = true}, {"word", FH_STRING}, {0}};
static const fh_field walks[] = {{"id", FH_INT}, {0}};
static const fh_field told[] = {{"pace", FH_INT, .default_value = "3"}, {0}};
static const fh_step walk_steps[] = {{"walk", .run = walk, .pivot = true}, {0}};
static const fh_step stumble_steps[] = {{"fall", .run = stumble, .pivot = true}, {0}};

FH_SERVICE(
    faulty, .model = FH_RELATIONAL, .settings = settings,
    .routes = {{"POST", "/api/misfit", publish_misfit, .auth = FH_ANYONE},
               {"POST", "/api/undeclared", publish_undeclared, .auth = FH_ANYONE},
               {"POST", "/api/keyless", publish_keyless, .auth = FH_ANYONE},
               {"GET", "/api/asks", ask_undeclared, .auth = FH_ANYONE},
               {"POST", "/api/starts", start_undeclared, .auth = FH_ANYONE},
               {"POST", "/api/remembers", set_undeclared, .auth = FH_ANYONE},
               {"POST", "/api/misremembers", set_misfit, .auth = FH_ANYONE},
               {"GET", "/api/built", select_built, .auth = FH_ANYONE},
               {"GET", "/api/nowhere", select_nowhere, .auth = FH_ANYONE},
               {"GET", "/api/cold", refuse_itself, .auth = FH_ANYONE},
               {"POST", "/api/overloads", overload, .body = thing, .auth = FH_ANYONE},
               {"POST", "/api/things", make_thing, .body = thing, .auth = FH_ANYONE},
               {"POST", "/api/sagas", begin_saga, .body = thing, .auth = FH_ANYONE},
               {"POST", "/api/walks", begin_walk, .body = walks, .answer = {202, walks},
                .location = "/api/walks/{id}", .auth = FH_ANYONE},
               {"GET", "/api/walks/{id:int}", tell_walk, .query = told, .answer = {200, told},
                .auth = FH_ANYONE},
               {"POST", "/api/holds/{ms:int}", hold_on, .auth = FH_ANYONE, .deadline_ms = 60000},
               {"POST", "/api/crashes", crash, .auth = FH_ANYONE},
               {"POST", "/api/says", say_things, .body = thing, .auth = FH_ANYONE},
               {"POST", "/api/babbles", say_too_much, .auth = FH_ANYONE},
               {"POST", "/api/measures", measure, .body = kept, .auth = FH_ANYONE},
               {"POST", "/api/counts", count_undeclared, .auth = FH_ANYONE},
               {"GET", "/api/settings", tell_settings, .auth = FH_ANYONE},
               {"POST", "/api/kinds", take_kinds, .body = kinds, .auth = FH_ANYONE},
               {"POST", "/api/aborts", give_up, .auth = FH_ANYONE}},
    .publishes = {{"Made", .shape = thing, .key = "id"}, {"Kept", .shape = kept, .key = "id"}},
    .timers = {{"burn_out", burn_out, thing}},
    .sagas = {{"stumble", stumble_steps, .input = thing}, {"walk", walk_steps, .input = walks}},
    .metrics = {{"things_made", "Things that were made.", .labels = "word"},
                {"thing_size", "How large things are.", .buckets = {0.5, 10, 1048577}}});
