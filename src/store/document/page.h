/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_DOCUMENT_PAGE_H
#define STORE_DOCUMENT_PAGE_H

/*
 * What a find answers: of all candidates that it is shown, the first `limit` by rank behind the
 * document to go on behind. Memory is bounded by the limit, whatever the collection holds.
 */

#include "store/document/document.h"
#include "store/document/rank.h"

#define PAGE_SCANNED_MAX 100000               /* candidates, some 10 us each */
#define PAGE_FOUND_SIZE_MAX ((size_t)8 << 20) /* of all documents together, as JSON */

struct page_found;

struct page {
    const struct document_find *find;
    struct rank_order order;
    struct text after_rank; /* without data: from the beginning */
    bool in_order;          /* candidates come by rank: the first ones that match are the answer */
    struct page_found *found;
    int count, scanned;
    size_t size;
};

/* FH_INVALID: the limit, filter or sort is wrong. Released even then. */
enum fh_code page_init(struct page *page, const struct document_find *find, struct fh_error *error);
void page_release(struct page *page);
/* Without a sort, `find->after` is an id that need not be there. */
void page_after_id(struct page *page);
/* With one it is this document. NULL: FH_INVALID says that there is none in `collection`. */
enum fh_code page_after(struct page *page, const char *collection, const json_t *document,
                        struct fh_error *error);
/* Counts a candidate. FH_UNSUPPORTED: there were too many. */
enum fh_code page_scanned(struct page *page, const char *collection, struct fh_error *error);
/* Takes a candidate that matches, of `size` bytes, if it is one of the first of those seen so far.
 * It lives on the heap, whatever arena the work has. */
enum fh_code page_take(struct page *page, json_t *document, size_t size, struct fh_error *error);
/* No candidate that is still to come belongs to the answer. */
static inline bool page_is_full(const struct page *page)
{
    return page->in_order && page->count == page->find->limit;
}
/* Copies, into the arena that is set. */
enum fh_code page_answer(const struct page *page, json_t **ret, struct fh_error *error);

#endif
