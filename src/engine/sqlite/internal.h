/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_SQLITE_INTERNAL_H
#define ENGINE_SQLITE_INTERNAL_H

/* What the files of the SQLite engine share. */

#include <sqlite3.h>

#include "base/map.h"
#include "store/relational/ledger_schema.h"
#include "store/relational/ledger_sql.h"
#include "engine/sqlite/checksum.h"

extern const struct sql_dialect sqlite_dialect;
extern const struct ledger_schema sqlite_ledger_schema;
extern const char *const sqlite_ledger_statements[LEDGER_STATEMENTS];

#define SQLITE_STATEMENTS_MAX 512
#define SQLITE_GROUP_MAX 512          /* works in one commit */
#define SQLITE_CHECKPOINT_FRAMES 4000 /* WAL frames after which a checkpoint is made */
#define SQLITE_READERS_MAX 8 /* snapshots at once; a handler does not wait while it reads */

#define SQLITE_RECENT 256

struct sqlite_connection {
    sqlite3 *db;
    bool taken;            /* a reader: its snapshot is open */
    struct map statements; /* by text */
    /* Found by where their text lay: the same place mostly holds the same text, and comparing one
     * text is quicker than hashing it. */
    struct sqlite_recent {
        const char *place;
        sqlite3_stmt *statement;
    } recent[SQLITE_RECENT];
};

enum sqlite_group { GROUP_IDLE, GROUP_OPEN, GROUP_BUSY };

struct sqlite_work {
    struct store_work base;
    struct sqlite_work *next; /* in the group */
    struct fiber *fiber;
    bool migrates;                        /* it was begun as STORE_MIGRATE */
    struct sqlite_connection *connection; /* the writer, or the snapshot's own reader */
    enum fh_code result;
    struct fh_error error;
};

struct sqlite_store {
    struct store base;
    char folder[4096], path[4160]; /* of the database's file */
    int lock;                      /* the world's, or -1 */
    struct sqlite_checksum *checksum;
    struct sqlite_connection writer;
    struct sqlite_connection readers[SQLITE_READERS_MAX]; /* opened as they are needed */
    struct fiber_queue readers_free;
    bool whole;   /* it was opened, and may be checkpointed when it is closed */
    bool closing; /* closed by its owner while a turn or a checkpoint was still to come */

    /* The group: see group.c. */
    enum sqlite_group state;
    struct sqlite_work *active; /* between begin and commit */
    bool exclusive;             /* the open group takes one work only */
    int exclusive_waiting;
    struct sqlite_work *members, **members_end;
    int member_count;
    struct fiber_queue turnstile;
    struct world_turn turn;
    struct world_job job;
    int commit_result; /* SQLite's code */
    char commit_message[128];
    int wal_frames;
};

/* statement.c */
enum fh_code sqlite_statement_run(struct store_work *work, const char *sql,
                                  const struct sql_value *values, int count, sql_visit *visit,
                                  void *context, int64_t *ret_changes, struct fh_error *error);
enum fh_code sqlite_script(struct store_work *work, const char *sql, struct fh_error *error);
/* No parameters, no rows; SQLite's code. */
int sqlite_simple(struct sqlite_connection *connection, const char *sql);
void sqlite_statements_release(struct sqlite_connection *connection);
enum fh_code sqlite_error(sqlite3 *db, int result, struct fh_error *error);

/* engine.c */
enum fh_code sqlite_connect(struct sqlite_store *store, struct sqlite_connection *connection,
                            bool writing, struct fh_error *error);
void sqlite_destroy(struct sqlite_store *store); /* nothing is under way any more */

/* copy.c */
enum fh_code sqlite_copy_file(struct store *store, const char *path, struct store_watch *watch,
                              struct fh_error *error);

/* group.c */
enum fh_code sqlite_begin(struct store *store, enum store_mode mode, struct store_work **ret,
                          struct fh_error *error);
enum fh_code sqlite_commit(struct store_work *work, struct fh_error *error);
void sqlite_rollback(struct store_work *work);
void sqlite_group_init(struct sqlite_store *store);
/* Whether the whole transaction is gone, as OR ROLLBACK or a full disk leave it: its members are
 * told to run again alone. True for the active work too. */
bool sqlite_group_broke(struct sqlite_store *store);

/* start.c: everything a killed process may have left unsynced, made durable before it is
 * opened. `path` is the database's. */
enum fh_code sqlite_make_durable(struct world *world, const char *folder, const char *path,
                                 struct fh_error *error);
enum fh_code sqlite_sync_folder(struct world *world, const char *folder, struct fh_error *error);

extern const struct engine engine_sqlite;

#endif
