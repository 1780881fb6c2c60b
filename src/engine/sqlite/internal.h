/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SQLITE_INTERNAL_H
#define ENGINE_SQLITE_INTERNAL_H

/* Shared by the files of the SQLite engine. */

#include <sqlite3.h>

#include "base/arena.h"
#include "base/map.h"
#include "store/relational/ledger_schema.h"
#include "store/relational/ledger_sql.h"
#include "store/relational/sql.h"
#include "engine/sqlite/checksum.h"

extern const struct sql_dialect sqlite_dialect;
extern const struct ledger_schema sqlite_ledger_schema;
extern const char *const sqlite_ledger_statements[LEDGER_STATEMENTS];

#define SQLITE_STATEMENTS_MAX 512
#define SQLITE_GROUP_MAX 512          /* units of work in one commit */
#define SQLITE_SAVEPOINTS 4096        /* units of work that have one after one has needed it */
#define SQLITE_CHECKPOINT_FRAMES 4000 /* WAL frames that trigger a checkpoint */
#define SQLITE_CHECKPOINT_REST 10     /* which part of them may wait for a pause between groups */
#define SQLITE_CHECKPOINT_ROUNDS 4    /* of copying beside the groups before that */
#define SQLITE_BUSY_MS 100            /* the writer waits that long for a lock held for a moment */
#define SQLITE_READERS_MAX 12         /* open snapshots */
#define SQLITE_READERS_ASKING_MAX 8   /* of questions in line or under way */
#define SQLITE_QUESTIONS_MAX 2        /* that are answered at once, each on a reader of its own */
#define SQLITE_QUESTIONS_WAITING_MAX 64
#define SQLITE_QUESTIONS_LONG_MAX 1 /* of these that may take long, so that others have a place */
#define SQLITE_QUESTIONS_LONG_WAITING_MAX 16
#define SQLITE_QUESTION_MS_MAX 60000 /* of one that has no deadline */
#define SQLITE_QUESTION_MEMORY_MAX ((int64_t)256 << 20)

#define SQLITE_RECENT 256

struct sqlite_prepared {
    sqlite3_stmt *statement;
    sqlite3_stmt *insert, *inserted; /* in its place, or NULL: see returning.c */
    bool readonly;
    bool schema;   /* it does what is not counted as changed rows */
    bool outbox;   /* it names a table of the outbox: see late.c */
    bool commands; /* it names that of the commands' records */
    bool records;  /* it may make such a record */
};

struct sqlite_connection {
    sqlite3 *db;
    int users;                     /* units of work that read its snapshot */
    int stepping;                  /* their statements under way, but for a question's */
    bool asked;                    /* a question has it: nothing else may use it */
    int asking;                    /* questions that have it, or wait with it */
    struct fiber_queue answered;   /* who would */
    struct map statements;         /* struct sqlite_prepared, by text */
    struct sqlite_prepared *names; /* the one that is being prepared */
    bool schema_changed;           /* in the open transaction, or in the last one */
    /* A cache keyed by the address of the statement's text: an address mostly holds the same text
     * again, and one comparison is quicker than hashing. */
    struct sqlite_recent {
        const char *place;
        struct sqlite_prepared *prepared;
    } recent[SQLITE_RECENT];
};

/* See late.c. */
struct sqlite_late_row;
#define SQLITE_LATE_COMMAND_BITS 8192
#define SQLITE_POSITION_UNKNOWN INT64_C(-1)
struct sqlite_late {
    struct arena arena;
    struct sqlite_late_row *first, *last; /* the group's, in order */
    struct sqlite_late_row *written;      /* the last one that is written */
    int64_t position;                     /* the last one assigned to an event */
    /* Whose bit is not set, of that command no record is kept. */
    uint64_t commands[SQLITE_LATE_COMMAND_BITS / 64];
};
/* How it was when a unit of work began. */
struct sqlite_late_mark {
    struct sqlite_late_row *last, *written;
    int64_t position;
};

/* Which commands may have a record: see filter.c. */
struct sqlite_filter {
    struct sqlite_bits {
        uint64_t *words; /* NULL: there is none */
        size_t blocks;
        int64_t count, most; /* added, and how many until it is filled anew */
    } whole, next;           /* in use, and being filled */
    char *caller, *key;      /* up to where `next` is filled; NULL: from the beginning */
    uint64_t slices;         /* read to fill it */
    bool unreadable;         /* the table is, in part: it is filled no more */
};

/* See checkpoint.c. Frames are counted from the log's beginning. */
struct sqlite_checkpoint {
    int frames_max, rest_max; /* beside the groups, and between two */
    int frames;               /* that the log has; set by a COMMIT, wherever that runs */
    int seen;                 /* that it had at the last look */
    int copied;               /* that are in the database */
    int due;                  /* at which something is to be done */
    int rounds;
    unsigned copies;     /* made beside the groups */
    unsigned log;        /* counts how often it has begun anew */
    unsigned log_copied; /* the one that the job copies */
    bool copying;        /* the job is under way */
    struct world_job job;
    struct sqlite_connection guard, copier; /* opened on demand, used by the job alone */
    int beside, copied_beside;              /* SQLite's code; frames */
};

enum sqlite_group { GROUP_IDLE, GROUP_OPEN, GROUP_BUSY };

struct sqlite_work {
    struct store_work base;
    struct sqlite_work *next; /* in the group */
    struct fiber *fiber;
    /* The writer, or the snapshot's reader; NULL: nothing was read yet. */
    struct sqlite_connection *connection;
    struct sqlite_question *question; /* that was asked in it, until it is answered */
    int stepping;                     /* its statements under way */
    bool savepoint;                   /* it began with one */
    bool changed;                     /* it has changed rows or the schema */
    bool looks_for_command;           /* whose record is not among the late rows */
    bool puts_command;                /* by its next statement; the filter has it */
    struct sqlite_late_mark mark;
    uint64_t filled; /* slices of the filter when it began */
    enum fh_code result;
    struct fh_error error;
};

/* See question.c. */
struct sqlite_question;
struct sqlite_questions {
    struct sqlite_question *first, *last; /* that wait, in order of arrival */
    int waiting, running;
    int waiting_long, running_long; /* of these, in units of work that ask long */
    struct fiber_queue over;        /* who waits for the last one */
    int frames_max; /* of the log, at which it is to begin anew before others begin */
    unsigned log;   /* sqlite_checkpoint.log, when frames_max was set */
    bool paused;    /* until then, or until `pause` */
    struct world_timer pause;
};

struct sqlite_store {
    struct store base;
    char folder[4096], path[4160]; /* of the database's file */
    int lock;                      /* of the world's files, or -1 */
    struct sqlite_checksum *checksum;
    struct sqlite_connection writer;
    struct sqlite_connection readers[SQLITE_READERS_MAX]; /* opened on demand */
    struct sqlite_connection *shared; /* the reader whose snapshot those that begin now share */
    struct fiber_queue readers_free;
    struct sqlite_questions questions;
    bool whole;   /* fully opened: close may checkpoint it */
    bool closing; /* the owner closed it while a turn or a checkpoint was pending */

    /* The group: see group.c. */
    enum sqlite_group state;
    struct sqlite_work *active; /* between its begin and its commit */
    bool exclusive;             /* the open group takes a single unit of work */
    int exclusive_waiting;
    struct sqlite_work *members, **members_end;
    int member_count;
    int savepoints; /* how many more units of work get one */
    struct sqlite_late late;
    struct sqlite_filter filter;
    uint64_t filled; /* its slices when the transaction began */
    struct fiber_queue turnstile;
    struct world_turn turn;
    struct world_job job;
    int commit_result; /* SQLite's code */
    struct sqlite_checkpoint checkpoint;
};

/* commit.c: ends the writer's transaction, off the loop. SQLite's code: SQLITE_OK, or else nothing
 * of it has taken effect, nor will. */
int sqlite_commit_now(struct sqlite_store *store);

/* statement.c: a prepared statement, or SQLite's code (SQLITE_MISUSE: it is not one statement);
 * and what must follow its use. */
int sqlite_statement_get(struct sqlite_connection *connection, const char *sql,
                         struct sqlite_prepared **ret);
void sqlite_statement_done(struct sqlite_connection *connection, const char *sql,
                           struct sqlite_prepared *prepared);
int sqlite_bind(sqlite3_stmt *statement, const struct sql_value *values, int count);
/* Has each statement that is prepared from now on told what it names. */
void sqlite_statements_watch(struct sqlite_connection *connection);
/* Runs a statement without parameters, discards its rows, and returns SQLite's code. */
int sqlite_simple(struct sqlite_connection *connection, const char *sql);
void sqlite_statements_release(struct sqlite_connection *connection);
enum fh_code sqlite_error(sqlite3 *db, int result, struct fh_error *error);

/* returning.c: looks whether the prepared statement is an insertion whose row may be read back. */
void sqlite_returning_prepare(sqlite3 *db, const char *sql, struct sqlite_prepared *prepared);
/* Runs `insert`. SQLITE_ROW: its row is to be read by `inserted`; SQLITE_DONE: there is none. */
int sqlite_returning_insert(sqlite3 *db, const struct sqlite_prepared *prepared);

/* run.c */
enum fh_code sqlite_statement_run(struct store_work *work, const char *sql,
                                  const struct sql_value *values, int count, sql_visit *visit,
                                  void *context, int64_t *ret_changes, struct fh_error *error);
/* Visits all rows (NULL: discards them). SQLITE_DONE, or SQLite's code. */
int sqlite_step_all(sqlite3_stmt *statement, sql_visit *visit, void *context);
enum fh_code sqlite_script(struct store_work *work, const char *sql, struct fh_error *error);
/* A retryable FH_CONFLICT: the group broke, and nothing may run outside it. */
enum fh_code sqlite_may_run(struct store_work *work, struct fh_error *error);
/* What becomes of a unit of work whose statement failed with SQLite's code. */
enum fh_code sqlite_statement_failed(struct store_work *work, int result, struct fh_error *error);

/* append.c: of sql_ops. */
enum fh_code sqlite_append(struct store_work *work, struct ledger_event *events,
                           struct fh_error *error);
enum fh_code sqlite_position(struct store_work *work, int64_t *ret, struct fh_error *error);

/* command.c: of sql_ops. */
bool sqlite_keep_command(struct store_work *work, const struct ledger_command *command);
enum fh_code sqlite_look_for_command(struct store_work *work, const char *sql,
                                     const struct sql_value *values, int count, sql_visit *visit,
                                     void *context, struct fh_error *error);

/* late.c */
void sqlite_late_init(struct sqlite_late *late);
/* Keep a copy of the event, which has its position, or of the record. False: there is no room. */
bool sqlite_late_keep_event(struct sqlite_late *late, const struct ledger_event *event);
bool sqlite_late_keep_command(struct sqlite_late *late, const struct ledger_command *command);
/* False for certain if no record of that command is kept. */
bool sqlite_late_may_keep(const struct sqlite_late *late, const char *caller, const char *key);
/* Adds the commands whose records are kept. */
void sqlite_late_filter(const struct sqlite_late *late, struct sqlite_filter *filter);
bool sqlite_late_is_written(const struct sqlite_late *late);
/* Writes what is not written yet, and returns SQLite's code. */
int sqlite_late_write(struct sqlite_store *store);
/* The same, and one that is not kept. */
int sqlite_late_write_now(struct sqlite_store *store, const struct ledger_event *event);
void sqlite_late_clear(struct sqlite_late *late);  /* the group is over */
void sqlite_late_forget(struct sqlite_late *late); /* it was rolled back */
struct sqlite_late_mark sqlite_late_mark(const struct sqlite_late *late);
void sqlite_late_return(struct sqlite_late *late, const struct sqlite_late_mark *mark);

/* filter.c */
void sqlite_filter_add(struct sqlite_filter *filter, const char *caller, const char *key);
/* True: the command has no record for certain. */
bool sqlite_filter_rules_out(const struct sqlite_filter *filter, const char *caller,
                             const char *key);
void sqlite_filter_forget(struct sqlite_filter *filter);
/* What was removed since the filter had read `filled` slices is there again. */
void sqlite_filter_rolled_back(struct sqlite_filter *filter, uint64_t filled);
/* For fill.c: whether it is to be filled anew; begins to, in a larger one than was begun, if any
 * (false: there is no memory); whether that is too small; a record that the table has; there are no
 * more. */
bool sqlite_filter_is_due(const struct sqlite_filter *filter);
bool sqlite_filter_begin(struct sqlite_filter *filter);
bool sqlite_filter_overflows(const struct sqlite_filter *filter);
void sqlite_filter_find(struct sqlite_filter *filter, const char *caller, const char *key);
void sqlite_filter_end(struct sqlite_filter *filter);
/* fill.c: reads some more records, if it is not whole, in a unit of work that writes. */
enum fh_code sqlite_filter_fill(struct sqlite_work *work, struct fh_error *error);

/* trial.c */
extern const struct sql_trial_ops sqlite_trial;

/* connection.c: the lock keeps other processes off. */
enum fh_code sqlite_lock(struct sqlite_store *store, struct fh_error *error);
enum fh_code sqlite_connect(struct sqlite_store *store, struct sqlite_connection *connection,
                            bool writing, struct fh_error *error);
/* As every connection is: what SQL may do on it, and how it is stored. SQLite's code. */
int sqlite_configure(sqlite3 *db, bool writing);
/* NULL: all are in use. */
struct sqlite_connection *sqlite_reader_free(struct sqlite_store *store);
/* A free one, with a new snapshot; it is in use once it has users, or is shared. NULL with FH_OK:
 * there is none. */
enum fh_code sqlite_reader_take(struct sqlite_store *store, struct sqlite_connection **ret,
                                struct fh_error *error);
void sqlite_destroy(struct sqlite_store *store); /* call only when nothing is pending */

/* checkpoint.c */
void sqlite_checkpoint_init(struct sqlite_store *store);
/* After each COMMIT, on the loop. True: sqlite_checkpoint_finish must run, off the loop, before
 * another group begins. */
bool sqlite_checkpoint_look(struct sqlite_store *store);
void sqlite_checkpoint_finish(struct sqlite_store *store);

/* copy.c */
enum fh_code sqlite_copy_file(struct store *store, const char *path, struct store_watch *watch,
                              struct fh_error *error);

/* group.c */
/* Migrations are exclusive, too: there is one process with one writer. */
static inline bool sqlite_is_exclusive(enum store_mode mode)
{
    return mode & (STORE_EXCLUSIVE | STORE_MIGRATES);
}
enum fh_code sqlite_begin(struct store *store, enum store_mode mode, struct store_work **ret,
                          struct fh_error *error);
enum fh_code sqlite_commit(struct store_work *work, struct fh_error *error);
void sqlite_rollback(struct store_work *work);
void sqlite_group_init(struct sqlite_store *store);
/* Whether SQLite has ended the group's whole transaction, as OR ROLLBACK or a full disk makes it
 * do. The members then fail with a retryable error and run again, each alone. Also true for the
 * active unit of work. */
bool sqlite_group_broke(struct sqlite_store *store);

/* snapshot.c */
/* Before each statement of a unit of work that reads: the first one opens its snapshot, or shares
 * one; others wait while a question has its connection. */
enum fh_code sqlite_snapshot_ready(struct sqlite_work *work, struct fh_error *error);
void sqlite_snapshot_share_no_more(struct sqlite_store *store); /* with those that begin later */
void sqlite_snapshot_end(struct sqlite_work *work);             /* and frees it */

/* question.c */
enum fh_code sqlite_ask(struct store_work *work, sql_question *question, void *context,
                        struct fh_error *error);
/* Starts those that can be: a reader has become free, or nothing steps on one any more. */
void sqlite_questions_start(struct sqlite_store *store);
/* An FH_UNAVAILABLE that is no trouble of the store's: store_is_busy. */
enum fh_code sqlite_busy(struct fh_error *error, const char *message);
static inline bool sqlite_questions_pend(const struct sqlite_store *store)
{
    return store->questions.first || store->questions.running;
}

/* report.c: of sql_ops; and of a trial's, which sets its own authorizer again. */
enum fh_code sqlite_report(struct store_work *work, const char *sql, const struct sql_value *values,
                           int count, const struct sql_taker *taker, struct fh_error *error);
enum fh_code sqlite_report_try(sqlite3 *db, const char *sql, int count,
                               const struct sql_taker *taker, struct fh_error *error);

/* memory.c: before SQLite is used; from now on counts what this thread takes, up to `most` (0: no
 * more); whether that is more. */
void sqlite_memory_init(void);
void sqlite_memory_count(int64_t most);
bool sqlite_memory_is_over(void);

/* start.c: syncs everything that a killed process may have left unsynced. Call it before the
 * database at `path` is opened. */
enum fh_code sqlite_make_durable(struct world *world, const char *folder, const char *path,
                                 struct fh_error *error);
enum fh_code sqlite_sync_folder(struct world *world, const char *folder, struct fh_error *error);

extern const struct engine engine_sqlite;

#endif
