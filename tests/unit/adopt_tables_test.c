/* SPDX-License-Identifier: Apache-2.0 */
/* Which tables and columns migrations leave behind, by their SQL alone. */

#include "../support/harness.h"

#include "../support/dialect.h"

#include <string.h>

#include "base/json.h"
#include "service/adopt.h"

/* Both in small letters, as {"table": ["column", ...]}. */
static json_t *left_by(const char *sql, const struct sql_dialect *dialect)
{
    char text[4096];
    const char *name, *column;
    json_t *tables = json_object(), *ret = json_object(), *table, *file;
    snprintf(text, sizeof text, "%s", sql);
    struct migration migration = {.version = 1, .name = "0001_a.sql", .sql = text};
    adopt_tables_read(tables, &migration, dialect);
    json_object_foreach (tables, name, table) {
        json_t *columns = json_array();
        json_object_foreach (json_object_get(table, "columns"), column, file)
            json_array_append_new(columns, json_string(column));
        json_object_set_new(ret, name, columns);
    }
    json_decref(tables);
    return ret;
}

static void assert_left(const char *sql, const struct sql_dialect *dialect, const char *expected)
{
    json_t *left = left_by(sql, dialect);
    char *text = json_text(left);
    assert_string_equal(text, expected);
    json_text_free(text);
    json_decref(left);
}

static void columns_are_distinguished_from_what_else_a_table_has(void **state)
{
    (void)state;
    assert_left(
        "CREATE TABLE IF NOT EXISTS shop.Orders (id BIGINT PRIMARY KEY, -- the (first, one\n"
        " \"User Id\" INT NOT NULL REFERENCES users (id), total NUMERIC(10, 2) DEFAULT (1, 2),"
        " note TEXT DEFAULT 'a, b)''c (', PRIMARY KEY (id), CONSTRAINT c CHECK (total > 0),"
        " UNIQUE (total, note), FOREIGN KEY (id) REFERENCES other (id));",
        dialect_of("postgresql"), "{\"orders\":[\"id\",\"user id\",\"total\",\"note\"]}");
    assert_left("CREATE TABLE `order` (`key` INT, n INT AUTO_INCREMENT, KEY by_n (n), INDEX (n),"
                " FULLTEXT KEY words (`key`), t VARCHAR(9) DEFAULT 'it\\'s, (' ) ENGINE=InnoDB;",
                dialect_of("mariadb"), "{\"order\":[\"key\",\"n\",\"t\"]}");
    assert_left("CREATE TABLE [a b] ([c d] TEXT, e) WITHOUT ROWID, STRICT", dialect_of("sqlite"),
                "{\"a b\":[\"c d\",\"e\"]}");
}

static void computed_columns_are_left_out(void **state)
{
    (void)state;
    assert_left("CREATE TABLE a (id INT GENERATED ALWAYS AS IDENTITY, b INT,"
                " c INT GENERATED ALWAYS AS (b + 1) STORED, d INT AS (b * 2) VIRTUAL)",
                dialect_of("postgresql"), "{\"a\":[\"id\",\"b\"]}");
}

static void what_is_altered_is_followed(void **state)
{
    (void)state;
    assert_left("CREATE TABLE a (id INT, b INT, c INT);"
                "ALTER TABLE ONLY a ADD COLUMN IF NOT EXISTS d INT DEFAULT 1, ADD e TEXT,"
                " DROP COLUMN b, ADD CONSTRAINT f UNIQUE (d, e), ALTER COLUMN c SET NOT NULL;"
                "ALTER TABLE a RENAME COLUMN c TO g; ALTER TABLE a RENAME CONSTRAINT f TO h;"
                "ALTER TABLE a RENAME TO z; ALTER TABLE z DROP CONSTRAINT h;",
                dialect_of("postgresql"), "{\"z\":[\"id\",\"d\",\"e\",\"g\"]}");
    assert_left("CREATE TABLE a (id INT, b INT);"
                "ALTER TABLE a ADD (c INT, d VARCHAR(2)), CHANGE COLUMN b e BIGINT NOT NULL,"
                " ADD INDEX by_c (c), MODIFY id BIGINT, DROP KEY by_c;"
                "RENAME TABLE a TO x, y TO w;",
                dialect_of("mariadb"), "{\"x\":[\"id\",\"c\",\"d\",\"e\"]}");
}

static void what_is_dropped_is_not_expected(void **state)
{
    (void)state;
    assert_left(
        "CREATE TABLE a (id INT); CREATE TABLE b (id INT); CREATE TABLE c (id INT);"
        "DROP TABLE IF EXISTS a, shop.b CASCADE; DROP INDEX c; CREATE TEMPORARY TABLE d (i);",
        dialect_of("postgresql"), "{\"c\":[\"id\"]}");
}

static void what_is_no_table_is_passed_over(void **state)
{
    (void)state;
    assert_left(
        "INSERT INTO a VALUES ('CREATE TABLE no (id)'); CREATE INDEX i ON a (id);"
        "CREATE FUNCTION f() RETURNS void AS $x$ CREATE TABLE no (id INT); $x$ LANGUAGE sql;"
        "CREATE VIEW v AS SELECT 1; UPDATE a SET b = 1; CREATE TABLE",
        dialect_of("postgresql"), "{\"\":[]}");
    assert_left("CREATE VIRTUAL TABLE words USING fts5(word)", dialect_of("sqlite"),
                "{\"words\":[]}");
    assert_left("CREATE TABLE b AS SELECT id, n FROM a", dialect_of("sqlite"), "{\"b\":[]}");
}

/* Cut anywhere, it ends. */
static void any_beginning_of_a_statement_is_read_to_its_end(void **state)
{
    (void)state;
    static const char sql[] =
        "ALTER TABLE \"a b\".`c` ADD (d INT DEFAULT 'x''y' /* , */, [e] $t$ z $t$), CHANGE f g INT,"
        " RENAME COLUMN h TO i, DROP j -- k\n, RENAME TO l";
    for (const struct engine *engine = NULL; (engine = dialect_next(engine));) {
        for (size_t length = 0; length < sizeof sql; length++) {
            char text[sizeof sql];
            memcpy(text, sql, length);
            text[length] = '\0';
            json_decref(left_by(text, engine->sql->dialect));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_distinguished_from_what_else_a_table_has),
        cmocka_unit_test(computed_columns_are_left_out),
        cmocka_unit_test(what_is_altered_is_followed),
        cmocka_unit_test(what_is_dropped_is_not_expected),
        cmocka_unit_test(what_is_no_table_is_passed_over),
        cmocka_unit_test(any_beginning_of_a_statement_is_read_to_its_end),
    };
    json_memory_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
