/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_MONGODB_INTERNAL_H
#define ENGINE_MONGODB_INTERNAL_H

/*
 * What the files of the MongoDB engine share. How they work together, and what holds after a crash
 * at each step, is told in docs/operate/engines/mongodb.md.
 *
 *     library.c   the client library    commit.c      where what a work leaves is
 *     client.c    connections, errors   write.c       its one write
 *     bson.c      JSON there and back   carry.c       the steps behind it
 *     conflict.c  works side by side    settle.c      who takes these, and when
 *     work.c      what a work sees      document.c    the model's operations
 *     find.c      finding               ledger.c      events, sagas that start
 *     turn.c      several processes     records.c     the rest of the ledger
 *     claim.c     whose the store is    record.c      why a late write loses
 *     engine.c    opening and closing   copy.c        for who copies the store
 *                                       copy_begin.c  why only one does
 *
 * No file looks for something in a collection that grows where that can be avoided: FerretDB 1 on
 * SQLite goes through all of it, even for one _id.
 */

#include "base/map.h"
#include "store/document/document.h"
#include "store/document/engine.h"
#include "engine/mongodb/bson.h"
#include "store/records/records.h"
#include "store/store.h"

#define MONGODB_CONNECTIONS 8 /* where the configuration does not say */
#define MONGODB_CONNECTIONS_MAX 256
#define MONGODB_CONNECT_MS "2000"
#define MONGODB_SOCKET_MS "20000"
#define MONGODB_OPEN_MS 30000 /* for a server that is starting */
#define MONGODB_WAIT_MS 30000 /* for a lock, a connection, or works in the way of an alone one */
#define MONGODB_BACKOFF_MS_MIN 20
#define MONGODB_BACKOFF_MS_MAX 1000
#define MONGODB_COLLECTIONS_MAX 64
#define MONGODB_DOCUMENT_SIZE_MAX (16 << 20) /* of BSON: what a server takes */
#define MONGODB_PLACED_MAX 16384             /* positions remembered for those who ask */

/* What FerretDB 1 can't promise: the end of a sentence that says whose server it is. */
#define MONGODB_FERRETDB_LACKS                                                                     \
    "is FerretDB 1, which does not update a document in one step: a request that arrives late, "   \
    "after it was repeated, can undo another write of the same document that is made at that "     \
    "very moment (docs/operate/engines/mongodb.md)"

/* Collections of our own. What stands in them: records.h, and ledger.c. */
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

/* Positions that were given lately. */
struct mongodb_placed {
    char event_id[ID_SIZE];
    int64_t position;
};

struct mongodb {
    struct store store; /* first */
    mongoc_uri_t *uri;
    const char *tls_host; /* borrowed; NULL: not by TLS */
    char database[64];
    enum mongodb_nesting nesting;

    struct mongodb_client *idle;
    int client_count, client_max;
    struct fiber_queue for_client;

    struct engine_collection collections[MONGODB_COLLECTIONS_MAX]; /* declared */
    int collection_count;

    /* claim.c */
    int64_t order, order_end; /* the last number that a write was given; the last that is ours */
    int64_t recovered;        /* all that was written up to this epoch has been carried on */
    int64_t since;            /* the number of the last copying into the store; 0: none */
    bool reserving;

    /* copy_begin.c */
    int64_t copy; /* the number of this process's own copying into it; 0: none */
    bool filling; /* the outbox is copied, and the counter does not say how far */

    /* turn.c */
    struct store_turn *turn; /* NULL: no other process shares the store */
    bool ours, leaving;      /* works that write may begin; ... may not any more */
    bool turning;            /* its fiber lives */
    int64_t turned_ns;
    struct fiber_queue turner;

    /* conflict.c */
    struct map locks;
    struct mongodb_work *works;    /* open for writing */
    struct mongodb_entry *entries; /* committing, or ended while a work is open that began before */
    uint64_t ended;                /* so many entries have */
    int open, waiting, exclusive_waiting; /* works that write: begun, at the gate, of these alone */
    bool exclusive;
    struct fiber_queue gate;
    struct fiber_queue decided; /* some entry's one write was */

    /* settle.c */
    struct mongodb_entry *first, *last; /* decided, to be carried on */
    bool carrying, closing, uncertain;  /* uncertain: how far the last attempt came is not known */
    bool uncounted;          /* an earlier process may have left rows beyond the counter */
    int64_t position, epoch; /* the last given out; of this turn */
    struct fiber_queue carried, for_entries;
    struct mongodb_placed placed[MONGODB_PLACED_MAX];
    uint64_t placed_count;
};

static inline struct mongodb *mongodb_of(struct store *store)
{
    return (struct mongodb *)store;
}

/* ---- client.c ---- */

/* A call of the client library. `run` runs on a thread of the pool and touches nothing but what
 * the call names. Embedded at the beginning of what it needs and gives. */
struct mongodb_call {
    enum fh_code (*run)(struct mongodb_call *call, struct fh_error *error);
    mongoc_client_t *client; /* set for run, as the rest */
    const char *database;
    enum mongodb_nesting nesting;
};

/* Where a store is and as whom it is reached, for the client library. Users are those of the
 * database itself. FH_INVALID. */
enum fh_code mongodb_uri_new(const json_t *server, mongoc_uri_t **ret, struct fh_error *error);
enum fh_code mongodb_connect(struct mongodb *mongodb, const struct store_options *options,
                             struct fh_error *error);
void mongodb_disconnect(struct mongodb *mongodb);
enum fh_code mongodb_call(struct mongodb *mongodb, struct mongodb_call *call,
                          struct fh_error *error);
mongoc_collection_t *mongodb_collection(const struct mongodb_call *call, const char *name);
/* FH_UNAVAILABLE: nothing is known of what became of a write. FH_CONFLICT: a duplicate _id or a
 * write beside it. Others: it was refused. */
enum fh_code mongodb_failed(const bson_error_t *why, struct fh_error *error);
/* On a thread of the pool: asks the server about itself, by a command that needs no right and
 * changes nothing. `ret` is the caller's to destroy, whatever it returns. */
enum fh_code mongodb_ask(const struct mongodb_call *call, const char *command, bson_t *ret,
                         struct fh_error *error);
/* Sleeps, longer with each try. */
void mongodb_back_off(struct mongodb *mongodb, int tries);

/* ---- claim.c ---- */

/* The store is ours: the counter is read and its epoch raised. `known`: that of the turn before, if
 * nothing was left in it; or TURN_UNCLEAN. FH_UNAVAILABLE. */
enum fh_code mongodb_claim(struct mongodb *mongodb, int64_t known, struct fh_error *error);
/* All that earlier turns had left is carried on: what comes of them from now on comes late. */
enum fh_code mongodb_claim_recovered(struct mongodb *mongodb, struct fh_error *error);
/* A number above all that were given before. Before it is drawn there have to be some:
 * FH_UNAVAILABLE when there are none, and the server gives none. */
enum fh_code mongodb_order_reserve(struct mongodb *mongodb, struct fh_error *error);
/* What carries a number up to this one in `collection` was sent before the store was last copied
 * into, and came later: it is not there (copy_begin.c). 0: there is no such thing. */
int64_t mongodb_since(const struct mongodb *mongodb, const char *collection);
static inline int64_t mongodb_order_next(struct mongodb *mongodb)
{
    FH_ASSERT(mongodb->order < mongodb->order_end);
    return ++mongodb->order;
}

/* ---- record.c: on a thread of the pool ---- */

/* The selector of the document of this id, unless it was written by a later number than `order`. */
void mongodb_record_selector(bson_t *selector, const char *id, int64_t order);
/* What is no newer: "_fh.at" is not above (`also_equal`: nor at) `order`. */
void mongodb_record_guard(bson_t *selector, int64_t order, bool also_equal);
/* What puts a record's fields. `late`: copies of this write may still be under way. */
void mongodb_record_update(bson_t *update, const bson_t *fields, int64_t order, bool late);
/* Whether it carries a number up to `since`; and what finds all that does, or all that does not. */
bool mongodb_record_is_stray(const bson_t *document, int64_t since);
void mongodb_record_strays(bson_t *selector, int64_t since, bool are_so);
/* What stands in the place of a record that is gone, of which a late copy may come. */
void mongodb_record_gone(bson_t *document, const char *id, int64_t order);
/* A copy of the document that tells that copies of what made it may come. */
bson_t *mongodb_record_told_late(const bson_t *document);

/* ---- copy_begin.c ---- */

/* This process copies into the store from here on: what was sent for it before is not there, but
 * what it says of itself. */
enum fh_code mongodb_copy_begin(struct store *store, struct fh_error *error);
/* FH_UNAVAILABLE: another process has begun to copy into it since, as far as is known here. */
enum fh_code mongodb_copy_check(const struct mongodb *mongodb, struct fh_error *error);
/* The same, and the server is asked. */
enum fh_code mongodb_copy_end(struct store *store, struct fh_error *error);
/* As copied_ops has it. */
enum fh_code mongodb_copy_number(struct store *store, int64_t position, int64_t trimmed,
                                 const char *trimmed_id, struct fh_error *error);

/* ---- turn.c ---- */

/* When opening: waits until it is our turn, where the store is shared. */
enum fh_code mongodb_turn_open(struct mongodb *mongodb, const struct store_options *options,
                               struct fh_error *error);
/* Opened: from now on others may have it, too. The fiber ends when the store closes. */
enum fh_code mongodb_turn_start(struct mongodb *mongodb, struct fh_error *error);
void mongodb_turn_close(struct mongodb *mongodb);

/* ---- conflict.c ---- */

struct mongodb_lock;

/* A document that a work leaves otherwise than it was. Both on the heap; NULL: there is none. */
struct mongodb_change {
    char *collection, *id;
    json_t *old, *new;
    bool known;            /* `old` is what was read */
    bool user;             /* of the service: the one that carries the rest */
    bool late;             /* copies of what made it may come yet: see record.c */
    bool drawn;            /* its id, for it: there can't be another one */
    char version[ID_SIZE]; /* the user's as it was read, "": it is not there */
    struct mongodb_change *next;
};

/* What a work has read: a document, or all that match. */
struct mongodb_read {
    char *collection, *id; /* id NULL: by filter */
    json_t *filter;        /* on the heap; NULL: all */
    uint64_t at;           /* entries that had ended then */
    struct mongodb_read *next;
};

enum mongodb_kind {
    MONGODB_INSERT,  /* the changed document, new */
    MONGODB_REPLACE, /* the changed document, guarded by its version */
    MONGODB_DELETE,  /* the same, gone, with nothing to carry */
    MONGODB_PUT,     /* one document of the ledger: there is nothing else */
    MONGODB_DROP,    /* the same, gone */
    MONGODB_BURY,    /* the same, gone, with something in its place */
};

#define MONGODB_EVENT_KEYS_MAX 10000

/* A work from its validation until nothing of it is left to do. */
struct mongodb_entry {
    char id[ID_SIZE];
    struct mongodb *mongodb;
    struct mongodb_change *changes;
    struct mongodb_lock *lock; /* of the document it changes */
    struct mongodb_lock **keys;
    int key_count;

    int64_t order; /* of what it writes: above that of all that it could have read */
    enum mongodb_kind kind;
    const char *collection, *document_id, *version; /* of the one write */
    bson_t *document;
    bson_t *carried; /* what the one write carries for others, NULL: nothing */
    bool removed;    /* and the document is there for nothing else */
    bool makes;      /* among it a document of the service */
    bool late;       /* copies of its one write may be under way */
    bool left;       /* an earlier process may be carrying it on, too */
    bool never;      /* it was made too late, and counts as never made */
    bson_t *back;    /* then: its document as it was, NULL: there is none */
    bool recorded;   /* all of it is written: it is only to be taken out yet */

    bool decided, refused, attempted, ended;
    uint64_t ended_as;
    int references; /* the committing fiber's, the list's of entries */
    struct mongodb_entry *next_carried, *next;
};

struct mongodb_work {
    struct store_work work; /* first */
    struct mongodb *mongodb;
    uint64_t began;
    struct mongodb_change *changes;
    struct mongodb_read *reads;
    json_t *events, *ranges; /* arrays on the heap, NULL: none */
    struct mongodb_lock *lock;
    struct mongodb_work *next;
};

static inline struct mongodb_work *mongodb_work_of(struct store_work *work)
{
    return (struct mongodb_work *)work;
}

/* Through the gate: shared, or alone when all others have left. FH_UNAVAILABLE: it took too long.
 */
enum fh_code mongodb_enter(struct mongodb *mongodb, bool exclusive, struct fh_error *error);
void mongodb_leave(struct mongodb *mongodb, bool exclusive);
/* First come, first served. NULL: it took too long. */
struct mongodb_lock *mongodb_lock_take(struct mongodb *mongodb, const char *name);
void mongodb_lock_give(struct mongodb *mongodb, struct mongodb_lock *lock);
/* Whether what the work has read is still so, and stays so though others are committing. */
bool mongodb_is_valid(const struct mongodb_work *work);
void mongodb_entry_begins(struct mongodb_entry *entry); /* seen by others' validation from here */
void mongodb_entry_ends(struct mongodb_entry *entry);   /* its locks are given back */
void mongodb_entry_release(struct mongodb_entry *entry);
void mongodb_changes_free(struct mongodb_change *change); /* all of the list */
void mongodb_forget_ended(struct mongodb *mongodb);
/* Waits until what others were writing into `collection` (`id` NULL: anything) is decided: what was
 * read there may have been theirs. */
enum fh_code mongodb_wait_decided(struct mongodb *mongodb, const char *collection, const char *id,
                                  struct fh_error *error);

/* ---- work.c: documents as a work sees them, its own changes included ---- */

enum fh_code mongodb_begin(struct store *store, enum store_mode mode, struct store_work **ret,
                           struct fh_error *error);
void mongodb_rollback(struct store_work *work);
void mongodb_work_free(struct mongodb_work *work);
static inline bool mongodb_writes(const struct store_work *work)
{
    return work->mode == STORE_WRITE || work->mode == STORE_WRITE_EXCLUSIVE;
}
/* FH_OK with NULL: there is none. New reference, on the heap. */
enum fh_code mongodb_get(struct store_work *work, const char *collection, const char *id,
                         json_t **ret, struct fh_error *error);
/* In the arena that is set. FH_INVALID as page.h says. */
enum fh_code mongodb_find(struct store_work *work, const char *collection,
                          const struct document_find *find, json_t **ret, struct fh_error *error);
/* The same, without the work depending on what it finds. */
enum fh_code mongodb_look(struct store_work *work, const char *collection,
                          const struct document_find *find, json_t **ret, struct fh_error *error);
/* Leaves a document of the ledger so; takes `document` (heap, without its id; NULL: removes it). */
enum fh_code mongodb_put(struct store_work *work, const char *collection, const char *id,
                         json_t *document, struct fh_error *error);
/* The service's document, locked and as it is: the one that this work changes. FH_UNSUPPORTED: it
 * has changed another one. */
enum fh_code mongodb_change_get(struct store_work *work, const char *collection, const char *id,
                                struct mongodb_change **ret, struct fh_error *error);
/* The same of one that is not there, since its id was drawn for it. */
enum fh_code mongodb_change_made(struct store_work *work, const char *collection, const char *id,
                                 struct mongodb_change **ret, struct fh_error *error);
/* All documents of a collection of the ledger that meet `filter` (a server's), once committed. */
enum fh_code mongodb_remove_range(struct store_work *work, const char *collection, json_t *filter,
                                  struct fh_error *error);
/* Takes `event` (heap): {id, type, version, key, time_ms, data, first?, trace?, saga?, steps?}. */
enum fh_code mongodb_add_event(struct store_work *work, json_t *event, struct fh_error *error);

/* Within these two files. A read is noted before it is made: what ends meanwhile counts as later.
 */
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
    return change->known && change->old == change->new;
}

/* Visits what the server has, on a thread of the pool. */
struct mongodb_visit {
    struct mongodb_call call; /* first */
    const char *collection;
    const bson_t *filter, *options;
    bool (*visit)(struct mongodb_visit *visit, const bson_t *document); /* false ends */
    void *context;
};
enum fh_code mongodb_visit(struct mongodb *mongodb, struct mongodb_visit *visit,
                           struct fh_error *error);

/* ---- commit.c ---- */

enum fh_code mongodb_commit(struct store_work *work, struct fh_error *error);

/* ---- write.c ---- */

/* Makes the entry's one write and has it carried on; returns when it is known whether it was made,
 * however long the server is away. FH_CONFLICT (retryable): the document is not what the work has
 * read. */
enum fh_code mongodb_write(struct mongodb_entry *entry, struct fh_error *error);

/* ---- carry.c: on a thread of the pool ---- */

/* What one work's write carries, and where. */
struct mongodb_carried {
    const char *collection, *document_id, *id;
    const bson_t *what;
    int64_t order;
    bool removed; /* the document is there only to carry it */
    bool late;    /* copies of the write that made it may come yet */
    bool left;
    bool never;         /* it is only taken out */
    const bson_t *back; /* and this is put in the document's place; NULL: nothing */
    bool recorded;      /* in and out */
};
struct mongodb_carry {
    struct mongodb_call call; /* first */
    struct mongodb_carried *items;
    int count;
    int64_t position, epoch; /* in: the last given out; out: the same, later */
    int64_t order;           /* a number that is not below those of the items */
    int64_t since;
    bool uncertain; /* in: some steps of an earlier attempt may have been taken, or may be */
    bool uncounted; /* in: there may be rows beyond the counter, of whatever works */
    bool fenced;    /* out: another process has opened this store */
    bool counted;   /* out: all is written, though perhaps not all of it taken out */
    struct mongodb_placed *placed;
    int placed_count, placed_size;
};
enum fh_code mongodb_carry(struct mongodb_call *call, struct fh_error *error);

/* ---- settle.c ---- */

/* When opening; the fiber ends when the store closes. */
enum fh_code mongodb_settle_start(struct mongodb *mongodb, struct fh_error *error);
/* The entry's one write is decided: it is carried on, in turn. */
void mongodb_settle(struct mongodb_entry *entry);
/* An entry that a former process has left in a document: takes `lock`. `back`: it counts as never
 * made, and this becomes the document (taken); or NULL. */
struct mongodb_left {
    const char *collection, *id;
    const bson_t *carried;
    bool removed;
    bson_t *back;
};
void mongodb_settle_left(struct mongodb *mongodb, const struct mongodb_left *left,
                         struct mongodb_lock *lock);
/* What counts as never made, where it can be taken back: the document as it was; else NULL. */
bson_t *mongodb_settle_back(struct mongodb *mongodb, const bson_t *document, const bson_t *carried);

/* ---- left.c ---- */

/* The entry in a document that was found; borrowed of it. `any` false: there is none. FH_INVALID:
 * it is not such as a work leaves, and nothing may be made of it. */
enum fh_code mongodb_left_read(const char *collection, const bson_t *document, bson_t *ret,
                               bool *ret_any, struct fh_error *error);

/* ---- back.c ---- */

/* To the entry: what brings the document back that its write changes. False: it grew too large. */
bool mongodb_back_append(bson_t *entry, const struct mongodb_change *change,
                         enum mongodb_nesting nesting);
bool mongodb_back_knows(const bson_t *carried);
/* That document, under a version of its own; the caller's. */
bson_t *mongodb_back_document(const bson_t *document, const bson_t *carried, const char *version,
                              int64_t order);
/* Carries on what was left: when opening, and when a turn was not given back. */
enum fh_code mongodb_recover(struct mongodb *mongodb, struct fh_error *error);
/* clock.c */
enum fh_code mongodb_clock(struct store *store, int64_t *ret_ms, struct fh_error *error);
enum fh_code mongodb_sequence(struct store *store, struct store_placed *placed, int count,
                              struct fh_error *error);

/* What the service has declared so far: when opening. */
enum fh_code mongodb_collections_read(struct store_work *work, struct fh_error *error);
extern const struct document_ops mongodb_documents;
extern const struct ledger_ops mongodb_ledger;
extern const struct copied_ops mongodb_copied_ledger;
extern const struct copied_documents_ops mongodb_copied_documents;

/* ---- records.c ---- */

extern const struct record_ops mongodb_records;
/* All that meet `filter` (taken, heap), in the order of ids; visit's false ends. */
enum fh_code mongodb_each(struct store_work *work, const char *collection, json_t *filter,
                          bool (*visit)(void *context, json_t *document), void *context,
                          struct fh_error *error);
/* Of ledger.c. */
enum fh_code mongodb_key_places(struct store_work *work, const json_t *keys,
                                bool (*visit)(void *context, const char *key, int64_t position),
                                void *context, struct fh_error *error);

extern const struct engine engine_mongodb;
extern const struct server_kind server_mongodb;

#endif
