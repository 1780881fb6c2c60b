/* SPDX-License-Identifier: Apache-2.0 */
/* A whole document store copied: from an embedded one into the engine's, and from there into
 * another embedded one. What the copy has compared itself is read here once more, as the ledger
 * reads it. */

#include "copied.h"
#include "counted.h"

#include <stdlib.h>

#include "store/copy/document.h"
#include "store/ledger_snapshot.h"

#define THINGS 450 /* more than two slices */

static const struct fh_collection collections[] = {{.name = "things", .indexes = {"kind"}},
                                                   {.name = "others"}};

static bool prepare(struct conformance *c, struct store *store)
{
    struct store_work *work;
    return store_begin(store, STORE_WRITE_EXCLUSIVE, &work, &c->error) == FH_OK &&
           committed(c, work, document_engine(store)->prepare(work, collections, 2, &c->error));
}

static struct store *open_embedded(struct conformance *c, const char *name)
{
    struct store *store = conformance_embedded(c, name, FH_DOCUMENT);
    if (store && !prepare(c, store))
        conformance_note(c, __FILE__, __LINE__, "an embedded store is made");
    return store;
}

/* ---- what is copied ---- */

static bool insert(struct conformance *c, struct store *store, const char *collection,
                   json_t *document)
{
    struct store_work *work;
    bool done =
        store_begin(store, STORE_WRITE, &work, &c->error) == FH_OK &&
        committed(c, work, document_engine(store)->insert(work, collection, document, &c->error));
    json_decref(document);
    return done;
}

static json_t *thing(int i)
{
    json_t *document = conformance_json(
        "{'kind': 'odd', 'a': [1, [2, []], {}], 'n': null, 'r': 1.5, 'b': true, 'e': '',"
        " 'deep': {'a.b': {'%': -7}}}");
    json_object_set_new(document, "id", json_sprintf("thing %03d", i));
    json_object_set_new(document, "big", json_integer(INT64_C(9007199254740993) + i));
    json_object_set_new(document, "text", json_string("Z\xc3\xbcrich \xf0\x9f\x9a\xb2"));
    return document;
}

static bool fill(struct conformance *c, struct store *store, char ids[3][ID_SIZE])
{
    for (int i = 0; i < THINGS; i++) {
        if (!insert(c, store, "things", thing(i)))
            return false;
    }
    return insert(c, store, "others", conformance_json("{'id': 'one'}")) &&
           fill_ledger(c, store, ids);
}

/* ---- what is there afterwards ---- */

static void expect_documents(struct conformance *c, struct store *store)
{
    struct store_work *work;
    json_t *found = NULL, *wanted = thing(17);
    EXPECT(store_begin(store, STORE_READ, &work, &c->error) == FH_OK);
    enum fh_code code = document_engine(store)->get(work, "things", "thing 017", &found, &c->error);
    store_rollback(work);
    bool same = code == FH_OK && json_equal(found, wanted);
    json_decref(found);
    json_decref(wanted);
    EXPECT(same);
}

/* ---- cases ---- */

static void a_store_is_copied_into_the_engines_and_into_an_embedded_one(struct conformance *c)
{
    char ids[3][ID_SIZE];
    struct arena arena;
    struct copy_result there, back;
    arena_init(&arena, 1 << 20);
    struct store *from = open_embedded(c, "from"), *to = open_embedded(c, "to");
    EXPECT(from && to && prepare(c, c->store) && fill(c, from, ids));
    /* What an earlier attempt has left is replaced. */
    EXPECT(insert(c, c->store, "things", conformance_json("{'id': 'thing 001', 'old': 1}")));
    struct counted over = {0}, home = {0};
    struct copy_options options = {
        .from = from, .to = c->store, .told = count_step, .count = &over.count, .context = &over};
    EXPECT(document_copy(&options, collections, 2, &there, &c->error) == FH_OK);
    EXPECT(there.rows > THINGS);
    expect_documents(c, c->store);
    expect_ledger(c, c->store, &arena);
    EXPECT(counts_whole(&over) && over.last.done == over.last.total);
    struct copy_options again = {
        .from = c->store, .to = to, .told = count_step, .count = &home.count, .context = &home};
    EXPECT(document_copy(&again, collections, 2, &back, &c->error) == FH_OK);
    EXPECT(back.rows == there.rows && back.tables == there.tables);
    EXPECT(counts_whole(&home) && home.last.done == home.last.total);
    EXPECT(home.last.guessed || c->store->engine->sql);
    expect_documents(c, to);
    expect_ledger(c, to, &arena);
    expect_events(c, to, ids);
    expect_events(c, c->store, ids);
    arena_release(&arena);
    store_close(from);
    store_close(to);
}

static bool see_number(void *context, const struct sql_row *row)
{
    *(int64_t *)context = row->values[0].integer;
    return true;
}

static void a_resync_that_is_under_way_stays_where_it_can_continue(struct conformance *c)
{
    struct copy_result result;
    struct store_work *work;
    struct store *from = open_embedded(c, "from");
    EXPECT(from && prepare(c, c->store));
    struct ledger_resync none = {0}, begun = {.resync = 1, .phase = LEDGER_PAGES};
    EXPECT(store_begin(from, STORE_WRITE_EXCLUSIVE, &work, &c->error) == FH_OK);
    EXPECT(committed(
        c, work,
        ledger_snapshots(from)->resync_move(work, "users", "0/1", &none, &begun, &c->error)));
    struct copy_options options = {.from = from, .to = c->store};
    enum fh_code code = document_copy(&options, collections, 2, &result, &c->error);
    store_close(from);
    EXPECT(code == (ledger_snapshots(c->store) ? FH_OK : FH_INVALID));
    EXPECT(code == FH_OK || strstr(c->error.message, "heard of users is being begun anew"));
}

/* A column added to the ledger later is not lost silently: this fails until the copy knows it. */
static void the_copy_knows_every_column_of_the_ledger(struct conformance *c)
{
    static const char *const own[] = {"fh_meta",      "fh_counter",    "fh_lease",
                                      "fh_migration", "fh_collection", "fh_document_index",
                                      "fh_work"};
    struct store *store = open_embedded(c, "from");
    struct store_work *work;
    char sql[512] = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name LIKE 'fh\\_%'"
                    " ESCAPE '\\' AND name NOT IN (''";
    int64_t tables = 0;
    EXPECT(store != NULL && store_begin(store, STORE_READ, &work, &c->error) == FH_OK);
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        snprintf(sql + strlen(sql), sizeof sql - strlen(sql), ", '%s'", own[i]);
    snprintf(sql + strlen(sql), sizeof sql - strlen(sql), ")");
    enum fh_code code = sql_run(work, sql, NULL, 0, see_number, &tables, NULL, &c->error);
    int known = 0;
    for (int i = 0; i < copied_ledger_count && code == FH_OK; i++) {
        int64_t columns = 0, derived = 0;
        for (int j = 0; j < copied_column_count(&copied_ledgers[i]); j++)
            derived += copied_ledgers[i].columns[j].derived != NULL;
        snprintf(sql, sizeof sql, "SELECT count(*) FROM pragma_table_info('%s')",
                 copied_ledgers[i].table);
        code = sql_run(work, sql, NULL, 0, see_number, &columns, NULL, &c->error);
        known += columns == copied_column_count(&copied_ledgers[i]) - derived;
    }
    store_rollback(work);
    store_close(store);
    EXPECT(code == FH_OK);
    EXPECT(known == copied_ledger_count);
    EXPECT(tables == copied_ledger_count);
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(a_store_is_copied_into_the_engines_and_into_an_embedded_one),
        CASE(a_resync_that_is_under_way_stays_where_it_can_continue),
        CASE(the_copy_knows_every_column_of_the_ledger),
    };
    return conformance_main(FH_DOCUMENT, rows, sizeof rows / sizeof *rows);
}
