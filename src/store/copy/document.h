/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_COPY_DOCUMENT_H
#define STORE_COPY_DOCUMENT_H

/*
 * Copies a whole document store into another one, of any engines: the service's documents, and the
 * ledger's outbox, inbox, command records and sagas. Both have the collections already; what an
 * earlier attempt left in the target is replaced. Then both are read and compared, document by
 * document and row by row.
 */

#include "store/document/document.h"
#include "store/copy/ledger.h"

/* FH_UNSUPPORTED: an engine's way of keeping its ledger is not known here. FH_CONFLICT, not
 * retryable: a collection differs; says which. */
enum fh_code document_copy(const struct copy_options *options,
                           const struct fh_collection *collections, int count,
                           struct copy_result *ret, struct fh_error *error);
/* Whether any of these collections has a document. */
enum fh_code document_any(struct store *store, const struct fh_collection *collections, int count,
                          bool *ret, struct fh_error *error);

/* ---- For engines ---- */

struct copied_documents_ops {
    /* About how many documents a collection has. */
    enum fh_code (*count)(struct store *store, const char *collection, int64_t *ret,
                          struct fh_error *error);
    /* Removes all of them. */
    enum fh_code (*clear)(struct store *store, const char *collection, struct fh_error *error);
    /* Writes documents that do not exist yet; the ledger's copy has begun (copied_ops).
     * FH_UNAVAILABLE: another copy has begun, or the outcome is unknown. */
    enum fh_code (*insert)(struct store *store, const char *collection, const json_t *list,
                           struct fh_error *error);
    /* Checks that everything went into the store as it now is. FH_UNAVAILABLE: another copy has
     * begun. NULL: none can. */
    enum fh_code (*end)(struct store *store, struct fh_error *error);
};
extern const struct copied_documents_ops copied_documents_sql; /* for document_sql */

#endif
