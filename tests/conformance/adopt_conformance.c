/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores that another tool has migrated, adopted on every relational engine: its table is created
 * here by SQL, as that tool creates it.
 */

#include "conformance.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/text.h"
#include "service/adopt.h"
#include "service/runtime.h"

static const char *const applied_sql = "SELECT version, name FROM fh_migration ORDER BY version";

static bool put(struct conformance *c, const char *name, const char *sql)
{
    char path[256];
    snprintf(path, sizeof path, "%s/migrations", c->harness.folder);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/migrations/%s", c->harness.folder, name);
    FILE *file = fopen(path, "we");
    if (file) {
        fputs(sql, file);
        fclose(file);
    }
    return file != NULL;
}

static enum fh_code adopt(struct conformance *c, const char *from, int64_t version, int *ret)
{
    char path[256];
    snprintf(path, sizeof path, "%s/migrations", c->harness.folder);
    c->error = (struct fh_error){0};
    return service_adopt(c->store, path, from, version, ret, &c->error);
}

static bool adopts(struct conformance *c, const char *from, int64_t version, int expected)
{
    int count = -1;
    if (adopt(c, from, version, &count) == FH_OK && count == expected)
        return true;
    fprintf(stderr, "# adopted %d: %s\n", count, c->error.message);
    return false;
}

/* `said` is a part of the message, and nothing was recorded. */
static bool refuses(struct conformance *c, const char *from, int64_t version, const char *said)
{
    int count = -1;
    enum fh_code code = adopt(c, from, version, &count);
    if (code == FH_INVALID && strstr(c->error.message, said) && count == 0)
        return conformance_reads(c, applied_sql, "[]");
    fprintf(stderr, "# expected \"%s\", got %d: %s\n", said, (int)code, c->error.message);
    return false;
}

static bool does(struct conformance *c, const char *sql)
{
    if (conformance_does(c, sql, NULL) == FH_OK)
        return true;
    fprintf(stderr, "# %s: %s\n", sql, c->error.message);
    return false;
}

/* As Flyway creates it, on each engine. */
static bool make_flyway(struct conformance *c)
{
    char sql[512];
    snprintf(sql, sizeof sql,
             "CREATE TABLE flyway_schema_history (installed_rank INT NOT NULL PRIMARY KEY,"
             " version VARCHAR(50), description VARCHAR(200), type VARCHAR(20) NOT NULL,"
             " script VARCHAR(1000), checksum INT, installed_by VARCHAR(100),"
             " execution_time INT, success %s NOT NULL)",
             c->engine->boolean);
    return does(c, sql);
}

static bool flyway_did(struct conformance *c, int rank, const char *version, const char *type,
                       bool success)
{
    char sql[512];
    snprintf(sql, sizeof sql,
             "INSERT INTO flyway_schema_history (installed_rank, version, type, script, success)"
             " VALUES (%d, %s, '%s', 'V%d__x.sql', %s)",
             rank, version, type, rank, success ? "TRUE" : "FALSE");
    return does(c, sql);
}

static bool make_tables(struct conformance *c)
{
    return put(c, "0001_item.sql", "CREATE TABLE item (id INT PRIMARY KEY, a INT);") &&
           put(c, "0002_name.sql", "ALTER TABLE item ADD COLUMN name VARCHAR(20);") &&
           put(c, "0004_part.sql", "CREATE TABLE part (id INT PRIMARY KEY);") &&
           put(c, "0005_more.sql", "CREATE TABLE more (id INT PRIMARY KEY);") &&
           does(c, "CREATE TABLE item (id INT PRIMARY KEY, a INT, name VARCHAR(20))") &&
           does(c, "CREATE TABLE part (id INT PRIMARY KEY)");
}

static void what_flyway_did_is_adopted_and_the_rest_applied(struct conformance *c)
{
    int applied = 0;
    char path[256];
    EXPECT(make_tables(c) && make_flyway(c));
    EXPECT(flyway_did(c, 1, "NULL", "SCHEMA", true));
    EXPECT(flyway_did(c, 2, "'1'", "SQL", true) && flyway_did(c, 3, "'2'", "SQL", true));
    /* One of its own without a file here, one undone, one repeatable. */
    EXPECT(flyway_did(c, 4, "'3'", "JDBC", true) && flyway_did(c, 5, "NULL", "SQL", true));
    EXPECT(flyway_did(c, 6, "'5'", "SQL", true) && flyway_did(c, 7, "'5'", "UNDO_SQL", true));
    EXPECT(flyway_did(c, 8, "'004'", "SQL", true));
    EXPECT(adopts(c, "flyway", 4, 3));
    EXPECT(conformance_reads(c, applied_sql,
                             "[{'version':1,'name':'0001_item.sql'},{'version':2,'name':"
                             "'0002_name.sql'},{'version':4,'name':'0004_part.sql'}]"));
    EXPECT(adopts(c, "flyway", 4, 0));
    snprintf(path, sizeof path, "%s/migrations", c->harness.folder);
    EXPECT(service_migrate(c->store, path, &applied, &c->error) == FH_OK && applied == 1);
    conformance_reads(c, "SELECT id FROM more", "[]");
}

static void a_baseline_counts_as_done(struct conformance *c)
{
    EXPECT(make_tables(c) && make_flyway(c));
    EXPECT(flyway_did(c, 1, "'2'", "BASELINE", true) && flyway_did(c, 2, "'4'", "SQL", true));
    EXPECT(adopts(c, "flyway", 4, 3));
}

static void what_does_not_fit_flyways_table_is_refused(struct conformance *c)
{
    EXPECT(make_tables(c));
    EXPECT(refuses(c, "flyway", 4, "There is no table flyway_schema_history"));
    EXPECT(make_flyway(c));
    EXPECT(flyway_did(c, 1, "'1'", "SQL", true) && flyway_did(c, 2, "'4'", "SQL", false));
    EXPECT(refuses(c, "flyway", 4, "version 4 in its table as failed"));
    EXPECT(does(c, "DELETE FROM flyway_schema_history WHERE installed_rank = 2"));
    EXPECT(flyway_did(c, 2, "'4'", "SQL", true));
    EXPECT(refuses(c, "flyway", 4, "0002_name.sql is not among what Flyway has done"));
    EXPECT(flyway_did(c, 3, "'2'", "SQL", true));
    EXPECT(refuses(c, "flyway", 2, "has come to 4 in this store, not to 2"));
    EXPECT(refuses(c, "flyway", 5, "has come to 4 in this store, not to 5"));
    EXPECT(flyway_did(c, 4, "'2.1'", "SQL", true));
    EXPECT(refuses(c, "flyway", 4, "a version 2.1 in its table"));
    EXPECT(does(c, "DELETE FROM flyway_schema_history WHERE installed_rank = 4"));
    EXPECT(does(c, "DROP TABLE part"));
    EXPECT(refuses(c, "flyway", 4, "0004_part.sql makes the table part, and the store has none"));
    EXPECT(does(c, "CREATE TABLE part (id INT PRIMARY KEY)"));
    EXPECT(does(c, "ALTER TABLE item DROP COLUMN name"));
    EXPECT(refuses(c, "flyway", 4, "0002_name.sql makes the column item.name"));
    EXPECT(does(c, "ALTER TABLE item ADD COLUMN name VARCHAR(20)"));
    EXPECT(adopts(c, "flyway", 4, 3));
}

static void what_was_applied_here_itself_is_not_adopted(struct conformance *c)
{
    int applied = 0, count = -1;
    char path[256];
    EXPECT(put(c, "0001_item.sql", "CREATE TABLE item (id INT PRIMARY KEY);"));
    snprintf(path, sizeof path, "%s/migrations", c->harness.folder);
    EXPECT(service_migrate(c->store, path, &applied, &c->error) == FH_OK && applied == 1);
    EXPECT(put(c, "0001_item.sql", "CREATE TABLE item (id INT PRIMARY KEY); -- changed"));
    EXPECT(make_flyway(c) && flyway_did(c, 1, "'1'", "SQL", true));
    EXPECT(adopt(c, "flyway", 1, &count) == FH_INVALID);
    EXPECT(strstr(c->error.message, "0001_item.sql is written down in this store as applied here"));
}

/* ---- Liquibase ---- */

static bool make_liquibase(struct conformance *c)
{
    return does(c, "CREATE TABLE DATABASECHANGELOG (ID VARCHAR(255) NOT NULL,"
                   " AUTHOR VARCHAR(255), FILENAME VARCHAR(255), ORDEREXECUTED INT NOT NULL,"
                   " EXECTYPE VARCHAR(10) NOT NULL)");
}

static bool liquibase_did(struct conformance *c, int order, const char *id, const char *how)
{
    char sql[256];
    snprintf(sql, sizeof sql,
             "INSERT INTO DATABASECHANGELOG (ID, ORDEREXECUTED, EXECTYPE) VALUES ('%s', %d, '%s')",
             id, order, how);
    return does(c, sql);
}

static void the_nth_changeset_is_the_migration_numbered_n(struct conformance *c)
{
    EXPECT(make_tables(c));
    EXPECT(refuses(c, "liquibase", 4, "There is no table databasechangelog"));
    EXPECT(make_liquibase(c));
    EXPECT(liquibase_did(c, 10, "add-name", "EXECUTED") && liquibase_did(c, 2, "item", "MARK_RAN"));
    EXPECT(liquibase_did(c, 20, "x", "RERAN") && liquibase_did(c, 30, "part", "SKIPPED"));
    EXPECT(refuses(c, "liquibase", 4, "the changeset part in its table as skipped"));
    EXPECT(does(c, "UPDATE DATABASECHANGELOG SET EXECTYPE = 'EXECUTED' WHERE ID = 'part'"));
    EXPECT(refuses(c, "liquibase", 3, "has come to 4 in this store, not to 3"));
    EXPECT(adopts(c, "liquibase", 4, 3));
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(what_flyway_did_is_adopted_and_the_rest_applied),
        CASE(a_baseline_counts_as_done),
        CASE(what_does_not_fit_flyways_table_is_refused),
        CASE(what_was_applied_here_itself_is_not_adopted),
        CASE(the_nth_changeset_is_the_migration_numbered_n),
    };
    return conformance_main(FH_RELATIONAL, rows, sizeof rows / sizeof rows[0]);
}
