/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FREEHOLD_PAGE_H
#define FREEHOLD_PAGE_H

/* A part of freehold.h, which includes it: lists that are answered in pages. */

/* A list that is answered in pages: see fh_page_rows. The route takes `limit` and `cursor` in its
 * query, besides what `.query` declares. */
struct fh_page {
    const char *by; /* "id", or "created_at,id": together unique, never null; NULL: no pages */
    int limit;      /* of one page, if the client says nothing; 0: 50 */
    int limit_max;  /* 0: 500, or `limit` if that is more; at most 999 */
    bool descending;
};

/* One page of what `sql` selects, for a route with `.page`: the rows that follow the client's
 * cursor, in the order of `by`, and a header `Link` with the next page's address if there is one.
 * The statement neither orders nor limits. fh_page_docs: the same, by id. */
FH_API json_t *fh_page_rows(fh_work *w, const char *sql, ...) FH_OBJECTS;
FH_API json_t *fh_page_docs(fh_work *w, const char *collection, json_t *filter);
#define fh_page_rows(...) fh_page_rows(__VA_ARGS__, (json_t *)NULL)

#endif
