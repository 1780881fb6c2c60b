/* SPDX-License-Identifier: Apache-2.0 */
/* Which statements of new migrations break the version that runs. Each case is one migration, the
 * second of its service, and what is reported of it: "LINE what|LINE what". */

#define _GNU_SOURCE
#include "../support/harness.h"

#include "../support/dialect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "system/check/breaks.h"

static char said[4096], whole[4096];

static void add(void *context, const struct breaking *breaking)
{
    (void)context;
    size_t length = strlen(said);
    const char *what = breaking->judged ? breaking->what : "unread";
    length += (size_t)snprintf(said + length, sizeof said - length, "%s%d %s", length ? "|" : "",
                               breaking->line, what);
    if (breaking->reason)
        snprintf(said + length, sizeof said - length, " (%.*s)", breaking->reason_length,
                 breaking->reason);
    snprintf(whole, sizeof whole, "%s, %s. %s", what, breaking->why,
             breaking->instead ? breaking->instead : "");
}

static void judge(const struct sql_dialect *dialect, const char *sql)
{
    struct migration rows[] = {{.version = 1, .sql = strdup("DROP TABLE applied_long_ago")},
                               {.version = 2, .sql = strdup(sql)}};
    struct migrations all = {rows, 2};
    json_memory_init();
    said[0] = whole[0] = '\0';
    if (!breaks_built_in())
        SKIP_BECAUSE("built without libpg_query");
    breaks_find(&all, 1, dialect, add, NULL);
    free(rows[0].sql);
    free(rows[1].sql);
}

static void assert_said(const char *sql, const char *expected)
{
    judge(dialect_of("postgresql"), sql);
    assert_string_equal(said, expected);
}

static void what_only_adds_breaks_nothing(void **state)
{
    (void)state;
    static const char *const fine[] = {
        "CREATE TABLE b (id BIGINT PRIMARY KEY, a INT NOT NULL UNIQUE CHECK (a > 0))",
        "CREATE TABLE b AS SELECT * FROM a",
        "ALTER TABLE a ADD COLUMN b INT",
        "ALTER TABLE a ADD COLUMN b INT NOT NULL DEFAULT 0",
        "ALTER TABLE a ADD COLUMN b BIGSERIAL NOT NULL",
        "ALTER TABLE a ADD COLUMN b BIGINT GENERATED ALWAYS AS IDENTITY NOT NULL",
        "ALTER TABLE a ADD COLUMN b INT GENERATED ALWAYS AS (c + 1) STORED NOT NULL",
        "ALTER TABLE a ADD COLUMN b INT UNIQUE",
        "ALTER TABLE a ADD COLUMN b INT CHECK (b > 0)",
        "ALTER TABLE a ADD COLUMN b INT REFERENCES c (id)",
        "ALTER TABLE a ALTER b SET DEFAULT 7",
        "ALTER TABLE a ALTER b DROP NOT NULL",
        "ALTER TABLE a DROP CONSTRAINT c",
        "CREATE INDEX i ON a (b)",
        "CREATE INDEX CONCURRENTLY i ON a (b)",
        "DROP INDEX i",
        "ALTER INDEX i RENAME TO j",
        "ALTER TABLE a RENAME CONSTRAINT c TO d",
        "CREATE VIEW v AS SELECT * FROM a",
        "ALTER TYPE e ADD VALUE 'new'",
        "CREATE FUNCTION f() RETURNS INT LANGUAGE sql AS $$ SELECT 1; DROP TABLE a $$",
        "UPDATE a SET b = 1; INSERT INTO a VALUES (1); DELETE FROM a",
        "COMMENT ON TABLE a IS 'DROP TABLE a'",
        "ALTER TABLE a ALTER b SET STATISTICS 1000",
    };
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
        assert_said(fine[i], "");
}

static void what_is_taken_away_breaks(void **state)
{
    (void)state;
    assert_said("DROP TABLE a", "1 drops the table a");
    assert_said("\n\nDROP TABLE IF EXISTS a, s.b CASCADE",
                "3 drops the table a|3 drops the table s.b");
    assert_said("DROP VIEW v", "1 drops the view v");
    assert_said("DROP MATERIALIZED VIEW v", "1 drops the view v");
    assert_said("DROP SEQUENCE s", "1 drops the sequence s");
    assert_said("DROP FUNCTION f(INT)", "1 drops the function f");
    assert_said("DROP TYPE t", "1 drops the type t");
    assert_said("DROP SCHEMA s", "1 drops the schema s");
    assert_said("ALTER TABLE a DROP COLUMN b, DROP IF EXISTS c",
                "1 drops the column a.b|1 drops the column a.c");
    assert_said("TRUNCATE a, b", "1 empties a|1 empties b");
    assert_said("ALTER TABLE a DETACH PARTITION b", "1 detaches a partition of a");
    assert_said("ALTER TABLE a ENABLE ROW LEVEL SECURITY", "1 puts row security on a");
}

static void another_name_or_type_breaks(void **state)
{
    (void)state;
    assert_said("ALTER TABLE a RENAME TO b", "1 renames a");
    assert_said("ALTER TABLE a RENAME COLUMN b TO c", "1 renames a.b");
    assert_said("ALTER TYPE t RENAME TO u", "1 renames t");
    assert_said("ALTER TYPE t RENAME VALUE 'x' TO 'y'", "1 renames the value x");
    assert_said("ALTER TABLE a SET SCHEMA s", "1 moves a to another schema");
    assert_said("ALTER TABLE a ALTER COLUMN b TYPE BIGINT", "1 changes the type of a.b");
}

static void what_binds_older_writers_breaks(void **state)
{
    (void)state;
    assert_said("ALTER TABLE a ALTER b SET NOT NULL", "1 sets a.b NOT NULL");
    assert_said("ALTER TABLE a ADD COLUMN b INT NOT NULL",
                "1 adds the column a.b NOT NULL without a default");
    assert_said("ALTER TABLE a ADD COLUMN b INT PRIMARY KEY",
                "1 adds the column a.b NOT NULL without a default");
    assert_said("ALTER TABLE a ADD COLUMN b INT DEFAULT 1 UNIQUE",
                "1 adds the column a.b with a constraint on its default");
    assert_said("ALTER TABLE a ADD COLUMN b INT DEFAULT 1 REFERENCES c",
                "1 adds the column a.b with a constraint on its default");
    assert_said("ALTER TABLE a ADD CONSTRAINT u UNIQUE (b)", "1 adds a unique constraint to a");
    assert_said("ALTER TABLE a ADD CONSTRAINT u UNIQUE USING INDEX i",
                "1 adds a unique constraint to a");
    assert_said("ALTER TABLE a ADD PRIMARY KEY (b)", "1 adds a primary key to a");
    assert_said("ALTER TABLE a ADD CHECK (b > 0) NOT VALID", "1 adds a check to a");
    assert_said("ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES c", "1 adds a reference to a");
    assert_said("ALTER TABLE a ADD EXCLUDE USING gist (b WITH &&)", "1 adds an exclusion to a");
    assert_said("CREATE UNIQUE INDEX i ON a (b)", "1 adds a unique index to a");
    assert_said("CREATE UNIQUE INDEX i ON a (lower(b))", "1 adds a unique index to a");
    assert_said("ALTER TABLE a ALTER b DROP DEFAULT", "1 drops the default of a.b");
    assert_said("ALTER TABLE a ALTER b DROP IDENTITY", "1 takes from a.b what fills it");
    assert_said("ALTER DOMAIN d SET NOT NULL", "1 sets d NOT NULL");
    assert_said("ALTER DOMAIN d ADD CHECK (VALUE > 0)", "1 adds a check to d");
}

static void what_the_new_migrations_created_is_theirs(void **state)
{
    (void)state;
    assert_said("CREATE TABLE b (c INT);\nALTER TABLE b DROP COLUMN c, ADD d INT NOT NULL;\n"
                "CREATE UNIQUE INDEX i ON b (d); ALTER TABLE b RENAME TO e;\nDROP TABLE e;",
                "");
    assert_said("ALTER TABLE a ADD b INT; ALTER TABLE a ALTER b TYPE BIGINT;"
                "ALTER TABLE a RENAME b TO c; ALTER TABLE a DROP COLUMN c;",
                "");
    assert_said("ALTER TABLE a ADD b INT; ALTER TABLE a ADD UNIQUE (c, b);"
                "CREATE UNIQUE INDEX i ON a (b, c); ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES x",
                "");
    assert_said("ALTER TABLE a ADD b INT DEFAULT 1; ALTER TABLE a ALTER b SET NOT NULL", "");
    assert_said("ALTER TABLE a ALTER b SET DEFAULT 1; UPDATE a SET b = 1 WHERE b IS NULL;"
                "ALTER TABLE a ALTER b SET NOT NULL",
                "");
    assert_said("ALTER TABLE a ADD b INT DEFAULT 1; ALTER TABLE a ALTER b DROP DEFAULT", "");
}

static void but_older_writers_do_not_know_of_it(void **state)
{
    (void)state;
    assert_said("ALTER TABLE a ADD b INT;\nUPDATE a SET b = 1;\nALTER TABLE a ALTER b SET NOT NULL",
                "3 sets a.b NOT NULL");
    assert_said("ALTER TABLE a ADD b INT NOT NULL DEFAULT 1;\nALTER TABLE a ALTER b DROP DEFAULT",
                "2 drops the default of a.b");
    assert_said("ALTER TABLE a ADD b INT DEFAULT 1;\nALTER TABLE a ADD UNIQUE (b)",
                "2 adds a unique constraint to a");
    assert_said("CREATE TABLE b (c INT);\nALTER TABLE a DROP COLUMN c", "2 drops the column a.c");
}

static void what_can_not_be_read_is_reported(void **state)
{
    (void)state;
    assert_said("DO $$ BEGIN DROP TABLE a; END $$", "1 unread");
    assert_said("ALTER TABLE a FROB b;\nDROP TABLE a", "1 unread|2 drops the table a");
    judge(dialect_of("mariadb"),
          "ALTER TABLE a MODIFY COLUMN b INT;\nALTER TABLE `a` DROP COLUMN `b`");
    assert_string_equal(said, "1 unread|2 drops the column a.b");
    judge(dialect_of("sqlite"), "CREATE TABLE a (id INTEGER PRIMARY KEY AUTOINCREMENT, [b] TEXT);"
                                "ALTER TABLE a DROP COLUMN b;\nALTER TABLE [c d] DROP COLUMN `e`");
    assert_string_equal(said, "2 drops the column c d.e");
    judge(dialect_of("mariadb"),
          "CREATE TABLE a (id BIGINT AUTO_INCREMENT PRIMARY KEY);# why; not\n"
          "ALTER TABLE a DROP COLUMN b; ALTER TABLE c ADD d INT NOT NULL");
    assert_string_equal(said, "2 adds the column c.d NOT NULL without a default");
}

static void a_break_that_is_owned_up_to_comes_with_its_reason(void **state)
{
    (void)state;
    assert_said("-- freehold: breaks older versions: nobody has ever used it\n"
                "DROP TABLE a;\nDROP TABLE b;",
                "2 drops the table a (nobody has ever used it)|3 drops the table b");
}

static void each_break_is_reported_with_the_reason_and_what_to_do_instead(void **state)
{
    (void)state;
    judge(dialect_of("postgresql"), "ALTER TABLE orders ADD COLUMN note TEXT NOT NULL");
    assert_string_equal(whole,
                        "adds the column orders.note NOT NULL without a default, which the version "
                        "that runs does not write. Give it a DEFAULT; or add it without NOT NULL, "
                        "release a version that writes it, and set it NOT NULL in a later one.");
    judge(dialect_of("postgresql"), "ALTER TABLE orders DROP COLUMN note");
    assert_string_equal(whole,
                        "drops the column orders.note, which the version that runs may still "
                        "use. First release a version that does not use it, then drop it in "
                        "a later one.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_only_adds_breaks_nothing),
        cmocka_unit_test(what_is_taken_away_breaks),
        cmocka_unit_test(another_name_or_type_breaks),
        cmocka_unit_test(what_binds_older_writers_breaks),
        cmocka_unit_test(what_the_new_migrations_created_is_theirs),
        cmocka_unit_test(but_older_writers_do_not_know_of_it),
        cmocka_unit_test(what_can_not_be_read_is_reported),
        cmocka_unit_test(a_break_that_is_owned_up_to_comes_with_its_reason),
        cmocka_unit_test(each_break_is_reported_with_the_reason_and_what_to_do_instead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
