/* SPDX-License-Identifier: Apache-2.0 */
/* The best `limit` of the documents that a find has examined, sorted by rank. */

#include "store/document/page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

struct page_found {
    struct text rank;
    json_t *document;
    size_t size;
};

static enum fh_code check_find(const struct document_find *find, struct fh_error *error)
{
    if (find->limit >= 1 && find->limit <= DOCUMENTS_MAX)
        return document_filter_check(find->filter, error);
    error_set(error, FH_INVALID, "A find's limit is from 1 to %d, not %d.", DOCUMENTS_MAX,
              find->limit);
    snprintf(error->field, sizeof error->field, "limit");
    return FH_INVALID;
}

enum fh_code page_init(struct page *page, const struct document_find *find, struct fh_error *error)
{
    *page = (struct page){.find = find};
    text_init(&page->after_rank, RANK_SIZE_MAX);
    enum fh_code code = check_find(find, error);
    if (!code)
        code = rank_order_read(&page->order, find->sort, error);
    if (code)
        return code;
    page->found = calloc((size_t)find->limit, sizeof *page->found);
    FH_ASSERT(page->found != NULL);
    return FH_OK;
}

static void found_release(struct page *page, int index)
{
    page->size -= page->found[index].size;
    json_decref(page->found[index].document);
    text_release(&page->found[index].rank);
}

void page_release(struct page *page)
{
    while (page->count)
        found_release(page, --page->count);
    free(page->found);
    text_release(&page->after_rank);
}

void page_after_id(struct page *page)
{
    const char *after = page->find->after;
    if (after && page->order.count == 0)
        rank_id(&page->order, after, strlen(after), &page->after_rank);
}

enum fh_code page_after(struct page *page, const char *collection, const json_t *document,
                        struct fh_error *error)
{
    if (document)
        return rank_document(&page->order, document, &page->after_rank, error);
    error_set(error, FH_INVALID, "There is no '%.100s' in %s to continue after.", page->find->after,
              collection);
    snprintf(error->field, sizeof error->field, "after");
    return FH_INVALID;
}

enum fh_code page_scanned(struct page *page, const char *collection, struct fh_error *error)
{
    if (++page->scanned <= PAGE_SCANNED_MAX)
        return FH_OK;
    return error_set(error, FH_UNSUPPORTED,
                     "A find looked at %d documents of %s: it needs an index on what its filter or "
                     "sort names.",
                     PAGE_SCANNED_MAX, collection);
}

static int page_place_of(const struct page *page, const struct text *rank, bool *ret_equal)
{
    int low = 0, high = page->count;
    *ret_equal = false;
    while (low < high) {
        int middle = (low + high) / 2;
        const struct text *other = &page->found[middle].rank;
        int order = document_key_compare(other->data, other->length, rank->data, rank->length);
        if (order == 0)
            *ret_equal = true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static enum fh_code keep_document(struct page *page, int place, struct text *rank, json_t *document,
                                  size_t size, struct fh_error *error)
{
    if (page->count == page->find->limit)
        found_release(page, --page->count);
    memmove(&page->found[place + 1], &page->found[place],
            (size_t)(page->count - place) * sizeof *page->found);
    page->found[place] = (struct page_found){*rank, json_incref(document), size};
    *rank = (struct text){0};
    page->count++;
    page->size += size;
    if (page->size <= PAGE_FOUND_SIZE_MAX)
        return FH_OK;
    error_set(error, FH_INVALID, "The documents found have more than %zu bytes: ask for fewer.",
              PAGE_FOUND_SIZE_MAX);
    snprintf(error->field, sizeof error->field, "limit");
    return FH_INVALID;
}

enum fh_code page_take(struct page *page, json_t *document, size_t size, struct fh_error *error)
{
    struct text rank;
    text_init(&rank, RANK_SIZE_MAX);
    if (page->in_order)
        return keep_document(page, page->count, &rank, document, size, error);
    enum fh_code code = rank_document(&page->order, document, &rank, error);
    const struct text *after = &page->after_rank;
    if (!code && (!after->data ||
                  document_key_compare(rank.data, rank.length, after->data, after->length) > 0)) {
        bool equal;
        int place = page_place_of(page, &rank, &equal);
        if (!equal && place < page->find->limit)
            code = keep_document(page, place, &rank, document, size, error);
    }
    text_release(&rank);
    return code;
}

enum fh_code page_answer(const struct page *page, json_t **ret, struct fh_error *error)
{
    json_t *list = json_array();
    bool fits = list != NULL;
    for (int i = 0; i < page->count && fits; i++) {
        json_t *copy = json_copy_all(page->found[i].document);
        fits = copy && json_array_append_new(list, copy) == 0;
    }
    if (!fits) {
        json_decref(list);
        return error_set(error, FH_NO_MEMORY,
                         "The documents found do not fit into the unit of work's memory.");
    }
    *ret = list;
    return FH_OK;
}
