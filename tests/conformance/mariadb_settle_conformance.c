/* SPDX-License-Identifier: Apache-2.0 */
/* Settling on MariaDB: settled.c, and where its marks go. */

#include "engine_mariadb.h"

#include <sys/stat.h>

#include "service/runtime.h"
#include "settled.h"
#include "engine/mariadb/internal.h"

#define TABLE "CREATE TABLE written (id BIGINT PRIMARY KEY AUTO_INCREMENT, n INTEGER)"

static struct mariadb_store *own_of(struct store *store)
{
    return (struct mariadb_store *)store;
}

static json_t *server(struct conformance *c)
{
    return mariadb_test_server(&c->harness);
}

static int port(struct conformance *c)
{
    json_t *options = server(c);
    int found = (int)json_integer_value(json_object_get(options, "port"));
    json_decref(options);
    return found;
}

static json_t *over(int port)
{
    return json_pack("{s:s, s:i}", "host", "127.0.0.1", "port", port);
}

/* Not an option for users: nobody wants to choose this time. */
static void hurry(struct store *store)
{
    own_of(store)->works.idle->statement_ms = 500;
}

static struct marks *marks(struct store *store)
{
    return &own_of(store)->marks;
}

static void overdue(struct store *store)
{
    own_of(store)->marks.seen_ns = INT64_MIN / 2;
}

static enum fh_code drop_marks(struct conformance *c)
{
    char sql[200];
    json_t *options = server(c);
    const char *database = json_string_at(options, "database");
    snprintf(sql, sizeof sql, "DROP TABLE %s.fh_mark, %s.fh_opening", database, database);
    json_decref(options);
    return mariadb_test_administer(&c->harness, sql, NULL, NULL, &c->error);
}

const struct settled_on settled = {
    .name = "mariadb",
    .table = TABLE,
    .messages = {"SET NAMES", "LOCK IN SHARE MODE"},
    .ask = "LOCK IN SHARE MODE",
    .day_later = "UPDATE fh_opening SET seen = seen - INTERVAL 25 HOUR",
    .unseen = "seen < UTC_TIMESTAMP() - INTERVAL 1 DAY",
    .left = "[{'n':1}]", /* the last one of a link that is kept */
    .format = "3",
    .server = server,
    .port = port,
    .over = over,
    .hurry = hurry,
    .marks = marks,
    .overdue = overdue,
    .drop_marks = drop_marks,
};

static enum fh_code open_at(struct conformance *c, json_t *change, struct store **ret)
{
    json_t *options = server(c);
    json_object_update_new(options, change);
    struct store_options as = {
        .service = "conformance", .server = options, .model = FH_RELATIONAL, .instance = "1"};
    enum fh_code code = engine_mariadb.store->open(&as, c->harness.world, ret, &c->error);
    json_decref(options);
    return code;
}

/* One migration, which makes a table. False: it could not be written. */
static bool put_migration(struct conformance *c, char folder[static 256])
{
    char path[300];
    snprintf(folder, 256, "%s/migrations", c->harness.folder);
    snprintf(path, sizeof path, "%s/0001_more.sql", folder);
    mkdir(folder, 0700);
    FILE *file = fopen(path, "we");
    return file && fputs("CREATE TABLE more (id INTEGER)", file) >= 0 && fclose(file) == 0;
}

/* Creating a table can't be recorded in the same commit, and must not be done twice. */
static void a_statement_that_was_done_is_counted_though_the_link_dies(struct conformance *c)
{
    static const struct link_plan again[] = {
        {.marker = "LOCK IN SHARE MODE", .how = LINK_CUT_AFTER},
        {.marker = "VALUES", .how = LINK_CUT_BEFORE},
        {0}};
    struct link link;
    struct store *store = NULL;
    char folder[256];
    int applied = 0;
    EXPECT(put_migration(c, folder));
    EXPECT(link_open(&link, c->harness.world, port(c), "INSERT INTO fh_mark"));
    EXPECT(link_used(&link, open_at(c, over(link.port), &store) == FH_OK));
    link.also = "COMMIT";
    link.then = again;
    link.next = LINK_CUT_BEFORE;
    enum fh_code code = service_migrate(store, folder, &applied, &c->error);
    bool met = link.next == LINK_WHOLE;
    store_close(store);
    link_close(&link);
    EXPECT(code == FH_OK && applied == 1 && met);
    EXPECT(conformance_reads(c, "SELECT count(*) AS n FROM more", "[{'n':0}]"));
    EXPECT(conformance_reads(c, "SELECT count(*) AS n FROM fh_migration_open", "[{'n':0}]"));
}

static void a_mark_goes_with_the_next_unit_of_work_of_its_link(struct conformance *c)
{
    struct store *store = NULL;
    EXPECT(open_at(c, json_object(), &store) == FH_OK);
    EXPECT(conformance_does(c, TABLE, NULL) == FH_OK);
    char sql[120];
    snprintf(sql, sizeof sql, "SELECT count(*) AS n FROM fh_mark WHERE opening = %lld",
             (long long)marks(store)->opening);
    bool good = true;
    for (int i = 0; i < 5 && good; i++)
        good =
            settled_write(store, i, &c->error) == FH_OK && conformance_reads(c, sql, "[{'n':1}]");
    store_close(store);
    EXPECT(good);
}

int main(void)
{
    static const struct conformance_row own[] = {
        CASE(a_mark_goes_with_the_next_unit_of_work_of_its_link),
        CASE(a_statement_that_was_done_is_counted_though_the_link_dies),
    };
    return settled_main(own, sizeof own / sizeof *own);
}
