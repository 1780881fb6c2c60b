/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

/*
 * A store: the one database that a service owns. The rooms above use the dispatchers at the
 * end and never know which engine it is on.
 *
 * Every unit of work is serializable and atomic. `commit` returns only when it is decided what
 * became of the work: it is durable, or nothing of it was done and never will be. As long as that
 * is not known (the link has died inside, and the server is away) it waits, without a deadline;
 * who can't wait so long, a client, is told so by whoever has its request (service/undecided.c).
 * So no caller has to bear in mind that an outcome may be unknown. Until it is decided nothing of
 * the work may be told to anyone. Functions may park the calling fiber, except where an engine says
 * otherwise.
 */

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "base/id.h"
#include "freehold.h"
#include "store/engine.h"
#include "world/world.h"

struct relational_cache;
struct store_notifier;

enum store_mode {
    STORE_READ, /* a snapshot of committed rows; commit and rollback both end it */
    /* Committed rows too, but each statement may see those of its own moment: what a server gives
     * over connections that many share. Handlers of GET read so. */
    STORE_READ_COMMITTED,
    STORE_WRITE, /* may share its commit with others */
    /* Changes only rows whose owner it is, by statements that look whether it still is (WHERE
     * epoch = ...), and no others depend on what it has read: it need not be serializable. Engines
     * without `guarded` take it as STORE_WRITE. */
    STORE_WRITE_GUARDED,
    STORE_WRITE_EXCLUSIVE, /* with a commit of its own: for a work whose group failed */
    /* Changes the schema: one such work at a time in all the store's processes, begun once the one
     * before has ended (FH_UNAVAILABLE after STORE_MIGRATE_WAIT_MS). Its statements may take
     * minutes, and each sees what is committed when it begins, so that none has to run again. */
    STORE_MIGRATE,
    /* As STORE_WRITE, and may share the transaction of others too, or read what this process
     * remembers: then the work is `tentative`, and can come to FH_CONFLICT, retryable, whatever it
     * was told before. Whoever runs it again asks for STORE_WRITE. Engines without `together` take
     * it as that. */
    STORE_WRITE_GROUPED,
};
#define STORE_MIGRATE_WAIT_MS 600000
#define STORE_TOO_BUSY "The store was busy for too long; nothing was done."

struct store_options {
    const char *service;
    const char *folder; /* embedded engines: the service's own folder, which exists */
    const char *name;   /* embedded engines: "backup" for backup.db there; NULL: "store" */
    enum fh_model model;
    /* Server engines: where the store is and as whom it is reached, the configuration's "store"
     * (docs/internals/processes.md). Borrowed while the store is open. */
    const json_t *server;
    const char *instance; /* which of the service's processes this is: "0"; NULL: the only one */
    /* A server that follows the store's own: only read, as STORE_READ_COMMITTED, and nothing is
     * made there; its incarnation is. */
    bool replica;
};
#define STORE_INSTANCE_SIZE 32

/* An event of a committed work, and where it came to stand in the store's one order. */
struct store_placed {
    const char *event_id;
    int64_t position; /* 0: not known */
};

/* Who wants to hear of positions that no work of this process was told: another process has given
 * them, or the sequencer could not be reached before. `heard` must not park. */
struct store_listener {
    void (*heard)(void *context);
    void *context;
    struct store_listener *next;
};

/* Works that write can be held off for a while: those that have begun go on. */
struct store_hold {
    bool held;
    int writing; /* works that have begun and not ended */
    struct fiber_queue waiting, quiet;
    struct store_work *exclusive; /* of engines that hold so, or NULL */
};
#define STORE_HOLD_MS_MAX 5000 /* for works to end, and for those that are held to go on */

struct store {
    const struct engine *engine;
    const struct store_ops *ops; /* the engine's */
    struct world *world;
    enum fh_model model;
    struct relational_cache *relational; /* compiled statements; freed by store_close */
    char incarnation[ID_SIZE];           /* of this store, since it was provisioned or restored */
    char instance[STORE_INSTANCE_SIZE];  /* which process this is, "0" when it is the only one */
    struct store_sequencer *sequencer;   /* of sequence.c; freed by store_close */
    struct store_listener *listeners;
    struct store_notifier *notifier; /* of bell.c, NULL: none; freed by store_close */
    struct store_replicas *replicas; /* of replica.c, NULL: none; freed by store_close */
    struct store_hold hold;
    int outbox_rows;                     /* to be read of the outbox at once: see ledger.c */
    struct store_committing *committing; /* the newest first */
    const char *lacks; /* what this server can't promise, a sentence for people; NULL: nothing */
};

/* A commit of a work that writes, from when it began until it is decided: on its fiber's stack. */
struct store_committing {
    const struct fiber *fiber;
    int64_t began_ns;
    struct store_committing *next, **at;
};

struct store_work {
    struct store *store;
    enum store_mode mode;
    int64_t stale_ms; /* what it reads may be so old; 0: not older than it may be (replica.h) */
    /* It has read what may not be so: what others of its transaction have written, which may never
     * be committed, or what is only remembered. If it is rolled back, what made it fail may not be
     * so: it is to be run again, apart. */
    bool tentative;
    /* Engines that connect, or wait for others, with the first statement do nothing later than
     * that: it fails with FH_UNAVAILABLE. 0: at any time. */
    int64_t deadline_ns;
};

/* Of a copy that takes long: how far it has come, set from another thread than the loop's, and
 * whether it shall end early (FH_UNAVAILABLE). */
struct store_watch {
    _Atomic int64_t done, total; /* in pages of STORE_PAGE_SIZE; or in rows, the total a guess */
    _Atomic int64_t rows;        /* of the service's own, in the copy: known when it is whole */
    atomic_bool stop;
};
#define STORE_PAGE_SIZE 4096

struct store_ops {
    /* Loads the engine's client library, before the process confines itself and before any thread
     * lives. NULL: it has none. FH_UNSUPPORTED: it is not installed. */
    enum fh_code (*load)(struct fh_error *error);

    /* Opens, recovers, provisions what a new store needs (ledger.h's tables), and makes durable
     * whatever it will show. */
    enum fh_code (*open)(const struct store_options *options, struct world *world,
                         struct store **ret, struct fh_error *error);
    /* All works have ended. */
    void (*close)(struct store *store);
    enum fh_code (*begin)(struct store *store, enum store_mode mode, struct store_work **ret,
                          struct fh_error *error);
    /* Ends the work whatever it returns, and returns only when that is decided, however long the
     * server is away. FH_OK: durable. FH_CONFLICT with retryable: nothing was done, run it again,
     * alone. Others: nothing was done, nor will be. */
    enum fh_code (*commit)(struct store_work *work, struct fh_error *error);
    void (*rollback)(struct store_work *work);
    /* The sequencer (docs/internals/store.md). Gives committed events their positions,
     * STORE_SEQUENCE_SLICE of them at the most, and tells those of `placed`, whose works this
     * process has committed, as far as they are known then. Called by one fiber at a time
     * (store_sequence). FH_UNAVAILABLE: it is done later, nothing is lost. NULL: the commit has
     * done it, and events know their positions inside the work (engines with one writer). */
    enum fh_code (*sequence)(struct store *store, struct store_placed *placed, int count,
                             struct fh_error *error);
    /* What time it is on the server, in ms since 1970; nothing rests on it alone, since it may be
     * set as every clock. FH_UNSUPPORTED: it does not tell. NULL: there is no server. */
    enum fh_code (*clock)(struct store *store, int64_t *ret_ms, struct fh_error *error);
    /* All that the store holds at one moment, as one file at `path`, which is made anew, whole and
     * durable, and read again; off the loop, while the store is used. It is a store of the embedded
     * engine (engine_embedded), as every backup is. NULL: the store is copied into one row by row.
     */
    enum fh_code (*copy_file)(struct store *store, const char *path, struct store_watch *watch,
                              struct fh_error *error);
};
#define STORE_SEQUENCE_SLICE 10000

/* For engines, when they open: the fields that all stores have. */
void store_init(struct store *store, const struct engine *engine,
                const struct store_options *options, struct world *world);

/* Returns when no work of this process writes any more, nor another's where the engine can see to
 * that (holds_alone); from then on those that want to wait, up to
 * STORE_HOLD_MS_MAX, and fail with FH_UNAVAILABLE. FH_UNAVAILABLE, and nothing is held: works do
 * not end, or it is held already. On a fiber. */
enum fh_code store_hold(struct store *store, struct fh_error *error);
void store_release(struct store *store); /* fine when it is not held */

/* For the dispatchers below. */
enum fh_code store_hold_pass(struct store *store, struct fh_error *error);
void store_hold_ended(struct store *store);

static inline bool store_writes(enum store_mode mode)
{
    return mode != STORE_READ && mode != STORE_READ_COMMITTED;
}

static inline enum fh_code store_begin(struct store *store, enum store_mode mode,
                                       struct store_work **ret, struct fh_error *error)
{
    if (!store_writes(mode))
        return store->ops->begin(store, mode, ret, error);
    if ((mode == STORE_WRITE_GUARDED && !engine_can(store->engine, ENGINE_GUARDED)) ||
        (mode == STORE_WRITE_GROUPED && !engine_can(store->engine, ENGINE_GROUPED)))
        mode = STORE_WRITE;
    enum fh_code code = store->hold.held ? store_hold_pass(store, error) : FH_OK;
    if (code != FH_OK)
        return code;
    store->hold.writing++;
    code = store->ops->begin(store, mode, ret, error);
    if (code != FH_OK)
        store_hold_ended(store);
    return code;
}
/* STORE_READ_COMMITTED, at a replica if one may be read now: replica.h. */
enum fh_code store_begin_anywhere(struct store *store, struct store_work **ret,
                                  struct fh_error *error);
enum fh_code store_commit(struct store_work *work, struct fh_error *error);
/* Since when this fiber waits for a commit of its own to be decided; 0: it does not. */
int64_t store_committing_since(const struct store *store, const struct fiber *fiber);
static inline void store_rollback(struct store_work *work)
{
    struct store *store = work->store;
    bool writes = store_writes(work->mode);
    store->ops->rollback(work);
    if (writes)
        store_hold_ended(store);
}
void store_close(struct store *store);

/* Through the engine's sequencer, shared by those who call at once; returns when all of `placed`
 * are told, or with FH_UNAVAILABLE: then their positions may stay 0, and it is tried again, and
 * again, until it is done and the listeners have heard of it. FH_OK at once on engines without a
 * sequencer. `count` 0: what others have left without a position gets one. */
enum fh_code store_sequence(struct store *store, struct store_placed *placed, int count,
                            struct fh_error *error);

/* For engines' `sequence`: a position that was given to an event which nobody has asked for yet. If
 * it is a work's of this process, whose commit has just been answered, it spares asking. */
void store_sequence_told(struct store *store, const char *event_id, int64_t position);

void store_listen(struct store *store, struct store_listener *listener);
void store_unlisten(struct store *store, struct store_listener *listener);
void store_notify_listeners(struct store *store); /* tells the listeners */

/* What was read back is not what was written (a page's checksum, say): a FH_UNAVAILABLE that no
 * repetition mends. Engines begin error->native with this word. */
#define STORE_DAMAGED "DAMAGED"
static inline bool store_is_damaged(const struct fh_error *error)
{
    return strncmp(error->native, STORE_DAMAGED, sizeof STORE_DAMAGED - 1) == 0;
}

#endif
