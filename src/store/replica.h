/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_REPLICA_H
#define STORE_REPLICA_H

/*
 * Read replicas: other servers that follow the store's own (the primary) by the engine's own
 * replication. Single statements of GETs go to them while they are known to have everything that
 * the primary had `staleness_ms` ago; everything else, and every other read, goes to the primary.
 * When the primary is gone, those reads continue on replicas and say how old they may be.
 */

#include "store/store.h"

#define REPLICAS_MAX 8
#define REPLICA_STALENESS_MS 1000 /* the default */

struct store_replicas;

/* What is reported once, when it begins. */
enum store_replicas_news {
    REPLICA_UNREADABLE, /* `what` says which one, and why */
    REPLICAS_UNUSABLE,  /* the primary does not say how far its log has got */
    PRIMARY_LOST,       /* reads go on at replicas */
    PRIMARY_BACK
};
typedef void store_replicas_told(enum store_replicas_news news, const char *what);

/* Reads "replicas" ([{"host", "port"}]) and "staleness_ms" from the store's configuration, which is
 * borrowed while the store is open. Without replicas store->replicas stays NULL. A replica that
 * does not answer now is tried again when it is needed. On a fiber. FH_INVALID, FH_UNSUPPORTED:
 * what is wrong in the configuration. */
enum fh_code store_replicas_open(struct store *store, const struct store_options *options,
                                 store_replicas_told *told, struct fh_error *error);
/* Their state, for the metrics. */
struct store_replicas_view {
    int count, fresh; /* fresh: may be read now */
    uint64_t reads;   /* served by them */
    bool primary_gone;
};
void store_replicas_view(const struct store *store, struct store_replicas_view *ret);

#endif
