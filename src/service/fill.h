/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVICE_FILL_H
#define SERVICE_FILL_H

/*
 * A store of a service filled from another one of the same model: what a move, a backup and a
 * restore share.
 */

#include "freehold.h"
#include "service/move.h"
#include "store/copy/copy.h"

/* Makes what the model keeps things in, where it is missing: the migrations that are new in the
 * folder `migrations`, or the collections. On a fiber. */
enum fh_code service_store_prepare(const fh_service *service, struct store *store,
                                   const char *migrations, struct fh_error *error);
/* All of options->from into options->to, both prepared, read again and compared. On a fiber.
 * FH_UNSUPPORTED: stores of this model can't be copied so. */
enum fh_code service_store_copy(const fh_service *service, const struct copy_options *options,
                                struct copy_result *ret, struct fh_error *error);
/* For copy_options.told and its context: tells `watch`, and now and then the log. */
struct fill_watch {
    struct world *world;
    const struct move_watch *watch;
    const char *doing;          /* "moving" */
    int64_t told_ns, logged_ns; /* when that is due next; zero at first */
};
void fill_told(void *context, const struct copy_step *step);
/* Whether the store holds anything of the service's: migrations were applied to it, it has
 * published, or it has documents or keys. */
enum fh_code service_store_used(const fh_service *service, struct store *store, bool *ret,
                                struct fh_error *error);

struct store_mark {
    const char *name, *value;
};
struct store_becoming {
    const struct store_mark *marks; /* put besides */
    size_t count;
    bool renew, restored; /* ledger_incarnation_renew_above */
    const char *above;
};
/* What was copied into `to` is from now on, by one work, what `from` is: of its incarnation and its
 * ancestors, or a new one behind them. On a fiber. */
enum fh_code service_store_become(struct store *from, struct store *to,
                                  const struct store_becoming *becoming, struct fh_error *error);

#endif
