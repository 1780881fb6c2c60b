/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the user for reports may read: the tables and views that are the service's own, so none of
 * Freehold's, and no view that reads one of these, directly or through others. The service's user,
 * whose they are, gives the rights, when a process that has reports starts, and takes those that
 * should not be there any more, from everybody if everybody has them. Functions that run with the
 * rights of whom they belong to are closed to everybody else: by one of these a report would do
 * whatever that may. A schema of the service's user's he may use as well: after a rebuild it is
 * another one (beside.c) than the one that was made for him.
 *
 * Where he is the service's user, or a member of it, nothing is given or taken: the service itself
 * would lose what is taken.
 *
 *     killed before the commit    nothing is changed; the next start begins anew
 *     two processes at once       one after the other: it is a migration's transaction
 *
 * On a server that was prepared by hand somebody else made the user, who may enter, and use the
 * schema, and nothing else (docs/operate/engines/postgresql.md).
 */

#include "base/text.h"
#include "engine/postgresql/internal.h"

#define RIGHTS_SIZE_MAX ((size_t)1 << 20)

/* Each row is a statement to be run. ?1: the user. A view depends on what it reads by its rule. */
static const char missing_rights[] =
    "WITH RECURSIVE here AS (SELECT n.oid AS ns, r.oid AS owner FROM pg_namespace n, pg_roles r"
    " WHERE n.nspname = current_schema() AND r.rolname = current_user),"
    " closed AS (SELECT c.oid FROM pg_class c, here WHERE c.relnamespace = here.ns"
    " AND left(c.relname, 3) = 'fh_'"
    " UNION SELECT w.ev_class FROM closed JOIN pg_depend d ON d.refobjid = closed.oid"
    " AND d.refclassid = CAST('pg_class' AS regclass)"
    " AND d.classid = CAST('pg_rewrite' AS regclass) JOIN pg_rewrite w ON w.oid = d.objid),"
    " own AS (SELECT c.relname, c.oid, c.oid NOT IN (SELECT oid FROM closed) AS opens"
    " FROM pg_class c, here WHERE c.relnamespace = here.ns AND c.relowner = here.owner"
    " AND c.relkind IN ('r', 'p', 'v', 'm'))"
    " SELECT format('GRANT USAGE ON SCHEMA %I TO %I', current_schema(), CAST(?1 AS text))"
    " FROM here, pg_namespace n WHERE n.oid = here.ns AND pg_has_role(n.nspowner, 'USAGE')"
    " AND NOT has_schema_privilege(CAST(?1 AS text), n.oid, 'USAGE')"
    " UNION ALL SELECT format(CASE WHEN opens THEN 'GRANT SELECT ON TABLE %I.%I TO %I'"
    " ELSE 'REVOKE ALL ON TABLE %I.%I FROM PUBLIC, %I' END, current_schema(), relname,"
    " CAST(?1 AS text)) FROM own"
    " WHERE opens <> has_table_privilege(CAST(?1 AS text), oid, 'SELECT')"
    " UNION ALL SELECT format('REVOKE EXECUTE ON ROUTINE %s FROM PUBLIC, %I',"
    " CAST(p.oid AS regprocedure), CAST(?1 AS text))"
    " FROM pg_proc p, here WHERE p.pronamespace = here.ns AND p.proowner = here.owner"
    " AND p.prosecdef AND has_function_privilege(CAST(?1 AS text), p.oid, 'EXECUTE')";

static bool take_right(void *context, const struct sql_row *row)
{
    struct text *script = context;
    text_append(script, row->values[0].text, row->values[0].length);
    text_add(script, ";\n");
    return !script->overflow;
}

static enum fh_code read_missing_rights(struct store_work *work, struct text *script,
                                        struct fh_error *error)
{
    const struct postgresql_store *store = (struct postgresql_store *)work->store;
    const struct sql_value user = sql_text(store->options.reports_user);
    enum fh_code code = sql_run(work, missing_rights, &user, 1, take_right, script, NULL, error);
    if (code == FH_OK && script->overflow)
        code = error_set(error, FH_UNSUPPORTED, "There are too many tables.");
    return code;
}

static bool take_truth(void *context, const struct sql_row *row)
{
    *(bool *)context = row->values[0].integer != 0;
    return false;
}

/* A superuser is a member of every role. */
static enum fh_code check_reports_user(struct store_work *work, struct fh_error *error)
{
    const struct postgresql_store *store = (struct postgresql_store *)work->store;
    const struct sql_value user = sql_text(store->options.reports_user);
    bool member = false;
    enum fh_code code =
        sql_run(work, "SELECT pg_has_role(CAST(?1 AS text), current_user, 'MEMBER')", &user, 1,
                take_truth, &member, NULL, error);
    return code == FH_OK && member ? postgresql_report_unfit(store, error) : code;
}

/* Once the lock of migrations is held another process may have done it. */
static enum fh_code give_rights(struct store *store, struct fh_error *error)
{
    struct store_work *work;
    struct text script;
    enum fh_code code = store_begin(store, STORE_MIGRATE, &work, error);
    if (code != FH_OK)
        return code;
    text_init(&script, RIGHTS_SIZE_MAX);
    code = read_missing_rights(work, &script, error);
    if (code == FH_OK && script.length)
        code = postgresql_script(work, script.data, error);
    text_release(&script);
    if (code == FH_OK)
        return store_commit(work, error);
    store_rollback(work);
    return code;
}

enum fh_code postgresql_report_rights(struct store *base, struct fh_error *error)
{
    const struct postgresql_store *store = (struct postgresql_store *)base;
    struct store_work *work;
    struct text script;
    if (!store->options.reports_user[0])
        return error_set(error, FH_UNSUPPORTED,
                         "The configuration's \"store\" names no user for \"reports\".");
    enum fh_code code = store_begin(base, STORE_READ_COMMITTED, &work, error);
    if (code != FH_OK)
        return code;
    text_init(&script, RIGHTS_SIZE_MAX);
    code = check_reports_user(work, error);
    if (code == FH_OK)
        code = read_missing_rights(work, &script, error);
    bool missing = script.length > 0;
    text_release(&script);
    store_rollback(work);
    return code == FH_OK && missing ? give_rights(base, error) : code;
}
