/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_MONGODB_CARRY_H
#define ENGINE_MONGODB_CARRY_H

/* What the two files share that carry on what works' writes carry: carry.c says how, and
 * number.c does what concerns positions. All of it runs on a thread of the pool. */

#include "engine/mongodb/internal.h"

struct carry_event {
    const struct mongodb_carried *item;
    int index;
    bson_iter_t fields;
    const char *id, *key;
    int64_t position, previous;
    bool numbered; /* by an earlier attempt */
    bool first;    /* of its key */
    bool starts;   /* a saga: there is no other one of its key */
};

/* A key's last position. */
struct carry_place {
    int64_t position;
    bool is_new; /* it has none that is written */
};

struct carrying {
    struct mongodb_carry *carry;
    struct carry_event *events;
    int count;
    struct map places; /* key → struct carry_place */
    bool strays;       /* rows, or places, that are not there (mongodb_since) */
    bool newer;        /* a record was found that is newer than what it was to become */
    bool again;        /* so it is tried once more */
    bool making;       /* documents, not records */
    struct fh_error *error;
    enum fh_code code;
};

/* Ordered writes into one collection. */
struct carry_bulk {
    mongoc_collection_t *collection;
    mongoc_bulk_operation_t *native;
    int count;
    bool guarded; /* what is refused for a newer one does not keep the others from being done */
};

/* What stands in a document: "" where there is none. */
const char *carry_text_at(const bson_t *document, const char *name);
bool carry_list_at(const bson_t *document, const char *name, bson_iter_t *ret);
bool carry_document_of(const bson_iter_t *at, bson_t *ret);

/* Each does nothing once c->code is set. */
void carry_bulk_begin(struct carry_bulk *bulk, const struct carrying *c, const char *collection);
void carry_bulk_end(struct carry_bulk *bulk, struct carrying *c);
void carry_bulk_took(struct carry_bulk *bulk, struct carrying *c, bool taken,
                     const bson_error_t *why);
/* Updates what `selector` finds; `makes`: or what comes of both, where it finds nothing. */
void carry_bulk_update(struct carry_bulk *bulk, struct carrying *c, const bson_t *selector,
                       const bson_t *update, bool makes);
/* Of several collections, each begun when it is first asked for; `inserts`: one of its own. */
struct carry_bulk *carry_bulk_of(struct carrying *c, struct map *bulks, const char *collection,
                                 bool inserts);
void carry_bulks_end(struct carrying *c, struct map *bulks);
void carry_bulk_begin_guarded(struct carry_bulk *bulk, const struct carrying *c,
                              const char *collection);
void carry_visit(struct carrying *c, const char *collection, const bson_t *filter, const char *sort,
                 void (*take)(struct carrying *c, const bson_t *document));

/* carry_record.c */
void carry_remove_many(struct carry_bulk *bulk, struct carrying *c, const bson_t *selector);
/* What `once` was refused is tried `again`, and what is newer then looked into. */
void carry_twice(struct carrying *c, void (*once)(struct carrying *c));
void carry_make_documents(struct carrying *c);
void carry_record_all(struct carrying *c);

/* number.c: see the steps in carry.c. */
void carry_read_counter(struct carrying *c); /* sets its position, and whether we are fenced */
void carry_count_rows(struct carrying *c);
void carry_gather_events(struct carrying *c);
void carry_number_events(struct carrying *c);
void carry_begin_sagas(struct carrying *c);
void carry_write_places(struct carrying *c);
void carry_write_counter(struct carrying *c);

#endif
