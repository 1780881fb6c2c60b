/* SPDX-License-Identifier: Apache-2.0 */
/* The relational model as handlers see it. */

#include "store/relational/relational.h"

#include <stdarg.h>
#include <string.h>

#include "work/page.h"
#include "work/work.h"

/* The public names are macros that end the list of objects with NULL. */
#undef fh_row
#undef fh_try_row
#undef fh_rows
#undef fh_exec
#undef fh_exec_count
#undef fh_peek
#undef fh_page_rows

int work_objects_of(fh_work *w, va_list args, json_t **objects)
{
    int count = 0;
    for (json_t *object; (object = va_arg(args, json_t *));) {
        if (count == WORK_OBJECTS_MAX || !json_is_object(object)) {
            struct fh_error error;
            error_set(&error, FH_UNSUPPORTED,
                      "A statement takes at most %d JSON objects to find its names in.",
                      WORK_OBJECTS_MAX);
            work_fail(w, &error);
        }
        objects[count++] = object;
    }
    return count;
}

static void must_be_relational(fh_work *w)
{
    if (w->context->service->model == FH_RELATIONAL)
        return;
    struct fh_error error;
    error_set(&error, FH_UNSUPPORTED, "SQL is for services of the relational model.");
    work_fail(w, &error);
}

/* For when the handler has been left, and with it perhaps the memory of a text that it has made.
 * Where there is no memory the log does without. */
static const char *statement_kept(fh_work *w, const char *sql)
{
    size_t size = strlen(sql) + 1;
    char *kept = arena_try_alloc(&w->arena, size);
    return kept ? memcpy(kept, sql, size) : NULL;
}

/* The error may be that of one before it. */
static _Noreturn void statement_fail(fh_work *w, unsigned number, const char *sql,
                                     const struct fh_error *error)
{
    if (!error->statement || error->statement == number)
        w->statement = statement_kept(w, sql);
    work_fail(w, error);
}

/* Where the engine is a server, what nobody waited for may fail later: until another one was waited
 * for. */
static void statement_done(fh_work *w, unsigned number, const char *sql, bool waited)
{
    if (waited)
        w->unanswered = NULL;
    if (waited || !w->context->store->ops->sequence)
        return;
    struct work_unanswered *one = arena_try_alloc(&w->arena, sizeof *one);
    if (!one)
        return;
    *one = (struct work_unanswered){number, statement_kept(w, sql), w->unanswered};
    w->unanswered = one;
}

static json_t *run_sql(fh_work *w, const char *sql, va_list args, int row_max, int64_t *ret_changes,
                       json_t *last)
{
    json_t *objects[WORK_OBJECTS_MAX + 1], *rows = NULL;
    struct fh_error error;
    must_be_relational(w);
    int count = work_objects_of(w, args, objects);
    if (last)
        objects[count++] = last;
    struct store_work *work = work_store_read(w); /* in a GET it refuses writes */
    if (row_max || ret_changes)
        work_waits(w);
    unsigned number = work->statements + 1; /* others of its transaction may run meanwhile */
    if (relational_run(work, sql, objects, count, row_max, row_max ? &rows : NULL, ret_changes,
                       &error) != FH_OK)
        statement_fail(w, number, sql, &error);
    statement_done(w, number, sql, row_max || ret_changes);
    return rows;
}

json_t *fh_try_row(fh_work *w, const char *sql, ...)
{
    va_list args;
    va_start(args, sql);
    json_t *rows = run_sql(w, sql, args, 1, NULL, NULL);
    va_end(args);
    return json_array_get(rows, 0);
}

json_t *fh_row(fh_work *w, const char *sql, ...)
{
    va_list args;
    va_start(args, sql);
    json_t *rows = run_sql(w, sql, args, 1, NULL, NULL);
    va_end(args);
    if (json_array_size(rows) == 0)
        work_fail_as(w, PROBLEM_DATA_MISSING, NULL, "There is no such resource.");
    return json_array_get(rows, 0);
}

json_t *fh_rows(fh_work *w, const char *sql, ...)
{
    va_list args;
    va_start(args, sql);
    json_t *rows = run_sql(w, sql, args, RELATIONAL_ROWS_MAX, NULL, NULL);
    va_end(args);
    return rows;
}

void fh_exec(fh_work *w, const char *sql, ...)
{
    va_list args;
    va_start(args, sql);
    run_sql(w, sql, args, 0, NULL, NULL);
    va_end(args);
}

int64_t fh_exec_count(fh_work *w, const char *sql, ...)
{
    va_list args;
    int64_t changes = 0;
    va_start(args, sql);
    run_sql(w, sql, args, 0, &changes, NULL);
    va_end(args);
    return changes;
}

json_t *fh_page_rows(fh_work *w, const char *sql, ...)
{
    struct page_statement statement = page_statement_of(w, sql);
    va_list args;
    va_start(args, sql);
    json_t *rows = run_sql(w, statement.sql, args, RELATIONAL_ROWS_MAX, NULL, statement.values);
    va_end(args);
    return page_end(w, rows);
}

json_t *fh_peek(fh_work *w, const char *sql, ...)
{
    json_t *objects[WORK_OBJECTS_MAX], *rows = NULL;
    struct store_work *work;
    struct fh_error error;
    must_be_relational(w);
    work_asks(w);
    va_list args;
    va_start(args, sql);
    int count = work_objects_of(w, args, objects);
    va_end(args);
    if (store_begin(w->context->store, STORE_READ_COMMITTED, &work, &error) != FH_OK)
        work_fail(w, &error);
    enum fh_code code =
        relational_run(work, sql, objects, count, RELATIONAL_ROWS_MAX, &rows, NULL, &error);
    store_rollback(work);
    if (code != FH_OK)
        statement_fail(w, error.statement, sql, &error);
    return rows;
}
