/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The relational model: units of work, what they see of each other, and SQL with :names. The SQL
 * here is what all engines share; where they differ, the engine's row says how to write it.
 */

#include "conformance.h"

#include <stdlib.h>

#include "base/text.h"
#include "store/relational/report.h"

#define INCREMENTS 20
#define WRITERS 8

static void make_items(struct conformance *c)
{
    EXPECT(conformance_does(c, "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT UNIQUE)",
                            NULL) == FH_OK);
}

static const char *const all_items = "SELECT id, name FROM item ORDER BY id";

/* ---- Atomicity and isolation ---- */

static void
a_committed_unit_of_work_is_there_whole_and_a_rolled_back_one_not_at_all(struct conformance *c)
{
    make_items(c);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(conformance_exec(c, work, "INSERT INTO item VALUES (1, 'a')", NULL) == FH_OK);
    EXPECT(conformance_exec(c, work, "INSERT INTO item VALUES (2, 'b')", NULL) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(conformance_exec(c, work, "INSERT INTO item VALUES (3, 'c')", NULL) == FH_OK);
    EXPECT(conformance_exec(c, work, "DELETE FROM item WHERE id = 1", NULL) == FH_OK);
    conformance_rollback(c, work);
    conformance_reads(c, all_items, "[{'id':1,'name':'a'},{'id':2,'name':'b'}]");
}

static void a_unit_of_work_of_its_own_commits_as_well(struct conformance *c)
{
    make_items(c);
    struct store_work *work = conformance_begin(c, STORE_WRITE_EXCLUSIVE);
    EXPECT(work);
    EXPECT(conformance_exec(c, work, "INSERT INTO item VALUES (1, 'a')", NULL) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    conformance_reads(c, all_items, "[{'id':1,'name':'a'}]");
}

static void a_unit_of_work_reads_its_own_writes_and_nobody_elses(struct conformance *c)
{
    make_items(c);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(conformance_exec(c, work, "INSERT INTO item VALUES (1, 'a')", NULL) == FH_OK);
    json_t *rows = conformance_rows(c, work, all_items, NULL);
    conformance_is(c, rows, "[{'id':1,'name':'a'}]");
    json_decref(rows);
    conformance_reads(c, all_items, "[]");
    EXPECT(conformance_commit(c, work) == FH_OK);
    conformance_reads(c, all_items, "[{'id':1,'name':'a'}]");
}

static void a_snapshot_stays_as_it_was(struct conformance *c)
{
    make_items(c);
    struct store_work *snapshot = conformance_begin(c, STORE_READ);
    EXPECT(snapshot);
    json_t *before = conformance_rows(c, snapshot, all_items, NULL);
    EXPECT(conformance_does(c, "INSERT INTO item VALUES (1, 'a')", NULL) == FH_OK);
    json_t *after = conformance_rows(c, snapshot, all_items, NULL);
    bool same = conformance_is(c, before, "[]") && conformance_is(c, after, "[]");
    json_decref(before);
    json_decref(after);
    EXPECT(same);
    EXPECT(conformance_commit(c, snapshot) == FH_OK);
    conformance_reads(c, all_items, "[{'id':1,'name':'a'}]");
}

static void
a_new_snapshot_shows_what_was_committed_while_an_older_one_is_open(struct conformance *c)
{
    make_items(c);
    struct store_work *older = conformance_begin(c, STORE_READ);
    EXPECT(older);
    json_t *rows = conformance_rows(c, older, all_items, NULL);
    json_decref(rows);
    EXPECT(conformance_does(c, "INSERT INTO item VALUES (1, 'a')", NULL) == FH_OK);
    conformance_reads(c, all_items, "[{'id':1,'name':'a'}]");
    EXPECT(!c->failure[0]);
    rows = conformance_rows(c, older, all_items, NULL);
    conformance_is(c, rows, "[]");
    json_decref(rows);
}

struct undurable {
    struct conformance *c;
    bool handed_over, returned;
    enum fh_code code;
};

static void commit_one(void *argument)
{
    struct undurable *undurable = argument;
    struct conformance *c = undurable->c;
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(conformance_exec(c, work, "INSERT INTO item VALUES (1, 'a')", NULL) == FH_OK);
    undurable->handed_over = true;
    undurable->code = conformance_commit(c, work);
    undurable->returned = true;
}

static void a_snapshot_shows_no_unit_of_work_whose_commit_is_not_yet_durable(struct conformance *c)
{
    if (!c->engine->groups)
        return;
    make_items(c);
    struct undurable undurable = {.c = c};
    conformance_start(c, commit_one, &undurable);
    while (!undurable.handed_over && !c->failure[0])
        fiber_yield();
    /* The unit of work waits for its group; nothing of it may be seen before the loop has
     * turned. */
    bool early = undurable.returned;
    conformance_reads(c, all_items, "[]");
    conformance_join(c);
    EXPECT(!early);
    EXPECT(undurable.code == FH_OK);
    conformance_reads(c, all_items, "[{'id':1,'name':'a'}]");
}

static void a_reading_work_changes_nothing(struct conformance *c)
{
    make_items(c);
    struct store_work *work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    EXPECT(conformance_exec(c, work, "INSERT INTO item VALUES (1, 'a')", NULL) == FH_UNSUPPORTED);
    conformance_rollback(c, work);
    conformance_reads(c, all_items, "[]");
}

/* Reads, lets others run, and writes what it has computed; after a conflict it starts over. */
static bool increment(struct conformance *c, enum store_mode mode)
{
    struct store_work *work = conformance_begin(c, mode);
    if (!work)
        return false;
    json_t *rows = conformance_rows(c, work, "SELECT value FROM counter", NULL);
    json_int_t value = -1;
    json_integer_at(json_array_get(rows, 0), "value", &value);
    json_decref(rows);
    fiber_yield();
    char names[64];
    snprintf(names, sizeof names, "{'value': %lld}", (long long)value + 1);
    if (conformance_exec(c, work, "UPDATE counter SET value = :value", names) == FH_OK)
        return conformance_commit(c, work) == FH_OK;
    conformance_rollback(c, work);
    return false;
}

static void increment_often(void *argument)
{
    struct conformance *c = argument;
    for (int i = 0; i < INCREMENTS; i++) {
        int tries = 0;
        while (!increment(c, tries ? STORE_WRITE_EXCLUSIVE : STORE_WRITE)) {
            EXPECT(c->error.code == FH_CONFLICT && c->error.retryable);
            EXPECT(++tries < 100);
        }
    }
}

static void units_of_work_that_read_compute_and_write_are_serializable(struct conformance *c)
{
    EXPECT(conformance_does(c, "CREATE TABLE counter (value INTEGER NOT NULL)", NULL) == FH_OK);
    EXPECT(conformance_does(c, "INSERT INTO counter VALUES (0)", NULL) == FH_OK);
    for (int i = 0; i < WRITERS; i++)
        conformance_start(c, increment_often, c);
    conformance_join(c);
    char text[64];
    snprintf(text, sizeof text, "[{'value':%d}]", WRITERS * INCREMENTS);
    conformance_reads(c, "SELECT value FROM counter", text);
}

/* ---- Units of work of one group ---- */

struct member {
    struct conformance *c;
    const char *sql;
    enum store_mode mode;
    enum fh_code code;
    struct fh_error error;
};

static void run_member(void *argument)
{
    struct member *member = argument;
    struct store_work *work = NULL;
    member->code = store_begin(member->c->store, member->mode, &work, &member->error);
    if (member->code != FH_OK)
        return;
    json_t *none = NULL;
    member->code = relational_run(work, member->sql, &none, 0, 0, NULL, NULL, &member->error);
    if (member->code == FH_OK)
        member->code = store_commit(work, &member->error);
    else
        store_rollback(work);
}

/* What a layer above does with a member that failed with its group. */
static void run_again_alone(struct member *members, int count)
{
    for (int i = 0; i < count; i++) {
        if (members[i].code == FH_CONFLICT && members[i].error.retryable) {
            members[i].mode = STORE_WRITE_EXCLUSIVE;
            run_member(&members[i]);
        }
    }
}

static void start_members(struct conformance *c, struct member *members, int count)
{
    for (int i = 0; i < count; i++) {
        members[i].c = c;
        members[i].mode = STORE_WRITE;
        conformance_start(c, run_member, &members[i]);
    }
    conformance_join(c);
}

static void make_children(struct conformance *c)
{
    make_items(c);
    EXPECT(conformance_does(c,
                            "CREATE TABLE child (id INTEGER PRIMARY KEY, item_id INTEGER NOT NULL "
                            "REFERENCES item (id) DEFERRABLE INITIALLY DEFERRED)",
                            NULL) == FH_OK);
}

static void a_deferred_constraint_fails_its_own_unit_of_work_and_no_other(struct conformance *c)
{
    if (!c->engine->deferrable)
        return;
    make_children(c);
    /* On a server the members commit in any order. */
    EXPECT(conformance_does(c, "INSERT INTO item VALUES (1, 'a')", NULL) == FH_OK);
    struct member members[] = {{.sql = "INSERT INTO item VALUES (3, 'c')"},
                               {.sql = "INSERT INTO child VALUES (1, 99)"},
                               {.sql = "INSERT INTO item VALUES (2, 'b')"},
                               {.sql = "INSERT INTO child VALUES (2, 1)"}};
    start_members(c, members, 4);
    run_again_alone(members, 4);
    EXPECT(members[0].code == FH_OK && members[2].code == FH_OK && members[3].code == FH_OK);
    EXPECT(members[1].code == FH_CONFLICT && !members[1].error.retryable);
    conformance_reads(c, all_items,
                      "[{'id':1,'name':'a'},{'id':2,'name':'b'},{'id':3,'name':'c'}]");
    conformance_reads(c, "SELECT id, item_id FROM child", "[{'id':2,'item_id':1}]");
}

static void a_deferred_constraint_may_be_met_before_the_unit_of_work_ends(struct conformance *c)
{
    if (!c->engine->deferrable)
        return;
    make_children(c);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(conformance_exec(c, work, "INSERT INTO child VALUES (1, 7)", NULL) == FH_OK);
    EXPECT(conformance_exec(c, work, "INSERT INTO item VALUES (7, 'late')", NULL) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
}

static void a_failed_unit_of_work_leaves_the_others_of_its_group_committed(struct conformance *c)
{
    make_items(c);
    struct member members[] = {{.sql = "INSERT INTO item VALUES (1, 'a')"},
                               {.sql = "INSERT INTO item VALUES (2, 'a')"},
                               {.sql = "INSERT INTO item VALUES (3, 'c')"}};
    start_members(c, members, 3);
    run_again_alone(members, 3);
    /* On a server they run concurrently, and either may be first. */
    bool first = members[0].code == FH_OK;
    const struct member *loser = &members[first ? 1 : 0];
    EXPECT(members[first ? 0 : 1].code == FH_OK && members[2].code == FH_OK);
    EXPECT(loser->code == FH_CONFLICT && !loser->error.retryable);
    EXPECT(strcmp(loser->error.field, "name") == 0);
    conformance_reads(c, all_items,
                      first ? "[{'id':1,'name':'a'},{'id':3,'name':'c'}]"
                            : "[{'id':2,'name':'a'},{'id':3,'name':'c'}]");
}

static void
a_statement_that_rolls_back_the_transaction_costs_only_its_own_unit_of_work(struct conformance *c)
{
    if (!c->engine->insert_or_rollback)
        return;
    char sql[128];
    make_items(c);
    snprintf(sql, sizeof sql, "%s item VALUES (9, 'a')", c->engine->insert_or_rollback);
    struct member members[] = {{.sql = "INSERT INTO item VALUES (1, 'a')"},
                               {.sql = "INSERT INTO item VALUES (2, 'b')"},
                               {.sql = sql},
                               {.sql = "INSERT INTO item VALUES (3, 'c')"}};
    start_members(c, members, 4);
    run_again_alone(members, 4);
    EXPECT(members[0].code == FH_OK && members[1].code == FH_OK && members[3].code == FH_OK);
    EXPECT(members[2].code == FH_CONFLICT && !members[2].error.retryable);
    conformance_reads(c, all_items,
                      "[{'id':1,'name':'a'},{'id':2,'name':'b'},{'id':3,'name':'c'}]");
}

static void
a_unit_of_work_that_goes_on_after_losing_its_transaction_writes_nothing(struct conformance *c)
{
    if (!c->engine->insert_or_rollback)
        return;
    char sql[128];
    make_items(c);
    EXPECT(conformance_does(c, "INSERT INTO item VALUES (1, 'a')", NULL) == FH_OK);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(conformance_exec(c, work, "INSERT INTO item VALUES (2, 'b')", NULL) == FH_OK);
    snprintf(sql, sizeof sql, "%s item VALUES (9, 'a')", c->engine->insert_or_rollback);
    EXPECT(conformance_exec(c, work, sql, NULL) == FH_CONFLICT);
    EXPECT(conformance_exec(c, work, "INSERT INTO item VALUES (3, 'c')", NULL) == FH_CONFLICT);
    EXPECT(conformance_commit(c, work) == FH_CONFLICT);
    conformance_reads(c, all_items, "[{'id':1,'name':'a'}]");
    EXPECT(conformance_does(c, "INSERT INTO item VALUES (4, 'd')", NULL) == FH_OK);
}

/* ---- Values ---- */

static void values_of_all_types_come_back_as_they_were(struct conformance *c)
{
    char sql[256];
    snprintf(sql, sizeof sql,
             "CREATE TABLE thing (id INTEGER PRIMARY KEY, i BIGINT, r DOUBLE PRECISION, t TEXT, "
             "b %s, j %s)",
             c->engine->boolean, c->engine->json);
    EXPECT(conformance_does(c, sql, NULL) == FH_OK);
    static const char *const rows[] = {
        "{'id':1,'i':null,'r':null,'t':null,'b':null,'j':null}",
        "{'id':2,'i':0,'r':0.5,'t':'','b':true,'j':{'a':[1,2,{'b':null}]}}",
        "{'id':3,'i':-7,'r':-1.25,'t':'x','b':false,'j':[]}",
        "{'id':4,'i':9007199254740992,'r':1e300,'t':'\u00e9\u4e2d\U0001f600','b':true,'j':[1]}",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        EXPECT(conformance_does(c, "INSERT INTO thing VALUES (:id, :i, :r, :t, :b, :j)", rows[i]) ==
               FH_OK);
        snprintf(sql, sizeof sql, "SELECT * FROM thing WHERE id = %zu", i + 1);
        char text[512];
        snprintf(text, sizeof text, "[%s]", rows[i]);
        EXPECT(conformance_reads(c, sql, text));
    }
}

#define WIDE 300 /* columns: more than a statement may return */

static bool see_any_row(void *context, const struct sql_row *row)
{
    (void)row;
    *(bool *)context = true;
    return true;
}

/* A column of JSON may write a number in its own way: it is the same number. */
static void numbers_in_a_column_of_json_are_the_same_doubles(struct conformance *c)
{
    static const char *const numbers[] = {"19.99",
                                          "0.30000000000000004",
                                          "1e308",
                                          "-1.7976931348623157e308",
                                          "5e-324",
                                          "1e15",
                                          "2.2250738585072014e-308",
                                          "9.007199254740993e18",
                                          "9007199254740991.0",
                                          "-0.0"};
    char sql[100], text[120];
    snprintf(sql, sizeof sql, "CREATE TABLE told (id INTEGER PRIMARY KEY, j %s)", c->engine->json);
    EXPECT(conformance_does(c, sql, NULL) == FH_OK);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        snprintf(text, sizeof text, "{'id':%zu,'j':{'v':[%s]}}", i, numbers[i]);
        EXPECT(conformance_does(c, "INSERT INTO told VALUES (:id, :j)", text) == FH_OK);
        struct store_work *work = conformance_begin(c, STORE_READ);
        EXPECT(work);
        snprintf(sql, sizeof sql, "SELECT j FROM told WHERE id = %zu", i);
        json_t *rows = conformance_rows(c, work, sql, NULL), *wanted = conformance_json(numbers[i]);
        const json_t *got = json_array_get(json_at(json_array_get(rows, 0), "j.v"), 0);
        bool same = json_is_number(got) && json_number_value(got) == json_number_value(wanted);
        json_decref(wanted);
        json_decref(rows);
        conformance_rollback(c, work);
        if (!same)
            conformance_note(c, __FILE__, __LINE__, numbers[i]);
    }
}

static void a_result_with_too_many_columns_is_refused_and_none_is_left_out(struct conformance *c)
{
    struct text sql;
    struct fh_error error = {0};
    bool seen = false;
    text_init(&sql, TEXT_LENGTH_MAX);
    for (int i = 0; i < WIDE; i++)
        text_printf(&sql, "%s %d AS c%d", i ? "," : "SELECT", i, i);
    struct store_work *work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    enum fh_code code = sql_run(work, sql.data, NULL, 0, see_any_row, &seen, NULL, &error);
    conformance_rollback(c, work);
    text_release(&sql);
    EXPECT(code != FH_OK && !seen);
}

static void integers_beyond_2_to_the_53rd_come_back_as_strings(struct conformance *c)
{
    EXPECT(conformance_does(c, "CREATE TABLE big (i BIGINT)", NULL) == FH_OK);
    EXPECT(conformance_does(c, "INSERT INTO big VALUES (:i)", "{'i':9007199254740993}") == FH_OK);
    EXPECT(conformance_does(c, "INSERT INTO big VALUES (:i)", "{'i':9223372036854775807}") ==
           FH_OK);
    EXPECT(conformance_does(c, "INSERT INTO big VALUES (:i)", "{'i':-9223372036854775808}") ==
           FH_OK);
    conformance_reads(c, "SELECT i FROM big ORDER BY i",
                      "[{'i':'-9223372036854775808'},{'i':'9007199254740993'},"
                      "{'i':'9223372036854775807'}]");
}

static void a_megabyte_is_a_value_like_another(struct conformance *c)
{
    enum { SIZE = 1000000 };
    char sql[64];
    snprintf(sql, sizeof sql, "CREATE TABLE large (t %s)", c->engine->text);
    EXPECT(conformance_does(c, sql, NULL) == FH_OK);
    char *text = malloc(SIZE + 1);
    for (int i = 0; i < SIZE; i++)
        text[i] = (char)('a' + i % 26);
    text[SIZE] = '\0';
    json_t *object = json_pack("{s:s}", "t", text), *rows = NULL;
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    enum fh_code code =
        relational_run(work, "INSERT INTO large VALUES (:t)", &object, 1, 0, NULL, NULL, &c->error);
    if (code == FH_OK)
        code = conformance_commit(c, work);
    if (code == FH_OK) {
        work = conformance_begin(c, STORE_READ);
        rows = conformance_rows(c, work, "SELECT t FROM large", NULL);
        conformance_rollback(c, work);
    }
    const char *read = json_string_at(json_array_get(rows, 0), "t");
    bool same = read && strcmp(read, text) == 0;
    json_decref(rows);
    json_decref(object);
    free(text);
    EXPECT(code == FH_OK);
    EXPECT(same);
}

static void ten_thousand_rows_come_back_and_one_more_is_refused(struct conformance *c)
{
    EXPECT(conformance_does(c, "CREATE TABLE number (n INTEGER PRIMARY KEY)", NULL) == FH_OK);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(conformance_exec(c, work,
                            "INSERT INTO number WITH RECURSIVE counting (n) AS (SELECT 1 UNION ALL "
                            "SELECT n + 1 FROM counting WHERE n < 10001) SELECT n FROM counting",
                            NULL) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    json_t *rows =
        conformance_rows(c, work, "SELECT n FROM number WHERE n <= 10000 ORDER BY n", NULL);
    bool all = json_array_size(rows) == 10000;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        json_int_t n = 0;
        all = all && json_integer_at(json_array_get(rows, i), "n", &n) && n == (json_int_t)i + 1;
    }
    json_decref(rows);
    EXPECT(all);
    rows = conformance_rows(c, work, "SELECT n FROM number", NULL);
    bool refused = rows == NULL && strstr(c->error.message, "10000") != NULL;
    json_decref(rows);
    EXPECT(refused);
}

/* ---- :names ---- */

static bool selects(struct conformance *c, const char *sql, const char *names, const char *text)
{
    struct store_work *work = conformance_begin(c, STORE_READ);
    if (!work)
        return false;
    json_t *rows = conformance_rows(c, work, sql, names);
    conformance_rollback(c, work);
    bool same = conformance_is(c, rows, text);
    json_decref(rows);
    return same;
}

static void names_are_bound_wherever_they_are(struct conformance *c)
{
    EXPECT(selects(c, "SELECT :a + 0 AS x, :b + 0 AS y, :a + 0 AS z", "{'b':2,'a':1}",
                   "[{'x':1,'y':2,'z':1}]"));
    EXPECT(selects(c, "SELECT ':a' AS x -- :b\n, /* :c */ :d + 0 AS y", "{'d':1}",
                   "[{'x':':a','y':1}]"));
    EXPECT(selects(c, "SELECT :text AS x", "{'text':'x); DROP TABLE item; --'}",
                   "[{'x':'x); DROP TABLE item; --'}]"));
    EXPECT(selects(c, "SELECT :a_1 + 0 AS x, :a_10 + 0 AS y", "{'a_10':10,'a_1':1}",
                   "[{'x':1,'y':10}]"));
}

static void names_are_looked_up_in_the_objects_in_order(struct conformance *c)
{
    json_t *objects[] = {conformance_json("{'a':1}"), conformance_json("{'a':2,'b':3}")};
    struct store_work *work = conformance_begin(c, STORE_READ);
    json_t *rows = NULL;
    relational_run(work, "SELECT :a + 0 AS a, :b + 0 AS b", objects, 2, 10, &rows, NULL, &c->error);
    conformance_rollback(c, work);
    conformance_is(c, rows, "[{'a':1,'b':3}]");
    json_decref(rows);
    json_decref(objects[0]);
    json_decref(objects[1]);
}

static void lists_are_arrays_of_any_length(struct conformance *c)
{
    make_items(c);
    for (int i = 1; i <= 4; i++) {
        char names[64];
        snprintf(names, sizeof names, "{'id':%d,'name':'n%d'}", i, i);
        EXPECT(conformance_does(c, "INSERT INTO item VALUES (:id, :name)", names) == FH_OK);
    }
    static const char *const by_ids = "SELECT id FROM item WHERE id IN (:ids) ORDER BY id";
    EXPECT(selects(c, by_ids, "{'ids':[2,4,9]}", "[{'id':2},{'id':4}]"));
    EXPECT(selects(c, by_ids, "{'ids':[3]}", "[{'id':3}]"));
    EXPECT(selects(c, by_ids, "{'ids':[]}", "[]"));
    EXPECT(selects(c, "SELECT id FROM item WHERE name IN ( :names ) AND id NOT IN (:ids)",
                   "{'names':['n1','n2','x'],'ids':[1]}", "[{'id':2}]"));
}

static void a_list_that_is_none_is_refused(struct conformance *c)
{
    make_items(c);
    struct store_work *work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    EXPECT(!conformance_rows(c, work, "SELECT id FROM item WHERE id IN (:ids)", "{'ids':5}"));
    EXPECT(strstr(c->error.message, ":ids"));
}

static void a_missing_name_is_reported(struct conformance *c)
{
    struct store_work *work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    EXPECT(!conformance_rows(c, work, "SELECT :here AS a, :elsewhere AS b", "{'here':1}"));
    EXPECT(c->error.code == FH_UNSUPPORTED);
    EXPECT(strstr(c->error.message, "elsewhere"));
}

static void wrong_sql_is_reported_and_the_unit_of_work_can_end(struct conformance *c)
{
    make_items(c);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(conformance_exec(c, work, "SELEC 1", NULL) == FH_UNSUPPORTED);
    EXPECT(c->error.message[0]);
    conformance_rollback(c, work);
    EXPECT(conformance_does(c, "INSERT INTO item VALUES (1, 'a')", NULL) == FH_OK);
}

/* ---- Constraints ---- */

static void broken_constraints_name_their_field(struct conformance *c)
{
    EXPECT(conformance_does(c,
                            "CREATE TABLE person (id INTEGER PRIMARY KEY, email TEXT NOT NULL "
                            "UNIQUE, age INTEGER, CONSTRAINT age_is_positive CHECK (age > 0))",
                            NULL) == FH_OK);
    EXPECT(conformance_does(c, "INSERT INTO person VALUES (1, 'a@x', 5)", NULL) == FH_OK);
    EXPECT(conformance_does(c, "INSERT INTO person VALUES (2, 'a@x', 5)", NULL) == FH_CONFLICT);
    EXPECT(!c->error.retryable && strcmp(c->error.field, "email") == 0);
    EXPECT(conformance_does(c, "INSERT INTO person VALUES (1, 'b@x', 5)", NULL) == FH_CONFLICT);
    EXPECT(!c->error.retryable && strcmp(c->error.field, "id") == 0);
    EXPECT(conformance_does(c, "INSERT INTO person VALUES (3, NULL, 5)", NULL) == FH_INVALID);
    EXPECT(strcmp(c->error.field, "email") == 0);
    EXPECT(conformance_does(c, "INSERT INTO person VALUES (4, 'c@x', 0)", NULL) == FH_CONFLICT);
    EXPECT(strstr(c->error.message, "age_is_positive"));
    conformance_reads(c, "SELECT id FROM person", "[{'id':1}]");
}

static void a_unit_of_work_goes_on_after_a_broken_constraint_or_is_over(struct conformance *c)
{
    make_items(c);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(conformance_exec(c, work, "INSERT INTO item VALUES (1, 'a')", NULL) == FH_OK);
    EXPECT(conformance_exec(c, work, "INSERT INTO item VALUES (2, 'a')", NULL) == FH_CONFLICT);
    if (c->engine->failure_ends_work) {
        EXPECT(conformance_exec(c, work, "INSERT INTO item VALUES (3, 'c')", NULL) == FH_CONFLICT);
        EXPECT(strcmp(c->error.field, "name") == 0);
        EXPECT(conformance_commit(c, work) == FH_CONFLICT);
        conformance_reads(c, all_items, "[]");
        return;
    }
    EXPECT(conformance_exec(c, work, "INSERT INTO item VALUES (3, 'c')", NULL) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    conformance_reads(c, all_items, "[{'id':1,'name':'a'},{'id':3,'name':'c'}]");
}

static void changes_are_counted(struct conformance *c)
{
    make_items(c);
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    int64_t changes = -1;
    json_t *none = NULL;
    relational_run(work, "INSERT INTO item VALUES (1, 'a'), (2, 'b'), (3, 'c')", &none, 0, 0, NULL,
                   &changes, &c->error);
    EXPECT(changes == 3);
    relational_run(work, "UPDATE item SET name = NULL WHERE id > 1", &none, 0, 0, NULL, &changes,
                   &c->error);
    EXPECT(changes == 2);
    relational_run(work, "DELETE FROM item WHERE id = 9", &none, 0, 0, NULL, &changes, &c->error);
    EXPECT(changes == 0);
    json_t *rows =
        conformance_rows(c, work, "INSERT INTO item VALUES (9, 'z') RETURNING id, name", NULL);
    conformance_is(c, rows, "[{'id':9,'name':'z'}]");
    json_decref(rows);
}

/* ---- Durability ---- */

static void a_store_opened_again_keeps_everything_and_its_incarnation(struct conformance *c)
{
    make_items(c);
    EXPECT(conformance_does(c, "INSERT INTO item VALUES (1, 'a')", NULL) == FH_OK);
    char incarnation[ID_SIZE];
    snprintf(incarnation, sizeof incarnation, "%s", c->store->incarnation);
    EXPECT(strlen(incarnation) == ID_SIZE - 1);
    conformance_reopen(c);
    EXPECT(strcmp(incarnation, c->store->incarnation) == 0);
    conformance_reads(c, all_items, "[{'id':1,'name':'a'}]");
}

static void a_script_of_several_statements_is_one_unit_of_work(struct conformance *c)
{
    const struct sql_ops *sql = c->store->engine->sql;
    struct store_work *work = conformance_begin(c, STORE_WRITE_EXCLUSIVE);
    EXPECT(work);
    EXPECT(sql->script(work, "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1);", &c->error) ==
           FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    work = conformance_begin(c, STORE_WRITE_EXCLUSIVE);
    EXPECT(work);
    EXPECT(sql->script(work, "INSERT INTO a VALUES (2); INSERT INTO nowhere VALUES (3);",
                       &c->error) != FH_OK);
    conformance_rollback(c, work);
    conformance_reads(c, "SELECT x FROM a", "[{'x':1}]");
}

/* ---- Reports ---- */

static void a_report_is_answered_whole_or_the_engine_says_that_it_has_none(struct conformance *c)
{
    struct report report = {.name = "names"};
    struct sql_value values[RELATIONAL_NAMES_MAX];
    json_t *answer = NULL, *given = json_pack("{s:s}", "from", "2");
    make_items(c);
    EXPECT(conformance_does(c, "INSERT INTO item VALUES (1, 'a'), (2, 'b'), (3, 'c')", NULL) ==
           FH_OK);
    bool fits = report_read(&report,
                            "-- freehold: takes from integer\n"
                            "SELECT name FROM item WHERE id >= :from ORDER BY id",
                            c->store->engine->sql);
    EXPECT(fits);
    EXPECT(report_bind(&report, &given, 1, values, &c->error) == FH_OK);
    json_decref(given);
    const struct sql_ops *sql = c->store->engine->sql;
    EXPECT(!sql->report_rights || sql->report_rights(c->store, &c->error) == FH_OK);
    struct store_work *work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    enum fh_code code = report_run(work, &report, values, REPORT_TABLE, &answer, &c->error);
    if (sql->report)
        EXPECT(code == FH_OK &&
               conformance_is(c, answer, "{'columns':['name'],'rows':[['b'],['c']]}"));
    else
        EXPECT(code == FH_UNSUPPORTED && !answer);
    json_decref(answer);
    /* The unit of work reads on, in the same snapshot. */
    json_t *rows = conformance_rows(c, work, "SELECT count(*) AS n FROM item", NULL);
    EXPECT(conformance_is(c, rows, "[{'n':3}]"));
    json_decref(rows);
    EXPECT(conformance_commit(c, work) == FH_OK);
    report_release(&report);
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(a_committed_unit_of_work_is_there_whole_and_a_rolled_back_one_not_at_all),
        CASE(a_unit_of_work_of_its_own_commits_as_well),
        CASE(a_unit_of_work_reads_its_own_writes_and_nobody_elses),
        CASE(a_snapshot_stays_as_it_was),
        CASE(a_new_snapshot_shows_what_was_committed_while_an_older_one_is_open),
        CASE(a_snapshot_shows_no_unit_of_work_whose_commit_is_not_yet_durable),
        CASE(a_reading_work_changes_nothing),
        CASE(units_of_work_that_read_compute_and_write_are_serializable),
        CASE(a_deferred_constraint_fails_its_own_unit_of_work_and_no_other),
        CASE(a_deferred_constraint_may_be_met_before_the_unit_of_work_ends),
        CASE(a_failed_unit_of_work_leaves_the_others_of_its_group_committed),
        CASE(a_statement_that_rolls_back_the_transaction_costs_only_its_own_unit_of_work),
        CASE(a_unit_of_work_that_goes_on_after_losing_its_transaction_writes_nothing),
        CASE(values_of_all_types_come_back_as_they_were),
        CASE(numbers_in_a_column_of_json_are_the_same_doubles),
        CASE(a_result_with_too_many_columns_is_refused_and_none_is_left_out),
        CASE(integers_beyond_2_to_the_53rd_come_back_as_strings),
        CASE(a_megabyte_is_a_value_like_another),
        CASE(ten_thousand_rows_come_back_and_one_more_is_refused),
        CASE(names_are_bound_wherever_they_are),
        CASE(names_are_looked_up_in_the_objects_in_order),
        CASE(lists_are_arrays_of_any_length),
        CASE(a_list_that_is_none_is_refused),
        CASE(a_missing_name_is_reported),
        CASE(wrong_sql_is_reported_and_the_unit_of_work_can_end),
        CASE(broken_constraints_name_their_field),
        CASE(a_unit_of_work_goes_on_after_a_broken_constraint_or_is_over),
        CASE(changes_are_counted),
        CASE(a_store_opened_again_keeps_everything_and_its_incarnation),
        CASE(a_script_of_several_statements_is_one_unit_of_work),
        CASE(a_report_is_answered_whole_or_the_engine_says_that_it_has_none),
    };
    return conformance_main(FH_RELATIONAL, rows, sizeof rows / sizeof *rows);
}
