/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_ENGINE_H
#define STORE_ENGINE_H

/*
 * An engine: one kind of database that a service can own. What it can do, and who does it; each
 * part is a contract of its own, described where it is declared.
 */

#include <stdbool.h>

struct copied_documents_ops;
struct copied_keys_ops;
struct copied_ops;
struct document_ops;
struct keyvalue_ops;
struct ledger_ops;
struct server_kind;
struct sql_ops;
struct store_ops;

enum engine_ability {
    ENGINE_MANY_INSTANCES = 1 << 0, /* several processes may have one store open */
    ENGINE_GUARDED = 1 << 1,        /* knows STORE_WRITE_GUARDED */
    ENGINE_GROUPED = 1 << 2,        /* knows STORE_WRITE_TOGETHER */
    ENGINE_HOLDS_EXCLUSIVE =
        1 << 3, /* a STORE_WRITE_ALONE work keeps other processes' works off, too */
    ENGINE_ONE_DOCUMENT = 1 << 4, /* a commit changes one of the service's documents, not several */
    /* Each read of STORE_READ sees its own moment: that all were so at once is known of a work that
     * commits, also one that changes nothing. */
    ENGINE_READS_APART = 1 << 5,
    /* It calls store_heard when another process has given positions: nobody needs to look. */
    ENGINE_NOTIFIES = 1 << 6,
};

struct engine {
    const char *name;   /* as system files have it */
    const char *title;  /* as people write it */
    unsigned abilities; /* of enum engine_ability */
    unsigned models;    /* 1u << enum fh_model, for each it implements */
    const struct store_ops *store;
    const struct ledger_ops *ledger;
    const struct sql_ops *sql; /* relational engines, and those built on one; else NULL */
    /* Those of the models that it implements; else NULL. */
    const struct document_ops *documents;
    const struct keyvalue_ops *keyvalue;

    /* How the ledger and what a model keeps are copied into another engine's store, and out of it
     * (copy/ledger.h, copy/document.h, copy/keyvalue.h). NULL: engines that have only tables, which
     * are copied as such. */
    const struct copied_ops *copied_ledger;
    const struct copied_documents_ops *copied_documents;
    const struct copied_keys_ops *copied_keys;

    const struct server_kind *server; /* store/server.h; NULL: it is embedded */
};

static inline bool engine_can(const struct engine *engine, enum engine_ability ability)
{
    return engine->abilities & (unsigned)ability;
}

/* Of the build (src/engine/meson.build), which registers them by itself; the last one is NULL. */
extern const struct engine *const engines_built_in[];
/* Names of those that it was built without, up to NULL. */
extern const char *const engines_lacking[];

/* Adds one. It ends the process if a part is missing that the engine must have, or its name is
 * taken. Before there are threads. */
void engine_register(const struct engine *engine);
/* By its name, of NULL the embedded one; NULL: not built in. */
const struct engine *engine_named(const char *name);
/* The one without a server: what a service has that does not say. */
const struct engine *engine_embedded(void);
/* The first one (of NULL), and the next. */
const struct engine *engine_next(const struct engine *engine);

#endif
