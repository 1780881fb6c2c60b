/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_ENGINE_H
#define STORE_ENGINE_H

/*
 * An engine: one kind of database that a service can own. This lists what it can do, and the
 * functions that do it; each part is a contract of its own, described where it is declared.
 */

#include <stdbool.h>

struct beside_ops;
struct copied_documents_ops;
struct copied_keys_ops;
struct copied_ops;
struct counters_ops;
struct derived_ops;
struct document_ops;
struct keyvalue_ops;
struct ledger_ops;
struct server_kind;
struct sql_ops;
struct store_ops;

enum engine_ability {
    ENGINE_MANY_INSTANCES = 1 << 0, /* several processes may have one store open */
    ENGINE_GUARDED = 1 << 1,        /* knows STORE_WRITE_GUARDED */
    ENGINE_GROUPED = 1 << 2,        /* knows STORE_WRITE_GROUPED */
    /* A commit changes one of the service's documents, or makes some (store_work.joint). */
    ENGINE_ONE_DOCUMENT = 1 << 3,
    /* Each read of a STORE_READ unit of work sees a moment of its own. That everything read was so
     * at one moment is known only once it commits, even if it changes nothing. */
    ENGINE_READS_APART = 1 << 4,
    /* It calls store_notify_listeners when another process has assigned positions: nobody needs to
     * poll. */
    ENGINE_NOTIFIES = 1 << 5,
    /* On a server: what returns nothing is sent without being waited for. */
    ENGINE_DEFERS = 1 << 6,
};

struct engine {
    const char *name;   /* as system files spell it */
    const char *title;  /* as people write it */
    unsigned abilities; /* of enum engine_ability */
    unsigned models;    /* 1u << enum fh_model, for each it implements */
    const struct store_ops *store;
    const struct ledger_ops *ledger;
    const struct sql_ops *sql; /* relational engines, and engines built on one; else NULL */
    /* Of the models that it implements; else NULL. */
    const struct document_ops *documents;
    const struct keyvalue_ops *keyvalue;
    /* Derived stores within its stores (derived/derived.h); NULL: it keeps none. */
    const struct derived_ops *derived;

    /* How the ledger and a model's data are copied into another engine's store, and out of it
     * (copy/ledger.h, copy/document.h, copy/keyvalue.h). NULL: everything is in tables, which are
     * copied as such. */
    const struct copied_ops *copied_ledger;
    const struct copied_documents_ops *copied_documents;
    const struct copied_keys_ops *copied_keys;

    /* Counters that processes without a store share (counters.h); NULL: it has none. */
    const struct counters_ops *counters;

    /* Stores beside those that serve, on their server (beside.h); NULL: it has none. */
    const struct beside_ops *beside;

    const struct server_kind *server; /* store/server.h; NULL: the engine is embedded */
};

static inline bool engine_can(const struct engine *engine, enum engine_ability ability)
{
    return engine->abilities & (unsigned)ability;
}

#endif
