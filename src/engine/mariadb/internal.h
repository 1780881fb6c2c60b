/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ENGINE_MARIADB_INTERNAL_H
#define ENGINE_MARIADB_INTERNAL_H

/* Shared by the files of the MariaDB engine. engine.c says how they work together. */

#include <mysql.h>

#include "base/map.h"
#include "base/text.h"
#include "store/relational/ledger_schema.h"
#include "store/relational/ledger_sql.h"
#include "store/relational/mark.h"
#include "store/relational/report_line.h"
#include "store/socket.h"
#include "store/tls.h"

extern const struct sql_dialect mariadb_dialect;
extern const struct ledger_schema mariadb_ledger_schema;
extern const char *const mariadb_ledger_statements[LEDGER_STATEMENTS];

/* Timeouts and limits. Their order matters: the server gives up a lock before a statement, and both
 * before the client stops waiting for the answer. */
#define MARIADB_CONNECT_MS 10000
#define MARIADB_STATEMENT_MS 40000
#define MARIADB_MIGRATION_MS 3600000
#define MARIADB_POOL_WAIT_MS 10000  /* for a free connection */
#define MARIADB_LOCK_WAIT_S 10      /* server: for a row that another unit of work holds */
#define MARIADB_IDLE_S 2            /* server: idle between two statements of a unit of work */
#define MARIADB_MIGRATION_IDLE_S 10 /* the same for a migration, with the lock that it holds */
#define MARIADB_OPEN_MS 30000       /* for a server that is starting */
#define MARIADB_BACKOFF_MS_MIN 20
#define MARIADB_BACKOFF_MS_MAX 1000
#define MARIADB_SOCKET "mysqld.sock" /* in the folder given as the host */
#define MARIADB_CONNECTIONS 8        /* default number, for units of work */
#define MARIADB_CONNECTIONS_MAX 256
#define MARIADB_TEXTS_MAX 256 /* statements a store knows, and prepares on a connection */
#define MARIADB_RECENT 256
#define MARIADB_PARAMETERS_MAX SQL_VALUES_MAX /* numbered parameters of a statement */
#define MARIADB_COLUMNS_MAX SQL_VALUES_MAX
#define MARIADB_LIST_MAX 32768 /* elements of a list in one statement */
#define MARIADB_PACKET_SIZE_MAX ((size_t)64 << 20)
#define MARIADB_REPORT_ROW_SIZE_MAX ((size_t)24 << 20) /* more than an answer takes in any case */

/* ---- library.c: the client library, loaded when it is chosen ---- */

/* clang-format off */
#define MARIADB_FUNCTIONS(X) \
    X(mysql_server_init) X(mysql_init) X(mysql_optionsv) X(mysql_get_optionv) X(mysql_close) \
    X(mysql_errno) X(mysql_thread_id) X(mysql_error) X(mysql_sqlstate) X(mysql_get_socket) \
    X(mysql_get_server_info) X(mysql_real_connect) X(mysql_real_connect_start) \
    X(mysql_real_connect_cont) X(mysql_real_query) X(mysql_real_query_start) \
    X(mysql_real_query_cont) X(mysql_store_result) X(mysql_store_result_start) \
    X(mysql_store_result_cont) X(mysql_free_result) X(mysql_fetch_row) X(mysql_fetch_lengths) \
    X(mysql_num_fields) X(mysql_field_count) X(mysql_next_result_start) X(mysql_next_result_cont) \
    X(mysql_more_results) X(mysql_stmt_init) X(mysql_stmt_prepare_start) \
    X(mysql_stmt_prepare_cont) X(mysql_stmt_param_count) X(mysql_stmt_field_count) \
    X(mysql_stmt_bind_param) X(mysql_stmt_execute_start) X(mysql_stmt_execute_cont) \
    X(mysql_stmt_bind_result) X(mysql_stmt_fetch_start) X(mysql_stmt_fetch_cont) \
    X(mysql_stmt_fetch_column) X(mysql_stmt_free_result_start) X(mysql_stmt_free_result_cont) \
    X(mysql_stmt_close) X(mysql_stmt_close_start) X(mysql_stmt_close_cont) X(mysql_stmt_errno) X(mysql_stmt_error) \
    X(mysql_stmt_sqlstate) X(mysql_stmt_affected_rows) X(mysql_stmt_more_results) \
    X(mysql_stmt_next_result_start) X(mysql_stmt_next_result_cont) X(mariadb_stmt_fetch_fields) \
    X(mariadb_field_attr)
/* clang-format on */

struct mariadb_library {
#define MARIADB_SLOT(name) __typeof__(name) *name;
    MARIADB_FUNCTIONS(MARIADB_SLOT)
#undef MARIADB_SLOT
};
extern struct mariadb_library mariadb;

enum fh_code mariadb_load(struct fh_error *error);

/* ---- text.c: a statement's text in the form the server takes ---- */

struct mariadb_position {
    int parameter; /* from 0 */
    int element;   /* of a list; the last one if it has fewer; -1: the parameter is a value */
    bool instant;  /* goes into a DATETIME: sent without its Z */
};

struct mariadb_text {
    uint64_t serial; /* never reused within a store */
    int slot;        /* where each connection keeps its prepared statement */
    int users;
    bool recently; /* used since the clock hand last passed */
    char *key, *sql;
    bool list;    /* has "IN (list)": each number of places needs its own text */
    bool control; /* begins or ends a transaction, or changes the session */
    bool schema;  /* commits the preceding statements */
    int parameter_count, position_count;
    struct mariadb_position *positions;
};

struct mariadb_texts {
    struct map map;
    struct mariadb_text *slots[MARIADB_TEXTS_MAX];
    struct {
        const char *place;
        struct mariadb_text *text;
    } recent[MARIADB_RECENT];
    uint64_t serial;
    int hand;
};

#define MARIADB_LIST_FORMAT "(?%d...)"

/* Finds or makes the text for `sql`, and adds a user. FH_UNSUPPORTED: it can't be run. `sizes`: the
 * number of places for each parameter that is a list; NULL: see text->list first. */
enum fh_code mariadb_text_get(struct mariadb_texts *texts, const char *sql, const int *sizes,
                              struct mariadb_text **ret, struct fh_error *error);
void mariadb_text_put(struct mariadb_text *text); /* removes a user */
/* The length of what is in quotes, or of the comment, that begins here; 0: none does. */
size_t mariadb_quoted(const char *at);
/* The length of what opens a comment whose text the server may run; 0: none opens here. */
size_t mariadb_run_comment_opening(const char *at);
/* Whether the first word that the server sees may be one of these: some comments are run, if the
 * server is of the version that they name. */
bool mariadb_may_begin_with(const char *sql, const char *const *words);
/* Whether a comment that the server may run holds the end of a statement, and so others after it.
 */
bool mariadb_hides_statements(const char *sql);
void mariadb_texts_release(struct mariadb_texts *texts);

/* ---- connection.c: one link to the server ---- */

enum mariadb_use {
    MARIADB_WORKS,      /* SERIALIZABLE; a transaction from each first statement on */
    MARIADB_READS,      /* snapshots and single statements, read-only */
    MARIADB_SEQUENCER,  /* READ COMMITTED; each statement commits on its own */
    MARIADB_MIGRATIONS, /* READ COMMITTED, in transactions */
    MARIADB_REPORTS,    /* snapshots, read-only, as the user for reports; in no database yet */
};

struct mariadb_column;

struct mariadb_statement {
    uint64_t serial; /* of its text */
    MYSQL_STMT *stmt;
    int column_count;
    struct mariadb_column *columns;
    MYSQL_BIND *binds;
};

struct mariadb_connection {
    struct mariadb_store *store;
    enum mariadb_use use;
    /* Of one for reports: when all that it is for is over, and whether that is so as well once the
     * store's questions end. */
    int64_t ends_ns;
    bool of_question;
    MYSQL *mysql;
    int64_t deadline_ns; /* for the request in progress */
    int64_t statement_ms;
    bool connected;
    bool broken;  /* the link is gone, or its state is unknown */
    bool running; /* a statement's rows are being read */
    struct mariadb_connection *next;
    struct mariadb_statement *statements[MARIADB_TEXTS_MAX];
    struct mark left; /* the mark its last unit of work left in fh_mark; opening 0: none */

    struct world_poll poll;
    struct world_timer timer;
    unsigned watched, held;
    struct fiber *waiting;
};

/* A new link, ready for its use. */
enum fh_code mariadb_connection_new(struct mariadb_store *store, enum mariadb_use use,
                                    struct mariadb_connection **ret, struct fh_error *error);
/* One for reports. */
enum fh_code mariadb_connection_for_reports(struct mariadb_store *store, int64_t ends_ns,
                                            bool of_question, struct mariadb_connection **ret,
                                            struct fh_error *error);
/* Does not wait; NULL is allowed. */
void mariadb_connection_free(struct mariadb_connection *connection);

/* ---- wait.c: fibers wait for a link ---- */

void mariadb_wait_init(struct mariadb_connection *connection);
/* The link is gone, and its socket may be closed already. Stop watching it at once: its descriptor
 * may be reused. */
void mariadb_connection_break(struct mariadb_connection *connection);
/* The link is idle: watch it, to notice when the server leaves. */
void mariadb_watch_idle(struct mariadb_connection *connection);
void mariadb_unwatch(struct mariadb_connection *connection);
/* Parks until the library may go on; `status` and the result are MYSQL_WAIT_*. */
int mariadb_wait(struct mariadb_connection *connection, int status);
/* Calls NAME_start and NAME_cont until done; _WITH passes further arguments after the object. */
#define MARIADB_WAITING(connection, name, ret, object)                                             \
    MARIADB_CONTINUED(connection, name, ret, object, mariadb.name##_start(ret, object))
#define MARIADB_WAITING_WITH(connection, name, ret, object, ...)                                   \
    MARIADB_CONTINUED(connection, name, ret, object, mariadb.name##_start(ret, object, __VA_ARGS__))
#define MARIADB_CONTINUED(connection, name, ret, object, started)                                  \
    do {                                                                                           \
        int status_ = (started);                                                                   \
        while (status_)                                                                            \
            status_ = mariadb.name##_cont(ret, object, mariadb_wait(connection, status_));         \
    } while (0)

/* ---- pool.c: connections of one use ---- */

struct mariadb_pool {
    enum mariadb_use use;
    int count, count_max;
    struct mariadb_connection *idle;
    struct fiber_queue queue;
};

enum fh_code mariadb_acquire(struct mariadb_store *store, struct mariadb_pool *pool,
                             struct mariadb_connection **ret, struct fh_error *error);
void mariadb_release(struct mariadb_pool *pool, struct mariadb_connection *connection);
void mariadb_pool_release(struct mariadb_pool *pool); /* call when none is in use */

/* ---- error.c: maps the server's errors to ours ---- */

struct mariadb_failure {
    unsigned number;
    bool visited; /* rows were given to the visitor before it */
    bool again;   /* no error of the server: the unit of work must run again */
    char state[8];
    char message[512];
};

enum fh_code mariadb_fail(struct mariadb_connection *connection,
                          const struct mariadb_failure *failure, struct fh_error *error);
/* Or ends the process: without memory the library leaves out an option, and does not say so of
 * texts. A link without its certificate is none. */
void mariadb_set_option(MYSQL *mysql, enum mysql_option option, const void *value);
void mariadb_set_text(MYSQL *mysql, enum mysql_option option, const char *text);
/* Before connecting, since it may be another than the server: the password is proved and never
 * told, and no file is sent that it asks for. */
void mariadb_distrust(MYSQL *mysql);
/* Around connecting: libmariadb looks into the server's version where an error is 65535 (a report
 * of progress), even if it comes in place of the greeting that tells the version. So there is one,
 * which is passed to the second function whatever came of it. */
char *mariadb_before_greeting(MYSQL *mysql);
void mariadb_after_greeting(const MYSQL *mysql, char *version);
/* Whether TLS failed, going by the library's message `said`: store_tls_failed. */
bool mariadb_tls_failed(const char *host, const char *said, struct fh_error *error);
bool mariadb_is_gone(unsigned number); /* the link failed, not the statement */
bool mariadb_is_lost(unsigned number); /* the transaction is gone: run the unit of work again */
/* "Duplicate entry 'a' for key 'name'" -> "name" */
void mariadb_key_of(const char *message, char *key, size_t size);

/* ---- query.c: what the engine itself wants to know of a server ---- */

/* Runs one or more statements without parameters. `row` (may be NULL) gets each row as texts, with
 * NULL pointers for SQL's NULL. */
typedef void mariadb_row(void *context, char **row);
enum fh_code mariadb_query(struct mariadb_connection *connection, const char *sql, mariadb_row *row,
                           void *context, struct fh_error *error);
/* The error of a call of the library on this link. */
enum fh_code mariadb_connection_fail(struct mariadb_connection *connection, struct fh_error *error);
/* Appends a name as a quoted text. */
void mariadb_add_quoted(struct text *sql, const char *name);
/* For a duplicate key, asks the server which column it is, and sets that as the error's field.
 * `sql`: the statement that failed. */
void mariadb_name_field(struct mariadb_connection *connection, const char *sql,
                        const struct mariadb_failure *failure, struct fh_error *error);

/* ---- statement.c, bind.c, column.c ---- */

/* On failure `failure` has the server's own error; number 0: it gave none. Where a visitor of a
 * report wants no more rows the link is broken, and that is a failure without a number. */
enum fh_code mariadb_run(struct mariadb_connection *connection, const char *sql,
                         const struct sql_value *values, int count, sql_visit *visit, void *context,
                         int64_t *ret_changes, struct mariadb_failure *failure,
                         struct fh_error *error);
/* Prepares a text on the link, or finds it prepared. False: `failure` says why not. */
bool mariadb_prepare(struct mariadb_connection *connection, const struct mariadb_text *text,
                     struct mariadb_statement **ret, struct mariadb_failure *failure);
/* Call it after the link is closed. */
void mariadb_statements_release(struct mariadb_connection *connection);

/* The parameters that are lists, parsed. */
struct mariadb_lists {
    json_t *arrays[MARIADB_PARAMETERS_MAX]; /* NULL: the parameter is a value */
    int places[MARIADB_PARAMETERS_MAX];
};
struct mariadb_bound {
    MYSQL_BIND *binds;
    union mariadb_number {
        int64_t integer;
        double real;
    } * numbers;
    char **texts; /* allocated for it, or NULL */
    int count;
};
enum fh_code mariadb_bind(const struct mariadb_text *text, const struct sql_value *values,
                          const struct mariadb_lists *lists, struct mariadb_bound *ret,
                          struct fh_error *error);
void mariadb_bound_release(struct mariadb_bound *bound);
/* mariadb_refuses_instant: whether the server refused a time because of its JSON notation.
 * mariadb_may_be_instant: whether it may have been this one. */
bool mariadb_refuses_instant(const struct mariadb_failure *failure);
bool mariadb_may_be_instant(const struct mariadb_text *text, int i, const struct sql_value *values,
                            const struct mariadb_failure *failure);

/* After execution: fits the buffers to the result's columns. */
enum fh_code mariadb_columns_bind(struct mariadb_statement *statement, struct fh_error *error);
/* After each fetch. False: a value could not be read. */
bool mariadb_columns_read(struct mariadb_statement *statement, bool truncated,
                          struct sql_value *values);
void mariadb_columns_name(const struct mariadb_statement *statement, const char **names,
                          const char **types);
void mariadb_columns_shrink(struct mariadb_statement *statement);
void mariadb_columns_free(struct mariadb_statement *statement);

/* ---- work.c, settle.c, engine.c ---- */

struct mariadb_work {
    struct store_work base;
    struct mariadb_connection *connection; /* NULL between two STORE_READ_COMMITTED statements */
    int statements;                        /* completed, successfully or not */
    int64_t asked_ns;                      /* when the latest one was sent */
    bool lost;                             /* the transaction is gone: nothing more may run */
    struct fh_error lost_why;
};

struct mariadb_store {
    struct store base;
    struct mariadb_texts texts;
    bool replica; /* read-only, from a server that follows the store's own */
    struct mariadb_pool works, reads;
    struct mariadb_connection *sequencer;
    struct marks marks;
    struct report_line reports;

    /* The server's address: options.c. */
    char host[STORE_HOST_SIZE], user[128], password[256], database[80];
    char reports_user[128], reports_password[256];        /* "": there is none */
    char socket[STORE_HOST_SIZE + sizeof MARIADB_SOCKET]; /* "": by TCP */
    unsigned port;
    struct store_tls tls;

    /* After a failed attempt to connect: when the next is due, and why it failed. */
    int64_t down_until_ns;
    int backoff_ms;
    struct fh_error down_why;

    /* Exclusive units of work, and whether the last one lost a conflict: see work.c. */
    int working, exclusive_waiting;
    bool exclusive, beaten;
    struct fiber_queue turnstile;
};

enum fh_code mariadb_begin(struct store *store, enum store_mode mode, struct store_work **ret,
                           struct fh_error *error);
enum fh_code mariadb_commit(struct store_work *work, struct fh_error *error);
void mariadb_rollback(struct store_work *work);
enum fh_code mariadb_work_run(struct store_work *work, const char *sql,
                              const struct sql_value *values, int count, sql_visit *visit,
                              void *context, int64_t *ret_changes, struct fh_error *error);
enum fh_code mariadb_script(struct store_work *work, const char *sql, struct fh_error *error);
/* Whether the unit of work with this mark, whose COMMIT was not answered, committed: FH_OK;
 * FH_CONFLICT, retryable: it did not and never will. Waits for the server as long as needed. */
enum fh_code mariadb_settle(struct mariadb_store *store, const struct mark *mark,
                            struct fh_error *error);

/* report.c, report_words.c, report_rights.c: see sql_ops. */
enum fh_code mariadb_report(struct store_work *work, const char *sql,
                            const struct sql_value *values, int count,
                            const struct sql_taker *taker, struct fh_error *error);
enum fh_code mariadb_report_try(struct store *store, struct sql_report_trial *trials, int count,
                                struct fh_error *error);
enum fh_code mariadb_report_fits(const char *sql, struct fh_error *error);
enum fh_code mariadb_report_rights(struct store *store, struct fh_error *error);

/* opening.c: adds this process to fh_opening, before its first mark. */
enum fh_code mariadb_opening_new(struct mariadb_store *store, struct fh_error *error);
/* Now and then, records that this process is alive and removes what others left. Called by one
 * fiber at a time. */
void mariadb_opening_keep(struct mariadb_store *store);
/* sequencer.c: runs one statement in a transaction of its own over the sequencer's link, and
 * retries it once if that breaks. Called by one fiber at a time. */
enum fh_code mariadb_run_alone(struct store *store, const char *sql, const struct sql_value *values,
                               int count, sql_visit *visit, void *context, struct fh_error *error);

enum fh_code mariadb_options(struct mariadb_store *store, const json_t *server,
                             struct fh_error *error);
/* Refuses a server that could lose acknowledged commits. */
enum fh_code mariadb_check(struct mariadb_connection *connection, struct fh_error *error);

extern const struct engine engine_mariadb;
extern const struct server_kind server_mariadb;

#endif
