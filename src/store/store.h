/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

/*
 * A store: the one database that a service owns. The layers above use the dispatchers at the end of
 * this file and never know which engine they are on.
 *
 * Every unit of work is serializable and atomic. `commit` returns only when the outcome is decided:
 * the unit of work is durable, or nothing of it was done and nothing ever will be. While the
 * outcome is unknown (the link died during the commit, and the server is away) it waits, without a
 * deadline; a client that can't wait so long is told so by the layer that holds its request
 * (service/undecided.c). So no caller has to reckon with an unknown outcome. Until it is decided,
 * nothing about the unit of work may be reported to anyone. Functions may park the calling fiber,
 * except where an engine says otherwise.
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
struct store_beside;
struct store_notifier;

/* What a unit of work sees of others' changes (isolation), and what else it may do (flags). A mode
 * is one isolation level with some flags; the valid combinations are in the table `modes` of
 * store.c. README.md says what each is used for. */
enum store_isolation {
    STORE_SNAPSHOT = 1, /* what was committed at one moment */
    /* Committed rows only, but each statement may see a moment of its own. */
    STORE_COMMITTED = 2,
    STORE_SERIALIZABLE = 3, /* as if units of work had run one after another */
};
enum store_flag {
    STORE_WRITES = 1 << 2,
    /* Changes only rows that it owns, by statements that check that it still owns them (WHERE epoch
     * = ...), and no other change depends on anything it read: it need not be serializable. */
    STORE_GUARDED = 1 << 3,
    STORE_EXCLUSIVE = 1 << 4, /* a commit of its own: for a unit of work whose group failed */
    /* It may share a transaction with others, or read what this process remembers: then it is
     * `tentative`, and can end in a retryable FH_CONFLICT whatever its statements returned. A rerun
     * asks for STORE_WRITE. */
    STORE_GROUPED = 1 << 5,
    /* Changes the schema: one such unit of work at a time in all of the store's processes. The next
     * one begins when the one before has ended (FH_UNAVAILABLE after STORE_MIGRATE_WAIT_MS). Its
     * statements may take minutes; each sees what is committed when it begins, so none has to be
     * rerun. */
    STORE_MIGRATES = 1 << 6,
};
enum store_mode {
    STORE_READ = STORE_SNAPSHOT, /* commit and rollback both end it */
    STORE_READ_COMMITTED = STORE_COMMITTED,
    STORE_WRITE = STORE_SERIALIZABLE | STORE_WRITES, /* may share its commit with others */
    STORE_WRITE_GUARDED = STORE_COMMITTED | STORE_WRITES | STORE_GUARDED,
    STORE_WRITE_EXCLUSIVE = STORE_WRITE | STORE_EXCLUSIVE,
    STORE_WRITE_GROUPED = STORE_WRITE | STORE_GROUPED,
    STORE_MIGRATE = STORE_COMMITTED | STORE_WRITES | STORE_MIGRATES,
};
static inline enum store_isolation store_isolation(enum store_mode mode)
{
    return (enum store_isolation)(mode & 3);
}
static inline bool store_writes(enum store_mode mode)
{
    return mode & STORE_WRITES;
}
#define STORE_MIGRATE_WAIT_MS 600000
#define STORE_ASKED_TOO_LATE "The deadline passed before the answer was complete."
#define STORE_ASKED_TOO_LARGE                                                                      \
    "The question sorts or groups more than it may keep in memory; an index in that order spares " \
    "it that."
#define STORE_ASKED_TOO_MUCH "Too many questions wait for the store already."
#define STORE_TOO_BUSY "The store was busy for too long; nothing was done."

struct store_options {
    const char *service;
    const char *folder; /* embedded engines: the service's own folder, which exists */
    const char *name;   /* embedded engines: "backup" for backup.db there; NULL: "store" */
    enum fh_model model;
    /* Server engines: where the store is and which user connects, the configuration's "store"
     * (docs/internals/processes.md). Borrowed while the store is open. */
    const json_t *server;
    const char *instance; /* which of the service's processes this is: "0"; NULL: the only one */
    /* A server that follows the store's own: it is only read, as STORE_READ_COMMITTED, and nothing
     * is created there except by replication. It has the primary's incarnation. */
    bool replica;
    /* Engines with `beside`: not the store there, but the one beside it (beside.h). */
    const struct store_beside *beside;
};
#define STORE_INSTANCE_SIZE 32

/* An event of a committed unit of work, and its position in the store's one order. */
struct store_placed {
    const char *event_id;
    int64_t position; /* 0: not known */
};

/* Is notified of positions that no unit of work of this process received: another process assigned
 * them, or the sequencer could not be reached earlier. `heard` must not park. */
struct store_listener {
    void (*heard)(void *context);
    void *context;
    struct store_listener *next;
};

/* Units of work that write can be held off for a while; those that have begun go on. */
struct store_hold {
    bool held;
    bool lost;   /* other processes may have written since: the copy is of no use */
    int writing; /* units of work that have begun and not ended */
    struct fiber_queue waiting, quiet;
};
#define STORE_HOLD_MS_MAX 5000 /* for units of work to end; for held ones to go on */

struct store {
    const struct engine *engine;
    const struct store_ops *ops; /* the engine's */
    struct world *world;
    enum fh_model model;
    struct relational_cache *relational; /* compiled statements; freed by store_close */
    char incarnation[ID_SIZE];           /* of this store, since it was provisioned or restored */
    char instance[STORE_INSTANCE_SIZE];  /* which process this is, "0" when it is the only one */
    /* Connections to its server that were up and are not any more: one that took over since may
     * lack what was committed last. */
    uint64_t losses;
    struct store_sequencer *sequencer; /* of sequence.c; freed by store_close */
    struct store_listener *listeners;
    struct store_notifier *notifier; /* of notifier.c; NULL: none; freed by store_close */
    struct store_replicas *replicas; /* of replica.c; NULL: none; freed by store_close */
    struct store_hold hold;
    int outbox_rows;                     /* how many outbox rows to read at once: see ledger.c */
    struct store_committing *committing; /* the newest first */
    /* Until when questions (sql_ask) are answered, whatever deadlines they have; 0: they have none
     * but these. Set when the process ends. */
    _Atomic int64_t asked_until_ns;
    const char *lacks; /* what this server can't promise, as a sentence; NULL: nothing */
};

/* A commit of a unit of work that writes, from its start until it is decided; on its fiber's
 * stack. */
struct store_committing {
    const struct fiber *fiber;
    int64_t began_ns;
    struct store_committing *next, **at;
};

/* One of several units of work that share a transaction, one after the other (work/batch.h). An
 * engine may send the statement of one before that of the one before it is answered; it stops the
 * member on its fiber then, as it does before anything else that the member does. */
struct store_member {
    /* Returns when all members before it have ended. False: the transaction is over. */
    bool (*turn)(struct store_member *member);
    /* The same, for one whose statement was sent: those after it may send theirs meanwhile. */
    bool (*sent)(struct store_member *member);
    bool overtaken; /* one after it may have run before it ended */
    /* The engine's own: */
    int statements;
    void *first;
};

/* What an engine has learnt of earlier units of work of one origin, such as a subscription's. Kept
 * by that origin, and zero at first. */
#define STORE_TABLE_SIZE 72
struct store_habits {
    char table[STORE_TABLE_SIZE]; /* into which they insert, as they write it; "": not known */
    int apart;                    /* so many next ones do nothing about it */
};

struct store_work {
    struct store *store;
    enum store_mode mode;
    int64_t stale_ms; /* its reads may be this old; 0: no older than permitted (replica.h) */
    /* It has read data that may not hold: what others in its transaction have written, which may
     * never be committed, or what is only remembered. If it fails, the failure may come from such
     * data: rerun it separately. */
    bool tentative;
    /* Several handlers' units of work are one: a batch's (work/batch.h). Where a commit changes one
     * document (ENGINE_ONE_DOCUMENT), they may still make new ones together. What needs a unit of
     * work of its own is refused there, and `parts` is set: nobody is to blame for that. */
    bool joint, parts;
    struct store_habits *habits; /* of joint ones; or NULL */
    /* How many statements of the handler's it has run, and the number of the one that runs now; 0:
     * none. An engine that does not wait for each puts it into the error of one that failed. */
    unsigned statements, statement;
    /* Engines that connect or wait for others at the first statement do neither after this time:
     * the statement fails with FH_UNAVAILABLE. Nor is a question answered (sql_ask). 0: no
     * deadline. */
    int64_t deadline_ns;
    bool asks_long; /* its question may take all of that time: only one such is answered at once */
    struct store_member *member; /* the one that runs now; NULL: it is no member of anything */
    /* What it publishes stays in memory until its commit has ended, which may fill in positions. */
    bool keeps_events;
    bool starts_saga; /* whose number comes from the sequencer, and its events' positions with it */
};

/* Progress of a long copy, set from a thread other than the loop's, and whether to stop it early
 * (FH_UNAVAILABLE). */
struct store_watch {
    _Atomic int64_t done, total; /* in pages of STORE_PAGE_SIZE; or in rows, the total a guess */
    _Atomic int64_t rows;        /* the service's own rows in the copy: known when it is complete */
    atomic_bool stop;
};
#define STORE_PAGE_SIZE 4096

struct store_ops {
    /* Loads the engine's client library, before the process confines itself and starts any thread.
     * NULL: it has none. FH_UNSUPPORTED: it is not installed. */
    enum fh_code (*load)(struct fh_error *error);

    /* Opens and recovers the store, provisions what a new one needs (ledger.h's tables), and makes
     * everything that it will show durable. */
    enum fh_code (*open)(const struct store_options *options, struct world *world,
                         struct store **ret, struct fh_error *error);
    /* All units of work have ended. */
    void (*close)(struct store *store);
    enum fh_code (*begin)(struct store *store, enum store_mode mode, struct store_work **ret,
                          struct fh_error *error);
    /* Ends the unit of work whatever it returns, and returns only when the outcome is decided,
     * however long the server is away. FH_OK: durable. Retryable FH_CONFLICT: nothing was done;
     * rerun it, alone. Others: nothing was done, and nothing will be. */
    enum fh_code (*commit)(struct store_work *work, struct fh_error *error);
    void (*rollback)(struct store_work *work);
    /* The member of `work` has ended; `good`: its transaction goes on. NULL: nothing to do. */
    void (*member_ended)(struct store_work *work, bool good);
    /* The sequencer (docs/internals/store.md). Gives committed events their positions, at most
     * STORE_SEQUENCE_SLICE of them, and fills in the positions of `placed`, events of units of work
     * that this process has committed, as far as they are known then. Called by one fiber at a time
     * (store_sequence). FH_UNAVAILABLE: it will be done later, nothing is lost. NULL: the commit
     * assigns positions, and events know theirs inside the unit of work (engines with one
     * writer). */
    enum fh_code (*sequence)(struct store *store, struct store_placed *placed, int count,
                             struct fh_error *error);
    /* The server's time in ms since 1970. Nothing depends on it alone, since any clock may be set.
     * FH_UNSUPPORTED: the server does not report it. NULL: there is no server. */
    enum fh_code (*clock)(struct store *store, int64_t *ret_ms, struct fh_error *error);
    /* Keeps other processes' units of work from writing, too, until `release`; those of this
     * process have ended (store_hold). If it dies, others are held off for no longer than
     * STORE_HOLD_MS_MAX. `release` returns FH_UNAVAILABLE if others may have written in between.
     * Both NULL: nobody else writes, or copies read a snapshot. */
    enum fh_code (*hold)(struct store *store, struct fh_error *error);
    enum fh_code (*release)(struct store *store, struct fh_error *error);
    /* Writes everything that the store holds at one moment to one new file at `path`, complete and
     * durable, and reads it again; off the loop, while the store is in use. The file is a store of
     * the embedded engine (engine_embedded), as every backup is. NULL: a backup copies the store
     * row by row. */
    enum fh_code (*copy_file)(struct store *store, const char *path, struct store_watch *watch,
                              struct fh_error *error);
    /* The same of a store that another process serves from, which goes on: it is only read. Nothing
     * is written if there is no store. NULL: its stores take many processes. */
    enum fh_code (*copy_served)(const struct store_options *options, struct world *world,
                                const char *path, struct store_watch *watch,
                                struct fh_error *error);
};
#define STORE_SEQUENCE_SLICE 10000

/* For an engine's `open`: sets the fields that all stores have. */
void store_init(struct store *store, const struct engine *engine,
                const struct store_options *options, struct world *world);
/* Then, in a unit of work of that mode: creates what a new store lacks of its ledger, and reads its
 * incarnation. Repeats it where another process opens the store at the same moment. */
enum fh_code store_provision(struct store *store, enum store_mode mode, struct fh_error *error);

/* Returns when no unit of work of this process writes any more, nor another process's where copies
 * read no snapshot (store_ops.hold). From then on new ones that write wait, up to
 * STORE_HOLD_MS_MAX, then fail with FH_UNAVAILABLE. FH_UNAVAILABLE, with nothing held: units of
 * work do not end, or the store is held already. On a fiber. */
enum fh_code store_hold(struct store *store, struct fh_error *error);
/* Fine when it is not held. FH_UNAVAILABLE: it is released, but others may have written meanwhile;
 * what was read was never there at one moment. */
enum fh_code store_release(struct store *store, struct fh_error *error)
    __attribute__((warn_unused_result));

/* Only for the dispatchers below. */
enum fh_code store_hold_pass(struct store *store, struct fh_error *error);
void store_hold_ended(struct store *store);

/* The mode that the engine will run: STORE_WRITE if it lacks the ability that `mode` needs. Ends
 * the process if there is no such mode. */
enum store_mode store_mode_of(const struct engine *engine, enum store_mode mode);

static inline enum fh_code store_begin(struct store *store, enum store_mode mode,
                                       struct store_work **ret, struct fh_error *error)
{
    mode = store_mode_of(store->engine, mode);
    if (!store_writes(mode))
        return store->ops->begin(store, mode, ret, error);
    enum fh_code code = store->hold.held ? store_hold_pass(store, error) : FH_OK;
    if (code != FH_OK)
        return code;
    store->hold.writing++;
    code = store->ops->begin(store, mode, ret, error);
    if (code != FH_OK)
        store_hold_ended(store);
    return code;
}
/* STORE_READ_COMMITTED, on a replica if one may be read now: replica.h. */
enum fh_code store_begin_anywhere(struct store *store, struct store_work **ret,
                                  struct fh_error *error);
enum fh_code store_commit(struct store_work *work, struct fh_error *error);
/* Since when this fiber has been waiting for its own commit to be decided; 0: it is not. */
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
/* One that has no replicas: store_close without them. */
void store_close_alone(struct store *store);

/* Asks the engine's sequencer, in one call for all that ask at the same time. Returns when all of
 * `placed` have their positions, or with FH_UNAVAILABLE: then some may stay 0, and it is retried
 * until it succeeds and the listeners have been notified. FH_OK at once on engines without a
 * sequencer. With `count` 0, up to STORE_SEQUENCE_SLICE events that others have left without
 * positions get them. */
enum fh_code store_sequence(struct store *store, struct store_placed *placed, int count,
                            struct fh_error *error);

/* For engines' `sequence`: the position of an event that nobody has asked for yet. If it belongs to
 * a unit of work of this process whose commit has just been answered, that one need not ask. */
void store_sequence_told(struct store *store, const char *event_id, int64_t position);

void store_listen(struct store *store, struct store_listener *listener);
void store_unlisten(struct store *store, struct store_listener *listener);
void store_notify_listeners(struct store *store);

/* For engines: refuses what needs a unit of work of its own. */
static inline enum fh_code store_part(struct store_work *work, struct fh_error *error)
{
    work->parts = true;
    return error_set(error, FH_UNSUPPORTED, "This needs a unit of work of its own.");
}

/* What was read is not what was written (a page's checksum is wrong, say): an FH_UNAVAILABLE that
 * repeating does not mend. Engines begin error->native with this word. */
#define STORE_DAMAGED "DAMAGED"
static inline bool store_is_damaged(const struct fh_error *error)
{
    return strncmp(error->native, STORE_DAMAGED, sizeof STORE_DAMAGED - 1) == 0;
}

/* Of all questions that are answered then, and of later ones. */
static inline void store_end_questions(struct store *store, int64_t at_ns)
{
    atomic_store_explicit(&store->asked_until_ns, at_ns, memory_order_relaxed);
}

/* The store works, but more was asked of it than it can answer in time: an FH_UNAVAILABLE that is
 * no trouble of its. Engines begin error->native with this word. */
#define STORE_BUSY "BUSY"
static inline bool store_is_busy(const struct fh_error *error)
{
    return strncmp(error->native, STORE_BUSY, sizeof STORE_BUSY - 1) == 0;
}
/* Of these one that it had begun with: it is too much for the time that there was, and may well be
 * so the next time. */
#define STORE_LATE STORE_BUSY " LATE"
static inline bool store_is_late(const struct fh_error *error)
{
    return strcmp(error->native, STORE_LATE) == 0;
}

#endif
