/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

/*
 * A store: the one database that a service owns. An engine is one `const struct store_ops`; the
 * rooms above use the dispatchers at the end and never know which engine it is.
 *
 * Every unit of work is serializable and atomic. `commit` returns only when the work is durable,
 * and until then nothing of it may be told to anyone. Functions may park the calling fiber, except
 * where an engine says otherwise.
 */

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "base/id.h"
#include "freehold.h"
#include "world/world.h"

struct sql_ops;
struct relational_cache;

enum store_mode {
    STORE_READ,        /* a snapshot of committed rows; commit and rollback both end it */
    STORE_WRITE,       /* may share its commit with others */
    STORE_WRITE_ALONE, /* with a commit of its own: for a work whose group failed */
};

struct store_options {
    const char *service;
    const char *folder; /* embedded engines: the service's own folder, which exists */
    enum fh_model model;
};

struct store {
    const struct store_ops *ops;
    struct world *world;
    enum fh_model model;
    struct relational_cache *relational; /* compiled statements; freed by store_close */
    char incarnation[ID_SIZE];           /* of this store, since it was provisioned or restored */
};

struct store_work {
    struct store *store;
    enum store_mode mode;
};

struct store_ops {
    const char *name; /* "sqlite" */
    unsigned models;  /* 1u << enum fh_model, for each it implements */
    bool many_instances;
    const struct sql_ops *sql; /* relational engines, and those built on one */

    /* Opens, recovers, provisions what a new store needs (ledger.h's tables), and makes durable
     * whatever it will show. */
    enum fh_code (*open)(const struct store_options *options, struct world *world,
                         struct store **ret, struct fh_error *error);
    /* All works have ended. */
    void (*close)(struct store *store);
    enum fh_code (*begin)(struct store *store, enum store_mode mode, struct store_work **ret,
                          struct fh_error *error);
    /* Ends the work whatever it returns. FH_OK: durable. FH_CONFLICT with retryable: nothing was
     * done, run it again, alone. Others: nothing was done. FH_OUTCOME_UNKNOWN: see error.h. */
    enum fh_code (*commit)(struct store_work *work, struct fh_error *error);
    void (*rollback)(struct store_work *work);
};

extern const struct store_ops store_sqlite;

/* By an engine's name; NULL: not built in. */
const struct store_ops *store_engine(const char *name);

static inline enum fh_code store_begin(struct store *store, enum store_mode mode,
                                       struct store_work **ret, struct fh_error *error)
{
    return store->ops->begin(store, mode, ret, error);
}
static inline enum fh_code store_commit(struct store_work *work, struct fh_error *error)
{
    return work->store->ops->commit(work, error);
}
static inline void store_rollback(struct store_work *work)
{
    work->store->ops->rollback(work);
}
void store_close(struct store *store);

/* What was read back is not what was written (a page's checksum, say): a FH_UNAVAILABLE that no
 * repetition mends. Engines begin error->native with this word. */
#define STORE_DAMAGED "DAMAGED"
static inline bool store_is_damaged(const struct fh_error *error)
{
    return strncmp(error->native, STORE_DAMAGED, sizeof STORE_DAMAGED - 1) == 0;
}

#endif
