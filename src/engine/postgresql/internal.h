/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_POSTGRESQL_INTERNAL_H
#define ENGINE_POSTGRESQL_INTERNAL_H

/*
 * What the files of the PostgreSQL engine share. A store is a set of connections:
 *
 *     works     up to "connections" of them, each lent to one work or snapshot at a time
 *     reads     two, each shared by all the single statements of STORE_READ_COMMITTED
 *     sequence  one, for the sequencer alone
 *
 * Each is one pipeline: calls go out without waiting and their answers come back in order. What is
 * called by fibers may park them; `postgresql_on_*` runs on the loop.
 */

#include "base/arena.h"
#include "base/map.h"
#include "store/relational/mark.h"
#include "engine/postgresql/ledger.h"
#include "engine/postgresql/library.h"
#include "store/relational/sql.h"
#include "store/tls.h"

extern const struct sql_dialect postgresql_dialect;

#define POSTGRESQL_STATEMENTS_MAX 512 /* prepared on a connection */
#define POSTGRESQL_OWN 11             /* of them the engine's own, which begin and end works */
#define POSTGRESQL_SLOTS (POSTGRESQL_STATEMENTS_MAX - POSTGRESQL_OWN)
#define POSTGRESQL_OWN_SERIAL 1000000000u
#define POSTGRESQL_PARAMETERS_MAX 64
#define POSTGRESQL_COLUMNS_MAX 256
#define POSTGRESQL_CONNECTIONS 8 /* for works, where the configuration says nothing */
#define POSTGRESQL_CONNECTIONS_MAX 64
#define POSTGRESQL_READERS 2
#define POSTGRESQL_WAIT_MS 10000    /* for a connection */
#define POSTGRESQL_CONNECT_MS 10000 /* one attempt */
/* A statement of a work, which holds locks that others wait for, or of a reading handler, where the
 * configuration says nothing. Migrations have no bound. */
#define POSTGRESQL_STATEMENT_MS 30000
#define POSTGRESQL_STATEMENT_MS_MAX 86400000
/* How long the server lets a work sit between two statements. A work waits for nobody in there, so
 * a second is a thousand times what it needs; and it is less than a takeover may take, so that a
 * stopped process's locks are gone when its share is taken over. "idle_ms" is for debugging. */
#define POSTGRESQL_IDLE_MS 1000

#define POSTGRESQL_RECENT 256

struct postgresql_statement {
    char *text;      /* as given, with ?1 */
    char *sql;       /* as PostgreSQL has it, with $1 */
    unsigned serial; /* > 0; its name on every connection is "s" and this */
    int slot;
    bool own;  /* the engine's, without parameters; `text` is its name */
    int users; /* calls under way: not to be replaced */
    /* What works have shown that began with it: group.c. */
    bool single, followed;
    int apart, apart_next;
    int parameter_count;
    bool lists[POSTGRESQL_PARAMETERS_MAX]; /* "IN (?1)", bound to a JSON array */
    bool typed;                            /* what the server inferred is known */
    Oid types[POSTGRESQL_PARAMETERS_MAX];
};

/* The `index`-th of the engine's own. */
#define POSTGRESQL_OWN_STATEMENT(index, name, words)                                               \
    {                                                                                              \
        .text = (char[]){name}, .sql = (char[]){words}, .own = true,                               \
        .slot = POSTGRESQL_SLOTS + (index), .serial = POSTGRESQL_OWN_SERIAL + (index)              \
    }

struct postgresql_statements {
    struct postgresql_statement *slots[POSTGRESQL_SLOTS];
    int next; /* the slot to give out next */
    unsigned serial;
    struct map by_text;
    struct postgresql_recent { /* the same, found by where the text lay */
        const char *place;
        struct postgresql_statement *statement;
    } recent[POSTGRESQL_RECENT];
};

/* One group of results each, in this order; what a call still waits for. */
enum postgresql_stage {
    STAGE_CLOSE = 1 << 0, /* of the statement whose slot this one takes */
    STAGE_PREPARE = 1 << 1,
    STAGE_DESCRIBE = 1 << 2,
    STAGE_RUN = 1 << 3,
    STAGE_SYNC = 1 << 4,
};

struct postgresql_call {
    struct postgresql_call *next; /* in the pipeline */
    struct postgresql_connection *connection;
    struct postgresql_statement *statement; /* NULL: a sync */
    struct postgresql_work *work;           /* which its failure ends, or NULL */
    unsigned stages;
    bool begun;    /* results of the first of its stages may have come */
    bool deferred; /* nobody waits: the pipeline frees it */
    bool rows;     /* they are wanted, and kept in `results` until taken */
    bool unnamed;  /* prepared for this once */
    bool discard;  /* ... but no more of them */
    bool done;
    bool aborted; /* not run, as one before it failed */
    bool lost;    /* the connection broke: perhaps run */
    bool stale;   /* refused as prepared before the schema changed: may be sent again */
    enum fh_code code;
    struct fh_error error;
    int64_t changes;
    int64_t sent_ns;
    int discarded;
    struct fiber *waiting;
    PGresult **results; /* arrived, not taken yet */
    int result_first, result_count, result_capacity;
};

enum postgresql_state { CONNECTION_DOWN, CONNECTION_CONNECTING, CONNECTION_UP };

struct postgresql_connection {
    struct postgresql_store *store;
    PGconn *pg;
    enum postgresql_state state;
    bool taken;     /* of the works' ones: lent */
    bool read_only; /* of the readers */
    bool listens;   /* of the sequencer */
    struct world_poll poll;
    unsigned watched; /* events */
    struct postgresql_call *first, **end;
    int in_flight;
    bool unsynced;                                /* something was sent behind the last sync */
    struct world_turn turn;                       /* of a reader: its sync */
    unsigned prepared[POSTGRESQL_STATEMENTS_MAX]; /* serials, 0: none */
    int backend;                                  /* the server process's id, as it says itself */
    char farewell[6]; /* the SQLSTATE with which the server has left, or "" */
    char schema[64];
};

struct postgresql_work {
    struct store_work base;
    /* NULL: it reads over shared ones, or the next group has it, behind this one's COMMIT. */
    struct postgresql_connection *connection;
    bool begun;  /* BEGIN was sent */
    bool lost;   /* its connection broke, or the server said that it ends it */
    bool failed; /* nothing but a rollback is left */
    bool locked; /* it holds the lock of migrations */
    int deferred;
    /* Of one that may be in a group. */
    bool together, appending;
    int statements;                     /* without those that append events */
    struct postgresql_statement *first; /* of these */
    struct postgresql_group *group;
    struct postgresql_work *next; /* in the group */
    struct ledger_event *events;
    bool carries;                     /* it is a group's, and no one's work */
    struct postgresql_call *appended; /* what the group publishes: its answer comes with COMMIT's */
    int64_t *ret_first;               /* ... the position of the first event, if it has one */
    struct fh_error error;            /* why it failed */
};

struct postgresql_options {
    char host[256], database[64], user[64], password[256], schema[64];
    int port, connections, idle_ms, statement_timeout_ms;
    struct store_tls tls;
};

#define POSTGRESQL_GATHER_WAIT_MS 20
#define POSTGRESQL_GATHER_SLOW_MS 50

/* Works that wait to be a group. */
struct postgresql_gather {
    struct postgresql_gathered *first, **end;
    int wait_ms;  /* for a group that is under way; POSTGRESQL_GATHER_WAIT_MS */
    int slow_ms;  /* a statement that takes longer stays out of groups; POSTGRESQL_GATHER_SLOW_MS */
    int groups;   /* under way */
    bool leading; /* the last of them is not sent yet */
    struct postgresql_work *committing; /* a group's, and nothing is sent behind its COMMIT */
    int64_t committed_ns;               /* when the last COMMIT of a group was answered */
    struct world_turn turn;
    /* Whether the next group numbers its own events. */
    bool numbers, gated;
    uint64_t gate;         /* waits for this call of the sequencer to end */
    int apart, apart_next; /* so many groups leave it to the sequencer, after one that failed to */
};

struct postgresql_store {
    struct store base;
    struct postgresql_options options;
    bool replica;         /* only read, from a server that follows the store's own */
    char application[64]; /* as whom connections present themselves */
    struct postgresql_statements statements;

    struct postgresql_connection *works; /* options.connections of them */
    struct fiber_queue works_free;
    int granted; /* woken, and not gone on yet */
    struct postgresql_connection readers[POSTGRESQL_READERS];
    struct fiber_queue
        connecting; /* those who wait for someone's attempt to connect a shared one */
    struct postgresql_connection sequence;
    struct fiber_queue listening; /* the fiber that keeps it up */
    bool listens;
    int sequencing;     /* calls of the sequencer under way */
    uint64_t sequenced; /* ... and ended */

    /* STORE_WRITE works, and those that run alone. */
    int writers, exclusive_waiting;
    bool exclusive;
    struct fiber_queue turnstile;
    struct marks marks;
    int64_t marks_trimmed_ns;
    struct postgresql_gather gather;

    /* After a failed attempt to connect, until the next is due. */
    int failures;
    int64_t retry_ns;
    struct fh_error down;
    bool closing, closer; /* closer: a fiber waits in close */
};

/* connection.c: FH_UNAVAILABLE with the reason, at once while the last failure is
 * fresh. */
enum fh_code postgresql_connect(struct postgresql_connection *connection, struct fh_error *error);
/* Waits up to `wait_ms` for a server that starts; says once in the log for what. */
enum fh_code postgresql_connect_first(struct postgresql_connection *connection, int wait_ms,
                                      struct fh_error *error);
/* Closes it; its calls are lost. */
void postgresql_disconnect(struct postgresql_connection *connection);
/* Without pipeline: one text of one or more statements, its results given to `visit` (or NULL); of
 * an idle pipeline that is up. FH_UNAVAILABLE: it broke. */
enum fh_code postgresql_simple(struct postgresql_connection *connection, const char *sql,
                               int64_t deadline_ns, void (*visit)(void *context, PGresult *result),
                               void *context, struct fh_error *error);
void postgresql_watch(struct postgresql_connection *connection, bool writing);

/* engine.c */
void postgresql_fiber_ended(struct postgresql_store *store); /* the store may be closing */

/* options.c */
enum fh_code postgresql_options_read(const json_t *server, struct postgresql_options *ret,
                                     struct fh_error *error);

/* pipeline.c */
void postgresql_pipeline_init(struct postgresql_connection *connection);
/* Sends, mostly into libpq's buffer only. NULL: the connection is down. Without parameters the
 * statement is only described, or, if it is one of the engine's own, run. */
#define POSTGRESQL_ROWS 1u    /* they are wanted */
#define POSTGRESQL_UNNAMED 2u /* whatever others know of the statement: after they got it wrong */
struct postgresql_parameters;
struct postgresql_call *postgresql_call(struct postgresql_connection *connection,
                                        struct postgresql_statement *statement,
                                        const struct postgresql_parameters *parameters,
                                        unsigned how);
/* What is behind the last one stands or falls together, and is answered now. */
void postgresql_sync(struct postgresql_connection *connection);
/* The next result with rows; NULL: all have come. The caller clears it. */
PGresult *postgresql_call_next(struct postgresql_call *call);
void postgresql_call_end(struct postgresql_call *call); /* waits until it is done, and frees it */
/* Nobody waits for it any more: its failure is its work's. */
void postgresql_call_defer(struct postgresql_call *call, struct postgresql_work *work);
void postgresql_pipeline_lost(struct postgresql_connection *connection);
void postgresql_on_readable(struct postgresql_connection *connection);
void postgresql_on_writable(struct postgresql_connection *connection);
/* Until all calls have been answered. */
void postgresql_drain(struct postgresql_connection *connection);

/* statement.c */
enum fh_code postgresql_statement_get(struct postgresql_store *store, const char *text,
                                      struct postgresql_statement **ret, struct fh_error *error);
void postgresql_statements_release(struct postgresql_statements *statements);
struct postgresql_parameters {
    int count;
    const char *values[POSTGRESQL_PARAMETERS_MAX];
    int lengths[POSTGRESQL_PARAMETERS_MAX];
    int formats[POSTGRESQL_PARAMETERS_MAX];
    char numbers[POSTGRESQL_PARAMETERS_MAX][32];
    struct arena arena;
};
/* Whether they can be made only once the statement's types are known. */
bool postgresql_needs_types(const struct postgresql_statement *statement,
                            const struct sql_value *values, int count);
enum fh_code postgresql_parameters_init(struct postgresql_parameters *parameters,
                                        const struct postgresql_statement *statement,
                                        const struct sql_value *values, int count,
                                        struct fh_error *error);
void postgresql_parameters_release(struct postgresql_parameters *parameters);

/* types.c */
bool postgresql_is_array(Oid type);
bool postgresql_visit_rows(PGresult *result, sql_visit *visit, void *context);
/* A JSON array as PostgreSQL writes arrays. */
enum fh_code postgresql_array_literal(const char *json, size_t length, struct arena *arena,
                                      const char **ret, struct fh_error *error);

/* error.c */
enum fh_code postgresql_error(const PGresult *result, struct fh_error *error);
/* Of an attempt to connect. */
enum fh_code postgresql_connect_error(const struct postgresql_store *store, const char *message,
                                      struct fh_error *error);
enum fh_code postgresql_lost_error(struct fh_error *error);
/* The server ended a transaction that stood still: it is well, and the work may run again. */
enum fh_code postgresql_idle_error(struct fh_error *error);
bool postgresql_is_hopeless(const struct fh_error *error); /* waiting would not mend it */

/* pool.c */
enum fh_code postgresql_take(struct postgresql_store *store, struct postgresql_connection **ret,
                             struct fh_error *error);
void postgresql_give_back(struct postgresql_connection *connection);
/* One that several fibers use: only one of them connects it. */
enum fh_code postgresql_connect_shared(struct postgresql_connection *connection,
                                       struct fh_error *error);
enum fh_code postgresql_reader(struct postgresql_store *store, struct postgresql_connection **ret,
                               struct fh_error *error);

/* work.c */
enum fh_code postgresql_begin(struct store *store, enum store_mode mode, struct store_work **ret,
                              struct fh_error *error);
enum fh_code postgresql_commit(struct store_work *work, struct fh_error *error);
void postgresql_rollback(struct store_work *work);

enum fh_code postgresql_script(struct store_work *work, const char *sql, struct fh_error *error);
enum fh_code postgresql_patient(struct store_work *work, struct fh_error *error);
enum fh_code postgresql_outside(struct store_work *work, const char *sql, struct fh_error *error);

/* run.c */
/* Asks the server for the statement's types; and a call that was sent, to its end. *ret_again: it
 * failed for reasons of the connection, no row was visited, and it may be tried again. */
enum fh_code postgresql_learn(struct postgresql_connection *connection,
                              struct postgresql_statement *statement, unsigned how, bool *ret_again,
                              struct fh_error *error);
enum fh_code postgresql_call_visit(struct postgresql_call *call, sql_visit *visit, void *context,
                                   bool *ret_again, struct fh_error *error);
bool postgresql_is_late(const struct postgresql_work *work);
enum fh_code postgresql_work_begin(struct postgresql_work *work, struct fh_error *error);
/* What ended the call, if it failed, ends the work: its transaction on the server is gone. */
void postgresql_work_ended(struct postgresql_work *work, const struct postgresql_call *call);
enum fh_code postgresql_work_fail(struct postgresql_work *work, const struct fh_error *why,
                                  struct fh_error *error);
enum fh_code postgresql_run(struct store_work *work, const char *sql,
                            const struct sql_value *values, int count, sql_visit *visit,
                            void *context, int64_t *ret_changes, struct fh_error *error);

/* Only sends it. The caller takes the answer, once something behind it was synced, and ends it. */
enum fh_code postgresql_run_later(struct postgresql_work *work, const char *sql,
                                  const struct sql_value *values, int count,
                                  struct postgresql_call **ret, struct fh_error *error);
void postgresql_call_rows(struct postgresql_call *call, sql_visit *visit, void *context);

/* append.c */
/* Sends what several works publish in one transaction, in their order; a list of events for each.
 * `numbers`: they may get their positions at once. */
enum fh_code postgresql_append_all(struct postgresql_work *work, struct ledger_event *const *lists,
                                   int count, bool numbers, struct fh_error *error);
void postgresql_appended(struct postgresql_work *work); /* takes the answer, if one is awaited */
/* Whether the next group may be sent now; looked at again when a call of the sequencer has ended.
 */
bool postgresql_numbering_gate(struct postgresql_store *store);
/* Of a group that published. */
void postgresql_numbering_told(struct postgresql_gather *gather, bool tried, bool numbered);

/* group.c: works that share a transaction. */
/* A statement of a work that may be in a group. *ret_done: it was run there. */
enum fh_code postgresql_group_run(struct postgresql_work *work,
                                  struct postgresql_statement *statement,
                                  const struct sql_value *values, int count, sql_visit *visit,
                                  void *context, int64_t *ret_changes, bool *ret_done,
                                  struct fh_error *error);
enum fh_code postgresql_append(struct store_work *work, struct ledger_event *events,
                               struct fh_error *error);
/* Of works that are in one; the work is not freed. */
enum fh_code postgresql_group_commit(struct postgresql_work *work, struct fh_error *error);
void postgresql_group_rollback(struct postgresql_work *work);
/* A work that may be in a group has committed by itself. */
void postgresql_group_learn(struct postgresql_work *work);
void postgresql_gathered(struct postgresql_store *store); /* on the loop */
void postgresql_gather_look(struct postgresql_store *store);
/* A group's COMMIT is on its way; and has been answered. */
void postgresql_group_committing(struct postgresql_work *carrier);
void postgresql_group_committed(struct postgresql_work *carrier);

/* settle.c: the marks of works that committed. */
/* Marks the work, as its last statement; it has taken the mark whatever comes back. */
enum fh_code postgresql_mark(struct postgresql_work *work, struct mark *mark,
                             struct fh_error *error);
/* Now and then: sends the removal of decided marks, in a transaction of its own. */
void postgresql_marks_trim(struct postgresql_connection *connection);
/* Whether the work of this mark, whose COMMIT was not answered by `backend`, has committed: FH_OK;
 * FH_CONFLICT, retryable: it has not and never will. Waits for the server as long as it takes. */
enum fh_code postgresql_settle(struct postgresql_store *store, const struct mark *mark, int backend,
                               struct fh_error *error);

/* opening.c: in fh_opening, from before the first mark. */
enum fh_code postgresql_opening_new(struct postgresql_store *store, struct fh_error *error);
/* Now and then: says that it lives, and removes what others have left. By one fiber at a time. */
void postgresql_opening_keep(struct postgresql_store *store);

/* sequence.c */
enum fh_code postgresql_listen(struct postgresql_connection *connection, int64_t deadline_ns,
                               struct fh_error *error);
bool postgresql_listening_start(struct postgresql_store *store);
/* A statement by itself, over the sequencer's connection; sent once more if that breaks. */
enum fh_code postgresql_run_alone(struct store *store, const char *sql,
                                  const struct sql_value *values, int count, sql_visit *visit,
                                  void *context, struct fh_error *error);
/* Whether the server's process `backend` is one of this store's connections. */
bool postgresql_is_own(const struct postgresql_store *store, int backend);
void postgresql_on_notice(struct postgresql_connection *connection);
enum fh_code postgresql_sequence(struct store *store, struct store_placed *placed, int count,
                                 struct fh_error *error);

extern const struct engine engine_postgresql;
extern const struct server_kind server_postgresql;

#endif
