/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fills the filter of commands (filter.c) from their table, some records with each look, so that no
 * start waits for it. What is among the late rows when that begins may come into the table behind
 * the place that is read next: it is added at once. A transaction that is rolled back brings back
 * what it had removed, which a slice that was read in it lacks: then all is read again.
 *
 * If the table can't be read the filter is given up: that a page of it is damaged is not for every
 * request to suffer, but for those whose records are there. SQLite does not commit the transaction
 * in which it was found: its members run again, once.
 */

#include <stdlib.h>
#include <string.h>

#include "engine/sqlite/internal.h"

#define SLICE 64 /* records read with one look */

struct slice {
    struct sqlite_filter *filter;
    int rows;
    char *caller, *key; /* the last one's, if there may be more */
};

static bool take_record(void *context, const struct sql_row *row)
{
    struct slice *slice = context;
    const char *caller = row->values[0].text, *key = row->values[1].text;
    sqlite_filter_find(slice->filter, caller, key);
    if (++slice->rows == SLICE) {
        slice->caller = strdup(caller);
        slice->key = strdup(key);
    }
    return true;
}

/* The late rows are in the filter, and need not be in the table. What is no text, whoever wrote it,
 * is no command's record: those are looked for by texts. */
static enum fh_code read_slice(struct sqlite_work *work, struct slice *slice,
                               struct fh_error *error)
{
    const struct sqlite_filter *filter = slice->filter;
    struct sql_value values[] = {sql_text(filter->caller ? filter->caller : ""),
                                 sql_text(filter->key ? filter->key : ""), sql_integer(SLICE)};
    slice->filter->slices++;
    work->looks_for_command = true;
    enum fh_code code = sqlite_statement_run(
        &work->base,
        "SELECT caller, key FROM fh_command WHERE (caller, key) > (?1, ?2)"
        " AND typeof(caller) = 'text' AND typeof(key) = 'text' ORDER BY caller, key LIMIT ?3",
        values, 3, take_record, slice, NULL, error);
    work->looks_for_command = false;
    return code;
}

/* Without memory there is none. */
static bool begin_to_fill(struct sqlite_store *store)
{
    if (!sqlite_filter_begin(&store->filter))
        return false;
    sqlite_late_filter(&store->late, &store->filter);
    return true;
}

static void go_on_behind(struct sqlite_store *store, struct slice *slice)
{
    struct sqlite_filter *filter = &store->filter;
    free(filter->caller);
    free(filter->key);
    filter->caller = slice->caller;
    filter->key = slice->key;
    slice->caller = slice->key = NULL;
    if (sqlite_filter_overflows(filter))
        begin_to_fill(store);
}

enum fh_code sqlite_filter_fill(struct sqlite_work *work, struct fh_error *error)
{
    struct sqlite_store *store = (struct sqlite_store *)work->base.store;
    struct sqlite_filter *filter = &store->filter;
    struct slice slice = {.filter = filter};
    if (filter->unreadable ||
        (!filter->next.words && (!sqlite_filter_is_due(filter) || !begin_to_fill(store))))
        return FH_OK;
    enum fh_code code = read_slice(work, &slice, error);
    if (code == FH_OK && slice.rows < SLICE)
        sqlite_filter_end(filter);
    else if (code == FH_OK && slice.caller && slice.key)
        go_on_behind(store, &slice);
    free(slice.caller); /* where one is missing the slice is read again */
    free(slice.key);
    if (code == FH_OK)
        return code;
    sqlite_filter_forget(filter);
    filter->unreadable = true;
    return sqlite_may_run(&work->base, error);
}
