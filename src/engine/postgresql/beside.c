/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store beside the one that serves is another schema of its database, "orders~rebuild" beside
 * "orders": no service has such a name. It has the same user, and so needs nobody's help; he must
 * be allowed to make schemas in the database, and own the one that serves.
 *
 * The comment on a schema says of which rebuild it is, and goes with it when it is renamed:
 *
 *   made    one transaction makes the schema, with its comment, in place of an earlier one
 *   taken   one transaction removes the schema that serves, and gives the other its name
 *
 *   killed before it is durable   nothing has happened
 *   killed after it               whoever opens it next finds the comment, here or there
 *   its answer was lost           the same: who is to take it waits until that has ended
 *
 * What runs in it finds its tables by search_path. So that nothing changes the store that serves, a
 * text that names that schema, or the path, is refused (guard.c). A schema on which something
 * outside of it depends, or in which an extension is, can't be removed; that is refused, too.
 */

#define _GNU_SOURCE
#include "engine/postgresql/beside.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/crash.h"
#include "base/text.h"
#include "store/ledger.h"

#define BESIDE STORE_BESIDE
/* What is longer the server would cut off, and the two names could be one. */
#define SERVING_LENGTH_MAX (int)(sizeof((struct postgresql_options *)0)->schema - sizeof BESIDE)
#define COMMENT_SIZE 96
#define DEPENDENT_SIZE 96
#define COMMENT_OF "freehold rebuild " /* and the id */
#define COMMENT_KEPT "freehold kept"
#define COMMENT_ANY "freehold "
/* Statements here may take long, but wait for nobody for long: what they wait for is about to end.
 */
#define PATIENT                                                                                    \
    "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = '10min';"    \
    " SET LOCAL lock_timeout = '10s';"
#define LISTENERS_OF(schema) "hashtextextended('freehold.listeners." schema "', 0)"

static const char *serving_of(const struct store *store)
{
    return ((const struct postgresql_store *)store)->options.serving;
}

/* ---- What is there ---- */

struct schemas {
    bool known, there;
    char serving_comment[COMMENT_SIZE], comment[COMMENT_SIZE];
    bool may_make, owns;
    char extension[64]; /* in the one that serves; "": none */
};

static void read_schemas(void *context, PGresult *result)
{
    struct schemas *schemas = context;
    if (postgresql_pq.PQnfields(result) != 6 || postgresql_pq.PQntuples(result) != 1)
        return;
    schemas->known = true;
    snprintf(schemas->serving_comment, COMMENT_SIZE, "%s", postgresql_pq.PQgetvalue(result, 0, 0));
    schemas->there = *postgresql_pq.PQgetvalue(result, 0, 1) == 't';
    snprintf(schemas->comment, COMMENT_SIZE, "%s", postgresql_pq.PQgetvalue(result, 0, 2));
    schemas->may_make = *postgresql_pq.PQgetvalue(result, 0, 3) == 't';
    schemas->owns = *postgresql_pq.PQgetvalue(result, 0, 4) == 't';
    snprintf(schemas->extension, sizeof schemas->extension, "%s",
             postgresql_pq.PQgetvalue(result, 0, 5));
}

static enum fh_code look_at_schemas(struct postgresql_connection *connection, const char *serving,
                                    struct schemas *ret, struct fh_error *error)
{
    char sql[1024];
    *ret = (struct schemas){0};
    snprintf(sql, sizeof sql,
             "SELECT coalesce(obj_description(s.oid, 'pg_namespace'), ''), b.oid IS NOT NULL,"
             " coalesce(obj_description(b.oid, 'pg_namespace'), ''),"
             " has_database_privilege(current_database(), 'CREATE'),"
             " pg_has_role(s.nspowner, 'USAGE'),"
             " coalesce((SELECT min(extname) FROM pg_extension WHERE extnamespace = s.oid), '')"
             " FROM pg_namespace s LEFT JOIN pg_namespace b ON b.nspname = '%s" BESIDE "'"
             " WHERE s.nspname = '%s'",
             serving, serving);
    enum fh_code code = postgresql_simple(connection, sql, -1, read_schemas, ret, error);
    if (code == FH_OK && !ret->known)
        code = error_set(error, FH_UNAVAILABLE, "The schema %s is not there.", serving);
    return code;
}

/* Its name is written into statements. */
static bool may_be_named(const char *schema)
{
    return strlen(schema) <= SERVING_LENGTH_MAX && !strpbrk(schema, "'\"\\");
}

static bool is_rebuild_id(const char *id)
{
    size_t length = strlen(id);
    for (size_t i = 0; i < length; i++) {
        if (!isalnum((unsigned char)id[i]) && id[i] != '-')
            return false;
    }
    return length > 0 && length < ID_SIZE;
}

/* ---- What would be removed ---- */

static void read_dependent(void *context, PGresult *result)
{
    if (postgresql_pq.PQntuples(result) == 1)
        snprintf(context, DEPENDENT_SIZE, "%s", postgresql_pq.PQgetvalue(result, 0, 0));
}

/* What is in another schema, or in none, and would be removed with the one that serves: somebody
 * else's view of a table, say. "": nothing. Rights count for nothing here. */
static enum fh_code find_dependent(struct postgresql_connection *connection, const char *serving,
                                   char ret[static DEPENDENT_SIZE], struct fh_error *error)
{
    char sql[2048];
    snprintf(sql, sizeof sql,
             "WITH s AS (SELECT oid FROM pg_namespace WHERE nspname = '%s'), inside AS ("
             "SELECT CAST('pg_class' AS regclass) AS class, oid FROM pg_class"
             " WHERE relnamespace = (SELECT oid FROM s)"
             " UNION ALL SELECT CAST('pg_type' AS regclass), oid FROM pg_type"
             " WHERE typnamespace = (SELECT oid FROM s)"
             " UNION ALL SELECT CAST('pg_proc' AS regclass), oid FROM pg_proc"
             " WHERE pronamespace = (SELECT oid FROM s)"
             " UNION ALL SELECT CAST('pg_namespace' AS regclass), oid FROM s),"
             " dependents AS (SELECT DISTINCT d.classid, d.objid FROM pg_depend d"
             " JOIN inside i ON d.refclassid = i.class AND d.refobjid = i.oid"
             " WHERE d.deptype IN ('n', 'a') AND d.classid <> CAST('pg_default_acl' AS regclass))"
             " SELECT coalesce(min(pg_describe_object(d.classid, d.objid, 0)), '')"
             " FROM dependents d LEFT JOIN pg_class c ON c.oid = coalesce("
             "(SELECT ev_class FROM pg_rewrite WHERE oid = d.objid"
             " AND d.classid = CAST('pg_rewrite' AS regclass)),"
             "(SELECT adrelid FROM pg_attrdef WHERE oid = d.objid"
             " AND d.classid = CAST('pg_attrdef' AS regclass)),"
             "(SELECT tgrelid FROM pg_trigger WHERE oid = d.objid"
             " AND d.classid = CAST('pg_trigger' AS regclass)),"
             "(SELECT polrelid FROM pg_policy WHERE oid = d.objid"
             " AND d.classid = CAST('pg_policy' AS regclass)))"
             " LEFT JOIN pg_namespace n ON n.oid = c.relnamespace"
             " WHERE coalesce(quote_ident(n.nspname),"
             " (pg_identify_object(d.classid, d.objid, 0)).schema, '') <> quote_ident('%s')",
             serving, serving);
    ret[0] = '\0';
    return postgresql_simple(connection, sql, -1, read_dependent, ret, error);
}

static enum fh_code has_no_dependent(struct postgresql_connection *connection, const char *serving,
                                     struct fh_error *error)
{
    char dependent[DEPENDENT_SIZE];
    enum fh_code code = find_dependent(connection, serving, dependent, error);
    if (code != FH_OK || !dependent[0])
        return code;
    return error_set(error, FH_INVALID,
                     "Something outside of the store's schema %s depends on it, and would be "
                     "removed with it: %s.",
                     serving, dependent);
}

/* ---- Opening ---- */

static enum fh_code may_make(const struct postgresql_store *store, const struct schemas *schemas,
                             struct fh_error *error)
{
    const struct postgresql_options *options = &store->options;
    if (!schemas->may_make)
        return error_set(error, FH_UNSUPPORTED,
                         "The store's user may make no schema beside its own: GRANT CREATE ON "
                         "DATABASE \"%s\" TO \"%s\".",
                         options->database, options->user);
    if (!schemas->owns)
        return error_set(error, FH_UNSUPPORTED,
                         "The store's user may not rename its schema: ALTER SCHEMA \"%s\" OWNER TO "
                         "\"%s\".",
                         store->options.serving, options->user);
    if (schemas->extension[0])
        return error_set(error, FH_UNSUPPORTED,
                         "The extension %s is in the store's schema %s, and would be removed with "
                         "it: move it to another schema, and name that where it is used.",
                         schemas->extension, store->options.serving);
    if (schemas->there && strncmp(schemas->comment, COMMENT_ANY, strlen(COMMENT_ANY)) != 0)
        return error_set(error, FH_UNSUPPORTED,
                         "There is a schema %s" BESIDE " already, which no rebuild has made.",
                         store->options.serving);
    return FH_OK;
}

static enum fh_code make_beside(struct postgresql_connection *connection, const char *comment,
                                struct fh_error *error)
{
    char sql[1024];
    const char *serving = connection->store->options.serving;
    snprintf(sql, sizeof sql,
             "BEGIN; " PATIENT " SELECT pg_advisory_xact_lock(" LISTENERS_OF(
                 "%s" BESIDE) ");"
                              " DROP SCHEMA IF EXISTS \"%s" BESIDE
                              "\" CASCADE; CREATE SCHEMA \"%s" BESIDE "\";"
                              " COMMENT ON SCHEMA \"%s" BESIDE "\" IS '%s'; COMMIT",
             serving, serving, serving, serving, comment);
    return postgresql_simple(connection, sql, -1, NULL, NULL, error);
}

/* An exchange whose process was killed may still be under way. */
static enum fh_code await_exchange(struct postgresql_connection *connection, const char *serving,
                                   struct fh_error *error)
{
    char sql[192];
    snprintf(sql, sizeof sql, "SELECT pg_advisory_xact_lock_shared(" LISTENERS_OF("%s") ")",
             serving);
    return postgresql_simple(connection, sql, -1, NULL, NULL, error);
}

static enum fh_code find_or_make(struct postgresql_connection *connection,
                                 const struct store_beside *beside, struct fh_error *error)
{
    char comment[COMMENT_SIZE];
    struct schemas schemas;
    struct postgresql_store *store = connection->store;
    snprintf(store->options.serving, sizeof store->options.serving, "%s", connection->schema);
    if (!may_be_named(store->options.serving) || !is_rebuild_id(beside->id))
        return error_set(error, FH_UNSUPPORTED,
                         "The store's schema %s has a name beside which there is none.",
                         store->options.serving);
    snprintf(comment, sizeof comment, COMMENT_OF "%s", beside->id);
    enum fh_code code = FH_OK;
    if (!beside->makes)
        code = await_exchange(connection, store->options.serving, error);
    if (code == FH_OK)
        code = look_at_schemas(connection, store->options.serving, &schemas, error);
    if (code != FH_OK || (schemas.there && strcmp(schemas.comment, comment) == 0))
        return code;
    if (strcmp(schemas.serving_comment, comment) == 0) {
        if (beside->taken)
            *beside->taken = true;
        return error_set(error, FH_CONFLICT, "The new store was taken already.");
    }
    if (!beside->makes)
        return error_set(error, FH_NOT_FOUND, "The new store is gone: rebuild again.");
    code = may_make(store, &schemas, error);
    if (code == FH_OK)
        code = has_no_dependent(connection, store->options.serving, error);
    return code == FH_OK ? make_beside(connection, comment, error) : code;
}

enum fh_code postgresql_beside_enter(struct postgresql_store *store,
                                     const struct store_beside *beside, struct fh_error *error)
{
    struct postgresql_connection *connection = &store->works[0];
    enum fh_code code = postgresql_connect_first(connection, POSTGRESQL_OPEN_WAIT_MS, error);
    if (code != FH_OK)
        return code;
    code = find_or_make(connection, beside, error);
    postgresql_disconnect(connection);
    if (code != FH_OK)
        return code;
    snprintf(store->options.schema, sizeof store->options.schema, "%.*s" BESIDE, SERVING_LENGTH_MAX,
             store->options.serving);
    return FH_OK;
}

/* ---- Beside the one that serves ---- */

/* On a connection of its own, whatever is under way on others. */
static enum fh_code run_over(struct store *base, const char *sql,
                             void (*visit)(void *context, PGresult *result), void *context,
                             struct fh_error *error)
{
    struct postgresql_connection *connection;
    enum fh_code code = postgresql_take((struct postgresql_store *)base, false, &connection, error);
    if (code != FH_OK)
        return code;
    code = postgresql_simple(connection, sql, -1, visit, context, error);
    if (code != FH_OK)
        postgresql_disconnect(connection); /* it may be inside a transaction */
    postgresql_give_back(connection);
    return code;
}

static void read_truth(void *context, PGresult *result)
{
    if (postgresql_pq.PQntuples(result) == 1)
        *(bool *)context = *postgresql_pq.PQgetvalue(result, 0, 0) == 't';
}

static enum fh_code postgresql_beside_leads(struct store *base, bool *ret, struct fh_error *error)
{
    char sql[512];
    *ret = true;
    snprintf(sql, sizeof sql,
             "SELECT EXISTS (SELECT FROM fh_cursor c WHERE c.source NOT LIKE '%%" LEDGER_ASIDE "%%'"
             " AND c.position > coalesce("
             "(SELECT s.position FROM \"%s\".fh_cursor s"
             " WHERE s.source = c.source AND s.share = c.share), 0))",
             serving_of(base));
    return run_over(base, sql, read_truth, ret, error);
}

/* ---- Joining it with the one that serves ---- */

static enum fh_code postgresql_beside_hold(struct store_work *base, struct fh_error *error)
{
    static const char *const tables[] = {"fh_meta",  "fh_counter", "fh_outbox",    "fh_place",
                                         "fh_saga",  "fh_cursor",  "fh_saga_step", "fh_subscriber",
                                         "fh_round", "fh_parked",  "fh_command",   "fh_timer"};
    struct text sql;
    struct postgresql_work *work = (struct postgresql_work *)base;
    const char *serving = serving_of(base->store);
    FH_ASSERT(base->mode == STORE_MIGRATE);
    text_init(&sql, 2048);
    text_add(&sql, PATIENT " LOCK TABLE ");
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        text_printf(&sql, "%s\"%s\".%s", i ? ", " : "", serving, tables[i]);
    text_add(&sql, " IN SHARE MODE");
    enum fh_code code = postgresql_work_begin(work, error);
    if (code == FH_OK)
        code = postgresql_work_simple(work, sql.data, error);
    text_release(&sql);
    return code;
}

static void add_copy(struct text *sql, const char *serving, const char *table, const char *columns)
{
    text_printf(sql,
                "DELETE FROM %s; INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM"
                " \"%s\".%s;",
                table, table, columns, columns, serving, table);
}

/* Both are of this program's format: it has opened them. */
static enum fh_code postgresql_beside_copy(struct store_work *base, struct fh_error *error)
{
    struct text sql;
    struct postgresql_work *work = (struct postgresql_work *)base;
    const char *serving = serving_of(base->store);
    text_init(&sql, 8192);
    add_copy(&sql, serving, "fh_outbox",
             "seq, position, event_id, type, version, key, prev, time_ms, data, trace");
    add_copy(&sql, serving, "fh_place", "key, position");
    add_copy(&sql, serving, "fh_subscriber", "name, share, incarnation, done, seen, updated_ms");
    add_copy(&sql, serving, "fh_saga",
             "birth, number, name, input, state, status, epoch, deadline_ms, updated_ms, closed,"
             " start_id, owner");
    add_copy(&sql, serving, "fh_saga_step",
             "birth, number, step, element, attempt, target, request, state, answer, receiver,"
             " receiver_position");
    text_printf(&sql,
                "INSERT INTO fh_meta (name, value) SELECT name, value FROM \"%s\".fh_meta"
                " WHERE name NOT IN ('format', '" LEDGER_UNFINISHED "')"
                " ON CONFLICT (name) DO UPDATE SET value = excluded.value;"
                "UPDATE fh_counter c SET position = s.position, epoch = s.epoch, drawn = -1"
                " FROM \"%s\".fh_counter s;"
                "SELECT setval('fh_outbox_seq_seq', last_value, is_called)"
                " FROM \"%s\".fh_outbox_seq_seq",
                serving, serving, serving);
    FH_ASSERT(!sql.overflow);
    enum fh_code code = postgresql_work_begin(work, error);
    if (code == FH_OK)
        code = postgresql_work_simple(work, sql.data, error);
    text_release(&sql);
    return code;
}

/* ---- Taking it ---- */

static enum fh_code remove_serving(struct postgresql_connection *connection, const char *serving,
                                   struct fh_error *error)
{
    char sql[1024];
    snprintf(sql, sizeof sql,
             "BEGIN; " PATIENT " SELECT pg_advisory_xact_lock(" LISTENERS_OF("%s") ")", serving);
    enum fh_code code = postgresql_simple(connection, sql, -1, NULL, NULL, error);
    if (code == FH_OK)
        code = has_no_dependent(connection, serving, error);
    snprintf(sql, sizeof sql, "DROP SCHEMA \"%s\" CASCADE", serving);
    return code == FH_OK ? postgresql_simple(connection, sql, -1, NULL, NULL, error) : code;
}

static enum fh_code take_schema(struct postgresql_connection *connection, struct fh_error *error)
{
    char sql[256];
    const char *serving = connection->store->options.serving;
    enum fh_code code = remove_serving(connection, serving, error);
    CRASH_POINT("beside.removed");
    snprintf(sql, sizeof sql, "ALTER SCHEMA \"%s" BESIDE "\" RENAME TO \"%s\"", serving, serving);
    if (code == FH_OK)
        code = postgresql_simple(connection, sql, -1, NULL, NULL, error);
    if (code == FH_OK)
        code = postgresql_simple(connection, "COMMIT", -1, NULL, NULL, error);
    CRASH_POINT("beside.taken");
    return code;
}

static enum fh_code postgresql_beside_take(struct store *base, struct fh_error *error)
{
    struct postgresql_store *store = (struct postgresql_store *)base;
    struct postgresql_connection *connection;
    enum fh_code code = postgresql_take(store, false, &connection, error);
    if (code != FH_OK)
        return code;
    code = take_schema(connection, error);
    postgresql_disconnect(connection); /* what was not committed is rolled back */
    postgresql_give_back(connection);
    if (code == FH_CONFLICT && error->retryable)
        return error_set(error, FH_UNAVAILABLE,
                         "Somebody uses the store that is to be replaced: try again.");
    return code;
}

/* ---- Leaving it ---- */

static enum fh_code postgresql_beside_keep(struct store *base, struct fh_error *error)
{
    char sql[192];
    snprintf(sql, sizeof sql, "COMMENT ON SCHEMA \"%s\" IS '" COMMENT_KEPT "'",
             ((struct postgresql_store *)base)->options.schema);
    return run_over(base, sql, NULL, NULL, error);
}

static enum fh_code postgresql_beside_sweep(struct store *base, struct fh_error *error)
{
    return run_over(base,
                    "BEGIN; " PATIENT " DO $sweep$\n"
                    "DECLARE\n"
                    "    beside text := current_schema() || '" BESIDE "';\n"
                    "BEGIN\n"
                    "    IF EXISTS (SELECT FROM pg_namespace WHERE nspname = beside\n"
                    "            AND obj_description(oid, 'pg_namespace') LIKE '" COMMENT_OF "%')\n"
                    "            AND pg_try_advisory_xact_lock(\n"
                    "                hashtextextended('freehold.listeners.' || beside, 0)) THEN\n"
                    "        EXECUTE format('DROP SCHEMA %I CASCADE', beside);\n"
                    "    END IF;\n"
                    "END\n"
                    "$sweep$; COMMIT",
                    NULL, NULL, error);
}

const struct beside_ops postgresql_beside = {
    .leads = postgresql_beside_leads,
    .hold = postgresql_beside_hold,
    .copy_published = postgresql_beside_copy,
    .take = postgresql_beside_take,
    .keep = postgresql_beside_keep,
    .sweep = postgresql_beside_sweep,
};
