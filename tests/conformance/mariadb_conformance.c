/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only MariaDB has, or has in another way: its types, its errors, how its locks make units of
 * work serializable, statements that commit.
 */

#include "engine_mariadb.h"

#include <stdlib.h>

#include "engine/mariadb/internal.h"

static bool does(struct conformance *c, const char *sql)
{
    return conformance_does(c, sql, NULL) == FH_OK;
}

static bool fails(struct conformance *c, const char *sql, const char *names, enum fh_code code,
                  const char *field)
{
    enum fh_code got = conformance_does(c, sql, names);
    bool as_wanted = got == code && !c->error.retryable && strcmp(c->error.field, field) == 0;
    if (!as_wanted)
        fprintf(stderr, "# %s: code %d, field \"%s\", %s\n", sql, (int)got, c->error.field,
                c->error.message);
    return as_wanted;
}

/* ---- Types ---- */

static void each_type_comes_as_json_has_it(struct conformance *c)
{
    EXPECT(does(c, "CREATE TABLE typed (id INT PRIMARY KEY, tiny TINYINT, small SMALLINT UNSIGNED,"
                   " big BIGINT UNSIGNED, yes BOOLEAN, flag BIT(1), bits BIT(12), f FLOAT,"
                   " d DOUBLE, money DECIMAL(30,2), y YEAR, c CHAR(3), v VARCHAR(20),"
                   " e ENUM('red','green'), s SET('a','b'), u UUID, j JSON, raw BLOB,"
                   " fixed BINARY(3), day DATE, at TIME, exactly TIME(3), t DATETIME,"
                   " t6 DATETIME(6), stamp TIMESTAMP(3) NULL)"));
    EXPECT(does(c, "INSERT INTO typed VALUES (1, -128, 65535, 18446744073709551615, TRUE, b'1',"
                   " b'101010101010', 0.1, 0.1, 12345678901234567890123456.70, 2026, 'abc', 'x',"
                   " 'green', 'a,b', '123e4567-e89b-12d3-a456-426614174000', '{\"a\": [1]}',"
                   " x'00ff10', x'010203', '2026-02-28', '-13:14:15', '01:02:03.5',"
                   " '2026-11-20 11:25:39', '2026-11-20 11:25:39.123456',"
                   " '2026-11-20 11:25:39.1')"));
    EXPECT(does(c, "INSERT INTO typed (id) VALUES (2)"));
    EXPECT(conformance_reads(
        c, "SELECT * FROM typed WHERE id = 1",
        "[{'id':1,'tiny':-128,'small':65535,'big':'18446744073709551615','yes':true,'flag':true,"
        "'bits':2730,'f':0.1,'d':0.1,'money':'12345678901234567890123456.70','y':2026,'c':'abc',"
        "'v':'x','e':'green','s':'a,b','u':'123e4567-e89b-12d3-a456-426614174000','j':{'a':[1]},"
        "'raw':'AP8Q','fixed':'AQID','day':'2026-02-28','at':'-13:14:15','exactly':'01:02:03.500',"
        "'t':'2026-11-20T11:25:39.000Z','t6':'2026-11-20T11:25:39.123456Z',"
        "'stamp':'2026-11-20T11:25:39.100Z'}]"));
    conformance_reads(c,
                      "SELECT tiny, big, yes, f, money, u, j, raw, day, at, t, stamp FROM typed"
                      " WHERE id = 2",
                      "[{'tiny':null,'big':null,'yes':null,'f':null,'money':null,'u':null,"
                      "'j':null,'raw':null,'day':null,'at':null,'t':null,'stamp':null}]");
}

static void a_time_as_json_writes_it_goes_into_any_column(struct conformance *c)
{
    static const char *const names = "{'id':1,'t':'2026-11-20T11:25:39.123Z'}";
    EXPECT(does(c, "CREATE TABLE timed (id INT PRIMARY KEY, a DATETIME(3), b TIMESTAMP(3) NULL,"
                   " c TEXT)"));
    for (int i = 0; i < 2; i++) { /* the second time it is known */
        EXPECT(does(c, "DELETE FROM timed"));
        EXPECT(conformance_does(c, "INSERT INTO timed (id, a, b) VALUES (:id, :t, :t)", names) ==
               FH_OK);
        EXPECT(conformance_does(c, "UPDATE timed SET c = :t WHERE a = :t", names) == FH_OK);
    }
    EXPECT(conformance_reads(c, "SELECT a, b, c FROM timed",
                             "[{'a':'2026-11-20T11:25:39.123Z','b':'2026-11-20T11:25:39.123Z',"
                             "'c':'2026-11-20T11:25:39.123Z'}]"));
    EXPECT(fails(c, "INSERT INTO timed (id, a) VALUES (2, :t)", "{'t':'2026-13-20T11:25:39Z'}",
                 FH_INVALID, "a"));
}

static void texts_compare_byte_by_byte_and_hold_all_of_unicode(struct conformance *c)
{
    EXPECT(does(c, "CREATE TABLE word (w VARCHAR(50) PRIMARY KEY)"));
    EXPECT(does(c, "INSERT INTO word VALUES ('a'), ('A'), ('a '), ('\u00e4'), ('\U0001f600')"));
    EXPECT(conformance_does(c, "INSERT INTO word VALUES (:w)", "{'w':'\U0001f680 \u4e2d'}") ==
           FH_OK);
    EXPECT(conformance_reads(c, "SELECT w FROM word WHERE w = 'A'", "[{'w':'A'}]"));
    EXPECT(conformance_reads(c, "SELECT w FROM word WHERE w LIKE '\U0001f680%'",
                             "[{'w':'\U0001f680 \u4e2d'}]"));
    conformance_reads(c, "SELECT \"w\" FROM \"word\" WHERE w = 'a' || ' ' AND 'b\\' <> 'b'",
                      "[{'w':'a '}]");
}

/* ---- Lists ---- */

static void lists_find_by_index_whatever_their_elements_are_written_as(struct conformance *c)
{
    EXPECT(does(c, "CREATE TABLE item (id BIGINT PRIMARY KEY, name VARCHAR(20), KEY (name))"));
    EXPECT(does(c, "INSERT INTO item SELECT seq, concat('n', seq) FROM seq_1_to_2000"));
    EXPECT(does(c, "INSERT INTO item VALUES (9223372036854775807, '7')"));
    static const struct {
        const char *where, *names, *text;
    } tries[] = {
        {"id IN (:ids)", "{'ids':['2',4,'9999']}", "[{'id':2},{'id':4}]"},
        {"id IN (:ids)", "{'ids':['9223372036854775807']}", "[{'id':'9223372036854775807'}]"},
        {"name IN (:ids)", "{'ids':[7,'n3','n1',null]}",
         "[{'id':1},{'id':3},{'id':'9223372036854775807'}]"},
        {"id < 4 AND id NOT IN (:ids)", "{'ids':[1,2,5]}", "[{'id':3}]"},
        {"id < 3 AND id NOT IN (:ids)", "{'ids':[]}", "[{'id':1},{'id':2}]"},
        {"id IN (:ids) OR name IN (:ids)", "{'ids':['n5',6]}", "[{'id':5},{'id':6}]"},
    };
    char sql[128];
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        struct store_work *work = conformance_begin(c, STORE_READ_COMMITTED);
        snprintf(sql, sizeof sql, "SELECT id FROM item WHERE %s ORDER BY id", tries[i].where);
        json_t *rows = conformance_rows(c, work, sql, tries[i].names);
        conformance_rollback(c, work);
        bool same = conformance_is(c, rows, tries[i].text);
        json_decref(rows);
        EXPECT(same);
    }
    struct store_work *work = conformance_begin(c, STORE_READ);
    json_t *rows = conformance_rows(c, work, "EXPLAIN SELECT id FROM item WHERE id IN (:ids)",
                                    "{'ids':['2','3','5']}");
    conformance_rollback(c, work);
    const char *type = json_string_at(json_array_get(rows, 0), "type");
    bool ranged = type && strcmp(type, "range") == 0;
    json_decref(rows);
    EXPECT(ranged);
}

/* ---- Rows ---- */

struct counting {
    int64_t rows, stop_at, sum;
};

static bool count_row(void *context, const struct sql_row *row)
{
    struct counting *counting = context;
    counting->sum += row->values[0].integer;
    return ++counting->rows != counting->stop_at;
}

static void rows_are_shown_as_they_come_and_may_be_left(struct conformance *c)
{
    static const char *const sql = "SELECT seq, repeat('x', 1000) FROM seq_1_to_100000";
    struct store_work *work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    struct counting all = {0}, some = {.stop_at = 10};
    EXPECT(sql_run(work, sql, NULL, 0, count_row, &all, NULL, &c->error) == FH_OK);
    EXPECT(all.rows == 100000 && all.sum == 100000LL * 100001 / 2);
    EXPECT(sql_run(work, sql, NULL, 0, count_row, &some, NULL, &c->error) == FH_OK);
    EXPECT(some.rows == 10);
    EXPECT(sql_run(work, "SELECT 1", NULL, 0, count_row, &some, NULL, &c->error) == FH_OK);
}

static void more_statements_than_are_kept_prepared_run_all_the_same(struct conformance *c)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    struct counting counting = {0};
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < MARIADB_TEXTS_MAX + 50; i++) {
            char sql[64];
            snprintf(sql, sizeof sql, "SELECT %d", i);
            EXPECT(sql_run(work, sql, NULL, 0, count_row, &counting, NULL, &c->error) == FH_OK);
        }
    }
    int64_t last = MARIADB_TEXTS_MAX + 49;
    EXPECT(counting.sum == last * (last + 1));
}

/* ---- Errors ---- */

static void broken_rules_name_their_column(struct conformance *c)
{
    EXPECT(does(c, "CREATE TABLE parent (id INT PRIMARY KEY)"));
    EXPECT(does(c, "CREATE TABLE child (id INT PRIMARY KEY AUTO_INCREMENT,"
                   " parent_id INT NOT NULL REFERENCES parent (id), code VARCHAR(3) NOT NULL,"
                   " age TINYINT UNSIGNED CHECK (age < 150), day DATE, j JSON,"
                   " UNIQUE KEY by_code (code, age))"));
    EXPECT(does(c, "INSERT INTO parent VALUES (1)"));
    EXPECT(does(c, "INSERT INTO child (parent_id, code, age) VALUES (1, 'a''b', 5)"));
    static const char *const insert = "INSERT INTO `child` (parent_id, code, age, day, j)"
                                      " VALUES (:p, :c, :a, :d, :j)";
    static const struct {
        const char *names;
        enum fh_code code;
        const char *field;
    } tries[] = {
        {"{'p':1,'c':'a\\u0027b','a':5,'d':null,'j':null}", FH_CONFLICT, "code"},
        {"{'p':9,'c':'x','a':5,'d':null,'j':null}", FH_CONFLICT, "parent_id"},
        {"{'p':1,'c':'xxxx','a':5,'d':null,'j':null}", FH_INVALID, "code"},
        {"{'p':1,'c':null,'a':5,'d':null,'j':null}", FH_INVALID, "code"},
        {"{'p':1,'c':'x','a':300,'d':null,'j':null}", FH_INVALID, "age"},
        {"{'p':1,'c':'x','a':'old','d':null,'j':null}", FH_INVALID, "age"},
        {"{'p':1,'c':'x','a':5,'d':'yesterday','j':null}", FH_INVALID, "day"},
        {"{'p':1,'c':'x','a':200,'d':null,'j':null}", FH_CONFLICT, "age"},
    };
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++)
        EXPECT(fails(c, insert, tries[i].names, tries[i].code, tries[i].field));
    EXPECT(fails(c, "INSERT INTO child (code) VALUES ('x')", NULL, FH_INVALID, "parent_id"));
    EXPECT(fails(c, "INSERT INTO child (parent_id, code, j) VALUES (1, 'x', 'no json')", NULL,
                 FH_CONFLICT, "j"));
    EXPECT(fails(c, "DELETE FROM parent WHERE id = 1", NULL, FH_CONFLICT, ""));
    EXPECT(fails(c, "UPDATE child SET code = 'y' WHERE age = 'old'", NULL, FH_INVALID, ""));
    EXPECT(fails(c, "UPDATE child SET age = 1 / (age - age)", NULL, FH_INVALID, ""));
    EXPECT(does(c, "CREATE TRIGGER guard BEFORE DELETE ON child FOR EACH ROW"
                   " SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'children stay'"));
    EXPECT(fails(c, "DELETE FROM child", NULL, FH_CONFLICT, ""));
    EXPECT(strstr(c->error.message, "children stay"));
    EXPECT(fails(c, "INSERT INTO nowhere VALUES (1)", NULL, FH_UNSUPPORTED, ""));
    EXPECT(strstr(c->error.native, "42S02"));
}

/* ---- Units of work that conflict ---- */

struct killing {
    struct conformance *c;
    int rows;
};

static bool kill_the_reader(void *context, const struct sql_row *row)
{
    struct killing *killing = context;
    struct conformance *c = killing->c;
    char sql[64];
    if (killing->rows++ > 0)
        return true;
    snprintf(sql, sizeof sql, "KILL CONNECTION %lld", (long long)row->values[0].integer);
    if (mariadb_test_administer(&c->harness, sql, NULL, NULL, &c->error) != FH_OK)
        conformance_note(c, __FILE__, __LINE__, "the reader is killed");
    return true;
}

static bool says(const struct fh_error *error, const char *what)
{
    if (strstr(error->message, what) && strcmp(error->native, "00000 0") != 0)
        return true;
    fprintf(stderr, "# expected \"%s\", got (%s) %s\n", what, error->native, error->message);
    return false;
}

static void what_fails_among_the_rows_is_reported_with_the_reason(struct conformance *c)
{
    struct counting some = {0};
    struct killing killing = {.c = c};
    struct store_work *work = conformance_begin(c, STORE_READ);
    EXPECT(work);
    EXPECT(sql_run(work,
                   "SELECT seq, (SELECT b.seq FROM seq_1_to_3 b WHERE b.seq <= a.seq)"
                   " FROM seq_1_to_3 a",
                   NULL, 0, count_row, &some, NULL, &c->error) == FH_UNSUPPORTED);
    EXPECT(says(&c->error, "Subquery returns more than 1 row"));
    EXPECT(sql_run(work, "SELECT seq FROM seq_1_to_3", NULL, 0, count_row, &some, NULL,
                   &c->error) == FH_OK);
    /* More than the socket takes, so that the server is still busy with it. */
    EXPECT(sql_run(work, "SELECT CONNECTION_ID(), repeat('x', 1000) FROM seq_1_to_100000", NULL, 0,
                   kill_the_reader, &killing, NULL, &c->error) == FH_UNAVAILABLE);
    EXPECT(killing.rows < 100000);
    EXPECT(says(&c->error, "The store's server is not available now: "));
}

/* Nothing is lost with a link that dies in a unit's first statement, but what was read of it was.
 */
static void no_row_is_given_twice_when_a_link_dies_among_them(struct conformance *c)
{
    static const enum store_mode modes[] = {STORE_WRITE, STORE_READ_COMMITTED};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        struct killing killing = {.c = c};
        struct store_work *work = conformance_begin(c, modes[i]);
        EXPECT(work);
        EXPECT(sql_run(work, "SELECT CONNECTION_ID(), repeat('x', 1000) FROM seq_1_to_100000", NULL,
                       0, kill_the_reader, &killing, NULL, &c->error) == FH_UNAVAILABLE);
        EXPECT(killing.rows < 100000);
        conformance_rollback(c, work);
    }
}

static bool count_id(void *context, const struct sql_row *row)
{
    (void)row;
    ++*(int *)context;
    return true;
}

/* The first row is inserted, and its id given, before the second one's time is refused. */
static void no_row_is_given_twice_when_a_later_ones_time_is_refused(struct conformance *c)
{
    static const char *const texts[] = {
        "INSERT INTO timed (a) VALUES (?1), (?2) RETURNING id",
        "INSERT INTO timed (a) VALUES (NULL), (?1), (?2) RETURNING id"};
    static const char time[] = "2026-11-20T11:25:39Z", later[] = "2026-11-20T11:25:40Z";
    struct sql_value values[] = {sql_text(time), sql_text(later)};
    EXPECT(does(c, "CREATE TABLE timed (id INT AUTO_INCREMENT PRIMARY KEY, a DATETIME(3))"));
    for (int i = 0; i < 2; i++) {
        int given, reruns = 0;
        enum fh_code code;
        do {
            struct store_work *work = conformance_begin(c, STORE_WRITE);
            EXPECT(work);
            given = 0;
            code = sql_run(work, texts[i], values, 2, count_id, &given, NULL, &c->error);
            if (code == FH_OK)
                code = conformance_commit(c, work);
            else
                conformance_rollback(c, work);
        } while (code == FH_CONFLICT && c->error.retryable && ++reruns < 3);
        EXPECT(code == FH_OK);
        EXPECT(given == 2 + i);
    }
    conformance_reads(c, "SELECT count(*) AS n FROM timed", "[{'n':5}]");
}

static void a_failure_without_a_message_is_reported_all_the_same(struct conformance *c)
{
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    struct mariadb_connection *connection = ((struct mariadb_work *)work)->connection;
    struct mariadb_failure numbered = {.number = 1815, .state = "HY000"}, nothing = {0};
    EXPECT(mariadb_fail(connection, &numbered, &c->error) == FH_UNSUPPORTED);
    EXPECT(strstr(c->error.message, ": error 1815, without a message."));
    EXPECT(!connection->broken);
    EXPECT(mariadb_fail(connection, &nothing, &c->error) == FH_UNAVAILABLE);
    EXPECT(strstr(c->error.message, ": error 0, without a message."));
    EXPECT(connection->broken); /* what is on it is not known */
}

struct skewing {
    struct conformance *c;
    int id;
    int *reading;
    enum fh_code code;
    bool retryable;
};

static void skew(void *argument)
{
    struct skewing *skewing = argument;
    struct conformance *c = skewing->c;
    char sql[96];
    struct fh_error error = {0};
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    json_t *rows = conformance_rows(c, work, "SELECT id FROM doctor WHERE on_call = 1", NULL);
    bool both = json_array_size(rows) == 2;
    json_decref(rows);
    EXPECT(both);
    ++*skewing->reading;
    while (*skewing->reading < 2 && !c->failure[0])
        fiber_sleep_until(c->harness.world, world_in_ms(c->harness.world, 1));
    snprintf(sql, sizeof sql, "UPDATE doctor SET on_call = 0 WHERE id = %d", skewing->id);
    skewing->code = sql_run(work, sql, NULL, 0, NULL, NULL, NULL, &error);
    skewing->retryable = error.retryable;
    if (skewing->code == FH_OK) {
        skewing->code = conformance_commit(c, work);
        return;
    }
    /* Its transaction is gone, and the unit of work with it: nothing more of it may happen. */
    EXPECT(conformance_exec(c, work, "UPDATE doctor SET on_call = 7", NULL) == FH_CONFLICT);
    EXPECT(conformance_commit(c, work) == FH_CONFLICT && c->error.retryable);
}

/* Schedule 15 */
static void of_two_works_that_read_all_and_change_one_each_one_runs_again(struct conformance *c)
{
    int reading = 0;
    EXPECT(does(c, "CREATE TABLE doctor (id INT PRIMARY KEY, on_call INT NOT NULL)"));
    EXPECT(does(c, "INSERT INTO doctor VALUES (1, 1), (2, 1)"));
    struct skewing skewings[2] = {{c, 1, &reading}, {c, 2, &reading}};
    for (int i = 0; i < 2; i++)
        conformance_start(c, skew, &skewings[i]);
    conformance_join(c);
    EXPECT(!c->failure[0]);
    int beaten = skewings[0].code == FH_OK ? 1 : 0;
    EXPECT(skewings[!beaten].code == FH_OK);
    EXPECT(skewings[beaten].code == FH_CONFLICT && skewings[beaten].retryable);
    conformance_reads(c, "SELECT count(*) AS n FROM doctor WHERE on_call = 1", "[{'n':1}]");
}

struct counted {
    struct conformance *c;
    int *reading;
    enum fh_code code;
    struct fh_error error;
};

/* Reads what the other one is to add to, then adds to it. */
static void add_counted(void *argument)
{
    struct counted *counted = argument;
    struct conformance *c = counted->c;
    struct counting counting = {0};
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(sql_run(work, "SELECT id FROM entry WHERE list = 1", NULL, 0, count_row, &counting, NULL,
                   &c->error) == FH_OK);
    ++*counted->reading;
    while (*counted->reading < 2 && !c->failure[0])
        fiber_sleep_until(c->harness.world, world_in_ms(c->harness.world, 1));
    counted->code = sql_run(work,
                            "INSERT INTO entry (list, number)"
                            " SELECT 1, COUNT(*) + 1 FROM entry WHERE list = 1",
                            NULL, 0, NULL, NULL, NULL, &counted->error);
    if (counted->code == FH_OK)
        counted->code = conformance_commit(c, work);
    else
        conformance_rollback(c, work);
}

/* The server can't read the next number for the loser, and reports that instead. */
static void a_work_that_is_beaten_at_its_next_number_runs_again(struct conformance *c)
{
    EXPECT(does(c, "CREATE TABLE entry (id INT PRIMARY KEY AUTO_INCREMENT, list INT NOT NULL,"
                   " number INT NOT NULL, KEY (list))"));
    for (int i = 0; i < 8; i++) {
        int reading = 0;
        struct counted counted[2] = {{c, &reading}, {c, &reading}};
        for (int j = 0; j < 2; j++)
            conformance_start(c, add_counted, &counted[j]);
        conformance_join(c);
        EXPECT(!c->failure[0]);
        int beaten = counted[0].code == FH_OK ? 1 : 0;
        EXPECT(counted[!beaten].code == FH_OK);
        EXPECT(counted[beaten].code == FH_CONFLICT && counted[beaten].error.retryable);
    }
    conformance_reads(c, "SELECT count(DISTINCT number) AS n FROM entry", "[{'n':8}]");
}

struct crossing {
    struct conformance *c;
    int id;
    int *holding;
    enum fh_code code;
    bool retryable;
};

/* Changes its own row, then reads all: the other's is among them. */
static void cross(void *argument)
{
    struct crossing *crossing = argument;
    struct conformance *c = crossing->c;
    char sql[96];
    struct fh_error error = {0};
    struct counting counting = {0};
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    snprintf(sql, sizeof sql, "UPDATE doctor SET on_call = 0 WHERE id = %d", crossing->id);
    EXPECT(conformance_exec(c, work, sql, NULL) == FH_OK);
    ++*crossing->holding;
    while (*crossing->holding < 2 && !c->failure[0])
        fiber_sleep_until(c->harness.world, world_in_ms(c->harness.world, 1));
    crossing->code =
        sql_run(work, "SELECT on_call FROM doctor", NULL, 0, count_row, &counting, NULL, &error);
    crossing->retryable = error.retryable;
    enum fh_code code = conformance_commit(c, work);
    EXPECT(code == crossing->code && (code == FH_OK) == (counting.rows == 2));
}

/* The server reports it in place of the rows. */
static void
of_two_units_of_work_that_read_what_the_other_changed_one_is_rerun(struct conformance *c)
{
    int holding = 0;
    EXPECT(does(c, "CREATE TABLE doctor (id INT PRIMARY KEY, on_call INT NOT NULL)"));
    EXPECT(does(c, "INSERT INTO doctor VALUES (1, 1), (2, 1)"));
    struct crossing crossings[2] = {{c, 1, &holding}, {c, 2, &holding}};
    for (int i = 0; i < 2; i++)
        conformance_start(c, cross, &crossings[i]);
    conformance_join(c);
    EXPECT(!c->failure[0]);
    int beaten = crossings[0].code == FH_OK ? 1 : 0;
    EXPECT(crossings[!beaten].code == FH_OK);
    EXPECT(crossings[beaten].code == FH_CONFLICT && crossings[beaten].retryable);
}

#define END_MS 60000

static void a_transaction_that_was_idle_is_rerun(struct conformance *c)
{
    struct world *world = c->harness.world;
    EXPECT(does(c, "CREATE TABLE item (id INT PRIMARY KEY)"));
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(conformance_exec(c, work, "INSERT INTO item VALUES (1)", NULL) == FH_OK);
    const struct mariadb_connection *connection = ((struct mariadb_work *)work)->connection;
    int64_t until_ns = world_in_ms(world, END_MS);
    while (!connection->broken && world_monotonic_ns(world) < until_ns)
        fiber_sleep_until(world, world_in_ms(world, 10));
    EXPECT(connection->broken);
    for (int i = 0; i < 2; i++) {
        EXPECT(conformance_exec(c, work, "INSERT INTO item VALUES (2)", NULL) == FH_CONFLICT);
        EXPECT(c->error.retryable && strstr(c->error.message, "was idle between two statements"));
    }
    EXPECT(conformance_commit(c, work) == FH_CONFLICT && c->error.retryable);
    conformance_reads(c, "SELECT id FROM item", "[]");
    EXPECT(does(c, "INSERT INTO item VALUES (1)"));
}

/* ---- Statements that commit ---- */

static void what_would_commit_half_a_unit_of_work_is_refused(struct conformance *c)
{
    EXPECT(does(c, "CREATE TABLE item (id INT PRIMARY KEY)"));
    struct store_work *work = conformance_begin(c, STORE_WRITE);
    EXPECT(work);
    EXPECT(conformance_exec(c, work, "INSERT INTO item VALUES (1)", NULL) == FH_OK);
    static const char *const tries[] = {"CREATE TABLE other (id INT)",
                                        " -- x\nTRUNCATE item",
                                        "COMMIT",
                                        "/* x */ START TRANSACTION",
                                        "SET autocommit = 1",
                                        "LOCK TABLES item WRITE",
                                        "/*! COMMIT */"};
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++)
        EXPECT(conformance_exec(c, work, tries[i], NULL) == FH_UNSUPPORTED);
    conformance_rollback(c, work);
    conformance_reads(c, "SELECT id FROM item", "[]");
}

static void a_script_may_hold_routines_and_stops_where_it_fails(struct conformance *c)
{
    const struct sql_ops *sql = c->store->engine->sql;
    struct store_work *work = conformance_begin(c, STORE_MIGRATE);
    EXPECT(work);
    EXPECT(sql->script(work,
                       "CREATE TABLE counted (n INT); -- it's a comment;\n"
                       "CREATE PROCEDURE count_to (IN last INT)\n"
                       "BEGIN\n DECLARE i INT DEFAULT 0;\n WHILE i < last DO\n"
                       "  SET i = i + 1;\n  INSERT INTO counted VALUES (i);\n END WHILE;\nEND;\n"
                       "CALL count_to(3);",
                       &c->error) == FH_OK);
    EXPECT(conformance_commit(c, work) == FH_OK);
    EXPECT(conformance_reads(c, "SELECT n FROM counted", "[{'n':1},{'n':2},{'n':3}]"));
    work = conformance_begin(c, STORE_MIGRATE);
    EXPECT(work);
    EXPECT(sql->script(work,
                       "CREATE TABLE made (n INT); ALTER TABLE nowhere ADD x INT;"
                       "CREATE TABLE unmade (n INT);",
                       &c->error) == FH_UNSUPPORTED);
    conformance_rollback(c, work);
    work = conformance_begin(c, STORE_MIGRATE);
    EXPECT(work);
    EXPECT(sql->script(work, "/*!50000 COMMIT */; CREATE TABLE unmade (n INT);", &c->error) ==
           FH_UNSUPPORTED);
    EXPECT(sql->script(work, "SELECT 1 /*! ; COMMIT */;", &c->error) == FH_UNSUPPORTED);
    EXPECT(sql->script(work, "EXECUTE IMMEDIATE 'COMMIT';", &c->error) == FH_UNSUPPORTED);
    EXPECT(sql->script(work, "/*! EXECUTE IMMEDIATE 'COMMIT' */;", &c->error) == FH_UNSUPPORTED);
    EXPECT(sql->script(work, "EXECUTE IMMEDIATE 'DO 1';", &c->error) == FH_OK);
    EXPECT(sql->script(work, "DO '/*! ; */';", &c->error) == FH_OK);
    EXPECT(sql->script(work, "/*!50000 DO 1 */;", &c->error) == FH_OK);
    conformance_rollback(c, work);
    conformance_reads(c,
                      "SELECT table_name AS name FROM information_schema.tables WHERE"
                      " table_schema = DATABASE() AND table_name IN ('made', 'unmade')",
                      "[{'name':'made'}]");
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(each_type_comes_as_json_has_it),
        CASE(a_time_as_json_writes_it_goes_into_any_column),
        CASE(texts_compare_byte_by_byte_and_hold_all_of_unicode),
        CASE(lists_find_by_index_whatever_their_elements_are_written_as),
        CASE(rows_are_shown_as_they_come_and_may_be_left),
        CASE(more_statements_than_are_kept_prepared_run_all_the_same),
        CASE(broken_rules_name_their_column),
        CASE(what_fails_among_the_rows_is_reported_with_the_reason),
        CASE(no_row_is_given_twice_when_a_link_dies_among_them),
        CASE(no_row_is_given_twice_when_a_later_ones_time_is_refused),
        CASE(a_failure_without_a_message_is_reported_all_the_same),
        CASE(of_two_units_of_work_that_read_what_the_other_changed_one_is_rerun),
        CASE(of_two_works_that_read_all_and_change_one_each_one_runs_again),
        CASE(a_work_that_is_beaten_at_its_next_number_runs_again),
        CASE(a_transaction_that_was_idle_is_rerun),
        CASE(what_would_commit_half_a_unit_of_work_is_refused),
        CASE(a_script_may_hold_routines_and_stops_where_it_fails),
    };
    return conformance_main_of("mariadb", FH_RELATIONAL, rows, sizeof rows / sizeof *rows);
}
