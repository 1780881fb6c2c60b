/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMULATE_POSTGRESQL_MODEL_H
#define SIMULATE_POSTGRESQL_MODEL_H

/*
 * A model of a PostgreSQL server on virtual time, for the engine's own code (src/store/relational/
 * postgresql*.c), which reaches libpq only through a table of functions: here the model's.
 *
 *     server.c     what a run draws of faults, and a look from outside
 *     library.c    libpq: connections, pipelines, results, as the engine sees them
 *     session.c    a backend: what it is sent, one after the other; timeouts
 *     failover.c   a restart, and a standby in its place
 *     control.c    statements of whichever kind: BEGIN, COMMIT, and the settings of a transaction
 *     ledger.c     cut out: fh_append, fh_sequence, fh_fence, by hand
 *     transaction.c  how a transaction ends, and a session
 *     link.c       messages between a connection and its backend, and what goes wrong with them
 *     statement.c  a statement, in the transaction's own view
 *     translate.c  PostgreSQL's words as SQLite's
 *     data.c       a database: its versions, views of them
 *     apply.c      a change, applied to a view
 *     view.c       a view, as a SQLite database
 *     function.c   PostgreSQL's functions that statements call
 *     lock.c       locks of rows, advisory locks, and who waits for whom
 *     command.c, result.c   what is sent, and what is answered
 *     model.c      the server and its sessions as all of these know them
 *
 * Each calls only what stands below it. What a link brings to the server goes to what the server
 * has put there.
 *
 * Transactions. Each has a view of its own: a SQLite database in memory that stands at the version
 * the snapshot was taken at, with an open SQLite transaction on it. So any number of them write at
 * once, and none sees another's changes. What a statement has written is known from SQLite's
 * session extension, row by row: each row is locked by its primary key; who meets another's lock
 * takes its statement back and waits. A commit is a changeset, which becomes the next version. A
 * row that was changed since the snapshot is 40001 (at READ COMMITTED: the view is made anew and
 * the statement runs again). A serializable transaction whose reads, run again at its commit, would
 * answer something else is 40001, too: stricter than PostgreSQL, which lets some of these pass.
 * Where MODEL_REMEMBERED others had committed when it wrote last it passes whatever it has read: so
 * does PostgreSQL, which forgets.
 *
 * What is not modelled fails loudly: a statement that SQLite can't prepare ends the run.
 */

#define SQLITE_ENABLE_SESSION
#define SQLITE_ENABLE_PREUPDATE_HOOK
#include <sqlite3.h>

#include "base/map.h"
#include "simulate/server.h"
#include "simulate/socket.h"
#include "simulate/wire.h"
#include "engine/postgresql/library.h"

struct model_server;
struct model_session;
struct model_link;

#define MODEL_PARAMETERS_MAX 256

/* ---- library.c, result.c ---- */

struct pg_result {
    ExecStatusType status;
    char tag[64]; /* "INSERT 0 1" */
    int rows, columns, parameters;
    char **names;
    Oid *types;
    char **values; /* row by row; NULL: null */
    char sqlstate[6], severity[8], message[160];
};

PGresult *model_result(ExecStatusType status, const char *tag);
void model_result_free(PGresult *result);
PGresult *model_error(const char *severity, const char *sqlstate, const char *message);
void model_result_columns(PGresult *result, int columns);
void model_result_row(PGresult *result, const char *const *values);

/* ---- view.c, data.c ---- */

#define MODEL_ROW_SIZE 400

struct model_view {
    struct model_database *database;
    sqlite3 *sql;
    int64_t version, schema;
    bool busy, replays;
    sqlite3_session *changes; /* of the open transaction; NULL: it has written nothing */
    struct map statements;    /* by text */
    struct model_session *session;
    struct model_view *next;
};

struct model_change {
    void *data;
    int size;
};

struct model_database {
    struct model_server *server;
    char name[64];
    int64_t version, schema;      /* versions are counted from 1; change i makes version i + 1 */
    struct model_change *changes; /* of this schema, from `first_version` on */
    int64_t first_version;
    size_t change_count, change_capacity;
    struct model_view *views, *newest;
    struct map rows, tables; /* the version that changed them last, as a pointer */
    struct map born;         /* events' rows: the version that they came with */
    struct model_lock *locks;
    int64_t sequence, place; /* the outbox's; and where rows of sagas lie */
    struct model_database *next;
};

struct model_database *model_database(struct model_server *server, const char *name);
/* At the newest version, with an open transaction. */
struct model_view *model_view_take(struct model_database *database, struct model_session *session);
void model_view_give_back(struct model_view *view); /* what it has changed is gone */
void model_view_refresh(struct model_view *view);   /* to the newest, with its own changes */
void model_view_open(struct model_view *view);
void model_view_release(struct model_view *view);              /* its statements */
void model_view_end(struct model_view *view, const char *how); /* its transaction */
bool model_view_runs(struct model_view *view, const char *sql);
sqlite3_stmt *model_view_prepare(struct model_view *view, const char *sql);
/* All that the view's transaction has changed so far; `data` is freed with sqlite3_free. */
struct model_change model_view_changes(struct model_view *view);
void model_view_apply(struct model_view *view, const struct model_change *change);
/* Its rows, by "table|key|...". False: it stopped. */
bool model_change_rows(const struct model_change *change,
                       bool (*visit)(void *context, const char *row), void *context);
void model_view_writes(struct model_view *view); /* before its first change */
/* The view's changes are the next version; it is given back. With `schema`, whole tables, too. */
void model_database_commit(struct model_view *view, bool schema);
void model_database_change(struct model_database *database, struct model_change change); /* owned */
int64_t model_changed_at(const struct map *map, const char *name);

/* ---- lock.c ---- */

struct model_lock {
    char *name;
    bool shared, of_session;
    struct model_session *owner;
    struct model_lock *next;
};

/* False: another one has it; the session's `waits_for` says what it is. */
bool model_lock(struct model_session *session, const char *name, bool shared, bool of_session);
bool model_lock_try(struct model_session *session, const char *name, bool shared);
bool model_lock_others(struct model_session *session, const char *name); /* have it, too */
/* Those of the transaction, or all; who waits for one of them looks again. */
void model_unlock(struct model_session *session, bool all);
bool model_lock_circle(struct model_session *session); /* it would wait for itself */

/* ---- session.c ---- */

enum model_kind {
    MODEL_PARSE,
    MODEL_DESCRIBE,
    MODEL_EXECUTE,
    MODEL_SYNC,
    MODEL_SIMPLE, /* one or more statements, and a sync */
    MODEL_GONE,   /* the client has left, or is taken for gone */
};

struct model_command {
    enum model_kind kind;
    char *name, *text;
    int count;
    char *values[MODEL_PARAMETERS_MAX]; /* NULL: null */
    bool texts[MODEL_PARAMETERS_MAX];   /* else a number, or a list */
    struct model_command *next;
};

/* What one command has come to. */
struct model_reply {
    bool sync;
    PGresult *results[32];
    int count, taken;
    struct model_reply *next;
};

struct model_said { /* a statement of a transaction, to be run again at its commit */
    struct model_command *command;
    char *text;
    uint64_t digest; /* of what it answered */
    struct model_said *next;
};

struct model_session {
    struct model_server *server;
    struct model_database *database;
    struct model_link *link; /* NULL: it has ended for the client */
    int pid;
    char application[64];
    bool alive, listens;
    struct model_command *first, **last;
    struct map prepared; /* name to text */
    struct model_reply *replies, **replies_last;
    bool skips; /* up to the next sync, after an error */
    /* The transaction. */
    struct model_view *view; /* NULL: nothing was read or written yet */
    bool block, failed, serializable, repeatable, read_only, schema;
    bool forgotten; /* what others had read, when it wrote last */
    int64_t snapshot;
    struct map rows; /* that it has locked */
    struct model_said *said, **said_last;
    bool notifies; /* at its commit */
    int64_t lock_ms, local_lock_ms, idle_ms, statement_ms;
    /* What it waits for. */
    char waits_for[300];
    bool waits, waits_shared, commits, ends_after_commit;
    struct model_reply *simple; /* what a simple one has come to so far */
    struct simulate_event step, timeout, idle;
    struct model_session *next;
};

extern const struct model_backend model_backend;

/* ---- command.c ---- */

void model_command_free(struct model_command *command);
void model_commands_free(struct model_command *commands);
struct model_reply *model_reply(bool sync);
void model_reply_add(struct model_reply *reply, PGresult *result);
void model_reply_free(struct model_reply *reply);

/* ---- transaction.c ---- */

/* MODEL_COMMITS: what is open is to be committed first, which takes a while; then it is run once
 * more, with `session->commits` set. */
enum model_outcome { MODEL_DONE, MODEL_FAILED, MODEL_BLOCKED, MODEL_COMMITS };

enum model_outcome model_commit(struct model_session *session, PGresult **ret);
/* Ends the transaction that is open, if it is one without BEGIN. */
enum model_outcome model_end_implicit(struct model_session *session, PGresult **ret);
void model_rollback(struct model_session *session);
/* The backend ends: what is open is rolled back, but a commit that is under way comes to its end.
 */
void model_session_end(struct model_session *session, const char *sqlstate, const char *message);

/* ---- control.c ---- */

/* A statement of whichever kind. */
enum model_outcome model_transact(struct model_session *session, const struct model_command *with,
                                  const char *text, PGresult **ret);

/* ---- statement.c ---- */

/* One statement, of those that are not cut out. *ret is its result, or its error; blocked: it was
 * taken back, and is to be run again. */
enum model_outcome model_statement(struct model_session *session, const struct model_command *with,
                                   const char *text, PGresult **ret);
#define MODEL_REMEMBERED 3
#define MODEL_NOT_RECENT "The transaction stood open while too many others ended."
/* Whether a serializable transaction's reads still answer the same; else *ret is its error. */
enum model_outcome model_commit_check(struct model_session *session, PGresult **ret);
/* A view for the statement: the transaction's, at READ COMMITTED with what is committed by now. */
struct model_view *model_look(struct model_session *session);
/* Around what writes. The rows that were written since are locked; or it is taken back. */
void model_write_begin(struct model_session *session);
enum model_outcome model_write_end(struct model_session *session, PGresult **ret);
void model_write_undo(struct model_session *session);
void model_bind(sqlite3_stmt *statement, const struct model_command *with);
PGresult *model_run(sqlite3_stmt *statement, const char *text, sqlite3 *sql);
uint64_t model_digest(const PGresult *result);
/* As SQLite says it. "": it is cut out. */
char *model_translate(const char *text);
int model_parameters(const char *text);

/* ---- ledger.c, function.c ---- */

/* NULL: the statement is none of those that are cut out. */
typedef enum model_outcome model_by_hand(struct model_session *session,
                                         const struct model_command *with, const char *text,
                                         PGresult **ret);
model_by_hand *model_ledger(const char *text);
void model_functions(struct model_view *view);
#define MODEL_LISTENERS "advisory freehold.listeners.public"
#define MODEL_DRAWING "advisory freehold.keys.public 512"
#define MODEL_NUMBERING "advisory freehold.keys.public 513"
#define MODEL_SCHEMA "schema"

/* ---- link.c ---- */

struct model_link {
    struct model_server *server;
    struct simulate_node *node;
    unsigned life; /* of the node */
    struct model_session *session;
    struct simulate_socket socket;
    bool cut;              /* nothing goes through any more */
    bool silently;         /* ... and neither end knows */
    int64_t out_ns, in_ns; /* when the last message arrived, each way */
    int replied, heard; /* messages with replies: what arrives is the first ones, without a gap */
    /* As the client has it. */
    ConnStatusType status;
    bool closed, broken, pipeline;
    char application[64], database[64];
    char message[160];
    struct model_command *buffer, **buffer_last;
    struct model_reply *arrived, **arrived_last; /* not consumed yet */
    struct model_reply *input, **input_last;
    struct model_reply *taken; /* the one whose results are being given out */
    int owed;                  /* replies that have not been given out */
    struct model_notice {
        PGnotify *notify;
        PGresult *farewell;
        struct model_notice *next;
    } * notices, **notices_last;
    bool gone; /* the end of the stream has arrived */
    PQnoticeReceiver receiver;
    void *receiver_argument;
    struct simulate_event event;
    struct model_link *next;
};

struct model_link *model_link_new(struct model_server *server, struct simulate_node *node);
void model_link_send(struct model_link *link);                             /* what is buffered */
void model_link_reply(struct model_link *link, struct model_reply *first); /* one message */
void model_link_tell(struct model_link *link, PGnotify *notify, PGresult *farewell);
void model_link_ended(struct model_link *link); /* by the server, after what it has sent */
/* By the client; or by its death, of which the other end hears if the machine lives. */
void model_link_close(struct model_link *link, bool heard);
void model_link_cut(struct model_link *link, bool silently);

/* ---- failover.c ---- */

#define MODEL_NEWEST 8

struct model_commit { /* that made this version */
    struct model_database *database;
    int64_t version, schema;
};

void model_restart(struct model_server *server);
int model_lose(struct simulate_server *base, int commits_max);

/* ---- the server ---- */

/* What is at the other end of links. */
struct model_backend {
    struct model_session *(*begin)(struct model_server *server, struct model_link *link,
                                   const char *database, const char *application);
    void (*take)(struct model_session *session, struct model_command *commands);
};

struct model_server {
    struct simulate_server base; /* first */
    struct simulate_wire wire;
    struct simulate *simulate;
    const struct model_backend *backend;
    struct model_database *databases;
    struct model_session *sessions;
    struct model_link *links;
    bool down;
    int next_pid;
    struct model_commit newest[MODEL_NEWEST]; /* by number, from the oldest kept on */
    int64_t commits;
    int64_t late_until_ns; /* messages of links that are gone */
    struct simulate_event fault, up;
    int64_t pause_ns, until_ns;
    void (*failed)(void *context, const char *why);
    void *context;
};

static inline struct model_server *model_server_of(struct simulate_server *base)
{
    return (struct model_server *)base;
}

/* ---- model.c ---- */

void model_begin(struct model_server *server); /* the only one */
struct model_server *model_the_server(void);
void model_fail(struct model_server *server, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int64_t model_execution_ns(struct model_server *server);
int64_t model_sync_ns(struct model_server *server);
/* Within so long it takes its next command, if there is one; and it waits for nothing any more. */
void model_session_plan(struct model_session *session, int64_t in_ns);
void model_session_wake(struct model_session *session);
/* So many have been committed since its snapshot that nobody knows its conflicts any more. */
bool model_has_forgotten(const struct model_session *session);

void model_library(void); /* library.c: in libpq's place */

simulate_server_make simulate_postgresql_new;

#endif
