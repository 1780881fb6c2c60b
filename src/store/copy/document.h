/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_COPY_DOCUMENT_H
#define STORE_COPY_DOCUMENT_H

/*
 * A whole document store copied into another one, of whichever engines: the service's documents,
 * and the ledger's outbox, inbox, command records and sagas. Both have the collections already;
 * what an earlier attempt has left in the target is replaced. Afterwards both were read and
 * compared, document by document and row by row.
 */

#include "store/document/document.h"
#include "store/copy/ledger.h"

/* FH_UNSUPPORTED: an engine keeps its ledger in a way that is not known here. FH_CONFLICT, not
 * retryable: a collection is not the same on both sides; says which. */
enum fh_code document_copy(const struct copy_options *options,
                           const struct fh_collection *collections, int count,
                           struct copy_result *ret, struct fh_error *error);
/* Whether any document of these collections is there. */
enum fh_code document_any(struct store *store, const struct fh_collection *collections, int count,
                          bool *ret, struct fh_error *error);

/* ---- For engines ------------------------------------------------------------------------------
 */

struct copied_documents_ops {
    /* About how many documents a collection has. */
    enum fh_code (*count)(struct store *store, const char *collection, int64_t *ret,
                          struct fh_error *error);
    /* All of them go. */
    enum fh_code (*clear)(struct store *store, const char *collection, struct fh_error *error);
    /* Writes documents where there are none; the ledger's copy has begun (copied_ops).
     * FH_UNAVAILABLE: another copying has begun, or nothing is known. */
    enum fh_code (*insert)(struct store *store, const char *collection, const json_t *list,
                           struct fh_error *error);
    /* Whether all of it was for the store as it is. FH_UNAVAILABLE: another copying has begun.
     * NULL: no other can begin. */
    enum fh_code (*end)(struct store *store, struct fh_error *error);
};
extern const struct copied_documents_ops copied_documents_sql; /* of document_sql */

#endif
