/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_DOCUMENT_PAGE_H
#define STORE_DOCUMENT_PAGE_H

/*
 * The result of a find: of all candidates that it is shown, the first `limit` by rank after the
 * document to continue after. Memory is bounded by the limit, whatever the collection holds.
 */

#include "store/document/document.h"
#include "store/document/rank.h"

#define PAGE_SCANNED_MAX 100000               /* candidates, about 10 us each */
#define PAGE_FOUND_SIZE_MAX ((size_t)8 << 20) /* of all documents together, as JSON */

struct page_found;

struct page {
    const struct document_find *find;
    struct rank_order order;
    struct text after_rank; /* without data: from the first */
    bool in_order;          /* candidates come by rank: the first ones that match are the result */
    struct page_found *found;
    int count, scanned;
    size_t size;
};

/* FH_INVALID: the limit, filter or sort is wrong. Call page_release even then. */
enum fh_code page_init(struct page *page, const struct document_find *find, struct fh_error *error);
void page_release(struct page *page);
/* Without a sort, `find->after` is an id that need not exist. */
void page_after_id(struct page *page);
/* With a sort it is this document. NULL: FH_INVALID, there is none in `collection`. */
enum fh_code page_after(struct page *page, const char *collection, const json_t *document,
                        struct fh_error *error);
/* Counts a candidate. FH_UNSUPPORTED: there were too many. */
enum fh_code page_scanned(struct page *page, const char *collection, struct fh_error *error);
/* Takes a matching candidate, of `size` bytes, if it is among the first of those seen so far. It is
 * on the heap, whatever the unit of work's arena. */
enum fh_code page_take(struct page *page, json_t *document, size_t size, struct fh_error *error);
/* No later candidate can belong to the result. */
static inline bool page_is_full(const struct page *page)
{
    return page->in_order && page->count == page->find->limit;
}
/* Copies, in the arena that is set. */
enum fh_code page_answer(const struct page *page, json_t **ret, struct fh_error *error);

#endif
