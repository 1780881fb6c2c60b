/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the user for reports may read: the tables and views of the store's database, but none of
 * Freehold's, and no view that reads one of these, directly, through others or by a function. The
 * service's user gives these rights, when a process that has reports starts, and takes those that
 * should not be there any more. So that he can, his own rights in the database are WITH GRANT
 * OPTION (server.c); he has none elsewhere to give.
 *
 * Rights to a table are kept by its name, and outlive it. What the other user has only he himself
 * is told, so he is asked first. Which views are closed is found by what the server keeps as their
 * text, in which each name is in backticks; of a function's, which is as it was written, every
 * mention counts. So a view may be closed that need not be, and none is open that must not be.
 *
 *     killed between two          each GRANT and REVOKE commits by itself; the next start goes on
 *     two processes at once       one after the other: they hold the lock of migrations
 */

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "engine/mariadb/report_link.h"

#define RIGHTS_MS_MAX 10000

/* ?1: the names that may be read, as JSON; ?2 and ?3: the user, and from where. Each row is a
 * statement. */
static const char changed_rights[] =
    "WITH RECURSIVE body AS (SELECT CAST(table_name AS CHAR CHARACTER SET utf8mb4) AS name,"
    " 1 AS kept, CAST(view_definition AS CHAR CHARACTER SET utf8mb4) AS text"
    " FROM information_schema.views WHERE table_schema = DATABASE()"
    " UNION ALL SELECT CAST(routine_name AS CHAR CHARACTER SET utf8mb4), 0,"
    " CAST(routine_definition AS CHAR CHARACTER SET utf8mb4)"
    " FROM information_schema.routines WHERE routine_schema = DATABASE()),"
    " closed AS (SELECT name FROM body WHERE text IS NULL"
    " OR LOCATE(IF(kept, '`fh_', 'fh_'), LOWER(text)) > 0"
    " UNION SELECT b.name FROM closed c JOIN body b"
    " ON LOCATE(IF(b.kept, CONCAT('`', LOWER(c.name), '`'), LOWER(c.name)), LOWER(b.text)) > 0),"
    " own AS (SELECT CAST(table_name AS CHAR CHARACTER SET utf8mb4) AS name"
    " FROM information_schema.tables WHERE table_schema = DATABASE()"
    " AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED', 'VIEW')"
    " AND LEFT(LOWER(table_name), 3) <> 'fh_'"
    " AND CAST(table_name AS BINARY) NOT IN (SELECT CAST(name AS BINARY) FROM closed)),"
    " given AS (SELECT name FROM JSON_TABLE(?1, '$[*]' COLUMNS (name VARCHAR(64) PATH '$')) j)"
    " SELECT CONCAT('GRANT SELECT ON `', REPLACE(DATABASE(), '`', '``'), '`.`',"
    " REPLACE(name, '`', '``'), '` TO ''', REPLACE(?2, '''', ''''''), '''@''',"
    " REPLACE(?3, '''', ''''''), '''') FROM own"
    " WHERE CAST(name AS BINARY) NOT IN (SELECT CAST(name AS BINARY) FROM given)"
    " UNION ALL SELECT CONCAT('REVOKE SELECT ON `', REPLACE(DATABASE(), '`', '``'), '`.`',"
    " REPLACE(name, '`', '``'), '` FROM ''', REPLACE(?2, '''', ''''''), '''@''',"
    " REPLACE(?3, '''', ''''''), '''') FROM given"
    " WHERE CAST(name AS BINARY) NOT IN (SELECT CAST(name AS BINARY) FROM own)";

struct rights_given {
    json_t *names;
    char user[128], host[256];
};

static void take_report_user(void *context, char **row)
{
    struct rights_given *given = context;
    const char *at = row[0] ? strrchr(row[0], '@') : NULL;
    if (at) {
        snprintf(given->user, sizeof given->user, "%.*s", (int)(at - row[0]), row[0]);
        snprintf(given->host, sizeof given->host, "%s", at + 1);
    }
}

static void take_readable_name(void *context, char **row)
{
    struct rights_given *given = context;
    if (row[0])
        json_array_append_new(given->names, json_string(row[0]));
}

/* Of the user himself. `names`: release it in any case. */
static enum fh_code read_rights_given(struct mariadb_store *store, struct rights_given *ret,
                                      struct fh_error *error)
{
    struct mariadb_report_run run = {.store = store, .error = error};
    struct text sql;
    *ret = (struct rights_given){.names = json_array()};
    run.deadline_ns = world_in_ms(store->base.world, RIGHTS_MS_MAX);
    text_init(&sql, TEXT_LENGTH_MAX);
    text_add(&sql, "SELECT table_name FROM information_schema.table_privileges"
                   " WHERE privilege_type = 'SELECT' AND table_schema = ");
    mariadb_add_quoted(&sql, store->database);
    enum fh_code code = mariadb_report_link_connect(&run);
    if (code == FH_OK)
        code = mariadb_report_link_check(&run);
    if (code == FH_OK)
        code = mariadb_query(run.link, "SELECT CURRENT_USER()", take_report_user, ret, error);
    if (code == FH_OK)
        code = mariadb_query(run.link, sql.data, take_readable_name, ret, error);
    mariadb_report_link_close(&run);
    text_release(&sql);
    return code;
}

static bool take_changed_right(void *context, const struct sql_row *row)
{
    json_t *statements = context;
    json_array_append_new(statements, json_stringn(row->values[0].text, row->values[0].length));
    return true;
}

/* *ret: a new reference, in any case. */
static enum fh_code read_changed_rights(struct store_work *work, json_t **ret,
                                        struct fh_error *error)
{
    struct rights_given given;
    *ret = json_array();
    enum fh_code code = read_rights_given((struct mariadb_store *)work->store, &given, error);
    char *names = json_text(given.names);
    const struct sql_value values[] = {sql_text(names), sql_text(given.user), sql_text(given.host)};
    if (code == FH_OK)
        code = sql_run(work, changed_rights, values, 3, take_changed_right, *ret, NULL, error);
    json_text_free(names);
    json_decref(given.names);
    return code;
}

/* Once the lock of migrations is held another process may have done it. */
static enum fh_code change_report_rights(struct store *base, struct fh_error *error)
{
    struct store_work *work;
    json_t *statements, *statement;
    size_t i;
    enum fh_code code = store_begin(base, STORE_MIGRATE, &work, error);
    if (code != FH_OK)
        return code;
    code = read_changed_rights(work, &statements, error);
    json_array_foreach (statements, i, statement) {
        if (code == FH_OK)
            code = mariadb_query(((struct mariadb_work *)work)->connection,
                                 json_string_value(statement), NULL, NULL, error);
        if (code != FH_OK && strstr(error->native, "42000"))
            error_set(error, FH_UNSUPPORTED,
                      "The service's user lets no other read what is the service's: its rights to "
                      "the database have to be WITH GRANT OPTION.");
    }
    json_decref(statements);
    store_rollback(work); /* each has committed */
    return code == FH_OK ? FH_OK : error->code;
}

enum fh_code mariadb_report_rights(struct store *base, struct fh_error *error)
{
    struct store_work *work;
    json_t *statements;
    if (!((struct mariadb_store *)base)->reports_user[0])
        return error_set(error, FH_UNSUPPORTED,
                         "The configuration's \"store\" names no user for \"reports\".");
    enum fh_code code = store_begin(base, STORE_READ_COMMITTED, &work, error);
    if (code != FH_OK)
        return code;
    code = read_changed_rights(work, &statements, error);
    store_rollback(work);
    bool changed = json_array_size(statements) > 0;
    json_decref(statements);
    return code == FH_OK && changed ? change_report_rights(base, error) : code;
}
