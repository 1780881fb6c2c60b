/* SPDX-License-Identifier: Apache-2.0 */
#ifndef WORK_CARRIED_H
#define WORK_CARRIED_H

/*
 * Derived stores that lie on a server (docs/internals/carriers.md). What a unit of work derives
 * there is an event of its own outbox, which is committed with it; a carrier brings it to the
 * server. This is the event's form, and what a layer above does for handlers.
 *
 *     type        CARRIED_TYPE: internal, so that no reader of the outbox but carriers sees it
 *     key         the same, or one of CARRIED_EVENT_KEYS
 *     version     CARRIED_VERSION: a carrier stops at any other
 *     data        {"ops": [{"name": "products", "key": "p7", "value": {...}},
 *                          {"name": "products", "key": "p8"}]}
 *
 * An op without a value says that there is none any more. A point of an FH_SERIES, or a fact of an
 * FH_COLUMNS, has its time besides, and a key by which the service's own store, which has it too,
 * knows it: {"name": "measured", "key": "17@1700000000000", "at_ms": 1700000000000, "value":
 * {...}}. A fact that the server alone has is told by its event and its key, which is its number
 * among those of its unit of work: "0", "1"; a point by its key, which is made of its tags and its
 * time, and its event has the owner's incarnation besides: {"ops": ..., "life": "INCARNATION"}. A
 * unit of work has one op of a name and key. Of rows for a generation that is made anew:
 * {"generation": ["INCARNATION", 7], "as_of": 870, "ops": ...}, where their snapshot knew 870 as
 * the last position; "last": "products": there are no more.
 */

#include <jansson.h>

#include "store/derived/derived.h"
#include "store/ledger.h"
#include "work/work.h"

struct engine;

#define CARRIED_TYPE "freehold.derived"
#define CARRIED_VERSION 1
#define CARRIED_EVENT_KEYS 64 /* where several processes write */
#define CARRIED_EVENT_KEY_SIZE (sizeof CARRIED_TYPE + 4)
#define CARRIED_FACT_KEY_SIZE 64
#define CARRIED_DATA_SIZE_MAX ((size_t)1 << 20) /* of one event, unless one op alone is larger */

/* What is to be known of them for units of work: work_context.carried. */
struct work_carried {
    unsigned declared; /* 1u << i: fh_service.derives[i] lies on a server */
    unsigned kept;     /* and of these: the server alone has its facts */
    /* Whether what is at that time may be derived for a server that alone has it. FH_UNAVAILABLE:
     * the outbox holds so much for its sake that no more may be now. FH_INVALID, and the error's
     * field: its server has no such time. NULL: it always may. */
    enum fh_code (*takes)(struct work_context *context, const struct fh_derived *declared,
                          int64_t at_ms, struct fh_error *error);
    /* Events up to `position` are durable. */
    void (*committed)(struct work_context *context, int64_t position, int count); /* or NULL */
    /* Up to where the outbox may be trimmed for their sake: nowhere before what is trimmed already;
     * INT64_MAX: they need nothing of it. *ret_held: the same of what nobody else has, which is not
     * trimmed whatever the outbox's bounds are. In an open unit of work that reads. NULL: the same
     * as that. */
    enum fh_code (*needed)(struct work_context *context, struct store_work *work, int64_t *ret,
                           int64_t *ret_held, struct fh_error *error);
    /* As derived_ops.search, .series or .columns, by its model: `question` is what these are asked,
     * a struct fh_search, and so on. Without a unit of work; parks. NULL: none can be asked. */
    enum fh_code (*ask)(struct work_context *context, const struct fh_derived *declared,
                        const void *question, int64_t deadline_ns, json_t **ret,
                        struct fh_error *error);
};

/* An event's key, by its first op's. */
void carried_event_key(char ret[static CARRIED_EVENT_KEY_SIZE], const struct engine *engine,
                       const char *op_key);
bool work_carries(const struct work_context *context, const struct fh_derived *declared);
/* Whether the server that it lies on alone has its facts. */
bool work_carries_alone(const struct work_context *context, const struct fh_derived *declared);

/* Appends {"name", "key", "value"} to `text`; of a value what is declared; NULL: it is gone. */
void carried_write_op(struct text *text, const struct fh_derived *declared, const char *key,
                      const json_t *value);

/* The same of a point or fact, with its time. */
void carried_write_fact(struct text *text, const struct fh_derived *declared, const char *key,
                        const struct derived_fact *fact);
/* "ID@AT_MS", which is read back as the id and the time; false: it is none. */
void carried_fact_key(char ret[static CARRIED_FACT_KEY_SIZE], const struct derived_fact *fact);
bool carried_fact_of_key(const char *key, int64_t *ret_id, int64_t *ret_at_ms);

/* Within the layer: notes what one unit of work derives; it is written as the last thing of it. */
void carried_note(fh_work *w, const struct fh_derived *declared, const char *key,
                  const json_t *value);
void carried_note_fact(fh_work *w, const struct fh_derived *declared,
                       const struct derived_fact *fact);
/* The same of one that the server alone has; fact->id: of a fact, its number in the unit of work.
 */
void carried_note_kept(fh_work *w, const struct fh_derived *declared,
                       const struct derived_fact *fact);

#endif
