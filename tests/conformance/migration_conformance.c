/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Migrations on every engine: applied once, whoever starts, and what a failing one leaves. Where
 * engines differ the case goes by what the engine says of itself: whether a change of the schema
 * commits, whether some statements can't run in transactions.
 */

#include "conformance.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "service/runtime.h"

#define STARTERS 4

static const char *const names = "SELECT version, name FROM fh_migration ORDER BY version";

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

static enum fh_code migrate_store(struct conformance *c, struct store *store, int *ret_applied,
                                  struct fh_error *error)
{
    char path[256];
    snprintf(path, sizeof path, "%s/migrations", c->harness.folder);
    *error = (struct fh_error){0};
    return service_migrate(store, path, ret_applied, error);
}

static bool applies(struct conformance *c, int count)
{
    int applied = -1;
    enum fh_code code = migrate_store(c, c->store, &applied, &c->error);
    return code == FH_OK && applied == count;
}

/* `said` is a part of the message. */
static bool fails(struct conformance *c, const char *said)
{
    int applied = -1;
    enum fh_code code = migrate_store(c, c->store, &applied, &c->error);
    if (code == FH_INVALID && strstr(c->error.message, said))
        return true;
    fprintf(stderr, "# expected \"%s\", got %d: %s\n", said, (int)code, c->error.message);
    return false;
}

static void each_is_applied_once_and_in_order(struct conformance *c)
{
    EXPECT(put(c, "0001_a.sql",
               "CREATE TABLE item (id INT PRIMARY KEY);\n"
               "INSERT INTO item VALUES (1);\n"));
    EXPECT(put(c, "0002_b.sql",
               "ALTER TABLE item ADD COLUMN name VARCHAR(20);\n"
               "UPDATE item SET name = 'one;' WHERE id = 1;"));
    EXPECT(applies(c, 2));
    EXPECT(applies(c, 0));
    conformance_reopen(c);
    EXPECT(applies(c, 0));
    EXPECT(conformance_reads(c, "SELECT * FROM item", "[{'id':1,'name':'one;'}]"));
    EXPECT(put(c, "0003_c.sql", "INSERT INTO item VALUES (2, 'two')"));
    EXPECT(applies(c, 1));
    conformance_reads(c, names,
                      "[{'version':1,'name':'0001_a.sql'},{'version':2,'name':'0002_b.sql'},"
                      "{'version':3,'name':'0003_c.sql'}]");
}

static void an_engines_own_migrations_are_in_its_own_folder(struct conformance *c)
{
    char name[128];
    EXPECT(put(c, "0001_a.sql", "CREATE TABLE plain (id INT)"));
    snprintf(name, sizeof name, "%s/migrations/%s", c->harness.folder, c->store->engine->name);
    EXPECT(mkdir(name, 0700) == 0);
    snprintf(name, sizeof name, "%s/0001_a.sql", c->store->engine->name);
    EXPECT(put(c, name, "CREATE TABLE own (id INT)"));
    EXPECT(applies(c, 1));
    conformance_reads(c, "SELECT * FROM own", "[]");
}

static const char *const broken = "CREATE TABLE item (id INT PRIMARY KEY);\n"
                                  "INSERT INTO item VALUES (1);\n\n"
                                  "CREATE TABLE item (id INT PRIMARY KEY);\n";

static void what_fails_leaves_the_store_as_it_was_where_the_engine_can(struct conformance *c)
{
    if (c->store->engine->sql->schema_commits)
        return;
    EXPECT(put(c, "0001_a.sql", broken));
    EXPECT(fails(c, "0001_a.sql failed, nothing of it stands: statement 3, line 4"));
    EXPECT(conformance_reads(c, names, "[]"));
    EXPECT(put(c, "0001_a.sql", "CREATE TABLE item (id INT PRIMARY KEY);"));
    EXPECT(applies(c, 1));
    conformance_reads(c, "SELECT * FROM item", "[]");
}

static void what_fails_reports_where_it_stopped_and_continues_there_if_it_cannot_roll_back(
    struct conformance *c)
{
    if (!c->store->engine->sql->schema_commits)
        return;
    EXPECT(put(c, "0001_a.sql", broken));
    EXPECT(fails(c, "0001_a.sql failed in statement 3, line 4; what is before it stands"));
    EXPECT(conformance_reads(c, "SELECT * FROM item", "[{'id':1}]"));
    EXPECT(conformance_reads(c, "SELECT done, running FROM fh_migration_open",
                             "[{'done':2,'running':0}]"));
    EXPECT(conformance_reads(c, names, "[]"));
    conformance_reopen(c);
    EXPECT(fails(c, "failed in statement 3"));
    EXPECT(put(c, "0001_a.sql",
               "CREATE TABLE item (id INT PRIMARY KEY);\n"
               "INSERT INTO item VALUES (1);\n\n"
               "CREATE TABLE more (id INT PRIMARY KEY);\n"));
    EXPECT(applies(c, 1));
    EXPECT(conformance_reads(c, "SELECT * FROM item", "[{'id':1}]"));
    EXPECT(conformance_reads(c, "SELECT * FROM more", "[]"));
    conformance_reads(c, "SELECT done FROM fh_migration_open", "[]");
}

static void a_cut_off_statement_needs_an_operator_unless_it_may_be_repeated(struct conformance *c)
{
    if (!c->store->engine->sql->schema_commits)
        return;
    EXPECT(put(c, "0001_a.sql", broken));
    EXPECT(fails(c, "failed in statement 3"));
    /* As left by a process that died in that statement, which had been done. */
    EXPECT(conformance_does(c, "UPDATE fh_migration_open SET running = 3", NULL) == FH_OK);
    EXPECT(fails(c, "0001_a.sql was cut off in statement 3, line 4"));
    EXPECT(put(c, "0001_a.sql",
               "CREATE TABLE item (id INT PRIMARY KEY);\n"
               "INSERT INTO item VALUES (1);\n\n"
               "CREATE TABLE IF NOT EXISTS item (id INT PRIMARY KEY);\n"));
    EXPECT(applies(c, 1));
    conformance_reads(c, "SELECT * FROM item", "[{'id':1}]");
}

static void what_can_not_run_in_a_transaction_is_a_migration_of_its_own(struct conformance *c)
{
    if (!c->store->engine->sql->outside)
        return;
    EXPECT(put(c, "0001_a.sql", "CREATE TABLE item (id INT); INSERT INTO item VALUES (1), (1)"));
    EXPECT(put(c, "0002_b.sql",
               "CREATE TABLE more (id INT);\nCREATE INDEX CONCURRENTLY i ON item (id)"));
    EXPECT(fails(c, "0002_b.sql failed, nothing of it stands: statement 2, line 2"));
    EXPECT(strstr(c->error.message, "begins with \"-- freehold: alone\""));
    EXPECT(put(c, "0002_b.sql",
               "-- freehold: alone\nCREATE INDEX CONCURRENTLY i ON item (id);\n"
               "INSERT INTO item VALUES (2);\nVACUUM item;"));
    EXPECT(applies(c, 1));
    EXPECT(conformance_reads(c, "SELECT id FROM item ORDER BY id", "[{'id':1},{'id':1},{'id':2}]"));
    EXPECT(put(c, "0003_c.sql",
               "-- freehold: alone\nCREATE UNIQUE INDEX CONCURRENTLY j ON item (id)"));
    EXPECT(fails(c, "0003_c.sql failed in statement 1, line 2; nothing of it stands"));
    EXPECT(strstr(c->error.message, "An invalid index may be left."));
    EXPECT(put(c, "0003_c.sql",
               "-- freehold: alone\nDROP INDEX CONCURRENTLY IF EXISTS j;\n"
               "DELETE FROM item;\nCREATE UNIQUE INDEX CONCURRENTLY j ON item (id)"));
    EXPECT(applies(c, 1));
    conformance_reads(c, "SELECT done FROM fh_migration_open", "[]");
}

/* ---- Several processes ---- */

struct starter {
    struct conformance *c;
    struct store *store;
    int applied;
    enum fh_code code;
    struct fh_error error;
};

static void start_one(void *argument)
{
    struct starter *starter = argument;
    starter->code = migrate_store(starter->c, starter->store, &starter->applied, &starter->error);
}

static void of_several_who_start_together_one_applies_each(struct conformance *c)
{
    struct starter starters[STARTERS] = {0};
    enum fh_code opened = FH_OK;
    EXPECT(put(c, "0001_a.sql", "CREATE TABLE item (id INT); INSERT INTO item VALUES (1);"));
    EXPECT(put(c, "0002_b.sql", "INSERT INTO item SELECT id + 1 FROM item;"));
    EXPECT(put(c, "0003_c.sql",
               "ALTER TABLE item ADD COLUMN name VARCHAR(20); "
               "INSERT INTO item SELECT id + 2, 'x' FROM item;"));
    for (int i = 0; i < STARTERS; i++) {
        starters[i] = (struct starter){.c = c, .store = c->store};
        if (engine_can(c->store->engine, ENGINE_MANY_INSTANCES) && opened == FH_OK)
            opened = c->engine->open(&c->harness, c->model, &starters[i].store, &c->error);
        if (opened == FH_OK)
            conformance_start(c, start_one, &starters[i]);
    }
    conformance_join(c);
    int applied = 0;
    bool all = opened == FH_OK;
    for (int i = 0; i < STARTERS; i++) {
        all = all && starters[i].code == FH_OK;
        applied += starters[i].applied;
        if (starters[i].code != FH_OK)
            fprintf(stderr, "# starter %d: %s\n", i, starters[i].error.message);
        if (starters[i].store && starters[i].store != c->store)
            c->engine->close(starters[i].store);
    }
    EXPECT(all && applied == 3);
    conformance_reads(c, "SELECT id FROM item ORDER BY id",
                      "[{'id':1},{'id':2},{'id':3},{'id':4}]");
}

int main(void)
{
    static const struct conformance_row rows[] = {
        CASE(each_is_applied_once_and_in_order),
        CASE(an_engines_own_migrations_are_in_its_own_folder),
        CASE(what_fails_leaves_the_store_as_it_was_where_the_engine_can),
        CASE(what_fails_reports_where_it_stopped_and_continues_there_if_it_cannot_roll_back),
        CASE(a_cut_off_statement_needs_an_operator_unless_it_may_be_repeated),
        CASE(what_can_not_run_in_a_transaction_is_a_migration_of_its_own),
        CASE(of_several_who_start_together_one_applies_each),
    };
    return conformance_main(FH_RELATIONAL, rows, sizeof rows / sizeof rows[0]);
}
