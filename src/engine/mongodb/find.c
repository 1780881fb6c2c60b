/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding. The server is asked for candidates implied by the filter, in the order of ids if that is
 * the order wanted; the model's evaluator decides about each document, on the pool's thread. Other
 * orders are sorted here, over all matches: the limit bounds the memory, PAGE_SCANNED_MAX the
 * number of documents examined.
 *
 * The unit of work's own changes are evaluated as it sees them.
 */

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "store/document/filter.h"
#include "engine/mongodb/internal.h"
#include "store/document/page.h"

struct finding {
    struct mongodb_visit visit; /* first */
    const struct mongodb_work *own;
    const struct document_find *find;
    const char *name;
    struct page page;
    bool ledger;
    int64_t since;
    bool sorted;     /* the server was asked for the order of ids */
    bool disordered; /* but has a different one */
    char last_id[RECORD_ID_SIZE];
    enum fh_code code;
    struct fh_error *error;
};

static bool take_candidate(struct finding *finding, const char *id, const bson_t *stored)
{
    if (mongodb_change_of(finding->own, finding->name, id))
        return true; /* already evaluated as the unit of work sees it */
    json_t *document = mongodb_object(stored, finding->ledger ? id : NULL);
    if (!document)
        finding->code =
            error_set(finding->error, FH_INVALID,
                      "'%.100s' in %s holds what no document of ours does.", id, finding->name);
    else if (document_matches_checked(document, finding->find->filter))
        finding->code = page_take(&finding->page, document, stored->len, finding->error);
    json_decref(document);
    return !finding->code && !page_is_full(&finding->page);
}

static bool visit_candidate(struct mongodb_visit *visit, const bson_t *stored)
{
    struct finding *finding = (struct finding *)visit;
    bson_iter_t at, value;
    finding->code = page_scanned(&finding->page, finding->name, finding->error);
    if (finding->code || !mongoc.bson_iter_init_find(&at, stored, "_id"))
        return !finding->code;
    const char *id = mongodb_text_of(&at);
    if (!id) {
        finding->code =
            error_set(finding->error, FH_INVALID,
                      "A document in %s has an _id that is not a string: another program "
                      "has made it.",
                      finding->name);
        return false;
    }
    int order = strcmp(id, finding->last_id);
    if (finding->sorted && finding->last_id[0] &&
        (finding->page.order.descending ? order >= 0 : order <= 0)) {
        finding->disordered = true;
        return false;
    }
    snprintf(finding->last_id, sizeof finding->last_id, "%s", id);
    if (mongodb_record_is_stray(stored, finding->since) ||
        (mongoc.bson_iter_init(&at, stored) &&
         mongoc.bson_iter_find_descendant(&at, "_fh.removed", &value)))
        return true;
    return take_candidate(finding, id, stored);
}

static enum fh_code ask_server(struct finding *finding, struct fh_error *error)
{
    bson_t filter, options, sort;
    mongoc.bson_init(&filter);
    mongoc.bson_init(&options);
    bool descending = finding->page.order.descending;
    mongodb_append_filter(&filter, finding->find->filter,
                          finding->sorted ? finding->find->after : NULL, descending,
                          finding->own->mongodb->nesting);
    if (finding->sorted) {
        mongoc.bson_append_document_begin(&options, "sort", -1, &sort);
        mongoc.bson_append_int64(&sort, "_id", -1, descending ? -1 : 1);
        mongoc.bson_append_document_end(&options, &sort);
        mongoc.bson_append_int64(&options, "batchSize", -1, finding->find->limit + 1);
    }
    finding->visit = (struct mongodb_visit){.collection = finding->name,
                                            .filter = &filter,
                                            .options = &options,
                                            .visit = visit_candidate};
    enum fh_code code = mongodb_visit(finding->own->mongodb, &finding->visit, error);
    mongoc.bson_destroy(&filter);
    mongoc.bson_destroy(&options);
    return code ? code : finding->code;
}

/* The unit of work's own documents, as it has changed them. */
static enum fh_code take_own_changes(struct finding *finding, struct fh_error *error)
{
    enum fh_code code = FH_OK;
    for (const struct mongodb_change *change = finding->own->changes; change && !code;
         change = change->next) {
        if (strcmp(change->collection, finding->name) != 0)
            continue;
        finding->page.in_order = false;
        if (json_is_object(change->fresh) &&
            document_matches_checked(change->fresh, finding->find->filter))
            code = page_take(&finding->page, change->fresh, 0, error);
    }
    return code;
}

static enum fh_code read_after_document(struct finding *finding, struct store_work *work,
                                        struct fh_error *error)
{
    json_t *document = NULL;
    page_after_id(&finding->page);
    if (!finding->find->after || finding->page.order.count == 0)
        return FH_OK;
    enum fh_code code = mongodb_get(work, finding->name, finding->find->after, &document, error);
    if (!code)
        code = page_after(&finding->page, finding->name, document, error);
    json_decref(document);
    return code;
}

static enum fh_code find_in_order(struct finding *finding, struct fh_error *error)
{
    finding->sorted = finding->page.order.count == 0;
    finding->page.in_order = finding->sorted;
    enum fh_code code = take_own_changes(finding, error);
    return code ? code : ask_server(finding, error);
}

/* The server's order of ids is not the order of bytes: examines all of them. */
static enum fh_code find_in_disorder(struct finding *finding, struct fh_error *error)
{
    struct rank_order order = finding->page.order;
    page_release(&finding->page);
    enum fh_code code = page_init(&finding->page, finding->find, error);
    finding->sorted = false;
    finding->page.order = order;
    page_after_id(&finding->page);
    if (!code)
        code = take_own_changes(finding, error);
    return code ? code : ask_server(finding, error);
}

enum fh_code mongodb_look(struct store_work *work, const char *collection,
                          const struct document_find *find, json_t **ret, struct fh_error *error)
{
    struct mongodb_work *own = mongodb_work_of(work);
    struct fh_error why = {0};
    struct finding finding = {.own = own,
                              .find = find,
                              .name = collection,
                              .ledger = mongodb_is_ledger(collection),
                              .since = mongodb_since(own->mongodb, collection),
                              .error = &why};
    *ret = NULL;
    enum fh_code code = page_init(&finding.page, find, &why);
    struct arena *arena = json_arena_set(NULL);
    if (!code)
        code = read_after_document(&finding, work, &why);
    if (!code)
        code = find_in_order(&finding, &why);
    if (!code && finding.disordered)
        code = find_in_disorder(&finding, &why);
    if (!code && !mongodb_writes(work))
        code = mongodb_wait_decided(own->mongodb, collection, NULL, &why);
    json_arena_set(arena);
    if (!code)
        code = page_answer(&finding.page, ret, &why);
    page_release(&finding.page);
    if (code && error)
        *error = why;
    return code;
}

enum fh_code mongodb_find(struct store_work *work, const char *collection,
                          const struct document_find *find, json_t **ret, struct fh_error *error)
{
    if (mongodb_writes(work))
        mongodb_note_read(mongodb_work_of(work), collection, NULL, find->filter);
    return mongodb_look(work, collection, find, ret, error);
}
