/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_MONGODB_INTERNAL_H
#define ENGINE_MONGODB_INTERNAL_H

/*
 * What the files of the MongoDB engine share. docs/operate/engines/mongodb.md explains how they
 * work together, and what holds after a crash at each step.
 *
 *     library.c   the client library    commit.c      all changes in one write
 *     client.c    connections, errors   write.c       making that write
 *     bson.c      JSON to BSON, back    carry.c       the steps after it
 *     conflict.c  concurrent work       settle.c      who takes them, and when
 *     work.c      what a unit sees      document.c    the model's operations
 *     find.c      finding               ledger.c      events, sagas that start
 *     turn.c      several processes     records.c     the rest of the ledger
 *     claim.c     who owns the store    record.c      why a late write loses
 *     engine.c    opening and closing   copy.c        copying the store
 *     left.c      checking an entry     copy_begin.c  why only one copier wins
 *     back.c      undoing a late write  carry_*.c     parts and steps of carry.c
 *     places.c    last positions        number.c      steps of it that give out positions
 *     reach.c     addresses, sockets
 *
 * Wherever possible, no file searches a collection that grows: FerretDB 1 on SQLite scans all of
 * it, even for one _id.
 */

#include "base/map.h"
#include "store/document/document.h"
#include "store/document/engine.h"
#include "engine/mongodb/bson.h"
#include "store/records/records.h"
#include "store/socket.h"
#include "store/store.h"

#define MONGODB_CONNECTIONS 8 /* where the configuration does not say */
#define MONGODB_CONNECTIONS_MAX 256
#define MONGODB_CONNECT_MS "2000"
#define MONGODB_SOCKET_MS "20000"
#define MONGODB_OPEN_MS 30000 /* for a server that is starting */
#define MONGODB_WAIT_MS                                                                            \
    30000 /* for a lock, a connection, or units of work in the way of an exclusive one */
#define MONGODB_BACKOFF_MS_MIN 20
#define MONGODB_BACKOFF_MS_MAX 1000
#define MONGODB_COLLECTIONS_MAX 64
#define MONGODB_DOCUMENT_SIZE_MAX (16 << 20) /* of BSON: the most a server accepts */
#define MONGODB_PLACED_MAX 16384             /* positions remembered for mongodb_sequence */

/* What FerretDB 1 can't promise: the end of a sentence whose subject is the server. */
#define MONGODB_FERRETDB_LACKS                                                                     \
    "is FerretDB 1, which does not update a document in one step: a request that arrives late, "   \
    "after it was repeated, can undo another write of the same document that is made at that "     \
    "very moment (docs/operate/engines/mongodb.md)"

/* The engine's own collections. For their contents see records.h and ledger.c. */
#define MONGODB_WORKS "fh_work"
#define MONGODB_OUTBOX "fh_outbox"
#define MONGODB_PLACES "fh_place"
#define MONGODB_META "fh_meta"
#define MONGODB_SAGAS "fh_saga"
#define MONGODB_STEPS "fh_saga_step"
#define MONGODB_COMMANDS "fh_command"
#define MONGODB_DECLARED "fh_collection"
#define MONGODB_KEY_LOCK "key" RECORD_SEPARATOR /* before an event's key: the lock's name */

struct mongodb_client;
struct mongodb_entry;

/* A position given out recently. */
struct mongodb_placed {
    char event_id[ID_SIZE];
    int64_t position;
};

/* Where a store is, and which user it is reached as, for the client library: reach.c. */
struct mongodb_reach {
    mongoc_uri_t *uri;
    char socket[STORE_HOST_SIZE + 32]; /* its path; "": by TCP */
};

struct mongodb {
    struct store store; /* first */
    struct mongodb_reach reach;
    const char *tls_host; /* borrowed; NULL: no TLS */
    char database[64];
    enum mongodb_nesting nesting;

    struct mongodb_client *idle;
    int client_count, client_max;
    struct fiber_queue for_client;

    struct engine_collection collections[MONGODB_COLLECTIONS_MAX]; /* declared */
    int collection_count;

    /* claim.c */
    int64_t order, order_end; /* the last number given to a write; the last one that is ours */
    int64_t recovered;        /* everything written up to this epoch has been carried on */
    int64_t since;            /* the number of the last copying into the store; 0: none */
    bool reserving;

    /* copy_begin.c */
    int64_t copy; /* the number of this process's own copying into the store; 0: none */
    bool filling; /* the outbox is being copied: the counter does not yet say how far it goes */

    /* turn.c */
    struct store_turn *turn; /* NULL: no other process shares the store */
    bool ours, leaving;      /* units of work that write may begin; may no longer begin */
    bool turning;            /* its fiber is running */
    int64_t turned_ns;
    struct fiber_queue turner;

    /* conflict.c */
    struct map locks;
    struct mongodb_work *works; /* open for writing */
    struct store_work *holds;   /* the store is held (store_hold) */
    /* Committing, or ended while a unit of work is open that began earlier. */
    struct mongodb_entry *entries;
    uint64_t ended;                       /* how many entries have ended */
    int open, waiting, exclusive_waiting; /* writers: open; at the gate; of these, exclusive */
    bool exclusive;
    struct fiber_queue gate;
    struct fiber_queue decided; /* woken when an entry's one write is decided */

    /* settle.c */
    struct mongodb_entry *first, *last; /* decided, to be carried on */
    bool carrying, closing, uncertain;  /* uncertain: how far the last attempt got is unknown */
    bool uncounted;          /* an earlier process may have left rows beyond the counter */
    int64_t position, epoch; /* the last position given out; the epoch of this turn */
    struct fiber_queue carried, for_entries;
    struct mongodb_placed placed[MONGODB_PLACED_MAX];
    uint64_t placed_count;
};

static inline struct mongodb *mongodb_of(struct store *store)
{
    return (struct mongodb *)store;
}

/* ---- client.c ---- */

/* A call of the client library. `run` runs on a thread of the pool and touches only what the call
 * refers to. Embedded at the start of a struct with its arguments and results. */
struct mongodb_call {
    enum fh_code (*run)(struct mongodb_call *call, struct fh_error *error);
    mongoc_client_t *client; /* set before run, like the rest */
    const char *database;
    enum mongodb_nesting nesting;
};

/* Users belong to the database itself. FH_INVALID. */
enum fh_code mongodb_reach_init(struct mongodb_reach *ret, const json_t *server,
                                struct fh_error *error);
void mongodb_reach_release(struct mongodb_reach *reach);
/* NULL: none could be made. `reach` stays where it is as long as the client exists. */
mongoc_client_t *mongodb_client_new(struct mongodb_reach *reach);
enum fh_code mongodb_connect(struct mongodb *mongodb, const struct store_options *options,
                             struct fh_error *error);
void mongodb_disconnect(struct mongodb *mongodb);
enum fh_code mongodb_call(struct mongodb *mongodb, struct mongodb_call *call,
                          struct fh_error *error);
mongoc_collection_t *mongodb_collection(const struct mongodb_call *call, const char *name);
/* FH_UNAVAILABLE: the outcome of a write is unknown. FH_CONFLICT: a duplicate _id or a concurrent
 * write. Others: it was refused. */
enum fh_code mongodb_failed(const bson_error_t *why, struct fh_error *error);
/* Turns the library's message `said` about a failed connection into an error: store_tls_failed. */
bool mongodb_tls_failed(const char *host, const char *said, struct fh_error *error);
/* On a thread of the pool: asks the server about itself, by a command that needs no privilege and
 * changes nothing. The caller destroys `ret`, whatever the outcome. */
enum fh_code mongodb_ask(const struct mongodb_call *call, const char *command, bson_t *ret,
                         struct fh_error *error);
/* Sleeps, longer with each try. */
void mongodb_back_off(struct mongodb *mongodb, int tries);

/* ---- claim.c ---- */

/* Takes ownership of the store: reads the counter and raises its epoch. `known`: the epoch of the
 * previous turn if it left nothing behind, or TURN_UNCLEAN. FH_UNAVAILABLE. */
enum fh_code mongodb_claim(struct mongodb *mongodb, int64_t known, struct fh_error *error);
/* Everything that earlier turns left has been carried on: whatever of theirs arrives from now on is
 * late. */
enum fh_code mongodb_claim_recovered(struct mongodb *mongodb, struct fh_error *error);
/* Makes sure that mongodb_order_next has numbers to give: it returns one above all given before.
 * FH_UNAVAILABLE: there are none, and the server gives none. */
enum fh_code mongodb_order_reserve(struct mongodb *mongodb, struct fh_error *error);
/* A document of `collection` with a number up to this one was sent before the last copying into the
 * store and arrived later: it counts as absent (copy_begin.c). 0: there are none such. */
int64_t mongodb_since(const struct mongodb *mongodb, const char *collection);
static inline int64_t mongodb_order_next(struct mongodb *mongodb)
{
    FH_ASSERT(mongodb->order < mongodb->order_end);
    return ++mongodb->order;
}

/* ---- record.c: on a thread of the pool ---- */

/* Selects the document of this id, unless it was written with a number above `order`. */
void mongodb_record_selector(bson_t *selector, const char *id, int64_t order);
/* Excludes newer documents: "_fh.at" is not above (`also_equal`: nor equal to) `order`. */
void mongodb_record_guard(bson_t *selector, int64_t order, bool also_equal);
/* The update that puts a record's fields. `late`: copies of this write may still be under way. */
void mongodb_record_update(bson_t *update, const bson_t *fields, int64_t order, bool late);
/* Whether a document's number is up to `since` (a stray); and the selector for all strays, or for
 * all others. */
bool mongodb_record_is_stray(const bson_t *document, int64_t since);
void mongodb_record_strays(bson_t *selector, int64_t since, bool are_so);
/* The document that replaces a removed record of which a late copy may arrive. */
void mongodb_record_gone(bson_t *document, const char *id, int64_t order);
/* A copy of the document, marked: copies of the request that created it may still arrive. */
bson_t *mongodb_record_told_late(const bson_t *document);

/* ---- copy_begin.c ---- */

/* This process copies into the store from here on: everything sent for the store before counts as
 * absent, except the engine's own collections (mongodb_since). */
enum fh_code mongodb_copy_begin(struct store *store, struct fh_error *error);
/* FH_UNAVAILABLE: another process has begun to copy into it since, as far as is known here. */
enum fh_code mongodb_copy_check(const struct mongodb *mongodb, struct fh_error *error);
/* The same, but asks the server. */
enum fh_code mongodb_copy_end(struct store *store, struct fh_error *error);
/* See copied_ops. */
enum fh_code mongodb_copy_number(struct store *store, int64_t position, int64_t trimmed,
                                 const char *trimmed_id, struct fh_error *error);

/* ---- turn.c ---- */

/* When opening: waits until it is our turn, if the store is shared. */
enum fh_code mongodb_turn_open(struct mongodb *mongodb, const struct store_options *options,
                               struct fh_error *error);
/* Once opened: from now on others may have the turn, too. The fiber ends when the store closes. */
enum fh_code mongodb_turn_start(struct mongodb *mongodb, struct fh_error *error);
void mongodb_turn_close(struct mongodb *mongodb);

/* ---- conflict.c ---- */

struct mongodb_lock;

/* A document that a unit of work changes. Both versions are on the heap; NULL: there is none. */
struct mongodb_change {
    char *collection, *id;
    json_t *old, *fresh;
    bool known; /* `old` was read */
    bool user;  /* a document of the service, which carries the rest */
    bool late;  /* late copies of the request that created it may still arrive: see record.c */
    bool drawn; /* its id was generated for it, so it can't exist yet */
    struct mongodb_lock *lock; /* on a document of the service; NULL: none, or given back */
    char version[ID_SIZE];     /* of the service's document as read; "": it does not exist */
    struct mongodb_change *next;
};

/* A read of a unit of work: one document, or all that match. */
struct mongodb_read {
    char *collection, *id; /* id NULL: by filter */
    json_t *filter;        /* on the heap; NULL: all */
    uint64_t at;           /* how many entries had ended then */
    struct mongodb_read *next;
};

enum mongodb_kind {
    MONGODB_INSERT,  /* the changed document, new */
    MONGODB_REPLACE, /* the changed document, guarded by its version */
    MONGODB_DELETE,  /* removes the changed document, with nothing to carry */
    MONGODB_PUT,     /* one document of the ledger, and nothing else */
    MONGODB_DROP,    /* removes it */
    MONGODB_BURY,    /* removes it, leaving a marker in its place */
};

#define MONGODB_EVENT_KEYS_MAX 10000

/* A unit of work from its validation until nothing of it is left to do. */
struct mongodb_entry {
    char id[ID_SIZE];
    struct mongodb *mongodb;
    struct mongodb_change *changes;
    struct mongodb_lock *lock; /* on a document that it does not change */
    struct mongodb_lock **keys;
    int key_count;

    int64_t order; /* of its writes: above that of everything that it could have read */
    enum mongodb_kind kind;
    const char *collection, *document_id, *version; /* of the one write */
    bson_t *document;
    bson_t *carried; /* what the one write carries besides its own document; NULL: nothing */
    bool removed;    /* the document is kept only as its carrier */
    bool makes;      /* the carried writes include new documents of the service */
    bool late;       /* copies of its one write may be under way */
    bool left;       /* an earlier process may be carrying it on, too */
    bool never;      /* it was written too late, and counts as never written */
    bson_t *back;    /* if so, its document as it was before; NULL: leave it */
    bool recorded;   /* all of it is written: it only has to be taken out */

    bool decided, refused, attempted, ended;
    uint64_t ended_as;
    int references; /* the committing fiber's, the entry list's, the settle queue's */
    struct mongodb_entry *next_carried, *next;
};

struct mongodb_work {
    struct store_work work; /* first */
    struct mongodb *mongodb;
    uint64_t began;
    struct mongodb_change *changes;
    struct mongodb_read *reads;
    json_t *events, *ranges, *derived; /* arrays on the heap; NULL: none. derived: keys' names */
    struct mongodb_lock *lock;
    struct mongodb_work *next;
};

static inline struct mongodb_work *mongodb_work_of(struct store_work *work)
{
    return (struct mongodb_work *)work;
}
__typeof__(ledger_derived_touch) mongodb_derived_touch; /* locks the keys at the commit */
/* Passes the gate: shared, or exclusive once all others have left. FH_UNAVAILABLE: it took too
 * long. */
enum fh_code mongodb_enter(struct mongodb *mongodb, bool exclusive, struct fh_error *error);
void mongodb_leave(struct mongodb *mongodb, bool exclusive);
/* First come, first served. NULL: it took too long. */
struct mongodb_lock *mongodb_lock_take(struct mongodb *mongodb, const char *name);
void mongodb_lock_give(struct mongodb *mongodb, struct mongodb_lock *lock);
/* Whether everything that the unit of work read is unchanged, and not being changed by a commit in
 * progress. */
bool mongodb_is_valid(const struct mongodb_work *work);
void mongodb_entry_begins(struct mongodb_entry *entry); /* seen by others' validation from here */
void mongodb_entry_ends(struct mongodb_entry *entry);   /* gives its locks back */
void mongodb_entry_release(struct mongodb_entry *entry);
void mongodb_changes_free(struct mongodb_change *change); /* the whole list */
void mongodb_forget_ended(struct mongodb *mongodb);
/* Waits until all writes in progress to `collection` (`id` NULL: any document) are decided: a read
 * may have returned one of them. */
enum fh_code mongodb_wait_decided(struct mongodb *mongodb, const char *collection, const char *id,
                                  struct fh_error *error);

/* ---- work.c: documents as a unit of work sees them, with its own changes ---- */

enum fh_code mongodb_begin(struct store *store, enum store_mode mode, struct store_work **ret,
                           struct fh_error *error);
void mongodb_rollback(struct store_work *work);
void mongodb_work_free(struct mongodb_work *work);
static inline bool mongodb_writes(const struct store_work *work)
{
    return store_writes(work->mode);
}
/* FH_OK with NULL: there is none. New reference, on the heap. */
enum fh_code mongodb_get(struct store_work *work, const char *collection, const char *id,
                         json_t **ret, struct fh_error *error);
/* By one find, for mongodb_get to return. */
enum fh_code mongodb_get_ahead(struct store_work *work, const char *collection,
                               const char *const *ids, int count, struct fh_error *error);
/* In the arena that is set. FH_INVALID: see page.h. */
enum fh_code mongodb_find(struct store_work *work, const char *collection,
                          const struct document_find *find, json_t **ret, struct fh_error *error);
/* The same, but the unit of work does not depend on the result. */
enum fh_code mongodb_look(struct store_work *work, const char *collection,
                          const struct document_find *find, json_t **ret, struct fh_error *error);
/* Sets a document of the ledger; takes `document` (heap, without its id; NULL: removes it). */
enum fh_code mongodb_put(struct store_work *work, const char *collection, const char *id,
                         json_t *document, struct fh_error *error);
/* The service's document, locked and up to date: the one that this unit of work changes.
 * FH_UNSUPPORTED: it has changed another one, or is joint. */
enum fh_code mongodb_change_get(struct store_work *work, const char *collection, const char *id,
                                struct mongodb_change **ret, struct fh_error *error);
/* The same for one with a new id, which does not exist yet: a joint unit of work makes several. */
enum fh_code mongodb_change_made(struct store_work *work, const char *collection, const char *id,
                                 struct mongodb_change **ret, struct fh_error *error);
/* Removes all documents of a ledger collection that meet `filter` (in the server's terms), once
 * committed. */
enum fh_code mongodb_remove_range(struct store_work *work, const char *collection, json_t *filter,
                                  struct fh_error *error);
/* Takes `event` (heap): {id, type, version, key, time_ms, data, first?, trace?, saga?, steps?}. */
enum fh_code mongodb_add_event(struct store_work *work, json_t *event, struct fh_error *error);

/* Shared by work.c and find.c only. A read is noted before it is made: an entry that ends during
 * the read counts as later. */
void mongodb_note_read(struct mongodb_work *own, const char *collection, const char *id,
                       const json_t *filter);
struct mongodb_change *mongodb_change_of(const struct mongodb_work *own, const char *collection,
                                         const char *id);
static inline bool mongodb_is_ledger(const char *collection)
{
    return strncmp(collection, "fh_", 3) == 0;
}
static inline bool mongodb_is_untouched(const struct mongodb_change *change)
{
    return change->known && change->old == change->fresh;
}

/* Visits the server's documents, on a thread of the pool. */
struct mongodb_visit {
    struct mongodb_call call; /* first */
    const char *collection;
    const bson_t *filter, *options;
    bool (*visit)(struct mongodb_visit *visit, const bson_t *document); /* false ends the visit */
    void *context;
};
enum fh_code mongodb_visit(struct mongodb *mongodb, struct mongodb_visit *visit,
                           struct fh_error *error);

/* ---- commit.c ---- */

enum fh_code mongodb_commit(struct store_work *work, struct fh_error *error);

/* ---- write.c ---- */

/* Makes the entry's one write and has it carried on; returns only once it is known whether the
 * write was made, however long the server is away. FH_CONFLICT (retryable): the document has
 * changed since the unit of work read it. */
enum fh_code mongodb_write(struct mongodb_entry *entry, struct fh_error *error);

/* ---- carry.c: on a thread of the pool ---- */

/* The entry that one unit of work's write carries, and where. */
struct mongodb_carried {
    const char *collection, *document_id, *id;
    const bson_t *what;
    int64_t order;
    bool removed; /* the document exists only to carry it */
    bool late;    /* copies of the write that created the document may still arrive */
    bool left;
    bool never;         /* it is only taken out */
    const bson_t *back; /* and this replaces the document; NULL: nothing does */
    bool recorded;      /* in and out */
};
struct mongodb_carry {
    struct mongodb_call call; /* first */
    struct mongodb_carried *items;
    int count;
    int64_t position, epoch; /* in: the last one given out; out: the last one given out now */
    int64_t order;           /* a number not below those of the items */
    int64_t since;
    bool uncertain; /* in: an earlier attempt may have taken some steps, or may still take them */
    bool uncounted; /* in: there may be rows beyond the counter, of any unit of work */
    bool fenced;    /* out: another process has opened this store */
    bool counted;   /* out: all is written, though perhaps not yet taken out */
    struct mongodb_placed *placed;
    int placed_count, placed_size;
};
enum fh_code mongodb_carry(struct mongodb_call *call, struct fh_error *error);

/* ---- settle.c ---- */

/* When opening; the fiber ends when the store closes. */
enum fh_code mongodb_settle_start(struct mongodb *mongodb, struct fh_error *error);
/* The entry's one write is decided: queues it to be carried on. */
void mongodb_settle(struct mongodb_entry *entry);
/* An entry that an earlier process has left in a document: takes `lock`. `back`: it counts as never
 * written, and this becomes the document (taken); or NULL. */
struct mongodb_left {
    const char *collection, *id;
    const bson_t *carried;
    bool removed;
    bson_t *back;
};
void mongodb_settle_left(struct mongodb *mongodb, const struct mongodb_left *left,
                         struct mongodb_lock *lock);
/* If the entry counts as never written and can be undone: the document as it was before; else
 * NULL. */
bson_t *mongodb_settle_back(struct mongodb *mongodb, const bson_t *document, const bson_t *carried);

/* ---- left.c ---- */

/* Reads the entry in a document that was found; `ret` borrows from it. `any` false: there is none.
 * FH_INVALID: it is not of the form that a unit of work leaves, and must not be used. */
enum fh_code mongodb_left_read(const char *collection, const bson_t *document, bson_t *ret,
                               bool *ret_any, struct fh_error *error);

/* ---- back.c ---- */

/* Appends to the entry how to restore the document that its write changes. False: it grew too
 * large. */
bool mongodb_back_append(bson_t *entry, const struct mongodb_change *change,
                         enum mongodb_nesting nesting);
bool mongodb_back_knows(const bson_t *carried);
/* The restored document, under a version of its own; the caller's. */
bson_t *mongodb_back_document(const bson_t *document, const bson_t *carried, const char *version,
                              int64_t order);
/* Carries on what was left: when opening, and after a turn that was not given back. */
enum fh_code mongodb_recover(struct mongodb *mongodb, struct fh_error *error);
/* clock.c */
enum fh_code mongodb_clock(struct store *store, int64_t *ret_ms, struct fh_error *error);
enum fh_code mongodb_sequence(struct store *store, struct store_placed *placed, int count,
                              struct fh_error *error);

/* Reads the collections that the service has declared so far: when opening. */
enum fh_code mongodb_collections_read(struct store_work *work, struct fh_error *error);
extern const struct document_ops mongodb_documents;
extern const struct ledger_ops mongodb_ledger;
extern const struct copied_ops mongodb_copied_ledger;
extern const struct copied_documents_ops mongodb_copied_documents;

/* ---- records.c, places.c ---- */

extern const struct record_ops mongodb_records;
/* From ledger.c. */
enum fh_code mongodb_key_places(struct store_work *work, const json_t *keys,
                                bool (*visit)(void *context, const char *key, int64_t position),
                                void *context, struct fh_error *error);

extern const struct engine engine_mongodb;
extern const struct server_kind server_mongodb;

#endif
