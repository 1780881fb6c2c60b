/* SPDX-License-Identifier: Apache-2.0 */
/* Settling on PostgreSQL: settled.c, and where its marks go. */

#include "engine_postgresql.h"

#include <stdlib.h>

#include "settled.h"
#include "engine/engines.h"
#include "engine/postgresql/internal.h"

#define TABLE "CREATE TABLE written (n INTEGER)"
#define COUNT 5

static struct postgresql_store *own_of(struct store *store)
{
    return (struct postgresql_store *)store;
}

static json_t *server(struct conformance *c)
{
    return postgresql_server(&c->harness);
}

static int port(struct conformance *c)
{
    json_t *options = conformance_json(getenv("FREEHOLD_TEST_POSTGRESQL"));
    json_int_t found = 0;
    (void)c;
    json_integer_at(options, "port", &found);
    json_decref(options);
    return (int)found;
}

static json_t *over(int port)
{
    return json_pack("{s:s, s:i, s:i}", "host", "127.0.0.1", "port", port, "statement_timeout_ms",
                     500);
}

static struct marks *marks(struct store *store)
{
    return &own_of(store)->marks;
}

static void overdue(struct store *store)
{
    own_of(store)->marks_trimmed_ns = own_of(store)->marks.seen_ns = INT64_MIN / 2;
}

static enum fh_code drop_marks(struct conformance *c)
{
    char sql[200];
    json_t *options = server(c);
    const char *schema = json_string_at(options, "schema");
    snprintf(sql, sizeof sql,
             "DROP TABLE \"%s\".fh_mark, \"%s\".fh_opening;"
             "DROP FUNCTION \"%s\".fh_recent()",
             schema, schema, schema);
    json_decref(options);
    return postgresql_administer(c->harness.world, sql, &c->error);
}

const struct settled_on settled = {
    .name = "postgresql",
    .table = TABLE,
    .messages = {"application_name", "SET TimeZone", "lock_timeout="},
    .ask = "lock_timeout=",
    .day_later = "UPDATE fh_opening SET seen = seen - interval '25 hours'",
    .unseen = "seen < now() - interval '1 day'",
    .left = "[{'n':0}]",
    .format = "5",
    .server = server,
    .port = port,
    .over = over,
    .marks = marks,
    .overdue = overdue,
    .drop_marks = drop_marks,
};

static void marks_are_removed_once_they_are_answered(struct conformance *c)
{
    struct store *store = NULL;
    json_t *options = server(c);
    struct store_options as = {
        .service = "conformance", .server = options, .model = FH_RELATIONAL, .instance = "1"};
    enum fh_code code =
        engine_named("postgresql")->store->open(&as, c->harness.world, &store, &c->error);
    json_decref(options);
    EXPECT(code == FH_OK && conformance_does(c, TABLE, NULL) == FH_OK);
    struct postgresql_store *own = own_of(store);
    char sql[120];
    bool good = true;
    own->marks_trimmed_ns = INT64_MAX / 2;
    for (int i = 0; i < COUNT && good; i++)
        good = settled_write(store, i, &c->error) == FH_OK;
    snprintf(sql, sizeof sql, "SELECT count(*) AS n FROM fh_mark WHERE opening = %lld",
             (long long)own->marks.opening);
    good = good && conformance_reads(c, sql, "[{'n':5}]");
    own->marks_trimmed_ns = INT64_MIN / 2;
    good = good && settled_write(store, COUNT, &c->error) == FH_OK && own->marks_trimmed_ns > 0;
    good = good && settled_write(store, COUNT + 1, &c->error) == FH_OK; /* after the removal */
    good = good && conformance_reads(c, sql, "[{'n':1}]");
    store_close(store);
    EXPECT(good);
}

int main(void)
{
    static const struct conformance_row own = CASE(marks_are_removed_once_they_are_answered);
    return settled_main(&own, 1);
}
