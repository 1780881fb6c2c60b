/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_MONGODB_CARRY_H
#define ENGINE_MONGODB_CARRY_H

/* Shared by the files that carry on entries: carry.c explains how, carry_record.c writes documents
 * and records, number.c gives out positions; both use carry_counter.c and carry_bulk.c. All of it
 * runs on a thread of the pool. */

#include "engine/mongodb/internal.h"

struct carry_event {
    const struct mongodb_carried *item;
    int index;
    bson_iter_t fields;
    const char *id, *key;
    int64_t position, previous;
    bool numbered; /* by an earlier attempt */
    bool first;    /* of its key */
    bool starts;   /* a saga: its key has no other event */
};

/* A key's last position. */
struct carry_place {
    int64_t position;
    bool is_new; /* no place has been written for it yet */
};

struct carrying {
    struct mongodb_carry *carry;
    struct carry_event *events;
    int count;
    struct map places; /* key → struct carry_place */
    bool strays;       /* rows or places were found that count as absent (mongodb_since) */
    bool newer;        /* a record was found that is newer than the one to be written */
    bool again;        /* this is the second try after that */
    bool making;       /* documents, not records */
    struct fh_error *error;
    enum fh_code code;
};

/* Ordered writes into one collection. */
struct carry_bulk {
    mongoc_collection_t *collection;
    mongoc_bulk_operation_t *native;
    int count;
    bool guarded; /* one write refused because of a newer document does not stop the others */
};

/* carry_bulk.c. A document's field; "" if there is none. */
const char *carry_text_at(const bson_t *document, const char *name);
bool carry_list_at(const bson_t *document, const char *name, bson_iter_t *ret);
bool carry_document_of(const bson_iter_t *at, bson_t *ret);

/* Each does nothing once c->code is set. */
void carry_bulk_begin(struct carry_bulk *bulk, const struct carrying *c, const char *collection);
void carry_bulk_end(struct carry_bulk *bulk, struct carrying *c);
void carry_bulk_took(struct carry_bulk *bulk, struct carrying *c, bool taken,
                     const bson_error_t *why);
/* Updates the document that `selector` finds; `makes`: upserts. */
void carry_bulk_update(struct carry_bulk *bulk, struct carrying *c, const bson_t *selector,
                       const bson_t *update, bool makes);
/* One bulk per collection, begun when first asked for; `inserts`: a separate one for inserts. */
struct carry_bulk *carry_bulk_of(struct carrying *c, struct map *bulks, const char *collection,
                                 bool inserts);
void carry_bulks_end(struct carrying *c, struct map *bulks);
void carry_bulk_begin_guarded(struct carry_bulk *bulk, const struct carrying *c,
                              const char *collection);
void carry_visit(struct carrying *c, const char *collection, const bson_t *filter, const char *sort,
                 void (*take)(struct carrying *c, const bson_t *document));

void carry_remove_many(struct carry_bulk *bulk, struct carrying *c, const bson_t *selector);

/* carry_counter.c */
void carry_read_counter(struct carrying *c); /* sets the position, and whether we are fenced */
void carry_write_counter(struct carrying *c);
/* Runs `once`; if some of it was refused, runs it again (`again`). If something newer is still in
 * the way, reads the counter to see whether we are fenced. */
void carry_twice(struct carrying *c, void (*once)(struct carrying *c));

/* carry_record.c */
void carry_make_documents(struct carrying *c);
void carry_record_all(struct carrying *c);

/* number.c: see the steps in carry.c. */
void carry_count_rows(struct carrying *c);
void carry_gather_events(struct carrying *c);
void carry_number_events(struct carrying *c);
void carry_begin_sagas(struct carrying *c);
void carry_write_places(struct carrying *c);

#endif
