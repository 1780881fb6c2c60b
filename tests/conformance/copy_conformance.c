/* SPDX-License-Identifier: Apache-2.0 */
/* A whole store copied: from an embedded one into the engine's, and from the engine's into an
 * embedded one. */

#include "conformance.h"

#include <stdlib.h>

#include "base/id.h"
#include "base/text.h"
#include "engine/engines.h"
#include "store/ledger.h"
#include "counted.h"
#include "store/copy/copy.h"

/* The same tables in all dialects; alphabetically the child comes before its parent. */
static const char tables[] =
    "CREATE TABLE parts (box_id BIGINT NOT NULL REFERENCES zones (id), line INTEGER NOT NULL,"
    " name VARCHAR(200), weight DOUBLE PRECISION, PRIMARY KEY (box_id, line));";
static enum fh_code script(struct store *store, const char *sql, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(store, STORE_MIGRATE, &work, error);
    if (code != FH_OK)
        return code;
    code = store->engine->sql->script(work, sql, error);
    if (code == FH_OK)
        return store_commit(work, error);
    store_rollback(work);
    return code;
}

static bool make_tables(struct conformance *c, struct store *store)
{
    const struct conformance_engine *engine = conformance_engine(store->engine);
    char zones[256];
    snprintf(zones, sizeof zones,
             "CREATE TABLE zones (id %s, note TEXT, filled BOOLEAN NOT NULL,"
             " extra %s, raw %s);",
             engine->counted, engine->json, engine->bytes);
    return script(store, zones, &c->error) == FH_OK && script(store, tables, &c->error) == FH_OK;
}

static struct store *open_embedded(struct conformance *c, const char *name)
{
    struct store *store = conformance_embedded(c, name, FH_RELATIONAL);
    if (store && !make_tables(c, store))
        conformance_note(c, __FILE__, __LINE__, "an embedded store is made");
    return store;
}

static bool runs(struct conformance *c, struct store *store, const char *sql, const char *names)
{
    struct store_work *work;
    json_t *object = names ? conformance_json(names) : NULL;
    enum fh_code code = store_begin(store, STORE_WRITE, &work, &c->error);
    if (code == FH_OK) {
        code = relational_run(work, sql, &object, object ? 1 : 0, 0, NULL, NULL, &c->error);
        if (code == FH_OK)
            code = store_commit(work, &c->error);
        else
            store_rollback(work);
    }
    json_decref(object);
    return code == FH_OK;
}

#define ZONES 1203 /* more than two slices */

static bool fill_zones(struct conformance *c, struct store *store)
{
    struct store_work *work;
    if (store_begin(store, STORE_WRITE, &work, &c->error) != FH_OK)
        return false;
    enum fh_code code = FH_OK;
    for (int i = 1; i <= ZONES && code == FH_OK; i++) {
        json_t *row = json_pack("{s:s, s:b, s:{s:i, s:[i]}}", "note",
                                i % 7 ? "Z\xc3\xbcrich \xf0\x9f\x9a\xb2" : "", "filled", i % 2,
                                "extra", "z", i, "a", i);
        code = relational_run(work,
                              "INSERT INTO zones (note, filled, extra)"
                              " VALUES (:note, :filled, :extra)",
                              &row, 1, 0, NULL, NULL, &c->error);
        json_decref(row);
    }
    if (code == FH_OK)
        return store_commit(work, &c->error) == FH_OK;
    store_rollback(work);
    return false;
}

/* An event, as a unit of work of the service would leave it. */
static bool publish(struct conformance *c, struct store *store, const char *key, char id[ID_SIZE])
{
    struct store_work *work;
    unsigned char random[10];
    world_random(store->world, random, sizeof random);
    id_format(id, world_wall_ms(store->world), random);
    struct ledger_event event = {
        .time_ms = 1, .version = 1, .id = id, .type = "Filled", .key = key, .data = "{\"id\": 1}"};
    struct store_placed placed = {.event_id = id};
    if (store_begin(store, STORE_WRITE, &work, &c->error) != FH_OK)
        return false;
    if (ledger_outbox_append(work, &event, &c->error) != FH_OK) {
        store_rollback(work);
        return false;
    }
    return store_commit(work, &c->error) == FH_OK &&
           store_sequence(store, &placed, 1, &c->error) == FH_OK;
}

static bool fill(struct conformance *c, struct store *store, char ids[3][ID_SIZE])
{
    return fill_zones(c, store) &&
           runs(c, store, "INSERT INTO parts VALUES (2, 1, 'bolt', 0.1), (2, 2, NULL, 19.99)",
                NULL) &&
           runs(c, store, "DELETE FROM zones WHERE id = 1203", NULL) &&
           publish(c, store, "a", ids[0]) && publish(c, store, "b", ids[1]) &&
           publish(c, store, "a", ids[2]);
}

struct seen {
    int count;
    int64_t positions[8], previous[8];
    char ids[8][ID_SIZE];
};

static bool see_event(void *context, const struct ledger_event *event)
{
    struct seen *seen = context;
    seen->positions[seen->count] = event->position;
    seen->previous[seen->count] = event->previous;
    snprintf(seen->ids[seen->count], ID_SIZE, "%s", event->id);
    return ++seen->count < 8;
}

/* What was in the source is here, and continues. */
static void expect_whole(struct conformance *c, struct store *store, char ids[3][ID_SIZE])
{
    struct store_work *work;
    struct seen seen = {0};
    char fourth[ID_SIZE];
    EXPECT(publish(c, store, "a", fourth));
    EXPECT(
        runs(c, store, "INSERT INTO zones (note, filled) VALUES ('next', :yes)", "{'yes': true}"));
    EXPECT(store_begin(store, STORE_READ, &work, &c->error) == FH_OK);
    enum fh_code code = ledger_outbox_read(work, 0, 10, see_event, &seen, &c->error);
    json_t *rows = NULL, *ends = NULL;
    if (code == FH_OK)
        code = relational_run(work, "SELECT line, name, weight FROM parts ORDER BY line", NULL, 0,
                              10, &rows, NULL, &c->error);
    if (code == FH_OK)
        code = relational_run(work, "SELECT max(id) AS last, count(*) AS all_of_them FROM zones",
                              NULL, 0, 10, &ends, NULL, &c->error);
    store_rollback(work);
    EXPECT(code == FH_OK);
    EXPECT(seen.count == 4 && seen.positions[0] == 1 && seen.positions[3] == 4);
    EXPECT(seen.previous[2] == 1 && seen.previous[3] == 3);
    for (int i = 0; i < 3; i++)
        EXPECT(strcmp(seen.ids[i], ids[i]) == 0);
    EXPECT(conformance_is(c, rows,
                          "[{'line': 1, 'name': 'bolt', 'weight': 0.10000000000000001},"
                          "{'line': 2, 'name': null, 'weight': 19.99}]"));
    /* 1203 was assigned once, and is not assigned again. */
    EXPECT(conformance_is(c, ends, "[{'last': 1204, 'all_of_them': 1203}]"));
    json_decref(rows);
    json_decref(ends);
}

static void an_embedded_store_is_copied_into_the_engines(struct conformance *c)
{
    char ids[3][ID_SIZE];
    struct copy_result result;
    struct store *from = open_embedded(c, "from");
    EXPECT(from && make_tables(c, c->store) && fill(c, from, ids));
    /* What an earlier attempt has left is replaced. */
    EXPECT(runs(c, c->store, "INSERT INTO zones (id, note, filled) VALUES (7, 'old', :yes)",
                "{'yes': true}"));
    struct counted over = {0};
    struct copy_options options = {
        .from = from, .to = c->store, .told = count_step, .count = &over.count, .context = &over};
    EXPECT(relational_copy(&options, &result, &c->error) == FH_OK);
    EXPECT(result.rows >= ZONES + 1);
    EXPECT(counts_whole(&over) && over.written == result.rows);
    EXPECT(over.last.total == result.rows && !over.last.guessed);
    expect_whole(c, c->store, ids);
    store_close(from);
}

static void the_engines_store_is_copied_into_an_embedded_one(struct conformance *c)
{
    char ids[3][ID_SIZE];
    struct copy_result result;
    struct store *to = open_embedded(c, "to");
    EXPECT(to && make_tables(c, c->store) && fill(c, c->store, ids));
    struct counted over = {0};
    struct copy_options options = {
        .from = c->store, .to = to, .told = count_step, .count = &over.count, .context = &over};
    EXPECT(relational_copy(&options, &result, &c->error) == FH_OK);
    EXPECT(counts_whole(&over) && over.written == result.rows);
    expect_whole(c, to, ids);
    store_close(to);
}

struct dawdling {
    struct world *world;
    bool over;
};

/* Once, and for longer than a server lets a handler's unit of work be idle. */
static void dawdle(void *context, const struct copy_step *step)
{
    struct dawdling *dawdling = context;
    if (step->count && !dawdling->over)
        fiber_sleep_until(dawdling->world, world_in_ms(dawdling->world, 2500));
    dawdling->over = true;
}

static void a_copied_moment_waits_for_whatever_receives_it(struct conformance *c)
{
    char ids[3][ID_SIZE];
    struct copy_result result;
    struct store *to = open_embedded(c, "to");
    EXPECT(to && make_tables(c, c->store) && fill(c, c->store, ids));
    struct dawdling dawdling = {.world = c->harness.world};
    struct copy_count count = {0};
    struct copy_options options = {
        .from = c->store, .to = to, .told = dawdle, .count = &count, .context = &dawdling};
    EXPECT(relational_copy(&options, &result, &c->error) == FH_OK);
    expect_whole(c, to, ids);
    store_close(to);
}

/* Longer than any server lets a unit of work of another store be idle. */
static enum fh_code run_slowly(struct store_work *work, const char *sql,
                               const struct sql_value *values, int count, sql_visit *visit,
                               void *context, int64_t *ret_changes, struct fh_error *error)
{
    struct world *world = work->store->world;
    if (strstr(sql, "FROM sqlite_sequence") && strcmp(values[0].text, "zones") == 0)
        fiber_sleep_until(world, world_in_ms(world, 2500));
    return engine_embedded()->sql->run(work, sql, values, count, visit, context, ret_changes,
                                       error);
}

static void what_is_read_late_keeps_no_unit_of_work_of_the_target_waiting(struct conformance *c)
{
    char ids[3][ID_SIZE];
    struct copy_result result;
    struct store *from = open_embedded(c, "from");
    EXPECT(from && make_tables(c, c->store) && fill(c, from, ids));
    struct sql_ops sql = *from->engine->sql;
    struct engine slow = *from->engine;
    sql.run = run_slowly;
    slow.sql = &sql;
    from->engine = &slow;
    struct copy_options options = {.from = from, .to = c->store};
    EXPECT(relational_copy(&options, &result, &c->error) == FH_OK);
    from->engine = engine_embedded();
    expect_whole(c, c->store, ids);
    store_close(from);
}

static void a_table_that_is_missing_there_is_named(struct conformance *c)
{
    struct copy_result result;
    struct store *from = open_embedded(c, "from");
    EXPECT(from != NULL);
    struct copy_options options = {.from = from, .to = c->store};
    EXPECT(relational_copy(&options, &result, &c->error) == FH_UNSUPPORTED);
    EXPECT(strstr(c->error.message, "parts is not in") != NULL);
    store_close(from);
}

static void a_table_without_a_primary_key_is_named(struct conformance *c)
{
    struct copy_result result;
    struct store *from = open_embedded(c, "from");
    EXPECT(from && make_tables(c, c->store));
    EXPECT(script(from, "CREATE TABLE loose (a INTEGER)", &c->error) == FH_OK);
    EXPECT(script(c->store, "CREATE TABLE loose (a INTEGER)", &c->error) == FH_OK);
    struct copy_options options = {.from = from, .to = c->store};
    EXPECT(relational_copy(&options, &result, &c->error) == FH_UNSUPPORTED);
    EXPECT(strstr(c->error.message, "loose has no primary key") != NULL);
    store_close(from);
}

/* A table of `columns` columns, and a row with its last one. */
static bool make_wide(struct conformance *c, struct store *store, int columns, bool filled)
{
    struct text sql;
    char row[96];
    text_init(&sql, (size_t)1 << 16);
    text_add(&sql, "CREATE TABLE wide (id BIGINT PRIMARY KEY");
    for (int i = 2; i <= columns; i++)
        text_printf(&sql, ", c%d INTEGER", i);
    text_add(&sql, ");");
    bool made = script(store, sql.data, &c->error) == FH_OK;
    text_release(&sql);
    snprintf(row, sizeof row, "INSERT INTO wide (id, c%d) VALUES (1, 42)", columns);
    return made && (!filled || runs(c, store, row, NULL));
}

#define WIDE 255 /* with its key as many as a copy takes */

static void a_wide_table_is_copied_with_all_its_columns(struct conformance *c)
{
    struct copy_result result;
    struct store *from = open_embedded(c, "from"), *to = open_embedded(c, "to");
    EXPECT(from && to && make_tables(c, c->store) && make_wide(c, from, WIDE, true) &&
           make_wide(c, c->store, WIDE, false) && make_wide(c, to, WIDE, false));
    struct copy_options there = {.from = from, .to = c->store};
    struct copy_options back = {.from = c->store, .to = to};
    EXPECT(relational_copy(&there, &result, &c->error) == FH_OK);
    conformance_reads(c, "SELECT id, c254, c255 FROM wide", "[{'id':1,'c254':null,'c255':42}]");
    EXPECT(relational_copy(&back, &result, &c->error) == FH_OK);
    store_close(from);
    store_close(to);
}

static void a_table_that_is_too_wide_is_named(struct conformance *c)
{
    struct copy_result result;
    struct store *to = open_embedded(c, "to");
    EXPECT(to && make_tables(c, c->store) && make_wide(c, c->store, WIDE + 1, true) &&
           make_wide(c, to, WIDE + 1, false));
    struct copy_options options = {.from = c->store, .to = to};
    EXPECT(relational_copy(&options, &result, &c->error) == FH_UNSUPPORTED);
    EXPECT(strstr(c->error.message, "wide has 257 columns") != NULL);
    store_close(to);
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(an_embedded_store_is_copied_into_the_engines),
        CASE(the_engines_store_is_copied_into_an_embedded_one),
        CASE(a_copied_moment_waits_for_whatever_receives_it),
        CASE(what_is_read_late_keeps_no_unit_of_work_of_the_target_waiting),
        CASE(a_table_that_is_missing_there_is_named),
        CASE(a_table_without_a_primary_key_is_named),
        CASE(a_wide_table_is_copied_with_all_its_columns),
        CASE(a_table_that_is_too_wide_is_named),
    };
    return conformance_main(FH_RELATIONAL, rows, sizeof rows / sizeof *rows);
}
