/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows that the units of work of a batch insert one after the other, written by one statement of
 * many rows. A statement costs the server as much as two or three rows do.
 *
 *     first batch     its statements go out one by one; the table of the first is remembered
 *     next ones       BEGIN; LOCK TABLE t IN ROW EXCLUSIVE MODE; a look at the catalogue;
 *                     the cursor; then each row waits until
 *                         - 64 of them do, or as many as there are parameters for,
 *                         - another INSERT comes, or anything else is to be sent, or COMMIT
 *
 * Nobody may be able to tell the difference. So a row waits only if
 *
 * - its statement is INSERT INTO table (columns) VALUES (parameters and texts), and nothing
 *   more; nobody asks how many rows it has changed. Each row is converted to its parameters when
 *   its handler runs it: a value that can't be is that handler's failure, as ever.
 * - its transaction is a batch's of several units of work, and its handlers have run nothing but
 *   such statements. After any other, which may have run anything on the server, each goes alone.
 * - the table is plain (PLAIN below): no trigger but a foreign key's, no rule, no policy, and in
 * its defaults and checks nothing that could look at the table, where it would see other rows than
 *   before. A foreign key to itself would find rows of later statements.
 *
 * That look holds until COMMIT: the lock is the one that INSERT takes anyway, and whoever adds a
 * trigger, a rule, a policy, a default or a constraint has to wait for it. It is taken before the
 * transaction's snapshot, which LOCK alone does not take: so what was added before is seen.
 *
 * If such a statement fails, the transaction is rolled back and all its units of work run again,
 * each row by itself, as whoever has rolled back one has forgotten the table. Only what fails there
 * is told. The same goes for LOCK: the table may be gone by then.
 *
 * Rows are sent in powers of two, so that few statements are prepared. Where looking does not pay,
 * since few rows came together, the next batches go without.
 */

#include "engine/postgresql/inserts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "engine/postgresql/internal.h"

#define ROWS_MAX 64
#define BYTES_MAX ((size_t)256 << 10) /* of values that wait */
#define TEXT_SIZE_MAX ((size_t)1 << 20)
#define PAYS_MIN 8      /* rows that a transaction joins */
#define APART_COUNT 256 /* batches that go without, where it does not pay */

/* Defaults without parentheses call nothing; of functions these three look at no table. What is not
 * built in is found by its dependency. Of what is built in, some run a text as SQL. */
/* Whether what `id` names in the catalogue `from` depends on a function or an operator that is not
 * built in. */
#define CALLS(from, id)                                                                            \
    "EXISTS (SELECT FROM pg_catalog.pg_depend p WHERE p.classid ="                                 \
    " CAST('pg_catalog." from "' AS regclass) AND p.objid = " id " AND p.refclassid IN"            \
    " (CAST('pg_catalog.pg_proc' AS regclass), "                                                   \
    "CAST('pg_catalog.pg_operator' AS regclass)))"

#define PLAIN                                                                                      \
    "SELECT 1 FROM pg_catalog.pg_class c WHERE c.oid = (SELECT to_regclass(CAST(?1 AS text)))"     \
    " AND c.relnamespace = to_regnamespace(quote_ident(current_schema()))"                         \
    " AND c.relkind = 'r' AND NOT c.relispartition AND NOT c.relhasrules AND NOT c.relrowsecurity" \
    " AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid"                 \
    " AND NOT t.tgisinternal)"                                                                     \
    " AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid"              \
    " AND a.attnum > 0 AND NOT a.attisdropped"                                                     \
    " AND (SELECT y.typtype IN ('b', 'e') AND (y.typelem = 0 OR (SELECT e.typtype IN ('b', 'e')"   \
    " FROM pg_catalog.pg_type e WHERE e.oid = y.typelem))"                                         \
    " FROM pg_catalog.pg_type y WHERE y.oid = a.atttypid) IS NOT TRUE)"                            \
    " AND NOT EXISTS (SELECT FROM pg_catalog.pg_attrdef d WHERE d.adrelid = c.oid"                 \
    " AND (pg_catalog.pg_get_expr(d.adbin, d.adrelid) !~ '^[^(]*$|^(now|gen_random_uuid)\\(\\)$"   \
    "|^nextval\\(''[^'']*''::regclass\\)$' OR " CALLS(                                             \
        "pg_attrdef",                                                                              \
        "d.oid") "))"                                                                              \
                 " AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = "     \
                 "c.oid"                                                                           \
                 " AND (k.confrelid = c.oid OR (k.contype = 'c' AND "                              \
                 "(pg_catalog.pg_get_constraintdef(k.oid)"                                         \
                 " ~ '_to_xml|ts_stat|ts_rewrite' OR " CALLS(                                      \
                     "pg_constraint",                                                              \
                     "k.oid") "))))"                                                               \
                              " AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE "          \
                              "i.indrelid = c.oid"                                                 \
                              " AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)"             \
                              " AND " CALLS("pg_class", "i.indexrelid") ")"

static struct postgresql_store *store_of_inserts(const struct postgresql_work *work)
{
    return (struct postgresql_store *)work->base.store;
}

/* ---- Statements of many rows ---- */

/* The same for so many rows. */
static enum fh_code statement_of_rows(struct postgresql_work *work, int rows,
                                      struct postgresql_statement **ret, struct fh_error *error)
{
    struct postgresql_statement *one = work->inserts.statement, *many;
    struct text sql;
    text_init(&sql, TEXT_SIZE_MAX);
    text_append(&sql, one->text, one->insert.row);
    for (int i = 0; i < rows; i++) {
        text_append(&sql, ", ", i ? 2 : 0);
        postgresql_insert_add(&sql, one->text, &one->insert, i * one->parameter_count);
    }
    enum fh_code code = postgresql_statement_get(store_of_inserts(work), sql.data, &many, error);
    text_release(&sql);
    if (code != FH_OK)
        return code;
    *ret = many;
    /* The types that the server has inferred for one, which may have changed since. */
    size_t size = (size_t)one->parameter_count * sizeof *one->types;
    if (one->typed && (!many->typed || memcmp(many->types, one->types, size) != 0)) {
        for (int i = 0; i < rows; i++)
            memcpy(many->types + i * one->parameter_count, one->types, size);
        many->typed = true;
        many->serial = ++store_of_inserts(work)->statements.serial;
    }
    return FH_OK;
}

/* ---- Looking at the table ---- */

static struct store_habits *habits_of(const struct postgresql_work *work)
{
    return work->base.joint ? work->base.habits : NULL;
}

/* Unnamed: another statement that had to make room for it would take the snapshot. */
static enum fh_code send_lock(struct postgresql_work *work, const char *table,
                              struct fh_error *error)
{
    struct postgresql_parameters none = {.count = 0};
    char sql[STORE_TABLE_SIZE + 40];
    struct postgresql_statement *statement;
    snprintf(sql, sizeof sql, "LOCK TABLE %s IN ROW EXCLUSIVE MODE", table);
    enum fh_code code = postgresql_statement_get(store_of_inserts(work), sql, &statement, error);
    if (code != FH_OK)
        return code;
    struct postgresql_call *call =
        postgresql_call(work->connection, statement, &none, POSTGRESQL_UNNAMED);
    if (!call)
        return postgresql_work_lost(work, error);
    call->joins = true;
    postgresql_call_defer(call, work);
    return FH_OK;
}

enum fh_code postgresql_inserts_begin(struct postgresql_work *work, struct fh_error *error)
{
    struct store_habits *habits = habits_of(work);
    if (work->begun || !habits || !habits->table[0])
        return FH_OK;
    if (habits->apart) {
        habits->apart--;
        return FH_OK;
    }
    struct sql_value name = {
        .kind = SQL_TEXT, .text = habits->table, .length = strlen(habits->table)};
    unsigned number = work->base.statement;
    work->base.statement = 0; /* none of the handler's */
    enum fh_code code = postgresql_work_begin(work, error);
    if (code == FH_OK)
        code = send_lock(work, habits->table, error);
    if (code == FH_OK)
        code = postgresql_run_later(work, PLAIN, &name, 1, &work->inserts.look, error);
    if (code == FH_OK)
        work->inserts.asked = work->inserts.look->joins = true;
    work->base.statement = number;
    return code;
}

static bool note_plain(void *context, const struct sql_row *row)
{
    (void)row;
    *(bool *)context = true;
    return true;
}

/* Takes the answer. Mostly it came with the cursor's. */
static void inserts_look(struct postgresql_work *work)
{
    struct postgresql_call *call = work->inserts.look;
    if (!call)
        return;
    work->inserts.look = NULL;
    postgresql_sync(work->connection);
    postgresql_call_rows(call, note_plain, &work->inserts.plain);
    postgresql_work_ended(work, call);
    postgresql_call_end(call);
}

/* Whether rows of this statement may wait. The table of a batch's first is remembered. */
static bool may_wait(struct postgresql_work *work, struct store_habits *habits,
                     const struct postgresql_statement *statement)
{
    const char *table = statement->text + statement->insert.table;
    size_t length = statement->insert.table_length;
    if (!length || 2 * statement->parameter_count > POSTGRESQL_PARAMETERS_MAX)
        return false;
    inserts_look(work);
    if (strlen(habits->table) == length && memcmp(habits->table, table, length) == 0)
        return work->inserts.plain;
    if (!habits->apart)
        snprintf(habits->table, sizeof habits->table, "%.*s", (int)length, table);
    work->inserts.plain = false; /* that was another */
    return false;
}

/* ---- Rows ---- */

static int rows_at_once(const struct postgresql_statement *statement)
{
    int rows = ROWS_MAX;
    while (rows * statement->parameter_count > POSTGRESQL_PARAMETERS_MAX)
        rows /= 2;
    return rows;
}

/* Values as they are sent, in memory of their own. */
static void add_values(struct postgresql_inserts *inserts, const struct postgresql_parameters *row)
{
    struct postgresql_parameters *all = inserts->waiting;
    for (int i = 0; i < row->count; i++, all->count++) {
        const char *value = row->values[i];
        size_t length = !value ? 0 : row->formats[i] ? (size_t)row->lengths[i] : strlen(value);
        all->values[all->count] = value ? arena_copy(&all->arena, value, length) : NULL;
        all->lengths[all->count] = row->lengths[i];
        all->formats[all->count] = row->formats[i];
        inserts->bytes += length;
    }
}

static void forget_rows(struct postgresql_inserts *inserts)
{
    inserts->statement->users--;
    inserts->statement = NULL;
    inserts->send = NULL;
    inserts->waiting->count = 0;
    inserts->bytes = 0;
    arena_release(&inserts->waiting->arena);
}

static enum fh_code add_inserted(struct postgresql_work *work,
                                 struct postgresql_statement *statement,
                                 const struct sql_value *values, int count, struct fh_error *error)
{
    struct postgresql_inserts *inserts = &work->inserts;
    struct postgresql_parameters row;
    enum fh_code code = postgresql_parameters_init(&row, statement, values, count, error);
    if (code == FH_OK && inserts->statement && inserts->statement != statement)
        code = postgresql_inserts_send(work, error);
    if (code == FH_OK) {
        if (!inserts->waiting) {
            inserts->waiting = calloc(1, sizeof *inserts->waiting);
            FH_ASSERT(inserts->waiting != NULL);
            arena_init(&inserts->waiting->arena, ARENA_SIZE_MAX * 3);
        }
        if (!inserts->statement)
            statement->users++;
        inserts->statement = statement;
        inserts->send = postgresql_inserts_send;
        add_values(inserts, &row);
    }
    postgresql_parameters_release(&row);
    int rows = code == FH_OK ? inserts->waiting->count / statement->parameter_count : 0;
    if (code == FH_OK && (rows == rows_at_once(statement) || inserts->bytes > BYTES_MAX))
        code = postgresql_inserts_send(work, error);
    return code;
}

/* For a statement that nobody waits for. *ret_taken: its row waits for others. */
static enum fh_code take_inserted(struct postgresql_work *work,
                                  struct postgresql_statement *statement,
                                  const struct sql_value *values, int count, bool *ret_taken,
                                  struct fh_error *error)
{
    struct store_habits *habits = habits_of(work);
    *ret_taken = false;
    if (!habits || !work->base.statement || work->inserts.over)
        return FH_OK;
    postgresql_turn_kind(work, statement);
    if (!may_wait(work, habits, statement) ||
        postgresql_needs_types(statement, values, count)) /* sending it asks for them */
        return FH_OK;
    if (work->failed)
        return postgresql_pass_on(&work->error, error);
    *ret_taken = true;
    return add_inserted(work, statement, values, count, error);
}

enum fh_code postgresql_inserts_run(struct postgresql_work *work,
                                    struct postgresql_statement *statement,
                                    const struct sql_value *values, int count, sql_visit *visit,
                                    void *context, int64_t *ret_changes, struct fh_error *error)
{
    bool taken = false;
    enum fh_code code = FH_OK;
    if (!visit && !ret_changes)
        code = take_inserted(work, statement, values, count, &taken, error);
    if (code != FH_OK || taken)
        return code;
    return postgresql_work_run(work, statement, values, count, visit, context, ret_changes, error);
}

static enum fh_code send_rows(struct postgresql_work *work, int first, int rows,
                              struct fh_error *error)
{
    const struct postgresql_parameters *all = work->inserts.waiting;
    struct postgresql_parameters some = {.count = rows * work->inserts.statement->parameter_count};
    struct postgresql_statement *statement;
    int from = first * work->inserts.statement->parameter_count;
    enum fh_code code = statement_of_rows(work, rows, &statement, error);
    if (code != FH_OK)
        return code;
    for (int i = 0; i < some.count; i++) {
        some.values[i] = all->values[from + i];
        some.lengths[i] = all->lengths[from + i];
        some.formats[i] = all->formats[from + i];
    }
    struct postgresql_call *call = postgresql_call(work->connection, statement, &some, 0);
    if (!call)
        return postgresql_work_lost(work, error);
    call->joins = true;
    postgresql_call_defer(call, work);
    work->deferred++;
    work->inserts.joined += rows > 1 ? rows : 0;
    return FH_OK;
}

enum fh_code postgresql_inserts_send(struct postgresql_work *work, struct fh_error *error)
{
    struct postgresql_inserts *inserts = &work->inserts;
    if (!inserts->statement)
        return FH_OK;
    if (work->failed)
        return postgresql_pass_on(&work->error, error);
    enum fh_code code = FH_OK;
    int left = inserts->waiting->count / inserts->statement->parameter_count;
    for (int first = 0, rows = rows_at_once(inserts->statement); left && code == FH_OK;) {
        while (rows > left)
            rows /= 2;
        code = send_rows(work, first, rows, error);
        first += rows;
        left -= rows;
    }
    forget_rows(inserts);
    if (code == FH_OK)
        return FH_OK;
    struct fh_error why = *error;
    return postgresql_work_fail(work, &why, error); /* whoever goes on without them can't commit */
}

/* ---- The end ---- */

void postgresql_inserts_end(struct postgresql_work *work, bool good)
{
    struct postgresql_inserts *inserts = &work->inserts;
    struct store_habits *habits = habits_of(work);
    if (inserts->look)
        postgresql_call_end(inserts->look);
    inserts->look = NULL;
    if (inserts->statement)
        forget_rows(inserts);
    free(inserts->waiting);
    inserts->waiting = NULL;
    if (!habits)
        return;
    if (!good)
        habits->table[0] = '\0';
    else if (inserts->asked && inserts->joined < PAYS_MIN)
        habits->apart = APART_COUNT;
    inserts->asked = false;
}
