/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table by table, parents before children, in slices in the order of the primary key: each slice is
 * read in the source's one snapshot and written by a unit of work of the target. This does not
 * finish the target: the caller marks it as complete afterwards, so a copy that died is started
 * again, and empties the tables first.
 *
 * Verification: each row read from the source is hashed, the target is read again when its tables
 * are full, and the sums of the hashes must be equal. Sums don't depend on the order, in which
 * engines differ. JSON is compared by value, since PostgreSQL rewrites it.
 *
 * The ledger's tables are the same on all engines except for the numbering of events: an embedded
 * outbox has only positions, a server's also has `seq`, in the same order.
 */

#include "store/copy/copy.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "store/ledger.h"
#include "store/relational/catalog.h"
#include "store/copy/digest.h"
#include "store/copy/moment.h"
#include "store/relational/ledger.h"
#include "store/relational/ledger_sql.h"

#define SLICE_ROWS_MAX 500
#define SLICE_SIZE_MAX ((size_t)64 << 20)
#define STATEMENT_LENGTH_MAX ((size_t)1 << 20)
#define RERUNS_MAX 8
#define OUTBOX "fh_outbox"
#define SEQ "seq"            /* a column of servers' outboxes */
#define DERIVED "fh_derived" /* what a store's derived stores are in; made anew where it goes */

/* Each store's own: what it is, what was applied to it, which processes use it. */
static const char *const own_tables[] = {"fh_meta",           "fh_counter", "fh_migration",
                                         "fh_migration_open", "fh_work",    "fh_key_lock",
                                         "fh_lease",          "fh_mark",    "fh_opening"};
/* Each key's last position: the table has another name on servers, where units of work don't know
 * it. */
static const char *const renamed[][2] = {{"fh_last_of_key", "fh_place"}};

struct copied_table {
    const struct catalog_table *from, *to;
    const char **columns; /* in both */
    int column_count;
    struct digest source;
    int64_t next; /* the next number of the source's own counter; 0: none */
};

struct sql_copying {
    const struct copy_options *options;
    struct arena arena;
    struct catalog from, to;
    struct copied_table *tables; /* parents first */
    int count;
    struct store_work *reading; /* in the source */
};

/* ---- which tables, which columns ---- */

static bool is_own_table(const char *name)
{
    if (strncmp(name, DERIVED, strlen(DERIVED)) == 0)
        return true;
    for (size_t i = 0; i < sizeof own_tables / sizeof own_tables[0]; i++) {
        if (strcmp(own_tables[i], name) == 0)
            return true;
    }
    return false;
}

static const struct catalog_table *find_counterpart(const struct catalog *catalog, const char *name)
{
    const struct catalog_table *table = catalog_find(catalog, name);
    for (size_t i = 0; i < sizeof renamed / sizeof renamed[0] && !table; i++) {
        for (int side = 0; side < 2 && !table; side++) {
            if (strcmp(renamed[i][side], name) == 0)
                table = catalog_find(catalog, renamed[i][!side]);
        }
    }
    return table;
}

static enum fh_code match_columns(struct sql_copying *copying, struct copied_table *table,
                                  struct fh_error *error)
{
    table->columns = arena_alloc(&copying->arena,
                                 (size_t)(table->from->column_count + 1) * sizeof *table->columns);
    for (int i = 0; i < table->from->column_count; i++) {
        const char *column = table->from->columns[i];
        if (strcmp(table->from->name, OUTBOX) == 0 && strcmp(column, SEQ) == 0)
            continue; /* each server has its own: the copy gets the position instead */
        if (catalog_has_column(table->to, column))
            table->columns[table->column_count++] = column;
        else
            return error_set(error, FH_UNSUPPORTED,
                             "%.64s has a column %.64s here, but not in %s: its migrations there "
                             "must make the same tables.",
                             table->from->name, column, copying->options->to->engine->name);
    }
    if (table->from->key_count == 0 || table->to->key_count == 0)
        return error_set(error, FH_UNSUPPORTED,
                         "%.64s has no primary key: give it one by a migration, so that its rows "
                         "can be copied and compared.",
                         table->from->name);
    return catalog_width_check(table->from, table->to, table->column_count, error);
}

static enum fh_code match_tables(struct sql_copying *copying, struct fh_error *error)
{
    enum fh_code code = catalog_order(&copying->to, error);
    int wanted = 0;
    for (int i = 0; i < copying->from.count && code == FH_OK; i++) {
        const char *name = copying->from.tables[i].name;
        wanted += !is_own_table(name);
        if (!is_own_table(name) && !find_counterpart(&copying->to, name))
            code = error_set(error, FH_UNSUPPORTED,
                             "%.64s is not in %s: its migrations there must make the same tables.",
                             name, copying->options->to->engine->name);
    }
    copying->tables = arena_alloc(&copying->arena, (size_t)(wanted + 1) * sizeof *copying->tables);
    for (int i = 0; i < copying->to.count && code == FH_OK; i++) {
        const struct catalog_table *to = &copying->to.tables[i];
        const struct catalog_table *from = find_counterpart(&copying->from, to->name);
        if (!from || is_own_table(to->name))
            continue;
        struct copied_table *table = &copying->tables[copying->count++];
        *table = (struct copied_table){.from = from, .to = to};
        code = match_columns(copying, table, error);
    }
    return code;
}

/* ---- rows ---- */

/* Rows, each with the table's columns followed by those of its key. */
struct sql_slice {
    struct arena arena;
    int width, count;
    struct sql_value *values;
};

static bool take_table_row(void *context, const struct sql_row *row)
{
    struct sql_slice *slice = context;
    struct sql_value *to = &slice->values[slice->count++ * slice->width];
    for (int i = 0; i < slice->width; i++) {
        to[i] = row->values[i];
        if (to[i].kind == SQL_TEXT || to[i].kind == SQL_BLOB)
            to[i].text = arena_copy(&slice->arena, row->values[i].text, row->values[i].length);
    }
    return true;
}

static void add_column_list(struct text *sql, const struct sql_dialect *dialect,
                            const char *const *names, int count)
{
    for (int i = 0; i < count; i++) {
        text_add(sql, i ? ", " : "");
        catalog_quote(sql, dialect, names[i]);
    }
}

static void add_places(struct text *sql, int count)
{
    for (int i = 1; i <= count; i++)
        text_printf(sql, i == 1 ? "?%d" : ", ?%d", i);
}

/* Without its end it would read or write something else. */
static enum fh_code check_copy_statement(const struct text *sql, const char *table,
                                         struct fh_error *error)
{
    return sql->overflow ? error_set(error, FH_NO_MEMORY,
                                     "A statement with all columns of %.64s does not fit.", table)
                         : FH_OK;
}

/* The rows after the key of `last` (NULL: from the first). */
static enum fh_code slice_read(struct store_work *work, const struct catalog_table *table,
                               const struct copied_table *copied, const struct sql_value *last,
                               struct sql_slice *slice, struct fh_error *error)
{
    const struct sql_dialect *dialect = sql_dialect_of(work->store);
    struct text sql;
    text_init(&sql, STATEMENT_LENGTH_MAX);
    text_add(&sql, "SELECT ");
    add_column_list(&sql, dialect, copied->columns, copied->column_count);
    text_add(&sql, ", ");
    add_column_list(&sql, dialect, table->key, table->key_count);
    text_add(&sql, " FROM ");
    catalog_quote(&sql, dialect, table->name);
    if (last) {
        text_add(&sql, " WHERE (");
        add_column_list(&sql, dialect, table->key, table->key_count);
        text_add(&sql, ") > (");
        add_places(&sql, table->key_count);
        text_add(&sql, ")");
    }
    text_add(&sql, " ORDER BY ");
    add_column_list(&sql, dialect, table->key, table->key_count);
    text_printf(&sql, " LIMIT %d", SLICE_ROWS_MAX);
    slice->width = copied->column_count + table->key_count;
    slice->count = 0;
    slice->values =
        arena_alloc(&slice->arena, SLICE_ROWS_MAX * (size_t)slice->width * sizeof *slice->values);
    enum fh_code code = check_copy_statement(&sql, table->name, error);
    if (code == FH_OK)
        code = sql_run(work, sql.data, last, last ? table->key_count : 0, take_table_row, slice,
                       NULL, error);
    text_release(&sql);
    return code;
}

/* Passes each slice of a table to `use`. */
static enum fh_code table_read(struct store_work *work, const struct catalog_table *table,
                               struct copied_table *copied, struct digest *digest,
                               enum fh_code (*use)(void *context, struct copied_table *copied,
                                                   const struct sql_slice *slice,
                                                   struct fh_error *error),
                               void *context, struct fh_error *error)
{
    struct sql_slice slices[2]; /* in turn: one's last key is where the other begins */
    arena_init(&slices[0].arena, SLICE_SIZE_MAX);
    arena_init(&slices[1].arena, SLICE_SIZE_MAX);
    const struct sql_value *last = NULL;
    enum fh_code code = FH_OK;
    for (int at = 0;; at = !at) {
        struct sql_slice *slice = &slices[at];
        arena_release(&slice->arena);
        code = slice_read(work, table, copied, last, slice, error);
        for (int i = 0; i < slice->count && code == FH_OK; i++)
            digest_add(digest, &slice->values[i * slice->width], copied->column_count);
        if (code == FH_OK && slice->count)
            code = use(context, copied, slice, error);
        if (code != FH_OK || slice->count < SLICE_ROWS_MAX)
            break;
        last = &slice->values[(slice->count - 1) * slice->width + copied->column_count];
    }
    arena_release(&slices[0].arena);
    arena_release(&slices[1].arena);
    return code;
}

/* ---- writing ---- */

static bool has_seq(const struct copied_table *copied)
{
    return strcmp(copied->to->name, OUTBOX) == 0 && catalog_has_column(copied->to, SEQ);
}

static void table_insert(struct text *sql, const struct sql_dialect *dialect,
                         const struct copied_table *copied)
{
    text_init(sql, STATEMENT_LENGTH_MAX);
    text_add(sql, "INSERT INTO ");
    catalog_quote(sql, dialect, copied->to->name);
    text_add(sql, " (");
    add_column_list(sql, dialect, copied->columns, copied->column_count);
    text_add(sql, has_seq(copied) ? ", " SEQ ")" : ")");
    /* Allows explicit values in columns that count. */
    text_add(sql, dialect->overriding);
    text_add(sql, " VALUES (");
    add_places(sql, copied->column_count);
    if (has_seq(copied)) {
        for (int i = 0; i < copied->column_count; i++) {
            if (strcmp(copied->columns[i], "position") == 0)
                text_printf(sql, ", ?%d", i + 1);
        }
    }
    text_add(sql, ")");
}

static enum fh_code slice_write_once(struct store *to, const char *sql, int columns,
                                     const struct sql_slice *slice, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(to, STORE_WRITE_EXCLUSIVE, &work, error);
    if (code != FH_OK)
        return code;
    for (int i = 0; i < slice->count && code == FH_OK; i++)
        code =
            sql_run(work, sql, &slice->values[i * slice->width], columns, NULL, NULL, NULL, error);
    if (code == FH_OK)
        return store_commit(work, error);
    store_rollback(work);
    return code;
}

static enum fh_code slice_write(void *context, struct copied_table *copied,
                                const struct sql_slice *slice, struct fh_error *error)
{
    struct sql_copying *copying = context;
    struct store *to = copying->options->to;
    struct text sql;
    table_insert(&sql, sql_dialect_of(to), copied);
    enum fh_code code = check_copy_statement(&sql, copied->to->name, error);
    bool again = code == FH_OK;
    for (int i = 0; i < RERUNS_MAX && again; i++) {
        code = slice_write_once(to, sql.data, copied->column_count, slice, error);
        again = code == FH_CONFLICT && error->retryable;
    }
    text_release(&sql);
    return code == FH_OK
               ? copy_passed(copying->options, copied->to->name, slice->count, false, error)
               : code;
}

static enum fh_code slice_read_again(void *context, struct copied_table *copied,
                                     const struct sql_slice *slice, struct fh_error *error)
{
    const struct sql_copying *copying = context;
    return copy_passed(copying->options, copied->to->name, slice->count, true, error);
}

/* Deletes children before parents. */
static enum fh_code empty_target(struct sql_copying *copying, struct fh_error *error)
{
    struct store_work *work;
    struct store *to = copying->options->to;
    enum fh_code code = store_begin(to, STORE_WRITE_EXCLUSIVE, &work, error);
    if (code != FH_OK)
        return code;
    for (int i = copying->count - 1; i >= 0 && code == FH_OK; i--) {
        struct text sql;
        text_init(&sql, STATEMENT_LENGTH_MAX);
        text_add(&sql, "DELETE FROM ");
        catalog_quote(&sql, sql_dialect_of(to), copying->tables[i].to->name);
        code = ledger_do(work, sql.data, NULL, 0, NULL, error);
        text_release(&sql);
    }
    if (code == FH_OK)
        return store_commit(work, error);
    store_rollback(work);
    return code;
}

/* ---- numbers ---- */

/* A number that a table's counter has given out must not come again, even if its row was deleted.
 * The source's counters were all read before: a server ends a transaction that is idle while
 * another store works. */
static enum fh_code copy_next_numbers(struct sql_copying *copying, struct fh_error *error)
{
    struct store_work *work;
    int64_t position = 0, trimmed = 0;
    char trimmed_id[ID_SIZE], text[24] = "";
    enum fh_code code = ledger_position(copying->reading, &position, error);
    if (code == FH_OK)
        code = ledger_outbox_trimmed(copying->reading, &trimmed, trimmed_id, error);
    if (trimmed > 0)
        snprintf(text, sizeof text, "%lld", (long long)trimmed);
    if (code == FH_OK)
        code = store_begin(copying->options->to, STORE_WRITE_EXCLUSIVE, &work, error);
    if (code != FH_OK)
        return code;
    struct sql_value value = sql_integer(position);
    code = ledger_do(work, ledger_sql(work, LEDGER_COUNTER_SET), &value, 1, NULL, error);
    if (code == FH_OK)
        code = ledger_meta_put(work, LEDGER_TRIMMED_POSITION, text, error);
    if (code == FH_OK)
        code = ledger_meta_put(work, LEDGER_TRIMMED_ID, trimmed_id, error);
    if (code == FH_OK && copying->options->along)
        code = copying->options->along(copying->options->service, copying->reading, work, error);
    for (int i = 0; i < copying->count && code == FH_OK; i++) {
        const struct copied_table *table = &copying->tables[i];
        int64_t next = has_seq(table) ? position + 1 : table->next;
        if (next > 0)
            code = catalog_set_next_number(work, table->to, next, error);
    }
    if (code == FH_OK)
        return store_commit(work, error);
    store_rollback(work);
    return code;
}

/* ---- everything ---- */

/* Uses a server's own statistics; where there are none, counting is fast. */
static enum fh_code count_table_rows(struct sql_copying *copying, struct fh_error *error)
{
    const struct sql_dialect *dialect = sql_dialect_of(copying->options->from);
    int64_t rows = 0, all = 0;
    enum fh_code code = FH_OK;
    if (dialect->rows)
        code = catalog_rows_guessed(copying->reading, &all, error);
    for (int i = 0; !dialect->rows && i < copying->count && code == FH_OK; i++) {
        struct text sql;
        text_init(&sql, STATEMENT_LENGTH_MAX);
        text_add(&sql, "SELECT count(*) FROM ");
        catalog_quote(&sql, dialect, copying->tables[i].from->name);
        code = ledger_integer(copying->reading, sql.data, NULL, 0, &rows, error);
        text_release(&sql);
        all += rows;
    }
    copy_found(copying->options, all, dialect->rows);
    return code;
}

static enum fh_code compare_copied_tables(struct sql_copying *copying, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = store_begin(copying->options->to, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    for (int i = 0; i < copying->count && code == FH_OK; i++) {
        struct copied_table *table = &copying->tables[i];
        struct digest target = {0};
        code = table_read(work, table->to, table, &target, slice_read_again, copying, error);
        if (code == FH_OK && !digest_equal(&target, &table->source))
            code =
                error_set(error, FH_CONFLICT,
                          "%.64s reads otherwise in %s than before: %lld rows there, %lld here%s.",
                          table->to->name, copying->options->to->engine->name,
                          (long long)target.rows, (long long)table->source.rows,
                          target.rows == table->source.rows ? ", not all alike" : "");
    }
    store_rollback(work);
    return code;
}

static enum fh_code read_catalogs(struct sql_copying *copying, struct fh_error *error)
{
    struct store_work *work;
    enum fh_code code = catalog_read(copying->reading, &copying->arena, &copying->from, error);
    if (code == FH_OK)
        code = store_begin(copying->options->to, STORE_READ, &work, error);
    if (code != FH_OK)
        return code;
    code = catalog_read(work, &copying->arena, &copying->to, error);
    store_rollback(work);
    return code == FH_OK ? match_tables(copying, error) : code;
}

enum fh_code relational_copy(const struct copy_options *options, struct copy_result *ret,
                             struct fh_error *error)
{
    struct sql_copying copying = {.options = options};
    *ret = (struct copy_result){0};
    arena_init(&copying.arena, ARENA_SIZE_MAX);
    enum fh_code code = copy_moment_begin(options, &copying.reading, error);
    if (code != FH_OK)
        return code;
    if (options->began)
        options->began(options->context);
    code = read_catalogs(&copying, error);
    if (code == FH_OK && options->count)
        code = count_table_rows(&copying, error);
    if (code == FH_OK)
        code = empty_target(&copying, error);
    for (int i = 0; i < copying.count && code == FH_OK; i++) {
        struct copied_table *table = &copying.tables[i];
        code = table_read(copying.reading, table->from, table, &table->source, slice_write,
                          &copying, error);
        if (code == FH_OK)
            code = catalog_next_number(copying.reading, table->from, &table->next, error);
        ret->tables++;
        ret->rows += table->source.rows;
    }
    if (code == FH_OK)
        code = copy_next_numbers(&copying, error);
    store_rollback(copying.reading);
    if (code == FH_OK)
        code = compare_copied_tables(&copying, error);
    arena_release(&copying.arena);
    return code;
}
