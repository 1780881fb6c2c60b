/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_PAGE_H
#define WORK_PAGE_H

/*
 * Pages of a list, by the values of the last row (keyset): what is inserted or removed meanwhile
 * neither repeats rows nor leaves any out. The client gets the place of the next page as a cursor
 * in a `Link` header (RFC 8288) and gives it back.
 */

#include "work/work.h"

#define PAGE_LIMIT 50
#define PAGE_LIMIT_MAX 500
#define PAGE_LIMIT_MOST 999 /* fh_docs gives a thousand, and one more than a page is read */
#define PAGE_COLUMNS_MAX 8

/* Whether the route's `.page` can be kept to. FH_INVALID: the rest of a sentence that begins with
 * the route. */
enum fh_code page_check(const struct fh_route *route, struct fh_error *error);

/* The shape of a route's query with `limit` and `cursor`, in `arena`; that of a route without pages
 * is its own, which may be NULL. */
const fh_field *page_query_shape(struct arena *arena, const struct fh_route *route);
/* Moves `limit` and `cursor` from w->query to w->page. Returns faults as shape_query does: the
 * cursor is none of this list; NULL: it is sound. */
json_t *page_take_query(fh_work *w);

/* For fh_page_rows: the statement for one page and one row more, and the values of its names. */
struct page_statement {
    const char *sql;
    json_t *values;
};
struct page_statement page_statement_of(fh_work *w, const char *sql);
/* Takes the row too many off `rows`, if it is there, and says with `Link` where it goes on. */
json_t *page_end(fh_work *w, json_t *rows);

/* ---- page_cursor.c ---- */

/* The values of the last row as a text for a URL, which holds for this list alone: this route,
 * these names in its path, this query. Whoever looks can read the values. */
const char *page_cursor_make(fh_work *w, const json_t *values);
/* NULL: it was made for another list, or by nobody here. */
json_t *page_cursor_read(fh_work *w, const char *cursor);

#endif
