/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_FILL_H
#define SERVICE_FILL_H

/*
 * Filling a service's store from another store of the same model: what a move, a backup and a
 * restore share.
 */

#include "freehold.h"
#include "service/move.h"
#include "store/copy/copy.h"

/* Creates what the model stores things in, if it is missing: applies the new migrations in the
 * folder `migrations`, or creates the collections. On a fiber. */
enum fh_code service_store_prepare(const fh_service *service, struct store *store,
                                   const char *migrations, struct fh_error *error);
/* Copies all of options->from into options->to, both prepared; reads it again and compares it. On a
 * fiber. FH_UNSUPPORTED: stores of this model can't be copied this way. */
enum fh_code service_store_copy(const fh_service *service, const struct copy_options *options,
                                struct copy_result *ret, struct fh_error *error);
/* For copy_options.told and its context: reports progress to `watch`, and now and then to the
 * log. */
struct fill_watch {
    struct world *world;
    const struct move_watch *watch;
    const char *doing;          /* "moving" */
    int64_t told_ns, logged_ns; /* when each is due next; zero at first */
};
void fill_told(void *context, const struct copy_step *step);
/* Whether the store holds any of the service's data: it has migrations, published events, documents
 * or keys. */
enum fh_code service_store_used(const fh_service *service, struct store *store, bool *ret,
                                struct fh_error *error);

struct store_mark {
    const char *name, *value;
};
struct store_becoming {
    const struct store_mark *marks; /* written as well */
    size_t count;
    bool renew, restored; /* ledger_incarnation_renew_above */
    const char *above;
};
/* In one transaction makes `to`, into which `from` was copied, what `from` is: with its incarnation
 * and ancestors, or a new incarnation after them. On a fiber. */
enum fh_code service_store_become(struct store *from, struct store *to,
                                  const struct store_becoming *becoming, struct fh_error *error);

#endif
