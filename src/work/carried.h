/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_CARRIED_H
#define WORK_CARRIED_H

/*
 * Derived stores that lie on a server (docs/internals/carriers.md). What a unit of work derives
 * there is an event of its own outbox, which is committed with it; a carrier brings it to the
 * server. This is the event's form, and what a layer above does for handlers.
 *
 *     type, key   CARRIED_TYPE: internal, so that no reader of the outbox but carriers sees it
 *     version     CARRIED_VERSION: a carrier stops at any other
 *     data        {"ops": [{"name": "products", "key": "p7", "value": {...}},
 *                          {"name": "products", "key": "p8"}]}
 *
 * An op without a value says that there is none any more. A unit of work has one op of a name and
 * key. Of rows for a generation that is made anew: {"generation": ["INCARNATION", 7], "ops": ...}.
 */

#include <jansson.h>

#include "store/derived/derived.h"
#include "store/ledger.h"
#include "work/work.h"

struct engine;

#define CARRIED_TYPE "freehold.derived"
#define CARRIED_VERSION 1
#define CARRIED_DATA_SIZE_MAX ((size_t)1 << 20) /* of one event, unless one op alone is larger */

/* What is to be known of them for units of work: work_context.carried. */
struct work_carried {
    unsigned declared; /* 1u << i: fh_service.derives[i] lies on a server */
    /* Events up to `position` are durable. */
    void (*committed)(struct work_context *context, int64_t position, int count); /* or NULL */
    /* Up to where the outbox may be trimmed for their sake: nowhere before what is trimmed already;
     * INT64_MAX: they need nothing of it. In an open unit of work that reads. NULL: the same as
     * that. */
    enum fh_code (*needed)(struct work_context *context, struct store_work *work, int64_t *ret,
                           struct fh_error *error);
    /* As derived_ops.search, without a unit of work; parks. NULL: none can be asked. */
    enum fh_code (*search)(struct work_context *context, const struct fh_derived *declared,
                           const struct fh_search *search, int64_t deadline_ns, json_t **ret,
                           struct fh_error *error);
};

/* FH_UNSUPPORTED: nothing may be carried from such stores, since several processes write to one at
 * a time (rule 14). What they derive has no order that a server could keep. */
enum fh_code carried_engine_check(const struct engine *engine, struct fh_error *error);
bool work_carries(const struct work_context *context, const struct fh_derived *declared);

/* Appends {"name", "key", "value"} to `text`; of a value what is declared; NULL: it is gone. */
void carried_write_op(struct text *text, const struct fh_derived *declared, const char *key,
                      const json_t *value);

/* Within the layer: notes what one unit of work derives; it is written as the last thing of it. */
void carried_note(fh_work *w, const struct fh_derived *declared, const char *key,
                  const json_t *value);

#endif
