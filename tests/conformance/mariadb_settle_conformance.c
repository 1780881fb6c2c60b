/* SPDX-License-Identifier: Apache-2.0 */
/* Settling on MariaDB: settled.c, and where its marks go. */

#include "engine_mariadb.h"

#include "settled.h"
#include "store/relational/mariadb.h"

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

/* As an option it would be everybody's: it is no time that anyone wants to choose. */
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

static void a_mark_goes_with_the_next_work_of_its_link(struct conformance *c)
{
    struct store *store = NULL;
    json_t *options = server(c);
    struct store_options as = {
        .service = "conformance", .server = options, .model = FH_RELATIONAL, .instance = "1"};
    enum fh_code code = store_mariadb.open(&as, c->harness.world, &store, &c->error);
    json_decref(options);
    EXPECT(code == FH_OK && conformance_does(c, TABLE, NULL) == FH_OK);
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
    static const struct conformance_row own = CASE(a_mark_goes_with_the_next_work_of_its_link);
    return settled_main(&own);
}
