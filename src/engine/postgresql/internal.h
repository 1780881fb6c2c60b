/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_POSTGRESQL_INTERNAL_H
#define ENGINE_POSTGRESQL_INTERNAL_H

/*
 * Shared by the files of the PostgreSQL engine. A store is a set of connections:
 *
 *     works     up to "connections" of them, each lent to one unit of work or snapshot at a time
 *     reads     two, each shared by all the single statements of STORE_READ_COMMITTED
 *     sequence  one, reserved for the sequencer
 *
 * Each connection is a pipeline: calls go out without waiting, and their answers come back in
 * order. Functions that fibers call may park them; `postgresql_on_*` runs on the loop.
 */

#include "base/arena.h"
#include "base/map.h"
#include "store/relational/mark.h"
#include "engine/postgresql/inserts.h"
#include "engine/postgresql/ledger.h"
#include "engine/postgresql/library.h"
#include "engine/postgresql/report.h"
#include "engine/postgresql/turns.h"
#include "store/relational/sql.h"
#include "store/socket.h"
#include "store/tls.h"

extern const struct sql_dialect postgresql_dialect;

#define POSTGRESQL_STATEMENTS_MAX 512 /* prepared on a connection */
#define POSTGRESQL_OWN 11 /* of which are the engine's own, to begin and end transactions */
#define POSTGRESQL_SLOTS (POSTGRESQL_STATEMENTS_MAX - POSTGRESQL_OWN)
#define POSTGRESQL_OWN_SERIAL 1000000000u
#define POSTGRESQL_PARAMETERS_MAX SQL_VALUES_MAX
#define POSTGRESQL_COLUMNS_MAX SQL_VALUES_MAX
#define POSTGRESQL_CONNECTIONS 8 /* default number, for units of work */
#define POSTGRESQL_CONNECTIONS_MAX 64
#define POSTGRESQL_READERS 2
#define POSTGRESQL_WAIT_MS 10000    /* for a connection */
#define POSTGRESQL_CONNECT_MS 10000 /* for one attempt */
/* The default bound for a statement. Migrations have no bound. */
#define POSTGRESQL_STATEMENT_MS 30000
#define POSTGRESQL_STATEMENT_MS_MAX 86400000
/* How long the server lets a transaction sit idle between two statements: a thousand times what it
 * needs, and less than a takeover may take: a stopped process's locks are gone by then. */
#define POSTGRESQL_IDLE_MS 1000
#define POSTGRESQL_RECENT 256
#define POSTGRESQL_LOOK_MS 20 /* whether a link is to end: link.c */

struct postgresql_statement {
    char *text;      /* the text as given, with ?1 */
    char *sql;       /* the text for PostgreSQL, with $1 */
    unsigned serial; /* > 0; its name on every connection is "s" followed by this */
    int slot;
    bool own;  /* the engine's own, without parameters; `text` is its name */
    int users; /* calls in flight: don't replace it */
    /* Learnt from units of work that began with it: group.c. */
    bool single, followed;
    bool wide; /* its rows are not to be held for many at once: member.c */
    int apart, apart_next;
    int turns, turns_apart, turns_apart_next; /* turns.c */
    struct postgresql_insert insert;
    int parameter_count;
    bool lists[POSTGRESQL_PARAMETERS_MAX]; /* "IN (?1)", bound to a JSON array */
    bool typed;                            /* the types that the server inferred are known */
    Oid types[POSTGRESQL_PARAMETERS_MAX];
};

/* The engine's own statement number `index`. */
#define POSTGRESQL_OWN_STATEMENT(index, name, words)                                               \
    {                                                                                              \
        .text = (char[]){name}, .sql = (char[]){words}, .own = true,                               \
        .slot = POSTGRESQL_SLOTS + (index), .serial = POSTGRESQL_OWN_SERIAL + (index)              \
    }

struct postgresql_statements {
    struct postgresql_statement *slots[POSTGRESQL_SLOTS];
    int next; /* slot to be assigned next */
    unsigned serial;
    struct map by_text;
    struct postgresql_recent { /* a cache keyed by the text's address */
        const char *place;
        struct postgresql_statement *statement;
    } recent[POSTGRESQL_RECENT];
};

/* A call gets one group of results for each stage, in this order. Set: the stages still awaited. */
enum postgresql_stage {
    STAGE_CLOSE = 1 << 0, /* closes the statement that had this one's slot */
    STAGE_PREPARE = 1 << 1,
    STAGE_DESCRIBE = 1 << 2,
    STAGE_RUN = 1 << 3,
    STAGE_SYNC = 1 << 4,
};

struct postgresql_call {
    struct postgresql_call *next; /* in the pipeline */
    struct postgresql_connection *connection;
    struct postgresql_statement *statement; /* NULL: a sync */
    struct postgresql_work *work;           /* fails if this call fails; or NULL */
    unsigned number;                        /* store_work.statement */
    unsigned stages;
    bool begun;    /* results of its first stage may have come */
    bool deferred; /* nobody waits for it: the pipeline frees it */
    bool rows;     /* wanted, and kept in `results` until taken */
    bool unnamed;  /* prepared for this call only */
    bool discard;  /* no further rows are wanted */
    bool wide;     /* its rows have too many columns, and were not visited */
    bool done;
    bool aborted; /* not run, because an earlier one failed */
    bool lost;    /* the connection broke: it may have run */
    bool stale;   /* refused because the schema changed since it was prepared; may be sent again */
    bool joins;   /* for rows of several units of work: if it fails, they run again */
    bool crossed; /* it failed because some have read what others wrote, not for a row's sake */
    enum fh_code code;
    struct fh_error error;
    int64_t changes;
    int64_t sent_ns;
    int discarded;
    struct fiber *waiting;
    PGresult **results; /* arrived and not yet taken */
    int result_first, result_count, result_capacity;
};

enum postgresql_state { CONNECTION_DOWN, CONNECTION_CONNECTING, CONNECTION_UP };

struct postgresql_connection {
    struct postgresql_store *store;
    PGconn *pg;
    enum postgresql_state state;
    bool taken;     /* of `works`: lent */
    bool altered;   /* by a migration, which may have SET what lasts as long as it is up */
    bool read_only; /* of `readers` */
    bool listens;   /* of `sequence` */
    bool reports;   /* for one report, as their user: report.c */
    /* Of a link: set, whoever waits for it gives up, within POSTGRESQL_LOOK_MS. NULL: of a store.
     */
    const bool *ended;
    struct world_poll poll;
    unsigned watched; /* events */
    struct postgresql_call *first, **end;
    int in_flight;
    bool unsynced;                                /* something was sent after the last sync */
    struct world_turn turn;                       /* a reader's next sync */
    unsigned prepared[POSTGRESQL_STATEMENTS_MAX]; /* serials; 0: none */
    int backend;      /* process id of the server's backend, as it reports it */
    char farewell[6]; /* the SQLSTATE with which the server left, or "" */
    char schema[64];
};

struct postgresql_work {
    struct store_work base;
    /* NULL: it reads over shared ones, or the next group took it over, after this one's COMMIT. */
    struct postgresql_connection *connection;
    bool begun;  /* BEGIN was sent */
    bool lost;   /* its connection broke, or the server announced that it ends it */
    bool failed; /* only a rollback remains */
    bool locked; /* holds the migration lock */
    int deferred;
    bool appending;                     /* statements now belong to no group */
    int statements;                     /* not counting those that append events */
    struct postgresql_statement *first; /* the first of them */
    struct postgresql_group *group;
    struct postgresql_work *next; /* in the group */
    struct ledger_event *events;
    bool carries;                     /* the carrier of a group's transaction, not a unit of work */
    struct postgresql_call *appended; /* the group's publishing call, answered along with COMMIT */
    int64_t *ret_first;               /* ... the position of its first event, if assigned */
    int ahead; /* statements of members that were sent and not waited for yet */
    struct ledger_event **published; /* kept until its commit: lists of events */
    int published_count, published_capacity;
    size_t published_bytes;
    struct postgresql_turn turn;
    struct postgresql_inserts inserts;
    struct fh_error error; /* why it failed */
};

struct postgresql_options {
    char host[STORE_HOST_SIZE], database[64], user[64], password[256], schema[64];
    char serving[64]; /* the schema beside this one, whose store serves: beside.c; "": none */
    char reports_user[64], reports_password[256]; /* "": there is none */
    int port, connections, idle_ms, statement_timeout_ms;
    struct store_tls tls;
};

#define POSTGRESQL_GATHER_WAIT_MS 20
#define POSTGRESQL_GATHER_SLOW_MS 50

/* Units of work waiting to become a group. */
struct postgresql_gather {
    struct postgresql_gathered *first, **end;
    int wait_ms;  /* limit on waiting for a group under way; POSTGRESQL_GATHER_WAIT_MS */
    int slow_ms;  /* slower statements stay out of groups; POSTGRESQL_GATHER_SLOW_MS */
    int groups;   /* under way */
    bool leading; /* the newest of them is not sent yet */
    struct postgresql_work *committing; /* a carrier with COMMIT sent, and nothing after it */
    int64_t committed_ns;               /* when a group's COMMIT was last answered */
    struct world_turn turn;
    /* Whether the next group assigns positions to its own events. */
    bool numbers, gated;
    uint64_t gate;         /* it waits for this sequencer call to end */
    int apart, apart_next; /* after a failed try, this many groups leave it to the sequencer */
};

struct postgresql_store {
    struct store base;
    struct postgresql_options options;
    bool replica;         /* read-only, from a server that follows the store's own */
    char application[64]; /* application_name of the connections */
    struct postgresql_statements statements;

    struct postgresql_connection *works; /* options.connections of them */
    struct fiber_queue works_free;
    int granted; /* fibers woken that have not resumed yet */
    struct postgresql_connection readers[POSTGRESQL_READERS];
    struct fiber_queue connecting; /* fibers waiting until another has connected a shared one */
    struct postgresql_connection sequence;
    struct fiber_queue listening; /* holds the fiber that keeps `sequence` connected */
    bool listens;
    int sequencing;     /* sequencer calls under way */
    uint64_t sequenced; /* ... and completed */

    /* Units of work of STORE_WRITE, and exclusive ones. */
    int writers, exclusive_waiting;
    bool exclusive;
    struct fiber_queue turnstile;
    struct marks marks;
    int64_t marks_trimmed_ns;
    struct postgresql_gather gather;
    struct postgresql_turns turns;
    struct report_line reports;

    /* After a failed attempt to connect: when the next is due, and why it failed. */
    int failures;
    int64_t retry_ns;
    struct fh_error down;
    bool closing, closer; /* closer: a fiber waits in close */
};

/* connection.c: FH_UNAVAILABLE with the reason; at once while the last failure is fresh. */
enum fh_code postgresql_connect(struct postgresql_connection *connection, struct fh_error *error);
/* The same of one outside the store's set: no failure puts others off, and its pipeline is not
 * started. `deadline_ns`: it is given up. */
enum fh_code postgresql_connect_alone(struct postgresql_connection *connection, int64_t deadline_ns,
                                      struct fh_error *error);
/* Until when to wait before looking at the deadline and at `ended` again. */
static inline int64_t postgresql_looks_ns(const struct postgresql_connection *connection,
                                          int64_t deadline_ns)
{
    int64_t look_ns = connection->ended
                          ? world_in_ms(connection->store->base.world, POSTGRESQL_LOOK_MS)
                          : deadline_ns;
    return deadline_ns >= 0 && deadline_ns < look_ns ? deadline_ns : look_ns;
}
/* Waits up to `wait_ms` for a server that is starting, and logs once what it waits for. */
enum fh_code postgresql_connect_first(struct postgresql_connection *connection, int wait_ms,
                                      struct fh_error *error);
/* Runs a text of one or more statements outside the pipeline, once that has drained, and passes
 * each result to `visit` (or NULL). FH_UNAVAILABLE: the connection broke. */
enum fh_code postgresql_simple(struct postgresql_connection *connection, const char *sql,
                               int64_t deadline_ns, void (*visit)(void *context, PGresult *result),
                               void *context, struct fh_error *error);

/* closing.c */
void postgresql_close(struct store *store);
/* Something that was under way has ended: a closed store without any more of it is destroyed. */
void postgresql_leave(struct postgresql_store *store);

/* options.c */
enum fh_code postgresql_options_read(const json_t *server, struct postgresql_options *ret,
                                     struct fh_error *error);

/* pipeline.c */
void postgresql_pipeline_init(struct postgresql_connection *connection);
/* Sends a call, mostly just into libpq's buffer. NULL: the connection is down. Without parameters
 * it only describes the statement, or runs it if it is one of the engine's own. */
#define POSTGRESQL_ROWS 1u    /* rows are wanted */
#define POSTGRESQL_UNNAMED 2u /* nothing known of the statement is used: for a retry */
struct postgresql_parameters;
struct postgresql_call *postgresql_call(struct postgresql_connection *connection,
                                        struct postgresql_statement *statement,
                                        const struct postgresql_parameters *parameters,
                                        unsigned how);
/* Everything since the previous sync succeeds or fails together, and is answered now. */
void postgresql_sync(struct postgresql_connection *connection);
/* The next result with rows, which the caller clears. NULL: there are no more. */
PGresult *postgresql_call_next(struct postgresql_call *call);
void postgresql_call_end(struct postgresql_call *call); /* waits until it is done, and frees it */
/* Nobody waits for it any longer: if it fails, `work` fails. */
void postgresql_call_defer(struct postgresql_call *call, struct postgresql_work *work);
/* The connection is set up: calls may go over it. */
void postgresql_pipeline_start(struct postgresql_connection *connection);
/* Closes the connection; calls in flight are lost. */
void postgresql_disconnect(struct postgresql_connection *connection);
void postgresql_watch(struct postgresql_connection *connection, bool writing);
void postgresql_unwatch(struct postgresql_connection *connection);
/* Waits until every call is answered. */
void postgresql_drain(struct postgresql_connection *connection);

/* statement.c */
/* How many characters from `at` on are quoted or a comment; 0: none. `before`: the one before. */
size_t postgresql_quoted(const char *at, char before);
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
/* Whether the parameters can only be built once the statement's types are known. */
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
/* Converts a JSON array to PostgreSQL's array syntax. */
enum fh_code postgresql_array_literal(const char *json, size_t length, struct arena *arena,
                                      const char **ret, struct fh_error *error);

/* error.c */
enum fh_code postgresql_error(const PGresult *result, struct fh_error *error);
/* The name of the server's socket, in the folder that is its host. */
#define POSTGRESQL_SOCKET_SIZE 24
void postgresql_socket_name(int port, char ret[static POSTGRESQL_SOCKET_SIZE]);
/* Whether TLS failed, going by libpq's message `said`: store_tls_failed. */
bool postgresql_tls_failed(const char *host, const char *said, struct fh_error *error);
/* For a failed attempt to connect. */
enum fh_code postgresql_connect_error(const struct postgresql_store *store, const char *message,
                                      struct fh_error *error);
enum fh_code postgresql_lost_error(struct fh_error *error);
/* The server ended a transaction that stood idle: the server is fine, and the unit of work may run
 * again. */
enum fh_code postgresql_idle_error(struct fh_error *error);
bool postgresql_is_hopeless(const struct fh_error *error); /* waiting would not help */

/* pool.c */
enum fh_code postgresql_take(struct postgresql_store *store, bool migrates,
                             struct postgresql_connection **ret, struct fh_error *error);
void postgresql_give_back(struct postgresql_connection *connection);
/* For a connection shared by several fibers: only one of them connects it. */
enum fh_code postgresql_connect_shared(struct postgresql_connection *connection,
                                       struct fh_error *error);
enum fh_code postgresql_reader(struct postgresql_store *store, struct postgresql_connection **ret,
                               struct fh_error *error);

/* work.c */
enum fh_code postgresql_begin(struct store *store, enum store_mode mode, struct store_work **ret,
                              struct fh_error *error);
/* For one that is no member of a group. */
enum fh_code postgresql_work_commit(struct postgresql_work *work, struct fh_error *error);
void postgresql_work_rollback(struct postgresql_work *work);
void postgresql_work_end(struct postgresql_work *work); /* gives back what it holds, and frees it */

enum fh_code postgresql_script(struct store_work *work, const char *sql, struct fh_error *error);
enum fh_code postgresql_patient(struct store_work *work, struct fh_error *error);
enum fh_code postgresql_outside(struct store_work *work, const char *sql, struct fh_error *error);

/* failure.c */
static inline enum fh_code postgresql_pass_on(const struct fh_error *from, struct fh_error *error)
{
    *error = *from;
    return from->code;
}
/* The error with which a call ended. */
enum fh_code postgresql_call_error(const struct postgresql_call *call, struct fh_error *error);
/* If the call failed, its unit of work fails: its transaction on the server is gone. */
void postgresql_work_ended(struct postgresql_work *work, const struct postgresql_call *call);
enum fh_code postgresql_work_fail(struct postgresql_work *work, const struct fh_error *why,
                                  struct fh_error *error);
/* Its connection broke. */
enum fh_code postgresql_work_lost(struct postgresql_work *work, struct fh_error *error);

/* answer.c */
/* Asks for the statement's types, and waits for them. NULL: the connection is down. */
struct postgresql_call *postgresql_describe(struct postgresql_connection *connection,
                                            struct postgresql_statement *statement, unsigned how);
/* postgresql_learn asks the server for the statement's types; postgresql_call_visit takes a sent
 * call to its end. *ret_again: it failed through no fault of its own, before any row was visited,
 * and may be tried again. */
enum fh_code postgresql_learn(struct postgresql_connection *connection,
                              struct postgresql_statement *statement, unsigned how, bool *ret_again,
                              struct fh_error *error);
enum fh_code postgresql_call_visit(struct postgresql_call *call, sql_visit *visit, void *context,
                                   bool *ret_again, struct fh_error *error);
/* Passes rows to `visit` as they come. */
void postgresql_call_rows(struct postgresql_call *call, sql_visit *visit, void *context);

/* transaction.c */
bool postgresql_is_late(const struct postgresql_work *work);
enum fh_code postgresql_work_begin(struct postgresql_work *work, struct fh_error *error);
enum fh_code postgresql_work_run(struct postgresql_work *work,
                                 struct postgresql_statement *statement,
                                 const struct sql_value *values, int count, sql_visit *visit,
                                 void *context, int64_t *ret_changes, struct fh_error *error);
/* postgresql_work_run in two: _call only sends it, and _answer takes the answer. */
enum fh_code postgresql_work_call(struct postgresql_work *work,
                                  struct postgresql_statement *statement,
                                  const struct sql_value *values, int count, unsigned how,
                                  struct postgresql_call **ret, struct fh_error *error);
enum fh_code postgresql_work_answer(struct postgresql_work *work, struct postgresql_call *call,
                                    sql_visit *visit, void *context, int64_t *ret_changes,
                                    struct fh_error *error);
/* postgresql_work_call for a statement given by its text. */
enum fh_code postgresql_run_later(struct postgresql_work *work, const char *sql,
                                  const struct sql_value *values, int count,
                                  struct postgresql_call **ret, struct fh_error *error);

/* run.c */
enum fh_code postgresql_run(struct store_work *work, const char *sql,
                            const struct sql_value *values, int count, sql_visit *visit,
                            void *context, int64_t *ret_changes, struct fh_error *error);

/* append.c */
/* Sends what several units of work publish in one transaction, in their order, given a list of
 * events for each. `numbers`: the events may get their positions at once. */
enum fh_code postgresql_append_all(struct postgresql_work *work, struct ledger_event *const *lists,
                                   int count, bool numbers, struct fh_error *error);
void postgresql_appended(struct postgresql_work *work); /* takes the answer, if one is awaited */
/* Whether the next group may be sent now. Asked again whenever a sequencer call has ended. */
bool postgresql_numbering_gate(struct postgresql_store *store);
/* Whether a transaction that begins now may number its events. */
bool postgresql_may_number(const struct postgresql_store *store);
/* Reports the outcome for one that published. */
void postgresql_numbering_told(struct postgresql_gather *gather, bool tried, bool numbered);

/* group.c: units of work that share a transaction. */
/* Runs a statement of a unit of work that may join a group. *ret_done: it ran in one. */
enum fh_code postgresql_group_run(struct postgresql_work *work,
                                  struct postgresql_statement *statement,
                                  const struct sql_value *values, int count, sql_visit *visit,
                                  void *context, int64_t *ret_changes, bool *ret_done,
                                  struct fh_error *error);
enum fh_code postgresql_append(struct store_work *work, struct ledger_event *events,
                               struct fh_error *error);
enum fh_code postgresql_commit(struct store_work *work, struct fh_error *error);
void postgresql_rollback(struct store_work *work);

/* member.c: units of work that run one after the other in one transaction (store_member). */
/* Runs a statement of the work's current member. *ret_done: it ran while others sent theirs. */
enum fh_code postgresql_member_run(struct postgresql_work *work,
                                   struct postgresql_statement *statement,
                                   const struct sql_value *values, int count, sql_visit *visit,
                                   void *context, int64_t *ret_changes, bool *ret_done,
                                   struct fh_error *error);
void postgresql_member_ended(struct store_work *work, bool good);
/* Waits for the current member's turn. */
enum fh_code postgresql_member_turn(struct postgresql_work *work, struct fh_error *error);

/* publish.c: what a transaction that is no group's publishes. */
/* Writes it, or keeps it for the commit. */
enum fh_code postgresql_publish(struct postgresql_work *work, struct ledger_event *events,
                                struct fh_error *error);
/* Commits one that has kept events: these are written, and get their positions where the
 * transaction may assign them. */
enum fh_code postgresql_published_commit(struct postgresql_work *work, struct fh_error *error);

/* settle.c: marks of committed units of work. */
/* Writes the unit's mark, as its last statement. The mark is taken even if this fails. */
enum fh_code postgresql_mark(struct postgresql_work *work, struct mark *mark,
                             struct fh_error *error);
/* Now and then, sends the removal of decided marks, in a separate transaction. */
void postgresql_marks_trim(struct postgresql_connection *connection);
/* Whether the unit of work with this mark, whose COMMIT `backend` did not answer, committed: FH_OK;
 * FH_CONFLICT, retryable: it did not and never will. Waits for the server as long as needed. */
enum fh_code postgresql_settle(struct postgresql_store *store, const struct mark *mark, int backend,
                               struct fh_error *error);

/* opening.c: adds this process to fh_opening, before its first mark. */
enum fh_code postgresql_opening_new(struct postgresql_store *store, struct fh_error *error);
/* Now and then, records that this process is alive and removes what others left. Called by one
 * fiber at a time. */
void postgresql_opening_keep(struct postgresql_store *store);

/* notice.c */
/* Whether `backend` serves one of this store's connections. */
bool postgresql_is_own(const struct postgresql_store *store, int backend);
void postgresql_on_notice(struct postgresql_connection *connection);

/* sequence.c */
bool postgresql_listening_start(struct postgresql_store *store);
/* Runs one statement in a transaction of its own over the sequencer's connection, and retries it
 * once if that breaks. */
enum fh_code postgresql_run_alone(struct store *store, const char *sql,
                                  const struct sql_value *values, int count, sql_visit *visit,
                                  void *context, struct fh_error *error);

extern const struct engine engine_postgresql;
extern const struct server_kind server_postgresql;

#endif
